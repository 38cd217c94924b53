/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libnetbroker-wasmtime: guests that run under Wasmtime.
 *
 * Order of things in a host:
 *
 *     nb_session_open(&session_options, &session);
 *     nb_guest_new(&guest_options, &guest);                   n_directories = calls of wasi_config_preopen_dir()
 *     wasi_config_set_env(…, NETWORKING_PROTOCOLS = nb_guest_protocols(guest), NETWORKING_PREOPENS = nb_guest_preopens(guest), …);
 *     nb_wasmtime_new(engine, &wasmtime);                     once for an engine
 *     nb_wasmtime_check_module(module);
 *     wasmtime_linker_define_wasi(linker);
 *     nb_wasmtime_link(wasmtime, linker, guest);              consumes the guest
 *     wasmtime_linker_instantiate(linker, context, module, …);
 *     …
 *     wasmtime_store_delete(store); wasmtime_linker_delete(linker);
 *     nb_session_free(session);
 *
 * Wasmtime's own WASI functions find the guest's memory by the export `memory` of their caller. They are reached from the host by a
 * small module, the forwarder, which imports that memory and those functions, and exports the memory and a wrapper
 * for each function. It is compiled once for an engine and instantiated in the guest's store when the guest first needs it,
 * so it works in `start` functions and constructors too.
 *
 * What goes wrong in the host, and what the engine's own functions trap for, such as a bad pointer for a path, ends the guest's
 * call with a wasmtime_error_t, whose message ends in a cause that begins with "netbroker: ".
 *
 * A linker belongs to one guest, and a guest to one memory: a second instance from the same linker may only call if it exports the
 * same memory. Stores that are configured for asynchronous calls are not supported.
 *
 * Threads: a guest is used by one at a time; several may link what nb_wasmtime_new() gives, and end what they have linked.
 */
#ifndef NETBROKER_WASMTIME_H
#define NETBROKER_WASMTIME_H

#include <wasmtime.h>

#include "netbroker/wasi.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What all guests of one engine share. */
struct nb_wasmtime;

/**
 * Prepares an engine: compiles the forwarder, and has Wasmtime start what its file functions run in, one for the process. Starting
 * that takes a few descriptors for good, and Wasmtime ends the process when there are none left, so a host calls this before
 * any guest runs.
 * @param engine  borrowed; outlives `ret` and all that is linked with it
 * @param ret     owned by the caller: nb_wasmtime_free()
 * @return NULL, or an error owned by the caller
 */
NB_EXPORT wasmtime_error_t *nb_wasmtime_new(wasm_engine_t *engine, struct nb_wasmtime **ret);

/** Gives up the caller's share; linkers and stores that use it keep it alive. Takes NULL. @return NULL. */
NB_EXPORT struct nb_wasmtime *nb_wasmtime_free(struct nb_wasmtime *wasmtime);

/**
 * Whether `module` can be a guest: where it imports functions that deal in descriptors, it must export a memory named `memory`, and must
 * not import them from WASI's older snapshot (wasi_unstable), whose descriptors would be another space.
 * @return NULL, or an error that says what is wrong, owned by the caller
 */
NB_EXPORT wasmtime_error_t *nb_wasmtime_check_module(const wasmtime_module_t *module);

/**
 * Defines the guest's functions in a linker that has WASI already, in front of Wasmtime's own. The store needs its
 * wasi_config_t as always, with as many preopened directories as the guest was made with.
 * @param linker  borrowed; allows shadowing from now on
 * @param guest   consumed, also on failure: freed when the linker and the stores of its instances are gone
 * @return NULL, or an error owned by the caller
 */
NB_EXPORT wasmtime_error_t *nb_wasmtime_link(struct nb_wasmtime *wasmtime, wasmtime_linker_t *linker,
                                             struct nb_guest *guest);

#ifdef __cplusplus
}
#endif

#endif
