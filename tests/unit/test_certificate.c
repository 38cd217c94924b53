/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates as their owners see them: what they say, and what is said of them on a given day. */
#include <check.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "tests/support/runner.h"
#include "tls/judge.h"

#define DAY_S (24 * 60 * 60)

/* Noon of 2026-11-23: a day is not at its end when it is printed. */
#define TODAY INT64_C(1795435200)

#define TEXT_MAX 65536

/* A certificate with its key, made by the test. */
struct made {
        gnutls_x509_crt_t crt;
        gnutls_x509_privkey_t key;
};

/* What is to be made. */
struct recipe {
        const char *common_name;
        const char *names[4]; /* DNS names; an address begins with a digit */
        int from_day, to_day;
        bool is_authority;
        const char *purpose; /* an OID; NULL: none */
        unsigned weak_bits;  /* of RSA; 0: a curve of 256 bits */
        gnutls_digest_algorithm_t digest;
};

static void must(int r) {
        ck_assert_msg(r >= 0, "%s", gnutls_strerror(r));
}

static void add_names(gnutls_x509_crt_t crt, const struct recipe *recipe) {
        static const unsigned char address[] = { 192, 0, 2, 1 };

        for (size_t i = 0; i < 4 && recipe->names[i]; ++i)
                if (recipe->names[i][0] == '1')
                        must(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, address, sizeof(address),
                                                                  GNUTLS_FSAN_APPEND));
                else
                        must(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, recipe->names[i],
                                                                  (unsigned)strlen(recipe->names[i]),
                                                                  GNUTLS_FSAN_APPEND));
}

/* @param issuer  NULL: it signs itself */
static struct made make(const struct recipe *recipe, const struct made *issuer) {
        struct made made;

        must(gnutls_x509_privkey_init(&made.key));
        must(recipe->weak_bits > 0 ? gnutls_x509_privkey_generate(made.key, GNUTLS_PK_RSA, recipe->weak_bits, 0)
                                   : gnutls_x509_privkey_generate(made.key, GNUTLS_PK_ECDSA,
                                                                  GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
        must(gnutls_x509_crt_init(&made.crt));
        must(gnutls_x509_crt_set_version(made.crt, 3));
        must(gnutls_x509_crt_set_serial(made.crt, "\x01", 1));
        must(gnutls_x509_crt_set_dn_by_oid(made.crt, GNUTLS_OID_X520_COMMON_NAME, 0, recipe->common_name,
                                           (unsigned)strlen(recipe->common_name)));
        must(gnutls_x509_crt_set_activation_time(made.crt, (time_t)(TODAY + (int64_t)recipe->from_day * DAY_S)));
        must(gnutls_x509_crt_set_expiration_time(made.crt, (time_t)(TODAY + (int64_t)recipe->to_day * DAY_S)));
        must(gnutls_x509_crt_set_ca_status(made.crt, recipe->is_authority));
        must(gnutls_x509_crt_set_key(made.crt, made.key));
        add_names(made.crt, recipe);
        if (recipe->purpose)
                must(gnutls_x509_crt_set_key_purpose_oid(made.crt, recipe->purpose, 0));
        must(gnutls_x509_crt_sign2(made.crt, issuer ? issuer->crt : made.crt, issuer ? issuer->key : made.key,
                                   recipe->digest == GNUTLS_DIG_UNKNOWN ? GNUTLS_DIG_SHA256 : recipe->digest, 0));
        return made;
}

static void made_deinit(struct made *made) {
        gnutls_x509_crt_deinit(made->crt);
        gnutls_x509_privkey_deinit(made->key);
}
#define MADE NB_CLEANUP(made_deinit) struct made

static const struct recipe authority_recipe = {
        .common_name = "Test CA",
        .from_day = -100,
        .to_day = 1000,
        .is_authority = true,
};

static const struct recipe server_recipe = {
        .common_name = "api",
        .names = { "api.example.com", "*.example.org", "192.0.2.1" },
        .from_day = -10,
        .to_day = 100,
        .purpose = GNUTLS_KP_TLS_WWW_SERVER,
};

/* ---- files ---- */

struct file {
        char text[TEXT_MAX];
        size_t length;
};

static void add_text(struct file *file, const char *text) {
        file->length += (size_t)snprintf(file->text + file->length, sizeof(file->text) - file->length, "%s", text);
        ck_assert_uint_lt(file->length, sizeof(file->text));
}

static void add_datum(struct file *file, gnutls_datum_t *datum) {
        ck_assert_uint_lt(file->length + datum->size, sizeof(file->text));
        memcpy(file->text + file->length, datum->data, datum->size);
        file->length += datum->size;
        gnutls_free(datum->data);
}

static void add_certificate(struct file *file, const struct made *made) {
        gnutls_datum_t datum;

        must(gnutls_x509_crt_export2(made->crt, GNUTLS_X509_FMT_PEM, &datum));
        add_datum(file, &datum);
}

static void add_key(struct file *file, const struct made *made) {
        gnutls_datum_t datum;

        must(gnutls_x509_privkey_export2(made->key, GNUTLS_X509_FMT_PEM, &datum));
        add_datum(file, &datum);
}

static struct certificate_bundle *read_file(const struct file *file) {
        struct certificate_bundle *bundle = NULL;
        char reason[CERTIFICATE_REASON_MAX] = "";
        int r = certificate_bundle_read((const uint8_t *)file->text, file->length, &bundle, reason);

        ck_assert_msg(r == 0, "%s", reason);
        return bundle;
}
#define BUNDLE NB_CLEANUP(certificate_bundle_cleanup) struct certificate_bundle

/* ---- what a certificate says ---- */

START_TEST(the_facts) {
        MADE authority = make(&authority_recipe, NULL);
        MADE server = make(&server_recipe, &authority);
        struct file file = { .length = 0 };
        BUNDLE *bundle;
        const struct certificate *first;

        add_text(&file, "what stands in between does not count\n");
        add_certificate(&file, &server);
        add_key(&file, &server);
        add_certificate(&file, &authority);
        bundle = read_file(&file);
        ck_assert_uint_eq(bundle->n_certificates, 2);
        first = &bundle->certificates[0];
        ck_assert_str_eq(first->subject, "CN=api");
        ck_assert_str_eq(first->issuer, "CN=Test CA");
        ck_assert_uint_eq(first->n_names, 3);
        ck_assert_str_eq(first->names[1], "*.example.org");
        ck_assert_str_eq(first->names[2], "192.0.2.1");
        ck_assert_str_eq(certificate_name(first), "api.example.com");
        ck_assert_int_eq(first->not_before, TODAY - 10 * DAY_S);
        ck_assert_int_eq(first->not_after, TODAY + 100 * DAY_S);
        ck_assert(first->for_servers && !first->for_clients && !first->is_authority && !first->is_self_issued);
        ck_assert(!first->key_is_weak && !first->signature_is_weak);
        ck_assert_uint_eq(first->key_bits, 256);
        ck_assert(bundle->certificates[1].is_authority && bundle->certificates[1].is_self_issued);
        ck_assert_str_eq(certificate_name(&bundle->certificates[1]), "CN=Test CA");
}
END_TEST

START_TEST(what_is_no_certificate) {
        static const struct {
                const char *text, *reason;
        } files[] = {
                { "", "it holds no certificate in PEM (BEGIN CERTIFICATE)" },
                { "hello\n", "it holds no certificate in PEM (BEGIN CERTIFICATE)" },
                { "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "it holds no certificate" },
                { "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be read" },
                { "-----BEGIN CERTIFICATE-----\n", "it holds" },
        };

        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); ++i) {
                struct certificate_bundle *bundle = NULL;
                char reason[CERTIFICATE_REASON_MAX] = "";

                ck_assert_int_eq(certificate_bundle_read((const uint8_t *)files[i].text, strlen(files[i].text), &bundle,
                                                         reason),
                                 -EINVAL);
                ck_assert_msg(strstr(reason, files[i].reason), "\"%s\" is not in: %s", files[i].reason, reason);
                ck_assert_ptr_null(bundle);
        }
}
END_TEST

/* What a stranger's authority has put into a certificate reaches a terminal. */
START_TEST(names_are_escaped) {
        static const struct recipe recipe = {
                .common_name = "a\033[31m",
                .names = { "\033]0;x\007.example" },
                .to_day = 10,
        };
        MADE made = make(&recipe, NULL);
        struct file file = { .length = 0 };
        BUNDLE *bundle;

        add_certificate(&file, &made);
        bundle = read_file(&file);
        for (const char *c = bundle->certificates[0].subject; *c; ++c)
                ck_assert_msg(*c >= ' ' && *c <= '~', "%s", bundle->certificates[0].subject);
        for (const char *c = certificate_name(&bundle->certificates[0]); *c; ++c)
                ck_assert_msg(*c >= ' ' && *c <= '~', "%s", certificate_name(&bundle->certificates[0]));
}
END_TEST

START_TEST(a_key_and_its_certificate) {
        MADE one = make(&server_recipe, NULL), other = make(&server_recipe, NULL);
        struct file file = { .length = 0 }, key = { .length = 0 }, wrong = { .length = 0 };
        char reason[CERTIFICATE_REASON_MAX];
        BUNDLE *bundle;

        add_certificate(&file, &one);
        add_key(&key, &one);
        add_key(&wrong, &other);
        bundle = read_file(&file);
        ck_assert_int_eq(certificate_check_key(&bundle->certificates[0], (uint8_t *)key.text, key.length, reason), 0);
        ck_assert_int_eq(certificate_check_key(&bundle->certificates[0], (uint8_t *)wrong.text, wrong.length, reason),
                         -EKEYREJECTED);
        ck_assert_str_eq(reason, "its key is not that of the certificate");
        ck_assert_int_eq(certificate_check_key(&bundle->certificates[0], (uint8_t *)file.text, file.length, reason),
                         -EINVAL);
        ck_assert_ptr_nonnull(strstr(reason, "no private key"));
        ck_assert_int_eq(certificate_check_key(&bundle->certificates[0], (uint8_t *)"", 0, reason), -EINVAL);
}
END_TEST

/* ---- what is said of it ---- */

struct heard {
        char text[4096];
        unsigned n[JUDGE_ERROR + 1];
};

static void hear(void *data, enum judge_level level, const struct certificate *about, const char *text) {
        struct heard *heard = data;
        size_t used = strlen(heard->text);

        (void)about;
        heard->n[level]++;
        snprintf(heard->text + used, sizeof(heard->text) - used, "%s: %s\n", judge_level_name(level), text);
}

static struct judge judge_at(int day, struct heard *heard) {
        return (struct judge){
                .now = TODAY + (int64_t)day * DAY_S,
                .warning_s = 30 * DAY_S,
                .say = hear,
                .data = heard,
        };
}

static void expect_said(const struct heard *heard, const char *text) {
        ck_assert_msg(strstr(heard->text, text), "\"%s\" is not in:\n%s", text, heard->text);
}

START_TEST(when_it_expires) {
        static const struct {
                int day;
                const char *said;
        } days[] = {
                { 0, "note: api.example.com expires in 100 days, on 2027-03-03\n" },
                { 70, "note: api.example.com expires in 30 days" },
                { 71, "warning: api.example.com expires in 29 days" },
                { 99, "warning: api.example.com expires in 1 day, on" },
                { 100, "error: api.example.com expired on 2027-03-03: renew it\n" },
                { 500, "error: api.example.com expired on 2027-03-03: renew it\n" },
                { -11, "error: api.example.com is not valid before 2026-11-13\n" },
        };
        MADE authority = make(&authority_recipe, NULL);
        MADE server = make(&server_recipe, &authority);
        struct file file = { .length = 0 };
        BUNDLE *bundle;

        add_certificate(&file, &server);
        bundle = read_file(&file);
        for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); ++i) {
                struct heard heard = { .text = "" };
                const struct judge judge = judge_at(days[i].day, &heard);

                judge_chain(&judge, JUDGE_SERVER, bundle, NULL);
                expect_said(&heard, days[i].said);
                ck_assert_uint_eq(heard.n[JUDGE_NOTE] + heard.n[JUDGE_WARNING] + heard.n[JUDGE_ERROR], 1);
        }
}
END_TEST

static const struct {
        struct recipe recipe;
        enum judge_role role;
        bool signs_itself;
        const char *said; /* NULL: nothing but when it expires */
} own[] = {
        { { .common_name = "a", .names = { "a.example" }, .to_day = 100 }, JUDGE_SERVER, false, NULL },
        { { .common_name = "a", .to_day = 100 }, JUDGE_CLIENT, false, NULL },
        { { .common_name = "a", .to_day = 100 }, JUDGE_SERVER, false, "error: CN=a is for no name" },
        { { .common_name = "a", .names = { "a.example" }, .to_day = 100, .purpose = GNUTLS_KP_TLS_WWW_CLIENT },
          JUDGE_SERVER,
          false,
          "error: a.example is not for servers" },
        { { .common_name = "a", .names = { "a.example" }, .to_day = 100, .purpose = GNUTLS_KP_TLS_WWW_SERVER },
          JUDGE_CLIENT,
          false,
          "error: a.example is not for clients" },
        { { .common_name = "a", .names = { "a.example" }, .to_day = 100, .purpose = GNUTLS_KP_ANY },
          JUDGE_CLIENT,
          false,
          NULL },
        { { .common_name = "a", .names = { "a.example" }, .to_day = 100, .weak_bits = 1024 },
          JUDGE_SERVER,
          false,
          "error: the key of a.example, RSA of 1024 bits, is too weak" },
        { { .common_name = "a", .names = { "a.example" }, .to_day = 100, .digest = GNUTLS_DIG_SHA1 },
          JUDGE_SERVER,
          false,
          "warning: a.example is signed by" },
        { { .common_name = "a", .names = { "a.example" }, .to_day = 100 },
          JUDGE_SERVER,
          true,
          "warning: a.example is self-signed" },
        { { .common_name = "a", .names = { "a.example" }, .to_day = 100, .is_authority = true },
          JUDGE_SERVER,
          false,
          "warning: a.example is an authority" },
};

START_TEST(what_is_wrong_with_ours) {
        MADE authority = make(&authority_recipe, NULL);
        MADE made = make(&own[_i].recipe, own[_i].signs_itself ? NULL : &authority);
        struct heard heard = { .text = "" };
        const struct judge judge = judge_at(1, &heard);
        struct file file = { .length = 0 };
        BUNDLE *bundle;

        add_certificate(&file, &made);
        bundle = read_file(&file);
        judge_chain(&judge, own[_i].role, bundle, NULL);
        ck_assert_uint_eq(heard.n[JUDGE_WARNING] + heard.n[JUDGE_ERROR], own[_i].said ? 1 : 0);
        if (own[_i].said)
                expect_said(&heard, own[_i].said);
}
END_TEST

START_TEST(where_the_chain_leads) {
        static const struct recipe middle_recipe = {
                .common_name = "Middle",
                .from_day = -1,
                .to_day = 20,
                .is_authority = true,
        };
        MADE authority = make(&authority_recipe, NULL);
        MADE middle = make(&middle_recipe, &authority);
        MADE server = make(&server_recipe, &middle);
        struct heard whole = { .text = "" }, alone = { .text = "" }, turned = { .text = "" };
        struct file system = { .length = 0 }, file = { .length = 0 }, leaf = { .length = 0 }, mixed = { .length = 0 };
        struct judge judge = judge_at(0, &whole);
        BUNDLE *trusted, *bundle, *lonely, *disordered;

        add_certificate(&system, &authority);
        trusted = read_file(&system);
        add_certificate(&file, &server);
        add_certificate(&file, &middle);
        bundle = read_file(&file);
        judge_chain(&judge, JUDGE_SERVER, bundle, trusted);
        expect_said(&whole, "warning: in the chain, CN=Middle expires in 20 days");
        ck_assert_ptr_null(strstr(whole.text, "leads to"));

        add_certificate(&leaf, &server);
        lonely = read_file(&leaf);
        judge = judge_at(0, &alone);
        judge_chain(&judge, JUDGE_SERVER, lonely, trusted);
        expect_said(&alone, "the chain leads to CN=Middle, which is no authority that this system trusts");

        add_certificate(&mixed, &server);
        add_certificate(&mixed, &authority);
        disordered = read_file(&mixed);
        judge = judge_at(0, &turned);
        judge_chain(&judge, JUDGE_SERVER, disordered, trusted);
        expect_said(&turned, "warning: api.example.com stands before CN=Test CA, which did not sign it");
}
END_TEST

START_TEST(authorities) {
        static const struct recipe old_recipe = {
                .common_name = "Old CA",
                .from_day = -100,
                .to_day = -3,
                .is_authority = true,
        };
        MADE good = make(&authority_recipe, NULL), old = make(&old_recipe, NULL), none = make(&server_recipe, NULL);
        struct heard heard = { .text = "" }, late = { .text = "" };
        struct judge judge = judge_at(0, &heard);
        struct file file = { .length = 0 };
        BUNDLE *bundle;

        add_certificate(&file, &old);
        add_certificate(&file, &good);
        add_certificate(&file, &none);
        bundle = read_file(&file);
        judge_authorities(&judge, bundle);
        ck_assert_uint_eq(heard.n[JUDGE_ERROR], 0);
        expect_said(&heard, "warning: CN=Old CA expired on 2026-11-20, and certifies nobody any more");
        expect_said(&heard, "note: the authority CN=Test CA expires in 1000 days");
        expect_said(&heard, "warning: api.example.com is no authority");

        judge = judge_at(2000, &late);
        judge_authorities(&judge, bundle);
        expect_said(&late, "error: none of its authorities is valid today, so nobody is trusted");
}
END_TEST

/* Made by the test, as an authority would. */
static void add_list(struct file *file, const struct made *authority, const struct made *revoked, int to_day) {
        gnutls_datum_t datum;
        gnutls_x509_crl_t list;

        must(gnutls_x509_crl_init(&list));
        must(gnutls_x509_crl_set_version(list, 2));
        must(gnutls_x509_crl_set_this_update(list, (time_t)TODAY));
        must(gnutls_x509_crl_set_next_update(list, (time_t)(TODAY + (int64_t)to_day * DAY_S)));
        must(gnutls_x509_crl_set_crt(list, revoked->crt, (time_t)TODAY));
        must(gnutls_x509_crl_sign2(list, authority->crt, authority->key, GNUTLS_DIG_SHA256, 0));
        must(gnutls_x509_crl_export2(list, GNUTLS_X509_FMT_PEM, &datum));
        add_datum(file, &datum);
        gnutls_x509_crl_deinit(list);
}

START_TEST(lists_of_the_revoked) {
        MADE authority = make(&authority_recipe, NULL), server = make(&server_recipe, &authority);
        struct heard heard = { .text = "" }, late = { .text = "" }, none = { .text = "" };
        struct judge judge = judge_at(0, &heard);
        struct file file = { .length = 0 };

        add_list(&file, &authority, &server, 7);
        judge_revoked(&judge, (const uint8_t *)file.text, file.length);
        expect_said(&heard, "note: the list of CN=Test CA, certificates: 1, is to be renewed in 7 days");
        judge = judge_at(8, &late);
        judge_revoked(&judge, (const uint8_t *)file.text, file.length);
        expect_said(&late, "error: the list of CN=Test CA was to be renewed by 2026-11-30");
        judge = judge_at(0, &none);
        judge_revoked(&judge, (const uint8_t *)"x", 1);
        judge_revoked(&judge, (const uint8_t *)"", 0);
        ck_assert_uint_eq(none.n[JUDGE_ERROR], 2);
}
END_TEST

START_TEST(staples_that_are_none) {
        MADE server = make(&server_recipe, NULL);
        struct heard heard = { .text = "" };
        const struct judge judge = judge_at(0, &heard);
        struct file file = { .length = 0 };
        BUNDLE *bundle;

        add_certificate(&file, &server);
        bundle = read_file(&file);
        judge_staple(&judge, bundle, (const uint8_t *)"0\x03\x0a\x01\x01", 5);
        judge_staple(&judge, bundle, (const uint8_t *)"x", 1);
        judge_staple(&judge, bundle, (const uint8_t *)"", 0);
        ck_assert_uint_eq(heard.n[JUDGE_ERROR], 3);
}
END_TEST

START_TEST(passwords) {
        static const struct {
                const char *text;
                const char *said; /* NULL: nothing */
        } files[] = {
                { "me:secret", NULL },
                { "me:secret\n", NULL },
                { "me:se:cret\n", NULL },
                { "", "no line user:password" },
                { "\n", "no line user:password" },
                { "mesecret\n", "no line user:password" },
                { ":secret\n", "from 1 to 255 bytes" },
                { "me:\n", "from 1 to 255 bytes" },
                { "me:secret\nyou:secret\n", "more than one line" },
        };

        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); ++i) {
                struct heard heard = { .text = "" };
                const struct judge judge = judge_at(0, &heard);

                judge_password(&judge, (const uint8_t *)files[i].text, strlen(files[i].text));
                if (files[i].said)
                        expect_said(&heard, files[i].said);
                else
                        ck_assert_str_eq(heard.text, "");
                ck_assert_ptr_null(strstr(heard.text, "me:"));
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("certificates");
        TCase *facts = tcase_create("facts"), *judged = tcase_create("judged");

        tcase_add_test(facts, the_facts);
        tcase_add_test(facts, what_is_no_certificate);
        tcase_add_test(facts, names_are_escaped);
        tcase_add_test(facts, a_key_and_its_certificate);
        tcase_add_test(judged, when_it_expires);
        tcase_add_loop_test(judged, what_is_wrong_with_ours, 0, sizeof(own) / sizeof(own[0]));
        tcase_add_test(judged, where_the_chain_leads);
        tcase_add_test(judged, authorities);
        tcase_add_test(judged, lists_of_the_revoked);
        tcase_add_test(judged, staples_that_are_none);
        tcase_add_test(judged, passwords);
        suite_add_tcase(suite, facts);
        suite_add_tcase(suite, judged);
        return run_suite(suite);
}
