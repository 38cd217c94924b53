/* SPDX-License-Identifier: Apache-2.0 */
/* Policies out of texts, and decisions about addresses as text, for the tests of policy/. */
#ifndef NB_TESTS_POLICY_TEXT_H
#define NB_TESTS_POLICY_TEXT_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "policy/policy.h"

/** What each of these files begins with; rules follow from line 6 on. */
#define POLICY_HEAD "[Tenant]\nName=acme\n[Protocol web]\nFamily=ip\nDataPath=direct\n"

/** Fails the test, with the error as an operator would see it, where `text` is no policy. @return owned by the caller. */
static inline struct policy *policy_of(const char *text) {
        struct policy_defaults defaults = { 0 };
        struct policy *policy = policy_new();
        struct policy_error error;
        char message[2048];

        ck_assert_ptr_nonnull(policy);
        int r = policy_add_file(policy, "acme.conf", text, strlen(text), &defaults, &error);

        ck_assert_msg(r == 0, "%s\nin\n%s", r < 0 ? policy_error_format(&error, message, sizeof(message)) : "", text);
        return policy;
}

/** Decides about an address as text, for the first protocol of the first tenant. */
static inline struct policy_verdict decide(const struct policy *policy, enum policy_verb verb, const char *text) {
        struct nb_socket_address address;
        struct policy_verdict verdict;

        ck_assert_msg(nb_socket_address_parse(text, strlen(text), &address) == 0, "%s", text);
        policy_decide(&policy->tenants[0].protocols[0], verb, &address, &verdict);
        return verdict;
}

#endif
