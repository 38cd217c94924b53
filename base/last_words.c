/* SPDX-License-Identifier: Apache-2.0 */
#include "base/last_words.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* Longer ones are cut. */
#define LINE_MAX_BYTES 192

/* SIGVTALRM is that of confine/filter.c: too much time has gone into making a filter. */
static const int signals[] = { SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGVTALRM };

/* Only what signal-safety(7) permits, with strings of the C library's own: whatever was interrupted may be half done. */
static void say(int number) {
        const char *name = sigabbrev_np(number), *error = strerrorname_np(errno);
        const char *const parts[] = {
                program_invocation_short_name, ": ended by SIG",       name ? name : "?",
                "; the last errno was ",       error ? error : "none", "\n",
        };
        char line[LINE_MAX_BYTES];
        size_t length = 0;

        for (size_t i = 0; i < N(parts); ++i) {
                size_t n = strlen(parts[i]);

                if (n > sizeof(line) - length)
                        n = sizeof(line) - length;
                memcpy(line + length, parts[i], n);
                length += n;
        }
        (void)!write(STDERR_FILENO, line, length);
        /* What it does without a handler, which this one was called for once. */
        (void)raise(number);
}

void nb_last_words(void) {
        const struct sigaction ours = { .sa_handler = say, .sa_flags = SA_RESETHAND | SA_NODEFER };
        struct sigaction theirs;

        for (size_t i = 0; i < N(signals); ++i) {
                if (sigaction(signals[i], NULL, &theirs) == 0 && theirs.sa_handler == SIG_DFL)
                        (void)sigaction(signals[i], &ours, NULL);
        }
}
