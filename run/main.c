/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbroker-run: one guest, with a broker's network and no other.
 *
 * The order is what makes it safe. Everything that has to be opened is opened first: the module's bytes, the session with its
 * preopened sockets, the directories. Then the process locks itself down, while it has one thread. Only then is there an engine, and code
 * that was not written by us is looked at: compiling it is parsing a stranger's file.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "netbroker/lockdown.h"
#include "run/guest.h"
#include "run/module.h"
#include "run/options.h"
#include "run/session.h"

static int compare_protocols(const void *a, const void *b) {
        const struct run_protocol *left = a, *right = b;

        return (left->fd > right->fd) - (left->fd < right->fd);
}

/*
 * Closes what our parent left open, which is not the guest's, but for the protocols that it hands over. A kernel without close_range(2)
 * (before 5.9) leaves them open, out of the guest's reach as long as it is inside its engine.
 */
static void close_others(const struct run_options *options) {
        struct run_protocol kept[RUN_PROTOCOLS_MAX];
        unsigned first = STDERR_FILENO + 1;

        memcpy(kept, options->protocols, sizeof(kept));
        qsort(kept, options->n_protocols, sizeof(kept[0]), compare_protocols);
        for (size_t i = 0; i < options->n_protocols; ++i) {
                if ((unsigned)kept[i].fd > first)
                        (void)close_range(first, (unsigned)kept[i].fd - 1, 0);
                first = (unsigned)kept[i].fd + 1;
        }
        (void)close_range(first, ~0U, 0);
}

/* A guest may have thousands of sockets; what the hard limit grants, the soft one should not withhold. */
static void raise_descriptor_limit(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= limit.rlim_max)
                return;
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* if that fails, the guest has fewer */
}

static int read_module(const char *path, const struct nb_log *log, uint8_t **ret_bytes, size_t *ret_length) {
        int r = nb_file_read(path, MODULE_SIZE_MAX, ret_bytes, ret_length);

        if (r < 0) {
                nb_log(log, NB_LOG_ERROR, "cannot read the module %s: %s", path,
                       r == -ESPIPE ? "not a regular file" : strerror(-r));
                return EX_NOINPUT;
        }
        r = module_check_header(*ret_bytes, *ret_length);
        if (r < 0) {
                nb_log(log, NB_LOG_ERROR, "%s: %s", path,
                       r == -ENOEXEC ? "not a WebAssembly module"
                                     : "a component; what runs here is a module for WASI preview 1");
                return EX_DATAERR;
        }
        return EX_OK;
}

static void warn_of_missing_walls(int walls, const struct nb_log *log) {
        static const struct {
                int wall;
                const char *text;
        } all[] = {
                { NB_WALL_SECCOMP, "no filter of system calls (seccomp)" },
                { NB_WALL_FILES, "files are not restricted (Landlock)" },
                { NB_WALL_TCP,
                  "TCP bind and connect are not restricted by Landlock, which has that from Linux 6.7 on" },
                { NB_WALL_SCOPES,
                  "signals and abstract Unix sockets are not restricted by Landlock, which has that from "
                  "Linux 6.12 on" },
        };

        for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); ++i) {
                if (!(walls & all[i].wall))
                        nb_log(log, NB_LOG_WARNING, "the lockdown is incomplete: %s", all[i].text);
        }
}

/* Gives up all but what is open and the guest's directories. */
static int lock_down(const struct run_options *options, const struct nb_log *log) {
        struct nb_lockdown_directory directories[RUN_DIRECTORIES_MAX];
        struct nb_lockdown_options lockdown = NB_LOCKDOWN_OPTIONS_INIT;
        int r;

        for (size_t i = 0; i < options->n_directories; ++i) {
                directories[i] = (struct nb_lockdown_directory){
                        .path = options->directories[i].host,
                        .fd = -1,
                        .access = options->directories[i].writable ? NB_LOCKDOWN_READ_WRITE : NB_LOCKDOWN_READ,
                };
        }
        lockdown.directories = directories;
        lockdown.n_directories = options->n_directories;
        lockdown.flags = options->weak_lockdown ? NB_LOCKDOWN_BEST_EFFORT : 0;

        r = nb_lockdown(&lockdown);
        if (r >= 0) {
                warn_of_missing_walls(r, log);
                return EX_OK;
        }
        nb_log(log, NB_LOG_ERROR, "this process cannot be locked down: %s; nothing was run", strerror(-r));
        if (r == -EOPNOTSUPP || r == -ENOSYS)
                nb_log(log, NB_LOG_ERROR,
                       "--weak-lockdown runs the guest with what this kernel has of seccomp and Landlock");
        return EX_OSERR;
}

static int run(const struct run_options *options, const struct nb_log *log, struct run_session *session,
               struct run_guest *guest) {
        NB_CLEANUP_FREE uint8_t *bytes = NULL;
        size_t length;
        int code;

        code = read_module(options->module, log, &bytes, &length);
        if (code == EX_OK)
                code = run_session_open(options, log, session);
        if (code == EX_OK)
                code = run_session_start_preopens(session, log);
        if (code == EX_OK)
                code = run_guest_prepare(options, session->session, log, guest);
        if (code == EX_OK)
                code = lock_down(options, log);
        if (code == EX_OK)
                code = run_guest_run(guest, options->module, bytes, length, log);
        return code;
}

int main(int argc, char **argv) {
        struct run_session session = RUN_SESSION_INIT;
        struct run_guest guest = { 0 };
        struct run_options options;
        struct nb_log log;
        int r, code;

        /* A run that was started without standard input would give that number to the session's channel, and the guest would read it. */
        if (nb_fds_ensure_standard() < 0)
                return EX_OSERR; /* there is nowhere to say so */
        /* A file that grows beyond RLIMIT_FSIZE is the guest's error, and not our end. */
        (void)signal(SIGXFSZ, SIG_IGN);
        raise_descriptor_limit();

        r = run_options_parse(argc, argv, &options);
        if (r == 0) {
                close_others(&options);
                nb_log_init(&log, run_option_table.program, NB_LOG_INFO);
                code = run(&options, &log, &session, &guest);
                run_guest_deinit(&guest);
                run_session_close(&session, &log);
        } else {
                code = r > 0 ? EX_OK : r == -EIO ? EX_IOERR : EX_USAGE;
        }
        run_options_deinit(&options);
        return code;
}
