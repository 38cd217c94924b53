/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `netbrokerctl token`: making, narrowing, showing and revoking capability tokens, without netbrokerd. Its parts share this.
 */
#ifndef NB_CTL_TOKEN_H
#define NB_CTL_TOKEN_H

#include "ctl/command.h"
#include "token/token.h"

/**
 * Reads the token of a command: of the file that its operand names, or of standard input for "-" or none; says what is wrong.
 * @param n_before  operands in front of it
 * @param ret       owned by the caller: ctl_token_wipe()
 * @return CTL_OK or CTL_BAD
 */
int ctl_token_read(const struct ctl *ctl, size_t n_before, struct token_bytes *ret);

/** Overwrites and frees bytes that hold a secret. */
void ctl_token_wipe(struct token_bytes *bytes);

/** Reads the issuer's secret key of --key, or says what is wrong. @return CTL_OK or CTL_BAD */
int ctl_token_read_key(const struct ctl *ctl, struct token_secret *ret);

/**
 * Writes a line with a secret to the file of --output, which must not be there yet and is its owner's alone, or to standard output.
 * @return CTL_OK or CTL_NO
 */
int ctl_token_write(const struct ctl *ctl, const char *line);

/**
 * Makes a block of the command's options, with a new identifier, and has it judged as a broker will.
 * @param ret  owned by the caller: free()
 * @return CTL_OK or CTL_BAD
 */
int ctl_token_make_block(const struct ctl *ctl, struct token_bytes *ret);

/** Prints a token in words, or as JSON; never its secret. @return CTL_OK or CTL_BAD */
int ctl_token_show(const struct ctl *ctl, const struct token_bytes *token);

/**
 * Parses a moment: `2h` from now (s, min, h, d), or RFC 3339's `2026-11-23T10:00:00Z`, also with an offset.
 * @param now_s  seconds since 1970
 * @return 0 or -EINVAL
 */
int ctl_token_parse_time(const char *text, uint64_t now_s, uint64_t *ret);

#endif
