/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command test: asks what a file of expectations says (ctl/expect.h), and tells which answers are others.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/file.h"
#include "ctl/command.h"
#include "ctl/expect.h"
#include "ctl/list.h"
#include "ctl/question.h"

#define FILE_SIZE_MAX (1024 * 1024)

struct testing {
        const struct ctl *ctl;
        const char *path;
        const struct asker *asker;
        json_t *results; /* NULL: for people */
        size_t n, n_failed;
};

/* What became of one expectation. Borrowed from the explanations. */
struct outcome {
        bool allowed;
        const char *rule;
        const char *at;
        const char *reason;
};

static const char *text_of(const json_t *object, const char *key) {
        return json_string_value(json_object_get(object, key));
}

/* The explanation that decided: of the name if that was refused; otherwise of the first address with the same answer. */
static const json_t *deciding(const json_t *explanations, bool allowed) {
        const json_t *first = json_array_get(explanations, 0);

        if (json_is_false(json_object_get(first, "allowed")))
                return first;
        for (size_t i = 0; i < json_array_size(explanations); ++i) {
                const json_t *explanation = json_array_get(explanations, i);

                if (i > 0 && json_is_true(json_object_get(explanation, "allowed")) == allowed)
                        return explanation;
        }
        return first;
}

static struct outcome outcome_of(const json_t *explanations) {
        bool allowed = asker_says_yes(explanations);
        const json_t *explanation = deciding(explanations, allowed);

        return (struct outcome){
                .allowed = allowed,
                .rule = text_of(explanation, "rule"),
                .at = text_of(explanation, "at"),
                .reason = text_of(explanation, "reason"),
        };
}

static void print_failure(const struct testing *testing, unsigned line, const struct expectation *expectation,
                          const struct outcome *outcome) {
        char path[256], rule[512], at[512];
        const char *none = "no rule that matches";

        printf("%s:%u: %s %s %s %s %s: expected %s%s%s, but it is %s by %s%s%s%s\n",
               nb_escape(testing->path, strlen(testing->path), path, sizeof(path)), line,
               expectation->allow ? "allow" : "deny", expectation->tenant, expectation->protocol,
               expectation->operation, expectation->target, expectation->allow ? "allowed" : "denied",
               expectation->rule ? " by " : "", expectation->rule ? expectation->rule : "",
               outcome->allowed ? "allowed" : "denied",
               outcome->rule ? nb_escape(outcome->rule, strlen(outcome->rule), rule, sizeof(rule)) : none,
               outcome->at ? " (" : "", outcome->at ? nb_escape(outcome->at, strlen(outcome->at), at, sizeof(at)) : "",
               outcome->at ? ")" : "");
}

static void keep_result(struct testing *testing, unsigned line, const struct expectation *expectation,
                        const struct outcome *outcome, bool ok) {
        (void)json_array_append_new(testing->results,
                                    json_pack("{s:i, s:b, s:s, s:s, s:s, s:s, s:s, s:s?, s:b, s:s?, s:s?, s:s?}",
                                              "line", (int)line, "ok", (int)ok, "expected",
                                              expectation->allow ? "allow" : "deny", "tenant", expectation->tenant,
                                              "protocol", expectation->protocol, "operation", expectation->operation,
                                              "target", expectation->target, "address", expectation->address, "allowed",
                                              (int)outcome->allowed, "rule", outcome->rule, "at", outcome->at, "reason",
                                              outcome->reason));
}

static void judge(struct testing *testing, unsigned line, const struct expectation *expectation,
                  const json_t *explanations) {
        struct outcome outcome = outcome_of(explanations);
        bool ok = outcome.allowed == expectation->allow &&
                  (!expectation->rule || expect_place(expectation->rule, outcome.at));

        testing->n++;
        testing->n_failed += !ok;
        if (testing->results)
                keep_result(testing, line, expectation, &outcome, ok);
        else if (!ok)
                print_failure(testing, line, expectation, &outcome);
}

static int ask(struct testing *testing, unsigned line, const struct expectation *expectation) {
        const struct question question = {
                .tenant = expectation->tenant,
                .protocol = expectation->protocol,
                .operation = expectation->operation,
                .target = expectation->target,
                .address = expectation->address,
                .resolve = testing->ctl->options->resolve && !expectation->address,
        };
        json_t *explanations = NULL;
        int status = asker_ask(testing->asker, &question, &explanations);

        if (status != CTL_OK) {
                ctl_complain("%s:%u: this expectation is no valid question", testing->path, line);
                return status;
        }
        judge(testing, line, expectation, explanations);
        json_decref(explanations);
        return CTL_OK;
}

static int test_line(struct testing *testing, unsigned line, const char *text, size_t length) {
        struct expectation expectation;
        const char *message = "";
        int r = expect_parse(text, length, &expectation, &message);

        if (r < 0) {
                ctl_complain("%s:%u: %s", testing->path, line, message);
                return CTL_BAD;
        }
        return r == 0 ? CTL_OK : ask(testing, line, &expectation);
}

static int test_text(struct testing *testing, const char *text, size_t length) {
        const char *end = text + length;
        int status = CTL_OK;

        for (unsigned line = 1; text < end && status == CTL_OK; ++line) {
                const char *newline = memchr(text, '\n', (size_t)(end - text));
                const char *behind = newline ? newline : end;

                status = test_line(testing, line, text, (size_t)(behind - text));
                text = behind + 1;
        }
        return status;
}

static int finish(const struct testing *testing) {
        if (testing->results)
                list_print_json(testing->results);
        else
                printf("expectations: %zu, failed: %zu\n", testing->n, testing->n_failed);
        return testing->n_failed > 0 ? CTL_NO : CTL_OK;
}

int ctl_test(const struct ctl *ctl) {
        struct testing testing = { .ctl = ctl, .path = ctl->operands[0] };
        NB_CLEANUP_FREE uint8_t *text = NULL;
        size_t length = 0;
        ASKER asker;
        int status, r;

        status = asker_init(&asker, ctl->options);
        if (status != CTL_OK)
                return status;
        r = nb_file_read(testing.path, FILE_SIZE_MAX, &text, &length);
        if (r < 0) {
                ctl_complain("cannot read %s: %s", testing.path, strerror(-r));
                return CTL_BAD;
        }
        testing.asker = &asker;
        testing.results = ctl->options->json ? json_array() : NULL;
        status = test_text(&testing, (const char *)text, length);
        if (status == CTL_OK)
                status = finish(&testing);
        json_decref(testing.results);
        return status;
}
