/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/revocations.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "broker/broker.h"
#include "token/revocation.h"

struct revocations {
        const struct policy *policy;
        struct token_revocations *lists[]; /* of each of the policy's tenants; NULL: it has none */
};

static int refuse(const struct nb_log *log, const struct policy_path *path, const char *why) {
        nb_log(log, NB_LOG_ERROR, "%s:%u:%u: error: cannot use %s: %s", path->at.file, path->at.line, path->at.column,
               path->path, why);
        return -EINVAL;
}

static const char *why_not(int error) {
        switch (error) {
        case ENOENT:
                return "there is no such file; make it, empty if nothing is revoked";
        case EACCES:
                return "the broker may not read it; make its group the broker's and let that read it (chgrp, chmod "
                       "g+r)";
        case EFBIG:
                return "it is larger than 16 MiB; take out what has expired";
        default:
                return strerror(error);
        }
}

static int load_list(const struct nb_log *log, const struct policy_path *path, struct token_revocations **ret) {
        NB_CLEANUP_FREE uint8_t *bytes = NULL;
        unsigned line = 0;
        size_t length;
        int r = nb_file_read(path->path, TOKEN_REVOCATIONS_MAX, &bytes, &length);

        if (r < 0)
                return refuse(log, path, why_not(-r));
        r = token_revocations_parse((const char *)bytes, length, ret, &line);
        if (r == -EINVAL)
                nb_log(log, NB_LOG_ERROR,
                       "%s:%u: error: this is no identifier of a token; a line has 32 hexadecimal digits, as "
                       "netbrokerctl "
                       "token revoke writes them",
                       path->path, line);
        return r;
}

int revocations_load(const struct nb_log *log, const struct policy *policy, struct revocations **ret) {
        struct revocations *revocations =
                calloc(1, sizeof(*revocations) + policy->n_tenants * sizeof(revocations->lists[0]));
        int r = 0;

        if (!revocations)
                return -ENOMEM;
        revocations->policy = policy;
        for (size_t i = 0; i < policy->n_tenants && r == 0; ++i)
                if (policy->tenants[i].revoked_tokens.path)
                        r = load_list(log, &policy->tenants[i].revoked_tokens, &revocations->lists[i]);
        if (r < 0) {
                (void)revocations_free(revocations);
                return r;
        }
        *ret = revocations;
        return 0;
}

struct revocations *revocations_free(struct revocations *revocations) {
        if (!revocations)
                return NULL;
        for (size_t i = 0; i < revocations->policy->n_tenants; ++i)
                (void)token_revocations_free(revocations->lists[i]);
        free(revocations);
        return NULL;
}

const struct token_revocations *revocations_of(const struct broker *broker, const struct policy_tenant *tenant) {
        const struct revocations *revocations = broker->revocations;

        return revocations ? revocations->lists[tenant - revocations->policy->tenants] : NULL;
}
