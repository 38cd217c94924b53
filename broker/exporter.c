/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/exporter.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <seccomp.h>

#include "base/cleanup.h"
#include "broker/broker.h"
#include "loop/deadline.h"
#include "broker/metrics_page.h"
#include "broker/own.h"
#include "broker/unix_path.h"
#include "broker/calls.h"

/* One Prometheus, a second one, and somebody who looks. */
#define CLIENTS_MAX 16

/* A client that says nothing for so long is closed. */
#define CLIENT_TIMEOUT_S 10

/* For a request's head and an answer's. */
#define CLIENT_MEMORY 16384

#define BACKLOG 16

/* Whoever can ask may ask without end, and all tenants wait meanwhile: so this many times what answers took goes by before the next. */
#define REST 9

#define NS_PER_MS 1000000

#define SOCKET_MODE 0660

/* What is written of a page in one turn of the loop, about. */
#define PIECE 8192

/* Between two of them tenants are served in any case. */
#define REST_MS 1

#define PAGE_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct exporter {
        struct broker *broker;
        struct MHD_Daemon *daemon; /* owns the listening socket */
        struct watch watch;        /* of its epoll instance */
        struct deadline *timeout;
        struct own_socket *own;
        struct unix_file *file; /* NULL: an IP address */
};

static void cleanup_exporter(struct exporter **exporter) {
        *exporter = exporter_free(*exporter);
}

/* ---- answering ---- */

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status, const char *text) {
        struct MHD_Response *response =
                MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT);
        enum MHD_Result result;

        if (!response)
                return MHD_NO;
        if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
                (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
        result = MHD_queue_response(connection, status, response);
        MHD_destroy_response(response);
        return result;
}

/* A page on its way to one client. */
struct reading {
        struct metrics_page page;
        struct exposition text; /* what is written of it, and not yet sent */
        size_t sent;            /* of the text */
};

/* Lets what is written next begin where this ended. */
static bool write_on(struct reading *reading) {
        bool more;

        reading->sent = 0;
        reading->text.length = 0;
        more = metrics_page_write(&reading->page, &reading->text, PIECE);
        return more || reading->text.length > 0;
}

/* libmicrohttpd's: it asks for a piece whenever the client has taken the one before, and lets the loop run in between. */
static ssize_t read_page(void *data, uint64_t position, char *buffer, size_t size) {
        struct reading *reading = data;
        size_t n;

        (void)position;
        if (reading->sent == reading->text.length && !write_on(reading))
                return MHD_CONTENT_READER_END_OF_STREAM;
        if (reading->text.failed)
                return MHD_CONTENT_READER_END_WITH_ERROR;
        n = reading->text.length - reading->sent;
        if (n > size)
                n = size;
        memcpy(buffer, reading->text.text + reading->sent, n);
        reading->sent += n;
        return (ssize_t)n;
}

static void free_reading(void *data) {
        struct reading *reading = data;

        exposition_deinit(&reading->text);
        free(reading);
}

static enum MHD_Result answer_page(const struct exporter *exporter, struct MHD_Connection *connection) {
        struct reading *reading = calloc(1, sizeof(*reading));
        struct MHD_Response *response;
        enum MHD_Result result;

        if (!reading)
                return MHD_NO;
        reading->page.broker = exporter->broker;
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE, read_page, reading, free_reading);
        if (!response) {
                free_reading(reading);
                return MHD_NO;
        }
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, PAGE_TYPE);
        result = MHD_queue_response(connection, MHD_HTTP_OK, response);
        MHD_destroy_response(response);
        return result;
}

static bool is_read(const char *method) {
        return strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
}

/* libmicrohttpd's: for each request, when its head is there. What has a body is answered before that has come, and closed. */
static enum MHD_Result handle(void *data, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_size, void **state) {
        const struct exporter *exporter = data;

        (void)version;
        (void)upload;
        (void)upload_size;
        (void)state;
        if (!is_read(method))
                return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "There is only GET /metrics here.\n");
        if (strcmp(url, "/metrics") != 0)
                return answer_text(connection, MHD_HTTP_NOT_FOUND, "The metrics are at /metrics.\n");
        return answer_page(exporter, connection);
}

/* ---- the loop ---- */

static void timed_out(void *data);

/* @return whether there is a time for which nobody is answered */
static bool rest(struct exporter *exporter, uint64_t spent_ns) {
        uint64_t ms = REST * spent_ns / NS_PER_MS;

        if (ms == 0)
                return false;
        exporter->timeout = deadline_new(&exporter->broker->loop, ms, timed_out, exporter);
        if (exporter->timeout)
                (void)watch_change(&exporter->watch, 0);
        return exporter->timeout;
}

static unsigned count_clients(const struct exporter *exporter) {
        const union MHD_DaemonInfo *info = MHD_get_daemon_info(exporter->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

        return info ? info->num_connections : 0;
}

/*
 * Lets the library do what there is to do, and notes when it wants to be asked again. With as many clients as there may be it does not look
 * for more, and begins to only when it is asked the next time; nothing else would make that happen.
 */
static void run(struct exporter *exporter) {
        bool was_full = count_clients(exporter) >= CLIENTS_MAX;
        uint64_t start_ns = uv_hrtime();
        MHD_UNSIGNED_LONG_LONG ms;

        exporter->timeout = deadline_free(exporter->timeout);
        (void)MHD_run(exporter->daemon);
        if (rest(exporter, uv_hrtime() - start_ns))
                return;
        if (was_full && count_clients(exporter) < CLIENTS_MAX)
                ms = REST_MS;
        else if (MHD_get_timeout(exporter->daemon, &ms) != MHD_YES)
                return;
        exporter->timeout = deadline_new(&exporter->broker->loop, ms < REST_MS ? REST_MS : ms, timed_out, exporter);
}

static void timed_out(void *data) {
        struct exporter *exporter = data;

        (void)watch_change(&exporter->watch, EPOLLIN);
        run(exporter);
}

static void ready(struct watch *watch, uint32_t events) {
        (void)events;
        run(nb_container_of(watch, struct exporter, watch));
}

/* ---- beginning and end ---- */

static bool is_loopback(const struct nb_address *address) {
        struct nb_ip loopback = { .family = address->ip.family };

        nb_ip_set_loopback(&loopback);
        return nb_ip_equal(&address->ip, &loopback);
}

const char *exporter_why(int r) {
        switch (-r) {
        case EADDRINUSE:
                return "another process serves it";
        case EEXIST:
                return "another file is there";
        case EADDRNOTAVAIL:
                return "others could reach that address; write 127.0.0.1:PORT, [::1]:PORT or unix:PATH";
        case EINVAL:
                return "that is no address; write 127.0.0.1:PORT, [::1]:PORT or unix:PATH with an absolute path";
        default:
                return strerror(-r);
        }
}

int exporter_parse(const char *text, struct nb_socket_address *ret) {
        struct nb_socket_address address = { .family = AF_UNIX };

        if (strncmp(text, "unix:", 5) == 0) {
                if (nb_unix_name_parse(text + 5, strlen(text + 5), &address.un) < 0 || address.un.abstract)
                        return -EINVAL;
                *ret = address;
                return 0;
        }
        if (nb_address_parse(text, strlen(text), &address.ip) < 0)
                return -EINVAL;
        if (!is_loopback(&address.ip))
                return -EADDRNOTAVAIL;
        *ret = nb_socket_address_of_ip(&address.ip);
        return 0;
}

static int bind_path(struct exporter *exporter, int fd, const struct nb_unix_name *name) {
        int r = unix_path_remove_stale(name);

        if (r == 0)
                r = unix_path_bind(fd, name, SOCKET_MODE, &exporter->file);
        if (r == 0)
                r = unix_file_give(exporter->file, exporter->broker->uid, exporter->broker->gid);
        return r;
}

/* @param address  gets the port that the kernel chose */
static int bind_ip(int fd, struct nb_socket_address *address) {
        struct sockaddr_storage sa;
        socklen_t length = nb_socket_address_to_sockaddr(address, &sa);
        int on = 1;

        /* So that a broker that comes back finds its port free. */
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
                return -errno;
        if (bind(fd, (struct sockaddr *)&sa, length) < 0)
                return -errno;
        length = sizeof(sa);
        if (getsockname(fd, (struct sockaddr *)&sa, &length) < 0)
                return -errno;
        return nb_socket_address_from_sockaddr((struct sockaddr *)&sa, length, address);
}

static int listen_at(struct exporter *exporter, struct nb_socket_address *address, int *ret) {
        bool is_unix = address->family == AF_UNIX;
        NB_CLEANUP_FD int fd = socket(address->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int r;

        if (fd < 0)
                return -errno;
        r = is_unix ? bind_path(exporter, fd, &address->un) : bind_ip(fd, address);
        if (r < 0)
                return r;
        if (listen(fd, BACKLOG) < 0)
                return -errno;
        exporter->own = own_add(&exporter->broker->own, "the metrics socket", fd, is_unix ? address->un.text : NULL);
        if (!exporter->own)
                return -ENOMEM;
        *ret = nb_steal_fd(&fd);
        return 0;
}

/* @param fd  listening; consumed on success only */
static int start_daemon(struct exporter *exporter, int fd) {
        exporter->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, handle, exporter, MHD_OPTION_LISTEN_SOCKET,
                                            fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CLIENTS_MAX,
                                            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CLIENT_TIMEOUT_S,
                                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CLIENT_MEMORY, MHD_OPTION_END);
        return exporter->daemon ? 0 : -ENOMEM;
}

static int watch_daemon(struct exporter *exporter) {
        const union MHD_DaemonInfo *info = MHD_get_daemon_info(exporter->daemon, MHD_DAEMON_INFO_EPOLL_FD);

        if (!info)
                return -EINVAL;
        return watch_start(&exporter->watch, &exporter->broker->watches, info->epoll_fd, EPOLLIN, ready);
}

int exporter_new(struct broker *broker, const struct nb_socket_address *wanted, struct exporter **ret) {
        NB_CLEANUP(cleanup_exporter) struct exporter *exporter = calloc(1, sizeof(*exporter));
        struct nb_socket_address address = *wanted;
        char text[NB_SOCKET_ADDRESS_TEXT_MAX];
        NB_CLEANUP_FD int fd = -1;
        int r;

        if (!exporter)
                return -ENOMEM;
        exporter->broker = broker;
        r = listen_at(exporter, &address, &fd);
        if (r == 0)
                r = start_daemon(exporter, fd);
        if (r < 0)
                return r;
        (void)nb_steal_fd(&fd);
        r = watch_daemon(exporter);
        if (r < 0)
                return r;
        nb_log(&broker->log, NB_LOG_INFO, "metrics are at %s", nb_socket_address_format(&address, text));
        *ret = nb_steal_ptr(exporter);
        return 0;
}

struct exporter *exporter_free(struct exporter *exporter) {
        if (!exporter)
                return NULL;
        exporter->file = unix_file_free(exporter->file);
        exporter->own = own_free(exporter->own);
        exporter->timeout = deadline_free(exporter->timeout);
        watch_end_before_close(&exporter->watch);
        if (exporter->daemon)
                MHD_stop_daemon(exporter->daemon);
        free(exporter);
        return NULL;
}

/* Of libmicrohttpd, too. */
static const struct confine_call calls[] = {
        CONFINE_CALL(accept4, "who asks for metrics"),
        CONFINE_CALL(recvfrom, "the question"),
        CONFINE_CALL(sendto, "the page"),
        CONFINE_CALL(sendmsg, "the page"),
        CONFINE_CALL(shutdown, "the end of a connection"),
};
const struct confine_list exporter_calls = CONFINE_LIST(calls);
