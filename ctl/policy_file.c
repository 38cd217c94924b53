/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading a policy; `netbrokerctl keys`, which needs no netbrokerd, and dump, which can do without.
 */
#include "ctl/policy_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "ctl/ask.h"
#include "ctl/list.h"
#include "policy/keys.h"

int policy_file_load(const struct options *options, struct policy **ret) {
        const struct policy_source source = { .path = options->policy, .defaults_path = options->defaults };
        struct policy_source_report report = { .n_warnings = 0 };
        int r = policy_source_read(&source, &report, ret);

        if (r < 0)
                ctl_complain("%s", report.error);
        policy_source_report_deinit(&report);
        return r < 0 ? CTL_BAD : CTL_OK;
}

const struct policy_tenant *policy_file_tenant(const struct policy *policy, const char *name) {
        const struct policy_tenant *tenant = policy_find_tenant(policy, name);

        if (!tenant)
                ctl_complain("the policy has no tenant '%s'", name);
        return tenant;
}

/* ---- keys ---- */

int ctl_keys(const struct ctl *ctl) {
        (void)ctl;
        policy_keys_print(stdout);
        return CTL_OK;
}

/* ---- dump ---- */

/* Texts come in pieces, a tenant after the other. */
struct dump {
        json_t *array;    /* NULL: for people */
        json_t *last;     /* borrowed from the array */
        char tenant[128]; /* whose text is being printed */
        bool is_first;
};

static bool is_of(const json_t *last, const char *tenant) {
        const char *name = json_string_value(json_object_get(last, "tenant"));

        return name && strcmp(name, tenant) == 0;
}

static void keep_text(struct dump *dump, const char *tenant, const char *text) {
        json_t *before = is_of(dump->last, tenant) ? json_object_get(dump->last, "text") : NULL;

        if (before) {
                (void)json_object_set_new(dump->last, "text", json_sprintf("%s%s", json_string_value(before), text));
                return;
        }
        dump->last = json_pack("{s:s, s:s}", "tenant", tenant, "text", text);
        (void)json_array_append_new(dump->array, dump->last);
}

/* Comments part the tenants: each is a file of its own. */
static void print_text(struct dump *dump, const char *tenant, const char *text, bool is_only) {
        if (!is_only && (dump->is_first || strcmp(dump->tenant, tenant) != 0)) {
                printf("%s# ---- %s ----\n", dump->is_first ? "" : "\n", tenant);
                (void)snprintf(dump->tenant, sizeof(dump->tenant), "%s", tenant);
                dump->is_first = false;
        }
        fputs(text, stdout);
}

struct dumping {
        const struct ctl *ctl;
        struct dump dump;
};

static int take_text(void *data, const json_t *line) {
        struct dumping *dumping = data;
        const char *tenant = json_string_value(json_object_get(line, "tenant"));
        const char *text = json_string_value(json_object_get(line, "text"));

        if (!tenant || !text)
                return CTL_OK;
        if (dumping->dump.array)
                keep_text(&dumping->dump, tenant, text);
        else
                print_text(&dumping->dump, tenant, text, dumping->ctl->n_operands == 1);
        return CTL_OK;
}

static int dump_tenant(struct dumping *dumping, const struct policy_tenant *tenant) {
        NB_CLEANUP_FREE char *text = policy_format_tenant(tenant);
        json_t *line = text ? json_pack("{s:s, s:s}", "tenant", tenant->name, "text", text) : NULL;

        if (!line) {
                ctl_complain("out of memory");
                return CTL_NO;
        }
        (void)take_text(dumping, line);
        json_decref(line);
        return CTL_OK;
}

static int dump_file(struct dumping *dumping) {
        NB_CLEANUP(policy_file_cleanup) struct policy *policy = NULL;
        const struct ctl *ctl = dumping->ctl;
        int status = policy_file_load(ctl->options, &policy);

        if (status != CTL_OK)
                return status;
        if (ctl->n_operands == 1) {
                const struct policy_tenant *tenant = policy_file_tenant(policy, ctl->operands[0]);

                return tenant ? dump_tenant(dumping, tenant) : CTL_BAD;
        }
        for (size_t i = 0; i < policy->n_tenants && status == CTL_OK; ++i)
                status = dump_tenant(dumping, &policy->tenants[i]);
        return status;
}

int ctl_dump(const struct ctl *ctl) {
        struct dumping dumping = { .ctl = ctl, .dump.is_first = true };
        int status;

        dumping.dump.array = ctl->options->json ? json_array() : NULL;
        if (ctl->options->policy)
                status = dump_file(&dumping);
        else
                status = ask_broker(ctl->options->admin_socket,
                                    json_pack("{s:s, s:s*}", "verb", "dump", "tenant",
                                              ctl->n_operands == 1 ? ctl->operands[0] : NULL),
                                    take_text, &dumping);
        if (dumping.dump.array && (status == CTL_OK || json_array_size(dumping.dump.array) > 0))
                list_print_json(dumping.dump.array);
        json_decref(dumping.dump.array);
        return status;
}
