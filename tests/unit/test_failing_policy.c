/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes a policy, and what is made of one, with each allocation failing once: it says so (-ENOMEM, or NULL), leaves what it would have filled in
 * as it was, and, as sanitizers see it, leaves nothing behind.
 */
#include <check.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "policy/explain.h"
#include "policy/explain_json.h"
#include "policy/index.h"
#include "policy/shard.h"
#include "policy/source.h"
#include "tests/support/runner.h"
#include "tests/unit/failing.h"
#include "tests/unit/fds.h"
#include "tests/unit/policy_text.h"

#define PATH_TEXT_MAX 256

/* No deed makes as many allocations. */
#define CALLS_MAX 2000

/* One of each kind that is allocated for. */
static const char tenant_file[] =
        "[Tenant]\nName=acme\nUser=root\nGroup=root\n"
        "Socket=/run/acme.sock\nSocketUser=root\nSocketGroup=root\n"
        "TokenKey=ed25519/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\nRevokedTokens=/etc/revoked\n"
        "[Protocol web]\nFamily=ip\nDataPath=relay\nTLS=both\nTLSALPN=h2 http/1.1\nTLSTrust=/etc/ca.pem\n"
        "TLSClientAuth=require\nTLSClientNames=*.example.com a.example\n"
        "TLSCertificate=/etc/a.pem credential:a.key\nTLSCertificate=/etc/b.pem /etc/b.key\n"
        "TLSClientCertificate=/c.pem /c.key\nTLSRevoked=credential:crl\n"
        "TLSPins=sha256/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
        "Proxy=http://10.0.0.1:3128 socks5://proxy.example:1080\nProxyPassword=/etc/pw -\n"
        "AcceptProxyHeader=10.0.0.0/8 [::1]\n"
        "Connect=10.0.0.0/8:443 any:80 api.example.com:443 *.example.org:1-90\n"
        "Listen=127.0.0.1:8443\nDeny=private:25\nAddresses=public 10.0.0.0/8\nInclude=rules.inc\n"
        "[Protocol db]\nFamily=unix\nDataPath=direct\nConnect=/run/db/*.sock @x*\n"
        "[Protocol fast]\nFamily=quic\nTLSALPN=h3\nConnect=10.0.0.0/8:443\n"
        "[Preopen app]\nListen=/run/app.sock\nDataPath=direct\n";

static const char drop_in[] = "[Protocol web]\nDeny=[2001:db8::]/32:*\n";
static const char rules[] = "Connect=192.0.2.0/24:53\n";
static const char second_file[] = "[Tenant]\nName=second\nUser=0\n[Protocol web]\nFamily=ip\nConnect=10.1.0.0/16:1\n";
static const char defaults_file[] = "[Defaults]\nResolvers=192.0.2.53\nMaxSessions=7\n"
                                    "TokenKey=ed25519/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

/* What deeds find ready. */
struct world {
        char folder[64]; /* a policy in files */
        char defaults[PATH_TEXT_MAX];
        struct policy *policy; /* the same, without the drop-in and what is included */
};

/* ---- deeds: 0, or -errno, and nothing was filled in. From failing_pause() on it is the test that allocates, and check(3) ---- */

/* What an output points to until it is filled in. */
static int untouched;

static int read_rules(void *data, const char *from, const char *path, char **ret_file, char **ret_text,
                      size_t *ret_length) {
        NB_CLEANUP_FREE char *file = strdup(path);
        char *text = strdup(rules);

        (void)data;
        (void)from;
        if (!file || !text) {
                free(text);
                return -ENOMEM;
        }
        *ret_file = nb_steal_ptr(file);
        *ret_text = text;
        *ret_length = strlen(text);
        return 0;
}

/* Two tenants, so that tables grow: the one out of two fragments and a file that is included. */
static int parse_into(struct policy *policy) {
        const struct policy_fragment fragments[] = {
                { "acme.conf", tenant_file, strlen(tenant_file) },
                { "acme.conf.d/a.conf", drop_in, strlen(drop_in) },
        };
        const struct policy_loader loader = { .include = read_rules };
        struct policy_error error = { .message = "" };
        int r = policy_add_tenant(policy, fragments, 2, &loader, &error);

        if (r == 0)
                r = policy_add_text(policy, "second.conf", second_file, strlen(second_file), POLICY_DATA_PATH_AUTO,
                                    &error);
        failing_pause();
        ck_assert_msg(r == 0 || r == -ENOMEM, "%s", error.message);
        return r;
}

static int do_parse(const struct world *world) {
        struct policy *policy = policy_new();
        int r = policy ? parse_into(policy) : -ENOMEM;

        (void)world;
        policy_free(policy);
        return r;
}

static int do_defaults(const struct world *world) {
        const struct policy_fragment fragment = { "defaults.conf", defaults_file, strlen(defaults_file) };
        const struct policy_loader loader = { .include = NULL };
        struct policy_defaults defaults = { .connect_timeout_ms = 17 };
        struct policy_error error;
        int r = policy_parse_defaults(&fragment, &loader, &defaults, &error);

        (void)world;
        failing_pause();
        ck_assert_uint_eq(defaults.n_resolvers, r == 0 ? 1 : 0);
        ck_assert_uint_eq(defaults.connect_timeout_ms, r == 0 ? 0 : 17);
        return r;
}

/* A warning that was not kept is counted: that is no failure, and told. */
static int do_load(const struct world *world) {
        const struct policy_source source = { .path = world->folder, .defaults_path = world->defaults };
        struct policy *policy = (struct policy *)(void *)&untouched;
        struct policy_source_report report;
        int r = policy_source_read(&source, &report, &policy);

        failing_pause();
        ck_assert_int_eq(report.error[0] != '\0', r < 0);
        if (r < 0) {
                ck_assert_ptr_eq(policy, (void *)&untouched);
                ck_assert_ptr_nonnull(strstr(report.error, strerror(ENOMEM)));
        } else {
                ck_assert_uint_eq(policy->n_tenants, 2);
                ck_assert_uint_eq(report.n_warnings + report.n_warnings_left, 1);
                r = report.n_warnings_left > 0 ? -ENOMEM : 0;
                policy_free(policy);
        }
        policy_source_report_deinit(&report);
        return r;
}

/* What was there is there, and answers. */
static int do_index(const struct world *world) {
        struct policy_protocol *protocol = &world->policy->tenants[0].protocols[0];
        const struct policy_index *before = protocol->index;
        int r = policy_index_build(protocol);

        failing_pause();
        ck_assert(r == 0 || protocol->index == before);
        ck_assert(decide_in(protocol, POLICY_CONNECT, "10.0.0.1:443").allowed);
        ck_assert(!decide_in(protocol, POLICY_CONNECT, "10.0.0.1:25").allowed);
        return r;
}

static int do_dump(const struct world *world) {
        NB_CLEANUP_FREE char *text = policy_format_tenant(&world->policy->tenants[0]);

        failing_pause();
        ck_assert(!text || strstr(text, "[Preopen app]\n"));
        return text ? 0 : -ENOMEM;
}

static int do_digest(const struct world *world) {
        uint64_t expected, digest = 17;
        int r;

        failing_pause();
        ck_assert_int_eq(policy_digest(world->policy, &expected), 0);
        failing_resume();
        r = policy_digest(world->policy, &digest);
        failing_pause();
        ck_assert_uint_eq(digest, r == 0 ? expected : 17);
        return r;
}

/* A policy that was not cut down is thrown away. */
static int do_shard(const struct world *world) {
        struct policy *policy;
        int r;

        (void)world;
        failing_pause();
        policy = policy_new();
        ck_assert_int_eq(parse_into(policy), 0);
        failing_resume();
        r = policy_keep_shard(policy, 1, 2);
        policy_free(policy);
        return r;
}

static void explain(const struct world *world, struct policy_explanation *ret) {
        const struct policy_tenant *tenant = &world->policy->tenants[0];
        struct policy_complaint complaint;
        struct policy_question question;

        ck_assert_int_eq(policy_question_parse(POLICY_CONNECT, "10.0.0.1:443", &question, &complaint), 0);
        policy_explain(tenant, &tenant->protocols[0], &question, NULL, ret);
        ck_assert(ret->verdict.allowed);
}

static int do_explain(const struct world *world) {
        struct policy_explanation explanation;
        NB_CLEANUP_FREE char *text = NULL;

        failing_pause();
        explain(world, &explanation);
        failing_resume();
        text = policy_explanation_format(&explanation);
        return text ? 0 : -ENOMEM;
}

/* Whole, or not at all. */
static int do_explain_json(const struct world *world) {
        struct policy_explanation explanation;
        json_t *whole, *json;

        failing_pause();
        explain(world, &explanation);
        json_set_alloc_funcs(malloc, free); /* those of this file, which the linker has replaced */
        whole = policy_explanation_to_json(&explanation);
        failing_resume();
        json = policy_explanation_to_json(&explanation);
        failing_pause();
        ck_assert(!json || json_equal(json, whole));
        json_decref(whole);
        json_decref(json);
        return json ? 0 : -ENOMEM;
}

static const struct deed {
        const char *name;
        int (*function)(const struct world *world);
} deeds[] = {
        { "policy_add_tenant()", do_parse },
        { "policy_parse_defaults()", do_defaults },
        { "policy_source_read()", do_load },
        { "policy_index_build()", do_index },
        { "policy_format_tenant()", do_dump },
        { "policy_digest()", do_digest },
        { "policy_keep_shard()", do_shard },
        { "policy_explanation_format()", do_explain },
        { "policy_explanation_to_json()", do_explain_json },
};

#define N_DEEDS (sizeof(deeds) / sizeof(deeds[0]))

/* ---- the world ---- */

static void write_file(const struct world *world, const char *name, const char *text) {
        char path[PATH_TEXT_MAX];
        FILE *file;

        snprintf(path, sizeof(path), "%s/%s", world->folder, name);
        file = fopen(path, "we");
        ck_assert_msg(file != NULL, "%s", path);
        ck_assert_int_ge(fputs(text, file), 0);
        ck_assert_int_eq(fclose(file), 0);
}

static void world_init(struct world *world) {
        char path[PATH_TEXT_MAX];

        *world = (struct world){ .folder = "/tmp/nb-failing-XXXXXX" };
        ck_assert_ptr_nonnull(mkdtemp(world->folder));
        snprintf(path, sizeof(path), "%s/acme.conf.d", world->folder);
        ck_assert_int_eq(mkdir(path, 0700), 0);
        snprintf(world->defaults, sizeof(world->defaults), "%s/defaults", world->folder);
        write_file(world, "acme.conf", tenant_file);
        write_file(world, "acme.conf.d/a.conf", drop_in);
        write_file(world, "rules.inc", rules);
        write_file(world, "second.conf", second_file);
        write_file(world, "defaults", defaults_file);
        /* One warning, whatever else is said of a policy. */
        ck_assert_int_eq(chmod(world->defaults, 0666), 0);
        world->policy = policy_new();
        ck_assert_int_eq(parse_into(world->policy), 0);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        (void)st;
        (void)type;
        (void)ftw;
        return remove(path);
}

static void world_deinit(struct world *world) {
        policy_free(world->policy);
        ck_assert_int_eq(nftw(world->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* One of the deeds in a world. */
struct attempt {
        const struct world *world;
        const struct deed *deed;
};

static int attempt_do(void *data) {
        const struct attempt *attempt = data;

        return attempt->deed->function(attempt->world);
}

START_TEST(each_allocation) {
        int n_fds = count_fds();
        struct world world;
        struct attempt attempt = { &world, &deeds[_i] };

        world_init(&world);
        failing_each_allocation(deeds[_i].name, attempt_do, &attempt, CALLS_MAX);
        world_deinit(&world);
        ck_assert_int_eq(count_fds(), n_fds);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("failing policy");
        TCase *memory = tcase_create("memory");

        tcase_set_timeout(memory, 120);
        tcase_add_loop_test(memory, each_allocation, 0, (int)N_DEEDS);
        suite_add_tcase(suite, memory);
        return run_suite(suite);
}
