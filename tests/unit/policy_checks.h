/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of policy/ expect: of bad texts an error with its place and its correction, of questions a verdict with its rule or reason
 * and its remedy, and of random policies the verdicts of an oracle.
 *
 * Functions fail the test (ck_abort) instead of returning errors.
 */
#ifndef NB_TESTS_POLICY_CHECKS_H
#define NB_TESTS_POLICY_CHECKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/policy_text.h"

/** A text that is no policy, and what is said about it. */
struct bad_text {
        const char *text;
        unsigned line, column;
        const char *message; /* a part of it */
        const char *correct; /* NULL: none */
};

/** `text` must not be a policy, and the error the one of `bad`, whose own text is not looked at. @param length  bytes, NULs among them */
void expect_error(const char *text, size_t length, const struct bad_text *bad);

/** The same for the text of `bad`. */
void expect_bad_text(const struct bad_text *bad);

/**
 * The same for a file of `head`, the line `key=` with the text of `bad` for its value, and `tail`. What is said to be written instead, must
 * be a policy in its place.
 * @param bad  its line is not looked at; its column counts from the value, and its correction is one of the value
 */
void expect_bad_value(const char *head, const char *key, const struct bad_text *bad, const char *tail);

/** Every cut of a policy, and many a change of it, must end in a policy or in an error that can be shown. @param seed  not 0 */
void expect_damage_is_told(const char *whole_file, uint64_t seed);

/**
 * @param allowed  what the verdict must be
 * @param text     a part of the reason of a refusal, or of "granted by RULE (FILE:LINE)" or "no Deny rule matches"
 * @param remedy   the whole of it; NULL: none
 */
void expect_verdict(const struct policy_verdict *verdict, bool allowed, const char *text, const char *remedy);

/** A question, asked of a protocol with these rules, and its answer. */
struct decision {
        const char *rules;
        enum policy_verb verb;
        const char *address;
        bool allowed;
        const char *text, *remedy; /* as expect_verdict() has them */
};

/** The first protocol of a file of `head` and the rules must decide so. */
void expect_decision(const char *head, const struct decision *decision);

/** Random policies and questions, and what is right. */
struct policy_property {
        uint64_t seed; /* not 0 */
        unsigned policies;
        unsigned questions; /* of each policy */
        unsigned remedy_in; /* of so many remedies one is tried, since that takes a policy of its own */
        void (*write)(uint64_t *state, char *text, size_t size);
        struct nb_socket_address (*pick)(uint64_t *state);
        bool (*oracle)(const struct policy_protocol *protocol, enum policy_verb verb,
                       const struct nb_socket_address *address);
};

/**
 * The first protocol of each policy must decide as the oracle does, in whatever order its rules are; who is refused has a reason, and with the
 * remedy's line the same question is answered with yes. The answers must not be all of one kind.
 */
void expect_property(const struct policy_property *property);

#endif
