/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker's own sockets, which no rule of a policy reaches, in report mode neither.
 *
 * A tenant that could connect to the operator's socket, or to that of another tenant's sessions, would do so with the broker's credentials. So
 * every socket that the broker serves, or is served by (netbroker-helper(8)), is noted here, and looked for when a tenant asks for an address:
 *
 *      IP addresses   by address and port, in each of the forms that lead there
 *      Unix sockets   by name when a policy is asked, and by device and inode when a path is connected to: then it does not matter by
 *                     which path it was found (broker/unix_path.h). A relative path of our own is one of the folder that netbrokerd runs in
 *
 * A file of a socket that the broker serves cannot become another file while it is open, for the socket holds its inode. Of a socket that
 * others serve that is not known, so its path is looked at each time.
 */
#ifndef NB_BROKER_OWN_H
#define NB_BROKER_OWN_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/list.h"
#include "base/socket_address.h"
#include "policy/policy.h"

struct own_socket;

/** All of one broker's. */
struct own {
        struct nb_list sockets;
};

/** Makes an empty one. All that was added must be freed before it goes. */
void own_init(struct own *own);

/**
 * Notes a socket that the broker serves.
 * @param what  for messages, "the admin socket"; borrowed, lives as long as the broker
 * @param fd    bound; borrowed, and open until own_free()
 * @param path  where it is, if the kernel does not tell: of sockets that were bound by way of /proc; NULL: the kernel tells
 * @return owned by the caller, who frees it when the socket is closed; NULL without memory
 */
struct own_socket *own_add(struct own *own, const char *what, int fd, const char *path);

/** Notes a socket that another process serves for the broker, whether it is there yet or not. As own_add(). */
struct own_socket *own_add_path(struct own *own, const char *what, const char *path);

/** Says that a socket's file has another name now. */
void own_set_path(struct own_socket *socket, const char *path);

/** Notes an address that another process serves for the broker, which has no path. As own_add(). */
struct own_socket *own_add_address(struct own *own, const char *what, const struct nb_socket_address *address);

/** Says that a socket is a tenant's, and goes when that does. */
void own_set_tenants(struct own_socket *socket);

/** Calls a function for each that is no tenant's, with its path, which is empty where there is none. */
void own_each_lasting(const struct own *own,
                      void (*function)(void *data, const char *what, const struct nb_socket_address *address,
                                       const char *path),
                      void *data);

/** Takes NULL. @return NULL */
struct own_socket *own_free(struct own_socket *socket);

/**
 * Looks for the socket that a tenant would reach, or stand in the way of.
 * @param verb     POLICY_CONNECT or POLICY_LISTEN; no peer is refused for being one of them
 * @param address  as it is judged: what the tenant named, or what its name resolved to
 * @return what it is, for messages: "the admin socket"; NULL: none of them
 */
const char *own_find(const struct own *own, enum policy_verb verb, const struct nb_socket_address *address);

/** Makes a refusal of a verdict about such an address, whatever the policy has said. As own_find(). */
void own_refuse(const struct own *own, enum policy_verb verb, const struct nb_socket_address *address,
                struct policy_verdict *verdict);

/** As own_find(), for a file that a path has led to. */
const char *own_find_file(const struct own *own, const struct stat *file);

#endif
