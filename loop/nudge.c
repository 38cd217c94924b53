/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/nudge.h"

#include <errno.h>
#include <signal.h>

/* A moment: longer than any batch of events takes, as a rule. */
#define PERIOD_NS (10 * 1000 * 1000)

/* Nothing to do for one to two of these stops it. */
#define REST_MS 100

static void do_nothing(int number) {
        (void)number;
}

static int take_signal(void) {
        struct sigaction action = { .sa_handler = do_nothing, .sa_flags = SA_RESTART };
        sigset_t set;

        (void)sigemptyset(&action.sa_mask);
        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGALRM);
        if (sigaction(SIGALRM, &action, NULL) < 0)
                return -errno;
        /* Whoever started us may have blocked it. */
        return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int nudge_start(struct nudge *nudge, uv_loop_t *loop) {
        struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
        int r = take_signal();

        if (r == 0)
                r = uv_timer_init(loop, &nudge->rest);
        if (r < 0)
                return r;
        nudge->rest.data = nudge;
        uv_unref((uv_handle_t *)&nudge->rest);
        if (timer_create(CLOCK_MONOTONIC, &event, &nudge->timer) < 0)
                return -errno;
        nudge->loop = loop;
        loop->data = nudge;
        return 0;
}

void nudge_stop(struct nudge *nudge) {
        if (!nudge->loop)
                return;
        (void)timer_delete(nudge->timer);
        nudge->loop->data = NULL;
        nudge->loop = NULL;
}

static void set_period(const struct nudge *nudge, long ns) {
        const struct itimerspec period = { .it_value.tv_nsec = ns, .it_interval.tv_nsec = ns };

        (void)timer_settime(nudge->timer, 0, &period, NULL);
}

static void rest(uv_timer_t *timer) {
        struct nudge *nudge = timer->data;

        if (!nudge->was_busy) {
                set_period(nudge, 0);
                nudge->armed = false;
                (void)uv_timer_stop(timer);
        }
        nudge->was_busy = false;
}

void nudge_on(const uv_loop_t *loop) {
        struct nudge *nudge = loop->data;

        if (!nudge)
                return;
        nudge->was_busy = true;
        if (nudge->awake_since_ns == 0)
                nudge->awake_since_ns = uv_hrtime();
        if (nudge->armed)
                return;
        nudge->armed = true;
        set_period(nudge, PERIOD_NS);
        /* Fails for a handle that is being closed only: then the loop ends, and the timer with it. */
        (void)uv_timer_start(&nudge->rest, rest, REST_MS, REST_MS);
}

uint64_t nudge_take_awake(const uv_loop_t *loop) {
        struct nudge *nudge = loop->data;
        uint64_t since = nudge ? nudge->awake_since_ns : 0;

        if (since == 0)
                return 0;
        nudge->awake_since_ns = 0;
        return uv_hrtime() - since;
}
