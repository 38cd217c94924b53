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
#define PROTOCOL_TEXT_EXTRA 8

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

static int add_protocol(struct nb_guest *guest, struct nb_protocol *protocol, uint32_t *ret) {
        struct nb_descriptor descriptor = { .kind = NB_DESCRIPTOR_PROTOCOL, .protocol = nb_protocol_ref(protocol) };
        int r;

        nb_protocol_rights(protocol, &descriptor.rights_base, &descriptor.rights_inheriting);
        r = nb_table_add(&guest->table, &descriptor, ret);
        if (r < 0)
                nb_descriptor_deinit(&descriptor);
        return r;
}

/* Appends "name=number", with a colon between two. */
static int name_protocol(struct nb_guest *guest, const char *name, uint32_t number) {
        size_t used = guest->protocols ? strlen(guest->protocols) : 0;
        size_t size = used + strlen(name) + PROTOCOL_TEXT_EXTRA + 1;
        char *text = realloc(guest->protocols, size);

        if (!text)
                return -ENOMEM;
        guest->protocols = text;
        (void)snprintf(text + used, size - used, "%s%s=%u", used ? ":" : "", name, (unsigned)number);
        return 0;
}

static int add_protocols(struct nb_guest *guest, struct nb_session *session) {
        size_t n = session ? nb_session_n_protocols(session) : 0;

        for (size_t i = 0; i < n; ++i) {
                struct nb_protocol *protocol = nb_session_protocol(session, i);
                uint32_t number;
                int r;

                r = add_protocol(guest, protocol, &number);
                if (r < 0)
                        return r;
                r = name_protocol(guest, nb_protocol_name(protocol), number);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_all(struct nb_guest *guest, const struct nb_guest_options *options) {
        int r;

        r = add_stdio(guest, options->stdio);
        if (r < 0)
                return r;
        r = add_directories(guest, options->n_directories);
        if (r < 0)
                return r;
        return add_protocols(guest, options->session);
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
        free(guest);
        return NULL;
}

const char *nb_guest_protocols(const struct nb_guest *guest) {
        return guest->protocols ? guest->protocols : "";
}
