/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sweep: which calls fail in it, or in a sample of it, and what may come of that.
 *
 * NETBROKER_FAULTS=all sweeps over all calls. Without it each sweep takes a sample that differs by its first call, NETBROKER_FAULTS_SEED.
 * NETBROKER_FAULTS_DEED=NAME does only the deed of that name. NETBROKER_FAULTS_ONLY=CALL has each call of that name fail and no other, CALL:FROM those from that number
 * on, and CALL:FROM-TO those up to another: to look at one again, and to go on behind it.
 */
#ifndef NB_TESTS_FAULTS_SWEEP_H
#define NB_TESTS_FAULTS_SWEEP_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/faults/world.h"

/** A call, and what it fails with. */
struct fault {
        enum faults_call call;
        int error;
        bool broker_only;
};

/** Errnos of each class of calls that its manual page lists, and that say nothing of a mistake of the caller's. */
extern const struct fault sweep_faults[];
size_t sweep_n_faults(void);

/** Whether nothing is left out. */
bool sweep_is_all(void);

/** Whether the deed of that name is not to be done. */
bool sweep_leaves_out(const char *deed);

/** Which of so many calls fail: every `stride`th from `first` to `last`, counted from 1. */
struct sweep_range {
        unsigned first, last, stride;
};

struct sweep_range sweep_range(unsigned n_calls);

/** Of many kinds of failures each deed meets a few. @param sparsely  how many times fewer than usual @return whether it meets number `index`, which is of `fault` */
bool sweep_has(const struct fault *fault, size_t index, size_t n_kinds, unsigned sparsely);

/** What a sweep is about, for messages. */
struct sweep {
        const struct deed *deed;
        enum program program;
        enum faults_call call;
        int error;
        unsigned n;
        unsigned n_excused; /* relays that may have crashed */
};

/** Fails the test, with where the last failure was and what the daemon has said. */
__attribute__((format(printf, 3, 4), noreturn)) void sweep_complain(const struct world *world,
                                                                    const struct sweep *sweep, const char *format, ...);

#define sweep_expect(condition, world, sweep, ...)                                                                     \
        do {                                                                                                           \
                if (!(condition))                                                                                      \
                        sweep_complain((world), (sweep), __VA_ARGS__);                                                 \
        } while (0)

/** What may be said to one for whom a call failed: the failure, want of memory or buffers, or the end of what could not go on. @param r  0 or -errno */
bool sweep_is_answer(const struct sweep *sweep, int r);

/**
 * Whether a library made the call that failed last and ends its process then, which is not ours: libuv aborts when it cannot begin to watch, GMP, by which GnuTLS
 * computes, when it has no memory, libtasn1, by which it reads certificates, goes on (4.19 does not look at what its copy of a certificate's part could be
 * stored in), and so does libseccomp (2.5), until it crashes or has computed for too long.
 */
bool sweep_is_excused(const struct faults *faults);

/** Tells, where NETBROKER_FAULTS_SHOW is set, what came of a failure. */
void sweep_show(const struct sweep *sweep, const struct faults *faults, int r);

#endif
