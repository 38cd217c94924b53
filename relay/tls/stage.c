/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tls/tls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "relay/stage.h"
#include "relay/tls/credentials.h"
#include "relay/tls/resume.h"
#include "relay/tls/security.h"
#include "relay/tls/transport.h"

/* Messages and warnings of one handshake; an honest one has a dozen. */
#define STEPS_MAX 64u

struct tls_stage {
        struct stage stage;
        struct context *context;   /* a reference */
        struct tls_transport *tls; /* borrowed from the link; NULL: not begun */
        bool as_server;
        bool is_guests;
        bool is_done; /* as far as GnuTLS goes; its last flight may not have been written yet */
        unsigned n_steps;
        char server_name[TLS_NAME_MAX + 1];
};

static struct tls_stage *tls_stage_of(struct stage *stage) {
        return nb_container_of(stage, struct tls_stage, stage);
}

static int begin(struct tls_stage *stage, struct link *link) {
        const struct tls_credentials *credentials = stage->context->tls;

        if (!credentials || !(stage->as_server ? credentials->as_server : credentials->as_client))
                return link_fail(link, NB__RELAY__CAUSE__CAUSE_TLS_CONTEXT, "its context has no TLS for a %s",
                                 stage->as_server ? "server" : "client");
        stage->tls = tls_transport_new(link, stage->context, stage->as_server, stage->server_name, link->peer);
        if (!stage->tls)
                return link_fail(link, NB__RELAY__CAUSE__CAUSE_NO_MEMORY, "no memory for TLS");
        link->peer = &stage->tls->transport;
        return 0;
}

/* Of a handshake that GnuTLS or our callbacks have given up. */
static int failed(struct tls_stage *stage, struct link *link, int error) {
        struct tls_transport *tls = stage->tls;

        if (error == GNUTLS_E_PREMATURE_TERMINATION || error == GNUTLS_E_SESSION_EOF)
                return link_fail_io(link, "TLS", 0);
        if (tls->error < 0 && (error == GNUTLS_E_PULL_ERROR || error == GNUTLS_E_PUSH_ERROR))
                return link_fail_io(link, "TLS", tls->error);
        tls_failure_note_error(&tls->session.failure, tls->session.gnutls, error);
        return tls_transport_fail(tls);
}

static int complete(struct tls_stage *stage, struct link *link) {
        if (tls_session_check(&stage->tls->session) < 0)
                return tls_transport_fail(stage->tls);
        tls_resume_keep(&stage->tls->session);
        if (!stage->is_guests)
                return 0;
        free(link->security);
        link->security = tls_security_new(&stage->tls->session);
        if (!link->security)
                return link_fail(link, NB__RELAY__CAUSE__CAUSE_NO_MEMORY, "no memory for what TLS has agreed on");
        return 0;
}

/* @return 0 when GnuTLS is done; -EAGAIN; another -errno */
static int shake_hands(struct tls_stage *stage, struct link *link) {
        struct tls_transport *tls = stage->tls;

        while (stage->n_steps < STEPS_MAX) {
                int done;
                int error;

                tls->is_dry = false;
                done = stage->is_done ? 0 : gnutls_handshake(tls->session.gnutls);
                stage->is_done = done == 0;
                if (done < 0 && gnutls_error_is_fatal(done))
                        return failed(stage, link, done);
                error = tls_transport_flush(tls);
                if (error < 0 && error != -EAGAIN)
                        return link_fail_io(link, "TLS", error);
                if (tls->is_dry || error == -EAGAIN)
                        return -EAGAIN;
                if (done == 0)
                        return 0;
                ++stage->n_steps;
        }
        (void)tls_failure_note(&tls->session.failure, NB__RELAY__CAUSE__CAUSE_TLS_PROTOCOL, GNUTLS_A_UNEXPECTED_MESSAGE,
                               "the peer's handshake goes on without an end");
        return tls_transport_fail(tls);
}

static int tls_stage_run(struct stage *base, struct link *link) {
        struct tls_stage *stage = tls_stage_of(base);
        int error = stage->tls ? 0 : begin(stage, link);

        if (error == 0)
                error = shake_hands(stage, link);
        return error == 0 ? complete(stage, link) : error;
}

static void tls_stage_free(struct stage *base) {
        struct tls_stage *stage = tls_stage_of(base);

        context_unref(stage->context);
        free(stage);
}

static const struct stage_ops tls_stage_ops = {
        .name = "TLS",
        .run = tls_stage_run,
        .free = tls_stage_free,
};

struct stage *tls_stage_new(struct context *context, bool as_server, const char *server_name, bool is_guests) {
        struct tls_stage *stage;

        if (strlen(server_name) > TLS_NAME_MAX)
                return NULL;
        stage = calloc(1, sizeof(*stage));
        if (!stage)
                return NULL;
        nb_list_init(&stage->stage.in_link);
        stage->stage.ops = &tls_stage_ops;
        stage->context = context_ref(context);
        stage->as_server = as_server;
        stage->is_guests = is_guests;
        memcpy(stage->server_name, server_name, strlen(server_name));
        return &stage->stage;
}
