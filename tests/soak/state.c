/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/soak/state.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define RELAYS_MAX 64

/* The one that relays use by being there. */
#define RELAYS_QUOTA "MaxMemory"

__attribute__((format(printf, 4, 5))) static void add(struct soak_state *state, bool is_traffic, uint64_t value,
                                                      const char *format, ...) {
        struct soak_figure *figure = &state->figures[state->n];
        va_list arguments;

        ck_assert_uint_lt(state->n, SOAK_FIGURES_MAX);
        state->n++;
        figure->is_traffic = is_traffic;
        figure->value = value;
        va_start(arguments, format);
        (void)vsnprintf(figure->name, sizeof(figure->name), format, arguments);
        va_end(arguments);
}

/* ---- what netbrokerd says ---- */

static json_t *ask(const struct soak_scene *scene, const char *verb) {
        json_t *answer = SOAK_ASK(scene, verb);

        ck_assert_msg(answer != NULL, "netbrokerctl %s has no answer", verb);
        return answer;
}

static uint64_t number_of(const json_t *object, const char *name) {
        const json_t *value = json_object_get(object, name);

        ck_assert_msg(json_is_integer(value), "netbrokerctl does not tell %s", name);
        return (uint64_t)json_integer_value(value);
}

static void add_tenants(const struct soak_scene *scene, struct soak_state *state) {
        static const char *const held[] = { "sessions", "controls", "listeners", "connections" };
        json_t *tenants = ask(scene, "tenants"), *tenant;
        size_t i;

        json_array_foreach(tenants, i, tenant) {
                const char *name = json_string_value(json_object_get(tenant, "tenant"));

                for (size_t k = 0; k < sizeof(held) / sizeof(held[0]); ++k)
                        add(state, true, number_of(tenant, held[k]), "%s: %s", name, held[k]);
        }
        json_decref(tenants);
}

static void add_quotas(const struct soak_scene *scene, struct soak_state *state) {
        json_t *quotas = ask(scene, "quota"), *quota;
        size_t i;

        json_array_foreach(quotas, i, quota) {
                const char *tenant = json_string_value(json_object_get(quota, "tenant"));
                const char *name = json_string_value(json_object_get(quota, "quota"));

                /* A rate is no account. */
                if (json_is_integer(json_object_get(quota, "used")))
                        add(state, strcmp(name, RELAYS_QUOTA) != 0, number_of(quota, "used"), "%s: used of %s", tenant,
                            name);
        }
        json_decref(quotas);
}

static void add_status(const struct soak_scene *scene, struct soak_state *state) {
        json_t *status = ask(scene, "status");
        const json_t *one = json_is_array(status) ? json_array_get(status, 0) : status;
        const json_t *keeper = json_object_get(one, "keeper"), *relays = json_object_get(one, "relays");

        add(state, false, number_of(keeper, "kept"), "kept by netbroker-keeper");
        add(state, false, number_of(keeper, "unsent"), "not yet sent to netbroker-keeper");
        add(state, false, number_of(relays, "running"), "relays that netbrokerd knows");
        add(state, true, number_of(relays, "links"), "links of relays");
        json_decref(status);
}

static void add_length(const struct soak_scene *scene, struct soak_state *state, const char *verb) {
        json_t *list = ask(scene, verb);

        add(state, true, json_array_size(list), "%s", verb);
        json_decref(list);
}

/* ---- all ---- */

void soak_state_take(const struct soak_scene *scene, struct soak_state *ret) {
        unsigned n_helper = soak_scene_helper_connections(scene);
        pid_t relays[RELAYS_MAX];

        ret->n = 0;
        add_tenants(scene, ret);
        add_quotas(scene, ret);
        add_status(scene, ret);
        add_length(scene, ret, "connections");
        add_length(scene, ret, "sessions");
        add(ret, false, relay_units_list(&scene->units, relays, RELAYS_MAX), "processes of netbroker-relay");
        add(ret, false, keeper_count_fds(&scene->restart.keeper), "descriptors of netbroker-keeper");
        add(ret, false, n_helper > 1 ? n_helper : 0, "connections of netbroker-helper, where they are several");
        add(ret, false, daemon_count_fds(&scene->restart.scene.daemon) - n_helper,
            "descriptors of netbrokerd, without that");
}

static const struct soak_figure *find(const struct soak_state *state, const char *name) {
        for (size_t i = 0; i < state->n; ++i) {
                if (strcmp(state->figures[i].name, name) == 0)
                        return &state->figures[i];
        }
        return NULL;
}

size_t soak_state_compare(const struct soak_state *before, const struct soak_state *now, bool all, char **ret_text) {
        size_t length, n = 0;
        FILE *file = open_memstream(ret_text, &length);

        ck_assert_ptr_nonnull(file);
        for (size_t i = 0; i < before->n; ++i) {
                const struct soak_figure *was = &before->figures[i], *is = find(now, was->name);

                if ((is && is->value == was->value) || !(all || was->is_traffic))
                        continue;
                ++n;
                fprintf(file, "    %s: %llu at the start, ", was->name, (unsigned long long)was->value);
                if (is)
                        fprintf(file, "%llu now\n", (unsigned long long)is->value);
                else
                        fprintf(file, "none now\n");
        }
        ck_assert_int_eq(fclose(file), 0);
        return n;
}

char *soak_describe_fds(pid_t pid) {
        char path[64], *text;
        const struct dirent *entry;
        size_t length;
        FILE *file = open_memstream(&text, &length);
        DIR *folder;

        (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
        folder = opendir(path);
        ck_assert(file && folder);
        while ((entry = readdir(folder))) {
                char target[256];
                ssize_t n = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target));

                if (n > 0)
                        fprintf(file, "    %s %.*s\n", entry->d_name, (int)n, target);
        }
        (void)closedir(folder);
        ck_assert_int_eq(fclose(file), 0);
        return text;
}

/* proc(5): what is neither a file's nor shared. */
static uint64_t memory_of(pid_t pid) {
        NB_CLEANUP_FREE char *text = NULL;
        unsigned long long kib;
        char path[64];
        const char *line;

        (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
        text = daemon_read(path);
        line = strstr(text, "RssAnon:");
        ck_assert_ptr_nonnull(line);
        ck_assert_int_eq(sscanf(line, "RssAnon: %llu kB", &kib), 1);
        return kib;
}

struct soak_memory soak_memory_take(const struct soak_scene *scene) {
        return (struct soak_memory){ .broker = memory_of(scene->restart.scene.daemon.pid),
                                     .keeper = memory_of(scene->restart.keeper.pid) };
}
