/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forwarder: a WebAssembly module through which the host calls Wasmtime's WASI functions.
 *
 * Those look for a memory among their caller's exports, so they cannot be called from the host itself. The forwarder
 * imports the guest's memory and the functions, exports that memory under the same name, and has for each function a
 * wrapper of the same name and type that passes its parameters on. It is written here from the table of
 * functions, in the binary format of the WebAssembly specification, so that the two cannot differ.
 */
#ifndef NB_SHIM_WASMTIME_FORWARDER_H
#define NB_SHIM_WASMTIME_FORWARDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The module name under which the forwarder imports the guest's memory; its field is `memory`. */
#define NB_FORWARDER_GUEST_MODULE "netbroker_guest"

/**
 * Writes the module.
 * @param shared      whether the memory that it will import is shared
 * @param ret         owned by the caller: free()
 * @param ret_length  in bytes
 * @return 0, or -ENOMEM
 */
int nb_forwarder_encode(bool shared, uint8_t **ret, size_t *ret_length);

#endif
