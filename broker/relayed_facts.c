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

/* With room for what is to be filled in. @return NULL without memory */
static struct relayed_facts *allocate(size_t security_length, size_t proxies_size) {
        size_t size = sizeof(struct relayed_facts) + security_length + proxies_size;
        struct relayed_facts *facts = calloc(1, size);

        if (!facts)
                return NULL;
        facts->size = size;
        facts->security_length = security_length;
        facts->security = (const uint8_t *)facts->bytes;
        if (proxies_size > 0)
                facts->proxies = facts->bytes + security_length;
        return facts;
}

int relayed_facts_new(const Nb__Relay__Security *security, const struct policy_proxy *proxy,
                      struct relayed_facts **ret) {
        size_t security_length = security ? nb__relay__security__get_packed_size(security) : 0;
        struct relayed_facts *facts;

        if (security_length == 0 && size_of_proxies(proxy) == 0) {
                *ret = NULL;
                return 0;
        }
        facts = allocate(security_length, size_of_proxies(proxy));
        if (!facts)
                return -ENOMEM;
        if (security)
                (void)nb__relay__security__pack(security, (uint8_t *)facts->bytes);
        if (facts->proxies)
                put_proxies(proxy, facts->bytes + security_length);
        *ret = facts;
        return 0;
}

int relayed_facts_restore(const uint8_t *security, size_t length, const char *proxies, struct relayed_facts **ret) {
        size_t proxies_size = proxies ? strlen(proxies) + 1 : 0;
        struct relayed_facts *facts;

        if (length == 0 && proxies_size == 0) {
                *ret = NULL;
                return 0;
        }
        facts = allocate(length, proxies_size);
        if (!facts)
                return -ENOMEM;
        if (length > 0)
                memcpy(facts->bytes, security, length);
        if (proxies_size > 0)
                memcpy(facts->bytes + length, proxies, proxies_size);
        *ret = facts;
        return 0;
}

const uint8_t *relayed_facts_packed(const struct relayed_facts *facts, size_t *ret_length) {
        *ret_length = facts ? facts->security_length : 0;
        return facts ? facts->security : NULL;
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
