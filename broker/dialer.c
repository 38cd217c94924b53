/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/dialer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "broker/account.h"
#include "broker/broker.h"
#include "broker/connector.h"
#include "loop/deadline.h"

/* One address. */
struct attempt {
        struct dialer *dialer;
        struct nb_address address;
        struct connector *connector; /* while it is dialled */
};

struct dialer {
        struct broker *broker;
        struct watch_set *watches;
        struct account *account;
        dialer_socket_function make_socket;
        dialer_function function;
        void *data;
        struct attempt attempts[DIALER_ADDRESSES_MAX];
        size_t n;         /* of addresses */
        size_t next;      /* the first that was not dialled yet */
        size_t n_dialled; /* at the moment; all but one of them charged */
        int last_error;
        struct nb_address last_address; /* that failed */
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

static void note_failure(struct dialer *dialer, const struct attempt *attempt, int error) {
        dialer->last_error = error;
        dialer->last_address = attempt->address;
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
        int fd = dialer->make_socket(dialer->data, &attempt->address);

        return fd < 0 ? fd : connector_start(&options, fd, ret_fd, &attempt->connector);
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

                if (r == 0 && !attempt->connector) {
                        give_place(dialer);
                        *ret_fd = fd;
                        return attempt;
                }
                if (r == 0)
                        break;
                give_place(dialer);
                note_failure(dialer, attempt, -r);
        }
        start_delay(dialer);
        return NULL;
}

static void succeed(struct dialer *dialer, const struct attempt *attempt, int fd) {
        dialer->function(dialer->data, 0, fd, &attempt->address);
}

/* Goes on to the next address, or tells that there is none. The dialer may be gone afterwards. */
static void go_on(struct dialer *dialer) {
        int fd = -1;
        const struct attempt *connected = dial_next(dialer, &fd);

        if (connected)
                succeed(dialer, connected, fd);
        else if (dialer->n_dialled == 0)
                dialer->function(dialer->data, dialer->last_error, -1, &dialer->last_address);
}

static void attempt_over(void *data, int error, int fd) {
        struct attempt *attempt = data;
        struct dialer *dialer = attempt->dialer;

        attempt->connector = connector_free(attempt->connector);
        give_place(dialer);
        if (error == 0) {
                succeed(dialer, attempt, fd);
                return;
        }
        note_failure(dialer, attempt, error);
        go_on(dialer);
}

static void delay_is_over(void *data) {
        go_on(data);
}

static void timed_out(void *data) {
        struct dialer *dialer = data;

        for (size_t i = 0; i < dialer->next; ++i) {
                if (dialer->attempts[i].connector)
                        note_failure(dialer, &dialer->attempts[i], ETIMEDOUT);
        }
        dialer->function(dialer->data, ETIMEDOUT, -1, &dialer->last_address);
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
        dialer->function = options->function;
        dialer->data = options->data;
        fill_in(dialer, options->addresses, options->n_addresses);
        dialer->deadline = deadline_new(&options->broker->loop, options->timeout_ms, timed_out, dialer);
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

                if (attempt->connector && !function(data, &attempt->address))
                        return false;
        }
        return true;
}

struct dialer *dialer_free(struct dialer *dialer) {
        if (!dialer)
                return NULL;
        for (size_t i = 0; i < dialer->next; ++i) {
                if (!dialer->attempts[i].connector)
                        continue;
                dialer->attempts[i].connector = connector_free(dialer->attempts[i].connector);
                give_place(dialer);
        }
        dialer->deadline = deadline_free(dialer->deadline);
        dialer->delay = deadline_free(dialer->delay);
        free(dialer);
        return NULL;
}
