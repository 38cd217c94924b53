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

/* Of what is permitted: an unprivileged process may lack it already, and needs none for ports from 1024 up. */
static int select_one(unsigned capability, bool has) {
        return has && capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, capability) < 0 ? -EPERM : 0;
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

/* Changes user and groups, and gives up all but what is kept, and what takes the rest from the bounding set. */
static int become(const char *user) {
        bool has_port = capng_have_capability(CAPNG_PERMITTED, CAP_NET_BIND_SERVICE);
        bool has_bounds = capng_have_capability(CAPNG_PERMITTED, CAP_SETPCAP);
        uid_t uid;
        gid_t gid;
        int r = privilege_find_user(user, &uid, &gid);

        if (r < 0)
                return r;
        capng_clear(CAPNG_SELECT_BOTH);
        if (select_one(CAP_NET_BIND_SERVICE, has_port) < 0 || select_one(CAP_SETPCAP, has_bounds) < 0)
                return -EPERM;
        if (capng_change_id((int)uid, (int)gid, CAPNG_DROP_SUPP_GRP) < 0)
                return -EPERM;
        return capng_get_caps_process() < 0 ? -EPERM : 0;
}

static bool has_others(void) {
        for (unsigned capability = 0; capability <= CAP_LAST_CAP; ++capability)
                if (capability != CAP_NET_BIND_SERVICE && capng_have_capability(CAPNG_PERMITTED, capability))
                        return true;
        return false;
}

/* What systemd gave, which lets us make no capset(2), is what shall be left; but a program that we start has no use for it, unless it is one of ours. */
static int stay_as_given(bool passes) {
        if (capng_get_caps_process() < 0 || has_others())
                return -EPERM;
        return !passes && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0L, 0L, 0L) < 0 ? -errno : 0;
}

static int lower(bool passes) {
        int kept =
                capng_have_capability(CAPNG_PERMITTED, CAP_NET_BIND_SERVICE) ? CAP_NET_BIND_SERVICE : CONFINE_KEEP_NONE;
        int r = passes && kept != CONFINE_KEEP_NONE ? confine_pass_capability(kept) : confine_drop_capabilities(kept);

        return r < 0 ? stay_as_given(passes) : 0;
}

static int drop(const char *user, bool passes) {
        int r = 0;

        if (capng_get_caps_process() < 0)
                return -EPERM;
        if (user)
                r = become(user);
        if (r == 0)
                r = lower(passes);
        if (r < 0)
                return r;
        return prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0 ? -errno : 0;
}

int privilege_drop(const char *user) {
        return drop(user, false);
}

int privilege_drop_for_programs(const char *user) {
        return drop(user, true);
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
