/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbroker-seal: what it loads, attaches, says and removes; what the owner of a socket can do, and how another becomes the owner; what is told of the last close.
 * What strangers cannot do is in test_seal_escapes.c.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <jansson.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/probe_scene.h"
#include "base/seal_layout.h"
#include "seal/escape.h"
#include "tests/support/harness.h"
#include "tests/support/network.h"
#include "tests/support/runner.h"
#include "tests/support/seal_scene.h"

#define STRANGER_USER 65534

/* More than a page, for an option that is no number. */
#define LARGE_OPTION 8192

static void scene_init(struct seal_scene *scene) {
        network_enter();
        seal_scene_init(scene);
}

static int open_map(const struct seal_scene *scene, const char *name) {
        char path[128];
        int fd;

        (void)snprintf(path, sizeof(path), "%s/%s", scene->pins, name);
        fd = bpf_obj_get(path);
        return fd < 0 ? -errno : fd;
}

static socklen_t loopback(uint16_t port, struct sockaddr_in *ret) {
        *ret = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
        ret->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return sizeof(*ret);
}

static int make_bound(int type) {
        struct sockaddr_in address;
        socklen_t length = loopback(0, &address);
        int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, length), 0);
        return fd;
}

static uint16_t port_of(int fd) {
        struct sockaddr_in address;
        socklen_t length = sizeof(address);

        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
        return ntohs(address.sin_port);
}

static int send_to(int fd, uint16_t port) {
        struct sockaddr_in address;
        socklen_t length = loopback(port, &address);

        return sendto(fd, "?", 1, MSG_NOSIGNAL, (struct sockaddr *)&address, length) < 0 ? -errno : 0;
}

static uint64_t cookie_of(int fd) {
        uint64_t cookie;
        socklen_t length = sizeof(cookie);

        ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length), 0);
        return cookie;
}

static void expect_text(const char *text, const char *part) {
        ck_assert_msg(strstr(text, part) != NULL, "'%s' is not in: %s", part, text);
}

/* ---- load, attach, status, unload ------------------------------------------------------------------------------- */

static void expect_mode(const struct seal_scene *scene, const char *name, mode_t mode, gid_t group) {
        char path[128];
        struct stat about;

        (void)snprintf(path, sizeof(path), "%s/%s", scene->pins, name);
        ck_assert_int_eq(lstat(path, &about), 0);
        ck_assert_msg((about.st_mode & 07777) == mode, "%s has mode %o", name, about.st_mode & 07777);
        ck_assert_uint_eq(about.st_uid, 0);
        ck_assert_uint_eq(about.st_gid, group);
}

START_TEST(loading_pins_for_the_group_only) {
        const struct group *group = getgrnam("nogroup");
        SEAL_SCENE scene;

        ck_assert_ptr_nonnull(group);
        scene_init(&scene);
        seal_scene_load(&scene);
        expect_mode(&scene, "", 0750, group->gr_gid);
        expect_mode(&scene, NB_SEAL_STAMPS, 0660, group->gr_gid);
        expect_mode(&scene, NB_SEAL_RELEASED, 0660, group->gr_gid);
        expect_mode(&scene, NB_SEAL_COUNTERS, 0640, group->gr_gid);
        expect_mode(&scene, NB_SEAL_INFO, 0640, group->gr_gid);
        expect_mode(&scene, "nb_connect4", 0600, 0);
        expect_mode(&scene, "nb_create", 0600, 0);
}
END_TEST

static json_t *read_status(const struct seal_scene *scene, int expected) {
        char *output;
        json_t *json;

        ck_assert_int_eq(SEAL_RUN(&output, "--json", "status", scene->pins), expected);
        json = json_loads(output, 0, NULL);
        ck_assert_msg(json != NULL, "no JSON: %s", output);
        free(output);
        return json;
}

/* @return how many programs are attached to the broker's side, by the status */
static int count_attached(const struct seal_scene *scene) {
        json_t *json = read_status(scene, 0), *cgroup;
        const char *name = strrchr(scene->cgroups[SEAL_BROKER], '/') + 1;
        int n = 0;
        size_t i;

        json_array_foreach(json_object_get(json, "attached"), i, cgroup) {
                const char *path = json_string_value(json_object_get(cgroup, "name"));

                if (strcmp(strrchr(path, '/') + 1, name) == 0)
                        n += (int)json_integer_value(json_object_get(cgroup, "programs"));
        }
        json_decref(json);
        return n;
}

START_TEST(loading_and_attaching_again_changes_nothing) {
        SEAL_SCENE scene;

        scene_init(&scene);
        for (unsigned i = 0; i < 3; ++i) {
                seal_scene_load(&scene);
                seal_scene_attach(&scene, SEAL_BROKER);
                seal_scene_attach(&scene, SEAL_BROKER);
                ck_assert_int_eq(count_attached(&scene), 10);
        }
}
END_TEST

static uint32_t attached_id(const struct seal_scene *scene) {
        NB_CLEANUP_FD int fd = open(scene->cgroups[SEAL_BROKER], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        uint32_t ids[4], n = 4;

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(bpf_prog_query(fd, BPF_CGROUP_INET4_CONNECT, 0, NULL, ids, &n), 0);
        ck_assert_uint_eq(n, 1);
        return ids[0];
}

/* What was sealed under programs of before is so under those that take their place: the stamps are the same. */
START_TEST(newer_programs_keep_what_was_stamped) {
        struct nb_probe_scene sockets;
        struct escape_target target;
        uint32_t former;
        SEAL_SCENE scene;

        scene_init(&scene);
        seal_scene_seal(&scene);
        former = attached_id(&scene);
        seal_scene_enter(&scene, SEAL_BROKER);
        ck_assert_int_eq(nb_probe_scene_init(&sockets, nb_probe_now() + HARNESS_DEADLINE_MS), 0);
        seal_scene_enter(&scene, SEAL_STRANGER);
        seal_scene_seal(&scene);
        ck_assert_uint_ne(attached_id(&scene), former);
        ck_assert_int_eq(escape_target_init(&target, sockets.sockets[NB_PROBE_TCP4], sockets.tcp_ports), 0);
        ck_assert_int_eq(escape_disconnect(&target), 0);
        ck_assert_int_eq(escape_try(NB_PROBE_CONNECT, &target), -EPERM);
        nb_probe_scene_deinit(&sockets);
}
END_TEST

/* The programs of one folder know nothing of another's. */
START_TEST(two_seals_are_two) {
        char other[128], *output;
        SEAL_SCENE scene;

        scene_init(&scene);
        seal_scene_seal(&scene);
        (void)snprintf(other, sizeof(other), "%s/other", scene.bpf);
        ck_assert_int_eq(SEAL_RUN(NULL, "load", other), 0);
        ck_assert_int_eq(SEAL_RUN(&output, "status", other), 0);
        expect_text(output, "attached  nowhere");
        free(output);
        ck_assert_int_eq(count_attached(&scene), 10);
        ck_assert_int_eq(SEAL_RUN(NULL, "unload", other), 0);
}
END_TEST

START_TEST(status_says_what_was_refused) {
        struct nb_probe_scene sockets;
        struct escape_target target;
        char *output;
        json_t *json;
        SEAL_SCENE scene;

        scene_init(&scene);
        seal_scene_seal(&scene);
        seal_scene_enter(&scene, SEAL_BROKER);
        ck_assert_int_eq(nb_probe_scene_init(&sockets, nb_probe_now() + HARNESS_DEADLINE_MS), 0);
        seal_scene_enter(&scene, SEAL_STRANGER);
        ck_assert_int_eq(escape_target_init(&target, sockets.sockets[NB_PROBE_UDP4], sockets.udp_ports), 0);
        ck_assert_int_eq(escape_try(NB_PROBE_CONNECT, &target), -EPERM);
        ck_assert_int_eq(escape_try(NB_PROBE_SENDTO, &target), -EPERM);
        ck_assert_int_eq(escape_try(NB_PROBE_BIND, &target), -EPERM);
        ck_assert_int_eq(escape_try(NB_PROBE_FREEBIND, &target), -EPERM);
        json = read_status(&scene, 0);
        ck_assert_int_eq(json_integer_value(json_object_get(json, "version")), NB_SEAL_VERSION);
        ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(json, "refused"), "connects")), 1);
        ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(json, "refused"), "sends")), 1);
        ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(json, "refused"), "binds")), 1);
        ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(json, "refused"), "options")), 1);
        json_decref(json);
        ck_assert_int_eq(SEAL_RUN(&output, "status", scene.pins), 0);
        expect_text(output, "programs  10 of 10");
        expect_text(output, "refused   1 connects, 1 binds, 1 sends, 1 options");
        free(output);
        nb_probe_scene_deinit(&sockets);
}
END_TEST

START_TEST(status_misses_what_is_not_whole) {
        char path[128];
        json_t *json;
        SEAL_SCENE scene;

        scene_init(&scene);
        seal_scene_load(&scene);
        (void)snprintf(path, sizeof(path), "%s/nb_ingress", scene.pins);
        ck_assert_int_eq(unlink(path), 0);
        json = read_status(&scene, 69);
        ck_assert_int_eq(json_integer_value(json_object_get(json, "programs")), 9);
        json_decref(json);
}
END_TEST

START_TEST(what_goes_wrong_is_said) {
        char path[128], *output;
        SEAL_SCENE scene;

        scene_init(&scene);
        (void)snprintf(path, sizeof(path), "%s/plain", scene.folder);
        ck_assert_int_eq(SEAL_RUN(&output, "load", path), 69);
        expect_text(output, "not in a BPF file system");
        free(output);
        ck_assert_int_eq(access(path, F_OK), -1);
        ck_assert_int_eq(SEAL_RUN(&output, "--group", "no such group", "load", scene.pins), 67);
        expect_text(output, "there is no group");
        free(output);
        ck_assert_int_eq(SEAL_RUN(&output, "--cgroup", scene.cgroups[SEAL_BROKER], "attach", scene.pins), 69);
        expect_text(output, "netbroker-seal load");
        free(output);
        ck_assert_int_eq(SEAL_RUN(&output, "status", scene.pins), 69);
        expect_text(output, "there is no seal");
        free(output);
        seal_scene_load(&scene);
        ck_assert_int_eq(SEAL_RUN(&output, "--cgroup", "/nowhere", "attach", scene.pins), 66);
        expect_text(output, "cannot open the control group /nowhere");
        free(output);
        ck_assert_int_eq(SEAL_RUN(&output, "--cgroup", scene.folder, "attach", scene.pins), 69);
        expect_text(output, "is no control group");
        free(output);
        ck_assert_int_eq(SEAL_RUN(&output, "fasten", scene.pins), 64);
        expect_text(output, "none of load, attach, status and unload");
        free(output);
        ck_assert_int_eq(SEAL_RUN(&output, "load"), 64);
        expect_text(output, "in which folder");
        free(output);
}
END_TEST

/* Maps of a layout that is not ours stay untouched, with whatever they hold. */
START_TEST(maps_of_another_version_are_not_taken) {
        int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "counters", sizeof(uint32_t), 8 * sizeof(struct nb_seal_counters),
                                1, NULL);
        char path[128], *output;
        SEAL_SCENE scene;

        ck_assert_int_ge(fd, 0);
        scene_init(&scene);
        ck_assert_int_eq(mkdir(scene.pins, 0700), 0);
        (void)snprintf(path, sizeof(path), "%s/" NB_SEAL_COUNTERS, scene.pins);
        ck_assert_int_eq(bpf_obj_pin(fd, path), 0);
        ck_assert_int_eq(SEAL_RUN(&output, "load", scene.pins), 69);
        expect_text(output, "do not fit the maps");
        expect_text(output, "netbroker-seal unload");
        free(output);
        ck_assert_int_eq(access(path, F_OK), 0);
        ck_assert_int_eq(SEAL_RUN(NULL, "unload", scene.pins), 0);
        seal_scene_load(&scene);
        (void)nb_fd_close(fd);
}
END_TEST

START_TEST(attaching_takes_the_own_control_group) {
        SEAL_SCENE scene;

        scene_init(&scene);
        seal_scene_load(&scene);
        seal_scene_enter(&scene, SEAL_BROKER);
        ck_assert_int_eq(SEAL_RUN(NULL, "attach", scene.pins), 0);
        ck_assert_int_eq(count_attached(&scene), 10);
}
END_TEST

START_TEST(unloading_leaves_nothing_behind) {
        SEAL_SCENE scene;

        scene_init(&scene);
        seal_scene_load(&scene);
        ck_assert_int_eq(SEAL_RUN(NULL, "unload", scene.pins), 0);
        ck_assert_int_eq(access(scene.pins, F_OK), -1);
        ck_assert_int_eq(SEAL_RUN(NULL, "unload", scene.pins), 0);
        seal_scene_seal(&scene);
        ck_assert_int_eq(count_attached(&scene), 10);
}
END_TEST

/* ---- the owner -------------------------------------------------------------------------------------------------- */

static void expect_arrival(int from, int to) {
        char byte;

        ck_assert_int_eq(send_to(from, port_of(to)), 0);
        ck_assert(harness_poll(to, POLLIN, HARNESS_DEADLINE_MS) & POLLIN);
        ck_assert_int_eq(recv(to, &byte, 1, 0), 1);
}

START_TEST(the_owner_is_not_restricted) {
        static const char large[LARGE_OPTION];
        struct nb_probe_scene sockets;
        int one, other, on = 1;
        SEAL_SCENE scene;

        scene_init(&scene);
        seal_scene_seal(&scene);
        seal_scene_enter(&scene, SEAL_BROKER);
        /* Listeners, connections, accepted ones, of both families. */
        ck_assert_int_eq(nb_probe_scene_init(&sockets, nb_probe_now() + HARNESS_DEADLINE_MS), 0);
        one = make_bound(SOCK_DGRAM);
        other = make_bound(SOCK_DGRAM);
        expect_arrival(one, other);
        expect_arrival(other, one);
        ck_assert_int_eq(setsockopt(one, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
        ck_assert_int_eq(setsockopt(one, SOL_SOCKET, SO_LINGER, &(struct linger){ 0 }, sizeof(struct linger)), 0);
        /* Not cut to a page, and not refused for it: this is the kernel's own word. */
        ck_assert_int_eq(setsockopt(one, IPPROTO_IP, MCAST_MSFILTER, large, sizeof(large)), -1);
        ck_assert_int_ne(errno, EPERM);
        ck_assert_int_ne(errno, EFAULT);
        (void)nb_fd_close(one);
        (void)nb_fd_close(other);
        nb_probe_scene_deinit(&sockets);
}
END_TEST

/* As c-ares or anything else would: no bind, an address with each datagram, and the answer is heard. */
START_TEST(the_owner_hears_answers_without_a_bind) {
        struct sockaddr_in from;
        socklen_t length = sizeof(from);
        char byte;
        int one, other;
        SEAL_SCENE scene;

        scene_init(&scene);
        seal_scene_seal(&scene);
        seal_scene_enter(&scene, SEAL_BROKER);
        one = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        other = make_bound(SOCK_DGRAM);
        ck_assert_int_eq(send_to(one, port_of(other)), 0);
        ck_assert(harness_poll(other, POLLIN, HARNESS_DEADLINE_MS) & POLLIN);
        ck_assert_int_eq(recvfrom(other, &byte, 1, 0, (struct sockaddr *)&from, &length), 1);
        ck_assert_int_eq(sendto(other, "!", 1, 0, (struct sockaddr *)&from, length), 1);
        ck_assert(harness_poll(one, POLLIN, HARNESS_DEADLINE_MS) & POLLIN);
        ck_assert_int_eq(recv(one, &byte, 1, 0), 1);
        (void)nb_fd_close(one);
        (void)nb_fd_close(other);
}
END_TEST

/* Of before the seal, or of another control group: as systemd makes listeners. */
START_TEST(sockets_without_a_stamp_are_left_alone) {
        struct nb_probe_scene before, elsewhere;
        struct escape_target target;
        SEAL_SCENE scene;

        scene_init(&scene);
        seal_scene_enter(&scene, SEAL_BROKER);
        ck_assert_int_eq(nb_probe_scene_init(&before, nb_probe_now() + HARNESS_DEADLINE_MS), 0);
        seal_scene_seal(&scene);
        seal_scene_enter(&scene, SEAL_STRANGER);
        ck_assert_int_eq(nb_probe_scene_init(&elsewhere, nb_probe_now() + HARNESS_DEADLINE_MS), 0);
        ck_assert_int_eq(escape_target_init(&target, before.sockets[NB_PROBE_UDP4], before.udp_ports), 0);
        ck_assert_int_eq(escape_try(NB_PROBE_CONNECT, &target), 0);
        ck_assert_int_eq(escape_target_init(&target, elsewhere.sockets[NB_PROBE_UDP4], elsewhere.udp_ports), 0);
        ck_assert_int_eq(escape_try(NB_PROBE_CONNECT, &target), 0);
        nb_probe_scene_deinit(&before);
        nb_probe_scene_deinit(&elsewhere);
}
END_TEST

/* ---- another owner ---------------------------------------------------------------------------------------------- */

static void drop_to_group(const char *name) {
        const struct group *group = getgrnam(name);

        ck_assert_ptr_nonnull(group);
        ck_assert_int_eq(setgroups(0, NULL), 0);
        ck_assert_int_eq(setresgid(group->gr_gid, group->gr_gid, group->gr_gid), 0);
        ck_assert_int_eq(setresuid(STRANGER_USER, STRANGER_USER, STRANGER_USER), 0);
}

/* A broker that was started again is in another control group; with the map, and without any capability, it makes what it got its own. */
static int be_the_next_broker(const struct seal_scene *scene, int fd, uint16_t port) {
        struct nb_seal_stamp stamp = { .owner = seal_scene_cgroup_id(scene, SEAL_RELAY),
                                       .receiver = cookie_of(fd),
                                       .slot = 7 };
        struct nb_seal_stamp read = { 0 };
        int map;

        seal_scene_enter(scene, SEAL_RELAY);
        drop_to_group("nogroup");
        map = open_map(scene, NB_SEAL_STAMPS);
        ck_assert_int_ge(map, 0);
        ck_assert_int_eq(send_to(fd, port), -EPERM);
        ck_assert_int_eq(bpf_map_update_elem(map, &fd, &stamp, BPF_ANY), 0);
        ck_assert_int_eq(bpf_map_lookup_elem(map, &fd, &read), 0);
        ck_assert_uint_eq(read.owner, stamp.owner);
        ck_assert_uint_eq(read.slot, 7);
        ck_assert_int_eq(send_to(fd, port), 0);
        return EXIT_SUCCESS;
}

START_TEST(who_has_the_map_makes_a_socket_its_own) {
        int one, other;
        uint16_t port;
        pid_t pid;
        SEAL_SCENE scene;

        scene_init(&scene);
        seal_scene_seal(&scene);
        seal_scene_enter(&scene, SEAL_BROKER);
        one = make_bound(SOCK_DGRAM);
        other = make_bound(SOCK_DGRAM);
        port = port_of(other);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
                _exit(be_the_next_broker(&scene, one, port));
        ck_assert_int_eq(harness_wait_exit(pid), EXIT_SUCCESS);
        ck_assert(harness_poll(other, POLLIN, HARNESS_DEADLINE_MS) & POLLIN);
        /* It hears what comes as before, and is the former owner's no more. */
        expect_arrival(other, one);
        ck_assert_int_eq(send_to(one, port), -EPERM);
        (void)nb_fd_close(one);
        (void)nb_fd_close(other);
}
END_TEST

/* A socket that goes to a relay of another control group: whoever uses it first. What anybody may do is no use. */
START_TEST(a_socket_may_have_its_first_user_for_owner) {
        struct nb_seal_stamp stamp = { .owner = NB_SEAL_OWNER_FIRST }, read = { 0 };
        const struct linger off = { 0 };
        int one, other, map, on = 1;
        SEAL_SCENE scene;

        scene_init(&scene);
        seal_scene_seal(&scene);
        seal_scene_enter(&scene, SEAL_BROKER);
        one = make_bound(SOCK_DGRAM);
        other = make_bound(SOCK_DGRAM);
        map = open_map(&scene, NB_SEAL_STAMPS);
        stamp.receiver = cookie_of(one);
        ck_assert_int_eq(bpf_map_update_elem(map, &one, &stamp, BPF_ANY), 0);
        /* The broker closes its own duplicate as it closes all that others have. */
        ck_assert_int_eq(setsockopt(one, SOL_SOCKET, SO_LINGER, &off, sizeof(off)), 0);
        ck_assert_int_eq(setsockopt(one, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)), 0);
        ck_assert_int_eq(bpf_map_lookup_elem(map, &one, &read), 0);
        ck_assert_uint_eq(read.owner, NB_SEAL_OWNER_FIRST);
        seal_scene_enter(&scene, SEAL_RELAY);
        expect_arrival(one, other);
        ck_assert_int_eq(bpf_map_lookup_elem(map, &one, &read), 0);
        ck_assert_uint_eq(read.owner, seal_scene_cgroup_id(&scene, SEAL_RELAY));
        ck_assert_int_eq(setsockopt(one, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
        seal_scene_enter(&scene, SEAL_BROKER);
        ck_assert_int_eq(send_to(one, port_of(other)), -EPERM);
        expect_arrival(other, one);
        (void)nb_fd_close(one);
        (void)nb_fd_close(other);
        (void)nb_fd_close(map);
}
END_TEST

static int be_nobody(const struct seal_scene *scene) {
        drop_to_group("users");
        return open_map(scene, NB_SEAL_STAMPS) == -EACCES && open_map(scene, NB_SEAL_RELEASED) == -EACCES
                       ? EXIT_SUCCESS
                       : EXIT_FAILURE;
}

START_TEST(the_map_is_the_groups_only) {
        pid_t pid;
        SEAL_SCENE scene;

        scene_init(&scene);
        seal_scene_seal(&scene);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
                _exit(be_nobody(&scene));
        ck_assert_int_eq(harness_wait_exit(pid), EXIT_SUCCESS);
}
END_TEST

/* ---- the last close --------------------------------------------------------------------------------------------- */

struct events {
        struct nb_seal_event last;
        unsigned n;
        uint64_t cookie; /* of these only */
};

static int take_event(void *data, void *bytes, size_t size) {
        struct events *events = data;
        struct nb_seal_event event;

        ck_assert_uint_ge(size, sizeof(event));
        memcpy(&event, bytes, sizeof(event));
        if (event.cookie == events->cookie) {
                events->last = event;
                events->n++;
        }
        return 0;
}

START_TEST(the_last_close_is_told_once) {
        struct nb_seal_stamp stamp = { 0 };
        struct nb_probe_scene sockets;
        struct events events = { 0 };
        struct ring_buffer *ring;
        struct escape_target target;
        int released, stamps, fd, duplicate;
        SEAL_SCENE scene;

        scene_init(&scene);
        seal_scene_seal(&scene);
        seal_scene_enter(&scene, SEAL_BROKER);
        ck_assert_int_eq(nb_probe_scene_init(&sockets, nb_probe_now() + HARNESS_DEADLINE_MS), 0);
        fd = sockets.sockets[NB_PROBE_TCP4_ACCEPTED];
        events.cookie = cookie_of(fd);
        released = open_map(&scene, NB_SEAL_RELEASED);
        stamps = open_map(&scene, NB_SEAL_STAMPS);
        ring = ring_buffer__new(released, take_event, &events, NULL);
        ck_assert_ptr_nonnull(ring);

        /* Accepted connections have a stamp of their own, a copy. */
        ck_assert_int_eq(bpf_map_lookup_elem(stamps, &fd, &stamp), 0);
        ck_assert_uint_eq(stamp.owner, seal_scene_cgroup_id(&scene, SEAL_BROKER));
        stamp.slot = 5;
        ck_assert_int_eq(bpf_map_update_elem(stamps, &fd, &stamp, BPF_ANY), 0);

        /* A stranger's disconnect, and one of two descriptors, tell nothing. */
        seal_scene_enter(&scene, SEAL_STRANGER);
        ck_assert_int_eq(escape_target_init(&target, fd, sockets.tcp_ports), 0);
        ck_assert_int_eq(escape_disconnect(&target), 0);
        duplicate = dup(fd);
        sockets.sockets[NB_PROBE_TCP4_ACCEPTED] = nb_fd_close(fd);
        ck_assert_int_ge(ring_buffer__consume(ring), 0);
        ck_assert_uint_eq(events.n, 0);
        (void)nb_fd_close(duplicate);
        ck_assert_int_ge(ring_buffer__consume(ring), 1);
        ck_assert_uint_eq(events.n, 1);
        ck_assert_uint_eq(events.last.slot, 5);
        ck_assert_uint_eq(events.last.owner, stamp.owner);
        ring_buffer__free(ring);
        (void)nb_fd_close(released);
        (void)nb_fd_close(stamps);
        nb_probe_scene_deinit(&sockets);
}
END_TEST

START_TEST(events_that_find_no_room_are_counted) {
        unsigned n = NB_SEAL_RING_SIZE / (sizeof(struct nb_seal_event) + 8) + 100;
        json_t *json;
        SEAL_SCENE scene;

        scene_init(&scene);
        seal_scene_seal(&scene);
        seal_scene_enter(&scene, SEAL_BROKER);
        for (unsigned i = 0; i < n; ++i)
                (void)nb_fd_close(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        json = read_status(&scene, 0);
        ck_assert_int_gt(json_integer_value(json_object_get(json, "lost")), 0);
        json_decref(json);
}
END_TEST

static TCase *make_program(void) {
        TCase *tcase = tcase_create("program");

        tcase_add_test(tcase, loading_pins_for_the_group_only);
        tcase_add_test(tcase, loading_and_attaching_again_changes_nothing);
        tcase_add_test(tcase, newer_programs_keep_what_was_stamped);
        tcase_add_test(tcase, two_seals_are_two);
        tcase_add_test(tcase, status_says_what_was_refused);
        tcase_add_test(tcase, status_misses_what_is_not_whole);
        tcase_add_test(tcase, what_goes_wrong_is_said);
        tcase_add_test(tcase, maps_of_another_version_are_not_taken);
        tcase_add_test(tcase, attaching_takes_the_own_control_group);
        tcase_add_test(tcase, unloading_leaves_nothing_behind);
        return tcase;
}

static TCase *make_owner(void) {
        TCase *tcase = tcase_create("owner");

        tcase_add_test(tcase, the_owner_is_not_restricted);
        tcase_add_test(tcase, the_owner_hears_answers_without_a_bind);
        tcase_add_test(tcase, sockets_without_a_stamp_are_left_alone);
        tcase_add_test(tcase, who_has_the_map_makes_a_socket_its_own);
        tcase_add_test(tcase, a_socket_may_have_its_first_user_for_owner);
        tcase_add_test(tcase, the_map_is_the_groups_only);
        return tcase;
}

static TCase *make_release(void) {
        TCase *tcase = tcase_create("release");

        tcase_add_test(tcase, the_last_close_is_told_once);
        tcase_add_test(tcase, events_that_find_no_room_are_counted);
        return tcase;
}

int main(void) {
        Suite *suite = suite_create("seal");

        suite_add_tcase(suite, make_program());
        suite_add_tcase(suite, make_owner());
        suite_add_tcase(suite, make_release());
        return run_suite(suite);
}
