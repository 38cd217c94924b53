/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decisions of a policy by themselves, and how long it takes to load.
 *
 *   policy prefixes|names RULES allowed   a round decides; each question is granted by another rule
 *   policy prefixes|names RULES denied    a round decides; each is for a port that no rule has, behind prefixes or names that rules have
 *   policy prefixes|names RULES load      a round parses and indexes the whole text
 *
 * The rules are random, the same in every run: prefixes of 16 to 32 bits that nest, and names of which some stand for what is below.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/common.h"
#include "policy/policy.h"

#define RULES_MAX 1000000
#define QUESTIONS 4096
#define PORT 443
#define OTHER_PORT 444

static const char head[] = "[Tenant]\nName=bench\n[Protocol web]\nFamily=ip\nDataPath=direct\n";

struct question {
        struct nb_socket_address address;
        struct policy_host_name name;
};

struct bench {
        bool names;
        uint64_t n_rules;
        char *text;
        size_t length;
        struct policy *policy;
        struct question questions[QUESTIONS];
        size_t next;
        uint64_t n_allowed; /* so that nothing is optimised away */
};

/** xorshift64 (G. Marsaglia, 2003), from a seed of ours: every run is the same. */
static uint64_t random_number(uint64_t *state) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state >> 11;
}

/** The number of a rule makes the rule. */
static uint64_t seed_of(uint64_t rule) {
        return (rule + 1) * 0x9e3779b97f4a7c15u;
}

/** A prefix between 20.0.0.0 and 99.255.255.255, where nothing is guarded. */
static struct nb_prefix prefix_of(uint64_t rule) {
        uint64_t state = seed_of(rule);
        struct nb_prefix prefix = { .ip.family = AF_INET, .length = (uint8_t)(16 + random_number(&state) % 17) };
        uint32_t bits = (uint32_t)random_number(&state) & 0x00ffffff;

        bits |= (uint32_t)(20 + random_number(&state) % 80) << 24;
        bits &= UINT32_MAX << (32 - prefix.length);
        for (size_t i = 0; i < 4; ++i)
                prefix.ip.bytes[i] = (uint8_t)(bits >> (24 - 8 * i));
        return prefix;
}

/** @return whether the rule stands for what is below the name */
static bool name_of(uint64_t rule, char *buffer, size_t size) {
        uint64_t state = seed_of(rule), host = random_number(&state), zone = random_number(&state) % 5000;

        snprintf(buffer, size, "h%llx.zone%llu.example", (unsigned long long)host, (unsigned long long)zone);
        return random_number(&state) % 4 == 0;
}

static void write_rule(const struct bench *bench, uint64_t rule, FILE *out) {
        char text[NB_ADDRESS_TEXT_MAX];
        struct nb_prefix prefix;
        bool below;

        if (bench->names) {
                below = name_of(rule, text, sizeof(text));
                fprintf(out, "Connect=%s%s:%u\n", below ? "*." : "", text, PORT);
                return;
        }
        prefix = prefix_of(rule);
        fprintf(out, "Connect=%s/%u:%u\n", nb_ip_format(&prefix.ip, text), prefix.length, PORT);
}

static void write_text(struct bench *bench) {
        FILE *out = open_memstream(&bench->text, &bench->length);

        if (!out)
                bench_die("open_memstream", 0);
        fputs(head, out);
        for (uint64_t i = 0; i < bench->n_rules; ++i)
                write_rule(bench, i, out);
        if (fclose(out) != 0)
                bench_die("fclose", 0);
}

static struct policy *load(const struct bench *bench) {
        const struct policy_defaults defaults = { 0 };
        struct policy *policy = policy_new();
        struct policy_error error;

        if (!policy || policy_add_file(policy, "bench.conf", bench->text, bench->length, &defaults, &error) < 0)
                bench_die("the policy cannot be loaded", 0);
        return policy;
}

static struct question question_of(uint64_t rule, uint16_t port) {
        struct nb_address address = { .ip = prefix_of(rule).ip, .port = port };
        struct question question = { .address = nb_socket_address_of_ip(&address), .name.port = port };
        char text[NB_ADDRESS_TEXT_MAX];
        bool below = name_of(rule, text, sizeof(text));

        snprintf(question.name.text, sizeof(question.name.text), "%s%s", below ? "www." : "", text);
        return question;
}

static void ask_for(struct bench *bench, uint16_t port) {
        uint64_t state = 0x9e3779b97f4a7c15u;

        bench->policy = load(bench);
        for (size_t i = 0; i < QUESTIONS; ++i)
                bench->questions[i] = question_of(random_number(&state) % bench->n_rules, port);
}

static void round_decide(void *data, uint64_t count) {
        struct bench *bench = data;
        const struct policy_protocol *protocol = &bench->policy->tenants[0].protocols[0];

        while (count-- > 0) {
                const struct question *question = &bench->questions[bench->next++ % QUESTIONS];
                struct policy_verdict verdict;

                if (bench->names)
                        policy_decide_name(protocol, &question->name, &verdict);
                else
                        policy_decide(protocol, POLICY_CONNECT, &question->address, &verdict);
                bench->n_allowed += verdict.allowed;
        }
}

static void round_load(void *data, uint64_t count) {
        while (count-- > 0)
                policy_free(load(data));
}

/** What is measured must be what is said: all are allowed, or none. */
static void check(struct bench *bench, bool allowed) {
        bench->n_allowed = 0;
        round_decide(bench, QUESTIONS);
        if (bench->n_allowed != (allowed ? QUESTIONS : 0))
                bench_die("a question has another answer than it should", 0);
}

int main(int argc, char **argv) {
        struct bench *bench = calloc(1, sizeof(*bench));

        bench_init();
        if (argc != 4 || !bench)
                bench_die("usage: policy prefixes|names RULES allowed|denied|load", 0);
        bench->names = strcmp(argv[1], "names") == 0;
        bench->n_rules = bench_number(argv[2], RULES_MAX);
        write_text(bench);
        if (strcmp(argv[3], "load") != 0) {
                ask_for(bench, strcmp(argv[3], "allowed") == 0 ? PORT : OTHER_PORT);
                check(bench, strcmp(argv[3], "allowed") == 0);
        }
        bench_ready(NULL);
        bench_rounds(strcmp(argv[3], "load") == 0 ? round_load : round_decide, bench);
        policy_free(bench->policy);
        free(bench->text);
        free(bench);
        return 0;
}
