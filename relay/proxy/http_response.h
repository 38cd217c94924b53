/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A proxy's answer to CONNECT (RFC 9110 section 9.3.6, RFC 9112): its status line and the block of fields behind it.
 *
 * Bytes are fed as they come, in pieces of any size, and nothing of them is kept but the status and a little of its reason. Only the status
 * says anything to us: fields are read for their form, so that the end of the block is where every reader finds it, and are otherwise
 * ignored, `Location` as well as the lengths that an answer to CONNECT may not have. Interim answers (1xx) are skipped, a few of them.
 *
 * What can be read in two ways is refused: a line that ends without CR, a CR elsewhere, a NUL or another control character, a field that is
 * continued on the next line, a name with a space behind it.
 */
#ifndef NB_RELAY_PROXY_HTTP_RESPONSE_H
#define NB_RELAY_PROXY_HTTP_RESPONSE_H

#include <stddef.h>
#include <stdint.h>

#include "proto/relay.pb-c.h"

/** The most bytes of an answer, interim ones in front of it included. */
#define HTTP_RESPONSE_MAX 16384

/** The most bytes of one line. */
#define HTTP_RESPONSE_LINE_MAX 8192

/** The most lines, interim answers' included. */
#define HTTP_RESPONSE_LINES_MAX 100

/** The most interim answers. */
#define HTTP_RESPONSE_INTERIM_MAX 5

/** How much of the reason phrase is kept, for messages. */
#define HTTP_REASON_MAX 64

enum http_response_place {
        HTTP_AT_VERSION,
        HTTP_AT_STATUS,
        HTTP_AT_STATUS_END,
        HTTP_AT_REASON,
        HTTP_AT_STATUS_LF,
        HTTP_AT_FIELD, /* at the beginning of a line */
        HTTP_AT_NAME,
        HTTP_AT_VALUE,
        HTTP_AT_VALUE_LF,
        HTTP_AT_LAST_LF,
        HTTP_AT_END,
};

/** Zero is the beginning. */
struct http_response {
        enum http_response_place place;
        unsigned status; /* when it has ended: 200 to 599 */
        size_t n_bytes;
        size_t line_length;
        size_t in_token; /* bytes of the version or of the status that were read */
        unsigned n_lines;
        unsigned n_interim;
        size_t reason_length;
        char reason[HTTP_REASON_MAX]; /* a stranger's bytes: escape them */
        const char *complaint;        /* why it is no answer; a part of a sentence */
};

/**
 * Reads on.
 * @param ret_used  how many of the bytes belong to the answer; what is behind its end does not
 * @return 0 at the end; -EAGAIN: all were used, and more are to come; -EBADMSG: see `complaint`
 */
int http_response_feed(struct http_response *response, const uint8_t *bytes, size_t length, size_t *ret_used);

/** What a status comes to. @return CAUSE_UNSPECIFIED for success */
Nb__Relay__Cause http_status_cause(unsigned status);

#endif
