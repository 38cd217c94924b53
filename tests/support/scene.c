/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/scene.h"

#include <check.h>
#include <unistd.h>

void scene_write_policy(const struct scene *scene, const char *rules) {
        daemon_write_policy(&scene->daemon, SCENE_TENANT "%s", (unsigned)getuid(), rules);
}

void scene_open(struct scene *scene, const struct daemon_options *options) {
        daemon_start(&scene->daemon, options);
        wire_session_open(scene->daemon.socket_path, "acme", &scene->session);
        scene->web = &scene->session.protocols[0];
        wire_settle(scene->web);
        scene->baseline = daemon_count_fds_at_rest(&scene->daemon);
}

void scene_start(struct scene *scene, const struct daemon_options *options, const char *rules) {
        daemon_init(&scene->daemon);
        scene_write_policy(scene, rules);
        scene_open(scene, options);
}

void scene_expect_baseline(struct scene *scene) {
        struct wire control;

        daemon_wait_fds(&scene->daemon, scene->baseline);
        control = wire_open_control(scene->web, "0.0.0.0:0");
        (void)wire_close(&control);
        daemon_wait_fds(&scene->daemon, scene->baseline);
}

void scene_end(struct scene *scene) {
        scene_expect_baseline(scene);
        wire_session_close(&scene->session);
        daemon_stop(&scene->daemon);
        daemon_deinit(&scene->daemon);
}
