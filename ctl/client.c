/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ctl/command.h"

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

int client_open(struct client *client, const char *path) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };

        *client = (struct client){ .fd = -1, .status = CTL_UNREACHABLE };
        if (strlen(path) >= sizeof(sa.sun_path)) {
                ctl_complain("%s: a socket's path has at most %zu bytes", path, sizeof(sa.sun_path) - 1);
                return -ENAMETOOLONG;
        }
        memcpy(sa.sun_path, path, strlen(path));
        client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (client->fd < 0 || connect(client->fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0) {
                int error = errno;

                ctl_complain("cannot reach netbrokerd at %s: %s%s", path, strerror(error), connect_hint(error));
                return -error;
        }
        return 0;
}

void client_close(struct client *client) {
        client->fd = nb_fd_close(client->fd);
        free(client->buffer);
        client->buffer = NULL;
}

static int lost(int error) {
        ctl_complain("netbrokerd has gone away in the middle of an answer: %s", strerror(error));
        return -error;
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
                        return lost(errno);
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

static int next_line(struct client *client, const char **ret, size_t *ret_length) {
        while (!take_line(client, ret, ret_length)) {
                int r = receive(client);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* What the daemon says is not there, or makes no sense, is a bad question; what it cannot do is a no. */
static int status_of(const char *name) {
        return strcmp(name, "EINVAL") == 0 || strcmp(name, "ENOENT") == 0 || strcmp(name, "ENOSYS") == 0 ? CTL_BAD
                                                                                                         : CTL_NO;
}

static int say_error(struct client *client, const json_t *line) {
        const char *error = json_string_value(json_object_get(line, "error"));
        const char *name = json_string_value(json_object_get(line, "errno"));

        ctl_complain("%s", error ? error : "netbrokerd gives no reason");
        client->status = status_of(name ? name : "");
        return -EREMOTEIO;
}

int client_next(struct client *client, json_t **ret) {
        json_t *line;
        const char *text;
        size_t length;
        int r = next_line(client, &text, &length);

        if (r < 0)
                return lost(-r);
        line = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(line)) {
                json_decref(line);
                ctl_complain("what answers is not netbrokerd: it does not write JSON objects");
                return -EPROTO;
        }
        r = json_object_get(line, "error") ? say_error(client, line) : json_object_get(line, "end") ? 0 : 1;
        if (r == 1)
                *ret = line;
        else
                json_decref(line);
        return r;
}

int client_ask(const char *path, json_t *request, client_line_function function, void *data) {
        CLIENT client = { .fd = -1 };
        json_t *line = NULL;
        int r = client_open(&client, path);

        if (r < 0) {
                json_decref(request);
                return CTL_UNREACHABLE;
        }
        r = client_send(&client, request);
        if (r < 0)
                return r == -EINVAL ? CTL_BAD : CTL_UNREACHABLE;
        while ((r = client_next(&client, &line)) > 0) {
                int status = function(data, line);

                json_decref(line);
                if (status != CTL_OK)
                        return status;
        }
        return r < 0 ? client.status : CTL_OK;
}
