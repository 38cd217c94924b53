/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tls/name.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/escape.h"

#define OID_SUBJECT_ALT_NAME "2.5.29.17"

int tls_names_init(struct tls_names *names, gnutls_x509_crt_t certificate) {
        gnutls_datum_t extension = { NULL, 0 };
        int error;

        names->list = NULL;
        error = gnutls_x509_crt_get_extension_by_oid2(certificate, OID_SUBJECT_ALT_NAME, 0, &extension, NULL);
        if (error == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
                return 0;
        if (error >= 0)
                error = gnutls_subject_alt_names_init(&names->list);
        if (error >= 0)
                error = gnutls_x509_ext_import_subject_alt_names(&extension, names->list, 0);
        gnutls_free(extension.data);
        if (error >= 0)
                return 0;
        return error == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL;
}

void tls_names_deinit(struct tls_names *names) {
        if (names->list)
                gnutls_subject_alt_names_deinit(names->list);
        names->list = NULL;
}

static int address_name(const gnutls_datum_t *value, struct tls_name *ret) {
        struct nb_ip ip = { .family = value->size == 4 ? AF_INET : AF_INET6 };
        char text[NB_ADDRESS_TEXT_MAX];

        if (value->size != 4 && value->size != sizeof(ip.bytes))
                return 0;
        memcpy(ip.bytes, value->data, value->size);
        ret->is_address = true;
        (void)snprintf(ret->text, sizeof(ret->text), "%s", nb_ip_format(&ip, text));
        return 1;
}

static int dns_name(const gnutls_datum_t *value, struct tls_name *ret) {
        if (value->size == 0 || value->size > TLS_NAME_MAX || memchr(value->data, '\0', value->size))
                return 0;
        ret->is_address = false;
        memcpy(ret->text, value->data, value->size);
        ret->text[value->size] = '\0';
        return 1;
}

int tls_names_at(const struct tls_names *names, unsigned index, struct tls_name *ret) {
        gnutls_datum_t value;
        unsigned type;

        if (!names->list || index >= TLS_NAMES_MAX ||
            gnutls_subject_alt_names_get(names->list, index, &type, &value, NULL) < 0)
                return -ENOENT;
        if (type == GNUTLS_SAN_IPADDRESS)
                return address_name(&value, ret);
        return type == GNUTLS_SAN_DNSNAME ? dns_name(&value, ret) : 0;
}

bool tls_name_covers(const char *pattern, const char *name) {
        const char *rest;

        if (strncmp(pattern, "*.", 2) != 0)
                return !strchr(pattern, '*') && strcasecmp(pattern, name) == 0;
        rest = strchr(name, '.');
        if (!rest || rest == name || strchr(pattern + 1, '*') || !strchr(pattern + 2, '.'))
                return false;
        return strcasecmp(pattern + 1, rest) == 0;
}

/* An address in both forms is the same one: `wanted` was printed by us, and so was the certificate's. */
static bool is_wanted(const struct tls_name *name, const char *wanted, const struct nb_ip *address) {
        struct nb_ip ip;

        if (!address)
                return !name->is_address && tls_name_covers(name->text, wanted);
        return name->is_address && nb_ip_parse(name->text, strlen(name->text), &ip) == 0 && nb_ip_equal(&ip, address);
}

bool tls_names_include(const struct tls_names *names, const char *wanted) {
        struct nb_ip ip;
        bool is_address = nb_ip_parse(wanted, strlen(wanted), &ip) == 0;
        struct tls_name name;
        int found;

        for (unsigned i = 0; (found = tls_names_at(names, i, &name)) >= 0; ++i)
                if (found > 0 && is_wanted(&name, wanted, is_address ? &ip : NULL))
                        return true;
        return false;
}

static bool is_pattern_for(const char *pattern, const char *name) {
        size_t length = strlen(name);
        size_t tail = strlen(pattern) - 1;

        if (strncmp(pattern, "*.", 2) != 0)
                return strcasecmp(pattern, name) == 0;
        return length > tail && strcasecmp(name + length - tail, pattern + 1) == 0;
}

static bool is_among(const struct tls_name *name, char *const *patterns, size_t n_patterns) {
        if (name->is_address || strchr(name->text, '*'))
                return false;
        for (size_t i = 0; i < n_patterns; ++i)
                if (*patterns[i] != '\0' && is_pattern_for(patterns[i], name->text))
                        return true;
        return false;
}

bool tls_names_are_among(const struct tls_names *names, char *const *patterns, size_t n_patterns) {
        struct tls_name name;
        int found;

        for (unsigned i = 0; (found = tls_names_at(names, i, &name)) >= 0; ++i)
                if (found > 0 && is_among(&name, patterns, n_patterns))
                        return true;
        return false;
}

const char *tls_names_format(const struct tls_names *names, char *buffer, size_t size) {
        struct tls_name name;
        size_t length = 0;
        int found;

        (void)snprintf(buffer, size, "nobody");
        for (unsigned i = 0; length < size && (found = tls_names_at(names, i, &name)) >= 0; ++i) {
                char text[128];

                if (found == 0)
                        continue;
                length += (size_t)snprintf(buffer + length, size - length, "%s%s", length > 0 ? ", " : "",
                                           nb_escape(name.text, strlen(name.text), text, sizeof(text)));
        }
        return buffer;
}
