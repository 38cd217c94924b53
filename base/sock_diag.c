/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sock_diag.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

/* What SO_RCVBUFFORCE is asked for, and SO_RCVBUF, which net.core.rmem_max caps. An event takes some 1.3 KB of it. */
#define EVENTS_QUEUE_SIZE (4 * 1024 * 1024)

/* How many events are taken by one call, and how many bytes of each are wanted: all up to the cookie. */
#define EVENTS_BATCH 64
#define EVENT_SIZE (NLMSG_HDRLEN + sizeof(struct inet_diag_msg))

/* The kernel fills at most 32 KiB at once into the answer of a dump (netlink(7)). */
#define DUMP_SIZE 32768

int nb_sock_diag_open(void) {
        NB_CLEANUP_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        struct sockaddr_nl address = { .nl_family = AF_NETLINK };

        if (fd < 0)
                return -errno;
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        return nb_steal_fd(&fd);
}

/* ---- events ---- */

static const int event_groups[] = { SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY, SKNLGRP_INET_UDP_DESTROY,
                                    SKNLGRP_INET6_UDP_DESTROY };

int nb_sock_diag_listen(int fd, bool listens) {
        int option = listens ? NETLINK_ADD_MEMBERSHIP : NETLINK_DROP_MEMBERSHIP;
        int r = 0;

        for (size_t i = 0; i < sizeof(event_groups) / sizeof(event_groups[0]); ++i) {
                if (setsockopt(fd, SOL_NETLINK, option, &event_groups[i], sizeof(event_groups[i])) < 0)
                        r = -errno;
        }
        return r;
}

int nb_sock_diag_open_events(void) {
        int fd = nb_sock_diag_open();
        int size = EVENTS_QUEUE_SIZE;

        if (fd < 0)
                return fd;
        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
                (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
        return fd;
}

static uint64_t cookie_of(const struct inet_diag_sockid *id) {
        return (uint64_t)id->idiag_cookie[1] << 32 | id->idiag_cookie[0];
}

/* Only the kernel sends events: who else may send to this socket has CAP_NET_ADMIN, and is not believed either. */
static bool is_event(const struct mmsghdr *message, const struct nlmsghdr *header) {
        const struct sockaddr_nl *from = message->msg_hdr.msg_name;

        return message->msg_hdr.msg_namelen == sizeof(*from) && from->nl_pid == 0 && message->msg_len >= EVENT_SIZE &&
               header->nlmsg_type == SOCK_DIAG_BY_FAMILY;
}

int nb_sock_diag_read_events(int fd, nb_sock_diag_event_function function, void *data) {
        union {
                struct nlmsghdr header;
                uint8_t bytes[EVENT_SIZE];
        } events[EVENTS_BATCH];
        struct mmsghdr messages[EVENTS_BATCH];
        struct sockaddr_nl from[EVENTS_BATCH];
        struct iovec iov[EVENTS_BATCH];
        int n;

        for (int i = 0; i < EVENTS_BATCH; ++i) {
                iov[i] = (struct iovec){ .iov_base = &events[i], .iov_len = sizeof(events[i]) };
                messages[i] = (struct mmsghdr){ .msg_hdr = { .msg_name = &from[i],
                                                             .msg_namelen = sizeof(from[i]),
                                                             .msg_iov = &iov[i],
                                                             .msg_iovlen = 1 } };
        }
        n = recvmmsg(fd, messages, EVENTS_BATCH, 0, NULL);
        if (n < 0)
                return errno == EINTR ? 0 : -errno;
        for (int i = 0; i < n; ++i) {
                const struct inet_diag_msg *message = NLMSG_DATA(&events[i].header);

                if (is_event(&messages[i], &events[i].header))
                        function(data, cookie_of(&message->id));
        }
        return n < EVENTS_BATCH ? -EAGAIN : 0;
}

/* ---- requests ---- */

struct request {
        struct nlmsghdr header;
        struct inet_diag_req_v2 body;
};

static int send_request(int fd, struct request *request, uint16_t type, uint16_t flags) {
        struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

        request->header = (struct nlmsghdr){ .nlmsg_len = sizeof(*request),
                                             .nlmsg_type = type,
                                             .nlmsg_flags = NLM_F_REQUEST | flags };
        if (sendto(fd, request, sizeof(*request), MSG_NOSIGNAL, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
                return -errno;
        return 0;
}

static void put_address(const struct nb_address *address, uint16_t *port, uint32_t bytes[static 4]) {
        *port = htons(address->port);
        memcpy(bytes, address->ip.bytes, sizeof(address->ip.bytes));
}

static struct request request_for(const struct nb_sock_diag_id *id) {
        struct request request = {
                .body = { .sdiag_family = (uint8_t)id->local.ip.family,
                          .sdiag_protocol = id->protocol,
                          .idiag_states = NB_SOCK_DIAG_ANY_STATE,
                          .id = { .idiag_cookie = { (uint32_t)id->cookie, (uint32_t)(id->cookie >> 32) } } },
        };

        put_address(&id->local, &request.body.id.idiag_sport, request.body.id.idiag_src);
        put_address(&id->peer, &request.body.id.idiag_dport, request.body.id.idiag_dst);
        return request;
}

/* ---- answers ---- */

static void get_address(sa_family_t family, uint16_t port, const uint32_t bytes[static 4], struct nb_address *ret) {
        *ret = (struct nb_address){ .ip = { .family = family }, .port = ntohs(port) };
        memcpy(ret->ip.bytes, bytes, family == AF_INET ? 4 : 16);
        nb_ip_unmap(&ret->ip);
}

/* What waits to be read and to be sent, with the kernel's own bookkeeping. */
static uint64_t sum_memory(const struct rtattr *attribute) {
        uint32_t values[SK_MEMINFO_VARS] = { 0 };
        size_t length = RTA_PAYLOAD(attribute);

        memcpy(values, RTA_DATA(attribute), length < sizeof(values) ? length : sizeof(values));
        return (uint64_t)values[SK_MEMINFO_RMEM_ALLOC] + values[SK_MEMINFO_WMEM_QUEUED] + values[SK_MEMINFO_BACKLOG];
}

/* NLMSG_NEXT() and RTA_NEXT() by way of void, for what stands there is aligned. */
static const void *step(const void *from, unsigned size, unsigned *length) {
        *length -= size < *length ? size : *length;
        return (const uint8_t *)from + size;
}

static uint64_t find_memory(const struct nlmsghdr *header) {
        const struct inet_diag_msg *message = NLMSG_DATA(header);
        const struct rtattr *attribute = (const void *)((const uint8_t *)message + NLMSG_ALIGN(sizeof(*message)));
        unsigned length = header->nlmsg_len - (unsigned)NLMSG_SPACE(sizeof(*message));

        for (; RTA_OK(attribute, length); attribute = step(attribute, RTA_ALIGN(attribute->rta_len), &length)) {
                if (attribute->rta_type == INET_DIAG_SKMEMINFO)
                        return sum_memory(attribute);
        }
        return 0;
}

/* @return whether the message is about a socket */
static bool get_socket(const struct nlmsghdr *header, uint8_t protocol, struct nb_sock_diag_socket *ret) {
        const struct inet_diag_msg *message = NLMSG_DATA(header);
        sa_family_t family;

        if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY || header->nlmsg_len < NLMSG_SPACE(sizeof(*message)))
                return false;
        family = message->idiag_family;
        if (family != AF_INET && family != AF_INET6)
                return false;
        *ret = (struct nb_sock_diag_socket){
                .id = { .protocol = protocol, .cookie = cookie_of(&message->id) },
                .state = message->idiag_state,
                /* inet_diag numbers the timers; 3 is TIME_WAIT's, also in the state FIN_WAIT2. */
                .time_wait = message->idiag_state == TCP_TIME_WAIT || message->idiag_timer == 3,
                .uid = message->idiag_uid,
                .memory = find_memory(header),
        };
        get_address(family, message->id.idiag_sport, message->id.idiag_src, &ret->id.local);
        get_address(family, message->id.idiag_dport, message->id.idiag_dst, &ret->id.peer);
        return true;
}

static int error_of(const struct nlmsghdr *header) {
        const struct nlmsgerr *error = NLMSG_DATA(header);

        if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*error)))
                return -EBADMSG;
        /* Something has these addresses, and it has another cookie. */
        return error->error == -ESTALE ? -ENOENT : error->error;
}

/*
 * Passes over what is not the kernel's: were it taken for a bad answer, the kernel's would be taken for the answer to the next question.
 * @return the length of what the kernel says; -errno
 */
static int receive(int fd, void *buffer, size_t size) {
        struct sockaddr_nl from;
        ssize_t n;

        do {
                socklen_t from_length = sizeof(from);

                n = recvfrom(fd, buffer, size, MSG_TRUNC, (struct sockaddr *)&from, &from_length);
        } while (n >= 0 && from.nl_pid != 0);
        if (n < 0)
                return errno == EINTR ? -EAGAIN : -errno;
        return (size_t)n > size ? -EBADMSG : (int)n;
}

/* ---- dumps ---- */

int nb_sock_diag_ask_dump(int fd, const struct nb_sock_diag_query *query) {
        struct request request = {
                .body = { .sdiag_family = (uint8_t)query->family,
                          .sdiag_protocol = query->protocol,
                          .idiag_ext = query->memory ? 1 << (INET_DIAG_SKMEMINFO - 1) : 0,
                          .idiag_states = query->states },
        };

        return send_request(fd, &request, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
}

int nb_sock_diag_read_dump(int fd, const struct nb_sock_diag_query *query, nb_sock_diag_socket_function function,
                           void *data) {
        union {
                struct nlmsghdr header;
                uint8_t bytes[DUMP_SIZE];
        } buffer;
        struct nb_sock_diag_socket socket;
        int r = receive(fd, &buffer, sizeof(buffer));
        unsigned length = (unsigned)r;

        if (r < 0)
                return r;
        for (const struct nlmsghdr *header = &buffer.header; NLMSG_OK(header, length);
             header = step(header, NLMSG_ALIGN(header->nlmsg_len), &length)) {
                if (header->nlmsg_type == NLMSG_DONE)
                        return 1;
                if (header->nlmsg_type == NLMSG_ERROR)
                        return error_of(header) < 0 ? error_of(header) : -EBADMSG;
                if (get_socket(header, query->protocol, &socket))
                        function(data, &socket);
        }
        return 0;
}

/* ---- one socket ---- */

/* Answers to what is no dump are there when sendto() returns. */
static int ask(int fd, const struct nb_sock_diag_id *id, uint16_t type, uint16_t flags, struct nlmsghdr *answer,
               size_t size) {
        struct request request = request_for(id);
        int r = send_request(fd, &request, type, flags);

        if (r < 0)
                return r;
        r = receive(fd, answer, size);
        if (r < 0)
                return r;
        if (!NLMSG_OK(answer, (unsigned)r))
                return -EBADMSG;
        return answer->nlmsg_type == NLMSG_ERROR ? error_of(answer) : 1;
}

union answer {
        struct nlmsghdr header;
        uint8_t bytes[4096];
};

int nb_sock_diag_find(int fd, const struct nb_sock_diag_id *id, struct nb_sock_diag_socket *ret) {
        struct nb_sock_diag_id asked = *id;
        union answer answer;
        int r;

        /* In a question, and not in a SOCK_DESTROY, the kernel takes the two ends of a UDP socket the other way round. */
        if (id->protocol == IPPROTO_UDP) {
                asked.local = id->peer;
                asked.peer = id->local;
        }
        r = ask(fd, &asked, SOCK_DIAG_BY_FAMILY, 0, &answer.header, sizeof(answer));
        if (r < 0)
                return r;
        return r == 1 && get_socket(&answer.header, id->protocol, ret) ? 0 : -EBADMSG;
}

int nb_sock_diag_destroy(int fd, const struct nb_sock_diag_id *id) {
        union answer answer;
        int r = ask(fd, id, SOCK_DESTROY, NLM_F_ACK, &answer.header, sizeof(answer));

        return r == 1 ? -EBADMSG : r;
}
