/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words that values of keys are made of, each list once: the parser reads by it and the dump prints by it.
 */
#ifndef NB_POLICY_WORDS_H
#define NB_POLICY_WORDS_H

#include "policy/value.h"

extern const struct policy_word policy_words_family[];       /* enum policy_family */
extern const struct policy_word policy_words_data_path[];    /* enum policy_data_path */
extern const struct policy_word policy_words_socket_type[];  /* enum policy_socket_type */
extern const struct policy_word policy_words_mode[];         /* enum policy_mode */
extern const struct policy_word policy_words_existing[];     /* enum policy_existing */
extern const struct policy_word policy_words_yes_no[];       /* bool */
extern const struct policy_word policy_words_tls[];          /* enum policy_tls_role, as bits */
extern const struct policy_word policy_words_tls_version[];  /* enum policy_tls_version */
extern const struct policy_word policy_words_client_auth[];  /* enum policy_client_auth */
extern const struct policy_word policy_words_hop[];          /* enum policy_hop_kind */
extern const struct policy_word policy_words_proxy_header[]; /* enum policy_proxy_header, without NONE */
extern const struct policy_word policy_words_retry[];        /* bool: struct policy_quic's always_retry */

/** @return the word of a list that stands for a value that it has. */
const char *policy_word(const struct policy_word *words, int value);

#endif
