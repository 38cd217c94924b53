/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/explain_json.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/error.h"

/* What is not UTF-8, in the name of a file, is made printable. */
static json_t *text_or_null(const char *text) {
        char shown[1024];
        json_t *string;

        if (!text || !*text)
                return json_null();
        string = json_string(text);
        if (string)
                return string;
        policy_printable(text, strlen(text), shown, sizeof(shown));
        return json_string(shown);
}

/* Whole, where reasons cut it: programs compare it. */
static json_t *place(const char *file, unsigned line) {
        NB_CLEANUP_FREE char *text = NULL;

        if (!file || asprintf(&text, "%s:%u", file, line) < 0)
                return json_null();
        return text_or_null(text);
}

static void set_rule(json_t *object, const struct policy_rule *rule) {
        (void)json_object_set_new(object, "rule", text_or_null(rule ? rule->text : NULL));
        (void)json_object_set_new(object, "at", rule ? place(rule->file, rule->line) : json_null());
}

static json_t *step_to_json(const struct policy_explanation *explanation, const struct policy_step *step) {
        char text[POLICY_STEP_TEXT_MAX];
        json_t *object = json_pack("{s:s, s:s, s:b, s:o}", "layer", policy_layer_name(step->layer), "check",
                                   policy_check_name(step->check), "passed", (int)step->passed, "text",
                                   text_or_null(policy_step_format(explanation, step, text, sizeof(text))));

        if (!object)
                return NULL;
        set_rule(object, step->rule);
        if (step->range && !step->rule) {
                (void)json_object_set_new(object, "rule", text_or_null(step->range->text));
                (void)json_object_set_new(object, "at", place(step->range->file, step->range->line));
        }
        return object;
}

static json_t *steps_to_json(const struct policy_explanation *explanation) {
        json_t *steps = json_array();

        for (size_t i = 0; steps && i < explanation->trace.n_steps; ++i)
                (void)json_array_append_new(steps, step_to_json(explanation, &explanation->trace.steps[i]));
        return steps;
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
        json_t *way = json_array();

        for (size_t i = 0; way && explanation->verdict.allowed && i < explanation->way.n_legs; ++i)
                (void)json_array_append_new(way, leg_to_json(explanation, &explanation->way.legs[i]));
        return way;
}

static json_t *resolved_to_json(const struct policy_explanation *explanation) {
        char text[NB_ADDRESS_TEXT_MAX];

        return explanation->resolved ? json_string(nb_address_format(&explanation->address, text)) : json_null();
}

json_t *policy_explanation_to_json(const struct policy_explanation *explanation) {
        NB_CLEANUP_FREE char *text = policy_explanation_format(explanation);
        const struct policy_verdict *verdict = &explanation->verdict;
        char question[POLICY_STEP_TEXT_MAX];
        json_t *object =
                json_pack("{s:o, s:o, s:s, s:o, s:o, s:b, s:b, s:s}", "tenant", text_or_null(explanation->tenant->name),
                          "protocol", text_or_null(explanation->protocol->name), "operation",
                          policy_verb_name(explanation->question.verb), "question",
                          text_or_null(policy_explanation_question(explanation, question, sizeof(question))),
                          "resolved", resolved_to_json(explanation), "allowed", (int)verdict->allowed, "impossible",
                          (int)verdict->impossible, "mode",
                          explanation->mode == POLICY_MODE_REPORT ? "report" : "enforce");

        if (!object)
                return NULL;
        set_rule(object, verdict->rule);
        (void)json_object_set_new(object, "reason", text_or_null(verdict->reason));
        (void)json_object_set_new(object, "remedy", text_or_null(verdict->remedy));
        (void)json_object_set_new(object, "steps", steps_to_json(explanation));
        (void)json_object_set_new(object, "way", way_to_json(explanation));
        (void)json_object_set_new(object, "text", text_or_null(text));
        return object;
}
