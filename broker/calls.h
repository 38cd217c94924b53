/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists of system calls of netbrokerd's modules (broker/confine.h). Who needs another call adds it to the list beside the code, with its reason.
 */
#ifndef NB_BROKER_CALLS_H
#define NB_BROKER_CALLS_H

#include "confine/calls.h"

extern const struct confine_list broker_loop_calls;    /* broker/calls.c: of libuv and loop/ */
extern const struct confine_list broker_process_calls; /* broker/calls.c: memory, the end, and the C library */
extern const struct confine_list broker_policy_calls;  /* broker/calls.c: files of the policy, and the names of users */
extern const struct confine_list broker_sanitizer_calls; /* broker/calls.c: empty where there are none */
extern const struct confine_list endpoint_calls;         /* broker/endpoint.c */
extern const struct confine_list socket_calls;           /* broker/socket.c */
extern const struct confine_list acceptor_calls;         /* broker/acceptor.c */
extern const struct confine_list connection_file_calls;  /* broker/connection_files.c */
extern const struct confine_list connection_watch_calls; /* broker/connection_watch.c */
extern const struct confine_list unix_path_calls;        /* broker/unix_path.c */
extern const struct confine_list audit_sink_calls;       /* broker/audit_sink.c */
extern const struct confine_list exporter_calls;         /* broker/exporter.c */
extern const struct confine_list resolver_calls;         /* broker/resolver.c */
extern const struct confine_list ledger_calls;           /* broker/ledger.c */
extern const struct confine_list bpf_map_calls;          /* broker/bpf_map.c */
extern const struct confine_list spawn_calls;            /* broker/relay_process.c */

#endif
