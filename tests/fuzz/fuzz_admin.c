/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's socket: the input is what a client writes before it shuts down its end, to a broker with one tenant and nobody else.
 *
 * Each request is answered by lines of JSON objects in ASCII, of which the last says "end" or "error", and the client is let go.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "broker/admin.h"
#include "broker/admin_client.h"
#include "broker/broker.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_target[] = "admin";

#define POLICY                                                                                                         \
        "[Tenant]\nName=acme\n[Protocol web]\nFamily=ip\nDataPath=direct\nConnect=*.example.com:443\n"                 \
        "Connect=10.0.0.0/8:*\nDeny=10.1.0.0/16:*\n[Protocol local]\nFamily=unix\nDataPath=direct\nConnect=/run/a\n"

/* More turns of the loop than any answer to a short input takes. */
#define TURNS_MAX 10000

/* A request of more is one too many for one input. */
#define INPUT_MAX 16384

static struct broker *new_broker(void) {
        const struct policy_source source = { .path = "/dev/null/none" };
        const struct policy_defaults defaults = { 0 };
        struct nb_log log = { .program = "fuzz", .level = NB_LOG_ERROR, .fd = open("/dev/null", O_WRONLY | O_CLOEXEC) };
        struct policy *policy = policy_new();
        struct policy_error error;
        struct broker *broker;

        FUZZ_CHECK(policy && log.fd >= 0, "%s", strerror(errno));
        FUZZ_CHECK(policy_add_file(policy, "acme.conf", POLICY, strlen(POLICY), &defaults, &error) == 0, "%s",
                   error.message);
        broker = broker_new(&log, &source, policy, audit_sink_new_fd(open("/dev/null", O_WRONLY | O_CLOEXEC)));
        FUZZ_CHECK(broker, "%s", strerror(errno));
        return broker;
}

/** One line of the answer. @return whether it ends one */
static bool check_line(const struct fuzz_line *line) {
        json_t *object = json_loadb(line->text, line->length, JSON_REJECT_DUPLICATES, NULL);
        bool is_end;

        FUZZ_CHECK(json_is_object(object), "%.*s", (int)line->length, line->text);
        for (size_t i = 0; i < line->length; ++i)
                FUZZ_CHECK(line->text[i] >= ' ' && (unsigned char)line->text[i] < 0x80, "byte %02x",
                           (unsigned char)line->text[i]);
        is_end = json_object_get(object, "end") || json_object_get(object, "error");
        json_decref(object);
        return is_end;
}

static void check_answers(const char *text, size_t length) {
        struct fuzz_line line;
        bool is_end = true;

        FUZZ_CHECK(length == 0 || text[length - 1] == '\n', "half a line at the end");
        while (fuzz_next_line(&text, &length, &line))
                is_end = check_line(&line);
        FUZZ_CHECK(is_end, "the last line is no end");
}

/** Runs the loop, and takes what the client is told, until it is let go. @return owned by the caller; NULL where it waits for what does not come */
static char *take_answers(struct broker *broker, int fd, size_t *ret_length) {
        size_t length = 0, allocated = 65536;
        char *text = malloc(allocated);
        ssize_t n;

        for (int i = 0; text && i < TURNS_MAX; ++i) {
                broker_turn(broker, false);
                n = recv(fd, text + length, allocated - length, MSG_DONTWAIT);
                if (n == 0 || (n < 0 && errno != EAGAIN)) {
                        *ret_length = length;
                        return text;
                }
                length += n > 0 ? (size_t)n : 0;
                if (length == allocated)
                        text = realloc(text, allocated *= 2);
        }
        free(text);
        return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        NB_CLEANUP_FREE char *answers = NULL;
        struct broker *broker;
        size_t length;
        int pair[2], log_fd;

        if (size == 0 || size > INPUT_MAX)
                return 0;
        broker = new_broker();
        log_fd = broker->log.fd;
        FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0, "%s",
                   strerror(errno));
        FUZZ_CHECK(send(pair[1], data, size, 0) == (ssize_t)size && shutdown(pair[1], SHUT_WR) == 0, "%s",
                   strerror(errno));
        admin_client_new(broker->admin, pair[0]);
        answers = take_answers(broker, pair[1], &length);
        if (answers)
                check_answers(answers, length);
        (void)close(pair[1]);
        (void)broker_free(broker);
        (void)close(log_fd);
        return 0;
}
