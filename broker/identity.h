/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is at the other end of a session, and which tenants admit them.
 *
 * All of it is found when the session is accepted, and never again: what a policy asks for later, after Hello or a reload, it asks of what
 * was found then. User and groups are those that the kernel recorded at connect() (SO_PEERCRED, SO_PEERGROUPS), whatever became of the
 * process. The unit of systemd's is that of the process's control group, which only /proc tells, by a number that the kernel may give to
 * another process meanwhile. So the process is pinned (SO_PEERPIDFD) before its group is read, and that it still lives is asked
 * afterwards: then it was that process's. Who has ended by then is in no unit.
 *
 * A session that came by a tenant's own socket (`Socket=`) is that tenant's and nobody else's: whom the mode and owner of the socket let in has
 * been admitted. On the broker's general sockets everyone may knock, and the credentials decide.
 */
#ifndef NB_BROKER_IDENTITY_H
#define NB_BROKER_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "policy/policy.h"

/** More supplementary groups of one process than this are as if there were none. Kerberos and NFS know 1,015 at the most. */
#define IDENTITY_GROUPS_MAX 1024

/** The longest name of a unit, systemd's UNIT_NAME_MAX with its NUL. */
#define IDENTITY_UNIT_MAX 256

/** Zero is somebody whom no tenant admits, as root. */
struct identity {
        bool inherited; /* the descriptor was given to the broker at its start: any tenant of the policy fits */
        uid_t uid;      /* otherwise: of the process that connected */
        gid_t gid;
        pid_t pid;     /* for records only: pids are reused */
        gid_t *groups; /* owned: supplementary ones */
        size_t n_groups;
        char *unit;   /* owned: "app.service"; NULL: none, or it cannot be known */
        char *tenant; /* owned: whose own socket it came by; NULL: a general one */
        char *socket; /* owned: that socket's path */
};

/**
 * Asks the kernel who is at the other end.
 * @param fd      a connected Unix socket, borrowed
 * @param tenant  whose own socket it was accepted from, borrowed; NULL: a general one
 * @param ret     to be given to identity_deinit()
 * @return 0 or -errno
 */
int identity_of_peer(int fd, const struct policy_tenant *tenant, struct identity *ret);

/** Frees what it owns. */
void identity_deinit(struct identity *identity);

/** Whether the tenant admits it. */
bool identity_fits(const struct identity *identity, const struct policy_tenant *tenant);

/**
 * Finds a tenant whose Unit= fits nobody, because /proc shows us our own user's processes only (systemd's ProtectProc=invisible).
 * @return the first of them; NULL where there is none
 */
const struct policy_tenant *identity_find_blind(const struct policy *policy);

/**
 * The unit in the text of /proc/PID/cgroup: in its path in the unified hierarchy, the first component that is no slice. What a service
 * makes below its own group is still the service, and a user's units are all of `user@UID.service`.
 * @param text  ends with NUL
 * @return whether there is one
 */
bool identity_parse_unit(const char *text, char ret[static IDENTITY_UNIT_MAX]);

#endif
