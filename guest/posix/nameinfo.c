/* SPDX-License-Identifier: Apache-2.0 */
/*
 * getnameinfo(): numbers, and the names of placeholders. Nothing is looked up: what an address is called, only its owner says.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "guest/posix/placeholder.h"
#include "guest/posix/service.h"

/* An address taken apart. */
struct parts {
        char number[INET6_ADDRSTRLEN];
        const char *name; /* NULL: it has none */
        uint16_t port;
};

static int take_apart(const struct sockaddr *address, socklen_t length, struct parts *ret) {
        struct sockaddr_in6 in6 = { 0 };
        struct sockaddr_in in;

        if (length >= sizeof(in) && address->sa_family == AF_INET) {
                memcpy(&in, address, sizeof(in));
                ret->port = ntohs(in.sin_port);
                ret->name = nb_posix_placeholder_name(nb_posix_placeholder_of_in(in.sin_addr));
                (void)inet_ntop(AF_INET, &in.sin_addr, ret->number, sizeof(ret->number));
                return 0;
        }
        if (length >= offsetof(struct sockaddr_in6, sin6_scope_id) && address->sa_family == AF_INET6) {
                memcpy(&in6, address, length < sizeof(in6) ? length : sizeof(in6));
                ret->port = ntohs(in6.sin6_port);
                ret->name = nb_posix_placeholder_name(nb_posix_placeholder_of_in6(&in6.sin6_addr));
                (void)inet_ntop(AF_INET6, &in6.sin6_addr, ret->number, sizeof(ret->number));
                return 0;
        }
        return EAI_FAMILY;
}

static int store(const char *text, char *buffer, socklen_t size) {
        size_t length = strlen(text);

        if (!buffer || size == 0)
                return 0;
        if (length >= size)
                return EAI_OVERFLOW;
        memcpy(buffer, text, length + 1);
        return 0;
}

static int store_port(uint16_t port, int flags, char *buffer, socklen_t size) {
        const struct nb_posix_service *service = NULL;
        char digits[sizeof("65535")];

        if (!(flags & NI_NUMERICSERV))
                service = nb_posix_service_by_port(port, flags & NI_DGRAM ? "udp" : "tcp");
        if (service)
                return store(service->name, buffer, size);
        (void)snprintf(digits, sizeof(digits), "%u", (unsigned)port);
        return store(digits, buffer, size);
}

int getnameinfo(const struct sockaddr *restrict address, socklen_t length, char *restrict host, socklen_t host_size,
                char *restrict service, socklen_t service_size, int flags) {
        struct parts parts;
        const char *name;
        int error;

        error = take_apart(address, length, &parts);
        if (error)
                return error;
        name = flags & NI_NUMERICHOST ? NULL : parts.name;
        if (!name && (flags & NI_NAMEREQD))
                return EAI_NONAME;
        error = store(name ? name : parts.number, host, host_size);
        return error ? error : store_port(parts.port, flags, service, service_size);
}
