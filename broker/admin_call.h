/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request of the operator's, from its line to the last line of its answer: what verbs work with.
 *
 *      begin ──ADMIN_END, or an error──► answered
 *        │ ADMIN_MORE         ▲
 *        ├──► next, when the client has read what there is, again and again
 *        │ ADMIN_WAIT         │
 *        └──► admin_client_resume(), by whoever has the result
 *
 * A client that goes away ends its call wherever it stands: `free_state` gives back what the call holds.
 */
#ifndef NB_BROKER_ADMIN_CALL_H
#define NB_BROKER_ADMIN_CALL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct admin_call;
struct admin_client;
struct broker;

/** What becomes of a call now; negative is -errno, of an error that admin_fail() has put into words. */
enum admin_progress {
        ADMIN_END = 0,  /* the answer is complete */
        ADMIN_MORE = 1, /* `next` is to be called */
        ADMIN_WAIT = 2, /* somebody will call admin_client_resume() */
};

/** How many lines a verb says at once, at most: half a millisecond of the loop that tenants share. */
#define ADMIN_SLICE 32

/** @return enum admin_progress, or -errno */
typedef int (*admin_step)(struct admin_call *call);

struct admin_call {
        struct broker *broker;
        struct admin_client *client;
        uid_t uid; /* of who asks */
        pid_t pid; /* for records only: pids are reused */
        admin_step next;
        void *state;                     /* the verb's */
        void (*free_state)(void *state); /* may be NULL */
        char *out;                       /* lines that the client has not taken yet */
        size_t out_length;
        size_t out_allocated;
        unsigned
                shards; /* how many other processes have the rest of the answer (broker/admin_front.h); 0: this is all */
        unsigned shard;   /* which of them has it; 0: each has a part */
        char error[2048]; /* what admin_fail() said */
};

/** Adds a line to the answer. @param line  consumed; NULL for one that could not be made @return 0, or -ENOMEM */
int admin_say(struct admin_call *call, json_t *line);

/** Puts an error into words, one or more printable lines. @return `r` */
int admin_fail(struct admin_call *call, int r, const char *format, ...) __attribute__((format(printf, 3, 4)));

/**
 * Takes the members of a request, which must have these and no others: json_unpack()'s format and its arguments.
 * @return 0; -EINVAL, put into words
 */
int admin_take(struct admin_call *call, const json_t *request, const char *format, ...);

/** How much of a long text the next line of an answer takes: whole lines of it, as long as these are not longer. */
size_t admin_piece_length(const char *text);

/** A text as JSON; what is not UTF-8, such as a file's name, is escaped. @param text  NULL is null */
json_t *admin_text(const char *text);

/** A moment of the wall clock as JSON, in RFC 3339's form. @param ms  since 1970; 0 is null, and so is what no calendar has */
json_t *admin_time(uint64_t ms);

/** The same of seconds, as certificates have them. */
json_t *admin_time_of_seconds(uint64_t seconds);

#endif
