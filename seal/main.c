/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbroker-seal: loads the seal's programs, attaches them, and says what they do. It ends then: nothing of it runs beside the kernel.
 *
 * netbrokerd has none of the capabilities that this takes, and shall have none.
 */
#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "seal/attach.h"
#include "seal/load.h"
#include "seal/options.h"
#include "seal/status.h"

/* As libbpf calls it; without one libbpf says nothing. */
__attribute__((format(printf, 2, 0))) static int pass_on(enum libbpf_print_level level, const char *format,
                                                         va_list arguments) {
        return level == LIBBPF_DEBUG ? 0 : vfprintf(stderr, format, arguments);
}

static int run(const struct nb_log *log, const struct options *options, const char *verb, const char *folder) {
        if (strcmp(verb, "load") == 0)
                return seal_load(log, options, folder);
        if (strcmp(verb, "attach") == 0)
                return seal_attach(log, options, folder);
        if (strcmp(verb, "status") == 0)
                return seal_status(log, options, folder, stdout);
        if (strcmp(verb, "unload") == 0)
                return seal_unload(log, folder);
        (void)nb_options_complain(&options_table, stderr, "'%s' is none of load, attach, status and unload", verb);
        return EX_USAGE;
}

int main(int argc, char **argv) {
        struct options options = { 0 };
        struct nb_operands operands;
        struct nb_log log;
        int r;

        if (nb_fds_ensure_standard() < 0)
                return EX_OSERR;
        r = nb_options_parse(&options_table, argc, argv, &options, stdout, stderr, &operands);
        if (r != 0)
                return r > 0 ? EX_OK : EX_USAGE;
        if (operands.n != 2) {
                (void)nb_options_complain(&options_table, stderr,
                                          "say what to do, and in which folder: load|attach|status|unload DIR");
                return EX_USAGE;
        }
        nb_log_init(&log, "netbroker-seal", NB_LOG_NOTICE);
        (void)libbpf_set_print(options.verbose ? pass_on : NULL);
        return run(&log, &options, operands.v[0], operands.v[1]);
}
