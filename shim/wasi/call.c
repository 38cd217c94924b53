/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/wasi/call.h"

#include <endian.h>
#include <string.h>

#include "proto/wasi.h"

void nb_call_refresh(struct nb_call *call) {
        call->memory = call->engine->memory(call->data);
}

bool nb_call_covers(const struct nb_call *call, uint32_t pointer, uint64_t length) {
        return pointer <= call->memory.size && length <= call->memory.size - pointer;
}

bool nb_call_read(const struct nb_call *call, uint32_t pointer, void *buffer, size_t length) {
        if (!nb_call_covers(call, pointer, length))
                return false;
        if (length > 0)
                memcpy(buffer, call->memory.base + pointer, length);
        return true;
}

bool nb_call_write(const struct nb_call *call, uint32_t pointer, const void *bytes, size_t length) {
        if (!nb_call_covers(call, pointer, length))
                return false;
        if (length > 0)
                memcpy(call->memory.base + pointer, bytes, length);
        return true;
}

bool nb_call_read_u32(const struct nb_call *call, uint32_t pointer, uint32_t *ret) {
        uint8_t bytes[4];

        if (!nb_call_read(call, pointer, bytes, sizeof(bytes)))
                return false;
        *ret = nb_le_u32(bytes);
        return true;
}

bool nb_call_write_u32(const struct nb_call *call, uint32_t pointer, uint32_t value) {
        uint8_t bytes[4];

        nb_le_put_u32(bytes, value);
        return nb_call_write(call, pointer, bytes, sizeof(bytes));
}

bool nb_call_write_u16(const struct nb_call *call, uint32_t pointer, uint16_t value) {
        uint8_t bytes[2];

        nb_le_put_u16(bytes, value);
        return nb_call_write(call, pointer, bytes, sizeof(bytes));
}

uint16_t nb_le_u16(const uint8_t *bytes) {
        uint16_t value;

        memcpy(&value, bytes, sizeof(value));
        return le16toh(value);
}

uint32_t nb_le_u32(const uint8_t *bytes) {
        uint32_t value;

        memcpy(&value, bytes, sizeof(value));
        return le32toh(value);
}

uint64_t nb_le_u64(const uint8_t *bytes) {
        uint64_t value;

        memcpy(&value, bytes, sizeof(value));
        return le64toh(value);
}

void nb_le_put_u16(uint8_t *bytes, uint16_t value) {
        value = htole16(value);
        memcpy(bytes, &value, sizeof(value));
}

void nb_le_put_u32(uint8_t *bytes, uint32_t value) {
        value = htole32(value);
        memcpy(bytes, &value, sizeof(value));
}

void nb_le_put_u64(uint8_t *bytes, uint64_t value) {
        value = htole64(value);
        memcpy(bytes, &value, sizeof(value));
}

int nb_call_errno(int error) {
        return (int)nb_wasi_errno_from_host(-error);
}

int nb_call_prepare(struct nb_call *call, uint32_t ret_pointer) {
        int r;

        if (!nb_call_covers(call, ret_pointer, sizeof(uint32_t)))
                return NB_WASI_EFAULT;
        r = nb_table_reserve(&call->guest->table);
        return r < 0 ? nb_call_errno(r) : NB_WASI_SUCCESS;
}

int nb_call_publish(struct nb_call *call, uint32_t ret_pointer, struct nb_descriptor *descriptor) {
        uint32_t number;
        int r;

        nb_call_refresh(call);
        if (!nb_call_covers(call, ret_pointer, sizeof(uint32_t))) {
                nb_descriptor_deinit(descriptor);
                return NB_WASI_EFAULT;
        }
        r = nb_table_add(&call->guest->table, descriptor, &number);
        if (r < 0) {
                nb_descriptor_deinit(descriptor);
                return nb_call_errno(r);
        }
        (void)nb_call_write_u32(call, ret_pointer, number); /* covered, as was just checked */
        return NB_WASI_SUCCESS;
}

int nb_call_wait(struct nb_call *call, int fd, short events) {
        int r;

        r = nb_guest_wait(call->guest, fd, events);
        nb_call_refresh(call);
        return r < 0 ? nb_call_errno(r) : NB_WASI_SUCCESS;
}
