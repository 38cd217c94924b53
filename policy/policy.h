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

/** Protocols and preopened sockets of a tenant travel as descriptors of one Welcome: together there are no more than NB_CHANNEL_FDS_MAX. */
#define POLICY_PROTOCOLS_MAX 64

/** The mode of the sockets that are bound to paths, without `SocketMode=`; systemd.socket(5)'s. */
#define POLICY_SOCKET_MODE_DEFAULT 0666

/** What `Family=` says: which addresses a protocol can name. */
enum policy_family {
        POLICY_FAMILY_IP, /* IPv4 and IPv6 */
        POLICY_FAMILY_IPV4,
        POLICY_FAMILY_IPV6,
        POLICY_FAMILY_UNIX, /* paths and abstract names */
};

/** What `DataPath=` says: which descriptor may leave the broker (ARCHITECTURE.md). */
enum policy_data_path {
        POLICY_DATA_PATH_UNSET, /* a load error unless the loader has a default */
        POLICY_DATA_PATH_DIRECT,
};

/** What `SocketTypes=` says, as bits; without it, streams only. */
enum policy_socket_type {
        POLICY_SOCKET_STREAM = 0x1,
        POLICY_SOCKET_DGRAM = 0x2, /* never together with POLICY_FAMILY_UNIX */
};

/** What is to be done with an address. */
enum policy_verb {
        POLICY_CONNECT,
        POLICY_LISTEN, /* bind and listen */
        POLICY_ACCEPT, /* a peer of a granted listener: allowed unless a Deny rule names it */
};

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

struct policy_rule {
        enum policy_rule_kind kind;
        union {
                struct {
                        struct nb_prefix prefix;
                        struct nb_port_range ports;
                };
                struct policy_unix_pattern pattern; /* of a protocol with POLICY_FAMILY_UNIX; in `text` */
        };
        char *text;       /* as written, for messages: "Connect=10.0.0.0/8:443" */
        const char *file; /* borrowed from the policy */
        unsigned line;
};

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

/** A `User=` line: a name or a number, as text; the broker resolves names, for that is I/O. */
struct policy_user {
        char *text;
        const char *file;
        unsigned line;
        unsigned column; /* of the value, from 1 */
        uint32_t uid;    /* set by the broker */
};

struct policy_tenant {
        char *name;
        bool explain_denials; /* ExplainDenials=: whether the guest learns why; default no */
        struct policy_user *users;
        size_t n_users;
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
        char **files; /* names, owned; rules and sections point into it */
        size_t n_files;
};

/** Why a text is not a policy. */
struct policy_error {
        const char *file; /* borrowed from the caller of policy_add_file() */
        unsigned line;    /* from 1; 0 when it is about the file as a whole */
        unsigned column;  /* from 1; 0 when it is about the line as a whole */
        char message[512];
        char source[256];  /* the line as it stands, made safe to print; may be empty */
        char correct[256]; /* the line as it should be; empty where there is no telling */
};

/** What may be assumed where a file is silent. */
struct policy_defaults {
        enum policy_data_path data_path; /* UNSET: DataPath= must be written */
};

struct policy_verdict {
        bool allowed;
        const struct policy_rule *rule; /* that decided; NULL where none matched. Lives as long as the policy. */
        /* Why not, printable; empty where it is allowed: the rule says why. */
        char reason[384];
        /* The line that would allow it; empty where it is allowed, and where no line of rules would. */
        char remedy[128];
};

/** Whether a protocol of that family can name addresses of AF_INET, AF_INET6 or AF_UNIX. */
bool policy_family_includes(enum policy_family family, sa_family_t address_family);

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
 * Writes an error the way compilers do, over up to four lines: "file:line:column: error: message", the line as it
 * stands, a caret below the column, and "write: …" with the corrected line.
 * @return `buffer`, always NUL-terminated
 */
const char *policy_error_format(const struct policy_error *error, char *buffer, size_t size);

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

#endif
