/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_relay.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/unix_listener.h"
#include "tests/support/wire.h"

void fake_relays_listen(struct fake_relays *relays, const struct daemon *daemon) {
        ck_assert_int_lt(snprintf(relays->path, sizeof(relays->path), "%s/relays.sock", daemon->folder),
                         (int)sizeof(relays->path));
        relays->listener = nb_unix_listen(relays->path, SOCK_SEQPACKET,
                                          S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH, 16);
        ck_assert_int_ge(relays->listener, 0);
}

void fake_relays_close(struct fake_relays *relays) {
        relays->listener = nb_fd_close(relays->listener);
        (void)unlink(relays->path);
}

struct fake_relay *fake_relay_accept(const struct fake_relays *relays) {
        struct fake_relay *relay = calloc(1, sizeof(*relay));
        const Nb__Relay__Setup *setup;

        ck_assert_ptr_nonnull(relay);
        ck_assert_int_ne(harness_poll(relays->listener, POLLIN, HARNESS_DEADLINE_MS), 0);
        relay->fd = accept4(relays->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        ck_assert_int_ge(relay->fd, 0);
        fake_relay_expect(relay, NB__RELAY__ORDER__BODY_SETUP);
        setup = relay->order->setup;
        ck_assert_uint_eq(setup->version, NB_RELAY_VERSION);
        relay->in_flight_max = setup->in_flight_max;
        ck_assert_int_lt(snprintf(relay->tenant, sizeof(relay->tenant), "%s", setup->tenant),
                         (int)sizeof(relay->tenant));
        return relay;
}

struct fake_relay *fake_relay_start(const struct fake_relays *relays) {
        struct fake_relay *relay = fake_relay_accept(relays);
        Nb__Relay__Started started = NB__RELAY__STARTED__INIT;
        Nb__Relay__Report report = NB__RELAY__REPORT__INIT;

        started.version = NB_RELAY_VERSION;
        report.body_case = NB__RELAY__REPORT__BODY_STARTED;
        report.started = &started;
        ck_assert_int_eq(fake_relay_report(relay, &report), 0);
        return relay;
}

/* Until the broker is done with it. */
static void say_yes(const struct fake_relays *relays) {
        struct fake_relay *relay = fake_relay_start(relays);
        Nb__Relay__Loaded loaded = NB__RELAY__LOADED__INIT;
        Nb__Relay__Report report = NB__RELAY__REPORT__INIT;

        report.body_case = NB__RELAY__REPORT__BODY_LOADED;
        report.loaded = &loaded;
        while (fake_relay_receive(relay)) {
                loaded.context = relay->order->context->id;
                ck_assert_int_eq(fake_relay_report(relay, &report), 0);
        }
        (void)fake_relay_free(relay);
}

pid_t fake_relays_say_yes(const struct fake_relays *relays) {
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid != 0)
                return pid;
        say_yes(relays);
        _exit(EXIT_SUCCESS);
}

struct fake_relay *fake_relay_free(struct fake_relay *relay) {
        if (!relay)
                return NULL;
        nb_channel_fds_close(&relay->fds);
        (void)nb_fd_close(relay->fd);
        free(relay);
        return NULL;
}

bool fake_relay_receive(struct fake_relay *relay) {
        int n;

        nb_channel_fds_close(&relay->fds);
        ck_assert_int_ne(harness_poll(relay->fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        n = nb_channel_receive(relay->fd, relay->frame, &relay->fds);
        if (n == 0 || n == -ECONNRESET)
                return false;
        ck_assert_int_gt(n, 0);
        ck_assert_int_eq(nb_relay_order_decode(&relay->arena, relay->frame, (size_t)n, &relay->order), 0);
        return true;
}

void fake_relay_expect(struct fake_relay *relay, Nb__Relay__Order__BodyCase kind) {
        ck_assert(fake_relay_receive(relay));
        ck_assert_int_eq((int)relay->order->body_case, (int)kind);
}

void fake_relay_expect_end(struct fake_relay *relay) {
        while (fake_relay_receive(relay))
                ;
}

int fake_relay_report(const struct fake_relay *relay, const Nb__Relay__Report *report) {
        return nb_relay_report_send(relay->fd, report);
}

int fake_relay_send(const struct fake_relay *relay, const void *bytes, size_t length, const int *fds, size_t n_fds) {
        const struct wire wire = { .fd = relay->fd };

        return wire_send_bytes(&wire, bytes, length, fds, n_fds);
}

int fake_relay_ready(const struct fake_relay *relay, uint64_t link) {
        Nb__Relay__Ready ready = NB__RELAY__READY__INIT;
        Nb__Relay__Report report = NB__RELAY__REPORT__INIT;

        ready.link = link;
        report.body_case = NB__RELAY__REPORT__BODY_READY;
        report.ready = &ready;
        return fake_relay_report(relay, &report);
}

int fake_relay_ended(const struct fake_relay *relay, uint64_t link, Nb__Relay__Cause cause, const char *reason) {
        Nb__Relay__Ended ended = NB__RELAY__ENDED__INIT;
        Nb__Relay__Report report = NB__RELAY__REPORT__INIT;

        ended.link = link;
        ended.cause = cause;
        ended.reason = (char *)reason;
        report.body_case = NB__RELAY__REPORT__BODY_ENDED;
        report.ended = &ended;
        return fake_relay_report(relay, &report);
}
