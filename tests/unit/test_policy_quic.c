/* SPDX-License-Identifier: Apache-2.0 */
/* Protocols of Family=quic: what their keys become, what follows from the rules, what is wrong, what they grant, and the way. */
#include <check.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/explain.h"
#include "policy/warn.h"
#include "tests/support/runner.h"
#include "tests/unit/policy_checks.h"

/* Rules follow from line 6 on. */
#define QUIC POLICY_TENANT "[Protocol web]\nFamily=quic\nTLSALPN=h3\n"
#define CONNECT QUIC "Connect=api.example.com:443 10.0.0.0/8:443\n"
#define CERTIFICATE "TLSCertificate=/a.pem\n"
#define LISTEN QUIC "Listen=127.0.0.1:443\n" CERTIFICATE
#define BOTH CONNECT "Listen=127.0.0.1:443\n" CERTIFICATE
#define REPORT "[Tenant]\nName=acme\nMode=report\n[Protocol web]\nFamily=quic\nTLSALPN=h3\n"

static const struct policy_protocol *protocol_in(const struct policy *policy) {
        return &policy->tenants[0].protocols[0];
}

/* ---- good files ---- */

START_TEST(every_key) {
        struct policy *policy = policy_of(BOTH "MaxStreams=10000\n"
                                               "StreamWindow=512K\n"
                                               "ConnectionWindow=16M\n"
                                               "KeepAlive=20s\n"
                                               "Retry=always\n"
                                               "IdleTimeout=45s\n"
                                               "HandshakeTimeout=2s\n"
                                               "ConnectTimeout=3s\n"
                                               "SocketTypes=stream dgram\n"
                                               "TLS=both\n"
                                               "TLSVersions=1.2 1.3\n"
                                               "DataPath=relay\n"
                                               "TLSALPN=hq-interop\n");
        const struct policy_protocol *protocol = protocol_in(policy);

        ck_assert_int_eq(protocol->family, POLICY_FAMILY_QUIC);
        ck_assert_uint_eq(protocol->quic.max_streams, 10000);
        ck_assert_uint_eq(protocol->quic.stream_window, 512 * 1024);
        ck_assert_uint_eq(protocol->quic.connection_window, 16 * 1024 * 1024);
        ck_assert_uint_eq(protocol->quic.keep_alive_ms, 20000);
        ck_assert(protocol->quic.always_retry);
        ck_assert_uint_eq(protocol->idle_timeout_ms, 45000);
        ck_assert_uint_eq(protocol->handshake_timeout_ms, 2000);
        ck_assert_uint_eq(protocol->connect_timeout_ms, 3000);
        ck_assert_uint_eq(protocol->socket_types, POLICY_SOCKET_STREAM | POLICY_SOCKET_DGRAM);
        ck_assert_uint_eq(protocol->tls->roles, POLICY_TLS_CLIENT | POLICY_TLS_SERVER);
        ck_assert_uint_eq(protocol->tls->versions, POLICY_TLS_1_3);
        ck_assert_uint_eq(protocol->tls->n_alpn, 2);
        policy_free(policy);
}
END_TEST

START_TEST(what_is_not_said) {
        struct policy *policy = policy_of(LISTEN);
        const struct policy_protocol *protocol = protocol_in(policy);

        ck_assert_int_eq(protocol->data_path, POLICY_DATA_PATH_RELAY);
        ck_assert_uint_eq(protocol->socket_types, POLICY_SOCKET_STREAM);
        ck_assert_uint_eq(protocol->quic.max_streams, 100);
        ck_assert_uint_eq(protocol->quic.stream_window, 256 * 1024);
        ck_assert_uint_eq(protocol->quic.connection_window, 1024 * 1024);
        ck_assert_uint_eq(protocol->quic.keep_alive_ms, 0);
        ck_assert(!protocol->quic.always_retry);
        ck_assert_uint_eq(protocol->idle_timeout_ms, 60000);
        ck_assert_uint_eq(protocol->tls->versions, POLICY_TLS_1_3);
        ck_assert_uint_eq(protocol->tls->line, 3);
        ck_assert(protocol->tls->tickets);
        policy_free(policy);
}
END_TEST

/* DataPath= of [Defaults] is about what can have it. */
START_TEST(a_default_is_not_for_quic) {
        struct policy *policy = policy_with(CONNECT, POLICY_DATA_PATH_DIRECT);

        ck_assert_int_eq(protocol_in(policy)->data_path, POLICY_DATA_PATH_RELAY);
        policy_free(policy);
}
END_TEST

static const struct {
        const char *text;
        unsigned roles;
} roles[] = {
        { QUIC, POLICY_TLS_CLIENT },
        { CONNECT, POLICY_TLS_CLIENT },
        { LISTEN, POLICY_TLS_SERVER },
        { BOTH, POLICY_TLS_CLIENT | POLICY_TLS_SERVER },
        { QUIC CERTIFICATE, POLICY_TLS_SERVER },
        { CONNECT "TLS=client\n", POLICY_TLS_CLIENT },
        { CONNECT "TLS=both\n" CERTIFICATE, POLICY_TLS_CLIENT | POLICY_TLS_SERVER },
        /* A connect that no rule grants passes there. */
        { REPORT, POLICY_TLS_CLIENT },
        { REPORT "Listen=127.0.0.1:1\n" CERTIFICATE, POLICY_TLS_CLIENT | POLICY_TLS_SERVER },
        { REPORT CERTIFICATE, POLICY_TLS_CLIENT | POLICY_TLS_SERVER },
        { REPORT "TLS=server\nListen=127.0.0.1:1\n" CERTIFICATE, POLICY_TLS_SERVER },
};

START_TEST(tls_has_the_roles_of_the_rules) {
        struct policy *policy = policy_of(roles[_i].text);

        ck_assert_uint_eq(protocol_in(policy)->tls->roles, roles[_i].roles);
        policy_free(policy);
}
END_TEST

/* ---- bad files ---- */

static const struct {
        const char *key;
        struct bad_text bad;
} bad_values[] = {
        { "MaxStreams", { "0", 0, 1, "from 1 to 65536", NULL } },
        { "MaxStreams", { "65537", 0, 1, "from 1 to 65536", NULL } },
        { "MaxStreams", { "infinity", 0, 1, "from 1 to 65536", NULL } },
        { "MaxStreams", { "4294967297", 0, 1, "from 1 to 65536", NULL } },
        { "MaxStreams", { "1K", 0, 1, "from 1 to 65536", NULL } },
        { "MaxStreams", { "-1", 0, 1, "from 1 to 65536", NULL } },
        { "StreamWindow", { "16383", 0, 1, "StreamWindow= is a number of bytes from 16K to 1G", NULL } },
        { "StreamWindow", { "1073741825", 0, 1, "from 16K to 1G", NULL } },
        { "StreamWindow", { "18446744073709551615", 0, 1, "from 16K to 1G", NULL } },
        { "StreamWindow", { "infinity", 0, 1, "from 16K to 1G", NULL } },
        { "StreamWindow", { "1k", 0, 1, "from 16K to 1G", NULL } },
        { "ConnectionWindow", { "2G", 0, 1, "ConnectionWindow= is a number of bytes", NULL } },
        { "KeepAlive", { "500ms", 0, 1, "from 1s on", "1s" } },
        { "KeepAlive", { "30", 0, 1, "a time is a whole number with its unit", "30s" } },
        { "KeepAlive", { "1min", 0, 1, "KeepAlive= is shorter than IdleTimeout=", NULL } },
        { "IdleTimeout", { "0s", 0, 1, "from 1ms to 10min", NULL } },
        { "Retry", { "alway", 0, 1, "is not auto or always", "always" } },
        { "Retry", { "yes", 0, 1, "is not auto or always", NULL } },
        { "DataPath", { "direct", 0, 1, "QUIC is done by the tenant's relay", "relay" } },
        { "TLSVersions", { "1.2", 0, 1, "QUIC has TLS 1.3 inside", "1.3" } },
        { "TLS", { "client", 0, 1, "[Protocol web] has Connect= and Listen=: write TLS=both", "both" } },
        { "TLS", { "server", 0, 1, "write TLS=both", "both" } },
        { "Proxy", { "http://a.example:1", 0, 1, "Proxy= is for TCP, and [Protocol web] has Family=quic", NULL } },
        { "SendProxyHeader", { "v1", 0, 1, "is for TCP, and [Protocol web] has Family=quic", NULL } },
        { "AcceptProxyHeader", { "10.0.0.1", 0, 1, "is for TCP, and [Protocol web] has Family=quic", NULL } },
        { "ProxyTrust", { "system", 0, 1, "has no Proxy=", NULL } },
        { "SocketMode", { "0600", 0, 1, "has no Listen= for a path", NULL } },
        { "Connect",
          { "/run/a", 0, 1, "a rule for Unix sockets never matches: [Protocol web] has Family=quic", NULL } },
};

START_TEST(a_bad_value) {
        expect_bad_value(BOTH, bad_values[_i].key, &bad_values[_i].bad, "");
}
END_TEST

#define OTHER POLICY_HEAD "Connect=10.0.0.0/8:443\n"

static const struct bad_text bad_sections[] = {
        { POLICY_TENANT "[Protocol web]\nFamily=quic\nConnect=10.0.0.0/8:443\n", 3, 0,
          "[Protocol web] needs TLSALPN=", "TLSALPN=h3" },
        { POLICY_TENANT "[Protocol web]\nFamily=quic\nTLSTickets=no\n", 3, 0,
          "[Protocol web] needs TLSALPN=", "TLSALPN=h3" },
        { QUIC "Listen=127.0.0.1:1\n", 3, 0,
          "needs TLSCertificate=", "TLSCertificate=/etc/netbroker/server.pem /etc/netbroker/server.key" },
        { CONNECT "TLS=server\n" CERTIFICATE, 7, 5, "has Connect=: write TLS=client", "TLS=client" },
        { QUIC "Listen=127.0.0.1:1\nTLS=client\n", 7, 5, "has Listen=: write TLS=server", "TLS=server" },
        { CONNECT "TLSClientAuth=request\n", 7, 15,
          "TLSClientAuth= is for servers, and [Protocol web] has no Listen=", NULL },
        { LISTEN "TLSMustStaple=yes\n", 8, 15,
          "TLSMustStaple= is for clients, and [Protocol web] has no Connect=", NULL },
        { LISTEN "TLSPins=sha256/d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM=\n", 8, 9, "write TLSClientAuth=require",
          NULL },
        { OTHER "MaxStreams=1\n", 7, 12, "MaxStreams= is for Family=quic, and [Protocol web] has Family=ip", NULL },
        { OTHER "StreamWindow=1M\n", 7, 14, "StreamWindow= is for Family=quic", NULL },
        { OTHER "ConnectionWindow=1M\n", 7, 18, "ConnectionWindow= is for Family=quic", NULL },
        { OTHER "KeepAlive=1s\n", 7, 11, "KeepAlive= is for Family=quic", NULL },
        { OTHER "Retry=auto\n", 7, 7, "Retry= is for Family=quic", NULL },
        { POLICY_TENANT "[Preopen a]\nFamily=quic\n", 4, 1, "it is never one of QUIC", NULL },
        { POLICY_TENANT "[Preopen a]\nMaxStreams=1\n", 4, 1, "belongs in a [Protocol NAME] section", NULL },
};

START_TEST(a_bad_section) {
        expect_bad_text(&bad_sections[_i]);
}
END_TEST

START_TEST(damaged_files) {
        expect_damage_is_told(BOTH
                              "MaxStreams=10000\nStreamWindow=512K\nConnectionWindow=16M\nKeepAlive=20s\nRetry=always\n"
                              "TLS=both\nTLSVersions=1.3\nDataPath=relay\n",
                              0x9000);
}
END_TEST

/* ---- decisions ---- */

START_TEST(rules_are_those_of_ip) {
        struct policy *policy = policy_of(BOTH "Deny=10.1.0.0/16:*\nConnect=[2001:4860::]/32:443\n");
        struct policy_verdict verdict;

        verdict = decide(policy, POLICY_CONNECT, "10.2.0.1:443");
        ck_assert(verdict.allowed);
        verdict = decide(policy, POLICY_CONNECT, "[2001:4860::1]:443");
        ck_assert(verdict.allowed);
        verdict = decide(policy, POLICY_CONNECT, "10.1.0.1:443");
        expect_verdict(&verdict, false, "Deny=10.1.0.0/16:*", NULL);
        verdict = decide(policy, POLICY_CONNECT, "10.2.0.1:444");
        expect_verdict(&verdict, false, "", "Connect=10.2.0.1:444");
        verdict = decide(policy, POLICY_CONNECT, "[::ffff:10.1.0.1]:443");
        ck_assert(!verdict.allowed);
        verdict = decide(policy, POLICY_LISTEN, "127.0.0.1:443");
        ck_assert(verdict.allowed);
        verdict = decide(policy, POLICY_ACCEPT, "10.1.2.3:50000");
        ck_assert(!verdict.allowed);
        verdict = decide(policy, POLICY_ACCEPT, "10.2.2.3:50000");
        ck_assert(verdict.allowed);
        verdict = decide(policy, POLICY_CONNECT, "/run/a");
        ck_assert(!verdict.allowed && verdict.impossible);
        policy_free(policy);
}
END_TEST

START_TEST(it_has_a_handshake_and_a_relay) {
        struct policy *policy = policy_of(LISTEN);
        const struct policy_protocol *protocol = protocol_in(policy);

        for (int verb = POLICY_CONNECT; verb <= POLICY_ACCEPT; ++verb) {
                ck_assert(policy_has_handshake(protocol, (enum policy_verb)verb));
                ck_assert(policy_needs_relay(protocol, (enum policy_verb)verb, true));
        }
        ck_assert(policy_has_tls(protocol, POLICY_ACCEPT) && !policy_has_tls(protocol, POLICY_CONNECT));
        ck_assert(policy_family_includes(protocol->family, AF_INET) &&
                  policy_family_includes(protocol->family, AF_INET6));
        ck_assert(!policy_family_includes(protocol->family, AF_UNIX));
        policy_free(policy);
}
END_TEST

/* After a reload neither is what the other asks for. */
START_TEST(tcp_is_no_way_round_quic) {
        struct policy *quic = policy_of(BOTH),
                      *tcp = policy_of(POLICY_TENANT "[Protocol web]\nFamily=ip\nDataPath=relay\n"
                                                     "Connect=10.0.0.0/8:443\nTLS=client\n");
        struct policy_made made = { .verb = POLICY_CONNECT, .is_relayed = true, .has_tls = true };

        ck_assert(policy_bears(protocol_in(tcp), &made));
        ck_assert(!policy_bears(protocol_in(quic), &made));
        made.is_quic = true;
        ck_assert(!policy_bears(protocol_in(tcp), &made));
        ck_assert(policy_bears(protocol_in(quic), &made));
        made.is_relayed = false;
        ck_assert(!policy_bears(protocol_in(quic), &made));
        policy_free(quic);
        policy_free(tcp);
}
END_TEST

/* ---- the way, and warnings ---- */

static const struct {
        const char *text;
        enum policy_verb verb;
        const char *target;
        const char *lines; /* of the explanation */
} ways[] = {
        { CONNECT, POLICY_CONNECT, "api.example.com:443",
          "    then    quic     QUIC: the peer may have 100 streams of each kind open, each 256K ahead\n"
          "    then    tls      TLS 1.3 as client: the certificate must be for api.example.com, by an authority that "
          "the "
          "system trusts (acme.conf:3)\n"
          "    then    relay    a relay of the tenant's does that, and stays in between: the guest has one end of a "
          "pair "
          "for each stream\n" },
        { LISTEN "MaxStreams=7\nRetry=always\n", POLICY_ACCEPT, "192.0.2.1:1024",
          "    then    quic     QUIC: the peer may have 7 streams of each kind open, each 256K ahead, when it has "
          "proved "
          "its address by a Retry\n"
          "    then    tls      TLS 1.3 as server, with /a.pem (acme.conf:3)\n" },
        { LISTEN, POLICY_ACCEPT, "192.0.2.1:1024", "by a Retry if many come\n" },
};

START_TEST(a_way) {
        struct policy *policy = policy_of(ways[_i].text);
        struct policy_explanation explanation;
        struct policy_complaint complaint;
        struct policy_question question;

        ck_assert_int_eq(policy_question_parse(ways[_i].verb, ways[_i].target, &question, &complaint), 0);
        policy_explain(&policy->tenants[0], protocol_in(policy), &question, NULL, &explanation);
        NB_CLEANUP_FREE char *text = policy_explanation_format(&explanation);

        ck_assert_ptr_nonnull(text);
        ck_assert_msg(strstr(text, ways[_i].lines), "%s", text);
        policy_free(policy);
}
END_TEST

struct warnings {
        unsigned n;
        char text[1024]; /* the last */
};

static void take_warning(void *data, const char *text) {
        struct warnings *warnings = data;

        snprintf(warnings->text, sizeof(warnings->text), "%s", text);
        warnings->n++;
}

#define MEMORY(limit)                                                                                                  \
        "[Tenant]\nName=acme\nRelayMemory=" limit "\n[Protocol "                                                       \
        "web]\nFamily=quic\nTLSALPN=h3\nConnect=10.0.0.0/8:443\n"

static const struct {
        const char *text;
        const char *warning; /* NULL: none */
} suspicious[] = {
        { BOTH, NULL },
        { LISTEN "TLSTickets=no\n", NULL },
        { MEMORY("200M"), NULL },
        { MEMORY("199M"),
          "acme.conf:4: warning: one connection of [Protocol web] can hold up all of a relay's, while its guest does "
          "not "
          "read: 2 kinds of streams x MaxStreams=100 x StreamWindow=256K is 50M, and a relay keeps a quarter of "
          "RelayMemory=199M for that" },
        { MEMORY("infinity") "MaxStreams=65536\nStreamWindow=1G\nConnectionWindow=1G\n", NULL },
        { MEMORY("1M") "SocketTypes=dgram\n", NULL },
        { CONNECT "StreamWindow=2M\nMaxStreams=10\n", "acme.conf:3: warning: no stream of [Protocol web] ever has its "
                                                      "StreamWindow=2M, for all of a connection have "
                                                      "ConnectionWindow=1M together" },
        { CONNECT "Retry=always\n", "acme.conf:3: warning: Retry= is about clients of a server" },
};

START_TEST(a_suspicious_policy) {
        struct policy *policy = policy_of(suspicious[_i].text);
        struct warnings warnings = { 0 };

        policy_warn(policy, true, take_warning, &warnings);
        if (suspicious[_i].warning)
                ck_assert_msg(warnings.n == 1 && strstr(warnings.text, suspicious[_i].warning), "%s", warnings.text);
        else
                ck_assert_msg(warnings.n == 0, "%s", warnings.text);
        policy_free(policy);
}
END_TEST

#define ELEMENTS(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void) {
        Suite *suite = suite_create("policy, QUIC");
        TCase *good = tcase_create("good files"), *bad = tcase_create("bad files");
        TCase *decisions = tcase_create("decisions"), *words = tcase_create("words");

        tcase_add_test(good, every_key);
        tcase_add_test(good, what_is_not_said);
        tcase_add_test(good, a_default_is_not_for_quic);
        tcase_add_loop_test(good, tls_has_the_roles_of_the_rules, 0, ELEMENTS(roles));
        tcase_add_loop_test(bad, a_bad_value, 0, ELEMENTS(bad_values));
        tcase_add_loop_test(bad, a_bad_section, 0, ELEMENTS(bad_sections));
        tcase_add_test(bad, damaged_files);
        tcase_add_test(decisions, rules_are_those_of_ip);
        tcase_add_test(decisions, it_has_a_handshake_and_a_relay);
        tcase_add_test(decisions, tcp_is_no_way_round_quic);
        tcase_add_loop_test(words, a_way, 0, ELEMENTS(ways));
        tcase_add_loop_test(words, a_suspicious_policy, 0, ELEMENTS(suspicious));
        suite_add_tcase(suite, good);
        suite_add_tcase(suite, bad);
        suite_add_tcase(suite, decisions);
        suite_add_tcase(suite, words);
        return run_suite(suite);
}
