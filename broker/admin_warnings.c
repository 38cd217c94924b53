/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/admin_warnings.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "broker/admin_call.h"
#include "broker/broker.h"
#include "broker/helper_client.h"

/* A list of what is wrong that nobody reads to its end helps nobody. */
#define WARNINGS_MAX 32

static void warn(json_t *warnings, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void warn(json_t *warnings, const char *format, ...) {
        char text[512];
        va_list arguments;

        if (json_array_size(warnings) >= WARNINGS_MAX)
                return;
        va_start(arguments, format);
        (void)vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        (void)json_array_append_new(warnings, admin_text(text));
}

static bool wants_helper(const struct policy *policy) {
        for (size_t i = 0; i < policy->n_tenants; ++i) {
                if (policy->tenants[i].existing == POLICY_EXISTING_CLOSE)
                        return true;
        }
        return false;
}

static void warn_of_helper(json_t *warnings, const struct broker *broker) {
        if (!broker->helper && wants_helper(broker->policy))
                warn(warnings, "without a helper (--helper) neither Existing=close nor a revocation can shut down "
                               "connections that tenants hold");
        if (broker->helper && !helper_client_is_well(broker->helper))
                warn(warnings, "netbroker-helper does not answer: what is to be shut down waits for it");
}

static void warn_of_report_mode(json_t *warnings, const struct policy *policy) {
        for (size_t i = 0; i < policy->n_tenants; ++i) {
                if (policy->tenants[i].mode == POLICY_MODE_REPORT)
                        warn(warnings, "the tenant %s is in report mode: what its rules refuse is recorded, and done",
                             policy->tenants[i].name);
        }
}

json_t *admin_warnings(const struct broker *broker) {
        json_t *warnings = json_array();

        if (!warnings)
                return NULL;
        if (broker->policy_state.failed_ms > 0)
                warn(warnings, "the last reload failed; the policy before stays in force");
        if (geteuid() == 0)
                warn(warnings, "netbrokerd runs as root, as the owner of root's files; give it --user NAME");
        if (broker->policy->n_tenants == 0)
                warn(warnings, "the policy has no tenant: nobody can open a session");
        if (broker->audit.n_lost > 0)
                warn(warnings, "audit records were lost: what they are written to does not take them");
        warn_of_helper(warnings, broker);
        warn_of_report_mode(warnings, broker->policy);
        return warnings;
}
