/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tenant as one file: what is in force, with nothing left to defaults, drop-ins or includes. Rules keep their order, for the first of
 * several that match is the one that is reported, and stand one a line.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/dump_relay.h"
#include "policy/lines.h"
#include "policy/limit.h"
#include "policy/pin.h"
#include "policy/policy.h"
#include "policy/rule.h"
#include "policy/words.h"

static const char *principal_key(enum policy_principal_kind kind) {
        switch (kind) {
        case POLICY_PRINCIPAL_USER:
                return "User";
        case POLICY_PRINCIPAL_GROUP:
                return "Group";
        default:
                return "Unit";
        }
}

static void print_socket(FILE *out, const struct policy_session_socket *socket) {
        if (!socket->path)
                return;
        fprintf(out, "Socket=%s\n", socket->path);
        if (socket->user)
                fprintf(out, "SocketUser=%s\n", socket->user);
        if (socket->group)
                fprintf(out, "SocketGroup=%s\n", socket->group);
        fprintf(out, "SocketMode=%04" PRIo32 "\n", socket->mode);
}

static void print_resolvers(FILE *out, const struct policy_tenant *tenant) {
        char text[NB_ADDRESS_TEXT_MAX];

        if (tenant->n_resolvers == 0)
                return;
        fputs("Resolvers=", out);
        for (size_t i = 0; i < tenant->n_resolvers; ++i)
                fprintf(out, "%s%s", i > 0 ? " " : "", policy_resolver_format(&tenant->resolvers[i], text));
        fputc('\n', out);
}

static void print_limits(FILE *out, const struct policy_tenant *tenant) {
        char text[POLICY_LIMIT_TEXT_MAX];

        for (int i = 0; i < POLICY_N_LIMITS; ++i) {
                enum policy_limit limit = (enum policy_limit)i;

                fprintf(out, "%s=%s\n", policy_limit_kind(limit)->key,
                        policy_limit_format(limit, tenant->limits[limit], text));
        }
}

/** Without an issuer there is no token of which the others could say something. */
static void print_tokens(FILE *out, const struct policy_tenant *tenant) {
        const struct policy_tokens *tokens = &tenant->tokens;
        char text[POLICY_TOKEN_KEY_TEXT_MAX];

        if (tokens->n_keys == 0)
                return;
        for (size_t i = 0; i < tokens->n_keys; ++i)
                fprintf(out, "%s%s", i > 0 ? " " : "TokenKey=", policy_token_key_format(&tokens->keys[i], text));
        fprintf(out, "\nRequireToken=%s\n", policy_word(policy_words_yes_no, tokens->required));
        if (tenant->revoked_tokens.path)
                fprintf(out, "RevokedTokens=%s\n", tenant->revoked_tokens.path);
        fprintf(out, "TokenExpiry=%s\n", policy_word(policy_words_existing, (int)tokens->expiry));
}

static void print_tenant_section(FILE *out, const struct policy_tenant *tenant) {
        fprintf(out, "[Tenant]\nName=%s\n", tenant->name);
        for (size_t i = 0; i < tenant->n_principals; ++i)
                fprintf(out, "%s=%s\n", principal_key(tenant->principals[i].kind), tenant->principals[i].text);
        print_socket(out, &tenant->socket);
        fprintf(out, "Mode=%s\n", policy_word(policy_words_mode, (int)tenant->mode));
        fprintf(out, "Existing=%s\n", policy_word(policy_words_existing, (int)tenant->existing));
        fprintf(out, "ExplainDenials=%s\n", policy_word(policy_words_yes_no, tenant->explain_denials));
        print_resolvers(out, tenant);
        fprintf(out, "Relays=%u\n", tenant->n_relays);
        if (tenant->shard > 0)
                fprintf(out, "Shard=%u\n", tenant->shard);
        print_tokens(out, tenant);
        print_limits(out, tenant);
}

/** A rule in its one spelling; a name of another script may be too long for a line in it, and stays as it was written. */
static void print_rule(FILE *out, const struct policy_rule *rule) {
        const char *kind = policy_rule_kind_name(rule->kind);
        char text[POLICY_RULE_TEXT_MAX];

        if (rule->target == POLICY_TARGET_UNIX ||
            strlen(kind) + 1 + strlen(policy_rule_format(rule, text)) > POLICY_LINE_MAX)
                fprintf(out, "%s\n", rule->text);
        else
                fprintf(out, "%s=%s\n", kind, text);
}

/** Whether IdleTimeout= says something of the protocol. */
static bool has_idle_timeout(const struct policy_protocol *protocol) {
        if (protocol->family == POLICY_FAMILY_QUIC)
                return true;
        return (protocol->socket_types & POLICY_SOCKET_DGRAM) && policy_has_rule(protocol, POLICY_RULE_LISTEN);
}

static void print_quic(FILE *out, const struct policy_protocol *protocol) {
        const struct policy_quic *quic = &protocol->quic;
        char text[POLICY_LIMIT_TEXT_MAX], time[POLICY_TIMEOUT_TEXT_MAX];

        if (protocol->family != POLICY_FAMILY_QUIC)
                return;
        fprintf(out, "MaxStreams=%" PRIu32 "\n", quic->max_streams);
        fprintf(out, "StreamWindow=%s\n", policy_number_format(POLICY_UNIT_BYTES, quic->stream_window, text));
        fprintf(out, "ConnectionWindow=%s\n", policy_number_format(POLICY_UNIT_BYTES, quic->connection_window, text));
        if (quic->keep_alive_ms > 0)
                fprintf(out, "KeepAlive=%s\n", policy_timeout_format(quic->keep_alive_ms, time));
        fprintf(out, "Retry=%s\n", policy_word(policy_words_retry, quic->always_retry));
}

/** What protocols and preopened sockets have in common. */
static void print_grants(FILE *out, const struct policy_protocol *protocol, bool connects) {
        bool stream = protocol->socket_types & POLICY_SOCKET_STREAM,
             dgram = protocol->socket_types & POLICY_SOCKET_DGRAM;
        char text[POLICY_TIMEOUT_TEXT_MAX], range[POLICY_RANGE_TEXT_MAX];

        fprintf(out, "SocketTypes=%s%s%s\n", stream ? "stream" : "", stream && dgram ? " " : "", dgram ? "dgram" : "");
        fprintf(out, "DataPath=%s\n", policy_word(policy_words_data_path, (int)protocol->data_path));
        if (connects)
                fprintf(out, "ConnectTimeout=%s\n", policy_timeout_format(protocol->connect_timeout_ms, text));
        if (policy_has_handshake(protocol, POLICY_ACCEPT))
                fprintf(out, "HandshakeTimeout=%s\n", policy_timeout_format(protocol->handshake_timeout_ms, text));
        if (has_idle_timeout(protocol))
                fprintf(out, "IdleTimeout=%s\n", policy_timeout_format(protocol->idle_timeout_ms, text));
        print_quic(out, protocol);
        if (policy_listens_on_path(protocol))
                fprintf(out, "SocketMode=%04" PRIo32 "\n", protocol->socket_mode);
        for (size_t i = 0; i < protocol->n_rules; ++i)
                print_rule(out, &protocol->rules[i]);
        for (size_t i = 0; i < protocol->n_addresses; ++i)
                fprintf(out, "Addresses=%s\n", policy_range_format(&protocol->addresses[i], range));
        dump_tls(out, protocol->tls);
        dump_proxy(out, protocol);
}

static void print_protocol(FILE *out, const struct policy_protocol *protocol) {
        fprintf(out, "\n[Protocol %s]\nFamily=%s\n", protocol->name,
                policy_word(policy_words_family, (int)protocol->family));
        print_grants(out, protocol, true);
}

static void print_preopen(FILE *out, const struct policy_preopen *preopen) {
        fprintf(out, "\n[Preopen %s]\nNonblock=%s\n", preopen->protocol.name,
                policy_word(policy_words_yes_no, preopen->nonblock));
        print_grants(out, &preopen->protocol, preopen->verb == POLICY_CONNECT);
}

char *policy_format_tenant(const struct policy_tenant *tenant) {
        char *text = NULL;
        size_t length;
        FILE *out = open_memstream(&text, &length);
        bool failed;

        if (!out)
                return NULL;
        print_tenant_section(out, tenant);
        for (size_t i = 0; i < tenant->n_protocols; ++i)
                print_protocol(out, &tenant->protocols[i]);
        for (size_t i = 0; i < tenant->n_preopens; ++i)
                print_preopen(out, &tenant->preopens[i]);
        failed = ferror(out);
        if (fclose(out) != 0 || failed) {
                free(text);
                return NULL;
        }
        return text;
}
