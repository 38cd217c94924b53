/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A step of a link's handshake, before bytes are pumped: a PROXY header that comes or goes, a proxy's CONNECT or SOCKS5, TLS.
 *
 * A link has a list of them, made from its Begin, and runs the first until it is done. A stage reads and writes the link's transport towards the
 * peer, `link->peer`, and may put another on top of it. It must bound what it reads by a constant of its own; time is bounded by the link.
 */
#ifndef NB_RELAY_STAGE_H
#define NB_RELAY_STAGE_H

#include "base/list.h"

struct link;
struct stage;

struct stage_ops {
        const char *name; /* for messages: "TLS", "SOCKS5" */
        /**
         * Goes on as far as it can.
         * @return 0 when it is done; -EAGAIN; another -errno after link_fail(), which says why
         */
        int (*run)(struct stage *stage, struct link *link);
        void (*free)(struct stage *stage);
};

struct stage {
        struct nb_list in_link;
        const struct stage_ops *ops;
};

#endif
