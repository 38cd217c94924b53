/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/file.h"
#include "policy/warn.h"

/* Since Linux 6.5; not every C library knows it. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/* How much of a file's name a message shows. */
#define FILE_TEXT_MAX 256

/* The first buffer for an entry of passwd or group, and the largest: a group may have very many members. */
#define ENTRY_FIRST 1024
#define ENTRY_MAX (1024 * 1024)

#define SUFFIX ".conf"
#define DROP_IN_SUFFIX ".d"

/** While a policy is read. */
struct load {
        const struct policy_source *source;
        struct policy_source_report *report;
        struct policy_loader loader;
        struct policy *policy;
};

/** The files of one tenant. */
struct fragments {
        struct policy_fragment items[POLICY_FILES_MAX];
        size_t n;
};

/* ---- the report ---- */

__attribute__((format(printf, 3, 4))) static int fail(struct load *load, int r, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(load->report->error, sizeof(load->report->error), format, arguments);
        va_end(arguments);
        return r;
}

/** A file's name, made safe to print. */
struct shown {
        char text[FILE_TEXT_MAX];
};

static struct shown show(const char *path) {
        struct shown shown;

        nb_escape(path, strlen(path), shown.text, sizeof(shown.text));
        return shown;
}

/** @param what  "the policy", "the drop-in" */
static int fail_reading(struct load *load, int r, const char *what, const char *path) {
        const char *why = strerror(-r);

        if (r == -ESPIPE)
                why = "not a regular file";
        else if (r == -EFBIG)
                why = "it is larger than 16 MiB, or grew while it was read";
        return fail(load, r, "cannot read %s %s: %s", what, show(path).text, why);
}

static int fail_parsing(struct load *load, int r, const char *path, const struct policy_error *error) {
        if (r != -EINVAL)
                return fail(load, r, "cannot load the policy %s: %s", show(path).text, strerror(-r));
        (void)policy_error_format(error, load->report->error, sizeof(load->report->error));
        return r;
}

void policy_source_report_deinit(struct policy_source_report *report) {
        for (size_t i = 0; i < report->n_warnings; ++i)
                free(report->warnings[i]);
        report->n_warnings = 0;
}

/** Keeps a warning. @param data  the report */
static void keep_warning(void *data, const char *text) {
        struct policy_source_report *report = data;
        char *copy = report->n_warnings < POLICY_SOURCE_WARNINGS_MAX ? strdup(text) : NULL;

        if (copy)
                report->warnings[report->n_warnings++] = copy;
        else
                report->n_warnings_left++;
}

/**
 * Warns of a file, or a folder of such, that others can write, and with it the policy.
 * @param folder_fd  borrowed
 * @param name       in the folder
 * @param path       for the message
 */
static void look_at_mode(struct policy_source_report *report, int folder_fd, const char *name, const char *path) {
        char text[FILE_TEXT_MAX + 128];
        struct stat st;

        if (fstatat(folder_fd, name, &st, 0) < 0 || !(st.st_mode & S_IWOTH))
                return;
        snprintf(text, sizeof(text), "%s: warning: every user can write this %s, and with it the policy",
                 show(path).text, S_ISDIR(st.st_mode) ? "folder" : "file");
        keep_warning(report, text);
}

/* ---- included files ---- */

/** The folder of the file that includes, and the path in it. @return owned by the caller, or NULL without memory */
static char *join(const char *from, const char *path) {
        const char *slash = strrchr(from, '/');
        char *joined;

        if (path[0] == '/' || !slash)
                return strdup(path);
        return asprintf(&joined, "%.*s%s", (int)(slash + 1 - from), from, path) < 0 ? NULL : joined;
}

static int include(void *data, const char *from, const char *path, char **ret_file, char **ret_text,
                   size_t *ret_length) {
        NB_CLEANUP_FREE char *file = join(from, path);
        struct load *load = data;
        uint8_t *text;
        int r;

        if (!file)
                return -ENOMEM;
        r = nb_file_read(file, POLICY_TEXT_MAX, &text, ret_length);
        if (r < 0)
                return r;
        look_at_mode(load->report, AT_FDCWD, file, file);
        *ret_file = nb_steal_ptr(file);
        *ret_text = (char *)text;
        return 0;
}

/* ---- the files of a tenant ---- */

static void free_fragments(struct fragments *fragments) {
        for (size_t i = 0; i < fragments->n; ++i) {
                free((char *)fragments->items[i].file);
                free((char *)fragments->items[i].text);
        }
}

/**
 * Reads a file of a tenant.
 * @param folder_fd  borrowed
 * @param name       in the folder
 * @param path       for messages
 */
static int add_fragment(struct load *load, struct fragments *fragments, int folder_fd, const char *name,
                        const char *path) {
        uint8_t *text = NULL;
        size_t length = 0;
        char *file;
        int r;

        if (fragments->n == POLICY_FILES_MAX)
                return fail(load, -EINVAL, "%s: error: a tenant has at most %d files", show(path).text,
                            POLICY_FILES_MAX);
        r = nb_file_read_at(folder_fd, name, POLICY_TEXT_MAX, &text, &length);
        if (r < 0)
                return fail_reading(load, r, "the policy", path);
        file = strdup(path);
        if (!file) {
                free(text);
                return fail_reading(load, -ENOMEM, "the policy", path);
        }
        look_at_mode(load->report, folder_fd, name, path);
        fragments->items[fragments->n++] =
                (struct policy_fragment){ .file = file, .text = (const char *)text, .length = length };
        return 0;
}

static bool ends_in(const char *name, const char *suffix) {
        size_t length = strlen(name), n = strlen(suffix);

        return name[0] != '.' && length > n && strcmp(name + length - n, suffix) == 0;
}

static int is_policy_file(const struct dirent *entry) {
        return ends_in(entry->d_name, SUFFIX);
}

static int is_drop_in_folder(const struct dirent *entry) {
        return ends_in(entry->d_name, SUFFIX DROP_IN_SUFFIX);
}

static void free_entries(struct dirent **entries, int n) {
        for (int i = 0; i < n; ++i)
                free(entries[i]);
        free(entries);
}

static int add_drop_in(struct load *load, struct fragments *fragments, int folder_fd, const char *folder,
                       const char *name) {
        char path[PATH_MAX];

        if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, name) >= sizeof(path))
                return fail_reading(load, -ENAMETOOLONG, "the drop-in", name);
        return add_fragment(load, fragments, folder_fd, name, path);
}

/** Also a link that leads nowhere is: the Deny rules behind it are meant to be in force. Leaves errno alone. */
static bool is_there(const char *path) {
        int before = errno;
        struct stat st;
        bool there = lstat(path, &st) == 0;

        errno = before;
        return there;
}

/** Reads the drop-ins beside a file, if there are any. */
static int add_drop_ins(struct load *load, struct fragments *fragments, const char *path) {
        NB_CLEANUP_FREE char *folder = NULL;
        NB_CLEANUP_FD int fd = -1;
        struct dirent **entries = NULL;
        int n, r = 0;

        if (asprintf(&folder, "%s" DROP_IN_SUFFIX, path) < 0) {
                folder = NULL;
                return fail_reading(load, -ENOMEM, "the drop-ins of", path);
        }
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT && !is_there(folder))
                return 0;
        if (fd < 0)
                return fail_reading(load, -errno, "the drop-ins in", folder);
        look_at_mode(load->report, fd, ".", folder);
        n = scandirat(fd, ".", &entries, is_policy_file, alphasort);
        if (n < 0)
                return fail_reading(load, -errno, "the drop-ins in", folder);
        for (int i = 0; i < n && r == 0; ++i)
                r = add_drop_in(load, fragments, fd, folder, entries[i]->d_name);
        free_entries(entries, n);
        return r;
}

static int add_tenant(struct load *load, const char *path) {
        NB_CLEANUP(free_fragments) struct fragments fragments = { .n = 0 };
        struct policy_error error = { 0 };
        int r;

        r = add_fragment(load, &fragments, AT_FDCWD, path, path);
        if (r == 0)
                r = add_drop_ins(load, &fragments, path);
        if (r < 0)
                return r;
        r = policy_add_tenant(load->policy, fragments.items, fragments.n, &load->loader, &error);
        return r < 0 ? fail_parsing(load, r, path, &error) : 0;
}

/* ---- all files ---- */

/** Drop-ins of a file that is not there would be in force for nobody. */
static int check_orphan(struct load *load, const char *name) {
        char path[PATH_MAX];
        struct stat st;
        int n = snprintf(path, sizeof(path), "%s/%.*s", load->source->path,
                         (int)(strlen(name) - strlen(DROP_IN_SUFFIX)), name);

        if ((size_t)n < sizeof(path) && stat(path, &st) == 0)
                return 0;
        return fail(load, -EINVAL,
                    "%s/%s: error: these are drop-ins of a tenant that is not there; remove them, or write %s",
                    show(load->source->path).text, show(name).text, show(path).text);
}

static int check_orphans(struct load *load) {
        struct dirent **entries = NULL;
        int n = scandir(load->source->path, &entries, is_drop_in_folder, alphasort), r = 0;

        if (n < 0)
                return fail_reading(load, -errno, "the policy directory", load->source->path);
        for (int i = 0; i < n && r == 0; ++i)
                r = check_orphan(load, entries[i]->d_name);
        free_entries(entries, n);
        return r;
}

static int add_directory(struct load *load) {
        const char *folder = load->source->path;
        struct dirent **entries = NULL;
        int n, r;

        n = scandir(folder, &entries, is_policy_file, alphasort);
        if (n < 0)
                return fail_reading(load, -errno, "the policy directory", folder);
        look_at_mode(load->report, AT_FDCWD, folder, folder);
        r = check_orphans(load);
        for (int i = 0; i < n && r == 0; ++i) {
                char path[PATH_MAX];

                if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name) >= sizeof(path))
                        r = fail_reading(load, -ENAMETOOLONG, "the policy", entries[i]->d_name);
                else
                        r = add_tenant(load, path);
        }
        free_entries(entries, n);
        return r;
}

static int read_defaults(struct load *load) {
        const char *path = load->source->defaults_path;
        NB_CLEANUP_FREE uint8_t *text = NULL;
        struct policy_error error = { 0 };
        struct policy_fragment fragment;
        int r;

        if (!path)
                return 0;
        fragment = (struct policy_fragment){ .file = path };
        r = nb_file_read(path, POLICY_TEXT_MAX, &text, &fragment.length);
        if (r < 0)
                return fail_reading(load, r, "the defaults", path);
        look_at_mode(load->report, AT_FDCWD, path, path);
        fragment.text = (const char *)text;
        r = policy_parse_defaults(&fragment, &load->loader, &load->loader.defaults, &error);
        return r < 0 ? fail_parsing(load, r, path, &error) : 0;
}

static int read_files(struct load *load) {
        const char *path = load->source->path;
        struct stat st;
        int r;

        if (stat(path, &st) < 0)
                return fail_reading(load, -errno, "the policy", path);
        r = read_defaults(load);
        if (r < 0)
                return r;
        return S_ISDIR(st.st_mode) ? add_directory(load) : add_tenant(load, path);
}

/* ---- users, groups, units ---- */

static int find_user(const char *name, char *buffer, size_t size, uint32_t *ret) {
        struct passwd passwd, *found = NULL;
        int r = getpwnam_r(name, &passwd, buffer, size, &found);

        if (found)
                *ret = (uint32_t)passwd.pw_uid;
        return found ? 0 : r != 0 ? -r : -ENOENT;
}

static int find_group(const char *name, char *buffer, size_t size, uint32_t *ret) {
        struct group group, *found = NULL;
        int r = getgrnam_r(name, &group, buffer, size, &found);

        if (found)
                *ret = (uint32_t)group.gr_gid;
        return found ? 0 : r != 0 ? -r : -ENOENT;
}

/** Asks the system for a user or group of that name, with as much room as the answer needs. */
static int find_name(const char *name, bool group, uint32_t *ret) {
        for (size_t size = ENTRY_FIRST; size <= ENTRY_MAX; size *= 4) {
                NB_CLEANUP_FREE char *buffer = malloc(size);
                int r;

                if (!buffer)
                        return -ENOMEM;
                r = group ? find_group(name, buffer, size, ret) : find_user(name, buffer, size, ret);
                if (r != -ERANGE)
                        return r;
        }
        return -ERANGE;
}

/** A name or a number, which the parser has checked. */
static int find_id(const char *text, bool group, uint32_t *ret) {
        if (text[0] < '0' || text[0] > '9' || text[strspn(text, "0123456789")] != '\0')
                return find_name(text, group, ret);
        *ret = (uint32_t)strtoul(text, NULL, 10);
        return 0;
}

/* What getpwnam_r(3) says of itself; the rest is how a name service says that there is no such name. */
static bool has_not_looked(int r) {
        return r == -EINTR || r == -EIO || r == -EMFILE || r == -ENFILE || r == -ENOMEM;
}

static int resolve(struct load *load, const char *text, bool group, const struct policy_position *position,
                   uint32_t *ret) {
        int r = find_id(text, group, ret);

        if (r == 0)
                return 0;
        if (has_not_looked(r))
                return fail(load, r, "%s:%u:%u: error: cannot look up the %s '%s': %s", show(position->file).text,
                            position->line, position->column, group ? "group" : "user", show(text).text, strerror(-r));
        return fail(load, -EINVAL,
                    "%s:%u:%u: error: there is no %s '%s' (%s); write a name that `getent %s` knows, or a number",
                    show(position->file).text, position->line, position->column, group ? "group" : "user",
                    show(text).text, r == -ENOENT ? "not found" : strerror(-r), group ? "group" : "passwd");
}

/** Whether the kernel says by a descriptor which process connected, without which its unit cannot be told for sure. */
static bool kernel_tells_process(void) {
        int fds[2], pidfd = -1;
        socklen_t size = sizeof(pidfd);
        bool known;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return false;
        known = getsockopt(fds[0], SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0;
        nb_fd_close(pidfd);
        nb_fds_close(fds, 2);
        return known;
}

static int resolve_principal(struct load *load, struct policy_principal *principal) {
        const struct policy_position position = { principal->file, principal->line, principal->column };

        if (principal->kind != POLICY_PRINCIPAL_UNIT)
                return resolve(load, principal->text, principal->kind == POLICY_PRINCIPAL_GROUP, &position,
                               &principal->id);
        if (kernel_tells_process())
                return 0;
        return fail(
                load, -EINVAL,
                "%s:%u:%u: error: Unit= needs a kernel with SO_PEERPIDFD (Linux 6.5); write User=, Group= or Socket=",
                show(position.file).text, position.line, position.column);
}

static int resolve_socket(struct load *load, struct policy_session_socket *socket) {
        int r = 0;

        if (socket->user)
                r = resolve(load, socket->user, false, &socket->user_at, &socket->uid);
        if (r == 0 && socket->group)
                r = resolve(load, socket->group, true, &socket->group_at, &socket->gid);
        return r;
}

static int resolve_tenant(struct load *load, struct policy_tenant *tenant) {
        for (size_t i = 0; i < tenant->n_principals; ++i) {
                int r = resolve_principal(load, &tenant->principals[i]);

                if (r < 0)
                        return r;
        }
        return resolve_socket(load, &tenant->socket);
}

/* ---- the whole ---- */

static void cleanup_policy(struct policy **policy) {
        *policy = policy_free(*policy);
}

int policy_source_read(const struct policy_source *source, struct policy_source_report *report, struct policy **ret) {
        NB_CLEANUP(cleanup_policy) struct policy *policy = policy_new();
        struct load load = {
                .source = source,
                .report = report,
                .loader = { .defaults = source->defaults, .include = include, .include_data = &load },
                .policy = policy,
        };
        char text[FILE_TEXT_MAX + 64];
        int r;

        *report = (struct policy_source_report){ 0 };
        if (!policy)
                return fail(&load, -ENOMEM, "cannot load the policy: %s", strerror(ENOMEM));
        r = read_files(&load);
        for (size_t i = 0; i < policy->n_tenants && r == 0; ++i)
                r = resolve_tenant(&load, &policy->tenants[i]);
        if (r < 0)
                return r;
        if (policy->n_tenants == 0) {
                snprintf(text, sizeof(text), "the policy %s has no tenant: nobody can open a session",
                         show(source->path).text);
                keep_warning(report, text);
        }
        policy->require_seal = load.loader.defaults.require_seal;
        policy_warn(policy, source->defaults.unlimited, keep_warning, report);
        *ret = nb_steal_ptr(policy);
        return 0;
}

int policy_source_load(const struct policy_source *source, const struct nb_log *log, struct policy **ret) {
        struct policy_source_report report;
        int r = policy_source_read(source, &report, ret);

        for (size_t i = 0; i < report.n_warnings; ++i)
                nb_log(log, NB_LOG_WARNING, "%s", report.warnings[i]);
        if (report.n_warnings_left > 0)
                nb_log(log, NB_LOG_WARNING, "%zu more warnings about the policy", report.n_warnings_left);
        if (r < 0)
                nb_log(log, NB_LOG_ERROR, "%s", report.error);
        policy_source_report_deinit(&report);
        return r;
}
