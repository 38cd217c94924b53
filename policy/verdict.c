/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/verdict.h"

#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "policy/text.h"

struct policy_place policy_place(const char *file, unsigned line) {
        char escaped[POLICY_FILE_SHOWN_MAX];
        struct policy_place place;
        struct policy_text text = policy_text_begin(place.text, sizeof(place.text));

        policy_text_add(&text, nb_escape(file, strlen(file), escaped, sizeof(escaped)));
        policy_text_add(&text, ":");
        policy_text_add_number(&text, line);
        return place;
}

const char *policy_section_word(const struct policy_protocol *protocol) {
        return protocol->preopen ? "Preopen" : "Protocol";
}

struct policy_section policy_section(const struct policy_protocol *protocol) {
        struct policy_section section;
        struct policy_text text = policy_text_begin(section.text, sizeof(section.text));

        policy_text_add(&text, "[");
        policy_text_add(&text, policy_section_word(protocol));
        policy_text_add(&text, " ");
        policy_text_add(&text, protocol->name);
        policy_text_add(&text, "] (");
        policy_text_add(&text, policy_place(protocol->file, protocol->line).text);
        policy_text_add(&text, ")");
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
        struct policy_text text = policy_text_begin(asked.text, sizeof(asked.text));

        policy_text_add(&text, nb_escape(name->text, strlen(name->text), shown, sizeof(shown)));
        policy_text_add(&text, ":");
        policy_text_add_number(&text, name->port);
        return asked;
}

struct policy_asked policy_asked_address(const struct policy_host_name *name, const struct nb_address *address) {
        char address_text[NB_ADDRESS_TEXT_MAX];
        struct policy_asked asked;
        struct policy_text text = policy_text_begin(asked.text, sizeof(asked.text));

        if (!name) {
                policy_text_add(&text, nb_address_format(address, address_text));
                return asked;
        }
        policy_text_add(&text, policy_asked_name(name).text);
        policy_text_add(&text, " at ");
        policy_text_add(&text, nb_ip_format(&address->ip, address_text));
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
        case POLICY_FAMILY_QUIC:
                return "Family=quic";
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
        struct policy_text text = policy_text_begin(verdict->reason, sizeof(verdict->reason));

        verdict->allowed = false;
        verdict->impossible = false;
        verdict->rule = rule;
        verdict->remedy[0] = '\0';
        policy_text_add(&text, policy_verb_phrase(verb));
        policy_text_add(&text, " ");
        policy_text_add(&text, asked);
        policy_text_add(&text, ": ");
        if (vsnprintf(text.buffer + text.used, text.size - text.used, format, arguments) < 0)
                text.buffer[text.used] = '\0';
}
