/* SPDX-License-Identifier: Apache-2.0 */
#include "run/guest.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <wasm.h>
#include <wasmtime.h>

#include "base/cleanup.h"

#define START "_start"

/* What one module needs of Wasmtime. */
struct machine {
        wasm_engine_t *engine;
        struct nb_wasmtime *wasmtime;
        wasmtime_module_t *module;
        wasmtime_linker_t *linker;
        wasmtime_store_t *store;
        wasmtime_instance_pre_t *ready; /* linked */
};

/* In the order of dependence; all of them may be missing. */
static void machine_deinit(struct machine *machine) {
        if (machine->ready)
                wasmtime_instance_pre_delete(machine->ready);
        if (machine->store)
                wasmtime_store_delete(machine->store);
        if (machine->linker)
                wasmtime_linker_delete(machine->linker);
        if (machine->module)
                wasmtime_module_delete(machine->module);
        nb_wasmtime_free(machine->wasmtime);
        if (machine->engine)
                wasm_engine_delete(machine->engine);
}

void run_guest_deinit(struct run_guest *guest) {
        guest->guest = nb_guest_free(guest->guest);
        if (guest->wasi)
                wasi_config_delete(guest->wasi);
        guest->wasi = NULL;
}

/* ---- what the guest is given ---- */

static int preopen_directories(const struct run_options *options, const struct nb_log *log, wasi_config_t *wasi) {
        for (size_t i = 0; i < options->n_directories; ++i) {
                const struct run_directory *directory = &options->directories[i];

                if (!wasi_config_preopen_dir(wasi, directory->host, directory->guest, directory->writable)) {
                        nb_log(log, NB_LOG_ERROR, "--dir: cannot open the directory %s", directory->host);
                        return EX_NOINPUT;
                }
        }
        return EX_OK;
}

/* The variables of the command line, and those that name the protocols and, where there are any, the preopened sockets. */
static bool set_environment(const struct run_options *options, const struct nb_guest *guest, wasi_config_t *wasi) {
        const char *names[RUN_VARIABLES_MAX + 2], *values[RUN_VARIABLES_MAX + 2];
        size_t n;

        for (n = 0; n < options->n_variables; ++n) {
                names[n] = options->variable_names[n];
                values[n] = options->variable_values[n];
        }
        names[n] = NB_GUEST_PROTOCOLS_VARIABLE;
        values[n++] = nb_guest_protocols(guest);
        if (nb_guest_preopens(guest)[0] != '\0') {
                names[n] = NB_GUEST_PREOPENS_VARIABLE;
                values[n++] = nb_guest_preopens(guest);
        }
        return wasi_config_set_env(wasi, n, names, values);
}

static bool set_arguments(const struct run_options *options, wasi_config_t *wasi) {
        return wasi_config_set_argv(wasi, options->guest.n, (const char **)options->guest.v);
}

int run_guest_prepare(const struct run_options *options, struct nb_session *session, const struct nb_log *log,
                      struct run_guest *ret) {
        struct nb_guest_options guest_options = NB_GUEST_OPTIONS_INIT;
        int r;

        guest_options.session = session;
        guest_options.n_directories = (uint32_t)options->n_directories;
        r = nb_guest_new(&guest_options, &ret->guest);
        if (r < 0) {
                nb_log(log, NB_LOG_ERROR, "cannot make the guest's descriptors: %s", strerror(-r));
                return EX_OSERR;
        }

        ret->wasi = wasi_config_new();
        wasi_config_inherit_stdin(ret->wasi);
        wasi_config_inherit_stdout(ret->wasi);
        wasi_config_inherit_stderr(ret->wasi);
        if (!set_arguments(options, ret->wasi) || !set_environment(options, ret->guest, ret->wasi)) {
                nb_log(log, NB_LOG_ERROR, "the guest's arguments and variables must be UTF-8");
                return EX_USAGE;
        }
        return preopen_directories(options, log, ret->wasi);
}

/* ---- running it ---- */

/* Logs what Wasmtime says is wrong: text of several lines, which may end in an empty one or in a NUL. Gives it back. */
static void log_message(const struct nb_log *log, const char *name, const char *what, wasm_name_t *message) {
        size_t length = message->size;

        while (length > 0 && (message->data[length - 1] == '\n' || message->data[length - 1] == '\0'))
                --length;
        nb_log(log, NB_LOG_ERROR, "%s: %s: %.*s", name, what, (int)length, message->data);
        wasm_name_delete(message);
}

/* The same of an error, which is given back too. */
static void log_error(const struct nb_log *log, const char *name, const char *what, wasmtime_error_t *error) {
        wasm_name_t message;

        wasmtime_error_message(error, &message);
        log_message(log, name, what, &message);
        wasmtime_error_delete(error);
}

static bool is_start(const wasm_exporttype_t *export) {
        const wasm_name_t *name = wasm_exporttype_name(export);
        const wasm_externtype_t *type = wasm_exporttype_type(export);
        const wasm_functype_t *function;

        if (name->size != strlen(START) || memcmp(name->data, START, name->size) != 0)
                return false;
        function = wasm_externtype_as_functype_const(type);
        return function && wasm_functype_params(function)->size == 0 && wasm_functype_results(function)->size == 0;
}

static bool has_start(const wasmtime_module_t *module) {
        wasm_exporttype_vec_t exports;
        bool found = false;

        wasmtime_module_exports(module, &exports);
        for (size_t i = 0; i < exports.size && !found; ++i)
                found = is_start(exports.data[i]);
        wasm_exporttype_vec_delete(&exports);
        return found;
}

static int compile(struct machine *machine, const char *name, const uint8_t *bytes, size_t length,
                   const struct nb_log *log) {
        wasmtime_error_t *error = wasmtime_module_new(machine->engine, bytes, length, &machine->module);

        if (error) {
                log_error(log, name, "not a valid WebAssembly module", error);
                return EX_DATAERR;
        }
        if (!has_start(machine->module)) {
                nb_log(log, NB_LOG_ERROR, "%s: no function " START ": it is a library, and not a program", name);
                return EX_DATAERR;
        }
        error = nb_wasmtime_check_module(machine->module);
        if (error) {
                log_error(log, name, "cannot be a guest", error);
                return EX_DATAERR;
        }
        return EX_OK;
}

/* Puts WASI and our functions in front of the module. Consumes the guest's parts. */
static int link_module(struct machine *machine, struct run_guest *guest, const char *name, const struct nb_log *log) {
        wasmtime_error_t *error;

        machine->linker = wasmtime_linker_new(machine->engine);
        machine->store = wasmtime_store_new(machine->engine, NULL, NULL);
        error = wasmtime_linker_define_wasi(machine->linker);
        if (!error)
                error = wasmtime_context_set_wasi(wasmtime_store_context(machine->store), nb_steal_ptr(guest->wasi));
        if (!error)
                error = nb_wasmtime_link(machine->wasmtime, machine->linker, nb_steal_ptr(guest->guest));
        if (error) {
                log_error(log, name, "cannot be linked", error);
                return EX_SOFTWARE;
        }

        error = wasmtime_linker_instantiate_pre(machine->linker, machine->module, &machine->ready);
        if (error) {
                log_error(log, name, "imports what is not there", error);
                return EX_DATAERR;
        }
        return EX_OK;
}

/* What became of a call into the guest: nothing wrong, an exit, or a trap. Gives both back. @return the exit code. */
static int settle(wasmtime_error_t *error, wasm_trap_t *trap, const char *name, const struct nb_log *log) {
        int status = 0;

        if (trap) {
                wasm_message_t message;

                wasm_trap_message(trap, &message);
                log_message(log, name, "the guest trapped", &message);
                wasm_trap_delete(trap);
                return GUEST_EXIT_TRAP;
        }
        if (!error)
                return EX_OK;
        if (wasmtime_error_exit_status(error, &status)) {
                wasmtime_error_delete(error);
                return status;
        }
        log_error(log, name, "the guest trapped", error);
        return GUEST_EXIT_TRAP;
}

static int start(struct machine *machine, const char *name, const struct nb_log *log) {
        wasmtime_context_t *context = wasmtime_store_context(machine->store);
        wasmtime_instance_t instance;
        wasmtime_extern_t item;
        wasm_trap_t *trap = NULL;
        wasmtime_error_t *error;

        error = wasmtime_instance_pre_instantiate(machine->ready, context, &instance, &trap);
        if (error || trap)
                return settle(error, trap, name, log);
        if (!wasmtime_instance_export_get(context, &instance, START, strlen(START), &item))
                return EX_SOFTWARE; /* has_start() saw it */

        error = wasmtime_func_call(context, &item.of.func, NULL, 0, NULL, 0, &trap);
        wasmtime_extern_delete(&item);
        return settle(error, trap, name, log);
}

int run_guest_run(struct run_guest *guest, const char *name, const uint8_t *bytes, size_t length,
                  const struct nb_log *log) {
        NB_CLEANUP(machine_deinit) struct machine machine = { .engine = wasm_engine_new() };
        wasmtime_error_t *error = nb_wasmtime_new(machine.engine, &machine.wasmtime);
        int code;

        if (error) {
                log_error(log, name, "cannot prepare Wasmtime", error);
                return EX_SOFTWARE;
        }
        code = compile(&machine, name, bytes, length, log);
        if (code == EX_OK)
                code = link_module(&machine, guest, name, log);
        if (code == EX_OK)
                code = start(&machine, name, log);
        return code;
}
