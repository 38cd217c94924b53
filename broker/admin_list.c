/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/admin_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/admin_find.h"
#include "broker/tenant.h"

static void cursor_free(void *data) {
        struct admin_cursor *cursor = data;

        free(cursor->tenant);
        free(cursor);
}

int admin_list_begin(struct admin_call *call, const char *tenant, uint64_t session, admin_step next) {
        struct admin_cursor *cursor;

        if (tenant && !admin_find_policy(call->broker, tenant) && !admin_find_tenant(call->broker, tenant))
                return admin_fail_no_tenant(call, tenant);
        cursor = calloc(1, sizeof(*cursor));
        if (!cursor)
                return -ENOMEM;
        call->state = cursor;
        call->free_state = cursor_free;
        call->next = next;
        cursor->session = session;
        cursor->tenant = tenant ? strdup(tenant) : NULL;
        return tenant && !cursor->tenant ? -ENOMEM : ADMIN_MORE;
}

bool admin_list_is_about(const struct admin_cursor *cursor, const struct tenant *tenant) {
        return !cursor->tenant || strcmp(cursor->tenant, tenant->name) == 0;
}
