/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/memory.h"

#include <malloc.h>
#include <stdlib.h>

#include "relay/quic/connection.h"

/* The connection itself, its handshake, what came of that out of order (the library bounds it), and room for error. */
#define OF_CONNECTION (1024u * 1024)

/* A stream itself, and a piece of what came out of order, of which the library allocates 8 KiB at once. */
#define OF_STREAM (16u * 1024)

/* What came out of order is within the window; the rest is for gaps, where there are so many that they are worth a thought. */
#define OF_WINDOW 2u

/* Of a byte under way: some hundreds for the smallest packet of 40, and those that are lost are remembered for a while. */
#define OF_BYTE_UNDER_WAY 16u

/* ---- counting ---- */

static void count(struct quic_memory *memory, size_t before, size_t now) {
        size_t charged;

        memory->held += now - before;
        charged = memory->held > QUIC_MEMORY_IDLE ? memory->held - QUIC_MEMORY_IDLE : 0;
        *memory->total += charged - memory->charged;
        memory->charged = charged;
}

static void *allocate(size_t size, void *user_data) {
        void *block = malloc(size);

        count(user_data, 0, malloc_usable_size(block));
        return block;
}

static void *allocate_zeros(size_t n, size_t size, void *user_data) {
        void *block = calloc(n, size);

        count(user_data, 0, malloc_usable_size(block));
        return block;
}

static void release(void *block, void *user_data) {
        count(user_data, malloc_usable_size(block), 0);
        free(block);
}

static void *reallocate(void *block, size_t size, void *user_data) {
        size_t before = malloc_usable_size(block);
        void *moved = realloc(block, size);

        if (moved)
                count(user_data, before, malloc_usable_size(moved));
        return moved;
}

void quic_memory_init(struct quic_memory *memory, size_t *total) {
        *memory = (struct quic_memory){
                .mem = {
                        .user_data = memory,
                        .malloc = allocate,
                        .free = release,
                        .calloc = allocate_zeros,
                        .realloc = reallocate,
                },
                .total = total,
        };
}

/* ---- judging ---- */

void quic_memory_note(struct quic_connection *connection) {
        struct quic_memory *memory = &connection->memory;
        ngtcp2_conn_info info;
        uint64_t justified;

        ngtcp2_conn_get_conn_info(connection->conn, &info);
        justified = OF_CONNECTION + OF_WINDOW * connection->settings.connection_window +
                    OF_STREAM * (uint64_t)connection->streams.n + OF_BYTE_UNDER_WAY * info.bytes_in_flight;
        if (justified > memory->justified)
                memory->justified = justified;
}

bool quic_memory_is_excessive(struct quic_connection *connection) {
        struct quic_memory *memory = &connection->memory;

        if (memory->held <= memory->justified)
                return false;
        quic_memory_note(connection);
        return memory->held > memory->justified;
}
