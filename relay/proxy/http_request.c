/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/proxy/http_request.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

#include "relay/context.h"

/* `user:password` of the longest, with its NUL. */
#define CREDENTIALS_MAX (2 * PROXY_NAME_MAX + 2)

static const char *format_target(const struct proxy_target *target, char buffer[static PROXY_TARGET_TEXT_MAX]) {
        if (!target->is_name)
                return nb_address_format(&target->address, buffer);
        (void)snprintf(buffer, PROXY_TARGET_TEXT_MAX, "%s:%u", target->name, target->port);
        return buffer;
}

static void wipe_and_free(gnutls_datum_t *datum) {
        if (!datum->data)
                return;
        explicit_bzero(datum->data, datum->size);
        gnutls_free(datum->data);
        datum->data = NULL;
}

/* @param ret  freed by wipe_and_free() */
static int encode_credentials(const struct context_password *password, gnutls_datum_t *ret) {
        unsigned char text[CREDENTIALS_MAX];
        gnutls_datum_t plain = { .data = text };
        int r;

        /* A colon in the user would move the border to the password (RFC 7617 section 2). */
        if (!proxy_credential_is_sound(password->user) || strchr(password->user, ':') ||
            !proxy_credential_is_sound(password->password))
                return -EINVAL;
        plain.size = (unsigned)snprintf((char *)text, sizeof(text), "%s:%s", password->user, password->password);
        r = gnutls_base64_encode2(&plain, ret);
        explicit_bzero(text, sizeof(text));
        return r < 0 ? -ENOMEM : 0;
}

int http_request_format(const struct proxy_target *target, const struct context_password *password,
                        char buffer[static HTTP_REQUEST_MAX], size_t *ret_length) {
        char text[PROXY_TARGET_TEXT_MAX];
        gnutls_datum_t credentials = { 0 };
        int length, r = 0;

        if (password)
                r = encode_credentials(password, &credentials);
        if (r < 0)
                return r;
        format_target(target, text);
        length = snprintf(buffer, HTTP_REQUEST_MAX, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s%.*s%s\r\n", text, text,
                          password ? "Proxy-Authorization: Basic " : "", (int)credentials.size,
                          password ? (const char *)credentials.data : "", password ? "\r\n" : "");
        wipe_and_free(&credentials);
        if (length < 0 || length >= HTTP_REQUEST_MAX)
                return -EINVAL;
        *ret_length = (size_t)length;
        return 0;
}
