/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker that is played by the test, step by step, for the client alone.
 *
 * The client waits nowhere but in the wait function of its session, so that is where this broker lives: each wait runs the next step of a
 * script, which reads what was asked and answers, or interrupts. So there are no threads, and whatever the client waits for without a step being
 * left fails the test. Descriptors are counted around every test. For a broker that answers by itself, see tests/unit/scripted_broker.h.
 *
 * There is one in a test program, with its session and what comes of that: a step has no parameter by which to find another.
 */
#ifndef NB_TESTS_STEPPED_BROKER_H
#define NB_TESTS_STEPPED_BROKER_H

#include <check.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/channel.h"
#include "netbroker/client.h"
#include "proto/frame.h"

#define STEPS_MAX 16
#define FDS_MAX 80

/** What the broker does in one wait. @return what the wait function returns */
typedef int (*step_function)(void);

/** The broker's ends of the channels, owned; -1: not made yet. And what is left to do. */
struct stepped_broker {
        int session;
        int protocol;
        int control;
        step_function steps[STEPS_MAX];
        size_t n_steps;
        size_t done;
        short events; /* of the last wait */
        size_t n_pauses;
        int64_t pauses[64]; /* in ns */
        uint64_t serial;    /* of the last request */
        uint64_t resumed;   /* the serial of the last Resumed */
};

/** What the next Welcome says; a good one before each test. */
struct welcome {
        uint32_t version;
        const char *tenant;
        const char *name; /* of all protocols but the first, which is "web" */
        size_t n_protocols;
        size_t n_fds;
};

extern struct stepped_broker broker;
extern struct welcome welcome;
extern uint8_t frame[NB_CHANNEL_MESSAGE_MAX]; /* what was received last */

/* The client's; what is not NULL is freed behind each test. */
extern struct nb_session *session;
extern struct nb_control *control;
extern struct nb_connection *connection;

/** A test case of this world. @param add  adds its tests */
TCase *stepped_case(const char *name, void (*add)(TCase *));

/** Says what the broker does in the waits to come; what was said before has been done. NULL ends the steps. */
void stepped_script(const step_function *steps);

#define SCRIPT(...) stepped_script((const step_function[]){ __VA_ARGS__, NULL })

/** The nb_wait_function: does the next step. `data` is the broker. */
int fake_wait(void *data, struct pollfd *fds, nfds_t n_fds, int64_t timeout_ns);

/* Steps that are no answers. */
int interrupt(void);
int wake_for_nothing(void);

/* ---- what is asked, and said, on the channels; n_fds copies of a descriptor go with an answer ---- */

bool nothing_was_asked(int fd);

/** Takes the next request, which is of that kind. @return borrowed until the next is taken */
const Nb__Request *asked(int fd, Nb__Request__BodyCase expected);

void say(int fd, Nb__Reply__BodyCase body_case, void *body, size_t n_fds);
void say_resumed(int fd);
void say_refused(int fd, uint32_t error, const char *reason, size_t n_fds);
void say_listening(const char *address, size_t n_fds);
void say_accepted(uint64_t number, size_t n_fds);
void say_connected(const char *peer, size_t n_fds);
void say_opened(const char *address, size_t n_more_fds);
void say_opened_with(const char *address, uint64_t rights_base, uint64_t rights_inheriting, size_t n_more_fds);

/* ---- steps: a request is taken, and mostly answered ---- */

int say_welcome(void);
int on_hello(void);
int greet(void);
int on_open(void);
int open_control(void);
int on_listen(void);
int start_listening(void);
int on_connect(void);
int make_connection(void);

/* What refuse_on_control() refuses with: an errno of WASI, and a reason. */
extern uint32_t refusal;
extern const char *refusal_reason;

/** Refuses whatever is asked on the control. */
int refuse_on_control(void);

/* ---- what the client does ---- */

/** @return options with a descriptor to this broker, which the session consumes */
struct nb_session_options options(void);

int open_session(void);
int open_address(const char *address, size_t length);
int open_it(void);
int listen_it(void);
int connect_it(void);

/* With all that comes before. */
void have_session(void);
void have_control(void);
void have_listener(void);

/** A broken object says so again, without waiting, and the broker sees its end at `fd`. */
void is_broken(int fd);

/* ---- faults that every exchange must survive: the broker says something else than the answer ---- */

#define N_FAULTS 12

/**
 * Has `call` meet the fault number `i`, twice where what is broken `stays` so.
 * @param fd       the broker's end of the channel, which the fault may close
 * @param request  what is asked on it
 */
void meet_fault(int i, int *fd, Nb__Request__BodyCase request, int (*call)(void), bool stays);

#endif
