/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `netbrokerctl check` and the files that a policy names: certificates and keys that openssl has made.
 */
#include <check.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/operator.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"

#define OPENSSL_MS 20000

/* A certificate and a policy are longer than the lines that a file of the test has. */
#define POLICY_MAX 2048

#define HEAD                                                                                                           \
        "[Tenant]\nName=acme\nUser=0\n[Protocol web]\nFamily=ip\nDataPath=direct\nConnect=api.example.com:443\n"       \
        "Listen=127.0.0.1:8443\n"

/* Where a test has its files. */
struct folder {
        char path[32];
};

static struct folder make_folder(void) {
        struct folder folder = { .path = "/tmp/netbroker-check-XXXXXX" };

        ck_assert_ptr_nonnull(mkdtemp(folder.path));
        return folder;
}

static void remove_folder(struct folder *folder) {
        PROCESS process;

        PROCESS_START(&process, "rm", "-rf", folder->path);
        ck_assert_int_eq(process_finish(&process, OPENSSL_MS), 0);
}
#define FOLDER __attribute__((cleanup(remove_folder))) struct folder

/* The path of a file in the folder. */
struct path {
        char text[64];
};

static struct path path_of(const struct folder *folder, const char *name) {
        struct path path;

        (void)snprintf(path.text, sizeof(path.text), "%s/%s", folder->path, name);
        return path;
}

static void write_file(const struct folder *folder, const char *name, mode_t mode, const char *text) {
        struct path path = path_of(folder, name);
        FILE *file = fopen(path.text, "we");

        ck_assert_ptr_nonnull(file);
        ck_assert_int_ge(fputs(text, file), 0);
        ck_assert_int_eq(fclose(file), 0);
        ck_assert_int_eq(chmod(path.text, mode), 0);
}

/* NAME.pem and NAME.key, self-signed. @param extra  an extension */
static void make_certificate(const struct folder *folder, const char *name, const char *days, const char *extra) {
        char chain[16], key[16];
        struct path chain_path, key_path;
        PROCESS process;

        (void)snprintf(chain, sizeof(chain), "%s.pem", name);
        (void)snprintf(key, sizeof(key), "%s.key", name);
        chain_path = path_of(folder, chain);
        key_path = path_of(folder, key);
        PROCESS_START(&process, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                      "-nodes", "-keyout", key_path.text, "-out", chain_path.text, "-days", days, "-subj", "/CN=test",
                      "-addext", extra, NULL);
        ck_assert_msg(process_finish(&process, OPENSSL_MS) == 0, "%s", process.text);
        ck_assert_int_eq(chmod(key_path.text, 0600), 0);
}

/* Checks a policy of HEAD and lines in which each `%s` is the folder. @return owned by the caller */
static char *check_text(const struct folder *folder, int status, const char *option, const char *lines) {
        struct path policy = path_of(folder, "acme.conf");
        char text[POLICY_MAX] = HEAD;
        size_t used = strlen(text);
        char *written = NULL;
        const char *at;
        int r;

        for (at = strstr(lines, "%s"); at; lines = at + 2, at = strstr(lines, "%s"))
                used += (size_t)snprintf(text + used, sizeof(text) - used, "%.*s%s", (int)(at - lines), lines,
                                         folder->path);
        (void)snprintf(text + used, sizeof(text) - used, "%s", lines);
        write_file(folder, "acme.conf", 0644, text);
        if (option)
                r = CTL_ALONE(&written, "check", policy.text, "--expiry-warning", option);
        else
                r = CTL_ALONE(&written, "check", policy.text);
        ck_assert_msg(r == status, "status %d, and not %d:\n%s", r, status, written);
        return written;
}

#define SERVER "TLS=server\nTLSCertificate=%s/a.pem %s/a.key\n"

START_TEST(when_certificates_expire) {
        FOLDER folder = make_folder();
        NB_CLEANUP_FREE char *soon = NULL, *later = NULL;

        make_certificate(&folder, "a", "25", "subjectAltName=DNS:api.example.com");
        soon = check_text(&folder, 0, NULL, SERVER);
        operator_expect(soon, "acme.conf:10:16: warning: ");
        operator_expect(soon, "/a.pem: api.example.com expires in 2");
        operator_expect(soon, "acme.conf: valid, tenants: 1\n");
        later = check_text(&folder, 0, "7", SERVER);
        operator_expect(later, "note: ");
        ck_assert_uint_eq(strstr(later, "note: ") < strstr(later, " expires in"), 1);
}
END_TEST

START_TEST(what_is_wrong_with_files) {
        static const struct {
                const char *lines, *said;
        } cases[] = {
                { "TLS=server\nTLSCertificate=%s/a.pem %s/b.key\n", "/b.key: its key is not that of the certificate" },
                { "TLS=server\nTLSCertificate=%s/none.pem\n", "/none.pem: there is no such file" },
                { "TLS=server\nTLSCertificate=%s/a.pem\n", "/a.pem: it holds no private key" },
                { "TLS=server\nTLSCertificate=%s/a.key %s/a.key\n", "/a.key: it holds no certificate in PEM" },
                { "TLS=server\nTLSCertificate=%s/a.pem %s/open.key\n", "chmod o-rw" },
                { "TLS=server\nTLSCertificate=%s/empty %s/a.key\n", "/empty: it is empty" },
                { "TLS=server\nTLSCertificate=%s/folder %s/a.key\n", "/folder: it is no regular file" },
                { "TLS=client\nTLSTrust=%s/a.key\n", "/a.key: it holds no certificate in PEM" },
                { "TLS=client\nTLSRevoked=%s/a.pem\n", "/a.pem: it holds no list of revoked certificates" },
                { SERVER "TLSCertificate=%s/nameless.pem %s/nameless.key\n", "/nameless.pem: CN=test is for no name" },
                { "TLS=server\nTLSCertificate=%s/a.pem %s/a.key %s/a.pem\n", "/a.pem: it holds no OCSP response" },
                { "Proxy=http://proxy.example:3128\nProxyPassword=%s/open.key\n", "chmod o-rw" },
                { "Proxy=http://proxy.example:3128\nProxyPassword=%s/a.key\n",
                  "/a.key: it holds no line user:password" },
                { "Proxy=https://proxy.example:3128\nProxyTrust=%s/empty\n", "/empty: it is empty" },
        };
        FOLDER folder = make_folder();

        make_certificate(&folder, "a", "400", "subjectAltName=DNS:api.example.com");
        make_certificate(&folder, "b", "400", "subjectAltName=DNS:api.example.com");
        make_certificate(&folder, "nameless", "400", "keyUsage=digitalSignature");
        write_file(&folder, "open.key", 0644, "x");
        write_file(&folder, "empty", 0600, "");
        ck_assert_int_eq(mkdir(path_of(&folder, "folder").text, 0755), 0);
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
                NB_CLEANUP_FREE char *written = check_text(&folder, 2, NULL, cases[i].lines);

                operator_expect(written, cases[i].said);
                operator_expect(written, ": error: ");
                operator_expect(written, "acme.conf: files with errors, errors: ");
        }
}
END_TEST

/* Not an error: whoever checks may be somebody who is not to have the keys. */
START_TEST(what_cannot_be_looked_into) {
        FOLDER folder = make_folder();
        NB_CLEANUP_FREE char *written = NULL;

        make_certificate(&folder, "a", "400", "subjectAltName=DNS:api.example.com");
        ck_assert_int_eq(unsetenv("CREDENTIALS_DIRECTORY"), 0);
        written = check_text(&folder, 0, NULL, "TLS=server\nTLSCertificate=%s/a.pem credential:a.key\n");
        operator_expect(written, "note: credential:a.key: systemd hands a credential to netbrokerd alone");
}
END_TEST

START_TEST(credentials_that_are_there) {
        FOLDER folder = make_folder();
        NB_CLEANUP_FREE char *written = NULL;

        make_certificate(&folder, "a", "400", "subjectAltName=DNS:api.example.com");
        make_certificate(&folder, "b", "400", "subjectAltName=DNS:api.example.com");
        ck_assert_int_eq(setenv("CREDENTIALS_DIRECTORY", folder.path, 1), 0);
        written = check_text(&folder, 2, NULL, "TLS=server\nTLSCertificate=credential:a.pem credential:b.key\n");
        operator_expect(written, "error: credential:b.key: its key is not that of the certificate");
}
END_TEST

START_TEST(as_json) {
        FOLDER folder = make_folder();
        NB_CLEANUP_FREE char *written = NULL, *text = NULL;
        struct path policy = path_of(&folder, "acme.conf");
        json_t *results, *files, *first;

        make_certificate(&folder, "a", "25", "subjectAltName=DNS:api.example.com");
        text = check_text(&folder, 0, NULL, SERVER);
        ck_assert_int_eq(CTL_ALONE(&written, "check", policy.text, "--json"), 0);
        results = json_loads(written, 0, NULL);
        files = json_object_get(json_array_get(results, 0), "files");
        first = json_array_get(files, 0);
        ck_assert_str_eq(json_string_value(json_object_get(first, "level")), "warning");
        ck_assert_str_eq(json_string_value(json_object_get(first, "name")), "api.example.com");
        ck_assert_int_gt(json_integer_value(json_object_get(first, "not_after")),
                         json_integer_value(json_object_get(first, "not_before")));
        ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(results, 0), "file_errors")), 0);
        json_decref(results);
}
END_TEST

START_TEST(a_bad_number_of_days) {
        static const char *const bad[] = { "0", "-1", "x", "36501", "30 days" };

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
                NB_CLEANUP_FREE char *written = NULL;

                ck_assert_int_eq(CTL_ALONE(&written, "check", "/nonexistent", "--expiry-warning", bad[i]), 2);
                operator_expect(written, "is no number of days from 1 to 36500");
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("netbrokerctl check");
        TCase *tcase = tcase_create("files");

        tcase_add_test(tcase, when_certificates_expire);
        tcase_add_test(tcase, what_is_wrong_with_files);
        tcase_add_test(tcase, what_cannot_be_looked_into);
        tcase_add_test(tcase, credentials_that_are_there);
        tcase_add_test(tcase, as_json);
        tcase_add_test(tcase, a_bad_number_of_days);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
