/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host names: what is one, and in which form.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/host_name.h"
#include "tests/support/runner.h"

#define LABEL_63 "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0"
#define NAME_192 LABEL_63 "." LABEL_63 "." LABEL_63 "."
#define LABEL_61 "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxy"

static const struct {
        const char *text;
        const char *name;
        uint16_t port;
} names[] = {
        { "redis.example:6379", "redis.example", 6379 },
        { "localhost:1", "localhost", 1 },
        { "EVIL.com.:443", "evil.com", 443 }, /* abuse case 17 */
        { "xn--bcher-kva.example:65535", "xn--bcher-kva.example", 65535 },
        { "my_service:80", "my_service", 80 },
        { "_dns._udp.example:53", "_dns._udp.example", 53 },
        { "1.2.3.4.example:80", "1.2.3.4.example", 80 },
        { "4a:80", "4a", 80 },
        { "0xg:80", "0xg", 80 },
        { "127.0.0.1x:80", "127.0.0.1x", 80 },
        { "a:80", "a", 80 },
        { "b\xc3\xbc"
          "cher.example:80",
          "xn--bcher-kva.example", 80 },
        { "B\xc3\xbc"
          "CHER.Example.:80",
          "xn--bcher-kva.example", 80 }, /* ASCII letters lose their case, whatever is beside them */
        { "fa\xc3\x9f.example:80", "xn--fa-hia.example", 80 }, /* non-transitional */
        { "_sip.b\xc3\xbc"
          "cher:80",
          "_sip.xn--bcher-kva", 80 },
        { "\xe4\xbe\x8b.\xe6\xb5\x8b\xe8\xaf\x95:80", "xn--fsq.xn--0zwm56d", 80 },
        { "a--b.example:80", "a--b.example", 80 },
        { LABEL_63 ":80", LABEL_63, 80 },
        { NAME_192 LABEL_61 ":80", NAME_192 LABEL_61, 80 },
        { NAME_192 LABEL_61 ".:80", NAME_192 LABEL_61, 80 },
};

START_TEST(abuse_17_a_name) {
        struct policy_host_name name;

        ck_assert_int_eq(policy_host_name_parse(names[_i].text, strlen(names[_i].text), &name), 0);
        ck_assert_str_eq(name.text, names[_i].name);
        ck_assert_uint_eq(name.port, names[_i].port);
}
END_TEST

static const char *const no_names[] = {
        "",
        ":",
        ":80",
        ".:80",
        "..:80",
        ".a:80",
        "a..b:80",
        "a..:80",
        "a",
        "a:",
        "a:0",
        "a:080",
        "a:+80",
        "a:-1",
        "a:80x",
        "a: 80",
        "a:65536",
        "a:80:80",
        "-a:80",
        "a-:80",
        "a.-b.example:80",
        "a.b-.example:80",
        "a b:80",
        "a\nb:80",
        "a*:80",
        "*.example:80",
        "user@a:80",
        "a/b:80",
        "[a]:80",
        "[::1]:80",
        "::1:80",
        /* What inet_aton(3) reads: abuse case 15. */
        "127.0.0.1:80",
        "127.1:80",
        "2130706433:80",
        "0x7f000001:80",
        "0X7F.1:80",
        "1.0x:80",
        "1.0x7f:80",
        "017700000001:80",
        "1.2.3.4.5:80",
        "a.1:80",
        "127.0.0.1.:80",
        /* Other scripts, in a spelling that would have to be mapped, or none at all. */
        "B\xc3\x9c"
        "CHER:80",
        "bu\xcc\x88"
        "cher:80",
        "\xef\xbd\x85vil.com:80",
        "evil\xe3\x80\x82"
        "com:80",
        "a\xc2\xad"
        "b:80",
        "\xe2\x80\x8d:80",
        "\xd7\x90"
        "b:80",
        "a\xc2\xb7"
        "b:80",
        "\xe2\x9d\xa4.ws:80",
        "-\xc3\xbc:80",
        "\xc3\xbc-:80",
        "b\xfc"
        "cher:80",
        "b\xc3:80",
        "\xed\xa0\x80:80",
        LABEL_63 "x:80",
        NAME_192 LABEL_61 "x:80",
};

START_TEST(abuse_11_15_18_19_no_name) {
        struct policy_host_name name = { .port = 7 };

        ck_assert_int_eq(policy_host_name_parse(no_names[_i], strlen(no_names[_i]), &name), -EINVAL);
        ck_assert_uint_eq(name.port, 7);
}
END_TEST

/* Case 11 of the abuse cases: what is behind the NUL counts. */
START_TEST(a_nul_inside) {
        static const char text[] = "evil.com\0.example:80";
        struct policy_host_name name;

        ck_assert_int_eq(policy_host_name_parse(text, sizeof(text) - 1, &name), -EINVAL);
}
END_TEST

/* Only the bytes that are given are read. */
START_TEST(not_ended_by_a_nul) {
        char *text = strndup("a.example:80", 12);
        struct policy_host_name name;

        ck_assert_ptr_nonnull(text);
        ck_assert_int_eq(policy_host_name_parse(text, 11, &name), 0);
        ck_assert_uint_eq(name.port, 8);
        ck_assert_int_eq(policy_host_name_parse(text, 10, &name), -EINVAL);
        free(text);
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("host_name");
        TCase *tcase = tcase_create("host_name");

        suite_add_tcase(suite, tcase);
        tcase_add_loop_test(tcase, abuse_17_a_name, 0, sizeof(names) / sizeof(names[0]));
        tcase_add_loop_test(tcase, abuse_11_15_18_19_no_name, 0, sizeof(no_names) / sizeof(no_names[0]));
        tcase_add_test(tcase, a_nul_inside);
        tcase_add_test(tcase, not_ended_by_a_nul);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
