/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions with capability tokens, at the real netbrokerd: what a token leaves, who takes it, and what becomes of what it has opened.
 */
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/wall_clock.h"
#include "policy/pin.h"
#include "tests/support/keeper.h"
#include "tests/support/kernel.h"
#include "tests/support/network.h"
#include "tests/support/peer.h"
#include "tests/support/relay_units.h"
#include "tests/support/runner.h"
#include "token/revocation.h"
#include "token/token.h"

/* Lists of a block, up to NULL. */
#define LIST_MAX 3

struct block {
        const char *tenants[LIST_MAX], *protocols[LIST_MAX], *connect[LIST_MAX], *verbs[LIST_MAX];
        const char *quota;
        uint64_t n;
        uint64_t not_before, not_after;
};

struct world {
        struct daemon daemon;
        struct token_secret issuer;
        char key[POLICY_TOKEN_KEY_TEXT_MAX];
        uint8_t id; /* of the last block */
};

static void make_issuer(struct world *world) {
        struct policy_token_key text;
        struct token_key key;

        ck_assert_int_eq(token_init(), 0);
        token_secret_generate(&world->issuer);
        token_secret_public(&world->issuer, &key);
        memcpy(text.bytes, key.bytes, sizeof(text.bytes));
        (void)policy_token_key_format(&text, world->key);
        world->id = 0;
}

/* Two tenants of this user, which trust the issuer. @param extra  lines of [Tenant] */
static void write_policy(const struct world *world, const char *extra) {
        static const char *const names[] = { "acme", "other" };

        for (size_t i = 0; i < 2; ++i) {
                char file[32];

                (void)snprintf(file, sizeof(file), "%s.conf", names[i]);
                daemon_write_policy_file(&world->daemon, file,
                                         "[Tenant]\nName=%s\nUser=%u\nExplainDenials=yes\nTokenKey=%s\n%s"
                                         "[Protocol web]\nFamily=ip\nDataPath=direct\n" SCENE_LOOPBACK
                                         "[Protocol more]\nFamily=ip\nDataPath=direct\n" SCENE_LOOPBACK,
                                         names[i], (unsigned)geteuid(), world->key, extra);
        }
}

static void world_start(struct world *world, const char *extra) {
        daemon_init(&world->daemon);
        make_issuer(world);
        write_policy(world, extra);
        daemon_start(&world->daemon, NULL);
}

static void world_end(struct world *world) {
        daemon_stop(&world->daemon);
        daemon_deinit(&world->daemon);
}

/* ---- tokens ---- */

static Nb__Token__Texts *list(Nb__Token__Texts *texts, const char *const *items) {
        nb__token__texts__init(texts);
        texts->items = (char **)items;
        while (texts->n_items < LIST_MAX && items[texts->n_items])
                texts->n_items++;
        return texts->n_items > 0 ? texts : NULL;
}

static struct token_bytes encode(struct world *world, const struct block *source) {
        uint8_t id[NARROWING_ID_SIZE] = { ++world->id };
        Nb__Token__Texts tenants, protocols, connect, verbs;
        Nb__Token__Block block = NB__TOKEN__BLOCK__INIT;
        Nb__Token__Quota quota = NB__TOKEN__QUOTA__INIT, *quotas = &quota;
        struct token_bytes bytes;

        block.id = (ProtobufCBinaryData){ sizeof(id), id };
        block.label = (char *)"a test's";
        block.tenants = list(&tenants, source->tenants);
        block.protocols = list(&protocols, source->protocols);
        block.connect = list(&connect, source->connect);
        block.verbs = list(&verbs, source->verbs);
        quota.key = (char *)source->quota;
        quota.value = source->n;
        block.quotas = &quotas;
        block.n_quotas = source->quota ? 1 : 0;
        block.not_before = source->not_before;
        block.not_after = source->not_after;
        ck_assert_int_eq(token_block_encode(&block, &bytes), 0);
        return bytes;
}

static struct token_bytes make(struct world *world, const struct block *block) {
        struct token_bytes bytes = encode(world, block), token;

        ck_assert_int_eq(token_new(&world->issuer, &bytes, &token), 0);
        free(bytes.bytes);
        return token;
}

/* @return 0 or the WASI errno of the refusal */
static uint32_t open_at(const struct daemon *daemon, const char *tenant, const struct token_bytes *token,
                        struct wire_session *ret) {
        struct wire wire = wire_connect(daemon->socket_path);
        uint32_t error = wire_hello_with(&wire, tenant, token->bytes, token->length, ret);

        if (error != 0)
                (void)wire_close(&wire);
        return error;
}

/* Opens a session with a token of one block, which must be taken. */
static void open_with(struct world *world, const struct block *block, struct wire_session *ret) {
        struct token_bytes token = make(world, block);

        ck_assert_uint_eq(open_at(&world->daemon, "acme", &token, ret), 0);
        free(token.bytes);
}

/* The same, and it must be refused for this reason. */
static void refuse_with(struct world *world, const struct block *block, const char *reason) {
        struct token_bytes token = make(world, block);
        struct wire_session session;

        ck_assert_uint_eq(open_at(&world->daemon, "acme", &token, &session), NB_WASI_EACCES);
        free(token.bytes);
        daemon_expect_audit(&world->daemon, "\"verdict\":\"denied\"", reason);
}

/* ---- connecting ---- */

static uint32_t try_connect(struct wire *protocol, const char *address, int *ret_fd) {
        struct wire control = wire_open_control(protocol, "0.0.0.0:0");
        uint32_t error = wire_connect_to(&control, address, ret_fd);

        (void)wire_close(&control);
        return error;
}

/* @return the other end, owned by the caller */
static int connect_to(struct wire *protocol, const struct peer *peer, int *ret_fd) {
        ck_assert_uint_eq(try_connect(protocol, peer->text, ret_fd), 0);
        return peer_accept(peer);
}

/* What was closed a moment ago may count until a dump has missed it. */
static int connect_when_there_is_room(struct wire *protocol, const struct peer *peer, int *ret_fd) {
        uint64_t start_ms = harness_now_ms();
        uint32_t error;

        while ((error = try_connect(protocol, peer->text, ret_fd)) == NB_WASI_EMFILE)
                harness_wait_a_moment(start_ms, "room in the session's quota");
        ck_assert_uint_eq(error, 0);
        return peer_accept(peer);
}

static void expect_refused(struct wire *protocol, const char *address, const char *reason) {
        struct wire control = wire_open_control(protocol, "0.0.0.0:0");
        NB_CLEANUP_FREE char *why = NULL;

        ck_assert_uint_eq(wire_connect_refused(&control, address, &why), NB_WASI_EACCES);
        ck_assert_msg(strstr(why, reason), "%s", why);
        (void)wire_close(&control);
}

START_TEST(a_token_leaves_what_it_says) {
        struct peer one = peer_listen("127.0.0.1", 4), two = peer_listen("127.0.0.1", 4);
        struct wire_session session;
        struct world world;
        int fd, other;

        world_start(&world, "");
        open_with(&world, &(struct block){ .protocols = { "web" }, .connect = { one.text } }, &session);
        ck_assert_uint_eq(session.n_protocols, 1);
        other = connect_to(&session.protocols[0], &one, &fd);
        peer_exchange(fd, other);
        expect_refused(&session.protocols[0], two.text, "narrowed by block 1 of the token");
        daemon_expect_audit(&world.daemon, "\"verdict\":\"denied\"", "\"token\":\"01", "\"token_label\":\"a test's\"");
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other);
        wire_session_close(&session);
        peer_close(&one);
        peer_close(&two);
        world_end(&world);
}
END_TEST

START_TEST(verbs) {
        struct wire_session session;
        struct wire control;
        struct world world;

        world_start(&world, "");
        open_with(&world, &(struct block){ .verbs = { "connect" } }, &session);
        ck_assert_uint_eq(session.n_protocols, 2);
        ck_assert_uint_eq(wire_open(&session.protocols[0], "127.0.0.1:0", &control, NULL), NB_WASI_EACCES);
        wire_session_close(&session);
        open_with(&world, &(struct block){ .verbs = { "listen" } }, &session);
        control = wire_open_control(&session.protocols[0], "127.0.0.1:0");
        (void)wire_close(&control);
        expect_refused(&session.protocols[0], "127.0.0.1:1", "\"connect\" is not among its verbs");
        wire_session_close(&session);
        world_end(&world);
}
END_TEST

/* What is reported for the policy is refused for the token. */
START_TEST(abuse_34_report_mode_lends_nothing) {
        struct peer peer = peer_listen("127.0.0.1", 4), other = peer_listen("127.0.0.1", 4);
        struct wire_session session;
        struct world world;

        world_start(&world, "Mode=report\n");
        open_with(&world, &(struct block){ .connect = { peer.text, "any:*" } }, &session);
        expect_refused(&session.protocols[0], other.text, "narrowed by");
        wire_session_close(&session);
        peer_close(&peer);
        peer_close(&other);
        world_end(&world);
}
END_TEST

START_TEST(abuse_33_tokens_that_are_none) {
        struct token_bytes good, junk = { (uint8_t *)"not a token", 11 };
        struct wire_session session;
        struct world world, stranger;

        world_start(&world, "");
        ck_assert_uint_eq(open_at(&world.daemon, "acme", &junk, &session), NB_WASI_EACCES);
        daemon_expect_audit(&world.daemon, "this is not a token of version 1");
        make_issuer(&stranger);
        good = make(&stranger, &(struct block){ .not_before = 0 });
        ck_assert_uint_eq(open_at(&world.daemon, "acme", &good, &session), NB_WASI_EACCES);
        daemon_expect_audit(&world.daemon, "issuer is none of those");
        free(good.bytes);
        good = make(&world, &(struct block){ .not_before = 0 });
        good.bytes[good.length / 2] ^= 1;
        ck_assert_uint_eq(open_at(&world.daemon, "acme", &good, &session), NB_WASI_EACCES);
        good.bytes[good.length / 2] ^= 1;
        ck_assert_uint_eq(open_at(&world.daemon, "acme", &good, &session), 0);
        wire_session_close(&session);
        free(good.bytes);
        world_end(&world);
}
END_TEST

START_TEST(abuse_35_another_tenants_or_out_of_time) {
        uint64_t now = nb_wall_clock_ms() / 1000;
        struct token_bytes token;
        struct wire_session session;
        struct world world;

        world_start(&world, "");
        refuse_with(&world, &(struct block){ .tenants = { "other" } }, "is not for tenant acme");
        refuse_with(&world, &(struct block){ .not_after = now - 1 }, "has expired at");
        refuse_with(&world, &(struct block){ .not_before = now + 1000 }, "does not hold before");
        token = make(&world, &(struct block){ .tenants = { "other" } });
        ck_assert_uint_eq(open_at(&world.daemon, "other", &token, &session), 0);
        wire_session_close(&session);
        free(token.bytes);
        world_end(&world);
}
END_TEST

START_TEST(no_token_where_one_is_required) {
        struct token_bytes none = { NULL, 0 };
        struct wire_session session;
        struct world world;

        world_start(&world, "RequireToken=yes\n");
        ck_assert_uint_eq(open_at(&world.daemon, "acme", &none, &session), NB_WASI_EACCES);
        daemon_expect_audit(&world.daemon, "RequireToken=");
        open_with(&world, &(struct block){ .not_before = 0 }, &session);
        wire_session_close(&session);
        world_end(&world);
}
END_TEST

/* ---- when its time is over ---- */

#define SOON_S 2

START_TEST(abuse_35_a_socket_outlives_its_token_and_is_closed) {
        uint64_t end = nb_wall_clock_ms() / 1000 + SOON_S;
        struct peer peer = peer_listen("127.0.0.1", 4);
        struct wire_session session;
        struct world world;
        int fd, other;

        world_start(&world, "");
        open_with(&world, &(struct block){ .not_after = end }, &session);
        other = connect_to(&session.protocols[0], &peer, &fd);
        wire_expect_end(&session.channel);
        ck_assert_uint_ge(nb_wall_clock_ms() / 1000, end);
        wire_expect_end(&session.protocols[0]);
        daemon_expect_log(&world.daemon, "ends: the time of its token is over");
        daemon_expect_log(&world.daemon, "1 connections live on though the time of their tokens is over");
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other);
        wire_session_close(&session);
        peer_close(&peer);
        world_end(&world);
}
END_TEST

START_TEST(abuse_35_a_socket_outlives_its_token_and_is_kept) {
        uint64_t end = nb_wall_clock_ms() / 1000 + SOON_S, start = harness_now_ms();
        struct peer peer = peer_listen("127.0.0.1", 64);
        struct wire_session session;
        struct world world;
        int fd, other, late;

        world_start(&world, "TokenExpiry=keep\n");
        open_with(&world, &(struct block){ .not_after = end }, &session);
        other = connect_to(&session.protocols[0], &peer, &fd);
        while (nb_wall_clock_ms() / 1000 < end)
                harness_wait_a_moment(start, "the token's end");
        expect_refused(&session.protocols[0], peer.text, "the token of this session has expired at");
        ck_assert_uint_eq(try_connect(&session.protocols[1], peer.text, &late), NB_WASI_EACCES);
        peer_exchange(fd, other);
        wire_expect_silence(&session.channel);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other);
        wire_session_close(&session);
        peer_close(&peer);
        world_end(&world);
}
END_TEST

/* ---- what a reload takes back ---- */

static void write_list(const char *path, const char *text) {
        FILE *file = fopen(path, "we");

        ck_assert_ptr_nonnull(file);
        ck_assert_int_ge(fputs(text, file), 0);
        ck_assert_int_eq(fclose(file), 0);
}

START_TEST(a_revoked_token) {
        char path[64], extra[128], text[TOKEN_ID_TEXT_MAX + 1];
        uint8_t id[NARROWING_ID_SIZE] = { 1 };
        struct wire_session session, other;
        struct token_bytes token;
        struct world world;

        daemon_init(&world.daemon);
        make_issuer(&world);
        (void)snprintf(path, sizeof(path), "%s/revoked", world.daemon.folder);
        (void)snprintf(extra, sizeof(extra), "RevokedTokens=%s\n", path);
        write_list(path, "# none\n");
        write_policy(&world, extra);
        daemon_start(&world.daemon, NULL);
        token = make(&world, &(struct block){ .not_before = 0 });
        ck_assert_uint_eq(open_at(&world.daemon, "acme", &token, &session), 0);
        open_with(&world, &(struct block){ .not_before = 0 }, &other);
        write_list(path, token_id_format(id, text));
        daemon_reload(&world.daemon);
        wire_expect_end(&session.channel);
        wire_settle(&other.protocols[0]);
        ck_assert_uint_eq(open_at(&world.daemon, "acme", &token, &session), NB_WASI_EACCES);
        daemon_expect_audit(&world.daemon, "of the token is revoked");
        ck_assert_int_eq(unlink(path), 0);
        daemon_reload(&world.daemon);
        daemon_expect_log(&world.daemon, "there is no such file; make it, empty if nothing is revoked");
        ck_assert_uint_eq(open_at(&world.daemon, "acme", &token, &session), NB_WASI_EACCES);
        wire_session_close(&other);
        free(token.bytes);
        world_end(&world);
}
END_TEST

/* Existing=keep leaves what it has. */
START_TEST(a_revoked_token_gets_nothing_new) {
        struct peer peer = peer_listen("127.0.0.1", 4);
        char path[64], extra[128], text[TOKEN_ID_TEXT_MAX + 1];
        uint8_t id[NARROWING_ID_SIZE] = { 1 };
        struct wire_session session;
        struct world world;
        int fd, other;

        daemon_init(&world.daemon);
        make_issuer(&world);
        (void)snprintf(path, sizeof(path), "%s/revoked", world.daemon.folder);
        (void)snprintf(extra, sizeof(extra), "Existing=keep\nMode=report\nRevokedTokens=%s\n", path);
        write_list(path, "");
        write_policy(&world, extra);
        daemon_start(&world.daemon, NULL);
        open_with(&world, &(struct block){ .not_before = 0 }, &session);
        other = connect_to(&session.protocols[0], &peer, &fd);
        write_list(path, token_id_format(id, text));
        daemon_reload(&world.daemon);
        expect_refused(&session.protocols[0], peer.text, "its token is revoked");
        ck_assert_int_eq(send(fd, "kept", 4, MSG_NOSIGNAL), 4);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other);
        wire_session_close(&session);
        peer_close(&peer);
        world_end(&world);
}
END_TEST

START_TEST(an_issuer_that_is_trusted_no_more) {
        struct wire_session session;
        struct world world;

        world_start(&world, "");
        open_with(&world, &(struct block){ .not_before = 0 }, &session);
        make_issuer(&world);
        write_policy(&world, "");
        daemon_reload(&world.daemon);
        wire_expect_end(&session.channel);
        wire_session_close(&session);
        world_end(&world);
}
END_TEST

/* ---- how much ---- */

START_TEST(quotas_are_a_sessions) {
        struct wire_session session, other;
        struct wire one, two;
        struct world world;

        world_start(&world, "");
        open_with(&world, &(struct block){ .quota = "MaxControls", .n = 1 }, &session);
        open_with(&world, &(struct block){ .quota = "MaxControls", .n = 1 }, &other);
        one = wire_open_control(&session.protocols[0], "0.0.0.0:0");
        ck_assert_uint_eq(wire_open(&session.protocols[0], "0.0.0.0:0", &two, NULL), NB_WASI_EMFILE);
        two = wire_open_control(&other.protocols[0], "0.0.0.0:0");
        (void)wire_close(&two);
        (void)wire_close(&one);
        wire_settle(&session.protocols[0]);
        one = wire_open_control(&session.protocols[0], "0.0.0.0:0");
        (void)wire_close(&one);
        wire_session_close(&session);
        wire_session_close(&other);
        world_end(&world);
}
END_TEST

/* What is closed takes no place of a session's quota for long, also while the broker does not want to hear of sockets. */
START_TEST(a_quota_beside_noise) {
        struct wire_session session;
        struct peer peer, noise;
        uint64_t start_ms = harness_now_ms();
        struct world world;
        int living, living_other;

        network_enter();
        peer = peer_listen("127.0.0.1", 8);
        noise = peer_udp("127.0.0.1");
        world_start(&world, "");
        open_with(&world, &(struct block){ .quota = "MaxConnections", .n = 2 }, &session);
        living_other = connect_to(&session.protocols[0], &peer, &living);
        do {
                for (int i = 0; i < 100; ++i) {
                        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
                        struct sockaddr_storage sa;
                        socklen_t length = nb_address_to_sockaddr(&noise.address, &sa);

                        ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, length), 0);
                        (void)nb_fd_close(fd);
                }
                harness_wait_a_moment(start_ms, "the broker to leave the events");
        } while (kernel_tells_of_sockets(world.daemon.pid));
        for (int i = 0; i < 20; ++i) {
                int fd, other = connect_when_there_is_room(&session.protocols[0], &peer, &fd);

                (void)nb_fd_close(other);
                (void)nb_fd_close(fd);
                kernel_wait_sockets(IPPROTO_TCP, peer.address.port, 1);
        }
        (void)nb_fd_close(living);
        (void)nb_fd_close(living_other);
        wire_session_close(&session);
        peer_close(&noise);
        peer_close(&peer);
        world_end(&world);
}
END_TEST

/* Restrict. @return 0 or the WASI errno of the refusal */
static uint32_t wire_restrict(struct wire *protocol, const char *rules, struct wire *ret) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        Nb__Request request = NB__REQUEST__INIT;
        Nb__Restrict wish = NB__RESTRICT__INIT;

        wish.has_rules = true;
        wish.rules = (char *)rules;
        wish.rights_base = wish.rights_inheriting = UINT64_MAX;
        request.body_case = NB__REQUEST__BODY_RESTRICT_PROTOCOL;
        request.restrict_protocol = &wish;
        request.serial = ++protocol->serial;
        wire_send(protocol, &request);
        ck_assert(wire_receive(protocol, reply));
        if (reply->reply->body_case == NB__REPLY__BODY_REFUSED)
                return reply->reply->refused->error;
        ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_RESTRICTED);
        *ret = (struct wire){ .fd = nb_steal_fd(&reply->fds.fds[0]) };
        return 0;
}

/* A protocol that is narrowed is one of the session's controls, by its token too. */
START_TEST(a_narrower_protocol_is_a_control) {
        struct wire narrower = { .fd = -1 }, more = { .fd = -1 };
        struct wire_session session;
        struct world world;

        world_start(&world, "");
        open_with(&world, &(struct block){ .quota = "MaxControls", .n = 1 }, &session);
        ck_assert_uint_eq(wire_restrict(&session.protocols[0], "", &narrower), 0);
        ck_assert_uint_eq(wire_restrict(&session.protocols[0], "", &more), NB_WASI_EMFILE);
        ck_assert_uint_eq(wire_open(&session.protocols[0], "0.0.0.0:0", &more, NULL), NB_WASI_EMFILE);
        (void)wire_close(&narrower);
        wire_settle(&session.protocols[0]);
        more = wire_open_control(&session.protocols[0], "0.0.0.0:0");
        (void)wire_close(&more);
        wire_session_close(&session);
        world_end(&world);
}
END_TEST

/* A tenant's flood of tokens is told to come again, and the other tenant's are taken. */
START_TEST(a_flood_costs_its_own_tenant) {
        struct wire_session session;
        struct token_bytes bad, good;
        struct world world;
        uint32_t error = NB_WASI_EACCES;

        world_start(&world, "");
        bad = make(&world, &(struct block){ .not_before = 0 });
        good = make(&world, &(struct block){ .not_before = 0 });
        bad.bytes[bad.length / 2] ^= 1;
        for (int i = 0; i < 5000 && error == NB_WASI_EACCES; ++i)
                error = open_at(&world.daemon, "acme", &bad, &session);
        ck_assert_uint_eq(error, NB_WASI_EAGAIN);
        ck_assert_uint_eq(open_at(&world.daemon, "other", &good, &session), 0);
        wire_session_close(&session);
        free(bad.bytes);
        free(good.bytes);
        world_end(&world);
}
END_TEST

/* ---- one issuer, and whoever has its public key ---- */

START_TEST(a_fleet) {
        struct world one, two;
        struct token_bytes token;
        struct wire_session session;

        world_start(&one, "RequireToken=yes\n");
        two = one;
        daemon_init(&two.daemon);
        write_policy(&two, "RequireToken=yes\n");
        daemon_start(&two.daemon, NULL);
        token = make(&one, &(struct block){ .tenants = { "acme" } });
        ck_assert_uint_eq(open_at(&one.daemon, "acme", &token, &session), 0);
        wire_session_close(&session);
        ck_assert_uint_eq(open_at(&two.daemon, "acme", &token, &session), 0);
        wire_session_close(&session);
        free(token.bytes);
        world_end(&one);
        world_end(&two);
}
END_TEST

/* ---- after a restart ---- */

/* A broker beside a keeper, whose tenant trusts the issuer. */
struct restarts {
        struct restart_scene restart;
        struct relay_units units;
        struct world world;
        char defaults[64];
};

static void restarts_begin(struct restarts *restarts, const char *rules) {
        char text[256];

        make_issuer(&restarts->world);
        restart_prepare(&restarts->restart);
        (void)snprintf(restarts->defaults, sizeof(restarts->defaults), "%s/defaults",
                       restarts->restart.scene.daemon.folder);
        (void)snprintf(text, sizeof(text), "[Defaults]\nTokenKey=%s\n", restarts->world.key);
        write_list(restarts->defaults, text);
        relay_units_start(&restarts->units, restarts->restart.scene.daemon.folder);
        restart_argument(&restarts->restart, "--relay-socket");
        restart_argument(&restarts->restart, restarts->units.path);
        restart_argument(&restarts->restart, "--defaults");
        restart_argument(&restarts->restart, restarts->defaults);
        restart_begin(&restarts->restart, rules);
}

static void restarts_open(struct restarts *restarts, const struct block *block, struct wire_session *ret) {
        struct token_bytes token = make(&restarts->world, block);

        ck_assert_uint_eq(open_at(&restarts->restart.scene.daemon, "acme", &token, ret), 0);
        free(token.bytes);
}

/* @param killed  or ended, by the number of a loop test */
static void restarts_again(struct restarts *restarts, int killed) {
        restart_one(&restarts->restart, killed == 1);
        restart_expect_session_resumed(&restarts->restart);
}

static void expect_resumed(struct wire_session *session) {
        restart_expect_resumed(&session->channel);
        restart_expect_resumed(&session->protocols[0]);
}

static void restarts_end(struct restarts *restarts) {
        relay_units_stop(&restarts->units);
        restart_end(&restarts->restart);
}

START_TEST(a_restart_gives_nothing_back) {
        struct peer peer = peer_listen("127.0.0.1", 4), forbidden = peer_listen("127.0.0.1", 4);
        struct restarts restarts;
        struct wire_session session;
        int fd, other;

        restarts_begin(&restarts, SCENE_LOOPBACK);
        restarts_open(&restarts,
                      &(struct block){ .connect = { peer.text }, .not_after = nb_wall_clock_ms() / 1000 + 6 },
                      &session);
        restarts_again(&restarts, _i);
        expect_resumed(&session);
        other = connect_to(&session.protocols[0], &peer, &fd);
        expect_refused(&session.protocols[0], forbidden.text, "narrowed by");
        wire_expect_end(&session.channel); /* when its time is over */
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other);
        wire_session_close(&session);
        peer_close(&peer);
        peer_close(&forbidden);
        restarts_end(&restarts);
}
END_TEST

/* Sessions that connect by turns, and by protocols of their own, have their quotas after a restart. */
START_TEST(a_restart_lends_no_connections) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        const struct block two = { .quota = "MaxConnections", .n = 2 };
        struct wire narrower = { .fd = -1 };
        struct wire_session sessions[2];
        struct restarts restarts;
        int fds[4], others[4], none;

        restarts_begin(&restarts, SCENE_LOOPBACK);
        for (int i = 0; i < 2; ++i)
                restarts_open(&restarts, &two, &sessions[i]);
        ck_assert_uint_eq(wire_restrict(&sessions[0].protocols[0], "Connect=127.0.0.0/8:*", &narrower), 0);
        others[0] = connect_to(&narrower, &peer, &fds[0]);
        for (int i = 1; i < 4; ++i)
                others[i] = connect_to(&sessions[i % 2].protocols[0], &peer, &fds[i]);
        restarts_again(&restarts, _i);
        for (int i = 0; i < 2; ++i)
                expect_resumed(&sessions[i]);
        restart_expect_resumed(&narrower);
        for (int i = 0; i < 2; ++i)
                ck_assert_uint_eq(try_connect(&sessions[i].protocols[0], peer.text, &none), NB_WASI_EMFILE);
        for (int i = 0; i < 4; ++i) {
                (void)nb_fd_close(fds[i]);
                (void)nb_fd_close(others[i]);
        }
        (void)wire_close(&narrower);
        for (int i = 0; i < 2; ++i)
                wire_session_close(&sessions[i]);
        peer_close(&peer);
        restarts_end(&restarts);
}
END_TEST

/* A server that a relay goes on with is one of the session's listeners, as before. */
START_TEST(a_restart_and_a_server_of_datagrams) {
        struct wire server = { .fd = -1 }, more = { .fd = -1 };
        struct peer peer = peer_udp("127.0.0.1");
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct restarts restarts;
        struct wire_session session;
        int stream;

        restarts_begin(&restarts, "SocketTypes=stream dgram\n" SCENE_LOOPBACK);
        restarts_open(&restarts, &(struct block){ .quota = "MaxListeners", .n = 1 }, &session);
        ck_assert_uint_eq(wire_open_dgram(&session.protocols[0], "127.0.0.1:0", &server, NULL), 0);
        ck_assert_uint_eq(wire_listen(&server, 4, address), 0);
        peer_udp_send(&peer, address, "the relay serves");
        stream = wire_receive_accepted(&server, 1);
        restarts_again(&restarts, _i);
        expect_resumed(&session);
        restart_expect_resumed(&server);
        ck_assert_uint_eq(wire_open_dgram(&session.protocols[0], "127.0.0.1:0", &more, NULL), 0);
        ck_assert_uint_eq(wire_listen(&more, 4, address), NB_WASI_EMFILE);
        (void)wire_close(&server);
        wire_settle(&session.protocols[0]);
        ck_assert_uint_eq(wire_listen(&more, 4, address), 0);
        (void)wire_close(&more);
        (void)nb_fd_close(stream);
        peer_close(&peer);
        wire_session_close(&session);
        restarts_end(&restarts);
}
END_TEST

/* What ends while no broker is there, ends with the next. */
START_TEST(abuse_35_a_token_ends_in_an_outage) {
        uint64_t end = nb_wall_clock_ms() / 1000 + SOON_S, start = harness_now_ms();
        struct peer peer = peer_listen("127.0.0.1", 4);
        struct restarts restarts;
        struct wire_session session;
        int fd, other;

        restarts_begin(&restarts, SCENE_LOOPBACK);
        restarts_open(&restarts, &(struct block){ .not_after = end }, &session);
        other = connect_to(&session.protocols[0], &peer, &fd);
        restart_take_down(&restarts.restart, _i == 1);
        while (nb_wall_clock_ms() / 1000 < end)
                harness_wait_a_moment(start, "the token's end");
        restart_again(&restarts.restart);
        restart_expect_session_resumed(&restarts.restart);
        wire_expect_end(&session.channel);
        wire_expect_end(&session.protocols[0]);
        daemon_expect_log(&restarts.restart.scene.daemon, "ends: the time of its token is over");
        daemon_expect_log(&restarts.restart.scene.daemon,
                          "1 connections live on though the time of their tokens is over");
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other);
        wire_session_close(&session);
        peer_close(&peer);
        restarts_end(&restarts);
}
END_TEST

static Suite *tokens_suite(void) {
        Suite *suite = suite_create("tokens");
        TCase *test = tcase_create("tokens");

        tcase_add_test(test, a_token_leaves_what_it_says);
        tcase_add_test(test, verbs);
        tcase_add_test(test, abuse_34_report_mode_lends_nothing);
        tcase_add_test(test, abuse_33_tokens_that_are_none);
        tcase_add_test(test, abuse_35_another_tenants_or_out_of_time);
        tcase_add_test(test, no_token_where_one_is_required);
        tcase_add_test(test, abuse_35_a_socket_outlives_its_token_and_is_closed);
        tcase_add_test(test, abuse_35_a_socket_outlives_its_token_and_is_kept);
        tcase_add_test(test, a_revoked_token);
        tcase_add_test(test, a_revoked_token_gets_nothing_new);
        tcase_add_test(test, an_issuer_that_is_trusted_no_more);
        tcase_add_test(test, quotas_are_a_sessions);
        if (getuid() == 0)
                tcase_add_test(test, a_quota_beside_noise);
        tcase_add_test(test, a_narrower_protocol_is_a_control);
        tcase_add_test(test, a_flood_costs_its_own_tenant);
        tcase_add_test(test, a_fleet);
        tcase_add_loop_test(test, a_restart_gives_nothing_back, 0, 2);
        tcase_add_loop_test(test, a_restart_lends_no_connections, 0, 2);
        tcase_add_loop_test(test, a_restart_and_a_server_of_datagrams, 0, 2);
        tcase_add_loop_test(test, abuse_35_a_token_ends_in_an_outage, 0, 2);
        suite_add_tcase(suite, test);
        return suite;
}

int main(void) {
        return run_suite(tokens_suite());
}
