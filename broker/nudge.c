/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/nudge.h"

#include <errno.h>
#include <signal.h>

/* A moment: longer than any batch of events takes, as a rule. */
#define PERIOD_NS (10 * 1000 * 1000)

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

        if (r < 0)
                return r;
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

static void set_period(const uv_loop_t *loop, long ns) {
        const struct nudge *nudge = loop->data;
        const struct itimerspec period = { .it_value.tv_nsec = ns, .it_interval.tv_nsec = ns };

        if (nudge)
                (void)timer_settime(nudge->timer, 0, &period, NULL);
}

void nudge_on(const uv_loop_t *loop) {
        set_period(loop, PERIOD_NS);
}

void nudge_off(const uv_loop_t *loop) {
        set_period(loop, 0);
}
