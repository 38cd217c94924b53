/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_dns.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/harness.h"
#include "tests/support/peer.h"

#define QUESTIONS_MAX 8192
#define CLIENTS_MAX 64
#define MESSAGE_MAX 65535
#define UDP_MAX 512
#define MANY 1000

/* One question, as it came. */
struct asked {
        char name[NS_MAXDNAME];
        uint16_t id;
        uint16_t port;
        uint16_t type;
        bool held;
        bool tcp;
        int client; /* of TCP */
        struct sockaddr_in from;
        uint8_t message[NS_PACKETSZ];
        size_t length;
};

struct fake_dns {
        const struct fake_dns_name *names;
        size_t n_names;
        struct peer udp, tcp, other; /* `other` is where nobody asks */
        int wake;
        pthread_t thread;
        pthread_mutex_t mutex; /* of what follows */
        bool stopping, released;
        struct asked *asked;
        size_t n_asked;
        int clients[CLIENTS_MAX];
        size_t n_clients;
};

/* A message as it is written. */
struct answer {
        uint8_t bytes[MESSAGE_MAX];
        size_t length;
        unsigned n_answers, n_authority;
};

/* ---- writing ---- */

static void put(struct answer *answer, const void *bytes, size_t length) {
        ck_assert_uint_le(answer->length + length, sizeof(answer->bytes));
        memcpy(answer->bytes + answer->length, bytes, length);
        answer->length += length;
}

static void put16(struct answer *answer, unsigned value) {
        const uint8_t bytes[] = { (uint8_t)(value >> 8), (uint8_t)value };

        put(answer, bytes, sizeof(bytes));
}

static void put32(struct answer *answer, uint32_t value) {
        put16(answer, value >> 16);
        put16(answer, value & 0xffff);
}

static void put_name(struct answer *answer, const char *name) {
        uint8_t bytes[NS_MAXCDNAME];
        int length = ns_name_compress(name, bytes, sizeof(bytes), NULL, NULL);

        ck_assert_int_gt(length, 0);
        put(answer, bytes, (size_t)length);
}

/* All but the data, whose length follows. */
static void put_record(struct answer *answer, const char *name, ns_type type, uint32_t ttl, size_t data_length) {
        put_name(answer, name);
        put16(answer, type);
        put16(answer, ns_c_in);
        put32(answer, ttl);
        put16(answer, (unsigned)data_length);
}

static void put_alias(struct answer *answer, const char *name, const char *target, uint32_t ttl) {
        uint8_t bytes[NS_MAXCDNAME];
        int length = ns_name_compress(target, bytes, sizeof(bytes), NULL, NULL);

        ck_assert_int_gt(length, 0);
        put_record(answer, name, ns_t_cname, ttl, (size_t)length);
        put(answer, bytes, (size_t)length);
        answer->n_answers++;
}

static void put_addresses(struct answer *answer, const char *name, const char *list, ns_type type, uint32_t ttl) {
        NB_CLEANUP_FREE char *copy = strdup(list ? list : "");
        char *rest = copy;
        const char *word;

        while ((word = strtok_r(rest, " ", &rest))) {
                uint8_t bytes[16];

                ck_assert_int_eq(inet_pton(type == ns_t_a ? AF_INET : AF_INET6, word, bytes), 1);
                put_record(answer, name, type, ttl, type == ns_t_a ? 4 : 16);
                put(answer, bytes, type == ns_t_a ? 4 : 16);
                answer->n_answers++;
        }
}

static void put_many(struct answer *answer, const char *name, uint32_t ttl) {
        for (unsigned i = 0; i < MANY; ++i) {
                put_record(answer, name, ns_t_a, ttl, 4);
                put32(answer, 0x7f010000 + i);
                answer->n_answers++;
        }
}

static void put_soa(struct answer *answer, uint32_t ttl) {
        put_record(answer, "example.com", ns_t_soa, ttl, 2 + 20);
        put(answer, "\0", 1); /* the root, as server and as mailbox */
        put(answer, "\0", 1);
        for (int i = 0; i < 4; ++i)
                put32(answer, 1);
        put32(answer, ttl);
        answer->n_authority++;
}

/* ---- what is said ---- */

static const struct fake_dns_name *find(const struct fake_dns *dns, const char *name) {
        for (size_t i = 0; i < dns->n_names; ++i) {
                if (strcasecmp(dns->names[i].name, name) == 0)
                        return &dns->names[i];
        }
        return NULL;
}

static void begin(struct answer *answer, const struct asked *asked) {
        *answer = (struct answer){ .length = 0 };
        put(answer, asked->message, asked->length);
}

/* The header: an answer, with this code. */
static void finish(struct answer *answer, unsigned code, bool truncated) {
        uint16_t numbers[] = { htons(1), htons((uint16_t)answer->n_answers), htons((uint16_t)answer->n_authority), 0 };

        answer->bytes[2] = (uint8_t)(0x84 | (truncated ? 0x02 : 0) | (answer->bytes[2] & 0x01));
        answer->bytes[3] = (uint8_t)(0x80 | code);
        memcpy(answer->bytes + 4, numbers, sizeof(numbers));
}

/* The aliases, and the name that they lead to. */
static void put_aliases(struct answer *answer, const struct fake_dns_name *name, char last[static NS_MAXDNAME]) {
        NB_CLEANUP_FREE char *copy = strdup(name->alias ? name->alias : "");
        char *rest = copy;
        const char *word;

        (void)snprintf(last, NS_MAXDNAME, "%s", name->name);
        while ((word = strtok_r(rest, " ", &rest))) {
                put_alias(answer, last, word, name->ttl);
                (void)snprintf(last, NS_MAXDNAME, "%s", word);
        }
}

static bool is_rebound(struct fake_dns *dns, const struct asked *asked, const struct fake_dns_name *name) {
        unsigned n = 0;

        if (!(name->ways & FAKE_DNS_REBOUND))
                return false;
        for (size_t i = 0; i < dns->n_asked; ++i)
                n += dns->asked[i].type == asked->type && strcasecmp(dns->asked[i].name, asked->name) == 0;
        return n > 1;
}

static void write_found(struct answer *answer, const struct asked *asked, const struct fake_dns_name *name,
                        bool forged) {
        char owner[NS_MAXDNAME];

        put_aliases(answer, name, owner);
        if (name->ways & FAKE_DNS_STRAY)
                (void)snprintf(owner, sizeof(owner), "stray.example.com");
        if (asked->type == ns_t_a)
                put_addresses(answer, owner, forged ? name->forged : name->ipv4, ns_t_a, name->ttl);
        else
                put_addresses(answer, owner, name->ipv6, ns_t_aaaa, name->ttl);
        if (name->ways & FAKE_DNS_MANY && asked->type == ns_t_a)
                put_many(answer, owner, name->ttl);
        if (name->ways & FAKE_DNS_GARBAGE) {
                put(answer, "\xc0\xff\xff\xff\xff", 5);
                answer->n_answers += 7;
        }
}

static void write_answer(struct fake_dns *dns, const struct asked *asked, struct answer *answer) {
        const struct fake_dns_name *name = find(dns, asked->name);
        unsigned code = ns_r_noerror;

        begin(answer, asked);
        if (!name || name->ways & FAKE_DNS_NONE)
                code = ns_r_nxdomain;
        else if (name->ways & FAKE_DNS_FAILS)
                code = ns_r_servfail;
        else
                write_found(answer, asked, name, is_rebound(dns, asked, name));
        if (name && name->ways & FAKE_DNS_SOA)
                put_soa(answer, name->ttl);
        finish(answer, code, false);
}

static void send_udp(const struct peer *from, const struct asked *asked, const struct answer *answer) {
        (void)sendto(from->fd, answer->bytes, answer->length, 0, (const struct sockaddr *)&asked->from,
                     sizeof(asked->from));
}

static void send_forged(struct fake_dns *dns, const struct asked *asked, const struct fake_dns_name *name) {
        struct answer answer;

        begin(&answer, asked);
        write_found(&answer, asked, name, true);
        finish(&answer, ns_r_noerror, false);
        send_udp(&dns->other, asked, &answer);
        answer.bytes[0] ^= 0x55;
        send_udp(&dns->udp, asked, &answer);
}

static void send_tcp(const struct asked *asked, const struct answer *answer) {
        const uint8_t length[] = { (uint8_t)(answer->length >> 8), (uint8_t)answer->length };

        (void)send(asked->client, length, sizeof(length), MSG_NOSIGNAL);
        (void)send(asked->client, answer->bytes, answer->length, MSG_NOSIGNAL);
}

static bool is_silent(const struct asked *asked, const struct fake_dns_name *name) {
        return name && name->ways & (asked->type == ns_t_a ? FAKE_DNS_SILENT_IPV4 : FAKE_DNS_SILENT_IPV6);
}

static void reply(struct fake_dns *dns, const struct asked *asked) {
        const struct fake_dns_name *name = find(dns, asked->name);
        struct answer answer;

        if (is_silent(asked, name))
                return;
        if (name && name->ways & FAKE_DNS_FORGED && asked->type == ns_t_a)
                send_forged(dns, asked, name);
        write_answer(dns, asked, &answer);
        if (asked->tcp) {
                send_tcp(asked, &answer);
                return;
        }
        if (answer.length > UDP_MAX || (name && name->ways & FAKE_DNS_TRUNCATED)) {
                begin(&answer, asked);
                finish(&answer, ns_r_noerror, true);
        }
        send_udp(&dns->udp, asked, &answer);
}

/* ---- what is asked ---- */

static void take(struct fake_dns *dns, struct asked *asked) {
        const struct fake_dns_name *name;
        ns_msg message;
        ns_rr question;

        if (ns_initparse(asked->message, (int)asked->length, &message) < 0 ||
            ns_parserr(&message, ns_s_qd, 0, &question) < 0 || dns->n_asked == QUESTIONS_MAX)
                return;
        (void)snprintf(asked->name, sizeof(asked->name), "%s", ns_rr_name(question));
        asked->id = ns_msg_id(message);
        asked->type = ns_rr_type(question);
        asked->port = ntohs(asked->from.sin_port);
        name = find(dns, asked->name);
        asked->held = name && name->ways & FAKE_DNS_HELD && !dns->released;
        dns->asked[dns->n_asked++] = *asked;
        if (!asked->held)
                reply(dns, asked);
}

static void read_udp(struct fake_dns *dns) {
        struct asked asked = { .client = -1 };
        socklen_t length = sizeof(asked.from);
        ssize_t n = recvfrom(dns->udp.fd, asked.message, sizeof(asked.message), MSG_DONTWAIT,
                             (struct sockaddr *)&asked.from, &length);

        if (n <= 0)
                return;
        asked.length = (size_t)n;
        take(dns, &asked);
}

/* @return whether the client is still there */
static bool read_tcp(struct fake_dns *dns, int fd) {
        struct asked asked = { .client = fd, .tcp = true };
        uint8_t length[2];

        if (recv(fd, length, sizeof(length), MSG_WAITALL) != (ssize_t)sizeof(length))
                return false;
        asked.length = (size_t)(length[0] << 8 | length[1]);
        if (asked.length > sizeof(asked.message) ||
            recv(fd, asked.message, asked.length, MSG_WAITALL) != (ssize_t)asked.length)
                return false;
        take(dns, &asked);
        return true;
}

static void accept_client(struct fake_dns *dns) {
        int fd = accept4(dns->tcp.fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd >= 0 && dns->n_clients < CLIENTS_MAX)
                dns->clients[dns->n_clients++] = fd;
        else
                (void)nb_fd_close(fd);
}

static void serve_clients(struct fake_dns *dns, const struct pollfd *pollfds, size_t n) {
        for (size_t i = n; i-- > 0;) {
                if (pollfds[i].revents == 0 || read_tcp(dns, pollfds[i].fd))
                        continue;
                (void)nb_fd_close(dns->clients[i]);
                dns->clients[i] = dns->clients[--dns->n_clients];
        }
}

static bool serve_once(struct fake_dns *dns) {
        struct pollfd pollfds[3 + CLIENTS_MAX] = {
                { .fd = dns->wake, .events = POLLIN },
                { .fd = dns->udp.fd, .events = POLLIN },
                { .fd = dns->tcp.fd, .events = POLLIN },
        };
        size_t n_clients = dns->n_clients;
        bool go_on;

        for (size_t i = 0; i < n_clients; ++i)
                pollfds[3 + i] = (struct pollfd){ .fd = dns->clients[i], .events = POLLIN };
        (void)poll(pollfds, 3 + n_clients, -1);
        (void)pthread_mutex_lock(&dns->mutex);
        serve_clients(dns, pollfds + 3, n_clients);
        if (pollfds[1].revents)
                read_udp(dns);
        if (pollfds[2].revents)
                accept_client(dns);
        go_on = !dns->stopping;
        (void)pthread_mutex_unlock(&dns->mutex);
        return go_on;
}

static void *serve(void *data) {
        while (serve_once(data))
                ;
        return NULL;
}

/* ---- for tests ---- */

/* UDP and TCP on one port: the kernel chooses the one, and nobody may have the other. */
static void take_port(struct fake_dns *dns) {
        for (int i = 0; i < 100; ++i) {
                struct sockaddr_storage sa;
                socklen_t length;

                dns->udp = peer_udp("127.0.0.1");
                length = nb_address_to_sockaddr(&dns->udp.address, &sa);
                dns->tcp = (struct peer){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
                if (bind(dns->tcp.fd, (struct sockaddr *)&sa, length) == 0 && listen(dns->tcp.fd, 64) == 0)
                        return;
                peer_close(&dns->udp);
                peer_close(&dns->tcp);
        }
        ck_abort_msg("no port is free for UDP and TCP");
}

struct fake_dns *fake_dns_start(const struct fake_dns_name *names, size_t n) {
        const int size = 1 << 22;
        struct fake_dns *dns = calloc(1, sizeof(*dns));

        ck_assert_ptr_nonnull(dns);
        dns->names = names;
        dns->n_names = n;
        dns->asked = calloc(QUESTIONS_MAX, sizeof(*dns->asked));
        ck_assert_ptr_nonnull(dns->asked);
        take_port(dns);
        dns->other = peer_udp("127.0.0.1");
        /* A thousand questions may come at once. */
        (void)setsockopt(dns->udp.fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
        dns->wake = eventfd(0, EFD_CLOEXEC);
        ck_assert_int_ge(dns->wake, 0);
        ck_assert_int_eq(pthread_mutex_init(&dns->mutex, NULL), 0);
        ck_assert_int_eq(pthread_create(&dns->thread, NULL, serve, dns), 0);
        return dns;
}

struct fake_dns *fake_dns_stop(struct fake_dns *dns) {
        (void)pthread_mutex_lock(&dns->mutex);
        dns->stopping = true;
        (void)pthread_mutex_unlock(&dns->mutex);
        ck_assert_int_eq(eventfd_write(dns->wake, 1), 0);
        ck_assert_int_eq(pthread_join(dns->thread, NULL), 0);
        (void)pthread_mutex_destroy(&dns->mutex);
        nb_fds_close(dns->clients, dns->n_clients);
        (void)nb_fd_close(dns->wake);
        peer_close(&dns->udp);
        peer_close(&dns->tcp);
        peer_close(&dns->other);
        free(dns->asked);
        free(dns);
        return NULL;
}

const char *fake_dns_address(const struct fake_dns *dns) {
        return dns->udp.text;
}

unsigned fake_dns_count(struct fake_dns *dns, const char *name) {
        unsigned n = 0;

        (void)pthread_mutex_lock(&dns->mutex);
        for (size_t i = 0; i < dns->n_asked; ++i)
                n += !name || strcasecmp(dns->asked[i].name, name) == 0;
        (void)pthread_mutex_unlock(&dns->mutex);
        return n;
}

void fake_dns_wait(struct fake_dns *dns, const char *name, unsigned n) {
        uint64_t start_ms = harness_now_ms();

        while (fake_dns_count(dns, name) < n)
                harness_wait_a_moment(start_ms, "a question to the name server");
}

void fake_dns_release(struct fake_dns *dns) {
        (void)pthread_mutex_lock(&dns->mutex);
        dns->released = true;
        for (size_t i = 0; i < dns->n_asked; ++i) {
                if (dns->asked[i].held)
                        reply(dns, &dns->asked[i]);
                dns->asked[i].held = false;
        }
        (void)pthread_mutex_unlock(&dns->mutex);
}

/* How many values there are among those of all questions. */
static unsigned count_values(struct fake_dns *dns, uint16_t (*value)(const struct asked *asked)) {
        NB_CLEANUP_FREE bool *seen = calloc(UINT16_MAX + 1, sizeof(*seen));
        unsigned n = 0;

        ck_assert_ptr_nonnull(seen);
        (void)pthread_mutex_lock(&dns->mutex);
        for (size_t i = 0; i < dns->n_asked; ++i) {
                n += !seen[value(&dns->asked[i])];
                seen[value(&dns->asked[i])] = true;
        }
        (void)pthread_mutex_unlock(&dns->mutex);
        return n;
}

static uint16_t id_of(const struct asked *asked) {
        return asked->id;
}

static uint16_t port_of(const struct asked *asked) {
        return asked->port;
}

unsigned fake_dns_count_ids(struct fake_dns *dns) {
        return count_values(dns, id_of);
}

unsigned fake_dns_count_ports(struct fake_dns *dns) {
        return count_values(dns, port_of);
}
