/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/judge.h"

#include <errno.h>
#include <gnutls/ocsp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/escape.h"
#include "tls/strength.h"

#define DAY_S (24 * 60 * 60)

/* The longest sentence, and how much of a name is shown in it. */
#define TEXT_MAX 512
#define NAME_MAX_SHOWN 128

/* A user, and a password, as SOCKS5 bounds them (RFC 1929). */
#define CREDENTIAL_MAX 255u

/* Authorities of a file with more are counted; of one's own partners each is told. */
#define AUTHORITIES_TOLD_MAX 16u

static const char *const levels[] = {
        [JUDGE_NOTE] = "note",
        [JUDGE_WARNING] = "warning",
        [JUDGE_ERROR] = "error",
};

const char *judge_level_name(enum judge_level level) {
        return levels[level];
}

__attribute__((format(printf, 4, 5))) static void say(const struct judge *judge, enum judge_level level,
                                                      const struct certificate *about, const char *format, ...) {
        char text[TEXT_MAX];
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        judge->say(judge->data, level, about, text);
}

/* ---- times ---- */

struct date {
        char text[16];
};

/** "2026-12-16", in UTC. */
static struct date date_of(int64_t seconds) {
        time_t moment = (time_t)seconds;
        struct date date = { .text = "no date" };
        struct tm tm;

        if (moment == seconds && gmtime_r(&moment, &tm))
                (void)strftime(date.text, sizeof(date.text), "%Y-%m-%d", &tm);
        return date;
}

/** "in 23 days, on 2026-12-16". */
struct moment {
        char text[64];
};

static struct moment moment_of(const struct judge *judge, int64_t seconds) {
        int64_t days = (seconds - judge->now) / DAY_S;
        struct moment moment;

        if (days == 0)
                snprintf(moment.text, sizeof(moment.text), "within a day, on %s", date_of(seconds).text);
        else
                snprintf(moment.text, sizeof(moment.text), "in %lld %s, on %s", (long long)days,
                         days == 1 ? "day" : "days", date_of(seconds).text);
        return moment;
}

static bool is_soon(const struct judge *judge, int64_t seconds) {
        return seconds - judge->now < judge->warning_s;
}

/** A name as sentences have it. */
struct shown {
        char text[NAME_MAX_SHOWN + 1];
};

static struct shown shown(const char *name) {
        struct shown cut;

        snprintf(cut.text, sizeof(cut.text), "%s", name);
        return cut;
}

static struct shown name_of(const struct certificate *certificate) {
        return shown(certificate_name(certificate));
}

/** When a certificate of ours expires. @param what  what stands in front of its name */
static void judge_times(const struct judge *judge, const struct certificate *certificate, const char *what) {
        if (certificate->not_after <= judge->now)
                say(judge, JUDGE_ERROR, certificate, "%s%s expired on %s: renew it", what, name_of(certificate).text,
                    date_of(certificate->not_after).text);
        else if (certificate->not_before > judge->now)
                say(judge, JUDGE_ERROR, certificate, "%s%s is not valid before %s", what, name_of(certificate).text,
                    date_of(certificate->not_before).text);
        else
                say(judge, is_soon(judge, certificate->not_after) ? JUDGE_WARNING : JUDGE_NOTE, certificate,
                    "%s%s expires %s", what, name_of(certificate).text, moment_of(judge, certificate->not_after).text);
}

/* ---- what we show ---- */

static void judge_strength(const struct judge *judge, const struct certificate *certificate) {
        if (certificate->key_is_weak)
                say(judge, JUDGE_ERROR, certificate,
                    "the key of %s, %s of %u bits, is too weak: take RSA of %u bits, or a curve of %u",
                    name_of(certificate).text, certificate->key, certificate->key_bits, TLS_RSA_BITS_MIN,
                    TLS_CURVE_BITS_MIN);
        if (certificate->signature_is_weak && !certificate->is_self_issued)
                say(judge, JUDGE_WARNING, certificate, "%s is signed by %s, which peers refuse",
                    name_of(certificate).text, certificate->signature);
}

/** Whether it is of use to who shows it. */
static void judge_use(const struct judge *judge, enum judge_role role, const struct certificate *certificate) {
        if (role == JUDGE_SERVER && certificate->n_names == 0)
                say(judge, JUDGE_ERROR, certificate,
                    "%s is for no name: clients look at subjectAltName alone, and it has none",
                    name_of(certificate).text);
        if (role == JUDGE_SERVER && !certificate->for_servers)
                say(judge, JUDGE_ERROR, certificate, "%s is not for servers, by its extendedKeyUsage",
                    name_of(certificate).text);
        if (role == JUDGE_CLIENT && !certificate->for_clients)
                say(judge, JUDGE_ERROR, certificate, "%s is not for clients, by its extendedKeyUsage",
                    name_of(certificate).text);
        if (certificate->is_authority && !certificate->is_self_issued)
                say(judge, JUDGE_WARNING, certificate, "%s is an authority, whose key should not be on a server",
                    name_of(certificate).text);
}

static bool is_signed_by(const struct certificate *certificate, const struct certificate *issuer) {
        return gnutls_x509_crt_check_issuer(certificate->crt, issuer->crt) > 0;
}

static bool is_signed_by_any(const struct certificate *certificate, const struct certificate_bundle *bundle) {
        for (size_t i = 0; i < bundle->n_certificates; ++i)
                if (is_signed_by(certificate, &bundle->certificates[i]))
                        return true;
        return false;
}

/** Each certificate must be signed by the next, so that peers find their way to an authority. */
static void judge_order(const struct judge *judge, const struct certificate_bundle *bundle) {
        for (size_t i = 0; i + 1 < bundle->n_certificates; ++i) {
                const struct certificate *certificate = &bundle->certificates[i];
                const struct certificate *next = &bundle->certificates[i + 1];

                if (!is_signed_by(certificate, next))
                        say(judge, JUDGE_WARNING, certificate,
                            "%s stands before %s, which did not sign it: peers may find no chain",
                            name_of(certificate).text, name_of(next).text);
        }
}

/** Where the chain leads in the end. */
static void judge_end(const struct judge *judge, const struct certificate_bundle *bundle,
                      const struct certificate_bundle *system) {
        const struct certificate *last = &bundle->certificates[bundle->n_certificates - 1];

        if (last->is_self_issued && bundle->n_certificates == 1)
                say(judge, JUDGE_WARNING, last, "%s is self-signed: only peers that have it trust it",
                    name_of(last).text);
        if (last->is_self_issued || !system || is_signed_by_any(last, system))
                return;
        say(judge, JUDGE_NOTE, last,
            "the chain leads to %s, which is no authority that this system trusts: peers must have that, or the chain "
            "lacks what is in between",
            last->issuer[0] != '\0' ? shown(last->issuer).text : "nobody");
}

void judge_chain(const struct judge *judge, enum judge_role role, const struct certificate_bundle *bundle,
                 const struct certificate_bundle *system) {
        judge_times(judge, &bundle->certificates[0], "");
        judge_strength(judge, &bundle->certificates[0]);
        judge_use(judge, role, &bundle->certificates[0]);
        for (size_t i = 1; i < bundle->n_certificates; ++i) {
                const struct certificate *certificate = &bundle->certificates[i];

                if (certificate->not_before > judge->now || is_soon(judge, certificate->not_after))
                        judge_times(judge, certificate, "in the chain, ");
                judge_strength(judge, certificate);
        }
        judge_order(judge, bundle);
        judge_end(judge, bundle, system);
}

/* ---- who is trusted ---- */

static void judge_authority(const struct judge *judge, const struct certificate *certificate) {
        if (!certificate->is_authority)
                say(judge, JUDGE_WARNING, certificate, "%s is no authority: it certifies nobody, itself at most",
                    name_of(certificate).text);
        if (certificate->not_after <= judge->now)
                say(judge, JUDGE_WARNING, certificate, "%s expired on %s, and certifies nobody any more",
                    name_of(certificate).text, date_of(certificate->not_after).text);
        else if (certificate->not_before > judge->now)
                say(judge, JUDGE_WARNING, certificate, "%s certifies nobody before %s", name_of(certificate).text,
                    date_of(certificate->not_before).text);
        else
                say(judge, is_soon(judge, certificate->not_after) ? JUDGE_WARNING : JUDGE_NOTE, certificate,
                    "the authority %s expires %s", name_of(certificate).text,
                    moment_of(judge, certificate->not_after).text);
}

static bool is_valid(const struct judge *judge, const struct certificate *certificate) {
        return certificate->not_before <= judge->now && certificate->not_after > judge->now;
}

void judge_authorities(const struct judge *judge, const struct certificate_bundle *bundle) {
        size_t n_valid = 0;

        for (size_t i = 0; i < bundle->n_certificates; ++i) {
                n_valid += is_valid(judge, &bundle->certificates[i]);
                if (bundle->n_certificates <= AUTHORITIES_TOLD_MAX)
                        judge_authority(judge, &bundle->certificates[i]);
        }
        if (n_valid == 0)
                say(judge, JUDGE_ERROR, NULL, "none of its authorities is valid today, so nobody is trusted");
        else if (bundle->n_certificates > AUTHORITIES_TOLD_MAX)
                say(judge, JUDGE_NOTE, NULL, "authorities: %zu, valid today: %zu", bundle->n_certificates, n_valid);
}

/* ---- who is not any more ---- */

static void judge_list(const struct judge *judge, gnutls_x509_crl_t list) {
        int n = gnutls_x509_crl_get_crt_count(list);
        int64_t next = gnutls_x509_crl_get_next_update(list);
        char issuer[TEXT_MAX], text[NAME_MAX_SHOWN];
        size_t size = sizeof(issuer);

        if (gnutls_x509_crl_get_issuer_dn(list, issuer, &size) < 0)
                size = 0;
        nb_escape(issuer, size, text, sizeof(text));
        if (next <= 0)
                say(judge, JUDGE_NOTE, NULL, "the list of %s, certificates: %d, does not say when the next comes", text,
                    n);
        else if (next <= judge->now)
                say(judge, JUDGE_ERROR, NULL,
                    "the list of %s was to be renewed by %s, and until it is all peers are refused", text,
                    date_of(next).text);
        else
                say(judge, JUDGE_NOTE, NULL, "the list of %s, certificates: %d, is to be renewed %s", text, n,
                    moment_of(judge, next).text);
}

void judge_revoked(const struct judge *judge, const uint8_t *bytes, size_t length) {
        const gnutls_datum_t datum = { .data = (unsigned char *)bytes, .size = (unsigned)length };
        gnutls_x509_crl_t *lists = NULL;
        unsigned n = 0;

        if (length == 0 || gnutls_x509_crl_list_import2(&lists, &n, &datum, GNUTLS_X509_FMT_PEM, 0) < 0 || n == 0) {
                say(judge, JUDGE_ERROR, NULL, "it holds no list of revoked certificates in PEM (BEGIN X509 CRL)");
                return;
        }
        for (unsigned i = 0; i < n; ++i) {
                judge_list(judge, lists[i]);
                gnutls_x509_crl_deinit(lists[i]);
        }
        gnutls_free(lists);
}

/* ---- that we are not revoked ---- */

static void judge_response(const struct judge *judge, gnutls_ocsp_resp_t response,
                           const struct certificate *certificate) {
        time_t next = (time_t)-1;
        unsigned status = 0;

        if (gnutls_ocsp_resp_check_crt(response, 0, certificate->crt) < 0) {
                say(judge, JUDGE_ERROR, certificate, "its OCSP response is not for %s", name_of(certificate).text);
                return;
        }
        if (gnutls_ocsp_resp_get_single(response, 0, NULL, NULL, NULL, NULL, &status, NULL, &next, NULL, NULL) < 0)
                say(judge, JUDGE_ERROR, certificate, "its OCSP response says nothing that can be read");
        else if (status != GNUTLS_OCSP_CERT_GOOD)
                say(judge, JUDGE_ERROR, certificate, "its OCSP response says that %s is %s", name_of(certificate).text,
                    status == GNUTLS_OCSP_CERT_REVOKED ? "revoked" : "not known");
        else if (next != (time_t)-1 && next <= judge->now)
                say(judge, JUDGE_ERROR, certificate, "its OCSP response was to be renewed by %s", date_of(next).text);
        else if (next != (time_t)-1)
                say(judge, JUDGE_NOTE, certificate, "the OCSP response for %s is to be renewed %s",
                    name_of(certificate).text, moment_of(judge, next).text);
}

void judge_staple(const struct judge *judge, const struct certificate_bundle *bundle, const uint8_t *bytes,
                  size_t length) {
        const gnutls_datum_t datum = { .data = (unsigned char *)bytes, .size = (unsigned)length };
        gnutls_ocsp_resp_t response;

        if (gnutls_ocsp_resp_init(&response) < 0)
                return;
        if (gnutls_ocsp_resp_import2(response, &datum, GNUTLS_X509_FMT_DER) < 0)
                say(judge, JUDGE_ERROR, NULL, "it holds no OCSP response in DER");
        else
                judge_response(judge, response, &bundle->certificates[0]);
        gnutls_ocsp_resp_deinit(response);
}

/* ---- passwords ---- */

void judge_password(const struct judge *judge, const uint8_t *bytes, size_t length) {
        const uint8_t *end = length > 0 ? memchr(bytes, '\n', length) : NULL, *colon;
        size_t line = end ? (size_t)(end - bytes) : length, user, password;

        colon = line > 0 ? memchr(bytes, ':', line) : NULL;
        if (!colon) {
                say(judge, JUDGE_ERROR, NULL, "it holds no line user:password");
                return;
        }
        user = (size_t)(colon - bytes);
        password = line - user - 1;
        if (user == 0 || password == 0 || user > CREDENTIAL_MAX || password > CREDENTIAL_MAX)
                say(judge, JUDGE_ERROR, NULL, "a user and a password have from 1 to %u bytes each", CREDENTIAL_MAX);
        else if (end && (size_t)(end + 1 - bytes) < length)
                say(judge, JUDGE_ERROR, NULL, "it holds more than one line: user:password is all");
}
