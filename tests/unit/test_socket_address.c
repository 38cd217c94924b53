/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/socket_address.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* Where the name begins in the kernel's form. */
#define NAME_OFFSET offsetof(struct sockaddr_un, sun_path)

/* How many random texts and kernel's forms the property tests try. */
#define RANDOM_TEXTS 50000
#define RANDOM_NAMES 50000

static struct nb_socket_address address_of(const char *text) {
        struct nb_socket_address address;

        ck_assert_msg(nb_socket_address_parse(text, strlen(text), &address) == 0, "%s", text);
        return address;
}

/* ---- text ---- */

static const struct {
        const char *text;
        const char *canonical; /* NULL: the same */
        sa_family_t family;
        socklen_t length; /* of the kernel's form */
        bool open;
} good[] = {
        { "192.0.2.1:80", NULL, AF_INET, sizeof(struct sockaddr_in), false },
        { "0.0.0.0:0", NULL, AF_INET, sizeof(struct sockaddr_in), true },
        { "0.0.0.0:80", NULL, AF_INET, sizeof(struct sockaddr_in), false },
        { "127.0.0.1:0", NULL, AF_INET, sizeof(struct sockaddr_in), false },
        { "[2001:DB8:0::1]:80", "[2001:db8::1]:80", AF_INET6, sizeof(struct sockaddr_in6), false },
        { "[::]:0", NULL, AF_INET6, sizeof(struct sockaddr_in6), true },
        { "[::]:1", NULL, AF_INET6, sizeof(struct sockaddr_in6), false },
        { "", NULL, AF_UNIX, NAME_OFFSET, true },
        { "/a", NULL, AF_UNIX, NAME_OFFSET + 3, false },
        { "/run/app/db.sock", NULL, AF_UNIX, NAME_OFFSET + 17, false },
        { "/run/.hidden/..x/...", NULL, AF_UNIX, NAME_OFFSET + 21, false },
        { "/a b/*?[", NULL, AF_UNIX, NAME_OFFSET + 9, false }, /* what is odd for a rule is none for a name */
        { "/\xc3\xa4/\xf0\x9f\x90\x9a", NULL, AF_UNIX, NAME_OFFSET + 9, false },
        { "/\xc2\xa0", NULL, AF_UNIX, NAME_OFFSET + 4, false }, /* the first that is none of C1 */
        { "@a", NULL, AF_UNIX, NAME_OFFSET + 2, false },
        { "@@", NULL, AF_UNIX, NAME_OFFSET + 2, false },
        { "@/", NULL, AF_UNIX, NAME_OFFSET + 2, false }, /* an abstract name is no path */
        { "@/tmp//.X11-unix/../X0/", NULL, AF_UNIX, NAME_OFFSET + 23, false },
};

START_TEST(text_round_trip) {
        struct nb_socket_address address = address_of(good[_i].text), again;
        const char *canonical = good[_i].canonical ? good[_i].canonical : good[_i].text;
        char text[NB_SOCKET_ADDRESS_TEXT_MAX];
        struct sockaddr_storage storage;

        ck_assert_uint_eq(address.family, good[_i].family);
        ck_assert_ptr_eq(nb_socket_address_format(&address, text), text);
        ck_assert_str_eq(text, canonical);
        again = address_of(text);
        ck_assert(nb_socket_address_equal(&address, &again));
        ck_assert_int_eq(nb_socket_address_is_open(&address), good[_i].open);

        ck_assert_uint_eq(nb_socket_address_to_sockaddr(&address, &storage), good[_i].length);
        ck_assert_uint_eq(storage.ss_family, good[_i].family);
        ck_assert_int_eq(nb_socket_address_from_sockaddr((struct sockaddr *)(void *)&storage, good[_i].length, &again),
                         0);
        ck_assert(nb_socket_address_equal(&address, &again));
}
END_TEST

#define TEXT(string) string, sizeof(string) - 1

static const struct {
        const char *text;
        size_t length;
} bad[] = {
        /* paths that have another spelling, or are none */
        { TEXT("/") },
        { TEXT("//") },
        { TEXT("/run/") },
        { TEXT("//run") },
        { TEXT("/run//app") },
        { TEXT("/.") },
        { TEXT("/..") },
        { TEXT("/./run") },
        { TEXT("/run/.") },
        { TEXT("/run/..") },
        { TEXT("/run/./app") },
        { TEXT("/run/../app") },
        { TEXT("/../run") },
        { TEXT("run/app") },
        { TEXT("./run") },
        { TEXT("../run") },
        { TEXT(" /run") },
        { TEXT("unix:/run/app") },

        { TEXT("@") },

        /* what has no place in a text */
        { TEXT("/run/a\0b") },
        { TEXT("/run/a\0") },
        { TEXT("@a\0") },
        { TEXT("\0a") },
        { TEXT("\0") },
        { TEXT("/run/a\n") },
        { TEXT("/run/a\x1b[2J") },
        { TEXT("/run/a\x1f") },
        { TEXT("/run/a\x7f") },
        { TEXT("@\x01") },
        { TEXT("/run/\xc2\x80") },
        { TEXT("/run/\xc2\x9b") },
        { TEXT("@\xc2\x9f") },
        { TEXT("/run/\xff") },
        { TEXT("/run/\xc3") },
        { TEXT("/run/\xc0\xaf") }, /* a slash, written too long */
        { TEXT("/run/\xed\xa0\x80") },
        { TEXT("@\xf4\x90\x80\x80") },

        /* neither Unix nor IP */
        { TEXT(" ") },
        { TEXT("127.0.0.1") },
        { TEXT("localhost:80") },
        { TEXT("[::1]") },
        { TEXT(":80") },
};

START_TEST(abuse_11_text_is_refused) {
        struct nb_socket_address address = { .family = 99 };

        ck_assert_int_eq(nb_socket_address_parse(bad[_i].text, bad[_i].length, &address), -EINVAL);
        ck_assert_uint_eq(address.family, 99);
}
END_TEST

START_TEST(the_empty_text_is_a_socket_and_no_name) {
        struct nb_unix_name name;

        ck_assert_int_eq(nb_unix_name_parse("", 0, &name), -EINVAL);
        ck_assert_int_eq(nb_unix_name_parse("127.0.0.1:80", 12, &name), -EINVAL);
}
END_TEST

/* A name of that many bytes, with a path's slash or an abstract name's `@` in front of them. */
static void long_text(char *text, char first, size_t length) {
        memset(text, 'x', length);
        text[0] = first;
        text[length] = '\0';
}

START_TEST(the_longest_names) {
        char text[NB_UNIX_NAME_MAX + 3], buffer[NB_SOCKET_ADDRESS_TEXT_MAX];
        struct nb_socket_address address, again;
        struct sockaddr_storage storage;
        socklen_t length;

        long_text(text, '/', NB_UNIX_NAME_MAX);
        address = address_of(text);
        ck_assert_str_eq(nb_socket_address_format(&address, buffer), text);
        length = nb_socket_address_to_sockaddr(&address, &storage);
        ck_assert_uint_eq(length, sizeof(struct sockaddr_un)); /* with its NUL */
        ck_assert_int_eq(nb_socket_address_from_sockaddr((struct sockaddr *)(void *)&storage, length, &again), 0);
        ck_assert(nb_socket_address_equal(&address, &again));

        long_text(text, '@', NB_UNIX_NAME_MAX + 1); /* the `@` stands for the NUL */
        address = address_of(text);
        ck_assert_uint_eq(address.un.length, NB_UNIX_NAME_MAX);
        ck_assert_str_eq(nb_socket_address_format(&address, buffer), text);
        length = nb_socket_address_to_sockaddr(&address, &storage);
        ck_assert_uint_eq(length, sizeof(struct sockaddr_un));
        ck_assert_int_eq(nb_socket_address_from_sockaddr((struct sockaddr *)(void *)&storage, length, &again), 0);
        ck_assert(nb_socket_address_equal(&address, &again));

        long_text(text, '/', NB_UNIX_NAME_MAX + 1);
        ck_assert_int_eq(nb_socket_address_parse(text, strlen(text), &address), -EINVAL);
        long_text(text, '@', NB_UNIX_NAME_MAX + 2);
        ck_assert_int_eq(nb_socket_address_parse(text, strlen(text), &address), -EINVAL);
}
END_TEST

START_TEST(a_length_beyond_all) {
        struct nb_socket_address address;
        char *text = malloc(1 << 20);

        ck_assert_ptr_nonnull(text);
        memset(text, 'x', 1 << 20);
        for (const char *first = "/@x1["; *first; ++first) {
                text[0] = *first;
                ck_assert_int_eq(nb_socket_address_parse(text, 1 << 20, &address), -EINVAL);
        }
        free(text);
}
END_TEST

/* ---- the kernel's form ---- */

/* sun_path as a stranger may have set it, and what we take it for; "" is no name. */
static const struct {
        const char *name;
        size_t length;
        const char *text;
} kernel_names[] = {
        { TEXT(""), "" },
        { TEXT("/run/a"), "/run/a" }, /* a path may come without its NUL */
        { TEXT("/run/a\0"), "/run/a" },
        { TEXT("/run/a\0junk"), "/run/a" },
        { TEXT("\0app"), "@app" },
        { TEXT("\0\xc3\xa4"), "@\xc3\xa4" },
        { TEXT("\0@"), "@@" },
        { TEXT("\0/run/../a"), "@/run/../a" },

        /* abstract names that no text stands for */
        { TEXT("\0"), "" },
        { TEXT("\0\0"), "" },
        { TEXT("\0a\0"), "" },
        { TEXT("\0a\0b"), "" },
        { TEXT("\0a\n"), "" },
        { TEXT("\0\xff\xfe"), "" },
        { TEXT("\0\xc2\x85"), "" },

        /* paths that no text stands for */
        { TEXT("run/a"), "" },
        { TEXT("run/a\0"), "" },
        { TEXT("./a"), "" },
        { TEXT("a"), "" },
        { TEXT("@app"), "" }, /* a file of that name: not the abstract one */
        { TEXT("@app\0"), "" },
        { TEXT("/"), "" },
        { TEXT("/run//a"), "" },
        { TEXT("/run/a/"), "" },
        { TEXT("/run/../a"), "" },
        { TEXT("/run/./a"), "" },
        { TEXT("/run/a\x1b"), "" },
        { TEXT("/run/\xff"), "" },
};

/* In memory of exactly that length, so that a sanitizer sees what reads beyond it. */
static int from_kernel(const char *name, size_t length, struct nb_socket_address *ret) {
        struct sockaddr *sa = malloc(NAME_OFFSET + length);
        int r;

        ck_assert_ptr_nonnull(sa);
        sa->sa_family = AF_UNIX;
        memcpy((char *)sa + NAME_OFFSET, name, length);
        r = nb_socket_address_from_sockaddr(sa, (socklen_t)(NAME_OFFSET + length), ret);
        free(sa);
        return r;
}

START_TEST(the_kernels_names) {
        struct nb_socket_address address;
        char text[NB_SOCKET_ADDRESS_TEXT_MAX];

        ck_assert_int_eq(from_kernel(kernel_names[_i].name, kernel_names[_i].length, &address), 0);
        ck_assert_uint_eq(address.family, AF_UNIX);
        ck_assert_str_eq(nb_socket_address_format(&address, text), kernel_names[_i].text);
        ck_assert_int_eq(nb_socket_address_is_open(&address), kernel_names[_i].text[0] == '\0');
}
END_TEST

START_TEST(the_kernels_longest_names) {
        char name[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 2], text[NB_SOCKET_ADDRESS_TEXT_MAX];
        struct nb_socket_address address;
        size_t path_max = sizeof(name) - 2;

        /* all of sun_path: a byte too much for a path of ours, as it was bound and as the kernel tells of it */
        long_text(name, '/', path_max);
        ck_assert_int_eq(from_kernel(name, path_max, &address), 0);
        ck_assert(nb_socket_address_is_open(&address));
        ck_assert_int_eq(from_kernel(name, path_max + 1, &address), 0);
        ck_assert(nb_socket_address_is_open(&address));
        name[path_max - 1] = '\0';
        ck_assert_int_eq(from_kernel(name, path_max, &address), 0);
        ck_assert_str_eq(nb_socket_address_format(&address, text), name);

        long_text(name, '\0', path_max);
        ck_assert_int_eq(from_kernel(name, path_max, &address), 0);
        ck_assert_uint_eq(address.un.length, NB_UNIX_NAME_MAX);
        ck_assert(address.un.abstract);

        ck_assert_int_eq(from_kernel(name, path_max + 2, &address), -EINVAL);
}
END_TEST

START_TEST(abuse_29_lengths_and_families_that_do_not_fit) {
        struct sockaddr_storage storage = { 0 };
        struct sockaddr *sa = (struct sockaddr *)(void *)&storage;
        struct nb_socket_address address = { .family = 99 };

        storage.ss_family = AF_UNIX;
        ck_assert_int_eq(nb_socket_address_from_sockaddr(sa, 0, &address), -EINVAL);
        ck_assert_int_eq(nb_socket_address_from_sockaddr(sa, 1, &address), -EINVAL);
        ck_assert_int_eq(nb_socket_address_from_sockaddr(sa, sizeof(struct sockaddr_un) + 2, &address), -EINVAL);
        ck_assert_int_eq(nb_socket_address_from_sockaddr(sa, (socklen_t)-1, &address), -EINVAL);
        storage.ss_family = AF_INET;
        ck_assert_int_eq(nb_socket_address_from_sockaddr(sa, sizeof(struct sockaddr_in) - 1, &address), -EINVAL);
        storage.ss_family = AF_INET6;
        ck_assert_int_eq(nb_socket_address_from_sockaddr(sa, sizeof(struct sockaddr_in), &address), -EINVAL);
        storage.ss_family = AF_UNSPEC; /* abuse case 29 */
        ck_assert_int_eq(nb_socket_address_from_sockaddr(sa, sizeof(storage), &address), -EAFNOSUPPORT);
        storage.ss_family = AF_VSOCK;
        ck_assert_int_eq(nb_socket_address_from_sockaddr(sa, sizeof(storage), &address), -EAFNOSUPPORT);
        ck_assert_uint_eq(address.family, 99);
}
END_TEST

/* What the kernel itself says of a socket that is bound to `name`. */
static struct nb_socket_address bound_to(const char *name, size_t length) {
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        struct sockaddr_storage storage;
        struct nb_socket_address address;
        socklen_t told = sizeof(storage);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        ck_assert_int_ge(fd, 0);
        memcpy(un.sun_path, name, length);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, (socklen_t)(NAME_OFFSET + length)), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&storage, &told), 0);
        ck_assert_int_eq(nb_socket_address_from_sockaddr((struct sockaddr *)&storage, told, &address), 0);
        ck_assert_int_eq(close(fd), 0);
        return address;
}

START_TEST(a_kernels_word) {
        char folder[] = "/tmp/test_socket_address.XXXXXX", name[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
        char text[NB_SOCKET_ADDRESS_TEXT_MAX], path[64];
        struct nb_socket_address address;

        ck_assert_ptr_nonnull(mkdtemp(folder));
        ck_assert_int_eq(chdir(folder), 0);

        memset(name, 'x', sizeof(name)); /* a stranger that leaves no room for the NUL */
        address = bound_to(name, sizeof(name));
        ck_assert(nb_socket_address_is_open(&address));
        snprintf(path, sizeof(path), "%s/s", folder);
        address = bound_to(path, strlen(path));
        ck_assert_str_eq(nb_socket_address_format(&address, text), path);
        address = bound_to("", 0); /* the kernel chooses an abstract name of five digits */
        ck_assert(address.un.abstract);
        ck_assert_uint_eq(address.un.length, 5);

        ck_assert_int_eq(unlink(path), 0);
        snprintf(text, sizeof(text), "%.*s", (int)sizeof(name), name);
        ck_assert_int_eq(unlink(text), 0);
        ck_assert_int_eq(chdir("/"), 0);
        ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

/* ---- values ---- */

static const char *const different[] = {
        "192.0.2.1:80", "192.0.2.1:81", "192.0.2.2:80", "[::ffff:192.0.2.1]:80",
        "[::1]:80",     "0.0.0.0:0",    "[::]:0",       "",
        "/app",         "@app",         "@/app",        "/apps",
        "/App",         "@ap",
};

START_TEST(equality) {
        for (size_t i = 0; i < ELEMENTS(different); ++i) {
                for (size_t j = 0; j < ELEMENTS(different); ++j) {
                        struct nb_socket_address a = address_of(different[i]), b = address_of(different[j]);

                        ck_assert_msg(nb_socket_address_equal(&a, &b) == (i == j), "%s, %s", different[i],
                                      different[j]);
                }
        }
}
END_TEST

START_TEST(what_lies_behind_a_name_does_not_count) {
        struct nb_socket_address a = address_of("@app"), b = a;

        b.un.text[NB_UNIX_NAME_MAX] = 'x';
        ck_assert(nb_socket_address_equal(&a, &b));
}
END_TEST

START_TEST(of_ip) {
        struct nb_socket_address parsed = address_of("[2001:db8::1]:80");
        struct nb_socket_address made = nb_socket_address_of_ip(&parsed.ip);

        ck_assert_uint_eq(made.family, AF_INET6);
        ck_assert(nb_socket_address_equal(&parsed, &made));
}
END_TEST

/* ---- properties ---- */

static size_t random_bytes(uint64_t *state, char *buffer, size_t size) {
        static const char alphabet[] = "//..@a\0\xc3\xa4\x7f*:1[]";
        size_t length = next_random(state) % (size + 1);

        for (size_t i = 0; i < length; ++i)
                buffer[i] = next_random(state) % 16 == 0 ? (char)next_random(state)
                                                         : alphabet[next_random(state) % (sizeof(alphabet) - 1)];
        return length;
}

/* What parses prints as itself, where it is a Unix socket's: one text a name. */
START_TEST(random_texts) {
        uint64_t state = 0x452821e638d01377;
        unsigned names = 0;

        for (int i = 0; i < RANDOM_TEXTS; ++i) {
                char bytes[12], text[NB_SOCKET_ADDRESS_TEXT_MAX];
                size_t length = random_bytes(&state, bytes, sizeof(bytes));
                struct nb_socket_address address;

                if (nb_socket_address_parse(bytes, length, &address) < 0)
                        continue;
                nb_socket_address_format(&address, text);
                if (address.family != AF_UNIX)
                        continue;
                ck_assert_uint_eq(strlen(text), length);
                ck_assert_mem_eq(text, bytes, length);
                names += length > 0;
        }
        ck_assert_uint_gt(names, RANDOM_TEXTS / 50);
}
END_TEST

/* Whatever the kernel tells, what we keep of it has a text that parses to the same. */
START_TEST(random_kernel_names) {
        uint64_t state = 0xbe5466cf34e90c6c;
        unsigned names = 0;

        for (int i = 0; i < RANDOM_NAMES; ++i) {
                char bytes[16], text[NB_SOCKET_ADDRESS_TEXT_MAX];
                size_t length = random_bytes(&state, bytes, sizeof(bytes));
                struct nb_socket_address address, again;

                ck_assert_int_eq(from_kernel(bytes, length, &address), 0);
                nb_socket_address_format(&address, text);
                again = address_of(text);
                ck_assert(nb_socket_address_equal(&address, &again));
                names += address.un.length > 0;
        }
        ck_assert_uint_gt(names, RANDOM_NAMES / 100);
}
END_TEST

static Suite *socket_address_suite(void) {
        Suite *suite = suite_create("socket address");
        TCase *text = tcase_create("text"), *kernel = tcase_create("kernel");
        TCase *values = tcase_create("values"), *property = tcase_create("properties");

        tcase_add_loop_test(text, text_round_trip, 0, ELEMENTS(good));
        tcase_add_loop_test(text, abuse_11_text_is_refused, 0, ELEMENTS(bad));
        tcase_add_test(text, the_empty_text_is_a_socket_and_no_name);
        tcase_add_test(text, the_longest_names);
        tcase_add_test(text, a_length_beyond_all);
        tcase_add_loop_test(kernel, the_kernels_names, 0, ELEMENTS(kernel_names));
        tcase_add_test(kernel, the_kernels_longest_names);
        tcase_add_test(kernel, a_kernels_word);
        tcase_add_test(kernel, abuse_29_lengths_and_families_that_do_not_fit);
        tcase_add_test(values, equality);
        tcase_add_test(values, what_lies_behind_a_name_does_not_count);
        tcase_add_test(values, of_ip);
        tcase_add_test(property, random_texts);
        tcase_add_test(property, random_kernel_names);
        suite_add_tcase(suite, text);
        suite_add_tcase(suite, kernel);
        suite_add_tcase(suite, values);
        suite_add_tcase(suite, property);
        return suite;
}

int main(void) {
        return run_suite(socket_address_suite());
}
