/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/dialer.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "broker/account.h"
#include "broker/broker.h"
#include "broker/connector.h"
#include "loop/deadline.h"

/* The relays have the deadline of a handshake, and more to say of it; ours is for those that say nothing. */
#define HANDSHAKE_GRACE_MS 3000

/* One address. */
struct attempt {
        struct dialer *dialer;
        struct nb_address address;
        struct connector *connector; /* while it is dialled */
        struct relayed *relayed;     /* while it shakes hands */
};

struct dialer {
        struct broker *broker;
        struct watch_set *watches;
        struct account *account;
        dialer_socket_function make_socket;
        dialer_shake_function shake;
        dialer_function function;
        void *data;
        uint64_t end_ms; /* of the loop's clock */
        struct attempt attempts[DIALER_ADDRESSES_MAX];
        size_t n;                       /* of addresses */
        size_t next;                    /* the first that was not dialled yet */
        size_t n_dialled;               /* at the moment; all but one of them charged */
        int last_error;                 /* 0: none has failed */
        struct nb_address last_address; /* that failed */
        char last_reason[NB_REASON_LENGTH_MAX / 2];
        struct deadline *deadline;
        struct deadline *delay; /* until the next one */
};

static void cleanup_dialer(struct dialer **dialer) {
        (void)dialer_free(*dialer);
}

/* ---- the order ---- */

/* The first of that family from `from` on; `n` if there is none. */
static size_t find_family(const struct nb_address *addresses, size_t n, size_t from, sa_family_t family) {
        while (from < n && addresses[from].ip.family != family)
                from++;
        return from;
}

/* Families alternate, the first address's first (RFC 8305 section 4); within a family the order stays. */
static void fill_in(struct dialer *dialer, const struct nb_address *addresses, size_t n) {
        sa_family_t family = addresses[0].ip.family, other = family == AF_INET ? AF_INET6 : AF_INET;
        size_t i = find_family(addresses, n, 0, family), j = find_family(addresses, n, 0, other);

        while (dialer->n < DIALER_ADDRESSES_MAX && (i < n || j < n)) {
                size_t *take = j == n || (i < n && dialer->n % 2 == 0) ? &i : &j;
                struct attempt *attempt = &dialer->attempts[dialer->n++];

                attempt->dialer = dialer;
                attempt->address = addresses[*take];
                *take = find_family(addresses, n, *take + 1, attempt->address.ip.family);
        }
}

/* ---- attempts ---- */

static void attempt_over(void *data, int error, int fd);
static void attempt_shaken(void *data, int r, struct relayed_result *result);

/* How much a failure says: that nobody answered is the least. */
static unsigned weight_of(int error) {
        switch (error) {
        case ETIMEDOUT:
        case EHOSTUNREACH:
        case ENETUNREACH:
                return 1;
        case ECONNREFUSED:
                return 2;
        default:
                return 3;
        }
}

/* The last one is what is told; of handshakes the last of those that say the most. @param reason  NULL: none */
static void note_failure(struct dialer *dialer, const struct attempt *attempt, int error, const char *reason) {
        if (dialer->shake && dialer->last_error != 0 && weight_of(error) < weight_of(dialer->last_error))
                return;
        dialer->last_error = error;
        dialer->last_address = attempt->address;
        (void)snprintf(dialer->last_reason, sizeof(dialer->last_reason), "%s", reason ? reason : "");
}

static bool is_under_way(const struct attempt *attempt) {
        return attempt->connector || attempt->relayed;
}

/* Takes one more place for an attempt, if others are under way. */
static bool take_place(struct dialer *dialer) {
        if (dialer->n_dialled > 0 && !account_charge(dialer->account, ACCOUNT_CONNECTS))
                return false;
        dialer->n_dialled++;
        return true;
}

static void give_place(struct dialer *dialer) {
        if (--dialer->n_dialled > 0)
                account_release(dialer->account, ACCOUNT_CONNECTS, 1);
}

static uint64_t time_left(const struct dialer *dialer) {
        uint64_t now_ms = uv_now(&dialer->broker->loop);

        return dialer->end_ms > now_ms ? dialer->end_ms - now_ms : 1;
}

/* A socket of datagrams is connected at once: then the handshake begins. As connector_start(). */
static int shake(struct attempt *attempt, int fd) {
        struct dialer *dialer = attempt->dialer;

        return dialer->shake(dialer->data, &attempt->address, fd, time_left(dialer), attempt_shaken, attempt,
                             &attempt->relayed);
}

/* As connector_start(). */
static int dial(struct attempt *attempt, int *ret_fd) {
        struct dialer *dialer = attempt->dialer;
        const struct nb_socket_address address = nb_socket_address_of_ip(&attempt->address);
        const struct connector_options options = {
                .broker = dialer->broker,
                .watches = dialer->watches,
                .address = &address,
                .function = attempt_over,
                .data = attempt,
        };
        int fd = dialer->make_socket(dialer->data, &attempt->address), connected_fd = -1;
        int r = fd < 0 ? fd : connector_start(&options, fd, &connected_fd, &attempt->connector);

        if (r < 0 || attempt->connector)
                return r;
        if (dialer->shake)
                return shake(attempt, connected_fd);
        *ret_fd = connected_fd;
        return 0;
}

static void delay_is_over(void *data);

static void start_delay(struct dialer *dialer) {
        dialer->delay = deadline_free(dialer->delay);
        if (dialer->next < dialer->n)
                dialer->delay = deadline_new(&dialer->broker->loop, DIALER_DELAY_MS, delay_is_over, dialer);
}

/*
 * Dials what is next, until one is to be waited for.
 * @return the attempt that has connected at once, with its socket; or NULL
 */
static struct attempt *dial_next(struct dialer *dialer, int *ret_fd) {
        while (dialer->next < dialer->n && take_place(dialer)) {
                struct attempt *attempt = &dialer->attempts[dialer->next++];
                int fd = -1, r = dial(attempt, &fd);

                if (r == 0 && !is_under_way(attempt)) {
                        give_place(dialer);
                        *ret_fd = fd;
                        return attempt;
                }
                if (r == 0)
                        break;
                give_place(dialer);
                note_failure(dialer, attempt, -r, NULL);
        }
        start_delay(dialer);
        return NULL;
}

static void succeed(struct dialer *dialer, const struct attempt *attempt, int fd, struct relayed_result *relayed) {
        const struct dialer_result result = { .fd = fd, .address = &attempt->address, .relayed = relayed };

        dialer->function(dialer->data, &result);
}

static void fail(struct dialer *dialer, int error) {
        const struct dialer_result result = {
                .error = error,
                .fd = -1,
                .address = &dialer->last_address,
                .reason = dialer->last_reason[0] != '\0' ? dialer->last_reason : NULL,
        };

        dialer->function(dialer->data, &result);
}

/* Goes on to the next address, or tells that there is none. The dialer may be gone afterwards. */
static void go_on(struct dialer *dialer) {
        int fd = -1;
        const struct attempt *connected = dial_next(dialer, &fd);

        if (connected)
                succeed(dialer, connected, fd, NULL);
        else if (dialer->n_dialled == 0)
                fail(dialer, dialer->last_error);
}

static void attempt_over(void *data, int error, int fd) {
        struct attempt *attempt = data;
        struct dialer *dialer = attempt->dialer;

        attempt->connector = connector_free(attempt->connector);
        give_place(dialer);
        if (error == 0) {
                succeed(dialer, attempt, fd, NULL);
                return;
        }
        note_failure(dialer, attempt, error, NULL);
        go_on(dialer);
}

/* What has won is freed with the dialer, for the result is its own. */
static void attempt_shaken(void *data, int r, struct relayed_result *result) {
        struct attempt *attempt = data;
        struct dialer *dialer = attempt->dialer;

        if (r == 0) {
                succeed(dialer, attempt, -1, result);
                return;
        }
        note_failure(dialer, attempt, -r, result->reason);
        attempt->relayed = relayed_free(attempt->relayed);
        give_place(dialer);
        go_on(dialer);
}

static void delay_is_over(void *data) {
        go_on(data);
}

static void timed_out(void *data) {
        struct dialer *dialer = data;

        for (size_t i = 0; i < dialer->next; ++i) {
                if (is_under_way(&dialer->attempts[i]))
                        note_failure(dialer, &dialer->attempts[i], ETIMEDOUT, NULL);
        }
        fail(dialer, dialer->shake ? dialer->last_error : ETIMEDOUT);
}

/* ---- the dialer ---- */

int dialer_start(const struct dialer_options *options, int *ret_fd, struct nb_address *ret_address,
                 struct dialer **ret_dialer) {
        NB_CLEANUP(cleanup_dialer) struct dialer *dialer = NULL;
        const struct attempt *connected;
        int fd = -1;

        assert(options->n_addresses > 0);
        *ret_address = options->addresses[0];
        dialer = calloc(1, sizeof(*dialer));
        if (!dialer)
                return -ENOMEM;
        dialer->broker = options->broker;
        dialer->watches = options->watches;
        dialer->account = options->account;
        dialer->make_socket = options->make_socket;
        dialer->shake = options->shake;
        dialer->function = options->function;
        dialer->data = options->data;
        fill_in(dialer, options->addresses, options->n_addresses);
        dialer->end_ms = uv_now(&options->broker->loop) + options->timeout_ms;
        dialer->deadline =
                deadline_new(&options->broker->loop, options->timeout_ms + (options->shake ? HANDSHAKE_GRACE_MS : 0),
                             timed_out, dialer);
        if (!dialer->deadline)
                return -ENOMEM;

        connected = dial_next(dialer, &fd);
        if (connected) {
                *ret_address = connected->address;
                *ret_fd = fd;
                return 0;
        }
        if (dialer->n_dialled == 0) {
                *ret_address = dialer->last_address;
                return -dialer->last_error;
        }
        *ret_dialer = nb_steal_ptr(dialer);
        return 0;
}

bool dialer_all(const struct dialer *dialer, bool (*function)(void *data, const struct nb_address *address),
                void *data) {
        for (size_t i = 0; i < dialer->next; ++i) {
                const struct attempt *attempt = &dialer->attempts[i];

                if (is_under_way(attempt) && !function(data, &attempt->address))
                        return false;
        }
        return true;
}

struct dialer *dialer_free(struct dialer *dialer) {
        if (!dialer)
                return NULL;
        for (size_t i = 0; i < dialer->next; ++i) {
                struct attempt *attempt = &dialer->attempts[i];

                if (!is_under_way(attempt))
                        continue;
                attempt->connector = connector_free(attempt->connector);
                attempt->relayed = relayed_free(attempt->relayed);
                give_place(dialer);
        }
        dialer->deadline = deadline_free(dialer->deadline);
        dialer->delay = deadline_free(dialer->delay);
        free(dialer);
        return NULL;
}
