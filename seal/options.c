/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/options.h"

#include "config.h"

static const struct nb_option table[] = {
        {
                .name = "cgroup",
                .argument = "FOLDER",
                .help = "attach: the control group to attach to, a folder of the cgroup2 file system. The default is "
                        "the one in which "
                        "netbroker-seal itself runs.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, cgroup),
        },
        {
                .name = "group",
                .argument = "NAME",
                .help = "load: the group NAME may use the maps. Only netbrokerd may be in it: who has the maps owns "
                        "its sockets.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, group),
        },
        {
                .name = "json",
                .help = "status: write a JSON object instead of sentences.",
                .set = nb_option_set_flag,
                .offset = offsetof(struct options, json),
        },
        {
                .name = "verbose",
                .help = "Pass on what libbpf and the kernel's verifier say.",
                .set = nb_option_set_flag,
                .offset = offsetof(struct options, verbose),
        },
};

const struct nb_option_table options_table = {
        .program = "netbroker-seal",
        .version = PACKAGE_VERSION,
        .operands = "load|attach|status|unload DIR",
        .summary = "Loads the programs that keep netbrokerd's sockets from being turned into others, and attaches them "
                   "to its control group.",
        .see = "netbroker-seal(8), netbrokerd(8)",
        .options = table,
        .n_options = sizeof(table) / sizeof(table[0]),
};
