/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/faults.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"

#define TEXT_MAX 512

static const char *const call_names[] = {
#define FAULTS_ENTRY(name) #name,
        FAULTS_CALLS(FAULTS_ENTRY)
#undef FAULTS_ENTRY
};

const char *faults_call_name(enum faults_call call) {
        return call_names[call];
}

static void join(char text[static TEXT_MAX], const char *folder, const char *name) {
        ck_assert_int_lt(snprintf(text, TEXT_MAX, "%s/%s", folder, name), TEXT_MAX);
}

struct faults *faults_new(const char *folder, const char *name) {
        NB_CLEANUP_FD int fd = -1;
        char path[TEXT_MAX];
        void *memory;

        join(path, folder, name);
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(ftruncate(fd, (off_t)sizeof(struct faults)), 0);
        memory = mmap(NULL, sizeof(struct faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ck_assert_ptr_ne(memory, MAP_FAILED);
        return memory;
}

struct faults *faults_free(struct faults *faults, const char *folder, const char *name) {
        char path[TEXT_MAX];

        if (!faults)
                return NULL;
        join(path, folder, name);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(munmap(faults, sizeof(*faults)), 0);
        return NULL;
}

static void library(char text[static TEXT_MAX]) {
        join(text, getenv("BUILDDIR"), "tests/faults/.libs/preload.so");
        ck_assert_msg(access(text, R_OK) == 0, "%s is missing: make check builds it", text);
}

void faults_preload(const char *folder, const char *name) {
        char preload[TEXT_MAX], path[TEXT_MAX];

        if (!folder) {
                ck_assert_int_eq(unsetenv("LD_PRELOAD"), 0);
                return;
        }
        library(preload);
        join(path, folder, name);
        ck_assert_int_eq(setenv("LD_PRELOAD", preload, 1), 0);
        ck_assert_int_eq(setenv(FAULTS_VARIABLE, path, 1), 0);
}

void faults_preload_children(struct faults *faults, const char *folder, const char *name) {
        char preload[TEXT_MAX];

        library(preload);
        ck_assert_int_lt(snprintf(faults->child_preload, sizeof(faults->child_preload), "LD_PRELOAD=%.400s", preload),
                         (int)sizeof(faults->child_preload));
        ck_assert_int_lt(snprintf(faults->child_file, sizeof(faults->child_file), FAULTS_VARIABLE "=%.200s/%s", folder,
                                  name),
                         (int)sizeof(faults->child_file));
}

void faults_arm(struct faults *faults, enum faults_call call, unsigned n, int error) {
        faults->countdown = 0;
        faults->depth = 0;
        faults->n_failed = 0;
        faults->call = call;
        faults->error = error;
        faults->countdown = n;
}

bool faults_disarm(struct faults *faults) {
        faults->countdown = 0;
        return faults->n_failed > 0;
}

const char *faults_caller(const struct faults *faults) {
        for (unsigned i = 0; i < faults->depth; ++i) {
                const char *file = faults->places[i].file;

                if (strcmp(file, "preload.so") != 0 && strcmp(file, "libc.so.6") != 0)
                        return file;
        }
        return "";
}

void faults_show(const struct faults *faults) {
        fprintf(stderr, "---- the last failure: %s, errno %d\n", faults_call_name(faults->call), faults->error);
        for (unsigned i = 0; i < faults->depth; ++i)
                fprintf(stderr, "%s 0x%lx\n", faults->places[i].file, faults->places[i].offset);
}
