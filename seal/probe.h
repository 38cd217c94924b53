/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A proof, from the side of the probe: receives sockets, tries each escape on each, has its openings knocked at, and reports.
 */
#ifndef NB_SEAL_PROBE_H
#define NB_SEAL_PROBE_H

/** How long the other side may take for a message, in milliseconds. */
#define PROBE_TIMEOUT_MS 10000

/**
 * Serves one proof over a channel.
 * @param fd  borrowed; non-blocking
 * @return 0; -EPROTO for messages that are none of netbrokerd's; -ETIMEDOUT; -ECONNRESET when it went; another -errno
 */
int probe_serve(int fd);

#endif
