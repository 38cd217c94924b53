/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's verbs about the policy: reload, dump, suggest.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/admin_find.h"
#include "broker/admin_verbs.h"
#include "broker/broker.h"
#include "broker/seen.h"
#include "broker/tenant.h"
#include "policy/explain.h"

int admin_reload(struct admin_call *call, const json_t *request) {
        struct broker *broker = call->broker;
        const char *verb;
        int r = admin_take(call, request, "{s:s}", "verb", &verb);

        if (r < 0)
                return r;
        if (broker->shard)
                return admin_fail(call, -EOPNOTSUPP,
                                  "this is one of several processes, which reload together: ask at the admin socket "
                                  "without a number behind its path");
        r = broker_reload(broker);
        if (r < 0)
                return admin_fail(call, -ECANCELED, "not reloaded; the policy before stays in force:\n%.1900s",
                                  broker->policy_state.error.text);
        return admin_say(call, json_pack("{s:o, s:I, s:o}", "path", admin_text(broker->source.path), "tenants",
                                         (json_int_t)broker->policy->n_tenants, "loaded",
                                         admin_time(broker->policy_state.loaded_ms)));
}

/* ---- dump ---- */

/* Where a dump stands: the text of one tenant at a time. */
struct dump {
        char *only;   /* NULL: all tenants */
        size_t index; /* of the next tenant of the policy */
        char *name;   /* whose text this is */
        char *text;
        size_t offset;
};

static void dump_free(void *data) {
        struct dump *dump = data;

        free(dump->only);
        free(dump->name);
        free(dump->text);
        free(dump);
}

/* @return whether there is one more */
static bool next_tenant(struct dump *dump, const struct policy *policy, const struct policy_tenant **ret) {
        while (dump->index < policy->n_tenants) {
                *ret = &policy->tenants[dump->index++];
                if (!dump->only || strcmp(dump->only, (*ret)->name) == 0)
                        return true;
        }
        return false;
}

static int start_text(struct dump *dump, const struct policy_tenant *tenant) {
        free(dump->name);
        free(dump->text);
        dump->offset = 0;
        dump->name = strdup(tenant->name);
        dump->text = policy_format_tenant(tenant);
        return dump->name && dump->text ? 0 : -ENOMEM;
}

static int next_dump(struct admin_call *call) {
        struct dump *dump = call->state;
        const struct policy_tenant *tenant;
        size_t length;

        if (!dump->text || dump->text[dump->offset] == '\0') {
                if (!next_tenant(dump, call->broker->policy, &tenant))
                        return ADMIN_END;
                if (start_text(dump, tenant) < 0)
                        return -ENOMEM;
        }
        length = admin_piece_length(dump->text + dump->offset);
        if (admin_say(call, json_pack("{s:o, s:s%}", "tenant", admin_text(dump->name), "text",
                                      dump->text + dump->offset, length)) < 0)
                return -ENOMEM;
        dump->offset += length;
        return ADMIN_MORE;
}

int admin_dump(struct admin_call *call, const json_t *request) {
        const char *verb, *tenant = NULL;
        int r = admin_take(call, request, "{s:s, s?s}", "verb", &verb, "tenant", &tenant);
        struct dump *dump;

        if (r < 0)
                return r;
        if (tenant && !admin_find_policy(call->broker, tenant))
                return admin_fail_no_tenant(call, tenant);
        dump = calloc(1, sizeof(*dump));
        if (!dump)
                return -ENOMEM;
        call->state = dump;
        call->free_state = dump_free;
        call->next = next_dump;
        dump->only = tenant ? strdup(tenant) : NULL;
        return tenant && !dump->only ? -ENOMEM : ADMIN_MORE;
}

/* ---- suggest ---- */

struct saying {
        struct admin_call *call;
        int r;
};

static void say_entry(void *data, const struct seen_entry *entry) {
        struct saying *saying = data;
        json_t *line = json_pack("{s:o, s:s, s:o, s:I, s:I}", "protocol", admin_text(entry->protocol), "operation",
                                 policy_verb_name(entry->verb), "target", admin_text(entry->target), "n",
                                 (json_int_t)entry->n, "denied", (json_int_t)entry->n_denied);

        if (admin_say(saying->call, line) < 0)
                saying->r = -ENOMEM;
}

/* The tenant's file in force, without what its protocols grant and deny: what is suggested goes there. */
static char *format_without_rules(const struct policy_tenant *policy) {
        struct policy_protocol *protocols = calloc(policy->n_protocols + 1, sizeof(*protocols));
        struct policy_tenant copy = *policy;
        char *text;

        if (!protocols)
                return NULL;
        for (size_t i = 0; i < policy->n_protocols; ++i) {
                protocols[i] = policy->protocols[i];
                protocols[i].n_rules = 0;
        }
        copy.protocols = protocols;
        text = policy_format_tenant(&copy);
        free(protocols);
        return text;
}

/* What is kept of one tenant is bounded (SEEN_MAX), and so this is one slice. */
int admin_suggest(struct admin_call *call, const json_t *request) {
        struct saying saying = { .call = call };
        const struct policy_tenant *policy;
        const struct tenant *tenant;
        const char *verb, *name;
        uint64_t n_left_out;
        char *frame;
        int r = admin_take(call, request, "{s:s, s:s}", "verb", &verb, "tenant", &name);

        if (r < 0)
                return r;
        policy = admin_find_policy(call->broker, name);
        if (!policy)
                return admin_fail_no_tenant(call, name);
        frame = format_without_rules(policy);
        r = admin_say(call, json_pack("{s:s, s:o}", "tenant", policy->name, "frame", admin_text(frame)));
        free(frame);
        tenant = admin_find_tenant(call->broker, name);
        n_left_out = seen_each(tenant ? tenant->seen : NULL, say_entry, &saying);
        if (r == 0 && saying.r == 0)
                r = admin_say(call, json_pack("{s:I}", "left_out", (json_int_t)n_left_out));
        return r < 0 ? r : saying.r;
}
