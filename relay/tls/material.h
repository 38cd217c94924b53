/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a file of certificates or keys: read by a descriptor of the broker's, and wiped when they are not needed any more. The process
 * keeps its memory locked and out of cores (relay/confine.h).
 */
#ifndef NB_RELAY_TLS_MATERIAL_H
#define NB_RELAY_TLS_MATERIAL_H

#include <stddef.h>
#include <stdint.h>

struct tls_material {
        uint8_t *bytes; /* owned; NULL: none */
        size_t length;
};

/**
 * Reads a file from its beginning, wherever the descriptor stands, which others share.
 * @param fd   borrowed
 * @param max  the largest size that is taken, in bytes
 * @return 0; -EFBIG; -ENOMEM; another -errno of pread(2). It is to be wiped on success only.
 */
int tls_material_read(struct tls_material *material, int fd, size_t max);

/** Wipes and frees it. Harmless on one that is all zeros. */
void tls_material_wipe(struct tls_material *material);

#define TLS_MATERIAL __attribute__((cleanup(tls_material_wipe))) struct tls_material

#endif
