/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/impair.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/harness.h"
#include "tests/support/peer.h"
#include "tests/support/random.h"

#define DEFAULT_SEED 0x9e3779b97f4a7c15ULL
#define FLOWS_MAX 2048
#define QUEUE_MAX 65536
#define PACKET_MAX 65535
#define PACKETS_A_TURN 64
#define BUFFER_SIZE (8 * 1024 * 1024)
#define TICK_MS 20 /* how often the parent's wishes are looked at when nothing comes */
#define MS_NS 1000000ULL

enum direction {
        FROM_CLIENTS,
        FROM_SERVER,
        N_DIRECTIONS,
};

struct counts {
        atomic_uint_fast64_t packets;
        atomic_uint_fast64_t bytes;
        atomic_uint_fast64_t lost;
        atomic_uint_fast64_t duplicated;
        atomic_uint_fast64_t corrupted;
};

/* What both processes see. */
struct impair_shared {
        struct counts counts[N_DIRECTIONS];
        atomic_uint rebind_wanted; /* counts wishes */
        atomic_uint rebind_done;
        atomic_uint source; /* an IPv4 address, in network order, to send from */
        atomic_bool cut;
};

struct flow {
        struct sockaddr_in client;
        int fd; /* connected to the server */
};

/* Waits for its time. */
struct held {
        uint64_t due_ns;
        uint64_t number; /* of two that are due at once, who came first goes first */
        enum direction direction;
        unsigned flow;
        size_t length;
        uint8_t *bytes; /* owned */
};

struct proxy {
        struct impair_settings settings;
        struct impair_shared *shared;
        struct sockaddr_in server;
        int fd; /* that clients send to */
        int epoll_fd;
        uint64_t random;
        uint64_t n_held_ever;
        struct flow flows[FLOWS_MAX];
        unsigned n_flows;
        struct held queue[QUEUE_MAX]; /* a heap: the first is due first */
        size_t n_queued;
        uint8_t buffer[PACKET_MAX];
};

/* In the child nobody hears an assertion: the parent finds the status when it stops it. */
static void need(bool holds) {
        if (!holds)
                _exit(EXIT_FAILURE);
}

static uint64_t now_ns(void) {
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static bool happens(struct proxy *proxy, unsigned percent) {
        return next_random(&proxy->random) % 100 < percent;
}

/* ---- the queue ---- */

static bool is_earlier(const struct held *a, const struct held *b) {
        return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->number < b->number;
}

static void swap(struct held *a, struct held *b) {
        struct held other = *a;

        *a = *b;
        *b = other;
}

static void queue_push(struct proxy *proxy, const struct held *held) {
        size_t i = proxy->n_queued++;

        proxy->queue[i] = *held;
        for (; i > 0 && is_earlier(&proxy->queue[i], &proxy->queue[(i - 1) / 2]); i = (i - 1) / 2)
                swap(&proxy->queue[i], &proxy->queue[(i - 1) / 2]);
}

static struct held queue_pop(struct proxy *proxy) {
        struct held first = proxy->queue[0];

        proxy->queue[0] = proxy->queue[--proxy->n_queued];
        for (size_t i = 0;;) {
                size_t least = i, child = 2 * i + 1;

                for (size_t each = child; each < child + 2 && each < proxy->n_queued; ++each)
                        if (is_earlier(&proxy->queue[each], &proxy->queue[least]))
                                least = each;
                if (least == i)
                        return first;
                swap(&proxy->queue[i], &proxy->queue[least]);
                i = least;
        }
}

/* ---- packets ---- */

/* What the kernel does not take is lost, as on any network. */
static void deliver(const struct proxy *proxy, const struct held *held) {
        const struct flow *flow = &proxy->flows[held->flow];

        if (held->direction == FROM_CLIENTS)
                (void)send(flow->fd, held->bytes, held->length, MSG_DONTWAIT);
        else
                (void)sendto(proxy->fd, held->bytes, held->length, MSG_DONTWAIT, (const struct sockaddr *)&flow->client,
                             sizeof(flow->client));
}

static void hold(struct proxy *proxy, enum direction direction, unsigned flow, size_t length) {
        const struct impair_settings *settings = &proxy->settings;
        uint64_t delay_ns = settings->delay_ms * MS_NS;
        struct held held = { .number = proxy->n_held_ever++, .direction = direction, .flow = flow, .length = length };

        if (proxy->n_queued == QUEUE_MAX) {
                atomic_fetch_add(&proxy->shared->counts[direction].lost, 1);
                return;
        }
        if (settings->jitter_ms > 0)
                delay_ns += next_random(&proxy->random) % (settings->jitter_ms * MS_NS);
        held.due_ns = now_ns() + delay_ns;
        held.bytes = malloc(length > 0 ? length : 1);
        need(held.bytes != NULL);
        memcpy(held.bytes, proxy->buffer, length);
        if (length > 0 && happens(proxy, settings->corrupt_percent)) {
                held.bytes[next_random(&proxy->random) % length] ^= (uint8_t)(1u << (next_random(&proxy->random) % 8));
                atomic_fetch_add(&proxy->shared->counts[direction].corrupted, 1);
        }
        queue_push(proxy, &held);
}

/* What stands in the buffer has come. */
static void came(struct proxy *proxy, enum direction direction, unsigned flow, size_t length) {
        struct counts *counts = &proxy->shared->counts[direction];

        atomic_fetch_add(&counts->packets, 1);
        atomic_fetch_add(&counts->bytes, length);
        if (atomic_load(&proxy->shared->cut) || happens(proxy, proxy->settings.loss_percent)) {
                atomic_fetch_add(&counts->lost, 1);
                return;
        }
        hold(proxy, direction, flow, length);
        if (!happens(proxy, proxy->settings.duplicate_percent))
                return;
        atomic_fetch_add(&counts->duplicated, 1);
        hold(proxy, direction, flow, length);
}

static void deliver_what_is_due(struct proxy *proxy) {
        uint64_t now = now_ns();

        while (proxy->n_queued > 0 && proxy->queue[0].due_ns <= now) {
                struct held held = queue_pop(proxy);

                deliver(proxy, &held);
                free(held.bytes);
        }
}

/* ---- flows ---- */

static void watch(const struct proxy *proxy, int fd, unsigned number) {
        struct epoll_event event = { .events = EPOLLIN, .data.u32 = number };

        need(epoll_ctl(proxy->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0);
}

static void widen(int fd) {
        const int size = BUFFER_SIZE;

        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
                (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

static int connect_to_server(const struct proxy *proxy) {
        const struct sockaddr_in from = { .sin_family = AF_INET,
                                          .sin_addr.s_addr = atomic_load(&proxy->shared->source) };
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        need(fd >= 0);
        widen(fd);
        need(bind(fd, (const struct sockaddr *)&from, sizeof(from)) == 0);
        need(connect(fd, (const struct sockaddr *)&proxy->server, sizeof(proxy->server)) == 0);
        return fd;
}

static unsigned flow_of(struct proxy *proxy, const struct sockaddr_in *client) {
        unsigned i;

        for (i = proxy->n_flows; i > 0; --i)
                if (proxy->flows[i - 1].client.sin_port == client->sin_port &&
                    proxy->flows[i - 1].client.sin_addr.s_addr == client->sin_addr.s_addr)
                        return i - 1;
        need(proxy->n_flows < FLOWS_MAX);
        i = proxy->n_flows++;
        proxy->flows[i] = (struct flow){ .client = *client, .fd = connect_to_server(proxy) };
        watch(proxy, proxy->flows[i].fd, i + 1);
        return i;
}

static void rebind_if_wanted(struct proxy *proxy) {
        unsigned wanted = atomic_load(&proxy->shared->rebind_wanted);

        if (wanted == atomic_load(&proxy->shared->rebind_done))
                return;
        for (unsigned i = 0; i < proxy->n_flows; ++i) {
                (void)close(proxy->flows[i].fd);
                proxy->flows[i].fd = connect_to_server(proxy);
                watch(proxy, proxy->flows[i].fd, i + 1);
        }
        atomic_store(&proxy->shared->rebind_done, wanted);
}

/* ---- the child ---- */

/* An ICMP error from the other side is nothing that a client would be told. */
static void read_clients(struct proxy *proxy) {
        for (unsigned i = 0; i < PACKETS_A_TURN; ++i) {
                struct sockaddr_in client;
                socklen_t size = sizeof(client);
                ssize_t n = recvfrom(proxy->fd, proxy->buffer, sizeof(proxy->buffer), MSG_DONTWAIT,
                                     (struct sockaddr *)&client, &size);

                if (n < 0)
                        return;
                came(proxy, FROM_CLIENTS, flow_of(proxy, &client), (size_t)n);
        }
}

static void read_server(struct proxy *proxy, unsigned flow) {
        for (unsigned i = 0; i < PACKETS_A_TURN; ++i) {
                ssize_t n = recv(proxy->flows[flow].fd, proxy->buffer, sizeof(proxy->buffer), MSG_DONTWAIT);

                if (n < 0)
                        return;
                came(proxy, FROM_SERVER, flow, (size_t)n);
        }
}

/* Until what is first in the queue is due, rounded up. */
static int wait_ms(const struct proxy *proxy) {
        uint64_t now = now_ns(), left_ms;

        if (proxy->n_queued == 0)
                return TICK_MS;
        if (proxy->queue[0].due_ns <= now)
                return 0;
        left_ms = (proxy->queue[0].due_ns - now + MS_NS - 1) / MS_NS;
        return left_ms < TICK_MS ? (int)left_ms : TICK_MS;
}

_Noreturn static void serve(struct proxy *proxy) {
        proxy->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        need(proxy->epoll_fd >= 0);
        watch(proxy, proxy->fd, 0);
        for (;;) {
                struct epoll_event events[64];
                int n = epoll_wait(proxy->epoll_fd, events, 64, wait_ms(proxy));

                for (int i = 0; i < n; ++i) {
                        if (events[i].data.u32 == 0)
                                read_clients(proxy);
                        else
                                read_server(proxy, events[i].data.u32 - 1);
                }
                rebind_if_wanted(proxy);
                deliver_what_is_due(proxy);
        }
}

/* Keeps none of the test's descriptors open: whoever waits for an end would wait for this process. */
_Noreturn static void run_child(struct impair_shared *shared, int fd, const char *server,
                                const struct impair_settings *settings, pid_t parent) {
        struct proxy *proxy = calloc(1, sizeof(*proxy));
        struct nb_address address;
        struct sockaddr_storage sa;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)signal(SIGTERM, SIG_DFL);
        need(proxy != NULL && getppid() == parent);
        need(dup3(fd, 3, O_CLOEXEC) == 3 || fd == 3);
        need(close_range(4, ~0U, 0) == 0);
        need(nb_address_parse(server, strlen(server), &address) == 0 && address.ip.family == AF_INET);
        (void)nb_address_to_sockaddr(&address, &sa);
        memcpy(&proxy->server, &sa, sizeof(proxy->server));
        proxy->settings = *settings;
        proxy->random = settings->seed > 0 ? settings->seed : DEFAULT_SEED;
        proxy->shared = shared;
        proxy->fd = 3;
        serve(proxy);
}

/* ---- the test ---- */

void impair_start(struct impair *impair, const char *server, const struct impair_settings *settings) {
        struct peer peer = peer_udp("127.0.0.1");
        pid_t parent = getpid();

        *impair = (struct impair){ 0 };
        memcpy(impair->address, peer.text, sizeof(impair->address));
        impair->shared = mmap(NULL, sizeof(*impair->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(impair->shared, MAP_FAILED);
        atomic_store(&impair->shared->source, htonl(INADDR_LOOPBACK));
        widen(peer.fd);
        impair->pid = fork();
        ck_assert_int_ge(impair->pid, 0);
        if (impair->pid == 0)
                run_child(impair->shared, peer.fd, server, settings, parent);
        peer_close(&peer);
}

static void read_counts(const struct counts *counts, struct impair_counts *ret) {
        *ret = (struct impair_counts){
                .packets = atomic_load(&counts->packets),
                .bytes = atomic_load(&counts->bytes),
                .lost = atomic_load(&counts->lost),
                .duplicated = atomic_load(&counts->duplicated),
                .corrupted = atomic_load(&counts->corrupted),
        };
}

void impair_count(const struct impair *impair, struct impair_counts *ret_from_clients,
                  struct impair_counts *ret_from_server) {
        read_counts(&impair->shared->counts[FROM_CLIENTS], ret_from_clients);
        read_counts(&impair->shared->counts[FROM_SERVER], ret_from_server);
}

void impair_rebind(struct impair *impair, const char *ip) {
        uint64_t start_ms = harness_now_ms();
        struct in_addr address;
        unsigned wanted;

        ck_assert_int_eq(inet_pton(AF_INET, ip, &address), 1);
        atomic_store(&impair->shared->source, address.s_addr);
        wanted = atomic_fetch_add(&impair->shared->rebind_wanted, 1) + 1;
        while (atomic_load(&impair->shared->rebind_done) != wanted)
                harness_wait_a_moment(start_ms, "the proxy to rebind");
}

void impair_cut(struct impair *impair, bool cut) {
        atomic_store(&impair->shared->cut, cut);
}

void impair_stop(struct impair *impair) {
        int status;

        ck_assert_int_eq(kill(impair->pid, SIGTERM), 0);
        ck_assert_int_eq(waitpid(impair->pid, &status, 0), impair->pid);
        ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "the proxy had ended: %x", status);
        (void)munmap(impair->shared, sizeof(*impair->shared));
        impair->pid = -1;
}
