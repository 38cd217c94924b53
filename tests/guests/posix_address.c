/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_address: getaddrinfo(), getnameinfo() and the functions of <arpa/inet.h>, as far as nobody is asked.
 */
#include "tests/guests/posix.h"

static const char *gai_name(int error) {
        switch (error) {
        case 0:
                return "ok";
        case EAI_BADFLAGS:
                return "EAI_BADFLAGS";
        case EAI_FAMILY:
                return "EAI_FAMILY";
        case EAI_NONAME:
                return "EAI_NONAME";
        case EAI_SERVICE:
                return "EAI_SERVICE";
        case EAI_SOCKTYPE:
                return "EAI_SOCKTYPE";
        case EAI_OVERFLOW:
                return "EAI_OVERFLOW";
        default:
                return gai_strerror(error);
        }
}

static void show_info(const struct addrinfo *info) {
        char host[64], service[32];

        CHECK(getnameinfo(info->ai_addr, info->ai_addrlen, host, sizeof(host), service, sizeof(service),
                          NI_NUMERICHOST | NI_NUMERICSERV) == 0);
        CHECK(info->ai_addr->sa_family == info->ai_family);
        printf("    %s port %s %s protocol %d%s%s\n", host, service,
               info->ai_socktype == SOCK_STREAM  ? "stream"
               : info->ai_socktype == SOCK_DGRAM ? "dgram"
                                                 : "?",
               info->ai_protocol, info->ai_canonname ? " called " : "", info->ai_canonname ? info->ai_canonname : "");
}

static void ask(const char *host, const char *service, int flags, int family, int type) {
        struct addrinfo hints = { .ai_flags = flags, .ai_family = family, .ai_socktype = type };
        struct addrinfo *info = NULL;
        int error = getaddrinfo(host, service, &hints, &info);

        printf("%s %s: %s\n", host ? host : "-", service ? service : "-", gai_name(error));
        if (error)
                return;
        for (const struct addrinfo *i = info; i; i = i->ai_next)
                show_info(i);
        freeaddrinfo(info);
}

static void numbers(void) {
        ask("192.0.2.1", "80", 0, AF_UNSPEC, SOCK_STREAM);
        ask("192.0.2.1", "http", 0, AF_UNSPEC, SOCK_STREAM);
        ask("192.0.2.1", "imap", 0, AF_UNSPEC, SOCK_STREAM);
        ask("192.0.2.1", NULL, 0, AF_INET, SOCK_DGRAM);
        ask("2001:db8::1", "443", 0, AF_UNSPEC, SOCK_STREAM);
        ask("2001:db8::1", "443", AI_CANONNAME, AF_UNSPEC, SOCK_STREAM);
        ask("127.1", "443", 0, AF_UNSPEC, SOCK_STREAM);
        ask("192.0.2.1", "80", AI_V4MAPPED, AF_INET6, SOCK_STREAM);
        ask(NULL, "80", AI_PASSIVE, AF_INET, SOCK_STREAM);
        ask(NULL, "80", AI_PASSIVE, AF_INET6, SOCK_STREAM);
        ask(NULL, "80", 0, AF_INET, SOCK_STREAM);
        ask(NULL, "80", 0, AF_INET6, SOCK_STREAM);
        ask("localhost", "80", 0, AF_INET, SOCK_STREAM);
}

static void errors(void) {
        ask(NULL, NULL, 0, AF_UNSPEC, 0);
        ask("a name", "80", AI_NUMERICHOST, AF_UNSPEC, SOCK_STREAM);
        ask("host.example", "80", AI_NUMERICHOST, AF_UNSPEC, SOCK_STREAM);
        ask("192.0.2.1", "80x", 0, AF_UNSPEC, SOCK_STREAM);
        ask("192.0.2.1", "http", AI_NUMERICSERV, AF_UNSPEC, SOCK_STREAM);
        ask("192.0.2.1", "80", 0, 99, SOCK_STREAM);
        ask("192.0.2.1", "80", 1 << 28, AF_UNSPEC, SOCK_STREAM);
        ask(NULL, "80", AI_CANONNAME, AF_UNSPEC, SOCK_STREAM);
}

static void names(void) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(80) };
        const struct sockaddr *name = (struct sockaddr *)&address;
        char host[32], service[8];

        CHECK(inet_pton(AF_INET, "192.0.2.1", &address.sin_addr) == 1);
        printf("%s\n", gai_name(getnameinfo(name, sizeof(address), host, sizeof(host), service, sizeof(service),
                                            NI_NUMERICHOST)));
        printf("%s %s\n", host, service);
        printf("%s\n", gai_name(getnameinfo(name, sizeof(address), host, 3, NULL, 0, NI_NUMERICHOST)));
        printf("%s\n", gai_name(getnameinfo(name, sizeof(address), NULL, 0, service, 2, NI_NUMERICSERV)));
        printf("%s\n", gai_name(getnameinfo(name, 1, host, sizeof(host), NULL, 0, NI_NUMERICHOST)));
}

static void older(void) {
        const struct hostent *host = gethostbyname("192.0.2.7");
        const struct servent *service = getservbyname("https", "tcp");
        const struct protoent *protocol = getprotobyname("udp");
        struct in_addr address;

        CHECK(host && host->h_addrtype == AF_INET && host->h_length == 4 && !host->h_addr_list[1]);
        memcpy(&address, host->h_addr_list[0], sizeof(address));
        printf("%s\n", inet_ntoa(address));
        CHECK(service && ntohs((uint16_t)service->s_port) == 443 && strcmp(service->s_proto, "tcp") == 0);
        CHECK(!getservbyname("no service", NULL));
        CHECK(protocol && protocol->p_proto == IPPROTO_UDP);
        CHECK(inet_addr("192.0.2.1") == htonl(0xc0000201) && inet_addr("x") == INADDR_NONE);
        CHECK(inet_network("192.0.2.1") == 0xc0000201);
        address = inet_makeaddr(0xc00002, 9);
        printf("%s %x %x\n", inet_ntoa(address), (unsigned)inet_netof(address), (unsigned)inet_lnaof(address));
}

int main(void) {
        numbers();
        errors();
        names();
        older();
        return 0;
}
