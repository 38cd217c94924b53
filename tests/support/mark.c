/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a test is. check(3) writes that to a file at each assertion that holds, by a system call, so that it can say of a test that dies behind which one.
 * The same place once more says nothing new, and is not written: it would be most of what loops of assertions take. Each test is linked with this
 * (configure.ac).
 */
#include <pthread.h>
#include <stddef.h>

void __real__mark_point(const char *file, int line);
void __wrap__mark_point(const char *file, int line);

/* What was written last: the one place that a function which stands in for another can find it. */
static _Thread_local struct {
        const char *file;
        int line;
} last;

/* A child writes a file of its own. No system call tells the two apart, since some tests run where few are allowed. */
static void forget(void) {
        last.file = NULL;
}

__attribute__((constructor)) static void prepare(void) {
        (void)pthread_atfork(NULL, NULL, forget);
}

void __wrap__mark_point(const char *file, int line) {
        if (file == last.file && line == last.line)
                return;
        last.file = file;
        last.line = line;
        __real__mark_point(file, line);
}
