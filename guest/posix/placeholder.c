/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/posix/placeholder.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "guest/posix/state.h"

#define CAPACITY_MIN 16

#define IN_BASE UINT32_C(0xc6120000) /* 198.18.0.0 */

static const uint8_t in6_base[12] = { 0x01 }; /* 100::/96: more than the numbers that there are */

static bool reserve(struct nb_posix_placeholders *placeholders) {
        uint32_t capacity = placeholders->capacity ? 2 * placeholders->capacity : CAPACITY_MIN;
        char **names;

        if (placeholders->n < placeholders->capacity)
                return true;
        names = realloc(placeholders->names, capacity * sizeof(char *));
        if (!names)
                return false;
        placeholders->names = names;
        placeholders->capacity = capacity;
        return true;
}

static uint32_t search(struct nb_posix_placeholders *placeholders, const char *name) {
        ENTRY *found = NULL;
        ENTRY key = { .key = (char *)name }; /* hsearch_r() does not write there */

        if (!placeholders->indexed || !hsearch_r(key, FIND, &found, &placeholders->index))
                return 0;
        return (uint32_t)(uintptr_t)found->data;
}

/* Gives a name the next number. @param name  consumed @return 0, and `name` is not consumed, for want of memory */
static uint32_t add(struct nb_posix_placeholders *placeholders, char *name) {
        ENTRY *added;
        ENTRY entry = { .key = name, .data = (void *)(uintptr_t)(placeholders->n + 1) };

        if (placeholders->n == NB_POSIX_PLACEHOLDERS_MAX || !reserve(placeholders))
                return 0;
        if (!placeholders->indexed)
                placeholders->indexed = hcreate_r(CAPACITY_MIN, &placeholders->index);
        if (!placeholders->indexed || !hsearch_r(entry, ENTER, &added, &placeholders->index))
                return 0;
        placeholders->names[placeholders->n++] = name;
        return placeholders->n;
}

uint32_t nb_posix_placeholder(const char *name) {
        struct nb_posix_placeholders *placeholders = &nb_posix_state.placeholders;
        uint32_t number = search(placeholders, name);
        char *copy;

        if (number)
                return number;
        copy = strdup(name);
        if (!copy)
                return 0;
        number = add(placeholders, copy);
        if (!number)
                free(copy);
        return number;
}

const char *nb_posix_placeholder_name(uint32_t number) {
        const struct nb_posix_placeholders *placeholders = &nb_posix_state.placeholders;

        return number >= 1 && number <= placeholders->n ? placeholders->names[number - 1] : NULL;
}

struct in_addr nb_posix_placeholder_in(uint32_t number) {
        return (struct in_addr){ .s_addr = htonl(IN_BASE + number) };
}

struct in6_addr nb_posix_placeholder_in6(uint32_t number) {
        uint32_t bytes = htonl(number);
        struct in6_addr address;

        memcpy(address.s6_addr, in6_base, sizeof(in6_base));
        memcpy(address.s6_addr + sizeof(in6_base), &bytes, sizeof(bytes));
        return address;
}

uint32_t nb_posix_placeholder_of_in(struct in_addr address) {
        uint32_t number = ntohl(address.s_addr) - IN_BASE;

        return nb_posix_placeholder_name(number) ? number : 0;
}

uint32_t nb_posix_placeholder_of_in6(const struct in6_addr *address) {
        uint32_t bytes;

        if (memcmp(address->s6_addr, in6_base, sizeof(in6_base)) != 0)
                return 0;
        memcpy(&bytes, address->s6_addr + sizeof(in6_base), sizeof(bytes));
        return nb_posix_placeholder_name(ntohl(bytes)) ? ntohl(bytes) : 0;
}
