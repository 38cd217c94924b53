/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/wasi/guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "proto/wasi.h"
#include "shim/client/context.h"
#include "shim/client/wait.h"
#include "shim/options.h"
#include "shim/wasi/stdio.h"

/* '=', ':', and the digits of any number below NB_GUEST_DESCRIPTORS_MAX. */
#define NAME_TEXT_EXTRA 8

int nb_guest_wait(const struct nb_guest *guest, int fd, short events) {
        struct pollfd pollfd = { .fd = fd, .events = events };
        int r;

        r = guest->wait(guest->wait_data, &pollfd, 1, -1);
        return r < 0 ? r : 0;
}

static int add_stdio(struct nb_guest *guest, const int fds[static 3]) {
        for (uint32_t i = 0; i < 3; ++i) {
                struct nb_descriptor descriptor = { .kind = NB_DESCRIPTOR_ENGINE, .engine_fd = i };
                uint32_t number;
                int r;

                guest->stdio[i] = fds[i] >= 0;
                if (guest->stdio[i])
                        descriptor = nb_stdio_descriptor(fds[i], i == 0);
                r = nb_table_add(&guest->table, &descriptor, &number);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_directories(struct nb_guest *guest, uint32_t n) {
        for (uint32_t i = 0; i < n; ++i) {
                struct nb_descriptor descriptor = { .kind = NB_DESCRIPTOR_ENGINE, .engine_fd = 3 + i };
                uint32_t number;
                int r;

                r = nb_table_add(&guest->table, &descriptor, &number);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Appends "name=number" to a text that may be NULL, with a colon between two. */
static int append_name(char **text, const char *name, uint32_t number) {
        size_t used = *text ? strlen(*text) : 0;
        size_t size = used + strlen(name) + NAME_TEXT_EXTRA + 1;
        char *longer = realloc(*text, size);

        if (!longer)
                return -ENOMEM;
        (void)snprintf(longer + used, size - used, "%s%s=%u", used ? ":" : "", name, (unsigned)number);
        *text = longer;
        return 0;
}

/* Puts a descriptor into the table and its name into a text. The descriptor is consumed, also on failure. */
static int add_named(struct nb_guest *guest, struct nb_descriptor *descriptor, const char *name, char **text) {
        uint32_t number;
        int r;

        r = nb_table_add(&guest->table, descriptor, &number);
        if (r < 0) {
                nb_descriptor_deinit(descriptor);
                return r;
        }
        return append_name(text, name, number);
}

static int add_protocol(struct nb_guest *guest, struct nb_protocol *protocol) {
        struct nb_descriptor descriptor = { .kind = NB_DESCRIPTOR_PROTOCOL, .protocol = nb_protocol_ref(protocol) };

        nb_protocol_rights(protocol, &descriptor.rights_base, &descriptor.rights_inheriting);
        return add_named(guest, &descriptor, nb_protocol_name(protocol), &guest->protocols);
}

static int add_protocols(struct nb_guest *guest, struct nb_session *session) {
        for (size_t i = 0; i < nb_session_n_protocols(session); ++i) {
                int r = add_protocol(guest, nb_session_protocol(session, i));

                if (r < 0)
                        return r;
        }
        return 0;
}

static int take_listener(struct nb_session *session, size_t index, struct nb_descriptor *ret) {
        struct nb_control *control;
        int r;

        r = nb_preopen_take_listener(session, index, &control);
        if (r < 0)
                return r;
        *ret = (struct nb_descriptor){ .kind = NB_DESCRIPTOR_CONTROL, .control = control };
        nb_control_rights(control, &ret->rights_base, &ret->rights_inheriting);
        return 0;
}

/* The guest gets the stream; the connection lives by it. */
static int take_connection(struct nb_session *session, size_t index, uint64_t rights, struct nb_descriptor *ret) {
        struct nb_shared_connection *shared;
        struct nb_connection *connection;
        struct nb_stream stream;
        int r;

        r = nb_preopen_take_connection(session, index, &connection);
        if (r < 0)
                return r;
        shared = nb_shared_connection_new(connection);
        if (!shared) {
                nb_connection_free(connection);
                return -ENOMEM;
        }
        r = nb_stream_create(connection, 0, &stream);
        if (r < 0) {
                nb_shared_connection_unref(shared);
                return r;
        }
        shared->stream_fd = stream.fd;
        *ret = (struct nb_descriptor){
                .kind = NB_DESCRIPTOR_STREAM,
                .rights_base = rights & NB_RIGHTS_STREAM,
                .rights_inheriting = rights & NB_RIGHTS_STREAM,
                .host_fd = stream.fd,
                .connection = shared,
        };
        return 0;
}

static int add_preopen(struct nb_guest *guest, struct nb_session *session, size_t index) {
        const struct nb_preopen *preopen = nb_session_preopen(session, index);
        struct nb_descriptor descriptor;
        int r;

        if (preopen->kind == NB_PREOPEN_LISTENER)
                r = take_listener(session, index, &descriptor);
        else
                r = take_connection(session, index, preopen->rights_inheriting, &descriptor);
        if (r < 0)
                return r;
        descriptor.filetype = (uint8_t)preopen->type;
        descriptor.flags = preopen->flags & NB_NONBLOCK;
        return add_named(guest, &descriptor, preopen->name, &guest->preopens);
}

/* All are started before the first is taken: what fails then is still there for the next guest. */
static int add_preopens(struct nb_guest *guest, struct nb_session *session) {
        int r;

        r = nb_session_start_preopens(session, NULL);
        if (r < 0)
                return r;
        for (size_t i = 0; i < nb_session_n_preopens(session); ++i) {
                r = add_preopen(guest, session, i);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Judged before anything is taken. */
static bool fits(const struct nb_guest *guest, const struct nb_guest_options *options) {
        uint64_t n = 3 + (uint64_t)options->n_directories;

        if (options->session)
                n += nb_session_n_protocols(options->session);
        if (options->session && !options->no_preopens)
                n += nb_session_n_preopens(options->session);
        return n <= guest->table.limit;
}

static int add_all(struct nb_guest *guest, const struct nb_guest_options *options) {
        int r;

        if (!fits(guest, options))
                return -EMFILE;
        r = add_stdio(guest, options->stdio);
        if (r < 0)
                return r;
        r = add_directories(guest, options->n_directories);
        if (r < 0 || !options->session)
                return r;
        r = add_protocols(guest, options->session);
        if (r < 0 || options->no_preopens)
                return r;
        return add_preopens(guest, options->session);
}

/* A guest's descriptors may each hold one of the host's, which needs some for itself: three quarters of what there are, less a reserve. */
static uint32_t default_limit(void) {
        uint32_t available = (uint32_t)nb_fd_limit();
        uint32_t share = available / 4 * 3;

        return share < NB_GUEST_DESCRIPTORS_DEFAULT ? share : NB_GUEST_DESCRIPTORS_DEFAULT;
}

int nb_guest_new(const struct nb_guest_options *options, struct nb_guest **ret) {
        const struct nb_guest_options defaults = NB_GUEST_OPTIONS_INIT;
        struct nb_guest *guest;
        uint32_t limit;
        int r;

        if (!options)
                options = &defaults;
        if (!nb_options_fit(options, options->size, sizeof(*options)) ||
            options->max_descriptors > NB_GUEST_DESCRIPTORS_MAX)
                return -EINVAL;
        guest = calloc(1, sizeof(*guest));
        if (!guest)
                return -ENOMEM;
        limit = options->max_descriptors ? options->max_descriptors : default_limit();
        nb_table_init(&guest->table, limit);
        guest->session = options->session;
        guest->wait = options->wait ? options->wait : nb_wait_ppoll;
        guest->wait_data = options->wait_data;
        r = add_all(guest, options);
        if (r < 0) {
                nb_guest_free(guest);
                return r;
        }
        *ret = guest;
        return 0;
}

struct nb_guest *nb_guest_free(struct nb_guest *guest) {
        if (!guest)
                return NULL;
        nb_table_deinit(&guest->table);
        free(guest->protocols);
        free(guest->preopens);
        free(guest->gather);
        free(guest);
        return NULL;
}

const char *nb_guest_protocols(const struct nb_guest *guest) {
        return guest->protocols ? guest->protocols : "";
}

const char *nb_guest_preopens(const struct nb_guest *guest) {
        return guest->preopens ? guest->preopens : "";
}

uint8_t *nb_guest_gather_buffer(struct nb_guest *guest) {
        if (!guest->gather)
                guest->gather = malloc(NB_GUEST_GATHER_SIZE);
        return guest->gather;
}

uint64_t nb_guest_n_denials(const struct nb_guest *guest) {
        return guest->session ? nb_session_context(guest->session)->n_denials : 0;
}

void nb_guest_keep_denial(struct nb_guest *guest, uint64_t n_before) {
        const char *denial;

        if (nb_guest_n_denials(guest) == n_before)
                return;
        denial = nb_session_last_denial(guest->session);
        memcpy(guest->denial, denial, strlen(denial) + 1);
}
