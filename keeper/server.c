/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/server.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "base/cleanup.h"

/* Messages in a row, before it is seen whether somebody else has something for us. */
#define BATCH 64

/* What a wait in close(2) takes at most, in microseconds. */
#define NUDGE_US (10 * 1000)

/* The kernel has no event for that there is room for descriptors on their way again. */
#define RETRY_MS 10

static uint64_t now_ms(void) {
        struct timespec now = { 0 };

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- waits that end ---- */

static void do_nothing(int number) {
        (void)number;
}

static int take_alarm(void) {
        struct sigaction action = { .sa_handler = do_nothing, .sa_flags = SA_RESTART };
        sigset_t set;

        (void)sigemptyset(&action.sa_mask);
        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGALRM);
        if (sigaction(SIGALRM, &action, NULL) < 0)
                return -errno;
        return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void set_alarm(bool on) {
        const struct itimerval period = { .it_value.tv_usec = on ? NUDGE_US : 0,
                                          .it_interval.tv_usec = on ? NUDGE_US : 0 };

        (void)setitimer(ITIMER_REAL, &period, NULL);
}

/* ---- who asks ---- */

static void lose_client(struct server *server) {
        server->client_fd = nb_fd_close(server->client_fd);
        server->begun = false;
        server->sending = false;
        server->has_refused = false;
        server->crowded = false;
        server->left_ms = now_ms();
}

static void accept_one(struct server *server) {
        struct ucred peer;
        socklen_t length = sizeof(peer);
        NB_CLEANUP_FD int fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
                return;
        if (peer.uid != server->user && peer.uid != 0) {
                nb_log(server->log, NB_LOG_WARNING, "user %u may not ask: it is not the user that is served, %u",
                       (unsigned)peer.uid, (unsigned)server->user);
                return;
        }
        server->client_fd = nb_steal_fd(&fd);
}

/* ---- what is sent ---- */

static int send_message(struct server *server, const struct nb_keep_header *header, const struct entry *entry) {
        size_t length = entry ? entry->length : 0;

        memcpy(server->message, header, sizeof(*header));
        if (entry)
                memcpy(server->message + sizeof(*header), entry->bytes, length);
        return nb_channel_send(server->client_fd, server->message, sizeof(*header) + length, entry ? entry->fds : NULL,
                               entry ? entry->n_fds : 0);
}

/* A broker that does not read what was refused is not waited for: it hears less of it, and one that ends hears nothing. So it is said here, too. */
static void refuse(struct server *server, uint64_t id, int error) {
        const struct nb_keep_header header = {
                .version = NB_KEEP_VERSION, .verb = NB_KEEP_REFUSED, .id = id, .error = error
        };

        (void)send_message(server, &header, NULL);
        if (!server->has_refused)
                nb_log(server->log, NB_LOG_WARNING,
                       "not everything is kept (%s): what is refused ends with the netbrokerd that it came from",
                       strerror(-error));
        server->has_refused = true;
}

static int send_entry(struct server *server) {
        const struct entry *entry = nb_container_of(server->next_sent, struct entry, link);
        const struct nb_keep_header header = {
                .version = NB_KEEP_VERSION, .verb = NB_KEEP_ENTRY, .id = entry->id, .length = (uint32_t)entry->length
        };
        int r = send_message(server, &header, entry);

        if (r == 0)
                server->next_sent = server->next_sent->next;
        return r;
}

static int send_end(struct server *server) {
        const struct nb_keep_header header = { .version = NB_KEEP_VERSION,
                                               .verb = NB_KEEP_END,
                                               .id = server->store.last_id };

        return send_message(server, &header, NULL);
}

/* Whoever waits for all that is kept would wait in vain for the rest, and whose message is not read would lose what it has put. */
static bool is_for_later(int r) {
        return r == -EAGAIN || nb_channel_is_short(r);
}

/* A broker that is gone is sent nothing more, but what it has sent itself is read. @return 0; as is_for_later(): there is room later */
static int send_some(struct server *server) {
        int r = 0;

        while (r == 0 && server->next_sent != &server->store.entries)
                r = send_entry(server);
        if (r == 0)
                r = send_end(server);
        server->sending = is_for_later(r);
        server->crowded = nb_channel_is_short(r);
        return server->sending ? r : 0;
}

/* ---- what is received ---- */

static int begin(struct server *server, bool fetch) {
        if (server->begun)
                return -EPROTO;
        if (!fetch)
                store_clear(&server->store);
        server->begun = true;
        server->sending = true;
        server->next_sent = server->store.entries.next;
        return 0;
}

static int put(struct server *server, const struct nb_keep_header *header, struct nb_channel_fds *fds) {
        int r;

        if (fds->n > NB_KEEP_FDS_MAX)
                return -EPROTO;
        r = store_put(&server->store, header->id, server->message + sizeof(*header), header->length, fds);
        if (r < 0)
                refuse(server, header->id, r);
        return 0;
}

static int handle(struct server *server, const struct nb_keep_header *header, struct nb_channel_fds *fds) {
        bool has_id = header->id != 0 && server->begun;

        switch (header->verb) {
        case NB_KEEP_FETCH:
        case NB_KEEP_RESET:
                return begin(server, header->verb == NB_KEEP_FETCH);
        case NB_KEEP_PUT:
                return has_id ? put(server, header, fds) : -EPROTO;
        case NB_KEEP_FORGET:
                if (!has_id)
                        return -EPROTO;
                store_forget(&server->store, header->id);
                return 0;
        default:
                return -EPROTO;
        }
}

/* What the message said whose descriptors there was no room for; without them it is worth nothing. */
static int lose_entry(struct server *server, size_t length) {
        struct nb_keep_header header;

        if (length < sizeof(header))
                return -EPROTO;
        memcpy(&header, server->message, sizeof(header));
        store_forget(&server->store, header.id);
        refuse(server, header.id, -EMFILE);
        return 0;
}

/* @return 0; -EAGAIN; another -errno: the broker is gone, or is none */
static int receive_one(struct server *server) {
        struct nb_keep_header header;
        struct nb_channel_fds fds;
        int r, n = nb_channel_receive(server->client_fd, server->message, &fds);

        if (n == -EMFILE)
                return lose_entry(server, fds.n_bytes_lost);
        /* It has gone and not read all that we sent. That is said once, and before what it has sent itself. */
        if (n == -ECONNRESET)
                return 0;
        if (n <= 0)
                return n < 0 ? n : -EPIPE;
        if ((size_t)n >= sizeof(header))
                memcpy(&header, server->message, sizeof(header));
        if ((size_t)n < sizeof(header) || header.version != NB_KEEP_VERSION || header.length > NB_KEEP_BYTES_MAX ||
            header.length != (size_t)n - sizeof(header))
                r = -EPROTO;
        else
                r = handle(server, &header, &fds);
        nb_channel_fds_close(&fds);
        return r;
}

static int serve_client(struct server *server) {
        int r = 0;

        for (int i = 0; i < BATCH && r == 0 && !server->sending; ++i)
                r = receive_one(server);
        return r == 0 && server->sending ? send_some(server) : r;
}

static void turn_client(struct server *server) {
        int r = serve_client(server);

        if (r == 0 || is_for_later(r))
                return;
        if (r == -EPROTO || r == -EBADMSG)
                nb_log(server->log, NB_LOG_WARNING,
                       "what came is no message of this version of netbrokerd's (%d): the connection is ended",
                       NB_KEEP_VERSION);
        lose_client(server);
}

/* ---- the loop ---- */

static bool is_waiting_for_broker(const struct server *server) {
        return server->client_fd < 0 && server->timeout_ms > 0 && server->store.n_entries > 0;
}

static void forget_all(struct server *server) {
        nb_log(server->log, NB_LOG_WARNING,
               "no netbrokerd has come back for %llu s: what the last one has left is closed (%llu entries)",
               (unsigned long long)(server->timeout_ms / 1000), (unsigned long long)server->store.n_entries);
        store_clear(&server->store);
}

static int wait_ms(const struct server *server) {
        uint64_t passed;

        if (server->crowded)
                return RETRY_MS;
        if (!is_waiting_for_broker(server))
                return -1;
        passed = now_ms() - server->left_ms;
        if (passed >= server->timeout_ms)
                return 0;
        return server->timeout_ms - passed < INT_MAX ? (int)(server->timeout_ms - passed) : INT_MAX;
}

static short awaited(const struct server *server) {
        if (server->crowded)
                return 0;
        return server->sending ? POLLOUT : POLLIN;
}

int server_turn(struct server *server) {
        bool is_served = server->client_fd >= 0;
        struct pollfd event = {
                .fd = is_served ? server->client_fd : server->listen_fd,
                .events = awaited(server),
        };
        int n = poll(&event, 1, wait_ms(server));

        if (n < 0)
                return errno == EINTR ? 0 : -errno;
        set_alarm(true);
        if (is_served && (n > 0 || server->crowded))
                turn_client(server);
        else if (n > 0)
                accept_one(server);
        else if (is_waiting_for_broker(server) && wait_ms(server) == 0)
                forget_all(server);
        set_alarm(false);
        return 0;
}

int server_init(struct server *server, const struct store_limits *limits) {
        store_init(&server->store, limits);
        server->client_fd = -1;
        server->begun = false;
        server->sending = false;
        server->has_refused = false;
        server->crowded = false;
        server->left_ms = now_ms();
        return take_alarm();
}

void server_deinit(struct server *server) {
        server->client_fd = nb_fd_close(server->client_fd);
        store_clear(&server->store);
}
