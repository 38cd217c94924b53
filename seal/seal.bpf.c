// SPDX-License-Identifier: Apache-2.0
/*
 * The seal: what the kernel asks about each socket of the broker's cgroup, whoever has it and wherever it went.
 *
 * The kernel runs these by the socket's cgroup, which is its maker's for ever; what they ask is the caller's. So a descriptor that was passed on, through
 * io_uring as well, is worth to its holder what connect(2), bind(2), sendto(2) and setsockopt(2) are here allowed to strangers: nothing but a few options.
 *
 * The kernel asks nobody about a disconnect (connect(2) to AF_UNSPEC) and about listen(2). Those are made worthless: what arrives at a socket that
 * listens or is unconnected is dropped, unless its owner bound it and has not connected it since. That is noted in the stamp as the socket's cookie, so that
 * an accepted connection, which inherits its listener's stamp, does not inherit its right to receive.
 *
 * Programs that refuse answer 0, which the callers see as EPERM.
 */
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "base/seal_layout.h"

/* From the kernel's and the C library's headers, which are not for this target. */
#define SOL_SOCKET 1
#define SO_SNDBUF 7
#define SO_RCVBUF 8
#define SO_KEEPALIVE 9
#define SO_OOBINLINE 10
#define SO_LINGER 13
#define SO_RCVLOWAT 18
#define SO_RCVTIMEO_OLD 20
#define SO_SNDTIMEO_OLD 21
#define SO_RCVTIMEO_NEW 66
#define SO_SNDTIMEO_NEW 67
#define IPPROTO_TCP 6
#define TCP_NODELAY 1
#define TCP_CORK 3
#define TCP_KEEPIDLE 4
#define TCP_KEEPINTVL 5
#define TCP_KEEPCNT 6
#define TCP_QUICKACK 12
#define TCP_USER_TIMEOUT 18
#define TCP_NOTSENT_LOWAT 25

#define REFUSE 0
#define ALLOW 1

struct {
        __uint(type, BPF_MAP_TYPE_SK_STORAGE);
        __uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
        __type(key, int);
        __type(value, struct nb_seal_stamp);
} stamps SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_RINGBUF);
        __uint(max_entries, NB_SEAL_RING_SIZE);
} released SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct nb_seal_counters);
} counters SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct nb_seal_info);
} info SEC(".maps");

/* Only helpers that are not for GPL'd programs alone are called. */
char LICENSE[] SEC("license") = "Apache-2.0";

#define COUNT(what)                                                                                                    \
        do {                                                                                                           \
                __u32 zero_ = 0;                                                                                       \
                struct nb_seal_counters *counters_ = bpf_map_lookup_elem(&counters, &zero_);                           \
                                                                                                                       \
                if (counters_)                                                                                         \
                        (void)__sync_fetch_and_add(&counters_->what, 1);                                               \
        } while (0)

/* ---- the stamp ------------------------------------------------------------------------------------------------ */

SEC("cgroup/sock_create")
int nb_create(struct bpf_sock *sock) {
        struct nb_seal_stamp stamp = { .owner = bpf_get_current_cgroup_id() };

        /* A socket that cannot be stamped is not made. */
        return bpf_sk_storage_get(&stamps, sock, &stamp, BPF_SK_STORAGE_GET_F_CREATE) ? ALLOW : REFUSE;
}

SEC("cgroup/sock_release")
int nb_release(struct bpf_sock *sock) {
        struct nb_seal_stamp *stamp = bpf_sk_storage_get(&stamps, sock, NULL, 0);
        struct nb_seal_event event = { 0 };

        if (!stamp)
                return ALLOW;
        event.cookie = bpf_get_socket_cookie(sock);
        event.owner = stamp->owner;
        event.slot = stamp->slot;
        if (bpf_ringbuf_output(&released, &event, sizeof(event), 0) < 0)
                COUNT(lost);
        return ALLOW;
}

/* Whoever comes first has the socket already, and no other has: the broker has given it to one process. */
static __always_inline bool is_owner(struct nb_seal_stamp *stamp) {
        __u64 caller = bpf_get_current_cgroup_id();

        if (stamp->owner == NB_SEAL_OWNER_FIRST)
                stamp->owner = caller;
        return stamp->owner == caller;
}

/* ---- connect, bind, send -------------------------------------------------------------------------------------- */

static __always_inline int judge_connect(struct bpf_sock_addr *ctx) {
        struct nb_seal_stamp *stamp = ctx->sk ? bpf_sk_storage_get(&stamps, ctx->sk, NULL, 0) : NULL;

        if (!stamp)
                return ALLOW;
        if (!is_owner(stamp)) {
                COUNT(connects);
                return REFUSE;
        }
        stamp->receiver = 0;
        return ALLOW;
}

/* From now on the owner wants to hear what arrives at this address. */
static __always_inline int judge_bind(struct bpf_sock_addr *ctx) {
        struct nb_seal_stamp *stamp = ctx->sk ? bpf_sk_storage_get(&stamps, ctx->sk, NULL, 0) : NULL;

        if (!stamp)
                return ALLOW;
        if (!is_owner(stamp)) {
                COUNT(binds);
                return REFUSE;
        }
        stamp->receiver = bpf_get_socket_cookie(ctx);
        return ALLOW;
}

/* An owner's unconnected socket that sends has a port from then on, and may hear the answer. */
static __always_inline int judge_send(struct bpf_sock_addr *ctx) {
        struct nb_seal_stamp *stamp = ctx->sk ? bpf_sk_storage_get(&stamps, ctx->sk, NULL, 0) : NULL;

        if (!stamp)
                return ALLOW;
        if (!is_owner(stamp)) {
                COUNT(sends);
                return REFUSE;
        }
        if (!stamp->receiver && ctx->sk->state != BPF_TCP_ESTABLISHED)
                stamp->receiver = bpf_get_socket_cookie(ctx);
        return ALLOW;
}

SEC("cgroup/connect4")
int nb_connect4(struct bpf_sock_addr *ctx) {
        return judge_connect(ctx);
}

SEC("cgroup/connect6")
int nb_connect6(struct bpf_sock_addr *ctx) {
        return judge_connect(ctx);
}

SEC("cgroup/bind4")
int nb_bind4(struct bpf_sock_addr *ctx) {
        return judge_bind(ctx);
}

SEC("cgroup/bind6")
int nb_bind6(struct bpf_sock_addr *ctx) {
        return judge_bind(ctx);
}

SEC("cgroup/sendmsg4")
int nb_sendmsg4(struct bpf_sock_addr *ctx) {
        return judge_send(ctx);
}

SEC("cgroup/sendmsg6")
int nb_sendmsg6(struct bpf_sock_addr *ctx) {
        return judge_send(ctx);
}

/* ---- what arrives ---------------------------------------------------------------------------------------------- */

/* Also for TCP in these states: a listener, and for UDP, which is in no other when it is unconnected. */
static __always_inline bool is_open_to_all(const struct bpf_sock *sock) {
        return sock->state == BPF_TCP_LISTEN || sock->state == BPF_TCP_CLOSE;
}

SEC("cgroup_skb/ingress")
int nb_ingress(struct __sk_buff *skb) {
        struct bpf_sock *sock = skb->sk;
        struct nb_seal_stamp *stamp;

        if (!sock || !is_open_to_all(sock))
                return ALLOW;
        sock = bpf_sk_fullsock(sock);
        stamp = sock ? bpf_sk_storage_get(&stamps, sock, NULL, 0) : NULL;
        if (!stamp || (stamp->receiver && stamp->receiver == bpf_get_socket_cookie(skb)))
                return ALLOW;
        COUNT(arrivals);
        return REFUSE;
}

/* ---- options --------------------------------------------------------------------------------------------------- */

/* Of a socket's own buffers and times; none lasts longer than its holder waits, or says where packets go. The shim's lock-down has the same list. */
static __always_inline bool is_harmless_for_socket(int name) {
        switch (name) {
        case SO_SNDBUF:
        case SO_RCVBUF:
        case SO_KEEPALIVE:
        case SO_OOBINLINE:
        case SO_RCVLOWAT:
        case SO_RCVTIMEO_OLD:
        case SO_RCVTIMEO_NEW:
        case SO_SNDTIMEO_OLD:
        case SO_SNDTIMEO_NEW:
                return true;
        default:
                return false;
        }
}

static __always_inline bool is_harmless_for_tcp(int name) {
        switch (name) {
        case TCP_NODELAY:
        case TCP_CORK:
        case TCP_KEEPIDLE:
        case TCP_KEEPINTVL:
        case TCP_KEEPCNT:
        case TCP_QUICKACK:
        case TCP_USER_TIMEOUT:
        case TCP_NOTSENT_LOWAT:
                return true;
        default:
                return false;
        }
}

/*
 * A socket that lingers makes the last who closes it wait, so nobody but its owner may have it wait; off it may be switched by who receives it back, and
 * who wants a reset instead, without any waiting, could have one by a disconnect. The kernel takes the value that was looked at here, for it has copied it; of one
 * that is longer than a page it copies a part for us, and takes the caller's, which may have changed.
 */
static __always_inline bool is_no_waiting(const struct bpf_sockopt *ctx) {
        const struct {
                int on;
                int seconds;
        } *linger = ctx->optval;

        return ctx->optname == SO_LINGER && ctx->optlen == sizeof(*linger) &&
               (const void *)(linger + 1) <= ctx->optval_end && (!linger->on || !linger->seconds);
}

static __always_inline bool is_harmless(const struct bpf_sockopt *ctx) {
        if (ctx->level == SOL_SOCKET)
                return is_harmless_for_socket(ctx->optname) || is_no_waiting(ctx);
        return ctx->level == IPPROTO_TCP && is_harmless_for_tcp(ctx->optname);
}

SEC("cgroup/setsockopt")
int nb_setsockopt(struct bpf_sockopt *ctx) {
        struct nb_seal_stamp *stamp = ctx->sk ? bpf_sk_storage_get(&stamps, ctx->sk, NULL, 0) : NULL;

        /* Before it is asked who the owner is: by what anybody may do, nobody becomes it. */
        if (stamp && is_harmless(ctx))
                return ALLOW;
        if (!stamp || is_owner(stamp)) {
                /* As it was given: the kernel's copy ends after a page. */
                ctx->optlen = 0;
                return ALLOW;
        }
        COUNT(options);
        return REFUSE;
}
