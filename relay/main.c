/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbroker-relay: takes its channel, gives up all else, and serves it until it ends.
 */
#include <gnutls/gnutls.h>
#include <err.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/last_words.h"
#include "relay/confine.h"
#include "relay/options.h"
#include "relay/relay.h"
#include "relay/termination.h"

/* Of netbrokerd, and of a unit of systemd with Accept=yes (SD_LISTEN_FDS_START). */
#define CHANNEL_FD 3

/* What the heap keeps at its end, in bytes. To give it back and to ask for it again, with every page, is what would cost with each burst of packets. */
#define HEAP_KEEPS (4 * 1024 * 1024)

static int take_channel(void) {
        int r = nb_channel_check(CHANNEL_FD);

        return r < 0 ? r : nb_fd_prepare(CHANNEL_FD);
}

static void serve(struct relay *relay) {
        while (!relay->has_ended)
                relay_turn(relay, true);
}

/* @return the exit status */
static int run(struct relay *relay) {
        struct termination termination = { .fd = -1 };
        int r;

        (void)mallopt(M_TRIM_THRESHOLD, HEAP_KEEPS);
        /* Before the walls: it reads its configuration and asks what the processor can do. */
        if (gnutls_global_init() < 0) {
                nb_log(&relay->log, NB_LOG_ERROR, "GnuTLS cannot be initialised");
                return EX_SOFTWARE;
        }
        r = confine_begin(CHANNEL_FD);
        if (r < 0) {
                nb_log(&relay->log, NB_LOG_ERROR, "cannot confine itself: %s", strerror(-r));
                return EX_OSERR;
        }
        r = relay_init(relay, CHANNEL_FD);
        if (r < 0) {
                nb_log(&relay->log, NB_LOG_ERROR, "cannot start its loop: %s", strerror(-r));
                return EX_OSERR;
        }
        r = termination_start(&termination, relay);
        if (r < 0) {
                nb_log(&relay->log, NB_LOG_ERROR, "cannot wait for signals: %s", strerror(-r));
                return EX_OSERR;
        }
        relay->is_confined = true;
        serve(relay);
        termination_stop(&termination);
        relay_deinit(relay);
        return EX_OK;
}

int main(int argc, char **argv) {
        struct nb_operands operands;
        struct relay *relay;
        int r;

        if (nb_fds_ensure_standard() < 0)
                err(EX_OSERR, "cannot have standard input, output and error");
        nb_last_words();
        r = nb_options_parse(&options_table, argc, argv, NULL, stdout, stderr, &operands);
        if (r != 0)
                return r > 0 ? EX_OK : EX_USAGE;
        relay = calloc(1, sizeof(*relay));
        if (!relay)
                return EX_OSERR;
        nb_log_init(&relay->log, "netbroker-relay", NB_LOG_NOTICE);
        if (take_channel() < 0) {
                nb_log(&relay->log, NB_LOG_ERROR,
                       "descriptor 3 is no channel of netbrokerd's; start netbrokerd, which starts relays as it needs "
                       "them");
                return EX_USAGE;
        }
        /* What is registered for a process's end, leak checkers among it, makes calls that are not on our lists. */
        _exit(run(relay));
}
