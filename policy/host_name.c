/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/host_name.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/address.h"

/* RFC 1035 section 2.3.4. */
#define LABEL_MAX 63

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

static bool label_is_valid(const char *label, size_t length) {
        if (length == 0 || length > LABEL_MAX || label[0] == '-' || label[length - 1] == '-')
                return false;
        for (size_t i = 0; i < length; ++i)
                if (!is_label_byte(label[i]))
                        return false;
        return true;
}

static bool labels_are_valid(const char *name, size_t length) {
        size_t from = 0;

        for (size_t i = 0; i <= length; ++i) {
                if (i < length && name[i] != '.')
                        continue;
                if (!label_is_valid(name + from, i - from))
                        return false;
                from = i + 1;
        }
        return true;
}

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

int policy_host_name_parse(const char *text, size_t length, struct policy_host_name *ret) {
        const char *colon = memchr(text, ':', length);
        struct policy_host_name name = { .port = 0 };
        size_t n;

        if (!colon)
                return -EINVAL;
        n = (size_t)(colon - text);
        if (nb_port_parse(colon + 1, length - n - 1, &name.port) < 0 || name.port == 0)
                return -EINVAL;
        if (n > 0 && text[n - 1] == '.')
                --n;
        if (n == 0 || n > POLICY_HOST_NAME_MAX)
                return -EINVAL;
        for (size_t i = 0; i < n; ++i)
                name.text[i] = to_lower(text[i]);
        if (!labels_are_valid(name.text, n) || ends_in_number(name.text))
                return -EINVAL;
        *ret = name;
        return 0;
}
