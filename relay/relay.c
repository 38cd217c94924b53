/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/cleanup.h"
#include "relay/context.h"
#include "relay/datagram/server.h"
#include "relay/link.h"
#include "relay/quic/quic.h"
#include "relay/tls/session_cache.h"
#include "relay/turn.h"

void relay_give_up(struct relay *relay, const char *why) {
        nb_log(&relay->log, NB_LOG_ERROR, "ends with all its connections: %s", why);
        _exit(EX_PROTOCOL);
}

/* @return 0 or -errno */
static int start_loop(struct relay *relay) {
        int r = uv_loop_init(&relay->loop);

        if (r < 0)
                return r;
        r = watch_set_start(&relay->watches, &relay->loop);
        if (r < 0)
                (void)uv_loop_close(&relay->loop);
        return r;
}

static void stop_loop(struct relay *relay) {
        watch_set_stop(&relay->watches);
        (void)uv_run(&relay->loop, UV_RUN_DEFAULT);
        (void)uv_loop_close(&relay->loop);
}

int relay_init(struct relay *relay, int fd) {
        int r;

        memset(relay, 0, offsetof(struct relay, arena));
        relay->channel_fd = -1;
        relay->descriptors_max = UINT32_MAX; /* until Setup */
        nb_log_init(&relay->log, "netbroker-relay", NB_LOG_NOTICE);
        nb_list_init(&relay->links);
        nb_list_init(&relay->queue);
        nb_list_init(&relay->contexts);
        nb_list_init(&relay->servers);
        r = start_loop(relay);
        if (r < 0)
                return r;
        relay->sessions = session_cache_new();
        relay->channel_fd = fd;
        r = relay->sessions ? channel_start(relay) : -ENOMEM;
        if (r == 0)
                return 0;
        relay->sessions = session_cache_free(relay->sessions);
        stop_loop(relay);
        return r;
}

void relay_deinit(struct relay *relay) {
        relay->has_ended = true;
        link_free_all(relay);
        datagram_server_free_all(relay);
        relay->quic = quic_free(relay->quic);
        context_drop_all(relay);
        relay->sessions = session_cache_free(relay->sessions);
        channel_stop(relay);
        relay->channel_fd = nb_fd_close(relay->channel_fd);
        link_table_deinit(&relay->table);
        pipe_pool_deinit(&relay->pipes);
        stop_loop(relay);
}

/* Those that were there when the turn began; who has more to do again waits for the next. */
static void run_queue(struct relay *relay) {
        struct nb_list turn;

        if (nb_list_is_empty(&relay->queue))
                return;
        nb_list_init(&turn);
        nb_list_append(&relay->queue, &turn);
        nb_list_remove(&relay->queue);
        while (!nb_list_is_empty(&turn)) {
                struct turn *next = nb_container_of(turn.next, struct turn, in_queue);

                turn_cancel(next);
                next->run(next);
        }
}

void relay_turn(struct relay *relay, bool wait) {
        relay->turn++;
        watch_set_turn(&relay->watches, wait && nb_list_is_empty(&relay->queue));
        run_queue(relay);
}
