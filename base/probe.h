/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proof of the seal, from the side of who made the sockets: netbroker-probe(8) gets sockets of ours and tries to turn them into others.
 *
 * Every socket is made for this, on loopback, so nothing of a tenant's is ever in the probe's hands. What it reports is judged here.
 */
#ifndef NB_BASE_PROBE_H
#define NB_BASE_PROBE_H

#include <stddef.h>

#include "base/probe_message.h"

/** Room for the sentence of nb_probe_judge(). */
#define NB_PROBE_WHY_MAX 256

/**
 * Has the probe that serves `path` try. Waits; takes some ten milliseconds where the machine is idle. Needs IPv4 on loopback; IPv6 is tried where it is.
 * @param timeout_ms  for all of it together
 * @return 0; -ETIMEDOUT; -ENOENT or -ECONNREFUSED when nobody serves the path; -EPROTO for an answer that is none; another -errno
 */
int nb_probe_ask(const char *path, unsigned timeout_ms, struct nb_probe_report *ret);

/** As nb_probe_ask(), over a connection to the probe. @param fd  borrowed; SEQPACKET */
int nb_probe_ask_connected(int fd, unsigned timeout_ms, struct nb_probe_report *ret);

/**
 * Whether the report proves the seal: each escape was tried on each of the sockets that it is for, and all were refused or led to what nothing reaches.
 * What the kernel has not (io_uring, IPv6) need not be tried.
 * @param ret_why  the first thing that speaks against it, a clause without a capital and a full stop; empty where nothing does
 * @return 0; -EPERM: it is not proven
 */
int nb_probe_judge(const struct nb_probe_report *report, char ret_why[static NB_PROBE_WHY_MAX]);

/** How messages call an escape, an outcome and a socket: "MSG_FASTOPEN", "refused", "a TCP socket of IPv4". */
const char *nb_probe_escape_name(unsigned escape);
const char *nb_probe_outcome_name(unsigned outcome);
const char *nb_probe_socket_name(unsigned socket);

#endif
