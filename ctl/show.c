/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands that show what a running netbrokerd has: tenants, sessions, connections, relays, certificates, quota.
 */
#include <stdint.h>

#include "ctl/command.h"
#include "ctl/list.h"
#include "ctl/number.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

static const struct table_column tenant_columns[] = {
        { .title = "TENANT", .key = "tenant", .may_be_cut = true },
        { .title = "MODE", .key = "mode" },
        { .title = "SESSIONS", .key = "sessions", .right = true },
        { .title = "LISTENERS", .key = "listeners", .right = true },
        { .title = "CONNECTIONS", .key = "connections", .right = true },
        { .title = "ALLOWED", .key = "allowed", .right = true },
        { .title = "DENIED", .key = "denied", .right = true },
        { .title = "REPORTED", .key = "reported", .right = true },
        { .title = "SHARD", .key = "shard", .right = true, .may_be_missing = true },
};

static const struct table_column session_columns[] = {
        { .title = "SESSION", .key = "session", .right = true },
        { .title = "TENANT", .key = "tenant", .may_be_cut = true },
        { .title = "USER", .key = "uid", .right = true },
        { .title = "PID", .key = "pid", .right = true },
        { .title = "PROTOCOLS", .key = "protocols", .right = true },
        { .title = "CONTROLS", .key = "controls", .right = true },
        { .title = "RESTRICTED", .key = "restricted", .right = true, .may_be_missing = true },
        { .title = "LABEL", .key = "label", .may_be_cut = true },
        { .title = "TOKEN", .key = "token", .may_be_missing = true },
};

static const struct table_column connection_columns[] = {
        { .title = "ID", .key = "connection", .right = true },
        { .title = "TENANT", .key = "tenant", .may_be_cut = true },
        { .title = "SESSION", .key = "session", .right = true },
        { .title = "PROTOCOL", .key = "protocol", .may_be_cut = true },
        { .title = "VERB", .key = "operation" },
        { .title = "TYPE", .key = "type" },
        { .title = "PEER", .key = "peer", .may_be_cut = true },
        { .title = "NAME", .key = "name", .may_be_cut = true },
        { .title = "PATH", .key = "path" },
        { .title = "RESTRICTED", .key = "restricted", .right = true, .may_be_missing = true },
        { .title = "TLS", .key = "tls.version" },
        { .title = "RTT(US)", .key = "quic.rtt_us", .right = true, .may_be_missing = true },
        { .title = "LOST", .key = "quic.packets_lost", .right = true, .may_be_missing = true },
        { .title = "CWND", .key = "quic.congestion_window", .right = true, .may_be_missing = true },
        { .title = "STREAMS", .key = "quic.streams", .right = true, .may_be_missing = true },
        { .title = "PROXY", .key = "proxy", .may_be_cut = true },
};

static const struct table_column relay_columns[] = {
        { .title = "TENANT", .key = "tenant", .may_be_cut = true },
        { .title = "PID", .key = "pid", .right = true },
        { .title = "STATE", .key = "state" },
        { .title = "SINCE", .key = "since" },
        { .title = "LINKS", .key = "links", .right = true },
        { .title = "MEMORY", .key = "memory", .right = true },
        { .title = "LOCKED", .key = "locked_memory" },
        { .title = "CRASHES", .key = "crashes", .right = true },
        { .title = "SHARD", .key = "shard", .right = true, .may_be_missing = true },
};

static const struct table_column certificate_columns[] = {
        { .title = "TENANT", .key = "tenant", .may_be_cut = true },
        { .title = "PROTOCOL", .key = "protocol", .may_be_cut = true },
        { .title = "NAME", .key = "name", .may_be_cut = true },
        { .title = "EXPIRES", .key = "expires" },
        { .title = "FILE", .key = "file", .may_be_cut = true },
};

int ctl_tenants(const struct ctl *ctl) {
        return list_ask(ctl, json_pack("{s:s}", "verb", "tenants"), tenant_columns, ELEMENTS(tenant_columns));
}

int ctl_sessions(const struct ctl *ctl) {
        return list_ask(ctl, json_pack("{s:s, s:s*}", "verb", "sessions", "tenant", ctl->options->tenant),
                        session_columns, ELEMENTS(session_columns));
}

int ctl_connections(const struct ctl *ctl) {
        json_t *request = json_pack("{s:s, s:s*}", "verb", "connections", "tenant", ctl->options->tenant);
        uint64_t session;

        if (ctl->options->session) {
                if (number_parse(ctl->options->session, &session) < 0) {
                        json_decref(request);
                        return ctl_misused(ctl, "--session takes the number of a session");
                }
                (void)json_object_set_new(request, "session", json_integer((json_int_t)session));
        }
        return list_ask(ctl, request, connection_columns, ELEMENTS(connection_columns));
}

/* ---- relays ---- */

int ctl_relays(const struct ctl *ctl) {
        return list_ask(ctl, json_pack("{s:s, s:s*}", "verb", "relays", "tenant", ctl->options->tenant), relay_columns,
                        ELEMENTS(relay_columns));
}

int ctl_certificates(const struct ctl *ctl) {
        return list_ask(ctl, json_pack("{s:s, s:s*}", "verb", "certificates", "tenant", ctl->options->tenant),
                        certificate_columns, ELEMENTS(certificate_columns));
}

/* ---- quota ---- */

static const struct table_column quota_columns[] = {
        { .title = "TENANT", .key = "tenant", .may_be_cut = true }, { .title = "LIMIT", .key = "quota" },
        { .title = "USED", .key = "used", .right = true },          { .title = "OF", .key = "limit", .right = true },
        { .title = "DENIED", .key = "denied", .right = true },
};

int ctl_quota(const struct ctl *ctl) {
        const char *tenant = ctl->n_operands == 1 ? ctl->operands[0] : NULL;

        return list_ask(ctl, json_pack("{s:s, s:s*}", "verb", "quota", "tenant", tenant), quota_columns,
                        ELEMENTS(quota_columns));
}
