/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/words.h"

#include "policy/policy.h"

const struct policy_word policy_words_family[] = {
        { .text = "ip", .value = POLICY_FAMILY_IP },
        { .text = "ipv4", .value = POLICY_FAMILY_IPV4 },
        { .text = "ipv6", .value = POLICY_FAMILY_IPV6 },
        { .text = "unix", .value = POLICY_FAMILY_UNIX },
        { .text = "quic", .not_yet = "is not enforced by this version, so it is refused", .value = -1 },
        { 0 },
};

const struct policy_word policy_words_data_path[] = {
        { .text = "direct", .value = POLICY_DATA_PATH_DIRECT },
        { .text = "auto",
          .not_yet = "comes with a later version, which proves the seal; this one has only direct",
          .value = -1 },
        { .text = "relay",
          .not_yet = "comes with a later version, which has a relay; this one has only direct",
          .value = -1 },
        { 0 },
};

const struct policy_word policy_words_socket_type[] = {
        { .text = "stream", .value = POLICY_SOCKET_STREAM },
        { .text = "dgram", .value = POLICY_SOCKET_DGRAM },
        { 0 },
};

const struct policy_word policy_words_mode[] = {
        { .text = "enforce", .value = POLICY_MODE_ENFORCE },
        { .text = "report", .value = POLICY_MODE_REPORT },
        { 0 },
};

const struct policy_word policy_words_existing[] = {
        { .text = "close", .value = POLICY_EXISTING_CLOSE },
        { .text = "keep", .value = POLICY_EXISTING_KEEP },
        { 0 },
};

const struct policy_word policy_words_yes_no[] = {
        { .text = "yes", .value = true },
        { .text = "no", .value = false },
        { 0 },
};

const char *policy_word(const struct policy_word *words, int value) {
        while (words->text && words->value != value)
                ++words;
        return words->text;
}
