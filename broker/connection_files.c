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
#include <seccomp.h>

#include "base/cleanup.h"
#include "broker/broker.h"
#include "broker/tenant.h"
#include "broker/calls.h"

/* A line of fdinfo is some 80 bytes long; what is longer is none that we know. */
#define LINE_MAX_LENGTH 256

static void cleanup_file(FILE **file) {
        if (*file)
                (void)fclose(*file);
}

static struct nb_list *shelves_of(const struct connection_shelf *shelf) {
        return &shelf->tenant->holding.shelves;
}

static void describe(const struct kept *kept, struct kept_sink *sink) {
        const struct connection_shelf *shelf = nb_container_of(kept, struct connection_shelf, kept);
        Nb__State__Shelf message = NB__STATE__SHELF__INIT;
        Nb__State__Item item = NB__STATE__ITEM__INIT;

        message.tenant = shelf->tenant->name;
        message.number = shelf->number;
        item.body_case = NB__STATE__ITEM__BODY_SHELF;
        item.shelf = &message;
        kept_sink_give(sink, &item, &shelf->epoll_fd, 1);
}

static const struct kept_ops kept_ops = { .describe = describe };

static struct connection_shelf *shelf_free(struct connection_shelf *shelf) {
        assert(nb_list_is_empty(&shelf->connections));
        keep_forget(&shelf->kept);
        nb_list_remove(&shelf->link);
        shelf->epoll_fd = nb_fd_close(shelf->epoll_fd);
        free(shelf);
        return NULL;
}

static struct connection_shelf *find(const struct tenant *tenant, uint64_t number) {
        nb_list_foreach_safe(link, &tenant->holding.shelves) {
                struct connection_shelf *shelf = nb_container_of(link, struct connection_shelf, link);

                if (shelf->number == number)
                        return shelf;
        }
        return NULL;
}

static uint64_t unused_number(const struct tenant *tenant) {
        uint64_t number = 1;

        while (find(tenant, number))
                number++;
        return number;
}

/* @param epoll_fd  consumed on success only @return NULL without memory */
static struct connection_shelf *add_shelf(struct tenant *tenant, int epoll_fd, uint64_t number) {
        struct connection_shelf *shelf = calloc(1, sizeof(*shelf));

        if (!shelf)
                return NULL;
        nb_list_init(&shelf->link);
        nb_list_init(&shelf->connections);
        shelf->tenant = tenant;
        shelf->number = number;
        shelf->epoll_fd = epoll_fd;
        nb_list_append(&tenant->holding.shelves, &shelf->link);
        return shelf;
}

static int shelf_new(struct tenant *tenant, struct connection_shelf **ret) {
        NB_CLEANUP_FD int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        struct connection_shelf *shelf;

        if (epoll_fd < 0)
                return -errno;
        shelf = add_shelf(tenant, epoll_fd, unused_number(tenant));
        if (!shelf)
                return -ENOMEM;
        (void)nb_steal_fd(&epoll_fd);
        keep_put(tenant->broker->keep, &shelf->kept, &kept_ops);
        *ret = shelf;
        return 0;
}

int connection_files_init(struct tenant *tenant) {
        struct connection_shelf *shelf;

        return shelf_new(tenant, &shelf);
}

void connection_files_deinit(struct tenant *tenant) {
        nb_list_foreach_safe(link, &tenant->holding.shelves)(void)
                shelf_free(nb_container_of(link, struct connection_shelf, link));
}

/* One with room; there are few, and the newest comes last. */
static int find_room(struct tenant *tenant, struct connection_shelf **ret) {
        nb_list_foreach_safe(link, &tenant->holding.shelves) {
                struct connection_shelf *shelf = nb_container_of(link, struct connection_shelf, link);

                if (shelf->n < CONNECTION_SHELF_MAX) {
                        *ret = shelf;
                        return 0;
                }
        }
        return shelf_new(tenant, ret);
}

static bool is_last(const struct connection_shelf *shelf) {
        const struct nb_list *shelves = shelves_of(shelf);

        return shelves->next == shelves->prev;
}

static void free_if_spare(struct connection_shelf *shelf) {
        if (shelf->n == 0 && !is_last(shelf))
                (void)shelf_free(shelf);
}

int connection_files_add(struct tenant *tenant, int fd, uint64_t cookie, struct connection_shelf **ret) {
        /* No events: the kernel looks at the entry when the socket wakes who waits for it, and does no more. */
        struct epoll_event event = { .events = EPOLLONESHOT, .data.u64 = cookie };
        struct connection_shelf *shelf;
        int r = find_room(tenant, &shelf);

        if (r < 0)
                return r;
        if (epoll_ctl(shelf->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
                r = -errno;
                free_if_spare(shelf);
                return r;
        }
        shelf->n++;
        *ret = shelf;
        return 0;
}

void connection_files_remove(struct connection_shelf *shelf) {
        assert(shelf->n > 0);
        shelf->n--;
        free_if_spare(shelf);
}

void connection_files_withdraw(struct connection_shelf *shelf, int fd) {
        (void)epoll_ctl(shelf->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        connection_files_remove(shelf);
}

/* ---- after a restart ---- */

/*
 * A tenant has a shelf from its beginning; that of the broker before takes its place. The keeper has both until it has heard, in the order in which they
 * were made: so whoever is killed here leaves the true one first.
 */
static void replace_first(struct connection_shelf *shelf) {
        nb_list_foreach_safe(link, shelves_of(shelf)) {
                struct connection_shelf *other = nb_container_of(link, struct connection_shelf, link);

                if (other != shelf && other->number == shelf->number)
                        (void)shelf_free(other);
        }
}

/* Whether it is an epoll instance, which nothing else can be read from the descriptor's list. */
static bool is_epoll(int fd) {
        struct epoll_event event;

        return epoll_wait(fd, &event, 1, 0) >= 0;
}

int shelf_restore(struct tenant *tenant, struct kept_item *item) {
        uint64_t number = item->item->shelf->number;
        struct connection_shelf *shelf;

        if (item->n_fds != 1 || number == 0 || !is_epoll(item->fds[0]))
                return -EPROTO;
        shelf = find(tenant, number);
        if (shelf && shelf->was_restored)
                return 0;
        shelf = add_shelf(tenant, item->fds[0], number);
        if (!shelf)
                return -ENOMEM;
        shelf->was_restored = true;
        (void)nb_steal_fd(&item->fds[0]);
        keep_adopt(tenant->broker->keep, &shelf->kept, &kept_ops, item->id);
        replace_first(shelf);
        return 0;
}

struct connection_shelf *connection_files_put_back(struct tenant *tenant, uint64_t number) {
        struct connection_shelf *shelf = find(tenant, number);

        if (shelf)
                shelf->n++;
        return shelf;
}

void connection_files_tidy(struct tenant *tenant) {
        nb_list_foreach_safe(link, &tenant->holding.shelves)
                free_if_spare(nb_container_of(link, struct connection_shelf, link));
}

/* ---- what is held ---- */

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

static const struct confine_call calls[] = {
        CONFINE_CALL(epoll_create1, "a shelf"),
        CONFINE_CALL(epoll_ctl, "what is put into it"),
        CONFINE_CALL(openat, "what the kernel says of it, in /proc"),
        CONFINE_CALL(read, "the same"),
};
const struct confine_list connection_file_calls = CONFINE_LIST(calls);
