/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines: one table of options is the parser, the text of `--help`, and what the man page is checked against.
 *
 * Options are long, `--name VALUE` or `--name=VALUE`, never abbreviated, so that a new option cannot change the meaning of
 * an old command. `-h, --help` and `-V, --version` belong to every table and are answered here. Each option has a setter
 * that writes into the program's own struct; the table itself is constant. There is no hidden option: what
 * can be parsed is in `--help`, and `./dev lint` compares `--help` with the man page.
 *
 *     static const struct nb_option options[] = {
 *             { .name = "policy", .argument = "FILE", .help = "Reads the policy from FILE.",
 *               .set = nb_option_set_text, .offset = offsetof(struct config, policy) },
 *             { .name = "check", .help = "Checks the policy and ends.",
 *               .set = nb_option_set_flag, .offset = offsetof(struct config, check) },
 *     };
 *     static const struct nb_option_table table = {
 *             .program = "netbrokerd", .version = PACKAGE_VERSION, .options = options, .n_options = 2,
 *     };
 */
#ifndef NB_BASE_OPTION_H
#define NB_BASE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/** The most options of one table, beside --help and --version. */
#define NB_OPTIONS_MAX 62

/** Longest name of an option, in bytes. */
#define NB_OPTION_NAME_MAX 32

struct nb_option;

/**
 * Takes the value of an option.
 * @param option  the table's entry
 * @param data    what nb_options_parse() was given
 * @param value   lives as long as argv; NULL for an option without an argument
 * @return 0; -EINVAL when the value is none of those that `expects` names; another -errno
 */
typedef int (*nb_option_setter)(const struct nb_option *option, void *data, const char *value);

struct nb_option {
        const char *name;     /* without the dashes; ASCII */
        const char *argument; /* how --help and messages call the argument; NULL: takes none */
        const char *help;     /* sentences, wrapped by --help; ASCII */
        const char *
                expects; /* which values are valid, for the message about one that is not: "a file name"; may be NULL */
        nb_option_setter set;
        size_t offset;   /* for the ready-made setters: where in `data` */
        bool repeatable; /* may be given more than once; otherwise the second is an error */
};

struct nb_option_table {
        const char *program; /* how messages begin */
        const char *version;
        const char *operands; /* for the usage line: "MODULE.wasm [ARG...]"; NULL: none are allowed */
        const char *summary;  /* one sentence for --help */
        const char *see;      /* where to read on: "netbroker-run(1)" */
        bool stop_at_operand; /* what follows the first operand is operands too, also what starts with a dash */
        const struct nb_option *options;
        size_t n_options; /* at most NB_OPTIONS_MAX */
};

/** What is left of the command line: `n` pointers into argv, and a NULL behind them. */
struct nb_operands {
        char **v;
        size_t n;
};

/** Sets the `bool` at the option's offset. */
int nb_option_set_flag(const struct nb_option *option, void *data, const char *value);

/** Points the `const char *` at the option's offset to the value, which must not be empty. */
int nb_option_set_text(const struct nb_option *option, void *data, const char *value);

/**
 * Parses a command line, and answers the user about it.
 * @param argv          reordered: operands come first afterwards. argv[0] is not read.
 * @param data          passed to the setters, which may have run when this fails
 * @param out           gets the answer to --help and --version
 * @param err           gets the message when the command line is wrong: one line that says what, and one that names --help
 * @param ret_operands  borrows from argv
 * @return 0: go on; 1: --help or --version has been answered, end with success; -EINVAL: the message is written, end with
 *         EX_USAGE; -EIO: `out` could not be written; what else a setter returned, with a message
 */
int nb_options_parse(const struct nb_option_table *table, int argc, char **argv, void *data, FILE *out, FILE *err,
                     struct nb_operands *ret_operands);

/** Writes the text of --help, at most 80 columns wide as long as the table's words are not longer. */
void nb_options_print_help(const struct nb_option_table *table, FILE *out);

/**
 * Writes "program: message" and where help is, as nb_options_parse() does; for what only the program can see to be wrong.
 * @return -EINVAL
 */
int nb_options_complain(const struct nb_option_table *table, FILE *err, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

#endif
