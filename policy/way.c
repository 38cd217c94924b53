/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/way.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "policy/limit.h"
#include "policy/verdict.h"
#include "policy/words.h"

/* How much of a path or URL is shown. */
#define SHOWN_MAX 128

static const char *const names[] = {
        [POLICY_LEG_HEADER] = "header", [POLICY_LEG_PROXY] = "proxy", [POLICY_LEG_QUIC] = "quic",
        [POLICY_LEG_TLS] = "tls",       [POLICY_LEG_RELAY] = "relay",
};

const char *policy_leg_name(enum policy_leg_kind kind) {
        return names[kind];
}

/* ---- the way ---- */

static void add(struct policy_way *way, enum policy_leg_kind kind) {
        way->legs[way->n_legs++] = (struct policy_leg){ .kind = kind };
}

static void add_hops(struct policy_way *way, const struct policy_proxy *proxy) {
        for (size_t i = 0; i < proxy->n_hops; ++i) {
                add(way, POLICY_LEG_PROXY);
                way->legs[way->n_legs - 1].hop = &proxy->hops[i];
                way->legs[way->n_legs - 1].is_last = i + 1 == proxy->n_hops;
        }
}

void policy_way_of(const struct policy_protocol *protocol, enum policy_verb verb, enum policy_seal seal,
                   struct policy_way *ret) {
        bool connects = verb == POLICY_CONNECT;

        *ret = (struct policy_way){ .n_legs = 0 };
        if (connects)
                add_hops(ret, &protocol->proxy);
        if (connects ? protocol->send_header != POLICY_PROXY_HEADER_NONE : protocol->n_header_sources > 0)
                add(ret, POLICY_LEG_HEADER);
        if (protocol->family == POLICY_FAMILY_QUIC)
                add(ret, POLICY_LEG_QUIC);
        if (policy_has_tls(protocol, verb))
                add(ret, POLICY_LEG_TLS);
        if (policy_needs_relay(protocol, verb, seal == POLICY_SEAL_PROVEN)) {
                add(ret, POLICY_LEG_RELAY);
                ret->legs[ret->n_legs - 1].seal = seal;
        }
}

/* ---- its words ---- */

static const char *versions_of(const struct policy_tls *tls) {
        if (tls->versions == (POLICY_TLS_1_2 | POLICY_TLS_1_3))
                return "1.2 or 1.3";
        return policy_word(policy_words_tls_version, (int)tls->versions);
}

/** Which authorities: a text to stand behind "by". */
static const char *authorities_of(const struct policy_path *trust, char buffer[static SHOWN_MAX]) {
        if (!trust->path)
                return "an authority that the system trusts";
        return nb_escape(trust->path, strlen(trust->path), buffer, SHOWN_MAX);
}

static void format_client(const struct policy_tls *tls, const char *subject, char *buffer, size_t size) {
        char trust[SHOWN_MAX];

        snprintf(buffer, size, "TLS %s as client: the certificate must be for %s, by %s", versions_of(tls), subject,
                 authorities_of(&tls->trust, trust));
}

static void format_server(const struct policy_tls *tls, char *buffer, size_t size) {
        char chain[SHOWN_MAX], trust[SHOWN_MAX];
        const char *path = tls->certificates[0].chain.path;
        int n = snprintf(buffer, size, "TLS %s as server, with %s%s", versions_of(tls),
                         nb_escape(path, strlen(path), chain, sizeof(chain)),
                         tls->n_certificates > 1 ? " and others" : "");

        if (tls->client_auth == POLICY_CLIENT_AUTH_NONE || n < 0 || (size_t)n >= size)
                return;
        snprintf(buffer + n, size - (size_t)n, "; clients %s a certificate by %s",
                 tls->client_auth == POLICY_CLIENT_AUTH_REQUIRE ? "must show" : "are asked for",
                 authorities_of(&tls->trust, trust));
}

static void format_proxy(const struct policy_protocol *protocol, const struct policy_leg *leg, char *buffer,
                         size_t size) {
        const char *given = "which leads to the next";
        char url[SHOWN_MAX];

        if (leg->is_last && protocol->proxy.resolves)
                given = "which is given a name as it is and resolves it, so that no address of it is judged";
        else if (leg->is_last)
                given = "which is given an address that was judged";
        snprintf(buffer, size, "through %s, %s", nb_escape(leg->hop->text, strlen(leg->hop->text), url, sizeof(url)),
                 given);
}

static void format_header(const struct policy_protocol *protocol, enum policy_verb verb, char *buffer, size_t size) {
        if (verb == POLICY_CONNECT)
                snprintf(buffer, size, "a PROXY header of version %s goes in front",
                         protocol->send_header == POLICY_PROXY_HEADER_V1 ? "1" : "2");
        else
                snprintf(buffer, size,
                         "who is listed in AcceptProxyHeader= says by a PROXY header whom it connects for, and that "
                         "peer is judged instead");
}

static void format_quic(const struct policy_protocol *protocol, enum policy_verb verb, char *buffer, size_t size) {
        const struct policy_quic *quic = &protocol->quic;
        char window[POLICY_LIMIT_TEXT_MAX];
        const char *retry = "";

        if (verb != POLICY_CONNECT)
                retry = quic->always_retry ? ", when it has proved its address by a Retry"
                                           : ", when it has proved its address by a Retry if many come";
        snprintf(buffer, size, "QUIC: the peer may have %" PRIu32 " streams of each kind open, each %s ahead%s",
                 quic->max_streams, policy_number_format(POLICY_UNIT_BYTES, quic->stream_window, window), retry);
}

/** Why a relay stays in between, or that it does not. */
static const char *why_relay_stays(const struct policy_protocol *protocol, enum policy_verb verb,
                                   enum policy_seal seal) {
        if (protocol->family == POLICY_FAMILY_QUIC)
                return "and stays in between: the guest has one end of a pair for each stream";
        if (protocol->data_path == POLICY_DATA_PATH_RELAY)
                return "and stays in between: DataPath=relay";
        if (policy_has_tls(protocol, verb))
                return "and stays in between, for the guest reads and writes plain text";
        if (!policy_keeps_socket(protocol, seal == POLICY_SEAL_PROVEN))
                return "and then gives the guest the socket itself";
        if (seal == POLICY_SEAL_UNKNOWN)
                return "and stays in between unless the broker's seal is proven: DataPath=auto";
        return "and stays in between: DataPath=auto, and the broker's seal is not proven";
}

static void format_relay(const struct policy_protocol *protocol, enum policy_verb verb, enum policy_seal seal,
                         char *buffer, size_t size) {
        const char *why = why_relay_stays(protocol, verb, seal);

        snprintf(buffer, size, "a relay of the tenant's does %s, %s",
                 policy_has_handshake(protocol, verb) ? "that" : "nothing to the bytes", why);
}

const char *policy_leg_format(const struct policy_protocol *protocol, enum policy_verb verb,
                              const struct policy_leg *leg, const char *subject, char *buffer, size_t size) {
        switch (leg->kind) {
        case POLICY_LEG_HEADER:
                format_header(protocol, verb, buffer, size);
                break;
        case POLICY_LEG_PROXY:
                format_proxy(protocol, leg, buffer, size);
                break;
        case POLICY_LEG_QUIC:
                format_quic(protocol, verb, buffer, size);
                break;
        case POLICY_LEG_TLS:
                if (verb == POLICY_CONNECT)
                        format_client(protocol->tls, subject, buffer, size);
                else
                        format_server(protocol->tls, buffer, size);
                break;
        case POLICY_LEG_RELAY:
                format_relay(protocol, verb, leg->seal, buffer, size);
                break;
        }
        return buffer;
}

const char *policy_leg_place(const struct policy_protocol *protocol, const struct policy_leg *leg, unsigned *ret_line) {
        if (leg->kind == POLICY_LEG_PROXY) {
                *ret_line = leg->hop->at.line;
                return leg->hop->at.file;
        }
        if (leg->kind == POLICY_LEG_TLS) {
                *ret_line = protocol->tls->line;
                return protocol->tls->file;
        }
        return NULL;
}
