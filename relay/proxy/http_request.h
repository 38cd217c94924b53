/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CONNECT request (RFC 9110 section 9.3.6): the request line, `Host`, and credentials where there are some.
 *
 * There is no User-Agent: nothing depends on it, and a proxy, with whoever reads its log, need not learn what runs here.
 */
#ifndef NB_RELAY_PROXY_HTTP_REQUEST_H
#define NB_RELAY_PROXY_HTTP_REQUEST_H

#include <stddef.h>

#include "relay/proxy/target.h"

struct context_password;

/** Enough for any request, with a NUL. */
#define HTTP_REQUEST_MAX 2048

/**
 * Writes a request.
 * @param password  sent by the scheme Basic (RFC 7617); NULL: none
 * @param buffer    holds a password afterwards: wipe it when it was sent
 * @param ret_length  in bytes, without the NUL
 * @return 0; -EINVAL for a user or a password that cannot be sent; -ENOMEM
 */
int http_request_format(const struct proxy_target *target, const struct context_password *password,
                        char buffer[static HTTP_REQUEST_MAX], size_t *ret_length);

#endif
