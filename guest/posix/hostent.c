/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions that POSIX had before getaddrinfo(), for programs that still use them.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>

#include "guest/posix/service.h"
#include "guest/posix/state.h"

int *__h_errno_location(void) {
        return &nb_posix_state.results.h_error;
}

const char *hstrerror(int error) {
        switch (error) {
        case 0:
                return "No error";
        case HOST_NOT_FOUND:
                return "Host not found";
        case TRY_AGAIN:
                return "Try again";
        case NO_RECOVERY:
                return "Non-recoverable error";
        case NO_DATA:
                return "Address not available";
        default:
                return "Unknown error";
        }
}

struct hostent *gethostbyname(const char *name) {
        struct nb_posix_results *results = &nb_posix_state.results;
        struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
        size_t length = strlen(name);
        struct addrinfo *info;
        struct sockaddr_in in;
        int error;

        error = length < sizeof(results->host_name) ? getaddrinfo(name, NULL, &hints, &info) : EAI_NONAME;
        if (error) {
                results->h_error = error == EAI_NONAME ? HOST_NOT_FOUND : NO_RECOVERY;
                return NULL;
        }
        memcpy(&in, info->ai_addr, sizeof(in));
        freeaddrinfo(info);
        memcpy(results->host_name, name, length + 1);
        results->host_address = in.sin_addr;
        results->host_addresses[0] = (char *)&results->host_address;
        results->host = (struct hostent){
                .h_name = results->host_name,
                .h_aliases = results->none,
                .h_addrtype = AF_INET,
                .h_length = sizeof(results->host_address),
                .h_addr_list = results->host_addresses,
        };
        return &results->host;
}

static struct servent *give_service(const struct nb_posix_service *service, const char *protocol) {
        struct nb_posix_results *results = &nb_posix_state.results;
        bool datagram = protocol ? strcmp(protocol, "udp") == 0 : !service->stream;

        results->service = (struct servent){
                .s_name = (char *)service->name, /* programs only read it */
                .s_aliases = results->none,
                .s_port = htons(service->port),
                .s_proto = datagram ? "udp" : "tcp",
        };
        return &results->service;
}

struct servent *getservbyname(const char *name, const char *protocol) {
        const struct nb_posix_service *service = nb_posix_service_by_name(name, protocol);

        return service ? give_service(service, protocol) : NULL;
}

struct servent *getservbyport(int port, const char *protocol) {
        const struct nb_posix_service *service = nb_posix_service_by_port(ntohs((uint16_t)port), protocol);

        return service ? give_service(service, protocol) : NULL;
}

struct protoent *getprotobyname(const char *name) {
        static const struct {
                const char *name;
                int number;
        } protocols[] = { { "ip", IPPROTO_IP }, { "tcp", IPPROTO_TCP }, { "udp", IPPROTO_UDP } };
        struct nb_posix_results *results = &nb_posix_state.results;

        for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); ++i) {
                if (strcmp(protocols[i].name, name) != 0)
                        continue;
                results->protocol = (struct protoent){
                        .p_name = (char *)protocols[i].name, /* programs only read it */
                        .p_aliases = results->none,
                        .p_proto = protocols[i].number,
                };
                return &results->protocol;
        }
        return NULL;
}
