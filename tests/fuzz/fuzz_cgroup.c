/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/PID/cgroup: the input is its text, as far as it was read.
 *
 * Whoever makes control groups chooses their names. What is taken for a unit is one component of a path of the unified hierarchy, of a
 * unit's kind and letters, behind slices only; so nobody gets a unit's name from below another unit.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "broker/identity.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_target[] = "cgroup";

#define SLICE ".slice"

static bool ends_in_slice(const char *name, size_t length) {
        size_t slice = strlen(SLICE);

        return length > slice && memcmp(name + length - slice, SLICE, slice) == 0;
}

/** The path of the unified hierarchy: behind "0::", from the root, at the beginning of a line. @return NULL if there is none */
static const char *find_path(const char *text) {
        for (; text; text = strchr(text, '\n')) {
                text += *text == '\n';
                if (strncmp(text, "0::/", 4) == 0)
                        return text + 3;
        }
        return NULL;
}

/** Whether the first component that is no slice is `unit`, or `unit` behind systemd's underscore. */
static bool is_first_behind_slices(const char *path, const char *unit) {
        size_t length;

        for (; *path == '/'; path += length) {
                ++path;
                length = strcspn(path, "/\n");
                if (ends_in_slice(path, length))
                        continue;
                if (length > 0 && *path == '_')
                        return length - 1 == strlen(unit) && strncmp(path + 1, unit, length - 1) == 0;
                return length == strlen(unit) && strncmp(path, unit, length) == 0;
        }
        return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        NB_CLEANUP_FREE char *text = fuzz_text(data, size);
        char unit[IDENTITY_UNIT_MAX];
        const char *path;

        if (!identity_parse_unit(text, unit))
                return 0;
        path = find_path(text);
        FUZZ_CHECK(path, "a unit, and no unified hierarchy: %s", unit);
        FUZZ_CHECK(unit[0] != '\0' && strchr(unit, '.') && !strchr(unit, '/'), "\"%s\"", unit);
        FUZZ_CHECK(!ends_in_slice(unit, strlen(unit)), "\"%s\"", unit);
        for (const char *c = unit; *c; ++c)
                FUZZ_CHECK(*c > ' ' && *c <= '~', "byte %02x", (unsigned char)*c);
        FUZZ_CHECK(is_first_behind_slices(path, unit), "\"%s\" of %s", unit, path);
        return 0;
}
