/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/admin_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/admin.h"
#include "broker/admin_client.h"
#include "broker/admin_front.h"
#include "broker/admin_verbs.h"
#include "broker/audit.h"
#include "broker/broker.h"
#include "broker/session.h"
#include "broker/tenant.h"

struct watcher {
        struct nb_list link; /* in the admin's watchers */
        struct admin *admin;
        struct admin_call *call;
        /* What records must say; NULL: anything. */
        char *tenant;
        char *verdict;
        char *operation;
        char *protocol;
        uint64_t n_lost;
};

static void watcher_free(void *data) {
        struct watcher *watcher = data;
        struct admin *admin = watcher->admin;

        nb_list_remove(&watcher->link);
        if (nb_list_is_empty(&admin->watchers))
                admin->broker->audit.tap = NULL;
        free(watcher->tenant);
        free(watcher->verdict);
        free(watcher->operation);
        free(watcher->protocol);
        free(watcher);
}

static bool fits(const char *wanted, const char *text) {
        return !wanted || (text && strcmp(wanted, text) == 0);
}

static bool wants(const struct watcher *watcher, const struct audit_record *record) {
        const struct tenant *tenant = record->session ? record->session->tenant : NULL;

        return fits(watcher->tenant, tenant ? tenant->name : NULL) && fits(watcher->verdict, record->verdict) &&
               fits(watcher->operation, record->verb) && fits(watcher->protocol, record->protocol);
}

static void tell(struct watcher *watcher, const struct audit_record *record) {
        struct admin_call *call = watcher->call;

        if (call->out_length >= ADMIN_WATCH_MAX) {
                watcher->n_lost++;
                return;
        }
        if (watcher->n_lost > 0 && admin_say(call, json_pack("{s:I}", "lost", (json_int_t)watcher->n_lost)) == 0)
                watcher->n_lost = 0;
        if (admin_say(call, audit_record_to_json(record, 0)) < 0)
                watcher->n_lost++;
        admin_client_flush_soon(call);
}

static void tap(void *data, const struct audit_record *record) {
        struct admin *admin = data;

        nb_list_foreach_safe(link, &admin->watchers) {
                struct watcher *watcher = nb_container_of(link, struct watcher, link);

                if (wants(watcher, record))
                        tell(watcher, record);
        }
}

static int copy(const char *text, char **ret) {
        *ret = text ? strdup(text) : NULL;
        return text && !*ret ? -1 : 0;
}

int admin_watch(struct admin_call *call, const json_t *request) {
        const char *verb, *tenant = NULL, *verdict = NULL, *operation = NULL, *protocol = NULL;
        struct admin *admin = call->broker->admin;
        struct watcher *watcher;
        int r = admin_take(call, request, "{s:s, s?s, s?s, s?s, s?s}", "verb", &verb, "tenant", &tenant, "verdict",
                           &verdict, "operation", &operation, "protocol", &protocol);

        if (r < 0)
                return r;
        watcher = calloc(1, sizeof(*watcher));
        if (!watcher)
                return -ENOMEM;
        watcher->admin = admin;
        watcher->call = call;
        nb_list_append(&admin->watchers, &watcher->link);
        call->state = watcher;
        call->free_state = watcher_free;
        if (copy(tenant, &watcher->tenant) < 0 || copy(verdict, &watcher->verdict) < 0 ||
            copy(operation, &watcher->operation) < 0 || copy(protocol, &watcher->protocol) < 0)
                return -ENOMEM;
        call->broker->audit.tap_data = admin;
        call->broker->audit.tap = tap;
        /* From now on nothing is missed. */
        return admin_say(call, admin_front_tell(call, json_pack("{s:b}", "watching", 1))) < 0 ? -ENOMEM : ADMIN_WAIT;
}
