/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/tls_side.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "relay/tls/tls.h"
#include "tests/support/harness.h"

static size_t count_texts(const char *const *texts, size_t max) {
        size_t n = 0;

        while (n < max && texts[n])
                ++n;
        return n;
}

static size_t open_files(const struct certificates *certificates, const struct tls_setup *setup, Nb__Relay__File *files,
                         Nb__Relay__File **list, int *fds) {
        size_t n = 0;

        for (; n < TLS_SETUP_FILES_MAX && setup->files[n].name; ++n) {
                nb__relay__file__init(&files[n]);
                files[n].kind = setup->files[n].kind;
                files[n].name = (char *)(uintptr_t)setup->files[n].name;
                list[n] = &files[n];
                fds[n] = certificates_open(certificates, setup->files[n].name);
        }
        return n;
}

void tls_order_init(struct tls_order *order, const struct certificates *certificates, const struct tls_setup *setup) {
        Nb__Relay__Context *context = &order->context;

        nb__relay__context__init(context);
        context->n_files = open_files(certificates, setup, order->files, order->list, order->fds);
        context->files = order->list;
        context->client = !setup->as_server;
        context->server = setup->as_server;
        context->tls12 = !setup->no_tls12;
        context->tls13 = !setup->no_tls13;
        context->tickets = !setup->no_tickets;
        context->must_staple = setup->must_staple;
        context->client_auth = setup->client_auth;
        context->alpn = (char **)(uintptr_t)setup->alpn;
        context->n_alpn = count_texts(setup->alpn, 4);
        context->client_names = (char **)(uintptr_t)setup->client_names;
        context->n_client_names = count_texts(setup->client_names, 4);
        order->pin = (ProtobufCBinaryData){ 32, (uint8_t *)(uintptr_t)setup->pin };
        context->pins = &order->pin;
        context->n_pins = setup->pin ? 1 : 0;
}

void tls_order_deinit(struct tls_order *order) {
        nb_fds_close(order->fds, order->context.n_files);
}

struct tls_credentials *tls_setup_load(const struct certificates *certificates, const struct tls_setup *setup,
                                       char file[static CERTIFICATES_PATH_MAX], char reason[static RELAY_REASON_MAX]) {
        struct tls_credentials *credentials;
        struct tls_order order;
        const char *at_fault;

        tls_order_init(&order, certificates, setup);
        reason[0] = '\0';
        credentials = tls_credentials_new(&order.context, order.fds, &at_fault, reason, RELAY_REASON_MAX);
        snprintf(file, CERTIFICATES_PATH_MAX, "%s", at_fault ? at_fault : "");
        tls_order_deinit(&order);
        return credentials;
}

void tls_side_init(struct tls_side *side, const struct certificates *certificates, const struct tls_setup *setup,
                   struct session_cache *cache) {
        char file[CERTIFICATES_PATH_MAX];
        char reason[RELAY_REASON_MAX];

        *side = (struct tls_side){ .setup = *setup, .epoll_fd = -1 };
        side->relay.sessions = cache;
        nb_list_init(&side->relay.links);
        nb_list_init(&side->relay.queue);
        nb_list_init(&side->relay.contexts);
        nb_list_init(&side->context.in_relay);
        side->context.id = 1;
        side->context.n_refs = 1;
        side->context.tls = tls_setup_load(certificates, setup, file, reason);
        ck_assert_msg(side->context.tls, "%s: %s", file, reason);
}

static void end(struct tls_side *side) {
        if (side->stage)
                side->stage->ops->free(side->stage);
        side->stage = NULL;
        side->link.peer = transport_free(side->link.peer);
        free(side->link.security);
        side->link = (struct link){ .relay = &side->relay };
        side->epoll_fd = nb_fd_close(side->epoll_fd);
}

void tls_side_deinit(struct tls_side *side) {
        end(side);
        ck_assert_uint_eq(side->context.n_refs, 1);
        side->context.tls = tls_credentials_free(side->context.tls);
}

void tls_side_connect(struct tls_side *side, int fd) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };

        end(side);
        nb_list_init(&side->link.in_relay);
        turn_init(&side->link.turn, NULL);
        nb_list_init(&side->link.stages);
        ck_assert_int_eq(nb_fd_prepare(fd), 0);
        side->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        ck_assert_int_ge(side->epoll_fd, 0);
        ck_assert_int_eq(epoll_ctl(side->epoll_fd, EPOLL_CTL_ADD, fd, &event), 0);
        side->link.is_server = side->setup.as_server;
        side->link.peer = transport_new_socket(fd, false);
        ck_assert_ptr_nonnull(side->link.peer);
        side->stage = tls_stage_new(&side->context, side->setup.as_server,
                                    side->setup.server_name ? side->setup.server_name : "", true);
        ck_assert_ptr_nonnull(side->stage);
}

int tls_side_step(struct tls_side *side) {
        return side->stage->ops->run(side->stage, &side->link);
}

void tls_side_wait(struct tls_side *side) {
        struct epoll_event event;

        if (!nb_list_is_empty(&side->relay.queue)) {
                turn_cancel(&side->link.turn);
                return;
        }
        ck_assert_int_eq(epoll_wait(side->epoll_fd, &event, 1, HARNESS_DEADLINE_MS), 1);
}

int tls_side_shake(struct tls_side *side) {
        int error;

        while ((error = tls_side_step(side)) == -EAGAIN)
                tls_side_wait(side);
        return error;
}

int tls_sides_shake(struct tls_side *client, struct tls_side *server) {
        int of_client = -EAGAIN;
        int of_server = -EAGAIN;

        for (int i = 0; i < 50 && (of_client == -EAGAIN || of_server == -EAGAIN); ++i) {
                if (of_client == -EAGAIN)
                        of_client = tls_side_step(client);
                if (of_server == -EAGAIN)
                        of_server = tls_side_step(server);
        }
        ck_assert_int_ne(of_client, -EAGAIN);
        ck_assert_int_ne(of_server, -EAGAIN);
        return of_client < 0 ? of_client : of_server;
}

ssize_t tls_side_read(struct tls_side *side, void *buffer, size_t size) {
        ssize_t n;

        while ((n = side->link.peer->ops->read(side->link.peer, buffer, size)) == -EAGAIN)
                tls_side_wait(side);
        return n;
}

void tls_side_write(struct tls_side *side, const void *bytes, size_t size) {
        size_t done = 0;

        while (done < size) {
                ssize_t n = side->link.peer->ops->write(side->link.peer, (const uint8_t *)bytes + done, size - done);

                ck_assert_msg(n > 0 || n == -EAGAIN, "writing failed: %s", strerror((int)-n));
                if (n > 0)
                        done += (size_t)n;
                else
                        tls_side_wait(side);
        }
}

void tls_side_finish(struct tls_side *side) {
        int error;

        while ((error = side->link.peer->ops->finish(side->link.peer)) == -EAGAIN)
                tls_side_wait(side);
        ck_assert_int_eq(error, 0);
}
