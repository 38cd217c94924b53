/* SPDX-License-Identifier: Apache-2.0 */
#include "netbroker/wasmtime.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim/wasmtime/forwarder.h"

/* What engine->call() returns when the engine trapped; the trap is in the activation. */
#define TRAPPED (-ECANCELED)

/* Only when the forwarder has a function that Wasmtime has not. */
#define ERRNO_NOTSUP 58

#define MEMORY_NAME "memory"

#define PREVIEW0 "wasi_unstable"
#define PREVIEW1 "wasi_snapshot_preview1"

/* A function of two i32 that Wasmtime serves in its runtime. */
#define WARM_UP_FUNCTION "fd_filestat_get"

/* What Wasmtime writes in front of an error's cause. */
#define CAUSE "Caused by:"

/* More than the messages that Wasmtime has for what can go wrong here; a longer one is cut. */
#define MESSAGE_SIZE 2048

struct nb_wasmtime {
        atomic_uint n_references; /* guests of one engine may run and end on several threads */
        wasm_engine_t *engine;    /* borrowed */
        wasmtime_module_t *plain; /* owned: the forwarder for memories of one thread */
        pthread_mutex_t lock;
        wasmtime_module_t *
                shared; /* owned, under the lock: for shared memories, which few guests have; NULL until one needs it */
};

struct link;

/* What Wasmtime gives back with each call of one function. */
struct import {
        struct link *link;
        size_t index; /* of the table */
        const char *parameters;
};

/*
 * A guest in a linker. Each definition in the linker holds a reference, which Wasmtime gives back through the finalizer when the linker
 * and the stores that use the definition are gone.
 */
struct link {
        atomic_uint n_references;     /* a linker and a store may end on two threads */
        struct nb_wasmtime *wasmtime; /* one reference */
        struct nb_guest *guest;       /* owned */
        wasmtime_linker_t
                *original; /* owned: has Wasmtime's own WASI functions, not ours; NULL once the forwarder is there */
        wasmtime_context_t *context; /* borrowed: the store of the guest; NULL until its first call */
        wasmtime_extern_t memory;    /* the guest's; not owned, only compared */
        const uint8_t *shared_base;  /* of a shared memory, which never moves and has no other identity */
        wasmtime_func_t *forwarders; /* owned: by index of the table */
        struct import imports[];
};

/* One call of the guest, while it lasts. */
struct activation {
        struct link *link;
        wasmtime_context_t *context; /* borrowed */
        wasmtime_extern_t memory;    /* owned */
        wasm_trap_t *trap;           /* owned: why the guest is to be unwound */
};

/* ---- what guests share ---- */

/* Calls a file function from the host. There is no memory for the result: it enters the runtime, and fails there. */
static wasmtime_error_t *enter_runtime(const wasmtime_linker_t *linker, wasmtime_context_t *context) {
        wasmtime_val_raw_t values[2] = { 0 };
        wasmtime_error_t *expected;
        wasm_trap_t *trap = NULL;
        wasmtime_extern_t item;

        if (!wasmtime_linker_get(linker, context, PREVIEW1, strlen(PREVIEW1), WARM_UP_FUNCTION,
                                 strlen(WARM_UP_FUNCTION), &item))
                return wasmtime_error_new("Wasmtime has no " WARM_UP_FUNCTION);
        expected = wasmtime_func_call_unchecked(context, &item.of.func, values, 2, &trap);
        if (expected)
                wasmtime_error_delete(expected);
        if (trap)
                wasm_trap_delete(trap);
        wasmtime_extern_delete(&item);
        return NULL;
}

/*
 * Wasmtime starts a runtime, one for the process, at the first call of a file function, and ends the process when it cannot: it
 * needs descriptors. So that call is made here, before a guest may have taken them all.
 */
static wasmtime_error_t *warm_up(wasm_engine_t *engine) {
        wasmtime_linker_t *linker = wasmtime_linker_new(engine);
        wasmtime_store_t *store = wasmtime_store_new(engine, NULL, NULL);
        wasmtime_context_t *context = wasmtime_store_context(store);
        wasmtime_error_t *error;

        error = wasmtime_linker_define_wasi(linker);
        if (!error)
                error = wasmtime_context_set_wasi(context, wasi_config_new());
        if (!error)
                error = enter_runtime(linker, context);
        wasmtime_store_delete(store);
        wasmtime_linker_delete(linker);
        return error;
}

static wasmtime_error_t *compile(wasm_engine_t *engine, bool shared, wasmtime_module_t **ret) {
        wasmtime_error_t *error;
        uint8_t *bytes;
        size_t length;

        if (nb_forwarder_encode(shared, &bytes, &length) < 0)
                return wasmtime_error_new("out of memory");
        error = wasmtime_module_new(engine, bytes, length, ret);
        free(bytes);
        return error;
}

wasmtime_error_t *nb_wasmtime_new(wasm_engine_t *engine, struct nb_wasmtime **ret) {
        struct nb_wasmtime *wasmtime = calloc(1, sizeof(*wasmtime));
        wasmtime_error_t *error;

        if (!wasmtime)
                return wasmtime_error_new("out of memory");
        atomic_init(&wasmtime->n_references, 1);
        (void)pthread_mutex_init(&wasmtime->lock, NULL); /* never fails with default attributes */
        wasmtime->engine = engine;
        error = warm_up(engine);
        if (!error)
                error = compile(engine, false, &wasmtime->plain);
        if (error) {
                nb_wasmtime_free(wasmtime);
                return error;
        }
        *ret = wasmtime;
        return NULL;
}

struct nb_wasmtime *nb_wasmtime_free(struct nb_wasmtime *wasmtime) {
        if (!wasmtime || atomic_fetch_sub(&wasmtime->n_references, 1) > 1)
                return NULL;
        if (wasmtime->plain)
                wasmtime_module_delete(wasmtime->plain);
        if (wasmtime->shared)
                wasmtime_module_delete(wasmtime->shared);
        (void)pthread_mutex_destroy(&wasmtime->lock);
        free(wasmtime);
        return NULL;
}

/* @param ret  borrowed from `wasmtime` */
static wasmtime_error_t *find_forwarder(struct nb_wasmtime *wasmtime, bool shared, const wasmtime_module_t **ret) {
        wasmtime_module_t *module = NULL;
        wasmtime_error_t *error = NULL;

        if (!shared) {
                *ret = wasmtime->plain;
                return NULL;
        }
        (void)pthread_mutex_lock(&wasmtime->lock);
        if (!wasmtime->shared) {
                error = compile(wasmtime->engine, true, &module);
                /* Written here, and not by Wasmtime, so that ThreadSanitizer sees it. */
                wasmtime->shared = module;
        }
        *ret = wasmtime->shared;
        (void)pthread_mutex_unlock(&wasmtime->lock);
        return error;
}

/* ---- from the host to Wasmtime's functions ---- */

static wasm_trap_t *trap_new(const char *message) {
        return wasmtime_trap_new(message, strlen(message));
}

/* Wasmtime's messages have a backtrace, and at their end the cause, which is what is wanted: the caller's backtrace comes by itself. */
static const char *cause_of(const char *message) {
        const char *cause = message;

        for (const char *next = strstr(message, CAUSE); next; next = strstr(next, CAUSE)) {
                next += strlen(CAUSE);
                cause = next;
        }
        return cause + strspn(cause, " \n");
}

/* Consumes the error. @param what  failed */
static wasm_trap_t *trap_from_error(wasmtime_error_t *error, const char *what) {
        char whole[MESSAGE_SIZE];
        char text[MESSAGE_SIZE + 64];
        wasm_name_t message;

        wasmtime_error_message(error, &message);
        (void)snprintf(whole, sizeof(whole), "%.*s", (int)message.size, message.data);
        wasm_name_delete(&message);
        wasmtime_error_delete(error);
        (void)snprintf(text, sizeof(text), "netbroker: %s: %s", what, cause_of(whole));
        return trap_new(text);
}

/* Whether the guest is bound to the memory of this call. Wasmtime has no function for it; these are all that its handles consist of. */
static bool is_bound_to(const struct link *link, const wasmtime_extern_t *memory) {
        if (link->memory.kind != memory->kind)
                return false;
        if (memory->kind == WASMTIME_EXTERN_SHAREDMEMORY)
                return link->shared_base == wasmtime_sharedmemory_data(memory->of.sharedmemory);
        return link->memory.of.memory.store_id == memory->of.memory.store_id &&
               link->memory.of.memory.__private1 == memory->of.memory.__private1 &&
               link->memory.of.memory.__private2 == memory->of.memory.__private2;
}

static wasm_trap_t *instantiate(struct activation *activation, wasmtime_instance_t *ret) {
        struct link *link = activation->link;
        bool shared = activation->memory.kind == WASMTIME_EXTERN_SHAREDMEMORY;
        const wasmtime_module_t *module;
        wasm_trap_t *trap = NULL;
        wasmtime_error_t *error;

        error = find_forwarder(link->wasmtime, shared, &module);
        if (error)
                return trap_from_error(error, "the forwarder");
        error = wasmtime_linker_define(link->original, activation->context, NB_FORWARDER_GUEST_MODULE,
                                       strlen(NB_FORWARDER_GUEST_MODULE), MEMORY_NAME, strlen(MEMORY_NAME),
                                       &activation->memory);
        if (error)
                return trap_from_error(error, "the forwarder");
        error = wasmtime_linker_instantiate(link->original, activation->context, module, ret, &trap);
        return error ? trap_from_error(error, "the forwarder") : trap;
}

static wasm_trap_t *make_forwarder(struct activation *activation) {
        struct link *link = activation->link;
        wasmtime_instance_t instance;
        wasm_trap_t *trap;

        trap = instantiate(activation, &instance);
        if (trap)
                return trap;
        for (size_t i = 0; i < nb_wasi_n_functions(); ++i) {
                const struct nb_wasi_function *function = nb_wasi_function(i);
                wasmtime_extern_t item;

                if (!(function->use & NB_WASI_ENGINE))
                        continue;
                if (!wasmtime_instance_export_get(activation->context, &instance, function->name,
                                                  strlen(function->name), &item))
                        return trap_new("netbroker: the forwarder lacks a function");
                link->forwarders[i] = item.of.func;
        }
        wasmtime_linker_delete(link->original);
        link->original = NULL;
        return NULL;
}

/* The first call of any function says whose guest this is: its store and its memory. Nobody else may call then. */
static wasm_trap_t *bind_guest(const struct activation *activation) {
        struct link *link = activation->link;

        if (!link->context) {
                link->context = activation->context;
                link->memory = activation->memory;
                if (activation->memory.kind == WASMTIME_EXTERN_SHAREDMEMORY)
                        link->shared_base = wasmtime_sharedmemory_data(activation->memory.of.sharedmemory);
                return NULL;
        }
        if (link->context != activation->context || !is_bound_to(link, &activation->memory))
                return trap_new("netbroker: a linker belongs to one guest, with one store and one memory");
        return NULL;
}

static int call_engine(void *data, size_t index, const uint64_t *arguments) {
        struct activation *activation = data;
        const struct nb_wasi_function *function = nb_wasi_function(index);
        wasmtime_val_raw_t values[NB_WASI_PARAMETERS_MAX] = { 0 };
        wasmtime_error_t *error;
        size_t n;

        if (!function || !(function->use & NB_WASI_ENGINE))
                return ERRNO_NOTSUP;
        if (activation->link->original)
                activation->trap = make_forwarder(activation);
        if (activation->trap)
                return TRAPPED;
        for (n = 0; function->parameters[n]; ++n) {
                if (function->parameters[n] == 'l')
                        values[n].i64 = (int64_t)htole64(arguments[n]);
                else
                        values[n].i32 = (int32_t)htole32((uint32_t)arguments[n]);
        }
        error = wasmtime_func_call_unchecked(activation->context, &activation->link->forwarders[index], values, n,
                                             &activation->trap);
        if (error)
                activation->trap = trap_from_error(error, function->name);
        return activation->trap ? TRAPPED : (int)(le32toh((uint32_t)values[0].i32) & UINT16_MAX);
}

static struct nb_guest_memory find_memory(void *data) {
        struct activation *activation = data;
        const wasmtime_extern_t *memory = &activation->memory;

        if (memory->kind == WASMTIME_EXTERN_SHAREDMEMORY) {
                return (struct nb_guest_memory){
                        .base = wasmtime_sharedmemory_data(memory->of.sharedmemory),
                        .size = wasmtime_sharedmemory_data_size(memory->of.sharedmemory),
                };
        }
        return (struct nb_guest_memory){
                .base = wasmtime_memory_data(activation->context, &memory->of.memory),
                .size = wasmtime_memory_data_size(activation->context, &memory->of.memory),
        };
}

static const struct nb_engine wasmtime_engine = { .memory = find_memory, .call = call_engine };

/* ---- from the guest to us ---- */

static bool is_memory(const wasmtime_extern_t *item) {
        return item->kind == WASMTIME_EXTERN_MEMORY || item->kind == WASMTIME_EXTERN_SHAREDMEMORY;
}

static wasm_trap_t *call_guest(void *data, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t n_values) {
        const struct import *import = data;
        struct activation activation = { .link = import->link, .context = wasmtime_caller_context(caller) };
        uint64_t arguments[NB_WASI_PARAMETERS_MAX] = { 0 };
        int r;

        (void)n_values;
        if (!wasmtime_caller_export_get(caller, MEMORY_NAME, strlen(MEMORY_NAME), &activation.memory))
                return trap_new("netbroker: the module exports no memory named \"memory\"");
        if (!is_memory(&activation.memory)) {
                wasmtime_extern_delete(&activation.memory);
                return trap_new("netbroker: the module's export \"memory\" is no memory");
        }
        activation.trap = bind_guest(&activation);
        if (activation.trap) {
                wasmtime_extern_delete(&activation.memory);
                return activation.trap;
        }
        for (size_t i = 0; import->parameters[i]; ++i) {
                if (import->parameters[i] == 'l')
                        arguments[i] = le64toh((uint64_t)values[i].i64);
                else
                        arguments[i] = le32toh((uint32_t)values[i].i32);
        }
        r = nb_guest_call(import->link->guest, &wasmtime_engine, &activation, import->index, arguments);
        wasmtime_extern_delete(&activation.memory);
        if (r >= 0)
                values[0].i32 = (int32_t)htole32((uint32_t)r);
        return activation.trap;
}

/* ---- the linker ---- */

static void unref_link(struct link *link) {
        if (atomic_fetch_sub(&link->n_references, 1) > 1)
                return;
        if (link->original)
                wasmtime_linker_delete(link->original);
        nb_guest_free(link->guest);
        nb_wasmtime_free(link->wasmtime);
        free(link->forwarders);
        free(link);
}

static void finalize_import(void *data) {
        unref_link(((struct import *)data)->link);
}

static wasm_functype_t *function_type(const char *parameters) {
        wasm_valtype_t *result = wasm_valtype_new(WASM_I32);
        wasm_valtype_t *types[NB_WASI_PARAMETERS_MAX];
        wasm_valtype_vec_t parameter_types;
        wasm_valtype_vec_t result_types;
        size_t n;

        for (n = 0; parameters[n]; ++n)
                types[n] = wasm_valtype_new(parameters[n] == 'l' ? WASM_I64 : WASM_I32);
        wasm_valtype_vec_new(&parameter_types, n, types);
        wasm_valtype_vec_new(&result_types, 1, &result);
        return wasm_functype_new(&parameter_types, &result_types);
}

static wasmtime_error_t *define(wasmtime_linker_t *linker, struct link *link, size_t index) {
        const struct nb_wasi_function *function = nb_wasi_function(index);
        struct import *import = &link->imports[index];
        wasm_functype_t *type = function_type(function->parameters);
        wasmtime_error_t *error;

        *import = (struct import){ .link = link, .index = index, .parameters = function->parameters };
        atomic_fetch_add(&link->n_references,
                         1); /* given back by the finalizer, which Wasmtime also calls when it fails */
        error = wasmtime_linker_define_func_unchecked(linker, function->module, strlen(function->module),
                                                      function->name, strlen(function->name), type, call_guest, import,
                                                      finalize_import);
        wasm_functype_delete(type);
        return error;
}

static wasm_trap_t *refuse_old(void *data, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t n_values) {
        (void)data;
        (void)caller;
        (void)values;
        (void)n_values;
        return trap_new("netbroker: the module calls a function of " PREVIEW0
                        ", an older WASI; build it for " PREVIEW1);
}

/* Wasmtime has the older WASI too, with a space of descriptors beside ours. Who did not check the module is told by a trap. */
static wasmtime_error_t *define_old(wasmtime_linker_t *linker, const struct nb_wasi_function *function) {
        wasm_functype_t *type = function_type(function->parameters);
        wasmtime_error_t *error;

        error = wasmtime_linker_define_func_unchecked(linker, PREVIEW0, strlen(PREVIEW0), function->name,
                                                      strlen(function->name), type, refuse_old, NULL, NULL);
        wasm_functype_delete(type);
        return error;
}

static wasmtime_error_t *define_all(wasmtime_linker_t *linker, struct link *link) {
        wasmtime_linker_allow_shadowing(linker, true);
        for (size_t i = 0; i < nb_wasi_n_functions(); ++i) {
                const struct nb_wasi_function *function = nb_wasi_function(i);
                wasmtime_error_t *error;

                if (!(function->use & NB_WASI_IMPORT))
                        continue;
                error = define(linker, link, i);
                if (!error && strcmp(function->module, PREVIEW1) == 0)
                        error = define_old(linker, function);
                if (error)
                        return error;
        }
        return NULL;
}

/* @return a link with one reference, or NULL without memory, when the guest is freed. */
static struct link *link_new(struct nb_wasmtime *wasmtime, struct nb_guest *guest) {
        size_t n = nb_wasi_n_functions();
        struct link *link = calloc(1, sizeof(*link) + n * sizeof(link->imports[0]));
        wasmtime_func_t *forwarders = calloc(n, sizeof(*forwarders));

        if (!link || !forwarders) {
                free(link);
                free(forwarders);
                nb_guest_free(guest);
                return NULL;
        }
        atomic_fetch_add(&wasmtime->n_references, 1);
        atomic_init(&link->n_references, 1);
        link->wasmtime = wasmtime;
        link->guest = guest;
        link->forwarders = forwarders;
        return link;
}

wasmtime_error_t *nb_wasmtime_link(struct nb_wasmtime *wasmtime, wasmtime_linker_t *linker, struct nb_guest *guest) {
        struct link *link = link_new(wasmtime, guest);
        wasmtime_error_t *error;

        if (!link)
                return wasmtime_error_new("out of memory");
        link->original = wasmtime_linker_clone(linker); /* before ours are in front */
        error = define_all(linker, link);
        unref_link(link);
        return error;
}
