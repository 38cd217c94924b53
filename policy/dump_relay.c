/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/dump_relay.h"

#include "policy/pin.h"
#include "policy/rule.h"
#include "policy/words.h"

static void print_path(FILE *out, const char *key, const struct policy_path *path) {
        if (path->path)
                fprintf(out, "%s=%s\n", key, path->path);
}

/** One that is the system's where no file is named. */
static void print_trust(FILE *out, const char *key, const struct policy_path *path) {
        fprintf(out, "%s=%s\n", key, path->path ? path->path : "system");
}

static void print_certificate(FILE *out, const char *key, const struct policy_certificate *certificate) {
        if (!certificate->chain.path)
                return;
        fprintf(out, "%s=%s", key, certificate->chain.path);
        if (certificate->key.path)
                fprintf(out, " %s", certificate->key.path);
        if (certificate->staple.path)
                fprintf(out, " %s", certificate->staple.path);
        fputc('\n', out);
}

/** What a server has. */
static void print_server(FILE *out, const struct policy_tls *tls) {
        for (size_t i = 0; i < tls->n_certificates; ++i)
                print_certificate(out, "TLSCertificate", &tls->certificates[i]);
        fprintf(out, "TLSClientAuth=%s\n", policy_word(policy_words_client_auth, (int)tls->client_auth));
        for (size_t i = 0; i < tls->n_client_names; ++i)
                fprintf(out, "TLSClientNames=%s%s\n", tls->client_names[i].below ? "*." : "",
                        tls->client_names[i].text);
}

static void print_client(FILE *out, const struct policy_tls *tls) {
        print_certificate(out, "TLSClientCertificate", &tls->client_certificate);
        fprintf(out, "TLSMustStaple=%s\n", policy_word(policy_words_yes_no, tls->must_staple));
}

/** What certificates of peers are judged by. */
static void print_verification(FILE *out, const struct policy_tls *tls) {
        char text[POLICY_PIN_TEXT_MAX];

        print_trust(out, "TLSTrust", &tls->trust);
        print_path(out, "TLSRevoked", &tls->revoked);
        for (size_t i = 0; i < tls->n_pins; ++i)
                fprintf(out, "TLSPins=%s\n", policy_pin_format(&tls->pins[i], text));
}

void dump_tls(FILE *out, const struct policy_tls *tls) {
        unsigned both = POLICY_TLS_1_2 | POLICY_TLS_1_3;

        if (!tls)
                return;
        fprintf(out, "TLS=%s\n", policy_word(policy_words_tls, (int)tls->roles));
        fprintf(out, "TLSVersions=%s\n",
                tls->versions == both ? "1.2 1.3" : policy_word(policy_words_tls_version, (int)tls->versions));
        if (tls->roles & POLICY_TLS_SERVER)
                print_server(out, tls);
        if (tls->roles & POLICY_TLS_CLIENT)
                print_client(out, tls);
        if ((tls->roles & POLICY_TLS_CLIENT) || tls->client_auth != POLICY_CLIENT_AUTH_NONE)
                print_verification(out, tls);
        for (size_t i = 0; i < tls->n_alpn; ++i)
                fprintf(out, "TLSALPN=%s\n", tls->alpn[i]);
        fprintf(out, "TLSTickets=%s\n", policy_word(policy_words_yes_no, tls->tickets));
}

/** A word for each proxy that passwords were given for. */
static void print_passwords(FILE *out, const struct policy_proxy *proxy) {
        if (proxy->n_passwords == 0)
                return;
        fputs("ProxyPassword=", out);
        for (size_t i = 0; i < proxy->n_passwords; ++i) {
                const char *path = proxy->hops[i].password.path;

                fprintf(out, "%s%s", i > 0 ? " " : "", path ? path : "-");
        }
        fputc('\n', out);
}

static void print_hops(FILE *out, const struct policy_proxy *proxy, bool preopen) {
        bool https = false;

        if (proxy->n_hops == 0)
                return;
        fputs("Proxy=", out);
        for (size_t i = 0; i < proxy->n_hops; ++i) {
                fprintf(out, "%s%s", i > 0 ? " " : "", proxy->hops[i].text);
                https = https || proxy->hops[i].kind == POLICY_HOP_HTTPS;
        }
        fputc('\n', out);
        print_passwords(out, proxy);
        if (!preopen)
                fprintf(out, "ProxyResolve=%s\n", policy_word(policy_words_yes_no, proxy->resolves));
        if (https)
                print_trust(out, "ProxyTrust", &proxy->trust);
}

void dump_proxy(FILE *out, const struct policy_protocol *protocol) {
        char text[POLICY_RANGE_TEXT_MAX];

        print_hops(out, &protocol->proxy, protocol->preopen);
        for (size_t i = 0; i < protocol->n_header_sources; ++i)
                fprintf(out, "AcceptProxyHeader=%s\n", policy_prefix_format(&protocol->header_sources[i], text));
        if (protocol->send_header != POLICY_PROXY_HEADER_NONE)
                fprintf(out, "SendProxyHeader=%s\n",
                        policy_word(policy_words_proxy_header, (int)protocol->send_header));
}
