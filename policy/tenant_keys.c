/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/tenant_keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/limit.h"
#include "policy/path.h"
#include "policy/pin.h"
#include "policy/value.h"
#include "policy/verdict.h"
#include "policy/words.h"

/** Puts a copy in the place of a text that is there. */
static int replace_text(char **text, const char *value) {
        char *copy = strdup(value);

        if (!copy)
                return -ENOMEM;
        free(*text);
        *text = copy;
        return 0;
}

int tenant_set_name(struct parser *p, const char *value) {
        const struct policy_tenant *other = policy_find_tenant(p->policy, value);
        int r = policy_name_check(value, &p->complaint);

        if (r < 0)
                return r;
        if (other == p->tenant)
                return 0;
        if (p->tenant->name)
                return policy_complain(&p->complaint, 0, "this is the tenant %s, and a drop-in cannot rename it",
                                       p->tenant->name);
        if (other)
                return policy_complain(&p->complaint, 0, "tenant %s is already defined at %s", value,
                                       policy_place(other->file, other->line).text);
        p->tenant->name = strdup(value);
        return p->tenant->name
                       ? policy_table_add(&p->policy->names, p->tenant->name, (size_t)(p->tenant - p->policy->tenants))
                       : -ENOMEM;
}

/* ---- whose sessions ---- */

static int check_principal(enum policy_principal_kind kind, const char *value, struct policy_complaint *complaint) {
        switch (kind) {
        case POLICY_PRINCIPAL_USER:
                return policy_user_check(value, complaint);
        case POLICY_PRINCIPAL_GROUP:
                return policy_group_check(value, complaint);
        default:
                return policy_unit_check(value, complaint);
        }
}

static enum policy_principal_kind principal_kind(enum parser_key key) {
        if (key == PARSER_KEY_USER)
                return POLICY_PRINCIPAL_USER;
        return key == PARSER_KEY_GROUP ? POLICY_PRINCIPAL_GROUP : POLICY_PRINCIPAL_UNIT;
}

int tenant_set_principal(struct parser *p, const char *value) {
        enum policy_principal_kind kind = principal_kind(p->key);
        struct policy_position position = parser_position(p);
        struct policy_tenant *tenant = p->tenant;
        struct policy_principal *principals;
        char *text;
        int r = check_principal(kind, value, &p->complaint);

        if (r < 0)
                return r;
        principals = parser_grow(tenant->principals, tenant->n_principals, sizeof(*principals));
        if (!principals)
                return -ENOMEM;
        tenant->principals = principals;
        text = strdup(value);
        if (!text)
                return -ENOMEM;
        principals[tenant->n_principals++] = (struct policy_principal){
                .kind = kind,
                .text = text,
                .file = position.file,
                .line = position.line,
                .column = position.column,
                .id = POLICY_NOBODY,
        };
        return 0;
}

/* ---- the tenant's own socket ---- */

int tenant_set_socket(struct parser *p, const char *value) {
        struct policy_session_socket *socket = &p->tenant->socket;
        struct policy_position position = parser_position(p);
        int r = policy_socket_path_check(value, &p->complaint);

        if (r < 0)
                return r;
        r = replace_text(&socket->path, value);
        socket->file = position.file;
        socket->line = position.line;
        return r;
}

int tenant_set_socket_owner(struct parser *p, const char *value) {
        struct policy_session_socket *socket = &p->tenant->socket;
        bool group = p->key == PARSER_KEY_SOCKET_GROUP;
        int r = group ? policy_group_check(value, &p->complaint) : policy_user_check(value, &p->complaint);

        if (r < 0)
                return r;
        *(group ? &socket->group_at : &socket->user_at) = parser_position(p);
        return replace_text(group ? &socket->group : &socket->user, value);
}

int tenant_set_socket_mode(struct parser *p, const char *value) {
        return policy_mode_parse(value, &p->tenant->socket.mode, &p->complaint);
}

/* ---- what holds for all of a tenant's ---- */

int tenant_set_mode(struct parser *p, const char *value) {
        int word, r = policy_word_parse(value, policy_words_mode, &word, &p->complaint);

        if (r == 0)
                p->tenant->mode = (enum policy_mode)word;
        return r;
}

int tenant_set_existing(struct parser *p, const char *value) {
        int word, r = policy_word_parse(value, policy_words_existing, &word, &p->complaint);

        if (r == 0)
                p->tenant->existing = (enum policy_existing)word;
        return r;
}

int tenant_set_require_seal(struct parser *p, const char *value) {
        return policy_yes_no_parse(value, &p->require_seal, &p->complaint);
}

int tenant_set_explain_denials(struct parser *p, const char *value) {
        return policy_yes_no_parse(value, &p->tenant->explain_denials, &p->complaint);
}

static int take_resolver(struct parser *p, const char *word) {
        struct policy_tenant *tenant = p->tenant;
        int r;

        if (tenant->n_resolvers == POLICY_RESOLVERS_MAX)
                return policy_complain(&p->complaint, 0, "a tenant has at most %d name servers", POLICY_RESOLVERS_MAX);
        r = policy_resolver_parse(word, &tenant->resolvers[tenant->n_resolvers], &p->complaint);
        if (r == 0)
                ++tenant->n_resolvers;
        return r;
}

int tenant_set_resolvers(struct parser *p, const char *value) {
        p->tenant->n_resolvers = 0;
        return parser_each_word(p, value, take_resolver);
}

int tenant_set_relays(struct parser *p, const char *value) {
        uint16_t number;

        if (nb_port_parse(value, strlen(value), &number) < 0 || number == 0 || number > POLICY_RELAYS_MAX)
                return policy_complain(&p->complaint, 0, "a tenant has from 1 to %d relays", POLICY_RELAYS_MAX);
        p->tenant->n_relays = number;
        return 0;
}

int tenant_set_shard(struct parser *p, const char *value) {
        uint16_t number;

        if (nb_port_parse(value, strlen(value), &number) < 0 || number == 0 || number > POLICY_SHARDS_MAX)
                return policy_complain(&p->complaint, 0, "shards are numbered from 1 to %d", POLICY_SHARDS_MAX);
        p->tenant->shard = number;
        return 0;
}

/* ---- tokens ---- */

/* With a blank behind each but the last. One more would not fit: `TokenKey=` is one line, as whoever reads what a tenant trusts expects. */
_Static_assert(sizeof("TokenKey=") - 1 + POLICY_TOKEN_KEYS_MAX * POLICY_TOKEN_KEY_TEXT_MAX - 1 <= POLICY_LINE_MAX,
               "a line holds fewer issuers");

static int take_token_key(struct parser *p, const char *word) {
        struct policy_tokens *tokens = &p->tenant->tokens;
        int r;

        if (tokens->n_keys == POLICY_TOKEN_KEYS_MAX)
                return policy_complain(&p->complaint, 0, "a tenant trusts at most %d issuers", POLICY_TOKEN_KEYS_MAX);
        r = policy_token_key_parse(word, &tokens->keys[tokens->n_keys], &p->complaint);
        if (r == 0)
                ++tokens->n_keys;
        return r;
}

int tenant_set_token_keys(struct parser *p, const char *value) {
        p->tenant->tokens.n_keys = 0;
        return parser_each_word(p, value, take_token_key);
}

int tenant_set_require_token(struct parser *p, const char *value) {
        return policy_yes_no_parse(value, &p->tenant->tokens.required, &p->complaint);
}

int tenant_set_revoked_tokens(struct parser *p, const char *value) {
        if (value[0] != '/')
                return policy_complain(&p->complaint, 0,
                                       "a list that a reload reads again is a path from the root, such as "
                                       "/etc/netbroker/revoked-tokens");
        return policy_path_set(p, &p->tenant->revoked_tokens, value);
}

int tenant_set_token_expiry(struct parser *p, const char *value) {
        int word, r = policy_word_parse(value, policy_words_existing, &word, &p->complaint);

        if (r == 0)
                p->tenant->tokens.expiry = (enum policy_existing)word;
        return r;
}

int tenant_check_tokens(struct parser *p) {
        const struct policy_tenant *tenant = p->tenant;

        if (tenant->tokens.n_keys > 0)
                return 0;
        if (tenant->revoked_tokens.path)
                return parser_fail_value(p, PARSER_KEY_REVOKED_TOKENS,
                                         "no token is taken, so there is none to revoke: write TokenKey= as well");
        if (!tenant->tokens.required)
                return 0;
        if (parser_is_set(p, PARSER_KEY_REQUIRE_TOKEN))
                return parser_fail_value(p, PARSER_KEY_REQUIRE_TOKEN,
                                         "no issuer is trusted, so nobody could come in: write TokenKey= as well");
        return parser_fail_whole(
                p, NULL, "TokenKey=ed25519/BASE64",
                "the defaults say RequireToken=yes, and no issuer is trusted, so nobody could come in");
}

int tenant_set_limit(struct parser *p, const char *value) {
        enum policy_limit limit = (enum policy_limit)(p->key - PARSER_KEY_LIMIT);

        return policy_limit_parse(limit, value, &p->tenant->limits[limit], &p->complaint);
}
