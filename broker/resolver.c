/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/resolver.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <seccomp.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "broker/broker.h"
#include "loop/deadline.h"
#include "broker/hosts_file.h"
#include "broker/question.h"
#include "broker/resolver_cache.h"
#include "broker/tenant.h"
#include "broker/calls.h"

/* RFC 8305 section 3: how long the addresses of one family wait for those of the other. */
#define RESOLUTION_DELAY_MS 50

#define NS_PER_US 1000

struct resolver {
        struct tenant *tenant;
        struct nb_address servers[POLICY_RESOLVERS_MAX];
        size_t n_servers; /* 0: the system's */
        struct resolver_cache cache;
        struct nb_list askings;
};

/* What is known of a name, by family: NULL is not known, or not wanted. */
struct known {
        bool has_ipv4, has_ipv6;
        struct dns_answer ipv4, ipv6;
};

/* A question under way, and the look-ups that wait for it. Charged to the tenant. */
struct asking {
        struct nb_list link; /* in its resolver */
        struct resolver *resolver;
        struct question *question;
        struct deadline *delay;    /* since one family has addresses */
        bool late;                 /* it is over: what is there is enough */
        bool ipv4, ipv6;           /* what is asked */
        bool kept_ipv4, kept_ipv6; /* of the answers, whether the cache has had them */
        uint64_t since_ns;
        struct nb_list lookups;
        char name[POLICY_HOST_NAME_MAX + 1];
};

struct lookup {
        struct nb_list link;   /* in its asking */
        struct asking *asking; /* NULL: its answer is on the way */
        struct deadline *deadline;
        bool ipv4, ipv6; /* what is wanted */
        struct known known;
        lookup_function function;
        void *data;
};

static void question_answered(void *data);

/* ---- answers ---- */

static struct metrics *metrics_of(const struct resolver *resolver) {
        return &resolver->tenant->metrics;
}

static enum metrics_dns result_of(int error) {
        switch (error) {
        case 0:
                return METRICS_DNS_FOUND;
        case -ENOENT:
        case -ENODATA:
                return METRICS_DNS_NONE;
        case -ETIMEDOUT:
                return METRICS_DNS_TIMED_OUT;
        default:
                return METRICS_DNS_FAILED;
        }
}

static void take(struct resolver_answer *answer, const struct nb_ip *ip, uint32_t ttl) {
        for (size_t i = 0; i < answer->n_addresses; ++i) {
                if (nb_ip_equal(&answer->addresses[i], ip))
                        return;
        }
        if (answer->n_addresses == RESOLVER_ADDRESSES_MAX)
                return;
        answer->addresses[answer->n_addresses++] = *ip;
        if (ttl < answer->ttl)
                answer->ttl = ttl;
}

/*
 * What the two say together where neither has an address: that something failed weighs more than a "no", and "no address of this family" more
 * than "no such name".
 */
static int error_of(const struct known *known) {
        static const int by_weight[] = { -ETIMEDOUT, -ENOMEM, -EAGAIN, -EBADMSG, -ENODATA, -ENOENT };

        for (size_t i = 0; i < sizeof(by_weight) / sizeof(by_weight[0]); ++i) {
                if ((known->has_ipv4 && known->ipv4.error == by_weight[i]) ||
                    (known->has_ipv6 && known->ipv6.error == by_weight[i]))
                        return by_weight[i];
        }
        return -EAGAIN;
}

static void compose(const struct known *known, struct resolver_answer *ret) {
        size_t n_ipv4 = known->has_ipv4 ? known->ipv4.n_addresses : 0;
        size_t n_ipv6 = known->has_ipv6 ? known->ipv6.n_addresses : 0;

        *ret = (struct resolver_answer){ .ttl = UINT32_MAX };
        for (size_t i = 0; i < n_ipv4 || i < n_ipv6; ++i) {
                if (i < n_ipv6)
                        take(ret, &known->ipv6.addresses[i], known->ipv6.ttl);
                if (i < n_ipv4)
                        take(ret, &known->ipv4.addresses[i], known->ipv4.ttl);
        }
        if (ret->n_addresses > 0)
                return;
        ret->error = error_of(known);
        ret->ttl = 0;
}

static bool has_addresses(const struct known *known) {
        return (known->has_ipv4 && known->ipv4.n_addresses > 0) || (known->has_ipv6 && known->ipv6.n_addresses > 0);
}

static bool is_complete(const struct lookup *lookup) {
        return (lookup->known.has_ipv4 || !lookup->ipv4) && (lookup->known.has_ipv6 || !lookup->ipv6);
}

/* ---- look-ups ---- */

static void detach(struct lookup *lookup) {
        nb_list_remove(&lookup->link);
        lookup->asking = NULL;
        lookup->deadline = deadline_free(lookup->deadline);
}

/* Tells who asked. The look-up is over; nothing of the resolver is touched afterwards, for it may be gone. */
static void tell(struct lookup *lookup) {
        struct resolver_answer answer;
        lookup_function function = lookup->function;
        void *data = lookup->data;

        compose(&lookup->known, &answer);
        if (answer.error != 0 && !is_complete(lookup))
                answer.error = -ETIMEDOUT;
        nb_list_remove(&lookup->link);
        free(lookup);
        function(data, &answer);
}

static struct asking *asking_free(struct asking *asking) {
        assert(nb_list_is_empty(&asking->lookups));
        account_release(&asking->resolver->tenant->account, ACCOUNT_LOOKUPS, 1);
        nb_list_remove(&asking->link);
        asking->question = question_free(asking->question);
        asking->delay = deadline_free(asking->delay);
        free(asking);
        return NULL;
}

/* What nobody waits for any more is not asked on, but where a part of it is still to come into the cache. */
static void asking_release(struct asking *asking) {
        if (nb_list_is_empty(&asking->lookups) && !asking->late)
                (void)asking_free(asking);
}

struct lookup *lookup_free(struct lookup *lookup) {
        struct asking *asking;

        if (!lookup)
                return NULL;
        asking = lookup->asking;
        detach(lookup);
        free(lookup);
        if (asking)
                asking_release(asking);
        return NULL;
}

static void lookup_timed_out(void *data) {
        struct lookup *lookup = data;
        struct asking *asking = lookup->asking;

        metrics_of(asking->resolver)->dns[METRICS_DNS_TIMED_OUT]++;
        detach(lookup);
        asking_release(asking);
        tell(lookup);
}

/* ---- questions ---- */

static bool ask(struct asking *asking) {
        const struct resolver *resolver = asking->resolver;
        const struct question_options options = {
                .loop = &resolver->tenant->broker->loop,
                .watches = &resolver->tenant->throttle.sockets,
                .name = asking->name,
                .ipv4 = asking->ipv4,
                .ipv6 = asking->ipv6,
                .servers = resolver->servers,
                .n_servers = resolver->n_servers,
                .function = question_answered,
                .data = asking,
        };

        asking->since_ns = uv_hrtime();
        asking->question = question_new(&options);
        return asking->question;
}

static void learn(struct known *known, const struct dns_answer *answer, sa_family_t family) {
        if (!answer)
                return;
        if (family == AF_INET) {
                known->has_ipv4 = true;
                known->ipv4 = *answer;
        } else {
                known->has_ipv6 = true;
                known->ipv6 = *answer;
        }
}

/* Without memory it is asked again next time. */
static void keep(struct asking *asking, sa_family_t family, bool *kept) {
        const struct dns_answer *answer = question_answer(asking->question, family);
        struct resolver *resolver = asking->resolver;
        struct account *account = &resolver->tenant->account;
        size_t cost = resolver_cache_cost(strlen(asking->name)), before = resolver->cache.bytes;

        if (!answer || *kept)
                return;
        *kept = true;
        if (account_charge_bytes(account, cost) < 0)
                return;
        (void)resolver_cache_put(&resolver->cache, asking->name, family, answer,
                                 uv_now(&resolver->tenant->broker->loop));
        /* The name may have been there, or have taken another's place. */
        account_release_bytes(account, before + cost - resolver->cache.bytes);
}

static void forget(struct resolver *resolver) {
        account_release_bytes(&resolver->tenant->account, resolver->cache.bytes);
        resolver_cache_clear(&resolver->cache);
}

static void count(const struct asking *asking, const struct known *known) {
        struct metrics *metrics = metrics_of(asking->resolver);
        struct resolver_answer answer;

        compose(known, &answer);
        metrics->dns[result_of(answer.error)]++;
        metrics_observe(&metrics->dns_latency, (uv_hrtime() - asking->since_ns) / NS_PER_US);
}

/* Takes the look-ups that have what they need out of the asking. */
static void collect(struct asking *asking, const struct dns_answer *ipv4, const struct dns_answer *ipv6,
                    struct nb_list *ret) {
        nb_list_foreach_safe(link, &asking->lookups) {
                struct lookup *lookup = nb_container_of(link, struct lookup, link);

                /* The question may be another's, who can reach more families. */
                if (lookup->ipv4)
                        learn(&lookup->known, ipv4, AF_INET);
                if (lookup->ipv6)
                        learn(&lookup->known, ipv6, AF_INET6);
                if (!is_complete(lookup) && !(asking->late && has_addresses(&lookup->known)))
                        continue;
                count(asking, &lookup->known);
                detach(lookup);
                nb_list_append(ret, &lookup->link);
        }
}

static void start_delay(struct asking *asking);

/* Brings what has come by now to the look-ups. */
static void deliver(struct asking *asking) {
        const struct dns_answer *ipv4 = question_answer(asking->question, AF_INET);
        const struct dns_answer *ipv6 = question_answer(asking->question, AF_INET6);
        struct nb_list ready;

        nb_list_init(&ready);
        collect(asking, ipv4, ipv6, &ready);
        if (question_is_over(asking->question))
                (void)asking_free(asking);
        else if ((ipv4 && ipv4->n_addresses > 0) || (ipv6 && ipv6->n_addresses > 0))
                start_delay(asking);
        /* Whoever is told may end others that wait in this list, and anything else. */
        while (!nb_list_is_empty(&ready))
                tell(nb_container_of(ready.next, struct lookup, link));
}

static void delay_is_over(void *data) {
        struct asking *asking = data;

        asking->late = true;
        deliver(asking);
}

static void start_delay(struct asking *asking) {
        if (asking->late || asking->delay)
                return;
        asking->delay =
                deadline_new(&asking->resolver->tenant->broker->loop, RESOLUTION_DELAY_MS, delay_is_over, asking);
}

static void question_answered(void *data) {
        struct asking *asking = data;

        keep(asking, AF_INET, &asking->kept_ipv4);
        keep(asking, AF_INET6, &asking->kept_ipv6);
        deliver(asking);
}

/* One that is under way and will tell what is not known yet. */
static struct asking *find_asking(struct resolver *resolver, const char *name, bool ipv4, bool ipv6) {
        nb_list_foreach_safe(link, &resolver->askings) {
                struct asking *asking = nb_container_of(link, struct asking, link);

                if ((asking->ipv4 || !ipv4) && (asking->ipv6 || !ipv6) && strcmp(asking->name, name) == 0)
                        return asking;
        }
        return NULL;
}

static int new_asking(struct resolver *resolver, const char *name, bool ipv4, bool ipv6, struct asking **ret) {
        struct tenant *tenant = resolver->tenant;
        struct asking *asking;
        int r = quota_claim(tenant, ACCOUNT_LOOKUPS);

        if (r < 0)
                return r;
        asking = calloc(1, sizeof(*asking));
        if (!asking) {
                account_release(&tenant->account, ACCOUNT_LOOKUPS, 1);
                return -ENOMEM;
        }
        asking->resolver = resolver;
        asking->ipv4 = ipv4;
        asking->ipv6 = ipv6;
        nb_list_init(&asking->lookups);
        nb_list_init(&asking->link);
        nb_list_append(&resolver->askings, &asking->link);
        memcpy(asking->name, name, strlen(name) + 1);
        if (!ask(asking)) {
                (void)asking_free(asking);
                return -ENOMEM;
        }
        *ret = asking;
        return 0;
}

/* ---- what is known without asking ---- */

static void learn_from_cache(const struct resolver *resolver, const char *name, sa_family_t family,
                             struct known *known) {
        uint64_t now_ms = uv_now(&resolver->tenant->broker->loop);
        struct dns_answer answer;
        const struct dns_answer *cached;
        uint32_t ttl;

        cached = resolver_cache_get(&resolver->cache, name, family, now_ms, &ttl);
        if (!cached)
                return;
        answer = *cached;
        answer.ttl = ttl;
        learn(known, &answer, family);
}

static const struct dns_answer *loopback(sa_family_t family, struct dns_answer *buffer) {
        *buffer = (struct dns_answer){ .addresses = { { .family = family } }, .n_addresses = 1 };
        nb_ip_set_loopback(&buffer->addresses[0]);
        return buffer;
}

/* localhost, and where the name servers are the system's, hosts(5). A name that stands there in one family is not asked of DNS in the other. */
static bool learn_locally(const struct resolver *resolver, const char *name, bool ipv4, bool ipv6,
                          struct known *known) {
        struct dns_answer answer;

        if (hosts_file_is_localhost(name)) {
                learn(known, ipv4 ? loopback(AF_INET, &answer) : NULL, AF_INET);
                learn(known, ipv6 ? loopback(AF_INET6, &answer) : NULL, AF_INET6);
                return true;
        }
        if (resolver->n_servers > 0)
                return false;
        if (ipv4 && hosts_file_find(HOSTS_FILE_PATH, name, AF_INET, &answer))
                learn(known, &answer, AF_INET);
        if (ipv6 && hosts_file_find(HOSTS_FILE_PATH, name, AF_INET6, &answer))
                learn(known, &answer, AF_INET6);
        return has_addresses(known);
}

/* ---- the resolver ---- */

static void set_servers(struct resolver *resolver, const struct policy_tenant *policy) {
        resolver->n_servers = policy ? policy->n_resolvers : 0;
        if (policy)
                memcpy(resolver->servers, policy->resolvers, sizeof(resolver->servers));
}

struct resolver *resolver_new(struct tenant *tenant) {
        struct resolver *resolver = calloc(1, sizeof(*resolver));

        if (!resolver)
                return NULL;
        resolver->tenant = tenant;
        set_servers(resolver, tenant->policy);
        resolver_cache_init(&resolver->cache);
        nb_list_init(&resolver->askings);
        return resolver;
}

struct resolver *resolver_of(struct tenant *tenant) {
        if (!tenant->resolver)
                tenant->resolver = resolver_new(tenant);
        return tenant->resolver;
}

static void cancel(struct lookup *lookup) {
        const struct resolver_answer answer = { .error = -ECANCELED };
        lookup_function function = lookup->function;
        void *data = lookup->data;

        nb_list_remove(&lookup->link);
        free(lookup);
        function(data, &answer);
}

/* All are taken out first, for who is told may end others. */
static void cancel_all(struct resolver *resolver) {
        struct nb_list all;

        nb_list_init(&all);
        nb_list_foreach_safe(link, &resolver->askings) {
                struct asking *asking = nb_container_of(link, struct asking, link);

                while (!nb_list_is_empty(&asking->lookups)) {
                        struct lookup *lookup = nb_container_of(asking->lookups.next, struct lookup, link);

                        detach(lookup);
                        nb_list_append(&all, &lookup->link);
                }
        }
        while (!nb_list_is_empty(&all))
                cancel(nb_container_of(all.next, struct lookup, link));
}

struct resolver *resolver_free(struct resolver *resolver) {
        if (!resolver)
                return NULL;
        cancel_all(resolver);
        nb_list_foreach_safe(link, &resolver->askings)(void) asking_free(nb_container_of(link, struct asking, link));
        forget(resolver);
        free(resolver);
        return NULL;
}

static bool has_servers(const struct resolver *resolver, const struct policy_tenant *policy) {
        if (resolver->n_servers != policy->n_resolvers)
                return false;
        for (size_t i = 0; i < policy->n_resolvers; ++i) {
                if (!nb_address_equal(&resolver->servers[i], &policy->resolvers[i]))
                        return false;
        }
        return true;
}

/* What cannot be asked again for want of memory ends with the look-ups' deadlines. */
static void ask_again(struct asking *asking) {
        struct question *old = asking->question;

        if (ask(asking)) {
                asking->kept_ipv4 = asking->kept_ipv6 = false;
                (void)question_free(old);
        } else {
                asking->question = old;
        }
}

void resolver_policy_changed(struct resolver *resolver) {
        const struct policy_tenant *policy = resolver->tenant->policy;

        /* Without a policy the tenant's sessions end. */
        if (!policy || has_servers(resolver, policy))
                return;
        set_servers(resolver, policy);
        forget(resolver);
        nb_list_foreach_safe(link, &resolver->askings) ask_again(nb_container_of(link, struct asking, link));
}

/* ---- looking up ---- */

static struct lookup *new_lookup(struct asking *asking, const struct lookup *wanted, uint64_t timeout_ms) {
        struct lookup *lookup = malloc(sizeof(*lookup));

        if (!lookup)
                return NULL;
        *lookup = *wanted;
        lookup->asking = asking;
        nb_list_init(&lookup->link);
        lookup->deadline = deadline_new(&asking->resolver->tenant->broker->loop, timeout_ms, lookup_timed_out, lookup);
        if (!lookup->deadline) {
                free(lookup);
                return NULL;
        }
        nb_list_append(&asking->lookups, &lookup->link);
        return lookup;
}

static int wait_for(struct resolver *resolver, const char *name, const struct lookup *wanted, uint64_t timeout_ms,
                    struct resolver_answer *ret_answer, struct lookup **ret_lookup) {
        bool ipv4 = wanted->ipv4 && !wanted->known.has_ipv4, ipv6 = wanted->ipv6 && !wanted->known.has_ipv6;
        struct asking *asking = find_asking(resolver, name, ipv4, ipv6);
        struct lookup *lookup;
        int r;

        if (asking && asking->late && has_addresses(&wanted->known)) {
                compose(&wanted->known, ret_answer);
                return 1;
        }
        if (!asking) {
                r = new_asking(resolver, name, ipv4, ipv6, &asking);
                if (r < 0)
                        return r;
        }
        lookup = new_lookup(asking, wanted, timeout_ms);
        if (!lookup) {
                asking_release(asking);
                return -ENOMEM;
        }
        /* The other family came from the cache, and waits no longer for that. */
        if (has_addresses(&wanted->known))
                start_delay(asking);
        *ret_lookup = lookup;
        return 0;
}

int resolver_lookup(struct resolver *resolver, const char *name, enum policy_family family, uint64_t timeout_ms,
                    lookup_function function, void *data, struct resolver_answer *ret_answer,
                    struct lookup **ret_lookup) {
        struct lookup wanted = {
                .ipv4 = policy_family_includes(family, AF_INET),
                .ipv6 = policy_family_includes(family, AF_INET6),
                .function = function,
                .data = data,
        };
        int r;

        assert(wanted.ipv4 || wanted.ipv6);
        assert(strlen(name) <= POLICY_HOST_NAME_MAX);
        learn_from_cache(resolver, name, AF_INET, &wanted.known);
        learn_from_cache(resolver, name, AF_INET6, &wanted.known);
        wanted.known.has_ipv4 &= wanted.ipv4;
        wanted.known.has_ipv6 &= wanted.ipv6;
        if (is_complete(&wanted) || learn_locally(resolver, name, wanted.ipv4, wanted.ipv6, &wanted.known)) {
                metrics_of(resolver)->dns[METRICS_DNS_HIT]++;
                compose(&wanted.known, ret_answer);
                return 1;
        }
        r = wait_for(resolver, name, &wanted, timeout_ms, ret_answer, ret_lookup);
        if (r != 0)
                metrics_of(resolver)->dns[r > 0 ? METRICS_DNS_HIT : METRICS_DNS_REFUSED]++;
        return r;
}

/* Of c-ares, which has its servers from the policy, or from the system's files. */
static const struct confine_call calls[] = {
        CONFINE_CALL(sendto, "questions"),
        CONFINE_CALL(sendmsg, "questions, by newer versions"),
        CONFINE_CALL(recvfrom, "answers"),
        CONFINE_CALL(recvmsg, "the kernel's list of interfaces"),
        CONFINE_CALL(openat, "resolv.conf(5) and hosts(5)"),
        CONFINE_CALL(read, "the same"),
};
const struct confine_list resolver_calls = CONFINE_LIST(calls);
