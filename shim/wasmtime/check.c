/* SPDX-License-Identifier: Apache-2.0 */
#include "netbroker/wasmtime.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PREVIEW0 "wasi_unstable"
#define PREVIEW1 "wasi_snapshot_preview1"

/* Longer than any name that is put into it. */
#define MESSAGE_SIZE 256

static bool equals(const wasm_name_t *name, const char *text) {
        return name->size == strlen(text) && memcmp(name->data, text, name->size) == 0;
}

/* The function of the table that an import names, or NULL. @param old  whether it is meant as the older WASI's */
static const struct nb_wasi_function *find(const wasm_importtype_t *import, bool old) {
        const wasm_name_t *import_module = wasm_importtype_module(import);

        for (size_t i = 0; i < nb_wasi_n_functions(); ++i) {
                const struct nb_wasi_function *function = nb_wasi_function(i);
                const char *module = function->module;

                if (!(function->use & NB_WASI_IMPORT) || (old && strcmp(module, PREVIEW1) != 0))
                        continue;
                if (equals(import_module, old ? PREVIEW0 : module) &&
                    equals(wasm_importtype_name(import), function->name))
                        return function;
        }
        return NULL;
}

static bool exports_memory(const wasmtime_module_t *module) {
        wasm_exporttype_vec_t exports;
        bool found = false;

        wasmtime_module_exports(module, &exports);
        for (size_t i = 0; i < exports.size && !found; ++i) {
                found = wasm_externtype_kind(wasm_exporttype_type(exports.data[i])) == WASM_EXTERN_MEMORY &&
                        equals(wasm_exporttype_name(exports.data[i]), "memory");
        }
        wasm_exporttype_vec_delete(&exports);
        return found;
}

static wasmtime_error_t *check_import(const wasm_importtype_t *import, bool has_memory) {
        const struct nb_wasi_function *function;
        char message[MESSAGE_SIZE];

        function = find(import, true);
        if (function) {
                (void)snprintf(message, sizeof(message),
                               "the module imports %s from " PREVIEW0 ", an older WASI; build it for " PREVIEW1,
                               function->name);
                return wasmtime_error_new(message);
        }
        function = find(import, false);
        if (!function || has_memory)
                return NULL;
        (void)snprintf(message, sizeof(message),
                       "the module imports %s from %s, but exports no memory named \"memory\" for it to work on",
                       function->name, function->module);
        return wasmtime_error_new(message);
}

wasmtime_error_t *nb_wasmtime_check_module(const wasmtime_module_t *module) {
        bool has_memory = exports_memory(module);
        wasmtime_error_t *error = NULL;
        wasm_importtype_vec_t imports;

        wasmtime_module_imports(module, &imports);
        for (size_t i = 0; i < imports.size && !error; ++i)
                error = check_import(imports.data[i], has_memory);
        wasm_importtype_vec_delete(&imports);
        return error;
}
