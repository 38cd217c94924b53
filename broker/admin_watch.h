/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's verb watch: the audit as it happens.
 *
 * A watcher gets every record that fits its filters, also those that the audit's rate leaves out of its file. What it does not read in time is
 * lost to it, counted, and told when there is room again: nobody waits for a watcher.
 */
#ifndef NB_BROKER_ADMIN_WATCH_H
#define NB_BROKER_ADMIN_WATCH_H

/** How much may wait for a watcher, in bytes. */
#define ADMIN_WATCH_MAX (256 * 1024)

#endif
