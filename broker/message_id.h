/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kind of event a record of the audit is, for the journal: MESSAGE_ID names an entry of systemd/netbroker.catalog, which says what it means and
 * what to do (`journalctl --catalog`). An identifier is never given to another kind of event.
 */
#ifndef NB_BROKER_MESSAGE_ID_H
#define NB_BROKER_MESSAGE_ID_H

/** @return 32 hexadecimal digits, a constant; NULL for a record that needs no explanation */
const char *message_id_find(const char *verb, const char *verdict);

#endif
