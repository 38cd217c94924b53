/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NB_BASE_BASE64URL_H
#define NB_BASE_BASE64URL_H

#include <stddef.h>
#include <stdint.h>

/**
 * Decodes base64url without padding (RFC 4648 section 5). Each text but the canonical one of its bytes is refused.
 * @param buffer  at least length / 4 * 3 + 2 bytes
 * @return 0 or -EINVAL
 */
int nb_base64url_decode(const char *text, size_t length, uint8_t *buffer, size_t *ret_length);

#endif
