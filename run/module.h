/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NB_RUN_MODULE_H
#define NB_RUN_MODULE_H

#include <stddef.h>
#include <stdint.h>

/** The largest module that is read, in bytes. */
#define MODULE_SIZE_MAX (512u * 1024 * 1024)

/**
 * Looks at the header alone (WebAssembly core specification, section 5.5.16; component model, binary format), so that the usual
 * mistakes get a plain message.
 * @return 0 for a module; -EPROTONOSUPPORT for a component; -ENOEXEC for anything else
 */
int module_check_header(const uint8_t *bytes, size_t length);

#endif
