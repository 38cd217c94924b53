/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/confine.h"

#include <elf.h>
#include <errno.h>
#include <libgen.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "broker/calls.h"
#include "confine/filter.h"
#include "confine/landlock.h"

/* ---- looking in ---- */

static int hide(void) {
        const struct rlimit none = { 0 };

        if (setrlimit(RLIMIT_CORE, &none) < 0)
                return -errno;
        return prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) < 0 ? -errno : 0;
}

/* ---- files ---- */

/* Not here: reading, which the policy says where; and making and removing sockets, which the policy says likewise. */
#define FS_REFUSED                                                                                                     \
        (CONFINE_FS_EXECUTE | CONFINE_FS_WRITE_FILE | CONFINE_FS_TRUNCATE | CONFINE_FS_REMOVE_DIR |                    \
         CONFINE_FS_MAKE_REG | CONFINE_FS_MAKE_DIR | CONFINE_FS_MAKE_CHAR | CONFINE_FS_MAKE_BLOCK |                    \
         CONFINE_FS_MAKE_FIFO | CONFINE_FS_MAKE_SYM | CONFINE_FS_IOCTL_DEV)

/* The first object is the program itself: what loads it loads the relay too. */
static int find_interpreter(struct dl_phdr_info *info, size_t size, void *data) {
        const char **ret = data;

        (void)size;
        for (size_t i = 0; i < info->dlpi_phnum; ++i) {
                if (info->dlpi_phdr[i].p_type == PT_INTERP)
                        *ret = (const char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
        }
        return 1;
}

/* @param ret  its folder, owned by the caller; NULL: there is no file */
static int folder_of(const char *file, char **ret) {
        NB_CLEANUP_FREE char *copy = file ? strdup(file) : NULL;

        if (!file)
                return 0;
        *ret = copy ? strdup(dirname(copy)) : NULL;
        return *ret ? 0 : -ENOMEM;
}

static int confine_files(const struct broker_needs *needs) {
        const struct confine_refused refused = { .fs = FS_REFUSED };
        NB_CLEANUP_FREE char *audit_folder = NULL;
        const char *interpreter = NULL;
        int r = folder_of(needs->audit, &audit_folder);

        if (r < 0)
                return r;
        (void)dl_iterate_phdr(find_interpreter, &interpreter);
        const struct confine_path paths[] = {
                { audit_folder, CONFINE_FS_WRITE_FILE | CONFINE_FS_MAKE_REG },
                { needs->relay_program, CONFINE_FS_EXECUTE },
                { needs->relay_program ? interpreter : NULL, CONFINE_FS_EXECUTE },
                /* What a relay has for standard input and output. */
                { needs->relay_program ? "/dev/null" : NULL, CONFINE_FS_WRITE_FILE },
        };

        return confine_landlock(&refused, paths, sizeof(paths) / sizeof(paths[0]));
}

/* ---- system calls ---- */

static const struct confine_list *const lists[] = {
        &broker_loop_calls,
        &broker_process_calls,
        &broker_policy_calls,
        &broker_sanitizer_calls,
        &endpoint_calls,
        &socket_calls,
        &acceptor_calls,
        &connection_file_calls,
        &connection_watch_calls,
        &unix_path_calls,
        &audit_sink_calls,
        &exporter_calls,
        &resolver_calls,
        &ledger_calls,
        &bpf_map_calls,
        /* the last: where relays are forked */
        &spawn_calls,
};
#define N_LISTS (sizeof(lists) / sizeof(lists[0]))

static int confine_calls(const struct broker_needs *needs) {
        enum confine_otherwise otherwise = broker_sanitizer_calls.n_calls > 0 ? CONFINE_KILLS : CONFINE_REFUSES;

        return confine_filter_load(lists, needs->relay_program ? N_LISTS : N_LISTS - 1, otherwise);
}

/* ---- all of them ---- */

/* What the kernel does not have or a service manager does not permit: no later start would have it. */
static bool is_lacking(int r) {
        return r == -ENOSYS || r == -EOPNOTSUPP || r == -EPERM || r == -EACCES;
}

/* @param ret_stands  whether the wall does @return 0; -errno: it would another time */
static int note(const struct nb_log *log, const char *what, int r, bool *ret_stands) {
        *ret_stands = r == 0;
        if (r < 0)
                nb_log(log, is_lacking(r) ? NB_LOG_WARNING : NB_LOG_ERROR, "netbrokerd cannot confine itself: %s: %s",
                       what, strerror(-r));
        return is_lacking(r) ? 0 : r;
}

int confine_broker(const struct nb_log *log, const struct broker_needs *needs, struct broker_walls *ret) {
        bool has_landlock = confine_landlock_abi() > 0;
        struct broker_walls walls = {
                .starts_programs = needs->relay_program != NULL,
                .missing = has_landlock ? NULL : confine_landlock_missing(),
        };
        int r = note(log, "core dumps and tracing", hide(), &walls.hidden);

        if (r == 0)
                r = note(log, "files (Landlock)", confine_files(needs), &walls.files);
        /* The last, since it does not let the others' calls through. */
        if (r == 0)
                r = note(log, "system calls (seccomp)", confine_calls(needs), &walls.calls);
        if (r < 0)
                return r;
        walls.files = walls.files && has_landlock;
        *ret = walls;
        return 0;
}
