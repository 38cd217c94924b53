/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NB_SHIM_OPTIONS_H
#define NB_SHIM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Whether a structure of options that begins with its own size can be read by this library: it has all fields that are
 * known here, and those of a newer header, which are not, say nothing.
 */
static inline bool nb_options_fit(const void *options, size_t size, size_t known) {
        const uint8_t *bytes = options;

        if (size < known)
                return false;
        for (size_t i = known; i < size; ++i) {
                if (bytes[i] != 0)
                        return false;
        }
        return true;
}

#endif
