/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/keys.h"

#include <errno.h>
#include <string.h>

#include "policy/grant_keys.h"
#include "policy/grants.h"
#include "policy/limit.h"
#include "policy/proxy_keys.h"
#include "policy/quic_keys.h"
#include "policy/suggest.h"
#include "policy/tenant_keys.h"
#include "policy/tls_keys.h"

/* How wide the reference is printed. */
#define COLUMNS 80
#define INDENT "    "

/** A key of the file. `set` returns 0, -ENOMEM, or -EINVAL with a complaint about the value or with the parser's error. */
struct key {
        const char *name;
        unsigned sections; /* enum parser_section_kind */
        bool repeatable;
        int (*set)(struct parser *p, const char *value);
        const char *value;   /* how it is written */
        const char *initial; /* the default; NULL: none, or that of policy/limit.h */
        const char *help;    /* sentences */
};

/* One of policy/limit.h, which has its default. */
#define LIMIT(name, value, help)                                                                                       \
        { name, PARSER_OF_TENANT, false, tenant_set_limit, value, NULL, help }
#define COUNT "N|infinity"
#define RATE "N/s|infinity"
#define BYTES "BYTES|infinity"

static const struct key keys[PARSER_N_KEYS] = {
        [PARSER_KEY_NAME] = { "Name", PARSER_TENANT, false, tenant_set_name, "NAME", NULL,
                              "The tenant's name. Required." },
        [PARSER_KEY_USER] = { "User", PARSER_TENANT, true, tenant_set_principal, "USER", NULL,
                              "A user, by name or number, whose processes may open sessions as this tenant." },
        [PARSER_KEY_GROUP] = { "Group", PARSER_TENANT, true, tenant_set_principal, "GROUP", NULL,
                               "A group, by name or number, whose members' processes may." },
        [PARSER_KEY_UNIT] = { "Unit", PARSER_TENANT, true, tenant_set_principal, "UNIT", NULL,
                              "A service or scope of systemd's whose processes may." },
        [PARSER_KEY_SOCKET] = { "Socket", PARSER_TENANT, false, tenant_set_socket, "PATH", NULL,
                                "The tenant's own socket, by which every session is this tenant's." },
        [PARSER_KEY_SOCKET_USER] = { "SocketUser", PARSER_TENANT, false, tenant_set_socket_owner, "USER",
                                     "the broker's", "Who owns that socket." },
        [PARSER_KEY_SOCKET_GROUP] = { "SocketGroup", PARSER_TENANT, false, tenant_set_socket_owner, "GROUP",
                                      "the broker's", "Which group that socket has." },
        [PARSER_KEY_SESSION_SOCKET_MODE] = { "SocketMode", PARSER_TENANT, false, tenant_set_socket_mode, "MODE", "0600",
                                             "The permissions of that socket." },
        [PARSER_KEY_MODE] = { "Mode", PARSER_TENANT, false, tenant_set_mode, "enforce|report", "enforce",
                              "Whether a denial refuses, or is recorded and let pass." },
        [PARSER_KEY_EXISTING] = { "Existing", PARSER_OF_TENANT, false, tenant_set_existing, "close|keep", "close",
                                  "What a reload does with what is open and no longer granted." },
        [PARSER_KEY_EXPLAIN_DENIALS] = { "ExplainDenials", PARSER_OF_TENANT, false, tenant_set_explain_denials,
                                         "yes|no", "no", "Whether a guest that is refused is told why." },
        [PARSER_KEY_RESOLVERS] = { "Resolvers", PARSER_OF_TENANT, false, tenant_set_resolvers, "ADDRESS[:PORT]...",
                                   "the system's", "The name servers for this tenant's names, at most four." },
        [PARSER_KEY_RELAYS] = { "Relays", PARSER_TENANT, false, tenant_set_relays, "N", "1",
                                "Processes that the tenant's relayed connections are spread over, from 1 to 16." },
        [PARSER_KEY_SHARD] = { "Shard", PARSER_TENANT, false, tenant_set_shard, "N", "by the tenant's name",
                               "Which of netbrokerd's processes serves the tenant, from 1 up, where it has several "
                               "(--shards)." },
        [PARSER_KEY_TOKEN_KEY] = { "TokenKey", PARSER_OF_TENANT, false, tenant_set_token_keys, "ed25519/BASE64...",
                                   NULL, "Public keys of those who issue tokens for the tenant, at most three." },
        [PARSER_KEY_REQUIRE_TOKEN] = { "RequireToken", PARSER_OF_TENANT, false, tenant_set_require_token, "yes|no",
                                       "no", "Whether a session is opened with a token only." },
        [PARSER_KEY_REVOKED_TOKENS] = { "RevokedTokens", PARSER_TENANT, false, tenant_set_revoked_tokens, "FILE", NULL,
                                        "A list of tokens that are refused, which a reload reads again." },
        [PARSER_KEY_TOKEN_EXPIRY] = { "TokenExpiry", PARSER_OF_TENANT, false, tenant_set_token_expiry, "close|keep",
                                      "close", "What becomes of what a token has opened when its time is over." },
        [PARSER_KEY_LIMIT + POLICY_LIMIT_SESSIONS] = LIMIT("MaxSessions", COUNT, "Sessions."),
        [PARSER_KEY_LIMIT + POLICY_LIMIT_CONTROLS] =
                LIMIT("MaxControls", COUNT, "Controls, which guests open to connect or to listen."),
        [PARSER_KEY_LIMIT + POLICY_LIMIT_LISTENERS] = LIMIT("MaxListeners", COUNT, "Controls that listen."),
        [PARSER_KEY_LIMIT + POLICY_LIMIT_CONNECTIONS] =
                LIMIT("MaxConnections", COUNT, "Connections that are in the tenant's hands."),
        [PARSER_KEY_LIMIT + POLICY_LIMIT_CONNECTING] = LIMIT("MaxConnecting", COUNT, "Connections being made."),
        [PARSER_KEY_LIMIT + POLICY_LIMIT_IN_FLIGHT] =
                LIMIT("MaxInFlight", COUNT, "Accepted connections that guests have not taken yet."),
        [PARSER_KEY_LIMIT + POLICY_LIMIT_LOOKUPS] = LIMIT("MaxLookups", COUNT, "Names being resolved."),
        [PARSER_KEY_LIMIT + POLICY_LIMIT_REQUEST_RATE] =
                LIMIT("RequestRate", RATE, "Requests a second; beyond it they wait."),
        [PARSER_KEY_LIMIT + POLICY_LIMIT_CONNECT_RATE] =
                LIMIT("ConnectRate", RATE, "Connects a second; beyond it they are refused."),
        [PARSER_KEY_LIMIT + POLICY_LIMIT_BYTES_IN_FLIGHT] =
                LIMIT("MaxBytesInFlight", BYTES, "Bytes in the kernel's buffers of the tenant's connections."),
        [PARSER_KEY_LIMIT + POLICY_LIMIT_MEMORY] =
                LIMIT("MaxMemory", BYTES, "Bytes of the broker's memory that the tenant's objects take."),
        [PARSER_KEY_LIMIT + POLICY_LIMIT_HANDSHAKES] =
                LIMIT("MaxHandshakes", COUNT, "Accepted connections that are not through TLS or a PROXY header yet."),
        [PARSER_KEY_LIMIT + POLICY_LIMIT_RELAY_MEMORY] =
                LIMIT("RelayMemory", BYTES, "Bytes of memory that each of the tenant's relays may take."),
        [PARSER_KEY_FAMILY] = { "Family", PARSER_PROTOCOL, false, grant_set_family, "ip|ipv4|ipv6|unix|quic", NULL,
                                "Which addresses the protocol can name, or quic: those of ip, with connections that "
                                "have any number of streams. Required." },
        [PARSER_KEY_DATA_PATH] = { "DataPath", PARSER_GRANTING | PARSER_DEFAULTS, false, grant_set_data_path,
                                   "auto|direct|relay", "auto",
                                   "Which descriptor the process that runs the guest receives: the socket itself, or "
                                   "one end of a pair whose other the tenant's relay has. With auto it is the socket "
                                   "where the broker's seal is proven and the pair otherwise; direct is the word that "
                                   "the process is locked down. QUIC is the relay's in any case." },
        [PARSER_KEY_REQUIRE_SEAL] = { "RequireSeal", PARSER_DEFAULTS, false, tenant_set_require_seal, "yes|no", "no",
                                      "Whether the broker serves nobody unless its seal is proven." },
        [PARSER_KEY_SOCKET_TYPES] = { "SocketTypes", PARSER_GRANTING, false, grant_set_socket_types, "stream|dgram...",
                                      "stream", "Which types of socket the guest may open." },
        [PARSER_KEY_SOCKET_MODE] = { "SocketMode", PARSER_GRANTING, false, grant_set_socket_mode, "MODE", "0666",
                                     "The permissions of sockets that guests bind to paths." },
        [PARSER_KEY_CONNECT_TIMEOUT] = { "ConnectTimeout", PARSER_GRANTING | PARSER_DEFAULTS, false,
                                         grant_set_connect_timeout, "TIME", "30s",
                                         "How long a connect may take, with the look-up of a name." },
        [PARSER_KEY_HANDSHAKE_TIMEOUT] = { "HandshakeTimeout", PARSER_GRANTING, false, grant_set_handshake_timeout,
                                           "TIME", "10s",
                                           "How long TLS, QUIC and the PROXY header of an accepted peer may take." },
        [PARSER_KEY_IDLE_TIMEOUT] = { "IdleTimeout", PARSER_PROTOCOL, false, grant_set_idle_timeout, "TIME", "1min",
                                      "How long the peer of a server of datagrams may be silent, and that of a "
                                      "connection of QUIC." },
        [PARSER_KEY_NONBLOCK] = { "Nonblock", PARSER_PREOPEN, false, grant_set_nonblock, "yes|no",
                                  "yes for a listener, no for a connection",
                                  "Whether the guest finds the descriptor with fdflags.nonblock." },
        [PARSER_KEY_MAX_STREAMS] = { "MaxStreams", PARSER_PROTOCOL, false, quic_set_max_streams, "N", "100",
                                     "Streams that the peer of a connection of QUIC may have open at once, and as many "
                                     "unidirectional ones." },
        [PARSER_KEY_STREAM_WINDOW] = { "StreamWindow", PARSER_PROTOCOL, false, quic_set_stream_window, "BYTES", "256K",
                                       "Bytes that the peer may send ahead on a stream of QUIC." },
        [PARSER_KEY_CONNECTION_WINDOW] = { "ConnectionWindow", PARSER_PROTOCOL, false, quic_set_connection_window,
                                           "BYTES", "1M",
                                           "Bytes that the peer may send ahead on a connection of QUIC as a whole." },
        [PARSER_KEY_KEEP_ALIVE] = { "KeepAlive", PARSER_PROTOCOL, false, quic_set_keep_alive, "TIME", "none",
                                    "After which silence a connection of QUIC is kept from IdleTimeout=." },
        [PARSER_KEY_RETRY] = { "Retry", PARSER_PROTOCOL, false, quic_set_retry, "auto|always", "auto",
                               "Whether clients of QUIC prove their addresses before anything is kept of them: when "
                               "many come, or always." },
        [PARSER_KEY_CONNECT] = { "Connect", PARSER_PROTOCOL, true, grants_defer, "RULE...", NULL,
                                 "Grants connecting to what the rules match." },
        [PARSER_KEY_LISTEN] = { "Listen", PARSER_PROTOCOL, true, grants_defer, "RULE...", NULL,
                                "Grants listening on what the rules match." },
        [PARSER_KEY_DENY] = { "Deny", PARSER_GRANTING, true, grants_defer, "RULE...", NULL,
                              "Refuses what the rules match, whatever grants it." },
        [PARSER_KEY_ADDRESSES] = { "Addresses", PARSER_PROTOCOL, true, grants_defer, "RANGE...", "public",
                                   "What a granted name may resolve to: prefixes and groups." },
        [PARSER_KEY_PREOPEN_CONNECT] = { "Connect", PARSER_PREOPEN, false, grants_defer_address, "ADDRESS", NULL,
                                         "The address that the socket is connected to." },
        [PARSER_KEY_PREOPEN_LISTEN] = { "Listen", PARSER_PREOPEN, false, grants_defer_address, "ADDRESS", NULL,
                                        "The address that the socket listens on." },
        [PARSER_KEY_TLS] = { "TLS", PARSER_GRANTING, false, tls_set_roles, "client|server|both", "no TLS",
                             "Who of the guest's connections speaks TLS: what it connects to, what connects to it, or "
                             "both. The guest reads and writes plain text. With QUIC it follows from the rules." },
        [PARSER_KEY_TLS_VERSIONS] = { "TLSVersions", PARSER_GRANTING, false, tls_set_versions, "1.2|1.3...", "1.2 1.3",
                                      "Which versions of TLS are spoken." },
        [PARSER_KEY_TLS_TRUST] = { "TLSTrust", PARSER_GRANTING, false, tls_set_trust, "system|FILE", "system",
                                   "The authorities that certify peers." },
        [PARSER_KEY_TLS_REVOKED] = { "TLSRevoked", PARSER_GRANTING, false, tls_set_revoked, "FILE", NULL,
                                     "A list of certificates that are revoked." },
        [PARSER_KEY_TLS_CERTIFICATE] = { "TLSCertificate", PARSER_GRANTING, true, tls_add_certificate,
                                         "CHAIN [KEY [STAPLE]]", NULL,
                                         "A certificate that the server shows, chosen by the name that the client asks "
                                         "for; the first where none fits. Required for a server." },
        [PARSER_KEY_TLS_CLIENT_CERTIFICATE] = { "TLSClientCertificate", PARSER_GRANTING, false,
                                                tls_set_client_certificate, "CHAIN [KEY]", NULL,
                                                "The certificate that is shown to servers that ask for one." },
        [PARSER_KEY_TLS_CLIENT_AUTH] = { "TLSClientAuth", PARSER_GRANTING, false, tls_set_client_auth,
                                         "none|request|require", "none",
                                         "Whether the server asks clients for certificates." },
        [PARSER_KEY_TLS_CLIENT_NAMES] = { "TLSClientNames", PARSER_GRANTING, true, tls_add_client_names, "NAME...",
                                          "any",
                                          "Names, one of which a client's certificate must be for; *.NAME is every "
                                          "name "
                                          "below." },
        [PARSER_KEY_TLS_ALPN] = { "TLSALPN", PARSER_GRANTING, true, tls_add_alpn, "NAME...", "none",
                                  "The protocols that are offered or accepted inside TLS, the preferred first. "
                                  "Required for "
                                  "QUIC." },
        [PARSER_KEY_TLS_PINS] = { "TLSPins", PARSER_GRANTING, true, tls_add_pins, "sha256/BASE64...", NULL,
                                  "Public keys, one of which must be in the peer's chain." },
        [PARSER_KEY_TLS_MUST_STAPLE] = { "TLSMustStaple", PARSER_GRANTING, false, tls_set_must_staple, "yes|no", "no",
                                         "Whether a server must prove by OCSP that its certificate is not revoked." },
        [PARSER_KEY_TLS_TICKETS] = { "TLSTickets", PARSER_GRANTING, false, tls_set_tickets, "yes|no", "yes",
                                     "Whether sessions of TLS are resumed." },
        [PARSER_KEY_PROXY] = { "Proxy", PARSER_GRANTING, false, proxy_set_hops, "URL [URL]", NULL,
                               "The proxy that all connects go through, or two, one through the other: http://, "
                               "https:// or socks5://, with host and port." },
        [PARSER_KEY_PROXY_PASSWORD] = { "ProxyPassword", PARSER_GRANTING, false, proxy_set_passwords, "FILE|- [FILE|-]",
                                        NULL, "Files with user:password, for each proxy one, or - for none." },
        [PARSER_KEY_PROXY_RESOLVE] = { "ProxyResolve", PARSER_GRANTING, false, proxy_set_resolve, "yes|no", "no",
                                       "Whether the last proxy is given names and resolves them, past Addresses=." },
        [PARSER_KEY_PROXY_TRUST] = { "ProxyTrust", PARSER_GRANTING, false, proxy_set_trust, "system|FILE", "system",
                                     "The authorities that certify https:// proxies." },
        [PARSER_KEY_ACCEPT_PROXY_HEADER] = { "AcceptProxyHeader", PARSER_GRANTING, true, grants_defer, "PREFIX...",
                                             NULL, "Who must say by a PROXY header whom it connects for." },
        [PARSER_KEY_SEND_PROXY_HEADER] = { "SendProxyHeader", PARSER_GRANTING, false, proxy_set_send_header, "v1|v2",
                                           NULL, "Which PROXY header is sent in front of what the guest sends." },
        [PARSER_KEY_INCLUDE] = { "Include", PARSER_EVERY, true, parser_include, "FILE", NULL,
                                 "Reads the lines of FILE, keys without a section, as if they stood here." },
};

/** Sections as messages and the reference name them. */
static const struct {
        enum parser_section_kind kind;
        const char *header;
} sections[] = {
        { PARSER_TENANT, "[Tenant]" },
        { PARSER_PROTOCOL, "[Protocol NAME]" },
        { PARSER_PREOPEN, "[Preopen NAME]" },
        { PARSER_DEFAULTS, "[Defaults]" },
};

#define N_SECTIONS (sizeof(sections) / sizeof(sections[0]))

/* ---- setting ---- */

static int fail_unknown_key(struct parser *p, const char *name) {
        size_t length = strlen(name), distance = 0;
        struct policy_complaint complaint;
        const char *best = NULL;
        char quote[PARSER_QUOTE_MAX];

        for (size_t i = 0; i < PARSER_N_KEYS; ++i)
                best = policy_suggest(name, length, keys[i].name, best, &distance);
        policy_printable(name, length, quote, sizeof(quote));
        if (!best)
                return parser_fail_at(p, 0, "there is no key %s=; netbroker.conf(5) lists them", quote);

        policy_complain(&complaint, 0, "there is no key %s=; did you mean %s=?", quote, best);
        policy_complaint_splice(&complaint, p->place.line.text, p->place.line.length, 0, length, best);
        return parser_fail(p, &p->place, &complaint);
}

/** The key of that name in a section. @return NULL if there is none. */
static const struct key *find_key(const char *name, enum parser_section_kind section) {
        for (size_t i = 0; i < PARSER_N_KEYS; ++i)
                if ((keys[i].sections & section) && strcmp(name, keys[i].name) == 0)
                        return &keys[i];
        return NULL;
}

/** "[Protocol NAME] or [Preopen NAME]". In a tenant's file [Defaults] is not among them. */
static void list_sections(unsigned kinds, char *text, size_t size) {
        size_t used = 0;

        text[0] = '\0';
        for (size_t i = 0; i < N_SECTIONS; ++i) {
                if (!(sections[i].kind & kinds) || used >= size)
                        continue;
                used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? " or " : "", sections[i].header);
        }
}

static int fail_misplaced_key(struct parser *p, const char *name) {
        char list[PARSER_QUOTE_MAX * 2];
        unsigned kinds = 0;

        for (size_t i = 0; i < PARSER_N_KEYS; ++i)
                if (strcmp(name, keys[i].name) == 0)
                        kinds |= keys[i].sections;
        if (kinds == 0)
                return fail_unknown_key(p, name);
        if (strcmp(name, keys[PARSER_KEY_FAMILY].name) == 0 && p->section->kind == PARSER_PREOPEN)
                return parser_fail_at(
                        p, 0, "a preopened socket has no Family=: its address tells it, and it is never one of QUIC");
        if (p->policy && kinds != PARSER_DEFAULTS)
                kinds &= ~(unsigned)PARSER_DEFAULTS;
        list_sections(kinds, list, sizeof(list));
        return parser_fail_at(p, 0, "%s= belongs in a %s section", name, list);
}

/** Whether the section has a key already that it can have once. A later fragment may set it again. */
static int check_once(struct parser *p, const struct key *key) {
        const struct parser_place *before = &p->section->set_in[key - keys];

        if (key->repeatable || !before->source || before->source->fragment != p->place.source->fragment)
                return 0;
        return parser_fail_at(p, 0, "%s= is set already, in %s", key->name, parser_place_text(&p->place, before).text);
}

bool keys_is_one(const char *name, size_t length) {
        for (size_t i = 0; i < PARSER_N_KEYS; ++i)
                if (strlen(keys[i].name) == length && memcmp(name, keys[i].name, length) == 0)
                        return true;
        return false;
}

const char *keys_name(enum parser_key key) {
        return keys[key].name;
}

int keys_assign(struct parser *p, const char *name, const char *value) {
        const struct key *key = find_key(name, p->section->kind);
        size_t offset = policy_line_value_offset(&p->place.line);
        int r;

        if (!key)
                return fail_misplaced_key(p, name);
        r = check_once(p, key);
        if (r < 0)
                return r;
        if (value[0] == '\0')
                return parser_fail_at(p, offset, "%s= has no value", key->name);

        p->key = (enum parser_key)(key - keys);
        r = key->set(p, value);
        if (p->result < 0) /* in a file that this line includes */
                return p->result;
        if (r == -ENOMEM)
                return parser_fail_memory(p);
        if (r < 0)
                return parser_fail_part(p, &p->complaint, offset, offset + strlen(value));
        p->section->set_in[key - keys] = p->place;
        return 0;
}

/* ---- the reference ---- */

/** Prints words, wrapped and indented. */
static void print_wrapped(FILE *out, const char *text) {
        size_t column = 0;

        while (*text) {
                size_t length = strcspn(text, " ");

                if (column > 0 && column + 1 + length > COLUMNS) {
                        fputc('\n', out);
                        column = 0;
                }
                column += (size_t)fprintf(out, "%s%.*s", column > 0 ? " " : INDENT, (int)length, text);
                text += length + (text[length] == ' ');
        }
        fputc('\n', out);
}

static void print_default(FILE *out, size_t i) {
        char text[POLICY_LIMIT_TEXT_MAX];
        const char *initial = keys[i].initial;

        if (i >= PARSER_KEY_LIMIT && i <= PARSER_KEY_LIMIT_LAST) {
                enum policy_limit limit = (enum policy_limit)(i - PARSER_KEY_LIMIT);

                initial = policy_limit_format(limit, policy_limit_kind(limit)->initial, text);
        }
        if (initial)
                fprintf(out, INDENT "Default: %s.\n", initial);
        if (keys[i].repeatable)
                fprintf(out, INDENT "May be repeated.\n");
}

void policy_keys_print(FILE *out) {
        for (size_t s = 0; s < N_SECTIONS; ++s) {
                fprintf(out, "%s%s\n", s > 0 ? "\n" : "", sections[s].header);
                for (size_t i = 0; i < PARSER_N_KEYS; ++i) {
                        if (!(keys[i].sections & sections[s].kind))
                                continue;
                        fprintf(out, "%s=%s\n", keys[i].name, keys[i].value);
                        print_wrapped(out, keys[i].help);
                        print_default(out, i);
                }
        }
}
