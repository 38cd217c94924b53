/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands that change something in a running netbrokerd: log-level.
 */
#include <stdio.h>

#include "ctl/command.h"
#include "ctl/list.h"

int ctl_log_level(const struct ctl *ctl) {
        const char *level = ctl->n_operands == 1 ? ctl->operands[0] : NULL;
        json_t *answer = NULL;
        int r = list_ask_one(ctl, json_pack("{s:s, s:s*}", "verb", "log-level", "level", level), &answer);

        if (r != CTL_OK)
                return r;
        if (ctl->options->json)
                list_print_json(answer);
        else
                puts(json_string_value(json_object_get(answer, "level")));
        json_decref(answer);
        return CTL_OK;
}
