/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An end to what others make the broker wait for in the kernel.
 *
 * Whoever closes a TCP socket last that lingers (SO_LINGER) waits until its peer has read, for as long as any holder of the socket has
 * chosen, and non-blocking ones are no exception. Mostly that is not us: what was sent is not told apart any more (base/channel.h),
 * and descriptors in the queues of our sockets are refused, by a kernel that can. What is left is a holder that sets the option between
 * our look and our close, and a kernel before 6.16, which closes with a socket of ours what strangers have put into its queue.
 *
 * Such a wait ends with any signal. So from when the broker serves a batch of events, a timer or a reload, a timer of the kernel's sends it
 * one again and again. The signal does nothing else, and calls that it interrupts are restarted. To set that timer costs a system call, so it
 * is not stopped before the broker had nothing to do for a while: a busy one pays two a while, and an idle one none.
 *
 * Whoever says that there is something to do also says since when the loop is awake, which is what broker/loop_lag.h measures.
 */
#ifndef NB_LOOP_NUDGE_H
#define NB_LOOP_NUDGE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <uv.h>

/** Of a loop, whose `data` points to it. Zero is one that was not started. */
struct nudge {
        timer_t timer;
        uv_timer_t rest; /* looks whether there was anything to do */
        uv_loop_t *loop; /* borrowed; NULL: not started */
        bool armed;
        bool was_busy;
        uint64_t awake_since_ns; /* of uv_hrtime(); 0: there was nothing to do since nudge_take_awake() */
};

/** Takes SIGALRM for it, and ends the waits of the loop's thread behind nudge_on(). @return 0 or -errno */
int nudge_start(struct nudge *nudge, uv_loop_t *loop);

/** Harmless when it was not started. The loop has run until its handles are closed. */
void nudge_stop(struct nudge *nudge);

/** There is something to do, and nothing is waited for longer than a moment in it; does nothing for a loop without a nudge. */
void nudge_on(const uv_loop_t *loop);

/** @return for how long there has been something to do, in ns, and from now on there is nothing; 0 when there was nothing, or no nudge. */
uint64_t nudge_take_awake(const uv_loop_t *loop);

#endif
