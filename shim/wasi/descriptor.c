/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/wasi/descriptor.h"

#include <string.h>

#include "proto/wasi.h"
#include "shim/wasi/functions.h"
#include "shim/wasi/stdio.h"

#define FDFLAGS_DEFINED 0x1fu /* append, dsync, nonblock, rsync, sync */

#define PREOPEN_TYPE_PROTOCOL 1

#define FDSTAT_SIZE 24
#define FILESTAT_SIZE 64
#define PRESTAT_SIZE 8

int nb_descriptor_check_flags(uint32_t flags, uint16_t *ret) {
        if (flags & ~FDFLAGS_DEFINED)
                return NB_WASI_EINVAL;
        if (flags & ~NB_NONBLOCK)
                return NB_WASI_ENOTSUP;
        *ret = (uint16_t)flags;
        return NB_WASI_SUCCESS;
}

/* struct fdstat: filetype u8, flags u16 at 2, rights_base u64 at 8, rights_inheriting u64 at 16. */
int nb_descriptor_fdstat_get(struct nb_call *call, struct nb_descriptor *descriptor) {
        uint8_t bytes[FDSTAT_SIZE] = { 0 };

        bytes[0] = descriptor->filetype;
        nb_le_put_u16(bytes + 2, descriptor->flags);
        nb_le_put_u64(bytes + 8, descriptor->rights_base);
        nb_le_put_u64(bytes + 16, descriptor->rights_inheriting);
        return nb_call_write(call, nb_call_u32(call, 1), bytes, sizeof(bytes)) ? NB_WASI_SUCCESS : NB_WASI_EFAULT;
}

int nb_descriptor_fdstat_set_flags(struct nb_call *call, struct nb_descriptor *descriptor) {
        uint16_t flags;
        int r;

        if (!(descriptor->rights_base & NB_RIGHT_FD_FDSTAT_SET_FLAGS))
                return NB_WASI_ENOTCAPABLE;
        r = nb_descriptor_check_flags(nb_call_u32(call, 1), &flags);
        if (r)
                return r;
        descriptor->flags = flags;
        if (descriptor->kind == NB_DESCRIPTOR_CONTROL)
                nb_control_set_flags(descriptor->control, flags);
        return NB_WASI_SUCCESS;
}

int nb_descriptor_fdstat_set_rights(struct nb_call *call, struct nb_descriptor *descriptor) {
        uint64_t base = nb_call_u64(call, 1);
        uint64_t inheriting = nb_call_u64(call, 2);

        if ((base & ~descriptor->rights_base) || (inheriting & ~descriptor->rights_inheriting))
                return NB_WASI_ENOTCAPABLE;
        descriptor->rights_base = base;
        descriptor->rights_inheriting = inheriting;
        return NB_WASI_SUCCESS;
}

/* struct filestat: dev and ino u64, filetype u8 at 16, nlink u64 at 24, size u64 at 32, three times. Only type and size say something here. */
int nb_descriptor_filestat_get(struct nb_call *call, struct nb_descriptor *descriptor) {
        uint8_t bytes[FILESTAT_SIZE] = { 0 };

        if (!(descriptor->rights_base & NB_RIGHT_FD_FILESTAT_GET))
                return NB_WASI_ENOTCAPABLE;
        bytes[16] = descriptor->filetype;
        if (descriptor->kind == NB_DESCRIPTOR_STDIO)
                nb_le_put_u64(bytes + 32, nb_stdio_size(descriptor));
        return nb_call_write(call, nb_call_u32(call, 1), bytes, sizeof(bytes)) ? NB_WASI_SUCCESS : NB_WASI_EFAULT;
}

/* struct prestat: the type u8, the length of the name u32 at 4. */
int nb_descriptor_prestat_get(struct nb_call *call, struct nb_descriptor *protocol) {
        uint8_t bytes[PRESTAT_SIZE] = { PREOPEN_TYPE_PROTOCOL };

        nb_le_put_u32(bytes + 4, (uint32_t)strlen(nb_protocol_name(protocol->protocol)));
        return nb_call_write(call, nb_call_u32(call, 1), bytes, sizeof(bytes)) ? NB_WASI_SUCCESS : NB_WASI_EFAULT;
}

int nb_descriptor_prestat_dir_name(struct nb_call *call, struct nb_descriptor *protocol) {
        const char *name = nb_protocol_name(protocol->protocol);
        uint32_t pointer = nb_call_u32(call, 1);
        uint32_t size = nb_call_u32(call, 2);

        if (!nb_call_covers(call, pointer, size))
                return NB_WASI_EFAULT;
        if (size < strlen(name))
                return NB_WASI_ENAMETOOLONG;
        (void)nb_call_write(call, pointer, name, strlen(name)); /* covered, as was just checked */
        return NB_WASI_SUCCESS;
}

/* Ends a descriptor that has been taken out of the table. */
static int end(struct nb_call *call, struct nb_descriptor *descriptor) {
        if (descriptor->kind == NB_DESCRIPTOR_ENGINE)
                return nb_functions_close_engine_fd(call, descriptor->engine_fd);
        nb_descriptor_deinit(descriptor);
        return NB_WASI_SUCCESS;
}

int nb_descriptor_close(struct nb_call *call) {
        struct nb_descriptor removed = nb_table_remove(&call->guest->table, nb_call_u32(call, 0));

        if (removed.kind == NB_DESCRIPTOR_FREE)
                return NB_WASI_EBADF;
        return end(call, &removed);
}

/* Both must be open, as WASI says; what was under the second number is closed, and an error of that is nobody's any more. */
int nb_descriptor_renumber(struct nb_call *call) {
        struct nb_table *table = &call->guest->table;
        uint32_t from = nb_call_u32(call, 0);
        uint32_t to = nb_call_u32(call, 1);
        struct nb_descriptor replaced;
        int r;

        if (!nb_table_get(table, from) || !nb_table_get(table, to))
                return NB_WASI_EBADF;
        if (from == to)
                return NB_WASI_SUCCESS;
        replaced = nb_table_move(table, from, to);
        r = end(call, &replaced);
        return r < 0 ? r : NB_WASI_SUCCESS;
}
