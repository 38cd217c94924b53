/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/posix/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "guest/posix/placeholder.h"

/* Objects that were compiled with wasi-libc's headers have these sizes and this alignment. */
_Static_assert(sizeof(struct sockaddr) == 16 && _Alignof(struct sockaddr) == _Alignof(max_align_t), "wasi-libc's");
_Static_assert(sizeof(struct sockaddr_in) == 16 && _Alignof(struct sockaddr_in) == _Alignof(max_align_t),
               "wasi-libc's");
_Static_assert(sizeof(struct sockaddr_in6) == 32 && _Alignof(struct sockaddr_in6) == _Alignof(max_align_t),
               "wasi-libc's");

/* The longest path or abstract name that the host takes. */
#define UN_NAME_MAX 107

static int finish(struct nb_posix_target *target, int length) {
        if (length < 0 || (size_t)length >= sizeof(target->text))
                return EINVAL;
        target->length = (size_t)length;
        return 0;
}

/* A placeholder's text. What is no host name has no placeholder. */
static int format_name(uint32_t placeholder, uint16_t port, struct nb_posix_target *ret) {
        ret->placeholder = placeholder;
        ret->port = port;
        return finish(ret, snprintf(ret->text, sizeof(ret->text), "%s:%u", nb_posix_placeholder_name(placeholder),
                                    (unsigned)ntohs(port)));
}

static int format_in(const struct sockaddr *address, socklen_t length, struct nb_posix_target *ret) {
        char ip[INET_ADDRSTRLEN];
        struct sockaddr_in in;
        uint32_t placeholder;

        if (length < sizeof(in))
                return EINVAL;
        memcpy(&in, address, sizeof(in));
        placeholder = nb_posix_placeholder_of_in(in.sin_addr);
        if (placeholder)
                return format_name(placeholder, in.sin_port, ret);
        (void)inet_ntop(AF_INET, &in.sin_addr, ip, sizeof(ip));
        return finish(ret, snprintf(ret->text, sizeof(ret->text), "%s:%u", ip, (unsigned)ntohs(in.sin_port)));
}

static int format_in6(const struct sockaddr *address, socklen_t length, struct nb_posix_target *ret) {
        char ip[INET6_ADDRSTRLEN];
        struct sockaddr_in6 in6 = { 0 };
        uint32_t placeholder;

        /* RFC 2133 had no scope; and wasi-libc's structure ends in padding that no program knows of. */
        if (length < offsetof(struct sockaddr_in6, sin6_scope_id))
                return EINVAL;
        memcpy(&in6, address, length < sizeof(in6) ? length : sizeof(in6));
        placeholder = nb_posix_placeholder_of_in6(&in6.sin6_addr);
        if (placeholder)
                return format_name(placeholder, in6.sin6_port, ret);
        if (in6.sin6_scope_id != 0 && IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr)) /* the host has no zones */
                return EINVAL;
        (void)inet_ntop(AF_INET6, &in6.sin6_addr, ip, sizeof(ip));
        return finish(ret, snprintf(ret->text, sizeof(ret->text), "[%s]:%u", ip, (unsigned)ntohs(in6.sin6_port)));
}

static int format_un(const struct sockaddr *address, socklen_t length, struct nb_posix_target *ret) {
        const char *name = (const char *)address + NB_POSIX_UN_HEADER;
        const size_t most = sizeof(((struct sockaddr_un *)NULL)->sun_path);
        size_t n = length - NB_POSIX_UN_HEADER;
        bool abstract;

        if (length < NB_POSIX_UN_HEADER || length > sizeof(struct sockaddr_un))
                return EINVAL;
        /* Programs pass the structure's size, which has padding behind the name. */
        if (n > most)
                n = most;
        if (n == 0)
                return finish(ret, 0);
        abstract = name[0] == '\0';
        if (abstract) {
                ++name;
                --n;
        } else {
                n = strnlen(name, n);
        }
        /* A path is the host's and begins at its root; a guest has no folder there that it could be relative to. */
        if (n == 0 || n > UN_NAME_MAX || (!abstract && name[0] != '/') || memchr(name, '\0', n))
                return EINVAL;
        return finish(ret, snprintf(ret->text, sizeof(ret->text), "%s%.*s", abstract ? "@" : "", (int)n, name));
}

int nb_posix_address_format(const struct sockaddr *address, socklen_t length, int family, struct nb_posix_target *ret) {
        sa_family_t actual;

        if (!address || length < sizeof(actual))
                return EINVAL;
        memcpy(&actual, &address->sa_family, sizeof(actual));
        if (family != AF_UNSPEC && actual != family)
                return EAFNOSUPPORT;
        ret->placeholder = 0;
        switch (actual) {
        case AF_INET:
                return format_in(address, length, ret);
        case AF_INET6:
                return format_in6(address, length, ret);
        case AF_UNIX:
                return format_un(address, length, ret);
        default:
                return EAFNOSUPPORT;
        }
}

/* The port behind the last colon, in network order. @return whether there is one; `text` ends with a NUL */
static bool split_port(char *text, uint16_t *ret) {
        char *colon = strrchr(text, ':');
        uint32_t port = 0;

        if (!colon || colon[1] == '\0')
                return false;
        for (const char *digit = colon + 1; *digit; ++digit) {
                if (*digit < '0' || *digit > '9')
                        return false;
                port = port * 10 + (uint32_t)(*digit - '0');
                if (port > UINT16_MAX)
                        return false;
        }
        *colon = '\0';
        *ret = htons((uint16_t)port);
        return true;
}

static socklen_t parse_in6(char *text, uint16_t port, struct sockaddr_storage *ret) {
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = port };
        size_t length = strlen(text);

        if (length < 2 || text[length - 1] != ']')
                return 0;
        text[length - 1] = '\0';
        if (inet_pton(AF_INET6, text + 1, &in6.sin6_addr) != 1)
                return 0;
        memcpy(ret, &in6, sizeof(in6));
        return sizeof(in6);
}

static socklen_t parse_ip(const char *text, size_t length, struct sockaddr_storage *ret) {
        struct sockaddr_in in = { .sin_family = AF_INET };
        char copy[INET6_ADDRSTRLEN + sizeof("[]:65535")];
        uint16_t port;

        if (length >= sizeof(copy))
                return 0;
        memcpy(copy, text, length);
        copy[length] = '\0';
        if (!split_port(copy, &port))
                return 0;
        if (copy[0] == '[')
                return parse_in6(copy, port, ret);
        in.sin_port = port;
        if (inet_pton(AF_INET, copy, &in.sin_addr) != 1)
                return 0;
        memcpy(ret, &in, sizeof(in));
        return sizeof(in);
}

static socklen_t parse_un(const char *text, size_t length, struct sockaddr_storage *ret) {
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        bool abstract = length > 0 && text[0] == '@';

        if (length > sizeof(un.sun_path) - 1)
                return 0;
        if (length == 0) {
                memcpy(ret, &un, sizeof(un));
                return NB_POSIX_UN_HEADER;
        }
        memcpy(un.sun_path, text, length);
        if (abstract)
                un.sun_path[0] = '\0';
        memcpy(ret, &un, sizeof(un));
        return NB_POSIX_UN_HEADER + length + (abstract ? 0 : 1);
}

socklen_t nb_posix_address_parse(const char *text, size_t length, struct sockaddr_storage *ret) {
        if (length == 0 || text[0] == '/' || text[0] == '@')
                return parse_un(text, length, ret);
        return parse_ip(text, length, ret);
}

socklen_t nb_posix_address_of_placeholder(int family, uint32_t placeholder, uint16_t port,
                                          struct sockaddr_storage *ret) {
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = port };
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = port };

        if (family == AF_INET) {
                in.sin_addr = nb_posix_placeholder_in(placeholder);
                memcpy(ret, &in, sizeof(in));
                return sizeof(in);
        }
        in6.sin6_addr = nb_posix_placeholder_in6(placeholder);
        memcpy(ret, &in6, sizeof(in6));
        return sizeof(in6);
}

void nb_posix_address_store(const struct sockaddr_storage *address, socklen_t length, struct sockaddr *buffer,
                            socklen_t *buffer_length) {
        if (!buffer || !buffer_length)
                return;
        memcpy(buffer, address, length < *buffer_length ? length : *buffer_length);
        *buffer_length = length;
}
