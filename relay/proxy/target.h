/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a proxy is asked for: an address, or a name that it is to resolve.
 *
 * The broker has judged it before. It is parsed again here, as strictly, because it goes into a request whose reader is a stranger's
 * program: what could end a line there, or be read as something else, is refused before a byte is sent, and so is a name that inet_aton(3) would
 * take for an address.
 */
#ifndef NB_RELAY_PROXY_TARGET_H
#define NB_RELAY_PROXY_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

/** The longest name that SOCKS5 can ask for, in bytes (RFC 1928 section 5). No other proxy gets a longer one. */
#define PROXY_NAME_MAX 255

/** Enough for a name with its port, and a NUL. */
#define PROXY_TARGET_TEXT_MAX (PROXY_NAME_MAX + sizeof(":65535"))

struct proxy_target {
        bool is_name;
        char name[PROXY_NAME_MAX + 1]; /* NUL-terminated */
        struct nb_address address;
        uint16_t port; /* never 0 */
};

/** Parses `192.0.2.1:443`, `[2001:db8::1]:443` or `api.example.com:443`. @return 0, or -EINVAL */
int proxy_target_parse(const char *text, size_t length, struct proxy_target *ret);

/** Whether a user or a password may be sent: 1 to 255 bytes, no space and no control character. */
bool proxy_credential_is_sound(const char *text);

#endif
