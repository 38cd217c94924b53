/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/quic_keys.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "policy/keys.h"
#include "policy/limit.h"
#include "policy/tls_keys.h"
#include "policy/value.h"
#include "policy/verdict.h"
#include "policy/words.h"

/* Each stream is a descriptor of the relay and one of the guest's host, and there are as many of the other kind: twice this is what a process
 * may have open by systemd's default, 524288, several times over. QUIC itself ends at 2^60 (RFC 9000, 4.6). */
#define STREAMS_MAX 65536

/* Below, a round trip moves less than a dozen packets; above, one peer's silence could cost a relay all that it has. Totals that count
 * in bytes stay far below QUIC's 2^62 (RFC 9000, 4.1) in any case: it is a window that moves. */
#define WINDOW_MIN_TEXT "16K"
#define WINDOW_MIN ((uint64_t)16 * 1024)
#define WINDOW_MAX_TEXT "1G"
#define WINDOW_MAX ((uint64_t)1024 * 1024 * 1024)

/* A PING is a packet each way for every connection. */
#define KEEP_ALIVE_MIN_MS 1000

/* ---- setting ---- */

int quic_set_max_streams(struct parser *p, const char *value) {
        uint64_t number;

        if (policy_number_parse(value, POLICY_UNIT_COUNT, &number) < 0 || number > STREAMS_MAX)
                return policy_complain(&p->complaint, 0,
                                       "MaxStreams= is a whole number from 1 to %d: each stream takes a descriptor of "
                                       "the relay and one of the program that runs the guest",
                                       STREAMS_MAX);
        p->protocol->quic.max_streams = (uint32_t)number;
        return 0;
}

static int set_window(struct parser *p, const char *value, uint64_t *ret) {
        uint64_t number;

        if (policy_number_parse(value, POLICY_UNIT_BYTES, &number) < 0 || number < WINDOW_MIN || number > WINDOW_MAX)
                return policy_complain(&p->complaint, 0,
                                       "%s= is a number of bytes from " WINDOW_MIN_TEXT " to " WINDOW_MAX_TEXT
                                       ", which may end in K, M or G",
                                       keys_name(p->key));
        *ret = number;
        return 0;
}

int quic_set_stream_window(struct parser *p, const char *value) {
        return set_window(p, value, &p->protocol->quic.stream_window);
}

int quic_set_connection_window(struct parser *p, const char *value) {
        return set_window(p, value, &p->protocol->quic.connection_window);
}

int quic_set_keep_alive(struct parser *p, const char *value) {
        uint64_t ms;
        int r = policy_timeout_parse(value, &ms, &p->complaint);

        if (r < 0)
                return r;
        if (ms < KEEP_ALIVE_MIN_MS) {
                policy_complain(&p->complaint, 0,
                                "KeepAlive= is from 1s on: each is a packet to the peer and one back");
                policy_complaint_splice(&p->complaint, value, strlen(value), 0, strlen(value), "1s");
                return -EINVAL;
        }
        p->protocol->quic.keep_alive_ms = ms;
        return 0;
}

int quic_set_retry(struct parser *p, const char *value) {
        int word, r = policy_word_parse(value, policy_words_retry, &word, &p->complaint);

        if (r == 0)
                p->protocol->quic.always_retry = word;
        return r;
}

/* ---- the section as a whole ---- */

/** A key about QUIC where there is none. */
static int check_is_on(struct parser *p) {
        for (int key = PARSER_KEY_MAX_STREAMS; key <= PARSER_KEY_RETRY; ++key)
                if (parser_is_set(p, (enum parser_key)key))
                        return parser_fail_value(p, (enum parser_key)key, "%s= is for Family=quic, and [%s %s] has %s",
                                                 keys_name((enum parser_key)key), policy_section_word(p->protocol),
                                                 p->protocol->name, policy_family_text(p->protocol));
        return 0;
}

/** A default of [Defaults] is not meant for QUIC; what stands in the section is. */
static int settle_data_path(struct parser *p) {
        if (parser_is_set(p, PARSER_KEY_DATA_PATH) && p->protocol->data_path != POLICY_DATA_PATH_RELAY)
                return parser_correct_value(p, PARSER_KEY_DATA_PATH, "relay",
                                            "QUIC is done by the tenant's relay, and a guest gets its streams from "
                                            "there: write DataPath=relay, or leave it out");
        p->protocol->data_path = POLICY_DATA_PATH_RELAY;
        return 0;
}

/** Peers that agree on no protocol inside are refused (RFC 9001, 8.1), so there must be one. */
static int check_alpn(struct parser *p) {
        if (p->protocol->tls && p->protocol->tls->n_alpn > 0)
                return 0;
        return parser_fail_whole(
                p, &p->section->header, "TLSALPN=h3",
                "[Protocol %s] needs TLSALPN=, for QUIC: the protocol that guest and peer speak on the "
                "connection, such as h3 for HTTP/3",
                p->protocol->name);
}

static int settle_version(struct parser *p) {
        struct policy_tls *tls = p->protocol->tls;

        if (!(tls->versions & POLICY_TLS_1_3))
                return parser_correct_value(p, PARSER_KEY_TLS_VERSIONS, "1.3",
                                            "QUIC has TLS 1.3 inside, and no other (RFC 9001): write TLSVersions=1.3, "
                                            "or leave it out");
        tls->versions = POLICY_TLS_1_3;
        return 0;
}

/** What is granted, and with Mode=report what would pass without a grant, as far as there is what it takes. */
static unsigned roles_of(const struct parser *p) {
        const struct policy_protocol *protocol = p->protocol;
        unsigned roles = 0;

        if (policy_has_rule(protocol, POLICY_RULE_CONNECT) || p->tenant->mode == POLICY_MODE_REPORT)
                roles |= POLICY_TLS_CLIENT;
        if (policy_has_rule(protocol, POLICY_RULE_LISTEN) || protocol->tls->n_certificates > 0)
                roles |= POLICY_TLS_SERVER;
        return roles != 0 ? roles : POLICY_TLS_CLIENT;
}

/** Where TLS= is written, it must be what the rules take. */
static int check_roles(struct parser *p) {
        const struct policy_protocol *protocol = p->protocol;
        bool connects = policy_has_rule(protocol, POLICY_RULE_CONNECT),
             listens = policy_has_rule(protocol, POLICY_RULE_LISTEN);
        unsigned needed = (connects ? POLICY_TLS_CLIENT : 0) | (listens ? POLICY_TLS_SERVER : 0);

        if ((needed & ~protocol->tls->roles) == 0)
                return 0;
        return parser_correct_value(p, PARSER_KEY_TLS, policy_word(policy_words_tls, (int)needed),
                                    "QUIC has TLS inside, always, and [Protocol %s] has %s: write TLS=%s, or leave it "
                                    "out",
                                    protocol->name,
                                    connects && listens ? "Connect= and Listen="
                                    : connects          ? "Connect="
                                                        : "Listen=",
                                    policy_word(policy_words_tls, (int)needed));
}

static int settle_roles(struct parser *p) {
        struct policy_tls *tls = p->protocol->tls;

        if (parser_is_set(p, PARSER_KEY_TLS))
                return check_roles(p);
        tls->roles = roles_of(p);
        tls->file = p->protocol->file;
        tls->line = p->protocol->line;
        return 0;
}

static int check_certificate(struct parser *p) {
        const struct policy_tls *tls = p->protocol->tls;

        if (!(tls->roles & POLICY_TLS_SERVER) || tls->n_certificates > 0)
                return 0;
        return parser_fail_whole(p, &p->section->header,
                                 "TLSCertificate=/etc/netbroker/server.pem /etc/netbroker/server.key",
                                 "a server of QUIC needs TLSCertificate=, with the file of its certificate and that of "
                                 "its key, and [Protocol %s] has none",
                                 p->protocol->name);
}

static int check_times(struct parser *p) {
        const struct policy_protocol *protocol = p->protocol;

        if (protocol->quic.keep_alive_ms < protocol->idle_timeout_ms)
                return 0;
        return parser_fail_value(p, PARSER_KEY_KEEP_ALIVE,
                                 "the connection would end before it is kept alive: KeepAlive= is shorter than "
                                 "IdleTimeout=, at best by half");
}

int quic_keys_finish(struct parser *p) {
        int r;

        if (p->protocol->family != POLICY_FAMILY_QUIC)
                return check_is_on(p);
        r = settle_data_path(p);
        if (r == 0)
                r = check_alpn(p);
        if (r == 0)
                r = settle_version(p);
        if (r == 0)
                r = settle_roles(p);
        if (r == 0)
                r = check_certificate(p);
        return r < 0 ? r : check_times(p);
}
