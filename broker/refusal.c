/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/refusal.h"

#include <errno.h>
#include <string.h>

#include "broker/decision.h"

int refuse(struct endpoint *endpoint, const struct asker *asker, const char *verb, const char *asked,
           enum nb_wasi_errno error, const char *reason) {
        decision_record_refusal(asker, verb, asked, reason);
        return endpoint_refuse(endpoint, error, reason);
}

/* Which rule of ours about paths it is; NULL for an errno that is none. */
static const char *path_rule(int error) {
        switch (error) {
        case ELOOP:
                return "a component of the path is a symbolic link";
        case EREMOTEIO:
                return "the path leads to a socket of netbrokerd's own, which no rule reaches";
        case ENAMETOOLONG:
                return "the last component of the path is too long to be bound by way of /proc/self/fd";
        default:
                return NULL;
        }
}

static bool is_operators_matter(int error) {
        switch (error) {
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
        case EACCES:
        case EPERM:
        case EROFS:
                return true;
        default:
                return false;
        }
}

int refuse_errno(struct endpoint *endpoint, const struct asker *asker, const char *verb,
                 const struct nb_socket_address *address, int r) {
        const char *rule = path_rule(-r);

        if (rule || is_operators_matter(-r))
                decision_record_failure(asker, verb, address, rule ? rule : strerror(-r));
        return endpoint_refuse(endpoint, nb_wasi_errno_from_host(r == -EREMOTEIO ? EACCES : -r), rule);
}
