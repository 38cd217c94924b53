/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/termination.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "base/cleanup.h"
#include "relay/relay.h"

static void told(struct watch *watch, uint32_t events) {
        struct relay *relay = nb_container_of(watch, struct termination, watch)->relay;

        (void)events;
        nb_log(&relay->log, NB_LOG_NOTICE, "ends at SIGTERM");
        relay->is_terminated = true;
        relay->has_ended = true;
}

int termination_start(struct termination *termination, struct relay *relay) {
        sigset_t signals;
        int r;

        termination->relay = relay;
        (void)sigemptyset(&signals);
        (void)sigaddset(&signals, SIGTERM);
        if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
                return -errno;
        termination->fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
        if (termination->fd < 0)
                return -errno;
        r = watch_start(&termination->watch, &relay->watches, termination->fd, EPOLLIN, told);
        if (r < 0)
                termination->fd = nb_fd_close(termination->fd);
        return r;
}

void termination_stop(struct termination *termination) {
        watch_end_before_close(&termination->watch);
        termination->fd = nb_fd_close(termination->fd);
}
