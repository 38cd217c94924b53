/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel says of sockets, whoever holds them: the list that ss(8) prints.
 */
#ifndef NB_TESTS_SUPPORT_KERNEL_H
#define NB_TESTS_SUPPORT_KERNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * @param protocol   IPPROTO_TCP or IPPROTO_UDP
 * @param peer_port  of the address that they are connected to
 * @return how many sockets of this network namespace are connected to that port, TIME_WAIT not counted
 */
unsigned kernel_count_sockets(uint8_t protocol, uint16_t peer_port);

/** Waits until there are that many. */
void kernel_wait_sockets(uint8_t protocol, uint16_t peer_port, unsigned expected);

/** Takes a connected socket from its peer, as connect(2) with AF_UNSPEC does. */
void kernel_disconnect(int fd);

/** @return how many events of sockets were dropped because the queue of a process was full. */
unsigned kernel_count_dropped_events(pid_t pid);

/** Whether a process is told of sockets that are freed. */
bool kernel_tells_of_sockets(pid_t pid);

/** Waits until a process is told of them, or is not. */
void kernel_wait_tells_of_sockets(pid_t pid, bool expected);

/** Whether this process may destroy sockets (CAP_NET_ADMIN, and a kernel that can). */
bool kernel_destroys_sockets(void);

#endif
