/* SPDX-License-Identifier: Apache-2.0 */
#include "confine/capabilities.h"

#include <cap-ng.h>
#include <errno.h>
#include <sys/prctl.h>

/* The bounding set can be cleared with CAP_SETPCAP only; without it libcap-ng would complain to the log. */
static capng_select_t what_to_apply(void) {
        return capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS;
}

/* @param sets  where `kept` is left */
static int drop(int kept, capng_type_t sets) {
        capng_select_t what;

        if (capng_get_caps_process() < 0)
                return -EPERM;
        if (kept != CONFINE_KEEP_NONE && !capng_have_capability(CAPNG_PERMITTED, (unsigned)kept))
                return -EPERM;
        what = what_to_apply();
        capng_clear(CAPNG_SELECT_BOTH);
        if (kept != CONFINE_KEEP_NONE && capng_update(CAPNG_ADD, sets, (unsigned)kept) < 0)
                return -EPERM;
        if (capng_apply(what) < 0)
                return -EPERM;
        return prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0 ? -errno : 0;
}

int confine_drop_capabilities(int kept) {
        return drop(kept, CAPNG_EFFECTIVE | CAPNG_PERMITTED);
}

/* What is not in the bounding set cannot become inheritable. */
int confine_pass_capability(int kept) {
        int r = drop(kept, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE | CAPNG_BOUNDING_SET);

        if (r < 0)
                return r;
        return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, (unsigned long)kept, 0L, 0L) < 0 ? -errno : 0;
}
