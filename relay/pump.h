/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves bytes, or messages, both ways between a link's two transports.
 *
 *      source ──read──► scratch ──write──► sink         what the sink does not take is kept, and nothing is read until it is gone
 *      source ──splice──► pipe ──splice──► sink         for long transfers between plain sockets
 *
 * So a direction holds 64 KiB at most, and memory only while it holds something; a slow sink stops its source, and nobody else. What is read
 * is the scratch buffer of the relay, which all links share.
 *
 * Ends: a clean end of the source is told to the sink (shutdown, close_notify) when all before it is written, and the other direction goes on. An end
 * of the peer's that is not clean ends the link as soon as the guest has what came before; then the guest's stream is reset (relay/pair.h). When the
 * guest is gone, what it wrote is still sent, for LINGER_MS at most. A guest that was reset resets its peer.
 *
 * Descriptors are watched edge-triggered, so each side remembers what it may still do until it was told EAGAIN.
 */
#ifndef NB_RELAY_PUMP_H
#define NB_RELAY_PUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct link;
struct pipe;
struct relay;
struct transport;

/** What is read at most before it is the turn of another link, in reads of RELAY_SCRATCH_SIZE each way; of messages likewise. */
#define PUMP_ROUNDS 8
#define PUMP_MESSAGES 64

/** How long what a guest has left behind is sent to a peer that does not read, in milliseconds. */
#define LINGER_MS 100000

enum pump_result {
        PUMP_WAITS,
        PUMP_HAS_MORE,
        PUMP_HAS_ENDED, /* link_fail() says why */
};

/** What is known of one transport. */
struct pump_side {
        bool may_read;
        bool may_write;
        bool hung_up;    /* no more will come than there is */
        bool is_gone;    /* and nothing can be written */
        bool has_urgent; /* there are urgent bytes among the others: a read or a splice stops in front of each (tcp(7)) */
};

enum flow_end {
        FLOW_OPEN,
        FLOW_CLEAN,
        FLOW_BROKEN,
};

/** One direction. */
struct flow {
        uint8_t *kept; /* owned; NULL: nothing is kept */
        uint32_t kept_start;
        uint32_t kept_end;
        struct pipe *pipe; /* lent; NULL: none */
        enum flow_end end; /* of the source */
        int error;         /* of a broken one, -errno */
        bool is_told;      /* the sink knows of the clean end */
        bool sink_is_gone; /* what still comes is dropped */
        bool has_dropped;
        bool is_long; /* a long transfer */
};

struct pump {
        struct pump_side peer;
        struct pump_side guest;
        struct flow to_guest;
        struct flow to_peer;
};

/**
 * Makes one, before the guest's end is watched.
 * @param had_stages  the peer's socket was read before
 * @return owned by the caller, or NULL without memory
 */
struct pump *pump_new(bool had_stages);

/** Takes NULL. @return NULL */
struct pump *pump_free(struct pump *pump, struct relay *relay);

/** Notes what has changed on a side. @param is_socket  false: it lies on another transport, and any change may be one both ways */
void pump_side_changed(struct pump_side *side, uint32_t events, bool is_socket);

/** Moves bytes, as far as it goes or as one turn lets. */
enum pump_result pump_run(struct link *link);

/** The same for messages (relay/pump_messages.c). */
enum pump_result pump_run_messages(struct link *link);

/** Keeps what a sink has not taken. @return 0 or -ENOMEM */
int flow_keep(struct flow *flow, const uint8_t *bytes, size_t length);

/** Writes what was kept. @return 0: nothing is left; -EAGAIN; another -errno */
int flow_flush(struct flow *flow, struct transport *sink, uint64_t *count);

/** Forgets what was kept. */
void flow_drop(struct flow *flow, struct relay *relay);

#endif
