/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "policy/guard.h"
#include "policy/suggest.h"
#include "policy/unix_pattern.h"
#include "policy/value.h"
#include "policy/words.h"

/* How much of a wrong value a message quotes. */
#define QUOTE_MAX 64

#define TIMEOUT_MAX_MS (10u * 60 * 1000)

#define DIGITS "0123456789"
#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" DIGITS "-_."

static const struct {
        const char *text;
        uint64_t ms;
} time_units[] = {
        { "ms", 1 },
        { "s", 1000 },
        { "min", 60 * 1000 },
};

/** Appends to a list of words for a message: "ip, ipv4 or ipv6". */
static void append_word(char *list, size_t size, const char *word, bool first, bool last) {
        size_t used = strlen(list);

        snprintf(list + used, size - used, "%s%s", first ? "" : last ? " or " : ", ", word);
}

static void list_words(const struct policy_word *words, char *list, size_t size) {
        const struct policy_word *previous = NULL;
        bool first = true;

        list[0] = '\0';
        for (const struct policy_word *word = words;; ++word) {
                if (word->text && word->not_yet)
                        continue;
                if (previous) {
                        append_word(list, size, previous->text, first, !word->text);
                        first = false;
                }
                if (!word->text)
                        return;
                previous = word;
        }
}

int policy_word_parse(const char *text, const struct policy_word *words, int *ret,
                      struct policy_complaint *ret_complaint) {
        char quote[QUOTE_MAX], list[QUOTE_MAX];
        const char *best = NULL;
        size_t distance = 0;

        for (const struct policy_word *word = words; word->text; ++word) {
                if (strcmp(text, word->text) != 0)
                        continue;
                if (word->not_yet)
                        return policy_complain(ret_complaint, 0, "\"%s\" %s", word->text, word->not_yet);
                *ret = word->value;
                return 0;
        }

        for (const struct policy_word *word = words; word->text; ++word)
                if (!word->not_yet)
                        best = policy_suggest(text, strlen(text), word->text, best, &distance);
        policy_printable(text, strlen(text), quote, sizeof(quote));
        list_words(words, list, sizeof(list));
        policy_complain(ret_complaint, 0, "\"%s\" is not %s", quote, list);
        if (best)
                policy_complaint_splice(ret_complaint, text, strlen(text), 0, strlen(text), best);
        return -EINVAL;
}

int policy_timeout_parse(const char *text, uint64_t *ret, struct policy_complaint *ret_complaint) {
        size_t digits = strspn(text, DIGITS);
        uint64_t number = 0;

        for (size_t i = 0; i < digits && i < 9; ++i)
                number = number * 10 + (uint64_t)(text[i] - '0');

        for (size_t i = 0; i < sizeof(time_units) / sizeof(time_units[0]); ++i) {
                if (digits == 0 || digits > 8 || text[0] == '0' || strcmp(text + digits, time_units[i].text) != 0)
                        continue;
                if (number * time_units[i].ms > TIMEOUT_MAX_MS)
                        break;
                *ret = number * time_units[i].ms;
                return 0;
        }

        policy_complain(ret_complaint, 0, "a time is a whole number with its unit, ms, s or min: from 1ms to 10min");
        if (digits > 0 && digits <= 3 && text[0] != '0' && text[digits] == '\0' && number <= TIMEOUT_MAX_MS / 1000)
                policy_complaint_splice(ret_complaint, text, digits, digits, digits, "s");
        return -EINVAL;
}

const char *policy_timeout_format(uint64_t ms, char buffer[static POLICY_TIMEOUT_TEXT_MAX]) {
        size_t unit = sizeof(time_units) / sizeof(time_units[0]) - 1;

        while (unit > 0 && ms % time_units[unit].ms != 0)
                --unit;
        snprintf(buffer, POLICY_TIMEOUT_TEXT_MAX, "%" PRIu64 "%s", ms / time_units[unit].ms, time_units[unit].text);
        return buffer;
}

int policy_mode_parse(const char *text, uint32_t *ret, struct policy_complaint *ret_complaint) {
        size_t digits = strspn(text, "01234567");
        uint32_t mode = 0;

        if (text[digits] != '\0' || digits < 3 || digits > 4)
                return policy_complain(ret_complaint, 0, "a mode is three or four octal digits, such as 0660");
        for (size_t i = 0; i < digits; ++i)
                mode = mode * 8 + (uint32_t)(text[i] - '0');
        if (mode > 0777)
                return policy_complain(ret_complaint, 0, "a socket's mode is at most 0777: user, group and others");
        *ret = mode;
        return 0;
}

int policy_name_check(const char *text, struct policy_complaint *ret_complaint) {
        size_t good = strspn(text, NAME_CHARACTERS);

        if (text[0] == '\0')
                return policy_complain(ret_complaint, 0, "the name is missing");
        if (text[good] != '\0')
                return policy_complain(ret_complaint, good,
                                       "a name is made of letters, digits, \"-\", \"_\" and \".\" of ASCII");
        if (good > POLICY_NAME_MAX)
                return policy_complain(ret_complaint, POLICY_NAME_MAX, "the name is longer than %d bytes",
                                       POLICY_NAME_MAX);
        return 0;
}

/** A number as the kernel counts users and groups: 4294967295 is none but (uid_t) -1. */
static int check_id(const char *text, size_t digits, const char *what, struct policy_complaint *ret_complaint) {
        uint64_t number = 0;

        for (size_t i = 0; i < digits && i < 11; ++i)
                number = number * 10 + (uint64_t)(text[i] - '0');
        if (number >= UINT32_MAX || (text[0] == '0' && digits > 1))
                return policy_complain(ret_complaint, 0, "a %s's number is from 0 to 4294967294, without leading zeros",
                                       what);
        return 0;
}

/** @param what  "user" or "group" @param key  "User" or "Group" */
static int check_account(const char *text, const char *what, const char *key, struct policy_complaint *ret_complaint) {
        size_t digits = strspn(text, DIGITS);
        size_t good = strspn(text, NAME_CHARACTERS "@$+\\");

        if (text[0] == '\0')
                return policy_complain(ret_complaint, 0, "the %s is missing", what);
        if (text[digits] == '\0')
                return check_id(text, digits, what, ret_complaint);
        if (text[good] == ' ' || text[good] == '\t' || text[good] == ',')
                return policy_complain(ret_complaint, good, "one %s a line; write %s= again for the next", what, key);
        if (text[good] != '\0' || text[0] == '-')
                return policy_complain(ret_complaint, text[0] == '-' ? 0 : good, "this is not in a %s's name", what);
        if (good > POLICY_USER_MAX)
                return policy_complain(ret_complaint, POLICY_USER_MAX, "the name is longer than %d bytes",
                                       POLICY_USER_MAX);
        return 0;
}

int policy_user_check(const char *text, struct policy_complaint *ret_complaint) {
        return check_account(text, "user", "User", ret_complaint);
}

int policy_group_check(const char *text, struct policy_complaint *ret_complaint) {
        return check_account(text, "group", "Group", ret_complaint);
}

static bool ends_in(const char *text, size_t length, const char *end) {
        size_t n = strlen(end);

        return length > n && memcmp(text + length - n, end, n) == 0;
}

int policy_unit_check(const char *text, struct policy_complaint *ret_complaint) {
        size_t length = strlen(text), good = strspn(text, NAME_CHARACTERS ":@\\");

        if (text[good] == ' ' || text[good] == '\t' || text[good] == ',')
                return policy_complain(ret_complaint, good, "one unit a line; write Unit= again for the next");
        if (good < length)
                return policy_complain(ret_complaint, good, "this is not in a unit's name (systemd.unit(5))");
        if (length > POLICY_USER_MAX)
                return policy_complain(ret_complaint, POLICY_USER_MAX, "the name is longer than %d bytes",
                                       POLICY_USER_MAX);
        if (ends_in(text, length, ".service") || ends_in(text, length, ".scope"))
                return 0;
        policy_complain(ret_complaint, 0, "the unit of a process is a service or a scope, such as acme.service");
        if (!strchr(text, '.'))
                policy_complaint_splice(ret_complaint, text, length, length, length, ".service");
        return -EINVAL;
}

int policy_socket_path_check(const char *text, struct policy_complaint *ret_complaint) {
        size_t length = strlen(text), star = strcspn(text, "*");

        if (text[0] != '/')
                return policy_complain(ret_complaint, 0,
                                       "a tenant's socket is a path from the root, such as "
                                       "/run/netbroker/acme.sock");
        if (star < length)
                return policy_complain(ret_complaint, star, "a socket has one path, without \"*\"");
        return policy_unix_pattern_check(text, length, ret_complaint);
}

int policy_yes_no_parse(const char *text, bool *ret, struct policy_complaint *ret_complaint) {
        int word, r = policy_word_parse(text, policy_words_yes_no, &word, ret_complaint);

        if (r == 0)
                *ret = word;
        return r;
}

/* ---- name servers ---- */

/** IPv6 without brackets. */
static int complain_about_bare_resolver(const char *text, struct policy_complaint *ret_complaint) {
        char replacement[NB_ADDRESS_TEXT_MAX + 2];

        policy_complain(ret_complaint, 0, "an IPv6 address is written in brackets");
        snprintf(replacement, sizeof(replacement), "[%.*s]", NB_ADDRESS_TEXT_MAX - 1, text);
        policy_complaint_splice(ret_complaint, text, strlen(text), 0, strlen(text), replacement);
        return -EINVAL;
}

/** An address with or without a port. */
static int parse_server(const char *text, struct nb_address *ret, struct policy_complaint *ret_complaint) {
        size_t length = strlen(text);
        char quote[QUOTE_MAX];

        *ret = (struct nb_address){ .port = POLICY_RESOLVER_PORT };
        if (nb_ip_parse(text, length, &ret->ip) == 0)
                return ret->ip.family == AF_INET ? 0 : complain_about_bare_resolver(text, ret_complaint);
        if (length > 2 && text[0] == '[' && text[length - 1] == ']' &&
            nb_ip_parse(text + 1, length - 2, &ret->ip) == 0 && ret->ip.family == AF_INET6)
                return 0;
        if (nb_address_parse(text, length, ret) == 0)
                return 0;
        policy_printable(text, length, quote, sizeof(quote));
        return policy_complain(ret_complaint, 0,
                               "\"%s\" is not the address of a name server, such as 192.0.2.53 or [2001:db8::53]:5353",
                               quote);
}

int policy_resolver_parse(const char *text, struct nb_address *ret, struct policy_complaint *ret_complaint) {
        struct nb_address address;
        struct nb_prefix single;
        struct nb_ip ipv4;
        int r = parse_server(text, &address, ret_complaint);

        if (r < 0)
                return r;
        if (address.port == 0)
                return policy_complain(ret_complaint, 0, "port 0 is no port");
        ipv4 = address.ip;
        nb_ip_unmap(&ipv4);
        if (!nb_ip_equal(&ipv4, &address.ip))
                return policy_complain(ret_complaint, 0, "an IPv4-mapped address is written as IPv4");
        single = (struct nb_prefix){ .ip = address.ip, .length = address.ip.family == AF_INET ? 32 : 128 };
        if (nb_ip_is_unspecified(&address.ip) || policy_guard_no_grant(&single))
                return policy_complain(ret_complaint, 0, "this is not the address of one name server");
        *ret = address;
        return 0;
}

const char *policy_resolver_format(const struct nb_address *address, char buffer[static NB_ADDRESS_TEXT_MAX]) {
        char ip[NB_ADDRESS_TEXT_MAX];

        if (address->port != POLICY_RESOLVER_PORT)
                return nb_address_format(address, buffer);
        nb_ip_format(&address->ip, ip);
        snprintf(buffer, NB_ADDRESS_TEXT_MAX, address->ip.family == AF_INET ? "%s" : "[%.60s]", ip);
        return buffer;
}
