/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a relay has said of TLS, as sessions are told it.
 */
#ifndef NB_BROKER_SECURITY_H
#define NB_BROKER_SECURITY_H

#include <stdbool.h>

#include "proto/frame.h"
#include "proto/relay_frame.h"

/** One message that points to the texts of another. */
struct security_view {
        Nb__Security message;
};

/**
 * Makes the session's message of a relay's, within the limits of PROTOCOL.md.
 * @param view  what is returned; the texts stay the relay's message's
 * @param from  borrowed as long as the view is used; NULL: none
 * @return NULL for NULL
 */
Nb__Security *security_view(struct security_view *view, const Nb__Relay__Security *from);

/** @return a copy, owned by the caller; NULL for NULL, and without memory */
Nb__Relay__Security *security_copy(const Nb__Relay__Security *from);

/** Takes NULL. @return NULL */
Nb__Relay__Security *security_free(Nb__Relay__Security *security);

/** Whether its texts and names are within the limits, and there is a version; a relay that sends others is none of ours. */
bool security_is_sane(const Nb__Relay__Security *security);

#endif
