/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/guard.h"
#include "tests/support/runner.h"
#include "tests/unit/policy_text.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* All there is, for both families: what the guard still refuses is its own doing. */
#define ALLOW_ALL POLICY_HEAD "Connect=0.0.0.0/0:* [::]/0:*\n"

/* Reached under ALLOW_ALL? And which line, added, reaches it; NULL: none. */
static const struct {
        const char *address;
        bool allowed;
        const char *remedy;
} addresses[] = {
        { "8.8.8.8:443", true, NULL },
        { "10.0.0.1:443", true, NULL },    /* private ranges are not guarded under a CIDR rule */
        { "192.168.0.1:443", true, NULL }, /* nor here */
        { "172.16.0.1:443", true, NULL },
        { "100.64.0.1:443", true, NULL },
        { "[fd12:3456::1]:443", true, NULL },
        { "[2606:4700::1]:443", true, NULL },
        { "[64:ff9b::808:808]:443", true, NULL },
        { "[2002:808:808::1]:443", true, NULL },

        { "127.0.0.1:80", false, "Connect=127.0.0.1:80" },
        { "127.255.255.254:80", false, "Connect=127.255.255.254:80" },
        { "0.0.0.0:80", false, "Connect=127.0.0.1:80" },
        { "0.1.2.3:80", false, "Connect=0.1.2.3:80" },
        { "169.254.1.1:80", false, "Connect=169.254.1.1:80" },
        { "169.254.169.254:80", false, "Connect=169.254.169.254:80" },
        { "169.254.170.2:80", false, "Connect=169.254.170.2:80" },
        { "100.100.100.200:80", false, "Connect=100.100.100.200:80" },
        { "168.63.129.16:80", false, "Connect=168.63.129.16:80" },
        { "192.0.0.192:80", false, "Connect=192.0.0.192:80" },
        { "192.0.2.1:80", false, "Connect=192.0.2.1:80" },
        { "198.51.100.1:80", false, "Connect=198.51.100.1:80" },
        { "203.0.113.1:80", false, "Connect=203.0.113.1:80" },
        { "198.19.255.255:80", false, "Connect=198.19.255.255:80" },
        { "192.88.99.1:80", false, "Connect=192.88.99.1:80" },
        { "240.0.0.1:80", false, "Connect=240.0.0.1:80" },
        { "224.0.0.1:80", false, NULL },
        { "239.255.255.255:80", false, NULL },
        { "255.255.255.255:80", false, NULL },
        { "[::1]:80", false, "Connect=[::1]:80" },
        { "[::]:80", false, "Connect=[::1]:80" },
        { "[fe80::1]:80", false, "Connect=[fe80::1]:80" },
        { "[febf::1]:80", false, "Connect=[febf::1]:80" },
        { "[fec0::1]:80", false, "Connect=[fec0::1]:80" },
        { "[fd00:42::42]:80", false, "Connect=[fd00:42::42]:80" },
        { "[fd00:42::43]:80", true, NULL },
        { "[fd00:c1::a9fe:a9fe]:80", false, "Connect=[fd00:c1::a9fe:a9fe]:80" },
        { "[fd00:ec2::254]:80", false, "Connect=[fd00:ec2::254]:80" },
        { "[fd20:ce::254]:80", false, "Connect=[fd20:ce::254]:80" },
        { "[100::1]:80", false, "Connect=[100::1]:80" },
        { "[2001:db8::1]:80", false, "Connect=[2001:db8::1]:80" },
        { "[3fff:fff::1]:80", false, "Connect=[3fff:fff::1]:80" },
        { "[2001:2::1]:80", false, "Connect=[2001:2::1]:80" },
        { "[2001:1::1]:80", false, "Connect=[2001:1::1]:80" },
        { "[2001:1ff::1]:80", false, "Connect=[2001:1ff::1]:80" },
        { "[2001:200::1]:80", true, NULL },
        { "[2001:0:1:2:3:4:f7f7:f7f7]:80", true, NULL }, /* Teredo for 8.8.8.8, beside the assignments */
        { "[5f00::1]:80", false, "Connect=[5f00::1]:80" },
        { "[ff02::1]:80", false, NULL },

        { "[::ffff:127.0.0.1]:80", false, "Connect=127.0.0.1:80" },
        { "[::ffff:169.254.169.254]:80", false, "Connect=169.254.169.254:80" },
        { "[::ffff:0.0.0.0]:80", false, "Connect=127.0.0.1:80" },
        { "[::ffff:224.0.0.1]:80", false, NULL },
        { "[::127.0.0.1]:80", false, "Connect=127.0.0.1:80" },
        { "[64:ff9b::169.254.169.254]:80", false, "Connect=169.254.169.254:80" },
        { "[64:ff9b::0.0.0.0]:80", false, "Connect=127.0.0.1:80" },
        { "[2002:7f00:1::1]:80", false, "Connect=127.0.0.1:80" },
        { "[2002:e000:1::1]:80", false, NULL },
        { "[2001:0:1:2:3:4:80ff:fffe]:80", false, "Connect=127.0.0.1:80" },
        { "[::ffff:0:127.0.0.1]:80", false, "Connect=127.0.0.1:80" },
        { "[::ffff:0:8.8.8.8]:80", true, NULL },
        { "[2606:4700::5efe:127.0.0.1]:80", false, "Connect=127.0.0.1:80" },
        { "[2606:4700::200:5efe:169.254.169.254]:80", false, "Connect=169.254.169.254:80" },
        { "[2606:4700::200:5efe:8.8.8.8]:80", true, NULL },
        { "[2606:4700::5efe:224.0.0.1]:80", false, NULL },
        { "[fe80::5efe:8.8.8.8]:80", false, "Connect=[fe80::5efe:808:808]:80" },
        { "[fe80::5efe:127.0.0.1]:80", false, "Connect=[fe80::5efe:7f00:1]:80 127.0.0.1:80" },
        { "[64:ff9b:1::8.8.8.8]:80", false, "Connect=[64:ff9b:1::808:808]:80" },
        { "[64:ff9b:1::127.0.0.1]:80", false, "Connect=[64:ff9b:1::7f00:1]:80 127.0.0.1:80" },
        { "8.8.8.8:0", false, NULL },
};

START_TEST(abuse_12_13_14_a_wide_rule_names_no_guarded_range) {
        struct policy *policy = policy_of(ALLOW_ALL);
        struct policy_verdict verdict = decide(policy, POLICY_CONNECT, addresses[_i].address);

        ck_assert_msg(verdict.allowed == addresses[_i].allowed, "%s", verdict.reason);
        ck_assert_int_eq(verdict.reason[0] == '\0', verdict.allowed);
        ck_assert_str_eq(verdict.remedy, addresses[_i].remedy ? addresses[_i].remedy : "");
        policy_free(policy);
}
END_TEST

START_TEST(the_remedy_is_a_line_that_allows_it) {
        char text[1024];

        if (!addresses[_i].remedy)
                return;
        snprintf(text, sizeof(text), "%s%s\n", ALLOW_ALL, addresses[_i].remedy);

        struct policy *policy = policy_of(text);
        struct policy_verdict verdict = decide(policy, POLICY_CONNECT, addresses[_i].address);

        ck_assert_msg(verdict.allowed, "%s", verdict.reason);
        policy_free(policy);
}
END_TEST

/* Which rule names which address. */
static const struct {
        const char *rule;
        const char *address;
        bool named;
} namings[] = {
        { "127.0.0.0/8:*", "127.0.0.1:80", true },
        { "127.0.0.0/16:80", "127.0.0.1:80", true },
        { "127.0.0.0/16:81", "127.0.0.1:80", false },
        { "126.0.0.0/7:*", "127.0.0.1:80", false },
        { "169.254.0.0/16:*", "169.254.1.1:80", true },
        { "169.254.0.0/16:*", "169.254.169.254:80", false }, /* the narrower range wants its own rule */
        { "169.254.169.254:*", "169.254.169.254:80", true },
        { "169.254.169.254:*", "169.254.169.253:80", false },
        { "0.0.0.0/8:*", "0.1.1.1:80", true },
        { "0.0.0.0/8:*", "0.0.0.0:80", false },
        { "127.0.0.1:80", "0.0.0.0:80", true }, /* where Linux connects to */
        { "127.0.0.0/8:*", "0.0.0.0:80", true },
        { "[::1]:80", "[::]:80", true },
        { "[::1]:80", "0.0.0.0:80", false },
        { "[::]/8:*", "[::]:80", false },
        { "[::]/127:*", "[::1]:80", false },
        { "[::1]:80", "[::1]:80", true },
        { "240.0.0.0/4:*", "255.255.255.254:80", true },
        { "240.0.0.0/4:*", "255.255.255.255:80", false },
        { "[fe80::]/10:*", "[fe80::1]:80", true },
        { "[fc00::]/7:*", "[fd00:ec2::254]:80", false },
        { "[fd00:c1::]/32:*", "[fd00:c1::a9fe:a9fe]:80", false },
        { "[fd00:42::42]:80", "[fd00:42::42]:80", true },
        { "127.0.0.1:80", "[::ffff:127.0.0.1]:80", true },
        { "127.0.0.1:80", "[64:ff9b::127.0.0.1]:80", true },
        { "[64:ff9b:1::]/96:*", "[64:ff9b:1::8.8.8.8]:80", false }, /* the IPv4 address wants its grant as well */
        { "[64:ff9b:1::]/96:* 8.8.8.8:80", "[64:ff9b:1::8.8.8.8]:80", true },
        { "[64:ff9b:1::]/96:* 8.8.8.8:80", "[64:ff9b:1::1:808:808]:80", false }, /* another /96 */
        { "0.0.0.0/0:* [::]/1:* [64:ff9b:1:2::]/96:*", "[64:ff9b:1::8.8.8.8]:80", false },
};

START_TEST(naming) {
        char text[512];

        snprintf(text, sizeof(text), "%sConnect=%s\n", POLICY_HEAD, namings[_i].rule);

        struct policy *policy = policy_of(text);
        struct policy_verdict verdict = decide(policy, POLICY_CONNECT, namings[_i].address);

        ck_assert_msg(verdict.allowed == namings[_i].named, "%s under %s: %s", namings[_i].address, namings[_i].rule,
                      verdict.reason);
        policy_free(policy);
}
END_TEST

START_TEST(abuse_14_what_is_denied_on_loopback_is_denied_as_unspecified) {
        static const char *const denials[] = { "127.0.0.1:80 [::1]:80", "0.0.0.0:80 [::]:80" };
        char text[512];

        for (size_t i = 0; i < ELEMENTS(denials); ++i) {
                snprintf(text, sizeof(text), POLICY_HEAD "Connect=127.0.0.0/8:80 [::1]:80\nDeny=%s\n", denials[i]);

                struct policy *policy = policy_of(text);

                ck_assert(!decide(policy, POLICY_CONNECT, "0.0.0.0:80").allowed);
                ck_assert(!decide(policy, POLICY_CONNECT, "[::]:80").allowed);
                ck_assert(!decide(policy, POLICY_CONNECT, "[::ffff:0.0.0.0]:80").allowed);
                ck_assert(decide(policy, POLICY_CONNECT, "127.0.0.2:80").allowed);
                policy_free(policy);
        }
}
END_TEST

START_TEST(the_rule_is_the_one_that_names_it) {
        struct policy *policy = policy_of(ALLOW_ALL "Connect=127.0.0.0/8:* 127.0.0.1:80\n");
        struct policy_verdict verdict = decide(policy, POLICY_CONNECT, "127.0.0.1:80");

        ck_assert_str_eq(verdict.rule->text, "Connect=127.0.0.0/8:*"); /* not the wide one before */
        ck_assert(verdict.allowed);
        ck_assert_str_eq(verdict.rule->text, "Connect=127.0.0.0/8:*");
        ck_assert_uint_eq(verdict.rule->line, 7);
        policy_free(policy);
}
END_TEST

START_TEST(listen_and_accept_are_not_guarded) {
        struct policy *policy = policy_of(POLICY_HEAD "Listen=0.0.0.0/0:* [::]/0:*\n");

        ck_assert(decide(policy, POLICY_LISTEN, "127.0.0.1:80").allowed);
        ck_assert(decide(policy, POLICY_LISTEN, "[::1]:80").allowed);
        ck_assert(decide(policy, POLICY_LISTEN, "0.0.0.0:80").allowed);
        ck_assert(decide(policy, POLICY_LISTEN, "[::]:80").allowed);
        ck_assert(!decide(policy, POLICY_LISTEN, "224.0.0.1:80").allowed);
        ck_assert(!decide(policy, POLICY_LISTEN, "255.255.255.255:80").allowed);
        ck_assert(!decide(policy, POLICY_LISTEN, "[ff02::1]:80").allowed);
        ck_assert(!decide(policy, POLICY_LISTEN, "[::ffff:224.0.0.1]:80").allowed);
        ck_assert(decide(policy, POLICY_LISTEN, "[2002:e000:1::1]:80").allowed); /* bound as it stands: unicast */
        ck_assert(decide(policy, POLICY_ACCEPT, "127.0.0.1:50000").allowed);
        ck_assert(decide(policy, POLICY_ACCEPT, "[fe80::1]:50000").allowed);
        policy_free(policy);
}
END_TEST

START_TEST(the_table_is_sound) {
        for (size_t i = 0; i < policy_guard_count(); ++i) {
                const struct policy_guard *guard = policy_guard_at(i);
                struct nb_prefix scope = policy_guard_scope(guard, &guard->range.ip);

                ck_assert(!nb_prefix_has_host_bits(&guard->range));
                ck_assert_uint_ge(guard->naming_length, guard->range.length);
                ck_assert(nb_prefix_covers(&guard->range, &scope));
                if (i > 0 && policy_guard_at(i - 1)->range.ip.family == guard->range.ip.family)
                        ck_assert_uint_le(policy_guard_at(i - 1)->range.ip.bytes[0], guard->range.ip.bytes[0]);
                ck_assert(guard->except.length == 0 || nb_prefix_covers(&guard->range, &guard->except));
                ck_assert_ptr_nonnull(guard->what);
                ck_assert_ptr_nonnull(guard->source);
                for (size_t j = 0; j < i; ++j)
                        ck_assert(policy_guard_at(j)->range.length != guard->range.length ||
                                  !nb_ip_equal(&policy_guard_at(j)->range.ip, &guard->range.ip));
        }
}
END_TEST

START_TEST(the_man_page_has_the_table) {
        char *page = policy_man_page();
        char ip[NB_ADDRESS_TEXT_MAX], line[128];

        for (size_t i = 0; i < policy_guard_count(); ++i) {
                const struct nb_prefix *range = &policy_guard_at(i)->range;

                nb_ip_format(&range->ip, ip);
                if (range->length == (range->ip.family == AF_INET ? 32 : 128))
                        snprintf(line, sizeof(line), "\n.It %s Ta ", ip);
                else
                        snprintf(line, sizeof(line), "\n.It %s/%u Ta ", ip, range->length);
                ck_assert_msg(strstr(page, line), "netbroker.conf(5) lacks the line of %s", ip);
        }
        free(page);
}
END_TEST

static Suite *guard_suite(void) {
        Suite *suite = suite_create("guard");
        TCase *tcase = tcase_create("guard");

        tcase_add_loop_test(tcase, abuse_12_13_14_a_wide_rule_names_no_guarded_range, 0, ELEMENTS(addresses));
        tcase_add_loop_test(tcase, the_remedy_is_a_line_that_allows_it, 0, ELEMENTS(addresses));
        tcase_add_loop_test(tcase, naming, 0, ELEMENTS(namings));
        tcase_add_test(tcase, abuse_14_what_is_denied_on_loopback_is_denied_as_unspecified);
        tcase_add_test(tcase, the_rule_is_the_one_that_names_it);
        tcase_add_test(tcase, listen_and_accept_are_not_guarded);
        tcase_add_test(tcase, the_table_is_sound);
        tcase_add_test(tcase, the_man_page_has_the_table);
        suite_add_tcase(suite, tcase);
        return suite;
}

int main(void) {
        return run_suite(guard_suite());
}
