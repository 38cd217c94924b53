/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command metrics: the page for Prometheus, of several processes one page of all of theirs.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/ask.h"
#include "ctl/command.h"
#include "ctl/list.h"
#include "ctl/page.h"

static int take_piece(void *data, const json_t *line) {
        const char *text = json_string_value(json_object_get(line, "text"));
        int r = text ? page_add(data, text) : 0;

        if (r < 0)
                ctl_complain("what netbrokerd has sent is no page for Prometheus: %s", strerror(-r));
        return r < 0 ? CTL_NO : CTL_OK;
}

/* It was made of printable ASCII, and is checked all the same. */
static void print_text(const char *text) {
        for (; *text; ++text)
                putchar(*text == '\n' || (*text >= ' ' && *text <= '~') ? *text : '?');
}

static int print_page(const struct ctl *ctl, const struct page *page) {
        NB_CLEANUP_FREE char *text = page_format(page);
        json_t *object;

        if (!text) {
                ctl_complain("out of memory");
                return CTL_NO;
        }
        if (!ctl->options->json) {
                print_text(text);
                return CTL_OK;
        }
        object = json_pack("{s:s}", "text", text);
        list_print_json(object);
        json_decref(object);
        return CTL_OK;
}

int ctl_metrics(const struct ctl *ctl) {
        PAGE page = { .n_families = 0 };
        int status = ask_broker(ctl->options->admin_socket, json_pack("{s:s}", "verb", "metrics"), take_piece, &page),
            r;

        if (page.n_families == 0)
                return status;
        r = print_page(ctl, &page);
        return status != CTL_OK ? status : r;
}
