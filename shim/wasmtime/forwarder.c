/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/wasmtime/forwarder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "netbroker/wasi.h"

/* https://webassembly.github.io/spec/core/binary/ */
#define SECTION_TYPE 1
#define SECTION_IMPORT 2
#define SECTION_FUNCTION 3
#define SECTION_EXPORT 7
#define SECTION_CODE 10
#define TYPE_FUNCTION 0x60
#define TYPE_I32 0x7f
#define TYPE_I64 0x7e
#define EXTERN_FUNCTION 0
#define EXTERN_MEMORY 2
#define LIMITS_MINIMUM 0
#define LIMITS_SHARED_MAXIMUM 3
#define OPCODE_END 0x0b
#define OPCODE_CALL 0x10
#define OPCODE_LOCAL_GET 0x20

/* What a 32-bit memory can have; an import accepts every memory whose maximum is not above. */
#define PAGES_MAX 65536

static const uint8_t magic_and_version[] = { 0, 'a', 's', 'm', 1, 0, 0, 0 };

/* In the order that the format prescribes. */
static const uint8_t sections[] = { SECTION_TYPE, SECTION_IMPORT, SECTION_FUNCTION, SECTION_EXPORT, SECTION_CODE };

/* Bytes that grow. Once memory has run out, `failed` stays and nothing more is added. */
struct bytes {
        uint8_t *data;
        size_t length;
        size_t capacity;
        bool failed;
};

static void bytes_deinit(struct bytes *bytes) {
        free(bytes->data);
}

static void append(struct bytes *bytes, const void *data, size_t length) {
        if (bytes->failed || length == 0)
                return;
        if (length > bytes->capacity - bytes->length) {
                size_t capacity = 2 * bytes->capacity + length;
                uint8_t *grown = realloc(bytes->data, capacity);

                if (!grown) {
                        bytes->failed = true;
                        return;
                }
                bytes->data = grown;
                bytes->capacity = capacity;
        }
        memcpy(bytes->data + bytes->length, data, length);
        bytes->length += length;
}

static void append_byte(struct bytes *bytes, uint8_t byte) {
        append(bytes, &byte, 1);
}

/* Unsigned LEB128: seven bits a byte, the lowest first. */
static void append_number(struct bytes *bytes, size_t number) {
        while (number >= 0x80) {
                append_byte(bytes, (uint8_t)(number | 0x80));
                number >>= 7;
        }
        append_byte(bytes, (uint8_t)number);
}

/* A length and as many bytes: names, sections and function bodies. */
static void append_sized(struct bytes *bytes, const void *data, size_t length) {
        append_number(bytes, length);
        append(bytes, data, length);
}

static void append_name(struct bytes *bytes, const char *name) {
        append_sized(bytes, name, strlen(name));
}

static bool is_forwarded(size_t index) {
        return nb_wasi_function(index)->use & NB_WASI_ENGINE;
}

static size_t n_forwarded(void) {
        size_t n = 0;

        for (size_t i = 0; i < nb_wasi_n_functions(); ++i)
                n += is_forwarded(i);
        return n;
}

static void append_type(struct bytes *bytes, const struct nb_wasi_function *function) {
        append_byte(bytes, TYPE_FUNCTION);
        append_number(bytes, strlen(function->parameters));
        for (const char *p = function->parameters; *p; ++p)
                append_byte(bytes, *p == 'l' ? TYPE_I64 : TYPE_I32);
        append_number(bytes, 1);
        append_byte(bytes, TYPE_I32);
}

static void append_memory_import(struct bytes *bytes, bool shared) {
        append_name(bytes, NB_FORWARDER_GUEST_MODULE);
        append_name(bytes, "memory");
        append_byte(bytes, EXTERN_MEMORY);
        append_byte(bytes, shared ? LIMITS_SHARED_MAXIMUM : LIMITS_MINIMUM);
        append_number(bytes, 0);
        if (shared)
                append_number(bytes, PAGES_MAX);
}

/* The body of a wrapper: every parameter, and the call of the imported function, which has the same place among its kind. */
static void append_body(struct bytes *bytes, const struct nb_wasi_function *function, size_t position) {
        NB_CLEANUP(bytes_deinit) struct bytes body = { 0 };

        append_number(&body, 0); /* no locals */
        for (size_t i = 0; function->parameters[i]; ++i) {
                append_byte(&body, OPCODE_LOCAL_GET);
                append_number(&body, i);
        }
        append_byte(&body, OPCODE_CALL);
        append_number(&body, position);
        append_byte(&body, OPCODE_END);
        append_sized(bytes, body.data, body.length);
        bytes->failed |= body.failed;
}

static void append_entry(struct bytes *bytes, uint8_t section, size_t index, size_t position) {
        const struct nb_wasi_function *function = nb_wasi_function(index);

        switch (section) {
        case SECTION_TYPE:
                append_type(bytes, function);
                break;
        case SECTION_IMPORT:
                append_name(bytes, function->module);
                append_name(bytes, function->name);
                append_byte(bytes, EXTERN_FUNCTION);
                append_number(bytes, position);
                break;
        case SECTION_FUNCTION:
                append_number(bytes, position);
                break;
        case SECTION_EXPORT: /* imported functions come first in the numbering */
                append_name(bytes, function->name);
                append_byte(bytes, EXTERN_FUNCTION);
                append_number(bytes, n_forwarded() + position);
                break;
        case SECTION_CODE:
                append_body(bytes, function, position);
                break;
        }
}

/* A section is a vector with an entry for each forwarded function, and in two of them one for the memory in front. */
static void append_section(struct bytes *bytes, uint8_t section, bool shared) {
        NB_CLEANUP(bytes_deinit) struct bytes content = { 0 };
        bool has_memory = section == SECTION_IMPORT || section == SECTION_EXPORT;
        size_t position = 0;

        append_number(&content, n_forwarded() + has_memory);
        if (section == SECTION_IMPORT)
                append_memory_import(&content, shared);
        if (section == SECTION_EXPORT) {
                append_name(&content, "memory");
                append_byte(&content, EXTERN_MEMORY);
                append_number(&content, 0);
        }
        for (size_t i = 0; i < nb_wasi_n_functions(); ++i) {
                if (is_forwarded(i))
                        append_entry(&content, section, i, position++);
        }
        append_byte(bytes, section);
        append_sized(bytes, content.data, content.length);
        bytes->failed |= content.failed;
}

int nb_forwarder_encode(bool shared, uint8_t **ret, size_t *ret_length) {
        NB_CLEANUP(bytes_deinit) struct bytes bytes = { 0 };

        append(&bytes, magic_and_version, sizeof(magic_and_version));
        for (size_t i = 0; i < sizeof(sections); ++i)
                append_section(&bytes, sections[i], shared);
        if (bytes.failed)
                return -ENOMEM;
        *ret_length = bytes.length;
        *ret = nb_steal_ptr(bytes.data);
        return 0;
}
