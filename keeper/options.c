/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/options.h"

#include <errno.h>
#include <stdlib.h>

#include "config.h"

#define DEFAULT_TIMEOUT_S 300
#define DEFAULT_MAX_ENTRIES 262144
#define DEFAULT_MAX_BYTES 268435456 /* 256 MiB */

/* A macro's value as a text, so that --help says what is done. */
#define QUOTE(value) #value
#define TEXT(macro) QUOTE(macro)

/* More than that is no bound. */
#define NUMBER_MAX (UINT64_C(1) << 40)

static int set_number(const struct nb_option *option, void *data, const char *value) {
        uint64_t number;
        char *end;

        /* strtoull() would take a sign, and spaces. */
        if (*value < '0' || *value > '9')
                return -EINVAL;
        errno = 0;
        number = strtoull(value, &end, 10);
        if (errno != 0 || *end != '\0' || number > NUMBER_MAX)
                return -EINVAL;
        *(uint64_t *)(void *)((char *)data + option->offset) = number;
        return 0;
}

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
                .help = "Become the user NAME, to whom the socket at PATH is given. Only processes of the user that "
                        "netbroker-keeper runs as, and of root, are served.",
                .set = nb_option_set_text,
                .offset = offsetof(struct options, user),
        },
        {
                .name = "timeout",
                .argument = "SECONDS",
                .help = "Close everything when no netbrokerd has come for so long. "
                        "The default is " TEXT(DEFAULT_TIMEOUT_S) "; 0 is for ever.",
                .expects = "a number of seconds",
                .set = set_number,
                .offset = offsetof(struct options, timeout_s),
        },
        {
                .name = "max-entries",
                .argument = "N",
                .help = "Keep at most N entries. "
                        "The default is " TEXT(DEFAULT_MAX_ENTRIES) ". Descriptors are bounded by RLIMIT_NOFILE.",
                .expects = "a number",
                .set = set_number,
                .offset = offsetof(struct options, max_entries),
        },
        {
                .name = "max-bytes",
                .argument = "N",
                .help = "Keep at most N bytes with them, all together. The default is " TEXT(DEFAULT_MAX_BYTES) ".",
                .expects = "a number",
                .set = set_number,
                .offset = offsetof(struct options, max_bytes),
        },
};

const struct nb_option_table options_table = {
        .program = "netbroker-keeper",
        .version = PACKAGE_VERSION,
        .summary = "Keeps netbrokerd's descriptors while it is started again.",
        .see = "netbroker-keeper(8), netbrokerd(8)",
        .options = table,
        .n_options = sizeof(table) / sizeof(table[0]),
};

void options_init(struct options *options) {
        *options = (struct options){
                .timeout_s = DEFAULT_TIMEOUT_S,
                .max_entries = DEFAULT_MAX_ENTRIES,
                .max_bytes = DEFAULT_MAX_BYTES,
        };
}
