/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of [Tenant] and [Defaults]: whose sessions, quotas, name servers, modes; many tenants; what is suspicious. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "policy/keys.h"
#include "policy/limit.h"
#include "policy/warn.h"
#include "tests/support/runner.h"
#include "tests/unit/policy_checks.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

#define TENANT POLICY_TENANT
#define ISSUER "ed25519/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static const char whole_file[] = TENANT "User=acme-host\n"
                                        "Group=www-data\n"
                                        "Group=33\n"
                                        "Unit=acme@1.service\n"
                                        "Unit=run-r1.scope\n"
                                        "Socket=/run/netbroker/acme.sock\n"
                                        "SocketUser=acme\n"
                                        "SocketGroup=1000\n"
                                        "SocketMode=0660\n"
                                        "Mode=report\n"
                                        "Existing=keep\n"
                                        "ExplainDenials=yes\n"
                                        "Resolvers=192.0.2.53 [2001:db8::53]:5353\t127.0.0.1:1053\n"
                                        "MaxSessions=200\n"
                                        "MaxControls=infinity\n"
                                        "MaxConnections=5000\n"
                                        "RequestRate=infinity\n"
                                        "ConnectRate=500/s\n"
                                        "MaxBytesInFlight=64M\n"
                                        "MaxMemory=1000K\n";

/* ---- good files ---- */

static void check_principal(const struct policy_tenant *tenant, size_t i, enum policy_principal_kind kind,
                            const char *text, unsigned line) {
        const struct policy_principal *principal = &tenant->principals[i];

        ck_assert_uint_lt(i, tenant->n_principals);
        ck_assert_int_eq(principal->kind, kind);
        ck_assert_str_eq(principal->text, text);
        ck_assert_str_eq(principal->file, "acme.conf");
        ck_assert_uint_eq(principal->line, line);
        ck_assert_uint_eq(principal->id, POLICY_NOBODY);
}

static void check_resolver(const struct policy_tenant *tenant, size_t i, const char *expected) {
        char text[NB_ADDRESS_TEXT_MAX];

        ck_assert_uint_lt(i, tenant->n_resolvers);
        ck_assert_str_eq(nb_address_format(&tenant->resolvers[i], text), expected);
}

START_TEST(a_whole_file) {
        struct policy *policy = policy_of(whole_file);
        const struct policy_tenant *tenant = &policy->tenants[0];

        ck_assert_uint_eq(tenant->n_principals, 5);
        check_principal(tenant, 0, POLICY_PRINCIPAL_USER, "acme-host", 3);
        check_principal(tenant, 2, POLICY_PRINCIPAL_GROUP, "33", 5);
        check_principal(tenant, 3, POLICY_PRINCIPAL_UNIT, "acme@1.service", 6);
        ck_assert_uint_eq(tenant->principals[3].column, 6);

        ck_assert_str_eq(tenant->socket.path, "/run/netbroker/acme.sock");
        ck_assert_str_eq(tenant->socket.user, "acme");
        ck_assert_str_eq(tenant->socket.group, "1000");
        ck_assert_uint_eq(tenant->socket.mode, 0660);
        ck_assert_uint_eq(tenant->socket.line, 8);
        ck_assert_uint_eq(tenant->socket.group_at.line, 10);
        ck_assert_uint_eq(tenant->socket.group_at.column, 13);

        ck_assert_int_eq(tenant->mode, POLICY_MODE_REPORT);
        ck_assert_int_eq(tenant->existing, POLICY_EXISTING_KEEP);
        ck_assert(tenant->explain_denials);
        ck_assert_uint_eq(tenant->n_resolvers, 3);
        check_resolver(tenant, 0, "192.0.2.53:53");
        check_resolver(tenant, 1, "[2001:db8::53]:5353");
        check_resolver(tenant, 2, "127.0.0.1:1053");

        ck_assert_uint_eq(tenant->limits[POLICY_LIMIT_SESSIONS], 200);
        ck_assert_uint_eq(tenant->limits[POLICY_LIMIT_CONTROLS], POLICY_UNLIMITED);
        ck_assert_uint_eq(tenant->limits[POLICY_LIMIT_LISTENERS], 65536); /* the default */
        ck_assert_uint_eq(tenant->limits[POLICY_LIMIT_REQUEST_RATE], POLICY_UNLIMITED);
        ck_assert_uint_eq(tenant->limits[POLICY_LIMIT_CONNECT_RATE], 500);
        ck_assert_uint_eq(tenant->limits[POLICY_LIMIT_BYTES_IN_FLIGHT], 64u << 20);
        ck_assert_uint_eq(tenant->limits[POLICY_LIMIT_MEMORY], 1000u << 10);
        policy_free(policy);
}
END_TEST

START_TEST(what_is_assumed) {
        struct policy *policy = policy_of(TENANT);
        const struct policy_tenant *tenant = &policy->tenants[0];

        ck_assert_int_eq(tenant->mode, POLICY_MODE_ENFORCE);
        ck_assert_int_eq(tenant->existing, POLICY_EXISTING_CLOSE);
        ck_assert_ptr_null(tenant->socket.path);
        ck_assert_uint_eq(tenant->socket.uid, POLICY_NOBODY);
        ck_assert_uint_eq(tenant->socket.mode, 0600);
        ck_assert_uint_eq(tenant->n_resolvers, 0);
        for (int i = 0; i < POLICY_N_LIMITS; ++i)
                ck_assert_uint_eq(tenant->limits[i], policy_limit_kind((enum policy_limit)i)->initial);
        ck_assert_uint_eq(tenant->limits[POLICY_LIMIT_REQUEST_RATE], 10000);
        ck_assert_uint_eq(tenant->limits[POLICY_LIMIT_CONNECT_RATE], POLICY_UNLIMITED);
        policy_free(policy);
}
END_TEST

START_TEST(a_private_broker_has_no_limits) {
        static const char text[] = TENANT "MaxSessions=3\n";
        const struct policy_defaults defaults = { .unlimited = true };
        struct policy *policy = policy_new();
        struct policy_error error;

        ck_assert_int_eq(policy_add_file(policy, "f", text, strlen(text), &defaults, &error), 0);
        ck_assert_uint_eq(policy->tenants[0].limits[POLICY_LIMIT_SESSIONS], 3);
        ck_assert_uint_eq(policy->tenants[0].limits[POLICY_LIMIT_REQUEST_RATE], POLICY_UNLIMITED);
        ck_assert_uint_eq(policy->tenants[0].limits[POLICY_LIMIT_CONTROLS], POLICY_UNLIMITED);
        policy_free(policy);
}
END_TEST

/* ---- bad values ---- */

static const struct bad_text bad_texts[] = {
        { TENANT "Mode=Report\n", 3, 6, "is not enforce or report", "Mode=report" },
        { TENANT "Mode=off\n", 3, 6, "is not enforce or report", NULL },
        { TENANT "Existing=clse\n", 3, 10, "is not close or keep", "Existing=close" },

        { TENANT "Group=a b\n", 3, 8, "one group a line", NULL },
        { TENANT "Group=4294967295\n", 3, 7, "a group's number", NULL },
        { TENANT "Group=a:b\n", 3, 8, "not in a group's name", NULL },
        { TENANT "Unit=acme\n", 3, 6, "a service or a scope", "Unit=acme.service" },
        { TENANT "Unit=acme.socket\n", 3, 6, "a service or a scope", NULL },
        { TENANT "Unit=.service\n", 3, 6, "a service or a scope", NULL },
        { TENANT "Unit=system.slice/acme.service\n", 3, 18, "not in a unit's name", NULL },
        { TENANT "Unit=a.service b.service\n", 3, 15, "one unit a line", NULL },

        { TENANT "Socket=acme.sock\n", 3, 8, "a path from the root", NULL },
        { TENANT "Socket=@acme\n", 3, 8, "a path from the root", NULL },
        { TENANT "Socket=/run/*.sock\n", 3, 13, "one path, without \"*\"", NULL },
        { TENANT "Socket=/run//acme.sock\n", 3, 13, "an empty component", "Socket=/run/acme.sock" },
        { TENANT "Socket=/run/a\nSocket=/run/b\n", 4, 1, "set already, in line 3", NULL },
        { TENANT "SocketUser=acme\n", 3, 12, "[Tenant] has no Socket=", NULL },
        { TENANT "SocketGroup=acme\n", 3, 13, "[Tenant] has no Socket=", NULL },
        { TENANT "Socket=/run/a\nSocketMode=9\n", 4, 12, "octal digits", NULL },

        { TENANT "Resolvers=ns.example.com\n", 3, 11, "not the address of a name server", NULL },
        { TENANT "Resolvers=192.0.2.53 2001:db8::53\n", 3, 22, "in brackets", "Resolvers=192.0.2.53 [2001:db8::53]" },
        { TENANT "Resolvers=192.0.2.53:0\n", 3, 11, "port 0 is no port", NULL },
        { TENANT "Resolvers=0.0.0.0\n", 3, 11, "not the address of one name server", NULL },
        { TENANT "Resolvers=[::]:53\n", 3, 11, "not the address of one name server", NULL },
        { TENANT "Resolvers=224.0.0.251\n", 3, 11, "not the address of one name server", NULL },
        { TENANT "Resolvers=[::ffff:192.0.2.53]\n", 3, 11, "written as IPv4", NULL },
        { TENANT "Resolvers=1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5\n", 3, 43, "at most 4 name servers", NULL },
        { TENANT "Resolvers=1.1.1.1\nResolvers=1.1.1.2\n", 4, 1, "set already, in line 3", NULL },

        { TENANT "TokenKey=ed25519/AAEC\n", 3, 10, "44 characters of base64", NULL },
        { TENANT "TokenKey=" ISSUER " " ISSUER " " ISSUER " " ISSUER "\n", 3, 199, "longer than 198 bytes", NULL },
        { TENANT "RevokedTokens=revoked\n", 3, 15, "a path from the root", NULL },
        { TENANT "RevokedTokens=/run/revoked\n", 3, 15, "there is none to revoke", NULL },
        { TENANT "RequireToken=yes\n", 3, 14, "nobody could come in", NULL },

        { TENANT "MaxSessions=0\n", 3, 13, "a whole number from 1 to 1000000000, or infinity", NULL },
        { TENANT "MaxSessions=-1\n", 3, 13, "a whole number", NULL },
        { TENANT "MaxSessions=+1\n", 3, 13, "a whole number", NULL },
        { TENANT "MaxSessions=01\n", 3, 13, "a whole number", NULL },
        { TENANT "MaxSessions=1.5\n", 3, 13, "a whole number", NULL },
        { TENANT "MaxSessions=1K\n", 3, 13, "a whole number", NULL },
        { TENANT "MaxSessions=1000000001\n", 3, 13, "a whole number", NULL },
        { TENANT "MaxSessions=18446744073709551617\n", 3, 13, "a whole number", NULL },
        { TENANT "MaxSessions=unlimited\n", 3, 13, "a whole number", NULL },
        { TENANT "MaxSessions=Infinity\n", 3, 13, "or infinity", "MaxSessions=infinity" },
        { TENANT "MaxSessions=infinty\n", 3, 13, "or infinity", "MaxSessions=infinity" },
        { TENANT "ConnectRate=500\n", 3, 13, "a number a second", "ConnectRate=500/s" },
        { TENANT "ConnectRate=500/min\n", 3, 13, "a number a second", NULL },
        { TENANT "ConnectRate=0/s\n", 3, 13, "a number a second", NULL },
        { TENANT "RequestRate=1 /s\n", 3, 13, "a number a second", NULL },
        { TENANT "MaxMemory=64MB\n", 3, 11, "K, M or G", NULL },
        { TENANT "MaxMemory=64m\n", 3, 11, "K, M or G", NULL },
        { TENANT "MaxMemory=0\n", 3, 11, "K, M or G", NULL },
        { TENANT "MaxMemory=1048577G\n", 3, 11, "up to 1048576G", NULL },
        { TENANT "MaxMemory=9999999999999999G\n", 3, 11, "up to 1048576G", NULL },
        { TENANT "MaxStreams=1\n", 3, 1, "belongs in a [Protocol NAME] section", NULL },
        { POLICY_HEAD "MaxSessions=1\n", 6, 1, "MaxSessions= belongs in a [Tenant] section", NULL },
        { POLICY_HEAD "Socket=/run/a\n", 6, 1, "Socket= belongs in a [Tenant] section", NULL },
        { TENANT "[Protocol a]\nFamily=unix\nDataPath=direct\nAddresses=public\n", 6, 11, "has Family=unix", NULL },
        { POLICY_HEAD "Addresses=public 10.0.0.1/8\n", 6, 18, "", "Addresses=public 10.0.0.0/8" },
        { TENANT "[Protocol a]\nFamily=ipv4\nDataPath=direct\nAddresses=public [2001:db8::]/32\n", 6, 18,
          "an IPv6 range never matches: [Protocol a] has Family=ipv4", NULL },
        { "[Defaults]\nMode=report\n", 1, 1, "stands in a file of its own", NULL },
        { "[Tenent]\n", 1, 2, "there are [Tenant], [Protocol NAME] and [Preopen NAME]", "[Tenant]" },
};

START_TEST(bad_text) {
        expect_bad_text(&bad_texts[_i]);
}
END_TEST

START_TEST(damage_is_told) {
        expect_damage_is_told(whole_file, 0x7e7a7);
}
END_TEST

START_TEST(limits_are_printed_as_they_are_read) {
        static const struct {
                enum policy_limit limit;
                uint64_t value;
                const char *text;
        } cases[] = {
                { POLICY_LIMIT_SESSIONS, 1, "1" },
                { POLICY_LIMIT_SESSIONS, 1000000000, "1000000000" },
                { POLICY_LIMIT_SESSIONS, POLICY_UNLIMITED, "infinity" },
                { POLICY_LIMIT_CONNECT_RATE, 500, "500/s" },
                { POLICY_LIMIT_MEMORY, 1, "1" },
                { POLICY_LIMIT_MEMORY, 1023, "1023" },
                { POLICY_LIMIT_MEMORY, 1024, "1K" },
                { POLICY_LIMIT_MEMORY, 1025, "1025" },
                { POLICY_LIMIT_MEMORY, (uint64_t)3 << 29, "1536M" },
                { POLICY_LIMIT_MEMORY, (uint64_t)1 << 50, "1048576G" },
        };
        char text[POLICY_LIMIT_TEXT_MAX];
        struct policy_complaint complaint;
        uint64_t value;

        for (size_t i = 0; i < ELEMENTS(cases); ++i) {
                ck_assert_str_eq(policy_limit_format(cases[i].limit, cases[i].value, text), cases[i].text);
                ck_assert_int_eq(policy_limit_parse(cases[i].limit, text, &value, &complaint), 0);
                ck_assert_uint_eq(value, cases[i].value);
        }
}
END_TEST

/* ---- defaults ---- */

static int parse_defaults(const char *text, const struct policy_defaults *before, struct policy_defaults *ret,
                          struct policy_error *error) {
        const struct policy_fragment fragment = { "defaults.conf", text, strlen(text) };
        const struct policy_loader loader = { .defaults = *before };

        return policy_parse_defaults(&fragment, &loader, ret, error);
}

START_TEST(defaults_hold_where_a_tenant_is_silent) {
        static const char text[] = "# all tenants\n[Defaults]\nExisting=keep\nMaxSessions=10\n"
                                   "MaxControls=20\nDataPath=direct\nConnectTimeout=2s\nResolvers=192.0.2.53\n"
                                   "ExplainDenials=yes\nConnectRate=7/s\n";
        static const char acme[] = TENANT "MaxControls=30\nResolvers=192.0.2.54\n"
                                          "[Protocol a]\nFamily=ip\n[Protocol b]\nFamily=ip\nConnectTimeout=1s\n";
        const struct policy_defaults none = { 0 };
        struct policy_defaults defaults;
        struct policy *policy = policy_new();
        const struct policy_tenant *tenant;
        struct policy_error error;

        ck_assert_int_eq(parse_defaults(text, &none, &defaults, &error), 0);
        ck_assert_int_eq(policy_add_file(policy, "acme.conf", acme, strlen(acme), &defaults, &error), 0);
        tenant = &policy->tenants[0];
        ck_assert_int_eq(tenant->mode, POLICY_MODE_ENFORCE);
        ck_assert_int_eq(tenant->existing, POLICY_EXISTING_KEEP);
        ck_assert(tenant->explain_denials);
        ck_assert_uint_eq(tenant->limits[POLICY_LIMIT_SESSIONS], 10);
        ck_assert_uint_eq(tenant->limits[POLICY_LIMIT_CONTROLS], 30);
        ck_assert_uint_eq(tenant->limits[POLICY_LIMIT_LISTENERS], 65536);
        ck_assert_uint_eq(tenant->limits[POLICY_LIMIT_CONNECT_RATE], 7);
        ck_assert_uint_eq(tenant->n_resolvers, 1); /* the tenant's are not added to them */
        check_resolver(tenant, 0, "192.0.2.54:53");
        ck_assert_int_eq(tenant->protocols[0].data_path, POLICY_DATA_PATH_DIRECT);
        ck_assert_uint_eq(tenant->protocols[0].connect_timeout_ms, 2000);
        ck_assert_uint_eq(tenant->protocols[1].connect_timeout_ms, 1000);
        policy_free(policy);
}
END_TEST

START_TEST(a_file_of_defaults_overrides_the_command_line) {
        const struct policy_defaults before = { .data_path = POLICY_DATA_PATH_DIRECT, .unlimited = true };
        struct policy_defaults defaults;
        struct policy_error error;

        ck_assert_int_eq(parse_defaults("[Defaults]\nMaxSessions=2\n", &before, &defaults, &error), 0);
        ck_assert_int_eq(defaults.data_path, POLICY_DATA_PATH_DIRECT);
        ck_assert_uint_eq(defaults.limits[POLICY_LIMIT_SESSIONS], 2);
        ck_assert_uint_eq(defaults.limits[POLICY_LIMIT_CONTROLS], POLICY_UNLIMITED);
}
END_TEST

START_TEST(the_seal_is_required_by_all_or_none) {
        const struct policy_defaults none = { 0 };
        struct policy_defaults defaults;
        struct policy_error error;

        ck_assert_int_eq(parse_defaults("[Defaults]\nMaxSessions=2\n", &none, &defaults, &error), 0);
        ck_assert(!defaults.require_seal);
        ck_assert_int_eq(parse_defaults("[Defaults]\nRequireSeal=yes\n", &none, &defaults, &error), 0);
        ck_assert(defaults.require_seal);
}
END_TEST

START_TEST(bad_defaults) {
        static const struct bad_text bad[] = {
                { "", 0, 0, "no [Defaults] section", "[Defaults]" },
                { "Mode=report\n", 1, 1, "begins with a section: [Defaults]", NULL },
                { "[Defaults]\n[Defaults]\n", 2, 1, "a second [Defaults]", NULL },
                { "[Defaults x]\n", 1, 11, "takes no name", NULL },
                { "[Tenant]\n", 1, 1, "has one section, [Defaults]", NULL },
                { "[Defaults]\n[Protocol web]\n", 2, 1, "has one section, [Defaults]", NULL },
                { "[Defaults]\nName=x\n", 2, 1, "Name= belongs in a [Tenant] section", NULL },
                { "[Defaults]\nMode=report\n", 2, 1, "Mode= belongs in a [Tenant] section", NULL },
                { "[Defaults]\nUser=x\n", 2, 1, "User= belongs in a [Tenant] section", NULL },
                { "[Defaults]\nMaxSessions=0\n", 2, 13, "a whole number", NULL },
                { "[Defaults]\nDataPath=x\n", 2, 10, "is not auto", NULL },
                { "[Defaults]\nRequireSeal=maybe\n", 2, 13, "not yes or no", NULL },
                { "[Defaults]\nConnect=any:*\n", 2, 1, "belongs in a [Protocol NAME] or [Preopen NAME]", NULL },
        };
        const struct policy_defaults none = { 0 };
        struct policy_defaults defaults = { .existing = POLICY_EXISTING_KEEP };

        for (size_t i = 0; i < ELEMENTS(bad); ++i) {
                struct policy_error error;

                ck_assert_int_eq(parse_defaults(bad[i].text, &none, &defaults, &error), -EINVAL);
                ck_assert_msg(strstr(error.message, bad[i].message), "%s", error.message);
                ck_assert_uint_eq(error.line, bad[i].line);
                ck_assert_uint_eq(error.column, bad[i].column);
                ck_assert_str_eq(error.correct, bad[i].correct ? bad[i].correct : "");
                ck_assert_str_eq(error.file, "defaults.conf");
                ck_assert_int_eq(defaults.existing, POLICY_EXISTING_KEEP); /* untouched */
        }
}
END_TEST

/* ---- many ---- */

static int add(struct policy *policy, const char *file, const char *text, struct policy_error *error) {
        return policy_add_text(policy, file, text, strlen(text), POLICY_DATA_PATH_AUTO, error);
}

START_TEST(one_socket_is_one_tenants) {
        struct policy *policy = policy_new();
        struct policy_error error;
        char message[2048];

        ck_assert_int_eq(add(policy, "a.conf", "[Tenant]\nName=a\nSocket=/run/a\n", &error), 0);
        ck_assert_int_eq(add(policy, "b.conf", "[Tenant]\nName=b\nSocket=/run/b\n", &error), 0);
        ck_assert_int_eq(add(policy, "c.conf", "[Tenant]\nName=c\nSocket=/run/a\n", &error), -EINVAL);
        ck_assert_str_eq(policy_error_format(&error, message, sizeof(message)),
                         "c.conf:3:8: error: tenant a has this socket already, at a.conf:3\n"
                         "    Socket=/run/a\n"
                         "           ^");
        policy_free(policy);
}
END_TEST

/** Time of this process, for bounds that must hold on a machine that does other things as well. */
static double cpu_seconds(void) {
        struct timespec now;

        ck_assert_int_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
        return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Far above what it takes, and far below what anything quadratic does; sanitizers slow it down. */
#define PATIENCE_SECONDS 20

START_TEST(ten_thousand_tenants) {
        struct policy *policy = policy_new();
        double begin = cpu_seconds();
        struct policy_error error;
        char text[128], name[16];

        for (unsigned i = 0; i < 10000; ++i) {
                snprintf(text, sizeof(text),
                         "[Tenant]\nName=t%u\nSocket=/run/t%u\n[Protocol p]\nFamily=ip\nDataPath=direct\n", i, i);
                ck_assert_int_eq(add(policy, "f", text, &error), 0);
        }
        for (unsigned i = 0; i < 10000; ++i) {
                snprintf(name, sizeof(name), "t%u", i);
                ck_assert_ptr_eq(policy_find_tenant(policy, name), &policy->tenants[i]);
        }
        ck_assert_ptr_null(policy_find_tenant(policy, "t10000"));
        policy_free(policy);
        ck_assert_double_lt(cpu_seconds() - begin, PATIENCE_SECONDS);
}
END_TEST

START_TEST(a_hundred_thousand_rules) {
        NB_CLEANUP_FREE char *text = NULL;
        double begin = cpu_seconds();
        struct policy *policy;
        size_t length;
        FILE *out = open_memstream(&text, &length);

        ck_assert_ptr_nonnull(out);
        fputs(POLICY_HEAD, out);
        for (unsigned i = 0; i < 50000; ++i)
                fprintf(out, "Connect=%u.%u.%u.0/24:443\nConnect=h%u.d%u.example.com:443\n", 11 + i / 65536,
                        i / 256 % 256, i % 256, i, i % 100);
        ck_assert_int_eq(fclose(out), 0);
        policy = policy_of(text);
        ck_assert_uint_eq(policy->tenants[0].protocols[0].n_rules, 100000);
        policy_free(policy);
        ck_assert_double_lt(cpu_seconds() - begin, PATIENCE_SECONDS);
}
END_TEST

/* ---- the reference ---- */

START_TEST(the_reference_has_every_key) {
        NB_CLEANUP_FREE char *text = NULL;
        size_t length, column = 0;
        FILE *out = open_memstream(&text, &length);

        ck_assert_ptr_nonnull(out);
        policy_keys_print(out);
        ck_assert_int_eq(fclose(out), 0);
        ck_assert_ptr_nonnull(strstr(text, "[Tenant]\nName=NAME\n    The tenant's name. Required.\n"));
        ck_assert_ptr_nonnull(strstr(text, "\nMaxMemory=BYTES|infinity\n"));
        ck_assert_ptr_nonnull(strstr(text, "    Default: 10000/s.\n"));
        ck_assert_ptr_nonnull(strstr(text, "\n[Defaults]\n"));
        for (int i = 0; i < POLICY_N_LIMITS; ++i) {
                char line[64];

                snprintf(line, sizeof(line), "\n%s=", policy_limit_kind((enum policy_limit)i)->key);
                ck_assert_msg(strstr(text, line) != NULL, "no %s", line);
        }
        for (const char *c = text; *c; ++c) {
                column = *c == '\n' ? 0 : column + 1;
                ck_assert_msg(column <= 80, "longer than 80 columns: %.200s", c - 80);
        }
}
END_TEST

/* ---- warnings ---- */

struct warnings {
        char text[4096];
        unsigned n;
};

static void take_warning(void *data, const char *text) {
        struct warnings *warnings = data;
        size_t used = strlen(warnings->text);

        snprintf(warnings->text + used, sizeof(warnings->text) - used, "%s\n", text);
        warnings->n++;
}

static const struct {
        const char *text;
        const char *warning; /* NULL: none */
} suspicious[] = {
        { TENANT, "acme.conf:1: warning: nobody can open a session as tenant acme" },
        { TENANT "User=1\n", NULL },
        { TENANT "Socket=/run/a\n", NULL },
        { TENANT "Unit=a.service\n", NULL },
#define RULES TENANT "User=1\n[Protocol web]\nFamily=ip\nDataPath=direct\n"
        { RULES "Connect=10.1.0.0/16:443\nDeny=10.0.0.0/8:*\n",
          "acme.conf:7: warning: Connect=10.1.0.0/16:443 grants nothing: Deny=10.0.0.0/8:* (acme.conf:8) covers it" },
        { RULES "Connect=10.0.0.0/8:443\nDeny=10.1.0.0/16:*\n", NULL },
        { RULES "Connect=10.1.0.0/16:443\nDeny=10.0.0.0/8:80\n", NULL },
        { RULES "Connect=10.1.0.0/16:80-90\nDeny=10.0.0.0/8:80-89\n", NULL },
        { RULES "Listen=127.0.0.1:80\nDeny=local:*\n", "Listen=127.0.0.1:80 grants nothing" },
        { RULES "Connect=192.168.1.1:80\nDeny=private:*\n", "grants nothing" },
        { RULES "Connect=8.8.8.8:80\nDeny=private:*\n", NULL },
        { RULES "Connect=private:80\nDeny=private:1-100\n", "grants nothing" },
        { RULES "Connect=api.example.com:443\nDeny=*.example.com:*\n", "Connect=api.example.com:443 grants nothing" },
        { RULES "Connect=*.a.example.com:443\nDeny=*.example.com:*\n", "grants nothing" },
        { RULES "Connect=example.com:443\nDeny=*.example.com:*\n", NULL },
        { RULES "Connect=notexample.com:443\nDeny=*.example.com:*\n", NULL },
        { RULES "Connect=*.example.com:443\nDeny=api.example.com:*\n", NULL },
        { RULES "Connect=api.example.com:443\nDeny=any:*\n", "grants nothing" },
        { RULES "Addresses=10.0.0.0/8\nConnect=any:443\n", "acme.conf:7: warning: Addresses= says" },
        { RULES "Addresses=10.0.0.0/8\nConnect=a.example.com:443\n", NULL },
        { RULES "Connect=any:443\nDeny=10.0.0.0/8:* evil.example.com:*\n",
          "acme.conf:8: warning: Deny=evil.example.com:* refuses nothing: no Connect= of [Protocol web] grants a "
          "name" },
        { RULES "Connect=any:443 a.example.com:443\nDeny=evil.example.com:*\n", NULL },
        { TENANT "User=1\n[Protocol u]\nFamily=unix\nDataPath=direct\nConnect=/run/a\nDeny=/run/a\n",
          "grants nothing" },
        { TENANT "User=1\n[Protocol u]\nFamily=unix\nDataPath=direct\nConnect=/run/a\nDeny=@a\n", NULL },
};

START_TEST(a_suspicious_policy) {
        struct policy *policy = policy_of(suspicious[_i].text);
        struct warnings warnings = { 0 };

        policy_warn(policy, false, take_warning, &warnings);
        if (suspicious[_i].warning)
                ck_assert_msg(warnings.n == 1 && strstr(warnings.text, suspicious[_i].warning), "%s", warnings.text);
        else
                ck_assert_msg(warnings.n == 0, "%s", warnings.text);
        policy_free(policy);
}
END_TEST

START_TEST(inherited_sessions_need_no_user) {
        struct policy *policy = policy_of(TENANT);
        struct warnings warnings = { 0 };

        policy_warn(policy, true, take_warning, &warnings);
        ck_assert_uint_eq(warnings.n, 0);
        policy_free(policy);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("policy, tenants");
        TCase *good = tcase_create("good files"), *bad = tcase_create("bad files");
        TCase *defaults = tcase_create("defaults"), *many = tcase_create("many"), *warnings = tcase_create("warnings");

        tcase_add_test(good, a_whole_file);
        tcase_add_test(good, what_is_assumed);
        tcase_add_test(good, a_private_broker_has_no_limits);
        tcase_add_test(good, limits_are_printed_as_they_are_read);
        tcase_add_test(good, the_reference_has_every_key);
        suite_add_tcase(suite, good);
        tcase_add_loop_test(bad, bad_text, 0, ELEMENTS(bad_texts));
        tcase_add_test(bad, damage_is_told);
        suite_add_tcase(suite, bad);
        tcase_add_test(defaults, defaults_hold_where_a_tenant_is_silent);
        tcase_add_test(defaults, a_file_of_defaults_overrides_the_command_line);
        tcase_add_test(defaults, bad_defaults);
        tcase_add_test(defaults, the_seal_is_required_by_all_or_none);
        suite_add_tcase(suite, defaults);
        tcase_add_test(many, one_socket_is_one_tenants);
        tcase_add_test(many, ten_thousand_tenants);
        tcase_add_test(many, a_hundred_thousand_rules);
        suite_add_tcase(suite, many);
        tcase_add_loop_test(warnings, a_suspicious_policy, 0, ELEMENTS(suspicious));
        tcase_add_test(warnings, inherited_sessions_need_no_user);
        suite_add_tcase(suite, warnings);
        return run_suite(suite);
}
