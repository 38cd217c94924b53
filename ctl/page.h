/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages for Prometheus, of which several are made one: in its format the samples of a family stand together behind one head. So each line goes to its
 * family, whose head is the first page's. That samples differ is the business of who writes the pages (broker/metrics_page.c).
 */
#ifndef NB_CTL_PAGE_H
#define NB_CTL_PAGE_H

#include <stdbool.h>
#include <stddef.h>

/** More families are none of netbrokerd's. */
#define PAGE_FAMILIES_MAX 512

struct page_text {
        char *bytes; /* owned */
        size_t length, allocated;
};

struct page_family {
        char *name; /* owned */
        struct page_text head, samples;
        bool has_help, has_type;
};

/** Zero is an empty one. */
struct page {
        struct page_family families[PAGE_FAMILIES_MAX];
        size_t n_families;
        struct page_family *current;
        struct page_text *target; /* of the last line; NULL: it is left out */
        bool in_line;             /* the last piece has left it without its end */
};

/**
 * Adds a piece of a page, pages one after the other.
 * @return 0; -EBADMSG where it is none; -E2BIG for too many families; -ENOMEM
 */
int page_add(struct page *page, const char *text);

/** All of it as one text. @return owned by the caller; NULL without memory */
char *page_format(const struct page *page);

void page_deinit(struct page *page);

#define PAGE __attribute__((cleanup(page_deinit))) struct page

#endif
