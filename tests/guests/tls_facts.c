/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_facts ADDRESS...: connects to each in turn, asks for a page in plain text, reads it to its end, and prints a line of what the host says of
 * TLS: version, cipher, ALPN, whether it was resumed, and the names of the peer's certificate. "none" where it says that there is none.
 */
#include <wasi/networking_ext.h>

#include "tests/guests/guest.h"

typedef __wasi_errno_t text_function(__wasi_fd_t fd, char *buffer, __wasi_size_t size, __wasi_size_t *ret_length);

static void print_text(text_function *function, __wasi_fd_t fd) {
        char text[WASI_NETWORKING_TLS_TEXT_MAX];
        __wasi_size_t length;

        CHECK_OK(function(fd, text, sizeof(text), &length));
        CHECK(length <= sizeof(text));
        printf("'%.*s' ", (int)length, text);
}

static void print_names(__wasi_fd_t fd) {
        char text[WASI_NETWORKING_TLS_TEXT_MAX];
        __wasi_size_t length;
        __wasi_errno_t error;
        uint32_t index = 0;

        while ((error = __wasi_networking_tls_peer_name(fd, index, text, sizeof(text), &length)) == 0) {
                printf(" %.*s", (int)length, text);
                ++index;
        }
        CHECK(error == __WASI_ERRNO_NOENT);
}

static void print_facts(__wasi_fd_t fd) {
        char text[WASI_NETWORKING_TLS_TEXT_MAX];
        uint32_t resumed = 2;
        __wasi_size_t length;

        if (__wasi_networking_tls_version(fd, text, sizeof(text), &length) == __WASI_ERRNO_NOPROTOOPT) {
                CHECK_ERRNO(__wasi_networking_tls_resumed(fd, &resumed), __WASI_ERRNO_NOPROTOOPT);
                puts("none");
                return;
        }
        print_text(__wasi_networking_tls_version, fd);
        print_text(__wasi_networking_tls_cipher, fd);
        print_text(__wasi_networking_tls_alpn, fd);
        CHECK_OK(__wasi_networking_tls_resumed(fd, &resumed));
        printf("%u", (unsigned)resumed);
        print_names(fd);
        putchar('\n');
}

/* What comes with the answer, such as tickets, is taken note of on the way. */
static void get_page(int fd) {
        static const char request[] = "GET / HTTP/1.0\r\n\r\n";
        char buffer[4096];
        ssize_t n;

        guest_write_all(fd, request, strlen(request));
        while ((n = read(fd, buffer, sizeof(buffer))) > 0)
                ;
        CHECK(n == 0);
}

int main(int argc, char **argv) {
        for (int i = 1; i < argc; ++i) {
                int stream = guest_dial(argv[i]);

                print_facts(stream);
                get_page(stream);
                CHECK(close(stream) == 0);
        }
        return 0;
}
