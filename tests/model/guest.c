/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that does what it is told: the hand of tests/model.
 *
 * It is a host's process with libnetbroker and a guest without an engine, whose memory is an array. Each line of standard input is a
 * request, each line of standard output the answer to one, in order. A call that waits is one whose answer does not come.
 *
 *      begin [preopens]            a session and its guest, with        0 PROTOCOLS PREOPENS, as the guest's environment has them, or -ERRNO
 *                                  preopened sockets if it says so
 *      call NAME WORD...           one function of the guest's           ERRNO and the bytes asked for, each as hexadecimal digits
 *              NUMBER              an argument
 *              @ADDRESS=HEX        bytes that stand in the memory before
 *              ADDRESS:LENGTH      bytes that are asked for
 *      end                         frees guest and session               0
 *      count                       the process's open descriptors        N
 *
 * Numbers are decimal. Who asks is the test itself, so that what makes no sense ends the process.
 */
#include <dirent.h>
#include <err.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "netbroker/client.h"
#include "netbroker/wasi.h"

/* Two pages: a write of a mebibyte has its bytes read again and again (see model.py). */
#define MEMORY_SIZE 131072u
#define RANGES_MAX 4

struct player {
        const char *socket_path;
        const char *tenant;
        struct nb_session *session;
        struct nb_guest *guest;
        uint8_t *memory;
};

/* What one line asks for. */
struct request {
        uint64_t arguments[NB_WASI_PARAMETERS_MAX];
        unsigned n_arguments;
        struct {
                uint32_t address, length;
        } ranges[RANGES_MAX];
        unsigned n_ranges;
};

/* ---- the engine that there is not ---- */

static struct nb_guest_memory memory_of(void *data) {
        struct player *player = data;

        return (struct nb_guest_memory){ .base = player->memory, .size = MEMORY_SIZE };
}

static int no_function(void *data, size_t index, const uint64_t *arguments) {
        (void)data;
        (void)index;
        (void)arguments;
        return 58; /* notsup: it has no files */
}

static const struct nb_engine engine = { .memory = memory_of, .call = no_function };

/* ---- reading a request ---- */

static uint32_t address_in_memory(const char *text, char **ret_end) {
        unsigned long value = strtoul(text, ret_end, 10);

        if (*ret_end == text || value >= MEMORY_SIZE)
                errx(2, "no address: %s", text);
        return (uint32_t)value;
}

static uint8_t digit(char c) {
        static const char digits[] = "0123456789abcdef";
        const char *found = memchr(digits, c, sizeof(digits) - 1);

        if (!found)
                errx(2, "no hexadecimal digit: %c", c);
        return (uint8_t)(found - digits);
}

static void put_bytes(const struct player *player, const char *word) {
        char *at;
        uint32_t address = address_in_memory(word + 1, &at);

        for (++at; at[0] && at[1]; at += 2) {
                if (address >= MEMORY_SIZE)
                        errx(2, "too many bytes");
                player->memory[address++] = (uint8_t)(digit(at[0]) << 4 | digit(at[1]));
        }
}

static void add_range(struct request *request, const char *word) {
        char *colon, *end;
        uint32_t address = address_in_memory(word, &colon);
        uint32_t length = address_in_memory(colon + 1, &end);

        if (request->n_ranges == RANGES_MAX || length > MEMORY_SIZE - address)
                errx(2, "no range: %s", word);
        request->ranges[request->n_ranges].address = address;
        request->ranges[request->n_ranges++].length = length;
}

static void add_word(const struct player *player, struct request *request, const char *word) {
        if (word[0] == '@') {
                put_bytes(player, word);
        } else if (strchr(word, ':')) {
                add_range(request, word);
        } else {
                if (request->n_arguments == NB_WASI_PARAMETERS_MAX)
                        errx(2, "too many arguments");
                request->arguments[request->n_arguments++] = strtoull(word, NULL, 10);
        }
}

/* ---- requests ---- */

static void begin(struct player *player, bool has_preopens) {
        const struct nb_session_options options = {
                .size = sizeof(options),
                .socket_path = player->socket_path,
                .session_fd = -1,
                .tenant = player->tenant,
        };
        struct nb_guest_options guest_options = NB_GUEST_OPTIONS_INIT;
        int r;

        r = nb_session_open(&options, &player->session);
        if (r < 0) {
                printf("%d\n", r);
                return;
        }
        guest_options.session = player->session;
        guest_options.no_preopens = !has_preopens;
        for (size_t i = 0; i < sizeof(guest_options.stdio) / sizeof(guest_options.stdio[0]); ++i)
                guest_options.stdio[i] = -1;
        r = nb_guest_new(&guest_options, &player->guest);
        if (r < 0) {
                player->session = nb_session_free(player->session);
                printf("%d\n", r);
        } else {
                printf("0 %s %s\n", nb_guest_protocols(player->guest), nb_guest_preopens(player->guest));
        }
}

static void end(struct player *player) {
        player->guest = nb_guest_free(player->guest);
        player->session = nb_session_free(player->session);
}

static size_t find_function(const char *name) {
        for (size_t i = 0; i < nb_wasi_n_functions(); ++i) {
                const struct nb_wasi_function *function = nb_wasi_function(i);

                if ((function->use & NB_WASI_IMPORT) && strcmp(function->name, name) == 0)
                        return i;
        }
        errx(2, "no function: %s", name);
}

static void call(const struct player *player, const char *name, char *words) {
        struct request request = { 0 };
        int error;

        for (const char *word = strtok_r(NULL, " ", &words); word; word = strtok_r(NULL, " ", &words))
                add_word(player, &request, word);
        error = nb_guest_call(player->guest, &engine, (void *)player, find_function(name), request.arguments);
        printf("%d", error);
        for (unsigned i = 0; i < request.n_ranges; ++i) {
                const uint8_t *bytes = player->memory + request.ranges[i].address;

                putchar(' ');
                for (uint32_t j = 0; j < request.ranges[i].length; ++j)
                        printf("%02x", bytes[j]);
        }
        putchar('\n');
}

/* The descriptor that reads the folder is not one of them. */
static unsigned count_descriptors(void) {
        DIR *folder = opendir("/proc/self/fd");
        unsigned n = 0;

        if (!folder)
                err(2, "/proc/self/fd");
        for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
                n += entry->d_name[0] != '.';
        closedir(folder);
        return n - 1;
}

static void serve(struct player *player, char *line) {
        char *words = NULL;
        const char *verb, *name;

        line[strcspn(line, "\n")] = '\0';
        verb = strtok_r(line, " ", &words);
        if (!verb)
                errx(2, "an empty request");
        if (strcmp(verb, "begin") == 0) {
                name = strtok_r(NULL, " ", &words);
                begin(player, name && strcmp(name, "preopens") == 0);
        } else if (strcmp(verb, "end") == 0) {
                end(player);
                puts("0");
        } else if (strcmp(verb, "count") == 0) {
                printf("%u\n", count_descriptors());
        } else if (strcmp(verb, "call") == 0 && player->guest && (name = strtok_r(NULL, " ", &words))) {
                call(player, name, words);
        } else {
                errx(2, "no request: %s", verb);
        }
        (void)fflush(stdout);
}

int main(int argc, char **argv) {
        struct player player = { .memory = calloc(1, MEMORY_SIZE) };
        char *line NB_CLEANUP_FREE = NULL;
        size_t size = 0;

        if (argc != 3 || !player.memory)
                errx(2, "usage: %s SOCKET TENANT", argv[0]);
        player.socket_path = argv[1];
        player.tenant = argv[2];
        while (getline(&line, &size, stdin) >= 0)
                serve(&player, line);
        end(&player);
        free(player.memory);
        return 0;
}
