/* SPDX-License-Identifier: Apache-2.0 */
/* Names of services: a guest has no /etc/services, and programs write "http". The numbers are IANA's. */
#ifndef NB_GUEST_POSIX_SERVICE_H
#define NB_GUEST_POSIX_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

struct nb_posix_service {
        const char *name;
        uint16_t port;
        bool datagram; /* otherwise, over TCP */
        bool stream;
};

/** @param protocol  "tcp", "udp" or NULL @return static, or NULL */
const struct nb_posix_service *nb_posix_service_by_name(const char *name, const char *protocol);

/** @param port  in host order @return static, or NULL */
const struct nb_posix_service *nb_posix_service_by_port(uint16_t port, const char *protocol);

/** Reads a port in decimal digits. @return whether it is one */
bool nb_posix_port_parse(const char *text, uint16_t *ret);

#endif
