/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/parser.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "policy/secret.h"

int parser_fail(struct parser *p, const struct parser_place *place, const struct policy_complaint *complaint) {
        const struct parser_source *source = place ? place->source : &p->sources[0];
        struct policy_error *error = p->error;

        *error = (struct policy_error){ 0 };
        snprintf(error->file, sizeof(error->file), "%s", source->name);
        snprintf(error->message, sizeof(error->message), "%s", complaint->message);
        policy_printable(complaint->correct, strlen(complaint->correct), error->correct, sizeof(error->correct));
        policy_secret_hide(error->correct);
        if (place) {
                error->line = place->line.number;
                error->column = (unsigned)complaint->offset + 1;
                policy_printable(place->line.text, place->line.length, error->source, sizeof(error->source));
                if (policy_secret_hide(error->source))
                        error->correct[0] = '\0';
        }
        p->result = -EINVAL;
        return -EINVAL;
}

int parser_fail_whole(struct parser *p, const struct parser_place *place, const char *correct, const char *format,
                      ...) {
        struct policy_complaint complaint;
        va_list arguments;

        va_start(arguments, format);
        (void)policy_complain_v(&complaint, 0, format, arguments);
        va_end(arguments);
        snprintf(complaint.correct, sizeof(complaint.correct), "%s", correct);
        parser_fail(p, place, &complaint);
        p->error->column = 0;
        return -EINVAL;
}

int parser_fail_at(struct parser *p, size_t offset, const char *format, ...) {
        struct policy_complaint complaint;
        va_list arguments;

        va_start(arguments, format);
        (void)policy_complain_v(&complaint, offset, format, arguments);
        va_end(arguments);
        return parser_fail(p, &p->place, &complaint);
}

int parser_fail_part(struct parser *p, struct policy_complaint *complaint, size_t from, size_t to) {
        policy_complaint_widen(complaint, p->place.line.text, p->place.line.length, from, to);
        return parser_fail(p, &p->place, complaint);
}

int parser_fail_value(struct parser *p, enum parser_key key, const char *format, ...) {
        const struct parser_place *place = &p->section->set_in[key];
        struct policy_complaint complaint;
        va_list arguments;

        va_start(arguments, format);
        (void)policy_complain_v(&complaint, 0, format, arguments);
        va_end(arguments);
        complaint.offset = policy_line_value_offset(&place->line);
        return parser_fail(p, place, &complaint);
}

int parser_correct_value(struct parser *p, enum parser_key key, const char *value, const char *format, ...) {
        const struct parser_place *place = &p->section->set_in[key];
        struct policy_complaint complaint;
        va_list arguments;

        va_start(arguments, format);
        (void)policy_complain_v(&complaint, policy_line_value_offset(&place->line), format, arguments);
        va_end(arguments);
        policy_complaint_splice(&complaint, place->line.text, place->line.length, complaint.offset, place->line.length,
                                value);
        return parser_fail(p, place, &complaint);
}

int parser_fail_memory(struct parser *p) {
        p->result = -ENOMEM;
        return -ENOMEM;
}

bool parser_is_set(const struct parser *p, enum parser_key key) {
        return p->section->set_in[key].source != NULL;
}

void parser_select(struct parser *p, struct parser_section *section) {
        p->section = section;
        p->preopen = NULL;
        if (section->kind == PARSER_PROTOCOL)
                p->protocol = &p->tenant->protocols[section->index];
        if (section->kind != PARSER_PREOPEN)
                return;
        p->preopen = &p->tenant->preopens[section->index];
        p->protocol = &p->preopen->protocol;
}

struct parser_place_text parser_place_text(const struct parser_place *from, const struct parser_place *place) {
        char file[POLICY_ERROR_FILE_MAX];
        struct parser_place_text text;

        if (strcmp(place->source->name, from->source->name) == 0) {
                snprintf(text.text, sizeof(text.text), "line %u", place->line.number);
                return text;
        }
        nb_escape(place->source->name, strlen(place->source->name), file, sizeof(file));
        snprintf(text.text, sizeof(text.text), "%s:%u", file, place->line.number);
        return text;
}

struct policy_position parser_position(const struct parser *p) {
        return (struct policy_position){
                .file = p->place.source->name,
                .line = p->place.line.number,
                .column = (unsigned)(policy_line_value_offset(&p->place.line) + p->word_offset) + 1,
        };
}

/** The next word of a value, NUL-terminated. @return false at the end. */
static bool next_word(const char *value, size_t *from, size_t *to, char word[static POLICY_LINE_MAX + 1]) {
        *from = *to + strspn(value + *to, " \t");
        *to = *from + strcspn(value + *from, " \t");
        if (*to == *from || *to - *from > POLICY_LINE_MAX)
                return false;
        memcpy(word, value + *from, *to - *from);
        word[*to - *from] = '\0';
        return true;
}

int parser_each_word(struct parser *p, const char *value, int (*take)(struct parser *p, const char *word)) {
        size_t length = strlen(value), from, to = 0;
        struct policy_complaint complaint;
        char word[POLICY_LINE_MAX + 1];
        int r = 0;

        while (r == 0 && next_word(value, &from, &to, word)) {
                p->word_offset = from;
                r = take(p, word);
        }
        p->word_offset = 0;
        if (r != -EINVAL)
                return r;

        /* A corrected line must be right as a whole: no correction where a later word is wrong as well. What is taken meanwhile
         * goes with the policy, which is thrown away. */
        complaint = p->complaint;
        policy_complaint_widen(&complaint, value, length, from, to);
        while (next_word(value, &from, &to, word))
                if (take(p, word) < 0)
                        complaint.correct[0] = '\0';
        p->complaint = complaint;
        return -EINVAL;
}

void *parser_grow(void *array, size_t n, size_t size) {
        if ((n & (n - 1)) != 0)
                return array;
        return reallocarray(array, n > 0 ? n * 2 : 1, size);
}
