/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command suggest: the least policy that allows what was seen, as a tenant's file.
 *
 * Whatever is set for the tenant stays as it is in force; of its protocols, the rules are those that were needed, each for one name or one
 * address. What was denied is in it too, with a comment that says so: whoever takes the file over decides what the tenant was to have.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/socket_address.h"
#include "ctl/command.h"
#include "ctl/list.h"
#include "ctl/seen_list.h"
#include "policy/guard.h"

/* Between a name and an address that it led to. */
#define LEADS_TO " => "

static const char *text_of(const json_t *entry, const char *key) {
        const char *text = json_string_value(json_object_get(entry, key));

        return text ? text : "";
}

static long long number_of(const json_t *entry, const char *key) {
        return (long long)json_integer_value(json_object_get(entry, key));
}

static bool is_of(const json_t *entry, const char *protocol) {
        return strcmp(text_of(entry, "protocol"), protocol) == 0;
}

/* ---- rules ---- */

static void print_guards(FILE *out, const struct nb_ip *ip) {
        char range[POLICY_GUARD_TEXT_MAX];

        for (const struct policy_guard *guard = policy_guard_next(ip, NULL); guard;
             guard = policy_guard_next(ip, guard))
                fprintf(out, "# a special range: %s (%s, %s)\n", guard->what, policy_guard_range_format(guard, range),
                        guard->source);
}

static bool can_be_granted(const struct nb_ip *ip) {
        for (const struct policy_guard *guard = policy_guard_next(ip, NULL); guard;
             guard = policy_guard_next(ip, guard)) {
                if (guard->no_grant)
                        return false;
        }
        return true;
}

/* A rule is one line, in which a star is a pattern: a name of a socket that has one cannot be written. */
static bool can_be_written(const char *target) {
        for (const char *c = target; *c; ++c) {
                if (*c < ' ' || *c > '~' || *c == '*')
                        return false;
        }
        return true;
}

/* Port 0 lets the kernel choose, and only `*` covers that. @return the target without its port, or all of it */
static int print_target(FILE *out, const char *key, const char *target) {
        size_t length = strlen(target);

        if (target[0] != '/' && target[0] != '@' && length > 2 && strcmp(target + length - 2, ":0") == 0)
                return fprintf(out, "%s=%.*s:*\n", key, (int)(length - 2), target);
        return fprintf(out, "%s=%s\n", key, target);
}

static void print_rule(FILE *out, const json_t *entry) {
        const char *key = strcmp(text_of(entry, "operation"), "listen") == 0 ? "Listen" : "Connect";
        const char *target = text_of(entry, "target");
        long long n = number_of(entry, "n"), denied = number_of(entry, "denied");
        struct nb_address address;
        bool is_ip = nb_address_parse(target, strlen(target), &address) == 0;

        fprintf(out, "# asked for %lld time%s", n, n == 1 ? "" : "s");
        fprintf(out, denied > 0 ? ", denied or reported %lld\n" : "\n", denied);
        if (is_ip)
                print_guards(out, &address.ip);
        if ((is_ip && !can_be_granted(&address.ip)) || !can_be_written(target))
                fprintf(out, "# no rule can grant it:\n#");
        (void)print_target(out, key, can_be_written(target) ? target : "?");
}

/* ---- Addresses= ---- */

/* The address without its port, of a target that says what a name led to. */
static bool led_to(const char *target, struct nb_ip *ret) {
        const char *arrow = strstr(target, LEADS_TO);
        struct nb_address address;

        if (!arrow || nb_address_parse(arrow + strlen(LEADS_TO), strlen(arrow + strlen(LEADS_TO)), &address) < 0)
                return false;
        *ret = address.ip;
        return true;
}

static bool came_before(const json_t *entries, size_t before, const char *protocol, const struct nb_ip *ip) {
        for (size_t i = 0; i < before; ++i) {
                const json_t *entry = json_array_get(entries, i);
                struct nb_ip other;

                if (is_of(entry, protocol) && led_to(text_of(entry, "target"), &other) && nb_ip_equal(&other, ip))
                        return true;
        }
        return false;
}

/* Names that led to addresses which Addresses= does not cover: each address gets a line. */
static void print_addresses(FILE *out, const json_t *entries, const char *protocol, bool has_addresses) {
        char text[NB_ADDRESS_TEXT_MAX];
        struct nb_ip ip;

        for (size_t i = 0; i < json_array_size(entries); ++i) {
                const json_t *entry = json_array_get(entries, i);
                const char *target = text_of(entry, "target");

                if (!is_of(entry, protocol) || !led_to(target, &ip) || came_before(entries, i, protocol, &ip))
                        continue;
                fprintf(out, "# %.*s led there\n", (int)(strstr(target, LEADS_TO) - target), target);
                print_guards(out, &ip);
                fprintf(out, "%sAddresses=%s%s/%d\n", can_be_granted(&ip) ? "" : "# no rule can grant it:\n#",
                        has_addresses ? "" : "public ", nb_ip_format(&ip, text), ip.family == AF_INET ? 32 : 128);
                has_addresses = true;
        }
}

static void print_rules(FILE *out, const json_t *entries, const char *protocol, bool has_addresses) {
        for (size_t i = 0; i < json_array_size(entries); ++i) {
                const json_t *entry = json_array_get(entries, i);

                if (is_of(entry, protocol) && !strstr(text_of(entry, "target"), LEADS_TO))
                        print_rule(out, entry);
        }
        print_addresses(out, entries, protocol, has_addresses);
}

/* ---- the file around them ---- */

static void print_head(FILE *out, const char *tenant, const struct seen_list *list) {
        fprintf(out,
                "# What the tenant %s was seen to ask for. This grants all of it, also what was denied\n"
                "# or reported, and nothing else: take out what the tenant is not to have.\n",
                tenant);
        if (list->n_left_out > 0)
                fprintf(out, "# It is not all: %lld more decisions were about what could not be kept.\n",
                        list->n_left_out);
        fputc('\n', out);
}

/* The name in `[Protocol NAME]`; empty for another header. @return whether the line is a header */
static bool read_header(const char *line, size_t length, char *name, size_t size) {
        const char prefix[] = "[Protocol ";

        if (length == 0 || line[0] != '[')
                return false;
        name[0] = '\0';
        if (length > sizeof(prefix) && strncmp(line, prefix, sizeof(prefix) - 1) == 0)
                (void)snprintf(name, size, "%.*s", (int)(length - sizeof(prefix)), line + sizeof(prefix) - 1);
        return true;
}

/* Copies the tenant's own file, and puts rules at the end of each protocol's section. */
static void print_in_frame(FILE *out, const char *frame, const json_t *entries) {
        char protocol[128] = "", next[128];
        bool has_addresses = false;
        size_t n_blank = 0;

        for (const char *line = frame; *line;) {
                size_t length = strcspn(line, "\n");

                if (read_header(line, length, next, sizeof(next))) {
                        if (*protocol)
                                print_rules(out, entries, protocol, has_addresses);
                        (void)snprintf(protocol, sizeof(protocol), "%s", next);
                        has_addresses = false;
                        n_blank = line == frame ? 0 : 1;
                }
                has_addresses |= strncmp(line, "Addresses=", strlen("Addresses=")) == 0;
                /* Blank lines stand in front of headers only. */
                if (length > 0)
                        fprintf(out, "%s%.*s\n", n_blank > 0 ? "\n" : "", (int)length, line);
                n_blank = 0;
                line += length + (line[length] == '\n');
        }
        if (*protocol)
                print_rules(out, entries, protocol, has_addresses);
}

static bool has_section(const char *frame, const char *kind, const char *name) {
        char header[256];

        (void)snprintf(header, sizeof(header), "[%s %s]\n", kind, name);
        return strstr(frame, header) != NULL;
}

/* What was asked for by a section that a reload has taken away. That of a preopened socket is its own grant. */
static void print_homeless(FILE *out, const char *frame, const json_t *entries) {
        for (size_t i = 0; i < json_array_size(entries); ++i) {
                const json_t *entry = json_array_get(entries, i);
                const char *protocol = text_of(entry, "protocol");

                if (has_section(frame, "Protocol", protocol) || has_section(frame, "Preopen", protocol))
                        continue;
                fprintf(out, "\n# asked for by [Protocol %s], which the policy no longer has: %s %s\n", protocol,
                        text_of(entry, "operation"), text_of(entry, "target"));
        }
}

/* ---- without the tenant's own file ---- */

static bool has_type(const json_t *entries, const char *protocol, const char *type) {
        for (size_t i = 0; i < json_array_size(entries); ++i) {
                const json_t *entry = json_array_get(entries, i);

                if (is_of(entry, protocol) && strcmp(text_of(entry, "type"), type) == 0)
                        return true;
        }
        return false;
}

/* Names may have addresses of both families. */
static const char *family_of(const json_t *entries, const char *protocol) {
        bool has_ipv4 = false, has_ipv6 = false, has_unix = false, has_name = false;
        struct nb_socket_address address;

        for (size_t i = 0; i < json_array_size(entries); ++i) {
                const json_t *entry = json_array_get(entries, i);
                const char *target = text_of(entry, "target");

                if (!is_of(entry, protocol))
                        continue;
                if (nb_socket_address_parse(target, strlen(target), &address) < 0) {
                        has_name = true;
                        continue;
                }
                has_unix |= address.family == AF_UNIX;
                has_ipv4 |= address.family == AF_INET;
                has_ipv6 |= address.family == AF_INET6;
        }
        if (has_unix)
                return "unix";
        return has_name || has_ipv4 == has_ipv6 ? "ip" : has_ipv4 ? "ipv4" : "ipv6";
}

static bool is_first_of(const json_t *entries, size_t index) {
        const char *protocol = text_of(json_array_get(entries, index), "protocol");

        for (size_t i = 0; i < index; ++i) {
                if (is_of(json_array_get(entries, i), protocol))
                        return false;
        }
        return true;
}

static void print_without_frame(FILE *out, const char *tenant, const json_t *entries) {
        fprintf(out, "[Tenant]\nName=%s\n# Say here who may open sessions: User=, Group=, Unit= or Socket=.\n", tenant);
        for (size_t i = 0; i < json_array_size(entries); ++i) {
                const json_t *entry = json_array_get(entries, i);
                const char *protocol = text_of(entry, "protocol");

                if (!is_first_of(entries, i))
                        continue;
                fprintf(out, "\n[Protocol %s]\nFamily=%s\n", protocol, family_of(entries, protocol));
                if (has_type(entries, protocol, "dgram"))
                        fprintf(out, "SocketTypes=%sdgram\n", has_type(entries, protocol, "stream") ? "stream " : "");
                print_rules(out, entries, protocol, false);
        }
}

/* ---- the command ---- */

static char *format(const char *tenant, const struct seen_list *list) {
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);

        if (!out)
                return NULL;
        print_head(out, tenant, list);
        if (list->frame) {
                print_in_frame(out, list->frame, list->entries);
                print_homeless(out, list->frame, list->entries);
        } else {
                print_without_frame(out, tenant, list->entries);
        }
        if (fclose(out) == 0)
                return text;
        free(text);
        return NULL;
}

static int print(const struct ctl *ctl, const char *tenant, const struct seen_list *list) {
        NB_CLEANUP_FREE char *text = format(tenant, list);
        json_t *object;

        if (!text) {
                ctl_complain("out of memory");
                return CTL_NO;
        }
        if (!ctl->options->json) {
                fputs(text, stdout);
                return CTL_OK;
        }
        object = json_pack("{s:s, s:s, s:O, s:I}", "tenant", tenant, "text", text, "entries", list->entries, "left_out",
                           (json_int_t)list->n_left_out);
        list_print_json(object);
        json_decref(object);
        return CTL_OK;
}

int ctl_suggest(const struct ctl *ctl) {
        const char *tenant = ctl->operands[0];
        struct seen_list list;
        int status = ctl->options->audit ? seen_list_read(&list, ctl->options->audit, tenant)
                                         : seen_list_ask(&list, ctl, tenant);

        if (status == CTL_OK)
                status = print(ctl, tenant, &list);
        seen_list_deinit(&list);
        return status;
}
