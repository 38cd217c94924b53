/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol as a session writes it, with nothing between: what libnetbroker sends, and what it never would.
 *
 * The first half sends and receives anything. The second half does what a well-behaved session does, in one line each;
 * requests are counted by the caller's channel, as PROTOCOL.md asks.
 */
#ifndef NB_TESTS_SUPPORT_WIRE_H
#define NB_TESTS_SUPPORT_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/channel.h"
#include "proto/frame.h"
#include "proto/wasi.h"

/** Rights for a control that may do everything. */
#define WIRE_RIGHTS_BASE NB_RIGHTS_CONTROL
#define WIRE_RIGHTS_INHERITING (NB_RIGHTS_CONNECTION | NB_RIGHTS_STREAM)

/** The end of a channel, and how many requests were sent on it. */
struct wire {
        int fd;
        uint64_t serial;
};

/** One frame from the broker; `reply` lives until the next one is received into it. */
struct wire_reply {
        Nb__Reply *reply;
        struct nb_channel_fds fds; /* owned until stolen or closed */
        struct nb_frame_arena arena;
        uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
};

/** A socket that came with the Welcome. */
struct wire_preopen {
        struct wire control;
        char name[NB_NAME_LENGTH_MAX + 1];
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        Nb__PreopenKind kind;
        Nb__SocketType type;
        bool nonblock;
        uint64_t rights_base;
        uint64_t rights_inheriting;
};

struct wire_session {
        struct wire channel;
        struct wire protocols[NB_CHANNEL_FDS_MAX];
        size_t n_protocols;
        struct wire_preopen *preopens; /* owned; NULL without any */
        size_t n_preopens;
};

/** Connects to the broker's socket. */
struct wire wire_connect(const char *path);

struct wire wire_close(struct wire *wire);

/** Sends bytes with descriptors. @return 0 or -errno, as nb_channel_send(), but without its limits */
int wire_send_bytes(const struct wire *wire, const void *bytes, size_t length, const int *fds, size_t n_fds);

/** Sends a request as it is, also its serial. */
void wire_send(const struct wire *wire, const Nb__Request *request);

/** Writes a request into `frame`. @return its length */
size_t wire_pack(const Nb__Request *request, uint8_t frame[static NB_CHANNEL_MESSAGE_MAX]);

/** @return memory for wire_receive(), owned by the caller: free() after the descriptors */
struct wire_reply *wire_reply_new(void);

/** Waits for a frame. @return whether there was one; false at the end of the channel */
bool wire_receive(const struct wire *wire, struct wire_reply *ret);

/** Waits until the broker has ended the channel, throwing away what comes before. */
void wire_expect_end(const struct wire *wire);

/** Waits until the broker has taken all that was sent. */
void wire_wait_taken(const struct wire *wire);

/** Fails if a frame, or the end, is there already. */
void wire_expect_silence(const struct wire *wire);

/* ---- a well-behaved session ---- */

/** Sends Hello. @param tenant  "" for none */
void wire_send_hello(struct wire *wire, const char *tenant);

/** Says Hello and takes the Welcome. @return 0, or the WASI errno of the refusal */
uint32_t wire_hello(struct wire *wire, const char *tenant, struct wire_session *ret);

/** The same with a capability token. */
uint32_t wire_hello_with(struct wire *wire, const char *tenant, const void *token, size_t length,
                         struct wire_session *ret);

/** Connects and says Hello; must be welcome. */
void wire_session_open(const char *path, const char *tenant, struct wire_session *ret);

/** Closes all its channels. */
void wire_session_close(struct wire_session *session);

void wire_send_open(struct wire *protocol, const char *address, uint64_t rights_base, uint64_t rights_inheriting);

/** Opens a control. @return 0, or the WASI errno of the refusal. @param ret_address  may be NULL */
uint32_t wire_open(struct wire *protocol, const char *address, struct wire *ret_control,
                   char ret_address[NB_ADDRESS_LENGTH_MAX + 1]);

/** The same, and it must work. */
struct wire wire_open_control(struct wire *protocol, const char *address);

/** Opens a control for datagrams. As wire_open(). */
uint32_t wire_open_dgram(struct wire *protocol, const char *address, struct wire *ret_control,
                         char ret_address[NB_ADDRESS_LENGTH_MAX + 1]);

void wire_send_connect(struct wire *control, const char *address);

/** Waits for the answer to Connect. @return 0 and the stream, owned by the caller, or the WASI errno of the refusal */
uint32_t wire_receive_connected(const struct wire *control, int *ret_fd);

/**
 * Connects, and looks at what is said of both ends.
 * @param ret_peer, ret_local  get the texts; may be NULL
 * @return as wire_receive_connected()
 */
uint32_t wire_connect_named(struct wire *control, const char *address, int *ret_fd,
                            char ret_peer[NB_ADDRESS_LENGTH_MAX + 1], char ret_local[NB_ADDRESS_LENGTH_MAX + 1]);

/** Connects, and must be refused. @param ret_reason  gets why, owned by the caller @return the WASI errno */
uint32_t wire_connect_refused(struct wire *control, const char *address, char **ret_reason);

/** Connects. As wire_receive_connected(). */
uint32_t wire_connect_to(struct wire *control, const char *address, int *ret_fd);

void wire_send_listen(struct wire *control, uint32_t backlog, uint64_t credit, uint64_t received);

/** Listens. @return 0, or the WASI errno of the refusal. @param ret_address  may be NULL */
uint32_t wire_listen(struct wire *control, uint64_t credit, char ret_address[NB_ADDRESS_LENGTH_MAX + 1]);

void wire_send_credit(const struct wire *control, uint64_t total);

/** Waits for a pushed connection, whose number must be the one given. @return the stream, owned by the caller */
int wire_receive_accepted(const struct wire *control, uint64_t number);

/** The same, with the names of both ends. @param ret_peer, ret_local  get the texts */
int wire_receive_accepted_named(const struct wire *control, uint64_t number, char ret_peer[NB_ADDRESS_LENGTH_MAX + 1],
                                char ret_local[NB_ADDRESS_LENGTH_MAX + 1]);

/**
 * Round trips on a protocol, which let the broker handle what was there before them: its loop takes events in the order in
 * which they came.
 */
void wire_settle(struct wire *protocol);

#endif
