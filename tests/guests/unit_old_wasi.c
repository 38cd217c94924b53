/* SPDX-License-Identifier: Apache-2.0 */
/* unit_old_wasi: imports a descriptor's function from the snapshot before preview 1 (build: freestanding); it is never run. */
#include <stdint.h>

__attribute__((import_module("wasi_unstable"), import_name("fd_close"))) int32_t fd_close(int32_t fd);
__attribute__((export_name("close"))) int32_t close(int32_t fd);

int32_t close(int32_t fd) {
        return fd_close(fd);
}
