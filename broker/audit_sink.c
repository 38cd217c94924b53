/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/audit_sink.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>
#include <seccomp.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "broker/message_id.h"
#include "broker/calls.h"

/* More of a record than the journal is sent; records are far shorter. */
#define DATAGRAM_MAX 16384

#define FIELD_PREFIX "NETBROKER_"

struct audit_sink;

struct sink_kind {
        int (*write)(struct audit_sink *sink, enum nb_log_level level, const json_t *record, const char *line);
        int (*reopen)(struct audit_sink *sink); /* NULL: there is nothing to open again */
};

struct audit_sink {
        const struct sink_kind *kind;
        const char *name;         /* borrowed: of a file, or for messages */
        const struct nb_log *log; /* borrowed; of the log only */
        int fd;                   /* owned; -1: none at the moment */
        bool is_socket;
        bool torn; /* the last line has not become whole */
};

static struct audit_sink *new_sink(const struct sink_kind *kind, const char *name) {
        struct audit_sink *sink = calloc(1, sizeof(*sink));

        if (!sink)
                return NULL;
        sink->kind = kind;
        sink->name = name;
        sink->fd = -1;
        return sink;
}

/* ---- the log ---- */

static int write_to_log(struct audit_sink *sink, enum nb_log_level level, const json_t *record, const char *line) {
        struct pollfd writable = { .fd = sink->log->fd, .events = POLLOUT };

        (void)record;
        /* A pipe or socket with room takes at least PIPE_BUF bytes, and a record is shorter. */
        if (poll(&writable, 1, 0) == 0)
                return -EAGAIN;
        nb_log_verbatim(sink->log, level, "audit: ", line);
        return 0;
}

static const struct sink_kind log_kind = { .write = write_to_log };

struct audit_sink *audit_sink_new_log(const struct nb_log *log) {
        struct audit_sink *sink = new_sink(&log_kind, "the log");

        if (sink)
                sink->log = log;
        return sink;
}

/* ---- files, pipes, sockets ---- */

static ssize_t send_parts(const struct audit_sink *sink, struct iovec *parts, size_t n) {
        const struct msghdr message = { .msg_iov = parts, .msg_iovlen = n };

        return sink->is_socket ? sendmsg(sink->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
                               : writev(sink->fd, parts, (int)n);
}

/* One write a record, so that lines of several writers do not mix. A line that was cut short is ended before the next one. */
static int write_to_fd(struct audit_sink *sink, enum nb_log_level level, const json_t *record, const char *line) {
        struct iovec parts[] = {
                { .iov_base = (void *)"\n", .iov_len = sink->torn ? 1 : 0 },
                { .iov_base = (void *)line, .iov_len = strlen(line) },
                { .iov_base = (void *)"\n", .iov_len = 1 },
        };
        size_t length = parts[0].iov_len + parts[1].iov_len + parts[2].iov_len;
        ssize_t n;

        (void)level;
        (void)record;
        do
                n = send_parts(sink, parts, sizeof(parts) / sizeof(parts[0]));
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        sink->torn = (size_t)n < length;
        return sink->torn ? -EAGAIN : 0;
}

static int open_file(const char *path) {
        int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);

        return fd < 0 ? -errno : fd;
}

static int reopen_file(struct audit_sink *sink) {
        int fd = open_file(sink->name);

        if (fd < 0)
                return fd;
        (void)nb_fd_close(sink->fd);
        sink->fd = fd;
        sink->torn = false;
        return 0;
}

static const struct sink_kind file_kind = { .write = write_to_fd, .reopen = reopen_file };
static const struct sink_kind fd_kind = { .write = write_to_fd };

/* @param fd  consumed */
static struct audit_sink *new_for_fd(const struct sink_kind *kind, const char *name, int fd) {
        struct audit_sink *sink = new_sink(kind, name);
        struct stat st;

        if (!sink) {
                (void)nb_fd_close(fd);
                return NULL;
        }
        sink->fd = fd;
        sink->is_socket = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
        return sink;
}

struct audit_sink *audit_sink_new_fd(int fd) {
        int flags = fcntl(fd, F_GETFL);

        if (flags >= 0)
                (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        return new_for_fd(&fd_kind, "the audit's descriptor", fd);
}

/*
 * Standard output is shared with whoever started us, so O_NONBLOCK is not for us to set on it: a pipe, a file or a terminal is opened once
 * more. A socket cannot be, and needs not.
 */
static int open_stdout(void) {
        int fd = open("/proc/self/fd/1", O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

        if (fd < 0 && errno == ENXIO)
                fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        return fd < 0 ? -errno : fd;
}

/* ---- the journal ---- */

static int connect_journal(const char *path) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        NB_CLEANUP_FD int fd = -1;

        if (strlen(path) >= sizeof(sa.sun_path))
                return -ENAMETOOLONG;
        memcpy(sa.sun_path, path, strlen(path));
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0)
                return -errno;
        return nb_steal_fd(&fd);
}

/** A datagram that is being put together. */
struct datagram {
        char bytes[DATAGRAM_MAX];
        size_t length;
};

static bool is_printable(const char *text) {
        while (*text >= ' ' && *text <= '~')
                ++text;
        return *text == '\0';
}

/* One field: a line, for the value is made printable. What does not fit is left out. */
static void add_field(struct datagram *datagram, const char *prefix, const char *key, const char *value) {
        size_t start = datagram->length, key_length = strlen(prefix) + strlen(key);
        size_t room = sizeof(datagram->bytes) - start;
        char *to = datagram->bytes + start;

        if (key_length + strlen(value) + 8 > room)
                return;
        memcpy(to, prefix, strlen(prefix));
        for (size_t i = 0; key[i] != '\0'; ++i)
                to[strlen(prefix) + i] = (char)toupper((unsigned char)key[i]);
        to[key_length] = '=';
        if (is_printable(value))
                memcpy(to + key_length + 1, value, strlen(value) + 1);
        else
                (void)nb_escape(value, strlen(value), to + key_length + 1, room - key_length - 2);
        datagram->length = start + strlen(to);
        datagram->bytes[datagram->length++] = '\n';
}

static void add_member(struct datagram *datagram, const char *key, const json_t *value) {
        char number[24];

        if (json_is_string(value)) {
                add_field(datagram, FIELD_PREFIX, key, json_string_value(value));
        } else if (json_is_integer(value)) {
                (void)snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
                add_field(datagram, FIELD_PREFIX, key, number);
        }
}

static void add_message_id(struct datagram *datagram, const json_t *record) {
        const char *verb = json_string_value(json_object_get(record, "verb"));
        const char *verdict = json_string_value(json_object_get(record, "verdict"));
        const char *id = verb && verdict ? message_id_find(verb, verdict) : NULL;

        if (id)
                add_field(datagram, "", "MESSAGE_ID", id);
}

static void fill_datagram(struct datagram *datagram, enum nb_log_level level, const json_t *record, const char *line) {
        const char priority[] = { (char)('0' + (int)level), '\0' };
        json_t *object = (json_t *)record; /* an iterator takes no constant */

        add_field(datagram, "", "MESSAGE", line);
        add_field(datagram, "", "PRIORITY", priority);
        add_field(datagram, "", "SYSLOG_IDENTIFIER", "netbrokerd");
        add_message_id(datagram, record);
        for (void *member = json_object_iter(object); member; member = json_object_iter_next(object, member))
                add_member(datagram, json_object_iter_key(member), json_object_iter_value(member));
}

/* A journal that was started anew has another socket at the same path. */
static int send_datagram(struct audit_sink *sink, const struct datagram *datagram) {
        for (int attempt = 0; attempt < 2; ++attempt) {
                if (sink->fd < 0)
                        sink->fd = connect_journal(sink->name);
                if (sink->fd < 0)
                        break;
                if (send(sink->fd, datagram->bytes, datagram->length, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
                        return 0;
                if (errno == EAGAIN)
                        return -EAGAIN;
                sink->fd = nb_fd_close(sink->fd);
        }
        return -ENOTCONN;
}

static int write_to_journal(struct audit_sink *sink, enum nb_log_level level, const json_t *record, const char *line) {
        struct datagram datagram = { .length = 0 };

        fill_datagram(&datagram, level, record, line);
        return send_datagram(sink, &datagram);
}

static const struct sink_kind journal_kind = { .write = write_to_journal };

int audit_sink_open_journal(const char *path, struct audit_sink **ret) {
        int fd = connect_journal(path);
        struct audit_sink *sink;

        if (fd < 0)
                return fd;
        sink = new_for_fd(&journal_kind, path, fd);
        if (!sink)
                return -ENOMEM;
        *ret = sink;
        return 0;
}

/* ---- all ---- */

static bool is_journal(const char *name) {
        return strcmp(name, "journal") == 0;
}

static bool is_stdout(const char *name) {
        return strcmp(name, "stdout") == 0;
}

struct audit_sink *audit_sink_new_opened(const char *name, int fd) {
        if (is_journal(name))
                return new_for_fd(&journal_kind, AUDIT_SINK_JOURNAL, fd);
        if (is_stdout(name))
                return new_for_fd(&fd_kind, "standard output", fd);
        return new_for_fd(&file_kind, name, fd);
}

int audit_sink_fd(const struct audit_sink *sink) {
        return sink->fd;
}

int audit_sink_open(const char *name, struct audit_sink **ret) {
        struct audit_sink *sink;
        int fd;

        if (is_journal(name))
                return audit_sink_open_journal(AUDIT_SINK_JOURNAL, ret);
        fd = is_stdout(name) ? open_stdout() : open_file(name);
        if (fd < 0)
                return fd;
        sink = audit_sink_new_opened(name, fd);
        if (!sink)
                return -ENOMEM;
        *ret = sink;
        return 0;
}

struct audit_sink *audit_sink_free(struct audit_sink *sink) {
        if (!sink)
                return NULL;
        sink->fd = nb_fd_close(sink->fd);
        free(sink);
        return NULL;
}

bool audit_sink_wants(const struct audit_sink *sink, enum nb_log_level level) {
        return !sink->log || sink->log->level >= level;
}

int audit_sink_write(struct audit_sink *sink, enum nb_log_level level, const json_t *record, const char *line) {
        return sink->kind->write(sink, level, record, line);
}

int audit_sink_reopen(struct audit_sink *sink) {
        return sink->kind->reopen ? sink->kind->reopen(sink) : 0;
}

const char *audit_sink_name(const struct audit_sink *sink) {
        return sink->name;
}

static const struct confine_call calls[] = {
        CONFINE_CALL(openat, "the file again, when it was rotated"),
        CONFINE_CALL(write, "records"),
        CONFINE_CALL(writev, "records"),
        CONFINE_CALL(sendmsg, "records for the journal"),
        CONFINE_CALL(memfd_create, "records that are too long for a message"),
};
const struct confine_list audit_sink_calls = CONFINE_LIST(calls);
