/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose a session is: by tenants' own sockets, by groups and units, over reloads; and the broker's own sockets, which no rule reaches.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <mntent.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "broker/identity.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

#define PROTOCOL "[Protocol web]\nFamily=ip\nDataPath=direct\nConnect=127.0.0.1:*\n"

/* A group that nobody has. */
#define GROUP 54321

static void write_tenant(const struct daemon *daemon, const char *name, const char *keys) {
        char file[64];

        (void)snprintf(file, sizeof(file), "%s.conf", name);
        daemon_write_policy_file(daemon, file, "[Tenant]\nName=%s\n%s\n" PROTOCOL, name, keys);
}

/* A tenant with a socket of its own in the daemon's folder, "NAME.sock", and more keys. */
static void write_with_socket(const struct daemon *daemon, const char *name, const char *keys) {
        char text[512];

        (void)snprintf(text, sizeof(text), "Socket=%s/%s.sock\n%s", daemon->folder, name, keys);
        write_tenant(daemon, name, text);
}

static void write_user(const struct daemon *daemon, const char *name) {
        char text[64];

        (void)snprintf(text, sizeof(text), "User=%u\n", (unsigned)getuid());
        write_tenant(daemon, name, text);
}

static const char *in(const struct daemon *daemon, const char *name, char path[static HARNESS_PATH_MAX]) {
        (void)snprintf(path, HARNESS_PATH_MAX, "%s/%s", daemon->folder, name);
        return path;
}

static uint32_t try_at(const char *path, const char *tenant, char ret_tenant[static NB_NAME_LENGTH_MAX + 1]) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        struct wire wire = wire_connect(path);
        uint32_t error = 0;

        wire_send_hello(&wire, tenant);
        ck_assert(wire_receive(&wire, reply));
        if (reply->reply->body_case == NB__REPLY__BODY_WELCOME)
                (void)snprintf(ret_tenant, NB_NAME_LENGTH_MAX + 1, "%s", reply->reply->welcome->tenant);
        else
                error = reply->reply->refused->error;
        nb_channel_fds_close(&reply->fds);
        (void)wire_close(&wire);
        return error;
}

static void expect_welcome(const char *path, const char *tenant, const char *expected) {
        char name[NB_NAME_LENGTH_MAX + 1];

        ck_assert_uint_eq(try_at(path, tenant, name), 0);
        ck_assert_str_eq(name, expected);
}

static void expect_no_access(const char *path, const char *tenant) {
        char name[NB_NAME_LENGTH_MAX + 1];

        ck_assert_uint_eq(try_at(path, tenant, name), NB_WASI_EACCES);
}

static void stop(struct daemon *daemon) {
        daemon_stop(daemon);
        daemon_deinit(daemon);
}

static uid_t nobody(void) {
        const struct passwd *passwd = getpwnam("nobody");

        ck_assert_ptr_nonnull(passwd);
        return passwd->pw_uid;
}

/* ---- tenants' own sockets ---- */

START_TEST(a_session_by_a_tenants_socket_is_that_tenants) {
        char own[HARNESS_PATH_MAX];
        struct daemon daemon;

        daemon_init(&daemon);
        write_with_socket(&daemon, "acme", "");
        write_user(&daemon, "zeta");
        daemon_start(&daemon, NULL);
        expect_welcome(in(&daemon, "acme.sock", own), "", "acme");
        expect_welcome(own, "acme", "acme");
        expect_no_access(own, "zeta");
        daemon_expect_audit(&daemon, "\"verb\":\"hello\"", "\"asked\":\"zeta\"", "\"verdict\":\"denied\"",
                            "own socket (Socket=) of another tenant");
        /* Nobody's credentials are acme's. */
        expect_no_access(daemon.socket_path, "acme");
        expect_welcome(daemon.socket_path, "", "zeta");
        stop(&daemon);
}
END_TEST

START_TEST(a_socket_has_its_owner_and_mode_and_goes_with_the_broker) {
        char own[HARNESS_PATH_MAX];
        struct daemon daemon;
        struct stat st;

        daemon_init(&daemon);
        write_with_socket(&daemon, "acme", "SocketUser=nobody\nSocketGroup=54321\nSocketMode=0620\n");
        daemon_start(&daemon, NULL);
        ck_assert_int_eq(lstat(in(&daemon, "acme.sock", own), &st), 0);
        ck_assert_uint_eq(st.st_uid, nobody());
        ck_assert_uint_eq(st.st_gid, GROUP);
        ck_assert_uint_eq(st.st_mode, S_IFSOCK | 0620);
        daemon_stop(&daemon);
        ck_assert_int_lt(access(own, F_OK), 0);
        daemon_deinit(&daemon);
}
END_TEST

/* The one whom --user names, though root makes it; and a reload after that leaves it as it is. */
START_TEST(a_socket_is_the_brokers_users) {
        struct daemon_options options = { .user = "nobody" };
        char own[HARNESS_PATH_MAX];
        struct daemon daemon;
        struct stat st, again;

        daemon_init(&daemon);
        ck_assert_int_eq(chown(daemon.folder, nobody(), (gid_t)-1), 0);
        write_with_socket(&daemon, "acme", "");
        daemon_start(&daemon, &options);
        ck_assert_int_eq(lstat(in(&daemon, "acme.sock", own), &st), 0);
        ck_assert_uint_eq(st.st_uid, nobody());
        ck_assert_uint_eq(st.st_mode, S_IFSOCK | 0600);
        write_with_socket(&daemon, "zeta", "");
        daemon_reload(&daemon);
        ck_assert_int_eq(lstat(own, &again), 0);
        ck_assert_uint_eq(st.st_ino, again.st_ino);
        expect_welcome(in(&daemon, "zeta.sock", own), "", "zeta");
        /* Nobody gives a socket to somebody else. */
        write_with_socket(&daemon, "yota", "SocketUser=root\n");
        daemon_reload(&daemon);
        daemon_expect_log(&daemon, "only root gives a socket to another user");
        daemon_expect_log(&daemon, "not reloaded");
        stop(&daemon);
}
END_TEST

static void expect_welcome_as_acme(void *data) {
        expect_welcome(data, "", "acme");
}

static void expect_no_way(void *data) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        NB_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", (const char *)data);
        ck_assert_int_lt(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
        ck_assert_int_eq(errno, EACCES);
}

START_TEST(the_mode_of_the_socket_admits) {
        char own[HARNESS_PATH_MAX];
        struct daemon daemon;

        daemon_init(&daemon);
        write_with_socket(&daemon, "acme", "SocketUser=nobody\n");
        daemon_start(&daemon, NULL);
        (void)in(&daemon, "acme.sock", own);
        harness_run_as(nobody(), expect_welcome_as_acme, own);
        harness_run_as(nobody() - 1, expect_no_way, own);
        stop(&daemon);
}
END_TEST

static void make_file(const char *path) {
        NB_CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        ck_assert_int_ge(fd, 0);
}

static int listen_at(const char *path) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
        ck_assert_int_eq(listen(fd, 8), 0);
        return fd;
}

START_TEST(a_socket_that_nobody_serves_is_replaced) {
        char own[HARNESS_PATH_MAX];
        struct daemon daemon;

        daemon_init(&daemon);
        (void)nb_fd_close(listen_at(in(&daemon, "acme.sock", own)));
        write_with_socket(&daemon, "acme", "");
        daemon_start(&daemon, NULL);
        expect_welcome(own, "", "acme");
        stop(&daemon);
}
END_TEST

static void expect_start_fails(const struct daemon *daemon, const char *why) {
        NB_CLEANUP_FREE char *output = NULL;
        int status = daemon_run_once(daemon,
                                     (const char *[]){ "--policy", daemon->policy_path, "--socket", daemon->socket_path,
                                                       NULL },
                                     &output);

        ck_assert_int_eq(status, EX_UNAVAILABLE);
        ck_assert_msg(strstr(output, why) != NULL, "expected \"%s\" in:\n%s", why, output);
        ck_assert_ptr_nonnull(strstr(output, "acme.conf:3"));
}

START_TEST(what_cannot_be_a_socket) {
        char own[HARNESS_PATH_MAX];
        struct daemon daemon;
        int fd;

        daemon_init(&daemon);
        (void)in(&daemon, "acme.sock", own);
        write_with_socket(&daemon, "acme", "");
        make_file(own);
        expect_start_fails(&daemon, "another file is there");
        ck_assert_int_eq(unlink(own), 0);
        fd = listen_at(own);
        expect_start_fails(&daemon, "another process serves it");
        (void)nb_fd_close(fd);
        ck_assert_int_eq(unlink(own), 0);
        ck_assert_int_eq(symlink("elsewhere", own), 0);
        expect_start_fails(&daemon, "another file is there");
        ck_assert_int_eq(unlink(own), 0);
        write_tenant(&daemon, "acme", "Socket=/nonexistent/acme.sock");
        expect_start_fails(&daemon, "its folder is not there");
        write_tenant(&daemon, "acme", "Socket=/proc/self/root/acme.sock");
        expect_start_fails(&daemon, "symbolic link");
        daemon_deinit(&daemon);
}
END_TEST

START_TEST(a_socket_of_systemds_is_the_tenants_whose_path_it_has) {
        struct daemon_options options = { 0 };
        struct daemon daemon;
        char text[256];

        daemon_init(&daemon);
        options.activation_fd = listen_at(daemon.socket_path);
        (void)snprintf(text, sizeof(text), "Socket=%s\n", daemon.socket_path);
        write_tenant(&daemon, "acme", text);
        write_user(&daemon, "zeta");
        daemon_start(&daemon, &options);
        expect_welcome(daemon.socket_path, "", "acme");
        expect_no_access(daemon.socket_path, "zeta");
        stop(&daemon);
        (void)nb_fd_close(options.activation_fd);
}
END_TEST

/* ---- two that fit ---- */

START_TEST(nothing_of_other_tenants_is_told) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        struct daemon daemon;
        struct wire wire;

        daemon_init(&daemon);
        write_user(&daemon, "acme");
        write_user(&daemon, "zeta");
        daemon_start(&daemon, NULL);
        wire = wire_connect(daemon.socket_path);
        wire_send_hello(&wire, "");
        ck_assert(wire_receive(&wire, reply));
        ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_REFUSED);
        ck_assert_str_eq(reply->reply->refused->reason, "");
        (void)wire_close(&wire);
        stop(&daemon);
}
END_TEST

/* ---- reload ---- */

START_TEST(sockets_come_and_go_with_reloads) {
        char acme[HARNESS_PATH_MAX], zeta[HARNESS_PATH_MAX];
        struct wire_session session;
        struct daemon daemon;
        unsigned baseline;

        daemon_init(&daemon);
        write_user(&daemon, "general");
        daemon_start(&daemon, NULL);
        wire_session_open(daemon.socket_path, "", &session);
        wire_settle(&session.protocols[0]);
        baseline = daemon_count_fds_at_rest(&daemon);
        write_with_socket(&daemon, "acme", "");
        write_with_socket(&daemon, "zeta", "");
        daemon_reload(&daemon);
        expect_welcome(in(&daemon, "acme.sock", acme), "", "acme");
        expect_welcome(in(&daemon, "zeta.sock", zeta), "", "zeta");
        daemon_remove_policy(&daemon, "acme.conf");
        daemon_reload(&daemon);
        ck_assert_int_lt(access(acme, F_OK), 0);
        expect_welcome(zeta, "", "zeta");
        daemon_remove_policy(&daemon, "zeta.conf");
        daemon_reload(&daemon);
        ck_assert_int_lt(access(zeta, F_OK), 0);
        daemon_wait_fds(&daemon, baseline);
        wire_session_close(&session);
        stop(&daemon);
}
END_TEST

START_TEST(a_socket_that_cannot_be_made_changes_nothing) {
        char acme[HARNESS_PATH_MAX], bbb[HARNESS_PATH_MAX], beside[HARNESS_PATH_MAX];
        struct daemon daemon;

        daemon_init(&daemon);
        write_with_socket(&daemon, "acme", "");
        daemon_start(&daemon, NULL);
        (void)in(&daemon, "acme.sock", acme);
        /* The first could be made, the second not; and acme would go. */
        daemon_remove_policy(&daemon, "acme.conf");
        write_with_socket(&daemon, "bbb", "");
        write_tenant(&daemon, "ccc", "Socket=/nonexistent/ccc.sock");
        daemon_reload(&daemon);
        daemon_expect_log(&daemon, "ccc.conf:3: error: cannot make Socket=/nonexistent/ccc.sock");
        daemon_expect_log(&daemon, "not reloaded");
        expect_welcome(acme, "", "acme");
        ck_assert_int_lt(access(in(&daemon, "bbb.sock", bbb), F_OK), 0);
        ck_assert_int_lt(access(in(&daemon, ".bbb.sock.new", beside), F_OK), 0);
        stop(&daemon);
}
END_TEST

static ino_t inode_of(const char *path) {
        struct stat st;

        ck_assert_int_eq(lstat(path, &st), 0);
        return st.st_ino;
}

START_TEST(a_socket_is_replaced_only_if_it_changes) {
        char own[HARNESS_PATH_MAX];
        struct daemon daemon;
        struct stat st;
        ino_t first;

        daemon_init(&daemon);
        write_with_socket(&daemon, "acme", "SocketMode=0600\n");
        daemon_start(&daemon, NULL);
        first = inode_of(in(&daemon, "acme.sock", own));
        daemon_reload(&daemon);
        ck_assert_uint_eq(inode_of(own), first);
        write_with_socket(&daemon, "acme", "SocketMode=0660\n");
        daemon_reload(&daemon);
        ck_assert_int_eq(lstat(own, &st), 0);
        ck_assert_uint_ne(st.st_ino, first);
        ck_assert_uint_eq(st.st_mode & 0777, 0660);
        expect_welcome(own, "", "acme");
        stop(&daemon);
}
END_TEST

/* Who came by the socket of one tenant is not another's when that one gets it. */
START_TEST(a_path_that_goes_to_another_tenant) {
        char own[HARNESS_PATH_MAX], text[256];
        struct wire_session session;
        struct daemon daemon;
        struct wire half_open;

        daemon_init(&daemon);
        write_with_socket(&daemon, "acme", "");
        daemon_start(&daemon, NULL);
        (void)in(&daemon, "acme.sock", own);
        wire_session_open(own, "", &session);
        half_open = wire_connect(own);
        wire_settle(&session.protocols[0]);
        daemon_remove_policy(&daemon, "acme.conf");
        (void)snprintf(text, sizeof(text), "Socket=%s\n", own);
        write_tenant(&daemon, "zeta", text);
        daemon_reload(&daemon);
        wire_expect_end(&session.channel);
        wire_session_close(&session);
        ck_assert_uint_eq(wire_hello(&half_open, "", &session), NB_WASI_EACCES);
        (void)wire_close(&half_open);
        expect_welcome(own, "", "zeta");
        stop(&daemon);
}
END_TEST

START_TEST(a_session_ends_when_its_socket_moves) {
        char own[HARNESS_PATH_MAX], text[256];
        struct wire_session session;
        struct daemon daemon;

        daemon_init(&daemon);
        write_with_socket(&daemon, "acme", "");
        daemon_start(&daemon, NULL);
        wire_session_open(in(&daemon, "acme.sock", own), "", &session);
        daemon_reload(&daemon);
        wire_settle(&session.protocols[0]);
        (void)snprintf(text, sizeof(text), "Socket=%s/other.sock\n", daemon.folder);
        write_tenant(&daemon, "acme", text);
        daemon_reload(&daemon);
        wire_expect_end(&session.channel);
        wire_session_close(&session);
        stop(&daemon);
}
END_TEST

/* ---- groups ---- */

/* What a process of another user with a supplementary group does. */
struct member {
        const char *path;
        gid_t group;
        gid_t supplementary;
        uint32_t expected;
};

static void run_as_member(const struct member *member) {
        pid_t pid = fork();
        char name[NB_NAME_LENGTH_MAX + 1];

        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                if (setgroups(1, &member->supplementary) < 0 ||
                    setresgid(member->group, member->group, member->group) < 0 ||
                    setresuid(nobody(), nobody(), nobody()) < 0)
                        _exit(126);
                _exit(try_at(member->path, "", name) == member->expected ? 0 : 1);
        }
        ck_assert_int_eq(harness_wait_exit(pid), 0);
}

START_TEST(a_group_admits_its_members) {
        struct daemon daemon;

        daemon_init(&daemon);
        write_tenant(&daemon, "acme", "Group=54321\n");
        daemon_start(&daemon, NULL);
        run_as_member(&(struct member){ daemon.socket_path, GROUP, GROUP - 1, 0 });
        run_as_member(&(struct member){ daemon.socket_path, GROUP - 1, GROUP, 0 });
        run_as_member(&(struct member){ daemon.socket_path, GROUP - 1, GROUP - 2, NB_WASI_EACCES });
        stop(&daemon);
}
END_TEST

/* ---- units ---- */

struct parse_case {
        const char *text;
        const char *unit; /* NULL: none */
};

static const struct parse_case parses[] = {
        { "0::/system.slice/app.service\n", "app.service" },
        { "0::/app.service\n", "app.service" },
        { "0::/system.slice/app.service/inner/deeper.service\n", "app.service" },
        { "0::/system.slice/system-foo.slice/foo@1.service\n", "foo@1.service" },
        { "0::/machine.slice/machine-a\\x2db.scope\n", "machine-a\\x2db.scope" },
        { "12:pids:/x.service\n1:name=systemd:/y.service\n0::/z.service\n", "z.service" },
        /* A user's units are below the user's manager, which the user rules. */
        { "0::/user.slice/user-1000.slice/user@1000.service/app.slice/system.service\n", "user@1000.service" },
        /* A prefix of systemd's for names that look like the kernel's. */
        { "0::/system.slice/_cgroup.service\n", "cgroup.service" },
        { "0::/\n", NULL },
        { "0::/system.slice\n", NULL },
        { "0::/system.slice/\n", NULL },
        { "", NULL },
        { "\n", NULL },
        { "1:name=systemd:/app.service\n", NULL },
        { "10::/app.service\n", NULL },
        { "0:pids:/app.service\n", NULL },
        { "0::app.service\n", NULL },
        { "0::/init/app.service\n", NULL },
        { "0::/../app.service\n", NULL },
        { "0::/.service\n", NULL },
        { "0::/app.service (deleted)\n", NULL },
        { "0::/system.slice/app.servic\n", NULL },
        { "0::/app.socket\n", NULL },
        { "0::/app .service\n", NULL },
        { "0::/app.service", NULL }, /* cut */
        { "0::/app.slice.service\n", "app.slice.service" },
};

START_TEST(the_unit_of_a_path) {
        char unit[IDENTITY_UNIT_MAX] = "untouched";
        const struct parse_case *c = &parses[_i];

        ck_assert_msg(identity_parse_unit(c->text, unit) == (c->unit != NULL), "%s", c->text);
        ck_assert_str_eq(unit, c->unit ? c->unit : "untouched");
}
END_TEST

START_TEST(the_longest_name_of_a_unit) {
        char text[400], unit[IDENTITY_UNIT_MAX];
        char name[300];

        memset(name, 'x', sizeof(name));
        name[IDENTITY_UNIT_MAX - 1 - strlen(".service")] = '\0';
        (void)snprintf(text, sizeof(text), "0::/%s.service\n", name);
        ck_assert(identity_parse_unit(text, unit));
        ck_assert_uint_eq(strlen(unit), IDENTITY_UNIT_MAX - 1);
        (void)snprintf(text, sizeof(text), "0::/%sx.service\n", name);
        ck_assert(!identity_parse_unit(text, unit));
}
END_TEST

/* A control group for a test, below that of the root. */
struct unit {
        char name[64];
        char folder[256];
        char procs[300];
};

/* Where the unified hierarchy is mounted. */
static bool find_unified(char ret[static 128]) {
        FILE *mounts = setmntent("/proc/self/mounts", "re");
        const struct mntent *entry;
        bool found = false;

        while (mounts && !found && (entry = getmntent(mounts))) {
                found = strcmp(entry->mnt_type, "cgroup2") == 0;
                if (found)
                        (void)snprintf(ret, 128, "%s", entry->mnt_dir);
        }
        if (mounts)
                (void)endmntent(mounts);
        return found;
}

static bool unit_init(struct unit *unit, const char *name) {
        char root[128];

        (void)snprintf(unit->name, sizeof(unit->name), "netbroker-test-%d-%s.service", (int)getpid(), name);
        if (getuid() != 0 || !find_unified(root))
                return false;
        (void)snprintf(unit->folder, sizeof(unit->folder), "%s/%s", root, unit->name);
        (void)snprintf(unit->procs, sizeof(unit->procs), "%s/cgroup.procs", unit->folder);
        return mkdir(unit->folder, 0755) == 0;
}

/* Its processes have ended, but the kernel may take a moment to see that. */
static void unit_deinit(const struct unit *unit) {
        uint64_t start = harness_now_ms();

        while (rmdir(unit->folder) < 0 && errno == EBUSY)
                harness_wait_a_moment(start, "a control group to be empty");
}

/* Whether this machine lets a process into a control group of the unified hierarchy. */
static bool can_make_units(void) {
        struct unit unit;

        return unit_init(&unit, "probe") && rmdir(unit.folder) == 0;
}

/* Moves the calling process. */
static void enter(const struct unit *unit) {
        NB_CLEANUP_FD int fd = open(unit->procs, O_WRONLY | O_CLOEXEC);

        if (fd < 0 || write(fd, "0", 1) != 1)
                _exit(125);
}

static void write_unit(const struct daemon *daemon, const struct unit *unit) {
        char text[128];

        (void)snprintf(text, sizeof(text), "Unit=%s\n", unit->name);
        write_tenant(daemon, "acme", text);
}

START_TEST(a_unit_admits_its_processes) {
        char name[NB_NAME_LENGTH_MAX + 1];
        struct daemon daemon;
        struct unit unit;
        pid_t pid;

        ck_assert(unit_init(&unit, "a"));
        daemon_init(&daemon);
        write_unit(&daemon, &unit);
        daemon_start(&daemon, NULL);
        expect_no_access(daemon.socket_path, "");
        expect_no_access(daemon.socket_path, "acme");
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                enter(&unit);
                _exit(try_at(daemon.socket_path, "", name) == 0 ? 0 : 1);
        }
        ck_assert_int_eq(harness_wait_exit(pid), 0);
        daemon_expect_audit(&daemon, "\"verb\":\"hello\"", "\"verdict\":\"allowed\"", unit.name);
        stop(&daemon);
        unit_deinit(&unit);
}
END_TEST

/*
 * Abuse case 10: the process connects from its unit, gives the connection to us, and ends before the broker looks. Its number may be
 * anybody's by then, so it is in no unit.
 */
START_TEST(who_has_ended_is_in_no_unit) {
        uint8_t buffer[NB_CHANNEL_MESSAGE_MAX];
        struct wire_session session;
        struct nb_channel_fds fds;
        struct daemon daemon;
        struct unit unit;
        int pair[2];
        pid_t pid;

        ck_assert(unit_init(&unit, "b"));
        daemon_init(&daemon);
        write_unit(&daemon, &unit);
        daemon_start(&daemon, NULL);
        ck_assert_int_eq(nb_channel_pair(pair), 0);
        ck_assert_int_eq(kill(daemon.pid, SIGSTOP), 0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                struct wire wire;

                enter(&unit);
                wire = wire_connect(daemon.socket_path);
                _exit(nb_channel_send(pair[1], "x", 1, &wire.fd, 1) == 0 ? 0 : 1);
        }
        ck_assert_int_eq(harness_wait_exit(pid), 0);
        ck_assert_int_eq(nb_channel_receive(pair[0], buffer, &fds), 1);
        ck_assert_int_eq(kill(daemon.pid, SIGCONT), 0);
        ck_assert_uint_eq(wire_hello(&(struct wire){ .fd = fds.fds[0] }, "", &session), NB_WASI_EACCES);
        nb_channel_fds_close(&fds);
        nb_fds_close(pair, 2);
        stop(&daemon);
        unit_deinit(&unit);
}
END_TEST

/* A reload goes by what was found when the session came: not by where the process is now, and not by its number. */
START_TEST(a_reload_goes_by_what_was_found) {
        uint8_t buffer[NB_CHANNEL_MESSAGE_MAX];
        struct wire_session session;
        struct nb_channel_fds fds;
        struct daemon daemon;
        struct unit unit;
        int pair[2];
        pid_t pid;

        ck_assert(unit_init(&unit, "c"));
        daemon_init(&daemon);
        write_unit(&daemon, &unit);
        daemon_start(&daemon, NULL);
        ck_assert_int_eq(nb_channel_pair(pair), 0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                enter(&unit);
                wire_session_open(daemon.socket_path, "", &session);
                _exit(nb_channel_send(pair[1], "x", 1, (int[]){ session.channel.fd, session.protocols[0].fd }, 2) == 0
                              ? 0
                              : 1);
        }
        ck_assert_int_eq(harness_wait_exit(pid), 0);
        ck_assert_int_eq(nb_channel_receive(pair[0], buffer, &fds), 1);
        ck_assert_uint_eq(fds.n, 2);
        daemon_reload(&daemon);
        wire_settle(&(struct wire){ .fd = fds.fds[1] });
        write_tenant(&daemon, "acme", "Unit=another.service\n");
        daemon_reload(&daemon);
        wire_expect_end(&(struct wire){ .fd = fds.fds[0] });
        nb_channel_fds_close(&fds);
        nb_fds_close(pair, 2);
        stop(&daemon);
        unit_deinit(&unit);
}
END_TEST

/* ---- the broker's own sockets ---- */

/* A tenant that may do all that rules can say. */
#define ALLOW_ALL                                                                                                      \
        "[Tenant]\nName=acme\nUser=%u\nExplainDenials=yes\nMode=%s\nSocket=%s/acme.sock\n"                             \
        "[Protocol web]\nFamily=ip\nDataPath=direct\nConnect=any:*\nConnect=local:*\nConnect=0.0.0.0/0:*\n"            \
        "Listen=any:*\nListen=local:*\n"                                                                               \
        "[Protocol local]\nFamily=unix\nDataPath=direct\nConnect=%s/*\nListen=%s/*\nConnect=%s/policy/*\n"

struct own_scene {
        struct daemon daemon;
        struct wire_session session;
        char metrics[NB_ADDRESS_TEXT_MAX];
        uint16_t port;
        char admin[HARNESS_PATH_MAX];
};

/* Where the log says that metrics are. */
static void find_metrics(const struct daemon *daemon, char ret[static NB_ADDRESS_TEXT_MAX]) {
        static const char before[] = "metrics are at ";
        NB_CLEANUP_FREE char *log = NULL;
        const char *at;

        daemon_expect_log(daemon, before);
        log = daemon_read(daemon->stderr_path);
        at = strstr(log, before) + strlen(before);
        (void)snprintf(ret, NB_ADDRESS_TEXT_MAX, "%.*s", (int)strcspn(at, "\n"), at);
}

/* @param admin  --admin-socket, as a path from the scene's folder; NULL: by its whole path */
static void own_start_at(struct own_scene *scene, const char *mode, const char *admin) {
        const char *arguments[] = { "--metrics", "127.0.0.1:0", "--admin-socket", admin ? admin : scene->admin, NULL };
        struct daemon_options options = { .arguments = arguments };
        const char *folder = scene->daemon.folder;

        daemon_init(&scene->daemon);
        (void)in(&scene->daemon, "admin.sock", scene->admin);
        if (admin)
                ck_assert_int_eq(chdir(folder), 0);
        daemon_write_policy(&scene->daemon, ALLOW_ALL, (unsigned)getuid(), mode, folder, folder, folder, folder);
        daemon_start(&scene->daemon, &options);
        find_metrics(&scene->daemon, scene->metrics);
        scene->port = peer_port(scene->metrics);
        wire_session_open(scene->daemon.socket_path, "", &scene->session);
}

static void own_start(struct own_scene *scene, const char *mode) {
        own_start_at(scene, mode, NULL);
}

static void own_end(struct own_scene *scene) {
        wire_session_close(&scene->session);
        stop(&scene->daemon);
}

static const char *const modes[] = { "enforce", "report" };

static void expect_unreachable(struct wire *control, const char *address) {
        NB_CLEANUP_FREE char *reason = NULL;

        ck_assert_msg(wire_connect_refused(control, address, &reason) == NB_WASI_EACCES, "%s: %s", address, reason);
        ck_assert_msg(strstr(reason, "no rule reaches") != NULL, "%s: %s", address, reason);
}

/* Hosts that lead to 127.0.0.1. */
static const char *const metrics_spellings[] = { "127.0.0.1", "0.0.0.0", "[::ffff:127.0.0.1]", "[::ffff:0.0.0.0]" };

START_TEST(no_rule_reaches_the_metrics) {
        struct own_scene scene;
        struct wire control;
        char text[NB_ADDRESS_TEXT_MAX];

        own_start(&scene, modes[_i]);
        control = wire_open_control(&scene.session.protocols[0], "[::]:0");
        for (size_t i = 0; i < sizeof(metrics_spellings) / sizeof(metrics_spellings[0]); ++i) {
                (void)snprintf(text, sizeof(text), "%s:%u", metrics_spellings[i], (unsigned)scene.port);
                expect_unreachable(&control, text);
        }
        (void)wire_close(&control);
        own_end(&scene);
}
END_TEST

START_TEST(no_rule_binds_what_is_ours) {
        char text[NB_ADDRESS_TEXT_MAX], path[HARNESS_PATH_MAX];
        struct own_scene scene;
        struct wire control;

        own_start(&scene, modes[_i]);
        (void)snprintf(text, sizeof(text), "127.0.0.1:%u", (unsigned)scene.port);
        ck_assert_uint_eq(wire_open(&scene.session.protocols[0], text, &control, NULL), NB_WASI_EACCES);
        (void)snprintf(text, sizeof(text), "0.0.0.0:%u", (unsigned)scene.port);
        ck_assert_uint_eq(wire_open(&scene.session.protocols[0], text, &control, NULL), NB_WASI_EACCES);
        ck_assert_uint_eq(wire_open(&scene.session.protocols[1], scene.admin, &control, NULL), NB_WASI_EACCES);
        ck_assert_int_eq(unlink(in(&scene.daemon, "acme.sock", path)), 0);
        ck_assert_uint_eq(wire_open(&scene.session.protocols[1], path, &control, NULL), NB_WASI_EACCES);
        own_end(&scene);
}
END_TEST

static void expect_unreachable_path(struct own_scene *scene, const char *path) {
        struct wire control = wire_open_control(&scene->session.protocols[1], "");

        expect_unreachable(&control, path);
        (void)wire_close(&control);
}

/* The kernel tells the name as it was bound, which no tenant could write; the file is ours all the same. */
START_TEST(no_rule_reaches_a_relative_path) {
        NB_CLEANUP_FD int before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        NB_CLEANUP_FREE char *reason = NULL;
        struct own_scene scene;
        struct wire control;

        own_start_at(&scene, modes[_i], "./admin.sock");
        ck_assert_int_eq(fchdir(before), 0);
        control = wire_open_control(&scene.session.protocols[1], "");
        ck_assert_uint_eq(wire_connect_refused(&control, scene.admin, &reason), NB_WASI_EACCES);
        (void)wire_close(&control);
        own_end(&scene);
}
END_TEST

START_TEST(no_rule_reaches_our_paths) {
        char path[HARNESS_PATH_MAX], other[HARNESS_PATH_MAX];
        struct own_scene scene;

        own_start(&scene, modes[_i]);
        expect_unreachable_path(&scene, scene.admin);
        expect_unreachable_path(&scene, scene.daemon.socket_path);
        expect_unreachable_path(&scene, in(&scene.daemon, "acme.sock", path));
        /* Another name of the same file. */
        ck_assert_int_eq(link(scene.admin, in(&scene.daemon, "policy/innocent", other)), 0);
        expect_unreachable_path(&scene, other);
        ck_assert_int_eq(unlink(other), 0);
        ck_assert_int_eq(rename(path, other), 0);
        expect_unreachable_path(&scene, other);
        own_end(&scene);
}
END_TEST

/* What is not ours is reached as before. */
START_TEST(the_rules_hold_for_all_else) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        char path[HARNESS_PATH_MAX];
        struct own_scene scene;
        struct wire control;
        int fd, listening;

        own_start(&scene, modes[_i]);
        control = wire_open_control(&scene.session.protocols[0], "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        listening = peer_unix_listen(in(&scene.daemon, "server", path), 8);
        control = wire_open_control(&scene.session.protocols[1], "");
        ck_assert_uint_eq(wire_connect_to(&control, path, &fd), 0);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        (void)nb_fd_close(listening);
        peer_close(&peer);
        own_end(&scene);
}
END_TEST

/* ---- the suite ---- */

static void add_unit_tests(TCase *tcase) {
        tcase_add_loop_test(tcase, the_unit_of_a_path, 0, sizeof(parses) / sizeof(parses[0]));
        tcase_add_test(tcase, the_longest_name_of_a_unit);
        if (!can_make_units()) {
                fprintf(stderr, "not tested: Unit= with control groups: that needs root and a cgroup2 that can be "
                                "written to\n");
                return;
        }
        tcase_add_test(tcase, a_unit_admits_its_processes);
        tcase_add_test(tcase, who_has_ended_is_in_no_unit);
        tcase_add_test(tcase, a_reload_goes_by_what_was_found);
}

static void add_socket_tests(TCase *tcase) {
        tcase_add_test(tcase, a_session_by_a_tenants_socket_is_that_tenants);
        tcase_add_test(tcase, a_socket_that_nobody_serves_is_replaced);
        tcase_add_test(tcase, what_cannot_be_a_socket);
        tcase_add_test(tcase, a_socket_of_systemds_is_the_tenants_whose_path_it_has);
        tcase_add_test(tcase, nothing_of_other_tenants_is_told);
        tcase_add_test(tcase, sockets_come_and_go_with_reloads);
        tcase_add_test(tcase, a_socket_that_cannot_be_made_changes_nothing);
        tcase_add_test(tcase, a_socket_is_replaced_only_if_it_changes);
        tcase_add_test(tcase, a_path_that_goes_to_another_tenant);
        tcase_add_test(tcase, a_session_ends_when_its_socket_moves);
        if (getuid() != 0) {
                fprintf(stderr, "not tested: owners of sockets, and tenants by group: that needs root\n");
                return;
        }
        tcase_add_test(tcase, a_socket_has_its_owner_and_mode_and_goes_with_the_broker);
        tcase_add_test(tcase, a_socket_is_the_brokers_users);
        tcase_add_test(tcase, the_mode_of_the_socket_admits);
        tcase_add_test(tcase, a_group_admits_its_members);
}

static Suite *new_suite(void) {
        Suite *suite = suite_create("identity");
        TCase *sockets = tcase_create("sockets"), *units = tcase_create("units"), *own = tcase_create("own");

        suite_add_tcase(suite, sockets);
        suite_add_tcase(suite, units);
        suite_add_tcase(suite, own);
        tcase_set_timeout(sockets, 60);
        tcase_set_timeout(units, 60);
        tcase_set_timeout(own, 60);
        add_socket_tests(sockets);
        add_unit_tests(units);
        tcase_add_loop_test(own, no_rule_reaches_the_metrics, 0, 2);
        tcase_add_loop_test(own, no_rule_binds_what_is_ours, 0, 2);
        tcase_add_loop_test(own, no_rule_reaches_our_paths, 0, 2);
        tcase_add_loop_test(own, no_rule_reaches_a_relative_path, 0, 2);
        tcase_add_loop_test(own, the_rules_hold_for_all_else, 0, 2);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
