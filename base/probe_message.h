/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What netbrokerd and netbroker-probe(8) say to each other, over an AF_UNIX SOCK_SEQPACKET socket, to prove the seal: that a process of another
 * cgroup cannot turn a socket of the broker's into anything else. Messages have fixed sizes.
 *
 *     broker  nb_probe_request and a socket for each bit of its mask, in their order: connected ones, made for this
 *     probe   nb_probe_doors: the ports on which it listens and receives now, by sockets that it has disconnected
 *     broker  nb_probe_knocked, once it has connected or sent to each of these
 *     probe   nb_probe_report: what came of each attempt
 *
 * base/probe.h is the broker's side.
 */
#ifndef NB_BASE_PROBE_MESSAGE_H
#define NB_BASE_PROBE_MESSAGE_H

#include <stdint.h>

/** Changes with the structs. A message of another version ends the connection. */
#define NB_PROBE_VERSION 1

/** The sockets that are tried. */
enum nb_probe_socket {
        NB_PROBE_TCP4,
        NB_PROBE_TCP4_ACCEPTED,
        NB_PROBE_TCP4_BOUND, /* its maker has bound it before it was connected, so it keeps its port */
        NB_PROBE_UDP4,
        NB_PROBE_UDP4_BOUND,
        NB_PROBE_TCP6,
        NB_PROBE_TCP6_ACCEPTED,
        NB_PROBE_TCP6_BOUND,
        NB_PROBE_UDP6,
        NB_PROBE_UDP6_BOUND,
        NB_PROBE_SOCKETS,
};

/** What is tried. */
enum nb_probe_escape {
        NB_PROBE_CONNECT,       /* disconnect, then connect(2) elsewhere */
        NB_PROBE_CONNECT_OTHER, /* the same, of an IPv6 socket to an address of IPv4 */
        NB_PROBE_FAST_OPEN,     /* disconnect, then sendto(2) with MSG_FASTOPEN */
        NB_PROBE_IO_URING,      /* disconnect, then IORING_OP_CONNECT */
        NB_PROBE_BIND,          /* disconnect, then bind(2) */
        NB_PROBE_LISTEN,        /* disconnect, then listen(2), and be connected to */
        NB_PROBE_SENDTO,        /* of datagrams: sendto(2) elsewhere, connected and not */
        NB_PROBE_SENDMSG,
        NB_PROBE_SENDMMSG,
        NB_PROBE_RECEIVE, /* of datagrams: disconnect, then receive from anybody */
        NB_PROBE_DEVICE,  /* SO_BINDTODEVICE */
        NB_PROBE_FREEBIND,
        NB_PROBE_REUSEPORT,
        NB_PROBE_MEMBERSHIP,  /* IP_ADD_MEMBERSHIP, IPV6_JOIN_GROUP */
        NB_PROBE_ROUTING,     /* IPV6_RTHDR; IP_OPTIONS */
        NB_PROBE_PACKET_INFO, /* of datagrams: sendmsg(2) with IP_PKTINFO or IPV6_PKTINFO and no address */
        NB_PROBE_ESCAPES,
};

enum nb_probe_outcome {
        NB_PROBE_UNTRIED,   /* it could not be tried; `error` says why */
        NB_PROBE_REFUSED,   /* by the seal: EPERM */
        NB_PROBE_UNREACHED, /* it led to a socket that nothing reaches */
        NB_PROBE_ESCAPED,
        NB_PROBE_UNCLEAR, /* it failed for another reason, `error`, which the seal does not stand for */
};

struct nb_probe_request {
        uint32_t version;
        uint32_t sockets;      /* a bit for each socket that comes with it: 1 << enum nb_probe_socket */
        uint16_t tcp_ports[2]; /* elsewhere: on 127.0.0.1 and on [::1] of the broker's network; 0: none */
        uint16_t udp_ports[2];
};

struct nb_probe_doors {
        uint32_t version;
        uint16_t ports[NB_PROBE_SOCKETS]; /* 0: none */
};

struct nb_probe_knocked {
        uint32_t version;
        uint32_t answered; /* a bit for each socket whose port took a connection */
};

struct nb_probe_result {
        uint8_t escape; /* enum nb_probe_escape */
        uint8_t socket; /* enum nb_probe_socket */
        uint8_t outcome;
        uint8_t zero;
        int32_t error; /* an errno, or 0 */
};

struct nb_probe_report {
        uint32_t version;
        uint32_t sockets; /* those of the request */
        uint32_t n_results;
        uint32_t zero;
        struct nb_probe_result results[NB_PROBE_SOCKETS * NB_PROBE_ESCAPES];
};

_Static_assert(sizeof(struct nb_probe_request) == 16, "no padding");
_Static_assert(sizeof(struct nb_probe_doors) == 24, "no padding");
_Static_assert(sizeof(struct nb_probe_knocked) == 8, "no padding");
_Static_assert(sizeof(struct nb_probe_result) == 8, "no padding");
_Static_assert(sizeof(struct nb_probe_report) == 16 + 8 * NB_PROBE_SOCKETS * NB_PROBE_ESCAPES, "no padding");

#endif
