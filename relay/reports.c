/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/reports.h"

#include "relay/relay.h"
#include "relay/tls/security.h"

/* Nothing of it is written to: protobuf-c knows no const. */
static void fill_security(Nb__Relay__Security *ret, const struct tls_security *security,
                          char *names[static NB_SECURITY_NAMES_MAX]) {
        for (size_t i = 0; i < security->peer_names.n; ++i)
                names[i] = (char *)security->peer_names.texts[i];
        ret->version = (char *)security->version;
        ret->cipher = (char *)security->cipher;
        ret->alpn = (char *)security->alpn;
        ret->resumed = security->resumed;
        ret->server_name = (char *)security->server_name;
        ret->n_peer_names = security->peer_names.n;
        ret->peer_names = names;
}

void report_ready(struct relay *relay, uint64_t link, const struct tls_security *security, bool stepped_out) {
        Nb__Relay__Security body = NB__RELAY__SECURITY__INIT;
        Nb__Relay__Ready ready = NB__RELAY__READY__INIT;
        Nb__Relay__Report report = NB__RELAY__REPORT__INIT;
        char *names[NB_SECURITY_NAMES_MAX];

        if (security) {
                fill_security(&body, security, names);
                ready.security = &body;
        }
        ready.link = link;
        ready.stepped_out = stepped_out;
        report.body_case = NB__RELAY__REPORT__BODY_READY;
        report.ready = &ready;
        relay_report(relay, &report);
}

void report_ended(struct relay *relay, uint64_t link, Nb__Relay__Cause cause, const char *reason,
                  uint64_t bytes_to_guest, uint64_t bytes_to_peer) {
        Nb__Relay__Ended ended = NB__RELAY__ENDED__INIT;
        Nb__Relay__Report report = NB__RELAY__REPORT__INIT;

        ended.link = link;
        ended.cause = cause;
        ended.reason = (char *)reason;
        ended.bytes_to_guest = bytes_to_guest;
        ended.bytes_to_peer = bytes_to_peer;
        report.body_case = NB__RELAY__REPORT__BODY_ENDED;
        report.ended = &ended;
        relay_report(relay, &report);
}
