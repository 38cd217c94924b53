/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An end to what others make the broker wait for in the kernel.
 *
 * Whoever closes a TCP socket last that lingers (SO_LINGER) waits until its peer has read, for as long as any holder of the socket has
 * chosen, and non-blocking ones are no exception. Mostly that is not us: what was sent is not told apart any more (base/channel.h),
 * and descriptors in the queues of our sockets are refused, by a kernel that can. What is left is a holder that sets the option between
 * our look and our close, and a kernel before 6.16, which closes with a socket of ours what strangers have put into its queue.
 *
 * Such a wait ends with any signal. So while the broker serves a batch of events, or a timer, or a reload, a timer of the kernel's sends it
 * one again and again. The signal does nothing else, and calls that it interrupts are restarted.
 */
#ifndef NB_BROKER_NUDGE_H
#define NB_BROKER_NUDGE_H

#include <time.h>
#include <uv.h>

/** Of a loop, whose `data` points to it. Zero is one that was not started. */
struct nudge {
        timer_t timer;
        uv_loop_t *loop; /* borrowed; NULL: not started */
};

/** Takes SIGALRM for it, and ends every wait of the loop's thread between nudge_on() and nudge_off(). @return 0 or -errno */
int nudge_start(struct nudge *nudge, uv_loop_t *loop);

/** Harmless when it was not started. */
void nudge_stop(struct nudge *nudge);

/** From now on nothing is waited for longer than a moment; does nothing for a loop without a nudge. */
void nudge_on(const uv_loop_t *loop);

/** The loop is about to wait for what it wants to wait for. */
void nudge_off(const uv_loop_t *loop);

#endif
