/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host names: the input is `name:port`, as a guest writes it.
 *
 * Whatever is taken for a name is in the one form that is matched, asked of DNS and recorded: lower-case labels of 1 to 63 of the bytes that
 * labels have, without a dot at the end, never an address in any spelling; and that form is itself a name, the same one.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/cleanup.h"
#include "policy/host_name.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_target[] = "host_name";

static void check_labels(const char *name) {
        size_t length;

        for (const char *label = name;; label += length + 1) {
                length = strcspn(label, ".");
                FUZZ_CHECK(length >= 1 && length <= 63, "a label of %zu bytes in %s", length, name);
                FUZZ_CHECK(label[0] != '-' && label[length - 1] != '-', "%s", name);
                FUZZ_CHECK(strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") >= length, "%s", name);
                if (label[length] == '\0')
                        return;
        }
}

static void check_is_no_address(const char *name) {
        struct in_addr ipv4;
        struct nb_ip ip;

        FUZZ_CHECK(inet_aton(name, &ipv4) == 0, "inet_aton(3) takes %s for an address", name);
        FUZZ_CHECK(nb_ip_parse(name, strlen(name), &ip) < 0, "%s is an address", name);
}

static void check_is_itself(const struct policy_host_name *name) {
        char text[POLICY_HOST_NAME_MAX + 8];
        struct policy_host_name again;
        int length = snprintf(text, sizeof(text), "%s:%u", name->text, name->port);

        FUZZ_CHECK(policy_host_name_parse(text, (size_t)length, &again) == 0, "%s is no name", text);
        FUZZ_CHECK(again.port == name->port && strcmp(again.text, name->text) == 0, "%s is %s:%u", text, again.text,
                   again.port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        NB_CLEANUP_FREE char *text = fuzz_text(data, size);
        struct policy_host_name name;
        int r = policy_host_name_parse(text, size, &name);

        FUZZ_CHECK(r == 0 || r == -EINVAL, "%d", r);
        if (r < 0)
                return 0;
        FUZZ_CHECK(name.port > 0 && strlen(name.text) <= POLICY_HOST_NAME_MAX, "%s:%u", name.text, name.port);
        check_labels(name.text);
        check_is_no_address(name.text);
        check_is_itself(&name);
        return 0;
}
