/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of <arpa/inet.h> that wasi-libc lacks: those that came before inet_ntop() and inet_pton().
 */
#include <arpa/inet.h>

#include "guest/posix/state.h"

in_addr_t inet_addr(const char *text) {
        struct in_addr address;

        return inet_aton(text, &address) ? address.s_addr : INADDR_NONE;
}

in_addr_t inet_network(const char *text) {
        return ntohl(inet_addr(text));
}

char *inet_ntoa(struct in_addr address) {
        char *buffer = nb_posix_state.results.ntoa;

        (void)inet_ntop(AF_INET, &address, buffer, sizeof(nb_posix_state.results.ntoa));
        return buffer;
}

/* How many bits of an address of the old classes are the host's. */
static unsigned host_bits(in_addr_t address) {
        if (IN_CLASSA(address))
                return IN_CLASSA_NSHIFT;
        return IN_CLASSB(address) ? IN_CLASSB_NSHIFT : IN_CLASSC_NSHIFT;
}

/* A network comes without the zeros behind it. */
struct in_addr inet_makeaddr(in_addr_t network, in_addr_t host) {
        unsigned shift = network < 256 ? IN_CLASSA_NSHIFT : network < 65536 ? IN_CLASSB_NSHIFT : IN_CLASSC_NSHIFT;

        return (struct in_addr){ .s_addr = htonl(network << shift | host) };
}

in_addr_t inet_lnaof(struct in_addr address) {
        in_addr_t number = ntohl(address.s_addr);

        return number & ((UINT32_C(1) << host_bits(number)) - 1);
}

in_addr_t inet_netof(struct in_addr address) {
        in_addr_t number = ntohl(address.s_addr);

        return number >> host_bits(number);
}
