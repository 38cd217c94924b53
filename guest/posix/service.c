/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/posix/service.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stddef.h>
#include <string.h>

static const struct nb_posix_service services[] = {
        { "domain", 53, true, true },       { "ftp", 21, false, true },          { "http", 80, false, true },
        { "https", 443, true, true },       { "imap2", 143, false, true },       { "imap", 143, false, true },
        { "imaps", 993, false, true },      { "ldap", 389, true, true },         { "ldaps", 636, true, true },
        { "mysql", 3306, false, true },     { "ntp", 123, true, false },         { "pop3", 110, false, true },
        { "pop3s", 995, false, true },      { "postgresql", 5432, false, true }, { "redis", 6379, false, true },
        { "smtp", 25, false, true },        { "snmp", 161, true, true },         { "ssh", 22, false, true },
        { "submission", 587, false, true }, { "syslog", 514, true, false },      { "telnet", 23, false, true },
        { "tftp", 69, true, false },
};

#define N_SERVICES (sizeof(services) / sizeof(services[0]))

static bool has_protocol(const struct nb_posix_service *service, const char *protocol) {
        if (!protocol)
                return true;
        return (service->stream && strcmp(protocol, "tcp") == 0) || (service->datagram && strcmp(protocol, "udp") == 0);
}

const struct nb_posix_service *nb_posix_service_by_name(const char *name, const char *protocol) {
        for (size_t i = 0; i < N_SERVICES; ++i) {
                if (strcmp(services[i].name, name) == 0 && has_protocol(&services[i], protocol))
                        return &services[i];
        }
        return NULL;
}

const struct nb_posix_service *nb_posix_service_by_port(uint16_t port, const char *protocol) {
        for (size_t i = 0; i < N_SERVICES; ++i) {
                if (services[i].port == port && has_protocol(&services[i], protocol))
                        return &services[i];
        }
        return NULL;
}

bool nb_posix_port_parse(const char *text, uint16_t *ret) {
        uint32_t port = 0;

        if (*text == '\0')
                return false;
        for (; *text; ++text) {
                if (*text < '0' || *text > '9')
                        return false;
                port = port * 10 + (uint32_t)(*text - '0');
                if (port > UINT16_MAX)
                        return false;
        }
        *ret = (uint16_t)port;
        return true;
}
