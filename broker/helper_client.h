/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking netbroker-helper(8) to destroy sockets that tenants hold.
 *
 * Asked is without waiting, for a window of requests at a time; who is not asked for yet stands in a list through the connections
 * themselves, so that nothing is allocated and nothing can overflow. When the helper is not there, or ends, it is looked for again
 * each second for as long as there is something to ask.
 */
#ifndef NB_BROKER_HELPER_CLIENT_H
#define NB_BROKER_HELPER_CLIENT_H

#include <stdbool.h>

struct broker;
struct connection;
struct helper_client;

/**
 * Makes a client; the helper is looked for when there is something to ask, with the credentials that the broker has then.
 * @param path  borrowed, lives as long as the client
 * @return owned by the caller, or NULL (errno is set; ENAMETOOLONG for a path that is too long for a socket)
 */
struct helper_client *helper_client_new(struct broker *broker, const char *path);

/** Says it to the operator where the helper's socket is not there, or not for us. For when the broker is who it will be. */
void helper_client_look(struct helper_client *client);

/** All connections must have ended. Takes NULL. @return NULL */
struct helper_client *helper_client_free(struct helper_client *client);

/** Asks for a TCP or UDP connection to be destroyed, by its addresses and cookie. Does nothing if it is being asked for. */
void helper_client_destroy(struct helper_client *client, struct connection *connection);

/** Whether the helper was there when it was asked last; before the first time, whether its socket is. */
bool helper_client_is_well(const struct helper_client *client);

#endif
