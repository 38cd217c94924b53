/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "ctl/command.h"

#define WIDTH 79

/* The option's name of each bit. */
static const struct {
        unsigned bit;
        const char *text;
} option_texts[] = {
        { OPTION_POLICY, "[--policy FILE|DIR [--defaults FILE]]" },
        { OPTION_DEFAULTS, "[--defaults FILE]" },
        { OPTION_EXPIRY_WARNING, "[--expiry-warning DAYS]" },
        { OPTION_RESOLVE, "[--resolve]" },
        { OPTION_TENANT, "[--tenant NAME]" },
        { OPTION_SESSION, "[--session ID]" },
        { OPTION_PROTOCOL, "[--protocol NAME]" },
        { OPTION_VERB, "[--verb VERB]" },
        { OPTION_VERDICT, "[--verdict VERDICT]" },
        { OPTION_AUDIT, "[--audit FILE]" },
        { OPTION_TOKEN, "[OPTION...]" },
};

/* Words, wrapped; a newline in the text is kept. */
static void print_wrapped(const char *text) {
        size_t column = 0;

        while (*text) {
                size_t length = strcspn(text, " \n");

                if (column > 0 && column + 1 + length > WIDTH) {
                        putchar('\n');
                        column = 0;
                }
                column += (size_t)printf("%s%.*s", column > 0 ? " " : "", (int)length, text);
                text += length;
                if (*text == '\n') {
                        putchar('\n');
                        column = 0;
                }
                text += *text != '\0';
        }
        putchar('\n');
}

static int help_of(const struct ctl *ctl, const char *name) {
        const struct command *command = command_find(name);

        if (!command)
                return ctl_misused(ctl, "there is no command '%s'", name);
        printf("Usage: netbrokerctl %s%s%s", command->name, *command->operands ? " " : "", command->operands);
        for (size_t i = 0; i < sizeof(option_texts) / sizeof(option_texts[0]); ++i) {
                if (command->options & option_texts[i].bit)
                        printf(" %s", option_texts[i].text);
        }
        printf("\n\n");
        print_wrapped(command->help);
        return CTL_OK;
}

int ctl_help(const struct ctl *ctl) {
        if (ctl->n_operands == 1)
                return help_of(ctl, ctl->operands[0]);
        printf("Usage: netbrokerctl [OPTION...] COMMAND [ARGUMENT...]\n\nCommands:\n");
        for (size_t i = 0; i < command_table_n; ++i)
                printf("  %-12s %s\n", command_table[i].name, command_table[i].summary);
        printf("\n`netbrokerctl help COMMAND` says more of one, `netbrokerctl --help` lists the options;\n"
               "see netbrokerctl(1).\n");
        return CTL_OK;
}
