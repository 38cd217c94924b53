/* SPDX-License-Identifier: Apache-2.0 */
/* A tenant of several files: drop-ins, and what Include= reads. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/runner.h"
#include "tests/unit/policy_text.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

#define FRAGMENTS_MAX 4

/** A file that can be included. */
struct file {
        const char *name, *text;
};

static const struct file files[] = {
        { "users.inc", "# who\nUser=a\nUser=b\n" },
        { "rules.inc", "Connect=10.0.0.0/8:443\nDeny=10.1.0.0/16:*\n" },
        { "unix.inc", "Family=unix\nConnect=/run/a\n" },
        { "family.inc", "Family=ipv4\n" },
        { "nested.inc", "Connect=10.0.0.1:1\nInclude=rules.inc\nConnect=10.0.0.2:2\n" },
        { "self.inc", "Deny=10.0.0.1:1\nInclude=self.inc\n" },
        { "ping.inc", "Include=pong.inc\n" },
        { "pong.inc", "Include=ping.inc\n" },
        { "bad.inc", "\nConnect=10.0.0.1/8:443\n" },
        { "section.inc", "Connect=10.0.0.1:1\n[Protocol other]\n" },
        { "name.inc", "Name=acme\n" },
        { "d1.inc", "Include=d2.inc\n" },
        { "d2.inc", "Include=d3.inc\n" },
        { "d3.inc", "Include=d4.inc\n" },
        { "d4.inc", "Deny=10.4.0.0/16:*\n" },
        { "e1.inc", "Include=d1.inc\n" },
        { "empty.inc", "" },
        { "timeout.inc", "ConnectTimeout=5s\n" },
        { "limits.inc", "MaxSessions=7\n" },
};

static int read_file(void *data, const char *from, const char *path, char **ret_file, char **ret_text,
                     size_t *ret_length) {
        ck_assert_ptr_nonnull(from);
        ++*(unsigned *)data;
        for (size_t i = 0; i < ELEMENTS(files); ++i) {
                if (strcmp(files[i].name, path) != 0)
                        continue;
                *ret_file = strdup(path);
                *ret_text = strdup(files[i].text);
                ck_assert(*ret_file && *ret_text);
                *ret_length = strlen(files[i].text);
                return 0;
        }
        return strcmp(path, "fifo.inc") == 0 ? -ESPIPE : -ENOENT;
}

/** Adds a tenant of up to FRAGMENTS_MAX texts, which are called acme.conf, 1.conf, 2.conf… */
static int add_fragments(struct policy *policy, const char *const *texts, struct policy_error *error) {
        static const char *const names[] = { "acme.conf", "1.conf", "2.conf", "3.conf" };
        struct policy_fragment fragments[FRAGMENTS_MAX];
        unsigned n_read = 0;
        const struct policy_loader loader = { .include = read_file, .include_data = &n_read };
        size_t n = 0;

        for (; n < FRAGMENTS_MAX && texts[n]; ++n)
                fragments[n] = (struct policy_fragment){ names[n], texts[n], strlen(texts[n]) };
        return policy_add_tenant(policy, fragments, n, &loader, error);
}

static struct policy *policy_of_fragments(const char *const *texts) {
        struct policy *policy = policy_new();
        struct policy_error error;
        char message[2048];
        int r = add_fragments(policy, texts, &error);

        ck_assert_msg(r == 0, "%s", r < 0 ? policy_error_format(&error, message, sizeof(message)) : "");
        return policy;
}

#define FRAGMENTS(...) ((const char *const[FRAGMENTS_MAX + 1]){ __VA_ARGS__ })

static void check_rule(const struct policy_protocol *protocol, size_t i, const char *text, const char *file,
                       unsigned line) {
        ck_assert_uint_lt(i, protocol->n_rules);
        ck_assert_str_eq(protocol->rules[i].text, text);
        ck_assert_str_eq(protocol->rules[i].file, file);
        ck_assert_uint_eq(protocol->rules[i].line, line);
}

/* ---- drop-ins ---- */

START_TEST(a_drop_in_overrides_and_adds) {
        struct policy *policy = policy_of_fragments(
                FRAGMENTS(POLICY_HEAD "Connect=10.0.0.0/8:443\nConnectTimeout=1s\nSocketTypes=stream\n",
                          "[Tenant]\nUser=a\nMode=report\n"
                          "[Protocol web]\nDeny=10.9.0.0/16:*\nConnectTimeout=2s\nSocketTypes=dgram\n"
                          "[Protocol more]\nFamily=ipv4\nDataPath=direct\n",
                          "[Protocol web]\nConnectTimeout=3s\nConnect=10.0.0.1:80\n[Tenant]\nUser=b\nMode=enforce\n"));
        const struct policy_tenant *tenant = policy_find_tenant(policy, "acme");
        const struct policy_protocol *web = policy_find_protocol(tenant, "web");

        ck_assert_uint_eq(policy->n_tenants, 1);
        ck_assert_uint_eq(tenant->n_principals, 2);
        ck_assert_str_eq(tenant->principals[1].text, "b");
        ck_assert_str_eq(tenant->principals[1].file, "2.conf");
        ck_assert_uint_eq(tenant->principals[1].line, 5);
        ck_assert_int_eq(tenant->mode, POLICY_MODE_ENFORCE);
        ck_assert_uint_eq(web->connect_timeout_ms, 3000);
        ck_assert_uint_eq(web->socket_types, POLICY_SOCKET_DGRAM);
        ck_assert_str_eq(web->file, "acme.conf");
        ck_assert_uint_eq(web->n_rules, 3);
        check_rule(web, 0, "Connect=10.0.0.0/8:443", "acme.conf", 6);
        check_rule(web, 1, "Deny=10.9.0.0/16:*", "1.conf", 5);
        check_rule(web, 2, "Connect=10.0.0.1:80", "2.conf", 3);
        ck_assert_ptr_nonnull(policy_find_protocol(tenant, "more"));
        ck_assert(!decide(policy, POLICY_CONNECT, "10.9.0.1:443").allowed);
        ck_assert(decide(policy, POLICY_CONNECT, "10.8.0.1:443").allowed);
        policy_free(policy);
}
END_TEST

START_TEST(a_drop_in_completes) {
        struct policy *policy =
                policy_of_fragments(FRAGMENTS("[Protocol db]\nConnect=/run/a\n[Preopen http]\nDataPath=direct\n",
                                              "[Protocol db]\nFamily=unix\n[Preopen http]\nListen=127.0.0.1:80\n",
                                              "[Tenant]\nName=acme\n[Protocol db]\nDataPath=direct\n"));

        ck_assert_str_eq(policy->tenants[0].file, "2.conf");
        ck_assert_int_eq(policy->tenants[0].protocols[0].rules[0].target, POLICY_TARGET_UNIX);
        ck_assert_int_eq(policy->tenants[0].preopens[0].verb, POLICY_LISTEN);
        policy_free(policy);
}
END_TEST

START_TEST(one_address_is_left_of_a_preopened_socket) {
        struct policy *policy =
                policy_of_fragments(FRAGMENTS(POLICY_TENANT "[Preopen http]\nListen=/run/a\nDataPath=direct\n",
                                              "[Preopen http]\nListen=127.0.0.1:80\nDeny=10.0.0.0/8:*\n"));
        const struct policy_preopen *http = &policy->tenants[0].preopens[0];
        char text[NB_SOCKET_ADDRESS_TEXT_MAX];

        ck_assert_str_eq(nb_socket_address_format(&http->address, text), "127.0.0.1:80");
        ck_assert_uint_eq(http->protocol.n_rules, 2);
        check_rule(&http->protocol, 0, "Listen=127.0.0.1:80", "1.conf", 2);
        policy_free(policy);
}
END_TEST

/* ---- included files ---- */

START_TEST(lines_are_taken_as_if_they_stood_there) {
        struct policy *policy = policy_of_fragments(
                FRAGMENTS("[Tenant]\nInclude=name.inc\nInclude=users.inc\nInclude=limits.inc\nInclude=empty.inc\n"
                          "[Protocol web]\nConnect=10.0.0.0:1\nInclude=nested.inc\nInclude=rules.inc\n"
                          "Include=family.inc\nDataPath=direct\n"
                          "[Protocol db]\nInclude=unix.inc\nDataPath=direct\n"));
        const struct policy_tenant *tenant = policy_find_tenant(policy, "acme");
        const struct policy_protocol *web = policy_find_protocol(tenant, "web");

        ck_assert_uint_eq(tenant->n_principals, 2);
        ck_assert_str_eq(tenant->principals[0].file, "users.inc");
        ck_assert_uint_eq(tenant->principals[0].line, 2);
        ck_assert_uint_eq(tenant->limits[POLICY_LIMIT_SESSIONS], 7);
        ck_assert_int_eq(web->family, POLICY_FAMILY_IPV4);
        ck_assert_uint_eq(web->n_rules, 7);
        check_rule(web, 1, "Connect=10.0.0.1:1", "nested.inc", 1);
        check_rule(web, 2, "Connect=10.0.0.0/8:443", "rules.inc", 1);
        check_rule(web, 4, "Connect=10.0.0.2:2", "nested.inc", 3);
        check_rule(web, 6, "Deny=10.1.0.0/16:*", "rules.inc", 2);
        ck_assert_int_eq(policy_find_protocol(tenant, "db")->rules[0].target, POLICY_TARGET_UNIX);
        policy_free(policy);
}
END_TEST

START_TEST(four_deep) {
        struct policy *policy = policy_of_fragments(FRAGMENTS(POLICY_HEAD "Include=d1.inc\n"));

        check_rule(&policy->tenants[0].protocols[0], 0, "Deny=10.4.0.0/16:*", "d4.inc", 1);
        policy_free(policy);
}
END_TEST

START_TEST(sixty_four_files) {
        char text[4096] = POLICY_HEAD;
        struct policy *policy;
        struct policy_error error;

        for (int i = 1; i <= POLICY_FILES_MAX; ++i) {
                if (i == POLICY_FILES_MAX)
                        policy_free(policy_of_fragments(FRAGMENTS(text)));
                strncat(text, "Include=empty.inc\n", sizeof(text) - strlen(text) - 1);
        }
        policy = policy_new();
        ck_assert_int_eq(add_fragments(policy, FRAGMENTS(text), &error), -EINVAL);
        ck_assert_ptr_nonnull(strstr(error.message, "at most 64 files"));
        ck_assert_uint_eq(error.line, 5 + POLICY_FILES_MAX);
        policy_free(policy);
}
END_TEST

START_TEST(defaults_may_include) {
        static const char text[] = "[Defaults]\nInclude=limits.inc\nInclude=timeout.inc\n";
        const struct policy_fragment fragment = { "defaults.conf", text, strlen(text) };
        unsigned n_read = 0;
        const struct policy_loader loader = { .include = read_file, .include_data = &n_read };
        struct policy_defaults defaults;
        struct policy_error error;

        ck_assert_int_eq(policy_parse_defaults(&fragment, &loader, &defaults, &error), 0);
        ck_assert_uint_eq(defaults.limits[POLICY_LIMIT_SESSIONS], 7);
        ck_assert_uint_eq(defaults.connect_timeout_ms, 5000);
        ck_assert_uint_eq(n_read, 2);
}
END_TEST

/* ---- netbroker.conf(5) ---- */

/** The first example behind a heading, NUL-terminated; `page` is changed. */
static char *example_in(char *page, const char *heading) {
        static const char begin[] = ".Bd -literal -offset indent\n", end[] = "\n.Ed";
        char *from = strstr(page, heading), *example, *behind;

        ck_assert_msg(from != NULL, "no %s", heading);
        example = strstr(from, begin);
        ck_assert_msg(example != NULL, "no example behind %s", heading);
        example += sizeof(begin) - 1;
        behind = strstr(example, end);
        ck_assert_ptr_nonnull(behind);
        behind[1] = '\0';
        return example;
}

START_TEST(the_man_pages_drop_in) {
        char *page = policy_man_page(), *other = policy_man_page();
        struct policy *policy =
                policy_of_fragments(FRAGMENTS(example_in(page, "\n.Sh EXAMPLES\n"),
                                              example_in(other, "\n.Sh DROP-INS AND INCLUDED FILES\n")));

        ck_assert_uint_eq(policy->tenants[0].limits[POLICY_LIMIT_CONNECTIONS], 100);
        ck_assert(!decide(policy, POLICY_CONNECT, "198.51.100.7:443").allowed);
        ck_assert(decide(policy, POLICY_CONNECT, "8.8.8.8:443").allowed);
        policy_free(policy);
        free(page);
        free(other);
}
END_TEST

START_TEST(the_man_pages_defaults) {
        char *page = policy_man_page();
        const char *text = example_in(page, "\n.Sh THE SECTION [Defaults]\n");
        const struct policy_fragment fragment = { "defaults.conf", text, strlen(text) };
        const struct policy_loader loader = { 0 };
        struct policy_defaults defaults;
        struct policy_error error;

        ck_assert_int_eq(policy_parse_defaults(&fragment, &loader, &defaults, &error), 0);
        ck_assert_int_eq(defaults.data_path, POLICY_DATA_PATH_DIRECT);
        ck_assert_uint_eq(defaults.n_resolvers, 2);
        free(page);
}
END_TEST

/* ---- errors, with the file that they are in ---- */

static const struct {
        const char *fragments[FRAGMENTS_MAX + 1];
        const char *error; /* the first line that the operator sees */
} bad[] = {
        { { POLICY_HEAD, "[Protocol web]\nConnect=10.0.0.1/8:1\n" },
          "1.conf:2:9: error: bits are set behind the first 8: the network is 10.0.0.0/8" },
        { { POLICY_HEAD, "[Protocol web]\nBananas=1\n" }, "1.conf:2:1: error: there is no key Bananas=" },
        { { POLICY_HEAD, "Connect=10.0.0.1:1\n" }, "1.conf:1:1: error: a file begins with a section" },
        { { POLICY_HEAD, "[Protocol web]\nFamily=ip\nFamily=ip\n" },
          "1.conf:3:1: error: Family= is set already, in line 2" },
        { { POLICY_HEAD, "[Protocol web]\n[Protocol web]\n" },
          "1.conf:2:11: error: [Protocol web] stands already in acme.conf:3" },
        { { POLICY_HEAD, "[Preopen web]\n" }, "1.conf:1:10: error: [Protocol web] stands already in acme.conf:3" },
        { { POLICY_HEAD, "[Tenant]\n[Tenant]\n" }, "1.conf:2:1: error: a second [Tenant], after acme.conf:1" },
        { { POLICY_HEAD, "[Tenant]\nName=other\n" },
          "1.conf:2:6: error: this is the tenant acme, and a drop-in cannot rename it" },
        { { POLICY_HEAD "Connect=10.0.0.1:1\n", "[Protocol web]\nFamily=ipv6\n" },
          "acme.conf:6:9: error: an IPv4 rule never matches: [Protocol web] has Family=ipv6" },
        { { POLICY_HEAD, "[Protocol db]\nDataPath=relay\n" }, "1.conf:1: error: [Protocol db] needs Family=" },
        { { "[Protocol db]\nFamily=ip\n", "[Protocol db]\nDataPath=direct\n" },
          "acme.conf: error: no [Tenant] section" },
        { { POLICY_TENANT "SocketMode=0600\n", "[Tenant]\nMode=report\n" },
          "acme.conf:3:12: error: this is about the tenant's own socket" },
        { { POLICY_TENANT, "[Preopen a]\nListen=127.0.0.1:80\nDataPath=direct\n",
            "[Preopen b]\nListen=127.0.0.1:80\nDataPath=direct\n" },
          "2.conf:2:8: error: [Preopen a], in 1.conf:1, listens there already" },
        { { POLICY_TENANT "[Preopen a]\nListen=127.0.0.1:80\nDataPath=direct\n", "[Preopen a]\nConnect=10.0.0.1:80\n" },
          "1.conf:2:9: error: a preopened socket listens or connects" },
        { { POLICY_HEAD, "" }, NULL },
        { { POLICY_HEAD, "# nothing\n", "[Tenant]\nName=acme\n" }, NULL },

        { { POLICY_HEAD "Include=bad.inc\n" },
          "bad.inc:2:9: error: bits are set behind the first 8: the network is 10.0.0.0/8" },
        { { POLICY_HEAD "Include=section.inc\n" }, "section.inc:2:1: error: an included file has no sections" },
        { { POLICY_HEAD "Include=family.inc\n" }, "family.inc:1:1: error: Family= is set already, in acme.conf:4" },
        { { POLICY_TENANT "[Protocol a]\nInclude=family.inc\nFamily=ip\n" },
          "acme.conf:5:1: error: Family= is set already, in family.inc:1" },
        { { POLICY_HEAD "Include=timeout.inc\nInclude=timeout.inc\n" },
          "timeout.inc:1:1: error: ConnectTimeout= is set already, in line 1" },
        { { POLICY_HEAD "Include=timeout.inc\n", "[Protocol web]\nInclude=timeout.inc\n" }, NULL },
        { { POLICY_HEAD "Include=users.inc\n" }, "users.inc:2:1: error: User= belongs in a [Tenant] section" },
        { { POLICY_HEAD "Include=none.inc\n" },
          "acme.conf:6:9: error: cannot read none.inc: No such file or directory" },
        { { POLICY_HEAD "Include=fifo.inc\n" }, "acme.conf:6:9: error: cannot read fifo.inc: not a regular file" },
        { { POLICY_HEAD "Include=self.inc\n" }, "self.inc:2:9: error: the file includes itself" },
        { { POLICY_HEAD "Include=ping.inc\n" }, "pong.inc:1:9: error: the file includes itself" },
        { { POLICY_HEAD "Include=e1.inc\n" }, "d3.inc:1:9: error: files include each other at most 4 deep" },
        { { POLICY_HEAD "Include=\n" }, "acme.conf:6:9: error: Include= has no value" },
        { { "Include=users.inc\n" }, "acme.conf:1:1: error: a file begins with a section" },
};

START_TEST(an_error_names_its_own_file) {
        struct policy *policy = policy_new();
        char message[2048] = "";
        struct policy_error error;
        int r = add_fragments(policy, bad[_i].fragments, &error);

        policy_free(policy);
        if (r < 0)
                policy_error_format(&error, message, sizeof(message));
        if (!bad[_i].error)
                ck_assert_msg(r == 0, "%s", message);
        else
                ck_assert_msg(r == -EINVAL && strncmp(message, bad[_i].error, strlen(bad[_i].error)) == 0, "%s",
                              message);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("policy, fragments");
        TCase *good = tcase_create("good files"), *errors = tcase_create("bad files");

        tcase_add_test(good, a_drop_in_overrides_and_adds);
        tcase_add_test(good, a_drop_in_completes);
        tcase_add_test(good, one_address_is_left_of_a_preopened_socket);
        tcase_add_test(good, lines_are_taken_as_if_they_stood_there);
        tcase_add_test(good, four_deep);
        tcase_add_test(good, sixty_four_files);
        tcase_add_test(good, defaults_may_include);
        tcase_add_test(good, the_man_pages_drop_in);
        tcase_add_test(good, the_man_pages_defaults);
        suite_add_tcase(suite, good);
        tcase_add_loop_test(errors, an_error_names_its_own_file, 0, ELEMENTS(bad));
        suite_add_tcase(suite, errors);
        return run_suite(suite);
}
