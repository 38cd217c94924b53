/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libnetbroker's WASI side: what a guest sees, for any WebAssembly engine.
 *
 * A guest is a table of descriptors and the functions that take or yield one: modules `networking` and `networking_ext`, and of
 * wasi_snapshot_preview1 all fd_*, path_*, sock_* and poll_oneoff. A binding defines these as the guest's imports, in
 * front of the engine's own, and hands each call to nb_guest_call(). What concerns a file goes on to the engine's own
 * function of the same name, with the descriptors translated, so that files stay the engine's while the guest sees
 * one space of descriptors with the lowest free number first: 0 to 2, the preopened directories, the protocols of the policy in
 * its order, its preopened sockets in theirs, without a hole.
 *
 * Nothing that a guest passes makes a call trap or touch memory outside the guest's: it ends in an errno. What is passed
 * on to the engine keeps the engine's behaviour.
 *
 * Signals: what the library writes for a guest raises none. The engine writes the guest's files, and under an RLIMIT_FSIZE the kernel
 * would end the process with SIGXFSZ there: a host ignores that signal, and the guest gets `fbig`.
 *
 * Threads: a guest may be used by one thread at a time, and its wait function may not call into it; different guests of
 * different sessions are independent. Guests of one session can be fibers of one thread; while one of them waits in `open`, that
 * of another on the same protocol is `busy`.
 */
#ifndef NETBROKER_WASI_H
#define NETBROKER_WASI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netbroker/client.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The environment variable that tells a guest its protocols, as `name=descriptor` joined by colons. */
#define NB_GUEST_PROTOCOLS_VARIABLE "NETWORKING_PROTOCOLS"

/** The same for its preopened sockets. */
#define NB_GUEST_PREOPENS_VARIABLE "NETWORKING_PREOPENS"

/** The most parameters that a function of the table has. */
#define NB_WASI_PARAMETERS_MAX 9

/** What max_descriptors may be at most. */
#define NB_GUEST_DESCRIPTORS_MAX 262144

/** A guest's descriptors. nb_guest_new(), nb_guest_free(), or a binding that consumes it. */
struct nb_guest;

/** What a guest is made with. NB_GUEST_OPTIONS_INIT sets the defaults. */
struct nb_guest_options {
        size_t size;                /**< sizeof(struct nb_guest_options), so that fields can be added */
        struct nb_session *session; /**< borrowed: outlives the guest; NULL: a guest without network */
        uint32_t n_directories;     /**< how many directories the engine preopens; they are its descriptors 3, 4, … */
        uint32_t max_descriptors;   /**< the guest's limit, at most NB_GUEST_DESCRIPTORS_MAX; 0: see below */
        int stdio[3]; /**< the host's descriptors behind the guest's 0 to 2, borrowed; -1: left to the engine */
        nb_wait_function wait; /**< as in nb_session_options, which wants the same; NULL: ppoll() */
        void *wait_data;       /**< passed to `wait` */
        bool no_preopens;      /**< leave the session's preopened sockets to another guest: each can be given once */
};

/**
 * Defaults for all fields: standard input, output and error are this process's own.
 *
 * Without a limit of its own, a guest has 65536 descriptors, but no more than three quarters of the process's RLIMIT_NOFILE (its soft
 * limit when the guest is made) less 32. A host with several guests divides what it has among them by `max_descriptors`.
 */
#define NB_GUEST_OPTIONS_INIT                                                                                          \
        {                                                                                                              \
                .size = sizeof(struct nb_guest_options), .stdio = { 0, 1, 2 }                                          \
        }

/**
 * Makes a guest's descriptor table, with a descriptor for each protocol of the session.
 * @param options  borrowed; NULL for the defaults
 * @param ret      owned by the caller: nb_guest_free(), or a binding that consumes it
 * @return 0; -EINVAL for options that contradict each other or a limit; -EMFILE when there are more protocols, preopened sockets and directories
 *         than max_descriptors; -ENOMEM; what nb_session_start_preopens() can return, which a host therefore calls before to know which
 *         socket it was; -EBUSY when another guest has the preopened sockets.
 */
NB_EXPORT int nb_guest_new(const struct nb_guest_options *options, struct nb_guest **ret);

/** Closes all of the guest's network descriptors; the engine's and stdio's are not touched. Takes NULL. @return NULL. */
NB_EXPORT struct nb_guest *nb_guest_free(struct nb_guest *guest);

/**
 * The value that NETWORKING_PROTOCOLS is to have in the guest's environment, for instance "web=4:db=5". A host sets it in the
 * engine's configuration.
 * @return borrowed from the guest; "" without protocols
 */
NB_EXPORT const char *nb_guest_protocols(const struct nb_guest *guest);

/** The same for NETWORKING_PREOPENS and the preopened sockets. @return borrowed from the guest; "" without any */
NB_EXPORT const char *nb_guest_preopens(const struct nb_guest *guest);

/** One function of the guest's interface; all return one i32, a WASI errno. */
struct nb_wasi_function {
        const char *module; /**< "networking", "networking_ext" or "wasi_snapshot_preview1" */
        const char *name;   /**< "fd_read" */
        /**
         * A letter each: `l` is an i64, any other an i32. `d` is a descriptor, `r` points to where one is stored.
         */
        const char *parameters;
        unsigned use; /**< NB_WASI_IMPORT, NB_WASI_ENGINE or both */
};

/** A binding defines it as the guest's import; its calls go to nb_guest_call(). */
#define NB_WASI_IMPORT 0x1u

/** nb_guest_call() may call the engine's own function of that module and name. */
#define NB_WASI_ENGINE 0x2u

/** @return how many functions the table has. */
NB_EXPORT size_t nb_wasi_n_functions(void);

/** @return the function at `index`, static, or NULL behind the last. Indexes hold for one version of the library only. */
NB_EXPORT const struct nb_wasi_function *nb_wasi_function(size_t index);

/** A guest's linear memory, where it is now. */
struct nb_guest_memory {
        uint8_t *base; /**< of the engine; may be NULL where `size` is 0 */
        size_t size;   /**< in bytes */
};

/** What nb_guest_call() needs of the engine, for the time of one call. */
struct nb_engine {
        /**
         * Where the guest's memory is. Asked again at every call and after everything that may have moved it.
         */
        struct nb_guest_memory (*memory)(void *data);

        /**
         * Calls the engine's own function, so that it sees the guest's memory.
         * @param index      of the table, with NB_WASI_ENGINE in `use`
         * @param arguments  as many as there are parameters; an i32 is zero-extended
         * @return what the function returned, a WASI errno; or a negative number when it trapped, which nb_guest_call() returns at once.
         *         A function that the engine has not: 58, WASI's `notsup`.
         */
        int (*call)(void *data, size_t index, const uint64_t *arguments);
};

/**
 * Performs one call of the guest.
 * @param engine     borrowed for the call
 * @param data       passed to the engine's functions
 * @param index      of the table, with NB_WASI_IMPORT in `use`
 * @param arguments  as many as there are parameters, borrowed; of an i32 only the lower 32 bits count
 * @return a WASI errno, which is to be the guest's result; or the negative number that engine->call() returned, which means that
 *         the guest is to be unwound
 */
NB_EXPORT int nb_guest_call(struct nb_guest *guest, const struct nb_engine *engine, void *data, size_t index,
                            const uint64_t *arguments);

#ifdef __cplusplus
}
#endif

#endif
