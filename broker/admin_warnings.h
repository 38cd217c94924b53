/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator who asks how it goes should know without having read the log.
 */
#ifndef NB_BROKER_ADMIN_WARNINGS_H
#define NB_BROKER_ADMIN_WARNINGS_H

#include <jansson.h>

struct broker;

/** @return an array of sentences, owned by the caller; NULL without memory */
json_t *admin_warnings(const struct broker *broker);

#endif
