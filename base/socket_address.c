/* SPDX-License-Identifier: Apache-2.0 */
#include "base/socket_address.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/utf8.h"

/* Where the name begins in the kernel's form. */
#define NAME_OFFSET offsetof(struct sockaddr_un, sun_path)

/* A path that fills sun_path has its NUL behind it, where the kernel tells of it (unix(7)). */
#define KERNEL_LENGTH_MAX (sizeof(struct sockaddr_un) + 1)

_Static_assert(NB_UNIX_NAME_MAX + 1 == sizeof(((struct sockaddr_un *)NULL)->sun_path), "a name and its NUL fit");

struct nb_socket_address nb_socket_address_of_ip(const struct nb_address *address) {
        return (struct nb_socket_address){ .family = address->ip.family, .ip = *address };
}

/* UTF-8 without C0, DEL and C1, which UTF-8 writes as 0xc2 and 0x80 to 0x9f. */
static bool is_printable(const char *text, size_t length) {
        const uint8_t *bytes = (const uint8_t *)text;

        if (!nb_utf8_is_text(bytes, length))
                return false;
        for (size_t i = 0; i < length; ++i)
                if (bytes[i] < 0x20 || bytes[i] == 0x7f || (bytes[i] == 0xc2 && bytes[i + 1] < 0xa0))
                        return false;
        return true;
}

static bool component_is_plain(const char *component, size_t length) {
        if (length == 0 || (length == 1 && component[0] == '.'))
                return false;
        return !(length == 2 && component[0] == '.' && component[1] == '.');
}

/* Whether each component behind a slash names something below it. */
static bool path_is_canonical(const char *path, size_t length) {
        size_t from = 1;

        for (size_t i = 1; i <= length; ++i) {
                if (i < length && path[i] != '/')
                        continue;
                if (!component_is_plain(path + from, i - from))
                        return false;
                from = i + 1;
        }
        return true;
}

int nb_unix_name_parse(const char *text, size_t length, struct nb_unix_name *ret) {
        bool abstract = length > 0 && text[0] == '@';

        if (length < 2 || length - abstract > NB_UNIX_NAME_MAX || !is_printable(text, length))
                return -EINVAL;
        if (!abstract && (text[0] != '/' || !path_is_canonical(text, length)))
                return -EINVAL;
        *ret = (struct nb_unix_name){ .abstract = abstract, .length = (uint8_t)(length - abstract) };
        memcpy(ret->text, text + abstract, ret->length);
        return 0;
}

int nb_socket_address_parse(const char *text, size_t length, struct nb_socket_address *ret) {
        struct nb_socket_address address = { .family = AF_UNIX };
        int r = 0;

        if (length > 0 && (text[0] == '/' || text[0] == '@')) {
                r = nb_unix_name_parse(text, length, &address.un);
        } else if (length > 0) {
                r = nb_address_parse(text, length, &address.ip);
                address.family = address.ip.ip.family;
        }
        if (r == 0)
                *ret = address;
        return r;
}

const char *nb_socket_address_format(const struct nb_socket_address *address,
                                     char buffer[static NB_SOCKET_ADDRESS_TEXT_MAX]) {
        if (address->family != AF_UNIX)
                return nb_address_format(&address->ip, buffer);
        (void)snprintf(buffer, NB_SOCKET_ADDRESS_TEXT_MAX, "%s%s", address->un.abstract ? "@" : "", address->un.text);
        return buffer;
}

/* The name of `length` bytes as the kernel has it: abstract behind a NUL, or a path, which a NUL may follow. */
static void take_name(const char *name, size_t length, struct nb_unix_name *ret) {
        char text[NB_UNIX_NAME_MAX + 1];

        if (length > 0 && length <= sizeof(text) && name[0] == '\0') {
                memcpy(text, name, length);
                text[0] = '@';
                (void)nb_unix_name_parse(text, length, ret);
        } else if (length > 0 && name[0] == '/') {
                (void)nb_unix_name_parse(name, strnlen(name, length), ret);
        }
}

int nb_socket_address_from_sockaddr(const struct sockaddr *sa, socklen_t length, struct nb_socket_address *ret) {
        struct nb_socket_address address = { .family = AF_UNIX };
        int r;

        if (length < sizeof(sa->sa_family))
                return -EINVAL;
        if (sa->sa_family == AF_UNIX) {
                if (length < NAME_OFFSET || length > KERNEL_LENGTH_MAX)
                        return -EINVAL;
                take_name(((const struct sockaddr_un *)(const void *)sa)->sun_path,
                          length <= sizeof(struct sockaddr_un) ? length - NAME_OFFSET : NB_UNIX_NAME_MAX + 1,
                          &address.un);
        } else {
                r = nb_address_from_sockaddr(sa, length, &address.ip);
                if (r < 0)
                        return r;
                address.family = address.ip.ip.family;
        }
        *ret = address;
        return 0;
}

static socklen_t unix_to_sockaddr(const struct nb_unix_name *name, struct sockaddr_storage *ret) {
        struct sockaddr_un *un = (struct sockaddr_un *)(void *)ret;

        *ret = (struct sockaddr_storage){ .ss_family = AF_UNIX };
        if (name->length == 0)
                return NAME_OFFSET;
        memcpy(un->sun_path + name->abstract, name->text, name->length);
        /* An abstract name is all bytes of the length; a path ends in a NUL, which the kernel adds if it must. */
        return (socklen_t)(NAME_OFFSET + name->length + 1u);
}

socklen_t nb_socket_address_to_sockaddr(const struct nb_socket_address *address, struct sockaddr_storage *ret) {
        if (address->family == AF_UNIX)
                return unix_to_sockaddr(&address->un, ret);
        return nb_address_to_sockaddr(&address->ip, ret);
}

bool nb_socket_address_is_open(const struct nb_socket_address *address) {
        if (address->family == AF_UNIX)
                return address->un.length == 0;
        return nb_ip_is_unspecified(&address->ip.ip) && address->ip.port == 0;
}

void nb_socket_address_unmap(struct nb_socket_address *address) {
        if (address->family == AF_UNIX)
                return;
        nb_ip_unmap(&address->ip.ip);
        address->family = address->ip.ip.family;
}

bool nb_socket_address_equal(const struct nb_socket_address *a, const struct nb_socket_address *b) {
        if (a->family != b->family)
                return false;
        if (a->family != AF_UNIX)
                return nb_address_equal(&a->ip, &b->ip);
        return a->un.abstract == b->un.abstract && a->un.length == b->un.length &&
               memcmp(a->un.text, b->un.text, a->un.length) == 0;
}
