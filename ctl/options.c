/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/options.h"

#include <errno.h>
#include <stddef.h>

#include "config.h"

/* @return -E2BIG where there are too many */
static int add_to_list(const struct nb_option *option, void *data, const char *value) {
        struct ctl_list *list = (struct ctl_list *)(void *)((char *)data + option->offset);

        if (list->n == CTL_LIST_MAX)
                return -E2BIG;
        list->items[list->n++] = value;
        return 0;
}

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
                .name = "connect",
                .argument = "PATTERN",
                .help = "token: leave connecting to PATTERN, written as in a policy; may be repeated. none: leave "
                        "nothing.",
                .set = add_to_list,
                .offset = offsetof(struct options, token.connect),
                .repeatable = true,
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
                .name = "deny",
                .argument = "PATTERN",
                .help = "token: refuse PATTERN; may be repeated.",
                .set = add_to_list,
                .offset = offsetof(struct options, token.deny),
                .repeatable = true,
        },
        {
                .name = "expires",
                .argument = "WHEN",
                .help = "token: end at WHEN, a time from now, such as 2h or 30d, or a moment, such as "
                        "2027-01-31T12:00:00Z.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, token.expires),
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
                .name = "issuer",
                .argument = "KEY",
                .help = "token verify: the public key ed25519/BASE64 that must have signed it.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, token.issuer),
        },
        {
                .name = "json",
                .help = "Write JSON instead of a table: one object or array, for watch one object a line.",
                .set = nb_option_set_flag,
                .offset = offsetof(struct options, json),
        },
        {
                .name = "key",
                .argument = "FILE",
                .help = "token new: sign with the secret key in FILE.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, token.key),
        },
        {
                .name = "label",
                .argument = "TEXT",
                .help = "token: call the block TEXT, for operators.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, token.label),
        },
        {
                .name = "listen",
                .argument = "PATTERN",
                .help = "token: leave listening on PATTERN; may be repeated. none: leave nothing.",
                .set = add_to_list,
                .offset = offsetof(struct options, token.listen),
                .repeatable = true,
        },
        {
                .name = "not-before",
                .argument = "WHEN",
                .help = "token: begin at WHEN, written as for --expires.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, token.not_before),
        },
        {
                .name = "output",
                .argument = "FILE",
                .help = "token: write the key or the token into FILE, which must not be there yet and is its owner's "
                        "alone.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, token.output),
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
                .help = "watch: only records about the protocol NAME. token: leave the protocols NAME,NAME...",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, protocol),
        },
        {
                .name = "quota",
                .argument = "KEY=N",
                .help = "token: hold each session to N controls, listeners, connections or connecting; may be "
                        "repeated.",
                .set = add_to_list,
                .offset = offsetof(struct options, token.quotas),
                .repeatable = true,
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
                        "only. token: leave the tenants NAME,NAME...",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, tenant),
        },
        {
                .name = "verb",
                .argument = "VERB",
                .help = "watch: only records of VERB: connect, listen, accept, open, hello and others. token: leave "
                        "connect, listen, or both with a comma.",
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
                { options->token.key, OPTION_TOKEN, "key" },
                { options->token.issuer, OPTION_TOKEN, "issuer" },
                { options->token.output, OPTION_TOKEN, "output" },
                { options->token.label, OPTION_TOKEN, "label" },
                { options->token.expires, OPTION_TOKEN, "expires" },
                { options->token.not_before, OPTION_TOKEN, "not-before" },
                { options->token.connect.n > 0, OPTION_TOKEN, "connect" },
                { options->token.listen.n > 0, OPTION_TOKEN, "listen" },
                { options->token.deny.n > 0, OPTION_TOKEN, "deny" },
                { options->token.quotas.n > 0, OPTION_TOKEN, "quota" },
        };

        for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); ++i) {
                if (all[i].given && !(allowed & all[i].bit))
                        return all[i].name;
        }
        return NULL;
}
