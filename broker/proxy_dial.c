/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/proxy_dial.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "broker/broker.h"
#include "broker/decision.h"
#include "broker/dialer.h"
#include "broker/resolver.h"
#include "broker/socket.h"
#include "broker/tenant.h"

/* What a proxy's look-up may take. */
#define LOOKUP_MAX_MS 10000

/* A proxy as the policy had it at the start; that may be replaced meanwhile. */
struct hop {
        bool is_name;
        char name[POLICY_HOST_NAME_MAX + 1];
        char text[160]; /* as written, for messages */
        uint16_t port;
        struct nb_address addresses[RESOLVER_ADDRESSES_MAX]; /* when they are known */
        size_t n_addresses;
};

struct proxy_dial {
        struct grant *grant;
        struct hop hops[POLICY_HOPS_MAX];
        size_t n_hops;
        size_t n_unresolved; /* hops before this one are not looked up yet */
        struct lookup *lookup;
        struct dialer *dialer;
        uint64_t end_ms;
        proxy_dial_function function;
        void *data;
        struct proxy_result result;
};

static void cleanup_dial(struct proxy_dial **dial) {
        *dial = proxy_dial_free(*dial);
}

static struct tenant *tenant_of(const struct proxy_dial *dial) {
        return dial->grant->tenant;
}

/* ---- why not ---- */

static int fail(struct proxy_dial *dial, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int fail(struct proxy_dial *dial, int error, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(dial->result.reason, sizeof(dial->result.reason), format, arguments);
        va_end(arguments);
        return error;
}

static int fail_lookup(struct proxy_dial *dial, const struct hop *hop, int error) {
        switch (error) {
        case -ENOENT:
        case -ENODATA:
        case -EBADMSG:
                return fail(dial, -EHOSTUNREACH, "the proxy %s has no address", hop->text);
        case -ETIMEDOUT:
                return fail(dial, -ETIMEDOUT, "the name servers did not answer for the proxy %s in time", hop->text);
        default:
                return fail(dial, -EAGAIN, "the name servers do not answer for the proxy %s: try again", hop->text);
        }
}

static int fail_to_dial(struct proxy_dial *dial, int error) {
        return fail(dial, error, "the proxy %s cannot be connected to: %s", dial->hops[0].text, strerror(-error));
}

/* ---- dialling the first ---- */

static int make_socket(void *data, const struct nb_address *address) {
        (void)data;
        return socket_new(address->ip.family, POLICY_SOCKET_STREAM);
}

static void finish(struct proxy_dial *dial, int r) {
        dial->function(dial->data, r, &dial->result);
}

static void settle(struct proxy_dial *dial, int fd, const struct nb_address *address) {
        dial->result.fd = fd;
        dial->result.way.first = nb_socket_address_of_ip(address);
}

static void dialled(void *data, const struct dialer_result *result) {
        struct proxy_dial *dial = data;
        int error = result->error;

        if (error == 0)
                settle(dial, result->fd, result->address);
        dial->dialer = dialer_free(dial->dialer);
        finish(dial, error == 0 ? 0 : fail_to_dial(dial, -error));
}

static uint64_t time_left(const struct proxy_dial *dial) {
        uint64_t now_ms = uv_now(&tenant_of(dial)->broker->loop);

        return dial->end_ms > now_ms ? dial->end_ms - now_ms : 1;
}

/* It is over where there is no dialer afterwards. */
static int dial_first(struct proxy_dial *dial) {
        struct tenant *tenant = tenant_of(dial);
        const struct dialer_options options = {
                .broker = tenant->broker,
                .watches = &tenant->throttle.sockets,
                .account = &tenant->account,
                .addresses = dial->hops[0].addresses,
                .n_addresses = dial->hops[0].n_addresses,
                .timeout_ms = time_left(dial),
                .make_socket = make_socket,
                .function = dialled,
                .data = dial,
        };
        struct nb_address address;
        int fd = -1, r = dialer_start(&options, &fd, &address, &dial->dialer);

        if (r < 0)
                return fail_to_dial(dial, r);
        if (!dial->dialer)
                settle(dial, fd, &address);
        return 0;
}

/* ---- where they are ---- */

/* No operator means that. */
static bool is_own(const struct proxy_dial *dial, const struct nb_address *address) {
        const struct nb_socket_address socket_address = nb_socket_address_of_ip(address);

        return own_find(&tenant_of(dial)->broker->own, POLICY_CONNECT, &socket_address) != NULL;
}

static int take_addresses(struct proxy_dial *dial, struct hop *hop, const struct nb_ip *ips, size_t n) {
        for (size_t i = 0; i < n; ++i) {
                struct nb_address address = { .ip = ips[i], .port = hop->port };

                nb_ip_unmap(&address.ip);
                if (!is_own(dial, &address))
                        hop->addresses[hop->n_addresses++] = address;
        }
        return hop->n_addresses > 0
                       ? 0
                       : fail(dial, -EACCES, "the proxy %s is netbrokerd itself, which is none", hop->text);
}

/* Of the second proxy one address is asked for, the first. */
static void note_target(struct proxy_dial *dial, size_t i) {
        char text[NB_ADDRESS_TEXT_MAX];

        if (i > 0)
                (void)snprintf(dial->result.way.targets[i - 1], PROXY_TARGET_MAX, "%s",
                               nb_address_format(&dial->hops[i].addresses[0], text));
}

static int take_answer(struct proxy_dial *dial, const struct resolver_answer *answer) {
        struct hop *hop = &dial->hops[dial->n_unresolved - 1];
        int r;

        if (answer->error != 0)
                return fail_lookup(dial, hop, answer->error);
        r = take_addresses(dial, hop, answer->addresses, answer->n_addresses);
        if (r < 0)
                return r;
        note_target(dial, --dial->n_unresolved);
        return 0;
}

static void looked_up(void *data, const struct resolver_answer *answer);

/* @return 1 with an answer; 0: it is waited for; -errno */
static int look_up(struct proxy_dial *dial, const struct hop *hop, struct resolver_answer *answer) {
        struct resolver *resolver = resolver_of(tenant_of(dial));
        uint64_t ms = time_left(dial);
        int r = resolver ? resolver_lookup(resolver, hop->name, POLICY_FAMILY_IP,
                                           ms < LOOKUP_MAX_MS ? ms : LOOKUP_MAX_MS, looked_up, dial, answer,
                                           &dial->lookup)
                         : -ENOMEM;

        return r < 0 ? fail(dial, r, "the proxy %s cannot be looked up: %s", hop->text, strerror(-r)) : r;
}

/* From the last proxy to the first. It is over where there is neither a look-up nor a dialer afterwards. */
static int go_on(struct proxy_dial *dial) {
        struct resolver_answer answer;

        while (dial->n_unresolved > 0) {
                struct hop *hop = &dial->hops[dial->n_unresolved - 1];
                int r;

                if (!hop->is_name) {
                        if (is_own(dial, &hop->addresses[0]))
                                return fail(dial, -EACCES, "the proxy %s is netbrokerd itself, which is none",
                                            hop->text);
                        note_target(dial, --dial->n_unresolved);
                        continue;
                }
                r = look_up(dial, hop, &answer);
                if (r > 0)
                        r = take_answer(dial, &answer);
                if (r < 0 || dial->lookup)
                        return r;
        }
        return dial_first(dial);
}

static void looked_up(void *data, const struct resolver_answer *answer) {
        struct proxy_dial *dial = data;
        int r;

        dial->lookup = NULL;
        r = take_answer(dial, answer);
        if (r == 0)
                r = go_on(dial);
        if (r < 0 || (!dial->lookup && !dial->dialer))
                finish(dial, r);
}

/* ---- start and end ---- */

static void set_hop(struct hop *hop, const struct policy_hop *from) {
        (void)snprintf(hop->text, sizeof(hop->text), "%s", from->text);
        hop->is_name = from->is_name;
        if (from->is_name) {
                (void)snprintf(hop->name, sizeof(hop->name), "%s", from->name.text);
                hop->port = from->name.port;
                return;
        }
        hop->addresses[0] = from->address;
        nb_ip_unmap(&hop->addresses[0].ip);
        hop->n_addresses = 1;
}

static void set_last_target(struct proxy_dial *dial) {
        struct proxy_result *result = &dial->result;
        char *target = result->way.targets[dial->n_hops - 1];
        char text[NB_ADDRESS_TEXT_MAX];

        if (result->peer.family == 0)
                (void)snprintf(target, PROXY_TARGET_MAX, "%s", result->name);
        else
                (void)snprintf(target, PROXY_TARGET_MAX, "%s", nb_address_format(&result->peer.ip, text));
}

static struct proxy_dial *new_dial(const struct proxy_dial_options *options) {
        const struct policy_proxy *proxy = &options->grant->policy->proxy;
        struct proxy_dial *dial = calloc(1, sizeof(*dial));

        if (!dial)
                return NULL;
        dial->grant = options->grant;
        dial->function = options->function;
        dial->data = options->data;
        dial->end_ms = uv_now(&tenant_of(dial)->broker->loop) + options->timeout_ms;
        dial->n_hops = dial->n_unresolved = dial->result.way.n = proxy->n_hops;
        dial->result.fd = -1;
        dial->result.peer = *options->peer;
        if (options->name)
                (void)snprintf(dial->result.name, sizeof(dial->result.name), "%s", options->name);
        for (size_t i = 0; i < proxy->n_hops; ++i)
                set_hop(&dial->hops[i], &proxy->hops[i]);
        set_last_target(dial);
        return dial;
}

int proxy_dial_start(const struct proxy_dial_options *options, struct proxy_result *ret_result,
                     struct proxy_dial **ret_dial) {
        NB_CLEANUP(cleanup_dial) struct proxy_dial *dial = new_dial(options);
        int r;

        *ret_dial = NULL;
        *ret_result = (struct proxy_result){ .fd = -1, .peer = *options->peer };
        if (!dial)
                return -ENOMEM;
        r = go_on(dial);
        *ret_result = dial->result;
        if (r < 0)
                return r;
        if (dial->lookup || dial->dialer)
                *ret_dial = nb_steal_ptr(dial);
        return 0;
}

bool proxy_dial_is_granted(const struct proxy_dial *dial) {
        const char *name = dial->result.name[0] != '\0' ? dial->result.name : NULL;

        return decision_still_grants(dial->grant, POLICY_CONNECT, name, &dial->result.peer);
}

struct proxy_dial *proxy_dial_free(struct proxy_dial *dial) {
        if (!dial)
                return NULL;
        dial->lookup = lookup_free(dial->lookup);
        dial->dialer = dialer_free(dial->dialer);
        free(dial);
        return NULL;
}
