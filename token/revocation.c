/* SPDX-License-Identifier: Apache-2.0 */
#include "token/revocation.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

struct id {
        uint8_t bytes[NARROWING_ID_SIZE];
};

struct token_revocations {
        size_t n;
        struct id *ids; /* in ascending order */
};

const char *token_id_format(const uint8_t id[static NARROWING_ID_SIZE], char buffer[static TOKEN_ID_TEXT_MAX]) {
        return sodium_bin2hex(buffer, TOKEN_ID_TEXT_MAX, id, NARROWING_ID_SIZE);
}

int token_id_parse(const char *text, size_t length, uint8_t ret[static NARROWING_ID_SIZE]) {
        struct id id;
        size_t n;

        if (length != TOKEN_ID_TEXT_MAX - 1 ||
            sodium_hex2bin(id.bytes, sizeof(id.bytes), text, length, NULL, &n, NULL) != 0 || n != sizeof(id.bytes))
                return -EINVAL;
        memcpy(ret, id.bytes, sizeof(id.bytes));
        return 0;
}

static int compare(const void *a, const void *b) {
        return memcmp(a, b, sizeof(struct id));
}

static bool is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\r';
}

/* Takes what stands on one line: an identifier, and a comment; either may be missing. @return 0 or -EINVAL */
static int take_line(struct token_revocations *revocations, const char *line, size_t length) {
        const char *comment = memchr(line, '#', length);

        if (comment)
                length = (size_t)(comment - line);
        for (; length > 0 && is_blank(line[0]); ++line)
                --length;
        while (length > 0 && is_blank(line[length - 1]))
                --length;
        if (length == 0)
                return 0;
        if (token_id_parse(line, length, revocations->ids[revocations->n].bytes) < 0)
                return -EINVAL;
        revocations->n++;
        return 0;
}

static void cleanup_revocations(struct token_revocations **revocations) {
        *revocations = token_revocations_free(*revocations);
}

int token_revocations_parse(const char *text, size_t length, struct token_revocations **ret, unsigned *ret_line) {
        NB_CLEANUP(cleanup_revocations) struct token_revocations *revocations = calloc(1, sizeof(*revocations));
        const char *end = text + length;

        if (!revocations)
                return -ENOMEM;
        revocations->ids = calloc(length / (TOKEN_ID_TEXT_MAX - 1) + 1, sizeof(*revocations->ids));
        if (!revocations->ids)
                return -ENOMEM;
        for (unsigned number = 1; text < end; ++number) {
                const char *newline = memchr(text, '\n', (size_t)(end - text)), *stop = newline ? newline : end;

                if (take_line(revocations, text, (size_t)(stop - text)) < 0) {
                        *ret_line = number;
                        return -EINVAL;
                }
                text = newline ? newline + 1 : end;
        }
        qsort(revocations->ids, revocations->n, sizeof(*revocations->ids), compare);
        *ret = nb_steal_ptr(revocations);
        return 0;
}

struct token_revocations *token_revocations_free(struct token_revocations *revocations) {
        if (!revocations)
                return NULL;
        free(revocations->ids);
        free(revocations);
        return NULL;
}

size_t token_revocations_count(const struct token_revocations *revocations) {
        return revocations ? revocations->n : 0;
}

const uint8_t *token_revocations_find(const struct token_revocations *revocations,
                                      const struct narrowings *narrowings) {
        for (size_t i = 0; revocations && i < narrowings_count(narrowings); ++i) {
                const uint8_t *id = narrowings_id(narrowings, i);

                if (id && bsearch(id, revocations->ids, revocations->n, sizeof(*revocations->ids), compare))
                        return id;
        }
        return NULL;
}
