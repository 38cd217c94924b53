/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is narrowed beside the policy: by the blocks of a capability token (token/token.h), and by protocol_restrict.
 *
 * A list of blocks, each of which must allow what the policy allows. So a block can only take away: what it names and the policy does not grant
 * stays refused, and nothing that a later block says gives back what an earlier one took. Patterns are those of the policy, read by its parser and judged by
 * its evaluator, with everything that this knows of mapped and embedded addresses, of the unspecified one, and of ranges that want to be named.
 *
 * Of each list that a block may have, the absent one narrows nothing and the empty one leaves nothing:
 *
 *      protocols   names of [Protocol] and [Preopen] sections
 *      verbs       connect; listen, which is to bind, to listen and to accept
 *      Connect=    what may be connected to. A name that it has is a name grant, as in a policy: which addresses the name may have is still the
 *                  policy's word (`Addresses=`), and the block's Deny= holds for them.
 *      Listen=     what may be bound
 *      Deny=       what may not be connected to, bound, or accepted from; absent and empty are the same here
 *
 * What a narrowing refuses is `impossible` in the words of policy/policy.h: no rule of the policy could allow it. So report mode does not let it
 * pass. That mode is for an operator who tries out the policy, and must not lend what the holder of the token has taken away.
 *
 * Immutable when it is made, so that a list is shared by whatever came of one session or protocol, and outlives both: reference-counted, by one thread. What was
 * allowed by a list once is allowed by it for ever, but for the time, which is its reader's to compare (narrowings_time()).
 */
#ifndef NB_POLICY_NARROWING_H
#define NB_POLICY_NARROWING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/policy.h"

/** The most blocks of one list: those of a token, and as many again by protocol_restrict. */
#define NARROWINGS_MAX 32

/** The most bytes of all blocks of one list, as they are kept. */
#define NARROWINGS_BYTES_MAX (16 * 1024)

/** The most patterns of one block, and the most names of protocols. */
#define NARROWING_PATTERNS_MAX 512
#define NARROWING_NAMES_MAX 64

/** The identifier of a block of a token, in bytes. */
#define NARROWING_ID_SIZE 16

/** The longest label of a block, in bytes. */
#define NARROWING_LABEL_MAX 128

/** What a block allows to be done at all, as bits. */
enum narrowing_verb {
        NARROWING_CONNECT = 0x1,
        NARROWING_LISTEN = 0x2,
};

/** Text that is not ended by NUL, borrowed. */
struct narrowing_text {
        const char *text;
        size_t length;
};

/** A list of a block. Borrowed. */
struct narrowing_list {
        bool is_present;
        const struct narrowing_text *items;
        size_t n_items;
};

/** What a block is made of. All borrowed; all zero narrows nothing. */
struct narrowing_source {
        const char *origin; /* for reasons, what it is: "block 2 of the token" */
        struct narrowing_list protocols, connect, listen, deny;
        bool has_verbs;
        unsigned verbs;                   /* enum narrowing_verb */
        uint64_t limits[POLICY_N_LIMITS]; /* of a session; 0: not narrowed */
        uint64_t not_before, not_after;   /* seconds since 1970, inclusive and exclusive; 0: no bound */
        const char *label;                /* NULL: none */
        const uint8_t *id;                /* NARROWING_ID_SIZE bytes; NULL: none */
        const void *bytes;                /* what the block was read from, for narrowings_bytes() */
        size_t n_bytes;
        uint64_t charge;                               /* what the caller has charged somebody for it; */
        void (*uncharge)(void *data, uint64_t charge); /* called when the block is gone that was made; NULL: nothing */
        void *charge_data;
};

/** Why something cannot be a block. */
struct narrowing_error {
        char message[640]; /* printable; with the corrected pattern, where there is one */
};

struct narrowings;

/**
 * Makes a list of all blocks of another, and one more.
 * @param base  borrowed; NULL: none
 * @param ret   a reference, owned by the caller
 * @param error filled in on -EINVAL and -E2BIG
 * @return 0; -EINVAL: a pattern, a name or a number that the policy would not take either; -E2BIG: beyond one of the bounds above; -ENOMEM
 */
int narrowings_add(const struct narrowings *base, const struct narrowing_source *source, struct narrowings **ret,
                   struct narrowing_error *error);

/** Takes NULL. @return another reference to the same list */
struct narrowings *narrowings_ref(const struct narrowings *narrowings);

/** Takes NULL. @return NULL */
struct narrowings *narrowings_unref(struct narrowings *narrowings);

/** A list with nothing in it is NULL, here and below. @return how many blocks there are */
size_t narrowings_count(const struct narrowings *narrowings);

/** What one block was read from. @param ret_length  its bytes @return borrowed */
const void *narrowings_bytes(const struct narrowings *narrowings, size_t i, size_t *ret_length);

/** Whether two lists are of the same blocks. */
bool narrowings_are_same(const struct narrowings *a, const struct narrowings *b);

/** @return the identifier of a block, borrowed; NULL: it has none */
const uint8_t *narrowings_id(const struct narrowings *narrowings, size_t i);

/** @return the label of a block, borrowed; "" where it has none */
const char *narrowings_label(const struct narrowings *narrowings, size_t i);

/** Whether all blocks name a protocol, or a preopened socket. */
bool narrowings_allow_protocol(const struct narrowings *narrowings, const char *protocol);

/** Whether all blocks leave something of a verb: of listening and accepting alike. */
bool narrowings_allow_verb(const struct narrowings *narrowings, enum policy_verb verb);

/**
 * Whether all blocks allow what the policy allows.
 * @param protocol  the name of its section
 * @param address   as of policy_decide()
 * @param ret       filled in where one refuses, with the reason; untouched otherwise
 */
bool narrowings_allow(const struct narrowings *narrowings, const char *protocol, enum policy_verb verb,
                      const struct nb_socket_address *address, struct policy_verdict *ret);

/** The same of a name that is to be asked of DNS and connected to. */
bool narrowings_allow_name(const struct narrowings *narrowings, const char *protocol,
                           const struct policy_host_name *name, struct policy_verdict *ret);

/** The same of one address of a name that was allowed: no Deny rule names it. */
bool narrowings_allow_resolved(const struct narrowings *narrowings, const char *protocol,
                               const struct policy_host_name *name, const struct nb_address *address,
                               struct policy_verdict *ret);

/** @return the least that a block says of a limit; POLICY_UNLIMITED where none does */
uint64_t narrowings_limit(const struct narrowings *narrowings, enum policy_limit limit);

/** When all blocks hold, in seconds since 1970: from `not_before` on, and until just before `not_after`; 0: no bound. */
struct narrowings_time {
        uint64_t not_before, not_after;
};

struct narrowings_time narrowings_time(const struct narrowings *narrowings);

#endif
