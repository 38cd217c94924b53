/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and sockets at paths of the operator's choice: what is read (base/file.h), what is served (base/unix_listener.h), and what else may stand there.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/unix_listener.h"
#include "tests/support/runner.h"
#include "tests/unit/fds.h"

struct place {
        char folder[32];
        char path[64]; /* of what a test makes there */
        int n_fds;
};

static void place_init(struct place *place) {
        *place = (struct place){ .folder = "/tmp/file-XXXXXX" };
        ck_assert_ptr_nonnull(mkdtemp(place->folder));
        ck_assert_int_gt(snprintf(place->path, sizeof(place->path), "%s/it", place->folder), 0);
        place->n_fds = count_fds();
}

static void place_deinit(struct place *place) {
        ck_assert_int_eq(count_fds(), place->n_fds);
        ck_assert_int_eq(remove(place->path), 0);
        ck_assert_int_eq(rmdir(place->folder), 0);
}

static void place_write(const struct place *place, const char *text) {
        FILE *file = fopen(place->path, "we");

        ck_assert_ptr_nonnull(file);
        ck_assert_int_ge(fputs(text, file), 0);
        ck_assert_int_eq(fclose(file), 0);
}

/* ---- reading ---- */

static void expect_text(const char *path, size_t max, const char *text) {
        NB_CLEANUP_FREE uint8_t *bytes = NULL;
        size_t length;

        ck_assert_int_eq(nb_file_read(path, max, &bytes, &length), 0);
        ck_assert_ptr_nonnull(bytes);
        ck_assert_uint_eq(length, strlen(text));
        ck_assert_mem_eq(bytes, text, length);
}

/* What is refused leaves the outputs as they were. */
static void expect_refused(const char *path, size_t max, int error) {
        uint8_t untouched = 0, *bytes = &untouched;
        size_t length = 77;

        ck_assert_int_eq(nb_file_read(path, max, &bytes, &length), -error);
        ck_assert_ptr_eq(bytes, &untouched);
        ck_assert_uint_eq(length, 77);
}

START_TEST(files_are_read_up_to_a_size) {
        struct place place;

        place_init(&place);
        place_write(&place, "seven..");
        expect_text(place.path, 7, "seven..");
        expect_refused(place.path, 6, EFBIG);
        place_write(&place, "");
        expect_text(place.path, 0, "");
        place_deinit(&place);
}
END_TEST

/* The kernel says 0 of its length, and then there is more. */
START_TEST(a_file_that_grows_is_refused) {
        expect_refused("/proc/self/status", 1000000, EFBIG);
}
END_TEST

START_TEST(what_is_no_regular_file_is_refused) {
        struct place place;

        place_init(&place);
        expect_refused(place.path, 100, ENOENT);
        expect_refused(place.folder, 100, EISDIR);
        expect_refused("/dev/zero", 100, ESPIPE);
        ck_assert_int_eq(mkfifo(place.path, 0600), 0); /* without a writer: open(2) would wait for one */
        expect_refused(place.path, 100, ESPIPE);
        place_deinit(&place);
}
END_TEST

START_TEST(reads_relative_to_a_folder) {
        NB_CLEANUP_FREE uint8_t *bytes = NULL;
        struct place place;
        size_t length;
        int folder_fd;

        place_init(&place);
        place_write(&place, "x");
        folder_fd = open(place.folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        ck_assert_int_eq(nb_file_read_at(folder_fd, "it", 1, &bytes, &length), 0);
        ck_assert_uint_eq(length, 1);
        ck_assert_int_eq(close(folder_fd), 0);
        place_deinit(&place);
}
END_TEST

/* ---- serving ---- */

static void expect_socket(const char *path, mode_t mode) {
        struct stat st;

        ck_assert_int_eq(lstat(path, &st), 0);
        ck_assert(S_ISSOCK(st.st_mode));
        ck_assert_uint_eq(st.st_mode & 0777, mode);
}

START_TEST(a_socket_has_its_mode_from_the_start) {
        mode_t before = umask(0);
        struct place place;
        int fd;

        place_init(&place);
        fd = nb_unix_listen(place.path, SOCK_STREAM, 0620, 4);
        ck_assert_int_ge(fd, 0);
        expect_socket(place.path, 0620);
        ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
        ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
        ck_assert_uint_eq(umask(before), 0); /* as it was */
        ck_assert_int_eq(close(fd), 0);
        place_deinit(&place);
}
END_TEST

START_TEST(only_stale_sockets_are_removed) {
        struct place place;
        struct stat first, second;
        int fd;

        place_init(&place);
        fd = nb_unix_listen(place.path, SOCK_SEQPACKET, 0600, 4);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(lstat(place.path, &first), 0);

        /* Served: by the same kind of socket, and by another, to which connect(2) says something else. */
        ck_assert_int_eq(nb_unix_listen(place.path, SOCK_SEQPACKET, 0600, 4), -EADDRINUSE);
        ck_assert_int_eq(nb_unix_listen(place.path, SOCK_STREAM, 0600, 4), -EADDRINUSE);
        ck_assert_int_eq(lstat(place.path, &second), 0);
        ck_assert_uint_eq(first.st_ino, second.st_ino);

        ck_assert_int_eq(close(fd), 0);
        fd = nb_unix_listen(place.path, SOCK_SEQPACKET, 0640, 4);
        ck_assert_int_ge(fd, 0);
        expect_socket(place.path, 0640);
        ck_assert_int_eq(close(fd), 0);
        place_deinit(&place);
}
END_TEST

START_TEST(other_files_are_left_alone) {
        struct place place;
        char target[64];

        place_init(&place);
        place_write(&place, "precious");
        ck_assert_int_eq(nb_unix_listen(place.path, SOCK_STREAM, 0600, 4), -EADDRINUSE);
        expect_text(place.path, 100, "precious");

        /* A link is not followed, also not to a socket that nobody serves. */
        ck_assert_int_eq(unlink(place.path), 0);
        ck_assert_int_gt(snprintf(target, sizeof(target), "%s/to", place.folder), 0);
        ck_assert_int_eq(close(nb_unix_listen(target, SOCK_STREAM, 0600, 4)), 0);
        ck_assert_int_eq(symlink(target, place.path), 0);
        ck_assert_int_eq(nb_unix_listen(place.path, SOCK_STREAM, 0600, 4), -EADDRINUSE);
        expect_socket(target, 0600);
        ck_assert_int_eq(unlink(target), 0);
        place_deinit(&place);
}
END_TEST

START_TEST(paths_that_cannot_be) {
        char longest[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];

        memset(longest, 'x', sizeof(longest));
        longest[sizeof(longest) - 1] = '\0'; /* one more than there is room for, with its end */
        ck_assert_int_eq(nb_unix_listen(longest, SOCK_STREAM, 0600, 4), -ENAMETOOLONG);
        ck_assert_int_eq(nb_unix_listen("/tmp/no-such-folder-here/it", SOCK_STREAM, 0600, 4), -ENOENT);
}
END_TEST

START_TEST(descriptors_that_cannot_be_had) {
        struct rlimit before, none;
        struct place place;

        place_init(&place);
        place_write(&place, "");
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = (struct rlimit){ .rlim_cur = 0, .rlim_max = before.rlim_max };
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
        expect_refused(place.path, 100, EMFILE);
        ck_assert_int_eq(unlink(place.path), 0);
        ck_assert_int_eq(nb_unix_listen(place.path, SOCK_STREAM, 0600, 4), -EMFILE);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);

        /* Also where a socket is to be asked whether it is stale: it is left. */
        ck_assert_int_eq(close(nb_unix_listen(place.path, SOCK_STREAM, 0600, 4)), 0);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
        ck_assert_int_eq(nb_unix_listen(place.path, SOCK_STREAM, 0600, 4), -EMFILE);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        expect_socket(place.path, 0600);
        place_deinit(&place);
}
END_TEST

static Suite *file_suite(void) {
        Suite *suite = suite_create("file");
        TCase *reading = tcase_create("reading"), *serving = tcase_create("serving");

        tcase_add_test(reading, files_are_read_up_to_a_size);
        tcase_add_test(reading, a_file_that_grows_is_refused);
        tcase_add_test(reading, what_is_no_regular_file_is_refused);
        tcase_add_test(reading, reads_relative_to_a_folder);
        tcase_add_test(serving, a_socket_has_its_mode_from_the_start);
        tcase_add_test(serving, only_stale_sockets_are_removed);
        tcase_add_test(serving, other_files_are_left_alone);
        tcase_add_test(serving, paths_that_cannot_be);
        tcase_add_test(serving, descriptors_that_cannot_be_had);
        suite_add_tcase(suite, reading);
        suite_add_tcase(suite, serving);
        return suite;
}

int main(void) {
        return run_suite(file_suite());
}
