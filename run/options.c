/* SPDX-License-Identifier: Apache-2.0 */
#include "run/options.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "config.h"
#include "netbroker/wasi.h"

#define SEPARATOR "::"
#define READ_ONLY SEPARATOR "ro"

#define DEFAULT_LOG_LEVEL "notice"

static bool ends_in(const char *text, size_t length, const char *end) {
        size_t end_length = strlen(end);

        return length >= end_length && memcmp(text + length - end_length, end, end_length) == 0;
}

/* HOST::GUEST or HOST::GUEST::ro */
static int set_directory(const struct nb_option *option, void *data, const char *value) {
        struct run_options *options = data;
        struct run_directory *directory = &options->directories[options->n_directories];
        NB_CLEANUP_FREE char *host = NULL, *guest = NULL;
        size_t length = strlen(value);
        bool writable = !ends_in(value, length, READ_ONLY);
        const char *separator;

        (void)option;
        if (options->n_directories == RUN_DIRECTORIES_MAX)
                return -E2BIG;
        if (!writable)
                length -= strlen(READ_ONLY);

        separator = memmem(value, length, SEPARATOR, strlen(SEPARATOR));
        if (!separator || separator == value || separator + strlen(SEPARATOR) == value + length)
                return -EINVAL;
        host = strndup(value, (size_t)(separator - value));
        separator += strlen(SEPARATOR);
        guest = strndup(separator, (size_t)(value + length - separator));
        if (!host || !guest)
                return -ENOMEM;

        directory->host = nb_steal_ptr(host);
        directory->guest = nb_steal_ptr(guest);
        directory->writable = writable;
        ++options->n_directories;
        return 0;
}

/* NAME=VALUE; the value may be empty, the name not. */
static int set_variable(const struct nb_option *option, void *data, const char *value) {
        struct run_options *options = data;
        size_t name_length = strcspn(value, "=");
        char *copy;

        (void)option;
        if (options->n_variables == RUN_VARIABLES_MAX)
                return -E2BIG;
        if (name_length == 0 || value[name_length] == '\0')
                return -EINVAL;
        copy = strdup(value);
        if (!copy)
                return -ENOMEM;

        copy[name_length] = '\0';
        options->variable_names[options->n_variables] = copy;
        options->variable_values[options->n_variables] = copy + name_length + 1;
        ++options->n_variables;
        return 0;
}

/* @return the number of a descriptor that can be inherited, or -EINVAL */
static int parse_fd(const char *text) {
        char *end;
        long number;

        errno = 0;
        number = strtol(text, &end, 10);
        if (errno != 0 || *end != '\0' || text[0] < '0' || text[0] > '9' || number > INT_MAX)
                return -EINVAL;
        return number > STDERR_FILENO ? (int)number : -EINVAL;
}

static bool has_protocol(const struct run_options *options, const char *name, int fd) {
        for (size_t i = 0; i < options->n_protocols; ++i) {
                if (options->protocols[i].fd == fd || strcmp(options->protocols[i].name, name) == 0)
                        return true;
        }
        return false;
}

/* NAME=N; each name and each number once. */
static int set_protocol(const struct nb_option *option, void *data, const char *value) {
        struct run_options *options = data;
        size_t name_length = strcspn(value, "=");
        NB_CLEANUP_FREE char *name = NULL;
        int fd;

        (void)option;
        if (options->n_protocols == RUN_PROTOCOLS_MAX)
                return -E2BIG;
        if (name_length == 0 || value[name_length] == '\0' || strcspn(value, ":") < name_length)
                return -EINVAL;
        fd = parse_fd(value + name_length + 1);
        name = strndup(value, name_length);
        if (!name)
                return -ENOMEM;
        if (fd < 0 || has_protocol(options, name, fd))
                return -EINVAL;
        options->protocols[options->n_protocols++] = (struct run_protocol){ .name = nb_steal_ptr(name), .fd = fd };
        return 0;
}

static int set_log_level(const struct nb_option *option, void *data, const char *value) {
        struct run_options *options = data;
        enum nb_log_level ignored;

        (void)option;
        options->log_level = value;
        return nb_log_level_parse(value, &ignored);
}

static const struct nb_option table[] = {
        { .name = "policy",
          .argument = "FILE",
          .help = "Start a broker for this run alone, with the policy in FILE. Its audit lines go to standard error.",
          .expects = "a file name",
          .set = nb_option_set_text,
          .offset = offsetof(struct run_options, policy) },
        { .name = "socket",
          .argument = "PATH",
          .help = "Use the broker that listens on PATH. Without --policy the default is " NB_SOCKET_PATH_DEFAULT ".",
          .expects = "a path",
          .set = nb_option_set_text,
          .offset = offsetof(struct run_options, socket_path) },
        { .name = "tenant",
          .argument = "NAME",
          .help = "Be the tenant NAME of the policy, where more than one fits.",
          .expects = "a tenant's name",
          .set = nb_option_set_text,
          .offset = offsetof(struct run_options, tenant) },
        { .name = "label",
          .argument = "TEXT",
          .help = "Mark the session in the broker's audit records.",
          .expects = "a text",
          .set = nb_option_set_text,
          .offset = offsetof(struct run_options, label) },
        { .name = "protocol-fd",
          .argument = "NAME=N",
          .help = "Give the guest the protocol that was handed over as descriptor N, as NAME, and no other network: "
                  "there is no session then. May be repeated.",
          .expects = "NAME=N, each once, with N an inherited descriptor above 2",
          .set = set_protocol,
          .repeatable = true },
        { .name = "dir",
          .argument = "HOST::GUEST[::ro]",
          .help = "Let the guest see the directory HOST as GUEST, with \"::ro\" only to read. May be repeated.",
          .expects = "HOST::GUEST or HOST::GUEST::ro",
          .set = set_directory,
          .repeatable = true },
        { .name = "env",
          .argument = "NAME=VALUE",
          .help = "Set a variable of the guest's environment, which is empty otherwise. May be repeated.",
          .expects = "NAME=VALUE",
          .set = set_variable,
          .repeatable = true },
        { .name = "log-level",
          .argument = "LEVEL",
          .help = "Let the broker that --policy starts log up to LEVEL: error, warning, notice (the default), info "
                  "(allowed decisions too) or debug.",
          .expects = "error, warning, notice, info or debug",
          .set = set_log_level },
        { .name = "token",
          .argument = "FILE",
          .help = "Show the broker the capability token in FILE: the session gets what that leaves.",
          .expects = "a file name",
          .set = nb_option_set_text,
          .offset = offsetof(struct run_options, token) },
        { .name = "weak-lockdown",
          .help = "Run the guest also where the kernel lacks Landlock or seccomp, with what there is of them. Without "
                  "this "
                  "option nothing is run then.",
          .set = nb_option_set_flag,
          .offset = offsetof(struct run_options, weak_lockdown) },
};

const struct nb_option_table run_option_table = {
        .program = "netbroker-run",
        .version = PACKAGE_VERSION,
        .operands = "MODULE.wasm [ARG...]",
        .summary =
                "Runs a WebAssembly program whose only way to the network is a netbroker, and what its policy grants.",
        .see = "netbroker-run(1) and netbroker.conf(5)",
        .stop_at_operand = true,
        .options = table,
        .n_options = sizeof(table) / sizeof(table[0]),
};

/*
 * The variables by which a guest finds its protocols and preopened sockets are not for the command line: the guest would be
 * misled.
 * @return the one that is set, or NULL
 */
static const char *reserved_variable(const struct run_options *options) {
        for (size_t i = 0; i < options->n_variables; ++i) {
                const char *name = options->variable_names[i];

                if (strcmp(name, NB_GUEST_PROTOCOLS_VARIABLE) == 0 || strcmp(name, NB_GUEST_PREOPENS_VARIABLE) == 0)
                        return name;
        }
        return NULL;
}

int run_options_parse(int argc, char **argv, struct run_options *ret) {
        const char *reserved;
        int r;

        *ret = (struct run_options){ .log_level = DEFAULT_LOG_LEVEL };
        r = nb_options_parse(&run_option_table, argc, argv, ret, stdout, stderr, &ret->guest);
        if (r != 0)
                return r;

        if (ret->guest.n == 0)
                return nb_options_complain(&run_option_table, stderr, "which module is to run?");
        if (ret->policy && ret->socket_path)
                return nb_options_complain(
                        &run_option_table, stderr,
                        "--policy starts a broker and --socket uses a running one: choose one of them");
        if (ret->n_protocols > 0 && (ret->policy || ret->socket_path || ret->tenant || ret->label || ret->token))
                return nb_options_complain(&run_option_table, stderr,
                                           "--protocol-fd is for a guest without a session: leave out --policy, "
                                           "--socket, --tenant, --label and --token");
        reserved = reserved_variable(ret);
        if (reserved)
                return nb_options_complain(&run_option_table, stderr, "--env: %s is what the broker gives", reserved);
        ret->module = ret->guest.v[0];
        return 0;
}

void run_options_deinit(struct run_options *options) {
        for (size_t i = 0; i < options->n_directories; ++i) {
                free(options->directories[i].host);
                free(options->directories[i].guest);
        }
        for (size_t i = 0; i < options->n_variables; ++i)
                free(options->variable_names[i]);
        for (size_t i = 0; i < options->n_protocols; ++i)
                free(options->protocols[i].name);
        options->n_protocols = 0;
        options->n_directories = 0;
        options->n_variables = 0;
}
