/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/admin_verbs.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "broker/admin_front.h"
#include "broker/audit.h"
#include "broker/broker.h"

static const struct {
        const char *name;
        int (*begin)(struct admin_call *call, const json_t *request);
} verbs[] = {
        { "certificates", admin_certificates },
        { "connections", admin_connections },
        { "drain", admin_drain },
        { "dump", admin_dump },
        { "explain", admin_explain },
        { "log-level", admin_log_level },
        { "metrics", admin_metrics },
        { "quota", admin_quota },
        { "relays", admin_relays },
        { "reload", admin_reload },
        { "revoke", admin_revoke },
        { "sessions", admin_sessions },
        { "status", admin_status },
        { "suggest", admin_suggest },
        { "tenants", admin_tenants },
        { "watch", admin_watch },
};

/* Every request leaves a record, also one that only looks: who has looked is worth knowing when someone should not have. */
static void record(const struct admin_call *call, const char *line, size_t length, int r) {
        struct broker *broker = call->broker;
        bool is_refused = r < 0 && r != -EREMOTE;
        char reason[512];
        struct audit_record record = {
                .verb = "admin",
                .verdict = is_refused ? "refused" : "done",
                .asked = line,
                .asked_length = length,
                .reason = reason,
        };

        if (is_refused)
                (void)snprintf(reason, sizeof(reason), "asked by pid %d of user %u: %.400s", (int)call->pid,
                               (unsigned)call->uid, call->error[0] ? call->error : strerror(-r));
        else
                (void)snprintf(reason, sizeof(reason), "asked by pid %d of user %u", (int)call->pid,
                               (unsigned)call->uid);
        audit_write(&broker->audit, uv_now(&broker->loop), &record);
}

/* Whether an object or array would stand inside another. */
static bool is_nested(const char *line, size_t length) {
        bool in_string = false;
        size_t depth = 0;

        for (size_t i = 0; i < length; ++i) {
                if (in_string && line[i] == '\\')
                        ++i;
                else if (line[i] == '"')
                        in_string = !in_string;
                else if (!in_string && (line[i] == '{' || line[i] == '[') && ++depth > 1)
                        return true;
        }
        return false;
}

static int parse(struct admin_call *call, const char *line, size_t length, json_t **ret) {
        json_error_t error;
        json_t *request;

        if (is_nested(line, length))
                return admin_fail(call, -EINVAL, "a request is one object without others inside");
        errno = 0; /* the library calls a text invalid that it had no memory for */
        request = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
        if (!request && errno == ENOMEM)
                return -ENOMEM;
        if (!request)
                return admin_fail(call, -EINVAL, "not JSON: %s, at byte %d", error.text, error.position);
        if (!json_is_string(json_object_get(request, "verb"))) {
                json_decref(request);
                return admin_fail(call, -EINVAL, "a request is an object with a \"verb\": {\"verb\": \"status\"}");
        }
        *ret = request;
        return 0;
}

static int begin(struct admin_call *call, const json_t *request) {
        const char *name = json_string_value(json_object_get(request, "verb"));

        for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); ++i) {
                int r;

                if (strcmp(verbs[i].name, name) != 0)
                        continue;
                r = admin_front_begin(call, request);
                return r < 0 ? r : verbs[i].begin(call, request);
        }
        return admin_fail(call, -ENOSYS,
                          "there is no such verb; the version of netbrokerctl may be another than the "
                          "daemon's");
}

int admin_verbs_begin(struct admin_call *call, const char *line, size_t length) {
        json_t *request = NULL;
        int r;

        r = parse(call, line, length, &request);
        if (r == 0)
                r = begin(call, request);
        record(call, line, length, r);
        json_decref(request);
        return r;
}
