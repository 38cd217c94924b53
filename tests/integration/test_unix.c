/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unix sockets: what a session connects to and binds, and what no link, rename or stranger brings about.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <threads.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

#define PATH_MAX_HERE 96
#define RULES_MAX 1024
#define LETTERS_26 "abcdefghijklmnopqrstuvwxyz"

/* A session that has a protocol of Unix sockets, and a folder with what it may name. */
struct place {
        char folder[32];
        char secret[40]; /* a folder beside it that no rule names */
        struct scene scene;
        struct wire *local; /* the protocol */
};

/* The rules that all tests begin with; more may come behind. */
static void write_rules(const struct place *place, char rules[static RULES_MAX], const char *more) {
        int n = snprintf(rules, RULES_MAX,
                         SCENE_LOOPBACK "[Protocol local]\nFamily=unix\nDataPath=direct\n"
                                        "Connect=%s/*\nConnect=%s/*/*\nListen=%s/*\nListen=%s/*/*\n"
                                        "Connect=@nb-test-*\nListen=@nb-test-*\nListen=/tmp/nb-unix-long-*\n%s",
                         place->folder, place->folder, place->folder, place->folder, more);

        ck_assert_int_lt(n, RULES_MAX);
}

/* @param user  that the daemon is to run as, and that owns the folder; NULL for who runs the test */
static void place_start_as(struct place *place, const char *user, const char *more) {
        const struct daemon_options options = { .user = user };
        const struct passwd *passwd = user ? getpwnam(user) : NULL;
        char rules[RULES_MAX];

        *place = (struct place){ .folder = "/tmp/nb-unix-XXXXXX" };
        ck_assert_ptr_nonnull(mkdtemp(place->folder));
        (void)snprintf(place->secret, sizeof(place->secret), "%s-out", place->folder);
        ck_assert_int_eq(mkdir(place->secret, 0755), 0);
        write_rules(place, rules, more);
        if (passwd)
                ck_assert_int_eq(chown(place->folder, passwd->pw_uid, passwd->pw_gid), 0);
        scene_start(&place->scene, &options, rules);
        place->local = &place->scene.session.protocols[1];
}

static void place_start(struct place *place, const char *more) {
        place_start_as(place, NULL, more);
}

/* Removes a folder that holds files, links and empty folders. */
static void remove_all(const char *path) {
        char inner[PATH_MAX_HERE + 256];
        DIR *folder = opendir(path);
        const struct dirent *entry;

        ck_assert_ptr_nonnull(folder);
        while ((entry = readdir(folder))) {
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                (void)snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
                if (unlink(inner) < 0 && errno == EISDIR)
                        remove_all(inner);
        }
        (void)closedir(folder);
        ck_assert_int_eq(rmdir(path), 0);
}

static void place_remove(const struct place *place) {
        remove_all(place->folder);
        remove_all(place->secret);
}

static void place_end(struct place *place) {
        scene_end(&place->scene);
        place_remove(place);
}

/* A path in the folder. */
static const char *in(const struct place *place, const char *name, char path[static PATH_MAX_HERE]) {
        ck_assert_int_lt(snprintf(path, PATH_MAX_HERE, "%s/%s", place->folder, name), PATH_MAX_HERE);
        return path;
}

static bool exists(const char *path) {
        struct stat st;

        return lstat(path, &st) == 0;
}

static void wait_removed(const char *path) {
        uint64_t start = harness_now_ms();

        while (exists(path))
                harness_wait_a_moment(start, "the path to be removed");
}

/* ---- connecting ---- */

static const char *const names[] = { "db.sock", "@nb-test-db" };

/* The name that a test uses: in the folder, or abstract and of this process alone. */
static const char *name_of(const struct place *place, const char *name, char text[static PATH_MAX_HERE]) {
        if (name[0] != '@')
                return in(place, name, text);
        (void)snprintf(text, PATH_MAX_HERE, "%s-%d", name, (int)getpid());
        return text;
}

START_TEST(a_stream_works_and_the_broker_is_out_of_it) {
        char name[PATH_MAX_HERE], peer[NB_ADDRESS_LENGTH_MAX + 1], local[NB_ADDRESS_LENGTH_MAX + 1];
        char from[NB_SOCKET_ADDRESS_TEXT_MAX];
        struct place place;
        struct wire control;
        int listener, fd, other_fd;

        place_start(&place, "");
        listener = peer_unix_listen(name_of(&place, names[_i], name), 8);
        control = wire_open_control(place.local, "");
        ck_assert_uint_eq(wire_connect_named(&control, name, &fd, peer, local), 0);
        ck_assert_str_eq(peer, name);
        ck_assert_str_eq(local, "");
        other_fd = peer_unix_accept(listener, from);
        ck_assert_str_eq(from, "");
        ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
        peer_exchange(fd, other_fd);
        daemon_wait_fds(&place.scene.daemon, place.scene.baseline + 1);
        daemon_expect_audit(&place.scene.daemon, "\"verb\":\"connect\"", "\"verdict\":\"allowed\"",
                            "\"protocol\":\"local\"", "\"rule\":\"Connect=", name);
        (void)nb_fd_close(fd);
        peer_expect_end(other_fd);
        (void)nb_fd_close(other_fd);
        (void)nb_fd_close(listener);
        (void)wire_close(&control);
        place_end(&place);
}
END_TEST

START_TEST(connections_one_after_the_other) {
        char name[PATH_MAX_HERE];
        int fds[32], others[32], listener;
        struct place place;
        struct wire control;

        place_start(&place, "");
        listener = peer_unix_listen(in(&place, "db.sock", name), 64);
        control = wire_open_control(place.local, "");
        for (int i = 0; i < 32; ++i) {
                ck_assert_uint_eq(wire_connect_to(&control, name, &fds[i]), 0);
                others[i] = peer_unix_accept(listener, NULL);
        }
        daemon_wait_fds(&place.scene.daemon, place.scene.baseline + 1);
        for (int i = 0; i < 32; ++i) {
                peer_exchange(fds[i], others[i]);
                (void)nb_fd_close(fds[i]);
                (void)nb_fd_close(others[i]);
        }
        (void)nb_fd_close(listener);
        (void)wire_close(&control);
        place_end(&place);
}
END_TEST

/* What each name in the folder is. */
static void furnish(const struct place *place) {
        char from[PATH_MAX_HERE], to[PATH_MAX_HERE];
        int listener, fd;

        listener = peer_unix_listen(in(place, "live", from), 8);
        (void)nb_fd_close(listener); /* now nobody serves it */
        ck_assert_int_eq(mkdir(in(place, "folder", from), 0755), 0);
        listener = peer_unix_listen(in(place, "folder/inner", from), 8);
        (void)nb_fd_close(listener);
        ck_assert_int_eq(symlink("live", in(place, "link", from)), 0);
        ck_assert_int_eq(symlink("folder", in(place, "linked", from)), 0);
        ck_assert_int_eq(symlink("nowhere", in(place, "dangling", from)), 0);
        ck_assert_int_eq(symlink("/proc/self/fd", in(place, "magic", from)), 0);
        ck_assert_int_eq(symlink(place->secret, in(place, "out", from)), 0);
        (void)snprintf(to, sizeof(to), "%s/secret", place->secret);
        listener = peer_unix_listen(to, 8);
        (void)nb_fd_close(listener);
        fd = open(in(place, "file", from), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        ck_assert_int_ge(fd, 0);
        (void)nb_fd_close(fd);
        ck_assert_int_eq(mkfifo(in(place, "fifo", from), 0644), 0);
}

#define LINK_REASON "symbolic link"

/* One row a name that does not lead to a server. `%` at the beginning stands for the folder. */
static const struct {
        const char *name;
        uint32_t error;
        const char *audit; /* a part of the record's line; NULL where there is none */
} refusals[] = {
        { "%/live", NB_WASI_ECONNREFUSED, NULL },
        { "%/folder/inner", NB_WASI_ECONNREFUSED, NULL },
        { "%/file", NB_WASI_ECONNREFUSED, NULL },
        { "%/fifo", NB_WASI_ECONNREFUSED, NULL },
        { "%/folder", NB_WASI_ECONNREFUSED, NULL },
        { "%/none", NB_WASI_ENOENT, NULL },
        { "%/none/none", NB_WASI_ENOENT, NULL },
        { "%/file/none", NB_WASI_ENOTDIR, NULL },
        { "@nb-test-nobody", NB_WASI_ECONNREFUSED, NULL },
        /* Links: no component may be one, wherever it leads. */
        { "%/link", NB_WASI_ELOOP, LINK_REASON },
        { "%/dangling", NB_WASI_ELOOP, LINK_REASON },
        { "%/linked/inner", NB_WASI_ELOOP, LINK_REASON },
        { "%/out/secret", NB_WASI_ELOOP, LINK_REASON },
        { "%/magic/3", NB_WASI_ELOOP, LINK_REASON },
        /* What no rule names. */
        { "%", NB_WASI_EACCES, "\"remedy\":\"Connect=" },
        { "%/folder/inner/deeper", NB_WASI_EACCES, "\"remedy\":\"Connect=" },
        { "%-out/secret", NB_WASI_EACCES, "\"remedy\":\"Connect=" },
        { "%/.hidden", NB_WASI_EACCES, "\"verdict\":\"denied\"" },
        { "%/denied", NB_WASI_EACCES, "\"rule\":\"Deny=" },
        { "@nb-test-denied", NB_WASI_EACCES, "\"rule\":\"Deny=" },
        { "@other", NB_WASI_EACCES, "\"remedy\":\"Connect=@other\"" },
        /* Not one spelling of a path but another, or none. */
        { "%/../x", NB_WASI_EINVAL, "neither an address" },
        { "%/./live", NB_WASI_EINVAL, "neither an address" },
        { "%//live", NB_WASI_EINVAL, "neither an address" },
        { "%/live/", NB_WASI_EINVAL, "neither an address" },
        { "tmp/live", NB_WASI_EINVAL, "neither an address" },
        { "@", NB_WASI_EINVAL, "neither an address" },
        { "", NB_WASI_EINVAL, "neither an address" },
        { "%/a\nb", NB_WASI_EINVAL, "a\\\\x0ab" },
        { "%/" LETTERS_26 LETTERS_26 LETTERS_26 LETTERS_26, NB_WASI_EINVAL, "neither an address" },
        /* Another family; a name. */
        { "127.0.0.1:80", NB_WASI_EAFNOSUPPORT, "family" },
        { "[::1]:80", NB_WASI_EAFNOSUPPORT, "family" },
        { "redis.example:6379", NB_WASI_EAFNOSUPPORT, "\"asked\":\"redis.example:6379\"" },
};

static const char *expand(const struct place *place, const char *name, char text[static 256]) {
        (void)snprintf(text, 256, "%s%s", name[0] == '%' ? place->folder : "", name + (name[0] == '%'));
        return text;
}

START_TEST(what_leads_to_no_server) {
        NB_CLEANUP_FREE char *reason = NULL;
        char deny[64], name[256];
        struct place place;
        struct wire control;

        (void)snprintf(deny, sizeof(deny), "Deny=/tmp/*/denied\nDeny=@nb-test-denied\n");
        place_start(&place, deny);
        furnish(&place);
        control = wire_open_control(place.local, "");
        ck_assert_uint_eq(wire_connect_refused(&control, expand(&place, refusals[_i].name, name), &reason),
                          refusals[_i].error);
        if (refusals[_i].audit) {
                ck_assert_str_ne(reason, "");
                daemon_expect_audit(&place.scene.daemon, "\"verb\":\"connect\"", "\"verdict\":\"denied\"",
                                    "\"protocol\":\"local\"", refusals[_i].audit);
                if (refusals[_i].error == NB_WASI_ELOOP)
                        daemon_expect_audit(&place.scene.daemon, LINK_REASON, name);
        }
        daemon_wait_fds(&place.scene.daemon, place.scene.baseline + 1);
        (void)wire_close(&control);
        place_end(&place);
}
END_TEST

START_TEST(another_type_of_socket) {
        char name[PATH_MAX_HERE];
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        struct place place;
        struct wire control;
        int server, fd;

        place_start(&place, "");
        in(&place, "other", name);
        (void)memccpy(sa.sun_path, name, '\0', sizeof(sa.sun_path));
        server = socket(AF_UNIX, (_i ? SOCK_SEQPACKET : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(server, (struct sockaddr *)&sa, sizeof(sa)), 0);
        if (_i)
                ck_assert_int_eq(listen(server, 8), 0);
        control = wire_open_control(place.local, "");
        ck_assert_uint_eq(wire_connect_to(&control, name, &fd), NB_WASI_EPROTOTYPE);
        (void)nb_fd_close(server);
        (void)wire_close(&control);
        place_end(&place);
}
END_TEST

/* ---- a full backlog: the kernel neither waits nor tells when there is room ---- */

/* A server that accepts nobody, with its backlog full. @return how many wait */
static size_t fill(const char *name, int *fds, size_t max) {
        struct nb_socket_address address;
        struct sockaddr_storage sa;
        socklen_t length;

        ck_assert_int_eq(nb_socket_address_parse(name, strlen(name), &address), 0);
        length = nb_socket_address_to_sockaddr(&address, &sa);
        for (size_t n = 0; n < max; ++n) {
                fds[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                ck_assert_int_ge(fds[n], 0);
                if (connect(fds[n], (struct sockaddr *)&sa, length) == 0)
                        continue;
                ck_assert_int_eq(errno, EAGAIN);
                (void)nb_fd_close(fds[n]);
                return n;
        }
        ck_abort_msg("the backlog is never full");
        return 0;
}

static void close_all(const int *fds, size_t n) {
        for (size_t i = 0; i < n; ++i)
                (void)nb_fd_close(fds[i]);
}

START_TEST(a_connect_waits_for_room) {
        char name[PATH_MAX_HERE];
        int fds[16], listener, fd, accepted;
        struct place place;
        struct wire control;
        size_t n;

        place_start(&place, "ConnectTimeout=10min\n");
        listener = peer_unix_listen(name_of(&place, names[_i], name), 1);
        n = fill(name, fds, 16);
        control = wire_open_control(place.local, "");
        wire_send_connect(&control, name);
        wire_settle(place.scene.web);
        wire_expect_silence(&control);
        daemon_wait_fds(&place.scene.daemon, place.scene.baseline + 2);
        for (size_t i = 0; i < n; ++i)
                (void)nb_fd_close(peer_unix_accept(listener, NULL));
        ck_assert_uint_eq(wire_receive_connected(&control, &fd), 0);
        accepted = peer_unix_accept(listener, NULL);
        peer_exchange(fd, accepted);
        (void)nb_fd_close(accepted);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(listener);
        close_all(fds, n);
        (void)wire_close(&control);
        place_end(&place);
}
END_TEST

START_TEST(a_connect_has_a_deadline) {
        char name[PATH_MAX_HERE];
        int fds[16], listener, fd;
        struct place place;
        struct wire control;
        uint64_t start;
        size_t n;

        place_start(&place, "ConnectTimeout=200ms\n");
        listener = peer_unix_listen(in(&place, "db.sock", name), 1);
        n = fill(name, fds, 16);
        control = wire_open_control(place.local, "");
        start = harness_now_ms();
        ck_assert_uint_eq(wire_connect_to(&control, name, &fd), NB_WASI_ETIMEDOUT);
        ck_assert_uint_ge(harness_now_ms() - start, 190);
        daemon_wait_fds(&place.scene.daemon, place.scene.baseline + 1);
        (void)nb_fd_close(listener);
        close_all(fds, n);
        (void)wire_close(&control);
        place_end(&place);
}
END_TEST

/* Given up by the session, by the server's end, and by a reload. */
START_TEST(a_waiting_connect_ends) {
        char name[PATH_MAX_HERE], rules[RULES_MAX];
        int fds[16], listener, fd;
        struct place place;
        struct wire control;
        size_t n;

        place_start(&place, "ConnectTimeout=10min\n");
        listener = peer_unix_listen(in(&place, "db.sock", name), 1);
        n = fill(name, fds, 16);
        control = wire_open_control(place.local, "");
        wire_send_connect(&control, name);
        daemon_wait_fds(&place.scene.daemon, place.scene.baseline + 2);
        if (_i == 1) {
                (void)nb_fd_close(listener);
                ck_assert_uint_eq(wire_receive_connected(&control, &fd), NB_WASI_ECONNREFUSED);
        }
        if (_i == 2) {
                write_rules(&place, rules, "Deny=/tmp/*/db.sock\n");
                scene_write_policy(&place.scene, rules);
                daemon_reload(&place.scene.daemon);
                wire_expect_end(&control);
        }
        (void)wire_close(&control);
        daemon_wait_fds(&place.scene.daemon, place.scene.baseline);
        if (_i != 1)
                (void)nb_fd_close(listener);
        close_all(fds, n);
        place_end(&place);
}
END_TEST

/* ---- listening ---- */

START_TEST(a_pushed_stream_works) {
        char name[PATH_MAX_HERE], text[NB_ADDRESS_LENGTH_MAX + 1], from[PATH_MAX_HERE];
        char peer[NB_ADDRESS_LENGTH_MAX + 1], local[NB_ADDRESS_LENGTH_MAX + 1];
        struct place place;
        struct wire control;
        int fd, peer_fd;

        place_start(&place, "");
        (void)name_of(&place, names[_i], name);
        ck_assert_uint_eq(wire_open(place.local, name, &control, text), 0);
        ck_assert_str_eq(text, name);
        ck_assert_uint_eq(wire_listen(&control, 4, text), 0);
        ck_assert_str_eq(text, name);
        peer_fd = peer_unix_connect(NULL, name);
        ck_assert_int_ge(peer_fd, 0);
        fd = wire_receive_accepted_named(&control, 1, peer, local);
        ck_assert_str_eq(peer, "");
        ck_assert_str_eq(local, name);
        peer_exchange(fd, peer_fd);
        daemon_wait_fds(&place.scene.daemon, place.scene.baseline + 2);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(peer_fd);

        (void)snprintf(from, sizeof(from), "@nb-test-peer-%d", (int)getpid());
        peer_fd = peer_unix_connect(from, name);
        fd = wire_receive_accepted_named(&control, 2, peer, local);
        ck_assert_str_eq(peer, from);
        daemon_expect_audit(&place.scene.daemon, "\"verb\":\"accept\"", "\"verdict\":\"allowed\"", from);
        daemon_expect_audit(&place.scene.daemon, "\"verb\":\"listen\"", "\"verdict\":\"allowed\"", name);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(peer_fd);
        (void)wire_close(&control);
        place_end(&place);
}
END_TEST

/* A peer's descriptor that lingers would hold up the broker, which closes the queue of who was never accepted. */
START_TEST(abuse_5_a_peer_sends_no_descriptor) {
        char name[PATH_MAX_HERE];
        struct place place;
        struct wire control, peer;
        int fd;

        if (!harness_refuses_descriptors())
                return;
        place_start(&place, "");
        control = wire_open_control(place.local, name_of(&place, names[_i], name));
        ck_assert_uint_eq(wire_listen(&control, 1, NULL), 0);
        for (uint64_t i = 1; i <= 2; ++i) { /* the second waits for credit */
                peer.fd = peer_unix_connect(NULL, name);
                ck_assert_int_eq(wire_send_bytes(&peer, "x", 1, &peer.fd, 1), -EPERM);
                fd = i == 1 ? wire_receive_accepted(&control, i) : -1;
                if (fd >= 0) {
                        ck_assert_int_eq(wire_send_bytes(&peer, "x", 1, &peer.fd, 1), -EPERM);
                        peer_exchange(fd, peer.fd);
                }
                (void)nb_fd_close(fd);
                (void)wire_close(&peer);
        }
        (void)wire_close(&control);
        place_end(&place);
}
END_TEST

START_TEST(abuse_5_a_server_sends_no_descriptor) {
        char name[PATH_MAX_HERE];
        struct place place;
        struct wire control, server;
        int listener, fd;

        if (!harness_refuses_descriptors())
                return;
        place_start(&place, "");
        listener = peer_unix_listen(name_of(&place, names[_i], name), 8);
        control = wire_open_control(place.local, "");
        ck_assert_uint_eq(wire_connect_to(&control, name, &fd), 0);
        server.fd = peer_unix_accept(listener, NULL);
        ck_assert_int_eq(wire_send_bytes(&server, "x", 1, &server.fd, 1), -EPERM);
        peer_exchange(fd, server.fd);
        (void)nb_fd_close(fd);
        (void)wire_close(&server);
        (void)nb_fd_close(listener);
        (void)wire_close(&control);
        place_end(&place);
}
END_TEST

START_TEST(a_denied_peer_is_never_seen) {
        char name[PATH_MAX_HERE], from[PATH_MAX_HERE];
        struct place place;
        struct wire control;
        int peer_fd;

        place_start(&place, "Deny=@nb-evil-*\n");
        control = wire_open_control(place.local, in(&place, "app.sock", name));
        ck_assert_uint_eq(wire_listen(&control, 1, NULL), 0);
        (void)snprintf(from, sizeof(from), "@nb-evil-%d", (int)getpid());
        peer_fd = peer_unix_connect(from, name);
        peer_expect_end(peer_fd);
        (void)nb_fd_close(peer_fd);
        daemon_expect_audit(&place.scene.daemon, "\"verb\":\"accept\"", "\"verdict\":\"denied\"",
                            "\"rule\":\"Deny=@nb-evil-*\"", from);
        peer_fd = peer_unix_connect(NULL, name);
        (void)nb_fd_close(wire_receive_accepted(&control, 1));
        (void)nb_fd_close(peer_fd);
        (void)wire_close(&control);
        place_end(&place);
}
END_TEST

static mode_t mode_of(const char *path) {
        struct stat st;

        ck_assert_int_eq(lstat(path, &st), 0);
        ck_assert(S_ISSOCK(st.st_mode));
        return st.st_mode & 07777;
}

START_TEST(the_mode_of_a_path) {
        static const struct {
                const char *line;
                mode_t mode;
        } modes[] = {
                { "", 0666 }, { "SocketMode=0600\n", 0600 }, { "SocketMode=0777\n", 0777 }, { "SocketMode=000\n", 0 }
        };
        char name[PATH_MAX_HERE];
        struct place place;
        struct wire control;

        place_start(&place, modes[_i].line);
        control = wire_open_control(place.local, in(&place, "app.sock", name));
        ck_assert_uint_eq(mode_of(name), modes[_i].mode);
        (void)wire_close(&control);
        place_end(&place);
}
END_TEST

/* ---- what a bind leaves behind: nothing ---- */

static const char *const ends[] = { "idle", "listening", "connected", "session", "daemon", "reload" };

/* Its end, the session's, the broker's, the grant's. */
START_TEST(a_path_is_removed) {
        char name[PATH_MAX_HERE], other[PATH_MAX_HERE], rules[RULES_MAX];
        int listener, fd = -1, other_fd = -1;
        struct wire_session session;
        struct place place;
        struct wire control;

        place_start(&place, "");
        wire_session_open(place.scene.daemon.socket_path, "acme", &session);
        listener = peer_unix_listen(in(&place, "server", other), 8);
        control = wire_open_control(&session.protocols[1], in(&place, "app.sock", name));
        ck_assert(exists(name));
        if (strcmp(ends[_i], "connected") == 0) {
                ck_assert_uint_eq(wire_connect_to(&control, other, &fd), 0);
                other_fd = peer_unix_accept(listener, NULL);
                peer_exchange(fd, other_fd);
        } else if (_i > 0) {
                ck_assert_uint_eq(wire_listen(&control, 1, NULL), 0);
        }
        ck_assert(exists(name));
        if (strcmp(ends[_i], "reload") == 0) {
                write_rules(&place, rules, "Deny=/tmp/*/app.sock\n");
                scene_write_policy(&place.scene, rules);
                daemon_reload(&place.scene.daemon);
                wire_expect_end(&control);
                ck_assert(!exists(name));
        } else if (strcmp(ends[_i], "session") == 0) {
                /* A violation: everything of the session goes at once, with its channels still open here. */
                wire_send_credit(&session.protocols[0], 1);
                wire_expect_end(&control);
        } else if (strcmp(ends[_i], "daemon") == 0) {
                daemon_stop(&place.scene.daemon);
                ck_assert(!exists(name));
        } else {
                (void)wire_close(&control);
        }
        wait_removed(name);
        (void)wire_close(&control);
        wire_session_close(&session);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other_fd);
        (void)nb_fd_close(listener);
        if (strcmp(ends[_i], "daemon") == 0) {
                wire_session_close(&place.scene.session);
                daemon_deinit(&place.scene.daemon);
                place_remove(&place);
                return;
        }
        place_end(&place);
}
END_TEST

/* Another bind to a name that is there: nobody's file goes, not even one that nobody serves. */
START_TEST(a_name_that_is_taken) {
        static const char *const taken[] = { "live", "file", "folder", "link", "dangling", "fifo" };
        char name[PATH_MAX_HERE];
        struct place place;
        struct wire none;

        place_start(&place, "");
        furnish(&place);
        for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); ++i) {
                ck_assert_uint_eq(wire_open(place.local, in(&place, taken[i], name), &none, NULL), NB_WASI_EADDRINUSE);
                ck_assert(exists(name));
        }
        daemon_wait_fds(&place.scene.daemon, place.scene.baseline);
        place_end(&place);
}
END_TEST

START_TEST(a_name_has_one_control) {
        char name[PATH_MAX_HERE];
        struct place place;
        struct wire control, none;

        place_start(&place, "");
        control = wire_open_control(place.local, name_of(&place, names[_i], name));
        ck_assert_uint_eq(wire_open(place.local, name, &none, NULL), NB_WASI_EADDRINUSE);
        ck_assert_uint_eq(wire_listen(&control, 1, NULL), 0);
        ck_assert_uint_eq(wire_open(place.local, name, &none, NULL), NB_WASI_EADDRINUSE);
        (void)wire_close(&control);
        daemon_wait_fds(&place.scene.daemon, place.scene.baseline);
        /* It can be had again at once. */
        control = wire_open_control(place.local, name);
        (void)wire_close(&control);
        place_end(&place);
}
END_TEST

/* Whoever put another socket in its place keeps it. */
START_TEST(only_what_was_made_is_removed) {
        char name[PATH_MAX_HERE];
        struct place place;
        struct wire control;
        int listener;

        place_start(&place, "");
        control = wire_open_control(place.local, in(&place, "app.sock", name));
        ck_assert_int_eq(unlink(name), 0);
        listener = peer_unix_listen(name, 8);
        (void)wire_close(&control);
        daemon_wait_fds(&place.scene.daemon, place.scene.baseline);
        ck_assert(exists(name));
        (void)nb_fd_close(listener);
        place_end(&place);
}
END_TEST

/* Nor is anything removed by way of a link that took the folder's place. */
START_TEST(a_folder_that_was_replaced) {
        char folder[PATH_MAX_HERE], moved[PATH_MAX_HERE], name[PATH_MAX_HERE], secret[PATH_MAX_HERE];
        struct place place;
        struct wire control;
        int listener;

        place_start(&place, "");
        ck_assert_int_eq(mkdir(in(&place, "folder", folder), 0755), 0);
        control = wire_open_control(place.local, in(&place, "folder/secret", name));
        (void)snprintf(secret, sizeof(secret), "%s/secret", place.secret);
        listener = peer_unix_listen(secret, 8);
        ck_assert_int_eq(rename(folder, in(&place, "moved", moved)), 0);
        ck_assert_int_eq(symlink(place.secret, folder), 0);
        (void)wire_close(&control);
        daemon_wait_fds(&place.scene.daemon, place.scene.baseline);
        ck_assert(exists(secret));
        ck_assert(exists(in(&place, "moved/secret", name)));
        (void)nb_fd_close(listener);
        place_end(&place);
}
END_TEST

/* As above; also a family that is not the protocol's (abuse case 29). */
static const struct {
        const char *name;
        uint32_t error;
        const char *audit;
} bind_refusals[] = {
        { "%/none/app", NB_WASI_ENOENT, NULL },
        { "%/file/app", NB_WASI_ENOTDIR, NULL },
        { "%/linked/app", NB_WASI_ELOOP, LINK_REASON },
        { "%/out/app", NB_WASI_ELOOP, LINK_REASON },
        { "%-out/app", NB_WASI_EACCES, "\"remedy\":\"Listen=" },
        { "%/denied", NB_WASI_EACCES, "\"rule\":\"Deny=" },
        { "@other", NB_WASI_EACCES, "\"remedy\":\"Listen=@other\"" },
        { "%/../app", NB_WASI_EINVAL, "not an address" },
        { "%/folder/", NB_WASI_EINVAL, "not an address" },
        { "0.0.0.0:0", NB_WASI_EAFNOSUPPORT, "Family=" },
        { "127.0.0.1:80", NB_WASI_EAFNOSUPPORT, "Family=" },
        { "[::]:0", NB_WASI_EAFNOSUPPORT, "Family=" },
        /* Short enough for a path, and too long behind /proc/self/fd. */
        { "/tmp/nb-unix-long-" LETTERS_26 LETTERS_26 LETTERS_26, NB_WASI_ENAMETOOLONG, "too long" },
};

START_TEST(abuse_29_what_cannot_be_bound) {
        char name[256];
        struct place place;
        struct wire none;

        place_start(&place, "Deny=/tmp/*/denied\n");
        furnish(&place);
        ck_assert_uint_eq(wire_open(place.local, expand(&place, bind_refusals[_i].name, name), &none, NULL),
                          bind_refusals[_i].error);
        if (bind_refusals[_i].audit)
                daemon_expect_audit(&place.scene.daemon, "\"verdict\":\"denied\"", "\"protocol\":\"local\"",
                                    bind_refusals[_i].audit);
        (void)snprintf(name, sizeof(name), "%s/app", place.secret);
        ck_assert(!exists(name));
        daemon_wait_fds(&place.scene.daemon, place.scene.baseline);
        place_end(&place);
}
END_TEST

/* The user that the broker has become can do what file systems let it do, and /proc/self/fd is still its own. */
START_TEST(as_the_user_of_the_service) {
        char name[PATH_MAX_HERE], folder[PATH_MAX_HERE];
        const struct passwd *nobody = getpwnam("nobody");
        struct wire control, client, none;
        struct place place;
        struct stat st;
        int fd, peer_fd;

        ck_assert_ptr_nonnull(nobody);
        place_start_as(&place, "nobody", "SocketMode=0600\n");
        control = wire_open_control(place.local, in(&place, "app.sock", name));
        ck_assert_int_eq(lstat(name, &st), 0);
        ck_assert_uint_eq(st.st_uid, nobody->pw_uid);
        ck_assert_uint_eq(wire_listen(&control, 4, NULL), 0);
        client = wire_open_control(place.local, "");
        ck_assert_uint_eq(wire_connect_to(&client, name, &fd), 0);
        peer_fd = wire_receive_accepted(&control, 1);
        peer_exchange(fd, peer_fd);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(peer_fd);
        (void)wire_close(&control);
        wait_removed(name);

        ck_assert_int_eq(mkdir(in(&place, "root", folder), 0755), 0);
        ck_assert_uint_eq(wire_open(place.local, in(&place, "root/app.sock", name), &none, NULL), NB_WASI_EACCES);
        daemon_expect_audit(&place.scene.daemon, "\"verb\":\"open\"", "\"verdict\":\"denied\"", "Permission denied",
                            name);
        ck_assert_int_eq(chmod(folder, 0700), 0);
        ck_assert_uint_eq(wire_connect_to(&client, name, &fd), NB_WASI_EACCES);
        daemon_expect_audit(&place.scene.daemon, "\"verb\":\"connect\"", "\"verdict\":\"denied\"", "Permission denied");
        (void)wire_close(&client);
        place_end(&place);
}
END_TEST

START_TEST(without_a_name_there_is_no_listener) {
        struct place place;
        struct wire control, none;

        place_start(&place, "Listen=@*\n");
        control = wire_open_control(place.local, "");
        ck_assert_uint_eq(wire_listen(&control, 1, NULL), NB_WASI_EACCES);
        (void)wire_close(&control);
        /* An IP protocol has no unnamed sockets, and no paths. */
        ck_assert_uint_eq(wire_open(place.scene.web, "", &none, NULL), NB_WASI_EINVAL);
        ck_assert_uint_eq(wire_open(place.scene.web, "/tmp/x", &none, NULL), NB_WASI_EAFNOSUPPORT);
        ck_assert_uint_eq(wire_open(place.scene.web, "@x", &none, NULL), NB_WASI_EAFNOSUPPORT);
        place_end(&place);
}
END_TEST

START_TEST(no_datagrams) {
        char name[PATH_MAX_HERE];
        struct place place;
        struct wire none;

        place_start(&place, "");
        ck_assert_uint_eq(wire_open_dgram(place.local, "", &none, NULL), NB_WASI_ENOTSUP);
        ck_assert_uint_eq(wire_open_dgram(place.local, in(&place, "app.sock", name), &none, NULL), NB_WASI_ENOTSUP);
        daemon_expect_audit(&place.scene.daemon, "\"verb\":\"open\"", "\"verdict\":\"denied\"",
                            "SocketTypes= does not include");
        ck_assert(!exists(name));
        place_end(&place);
}
END_TEST

START_TEST(a_bound_client) {
        char name[PATH_MAX_HERE], server[PATH_MAX_HERE], from[NB_SOCKET_ADDRESS_TEXT_MAX];
        char peer[NB_ADDRESS_LENGTH_MAX + 1], local[NB_ADDRESS_LENGTH_MAX + 1];
        struct place place;
        struct wire control;
        int listener, fd, other_fd;

        place_start(&place, "");
        listener = peer_unix_listen(in(&place, "server", server), 8);
        control = wire_open_control(place.local, name_of(&place, names[_i], name));
        /* A connect that fails uses the socket up, and the next one has another of the same name. */
        ck_assert_uint_eq(wire_connect_to(&control, "@nb-test-nobody", &fd), NB_WASI_ECONNREFUSED);
        ck_assert_uint_eq(wire_connect_named(&control, server, &fd, peer, local), 0);
        ck_assert_str_eq(local, name);
        other_fd = peer_unix_accept(listener, from);
        if (_i)
                ck_assert_str_eq(from, name);
        peer_exchange(fd, other_fd);
        ck_assert_uint_eq(wire_listen(&control, 1, NULL), NB_WASI_EISCONN);
        (void)nb_fd_close(other_fd);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(listener);
        (void)wire_close(&control);
        place_end(&place);
}
END_TEST

/* A client that the broker has bound to a path is known to the kernel by a name in /proc, which is not shown. */
START_TEST(two_of_one_broker) {
        char name[PATH_MAX_HERE], client_name[PATH_MAX_HERE];
        char peer[NB_ADDRESS_LENGTH_MAX + 1], local[NB_ADDRESS_LENGTH_MAX + 1];
        struct place place;
        struct wire control, client;
        int fd, accepted;

        place_start(&place, "");
        control = wire_open_control(place.local, in(&place, "app.sock", name));
        ck_assert_uint_eq(wire_listen(&control, 1, NULL), 0);
        client = wire_open_control(place.local, in(&place, "client", client_name));
        ck_assert_uint_eq(wire_connect_named(&client, name, &fd, peer, local), 0);
        ck_assert_str_eq(local, client_name);
        accepted = wire_receive_accepted_named(&control, 1, peer, local);
        ck_assert_str_eq(peer, "");
        ck_assert_str_eq(local, name);
        peer_exchange(fd, accepted);
        (void)nb_fd_close(accepted);
        (void)nb_fd_close(fd);
        (void)wire_close(&client);
        (void)wire_close(&control);
        place_end(&place);
}
END_TEST

/* ---- what a descriptor is worth to a holder that is not locked down ---- */

/* Every way to make it lead elsewhere. */
static void expect_bound_to_its_peer(int fd, const char *other) {
        const struct sockaddr none = { .sa_family = AF_UNSPEC };
        struct nb_socket_address address;
        struct sockaddr_storage sa;
        socklen_t length;

        ck_assert_int_eq(connect(fd, &none, sizeof(none)), -1);
        ck_assert_int_eq(nb_socket_address_parse(other, strlen(other), &address), 0);
        length = nb_socket_address_to_sockaddr(&address, &sa);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, length), -1);
        ck_assert_int_eq(sendto(fd, "x", 1, MSG_NOSIGNAL, (struct sockaddr *)&sa, length), -1);
        ck_assert_int_eq(listen(fd, 1), -1);
        ck_assert_int_eq(accept(fd, NULL, NULL), -1);
}

/* Connected, half closed, and with its peer gone: abuse cases 1 to 3. */
START_TEST(abuse_1_a_connected_socket_stays_with_its_peer) {
        char name[PATH_MAX_HERE], server[PATH_MAX_HERE], other[PATH_MAX_HERE];
        struct place place;
        struct wire control;
        int listener, other_listener, fd, other_fd;

        place_start(&place, "");
        listener = peer_unix_listen(in(&place, "server", server), 8);
        other_listener = peer_unix_listen(in(&place, "other", other), 8);
        control = wire_open_control(place.local, _i ? in(&place, "client", name) : "");
        ck_assert_uint_eq(wire_connect_to(&control, server, &fd), 0);
        other_fd = peer_unix_accept(listener, NULL);
        expect_bound_to_its_peer(fd, other);
        peer_exchange(fd, other_fd);
        ck_assert_int_eq(shutdown(fd, SHUT_RDWR), 0);
        expect_bound_to_its_peer(fd, other);
        (void)nb_fd_close(other_fd);
        expect_bound_to_its_peer(fd, other);
        peer_expect_nothing(other_listener);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other_listener);
        (void)nb_fd_close(listener);
        (void)wire_close(&control);
        place_end(&place);
}
END_TEST

START_TEST(abuse_3_an_accepted_socket_stays_with_its_peer) {
        char name[PATH_MAX_HERE], other[PATH_MAX_HERE];
        struct place place;
        struct wire control;
        int other_listener, fd, peer_fd;

        place_start(&place, "");
        other_listener = peer_unix_listen(in(&place, "other", other), 8);
        control = wire_open_control(place.local, in(&place, "app.sock", name));
        ck_assert_uint_eq(wire_listen(&control, 1, NULL), 0);
        peer_fd = peer_unix_connect(NULL, name);
        fd = wire_receive_accepted(&control, 1);
        expect_bound_to_its_peer(fd, other);
        (void)nb_fd_close(peer_fd);
        expect_bound_to_its_peer(fd, other);
        peer_expect_nothing(other_listener);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other_listener);
        (void)wire_close(&control);
        place_end(&place);
}
END_TEST

/* ---- a rename race ---- */

#define RACE_ROUNDS 3000

struct race {
        char folder[PATH_MAX_HERE];
        char link[PATH_MAX_HERE];
        atomic_bool over;
        unsigned long swaps;
};

/* Exchanges the folder with a link that leads out, as fast as it can be done. */
static int swap_on(void *data) {
        struct race *race = data;

        while (!atomic_load(&race->over)) {
                if (renameat2(AT_FDCWD, race->folder, AT_FDCWD, race->link, RENAME_EXCHANGE) < 0)
                        return errno;
                race->swaps++;
        }
        return 0;
}

static void expect_empty_but(const char *folder, const char *name) {
        DIR *stream = opendir(folder);
        const struct dirent *entry;

        ck_assert_ptr_nonnull(stream);
        while ((entry = readdir(stream))) {
                if (entry->d_name[0] != '.')
                        ck_assert_str_eq(entry->d_name, name);
        }
        (void)closedir(stream);
}

struct race_counts {
        unsigned reached, refused, bound, not_bound;
};

static void race_connect(struct place *place, struct wire *control, int inside, struct race_counts *counts) {
        char name[PATH_MAX_HERE];
        uint32_t error;
        int fd;

        error = wire_connect_to(control, in(place, "race/server", name), &fd);
        if (error != 0) {
                ck_assert_msg(error == NB_WASI_ELOOP || error == NB_WASI_EAGAIN, "connect: errno %u", error);
                counts->refused++;
                return;
        }
        /* Who was reached is who was meant. */
        (void)nb_fd_close(peer_unix_accept(inside, NULL));
        (void)nb_fd_close(fd);
        counts->reached++;
}

static void race_bind(struct place *place, struct race_counts *counts) {
        char name[PATH_MAX_HERE];
        struct wire control;
        uint32_t error = wire_open(place->local, in(place, "race/app", name), &control, NULL);

        if (error == 0) {
                counts->bound++;
                (void)wire_close(&control);
                return;
        }
        /* A name that could not be removed, for its folder was away at that moment, is in the way of the next. */
        ck_assert_msg(error == NB_WASI_ELOOP || error == NB_WASI_EADDRINUSE || error == NB_WASI_EAGAIN,
                      "bind: errno %u", error);
        if (error == NB_WASI_EADDRINUSE)
                (void)unlink(name);
        counts->not_bound++;
}

START_TEST(no_rename_leads_out) {
        char inside_name[PATH_MAX_HERE], outside_name[PATH_MAX_HERE];
        struct race_counts counts = { 0 };
        struct race race = { .over = false };
        struct wire control;
        struct place place;
        int inside, outside, result;
        thrd_t thread;

        place_start(&place, "");
        ck_assert_int_eq(mkdir(in(&place, "race", race.folder), 0755), 0);
        inside = peer_unix_listen(in(&place, "race/server", inside_name), 64);
        (void)snprintf(outside_name, sizeof(outside_name), "%s/server", place.secret);
        outside = peer_unix_listen(outside_name, 64);
        ck_assert_int_eq(symlink(place.secret, in(&place, "way-out", race.link)), 0);
        control = wire_open_control(place.local, "");

        ck_assert_int_eq(thrd_create(&thread, swap_on, &race), thrd_success);
        for (int i = 0; i < RACE_ROUNDS; ++i) {
                race_connect(&place, &control, inside, &counts);
                race_bind(&place, &counts);
        }
        atomic_store(&race.over, true);
        ck_assert_int_eq(thrd_join(thread, &result), thrd_success);
        ck_assert_int_eq(result, 0);

        peer_expect_nothing(outside);
        expect_empty_but(place.secret, "server");
        /* It was a race. */
        ck_assert_uint_gt(race.swaps, RACE_ROUNDS / 10);
        ck_assert_uint_gt(counts.reached, 0);
        ck_assert_uint_gt(counts.refused, 0);
        ck_assert_uint_gt(counts.bound, 0);
        ck_assert_uint_gt(counts.not_bound, 0);
        (void)nb_fd_close(inside);
        (void)nb_fd_close(outside);
        (void)wire_close(&control);
        place_end(&place);
}
END_TEST

static void add_connect_tests(TCase *tcase) {
        tcase_add_loop_test(tcase, a_stream_works_and_the_broker_is_out_of_it, 0, 2);
        tcase_add_test(tcase, connections_one_after_the_other);
        tcase_add_loop_test(tcase, what_leads_to_no_server, 0, sizeof(refusals) / sizeof(refusals[0]));
        tcase_add_loop_test(tcase, another_type_of_socket, 0, 2);
        tcase_add_loop_test(tcase, a_connect_waits_for_room, 0, 2);
        tcase_add_test(tcase, a_connect_has_a_deadline);
        tcase_add_loop_test(tcase, a_waiting_connect_ends, 0, 3);
        tcase_add_loop_test(tcase, a_bound_client, 0, 2);
        tcase_add_test(tcase, no_datagrams);
}

static void add_listen_tests(TCase *tcase) {
        tcase_add_loop_test(tcase, a_pushed_stream_works, 0, 2);
        tcase_add_loop_test(tcase, abuse_5_a_peer_sends_no_descriptor, 0, 2);
        tcase_add_loop_test(tcase, abuse_5_a_server_sends_no_descriptor, 0, 2);
        tcase_add_test(tcase, a_denied_peer_is_never_seen);
        tcase_add_test(tcase, two_of_one_broker);
        tcase_add_loop_test(tcase, the_mode_of_a_path, 0, 4);
        tcase_add_loop_test(tcase, a_path_is_removed, 0, sizeof(ends) / sizeof(ends[0]));
        tcase_add_test(tcase, a_name_that_is_taken);
        tcase_add_loop_test(tcase, a_name_has_one_control, 0, 2);
        tcase_add_test(tcase, only_what_was_made_is_removed);
        tcase_add_test(tcase, a_folder_that_was_replaced);
        tcase_add_loop_test(tcase, abuse_29_what_cannot_be_bound, 0, sizeof(bind_refusals) / sizeof(bind_refusals[0]));
        tcase_add_test(tcase, without_a_name_there_is_no_listener);
        if (getuid() == 0)
                tcase_add_test(tcase, as_the_user_of_the_service);
        else
                fprintf(stderr, "not tested: Unix sockets with --user: that needs root\n");
}

static Suite *new_suite(void) {
        Suite *suite = suite_create("unix");
        TCase *connecting = tcase_create("connect"), *listening = tcase_create("listen"),
              *hostile = tcase_create("hostile");

        suite_add_tcase(suite, connecting);
        suite_add_tcase(suite, listening);
        suite_add_tcase(suite, hostile);
        add_connect_tests(connecting);
        add_listen_tests(listening);
        tcase_add_loop_test(hostile, abuse_1_a_connected_socket_stays_with_its_peer, 0, 2);
        tcase_add_test(hostile, abuse_3_an_accepted_socket_stays_with_its_peer);
        tcase_add_test(hostile, no_rename_leads_out);
        tcase_set_timeout(connecting, 60);
        tcase_set_timeout(listening, 60);
        tcase_set_timeout(hostile, 60);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
