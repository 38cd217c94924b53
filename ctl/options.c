/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/options.h"

#include <stddef.h>

#include "config.h"

static const struct nb_option table[] = {
        {
                .name = "admin-socket",
                .argument = "PATH",
                .help = "Ask the netbrokerd whose socket is at PATH. The default is " CTL_SOCKET_DEFAULT ".",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, admin_socket),
        },
        {
                .name = "audit",
                .argument = "FILE",
                .help = "suggest: read what was seen from FILE, which netbrokerd --audit has written.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, audit),
        },
        {
                .name = "defaults",
                .argument = "FILE",
                .help = "check, and with --policy: take what tenants do not say from the [Defaults] in FILE, as "
                        "netbrokerd does.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, defaults),
        },
        {
                .name = "expiry-warning",
                .argument = "DAYS",
                .help = "check: warn of what expires within DAYS. The default is 30.",
                .expects = "a number of days",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, expiry_warning),
        },
        {
                .name = "json",
                .help = "Write JSON instead of a table: one object or array, for watch one object a line.",
                .set = nb_option_set_flag,
                .offset = offsetof(struct options, json),
        },
        {
                .name = "policy",
                .argument = "FILE|DIR",
                .help = "dump, explain, test: ask the policy in FILE or DIR instead of a running netbrokerd.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, policy),
        },
        {
                .name = "protocol",
                .argument = "NAME",
                .help = "watch: only records about the protocol NAME.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, protocol),
        },
        {
                .name = "resolve",
                .help = "explain, test: look a name up, and judge each address that it has.",
                .set = nb_option_set_flag,
                .offset = offsetof(struct options, resolve),
        },
        {
                .name = "session",
                .argument = "ID",
                .help = "connections: only those of the session ID.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, session),
        },
        {
                .name = "tenant",
                .argument = "NAME",
                .help = "connections, sessions, watch: only those of the tenant NAME. drain, undrain: the tenant NAME "
                        "only.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, tenant),
        },
        {
                .name = "verb",
                .argument = "VERB",
                .help = "watch: only records of VERB: connect, listen, accept, open, hello and others.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, verb),
        },
        {
                .name = "verdict",
                .argument = "VERDICT",
                .help = "watch: only records with VERDICT: allowed, denied, reported, dropped and others.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, verdict),
        },
        {
                .name = "wait",
                .help = "drain: end when nothing is left.",
                .set = nb_option_set_flag,
                .offset = offsetof(struct options, wait),
        },
};

const struct nb_option_table options_table = {
        .program = "netbrokerctl",
        .version = PACKAGE_VERSION,
        .operands = "COMMAND [ARGUMENT...]",
        .summary = "Shows what netbrokerd does, explains and checks policies, and takes back what was granted. "
                   "`netbrokerctl help` lists the commands.",
        .see = "netbrokerctl(1), netbrokerd(8), netbroker.conf(5)",
        .options = table,
        .n_options = sizeof(table) / sizeof(table[0]),
};

void options_init(struct options *options) {
        *options = (struct options){ .admin_socket = CTL_SOCKET_DEFAULT };
}

const char *options_find_other(const struct options *options, unsigned allowed) {
        const struct {
                bool given;
                unsigned bit;
                const char *name;
        } all[] = {
                { options->policy, OPTION_POLICY, "policy" },
                { options->defaults, OPTION_POLICY | OPTION_DEFAULTS, "defaults" },
                { options->resolve, OPTION_RESOLVE, "resolve" },
                { options->tenant, OPTION_TENANT, "tenant" },
                { options->session, OPTION_SESSION, "session" },
                { options->protocol, OPTION_PROTOCOL, "protocol" },
                { options->verb, OPTION_VERB, "verb" },
                { options->verdict, OPTION_VERDICT, "verdict" },
                { options->audit, OPTION_AUDIT, "audit" },
                { options->expiry_warning, OPTION_EXPIRY_WARNING, "expiry-warning" },
                { options->wait, OPTION_WAIT, "wait" },
        };

        for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); ++i) {
                if (all[i].given && !(allowed & all[i].bit))
                        return all[i].name;
        }
        return NULL;
}
