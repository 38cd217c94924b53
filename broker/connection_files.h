/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether somebody still holds what was handed out, without a duplicate of it.
 *
 * An epoll instance has no reference to a file that is added to it, and the entry goes with the last descriptor of that file, wherever in the
 * system it is: with the holder, with an accomplice, or in flight. Who holds the file cannot take the entry out, for that takes our
 * epoll descriptor. So each connection is added to an instance that nobody waits on, with its cookie as its data, and the list of what is
 * still in it can be read from /proc/self/fdinfo (proc(5)). What the kernel lists there is held; what it does not list is closed. Unlike
 * a dump by sock_diag it knows sockets that their holder has disconnected as well, and Unix sockets.
 *
 * The list is written at once and takes 1.5 us a file, so a tenant has shelves: instances of a thousand files at most. A tenant
 * always has one, so that the first connection takes no descriptor.
 *
 * Shelves are left with the keeper, and come back with what is on them: an entry needs neither us nor the file's descriptor. Which of them are still held
 * the next broker reads as this one does, and the ledger (broker/ledger.h) says what they are.
 */
#ifndef NB_BROKER_CONNECTION_FILES_H
#define NB_BROKER_CONNECTION_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "broker/keep.h"

/** The most files of one shelf. */
#define CONNECTION_SHELF_MAX 1024

struct connection;
struct tenant;

struct connection_shelf {
        struct nb_list link; /* in its tenant */
        struct kept kept;
        struct tenant *tenant;      /* borrowed */
        uint64_t number;            /* in its tenant, as the ledger has it; never 0 */
        struct nb_list connections; /* on it */
        uint32_t n;
        bool was_restored; /* an earlier broker has left it */
        uint64_t sweep;    /* the last one that has looked at it (broker/connection_watch.h) */
        int epoll_fd;
};

/** Gets the cookie of a file that is still held. */
typedef void (*connection_file_function)(void *data, uint64_t cookie);

/** Makes a tenant's first shelf. Its list of them (`holding.shelves`) is empty. @return 0 or -errno */
int connection_files_init(struct tenant *tenant);

/** Frees all shelves of a tenant, on which nothing may be any more. */
void connection_files_deinit(struct tenant *tenant);

/**
 * Takes a shelf back that an earlier broker has left; what is on it is found by connection_files_put_back(). Of two with one number the first is it: the other
 * is the empty one of a broker that was killed while it took back, and is left to be forgotten.
 * @param item  whose descriptor is taken
 * @return 0; -EPROTO for one that is none; another -errno
 */
int shelf_restore(struct tenant *tenant, struct kept_item *item);

/** Counts a file that is on a shelf already. @return the shelf; NULL: there is none of that number */
struct connection_shelf *connection_files_put_back(struct tenant *tenant, uint64_t number);

/** Frees shelves that came back and have nothing on them, but for the last. */
void connection_files_tidy(struct tenant *tenant);

/**
 * Puts a file on a shelf of the tenant's.
 * @param fd      borrowed
 * @param cookie  the data that connection_shelf_list() gives back
 * @return 0, or -errno: -ENOSPC when this user may have no more such entries (fs.epoll.max_user_watches)
 */
int connection_files_add(struct tenant *tenant, int fd, uint64_t cookie, struct connection_shelf **ret);

/** Takes a file off whose last descriptor is closed, or is closed next. Frees the shelf if it is empty and not the last. */
void connection_files_remove(struct connection_shelf *shelf);

/** Takes a file off that lives on. @param fd  the descriptor that it was added with, borrowed */
void connection_files_withdraw(struct connection_shelf *shelf, int fd);

/**
 * Calls the function for each file of a shelf that is still held.
 * @return 0 when all were listed; -errno when the list could not be read: then nothing is known of those that the function was not called for
 */
int connection_shelf_list(const struct connection_shelf *shelf, connection_file_function function, void *data);

#endif
