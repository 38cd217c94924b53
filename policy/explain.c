/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/explain.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "policy/decide.h"
#include "policy/rule.h"
#include "policy/verdict.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* How much of what is no question a message quotes. */
#define QUOTE_MAX 64

static const char *const verbs[] = {
        [POLICY_CONNECT] = "connect",
        [POLICY_LISTEN] = "listen",
        [POLICY_ACCEPT] = "accept",
};

static const char *const layers[] = {
        [POLICY_LAYER_NAME] = "name",
        [POLICY_LAYER_ADDRESS] = "address",
};

static const char *const checks[] = {
        [POLICY_CHECK_POSSIBLE] = "possible",
        [POLICY_CHECK_DENY] = "deny",
        [POLICY_CHECK_GUARD] = "guard",
        [POLICY_CHECK_GRANT] = "grant",
};

const char *policy_verb_name(enum policy_verb verb) {
        return verbs[verb];
}

const char *policy_layer_name(enum policy_layer layer) {
        return layers[layer];
}

const char *policy_check_name(enum policy_check check) {
        return checks[check];
}

int policy_verb_parse(const char *text, enum policy_verb *ret) {
        for (size_t i = 0; i < ELEMENTS(verbs); ++i) {
                if (strcmp(text, verbs[i]) != 0)
                        continue;
                *ret = (enum policy_verb)i;
                return 0;
        }
        return -EINVAL;
}

/* ---- the question ---- */

/** Why a text is neither an address nor a name, as far as a name's own parser can tell. */
static int complain(enum policy_verb verb, const char *text, struct policy_complaint *ret) {
        const char *colon = strrchr(text, ':');
        char quote[QUOTE_MAX], ignored[POLICY_HOST_NAME_MAX + 1];

        policy_printable(text, strlen(text), quote, sizeof(quote));
        if (!colon)
                return policy_complain(ret, 0, "\"%s\" has no port: write 192.0.2.1:443, [2001:db8::1]:443%s", quote,
                                       verb == POLICY_CONNECT ? ", api.example.com:443 or /run/app.sock"
                                                              : " or /run/app.sock");
        if (text[0] != '[' && policy_host_name_read(text, (size_t)(colon - text), ignored, ret) < 0)
                return -EINVAL;
        if (text[0] != '[' && verb != POLICY_CONNECT)
                return policy_complain(ret, 0, "\"%s\" is a name: only who connects can ask for one", quote);
        return policy_complain(ret, 0, "\"%s\" is no address with a port from 1 to 65535", quote);
}

int policy_question_parse(enum policy_verb verb, const char *text, struct policy_question *ret,
                          struct policy_complaint *ret_complaint) {
        struct policy_question question = { .verb = verb };
        size_t length = strlen(text);

        if (nb_socket_address_parse(text, length, &question.address) < 0) {
                if (verb != POLICY_CONNECT || policy_host_name_parse(text, length, &question.name) < 0)
                        return complain(verb, text, ret_complaint);
                question.named = true;
        }
        *ret = question;
        return 0;
}

void policy_explain(const struct policy_tenant *tenant, const struct policy_protocol *protocol,
                    const struct policy_question *question, const struct nb_ip *resolved,
                    struct policy_explanation *ret) {
        *ret = (struct policy_explanation){
                .tenant = tenant,
                .protocol = protocol,
                .question = *question,
                .mode = tenant->mode,
        };
        if (question->named && resolved) {
                ret->resolved = true;
                ret->address = (struct nb_address){ .ip = *resolved, .port = question->name.port };
                policy_decide_ip(protocol, POLICY_CONNECT, &question->name, &ret->address, &ret->verdict, &ret->trace);
        } else if (question->named) {
                policy_decide_host(protocol, &question->name, &ret->verdict, &ret->trace);
        } else if (question->address.family == AF_UNIX) {
                policy_decide_unix(protocol, question->verb, &question->address.un, &ret->verdict, &ret->trace);
        } else {
                policy_decide_ip(protocol, question->verb, NULL, &question->address.ip, &ret->verdict, &ret->trace);
        }
        if (ret->verdict.allowed)
                policy_way_of(protocol, question->verb, question->seal, &ret->way);
}

/* ---- the words ---- */

/** What covers or denies in a step: "Connect=10.0.0.0/8:443 (acme.conf:7)". */
struct source {
        char text[POLICY_RULE_SHOWN_MAX + POLICY_FILE_SHOWN_MAX + 64];
};

static struct source source_of(const struct policy_step *step) {
        char word[POLICY_RANGE_TEXT_MAX];
        struct source source = { .text = "" };

        if (step->rule)
                snprintf(source.text, sizeof(source.text), "%s (%s)", policy_rule_shown(step->rule).text,
                         policy_place(step->rule->file, step->rule->line).text);
        else if (step->range && step->range->file)
                snprintf(source.text, sizeof(source.text), "Addresses=%s (%s)", policy_range_format(step->range, word),
                         policy_place(step->range->file, step->range->line).text);
        else if (step->range)
                snprintf(source.text, sizeof(source.text), "Addresses=%s, the default",
                         policy_range_format(step->range, word));
        return source;
}

/** What a step looked at: an address's form, the host's name, or the Unix socket. */
struct subject {
        char text[POLICY_STEP_TEXT_MAX / 2];
};

static struct subject subject_of(const struct policy_explanation *explanation, const struct policy_step *step) {
        char text[NB_SOCKET_ADDRESS_TEXT_MAX];
        struct subject subject;

        if (step->form_family != AF_UNSPEC) {
                snprintf(subject.text, sizeof(subject.text), "%s", nb_ip_format(&step->form, text));
        } else if (explanation->question.named) {
                nb_escape(explanation->question.name.text, strlen(explanation->question.name.text), subject.text,
                          sizeof(subject.text));
        } else {
                nb_socket_address_format(&explanation->question.address, text);
                nb_escape(text, strlen(text), subject.text, sizeof(subject.text));
        }
        return subject;
}

static void format_possible(const struct policy_explanation *explanation, const struct policy_step *step, char *buffer,
                            size_t size) {
        struct subject subject = subject_of(explanation, step);

        if (step->guard)
                snprintf(buffer, size, "%s is a %s address (%s), which no rule grants", subject.text, step->guard->what,
                         step->guard->source);
        else
                snprintf(buffer, size, "%s is nothing that %s can name", subject.text,
                         policy_section(explanation->protocol).text);
}

static void format_guard(const struct policy_explanation *explanation, const struct policy_step *step, char *buffer,
                         size_t size) {
        struct source source = source_of(step);
        const char *named = "named by ";
        char range[POLICY_GUARD_TEXT_MAX];

        if (!step->passed)
                named = source.text[0] != '\0' ? "which wants to be named, and this is wider: " : "which nothing names";
        snprintf(buffer, size, "%s lies in %s, %s (%s), %s%s", subject_of(explanation, step).text,
                 policy_guard_range_format(step->guard, range), step->guard->what, step->guard->source, named,
                 source.text);
}

static void format_grant(const struct policy_explanation *explanation, const struct policy_step *step, char *buffer,
                         size_t size) {
        struct source source = source_of(step);
        struct subject subject = subject_of(explanation, step);

        if (step->passed)
                snprintf(buffer, size, "%s is granted by %s", subject.text, source.text);
        else if (step->rule)
                snprintf(buffer, size, "%s is every address, and %s takes some away", subject.text, source.text);
        else
                snprintf(buffer, size, "%s is granted by nothing", subject.text);
}

const char *policy_step_format(const struct policy_explanation *explanation, const struct policy_step *step,
                               char *buffer, size_t size) {
        switch (step->check) {
        case POLICY_CHECK_POSSIBLE:
                format_possible(explanation, step, buffer, size);
                break;
        case POLICY_CHECK_DENY:
                snprintf(buffer, size, step->passed ? "no Deny rule matches %s%s" : "%s is forbidden by %s",
                         subject_of(explanation, step).text, source_of(step).text);
                break;
        case POLICY_CHECK_GUARD:
                format_guard(explanation, step, buffer, size);
                break;
        case POLICY_CHECK_GRANT:
                format_grant(explanation, step, buffer, size);
                break;
        }
        return buffer;
}

const char *policy_explanation_question(const struct policy_explanation *explanation, char *buffer, size_t size) {
        const struct policy_question *question = &explanation->question;
        char text[NB_SOCKET_ADDRESS_TEXT_MAX], shown[POLICY_STEP_TEXT_MAX / 2];

        if (explanation->resolved) {
                snprintf(shown, sizeof(shown), "%s", policy_asked_address(&question->name, &explanation->address).text);
        } else if (question->named) {
                snprintf(shown, sizeof(shown), "%s", policy_asked_name(&question->name).text);
        } else {
                nb_socket_address_format(&question->address, text);
                nb_escape(text, strlen(text), shown, sizeof(shown));
        }
        snprintf(buffer, size, "%s %s", policy_verb_phrase(question->verb), shown);
        return buffer;
}

const char *policy_explanation_leg(const struct policy_explanation *explanation, const struct policy_leg *leg,
                                   char *buffer, size_t size) {
        const struct policy_question *question = &explanation->question;
        char subject[NB_SOCKET_ADDRESS_TEXT_MAX] = "";
        const char *name = subject;

        if (question->named)
                name = question->name.text;
        else if (question->address.family != AF_UNIX)
                nb_ip_format(&question->address.ip.ip, subject);
        return policy_leg_format(explanation->protocol, question->verb, leg, name, buffer, size);
}

static void write_way(const struct policy_explanation *explanation, FILE *out) {
        char text[POLICY_STEP_TEXT_MAX];

        for (size_t i = 0; explanation->verdict.allowed && i < explanation->way.n_legs; ++i) {
                const struct policy_leg *leg = &explanation->way.legs[i];
                unsigned line = 0;
                const char *file = policy_leg_place(explanation->protocol, leg, &line);

                fprintf(out, "    %-7s %-8s %s", "then", policy_leg_name(leg->kind),
                        policy_explanation_leg(explanation, leg, text, sizeof(text)));
                if (file)
                        fprintf(out, " (%s)", policy_place(file, line).text);
                fputc('\n', out);
        }
}

static void write_verdict(const struct policy_explanation *explanation, FILE *out) {
        const struct policy_verdict *verdict = &explanation->verdict;
        char remedy[4 * sizeof(verdict->remedy)];

        fprintf(out, "%s\n", verdict->allowed ? "allowed" : "denied");
        if (!verdict->allowed)
                fprintf(out, "    %s\n", verdict->reason);
        if (verdict->remedy[0] != '\0')
                fprintf(out, "    to allow it, write: %s\n",
                        nb_escape(verdict->remedy, strlen(verdict->remedy), remedy, sizeof(remedy)));
        if (!verdict->allowed && explanation->mode == POLICY_MODE_REPORT)
                fprintf(out, "    Mode=report: it is recorded, and %s\n",
                        verdict->impossible ? "refused all the same, for no rule could allow it" : "done");
}

static void write_explanation(const struct policy_explanation *explanation, FILE *out) {
        char text[POLICY_STEP_TEXT_MAX];

        fprintf(out, "%s, by %s of tenant %s\n", policy_explanation_question(explanation, text, sizeof(text)),
                policy_section(explanation->protocol).text, explanation->tenant->name);
        for (size_t i = 0; i < explanation->trace.n_steps; ++i) {
                const struct policy_step *step = &explanation->trace.steps[i];

                fprintf(out, "    %-7s %-8s %s\n", policy_layer_name(step->layer), policy_check_name(step->check),
                        policy_step_format(explanation, step, text, sizeof(text)));
        }
        write_verdict(explanation, out);
        write_way(explanation, out);
}

char *policy_explanation_format(const struct policy_explanation *explanation) {
        NB_CLEANUP_FREE char *text = NULL;
        size_t length;
        FILE *out = open_memstream(&text, &length);
        bool failed;

        if (!out)
                return NULL;
        write_explanation(explanation, out);
        failed = ferror(out);
        if (fclose(out) != 0 || failed)
                return NULL;
        return nb_steal_ptr(text);
}
