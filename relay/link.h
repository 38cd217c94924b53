/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relayed connection: a peer's socket, our end of the guest's pair, and what is done to the bytes in between.
 *
 *      handshaking ──all stages done, Ready──► pumping ──both directions at their end──► ended
 *           │   └──Announced──► judged ──Judgement──┘        └──error, End, guest gone──► ended
 *           └──error, timeout, End, guest gone──► ended
 *
 * A link owns all that is its own and ends by one function, which reports Ended, once. It is run (link_run) when either descriptor has
 * changed, for a bounded amount of work; one with more to do is put on the relay's list and run again after the others. What it has read and not yet
 * written is in buffers of bounded size, which it has only while they hold something (relay/pump.h).
 */
#ifndef NB_RELAY_LINK_H
#define NB_RELAY_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "loop/deadline.h"
#include "loop/watch.h"
#include "proto/relay_frame.h"
#include "relay/reports.h"
#include "relay/transport.h"
#include "relay/turn.h"

struct pump;
struct relay;
struct stage;
struct tls_security;

enum link_state {
        LINK_HANDSHAKING,
        LINK_ANNOUNCED, /* waits for Judgement */
        LINK_PUMPING,
};

struct link {
        struct nb_list in_relay;
        struct turn turn;
        struct link *next_in_bucket;
        struct relay *relay;
        uint64_t id;
        enum link_state state;
        bool is_server;
        bool datagrams;
        bool may_step_out;
        bool without_ready; /* nobody waits for it */
        bool had_stages;
        struct transport *peer;  /* the top of the stack; owned */
        struct transport *guest; /* owned */
        struct watch peer_watch;
        struct watch guest_watch;
        uint32_t peer_events;  /* what was told of the peer before the pump was there; it is told once only */
        struct nb_list stages; /* those still to be done, the first one running */
        struct deadline *deadline;
        struct pump *pump; /* while pumping */
        uint64_t bytes_to_guest;
        uint64_t bytes_to_peer;
        Nb__Relay__Cause cause; /* set by link_fail() */
        char reason[RELAY_REASON_MAX];
        struct tls_security *security; /* of the last TLS stage that is the guest's own; NULL: none. Owned */
};

/**
 * Makes a link from an order and runs it.
 * @param peer_fd   consumed
 * @param guest_fd  consumed
 * @return 0; -errno after an Ended was reported for it
 */
int link_begin(struct relay *relay, const Nb__Relay__Begin *begin, int peer_fd, int guest_fd);

/** Goes on with it, as far as it goes or as one turn lets. It may have ended afterwards. */
void link_run(struct link *link);

/** Puts it on the list of those that are run again after the others. Harmless where it is. */
void link_run_again(struct link *link);

/**
 * Notes why a link is about to end; the first note stays. What strangers wrote is escaped by the caller (base/escape.h).
 * @return -ECONNABORTED, for a stage to return
 */
int link_fail(struct link *link, Nb__Relay__Cause cause, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** The same for a transport's error: of a reset, of the end of the stream in the middle of a stage, of the system. @param error  -errno, or 0 for an end of file */
int link_fail_io(struct link *link, const char *stage, int error);

/** Tells the broker who a PROXY header says the peer is, and waits for its Judgement. @return -EAGAIN, or as link_fail() */
int link_announce(struct link *link, const char *source, const char *destination);

/** The answer to that. @return 0; -EPROTO where none was asked for */
int link_judge(struct link *link, bool allowed);

/** Ends it, reports that, and frees it. */
void link_end(struct link *link, Nb__Relay__Cause cause, const char *reason);

/** Frees all links of a relay, and reports nothing. */
void link_free_all(struct relay *relay);

#endif
