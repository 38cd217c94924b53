/* SPDX-License-Identifier: Apache-2.0 */
#include "base/option.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "base/escape.h"

/* Where --help breaks its lines, and the widest column of names before a description gets a line of its own. */
#define HELP_WIDTH 80
#define HELP_COLUMN_MAX 30

/* Enough of a hostile argument to recognise it in a message. */
#define SHOWN_MAX 80

/* How many edits a misspelt option may be away from the one that is suggested. */
#define SUGGEST_DISTANCE_MAX 2

/* The options that every table has. They stand behind the table's own: `id` is theirs from n_options on. */
enum standard { STANDARD_HELP, STANDARD_VERSION, STANDARD_COUNT };

static const struct nb_option standard_options[STANDARD_COUNT] = {
        [STANDARD_HELP] = { .name = "help", .help = "Print this help and end." },
        [STANDARD_VERSION] = { .name = "version", .help = "Print the version and end." },
};

static const char standard_letters[STANDARD_COUNT] = { 'h', 'V' };

/* An option as it stands on the command line: --name, or --name=value. */
struct word {
        const char *name; /* not terminated */
        size_t length;
        const char *value; /* behind the '='; NULL without one */
};

/* The state of one parse. */
struct parser {
        const struct nb_option_table *table;
        char **argv;
        int argc;
        int next; /* the argument to look at */
        void *data;
        FILE *out;
        FILE *err;
        uint64_t seen; /* a bit for each option of the table */
};

_Static_assert(NB_OPTIONS_MAX + STANDARD_COUNT <= 64, "every option has a bit in parser.seen");

int nb_option_set_flag(const struct nb_option *option, void *data, const char *value) {
        (void)value;
        *(bool *)((char *)data + option->offset) = true;
        return 0;
}

int nb_option_set_text(const struct nb_option *option, void *data, const char *value) {
        if (*value == '\0')
                return -EINVAL;

        /* The setter's contract is that a `const char *` is there; memcpy asks nothing of its alignment. */
        memcpy((char *)data + option->offset, &value, sizeof(value));
        return 0;
}

int nb_options_complain(const struct nb_option_table *table, FILE *err, const char *format, ...) {
        va_list arguments;

        fprintf(err, "%s: ", table->program);
        va_start(arguments, format);
        vfprintf(err, format, arguments);
        va_end(arguments);
        fprintf(err, "\n'%s --help' lists the options.\n", table->program);
        return -EINVAL;
}

static size_t n_all(const struct nb_option_table *table) {
        return table->n_options + STANDARD_COUNT;
}

static const struct nb_option *option_at(const struct nb_option_table *table, size_t id) {
        return id < table->n_options ? &table->options[id] : &standard_options[id - table->n_options];
}

static char letter_at(const struct nb_option_table *table, size_t id) {
        return id < table->n_options ? '\0' : standard_letters[id - table->n_options];
}

static size_t smallest(size_t a, size_t b, size_t c) {
        size_t least = a < b ? a : b;

        return least < c ? least : c;
}

/* The number of letters to insert, drop or replace to make `b` of `a` (Levenshtein), both within NB_OPTION_NAME_MAX. */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length) {
        size_t row[NB_OPTION_NAME_MAX + 1];

        for (size_t k = 0; k <= b_length; ++k)
                row[k] = k;
        for (size_t i = 1; i <= a_length; ++i) {
                size_t diagonal = row[0];

                row[0] = i;
                for (size_t k = 1; k <= b_length; ++k) {
                        size_t above = row[k];

                        row[k] = smallest(above + 1, row[k - 1] + 1, diagonal + (a[i - 1] != b[k - 1]));
                        diagonal = above;
                }
        }
        return row[b_length];
}

/* Whether a name begins or ends with what somebody wrote, who remembers a part of it. */
static bool is_part(const char *word, size_t length, const char *name, size_t name_length) {
        if (name_length < length)
                return false;
        return memcmp(name, word, length) == 0 || memcmp(name + name_length - length, word, length) == 0;
}

/* The option whose name is nearest to `word`; the first of several that are as near. NULL where that would be a guess. */
static const struct nb_option *suggest(const struct nb_option_table *table, const char *word, size_t length) {
        const struct nb_option *best = NULL;
        size_t best_distance = SUGGEST_DISTANCE_MAX + 1;

        if (length < 2 || length > NB_OPTION_NAME_MAX)
                return NULL;
        for (size_t id = 0; id < n_all(table); ++id) {
                const struct nb_option *option = option_at(table, id);
                size_t name_length = strlen(option->name), distance;

                assert(name_length <= NB_OPTION_NAME_MAX);
                distance = is_part(word, length, option->name, name_length)
                                   ? 1
                                   : edit_distance(word, length, option->name, name_length);
                if (distance < best_distance) {
                        best = option;
                        best_distance = distance;
                }
        }
        return best;
}

static int complain_unknown(const struct parser *parser, const char *argument) {
        const char *name = argument + strspn(argument, "-");
        const struct nb_option *near = suggest(parser->table, name, strcspn(name, "="));
        char shown[SHOWN_MAX];

        nb_escape(argument, strlen(argument), shown, sizeof(shown));
        if (!near)
                return nb_options_complain(parser->table, parser->err, "there is no option '%s'", shown);
        return nb_options_complain(parser->table, parser->err, "there is no option '%s'; did you mean '--%s'?", shown,
                                   near->name);
}

/* Calls the setter, and says what was wrong with the value. */
static int apply(const struct parser *parser, const struct nb_option *option, const char *value) {
        int r = option->set(option, parser->data, value);
        char shown[SHOWN_MAX];

        if (r >= 0)
                return 0;
        if (r != -EINVAL || !value) {
                (void)nb_options_complain(parser->table, parser->err, "--%s: %s", option->name, strerror(-r));
                return r;
        }
        if (*value == '\0')
                return nb_options_complain(parser->table, parser->err, "--%s is given an empty value: write --%s %s",
                                           option->name, option->name, option->argument);
        nb_escape(value, strlen(value), shown, sizeof(shown));
        return nb_options_complain(parser->table, parser->err, "--%s: '%s' is not %s", option->name, shown,
                                   option->expects ? option->expects : "a value it takes");
}

/* Parses one option of the table; the argument may be the next word. */
static int take_option(struct parser *parser, size_t id, const char *value) {
        const struct nb_option *option = option_at(parser->table, id);
        uint64_t bit = UINT64_C(1) << id;

        if ((parser->seen & bit) && !option->repeatable)
                return nb_options_complain(parser->table, parser->err, "--%s is given twice", option->name);
        parser->seen |= bit;

        if (!option->argument && value)
                return nb_options_complain(parser->table, parser->err, "--%s takes no value", option->name);
        if (option->argument && !value) {
                if (parser->next == parser->argc)
                        return nb_options_complain(parser->table, parser->err, "--%s needs its argument: --%s %s",
                                                   option->name, option->name, option->argument);
                value = parser->argv[parser->next++];
        }
        return apply(parser, option, value);
}

/* Answers --help or --version. */
static int answer(const struct parser *parser, enum standard which) {
        if (which == STANDARD_HELP)
                nb_options_print_help(parser->table, parser->out);
        else
                fprintf(parser->out, "%s %s\n", parser->table->program, parser->table->version);

        if (fflush(parser->out) != 0 || ferror(parser->out))
                return -EIO;
        return 1;
}

static struct word split(const char *argument) {
        const char *name = argument + 2;
        size_t length = strcspn(name, "=");

        return (struct word){ .name = name, .length = length, .value = name[length] == '=' ? name + length + 1 : NULL };
}

static int parse_long(struct parser *parser, const char *argument) {
        struct word word = split(argument);

        for (size_t id = 0; id < n_all(parser->table); ++id) {
                const char *name = option_at(parser->table, id)->name;

                if (strlen(name) != word.length || memcmp(name, word.name, word.length) != 0)
                        continue;
                if (id < parser->table->n_options)
                        return take_option(parser, id, word.value);
                if (word.value)
                        return nb_options_complain(parser->table, parser->err, "--%s takes no value", name);
                return answer(parser, (enum standard)(id - parser->table->n_options));
        }
        return complain_unknown(parser, argument);
}

static int parse_short(struct parser *parser, const char *argument) {
        for (size_t i = 0; i < STANDARD_COUNT; ++i) {
                if (argument[1] == standard_letters[i] && argument[2] == '\0')
                        return answer(parser, (enum standard)i);
        }
        return complain_unknown(parser, argument);
}

int nb_options_parse(const struct nb_option_table *table, int argc, char **argv, void *data, FILE *out, FILE *err,
                     struct nb_operands *ret_operands) {
        struct parser parser = {
                .table = table,
                .argv = argv,
                .argc = argc,
                .next = 1,
                .data = data,
                .out = out,
                .err = err,
        };
        int n = 0;
        bool only_operands = false;

        assert(table->n_options <= NB_OPTIONS_MAX);

        /* Operands are gathered at argv[1]: never ahead of what is read, for what they overwrite has been consumed. */
        while (parser.next < argc) {
                char *argument = argv[parser.next++];
                int r;

                if (only_operands || argument[0] != '-' || argument[1] == '\0') {
                        argv[1 + n++] = argument;
                        only_operands = only_operands || table->stop_at_operand;
                        continue;
                }
                if (strcmp(argument, "--") == 0) {
                        only_operands = true;
                        continue;
                }
                r = argument[1] == '-' ? parse_long(&parser, argument) : parse_short(&parser, argument);
                if (r != 0)
                        return r;
        }

        if (n > 0 && !table->operands) {
                char shown[SHOWN_MAX];

                nb_escape(argv[1], strlen(argv[1]), shown, sizeof(shown));
                return nb_options_complain(table, err, "'%s' is one argument too many", shown);
        }
        if (1 + n < argc)
                argv[1 + n] = NULL;
        *ret_operands = (struct nb_operands){ .v = argc > 0 ? argv + 1 : argv, .n = (size_t)n };
        return 0;
}

/* The columns that "--name ARGUMENT" takes, with the room for a letter in front: "  -h, --help". */
static size_t name_width(const struct nb_option *option) {
        return strlen("  -h, --") + strlen(option->name) + (option->argument ? 1 + strlen(option->argument) : 0);
}

/* Where the descriptions start. */
static size_t help_column(const struct nb_option_table *table) {
        size_t column = 0;

        for (size_t id = 0; id < n_all(table); ++id) {
                size_t width = name_width(option_at(table, id)) + 2;

                if (width <= HELP_COLUMN_MAX && width > column)
                        column = width;
        }
        return column;
}

/* Writes `text` from `column` on, wrapped at words, and a newline. The cursor is at `at`. */
static void print_wrapped(const char *text, size_t at, size_t column, FILE *out) {
        bool first = true;

        if (at > 0 && at + 2 > column) {
                fputc('\n', out);
                at = 0;
        }
        fprintf(out, "%*s", (int)(column - at), "");
        at = column;

        while (*text != '\0') {
                size_t length = strcspn(text, " ");

                if (!first && at + 1 + length > HELP_WIDTH) {
                        fprintf(out, "\n%*s", (int)column, "");
                        at = column;
                } else if (!first) {
                        fputc(' ', out);
                        ++at;
                }
                fprintf(out, "%.*s", (int)length, text);
                at += length;
                first = false;
                text += length + strspn(text + length, " ");
        }
        fputc('\n', out);
}

static void print_option(const struct nb_option_table *table, size_t id, size_t column, FILE *out) {
        const struct nb_option *option = option_at(table, id);
        char letter = letter_at(table, id);

        if (letter != '\0')
                fprintf(out, "  -%c, ", letter);
        else
                fputs("      ", out);
        fprintf(out, "--%s", option->name);
        if (option->argument)
                fprintf(out, " %s", option->argument);
        print_wrapped(option->help, name_width(option), column, out);
}

void nb_options_print_help(const struct nb_option_table *table, FILE *out) {
        size_t column = help_column(table);

        fprintf(out, "Usage: %s [OPTION...]%s%s\n\n", table->program, table->operands ? " " : "",
                table->operands ? table->operands : "");
        if (table->summary) {
                print_wrapped(table->summary, 0, 0, out);
                fputc('\n', out);
        }
        for (size_t id = 0; id < n_all(table); ++id)
                print_option(table, id, column, out);
        if (table->see)
                fprintf(out, "\nSee %s.\n", table->see);
}
