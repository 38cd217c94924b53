/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/wasi/poll.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "base/cleanup.h"
#include "proto/wasi.h"
#include "shim/client/connection.h"
#include "shim/client/control.h"
#include "shim/wasi/functions.h"
#include "shim/wasi/waiting.h"

/* struct subscription: userdata u64, tag u8 at 8; for a clock id u32 at 16, timeout u64 at 24, flags u16 at 40; else fd u32 at 16. */
#define SUBSCRIPTION_SIZE 48u

/* struct event: userdata u64, error u16 at 8, type u8 at 10, nbytes u64 at 16, flags u16 at 24. */
#define EVENT_SIZE 32u

#define EVENTTYPE_CLOCK 0
#define EVENTTYPE_FD_READ 1
#define EVENTTYPE_FD_WRITE 2

#define SUBCLOCKFLAGS_ABSTIME 0x1u
#define EVENTRWFLAGS_HANGUP 0x1u

#define CLOCK_ID_REALTIME 0u
#define CLOCK_ID_MONOTONIC 1u
#define CLOCK_ID_MAX 3u /* 2 and 3: the time that a process and a thread have used */

/* Asking for one takes Wasmtime up to 0.1 ms, and nothing interrupts a guest's call, which is not to keep the host for seconds. */
#define FILES_ASKED_MAX 1024u

#define NS_PER_S INT64_C(1000000000)

enum watch_state {
        WATCH_READY, /* an event whatever happens, with error, nbytes and flags as they are */
        WATCH_FILE,  /* as WATCH_READY, but the engine is to be asked for nbytes */
        WATCH_TIME,  /* the engine is to be asked which deadline `time` is */
        WATCH_CLOCK, /* at `deadline` */
        WATCH_FD,    /* when `index` of the poll set is */
};

/* A subscription as far as it is needed. */
struct watch {
        uint64_t userdata;
        enum watch_state state;
        uint16_t error;
        uint8_t type;
        uint8_t kind;  /* enum nb_descriptor_kind, for WATCH_FD */
        uint8_t clock; /* for WATCH_TIME */
        bool hangup;
        bool is_datagrams; /* of a stream: messages */
        short wanted;      /* what of poll()'s events it waits for */
        uint32_t number;   /* of the descriptor, for WATCH_FD */
        union {
                int64_t time;     /* of the engine's clock, ns */
                int64_t deadline; /* host monotonic, ns */
                uint32_t index;
                uint32_t engine_fd;
                uint64_t nbytes;
        };
};

struct poll_set {
        struct watch *watches;
        struct pollfd *fds;
        uint32_t n_watches;
        uint32_t n_fds;
        uint32_t fds_capacity;
        uint32_t n_ready;
        uint32_t n_to_ask;     /* of the engine */
        uint32_t n_files;      /* of which it was asked */
        int64_t deadline;      /* the earliest; INT64_MAX: none */
        int64_t now;           /* host monotonic, ns, when the call began; 0 until it is needed */
        uint32_t scratch;      /* where the engine may write */
        uint32_t scratch_size; /* bytes; at least 8 */
        int64_t offsets[2];    /* host monotonic minus the engine's clock, by clock id */
        bool known[2];
};

static void poll_set_deinit(struct poll_set *set) {
        free(set->watches);
        free(set->fds);
}

static int64_t host_time(clockid_t clock) {
        struct timespec ts;

        (void)clock_gettime(clock, &ts);
        return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* The sum, or the nearest that fits. */
static int64_t saturating_add(int64_t a, int64_t b) {
        int64_t sum;

        if (!__builtin_add_overflow(a, b, &sum))
                return sum;
        return b > 0 ? INT64_MAX : INT64_MIN;
}

static int64_t clamp(uint64_t ns) {
        return ns > INT64_MAX ? INT64_MAX : (int64_t)ns;
}

/* ---- what is subscribed to ---- */

static void fail_watch(struct watch *watch, int error) {
        watch->state = WATCH_READY;
        watch->error = (uint16_t)error;
        watch->nbytes = 0;
}

static void set_deadline(struct poll_set *set, struct watch *watch, int64_t base, int64_t time) {
        watch->state = WATCH_CLOCK;
        watch->deadline = saturating_add(base, time);
        if (watch->deadline < set->deadline)
                set->deadline = watch->deadline;
}

static void add_clock(struct poll_set *set, struct watch *watch, const uint8_t *subscription) {
        uint32_t clock = nb_le_u32(subscription + 16);
        int64_t timeout = clamp(nb_le_u64(subscription + 24));
        uint16_t flags = nb_le_u16(subscription + 40);

        if ((flags & ~SUBCLOCKFLAGS_ABSTIME) || clock > CLOCK_ID_MAX) {
                fail_watch(watch, NB_WASI_EINVAL);
        } else if (clock > CLOCK_ID_MONOTONIC) {
                fail_watch(watch, NB_WASI_ENOTSUP);
        } else if (flags & SUBCLOCKFLAGS_ABSTIME) {
                watch->state = WATCH_TIME;
                watch->clock = (uint8_t)clock;
                watch->time = timeout;
        } else {
                if (!set->now)
                        set->now = host_time(CLOCK_MONOTONIC);
                set_deadline(set, watch, set->now, timeout);
        }
}

/* Puts a host descriptor into the poll set, once however many subscriptions name it. @return whether it was not there yet */
static bool add_fd(struct poll_set *set, struct nb_descriptor *descriptor, int fd, short events, struct watch *watch) {
        uint32_t index = descriptor->poll_index;
        bool is_new = index >= set->n_fds || set->fds[index].fd != fd;

        if (is_new) {
                index = set->n_fds++;
                set->fds[index] = (struct pollfd){ .fd = fd };
                descriptor->poll_index = index;
        }
        set->fds[index].events |= events;
        watch->state = WATCH_FD;
        watch->kind = (uint8_t)descriptor->kind;
        watch->wanted = events;
        watch->index = index;
        return is_new;
}

/* A control is polled with the connections that wait in it for their first streams. @return `success` or `nomem` */
static int add_control(struct poll_set *set, struct nb_descriptor *control, struct watch *watch) {
        unsigned n = nb_waiting_n(control->waiting);
        struct pollfd *fds = set->fds;
        short events;
        int fd;

        if (nb_waiting_has_stream(control->waiting)) {
                watch->state = WATCH_READY;
                watch->nbytes = 1;
                return NB_WASI_SUCCESS;
        }
        fd = nb_control_poll_fd(control->control, &events);
        if (!add_fd(set, control, fd, events, watch) || n == 0)
                return NB_WASI_SUCCESS;
        fds = realloc(fds, (set->fds_capacity + n) * sizeof(*fds));
        if (!fds)
                return NB_WASI_ENOMEM;
        set->fds = fds;
        set->fds_capacity += n;
        set->n_fds += nb_waiting_poll_fds(control->waiting, &fds[set->n_fds]);
        return NB_WASI_SUCCESS;
}

static short wanted_of(const struct watch *watch) {
        return watch->type == EVENTTYPE_FD_READ ? POLLIN : POLLOUT;
}

/* Turns the watch of a connection into an event if that is due. */
static bool settle_connection(struct watch *watch, const struct nb_connection *connection, short ready) {
        if (!(ready & wanted_of(watch)))
                return false;
        watch->state = WATCH_READY;
        watch->hangup = ready & POLLHUP;
        if (watch->type == EVENTTYPE_FD_READ)
                watch->nbytes = nb_connection_n_incoming(connection);
        else
                watch->nbytes = !watch->hangup;
        return true;
}

/* Where there is one stream, it is there or taken, and neither is waited for. */
static void add_connection(struct poll_set *set, struct nb_descriptor *descriptor, struct watch *watch) {
        struct nb_connection *connection = descriptor->connection->connection;
        short events;
        int fd;

        if (!nb_connection_is_multiplexed(connection)) {
                watch->state = WATCH_READY;
                watch->nbytes = 0;
                return;
        }
        if (settle_connection(watch, connection, nb_connection_known(connection)))
                return;
        fd = nb_connection_poll_fd(connection, &events);
        (void)add_fd(set, descriptor, fd, events, watch);
}

/* @return `success` or `nomem` */
static int add_descriptor(struct poll_set *set, struct watch *watch, struct nb_descriptor *descriptor) {
        bool read = watch->type == EVENTTYPE_FD_READ;

        switch (descriptor->kind) {
        case NB_DESCRIPTOR_FREE:
        case NB_DESCRIPTOR_PROTOCOL:
                fail_watch(watch, NB_WASI_ENOTSUP);
                break;
        case NB_DESCRIPTOR_ENGINE: /* files never wait */
                watch->state = read ? WATCH_FILE : WATCH_READY;
                if (read)
                        watch->engine_fd = descriptor->engine_fd;
                else
                        watch->nbytes = 1;
                break;
        case NB_DESCRIPTOR_CONNECTION:
                add_connection(set, descriptor, watch);
                break;
        case NB_DESCRIPTOR_STDIO:
                (void)add_fd(set, descriptor, descriptor->host_fd, read ? POLLIN : POLLOUT, watch);
                break;
        case NB_DESCRIPTOR_CONTROL: /* readable and writable alike mean that the broker has sent what is waited for */
                return add_control(set, descriptor, watch);
        case NB_DESCRIPTOR_STREAM:
                watch->is_datagrams = descriptor->filetype == NB_SOCKET_DGRAM;
                (void)add_fd(set, descriptor, descriptor->host_fd, read ? POLLIN | POLLRDHUP : POLLOUT, watch);
                break;
        }
        return NB_WASI_SUCCESS;
}

/* @return `success` or `nomem` */
static int add_watch(const struct nb_call *call, struct poll_set *set, const uint8_t *subscription) {
        struct watch *watch = &set->watches[set->n_watches++];
        struct nb_descriptor *descriptor;

        *watch = (struct watch){ .userdata = nb_le_u64(subscription), .type = subscription[8] };
        if (watch->type == EVENTTYPE_CLOCK) {
                add_clock(set, watch, subscription);
                return NB_WASI_SUCCESS;
        }
        if (watch->type != EVENTTYPE_FD_READ && watch->type != EVENTTYPE_FD_WRITE) {
                fail_watch(watch, NB_WASI_EINVAL);
                return NB_WASI_SUCCESS;
        }
        watch->number = nb_le_u32(subscription + 16);
        descriptor = nb_table_get(&call->guest->table, watch->number);
        if (descriptor)
                return add_descriptor(set, watch, descriptor);
        fail_watch(watch, NB_WASI_EBADF);
        return NB_WASI_SUCCESS;
}

/* Copies all subscriptions before anything is written: the guest's two arrays may overlap. Each is read once. */
static int add_all(const struct nb_call *call, struct poll_set *set, uint32_t pointer, uint32_t n) {
        uint8_t subscription[SUBSCRIPTION_SIZE];

        for (uint32_t i = 0; i < n; ++i) {
                int r;

                (void)nb_call_read(call, pointer + i * SUBSCRIPTION_SIZE, subscription,
                                   sizeof(subscription)); /* covered */
                r = add_watch(call, set, subscription);
                if (r)
                        return r;
                if (set->watches[i].state == WATCH_READY)
                        ++set->n_ready;
                else if (set->watches[i].state == WATCH_FILE || set->watches[i].state == WATCH_TIME)
                        ++set->n_to_ask;
        }
        return NB_WASI_SUCCESS;
}

/* ---- what the engine knows ---- */

/* What is to be added to a time of the engine's clock to get the host's monotonic time. */
static int clock_offset(struct nb_call *call, struct poll_set *set, uint32_t clock, int64_t *ret) {
        uint64_t time;
        int r;

        if (!set->known[clock]) {
                r = nb_functions_clock_time(call, clock, set->scratch, &time);
                if (r < 0)
                        return r;
                if (r > 0) /* an engine without clocks: the host's, then */
                        time = (uint64_t)host_time(clock == CLOCK_ID_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC);
                set->offsets[clock] = host_time(CLOCK_MONOTONIC) - clamp(time);
                set->known[clock] = true;
        }
        *ret = set->offsets[clock];
        return NB_WASI_SUCCESS;
}

static int ask_time(struct nb_call *call, struct poll_set *set, struct watch *watch) {
        int64_t offset;
        int r;

        r = clock_offset(call, set, watch->clock, &offset);
        if (r)
                return r;
        set_deadline(set, watch, offset, watch->time);
        return NB_WASI_SUCCESS;
}

/* Where there is too little room to ask, or too much to ask, or the engine does not say, all that is known is that a read will not wait. */
static int ask_file(struct nb_call *call, struct poll_set *set, struct watch *watch) {
        uint64_t left = 1;
        int r;

        if (set->scratch_size >= NB_FUNCTIONS_FILE_SCRATCH && set->n_files < FILES_ASKED_MAX) {
                ++set->n_files;
                r = nb_functions_file_left(call, watch->engine_fd, set->scratch, &left);
                if (r < 0)
                        return r;
        }
        watch->state = WATCH_READY;
        watch->nbytes = left;
        ++set->n_ready;
        return NB_WASI_SUCCESS;
}

static int ask_engine(struct nb_call *call, struct poll_set *set) {
        for (uint32_t i = 0; i < set->n_watches && set->n_to_ask > 0; ++i) {
                struct watch *watch = &set->watches[i];
                int r = NB_WASI_SUCCESS;

                if (watch->state == WATCH_TIME)
                        r = ask_time(call, set, watch);
                else if (watch->state == WATCH_FILE)
                        r = ask_file(call, set, watch);
                else
                        continue;
                if (r)
                        return r;
                --set->n_to_ask;
        }
        return NB_WASI_SUCCESS;
}

/* ---- waiting ---- */

static uint64_t bytes_to_read(int fd) {
        int n = 0;

        return ioctl(fd, FIONREAD, &n) < 0 || n < 0 ? 0 : (uint64_t)n;
}

/*
 * Of a relay's pair the kernel counts the bytes of all messages. A look takes the socket's error, which is for the next call: there is none where poll(2)
 * told of it, and one that came since is kept.
 */
static uint64_t bytes_of_datagram(struct nb_descriptor *stream, short revents) {
        int fd = stream->host_fd;
        uint64_t n = revents & POLLERR ? 0 : bytes_to_read(fd);
        socklen_t length = sizeof(int);
        ssize_t next;
        int type = 0;

        if (n == 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || type != SOCK_SEQPACKET)
                return n;
        next = recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
        if (next < 0 && errno == ECONNRESET)
                stream->pending_error = NB_WASI_ECONNRESET;
        return next < 0 ? 0 : (uint64_t)next;
}

/* What the socket's buffer has room for, by the kernel's own account, which counts its overhead; at least 1. */
static uint64_t bytes_to_write(int fd) {
        uint32_t memory[SK_MEMINFO_VARS] = { 0 };
        socklen_t length = sizeof(memory);
        uint32_t used;

        if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &length) < 0)
                return 1;
        /* TCP queues; other sockets allocate. */
        used = memory[SK_MEMINFO_WMEM_QUEUED];
        if (used < memory[SK_MEMINFO_WMEM_ALLOC])
                used = memory[SK_MEMINFO_WMEM_ALLOC];
        return memory[SK_MEMINFO_SNDBUF] > used ? memory[SK_MEMINFO_SNDBUF] - used : 1;
}

static uint64_t count_bytes(const struct nb_call *call, const struct watch *watch, int fd, short revents) {
        if (watch->is_datagrams && watch->type == EVENTTYPE_FD_READ)
                return bytes_of_datagram(nb_table_get(&call->guest->table, watch->number), revents);
        switch (watch->kind) {
        case NB_DESCRIPTOR_STDIO:
                return watch->type == EVENTTYPE_FD_READ ? bytes_to_read(fd) : 1;
        default:
                return watch->type == EVENTTYPE_FD_READ ? bytes_to_read(fd) : bytes_to_write(fd);
        }
}

/*
 * Turns the watch of a control into an event if that is due. What came may mean nothing to the guest, as when a broker was started again; and the
 * control may have another descriptor then.
 */
static bool settle_control(const struct nb_call *call, struct poll_set *set, struct watch *watch) {
        struct nb_descriptor *descriptor = nb_table_get(&call->guest->table, watch->number);
        struct nb_control *control = descriptor->control;
        struct pollfd *pollfd = &set->fds[watch->index];
        uint32_t behind = watch->index + 1; /* where the connections that wait in the control are */
        short revents = pollfd->revents;
        short ready = revents ? nb_control_ready(control) : 0;

        if (!ready && nb_waiting_is_ready(descriptor->waiting, &set->fds[behind], set->n_fds - behind))
                ready = POLLIN;
        if (!ready) {
                pollfd->fd = nb_control_poll_fd(control, &pollfd->events);
                pollfd->revents = 0;
                return false;
        }
        watch->state = WATCH_READY;
        watch->hangup = (ready & POLLHUP) || ((revents & POLLHUP) && !nb_control_outlives_channel(control));
        watch->nbytes = !(ready & POLLHUP); /* what came before a hang-up can still be had */
        return true;
}

/*
 * That the peer takes no more of a stream of QUIC (STOP_SENDING) poll(2) does not tell of a pair; a write of nothing does. What the guest has shut down
 * itself is no hang-up.
 */
static bool is_stopped(const struct nb_call *call, const struct watch *watch) {
        const struct nb_descriptor *stream;

        if (watch->kind != NB_DESCRIPTOR_STREAM || watch->type != EVENTTYPE_FD_WRITE || watch->is_datagrams)
                return false;
        stream = nb_table_get(&call->guest->table, watch->number);
        if (stream->shut_for_writing || !nb_connection_is_multiplexed(stream->connection->connection))
                return false;
        return send(stream->host_fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EPIPE;
}

/* Turns a watch whose descriptor is ready into an event. */
static bool settle_fd(const struct nb_call *call, struct poll_set *set, struct watch *watch) {
        const struct pollfd *pollfd = &set->fds[watch->index];
        short hangup = watch->type == EVENTTYPE_FD_READ ? POLLHUP | POLLRDHUP : POLLHUP;
        short revents = pollfd->revents;

        if (revents & POLLNVAL) {
                fail_watch(watch, NB_WASI_EBADF);
                return true;
        }
        if (watch->kind == NB_DESCRIPTOR_CONTROL)
                return settle_control(call, set, watch);
        /* What is ready behind the channel of a connection is known only when what came was taken in. */
        if (!(revents & (watch->wanted | POLLHUP | POLLERR)))
                return false;
        if (watch->kind == NB_DESCRIPTOR_CONNECTION) {
                struct nb_descriptor *descriptor = nb_table_get(&call->guest->table, watch->number);
                struct nb_connection *connection = descriptor->connection->connection;

                return settle_connection(watch, connection, nb_connection_ready(connection));
        }
        watch->state = WATCH_READY;
        watch->hangup = revents & hangup || is_stopped(call, watch);
        watch->nbytes = count_bytes(call, watch, pollfd->fd, revents);
        return true;
}

/* Turns all that is ready into events. */
static void settle(const struct nb_call *call, struct poll_set *set) {
        int64_t now = set->deadline == INT64_MAX ? INT64_MIN : host_time(CLOCK_MONOTONIC);

        for (uint32_t i = 0; i < set->n_watches; ++i) {
                struct watch *watch = &set->watches[i];

                if (watch->state == WATCH_FD && settle_fd(call, set, watch)) {
                        ++set->n_ready;
                } else if (watch->state == WATCH_CLOCK && watch->deadline <= now) {
                        watch->state = WATCH_READY;
                        watch->nbytes = 0;
                        ++set->n_ready;
                }
        }
}

static int64_t time_left(const struct poll_set *set) {
        int64_t left;

        if (set->n_ready > 0)
                return 0;
        if (set->deadline == INT64_MAX)
                return -1;
        left = saturating_add(set->deadline, -host_time(CLOCK_MONOTONIC));
        return left > 0 ? left : 0;
}

/* Waits until there is an event. */
static int wait_for_event(struct nb_call *call, struct poll_set *set) {
        int r;

        do {
                r = call->guest->wait(call->guest->wait_data, set->fds, set->n_fds, time_left(set));
                nb_call_refresh(call);
                if (r < 0)
                        return nb_call_errno(r);
                settle(call, set);
        } while (set->n_ready == 0);
        return NB_WASI_SUCCESS;
}

/* ---- the answer ---- */

static void encode_event(const struct watch *watch, uint8_t bytes[static EVENT_SIZE]) {
        memset(bytes, 0, EVENT_SIZE);
        nb_le_put_u64(bytes, watch->userdata);
        nb_le_put_u16(bytes + 8, watch->error);
        bytes[10] = watch->type;
        if (watch->type == EVENTTYPE_CLOCK || watch->error)
                return;
        nb_le_put_u64(bytes + 16, watch->nbytes);
        nb_le_put_u16(bytes + 24, watch->hangup ? EVENTRWFLAGS_HANGUP : 0);
}

static int report(const struct nb_call *call, const struct poll_set *set, uint32_t events, uint32_t ret_pointer) {
        uint8_t bytes[EVENT_SIZE];
        uint32_t n = 0;

        for (uint32_t i = 0; i < set->n_watches; ++i) {
                if (set->watches[i].state != WATCH_READY)
                        continue;
                encode_event(&set->watches[i], bytes);
                if (!nb_call_write(call, events + n * EVENT_SIZE, bytes, sizeof(bytes)))
                        return NB_WASI_EFAULT;
                ++n;
        }
        return nb_call_write_u32(call, ret_pointer, n) ? NB_WASI_SUCCESS : NB_WASI_EFAULT;
}

/* The events' place, aligned as the engine wants it. */
static void find_scratch(struct poll_set *set, uint32_t events, uint32_t n) {
        uint32_t padding = -events % 8;

        set->scratch = events + padding;
        set->scratch_size = n * EVENT_SIZE - padding;
}

int nb_poll_oneoff(struct nb_call *call) {
        NB_CLEANUP(poll_set_deinit) struct poll_set set = { .deadline = INT64_MAX };
        uint32_t events = nb_call_u32(call, 1);
        uint32_t n = nb_call_u32(call, 2);
        uint32_t ret_pointer = nb_call_u32(call, 3);
        int r;

        if (n == 0 || n > NB_POLL_SUBSCRIPTIONS_MAX)
                return NB_WASI_EINVAL;
        if (!nb_call_covers(call, nb_call_u32(call, 0), (uint64_t)n * SUBSCRIPTION_SIZE) ||
            !nb_call_covers(call, events, (uint64_t)n * EVENT_SIZE) ||
            !nb_call_covers(call, ret_pointer, sizeof(uint32_t)))
                return NB_WASI_EFAULT;
        set.watches = malloc(n * sizeof(*set.watches));
        set.fds = malloc(n * sizeof(*set.fds));
        if (!set.watches || !set.fds)
                return NB_WASI_ENOMEM;
        set.fds_capacity = n;
        find_scratch(&set, events, n);
        r = add_all(call, &set, nb_call_u32(call, 0), n);
        if (r)
                return r;
        r = ask_engine(call, &set);
        if (r)
                return r;
        r = wait_for_event(call, &set);
        return r ? r : report(call, &set, events, ret_pointer);
}
