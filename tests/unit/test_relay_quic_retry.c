/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients that have to prove their address first, as the library does it on both sides.
 */
#include <check.h>
#include <unistd.h>

#include "relay/quic/endpoint.h"
#include "relay/quic/quic.h"
#include "tests/support/runner.h"
#include "tests/unit/quic_world.h"

static struct certificates certificates;

static void make_certificates(void) {
        quic_world_make_certificates(&certificates);
}

static void remove_certificates(void) {
        certificates_deinit(&certificates);
}

static Nb__Relay__QuicServerFacts facts_of(const struct quic_world *world) {
        Nb__Relay__QuicServerFacts facts = NB__RELAY__QUIC_SERVER_FACTS__INIT;

        (void)quic_endpoint_news(world->server->relay.quic->servers.next, &facts);
        return facts;
}

static void exchange(struct quic_world *world, struct quic_ends *ends) {
        int here = quic_host_create(world, &ends->client, false, NULL);
        int there;

        quic_world_send(world, here, "proved", 6);
        there = quic_host_accept(world, &ends->server, 1, NULL);
        quic_world_receive(world, there, "proved", 6);
        ck_assert_int_eq(close(here), 0);
        ck_assert_int_eq(close(there), 0);
}

static void check_retries(bool always) {
        Nb__Relay__Quic quic = NB__RELAY__QUIC__INIT;
        struct quic_world world;
        struct quic_ends ends;
        Nb__Relay__QuicServerFacts facts;

        quic.streams_max = 10;
        quic.stream_window = 65536;
        quic.connection_window = 65536;
        quic.idle_timeout_ms = 30000;
        quic.always_retry = always;
        quic_world_init(&world, &certificates, &quic);
        quic_world_connect(&world, &ends);
        exchange(&world, &ends);
        facts = facts_of(&world);
        ck_assert_uint_eq(facts.retries, always);
        ck_assert_uint_eq(facts.bad_tokens, 0);
        ck_assert_uint_eq(facts.refused, 0);
        quic_ends_close(&ends);
        quic_world_deinit(&world);
}

START_TEST(a_client_comes_back_with_its_token) {
        check_retries(true);
}
END_TEST

START_TEST(nobody_is_asked_while_there_is_room) {
        check_retries(false);
}
END_TEST

static Suite *suite(void) {
        Suite *suite = suite_create("relay_quic_retry");
        TCase *tcase = tcase_create("retry");

        tcase_add_unchecked_fixture(tcase, make_certificates, remove_certificates);
        tcase_add_test(tcase, a_client_comes_back_with_its_token);
        tcase_add_test(tcase, nobody_is_asked_while_there_is_room);
        suite_add_tcase(suite, tcase);
        return suite;
}

int main(void) {
        return run_suite(suite());
}
