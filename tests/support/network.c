/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/network.h"

#include <check.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"
#include "base/cleanup.h"
#include "tests/support/harness.h"

void network_enter(void) {
        NB_CLEANUP_FD int fd = -1;
        struct ifreq loopback = { .ifr_name = "lo", .ifr_flags = IFF_UP };

        ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
        fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &loopback), 0);
}

/* rtnetlink(7): RTM_NEWADDR with the address as an attribute. */
struct new_address {
        struct nlmsghdr header;
        struct ifaddrmsg message;
        struct rtattr attribute;
        uint8_t bytes[16];
};

static void send_and_expect_ack(const struct new_address *request, const char *ip) {
        NB_CLEANUP_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        struct {
                struct nlmsghdr header;
                struct nlmsgerr error;
                char rest[512];
        } answer;

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(send(fd, request, request->header.nlmsg_len, 0), request->header.nlmsg_len);
        ck_assert_int_ge(recv(fd, &answer, sizeof(answer), 0), (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)));
        ck_assert_int_eq(answer.header.nlmsg_type, NLMSG_ERROR);
        ck_assert_msg(answer.error.error == 0, "%s: %s", ip, strerror(-answer.error.error));
}

static bool can_be_bound(const struct nb_ip *ip) {
        NB_CLEANUP_FD int fd = socket(ip->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        const struct nb_address address = { .ip = *ip };
        struct sockaddr_storage sa;
        socklen_t length = nb_address_to_sockaddr(&address, &sa);

        ck_assert_int_ge(fd, 0);
        return bind(fd, (struct sockaddr *)&sa, length) == 0;
}

/* The kernel makes an IPv6 address in steps, and answers behind the first. */
static void wait_for_address(const struct nb_ip *ip, const char *text) {
        uint64_t start_ms = harness_now_ms();

        while (!can_be_bound(ip))
                harness_wait_a_moment(start_ms, text);
}

void network_add_address(const char *text) {
        struct nb_ip ip;
        struct new_address request = {
                .header = { .nlmsg_type = RTM_NEWADDR, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE },
                .attribute.rta_type = IFA_LOCAL,
        };
        uint8_t length;

        ck_assert_int_eq(nb_ip_parse(text, strlen(text), &ip), 0);
        length = ip.family == AF_INET ? 4 : 16;
        request.header.nlmsg_len = (uint32_t)(offsetof(struct new_address, bytes) + length);
        request.message = (struct ifaddrmsg){
                .ifa_family = (uint8_t)ip.family,
                .ifa_prefixlen = (uint8_t)(length * 8),
                .ifa_flags = IFA_F_NODAD,
                .ifa_index = if_nametoindex("lo"),
        };
        request.attribute.rta_len = (unsigned short)RTA_LENGTH(length);
        memcpy(request.bytes, ip.bytes, length);
        send_and_expect_ack(&request, text);
        wait_for_address(&ip, text);
}
