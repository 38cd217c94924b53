/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_name NAME PORT: a name that is not resolved here. What getaddrinfo() gives for it stands for it, everywhere.
 */

#include "tests/guests/posix.h"

#define NAMES 2000

static struct addrinfo *look_up(const char *name, const char *port, int family) {
        struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_CANONNAME };
        struct addrinfo *info;

        CHECK(getaddrinfo(name, port, &hints, &info) == 0);
        return info;
}

static void show(const struct addrinfo *info) {
        char host[NI_MAXHOST], service[NI_MAXSERV], number[64];

        CHECK(getnameinfo(info->ai_addr, info->ai_addrlen, host, sizeof(host), service, sizeof(service), 0) == 0);
        CHECK(getnameinfo(info->ai_addr, info->ai_addrlen, number, sizeof(number), NULL, 0, NI_NUMERICHOST) == 0);
        printf("%s %s %s\n", number, host, service);
}

static void try_connect(const struct addrinfo *info) {
        int fd = socket(info->ai_family, SOCK_STREAM, 0);

        CHECK(fd >= 0);
        SHOW(connect(fd, info->ai_addr, info->ai_addrlen));
        CHECK(close(fd) == 0);
}

static void no_names(void) {
        static const char *const texts[] = {
                "", ".", "a..b", "a b", "a:80", "[::1]", "host/path", "h\303\266st", "-.%", "fe80::1%eth0",
        };
        char label[70];
        char long_name[300];
        struct addrinfo *info;

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i)
                CHECK(getaddrinfo(texts[i], "80", NULL, &info) == EAI_NONAME);
        memset(label, 'a', sizeof(label));
        label[64] = '\0';
        CHECK(getaddrinfo(label, "80", NULL, &info) == EAI_NONAME);
        memset(long_name, 'a', sizeof(long_name));
        for (size_t i = 10; i < sizeof(long_name); i += 10)
                long_name[i] = '.';
        long_name[254] = '\0';
        CHECK(getaddrinfo(long_name, "80", NULL, &info) == EAI_NONAME);
        long_name[253] = '\0';
        CHECK(getaddrinfo(long_name, "80", NULL, &info) == 0);
        freeaddrinfo(info);
}

/* The same name has the same number, and different names have different ones. */
static void many_names(void) {
        static struct in_addr seen[NAMES];
        char name[32];

        for (int round = 0; round < 2; ++round) {
                for (int i = 0; i < NAMES; ++i) {
                        struct addrinfo *info;
                        struct sockaddr_in in;

                        snprintf(name, sizeof(name), "host-%d.example", i);
                        info = look_up(name, "80", AF_INET);
                        memcpy(&in, info->ai_addr, sizeof(in));
                        CHECK(ntohl(in.sin_addr.s_addr) >> 17 == 0xc6120000 >> 17);
                        CHECK(round == 0 || in.sin_addr.s_addr == seen[i].s_addr);
                        CHECK(round == 1 || i == 0 || in.sin_addr.s_addr != seen[i - 1].s_addr);
                        seen[i] = in.sin_addr;
                        freeaddrinfo(info);
                }
        }
}

int main(int argc, char **argv) {
        struct addrinfo *info;
        const struct hostent *host;
        struct in_addr address;

        CHECK(argc == 3);
        info = look_up(argv[1], argv[2], AF_UNSPEC);
        CHECK(info->ai_canonname && strcmp(info->ai_canonname, argv[1]) == 0);
        for (const struct addrinfo *i = info; i; i = i->ai_next) {
                show(i);
                try_connect(i);
        }
        host = gethostbyname(argv[1]);
        CHECK(host);
        memcpy(&address, host->h_addr_list[0], sizeof(address));
        CHECK(address.s_addr == ((struct sockaddr_in *)info->ai_addr)->sin_addr.s_addr);
        freeaddrinfo(info);
        no_names();
        many_names();
        return 0;
}
