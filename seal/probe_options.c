/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/probe_options.h"

#include "config.h"

static const struct nb_option table[] = {
        {
                .name = "socket",
                .argument = "PATH",
                .help = "Make a socket at PATH, with mode 0600, and serve one connection after the other. Not needed "
                        "under systemd, which "
                        "starts a probe for each connection.",
                .set = nb_option_set_text,
                .offset = offsetof(struct probe_options, socket_path),
        },
};

const struct nb_option_table probe_options_table = {
        .program = "netbroker-probe",
        .version = PACKAGE_VERSION,
        .summary = "Tries to turn sockets of netbrokerd's into others, as a hostile holder would, and reports what "
                   "came of it.",
        .see = "netbroker-probe(8), netbroker-seal(8)",
        .options = table,
        .n_options = sizeof(table) / sizeof(table[0]),
};
