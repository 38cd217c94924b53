/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers that are lists: a table, or with --json one array.
 */
#ifndef NB_CTL_LIST_H
#define NB_CTL_LIST_H

#include <jansson.h>
#include <stddef.h>

#include "ctl/command.h"
#include "ctl/table.h"

/**
 * Asks netbrokerd, and prints the lines of its answer.
 * @param request  consumed; NULL for one that could not be made
 * @param columns  borrowed
 * @return enum ctl_status
 */
int list_ask(const struct ctl *ctl, json_t *request, const struct table_column *columns, size_t n_columns);

/**
 * Asks for an answer of one line from each process that has a part of it, the one that was started first.
 * @param ret  an array of one line at least, owned by the caller; also where shards do not answer. NULL as before: there is none
 * @return enum ctl_status
 */
int list_collect(const struct ctl *ctl, json_t *request, json_t **ret);

/** Asks for an answer of one line, of one process. @param ret  owned by the caller @return enum ctl_status */
int list_ask_one(const struct ctl *ctl, json_t *request, json_t **ret);

/** Prints an object as JSON, indented. */
void list_print_json(const json_t *object);

/** Prints a line of text that a stranger may have chosen, made safe; NULL is "-". */
void list_print_text(const char *text);

#endif
