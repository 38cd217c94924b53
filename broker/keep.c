/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/keep.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/keep_message.h"
#include "broker/broker.h"
#include "broker/keep_fetch.h"
#include "loop/deadline.h"

static_assert(KEPT_FDS_MAX == NB_KEEP_FDS_MAX, "what an object may have is what the keeper takes");

/* Until a keeper is looked for again: first, and at most, for each time doubles it. */
#define RETRY_LEAST_MS 50
#define RETRY_MOST_MS 5000

/* The kernel has no event for that descriptors on their way have arrived. */
#define CROWDED_MS 10

/* Objects that have ended while the keeper reads nothing. */
#define FORGETS_MAX 1024

#define DETACH_MS 1000

/* How long it is waited for the keeper to read, and how long after something was sent there is something to wait for. */
#define SETTLE_MS 20
#define SETTLE_LATELY_MS 1000

/* The whole broker waits with who settles, so all together do so for a tenth of the time at most, whoever asks for addresses that are in use. */
#define SETTLE_PERIOD_MS 200
#define SETTLE_SHARE_MS 20
#define CONNECT_MS 10000

/* As much as the system lets have: a burst is to be with the keeper before anybody is answered. */
#define SEND_BUFFER (4 * 1024 * 1024)

struct keep {
        struct broker *broker;
        struct sockaddr_un address;
        struct own_socket *own; /* no tenant reaches it */
        struct watch watch;
        int fd; /* -1: not connected */
        struct nb_list kept;
        struct nb_list unsent;
        size_t n_kept;
        size_t n_unsent;
        uint64_t last_id;
        uint64_t forgets[FORGETS_MAX]; /* not sent yet */
        size_t n_forgets;
        struct keep_fetched fetched; /* until keep_items_free() */
        struct deadline *retry;      /* of connecting, or of sending */
        uint64_t retry_ms;
        uint64_t n_refused;
        bool is_full; /* its queue: an event tells, or a deadline, when there is room */
        bool is_ill;
        bool has_refused; /* said once, until it is another keeper */
        bool detached;
        uint64_t settling_since_ns; /* of this period; by uv_hrtime() */
        uint64_t settled_ns;        /* in it */
        uint64_t last_sent_ns;      /* of uv_hrtime() */
        uint8_t message[sizeof(struct nb_keep_header) + NB_KEEP_BYTES_MAX];
};

static void pump(struct keep *keep);
static void ready(struct watch *watch, uint32_t events);

/* ---- which objects there are ---- */

static void mark_unsent(struct keep *keep, struct kept *kept) {
        if (kept->unsent)
                return;
        kept->unsent = true;
        nb_list_append(&keep->unsent, &kept->unsent_link);
        keep->n_unsent++;
}

static void mark_sent(struct keep *keep, struct kept *kept) {
        if (!kept->unsent)
                return;
        kept->unsent = false;
        nb_list_remove(&kept->unsent_link);
        keep->n_unsent--;
}

static void enter(struct keep *keep, struct kept *kept, const struct kept_ops *ops, uint64_t id) {
        *kept = (struct kept){ .ops = ops, .keep = keep, .id = id };
        nb_list_init(&kept->unsent_link);
        nb_list_append(&keep->kept, &kept->link);
        keep->n_kept++;
}

static void leave(struct keep *keep, struct kept *kept) {
        mark_sent(keep, kept);
        nb_list_remove(&kept->link);
        keep->n_kept--;
        *kept = (struct kept){ .keep = NULL };
}

/* ---- being without a keeper ---- */

static int new_channel(void) {
        const int size = SEND_BUFFER;
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
        return fd;
}

static int connect_to_keeper(struct keep *keep) {
        NB_CLEANUP_FD int fd = new_channel();
        int r;

        if (fd < 0)
                return fd;
        if (connect(fd, (const struct sockaddr *)&keep->address, sizeof(keep->address)) < 0)
                return -errno;
        r = watch_start(&keep->watch, &keep->broker->watches, fd, EPOLLIN, ready);
        if (r < 0)
                return r;
        keep->fd = nb_steal_fd(&fd);
        keep->is_full = false;
        keep->has_refused = false;
        return 0;
}

static void disconnect(struct keep *keep) {
        watch_end_before_close(&keep->watch);
        keep->fd = nb_fd_close(keep->fd);
        keep->n_forgets = 0;
        keep->retry = deadline_free(keep->retry);
}

static int send_verb(struct keep *keep, enum nb_keep_verb verb, uint64_t id) {
        const struct nb_keep_header header = { .version = NB_KEEP_VERSION, .verb = verb, .id = id };

        return nb_channel_send(keep->fd, &header, sizeof(header), NULL, 0);
}

/* What it has, if it is another one or has been without us, is not what we have now. */
static int begin_anew(struct keep *keep) {
        int r = connect_to_keeper(keep);

        if (r == 0)
                r = send_verb(keep, NB_KEEP_RESET, 0);
        if (r < 0)
                return r;
        nb_list_foreach_safe(link, &keep->kept) mark_unsent(keep, nb_container_of(link, struct kept, link));
        return 0;
}

static void retry(void *data);

/* Said once, until it is there again. */
static void note_ill(struct keep *keep, const char *why) {
        if (!keep->is_ill)
                nb_log(&keep->broker->log, NB_LOG_WARNING,
                       "netbroker-keeper at %s cannot be reached (%s): until it can, a restart would end every session",
                       keep->address.sun_path, why);
        keep->is_ill = true;
}

static void wait_for_another(struct keep *keep) {
        keep->retry = deadline_new(&keep->broker->loop, keep->retry_ms, retry, keep);
        keep->retry_ms = keep->retry_ms * 2 < RETRY_MOST_MS ? keep->retry_ms * 2 : RETRY_MOST_MS;
}

static void lost(struct keep *keep, int r) {
        disconnect(keep);
        note_ill(keep, strerror(-r));
        wait_for_another(keep);
}

static void retry(void *data) {
        struct keep *keep = data;
        int r;

        keep->retry = deadline_free(keep->retry);
        keep->is_full = false;
        r = keep->fd < 0 ? begin_anew(keep) : 0;
        if (r < 0)
                lost(keep, r);
        else
                pump(keep);
}

/* ---- what is sent ---- */

struct kept_sink {
        struct keep *keep;
        uint64_t id;
        int result;
};

void kept_sink_give(struct kept_sink *sink, Nb__State__Item *item, const int *fds, size_t n_fds) {
        struct nb_keep_header header = { .version = NB_KEEP_VERSION, .verb = NB_KEEP_PUT, .id = sink->id };
        uint8_t *message = sink->keep->message;
        size_t length;

        assert(n_fds <= KEPT_FDS_MAX);
        item->needs = KEPT_STATE_VERSION;
        length = nb__state__item__get_packed_size(item);
        if (length > NB_KEEP_BYTES_MAX) {
                sink->result = -EMSGSIZE;
                return;
        }
        header.length = (uint32_t)length;
        memcpy(message, &header, sizeof(header));
        (void)nb__state__item__pack(item, message + sizeof(header));
        sink->result = nb_channel_send(sink->keep->fd, message, sizeof(header) + length, fds, n_fds);
}

static void note_refusal(struct keep *keep, int error) {
        keep->n_refused++;
        if (keep->has_refused)
                return;
        keep->has_refused = true;
        nb_log(&keep->broker->log, NB_LOG_WARNING,
               "netbroker-keeper does not keep everything (%s): what it refuses ends with this broker; see its "
               "--max-entries and --max-bytes, and LimitNOFILE= of its unit",
               strerror(-error));
}

/* An object that is too large for the keeper is not kept, as one that the keeper refuses. */
static int send_unsent(struct keep *keep, struct kept *kept) {
        struct kept_sink sink = { .keep = keep, .id = kept->id, .result = -EINVAL };

        kept->ops->describe(kept, &sink);
        if (sink.result == -EMSGSIZE) {
                note_refusal(keep, sink.result);
                sink.result = send_verb(keep, NB_KEEP_FORGET, kept->id);
        }
        if (sink.result == 0)
                mark_sent(keep, kept);
        return sink.result;
}

static int send_forgets(struct keep *keep) {
        size_t n = 0;
        int r = 0;

        while (r == 0 && n < keep->n_forgets) {
                r = send_verb(keep, NB_KEEP_FORGET, keep->forgets[n]);
                n += r == 0;
        }
        keep->n_forgets -= n;
        memmove(keep->forgets, keep->forgets + n, keep->n_forgets * sizeof(keep->forgets[0]));
        return r;
}

/* @return 0: nothing is unsent; -EAGAIN, -ETOOMANYREFS: its queue is full; another -errno: it is gone */
static int send_all(struct keep *keep) {
        int r = send_forgets(keep);

        while (r == 0 && !nb_list_is_empty(&keep->unsent))
                r = send_unsent(keep, nb_container_of(keep->unsent.next, struct kept, unsent_link));
        return r;
}

static void wait_for_room(struct keep *keep, int r) {
        keep->is_full = true;
        if (r == -EAGAIN && watch_change(&keep->watch, EPOLLIN | EPOLLOUT) == 0)
                return;
        if (!keep->retry)
                keep->retry = deadline_new(&keep->broker->loop, CROWDED_MS, retry, keep);
        /* Without memory for a timer the next one that is put tries again. */
        keep->is_full = keep->retry != NULL;
}

static void pump(struct keep *keep) {
        int r;

        /* Without memory for a timer the next one that is put looks for it. */
        if (keep->fd < 0 && !keep->retry)
                wait_for_another(keep);
        if (keep->fd < 0 || keep->is_full)
                return;
        keep->last_sent_ns = uv_hrtime();
        r = send_all(keep);
        if (r == -EAGAIN || r == -ETOOMANYREFS)
                wait_for_room(keep, r);
        else if (r < 0)
                lost(keep, r);
}

/* ---- what is heard ---- */

/* It has answered: should it end, the next one is looked for at once. */
static void note_well(struct keep *keep) {
        if (keep->is_ill)
                nb_log(&keep->broker->log, NB_LOG_NOTICE,
                       "netbroker-keeper at %s is there again, and is given %zu entries", keep->address.sun_path,
                       keep->n_kept);
        keep->is_ill = false;
        keep->retry_ms = RETRY_LEAST_MS;
}

/* @return 0; -EAGAIN; another -errno: it is gone */
static int receive_one(struct keep *keep) {
        struct nb_keep_header header;
        ssize_t n = recv(keep->fd, &header, sizeof(header), MSG_TRUNC | MSG_DONTWAIT);

        if (n < 0)
                return -errno;
        if (n == 0)
                return -ECONNRESET;
        if (n != sizeof(header) || header.version != NB_KEEP_VERSION)
                return -EPROTO;
        switch (header.verb) {
        case NB_KEEP_END:
                note_well(keep);
                return 0;
        case NB_KEEP_REFUSED:
                note_refusal(keep, header.error);
                return 0;
        default:
                return -EPROTO;
        }
}

static void ready(struct watch *watch, uint32_t events) {
        struct keep *keep = nb_container_of(watch, struct keep, watch);
        int r = events & ~(uint32_t)EPOLLOUT ? receive_one(keep) : 0;

        if (r < 0 && r != -EAGAIN && r != -EINTR) {
                lost(keep, r);
                return;
        }
        if (!(events & EPOLLOUT))
                return;
        (void)watch_change(&keep->watch, EPOLLIN);
        keep->is_full = false;
        pump(keep);
}

/* ---- what objects call ---- */

void keep_put(struct keep *keep, struct kept *kept, const struct kept_ops *ops) {
        if (!keep || keep->detached)
                return;
        if (!kept->keep)
                enter(keep, kept, ops, ++keep->last_id);
        mark_unsent(keep, kept);
        pump(keep);
}

void keep_adopt(struct keep *keep, struct kept *kept, const struct kept_ops *ops, uint64_t id) {
        assert(keep && !kept->keep);
        keep_fetched_adopt(&keep->fetched, id);
        enter(keep, kept, ops, id);
}

bool kept_socket_is_over(int fd) {
        struct pollfd pollfd = { .fd = fd };

        return poll(&pollfd, 1, 0) > 0;
}

/* Who has so much to forget that the keeper does not take begins anew with what is left. */
static void forget(struct keep *keep, uint64_t id) {
        if (keep->fd < 0 || keep->detached)
                return;
        if (keep->n_forgets == FORGETS_MAX) {
                disconnect(keep);
                wait_for_another(keep);
                return;
        }
        keep->forgets[keep->n_forgets++] = id;
        pump(keep);
}

void keep_forget(struct kept *kept) {
        struct keep *keep = kept->keep;
        uint64_t id = kept->id;

        if (!keep)
                return;
        leave(keep, kept);
        forget(keep, id);
}

void keep_items_free(struct keep *keep, struct kept_item *items, size_t n) {
        for (size_t i = 0; i < n; ++i) {
                nb__state__item__free_unpacked(items[i].item, NULL);
                for (size_t j = 0; j < items[i].n_fds; ++j)
                        (void)nb_channel_fd_close(items[i].fds[j]);
        }
        free(items);
        if (!keep)
                return;
        for (size_t i = 0; i < keep->fetched.n; ++i) {
                if (!keep->fetched.entries[i].adopted)
                        forget(keep, keep->fetched.entries[i].id);
        }
        keep_fetched_deinit(&keep->fetched);
}

/* ---- the end of a broker that is to be started again ---- */

static bool is_unsent(const struct keep *keep) {
        return keep->n_unsent > 0 || keep->n_forgets > 0;
}

static int wait_until_sent(struct keep *keep) {
        uint64_t end = uv_hrtime() + (uint64_t)DETACH_MS * 1000000;
        int r = send_all(keep);

        while (r == -EAGAIN || r == -ETOOMANYREFS) {
                struct pollfd event = { .fd = keep->fd, .events = r == -EAGAIN ? POLLOUT : 0 };

                if (uv_hrtime() >= end)
                        return -ETIMEDOUT;
                (void)poll(&event, 1, CROWDED_MS);
                r = send_all(keep);
        }
        return r;
}

void keep_detach(struct keep *keep) {
        int r;

        if (!keep || keep->detached)
                return;
        if (keep->fd < 0)
                (void)begin_anew(keep);
        r = keep->fd < 0 ? -ENOTCONN : wait_until_sent(keep);
        keep->detached = true;
        if (r < 0)
                nb_log(&keep->broker->log, NB_LOG_WARNING,
                       "netbroker-keeper at %s does not have all that is left with it (%s): %zu of %zu entries are not "
                       "there as they are now",
                       keep->address.sun_path, strerror(-r), keep->n_unsent, keep->n_kept);
}

static bool may_settle(struct keep *keep, uint64_t now_ns) {
        if (keep->fd < 0 || now_ns - keep->last_sent_ns > (uint64_t)SETTLE_LATELY_MS * 1000000)
                return false;
        if (now_ns - keep->settling_since_ns > (uint64_t)SETTLE_PERIOD_MS * 1000000) {
                keep->settling_since_ns = now_ns;
                keep->settled_ns = 0;
        }
        return keep->settled_ns < (uint64_t)SETTLE_SHARE_MS * 1000000;
}

bool keep_settle(struct keep *keep) {
        uint64_t begin_ns = uv_hrtime();
        int r = 0, unread = 1;

        if (!keep || !may_settle(keep, begin_ns))
                return false;
        for (int i = 0; i < SETTLE_MS && r == 0 && unread > 0; ++i) {
                /* What it has read it may be about to close. */
                (void)poll(NULL, 0, 1);
                r = ioctl(keep->fd, SIOCOUTQ, &unread);
        }
        keep->settled_ns += uv_hrtime() - begin_ns;
        return r == 0;
}

bool keep_is_detached(const struct keep *keep) {
        return keep && keep->detached;
}

void keep_get_facts(const struct keep *keep, struct keep_facts *ret) {
        *ret = (struct keep_facts){
                .is_connected = keep->fd >= 0,
                .n_kept = keep->n_kept,
                .n_unsent = keep->fd >= 0 ? keep->n_unsent : keep->n_kept,
                .n_refused = keep->n_refused,
        };
}

/* ---- beginning and end ---- */

static struct keep *allocate(struct broker *broker, const char *path) {
        struct keep *keep = calloc(1, sizeof(*keep));
        size_t length = strlen(path);

        if (!keep || length >= sizeof(keep->address.sun_path)) {
                errno = keep ? ENAMETOOLONG : ENOMEM;
                free(keep);
                return NULL;
        }
        keep->broker = broker;
        keep->fd = -1;
        keep->retry_ms = RETRY_LEAST_MS;
        keep->address.sun_family = AF_UNIX;
        memcpy(keep->address.sun_path, path, length);
        nb_list_init(&keep->kept);
        nb_list_init(&keep->unsent);
        keep->own = own_add_path(&broker->own, "the socket of netbroker-keeper", path);
        if (keep->own)
                return keep;
        free(keep);
        errno = ENOMEM;
        return NULL;
}

/* Others may be waiting for their turn. */
static int connect_in_turn(struct keep *keep) {
        uint64_t end = uv_hrtime() + (uint64_t)CONNECT_MS * 1000000;
        int r = connect_to_keeper(keep);

        while (r == -EAGAIN && uv_hrtime() < end) {
                (void)poll(NULL, 0, CROWDED_MS);
                r = connect_to_keeper(keep);
        }
        return r == -EAGAIN ? -ETIMEDOUT : r;
}

/* Who is not answered waits for its turn: the keeper has one broker at a time. */
static int fetch(struct keep *keep, struct kept_item **ret_items, size_t *ret_n) {
        int r = connect_in_turn(keep);

        if (r == 0)
                r = send_verb(keep, NB_KEEP_FETCH, 0);
        if (r == 0)
                r = keep_fetch(&keep->broker->log, keep->fd, &keep->fetched, ret_items, ret_n);
        if (r == 0)
                keep->last_id = keep->fetched.last_id;
        return r;
}

/* There is none, or one of another version: nothing of value is lost by going on. Whatever else failed may be better the next time. */
static bool is_gone(int r) {
        return r == -ENOENT || r == -ECONNREFUSED || r == -ECONNRESET || r == -EPIPE || r == -EPROTO;
}

struct keep *keep_new(struct broker *broker, const char *path, struct kept_item **ret_items, size_t *ret_n) {
        struct keep *keep = allocate(broker, path);
        int r;

        if (!keep)
                return NULL;
        *ret_items = NULL;
        *ret_n = 0;
        r = fetch(keep, ret_items, ret_n);
        if (r == 0)
                return keep;
        if (is_gone(r)) {
                lost(keep, r);
                return keep;
        }
        (void)keep_free(keep);
        errno = r == -ETIMEDOUT ? EBUSY : -r;
        return NULL;
}

struct keep *keep_free(struct keep *keep) {
        if (!keep)
                return NULL;
        nb_list_foreach_safe(link, &keep->kept) leave(keep, nb_container_of(link, struct kept, link));
        if (!keep->detached && keep->fd >= 0 && is_unsent(keep))
                (void)send_all(keep);
        disconnect(keep);
        keep_fetched_deinit(&keep->fetched);
        keep->own = own_free(keep->own);
        free(keep);
        return NULL;
}
