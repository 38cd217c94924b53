/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/relay_context.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "broker/broker.h"
#include "broker/relay.h"
#include "broker/relay_check.h"
#include "broker/secret_file.h"

/* What of a protocol a context is for; each has one of each at the most. */
enum context_kind {
        CONTEXT_TLS,
        CONTEXT_PROXY_TLS,
        CONTEXT_PASSWORD, /* of the first proxy, */
        CONTEXT_PASSWORD_LAST = CONTEXT_PASSWORD + POLICY_HOPS_MAX - 1,
};

struct context_file {
        Nb__Relay__FileKind kind;
        const char *name;                 /* borrowed from the policy */
        const struct policy_position *at; /* likewise */
        int fd;
};

struct context {
        uint32_t id;
        const struct policy_protocol *protocol;
        enum context_kind kind;
        struct context_file files[NB_RELAY_FILES_MAX];
        size_t n_files;
        bool is_unusable;
        struct relay_certificate *certificates; /* owned */
        size_t n_certificates;
};

struct relay_contexts {
        struct context **all; /* owned, and each of them; sorted by protocol and kind */
        size_t n;
        uint32_t first_id;
};

static void cleanup_contexts(struct relay_contexts **contexts) {
        *contexts = relay_contexts_free(*contexts);
}

static struct context *context_free(struct context *context) {
        for (size_t i = 0; i < context->n_files; ++i)
                context->files[i].fd = nb_fd_close(context->files[i].fd);
        free(context->certificates);
        free(context);
        return NULL;
}

struct relay_contexts *relay_contexts_free(struct relay_contexts *contexts) {
        if (!contexts)
                return NULL;
        for (size_t i = 0; i < contexts->n; ++i)
                (void)context_free(contexts->all[i]);
        free(contexts->all);
        free(contexts);
        return NULL;
}

uint32_t relay_contexts_first_id(const struct relay_contexts *contexts) {
        return contexts->first_id;
}

/* ---- opening ---- */

static bool is_secret(Nb__Relay__FileKind kind) {
        return kind == NB__RELAY__FILE_KIND__FILE_KIND_KEY || kind == NB__RELAY__FILE_KIND__FILE_KIND_PASSWORD;
}

/* @param keyless  a chain whose key is in the same file */
static int add_file(const struct nb_log *log, struct context *context, Nb__Relay__FileKind kind,
                    const struct policy_path *path, bool keyless) {
        struct context_file *file = &context->files[context->n_files];
        int fd;

        if (!path->path)
                return 0;
        if (context->n_files == NB_RELAY_FILES_MAX)
                return -ENOBUFS;
        fd = secret_file_open(log, path, is_secret(kind) || keyless);
        if (fd < 0)
                return fd;
        *file = (struct context_file){ .kind = kind, .name = path->path, .at = &path->at, .fd = fd };
        context->n_files++;
        return 0;
}

static int add_trust(const struct nb_log *log, struct context *context, const struct policy_path *path,
                     const struct policy_position *at) {
        struct context_file *file = &context->files[context->n_files];
        int fd;

        if (path->path)
                return add_file(log, context, NB__RELAY__FILE_KIND__FILE_KIND_TRUST, path, false);
        fd = secret_file_open_system_trust(log, at);
        if (fd < 0)
                return fd;
        *file = (struct context_file){
                .kind = NB__RELAY__FILE_KIND__FILE_KIND_TRUST, .name = secret_file_system_trust(), .at = at, .fd = fd
        };
        context->n_files++;
        return 0;
}

static int add_certificate(const struct nb_log *log, struct context *context, Nb__Relay__FileKind kind,
                           const struct policy_certificate *certificate) {
        int r = add_file(log, context, kind, &certificate->chain, !certificate->key.path);

        if (r == 0)
                r = add_file(log, context, NB__RELAY__FILE_KIND__FILE_KIND_KEY, &certificate->key, false);
        if (r == 0)
                r = add_file(log, context, NB__RELAY__FILE_KIND__FILE_KIND_STAPLE, &certificate->staple, false);
        return r;
}

/* Whom a server trusts is of interest only where it asks clients for certificates. */
static bool verifies_peers(const struct policy_tls *tls) {
        return (tls->roles & POLICY_TLS_CLIENT) || tls->client_auth != POLICY_CLIENT_AUTH_NONE;
}

/* ---- making ---- */

static struct context *new_context(struct broker *broker, struct relay_contexts *contexts,
                                   const struct policy_protocol *protocol, enum context_kind kind) {
        struct context **all = reallocarray(contexts->all, contexts->n + 1, sizeof(*contexts->all));
        struct context *context;

        if (!all)
                return NULL;
        contexts->all = all;
        context = calloc(1, sizeof(*context));
        if (!context)
                return NULL;
        context->id = ++broker->last_relay_context;
        context->protocol = protocol;
        context->kind = kind;
        contexts->all[contexts->n++] = context;
        return context;
}

static int make_tls(struct broker *broker, struct relay_contexts *contexts, const struct policy_protocol *protocol) {
        const struct policy_tls *tls = protocol->tls;
        const struct policy_position at = { .file = tls->file, .line = tls->line, .column = 1 };
        struct context *context = new_context(broker, contexts, protocol, CONTEXT_TLS);
        int r = context ? 0 : -ENOMEM;

        if (r == 0 && verifies_peers(tls))
                r = add_trust(&broker->log, context, &tls->trust, &at);
        for (size_t i = 0; r == 0 && i < tls->n_certificates; ++i)
                r = add_certificate(&broker->log, context, NB__RELAY__FILE_KIND__FILE_KIND_CERTIFICATE,
                                    &tls->certificates[i]);
        if (r == 0)
                r = add_certificate(&broker->log, context, NB__RELAY__FILE_KIND__FILE_KIND_CLIENT_CERTIFICATE,
                                    &tls->client_certificate);
        if (r == 0)
                r = add_file(&broker->log, context, NB__RELAY__FILE_KIND__FILE_KIND_REVOKED, &tls->revoked, false);
        return r;
}

static int make_proxy_tls(struct broker *broker, struct relay_contexts *contexts,
                          const struct policy_protocol *protocol, const struct policy_hop *hop) {
        struct context *context = new_context(broker, contexts, protocol, CONTEXT_PROXY_TLS);

        return context ? add_trust(&broker->log, context, &protocol->proxy.trust, &hop->at) : -ENOMEM;
}

static int make_password(struct broker *broker, struct relay_contexts *contexts, const struct policy_protocol *protocol,
                         size_t i) {
        struct context *context = new_context(broker, contexts, protocol, (enum context_kind)(CONTEXT_PASSWORD + i));

        return context ? add_file(&broker->log, context, NB__RELAY__FILE_KIND__FILE_KIND_PASSWORD,
                                  &protocol->proxy.hops[i].password, false)
                       : -ENOMEM;
}

static const struct policy_hop *first_of_https(const struct policy_proxy *proxy) {
        for (size_t i = 0; i < proxy->n_hops; ++i) {
                if (proxy->hops[i].kind == POLICY_HOP_HTTPS)
                        return &proxy->hops[i];
        }
        return NULL;
}

static int make_of_protocol(struct broker *broker, struct relay_contexts *contexts,
                            const struct policy_protocol *protocol) {
        const struct policy_hop *https = first_of_https(&protocol->proxy);
        int r = protocol->tls ? make_tls(broker, contexts, protocol) : 0;

        if (r == 0 && https)
                r = make_proxy_tls(broker, contexts, protocol, https);
        for (size_t i = 0; r == 0 && i < protocol->proxy.n_hops; ++i) {
                if (protocol->proxy.hops[i].password.path)
                        r = make_password(broker, contexts, protocol, i);
        }
        return r;
}

static int make_of_tenant(struct broker *broker, struct relay_contexts *contexts, const struct policy_tenant *tenant) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < tenant->n_protocols; ++i)
                r = make_of_protocol(broker, contexts, &tenant->protocols[i]);
        for (size_t i = 0; r == 0 && i < tenant->n_preopens; ++i)
                r = make_of_protocol(broker, contexts, &tenant->preopens[i].protocol);
        return r;
}

static int compare(const void *a, const void *b) {
        const struct context *one = *(struct context *const *)a, *other = *(struct context *const *)b;

        if (one->protocol != other->protocol)
                return one->protocol < other->protocol ? -1 : 1;
        return (int)one->kind - (int)other->kind;
}

int relay_contexts_new(struct broker *broker, const struct policy *policy, struct relay_contexts **ret) {
        NB_CLEANUP(cleanup_contexts) struct relay_contexts *contexts = calloc(1, sizeof(*contexts));
        int r = contexts ? 0 : -ENOMEM;

        if (r == 0)
                contexts->first_id = broker->last_relay_context + 1;
        for (size_t i = 0; r == 0 && i < policy->n_tenants; ++i)
                r = make_of_tenant(broker, contexts, &policy->tenants[i]);
        if (r < 0)
                return r;
        if (contexts->n > 0)
                qsort(contexts->all, contexts->n, sizeof(*contexts->all), compare);
        *ret = nb_steal_ptr(contexts);
        return 0;
}

/* ---- sending ---- */

/* An order, with all that it points to and that is not the policy's. */
struct draft {
        Nb__Relay__Order order;
        Nb__Relay__Context context;
        Nb__Relay__File files[NB_RELAY_FILES_MAX], *file_pointers[NB_RELAY_FILES_MAX];
        int fds[NB_RELAY_FILES_MAX];
        char names[POLICY_TLS_LIST_MAX][POLICY_HOST_NAME_MAX + sizeof("*.")];
        char *name_pointers[POLICY_TLS_LIST_MAX];
        ProtobufCBinaryData pins[POLICY_TLS_LIST_MAX];
};

static void draft_files(struct draft *draft, const struct context *context) {
        draft->context.files = draft->file_pointers;
        draft->context.n_files = context->n_files;
        for (size_t i = 0; i < context->n_files; ++i) {
                nb__relay__file__init(&draft->files[i]);
                draft->files[i].kind = context->files[i].kind;
                draft->files[i].name = (char *)context->files[i].name;
                draft->file_pointers[i] = &draft->files[i];
                draft->fds[i] = context->files[i].fd;
        }
}

static Nb__Relay__ClientAuth client_auth_of(const struct policy_tls *tls) {
        switch (tls->client_auth) {
        case POLICY_CLIENT_AUTH_REQUEST:
                return NB__RELAY__CLIENT_AUTH__CLIENT_AUTH_REQUEST;
        case POLICY_CLIENT_AUTH_REQUIRE:
                return NB__RELAY__CLIENT_AUTH__CLIENT_AUTH_REQUIRE;
        case POLICY_CLIENT_AUTH_NONE:
                break;
        }
        return NB__RELAY__CLIENT_AUTH__CLIENT_AUTH_NONE;
}

static size_t at_most_list_max(size_t n) {
        return n < POLICY_TLS_LIST_MAX ? n : POLICY_TLS_LIST_MAX;
}

static void draft_lists(struct draft *draft, const struct policy_tls *tls) {
        Nb__Relay__Context *context = &draft->context;

        context->alpn = tls->alpn;
        context->n_alpn = tls->n_alpn;
        context->n_client_names = at_most_list_max(tls->n_client_names);
        context->client_names = draft->name_pointers;
        for (size_t i = 0; i < context->n_client_names; ++i) {
                (void)snprintf(draft->names[i], sizeof(draft->names[i]), "%s%s", tls->client_names[i].below ? "*." : "",
                               tls->client_names[i].text);
                draft->name_pointers[i] = draft->names[i];
        }
        context->n_pins = at_most_list_max(tls->n_pins);
        context->pins = draft->pins;
        for (size_t i = 0; i < context->n_pins; ++i)
                draft->pins[i] = (ProtobufCBinaryData){ .len = sizeof(tls->pins[i].bytes), .data = tls->pins[i].bytes };
}

static void draft_tls(struct draft *draft, const struct policy_tls *tls) {
        Nb__Relay__Context *context = &draft->context;

        context->client = tls->roles & POLICY_TLS_CLIENT;
        context->server = tls->roles & POLICY_TLS_SERVER;
        context->tls12 = tls->versions & POLICY_TLS_1_2;
        context->tls13 = tls->versions & POLICY_TLS_1_3;
        context->client_auth = client_auth_of(tls);
        context->must_staple = tls->must_staple;
        context->tickets = tls->tickets;
        draft_lists(draft, tls);
}

static void draft_order(struct draft *draft, const struct context *context) {
        nb__relay__order__init(&draft->order);
        nb__relay__context__init(&draft->context);
        draft->order.body_case = NB__RELAY__ORDER__BODY_CONTEXT;
        draft->order.context = &draft->context;
        draft->context.id = context->id;
        draft_files(draft, context);
        if (context->kind == CONTEXT_TLS)
                draft_tls(draft, context->protocol->tls);
        if (context->kind == CONTEXT_PROXY_TLS)
                draft->context.client = draft->context.tls12 = draft->context.tls13 = true;
}

/* ---- finding ---- */

static struct context *find(const struct broker *broker, const struct policy_protocol *protocol,
                            enum context_kind kind) {
        const struct relay_contexts *contexts = broker->relay_contexts;
        const struct context key = { .protocol = protocol, .kind = kind };
        const struct context *key_pointer = &key;
        struct context **found = NULL;

        if (contexts && contexts->n > 0)
                found = bsearch(&key_pointer, contexts->all, contexts->n, sizeof(*contexts->all), compare);
        return found ? *found : NULL;
}

static struct context *find_by_id(const struct relay_contexts *contexts, uint32_t id) {
        for (size_t i = 0; contexts && i < contexts->n; ++i) {
                if (contexts->all[i]->id == id)
                        return contexts->all[i];
        }
        return NULL;
}

/* @param ret  left alone where there is none */
static int send_if_any(struct relay_object *object, const struct broker *broker, const struct policy_protocol *protocol,
                       enum context_kind kind, uint32_t *ret) {
        const struct context *context = find(broker, protocol, kind);
        struct draft draft;
        int r;

        if (!context)
                return 0;
        if (context->is_unusable)
                return -EKEYREJECTED;
        draft_order(&draft, context);
        r = relay_order_context(object, &draft.order, draft.fds, context->n_files);
        if (r == 0)
                *ret = context->id;
        return r;
}

int relay_context_for(struct relay_object *object, const struct broker *broker, const struct policy_protocol *policy,
                      struct relay_context_ids *ret) {
        struct relay_context_ids ids = { .tls = 0 };
        int r = send_if_any(object, broker, policy, CONTEXT_TLS, &ids.tls);

        if (r == 0)
                r = send_if_any(object, broker, policy, CONTEXT_PROXY_TLS, &ids.proxy_tls);
        for (size_t i = 0; r == 0 && i < policy->proxy.n_hops; ++i)
                r = send_if_any(object, broker, policy, (enum context_kind)(CONTEXT_PASSWORD + i), &ids.passwords[i]);
        if (r < 0)
                return r;
        *ret = ids;
        return 0;
}

/* ---- what relays say of them ---- */

static const struct context_file *find_file(const struct context *context, const char *name) {
        for (size_t i = 0; i < context->n_files; ++i) {
                if (strcmp(context->files[i].name, name) == 0)
                        return &context->files[i];
        }
        return NULL;
}

static void log_unusable(const struct nb_log *log, const struct context *context, const Nb__Relay__Unusable *unusable) {
        const struct context_file *file = find_file(context, unusable->file);
        char reason[NB_REASON_LENGTH_MAX];

        (void)nb_escape(unusable->reason, strlen(unusable->reason), reason, sizeof(reason));
        if (file)
                nb_log(log, NB_LOG_ERROR, "%s:%u:%u: error: cannot use %s: %s", file->at->file, file->at->line,
                       file->at->column, file->name, reason);
        else
                nb_log(log, NB_LOG_ERROR, "%s:%u: error: the files of [Protocol %s] cannot be used: %s",
                       context->protocol->file, context->protocol->line, context->protocol->name, reason);
}

void relay_context_note_unusable(struct broker *broker, const Nb__Relay__Unusable *unusable) {
        struct context *context = find_by_id(broker->relay_contexts, unusable->context);

        if (!context || context->is_unusable)
                return;
        context->is_unusable = true;
        log_unusable(&broker->log, context, unusable);
}

/* Texts of a stranger, for the operator. */
static void copy_certificate(const Nb__Relay__Certificate *from, struct relay_certificate *to) {
        (void)nb_escape(from->file, strlen(from->file), to->file, sizeof(to->file));
        (void)nb_escape(from->name, strlen(from->name), to->name, sizeof(to->name));
        to->not_after = from->not_after;
}

static int note_loaded(struct context *context, const Nb__Relay__Loaded *loaded) {
        if (context->certificates || loaded->n_certificates > NB_RELAY_CERTIFICATES_MAX + 1)
                return -EPROTO;
        if (loaded->n_certificates == 0)
                return 0;
        context->certificates = calloc(loaded->n_certificates, sizeof(*context->certificates));
        if (!context->certificates)
                return -ENOMEM;
        for (size_t i = 0; i < loaded->n_certificates; ++i)
                copy_certificate(loaded->certificates[i], &context->certificates[i]);
        context->n_certificates = loaded->n_certificates;
        return 0;
}

const struct relay_certificate *relay_context_certificates(const struct broker *broker,
                                                           const struct policy_protocol *policy, size_t *ret_n) {
        const struct context *context = find(broker, policy, CONTEXT_TLS);

        *ret_n = context ? context->n_certificates : 0;
        return context ? context->certificates : NULL;
}

/* ---- trying them ---- */

static int take_answer(const struct nb_log *log, struct context *context, const Nb__Relay__Report *report) {
        if (report->body_case == NB__RELAY__REPORT__BODY_UNUSABLE && report->unusable->context == context->id) {
                log_unusable(log, context, report->unusable);
                return -EINVAL;
        }
        if (report->body_case == NB__RELAY__REPORT__BODY_LOADED && report->loaded->context == context->id)
                return note_loaded(context, report->loaded);
        return -EPROTO;
}

static int check_one(struct relay_check *check, const struct nb_log *log, struct context *context) {
        Nb__Relay__Report *report;
        struct draft draft;
        int r;

        draft_order(&draft, context);
        r = relay_check_ask(check, &draft.order, draft.fds, context->n_files, &report);
        return r < 0 ? r : take_answer(log, context, report);
}

static const char *why_not_checked(int r) {
        switch (r) {
        case -ETIMEDOUT:
                return "netbroker-relay has not read them in 5 s";
        case -ECONNRESET:
                return "netbroker-relay has ended while it read them";
        case -EPROTO:
        case -EBADMSG:
                return "what netbroker-relay says of them is no answer; is it of the same release?";
        default:
                return strerror(-r);
        }
}

int relay_contexts_check(struct broker *broker, struct relay_contexts *contexts) {
        struct relay_check *check = NULL;
        int r;

        if (contexts->n == 0)
                return 0;
        r = relay_check_new(broker, &check);
        for (size_t i = 0; r == 0 && i < contexts->n; ++i)
                r = check_one(check, &broker->log, contexts->all[i]);
        (void)relay_check_free(check);
        if (r == 0 || r == -EINVAL)
                return r;
        nb_log(&broker->log, NB_LOG_ERROR, "the policy's certificates, keys and passwords cannot be tried: %s",
               why_not_checked(r));
        return -EINVAL;
}
