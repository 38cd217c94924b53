/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relay that is the test itself: the broker connects to its socket (--relay-socket) as it would to systemd's, and each connection is one
 * relay, which says what a good one says, and what none would.
 *
 * All functions fail the test (ck_abort) instead of returning errors, unless they say otherwise.
 */
#ifndef NB_TESTS_SUPPORT_FAKE_RELAY_H
#define NB_TESTS_SUPPORT_FAKE_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/channel.h"
#include "proto/relay_frame.h"
#include "tests/support/harness.h"

/** Where the broker finds its relays. */
struct fake_relays {
        int listener;
        char path[HARNESS_PATH_MAX];
};

/** One of them. */
struct fake_relay {
        int fd;
        char tenant[NB_NAME_LENGTH_MAX + 1]; /* as Setup says */
        uint32_t in_flight_max;              /* likewise */
        Nb__Relay__Order *order;             /* the last one, until the next */
        struct nb_channel_fds fds;           /* what came with it; closed with the next */
        struct nb_frame_arena arena;
        uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
};

/** Listens in the daemon's folder, which must be there. */
void fake_relays_listen(struct fake_relays *relays, const struct daemon *daemon);
void fake_relays_close(struct fake_relays *relays);

/**
 * Has a process of its own be the relay that tries the files of the policy, at the next start or reload: it says yes to all.
 * @return its pid, for harness_wait_exit() when the daemon has started or reloaded
 */
pid_t fake_relays_say_yes(const struct fake_relays *relays);

/** Waits for the broker to start a relay, and takes its Setup. @return owned by the caller: fake_relay_free() */
struct fake_relay *fake_relay_accept(const struct fake_relays *relays);

/** The same, and answers with a good Started. */
struct fake_relay *fake_relay_start(const struct fake_relays *relays);

/** Closes its channel and what came over it. Takes NULL. @return NULL */
struct fake_relay *fake_relay_free(struct fake_relay *relay);

/** Waits for the next order. @return whether there was one; false when the broker has ended it */
bool fake_relay_receive(struct fake_relay *relay);

/** Waits for an order of that kind, which must be the next. */
void fake_relay_expect(struct fake_relay *relay, Nb__Relay__Order__BodyCase kind);

/** Waits until the broker has ended it, whatever it orders before. */
void fake_relay_expect_end(struct fake_relay *relay);

/** Sends a report. @return 0, or -errno when the broker does not listen any more or does not keep up */
int fake_relay_report(const struct fake_relay *relay, const Nb__Relay__Report *report);

/** Sends any bytes, with descriptors, borrowed. @return as fake_relay_report() */
int fake_relay_send(const struct fake_relay *relay, const void *bytes, size_t length, const int *fds, size_t n_fds);

/** Reports of one line. As fake_relay_report(). */
int fake_relay_ready(const struct fake_relay *relay, uint64_t link);
int fake_relay_ended(const struct fake_relay *relay, uint64_t link, Nb__Relay__Cause cause, const char *reason);

#endif
