/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/escape.h"

/* Between columns. */
#define GAP 2

/* A column is cut to no less. */
#define LEAST_WIDTH 8

#define CELL_MAX 1024

void table_init(struct table *table, const struct table_column *columns, size_t n_columns) {
        *table = (struct table){ .columns = columns, .n_columns = n_columns };
}

void table_deinit(struct table *table) {
        for (size_t i = 0; i < table->n_cells; ++i)
                free(table->cells[i]);
        free(table->cells);
        *table = (struct table){ .columns = NULL };
}

static int add_cell(struct table *table, const char *text) {
        char shown[CELL_MAX];
        char *copy;

        if (table->n_cells == table->n_allocated) {
                size_t n = table->n_allocated == 0 ? 256 : table->n_allocated * 2;
                char **cells = reallocarray(table->cells, n, sizeof(*cells));

                if (!cells)
                        return -ENOMEM;
                table->cells = cells;
                table->n_allocated = n;
        }
        copy = strdup(text && *text ? nb_escape(text, strlen(text), shown, sizeof(shown)) : "-");
        if (!copy)
                return -ENOMEM;
        table->cells[table->n_cells++] = copy;
        return 0;
}

int table_add_texts(struct table *table, const char *const *texts) {
        for (size_t i = 0; i < table->n_columns; ++i) {
                if (add_cell(table, texts[i]) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* Finds what a key names. @return NULL for what is not there */
static const json_t *find_member(const json_t *object, const char *key) {
        const char *dot = strchr(key, '.');
        char outer[32];

        if (!dot)
                return json_object_get(object, key);
        (void)snprintf(outer, sizeof(outer), "%.*s", (int)(dot - key), key);
        return json_object_get(json_object_get(object, outer), dot + 1);
}

int table_add(struct table *table, const json_t *object) {
        for (size_t i = 0; i < table->n_columns; ++i) {
                const json_t *value = find_member(object, table->columns[i].key);
                char number[32];
                const char *text = json_string_value(value);

                if (json_is_boolean(value))
                        text = json_is_true(value) ? "yes" : "no";
                if (json_is_integer(value)) {
                        (void)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
                        text = number;
                }
                if (add_cell(table, text) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* 0: no limit. */
static size_t width_of(FILE *out) {
        struct winsize size;

        if (!isatty(fileno(out)) || ioctl(fileno(out), TIOCGWINSZ, &size) < 0)
                return 0;
        return size.ws_col;
}

static bool is_shown(const struct table *table, size_t column) {
        if (!table->columns[column].may_be_missing)
                return true;
        for (size_t cell = column; cell < table->n_cells; cell += table->n_columns) {
                if (strcmp(table->cells[cell], "-") != 0)
                        return true;
        }
        return false;
}

/* @param widths  0: the column is not shown */
static size_t measure(const struct table *table, size_t *widths) {
        size_t sum = 0;

        for (size_t i = 0; i < table->n_columns; ++i) {
                widths[i] = 0;
                if (!is_shown(table, i))
                        continue;
                widths[i] = strlen(table->columns[i].title);
                for (size_t cell = i; cell < table->n_cells; cell += table->n_columns) {
                        size_t length = strlen(table->cells[cell]);

                        widths[i] = length > widths[i] ? length : widths[i];
                }
                sum += widths[i] + (i > 0 ? GAP : 0);
        }
        return sum;
}

/* Takes from the widest of those that may be cut, until the table fits or none can be cut any more. */
static void shrink(const struct table *table, size_t *widths, size_t sum, size_t limit) {
        while (limit > 0 && sum > limit) {
                size_t widest = table->n_columns;

                for (size_t i = 0; i < table->n_columns; ++i) {
                        if (table->columns[i].may_be_cut && widths[i] > LEAST_WIDTH &&
                            (widest == table->n_columns || widths[i] > widths[widest]))
                                widest = i;
                }
                if (widest == table->n_columns)
                        return;
                widths[widest]--;
                sum--;
        }
}

static void print_cell(const struct table_column *column, const char *text, size_t width, bool is_last, FILE *out) {
        size_t length = strlen(text);

        if (length > width)
                fprintf(out, "%.*s...", (int)(width - 3), text);
        else if (column->right)
                fprintf(out, "%*s", (int)width, text);
        else
                fprintf(out, "%-*s", is_last ? 0 : (int)width, text);
        if (!is_last)
                fprintf(out, "%*s", GAP, "");
}

static size_t last_shown(const struct table *table, const size_t *widths) {
        size_t last = 0;

        for (size_t i = 0; i < table->n_columns; ++i)
                last = widths[i] > 0 ? i : last;
        return last;
}

int table_print_within(const struct table *table, FILE *out, size_t width) {
        size_t widths[TABLE_COLUMNS_MAX], last;

        shrink(table, widths, measure(table, widths), width);
        last = last_shown(table, widths);
        for (size_t i = 0; i < table->n_columns; ++i) {
                if (widths[i] > 0)
                        print_cell(&table->columns[i], table->columns[i].title, widths[i], i == last, out);
        }
        fputc('\n', out);
        for (size_t cell = 0; cell < table->n_cells; ++cell) {
                size_t i = cell % table->n_columns;

                if (widths[i] > 0)
                        print_cell(&table->columns[i], table->cells[cell], widths[i], i == last, out);
                if (i == last)
                        fputc('\n', out);
        }
        return ferror(out) ? -EIO : 0;
}

int table_print(const struct table *table, FILE *out) {
        return table_print_within(table, out, width_of(out));
}
