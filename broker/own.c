/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/own.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "policy/explain.h"

struct own_socket {
        struct nb_list link;
        const char *what;
        struct nb_socket_address address; /* family 0: none that a tenant could name */
        char path[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];
        bool served_by_others;
        bool is_tenants;
        bool has_file; /* `device` and `inode` are those of its path */
        dev_t device;
        ino_t inode;
};

void own_init(struct own *own) {
        nb_list_init(&own->sockets);
}

static struct own_socket *add(struct own *own, const char *what) {
        struct own_socket *socket = calloc(1, sizeof(*socket));

        if (!socket)
                return NULL;
        socket->what = what;
        nb_list_append(&own->sockets, &socket->link);
        return socket;
}

/* @return whether it is written as a tenant would, who knows of no folder that we were started in */
static bool write_from_root(struct own_socket *socket, const char *path) {
        char folder[PATH_MAX];
        int n;

        if (path[0] == '/' || path[0] == '@' || !getcwd(folder, sizeof(folder)))
                return false;
        while (strncmp(path, "./", 2) == 0)
                path += 2;
        n = snprintf(socket->path, sizeof(socket->path), "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, path);
        return n > 0 && (size_t)n < sizeof(socket->path);
}

/* A path that no tenant could write in this way, `a/../x`, still leads to a file. */
void own_set_path(struct own_socket *socket, const char *path) {
        struct stat st;

        socket->address = (struct nb_socket_address){ .family = AF_UNIX };
        if (!write_from_root(socket, path))
                (void)snprintf(socket->path, sizeof(socket->path), "%s", path);
        (void)nb_unix_name_parse(socket->path, strlen(socket->path), &socket->address.un);
        if (stat(path, &st) < 0)
                return;
        socket->has_file = true;
        socket->device = st.st_dev;
        socket->inode = st.st_ino;
}

/* An address of no kind that we know is one that no tenant can ask for either. */
static void set_address_of(struct own_socket *socket, int fd) {
        struct sockaddr_storage sa = { 0 };
        socklen_t length = sizeof(sa);
        const struct sockaddr_un *un = (const struct sockaddr_un *)&sa;

        if (getsockname(fd, (struct sockaddr *)&sa, &length) < 0)
                return;
        if (sa.ss_family == AF_UNIX && length > offsetof(struct sockaddr_un, sun_path) && un->sun_path[0] == '/')
                own_set_path(socket, un->sun_path);
        else
                (void)nb_socket_address_from_sockaddr((struct sockaddr *)&sa, length, &socket->address);
}

struct own_socket *own_add(struct own *own, const char *what, int fd, const char *path) {
        struct own_socket *socket = add(own, what);

        if (socket && path)
                own_set_path(socket, path);
        else if (socket)
                set_address_of(socket, fd);
        return socket;
}

struct own_socket *own_add_path(struct own *own, const char *what, const char *path) {
        struct own_socket *socket = add(own, what);

        if (!socket)
                return NULL;
        own_set_path(socket, path);
        socket->served_by_others = true;
        return socket;
}

struct own_socket *own_add_address(struct own *own, const char *what, const struct nb_socket_address *address) {
        struct own_socket *socket = add(own, what);

        if (socket)
                socket->address = *address;
        return socket;
}

void own_set_tenants(struct own_socket *socket) {
        socket->is_tenants = true;
}

void own_each_lasting(const struct own *own,
                      void (*function)(void *data, const char *what, const struct nb_socket_address *address,
                                       const char *path),
                      void *data) {
        nb_list_foreach_safe(link, &own->sockets) {
                const struct own_socket *socket = nb_container_of(link, struct own_socket, link);

                if (!socket->is_tenants)
                        function(data, socket->what, &socket->address, socket->path);
        }
}

struct own_socket *own_free(struct own_socket *socket) {
        if (!socket)
                return NULL;
        nb_list_remove(&socket->link);
        free(socket);
        return NULL;
}

/* One spelling of an address for each place that it leads to. */
static struct nb_ip destination(const struct nb_ip *ip) {
        struct nb_ip plain = *ip;

        nb_ip_unmap(&plain);
        if (nb_ip_is_unspecified(&plain))
                nb_ip_set_loopback(&plain);
        return plain;
}

static bool is_loopback(const struct nb_ip *ip) {
        struct nb_ip loopback = { .family = ip->family };

        nb_ip_set_loopback(&loopback);
        return ip->family == AF_INET ? ip->bytes[0] == loopback.bytes[0] : nb_ip_equal(ip, &loopback);
}

/* Of a socket that is bound to all addresses, those of the loopback interface are known to lead to it. */
static bool leads_to(const struct nb_ip *own, const struct nb_ip *asked) {
        struct nb_ip plain = destination(asked), embedded;

        if (nb_ip_is_unspecified(own))
                return is_loopback(&plain);
        if (nb_ip_equal(own, &plain))
                return true;
        return nb_ip_embedded_ipv4(&plain, &embedded) && nb_ip_equal(own, &embedded);
}

/* Whether a socket that is bound to `asked` would take what is meant for us, or hinder us from coming back. */
static bool stands_in_the_way(const struct nb_ip *own, const struct nb_ip *asked) {
        struct nb_ip plain = *asked;

        nb_ip_unmap(&plain);
        return nb_ip_equal(own, &plain) || nb_ip_is_unspecified(own) || nb_ip_is_unspecified(&plain);
}

static bool is_ip(const struct own_socket *socket, enum policy_verb verb, const struct nb_address *asked) {
        const struct nb_address *own = &socket->address.ip;

        if (own->port != asked->port)
                return false;
        return verb == POLICY_CONNECT ? leads_to(&own->ip, &asked->ip) : stands_in_the_way(&own->ip, &asked->ip);
}

static bool is_name(const struct own_socket *socket, const struct nb_unix_name *asked) {
        const struct nb_unix_name *own = &socket->address.un;

        return own->length > 0 && own->abstract == asked->abstract && own->length == asked->length &&
               memcmp(own->text, asked->text, own->length) == 0;
}

static bool is_at(const struct own_socket *socket, enum policy_verb verb, const struct nb_socket_address *asked) {
        if (asked->family == AF_UNIX)
                return socket->address.family == AF_UNIX && is_name(socket, &asked->un);
        return (socket->address.family == AF_INET || socket->address.family == AF_INET6) &&
               is_ip(socket, verb, &asked->ip);
}

const char *own_find(const struct own *own, enum policy_verb verb, const struct nb_socket_address *address) {
        if (verb == POLICY_ACCEPT)
                return NULL;
        nb_list_foreach_safe(link, &own->sockets) {
                const struct own_socket *socket = nb_container_of(link, struct own_socket, link);

                if (is_at(socket, verb, address))
                        return socket->what;
        }
        return NULL;
}

static bool is_file(const struct own_socket *socket, const struct stat *file) {
        struct stat now;

        if (!socket->served_by_others)
                return socket->has_file && socket->device == file->st_dev && socket->inode == file->st_ino;
        return stat(socket->path, &now) == 0 && now.st_dev == file->st_dev && now.st_ino == file->st_ino;
}

void own_refuse(const struct own *own, enum policy_verb verb, const struct nb_socket_address *address,
                struct policy_verdict *verdict) {
        const char *what = own_find(own, verb, address);
        char text[NB_SOCKET_ADDRESS_TEXT_MAX];

        if (!what)
                return;
        *verdict = (struct policy_verdict){ .allowed = false, .impossible = true };
        (void)snprintf(verdict->reason, sizeof(verdict->reason), "%s %s: no rule reaches %s of netbrokerd",
                       policy_verb_name(verb), nb_socket_address_format(address, text), what);
}

const char *own_find_file(const struct own *own, const struct stat *file) {
        nb_list_foreach_safe(link, &own->sockets) {
                const struct own_socket *socket = nb_container_of(link, struct own_socket, link);

                if (is_file(socket, file))
                        return socket->what;
        }
        return NULL;
}
