/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/relayed.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "broker/broker.h"
#include "broker/proxy_dial.h"
#include "broker/quic_order.h"
#include "broker/relay_context.h"
#include "broker/relay_server.h"
#include "broker/relayed_cause.h"
#include "broker/seal.h"
#include "broker/security.h"
#include "broker/session.h"
#include "broker/tenant.h"
#include "loop/deadline.h"

/*
 * What a guest of datagrams may have under way to its relay, by the kernel's count, which is double of what is asked for: four times the largest, and what is left
 * unread of smaller ones. Whoever has the descriptor may set as much.
 */
#define DATAGRAM_SEND_BUFFER (192 * 1024)

/* The relay has the deadline, and knows more to say of it; ours is for a relay that says nothing. */
#define GRACE_MS 2000

enum relayed_state {
        RELAYED_HANDSHAKING,
        RELAYED_JUDGED, /* Announced has come */
        RELAYED_TOLD,
};

struct relayed {
        struct relay_object object;
        enum relayed_state state;
        struct asker asker;
        enum policy_verb verb;
        struct nb_socket_address peer;
        struct nb_socket_address via; /* family 0: it is `peer` */
        struct proxy_way way;
        bool has_way;
        bool expects_header;
        bool may_step_out;
        bool is_sealed; /* its socket is */
        bool has_tls;
        bool is_quic;
        bool without_ready; /* there is nothing to wait for */
        uint64_t since_ns;
        char *name; /* NULL: an address */
        relayed_function function;
        void *data;
        int socket_fd;
        int guest_fd;
        struct deadline *deadline;
};

static int relayed_report(struct relay_object *object, const Nb__Relay__Report *report);
static void relayed_lost(struct relay_object *object, const char *why);

static int relayed_facts(struct relay_object *object, const Nb__Relay__QuicFacts *facts);

static const struct relay_object_ops relayed_ops = {
        .report = relayed_report,
        .facts = relayed_facts,
        .lost = relayed_lost,
};

static void cleanup_relayed(struct relayed **relayed) {
        *relayed = relayed_free(*relayed);
}

static struct broker *broker_of(const struct relayed *relayed) {
        return relayed->asker.grant->tenant->broker;
}

/* ---- whether ---- */

/* Who is listed must send a header; what others send is data. */
static bool expects_header(const struct policy_protocol *policy, const struct nb_socket_address *peer) {
        if (peer->family == AF_UNIX)
                return false;
        for (size_t i = 0; i < policy->n_header_sources; ++i) {
                if (nb_prefix_contains(&policy->header_sources[i], &peer->ip.ip))
                        return true;
        }
        return false;
}

bool relayed_is_needed_for(const struct policy_protocol *policy, const struct nb_socket_address *peer, bool is_sealed) {
        return policy_keeps_socket(policy, is_sealed) || policy_has_tls(policy, POLICY_ACCEPT) ||
               expects_header(policy, peer);
}

/* ---- telling ---- */

static struct relayed_metrics *metrics_of(const struct relayed *relayed) {
        return &relayed->asker.grant->tenant->metrics.relayed;
}

static struct relayed_attempt attempt_of(const struct relayed *relayed) {
        return (struct relayed_attempt){ .verb = relayed->verb,
                                         .has_tls = relayed->has_tls,
                                         .has_proxy = relayed->has_way,
                                         .is_quic = relayed->is_quic };
}

static void count_ready(const struct relayed *relayed, const Nb__Relay__Security *security) {
        const struct relayed_attempt attempt = attempt_of(relayed);

        relayed_metrics_ready(metrics_of(relayed), &attempt, security && security->resumed,
                              (uv_hrtime() - relayed->since_ns) / 1000);
}

static void count_failure(const struct relayed *relayed, Nb__Relay__Cause cause) {
        const struct relayed_attempt attempt = attempt_of(relayed);

        relayed_metrics_failed(metrics_of(relayed), &attempt, cause);
}

/* What is about to be told. */
static void fill_in_result(struct relayed *relayed, struct relayed_result *result) {
        relayed->state = RELAYED_TOLD;
        relayed->deadline = deadline_free(relayed->deadline);
        result->peer = &relayed->peer;
        result->via = relayed->via.family != 0 ? &relayed->via : NULL;
        result->name = relayed->name;
        result->proxy = relayed->has_way && relayed->asker.grant->policy ? &relayed->asker.grant->policy->proxy : NULL;
}

static void tell(struct relayed *relayed, int error, struct relayed_result *result) {
        fill_in_result(relayed, result);
        relayed->function(relayed->data, error, result);
}

static void record_failure(const struct relayed *relayed, const char *reason) {
        decision_record_relay_failure(&relayed->asker, relayed->verb, relayed->name,
                                      relayed->peer.family != 0 ? &relayed->peer : NULL,
                                      relayed->via.family != 0 ? &relayed->via : NULL, reason);
}

/* It is over. @param reason  NULL: it is recorded already */
static void fail(struct relayed *relayed, int error, const char *reason) {
        struct relayed_result result = { .fd = -1, .socket_fd = -1, .reason = reason };

        if (reason)
                record_failure(relayed, reason);
        tell(relayed, error, &result);
}

static void relayed_lost(struct relay_object *object, const char *why) {
        struct relayed *relayed = nb_container_of(object, struct relayed, object);

        if (relayed->state == RELAYED_TOLD)
                return;
        count_failure(relayed, NB__RELAY__CAUSE__CAUSE_INTERNAL);
        fail(relayed, -ECONNRESET, why);
}

static void timed_out(void *data) {
        struct relayed *relayed = data;

        relayed->deadline = deadline_free(relayed->deadline);
        (void)relay_order_end(&relayed->object);
        relay_detach(&relayed->object);
        count_failure(relayed, NB__RELAY__CAUSE__CAUSE_TIMED_OUT);
        fail(relayed, -ETIMEDOUT, "the relay has said nothing in time");
}

/* ---- reports ---- */

/* Whether it can be ready: with a header that was judged, where one is expected, and with TLS exactly where that is. */
static bool fits(const struct relayed *relayed, const Nb__Relay__Ready *ready) {
        if (relayed->state != (relayed->expects_header ? RELAYED_JUDGED : RELAYED_HANDSHAKING) ||
            (ready->stepped_out && !relayed->may_step_out))
                return false;
        return ready->security ? relayed->has_tls && security_is_sane(ready->security) : !relayed->has_tls;
}

/* A reload may have come since; with Existing=keep it may have taken the protocol away. */
static bool goes_as_wanted(const struct relayed *relayed, bool stepped_out) {
        const struct policy_protocol *policy = relayed->asker.grant->policy;
        const struct policy_made made = {
                .verb = relayed->verb,
                .is_relayed = !stepped_out,
                .is_sealed = relayed->is_sealed,
                .has_tls = relayed->has_tls,
                .has_proxy = relayed->has_way,
                .is_quic = relayed->is_quic,
        };

        return !policy || policy_bears(policy, &made);
}

static void give_up(struct relayed *relayed) {
        (void)relay_order_end(&relayed->object);
        relay_detach(&relayed->object);
        count_failure(relayed, NB__RELAY__CAUSE__CAUSE_ENDED);
        fail(relayed, -EAGAIN, "the policy was replaced meanwhile, and wants it to go another way");
}

/* Where the relay has stepped out, the socket is all that is left of it. */
static int report_ready(struct relayed *relayed, const Nb__Relay__Ready *ready) {
        struct relayed_result result = { .security = ready->security };

        if (!fits(relayed, ready))
                return -EPROTO;
        if (!goes_as_wanted(relayed, ready->stepped_out)) {
                give_up(relayed);
                return 0;
        }
        count_ready(relayed, ready->security);
        result.socket_fd = nb_steal_fd(&relayed->socket_fd);
        result.fd = nb_steal_fd(&relayed->guest_fd);
        result.object = &relayed->object;
        if (ready->stepped_out) {
                relay_detach(&relayed->object);
                result.fd = nb_fd_close(result.fd);
                result.fd = nb_steal_fd(&result.socket_fd);
                result.object = NULL;
        }
        tell(relayed, 0, &result);
        return 0;
}

static int report_ended(struct relayed *relayed, const Nb__Relay__Ended *ended) {
        const struct relayed_cause *cause = &relayed_causes[relayed_cause_index(ended->cause)];
        char reason[NB_REASON_LENGTH_MAX / 2];

        relay_detach(&relayed->object);
        if (relayed->state == RELAYED_TOLD)
                return 0;
        count_failure(relayed, ended->cause);
        (void)nb_escape(ended->reason, strlen(ended->reason), reason, sizeof(reason));
        fail(relayed, cause->error, reason[0] != '\0' ? reason : cause->name);
        return 0;
}

static void send_judgement(struct relayed *relayed, bool allowed) {
        Nb__Relay__Judgement judgement = NB__RELAY__JUDGEMENT__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;

        judgement.link = relayed->object.number;
        judgement.allowed = allowed;
        order.body_case = NB__RELAY__ORDER__BODY_JUDGEMENT;
        order.judgement = &judgement;
        (void)relay_order(&relayed->object, &order, NULL, 0);
}

/* Who the header says the peer is, is judged as a peer is. */
static bool judge_announced(struct relayed *relayed, const struct nb_socket_address *source) {
        struct policy_verdict verdict;

        relayed->via = relayed->peer;
        relayed->peer = *source;
        decide_announced(&relayed->asker, source, &relayed->via, &verdict);
        return verdict.allowed;
}

/* A header without addresses leaves the socket's own, which were judged when it was accepted. */
static int report_announced(struct relayed *relayed, const Nb__Relay__Announced *announced) {
        struct nb_socket_address source;
        bool allowed = true;

        if (relayed->state != RELAYED_HANDSHAKING || !relayed->expects_header)
                return -EPROTO;
        if (announced->source[0] != '\0') {
                if (nb_socket_address_parse(announced->source, strlen(announced->source), &source) < 0)
                        return -EPROTO;
                nb_socket_address_unmap(&source);
                allowed = judge_announced(relayed, &source);
        }
        relayed->state = RELAYED_JUDGED;
        send_judgement(relayed, allowed);
        if (!allowed) {
                relay_detach(&relayed->object);
                fail(relayed, -EACCES, NULL);
        }
        return 0;
}

static int relayed_report(struct relay_object *object, const Nb__Relay__Report *report) {
        struct relayed *relayed = nb_container_of(object, struct relayed, object);

        switch (report->body_case) {
        case NB__RELAY__REPORT__BODY_ANNOUNCED:
                return report_announced(relayed, report->announced);
        case NB__RELAY__REPORT__BODY_READY:
                return report_ready(relayed, report->ready);
        case NB__RELAY__REPORT__BODY_ENDED:
                return report_ended(relayed, report->ended);
        default:
                return -EPROTO;
        }
}

/* Of a connection that nobody has yet they are of no interest. */
static int relayed_facts(struct relay_object *object, const Nb__Relay__QuicFacts *facts) {
        (void)facts;
        return nb_container_of(object, struct relayed, object)->is_quic ? 0 : -EPROTO;
}

/* ---- beginning ---- */

/* A Begin, with what it points to. */
struct begin_draft {
        Nb__Relay__Begin begin;
        Nb__Relay__Quic quic;
        Nb__Relay__Hop hops[POLICY_HOPS_MAX], *hop_pointers[POLICY_HOPS_MAX];
        char server_name[PROXY_TARGET_MAX];
        char source[NB_SOCKET_ADDRESS_TEXT_MAX];
        char destination[NB_SOCKET_ADDRESS_TEXT_MAX];
        char hop_names[POLICY_HOPS_MAX][PROXY_TARGET_MAX];
};

/* Whom the certificate must be for: the name that was granted, without its port, or the address. */
static void set_server_name(const struct relayed *relayed, char *buffer, size_t size) {
        char text[NB_ADDRESS_TEXT_MAX];

        if (relayed->name)
                (void)snprintf(buffer, size, "%.*s", (int)strcspn(relayed->name, ":"), relayed->name);
        else if (relayed->peer.family != AF_UNIX)
                (void)snprintf(buffer, size, "%s", nb_ip_format(&relayed->peer.ip.ip, text));
}

static Nb__Relay__ProxyHeader header_kind(enum policy_proxy_header header) {
        switch (header) {
        case POLICY_PROXY_HEADER_V1:
                return NB__RELAY__PROXY_HEADER__PROXY_HEADER_V1;
        case POLICY_PROXY_HEADER_V2:
                return NB__RELAY__PROXY_HEADER__PROXY_HEADER_V2;
        case POLICY_PROXY_HEADER_NONE:
                break;
        }
        return NB__RELAY__PROXY_HEADER__PROXY_HEADER_NONE;
}

/* The guest has no address of its own: the socket's stands for it. */
static void set_header(const struct relayed *relayed, const struct policy_protocol *policy, struct begin_draft *draft) {
        struct sockaddr_storage sa;
        struct nb_socket_address local;
        socklen_t length = sizeof(sa);

        draft->begin.header = header_kind(policy->send_header);
        if (policy->send_header == POLICY_PROXY_HEADER_NONE || relayed->peer.family == AF_UNIX ||
            relayed->peer.family == 0)
                return;
        if (getsockname(relayed->socket_fd, (struct sockaddr *)&sa, &length) < 0 ||
            nb_socket_address_from_sockaddr((struct sockaddr *)&sa, length, &local) < 0)
                return;
        nb_socket_address_unmap(&local);
        draft->begin.header_source = (char *)nb_socket_address_format(&local, draft->source);
        draft->begin.header_destination = (char *)nb_socket_address_format(&relayed->peer, draft->destination);
}

static void set_hop(const struct policy_hop *hop, const char *target, uint32_t password, uint32_t tls,
                    char name[static PROXY_TARGET_MAX], Nb__Relay__Hop *ret) {
        nb__relay__hop__init(ret);
        ret->kind = hop->kind == POLICY_HOP_SOCKS5 ? NB__RELAY__HOP_KIND__HOP_KIND_SOCKS5
                                                   : NB__RELAY__HOP_KIND__HOP_KIND_CONNECT;
        ret->target = (char *)target;
        ret->password_context = password;
        if (hop->kind != POLICY_HOP_HTTPS)
                return;
        ret->tls_context = tls;
        if (hop->is_name)
                (void)snprintf(name, PROXY_TARGET_MAX, "%s", hop->name.text);
        else
                (void)nb_ip_format(&hop->address.ip, name);
        ret->server_name = name;
}

static void set_hops(const struct relayed *relayed, const struct policy_proxy *proxy,
                     const struct relay_context_ids *contexts, struct begin_draft *draft) {
        draft->begin.n_hops = relayed->has_way ? relayed->way.n : 0;
        draft->begin.hops = draft->hop_pointers;
        for (size_t i = 0; i < draft->begin.n_hops; ++i) {
                set_hop(&proxy->hops[i], relayed->way.targets[i], contexts->passwords[i], contexts->proxy_tls,
                        draft->hop_names[i], &draft->hops[i]);
                draft->hop_pointers[i] = &draft->hops[i];
        }
}

static void set_client(const struct relayed *relayed, const struct policy_protocol *policy,
                       const struct relay_context_ids *contexts, struct begin_draft *draft) {
        draft->begin.role = NB__RELAY__ROLE__ROLE_CLIENT;
        if (relayed->has_tls)
                set_server_name(relayed, draft->server_name, sizeof(draft->server_name));
        draft->begin.server_name = draft->server_name;
        set_header(relayed, policy, draft);
        set_hops(relayed, &policy->proxy, contexts, draft);
}

static int send_begin(struct relayed *relayed, const struct policy_protocol *policy, uint64_t timeout_ms, int pair_fd) {
        struct begin_draft draft = { .begin = NB__RELAY__BEGIN__INIT };
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;
        const int fds[] = { relayed->socket_fd, pair_fd };
        struct relay_context_ids contexts = { 0 };
        int r = relay_context_for(&relayed->object, broker_of(relayed), policy, &contexts);

        if (r < 0)
                return r;
        draft.begin.link = relayed->object.number;
        draft.begin.role = NB__RELAY__ROLE__ROLE_SERVER;
        draft.begin.timeout_ms = timeout_ms < UINT32_MAX ? (uint32_t)timeout_ms : UINT32_MAX;
        draft.begin.tls_context = relayed->has_tls ? contexts.tls : 0;
        draft.begin.expects_header = relayed->expects_header;
        draft.begin.datagrams = relayed->asker.type == POLICY_SOCKET_DGRAM && !relayed->is_quic;
        draft.begin.may_step_out = relayed->may_step_out;
        draft.begin.without_ready = relayed->without_ready;
        if (relayed->verb == POLICY_CONNECT)
                set_client(relayed, policy, &contexts, &draft);
        if (relayed->is_quic) {
                quic_order_fill(policy, relayed->asker.type, &draft.quic);
                draft.begin.quic = &draft.quic;
        }
        order.body_case = NB__RELAY__ORDER__BODY_BEGIN;
        order.begin = &draft.begin;
        return relay_order(&relayed->object, &order, fds, 2);
}

/*
 * So that an empty datagram can be told from the end (shim/wasi/stream.h); the relay sees to its own end. And of what the guest has written the relay leaves
 * the last in the queue, and a few small ones (relay/pair.c), which are not to make its end one that poll(2) calls full, at a quarter of SO_SNDBUF.
 */
static int set_datagram_options(int fd) {
        const int on = 1, size = DATAGRAM_SEND_BUFFER;

        if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on)) < 0)
                return -errno;
        return setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) < 0 ? -errno : 0;
}

/* With the byte in it that is not read before a good end. @param ret_fd  the relay's end */
static int make_plain_pair(struct relayed *relayed, int *ret_fd) {
        int type = relayed->asker.type == POLICY_SOCKET_DGRAM ? SOCK_SEQPACKET : SOCK_STREAM;
        const char byte = 0;
        int ends[2], r;

        if (socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
                return -errno;
        relayed->guest_fd = ends[0];
        *ret_fd = ends[1];
        nb_channel_refuse_fds(ends[0]);
        nb_channel_refuse_fds(ends[1]);
        r = type == SOCK_SEQPACKET ? set_datagram_options(ends[0]) : 0;
        if (r < 0)
                return r;
        return send(ends[0], &byte, 1, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int make_pair(struct relayed *relayed, int *ret_fd) {
        return relayed->is_quic ? quic_order_make_channel(&relayed->guest_fd, ret_fd)
                                : make_plain_pair(relayed, ret_fd);
}

static int attach(struct relayed *relayed, const struct relayed_options *options) {
        int r;

        if (!options->server)
                return relay_attach(&relayed->object, &relayed_ops, relayed->asker.grant->tenant);
        r = relay_attach_beside(&relayed->object, &options->server->object);
        relayed->object.ops = &relayed_ops;
        return r;
}

/* Whether the relay has nothing to do but to carry bytes, and is there. */
static bool needs_no_ready(const struct relayed *relayed, const struct policy_protocol *policy) {
        return !policy_has_handshake(policy, relayed->verb) && !relayed->may_step_out &&
               relay_takes_orders(&relayed->object);
}

static struct deadline *limit_wait(struct relayed *relayed, uint64_t timeout_ms) {
        return deadline_new(&broker_of(relayed)->loop, timeout_ms + GRACE_MS, timed_out, relayed);
}

static int begin(struct relayed *relayed, const struct policy_protocol *policy, const struct relayed_options *options) {
        NB_CLEANUP_FD int pair_fd = -1;
        int r = attach(relayed, options);

        if (r == 0)
                r = make_pair(relayed, &pair_fd);
        if (r < 0)
                return r;
        relayed->without_ready = needs_no_ready(relayed, policy);
        relayed->deadline = relayed->without_ready ? NULL : limit_wait(relayed, options->timeout_ms);
        if (!relayed->without_ready && !relayed->deadline)
                return -ENOMEM;
        return options->server ? options->take(options->server, options->number, &relayed->object, pair_fd)
                               : send_begin(relayed, policy, options->timeout_ms, pair_fd);
}

/* Then the relay stays, also when it is done with the proxy. */
static bool has_tls_to_proxy(const struct policy_proxy *proxy) {
        for (size_t i = 0; i < proxy->n_hops; ++i) {
                if (proxy->hops[i].kind == POLICY_HOP_HTTPS)
                        return true;
        }
        return false;
}

static int fill_in(struct relayed *relayed, const struct relayed_options *options,
                   const struct policy_protocol *policy) {
        relayed->asker = options->asker;
        relayed->since_ns = uv_hrtime();
        relayed->verb = options->verb;
        relayed->peer = *options->peer;
        relayed->function = options->function;
        relayed->data = options->data;
        relayed->is_quic = policy_is_quic(policy);
        relayed->has_tls = relayed->is_quic || policy_has_tls(policy, options->verb);
        relayed->is_sealed = relayed->socket_fd >= 0 && seal_covers(broker_of(relayed), relayed->socket_fd);
        relayed->may_step_out = !policy_keeps_socket(policy, relayed->is_sealed) &&
                                options->asker.type == POLICY_SOCKET_STREAM && !relayed->has_tls &&
                                (options->verb == POLICY_ACCEPT || !has_tls_to_proxy(&policy->proxy));
        relayed->expects_header = options->verb == POLICY_ACCEPT && expects_header(policy, options->peer);
        if (options->way) {
                relayed->way = *options->way;
                relayed->has_way = true;
                relayed->via = options->way->first;
        }
        if (!options->name)
                return 0;
        relayed->name = strdup(options->name);
        return relayed->name ? 0 : -ENOMEM;
}

int relayed_start(const struct relayed_options *options, int fd_consumed, struct relayed **ret) {
        NB_CLEANUP_CHANNEL_FD int fd = fd_consumed;
        NB_CLEANUP(cleanup_relayed) struct relayed *relayed = NULL;
        const struct policy_protocol *policy = options->asker.grant->policy;
        int r;

        if (!policy)
                return -EACCES;
        /* A reload with Existing=keep may have made another protocol of it: then a listener has peers of one kind, and the policy those of the other. */
        if (options->verb == POLICY_ACCEPT && policy_is_quic(policy) != (options->server != NULL))
                return -EACCES;
        /* Nothing goes past a proxy. */
        if (options->verb == POLICY_CONNECT && (options->way ? options->way->n : 0) != policy->proxy.n_hops)
                return -EAGAIN;
        relayed = calloc(1, sizeof(*relayed));
        if (!relayed)
                return -ENOMEM;
        relayed->socket_fd = nb_steal_fd(&fd);
        relayed->guest_fd = -1;
        r = fill_in(relayed, options, policy);
        if (r == 0)
                r = begin(relayed, policy, options);
        if (r < 0) {
                relay_detach(&relayed->object); /* which its relay was not told of */
                return r;
        }
        *ret = nb_steal_ptr(relayed);
        return 0;
}

bool relayed_take(struct relayed *relayed, struct relayed_result *ret) {
        if (!relayed->without_ready)
                return false;
        *ret = (struct relayed_result){
                .fd = nb_steal_fd(&relayed->guest_fd),
                .socket_fd = nb_steal_fd(&relayed->socket_fd),
                .object = &relayed->object,
        };
        fill_in_result(relayed, ret);
        return true;
}

/* ---- afterwards ---- */

bool relayed_is_granted(const struct relayed *relayed) {
        /* Who sent the header was judged too, when it was accepted. */
        if (relayed->verb == POLICY_ACCEPT && relayed->via.family != 0 &&
            !decision_still_grants(relayed->asker.grant, POLICY_ACCEPT, NULL, &relayed->via))
                return false;
        return decision_still_grants(relayed->asker.grant, relayed->verb, relayed->name, &relayed->peer);
}

struct relayed *relayed_free(struct relayed *relayed) {
        if (!relayed)
                return NULL;
        if (relayed->object.relay && relayed->state != RELAYED_TOLD)
                (void)relay_order_end(&relayed->object);
        relay_detach(&relayed->object);
        relayed->deadline = deadline_free(relayed->deadline);
        relayed->socket_fd = nb_channel_fd_close(relayed->socket_fd);
        relayed->guest_fd = nb_fd_close(relayed->guest_fd);
        free(relayed->name);
        free(relayed);
        return NULL;
}
