/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/admin_front.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "broker/broker.h"
#include "broker/front_link.h"
#include "broker/shard.h"
#include "policy/shard.h"

static bool is_one_of(const char *verb, const char *const *verbs) {
        for (; *verbs; ++verbs) {
                if (strcmp(verb, *verbs) == 0)
                        return true;
        }
        return false;
}

static bool is_whole(const char *verb) {
        return is_one_of(verb, (const char *const[]){ "reload", NULL });
}

/* Nobody comes to a tenant that a reload took from the policy, so what a shard has left of it is drained there alone. */
static bool drains_unknown(const struct broker *broker, const char *verb, const json_t *request) {
        const char *name = json_string_value(json_object_get(request, "tenant"));

        return strcmp(verb, "drain") == 0 && name && !policy_find_tenant(broker->policy, name) &&
               !json_is_false(json_object_get(request, "on"));
}

static bool has_part(const struct broker *broker, const char *verb, const json_t *request) {
        return is_one_of(verb, (const char *const[]){ "drain", "log-level", "metrics", "status", "watch", NULL }) &&
               !drains_unknown(broker, verb, request);
}

/* @return 0: it is no number that a shard has given */
static unsigned shard_of_id(const json_t *id, unsigned n_shards) {
        json_int_t number = json_integer_value(id);
        uint64_t shard = number > 0 ? (uint64_t)number >> SHARD_ID_SHIFT : 0;

        return shard <= n_shards ? (unsigned)shard : 0;
}

/* A tenant that a reload took from the policy, and that still holds something, may be any one's. @return 0: that of any */
static unsigned find_shard(const struct broker *broker, const json_t *request, unsigned n_shards) {
        const char *name = json_string_value(json_object_get(request, "tenant"));
        const struct policy_tenant *tenant = name ? policy_find_tenant(broker->policy, name) : NULL;
        unsigned shard = 0;

        if (tenant)
                return policy_shard_of(tenant, n_shards);
        shard = shard_of_id(json_object_get(request, "id"), n_shards);
        return shard > 0 ? shard : shard_of_id(json_object_get(request, "session"), n_shards);
}

int admin_front_begin(struct admin_call *call, const json_t *request) {
        const char *verb = json_string_value(json_object_get(request, "verb"));

        if (!call->broker->front || is_whole(verb))
                return 0;
        call->shards = front_n_shards(call->broker->front);
        call->shard = find_shard(call->broker, request, call->shards);
        return has_part(call->broker, verb, request) ? 0 : admin_front_finish(call);
}

int admin_front_finish(struct admin_call *call) {
        if (call->shards == 0)
                return ADMIN_END;
        if (call->shard > 0)
                return admin_fail(call, -EREMOTE, "shard %u has the rest: ask at this path with .%u behind it",
                                  call->shard, call->shard);
        return admin_fail(call, -EREMOTE, "%u shards have the rest: ask at this path with .1 behind it, and so on",
                          call->shards);
}

static bool set_number(json_t *line, const char *key, unsigned number) {
        return json_object_set_new(line, key, json_integer((json_int_t)number)) == 0;
}

json_t *admin_front_tell(const struct admin_call *call, json_t *line_consumed) {
        json_auto_t *line = line_consumed;

        if (line && call->shards > 0 &&
            (!set_number(line, "shards", call->shards) || (call->shard > 0 && !set_number(line, "shard", call->shard))))
                return NULL;
        return nb_steal_ptr(line);
}

static const char *state_name(enum front_link_state state) {
        switch (state) {
        case FRONT_LINK_DOWN:
                return "ended";
        case FRONT_LINK_STARTING:
                return "starting";
        case FRONT_LINK_READY:
                return "ready";
        }
        return "unknown";
}

json_t *admin_front_shards(const struct front *front) {
        json_t *shards = front ? json_array() : json_null();

        for (unsigned i = 0; i < front_n_shards(front); ++i) {
                const struct front_link *link = &front->links[i];

                (void)json_array_append_new(shards, json_pack("{s:i, s:s, s:o, s:I}", "shard", (int)link->number,
                                                              "state", state_name(link->state), "pid",
                                                              link->pid > 0 ? json_integer(link->pid) : json_null(),
                                                              "starts", (json_int_t)link->n_starts));
        }
        return shards;
}
