/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving up capabilities, the bounding set and new privileges.
 */
#ifndef NB_CONFINE_CAPABILITIES_H
#define NB_CONFINE_CAPABILITIES_H

/** For confine_drop_capabilities(): none is kept. */
#define CONFINE_KEEP_NONE (-1)

/**
 * Gives up all capabilities but one, and new privileges; it cannot be taken back. Where the bounding set cannot be cleared, for that takes CAP_SETPCAP, it is left: no
 * new privileges does the same.
 * @param kept  CAP_..., which must be permitted; or CONFINE_KEEP_NONE
 * @return 0 or -errno; -EPERM also where `kept` is not there to be kept
 */
int confine_drop_capabilities(int kept);

/**
 * As that, for who starts programs: `kept` is in the inheritable and ambient sets, too, so that they have it, and in the bounding set.
 * @param kept  CAP_..., which must be permitted
 */
int confine_pass_capability(int kept);

#endif
