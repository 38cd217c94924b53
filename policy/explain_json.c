/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/explain_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/utf8.h"
#include "policy/error.h"

/* What is not UTF-8, in the name of a file, is made printable. @return NULL without memory, and so of all below */
static json_t *text_or_null(const char *text) {
        char shown[1024];

        if (!text || !*text)
                return json_null();
        if (nb_utf8_is_text((const uint8_t *)text, strlen(text)))
                return json_string(text);
        policy_printable(text, strlen(text), shown, sizeof(shown));
        return json_string(shown);
}

/* Whole, where reasons cut it: programs compare it. */
static json_t *place(const char *file, unsigned line) {
        char *text;
        json_t *string;

        if (!file)
                return json_null();
        if (asprintf(&text, "%s:%u", file, line) < 0)
                return NULL;
        string = text_or_null(text);
        free(text);
        return string;
}

/* @param value  consumed; NULL: there was no memory for it @return whether it is there */
static bool set(json_t *object, const char *key, json_t *value) {
        return json_object_set_new(object, key, value) == 0;
}

static bool set_rule(json_t *object, const char *text, const char *file, unsigned line) {
        return set(object, "rule", text_or_null(text)) && set(object, "at", place(file, line));
}

static bool set_deciding(json_t *object, const struct policy_rule *rule, const struct policy_range *range) {
        if (rule)
                return set_rule(object, rule->text, rule->file, rule->line);
        if (range)
                return set_rule(object, range->text, range->file, range->line);
        return set_rule(object, NULL, NULL, 0);
}

static json_t *step_to_json(const struct policy_explanation *explanation, const struct policy_step *step) {
        char text[POLICY_STEP_TEXT_MAX];
        json_auto_t *object = json_pack("{s:s, s:s, s:b, s:o}", "layer", policy_layer_name(step->layer), "check",
                                        policy_check_name(step->check), "passed", (int)step->passed, "text",
                                        text_or_null(policy_step_format(explanation, step, text, sizeof(text))));

        return object && set_deciding(object, step->rule, step->range) ? nb_steal_ptr(object) : NULL;
}

static json_t *steps_to_json(const struct policy_explanation *explanation) {
        json_auto_t *steps = json_array();

        for (size_t i = 0; i < explanation->trace.n_steps; ++i)
                if (json_array_append_new(steps, step_to_json(explanation, &explanation->trace.steps[i])) < 0)
                        return NULL;
        return nb_steal_ptr(steps);
}

static json_t *leg_to_json(const struct policy_explanation *explanation, const struct policy_leg *leg) {
        char text[POLICY_STEP_TEXT_MAX];
        unsigned line = 0;
        const char *file = policy_leg_place(explanation->protocol, leg, &line);

        return json_pack("{s:s, s:o, s:o}", "leg", policy_leg_name(leg->kind), "text",
                         text_or_null(policy_explanation_leg(explanation, leg, text, sizeof(text))), "at",
                         place(file, line));
}

static json_t *way_to_json(const struct policy_explanation *explanation) {
        size_t n = explanation->verdict.allowed ? explanation->way.n_legs : 0;
        json_auto_t *way = json_array();

        for (size_t i = 0; i < n; ++i)
                if (json_array_append_new(way, leg_to_json(explanation, &explanation->way.legs[i])) < 0)
                        return NULL;
        return nb_steal_ptr(way);
}

static json_t *resolved_to_json(const struct policy_explanation *explanation) {
        char text[NB_ADDRESS_TEXT_MAX];

        return explanation->resolved ? json_string(nb_address_format(&explanation->address, text)) : json_null();
}

static json_t *question_to_json(const struct policy_explanation *explanation) {
        const struct policy_verdict *verdict = &explanation->verdict;
        char question[POLICY_STEP_TEXT_MAX];

        return json_pack("{s:o, s:o, s:s, s:o, s:o, s:b, s:b, s:s}", "tenant", text_or_null(explanation->tenant->name),
                         "protocol", text_or_null(explanation->protocol->name), "operation",
                         policy_verb_name(explanation->question.verb), "question",
                         text_or_null(policy_explanation_question(explanation, question, sizeof(question))), "resolved",
                         resolved_to_json(explanation), "allowed", (int)verdict->allowed, "impossible",
                         (int)verdict->impossible, "mode",
                         explanation->mode == POLICY_MODE_REPORT ? "report" : "enforce");
}

json_t *policy_explanation_to_json(const struct policy_explanation *explanation) {
        NB_CLEANUP_FREE char *text = policy_explanation_format(explanation);
        json_auto_t *object = text ? question_to_json(explanation) : NULL;
        const struct policy_verdict *verdict = &explanation->verdict;

        if (!object || !set_deciding(object, verdict->rule, NULL) ||
            !set(object, "reason", text_or_null(verdict->reason)) ||
            !set(object, "remedy", text_or_null(verdict->remedy)) ||
            !set(object, "steps", steps_to_json(explanation)) || !set(object, "way", way_to_json(explanation)) ||
            !set(object, "text", text_or_null(text)))
                return NULL;
        return nb_steal_ptr(object);
}
