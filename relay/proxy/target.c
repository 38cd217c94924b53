/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/proxy/target.h"

#include <errno.h>
#include <string.h>

#define DIGITS "0123456789"
#define HEX_DIGITS DIGITS "abcdefABCDEF"
#define LABEL_BYTES DIGITS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"

/* Decimal, octal or hexadecimal, as inet_aton(3) reads the parts of an address. */
static bool is_number(const char *label) {
        if (label[0] == '0' && (label[1] == 'x' || label[1] == 'X'))
                label += 2;
        else if (label[0] == '\0')
                return false;
        else
                return label[strspn(label, DIGITS)] == '\0';
        return label[strspn(label, HEX_DIGITS)] == '\0';
}

/* Labels of what host names are of, none of them empty, the last one no number. */
static bool is_name(const char *name) {
        const char *label = name;
        size_t length;

        for (;; label += length + 1) {
                length = strspn(label, LABEL_BYTES);
                if (length == 0)
                        return false;
                if (label[length] == '\0')
                        return !is_number(label);
                if (label[length] != '.')
                        return false;
        }
}

static int parse_name(const char *text, size_t length, struct proxy_target *ret) {
        const char *colon = memrchr(text, ':', length);
        struct proxy_target target = { .is_name = true };
        size_t name_length;

        if (!colon)
                return -EINVAL;
        name_length = (size_t)(colon - text);
        if (name_length == 0 || name_length > PROXY_NAME_MAX || memchr(text, '\0', name_length))
                return -EINVAL;
        memcpy(target.name, text, name_length);
        if (!is_name(target.name) || nb_port_parse(colon + 1, length - name_length - 1, &target.port) < 0)
                return -EINVAL;
        if (target.port == 0)
                return -EINVAL;
        *ret = target;
        return 0;
}

int proxy_target_parse(const char *text, size_t length, struct proxy_target *ret) {
        struct nb_address address;

        if (nb_address_parse(text, length, &address) < 0)
                return parse_name(text, length, ret);
        if (address.port == 0)
                return -EINVAL;
        *ret = (struct proxy_target){ .address = address, .port = address.port };
        return 0;
}

bool proxy_credential_is_sound(const char *text) {
        size_t length = strlen(text);

        if (length == 0 || length > PROXY_NAME_MAX)
                return false;
        for (size_t i = 0; i < length; ++i)
                if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
                        return false;
        return true;
}
