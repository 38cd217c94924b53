/* SPDX-License-Identifier: Apache-2.0 */
/* What Family=unix, SocketTypes= and SocketMode= mean in a policy, and the decisions about names of Unix sockets. */
#include <check.h>
#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "policy/unix_pattern.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"
#include "tests/unit/policy_checks.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* How many random pairs of a pattern and a name the matcher is compared over. */
#define RANDOM_PAIRS 200000

/* How often the hardest match is repeated: seconds, if it took more than it should. */
#define HARD_MATCHES 2000

/* What rules of these files follow, from line 6 on. */
#define UNIX_HEAD POLICY_TENANT "[Protocol db]\nFamily=unix\nDataPath=direct\n"

/* ---- good files ---- */

START_TEST(a_whole_protocol) {
        struct policy *policy = policy_of(POLICY_TENANT "[Protocol db]\n"
                                                        "Connect=/run/acme/*.sock @acme-*\n"
                                                        "Listen=/run/l/s\n"
                                                        "Deny=/run/acme/.* \n"
                                                        "Family = unix \n"
                                                        "SocketMode=0660\n"
                                                        "SocketTypes=stream\n"
                                                        "DataPath=direct\n");
        const struct policy_protocol *db = &policy->tenants[0].protocols[0];

        ck_assert_int_eq(db->family, POLICY_FAMILY_UNIX);
        ck_assert_uint_eq(db->socket_mode, 0660);
        ck_assert_uint_eq(db->socket_types, POLICY_SOCKET_STREAM);
        ck_assert(!db->preopen);
        ck_assert_uint_eq(db->n_rules, 4);
        ck_assert_str_eq(db->rules[0].text, "Connect=/run/acme/*.sock");
        ck_assert(!db->rules[0].pattern.abstract);
        ck_assert_str_eq(db->rules[0].pattern.text, "/run/acme/*.sock");
        ck_assert_str_eq(db->rules[1].text, "Connect=@acme-*");
        ck_assert(db->rules[1].pattern.abstract);
        ck_assert_str_eq(db->rules[1].pattern.text, "acme-*");
        ck_assert_int_eq(db->rules[2].kind, POLICY_RULE_LISTEN);
        ck_assert_int_eq(db->rules[3].kind, POLICY_RULE_DENY);
        ck_assert_uint_eq(db->rules[3].line, 6);
        policy_free(policy);
}
END_TEST

START_TEST(defaults) {
        struct policy *policy = policy_of(UNIX_HEAD "Listen=/run/*\n[Protocol web]\nFamily=ip\nDataPath=direct\n");

        for (size_t i = 0; i < 2; ++i) {
                ck_assert_uint_eq(policy->tenants[0].protocols[i].socket_types, POLICY_SOCKET_STREAM);
                ck_assert_uint_eq(policy->tenants[0].protocols[i].socket_mode, POLICY_SOCKET_MODE_DEFAULT);
        }
        policy_free(policy);
}
END_TEST

START_TEST(types_of_sockets) {
        static const struct {
                const char *text;
                unsigned types;
        } types[] = {
                { "stream", POLICY_SOCKET_STREAM },
                { "dgram", POLICY_SOCKET_DGRAM },
                { "stream dgram", POLICY_SOCKET_STREAM | POLICY_SOCKET_DGRAM },
                { "dgram \t stream dgram", POLICY_SOCKET_STREAM | POLICY_SOCKET_DGRAM },
        };
        char text[256];

        for (size_t i = 0; i < ELEMENTS(types); ++i) {
                snprintf(text, sizeof(text), POLICY_HEAD "SocketTypes=%s\n", types[i].text);

                struct policy *policy = policy_of(text);

                ck_assert_uint_eq(policy->tenants[0].protocols[0].socket_types, types[i].types);
                policy_free(policy);
        }
}
END_TEST

START_TEST(modes_of_sockets) {
        static const struct {
                const char *text;
                uint32_t mode;
        } modes[] = {
                { "0777", 0777 }, { "777", 0777 }, { "0000", 0 }, { "000", 0 }, { "0602", 0602 }, { "660", 0660 }
        };
        char text[256];

        for (size_t i = 0; i < ELEMENTS(modes); ++i) {
                snprintf(text, sizeof(text), UNIX_HEAD "SocketMode=%s\nListen=@a /run/a\n", modes[i].text);

                struct policy *policy = policy_of(text);

                ck_assert_uint_eq(policy->tenants[0].protocols[0].socket_mode, modes[i].mode);
                policy_free(policy);
        }
}
END_TEST

/* Longest names, behind "Connect=". */
START_TEST(the_longest_rules) {
        char text[512], name[NB_UNIX_NAME_MAX + 3];
        struct bad_text bad = { NULL, 6, 9 + NB_UNIX_NAME_MAX, "at most 107 bytes", NULL };

        memset(name, 'x', sizeof(name));
        snprintf(text, sizeof(text), UNIX_HEAD "Connect=/%.*s\n", NB_UNIX_NAME_MAX - 1, name);
        policy_free(policy_of(text));
        snprintf(text, sizeof(text), UNIX_HEAD "Connect=@%.*s\n", NB_UNIX_NAME_MAX, name);
        policy_free(policy_of(text));

        snprintf(text, sizeof(text), UNIX_HEAD "Connect=/%.*s\n", NB_UNIX_NAME_MAX, name);
        expect_error(text, strlen(text), &bad);
        ++bad.column;
        snprintf(text, sizeof(text), UNIX_HEAD "Connect=@%.*s\n", NB_UNIX_NAME_MAX + 1, name);
        expect_error(text, strlen(text), &bad);
}
END_TEST

/* ---- bad files ---- */

/* For the one line "Connect=…"; the columns count from the rule. */
static const struct bad_text bad_rules[] = {
        { "run/app.sock", 0, 1, "begins with \"/\", an abstract name with \"@\"", "/run/app.sock" },
        { "app", 0, 1, "begins with \"/\"", NULL },
        { "localhost:80", 0, 1, "begins with \"/\"", NULL },
        { "./app", 0, 1, "begins with \"/\"", NULL },
        { "../app", 0, 1, "begins with \"/\"", NULL },
        { "~/app", 0, 1, "begins with \"/\"", NULL },
        { "\"/run/app\"", 0, 1, "begins with \"/\"", NULL },
        { "unix:/run/app", 0, 1, "begins with \"/\"", "/run/app" },
        { "unix:///run/app", 0, 1, "begins with \"/\"", "/run/app" },
        { "*", 0, 1, "begins with \"/\"", NULL },
        { "/", 0, 1, "\"/\" is no socket", NULL },
        { "//", 0, 2, "an empty component", NULL },
        { "/run/", 0, 5, "a \"/\" at the end", "/run" },
        { "/run//app", 0, 6, "an empty component", "/run/app" },
        { "//run///app//", 0, 2, "an empty component", "/run/app" },
        { "/run/./app", 0, 6, "a component \".\"", "/run/app" },
        { "/run/.", 0, 6, "a component \".\"", "/run" },
        { "/.", 0, 2, "a component \".\"", NULL },
        { "/run/../app", 0, 6, "a component \"..\"", NULL },
        { "/..", 0, 2, "a component \"..\"", NULL },
        { "/run/*/..", 0, 8, "a component \"..\"", NULL },
        { "/run/**/app", 0, 6, "there is no \"**\"", "/run/*/app" },
        { "/run/***", 0, 6, "there is no \"**\"", "/run/*" },
        { "@**", 0, 2, "there is no \"**\"", "@*" },
        { "/run/ap?", 0, 8, "the only wildcard is \"*\"", NULL },
        { "/run/[ab]", 0, 6, "\"[\" is not in a rule", NULL },
        { "/run/{a,b}", 0, 6, "\"{\" is not in a rule", NULL },
        { "/run/\\*", 0, 6, "\"\\\" is not in a rule", NULL },
        { "/run/user/%U/app", 0, 11, "\"%\" is not in a rule: nothing is expanded", NULL },
        { "/run/$USER", 0, 6, "\"$\" is not in a rule: nothing is expanded", NULL },
        { "@", 0, 2, "the abstract name behind the \"@\" is missing", NULL },
        { "/run/a /run//b /run/c", 0, 13, "an empty component", "/run/a /run/b /run/c" },
        { "/run/a run/b ..", 0, 8, "begins with \"/\"", NULL }, /* the next is wrong as well */

        /* IP rules, right or wrong */
        { "127.0.0.1:80", 0, 1, "an IP rule never matches: [Protocol db] has Family=unix", NULL },
        { "10.0.0.0/8", 0, 1, "a path like /run/app/*.sock or an abstract name like @app", NULL },
        { "[::1]:80", 0, 1, "goes into a protocol of Family=ip", NULL },
        { "/run/a 0.0.0.0/0:*", 0, 8, "an IP rule never matches", NULL },
};

START_TEST(bad_rule) {
        expect_bad_value(UNIX_HEAD, "Connect", &bad_rules[_i], "");
}
END_TEST

#define DGRAM_MESSAGE "datagrams between Unix sockets go through the relay"
#define MODE_MESSAGE "[Protocol db] has no Listen= for a path"

static const struct bad_text bad_texts[] = {
        /* the family may stand behind the rules, and far */
        { POLICY_TENANT "[Protocol a]\nConnect=run/app\n#\n\n# Family=ip\n  # x\nFamily\t= unix\nDataPath=direct\n", 4,
          9, "begins with \"/\"", "Connect=/run/app" },
        { POLICY_TENANT "[Protocol a]\nDeny=@a [::1]:80\nFamily=unix\nDataPath=direct\n", 4, 9,
          "an IP rule never matches: [Protocol a] has Family=unix", NULL },
        { POLICY_TENANT "[Protocol a]\nDeny=/run/a\nFamily=ipv4\nDataPath=direct\n", 4, 6,
          "a rule for Unix sockets never matches: [Protocol a] has Family=ipv4; it goes into a protocol of its own, "
          "with Family=unix",
          NULL },
        { POLICY_TENANT "[Protocol a]\nDeny=@a\n[Protocol b]\nFamily=unix\n", 3, 0,
          "[Protocol a] needs Family=", "Family=ip" },
        { POLICY_TENANT "[Protocol a]\nFamily=unixx\nDeny=/run/a\n", 4, 8, "is not ip, ipv4, ipv6, unix or quic",
          "Family=unix" },
        { POLICY_HEAD "Connect=/run/a\n", 6, 9, "[Protocol web] has Family=ip;", NULL },
        { POLICY_HEAD "Listen=127.0.0.1:80 @a\n", 6, 21, "[Protocol web] has Family=ip;", NULL },

        /* datagrams */
        { UNIX_HEAD "SocketTypes=dgram\n", 6, 13, DGRAM_MESSAGE, NULL },
        { UNIX_HEAD "Connect=/a\nSocketTypes= stream dgram\nListen=/a\n", 7, 14, DGRAM_MESSAGE, NULL },
        { POLICY_TENANT "[Protocol db]\nSocketTypes=dgram\nDataPath=direct\nFamily=unix\n[Protocol x]\n", 4, 13,
          DGRAM_MESSAGE, NULL },

        /* the mode of what is bound */
        { UNIX_HEAD "SocketMode=0660\n", 6, 12, MODE_MESSAGE, NULL },
        { UNIX_HEAD "SocketMode=0660\nConnect=/run/a\nDeny=/run/b\n", 6, 12, MODE_MESSAGE, NULL },
        { UNIX_HEAD "Listen=@a\nSocketMode=0660\n", 7, 12, MODE_MESSAGE, NULL },
        { POLICY_HEAD "Listen=127.0.0.1:80\nSocketMode=0660\n", 7, 12, "[Protocol web] has no Listen= for a path",
          NULL },
        { UNIX_HEAD "Listen=/run/a\nSocketMode=1777\n", 7, 12, "at most 0777", NULL },
        { UNIX_HEAD "Listen=/run/a\nSocketMode=66\n", 7, 12, "three or four octal digits", NULL },
        { UNIX_HEAD "Listen=/run/a\nSocketMode=00660\n", 7, 12, "three or four octal digits", NULL },
        { UNIX_HEAD "Listen=/run/a\nSocketMode=0668\n", 7, 12, "three or four octal digits", NULL },
        { UNIX_HEAD "Listen=/run/a\nSocketMode=-660\n", 7, 12, "three or four octal digits", NULL },
        { UNIX_HEAD "Listen=/run/a\nSocketMode=0x1b0\n", 7, 12, "three or four octal digits", NULL },
        { UNIX_HEAD "Listen=/run/a\nSocketMode=rw-rw-rw-\n", 7, 12, "three or four octal digits", NULL },
        { UNIX_HEAD "SocketMode=0660 0600\n", 6, 12, "three or four octal digits", NULL },
        { UNIX_HEAD "Listen=/run/a\nSocketMode=0660\nSocketMode=0660\n", 8, 1, "set already, in line 7", NULL },
        { POLICY_TENANT "SocketMode=0660\n", 3, 12, "[Tenant] has no Socket=", NULL },
        { POLICY_HEAD "SocketTypes=\n", 6, 13, "has no value", NULL },
};

START_TEST(bad_text) {
        expect_bad_text(&bad_texts[_i]);
}
END_TEST

/* What a file cannot hold, but a caller of policy_unix_pattern_check() can pass. */
START_TEST(abuse_11_bytes_that_no_file_holds) {
        static const char *const texts[] = { "/run/a\n", "/run/\x1b", "@\x7f", "/run/\xff", "/\xc2\x9b", "" };
        struct policy_complaint complaint;

        for (size_t i = 0; i < ELEMENTS(texts); ++i)
                ck_assert_int_eq(policy_unix_pattern_check(texts[i], strlen(texts[i]), &complaint), -EINVAL);
        ck_assert_int_eq(policy_unix_pattern_check("/run/a\0b", 8, &complaint), -EINVAL);
        ck_assert_int_eq(policy_unix_pattern_check("/run/a/b", 6, &complaint), 0);
}
END_TEST

/* ---- matching ---- */

static struct nb_unix_name name_of(const char *text) {
        struct nb_unix_name name;

        ck_assert_msg(nb_unix_name_parse(text, strlen(text), &name) == 0, "%s", text);
        return name;
}

static const struct {
        const char *pattern, *name;
        bool granted, denied; /* whether a rule that grants, and one that denies, match */
} matches[] = {
        { "/run/a", "/run/a", true, true },
        { "/run/a", "/run/A", false, false },
        { "/run/a", "/run/ab", false, false },
        { "/run/a", "/run", false, false },
        { "/run", "/run/a", false, false },
        { "/run/*", "/run/a", true, true },
        { "/run/*", "/run", false, false },
        { "/run/*", "/run/a/b", false, false },
        { "/*/b", "/run/b", true, true },
        { "/*/b", "/run/a/b", false, false },
        { "/*", "/run", true, true },
        { "/run/a*", "/run/a", true, true }, /* a star stands for nothing, too */
        { "/run/*a", "/run/a", true, true },
        { "/run/*.sock", "/run/a.sock", true, true },
        { "/run/*.sock", "/run/a.sock.d", false, false },
        { "/run/*.sock", "/run/a.sock.sock", true, true },
        { "/run/a*b*c", "/run/abc", true, true },
        { "/run/a*b*c", "/run/aXbYcZc", true, true },
        { "/run/a*b*c", "/run/acb", false, false },
        { "/run/*", "/run/*", true, true },
        { "/run/\xc3*", "/run/\xc3\xa4", true, true }, /* bytes */

        /* hidden names: granted only by a pattern that says so, denied by a star as well */
        { "/run/*", "/run/.a", false, true },
        { "/run/*.sock", "/run/.sock", false, true },
        { "/run/.*", "/run/.a", true, true },
        { "/run/.*", "/run/a", false, false },
        { "/run/a*", "/run/a.b", true, true },
        { "/*/a", "/.x/a", false, true },
        { "/.*/a", "/.x/a", true, true },

        /* abstract names have no components */
        { "@a", "@a", true, true },
        { "@a*", "@a/b/.c", true, true },
        { "@*", "@.a", true, true },
        { "@*", "@/run/a", true, true },
        { "@/run/*", "/run/a", false, false },
        { "/run/*", "@/run/a", false, false },
        { "@@*", "@@a", true, true },
        { "@@*", "@a", false, false },
};

START_TEST(a_match) {
        struct policy_unix_pattern pattern = policy_unix_pattern_of(matches[_i].pattern);
        struct nb_unix_name name = name_of(matches[_i].name);

        ck_assert_int_eq(policy_unix_pattern_matches(&pattern, &name, false), matches[_i].granted);
        ck_assert_int_eq(policy_unix_pattern_matches(&pattern, &name, true), matches[_i].denied);
}
END_TEST

START_TEST(no_name_matches_nothing) {
        static const char *const texts[] = { "@*", "/*" };
        const struct nb_unix_name nameless = { 0 };

        for (size_t i = 0; i < ELEMENTS(texts); ++i) {
                struct policy_unix_pattern pattern = policy_unix_pattern_of(texts[i]);

                ck_assert(!policy_unix_pattern_matches(&pattern, &nameless, true));
        }
}
END_TEST

/** The same by the C library. */
static bool oracle_matches(const char *pattern, const char *name, bool dots) {
        int flags = FNM_NOESCAPE;

        if (pattern[0] != name[0])
                return false;
        if (pattern[0] == '/')
                flags |= dots ? FNM_PATHNAME : FNM_PATHNAME | FNM_PERIOD;
        return fnmatch(pattern, name, flags) == 0;
}

/** A text of few letters, so that patterns often match. */
static void random_text(uint64_t *state, const char *alphabet, char *text, size_t size) {
        size_t length = 1 + next_random(state) % (size - 1);

        text[0] = next_random(state) % 4 == 0 ? '@' : '/';
        for (size_t i = 1; i < length; ++i)
                text[i] = alphabet[next_random(state) % strlen(alphabet)];
        text[length] = '\0';
}

/* A pattern and a name are made alike: from the name, with pieces of it replaced by stars. */
static void random_pattern(uint64_t *state, const char *name, char *pattern) {
        size_t used = 1;

        pattern[0] = name[0];
        for (const char *c = name + 1; *c; ++c) {
                switch (next_random(state) % 4) {
                case 0:
                        pattern[used++] = '*';
                        while (c[1] && c[1] != '/' && next_random(state) % 2)
                                ++c;
                        break;
                case 1:
                        pattern[used++] = "ab./"[next_random(state) % 4];
                        break;
                default:
                        pattern[used++] = *c;
                }
        }
        pattern[used] = '\0';
}

START_TEST(random_patterns_match_as_the_c_library_says) {
        uint64_t state = 0x3f84d5b5b5470917;
        char name_text[14], pattern_text[14];
        unsigned tried = 0, matched = 0;

        for (int i = 0; i < RANDOM_PAIRS; ++i) {
                struct policy_complaint ignored;
                struct nb_unix_name name;
                bool dots = next_random(&state) % 2;

                random_text(&state, "aaab./", name_text, sizeof(name_text));
                random_pattern(&state, name_text, pattern_text);
                if (nb_unix_name_parse(name_text, strlen(name_text), &name) < 0 ||
                    policy_unix_pattern_check(pattern_text, strlen(pattern_text), &ignored) < 0)
                        continue;

                struct policy_unix_pattern pattern = policy_unix_pattern_of(pattern_text);
                bool expected = oracle_matches(pattern_text, name_text, dots);

                ck_assert_msg(policy_unix_pattern_matches(&pattern, &name, dots) == expected, "%s, %s%s, %d",
                              pattern_text, name_text, dots ? ", dots" : "", expected);
                ++tried;
                matched += expected;
        }
        ck_assert_uint_gt(tried, RANDOM_PAIRS / 10);
        ck_assert_uint_gt(matched, tried / 10);
        ck_assert_uint_lt(matched, tried - tried / 10);
}
END_TEST

/* Stars in a row that each could take what the next one takes: exponential for a matcher that tries all. */
START_TEST(the_hardest_match_is_bounded) {
        char pattern_text[NB_UNIX_NAME_MAX + 1] = "/", name_text[NB_UNIX_NAME_MAX + 1];

        for (size_t i = 1; i + 3 < sizeof(pattern_text); i += 2)
                memcpy(pattern_text + i, "*a", 3);
        strncat(pattern_text, "b", sizeof(pattern_text) - strlen(pattern_text) - 1);
        memset(name_text, 'a', sizeof(name_text) - 1);
        name_text[0] = '/';
        name_text[sizeof(name_text) - 1] = '\0';

        struct policy_unix_pattern pattern = policy_unix_pattern_of(pattern_text);
        struct nb_unix_name name = name_of(name_text);

        for (int i = 0; i < HARD_MATCHES; ++i)
                ck_assert(!policy_unix_pattern_matches(&pattern, &name, false));
}
END_TEST

/* ---- decisions ---- */

static const struct decision decisions[] = {
        { "", POLICY_CONNECT, "/run/a", false,
          "connect to /run/a: no Connect= rule in [Protocol db] (acme.conf:3) matches", "Connect=/run/a" },
        { "", POLICY_LISTEN, "@a", false, "listen on @a: no Listen= rule in [Protocol db] (acme.conf:3) matches",
          "Listen=@a" },
        { "", POLICY_ACCEPT, "", true, "no Deny rule matches", NULL },
        { "", POLICY_ACCEPT, "/run/a", true, "no Deny rule matches", NULL },
        { "Connect=/run/*", POLICY_CONNECT, "/run/a", true, "granted by Connect=/run/* (acme.conf:6)", NULL },
        { "Connect=/run/*", POLICY_LISTEN, "/run/a", false, "no Listen= rule", "Listen=/run/a" },
        { "Listen=/run/*", POLICY_CONNECT, "/run/a", false, "no Connect= rule", "Connect=/run/a" },
        { "Listen=/run/* @a", POLICY_LISTEN, "@a", true, "granted by Listen=@a (acme.conf:6)", NULL },
        { "Connect=/run/*", POLICY_CONNECT, "/run/.a", false, "no Connect= rule", "Connect=/run/.a" },
        { "Connect=/run/a", POLICY_CONNECT, "@/run/a", false, "no Connect= rule", "Connect=@/run/a" },

        /* deny wins, in both orders, hidden names included */
        { "Connect=/run/*\nDeny=/run/a*", POLICY_CONNECT, "/run/ab", false,
          "connect to /run/ab: forbidden by Deny=/run/a* (acme.conf:7)", NULL },
        { "Deny=/run/a*\nConnect=/run/*", POLICY_CONNECT, "/run/ab", false, "forbidden by Deny=/run/a* (acme.conf:6)",
          NULL },
        { "Connect=/run/*\nDeny=/run/a*", POLICY_CONNECT, "/run/b", true, "granted by Connect=/run/*", NULL },
        { "Connect=/run/.a\nDeny=/run/*", POLICY_CONNECT, "/run/.a", false, "forbidden by Deny=/run/*", NULL },
        { "Listen=@*\nDeny=@a", POLICY_LISTEN, "@a", false, "forbidden by Deny=@a", NULL },
        { "Deny=@a", POLICY_ACCEPT, "@a", false, "accept from @a: forbidden by Deny=@a", NULL },
        { "Deny=@a", POLICY_ACCEPT, "@b", true, "no Deny rule matches", NULL },
        { "Deny=@* /*", POLICY_ACCEPT, "", true, "no Deny rule matches", NULL },

        /* no name */
        { "Connect=/* @*", POLICY_CONNECT, "", false, "connect to a Unix socket without a name: only a name can be",
          NULL },
        { "Listen=/* @*", POLICY_LISTEN, "", false, "listen on a Unix socket without a name: only a name can be",
          NULL },

        /* names that no rule can hold, and only a star can match */
        { "", POLICY_CONNECT, "/run/a b", false, "only a \"*\" could", NULL },
        { "", POLICY_CONNECT, "/run/a*", false, "only a \"*\" could", NULL },
        { "", POLICY_CONNECT, "@a?", false, "only a \"*\" could", NULL },
        { "Connect=/run/*", POLICY_CONNECT, "/run/a b*[", true, "granted by Connect=/run/*", NULL },

        /* what is not ASCII is shown escaped, and written as it is */
        { "", POLICY_CONNECT, "/\xc3\xa4", false, "connect to /\\xc3\\xa4: no Connect=", "Connect=/\xc3\xa4" },
        { "Deny=/\xc3\xa4", POLICY_CONNECT, "/\xc3\xa4", false, "forbidden by Deny=/\\xc3\\xa4 (acme.conf:6)", NULL },

        /* the other families */
        { "Connect=/*", POLICY_CONNECT, "127.0.0.1:80", false,
          "[Protocol db] (acme.conf:3) has Family=unix, and this is IPv4", NULL },
        { "Connect=/*", POLICY_ACCEPT, "[::1]:80", false, "has Family=unix, and this is IPv6", NULL },
};

START_TEST(a_decision) {
        expect_decision(UNIX_HEAD, &decisions[_i]);
}
END_TEST

START_TEST(a_unix_socket_in_a_protocol_of_ip) {
        static const char *const addresses[] = { "/run/a", "@a", "" };
        struct policy *policy = policy_of(POLICY_HEAD "Connect=0.0.0.0/0:* [::]/0:*\nListen=0.0.0.0/0:* [::]/0:*\n");

        for (size_t i = 0; i < ELEMENTS(addresses); ++i) {
                for (enum policy_verb verb = POLICY_CONNECT; verb <= POLICY_ACCEPT; ++verb) {
                        struct policy_verdict verdict = decide(policy, verb, addresses[i]);

                        ck_assert(!verdict.allowed);
                        ck_assert_ptr_nonnull(strstr(verdict.reason, "has Family=ip, and this is a Unix socket"));
                        ck_assert_str_eq(verdict.remedy, "");
                }
        }
        policy_free(policy);
}
END_TEST

START_TEST(families_and_addresses) {
        static const struct {
                enum policy_family family;
                bool ipv4, ipv6, names;
        } families[] = {
                { POLICY_FAMILY_IP, true, true, false },
                { POLICY_FAMILY_IPV4, true, false, false },
                { POLICY_FAMILY_IPV6, false, true, false },
                { POLICY_FAMILY_UNIX, false, false, true },
        };

        for (size_t i = 0; i < ELEMENTS(families); ++i) {
                ck_assert_int_eq(policy_family_includes(families[i].family, AF_INET), families[i].ipv4);
                ck_assert_int_eq(policy_family_includes(families[i].family, AF_INET6), families[i].ipv6);
                ck_assert_int_eq(policy_family_includes(families[i].family, AF_UNIX), families[i].names);
                ck_assert(!policy_family_includes(families[i].family, AF_UNSPEC));
        }
}
END_TEST

/* ---- properties ---- */

static const char *const random_rules[] = { "/run/*", "/run/a", "/run/.*", "/*/a",   "/run/*/b",
                                            "@*",     "@a*",    "@a",      "@/run/*" };

static const char *const random_names[] = { "/run/a",    "/run/b",   "/run/.a", "/tmp/a",       "/run/x/b",
                                            "/run/.x/b", "/run/a b", "@a",      "@ab",          "@/run/a",
                                            "@.a",       "/run",     "@%",      "/run/\xc3\xa4" };

static void random_policy(uint64_t *state, char *text, size_t size) {
        static const char *const kinds[] = { "Connect", "Listen", "Deny" };
        size_t n = next_random(state) % 6;

        snprintf(text, size, UNIX_HEAD);
        for (size_t i = 0; i < n; ++i) {
                size_t used = strlen(text);

                snprintf(text + used, size - used, "%s=%s\n", PICK(state, kinds), PICK(state, random_rules));
        }
}

/** The rules of policy.h, said once more, as plainly as possible. */
static bool oracle(const struct policy_protocol *protocol, enum policy_verb verb,
                   const struct nb_socket_address *address) {
        bool granted = verb == POLICY_ACCEPT, denied = false;
        char name[NB_SOCKET_ADDRESS_TEXT_MAX];

        nb_socket_address_format(address, name);
        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *rule = &protocol->rules[i];
                bool deny = rule->kind == POLICY_RULE_DENY;

                if (!oracle_matches(strchr(rule->text, '=') + 1, name, deny))
                        continue;
                denied = denied || deny;
                granted = granted || (rule->kind == POLICY_RULE_CONNECT && verb == POLICY_CONNECT) ||
                          (rule->kind == POLICY_RULE_LISTEN && verb == POLICY_LISTEN);
        }
        return granted && !denied;
}

static struct nb_socket_address random_name(uint64_t *state) {
        return address_of(PICK(state, random_names));
}

START_TEST(decisions_are_the_oracles) {
        static const struct policy_property property = {
                .seed = 0x9216d5d98979fb1b,
                .policies = 2000,
                .questions = 30,
                .remedy_in = 4,
                .write = random_policy,
                .pick = random_name,
                .oracle = oracle,
        };

        expect_property(&property);
}
END_TEST

/* Whatever the name, a reason is text that can be shown and sent, and whole names have whole remedies. */
START_TEST(reasons_of_the_longest_names) {
        char text[NB_UNIX_NAME_MAX + 1], remedy[128];
        struct policy *policy = policy_of(UNIX_HEAD);
        struct policy_verdict verdict;

        for (size_t i = 1; i + 1 < sizeof(text); i += 2)
                memcpy(text + i, "\xc3\xa4", 3);
        text[0] = '/';
        verdict = decide(policy, POLICY_CONNECT, text);
        snprintf(remedy, sizeof(remedy), "Connect=%s", text);
        ck_assert_str_eq(verdict.remedy, remedy);
        for (const char *c = verdict.reason; *c; ++c)
                ck_assert(*c >= ' ' && *c <= '~');
        ck_assert_ptr_nonnull(strstr(verdict.reason, "...: no Connect= rule in [Protocol db] (acme.conf:3) matches"));
        policy_free(policy);
}
END_TEST

static Suite *policy_unix_suite(void) {
        Suite *suite = suite_create("policy, Unix sockets");
        TCase *good = tcase_create("good files"), *bad = tcase_create("bad files");
        TCase *match = tcase_create("matching"), *decision = tcase_create("decisions");

        tcase_add_test(good, a_whole_protocol);
        tcase_add_test(good, defaults);
        tcase_add_test(good, types_of_sockets);
        tcase_add_test(good, modes_of_sockets);
        tcase_add_test(good, the_longest_rules);
        tcase_add_loop_test(bad, bad_rule, 0, ELEMENTS(bad_rules));
        tcase_add_loop_test(bad, bad_text, 0, ELEMENTS(bad_texts));
        tcase_add_test(bad, abuse_11_bytes_that_no_file_holds);
        tcase_add_loop_test(match, a_match, 0, ELEMENTS(matches));
        tcase_add_test(match, no_name_matches_nothing);
        tcase_add_test(match, random_patterns_match_as_the_c_library_says);
        tcase_add_test(match, the_hardest_match_is_bounded);
        tcase_add_loop_test(decision, a_decision, 0, ELEMENTS(decisions));
        tcase_add_test(decision, a_unix_socket_in_a_protocol_of_ip);
        tcase_add_test(decision, families_and_addresses);
        tcase_add_test(decision, decisions_are_the_oracles);
        tcase_add_test(decision, reasons_of_the_longest_names);
        tcase_set_timeout(match, 60);
        tcase_set_timeout(decision, 60);
        suite_add_tcase(suite, good);
        suite_add_tcase(suite, bad);
        suite_add_tcase(suite, match);
        suite_add_tcase(suite, decision);
        return suite;
}

int main(void) {
        return run_suite(policy_unix_suite());
}
