/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NB_SHIM_CLIENT_CONTROL_H
#define NB_SHIM_CLIENT_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/frame.h"
#include "shim/client/context.h"
#include "shim/client/spare.h"

/**
 * Connections that the broker may push before the guest accepts the first. A pushed connection is a descriptor in
 * flight, which the kernel charges to the broker's user; 16 hide the round trip without piling up.
 */
#define NB_ACCEPT_WINDOW 16

/** What the broker made, as it has said itself and was found valid. */
struct nb_control_description {
        const char *address;
        enum nb_socket_type type;
        uint64_t rights_base;
        uint64_t rights_inheriting;
        uint32_t flags; /* 0 or NB_NONBLOCK: ours */
};

/**
 * Makes a control out of what the broker opened.
 * @param description  borrowed
 * @param fd           consumed on success
 * @param home         where the control is offered when it is freed; a reference is taken; NULL: nowhere
 * @return 0, or -ENOMEM.
 */
int nb_control_new(struct nb_context *context, const struct nb_control_description *description, int fd,
                   struct nb_spare *home, struct nb_control **ret);

/** Datagrams or a stream. */
enum nb_socket_type nb_control_type(const struct nb_control *control);

/** Sends a control that was kept into use again: it will be offered to `home` when it is freed. */
void nb_control_reuse(struct nb_control *control, uint32_t flags, struct nb_spare *home);

/**
 * Makes a control as new, if it is idle and its bind address is open, and gives back its reference to its home.
 * @return whether it is as new; otherwise it is unchanged
 */
bool nb_control_reset(struct nb_control *control);

/** Whether the control goes on when its channel ends: another takes its place (shim/client/lost.h). */
bool nb_control_outlives_channel(const struct nb_control *control);

/** Whether nb_open() with these parameters would make just such a control. */
bool nb_control_serves(const struct nb_control *control, const char *address, size_t length, enum nb_socket_type type,
                       uint64_t rights_base, uint64_t rights_inheriting);

#endif
