/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of verdicts, for IP addresses and Unix sockets alike. All of it is printable ASCII: reasons are cut, and reach
 * terminals and guests; half a character of UTF-8 would be none.
 */
#ifndef NB_POLICY_VERDICT_H
#define NB_POLICY_VERDICT_H

#include <stdarg.h>

#include "policy/policy.h"
#include "policy/value.h"

/** How much of a file's name a reason shows. */
#define POLICY_FILE_SHOWN_MAX 96

/** How much of a rule's text a reason shows. */
#define POLICY_RULE_SHOWN_MAX 100

/** Where a rule or a section stands: "acme.conf:7". */
struct policy_place {
        char text[POLICY_FILE_SHOWN_MAX + 16];
};

struct policy_place policy_place(const char *file, unsigned line);

/** "Protocol" or "Preopen": which section it is. */
const char *policy_section_word(const struct policy_protocol *protocol);

/** Which section it is, and where: "[Protocol web] (acme.conf:3)". */
struct policy_section {
        char text[POLICY_FILE_SHOWN_MAX + 16 + POLICY_NAME_MAX + 16];
};

struct policy_section policy_section(const struct policy_protocol *protocol);

/** A rule's text as a reason shows it. */
struct policy_rule_shown {
        char text[POLICY_RULE_SHOWN_MAX + 1];
};

struct policy_rule_shown policy_rule_shown(const struct policy_rule *rule);

/** "connect to", "listen on" or "accept from". */
const char *policy_verb_phrase(enum policy_verb verb);

/** How much of a host name a reason shows. */
#define POLICY_NAME_SHOWN_MAX 160

/** What was asked for, as reasons show it: "192.0.2.1:443", "api.example.com:443" or "api.example.com:443 at 192.0.2.1". */
struct policy_asked {
        char text[POLICY_NAME_SHOWN_MAX + sizeof(":65535 at ") + NB_ADDRESS_TEXT_MAX];
};

struct policy_asked policy_asked_name(const struct policy_host_name *name);

/** @param name  that has the address; NULL: it was asked for itself */
struct policy_asked policy_asked_address(const struct policy_host_name *name, const struct nb_address *address);

/** What a section has of a family: "Family=ipv4", or "an IPv4 address" of a preopened socket. */
const char *policy_family_text(const struct policy_protocol *protocol);

/** The kind of rule that grants what the verb asks for. */
enum policy_rule_kind policy_grant_kind(enum policy_verb verb);

/**
 * Allowed. The rule says why, and most decisions are grants: text that nobody reads was two thirds of a connect's instructions.
 * @param rule  NULL where none is needed
 */
void policy_verdict_allow(struct policy_verdict *verdict, const struct policy_rule *rule);

/**
 * Refused, without a remedy: "connect to ADDRESS: …". That no rule could allow it, the caller says.
 * @param asked   the address as it was given, printable
 * @param rule    that forbids it, or NULL
 * @param format  of what follows, printable
 */
void policy_verdict_refuse(struct policy_verdict *verdict, enum policy_verb verb, const char *asked,
                           const struct policy_rule *rule, const char *format, va_list arguments)
        __attribute__((format(printf, 5, 0)));

#endif
