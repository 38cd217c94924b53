/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/limit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "policy/suggest.h"

#define INFINITE "infinity"

/* The most of each unit. Accounts count in 32 bits; a nanosecond is the least time between two requests that makes sense. */
#define COUNT_MAX 1000000000u
#define RATE_MAX 1000000000u
#define BYTES_MAX ((uint64_t)1 << 50)

/* Digits that are read: those of BYTES_MAX. */
#define DIGITS_MAX 16

static const struct policy_limit_kind kinds[POLICY_N_LIMITS] = {
        /* A host process with 1,000 guests of ten controls each fits several times. */
        [POLICY_LIMIT_SESSIONS] = { "MaxSessions", POLICY_UNIT_COUNT, 4096 },
        [POLICY_LIMIT_CONTROLS] = { "MaxControls", POLICY_UNIT_COUNT, 65536 },
        [POLICY_LIMIT_LISTENERS] = { "MaxListeners", POLICY_UNIT_COUNT, 65536 },
        [POLICY_LIMIT_CONNECTIONS] = { "MaxConnections", POLICY_UNIT_COUNT, 65536 },
        [POLICY_LIMIT_CONNECTING] = { "MaxConnecting", POLICY_UNIT_COUNT, 4096 },
        [POLICY_LIMIT_IN_FLIGHT] = { "MaxInFlight", POLICY_UNIT_COUNT, 4096 },
        [POLICY_LIMIT_LOOKUPS] = { "MaxLookups", POLICY_UNIT_COUNT, 256 },
        /* A request is answered in some tens of microseconds: one tenant gets a good part of a core, and not all of it. */
        [POLICY_LIMIT_REQUEST_RATE] = { "RequestRate", POLICY_UNIT_RATE, 10000 },
        [POLICY_LIMIT_CONNECT_RATE] = { "ConnectRate", POLICY_UNIT_RATE, POLICY_UNLIMITED }, /* requests bound it */
        /* To know it takes a dump of the tenant's sockets every second, so only who asks for it pays. */
        [POLICY_LIMIT_BYTES_IN_FLIGHT] = { "MaxBytesInFlight", POLICY_UNIT_BYTES, POLICY_UNLIMITED },
        [POLICY_LIMIT_MEMORY] = { "MaxMemory", POLICY_UNIT_BYTES, POLICY_UNLIMITED }, /* the counts above bound it */
        /* A silent peer holds one for HandshakeTimeout=, so there are more than a burst of honest ones needs. */
        [POLICY_LIMIT_HANDSHAKES] = { "MaxHandshakes", POLICY_UNIT_COUNT, 1024 },
        [POLICY_LIMIT_RELAY_MEMORY] = { "RelayMemory", POLICY_UNIT_BYTES, (uint64_t)1 << 30 },
};

/** What may stand behind the digits. */
struct suffix {
        const char *text;
        uint64_t factor;
};

static const struct suffix count_suffixes[] = { { "", 1 }, { 0 } };
static const struct suffix rate_suffixes[] = { { "/s", 1 }, { 0 } };

/* The largest first, for printing. */
static const struct suffix bytes_suffixes[] = {
        { "G", (uint64_t)1 << 30 }, { "M", (uint64_t)1 << 20 }, { "K", (uint64_t)1 << 10 }, { "", 1 }, { 0 },
};

static const struct {
        const struct suffix *suffixes;
        uint64_t most;
        const char *expected;
        const char *missing; /* suffix, where a bare number is likely to be meant so */
} units[] = {
        [POLICY_UNIT_COUNT] = { count_suffixes, COUNT_MAX, "a whole number from 1 to 1000000000, or " INFINITE, "" },
        [POLICY_UNIT_RATE] = { rate_suffixes, RATE_MAX, "a number a second, from 1/s to 1000000000/s, or " INFINITE,
                               "/s" },
        [POLICY_UNIT_BYTES] = { bytes_suffixes, BYTES_MAX,
                                "a number of bytes up to 1048576G, which may end in K, M or G, or " INFINITE, "" },
};

const struct policy_limit_kind *policy_limit_kind(enum policy_limit limit) {
        return &kinds[limit];
}

/** Digits and a suffix of the unit. @return whether it is a number within the unit's bounds. */
static bool parse_number(enum policy_limit_unit unit, const char *text, uint64_t *ret) {
        size_t digits = strspn(text, "0123456789");
        uint64_t number = 0;

        if (digits == 0 || digits > DIGITS_MAX || text[0] == '0')
                return false;
        for (size_t i = 0; i < digits; ++i)
                number = number * 10 + (uint64_t)(text[i] - '0');
        for (const struct suffix *suffix = units[unit].suffixes; suffix->text; ++suffix) {
                if (strcmp(text + digits, suffix->text) != 0)
                        continue;
                if (number > units[unit].most / suffix->factor)
                        return false;
                *ret = number * suffix->factor;
                return true;
        }
        return false;
}

int policy_number_parse(const char *text, enum policy_limit_unit unit, uint64_t *ret) {
        return parse_number(unit, text, ret) ? 0 : -EINVAL;
}

/** A word that is nearly right, or a number without its unit. */
static void suggest(enum policy_limit_unit unit, const char *text, struct policy_complaint *complaint) {
        char correct[POLICY_LIMIT_TEXT_MAX];
        size_t length = strlen(text), distance = 0;
        uint64_t ignored;

        if (policy_suggest(text, length, INFINITE, NULL, &distance)) {
                policy_complaint_splice(complaint, text, length, 0, length, INFINITE);
                return;
        }
        if (length + strlen(units[unit].missing) >= sizeof(correct))
                return;
        snprintf(correct, sizeof(correct), "%s%s", text, units[unit].missing);
        if (parse_number(unit, correct, &ignored))
                policy_complaint_splice(complaint, text, length, 0, length, correct);
}

int policy_limit_parse(enum policy_limit limit, const char *text, uint64_t *ret,
                       struct policy_complaint *ret_complaint) {
        enum policy_limit_unit unit = kinds[limit].unit;

        if (strcmp(text, INFINITE) == 0) {
                *ret = POLICY_UNLIMITED;
                return 0;
        }
        if (parse_number(unit, text, ret))
                return 0;
        policy_complain(ret_complaint, 0, "%s= is %s", kinds[limit].key, units[unit].expected);
        suggest(unit, text, ret_complaint);
        return -EINVAL;
}

const char *policy_number_format(enum policy_limit_unit unit, uint64_t value,
                                 char buffer[static POLICY_LIMIT_TEXT_MAX]) {
        const struct suffix *suffix = units[unit].suffixes;

        while (suffix[1].text && value % suffix->factor != 0)
                ++suffix;
        snprintf(buffer, POLICY_LIMIT_TEXT_MAX, "%" PRIu64 "%s", value / suffix->factor, suffix->text);
        return buffer;
}

const char *policy_limit_format(enum policy_limit limit, uint64_t value, char buffer[static POLICY_LIMIT_TEXT_MAX]) {
        if (value != POLICY_UNLIMITED)
                return policy_number_format(kinds[limit].unit, value, buffer);
        snprintf(buffer, POLICY_LIMIT_TEXT_MAX, INFINITE);
        return buffer;
}
