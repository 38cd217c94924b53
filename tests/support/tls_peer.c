/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/tls_peer.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"
#include "base/cleanup.h"
#include "tests/support/harness.h"

#define ARGUMENTS_MAX 40

uint16_t tls_peer_openssl(struct process *process, const struct certificates *certificates, const char *name,
                          const char *const *further) {
        char file[128];
        char pem[CERTIFICATES_PATH_MAX];
        char key[CERTIFICATES_PATH_MAX];
        char above[CERTIFICATES_PATH_MAX];
        const char *arguments[ARGUMENTS_MAX] = { "openssl", "s_server", "-accept", "127.0.0.1:0", "-www" };
        size_t n = 5;
        NB_CLEANUP_FD int fd = -1;
        char byte;

        snprintf(file, sizeof(file), "%s.pem", name);
        arguments[n++] = "-cert";
        arguments[n++] = certificates_path(certificates, file, pem);
        snprintf(file, sizeof(file), "%s.key", name);
        arguments[n++] = "-key";
        arguments[n++] = certificates_path(certificates, file, key);
        snprintf(file, sizeof(file), "%s.above", name);
        fd = certificates_open(certificates, file);
        if (read(fd, &byte, 1) == 1) {
                arguments[n++] = "-cert_chain";
                arguments[n++] = certificates_path(certificates, file, above);
        }
        for (size_t i = 0; further && further[i] && n < ARGUMENTS_MAX - 1; ++i)
                arguments[n++] = further[i];
        process_start(process, arguments);
        process_expect(process, "ACCEPT 127.0.0.1:", HARNESS_DEADLINE_MS);
        process_expect(process, "\n", HARNESS_DEADLINE_MS);
        return (uint16_t)strtoul(strstr(process->text, "ACCEPT 127.0.0.1:") + strlen("ACCEPT 127.0.0.1:"), NULL, 10);
}

static struct sockaddr_in loopback(uint16_t port) {
        return (struct sockaddr_in){
                .sin_family = AF_INET,
                .sin_port = htons(port),
                .sin_addr = { .s_addr = htonl(INADDR_LOOPBACK) },
        };
}

static int try_connect(uint16_t port) {
        struct sockaddr_in address = loopback(port);
        NB_CLEANUP_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        ck_assert_int_ge(fd, 0);
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        return nb_steal_fd(&fd);
}

int tls_peer_connect(uint16_t port) {
        int fd = try_connect(port);

        ck_assert_msg(fd >= 0, "127.0.0.1:%u: %s", port, strerror(-fd));
        return fd;
}

int tls_peer_connect_when_ready(uint16_t port) {
        uint64_t deadline = harness_now_ms() + HARNESS_DEADLINE_MS;
        int fd;

        /* There is no event for a port of others that begins to listen. */
        while ((fd = try_connect(port)) == -ECONNREFUSED && harness_now_ms() < deadline)
                (void)poll(NULL, 0, 5);
        ck_assert_msg(fd >= 0, "127.0.0.1:%u: %s", port, strerror(-fd));
        return fd;
}

int tls_peer_listen(uint16_t *ret_port) {
        struct sockaddr_in address = loopback(0);
        socklen_t length = sizeof(address);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, length), 0);
        ck_assert_int_eq(listen(fd, 16), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
        *ret_port = ntohs(address.sin_port);
        return fd;
}

int tls_peer_accept(int listener) {
        int fd;

        ck_assert_int_gt(harness_poll(listener, POLLIN, HARNESS_DEADLINE_MS), 0);
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        return fd;
}

uint16_t tls_peer_free_port(void) {
        uint16_t port;
        int fd = tls_peer_listen(&port);

        ck_assert_int_eq(close(fd), 0);
        return port;
}

/* By a shell, since stunnel serves its standard input and output; and by bash, since sh need not know descriptors above 9. */
void tls_peer_stunnel(struct process *process, const struct certificates *certificates, int fd, const char *options) {
        char path[CERTIFICATES_PATH_MAX];
        char command[CERTIFICATES_PATH_MAX + 64];
        char text[1024];

        snprintf(text, sizeof(text), "foreground = quiet\nsyslog = no\ndebug = 3\n%s", options);
        certificates_write(certificates, "stunnel.conf", text);
        snprintf(command, sizeof(command), "exec stunnel4 %s <&%d >&%d",
                 certificates_path(certificates, "stunnel.conf", path), fd, fd);
        ck_assert_int_eq(fcntl(fd, F_SETFD, 0), 0);
        PROCESS_START(process, "bash", "-c", command);
        ck_assert_int_eq(close(fd), 0);
}
