/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/relay_check.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <uv.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/broker.h"
#include "broker/relay_process.h"

#define CHECK_MS 5000

struct relay_check {
        struct relay_process *process;
        int fd;
        uint64_t end_ms; /* of uv_hrtime() */
        struct nb_frame_arena arena;
        uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
};

static void cleanup_check(struct relay_check **check) {
        *check = relay_check_free(*check);
}

static uint64_t now_ms(void) {
        return uv_hrtime() / 1000000;
}

static int wait_for(const struct relay_check *check, short events) {
        struct pollfd pollfd = { .fd = check->fd, .events = events };
        uint64_t now = now_ms();
        int n = now < check->end_ms ? poll(&pollfd, 1, (int)(check->end_ms - now)) : 0;

        if (n < 0)
                return errno == EINTR ? 0 : -errno;
        return n == 0 ? -ETIMEDOUT : 0;
}

static int send_order(const struct relay_check *check, const Nb__Relay__Order *order, const int *fds, size_t n_fds) {
        int r;

        while ((r = nb_relay_order_send(check->fd, order, fds, n_fds)) == -EAGAIN) {
                r = wait_for(check, POLLOUT);
                if (r < 0)
                        return r;
        }
        return r == -EPIPE ? -ECONNRESET : r;
}

static int receive_report(struct relay_check *check, Nb__Relay__Report **ret) {
        int n;

        while ((n = nb_channel_receive_bytes(check->fd, check->frame)) == -EAGAIN || n == -EINTR) {
                int r = wait_for(check, POLLIN);

                if (r < 0)
                        return r;
        }
        if (n == 0)
                return -ECONNRESET;
        return n < 0 ? n : nb_relay_report_decode(&check->arena, check->frame, (size_t)n, ret);
}

int relay_check_ask(struct relay_check *check, const Nb__Relay__Order *order, const int *fds, size_t n_fds,
                    Nb__Relay__Report **ret) {
        int r = send_order(check, order, fds, n_fds);

        return r < 0 ? r : receive_report(check, ret);
}

static int set_up(struct relay_check *check, const struct nb_log *log) {
        Nb__Relay__Setup setup = NB__RELAY__SETUP__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;
        Nb__Relay__Report *report;
        int r;

        setup.version = NB_RELAY_VERSION;
        setup.tenant = (char *)"";
        setup.log_level = log->level;
        order.body_case = NB__RELAY__ORDER__BODY_SETUP;
        order.setup = &setup;
        r = relay_check_ask(check, &order, NULL, 0, &report);
        if (r < 0)
                return r;
        return report->body_case == NB__RELAY__REPORT__BODY_STARTED && report->started->version == NB_RELAY_VERSION
                       ? 0
                       : -EPROTO;
}

int relay_check_new(struct broker *broker, struct relay_check **ret) {
        NB_CLEANUP(cleanup_check) struct relay_check *check = calloc(1, sizeof(*check));
        int r;

        if (!check)
                return -ENOMEM;
        check->fd = -1;
        check->end_ms = now_ms() + CHECK_MS;
        r = relay_launcher_start(broker, "the policy's trial", &check->process, &check->fd);
        if (r == 0)
                r = set_up(check, &broker->log);
        if (r < 0)
                return r;
        *ret = nb_steal_ptr(check);
        return 0;
}

struct relay_check *relay_check_free(struct relay_check *check) {
        if (!check)
                return NULL;
        check->fd = nb_fd_close(check->fd);
        check->process = relay_process_release(check->process, false);
        free(check);
        return NULL;
}
