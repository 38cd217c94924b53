/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unix sockets that have a path.
 *
 * The policy grants names, and others may own folders on the way: a link or a folder that is put there between the look and the use must
 * not lead to another place. So a path is resolved once, by openat2(2) from the root without following a link in any component, into an
 * O_PATH descriptor; connect(2) and bind(2), which take nothing but paths, then get that descriptor's entry in /proc/self/fd. What was
 * resolved is what is used, whatever is renamed meanwhile.
 *
 *      connect   resolve /run/app/db.sock, is it a socket and none of the broker's own, connect to /proc/self/fd/N
 *      bind      resolve the folder /run/app, bind to /proc/self/fd/N/db.sock; the kernel follows no link there and replaces nothing
 *      remove    resolve the folder again, compare device and inode with what was made, unlinkat(2)
 *
 * A name that is there already stays, as for POSIX's bind(), also when nobody serves it any more: a socket that is bound and does not
 * listen yet looks the same, and it may be another tenant's.
 */
#ifndef NB_BROKER_UNIX_PATH_H
#define NB_BROKER_UNIX_PATH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/socket_address.h"

/** A name in the file system that a bind has made. */
struct unix_file;

struct own;

/**
 * Connects.
 * @param fd    a non-blocking Unix socket, borrowed
 * @param name  a path
 * @param own   the sockets that nobody may connect to, borrowed
 * @return 0, or -errno of connect(2): -EAGAIN the backlog is full; or of the path: -ELOOP one of its components is a link, -EREMOTEIO it is
 *         one of the broker's own
 */
int unix_path_connect(int fd, const struct nb_unix_name *name, const struct own *own);

/**
 * Binds.
 * @param fd    a Unix socket, borrowed; as long as it is open nobody else's file gets its inode's number
 * @param name  a path
 * @param mode  of the file, 0 to 0777, whatever the umask is
 * @param ret   owned by the caller
 * @return 0, or -errno of bind(2) or the path, as above; -ENAMETOOLONG also where /proc's form of a short path is too long
 */
int unix_path_bind(int fd, const struct nb_unix_name *name, mode_t mode, struct unix_file **ret);

/** Whether a socket's name is by way of /proc, as the names of those are that unix_path_bind() has bound: it says nothing to others. */
bool unix_path_is_by_proc(const struct nb_unix_name *name);

/**
 * Whether a name can be taken by a socket of the broker's own: there is nothing, or a socket that nobody serves.
 * @return 0; -EADDRINUSE it is served; -EEXIST there is another kind of file; another -errno of the path
 */
int unix_path_check_free(const struct nb_unix_name *name);

/** Removes what is there if the name can be taken. @return as unix_path_check_free() */
int unix_path_remove_stale(const struct nb_unix_name *name);

/**
 * Gives the file to a user and group, unless another file has taken its name.
 * @param uid  -1: as it is
 * @param gid  -1: as it is
 * @return 0 or -errno: -EPERM without the privilege, -ESTALE it is another file now
 */
int unix_file_give(const struct unix_file *file, uid_t uid, gid_t gid);

/**
 * Gives the file another name in its folder, in place of what is there.
 * @param last  the new last component
 * @return 0 or -errno; -ESTALE when another file has taken its name
 */
int unix_file_rename(struct unix_file *file, const char *last);

/** @return its name at the moment, borrowed */
const struct nb_unix_name *unix_file_name(const struct unix_file *file);

/** What the file is known by, for a broker that comes later (broker/keep.h). */
void unix_file_identify(const struct unix_file *file, uint64_t *ret_device, uint64_t *ret_inode);

/**
 * Takes a file over that an earlier broker has made. The socket that was bound must be open, so that its inode's number is nobody else's.
 * @param text  its path
 * @return owned by the caller, or -errno
 */
int unix_file_take_over(const char *text, uint64_t device, uint64_t inode, struct unix_file **ret);

/** Frees it, and leaves the file where it is. Takes NULL. @return NULL */
struct unix_file *unix_file_leave(struct unix_file *file);

/** Removes the name if it is still what was made. Takes NULL. @return NULL */
struct unix_file *unix_file_free(struct unix_file *file);

#endif
