/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/policy_source.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "broker/identity.h"
#include "broker/principal.h"

/* A policy of 100,000 rules is a few megabytes; what is larger is not a policy. */
#define FILE_SIZE_MAX (16 * 1024 * 1024)

#define ERROR_TEXT_MAX 2048

static void cleanup_policy(struct policy **policy) {
        *policy = policy_free(*policy);
}

static int add_file(struct policy *policy, const struct policy_source *source, const struct nb_log *log,
                    const char *path) {
        NB_CLEANUP_FREE uint8_t *text = NULL;
        struct policy_error error = { 0 };
        char message[ERROR_TEXT_MAX];
        size_t length = 0;
        int r;

        r = nb_file_read(path, FILE_SIZE_MAX, &text, &length);
        if (r < 0) {
                nb_log(log, NB_LOG_ERROR, "cannot read the policy %s: %s", path,
                       r == -ESPIPE ? "not a regular file" : strerror(-r));
                return r;
        }
        r = policy_add_file(policy, path, (const char *)text, length, &source->defaults, &error);
        if (r == -EINVAL)
                nb_log(log, NB_LOG_ERROR, "%s", policy_error_format(&error, message, sizeof(message)));
        else if (r < 0)
                nb_log(log, NB_LOG_ERROR, "cannot load the policy %s: %s", path, strerror(-r));
        return r;
}

static int is_policy_file(const struct dirent *entry) {
        size_t length = strlen(entry->d_name);

        return entry->d_name[0] != '.' && length > 5 && strcmp(entry->d_name + length - 5, ".conf") == 0;
}

static int is_drop_in(const struct dirent *entry) {
        size_t length = strlen(entry->d_name);

        return entry->d_name[0] != '.' && length > 7 && strcmp(entry->d_name + length - 7, ".conf.d") == 0;
}

static void free_entries(struct dirent **entries, int n) {
        for (int i = 0; i < n; ++i)
                free(entries[i]);
        free(entries);
}

/* Drop-ins are not read by this version, and what is not enforced must not lie there as if it were. */
static int refuse_drop_ins(const struct policy_source *source, const struct nb_log *log) {
        struct dirent **entries = NULL;
        int n = scandir(source->path, &entries, is_drop_in, alphasort);

        if (n > 0)
                nb_log(log, NB_LOG_ERROR,
                       "%s/%s: drop-ins are not supported by this version; move what is in it into the tenant's file",
                       source->path, entries[0]->d_name);
        free_entries(entries, n > 0 ? n : 0);
        return n > 0 ? -EINVAL : 0;
}

static int add_directory(struct policy *policy, const struct policy_source *source, const struct nb_log *log) {
        struct dirent **entries = NULL;
        int n, r;

        r = refuse_drop_ins(source, log);
        if (r < 0)
                return r;
        n = scandir(source->path, &entries, is_policy_file, alphasort);
        if (n < 0) {
                r = -errno;
                nb_log(log, NB_LOG_ERROR, "cannot read the policy directory %s: %s", source->path, strerror(-r));
                return r;
        }
        for (int i = 0; i < n && r == 0; ++i) {
                char path[PATH_MAX];

                if ((size_t)snprintf(path, sizeof(path), "%s/%s", source->path, entries[i]->d_name) >= sizeof(path))
                        r = -ENAMETOOLONG;
                else
                        r = add_file(policy, source, log, path);
        }
        free_entries(entries, n);
        return r;
}

static int refuse_principal(const struct policy_principal *principal, const struct nb_log *log, const char *what,
                            const char *database, int r) {
        nb_log(log, NB_LOG_ERROR,
               "%s:%u:%u: error: there is no %s '%s' (%s); write a name that `getent %s` knows, or a number",
               principal->file, principal->line, principal->column, what, principal->text,
               r == -ENOENT ? "not found" : strerror(-r), database);
        return -EINVAL;
}

/* A unit need not be there yet, but the kernel must be able to tell who is in it. */
static int check_unit(const struct policy_principal *unit, const struct nb_log *log) {
        if (identity_knows_units())
                return 0;
        nb_log(log, NB_LOG_ERROR,
               "%s:%u:%u: error: Unit= needs Linux 6.5 (SO_PEERPIDFD), and this kernel is older; write User= or "
               "Group=, or "
               "give the tenant a Socket=",
               unit->file, unit->line, unit->column);
        return -EINVAL;
}

static int resolve_principal(struct policy_principal *principal, const struct nb_log *log) {
        int r;

        switch (principal->kind) {
        case POLICY_PRINCIPAL_USER:
                r = principal_find_user(principal->text, &principal->id);
                return r < 0 ? refuse_principal(principal, log, "user", "passwd", r) : 0;
        case POLICY_PRINCIPAL_GROUP:
                r = principal_find_group(principal->text, &principal->id);
                return r < 0 ? refuse_principal(principal, log, "group", "group", r) : 0;
        case POLICY_PRINCIPAL_UNIT:
                return check_unit(principal, log);
        }
        return -EINVAL;
}

static int resolve_principals(struct policy *policy, const struct nb_log *log) {
        for (size_t t = 0; t < policy->n_tenants; ++t) {
                for (size_t i = 0; i < policy->tenants[t].n_principals; ++i) {
                        int r = resolve_principal(&policy->tenants[t].principals[i], log);

                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

int policy_source_load(const struct policy_source *source, const struct nb_log *log, struct policy **ret) {
        NB_CLEANUP(cleanup_policy) struct policy *policy = policy_new();
        struct stat st;
        int r;

        if (!policy)
                return -ENOMEM;
        if (stat(source->path, &st) < 0) {
                r = -errno;
                nb_log(log, NB_LOG_ERROR, "cannot read the policy %s: %s", source->path, strerror(-r));
                return r;
        }
        r = S_ISDIR(st.st_mode) ? add_directory(policy, source, log) : add_file(policy, source, log, source->path);
        if (r < 0)
                return r;
        if (policy->n_tenants == 0)
                nb_log(log, NB_LOG_WARNING, "the policy %s has no tenant: nobody can open a session", source->path);
        r = resolve_principals(policy, log);
        if (r < 0)
                return r;
        *ret = nb_steal_ptr(policy);
        return 0;
}
