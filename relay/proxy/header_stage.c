/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PROXY headers as stages (relay/proxy/proxy.h). The reader reads the header and nothing behind it, so that the socket can go to the guest
 * afterwards where nothing else is in the way.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "relay/link.h"
#include "relay/proxy/exchange.h"
#include "relay/proxy/header.h"
#include "relay/proxy/proxy.h"
#include "relay/stage.h"

#define NAME "PROXY header"

/* ---- the reader ---- */

/* Enough for a header without TLVs. */
#define FIRST_SIZE 256

_Static_assert(FIRST_SIZE >= PROXY_HEADER_V1_MAX, "version 1 fits at once");

struct reader {
        struct stage stage;
        bool announced;
        uint8_t *buffer; /* owned */
        size_t size;
        size_t length;
};

static int make_room(struct reader *reader, size_t wanted) {
        uint8_t *larger;

        if (wanted <= reader->size)
                return 0;
        larger = realloc(reader->buffer, wanted);
        if (!larger)
                return -ENOMEM;
        reader->buffer = larger;
        reader->size = wanted;
        return 0;
}

/* Until the header is whole. */
static int receive_header(struct reader *reader, struct link *link, struct proxy_header *ret) {
        const char *complaint = NULL;
        int r;

        while ((r = proxy_header_read(reader->buffer, reader->length, ret, &complaint)) > 0) {
                size_t wanted = (size_t)r;

                r = make_room(reader, wanted);
                if (r == 0)
                        r = exchange_receive(link, reader->buffer, wanted, &reader->length);
                if (r == -EAGAIN)
                        return r;
                if (r == -ENODATA)
                        return link_fail(link, NB__RELAY__CAUSE__CAUSE_HEADER,
                                         "the peer closed the connection before its PROXY header was whole");
                if (r < 0)
                        return link_fail_io(link, NAME, r);
        }
        if (r < 0)
                return link_fail(link, NB__RELAY__CAUSE__CAUSE_HEADER,
                                 "what the peer sent first is no PROXY header: %s", complaint);
        return 0;
}

static int announce(struct link *link, const struct proxy_header *header) {
        char source[NB_ADDRESS_TEXT_MAX], destination[NB_ADDRESS_TEXT_MAX];

        if (!header->has_addresses)
                return link_announce(link, "", "");
        return link_announce(link, nb_address_format(&header->source, source),
                             nb_address_format(&header->destination, destination));
}

static int run_reader(struct stage *stage, struct link *link) {
        struct reader *reader = nb_container_of(stage, struct reader, stage);
        struct proxy_header header;
        int r;

        /* Once it was judged, nothing is left to do. */
        if (reader->announced)
                return link->state == LINK_ANNOUNCED ? -EAGAIN : 0;
        r = receive_header(reader, link, &header);
        if (r < 0)
                return r;
        reader->announced = true;
        return announce(link, &header);
}

static void free_reader(struct stage *stage) {
        struct reader *reader = nb_container_of(stage, struct reader, stage);

        free(reader->buffer);
        free(reader);
}

static const struct stage_ops reader_ops = { .name = NAME, .run = run_reader, .free = free_reader };

struct stage *header_stage_new_reader(void) {
        struct reader *reader = calloc(1, sizeof(*reader));

        if (!reader)
                return NULL;
        reader->stage.ops = &reader_ops;
        nb_list_init(&reader->stage.in_link);
        reader->size = FIRST_SIZE;
        reader->buffer = malloc(reader->size);
        if (!reader->buffer) {
                free_reader(&reader->stage);
                return NULL;
        }
        return &reader->stage;
}

/* ---- the writer ---- */

struct writer {
        struct stage stage;
        uint8_t buffer[PROXY_HEADER_WRITTEN_MAX];
        size_t length;
        size_t sent;
};

static int run_writer(struct stage *stage, struct link *link) {
        struct writer *writer = nb_container_of(stage, struct writer, stage);
        int r = exchange_send(link, writer->buffer, writer->length, &writer->sent);

        return r < 0 && r != -EAGAIN ? link_fail_io(link, NAME, r) : r;
}

static void free_writer(struct stage *stage) {
        free(nb_container_of(stage, struct writer, stage));
}

static const struct stage_ops writer_ops = { .name = NAME, .run = run_writer, .free = free_writer };

/* Two addresses of one family; none where one is not known, or a proxy on the way is of the other family. */
static int parse_addresses(const char *source, const char *destination, struct proxy_header *ret) {
        struct proxy_header header = { .has_addresses = true };

        *ret = (struct proxy_header){ 0 };
        if (source[0] == '\0' || destination[0] == '\0')
                return 0;
        if (nb_address_parse(source, strlen(source), &header.source) < 0 ||
            nb_address_parse(destination, strlen(destination), &header.destination) < 0)
                return -EINVAL;
        if (header.source.ip.family == header.destination.ip.family)
                *ret = header;
        return 0;
}

struct stage *header_stage_new_writer(Nb__Relay__ProxyHeader version, const char *source, const char *destination) {
        struct proxy_header header;
        struct writer *writer;
        int r = parse_addresses(source, destination, &header);

        if (r < 0) {
                errno = -r;
                return NULL;
        }
        writer = calloc(1, sizeof(*writer));
        if (!writer)
                return NULL;
        writer->stage.ops = &writer_ops;
        nb_list_init(&writer->stage.in_link);
        r = proxy_header_write(version == NB__RELAY__PROXY_HEADER__PROXY_HEADER_V1 ? 1 : 2, &header, writer->buffer);
        if (r < 0) {
                free_writer(&writer->stage);
                errno = -r;
                return NULL;
        }
        writer->length = (size_t)r;
        return &writer->stage;
}
