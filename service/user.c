/* SPDX-License-Identifier: Apache-2.0 */
#include "service/user.h"

#include <errno.h>
#include <pwd.h>
#include <unistd.h>

int service_find_user(const struct nb_log *log, const char *name, struct service_user *ret) {
        struct passwd passwd, *found = NULL;
        char buffer[4096];

        if (!name) {
                *ret = (struct service_user){ .uid = geteuid(), .gid = getegid() };
                return 0;
        }
        if (getpwnam_r(name, &passwd, buffer, sizeof(buffer), &found) != 0 || !found) {
                nb_log(log, NB_LOG_ERROR, "there is no user '%s'; write a name that `getent passwd` knows", name);
                return -ENOENT;
        }
        *ret = (struct service_user){ .uid = passwd.pw_uid, .gid = passwd.pw_gid };
        return 0;
}
