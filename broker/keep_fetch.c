/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/keep_fetch.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/channel.h"
#include "base/keep_message.h"

/* Without a message. The broker before has a second for its end. */
#define PATIENCE_MS 10000

/* More than there are descriptors for. */
#define ITEMS_MAX (1024 * 1024)

/* ---- decoding ---- */

/* What unpacked fields take beyond their bytes: a pointer and a length for each of two bytes. */
#define MEMORY_PER_BYTE 32
#define MEMORY_LEAST 4096

static void *allocate(void *data, size_t size) {
        size_t *left = data;

        if (size > *left)
                return NULL;
        *left -= size;
        return malloc(size);
}

static void release(void *data, void *pointer) {
        (void)data;
        free(pointer);
}

Nb__State__Item *keep_decode(const uint8_t *bytes, size_t length) {
        size_t left = MEMORY_LEAST + length * MEMORY_PER_BYTE;
        ProtobufCAllocator allocator = { .alloc = allocate, .free = release, .allocator_data = &left };
        Nb__State__Item *item = nb__state__item__unpack(&allocator, length, bytes);

        if (!item || item->body_case != NB__STATE__ITEM__BODY__NOT_SET)
                return item;
        nb__state__item__free_unpacked(item, NULL);
        return NULL;
}

/* ---- receiving ---- */

struct fetch {
        const struct nb_log *log;
        int fd;
        struct keep_fetched fetched;
        struct kept_item *items;
        size_t n_items;
        size_t size; /* of both arrays */
        size_t n_dropped;
        bool ended;
        uint8_t message[NB_CHANNEL_MESSAGE_MAX];
};

static int make_room(struct fetch *fetch) {
        size_t size = fetch->size ? fetch->size * 2 : 64;
        struct keep_fetched_entry *entries;
        struct kept_item *items;

        if (fetch->fetched.n < fetch->size)
                return 0;
        if (size > ITEMS_MAX)
                return -E2BIG;
        entries = reallocarray(fetch->fetched.entries, size, sizeof(*entries));
        if (!entries)
                return -ENOMEM;
        fetch->fetched.entries = entries;
        items = reallocarray(fetch->items, size, sizeof(*items));
        if (!items)
                return -ENOMEM;
        fetch->items = items;
        fetch->size = size;
        return 0;
}

static void take_fds(struct kept_item *item, struct nb_channel_fds *fds) {
        memcpy(item->fds, fds->fds, fds->n * sizeof(int));
        item->n_fds = fds->n;
        fds->n = 0;
}

/* Every number is noted: what cannot be used is forgotten. */
static int take_entry(struct fetch *fetch, const struct nb_keep_header *header, struct nb_channel_fds *fds) {
        struct kept_item item = { .id = header->id };
        int r = make_room(fetch);

        if (r < 0)
                return r;
        fetch->fetched.entries[fetch->fetched.n++] = (struct keep_fetched_entry){ .id = header->id };
        if (fds->n <= KEPT_FDS_MAX)
                item.item = keep_decode(fetch->message + sizeof(*header), header->length);
        if (!item.item) {
                fetch->n_dropped++;
                return 0;
        }
        take_fds(&item, fds);
        fetch->items[fetch->n_items++] = item;
        return 0;
}

static int handle(struct fetch *fetch, size_t length, struct nb_channel_fds *fds) {
        struct nb_keep_header header;

        if (length < sizeof(header))
                return -EPROTO;
        memcpy(&header, fetch->message, sizeof(header));
        if (header.version != NB_KEEP_VERSION || header.length != length - sizeof(header))
                return -EPROTO;
        if (header.verb == NB_KEEP_ENTRY)
                return take_entry(fetch, &header, fds);
        if (header.verb != NB_KEEP_END)
                return -EPROTO;
        fetch->fetched.last_id = header.id;
        fetch->ended = true;
        return 0;
}

/* The descriptors of this entry have found no room in our table; without them it is of no use. */
static int lose_entry(struct fetch *fetch, size_t length) {
        struct nb_channel_fds none = { .n = 0 };
        size_t before = fetch->n_items;
        int r = handle(fetch, length, &none);

        if (fetch->n_items == before)
                return r;
        fetch->n_items--;
        fetch->n_dropped++;
        nb__state__item__free_unpacked(fetch->items[fetch->n_items].item, NULL);
        return r;
}

static int receive(struct fetch *fetch) {
        struct nb_channel_fds fds = { .n = 0 };
        int r, n = nb_channel_receive(fetch->fd, fetch->message, &fds);

        if (n == -EMFILE)
                return lose_entry(fetch, fds.n_bytes_lost);
        if (n <= 0)
                return n < 0 ? n : -ECONNRESET;
        r = handle(fetch, (size_t)n, &fds);
        nb_channel_fds_close(&fds);
        return r;
}

static int wait_for_message(const struct fetch *fetch) {
        struct pollfd event = { .fd = fetch->fd, .events = POLLIN };
        int n = poll(&event, 1, PATIENCE_MS);

        if (n < 0)
                return errno == EINTR ? 0 : -errno;
        return n > 0 ? 0 : -ETIMEDOUT;
}

static int receive_all(struct fetch *fetch) {
        int r = 0;

        while (r == 0 && !fetch->ended) {
                r = receive(fetch);
                if (r == -EAGAIN)
                        r = wait_for_message(fetch);
        }
        return r;
}

static int compare(const void *left, const void *right) {
        const struct keep_fetched_entry *a = left, *b = right;

        return a->id < b->id ? -1 : a->id > b->id;
}

static void finish(struct fetch *fetch, struct keep_fetched *ret, struct kept_item **ret_items, size_t *ret_n) {
        if (fetch->fetched.n > 0)
                qsort(fetch->fetched.entries, fetch->fetched.n, sizeof(fetch->fetched.entries[0]), compare);
        if (fetch->n_dropped > 0)
                nb_log(fetch->log, NB_LOG_WARNING,
                       "%zu of %zu entries of netbroker-keeper cannot be read, or found no room for their descriptors: "
                       "what they are of ends",
                       fetch->n_dropped, fetch->fetched.n);
        *ret = fetch->fetched;
        *ret_items = fetch->items;
        *ret_n = fetch->n_items;
}

int keep_fetch(const struct nb_log *log, int fd, struct keep_fetched *ret, struct kept_item **ret_items,
               size_t *ret_n) {
        struct fetch *fetch = calloc(1, sizeof(*fetch));
        int r;

        if (!fetch)
                return -ENOMEM;
        fetch->log = log;
        fetch->fd = fd;
        r = receive_all(fetch);
        if (r == 0) {
                finish(fetch, ret, ret_items, ret_n);
        } else {
                keep_items_free(NULL, fetch->items, fetch->n_items);
                keep_fetched_deinit(&fetch->fetched);
        }
        free(fetch);
        return r;
}

/* ---- what has come of it ---- */

void keep_fetched_adopt(struct keep_fetched *fetched, uint64_t id) {
        const struct keep_fetched_entry key = { .id = id };
        struct keep_fetched_entry *entry =
                fetched->n > 0 ? bsearch(&key, fetched->entries, fetched->n, sizeof(key), compare) : NULL;

        if (entry)
                entry->adopted = true;
}

void keep_fetched_deinit(struct keep_fetched *fetched) {
        free(fetched->entries);
        *fetched = (struct keep_fetched){ .entries = NULL };
}
