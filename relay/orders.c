/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/orders.h"

#include <errno.h>
#include <seccomp.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "relay/confine.h"
#include "relay/context.h"
#include "relay/datagram/server.h"
#include "relay/inventory.h"
#include "relay/link.h"
#include "relay/quic/quic.h"
#include "relay/relay.h"
#include "relay/setup.h"
#include "relay/calls.h"

/* How many descriptors an order brings where its content says so. */
#define FDS_SOME NB_RELAY_FILES_MAX

/* ---- what descriptors must be ---- */

static int int_option(int fd, int option) {
        socklen_t size = sizeof(int);
        int value;

        return getsockopt(fd, SOL_SOCKET, option, &value, &size) < 0 ? -errno : value;
}

/* Blocking ones would hold up everyone. */
static bool is_nonblocking(int fd) {
        int flags = fcntl(fd, F_GETFL);

        return flags >= 0 && (flags & O_NONBLOCK);
}

static bool is_peer(int fd, bool datagrams) {
        int type = int_option(fd, SO_TYPE);

        return is_nonblocking(fd) && (datagrams ? type == SOCK_DGRAM : type == SOCK_STREAM);
}

static bool is_pair(int fd, bool datagrams) {
        return is_nonblocking(fd) && int_option(fd, SO_DOMAIN) == AF_UNIX &&
               int_option(fd, SO_TYPE) == (datagrams ? SOCK_SEQPACKET : SOCK_STREAM);
}

/* ---- each order: 0, or -errno to end the process ---- */

static int set_up(struct relay *relay, const Nb__Relay__Order *order, struct nb_channel_fds *fds) {
        return setup_carry_out(relay, order->setup, fds->n > 0 ? fds->fds[0] : -1);
}

static int load_context(struct relay *relay, const Nb__Relay__Order *order, struct nb_channel_fds *fds) {
        const Nb__Relay__Context *context = order->context;

        if (context->id == 0 || context_find(relay, context->id))
                return -EEXIST;
        if (context->n_files != fds->n)
                return -EBADMSG;
        context_load(relay, context, fds->fds);
        return 0;
}

static int drop_context(struct relay *relay, const Nb__Relay__Order *order, struct nb_channel_fds *fds) {
        (void)fds;
        context_drop(relay, order->drop->context);
        return 0;
}

/* The peer's is of datagrams, and the pair, which keeps messages apart, is the connection's channel. */
static int begin_quic(struct relay *relay, const Nb__Relay__Begin *begin, struct nb_channel_fds *fds) {
        if (!is_peer(fds->fds[0], true) || !is_pair(fds->fds[1], true))
                return -EINVAL;
        return quic_begin(relay, begin, nb_steal_fd(&fds->fds[0]), nb_steal_fd(&fds->fds[1]));
}

/* Before bytes go: whoever waits for it is told by Ready. */
static bool has_something_to_do(const Nb__Relay__Begin *begin) {
        return begin->quic || begin->tls_context != 0 || begin->n_hops > 0 || begin->expects_header ||
               begin->header != NB__RELAY__PROXY_HEADER__PROXY_HEADER_NONE || begin->may_step_out;
}

static int begin_link(struct relay *relay, const Nb__Relay__Order *order, struct nb_channel_fds *fds) {
        const Nb__Relay__Begin *begin = order->begin;

        if (begin->link == 0 || link_table_find(&relay->table, begin->link))
                return -EEXIST;
        if (begin->without_ready && has_something_to_do(begin))
                return -EINVAL;
        if (begin->quic)
                return begin_quic(relay, begin, fds);
        if (begin->role != NB__RELAY__ROLE__ROLE_CLIENT && begin->role != NB__RELAY__ROLE__ROLE_SERVER)
                return -EINVAL;
        if (begin->n_hops > NB_RELAY_HOPS_MAX || !is_peer(fds->fds[0], begin->datagrams) ||
            !is_pair(fds->fds[1], begin->datagrams))
                return -EINVAL;
        (void)link_begin(relay, begin, nb_steal_fd(&fds->fds[0]), nb_steal_fd(&fds->fds[1]));
        return 0;
}

static int judge(struct relay *relay, const Nb__Relay__Order *order, struct nb_channel_fds *fds) {
        struct link *link = link_table_find(&relay->table, order->judgement->link);

        (void)fds;
        return link ? link_judge(link, order->judgement->allowed) : 0;
}

static int end(struct relay *relay, const Nb__Relay__Order *order, struct nb_channel_fds *fds) {
        struct link *link = link_table_find(&relay->table, order->end->link);

        (void)fds;
        if (!link) {
                (void)(quic_end(relay, order->end->link) || datagram_server_end(relay, order->end->link));
                return 0;
        }
        /* What is revoked looks to the peer as it does when the kernel destroys the socket. */
        transport_reset(link->peer);
        link_end(link, NB__RELAY__CAUSE__CAUSE_ENDED, "ended by the broker");
        return 0;
}

static int serve(struct relay *relay, const Nb__Relay__Order *order, struct nb_channel_fds *fds) {
        const Nb__Relay__Serve *serve = order->serve;

        if (!serve->quic)
                return datagram_server_start(relay, serve, nb_steal_fd(&fds->fds[0]));
        if (!is_peer(fds->fds[0], true))
                return -EINVAL;
        return quic_serve(relay, serve, nb_steal_fd(&fds->fds[0]));
}

static int give_credit(struct relay *relay, const Nb__Relay__Order *order, struct nb_channel_fds *fds) {
        (void)fds;
        if (!quic_credit(relay, order->credit))
                datagram_server_credit(relay, order->credit);
        return 0;
}

static int take_peer(struct relay *relay, const Nb__Relay__Order *order, struct nb_channel_fds *fds) {
        const Nb__Relay__TakePeer *take = order->take_peer;
        int fd = fds->n > 0 ? fds->fds[0] : -1;

        if (!quic_has_server(relay, take->server))
                return datagram_server_take_peer(relay, take, fd < 0 ? fd : nb_steal_fd(&fds->fds[0]));
        if (fd >= 0 && !is_pair(fd, true))
                return -EINVAL;
        return quic_take_peer(relay, take, fd < 0 ? fd : nb_steal_fd(&fds->fds[0]));
}

static int take_path(struct relay *relay, const Nb__Relay__Order *order, struct nb_channel_fds *fds) {
        if (fds->n > 0 && !is_peer(fds->fds[0], true))
                return -EINVAL;
        return quic_take_path(relay, order->take_path, fds->n > 0 ? nb_steal_fd(&fds->fds[0]) : -1);
}

static int take_inventory(struct relay *relay, const Nb__Relay__Order *order, struct nb_channel_fds *fds) {
        (void)fds;
        return inventory_carry_out(relay, order->inventory);
}

/* ---- the table ---- */

static const struct order {
        Nb__Relay__Order__BodyCase body;
        const char *name;
        bool is_first; /* permitted before Setup, and only then */
        size_t fds_min;
        size_t fds_max;
        int (*carry_out)(struct relay *relay, const Nb__Relay__Order *order, struct nb_channel_fds *fds);
} table[] = {
        { NB__RELAY__ORDER__BODY_SETUP, "Setup", true, 0, 1, set_up },
        { NB__RELAY__ORDER__BODY_CONTEXT, "Context", false, 0, FDS_SOME, load_context },
        { NB__RELAY__ORDER__BODY_DROP, "Drop", false, 0, 0, drop_context },
        { NB__RELAY__ORDER__BODY_BEGIN, "Begin", false, 2, 2, begin_link },
        { NB__RELAY__ORDER__BODY_JUDGEMENT, "Judgement", false, 0, 0, judge },
        { NB__RELAY__ORDER__BODY_END, "End", false, 0, 0, end },
        { NB__RELAY__ORDER__BODY_SERVE, "Serve", false, 1, 1, serve },
        { NB__RELAY__ORDER__BODY_CREDIT, "Credit", false, 0, 0, give_credit },
        { NB__RELAY__ORDER__BODY_TAKE_PEER, "TakePeer", false, 0, 1, take_peer },
        { NB__RELAY__ORDER__BODY_TAKE_PATH, "TakePath", false, 0, 1, take_path },
        { NB__RELAY__ORDER__BODY_INVENTORY, "Inventory", false, 0, 0, take_inventory },
};

static const struct order *find(Nb__Relay__Order__BodyCase body) {
        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); ++i) {
                if (table[i].body == body)
                        return &table[i];
        }
        return NULL;
}

static void refuse(struct relay *relay, const char *name, const char *why) {
        char text[256];

        (void)snprintf(text, sizeof(text),
                       "the broker's order %s %s; are netbrokerd and netbroker-relay of one release?", name, why);
        relay_give_up(relay, text);
}

void orders_carry_out(struct relay *relay, const uint8_t *frame, size_t length, struct nb_channel_fds *fds) {
        const struct order *known;
        Nb__Relay__Order *order;
        char why[128];
        int r;

        if (nb_relay_order_decode(&relay->arena, frame, length, &order) < 0)
                relay_give_up(relay,
                              "the broker sent what is no order; are netbrokerd and netbroker-relay of one release?");
        known = find(order->body_case);
        if (!known)
                relay_give_up(
                        relay,
                        "the broker gave an order that is not known here; are netbrokerd and netbroker-relay of one "
                        "release?");
        if (known->is_first == relay->is_set_up)
                refuse(relay, known->name, relay->is_set_up ? "comes twice" : "comes before Setup");
        if (fds->n < known->fds_min || fds->n > known->fds_max)
                refuse(relay, known->name, "comes with another number of descriptors than it should");
        r = known->carry_out(relay, order, fds);
        if (r < 0) {
                (void)snprintf(why, sizeof(why), "cannot be carried out: %s", strerror(-r));
                refuse(relay, known->name, why);
        }
}

static const struct confine_call calls[] = {
        CONFINE_CALL(getsockopt, "what a descriptor is"),
        CONFINE_CALL_WHERE(fcntl, 1, F_GETFL, "whether it waits"),
};
const struct confine_list order_calls = CONFINE_LIST(calls);
