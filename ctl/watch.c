/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command watch: records of the audit as they happen, a line each, of all processes at once.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "ctl/ask.h"
#include "ctl/client.h"
#include "ctl/command.h"
#include "policy/policy.h"

static const char *text_of(const json_t *record, const char *key) {
        const char *text = json_string_value(json_object_get(record, key));

        return text ? text : "-";
}

/* What was asked for, as it was judged. */
static const char *target_of(const json_t *record) {
        const char *const keys[] = { "name", "address", "asked" };

        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); ++i) {
                if (json_object_get(record, keys[i]))
                        return text_of(record, keys[i]);
        }
        return "-";
}

/* The rule, or the words of a refusal. */
static const char *why(const json_t *record) {
        return json_object_get(record, "reason") ? text_of(record, "reason") : text_of(record, "rule");
}

static void print_text(const char *before, const char *text, int width) {
        char shown[1024];

        printf("%s%-*s", before, width, nb_escape(text, strlen(text), shown, sizeof(shown)));
}

static void print_record(const json_t *record) {
        const char *time = text_of(record, "time"), *clock = strchr(time, 'T');

        print_text("", clock ? clock + 1 : time, 13);
        print_text(" ", text_of(record, "verdict"), 8);
        print_text(" ", text_of(record, "tenant"), 8);
        print_text(" ", text_of(record, "protocol"), 6);
        print_text(" ", text_of(record, "verb"), 7);
        print_text(" ", target_of(record), 0);
        if (json_object_get(record, "resolved"))
                print_text(" => ", text_of(record, "resolved"), 0);
        print_text("  ", why(record), 0);
        putchar('\n');
}

static void print_json(const json_t *record) {
        NB_CLEANUP_FREE char *text = json_dumps(record, JSON_COMPACT | JSON_ENSURE_ASCII);

        puts(text ? text : "null");
}

static int take_record(void *data, const json_t *record) {
        const struct ctl *ctl = data;
        const json_t *lost = json_object_get(record, "lost");

        if (json_object_get(record, "watching") && !ctl->options->json)
                return CTL_OK;
        if (ctl->options->json)
                print_json(record);
        else if (lost)
                printf("-- %lld records lost: they were not read in time\n", (long long)json_integer_value(lost));
        else
                print_record(record);
        /* Who reads is waiting for each line; one that has gone away ends this. */
        return fflush(stdout) == 0 ? CTL_OK : CTL_NO;
}

/* ---- from all processes ---- */

/* How often one that has gone away is looked for: it is started again at once. */
#define AGAIN_MS 500

#define N_CLIENTS (1 + POLICY_SHARDS_MAX)

struct watching {
        const struct ctl *ctl;
        json_t *request;
        struct client clients[N_CLIENTS]; /* the process that was started, and shards by their numbers */
};

/* Whether a shard has what is asked for. */
static bool is_asked(const struct watching *watching, unsigned number) {
        const struct client *first = &watching->clients[0];

        return number <= first->n_shards && (first->shard == 0 || first->shard == number);
}

/* @param r  of connecting; it is closed where it cannot be asked @return whether it was asked */
static bool ask(const struct watching *watching, struct client *client, int r) {
        if (r == 0 && client_send(client, json_incref(watching->request)) == 0)
                return true;
        client_close(client);
        return false;
}

static void ask_shards(struct watching *watching) {
        const char *path = watching->ctl->options->admin_socket;

        for (unsigned i = 1; i < N_CLIENTS; ++i) {
                if (is_asked(watching, i))
                        (void)ask(watching, &watching->clients[i],
                                  client_open(&watching->clients[i], path, i, ASK_PATIENCE_S));
        }
}

/* Those that have gone away, which has been said. */
static void ask_again(struct watching *watching) {
        const char *path = watching->ctl->options->admin_socket;

        for (unsigned i = 1; i < N_CLIENTS; ++i) {
                struct client *client = &watching->clients[i];
                int r;

                if (!is_asked(watching, i) || client->fd >= 0)
                        continue;
                r = client_connect(client, path, i, ASK_PATIENCE_S);
                client->is_missed = true;
                (void)ask(watching, client, r);
        }
}

/* It answers, and is watched from here on. */
static void find_again(struct client *client) {
        if (client->is_missed)
                ctl_complain("shard %u is watched again", client->number);
        client->is_missed = false;
}

/* @return as client_take(), but for 1; -EPIPE: nobody reads what is printed */
static int take_all(const struct watching *watching, struct client *client) {
        json_t *line = NULL;
        int status, r;

        while ((r = client_take(client, &line)) > 0) {
                find_again(client);
                status = take_record((void *)watching->ctl, line);
                json_decref(line);
                if (status != CTL_OK)
                        return -EPIPE;
        }
        return r;
}

/*
 * The end of the process that was started is that of all; a shard is started again, unless it is there and turns this client away: what it has would be missing, and to
 * ask again and again would be no better. @return enum ctl_status; CTL_OK: it goes on
 */
static int read_on(struct watching *watching, unsigned number) {
        struct client *client = &watching->clients[number];
        int r = client_receive(client);

        if (r == 0)
                r = take_all(watching, client);
        if (r == -EAGAIN)
                return CTL_OK;
        if (r == -EPIPE)
                return CTL_NO;
        if (number == 0 || r == -EREMOTEIO)
                return client->status;
        client_close(client);
        return CTL_OK;
}

/* @return how long to wait for events, in ms; -1: for ever */
static int prepare(const struct watching *watching, struct pollfd *events) {
        int timeout_ms = -1;

        for (unsigned i = 0; i < N_CLIENTS; ++i) {
                events[i] = (struct pollfd){ .fd = watching->clients[i].fd, .events = POLLIN };
                if (i > 0 && is_asked(watching, i) && events[i].fd < 0)
                        timeout_ms = AGAIN_MS;
        }
        return timeout_ms;
}

static int follow(struct watching *watching) {
        struct pollfd events[N_CLIENTS];
        int status = CTL_OK;

        while (status == CTL_OK) {
                int timeout_ms = prepare(watching, events), n = poll(events, N_CLIENTS, timeout_ms);

                if (timeout_ms >= 0)
                        ask_again(watching);
                for (unsigned i = 0; n > 0 && i < N_CLIENTS && status == CTL_OK; ++i) {
                        if (events[i].revents)
                                status = read_on(watching, i);
                }
        }
        return status;
}

/* The first line says whether there are shards. */
static int begin(struct watching *watching) {
        struct client *first = &watching->clients[0];
        json_t *line = NULL;
        int r = client_open(first, watching->ctl->options->admin_socket, 0, 0), status;

        if (r == 0)
                r = client_send(first, json_incref(watching->request));
        if (r < 0)
                return r == -EINVAL ? CTL_BAD : CTL_UNREACHABLE;
        if (client_next(first, &line) <= 0)
                return first->status;
        status = take_record((void *)watching->ctl, line);
        json_decref(line);
        ask_shards(watching);
        /* What came with the first line no event tells. */
        return status == CTL_OK && take_all(watching, first) == -EPIPE ? CTL_NO : status;
}

int ctl_watch(const struct ctl *ctl) {
        const struct options *options = ctl->options;
        struct watching watching = { .ctl = ctl };
        int status;

        watching.request =
                json_pack("{s:s, s:s*, s:s*, s:s*, s:s*}", "verb", "watch", "tenant", options->tenant, "verdict",
                          options->verdict, "operation", options->verb, "protocol", options->protocol);
        for (unsigned i = 0; i < N_CLIENTS; ++i)
                watching.clients[i].fd = -1;
        status = begin(&watching);
        if (status == CTL_OK)
                status = follow(&watching);
        for (unsigned i = 0; i < N_CLIENTS; ++i)
                client_close(&watching.clients[i]);
        json_decref(watching.request);
        return status;
}
