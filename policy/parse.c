/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file becomes one tenant.
 *
 * inih asks for lines, one at a time. The reader judges each raw line first (policy/lines.h) and takes section headers itself,
 * for inih would cut their names; assignments go to inih, which hands back key and value at once. So while a handler runs,
 * `parser.line` is the line that it came from, and columns and corrections are about what stands in the file. The first error
 * ends it: the reader says that there are no more lines.
 */
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "policy/error.h"
#include "policy/lines.h"
#include "policy/policy.h"
#include "policy/preopen.h"
#include "policy/rule.h"
#include "policy/suggest.h"
#include "policy/unix_pattern.h"
#include "policy/value.h"
#include "policy/verdict.h"

/* A file of this size holds some ten thousands of rules. */
#define POLICY_FILE_MAX (1024u * 1024)

#define CONNECT_TIMEOUT_DEFAULT_MS 30000

/* How much of names from the file, and of files' names, messages quote. */
#define QUOTE_MAX 64
#define FILE_TEXT_MAX 160

#define KEYS_MAX 16

/** As bits, for keys that several sections take. */
enum section {
        SECTION_NONE = 0,
        SECTION_TENANT = 0x1,
        SECTION_PROTOCOL = 0x2,
        SECTION_PREOPEN = 0x4,
};

struct parser {
        struct policy *policy;
        const struct policy_defaults *defaults;
        const char *caller_file; /* the caller's name of the file, for the error */
        const char *file;        /* the policy's copy of it */
        const char *text;
        size_t length;
        struct policy_line line; /* that is being read */

        struct policy_tenant *tenant;
        struct policy_protocol *protocol; /* whose section this is, or NULL; a preopened socket has one, too */
        struct policy_preopen *preopen;   /* whose section this is, or NULL */
        enum section section;
        unsigned set_in[KEYS_MAX]; /* the line in which this section sets a key, by the key's index; 0: it does not */

        struct policy_complaint complaint; /* of a setter, about the value */
        struct policy_error *error;
        int result; /* what policy_add_file() will return */
};

/** A key of the file. `set` returns 0, -ENOMEM, or -EINVAL with a complaint about the value. */
struct key {
        const char *name;
        unsigned sections; /* enum section */
        bool repeatable;
        int (*set)(struct parser *p, const char *value);
};

/** What the file may hold one day: refused by name, so that nobody believes it to be in force. */
struct later_key {
        const char *name;
        const char *what;
};

static const struct policy_word yes_no[] = {
        { .text = "yes", .value = true },
        { .text = "no", .value = false },
        { 0 },
};

#define NOT_YET "is not enforced by this version, so it is refused"

static const struct policy_word families[] = {
        { .text = "ip", .value = POLICY_FAMILY_IP },     { .text = "ipv4", .value = POLICY_FAMILY_IPV4 },
        { .text = "ipv6", .value = POLICY_FAMILY_IPV6 }, { .text = "unix", .value = POLICY_FAMILY_UNIX },
        { .text = "quic", .not_yet = NOT_YET },          { 0 },
};

static const struct policy_word data_paths[] = {
        { .text = "direct", .value = POLICY_DATA_PATH_DIRECT },
        { .text = "auto", .not_yet = "comes with a later version, which proves the seal; this one has only direct" },
        { .text = "relay", .not_yet = "comes with a later version, which has a relay; this one has only direct" },
        { 0 },
};

static const struct policy_word socket_types[] = {
        { .text = "stream", .value = POLICY_SOCKET_STREAM },
        { .text = "dgram", .value = POLICY_SOCKET_DGRAM },
        { 0 },
};

static const struct later_key later_keys[] = {
        { "Addresses", "groups of addresses that a name may resolve to" },
        { "ConnectRate", "a quota" },
        { "Existing", "what a reload does to open connections" },
        { "Group", "a group's sessions" },
        { "Include", "other files" },
        { "MaxConnections", "a quota" },
        { "MaxSessions", "a quota" },
        { "Mode", "report mode" },
        { "Proxy", "a proxy" },
        { "RequireSeal", "the seal" },
        { "Socket", "a socket for each tenant" },
        { "TLS", "TLS by the broker" },
        { "Unit", "a unit's sessions" },
};

/* ---- errors ---- */

/** The first error stands; the column and the correction come from the complaint, which is about the whole line. */
static int fail(struct parser *p, const struct policy_line *line, const struct policy_complaint *complaint) {
        struct policy_error *error = p->error;

        *error = (struct policy_error){ .file = p->caller_file };
        snprintf(error->message, sizeof(error->message), "%s", complaint->message);
        policy_printable(complaint->correct, strlen(complaint->correct), error->correct, sizeof(error->correct));
        if (line) {
                error->line = line->number;
                error->column = (unsigned)complaint->offset + 1;
                policy_printable(line->text, line->length, error->source, sizeof(error->source));
        }
        p->result = -EINVAL;
        return -EINVAL;
}

/** About a line as a whole, or with `line` 0 the file; `correct` is the line to write. */
__attribute__((format(printf, 4, 5))) static int fail_whole(struct parser *p, unsigned number, const char *correct,
                                                            const char *format, ...) {
        struct policy_complaint complaint = { 0 };
        struct policy_line line = { 0 };
        va_list arguments;

        va_start(arguments, format);
        if (vsnprintf(complaint.message, sizeof(complaint.message), format, arguments) < 0)
                complaint.message[0] = '\0';
        va_end(arguments);
        snprintf(complaint.correct, sizeof(complaint.correct), "%s", correct);

        while (line.number < number && policy_line_next(p->text, p->length, &line))
                ;
        fail(p, number > 0 ? &line : NULL, &complaint);
        p->error->column = 0;
        return -EINVAL;
}

/** About the current line from an offset on. */
__attribute__((format(printf, 3, 4))) static int fail_at(struct parser *p, size_t offset, const char *format, ...) {
        struct policy_complaint complaint = { .offset = offset };
        va_list arguments;

        va_start(arguments, format);
        if (vsnprintf(complaint.message, sizeof(complaint.message), format, arguments) < 0)
                complaint.message[0] = '\0';
        va_end(arguments);
        return fail(p, &p->line, &complaint);
}

/** About the bytes from `from` to `to` of the current line. */
static int fail_part(struct parser *p, struct policy_complaint *complaint, size_t from, size_t to) {
        policy_complaint_widen(complaint, p->line.text, p->line.length, from, to);
        return fail(p, &p->line, complaint);
}

/** About what another line of this section sets. */
__attribute__((format(printf, 3, 4))) static int fail_value(struct parser *p, unsigned number, const char *format,
                                                            ...) {
        struct policy_complaint complaint = { 0 };
        struct policy_line line = { 0 };
        va_list arguments;

        va_start(arguments, format);
        if (vsnprintf(complaint.message, sizeof(complaint.message), format, arguments) < 0)
                complaint.message[0] = '\0';
        va_end(arguments);

        while (line.number < number && policy_line_next(p->text, p->length, &line))
                ;
        complaint.offset = policy_line_value_offset(&line);
        return fail(p, &line, &complaint);
}

static int fail_memory(struct parser *p) {
        p->result = -ENOMEM;
        return -ENOMEM;
}

/* ---- growing ---- */

/** Makes room for one more element: doubles when the count is a power of two. @return NULL without memory. */
static void *grow(void *array, size_t n, size_t size) {
        if ((n & (n - 1)) != 0)
                return array;
        return reallocarray(array, n > 0 ? n * 2 : 1, size);
}

static struct policy_rule *add_rule(struct parser *p) {
        struct policy_protocol *protocol = p->protocol;
        struct policy_rule *rules = grow(protocol->rules, protocol->n_rules, sizeof(*rules));

        if (!rules)
                return NULL;
        protocol->rules = rules;
        rules[protocol->n_rules] = (struct policy_rule){ .file = p->file, .line = p->line.number };
        return &rules[protocol->n_rules++];
}

static struct policy_user *add_user(struct parser *p) {
        struct policy_user *users = grow(p->tenant->users, p->tenant->n_users, sizeof(*users));

        if (!users)
                return NULL;
        p->tenant->users = users;
        users[p->tenant->n_users] = (struct policy_user){
                .file = p->file,
                .line = p->line.number,
                .column = (unsigned)policy_line_value_offset(&p->line) + 1,
        };
        return &users[p->tenant->n_users++];
}

/** What a section begins with. */
static struct policy_protocol new_protocol(const struct parser *p) {
        return (struct policy_protocol){
                .data_path = p->defaults->data_path,
                .connect_timeout_ms = CONNECT_TIMEOUT_DEFAULT_MS,
                .socket_mode = POLICY_SOCKET_MODE_DEFAULT,
                .file = p->file,
                .line = p->line.number,
        };
}

static struct policy_protocol *add_protocol(struct parser *p) {
        struct policy_tenant *tenant = p->tenant;
        struct policy_protocol *protocols = grow(tenant->protocols, tenant->n_protocols, sizeof(*protocols));

        if (!protocols)
                return NULL;
        tenant->protocols = protocols;
        protocols[tenant->n_protocols] = new_protocol(p);
        return &protocols[tenant->n_protocols++];
}

static struct policy_preopen *add_preopen(struct parser *p) {
        struct policy_tenant *tenant = p->tenant;
        struct policy_preopen *preopens = grow(tenant->preopens, tenant->n_preopens, sizeof(*preopens));

        if (!preopens)
                return NULL;
        tenant->preopens = preopens;
        preopens[tenant->n_preopens] = (struct policy_preopen){ .protocol = new_protocol(p) };
        preopens[tenant->n_preopens].protocol.preopen = true;
        return &preopens[tenant->n_preopens++];
}

/** The tenant of this file and the file's name, so that what is made points into the policy from the beginning. */
static int add_tenant(struct policy *policy, const char *file, struct policy_tenant **ret, const char **ret_file) {
        char **files = grow(policy->files, policy->n_files, sizeof(*files));
        struct policy_tenant *tenants;

        if (!files)
                return -ENOMEM;
        policy->files = files;
        files[policy->n_files] = strdup(file);
        if (!files[policy->n_files])
                return -ENOMEM;
        ++policy->n_files;

        tenants = grow(policy->tenants, policy->n_tenants, sizeof(*tenants));
        if (!tenants)
                return -ENOMEM;
        policy->tenants = tenants;
        *ret_file = files[policy->n_files - 1];
        tenants[policy->n_tenants] = (struct policy_tenant){ .file = *ret_file };
        *ret = &tenants[policy->n_tenants++];
        return 0;
}

/* ---- values ---- */

/** The next word of a value, which words are separated in by blanks, NUL-terminated. @return false at the end. */
static bool next_word(const char *value, size_t *from, size_t *to, char word[static POLICY_LINE_MAX + 1]) {
        *from = *to + strspn(value + *to, " \t");
        *to = *from + strcspn(value + *from, " \t");
        if (*to == *from || *to - *from > POLICY_LINE_MAX)
                return false;
        memcpy(word, value + *from, *to - *from);
        word[*to - *from] = '\0';
        return true;
}

/** Calls `take` for each word of a value. */
static int each_word(struct parser *p, const char *value, int (*take)(struct parser *p, const char *word)) {
        size_t length = strlen(value), from, to = 0;
        struct policy_complaint complaint;
        char word[POLICY_LINE_MAX + 1];
        int r;

        while (next_word(value, &from, &to, word)) {
                r = take(p, word);
                if (r == -EINVAL)
                        break;
                if (r < 0)
                        return r;
        }
        if (from == to)
                return 0;

        /* A corrected line must be right as a whole: no correction where a later word is wrong as well. What is taken meanwhile
         * goes with the policy, which is thrown away. */
        complaint = p->complaint;
        policy_complaint_widen(&complaint, value, length, from, to);
        while (next_word(value, &from, &to, word))
                if (take(p, word) < 0)
                        complaint.correct[0] = '\0';
        p->complaint = complaint;
        return -EINVAL;
}

static int set_tenant_name(struct parser *p, const char *value) {
        const struct policy_tenant *other = policy_find_tenant(p->policy, value);
        char file[FILE_TEXT_MAX];
        int r = policy_name_check(value, &p->complaint);

        if (r < 0)
                return r;
        if (other) {
                nb_escape(other->file, strlen(other->file), file, sizeof(file));
                return policy_complain(&p->complaint, 0, "tenant %s is already defined at %s:%u", value, file,
                                       other->line);
        }
        p->tenant->name = strdup(value);
        return p->tenant->name ? 0 : -ENOMEM;
}

static int set_user(struct parser *p, const char *value) {
        struct policy_user *user;
        int r = policy_user_check(value, &p->complaint);

        if (r < 0)
                return r;
        user = add_user(p);
        if (!user)
                return -ENOMEM;
        user->text = strdup(value);
        return user->text ? 0 : -ENOMEM;
}

static int set_explain_denials(struct parser *p, const char *value) {
        int word, r = policy_word_parse(value, yes_no, &word, &p->complaint);

        if (r == 0)
                p->tenant->explain_denials = word;
        return r;
}

static int set_family(struct parser *p, const char *value) {
        int word, r = policy_word_parse(value, families, &word, &p->complaint);

        if (r == 0)
                p->protocol->family = (enum policy_family)word;
        return r;
}

static int set_data_path(struct parser *p, const char *value) {
        int word, r = policy_word_parse(value, data_paths, &word, &p->complaint);

        if (r == 0)
                p->protocol->data_path = (enum policy_data_path)word;
        return r;
}

static int take_socket_type(struct parser *p, const char *word) {
        int type, r = policy_word_parse(word, socket_types, &type, &p->complaint);

        if (r == 0)
                p->protocol->socket_types |= (unsigned)type;
        return r;
}

static int set_socket_types(struct parser *p, const char *value) {
        return each_word(p, value, take_socket_type);
}

static int set_connect_timeout(struct parser *p, const char *value) {
        return policy_timeout_parse(value, &p->protocol->connect_timeout_ms, &p->complaint);
}

static int set_socket_mode(struct parser *p, const char *value) {
        return policy_mode_parse(value, &p->protocol->socket_mode, &p->complaint);
}

static int set_nonblock(struct parser *p, const char *value) {
        int word, r = policy_word_parse(value, yes_no, &word, &p->complaint);

        if (r == 0)
                p->preopen->nonblock = word;
        return r;
}

/* ---- rules ---- */

static const char *section_word(const struct parser *p) {
        return p->preopen ? "Preopen" : "Protocol";
}

/** An IP rule among names of Unix sockets would never match. */
static int check_rule_is_unix(struct parser *p, const char *word) {
        struct nb_ip ip;

        if (policy_unix_pattern_is_meant(word))
                return 0;
        if (word[0] != '[' && nb_ip_parse(word, strcspn(word, "/:"), &ip) < 0)
                return 0; /* not an address either: the pattern's check has the words */
        return policy_complain(
                &p->complaint, 0,
                "an IP rule never matches: [%s %s] has Family=unix; a rule here is a path like "
                "/run/app/*.sock or an abstract name like @app, and IP rules go into a protocol of Family=ip",
                section_word(p), p->protocol->name);
}

/** A Unix rule among IP addresses, or one for the other IP family, would never match. */
static int check_rule_is_ip(struct parser *p, const char *word) {
        if (!policy_unix_pattern_is_meant(word))
                return 0;
        return policy_complain(&p->complaint, 0,
                               "a rule for Unix sockets never matches: [%s %s] has Family=%s; such rules go into a "
                               "protocol of their own, with Family=unix",
                               section_word(p), p->protocol->name, policy_family_name(p->protocol->family));
}

static int check_rule_family(struct parser *p, const struct nb_prefix *prefix) {
        char version = prefix->ip.family == AF_INET ? '4' : '6';

        if (policy_family_includes(p->protocol->family, prefix->ip.family))
                return 0;
        return policy_complain(&p->complaint, 0, "an IPv%c rule never matches: [%s %s] has Family=%s", version,
                               section_word(p), p->protocol->name, policy_family_name(p->protocol->family));
}

/** Fills in what the rule's text says. */
static int parse_ip_rule(struct parser *p, struct policy_rule *rule, const char *word) {
        struct nb_prefix prefix;
        struct nb_port_range ports;
        int r = check_rule_is_ip(p, word);

        if (r == 0)
                r = policy_rule_parse(rule->kind, word, strlen(word), &prefix, &ports, &p->complaint);
        if (r == 0)
                r = check_rule_family(p, &prefix);
        if (r < 0)
                return r;
        rule->prefix = prefix;
        rule->ports = ports;
        return 0;
}

static int parse_unix_rule(struct parser *p, struct policy_rule *rule, const char *word) {
        int r = check_rule_is_unix(p, word);

        if (r == 0)
                r = policy_unix_pattern_check(word, strlen(word), &p->complaint);
        if (r == 0)
                rule->pattern = policy_unix_pattern_of(strchr(rule->text, '=') + 1);
        return r;
}

static int take_rule(struct parser *p, enum policy_rule_kind kind, const char *word) {
        struct policy_rule *rule = add_rule(p); /* a wrong one goes with the policy */

        if (!rule)
                return -ENOMEM;
        rule->kind = kind;
        if (asprintf(&rule->text, "%s=%s", policy_rule_kind_name(kind), word) < 0) {
                rule->text = NULL;
                return -ENOMEM;
        }
        return p->protocol->family == POLICY_FAMILY_UNIX ? parse_unix_rule(p, rule, word)
                                                         : parse_ip_rule(p, rule, word);
}

static int take_connect(struct parser *p, const char *word) {
        return take_rule(p, POLICY_RULE_CONNECT, word);
}

static int take_listen(struct parser *p, const char *word) {
        return take_rule(p, POLICY_RULE_LISTEN, word);
}

static int take_deny(struct parser *p, const char *word) {
        return take_rule(p, POLICY_RULE_DENY, word);
}

static int set_connect(struct parser *p, const char *value) {
        return each_word(p, value, take_connect);
}

static int set_listen(struct parser *p, const char *value) {
        return each_word(p, value, take_listen);
}

static int set_deny(struct parser *p, const char *value) {
        return each_word(p, value, take_deny);
}

/* ---- the address of a preopened socket ---- */

static enum policy_family family_of(const struct nb_socket_address *address) {
        if (address->family == AF_UNIX)
                return POLICY_FAMILY_UNIX;
        return address->family == AF_INET ? POLICY_FAMILY_IPV4 : POLICY_FAMILY_IPV6;
}

/** Its one address is its one grant. */
static int set_preopen_address(struct parser *p, enum policy_verb verb, const char *value) {
        enum policy_rule_kind kind = policy_grant_kind(verb);
        int r;

        if (p->preopen->address.family != AF_UNSPEC)
                return policy_complain(&p->complaint, 0,
                                       "a preopened socket listens or connects: write another section for the other");
        r = policy_preopen_parse(kind, value, &p->preopen->address, &p->complaint);

        if (r < 0)
                return r;
        p->preopen->verb = verb;
        p->protocol->family = family_of(&p->preopen->address);
        return take_rule(p, kind, value);
}

static int set_preopen_connect(struct parser *p, const char *value) {
        return set_preopen_address(p, POLICY_CONNECT, value);
}

static int set_preopen_listen(struct parser *p, const char *value) {
        return set_preopen_address(p, POLICY_LISTEN, value);
}

/* ---- keys ---- */

enum {
        KEY_NAME,
        KEY_USER,
        KEY_EXPLAIN_DENIALS,
        KEY_FAMILY,
        KEY_DATA_PATH,
        KEY_SOCKET_TYPES,
        KEY_SOCKET_MODE,
        KEY_CONNECT_TIMEOUT,
        KEY_NONBLOCK,
        KEY_CONNECT,
        KEY_LISTEN,
        KEY_DENY,
        KEY_PREOPEN_CONNECT,
        KEY_PREOPEN_LISTEN,
        N_KEYS,
};

_Static_assert(N_KEYS <= KEYS_MAX, "parser.set_in has a place for each key");

#define SECTION_BOTH (SECTION_PROTOCOL | SECTION_PREOPEN)

static const struct key keys[N_KEYS] = {
        [KEY_NAME] = { "Name", SECTION_TENANT, false, set_tenant_name },
        [KEY_USER] = { "User", SECTION_TENANT, true, set_user },
        [KEY_EXPLAIN_DENIALS] = { "ExplainDenials", SECTION_TENANT, false, set_explain_denials },
        [KEY_FAMILY] = { "Family", SECTION_PROTOCOL, false, set_family },
        [KEY_DATA_PATH] = { "DataPath", SECTION_BOTH, false, set_data_path },
        [KEY_SOCKET_TYPES] = { "SocketTypes", SECTION_BOTH, false, set_socket_types },
        [KEY_SOCKET_MODE] = { "SocketMode", SECTION_BOTH, false, set_socket_mode },
        [KEY_CONNECT_TIMEOUT] = { "ConnectTimeout", SECTION_BOTH, false, set_connect_timeout },
        [KEY_NONBLOCK] = { "Nonblock", SECTION_PREOPEN, false, set_nonblock },
        [KEY_CONNECT] = { "Connect", SECTION_PROTOCOL, true, set_connect },
        [KEY_LISTEN] = { "Listen", SECTION_PROTOCOL, true, set_listen },
        [KEY_DENY] = { "Deny", SECTION_BOTH, true, set_deny },
        [KEY_PREOPEN_CONNECT] = { "Connect", SECTION_PREOPEN, false, set_preopen_connect },
        [KEY_PREOPEN_LISTEN] = { "Listen", SECTION_PREOPEN, false, set_preopen_listen },
};

static int fail_unknown_key(struct parser *p, const char *name) {
        size_t length = strlen(name), distance = 0;
        struct policy_complaint complaint;
        const char *best = NULL;
        char quote[QUOTE_MAX];

        for (size_t i = 0; i < sizeof(later_keys) / sizeof(later_keys[0]); ++i)
                if (strcasecmp(name, later_keys[i].name) == 0)
                        return fail_at(p, 0, "%s= (%s) " NOT_YET, later_keys[i].name, later_keys[i].what);

        for (size_t i = 0; i < N_KEYS; ++i)
                best = policy_suggest(name, length, keys[i].name, best, &distance);
        policy_printable(name, length, quote, sizeof(quote));
        if (!best)
                return fail_at(p, 0, "there is no key %s=; netbroker.conf(5) lists them", quote);

        policy_complain(&complaint, 0, "there is no key %s=; did you mean %s=?", quote, best);
        policy_complaint_splice(&complaint, p->line.text, p->line.length, 0, length, best);
        return fail(p, &p->line, &complaint);
}

/** The key of that name in these sections. @return NULL if there is none. */
static const struct key *find_key(const char *name, unsigned sections) {
        for (size_t i = 0; i < N_KEYS; ++i)
                if ((keys[i].sections & sections) && strcmp(name, keys[i].name) == 0)
                        return &keys[i];
        return NULL;
}

static int fail_misplaced_key(struct parser *p, const char *name) {
        const struct key *elsewhere = find_key(name, ~0u);

        if (!elsewhere)
                return fail_unknown_key(p, name);
        if (elsewhere == &keys[KEY_FAMILY] && p->section == SECTION_PREOPEN)
                return fail_at(p, 0, "a preopened socket has no Family=: its address says it");
        if (elsewhere->sections == SECTION_BOTH || elsewhere == &keys[KEY_CONNECT] || elsewhere == &keys[KEY_LISTEN])
                return fail_at(p, 0, "%s= belongs in a [Protocol NAME] or [Preopen NAME] section", name);
        return fail_at(p, 0, "%s= belongs in a %s section", name,
                       elsewhere->sections == SECTION_TENANT     ? "[Tenant]"
                       : elsewhere->sections == SECTION_PROTOCOL ? "[Protocol NAME]"
                                                                 : "[Preopen NAME]");
}

static int assign(struct parser *p, const char *name, const char *value) {
        const struct key *key = find_key(name, p->section);
        size_t offset = policy_line_value_offset(&p->line);
        unsigned *set_in;
        int r;

        if (!key)
                return fail_misplaced_key(p, name);
        set_in = &p->set_in[key - keys];
        if (*set_in > 0 && !key->repeatable)
                return fail_at(p, 0, "%s= is set already, in line %u", key->name, *set_in);
        if (value[0] == '\0')
                return fail_at(p, offset, "%s= has no value", key->name);

        r = key->set(p, value);
        if (r == -ENOMEM)
                return fail_memory(p);
        if (r < 0)
                return fail_part(p, &p->complaint, offset, offset + strlen(value));
        *set_in = p->line.number;
        return 0;
}

/**
 * The value that a key gets further down in the section that begins in the current line. What a rule can be depends on the
 * family, which may stand behind it.
 * @return whether there is one.
 */
static bool look_ahead(const struct parser *p, const char *name, char value[static POLICY_LINE_MAX + 1]) {
        struct policy_line line = p->line;
        size_t name_length = strlen(name);

        while (policy_line_next(p->text, p->length, &line) && (line.length == 0 || line.text[0] != '[')) {
                size_t from = policy_line_value_offset(&line), to = line.length, behind = name_length;

                if (line.length < name_length || memcmp(line.text, name, name_length) != 0)
                        continue;
                while (behind < line.length && policy_is_blank(line.text[behind]))
                        ++behind;
                if (behind == line.length || line.text[behind] != '=')
                        continue;
                while (to > from && policy_is_blank(line.text[to - 1]))
                        --to;
                if (to - from > POLICY_LINE_MAX)
                        return false;
                memcpy(value, line.text + from, to - from);
                value[to - from] = '\0';
                return true;
        }
        return false;
}

/* ---- sections ---- */

/** What a mode or a type of socket needs to be of any use. */
static bool listens_on_path(const struct policy_protocol *protocol) {
        if (protocol->family != POLICY_FAMILY_UNIX)
                return false;
        for (size_t i = 0; i < protocol->n_rules; ++i)
                if (protocol->rules[i].kind == POLICY_RULE_LISTEN && !protocol->rules[i].pattern.abstract)
                        return true;
        return false;
}

/** What protocols and preopened sockets have in common. */
static int finish_grants(struct parser *p) {
        struct policy_protocol *protocol = p->protocol;

        if (protocol->data_path == POLICY_DATA_PATH_UNSET)
                return fail_whole(
                        p, protocol->line, "DataPath=direct",
                        "[%s %s] needs DataPath=: the program that runs the guest gets the sockets themselves, "
                        "which it must be locked down for (netbroker.conf(5))",
                        section_word(p), protocol->name);
        if (protocol->socket_types == 0)
                protocol->socket_types = POLICY_SOCKET_STREAM;
        if (protocol->family == POLICY_FAMILY_UNIX && (protocol->socket_types & POLICY_SOCKET_DGRAM))
                return fail_value(p, p->set_in[KEY_SOCKET_TYPES],
                                  "datagrams between Unix sockets come with the relay, which this version does not "
                                  "have: write stream");
        if (p->set_in[KEY_SOCKET_MODE] > 0 && !listens_on_path(protocol))
                return fail_value(p, p->set_in[KEY_SOCKET_MODE],
                                  "SocketMode= is for the sockets that a guest binds to paths, and [%s %s] has no "
                                  "Listen= for a path",
                                  section_word(p), protocol->name);
        return 0;
}

static int finish_protocol(struct parser *p) {
        if (p->set_in[KEY_FAMILY] == 0)
                return fail_whole(p, p->protocol->line, "Family=ip",
                                  "[Protocol %s] needs Family=: ip, ipv4, ipv6 or unix", p->protocol->name);
        return finish_grants(p);
}

static int finish_preopen_type(struct parser *p) {
        unsigned line = p->set_in[KEY_SOCKET_TYPES];

        p->preopen->type = (enum policy_socket_type)p->protocol->socket_types;
        if (p->protocol->socket_types == (POLICY_SOCKET_STREAM | POLICY_SOCKET_DGRAM))
                return fail_value(p, line, "a preopened socket has one type: stream or dgram");
        if (p->preopen->type == POLICY_SOCKET_DGRAM && p->preopen->verb == POLICY_LISTEN)
                return fail_value(p, line,
                                  "datagram sockets only connect: servers of datagrams come with the relay, which this "
                                  "version does not have");
        return 0;
}

/** Its address must be granted: by no fault of a Deny rule beside it, nor as what cannot be granted by one rule. */
static int check_preopen_is_granted(struct parser *p) {
        unsigned line = p->set_in[p->preopen->verb == POLICY_LISTEN ? KEY_PREOPEN_LISTEN : KEY_PREOPEN_CONNECT];
        struct policy_verdict verdict;

        policy_decide(p->protocol, p->preopen->verb, &p->preopen->address, &verdict);
        return verdict.allowed ? 0 : fail_value(p, line, "this socket is never granted: %s", verdict.reason);
}

static int check_preopen_collisions(struct parser *p) {
        const struct policy_tenant *tenant = p->tenant;

        if (p->preopen->verb != POLICY_LISTEN)
                return 0;
        for (const struct policy_preopen *other = tenant->preopens; other < p->preopen; ++other)
                if (other->verb == POLICY_LISTEN && policy_preopen_collides(&other->address, &p->preopen->address))
                        return fail_value(p, p->set_in[KEY_PREOPEN_LISTEN],
                                          "[Preopen %s], in line %u, listens there already", other->protocol.name,
                                          other->protocol.line);
        return 0;
}

static int finish_preopen(struct parser *p) {
        int r;

        if (p->preopen->address.family == AF_UNSPEC)
                return fail_whole(p, p->protocol->line, "Listen=127.0.0.1:8080",
                                  "[Preopen %s] needs Listen= or Connect=, with one address", p->protocol->name);
        if (p->preopen->verb == POLICY_LISTEN && p->set_in[KEY_CONNECT_TIMEOUT] > 0)
                return fail_value(p, p->set_in[KEY_CONNECT_TIMEOUT],
                                  "ConnectTimeout= is for Connect=, and [Preopen %s] listens", p->protocol->name);
        if (p->set_in[KEY_NONBLOCK] == 0)
                p->preopen->nonblock = p->preopen->verb == POLICY_LISTEN;
        r = finish_grants(p);
        if (r == 0)
                r = finish_preopen_type(p);
        if (r == 0)
                r = check_preopen_is_granted(p);
        return r < 0 ? r : check_preopen_collisions(p);
}

static int finish_section(struct parser *p) {
        if (p->section == SECTION_PROTOCOL)
                return finish_protocol(p);
        if (p->section == SECTION_PREOPEN)
                return finish_preopen(p);
        if (p->section == SECTION_TENANT && !p->tenant->name)
                return fail_whole(p, p->tenant->line, "Name=acme", "[Tenant] needs Name=");
        return 0;
}

static int enter_tenant(struct parser *p) {
        if (p->tenant->line > 0)
                return fail_at(p, 0, "a second [Tenant], after line %u: a file holds one tenant", p->tenant->line);
        p->tenant->line = p->line.number;
        p->section = SECTION_TENANT;
        return 0;
}

/** Whether a protocol or preopened socket may have this name, which stands `from` bytes into the current line. */
static int check_new_name(struct parser *p, const char *name, size_t from) {
        const struct policy_protocol *other = policy_find_protocol(p->tenant, name);
        struct policy_complaint complaint;

        if (name[0] == '\0')
                return fail_at(p, from,
                               "the section has no name; the guest finds it by that: [Protocol web], [Preopen http]");
        if (policy_name_check(name, &complaint) < 0)
                return fail_part(p, &complaint, from, from + strlen(name));
        if (other)
                return fail_at(p, from, "[%s %s] stands already in line %u", other->preopen ? "Preopen" : "Protocol",
                               name, other->line);
        if (p->tenant->n_protocols + p->tenant->n_preopens == POLICY_PROTOCOLS_MAX)
                return fail_at(p, 0, "a tenant has at most %d protocols and preopened sockets", POLICY_PROTOCOLS_MAX);
        return 0;
}

/** Learns the family of the rules in this section. A wrong value is complained about where it stands. */
static void look_ahead_for_family(struct parser *p) {
        char value[POLICY_LINE_MAX + 1];
        struct policy_complaint ignored;
        int word;

        if (look_ahead(p, "Family", value) && policy_word_parse(value, families, &word, &ignored) == 0)
                p->protocol->family = (enum policy_family)word;
}

static void look_ahead_for_address(struct parser *p) {
        struct nb_socket_address address;
        char value[POLICY_LINE_MAX + 1];

        if (!look_ahead(p, "Listen", value) && !look_ahead(p, "Connect", value))
                return;
        if (nb_socket_address_parse(value, strlen(value), &address) == 0)
                p->protocol->family = family_of(&address);
}

/** @param name  in the current line, `from` bytes into it; copied */
static int enter_protocol(struct parser *p, const char *name, size_t from) {
        int r = check_new_name(p, name, from);

        if (r < 0)
                return r;
        p->protocol = add_protocol(p);
        if (!p->protocol)
                return fail_memory(p);
        p->protocol->name = strdup(name);
        if (!p->protocol->name)
                return fail_memory(p);
        p->section = SECTION_PROTOCOL;
        look_ahead_for_family(p);
        return 0;
}

static int enter_preopen(struct parser *p, const char *name, size_t from) {
        int r = check_new_name(p, name, from);

        if (r < 0)
                return r;
        p->preopen = add_preopen(p);
        if (!p->preopen)
                return fail_memory(p);
        p->protocol = &p->preopen->protocol;
        p->protocol->name = strdup(name);
        if (!p->protocol->name)
                return fail_memory(p);
        p->section = SECTION_PREOPEN;
        look_ahead_for_address(p);
        return 0;
}

static int fail_unknown_section(struct parser *p, const char *word) {
        static const char *const words[] = { "Tenant", "Protocol", "Preopen" };
        struct policy_complaint complaint;
        const char *best = NULL;
        char quote[QUOTE_MAX];
        size_t distance = 0;

        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); ++i)
                best = policy_suggest(word, strlen(word), words[i], best, &distance);
        policy_printable(word, strlen(word), quote, sizeof(quote));
        policy_complain(&complaint, 1,
                        "there is no section \"%s\"; there are [Tenant], [Protocol NAME] and [Preopen NAME]", quote);
        if (best)
                policy_complaint_splice(&complaint, p->line.text, p->line.length, 1, 1 + strlen(word), best);
        return fail(p, &p->line, &complaint);
}

/** `[WORD]` or `[WORD NAME]`, with nothing behind. */
static int split_header(struct parser *p, char word[static POLICY_LINE_MAX + 1], char name[static POLICY_LINE_MAX + 1],
                        size_t *ret_name_offset) {
        const char *text = p->line.text;
        const char *close = memchr(text, ']', p->line.length);
        struct policy_complaint complaint;
        size_t end = close ? (size_t)(close - text) : 0;
        size_t word_to = 1, from;

        if (!close) {
                policy_complain(&complaint, p->line.length, "the bracket is never closed");
                policy_complaint_splice(&complaint, text, p->line.length, p->line.length, p->line.length, "]");
                return fail(p, &p->line, &complaint);
        }
        for (size_t i = end + 1; i < p->line.length; ++i) {
                if (policy_is_blank(text[i]))
                        continue;
                policy_complain(&complaint, i, "nothing stands behind the bracket");
                policy_complaint_splice(&complaint, text, p->line.length, end + 1, p->line.length, "");
                return fail(p, &p->line, &complaint);
        }

        while (word_to < end && !policy_is_blank(text[word_to]))
                ++word_to;
        from = word_to;
        while (from < end && policy_is_blank(text[from]))
                ++from;
        while (end > from && policy_is_blank(text[end - 1]))
                --end;
        memcpy(word, text + 1, word_to - 1);
        word[word_to - 1] = '\0';
        memcpy(name, text + from, end - from);
        name[end - from] = '\0';
        *ret_name_offset = from;
        return 0;
}

static int enter_section(struct parser *p) {
        char word[POLICY_LINE_MAX + 1], name[POLICY_LINE_MAX + 1];
        size_t name_offset = 0;
        int r = finish_section(p);

        if (r == 0)
                r = split_header(p, word, name, &name_offset);
        if (r < 0)
                return r;

        p->section = SECTION_NONE;
        p->protocol = NULL;
        p->preopen = NULL;
        memset(p->set_in, 0, sizeof(p->set_in));
        if (strcmp(word, "Protocol") == 0)
                return enter_protocol(p, name, name_offset);
        if (strcmp(word, "Preopen") == 0)
                return enter_preopen(p, name, name_offset);
        if (strcmp(word, "Tenant") != 0)
                return fail_unknown_section(p, word);
        if (name[0] != '\0')
                return fail_at(p, name_offset, "[Tenant] takes no name here; write Name= below it");
        return enter_tenant(p);
}

/* ---- inih ---- */

/** Gives inih an assignment as it stands, or an empty line for what has been dealt with. */
static char *give_line(struct parser *p, enum policy_line_kind kind, char *buffer, size_t size) {
        size_t length = kind == POLICY_LINE_ASSIGNMENT ? p->line.length : 0;

        if (length + 2 > size) { /* this inih has a smaller buffer than ours was built for */
                fail_at(p, 0, "the line is longer than %zu bytes; write several", size - 2);
                return NULL;
        }
        memcpy(buffer, p->line.text, length);
        buffer[length] = '\n';
        buffer[length + 1] = '\0';
        return buffer;
}

/** inih's reader, like fgets(): the next line, or NULL at the end and after an error. */
static char *read_line(char *buffer, int size, void *data) {
        struct parser *p = data;
        enum policy_line_kind kind;

        if (p->result < 0 || size < 2 || !policy_line_next(p->text, p->length, &p->line))
                return NULL;
        if (policy_line_classify(&p->line, &kind, &p->complaint) < 0) {
                fail(p, &p->line, &p->complaint);
                return NULL;
        }
        if (kind == POLICY_LINE_SECTION && enter_section(p) < 0)
                return NULL;
        return give_line(p, kind, buffer, (size_t)size);
}

/** inih's handler. @return nonzero on success. */
static int handle(void *data, const char *section, const char *name, const char *value) {
        struct parser *p = data;

        (void)section; /* read_line() keeps it, uncut */
        if (p->result < 0)
                return 0;
        if (p->section == SECTION_NONE) {
                fail_at(p, 0, "a file begins with a section: [Tenant], [Protocol NAME] or [Preopen NAME]");
                return 0;
        }
        return assign(p, name, value) == 0;
}

/** What can be said only when the whole file was read. */
static int finish_file(struct parser *p) {
        int r = finish_section(p);

        if (r < 0)
                return r;
        if (p->tenant->line == 0)
                return fail_whole(p, 0, "[Tenant]", "no [Tenant] section: whose policy is this?");
        return 0;
}

int policy_add_file(struct policy *policy, const char *file, const char *text, size_t length,
                    const struct policy_defaults *defaults, struct policy_error *error) {
        struct parser p = {
                .policy = policy,
                .defaults = defaults,
                .caller_file = file,
                .text = text,
                .length = length,
                .error = error,
        };
        int r;

        if (length > POLICY_FILE_MAX)
                return fail_whole(&p, 0, "", "the file is larger than %u bytes", POLICY_FILE_MAX);
        r = add_tenant(policy, file, &p.tenant, &p.file);
        if (r < 0)
                return r;

        r = ini_parse_stream(read_line, &p, handle, &p);
        if (p.result < 0)
                return p.result;
        if (r < 0) /* inih's buffer, where it is on the heap */
                return -ENOMEM;
        if (r > 0)
                return fail_whole(&p, (unsigned)r, "", "this line cannot be read");
        return finish_file(&p);
}
