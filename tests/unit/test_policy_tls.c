/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of TLS: what they become, what is wrong with them, and what they say of each other. */
#include <check.h>
#include <string.h>

#include "policy/pin.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"
#include "tests/unit/policy_checks.h"

/* The rules of RFC 7469's examples need no key that anybody has. */
#define PIN "sha256/d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM="
#define OTHER_PIN "sha256/E9CZ9INDbd+2eRQozYqqbQ2yXLVKB9+xcprMF+44U1g="

#define BOTH POLICY_HEAD "Connect=api.example.com:443\nListen=127.0.0.1:443\n"
#define SERVER BOTH "TLS=server\nTLSCertificate=/etc/a.pem\n"
#define CLIENT BOTH "TLS=client\n"

static const struct policy_tls *tls_in(const struct policy *policy) {
        const struct policy_tls *tls = policy->tenants[0].protocols[0].tls;

        ck_assert_ptr_nonnull(tls);
        return tls;
}

/* ---- good files ---- */

START_TEST(every_key) {
        struct policy *policy = policy_of(BOTH "TLSVersions=1.3\n"
                                               "TLS=both\n"
                                               "TLSTrust=/etc/ca.pem\n"
                                               "TLSRevoked=credential:revoked\n"
                                               "TLSCertificate=/etc/a.pem\n"
                                               "TLSCertificate=/etc/b.pem  credential:b.key /etc/b.ocsp\n"
                                               "TLSClientCertificate=/etc/c.pem /etc/c.key\n"
                                               "TLSClientAuth=require\n"
                                               "TLSClientNames=Client.Example.com. *.example.org\n"
                                               "TLSClientNames=b\303\274cher.example\n"
                                               "TLSALPN=h2 http/1.1\n"
                                               "TLSPins=" PIN " " OTHER_PIN "\n"
                                               "TLSMustStaple=yes\n"
                                               "TLSTickets=no\n");
        const struct policy_tls *tls = tls_in(policy);

        ck_assert_uint_eq(tls->roles, POLICY_TLS_CLIENT | POLICY_TLS_SERVER);
        ck_assert_uint_eq(tls->versions, POLICY_TLS_1_3);
        ck_assert_uint_eq(tls->line, 9);
        ck_assert_str_eq(tls->trust.path, "/etc/ca.pem");
        ck_assert_str_eq(tls->revoked.path, "credential:revoked");
        ck_assert_uint_eq(tls->n_certificates, 2);
        ck_assert_str_eq(tls->certificates[0].chain.path, "/etc/a.pem");
        ck_assert_ptr_null(tls->certificates[0].key.path);
        ck_assert_str_eq(tls->certificates[1].key.path, "credential:b.key");
        ck_assert_uint_eq(tls->certificates[1].key.at.line, 13);
        ck_assert_uint_eq(tls->certificates[1].key.at.column, 28);
        ck_assert_str_eq(tls->certificates[1].staple.path, "/etc/b.ocsp");
        ck_assert_str_eq(tls->client_certificate.chain.path, "/etc/c.pem");
        ck_assert_str_eq(tls->client_certificate.key.path, "/etc/c.key");
        ck_assert_int_eq(tls->client_auth, POLICY_CLIENT_AUTH_REQUIRE);
        ck_assert_uint_eq(tls->n_client_names, 3);
        ck_assert_str_eq(tls->client_names[0].text, "client.example.com");
        ck_assert(!tls->client_names[0].below && tls->client_names[1].below);
        ck_assert_str_eq(tls->client_names[2].text, "xn--bcher-kva.example");
        ck_assert_uint_eq(tls->n_alpn, 2);
        ck_assert_str_eq(tls->alpn[1], "http/1.1");
        ck_assert_uint_eq(tls->n_pins, 2);
        ck_assert_uint_eq(tls->pins[0].bytes[0], 0x77);
        ck_assert_uint_eq(tls->pins[0].bytes[31], 0x63);
        ck_assert(tls->must_staple && !tls->tickets);
        policy_free(policy);
}
END_TEST

START_TEST(what_is_not_said) {
        struct policy *policy = policy_of(CLIENT);
        const struct policy_tls *tls = tls_in(policy);

        ck_assert_uint_eq(tls->versions, POLICY_TLS_1_2 | POLICY_TLS_1_3);
        ck_assert_ptr_null(tls->trust.path);
        ck_assert_int_eq(tls->client_auth, POLICY_CLIENT_AUTH_NONE);
        ck_assert(tls->tickets && !tls->must_staple);
        policy_free(policy);
        policy = policy_of(BOTH);
        ck_assert_ptr_null(policy->tenants[0].protocols[0].tls);
        policy_free(policy);
}
END_TEST

START_TEST(a_drop_in) {
        static const struct policy_fragment fragments[] = {
#define FRAGMENT(name, content) { .file = name, .text = content, .length = sizeof(content) - 1 }
                FRAGMENT("acme.conf", SERVER "TLSVersions=1.2\nTLSTrust=/etc/ca.pem\nTLSClientAuth=require\n"),
                FRAGMENT("10.conf", "[Protocol web]\nTLSCertificate=/etc/b.pem\nTLSVersions=1.3\nTLSTrust=system\n"
                                    "TLSClientAuth=request\n"),
#undef FRAGMENT
        };
        const struct policy_loader loader = { .include = NULL };
        struct policy *policy = policy_new();
        struct policy_error error;

        ck_assert_int_eq(policy_add_tenant(policy, fragments, 2, &loader, &error), 0);
        ck_assert_uint_eq(tls_in(policy)->n_certificates, 2);
        ck_assert_uint_eq(tls_in(policy)->versions, POLICY_TLS_1_3);
        ck_assert_ptr_null(tls_in(policy)->trust.path);
        policy_free(policy);
}
END_TEST

START_TEST(of_preopened_sockets) {
        struct policy *policy = policy_of(POLICY_TENANT "[Preopen a]\nDataPath=direct\nListen=127.0.0.1:443\n"
                                                        "TLS=server\nTLSCertificate=/etc/a.pem\n"
                                                        "[Preopen b]\nDataPath=relay\nConnect=192.0.2.1:443\n"
                                                        "TLS=client\n");

        ck_assert_uint_eq(policy->tenants[0].preopens[0].protocol.tls->roles, POLICY_TLS_SERVER);
        ck_assert_uint_eq(policy->tenants[0].preopens[1].protocol.tls->roles, POLICY_TLS_CLIENT);
        policy_free(policy);
}
END_TEST

/* ---- bad values ---- */

/* The columns count from the value. */
static const struct {
        const char *head, *key;
        struct bad_text bad;
} bad_values[] = {
        { BOTH, "TLS", { "clients", 0, 1, "is not client, server or both", "client" } },
        { BOTH, "TLS", { "yes", 0, 1, "is not client, server or both", NULL } },
        { CLIENT, "TLSVersions", { "1.1 1.3", 0, 1, "is broken (RFC 8996)", NULL } },
        { CLIENT, "TLSVersions", { "1.4", 0, 1, "is not 1.2 or 1.3", "1.2" } },
        { CLIENT, "TLSTrust", { "ca.pem", 0, 1, "a path from the root", NULL } },
        { CLIENT, "TLSTrust", { "/etc/ssl/", 0, 9, "this is a directory", NULL } },
        { CLIENT, "TLSTrust", { "/etc/a b", 0, 7, "one file", NULL } },
        { CLIENT, "TLSTrust", { "credential:", 0, 12, "has no name", NULL } },
        { CLIENT, "TLSTrust", { "credential:..", 0, 12, "letters, digits", NULL } },
        { CLIENT, "TLSTrust", { "credential:a/b", 0, 12, "letters, digits", NULL } },
        { CLIENT, "TLSClientCertificate", { "/a /b /c", 0, 7, "one certificate a line: CHAIN and its KEY", NULL } },
        { SERVER, "TLSCertificate", { "/a /b /c /d", 0, 10, "write TLSCertificate= again", NULL } },
        { SERVER, "TLSCertificate", { "/a b.key", 0, 4, "a path from the root", NULL } },
        { SERVER, "TLSClientAuth", { "requests", 0, 1, "is not none, request or require", "request" } },
        { CLIENT, "TLSALPN", { "h2,http/1.1", 0, 3, "separated by blanks", "h2 http/1.1" } },
        { CLIENT, "TLSALPN", { "h2 ,,http/1.1,a,", 0, 4, "separated by blanks", "h2 http/1.1 a" } },
        { CLIENT, "TLSALPN", { "h2 ,", 0, 4, "separated by blanks", NULL } },
        { CLIENT, "TLSALPN", { "h2 h\303\274", 0, 5, "printable ASCII", NULL } },
        { CLIENT, "TLSALPN", { "h2 h2", 0, 4, "stands there already", NULL } },
        { CLIENT,
          "TLSPins",
          { "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 0, 1, "44 characters of base64",
            "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" } },
        { CLIENT, "TLSPins", { "sha256/AAAA", 0, 1, "44 characters", NULL } },
        { CLIENT, "TLSPins", { "sha1/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 0, 1, "a pin is sha256/", NULL } },
        { CLIENT, "TLSPins", { "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=", 0, 1, "44 characters", NULL } },
        { CLIENT, "TLSPins", { "sha256/AAAAAAAAAAAAAAAAAAAAAA-AAAAAAAAAAAAAAAAAAAA=", 0, 1, "44 characters", NULL } },
        { CLIENT, "TLSMustStaple", { "true", 0, 1, "is not yes or no", NULL } },
};

START_TEST(a_bad_value) {
        expect_bad_value(bad_values[_i].head, bad_values[_i].key, &bad_values[_i].bad, "");
}
END_TEST

START_TEST(bad_names_of_clients) {
        static const struct bad_text bad[] = {
                { "*foo.com", 0, 1, "", NULL },
                { "a.*.b", 0, 3, "", NULL },
                { "*.", 0, 3, "", NULL },
                { "127.0.0.1", 0, 1, "", NULL },
        };

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
                struct policy *policy = policy_new();
                struct policy_error error;
                char text[512];

                snprintf(text, sizeof(text), SERVER "TLSClientAuth=require\nTLSTrust=/ca\nTLSClientNames=%s\n",
                         bad[i].text);
                ck_assert_int_eq(policy_add_text(policy, "f", text, strlen(text), POLICY_DATA_PATH_AUTO, &error),
                                 -EINVAL);
                ck_assert_uint_eq(error.line, 12);
                policy_free(policy);
        }
}
END_TEST

/* ---- sections as a whole ---- */

static const struct bad_text bad_sections[] = {
        { BOTH "TLSTrust=/ca.pem\n", 8, 10, "[Protocol web] has no TLS=", NULL },
        { BOTH "TLSTickets=no\n", 8, 12, "TLSTickets= says how TLS is done", NULL },
        { BOTH "TLS=server\n", 8, 5, "needs TLSCertificate=", NULL },
        { BOTH "TLS=both\n", 8, 5, "needs TLSCertificate=", NULL },
        { CLIENT "TLSCertificate=/a\n", 9, 16, "is for TLS=server, and [Protocol web] has TLS=client", NULL },
        { CLIENT "TLSClientAuth=none\n", 9, 15, "is for TLS=server", NULL },
        { SERVER "TLSClientCertificate=/a\n", 10, 22, "is for TLS=client, and [Protocol web] has TLS=server", NULL },
        { SERVER "TLSMustStaple=no\n", 10, 15, "is for TLS=client", NULL },
        { SERVER "TLSClientAuth=require\n", 10, 15, "takes TLSTrust=FILE", NULL },
        { SERVER "TLSClientAuth=require\nTLSTrust=system\n", 10, 15, "takes TLSTrust=FILE", NULL },
        { SERVER "TLSClientNames=a.example\n", 10, 16, "none is asked for", NULL },
        { SERVER "TLSTrust=/ca\n", 10, 10, "this server asks for none", NULL },
        { SERVER "TLSRevoked=/crl\n", 10, 12, "this server asks for none", NULL },
        { SERVER "TLSPins=" PIN "\n", 10, 9, "this server asks for none", NULL },
        { CLIENT "SocketTypes=stream dgram\n", 8, 5, "TLS is for streams", NULL },
        { POLICY_TENANT "[Protocol u]\nFamily=unix\nDataPath=relay\nConnect=/run/a\nTLS=client\n", 7, 5,
          "TLS is for TCP, and [Protocol u] has Family=unix", NULL },
        { POLICY_TENANT "[Preopen a]\nDataPath=direct\nListen=127.0.0.1:443\nTLS=both\nTLSCertificate=/a\n", 6, 5,
          "[Preopen a] listens: write TLS=server", NULL },
        { POLICY_TENANT "[Preopen a]\nDataPath=direct\nConnect=192.0.2.1:443\nTLS=server\nTLSCertificate=/a\n", 6, 5,
          "[Preopen a] connects: write TLS=client", NULL },
        { POLICY_TENANT "TLS=client\n", 3, 1, "belongs in a [Protocol NAME] or [Preopen NAME] section", NULL },
        { BOTH "TLSCert=/a\n", 8, 1, "there is no key TLSCert=", NULL },
        { SERVER "TLSClientName=a.example\n", 10, 1, "did you mean TLSClientNames=?", "TLSClientNames=a.example" },
        { SERVER "HandshakeTimeout=5\n", 10, 18, "with its unit", "HandshakeTimeout=5s" },
        { CLIENT "HandshakeTimeout=5s\n", 9, 18, "is for TLS=server and AcceptProxyHeader=", NULL },
};

START_TEST(a_bad_section) {
        expect_bad_text(&bad_sections[_i]);
}
END_TEST

START_TEST(too_many) {
        static const struct {
                const char *key, *value, *what; /* a number goes behind the value */
        } lists[] = {
                { "TLSCertificate", "/etc/", "certificates" },
                { "TLSClientNames", "n.example.a", "names of clients" },
                { "TLSALPN", "p", "names of ALPN" },
        };

        for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); ++i) {
                struct policy *policy = policy_new();
                struct policy_error error;
                char text[4096] = SERVER "TLSClientAuth=request\n";
                size_t used = strlen(text);

                for (unsigned n = 0; n <= POLICY_TLS_LIST_MAX; ++n)
                        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s=%s%u\n", lists[i].key,
                                                 lists[i].value, n);
                ck_assert_int_eq(policy_add_text(policy, "f", text, used, POLICY_DATA_PATH_AUTO, &error), -EINVAL);
                ck_assert_ptr_nonnull(strstr(error.message, lists[i].what));
                policy_free(policy);
        }
}
END_TEST

START_TEST(damaged_files) {
        expect_damage_is_told(SERVER "TLSClientAuth=require\nTLSTrust=/ca.pem\nTLSClientNames=*.a.example b.example\n"
                                     "TLSALPN=h2 http/1.1\nTLSPins=" PIN "\nTLSVersions=1.2 1.3\n",
                              0x715);
}
END_TEST

/* ---- pins ---- */

START_TEST(a_pin_has_one_text) {
        uint64_t state = 0x913;

        for (int i = 0; i < 1000; ++i) {
                struct policy_pin pin, again;
                struct policy_complaint complaint;
                char text[POLICY_PIN_TEXT_MAX];

                for (size_t j = 0; j < sizeof(pin.bytes); ++j)
                        pin.bytes[j] = (uint8_t)next_random(&state);
                policy_pin_format(&pin, text);
                ck_assert_uint_eq(strlen(text), POLICY_PIN_TEXT_MAX - 1);
                ck_assert_int_eq(policy_pin_parse(text, &again, &complaint), 0);
                ck_assert_mem_eq(&pin, &again, sizeof(pin));
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("policy, TLS");
        TCase *good = tcase_create("good files"), *bad = tcase_create("bad files"), *pins = tcase_create("pins");

        tcase_add_test(good, every_key);
        tcase_add_test(good, what_is_not_said);
        tcase_add_test(good, a_drop_in);
        tcase_add_test(good, of_preopened_sockets);
        tcase_add_loop_test(bad, a_bad_value, 0, sizeof(bad_values) / sizeof(bad_values[0]));
        tcase_add_test(bad, bad_names_of_clients);
        tcase_add_loop_test(bad, a_bad_section, 0, sizeof(bad_sections) / sizeof(bad_sections[0]));
        tcase_add_test(bad, too_many);
        tcase_add_test(bad, damaged_files);
        tcase_add_test(pins, a_pin_has_one_text);
        suite_add_tcase(suite, good);
        suite_add_tcase(suite, bad);
        suite_add_tcase(suite, pins);
        return run_suite(suite);
}
