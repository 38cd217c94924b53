/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics for Prometheus: HTTP by libmicrohttpd, on a Unix socket or a loopback address (`--metrics`).
 *
 * The library waits on an epoll instance of its own, which is one descriptor among the broker's (loop/watch.h); it has no threads, and
 * its timeouts are a deadline of the loop's. Who asks is not told apart: what is shown is for everyone who can connect, so addresses that
 * others could reach are refused. There are few clients at a time, each with little memory and little time, and only GET and HEAD of
 * /metrics are answered.
 *
 * The page is made when it is asked for, from what is in memory, and in pieces as its client takes them: with very many tenants it is
 * megabytes, and no tenant waits for the whole.
 */
#ifndef NB_BROKER_EXPORTER_H
#define NB_BROKER_EXPORTER_H

#include "base/socket_address.h"

struct broker;
struct exporter;

/**
 * Parses where to serve: `unix:PATH`, `127.0.0.1:PORT` or `[::1]:PORT`.
 * @return 0; -EINVAL it is neither; -EADDRNOTAVAIL it is an address that others could reach
 */
int exporter_parse(const char *text, struct nb_socket_address *ret);

/**
 * Serves the metrics, and logs where: with port 0 the kernel chooses one.
 *
 * A Unix socket is made with mode 0660; one that nobody serves any more is replaced.
 * @return 0, and the exporter is the caller's; -EADDRINUSE when another process serves there; -EEXIST when another file is there; another -errno
 */
int exporter_new(struct broker *broker, const struct nb_socket_address *wanted, struct exporter **ret);

/** @return what went wrong, for the operator, in the words of a command line. @param r  of the two above */
const char *exporter_why(int r);

/** Ends it with all its clients; removes the path. Takes NULL. @return NULL */
struct exporter *exporter_free(struct exporter *exporter);

#endif
