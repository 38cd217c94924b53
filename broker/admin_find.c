/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/admin_find.h"

#include <errno.h>
#include <string.h>

#include "base/escape.h"
#include "broker/broker.h"
#include "broker/session.h"
#include "broker/tenant.h"

const struct policy_tenant *admin_find_policy(const struct broker *broker, const char *name) {
        return policy_find_tenant(broker->policy, name);
}

struct tenant *admin_find_tenant(const struct broker *broker, const char *name) {
        nb_list_foreach_safe(link, &broker->tenants) {
                struct tenant *tenant = nb_container_of(link, struct tenant, link);

                if (strcmp(tenant->name, name) == 0)
                        return tenant;
        }
        return NULL;
}

struct session *admin_find_session(const struct broker *broker, uint64_t id) {
        nb_list_foreach_safe(link, &broker->sessions) {
                struct session *session = nb_container_of(link, struct session, link);

                if (session->id == id)
                        return session;
        }
        return NULL;
}

const char *admin_level_name(enum nb_log_level level) {
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

int admin_fail_no_tenant(struct admin_call *call, const char *name) {
        char shown[128];

        return admin_fail(call, -ENOENT, "there is no tenant '%s'; netbrokerctl tenants lists them",
                          nb_escape(name, strlen(name), shown, sizeof(shown)));
}
