/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/proxy/proxy.h"

#include <errno.h>
#include <string.h>

#include "relay/context.h"
#include "relay/proxy/connect_stage.h"
#include "relay/proxy/socks5_stage.h"
#include "relay/proxy/target.h"

struct stage *proxy_stage_new(const Nb__Relay__Hop *hop, struct context *password) {
        struct proxy_target target;
        struct stage *stage = NULL;
        bool is_connect = hop->kind == NB__RELAY__HOP_KIND__HOP_KIND_CONNECT;

        if ((!is_connect && hop->kind != NB__RELAY__HOP_KIND__HOP_KIND_SOCKS5) || (password && !password->password) ||
            proxy_target_parse(hop->target, strlen(hop->target), &target) < 0) {
                errno = EINVAL;
                return NULL;
        }
        if (password)
                context_ref(password);
        stage = is_connect ? connect_stage_new(&target, hop->target, password)
                           : socks5_stage_new(&target, hop->target, password);
        if (!stage) {
                context_unref(password);
                errno = ENOMEM;
        }
        return stage;
}
