/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tls/peer_names.h"

#include <string.h>

#include "base/escape.h"
#include "relay/tls/name.h"

void tls_peer_names_read(struct tls_peer_names *ret, gnutls_x509_crt_t certificate) {
        TLS_NAMES names = { NULL };
        struct tls_name name;
        int found;

        ret->n = 0;
        if (tls_names_init(&names, certificate) < 0)
                return;
        for (unsigned i = 0; ret->n < NB_SECURITY_NAMES_MAX && (found = tls_names_at(&names, i, &name)) >= 0; ++i)
                if (found > 0)
                        (void)nb_escape(name.text, strlen(name.text), ret->texts[ret->n++], sizeof(ret->texts[0]));
}
