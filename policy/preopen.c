/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/preopen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/rule.h"
#include "policy/unix_pattern.h"

/* The prefix's length goes, then the range of ports. */
#define CORRECTION_ROUNDS 4

static int parse_unix(const char *text, struct nb_socket_address *ret, struct policy_complaint *complaint) {
        size_t length = strlen(text), star = strcspn(text, "*");
        int r = policy_unix_pattern_check(text, length, complaint);

        if (r < 0)
                return r;
        if (star < length)
                return policy_complain(complaint, star, "a preopened socket has one name, without \"*\"");
        return nb_socket_address_parse(text, length, ret);
}

/** Port 0 in the words of what it would mean here. */
static int check_port(enum policy_rule_kind kind, const char *text, struct policy_complaint *complaint) {
        const char *colon = strrchr(text, ':');

        if (!colon || strcmp(colon, ":0") != 0)
                return 0;
        return policy_complain(complaint, (size_t)(colon + 1 - text),
                               kind == POLICY_RULE_LISTEN
                                       ? "port 0 is one that the kernel chooses, and nobody would find this listener"
                                       : "port 0 is no port");
}

/** Whether a rule is for one address and one port. */
static int check_single(const char *text, const struct nb_prefix *prefix, const struct nb_port_range *ports,
                        struct policy_complaint *complaint) {
        const char *slash = strchr(text, '/'), *colon = strrchr(text, ':');
        size_t length = strlen(text);
        char port[8];

        if (slash) {
                policy_complain(complaint, (size_t)(slash - text), "a preopened socket has one address, not a prefix");
                if (prefix->length == (prefix->ip.family == AF_INET ? 32 : 128))
                        policy_complaint_splice(complaint, text, length, (size_t)(slash - text), (size_t)(colon - text),
                                                "");
                return -EINVAL;
        }
        if (ports->first == ports->last)
                return 0;
        policy_complain(complaint, (size_t)(colon + 1 - text), "a preopened socket has one port");
        if (ports->first > 0) { /* not "*" */
                snprintf(port, sizeof(port), "%u", ports->first);
                policy_complaint_splice(complaint, text, length, (size_t)(colon + 1 - text), length, port);
        }
        return -EINVAL;
}

/** A group, or a name, which is freed. @return -EINVAL. */
static int complain_about_target(struct policy_rule *rule, struct policy_complaint *complaint) {
        if (rule->target == POLICY_TARGET_GROUP)
                return policy_complain(complaint, 0, "a preopened socket has one address, not a group");
        free(rule->name.text);
        return policy_complain(complaint, 0,
                               "a preopened socket has an address, for a name is resolved when somebody connects; "
                               "grant the name in a [Protocol NAME]");
}

static int parse_ip(enum policy_rule_kind kind, const char *text, struct nb_socket_address *ret,
                    struct policy_complaint *complaint) {
        struct policy_rule rule = { 0 };
        struct nb_address address;
        int r = check_port(kind, text, complaint);

        if (r == 0)
                r = policy_rule_parse(kind, text, strlen(text), &rule, complaint);
        if (r == 0 && rule.target != POLICY_TARGET_PREFIX)
                r = complain_about_target(&rule, complaint);
        if (r == 0)
                r = check_single(text, &rule.prefix, &rule.ports, complaint);
        if (r < 0)
                return r;
        address = (struct nb_address){ .ip = rule.prefix.ip, .port = rule.ports.first };
        *ret = nb_socket_address_of_ip(&address);
        return 0;
}

static int parse_once(enum policy_rule_kind kind, const char *text, struct nb_socket_address *ret,
                      struct policy_complaint *complaint) {
        size_t blank = strcspn(text, " \t");

        if (text[blank] != '\0')
                return policy_complain(complaint, blank, "a preopened socket has one address; write another section");
        if (policy_unix_pattern_is_meant(text))
                return parse_unix(text, ret, complaint);
        return parse_ip(kind, text, ret, complaint);
}

/** What corrects a rule may still be no single address. */
static void settle_correction(enum policy_rule_kind kind, struct policy_complaint *complaint) {
        struct nb_socket_address ignored;
        struct policy_complaint next;

        for (unsigned i = 0; i < CORRECTION_ROUNDS && complaint->correct[0] != '\0'; ++i) {
                if (parse_once(kind, complaint->correct, &ignored, &next) == 0)
                        return;
                memcpy(complaint->correct, next.correct, sizeof(complaint->correct));
        }
        complaint->correct[0] = '\0';
}

int policy_preopen_parse(enum policy_rule_kind kind, const char *text, struct nb_socket_address *ret,
                         struct policy_complaint *ret_complaint) {
        int r = parse_once(kind, text, ret, ret_complaint);

        if (r < 0)
                settle_correction(kind, ret_complaint);
        return r;
}

static bool ip_overlaps(const struct nb_ip *a, const struct nb_ip *b) {
        return nb_ip_equal(a, b) || nb_ip_is_unspecified(a) || nb_ip_is_unspecified(b);
}

bool policy_preopen_collides(const struct nb_socket_address *a, const struct nb_socket_address *b) {
        if (a->family != b->family)
                return false;
        if (a->family == AF_UNIX)
                return nb_socket_address_equal(a, b);
        return a->ip.port == b->ip.port && ip_overlaps(&a->ip.ip, &b->ip.ip);
}
