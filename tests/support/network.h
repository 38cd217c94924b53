/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network of the test's own: a namespace with nothing but loopback, which gets whatever addresses a test needs. What it starts is in
 * it as well. Needs root. Functions fail the test (ck_abort) instead of returning errors.
 */
#ifndef NB_TESTS_SUPPORT_NETWORK_H
#define NB_TESTS_SUPPORT_NETWORK_H

/** Leaves the machine's network for one of this process's own, in which loopback is up. */
void network_enter(void);

/** Gives loopback an address, without port and brackets. */
void network_add_address(const char *ip);

#endif
