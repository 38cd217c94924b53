/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program in which the test has calls fail: tests/faults/preload.c is loaded into it.
 *
 *      faults_new() before it is started, faults_preload() around the start, then faults_arm() and faults_disarm() at any time.
 *
 * Functions fail the test (ck_abort) instead of returning errors.
 */
#ifndef NB_TESTS_SUPPORT_FAULTS_H
#define NB_TESTS_SUPPORT_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/faults/faults.h"

/** Makes the file, under the name of `folder` and `name`. @return owned by the caller: faults_free() */
struct faults *faults_new(const char *folder, const char *name);

/** Removes the file and the mapping. Takes NULL. @return NULL */
struct faults *faults_free(struct faults *faults, const char *folder, const char *name);

/** Has the programs that are started from now on load the library with that file; NULL: no longer. */
void faults_preload(const char *folder, const char *name);

/** Has programs that the program starts load the library, too. @param name  their file, which must be there */
void faults_preload_children(struct faults *faults, const char *folder, const char *name);

/** Has the call number `n`, counted from now, fail with `error`. */
void faults_arm(struct faults *faults, enum faults_call call, unsigned n, int error);

/** Nothing fails any more. @return whether something did since faults_arm() */
bool faults_disarm(struct faults *faults);

/** @return the file, a program's or a library's but not the C library, that made the call which failed last, or crashed then */
const char *faults_caller(const struct faults *faults);

/** Writes where the last failure was to standard error: files and offsets, as addr2line(1) takes them. */
void faults_show(const struct faults *faults);

/** @return the call's name */
const char *faults_call_name(enum faults_call call);

#endif
