/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/hostile.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/support/process.h"

#define ARGUMENTS_MAX 32
#define BUILD_TIMEOUT_MS 120000

/* The one that has aioquic: what is not built yet is built. @return owned by the caller */
static char *find_python(const char *sources) {
        char tool[4096], *python;
        PROCESS process;

        ck_assert_int_lt(snprintf(tool, sizeof(tool), "%s/tools/get-quic-peers", sources), (int)sizeof(tool));
        PROCESS_START(&process, tool, "--python");
        ck_assert_msg(process_finish(&process, BUILD_TIMEOUT_MS) == 0, "no Python with aioquic: %s", process.text);
        python = strndup(process.text, strcspn(process.text, "\n"));
        ck_assert_ptr_nonnull(python);
        return python;
}

void hostile_expect(const struct quic_world *world, const char *address, int timeout_ms, const char *what, ...) {
        const char *sources = getenv("SRCDIR"), *argument;
        NB_CLEANUP_FREE char *python = find_python(sources);
        const char *arguments[ARGUMENTS_MAX] = { python, "-B" };
        char program[4096], trust[CERTIFICATES_PATH_MAX];
        size_t n = 2;
        PROCESS process;
        va_list more;
        int status;

        ck_assert_int_lt(snprintf(program, sizeof(program), "%s/tests/quic/hostile/hostile.py", sources),
                         (int)sizeof(program));
        arguments[n++] = program;
        arguments[n++] = "--to";
        arguments[n++] = address;
        arguments[n++] = "--ca";
        arguments[n++] = certificates_path(&world->certificates, "root.pem", trust);
        arguments[n++] = "--name";
        arguments[n++] = QUIC_HOST_NAME;
        arguments[n++] = "--alpn";
        arguments[n++] = QUIC_HOST_ALPN;
        arguments[n++] = what;
        va_start(more, what);
        while ((argument = va_arg(more, const char *)) && n < ARGUMENTS_MAX - 1)
                arguments[n++] = argument;
        va_end(more);
        process_start(&process, arguments);
        status = process_finish(&process, timeout_ms);
        ck_assert_msg(status == 0, "%s: status %d: %s", what, status, process.text);
}
