/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "ctl/command.h"
#include "ctl/list.h"
#include "ctl/question.h"

/* The text was made of printable ASCII by who explained (policy/explain.h); a daemon is not taken at its word. */
static void print_text(const char *text) {
        for (; text && *text; ++text)
                putchar(*text == '\n' || (*text >= ' ' && *text <= '~') ? *text : '?');
}

static void print_all(const json_t *explanations) {
        for (size_t i = 0; i < json_array_size(explanations); ++i) {
                const json_t *explanation = json_array_get(explanations, i);

                if (i > 0)
                        putchar('\n');
                print_text(json_string_value(json_object_get(explanation, "text")));
        }
}

int ctl_explain(const struct ctl *ctl) {
        const struct question question = {
                .tenant = ctl->operands[0],
                .protocol = ctl->operands[1],
                .operation = ctl->operands[2],
                .target = ctl->operands[3],
                .resolve = ctl->options->resolve,
        };
        json_t *explanations = NULL;
        ASKER asker;
        int status = asker_init(&asker, ctl->options);

        if (status == CTL_OK)
                status = asker_ask(&asker, &question, &explanations);
        if (status != CTL_OK)
                return status;
        if (ctl->options->json)
                list_print_json(explanations);
        else
                print_all(explanations);
        status = asker_says_yes(explanations) ? CTL_OK : CTL_NO;
        json_decref(explanations);
        return status;
}
