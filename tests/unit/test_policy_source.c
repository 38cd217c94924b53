/* SPDX-License-Identifier: Apache-2.0 */
/* Loading a policy from files: folders, drop-ins, includes, defaults; users and groups; what is reported. */
#include <check.h>
#include <errno.h>
#include <ftw.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/source.h"
#include "tests/support/runner.h"
#include "tests/unit/fds.h"

#define PATH_TEXT_MAX 256

#define TENANT "[Tenant]\nName=acme\nUser=0\n"
#define PROTOCOL "[Protocol web]\nFamily=ip\nDataPath=direct\n"

/** A temporary folder with a policy in it, and what came of loading it. */
struct world {
        char folder[64];
        char defaults[PATH_TEXT_MAX];
        struct policy_source source;
        struct policy_source_report report;
        struct policy *policy;
        int n_fds;
};

static const char *path_of(const struct world *world, const char *name, char path[static PATH_TEXT_MAX]) {
        snprintf(path, PATH_TEXT_MAX, "%s/%s", world->folder, name);
        return path;
}

static void write_file(const struct world *world, const char *name, const char *text) {
        char path[PATH_TEXT_MAX];
        FILE *file = fopen(path_of(world, name, path), "we");

        ck_assert_msg(file != NULL, "%s", path);
        ck_assert_int_ge(fputs(text, file), 0);
        ck_assert_int_eq(fclose(file), 0);
}

static void make_folder(const struct world *world, const char *name) {
        char path[PATH_TEXT_MAX];

        ck_assert_int_eq(mkdir(path_of(world, name, path), 0700), 0);
}

static void init(struct world *world) {
        *world = (struct world){ .folder = "/tmp/nb-source-XXXXXX" };
        ck_assert_ptr_nonnull(mkdtemp(world->folder));
        world->source.path = world->folder;
        world->n_fds = count_fds();
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        (void)st;
        (void)type;
        (void)ftw;
        return remove(path);
}

static void deinit(struct world *world) {
        policy_source_report_deinit(&world->report);
        policy_free(world->policy);
        ck_assert_int_eq(nftw(world->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static int load(struct world *world) {
        int r;

        policy_source_report_deinit(&world->report);
        world->policy = policy_free(world->policy);
        r = policy_source_read(&world->source, &world->report, &world->policy);
        ck_assert_msg((r == 0) == (world->report.error[0] == '\0'), "%s", world->report.error);
        ck_assert(r == 0 || !world->policy);
        ck_assert_int_eq(count_fds(), world->n_fds);
        return r;
}

static const struct policy_tenant *load_acme(struct world *world) {
        const struct policy_tenant *tenant;

        ck_assert_msg(load(world) == 0, "%s", world->report.error);
        tenant = policy_find_tenant(world->policy, "acme");
        ck_assert_ptr_nonnull(tenant);
        return tenant;
}

/** The load must fail with an error that says so, of the file of that name in the folder. */
static void expect_error(struct world *world, const char *file, const char *text) {
        char path[PATH_TEXT_MAX];

        ck_assert_int_lt(load(world), 0);
        ck_assert_msg(strstr(world->report.error, path_of(world, file, path)), "no %s: %s", path, world->report.error);
        ck_assert_msg(strstr(world->report.error, text), "no \"%s\": %s", text, world->report.error);
}

/* ---- files ---- */

START_TEST(drop_ins_in_the_order_of_their_names) {
        const struct policy_tenant *tenant;
        struct world world;

        init(&world);
        write_file(&world, "acme.conf", TENANT PROTOCOL "ConnectTimeout=1s\n");
        make_folder(&world, "acme.conf.d");
        write_file(&world, "acme.conf.d/20-b.conf", "[Protocol web]\nConnectTimeout=3s\n");
        write_file(&world, "acme.conf.d/10-a.conf", "[Protocol web]\nConnectTimeout=2s\n");
        write_file(&world, "acme.conf.d/readme", "not read\n");
        write_file(&world, "acme.conf.d/.hidden.conf", "not read\n");
        tenant = load_acme(&world);
        ck_assert_uint_eq(tenant->protocols[0].connect_timeout_ms, 3000);
        ck_assert_uint_eq(world.report.n_warnings, 0);

        write_file(&world, "acme.conf.d/30-c.conf", "[Protocol web]\nConnectTimeout=x\n");
        expect_error(&world, "acme.conf.d/30-c.conf", ":2:16: error: a time is");
        deinit(&world);
}
END_TEST

START_TEST(a_single_file_has_drop_ins_too) {
        char path[PATH_TEXT_MAX];
        struct world world;

        init(&world);
        write_file(&world, "acme.conf", TENANT PROTOCOL);
        make_folder(&world, "acme.conf.d");
        write_file(&world, "acme.conf.d/a.conf", "[Tenant]\nMode=report\n");
        world.source.path = path_of(&world, "acme.conf", path);
        ck_assert_int_eq(load_acme(&world)->mode, POLICY_MODE_REPORT);
        deinit(&world);
}
END_TEST

START_TEST(what_is_no_drop_in) {
        char path[PATH_TEXT_MAX];
        struct world world;

        init(&world);
        write_file(&world, "acme.conf", TENANT);
        make_folder(&world, "other.conf.d");
        expect_error(&world, "other.conf.d", "drop-ins of a tenant that is not there");
        ck_assert_int_eq(rmdir(path_of(&world, "other.conf.d", path)), 0);

        write_file(&world, "acme.conf.d", "a file\n");
        expect_error(&world, "acme.conf.d", "Not a directory");
        ck_assert_int_eq(unlink(path_of(&world, "acme.conf.d", path)), 0);

        ck_assert_int_eq(symlink("nowhere", path_of(&world, "acme.conf.d", path)), 0);
        expect_error(&world, "acme.conf.d", "No such file or directory");
        ck_assert_int_eq(unlink(path), 0);

        make_folder(&world, "acme.conf.d");
        ck_assert_int_eq(mkfifo(path_of(&world, "acme.conf.d/a.conf", path), 0600), 0);
        expect_error(&world, "acme.conf.d/a.conf", "not a regular file");
        deinit(&world);
}
END_TEST

START_TEST(sixty_four_files) {
        struct world world;
        char name[32];

        init(&world);
        write_file(&world, "acme.conf", TENANT);
        make_folder(&world, "acme.conf.d");
        for (int i = 1; i < POLICY_FILES_MAX; ++i) {
                snprintf(name, sizeof(name), "acme.conf.d/%02d.conf", i);
                write_file(&world, name, "[Tenant]\nUser=1\n");
        }
        ck_assert_uint_eq(load_acme(&world)->n_principals, POLICY_FILES_MAX);
        write_file(&world, "acme.conf.d/99.conf", "[Tenant]\nUser=1\n");
        expect_error(&world, "acme.conf.d/99.conf", "at most 64 files");
        deinit(&world);
}
END_TEST

START_TEST(includes_are_relative_to_who_includes) {
        const struct policy_tenant *tenant;
        struct world world;
        char path[PATH_TEXT_MAX], text[2 * PATH_TEXT_MAX];

        init(&world);
        make_folder(&world, "common");
        write_file(&world, "common/web.inc", "Include=ports.inc\nDeny=10.0.0.0/8:*\n");
        write_file(&world, "common/ports.inc", "Connect=public:443\n");
        write_file(&world, "limits.inc", "MaxSessions=9\n");
        snprintf(text, sizeof(text), TENANT "Include=%s\n" PROTOCOL "Include=common/web.inc\n",
                 path_of(&world, "limits.inc", path));
        write_file(&world, "acme.conf", text);
        make_folder(&world, "acme.conf.d");
        write_file(&world, "acme.conf.d/a.conf", "[Protocol web]\nInclude=../common/ports.inc\n");
        tenant = load_acme(&world);
        ck_assert_uint_eq(tenant->limits[POLICY_LIMIT_SESSIONS], 9);
        ck_assert_uint_eq(tenant->protocols[0].n_rules, 3);
        ck_assert_str_eq(tenant->protocols[0].rules[0].file, path_of(&world, "common/ports.inc", path));
        deinit(&world);
}
END_TEST

START_TEST(what_cannot_be_included) {
        char path[PATH_TEXT_MAX];
        struct world world;

        init(&world);
        write_file(&world, "acme.conf", TENANT "Include=none.inc\n");
        expect_error(&world, "acme.conf", ":4:9: error: cannot read none.inc: No such file or directory");
        make_folder(&world, "none.inc");
        expect_error(&world, "acme.conf", "cannot read none.inc: Is a directory");
        ck_assert_int_eq(mkfifo(path_of(&world, "pipe.inc", path), 0600), 0);
        write_file(&world, "acme.conf", TENANT "Include=pipe.inc\n");
        expect_error(&world, "acme.conf", "not a regular file");
        write_file(&world, "bad.inc", "User=0\nUser=-\n");
        write_file(&world, "acme.conf", TENANT "Include=bad.inc\n");
        expect_error(&world, "bad.inc", ":2:6: error: this is not in a user's name");
        deinit(&world);
}
END_TEST

START_TEST(defaults_stand_in_a_file_of_their_own) {
        struct world world;

        init(&world);
        write_file(&world, "acme.conf", TENANT "[Protocol web]\nFamily=ip\n");
        ck_assert_int_eq(load_acme(&world)->protocols[0].data_path, POLICY_DATA_PATH_AUTO);
        write_file(&world, "defaults", "[Defaults]\nDataPath=direct\nMaxSessions=5\nRequireSeal=yes\n");
        world.source.defaults_path = path_of(&world, "defaults", world.defaults);
        ck_assert_uint_eq(load_acme(&world)->limits[POLICY_LIMIT_SESSIONS], 5);
        ck_assert(world.policy->require_seal);
        write_file(&world, "defaults", "[Defaults]\nMaxSessions=five\n");
        expect_error(&world, "defaults", ":2:13: error: MaxSessions= is");
        ck_assert_int_eq(unlink(world.defaults), 0);
        expect_error(&world, "defaults", "cannot read the defaults");
        deinit(&world);
}
END_TEST

/* ---- users and groups ---- */

START_TEST(users_and_groups_are_found) {
        const struct passwd *root = getpwuid(0);
        const struct group *group = getgrgid(0);
        const struct policy_tenant *tenant;
        struct world world;
        char text[512];

        ck_assert(root && group);
        init(&world);
        snprintf(text, sizeof(text),
                 "[Tenant]\nName=acme\nUser=%s\nUser=4294967294\nGroup=%s\nGroup=77\nSocket=/run/a\nSocketUser=%s\n"
                 "SocketGroup=42\n",
                 root->pw_name, group->gr_name, root->pw_name);
        write_file(&world, "acme.conf", text);
        tenant = load_acme(&world);
        ck_assert_uint_eq(tenant->principals[0].id, 0);
        ck_assert_uint_eq(tenant->principals[1].id, 4294967294u);
        ck_assert_uint_eq(tenant->principals[2].id, 0);
        ck_assert_uint_eq(tenant->principals[3].id, 77);
        ck_assert_uint_eq(tenant->socket.uid, 0);
        ck_assert_uint_eq(tenant->socket.gid, 42);
        deinit(&world);
}
END_TEST

START_TEST(who_is_not_there) {
        struct world world;

        init(&world);
        write_file(&world, "acme.conf", "[Tenant]\nName=acme\nUser = no-such-user\n");
        expect_error(&world, "acme.conf", ":3:8: error: there is no user 'no-such-user' (not found)");
        write_file(&world, "acme.conf", TENANT "Group=no-such-group\n");
        expect_error(&world, "acme.conf", ":4:7: error: there is no group 'no-such-group'");
        write_file(&world, "acme.conf", TENANT "Socket=/run/a\nSocketUser=no-such-user\n");
        expect_error(&world, "acme.conf", ":5:12: error: there is no user");
        write_file(&world, "acme.conf", TENANT "Socket=/run/a\nSocketGroup=no-such-group\n");
        expect_error(&world, "acme.conf", ":5:13: error: there is no group");
        deinit(&world);
}
END_TEST

/* Where the kernel has no SO_PEERPIDFD it is an error that says so; nothing else may come of it. */
START_TEST(units_are_as_the_kernel_has_them) {
        struct world world;

        init(&world);
        write_file(&world, "acme.conf", TENANT "Unit=acme.service\n");
        if (load(&world) < 0)
                expect_error(&world, "acme.conf", ":4:6: error: Unit= needs a kernel with SO_PEERPIDFD");
        deinit(&world);
}
END_TEST

/* ---- warnings ---- */

START_TEST(warnings_are_reported) {
        char text[4096];
        struct world world;

        init(&world);
        ck_assert_int_eq(load(&world), 0);
        ck_assert_uint_eq(world.report.n_warnings, 1);
        ck_assert_ptr_nonnull(strstr(world.report.warnings[0], "has no tenant: nobody can open a session"));

        write_file(&world, "acme.conf", "[Tenant]\nName=acme\n");
        (void)load_acme(&world);
        ck_assert_uint_eq(world.report.n_warnings, 1);
        ck_assert_ptr_nonnull(strstr(world.report.warnings[0], "acme.conf:1: warning: nobody can open"));
        world.source.defaults.unlimited = true;
        (void)load_acme(&world);
        ck_assert_uint_eq(world.report.n_warnings, 0);

        snprintf(text, sizeof(text), TENANT PROTOCOL "Deny=10.0.0.0/8:*\n");
        for (int i = 0; i < POLICY_SOURCE_WARNINGS_MAX + 3; ++i)
                snprintf(text + strlen(text), sizeof(text) - strlen(text), "Connect=10.0.0.%d:80\n", i);
        write_file(&world, "acme.conf", text);
        (void)load_acme(&world);
        ck_assert_uint_eq(world.report.n_warnings, POLICY_SOURCE_WARNINGS_MAX);
        ck_assert_uint_eq(world.report.n_warnings_left, 3);
        deinit(&world);
}
END_TEST

START_TEST(who_can_write_the_policy) {
        char path[PATH_TEXT_MAX];
        struct world world;

        init(&world);
        write_file(&world, "acme.conf", TENANT "Include=users.inc\n");
        write_file(&world, "users.inc", "User=1\n");
        make_folder(&world, "acme.conf.d");
        write_file(&world, "acme.conf.d/a.conf", "[Tenant]\nUser=2\n");
        ck_assert_int_eq(chmod(path_of(&world, "users.inc", path), 0666), 0);
        ck_assert_int_eq(chmod(path_of(&world, "acme.conf.d/a.conf", path), 0602), 0);
        ck_assert_int_eq(chmod(path_of(&world, "acme.conf", path), 0664), 0);
        (void)load_acme(&world);
        ck_assert_uint_eq(world.report.n_warnings, 2);
        ck_assert_ptr_nonnull(strstr(world.report.warnings[0], "a.conf: warning: every user can write this file"));
        ck_assert_ptr_nonnull(strstr(world.report.warnings[1], "users.inc: warning: every user can write this file"));

        /* Who can add a file to a folder can add rules, with the sticky bit too. */
        ck_assert_int_eq(chmod(world.folder, 01777), 0);
        ck_assert_int_eq(chmod(path_of(&world, "acme.conf.d", path), 0703), 0);
        (void)load_acme(&world);
        ck_assert_uint_eq(world.report.n_warnings, 4);
        ck_assert_ptr_nonnull(strstr(world.report.warnings[0], ": warning: every user can write this folder"));
        ck_assert_ptr_nonnull(
                strstr(world.report.warnings[1], "acme.conf.d: warning: every user can write this folder"));
        deinit(&world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("policy, source");
        TCase *files = tcase_create("files"), *accounts = tcase_create("users and groups");
        TCase *warnings = tcase_create("warnings");

        tcase_add_test(files, drop_ins_in_the_order_of_their_names);
        tcase_add_test(files, a_single_file_has_drop_ins_too);
        tcase_add_test(files, what_is_no_drop_in);
        tcase_add_test(files, sixty_four_files);
        tcase_add_test(files, includes_are_relative_to_who_includes);
        tcase_add_test(files, what_cannot_be_included);
        tcase_add_test(files, defaults_stand_in_a_file_of_their_own);
        suite_add_tcase(suite, files);
        tcase_add_test(accounts, users_and_groups_are_found);
        tcase_add_test(accounts, who_is_not_there);
        tcase_add_test(accounts, units_are_as_the_kernel_has_them);
        suite_add_tcase(suite, accounts);
        tcase_add_test(warnings, warnings_are_reported);
        tcase_add_test(warnings, who_can_write_the_policy);
        suite_add_tcase(suite, warnings);
        return run_suite(suite);
}
