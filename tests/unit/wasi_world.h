/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest without an engine: an array for a memory, a scripted broker, and an engine that writes down what it is asked.
 *
 * The memory is an allocation of its own size, so that a sanitizer sees one byte too far.
 */
#ifndef NB_TESTS_WASI_WORLD_H
#define NB_TESTS_WASI_WORLD_H

#include <stdint.h>

#include "netbroker/wasi.h"
#include "proto/wasi.h"
#include "tests/unit/scripted_broker.h"

#define WORLD_MEMORY_SIZE 65536u

/* Two directories in front of two protocols. */
#define WORLD_DIRECTORY 3
#define WORLD_PROTOCOL 5
#define WORLD_PROTOCOL_NARROW 6
#define WORLD_FIRST_FREE 7

/* Where world_call_ret() lets the function under test write. */
#define WORLD_RET 64u

/* What the engine's functions return, for tests that only want to know that they were called. */
#define WORLD_ENGINE_RESULT 75

struct world {
        struct scripted_broker broker;
        struct nb_session *session;
        struct nb_guest *guest;
        uint8_t *memory;
        size_t memory_size;
        int stdio[2];            /* the far ends of standard input and standard output */
        int guest_stdio[2];      /* the near ones */
        int engine_result;       /* what the engine returns */
        uint32_t engine_new_fd;  /* what it stores where a function yields a descriptor, when it returns 0 */
        const char *engine_last; /* the name of the function that it was last asked for, or NULL */
        uint64_t engine_arguments[NB_WASI_PARAMETERS_MAX];
        unsigned n_engine_calls;
        int n_fds_before;
};

/** @param max_descriptors  0: the default */
void world_init(struct world *world, uint32_t max_descriptors);

/** Frees all, and checks that no descriptor is left. */
void world_deinit(struct world *world);

/** Calls a function by name, with as many arguments as it has. */
#define world_call(world, name, ...)                                                                                   \
        world_call_array((world), (name), (const uint64_t[NB_WASI_PARAMETERS_MAX]){ __VA_ARGS__ })

/** Like world_call(), for a function whose last argument is WORLD_RET. Fails the test unless it succeeds. @return the number there. */
#define world_call_ret(world, name, ...)                                                                               \
        world_call_ret_array((world), (name), (const uint64_t[NB_WASI_PARAMETERS_MAX]){ __VA_ARGS__ })

int world_call_array(struct world *world, const char *name, const uint64_t *arguments);
uint32_t world_call_ret_array(struct world *world, const char *name, const uint64_t *arguments);

/** Reads and writes the memory. */
uint32_t world_get_u32(const struct world *world, uint32_t pointer);
uint64_t world_get_u64(const struct world *world, uint32_t pointer);
void world_put_u32(struct world *world, uint32_t pointer, uint32_t value);
void world_put_u64(struct world *world, uint32_t pointer, uint64_t value);

/** Puts a text where address_pointer says. @return its length */
uint32_t world_put_text(struct world *world, uint32_t pointer, const char *text);

/** Puts one iovec for `length` bytes at `buffer`. */
void world_put_iovec(struct world *world, uint32_t pointer, uint32_t buffer, uint32_t length);

/** Objects, all with full rights. @param flags  fdflags */
uint32_t world_open(struct world *world, uint32_t flags);
uint32_t world_listener(struct world *world, uint32_t flags);
uint32_t world_connection(struct world *world);
uint32_t world_stream(struct world *world, uint32_t flags);

#endif
