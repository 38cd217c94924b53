/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of SOCKS5 (RFC 1928) and of its login by user and password (RFC 1929), without any I/O.
 *
 * Each answer is read by as many bytes as it has and no more, so that what follows is still in the socket. A name that does not fit into the
 * request is refused: no other kind of request is tried instead.
 */
#ifndef NB_RELAY_PROXY_SOCKS5_H
#define NB_RELAY_PROXY_SOCKS5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/relay.pb-c.h"
#include "relay/proxy/target.h"

struct context_password;

/** The sizes of the longest messages, and of answers that have one size. */
#define SOCKS5_GREETING_MAX 4
#define SOCKS5_METHOD_SIZE 2
#define SOCKS5_LOGIN_MAX (3 + 2 * 255)
#define SOCKS5_LOGIN_ANSWER_SIZE 2
#define SOCKS5_REQUEST_MAX (4 + 1 + 255 + 2)
#define SOCKS5_REPLY_MAX (4 + 1 + 255 + 2)

/** Writes the methods that we know: none, and with a password that too. @return how many bytes */
size_t socks5_write_greeting(bool has_password, uint8_t buffer[static SOCKS5_GREETING_MAX]);

/**
 * Reads the proxy's choice.
 * @return 0: nothing is asked for; 1: the password is; -EACCES: the proxy takes none of our methods; -EBADMSG
 */
int socks5_read_method(const uint8_t answer[static SOCKS5_METHOD_SIZE], bool has_password);

/** Writes the login; `buffer` is to be wiped when it was sent. @return how many bytes; -EINVAL for what cannot be sent */
int socks5_write_login(const struct context_password *password, uint8_t buffer[static SOCKS5_LOGIN_MAX]);

/** @return 0; -EACCES: wrong; -EBADMSG */
int socks5_read_login_answer(const uint8_t answer[static SOCKS5_LOGIN_ANSWER_SIZE]);

/** Writes a CONNECT request: an address of IPv4 or IPv6, or a name. @return how many bytes */
size_t socks5_write_request(const struct proxy_target *target, uint8_t buffer[static SOCKS5_REQUEST_MAX]);

/**
 * Reads what there is of a reply; the address that it holds says nothing to us.
 * @param ret_code  set where the return is 0: of the reply, 0 for success. One that tells of a failure is not read to its end.
 * @return 0; how many bytes there must be at least, more than `length` and at most SOCKS5_REPLY_MAX; -EBADMSG
 */
int socks5_read_reply(const uint8_t *bytes, size_t length, uint8_t *ret_code);

/**
 * What a reply's code comes to.
 * @param ret_words  what the code says, a part of a sentence
 * @return CAUSE_UNSPECIFIED for success
 */
Nb__Relay__Cause socks5_code_cause(uint8_t code, const char **ret_words);

#endif
