/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/principal.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/cleanup.h"

/* A group's entry names all its members. */
#define GROUP_BUFFER_MAX (1024 * 1024)

static bool is_number(const char *text) {
        return text[0] >= '0' && text[0] <= '9';
}

static int parse_number(const char *text, uint32_t *ret) {
        unsigned long number;
        char *end;

        errno = 0;
        number = strtoul(text, &end, 10);
        /* The last number means "nobody" to the kernel. */
        if (errno != 0 || *end != '\0' || number >= UINT32_MAX)
                return -EINVAL;
        *ret = (uint32_t)number;
        return 0;
}

int principal_find_user(const char *text, uid_t *ret) {
        struct passwd passwd, *found = NULL;
        char buffer[4096];
        int r;

        if (is_number(text))
                return parse_number(text, ret);
        r = getpwnam_r(text, &passwd, buffer, sizeof(buffer), &found);
        if (!found)
                return r != 0 ? -r : -ENOENT;
        *ret = passwd.pw_uid;
        return 0;
}

/* @param ret  untouched when the buffer is too small, which is -ERANGE */
static int find_group_in(const char *name, size_t size, gid_t *ret) {
        NB_CLEANUP_FREE char *buffer = malloc(size);
        struct group group, *found = NULL;
        int r;

        if (!buffer)
                return -ENOMEM;
        r = getgrnam_r(name, &group, buffer, size, &found);
        if (!found)
                return r != 0 ? -r : -ENOENT;
        *ret = group.gr_gid;
        return 0;
}

int principal_find_group(const char *text, gid_t *ret) {
        int r = -ERANGE;

        if (is_number(text))
                return parse_number(text, ret);
        for (size_t size = 4096; r == -ERANGE && size <= GROUP_BUFFER_MAX; size *= 4)
                r = find_group_in(text, size, ret);
        return r;
}
