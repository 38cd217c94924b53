/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbrokerctl: finds the command, checks that it may be called so, and runs it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/command.h"
#include "policy/suggest.h"

static int complain_unknown(const char *name) {
        const char *guess = NULL;
        size_t distance = 0;

        for (size_t i = 0; i < command_table_n; ++i)
                guess = policy_suggest(name, strlen(name), command_table[i].name, guess, &distance);
        if (guess)
                ctl_complain("there is no command '%s'; did you mean '%s'?", name, guess);
        else
                ctl_complain("there is no command '%s'; `netbrokerctl help` lists them", name);
        return CTL_BAD;
}

static int run(const struct ctl *ctl) {
        const struct command *command = ctl->command;
        const char *other = options_find_other(ctl->options, command->options);

        if (other)
                return ctl_misused(ctl, "it has no option --%s", other);
        if (ctl->options->defaults && !ctl->options->policy && !(command->options & OPTION_DEFAULTS))
                return ctl_misused(ctl, "--defaults goes with --policy");
        if (ctl->n_operands < command->min_operands || ctl->n_operands > command->max_operands)
                return ctl_misused(ctl, "usage: netbrokerctl %s%s%s", command->name, *command->operands ? " " : "",
                                   command->operands);
        return command->run(ctl);
}

int main(int argc, char **argv) {
        struct nb_operands operands;
        struct options options;
        struct ctl ctl;
        int r;

        if (nb_fds_ensure_standard() < 0)
                return CTL_BAD;
        options_init(&options);
        r = nb_options_parse(&options_table, argc, argv, &options, stdout, stderr, &operands);
        if (r != 0)
                return r > 0 ? CTL_OK : CTL_BAD;
        if (operands.n == 0) {
                ctl_complain("say what to do; `netbrokerctl help` lists the commands");
                return CTL_BAD;
        }
        ctl = (struct ctl){
                .options = &options,
                .command = command_find(operands.v[0]),
                .operands = operands.v + 1,
                .n_operands = operands.n - 1,
        };
        r = ctl.command ? run(&ctl) : complain_unknown(operands.v[0]);
        if (fflush(stdout) != 0 || ferror(stdout)) {
                ctl_complain("cannot write the answer");
                return r == CTL_OK ? CTL_NO : r;
        }
        return r;
}
