/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll() on poll_oneoff.
 *
 * Each entry becomes the subscriptions that its socket's state asks for:
 *
 *     NEW         nothing is waited for: an unconnected stream is writable and hung up, as on Linux; a failed one readable and in error as well
 *     LISTENING   readable
 *     CONNECTING  the control, writable; the result is taken, and the entry goes on as what the socket is then
 *     CONNECTED, and all that is no socket: readable and writable as asked
 *
 * POLLHUP is due whether it is asked for or not, and WASI tells it only with the event for reading or writing. An entry without events
 * therefore waits for reading; what fires without a hang-up is left out until the call ends. WASI flags the end of what the peer sends
 * as a hang-up too; POSIX means the end of both directions, which is what the event for writing flags.
 */
#ifndef NB_GUEST_POSIX_POLL_H
#define NB_GUEST_POSIX_POLL_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

/** poll() with a timeout in nanoseconds or NB_POSIX_FOREVER. @return how many entries have `revents`, or -1 with errno */
int nb_posix_poll(struct pollfd *fds, size_t n_fds, int64_t timeout_ns);

#endif
