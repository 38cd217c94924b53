/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HELP "# HELP "
#define TYPE "# TYPE "

/* Grows by half, so that a text of any length is copied a few times only. */
static int append(struct page_text *text, const char *bytes, size_t n) {
        size_t wanted = text->length + n;

        if (wanted > text->allocated) {
                size_t allocated = wanted + wanted / 2 + 256;
                char *grown = realloc(text->bytes, allocated);

                if (!grown)
                        return -ENOMEM;
                text->bytes = grown;
                text->allocated = allocated;
        }
        memcpy(text->bytes + text->length, bytes, n);
        text->length = wanted;
        return 0;
}

static struct page_family *find(struct page *page, const char *name, size_t length) {
        for (size_t i = 0; i < page->n_families; ++i) {
                const char *known = page->families[i].name;

                if (strlen(known) == length && memcmp(known, name, length) == 0)
                        return &page->families[i];
        }
        return NULL;
}

/* @param name  behind which a blank stands, or the line's end */
static int enter_family(struct page *page, const char *name) {
        size_t length = strcspn(name, " \n");
        struct page_family *family = find(page, name, length);

        if (!family && page->n_families == PAGE_FAMILIES_MAX)
                return -E2BIG;
        if (!family) {
                family = &page->families[page->n_families];
                family->name = strndup(name, length);
                if (!family->name)
                        return -ENOMEM;
                page->n_families++;
        }
        page->current = family;
        return 0;
}

/* @param has  whether the family has such a line; another page's is left out */
static int add_head(struct page *page, bool *has, const char *line, size_t length) {
        if (*has)
                return 0;
        *has = true;
        page->target = &page->current->head;
        return append(page->target, line, length);
}

static bool begins_with(const char *line, const char *prefix) {
        return strncmp(line, prefix, strlen(prefix)) == 0;
}

static int add_line(struct page *page, const char *line, size_t length) {
        bool is_help = begins_with(line, HELP), is_head = is_help || begins_with(line, TYPE);
        int r = is_head ? enter_family(page, line + strlen(HELP)) : 0;

        page->target = NULL;
        if (r < 0)
                return r;
        if (!page->current)
                return -EBADMSG;
        if (is_head)
                return add_head(page, is_help ? &page->current->has_help : &page->current->has_type, line, length);
        page->target = &page->current->samples;
        return append(page->target, line, length);
}

int page_add(struct page *page, const char *text) {
        int r = 0;

        while (*text && r == 0) {
                size_t length = strcspn(text, "\n");
                bool is_whole = text[length] == '\n';

                length += is_whole;
                if (!page->in_line)
                        r = add_line(page, text, length);
                else if (page->target)
                        r = append(page->target, text, length);
                page->in_line = !is_whole;
                text += length;
        }
        return r;
}

char *page_format(const struct page *page) {
        struct page_text all = { .bytes = NULL };
        int r = 0;

        for (size_t i = 0; i < page->n_families && r == 0; ++i) {
                const struct page_family *family = &page->families[i];

                r = append(&all, family->head.bytes, family->head.length);
                if (r == 0 && family->samples.length > 0)
                        r = append(&all, family->samples.bytes, family->samples.length);
        }
        if (r == 0)
                r = append(&all, "", 1);
        if (r == 0)
                return all.bytes;
        free(all.bytes);
        return NULL;
}

void page_deinit(struct page *page) {
        for (size_t i = 0; i < page->n_families; ++i) {
                free(page->families[i].name);
                free(page->families[i].head.bytes);
                free(page->families[i].samples.bytes);
        }
        *page = (struct page){ .n_families = 0 };
}
