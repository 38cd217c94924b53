/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/client.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ctl/command.h"
#include "policy/policy.h"

static const char *connect_hint(int error) {
        switch (error) {
        case ENOENT:
        case ECONNREFUSED:
                return "; is netbrokerd running, with --admin-socket or its systemd socket?";
        case EACCES:
        case EPERM:
                return "; only the user that runs netbrokerd and root may ask";
        default:
                return "";
        }
}

static const char *who(const struct client *client, char text[static CLIENT_WHO_MAX]) {
        if (client->number > 0)
                (void)snprintf(text, CLIENT_WHO_MAX, "shard %u", client->number);
        else
                (void)snprintf(text, CLIENT_WHO_MAX, "netbrokerd");
        return text;
}

/* Of a path that is not said from the root: from where. @return "" where there is nothing to say */
static const char *where(const char *path, char text[static PATH_MAX]) {
        return path[0] != '/' && getcwd(text, PATH_MAX) ? text : "";
}

/* @return 0 or -ENAMETOOLONG */
static int write_path(const char *path, unsigned number, struct sockaddr_un *ret) {
        int n = number > 0 ? snprintf(ret->sun_path, sizeof(ret->sun_path), "%s.%u", path, number)
                           : snprintf(ret->sun_path, sizeof(ret->sun_path), "%s", path);

        return n < 0 || (size_t)n >= sizeof(ret->sun_path) ? -ENAMETOOLONG : 0;
}

/* Zero is without a limit. @return 0 or -errno */
static int limit_waiting(int fd, unsigned seconds) {
        const struct timeval limit = { .tv_sec = seconds };

        if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
                return -errno;
        return 0;
}

static int connect_to(const struct sockaddr_un *sa, unsigned patience_s, int *ret_fd) {
        NB_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int r = fd < 0 ? -errno : limit_waiting(fd, patience_s);

        if (r < 0)
                return r;
        if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0)
                return errno == EAGAIN ? -ETIMEDOUT : -errno;
        *ret_fd = nb_steal_fd(&fd);
        return 0;
}

int client_connect(struct client *client, const char *path, unsigned number, unsigned patience_s) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        int r = write_path(path, number, &sa);

        *client = (struct client){ .fd = -1, .status = CTL_UNREACHABLE, .number = number };
        return r < 0 ? r : connect_to(&sa, patience_s, &client->fd);
}

int client_open(struct client *client, const char *path, unsigned number, unsigned patience_s) {
        int r = client_connect(client, path, number, patience_s);
        char name[CLIENT_WHO_MAX], folder[PATH_MAX];
        const char *from = r < 0 ? where(path, folder) : "";

        if (r == -ENAMETOOLONG)
                ctl_complain("%s: a socket's path has at most %zu bytes", path,
                             sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
        else if (r < 0 && number > 0)
                ctl_complain("cannot reach %s at %s.%u: %s; what it has is missing", who(client, name), path, number,
                             strerror(-r));
        else if (r < 0)
                ctl_complain("cannot reach netbrokerd at %s%s%s: %s%s", path, *from ? " in " : "", from, strerror(-r),
                             connect_hint(-r));
        return r;
}

void client_close(struct client *client) {
        client->fd = nb_fd_close(client->fd);
        free(client->buffer);
        client->buffer = NULL;
}

/* What the kernel tells of a limit of time is that there is nothing yet. */
static int lost(const struct client *client, int error) {
        char name[CLIENT_WHO_MAX];

        if (client->is_missed)
                return error == EAGAIN ? -ETIMEDOUT : -error;
        if (error == EAGAIN)
                ctl_complain("%s does not answer", who(client, name));
        else
                ctl_complain("%s has gone away in the middle of an answer: %s", who(client, name), strerror(error));
        return error == EAGAIN ? -ETIMEDOUT : -error;
}

int client_send(struct client *client, json_t *request) {
        NB_CLEANUP_FREE char *text = request ? json_dumps(request, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
        size_t length = text ? strlen(text) : 0;

        json_decref(request);
        if (!text) {
                ctl_complain("out of memory, or an argument that is not UTF-8");
                return -EINVAL;
        }
        text[length] = '\n'; /* in place of the NUL: what is sent has a length */
        for (size_t sent = 0; sent < length + 1;) {
                ssize_t n = send(client->fd, text + sent, length + 1 - sent, MSG_NOSIGNAL);

                /* It may have been turned away, and then it says why. */
                if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
                        return 0;
                if (n < 0 && errno != EINTR)
                        return lost(client, errno);
                sent += n > 0 ? (size_t)n : 0;
        }
        return 0;
}

static int grow(struct client *client) {
        size_t allocated = client->allocated == 0 ? 65536 : client->allocated * 2;
        char *buffer;

        if (allocated > CLIENT_LINE_MAX)
                return -EMSGSIZE;
        buffer = realloc(client->buffer, allocated);
        if (!buffer)
                return -ENOMEM;
        client->buffer = buffer;
        client->allocated = allocated;
        return 0;
}

static int receive(struct client *client) {
        ssize_t n;

        if (client->taken > 0) {
                client->length -= client->taken;
                memmove(client->buffer, client->buffer + client->taken, client->length);
                client->taken = 0;
        }
        if (client->length == client->allocated) {
                int r = grow(client);

                if (r < 0)
                        return r;
        }
        do
                n = recv(client->fd, client->buffer + client->length, client->allocated - client->length, 0);
        while (n < 0 && errno == EINTR);
        if (n <= 0)
                return n < 0 ? -errno : -ECONNRESET;
        client->length += (size_t)n;
        return 0;
}

/* Points `ret` to a line that is there as a whole, without its newline. */
static bool take_line(struct client *client, const char **ret, size_t *ret_length) {
        const char *start, *newline;

        if (client->length == client->taken)
                return false;
        start = client->buffer + client->taken;
        newline = memchr(start, '\n', client->length - client->taken);
        if (!newline)
                return false;
        *ret = start;
        *ret_length = (size_t)(newline - start);
        client->taken += *ret_length + 1;
        return true;
}

/* What the daemon says is not there, or makes no sense, is a bad question; what it cannot do is a no. */
static int status_of(const char *name) {
        return strcmp(name, "EINVAL") == 0 || strcmp(name, "ENOENT") == 0 || strcmp(name, "ENOSYS") == 0 ? CTL_BAD
                                                                                                         : CTL_NO;
}

static bool is_lack(const char *name) {
        return strcmp(name, "ENOENT") == 0 || strcmp(name, "ESRCH") == 0;
}

static int take_error(struct client *client, const json_t *line) {
        const char *error = json_string_value(json_object_get(line, "error"));
        const char *name = json_string_value(json_object_get(line, "errno"));

        error = error ? error : "netbrokerd gives no reason";
        name = name ? name : "";
        if (client->n_shards > 0 && strcmp(name, "EREMOTE") == 0)
                return 0;
        client->status = status_of(name);
        if (client->may_lack && is_lack(name))
                (void)snprintf(client->lacks, sizeof(client->lacks), "%s", error);
        else
                ctl_complain("%s", error);
        return -EREMOTEIO;
}

/* Where the rest of the answer is. @return 0 or -EPROTO */
static int take_place(struct client *client, const json_t *line) {
        const json_t *n_shards = json_object_get(line, "shards");
        json_int_t n = json_integer_value(n_shards), shard = json_integer_value(json_object_get(line, "shard"));

        if (!json_is_integer(n_shards))
                return 0;
        if (n < 1 || n > POLICY_SHARDS_MAX || shard < 0 || shard > n)
                return -EPROTO;
        client->n_shards = (unsigned)n;
        client->shard = (unsigned)shard;
        return 0;
}

/* Says from where a line is: what several processes have told is put together. */
static void mark(const struct client *client, json_t *line) {
        if (client->number > 0)
                (void)json_object_set_new(line, "shard", json_integer((json_int_t)client->number));
}

int client_receive(struct client *client) {
        int r = receive(client);

        return r < 0 ? lost(client, -r) : 0;
}

int client_take(struct client *client, json_t **ret) {
        json_t *line;
        const char *text;
        size_t length;
        int r;

        if (!take_line(client, &text, &length))
                return -EAGAIN;
        line = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(line) || (client->number == 0 && take_place(client, line) < 0)) {
                json_decref(line);
                ctl_complain("what answers is not netbrokerd: it does not write what proto/ADMIN.md says");
                return -EPROTO;
        }
        r = json_object_get(line, "error") ? take_error(client, line) : json_object_get(line, "end") ? 0 : 1;
        if (r != 1) {
                json_decref(line);
                return r;
        }
        mark(client, line);
        *ret = line;
        return 1;
}

int client_next(struct client *client, json_t **ret) {
        int r = client_take(client, ret);

        while (r == -EAGAIN) {
                r = client_receive(client);
                if (r == 0)
                        r = client_take(client, ret);
        }
        return r;
}
