/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/verdict.h"

#include <stdio.h>
#include <string.h>

#include "base/escape.h"

struct policy_place policy_place(const char *file, unsigned line) {
        struct policy_place place;
        char escaped[POLICY_FILE_SHOWN_MAX];

        nb_escape(file, strlen(file), escaped, sizeof(escaped));
        snprintf(place.text, sizeof(place.text), "%s:%u", escaped, line);
        return place;
}

const char *policy_section_word(const struct policy_protocol *protocol) {
        return protocol->preopen ? "Preopen" : "Protocol";
}

struct policy_section policy_section(const struct policy_protocol *protocol) {
        struct policy_section section;

        snprintf(section.text, sizeof(section.text), "[%s %s] (%s)", policy_section_word(protocol), protocol->name,
                 policy_place(protocol->file, protocol->line).text);
        return section;
}

struct policy_rule_shown policy_rule_shown(const struct policy_rule *rule) {
        struct policy_rule_shown shown;

        nb_escape(rule->text, strlen(rule->text), shown.text, sizeof(shown.text));
        return shown;
}

struct policy_asked policy_asked_name(const struct policy_host_name *name) {
        char shown[POLICY_NAME_SHOWN_MAX];
        struct policy_asked asked;

        nb_escape(name->text, strlen(name->text), shown, sizeof(shown));
        snprintf(asked.text, sizeof(asked.text), "%s:%u", shown, name->port);
        return asked;
}

struct policy_asked policy_asked_address(const struct policy_host_name *name, const struct nb_address *address) {
        char text[NB_ADDRESS_TEXT_MAX];
        struct policy_asked asked;
        size_t used;

        if (!name) {
                snprintf(asked.text, sizeof(asked.text), "%s", nb_address_format(address, text));
                return asked;
        }
        asked = policy_asked_name(name);
        used = strlen(asked.text);
        snprintf(asked.text + used, sizeof(asked.text) - used, " at %s", nb_ip_format(&address->ip, text));
        return asked;
}

const char *policy_verb_phrase(enum policy_verb verb) {
        switch (verb) {
        case POLICY_CONNECT:
                return "connect to";
        case POLICY_LISTEN:
                return "listen on";
        default:
                return "accept from";
        }
}

const char *policy_family_text(const struct policy_protocol *protocol) {
        switch (protocol->family) {
        case POLICY_FAMILY_IPV4:
                return protocol->preopen ? "an IPv4 address" : "Family=ipv4";
        case POLICY_FAMILY_IPV6:
                return protocol->preopen ? "an IPv6 address" : "Family=ipv6";
        case POLICY_FAMILY_UNIX:
                return protocol->preopen ? "the name of a Unix socket" : "Family=unix";
        default:
                return "Family=ip";
        }
}

enum policy_rule_kind policy_grant_kind(enum policy_verb verb) {
        return verb == POLICY_LISTEN ? POLICY_RULE_LISTEN : POLICY_RULE_CONNECT;
}

void policy_verdict_allow(struct policy_verdict *verdict, const struct policy_rule *rule) {
        verdict->allowed = true;
        verdict->impossible = false;
        verdict->rule = rule;
        verdict->remedy[0] = '\0';
        verdict->reason[0] = '\0';
}

void policy_verdict_refuse(struct policy_verdict *verdict, enum policy_verb verb, const char *asked,
                           const struct policy_rule *rule, const char *format, va_list arguments) {
        size_t used;

        verdict->allowed = false;
        verdict->impossible = false;
        verdict->rule = rule;
        verdict->remedy[0] = '\0';
        snprintf(verdict->reason, sizeof(verdict->reason), "%s %s: ", policy_verb_phrase(verb), asked);
        used = strlen(verdict->reason);
        if (vsnprintf(verdict->reason + used, sizeof(verdict->reason) - used, format, arguments) < 0)
                verdict->reason[used] = '\0';
}
