/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tenant was seen to ask for: from a running netbrokerd, or from the audit that one has written.
 */
#ifndef NB_CTL_SEEN_LIST_H
#define NB_CTL_SEEN_LIST_H

#include <jansson.h>
#include <stddef.h>

#include "ctl/command.h"

/** More different things from one audit file are counted and not kept. */
#define SEEN_LIST_MAX 100000

struct seen_list {
        char *frame;          /* owned: the tenant's file without rules; NULL: it is not known */
        json_t *entries;      /* owned: objects with "protocol", "operation", "target", "n" and "denied" */
        json_t *index;        /* owned: the same by all three, while they are collected */
        long long n_left_out; /* decisions about what could not be kept */
};

/** @return enum ctl_status */
int seen_list_ask(struct seen_list *list, const struct ctl *ctl, const char *tenant);

/** @param path  of an audit file @return enum ctl_status */
int seen_list_read(struct seen_list *list, const char *path, const char *tenant);

void seen_list_deinit(struct seen_list *list);

#endif
