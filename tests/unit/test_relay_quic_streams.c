/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of QUIC between two relays: bytes, ends, credit, and the channel to a guest's host.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/quic/quic.h"
#include "tests/support/runner.h"
#include "tests/unit/quic_world.h"

static struct certificates certificates;
static struct quic_world world;
static struct quic_ends ends;

static void make_certificates(void) {
        quic_world_make_certificates(&certificates);
}

static void remove_certificates(void) {
        certificates_deinit(&certificates);
}

static void start(void) {
        quic_world_init(&world, &certificates, NULL);
        quic_world_connect(&world, &ends);
}

static void stop(void) {
        quic_ends_close(&ends);
        quic_world_deinit(&world);
}

/* ---- bytes ---- */

START_TEST(either_side_makes_streams) {
        uint64_t ids[4], accepted;
        int mine[4], theirs[4];

        mine[0] = quic_host_create(&world, &ends.client, false, &ids[0]);
        quic_world_send(&world, mine[0], "there", 5);
        theirs[0] = quic_host_accept(&world, &ends.server, 1, &accepted);
        ck_assert_uint_eq(accepted, ids[0]);
        quic_world_receive(&world, theirs[0], "there", 5);
        quic_world_send(&world, theirs[0], "and back", 8);
        quic_world_receive(&world, mine[0], "and back", 8);

        mine[1] = quic_host_create(&world, &ends.server, false, &ids[1]);
        quic_world_send(&world, mine[1], "from the server", 15);
        theirs[1] = quic_host_accept(&world, &ends.client, 1, &accepted);
        ck_assert_uint_eq(accepted, ids[1]);
        quic_world_receive(&world, theirs[1], "from the server", 15);
        for (int i = 0; i < 2; ++i) {
                ck_assert_int_eq(close(mine[i]), 0);
                ck_assert_int_eq(close(theirs[i]), 0);
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("relay_quic_streams");
        TCase *bytes = tcase_create("bytes");

        tcase_add_unchecked_fixture(bytes, make_certificates, remove_certificates);
        tcase_add_checked_fixture(bytes, start, stop);
        tcase_add_test(bytes, either_side_makes_streams);
        suite_add_tcase(suite, bytes);
        return run_suite(suite);
}
