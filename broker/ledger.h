/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record of each connection that was handed out, in memory that outlives the broker.
 *
 * The keeper has a duplicate of the memory's descriptor (broker/keep.h), and the broker writes into the memory where it is: no system call and no message a
 * connection, and what was written is there after a kill -9. A record is written whole before its state says that it is one (a release store), and a
 * record that changes is written anew before the old one goes; so at no instruction is there half of one, and where both are there the newer one is taken.
 *
 *      memory:  slot 0: what it is, and counters ─ slots of 256 bytes: free, the head of a record, or its continuation
 *
 * Most records fit their head. Names, labels and what TLS has agreed on may be long, so a record goes on in as many slots as it takes, chained by their
 * numbers. Which slots are free is known to the process only, and found again when the memory comes back: what no head leads to is free.
 *
 * The memory is mapped once, at its largest size, and its file grows in steps within that; it cannot shrink (F_SEAL_SHRINK), so what is within the
 * file can be touched without SIGBUS. Versions that lay records out in another way do not understand each other, and say so.
 */
#ifndef NB_BROKER_LEDGER_H
#define NB_BROKER_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/socket_address.h"
#include "broker/keep.h"
#include "broker/quic_entry.h"
#include "policy/policy.h"

/** What is laid out in the memory, and how; with it change those who read it (proto/STATE.md). */
#define LEDGER_LAYOUT 1

/** The most that the packed security and the proxies' text of one connection may take; what is longer is not kept. */
#define LEDGER_FACTS_MAX 4096

/** And its narrowings, packed: more than they can take. */
#define LEDGER_NARROWINGS_MAX (20 * 1024)

struct ledger;

/** Bits that change while a record is there; each change is one store. */
#define LEDGER_REVOKED UINT32_C(1) /* is to stay dead */
#define LEDGER_ENDING UINT32_C(2)  /* its relay was ordered to end it */

/** What is fixed in size, as it stands in the memory. */
struct ledger_numbers {
        uint64_t id;
        uint64_t cookie;
        uint64_t session_id;
        uint64_t since_ms;
        uint64_t shelf;   /* by its number in the tenant; 0: none */
        uint64_t relay;   /* by its number; 0: none */
        uint64_t link;    /* the number at that relay */
        uint32_t verb;    /* enum policy_verb */
        uint32_t type;    /* enum policy_socket_type */
        uint32_t version; /* of this record of the connection; the newest counts */
        uint8_t preopen;  /* the protocol is a preopened socket's own */
        uint8_t was_relayed;
        uint8_t has_tls;
        uint8_t has_proxy;
        uint8_t is_pair;
        uint8_t is_quic;
        uint8_t ends_by_report;
        uint8_t in_table;
        uint8_t is_sealed;
        uint8_t unused[3];
};

/** A record. All that is pointed to is borrowed. */
struct ledger_entry {
        struct ledger_numbers numbers;
        uint32_t flags;
        const char *tenant;
        const char *protocol;
        const char *name; /* NULL: none, as the next two */
        const char *label;
        const char *proxies;     /* their URLs, joined by blanks */
        const uint8_t *security; /* packed */
        size_t security_length;
        const uint8_t *narrowings; /* packed, as nb.state.Narrowings */
        size_t narrowings_length;
        struct nb_socket_address local, peer, via, bind;
        struct nb_socket_address earlier[QUIC_ENTRY_EARLIER_MAX];
};

/** Numbers that must not be given out twice. They are in the memory, so whoever counts needs no message to the keeper. */
enum ledger_counter {
        LEDGER_LAST_CONNECTION,
        LEDGER_LAST_RELAY,
        LEDGER_LAST_RELAY_OBJECT,
        LEDGER_LAST_SESSION,
        LEDGER_N_COUNTERS,
};

/**
 * Makes an empty one, which is left with the keeper.
 * @param keep  as keep_put(); NULL: it is kept nowhere, in tests
 * @return 0 or -errno
 */
int ledger_new(struct keep *keep, struct ledger **ret);

/**
 * Takes one back.
 * @param fd         the memory's; consumed on success only
 * @param id         of the item, as keep_adopt()
 * @param ret_n_bad  how many records made no sense, and are removed
 * @return 0; -EPROTO: it is laid out in another way; another -errno
 */
int ledger_open(struct keep *keep, uint64_t id, int fd, uint32_t *ret_n_bad, struct ledger **ret);

/** Lets go of the memory, and forgets it unless the keeper goes on having it. Takes NULL. @return NULL */
struct ledger *ledger_free(struct ledger *ledger);

/**
 * Writes a record.
 * @param ret_slot  its number, never 0
 * @return 0; -ENOBUFS: there is no room; -ENOMEM
 */
int ledger_add(struct ledger *ledger, const struct ledger_entry *entry, uint32_t *ret_slot);

/** Writes a record anew, with a higher version. @param slot  in and out; left alone on failure @return as ledger_add() */
int ledger_replace(struct ledger *ledger, const struct ledger_entry *entry, uint32_t *slot);

/** Sets bits of a record's flags. */
void ledger_set_flags(struct ledger *ledger, uint32_t slot, uint32_t flags);

/** How many bytes a record takes beyond one slot. */
size_t ledger_extra(const struct ledger *ledger, uint32_t slot);

/** Removes a record. */
void ledger_remove(struct ledger *ledger, uint32_t slot);

/** Gets a record; all of it is borrowed until it returns. */
typedef void (*ledger_function)(void *data, uint32_t slot, const struct ledger_entry *entry);

/**
 * Calls the function for each record that there is, in the order of their ids; it may remove that one.
 * @return 0 or -ENOMEM
 */
int ledger_each(struct ledger *ledger, ledger_function function, void *data);

/**
 * Counts one more of what must not be given out twice.
 * @param ledger  NULL: there is none
 * @param last    the number that was given out last; counted up
 * @return the number
 */
uint64_t ledger_count(struct ledger *ledger, enum ledger_counter counter, uint64_t *last);

/** @return the number that was given out last, by whatever broker */
uint64_t ledger_last(const struct ledger *ledger, enum ledger_counter counter);

/** @return the memory's descriptor, borrowed: what the keeper has a duplicate of */
int ledger_fd(const struct ledger *ledger);

/** How many slots are in use, and how many the memory has. */
void ledger_room(const struct ledger *ledger, uint32_t *ret_used, uint32_t *ret_all);

#endif
