/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/guard.h"
#include "policy/suggest.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"
#include "tests/unit/policy_checks.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

#define TENANT POLICY_TENANT
#define HEAD POLICY_HEAD

static const char whole_file[] = "# The tenant acme.\n"
                                 "; Both begin a comment,\n"
                                 "   # blanks in front or not, and \xc3\xa4 too.\n"
                                 "\n"
                                 "[Protocol db]\n"
                                 "Connect = 10.20.0.0/16:5432-5433\n"
                                 "Deny=10.20.99.0/24:*\n"
                                 "Family=ipv4\n"
                                 "DataPath=direct\n"
                                 "SocketTypes=stream\n"
                                 "ConnectTimeout=500ms\n"
                                 "\n"
                                 "[Tenant]\n"
                                 "Name=acme\n"
                                 "User=acme-host\n"
                                 "User=4294967294\n"
                                 "ExplainDenials=yes\n"
                                 "\n"
                                 "[Protocol  web.v1_x-y ]  \n"
                                 "Family=ip\n"
                                 "DataPath=direct\n"
                                 "Listen=[::1]:8080 127.0.0.1:*\t[2001:db8::]/32:80-81  \n"
                                 "Listen=[::1]:8080\n"
                                 "[Protocol nothing]\n"
                                 "Family=ipv6\n"
                                 "DataPath=direct";

/* ---- the parser: good files ---- */

START_TEST(a_whole_file) {
        struct policy *policy = policy_of(whole_file);
        const struct policy_tenant *tenant = policy_find_tenant(policy, "acme");
        const struct policy_protocol *db, *web, *nothing;

        ck_assert_ptr_nonnull(tenant);
        ck_assert_ptr_null(policy_find_tenant(policy, "Acme"));
        ck_assert(tenant->explain_denials);
        ck_assert_uint_eq(tenant->line, 13);
        ck_assert_str_eq(tenant->file, "acme.conf");
        ck_assert_uint_eq(tenant->n_principals, 2);
        ck_assert_str_eq(tenant->principals[0].text, "acme-host");
        ck_assert_uint_eq(tenant->principals[0].line, 15);
        ck_assert_uint_eq(tenant->principals[0].column, 6);
        ck_assert_uint_eq(tenant->n_protocols, 3);

        db = policy_find_protocol(tenant, "db");
        web = policy_find_protocol(tenant, "web.v1_x-y");
        nothing = policy_find_protocol(tenant, "nothing");
        ck_assert(db && web && nothing);
        ck_assert_int_eq(db->family, POLICY_FAMILY_IPV4);
        ck_assert_int_eq(db->data_path, POLICY_DATA_PATH_DIRECT);
        ck_assert_uint_eq(db->connect_timeout_ms, 500);
        ck_assert_uint_eq(db->line, 5);
        ck_assert_uint_eq(db->n_rules, 2);
        ck_assert_int_eq(db->rules[0].kind, POLICY_RULE_CONNECT);
        ck_assert_str_eq(db->rules[0].text, "Connect=10.20.0.0/16:5432-5433");
        ck_assert_uint_eq(db->rules[0].prefix.length, 16);
        ck_assert_uint_eq(db->rules[0].ports.first, 5432);
        ck_assert_uint_eq(db->rules[0].ports.last, 5433);
        ck_assert_uint_eq(db->rules[0].line, 6);
        ck_assert_int_eq(db->rules[1].kind, POLICY_RULE_DENY);

        ck_assert_uint_eq(web->connect_timeout_ms, 30000);
        ck_assert_uint_eq(web->n_rules, 4); /* one of them twice: that harms nobody */
        ck_assert_str_eq(web->rules[1].text, "Listen=127.0.0.1:*");
        ck_assert_uint_eq(web->rules[1].ports.first, 0);
        ck_assert_uint_eq(web->rules[1].ports.last, 65535);
        ck_assert_uint_eq(web->rules[2].prefix.length, 32);
        ck_assert_uint_eq(nothing->n_rules, 0);
        policy_free(policy);
}
END_TEST

START_TEST(a_data_path_may_be_assumed) {
        struct policy *policy = policy_with(TENANT "[Protocol web]\nFamily=ip\n", POLICY_DATA_PATH_DIRECT);

        ck_assert_int_eq(policy->tenants[0].protocols[0].data_path, POLICY_DATA_PATH_DIRECT);
        policy_free(policy);
}
END_TEST

START_TEST(tenants_of_several_files) {
        static const char other[] = "# b\n[Tenant]\nName=b\n", same[] = "\n[Tenant]\nUser=x\nName=a1\n";
        struct policy *policy = policy_new();
        struct policy_error error;
        char text[64], file[32], message[1024];

        for (int i = 0; i < 100; ++i) {
                snprintf(file, sizeof(file), "t/a%d.conf", i);
                snprintf(text, sizeof(text), "[Tenant]\nName=a%d\n[Protocol p]\nFamily=ip\nDataPath=direct\n", i);
                ck_assert_int_eq(policy_add_text(policy, file, text, strlen(text), POLICY_DATA_PATH_AUTO, &error), 0);
        }
        ck_assert_int_eq(policy_add_text(policy, "t/b.conf", other, strlen(other), POLICY_DATA_PATH_AUTO, &error), 0);
        ck_assert_uint_eq(policy->n_tenants, 101);
        ck_assert_str_eq(policy_find_tenant(policy, "a42")->protocols[0].file, "t/a42.conf");
        ck_assert_str_eq(policy_find_tenant(policy, "b")->file, "t/b.conf");

        ck_assert_int_eq(policy_add_text(policy, "t/c.conf", same, strlen(same), POLICY_DATA_PATH_AUTO, &error),
                         -EINVAL);
        ck_assert_str_eq(policy_error_format(&error, message, sizeof(message)),
                         "t/c.conf:4:6: error: tenant a1 is already defined at t/a1.conf:1\n"
                         "    Name=a1\n"
                         "         ^");
        policy_free(policy);
}
END_TEST

START_TEST(sixty_four_protocols) {
        char text[8192] = TENANT;
        struct policy *policy = policy_new();
        struct policy_error error;

        for (int i = 0; i <= POLICY_PROTOCOLS_MAX; ++i) {
                size_t used = strlen(text);

                snprintf(text + used, sizeof(text) - used, "[Protocol p%d]\nFamily=ip\nDataPath=direct\n", i);
                if (i == POLICY_PROTOCOLS_MAX - 1)
                        policy_free(policy_of(text));
        }
        ck_assert_int_eq(policy_add_text(policy, "f", text, strlen(text), POLICY_DATA_PATH_AUTO, &error), -EINVAL);
        ck_assert_uint_eq(error.line, 3 + 3 * POLICY_PROTOCOLS_MAX);
        policy_free(policy);
}
END_TEST

START_TEST(names_of_sections_are_not_cut) {
        char name[65], text[256];
        struct policy *policy;
        struct policy_error error;

        memset(name, 'n', 63);
        name[63] = '\0';
        snprintf(text, sizeof(text), TENANT "[Protocol %s]\nFamily=ip\nDataPath=direct\n", name);
        policy = policy_of(text);
        ck_assert_ptr_nonnull(policy_find_protocol(&policy->tenants[0], name));
        policy_free(policy);

        name[63] = 'n';
        name[64] = '\0';
        snprintf(text, sizeof(text), TENANT "[Protocol %s]\nFamily=ip\nDataPath=direct\n", name);
        policy = policy_new();
        ck_assert_int_eq(policy_add_text(policy, "f", text, strlen(text), POLICY_DATA_PATH_AUTO, &error), -EINVAL);
        ck_assert_uint_eq(error.column, 11 + 63);
        policy_free(policy);
}
END_TEST

START_TEST(long_lines) {
        static const char rule[] = " 10.0.0.0/8:1-65535";
        char text[4096] = "#";
        struct policy *policy;
        struct policy_error error;

        for (int i = 0; i < 2000; ++i)
                text[1 + i] = 'c'; /* a comment may be as long as it likes */
        text[2001] = '\0';
        snprintf(text + 2001, sizeof(text) - 2001, "\n%sConnect=", HEAD);
        for (int i = 0; i < 10; ++i)
                strncat(text, rule, sizeof(text) - strlen(text) - 1);
        policy = policy_of(text); /* 198 bytes */
        ck_assert_uint_eq(policy->tenants[0].protocols[0].n_rules, 10);
        policy_free(policy);

        strncat(text, " ", sizeof(text) - strlen(text) - 1);
        policy = policy_new();
        ck_assert_int_eq(policy_add_text(policy, "f", text, strlen(text), POLICY_DATA_PATH_AUTO, &error), -EINVAL);
        ck_assert_uint_eq(error.line, 7);
        ck_assert_uint_eq(error.column, 199);
        policy_free(policy);
}
END_TEST

/** The next policy of the man page's examples, NUL-terminated in the page. @return NULL behind the last. */
static char *next_example(char **page) {
        static const char begin[] = ".Bd -literal -offset indent\n", end[] = "\n.Ed";
        char *example = strstr(*page, begin), *behind = example ? strstr(example, end) : NULL;

        if (!behind)
                return NULL;
        behind[1] = '\0';
        *page = behind + sizeof(end) - 1;
        return example + sizeof(begin) - 1;
}

START_TEST(the_man_pages_examples) {
        char *page = policy_man_page(), *rest = strstr(page, "\n.Sh EXAMPLES\n"), *example;
        unsigned n = 0;

        ck_assert_ptr_nonnull(rest);
        *strstr(rest, "\n.Sh MISTAKES") = '\0';
        for (; (example = next_example(&rest)); ++n)
                policy_free(policy_of(example));
        ck_assert_uint_ge(n, 4);
        free(page);
}
END_TEST

/* ---- the parser: bad files ---- */

static const struct bad_text bad_texts[] = {
        /* the shape of the file */
        { "", 0, 0, "no [Tenant] section", "[Tenant]" },
        { "# nothing\n", 0, 0, "no [Tenant] section", "[Tenant]" },
        { "[Protocol web]\nFamily=ip\nDataPath=direct\n", 0, 0, "no [Tenant] section", "[Tenant]" },
        { "Name=acme\n", 1, 1, "begins with a section", NULL },
        { "[Tenant]\n", 1, 0, "needs Name=", "Name=acme" },
        { TENANT "[Tenant]\nName=b\n", 3, 1, "a second [Tenant], after line 1", NULL },
        { "[tenant]\n", 1, 2, "no section \"tenant\"", "[Tenant]" },
        { "[Protocl web]\n", 1, 2, "no section \"Protocl\"", "[Protocol web]" },
        { "[]\n", 1, 2, "no section \"\"", NULL },
        { "[ Tenant]\n", 1, 2, "no section", NULL },
        { "[Tenant acme]\n", 1, 9, "takes no name", NULL },
        { "[Tenant\n", 1, 8, "never closed", "[Tenant]" },
        { "[Tenant] x\n", 1, 10, "behind the bracket", "[Tenant]" },
        { "[Tenant] # x\n", 1, 10, "behind the bracket", "[Tenant]" },
        { TENANT "[Protocol]\n", 3, 10, "has no name", NULL },
        { TENANT "[Protocol a=b]\n", 3, 12, "letters, digits", NULL },
        { TENANT "[Protocol a:b]\n", 3, 12, "letters, digits", NULL },
        { TENANT "[Protocol a b]\n", 3, 12, "letters, digits", NULL },
        { TENANT "[Protocol \"a\"]\n", 3, 11, "letters, digits", NULL },
        { HEAD "[Protocol web]\n", 6, 11, "stands already in line 3", NULL },
        { TENANT "[Protocol web]\nDataPath=direct\n", 3, 0, "needs Family=", "Family=ip" },
        { TENANT "[Protocol web]\nFamily=ip\n[Protocol db]\n", 5, 0, "needs Family=", "Family=ip" },
        { TENANT "[Protocol web]\nFamily=ip\n[Protocol db]\nx\n", 6, 1, "nor Key=value", NULL }, /* lines first */

        /* lines that inih would change */
        { "[Tenant]\n Name=acme\n", 2, 1, "indented", "Name=acme" },
        { "[Tenant]\nName=acme\n\tUser=x\n", 3, 1, "indented", "User=x" },
        { "[Tenant]\nName: acme\n", 2, 5, "separated by \"=\"", "Name= acme" },
        { "[Tenant]\nName=acme ; x\n", 2, 11, "a line of its own", "Name=acme" },
        { "[Tenant]\nName=acme\t# x\n", 2, 11, "a line of its own", "Name=acme" },
        { "[Tenant]\nName= ; x\n", 2, 7, "a line of its own", "Name=" },
        { "[Tenant]\nName\n", 2, 1, "nor Key=value", NULL },
        { "[Tenant]\n=acme\n", 2, 1, "nor Key=value", NULL },
        { "[Tenant]\nNa me=acme\n", 2, 1, "nor Key=value", NULL },
        { ".include x\n", 1, 1, "nor Key=value", NULL },
        { "[Tenant]\r\nName=acme\r\n", 1, 9, "CR LF", "[Tenant]" },
        { "[Tenant]\nName=a\rb\n", 2, 7, "control character 0x0d", NULL },
        { "# \x1b[2J\n", 1, 3, "control character 0x1b", NULL },
        { "# \xc2\x9b\n", 1, 3, "control character 0x9b", NULL },
        { "# \x7f\n", 1, 3, "control character 0x7f", NULL },
        { "# \xc3\xa4\xff\n", 1, 5, "byte 0xff is not UTF-8", NULL },
        { "# \xed\xa0\x80\n", 1, 3, "byte 0xed is not UTF-8", NULL },
        { "# \xc0\x80\n", 1, 3, "byte 0xc0 is not UTF-8", NULL },
        { "# \xe2\x82", 1, 3, "byte 0xe2 is not UTF-8", NULL },
        { "\xef\xbb\xbf[Tenant]\n", 1, 1, "byte order mark", "[Tenant]" },

        /* keys */
        { "[Tenant]\nNmae=acme\n", 2, 1, "did you mean Name=?", "Name=acme" },
        { "[Tenant]\nname=acme\n", 2, 1, "did you mean Name=?", "Name=acme" },
        { HEAD "Conect=192.0.2.1:80\n", 6, 1, "did you mean Connect=?", "Connect=192.0.2.1:80" },
        { HEAD "Bananas=3\n", 6, 1, "there is no key Bananas=", NULL },
        { HEAD "RequireSeal=yes\n", 6, 1, "RequireSeal= belongs in a [Defaults] section", NULL },
        { TENANT "RequireSeal=yes\n", 3, 1, "RequireSeal= belongs in a [Defaults] section", NULL },
        { TENANT "unit=x.service\n", 3, 1, "did you mean Unit=?", "Unit=x.service" },
        { TENANT "Include=x\n", 3, 9, "no other files can be read here", NULL },
        { TENANT "Connect=192.0.2.1:80\n", 3, 1, "belongs in a [Protocol NAME] or [Preopen NAME] section", NULL },
        { HEAD "User=x\n", 6, 1, "belongs in a [Tenant] section", NULL },
        { HEAD "Family=ip\n", 6, 1, "set already, in line 4", NULL },
        { TENANT "Name=acme\n", 3, 1, "set already, in line 2", NULL },

        /* values */
        { "[Tenant]\nName=\n", 2, 6, "has no value", NULL },
        { "[Tenant]\nName=a b\n", 2, 7, "letters, digits", NULL },
        { "[Tenant]\nName=a/../b\n", 2, 7, "letters, digits", NULL },
        { TENANT "User=\n", 3, 6, "has no value", NULL },
        { TENANT "User=a b\n", 3, 7, "one user a line", NULL },
        { TENANT "User=a:b\n", 3, 7, "not in a user's name", NULL },
        { TENANT "User=-1\n", 3, 6, "not in a user's name", NULL },
        { TENANT "User=4294967295\n", 3, 6, "from 0 to 4294967294", NULL },
        { TENANT "User=18446744073709551616\n", 3, 6, "from 0 to 4294967294", NULL },
        { TENANT "User=007\n", 3, 6, "leading zeros", NULL },
        { TENANT "ExplainDenials=true\n", 3, 16, "not yes or no", NULL },
        { TENANT "ExplainDenials=Yes\n", 3, 16, "not yes or no", "ExplainDenials=yes" },
        { TENANT "[Protocol a]\nFamily=ipv5\n", 4, 8, "not ip, ipv4, ipv6, unix or quic", "Family=ipv4" },
        { TENANT "[Protocol a]\nFamily= IPv6\n", 4, 9, "not ip, ipv4, ipv6, unix or quic", "Family= ipv6" },
        { TENANT "[Protocol a]\nFamily=Unix\n", 4, 8, "not ip, ipv4, ipv6, unix or quic", "Family=unix" },
        { TENANT "[Protocol a]\nDataPath=Auto\n", 4, 10, "is not auto, direct or relay", "DataPath=auto" },
        { TENANT "[Protocol a]\nDataPath=dierct\n", 4, 10, "is not auto, direct or relay", "DataPath=direct" },
        { HEAD "SocketTypes=seqpacket\n", 6, 13, "is not stream or dgram", NULL },
        { HEAD "SocketTypes=stream dgrm\n", 6, 20, "is not stream or dgram", "SocketTypes=stream dgram" },
        { HEAD "SocketTypes=streams\n", 6, 13, "is not stream or dgram", "SocketTypes=stream" },
        { HEAD "ConnectTimeout=30\n", 6, 16, "with its unit", "ConnectTimeout=30s" },
        { HEAD "ConnectTimeout=0s\n", 6, 16, "from 1ms to 10min", NULL },
        { HEAD "ConnectTimeout=11min\n", 6, 16, "from 1ms to 10min", NULL },
        { HEAD "ConnectTimeout=600001ms\n", 6, 16, "from 1ms to 10min", NULL },
        { HEAD "ConnectTimeout=99999999999999999999s\n", 6, 16, "from 1ms to 10min", NULL },
        { HEAD "ConnectTimeout=1h\n", 6, 16, "with its unit", NULL },
        { HEAD "ConnectTimeout=1 s\n", 6, 16, "with its unit", NULL },
        { HEAD "ConnectTimeout=-1s\n", 6, 16, "with its unit", NULL },
        { HEAD "ConnectTimeout=1.5s\n", 6, 16, "with its unit", NULL },
        { HEAD "Connect=\n", 6, 9, "has no value", NULL },
};

/* As above, for the one line "Connect=…"; the columns count from the rule. */
static const struct bad_text bad_rules[] = {
        /* abuse case 20 */
        { "10.0.0.0/8x:443", 0, 10, "\"8x\" is not a prefix length", NULL },
        { "10.0.0.0/33:443", 0, 10, "\"33\" is not a prefix length", NULL },
        { "10.0.0.0/08:443", 0, 10, "\"08\" is not a prefix length", NULL },
        { "10.0.0.0/-1:443", 0, 10, "\"-1\" is not a prefix length", NULL },
        { "10.0.0.0/+8:443", 0, 10, "\"+8\" is not a prefix length", NULL },
        { "10.0.0.0/:443", 0, 10, "\"\" is not a prefix length", NULL },
        { "10.0.0.0/255.0.0.0:443", 0, 10, "is not a prefix length", NULL },
        { "10.0.0.0/4294967304:443", 0, 10, "is not a prefix length", NULL },
        { "[2001:db8::]/129:443", 0, 14, "\"129\" is not a prefix length", NULL },
        { "10.1.2.3/8:443", 0, 1, "the network is 10.0.0.0/8", "10.0.0.0/8:443" },
        { "[2001:db8::1]/32:443", 0, 2, "the network is [2001:db8::]/32", "[2001:db8::]/32:443" },
        { "10.1.2.3/8", 0, 1, "the network is 10.0.0.0/8", "10.0.0.0/8:443" },
        { "10.0.0.0/8", 0, 11, "the port is missing", "10.0.0.0/8:443" },
        { "[2001:db8::]/32", 0, 16, "the port is missing", "[2001:db8::]/32:443" },
        { "[::ffff:10.0.0.1]:443", 0, 1, "judged as IPv4", "10.0.0.1:443" },
        { "[::ffff:10.0.0.0]/104:443", 0, 1, "a prefix length behind it has no meaning", "10.0.0.0/8:443" },
        { "[::ffff:10.1.0.0]/104", 0, 1, "judged as IPv4", "10.0.0.0/8:443" },
        { "[::ffff:0:0]/90:443", 0, 1, "judged as IPv4", NULL },

        /* abuse cases 15 and 18 */
        { "127.1:80", 0, 1, "\"127.1\" is not an IPv4 address", NULL },
        { "2130706433:80", 0, 1, "is not an IPv4 address", NULL },
        { "0x7f000001:80", 0, 1, "is not an IPv4 address", NULL },
        { "010.0.0.1:80", 0, 1, "leading zeros", NULL },
        { "[evil.com]:80", 0, 2, "\"evil.com\" is not an IPv6 address", NULL },
        { "[127.0.0.1]:80", 0, 1, "only IPv6 addresses", "127.0.0.1:80" },
        { "[::1%lo]:80", 0, 2, "names no interface", NULL },
        { "[2001:db8::/32]:443", 0, 12, "behind the bracket", "[2001:db8::]/32:443" },
        { "[::1:80", 0, 1, "never closed", NULL },
        { "[::1]x:80", 0, 6, "behind the bracket", NULL },
        { "[::1]80", 0, 6, "behind the bracket", NULL },
        { "::1:80", 0, 1, "written in brackets", "[::1]:80" },
        { "2001:db8::1", 0, 1, "written in brackets", "[2001:db8::1]:443" },
        { "2001:db8::/32:443", 0, 1, "written in brackets", "[2001:db8::]/32:443" },
        { "2001:db8::1/32:443", 0, 1, "written in brackets", "[2001:db8::]/32:443" },

        /* abuse case 19 */
        { "10.0.0.1 x", 0, 9, "the port is missing", NULL },
        { "10.0.0.1:80 x", 0, 14, "the port is missing", "10.0.0.1:80 x:443" },
        { "192.0.2.1:+443", 0, 11, "\"+443\" is not a port", NULL },
        { "192.0.2.1:0", 0, 11, "port 0 is no port", NULL },
        { "192.0.2.1:65536", 0, 11, "\"65536\" is not a port", NULL },
        { "192.0.2.1:443x", 0, 11, "\"443x\" is not a port", NULL },
        { "192.0.2.1:-1", 0, 11, "\"-1\" is not a port", NULL },
        { "192.0.2.1:0443", 0, 11, "\"0443\" is not a port", NULL },
        { "192.0.2.1:", 0, 11, "the port is missing", "192.0.2.1:443" },
        { "192.0.2.1:80:90", 0, 11, "\"80:90\" is not a port", NULL },
        { "192.0.2.1:80,90", 0, 11, "\"80,90\" is not a port", NULL },
        { "192.0.2.1:80-", 0, 14, "a port is missing", NULL },
        { "192.0.2.1:80-90-99", 0, 14, "\"90-99\" is not a port", NULL },
        { "192.0.2.1:0-90", 0, 11, "port 0 is no port", NULL },
        { "192.0.2.1:5433-5432", 0, 11, "runs backwards", "192.0.2.1:5432-5433" },
        { "192.0.2.1:any", 0, 11, "written \"*\"", "192.0.2.1:*" },
        { "192.0.2.1:**", 0, 11, "is not a port", NULL },

        /* words */
        { "*:443", 0, 1, "\"*\" is written \"any\"", "any:443" },
        { "all", 0, 1, "\"all\" is written \"any\"", "any:443" },
        { "Public:443", 0, 1, "groups are any, public, private and local", "public:443" },
        { "any", 0, 4, "the port is missing", "any:443" },
        { "any/0:443", 0, 4, "a group has no prefix length", "any:443" },
        { "evil.com", 0, 9, "the port is missing", "evil.com:443" },
        { ":80", 0, 1, "the address is missing", NULL },
        { "/8:80", 0, 1, "a rule for Unix sockets never matches: [Protocol web] has Family=ip", NULL },

        /* rules that cannot work */
        { "224.0.0.1:80", 0, 1, "no rule grants a multicast address", NULL },
        { "239.0.0.0/8:80", 0, 1, "no rule grants a multicast address", NULL },
        { "[ff02::1]:80", 0, 2, "no rule grants a multicast address", NULL },
        { "255.255.255.255:80", 0, 1, "no rule grants a broadcast address", NULL },
        { "0.0.0.0:80", 0, 1, "to connect there is to connect to loopback", "127.0.0.1:80" },
        { "0.0.0.0/32", 0, 11, "the port is missing", "127.0.0.1:443" },
        { "[::]:80", 0, 2, "to connect there is to connect to loopback", "[::1]:80" },
        { "[::]/128:*", 0, 2, "granted as [::1]", "[::1]:*" },
        { "[64:ff9b::808:808]:443", 0, 1, "carries an IPv4 address", "8.8.8.8:443" },
        { "[2002::]/16:443", 0, 1, "carries an IPv4 address", NULL },
        { "[2001::]/32:443", 0, 1, "carries an IPv4 address", NULL },
        { "[64:ff9b:1::]/48:443", 0, 15, "at most one /96", NULL },
        { "[::ffff:0:8.8.8.8]:443", 0, 1, "carries an IPv4 address", "8.8.8.8:443" },
        { "[::ffff:0:0:0]/96:443", 0, 1, "carries an IPv4 address", NULL },
        { "[2606:4700::5efe:8.8.8.8]:443", 0, 1, "carries an IPv4 address", "8.8.8.8:443" },
        { "[2606:4700::200:5efe:8.8.8.8]/128:443", 0, 1, "carries an IPv4 address", "8.8.8.8:443" },
        { "[2606:4700::5efe:0:0]/96:443", 0, 1, "carries an IPv4 address", NULL },

        /* the correction of one among several */
        { "192.0.2.1:80 10.1.0.0/8 192.0.2.2:80", 0, 14, "the network is", "192.0.2.1:80 10.0.0.0/8:443 192.0.2.2:80" },
        { "192.0.2.1:80 10.1.0.0/8 x", 0, 14, "the network is", NULL },
};

START_TEST(bad_text) {
        expect_bad_text(&bad_texts[_i]);
}
END_TEST

START_TEST(abuse_15_18_19_20_bad_rule) {
        expect_bad_value(HEAD, "Connect", &bad_rules[_i], "");
}
END_TEST

START_TEST(nul_bytes) {
        static const char text[] = "[Tenant]\nName=ac\0me\n", comment[] = "#\0\n[Tenant]\nName=acme\n";
        struct bad_text bad = { .line = 2, .column = 8, .message = "NUL" };
        struct bad_text bad_comment = { .line = 1, .column = 2, .message = "NUL" };

        expect_error(text, sizeof(text) - 1, &bad);
        expect_error(comment, sizeof(comment) - 1, &bad_comment);
}
END_TEST

START_TEST(a_rule_for_the_other_family) {
        struct bad_text bad = { NULL, 4, 23, "an IPv6 rule never matches: [Protocol web] has Family=ipv4", NULL };
        static const char text[] = TENANT "[Protocol web]\nConnect=192.0.2.1:80\t [::1]:80\nFamily=ipv4\n"
                                          "DataPath=direct\n[Protocol x]\n";
        static const char ipv4[] = TENANT "[Protocol web]\nFamily=ipv6\nDataPath=direct\nDeny=192.0.2.1:80";
        struct bad_text bad_ipv4 = { NULL, 6, 6, "an IPv4 rule never matches: [Protocol web] has Family=ipv6", NULL };

        expect_error(text, strlen(text), &bad);
        expect_error(ipv4, strlen(ipv4), &bad_ipv4);
}
END_TEST

START_TEST(rules_of_other_kinds) {
        static const struct {
                const char *line;
                unsigned column;
                const char *message;
                const char *correct;
        } lines[] = {
                { "Listen=224.0.0.1:80", 8, "no rule grants a multicast", NULL },
                { "Listen=127.0.0.1:0", 18, "port 0", "Listen=127.0.0.1:*" },
                { "Listen=127.0.0.1", 17, "port is missing", "Listen=127.0.0.1:8080" },
                { "Deny=10.0.0.0/8", 16, "port is missing", "Deny=10.0.0.0/8:*" },
                { "Deny=10.0.0.0/8:0", 17, "port 0", "Deny=10.0.0.0/8:*" },
        };
        char text[512];

        for (size_t i = 0; i < ELEMENTS(lines); ++i) {
                struct bad_text bad = { NULL, 6, lines[i].column, lines[i].message, lines[i].correct };

                snprintf(text, sizeof(text), HEAD "%s\n", lines[i].line);
                expect_error(text, strlen(text), &bad);
        }
        policy_free(policy_of(HEAD "Deny=224.0.0.0/4:* [64:ff9b::]/96:* [64:ff9b:1::]/48:* [2002::]/16:*\n"));
}
END_TEST

START_TEST(abuse_13_rules_beside_ipv4_inside_ipv6) {
        policy_free(policy_of(HEAD "Connect=[2606:4700::]/64:80 [2606:4700::5efe:0:0]/95:80 [2002::]/15:80\n"));
        policy_free(policy_of(HEAD "Listen=[64:ff9b::808:808]:80 [64:ff9b:1::]/48:* [2002::]/16:* [2001::]/32:*\n"));
        policy_free(policy_of(HEAD "Listen=[::ffff:0:8.8.8.8]:80 [2606:4700::5efe:8.8.8.8]:80 [::8.8.8.8]:80\n"));
}
END_TEST

START_TEST(a_file_too_large) {
        size_t length = POLICY_TEXT_MAX + 1;
        char *text = malloc(length);
        struct bad_text bad = { NULL, 0, 0, "larger than", NULL };

        ck_assert_ptr_nonnull(text);
        memset(text, '\n', length);
        expect_error(text, length, &bad);
        free(text);
}
END_TEST

START_TEST(errors_as_an_operator_sees_them) {
        static const char text[] = HEAD "Connect=10.1.2.3/8:443\n";
        struct policy *policy = policy_new();
        struct policy_error error;
        char message[1024], small[32];

        ck_assert_int_eq(policy_add_text(policy, "/etc/x\x1b.conf", text, strlen(text), POLICY_DATA_PATH_AUTO, &error),
                         -EINVAL);
        ck_assert_str_eq(policy_error_format(&error, message, sizeof(message)),
                         "/etc/x\\x1b.conf:6:9: error: bits are set behind the first 8: the network is 10.0.0.0/8\n"
                         "    Connect=10.1.2.3/8:443\n"
                         "            ^\n"
                         "write: Connect=10.0.0.0/8:443");
        for (size_t size = 1; size <= sizeof(small); ++size)
                ck_assert_uint_eq(strlen(policy_error_format(&error, small, size)), size - 1);
        policy_free(policy);
}
END_TEST

START_TEST(edit_distance) {
        ck_assert_uint_eq(policy_edit_distance("Connect", 7, "connect", 7), 0);
        ck_assert_uint_eq(policy_edit_distance("Conect", 6, "Connect", 7), 1);
        ck_assert_uint_eq(policy_edit_distance("Connetc", 7, "Connect", 7), 1);
        ck_assert_uint_eq(policy_edit_distance("kitten", 6, "sitting", 7), 3);
        ck_assert_uint_eq(policy_edit_distance("", 0, "Name", 4), 4);
        ck_assert_uint_eq(policy_edit_distance("", 0, "", 0), 0);
}
END_TEST

/* ---- decisions ---- */

static const struct decision decisions[] = {
        { "", POLICY_CONNECT, "192.168.0.1:80", false, "no Connect= rule in [Protocol web] (acme.conf:3) matches",
          "Connect=192.168.0.1:80" },
        { "", POLICY_LISTEN, "[::1]:80", false, "no Listen= rule in [Protocol web] (acme.conf:3) matches",
          "Listen=[::1]:80" },
        { "", POLICY_LISTEN, "127.0.0.1:0", false, "no Listen= rule", "Listen=127.0.0.1:*" },
        { "", POLICY_ACCEPT, "192.168.0.1:80", true, "no Deny rule matches", NULL },

        { "Connect=192.168.0.0/16:80-81", POLICY_CONNECT, "192.168.1.1:80", true,
          "granted by Connect=192.168.0.0/16:80-81 (acme.conf:6)", NULL },
        { "Connect=192.168.0.0/16:80-81", POLICY_CONNECT, "192.168.1.1:81", true, "granted", NULL },
        { "Connect=192.168.0.0/16:80-81", POLICY_CONNECT, "192.168.1.1:82", false,
          "no Connect=", "Connect=192.168.1.1:82" },
        { "Connect=192.168.0.0/16:80-81", POLICY_CONNECT, "192.169.1.1:80", false,
          "no Connect=", "Connect=192.169.1.1:80" },
        { "Connect=192.168.0.1:80", POLICY_LISTEN, "192.168.0.1:80", false, "no Listen=", "Listen=192.168.0.1:80" },
        { "Listen=192.168.0.1:80", POLICY_CONNECT, "192.168.0.1:80", false, "no Connect=", "Connect=192.168.0.1:80" },
        { "Connect=0.0.0.0/0:*", POLICY_CONNECT, "8.8.8.8:0", false, "nothing listens on port 0", NULL },
        { "Connect=0.0.0.0/0:*", POLICY_CONNECT, "[2606:4700::1]:80", false,
          "no Connect=", "Connect=[2606:4700::1]:80" },
        { "Connect=[::]/0:*", POLICY_CONNECT, "8.8.8.8:80", false, "no Connect=", "Connect=8.8.8.8:80" },

        /* abuse cases 12 and 13: judged as the IPv4 address */
        { "Connect=10.0.0.0/8:80", POLICY_CONNECT, "[::ffff:10.0.0.1]:80", true, "granted by Connect=10.0.0.0/8",
          NULL },
        { "Connect=[::]/0:*", POLICY_CONNECT, "[::ffff:10.0.0.1]:80", false, "no Connect=", "Connect=10.0.0.1:80" },
        { "Connect=[::]/0:*", POLICY_CONNECT, "[64:ff9b::10.0.0.1]:80", false, "the IPv4 address inside",
          "Connect=10.0.0.1:80" },
        { "Connect=10.0.0.0/8:80", POLICY_CONNECT, "[64:ff9b::10.0.0.1]:80", true, "granted by Connect=10.0.0.0/8",
          NULL },
        { "Connect=10.0.0.0/8:80\nDeny=10.0.0.1:80", POLICY_CONNECT, "[2002:a00:1::1]:80", false,
          "forbidden by Deny=10.0.0.1:80 (acme.conf:7)", NULL },
        { "Connect=10.0.0.0/8:80\nDeny=[2002::]/16:*", POLICY_CONNECT, "[2002:a00:1::1]:80", false, "forbidden", NULL },
        { "Deny=10.0.0.0/8:*", POLICY_ACCEPT, "[::ffff:10.0.0.1]:5000", false, "accept from", NULL },
        { "Deny=10.0.0.0/8:*", POLICY_ACCEPT, "[64:ff9b::10.0.0.1]:5000", false, "forbidden", NULL },
        { "Deny=10.0.0.0/8:80", POLICY_ACCEPT, "10.0.0.1:5000", true, "no Deny rule matches", NULL },
        { "Connect=[::]/0:*", POLICY_CONNECT, "[::ffff:0:10.0.0.1]:80", false, "the IPv4 address inside",
          "Connect=10.0.0.1:80" },
        { "Connect=[2606:4700::]/32:*", POLICY_CONNECT, "[2606:4700::5efe:10.0.0.1]:80", false,
          "the IPv4 address inside", "Connect=10.0.0.1:80" },
        { "Connect=[2606:4700::]/32:*", POLICY_CONNECT, "[2606:4700::5eff:10.0.0.1]:80", true, "granted", NULL },
        { "Connect=10.0.0.0/8:80", POLICY_CONNECT, "[2606:4700::200:5efe:10.0.0.1]:80", true,
          "granted by Connect=10.0.0.0/8", NULL },
        { "Connect=10.0.0.0/8:80\nDeny=[2606:4700::]/32:*", POLICY_CONNECT, "[2606:4700::5efe:10.0.0.1]:80", false,
          "forbidden", NULL },
        { "Deny=10.0.0.0/8:*", POLICY_ACCEPT, "[2606:4700::5efe:10.0.0.1]:5000", false, "forbidden", NULL },

        /* a bind is granted as it stands, and denied in both forms */
        { "Listen=127.0.0.1:8080", POLICY_LISTEN, "[::ffff:127.0.0.1]:8080", true, "granted", NULL },
        { "Listen=127.0.0.1:8080", POLICY_LISTEN, "[2002:7f00:1::1]:8080", false,
          "no Listen= rule in [Protocol web] (acme.conf:3) matches", "Listen=[2002:7f00:1::1]:8080" },
        { "Listen=127.0.0.1:8080", POLICY_LISTEN, "[64:ff9b::7f00:1]:8080", false,
          "no Listen=", "Listen=[64:ff9b::7f00:1]:8080" },
        { "Listen=127.0.0.1:8080", POLICY_LISTEN, "[::127.0.0.1]:8080", false,
          "no Listen=", "Listen=[::127.0.0.1]:8080" },
        { "Listen=127.0.0.1:8080", POLICY_LISTEN, "[::ffff:0:127.0.0.1]:8080", false,
          "no Listen=", "Listen=[::ffff:0:7f00:1]:8080" },
        { "Listen=127.0.0.1:8080", POLICY_LISTEN, "[2606:4700::5efe:7f00:1]:8080", false,
          "no Listen=", "Listen=[2606:4700::5efe:7f00:1]:8080" },
        { "Listen=0.0.0.0/0:*", POLICY_LISTEN, "[2001:0:1::80ff:fffe]:80", false,
          "no Listen=", "Listen=[2001:0:1::80ff:fffe]:80" },
        { "Listen=[2002:7f00:1::1]:80", POLICY_LISTEN, "[2002:7f00:1::1]:80", true,
          "granted by Listen=[2002:7f00:1::1]:80", NULL },
        { "Listen=[2002::]/16:80", POLICY_LISTEN, "[2002:7f00:1::1]:80", true, "granted by Listen=[2002::]/16:80",
          NULL },
        { "Listen=[2002::]/16:80\nDeny=127.0.0.0/8:*", POLICY_LISTEN, "[2002:7f00:1::1]:80", false,
          "forbidden by Deny=127.0.0.0/8:* (acme.conf:7)", NULL },
        { "Listen=127.0.0.1:80\nDeny=[2002::]/16:*", POLICY_LISTEN, "[2002:7f00:1::1]:80", false, "forbidden", NULL },
        { "Listen=0.0.0.0:80", POLICY_LISTEN, "[64:ff9b::]:80", false, "no Listen=", "Listen=[64:ff9b::]:80" },
        { "Listen=[64:ff9b::]/96:80\nDeny=0.0.0.1:80", POLICY_LISTEN, "[64:ff9b::]:80", true, "granted", NULL },

        /* abuse case 21: deny wins in both orders */
        { "Connect=172.16.0.0/12:*\nDeny=172.17.0.0/16:*", POLICY_CONNECT, "172.17.0.1:80", false,
          "forbidden by Deny=172.17.0.0/16:* (acme.conf:7)", NULL },
        { "Deny=172.17.0.0/16:*\nConnect=172.16.0.0/12:*", POLICY_CONNECT, "172.17.0.1:80", false,
          "forbidden by Deny=172.17.0.0/16:* (acme.conf:6)", NULL },
        { "Deny=172.16.0.0/12:*\nConnect=172.17.0.0/16:*", POLICY_CONNECT, "172.17.0.1:80", false, "forbidden", NULL },
        { "Connect=172.16.0.0/12:*\nDeny=172.17.0.0/16:*", POLICY_CONNECT, "172.18.0.1:80", true, "granted", NULL },
        { "Listen=0.0.0.0/0:*\nDeny=127.0.0.1:80", POLICY_LISTEN, "127.0.0.1:80", false, "forbidden", NULL },

        /* every local address */
        { "Listen=0.0.0.0:80", POLICY_LISTEN, "0.0.0.0:80", true, "granted by Listen=0.0.0.0:80", NULL },
        { "Listen=0.0.0.0:80", POLICY_LISTEN, "0.0.0.0:0", false, "no Listen=", "Listen=0.0.0.0:*" },
        { "Listen=0.0.0.0:80", POLICY_LISTEN, "127.0.0.1:80", false, "no Listen=", "Listen=127.0.0.1:80" },
        { "Listen=0.0.0.0:80", POLICY_LISTEN, "[::]:80", false, "no Listen=", "Listen=[::]:80" },
        { "Listen=0.0.0.0/0:80", POLICY_LISTEN, "0.0.0.0:80", true, "granted by Listen=0.0.0.0/0:80", NULL },
        { "Listen=0.0.0.0/8:80", POLICY_LISTEN, "0.0.0.0:80", false, "no Listen=", "Listen=0.0.0.0:80" },
        { "Listen=[::]/0:*", POLICY_LISTEN, "[::]:0", true, "granted", NULL },
        { "Listen=[::]/127:*", POLICY_LISTEN, "[::]:80", false, "no Listen=", "Listen=[::]:80" },
        { "Listen=0.0.0.0/0:*\nDeny=10.0.0.0/8:80", POLICY_LISTEN, "0.0.0.0:80", false,
          "that is every local address, and Deny=10.0.0.0/8:80 (acme.conf:7) takes some away", "Listen=0.0.0.0:80" },
        { "Listen=0.0.0.0/0:*\nDeny=10.0.0.0/8:80", POLICY_LISTEN, "0.0.0.0:81", true, "granted", NULL },
        { "Listen=0.0.0.0/0:*\nDeny=[::1]:80", POLICY_LISTEN, "0.0.0.0:80", true, "granted", NULL },
        { "Listen=0.0.0.0:80\nDeny=10.0.0.0/8:80", POLICY_LISTEN, "0.0.0.0:80", true, "granted", NULL },
        { "Listen=0.0.0.0:80\nDeny=0.0.0.0:80", POLICY_LISTEN, "0.0.0.0:80", false, "forbidden", NULL },
};

START_TEST(abuse_12_13_21_decision) {
        expect_decision(HEAD, &decisions[_i]);
}
END_TEST

START_TEST(families) {
        struct policy *ipv4 = policy_of(TENANT "[Protocol a]\nDataPath=direct\nFamily=ipv4\nConnect=0.0.0.0/0:*\n");
        struct policy *ipv6 = policy_of(TENANT "[Protocol a]\nDataPath=direct\nFamily=ipv6\nConnect=[::]/0:*\n");
        struct policy_verdict verdict = decide(ipv4, POLICY_CONNECT, "[2606:4700::1]:80");

        ck_assert_str_eq(verdict.reason,
                         "connect to [2606:4700::1]:80: [Protocol a] (acme.conf:3) has Family=ipv4, and this is IPv6");
        ck_assert_str_eq(verdict.remedy, "");
        ck_assert(!verdict.allowed);
        ck_assert(decide(ipv4, POLICY_CONNECT, "[::ffff:8.8.8.8]:80").allowed);
        ck_assert(!decide(ipv4, POLICY_CONNECT, "[64:ff9b::8.8.8.8]:80").allowed);
        ck_assert(decide(ipv6, POLICY_CONNECT, "[2606:4700::1]:80").allowed);
        ck_assert(!decide(ipv6, POLICY_CONNECT, "[::ffff:8.8.8.8]:80").allowed);
        ck_assert(!decide(ipv6, POLICY_CONNECT, "[64:ff9b::8.8.8.8]:80").allowed);
        ck_assert(decide(ipv6, POLICY_ACCEPT, "[2002:808:808::1]:5000").allowed);
        policy_free(ipv4);
        policy_free(ipv6);

        ipv4 = policy_of(TENANT "[Protocol a]\nDataPath=direct\nFamily=ipv4\nListen=0.0.0.0/0:*\n");
        ipv6 = policy_of(TENANT "[Protocol a]\nDataPath=direct\nFamily=ipv6\nListen=[::]/0:*\n");
        ck_assert(!decide(ipv4, POLICY_LISTEN, "[2002:808:808::1]:80").allowed);
        ck_assert(decide(ipv6, POLICY_LISTEN, "[2002:808:808::1]:80").allowed);
        ck_assert(!decide(ipv6, POLICY_LISTEN, "[::ffff:8.8.8.8]:80").allowed);
        policy_free(ipv4);
        policy_free(ipv6);
}
END_TEST

/* ---- properties ---- */

static const char *const random_prefixes[][12] = {
        { "0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "127.0.0.0/8", "127.0.0.1", "0.0.0.0", "0.0.0.0/8",
          "169.254.0.0/16", "169.254.169.254", "192.0.2.0/24", "128.0.0.0/1" },
        { "[::]/0", "[::]", "[::1]", "[2001:db8::]/32", "[2001:db8::1]", "[fe80::]/10", "[fd00::]/8",
          "[64:ff9b:1::]/96", "[::]/1", "[8000::]/1", "[2600::]/12", "[fd00:ec2::254]" },
};

static const char *const random_ports[] = { "*", "80", "443", "80-443", "1-65535", "81-442" };

static const char *const random_addresses[] = {
        "10.1.2.3",
        "10.1.9.9",
        "10.200.0.1",
        "8.8.8.8",
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "0.1.2.3",
        "169.254.1.1",
        "169.254.169.254",
        "192.0.2.7",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "2001:db8::1",
        "2001:db8::2",
        "fe80::1",
        "fd00::1",
        "fd00:ec2::254",
        "2606:4700::1",
        "ff02::1",
        "::ffff:10.1.2.3",
        "::ffff:127.0.0.1",
        "::ffff:0.0.0.0",
        "::10.1.2.3",
        "64:ff9b::10.1.2.3",
        "64:ff9b::7f00:1",
        "64:ff9b::",
        "64:ff9b:1::10.1.2.3",
        "64:ff9b:1:2::808:808",
        "2002:a01:203::1",
        "2002:7f00:1::",
        "2001:0:1::f5fe:fdfc",
        "2001:0:1::80ff:fffe",
        "::ffff:0:10.1.2.3",
        "::ffff:0:0:0",
        "2606:4700::5efe:10.1.2.3",
        "2606:4700::200:5efe:7f00:1",
        "fe80::5efe:10.1.2.3",
        "fe80::5efe:7f00:1",
};

static const uint16_t random_port_numbers[] = { 0, 1, 80, 81, 200, 443, 444, 65535 };

/** Whether the first bits are the same, one by one: the slow way. */
static bool oracle_covers(const struct nb_prefix *prefix, const struct nb_ip *ip) {
        if (prefix->ip.family != ip->family)
                return false;
        for (int i = 0; i < prefix->length; ++i)
                if (((prefix->ip.bytes[i / 8] ^ ip->bytes[i / 8]) >> (7 - i % 8)) & 1)
                        return false;
        return true;
}

static bool oracle_rule_matches(const struct policy_rule *rule, enum policy_rule_kind kind, const struct nb_ip *ip,
                                uint16_t port) {
        return rule->kind == kind && oracle_covers(&rule->prefix, ip) && rule->ports.first <= port &&
               port <= rule->ports.last;
}

/** Whether some rule of that kind holds, whose own prefix lies in `range` and is at least `length` long. */
static bool oracle_has(const struct policy_protocol *protocol, enum policy_rule_kind kind, const struct nb_ip *ip,
                       uint16_t port, const struct nb_prefix *range, int length) {
        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *rule = &protocol->rules[i];

                if (!oracle_rule_matches(rule, kind, ip, port) || rule->prefix.length < length)
                        continue;
                if (!range || oracle_covers(range, &rule->prefix.ip))
                        return true;
        }
        return false;
}

static void oracle_reach_loopback(struct nb_ip *ip) {
        if (nb_ip_is_unspecified(ip))
                nb_ip_parse(ip->family == AF_INET ? "127.0.0.1" : "::1", ip->family == AF_INET ? 9 : 3, ip);
}

static bool oracle_denies(const struct policy_protocol *protocol, enum policy_verb verb, struct nb_ip ip,
                          uint16_t port) {
        if (oracle_has(protocol, POLICY_RULE_DENY, &ip, port, NULL, 0))
                return true;
        if (verb != POLICY_CONNECT || !nb_ip_is_unspecified(&ip))
                return false;
        oracle_reach_loopback(&ip);
        return oracle_has(protocol, POLICY_RULE_DENY, &ip, port, NULL, 0);
}

static bool oracle_guard_passes(const struct policy_protocol *protocol, enum policy_verb verb, const struct nb_ip *ip,
                                uint16_t port) {
        for (size_t i = 0; i < policy_guard_count(); ++i) {
                const struct policy_guard *guard = policy_guard_at(i);

                if (!oracle_covers(&guard->range, ip))
                        continue;
                if (guard->except.length > 0 && oracle_covers(&guard->except, ip))
                        continue;
                if (guard->no_grant)
                        return false;
                if (verb == POLICY_CONNECT &&
                    !oracle_has(protocol, POLICY_RULE_CONNECT, ip, port, &guard->range, guard->naming_length))
                        return false;
        }
        return true;
}

static bool oracle_wildcard(const struct policy_protocol *protocol, const struct nb_ip *ip, uint16_t port) {
        bool every = false, denied = false;

        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *rule = &protocol->rules[i];

                if (rule->prefix.ip.family != ip->family || port < rule->ports.first || port > rule->ports.last)
                        continue;
                if (rule->kind == POLICY_RULE_DENY)
                        denied = true;
                if (rule->kind != POLICY_RULE_LISTEN)
                        continue;
                if (nb_ip_is_unspecified(&rule->prefix.ip) && rule->prefix.length == (ip->family == AF_INET ? 32 : 128))
                        return true;
                every = every || rule->prefix.length == 0;
        }
        return every && !denied;
}

/** The rules of policy.h, said once more, as plainly as possible. */
static bool oracle(const struct policy_protocol *protocol, enum policy_verb verb,
                   const struct nb_socket_address *asked) {
        const struct nb_address *address = &asked->ip;
        struct nb_ip forms[2] = { address->ip };
        int n = 1, n_used;

        nb_ip_unmap(&forms[0]);
        n += nb_ip_embedded_ipv4(&forms[0], &forms[1]);
        n_used = verb == POLICY_CONNECT ? n : 1; /* for all but Deny rules */

        for (int i = 0; i < n_used; ++i) {
                bool ipv4 = forms[i].family == AF_INET;

                if (protocol->family == (ipv4 ? POLICY_FAMILY_IPV6 : POLICY_FAMILY_IPV4))
                        return false;
        }
        for (int i = 0; i < n; ++i)
                if (oracle_denies(protocol, verb, forms[i], address->port))
                        return false;
        if (verb == POLICY_ACCEPT)
                return true;
        if (verb == POLICY_CONNECT && address->port == 0)
                return false;
        for (int i = 0; i < n && verb == POLICY_CONNECT; ++i)
                oracle_reach_loopback(&forms[i]);
        for (int i = 0; i < n_used; ++i)
                if (!oracle_guard_passes(protocol, verb, &forms[i], address->port))
                        return false;
        if (verb == POLICY_LISTEN && nb_ip_is_unspecified(&forms[0]))
                return oracle_wildcard(protocol, &forms[0], address->port);
        if (verb == POLICY_LISTEN)
                return oracle_has(protocol, POLICY_RULE_LISTEN, &forms[0], address->port, NULL, 0);
        return oracle_has(protocol, POLICY_RULE_CONNECT, &forms[n - 1], address->port, NULL, 0);
}

static bool is_unspecified(const char *prefix) {
        return strcmp(prefix, "0.0.0.0") == 0 || strcmp(prefix, "[::]") == 0;
}

static void random_policy(uint64_t *state, char *text, size_t size) {
        static const char *const kinds[] = { "Connect", "Connect", "Listen", "Deny" };
        static const char *const family_names[] = { "ip", "ip", "ipv4", "ipv6" };
        const char *family = PICK(state, family_names);
        size_t n = next_random(state) % 8;

        snprintf(text, size, TENANT "[Protocol web]\nFamily=%s\nDataPath=direct\n", family);
        for (size_t i = 0; i < n; ++i) {
                size_t used = strlen(text), which = next_random(state) % 2;

                if (strcmp(family, "ip") != 0)
                        which = strcmp(family, "ipv6") == 0;

                const char *kind = PICK(state, kinds), *prefix = PICK(state, random_prefixes[which]);

                if (strcmp(kind, "Connect") == 0 && is_unspecified(prefix))
                        continue; /* a load error */
                snprintf(text + used, size - used, "%s=%s:%s\n", kind, prefix, PICK(state, random_ports));
        }
}

static struct nb_socket_address random_address(uint64_t *state) {
        const char *ip = PICK(state, random_addresses);
        struct nb_address address = { .port = PICK(state, random_port_numbers) };

        ck_assert_int_eq(nb_ip_parse(ip, strlen(ip), &address.ip), 0);
        return nb_socket_address_of_ip(&address);
}

START_TEST(abuse_12_13_14_21_decisions_are_the_oracles) {
        static const struct policy_property property = {
                .seed = 0x243f6a8885a308d3,
                .policies = 3000,
                .questions = 40,
                .remedy_in = 8,
                .write = random_policy,
                .pick = random_address,
                .oracle = oracle,
        };

        expect_property(&property);
}
END_TEST

/* What fuzzing would find at once: every cut, and many a change, ends in a policy or in an error that can be shown. */
START_TEST(damaged_files) {
        expect_damage_is_told(whole_file, 0x13198a2e03707344);
}
END_TEST

START_TEST(free_takes_null) {
        ck_assert_ptr_null(policy_free(NULL));
        ck_assert_ptr_null(policy_free(policy_new()));
}
END_TEST

static Suite *policy_suite(void) {
        Suite *suite = suite_create("policy");
        TCase *good = tcase_create("good files"), *bad = tcase_create("bad files");
        TCase *decision = tcase_create("decisions"), *property = tcase_create("properties");

        tcase_add_test(good, a_whole_file);
        tcase_add_test(good, a_data_path_may_be_assumed);
        tcase_add_test(good, tenants_of_several_files);
        tcase_add_test(good, sixty_four_protocols);
        tcase_add_test(good, names_of_sections_are_not_cut);
        tcase_add_test(good, long_lines);
        tcase_add_test(good, the_man_pages_examples);
        tcase_add_test(good, free_takes_null);
        tcase_add_loop_test(bad, bad_text, 0, ELEMENTS(bad_texts));
        tcase_add_loop_test(bad, abuse_15_18_19_20_bad_rule, 0, ELEMENTS(bad_rules));
        tcase_add_test(bad, nul_bytes);
        tcase_add_test(bad, a_rule_for_the_other_family);
        tcase_add_test(bad, rules_of_other_kinds);
        tcase_add_test(bad, abuse_13_rules_beside_ipv4_inside_ipv6);
        tcase_add_test(bad, a_file_too_large);
        tcase_add_test(bad, errors_as_an_operator_sees_them);
        tcase_add_test(bad, edit_distance);
        tcase_add_loop_test(decision, abuse_12_13_21_decision, 0, ELEMENTS(decisions));
        tcase_add_test(decision, families);
        tcase_add_test(property, abuse_12_13_14_21_decisions_are_the_oracles);
        tcase_add_test(property, damaged_files);
        tcase_set_timeout(property, 60);
        suite_add_tcase(suite, good);
        suite_add_tcase(suite, bad);
        suite_add_tcase(suite, decision);
        suite_add_tcase(suite, property);
        return suite;
}

int main(void) {
        return run_suite(policy_suite());
}
