/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where records of the audit go: the log, a file, the journal, or standard output.
 *
 * A reader that does not read, or a disk that is full, must not stop the broker. So nothing here waits: what cannot be written at once is
 * lost, and the caller counts it. Files and pipes are non-blocking by an open file description of our own, sockets by the flag of send(2),
 * and of the log, which is standard error and not ours alone, it is asked before whether it takes a line. The journal is spoken to in its
 * own protocol (systemd's JOURNAL_NATIVE_PROTOCOL), a datagram a record, because sd_journal_sendv(3) waits for a journal that is stuck.
 */
#ifndef NB_BROKER_AUDIT_SINK_H
#define NB_BROKER_AUDIT_SINK_H

#include <jansson.h>

#include "base/log.h"

/** Where journald listens. */
#define AUDIT_SINK_JOURNAL "/run/systemd/journal/socket"

struct audit_sink;

/**
 * Opens what `--audit` names: "journal", "stdout", or a file, which is made if it is not there and appended to.
 * @param name  borrowed, lives as long as the sink
 * @return 0, or -errno
 */
int audit_sink_open(const char *name, struct audit_sink **ret);

/**
 * The same, where another process has opened it.
 * @param name  as there
 * @param fd    consumed in any case
 * @return owned by the caller; NULL without memory
 */
struct audit_sink *audit_sink_new_opened(const char *name, int fd);

/** @return the descriptor of one that has been opened, borrowed; of the journal it may be -1 */
int audit_sink_fd(const struct audit_sink *sink);

/** The log. @param log  borrowed @return owned by the caller, or NULL without memory */
struct audit_sink *audit_sink_new_log(const struct nb_log *log);

/** A descriptor that is open. @param fd  consumed in any case @return owned by the caller, or NULL without memory */
struct audit_sink *audit_sink_new_fd(int fd);

/** The journal that listens at `path`, which lives as long as the sink. @return 0, or -errno */
int audit_sink_open_journal(const char *path, struct audit_sink **ret);

/** Takes NULL. @return NULL */
struct audit_sink *audit_sink_free(struct audit_sink *sink);

/** Whether records of that level are written: of the log those that its level includes, of others all. */
bool audit_sink_wants(const struct audit_sink *sink, enum nb_log_level level);

/**
 * Writes one record without waiting.
 * @param record  borrowed
 * @param line    the same as one line of ASCII, borrowed
 * @return 0; -EAGAIN where it would have to wait; another -errno
 */
int audit_sink_write(struct audit_sink *sink, enum nb_log_level level, const json_t *record, const char *line);

/** Opens a file again by its name, after it was rotated; the one before stays if that fails. @return 0 or -errno */
int audit_sink_reopen(struct audit_sink *sink);

/** @return what it is, for messages: "the journal", or the name of a file. */
const char *audit_sink_name(const struct audit_sink *sink);

#endif
