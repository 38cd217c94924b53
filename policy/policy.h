/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy: who may open a session, and what each tenant's protocols may reach.
 *
 * Parsing and deciding are pure: text and values in, a policy or a verdict out, no I/O, so that both are
 * tested and fuzzed alone. A policy is immutable once it is finished; a reload makes a new one.
 *
 * Deny by default: what no rule grants is refused. Deny rules win over grants in any order. Some ranges need a
 * grant that names them even where a wider rule covers them (policy/guard.h).
 */
#ifndef NB_POLICY_POLICY_H
#define NB_POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/socket_address.h"
#include "policy/host_name.h"
#include "policy/table.h"

/** The most name servers of one tenant (`Resolvers=`). */
#define POLICY_RESOLVERS_MAX 4

/** The port of a name server where none is written. */
#define POLICY_RESOLVER_PORT 53

/** Protocols and preopened sockets of a tenant travel as descriptors of one Welcome: together there are no more than NB_CHANNEL_FDS_MAX. */
#define POLICY_PROTOCOLS_MAX 64

/** The most files of one tenant: its own, drop-ins, and what they include, each time that it is included. */
#define POLICY_FILES_MAX 64

/** How deep an included file may include others. */
#define POLICY_INCLUDE_DEPTH_MAX 4

/** The most bytes of all files of one tenant together. 100,000 rules are a few megabytes; what is larger is not a policy. */
#define POLICY_TEXT_MAX (16u * 1024 * 1024)

/** The most processes that tenants are dealt to (`Shard=`, netbrokerd --shards). */
#define POLICY_SHARDS_MAX 64

/** The most relays of one tenant (`Relays=`). */
#define POLICY_RELAYS_MAX 16

/** How long the handshake of what was accepted may take, without `HandshakeTimeout=`. */
#define POLICY_HANDSHAKE_TIMEOUT_DEFAULT_MS 10000

/** How long the peer of a datagram server may be silent, without `IdleTimeout=`. */
#define POLICY_IDLE_TIMEOUT_DEFAULT_MS 60000

/** How long a connect may take, without `ConnectTimeout=`. */
#define POLICY_CONNECT_TIMEOUT_DEFAULT_MS 30000

/** The mode of a tenant's own socket, without `SocketMode=`. */
#define POLICY_SESSION_SOCKET_MODE_DEFAULT 0600

/** No user and no group: (uid_t) -1. */
#define POLICY_NOBODY UINT32_MAX

/** Enough for the name of a file in an error; longer ones are cut. */
#define POLICY_ERROR_FILE_MAX 256

/** The mode of the sockets that are bound to paths, without `SocketMode=`; systemd.socket(5)'s. */
#define POLICY_SOCKET_MODE_DEFAULT 0666

/** What `Family=` says: which addresses a protocol can name. */
enum policy_family {
        POLICY_FAMILY_IP, /* IPv4 and IPv6 */
        POLICY_FAMILY_IPV4,
        POLICY_FAMILY_IPV6,
        POLICY_FAMILY_UNIX, /* paths and abstract names */
        POLICY_FAMILY_QUIC, /* IPv4 and IPv6, by QUIC: connections have any number of streams */
};

/** What `DataPath=` says: which descriptor may leave the broker (ARCHITECTURE.md). */
enum policy_data_path {
        POLICY_DATA_PATH_AUTO, /* the socket itself where it is sealed, and a relay otherwise: policy_keeps_socket() */
        POLICY_DATA_PATH_DIRECT, /* the operator's word that the host is locked down */
        POLICY_DATA_PATH_RELAY,  /* every socket stays with the tenant's relay */
};

/** What is known of the broker's seal: whether a socket of its own can do nothing but what it was made for (broker/seal.h). */
enum policy_seal {
        POLICY_SEAL_UNKNOWN, /* there is no broker to ask */
        POLICY_SEAL_OPEN,
        POLICY_SEAL_PROVEN,
};

/** What `SocketTypes=` says, as bits; without it, streams only. */
enum policy_socket_type {
        POLICY_SOCKET_STREAM = 0x1,
        POLICY_SOCKET_DGRAM = 0x2,
};

/** What is to be done with an address. */
enum policy_verb {
        POLICY_CONNECT,
        POLICY_LISTEN, /* bind and listen */
        POLICY_ACCEPT, /* a peer of a granted listener: allowed unless a Deny rule names it */
};

/** Groups of addresses, spelt out in rules and in `Addresses=` (policy/group.h). */
enum policy_group {
        POLICY_GROUP_ANY,     /* every address; those that the guard wants named are still to be named */
        POLICY_GROUP_PUBLIC,  /* neither private nor in any range of the guard */
        POLICY_GROUP_PRIVATE, /* RFC 1918, RFC 6598, RFC 4193 */
        POLICY_GROUP_LOCAL,   /* loopback, which it names */
        POLICY_N_GROUPS,
};

/** What a tenant's denials come to (`Mode=`). */
enum policy_mode {
        POLICY_MODE_ENFORCE,
        POLICY_MODE_REPORT, /* they are recorded, and what was asked for is done */
};

/** What a reload does with connections that the new policy no longer grants (`Existing=`). */
enum policy_existing {
        POLICY_EXISTING_CLOSE,
        POLICY_EXISTING_KEEP,
};

/** What a tenant may hold or do, a key each (policy/limit.h). */
enum policy_limit {
        POLICY_LIMIT_SESSIONS,        /* MaxSessions= */
        POLICY_LIMIT_CONTROLS,        /* MaxControls= */
        POLICY_LIMIT_LISTENERS,       /* MaxListeners= */
        POLICY_LIMIT_CONNECTIONS,     /* MaxConnections=: established, in the tenant's hands */
        POLICY_LIMIT_CONNECTING,      /* MaxConnecting=: being made */
        POLICY_LIMIT_IN_FLIGHT,       /* MaxInFlight=: accepted, and not yet taken by the guest */
        POLICY_LIMIT_LOOKUPS,         /* MaxLookups=: names being resolved */
        POLICY_LIMIT_REQUEST_RATE,    /* RequestRate=: requests a second; beyond it they wait */
        POLICY_LIMIT_CONNECT_RATE,    /* ConnectRate=: connects a second; beyond it they are refused */
        POLICY_LIMIT_BYTES_IN_FLIGHT, /* MaxBytesInFlight=: in the kernel's buffers of the tenant's connections */
        POLICY_LIMIT_MEMORY,          /* MaxMemory=: of the broker's own, in bytes */
        POLICY_LIMIT_HANDSHAKES,      /* MaxHandshakes=: accepted, and not yet through TLS or a PROXY header */
        POLICY_LIMIT_RELAY_MEMORY,    /* RelayMemory=: of each of its relays, in bytes */
        POLICY_N_LIMITS,
};

/** No limit of the tenant's own: `infinity`. */
#define POLICY_UNLIMITED UINT64_MAX

enum policy_rule_kind {
        POLICY_RULE_CONNECT,
        POLICY_RULE_LISTEN,
        POLICY_RULE_DENY,
};

/**
 * Names of Unix sockets. A `*` stands for any bytes, none included, of one component of a path, or of an abstract name. In a grant, a
 * component that begins with a dot is matched by a pattern that begins with one only; in a Deny rule a `*` matches it too.
 */
struct policy_unix_pattern {
        bool abstract;
        const char *text; /* borrowed: the path, or what follows the `@`, with its stars */
};

/** A name, or with `below` every name that ends in it behind one label or more, and not the name itself: `*.example.com`. */
struct policy_name_pattern {
        bool below;
        char *text; /* owned by the rule: lower-case A-labels without a dot at the end */
};

/** What a rule is about. */
enum policy_target {
        POLICY_TARGET_PREFIX,
        POLICY_TARGET_GROUP,
        POLICY_TARGET_NAME, /* of Connect and Deny rules */
        POLICY_TARGET_UNIX, /* all rules of a protocol with POLICY_FAMILY_UNIX */
};

struct policy_rule {
        enum policy_rule_kind kind;
        enum policy_target target;
        struct nb_port_range ports; /* not of Unix sockets */
        union {
                struct nb_prefix prefix;
                enum policy_group group;
                struct policy_name_pattern name;
                struct policy_unix_pattern pattern; /* in `text` */
        };
        char *text;       /* as written, for messages: "Connect=10.0.0.0/8:443" */
        const char *file; /* borrowed from the policy */
        unsigned line;
};

/** One word of `Addresses=`: what the addresses of a granted name may be. */
struct policy_range {
        enum policy_target target; /* PREFIX or GROUP */
        union {
                struct nb_prefix prefix;
                enum policy_group group;
        };
        char *text;       /* owned: as written */
        const char *file; /* borrowed from the policy; NULL for the default, `public` */
        unsigned line;
};

/** Where a value stands. */
struct policy_position {
        const char *file; /* borrowed from the policy */
        unsigned line;
        unsigned column; /* from 1 */
};

/** A file that the policy names, and that the broker opens: for policy it is a text. */
struct policy_path {
        char *path; /* owned: absolute, or `credential:NAME`, a file in systemd's $CREDENTIALS_DIRECTORY; NULL: none */
        struct policy_position at;
};

/** What `TLS=` says, as bits: `client`, `server`, `both`. */
enum policy_tls_role {
        POLICY_TLS_CLIENT = 0x1, /* what is connected to speaks TLS */
        POLICY_TLS_SERVER = 0x2, /* what is accepted does */
};

/** What `TLSVersions=` says, as bits; without it, both. */
enum policy_tls_version {
        POLICY_TLS_1_2 = 0x1,
        POLICY_TLS_1_3 = 0x2,
};

/** What a server asks of clients (`TLSClientAuth=`). */
enum policy_client_auth {
        POLICY_CLIENT_AUTH_NONE,
        POLICY_CLIENT_AUTH_REQUEST,
        POLICY_CLIENT_AUTH_REQUIRE,
};

/** A chain with its key, `TLSCertificate=CHAIN [KEY [STAPLE]]`; without a KEY that is in the chain's file. */
struct policy_certificate {
        struct policy_path chain;
        struct policy_path key;
        struct policy_path staple; /* an OCSP response */
};

/** The most certificates of one protocol, names of ALPN, names of clients, and pins. */
#define POLICY_TLS_LIST_MAX 16

/** The longest name of ALPN, in bytes (RFC 7301). */
#define POLICY_ALPN_MAX 255

/** SHA-256 of a SubjectPublicKeyInfo. */
struct policy_pin {
        uint8_t bytes[32];
};

/** TLS of a protocol. The words of the keys are the fields'. All owned. */
struct policy_tls {
        unsigned roles;             /* enum policy_tls_role */
        unsigned versions;          /* enum policy_tls_version */
        struct policy_path trust;   /* TLSTrust=; no path: the system's authorities */
        struct policy_path revoked; /* TLSRevoked=: a list of revoked certificates, PEM */
        struct policy_certificate
                *certificates; /* TLSCertificate=, of a server, chosen by SNI; the first where none fits */
        size_t n_certificates;
        struct policy_certificate client_certificate; /* TLSClientCertificate=; no path: none */
        enum policy_client_auth client_auth;
        struct policy_name_pattern
                *client_names; /* TLSClientNames=: what a client's certificate may hold; none: any trusted one */
        size_t n_client_names;
        char **alpn; /* TLSALPN=, the preferred first */
        size_t n_alpn;
        struct policy_pin *pins; /* TLSPins=sha256/BASE64 */
        size_t n_pins;
        bool must_staple; /* TLSMustStaple=: a server that staples no OCSP response is refused */
        bool tickets;     /* TLSTickets=: sessions are resumed; default yes */
        const char *file; /* of TLS= */
        unsigned line;
};

/** The most proxies on one way. */
#define POLICY_HOPS_MAX 2

/** The most prefixes of `AcceptProxyHeader=`: each peer is compared with all of them. */
#define POLICY_HEADER_SOURCES_MAX 64

enum policy_hop_kind {
        POLICY_HOP_HTTP,   /* http://: CONNECT */
        POLICY_HOP_HTTPS,  /* https://: CONNECT, in TLS to the proxy */
        POLICY_HOP_SOCKS5, /* socks5:// */
};

/** A proxy of `Proxy=`, in the order of the way. The operator names it, so it needs no grant. */
struct policy_hop {
        enum policy_hop_kind kind;
        bool is_name;                 /* otherwise an address */
        struct policy_host_name name; /* with its port */
        struct nb_address address;
        struct policy_path password; /* ProxyPassword=: a file with `user:password`; no path: none */
        char *text;                  /* owned: as written */
        struct policy_position at;
};

struct policy_proxy {
        struct policy_hop hops[POLICY_HOPS_MAX];
        size_t n_hops;      /* 0: no proxy */
        size_t n_passwords; /* words of ProxyPassword=, at most as many */
        bool resolves;      /* ProxyResolve=yes: the last proxy gets the granted name, and no address of it is judged */
        struct policy_path trust; /* ProxyTrust=, of https://; no path: the system's authorities */
};

/** Which PROXY header is sent on connect (`SendProxyHeader=`). */
enum policy_proxy_header {
        POLICY_PROXY_HEADER_NONE,
        POLICY_PROXY_HEADER_V1,
        POLICY_PROXY_HEADER_V2,
};

/** What `Family=quic` adds. Limits on streams are for each connection, and for each kind of stream. */
struct policy_quic {
        uint32_t max_streams;       /* MaxStreams=: that a peer may have open at once */
        uint64_t stream_window;     /* StreamWindow=: bytes that a peer may send ahead on a stream */
        uint64_t connection_window; /* ConnectionWindow=: and on a connection */
        uint64_t keep_alive_ms;     /* KeepAlive=: a PING when nothing was sent for so long; 0: none */
        bool always_retry;          /* Retry=always: every client proves its address first; otherwise when many come */
};

/** How the rules of a protocol are found (policy/match.h). */
struct policy_index;

struct policy_protocol {
        char *name;
        bool preopen; /* of a struct policy_preopen, which has one address and takes no more rules that grant */
        enum policy_family family;
        enum policy_data_path data_path;
        unsigned socket_types;       /* enum policy_socket_type */
        uint64_t connect_timeout_ms; /* ConnectTimeout=, default 30 s */
        uint32_t socket_mode;        /* SocketMode=, of what is bound to a path */
        struct policy_rule *rules;   /* in the order of the file */
        size_t n_rules;
        struct policy_range *addresses; /* what a granted name may resolve to; none: `public` */
        size_t n_addresses;
        struct policy_index *index; /* owned; of the rules, which do not change any more */
        struct policy_tls *tls;     /* owned; NULL: none */
        struct policy_proxy proxy;
        struct nb_prefix *header_sources; /* AcceptProxyHeader=: who must send a PROXY header in front; owned */
        size_t n_header_sources;
        enum policy_proxy_header send_header;
        uint64_t handshake_timeout_ms; /* HandshakeTimeout=, of what is accepted; default 10 s */
        uint64_t idle_timeout_ms;      /* IdleTimeout=, of the peers of a datagram server, and of QUIC; default 60 s */
        struct policy_quic quic;       /* of POLICY_FAMILY_QUIC */
        const char *file;
        unsigned line; /* of the section header */
};

/**
 * A socket that a guest is given at its start ([Preopen NAME]): a listener (`Listen=`), or a connection (`Connect=`).
 *
 * Its one address is its grant too: `protocol` has the name, the family and the rules (that one, and any Deny=), and whatever is asked for by
 * the socket is decided by it as by any other protocol. Names of protocols and of preopened sockets are one space.
 */
struct policy_preopen {
        struct policy_protocol protocol;
        enum policy_verb verb; /* POLICY_LISTEN or POLICY_CONNECT */
        enum policy_socket_type type;
        struct nb_socket_address address;
        bool nonblock; /* Nonblock=; by default yes for a listener, no for a connection */
};

enum policy_principal_kind {
        POLICY_PRINCIPAL_USER,  /* User=: a name or a number */
        POLICY_PRINCIPAL_GROUP, /* Group=: a name or a number */
        POLICY_PRINCIPAL_UNIT,  /* Unit=: a unit of systemd's, `app.service` */
};

/** Whose processes may open sessions, as text; the broker resolves the names of users and groups, for that is I/O. */
struct policy_principal {
        enum policy_principal_kind kind;
        char *text;
        const char *file;
        unsigned line;
        unsigned column; /* of the value, from 1 */
        uint32_t id;     /* uid or gid, set by the broker */
};

/** A tenant's own socket, by which sessions are its own (`Socket=` in [Tenant]). */
struct policy_session_socket {
        char *path;    /* NULL: none */
        char *user;    /* SocketUser=, NULL: the broker's */
        char *group;   /* SocketGroup=, NULL: the broker's */
        uint32_t uid;  /* of `user`, and POLICY_NOBODY without one; set by the broker */
        uint32_t gid;  /* of `group`, likewise */
        uint32_t mode; /* SocketMode=, default 0600 */
        const char *file;
        unsigned line;
        struct policy_position user_at;
        struct policy_position group_at;
};

/** The most issuers of tokens that one tenant trusts (`TokenKey=`): as many keys as a line holds. */
#define POLICY_TOKEN_KEYS_MAX 3

/** An Ed25519 public key. */
struct policy_token_key {
        uint8_t bytes[32];
};

/** What a policy says of capability tokens. */
struct policy_tokens {
        struct policy_token_key keys[POLICY_TOKEN_KEYS_MAX]; /* TokenKey= */
        size_t n_keys;
        bool required;               /* RequireToken= */
        enum policy_existing expiry; /* TokenExpiry=: what becomes of what a token has opened when it ends */
};

struct policy_tenant {
        char *name;
        bool explain_denials; /* ExplainDenials=: whether the guest learns why; default no */
        enum policy_mode mode;
        enum policy_existing existing;
        uint64_t limits[POLICY_N_LIMITS]; /* filled in from the defaults where the file is silent */
        struct policy_principal *principals;
        size_t n_principals;
        struct policy_session_socket socket;
        struct nb_address resolvers[POLICY_RESOLVERS_MAX]; /* Resolvers=; none: the system's */
        size_t n_resolvers;
        struct policy_tokens tokens;
        struct policy_path revoked_tokens; /* RevokedTokens=; no path: nothing is revoked */
        unsigned shard;    /* Shard=: of netbrokerd's processes, from 1; 0: by the name (policy/shard.h) */
        unsigned n_relays; /* Relays=: processes that links are spread over; default 1, at most POLICY_RELAYS_MAX */
        struct policy_protocol *protocols;
        size_t n_protocols;
        struct policy_preopen *preopens; /* in the order of the file */
        size_t n_preopens;
        const char *file;
        unsigned line;
};

/** A whole policy: the tenants of one or more files. */
struct policy {
        struct policy_tenant *tenants;
        size_t n_tenants;
        struct policy_table names;   /* of tenants, to their place in `tenants` */
        struct policy_table sockets; /* their Socket= paths, likewise */
        bool require_seal;           /* RequireSeal=: nothing is served unless the seal is proven */
        char **elsewhere; /* names, owned: of tenants that other processes of the broker serve (policy/shard.h) */
        size_t n_elsewhere;
        char **files; /* names, owned; rules and sections point into it */
        size_t n_files;
};

/** Why a text is not a policy. */
struct policy_error {
        char file[POLICY_ERROR_FILE_MAX];
        unsigned line;   /* from 1; 0 when it is about the file as a whole */
        unsigned column; /* from 1; 0 when it is about the line as a whole */
        char message[512];
        char source[256];  /* the line as it stands, made safe to print; may be empty */
        char correct[256]; /* the line as it should be; empty where there is no telling */
};

/** What may be assumed where a file is silent. All zeros are the built-in defaults. */
struct policy_defaults {
        enum policy_data_path data_path;
        bool require_seal;
        bool unlimited; /* no limits beside those that are written: for a broker of one guest */
        bool explain_denials;
        enum policy_existing existing;
        uint64_t limits[POLICY_N_LIMITS]; /* 0: what policy/limit.h says, or none with `unlimited` */
        uint64_t connect_timeout_ms;      /* 0: POLICY_CONNECT_TIMEOUT_DEFAULT_MS */
        struct nb_address resolvers[POLICY_RESOLVERS_MAX];
        size_t n_resolvers;
        struct policy_tokens tokens;
};

/** A file of a tenant: its own, or a drop-in, or what it includes. */
struct policy_fragment {
        const char *file; /* for messages; copied */
        const char *text; /* borrowed, need not end in NUL */
        size_t length;
};

/**
 * Reads a file that `Include=` names.
 * @param from  the file that names it
 * @param path  as written: absolute, or relative to the folder of `from`
 * @param ret_file  its name for messages, owned by the caller: free()
 * @param ret_text  owned by the caller: free()
 * @return 0, or -errno
 */
typedef int (*policy_include_function)(void *data, const char *from, const char *path, char **ret_file, char **ret_text,
                                       size_t *ret_length);

/** How files are loaded. */
struct policy_loader {
        struct policy_defaults defaults;
        policy_include_function include; /* NULL: Include= is an error */
        void *include_data;
};

struct policy_verdict {
        bool allowed;
        bool impossible; /* refused, and no rule could allow it: report mode does not let it pass either */
        const struct policy_rule *rule; /* that decided; NULL where none matched. Lives as long as the policy. */
        /* Why not, printable; empty where it is allowed: the rule says why. */
        char reason[384];
        /* The line that would allow it; empty where it is allowed, and where no line of rules would. */
        char remedy[288];
};

/** Whether a protocol of that family can name addresses of AF_INET, AF_INET6 or AF_UNIX. */
bool policy_family_includes(enum policy_family family, sa_family_t address_family);

/** Whether connections are QUIC's, whatever type of socket they are asked for by. */
static inline bool policy_is_quic(const struct policy_protocol *protocol) {
        return protocol->family == POLICY_FAMILY_QUIC;
}

/** Whether connections of that verb speak TLS. @param verb  POLICY_CONNECT; otherwise those that are accepted */
bool policy_has_tls(const struct policy_protocol *protocol, enum policy_verb verb);

/**
 * Whether something comes before the bytes of a connection: TLS, QUIC, a proxy's handshake or a PROXY header. Of what is accepted, of some peers:
 * only those of AcceptProxyHeader= have a header.
 * @param verb  POLICY_CONNECT, or POLICY_ACCEPT
 */
bool policy_has_handshake(const struct policy_protocol *protocol, enum policy_verb verb);

/**
 * Whether the sockets of a protocol's connections stay with a relay, whatever comes before their bytes: what DataPath= comes to. A connected Unix
 * stream socket can be turned into nothing else, so `auto` hands it out in any case; Unix datagrams are the relay's without being asked about here.
 * @param is_sealed  whether the seal is proven, and the sockets are the broker's own
 */
bool policy_keeps_socket(const struct policy_protocol *protocol, bool is_sealed);

/** Whether connections of that verb go through a relay, for a handshake or for good. @param is_sealed  as policy_keeps_socket() */
bool policy_needs_relay(const struct policy_protocol *protocol, enum policy_verb verb, bool is_sealed);

/** How a connection is made, or was before a reload. */
struct policy_made {
        enum policy_verb verb;
        bool is_relayed; /* its socket stays with the relay */
        bool is_sealed;  /* its socket was made behind a seal that is proven */
        bool is_quic;
        bool has_tls;
        bool has_proxy;
};

/** Whether one that is made so is not a way round the policy's relay, QUIC, TLS or proxy. */
bool policy_bears(const struct policy_protocol *protocol, const struct policy_made *made);

/** Frees what a protocol owns; also of one that is zero or half-built. */
void policy_protocol_deinit(struct policy_protocol *protocol);

/** Frees what a tenant holds. */
void policy_tenant_deinit(struct policy_tenant *tenant);

/** Whether the protocol has a rule of that kind. */
bool policy_has_rule(const struct policy_protocol *protocol, enum policy_rule_kind kind);

/** Whether the protocol grants binding to a path, which is what SocketMode= is about. */
bool policy_listens_on_path(const struct policy_protocol *protocol);

/** @return an empty policy owned by the caller, or NULL without memory. */
struct policy *policy_new(void);

/** Takes NULL. @return NULL. */
struct policy *policy_free(struct policy *policy);

/**
 * Parses the text of one file into `policy`. On any error the policy must be thrown away.
 * @param file      the name for messages; copied
 * @param text      borrowed, need not end in NUL
 * @param defaults  borrowed
 * @param error     filled in on -EINVAL
 * @return 0; -EINVAL when the text is not a policy; -ENOMEM.
 */
int policy_add_file(struct policy *policy, const char *file, const char *text, size_t length,
                    const struct policy_defaults *defaults, struct policy_error *error);

/**
 * Parses a file of defaults, which has one section, [Defaults].
 * @param fragment  borrowed
 * @param loader    borrowed; its defaults are those that the file overrides
 * @param error     filled in on -EINVAL
 * @return 0; -EINVAL when the text is none; -ENOMEM.
 */
int policy_parse_defaults(const struct policy_fragment *fragment, const struct policy_loader *loader,
                          struct policy_defaults *ret, struct policy_error *error);

/**
 * Parses one tenant: its file, and drop-ins that add to it and override it, in the order in which they count.
 *
 * Keys that take one value have that of the last fragment that sets it; rules, users and other lists are those of all fragments. A section
 * of a drop-in with the name of one that is there continues it. What can be said only of the whole is checked behind the last
 * fragment, and the rules are indexed then. On any error the policy must be thrown away.
 * @param fragments  at least one; borrowed
 * @param loader     borrowed
 * @param error      filled in on -EINVAL
 * @return 0; -EINVAL when it is not a policy; -ENOMEM.
 */
int policy_add_tenant(struct policy *policy, const struct policy_fragment *fragments, size_t n_fragments,
                      const struct policy_loader *loader, struct policy_error *error);

/**
 * Writes an error the way compilers do, over up to four lines: "file:line:column: error: message", the line as it
 * stands, a caret below the column, and "write: …" with the corrected line.
 * @return `buffer`, always NUL-terminated
 */
const char *policy_error_format(const struct policy_error *error, char *buffer, size_t size);

/**
 * Prints a tenant as one file that means the same: all keys with their values in force, includes and drop-ins merged.
 * @return the text, owned by the caller: free(); NULL without memory
 */
char *policy_format_tenant(const struct policy_tenant *tenant);

/** @return the tenant of that name, or NULL. */
const struct policy_tenant *policy_find_tenant(const struct policy *policy, const char *name);

/** @return the protocol of that name, also that of a preopened socket; or NULL. */
const struct policy_protocol *policy_find_protocol(const struct policy_tenant *tenant, const char *name);

/**
 * Decides, for an address as the guest named it or the kernel reported it.
 *
 * An IPv4-mapped address is judged as IPv4. One that carries an IPv4 address inside (nb_ip_embedded_ipv4(): NAT64, 6to4,
 * ISATAP and others) has two forms, and both must pass Deny rules. To connect to it, both must also be of the protocol's
 * family and pass the guard, and the grant must be for the IPv4 form, where the bytes go. To listen on it or accept from
 * it, the rest is judged on the address as it stands: that is what the socket is bound to, and no rule for the IPv4
 * address grants it.
 *
 * To connect to the unspecified address is to connect to loopback (Linux does so), and is granted as that; Deny rules must let
 * both pass.
 *
 * Ask again with what getsockname() reports after a bind to port 0: a Deny rule may name the port that the kernel chose.
 * To bind 0.0.0.0 or :: takes a rule for exactly that address, or one of length 0 from which no Deny rule takes any away.
 *
 * A Unix socket is judged by its name as it stands: Deny patterns first, then the patterns that grant. Without a name nothing is
 * connected to or listened on, and a peer without one is accepted. To look at what the name leads to is the broker's business
 * (broker/unix_path.h).
 *
 * @param protocol  borrowed; the verdict's rule points into it
 * @param address   what is to be connected to, bound, or who connected
 * @param ret       always filled in
 */
void policy_decide(const struct policy_protocol *protocol, enum policy_verb verb,
                   const struct nb_socket_address *address, struct policy_verdict *ret);

/**
 * Decides whether a name may be asked of DNS and connected to. No address is granted by that: each one that the name resolves to is
 * judged by policy_decide_resolved().
 *
 * Deny rules for names win over grants in any order. Deny rules for addresses are asked when there are some.
 * @param name  borrowed
 * @param ret   always filled in
 */
void policy_decide_name(const struct policy_protocol *protocol, const struct policy_host_name *name,
                        struct policy_verdict *ret);

/**
 * Decides whether one address of a granted name may be dialled: it must be of the protocol's family, no Deny rule may name it, and `Addresses=`
 * must cover it, naming it where the guard wants that. Both of its forms are judged, as policy_decide() does.
 * @param name     for which policy_decide_name() has said yes; borrowed
 * @param address  with the name's port
 * @param ret      always filled in; the rule of a yes is the one that grants the name
 */
void policy_decide_resolved(const struct policy_protocol *protocol, const struct policy_host_name *name,
                            const struct nb_address *address, struct policy_verdict *ret);

#endif
