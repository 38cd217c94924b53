/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/ledger.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <seccomp.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "broker/calls.h"

/* "nbledger" */
#define MAGIC UINT64_C(0x6e626c6564676572)

#define SLOT_SIZE 256

/* How many slots the memory begins with, and grows by: 256 KiB. */
#define STEP 1024

/* 1 GiB of addresses, of which a step at a time has memory behind it: some millions of connections. */
#define SLOTS_MAX (UINT32_C(4) * 1024 * 1024)

/* The longest record: its numbers, its texts with what the policy and the protocol bound them by, and a dozen addresses. */
#define RECORD_MAX (LEDGER_FACTS_MAX + LEDGER_NARROWINGS_MAX + 4096)

enum slot_state {
        SLOT_FREE, /* or the continuation of a record */
        SLOT_HEAD,
};

struct slot {
        _Atomic uint32_t state;
        _Atomic uint32_t flags;
        uint32_t next;   /* the slot that it goes on in; 0: none */
        uint32_t length; /* of a head: of the whole record, in bytes */
        uint8_t bytes[SLOT_SIZE - 4 * sizeof(uint32_t)];
};

struct header {
        uint64_t magic;
        uint32_t layout;
        uint32_t slot_size;
        uint32_t numbers_size;
        uint32_t reserved;
        uint64_t counters[LEDGER_N_COUNTERS];
};

_Static_assert(sizeof(struct slot) == SLOT_SIZE, "a slot has its size");
_Static_assert(sizeof(struct header) <= SLOT_SIZE, "the header fits a slot");

struct ledger {
        struct kept kept;
        int fd;             /* owned */
        struct slot *slots; /* SLOTS_MAX of them, `n` with memory behind them */
        uint32_t n;
        uint32_t *free; /* owned: numbers of those that are free; as many places as there are slots */
        uint32_t n_free;
};

static struct header *header_of(const struct ledger *ledger) {
        return (struct header *)(void *)ledger->slots;
}

/* ---- with the keeper ---- */

static void describe(const struct kept *kept, struct kept_sink *sink) {
        const struct ledger *ledger = nb_container_of(kept, struct ledger, kept);
        Nb__State__Ledger message = NB__STATE__LEDGER__INIT;
        Nb__State__Item item = NB__STATE__ITEM__INIT;

        message.layout = LEDGER_LAYOUT;
        item.body_case = NB__STATE__ITEM__BODY_LEDGER;
        item.ledger = &message;
        kept_sink_give(sink, &item, &ledger->fd, 1);
}

static const struct kept_ops kept_ops = { .describe = describe };

/* ---- the memory ---- */

/* Makes room in the process for what is known of so many slots. */
static int make_room(struct ledger *ledger, uint32_t n) {
        uint32_t *numbers = reallocarray(ledger->free, n, sizeof(*numbers));

        if (!numbers)
                return -ENOMEM;
        ledger->free = numbers;
        return 0;
}

/* With memory behind it from the beginning: a page that cannot be had later would be a SIGBUS. */
static int grow(struct ledger *ledger) {
        uint32_t n = ledger->n + STEP;
        int r = n <= SLOTS_MAX ? make_room(ledger, n) : -ENOBUFS;

        if (r < 0)
                return r;
        if (nb_file_reserve(ledger->fd, (off_t)ledger->n * SLOT_SIZE, (off_t)STEP * SLOT_SIZE) < 0)
                return -ENOBUFS;
        /* The lowest are taken first. */
        for (uint32_t i = n; i > ledger->n && i > 1; --i)
                ledger->free[ledger->n_free++] = i - 1;
        ledger->n = n;
        return 0;
}

static int map(struct ledger *ledger) {
        void *memory = mmap(NULL, (size_t)SLOTS_MAX * SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                            ledger->fd, 0);

        if (memory == MAP_FAILED)
                return -errno;
        ledger->slots = memory;
        return 0;
}

static struct ledger *ledger_unmap(struct ledger *ledger) {
        if (!ledger)
                return NULL;
        if (ledger->slots)
                (void)munmap(ledger->slots, (size_t)SLOTS_MAX * SLOT_SIZE);
        ledger->fd = nb_fd_close(ledger->fd);
        free(ledger->free);
        free(ledger);
        return NULL;
}

static void cleanup_ledger(struct ledger **ledger) {
        *ledger = ledger_unmap(*ledger);
}

static struct ledger *allocate(void) {
        struct ledger *ledger = calloc(1, sizeof(*ledger));

        if (ledger)
                ledger->fd = -1;
        return ledger;
}

static int make_memory(struct ledger *ledger) {
        int r;

        ledger->fd = memfd_create("netbroker-ledger", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (ledger->fd < 0 || fcntl(ledger->fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0)
                return -errno;
        r = map(ledger);
        return r < 0 ? r : grow(ledger);
}

int ledger_new(struct keep *keep, struct ledger **ret) {
        NB_CLEANUP(cleanup_ledger) struct ledger *ledger = allocate();
        int r = ledger ? make_memory(ledger) : -ENOMEM;

        if (r < 0)
                return r;
        *header_of(ledger) = (struct header){
                .magic = MAGIC,
                .layout = LEDGER_LAYOUT,
                .slot_size = SLOT_SIZE,
                .numbers_size = sizeof(struct ledger_numbers),
        };
        keep_put(keep, &ledger->kept, &kept_ops);
        *ret = nb_steal_ptr(ledger);
        return 0;
}

struct ledger *ledger_free(struct ledger *ledger) {
        if (ledger)
                keep_forget(&ledger->kept);
        return ledger_unmap(ledger);
}

/* ---- writing ---- */

/* A record on its way into slots, or out of them. */
struct record {
        size_t length;
        size_t at; /* that was read up to */
        bool is_bad;
        uint8_t bytes[RECORD_MAX];
};

static void put(struct record *record, const void *bytes, size_t length) {
        assert(length <= sizeof(record->bytes) - record->length);
        if (length > 0)
                memcpy(record->bytes + record->length, bytes, length);
        record->length += length;
}

static void put_bytes(struct record *record, const void *bytes, size_t length) {
        uint16_t n = (uint16_t)length;

        put(record, &n, sizeof(n));
        put(record, bytes, length);
}

/* With its NUL, so that none and an empty one differ. */
static void put_text(struct record *record, const char *text) {
        put_bytes(record, text, text ? strlen(text) + 1 : 0);
}

static void put_address(struct record *record, const struct nb_socket_address *address) {
        uint8_t family = (uint8_t)address->family;

        put(record, &family, sizeof(family));
        switch (address->family) {
        case AF_INET:
        case AF_INET6:
                put(record, address->ip.ip.bytes, sizeof(address->ip.ip.bytes));
                put(record, &address->ip.port, sizeof(address->ip.port));
                break;
        case AF_UNIX: {
                uint8_t abstract = address->un.abstract;

                put(record, &abstract, sizeof(abstract));
                put_bytes(record, address->un.text, address->un.length);
                break;
        }
        default:
                break;
        }
}

/* What a connection can do without is left out where it is too long. */
static void encode(const struct ledger_entry *entry, struct record *ret) {
        size_t proxies_length = entry->proxies ? strlen(entry->proxies) + 1 : 0;
        bool fits = entry->security_length + proxies_length <= LEDGER_FACTS_MAX;

        ret->length = 0;
        put(ret, &entry->numbers, sizeof(entry->numbers));
        put_text(ret, entry->tenant);
        put_text(ret, entry->protocol);
        put_address(ret, &entry->peer);
        put_address(ret, &entry->local);
        put_address(ret, &entry->via);
        put_address(ret, &entry->bind);
        put_text(ret, entry->name);
        put_text(ret, entry->label);
        put_text(ret, fits ? entry->proxies : NULL);
        put_bytes(ret, entry->security, fits ? entry->security_length : 0);
        put_bytes(ret, entry->narrowings, entry->narrowings_length);
        for (size_t i = 0; entry->numbers.is_quic && i < QUIC_ENTRY_EARLIER_MAX; ++i)
                put_address(ret, &entry->earlier[i]);
}

static uint32_t slots_for(size_t length) {
        return (uint32_t)((length + sizeof(((struct slot *)NULL)->bytes) - 1) / sizeof(((struct slot *)NULL)->bytes));
}

static int reserve(struct ledger *ledger, uint32_t n) {
        while (ledger->n_free < n) {
                int r = grow(ledger);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* There is room. @return the first slot, which is none yet */
static uint32_t write_slots(struct ledger *ledger, const struct record *record) {
        uint32_t first = 0, *place = &first;

        for (size_t at = 0; at < record->length;) {
                uint32_t number = ledger->free[--ledger->n_free];
                struct slot *slot = &ledger->slots[number];
                size_t n = record->length - at < sizeof(slot->bytes) ? record->length - at : sizeof(slot->bytes);

                *place = number;
                place = &slot->next;
                memcpy(slot->bytes, record->bytes + at, n);
                at += n;
        }
        *place = 0;
        return first;
}

int ledger_add(struct ledger *ledger, const struct ledger_entry *entry, uint32_t *ret_slot) {
        struct record record;
        struct slot *slot;
        uint32_t first;
        int r;

        if (entry->narrowings_length > LEDGER_NARROWINGS_MAX)
                return -ENOBUFS;
        encode(entry, &record);
        r = reserve(ledger, slots_for(record.length));
        if (r < 0)
                return r;
        first = write_slots(ledger, &record);
        slot = &ledger->slots[first];
        slot->length = (uint32_t)record.length;
        atomic_store_explicit(&slot->flags, entry->flags, memory_order_relaxed);
        atomic_store_explicit(&slot->state, SLOT_HEAD, memory_order_release);
        *ret_slot = first;
        return 0;
}

int ledger_replace(struct ledger *ledger, const struct ledger_entry *entry, uint32_t *slot) {
        uint32_t made;
        int r = ledger_add(ledger, entry, &made);

        if (r < 0)
                return r;
        ledger_remove(ledger, *slot);
        *slot = made;
        return 0;
}

size_t ledger_extra(const struct ledger *ledger, uint32_t slot) {
        return (size_t)(slots_for(ledger->slots[slot].length) - 1) * SLOT_SIZE;
}

void ledger_set_flags(struct ledger *ledger, uint32_t slot, uint32_t flags) {
        (void)atomic_fetch_or_explicit(&ledger->slots[slot].flags, flags, memory_order_release);
}

void ledger_remove(struct ledger *ledger, uint32_t slot) {
        /* First, so that no head leads into slots that are others' next. */
        atomic_store_explicit(&ledger->slots[slot].state, SLOT_FREE, memory_order_seq_cst);
        while (slot != 0) {
                ledger->free[ledger->n_free++] = slot;
                slot = ledger->slots[slot].next;
        }
}

/* ---- reading ---- */

static const uint8_t *take(struct record *record, size_t length) {
        const uint8_t *bytes = record->bytes + record->at;

        if (record->is_bad || length > record->length - record->at) {
                record->is_bad = true;
                return NULL;
        }
        record->at += length;
        return bytes;
}

static void take_value(struct record *record, void *ret, size_t length) {
        const uint8_t *bytes = take(record, length);

        if (bytes)
                memcpy(ret, bytes, length);
}

static const uint8_t *take_bytes(struct record *record, size_t *ret_length) {
        uint16_t length = 0;

        take_value(record, &length, sizeof(length));
        *ret_length = record->is_bad ? 0 : length;
        return take(record, length);
}

static const char *take_text(struct record *record) {
        size_t length;
        const uint8_t *bytes = take_bytes(record, &length);

        if (length == 0)
                return NULL;
        if (bytes && memchr(bytes, '\0', length) == bytes + length - 1)
                return (const char *)bytes;
        record->is_bad = true;
        return NULL;
}

static void take_unix_name(struct record *record, struct nb_unix_name *ret) {
        uint8_t abstract = 0;
        const uint8_t *bytes;
        size_t length;

        take_value(record, &abstract, sizeof(abstract));
        bytes = take_bytes(record, &length);
        *ret = (struct nb_unix_name){ .abstract = abstract != 0 };
        if (length > NB_UNIX_NAME_MAX || (bytes && memchr(bytes, '\0', length))) {
                record->is_bad = true;
                return;
        }
        if (bytes)
                memcpy(ret->text, bytes, length);
        ret->length = (uint8_t)length;
}

static void take_address(struct record *record, struct nb_socket_address *ret) {
        uint8_t family = 0;

        take_value(record, &family, sizeof(family));
        *ret = (struct nb_socket_address){ .family = family };
        switch (family) {
        case 0:
                break;
        case AF_INET:
        case AF_INET6:
                ret->ip.ip.family = family;
                take_value(record, ret->ip.ip.bytes, sizeof(ret->ip.ip.bytes));
                take_value(record, &ret->ip.port, sizeof(ret->ip.port));
                break;
        case AF_UNIX:
                take_unix_name(record, &ret->un);
                break;
        default:
                record->is_bad = true;
        }
}

static bool numbers_make_sense(const struct ledger_numbers *numbers) {
        return numbers->id != 0 && (numbers->verb == POLICY_CONNECT || numbers->verb == POLICY_ACCEPT) &&
               (numbers->type == POLICY_SOCKET_STREAM || numbers->type == POLICY_SOCKET_DGRAM) &&
               (numbers->relay == 0) == (numbers->link == 0);
}

/* @return whether it makes sense */
static bool decode(struct record *record, struct ledger_entry *ret) {
        take_value(record, &ret->numbers, sizeof(ret->numbers));
        ret->tenant = take_text(record);
        ret->protocol = take_text(record);
        take_address(record, &ret->peer);
        take_address(record, &ret->local);
        take_address(record, &ret->via);
        take_address(record, &ret->bind);
        ret->name = take_text(record);
        ret->label = take_text(record);
        ret->proxies = take_text(record);
        ret->security = take_bytes(record, &ret->security_length);
        ret->narrowings = take_bytes(record, &ret->narrowings_length);
        for (size_t i = 0; !record->is_bad && ret->numbers.is_quic && i < QUIC_ENTRY_EARLIER_MAX; ++i)
                take_address(record, &ret->earlier[i]);
        return !record->is_bad && record->at == record->length && ret->tenant && ret->protocol &&
               numbers_make_sense(&ret->numbers);
}

/* @param is_used  of each slot whether a record has it; @return whether the chain is one, and nobody else's */
static bool read_slots(const struct ledger *ledger, uint32_t first, bool *is_used, struct record *ret) {
        uint32_t number = first, length = ledger->slots[first].length;

        *ret = (struct record){ .length = 0 };
        if (length == 0 || length > sizeof(ret->bytes))
                return false;
        while (ret->length < length) {
                size_t n = length - ret->length;
                const struct slot *slot;

                if (number == 0 || number >= ledger->n || is_used[number])
                        return false;
                slot = &ledger->slots[number];
                if (number != first && atomic_load_explicit(&slot->state, memory_order_relaxed) != SLOT_FREE)
                        return false;
                is_used[number] = true;
                put(ret, slot->bytes, n < sizeof(slot->bytes) ? n : sizeof(slot->bytes));
                number = slot->next;
        }
        return number == 0;
}

/* ---- taking it back ---- */

static bool is_ours(const struct ledger *ledger, const struct stat *file) {
        const struct header *header = header_of(ledger);

        return file->st_size % ((off_t)STEP * SLOT_SIZE) == 0 && header->magic == MAGIC &&
               header->layout == LEDGER_LAYOUT && header->slot_size == SLOT_SIZE &&
               header->numbers_size == sizeof(struct ledger_numbers);
}

static int check_memory(struct ledger *ledger) {
        struct stat file;
        int r;

        if (fstat(ledger->fd, &file) < 0)
                return -errno;
        if (file.st_size < SLOT_SIZE || file.st_size > (off_t)SLOTS_MAX * SLOT_SIZE)
                return -EPROTO;
        /* Nobody may make it shorter under our hands. */
        if (fcntl(ledger->fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0)
                return -errno;
        r = map(ledger);
        if (r < 0)
                return r;
        if (!is_ours(ledger, &file))
                return -EPROTO;
        ledger->n = (uint32_t)(file.st_size / SLOT_SIZE);
        return make_room(ledger, ledger->n);
}

/* What is found is one record; those that are none are wiped, and their slots are free. */
struct found {
        uint64_t id;
        uint32_t version;
        uint32_t slot;
};

static int compare(const void *a, const void *b) {
        const struct found *one = a, *other = b;

        if (one->id != other->id)
                return one->id < other->id ? -1 : 1;
        return one->version < other->version ? -1 : one->version > other->version;
}

static bool is_head(const struct ledger *ledger, uint32_t slot) {
        return atomic_load_explicit(&ledger->slots[slot].state, memory_order_acquire) == SLOT_HEAD;
}

static void wipe(struct ledger *ledger, uint32_t slot) {
        atomic_store_explicit(&ledger->slots[slot].state, SLOT_FREE, memory_order_release);
}

/* @return how many records there are */
static uint32_t find_all(struct ledger *ledger, struct found *found, bool *is_used, uint32_t *ret_n_bad) {
        uint32_t n = 0;

        *ret_n_bad = 0;
        for (uint32_t slot = 1; slot < ledger->n; ++slot) {
                struct ledger_entry entry = { .flags = 0 };
                struct record record;

                if (!is_head(ledger, slot))
                        continue;
                if (!read_slots(ledger, slot, is_used, &record) || !decode(&record, &entry)) {
                        wipe(ledger, slot);
                        ++*ret_n_bad;
                        continue;
                }
                found[n++] = (struct found){ entry.numbers.id, entry.numbers.version, slot };
        }
        return n;
}

/* Of two of one connection the broker before was about to remove the older. @return how many are left */
static uint32_t drop_older(struct ledger *ledger, struct found *found, uint32_t n) {
        uint32_t n_left = 0;

        qsort(found, n, sizeof(*found), compare);
        for (uint32_t i = 0; i < n; ++i) {
                if (i + 1 < n && found[i + 1].id == found[i].id)
                        wipe(ledger, found[i].slot);
                else
                        found[n_left++] = found[i];
        }
        return n_left;
}

/* The lowest are taken first. */
static void note_free(struct ledger *ledger, const bool *is_used) {
        ledger->n_free = 0;
        for (uint32_t slot = ledger->n - 1; slot > 0; --slot) {
                if (!is_used[slot])
                        ledger->free[ledger->n_free++] = slot;
        }
}

static void mark_all(const struct ledger *ledger, const struct found *found, uint32_t n, bool *is_used) {
        memset(is_used, 0, ledger->n * sizeof(*is_used));
        for (uint32_t i = 0; i < n; ++i) {
                for (uint32_t slot = found[i].slot; slot != 0; slot = ledger->slots[slot].next)
                        is_used[slot] = true;
        }
}

/*
 * Finds what there is, and what is free.
 * @param ret  of all records, in the order of their ids; owned by the caller
 */
static int sort_out(struct ledger *ledger, struct found **ret, uint32_t *ret_n, uint32_t *ret_n_bad) {
        NB_CLEANUP_FREE struct found *found = calloc(ledger->n, sizeof(*found));
        NB_CLEANUP_FREE bool *is_used = calloc(ledger->n, sizeof(*is_used));
        uint32_t n;

        if (!found || !is_used)
                return -ENOMEM;
        n = find_all(ledger, found, is_used, ret_n_bad);
        n = drop_older(ledger, found, n);
        mark_all(ledger, found, n, is_used);
        note_free(ledger, is_used);
        *ret = nb_steal_ptr(found);
        *ret_n = n;
        return 0;
}

/* It was read before, and made sense. */
static void give_entry(const struct ledger *ledger, uint32_t slot, bool *is_used, ledger_function function,
                       void *data) {
        struct ledger_entry entry = {
                .flags = atomic_load_explicit(&ledger->slots[slot].flags, memory_order_relaxed),
        };
        struct record record;

        if (is_head(ledger, slot) && read_slots(ledger, slot, is_used, &record) && decode(&record, &entry))
                function(data, slot, &entry);
}

int ledger_each(struct ledger *ledger, ledger_function function, void *data) {
        NB_CLEANUP_FREE struct found *found = NULL;
        NB_CLEANUP_FREE bool *is_used = calloc(ledger->n, sizeof(*is_used));
        uint32_t n, n_bad;
        int r = is_used ? sort_out(ledger, &found, &n, &n_bad) : -ENOMEM;

        if (r < 0)
                return r;
        for (uint32_t i = 0; i < n; ++i)
                give_entry(ledger, found[i].slot, is_used, function, data);
        return 0;
}

int ledger_open(struct keep *keep, uint64_t id, int fd, uint32_t *ret_n_bad, struct ledger **ret) {
        NB_CLEANUP(cleanup_ledger) struct ledger *ledger = allocate();
        NB_CLEANUP_FREE struct found *found = NULL;
        uint32_t n;
        int r;

        if (!ledger)
                return -ENOMEM;
        ledger->fd = fd;
        r = check_memory(ledger);
        if (r == 0)
                r = sort_out(ledger, &found, &n, ret_n_bad);
        if (r < 0) {
                ledger->fd = -1;
                return r;
        }
        if (keep)
                keep_adopt(keep, &ledger->kept, &kept_ops, id);
        *ret = nb_steal_ptr(ledger);
        return 0;
}

/* ---- counters, and how full it is ---- */

uint64_t ledger_count(struct ledger *ledger, enum ledger_counter counter, uint64_t *last) {
        ++*last;
        if (ledger)
                header_of(ledger)->counters[counter] = *last;
        return *last;
}

uint64_t ledger_last(const struct ledger *ledger, enum ledger_counter counter) {
        return header_of(ledger)->counters[counter];
}

int ledger_fd(const struct ledger *ledger) {
        return ledger->fd;
}

void ledger_room(const struct ledger *ledger, uint32_t *ret_used, uint32_t *ret_all) {
        *ret_all = ledger->n - 1;
        *ret_used = *ret_all - ledger->n_free;
}

static const struct confine_call calls[] = {
        CONFINE_CALL(memfd_create, "the memory"), CONFINE_CALL(fallocate, "its size"),
        CONFINE_CALL(ftruncate, "its size"),      CONFINE_CALL(fcntl, "its seals"),
        CONFINE_CALL(mmap, "the records"),
};
const struct confine_list ledger_calls = CONFINE_LIST(calls);
