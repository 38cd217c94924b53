/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of a guest, and the only way to its memory.
 *
 * Every number in a call comes from a stranger. Memory is reached through the functions here, which check that a range lies inside,
 * with sums that cannot overflow. Base and size are asked of the engine when the call begins, and again by
 * nb_call_refresh() after whatever may have moved them: a wait, or a call of the engine. In a shared memory
 * another thread of the guest may write at any time, so what was checked is a copy: each value is read once.
 *
 * Functions return a WASI errno, or a negative number that the engine's call returned and that travels up unchanged.
 */
#ifndef NB_SHIM_WASI_CALL_H
#define NB_SHIM_WASI_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netbroker/wasi.h"
#include "shim/wasi/guest.h"

struct nb_call {
        struct nb_guest *guest;
        const struct nb_engine *engine;
        void *data;
        size_t index; /* of the function */
        const uint64_t *arguments;
        struct nb_guest_memory memory;
        uint64_t n_denials; /* nb_guest_n_denials() when it began */
};

/** An i32 argument. */
static inline uint32_t nb_call_u32(const struct nb_call *call, size_t argument) {
        return (uint32_t)call->arguments[argument];
}

/** An i64 argument. */
static inline uint64_t nb_call_u64(const struct nb_call *call, size_t argument) {
        return call->arguments[argument];
}

/** Asks the engine again where the memory is. */
void nb_call_refresh(struct nb_call *call);

/** Whether `length` bytes from `pointer` lie inside the memory. */
bool nb_call_covers(const struct nb_call *call, uint32_t pointer, uint64_t length);

/** Copies out of, or into, the memory. @return false, and nothing is copied, when the range lies outside. */
bool nb_call_read(const struct nb_call *call, uint32_t pointer, void *buffer, size_t length);
bool nb_call_write(const struct nb_call *call, uint32_t pointer, const void *bytes, size_t length);

/** The same for little-endian numbers of any alignment. */
bool nb_call_read_u32(const struct nb_call *call, uint32_t pointer, uint32_t *ret);
bool nb_call_write_u32(const struct nb_call *call, uint32_t pointer, uint32_t value);
bool nb_call_write_u16(const struct nb_call *call, uint32_t pointer, uint16_t value);

/** Little-endian numbers in a structure that is read from, or is to be written to, the memory as a whole. */
uint16_t nb_le_u16(const uint8_t *bytes);
uint32_t nb_le_u32(const uint8_t *bytes);
uint64_t nb_le_u64(const uint8_t *bytes);
void nb_le_put_u16(uint8_t *bytes, uint16_t value);
void nb_le_put_u32(uint8_t *bytes, uint32_t value);
void nb_le_put_u64(uint8_t *bytes, uint64_t value);

/** The errno for a negative host errno. */
int nb_call_errno(int error);

/**
 * Checks, before anything is done, that a new descriptor will find a number and its number a place.
 * @return `fault` for a bad pointer, `mfile` or `nomem`
 */
int nb_call_prepare(struct nb_call *call, uint32_t ret_pointer);

/**
 * Gives a new descriptor a number and stores that for the guest.
 * @param descriptor  consumed, also on failure
 */
int nb_call_publish(struct nb_call *call, uint32_t ret_pointer, struct nb_descriptor *descriptor);

/** Waits for `events` on a host descriptor and refreshes the memory. @return `success`, or the errno of an interrupted wait. */
int nb_call_wait(struct nb_call *call, int fd, short events);

#endif
