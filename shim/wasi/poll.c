/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/wasi/poll.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "base/cleanup.h"
#include "proto/wasi.h"
#include "shim/wasi/functions.h"

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

#define NS_PER_S INT64_C(1000000000)

enum watch_state {
        WATCH_READY, /* an event whatever happens, with error, nbytes and flags as they are */
        WATCH_CLOCK, /* at `deadline` */
        WATCH_FD,    /* when `index` of the poll set is */
};

/* A subscription as far as it is needed. */
struct watch {
        uint64_t userdata;
        enum watch_state state;
        uint16_t error;
        uint8_t type;
        bool hangup;
        bool counted; /* nbytes can be asked for */
        short wanted; /* what of poll()'s events it waits for */
        union {
                int64_t deadline; /* host monotonic, ns */
                uint32_t index;
                uint64_t nbytes;
        };
};

struct poll_set {
        struct watch *watches;
        struct pollfd *fds;
        uint32_t n_watches;
        uint32_t n_fds;
        uint32_t n_ready;
        int64_t deadline;   /* the earliest; INT64_MAX: none */
        int64_t now;        /* host monotonic, ns, when the call began */
        uint32_t scratch;   /* where the engine's clock may be stored */
        int64_t offsets[2]; /* host monotonic minus the engine's clock, by clock id */
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

static void fail_watch(struct watch *watch, int error) {
        watch->state = WATCH_READY;
        watch->error = (uint16_t)error;
        watch->nbytes = 0;
}

static int add_clock(struct nb_call *call, struct poll_set *set, struct watch *watch, const uint8_t *subscription) {
        uint32_t clock = nb_le_u32(subscription + 16);
        int64_t timeout = clamp(nb_le_u64(subscription + 24));
        uint16_t flags = nb_le_u16(subscription + 40);
        int64_t base = set->now;
        int r;

        if (flags & ~SUBCLOCKFLAGS_ABSTIME) {
                fail_watch(watch, NB_WASI_EINVAL);
                return NB_WASI_SUCCESS;
        }
        if (clock != CLOCK_ID_REALTIME && clock != CLOCK_ID_MONOTONIC) {
                fail_watch(watch, NB_WASI_ENOTSUP);
                return NB_WASI_SUCCESS;
        }
        if (flags & SUBCLOCKFLAGS_ABSTIME) {
                r = clock_offset(call, set, clock, &base);
                if (r)
                        return r;
        }
        watch->state = WATCH_CLOCK;
        watch->deadline = saturating_add(base, timeout);
        if (watch->deadline < set->deadline)
                set->deadline = watch->deadline;
        return NB_WASI_SUCCESS;
}

/* Puts a host descriptor into the poll set, once however many subscriptions name it. */
static void add_fd(struct poll_set *set, struct nb_descriptor *descriptor, int fd, short events, struct watch *watch) {
        uint32_t index = descriptor->poll_index;

        if (index >= set->n_fds || set->fds[index].fd != fd) {
                index = set->n_fds++;
                set->fds[index] = (struct pollfd){ .fd = fd };
                descriptor->poll_index = index;
        }
        set->fds[index].events |= events;
        watch->state = WATCH_FD;
        watch->wanted = events;
        watch->index = index;
}

static void add_descriptor(struct poll_set *set, struct watch *watch, struct nb_descriptor *descriptor) {
        bool read = watch->type == EVENTTYPE_FD_READ;
        short events = read ? POLLIN | POLLRDHUP : POLLOUT;
        int fd;

        switch (descriptor->kind) {
        case NB_DESCRIPTOR_FREE:
        case NB_DESCRIPTOR_PROTOCOL:
                fail_watch(watch, NB_WASI_ENOTSUP);
                return;
        case NB_DESCRIPTOR_ENGINE: /* files never wait; how much there is, only the engine knows */
                watch->state = WATCH_READY;
                watch->nbytes = 1;
                return;
        case NB_DESCRIPTOR_CONNECTION: /* its one stream is there, or taken: neither is waited for */
                watch->state = WATCH_READY;
                watch->nbytes = 0;
                return;
        case NB_DESCRIPTOR_STDIO:
                add_fd(set, descriptor, descriptor->host_fd, read ? POLLIN : POLLOUT, watch);
                watch->counted = read;
                return;
        case NB_DESCRIPTOR_CONTROL: /* readable and writable alike mean that the broker has sent what is waited for */
                fd = nb_control_poll_fd(descriptor->control, &events);
                add_fd(set, descriptor, fd, events, watch);
                return;
        case NB_DESCRIPTOR_STREAM:
                add_fd(set, descriptor, descriptor->host_fd, events, watch);
                watch->counted = true;
                return;
        }
}

static int add_watch(struct nb_call *call, struct poll_set *set, const uint8_t *subscription) {
        struct watch *watch = &set->watches[set->n_watches++];
        struct nb_descriptor *descriptor;

        *watch = (struct watch){ .userdata = nb_le_u64(subscription), .type = subscription[8] };
        if (watch->type == EVENTTYPE_CLOCK)
                return add_clock(call, set, watch, subscription);
        if (watch->type != EVENTTYPE_FD_READ && watch->type != EVENTTYPE_FD_WRITE) {
                fail_watch(watch, NB_WASI_EINVAL);
                return NB_WASI_SUCCESS;
        }
        descriptor = nb_table_get(&call->guest->table, nb_le_u32(subscription + 16));
        if (!descriptor)
                fail_watch(watch, NB_WASI_EBADF);
        else
                add_descriptor(set, watch, descriptor);
        return NB_WASI_SUCCESS;
}

/* Copies all subscriptions before anything is written: the guest's two arrays may overlap. */
static int add_all(struct nb_call *call, struct poll_set *set, const uint8_t *subscriptions, uint32_t n) {
        int r;

        for (uint32_t i = 0; i < n; ++i) {
                r = add_watch(call, set, subscriptions + (size_t)i * SUBSCRIPTION_SIZE);
                if (r)
                        return r;
                if (set->watches[i].state == WATCH_READY)
                        ++set->n_ready;
        }
        return NB_WASI_SUCCESS;
}

static uint64_t bytes_to_read(int fd) {
        int n = 0;

        return ioctl(fd, FIONREAD, &n) < 0 || n < 0 ? 0 : (uint64_t)n;
}

/* What the socket's buffer has room for; at least 1, for the kernel's count includes its own overhead. */
static uint64_t bytes_to_write(int fd) {
        socklen_t length = sizeof(int);
        int queued = 0;
        int size = 0;

        if (ioctl(fd, SIOCOUTQ, &queued) < 0 || getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &length) < 0)
                return 1;
        return size > queued ? (uint64_t)(size - queued) : 1;
}

/* Turns a watch whose descriptor is ready into an event. */
static bool settle_fd(struct watch *watch, const struct pollfd *pollfd) {
        bool read = watch->type == EVENTTYPE_FD_READ;
        short hangup = read ? POLLHUP | POLLRDHUP : POLLHUP;
        short revents = pollfd->revents;

        if (!(revents & (watch->wanted | POLLHUP | POLLERR | POLLNVAL)))
                return false;
        if (revents & POLLNVAL) {
                fail_watch(watch, NB_WASI_EBADF);
                return true;
        }
        watch->state = WATCH_READY;
        watch->hangup = revents & hangup;
        watch->nbytes = 0;
        if (watch->counted)
                watch->nbytes = read ? bytes_to_read(pollfd->fd) : bytes_to_write(pollfd->fd);
        return true;
}

/* Turns all that is ready into events. */
static void settle(struct poll_set *set) {
        int64_t now = set->deadline == INT64_MAX ? INT64_MIN : host_time(CLOCK_MONOTONIC);

        for (uint32_t i = 0; i < set->n_watches; ++i) {
                struct watch *watch = &set->watches[i];

                if (watch->state == WATCH_FD && settle_fd(watch, &set->fds[watch->index])) {
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
                for (uint32_t i = 0; i < set->n_fds; ++i)
                        set->fds[i].revents = 0;
                r = call->guest->wait(call->guest->wait_data, set->fds, set->n_fds, time_left(set));
                nb_call_refresh(call);
                if (r < 0)
                        return nb_call_errno(r);
                settle(set);
        } while (set->n_ready == 0);
        return NB_WASI_SUCCESS;
}

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

int nb_poll_oneoff(struct nb_call *call) {
        NB_CLEANUP(poll_set_deinit) struct poll_set set = { .deadline = INT64_MAX };
        NB_CLEANUP_FREE uint8_t *subscriptions = NULL;
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
        subscriptions = malloc((size_t)n * SUBSCRIPTION_SIZE);
        set.watches = malloc(n * sizeof(*set.watches));
        set.fds = malloc(n * sizeof(*set.fds));
        if (!subscriptions || !set.watches || !set.fds)
                return NB_WASI_ENOMEM;
        (void)nb_call_read(call, nb_call_u32(call, 0), subscriptions, (size_t)n * SUBSCRIPTION_SIZE); /* covered */
        set.now = host_time(CLOCK_MONOTONIC);
        set.scratch = (events + 7) & ~UINT32_C(7);
        r = add_all(call, &set, subscriptions, n);
        if (r)
                return r;
        r = wait_for_event(call, &set);
        return r ? r : report(call, &set, events, ret_pointer);
}
