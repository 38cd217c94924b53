/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables for people: a line of titles, and rows below, in columns as wide as what stands in them.
 *
 * What stands in cells was chosen by strangers, so it is escaped (base/escape.h). Only on a terminal, and where a table is wider than it, are
 * the cells of columns that allow it cut; what goes to a file or a pipe is whole.
 */
#ifndef NB_CTL_TABLE_H
#define NB_CTL_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/** The most columns of a table. */
#define TABLE_COLUMNS_MAX 16

struct table_column {
        const char *title;
        const char *key; /* of the JSON object that a row is made from; `tls.version` is a member of its member */
        bool right;      /* numbers */
        bool may_be_cut;
        bool may_be_missing; /* it is not printed where no row has anything in it */
};

struct table {
        const struct table_column *columns; /* borrowed */
        size_t n_columns;
        char **cells; /* row by row, owned */
        size_t n_cells;
        size_t n_allocated;
};

/** @param columns  borrowed, at most TABLE_COLUMNS_MAX */
void table_init(struct table *table, const struct table_column *columns, size_t n_columns);

void table_deinit(struct table *table);

/** Adds a row of an object's members; one that it does not have, or that is null, is "-". @return 0 or -ENOMEM */
int table_add(struct table *table, const json_t *object);

/** Adds a row of texts, as many as there are columns; NULL is "-". @return 0 or -ENOMEM */
int table_add_texts(struct table *table, const char *const *texts);

/** Prints titles and rows, for the terminal that `out` may be. @return 0, or -EIO */
int table_print(const struct table *table, FILE *out);

/** The same for a width that is known. @param width  in columns; 0: nothing is cut */
int table_print_within(const struct table *table, FILE *out, size_t width);

#define TABLE __attribute__((cleanup(table_deinit))) struct table

#endif
