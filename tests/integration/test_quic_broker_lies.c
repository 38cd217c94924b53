/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a relay gets that lies about QUIC.
 */
#include <check.h>

#include "tests/support/quic_scene.h"
#include "tests/support/runner.h"

/** What a relay may not say; there are a server, a client that is ready and one that is not. */
struct lie_scene {
        struct quic_scene *world;
        struct quic_scene_server *server;
        uint64_t ready;
        uint64_t shaking;
};
typedef void (*lie_function)(const struct lie_scene *scene);

static void ready_without_tls(const struct lie_scene *scene) {
        quic_scene_report_ready_with(scene->world, scene->shaking, NULL);
}

static void ready_again(const struct lie_scene *scene) {
        quic_scene_report_ready(scene->world, scene->ready);
}

static void ready_of_the_server(const struct lie_scene *scene) {
        quic_scene_report_ready(scene->world, scene->server->number);
}

static void ready_of_nobody(const struct lie_scene *scene) {
        quic_scene_report_ready(scene->world, QUIC_SCENE_NOBODY);
}

static void path_of_nobody(const struct lie_scene *scene) {
        quic_scene_report_new_path(scene->world, QUIC_SCENE_NOBODY, 1, QUIC_SCENE_CLIENT, false);
}

static void path_of_the_server(const struct lie_scene *scene) {
        quic_scene_report_new_path(scene->world, scene->server->number, 1, QUIC_SCENE_CLIENT, false);
}

static void path_before_ready(const struct lie_scene *scene) {
        quic_scene_report_new_path(scene->world, scene->shaking, 1, QUIC_SCENE_CLIENT, false);
}

static void path_that_skips_a_number(const struct lie_scene *scene) {
        quic_scene_report_new_path(scene->world, scene->ready, 2, QUIC_SCENE_CLIENT, false);
}

static void path_of_no_address(const struct lie_scene *scene) {
        quic_scene_report_new_path(scene->world, scene->ready, 1, "nowhere", false);
}

static void path_of_a_unix_socket(const struct lie_scene *scene) {
        quic_scene_report_new_path(scene->world, scene->ready, 1, "/run/x.sock", false);
}

static void path_without_a_port(const struct lie_scene *scene) {
        quic_scene_report_new_path(scene->world, scene->ready, 1, "127.0.0.1:0", false);
}

static void preferred_address_of_a_client(const struct lie_scene *scene) {
        quic_scene_report_new_path(scene->world, scene->ready, 1, QUIC_SCENE_CLIENT, true);
}

/* As many as the broker lets pass, and one more. */
static void too_many_paths(const struct lie_scene *scene) {
        for (uint32_t i = 1; i <= NB_RELAY_PATHS_A_MINUTE; ++i) {
                quic_scene_report_new_path(scene->world, scene->ready, i, QUIC_SCENE_CLIENT, false);
                ck_assert(quic_scene_path_is_taken(scene->world, scene->ready, i, 0));
        }
        quic_scene_report_new_path(scene->world, scene->ready, NB_RELAY_PATHS_A_MINUTE + 1, QUIC_SCENE_CLIENT, false);
}

static void facts_of_nobody(const struct lie_scene *scene) {
        Nb__Relay__QuicFacts facts = NB__RELAY__QUIC_FACTS__INIT;

        facts.link = QUIC_SCENE_NOBODY;
        quic_scene_report_facts(scene->world, &facts, NULL);
}

static void facts_of_the_server_as_a_connection(const struct lie_scene *scene) {
        Nb__Relay__QuicFacts facts = NB__RELAY__QUIC_FACTS__INIT;

        facts.link = scene->server->number;
        quic_scene_report_facts(scene->world, &facts, NULL);
}

static void facts_of_a_connection_as_a_server(const struct lie_scene *scene) {
        Nb__Relay__QuicServerFacts facts = NB__RELAY__QUIC_SERVER_FACTS__INIT;

        facts.server = scene->ready;
        quic_scene_report_facts(scene->world, NULL, &facts);
}

static void too_many_facts(const struct lie_scene *scene) {
        Nb__Relay__QuicFacts facts = NB__RELAY__QUIC_FACTS__INIT, *all[NB_RELAY_QUIC_FACTS_MAX + 1];
        Nb__Relay__QuicState state = NB__RELAY__QUIC_STATE__INIT;
        Nb__Relay__Report message = NB__RELAY__REPORT__INIT;

        facts.link = scene->ready;
        for (size_t i = 0; i < NB_RELAY_QUIC_FACTS_MAX + 1; ++i)
                all[i] = &facts;
        state.n_connections = NB_RELAY_QUIC_FACTS_MAX + 1;
        state.connections = all;
        message.body_case = NB__RELAY__REPORT__BODY_QUIC_STATE;
        message.quic_state = &state;
        quic_scene_report(scene->world, &message);
}

static void a_peer_that_skips_a_number(const struct lie_scene *scene) {
        quic_scene_report_new_peer(scene->world, scene->server->number, scene->server->peers + 2, QUIC_SCENE_CLIENT);
}

static void a_peer_of_a_unix_socket(const struct lie_scene *scene) {
        quic_scene_report_new_peer(scene->world, scene->server->number, scene->server->peers + 1, "/run/x.sock");
}

static void a_peer_of_a_connection(const struct lie_scene *scene) {
        quic_scene_report_new_peer(scene->world, scene->ready, 1, QUIC_SCENE_CLIENT);
}

static const struct {
        const char *name;
        lie_function tell;
} lies[] = {
        { "Ready without TLS", ready_without_tls },
        { "Ready again", ready_again },
        { "Ready of the server", ready_of_the_server },
        { "Ready of nobody", ready_of_nobody },
        { "NewPath of nobody", path_of_nobody },
        { "NewPath of the server", path_of_the_server },
        { "NewPath before Ready", path_before_ready },
        { "NewPath that skips a number", path_that_skips_a_number },
        { "NewPath of no address", path_of_no_address },
        { "NewPath of a Unix socket", path_of_a_unix_socket },
        { "NewPath without a port", path_without_a_port },
        { "a preferred address of a client", preferred_address_of_a_client },
        { "too many paths", too_many_paths },
        { "facts of nobody", facts_of_nobody },
        { "facts of the server as of a connection", facts_of_the_server_as_a_connection },
        { "facts of a connection as of a server", facts_of_a_connection_as_a_server },
        { "too many facts", too_many_facts },
        { "NewPeer that skips a number", a_peer_that_skips_a_number },
        { "NewPeer of a Unix socket", a_peer_of_a_unix_socket },
        { "NewPeer of a connection", a_peer_of_a_connection },
};

#define N_LIES ((int)(sizeof(lies) / sizeof(lies[0])))

START_TEST(a_relay_that_lies_is_ended) {
        struct quic_scene_server server;
        struct quic_scene world;
        struct lie_scene scene = { .world = &world, .server = &server };
        int relay_fds[2], fd;

        quic_scene_start(&world, "", "");
        quic_scene_open_server(&world, &server, 16);
        scene.ready = quic_scene_take_client(&world, &server, QUIC_SCENE_CLIENT, &relay_fds[0]);
        quic_scene_report_ready(&world, scene.ready);
        fd = quic_scene_expect_accepted(&server, 1, QUIC_SCENE_CLIENT);
        scene.shaking = quic_scene_take_client(&world, &server, QUIC_SCENE_CLIENT, &relay_fds[1]);
        lies[_i].tell(&scene);
        fake_relay_expect_end(world.relay);
        daemon_expect_log(&world.daemon, "a report that does not fit");
        world.relay = fake_relay_free(world.relay);
        /* And the server is served by the next. */
        quic_scene_start_relay(&world);
        quic_scene_expect_serve(&world, &server);
        for (int i = 0; i < 2; ++i)
                (void)nb_fd_close(relay_fds[i]);
        (void)nb_fd_close(fd);
        (void)wire_close(&server.control);
        quic_scene_end(&world);
}
END_TEST

static Suite *make_suite(void) {
        Suite *suite = suite_create("quic_broker_lies");
        TCase *liars = tcase_create("a relay that lies");

        tcase_add_loop_test(liars, a_relay_that_lies_is_ended, 0, N_LIES);
        suite_add_tcase(suite, liars);
        return suite;
}

int main(void) {
        return run_suite(make_suite());
}
