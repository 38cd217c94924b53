/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/question.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "loop/deadline.h"
#include "policy/policy.h"

/* The first try of each server; c-ares doubles it each time round. */
#define TRY_MS 1500
#define TRIES 3

#define MS_PER_SECOND 1000
#define US_PER_MS 1000

/* One of c-ares' sockets. */
struct question_socket {
        struct nb_list link;
        struct watch watch;
        struct question *question;
};

/* One family. */
struct part {
        struct question *question;
        sa_family_t family;
        bool asked, answered;
        struct dns_answer answer;
};

struct question {
        uv_loop_t *loop;
        struct watch_set *watches;
        ares_channel channel;
        struct nb_list sockets;
        struct part ipv4, ipv6;
        bool ending;            /* what c-ares still says is said to nobody */
        unsigned n_told;        /* of the answers, how many the function was called for */
        struct deadline *timer; /* c-ares' own */
        struct deadline *end;
        question_function function;
        void *data;
        char name[POLICY_HOST_NAME_MAX + 1];
};

static void cleanup_question(struct question **question) {
        (void)question_free(*question);
}

static unsigned n_answered(const struct question *question) {
        return (unsigned)question->ipv4.answered + (unsigned)question->ipv6.answered;
}

static void fail(struct part *part, int error) {
        if (!part->asked || part->answered)
                return;
        part->answered = true;
        part->answer = (struct dns_answer){ .error = error };
}

static void timer_fired(void *data);

/* Waits as long as c-ares wants to, which is until the next try. */
static void set_timer(struct question *question) {
        struct timeval buffer, *wait = ares_timeout(question->channel, NULL, &buffer);

        question->timer = deadline_free(question->timer);
        if (!wait)
                return;
        /* Rounded up: a timer that is early would have c-ares find nothing to do. Without memory the end of the question is near all the same. */
        question->timer = deadline_new(question->loop,
                                       (uint64_t)wait->tv_sec * MS_PER_SECOND +
                                               (uint64_t)(wait->tv_usec + US_PER_MS - 1) / US_PER_MS,
                                       timer_fired, question);
}

/* Behind anything that c-ares was called for. The question may be gone afterwards. */
static void go_on(struct question *question) {
        set_timer(question);
        if (n_answered(question) == question->n_told)
                return;
        question->n_told = n_answered(question);
        question->function(question->data);
}

static void timer_fired(void *data) {
        struct question *question = data;

        ares_process_fd(question->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        go_on(question);
}

static void end_fired(void *data) {
        struct question *question = data;

        fail(&question->ipv4, -ETIMEDOUT);
        fail(&question->ipv6, -ETIMEDOUT);
        go_on(question);
}

static void ready(struct watch *watch, uint32_t events) {
        struct question_socket *ready_socket = nb_container_of(watch, struct question_socket, watch);
        struct question *question = ready_socket->question;
        bool failed = events & (EPOLLERR | EPOLLHUP);
        int fd = watch->fd;

        /* This may end the socket. */
        ares_process_fd(question->channel, failed || events & EPOLLIN ? fd : ARES_SOCKET_BAD,
                        failed || events & EPOLLOUT ? fd : ARES_SOCKET_BAD);
        go_on(question);
}

static struct question_socket *find_socket(struct question *question, int fd) {
        nb_list_foreach_safe(link, &question->sockets) {
                struct question_socket *found = nb_container_of(link, struct question_socket, link);

                if (found->watch.fd == fd)
                        return found;
        }
        return NULL;
}

static void add_socket(struct question *question, int fd, uint32_t events) {
        struct question_socket *added = calloc(1, sizeof(*added));

        if (!added)
                return;
        added->question = question;
        nb_list_init(&added->link);
        if (watch_start(&added->watch, question->watches, fd, events, ready) < 0) {
                free(added);
                return;
        }
        nb_list_append(&question->sockets, &added->link);
}

/*
 * c-ares says what it waits for at a socket, and that it waits no longer right before it closes one. If there is no memory for a watch, the
 * socket is deaf, and c-ares' timer finds that out.
 */
static void socket_changed(void *data, ares_socket_t fd, int readable, int writable) {
        uint32_t events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);
        struct question *question = data;
        struct question_socket *known = find_socket(question, fd);

        if (events == 0 && known) {
                watch_end_before_close(&known->watch);
                nb_list_remove(&known->link);
                free(known);
        } else if (known) {
                (void)watch_change(&known->watch, events);
        } else if (events != 0) {
                add_socket(question, fd, events);
        }
}

static int errno_of(int status) {
        switch (status) {
        case ARES_ENOMEM:
                return -ENOMEM;
        case ARES_ENOTFOUND:
                return -ENOENT;
        case ARES_ENODATA:
                return -ENODATA;
        case ARES_EBADNAME:
        case ARES_EBADRESP:
        case ARES_EFORMERR:
                return -EBADMSG;
        default:
                return -EAGAIN; /* no server answered, or each said that it fails */
        }
}

/* From inside c-ares: only noted here, and told when it has returned. */
static void answered(void *data, int status, int timeouts, unsigned char *message, int length) {
        struct part *part = data;

        (void)timeouts;
        if (part->question->ending || part->answered)
                return;
        if (!message || length <= 0) {
                fail(part, errno_of(status));
                return;
        }
        part->answered = true;
        dns_answer_parse(message, (size_t)length, part->question->name, part->family, &part->answer);
}

/* ---- c-ares' channel ---- */

static struct ares_addr_port_node node_of(const struct nb_address *server) {
        struct ares_addr_port_node node = {
                .family = server->ip.family,
                .udp_port = server->port,
                .tcp_port = server->port,
        };

        memcpy(&node.addr, server->ip.bytes, server->ip.family == AF_INET ? 4 : 16);
        return node;
}

static int set_servers(struct question *question, const struct nb_address *servers, size_t n) {
        struct ares_addr_port_node nodes[POLICY_RESOLVERS_MAX];

        if (n == 0)
                return 0;
        if (n > POLICY_RESOLVERS_MAX)
                n = POLICY_RESOLVERS_MAX;
        for (size_t i = 0; i < n; ++i) {
                nodes[i] = node_of(&servers[i]);
                nodes[i].next = i + 1 < n ? &nodes[i + 1] : NULL;
        }
        return ares_set_servers_ports(question->channel, nodes) == ARES_SUCCESS ? 0 : -ENOMEM;
}

/* The name servers are resolv.conf(5)'s, read anew each time, and all else is said here. */
static int open_channel(struct question *question) {
        char lookups[] = "b";
        struct ares_options options = {
                .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
                .timeout = TRY_MS,
                .tries = TRIES,
                .ndots = 1,
                .ndomains = 0,
                .lookups = lookups,
                .sock_state_cb = socket_changed,
                .sock_state_cb_data = question,
        };

        return ares_init_options(&question->channel, &options,
                                 ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
                                         ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB) == ARES_SUCCESS
                       ? 0
                       : -ENOMEM;
}

static void ask(struct question *question, struct part *part, sa_family_t family, bool wanted) {
        part->question = question;
        part->family = family;
        part->asked = wanted;
        if (wanted)
                ares_query(question->channel, question->name, ns_c_in, family == AF_INET ? ns_t_a : ns_t_aaaa, answered,
                           part);
}

/* c-ares may have known at once, for instance that there is no way to any server: that is told from the loop, too. */
static void ask_all(struct question *question, const struct question_options *options) {
        ask(question, &question->ipv6, AF_INET6, options->ipv6);
        ask(question, &question->ipv4, AF_INET, options->ipv4);
        if (n_answered(question) == 0)
                set_timer(question);
        else
                question->timer = deadline_new(question->loop, 0, timer_fired, question);
}

struct question *question_new(const struct question_options *options) {
        NB_CLEANUP(cleanup_question) struct question *question = NULL;
        size_t length = strlen(options->name);

        if (length > POLICY_HOST_NAME_MAX)
                return NULL;
        question = calloc(1, sizeof(*question));
        if (!question)
                return NULL;
        question->loop = options->loop;
        question->watches = options->watches;
        question->function = options->function;
        question->data = options->data;
        nb_list_init(&question->sockets);
        memcpy(question->name, options->name, length + 1);
        if (open_channel(question) < 0 || set_servers(question, options->servers, options->n_servers) < 0)
                return NULL;
        question->end = deadline_new(question->loop, QUESTION_TIME_MAX_MS, end_fired, question);
        if (!question->end)
                return NULL;
        ask_all(question, options);
        return nb_steal_ptr(question);
}

struct question *question_free(struct question *question) {
        if (!question)
                return NULL;
        question->ending = true;
        if (question->channel)
                ares_destroy(question->channel); /* ends the sockets' watches */
        question->timer = deadline_free(question->timer);
        question->end = deadline_free(question->end);
        free(question);
        return NULL;
}

const struct dns_answer *question_answer(const struct question *question, sa_family_t family) {
        const struct part *part = family == AF_INET ? &question->ipv4 : &question->ipv6;

        return part->answered ? &part->answer : NULL;
}

bool question_is_over(const struct question *question) {
        return question->ipv4.asked == question->ipv4.answered && question->ipv6.asked == question->ipv6.answered;
}
