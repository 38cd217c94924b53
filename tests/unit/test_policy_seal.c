/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DataPath=auto: what a policy makes of the one fact that it does not know itself, whether the broker's seal is proven.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/explain.h"
#include "policy/policy.h"
#include "tests/support/runner.h"
#include "tests/unit/policy_text.h"

#define PROTOCOL POLICY_TENANT "[Protocol web]\n"
#define ELEMENTS(array) ((int)(sizeof(array) / sizeof((array)[0])))

static const struct policy_protocol *protocol_in(const struct policy *policy) {
        return &policy->tenants[0].protocols[0];
}

/* Each kind of protocol, and where its sockets stay without the seal and with it. */
static const struct {
        const char *text;
        bool keeps_open, keeps_sealed;
} kinds[] = {
        { PROTOCOL "Family=ip\nConnect=10.0.0.1:80\n", true, false },
        { PROTOCOL "Family=ip\nDataPath=auto\nConnect=10.0.0.1:80\n", true, false },
        { PROTOCOL "Family=ipv6\nSocketTypes=stream dgram\nConnect=[2001:db8::1]:80\n", true, false },
        { PROTOCOL "Family=ip\nDataPath=relay\nConnect=10.0.0.1:80\n", true, true },
        { PROTOCOL "Family=ip\nDataPath=direct\nConnect=10.0.0.1:80\n", false, false },
        { PROTOCOL "Family=unix\nConnect=/run/a\n", false, false },
        { PROTOCOL "Family=unix\nSocketTypes=stream dgram\nConnect=/run/a\n", false, false },
        { PROTOCOL "Family=unix\nDataPath=relay\nSocketTypes=dgram\nConnect=/run/a\n", true, true },
        { PROTOCOL "Family=quic\nTLSALPN=x\nConnect=10.0.0.1:443\n", true, true },
};

START_TEST(who_keeps_a_socket) {
        struct policy *policy = policy_of(kinds[_i].text);
        const struct policy_protocol *protocol = protocol_in(policy);

        ck_assert_int_eq(policy_keeps_socket(protocol, false), kinds[_i].keeps_open);
        ck_assert_int_eq(policy_keeps_socket(protocol, true), kinds[_i].keeps_sealed);
        policy_free(policy);
}
END_TEST

START_TEST(it_is_what_is_assumed) {
        struct policy *policy = policy_of(PROTOCOL "Family=ip\nConnect=10.0.0.1:80\n[Protocol b]\nFamily=quic\n"
                                                   "TLSALPN=x\nConnect=10.0.0.1:443\n");
        NB_CLEANUP_FREE char *text = policy_format_tenant(&policy->tenants[0]);

        ck_assert_int_eq(protocol_in(policy)->data_path, POLICY_DATA_PATH_AUTO);
        ck_assert_ptr_nonnull(strstr(text, "DataPath=auto\n"));
        ck_assert_int_eq(policy->tenants[0].protocols[1].data_path, POLICY_DATA_PATH_RELAY);
        policy_free(policy);
}
END_TEST

/* TLS needs the relay in any case; a proxy does for its handshake. */
START_TEST(who_needs_a_relay) {
        struct policy *plain = policy_of(PROTOCOL "Family=ip\nConnect=10.0.0.1:80\n"),
                      *tls = policy_of(PROTOCOL "Family=ip\nConnect=10.0.0.1:80\nTLS=client\n"),
                      *proxy = policy_of(PROTOCOL "Family=ip\nConnect=10.0.0.1:80\nProxy=socks5://10.0.0.2:1080\n");

        ck_assert(policy_needs_relay(protocol_in(plain), POLICY_CONNECT, false));
        ck_assert(!policy_needs_relay(protocol_in(plain), POLICY_CONNECT, true));
        ck_assert(policy_needs_relay(protocol_in(tls), POLICY_CONNECT, true));
        ck_assert(!policy_needs_relay(protocol_in(tls), POLICY_ACCEPT, true));
        ck_assert(policy_needs_relay(protocol_in(proxy), POLICY_CONNECT, true));
        ck_assert(!policy_needs_relay(protocol_in(proxy), POLICY_ACCEPT, true));
        policy_free(plain);
        policy_free(tls);
        policy_free(proxy);
}
END_TEST

/* After a reload, and after a restart: a socket without a seal is not one that `auto` would have handed out. */
START_TEST(what_was_handed_out_is_borne) {
        struct policy *policy = policy_of(PROTOCOL "Family=ip\nConnect=10.0.0.1:80\n"),
                      *relay = policy_of(PROTOCOL "Family=ip\nDataPath=relay\nConnect=10.0.0.1:80\n");
        struct policy_made made = { .verb = POLICY_CONNECT };

        ck_assert(!policy_bears(protocol_in(policy), &made));
        made.is_sealed = true;
        ck_assert(policy_bears(protocol_in(policy), &made));
        ck_assert(!policy_bears(protocol_in(relay), &made));
        made.is_relayed = true;
        ck_assert(policy_bears(protocol_in(policy), &made) && policy_bears(protocol_in(relay), &made));
        policy_free(policy);
        policy_free(relay);
}
END_TEST

/* ---- explained ---- */

static char *explain(const struct policy *policy, enum policy_seal seal) {
        struct policy_explanation explanation;
        struct policy_complaint complaint;
        struct policy_question question;

        ck_assert_int_eq(policy_question_parse(POLICY_CONNECT, "10.0.0.1:80", &question, &complaint), 0);
        question.seal = seal;
        policy_explain(&policy->tenants[0], protocol_in(policy), &question, NULL, &explanation);
        return policy_explanation_format(&explanation);
}

static const struct {
        enum policy_seal seal;
        const char *says; /* NULL: it says nothing of a relay */
} explained[] = {
        { POLICY_SEAL_UNKNOWN, "stays in between unless the broker's seal is proven: DataPath=auto" },
        { POLICY_SEAL_OPEN, "stays in between: DataPath=auto, and the broker's seal is not proven" },
        { POLICY_SEAL_PROVEN, NULL },
};

START_TEST(it_is_explained) {
        struct policy *policy = policy_of(PROTOCOL "Family=ip\nConnect=10.0.0.1:80\n");
        NB_CLEANUP_FREE char *text = explain(policy, explained[_i].seal);

        if (explained[_i].says)
                ck_assert_msg(strstr(text, explained[_i].says), "%s", text);
        else
                ck_assert_msg(!strstr(text, "relay"), "%s", text);
        policy_free(policy);
}
END_TEST

/* A relay that has nothing to do any more behind a proxy's handshake steps out where the socket may leave. */
START_TEST(a_relay_that_steps_out_is_explained) {
        struct policy *policy = policy_of(PROTOCOL "Family=ip\nConnect=10.0.0.1:80\nProxy=socks5://10.0.0.2:1080\n");
        NB_CLEANUP_FREE char *sealed = explain(policy, POLICY_SEAL_PROVEN);
        NB_CLEANUP_FREE char *open = explain(policy, POLICY_SEAL_OPEN);

        ck_assert_msg(strstr(sealed, "and then gives the guest the socket itself"), "%s", sealed);
        ck_assert_msg(strstr(open, "and stays in between"), "%s", open);
        policy_free(policy);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("policy, the seal");
        TCase *decisions = tcase_create("decisions"), *words = tcase_create("words");

        tcase_add_loop_test(decisions, who_keeps_a_socket, 0, ELEMENTS(kinds));
        tcase_add_test(decisions, it_is_what_is_assumed);
        tcase_add_test(decisions, who_needs_a_relay);
        tcase_add_test(decisions, what_was_handed_out_is_borne);
        tcase_add_loop_test(words, it_is_explained, 0, ELEMENTS(explained));
        tcase_add_test(words, a_relay_that_steps_out_is_explained);
        suite_add_tcase(suite, decisions);
        suite_add_tcase(suite, words);
        return run_suite(suite);
}
