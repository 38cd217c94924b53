/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/relayed_facts.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct relayed_facts {
        size_t size;
        size_t security_length;  /* 0: none; otherwise the version is in it, at least */
        const uint8_t *security; /* packed; in `bytes` */
        const char *proxies;     /* in `bytes`; NULL: none */
        char bytes[];
};

/* With the blanks in between and the NUL. */
static size_t size_of_proxies(const struct policy_proxy *proxy) {
        size_t size = 0;

        for (size_t i = 0; proxy && i < proxy->n_hops; ++i)
                size += strlen(proxy->hops[i].text) + 1;
        return size;
}

static void put_proxies(const struct policy_proxy *proxy, char *at) {
        for (size_t i = 0; i < proxy->n_hops; ++i) {
                size_t length = strlen(proxy->hops[i].text);

                memcpy(at, proxy->hops[i].text, length);
                at += length;
                *at++ = i + 1 < proxy->n_hops ? ' ' : '\0';
        }
}

int relayed_facts_new(const Nb__Relay__Security *security, const struct policy_proxy *proxy,
                      struct relayed_facts **ret) {
        size_t security_length = security ? nb__relay__security__get_packed_size(security) : 0;
        size_t size = sizeof(struct relayed_facts) + security_length + size_of_proxies(proxy);
        struct relayed_facts *facts;

        if (size == sizeof(*facts)) {
                *ret = NULL;
                return 0;
        }
        facts = calloc(1, size);
        if (!facts)
                return -ENOMEM;
        facts->size = size;
        facts->security_length = security_length;
        facts->security = (const uint8_t *)facts->bytes;
        if (security)
                (void)nb__relay__security__pack(security, (uint8_t *)facts->bytes);
        if (size_of_proxies(proxy) > 0) {
                put_proxies(proxy, facts->bytes + security_length);
                facts->proxies = facts->bytes + security_length;
        }
        *ret = facts;
        return 0;
}

struct relayed_facts *relayed_facts_free(struct relayed_facts *facts) {
        free(facts);
        return NULL;
}

size_t relayed_facts_size(const struct relayed_facts *facts) {
        return facts ? facts->size : 0;
}

const char *relayed_facts_proxies(const struct relayed_facts *facts) {
        return facts ? facts->proxies : NULL;
}

Nb__Relay__Security *relayed_facts_security(const struct relayed_facts *facts) {
        if (!facts || facts->security_length == 0)
                return NULL;
        return nb__relay__security__unpack(NULL, facts->security_length, facts->security);
}
