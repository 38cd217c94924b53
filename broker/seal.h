/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seal, as the broker uses it: programs of BPF that netbroker-seal(8) has pinned in a folder and attached to the broker's control group
 * (base/seal_layout.h). Whoever holds a socket of the broker's can then use it for what it was made for, and for nothing else.
 *
 * It is believed only when it is proven: at the start netbroker-probe(8), a process in a control group of its own, gets sockets that are made for that, tries each
 * escape, and reports. From then on, until the broker ends, `DataPath=auto` hands sockets out. The kernel keeps the programs attached, whatever becomes of their folder.
 *
 * A socket's stamp names its owner: the control group whose processes may connect, bind and send to addresses with it. A broker that was restarted is
 * in another group than the one before, so what it took over is stamped anew: seal_own(). A relay in a group of its own needs sockets of UDP, with which it
 * names peers, as its own: seal_lend(); those of TCP stay the broker's, for a relay only reads and writes them. What is lent stays lent, also over a restart of
 * the broker, until it is lent to another relay: nobody else uses it. The broker need not know the relay's group: the first process that uses such a socket as only
 * an owner may becomes its owner, and nobody but the relay has it.
 *
 * The kernel tells when the last descriptor of a stamped socket is closed, whoever had it (broker/connection_release.h).
 */
#ifndef NB_BROKER_SEAL_H
#define NB_BROKER_SEAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/seal_layout.h"

struct broker;
struct policy;
struct seal;

/**
 * Opens what is pinned in a folder. To be called while the process has its privileges. Where that cannot be had, the reason is kept: seal_why_not().
 * @param folder  netbroker-seal's; NULL: there is none
 * @return owned by the caller, or NULL without memory
 */
struct seal *seal_new(struct broker *broker, const char *folder);

/** Takes NULL. @return NULL */
struct seal *seal_free(struct seal *seal);

/**
 * Has the probe try the seal, and takes the kernel's word of what is closed from then on, if it holds. Waits, for some seconds at most. Once, before anything is served.
 * @param probe  the path of netbroker-probe's socket; NULL: there is none
 */
void seal_prove(struct seal *seal, const char *probe);

/** Whether sockets of the broker's are sealed, and that is proven. @param seal  may be NULL */
bool seal_is_proven(const struct seal *seal);

/**
 * Whether this socket is behind a seal that is proven: the kernel has stamped it, or one that it was accepted of, when it was made. What a broker before has made
 * without a seal, or behind another one, is not, whatever is proven now. Unix sockets need no seal.
 * @param fd  borrowed; of any family
 */
bool seal_covers(const struct broker *broker, int fd);

/** Logs, once, that sockets are not sealed that were made since it was proven, and are not handed out. To be called for a socket that seal_covers() says no to. */
void seal_miss(struct seal *seal);

/** Why it is not, a clause; "" where it is. @param seal  may be NULL */
const char *seal_why_not(const struct seal *seal);

/**
 * Whether the policy may be served: it may not where RequireSeal= wants what is not proven, which is logged as an error. Where connections go through relays for want of the
 * seal, that is logged as a warning, and recorded.
 */
bool seal_suffices(struct broker *broker, const struct policy *policy);

/** Whether connections of the policy would go without a relay, did the seal hold: DataPath=auto somewhere. */
bool seal_is_wanted(const struct policy *policy);

/**
 * Makes a socket the broker's own that another broker has made, and that came into its hands: one that is bound or listens goes on receiving. One that is
 * lent to a relay stays with that, and one that was made without the seal is left as it is. Harmless without the seal.
 * @param fd  borrowed; of any family
 * @return 0 or -errno
 */
int seal_own(const struct broker *broker, int fd);

/**
 * Makes a socket of UDP that a relay gets which may be in a control group of its own the relay's, as soon as it uses it. Others are left as they are.
 * Harmless without the seal.
 * @param fd  borrowed; of any family
 * @return 0 or -errno
 */
int seal_lend(const struct broker *broker, int fd);

/** Makes a socket the broker's again that was lent to a relay, and now goes to one that is in the broker's own group. Otherwise as seal_lend(). */
int seal_take_back(const struct broker *broker, int fd);

/** Hears now what else would be heard in the loop's next turn: a tenant needs the place of what it has just closed. @param seal  may be NULL */
void seal_hear(struct seal *seal);

/** How often the seal has refused something since it was loaded, and events that were lost. @return 0; -ENOENT: nothing is pinned */
int seal_count(const struct seal *seal, struct nb_seal_counters *ret);

#endif
