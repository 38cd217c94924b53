/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/proxy/socks5_stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "relay/context.h"
#include "relay/link.h"
#include "relay/proxy/exchange.h"
#include "relay/proxy/socks5.h"
#include "relay/stage.h"

#define NAME "SOCKS5"

/* What is sent, then what is waited for. */
enum step {
        STEP_GREETING,
        STEP_METHOD,
        STEP_LOGIN,
        STEP_LOGIN_ANSWER,
        STEP_REQUEST,
        STEP_REPLY,
        STEP_DONE,
};

struct socks5_stage {
        struct stage stage;
        struct proxy_target target;
        char text[PROXY_TARGET_TEXT_MAX]; /* of the target, for messages */
        struct context *password;         /* a reference; NULL: none */
        enum step step;
        size_t length; /* of the message that is being sent; 0: not made yet */
        size_t done;   /* bytes of it sent, or of the answer received */
        uint8_t buffer[SOCKS5_LOGIN_MAX];
};

_Static_assert(SOCKS5_LOGIN_MAX >= SOCKS5_REQUEST_MAX && SOCKS5_LOGIN_MAX >= SOCKS5_REPLY_MAX, "all messages fit");

/* Every step begins with an empty buffer; one of them had a password in it. */
static int go_to(struct socks5_stage *socks, enum step step) {
        explicit_bzero(socks->buffer, sizeof(socks->buffer));
        socks->length = 0;
        socks->done = 0;
        socks->step = step;
        return 0;
}

static int fail_protocol(const struct socks5_stage *socks, struct link *link, const char *what) {
        return link_fail(link, NB__RELAY__CAUSE__CAUSE_PROXY_PROTOCOL,
                         "the proxy does not speak SOCKS5 as RFC 1928 and 1929 have it (%s, asked for %s)", what,
                         socks->text);
}

/* ---- what is sent ---- */

static const struct context_password *password_of(const struct socks5_stage *socks) {
        return socks->password ? socks->password->password : NULL;
}

/* @return how many bytes there are to send; -EINVAL for a login that cannot be */
static int write_message(struct socks5_stage *socks) {
        switch (socks->step) {
        case STEP_GREETING:
                return (int)socks5_write_greeting(password_of(socks), socks->buffer);
        case STEP_LOGIN:
                return socks5_write_login(password_of(socks), socks->buffer);
        default:
                return (int)socks5_write_request(&socks->target, socks->buffer);
        }
}

static int fail_password(struct link *link) {
        return link_fail(link, NB__RELAY__CAUSE__CAUSE_PROXY_PASSWORD,
                         "no password was sent to the proxy: the user or the password for it has a space, a control "
                         "character, or no byte at all");
}

static int send_message(struct socks5_stage *socks, struct link *link, enum step next) {
        int r = socks->length == 0 ? write_message(socks) : (int)socks->length;

        if (r < 0)
                return fail_password(link);
        socks->length = (size_t)r;
        r = exchange_send(link, socks->buffer, socks->length, &socks->done);
        if (r == -EAGAIN)
                return r;
        return r < 0 ? exchange_fail(link, NAME, socks->text, r) : go_to(socks, next);
}

/* ---- what is answered ---- */

static int receive(struct socks5_stage *socks, struct link *link, size_t wanted) {
        int r = exchange_receive(link, socks->buffer, wanted, &socks->done);

        return r < 0 && r != -EAGAIN ? exchange_fail(link, NAME, socks->text, r) : r;
}

static int receive_method(struct socks5_stage *socks, struct link *link) {
        int r = receive(socks, link, SOCKS5_METHOD_SIZE);

        if (r < 0)
                return r;
        r = socks5_read_method(socks->buffer, password_of(socks));
        if (r == -EACCES)
                return link_fail(link, NB__RELAY__CAUSE__CAUSE_PROXY_PASSWORD,
                                 password_of(socks)
                                         ? "the proxy takes neither user and password nor nothing"
                                         : "the proxy wants a user and a password, or another way to log in");
        if (r < 0)
                return fail_protocol(socks, link, "method");
        return go_to(socks, r > 0 ? STEP_LOGIN : STEP_REQUEST);
}

static int receive_login_answer(struct socks5_stage *socks, struct link *link) {
        int r = receive(socks, link, SOCKS5_LOGIN_ANSWER_SIZE);

        if (r < 0)
                return r;
        r = socks5_read_login_answer(socks->buffer);
        if (r == -EACCES)
                return link_fail(link, NB__RELAY__CAUSE__CAUSE_PROXY_PASSWORD,
                                 "the proxy does not take the user and the password");
        return r < 0 ? fail_protocol(socks, link, "login") : go_to(socks, STEP_REQUEST);
}

static int judge(const struct socks5_stage *socks, struct link *link, uint8_t code) {
        const char *words;
        Nb__Relay__Cause cause = socks5_code_cause(code, &words);

        if (cause == NB__RELAY__CAUSE__CAUSE_UNSPECIFIED)
                return 0;
        return link_fail(link, cause, "the proxy does not connect to %s: %s (%u)", socks->text, words, code);
}

static int receive_reply(struct socks5_stage *socks, struct link *link) {
        uint8_t code = 0;
        int r;

        while ((r = socks5_read_reply(socks->buffer, socks->done, &code)) > 0) {
                r = receive(socks, link, (size_t)r);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return fail_protocol(socks, link, "reply");
        r = judge(socks, link, code);
        return r < 0 ? r : go_to(socks, STEP_DONE);
}

/* ---- the stage ---- */

static int run_step(struct socks5_stage *socks, struct link *link) {
        switch (socks->step) {
        case STEP_GREETING:
                return send_message(socks, link, STEP_METHOD);
        case STEP_METHOD:
                return receive_method(socks, link);
        case STEP_LOGIN:
                return send_message(socks, link, STEP_LOGIN_ANSWER);
        case STEP_LOGIN_ANSWER:
                return receive_login_answer(socks, link);
        case STEP_REQUEST:
                return send_message(socks, link, STEP_REPLY);
        case STEP_REPLY:
                return receive_reply(socks, link);
        case STEP_DONE:
                break;
        }
        return 0;
}

static int run(struct stage *stage, struct link *link) {
        struct socks5_stage *socks = nb_container_of(stage, struct socks5_stage, stage);
        int r = 0;

        while (r == 0 && socks->step != STEP_DONE)
                r = run_step(socks, link);
        return r;
}

static void free_stage(struct stage *stage) {
        struct socks5_stage *socks = nb_container_of(stage, struct socks5_stage, stage);

        explicit_bzero(socks->buffer, sizeof(socks->buffer));
        context_unref(socks->password);
        free(socks);
}

static const struct stage_ops ops = { .name = NAME, .run = run, .free = free_stage };

struct stage *socks5_stage_new(const struct proxy_target *target, const char *text, struct context *password) {
        struct socks5_stage *socks = calloc(1, sizeof(*socks));

        if (!socks)
                return NULL;
        socks->stage.ops = &ops;
        nb_list_init(&socks->stage.in_link);
        socks->target = *target;
        /* A target that was parsed fits. */
        memcpy(socks->text, text, strnlen(text, sizeof(socks->text) - 1));
        socks->password = password;
        return &socks->stage;
}
