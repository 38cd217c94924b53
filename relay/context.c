/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/context.h"

#include <errno.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "relay/relay.h"
#include "relay/tls/session_cache.h"
#include "relay/tls/tls.h"
#include "relay/calls.h"

/* `user:password`, a newline, and a byte to see that there is more. */
#define PASSWORD_FILE_MAX (255 + 1 + 255 + 2)

#define REASON_MAX 256

/* ---- passwords ---- */

/* A page of its own, which is not swapped out where the limits let it, and is in no core. */
static struct context_password *password_new(void) {
        struct context_password *password =
                mmap(NULL, sizeof(*password), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (password == MAP_FAILED)
                return NULL;
        (void)mlock(password, sizeof(*password));
        (void)madvise(password, sizeof(*password), MADV_DONTDUMP);
        return password;
}

static struct context_password *password_free(struct context_password *password) {
        if (password) {
                explicit_bzero(password, sizeof(*password));
                (void)munmap(password, sizeof(*password));
        }
        return NULL;
}

static ssize_t read_file(int fd, char *buffer, size_t size) {
        ssize_t n;

        do
                n = pread(fd, buffer, size, 0);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

/* Both would end a line, or a text, elsewhere than here. */
/* Blanks among them: no proxy gets a user or a password that could be read as two words (relay/proxy/target.h). */
static bool has_control_characters(const char *text, size_t length) {
        for (size_t i = 0; i < length; ++i) {
                if ((unsigned char)text[i] <= 0x20 || text[i] == 0x7f)
                        return true;
        }
        return false;
}

/* @return NULL, or why not */
static const char *parse_password(const char *text, size_t length, struct context_password *ret) {
        const char *colon;
        size_t user_length, password_length;

        if (length == PASSWORD_FILE_MAX)
                return "it is longer than 255 bytes for the user and 255 for the password; write `user:password` in "
                       "one line";
        if (length > 0 && text[length - 1] == '\n')
                length--;
        colon = memchr(text, ':', length);
        if (!colon)
                return "it holds no colon; write `user:password` in one line";
        if (has_control_characters(text, length))
                return "it holds a blank, a control character or a second line; write `user:password` in one line";
        user_length = (size_t)(colon - text);
        password_length = length - user_length - 1;
        if (user_length == 0 || user_length > 255 || password_length == 0 || password_length > 255)
                return "the user and the password must have 1 to 255 bytes each; write `user:password` in one line";
        memcpy(ret->user, text, user_length);
        memcpy(ret->password, colon + 1, password_length);
        return NULL;
}

/* @return NULL, or why not */
static const char *load_password(struct context *context, int fd) {
        char text[PASSWORD_FILE_MAX];
        const char *why;
        ssize_t n;

        context->password = password_new();
        if (!context->password)
                return "there is no memory for it";
        n = read_file(fd, text, sizeof(text));
        why = n < 0 ? "it cannot be read" : parse_password(text, (size_t)n, context->password);
        explicit_bzero(text, sizeof(text));
        return why;
}

/* ---- reports ---- */

static void report_unusable(struct relay *relay, uint32_t id, const char *file, const char *reason) {
        Nb__Relay__Unusable unusable = NB__RELAY__UNUSABLE__INIT;
        Nb__Relay__Report report = NB__RELAY__REPORT__INIT;

        unusable.context = id;
        unusable.file = (char *)(file ? file : "");
        unusable.reason = (char *)reason;
        report.body_case = NB__RELAY__REPORT__BODY_UNUSABLE;
        report.unusable = &unusable;
        relay_report(relay, &report);
}

static void free_text(char *text) {
        if (text != protobuf_c_empty_string)
                free(text);
}

static void free_certificates(Nb__Relay__Loaded *loaded) {
        for (size_t i = 0; i < loaded->n_certificates; ++i) {
                free_text(loaded->certificates[i]->file);
                free_text(loaded->certificates[i]->name);
                free(loaded->certificates[i]);
        }
        free(loaded->certificates);
}

static void report_loaded(struct relay *relay, const struct context *context) {
        Nb__Relay__Loaded loaded = NB__RELAY__LOADED__INIT;
        Nb__Relay__Report report = NB__RELAY__REPORT__INIT;

        loaded.context = context->id;
        if (context->tls && tls_credentials_describe(context->tls, &loaded) < 0)
                relay_give_up(relay, "there is no memory for what the broker must be told");
        report.body_case = NB__RELAY__REPORT__BODY_LOADED;
        report.loaded = &loaded;
        relay_report(relay, &report);
        free_certificates(&loaded);
}

/* ---- contexts ---- */

static struct context *context_new(uint32_t id) {
        struct context *context = calloc(1, sizeof(*context));

        if (!context)
                return NULL;
        context->id = id;
        context->n_refs = 1;
        nb_list_init(&context->in_relay);
        return context;
}

static bool is_password(const Nb__Relay__Context *order) {
        return order->n_files == 1 && order->files[0]->kind == NB__RELAY__FILE_KIND__FILE_KIND_PASSWORD;
}

/* @return whether it could be loaded; otherwise `reason` says why not, and `ret_file` of which file */
static bool load(struct context *context, const Nb__Relay__Context *order, const int *fds, const char **ret_file,
                 char reason[static REASON_MAX]) {
        if (is_password(order)) {
                const char *why = load_password(context, fds[0]);

                *ret_file = order->files[0]->name;
                if (why)
                        (void)snprintf(reason, REASON_MAX, "%s", why);
                return !why;
        }
        context->tls = tls_credentials_new(order, fds, ret_file, reason, REASON_MAX);
        return context->tls != NULL;
}

void context_load(struct relay *relay, const Nb__Relay__Context *order, const int *fds) {
        struct context *context = context_new(order->id);
        char reason[REASON_MAX] = "there is no memory for it";
        const char *file = NULL;

        if (!context || !load(context, order, fds, &file, reason)) {
                (void)context_unref(context);
                report_unusable(relay, order->id, file, reason);
                return;
        }
        nb_list_append(&relay->contexts, &context->in_relay);
        report_loaded(relay, context);
}

struct context *context_find(const struct relay *relay, uint32_t id) {
        for (struct nb_list *element = relay->contexts.next; element != &relay->contexts; element = element->next) {
                struct context *context = nb_container_of(element, struct context, in_relay);

                if (context->id == id)
                        return context;
        }
        return NULL;
}

struct context *context_ref(struct context *context) {
        context->n_refs++;
        return context;
}

struct context *context_unref(struct context *context) {
        if (!context || --context->n_refs > 0)
                return NULL;
        (void)tls_credentials_free(context->tls);
        (void)password_free(context->password);
        free(context);
        return NULL;
}

void context_drop(struct relay *relay, uint32_t id) {
        struct context *context = context_find(relay, id);

        if (!context)
                return;
        nb_list_remove(&context->in_relay);
        session_cache_drop(relay->sessions, id);
        (void)context_unref(context);
}

void context_drop_all(struct relay *relay) {
        nb_list_foreach_safe(element, &relay->contexts) {
                nb_list_remove(element);
                (void)context_unref(nb_container_of(element, struct context, in_relay));
        }
}

static const struct confine_call calls[] = {
        CONFINE_CALL(pread64, "files of keys and passwords"),
        CONFINE_CALL(fstat, "their size"),
        CONFINE_CALL(newfstatat, "their size, for a C library that has no fstat"),
};
const struct confine_list context_calls = CONFINE_LIST(calls);
