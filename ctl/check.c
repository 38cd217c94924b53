/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `netbrokerctl check`: whether policies are valid, and what their files hold. The result is the answer, so it goes to standard output, errors
 * too: a CI shows them in their order.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/wall_clock.h"
#include "ctl/check_files.h"
#include "ctl/list.h"
#include "ctl/number.h"
#include "ctl/policy_file.h"

#define DAY_S (24 * 60 * 60)

/* A century: nothing is warned of by a wish that is a mistake. */
#define WARNING_DAYS_MAX 36500u
#define WARNING_DAYS_DEFAULT 30u

/* One policy while it is checked. */
struct checked {
        json_t *findings; /* NULL: for people */
        size_t n_errors;  /* of its files */
};

static json_t *text_to_json(const char *text) {
        char shown[1024];
        json_t *string = json_string(text);

        return string ? string : json_string(nb_escape(text, strlen(text), shown, sizeof(shown)));
}

/* ---- what is found in files ---- */

/* "acme.conf:12", or with the column where one word of several is meant. */
struct place {
        char text[320];
};

static struct place place_of(const struct file_finding *finding) {
        const struct policy_position *at = &finding->path->at;
        struct place place;
        char file[256];

        nb_escape(at->file, strlen(at->file), file, sizeof(file));
        if (at->column > 0)
                snprintf(place.text, sizeof(place.text), "%s:%u:%u", file, at->line, at->column);
        else
                snprintf(place.text, sizeof(place.text), "%s:%u", file, at->line);
        return place;
}

static json_t *finding_to_json(const struct file_finding *finding) {
        json_t *object = json_pack("{s:s, s:o, s:o, s:o}", "level", judge_level_name(finding->level), "at",
                                   text_to_json(place_of(finding).text), "file", text_to_json(finding->file), "text",
                                   text_to_json(finding->text));
        const struct certificate *about = finding->about;

        if (!object || !about)
                return object;
        (void)json_object_set_new(object, "name", text_to_json(certificate_name(about)));
        (void)json_object_set_new(object, "not_before", json_integer((json_int_t)about->not_before));
        (void)json_object_set_new(object, "not_after", json_integer((json_int_t)about->not_after));
        return object;
}

static void take_finding(void *data, const struct file_finding *finding) {
        struct checked *checked = data;
        char file[512];

        checked->n_errors += finding->level == JUDGE_ERROR;
        if (checked->findings)
                (void)json_array_append_new(checked->findings, finding_to_json(finding));
        else
                printf("%s: %s: %s: %s\n", place_of(finding).text, judge_level_name(finding->level),
                       nb_escape(finding->file, strlen(finding->file), file, sizeof(file)), finding->text);
}

/* ---- one policy ---- */

static void add_result(json_t *results, const char *path, const struct policy *policy,
                       const struct policy_source_report *report, const struct checked *checked) {
        json_t *object = json_pack("{s:o, s:b}", "policy", text_to_json(path), "valid", policy != NULL);
        json_t *warnings = json_array();

        for (size_t i = 0; i < report->n_warnings; ++i)
                (void)json_array_append_new(warnings, text_to_json(report->warnings[i]));
        (void)json_object_set_new(object, "tenants",
                                  policy ? json_integer((json_int_t)policy->n_tenants) : json_null());
        (void)json_object_set_new(object, "error", policy ? json_null() : text_to_json(report->error));
        (void)json_object_set_new(object, "warnings", warnings);
        (void)json_object_set(object, "files", checked->findings);
        (void)json_object_set_new(object, "file_errors", json_integer((json_int_t)checked->n_errors));
        (void)json_array_append_new(results, object);
}

static void print_warnings(const struct policy_source_report *report) {
        for (size_t i = 0; i < report->n_warnings; ++i)
                printf("%s\n", report->warnings[i]);
        if (report->n_warnings_left > 0)
                printf("and %zu more warnings\n", report->n_warnings_left);
}

static void print_result(const char *path, const struct policy *policy, const struct policy_source_report *report,
                         const struct checked *checked) {
        char shown[1024];

        if (!policy)
                printf("%s\n", report->error);
        else if (checked->n_errors > 0)
                printf("%s: files with errors, errors: %zu, tenants: %zu\n",
                       nb_escape(path, strlen(path), shown, sizeof(shown)), checked->n_errors, policy->n_tenants);
        else
                printf("%s: valid, tenants: %zu\n", nb_escape(path, strlen(path), shown, sizeof(shown)),
                       policy->n_tenants);
}

/* @param results  NULL: for people */
static int check_one(const struct ctl *ctl, const char *path, unsigned days, json_t *results) {
        NB_CLEANUP(policy_file_cleanup) struct policy *policy = NULL;
        const struct policy_source source = { .path = path, .defaults_path = ctl->options->defaults };
        struct policy_source_report report = { .n_warnings = 0 };
        struct checked checked = { .findings = results ? json_array() : NULL };
        const struct file_check check = {
                .now = (int64_t)(nb_wall_clock_ms() / 1000),
                .warning_s = (int64_t)days * DAY_S,
                .found = take_finding,
                .data = &checked,
        };

        (void)policy_source_read(&source, &report, &policy);
        if (!results)
                print_warnings(&report);
        if (policy)
                check_files(&check, policy);
        if (results)
                add_result(results, path, policy, &report, &checked);
        else
                print_result(path, policy, &report, &checked);
        json_decref(checked.findings);
        policy_source_report_deinit(&report);
        return policy && checked.n_errors == 0 ? CTL_OK : CTL_BAD;
}

/* ---- all ---- */

/* @param ret  how many days before its end a certificate is warned of; untouched where nothing is said @return enum ctl_status */
static int read_days(const struct ctl *ctl, unsigned *ret) {
        uint64_t days;

        if (!ctl->options->expiry_warning)
                return CTL_OK;
        if (number_parse(ctl->options->expiry_warning, &days) < 0 || days > WARNING_DAYS_MAX)
                return ctl_misused(ctl, "'%s' is no number of days from 1 to %u", ctl->options->expiry_warning,
                                   WARNING_DAYS_MAX);
        *ret = (unsigned)days;
        return CTL_OK;
}

int ctl_check(const struct ctl *ctl) {
        unsigned days = WARNING_DAYS_DEFAULT;
        int status = read_days(ctl, &days);
        json_t *results;

        if (status != CTL_OK)
                return status;
        results = ctl->options->json ? json_array() : NULL;
        for (size_t i = 0; i < ctl->n_operands; ++i) {
                int r = check_one(ctl, ctl->operands[i], days, results);

                status = r != CTL_OK ? r : status;
        }
        if (results)
                list_print_json(results);
        json_decref(results);
        return status;
}
