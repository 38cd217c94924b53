/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbrokerd: reads its command line and policy, takes its sockets, gives up its privileges, and serves.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/last_words.h"
#include "base/unix_listener.h"
#include "broker/admin.h"
#include "broker/broker.h"
#include "broker/confine.h"
#include "broker/exporter.h"
#include "broker/front.h"
#include "broker/helper_client.h"
#include "broker/identity.h"
#include "broker/keep.h"
#include "broker/listener.h"
#include "broker/notify.h"
#include "broker/options.h"
#include "broker/privilege.h"
#include "broker/relay_process.h"
#include "broker/restore.h"
#include "broker/seal.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "broker/shard_exec.h"
#include "broker/spawner.h"
#include "broker/tenant_socket.h"

static void cleanup_broker(struct broker **broker) {
        *broker = broker_free(*broker);
}

static void cleanup_policy(struct policy **policy) {
        *policy = policy_free(*policy);
}

static void cleanup_sink(struct audit_sink **sink) {
        *sink = audit_sink_free(*sink);
}

static int open_audit(const struct nb_log *log, const char *name, struct audit_sink **ret) {
        int r = audit_sink_open(name, ret);

        if (r < 0)
                nb_log(log, NB_LOG_ERROR, "cannot open %s for the audit: %s", name, strerror(-r));
        return r;
}

static void free_names(char ***names) {
        for (size_t i = 0; *names && (*names)[i]; ++i)
                free((*names)[i]);
        free(*names);
}

/* Of several processes each has a socket of its own, which is not systemd's. */
static int take_activated_admin(struct broker *broker, int fd) {
        if (!broker->front)
                return admin_listen_fd(broker->admin, fd);
        (void)nb_fd_close(fd);
        return -EOPNOTSUPP;
}

/* @param name  FileDescriptorName= of the socket's unit; without it the unit's name */
static int take_activated_socket(struct broker *broker, int fd, const char *name, unsigned *n_sources) {
        bool is_admin = strcmp(name, "admin") == 0;
        int r = is_admin ? take_activated_admin(broker, fd) : listener_new_fd(broker, fd);

        if (r < 0)
                nb_log(&broker->log, NB_LOG_ERROR,
                       "systemd's socket \"%s\" cannot be served: %s; it must be %s= with Accept=no", name,
                       strerror(-r), is_admin ? "ListenStream" : "ListenSequentialPacket");
        *n_sources += !is_admin;
        return r;
}

static int take_activated_sockets(struct broker *broker, unsigned *n_sources) {
        NB_CLEANUP(free_names) char **names = NULL;
        int n = sd_listen_fds_with_names(1, &names);

        if (n < 0) {
                nb_log(&broker->log, NB_LOG_ERROR, "cannot take systemd's sockets: %s", strerror(-n));
                return n;
        }
        for (int i = 0; i < n; ++i) {
                int r = take_activated_socket(broker, SD_LISTEN_FDS_START + i, names[i], n_sources);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* @return whether it came back from the keeper */
static bool is_served(const struct broker *broker, const char *path) {
        const struct listener *listener = listener_find(broker, path);

        return listener && listener_is_general(listener);
}

static int take_path(struct broker *broker, const char *path) {
        int r = is_served(broker, path) ? 0 : listener_new_path(broker, path);

        if (r < 0)
                nb_log(&broker->log, NB_LOG_ERROR, "cannot serve sessions at %s: %s", path, nb_unix_listen_why(r));
        return r;
}

static int take_admin_path(struct broker *broker, const char *path) {
        int r = path && !admin_has_path(broker->admin, path) ? admin_listen_path(broker->admin, path) : 0;

        if (r < 0)
                nb_log(&broker->log, NB_LOG_ERROR, "cannot serve the operator at %s: %s", path, nb_unix_listen_why(r));
        return r;
}

static int take_metrics(struct broker *broker, const char *text) {
        struct nb_socket_address address;
        int r;

        if (!text)
                return 0;
        r = exporter_parse(text, &address);
        if (r == 0)
                r = exporter_new(broker, &address, &broker->exporter);
        if (r < 0)
                nb_log(&broker->log, NB_LOG_ERROR, "cannot serve metrics at %s: %s", text, exporter_why(r));
        return r;
}

/* A broker of one session makes none: they are for others, whom the system's broker serves. */
static int take_tenants_sockets(struct broker *broker, const struct options *options, unsigned *n_sources) {
        struct tenant_sockets *sockets = NULL;
        int r;

        if (options->session_fd >= 0)
                return 0;
        r = tenant_sockets_prepare(broker, broker->policy, &sockets);
        if (r < 0)
                return r;
        tenant_sockets_commit(broker, broker->policy, sockets);
        for (size_t i = 0; i < broker->policy->n_tenants; ++i)
                *n_sources += broker->policy->tenants[i].socket.path != NULL;
        return 0;
}

static int take_session(struct broker *broker, int fd) {
        struct identity identity = { .inherited = true, .uid = getuid(), .pid = getppid() };
        int r = nb_channel_check(fd) < 0 ? -ENOTSOCK : nb_fd_prepare(fd);

        if (r == 0)
                r = session_new(broker, fd, &identity);
        if (r < 0)
                nb_log(&broker->log, NB_LOG_ERROR, "cannot serve a session on descriptor %d: %s", fd,
                       r == -ENOTSOCK ? "it is no AF_UNIX SOCK_SEQPACKET socket" : strerror(-r));
        return r;
}

static int take_sources(struct broker *broker, const struct options *options) {
        unsigned n_sources = 0;
        int r;

        r = take_admin_path(broker, options->admin_socket);
        if (r < 0)
                return r;
        r = take_metrics(broker, options->metrics);
        if (r < 0)
                return r;
        r = take_activated_sockets(broker, &n_sources);
        if (r < 0)
                return r;
        if (options->socket_path) {
                r = take_path(broker, options->socket_path);
                if (r < 0)
                        return r;
                n_sources++;
        }
        r = take_tenants_sockets(broker, options, &n_sources);
        if (r < 0)
                return r;
        if (options->session_fd >= 0) {
                r = take_session(broker, options->session_fd);
                if (r < 0)
                        return r;
                n_sources++;
        }
        if (n_sources > 0)
                return 0;
        nb_log(&broker->log, NB_LOG_ERROR,
               "nothing to serve: give --socket PATH, a tenant a Socket=, or start netbrokerd by its systemd socket");
        return -EINVAL;
}

/* It is asked when there is something to ask: then the broker is who it will be. */
static int take_helper(struct broker *broker, const char *path) {
        if (!path)
                return 0;
        broker->helper = helper_client_new(broker, path);
        if (broker->helper)
                return 0;
        nb_log(&broker->log, NB_LOG_ERROR, "cannot use netbroker-helper at %s: %s", path, strerror(errno));
        return -errno;
}

static int check_program(const char *path) {
        struct stat facts;

        if (stat(path, &facts) < 0 || access(path, X_OK) < 0)
                return -errno;
        return S_ISREG(facts.st_mode) ? 0 : -EACCES;
}

/*
 * They are started when they are needed, as who the broker is then. The installed program may be missing where nobody needs it; one that was
 * named is a mistake then, which should not wait for the first guest.
 */
static int take_relays(struct broker *broker, const struct options *options) {
        const char *program = options_relay_program(options);
        int r = program && options->relay_program ? check_program(program) : 0;

        if (r < 0) {
                nb_log(&broker->log, NB_LOG_ERROR, "cannot start relays by %s: %s", program, strerror(-r));
                return r;
        }
        broker->relay_launcher = relay_launcher_new(broker, program, options->relay_socket);
        r = broker->relay_launcher ? 0 : -errno;
        if (r < 0)
                nb_log(&broker->log, NB_LOG_ERROR, "cannot have relays started by %s: %s",
                       program ? program : options->relay_socket, strerror(-r));
        return r;
}

static const char *why_no_keeper(int r) {
        return r == -EBUSY ? "it serves another netbrokerd, which must end first" : strerror(-r);
}

/* Each process has a keeper of its own; the front has the first. */
static int keeper_path(const struct broker *broker, const char *first, char ret[static SHARD_PATH_MAX]) {
        int n;

        if (broker->shard)
                return shard_path(first, shard_number(broker->shard), ret);
        n = snprintf(ret, SHARD_PATH_MAX, "%s", first);
        return n < 0 || n >= SHARD_PATH_MAX ? -ENAMETOOLONG : 0;
}

/* @param ret  what it has; owned by the caller, NULL: nothing */
static int take_keeper(struct broker *broker, const char *first, struct restore **ret) {
        char path[SHARD_PATH_MAX];
        struct kept_item *items = NULL;
        size_t n = 0;
        int r;

        if (!first)
                return 0;
        r = keeper_path(broker, first, path);
        if (r < 0) {
                nb_log(&broker->log, NB_LOG_ERROR, "cannot use netbroker-keeper at %s: %s", first, strerror(-r));
                return r;
        }
        broker->keep = keep_new(broker, path, &items, &n);
        r = broker->keep ? 0 : -errno;
        if (r < 0)
                nb_log(&broker->log, NB_LOG_ERROR, "cannot use netbroker-keeper at %s: %s", path, why_no_keeper(r));
        if (r < 0)
                return r;
        *ret = restore_new(broker, items, n);
        if (!*ret) {
                nb_log(&broker->log, NB_LOG_ERROR, "cannot take back what netbroker-keeper at %s has: %s", path,
                       strerror(ENOMEM));
                return -ENOMEM;
        }
        r = restore_check_place(*ret);
        if (r == 0)
                restore_begin(*ret);
        return r;
}

static void cleanup_restore(struct restore **restore) {
        *restore = restore_free(*restore);
}

/* @param restore  consumed; NULL: there was nothing to bring back */
static void bring_back(struct restore **restore) {
        if (*restore)
                restore_finish(*restore);
        *restore = restore_free(*restore);
}

/* Those of an earlier command line, when those of this one are there. */
static void end_other_sockets(struct broker *broker, const struct options *options) {
        listener_end_other_general(broker, options->socket_path);
        admin_end_other(broker->admin, options->admin_socket);
}

/* A broker of one session hands its sockets to the process that has started it, which locks itself down. */
static int take_seal(struct broker *broker, const struct options *options) {
        if (options->session_fd >= 0 && !options->seal)
                return 0;
        broker->seal = seal_new(broker, options->seal);
        if (broker->seal)
                return 0;
        nb_log(&broker->log, NB_LOG_ERROR, "cannot start: %s", strerror(ENOMEM));
        return -ENOMEM;
}

/* @param r  of what gives them up @return r */
static int log_no_privileges(const struct broker *broker, int r) {
        if (r < 0)
                nb_log(&broker->log, NB_LOG_ERROR, "cannot give up privileges: %s",
                       r == -ENOENT ? "there is no such user" : strerror(-r));
        return r;
}

/* Who the broker will be; files are made for it before it is. Errors are logged, as are those of the next. */
static int find_user(struct broker *broker, const char *user) {
        return log_no_privileges(broker, privilege_find_user(user, &broker->uid, &broker->gid));
}

static int become_user(const struct broker *broker, const char *user) {
        return log_no_privileges(broker, privilege_drop(user));
}

static void warn_of_root(const struct broker *broker) {
        if (geteuid() == 0)
                nb_log(&broker->log, NB_LOG_WARNING,
                       "running as root: without capabilities, but as the owner of root's files; give --user NAME");
}

static void warn_of_units(const struct broker *broker) {
        const struct policy_tenant *tenant = identity_find_blind(broker->policy);

        if (tenant)
                nb_log(&broker->log, NB_LOG_WARNING,
                       "Unit= of tenant %s fits nobody, for /proc hides other users' processes; set "
                       "ProtectProc=default in a "
                       "drop-in of the unit",
                       tenant->name);
}

/*
 * From here on nothing is opened but what a reload names, and nothing is read from guests before.
 * @param relay_program  what is executed; NULL: nothing is
 */
static void raise_walls(struct broker *broker, const struct options *options, const char *relay_program) {
        const char *audit = options->audit;
        const struct broker_needs needs = {
                .audit = audit && strcmp(audit, "journal") != 0 && strcmp(audit, "stdout") != 0 ? audit : NULL,
                .relay_program = relay_program,
        };

        /* Without memory libseccomp may leave the heap in disorder, which nobody is to tidy up: all is as where the process is killed. */
        if (confine_broker(&broker->log, &needs, &broker->walls) < 0)
                _exit(EX_OSERR);
}

static int serve_alone(struct broker *broker, const struct options *options) {
        NB_CLEANUP(cleanup_restore) struct restore *restore = NULL;

        if (find_user(broker, options->user) < 0)
                return EX_NOPERM;
        if (take_seal(broker, options) < 0 || take_keeper(broker, options->keeper, &restore) < 0 ||
            take_sources(broker, options) < 0 || take_helper(broker, options->helper) < 0 ||
            take_relays(broker, options) < 0)
                return EX_UNAVAILABLE;
        privilege_lift_memlock_limit();
        if (become_user(broker, options->user) < 0)
                return EX_NOPERM;
        if (broker->helper)
                helper_client_look(broker->helper);
        if (broker->seal)
                seal_prove(broker->seal, options->probe);
        if (!seal_suffices(broker, broker->policy))
                return EX_UNAVAILABLE;
        raise_walls(broker, options, options_relay_program(options));
        if (broker_open_contexts(broker) < 0)
                return EX_CONFIG;
        if (options->session_fd < 0)
                warn_of_root(broker);
        warn_of_units(broker);
        end_other_sockets(broker, options);
        bring_back(&restore);
        notify_ready(broker->notify);
        nb_log(&broker->log, NB_LOG_INFO, "serving %zu tenants", broker->policy->n_tenants);
        broker_run(broker);
        return EX_OK;
}

/* ---- several processes ---- */

/* What only one process can have. */
static int check_divisible(const struct nb_log *log, const struct options *options) {
        const char *what = NULL;

        if (options->session_fd >= 0)
                what = "--session-fd";
        else if (options->seal)
                what = "--seal";
        else if (options->metrics && strncmp(options->metrics, "unix:", 5) != 0)
                what = "an address of --metrics that is no unix:PATH";
        if (!what)
                return 0;
        nb_log(log, NB_LOG_ERROR, "%s cannot be used with --shards: leave one of them out", what);
        return -EINVAL;
}

/* The front makes and keeps the sockets where sessions come, and an operator who asks of all; all else is the shards'. */
static int serve_front(struct broker *broker, const struct options *options) {
        const struct options of_front = {
                .socket_path = options->socket_path,
                .admin_socket = options->admin_socket,
                .session_fd = -1,
        };
        NB_CLEANUP(cleanup_restore) struct restore *restore = NULL;

        if (find_user(broker, options->user) < 0)
                return EX_NOPERM;
        if (take_keeper(broker, options->keeper, &restore) < 0 || take_sources(broker, &of_front) < 0)
                return EX_UNAVAILABLE;
        if (become_user(broker, options->user) < 0)
                return EX_NOPERM;
        raise_walls(broker, options, NULL);
        warn_of_root(broker);
        warn_of_units(broker);
        end_other_sockets(broker, &of_front);
        if (front_start(broker->front) < 0)
                return EX_UNAVAILABLE;
        bring_back(&restore);
        notify_ready(broker->notify);
        nb_log(&broker->log, NB_LOG_INFO, "serving %zu tenants in %u shards", broker->policy->n_tenants,
               front_n_shards(broker->front));
        broker_run(broker);
        return front_has_failed(broker->front) ? EX_SOFTWARE : EX_OK;
}

/* What all shards serve, or are served by: no tenant of any reaches it. */
static int note_sockets(struct shard *shard, const struct options *options) {
        int r = options->keeper ? shard_note_sockets(shard, "the socket of netbroker-keeper", options->keeper) : 0;

        if (r == 0 && options->admin_socket)
                r = shard_note_sockets(shard, "the admin socket", options->admin_socket);
        if (r == 0 && options->metrics)
                r = shard_note_sockets(shard, "the socket of metrics", options->metrics + strlen("unix:"));
        return r;
}

/* Operators and Prometheus ask each shard, which has what is asked for. */
static int take_shards_sources(struct broker *broker, const struct options *options) {
        unsigned number = shard_number(broker->shard);
        char admin[SHARD_PATH_MAX], metrics[SHARD_PATH_MAX];
        int r = note_sockets(broker->shard, options);

        if (r == 0 && options->admin_socket)
                r = shard_path(options->admin_socket, number, admin);
        if (r == 0 && options->metrics)
                r = shard_path(options->metrics, number, metrics);
        if (r < 0)
                nb_log(&broker->log, NB_LOG_ERROR, "cannot name the sockets of shard %u: %s", number, strerror(-r));
        if (r == 0)
                r = take_admin_path(broker, options->admin_socket ? admin : NULL);
        if (r == 0)
                r = take_metrics(broker, options->metrics ? metrics : NULL);
        if (r == 0 && options->admin_socket)
                admin_end_other(broker->admin, admin);
        return r;
}

/* Who it is the spawner has decided, and what is open to all the front. */
static int serve_shard(struct broker *broker, const struct options *options) {
        NB_CLEANUP(cleanup_restore) struct restore *restore = NULL;
        int r;

        if (take_seal(broker, options) < 0 || take_keeper(broker, options->keeper, &restore) < 0 ||
            take_shards_sources(broker, options) < 0 || take_helper(broker, options->helper) < 0 ||
            take_relays(broker, options) < 0)
                return EX_UNAVAILABLE;
        if (broker->helper)
                helper_client_look(broker->helper);
        if (!seal_suffices(broker, broker->policy))
                return EX_UNAVAILABLE;
        raise_walls(broker, options, options_relay_program(options));
        if (broker_open_contexts(broker) < 0)
                return EX_CONFIG;
        r = shard_begin(broker->shard);
        if (r < 0) {
                nb_log(&broker->log, NB_LOG_ERROR, "shard %u has not heard what it must: %s",
                       shard_number(broker->shard), strerror(-r));
                return EX_UNAVAILABLE;
        }
        bring_back(&restore);
        if (shard_serve(broker->shard) < 0)
                return EX_OSERR;
        nb_log(&broker->log, NB_LOG_INFO, "shard %u of %u serves %zu tenants", shard_number(broker->shard),
               broker->n_shards, broker->policy->n_tenants);
        broker_run(broker);
        return EX_OK;
}

/* @param place  whose descriptor is consumed */
static int take_place(struct broker *broker, struct shard_place *place) {
        unsigned n_shards = place->n_shards, number = place->number;

        if (number > 0)
                broker->shard = shard_new(broker, place);
        else
                broker->front = front_new(broker, n_shards, nb_steal_fd(&place->fd));
        return broker->shard || broker->front ? broker_divide(broker, n_shards, number) : -ENOMEM;
}

static int serve(struct broker *broker, const struct options *options, struct shard_place *place) {
        if (place->n_shards == 0)
                return serve_alone(broker, options);
        if (take_place(broker, place) < 0) {
                nb_log(&broker->log, NB_LOG_ERROR, "cannot start: %s", strerror(ENOMEM));
                return EX_OSERR;
        }
        return broker->front ? serve_front(broker, options) : serve_shard(broker, options);
}

static int print_valid(const struct options *options, const struct policy *policy) {
        int r = printf("%s: the policy is valid, with %zu tenant%s\n", options->policy, policy->n_tenants,
                       policy->n_tenants == 1 ? "" : "s");

        return r < 0 || fflush(stdout) != 0 ? EX_IOERR : EX_OK;
}

/*
 * All processes write one audit, which is opened while this one may.
 * @return 0 in the front; 1 in the spawner, when it is over; -errno, logged
 */
static int divide(const struct nb_log *log, const struct options *options, char *const *argv,
                  struct audit_sink **ret_sink, struct shard_place *ret) {
        struct spawner_plan plan = { .argv = argv, .n_shards = options->shards, .user = options->user };
        int r = check_divisible(log, options);

        if (r == 0 && options->audit)
                r = open_audit(log, options->audit, ret_sink);
        if (r < 0)
                return r;
        /* What relays may lock is what their shard may, which will have no capability to ask for more. */
        privilege_lift_memlock_limit();
        plan.audit_fd = *ret_sink ? audit_sink_fd(*ret_sink) : -1;
        r = spawner_fork(log, &plan, &ret->fd);
        if (r < 0)
                nb_log(log, NB_LOG_ERROR, "cannot start: %s", strerror(-r));
        return r;
}

/*
 * Of the spawner a shard has a capability that programs inherit, and the audit's file that was there when all began; where that may not be opened again, it stays in use.
 * @param place  of a shard; the audit's descriptor is consumed
 * @return 0 or -errno, logged
 */
static int take_inheritance(const struct nb_log *log, const struct options *options, struct shard_place *place,
                            struct audit_sink **ret_sink) {
        int r = options->shards > 1 && place->number <= options->shards ? privilege_drop(NULL) : -EINVAL;

        if (r == 0 && options->audit && place->audit_fd >= 0) {
                *ret_sink = audit_sink_new_opened(options->audit, nb_steal_fd(&place->audit_fd));
                r = *ret_sink ? 0 : -ENOMEM;
        }
        if (r < 0)
                nb_log(log, NB_LOG_ERROR, "cannot start as shard %u: %s", place->number, strerror(-r));
        else if (*ret_sink)
                (void)audit_sink_reopen(*ret_sink);
        return r;
}

/* What there is to warn of the front says for all. */
static int load_policy(const struct nb_log *log, const struct policy_source *source, const struct shard_place *place,
                       struct policy **ret) {
        struct nb_log quiet = *log;
        int r;

        if (place->number > 0)
                quiet.level = NB_LOG_ERROR;
        r = policy_source_load(source, &quiet, ret);
        /* Whoever tries netbrokerd has named no path, and does not know that one was taken. */
        if (r == -ENOENT && strcmp(source->path, POLICY_SOURCE_DEFAULT) == 0 && access(source->path, F_OK) < 0)
                nb_log(log, NB_LOG_ERROR,
                       "that is the default: write a file for each tenant there, or say with --policy FILE|DIR where "
                       "the policy is");
        return r;
}

int main(int argc, char **argv) {
        NB_CLEANUP(cleanup_broker) struct broker *broker = NULL;
        NB_CLEANUP(cleanup_policy) struct policy *policy = NULL;
        NB_CLEANUP(cleanup_sink) struct audit_sink *sink = NULL;
        NB_CLEANUP_FREE char **arguments = NULL;
        struct nb_operands operands;
        struct options options;
        NB_CLEANUP(shard_place_deinit) struct shard_place place = { .fd = -1, .audit_fd = -1 };
        struct policy_source source;
        struct nb_log log;
        int r;

        if (nb_fds_ensure_standard() < 0)
                err(EX_OSERR, "cannot have standard input, output and error");
        nb_last_words();
        (void)signal(SIGPIPE, SIG_IGN);
        if (shard_exec_take(&argc, argv, &place) < 0) {
                (void)fputs("netbrokerd: a shard is started by its front: use --shards N\n", stderr);
                return EX_USAGE;
        }
        arguments = shard_exec_copy_arguments(argc, argv);
        if (!arguments)
                return EX_OSERR;
        options_init(&options);
        r = nb_options_parse(&options_table, argc, argv, &options, stdout, stderr, &operands);
        if (r != 0)
                return r > 0 ? EX_OK : EX_USAGE;
        nb_log_init(&log, "netbrokerd", options.log_level);
        source = (struct policy_source){
                .path = options.policy,
                .defaults_path = options.defaults,
                /* Who inherits its session serves one guest, whose parent bounds it. */
                .defaults = { .data_path = options.data_path, .unlimited = options.session_fd >= 0 },
        };
        if (place.number > 0)
                r = take_inheritance(&log, &options, &place, &sink);
        else if (options.shards > 1 && !options.check)
                r = divide(&log, &options, arguments, &sink, &place);
        if (r != 0)
                return r > 0 ? EX_OK : EX_OSERR;
        place.n_shards = options.shards > 1 ? options.shards : 0;
        if (load_policy(&log, &source, &place, &policy) < 0)
                return EX_CONFIG;
        if (options.check)
                return print_valid(&options, policy);
        if (options.audit && !sink && open_audit(&log, options.audit, &sink) < 0)
                return EX_CANTCREAT;

        broker = broker_new(&log, &source, nb_steal_ptr(policy), nb_steal_ptr(sink));
        if (!broker) {
                nb_log(&log, NB_LOG_ERROR, "cannot start: %s", strerror(errno));
                return EX_OSERR;
        }
        broker->audit.allowed = options.audit_allowed;
        return serve(broker, &options, &place);
}
