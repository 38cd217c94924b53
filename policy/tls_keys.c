/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/tls_keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/keys.h"
#include "policy/path.h"
#include "policy/pin.h"
#include "policy/verdict.h"
#include "policy/words.h"

/* A line holds no longer one. */
_Static_assert(POLICY_LINE_MAX <= POLICY_ALPN_MAX, "names of ALPN need a check of their length");

/* What a name is printed behind, one a line. */
#define CLIENT_NAMES_KEY "TLSClientNames="

/** The section's TLS, from its first key on. @return NULL without memory */
static struct policy_tls *tls_of(struct parser *p) {
        struct policy_protocol *protocol = p->protocol;

        if (protocol->tls)
                return protocol->tls;
        protocol->tls = calloc(1, sizeof(*protocol->tls));
        if (!protocol->tls)
                return NULL;
        protocol->tls->versions = POLICY_TLS_1_2 | POLICY_TLS_1_3;
        protocol->tls->tickets = true;
        return protocol->tls;
}

/** Whether a list of the section takes one more. */
static int check_room(struct parser *p, size_t n, const char *what) {
        if (n < POLICY_TLS_LIST_MAX)
                return 0;
        return policy_complain(&p->complaint, 0, "a section has at most %d %s", POLICY_TLS_LIST_MAX, what);
}

/* ---- what TLS is for, and which ---- */

int tls_set_roles(struct parser *p, const char *value) {
        struct policy_tls *tls = tls_of(p);
        int roles, r;

        if (!tls)
                return -ENOMEM;
        r = policy_word_parse(value, policy_words_tls, &roles, &p->complaint);
        if (r < 0)
                return r;
        tls->roles = (unsigned)roles;
        tls->file = p->place.source->name;
        tls->line = p->place.line.number;
        return 0;
}

static int take_version(struct parser *p, const char *word) {
        int version, r = policy_word_parse(word, policy_words_tls_version, &version, &p->complaint);

        if (r == 0)
                p->protocol->tls->versions |= (unsigned)version;
        return r;
}

int tls_set_versions(struct parser *p, const char *value) {
        struct policy_tls *tls = tls_of(p);

        if (!tls)
                return -ENOMEM;
        tls->versions = 0;
        return parser_each_word(p, value, take_version);
}

int tls_set_tickets(struct parser *p, const char *value) {
        struct policy_tls *tls = tls_of(p);

        return tls ? policy_yes_no_parse(value, &tls->tickets, &p->complaint) : -ENOMEM;
}

/* ---- files ---- */

/** Whether a value has more than one word. */
static bool has_blanks(const char *value) {
        return value[strcspn(value, " \t")] != '\0';
}

static int set_file(struct parser *p, struct policy_path *path, const char *value) {
        if (has_blanks(value))
                return policy_complain(&p->complaint, strcspn(value, " \t"),
                                       "this is one file, and its path has no blanks");
        return policy_path_set(p, path, value);
}

int tls_set_trust(struct parser *p, const char *value) {
        struct policy_tls *tls = tls_of(p);

        if (!tls)
                return -ENOMEM;
        if (strcmp(value, "system") != 0)
                return set_file(p, &tls->trust, value);
        policy_path_clear(&tls->trust);
        return 0;
}

int tls_set_revoked(struct parser *p, const char *value) {
        struct policy_tls *tls = tls_of(p);

        return tls ? set_file(p, &tls->revoked, value) : -ENOMEM;
}

/** The next file of a certificate. */
static int take_file(struct parser *p, struct policy_certificate *certificate, const char *word, bool staples) {
        if (!certificate->chain.path)
                return policy_path_set(p, &certificate->chain, word);
        if (!certificate->key.path)
                return policy_path_set(p, &certificate->key, word);
        if (staples && !certificate->staple.path)
                return policy_path_set(p, &certificate->staple, word);
        return policy_complain(&p->complaint, 0, "one certificate a line: %s",
                               staples ? "CHAIN, its KEY and its STAPLE; write TLSCertificate= again for the next"
                                       : "CHAIN and its KEY");
}

static int take_server_file(struct parser *p, const char *word) {
        struct policy_tls *tls = p->protocol->tls;

        return take_file(p, &tls->certificates[tls->n_certificates - 1], word, true);
}

int tls_add_certificate(struct parser *p, const char *value) {
        struct policy_tls *tls = tls_of(p);
        struct policy_certificate *certificates;
        int r = tls ? check_room(p, tls->n_certificates, "certificates") : -ENOMEM;

        if (r < 0)
                return r;
        certificates = parser_grow(tls->certificates, tls->n_certificates, sizeof(*certificates));
        if (!certificates)
                return -ENOMEM;
        tls->certificates = certificates;
        certificates[tls->n_certificates++] = (struct policy_certificate){ 0 };
        return parser_each_word(p, value, take_server_file);
}

static int take_client_file(struct parser *p, const char *word) {
        return take_file(p, &p->protocol->tls->client_certificate, word, false);
}

int tls_set_client_certificate(struct parser *p, const char *value) {
        struct policy_tls *tls = tls_of(p);

        if (!tls)
                return -ENOMEM;
        policy_path_clear(&tls->client_certificate.chain);
        policy_path_clear(&tls->client_certificate.key);
        return parser_each_word(p, value, take_client_file);
}

/* ---- clients of a server ---- */

int tls_set_client_auth(struct parser *p, const char *value) {
        struct policy_tls *tls = tls_of(p);
        int word, r;

        if (!tls)
                return -ENOMEM;
        r = policy_word_parse(value, policy_words_client_auth, &word, &p->complaint);
        if (r == 0)
                tls->client_auth = (enum policy_client_auth)word;
        return r;
}

/** @param ret  lower-case A-labels; @param ret_below  whether `*.` stands in front */
static int read_client_name(struct parser *p, const char *word, char ret[static POLICY_HOST_NAME_MAX + 1],
                            bool *ret_below) {
        size_t star = strncmp(word, "*.", 2) == 0 ? 2 : 0, length = strlen(word);
        int r = policy_host_name_read(word + star, length - star, ret, &p->complaint);

        if (r < 0) {
                policy_complaint_widen(&p->complaint, word, length, star, length);
                return r;
        }
        if (strlen(CLIENT_NAMES_KEY) + star + strlen(ret) > POLICY_LINE_MAX)
                return policy_complain(&p->complaint, 0,
                                       "the name is too long for a line in A-labels, which certificates have");
        *ret_below = star > 0;
        return 0;
}

static int take_client_name(struct parser *p, const char *word) {
        struct policy_tls *tls = p->protocol->tls;
        struct policy_name_pattern *names, name;
        char text[POLICY_HOST_NAME_MAX + 1];
        int r = check_room(p, tls->n_client_names, "names of clients");

        if (r == 0)
                r = read_client_name(p, word, text, &name.below);
        if (r < 0)
                return r;
        names = parser_grow(tls->client_names, tls->n_client_names, sizeof(*names));
        if (!names)
                return -ENOMEM;
        tls->client_names = names;
        name.text = strdup(text);
        if (!name.text)
                return -ENOMEM;
        names[tls->n_client_names++] = name;
        return 0;
}

int tls_add_client_names(struct parser *p, const char *value) {
        return tls_of(p) ? parser_each_word(p, value, take_client_name) : -ENOMEM;
}

/* ---- what is agreed on, and with whom ---- */

/** Commas instead of blanks. */
static int complain_about_commas(const char *word, size_t first, struct policy_complaint *ret_complaint) {
        char corrected[POLICY_LINE_MAX + 1];
        size_t length = strlen(word);

        policy_complain(ret_complaint, first, "names of ALPN are separated by blanks, without commas");
        if (length >= sizeof(corrected) || strspn(word, ",") == length)
                return -EINVAL;
        for (size_t i = 0; i <= length; ++i)
                corrected[i] = word[i] == ',' ? ' ' : word[i];
        while (corrected[length - 1] == ' ')
                corrected[--length] = '\0';
        policy_complaint_splice(ret_complaint, word, strlen(word), 0, strlen(word), corrected + strspn(corrected, " "));
        return -EINVAL;
}

/** Printable ASCII without commas, as all registered ones are. */
static int check_alpn(const char *word, struct policy_complaint *ret_complaint) {
        size_t good = 0, comma = strcspn(word, ",");

        while (word[good] > ' ' && word[good] <= '~')
                ++good;
        if (word[good] != '\0')
                return policy_complain(ret_complaint, good, "a name of ALPN is printable ASCII");
        return word[comma] == '\0' ? 0 : complain_about_commas(word, comma, ret_complaint);
}

static int take_alpn(struct parser *p, const char *word) {
        struct policy_tls *tls = p->protocol->tls;
        int r = check_room(p, tls->n_alpn, "names of ALPN");
        char **names;

        if (r == 0)
                r = check_alpn(word, &p->complaint);
        for (size_t i = 0; r == 0 && i < tls->n_alpn; ++i)
                if (strcmp(tls->alpn[i], word) == 0)
                        r = policy_complain(&p->complaint, 0, "this name stands there already");
        if (r < 0)
                return r;
        names = parser_grow(tls->alpn, tls->n_alpn, sizeof(*names));
        if (!names)
                return -ENOMEM;
        tls->alpn = names;
        names[tls->n_alpn] = strdup(word);
        if (!names[tls->n_alpn])
                return -ENOMEM;
        ++tls->n_alpn;
        return 0;
}

int tls_add_alpn(struct parser *p, const char *value) {
        return tls_of(p) ? parser_each_word(p, value, take_alpn) : -ENOMEM;
}

static int take_pin(struct parser *p, const char *word) {
        struct policy_tls *tls = p->protocol->tls;
        struct policy_pin *pins, pin;
        int r = check_room(p, tls->n_pins, "pins");

        if (r == 0)
                r = policy_pin_parse(word, &pin, &p->complaint);
        if (r < 0)
                return r;
        pins = parser_grow(tls->pins, tls->n_pins, sizeof(*pins));
        if (!pins)
                return -ENOMEM;
        tls->pins = pins;
        pins[tls->n_pins++] = pin;
        return 0;
}

int tls_add_pins(struct parser *p, const char *value) {
        return tls_of(p) ? parser_each_word(p, value, take_pin) : -ENOMEM;
}

int tls_set_must_staple(struct parser *p, const char *value) {
        struct policy_tls *tls = tls_of(p);

        return tls ? policy_yes_no_parse(value, &tls->must_staple, &p->complaint) : -ENOMEM;
}

/* ---- the section as a whole ---- */

/** A key about TLS where there is none. */
static int check_is_on(struct parser *p) {
        for (int key = PARSER_KEY_TLS_VERSIONS; key <= PARSER_KEY_TLS_TICKETS; ++key)
                if (parser_is_set(p, (enum parser_key)key))
                        return parser_fail_value(p, (enum parser_key)key,
                                                 "%s= says how TLS is done, and [%s %s] has no TLS=: write "
                                                 "TLS=client, server or both",
                                                 keys_name((enum parser_key)key), policy_section_word(p->protocol),
                                                 p->protocol->name);
        return 0;
}

/** A role that a preopened socket never has. */
static int check_preopen(struct parser *p, unsigned roles) {
        bool listens;

        if (!p->preopen)
                return 0;
        listens = p->preopen->verb == POLICY_LISTEN;
        if (roles == (listens ? POLICY_TLS_SERVER : POLICY_TLS_CLIENT))
                return 0;
        return parser_fail_value(p, PARSER_KEY_TLS, "[Preopen %s] %s: write TLS=%s", p->protocol->name,
                                 listens ? "listens" : "connects", listens ? "server" : "client");
}

/** Keys of one role, where TLS= names the other. */
static int check_roles(struct parser *p, unsigned roles) {
        static const struct {
                enum parser_key key;
                unsigned role;
        } of_one[] = {
                { PARSER_KEY_TLS_CERTIFICATE, POLICY_TLS_SERVER },
                { PARSER_KEY_TLS_CLIENT_AUTH, POLICY_TLS_SERVER },
                { PARSER_KEY_TLS_CLIENT_NAMES, POLICY_TLS_SERVER },
                { PARSER_KEY_TLS_CLIENT_CERTIFICATE, POLICY_TLS_CLIENT },
                { PARSER_KEY_TLS_MUST_STAPLE, POLICY_TLS_CLIENT },
        };

        for (size_t i = 0; i < sizeof(of_one) / sizeof(of_one[0]); ++i) {
                if (!parser_is_set(p, of_one[i].key) || (roles & of_one[i].role))
                        continue;
                if (!parser_is_set(p, PARSER_KEY_TLS)) /* of QUIC */
                        return parser_fail_value(p, of_one[i].key,
                                                 "%s= is for %s, and [%s %s] has no %s=", keys_name(of_one[i].key),
                                                 of_one[i].role == POLICY_TLS_SERVER ? "servers" : "clients",
                                                 policy_section_word(p->protocol), p->protocol->name,
                                                 of_one[i].role == POLICY_TLS_SERVER ? "Listen" : "Connect");
                return parser_fail_value(p, of_one[i].key, "%s= is for TLS=%s, and [%s %s] has TLS=%s",
                                         keys_name(of_one[i].key), policy_word(policy_words_tls, (int)of_one[i].role),
                                         policy_section_word(p->protocol), p->protocol->name,
                                         policy_word(policy_words_tls, (int)roles));
        }
        return 0;
}

/** What certificates of peers are judged by, where none is asked for. */
static int check_verification(struct parser *p, const struct policy_tls *tls) {
        static const enum parser_key keys[] = { PARSER_KEY_TLS_TRUST, PARSER_KEY_TLS_REVOKED, PARSER_KEY_TLS_PINS };

        if ((tls->roles & POLICY_TLS_CLIENT) || tls->client_auth != POLICY_CLIENT_AUTH_NONE)
                return 0;
        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); ++i)
                if (parser_is_set(p, keys[i]))
                        return parser_fail_value(p, keys[i],
                                                 "%s= is about the certificates of peers, and this server asks for "
                                                 "none: write TLSClientAuth=require",
                                                 keys_name(keys[i]));
        return 0;
}

static int check_server(struct parser *p, const struct policy_tls *tls) {
        if (!(tls->roles & POLICY_TLS_SERVER))
                return 0;
        if (tls->n_certificates == 0)
                return parser_fail_value(p, PARSER_KEY_TLS,
                                         "a server of TLS needs TLSCertificate=, with the file of its certificate and "
                                         "that of its key");
        if (tls->client_auth == POLICY_CLIENT_AUTH_REQUIRE && !tls->trust.path)
                return parser_fail_value(p, PARSER_KEY_TLS_CLIENT_AUTH,
                                         "to require certificates takes TLSTrust=FILE with the authorities that issue "
                                         "them to your clients: those that the system trusts issue one to everybody");
        if (tls->n_client_names > 0 && tls->client_auth == POLICY_CLIENT_AUTH_NONE)
                return parser_fail_value(p, PARSER_KEY_TLS_CLIENT_NAMES,
                                         "TLSClientNames= is about the certificates of clients, and none is asked "
                                         "for: write TLSClientAuth=require");
        return 0;
}

int tls_keys_finish(struct parser *p) {
        const struct policy_protocol *protocol = p->protocol;
        const struct policy_tls *tls = protocol->tls;
        int r;

        if (!tls || tls->roles == 0)
                return check_is_on(p);
        if (protocol->family == POLICY_FAMILY_UNIX)
                return parser_fail_value(p, PARSER_KEY_TLS, "TLS is for TCP, and [%s %s] has %s",
                                         policy_section_word(protocol), protocol->name, policy_family_text(protocol));
        if ((protocol->socket_types & POLICY_SOCKET_DGRAM) && protocol->family != POLICY_FAMILY_QUIC)
                return parser_fail_value(p, PARSER_KEY_TLS,
                                         "TLS is for streams, and [%s %s] has datagrams in SocketTypes=: write a "
                                         "section of its own for them",
                                         policy_section_word(protocol), protocol->name);
        r = check_preopen(p, tls->roles);
        if (r == 0)
                r = check_roles(p, tls->roles);
        if (r == 0)
                r = check_server(p, tls);
        return r < 0 ? r : check_verification(p, tls);
}
