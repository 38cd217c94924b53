/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a connection ends: for metrics a cause, for the audit a sentence, for the guest's host an errno, and for the peer a code, or nothing.
 *
 * What has ended it is noted once, wherever that is found; the connection's next run carries it out. Of the peer's own words an escaped piece is kept.
 *
 *      noted ──► CONNECTION_CLOSE is sent, streams and channel end, Ended ──► closing ──three PTOs──► freed
 *
 * While it closes, nothing is left of it but its IDs and the packet that said so, which is repeated to who goes on sending: at the 1st, 2nd, 4th, 8th packet, and so on (RFC 9000,
 * 10.2.1). One that the peer has closed, or does not know any more, is just silent for as long.
 */
#ifndef NB_RELAY_QUIC_ENDING_H
#define NB_RELAY_QUIC_ENDING_H

#include <ngtcp2/ngtcp2.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/relay_frame.h"
#include "relay/quic/packet.h"
#include "relay/reports.h"

struct quic_connection;

/** What the peer is told. */
enum quic_farewell {
        QUIC_FAREWELL_NONE,        /* nothing: it has said that itself, or is not there */
        QUIC_FAREWELL_TRANSPORT,   /* an error of QUIC's, or an alert of TLS */
        QUIC_FAREWELL_APPLICATION, /* the code 0 of the application: the guest's regular end */
};

struct quic_ending {
        Nb__Relay__Cause cause; /* UNSPECIFIED: it goes on */
        enum quic_farewell farewell;
        uint64_t code;
        char reason[RELAY_REASON_MAX];
        uint8_t *packet; /* that says so; owned; NULL: nothing is repeated */
        size_t packet_size;
        struct quic_path path;
        uint32_t n_answered; /* packets that came while it closed */
};

/** Notes an end of ours. The first note stays. */
void quic_ending_note(struct quic_connection *connection, Nb__Relay__Cause cause, enum quic_farewell farewell,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));

void quic_ending_note_list(struct quic_connection *connection, Nb__Relay__Cause cause, enum quic_farewell farewell,
                           const char *format, va_list arguments) __attribute__((format(printf, 4, 0)));

/** Notes what the library has returned: its own error, TLS's, or that the peer has ended it. @param error  negative, and no mere hint */
void quic_ending_note_library(struct quic_connection *connection, int error);

/** What the guest's host is told: an errno of preview 1, or 0 where the peer has closed it as one does. */
uint32_t quic_ending_errno(Nb__Relay__Cause cause);

/** Tells the peer, if it is to be told, and keeps the packet. */
void quic_ending_say(struct quic_connection *connection);

/** A packet came while it closes. */
void quic_ending_repeat(struct quic_connection *connection, const struct quic_path *path);

void quic_ending_deinit(struct quic_ending *ending);

#endif
