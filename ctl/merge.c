/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/merge.h"

#include <stdbool.h>
#include <string.h>

static bool has_element(const json_t *array, const json_t *element) {
        for (size_t i = 0; i < json_array_size(array); ++i) {
                if (json_equal(json_array_get(array, i), element))
                        return true;
        }
        return false;
}

static void add_elements(json_t *into, const json_t *other) {
        for (size_t i = 0; i < json_array_size(other); ++i) {
                json_t *element = json_array_get(other, i);

                if (!has_element(into, element))
                        (void)json_array_append(into, element);
        }
}

static bool both(const char *name, bool mine, bool other) {
        bool is_of_any = strcmp(name, "all") == 0 || strcmp(name, "starts_programs") == 0;

        return is_of_any ? mine || other : mine && other;
}

static bool is_ready(const json_t *text) {
        return json_is_string(text) && strcmp(json_string_value(text), "ready") == 0;
}

/* @param mine  what `into` has now */
static void merge_member(json_t *into, const char *name, json_t *mine, json_t *other) {
        if (json_is_null(mine) || (is_ready(mine) && json_is_string(other)))
                (void)json_object_set_new(into, name, json_deep_copy(other));
        else if (json_is_integer(mine) && json_is_integer(other))
                (void)json_object_set_new(into, name,
                                          json_integer(json_integer_value(mine) + json_integer_value(other)));
        else if (json_is_boolean(mine) && json_is_boolean(other))
                (void)json_object_set_new(into, name,
                                          json_boolean(both(name, json_is_true(mine), json_is_true(other))));
        else if (json_is_array(mine) && json_is_array(other))
                add_elements(mine, other);
}

static void merge_members(json_t *into, const json_t *other) {
        const char *name;
        json_t *value;

        json_object_foreach((json_t *)other, name, value) {
                json_t *mine = json_object_get(into, name);

                if (mine)
                        merge_member(into, name, mine, value);
        }
}

void merge_into(json_t *into, const json_t *other, const char *const *names) {
        for (; *names; ++names) {
                json_t *mine = json_object_get(into, *names), *value = json_object_get(other, *names);

                if (json_is_object(mine) && json_is_object(value))
                        merge_members(mine, value);
                else if (mine && value)
                        merge_member(into, *names, mine, value);
        }
}
