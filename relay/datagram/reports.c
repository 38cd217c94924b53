/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/datagram/reports.h"

#include <inttypes.h>
#include <stdio.h>

#include "relay/datagram/peers.h"
#include "relay/relay.h"

void report_new_peer(struct relay *relay, uint64_t server, const struct peer *peer) {
        Nb__Relay__NewPeer new_peer = NB__RELAY__NEW_PEER__INIT;
        Nb__Relay__Report report = NB__RELAY__REPORT__INIT;
        char text[NB_SOCKET_ADDRESS_TEXT_MAX], local[NB_ADDRESS_TEXT_MAX] = "";
        struct nb_socket_address address = peer->route.peer;
        struct nb_ip ip = peer->route.local;

        nb_socket_address_unmap(&address);
        nb_ip_unmap(&ip);
        new_peer.server = server;
        new_peer.peer = peer->number;
        new_peer.address = (char *)nb_socket_address_format(&address, text);
        if (ip.family != 0)
                new_peer.local = (char *)nb_ip_format(&ip, local);
        report.body_case = NB__RELAY__REPORT__BODY_NEW_PEER;
        report.new_peer = &new_peer;
        relay_report(relay, &report);
}

void report_peer_gone(struct relay *relay, uint64_t server, const struct peer *peer) {
        Nb__Relay__PeerGone gone = NB__RELAY__PEER_GONE__INIT;
        Nb__Relay__Report report = NB__RELAY__REPORT__INIT;

        gone.server = server;
        gone.peer = peer->number;
        report.body_case = NB__RELAY__REPORT__BODY_PEER_GONE;
        report.peer_gone = &gone;
        relay_report(relay, &report);
}

static void report_ended(struct relay *relay, Nb__Relay__Ended *ended) {
        Nb__Relay__Report report = NB__RELAY__REPORT__INIT;

        report.body_case = NB__RELAY__REPORT__BODY_ENDED;
        report.ended = ended;
        relay_report(relay, &report);
}

void report_failure(struct relay *relay, uint64_t number, Nb__Relay__Cause cause, const char *reason) {
        Nb__Relay__Ended ended = NB__RELAY__ENDED__INIT;

        ended.link = number;
        ended.cause = cause;
        ended.reason = (char *)reason;
        report_ended(relay, &ended);
}

void report_peer_ended(struct relay *relay, const struct peer *peer, Nb__Relay__Cause cause, const char *why) {
        Nb__Relay__Ended ended = NB__RELAY__ENDED__INIT;
        char reason[160];

        (void)snprintf(reason, sizeof(reason), "%s", why);
        if (peer->n_dropped > 0)
                (void)snprintf(reason, sizeof(reason),
                               "%s; %" PRIu64 " datagrams were dropped, for the guest had not read those before", why,
                               peer->n_dropped);
        ended.link = peer->link;
        ended.cause = cause;
        ended.reason = reason;
        ended.bytes_to_guest = peer->bytes_to_guest;
        ended.bytes_to_peer = peer->bytes_to_peer;
        report_ended(relay, &ended);
}
