/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/name_connect.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "broker/broker.h"
#include "broker/datagram.h"
#include "broker/dialer.h"
#include "broker/resolver.h"
#include "broker/session.h"
#include "broker/tenant.h"

/* The longest that a look-up may take, whatever ConnectTimeout= says. */
#define LOOKUP_MAX_MS 10000

struct name_connect {
        struct asker asker;
        struct policy_host_name name;
        uint64_t end_ms; /* on the loop's clock */
        name_socket_function make_socket;
        name_function function;
        void *data;
        bool no_dial;
        bool is_quic;
        bool one_address;
        struct lookup *lookup;
        struct dialer *dialer;
};

/* The addresses that passed. */
struct screened {
        struct nb_address addresses[RESOLVER_ADDRESSES_MAX];
        size_t n;
};

static void cleanup_connect(struct name_connect **connect) {
        (void)name_connect_free(*connect);
}

static struct tenant *tenant_of(const struct name_connect *connect) {
        return connect->asker.grant->tenant;
}

static struct name_result new_result(const struct policy_host_name *name) {
        struct name_result result = { .fd = -1 };

        (void)snprintf(result.name, sizeof(result.name), "%s:%u", name->text, (unsigned)name->port);
        return result;
}

/* ---- why not ---- */

static int fail(struct name_result *result, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int fail(struct name_result *result, int error, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(result->reason, sizeof(result->reason), format, arguments);
        va_end(arguments);
        return error;
}

/* In words, and as the errno that programs know: to connect to a host that there is not is to have no way to it. */
static int fail_lookup(const struct name_connect *connect, int error, struct name_result *result) {
        const char *name = connect->name.text;

        switch (error) {
        case -ENOENT:
                return fail(result, -EHOSTUNREACH, "there is no host %s", name);
        case -ENODATA:
                return fail(result, -EHOSTUNREACH, "%s has no address of a family that the socket can reach", name);
        case -ETIMEDOUT:
                return fail(result, -ETIMEDOUT, "the name servers did not answer for %s in time", name);
        case -EBADMSG:
                return fail(result, -EHOSTUNREACH, "what the name servers say of %s is no answer", name);
        case -EAGAIN:
                return fail(result, -EAGAIN, "the name servers do not answer for %s, or say that they fail: try again",
                            name);
        default:
                return fail(result, error, "%s cannot be looked up: %s", name, strerror(-error));
        }
}

/* It was not even asked. */
static int fail_to_ask(int error, struct name_result *result) {
        result->limited = true;
        switch (error) {
        case -EAGAIN:
                return fail(result, error, "as many names are being looked up as may be (MaxLookups=)");
        case -ENOBUFS:
                return fail(result, error, "the tenant has as much memory as it may have (MaxMemory=)");
        default:
                return fail(result, error, "out of memory");
        }
}

static int refuse_all(const struct name_connect *connect, const struct resolver_answer *answer, const char *reason,
                      struct name_result *result) {
        char text[NB_ADDRESS_TEXT_MAX];

        if (answer->n_addresses == 1)
                return fail(result, -EACCES, "%s resolves to %s, which is refused: %s", connect->name.text,
                            nb_ip_format(&answer->addresses[0], text), reason);
        return fail(result, -EACCES, "%s resolves to %zu addresses, which are all refused; the first is %s: %s",
                    connect->name.text, answer->n_addresses, nb_ip_format(&answer->addresses[0], text), reason);
}

/* ---- screening and dialling ---- */

/* Judges every address that the name has, in DNS's order. @return 0, or -EACCES with the reason */
static int screen(const struct name_connect *connect, const struct resolver_answer *answer, struct screened *ret,
                  struct name_result *result) {
        struct policy_verdict verdict, first = { .allowed = true };

        *ret = (struct screened){ .n = 0 };
        for (size_t i = 0; i < answer->n_addresses; ++i) {
                struct nb_address address = { .ip = answer->addresses[i], .port = connect->name.port };

                /* The kernel would, and then what is judged must be that. */
                nb_ip_unmap(&address.ip);
                if (nb_ip_is_unspecified(&address.ip))
                        nb_ip_set_loopback(&address.ip);
                decide_resolved(&connect->asker, &connect->name, &address, &verdict);
                if (verdict.allowed)
                        ret->addresses[ret->n++] = address;
                else if (first.allowed)
                        first = verdict;
        }
        return ret->n > 0 ? 0 : refuse_all(connect, answer, first.reason, result);
}

/* A reload may have come between screening and this. */
static int make_socket(void *data, const struct nb_address *address) {
        const struct name_connect *connect = data;
        struct policy_verdict verdict;

        decide_name_again(&connect->asker, &connect->name, &verdict);
        if (verdict.allowed)
                decide_resolved_again(&connect->asker, &connect->name, address, &verdict);
        return verdict.allowed ? connect->make_socket(connect->data, address->ip.family) : -EACCES;
}

static void finish(struct name_connect *connect, int r, struct name_result *result) {
        connect->function(connect->data, r, result);
}

/* A socket of datagrams has no handshake, and takes what comes from its peer only. */
static int settle(const struct name_connect *connect, int fd_consumed, const struct nb_address *address,
                  struct name_result *result) {
        NB_CLEANUP_FD int fd = fd_consumed;
        int r = connect->asker.type == POLICY_SOCKET_DGRAM ? datagram_take_from(fd, address) : 0;

        result->peer = nb_socket_address_of_ip(address);
        if (r < 0)
                return r;
        result->fd = nb_steal_fd(&fd);
        return 0;
}

/* What fails by a handshake is recorded already, and its reason is for the guest where the policy lets it. */
static void note_failed(const struct dialer_result *dialled, struct name_result *result) {
        result->recorded = dialled->reason != NULL;
        if (dialled->reason)
                (void)snprintf(result->reason, sizeof(result->reason), "%s", dialled->reason);
}

static void dialled(void *data, const struct dialer_result *dialled) {
        struct name_connect *connect = data;
        struct name_result result = new_result(&connect->name);
        struct nb_address peer = *dialled->address;
        int r = -dialled->error;

        result.peer = nb_socket_address_of_ip(&peer);
        result.relayed = dialled->relayed;
        if (r < 0)
                note_failed(dialled, &result);
        /* What has won is the dialer's until it is handed out. */
        if (!dialled->relayed)
                connect->dialer = dialer_free(connect->dialer);
        if (r == 0 && !dialled->relayed)
                r = settle(connect, dialled->fd, &peer, &result);
        finish(connect, r, &result);
}

/* As dialer_shake_function. */
static int shake(void *data, const struct nb_address *address, int fd_consumed, uint64_t timeout_ms,
                 relayed_function function, void *attempt, struct relayed **ret) {
        const struct name_connect *connect = data;
        NB_CLEANUP_FD int fd = fd_consumed;
        const struct nb_socket_address peer = nb_socket_address_of_ip(address);
        const struct name_result result = new_result(&connect->name);
        const struct relayed_options options = {
                .asker = connect->asker,
                .verb = POLICY_CONNECT,
                .peer = &peer,
                .name = result.name,
                .timeout_ms = timeout_ms,
                .function = function,
                .data = attempt,
        };
        const struct policy_protocol *policy = connect->asker.grant->policy;
        int r = policy && policy_is_quic(policy) ? datagram_take_from(fd, address) : -EAGAIN; /* a reload has come */

        return r < 0 ? r : relayed_start(&options, nb_steal_fd(&fd), ret);
}

static uint64_t time_left(const struct name_connect *connect) {
        uint64_t now_ms = uv_now(&tenant_of(connect)->broker->loop);

        return connect->end_ms > now_ms ? connect->end_ms - now_ms : 1;
}

/* As dialer_start(). */
static int dial(struct name_connect *connect, const struct screened *screened, struct name_result *result) {
        struct tenant *tenant = tenant_of(connect);
        const struct dialer_options options = {
                .broker = tenant->broker,
                .watches = &tenant->throttle.sockets,
                .account = &tenant->account,
                .addresses = screened->addresses,
                .n_addresses = connect->one_address ? 1 : screened->n,
                .timeout_ms = time_left(connect),
                .make_socket = make_socket,
                .shake = connect->is_quic ? shake : NULL,
                .function = dialled,
                .data = connect,
        };
        struct nb_address address;
        int fd = -1, r = dialer_start(&options, &fd, &address, &connect->dialer);

        if (r == 0 && connect->dialer)
                return 0;
        result->peer = nb_socket_address_of_ip(&address);
        return r < 0 ? r : settle(connect, fd, &address, result);
}

/* From the answer on. It is over where there is no dialer afterwards. */
static int proceed(struct name_connect *connect, const struct resolver_answer *answer, struct name_result *result) {
        struct screened screened;
        int r;

        if (answer->error != 0)
                return fail_lookup(connect, answer->error, result);
        r = screen(connect, answer, &screened, result);
        if (r < 0)
                return r;
        if (!connect->no_dial)
                return dial(connect, &screened, result);
        result->peer = nb_socket_address_of_ip(&screened.addresses[0]);
        return 0;
}

/* A reload with Existing=keep lets a look-up go on, and nothing new is granted: its name is judged by the policy of now. */
static int judge_name(const struct name_connect *connect, struct name_result *result) {
        struct policy_verdict verdict;

        decide_name_again(&connect->asker, &connect->name, &verdict);
        if (verdict.allowed)
                return 0;
        decide_name(&connect->asker, &connect->name, NULL, &verdict); /* only a refusal is worth a second record */
        return fail(result, -EACCES, "%s", verdict.reason);
}

static void looked_up(void *data, const struct resolver_answer *answer) {
        struct name_connect *connect = data;
        struct name_result result = new_result(&connect->name);
        int r;

        connect->lookup = NULL;
        r = judge_name(connect, &result);
        if (r == 0)
                r = proceed(connect, answer, &result);
        if (r < 0 || !connect->dialer)
                finish(connect, r, &result);
}

/* ---- start and end ---- */

static int look_up(struct name_connect *connect, const struct name_options *options, struct resolver_answer *answer) {
        struct resolver *resolver = resolver_of(tenant_of(connect));
        uint64_t ms = options->timeout_ms / 2;

        if (!resolver)
                return -ENOMEM;
        return resolver_lookup(resolver, connect->name.text, options->family, ms < LOOKUP_MAX_MS ? ms : LOOKUP_MAX_MS,
                               looked_up, connect, answer, &connect->lookup);
}

static struct name_connect *new_connect(const struct name_options *options) {
        struct name_connect *connect = calloc(1, sizeof(*connect));

        if (!connect)
                return NULL;
        connect->asker = options->asker;
        connect->name = *options->name;
        connect->make_socket = options->make_socket;
        connect->no_dial = options->no_dial;
        connect->is_quic = options->is_quic;
        connect->one_address = options->one_address;
        connect->function = options->function;
        connect->data = options->data;
        connect->end_ms = uv_now(&tenant_of(connect)->broker->loop) + options->timeout_ms;
        return connect;
}

int name_connect_start(const struct name_options *options, struct name_result *ret_result,
                       struct name_connect **ret_connect) {
        NB_CLEANUP(cleanup_connect) struct name_connect *connect = new_connect(options);
        struct resolver_answer answer;
        int r;

        *ret_result = new_result(options->name);
        *ret_connect = NULL;
        if (!connect)
                return fail_to_ask(-ENOMEM, ret_result);
        r = look_up(connect, options, &answer);
        if (r < 0)
                return fail_to_ask(r, ret_result);
        if (r > 0)
                r = proceed(connect, &answer, ret_result);
        if (r < 0)
                return r;
        if (connect->lookup || connect->dialer)
                *ret_connect = nb_steal_ptr(connect);
        return 0;
}

static bool address_is_granted(void *data, const struct nb_address *address) {
        const struct name_connect *connect = data;
        struct policy_verdict verdict;

        decide_resolved_again(&connect->asker, &connect->name, address, &verdict);
        return verdict.allowed;
}

bool name_connect_is_granted(const struct name_connect *connect) {
        struct policy_verdict verdict;

        decide_name_again(&connect->asker, &connect->name, &verdict);
        if (!verdict.allowed)
                return false;
        return !connect->dialer || dialer_all(connect->dialer, address_is_granted, (void *)connect);
}

struct name_connect *name_connect_free(struct name_connect *connect) {
        if (!connect)
                return NULL;
        connect->lookup = lookup_free(connect->lookup);
        connect->dialer = dialer_free(connect->dialer);
        free(connect);
        return NULL;
}
