/* SPDX-License-Identifier: Apache-2.0 */
/*
 * getaddrinfo(). Numbers are themselves, `localhost` is loopback (RFC 6761 section 6.3), and any other name is a placeholder for it:
 * nothing is looked up here, see placeholder.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "guest/posix/placeholder.h"
#include "guest/posix/protocol.h"
#include "guest/posix/service.h"

#define FLAGS (AI_PASSIVE | AI_CANONNAME | AI_NUMERICHOST | AI_V4MAPPED | AI_ALL | AI_ADDRCONFIG | AI_NUMERICSERV)

/* RFC 1035 section 2.3.4, as text without the final dot. */
#define NAME_MAX_LENGTH 253
#define LABEL_MAX_LENGTH 63

/* One result, and the address it points to, in one allocation. */
struct result {
        struct addrinfo info;
        union {
                struct sockaddr any;
                struct sockaddr_in in;
                struct sockaddr_in6 in6;
        } address;
};

/* What is asked for, and the list as far as it is made. */
struct query {
        const char *host; /* NULL: none */
        const char *service;
        int flags;
        int family;
        int type;
        int protocol;
        const char *canonical_name; /* of the first result; NULL: not asked for */
        struct addrinfo *first;
        struct addrinfo **next;
};

/* An address of either family. */
struct candidate {
        int family;
        struct in_addr in;
        struct in6_addr in6;
};

/* ---- the list ---- */

/* Kinds of socket in the order in which they are listed. */
static const struct {
        int type;
        int protocol;
        const char *name;
} kinds[] = {
        { SOCK_STREAM, IPPROTO_TCP, "tcp" },
        { SOCK_DGRAM, IPPROTO_UDP, "udp" },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static bool wants_kind(const struct query *query, size_t kind) {
        return (query->type == 0 || query->type == kinds[kind].type) &&
               (query->protocol == 0 || query->protocol == kinds[kind].protocol);
}

static void fill_address(struct result *result, const struct candidate *candidate, uint16_t port) {
        struct addrinfo *info = &result->info;

        info->ai_family = candidate->family;
        info->ai_addr = &result->address.any;
        if (candidate->family == AF_INET) {
                result->address.in = (struct sockaddr_in){
                        .sin_family = AF_INET,
                        .sin_port = htons(port),
                        .sin_addr = candidate->in,
                };
                info->ai_addrlen = sizeof(result->address.in);
        } else {
                result->address.in6 = (struct sockaddr_in6){
                        .sin6_family = AF_INET6,
                        .sin6_port = htons(port),
                        .sin6_addr = candidate->in6,
                };
                info->ai_addrlen = sizeof(result->address.in6);
        }
}

static int add_result(struct query *query, const struct candidate *candidate, size_t kind, uint16_t port) {
        struct result *result = calloc(1, sizeof(*result));

        if (!result)
                return EAI_MEMORY;
        fill_address(result, candidate, port);
        result->info.ai_flags = query->flags;
        result->info.ai_socktype = kinds[kind].type;
        result->info.ai_protocol = kinds[kind].protocol;
        *query->next = &result->info;
        query->next = &result->info.ai_next;
        if (!query->canonical_name)
                return 0;
        result->info.ai_canonname = strdup(query->canonical_name);
        query->canonical_name = NULL;
        return result->info.ai_canonname ? 0 : EAI_MEMORY;
}

/* The port of a service for a kind of socket. @return whether there is one */
static bool find_port(const struct query *query, size_t kind, uint16_t *ret) {
        const struct nb_posix_service *service;

        *ret = 0;
        if (!query->service || nb_posix_port_parse(query->service, ret))
                return true;
        if (query->flags & AI_NUMERICSERV)
                return false;
        service = nb_posix_service_by_name(query->service, kinds[kind].name);
        if (service)
                *ret = service->port;
        return service;
}

/* Lists an address for each kind of socket that is wanted and has the service. */
static int add_candidate(struct query *query, const struct candidate *candidate) {
        int error;

        if (query->family != AF_UNSPEC && query->family != candidate->family)
                return 0;
        for (size_t i = 0; i < N_KINDS; ++i) {
                uint16_t port;

                if (!wants_kind(query, i) || !find_port(query, i, &port))
                        continue;
                error = add_result(query, candidate, i, port);
                if (error)
                        return error;
        }
        return 0;
}

static int add_both(struct query *query, const struct candidate *first, const struct candidate *second) {
        int error = add_candidate(query, first);

        return error ? error : add_candidate(query, second);
}

/* ---- hosts ---- */

/* No host: the own one, for a server all of its addresses. */
static int add_own(struct query *query) {
        bool passive = query->flags & AI_PASSIVE;
        struct candidate in = {
                .family = AF_INET,
                .in = { .s_addr = htonl(passive ? INADDR_ANY : INADDR_LOOPBACK) },
        };
        struct candidate in6 = { .family = AF_INET6, .in6 = passive ? in6addr_any : in6addr_loopback };

        /* In both cases as Linux lists them. */
        return passive ? add_both(query, &in, &in6) : add_both(query, &in6, &in);
}

static bool is_localhost(const char *host) {
        static const char name[] = "localhost";
        size_t length = strlen(host);
        size_t n = sizeof(name) - 1;

        if (length > 0 && host[length - 1] == '.')
                --length;
        if (length < n || strncasecmp(host + length - n, name, n) != 0)
                return false;
        return length == n || host[length - n - 1] == '.';
}

/*
 * Whether a text can be a host name: labels of letters, digits, hyphens and underscores. What the host would refuse to read is better
 * refused where a program expects it.
 */
static bool is_name(const char *host) {
        size_t label = 0;
        size_t i;

        for (i = 0; host[i]; ++i) {
                char c = host[i];

                if (i == NAME_MAX_LENGTH + 1)
                        return false;
                if (c == '.') {
                        if (label == 0)
                                return false;
                        label = 0;
                        continue;
                }
                if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '-' &&
                    c != '_')
                        return false;
                if (++label > LABEL_MAX_LENGTH)
                        return false;
        }
        return i > 0 && (i <= NAME_MAX_LENGTH || label == 0);
}

/* The broker chooses among a name's addresses; the family only decides which socket asks. IPv4 is what most names have. */
static int add_name(struct query *query) {
        uint32_t number;
        struct candidate in = { .family = AF_INET };
        struct candidate in6 = { .family = AF_INET6 };

        if (query->flags & AI_NUMERICHOST || !is_name(query->host))
                return EAI_NONAME;
        number = nb_posix_placeholder(query->host);
        if (!number)
                return EAI_MEMORY;
        in.in = nb_posix_placeholder_in(number);
        in6.in6 = nb_posix_placeholder_in6(number);
        return add_both(query, &in, &in6);
}

static struct candidate mapped(struct in_addr in) {
        struct candidate candidate = { .family = AF_INET6 };

        candidate.in6.s6_addr[10] = 0xff;
        candidate.in6.s6_addr[11] = 0xff;
        memcpy(candidate.in6.s6_addr + 12, &in, sizeof(in));
        return candidate;
}

static int add_host(struct query *query) {
        struct candidate candidate;

        if (!query->host)
                return add_own(query);
        if (inet_aton(query->host, &candidate.in)) {
                candidate.family = AF_INET;
                if (query->family == AF_INET6 && (query->flags & AI_V4MAPPED))
                        candidate = mapped(candidate.in);
                return add_candidate(query, &candidate);
        }
        if (inet_pton(AF_INET6, query->host, &candidate.in6) == 1) {
                candidate.family = AF_INET6;
                return add_candidate(query, &candidate);
        }
        if (is_localhost(query->host) && !(query->flags & AI_NUMERICHOST)) {
                query->flags &= ~AI_PASSIVE;
                return add_own(query);
        }
        return add_name(query);
}

/* ---- the question ---- */

/* AI_ADDRCONFIG: a family counts if a protocol of the host has it. @return the only one that does, or AF_UNSPEC for both or none */
static int configured_family(void) {
        static const int families[] = { AF_INET, AF_INET6 };
        int found = AF_UNSPEC;

        for (size_t i = 0; i < 2; ++i) {
                int fd;

                if (nb_posix_open(families[i], SOCK_STREAM, false, &fd))
                        continue;
                (void)close(fd);
                found = found == AF_UNSPEC ? families[i] : AF_UNSPEC;
        }
        return found;
}

static int check(struct query *query) {
        bool kind = false;
        uint16_t port;

        if (!query->host && !query->service)
                return EAI_NONAME;
        if (query->flags & ~FLAGS || (query->flags & AI_CANONNAME && !query->host))
                return EAI_BADFLAGS;
        if (query->family != AF_UNSPEC && query->family != AF_INET && query->family != AF_INET6)
                return EAI_FAMILY;
        for (size_t i = 0; i < N_KINDS; ++i)
                kind |= wants_kind(query, i);
        if (!kind)
                return EAI_SOCKTYPE;
        for (size_t i = 0; i < N_KINDS; ++i) {
                if (wants_kind(query, i) && find_port(query, i, &port))
                        return 0;
        }
        return query->flags & AI_NUMERICSERV ? EAI_NONAME : EAI_SERVICE;
}

static int ask(struct query *query) {
        int error = check(query);

        if (error)
                return error;
        if (query->flags & AI_CANONNAME)
                query->canonical_name = query->host;
        if (query->flags & AI_ADDRCONFIG && query->family == AF_UNSPEC)
                query->family = configured_family();
        error = add_host(query);
        if (error)
                return error;
        return query->first ? 0 : EAI_NONAME;
}

int getaddrinfo(const char *restrict host, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict ret) {
        struct query query = { .host = host, .service = service, .next = &query.first };
        int error;

        if (hints) {
                query.flags = hints->ai_flags;
                query.family = hints->ai_family;
                query.type = hints->ai_socktype;
                query.protocol = hints->ai_protocol;
        }
        error = ask(&query);
        if (error) {
                freeaddrinfo(query.first);
                return error;
        }
        *ret = query.first;
        return 0;
}

void freeaddrinfo(struct addrinfo *info) {
        while (info) {
                struct addrinfo *next = info->ai_next;

                free(info->ai_canonname);
                free(info);
                info = next;
        }
}

const char *gai_strerror(int error) {
        switch (error) {
        case EAI_BADFLAGS:
                return "Invalid flags";
        case EAI_NONAME:
                return "Name does not resolve";
        case EAI_AGAIN:
                return "Try again";
        case EAI_FAIL:
                return "Non-recoverable error";
        case EAI_NODATA:
                return "Name has no usable address";
        case EAI_FAMILY:
                return "Unrecognized address family or invalid length";
        case EAI_SOCKTYPE:
                return "Unrecognized socket type";
        case EAI_SERVICE:
                return "Unrecognized service";
        case EAI_MEMORY:
                return "Out of memory";
        case EAI_SYSTEM:
                return "System error";
        case EAI_OVERFLOW:
                return "Overflow";
        default:
                return "Unknown error";
        }
}
