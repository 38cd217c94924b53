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

/* Where world_call_ret() lets the function under test write, and where the functions below put one iovec, texts and bytes. */
#define WORLD_RET 64u
#define WORLD_IOVEC 128u
#define WORLD_TEXT 512u
#define WORLD_BUFFER 4096u
#define WORLD_SUBSCRIPTIONS 8192u
#define WORLD_EVENTS 24576u

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
        uint8_t engine_filetype; /* what its files are, when it returns 0, */
        uint64_t engine_size;    /* how long, */
        uint64_t engine_tell;    /* and where in them it is */
        const char *engine_last; /* the name of the function that it was last asked for, or NULL */
        uint64_t engine_arguments[NB_WASI_PARAMETERS_MAX];
        unsigned n_engine_calls;
        int n_fds_before;
};

struct world_options {
        uint32_t max_descriptors; /* 0: the default */
        Nb__Preopen **preopens;   /* borrowed; NULL: none */
        size_t n_preopens;
        void (*make_stream)(int ret[static 2]); /* as in the scripted broker */
};

/** @param max_descriptors  0: the default */
void world_init(struct world *world, uint32_t max_descriptors);
void world_init_with(struct world *world, const struct world_options *options);

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

/** What a guest's descriptors can be. */
enum world_kind {
        WORLD_KIND_STDIN,
        WORLD_KIND_ENGINE,
        WORLD_KIND_PROTOCOL,
        WORLD_KIND_CONTROL,
        WORLD_KIND_CONNECTION,
        WORLD_KIND_STREAM,
        WORLD_N_KINDS,
};

/** @return a descriptor of that kind with all the rights that it can have: a new one, nonblocking, where a guest can make one */
uint32_t world_make(struct world *world, enum world_kind kind);

/** Says what happens in the next wait; its argument is the world. NULL: nothing. */
void world_on_wait(struct world *world, void (*function)(void *world));

/** What a wait can bring: the memory is elsewhere, and larger. What was there before is no longer readable. */
void world_move_memory(struct world *world);

/** The far end of the last stream writes a text. */
void world_peer_writes(struct world *world, const char *text);

/** Calls with one part at WORLD_BUFFER, or an address. The result is at WORLD_RET, the flags of what was received behind it. */
int world_connect(struct world *world, uint32_t control, const char *address);
int world_read(struct world *world, uint32_t fd, uint32_t length);
int world_write(struct world *world, uint32_t fd, uint32_t length);
int world_receive(struct world *world, uint32_t stream, uint32_t length, uint32_t riflags);

/** @return the flags of the last world_receive(). */
uint16_t world_received_flags(const struct world *world);

/** Fails the test unless the last call moved just this, to or from WORLD_BUFFER. */
void world_expect_bytes(const struct world *world, const char *text);

/** Tags of subscriptions and types of events. */
#define WORLD_CLOCK 0
#define WORLD_FD_READ 1
#define WORLD_FD_WRITE 2

struct world_event {
        uint64_t userdata;
        uint16_t error;
        uint8_t type;
        uint64_t nbytes;
        uint16_t flags;
};

/** Puts the subscription number `index`, whose userdata is 1000 + `index`. */
void world_subscribe(struct world *world, uint32_t index, uint8_t type, uint32_t fd);
void world_subscribe_clock(struct world *world, uint32_t index, uint32_t clock, uint64_t timeout, uint16_t flags);

/** Polls the first `n` subscriptions. @return the number of events */
uint32_t world_poll(struct world *world, uint32_t n);

/** @return whether one descriptor is ready now: 1 or 0. If so, it is the event number 0. */
uint32_t world_poll_one(struct world *world, uint8_t type, uint32_t fd);

struct world_event world_event(const struct world *world, uint32_t index);

/** A stream of datagrams, over what make_stream() makes. */
uint32_t world_datagrams(struct world *world, uint32_t flags);

#endif
