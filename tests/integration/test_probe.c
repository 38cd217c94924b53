/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proof of the seal: that it passes where the seal holds, and nowhere else; what is judged of a report; and a probe whose other side misbehaves.
 */
#include <bpf/bpf.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/probe.h"
#include "tests/support/harness.h"
#include "tests/support/network.h"
#include "tests/support/runner.h"
#include "tests/support/seal_scene.h"

/* How long is waited for what does not come. */
#define DEAF_TIMEOUT_MS 200

static void scene_init(struct seal_scene *scene) {
        network_enter();
        seal_scene_init(scene);
}

static void ask(const struct seal_scene *scene, enum seal_side side, struct nb_probe_report *ret) {
        seal_scene_enter(scene, side);
        ck_assert_int_eq(nb_probe_ask(scene->probe_path, HARNESS_DEADLINE_MS, ret), 0);
}

/* ---- the real probe --------------------------------------------------------------------------------------------- */

START_TEST(a_seal_is_proven) {
        struct nb_probe_report report;
        char why[NB_PROBE_WHY_MAX];
        SEAL_SCENE scene;

        scene_init(&scene);
        seal_scene_seal(&scene);
        seal_scene_start_probe(&scene, SEAL_STRANGER);
        /* As often as it is asked. */
        for (unsigned i = 0; i < 3; ++i) {
                int r;

                ask(&scene, SEAL_BROKER, &report);
                r = nb_probe_judge(&report, why);
                ck_assert_msg(r == 0, "%s", why);
                ck_assert_str_eq(why, "");
        }
}
END_TEST

static unsigned count_outcome(const struct nb_probe_report *report, enum nb_probe_outcome outcome) {
        unsigned n = 0;

        for (size_t i = 0; i < report->n_results; ++i)
                n += report->results[i].outcome == outcome;
        return n;
}

START_TEST(no_seal_is_not_proven) {
        struct nb_probe_report report;
        char why[NB_PROBE_WHY_MAX];
        SEAL_SCENE scene;

        scene_init(&scene);
        seal_scene_start_probe(&scene, SEAL_STRANGER);
        ask(&scene, SEAL_BROKER, &report);
        ck_assert_int_eq(nb_probe_judge(&report, why), -EPERM);
        ck_assert_msg(strstr(why, "connect was possible") != NULL, "%s", why);
        ck_assert_uint_eq(count_outcome(&report, NB_PROBE_REFUSED), 0);
        ck_assert_uint_ge(count_outcome(&report, NB_PROBE_ESCAPED), report.n_results - 8);
}
END_TEST

/* A probe in the broker's own control group owns what it gets, and proves nothing. */
START_TEST(a_probe_among_us_proves_nothing) {
        struct nb_probe_report report;
        char why[NB_PROBE_WHY_MAX];
        SEAL_SCENE scene;

        scene_init(&scene);
        seal_scene_seal(&scene);
        seal_scene_start_probe(&scene, SEAL_BROKER);
        ask(&scene, SEAL_BROKER, &report);
        ck_assert_int_eq(nb_probe_judge(&report, why), -EPERM);
}
END_TEST

/* All but what tells of closes, on which the proof does not rest. */
static const struct {
        const char *name;
        enum bpf_attach_type type;
} programs[] = {
        { "nb_connect4", BPF_CGROUP_INET4_CONNECT },  { "nb_connect6", BPF_CGROUP_INET6_CONNECT },
        { "nb_bind4", BPF_CGROUP_INET4_BIND },        { "nb_bind6", BPF_CGROUP_INET6_BIND },
        { "nb_sendmsg4", BPF_CGROUP_UDP4_SENDMSG },   { "nb_sendmsg6", BPF_CGROUP_UDP6_SENDMSG },
        { "nb_setsockopt", BPF_CGROUP_SETSOCKOPT },   { "nb_ingress", BPF_CGROUP_INET_INGRESS },
        { "nb_create", BPF_CGROUP_INET_SOCK_CREATE },
};

#define N_PROGRAMS (sizeof(programs) / sizeof(programs[0]))

static void detach(const struct seal_scene *scene, const char *name, enum bpf_attach_type type) {
        NB_CLEANUP_FD int cgroup_fd = open(scene->cgroups[SEAL_BROKER], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        NB_CLEANUP_FD int program_fd = -1;
        char pin[128];

        (void)snprintf(pin, sizeof(pin), "%s/%s", scene->pins, name);
        program_fd = bpf_obj_get(pin);
        ck_assert_int_ge(cgroup_fd, 0);
        ck_assert_int_ge(program_fd, 0);
        ck_assert_int_eq(bpf_prog_detach2(program_fd, cgroup_fd, type), 0);
}

/* Each program that is missing is found out: the proof rests on all of them. */
START_TEST(a_seal_with_a_hole_is_not_proven) {
        struct nb_probe_report report;
        char why[NB_PROBE_WHY_MAX];
        SEAL_SCENE scene;

        scene_init(&scene);
        seal_scene_seal(&scene);
        detach(&scene, programs[_i].name, programs[_i].type);
        seal_scene_start_probe(&scene, SEAL_STRANGER);
        seal_scene_enter(&scene, SEAL_BROKER);
        /* Where it is not seen what the owner binds, the sockets of the proof hear nothing themselves. */
        if (strncmp(programs[_i].name, "nb_bind", strlen("nb_bind")) == 0) {
                ck_assert_int_eq(nb_probe_ask(scene.probe_path, DEAF_TIMEOUT_MS, &report), -ETIMEDOUT);
                return;
        }
        ck_assert_int_eq(nb_probe_ask(scene.probe_path, HARNESS_DEADLINE_MS, &report), 0);
        ck_assert_msg(nb_probe_judge(&report, why) == -EPERM, "without %s the seal passes for proven",
                      programs[_i].name);
}
END_TEST

START_TEST(nobody_answers) {
        struct nb_probe_report report;

        ck_assert_int_eq(nb_probe_ask("/nowhere/probe.sock", 1000, &report), -ENOENT);
}
END_TEST

/* ---- messages that are none ------------------------------------------------------------------------------------- */

static int connect_probe(const struct seal_scene *scene) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        ck_assert_int_ge(fd, 0);
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", scene->probe_path);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        return fd;
}

static void expect_hang_up(int fd) {
        uint8_t byte;

        ck_assert(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS) & POLLIN);
        ck_assert_int_le(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}

START_TEST(the_probe_survives_nonsense) {
        struct nb_probe_request request = { .version = NB_PROBE_VERSION, .sockets = 1 };
        struct nb_probe_report report;
        SEAL_SCENE scene;
        int fd, pair[2];

        scene_init(&scene);
        seal_scene_start_probe(&scene, SEAL_STRANGER);
        ck_assert_int_eq(nb_channel_pair(pair), 0);
        for (unsigned i = 0; i < 6; ++i) {
                struct nb_probe_request bad = request;
                size_t length = sizeof(bad), n_fds = 0;

                fd = connect_probe(&scene);
                switch (i) {
                case 0: /* no sockets, though it says so */
                        break;
                case 1: /* more than it says */
                        bad.sockets = 0;
                        n_fds = 1;
                        break;
                case 2: /* sockets that there are none of */
                        bad.sockets = 1U << NB_PROBE_SOCKETS;
                        n_fds = 1;
                        break;
                case 3: /* another version */
                        bad.version++;
                        n_fds = 1;
                        break;
                case 4: /* cut */
                        length--;
                        n_fds = 1;
                        break;
                default: /* a descriptor that is no socket of TCP or UDP */
                        n_fds = 1;
                        break;
                }
                ck_assert_int_eq(nb_channel_send(fd, &bad, length, pair, n_fds), 0);
                expect_hang_up(fd);
                (void)nb_fd_close(fd);
        }
        nb_fds_close(pair, 2);
        ask(&scene, SEAL_BROKER, &report);
}
END_TEST

/* ---- a probe that lies ------------------------------------------------------------------------------------------ */

/* Takes the request and answers with these bytes. @return an exit status */
static int lie(int fd, const void *answer, size_t length) {
        uint8_t buffer[NB_CHANNEL_MESSAGE_MAX];
        struct nb_channel_fds fds;

        if (harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS) == 0 || nb_channel_receive(fd, buffer, &fds) <= 0)
                return EXIT_FAILURE;
        nb_channel_fds_close(&fds);
        return length > 0 && nb_channel_send(fd, answer, length, NULL, 0) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int ask_liar(const void *answer, size_t length) {
        struct nb_probe_report report;
        int ends[2], r;
        pid_t pid;

        ck_assert_int_eq(nb_channel_pair(ends), 0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                (void)nb_fd_close(ends[0]);
                _exit(lie(ends[1], answer, length));
        }
        (void)nb_fd_close(ends[1]);
        r = nb_probe_ask_connected(ends[0], HARNESS_DEADLINE_MS, &report);
        (void)nb_fd_close(ends[0]);
        ck_assert_int_eq(harness_wait_exit(pid), EXIT_SUCCESS);
        return r;
}

START_TEST(an_answer_that_is_none_is_an_error) {
        struct nb_probe_doors doors = { .version = NB_PROBE_VERSION + 1 };

        network_enter();
        ck_assert_int_eq(ask_liar(NULL, 0), -ECONNRESET);
        ck_assert_int_eq(ask_liar(&doors, sizeof(doors)), -EPROTO);
        doors.version = NB_PROBE_VERSION;
        ck_assert_int_eq(ask_liar(&doors, sizeof(doors) - 1), -EPROTO);
        /* The ports of others are knocked at in vain, and then it is gone. */
        memset(doors.ports, 0xff, sizeof(doors.ports));
        ck_assert_int_lt(ask_liar(&doors, sizeof(doors)), 0);
}
END_TEST

/* Who says nothing is not waited for longer than was said. */
START_TEST(a_silent_probe_is_given_up) {
        struct nb_probe_report report;
        int ends[2];

        network_enter();
        ck_assert_int_eq(nb_channel_pair(ends), 0);
        ck_assert_int_eq(nb_probe_ask_connected(ends[0], 50, &report), -ETIMEDOUT);
        nb_fds_close(ends, 2);
}
END_TEST

/* ---- the judgement ---------------------------------------------------------------------------------------------- */

/* What a seal that holds gets, of the escapes that every kernel has. */
static void make_good_report(struct nb_probe_report *ret) {
        SEAL_SCENE scene;

        scene_init(&scene);
        seal_scene_seal(&scene);
        seal_scene_start_probe(&scene, SEAL_STRANGER);
        ask(&scene, SEAL_BROKER, ret);
}

/* Every single result counts: whatever is changed to something that is not good, or left out, unproves it. */
START_TEST(each_result_counts) {
        struct nb_probe_report good, bad;
        char why[NB_PROBE_WHY_MAX];

        make_good_report(&good);
        ck_assert_int_eq(nb_probe_judge(&good, why), 0);
        for (uint32_t i = 0; i < good.n_results; ++i) {
                bad = good;
                bad.results[i].outcome = NB_PROBE_ESCAPED;
                ck_assert_int_eq(nb_probe_judge(&bad, why), -EPERM);
                bad.results[i].outcome = NB_PROBE_UNCLEAR;
                bad.results[i].error = EINVAL;
                ck_assert_int_eq(nb_probe_judge(&bad, why), -EPERM);
                bad.results[i].outcome = 200;
                ck_assert_int_eq(nb_probe_judge(&bad, why), -EPERM);
                bad = good;
                bad.results[i] = bad.results[--bad.n_results];
                ck_assert_int_eq(nb_probe_judge(&bad, why), -EPERM);
        }
}
END_TEST

START_TEST(only_what_a_kernel_may_lack_may_be_untried) {
        struct nb_probe_report good, other;
        char why[NB_PROBE_WHY_MAX];

        make_good_report(&good);
        for (uint32_t i = 0; i < good.n_results; ++i) {
                uint8_t escape = good.results[i].escape;

                other = good;
                other.results[i].outcome = NB_PROBE_UNTRIED;
                other.results[i].error = escape == NB_PROBE_FAST_OPEN ? EOPNOTSUPP : ENOSYS;
                ck_assert_int_eq(nb_probe_judge(&other, why),
                                 escape == NB_PROBE_FAST_OPEN || escape == NB_PROBE_IO_URING ? 0 : -EPERM);
                /* Nothing arrives is good for what opens a door only. */
                other.results[i].outcome = NB_PROBE_UNREACHED;
                ck_assert_int_eq(nb_probe_judge(&other, why),
                                 escape == NB_PROBE_LISTEN || escape == NB_PROBE_RECEIVE ? 0 : -EPERM);
        }
}
END_TEST

START_TEST(without_the_sockets_there_is_no_proof) {
        struct nb_probe_report report = { .version = NB_PROBE_VERSION };
        char why[NB_PROBE_WHY_MAX];

        ck_assert_int_eq(nb_probe_judge(&report, why), -EPERM);
        ck_assert_str_ne(why, "");
        /* A count beyond the array is not believed. */
        report.sockets = (1U << NB_PROBE_SOCKETS) - 1;
        report.n_results = UINT32_MAX;
        ck_assert_int_eq(nb_probe_judge(&report, why), -EPERM);
        for (unsigned i = 0; i < 40; ++i) {
                ck_assert_ptr_nonnull(nb_probe_escape_name(i));
                ck_assert_ptr_nonnull(nb_probe_outcome_name(i));
                ck_assert_ptr_nonnull(nb_probe_socket_name(i));
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("probe");
        TCase *real = tcase_create("real"), *messages = tcase_create("messages"),
              *judgement = tcase_create("judgement");

        tcase_add_test(real, a_seal_is_proven);
        tcase_add_test(real, no_seal_is_not_proven);
        tcase_add_test(real, a_probe_among_us_proves_nothing);
        tcase_add_loop_test(real, a_seal_with_a_hole_is_not_proven, 0, N_PROGRAMS);
        tcase_add_test(real, nobody_answers);
        suite_add_tcase(suite, real);
        tcase_add_test(messages, the_probe_survives_nonsense);
        tcase_add_test(messages, an_answer_that_is_none_is_an_error);
        tcase_add_test(messages, a_silent_probe_is_given_up);
        suite_add_tcase(suite, messages);
        tcase_add_test(judgement, each_result_counts);
        tcase_add_test(judgement, only_what_a_kernel_may_lack_may_be_untried);
        tcase_add_test(judgement, without_the_sockets_there_is_no_proof);
        suite_add_tcase(suite, judgement);
        return run_suite(suite);
}
