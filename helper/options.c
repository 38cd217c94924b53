/* SPDX-License-Identifier: Apache-2.0 */
#include "helper/options.h"

#include "config.h"

static const struct nb_option table[] = {
        {
                .name = "socket",
                .argument = "PATH",
                .help = "Make a socket at PATH and serve it, with mode 0600. Not needed under systemd, whose socket is "
                        "served.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, socket_path),
        },
        {
                .name = "user",
                .argument = "NAME",
                .help = "Serve the user NAME only, to whom the socket at PATH is given.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, user),
        },
};

const struct nb_option_table options_table = {
        .program = "netbroker-helper",
        .version = PACKAGE_VERSION,
        .summary = "Destroys sockets for netbrokerd, that it has made and handed out.",
        .see = "netbroker-helper(8), netbrokerd(8)",
        .options = table,
        .n_options = sizeof(table) / sizeof(table[0]),
};
