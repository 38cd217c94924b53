/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/privilege.h"

#include <cap-ng.h>
#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "confine/capabilities.h"

/* An unprivileged process may lack the capability already, and needs none for ports from 1024 up. */
static int select_capability(void) {
        int kept = capng_have_capability(CAPNG_PERMITTED, CAP_NET_BIND_SERVICE);

        capng_clear(CAPNG_SELECT_BOTH);
        if (kept && capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_BIND_SERVICE) < 0)
                return -EPERM;
        return 0;
}

int privilege_find_user(const char *user, uid_t *ret_uid, gid_t *ret_gid) {
        struct passwd passwd, *found = NULL;
        char buffer[4096];
        int r;

        if (!user) {
                *ret_uid = geteuid();
                *ret_gid = getegid();
                return 0;
        }
        r = getpwnam_r(user, &passwd, buffer, sizeof(buffer), &found);
        if (!found)
                return r != 0 ? -r : -ENOENT;
        *ret_uid = passwd.pw_uid;
        *ret_gid = passwd.pw_gid;
        return 0;
}

/* Changes user and groups, and gives up all else, the bounding set included, in the order that the kernel wants. */
static int become(const char *user) {
        uid_t uid;
        gid_t gid;
        int r = privilege_find_user(user, &uid, &gid);

        if (r == 0)
                r = select_capability();
        if (r < 0)
                return r;
        r = capng_change_id((int)uid, (int)gid, CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING);
        return r < 0 ? -EPERM : 0;
}

static bool has_others(void) {
        for (unsigned capability = 0; capability <= CAP_LAST_CAP; ++capability)
                if (capability != CAP_NET_BIND_SERVICE && capng_have_capability(CAPNG_PERMITTED, capability))
                        return true;
        return false;
}

/* What systemd gave, which lets us make no capset(2), is what shall be left; but a program that we start has no use for it. */
static int stay_as_given(void) {
        if (capng_get_caps_process() < 0 || has_others())
                return -EPERM;
        return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0L, 0L, 0L) < 0 ? -errno : 0;
}

static int stay(void) {
        bool has = capng_have_capability(CAPNG_PERMITTED, CAP_NET_BIND_SERVICE);

        return confine_drop_capabilities(has ? CAP_NET_BIND_SERVICE : CONFINE_KEEP_NONE) < 0 ? stay_as_given() : 0;
}

int privilege_drop(const char *user) {
        int r;

        if (capng_get_caps_process() < 0)
                return -EPERM;
        r = user ? become(user) : stay();
        if (r < 0)
                return r;
        return prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0 ? -errno : 0;
}

void privilege_lift_memlock_limit(void) {
        const struct rlimit limit = { .rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY };

        (void)setrlimit(RLIMIT_MEMLOCK, &limit);
}

unsigned long privilege_raise_fd_limit(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return 1024;
        if (limit.rlim_cur < limit.rlim_max) {
                rlim_t before = limit.rlim_cur;

                limit.rlim_cur = limit.rlim_max;
                if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                        return before;
        }
        return limit.rlim_cur;
}
