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
#include "policy/rule.h"
#include "policy/suggest.h"
#include "policy/value.h"

/* A file of this size holds some ten thousands of rules. */
#define POLICY_FILE_MAX (1024u * 1024)

#define CONNECT_TIMEOUT_DEFAULT_MS 30000

/* How much of names from the file, and of files' names, messages quote. */
#define QUOTE_MAX 64
#define FILE_TEXT_MAX 160

#define KEYS_MAX 16

enum section {
        SECTION_NONE,
        SECTION_TENANT,
        SECTION_PROTOCOL,
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
        struct policy_protocol *protocol; /* whose section this is, or NULL */
        enum section section;
        unsigned set_in[KEYS_MAX]; /* the line in which this section sets a key, by the key's index; 0: it does not */

        struct policy_complaint complaint; /* of a setter, about the value */
        struct policy_error *error;
        int result; /* what policy_add_file() will return */
};

/** A key of the file. `set` returns 0, -ENOMEM, or -EINVAL with a complaint about the value. */
struct key {
        const char *name;
        enum section section;
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
        { .text = "ipv6", .value = POLICY_FAMILY_IPV6 }, { .text = "unix", .not_yet = NOT_YET },
        { .text = "quic", .not_yet = NOT_YET },          { 0 },
};

static const struct policy_word data_paths[] = {
        { .text = "direct", .value = POLICY_DATA_PATH_DIRECT },
        { .text = "auto", .not_yet = "comes with a later version, which proves the seal; this one has only direct" },
        { .text = "relay", .not_yet = "comes with a later version, which has a relay; this one has only direct" },
        { 0 },
};

static const struct policy_word socket_types[] = {
        { .text = "stream", .value = 0 },
        { .text = "dgram", .not_yet = "is refused: this version carries streams only, not datagrams" },
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
        { "Nonblock", "preopened sockets" },
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

static struct policy_protocol *add_protocol(struct parser *p) {
        struct policy_tenant *tenant = p->tenant;
        struct policy_protocol *protocols = grow(tenant->protocols, tenant->n_protocols, sizeof(*protocols));

        if (!protocols)
                return NULL;
        tenant->protocols = protocols;
        protocols[tenant->n_protocols] = (struct policy_protocol){
                .data_path = p->defaults->data_path,
                .connect_timeout_ms = CONNECT_TIMEOUT_DEFAULT_MS,
                .file = p->file,
                .line = p->line.number,
        };
        return &protocols[tenant->n_protocols++];
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
        int ignored; /* there is one value only */

        return policy_word_parse(word, socket_types, &ignored, &p->complaint);
}

static int set_socket_types(struct parser *p, const char *value) {
        return each_word(p, value, take_socket_type);
}

static int set_connect_timeout(struct parser *p, const char *value) {
        return policy_timeout_parse(value, &p->protocol->connect_timeout_ms, &p->complaint);
}

static int take_rule(struct parser *p, enum policy_rule_kind kind, const char *word) {
        struct nb_prefix prefix;
        struct nb_port_range ports;
        struct policy_rule *rule;
        int r = policy_rule_parse(kind, word, strlen(word), &prefix, &ports, &p->complaint);

        if (r < 0)
                return r;
        rule = add_rule(p);
        if (!rule)
                return -ENOMEM;
        rule->kind = kind;
        rule->prefix = prefix;
        rule->ports = ports;
        if (asprintf(&rule->text, "%s=%s", policy_rule_kind_name(kind), word) < 0) {
                rule->text = NULL;
                return -ENOMEM;
        }
        return 0;
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

/* ---- keys ---- */

enum {
        KEY_NAME,
        KEY_USER,
        KEY_EXPLAIN_DENIALS,
        KEY_FAMILY,
        KEY_DATA_PATH,
        KEY_SOCKET_TYPES,
        KEY_CONNECT_TIMEOUT,
        KEY_CONNECT,
        KEY_LISTEN,
        KEY_DENY,
        N_KEYS,
};

_Static_assert(N_KEYS <= KEYS_MAX, "parser.set_in has a place for each key");

static const struct key keys[N_KEYS] = {
        [KEY_NAME] = { "Name", SECTION_TENANT, false, set_tenant_name },
        [KEY_USER] = { "User", SECTION_TENANT, true, set_user },
        [KEY_EXPLAIN_DENIALS] = { "ExplainDenials", SECTION_TENANT, false, set_explain_denials },
        [KEY_FAMILY] = { "Family", SECTION_PROTOCOL, false, set_family },
        [KEY_DATA_PATH] = { "DataPath", SECTION_PROTOCOL, false, set_data_path },
        [KEY_SOCKET_TYPES] = { "SocketTypes", SECTION_PROTOCOL, false, set_socket_types },
        [KEY_CONNECT_TIMEOUT] = { "ConnectTimeout", SECTION_PROTOCOL, false, set_connect_timeout },
        [KEY_CONNECT] = { "Connect", SECTION_PROTOCOL, true, set_connect },
        [KEY_LISTEN] = { "Listen", SECTION_PROTOCOL, true, set_listen },
        [KEY_DENY] = { "Deny", SECTION_PROTOCOL, true, set_deny },
};

static const char *section_text(enum section section) {
        return section == SECTION_TENANT ? "[Tenant]" : "[Protocol NAME]";
}

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

static const struct key *find_key(const char *name) {
        for (size_t i = 0; i < N_KEYS; ++i)
                if (strcmp(name, keys[i].name) == 0)
                        return &keys[i];
        return NULL;
}

static int assign(struct parser *p, const char *name, const char *value) {
        const struct key *key = find_key(name);
        size_t offset = policy_line_value_offset(&p->line);
        unsigned *set_in;
        int r;

        if (!key)
                return fail_unknown_key(p, name);
        if (p->section != key->section)
                return fail_at(p, 0, "%s= belongs in a %s section", key->name, section_text(key->section));
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

/* ---- sections ---- */

/** A rule for the other family would never match; known only now, for Family= may stand behind it. */
static int check_rule_family(struct parser *p, const struct policy_rule *rule) {
        bool ipv4 = rule->prefix.ip.family == AF_INET;
        const char *word = strchr(rule->text, '=') + 1;
        const char *at;

        if (p->protocol->family == POLICY_FAMILY_IP || (p->protocol->family == POLICY_FAMILY_IPV4) == ipv4)
                return 0;

        fail_whole(p, rule->line, "", "an IPv%c rule never matches: [Protocol %s] has Family=ipv%c", ipv4 ? '4' : '6',
                   p->protocol->name, ipv4 ? '6' : '4');
        at = strstr(p->error->source, word);
        if (at)
                p->error->column = (unsigned)(at - p->error->source) + 1;
        return -EINVAL;
}

static int finish_protocol(struct parser *p) {
        struct policy_protocol *protocol = p->protocol;

        if (p->set_in[KEY_FAMILY] == 0)
                return fail_whole(p, protocol->line, "Family=ip", "[Protocol %s] needs Family=: ip, ipv4 or ipv6",
                                  protocol->name);
        if (protocol->data_path == POLICY_DATA_PATH_UNSET)
                return fail_whole(
                        p, protocol->line, "DataPath=direct",
                        "[Protocol %s] needs DataPath=: the program that runs the guest gets the sockets themselves, "
                        "which it must be locked down for (netbroker.conf(5))",
                        protocol->name);
        for (size_t i = 0; i < protocol->n_rules; ++i) {
                int r = check_rule_family(p, &protocol->rules[i]);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int finish_section(struct parser *p) {
        if (p->section == SECTION_PROTOCOL)
                return finish_protocol(p);
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

/** @param name  in the current line, `from` bytes into it; copied */
static int enter_protocol(struct parser *p, const char *name, size_t from) {
        const struct policy_protocol *other = policy_find_protocol(p->tenant, name);
        struct policy_complaint complaint;

        if (name[0] == '\0')
                return fail_at(p, from, "the protocol has no name; the guest finds it by that: [Protocol web]");
        if (policy_name_check(name, &complaint) < 0)
                return fail_part(p, &complaint, from, from + strlen(name));
        if (other)
                return fail_at(p, from, "[Protocol %s] stands already in line %u", name, other->line);
        if (p->tenant->n_protocols == POLICY_PROTOCOLS_MAX)
                return fail_at(p, 0, "a tenant has at most %d protocols", POLICY_PROTOCOLS_MAX);

        p->protocol = NULL;
        char *copy = strdup(name);
        if (!copy)
                return fail_memory(p);
        p->protocol = add_protocol(p);
        if (!p->protocol) {
                free(copy);
                return fail_memory(p);
        }
        p->protocol->name = copy;
        p->section = SECTION_PROTOCOL;
        return 0;
}

static int fail_unknown_section(struct parser *p, const char *word) {
        struct policy_complaint complaint;
        char quote[QUOTE_MAX];
        size_t distance = 0;
        const char *best = policy_suggest(word, strlen(word), "Tenant", NULL, &distance);

        best = policy_suggest(word, strlen(word), "Protocol", best, &distance);
        policy_printable(word, strlen(word), quote, sizeof(quote));
        policy_complain(&complaint, 1, "there is no section \"%s\"; there are [Tenant] and [Protocol NAME]", quote);
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
        memset(p->set_in, 0, sizeof(p->set_in));
        if (strcmp(word, "Protocol") == 0)
                return enter_protocol(p, name, name_offset);
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
                fail_at(p, 0, "a file begins with a section, [Tenant] or [Protocol NAME]");
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
