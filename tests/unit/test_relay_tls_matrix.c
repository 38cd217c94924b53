/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bad certificates and good ones, shown by openssl's server to a client of the relay's: each is refused for what it is.
 */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "tests/support/runner.h"
#include "tests/support/tls_peer.h"
#include "tests/unit/tls_side.h"

#define CAUSE(name) NB__RELAY__CAUSE__CAUSE_##name

static struct certificates certificates;

/* One certificate, and what becomes of it. */
struct row {
        const char *name;     /* of the test, and of the certificate where there is no other */
        const char *issuer;   /* "middle" if NULL; "itself" */
        const char *dns_name; /* "api.example.com" if NULL; "" for none */
        const char *purpose;  /* "tls_www_server" if NULL */
        const char *further;  /* lines of its template */
        const char *key_type;
        unsigned bits;
        const char *hash;
        int from_days;
        int until_days;
        const char *server_name; /* "api.example.com" if NULL */
        Nb__Relay__Cause cause;  /* UNSPECIFIED: it is accepted */
        const char *reason;      /* a part of it */
};

static const struct row rows[] = {
        { .name = "good" },
        { .name = "good_by_root", .issuer = "root" },
        { .name = "good_rsa", .key_type = "rsa", .bits = 2048 },
        { .name = "good_ed25519", .key_type = "ed25519" },
        { .name = "good_wildcard", .dns_name = "*.example.com" },
        { .name = "good_address",
          .dns_name = "",
          .further = "ip_address = \"127.0.0.1\"\n",
          .server_name = "127.0.0.1" },
        { .name = "good_address_6", .dns_name = "", .further = "ip_address = \"::1\"\n", .server_name = "::1" },
        { .name = "good_constrained",
          .issuer = "constrained",
          .dns_name = "www.example.org",
          .server_name = "www.example.org" },
        { .name = "expired",
          .from_days = -10,
          .until_days = -1,
          .cause = CAUSE(CERTIFICATE_EXPIRED),
          .reason = "certificate expired at 20" },
        { .name = "expired_authority",
          .issuer = "old",
          .cause = CAUSE(CERTIFICATE_EXPIRED),
          .reason = "an authority's" },
        { .name = "not_yet_valid",
          .from_days = 3,
          .cause = CAUSE(CERTIFICATE_NOT_YET_VALID),
          .reason = "is not valid before 20" },
        { .name = "wrong_name",
          .dns_name = "api.example.net",
          .cause = CAUSE(CERTIFICATE_NAME),
          .reason = "is not for api.example.com, but for api.example.net" },
        { .name = "name_below",
          .dns_name = "*.example.com",
          .server_name = "a.api.example.com",
          .cause = CAUSE(CERTIFICATE_NAME),
          .reason = "but for *.example.com" },
        { .name = "wrong_purpose",
          .purpose = "tls_www_client",
          .cause = CAUSE(CERTIFICATE_PURPOSE),
          .reason = "for another purpose" },
        { .name = "self_signed",
          .issuer = "itself",
          .cause = CAUSE(CERTIFICATE_UNTRUSTED),
          .reason = "signed by itself" },
        { .name = "unknown_authority",
          .issuer = "stranger",
          .cause = CAUSE(CERTIFICATE_UNTRUSTED),
          .reason = "leads to an authority that is not trusted: CN=stranger" },
        { .name = "weak_key", .key_type = "rsa", .bits = 1024, .cause = CAUSE(CERTIFICATE_WEAK), .reason = "weak" },
        { .name = "weak_signature", .hash = "SHA1", .cause = CAUSE(CERTIFICATE_WEAK), .reason = "weak" },
        { .name = "chain_too_long",
          .issuer = "long9",
          .cause = CAUSE(CERTIFICATE_UNTRUSTED),
          .reason = "longer than 8" },
        { .name = "address_as_dns_name",
          .dns_name = "127.0.0.1",
          .server_name = "127.0.0.1",
          .cause = CAUSE(CERTIFICATE_NAME),
          .reason = "is not for 127.0.0.1" },
        { .name = "another_address",
          .dns_name = "",
          .further = "ip_address = \"127.0.0.2\"\n",
          .server_name = "127.0.0.1",
          .cause = CAUSE(CERTIFICATE_NAME),
          .reason = "but for 127.0.0.2" },
        { .name = "api.example.com", .dns_name = "", .cause = CAUSE(CERTIFICATE_NAME), .reason = "but for nobody" },
        { .name = "wildcard_too_wide",
          .dns_name = "*.com",
          .server_name = "example.com",
          .cause = CAUSE(CERTIFICATE_NAME),
          .reason = "but for *.com" },
        { .name = "outside_constraints",
          .issuer = "constrained",
          .cause = CAUSE(CERTIFICATE_UNTRUSTED),
          .reason = "outside what an authority of its chain may certify" },
        { .name = "too_deep", .issuer = "below_last", .cause = CAUSE(CERTIFICATE_UNTRUSTED) },
        { .name = "by_no_authority",
          .issuer = "good",
          .cause = CAUSE(CERTIFICATE_UNTRUSTED),
          .reason = "who is no authority" },
        { .name = "critical_extension",
          .further = "add_critical_extension = \"1.2.3.4 0x0500\"\n",
          .cause = CAUSE(CERTIFICATE_UNTRUSTED),
          .reason = "critical extension" },
        { .name = "feature_without_staple",
          .further = "tls_feature = 5\n",
          .cause = CAUSE(CERTIFICATE_STAPLE),
          .reason = "says that an OCSP response comes with it" },
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static void make_authorities(void) {
        static const struct certificate constrained = {
                .name = "constrained",
                .issuer = "root",
                .template = "ca\ncert_signing_key\nnc_permit_dns = example.org\n",
        };
        static const struct certificate last = {
                .name = "last",
                .issuer = "root",
                .template = "ca\ncert_signing_key\npath_len = 0\n",
        };
        static const struct certificate old = {
                .name = "old",
                .issuer = "root",
                .template = "ca\ncert_signing_key\n",
                .from_days = -10,
                .until_days = -2,
        };
        char name[16] = "root";

        certificates_make_authority(&certificates, "root", NULL);
        certificates_make_authority(&certificates, "middle", "root");
        certificates_make_authority(&certificates, "stranger", NULL);
        certificates_make(&certificates, &constrained);
        certificates_make(&certificates, &old);
        certificates_make(&certificates, &last);
        certificates_make_authority(&certificates, "below_last", "last");
        for (int i = 0; i < 10; ++i) {
                char next[16];

                snprintf(next, sizeof(next), "long%d", i);
                certificates_make_authority(&certificates, next, name);
                memcpy(name, next, sizeof(name));
        }
        certificates_make_server(&certificates, "good", "middle", "api.example.com");
}

static void make(const struct row *row) {
        const char *dns_name = row->dns_name ? row->dns_name : "api.example.com";
        char template[512];
        const struct certificate certificate = {
                .name = row->name,
                .issuer = !row->issuer                         ? "middle"
                          : strcmp(row->issuer, "itself") == 0 ? NULL
                                                               : row->issuer,
                .template = template,
                .key_type = row->key_type,
                .bits = row->bits,
                .hash = row->hash,
                .from_days = row->from_days,
                .until_days = row->until_days,
        };

        snprintf(template, sizeof(template), "signing_key\n%s\n%s%s%s%s",
                 row->purpose ? row->purpose : "tls_www_server", dns_name[0] != '\0' ? "dns_name = \"" : "", dns_name,
                 dns_name[0] != '\0' ? "\"\n" : "", row->further ? row->further : "");
        certificates_make(&certificates, &certificate);
}

static void make_certificates(void) {
        certificates_init(&certificates);
        make_authorities();
}

static void remove_certificates(void) {
        certificates_deinit(&certificates);
}

/* ---- whom a certificate is for ---- */

static const struct tls_setup client = {
        .server_name = "api.example.com",
        .files = { TLS_FILE(TRUST, "root.pem") },
};

/* Connects to a server with the certificate `name`. */
static void check(const char *name, const char *const *further, const struct tls_setup *setup, Nb__Relay__Cause cause,
                  const char *reason) {
        PROCESS server;
        struct tls_side side;
        uint16_t port = tls_peer_openssl(&server, &certificates, name, further);
        int error;

        tls_side_init(&side, &certificates, setup, NULL);
        tls_side_connect(&side, tls_peer_connect(port));
        error = tls_side_shake(&side);
        ck_assert_msg(side.link.cause == cause, "%s: %d, %s", name, (int)side.link.cause, side.link.reason);
        ck_assert_int_eq(error == 0, cause == CAUSE(UNSPECIFIED));
        if (reason)
                ck_assert_msg(strstr(side.link.reason, reason), "%s: %s", name, side.link.reason);
        tls_side_deinit(&side);
        (void)process_stop(&server);
}

START_TEST(abuse_41_certificates) {
        static const char *const lenient[] = { "-cipher", "DEFAULT@SECLEVEL=0", NULL };
        const struct row *row = &rows[_i];
        struct tls_setup setup = client;

        make(row);
        if (row->server_name)
                setup.server_name = row->server_name;
        check(row->name, lenient, &setup, row->cause, row->reason);
}
END_TEST

/* ---- what was revoked ---- */

static struct tls_setup with_list(const char *list) {
        struct tls_setup setup = client;

        setup.files[1].kind = NB__RELAY__FILE_KIND__FILE_KIND_REVOKED;
        setup.files[1].name = list;
        return setup;
}

START_TEST(abuse_41_a_revoked_certificate) {
        struct tls_setup setup = with_list("fallen.crl");

        certificates_make_server(&certificates, "fallen", "middle", "api.example.com");
        certificates_revoke(&certificates, "fallen", "middle", 5);
        check("fallen", NULL, &setup, CAUSE(CERTIFICATE_REVOKED), "revoked");
        check("good", NULL, &setup, CAUSE(UNSPECIFIED), NULL);
}
END_TEST

START_TEST(abuse_41_a_revoked_authority) {
        struct tls_setup setup = with_list("corrupt.crl");

        certificates_make_authority(&certificates, "corrupt", "root");
        certificates_make_server(&certificates, "tainted", "corrupt", "api.example.com");
        certificates_revoke(&certificates, "corrupt", "root", 5);
        check("tainted", NULL, &setup, CAUSE(CERTIFICATE_REVOKED), "revoked");
}
END_TEST

START_TEST(abuse_41_an_old_list_of_revoked_certificates) {
        struct tls_setup setup = with_list("fallen.crl");

        certificates_make_server(&certificates, "fallen", "middle", "api.example.com");
        certificates_revoke(&certificates, "fallen", "middle", -1);
        check("good", NULL, &setup, CAUSE(CERTIFICATE_REVOKED), "was to be renewed by 20");
}
END_TEST

/* ---- staples ---- */

START_TEST(a_stapled_response) {
        struct tls_setup setup = client;
        char response[CERTIFICATES_PATH_MAX];
        const char *const further[] = { "-status_file", certificates_path(&certificates, "stapled.ocsp", response),
                                        NULL };

        setup.must_staple = true;
        certificates_make_server(&certificates, "stapled", "middle", "api.example.com");
        certificates_staple(&certificates, "stapled", "middle", 0);
        check("stapled", further, &setup, CAUSE(UNSPECIFIED), NULL);
        setup.no_tls13 = true;
        check("stapled", further, &setup, CAUSE(UNSPECIFIED), NULL);
}
END_TEST

START_TEST(abuse_41_no_staple_where_one_must_be) {
        struct tls_setup setup = client;

        setup.must_staple = true;
        check("good", NULL, &setup, CAUSE(CERTIFICATE_STAPLE), "TLSMustStaple=yes");
        setup.no_tls13 = true;
        check("good", NULL, &setup, CAUSE(CERTIFICATE_STAPLE), "TLSMustStaple=yes");
}
END_TEST

START_TEST(abuse_41_a_staple_that_says_revoked) {
        char response[CERTIFICATES_PATH_MAX];
        const char *const further[] = { "-status_file", certificates_path(&certificates, "fallen.ocsp", response),
                                        NULL };

        certificates_make_server(&certificates, "fallen", "middle", "api.example.com");
        certificates_staple(&certificates, "fallen", "middle", 1);
        check("fallen", further, &client, CAUSE(CERTIFICATE_REVOKED), "revoked");
}
END_TEST

START_TEST(abuse_41_a_staple_of_another_certificate) {
        struct tls_setup setup = client;
        char response[CERTIFICATES_PATH_MAX];
        const char *const further[] = { "-status_file", certificates_path(&certificates, "another.ocsp", response),
                                        NULL };

        setup.must_staple = true;
        certificates_make_server(&certificates, "another", "middle", "api.example.com");
        certificates_staple(&certificates, "another", "middle", 0);
        check("good", further, &setup, CAUSE(CERTIFICATE_STAPLE), NULL);
}
END_TEST

/* ---- old protocols ---- */

static void check_protocol(const char *const *further, bool tls13_only, const char *reason) {
        PROCESS server;
        struct tls_setup setup = client;
        struct tls_side side;
        uint16_t port = tls_peer_openssl(&server, &certificates, "good", further);

        setup.no_tls12 = tls13_only;
        tls_side_init(&side, &certificates, &setup, NULL);
        tls_side_connect(&side, tls_peer_connect(port));
        ck_assert_int_lt(tls_side_shake(&side), 0);
        ck_assert_msg(side.link.cause == CAUSE(TLS_VERSION) || side.link.cause == CAUSE(TLS_ALERT), "%s",
                      side.link.reason);
        ck_assert_msg(!reason || strstr(side.link.reason, reason), "%s", side.link.reason);
        tls_side_deinit(&side);
        (void)process_stop(&server);
}

START_TEST(abuse_41_old_versions) {
        static const char *const tls11[] = { "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0", NULL };
        static const char *const tls10[] = { "-tls1", "-cipher", "DEFAULT@SECLEVEL=0", NULL };
        static const char *const tls12[] = { "-tls1_2", NULL };

        check_protocol(tls11, false, NULL);
        check_protocol(tls10, false, NULL);
        check_protocol(tls12, true, NULL);
}
END_TEST

START_TEST(abuse_41_old_algorithms) {
        static const char *const cbc[] = { "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256", NULL };
        static const char *const sha1[] = { "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA", NULL };
        static const char *const finite_fields[] = { "-groups", "ffdhe2048", NULL };

        check_protocol(cbc, false, NULL);
        check_protocol(sha1, false, NULL);
        check_protocol(finite_fields, true, NULL);
}
END_TEST

static Suite *make_suite(void) {
        Suite *suite = suite_create("relay_tls_matrix");
        TCase *certificate = tcase_create("certificates");
        TCase *later = tcase_create("later");
        TCase *protocols = tcase_create("protocols");

        tcase_add_unchecked_fixture(certificate, make_certificates, remove_certificates);
        tcase_add_loop_test(certificate, abuse_41_certificates, 0, (int)N_ROWS);
        suite_add_tcase(suite, certificate);

        tcase_add_unchecked_fixture(later, make_certificates, remove_certificates);
        tcase_add_test(later, abuse_41_a_revoked_certificate);
        tcase_add_test(later, abuse_41_a_revoked_authority);
        tcase_add_test(later, abuse_41_an_old_list_of_revoked_certificates);
        tcase_add_test(later, a_stapled_response);
        tcase_add_test(later, abuse_41_no_staple_where_one_must_be);
        tcase_add_test(later, abuse_41_a_staple_that_says_revoked);
        tcase_add_test(later, abuse_41_a_staple_of_another_certificate);
        suite_add_tcase(suite, later);

        tcase_add_unchecked_fixture(protocols, make_certificates, remove_certificates);
        tcase_add_test(protocols, abuse_41_old_versions);
        tcase_add_test(protocols, abuse_41_old_algorithms);
        suite_add_tcase(suite, protocols);
        return suite;
}

int main(void) {
        return run_suite(make_suite());
}
