/* SPDX-License-Identifier: Apache-2.0 */
/* [Preopen NAME]: a socket whose one address is its grant. */
#include <check.h>
#include <string.h>

#include "policy/preopen.h"
#include "tests/support/runner.h"
#include "tests/unit/policy_checks.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* What keys of these files follow, from line 4 on. */
#define SECTION "[Preopen http]\n"
#define HEAD POLICY_TENANT SECTION

#define DIRECT "DataPath=direct\n"

static const char whole_file[] = "[Preopen db]\n"
                                 "Deny=/run/x* @y\n"
                                 "Connect = /run/db/.s.PGSQL.5432\n"
                                 "Nonblock=yes\n"
                                 "ConnectTimeout=2s\n"
                                 "DataPath=direct\n"
                                 "[Tenant]\n"
                                 "Name=acme\n"
                                 "[Preopen http]\n"
                                 "Listen=0.0.0.0:80\n"
                                 "Deny=10.0.0.0/8:*\n"
                                 "SocketTypes=stream\n"
                                 "DataPath=direct\n"
                                 "[Protocol web]\n"
                                 "Family=ip\n"
                                 "DataPath=direct\n"
                                 "[Preopen dns]\n"
                                 "Connect=[2606:4700::1]:53\n"
                                 "SocketTypes=dgram\n"
                                 "DataPath=direct\n"
                                 "[Preopen app]\n"
                                 "DataPath=direct\n"
                                 "SocketMode=0600\n"
                                 "Nonblock=no\n"
                                 "Listen=/run/app.sock\n";

/* ---- good files ---- */

static const struct policy_preopen *preopen_of(const struct policy *policy, size_t i) {
        ck_assert_uint_lt(i, policy->tenants[0].n_preopens);
        return &policy->tenants[0].preopens[i];
}

static void check_address(const struct policy_preopen *preopen, const char *expected) {
        char text[NB_SOCKET_ADDRESS_TEXT_MAX];

        ck_assert_str_eq(nb_socket_address_format(&preopen->address, text), expected);
}

START_TEST(a_whole_file) {
        struct policy *policy = policy_of(whole_file);
        const struct policy_preopen *db, *http, *dns, *app;

        ck_assert_uint_eq(policy->tenants[0].n_protocols, 1);
        ck_assert_uint_eq(policy->tenants[0].n_preopens, 4);

        db = preopen_of(policy, 0);
        check_address(db, "/run/db/.s.PGSQL.5432");
        ck_assert_int_eq(db->verb, POLICY_CONNECT);
        ck_assert_int_eq(db->type, POLICY_SOCKET_STREAM);
        ck_assert(db->nonblock);
        ck_assert(db->protocol.preopen);
        ck_assert_str_eq(db->protocol.name, "db");
        ck_assert_int_eq(db->protocol.family, POLICY_FAMILY_UNIX);
        ck_assert_uint_eq(db->protocol.connect_timeout_ms, 2000);
        ck_assert_uint_eq(db->protocol.line, 1);
        ck_assert_uint_eq(db->protocol.n_rules, 3);
        ck_assert_str_eq(db->protocol.rules[0].text, "Deny=/run/x*");
        ck_assert_str_eq(db->protocol.rules[1].pattern.text, "y");
        ck_assert_str_eq(db->protocol.rules[2].text, "Connect=/run/db/.s.PGSQL.5432");
        ck_assert_uint_eq(db->protocol.rules[2].line, 3);

        http = preopen_of(policy, 1);
        check_address(http, "0.0.0.0:80");
        ck_assert_int_eq(http->verb, POLICY_LISTEN);
        ck_assert(http->nonblock); /* the default of a listener */
        ck_assert_int_eq(http->protocol.family, POLICY_FAMILY_IPV4);
        ck_assert_int_eq(http->protocol.data_path, POLICY_DATA_PATH_DIRECT);
        ck_assert_uint_eq(http->protocol.rules[0].prefix.length, 32);

        dns = preopen_of(policy, 2);
        check_address(dns, "[2606:4700::1]:53");
        ck_assert_int_eq(dns->type, POLICY_SOCKET_DGRAM);
        ck_assert_uint_eq(dns->protocol.socket_types, POLICY_SOCKET_DGRAM);
        ck_assert(!dns->nonblock); /* and of a connection */
        ck_assert_int_eq(dns->protocol.family, POLICY_FAMILY_IPV6);

        app = preopen_of(policy, 3);
        check_address(app, "/run/app.sock");
        ck_assert_uint_eq(app->protocol.socket_mode, 0600);
        ck_assert(!app->nonblock);
        policy_free(policy);
}
END_TEST

START_TEST(a_data_path_may_be_assumed) {
        struct policy *policy = policy_with(HEAD "Listen=127.0.0.1:80\n", POLICY_DATA_PATH_DIRECT);

        ck_assert_int_eq(preopen_of(policy, 0)->protocol.data_path, POLICY_DATA_PATH_DIRECT);
        policy_free(policy);
}
END_TEST

START_TEST(names_are_one_space) {
        struct policy *policy = policy_of(whole_file);
        const struct policy_tenant *tenant = &policy->tenants[0];

        ck_assert_ptr_eq(policy_find_protocol(tenant, "web"), &tenant->protocols[0]);
        ck_assert_ptr_eq(policy_find_protocol(tenant, "dns"), &tenant->preopens[2].protocol);
        ck_assert_ptr_null(policy_find_protocol(tenant, "DNS"));
        policy_free(policy);
}
END_TEST

START_TEST(sixty_four_with_the_protocols) {
        char text[8192] = POLICY_TENANT;
        struct policy *policy;
        struct bad_text bad = { NULL, 3 + 3 * POLICY_PROTOCOLS_MAX, 1, "at most 64 protocols and preopened sockets",
                                NULL };

        for (int i = 0; i <= POLICY_PROTOCOLS_MAX; ++i) {
                size_t used = strlen(text);

                if (i % 2)
                        snprintf(text + used, sizeof(text) - used, "[Protocol p%d]\nFamily=ip\n" DIRECT, i);
                else
                        snprintf(text + used, sizeof(text) - used, "[Preopen p%d]\nListen=127.0.0.1:%d\n" DIRECT, i,
                                 i + 1);
                if (i == POLICY_PROTOCOLS_MAX - 1) {
                        policy = policy_of(text);
                        ck_assert_uint_eq(policy->tenants[0].n_preopens, POLICY_PROTOCOLS_MAX / 2);
                        check_address(preopen_of(policy, 31), "127.0.0.1:63");
                        policy_free(policy);
                }
        }
        expect_error(text, strlen(text), &bad);
}
END_TEST

/* ---- bad addresses ---- */

/* Behind "Listen=" or "Connect="; the columns count from the address. */
static const struct {
        enum policy_verb verb;
        const char *text;
        unsigned column;
        const char *message;
        const char *correct; /* NULL: none */
} bad_addresses[] = {
        { POLICY_LISTEN, "127.0.0.1:0", 11, "nobody would find this listener", NULL },
        { POLICY_LISTEN, "[::]:0", 6, "nobody would find this listener", NULL },
        { POLICY_CONNECT, "127.0.0.1:0", 11, "port 0 is no port", NULL },
        { POLICY_LISTEN, "127.0.0.1", 10, "the port is missing", "127.0.0.1:8080" },
        { POLICY_CONNECT, "192.168.0.1", 12, "the port is missing", "192.168.0.1:443" },
        { POLICY_LISTEN, "127.0.0.1:*", 11, "one port", NULL },
        { POLICY_LISTEN, "127.0.0.1:80-81", 11, "one port", "127.0.0.1:80" },
        { POLICY_LISTEN, "127.0.0.0/8:80", 10, "one address, not a prefix", NULL },
        { POLICY_LISTEN, "127.0.0.1/32:80", 10, "one address, not a prefix", "127.0.0.1:80" },
        { POLICY_LISTEN, "[::1]/128:80-81", 6, "one address, not a prefix", "[::1]:80" },
        { POLICY_LISTEN, "0.0.0.0/0:80", 8, "one address, not a prefix", NULL },
        { POLICY_LISTEN, "127.0.0.1/8:80", 1, "the network is 127.0.0.0/8", NULL }, /* no single address either */
        { POLICY_LISTEN, "::1:80", 1, "written in brackets", "[::1]:80" },
        { POLICY_LISTEN, "[::ffff:127.0.0.1]:80", 1, "judged as IPv4", "127.0.0.1:80" },
        { POLICY_LISTEN, "localhost:80", 1, "is a name, and to listen takes an address", NULL },
        { POLICY_LISTEN, "224.0.0.1:80", 1, "no rule grants a multicast address", NULL },
        { POLICY_CONNECT, "255.255.255.255:80", 1, "no rule grants a broadcast address", NULL },
        { POLICY_CONNECT, "0.0.0.0:80", 1, "to connect there is to connect to loopback", "127.0.0.1:80" },
        { POLICY_CONNECT, "[::]:80", 2, "to connect there is to connect to loopback", "[::1]:80" },
        { POLICY_CONNECT, "[64:ff9b::808:808]:80", 1, "carries an IPv4 address", "8.8.8.8:80" },
        { POLICY_CONNECT, "[64:ff9b:1::808:808]:80", 1, "this socket is never granted: connect to", NULL },
        { POLICY_LISTEN, "127.0.0.1:80 [::1]:80", 13, "has one address; write another section", NULL },
        { POLICY_LISTEN, "/run/a @b", 7, "has one address; write another section", NULL },
        { POLICY_LISTEN, "/run/*", 6, "one name, without \"*\"", NULL },
        { POLICY_CONNECT, "@a*b", 3, "one name, without \"*\"", NULL },
        { POLICY_CONNECT, "/run//a", 6, "an empty component", "/run/a" },
        { POLICY_CONNECT, "/run/../a", 6, "a component \"..\"", NULL },
        { POLICY_CONNECT, "/run/**", 6, "there is no \"**\"", NULL },
        { POLICY_CONNECT, "@", 2, "is missing", NULL },
};

START_TEST(a_bad_address) {
        struct bad_text bad = { bad_addresses[_i].text, 0, bad_addresses[_i].column, bad_addresses[_i].message,
                                bad_addresses[_i].correct };

        expect_bad_value(HEAD, bad_addresses[_i].verb == POLICY_LISTEN ? "Listen" : "Connect", &bad, DIRECT);
}
END_TEST

/* ---- bad files ---- */

#define LISTEN "Listen=127.0.0.1:80\n"
#define CONNECT "Connect=10.0.0.1:80\n"

static const struct bad_text bad_texts[] = {
        { HEAD DIRECT, 3, 0, "[Preopen http] needs Listen= or Connect=", "Listen=127.0.0.1:8080" },
        { HEAD LISTEN DIRECT CONNECT, 6, 9, "listens or connects", NULL },
        { HEAD CONNECT LISTEN DIRECT, 5, 8, "listens or connects", NULL },
        { HEAD CONNECT "Listen=/run/a\n" DIRECT, 5, 8, "listens or connects", NULL },
        { HEAD LISTEN LISTEN DIRECT, 5, 1, "Listen= is set already, in line 4", NULL },
        { HEAD "Family=ipv4\n" LISTEN DIRECT, 4, 1, "has no Family=: its address tells it", NULL },
        { HEAD "User=x\n", 4, 1, "User= belongs in a [Tenant] section", NULL },
        { POLICY_HEAD "Nonblock=yes\n", 6, 1, "Nonblock= belongs in a [Preopen NAME] section", NULL },
        { POLICY_TENANT "Listen=127.0.0.1:80\n", 3, 1, "belongs in a [Protocol NAME] or [Preopen NAME] section", NULL },
        { HEAD "Nonblock=maybe\n", 4, 10, "not yes or no", NULL },
        { HEAD LISTEN "ConnectTimeout=1s\n" DIRECT, 5, 16,
          "ConnectTimeout= is for Connect=, and [Preopen http] listens", NULL },
        { HEAD "Listn=127.0.0.1:80\n", 4, 1, "did you mean Listen=?", "Listen=127.0.0.1:80" },

        /* types */
        { HEAD LISTEN "SocketTypes=dgram\n" DIRECT, 5, 13, "a preopened socket of datagrams connects", NULL },
        { HEAD CONNECT "SocketTypes=stream dgram\n" DIRECT, 5, 13, "has one type: stream or dgram", NULL },
        { HEAD "Connect=/run/a\nSocketTypes=dgram\n" DIRECT, 5, 13,
          "datagrams between Unix sockets go through the relay", NULL },

        /* modes */
        { HEAD LISTEN "SocketMode=0600\n" DIRECT, 5, 12, "[Preopen http] has no Listen= for a path", NULL },
        { HEAD "Listen=@a\nSocketMode=0600\n" DIRECT, 5, 12, "has no Listen= for a path", NULL },
        { HEAD "Connect=/run/a\nSocketMode=0600\n" DIRECT, 5, 12, "has no Listen= for a path", NULL },

        /* Deny rules: of the address's family, in front of it or behind, and not for the address itself */
        { HEAD "Deny=/run/a\n" LISTEN DIRECT, 4, 6,
          "a rule for Unix sockets never matches: [Preopen http] has an IPv4 address", NULL },
        { HEAD LISTEN "Deny=[::]/0:*\n" DIRECT, 5, 6, "an IPv6 rule never matches: [Preopen http] has an IPv4 address",
          NULL },
        { HEAD "Deny=10.0.0.0/8:*\nListen=[::1]:80\n" DIRECT, 4, 6,
          "an IPv4 rule never matches: [Preopen http] has an IPv6 address", NULL },
        { HEAD "Deny=127.0.0.1:80\nListen=/run/a\n" DIRECT, 4, 6,
          "an IP rule never matches: [Preopen http] has the name of a Unix socket", NULL },
        { HEAD LISTEN "Deny=10.0.0.0/8:* evil.com:*\n" DIRECT, 5, 19,
          "a rule for names never matches: [Preopen http] has an IPv4 address", NULL },
        { HEAD "Deny=*.evil.com:*\nConnect=[2001:db8::1]:80\n" DIRECT, 4, 6,
          "a rule for names never matches: [Preopen http] has an IPv6 address", NULL },
        { HEAD "Deny=10.0.0.0/8:*\n" CONNECT DIRECT, 5, 9,
          "never granted: connect to 10.0.0.1:80: forbidden by Deny=", NULL },
        { HEAD LISTEN "Deny=127.0.0.0/8:*\n" DIRECT, 4, 8,
          "never granted: listen on 127.0.0.1:80: forbidden by Deny=", NULL },
        { HEAD "Listen=@a\nDeny=@*\n" DIRECT, 4, 8, "never granted: listen on @a: forbidden by Deny=@*", NULL },

        /* names */
        { HEAD LISTEN DIRECT "[Protocol http]\n", 6, 11, "[Preopen http] stands already in line 3", NULL },
        { POLICY_HEAD "[Preopen web]\n", 6, 10, "[Protocol web] stands already in line 3", NULL },
        { HEAD LISTEN DIRECT SECTION, 6, 10, "[Preopen http] stands already in line 3", NULL },
        { POLICY_TENANT "[Preopen]\n", 3, 9, "has no name", NULL },
        { POLICY_TENANT "[Preopen a=b]\n", 3, 11, "letters, digits", NULL },
        { POLICY_TENANT "[preopen http]\n", 3, 2, "there are [Tenant], [Protocol NAME] and [Preopen NAME]",
          "[Preopen http]" },
        { POLICY_TENANT "[Preopend http]\n", 3, 2, "no section \"Preopend\"", "[Preopen http]" },
};

START_TEST(bad_text) {
        expect_bad_text(&bad_texts[_i]);
}
END_TEST

/* Two preopened sockets with these lines; NULL: that is a policy. */
static const struct {
        const char *first, *second;
        const char *message;
} pairs[] = {
        { "Listen=127.0.0.1:80", "Listen=127.0.0.1:80", "[Preopen a], in line 3, listens there already" },
        { "Listen=127.0.0.1:80", "Listen=0.0.0.0:80", "listens there already" },
        { "Listen=[::]:80", "Listen=[::1]:80", "listens there already" },
        { "Listen=[::1]:80", "Listen=[0:0::1]:80", "listens there already" },
        { "Listen=/run/a", "Listen=/run/a", "listens there already" },
        { "Listen=@a", "Listen=@a", "listens there already" },
        { "Listen=127.0.0.1:80", "Listen=127.0.0.1:81", NULL },
        { "Listen=127.0.0.1:80", "Listen=127.0.0.2:80", NULL },
        { "Listen=0.0.0.0:80", "Listen=[::]:80", NULL }, /* [::] serves IPv6 only */
        { "Listen=@a", "Listen=/a", NULL },
        { "Listen=/run/a", "Connect=/run/a", NULL },
        { "Connect=/run/a", "Listen=/run/a", NULL },
        { "Connect=127.0.0.1:80", "Connect=127.0.0.1:80", NULL },
};

START_TEST(two_sockets) {
        char text[512];

        snprintf(text, sizeof(text), POLICY_TENANT "[Preopen a]\n" DIRECT "%s\n[Preopen b]\n" DIRECT "%s\n",
                 pairs[_i].first, pairs[_i].second);
        if (pairs[_i].message) {
                struct bad_text bad = { NULL, 8, 8, pairs[_i].message, NULL };

                expect_error(text, strlen(text), &bad);
                return;
        }

        struct policy *policy = policy_of(text);

        ck_assert_uint_eq(policy->tenants[0].n_preopens, 2);
        policy_free(policy);
}
END_TEST

START_TEST(the_same_address_for_two_tenants) {
        static const char *const texts[] = { POLICY_TENANT SECTION LISTEN DIRECT,
                                             "[Tenant]\nName=b\n" SECTION LISTEN DIRECT };
        struct policy *policy = policy_new();
        struct policy_error error;

        /* Who comes first gets it; the other may be at work on another day. */
        for (size_t i = 0; i < ELEMENTS(texts); ++i)
                ck_assert_int_eq(policy_add_text(policy, "f", texts[i], strlen(texts[i]), POLICY_DATA_PATH_AUTO,
                                                 &error),
                                 0);
        policy_free(policy);
}
END_TEST

/* What fuzzing would find at once. */
START_TEST(damaged_files) {
        expect_damage_is_told(whole_file, 0xd1310ba698dfb5ac);
}
END_TEST

/* ---- decisions ---- */

static const struct {
        const char *name; /* of the preopened socket in whole_file */
        enum policy_verb verb;
        const char *address;
        bool allowed;
        const char *text; /* a part of it, as expect_verdict() has it */
} decisions[] = {
        { "http", POLICY_LISTEN, "0.0.0.0:80", true, "granted by Listen=0.0.0.0:80 (acme.conf:10)" },
        { "http", POLICY_LISTEN, "0.0.0.0:81", false,
          "listen on 0.0.0.0:81: no Listen= rule in [Preopen http] (acme.conf:9) matches" },
        { "http", POLICY_LISTEN, "127.0.0.1:80", false, "no Listen= rule" },
        { "http", POLICY_LISTEN, "[::]:80", false, "an IPv4 address" },
        { "http", POLICY_CONNECT, "127.0.0.1:80", false, "no Connect= rule in [Preopen http]" },
        { "http", POLICY_ACCEPT, "192.168.0.1:5000", true, "no Deny rule matches" },
        { "http", POLICY_ACCEPT, "10.1.2.3:5000", false, "forbidden by Deny=10.0.0.0/8:*" },
        { "db", POLICY_CONNECT, "/run/db/.s.PGSQL.5432", true, "granted by Connect=/run/db/.s.PGSQL.5432" },
        { "db", POLICY_CONNECT, "/run/db/.s.PGSQL.5433", false, "no Connect= rule in [Preopen db] (acme.conf:1)" },
        { "db", POLICY_LISTEN, "/run/db/.s.PGSQL.5432", false, "no Listen= rule" },
        { "db", POLICY_CONNECT, "127.0.0.1:80", false, "[Preopen db] (acme.conf:1)" },
        { "dns", POLICY_CONNECT, "[2606:4700::1]:53", true, "granted by Connect=[2606:4700::1]:53" },
        { "dns", POLICY_CONNECT, "[2606:4700::1]:54", false, "no Connect= rule" },
        { "app", POLICY_LISTEN, "/run/app.sock", true, "granted by Listen=/run/app.sock" },
        { "app", POLICY_ACCEPT, "", true, "no Deny rule matches" },
};

START_TEST(a_decision) {
        struct policy *policy = policy_of(whole_file);
        const struct policy_protocol *protocol = policy_find_protocol(&policy->tenants[0], decisions[_i].name);
        struct policy_verdict verdict = decide_in(protocol, decisions[_i].verb, decisions[_i].address);

        /* Its one address is its one rule: no line can be added. */
        expect_verdict(&verdict, decisions[_i].allowed, decisions[_i].text, NULL);
        policy_free(policy);
}
END_TEST

static Suite *policy_preopen_suite(void) {
        Suite *suite = suite_create("policy, preopened sockets");
        TCase *good = tcase_create("good files"), *bad = tcase_create("bad files");
        TCase *decision = tcase_create("decisions");

        tcase_add_test(good, a_whole_file);
        tcase_add_test(good, a_data_path_may_be_assumed);
        tcase_add_test(good, names_are_one_space);
        tcase_add_test(good, sixty_four_with_the_protocols);
        tcase_add_test(good, the_same_address_for_two_tenants);
        tcase_add_loop_test(bad, a_bad_address, 0, ELEMENTS(bad_addresses));
        tcase_add_loop_test(bad, bad_text, 0, ELEMENTS(bad_texts));
        tcase_add_loop_test(bad, two_sockets, 0, ELEMENTS(pairs));
        tcase_add_test(bad, damaged_files);
        tcase_add_loop_test(decision, a_decision, 0, ELEMENTS(decisions));
        tcase_set_timeout(bad, 60);
        suite_add_tcase(suite, good);
        suite_add_tcase(suite, bad);
        suite_add_tcase(suite, decision);
        return suite;
}

int main(void) {
        return run_suite(policy_preopen_suite());
}
