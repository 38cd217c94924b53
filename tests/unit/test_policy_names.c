/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules for names and groups: which there are, what they grant and deny, what a granted name may lead to, and what is said of it.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/explain.h"
#include "policy/group.h"
#include "policy/rule.h"
#include "tests/support/runner.h"
#include "tests/unit/policy_checks.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

#define LABEL_63 "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0"

/* ---- rules that are errors ---- */

static const struct bad_text bad_rules[] = {
        /* abuse case 16: a wildcard is a prefix, and whole labels */
        { "*foo.com:443", 0, 1, "a \"*\" stands in front of a name only", "*.foo.com:443" },
        { "*-foo.com:443", 0, 1, "a \"*\" stands in front", "*.foo.com:443" },
        { "a.*.b:443", 0, 3, "a \"*\" stands in front", "*.b:443" },
        { "*.*.example.com:443", 0, 3, "a \"*\" stands in front", "*.example.com:443" },
        { "**.example.com:443", 0, 1, "a \"*\" stands in front", "*.example.com:443" },
        { "www.*:443", 0, 5, "a \"*\" stands in front", NULL },
        { "*.:443", 0, 3, "the host name is missing", NULL },
        { ".example.com:443", 0, 1, "written with \"*.\" in front", "*.example.com:443" },

        /* abuse cases 15 and 18: addresses that are none, and in a name's place */
        { "*.10.0.0.1:443", 0, 3, "does not end in a number", NULL },
        { "*.1:443", 0, 3, "does not end in a number", NULL },
        { "a.0x7f:443", 0, 1, "does not end in a number", NULL },
        { "127.1:443", 0, 1, "is not an IPv4 address", NULL },
        { "[evil.com]:443", 0, 2, "is not an IPv6 address", NULL },

        /* abuse case 11: bytes that no name has */
        { "ev\x7f"
          "il.com:443",
          0, 3, "control character", NULL },
        { "evil,com:443", 0, 5, "\",\" is in no host name", NULL },
        { "user@evil.com:443", 0, 5, "\"@\" is in no host name", NULL },
        { "evil..com:443", 0, 6, "a label of the host name is empty", NULL },
        { "-evil.com:443", 0, 1, "neither begins nor ends with \"-\"", NULL },
        { "evil-.com:443", 0, 5, "neither begins nor ends with \"-\"", NULL },
        { LABEL_63 "x.com:443", 0, 1, "at most 63 bytes", NULL },
        { "https://example.com:443", 0, 1, "a rule is no URL", "example.com:443" },
        { "https://example.com/path", 0, 1, "a rule is no URL", "example.com:443" },
        { "example.com/24:443", 0, 12, "a name has no prefix length", "example.com:443" },

        /* other scripts */
        { "B\xc3\x9c"
          "CHER.example:443",
          0, 1, "capitals", "xn--bcher-kva.example:443" },
        { "bu\xcc\x88"
          "cher.example:443",
          0, 1, "normalization form C", "xn--bcher-kva.example:443" },
        { "*.B\xc3\x9c"
          "CHER.example:443",
          0, 3, "capitals", "*.xn--bcher-kva.example:443" },
        { "\xef\xbd\x85vil.com:443", 0, 1, "full-width", "evil.com:443" },
        { "a\xe3\x80\x82"
          "b:443",
          0, 1, "none of IDNA2008", "a.b:443" },
        { "\xd7\x90"
          "b.example:443",
          0, 1, "directions of writing", NULL },
        { "\xe2\x80\x8dx.example:443", 0, 1, "may not stand at this place", NULL },
        { "\xe2\x9d\xa4.example:443", 0, 1, "a character that names do not have", NULL },

        /* groups */
        { "PUBLIC:443", 0, 1, "is written \"public\"", "public:443" },
        { "public", 0, 7, "the port is missing", "public:443" },
        { "private/8:443", 0, 8, "a group has no prefix length", "private:443" },
};

START_TEST(abuse_11_15_16_18_a_bad_name) {
        expect_bad_value(POLICY_HEAD, "Connect", &bad_rules[_i], "");
}
END_TEST

static const struct bad_text bad_listens[] = {
        { "example.com:8080", 0, 1, "to listen takes an address", NULL },
        { "public:8080", 0, 1, "a group of peers", NULL },
        { "private:8080", 0, 1, "a group of peers", NULL },
};

START_TEST(a_bad_listen) {
        expect_bad_value(POLICY_HEAD, "Listen", &bad_listens[_i], "");
}
END_TEST

static const struct bad_text bad_ranges[] = {
        { "10.0.0.0/8:443", 0, 11, "no port stands here", "10.0.0.0/8" },
        { "example.com", 0, 1, "is a name: Addresses= says which addresses", NULL },
        { "2001:db8::/32", 0, 1, "written in brackets", "[2001:db8::]/32" },
        { "10.1.0.0/8", 0, 1, "the network is 10.0.0.0/8", "10.0.0.0/8" },
        { "public 10.1.0.0/8", 0, 8, "the network is 10.0.0.0/8", "public 10.0.0.0/8" },
        { "Public", 0, 1, "is written \"public\"", "public" },
        { "*", 0, 1, "is written \"any\"", "any" },
        { "224.0.0.0/4", 0, 1, "no rule grants a multicast address", NULL },
        { "0.0.0.0", 0, 1, "to connect there is to connect to loopback", "127.0.0.1" },
        { "[64:ff9b::808:808]", 0, 1, "granted by the word for that", "8.8.8.8" },
};

START_TEST(a_bad_range) {
        expect_bad_value(POLICY_HEAD, "Addresses", &bad_ranges[_i], "");
}
END_TEST

/* ---- names ---- */

static struct policy_host_name name_of(const char *text) {
        struct policy_host_name name;

        ck_assert_msg(policy_host_name_parse(text, strlen(text), &name) == 0, "%s", text);
        return name;
}

static struct policy_verdict decide_name(const struct policy *policy, const char *text) {
        struct policy_host_name name = name_of(text);
        struct policy_verdict verdict;

        policy_decide_name(&policy->tenants[0].protocols[0], &name, &verdict);
        return verdict;
}

static const struct decision names[] = {
        { "Connect=api.example.com:443", POLICY_CONNECT, "api.example.com:443", true,
          "granted by Connect=api.example.com:443 (acme.conf:6)", NULL },
        { "Connect=api.example.com:443", POLICY_CONNECT, "api.example.com:80", false,
          "connect to api.example.com:80: no Connect= rule in [Protocol web] (acme.conf:3) names it",
          "Connect=api.example.com:80" },
        { "Connect=API.Example.COM.:443", POLICY_CONNECT, "api.example.com:443", true, "granted", NULL },
        { "Connect=b\xc3\xbc"
          "cher.example:443",
          POLICY_CONNECT, "xn--bcher-kva.example:443", true, "granted", NULL },
        { "Connect=xn--bcher-kva.example:443", POLICY_CONNECT,
          "b\xc3\xbc"
          "cher.example:443",
          true, "granted", NULL },
        { "Connect=fa\xc3\x9f.example:443", POLICY_CONNECT, "fass.example:443", false, "names it",
          "Connect=fass.example:443" }, /* non-transitional */
        { "", POLICY_CONNECT,
          "B\xc3\xbc"
          "cher.example:443",
          false, "connect to xn--bcher-kva.example:443", "Connect=xn--bcher-kva.example:443" },

        /* abuse case 16 */
        { "Connect=*.example.com:443", POLICY_CONNECT, "www.example.com:443", true, "granted", NULL },
        { "Connect=*.example.com:443", POLICY_CONNECT, "a.b.example.com:443", true, "granted", NULL },
        { "Connect=*.example.com:443", POLICY_CONNECT, "notexample.com:443", false, "names it",
          "Connect=notexample.com:443" },
        { "Connect=*.example.com:443", POLICY_CONNECT, "example.com.evil.com:443", false, "names it",
          "Connect=example.com.evil.com:443" },
        { "Connect=*.example.com:443", POLICY_CONNECT, "example.com:443", false,
          "names it, and Connect=*.example.com:443 (acme.conf:6) is for the names below it only",
          "Connect=example.com:443" },
        { "Connect=*.example.com:443", POLICY_CONNECT, "com:443", false, "names it", "Connect=com:443" },
        { "Connect=example.com:443", POLICY_CONNECT, "www.example.com:443", false, "names it",
          "Connect=www.example.com:443" },

        /* abuse cases 17 and 21: deny wins, however it is spelt and in whatever order */
        { "Deny=evil.com:*\nConnect=*.com:443 evil.com:443", POLICY_CONNECT, "EVIL.com.:443", false,
          "connect to evil.com:443: forbidden by Deny=evil.com:* (acme.conf:6)", NULL },
        { "Connect=*.com:443 evil.com:443\nDeny=EVIL.com.:*", POLICY_CONNECT, "evil.com:443", false,
          "forbidden by Deny=EVIL.com.:* (acme.conf:7)", NULL },
        { "Connect=*.com:443\nDeny=*.evil.com:*", POLICY_CONNECT, "www.evil.com:443", false, "forbidden", NULL },
        { "Connect=*.com:443\nDeny=*.evil.com:*", POLICY_CONNECT, "evil.com:443", true, "granted", NULL },
        { "Connect=*.evil.com:443\nDeny=evil.com:80", POLICY_CONNECT, "a.evil.com:443", true, "granted", NULL },

        /* abuse case 26: a name is what it is, and gets no help */
        { "Connect=*.example.com:443", POLICY_CONNECT, "www:443", false, "names it", "Connect=www:443" },
        { "Connect=localhost:80", POLICY_CONNECT, "x.localhost:80", false, "names it", "Connect=x.localhost:80" },
        { "Connect=localhost:80", POLICY_CONNECT, "localhost:80", true, "granted", NULL },

        /* abuse case 25, and the other way round: an address grant is no name grant */
        { "Connect=any:* 0.0.0.0/0:*", POLICY_CONNECT, "api.example.com:443", false, "names it",
          "Connect=api.example.com:443" },

        /* the first of the file is the one that is told */
        { "Connect=*.example.com:443\nConnect=www.example.com:443", POLICY_CONNECT, "www.example.com:443", true,
          "granted by Connect=*.example.com:443 (acme.conf:6)", NULL },
        { "Connect=www.example.com:443\nConnect=*.example.com:443", POLICY_CONNECT, "www.example.com:443", true,
          "granted by Connect=www.example.com:443 (acme.conf:6)", NULL },
        { "Connect=www.example.com:80-90", POLICY_CONNECT, "www.example.com:90", true, "granted", NULL },
};

START_TEST(abuse_16_17_21_25_26_names) {
        const struct decision *decision = &names[_i];
        struct policy_verdict verdict;
        struct policy *policy;
        char text[512];

        snprintf(text, sizeof(text), "%s%s\n", POLICY_HEAD, decision->rules);
        policy = policy_of(text);
        verdict = decide_name(policy, decision->address);
        expect_verdict(&verdict, decision->allowed, decision->text, decision->remedy);
        ck_assert(!verdict.impossible);
        policy_free(policy);
        if (!decision->remedy)
                return;

        snprintf(text, sizeof(text), "%s%s\n%s\n", POLICY_HEAD, decision->rules, decision->remedy);
        policy = policy_of(text);
        ck_assert(decide_name(policy, decision->address).allowed);
        policy_free(policy);
}
END_TEST

START_TEST(abuse_25_a_name_grant_is_no_address_grant) {
        struct policy *policy = policy_of(POLICY_HEAD "Connect=*.example.com:* example.com:*\n");

        ck_assert(!decide(policy, POLICY_CONNECT, "93.184.216.34:443").allowed);
        ck_assert(!decide(policy, POLICY_CONNECT, "[2606:4700::1]:443").allowed);
        policy_free(policy);
}
END_TEST

START_TEST(names_of_unix_protocols_and_long_ones) {
        struct policy *policy = policy_of(POLICY_TENANT "[Protocol web]\nFamily=unix\nDataPath=direct\n");
        struct policy_host_name name = { .port = 443 };
        struct policy_verdict verdict = decide_name(policy, "example.com:443");

        ck_assert(!verdict.allowed && verdict.impossible);
        ck_assert_ptr_nonnull(strstr(verdict.reason, "has Family=unix, and this is the name of a host"));
        policy_free(policy);

        policy = policy_of(POLICY_HEAD);
        snprintf(name.text, sizeof(name.text),
                 LABEL_63 "." LABEL_63 "." LABEL_63 "."
                          "%.61s",
                 LABEL_63);
        policy_decide_name(&policy->tenants[0].protocols[0], &name, &verdict);
        ck_assert_ptr_nonnull(strstr(verdict.reason, "...:443: no Connect= rule in [Protocol web]"));
        ck_assert_str_eq(verdict.remedy, ""); /* no line can hold it */
        policy_free(policy);
}
END_TEST

/* ---- what a granted name leads to ---- */

static struct policy_verdict decide_resolved(const struct policy *policy, const char *ip) {
        struct policy_host_name name = name_of("api.example.com:443");
        struct nb_address address = { .port = 443 };
        struct policy_verdict verdict;

        ck_assert_int_eq(nb_ip_parse(ip, strlen(ip), &address.ip), 0);
        policy_decide_resolved(&policy->tenants[0].protocols[0], &name, &address, &verdict);
        return verdict;
}

#define NAMED "Connect=api.example.com:443\n"

static const struct decision resolved[] = {
        { "", POLICY_CONNECT, "93.184.216.34", true, "granted by Connect=api.example.com:443 (acme.conf:6)", NULL },
        { "", POLICY_CONNECT, "2606:4700::1", true, "granted", NULL },
        { "", POLICY_CONNECT, "10.0.0.5", false,
          "connect to api.example.com:443 at 10.0.0.5: [Protocol web] (acme.conf:3) has no Addresses=, so names lead "
          "to "
          "public addresses only",
          "Addresses=public 10.0.0.5" },
        { "", POLICY_CONNECT, "100.64.0.1", false, "public addresses only", "Addresses=public 100.64.0.1" },
        { "", POLICY_CONNECT, "fd00::1", false, "public addresses only", "Addresses=public [fd00::1]" },
        { "", POLICY_CONNECT, "4000::1", false, "public addresses only", "Addresses=public [4000::1]" },
        { "", POLICY_CONNECT, "169.254.169.254", false,
          "169.254.169.254 is a cloud's metadata service (AWS, Azure, Google Cloud), which no word of Addresses= in "
          "[Protocol web] (acme.conf:3) names",
          "Addresses=public 169.254.169.254" },
        { "", POLICY_CONNECT, "127.0.0.1", false, "loopback", "Addresses=public 127.0.0.1" },
        { "", POLICY_CONNECT, "0.0.0.0", false, "loopback", "Addresses=public 127.0.0.1" },
        { "", POLICY_CONNECT, "::", false, "loopback", "Addresses=public [::1]" },
        { "", POLICY_CONNECT, "224.0.0.1", false, "no rule grants a multicast address", NULL },

        /* abuse cases 12 and 13 */
        { "", POLICY_CONNECT, "::ffff:10.0.0.5", false, "public addresses only", "Addresses=public 10.0.0.5" },
        { "", POLICY_CONNECT, "64:ff9b::a00:5", false, "public addresses only", "Addresses=public 10.0.0.5" },
        { "", POLICY_CONNECT, "2002:7f00:1::1", false, "loopback", "Addresses=public 127.0.0.1" },
        { "", POLICY_CONNECT, "64:ff9b::808:808", true, "granted", NULL },

        /* address grants of the protocol are not for names */
        { "Connect=10.0.0.0/8:443 any:*", POLICY_CONNECT, "10.0.0.5", false, "public addresses only",
          "Addresses=public 10.0.0.5" },

        { "Addresses=public 10.20.0.0/16", POLICY_CONNECT, "10.20.0.5", true, "granted by Connect=api", NULL },
        { "Addresses=public 10.20.0.0/16", POLICY_CONNECT, "10.21.0.5", false,
          "no word of Addresses= in [Protocol web] (acme.conf:3) covers it", "Addresses=10.21.0.5" },
        { "Addresses=10.20.0.0/16", POLICY_CONNECT, "8.8.8.8", false, "covers it", "Addresses=8.8.8.8" },
        { "Addresses=any", POLICY_CONNECT, "10.0.0.5", true, "granted", NULL },
        { "Addresses=any", POLICY_CONNECT, "127.0.0.1", false,
          "127.0.0.0/8 is loopback (RFC 1122 section 3.2.1.3); Addresses= must name it, and its \"any\" (acme.conf:7) "
          "is "
          "wider",
          "Addresses=127.0.0.1" },
        { "Addresses=private", POLICY_CONNECT, "192.168.1.1", true, "granted", NULL },
        { "Addresses=private", POLICY_CONNECT, "100.100.100.200", false, "its \"private\"",
          "Addresses=100.100.100.200" },
        { "Addresses=private", POLICY_CONNECT, "fd00:ec2::254", false, "its \"private\"", "Addresses=[fd00:ec2::254]" },
        { "Addresses=local", POLICY_CONNECT, "127.0.0.1", true, "granted", NULL },
        { "Addresses=local", POLICY_CONNECT, "::1", true, "granted", NULL },
        { "Addresses=local", POLICY_CONNECT, "0.0.0.0", true, "granted", NULL },
        { "Addresses=local", POLICY_CONNECT, "10.0.0.1", false, "covers it", "Addresses=10.0.0.1" },
        { "Addresses=169.254.0.0/16", POLICY_CONNECT, "169.254.169.254", false, "must name it",
          "Addresses=169.254.169.254" },

        /* abuse cases 21 and 24: Deny rules and groups win */
        { "Addresses=any\nDeny=10.0.0.0/8:*", POLICY_CONNECT, "10.0.0.5", false,
          "api.example.com:443 at 10.0.0.5: forbidden by Deny=10.0.0.0/8:* (acme.conf:8)", NULL },
        { "Addresses=any\nDeny=private:*", POLICY_CONNECT, "192.168.0.1", false, "forbidden by Deny=private:*", NULL },
        { "Addresses=any\nDeny=private:*", POLICY_CONNECT, "64:ff9b::a00:5", false, "forbidden", NULL },
        { "Addresses=local\nDeny=local:*", POLICY_CONNECT, "0.0.0.0", false, "forbidden by Deny=local:*", NULL },
        { "Deny=public:*", POLICY_CONNECT, "8.8.8.8", false, "forbidden by Deny=public:*", NULL },
        { "Deny=public:80", POLICY_CONNECT, "8.8.8.8", true, "granted", NULL },
        { "Deny=any:*", POLICY_CONNECT, "8.8.8.8", false, "forbidden by Deny=any:*", NULL },
};

START_TEST(abuse_12_13_14_23_24_what_a_name_leads_to) {
        const struct decision *decision = &resolved[_i];
        struct policy_verdict verdict;
        struct policy *policy;
        char text[512];

        snprintf(text, sizeof(text), "%s%s%s\n", POLICY_HEAD, NAMED, decision->rules);
        policy = policy_of(text);
        verdict = decide_resolved(policy, decision->address);
        expect_verdict(&verdict, decision->allowed, decision->text, decision->remedy);
        ck_assert_int_eq(verdict.impossible, strcmp(decision->address, "224.0.0.1") == 0);
        policy_free(policy);
        if (!decision->remedy)
                return;

        snprintf(text, sizeof(text), "%s%s%s\n%s\n", POLICY_HEAD, NAMED, decision->rules, decision->remedy);
        policy = policy_of(text);
        ck_assert(decide_resolved(policy, decision->address).allowed);
        policy_free(policy);
}
END_TEST

START_TEST(abuse_23_a_name_leads_to_its_family_only) {
        struct policy *policy = policy_of(POLICY_TENANT "[Protocol web]\nFamily=ipv4\nDataPath=direct\n" NAMED);

        ck_assert(decide_resolved(policy, "8.8.8.8").allowed);
        ck_assert(decide_resolved(policy, "2606:4700::1").impossible);
        policy_free(policy);
}
END_TEST

/* ---- groups in rules for addresses ---- */

static const struct decision group_rules[] = {
        { "Connect=public:443", POLICY_CONNECT, "8.8.8.8:443", true, "granted by Connect=public:443", NULL },
        { "Connect=public:443", POLICY_CONNECT, "[2606:4700::1]:443", true, "granted", NULL },
        { "Connect=public:443", POLICY_CONNECT, "8.8.8.8:80", false, "no Connect=", "Connect=8.8.8.8:80" },
        { "Connect=public:*", POLICY_CONNECT, "10.0.0.1:443", false, "no Connect=", "Connect=10.0.0.1:443" },
        { "Connect=public:*", POLICY_CONNECT, "[fd00::1]:443", false, "no Connect=", "Connect=[fd00::1]:443" },
        { "Connect=public:*", POLICY_CONNECT, "127.0.0.1:443", false, "no Connect=", "Connect=127.0.0.1:443" },
        { "Connect=public:*", POLICY_CONNECT, "192.0.2.1:443", false, "documentation", "Connect=192.0.2.1:443" },
        { "Connect=public:*", POLICY_CONNECT, "[2001:1::1]:443", false, "RFC 2928", "Connect=[2001:1::1]:443" },
        { "Connect=public:*", POLICY_CONNECT, "[200::1]:443", false, "no Connect=", "Connect=[200::1]:443" },
        { "Connect=public:*", POLICY_CONNECT, "[64:ff9b::10.0.0.1]:443", false, "inside", "Connect=10.0.0.1:443" },
        { "Connect=public:*", POLICY_CONNECT, "[64:ff9b::8.8.8.8]:443", true, "granted", NULL },
        { "Connect=private:*", POLICY_CONNECT, "172.31.255.255:443", true, "granted by Connect=private:*", NULL },
        { "Connect=private:*", POLICY_CONNECT, "172.32.0.1:443", false, "no Connect=", "Connect=172.32.0.1:443" },
        { "Connect=private:*", POLICY_CONNECT, "100.100.100.200:80", false, "Connect=private:* (acme.conf:6) is wider",
          "Connect=100.100.100.200:80" },
        { "Connect=local:5432", POLICY_CONNECT, "127.0.0.1:5432", true, "granted by Connect=local:5432", NULL },
        { "Connect=local:5432", POLICY_CONNECT, "[::1]:5432", true, "granted", NULL },
        { "Connect=local:5432", POLICY_CONNECT, "0.0.0.0:5432", true, "granted", NULL },
        { "Connect=local:5432", POLICY_CONNECT, "[::]:5432", true, "granted", NULL },
        { "Connect=local:5432", POLICY_CONNECT, "127.0.0.1:80", false, "no Connect=", "Connect=127.0.0.1:80" },
        { "Connect=any:*", POLICY_CONNECT, "10.0.0.1:443", true, "granted by Connect=any:*", NULL },
        { "Connect=any:*", POLICY_CONNECT, "127.0.0.1:443", false, "Connect=any:* (acme.conf:6) is wider",
          "Connect=127.0.0.1:443" },
        { "Connect=any:* local:*", POLICY_CONNECT, "127.0.0.1:443", true, "granted by Connect=local:*", NULL },
        { "Connect=any:*", POLICY_CONNECT, "224.0.0.1:443", false, "multicast", NULL },
        { "Connect=any:*\nDeny=private:*", POLICY_CONNECT, "10.0.0.1:443", false, "forbidden by Deny=private:*", NULL },
        { "Connect=any:*\nDeny=private:*", POLICY_CONNECT, "[::ffff:10.0.0.1]:443", false, "forbidden", NULL },
        { "Connect=any:*\nDeny=private:*", POLICY_CONNECT, "[2002:a00:1::]:443", false, "forbidden", NULL },
        { "Connect=any:*\nDeny=public:*", POLICY_CONNECT, "8.8.8.8:443", false, "forbidden by Deny=public:*", NULL },
        { "Connect=any:*\nDeny=public:*", POLICY_CONNECT, "10.0.0.1:443", true, "granted", NULL },
        { "Deny=any:*\nConnect=8.8.8.8:443", POLICY_CONNECT, "8.8.8.8:443", false, "forbidden by Deny=any:*", NULL },
        { "Deny=local:*", POLICY_ACCEPT, "127.0.0.1:5000", false, "forbidden by Deny=local:*", NULL },

        { "Listen=any:8080", POLICY_LISTEN, "0.0.0.0:8080", true, "granted by Listen=any:8080", NULL },
        { "Listen=any:8080", POLICY_LISTEN, "[::]:8080", true, "granted", NULL },
        { "Listen=any:8080", POLICY_LISTEN, "192.168.0.1:8080", true, "granted", NULL },
        { "Listen=any:8080\nDeny=private:*", POLICY_LISTEN, "0.0.0.0:8080", false, "takes some away",
          "Listen=0.0.0.0:8080" },
        { "Listen=local:8080", POLICY_LISTEN, "127.0.0.1:8080", true, "granted by Listen=local:8080", NULL },
        { "Listen=local:8080", POLICY_LISTEN, "[::1]:8080", true, "granted", NULL },
        { "Listen=local:8080", POLICY_LISTEN, "0.0.0.0:8080", false, "no Listen=", "Listen=0.0.0.0:8080" },
        { "Listen=local:8080", POLICY_LISTEN, "192.168.0.1:8080", false, "no Listen=", "Listen=192.168.0.1:8080" },
};

START_TEST(abuse_12_13_14_21_group_rules) {
        expect_decision(POLICY_HEAD, &group_rules[_i]);
}
END_TEST

/* What is neither private nor guarded, and of IPv6 global unicast. */
static const struct {
        const char *ip;
        const char *groups; /* beside any */
} memberships[] = {
        { "8.8.8.8", "public" },
        { "9.255.255.255", "public" },
        { "10.0.0.0", "private" },
        { "10.255.255.255", "private" },
        { "11.0.0.0", "public" },
        { "100.63.255.255", "public" },
        { "100.64.0.0", "private" },
        { "100.127.255.255", "private" },
        { "100.128.0.0", "public" },
        { "126.255.255.255", "public" },
        { "127.0.0.0", "local" },
        { "127.255.255.255", "local" },
        { "172.15.255.255", "public" },
        { "172.16.0.0", "private" },
        { "172.31.255.255", "private" },
        { "192.167.255.255", "public" },
        { "192.168.255.255", "private" },
        { "192.169.0.0", "public" },
        { "0.0.0.0", "" },
        { "169.254.0.1", "" },
        { "192.0.0.9", "" },
        { "192.0.2.1", "" },
        { "198.18.0.1", "" },
        { "223.255.255.255", "public" },
        { "224.0.0.1", "" },
        { "240.0.0.1", "" },
        { "255.255.255.255", "" },
        { "::", "" },
        { "::1", "local" },
        { "::2", "" }, /* compatible with 0.0.0.2 */
        { "64:ff9b::808:808", "public" },
        { "64:ff9b::a00:1", "" },
        { "64:ff9b:1::808:808", "" },
        { "1fff::1", "" },
        { "2000::1", "public" },
        { "3ffe::1", "public" },
        { "3fff::1", "" },
        { "4000::1", "" },
        { "2001:0:1:2:3:4:f7f7:f7f7", "public" },
        { "2001:0:1:2:3:4:80ff:fffe", "" },
        { "2001:1::1", "" },
        { "2001:200::1", "public" },
        { "2001:db8::1", "" },
        { "2002:808:808::1", "public" },
        { "2002:c0a8:1::1", "" },
        { "5f00::1", "" },
        { "fbff::1", "" },
        { "fc00::1", "private" },
        { "fdff::1", "private" },
        { "fe80::1", "" },
        { "fec0::1", "" },
        { "ff0e::1", "" },
};

START_TEST(who_is_in_which_group) {
        struct nb_ip ip;

        ck_assert_int_eq(nb_ip_parse(memberships[_i].ip, strlen(memberships[_i].ip), &ip), 0);
        ck_assert(policy_group_contains(POLICY_GROUP_ANY, &ip));
        for (int group = POLICY_GROUP_PUBLIC; group < POLICY_N_GROUPS; ++group)
                ck_assert_msg(policy_group_contains((enum policy_group)group, &ip) ==
                                      (strcmp(memberships[_i].groups, policy_group_name((enum policy_group)group)) ==
                                       0),
                              "%s, %s", memberships[_i].ip, policy_group_name((enum policy_group)group));
}
END_TEST

/* ---- explain ---- */

static const struct policy_tenant *first_tenant(const struct policy *policy) {
        return &policy->tenants[0];
}

static char *explain(const struct policy *policy, enum policy_verb verb, const char *text, const char *resolved_ip) {
        const struct policy_tenant *tenant = first_tenant(policy);
        struct policy_explanation explanation;
        struct policy_complaint complaint;
        struct policy_question question;
        struct nb_ip ip;
        char *lines;

        ck_assert_msg(policy_question_parse(verb, text, &question, &complaint) == 0, "%s", complaint.message);
        if (resolved_ip)
                ck_assert_int_eq(nb_ip_parse(resolved_ip, strlen(resolved_ip), &ip), 0);
        policy_explain(tenant, &tenant->protocols[0], &question, resolved_ip ? &ip : NULL, &explanation);
        lines = policy_explanation_format(&explanation);
        ck_assert_ptr_nonnull(lines);
        return lines;
}

START_TEST(explanations) {
        struct policy *policy = policy_of(POLICY_HEAD "Connect=*.example.com:443 any:80 local:80\nDeny=10.0.0.0/8:*\n");
        static const struct {
                const char *question, *resolved, *lines;
        } cases[] = {
                { "www.example.com:443", NULL,
                  "connect to www.example.com:443, by [Protocol web] (acme.conf:3) of tenant acme\n"
                  "    name    deny     no Deny rule matches www.example.com\n"
                  "    name    grant    www.example.com is granted by Connect=*.example.com:443 (acme.conf:6)\n"
                  "allowed\n" },
                { "www.example.com:443", "10.1.2.3",
                  "connect to www.example.com:443 at 10.1.2.3, by [Protocol web] (acme.conf:3) of tenant acme\n"
                  "    address deny     10.1.2.3 is forbidden by Deny=10.0.0.0/8:* (acme.conf:7)\n"
                  "denied\n"
                  "    connect to www.example.com:443 at 10.1.2.3: forbidden by Deny=10.0.0.0/8:* (acme.conf:7)\n" },
                { "www.example.com:443", "93.184.216.34",
                  "connect to www.example.com:443 at 93.184.216.34, by [Protocol web] (acme.conf:3) of tenant acme\n"
                  "    address deny     no Deny rule matches 93.184.216.34\n"
                  "    address grant    93.184.216.34 is granted by Addresses=public, the default\n"
                  "allowed\n" },
                { "[64:ff9b::127.0.0.1]:80", NULL,
                  "connect to [64:ff9b::7f00:1]:80, by [Protocol web] (acme.conf:3) of tenant acme\n"
                  "    address deny     no Deny rule matches 64:ff9b::7f00:1\n"
                  "    address deny     no Deny rule matches 127.0.0.1\n"
                  "    address guard    127.0.0.1 lies in 127.0.0.0/8, loopback (RFC 1122 section 3.2.1.3), named by "
                  "Connect=local:80 (acme.conf:6)\n"
                  "    address grant    127.0.0.1 is granted by Connect=local:80 (acme.conf:6)\n"
                  "allowed\n" },
                { "169.254.169.254:80", NULL,
                  "connect to 169.254.169.254:80, by [Protocol web] (acme.conf:3) of tenant acme\n"
                  "    address deny     no Deny rule matches 169.254.169.254\n"
                  "    address guard    169.254.169.254 lies in 169.254.169.254, a cloud's metadata service (AWS, "
                  "Azure, "
                  "Google Cloud), which wants to be named, and this is wider: Connect=any:80 (acme.conf:6)\n"
                  "denied\n"
                  "    connect to 169.254.169.254:80: 169.254.169.254 is a cloud's metadata service (AWS, Azure, "
                  "Google "
                  "Cloud); a rule must name it, and Connect=any:80 (acme.conf:6) is wider\n"
                  "    to allow it, write: Connect=169.254.169.254:80\n" },
        };

        for (size_t i = 0; i < ELEMENTS(cases); ++i) {
                char *lines = explain(policy, POLICY_CONNECT, cases[i].question, cases[i].resolved);

                ck_assert_str_eq(lines, cases[i].lines);
                free(lines);
        }
        policy_free(policy);
}
END_TEST

START_TEST(explanations_of_other_verbs) {
        struct policy *ip = policy_of(POLICY_HEAD "Listen=any:8080\nDeny=private:*\n");
        struct policy *local = policy_of(POLICY_TENANT "Mode=report\n[Protocol db]\nFamily=unix\nDataPath=direct\n"
                                                       "Connect=/run/db/*.sock\nDeny=/run/db/root.sock\n");
        struct {
                const struct policy *policy;
                enum policy_verb verb;
                const char *question, *lines;
        } cases[] = {
                { ip, POLICY_LISTEN, "0.0.0.0:8080",
                  "listen on 0.0.0.0:8080, by [Protocol web] (acme.conf:3) of tenant acme\n"
                  "    address deny     no Deny rule matches 0.0.0.0\n"
                  "    address grant    0.0.0.0 is every address, and Deny=private:* (acme.conf:7) takes some away\n"
                  "denied\n"
                  "    listen on 0.0.0.0:8080: that is every local address, and Deny=private:* (acme.conf:7) takes "
                  "some "
                  "away; only a rule for exactly this address grants it\n"
                  "    to allow it, write: Listen=0.0.0.0:8080\n" },
                { ip, POLICY_LISTEN, "224.0.0.1:8080",
                  "listen on 224.0.0.1:8080, by [Protocol web] (acme.conf:3) of tenant acme\n"
                  "    address deny     no Deny rule matches 224.0.0.1\n"
                  "    address possible 224.0.0.1 is a multicast address (RFC 5771), which no rule grants\n"
                  "denied\n"
                  "    listen on 224.0.0.1:8080: no rule grants a multicast address (RFC 5771)\n" },
                { ip, POLICY_ACCEPT, "8.8.8.8:5000",
                  "accept from 8.8.8.8:5000, by [Protocol web] (acme.conf:3) of tenant acme\n"
                  "    address deny     no Deny rule matches 8.8.8.8\n"
                  "allowed\n" },
                { local, POLICY_CONNECT, "/run/db/a.sock",
                  "connect to /run/db/a.sock, by [Protocol db] (acme.conf:4) of tenant acme\n"
                  "    address deny     no Deny rule matches /run/db/a.sock\n"
                  "    address grant    /run/db/a.sock is granted by Connect=/run/db/*.sock (acme.conf:7)\n"
                  "allowed\n" },
                { local, POLICY_CONNECT, "/run/db/root.sock",
                  "connect to /run/db/root.sock, by [Protocol db] (acme.conf:4) of tenant acme\n"
                  "    address deny     /run/db/root.sock is forbidden by Deny=/run/db/root.sock (acme.conf:8)\n"
                  "denied\n"
                  "    connect to /run/db/root.sock: forbidden by Deny=/run/db/root.sock (acme.conf:8)\n"
                  "    Mode=report: it is recorded, and done\n" },
                { local, POLICY_CONNECT, "8.8.8.8:53",
                  "connect to 8.8.8.8:53, by [Protocol db] (acme.conf:4) of tenant acme\n"
                  "    address possible 8.8.8.8 is nothing that [Protocol db] (acme.conf:4) can name\n"
                  "denied\n"
                  "    connect to 8.8.8.8:53: [Protocol db] (acme.conf:4) has Family=unix, and this is IPv4\n"
                  "    Mode=report: it is recorded, and refused all the same, for no rule could allow it\n" },
        };

        for (size_t i = 0; i < ELEMENTS(cases); ++i) {
                char *lines = explain(cases[i].policy, cases[i].verb, cases[i].question, NULL);

                ck_assert_str_eq(lines, cases[i].lines);
                free(lines);
        }
        policy_free(ip);
        policy_free(local);
}
END_TEST

START_TEST(abuse_11_15_18_19_no_question) {
        static const char *const texts[] = {
                "evil.com", "evil.com:",   "evil.com:0",     "evil.com:+443",  "evil.com:443x",   "a b:80",
                "127.1:80", "0x7f.1:80",   "2130706433:80",  "[evil.com]:443", "[127.0.0.1]:443", "::1:80",
                "-a:80",    "a..b:80",     "evil.com:65536", "10.0.0.1 x:80",  "evil.com:80 x",   "*:443",
                "*.a:443",  "10.0.0.1:-1", "a\x01.com:80",
        };
        struct policy_complaint complaint;
        struct policy_question question;

        for (size_t i = 0; i < ELEMENTS(texts); ++i) {
                ck_assert_msg(policy_question_parse(POLICY_CONNECT, texts[i], &question, &complaint) == -EINVAL, "%s",
                              texts[i]);
                ck_assert_uint_gt(strlen(complaint.message), 10);
        }
        ck_assert_int_eq(policy_question_parse(POLICY_LISTEN, "example.com:80", &question, &complaint), -EINVAL);
        ck_assert_ptr_nonnull(strstr(complaint.message, "only who connects"));
}
END_TEST

START_TEST(verbs) {
        enum policy_verb verb;

        for (int i = POLICY_CONNECT; i <= POLICY_ACCEPT; ++i) {
                ck_assert_int_eq(policy_verb_parse(policy_verb_name((enum policy_verb)i), &verb), 0);
                ck_assert_int_eq(verb, i);
        }
        ck_assert_int_eq(policy_verb_parse("Connect", &verb), -EINVAL);
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("policy, names and groups");
        TCase *bad = tcase_create("bad rules"), *decision = tcase_create("decisions"), *why = tcase_create("explain");

        tcase_add_loop_test(bad, abuse_11_15_16_18_a_bad_name, 0, ELEMENTS(bad_rules));
        tcase_add_loop_test(bad, a_bad_listen, 0, ELEMENTS(bad_listens));
        tcase_add_loop_test(bad, a_bad_range, 0, ELEMENTS(bad_ranges));
        tcase_add_loop_test(decision, abuse_16_17_21_25_26_names, 0, ELEMENTS(names));
        tcase_add_test(decision, abuse_25_a_name_grant_is_no_address_grant);
        tcase_add_test(decision, names_of_unix_protocols_and_long_ones);
        tcase_add_loop_test(decision, abuse_12_13_14_23_24_what_a_name_leads_to, 0, ELEMENTS(resolved));
        tcase_add_test(decision, abuse_23_a_name_leads_to_its_family_only);
        tcase_add_loop_test(decision, abuse_12_13_14_21_group_rules, 0, ELEMENTS(group_rules));
        tcase_add_loop_test(decision, who_is_in_which_group, 0, ELEMENTS(memberships));
        tcase_add_test(why, explanations);
        tcase_add_test(why, explanations_of_other_verbs);
        tcase_add_test(why, abuse_11_15_18_19_no_question);
        tcase_add_test(why, verbs);
        suite_add_tcase(suite, bad);
        suite_add_tcase(suite, decision);
        suite_add_tcase(suite, why);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
