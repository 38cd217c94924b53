/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients of QUIC that mean harm (tests/quic/hostile), by an implementation that is not ours.
 */
#ifndef NB_TESTS_SUPPORT_HOSTILE_H
#define NB_TESTS_SUPPORT_HOSTILE_H

#include "tests/support/quic_host.h"

/**
 * Has them do something to a server, and fails the test, with what they say, unless all came of it that should.
 * @param what  and further arguments, up to a NULL
 */
void hostile_expect(const struct quic_world *world, const char *address, int timeout_ms, const char *what, ...)
        __attribute__((sentinel));

#endif
