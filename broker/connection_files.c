/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/connection_files.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"

/* A line of fdinfo is some 80 bytes long; what is longer is none that we know. */
#define LINE_MAX_LENGTH 256

static void cleanup_file(FILE **file) {
        if (*file)
                (void)fclose(*file);
}

static struct connection_shelf *shelf_free(struct connection_shelf *shelf) {
        assert(nb_list_is_empty(&shelf->connections));
        nb_list_remove(&shelf->link);
        shelf->epoll_fd = nb_fd_close(shelf->epoll_fd);
        free(shelf);
        return NULL;
}

static int shelf_new(struct nb_list *shelves, struct connection_shelf **ret) {
        struct connection_shelf *shelf = calloc(1, sizeof(*shelf));

        if (!shelf)
                return -ENOMEM;
        nb_list_init(&shelf->link);
        nb_list_init(&shelf->connections);
        shelf->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (shelf->epoll_fd < 0) {
                int error = errno;

                (void)shelf_free(shelf);
                return -error;
        }
        nb_list_append(shelves, &shelf->link);
        *ret = shelf;
        return 0;
}

int connection_files_init(struct nb_list *shelves) {
        struct connection_shelf *shelf;

        return shelf_new(shelves, &shelf);
}

void connection_files_deinit(struct nb_list *shelves) {
        nb_list_foreach_safe(link, shelves)(void) shelf_free(nb_container_of(link, struct connection_shelf, link));
}

/* One with room; there are few, and the newest comes last. */
static int find_room(struct nb_list *shelves, struct connection_shelf **ret) {
        nb_list_foreach_safe(link, shelves) {
                struct connection_shelf *shelf = nb_container_of(link, struct connection_shelf, link);

                if (shelf->n < CONNECTION_SHELF_MAX) {
                        *ret = shelf;
                        return 0;
                }
        }
        return shelf_new(shelves, ret);
}

static void free_if_spare(struct nb_list *shelves, struct connection_shelf *shelf) {
        if (shelf->n == 0 && shelves->next != shelves->prev)
                (void)shelf_free(shelf);
}

int connection_files_add(struct nb_list *shelves, int fd, uint64_t cookie, struct connection_shelf **ret) {
        /* No events: the kernel looks at the entry when the socket wakes who waits for it, and does no more. */
        struct epoll_event event = { .events = EPOLLONESHOT, .data.u64 = cookie };
        struct connection_shelf *shelf;
        int r = find_room(shelves, &shelf);

        if (r < 0)
                return r;
        if (epoll_ctl(shelf->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
                r = -errno;
                free_if_spare(shelves, shelf);
                return r;
        }
        shelf->n++;
        *ret = shelf;
        return 0;
}

void connection_files_remove(struct nb_list *shelves, struct connection_shelf *shelf) {
        assert(shelf->n > 0);
        shelf->n--;
        free_if_spare(shelves, shelf);
}

void connection_files_withdraw(struct nb_list *shelves, struct connection_shelf *shelf, int fd) {
        (void)epoll_ctl(shelf->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        connection_files_remove(shelves, shelf);
}

/* `tfd: 5 events: 40000018 data: 1f2e pos:0 ino:2a sdev:9` @return whether the line is one of a file */
static bool parse_line(const char *line, uint64_t *ret_cookie) {
        const char *data = strstr(line, "data:");

        return strncmp(line, "tfd:", 4) == 0 && data && sscanf(data, "data: %" SCNx64, ret_cookie) == 1;
}

int connection_shelf_list(const struct connection_shelf *shelf, connection_file_function function, void *data) {
        NB_CLEANUP(cleanup_file) FILE *file = NULL;
        char path[64], line[LINE_MAX_LENGTH];
        uint64_t cookie;

        (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", shelf->epoll_fd);
        file = fopen(path, "re");
        if (!file)
                return -errno;
        while (fgets(line, sizeof(line), file)) {
                if (parse_line(line, &cookie))
                        function(data, cookie);
        }
        return ferror(file) ? -EIO : 0;
}
