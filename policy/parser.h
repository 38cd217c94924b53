/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known while one tenant is read, shared by the reader's parts: policy/parse.c reads files and lines, policy/section.c begins and
 * ends sections, policy/keys.c sets keys, policy/grants.c takes rules.
 *
 * A tenant is one or more fragments, its own file and drop-ins, and each may include other files. So whatever is remembered, is
 * remembered with its place: the file and the line, whose texts live until the tenant is finished. Sections collect the lines that
 * mention them, and what depends on the whole of a section is done behind the last fragment: a rule can be read only when the family is
 * known, which may stand below it or in a drop-in.
 *
 * The first error stands and ends it: the functions that fill it in return what their caller returns.
 */
#ifndef NB_POLICY_PARSER_H
#define NB_POLICY_PARSER_H

#include "policy/error.h"
#include "policy/lines.h"
#include "policy/policy.h"

/** How much of names from the file messages quote. */
#define PARSER_QUOTE_MAX 64

/** A section, as a bit for keys that several take. */
enum parser_section_kind {
        PARSER_NONE = 0,
        PARSER_TENANT = 0x1,
        PARSER_PROTOCOL = 0x2,
        PARSER_PREOPEN = 0x4,
        PARSER_DEFAULTS = 0x8,                              /* in a file of its own */
        PARSER_GRANTING = PARSER_PROTOCOL | PARSER_PREOPEN, /* what rules stand in */
        PARSER_OF_TENANT = PARSER_TENANT | PARSER_DEFAULTS, /* what all of a tenant's is said in */
        PARSER_EVERY = PARSER_GRANTING | PARSER_OF_TENANT,
};

/** The keys, by the index of their place in parser_section.set_in. */
enum parser_key {
        PARSER_KEY_NAME,
        PARSER_KEY_USER,
        PARSER_KEY_GROUP,
        PARSER_KEY_UNIT,
        PARSER_KEY_SOCKET,
        PARSER_KEY_SOCKET_USER,
        PARSER_KEY_SOCKET_GROUP,
        PARSER_KEY_SESSION_SOCKET_MODE,
        PARSER_KEY_MODE,
        PARSER_KEY_EXISTING,
        PARSER_KEY_EXPLAIN_DENIALS,
        PARSER_KEY_RESOLVERS,
        PARSER_KEY_RELAYS,
        PARSER_KEY_SHARD,
        PARSER_KEY_TOKEN_KEY,
        PARSER_KEY_REQUIRE_TOKEN,
        PARSER_KEY_REVOKED_TOKENS,
        PARSER_KEY_TOKEN_EXPIRY,
        PARSER_KEY_LIMIT, /* the first of POLICY_N_LIMITS, in the order of enum policy_limit */
        PARSER_KEY_LIMIT_LAST = PARSER_KEY_LIMIT + POLICY_N_LIMITS - 1,
        PARSER_KEY_FAMILY,
        PARSER_KEY_DATA_PATH,
        PARSER_KEY_REQUIRE_SEAL,
        PARSER_KEY_SOCKET_TYPES,
        PARSER_KEY_SOCKET_MODE,
        PARSER_KEY_CONNECT_TIMEOUT,
        PARSER_KEY_HANDSHAKE_TIMEOUT,
        PARSER_KEY_IDLE_TIMEOUT,
        PARSER_KEY_NONBLOCK,
        PARSER_KEY_MAX_STREAMS, /* the first of the keys of Family=quic */
        PARSER_KEY_STREAM_WINDOW,
        PARSER_KEY_CONNECTION_WINDOW,
        PARSER_KEY_KEEP_ALIVE,
        PARSER_KEY_RETRY, /* the last of them */
        PARSER_KEY_CONNECT,
        PARSER_KEY_LISTEN,
        PARSER_KEY_DENY,
        PARSER_KEY_ADDRESSES,
        PARSER_KEY_PREOPEN_CONNECT,
        PARSER_KEY_PREOPEN_LISTEN,
        PARSER_KEY_TLS,
        PARSER_KEY_TLS_VERSIONS, /* the first of the keys that TLS= must stand beside */
        PARSER_KEY_TLS_TRUST,
        PARSER_KEY_TLS_REVOKED,
        PARSER_KEY_TLS_CERTIFICATE,
        PARSER_KEY_TLS_CLIENT_CERTIFICATE,
        PARSER_KEY_TLS_CLIENT_AUTH,
        PARSER_KEY_TLS_CLIENT_NAMES,
        PARSER_KEY_TLS_ALPN,
        PARSER_KEY_TLS_PINS,
        PARSER_KEY_TLS_MUST_STAPLE,
        PARSER_KEY_TLS_TICKETS, /* the last of them */
        PARSER_KEY_PROXY,
        PARSER_KEY_PROXY_PASSWORD, /* the first of the keys that Proxy= must stand beside */
        PARSER_KEY_PROXY_RESOLVE,
        PARSER_KEY_PROXY_TRUST, /* the last of them */
        PARSER_KEY_ACCEPT_PROXY_HEADER,
        PARSER_KEY_SEND_PROXY_HEADER,
        PARSER_KEY_INCLUDE,
        PARSER_N_KEYS,
};

/** A file that is being read, or has been. */
struct parser_source {
        const struct parser_source *from; /* that includes it; NULL: a fragment */
        unsigned fragment;                /* which it belongs to, from 1 */
        const char *name;                 /* the policy's copy; in a file of defaults the caller's */
        const char *text;
        size_t length;
        char *owned_name, *owned_text; /* of an included file */
};

/** A line of a file. Without a source it is none. */
struct parser_place {
        const struct parser_source *source;
        struct policy_line line;
};

/** A line whose value is read when its section is known as a whole. */
struct parser_deferred {
        struct parser_place place;
        enum parser_key key;
};

struct parser_section {
        enum parser_section_kind kind;
        size_t index;                              /* into the tenant's protocols or preopened sockets */
        unsigned fragment;                         /* that last had its header */
        struct parser_place header;                /* the first */
        struct parser_place set_in[PARSER_N_KEYS]; /* the last line that sets a key */
        struct parser_deferred *deferred;
        size_t n_deferred;
};

struct parser {
        struct policy *policy; /* NULL in a file of defaults */
        const struct policy_loader *loader;

        struct parser_source sources[POLICY_FILES_MAX];
        size_t n_sources;
        size_t bytes;              /* of all sources */
        struct parser_place place; /* the line that is being read */

        struct policy_tenant *tenant;     /* in a file of defaults one that takes them */
        struct policy_protocol *protocol; /* whose section this is, or NULL; a preopened socket has one, too */
        struct policy_preopen *preopen;   /* whose section this is, or NULL */
        bool require_seal;                /* of a file of defaults */
        struct parser_section *section;   /* NULL before the first header of a fragment */
        struct parser_section *sections;
        size_t n_sections;

        enum parser_key key;               /* that is being set */
        size_t word_offset;                /* of the word that is being taken, into its value */
        struct policy_complaint complaint; /* of its setter, about the value */
        struct policy_error *error;
        int result; /* what policy_add_tenant() will return */
};

/**
 * About a line, with the column and the correction of the complaint, which is about the whole line.
 * @param place  NULL: it is about the first fragment as a whole
 * @return -EINVAL.
 */
int parser_fail(struct parser *p, const struct parser_place *place, const struct policy_complaint *complaint);

/** About a line as a whole, or with NULL the file; `correct` is the line to write. @return -EINVAL. */
int parser_fail_whole(struct parser *p, const struct parser_place *place, const char *correct, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/** About the current line from an offset on. @return -EINVAL. */
int parser_fail_at(struct parser *p, size_t offset, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** About the bytes from `from` to `to` of the current line. @return -EINVAL. */
int parser_fail_part(struct parser *p, struct policy_complaint *complaint, size_t from, size_t to);

/** About the value that the current section's line for a key sets. @return -EINVAL. */
int parser_fail_value(struct parser *p, enum parser_key key, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/** The same, where a value is known that would be right. @return -EINVAL. */
int parser_correct_value(struct parser *p, enum parser_key key, const char *value, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/** @return -ENOMEM. */
int parser_fail_memory(struct parser *p);

/** Whether the current section sets a key. */
bool parser_is_set(const struct parser *p, enum parser_key key);

/** Makes a section the current one, and its protocol and preopened socket. */
void parser_select(struct parser *p, struct parser_section *section);

/** How a message about one line calls another: "line 7", or "acme.conf:7" in another file. */
struct parser_place_text {
        char text[POLICY_ERROR_FILE_MAX + 16];
};

struct parser_place_text parser_place_text(const struct parser_place *from, const struct parser_place *place);

/** Where the value of the current line stands, or, while parser_each_word() takes its words, the word. */
struct policy_position parser_position(const struct parser *p);

/**
 * Calls `take` for each word of a value of the current line; words are separated by blanks. A correction of one word becomes one of the
 * value, unless another word is wrong as well.
 * @return 0; -EINVAL with the parser's complaint, about the value; -ENOMEM.
 */
int parser_each_word(struct parser *p, const char *value, int (*take)(struct parser *p, const char *word));

/** Makes room for one more element: doubles when the count is a power of two. @return NULL without memory. */
void *parser_grow(void *array, size_t n, size_t size);

/**
 * Reads the lines of the file that a value of Include= names, as if they stood in its place.
 * @return 0; -EINVAL with the parser's complaint, or, where `result` is set, with its error filled in; -ENOMEM.
 */
int parser_include(struct parser *p, const char *value);

#endif
