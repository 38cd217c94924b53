/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS as a transport, on any other.
 *
 *      plaintext ── GnuTLS ──► `out`, records to be written ──► below
 *          ▲───────  GnuTLS ◄── `in`, what was read at once ◄── below
 *
 * GnuTLS reads a record by two calls and writes each by one. Between it and what is below are two buffers that make few large calls of many
 * small ones. Each is there only while it holds something, so that an idle connection costs what GnuTLS keeps for it, some 10 KiB.
 *
 * GnuTLS says "again" also where it has merely done something that the caller need not know, such as to take a ticket. Whoever watches by
 * edges must not believe that: `is_dry` says whether there was really nothing to read.
 */
#ifndef NB_RELAY_TLS_TRANSPORT_H
#define NB_RELAY_TLS_TRANSPORT_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/context.h"
#include "relay/link.h"
#include "relay/tls/session.h"
#include "relay/transport.h"

struct tls_buffer {
        uint8_t *bytes; /* owned; NULL: empty */
        size_t begin;
        size_t end;
};

struct tls_transport {
        struct transport transport;
        struct link *link;          /* borrowed: it owns the stack that this is of */
        struct tls_session session; /* also GnuTLS's pointer to this transport */
        struct tls_buffer in;
        struct tls_buffer out;
        size_t ahead;          /* bytes that were made records of, which the caller will offer again */
        int error;             /* of what is below: -errno; 0: none */
        int broken;            /* what reading has ended with: -errno; 0: it goes on */
        bool is_below_drained; /* what was read in this call was all that there was, but perhaps for an end */
        bool has_bytes;        /* this call has something to return already, and need not look for an end */
        bool is_dry;           /* there is nothing to read below for now */
        bool has_said;         /* close_notify was made */
        bool has_ended;        /* the peer has said that nothing more comes */
        unsigned n_extra;      /* messages that brought no bytes */
};

/**
 * Makes a session whose handshake has not begun.
 * @param link     borrowed, must outlive it
 * @param context  one reference is taken
 * @param below    consumed on success only
 * @return owned by the caller: transport_free(); NULL without memory
 */
struct tls_transport *tls_transport_new(struct link *link, struct context *context, bool as_server,
                                        const char *server_name, struct transport *below);

/** Writes what is in `out`. @return 0 when all is; -EAGAIN; another -errno */
int tls_transport_flush(struct tls_transport *tls);

/** Tells the peer by an alert, as far as that goes without waiting, and the link. @return -ECONNABORTED */
int tls_transport_fail(struct tls_transport *tls);

#endif
