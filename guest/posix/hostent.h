/* SPDX-License-Identifier: Apache-2.0 */
/* Where the older functions of <netdb.h> and inet_ntoa() keep their results: part of the library's state. */
#ifndef NB_GUEST_POSIX_HOSTENT_H
#define NB_GUEST_POSIX_HOSTENT_H

#include <netdb.h>
#include <netinet/in.h>

struct nb_posix_results {
        int h_error;
        char host_name[NI_MAXHOST + 1];
        struct in_addr host_address;
        char *host_addresses[2];
        char *none[1]; /* an empty list of aliases */
        struct hostent host;
        struct servent service;
        struct protoent protocol;
        char ntoa[INET_ADDRSTRLEN];
};

#endif
