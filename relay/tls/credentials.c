/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tls/credentials.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "relay/tls/load.h"
#include "relay/tls/priority.h"

/* RSA keys of more bits take a stranger's signature too long to verify. */
#define KEY_BITS_MAX 8200u

static void free_texts(struct tls_credentials *credentials) {
        for (size_t i = 0; i < credentials->n_client_names; ++i)
                free(credentials->client_names[i]);
        for (unsigned i = 0; i < credentials->n_alpn; ++i)
                free(credentials->alpn[i].data);
        for (size_t i = 0; i < credentials->n_shown; ++i)
                tls_shown_deinit(&credentials->shown[i]);
        tls_shown_deinit(&credentials->shown_as_client);
        free(credentials->client_names);
        free(credentials->alpn);
        free(credentials->shown);
        free(credentials->pins);
}

struct tls_credentials *tls_credentials_free(struct tls_credentials *credentials) {
        if (!credentials)
                return NULL;
        if (credentials->as_client)
                gnutls_certificate_free_credentials(credentials->as_client);
        if (credentials->as_server)
                gnutls_certificate_free_credentials(credentials->as_server);
        if (credentials->priority_as_client)
                gnutls_priority_deinit(credentials->priority_as_client);
        if (credentials->priority_as_server)
                gnutls_priority_deinit(credentials->priority_as_server);
        if (credentials->priority_of_quic)
                gnutls_priority_deinit(credentials->priority_of_quic);
        if (credentials->ticket_key.data) {
                explicit_bzero(credentials->ticket_key.data, credentials->ticket_key.size);
                gnutls_free(credentials->ticket_key.data);
        }
        free_texts(credentials);
        credentials->verified = tls_verified_free(credentials->verified);
        free(credentials);
        return NULL;
}

static void cleanup_credentials(struct tls_credentials **credentials) {
        *credentials = tls_credentials_free(*credentials);
}

static int new_role(gnutls_certificate_credentials_t *ret) {
        gnutls_certificate_credentials_t role;

        if (gnutls_certificate_allocate_credentials(&role) < 0)
                return -ENOMEM;
        gnutls_certificate_set_flags(role, GNUTLS_CERTIFICATE_API_V2);
        gnutls_certificate_set_verify_flags(role, GNUTLS_PROFILE_TO_VFLAGS(GNUTLS_PROFILE_MEDIUM));
        gnutls_certificate_set_verify_limits(role, KEY_BITS_MAX, TLS_CHAIN_MAX);
        *ret = role;
        return 0;
}

/* @return 0 or -ENOMEM */
static int init_roles(struct tls_credentials *credentials, const Nb__Relay__Context *order) {
        if (order->client && new_role(&credentials->as_client) < 0)
                return -ENOMEM;
        if (order->server && new_role(&credentials->as_server) < 0)
                return -ENOMEM;
        if (!order->server || !order->tickets)
                return 0;
        return gnutls_session_ticket_key_generate(&credentials->ticket_key) < 0 ? -ENOMEM : 0;
}

static int copy_alpn(struct tls_credentials *credentials, const Nb__Relay__Context *order) {
        credentials->alpn = calloc(order->n_alpn + 1, sizeof(*credentials->alpn));
        if (!credentials->alpn)
                return -ENOMEM;
        for (size_t i = 0; i < order->n_alpn; ++i) {
                char *text = strdup(order->alpn[i]);

                if (!text)
                        return -ENOMEM;
                credentials->alpn[credentials->n_alpn++] = (gnutls_datum_t){ (uint8_t *)text, (unsigned)strlen(text) };
        }
        return 0;
}

static int copy_client_names(struct tls_credentials *credentials, const Nb__Relay__Context *order) {
        credentials->client_names = calloc(order->n_client_names + 1, sizeof(*credentials->client_names));
        if (!credentials->client_names)
                return -ENOMEM;
        for (size_t i = 0; i < order->n_client_names; ++i) {
                credentials->client_names[i] = strdup(order->client_names[i]);
                if (!credentials->client_names[i])
                        return -ENOMEM;
                ++credentials->n_client_names;
        }
        return 0;
}

/* @return 0; -ENOMEM; -EINVAL for a pin of another size */
static int copy_pins(struct tls_credentials *credentials, const Nb__Relay__Context *order) {
        credentials->pins = calloc(order->n_pins + 1, sizeof(*credentials->pins));
        if (!credentials->pins)
                return -ENOMEM;
        for (size_t i = 0; i < order->n_pins; ++i) {
                if (order->pins[i].len != TLS_PIN_SIZE)
                        return -EINVAL;
                memcpy(credentials->pins[i], order->pins[i].data, TLS_PIN_SIZE);
                ++credentials->n_pins;
        }
        return 0;
}

static int init_credentials(struct tls_credentials *credentials, const Nb__Relay__Context *order) {
        int error = tls_priority_new(order->tls12, order->tls13, false, &credentials->priority_as_client);

        if (error == 0)
                error = tls_priority_new(order->tls12, order->tls13, true, &credentials->priority_as_server);
        credentials->tickets = order->tickets;
        credentials->must_staple = order->must_staple;
        credentials->client_auth = order->client_auth;
        credentials->shown = calloc(order->n_files + 1, sizeof(*credentials->shown));
        credentials->verified = tls_verified_new();
        if (error < 0 || !credentials->shown || !credentials->verified)
                return error < 0 ? error : -ENOMEM;
        if (order->tls13 && order->n_alpn > 0)
                error = tls_priority_new_quic(&credentials->priority_of_quic);
        if (error == 0)
                error = init_roles(credentials, order);
        if (error == 0)
                error = copy_alpn(credentials, order);
        if (error == 0)
                error = copy_client_names(credentials, order);
        if (error == 0)
                error = copy_pins(credentials, order);
        return error;
}

struct tls_credentials *tls_credentials_new(const Nb__Relay__Context *order, const int *fds, const char **ret_file,
                                            char *reason, size_t reason_size) {
        __attribute__((cleanup(cleanup_credentials))) struct tls_credentials *credentials =
                calloc(1, sizeof(*credentials));
        struct tls_loader loader = { credentials, order, fds, 0, NULL, reason, reason_size };
        int error = credentials ? init_credentials(credentials, order) : -ENOMEM;

        *ret_file = NULL;
        if (error < 0) {
                (void)snprintf(reason, reason_size, "%s",
                               error == -ENOMEM ? "the relay has no memory left: RelayMemory= bounds it"
                                                : "the broker's order has no version of TLS, or a pin that is none");
                return NULL;
        }
        if (tls_loader_read(&loader) < 0) {
                *ret_file = loader.file;
                return NULL;
        }
        return nb_steal_ptr(credentials);
}

static Nb__Relay__Certificate *describe(const struct tls_shown *shown) {
        Nb__Relay__Certificate *certificate = malloc(sizeof(*certificate));

        if (!certificate)
                return NULL;
        nb__relay__certificate__init(certificate);
        certificate->file = strdup(shown->file);
        certificate->name = strdup(shown->name);
        certificate->not_before = shown->not_before > 0 ? (uint64_t)shown->not_before : 0;
        certificate->not_after = shown->not_after > 0 ? (uint64_t)shown->not_after : 0;
        if (certificate->file && certificate->name)
                return certificate;
        nb__relay__certificate__free_unpacked(certificate, NULL);
        return NULL;
}

int tls_credentials_describe(const struct tls_credentials *credentials, Nb__Relay__Loaded *loaded) {
        const struct tls_shown *as_client =
                credentials->shown_as_client.n_chain > 0 ? &credentials->shown_as_client : NULL;
        size_t n_all = credentials->n_shown + (as_client ? 1 : 0);
        Nb__Relay__Certificate **all = calloc(n_all + 1, sizeof(*all));

        if (!all)
                return -ENOMEM;
        for (size_t i = 0; i < n_all; ++i) {
                all[i] = describe(i < credentials->n_shown ? &credentials->shown[i] : as_client);
                if (all[i])
                        continue;
                while (i-- > 0)
                        nb__relay__certificate__free_unpacked(all[i], NULL);
                free(all);
                return -ENOMEM;
        }
        loaded->certificates = all;
        loaded->n_certificates = n_all;
        return 0;
}
