/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where deeds are done: a broker and its relay in which calls fail, whom their guests talk to, and what a deed is made of.
 *
 * Functions of deeds return 0, or the negative errno of what was refused; what waits for ever fails the test (ck_abort).
 */
#ifndef NB_TESTS_FAULTS_WORLD_H
#define NB_TESTS_FAULTS_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>

#include "netbroker/client.h"
#include "tests/support/certificates.h"
#include "tests/support/fake_dns.h"
#include "tests/support/faults.h"
#include "tests/support/harness.h"
#include "tests/support/keeper.h"
#include "tests/support/peer.h"
#include "token/token.h"

/** Programs that calls fail in. */
enum program {
        BROKER,
        RELAY,
        KEEPER,
        N_PROGRAMS,
};

/** @return its name, which is its file's as well; that of a broker of several processes is all of theirs */
const char *program_name(enum program program);

/** A limit that the daemon has for a while. It waits as long as it has no descriptor for a session, so who waits lifts it. */
struct lowered {
        pid_t pid; /* 0: it is as it was */
        struct rlimit old;
};

/** Gives the daemon room for that many descriptors. */
void lower(struct lowered *lowered, pid_t pid, rlim_t max);

/** Takes the limit away, if there is one. */
void lift(struct lowered *lowered);

/** What there is beside what the library waits for; -1: nothing. */
struct waiter {
        int peer;
        const struct world *world; /* borrowed; open_session() sets it */
};

/** What there is beside plain sockets. */
enum setting {
        SETTING_PLAIN,
        SETTING_SECURE, /* protocols of TLS, QUIC and a proxy, with certificates */
        SETTING_KEPT,   /* a keeper */
        SETTING_SHARDS, /* two shards; the tenant is the first one's */
};

struct world {
        enum setting setting;
        struct daemon daemon;
        char admin_socket[HARNESS_PATH_MAX];
        struct fake_dns *dns;
        struct faults *faults[N_PROGRAMS];
        struct keeper keeper;             /* of SETTING_KEPT */
        struct certificates certificates; /* of SETTING_SECURE */
        pid_t proxy;                      /* the same: a process that plays a proxy; 0: none */
        char proxy_address[NB_ADDRESS_TEXT_MAX];
        struct token_secret issuer; /* whom the tenant trusts */
        struct peer peer;           /* whom guests connect to */
        struct nb_session *session; /* works whatever happens to others */
        struct nb_protocol *direct; /* borrowed from it */
        struct waiter waiter;       /* of that session */
        struct lowered *lowered;
};

/** Starts all. @param lowered  borrowed */
void world_start(struct world *world, enum setting setting, struct lowered *lowered);

/** Starts the next daemon, where the one before has ended. @param ret_status  as of daemon_try_start(), as is the result */
bool world_try_daemon(struct world *world, int *ret_status);

void world_end(struct world *world);

/** Fails the test, and says what failed last in each program, and what the daemon wrote. */
_Noreturn void world_hangs(const struct world *world, const char *what);

/** @return whether the daemon is the same process */
bool world_is_alive(const struct world *world);

/* ---- deeds ---- */

struct deed {
        const char *name;
        int (*function)(const struct world *world); /* @return 0, or what it was refused with */
        enum setting setting;
        bool relayed;      /* whether a relay has a part in it */
        bool cached;       /* whether something is kept of it for a time */
        bool by_libraries; /* whether the memory that relays take for it is mostly of libraries, which fail as they like */
        int also[4];       /* errnos that it may be refused with whatever has failed; 0: none */
};

/* ---- what deeds are made of ---- */

/** Waits until something can be read, or the end. */
void wait_readable(const struct world *world, int fd);

/** @param waiter  borrowed by the session */
int open_session(const struct world *world, struct waiter *waiter, const char *token, struct nb_session **ret);

int open_control(struct nb_protocol *protocol, const char *address, enum nb_socket_type type, struct nb_control **ret);

/** Takes the connection's stream. @return it; -ECONNRESET if it has gone */
int take_stream(struct nb_connection *connection, struct nb_stream *ret);

/** What was said at one end comes at the other, or the one ends: the other may be that of another connection. @return 0; -ECONNRESET at the end */
int expect_word(const struct world *world, int from, int to);

/** A word one way, and one back. @return 0; -ECONNRESET at the end */
int exchange(const struct world *world, int one, int other);

/** Closes whoever has connected to the peer and is not expected any more. */
void forget_strangers(const struct world *world);

/** A guest's connection, with its stream. */
struct dialled {
        struct nb_control *control;
        struct nb_connection *connection;
        struct nb_stream stream;
};

#define DIALLED_INIT                                                                                                   \
        {                                                                                                              \
                .stream = {.fd = -1 }                                                                                  \
        }

/** Connects, up to the stream. @param from  the bind address @param ret  DIALLED_INIT; to be freed also on failure, with what it has by then */
int dial(struct nb_protocol *protocol, const char *from, enum nb_socket_type type, const char *address,
         struct dialled *ret);

/** Connects to the peer, by the address given, and talks. */
int connect_stream(const struct world *world, struct nb_protocol *protocol, const char *address);

/** Takes one connection that comes. @param waiter  of the session @return -ECONNABORTED if the daemon has dropped the peer, which may come again */
int accept_one(struct nb_control *control, struct waiter *waiter, int peer);

void free_session(struct nb_session **session);
void free_control(struct nb_control **control);
void free_connection(struct nb_connection **connection);
void free_dialled(struct dialled *dialled);

#define CLEANUP(what) __attribute__((cleanup(free_##what)))

/** Whatever is done over plain sockets, with names, restrictions and tokens. */
int do_session(const struct world *world);
int do_direct(const struct world *world);
int do_unix(const struct world *world);
int do_name(const struct world *world);
int do_relayed(const struct world *world);
int do_datagrams(const struct world *world);
int do_unix_datagrams(const struct world *world);
int do_token(const struct world *world);

/** What relays do for the guest. */
int do_tls(const struct world *world);
int do_quic(const struct world *world);
int do_proxy(const struct world *world);

/** What the operator asks for. */
int do_lists(const struct world *world);
int do_watch(const struct world *world);
int do_revoke(const struct world *world);
int do_reload(const struct world *world);

#endif
