/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a connection stands in the ledger (broker/ledger.h), and how those that a broker before has handed out come back.
 *
 * A record is written before the descriptor leaves, and removed with the entry. When the broker has been started again, the entries are made anew of the records, before
 * the loop runs; which of them are over is found as ever:
 *
 *      record ──► entry, charged ──► its file is closed: by a sweep of the shelves that came back (broker/connection_files.h)
 *                                ├─► it is at a relay that was taken over: by that one's stock (broker/relay_stock.h)
 *                                ├─► at one that was not: it has ended, if nothing else tells
 *                                └─► the policy of now does not grant it: as at a reload
 *
 * The kernel's events are subscribed to before the sweep begins, so nothing is missed in between.
 */
#ifndef NB_BROKER_CONNECTION_RECORD_H
#define NB_BROKER_CONNECTION_RECORD_H

#include <stdint.h>

struct broker;
struct connection;
struct kept_item;
struct session_token;

/** Writes a connection's record, where there is a ledger, and charges what it takes beyond the usual. @return 0, -ENOBUFS or -ENOMEM */
int connection_record_add(struct connection *connection);

/** Writes it anew: something of it has changed. Without room for that the old one stays. */
void connection_record_change(struct connection *connection);

/** Sets bits of it (LEDGER_REVOKED, LEDGER_ENDING). */
void connection_record_set_flags(const struct connection *connection, uint32_t flags);

/** Removes it. Harmless where there is none. */
void connection_record_remove(struct connection *connection);

/**
 * Takes the ledger back that an earlier broker has left. What it says is read by connection_restore_all().
 * @param item  whose descriptor is taken
 * @return 0; -EPROTO: this version does not understand it; another -errno
 */
int ledger_restore(struct broker *broker, struct kept_item *item);

/**
 * Makes entries of all records, unjudged, when ledger, shelves and relays have come back; and a ledger where none has. For a broker with a keeper.
 * @return how many there are
 */
uint32_t connection_restore_all(struct broker *broker);

/** Has a connection that came back count in the quotas of its session, which has come back with `token`. Nothing for one without a token. */
void connection_share_token(struct connection *connection, struct session_token *token);

#endif
