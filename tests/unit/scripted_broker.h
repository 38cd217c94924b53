/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker inside the test's own process and thread: it answers what has been asked whenever the library waits.
 *
 * It is the wait function of the session and the guest, so a test needs no thread and no time: a wait in which neither the broker nor a
 * peer does anything can never end, and returns -EINTR. Streams are socket pairs; the test holds the far ends.
 *
 * Addresses that mean something: "denied:1" is refused with `access`, "refused:1" with `connrefused`, "held:1" is answered
 * when the test says so. Any other succeeds. Of rules, "bad" are refused with `inval`.
 *
 * It can be started again: what a broker keeps is told Resumed, and of what it does not keep the channel ends. As the real one it carries out a request
 * once, by its number, which has to go up.
 *
 * With `multiplexed` set, a connection is a channel, and the broker plays its relay, too: it tells the totals first, creates what is asked for, and pushes what
 * the test says.
 */
#ifndef NB_TESTS_SCRIPTED_BROKER_H
#define NB_TESTS_SCRIPTED_BROKER_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/channel.h"
#include "proto/frame.h"

#define SCRIPTED_CHANNELS_MAX 4096

/** What a channel is for. */
enum scripted_kind {
        SCRIPTED_SESSION,
        SCRIPTED_PROTOCOL,
        SCRIPTED_CONTROL, /* bound to nothing: gone with its broker */
        SCRIPTED_BOUND,   /* a control that is bound, listens, or was preopened */
        SCRIPTED_RELAY,   /* a connection channel: its other end is not the broker's */
};

struct scripted_broker {
        int channels[SCRIPTED_CHANNELS_MAX]; /* owned: the broker's ends; the first is the session's */
        enum scripted_kind kinds[SCRIPTED_CHANNELS_MAX];
        uint64_t serials[SCRIPTED_CHANNELS_MAX]; /* of the last request, or of the Resumed since */
        uint64_t resumed_serial;                 /* of the last Resumed, on whatever channel; 0: there was none */
        unsigned n_channels;
        int peer;            /* owned: the far end of the last stream */
        int held;            /* a channel that waits for its Connected; -1: none */
        int listener;        /* the channel that was asked to listen last; -1: none */
        uint64_t n_pushed;   /* Accepted frames on it */
        unsigned n_requests; /* that were answered */
        unsigned n_opened;   /* controls */
        unsigned n_connects; /* that were carried out, whatever came of them */
        unsigned n_listens;
        bool holds_nothing;  /* "held:1" is as any other */
        bool ends_controls;  /* as soon as they are opened */
        uint32_t open_error; /* a WASI errno that refuses what is opened; 0: none */
        int opened_type;     /* what the last Open asked for */
        char opened_address[NB_ADDRESS_LENGTH_MAX + 1];
        uint64_t inheriting;    /* of the second protocol; the first has all */
        Nb__Preopen **preopens; /* borrowed: what the Welcome says of preopened sockets; NULL: none */
        size_t n_preopens;      /* as many as it says */
        int n_fds_too_many;     /* of the Welcome's descriptors, which come last; less than 0: too few */
        const char *peer_text;  /* borrowed: the address of every peer */
        const char *local_text; /* borrowed: what the broker says of the local one */
        Nb__Security *security; /* borrowed: of every stream; NULL: none */
        const char *reason;     /* borrowed: of every refusal */
        void (*make_stream)(
                int ret[static 2]); /* the far end and the guest's of each stream; NULL: a pair of Unix sockets */
        bool multiplexed;           /* whether connections are channels; */
        uint64_t allowed
                [2]; /* then: how many streams may be created, bidirectional ones and others, as told at the beginning */
        uint32_t message_max;                             /* of datagrams; 0: connections are of streams */
        uint32_t stream_error;                            /* a WASI errno that refuses a stream; 0: none */
        unsigned relay;                                   /* which channel is that of the last connection */
        unsigned n_created;                               /* streams that were asked for */
        bool unidirectional;                              /* whether the last one was */
        uint64_t n_streams_pushed[SCRIPTED_CHANNELS_MAX]; /* on each channel */
        uint64_t credit[SCRIPTED_CHANNELS_MAX];           /* the last that each channel was told */
        void (*on_wait)(void *data);                      /* once: what happens in the next wait; or NULL */
        void (*on_waited)(void *data);                    /* once: what happens right behind it; or NULL */
        void *on_wait_data;
        struct nb_frame_arena arena;
        uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
};

/**
 * Makes a broker with two protocols, "web" and "db", and no preopened sockets: who wants some sets them before the session is opened.
 * @return the session's descriptor, owned by the caller
 */
int scripted_broker_init(struct scripted_broker *broker);

void scripted_broker_deinit(struct scripted_broker *broker);

/** The nb_wait_function; `data` is the broker. */
int scripted_broker_wait(void *data, struct pollfd *fds, nfds_t n_fds, int64_t timeout_ns);

/** Pushes a connection to the control that listened last; its far end is `peer`. */
void scripted_broker_push(struct scripted_broker *broker);

/** Kills the broker and starts it again. */
void scripted_broker_restart(struct scripted_broker *broker);

/** Takes the requests that there are. As long as nobody waits nothing else does. */
void scripted_broker_serve(struct scripted_broker *broker);

/** Answers the connect to "held:1". */
void scripted_broker_release(struct scripted_broker *broker);

/** Pushes a stream on the channel of a connection, as `relay` numbers it; its far end is `peer`. */
void scripted_broker_push_stream(struct scripted_broker *broker, unsigned relay, bool unidirectional);

/** Tells how many streams may have been created on the last connection. */
void scripted_broker_allow(struct scripted_broker *broker, uint64_t bidirectional, uint64_t unidirectional);

/** Ends a connection. @param error  of WASI */
void scripted_broker_end_connection(struct scripted_broker *broker, unsigned relay, uint32_t error, const char *reason);

#endif
