/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/options.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/address.h"
#include "config.h"
#include "policy/source.h"

static int set_log_level(const struct nb_option *option, void *data, const char *value) {
        struct options *options = data;

        (void)option;
        return nb_log_level_parse(value, &options->log_level);
}

static int set_data_path(const struct nb_option *option, void *data, const char *value) {
        struct options *options = data;

        (void)option;
        if (strcmp(value, "auto") == 0)
                options->data_path = POLICY_DATA_PATH_AUTO;
        else if (strcmp(value, "direct") == 0)
                options->data_path = POLICY_DATA_PATH_DIRECT;
        else if (strcmp(value, "relay") == 0)
                options->data_path = POLICY_DATA_PATH_RELAY;
        else
                return -EINVAL;
        return 0;
}

/* 0 to 2 are the standard streams. A port's syntax is that of a small number. */
static int set_session_fd(const struct nb_option *option, void *data, const char *value) {
        struct options *options = data;
        uint16_t number;

        (void)option;
        if (nb_port_parse(value, strlen(value), &number) < 0 || number <= 2)
                return -EINVAL;
        options->session_fd = number;
        return 0;
}

static int set_shards(const struct nb_option *option, void *data, const char *value) {
        struct options *options = data;
        uint16_t number;

        (void)option;
        if (nb_port_parse(value, strlen(value), &number) < 0 || number == 0 || number > POLICY_SHARDS_MAX)
                return -EINVAL;
        options->shards = number;
        return 0;
}

static const struct nb_option table[] = {
        {
                .name = "policy",
                .argument = "FILE|DIR",
                .help = "Read the policy from FILE, or from all *.conf files in DIR. "
                        "The default is " POLICY_SOURCE_DEFAULT ".",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, policy),
        },
        {
                .name = "defaults",
                .argument = "FILE",
                .help = "Read the defaults of all tenants from FILE, which has a [Defaults] section.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, defaults),
        },
        {
                .name = "socket",
                .argument = "PATH",
                .help = "Make a socket at PATH and serve sessions on it. Not needed under systemd, whose sockets "
                        "(LISTEN_FDS) are served as they come.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, socket_path),
        },
        {
                .name = "session-fd",
                .argument = "N",
                .help = "Serve the session on the inherited descriptor N, which may be any tenant of the policy, "
                        "and end when it is over.",
                .expects = "the number of an open descriptor, from 3 up",
                .set = set_session_fd,
        },
        {
                .name = "data-path",
                .argument = "MODE",
                .help = "Assume DataPath=MODE where a protocol says nothing: auto, the default, direct or relay.",
                .expects = "auto, direct or relay",
                .set = set_data_path,
        },
        {
                .name = "admin-socket",
                .argument = "PATH",
                .help = "Make a socket at PATH for netbrokerctl, which only the user that starts netbrokerd can reach. "
                        "Not needed under systemd, whose socket named \"admin\" is served.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, admin_socket),
        },
        {
                .name = "audit",
                .argument = "FILE|journal|stdout",
                .help = "Append audit records to FILE, one JSON object a line, or send them to the journal with a "
                        "field "
                        "for each member, or write them to standard output. Without it they go to the log.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, audit),
        },
        {
                .name = "audit-allowed",
                .help = "Record what is allowed, too, and not only what is not.",
                .set = nb_option_set_flag,
                .offset = offsetof(struct options, audit_allowed),
        },
        {
                .name = "metrics",
                .argument = "ADDRESS",
                .help = "Serve metrics for Prometheus at unix:PATH, 127.0.0.1:PORT or [::1]:PORT.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, metrics),
        },
        {
                .name = "helper",
                .argument = "PATH",
                .help = "Have the netbroker-helper that serves PATH shut down what the policy no longer grants, and "
                        "what "
                        "netbrokerctl revokes, in the hands of its holders.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, helper),
        },
        {
                .name = "keeper",
                .argument = "PATH",
                .help = "Leave what is to outlive a restart with the netbroker-keeper that serves PATH, and take back "
                        "what "
                        "the netbrokerd before has left there.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, keeper),
        },
        {
                .name = "seal",
                .argument = "DIR",
                .help = "Use the seal that netbroker-seal has pinned in DIR and attached to this service. "
                        "DataPath=auto hands out sockets where it is proven.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, seal),
        },
        {
                .name = "probe",
                .argument = "PATH",
                .help = "Have the netbroker-probe that serves PATH prove the seal at the start.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, probe),
        },
        {
                .name = "relay-program",
                .argument = "PATH",
                .help = "Start the tenants' relays, for TLS, proxies and DataPath=relay, from PATH. "
                        "The default is " NETBROKER_RELAY_PATH ".",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, relay_program),
        },
        {
                .name = "relay-socket",
                .argument = "PATH",
                .help = "Have systemd start them instead, an instance for each connection to the socket at PATH.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, relay_socket),
        },
        {
                .name = "shards",
                .argument = "N",
                .help = "Deal the tenants to N processes, each with a loop and a share of the quotas of its own, "
                        "behind "
                        "this one, which accepts sessions. The default is 1: this one serves all.",
                .expects = "a number from 1 to 64",
                .set = set_shards,
        },
        {
                .name = "user",
                .argument = "NAME",
                .help = "Become the user NAME after start, keeping CAP_NET_BIND_SERVICE only.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, user),
        },
        {
                .name = "log-level",
                .argument = "LEVEL",
                .help = "Log up to LEVEL: error, warning, notice (the default), info (allowed decisions too) or "
                        "debug.",
                .expects = "error, warning, notice, info or debug",
                .set = set_log_level,
        },
        {
                .name = "check",
                .help = "Check the policy, say what is wrong with it, and end.",
                .set = nb_option_set_flag,
                .offset = offsetof(struct options, check),
        },
};

const struct nb_option_table options_table = {
        .program = "netbrokerd",
        .version = PACKAGE_VERSION,
        .summary = "Owns the sockets of WebAssembly guests and enforces their tenants' policies.",
        .see = "netbrokerd(8), netbroker.conf(5)",
        .options = table,
        .n_options = sizeof(table) / sizeof(table[0]),
};

void options_init(struct options *options) {
        *options = (struct options){
                .policy = POLICY_SOURCE_DEFAULT,
                .session_fd = -1,
                .shards = 1,
                .data_path = POLICY_DATA_PATH_AUTO,
                .log_level = NB_LOG_NOTICE,
        };
}

const char *options_relay_program(const struct options *options) {
        if (options->relay_socket)
                return NULL;
        return options->relay_program ? options->relay_program : NETBROKER_RELAY_PATH;
}
