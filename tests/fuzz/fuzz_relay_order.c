/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relay and all that comes to it: orders of the broker, with descriptors, and bytes of peers and guests.
 *
 * The input is a list of steps, a byte each, with what belongs to it behind (see run_step()). The relay may refuse an order, by which its process would end; nothing
 * else may end it. What it reports is well-formed, and of each link it says at most once that it is ready, and then at most once that it has
 * ended, and nothing more.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "relay/orders.h"
#include "relay/relay.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/quic_world.h"

const char fuzz_target[] = "relay_order";

/* Steps and descriptors of one input: enough for any state, and quick. */
#define STEPS_MAX 64
#define ENDS_MAX 32
#define LINKS_MAX 64
#define ORDER_FDS_MAX 4

/** What is known of a link, or a server, by what was reported. */
struct seen {
        uint64_t link;
        bool is_ready;
        bool has_ended;
};

struct world {
        struct relay relay;
        struct nb_frame_arena arena;
        uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
        jmp_buf refusal;
        int channel;
        int ends[ENDS_MAX]; /* what peers and guests hold; -1: closed */
        size_t n_ends;
        struct nb_channel_fds fds; /* of the order that is carried out */
        struct seen seen[LINKS_MAX];
        size_t n_seen;
};

/* The linker gives it the relay's calls of relay_give_up(). A relay that ends leaves all to the kernel: here, to the next input. */
__attribute__((noreturn)) void __wrap_relay_give_up(struct relay *relay, const char *why);

__attribute__((noreturn)) void __wrap_relay_give_up(struct relay *relay, const char *why) {
        struct world *world = nb_container_of(relay, struct world, relay);

        /* Of an order that is refused, nothing is half done. */
        longjmp(world->refusal, strncmp(why, "the broker", strlen("the broker")) == 0 ? 1 : 2);
}

/* What such a relay leaves is no leak of ours. */
const char *__lsan_default_options(void);

const char *__lsan_default_options(void) {
        return "detect_leaks=0";
}

/* ---- descriptors ---- */

enum fd_kind {
        FD_STREAM,
        FD_DATAGRAMS,
        FD_PAIR,
        FD_PAIR_OF_MESSAGES,
        FD_BOUND,
        FD_FILE,
        FD_CERTIFICATE,
        FD_CONNECTED, /* of UDP */
        N_FD_KINDS,
};

/* One end for the relay, the other for us, with the byte of a pair that is never read. */
static int make_ends(struct world *world, int type, bool is_pair) {
        int ends[2];

        if (world->n_ends == ENDS_MAX)
                return -1;
        FUZZ_CHECK(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0, "%s", strerror(errno));
        FUZZ_CHECK(!is_pair || send(ends[1], "", 1, MSG_NOSIGNAL) == 1, "%s", strerror(errno));
        world->ends[world->n_ends++] = ends[1];
        return ends[0];
}

static int make_bound(void) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        FUZZ_CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "%s", strerror(errno));
        return fd;
}

/* To a peer that the input speaks for. */
static int make_connected(struct world *world) {
        struct sockaddr_in ours, peers;
        socklen_t length = sizeof(ours);
        int fd, peer;

        if (world->n_ends == ENDS_MAX)
                return -1;
        fd = make_bound();
        FUZZ_CHECK(getsockname(fd, (struct sockaddr *)&ours, &length) == 0, "%s", strerror(errno));
        peer = quic_world_socket(&ours);
        FUZZ_CHECK(getsockname(peer, (struct sockaddr *)&peers, &length) == 0, "%s", strerror(errno));
        FUZZ_CHECK(connect(fd, (struct sockaddr *)&peers, sizeof(peers)) == 0, "%s", strerror(errno));
        world->ends[world->n_ends++] = peer;
        return fd;
}

static int make_fd(struct world *world, uint8_t kind) {
        switch (kind % N_FD_KINDS) {
        case FD_STREAM:
                return make_ends(world, SOCK_STREAM, false);
        case FD_DATAGRAMS:
                return make_ends(world, SOCK_DGRAM, false);
        case FD_PAIR:
                return make_ends(world, SOCK_STREAM, true);
        case FD_PAIR_OF_MESSAGES:
                return make_ends(world, SOCK_SEQPACKET, true);
        case FD_BOUND:
                return make_bound();
        case FD_CERTIFICATE:
                return quic_world_certificate();
        case FD_CONNECTED:
                return make_connected(world);
        default:
                return open("/dev/null", O_RDONLY | O_CLOEXEC);
        }
}

/* ---- reports ---- */

static struct seen *seen_of(struct world *world, uint64_t link) {
        for (size_t i = 0; i < world->n_seen; ++i) {
                if (world->seen[i].link == link)
                        return &world->seen[i];
        }
        if (world->n_seen == LINKS_MAX)
                return NULL;
        world->seen[world->n_seen] = (struct seen){ .link = link };
        return &world->seen[world->n_seen++];
}

static void check_ready(struct seen *seen) {
        FUZZ_CHECK(!seen->is_ready && !seen->has_ended, "link %ju", (uintmax_t)seen->link);
        seen->is_ready = true;
}

static void check_ended(struct seen *seen) {
        FUZZ_CHECK(!seen->has_ended, "link %ju", (uintmax_t)seen->link);
        seen->has_ended = true;
}

static void check_report(struct world *world, const Nb__Relay__Report *report) {
        struct seen *seen = NULL;

        if (report->body_case == NB__RELAY__REPORT__BODY_READY && (seen = seen_of(world, report->ready->link)))
                check_ready(seen);
        if (report->body_case == NB__RELAY__REPORT__BODY_ENDED && (seen = seen_of(world, report->ended->link)))
                check_ended(seen);
}

static void take_reports(struct world *world) {
        Nb__Relay__Report *report;
        int length;

        while ((length = nb_channel_receive_bytes(world->channel, world->frame)) > 0) {
                FUZZ_CHECK(nb_relay_report_decode(&world->arena, world->frame, (size_t)length, &report) == 0,
                           "a report of %d bytes", length);
                check_report(world, report);
        }
}

/* ---- steps ---- */

/* A number may be used again by an input, but not by the broker: then it is another link. */
static void forget_if_begun(struct world *world, const uint8_t *frame, size_t length) {
        Nb__Relay__Order *order;
        struct seen *seen;

        if (nb_relay_order_decode(&world->arena, frame, length, &order) < 0)
                return;
        if (order->body_case == NB__RELAY__ORDER__BODY_BEGIN && (seen = seen_of(world, order->begin->link)) &&
            seen->has_ended)
                *seen = (struct seen){ .link = order->begin->link };
        if (order->body_case == NB__RELAY__ORDER__BODY_TAKE_PEER && (seen = seen_of(world, order->take_peer->link)) &&
            seen->has_ended)
                *seen = (struct seen){ .link = order->take_peer->link };
}

static void give_order(struct world *world, const uint8_t **data, size_t *size) {
        size_t n_fds = fuzz_take_byte(data, size) % (ORDER_FDS_MAX + 1), length;
        const uint8_t *frame;

        world->fds.n = 0;
        for (size_t i = 0; i < n_fds; ++i) {
                int fd = make_fd(world, fuzz_take_byte(data, size));

                if (fd >= 0)
                        world->fds.fds[world->fds.n++] = fd;
        }
        frame = fuzz_take_bytes(data, size, &length);
        take_reports(world);
        forget_if_begun(world, frame, length);
        orders_carry_out(&world->relay, frame, length, &world->fds);
        nb_channel_fds_close(&world->fds);
}

static void write_to_end(struct world *world, const uint8_t **data, size_t *size) {
        uint8_t which = fuzz_take_byte(data, size);
        size_t length;
        const uint8_t *bytes = fuzz_take_bytes(data, size, &length);

        if (world->n_ends > 0)
                (void)send(world->ends[which % world->n_ends], bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void read_from_end(struct world *world, uint8_t which) {
        uint8_t buffer[4096];

        if (world->n_ends > 0)
                (void)recv(world->ends[which % world->n_ends], buffer, sizeof(buffer), MSG_DONTWAIT);
}

static void close_end(struct world *world, uint8_t which) {
        int *fd = world->n_ends > 0 ? &world->ends[which % world->n_ends] : NULL;

        if (fd)
                *fd = nb_fd_close(*fd);
}

static void shut_end(struct world *world, uint8_t which) {
        if (world->n_ends > 0)
                (void)shutdown(world->ends[which % world->n_ends], SHUT_WR);
}

static void run_step(struct world *world, const uint8_t **data, size_t *size) {
        switch (fuzz_take_byte(data, size) % 6) {
        case 0:
                give_order(world, data, size);
                break;
        case 1:
                write_to_end(world, data, size);
                break;
        case 2:
                read_from_end(world, fuzz_take_byte(data, size));
                break;
        case 3:
                shut_end(world, fuzz_take_byte(data, size));
                break;
        case 4:
                close_end(world, fuzz_take_byte(data, size));
                break;
        default:
                break;
        }
        relay_turn(&world->relay, false);
        take_reports(world);
}

static void run(struct world *world, const uint8_t *data, size_t size) {
        for (int i = 0; i < STEPS_MAX && size > 0; ++i)
                run_step(world, &data, &size);
        for (int i = 0; i < 4; ++i)
                relay_turn(&world->relay, false);
        take_reports(world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        NB_CLEANUP_FREE struct world *world = calloc(1, sizeof(*world));
        struct world *kept = world;
        int channel[2], refusal;

        FUZZ_CHECK(world && nb_channel_pair(channel) == 0, "%s", strerror(errno));
        FUZZ_CHECK(relay_init(&world->relay, channel[0]) == 0, "%s", strerror(errno));
        world->relay.log.fd = -1;
        world->channel = channel[1];
        refusal = setjmp(kept->refusal);
        if (refusal == 0)
                run(kept, data, size);
        nb_channel_fds_close(&kept->fds);
        if (refusal < 2)
                relay_deinit(&kept->relay);
        (void)nb_fd_close(kept->channel);
        for (size_t i = 0; i < kept->n_ends; ++i)
                (void)nb_fd_close(kept->ends[i]);
        return 0;
}
