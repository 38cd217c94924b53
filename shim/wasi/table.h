/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's descriptors: one space of numbers for files of the engine, standard streams and network objects.
 *
 * A new descriptor gets the lowest free number, as POSIX promises and programs rely on. Free numbers are bits in three
 * levels of 64-ary words: a word of a level has a bit set where the word below it has any, so the lowest free number is
 * three find-first-set instructions away however many there are.
 *
 * Which of the engine's numbers are in use is kept sorted beside them, so that a guest with many descriptors opens files as fast as one
 * with few.
 *
 * The table owns what its descriptors own; nb_descriptor_deinit() gives that back. Pointers to descriptors are good until the next
 * nb_table_reserve() or nb_table_add(), which may move the table.
 */
#ifndef NB_SHIM_WASI_TABLE_H
#define NB_SHIM_WASI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netbroker/client.h"

/** The largest limit that a table can have: three levels of 64. */
#define NB_TABLE_LIMIT_MAX (64u * 64u * 64u)

enum nb_descriptor_kind {
        NB_DESCRIPTOR_FREE,
        NB_DESCRIPTOR_STDIO,    /* a host descriptor, borrowed; served by the shim */
        NB_DESCRIPTOR_ENGINE,   /* a descriptor of the engine's WASI, under a number of its own */
        NB_DESCRIPTOR_PROTOCOL, /* from here on: network descriptors */
        NB_DESCRIPTOR_CONTROL,
        NB_DESCRIPTOR_CONNECTION,
        NB_DESCRIPTOR_STREAM,
};

struct nb_waiting;

/**
 * A connection with all that keeps it alive: its descriptor and its streams each hold a reference. When its descriptor is closed, nobody can ask for another stream
 * any more, so its channel, if it has one, is closed with it (nb_connection_retire()).
 */
struct nb_shared_connection {
        unsigned n_references;
        struct nb_connection *connection; /* owned */
        int stream_fd; /* borrowed from the only stream's descriptor; -1 before there is one, after, and where there are any number */
};

struct nb_descriptor {
        enum nb_descriptor_kind kind;
        uint8_t filetype;       /* WASI's; 0 where it has no name for it */
        bool shut_for_reading;  /* stream: the guest has shut down this direction */
        bool shut_for_writing;  /* or this one */
        bool reads_only;        /* stream: unidirectional, of the peer */
        bool writes_only;       /* stream: unidirectional, of the guest */
        uint16_t flags;         /* WASI's fdflags */
        uint16_t pending_error; /* stream: an errno of WASI's that the next call returns, as a socket's SO_ERROR */
        uint32_t poll_index;    /* where poll_oneoff last put it; a hint that is checked */
        uint32_t message_max;   /* stream of datagrams: the longest, in bytes; 0: what IP can carry */
        uint64_t rights_base;
        uint64_t rights_inheriting;
        union {
                int host_fd;                  /* stdio: borrowed; stream: owned */
                uint32_t engine_fd;           /* owned, but closed by who can call the engine */
                struct nb_protocol *protocol; /* one reference */
                struct nb_control *control;   /* owned */
        };
        union {
                struct nb_shared_connection *connection; /* connection, stream: one reference */
                struct nb_waiting *waiting;              /* control: owned; NULL: none (shim/wasi/waiting.h) */
        };
};

struct nb_table {
        struct nb_descriptor *slots;
        uint64_t *leaves;      /* a bit for each slot, set while it is free */
        uint64_t middle[64];   /* a bit for each leaf with a free slot */
        uint64_t top;          /* a bit for each word of `middle` that is not zero */
        uint32_t *engine_fds;  /* the engine's numbers of the slots that have one, in ascending order */
        uint32_t n_engine_fds; /* at most as many as there are slots */
        uint32_t capacity;     /* slots allocated: a multiple of 64 */
        uint32_t limit;        /* numbers are below it */
};

/** @return a connection without a stream and with one reference, owned by the caller, or NULL without memory. Consumes `connection` on success only. */
struct nb_shared_connection *nb_shared_connection_new(struct nb_connection *connection);

/** @return `shared`. */
struct nb_shared_connection *nb_shared_connection_ref(struct nb_shared_connection *shared);

/** Takes NULL. @return NULL. */
struct nb_shared_connection *nb_shared_connection_unref(struct nb_shared_connection *shared);

/** Gives back what the descriptor owns, and makes it free. An engine's descriptor is not closed here. */
void nb_descriptor_deinit(struct nb_descriptor *descriptor);

/** An empty table. @param limit  at most NB_TABLE_LIMIT_MAX */
void nb_table_init(struct nb_table *table, uint32_t limit);

/** Gives back all descriptors. Takes a table that is all zero. */
void nb_table_deinit(struct nb_table *table);

/** @return the descriptor of that number, borrowed, or NULL. */
struct nb_descriptor *nb_table_get(const struct nb_table *table, uint32_t number);

/** @return whether a descriptor of the engine is in the table under any number. */
bool nb_table_holds_engine_fd(const struct nb_table *table, uint32_t engine_fd);

/** Makes sure that the next nb_table_add() succeeds. @return 0, -EMFILE at the limit, or -ENOMEM. */
int nb_table_reserve(struct nb_table *table);

/**
 * Puts `descriptor` under the lowest free number.
 * @param descriptor  consumed on success
 * @return 0, -EMFILE at the limit, or -ENOMEM
 */
int nb_table_add(struct nb_table *table, const struct nb_descriptor *descriptor, uint32_t *ret);

/** Takes a descriptor out and frees its number. @return the descriptor, owned by the caller; a free one if there was none. */
struct nb_descriptor nb_table_remove(struct nb_table *table, uint32_t number);

/**
 * Moves the descriptor `from` to the number `to`; both are in the table, and not the same.
 * @return what was under `to`, owned by the caller
 */
struct nb_descriptor nb_table_move(struct nb_table *table, uint32_t from, uint32_t to);

#endif
