/* SPDX-License-Identifier: Apache-2.0 */
/* Policies out of texts, and decisions about addresses as text, for the tests of policy/. */
#ifndef NB_TESTS_POLICY_TEXT_H
#define NB_TESTS_POLICY_TEXT_H

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/policy.h"

/** What each of these files begins with; rules follow from line 6 on. */
#define POLICY_TENANT "[Tenant]\nName=acme\n"
#define POLICY_HEAD POLICY_TENANT "[Protocol web]\nFamily=ip\nDataPath=direct\n"

/** policy_add_file() with one default, which may be POLICY_DATA_PATH_AUTO. */
static inline int policy_add_text(struct policy *policy, const char *file, const char *text, size_t length,
                                  enum policy_data_path data_path, struct policy_error *error) {
        struct policy_defaults defaults = { .data_path = data_path };

        return policy_add_file(policy, file, text, length, &defaults, error);
}

/** Fails the test, with the error as an operator would see it, where `text` is no policy. @return owned by the caller. */
static inline struct policy *policy_with(const char *text, enum policy_data_path data_path) {
        struct policy *policy = policy_new();
        struct policy_error error;
        char message[2048];

        ck_assert_ptr_nonnull(policy);
        int r = policy_add_text(policy, "acme.conf", text, strlen(text), data_path, &error);

        ck_assert_msg(r == 0, "%s\nin\n%s", r < 0 ? policy_error_format(&error, message, sizeof(message)) : "", text);
        return policy;
}

/** The same without a default. */
static inline struct policy *policy_of(const char *text) {
        return policy_with(text, POLICY_DATA_PATH_AUTO);
}

/** An address out of its text. */
static inline struct nb_socket_address address_of(const char *text) {
        struct nb_socket_address address;

        ck_assert_msg(nb_socket_address_parse(text, strlen(text), &address) == 0, "%s", text);
        return address;
}

/** Decides about an address as text. */
static inline struct policy_verdict decide_in(const struct policy_protocol *protocol, enum policy_verb verb,
                                              const char *text) {
        struct nb_socket_address address = address_of(text);
        struct policy_verdict verdict;

        policy_decide(protocol, verb, &address, &verdict);
        return verdict;
}

/** The same for the first protocol of the first tenant. */
static inline struct policy_verdict decide(const struct policy *policy, enum policy_verb verb, const char *text) {
        return decide_in(&policy->tenants[0].protocols[0], verb, text);
}

/** Reads netbroker.conf(5), as it is written. @return owned by the caller: free() */
static inline char *policy_man_page(void) {
        const char *folder = getenv("SRCDIR");
        char path[4096], *text = NULL;
        size_t size = 0;
        FILE *file;

        snprintf(path, sizeof(path), "%s/man/netbroker.conf.5", folder ? folder : ".");
        file = fopen(path, "re");
        ck_assert_msg(file != NULL, "%s is not there", path);
        ck_assert_int_gt(getdelim(&text, &size, '\0', file), 0);
        ck_assert_int_eq(fclose(file), 0);
        return text;
}

#endif
