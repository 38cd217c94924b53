/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command metrics: the page for Prometheus.
 */
#include <stdio.h>

#include "ctl/client.h"
#include "ctl/command.h"
#include "ctl/list.h"

/* The page comes in pieces; its text was made of printable ASCII, and is checked all the same. */
static int print_piece(void *data, const json_t *line) {
        const struct ctl *ctl = data;
        const char *text = json_string_value(json_object_get(line, "text"));

        if (ctl->options->json)
                list_print_json(line);
        for (; !ctl->options->json && text && *text; ++text)
                putchar(*text == '\n' || (*text >= ' ' && *text <= '~') ? *text : '?');
        return CTL_OK;
}

int ctl_metrics(const struct ctl *ctl) {
        return client_ask(ctl->options->admin_socket, json_pack("{s:s}", "verb", "metrics"), print_piece, (void *)ctl);
}
