/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/unix_pattern.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

/* A correction may need correcting itself: each round takes away one mistake. */
#define CORRECTION_ROUNDS 8

/* What other programs write in front of a path. */
#define SCHEME "unix:"
#define SCHEME_LENGTH (sizeof(SCHEME) - 1)

/** A pattern's text while it is checked. It ends in NUL. */
struct pattern_parser {
        const char *text;
        size_t length;
        struct policy_complaint *complaint;
};

bool policy_unix_pattern_is_meant(const char *text) {
        return text[0] == '/' || text[0] == '@';
}

/* ---- checking ---- */

/** Puts `replacement` in the place of the bytes from `from` to `to`. @return -EINVAL. */
static int correct(struct pattern_parser *p, size_t from, size_t to, const char *replacement) {
        policy_complaint_splice(p->complaint, p->text, p->length, from, to, replacement);
        return -EINVAL;
}

static int check_begin(struct pattern_parser *p) {
        if (p->length == 0)
                return policy_complain(p->complaint, 0, "the name of the Unix socket is missing");
        if (policy_unix_pattern_is_meant(p->text))
                return 0;

        policy_complain(p->complaint, 0, "the path of a Unix socket begins with \"/\", an abstract name with \"@\"");
        if (strncasecmp(p->text, SCHEME, SCHEME_LENGTH) == 0)
                return correct(p, 0, SCHEME_LENGTH, "");
        if (isalnum((unsigned char)p->text[0]) && strchr(p->text, '/')) /* a path, but not behind ~ or a quote */
                return correct(p, 0, 0, "/");
        return -EINVAL;
}

static int check_wildcards(struct pattern_parser *p) {
        size_t foreign = strcspn(p->text, "?[{\\"), expanded = strcspn(p->text, "%$");
        const char *twice = strstr(p->text, "**");

        if (twice) {
                size_t at = (size_t)(twice - p->text);

                policy_complain(p->complaint, at, "there is no \"**\"; \"*\" stands for any bytes of one component");
                return correct(p, at, at + 2, "*");
        }
        if (foreign < p->length)
                return policy_complain(p->complaint, foreign,
                                       "\"%c\" is not in a rule: the only wildcard is \"*\", which stands for any "
                                       "bytes of one component",
                                       p->text[foreign]);
        if (expanded < p->length)
                return policy_complain(p->complaint, expanded, "\"%c\" is not in a rule: nothing is expanded",
                                       p->text[expanded]);
        return 0;
}

/** One component, from `from` to `to`, behind a slash. */
static int check_component(struct pattern_parser *p, size_t from, size_t to) {
        bool last = to == p->length;

        if (from == to && from == 1 && last)
                return policy_complain(p->complaint, 0, "\"/\" is no socket");
        if (from == to && last) {
                policy_complain(p->complaint, from - 1,
                                "a \"/\" at the end: a rule matches sockets, not what is below");
                return correct(p, from - 1, to, "");
        }
        if (from == to) {
                policy_complain(p->complaint, from, "an empty component: one \"/\" is enough");
                return correct(p, from, to + 1, "");
        }
        if (to - from == 1 && p->text[from] == '.') {
                policy_complain(p->complaint, from, "a component \".\": the path is written without");
                return correct(p, from - 1, to, "");
        }
        if (to - from == 2 && strncmp(p->text + from, "..", 2) == 0)
                return policy_complain(p->complaint, from, "a component \"..\": a path leads down from the root only");
        return 0;
}

static int check_path(struct pattern_parser *p) {
        size_t from = 1;

        while (from <= p->length) {
                size_t to = from + strcspn(p->text + from, "/");
                int r = check_component(p, from, to);

                if (r < 0)
                        return r;
                from = to + 1;
        }
        return 0;
}

static int check_once(const char *text, size_t length, struct policy_complaint *ret_complaint) {
        struct pattern_parser p = { .text = text, .length = length, .complaint = ret_complaint };
        size_t longest = NB_UNIX_NAME_MAX + (text[0] == '@');
        struct nb_unix_name ignored;
        int r = check_begin(&p);

        if (r == 0)
                r = check_wildcards(&p);
        if (r == 0 && text[0] == '/')
                r = check_path(&p);
        if (r < 0)
                return r;
        if (length == 1)
                return policy_complain(ret_complaint, 1, "the abstract name behind the \"@\" is missing");
        if (length > longest)
                return policy_complain(ret_complaint, longest, "the name of a Unix socket has at most %d bytes",
                                       NB_UNIX_NAME_MAX);
        if (nb_unix_name_parse(text, length, &ignored) < 0) /* a star is as good as another byte there */
                return policy_complain(ret_complaint, 0, "a control character, or bytes that are not UTF-8");
        return 0;
}

/** Corrects a correction until it is a pattern, and drops it where that leads nowhere. */
static void settle_correction(struct policy_complaint *complaint) {
        struct policy_complaint next;

        for (unsigned i = 0; i < CORRECTION_ROUNDS && complaint->correct[0] != '\0'; ++i) {
                if (check_once(complaint->correct, strlen(complaint->correct), &next) == 0)
                        return;
                memcpy(complaint->correct, next.correct, sizeof(complaint->correct));
        }
        complaint->correct[0] = '\0';
}

int policy_unix_pattern_check(const char *text, size_t length, struct policy_complaint *ret_complaint) {
        char copy[sizeof(ret_complaint->correct)]; /* ends in NUL, which the searches want */
        int r;

        if (length >= sizeof(copy) || memchr(text, '\0', length))
                return policy_complain(ret_complaint, 0, "this is not the name of a Unix socket");
        memcpy(copy, text, length);
        copy[length] = '\0';

        r = check_once(copy, length, ret_complaint);
        if (r < 0)
                settle_correction(ret_complaint);
        return r;
}

struct policy_unix_pattern policy_unix_pattern_of(const char *text) {
        bool abstract = text[0] == '@';

        return (struct policy_unix_pattern){ .abstract = abstract, .text = text + abstract };
}

/* ---- matching ---- */

/**
 * Whether a pattern without borders of components matches. Only the last star that was met is ever widened, for what an
 * earlier one could take more, the last one can take as well. So each byte of the name is compared at most once with each of
 * the pattern.
 */
static bool matches(const char *pattern, size_t pattern_length, const char *name, size_t name_length) {
        size_t p = 0, n = 0, behind_star = 0, taken = 0;

        while (n < name_length) {
                if (p < pattern_length && pattern[p] == '*') {
                        behind_star = ++p;
                        taken = n;
                } else if (p < pattern_length && pattern[p] == name[n]) {
                        ++p;
                        ++n;
                } else if (behind_star > 0) {
                        p = behind_star;
                        n = ++taken;
                } else {
                        return false;
                }
        }
        while (p < pattern_length && pattern[p] == '*')
                ++p;
        return p == pattern_length;
}

/** Component by component; both begin with a slash. */
static bool path_matches(const char *pattern, const char *name, bool dots) {
        while (*pattern == '/' && *name == '/') {
                size_t pattern_length = strcspn(++pattern, "/"), name_length = strcspn(++name, "/");

                if (*name == '.' && *pattern != '.' && !dots)
                        return false;
                if (!matches(pattern, pattern_length, name, name_length))
                        return false;
                pattern += pattern_length;
                name += name_length;
        }
        return *pattern == '\0' && *name == '\0';
}

bool policy_unix_pattern_matches(const struct policy_unix_pattern *pattern, const struct nb_unix_name *name,
                                 bool dots) {
        if (pattern->abstract != name->abstract || name->length == 0)
                return false;
        if (pattern->abstract)
                return matches(pattern->text, strlen(pattern->text), name->text, name->length);
        return path_matches(pattern->text, name->text, dots);
}
