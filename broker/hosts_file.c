/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/hosts_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

#define SPACES " \t\r\n"
#define LOCALHOST "localhost"

static void close_file(FILE **file) {
        if (*file)
                (void)fclose(*file);
}

/* A line is an address and the names that it has. What is no address, as one with a zone, is passed over. */
static bool line_has(char *line, const char *name, sa_family_t family, struct nb_ip *ret) {
        char *rest = line;
        const char *word;

        line[strcspn(line, "#")] = '\0';
        word = strtok_r(line, SPACES, &rest);
        if (!word || nb_ip_parse(word, strlen(word), ret) < 0 || ret->family != family)
                return false;
        while ((word = strtok_r(NULL, SPACES, &rest))) {
                if (strcasecmp(word, name) == 0)
                        return true;
        }
        return false;
}

bool hosts_file_find(const char *path, const char *name, sa_family_t family, struct dns_answer *ret) {
        NB_CLEANUP(close_file) FILE *file = fopen(path, "re");
        struct dns_answer answer = { .error = 0 };
        NB_CLEANUP_FREE char *line = NULL;
        size_t size = 0;

        if (!file)
                return false;
        for (unsigned n = 0; n < HOSTS_FILE_LINES_MAX && answer.n_addresses < DNS_ADDRESSES_MAX; ++n) {
                if (getline(&line, &size, file) < 0)
                        break;
                if (line_has(line, name, family, &answer.addresses[answer.n_addresses]))
                        answer.n_addresses++;
        }
        if (answer.n_addresses == 0)
                return false;
        *ret = answer;
        return true;
}

bool hosts_file_is_localhost(const char *name) {
        size_t length = strlen(name), n = strlen(LOCALHOST);

        if (length < n || strcmp(name + length - n, LOCALHOST) != 0)
                return false;
        return length == n || name[length - n - 1] == '.';
}
