/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/command.h"

#include <stdint.h>
#include <string.h>

const struct command command_table[] = {
        {
                .name = "status",
                .operands = "",
                .summary = "how netbrokerd is, and which policy it enforces",
                .help = "Shows the version, how long netbrokerd has been running, the policy and when it was loaded, "
                        "the error of the last reload if that failed, how many objects there are, and warnings.",
                .run = ctl_status_run,
        },
        {
                .name = "tenants",
                .operands = "",
                .summary = "tenants, what they hold and what was decided for them",
                .help = "Lists the tenants of the policy, and those that a reload took from it while they still hold "
                        "something; their mode is \"-\".",
                .run = ctl_tenants,
        },
        {
                .name = "sessions",
                .operands = "",
                .options = OPTION_TENANT,
                .summary = "open sessions",
                .help = "Lists the open sessions: their number, tenant, user, process and label.",
                .run = ctl_sessions,
        },
        {
                .name = "connections",
                .operands = "",
                .options = OPTION_TENANT | OPTION_SESSION,
                .summary = "connections in the hands of tenants",
                .help = "Lists the connections that were handed out and are not closed yet: which way their bytes go, "
                        "direct or through a relay, what TLS they have, and through which proxies they lead. --json "
                        "tells more.",
                .run = ctl_connections,
        },
        {
                .name = "relays",
                .operands = "",
                .options = OPTION_TENANT,
                .summary = "relays, and how they are",
                .help = "Lists the processes that carry bytes for tenants: since when, how many links each has, its "
                        "memory in bytes, whether its keys are kept from being swapped out, and how many of the "
                        "tenant's have crashed.",
                .run = ctl_relays,
        },
        {
                .name = "certificates",
                .operands = "",
                .options = OPTION_TENANT,
                .summary = "certificates that relays show, and when they expire",
                .help = "Lists the certificates of the policy in force, as a relay has read them: whom they are for, "
                        "and until when they are good. \"check\" reads those of a policy that is not in force.",
                .run = ctl_certificates,
        },
        {
                .name = "quota",
                .operands = "[TENANT]",
                .max_operands = 1,
                .summary = "what tenants use of their limits",
                .help = "Lists the limits of all tenants, or of TENANT: what is used, the limit in force, and how "
                        "often it was met.",
                .run = ctl_quota,
        },
        {
                .name = "check",
                .operands = "FILE|DIR...",
                .min_operands = 1,
                .max_operands = SIZE_MAX,
                .options = OPTION_DEFAULTS | OPTION_EXPIRY_WARNING,
                .summary = "check policies and their certificates, without netbrokerd",
                .help = "Says for each FILE or DIR whether it is a valid policy, what is wrong with it, and what a "
                        "reader should look at. Opens the files that it names for TLS and proxies, and says what is "
                        "wrong with them, and when certificates expire. No netbrokerd is asked.",
                .run = ctl_check,
        },
        {
                .name = "dump",
                .operands = "[TENANT]",
                .max_operands = 1,
                .options = OPTION_POLICY,
                .summary = "the policy in force, as one file a tenant",
                .help = "Prints the policy of all tenants, or of TENANT, with all keys and their values in force, "
                        "drop-ins and includes merged.",
                .run = ctl_dump,
        },
        {
                .name = "keys",
                .operands = "",
                .summary = "all keys of policy files",
                .help = "Prints a reference of all keys of policy files, their values, defaults and what they do.",
                .run = ctl_keys,
        },
        {
                .name = "explain",
                .operands = "TENANT PROTOCOL connect|listen|accept ADDRESS|NAME:PORT",
                .min_operands = 4,
                .max_operands = 4,
                .options = OPTION_POLICY | OPTION_RESOLVE,
                .summary = "why something is allowed or denied",
                .help = "Shows each step by which the policy decides, and what would allow what is denied. Ends with "
                        "status 0 if it is allowed, 1 if it is denied, 2 if it is no valid question. With --resolve a "
                        "granted name is looked up, and each address is judged; then one that is allowed is enough.",
                .run = ctl_explain,
        },
        {
                .name = "test",
                .operands = "FILE",
                .min_operands = 1,
                .max_operands = 1,
                .options = OPTION_POLICY | OPTION_RESOLVE,
                .summary = "whether a policy does what a file expects",
                .help = "Asks all the questions in FILE, one a line: allow|deny TENANT PROTOCOL connect|listen|accept "
                        "TARGET [=> ADDRESS] [rule FILE:LINE|none]. Ends with status 0 if all answers are as expected, "
                        "1 if not, 2 if FILE is not as it should be.",
                .run = ctl_test,
        },
        {
                .name = "reload",
                .operands = "",
                .summary = "load the policy again",
                .help = "Has netbrokerd load its policy again, and waits for the result. If the policy has errors they "
                        "are printed, the status is 1, and the policy before stays in force.",
                .run = ctl_reload,
        },
        {
                .name = "revoke",
                .operands = "session ID | connection ID | protocol TENANT NAME",
                .min_operands = 2,
                .max_operands = 3,
                .summary = "take back what was granted",
                .help = "Ends a session with all its channels, shuts down a connection in its holder's hands, or ends "
                        "all that sessions have by a protocol. Connections are shut down by netbroker-helper, if "
                        "netbrokerd has one. The policy stays as it is.",
                .run = ctl_revoke,
        },
        {
                .name = "drain",
                .operands = "",
                .options = OPTION_TENANT | OPTION_WAIT,
                .summary = "refuse new sessions, and let the rest come to its end",
                .help = "Has netbrokerd refuse new sessions, of all tenants or with --tenant of one, as if it were not "
                        "there. What is open goes on, also over a reload, and with a keeper over a restart. Says what "
                        "is left; with --wait it ends when nothing is.",
                .run = ctl_drain,
        },
        {
                .name = "undrain",
                .operands = "",
                .options = OPTION_TENANT,
                .summary = "admit sessions again",
                .help = "Ends what drain began: of everything, or with --tenant of one tenant.",
                .run = ctl_undrain,
        },
        {
                .name = "watch",
                .operands = "",
                .options = OPTION_TENANT | OPTION_PROTOCOL | OPTION_VERB | OPTION_VERDICT,
                .summary = "decisions as they happen",
                .help = "Prints each record of the audit that fits the options, until it is ended. Records that are "
                        "not read in time are lost and counted.",
                .run = ctl_watch,
        },
        {
                .name = "suggest",
                .operands = "TENANT",
                .min_operands = 1,
                .max_operands = 1,
                .options = OPTION_AUDIT,
                .summary = "the least policy for what was seen",
                .help = "Prints the least policy that allows what TENANT was seen to ask for since netbrokerd knows "
                        "it, or with --audit in the records of FILE.",
                .run = ctl_suggest,
        },
        {
                .name = "token",
                .operands = "keygen|new|attenuate|close|show|verify|revoke [FILE]",
                .min_operands = 1,
                .max_operands = 2,
                .options = OPTION_TOKEN | OPTION_TENANT | OPTION_PROTOCOL | OPTION_VERB,
                .summary = "make, narrow, show and revoke capability tokens",
                .help = "keygen --output FILE makes an issuer's key, and prints the line TokenKey= for policies. new "
                        "--key FILE "
                        "makes a token, attenuate narrows one, close makes it one that nobody can narrow further. They "
                        "take --tenant, --protocol, --verb, --connect, --listen, --deny, --quota, --expires, "
                        "--not-before and --label, write to standard output or --output, and read a token from FILE or "
                        "standard input.\n\n"
                        "show prints the blocks in words, verify --issuer KEY says whether it holds, revoke prints the "
                        "identifier of its last block, for the file of RevokedTokens=.",
                .run = ctl_token,
        },
        {
                .name = "log-level",
                .operands = "[LEVEL]",
                .max_operands = 1,
                .summary = "show or set how much netbrokerd logs",
                .help = "Shows the log level, or sets it to LEVEL, one of error, warning, notice, info and debug, "
                        "until netbrokerd ends.",
                .run = ctl_log_level,
        },
        {
                .name = "metrics",
                .operands = "",
                .summary = "what Prometheus would get",
                .help = "Prints the metrics of netbrokerd, also where it serves none.",
                .run = ctl_metrics,
        },
        {
                .name = "help",
                .operands = "[COMMAND]",
                .max_operands = 1,
                .summary = "this list, or what a command does",
                .help = "Lists the commands, or says what COMMAND does and how it is called.",
                .run = ctl_help,
        },
};

const size_t command_table_n = sizeof(command_table) / sizeof(command_table[0]);

const struct command *command_find(const char *name) {
        for (size_t i = 0; i < command_table_n; ++i) {
                if (strcmp(command_table[i].name, name) == 0)
                        return &command_table[i];
        }
        return NULL;
}
