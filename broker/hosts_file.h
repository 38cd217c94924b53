/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts(5): names that the machine knows without asking anyone, as `hosts: files dns` of nsswitch.conf(5) has it.
 *
 * And `localhost`, which is loopback wherever it is asked (RFC 6761 section 6.3), so that nobody asks DNS for it.
 */
#ifndef NB_BROKER_HOSTS_FILE_H
#define NB_BROKER_HOSTS_FILE_H

#include <stdbool.h>

#include "broker/dns_answer.h"

#define HOSTS_FILE_PATH "/etc/hosts"

/** Lines behind these are not read. */
#define HOSTS_FILE_LINES_MAX 65536

/**
 * Looks for the addresses of a name, in the order of the file.
 * @param path   HOSTS_FILE_PATH, but in tests
 * @param name   lower-case, borrowed
 * @param ret    filled in if there is one
 * @return whether the file has an address of the family for the name; an unreadable file has none
 */
bool hosts_file_find(const char *path, const char *name, sa_family_t family, struct dns_answer *ret);

/** Whether it is `localhost` or below it. */
bool hosts_file_is_localhost(const char *name);

#endif
