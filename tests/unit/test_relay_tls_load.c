/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of certificates and keys as operators write them: what is wrong with one is said when it is read, and of whom.
 */
#include <check.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "relay/tls/credentials.h"
#include "tests/support/harness.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"
#include "tests/unit/fds.h"
#include "tests/unit/tls_side.h"

static struct certificates certificates;

static void join(const char *to, const char *first, const char *second) {
        char paths[3][CERTIFICATES_PATH_MAX];
        char command[3 * CERTIFICATES_PATH_MAX + 16];
        PROCESS process;

        snprintf(command, sizeof(command), "cat %s %s >%s", certificates_path(&certificates, first, paths[0]),
                 certificates_path(&certificates, second, paths[1]), certificates_path(&certificates, to, paths[2]));
        PROCESS_START(&process, "sh", "-c", command);
        ck_assert_int_eq(process_finish(&process, HARNESS_DEADLINE_MS), 0);
}

static void encrypt_key(const char *from, const char *to) {
        char paths[2][CERTIFICATES_PATH_MAX];
        PROCESS process;

        PROCESS_START(&process, "openssl", "pkcs8", "-topk8", "-passout", "pass:secret", "-in",
                      certificates_path(&certificates, from, paths[0]), "-out",
                      certificates_path(&certificates, to, paths[1]));
        ck_assert_int_eq(process_finish(&process, HARNESS_DEADLINE_MS), 0);
}

static void make_certificates(void) {
        static const struct certificate weak = {
                .name = "weak",
                .issuer = "root",
                .template = "dns_name = \"api.example.com\"\nsigning_key\ntls_www_server\n",
                .key_type = "rsa",
                .bits = 1024,
        };

        certificates_init(&certificates);
        certificates_make_authority(&certificates, "root", NULL);
        certificates_make_server(&certificates, "server", "root", "api.example.com");
        certificates_make_server(&certificates, "other", "root", "www.example.org");
        certificates_make_client(&certificates, "client", "root", "worker.example.net");
        certificates_make(&certificates, &weak);
        certificates_staple(&certificates, "server", "root", 0);
        certificates_staple(&certificates, "other", "root", 0);
        certificates_revoke(&certificates, "other", "root", 3);
        certificates_write(&certificates, "empty", "");
        certificates_write(&certificates, "text", "not what is asked for\n");
        certificates_write(&certificates, "broken",
                           "-----BEGIN CERTIFICATE-----\nMIIBszCC\n-----END CERTIFICATE-----\n");
        join("both", "server.chain", "server.key");
        encrypt_key("server.key", "encrypted");
}

static void remove_certificates(void) {
        certificates_deinit(&certificates);
}

/* Files of a context, and what is said of them. */
struct row {
        struct tls_setup setup;
        const char *file;   /* at fault; "" for none */
        const char *reason; /* a part of it */
};

static const struct row rows[] = {
        { { .as_server = true, .files = { TLS_FILE(CERTIFICATE, "server.chain"), TLS_FILE(KEY, "other.key") } },
          "other.key",
          "its key is not that of the first certificate in server.chain" },
        { { .as_server = true, .files = { TLS_FILE(CERTIFICATE, "server.chain") } },
          "server.chain",
          "no private key in PEM" },
        { { .as_server = true, .files = { TLS_FILE(CERTIFICATE, "empty"), TLS_FILE(KEY, "server.key") } },
          "empty",
          "no chain of certificates in PEM" },
        { { .as_server = true, .files = { TLS_FILE(CERTIFICATE, "text"), TLS_FILE(KEY, "server.key") } },
          "text",
          "no chain of certificates in PEM" },
        { { .as_server = true, .files = { TLS_FILE(CERTIFICATE, "broken"), TLS_FILE(KEY, "server.key") } },
          "broken",
          "no chain of certificates in PEM" },
        { { .as_server = true, .files = { TLS_FILE(CERTIFICATE, "server.chain"), TLS_FILE(KEY, "text") } },
          "text",
          "no private key in PEM" },
        { { .as_server = true, .files = { TLS_FILE(CERTIFICATE, "server.chain"), TLS_FILE(KEY, "encrypted") } },
          "encrypted",
          "its key is encrypted" },
        { { .as_server = true, .files = { TLS_FILE(CERTIFICATE, "weak.chain"), TLS_FILE(KEY, "weak.key") } },
          "weak.chain",
          "RSA of 1024 bits, is too weak" },
        { { .as_server = true, .files = { TLS_FILE(CERTIFICATE, "both"), TLS_FILE(STAPLE, "other.ocsp") } },
          "other.ocsp",
          "for another certificate" },
        { { .as_server = true, .files = { TLS_FILE(CERTIFICATE, "both"), TLS_FILE(STAPLE, "text") } },
          "text",
          "no OCSP response in DER" },
        { { .as_server = true, .files = { TLS_FILE(CLIENT_CERTIFICATE, "both") } }, "both", "no place here" },
        { { .as_server = true, .files = { TLS_FILE(STAPLE, "server.ocsp") } }, "server.ocsp", "no place here" },
        { { .as_server = true }, "", "a server of TLS needs a certificate" },
        { { .as_server = true,
            .client_auth = NB__RELAY__CLIENT_AUTH__CLIENT_AUTH_REQUIRE,
            .files = { TLS_FILE(CERTIFICATE, "both") } },
          "",
          "no authority is trusted" },
        { { .files = { TLS_FILE(TRUST, "empty") } }, "empty", "nobody would be trusted" },
        { { .files = { TLS_FILE(TRUST, "text") } }, "text", "nobody would be trusted" },
        { { .files = { TLS_FILE(TRUST, "broken") } }, "broken", "it holds" },
        { { .files = { TLS_FILE(TRUST, "root.pem"), TLS_FILE(REVOKED, "root.pem") } },
          "root.pem",
          "no list of revoked certificates" },
        { { .files = { TLS_FILE(TRUST, "root.pem"), TLS_FILE(CLIENT_CERTIFICATE, "client.chain"),
                       TLS_FILE(KEY, "client.key"), TLS_FILE(CLIENT_CERTIFICATE, "both") } },
          "both",
          "a client has one certificate" },
        { { .server_name = "api.example.com" }, "", "no authority is trusted" },
        { { .no_tls12 = true, .no_tls13 = true, .files = { TLS_FILE(TRUST, "root.pem") } }, "", "no version of TLS" },
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

START_TEST(what_is_wrong_is_said_of_whom_it_is) {
        const struct row *row = &rows[_i];
        char file[CERTIFICATES_PATH_MAX];
        char reason[RELAY_REASON_MAX];
        int n_fds = count_fds();

        ck_assert_ptr_null(tls_setup_load(&certificates, &row->setup, file, reason));
        ck_assert_msg(strcmp(file, row->file) == 0 && strstr(reason, row->reason), "%s: %s", file, reason);
        ck_assert_int_eq(count_fds(), n_fds);
}
END_TEST

START_TEST(what_is_shown_is_described) {
        const struct tls_setup setup = {
                .as_server = true,
                .files = { TLS_FILE(CERTIFICATE, "both"), TLS_FILE(STAPLE, "server.ocsp"),
                           TLS_FILE(CERTIFICATE, "other.chain"), TLS_FILE(KEY, "other.key"),
                           TLS_FILE(TRUST, "root.pem"), TLS_FILE(REVOKED, "other.crl") },
        };
        Nb__Relay__Loaded loaded = NB__RELAY__LOADED__INIT;
        char file[CERTIFICATES_PATH_MAX];
        char reason[RELAY_REASON_MAX];
        struct tls_credentials *credentials = tls_setup_load(&certificates, &setup, file, reason);

        ck_assert_msg(credentials, "%s: %s", file, reason);
        ck_assert_int_eq(tls_credentials_describe(credentials, &loaded), 0);
        ck_assert_uint_eq(loaded.n_certificates, 2);
        ck_assert_str_eq(loaded.certificates[0]->file, "both");
        ck_assert_str_eq(loaded.certificates[0]->name, "api.example.com");
        ck_assert_str_eq(loaded.certificates[1]->name, "www.example.org");
        ck_assert_uint_lt(loaded.certificates[0]->not_before, (uint64_t)time(NULL));
        ck_assert_uint_gt(loaded.certificates[0]->not_after, (uint64_t)time(NULL));
        for (size_t i = 0; i < loaded.n_certificates; ++i)
                nb__relay__certificate__free_unpacked(loaded.certificates[i], NULL);
        free(loaded.certificates);
        (void)tls_credentials_free(credentials);
}
END_TEST

/* The broker keeps its descriptors, and each relay reads by one that others read by too. */
START_TEST(a_file_is_read_from_its_beginning_wherever_the_descriptor_stands) {
        Nb__Relay__Context order = NB__RELAY__CONTEXT__INIT;
        Nb__Relay__File file = NB__RELAY__FILE__INIT;
        Nb__Relay__File *files[] = { &file };
        int fd = certificates_open(&certificates, "root.pem");
        struct tls_credentials *credentials;
        char reason[RELAY_REASON_MAX];
        const char *at_fault;

        ck_assert_int_gt(lseek(fd, 0, SEEK_END), 0);
        file.kind = NB__RELAY__FILE_KIND__FILE_KIND_TRUST;
        file.name = (char *)(uintptr_t) "root.pem";
        order.files = files;
        order.n_files = 1;
        order.client = order.tls13 = true;
        credentials = tls_credentials_new(&order, &fd, &at_fault, reason, sizeof(reason));
        ck_assert_msg(credentials, "%s", reason);
        (void)tls_credentials_free(credentials);
        (void)nb_fd_close(fd);
}
END_TEST

START_TEST(a_folder_is_no_file) {
        Nb__Relay__Context order = NB__RELAY__CONTEXT__INIT;
        Nb__Relay__File file = NB__RELAY__FILE__INIT;
        Nb__Relay__File *files[] = { &file };
        int fd = certificates_open(&certificates, ".");
        char reason[RELAY_REASON_MAX];
        const char *at_fault;

        file.kind = NB__RELAY__FILE_KIND__FILE_KIND_TRUST;
        file.name = (char *)(uintptr_t) "folder";
        order.files = files;
        order.n_files = 1;
        order.client = order.tls13 = true;
        ck_assert_ptr_null(tls_credentials_new(&order, &fd, &at_fault, reason, sizeof(reason)));
        ck_assert_str_eq(at_fault, "folder");
        ck_assert_str_eq(reason, "it cannot be read: Is a directory");
        (void)nb_fd_close(fd);
}
END_TEST

static Suite *make_suite(void) {
        Suite *suite = suite_create("relay_tls_load");
        TCase *files = tcase_create("files");

        tcase_add_unchecked_fixture(files, make_certificates, remove_certificates);
        tcase_add_loop_test(files, what_is_wrong_is_said_of_whom_it_is, 0, (int)N_ROWS);
        tcase_add_test(files, what_is_shown_is_described);
        tcase_add_test(files, a_file_is_read_from_its_beginning_wherever_the_descriptor_stands);
        tcase_add_test(files, a_folder_is_no_file);
        suite_add_tcase(suite, files);
        return suite;
}

int main(void) {
        return run_suite(make_suite());
}
