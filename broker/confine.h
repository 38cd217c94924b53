/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walls that the broker raises around itself, whether a service manager has raised its own or not.
 *
 *      no new privileges   broker/privilege.h, and at most one capability
 *      no looking in       no core dumps, no ptrace(2) by its own user, /proc/PID is root's
 *      files               Landlock: nothing is executed but the relays' program, nothing written but the audit, no file made but sockets
 *      system calls        what is on the lists (broker/calls.h)
 *
 * They are raised when everything is open that is not opened again, and before a byte from a guest is read. Reading stays possible wherever the
 * broker's user may: the policy names files everywhere, and a reload reads others. So do making and removing sockets.
 *
 * A call that is on no list fails with EPERM, and the kernel notes it (auditd, or dmesg): one that was overlooked costs what needs it, and not every
 * tenant's sessions. In builds with sanitizers it ends the broker, so that tests find it.
 *
 * A relay that the broker forks is within the same walls, and raises its own inside; for that, what a program needs to begin is let through as
 * well. One that a service manager starts needs none of it.
 */
#ifndef NB_BROKER_CONFINE_H
#define NB_BROKER_CONFINE_H

#include <stdbool.h>

struct nb_log;

/** Which of them stand. */
struct broker_walls {
        bool hidden; /* nobody looks in */
        bool files;
        bool calls;
        bool starts_programs; /* relays are forked */
        const char *missing;  /* what the kernel's Landlock lacks, in words; NULL: nothing that is used */
};

/** What is opened again later. All borrowed; each may be NULL. */
struct broker_needs {
        const char *audit;         /* a file; its folder can be written to, for what rotates it */
        const char *relay_program; /* what is executed; NULL: nothing is */
};

/**
 * Raises them, after privilege_drop(). A wall that this system does not have, or does not permit, is logged, and missing in `ret`; the others stand. One that it has and
 * that could not be raised, for want of memory or descriptors, is none that may be missing: nothing is to be served then. Errors are logged.
 * @return 0 or -errno
 */
int confine_broker(const struct nb_log *log, const struct broker_needs *needs, struct broker_walls *ret);

#endif
