/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The streams of a connection that has any number of them, over its channel to a relay (PROTOCOL.md, Connection channel).
 *
 *      relay ──Streams, StreamIncoming, ConnectionClosed──►  pushed at any time, and taken in whenever something is wanted
 *            ◄──StreamCreate── ──StreamCreated or Refused──► one outstanding
 *            ◄──Credit──                                     raised when a stream is accepted, not when it arrives
 *
 * How many streams may be created is known here, so nobody is asked only to say that there are too many. What comes while something else is waited for
 * is kept: incoming streams in a ring that the credit bounds, a stream whose creation was interrupted until it is asked for again.
 *
 * The relay is not trusted: what does not fit ends the connection, with -EPROTO.
 */
#ifndef NB_SHIM_CLIENT_MULTIPLEX_H
#define NB_SHIM_CLIENT_MULTIPLEX_H

#include <stdbool.h>

#include "netbroker/client.h"

struct nb_context;
struct nb_multiplex;

/**
 * @param context    a reference is taken
 * @param datagrams  there is one channel of datagrams, and no other stream
 * @param fd         the connection channel; consumed on success
 * @param ret        owned by the caller: nb_multiplex_free()
 * @return 0, or -ENOMEM
 */
int nb_multiplex_new(struct nb_context *context, bool datagrams, int fd, struct nb_multiplex **ret);

/** Closes the channel, and the streams that nobody has taken. Takes NULL. @return NULL. */
struct nb_multiplex *nb_multiplex_free(struct nb_multiplex *multiplex);

/** These are the functions of client.h and connection.h, of a connection that multiplexes. Flags were judged. */
int nb_multiplex_create(struct nb_multiplex *multiplex, unsigned flags, struct nb_stream *ret);
int nb_multiplex_accept(struct nb_multiplex *multiplex, unsigned flags, struct nb_stream *ret);
int nb_multiplex_poll_fd(const struct nb_multiplex *multiplex, short *ret_events);
short nb_multiplex_known(const struct nb_multiplex *multiplex);
short nb_multiplex_ready(struct nb_multiplex *multiplex);
unsigned nb_multiplex_n_incoming(const struct nb_multiplex *multiplex);
const char *nb_multiplex_end_reason(const struct nb_multiplex *multiplex);

#endif
