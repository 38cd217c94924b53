/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's verbs that change something: log-level.
 */
#include <errno.h>

#include "broker/admin_verbs.h"
#include "broker/broker.h"

static const char *level_name(enum nb_log_level level) {
        switch (level) {
        case NB_LOG_ERROR:
                return "error";
        case NB_LOG_WARNING:
                return "warning";
        case NB_LOG_NOTICE:
                return "notice";
        case NB_LOG_INFO:
                return "info";
        case NB_LOG_DEBUG:
                return "debug";
        }
        return "unknown";
}

int admin_log_level(struct admin_call *call, const json_t *request) {
        struct nb_log *log = &call->broker->log;
        const char *verb, *level = NULL;
        int r = admin_take(call, request, "{s:s, s?s}", "verb", &verb, "level", &level);

        if (r < 0)
                return r;
        if (level && nb_log_level_parse(level, &log->level) < 0)
                return admin_fail(call, -EINVAL, "a level is error, warning, notice, info or debug");
        return admin_say(call, json_pack("{s:s}", "level", level_name(log->level)));
}
