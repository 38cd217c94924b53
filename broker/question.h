/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One name, asked of name servers by c-ares: its addresses of one family, or of both at the same time.
 *
 * A question has a c-ares channel of its own, and so sockets of its own: the kernel gives each a random port (c-ares would use one for all
 * that it asks at a time), and c-ares a random id. Ending the question ends its channel, and no answer can come to the wrong one. That takes some
 * 75 KB while it is asked, which is why questions are counted.
 *
 * c-ares ignores what does not come from the server that was asked (its sockets are connected, too), has another id or another
 * question; asks again by TCP what was truncated; and goes on to the next server where one fails. There is no search list, and no
 * environment variable changes the name.
 */
#ifndef NB_BROKER_QUESTION_H
#define NB_BROKER_QUESTION_H

#include <stdbool.h>
#include <uv.h>

#include "broker/dns_answer.h"
#include "loop/watch.h"

/** No question takes longer, whatever the servers do. */
#define QUESTION_TIME_MAX_MS 10000

struct question;

/** Called from the loop when an answer is there, once for each or for both. The question may be freed in it. */
typedef void (*question_function)(void *data);

struct question_options {
        uv_loop_t *loop;           /* borrowed */
        struct watch_set *watches; /* borrowed */
        const char *name;          /* borrowed */
        bool ipv4, ipv6;           /* what is asked, at least one */
        const struct nb_address *servers;
        size_t n_servers; /* 0: those of resolv.conf(5) at this moment */
        question_function function;
        void *data;
};

/** Asks. @return owned by the caller; NULL without memory */
struct question *question_new(const struct question_options *options);

/** Gives up. Takes NULL. @return NULL */
struct question *question_free(struct question *question);

/**
 * The answer of one family; its error may also be -EAGAIN where no server answers, and -ETIMEDOUT after QUESTION_TIME_MAX_MS.
 * @return borrowed; NULL while it is not there, or was not asked for
 */
const struct dns_answer *question_answer(const struct question *question, sa_family_t family);

/** @return whether nothing more can come. */
bool question_is_over(const struct question *question);

#endif
