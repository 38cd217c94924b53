/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/exposition.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a histogram adds to the names of its family. */
#define SUFFIX_BUCKET "_bucket"
#define SUFFIX_SUM "_sum"
#define SUFFIX_COUNT "_count"

/* Grows by half, so that a text of any length is copied a few times only. */
static bool make_room(struct exposition *exposition, size_t n) {
        size_t wanted = exposition->length + n + 1;
        char *text;

        if (exposition->failed)
                return false;
        if (wanted <= exposition->allocated)
                return true;
        wanted += wanted / 2 + 4096;
        text = realloc(exposition->text, wanted);
        if (!text) {
                exposition->failed = true;
                return false;
        }
        exposition->text = text;
        exposition->allocated = wanted;
        return true;
}

static void add_bytes(struct exposition *exposition, const char *bytes, size_t n) {
        if (!make_room(exposition, n))
                return;
        memcpy(exposition->text + exposition->length, bytes, n);
        exposition->length += n;
        exposition->text[exposition->length] = '\0';
}

static void add(struct exposition *exposition, const char *text) {
        add_bytes(exposition, text, strlen(text));
}

/* A backslash, a quote and a line's end are all that the format wants escaped. */
static void add_escaped(struct exposition *exposition, const char *text) {
        while (*text) {
                size_t n = strcspn(text, "\\\"\n");

                add_bytes(exposition, text, n);
                text += n;
                if (*text == '\0')
                        return;
                add(exposition, *text == '\\' ? "\\\\" : *text == '"' ? "\\\"" : "\\n");
                text++;
        }
}

void exposition_family(struct exposition *exposition, const char *name, const char *type, const char *help) {
        exposition->family = name;
        add(exposition, "# HELP ");
        add(exposition, name);
        add(exposition, " ");
        add(exposition, help);
        add(exposition, "\n# TYPE ");
        add(exposition, name);
        add(exposition, " ");
        add(exposition, type);
        add(exposition, "\n");
}

static void add_label(struct exposition *exposition, const char *before, const struct exposition_label *label) {
        add(exposition, before);
        add(exposition, label->name);
        add(exposition, "=\"");
        add_escaped(exposition, label->value);
        add(exposition, "\"");
}

static void add_labels(struct exposition *exposition, const struct exposition_label *labels) {
        const char *before = "{";

        if (exposition->common) {
                add_label(exposition, before, exposition->common);
                before = ",";
        }
        for (; labels && labels->name; ++labels) {
                add_label(exposition, before, labels);
                before = ",";
        }
        if (*before == ',')
                add(exposition, "}");
}

static void add_sample(struct exposition *exposition, const char *suffix, const struct exposition_label *labels,
                       const char *value) {
        add(exposition, exposition->family);
        add(exposition, suffix);
        add_labels(exposition, labels);
        add(exposition, " ");
        add(exposition, value);
        add(exposition, "\n");
}

static void add_number(struct exposition *exposition, const char *suffix, const struct exposition_label *labels,
                       uint64_t value) {
        char text[24];

        (void)snprintf(text, sizeof(text), "%" PRIu64, value);
        add_sample(exposition, suffix, labels, text);
}

void exposition_number(struct exposition *exposition, const struct exposition_label *labels, uint64_t value) {
        add_number(exposition, "", labels, value);
}

/* Whole and fraction apart: printf(3) would write a comma in some locales, and this is exact. */
static const char *format_us(uint64_t us, char text[static 32]) {
        (void)snprintf(text, 32, "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);
        return text;
}

void exposition_seconds(struct exposition *exposition, const struct exposition_label *labels, double value) {
        char text[32];

        add_sample(exposition, "", labels, format_us(value > 0 ? (uint64_t)(value * 1e6) : 0, text));
}

void exposition_infinity(struct exposition *exposition, const struct exposition_label *labels) {
        add_sample(exposition, "", labels, "+Inf");
}

/* A bound as people write it, `0.0025`: what is told twice must be told in the same way. */
static const char *format_bound(unsigned bucket, char text[static 32]) {
        uint64_t us = metrics_bucket_bound(bucket);
        size_t length;

        if (us == UINT64_MAX)
                return "+Inf";
        (void)format_us(us, text);
        for (length = strlen(text); text[length - 1] == '0'; --length)
                text[length - 1] = '\0';
        if (text[length - 1] == '.')
                text[length - 1] = '\0';
        return text;
}

void exposition_histogram(struct exposition *exposition, const struct exposition_label *labels,
                          const struct metrics_histogram *histogram) {
        struct exposition_label with_bound[EXPOSITION_LABELS_MAX + 1] = { 0 };
        uint64_t below = 0;
        size_t n = 0;
        char text[32];

        for (; labels && labels[n].name; ++n)
                with_bound[n] = labels[n];
        with_bound[n].name = "le";
        for (unsigned bucket = 0; bucket < METRICS_N_BUCKETS; ++bucket) {
                below += histogram->counts[bucket];
                with_bound[n].value = format_bound(bucket, text);
                add_number(exposition, SUFFIX_BUCKET, with_bound, below);
        }
        add_sample(exposition, SUFFIX_SUM, labels, format_us(histogram->sum_us, text));
        add_number(exposition, SUFFIX_COUNT, labels, histogram->n);
}

void exposition_deinit(struct exposition *exposition) {
        free(exposition->text);
        *exposition = (struct exposition){ .family = NULL };
}
