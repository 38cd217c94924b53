/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/command.h"

#include <string.h>

const struct command command_table[] = {
        {
                .name = "status",
                .operands = "",
                .summary = "how netbrokerd is, and which policy it enforces",
                .help = "Shows the version, how long netbrokerd has been running, the policy and when it was loaded, "
                        "the "
                        "error of the last reload if that failed, how many objects there are, and warnings.",
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
                .help = "Lists the connections that were handed out and are not closed yet.",
                .run = ctl_connections,
        },
        {
                .name = "log-level",
                .operands = "[LEVEL]",
                .max_operands = 1,
                .summary = "show or set how much netbrokerd logs",
                .help = "Shows the log level, or sets it to LEVEL, one of error, warning, notice, info and debug, "
                        "until "
                        "netbrokerd ends.",
                .run = ctl_log_level,
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
