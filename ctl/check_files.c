/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/check_files.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "policy/path.h"

/* Larger ones are refused by netbrokerd. */
#define FILE_SIZE_MAX (4u * 1024 * 1024)

/* While one policy is looked over. */
struct checking {
        const struct file_check *check;
        const struct policy_path *path; /* that is being looked at */
        const char *file;
        struct certificate_bundle *system; /* NULL: not read, or there is none */
        bool system_is_read;
};

/* What a file holds, wiped when it is not needed any more, for it may be a key. */
struct content {
        uint8_t *bytes; /* owned; NULL: none */
        size_t length;
};

static void wipe(struct content *content) {
        if (content->bytes)
                explicit_bzero(content->bytes, content->length);
        free(content->bytes);
        *content = (struct content){ .bytes = NULL };
}

#define CONTENT NB_CLEANUP(wipe) struct content

static void take_sentence(void *data, enum judge_level level, const struct certificate *about, const char *text) {
        const struct checking *checking = data;
        const struct file_finding finding = {
                .level = level,
                .path = checking->path,
                .file = checking->file,
                .about = about,
                .text = text,
        };

        checking->check->found(checking->check->data, &finding);
}

static void say(struct checking *checking, enum judge_level level, const char *text) {
        take_sentence(checking, level, NULL, text);
}

static struct judge judge_of(struct checking *checking) {
        return (struct judge){
                .now = checking->check->now,
                .warning_s = checking->check->warning_s,
                .say = take_sentence,
                .data = checking,
        };
}

/* ---- reading ---- */

static void say_why_not(struct checking *checking, int error) {
        switch (error) {
        case -ENOENT:
                say(checking, JUDGE_ERROR, "there is no such file; make it, or write where it is");
                return;
        case -EACCES:
        case -EPERM:
                say(checking, JUDGE_WARNING, "it cannot be read by you, so nothing is known of it");
                return;
        case -EFBIG:
                say(checking, JUDGE_ERROR, "it is larger than 4 MiB, which no such file is");
                return;
        case -EISDIR:
        case -ESPIPE:
                say(checking, JUDGE_ERROR, "it is no regular file");
                return;
        default:
                say(checking, JUDGE_ERROR, strerror(-error));
        }
}

/** Whether others may read or change what is a secret. Told also of what the caller cannot read. */
static void look_at_mode(struct checking *checking, const char *name) {
        struct stat st;

        if (stat(name, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & (S_IROTH | S_IWOTH)))
                return;
        say(checking, JUDGE_ERROR,
            "others than its owner and group may read or write it, and it holds a secret; write: chmod o-rw");
}

static bool read_named(struct checking *checking, const char *name, bool is_secret, struct content *ret) {
        int r;

        if (is_secret)
                look_at_mode(checking, name);
        r = nb_file_read(name, FILE_SIZE_MAX, &ret->bytes, &ret->length);
        if (r < 0)
                say_why_not(checking, r);
        else if (ret->length == 0)
                say(checking, JUDGE_ERROR, "it is empty");
        return r == 0 && ret->length > 0;
}

/** Reads the file of a path, which is the one that is looked at from here on. @return whether there is something */
static bool read_path(struct checking *checking, const struct policy_path *path, bool is_secret, struct content *ret) {
        size_t prefix = strlen(POLICY_CREDENTIAL_PREFIX);
        const char *folder = secure_getenv("CREDENTIALS_DIRECTORY");
        char name[PATH_MAX];

        checking->path = path;
        checking->file = path->path;
        if (strncmp(path->path, POLICY_CREDENTIAL_PREFIX, prefix) != 0)
                return read_named(checking, path->path, is_secret, ret);
        if (!folder) {
                say(checking, JUDGE_NOTE, "systemd hands a credential to netbrokerd alone, so nothing is known of it");
                return false;
        }
        if (snprintf(name, sizeof(name), "%s/%s", folder, path->path + prefix) >= (int)sizeof(name)) {
                say(checking, JUDGE_ERROR, strerror(ENAMETOOLONG));
                return false;
        }
        return read_named(checking, name, is_secret, ret);
}

/** @return the certificates of a file, owned by the caller; NULL: said */
static struct certificate_bundle *parse(struct checking *checking, const struct content *content) {
        struct certificate_bundle *bundle = NULL;
        char reason[CERTIFICATE_REASON_MAX];
        int r = certificate_bundle_read(content->bytes, content->length, &bundle, reason);

        if (r < 0)
                say(checking, JUDGE_ERROR, r == -EINVAL ? reason : strerror(-r));
        return bundle;
}

/* ---- authorities ---- */

/** Those of the system, quietly: there are many, and their expiry is the system's business. */
static struct certificate_bundle *system_of(struct checking *checking) {
        char ignored[CERTIFICATE_REASON_MAX];
        CONTENT content = { .bytes = NULL };

        if (checking->system_is_read)
                return checking->system;
        checking->system_is_read = true;
        if (nb_file_read(SYSTEM_TRUST_PATH, FILE_SIZE_MAX, &content.bytes, &content.length) == 0)
                (void)certificate_bundle_read(content.bytes, content.length, &checking->system, ignored);
        return checking->system;
}

/** @param at  what stands in for a path where the system's authorities are asked for */
static void check_trust(struct checking *checking, const struct policy_path *trust, const struct policy_path *at) {
        NB_CLEANUP(certificate_bundle_cleanup) struct certificate_bundle *bundle = NULL;
        const struct judge judge = judge_of(checking);
        CONTENT content = { .bytes = NULL };

        if (!trust->path) {
                checking->path = at;
                checking->file = SYSTEM_TRUST_PATH;
                if (!system_of(checking))
                        say(checking, JUDGE_ERROR,
                            "there are no authorities of the system that can be read; install them, or name yours");
                return;
        }
        if (!read_path(checking, trust, false, &content))
                return;
        bundle = parse(checking, &content);
        if (bundle)
                judge_authorities(&judge, bundle);
}

/* ---- certificates ---- */

static void check_key(struct checking *checking, const struct certificate_bundle *bundle,
                      const struct content *content) {
        char reason[CERTIFICATE_REASON_MAX];
        int r = certificate_check_key(&bundle->certificates[0], content->bytes, content->length, reason);

        if (r < 0)
                say(checking, JUDGE_ERROR, r == -ENOMEM ? strerror(ENOMEM) : reason);
}

static void check_staple(struct checking *checking, const struct certificate_bundle *bundle,
                         const struct policy_path *staple) {
        const struct judge judge = judge_of(checking);
        CONTENT content = { .bytes = NULL };

        if (staple->path && read_path(checking, staple, false, &content))
                judge_staple(&judge, bundle, content.bytes, content.length);
}

static void check_certificate(struct checking *checking, const struct policy_certificate *certificate,
                              enum judge_role role) {
        NB_CLEANUP(certificate_bundle_cleanup) struct certificate_bundle *bundle = NULL;
        const struct judge judge = judge_of(checking);
        bool has_key = certificate->key.path != NULL;
        CONTENT chain = { .bytes = NULL };
        CONTENT key = { .bytes = NULL };

        if (!certificate->chain.path || !read_path(checking, &certificate->chain, !has_key, &chain))
                return;
        bundle = parse(checking, &chain);
        if (!bundle)
                return;
        judge_chain(&judge, role, bundle, system_of(checking));
        if (!has_key)
                check_key(checking, bundle, &chain);
        else if (read_path(checking, &certificate->key, true, &key))
                check_key(checking, bundle, &key);
        check_staple(checking, bundle, &certificate->staple);
}

/* ---- sections ---- */

static void check_revoked(struct checking *checking, const struct policy_path *revoked) {
        const struct judge judge = judge_of(checking);
        CONTENT content = { .bytes = NULL };

        if (revoked->path && read_path(checking, revoked, false, &content))
                judge_revoked(&judge, content.bytes, content.length);
}

static void check_tls(struct checking *checking, const struct policy_tls *tls) {
        const struct policy_path at = { .at = { .file = tls->file, .line = tls->line } };

        for (size_t i = 0; i < tls->n_certificates; ++i)
                check_certificate(checking, &tls->certificates[i], JUDGE_SERVER);
        check_certificate(checking, &tls->client_certificate, JUDGE_CLIENT);
        if (!(tls->roles & POLICY_TLS_CLIENT) && tls->client_auth == POLICY_CLIENT_AUTH_NONE)
                return;
        check_trust(checking, &tls->trust, &at);
        check_revoked(checking, &tls->revoked);
}

static void check_password(struct checking *checking, const struct policy_path *password) {
        const struct judge judge = judge_of(checking);
        CONTENT content = { .bytes = NULL };

        if (password->path && read_path(checking, password, true, &content))
                judge_password(&judge, content.bytes, content.length);
}

static void check_proxy(struct checking *checking, const struct policy_proxy *proxy) {
        for (size_t i = 0; i < proxy->n_hops; ++i) {
                const struct policy_hop *hop = &proxy->hops[i];
                const struct policy_path at = { .at = hop->at };

                check_password(checking, &hop->password);
                if (hop->kind == POLICY_HOP_HTTPS)
                        check_trust(checking, &proxy->trust, &at);
        }
}

static void check_protocol(struct checking *checking, const struct policy_protocol *protocol) {
        if (protocol->tls)
                check_tls(checking, protocol->tls);
        check_proxy(checking, &protocol->proxy);
}

void check_files(const struct file_check *check, const struct policy *policy) {
        struct checking checking = { .check = check };

        for (size_t t = 0; t < policy->n_tenants; ++t) {
                const struct policy_tenant *tenant = &policy->tenants[t];

                for (size_t i = 0; i < tenant->n_protocols; ++i)
                        check_protocol(&checking, &tenant->protocols[i]);
                for (size_t i = 0; i < tenant->n_preopens; ++i)
                        check_protocol(&checking, &tenant->preopens[i].protocol);
        }
        certificate_bundle_free(checking.system);
}
