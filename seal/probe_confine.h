/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probe's walls. It must be able to try what a runtime's process can try, so the calls of its escapes are open to it, and nothing else is.
 */
#ifndef NB_SEAL_PROBE_CONFINE_H
#define NB_SEAL_PROBE_CONFINE_H

/** Gives up all capabilities, new privileges, and every system call but those of a proof; another one ends the process. @return 0 or -errno */
int probe_confine(void);

#endif
