/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NB_RUN_MODULE_H
#define NB_RUN_MODULE_H

#include <stddef.h>
#include <stdint.h>

/** The largest module that is read, in bytes. */
#define MODULE_SIZE_MAX (512u * 1024 * 1024)

/**
 * Reads a module's file as a whole, so that it need not be opened again once the process is locked down.
 * @param ret_bytes  owned by the caller: free()
 * @return 0; -EISDIR, -ESPIPE for what is no regular file; -EFBIG over MODULE_SIZE_MAX; another -errno
 */
int module_read(const char *path, uint8_t **ret_bytes, size_t *ret_length);

/**
 * Looks at the header alone (WebAssembly core specification, section 5.5.16; component model, binary format), so that the usual
 * mistakes get a plain message.
 * @return 0 for a module; -EPROTONOSUPPORT for a component; -ENOEXEC for anything else
 */
int module_check_header(const uint8_t *bytes, size_t length);

#endif
