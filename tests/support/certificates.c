/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/certificates.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "tests/support/harness.h"
#include "tests/support/process.h"

#define DAY (24 * 60 * 60)
#define FILE_MAX 65536

/* Runs a program that must succeed. */
#define RUN(...) run((const char *const[]){ __VA_ARGS__, NULL })

static void run(const char *const *arguments) {
        PROCESS process;

        process_start(&process, arguments);
        if (process_finish(&process, HARNESS_DEADLINE_MS) != 0)
                ck_abort_msg("%s failed; it wrote:\n%s", arguments[0], process.text);
}

void certificates_init(struct certificates *certificates) {
        *certificates = (struct certificates){ .folder = "/tmp/netbroker-certificates-XXXXXX" };
        ck_assert_ptr_nonnull(mkdtemp(certificates->folder));
}

void certificates_deinit(struct certificates *certificates) {
        DIR *folder = opendir(certificates->folder);

        ck_assert_ptr_nonnull(folder);
        /* Programs may have made folders of their own in it, which are empty. */
        for (const struct dirent *entry; (entry = readdir(folder));)
                if (unlinkat(dirfd(folder), entry->d_name, 0) < 0)
                        (void)unlinkat(dirfd(folder), entry->d_name, AT_REMOVEDIR);
        ck_assert_int_eq(closedir(folder), 0);
        ck_assert_int_eq(rmdir(certificates->folder), 0);
}

const char *certificates_path(const struct certificates *certificates, const char *file,
                              char buffer[static CERTIFICATES_PATH_MAX]) {
        snprintf(buffer, CERTIFICATES_PATH_MAX, "%s/%s", certificates->folder, file);
        return buffer;
}

/* @param suffix  "key" of "NAME.key" */
static const char *path_of(const struct certificates *certificates, const char *name, const char *suffix,
                           char buffer[static CERTIFICATES_PATH_MAX]) {
        snprintf(buffer, CERTIFICATES_PATH_MAX, "%s/%s.%s", certificates->folder, name, suffix);
        return buffer;
}

int certificates_open(const struct certificates *certificates, const char *file) {
        char path[CERTIFICATES_PATH_MAX];
        int fd = open(certificates_path(certificates, file, path), O_RDONLY | O_CLOEXEC);

        ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
        return fd;
}

void certificates_write(const struct certificates *certificates, const char *file, const char *text) {
        char path[CERTIFICATES_PATH_MAX];
        FILE *out = fopen(certificates_path(certificates, file, path), "we");

        ck_assert_ptr_nonnull(out);
        ck_assert_int_ge(fputs(text, out), 0);
        ck_assert_int_eq(fclose(out), 0);
}

/* ---- keys and certificates ---- */

static void make_key(const struct certificates *certificates, const struct certificate *certificate) {
        const char *type = certificate->key_type ? certificate->key_type : "ecdsa";
        char key[CERTIFICATES_PATH_MAX];
        char bits[16];

        path_of(certificates, certificate->name, "key", key);
        if (strcmp(type, "ecdsa") == 0 && certificate->bits == 0) {
                /* certtool writes half of these keys without the zeros that they begin with, and others refuse them. */
                RUN("openssl", "genpkey", "-quiet", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                    key);
                return;
        }
        snprintf(bits, sizeof(bits), "%u", certificate->bits > 0 ? certificate->bits : 2048);
        if (strcmp(type, "ed25519") == 0)
                RUN("certtool", "--generate-privkey", "--key-type", "ed25519", "--outfile", key);
        else
                RUN("certtool", "--generate-privkey", "--key-type", type, "--bits", bits, "--outfile", key);
}

static void print_date(FILE *out, const char *what, int days) {
        time_t when = time(NULL) + (time_t)days * DAY;
        char text[64];
        struct tm tm;

        ck_assert_ptr_nonnull(gmtime_r(&when, &tm));
        ck_assert_uint_gt(strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm), 0);
        fprintf(out, "%s = \"%s\"\n", what, text);
}

static void write_template(struct certificates *certificates, const struct certificate *certificate, const char *path) {
        FILE *out = fopen(path, "we");

        ck_assert_ptr_nonnull(out);
        fprintf(out, "cn = \"%s\"\nserial = %u\n", certificate->name, ++certificates->n_made);
        print_date(out, "activation_date", certificate->from_days != 0 ? certificate->from_days : -1);
        print_date(out, "expiration_date", certificate->until_days != 0 ? certificate->until_days : 10);
        fprintf(out, "%s", certificate->template ? certificate->template : "");
        ck_assert_int_eq(fclose(out), 0);
}

static void append_file(FILE *out, const char *path) {
        NB_CLEANUP_FREE uint8_t *bytes = NULL;
        size_t length;

        ck_assert_int_eq(nb_file_read(path, FILE_MAX, &bytes, &length), 0);
        ck_assert_uint_eq(fwrite(bytes, 1, length, out), length);
}

/* NAME.above: the chain of its issuer, if that is no root; and NAME.chain: its own before that, if it is no root itself. */
static void write_chain(const struct certificates *certificates, const struct certificate *certificate) {
        const char *name = certificate->name;
        bool is_root =
                !certificate->issuer && certificate->template && strstr(certificate->template, "cert_signing_key");
        char path[CERTIFICATES_PATH_MAX];
        FILE *above = fopen(path_of(certificates, name, "above", path), "we");
        FILE *chain = fopen(path_of(certificates, name, "chain", path), "we");

        ck_assert(above && chain);
        if (certificate->issuer)
                append_file(above, path_of(certificates, certificate->issuer, "chain", path));
        ck_assert_int_eq(fclose(above), 0);
        if (!is_root)
                append_file(chain, path_of(certificates, name, "pem", path));
        append_file(chain, path_of(certificates, name, "above", path));
        ck_assert_int_eq(fclose(chain), 0);
}

void certificates_make(struct certificates *certificates, const struct certificate *certificate) {
        const char *hash = certificate->hash ? certificate->hash : "SHA256";
        char key[CERTIFICATES_PATH_MAX];
        char pem[CERTIFICATES_PATH_MAX];
        char template[CERTIFICATES_PATH_MAX];
        char issuer_key[CERTIFICATES_PATH_MAX];
        char issuer_pem[CERTIFICATES_PATH_MAX];

        make_key(certificates, certificate);
        path_of(certificates, certificate->name, "key", key);
        path_of(certificates, certificate->name, "pem", pem);
        write_template(certificates, certificate, path_of(certificates, certificate->name, "template", template));
        if (certificate->issuer)
                RUN("certtool", "--generate-certificate", "--hash", hash, "--load-privkey", key,
                    "--load-ca-certificate", path_of(certificates, certificate->issuer, "pem", issuer_pem),
                    "--load-ca-privkey", path_of(certificates, certificate->issuer, "key", issuer_key), "--template",
                    template, "--outfile", pem);
        else
                RUN("certtool", "--generate-self-signed", "--hash", hash, "--load-privkey", key, "--template", template,
                    "--outfile", pem);
        write_chain(certificates, certificate);
}

void certificates_make_authority(struct certificates *certificates, const char *name, const char *issuer) {
        const struct certificate authority = {
                .name = name,
                .issuer = issuer,
                .template = "ca\ncert_signing_key\ncrl_signing_key\n",
        };

        certificates_make(certificates, &authority);
}

static void make_end(struct certificates *certificates, const char *name, const char *issuer, const char *dns_name,
                     const char *purpose) {
        char template[512];
        const struct certificate end = { .name = name, .issuer = issuer, .template = template };

        snprintf(template, sizeof(template), "dns_name = \"%s\"\nsigning_key\n%s\n", dns_name, purpose);
        certificates_make(certificates, &end);
}

void certificates_make_server(struct certificates *certificates, const char *name, const char *issuer,
                              const char *dns_name) {
        make_end(certificates, name, issuer, dns_name, "tls_www_server");
}

void certificates_make_client(struct certificates *certificates, const char *name, const char *issuer,
                              const char *dns_name) {
        make_end(certificates, name, issuer, dns_name, "tls_www_client");
}

/* ---- what authorities say later ---- */

void certificates_revoke(struct certificates *certificates, const char *name, const char *issuer, int days) {
        char text[128];
        char template[CERTIFICATES_PATH_MAX];
        char pem[CERTIFICATES_PATH_MAX];
        char issuer_pem[CERTIFICATES_PATH_MAX];
        char issuer_key[CERTIFICATES_PATH_MAX];
        char crl[CERTIFICATES_PATH_MAX];
        FILE *out = fopen(path_of(certificates, name, "crl-template", template), "we");

        ck_assert_ptr_nonnull(out);
        snprintf(text, sizeof(text), "crl_number = %u\n", ++certificates->n_made);
        ck_assert_int_ge(fputs(text, out), 0);
        print_date(out, "crl_this_update_date", -2);
        print_date(out, "crl_next_update_date", days);
        ck_assert_int_eq(fclose(out), 0);
        RUN("certtool", "--generate-crl", "--load-ca-certificate", path_of(certificates, issuer, "pem", issuer_pem),
            "--load-ca-privkey", path_of(certificates, issuer, "key", issuer_key), "--load-certificate",
            path_of(certificates, name, "pem", pem), "--template", template, "--outfile",
            path_of(certificates, name, "crl", crl));
}

/* The serial number of a certificate, as openssl's index has it. */
static void read_serial(const struct certificates *certificates, const char *name, char *text, size_t size) {
        char path[CERTIFICATES_PATH_MAX];
        NB_CLEANUP_FREE uint8_t *bytes = NULL;
        gnutls_x509_crt_t certificate;
        uint8_t serial[32];
        size_t n_serial = sizeof(serial);
        gnutls_datum_t datum;
        size_t length;

        ck_assert_int_eq(nb_file_read(path_of(certificates, name, "pem", path), FILE_MAX, &bytes, &length), 0);
        datum = (gnutls_datum_t){ bytes, (unsigned)length };
        ck_assert_int_eq(gnutls_x509_crt_init(&certificate), 0);
        ck_assert_int_eq(gnutls_x509_crt_import(certificate, &datum, GNUTLS_X509_FMT_PEM), 0);
        ck_assert_int_eq(gnutls_x509_crt_get_serial(certificate, serial, &n_serial), 0);
        gnutls_x509_crt_deinit(certificate);
        for (size_t i = 0; i < n_serial; ++i)
                snprintf(text + 2 * i, size - 2 * i, "%02X", serial[i]);
}

void certificates_staple(struct certificates *certificates, const char *name, const char *issuer, int revoked) {
        char serial[80];
        char line[256];
        char index[CERTIFICATES_PATH_MAX];
        char pem[CERTIFICATES_PATH_MAX];
        char issuer_pem[CERTIFICATES_PATH_MAX];
        char issuer_key[CERTIFICATES_PATH_MAX];
        char response[CERTIFICATES_PATH_MAX];

        read_serial(certificates, name, serial, sizeof(serial));
        snprintf(line, sizeof(line), "%s\t491231235959Z\t%s\t%s\tunknown\t/CN=%s\n", revoked ? "R" : "V",
                 revoked ? "260101000000Z" : "", serial, name);
        certificates_write(certificates, "index.txt", line);
        RUN("openssl", "ocsp", "-index", certificates_path(certificates, "index.txt", index), "-CA",
            path_of(certificates, issuer, "pem", issuer_pem), "-rsigner", issuer_pem, "-rkey",
            path_of(certificates, issuer, "key", issuer_key), "-issuer", issuer_pem, "-cert",
            path_of(certificates, name, "pem", pem), "-ndays", "2", "-respout",
            path_of(certificates, name, "ocsp", response));
}

void certificates_pin(struct certificates *certificates, const char *name, uint8_t ret[static 32]) {
        char path[CERTIFICATES_PATH_MAX];
        NB_CLEANUP_FREE uint8_t *bytes = NULL;
        gnutls_x509_crt_t certificate;
        size_t size = 32;
        gnutls_datum_t datum;
        size_t length;

        ck_assert_int_eq(nb_file_read(path_of(certificates, name, "pem", path), FILE_MAX, &bytes, &length), 0);
        datum = (gnutls_datum_t){ bytes, (unsigned)length };
        ck_assert_int_eq(gnutls_x509_crt_init(&certificate), 0);
        ck_assert_int_eq(gnutls_x509_crt_import(certificate, &datum, GNUTLS_X509_FMT_PEM), 0);
        ck_assert_int_eq(gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, ret, &size), 0);
        gnutls_x509_crt_deinit(certificate);
}
