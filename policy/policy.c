/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "policy/index.h"
#include "policy/policy.h"

struct policy *policy_new(void) {
        return calloc(1, sizeof(struct policy));
}

static void rule_deinit(struct policy_rule *rule) {
        if (rule->target == POLICY_TARGET_NAME)
                free(rule->name.text);
        free(rule->text);
}

static void certificate_deinit(struct policy_certificate *certificate) {
        free(certificate->chain.path);
        free(certificate->key.path);
        free(certificate->staple.path);
}

static void tls_free(struct policy_tls *tls) {
        if (!tls)
                return;
        for (size_t i = 0; i < tls->n_certificates; ++i)
                certificate_deinit(&tls->certificates[i]);
        for (size_t i = 0; i < tls->n_client_names; ++i)
                free(tls->client_names[i].text);
        for (size_t i = 0; i < tls->n_alpn; ++i)
                free(tls->alpn[i]);
        certificate_deinit(&tls->client_certificate);
        free(tls->trust.path);
        free(tls->revoked.path);
        free(tls->certificates);
        free(tls->client_names);
        free(tls->alpn);
        free(tls->pins);
        free(tls);
}

static void proxy_deinit(struct policy_proxy *proxy) {
        for (size_t i = 0; i < POLICY_HOPS_MAX; ++i) {
                free(proxy->hops[i].password.path);
                free(proxy->hops[i].text);
        }
        free(proxy->trust.path);
}

void policy_protocol_deinit(struct policy_protocol *protocol) {
        for (size_t i = 0; i < protocol->n_rules; ++i)
                rule_deinit(&protocol->rules[i]);
        for (size_t i = 0; i < protocol->n_addresses; ++i)
                free(protocol->addresses[i].text);
        policy_index_free(protocol->index);
        tls_free(protocol->tls);
        proxy_deinit(&protocol->proxy);
        free(protocol->header_sources);
        free(protocol->addresses);
        free(protocol->rules);
        free(protocol->name);
}

void policy_tenant_deinit(struct policy_tenant *tenant) {
        for (size_t i = 0; i < tenant->n_protocols; ++i)
                policy_protocol_deinit(&tenant->protocols[i]);
        for (size_t i = 0; i < tenant->n_preopens; ++i)
                policy_protocol_deinit(&tenant->preopens[i].protocol);
        for (size_t i = 0; i < tenant->n_principals; ++i)
                free(tenant->principals[i].text);
        free(tenant->protocols);
        free(tenant->preopens);
        free(tenant->principals);
        free(tenant->revoked_tokens.path);
        free(tenant->socket.path);
        free(tenant->socket.user);
        free(tenant->socket.group);
        free(tenant->name);
}

struct policy *policy_free(struct policy *policy) {
        if (!policy)
                return NULL;

        for (size_t i = 0; i < policy->n_tenants; ++i)
                policy_tenant_deinit(&policy->tenants[i]);
        for (size_t i = 0; i < policy->n_files; ++i)
                free(policy->files[i]);
        for (size_t i = 0; i < policy->n_elsewhere; ++i)
                free(policy->elsewhere[i]);
        free(policy->elsewhere);
        policy_table_deinit(&policy->names);
        policy_table_deinit(&policy->sockets);
        free(policy->tenants);
        free(policy->files);
        free(policy);
        return NULL;
}

const struct policy_tenant *policy_find_tenant(const struct policy *policy, const char *name) {
        size_t index;

        return policy_table_find(&policy->names, name, &index) ? &policy->tenants[index] : NULL;
}

const struct policy_protocol *policy_find_protocol(const struct policy_tenant *tenant, const char *name) {
        for (size_t i = 0; i < tenant->n_protocols; ++i)
                if (strcmp(tenant->protocols[i].name, name) == 0)
                        return &tenant->protocols[i];
        for (size_t i = 0; i < tenant->n_preopens; ++i)
                if (strcmp(tenant->preopens[i].protocol.name, name) == 0)
                        return &tenant->preopens[i].protocol;
        return NULL;
}

bool policy_family_includes(enum policy_family family, sa_family_t address_family) {
        switch (family) {
        case POLICY_FAMILY_IP:
        case POLICY_FAMILY_QUIC:
                return address_family == AF_INET || address_family == AF_INET6;
        case POLICY_FAMILY_IPV4:
                return address_family == AF_INET;
        case POLICY_FAMILY_IPV6:
                return address_family == AF_INET6;
        case POLICY_FAMILY_UNIX:
                return address_family == AF_UNIX;
        }
        return false;
}

bool policy_has_tls(const struct policy_protocol *protocol, enum policy_verb verb) {
        enum policy_tls_role role = verb == POLICY_CONNECT ? POLICY_TLS_CLIENT : POLICY_TLS_SERVER;

        return protocol->tls && (protocol->tls->roles & role);
}

bool policy_has_handshake(const struct policy_protocol *protocol, enum policy_verb verb) {
        if (policy_has_tls(protocol, verb) || protocol->family == POLICY_FAMILY_QUIC)
                return true;
        if (verb == POLICY_CONNECT)
                return protocol->proxy.n_hops > 0 || protocol->send_header != POLICY_PROXY_HEADER_NONE;
        return protocol->n_header_sources > 0;
}

bool policy_keeps_socket(const struct policy_protocol *protocol, bool is_sealed) {
        switch (protocol->data_path) {
        case POLICY_DATA_PATH_DIRECT:
                return false;
        case POLICY_DATA_PATH_RELAY:
                return true;
        case POLICY_DATA_PATH_AUTO:
                break;
        }
        return !is_sealed && protocol->family != POLICY_FAMILY_UNIX;
}

bool policy_needs_relay(const struct policy_protocol *protocol, enum policy_verb verb, bool is_sealed) {
        return policy_keeps_socket(protocol, is_sealed) || policy_has_handshake(protocol, verb);
}

bool policy_bears(const struct policy_protocol *protocol, const struct policy_made *made) {
        if (policy_keeps_socket(protocol, made->is_sealed) && !made->is_relayed)
                return false;
        if ((protocol->family == POLICY_FAMILY_QUIC) != made->is_quic)
                return false;
        if (policy_has_tls(protocol, made->verb) && !made->has_tls)
                return false;
        return made->verb != POLICY_CONNECT || protocol->proxy.n_hops == 0 || made->has_proxy;
}

bool policy_has_rule(const struct policy_protocol *protocol, enum policy_rule_kind kind) {
        for (size_t i = 0; i < protocol->n_rules; ++i)
                if (protocol->rules[i].kind == kind)
                        return true;
        return false;
}

bool policy_listens_on_path(const struct policy_protocol *protocol) {
        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *rule = &protocol->rules[i];

                if (rule->kind == POLICY_RULE_LISTEN && rule->target == POLICY_TARGET_UNIX && !rule->pattern.abstract)
                        return true;
        }
        return false;
}
