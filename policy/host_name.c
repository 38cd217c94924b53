/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/host_name.h"

#include <errno.h>
#include <idn2.h>
#include <stdbool.h>
#include <string.h>

#include "base/address.h"
#include "base/utf8.h"
#include "policy/error.h"

/* RFC 1035 section 2.3.4. */
#define LABEL_MAX 63

/* An A-label of LABEL_MAX bytes stands for fewer characters than it has bytes, each of which takes up to 4 in UTF-8. */
#define U_LABEL_MAX (4 * LABEL_MAX)

/* What is longer is no name, in whatever script. */
#define INPUT_MAX (4 * POLICY_HOST_NAME_MAX)

/** A name while it is read. Offsets are into `text`. */
struct reader {
        const char *text;
        size_t length;
        char name[POLICY_HOST_NAME_MAX + 1]; /* what has been read */
        size_t used;
        struct policy_complaint *complaint;
};

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

static char to_lower(char c) {
        return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Of a label in lower case; not by <ctype.h>, which asks the locale. */
static bool is_label_byte(char c) {
        return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}

static bool is_ascii(const char *text, size_t length) {
        for (size_t i = 0; i < length; ++i)
                if ((unsigned char)text[i] >= 0x80)
                        return false;
        return true;
}

/* ---- labels ---- */

static int append(struct reader *r, const char *label, size_t length) {
        size_t dot = r->used > 0;

        if (r->used + dot + length > POLICY_HOST_NAME_MAX)
                return policy_complain(r->complaint, 0, "a host name has at most %d bytes", POLICY_HOST_NAME_MAX);
        if (dot)
                r->name[r->used++] = '.';
        for (size_t i = 0; i < length; ++i)
                r->name[r->used++] = to_lower(label[i]);
        return 0;
}

static int complain_about_byte(struct reader *r, size_t at) {
        char c = r->text[at];

        if (c > ' ' && c <= '~')
                return policy_complain(r->complaint, at, "\"%c\" is in no host name", c);
        return policy_complain(r->complaint, at, "byte 0x%02x is in no host name", (unsigned char)c);
}

/** The label from `from` to `to`, of which every byte is ASCII. */
static int read_ascii(struct reader *r, size_t from, size_t to) {
        for (size_t i = from; i < to; ++i)
                if (!is_label_byte(to_lower(r->text[i])))
                        return complain_about_byte(r, i);
        if (r->text[from] == '-' || r->text[to - 1] == '-')
                return policy_complain(r->complaint, r->text[from] == '-' ? from : to - 1,
                                       "a label of a host name neither begins nor ends with \"-\"");
        if (to - from > LABEL_MAX)
                return policy_complain(r->complaint, from, "a label of a host name has at most %d bytes", LABEL_MAX);
        return append(r, r->text + from, to - from);
}

/** Why libidn2 refuses a label. */
static const char *why_not_label(int code) {
        switch (code) {
        case IDN2_NOT_NFC:
                return "it is not in normalization form C";
        case IDN2_2HYPHEN:
        case IDN2_HYPHEN_STARTEND:
                return "of its hyphens, for none stands at an end, and no two at the third and fourth place";
        case IDN2_LEADING_COMBINING:
                return "it begins with a mark that belongs to a letter";
        case IDN2_UNASSIGNED:
                return "it holds a character that Unicode does not have";
        case IDN2_BIDI:
                return "it mixes directions of writing";
        case IDN2_CONTEXTJ:
        case IDN2_CONTEXTJ_NO_RULE:
        case IDN2_CONTEXTO:
        case IDN2_CONTEXTO_NO_RULE:
                return "it holds a character that may not stand at this place";
        case IDN2_PUNYCODE_BIG_OUTPUT:
        case IDN2_TOO_BIG_LABEL:
        case IDN2_TOO_BIG_DOMAIN:
                return "its A-label is longer than 63 bytes";
        default:
                return "it holds a character that names do not have; capitals and full-width letters are such";
        }
}

/** What Unicode's mapping makes of the label is what its author meant. @param label  ends in NUL */
static void suggest_mapped(struct reader *r, size_t from, size_t to, const uint8_t *label) {
        uint8_t *mapped = NULL;

        if (idn2_lookup_u8(label, &mapped, IDN2_NONTRANSITIONAL) != IDN2_OK)
                return;
        policy_complaint_splice(r->complaint, r->text, r->length, from, to, (const char *)mapped);
        idn2_free(mapped);
}

/** The label from `from` to `to`, which is not ASCII. */
static int read_unicode(struct reader *r, size_t from, size_t to) {
        uint8_t label[U_LABEL_MAX + 1], *ascii = NULL;
        int code, result;

        if (to - from > U_LABEL_MAX)
                return policy_complain(r->complaint, from, "a label of a host name has at most %d bytes", LABEL_MAX);
        for (size_t i = from; i < to; ++i)
                label[i - from] = (uint8_t)to_lower(r->text[i]);
        label[to - from] = '\0';
        if (!nb_utf8_is_text(label, to - from))
                return policy_complain(r->complaint, from, "bytes that are not UTF-8 are in no host name");

        code = idn2_register_u8(label, NULL, &ascii, 0); /* the strict half of RFC 5891, section 4.2 */
        if (code != IDN2_OK) {
                policy_complain(r->complaint, from, "this label is none of IDNA2008 (RFC 5891): %s",
                                why_not_label(code));
                suggest_mapped(r, from, to, label);
                return -EINVAL;
        }
        result = append(r, (const char *)ascii, strlen((const char *)ascii));
        idn2_free(ascii);
        return result;
}

static int read_label(struct reader *r, size_t from, size_t to) {
        if (from == to)
                return policy_complain(r->complaint, from, "a label of the host name is empty");
        if (is_ascii(r->text + from, to - from))
                return read_ascii(r, from, to);
        return read_unicode(r, from, to);
}

/* ---- the whole ---- */

/* As inet_aton(3) reads one: decimal and octal are digits, and `0x` alone is a number there too. */
static bool is_number(const char *label) {
        const char *digits = "0123456789";

        if (label[0] == '0' && label[1] == 'x') {
                label += 2;
                digits = "0123456789abcdef";
        }
        return label[strspn(label, digits)] == '\0';
}

static bool ends_in_number(const char *name) {
        const char *dot = strrchr(name, '.');

        return is_number(dot ? dot + 1 : name);
}

static int read_labels(struct reader *r, size_t length) {
        size_t from = 0;

        for (size_t i = 0; i <= length; ++i) {
                int result;

                if (i < length && r->text[i] != '.')
                        continue;
                result = read_label(r, from, i);
                if (result < 0)
                        return result;
                from = i + 1;
        }
        r->name[r->used] = '\0';
        return 0;
}

/** A correction must be a name. */
static void settle_correction(struct policy_complaint *complaint) {
        struct policy_complaint ignored;
        struct reader r = { .text = complaint->correct, .length = strlen(complaint->correct), .complaint = &ignored };

        if (complaint->correct[0] != '\0' && read_labels(&r, r.length) < 0)
                complaint->correct[0] = '\0';
}

int policy_host_name_read(const char *text, size_t length, char ret[static POLICY_HOST_NAME_MAX + 1],
                          struct policy_complaint *ret_complaint) {
        struct reader r = { .text = text, .length = length, .complaint = ret_complaint };
        size_t used = length;

        if (used > 0 && text[used - 1] == '.')
                --used;
        if (used == 0)
                return policy_complain(ret_complaint, 0, "the host name is missing");
        if (used > INPUT_MAX)
                return policy_complain(ret_complaint, 0, "a host name has at most %d bytes", POLICY_HOST_NAME_MAX);
        if (read_labels(&r, used) < 0) {
                settle_correction(ret_complaint);
                return -EINVAL;
        }
        if (ends_in_number(r.name))
                return policy_complain(ret_complaint, 0,
                                       "a host name does not end in a number, for some would read it as an address");
        memcpy(ret, r.name, r.used + 1);
        return 0;
}

int policy_host_name_parse(const char *text, size_t length, struct policy_host_name *ret) {
        const char *colon = memchr(text, ':', length);
        struct policy_host_name name = { .port = 0 };
        struct policy_complaint ignored;
        size_t n;

        if (!colon)
                return -EINVAL;
        n = (size_t)(colon - text);
        if (nb_port_parse(colon + 1, length - n - 1, &name.port) < 0 || name.port == 0)
                return -EINVAL;
        if (policy_host_name_read(text, n, name.text, &ignored) < 0)
                return -EINVAL;
        *ret = name;
        return 0;
}
