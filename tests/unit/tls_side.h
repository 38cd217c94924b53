/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One side of TLS for tests: a stage of the relay's, on a socket, in a link that has no guest. It is watched by edges, as the relay watches,
 * so that a byte which is left lying fails the test.
 *
 * Functions fail the test (ck_abort) instead of returning errors, but for what the relay's say.
 */
#ifndef NB_TESTS_UNIT_TLS_SIDE_H
#define NB_TESTS_UNIT_TLS_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/context.h"
#include "relay/link.h"
#include "relay/relay.h"
#include "relay/stage.h"
#include "relay/tls/session_cache.h"
#include "tests/support/certificates.h"

#define TLS_SETUP_FILES_MAX 8

/** A context's order. What is zero is the default of the policy's. */
struct tls_setup {
        bool as_server;
        bool no_tls12;
        bool no_tls13;
        bool no_tickets;
        bool must_staple;
        struct {
                Nb__Relay__FileKind kind;
                const char *name;     /* of a file of `certificates` */
        } files[TLS_SETUP_FILES_MAX]; /* up to one without a name */
        const char *server_name;
        const char *alpn[4];
        Nb__Relay__ClientAuth client_auth;
        const char *client_names[4];
        const uint8_t *pin; /* 32 bytes */
};

#define TLS_FILE(kind_, name_)                                                                                         \
        { .kind = NB__RELAY__FILE_KIND__FILE_KIND_##kind_, .name = (name_) }

struct tls_side {
        struct relay relay;
        struct context context;
        struct link link;
        struct stage *stage;
        struct tls_setup setup;
        int epoll_fd;
};

/** The order of a setup, with what it points to. */
struct tls_order {
        Nb__Relay__Context context; /* without an id */
        Nb__Relay__File files[TLS_SETUP_FILES_MAX];
        Nb__Relay__File *list[TLS_SETUP_FILES_MAX];
        ProtobufCBinaryData pin;
        int fds[TLS_SETUP_FILES_MAX]; /* of its files, owned */
};

/** Fills it in, in the caller's memory, whose address must not change. */
void tls_order_init(struct tls_order *order, const struct certificates *certificates, const struct tls_setup *setup);
void tls_order_deinit(struct tls_order *order);

/** Makes the credentials. @return NULL when they are refused, with the file at fault ("" for none) and the reason */
struct tls_credentials *tls_setup_load(const struct certificates *certificates, const struct tls_setup *setup,
                                       char file[static CERTIFICATES_PATH_MAX], char reason[static RELAY_REASON_MAX]);

/** Makes a side whose credentials must be good. @param cache  borrowed; NULL: none */
void tls_side_init(struct tls_side *side, const struct certificates *certificates, const struct tls_setup *setup,
                   struct session_cache *cache);

/** Ends what it was connected to, and frees it. */
void tls_side_deinit(struct tls_side *side);

/** Begins a handshake on a socket, after it ended the one before. @param fd  consumed */
void tls_side_connect(struct tls_side *side, int fd);

/** Goes on. @return as stage_ops.run */
int tls_side_step(struct tls_side *side);

/** Waits until something has changed. */
void tls_side_wait(struct tls_side *side);

/** A whole handshake with a peer that needs no help. @return 0, or -errno as the stage says */
int tls_side_shake(struct tls_side *side);

/** Of two sides. @return 0 when both are done; otherwise what the first to fail says, after the other has seen it */
int tls_sides_shake(struct tls_side *client, struct tls_side *server);

/** Reads what there is, and waits for it. @return as transport_ops.read, but for -EAGAIN */
ssize_t tls_side_read(struct tls_side *side, void *buffer, size_t size);

/** Writes all, and waits for it. */
void tls_side_write(struct tls_side *side, const void *bytes, size_t size);

void tls_side_finish(struct tls_side *side);

#endif
