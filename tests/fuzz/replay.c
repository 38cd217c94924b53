/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main() of a fuzz target that is built without libFuzzer: gives it files.
 *
 *     tests/fuzz/fuzz_NAME              every file of tests/fuzz/corpus/NAME in the source folder (SRCDIR)
 *     tests/fuzz/fuzz_NAME FILE...      these files
 *
 * Each is named before it is read: where one ends the program, its name is the last.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/fuzz/fuzz.h"

static int read_whole(int fd, uint8_t *bytes, size_t size) {
        ssize_t n;

        for (size_t used = 0; used < size; used += (size_t)n) {
                n = read(fd, bytes + used, size - used);
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
        }
        return 0;
}

/* The block has exactly the input's size, so that a sanitizer sees every byte that is read too far. */
static int replay_file(int folder_fd, const char *name) {
        NB_CLEANUP_FD int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC);
        NB_CLEANUP_FREE uint8_t *bytes = NULL;
        struct stat status;
        int r;

        if (fd < 0 || fstat(fd, &status) < 0)
                return -errno;
        printf("%s: %s, %jd bytes\n", fuzz_target, name, (intmax_t)status.st_size);
        fflush(stdout);
        bytes = malloc(status.st_size ? (size_t)status.st_size : 1);
        if (!bytes)
                return -ENOMEM;
        r = read_whole(fd, bytes, (size_t)status.st_size);
        if (r == 0)
                (void)LLVMFuzzerTestOneInput(bytes, (size_t)status.st_size);
        return r;
}

/** @return how many files there were, or -errno. */
static int replay_folder(const char *path) {
        DIR *folder = opendir(path);
        const struct dirent *entry;
        int n = 0, r = 0;

        if (!folder)
                return -errno;
        while (r == 0 && (entry = readdir(folder))) {
                if (entry->d_name[0] == '.')
                        continue;
                r = replay_file(dirfd(folder), entry->d_name);
                n += r == 0;
        }
        closedir(folder);
        return r < 0 ? r : n;
}

static int replay_corpus(void) {
        const char *source = getenv("SRCDIR");
        char path[4096];
        int n;

        snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%s", source ? source : ".", fuzz_target);
        n = replay_folder(path);
        if (n <= 0) {
                fprintf(stderr, "%s: %s: %s; SRCDIR names the source folder\n", fuzz_target, path,
                        n < 0 ? strerror(-n) : "no files");
                return EXIT_FAILURE;
        }
        printf("%s: %d inputs\n", fuzz_target, n);
        return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
        int r;

        if (argc < 2)
                return replay_corpus();
        for (int i = 1; i < argc; ++i) {
                r = replay_file(AT_FDCWD, argv[i]);
                if (r < 0) {
                        fprintf(stderr, "%s: %s: %s\n", fuzz_target, argv[i], strerror(-r));
                        return EXIT_FAILURE;
                }
        }
        return EXIT_SUCCESS;
}
