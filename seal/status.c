/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/status.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fts.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <sysexits.h>

#include "base/cleanup.h"
#include "base/seal_layout.h"
#include "seal/cgroup.h"
#include "seal/objects.h"

struct status {
        const char *folder; /* borrowed */
        size_t n_programs;  /* that are pinned */
        struct nb_seal_info info;
        struct nb_seal_counters counters;
        json_t *cgroups; /* objects */
};

static void cleanup_json(json_t **json) {
        json_decref(*json);
}

static void cleanup_fts(FTS **fts) {
        if (*fts)
                (void)fts_close(*fts);
}

#define NB_CLEANUP_JSON NB_CLEANUP(cleanup_json)
#define NB_CLEANUP_FTS NB_CLEANUP(cleanup_fts)

/* ---- finding out ----------------------------------------------------------------------------------------------- */

/* @return 0 or -errno */
static int read_entry(const char *folder, const char *name, void *ret) {
        NB_CLEANUP_FD int fd = seal_open(folder, name);
        uint32_t key = 0;

        if (fd < 0)
                return fd;
        return bpf_map_lookup_elem(fd, &key, ret) < 0 ? -errno : 0;
}

static size_t count_programs(const char *folder) {
        size_t n = 0;

        for (size_t i = 0; i < seal_programs_n; ++i) {
                NB_CLEANUP_FD int fd = seal_open(folder, seal_programs[i].name);

                n += fd >= 0;
        }
        return n;
}

static int note_cgroup(struct status *status, const char *path, const char *name, uint32_t stamps_id) {
        NB_CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        size_t n = fd < 0 ? 0 : seal_cgroup_count(fd, stamps_id);

        if (n == 0)
                return 0;
        return json_array_append_new(status->cgroups,
                                     json_pack("{s:s, s:I}", "name", *name ? name : "/", "programs", (json_int_t)n));
}

/* All control groups are looked at: which one the broker's unit has, only its unit knows. */
static int find_cgroups(struct status *status, uint32_t stamps_id) {
        char folder[SEAL_PATH_MAX], root[SEAL_PATH_MAX];
        char *roots[] = { folder, NULL };
        NB_CLEANUP_FTS FTS *fts = NULL;
        int r = seal_cgroup_mount(folder, root);

        if (r < 0)
                return r;
        fts = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
        if (!fts)
                return -errno;
        for (FTSENT *entry = fts_read(fts); entry; entry = fts_read(fts)) {
                if (entry->fts_info != FTS_D)
                        continue;
                if (note_cgroup(status, entry->fts_path, entry->fts_path + strlen(folder), stamps_id) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int find_status(struct status *status) {
        int r = read_entry(status->folder, NB_SEAL_INFO, &status->info);

        if (r == 0)
                r = read_entry(status->folder, NB_SEAL_COUNTERS, &status->counters);
        if (r < 0)
                return r;
        status->n_programs = count_programs(status->folder);
        return find_cgroups(status, seal_stamps_id(status->folder));
}

/* ---- saying it ------------------------------------------------------------------------------------------------- */

static void print_cgroups(const struct status *status, FILE *out) {
        size_t i;
        json_t *cgroup;

        json_array_foreach(status->cgroups, i, cgroup) {
                size_t n = (size_t)json_integer_value(json_object_get(cgroup, "programs"));

                fprintf(out, "    attached  %s", json_string_value(json_object_get(cgroup, "name")));
                if (n < seal_programs_n)
                        fprintf(out, ", only %zu programs of %zu", n, seal_programs_n);
                fputc('\n', out);
        }
        if (json_array_size(status->cgroups) == 0)
                fprintf(out, "    attached  nowhere\n");
}

static void print_status(const struct status *status, FILE *out) {
        const struct nb_seal_counters *counters = &status->counters;

        fprintf(out, "the seal is loaded in %s, version %" PRIu32 "\n", status->folder, status->info.version);
        fprintf(out, "    programs  %zu of %zu\n", status->n_programs, seal_programs_n);
        print_cgroups(status, out);
        fprintf(out, "    refused   %" PRIu64 " connects, %" PRIu64 " binds, %" PRIu64 " sends, %" PRIu64 " options\n",
                counters->connects, counters->binds, counters->sends, counters->options);
        fprintf(out, "    dropped   %" PRIu64 " packets\n", counters->arrivals);
        fprintf(out, "    lost      %" PRIu64 " events\n", counters->lost);
}

static int print_json(const struct status *status, FILE *out) {
        const struct nb_seal_counters *counters = &status->counters;
        NB_CLEANUP_JSON json_t *json =
                json_pack("{s:s, s:I, s:I, s:I, s:O, s:{s:I, s:I, s:I, s:I}, s:I, s:I}", "folder", status->folder,
                          "version", (json_int_t)status->info.version, "programs", (json_int_t)status->n_programs,
                          "programs_expected", (json_int_t)seal_programs_n, "attached", status->cgroups, "refused",
                          "connects", (json_int_t)counters->connects, "binds", (json_int_t)counters->binds, "sends",
                          (json_int_t)counters->sends, "options", (json_int_t)counters->options, "dropped",
                          (json_int_t)counters->arrivals, "lost", (json_int_t)counters->lost);

        if (!json || json_dumpf(json, out, JSON_INDENT(4) | JSON_ENSURE_ASCII) < 0)
                return -ENOMEM;
        fputc('\n', out);
        return 0;
}

static int complain(const struct nb_log *log, const char *folder, int error) {
        if (error == ENOENT)
                nb_log(log, NB_LOG_ERROR,
                       "there is no seal in %s; start netbroker-seal.service, or run `netbroker-seal load %s`", folder,
                       folder);
        else if (error == EPERM || error == EACCES)
                nb_log(log, NB_LOG_ERROR, "may not look at the seal in %s: run netbroker-seal as root", folder);
        else
                nb_log(log, NB_LOG_ERROR, "cannot look at the seal in %s: %s", folder, strerror(error));
        return EX_UNAVAILABLE;
}

int seal_status(const struct nb_log *log, const struct options *options, const char *folder, FILE *out) {
        NB_CLEANUP_JSON json_t *cgroups = json_array();
        struct status status = { .folder = folder, .cgroups = cgroups };
        int r = cgroups ? find_status(&status) : -ENOMEM;

        if (r < 0)
                return complain(log, folder, -r);
        if (!options->json)
                print_status(&status, out);
        else if (print_json(&status, out) < 0)
                return EX_OSERR;
        if (fflush(out) != 0)
                return EX_IOERR;
        return status.n_programs == seal_programs_n && status.info.version == NB_SEAL_VERSION ? EX_OK : EX_UNAVAILABLE;
}
