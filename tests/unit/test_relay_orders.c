/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which order is permitted when (proto/RELAY.md): one that is not ends the relay, and what can cross with a report does not.
 */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/runner.h"
#include "tests/unit/relay_world.h"
#include "tests/unit/socket_pairs.h"

/* A world of whose relay everything is expected, which ends this process. */
struct orders {
        struct relay_world *world;
        Nb__Relay__Order order;
        Nb__Relay__Begin begin;
        int fds[4];
        size_t n_fds;
};

static void orders_init(struct orders *orders) {
        int peers[2];

        orders->world = relay_world_new(4);
        orders->order = (Nb__Relay__Order)NB__RELAY__ORDER__INIT;
        orders->begin = (Nb__Relay__Begin)NB__RELAY__BEGIN__INIT;
        orders->begin.link = 1;
        orders->begin.role = NB__RELAY__ROLE__ROLE_CLIENT;
        orders->order.body_case = NB__RELAY__ORDER__BODY_BEGIN;
        orders->order.begin = &orders->begin;
        tcp_pair(peers);
        ck_assert_int_eq(fcntl(peers[1], F_SETFL, O_RDWR | O_NONBLOCK), 0);
        orders->fds[0] = peers[1];
        relay_world_pair(SOCK_STREAM, &orders->fds[1], &orders->fds[2]);
        orders->n_fds = 2;
}

/* The relay ends in here, with the process. */
static void orders_carry(struct orders *orders) {
        relay_world_order(orders->world, &orders->order, orders->fds, orders->n_fds);
        relay_world_expect_nothing(orders->world);
        relay_world_expect_nothing(orders->world);
        _exit(EX_OK);
}

static void no_number(struct orders *orders) {
        orders->begin.link = 0;
}

static void no_role(struct orders *orders) {
        orders->begin.role = NB__RELAY__ROLE__ROLE_UNSPECIFIED;
}

static void unknown_role(struct orders *orders) {
        orders->begin.role = (Nb__Relay__Role)9;
}

static void no_word_of_what_waits_for_one(struct orders *orders) {
        orders->begin.without_ready = true;
        orders->begin.may_step_out = true;
}

static void one_descriptor(struct orders *orders) {
        orders->n_fds = 1;
}

static void three_descriptors(struct orders *orders) {
        orders->n_fds = 3;
}

static void descriptors_in_the_wrong_order(struct orders *orders) {
        int first = orders->fds[0];

        orders->fds[0] = orders->fds[1];
        orders->fds[1] = first;
}

static void a_stream_for_datagrams(struct orders *orders) {
        orders->begin.datagrams = true;
}

static void a_pair_with_borders(struct orders *orders) {
        relay_world_pair(SOCK_SEQPACKET, &orders->fds[1], &orders->fds[2]);
}

static void a_blocking_peer(struct orders *orders) {
        ck_assert_int_eq(fcntl(orders->fds[0], F_SETFL, O_RDWR), 0);
}

static void a_file(struct orders *orders) {
        orders->fds[0] = memfd_create("no socket", MFD_CLOEXEC);
}

static void a_number_in_use(struct orders *orders) {
        (void)relay_world_link(orders->world, orders->begin.link, false);
}

static void three_hops(struct orders *orders) {
        Nb__Relay__Hop **hops = calloc(3, sizeof(*hops));

        for (int i = 0; i < 3; ++i) {
                hops[i] = malloc(sizeof(*hops[i]));
                nb__relay__hop__init(hops[i]);
        }
        orders->begin.hops = hops;
        orders->begin.n_hops = 3;
}

static void a_second_setup(struct orders *orders) {
        Nb__Relay__Setup *setup = malloc(sizeof(*setup));

        nb__relay__setup__init(setup);
        setup->version = NB_RELAY_VERSION;
        orders->order.body_case = NB__RELAY__ORDER__BODY_SETUP;
        orders->order.setup = setup;
        orders->n_fds = 0;
}

static void a_context_without_number(struct orders *orders) {
        Nb__Relay__Context *context = malloc(sizeof(*context));

        nb__relay__context__init(context);
        orders->order.body_case = NB__RELAY__ORDER__BODY_CONTEXT;
        orders->order.context = context;
        orders->n_fds = 0;
}

static void a_context_with_a_file_too_many(struct orders *orders) {
        a_context_without_number(orders);
        orders->order.context->id = 1;
        orders->n_fds = 1;
}

static void an_end_with_a_descriptor(struct orders *orders) {
        Nb__Relay__End *end = malloc(sizeof(*end));

        nb__relay__end__init(end);
        end->link = 5;
        orders->order.body_case = NB__RELAY__ORDER__BODY_END;
        orders->order.end = end;
        orders->n_fds = 1;
}

static void a_judgement_that_nobody_asked_for(struct orders *orders) {
        Nb__Relay__Judgement *judgement = malloc(sizeof(*judgement));

        (void)relay_world_link(orders->world, 5, false);
        nb__relay__judgement__init(judgement);
        judgement->link = 5;
        judgement->allowed = true;
        orders->order.body_case = NB__RELAY__ORDER__BODY_JUDGEMENT;
        orders->order.judgement = judgement;
        orders->n_fds = 0;
}

static void a_server_on_a_stream(struct orders *orders) {
        Nb__Relay__Serve *serve = malloc(sizeof(*serve));

        nb__relay__serve__init(serve);
        serve->server = 9;
        orders->order.body_case = NB__RELAY__ORDER__BODY_SERVE;
        orders->order.serve = serve;
        orders->n_fds = 1;
}

static void (*const not_permitted[])(struct orders *orders) = {
        no_number,
        no_role,
        unknown_role,
        no_word_of_what_waits_for_one,
        one_descriptor,
        three_descriptors,
        descriptors_in_the_wrong_order,
        a_stream_for_datagrams,
        a_pair_with_borders,
        a_blocking_peer,
        a_file,
        a_number_in_use,
        three_hops,
        a_second_setup,
        a_context_without_number,
        a_context_with_a_file_too_many,
        an_end_with_a_descriptor,
        a_judgement_that_nobody_asked_for,
        a_server_on_a_stream,
};

START_TEST(ends_the_relay) {
        struct orders orders;

        orders_init(&orders);
        not_permitted[_i](&orders);
        orders_carry(&orders);
}
END_TEST

START_TEST(bytes_that_are_no_order_end_the_relay) {
        struct orders orders;

        orders_init(&orders);
        ck_assert_int_eq(send(orders.world->channel, "\377\377", 2, 0), 2);
        relay_world_expect_nothing(orders.world);
        _exit(EX_OK);
}
END_TEST

START_TEST(nothing_comes_before_setup) {
        struct orders orders;

        orders_init(&orders);
        orders.world->relay.is_set_up = false;
        orders_carry(&orders);
}
END_TEST

/* The same link as in the cases above, with nothing wrong about it. */
START_TEST(what_is_right_goes_on) {
        struct orders orders;

        orders_init(&orders);
        relay_world_order(orders.world, &orders.order, orders.fds, orders.n_fds);
        ck_assert_uint_eq(relay_world_expect(orders.world, NB__RELAY__REPORT__BODY_READY)->ready->link, 1);
        (void)relay_world_free(orders.world);
        nb_fds_close(orders.fds, 3);
}
END_TEST

/* What crosses with the end of what it names. */
START_TEST(what_is_gone_is_not_missed) {
        Nb__Relay__Judgement judgement = NB__RELAY__JUDGEMENT__INIT;
        Nb__Relay__Drop drop = NB__RELAY__DROP__INIT;
        Nb__Relay__Credit credit = NB__RELAY__CREDIT__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;
        struct relay_world *world = relay_world_new(4);

        judgement.link = 77;
        order.body_case = NB__RELAY__ORDER__BODY_JUDGEMENT;
        order.judgement = &judgement;
        relay_world_order(world, &order, NULL, 0);
        drop.context = 77;
        order.body_case = NB__RELAY__ORDER__BODY_DROP;
        order.drop = &drop;
        relay_world_order(world, &order, NULL, 0);
        credit.server = 77;
        order.body_case = NB__RELAY__ORDER__BODY_CREDIT;
        order.credit = &credit;
        relay_world_order(world, &order, NULL, 0);
        relay_world_end(world, 77);
        relay_world_expect_nothing(world);
        (void)relay_world_free(world);
}
END_TEST

/* ---- contexts of passwords ---- */

static const struct password_case {
        const char *text;
        bool is_usable;
} passwords[] = {
        { "user:password", true },
        { "user:password\n", true },
        { "u:p", true },
        { "user:pass:word\n", true },
        { "", false },
        { "\n", false },
        { "user", false },
        { ":password", false },
        { "user:", false },
        { "user:\n", false },
        { "user:pass\nword", false },
        { "user:pass\r\n", false },
        { "us\ter:password", false },
};

static void load_password(struct relay_world *world, uint32_t id, const char *text, size_t length) {
        Nb__Relay__File file = NB__RELAY__FILE__INIT, *files[] = { &file };
        Nb__Relay__Context context = NB__RELAY__CONTEXT__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;
        int fd = memfd_create("password", MFD_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, text, length), (ssize_t)length);
        file.kind = NB__RELAY__FILE_KIND__FILE_KIND_PASSWORD;
        file.name = (char *)"/etc/proxy.password";
        context.id = id;
        context.files = files;
        context.n_files = 1;
        order.body_case = NB__RELAY__ORDER__BODY_CONTEXT;
        order.context = &context;
        relay_world_order(world, &order, &fd, 1);
        ck_assert_int_eq(close(fd), 0);
}

START_TEST(passwords_are_one_line) {
        const struct password_case *one = &passwords[_i];
        struct relay_world *world = relay_world_new(4);
        const Nb__Relay__Report *report;

        load_password(world, 3, one->text, strlen(one->text));
        if (one->is_usable) {
                report = relay_world_expect(world, NB__RELAY__REPORT__BODY_LOADED);
                ck_assert_uint_eq(report->loaded->context, 3);
        } else {
                report = relay_world_expect(world, NB__RELAY__REPORT__BODY_UNUSABLE);
                ck_assert_uint_eq(report->unusable->context, 3);
                ck_assert_str_eq(report->unusable->file, "/etc/proxy.password");
                ck_assert_ptr_nonnull(strstr(report->unusable->reason, "`user:password`"));
        }
        (void)relay_world_free(world);
}
END_TEST

START_TEST(passwords_have_their_length) {
        struct relay_world *world = relay_world_new(4);
        char text[1024];

        memset(text, 'x', sizeof(text));
        text[255] = ':';
        load_password(world, 1, text, 511);
        (void)relay_world_expect(world, NB__RELAY__REPORT__BODY_LOADED);
        load_password(world, 2, text, 512);
        (void)relay_world_expect(world, NB__RELAY__REPORT__BODY_UNUSABLE);
        load_password(world, 2, text, sizeof(text));
        (void)relay_world_expect(world, NB__RELAY__REPORT__BODY_UNUSABLE);
        load_password(world, 4, "a\0b:c", 5);
        (void)relay_world_expect(world, NB__RELAY__REPORT__BODY_UNUSABLE);
        (void)relay_world_free(world);
}
END_TEST

/* A link whose context is not there ends; nothing is sent without TLS. */
START_TEST(a_link_without_its_context_ends) {
        Nb__Relay__Begin begin = NB__RELAY__BEGIN__INIT;
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends;
        char byte;

        begin.tls_context = 5;
        ends = relay_world_begin(world, 1, false, &begin);
        (void)relay_world_expect_end(world, 1, NB__RELAY__CAUSE__CAUSE_TLS_CONTEXT);
        ck_assert_int_eq(relay_world_read(world, ends.peer, &byte, 1), 0);
        ck_assert_int_eq(close(ends.peer), 0);
        ck_assert_int_eq(close(ends.guest), 0);
        (void)relay_world_free(world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("relay_orders");
        TCase *wrong = tcase_create("wrong");

        tcase_add_loop_exit_test(wrong, ends_the_relay, EX_PROTOCOL, 0,
                                 (int)(sizeof(not_permitted) / sizeof(not_permitted[0])));
        tcase_add_exit_test(wrong, bytes_that_are_no_order_end_the_relay, EX_PROTOCOL);
        tcase_add_exit_test(wrong, nothing_comes_before_setup, EX_PROTOCOL);
        suite_add_tcase(suite, wrong);

        TCase *right = tcase_create("right");

        tcase_add_test(right, what_is_right_goes_on);
        tcase_add_test(right, what_is_gone_is_not_missed);
        tcase_add_loop_test(right, passwords_are_one_line, 0, (int)(sizeof(passwords) / sizeof(passwords[0])));
        tcase_add_test(right, passwords_have_their_length);
        tcase_add_test(right, a_link_without_its_context_ends);
        suite_add_tcase(suite, right);
        return run_suite(suite);
}
