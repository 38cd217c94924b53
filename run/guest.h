/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest of a run, under Wasmtime.
 *
 * Two steps, for between them the process is locked down: prepare() opens what the guest is given, and makes neither engine nor
 * thread; run() makes the engine, compiles, links and runs, and opens nothing.
 */
#ifndef NB_RUN_GUEST_H
#define NB_RUN_GUEST_H

#include <stddef.h>
#include <stdint.h>
#include <wasi.h>

#include "base/log.h"
#include "netbroker/wasmtime.h"
#include "run/options.h"

/** A trap: what a shell makes of SIGABRT. WASI guests cannot end with more than 125. */
#define GUEST_EXIT_TRAP 134

struct run_guest {
        wasi_config_t *wasi;    /* owned; arguments, environment, directories, standard streams */
        struct nb_guest *guest; /* owned; descriptors */
};

/**
 * Gives the guest what the options say.
 * @param session  borrowed; outlives the guest
 * @param ret      to be given to run_guest_deinit(), also on failure
 * @return 0, or a code of sysexits.h with a message: EX_NOINPUT for a directory, EX_USAGE for text that is not UTF-8, EX_OSERR
 */
int run_guest_prepare(const struct run_options *options, struct nb_session *session, const struct nb_log *log,
                      struct run_guest *ret);

/**
 * Compiles and runs a module.
 * @param guest   its parts are consumed
 * @param name    of the module, for messages
 * @param bytes   borrowed
 * @return the guest's exit code; GUEST_EXIT_TRAP; EX_DATAERR for what is no module, or none that can run here; EX_SOFTWARE when
 *         Wasmtime failed; each but the first with a message
 */
int run_guest_run(struct run_guest *guest, const char *name, const uint8_t *bytes, size_t length,
                  const struct nb_log *log);

/** Gives back what run_guest_run() did not consume. */
void run_guest_deinit(struct run_guest *guest);

#endif
