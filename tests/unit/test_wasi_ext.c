/* SPDX-License-Identifier: Apache-2.0 */
/* Module `networking_ext`: addresses, denials, options; and each pointer and number of theirs at and beyond its bounds. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "shim/wasi/option.h"
#include "tests/support/runner.h"
#include "tests/unit/socket_pairs.h"
#include "tests/unit/wasi_world.h"

#define TEXT WORLD_TEXT
#define TEXT_SIZE 128u
#define OK NB_WASI_SUCCESS
#define PEER_TEXT "192.0.2.1:80" /* of the scripted broker */

/* Calls for a text with ample room. */
static int ask(struct world *world, const char *name, uint32_t fd) {
        memset(world->memory + TEXT, 0x55, TEXT_SIZE);
        return world_call(world, name, fd, TEXT, TEXT_SIZE, WORLD_RET);
}

static void expect_text(const struct world *world, const char *text) {
        ck_assert_uint_eq(world_get_u32(world, WORLD_RET), strlen(text));
        ck_assert_mem_eq(world->memory + TEXT, text, strlen(text));
        ck_assert_uint_eq(world->memory[TEXT + strlen(text)], 0x55); /* no NUL */
}

/* ---- narrower protocols ---- */

static int restrict_to(struct world *world, const char *rules, uint64_t base, uint64_t inheriting) {
        return world_call(world, "protocol_restrict", WORLD_PROTOCOL, TEXT, world_put_text(world, TEXT, rules), base,
                          inheriting, WORLD_RET);
}

START_TEST(a_protocol_is_narrowed) {
        struct world world;
        uint32_t narrower;

        world_init(&world, 0);
        ck_assert_int_eq(restrict_to(&world, "Connect=any", UINT64_MAX, NB_RIGHTS_STREAM), OK);
        narrower = world_get_u32(&world, WORLD_RET);
        ck_assert_uint_eq(narrower, WORLD_FIRST_FREE);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_get", narrower, WORLD_BUFFER), OK);
        ck_assert_uint_eq(world_get_u64(&world, WORLD_BUFFER + 8), NB_RIGHTS_PROTOCOL);
        ck_assert_uint_eq(world_get_u64(&world, WORLD_BUFFER + 16), NB_RIGHTS_STREAM);
        ck_assert_int_eq(world_call(&world, "fd_close", narrower), OK);
        world_deinit(&world);
}
END_TEST

/* What the guest has given up itself does not come back. */
START_TEST(given_up_rights_are_not_in_it) {
        struct world world;

        world_init(&world, 0);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_rights", WORLD_PROTOCOL, 0, NB_RIGHT_FD_READ), OK);
        ck_assert_int_eq(restrict_to(&world, "", UINT64_MAX, UINT64_MAX), OK);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_get", WORLD_FIRST_FREE, WORLD_BUFFER), OK);
        ck_assert_uint_eq(world_get_u64(&world, WORLD_BUFFER + 8), 0);
        ck_assert_uint_eq(world_get_u64(&world, WORLD_BUFFER + 16), NB_RIGHT_FD_READ);
        world_deinit(&world);
}
END_TEST

START_TEST(bad_rules_are_explained) {
        struct world world;

        world_init(&world, 0);
        world.broker.reason = "line 1";
        ck_assert_int_eq(restrict_to(&world, "bad", UINT64_MAX, UINT64_MAX), NB_WASI_EINVAL);
        memset(world.memory + TEXT, 0x55, TEXT_SIZE);
        ck_assert_int_eq(world_call(&world, "last_denial", TEXT, TEXT_SIZE, WORLD_RET), OK);
        expect_text(&world, "line 1");
        ck_assert_int_eq(world_call(&world, "protocol_restrict", WORLD_PROTOCOL, TEXT, 4097, 0, 0, WORLD_RET),
                         NB_WASI_EINVAL);
        ck_assert_int_eq(world_call(&world, "protocol_restrict", WORLD_PROTOCOL, WORLD_MEMORY_SIZE, 1, 0, 0, WORLD_RET),
                         NB_WASI_EFAULT);
        ck_assert_int_eq(world_call(&world, "protocol_restrict", WORLD_PROTOCOL, 0, 0, 0, 0, WORLD_MEMORY_SIZE - 3),
                         NB_WASI_EFAULT);
        world_deinit(&world);
}
END_TEST

/* ---- addresses ---- */

/* What the peer sees of the guest's end. */
static void peer_of(const struct world *world, char buffer[static TEXT_SIZE]) {
        struct sockaddr_in address;
        socklen_t length = sizeof(address);
        char host[INET_ADDRSTRLEN];

        ck_assert_int_eq(getpeername(world->broker.peer, (struct sockaddr *)&address, &length), 0);
        ck_assert_ptr_nonnull(inet_ntop(AF_INET, &address.sin_addr, host, sizeof(host)));
        (void)snprintf(buffer, TEXT_SIZE, "%s:%u", host, (unsigned)ntohs(address.sin_port));
}

START_TEST(a_control_has_a_local_address) {
        struct world world;
        uint32_t control;

        world_init(&world, 0);
        control = world_open(&world, 0);
        ck_assert_int_eq(ask(&world, "local_address", control), OK);
        expect_text(&world, "any:0"); /* as the broker has said */
        ck_assert_int_eq(ask(&world, "remote_address", control), NB_WASI_ENOTCONN);
        ck_assert_int_eq(world_call(&world, "listen", control, 1), OK);
        ck_assert_int_eq(ask(&world, "local_address", control), OK);
        expect_text(&world, PEER_TEXT);
        world_deinit(&world);
}
END_TEST

/* Of its socket, from whatever end one asks, for as long as that is open. */
START_TEST(a_connection_and_its_stream_have_both_addresses) {
        const struct world_options options = { .make_stream = _i ? udp_pair : tcp_pair };
        char expected[TEXT_SIZE];
        struct world world;
        uint32_t connection;
        uint32_t stream;

        world_init_with(&world, &options);
        connection = world_connection(&world);
        peer_of(&world, expected);
        ck_assert_int_eq(ask(&world, "local_address", connection), OK); /* nobody has taken the stream */
        expect_text(&world, expected);
        stream = world_call_ret(&world, "stream_create", connection, UINT64_MAX, 0, 0, WORLD_RET);
        for (uint32_t i = 0; i < 2; ++i) {
                ck_assert_int_eq(ask(&world, "local_address", i ? stream : connection), OK);
                expect_text(&world, expected);
                ck_assert_int_eq(ask(&world, "remote_address", i ? stream : connection), OK);
                expect_text(&world, PEER_TEXT);
        }
        ck_assert_int_eq(world_call(&world, "fd_close", stream), OK);
        ck_assert_int_eq(ask(&world, "local_address", connection), NB_WASI_ENOTCONN);
        ck_assert_int_eq(ask(&world, "remote_address", connection), OK);
        expect_text(&world, PEER_TEXT);
        world_deinit(&world);
}
END_TEST

START_TEST(a_stream_outlives_its_connection_fd) {
        const struct world_options options = { .make_stream = tcp_pair };
        char expected[TEXT_SIZE];
        struct world world;
        uint32_t listener;
        uint32_t stream;

        world_init_with(&world, &options);
        listener = world_listener(&world, 0);
        scripted_broker_push(&world.broker);
        stream = world_call_ret(&world, "sock_accept", listener, 0, WORLD_RET);
        peer_of(&world, expected);
        ck_assert_int_eq(world_call(&world, "fd_renumber", stream, listener), OK);
        ck_assert_int_eq(ask(&world, "local_address", listener), OK);
        expect_text(&world, expected);
        ck_assert_int_eq(ask(&world, "remote_address", listener), OK);
        expect_text(&world, PEER_TEXT);
        world_deinit(&world);
}
END_TEST

/* TCP over IPv4, which a listener of both families has accepted: [0] is the client. */
static void mapped_pair(int ret[static 2]) {
        struct sockaddr_in6 any = { .sin6_family = AF_INET6 };
        struct sockaddr_in client = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t length = sizeof(any);
        int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

        ck_assert_int_eq(setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 0 }, sizeof(int)), 0);
        ck_assert_int_eq(bind(listener, (const struct sockaddr *)&any, sizeof(any)), 0);
        ck_assert_int_eq(listen(listener, 1), 0);
        ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&any, &length), 0);
        client.sin_port = any.sin6_port;
        ret[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(connect(ret[0], (const struct sockaddr *)&client, sizeof(client)), 0);
        ret[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        ck_assert_int_ge(ret[1], 0);
        nb_fd_close(listener);
}

START_TEST(an_ipv4_address_of_both_families_is_written_as_one) {
        const struct world_options options = { .make_stream = mapped_pair };
        char expected[TEXT_SIZE];
        struct world world;
        uint32_t stream;

        world_init_with(&world, &options);
        stream = world_stream(&world, 0);
        peer_of(&world, expected);
        ck_assert_int_eq(ask(&world, "local_address", stream), OK);
        expect_text(&world, expected);
        world_deinit(&world);
}
END_TEST

/* Where the broker tells the local name, it is that, also when the socket is gone. */
START_TEST(a_unix_socket_has_the_name_that_the_broker_tells) {
        struct world world;
        uint32_t connection;
        uint32_t stream;

        world_init(&world, 0);
        connection = world_connection(&world);
        ck_assert_int_eq(ask(&world, "local_address", connection), OK);
        expect_text(&world, "");
        world.broker.local_text = "/run/app/s";
        world.broker.peer_text = "";
        connection = world_connection(&world);
        stream = world_call_ret(&world, "stream_accept", connection, WORLD_RET);
        ck_assert_int_eq(ask(&world, "local_address", stream), OK);
        expect_text(&world, "/run/app/s");
        ck_assert_int_eq(ask(&world, "remote_address", stream), OK);
        expect_text(&world, "");
        ck_assert_int_eq(world_call(&world, "fd_close", stream), OK);
        ck_assert_int_eq(ask(&world, "local_address", connection), OK);
        expect_text(&world, "/run/app/s");
        world_deinit(&world);
}
END_TEST

/* One that does not fit is not written, but its length is. */
START_TEST(a_text_needs_its_room) {
        static const char *const names[] = { "local_address", "remote_address" };
        const uint32_t length = strlen(PEER_TEXT);
        struct world world;
        uint32_t stream;

        world_init(&world, 0);
        world.broker.local_text = PEER_TEXT;
        stream = world_stream(&world, 0);
        memset(world.memory + TEXT, 0x55, TEXT_SIZE);
        for (uint32_t size = 0; size < length; ++size) {
                ck_assert_int_eq(world_call(&world, names[_i], stream, TEXT, size, WORLD_RET), NB_WASI_ENAMETOOLONG);
                ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), length);
                ck_assert_uint_eq(world.memory[TEXT], 0x55);
        }
        ck_assert_int_eq(world_call(&world, names[_i], stream, TEXT, length, WORLD_RET), OK);
        expect_text(&world, PEER_TEXT);
        /* No room is taken at the very end, and none is needed to learn the length. */
        ck_assert_int_eq(world_call(&world, names[_i], stream, WORLD_MEMORY_SIZE, 0, WORLD_RET), NB_WASI_ENAMETOOLONG);
        ck_assert_int_eq(world_call(&world, names[_i], stream, WORLD_MEMORY_SIZE + 1, 0, WORLD_RET), NB_WASI_EFAULT);
        ck_assert_int_eq(world_call(&world, names[_i], stream, 0, WORLD_MEMORY_SIZE, WORLD_RET), OK);
        ck_assert_int_eq(world_call(&world, names[_i], stream, 0, WORLD_MEMORY_SIZE + 1, WORLD_RET), NB_WASI_EFAULT);
        ck_assert_int_eq(world_call(&world, names[_i], stream, 1, UINT32_MAX, WORLD_RET), NB_WASI_EFAULT);
        /* The two may overlap; then the length is what stands there. */
        ck_assert_int_eq(world_call(&world, names[_i], stream, WORLD_RET, length, WORLD_RET), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), length);
        world_deinit(&world);
}
END_TEST

/* ---- TLS ---- */

static char tls13[] = "TLS1.3", aes[] = "TLS_AES_128_GCM_SHA256", h2[] = "h2";
static char *const peer_names[] = { (char[]){ "api.example.com" }, (char[]){ "192.0.2.7" } };

static Nb__Security agreed(void) {
        Nb__Security security = NB__SECURITY__INIT;

        security.version = tls13;
        security.cipher = aes;
        security.alpn = h2;
        security.resumed = true;
        security.peer_names = (char **)peer_names;
        security.n_peer_names = sizeof(peer_names) / sizeof(peer_names[0]);
        return security;
}

/* A descriptor of each kind that tells it: [0] the connection, [1] its stream, [2] a stream that was accepted. */
static uint32_t make_secure(struct world *world, int which) {
        uint32_t fd;

        if (which < 2) {
                fd = world_connection(world);
                return which == 0 ? fd : world_call_ret(world, "stream_create", fd, UINT64_MAX, 0, 0, WORLD_RET);
        }
        fd = world_listener(world, 0);
        scripted_broker_push(&world->broker);
        return world_call_ret(world, "sock_accept", fd, 0, WORLD_RET);
}

static int ask_peer_name(struct world *world, uint32_t fd, uint32_t index, uint32_t size) {
        memset(world->memory + TEXT, 0x55, TEXT_SIZE);
        return world_call(world, "tls_peer_name", fd, index, TEXT, size, WORLD_RET);
}

START_TEST(what_tls_has_agreed_on_is_told) {
        Nb__Security security = agreed();
        struct world world;
        uint32_t fd;

        world_init(&world, 0);
        world.broker.security = &security;
        fd = make_secure(&world, _i);
        ck_assert_int_eq(ask(&world, "tls_version", fd), OK);
        expect_text(&world, "TLS1.3");
        ck_assert_int_eq(ask(&world, "tls_cipher", fd), OK);
        expect_text(&world, "TLS_AES_128_GCM_SHA256");
        ck_assert_int_eq(ask(&world, "tls_alpn", fd), OK);
        expect_text(&world, "h2");
        ck_assert_uint_eq(world_call_ret(&world, "tls_resumed", fd, WORLD_RET), 1);
        for (uint32_t i = 0; i < security.n_peer_names; ++i) {
                ck_assert_int_eq(ask_peer_name(&world, fd, i, TEXT_SIZE), OK);
                expect_text(&world, peer_names[i]);
        }
        ck_assert_int_eq(ask_peer_name(&world, fd, 2, TEXT_SIZE), NB_WASI_ENOENT);
        ck_assert_int_eq(ask_peer_name(&world, fd, UINT32_MAX, TEXT_SIZE), NB_WASI_ENOENT);
        world_deinit(&world);
}
END_TEST

/* It is kept with the connection, for as long as a descriptor of it is open. */
START_TEST(what_was_agreed_on_outlives_the_stream) {
        Nb__Security security = agreed();
        struct world world;
        uint32_t connection, stream;

        world_init(&world, 0);
        world.broker.security = &security;
        connection = world_connection(&world);
        stream = world_call_ret(&world, "stream_create", connection, UINT64_MAX, 0, 0, WORLD_RET);
        ck_assert_int_eq(world_call(&world, "fd_close", stream), OK);
        ck_assert_int_eq(ask(&world, "tls_version", connection), OK);
        expect_text(&world, "TLS1.3");
        world_deinit(&world);
}
END_TEST

START_TEST(tls_without_alpn_or_names_is_told) {
        Nb__Security security = NB__SECURITY__INIT;
        struct world world;
        uint32_t fd;

        world_init(&world, 0);
        security.version = (char[]){ "TLS1.2" };
        world.broker.security = &security;
        fd = world_stream(&world, 0);
        ck_assert_int_eq(ask(&world, "tls_alpn", fd), OK);
        expect_text(&world, "");
        ck_assert_uint_eq(world_call_ret(&world, "tls_resumed", fd, WORLD_RET), 0);
        ck_assert_int_eq(ask_peer_name(&world, fd, 0, TEXT_SIZE), NB_WASI_ENOENT);
        world_deinit(&world);
}
END_TEST

/* On what has no TLS, and on what has no peer; a bad pointer is told first. */
START_TEST(what_has_no_tls_says_so) {
        static const char *const names[] = { "tls_version", "tls_cipher", "tls_alpn" };
        struct world world;
        uint32_t control, stream;

        world_init(&world, 0);
        control = world_open(&world, 0);
        stream = world_stream(&world, 0);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
                ck_assert_int_eq(ask(&world, names[i], stream), NB_WASI_ENOPROTOOPT);
                ck_assert_int_eq(ask(&world, names[i], control), NB_WASI_ENOTCONN);
                ck_assert_int_eq(world_call(&world, names[i], stream, WORLD_MEMORY_SIZE, 1, WORLD_RET), NB_WASI_EFAULT);
        }
        ck_assert_int_eq(ask_peer_name(&world, stream, 0, TEXT_SIZE), NB_WASI_ENOPROTOOPT);
        ck_assert_int_eq(ask_peer_name(&world, control, 0, TEXT_SIZE), NB_WASI_ENOTCONN);
        ck_assert_int_eq(world_call(&world, "tls_resumed", stream, WORLD_RET), NB_WASI_ENOPROTOOPT);
        ck_assert_int_eq(world_call(&world, "tls_resumed", control, WORLD_RET), NB_WASI_ENOTCONN);
        ck_assert_int_eq(world_call(&world, "tls_resumed", stream, WORLD_MEMORY_SIZE - 3), NB_WASI_EFAULT);
        world_deinit(&world);
}
END_TEST

START_TEST(texts_of_tls_have_bounds) {
        Nb__Security security = agreed();
        struct world world;
        uint32_t fd;

        world_init(&world, 0);
        world.broker.security = &security;
        fd = world_stream(&world, 0);
        ck_assert_int_eq(ask_peer_name(&world, fd, 1, 8), NB_WASI_ENAMETOOLONG);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), strlen(peer_names[1]));
        ck_assert_uint_eq(world.memory[TEXT], 0x55);
        ck_assert_int_eq(ask_peer_name(&world, fd, 1, 9), OK);
        expect_text(&world, peer_names[1]);
        ck_assert_int_eq(world_call(&world, "tls_peer_name", fd, 9, TEXT, 9, WORLD_MEMORY_SIZE - 3), NB_WASI_EFAULT);
        ck_assert_int_eq(world_call(&world, "tls_peer_name", fd, 0, 1, UINT32_MAX, WORLD_RET), NB_WASI_EFAULT);
        ck_assert_int_eq(world_call(&world, "tls_version", fd, TEXT, 5, WORLD_RET), NB_WASI_ENAMETOOLONG);
        ck_assert_int_eq(world_call(&world, "tls_resumed", fd, WORLD_MEMORY_SIZE - 4), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_MEMORY_SIZE - 4), 1);
        world_deinit(&world);
}
END_TEST

/* ---- the last denial ---- */

static int ask_denial(struct world *world, uint32_t pointer, uint32_t size, uint32_t ret_length) {
        return world_call(world, "last_denial", pointer, size, ret_length);
}

START_TEST(the_last_denial_is_told) {
        static const char reason[] = "no rule grants denied:1";
        struct world world;
        uint32_t control;

        world_init(&world, 0);
        control = world_open(&world, 0);
        memset(world.memory + TEXT, 0x55, TEXT_SIZE);
        ck_assert_int_eq(ask_denial(&world, TEXT, 0, WORLD_RET), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 0);
        world.broker.reason = reason;
        ck_assert_int_eq(world_connect(&world, control, "denied:1"), NB_WASI_EACCES);
        memset(world.memory + TEXT, 0x55, TEXT_SIZE);
        ck_assert_int_eq(ask_denial(&world, TEXT, sizeof(reason) - 2, WORLD_RET), NB_WASI_ENAMETOOLONG);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), sizeof(reason) - 1);
        ck_assert_int_eq(ask_denial(&world, TEXT, sizeof(reason) - 1, WORLD_RET), OK);
        expect_text(&world, reason);
        ck_assert_int_eq(ask_denial(&world, WORLD_MEMORY_SIZE - 8, 9, WORLD_RET), NB_WASI_EFAULT);
        ck_assert_int_eq(ask_denial(&world, TEXT, 64, WORLD_MEMORY_SIZE - 3), NB_WASI_EFAULT);
        ck_assert_int_eq(ask_denial(&world, UINT32_MAX, UINT32_MAX, WORLD_RET), NB_WASI_EFAULT);
        world_deinit(&world);
}
END_TEST

START_TEST(a_guest_without_a_session_was_denied_nothing) {
        struct nb_guest *guest;
        struct world world;
        struct nb_guest *before;

        world_init(&world, 0);
        ck_assert_int_eq(nb_guest_new(NULL, &guest), 0);
        before = world.guest;
        world.guest = guest;
        ck_assert_int_eq(ask_denial(&world, TEXT, 0, WORLD_RET), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 0);
        world.guest = before;
        nb_guest_free(guest);
        world_deinit(&world);
}
END_TEST

/* ---- options ---- */

enum {
        OPTION_ERROR = 1,
        OPTION_NODELAY,
        OPTION_KEEPALIVE,
        OPTION_KEEPIDLE,
        OPTION_KEEPINTVL,
        OPTION_KEEPCNT,
        OPTION_USER_TIMEOUT,
        OPTION_RCVBUF,
        OPTION_SNDBUF,
        N_OPTIONS,
};

static int set(struct world *world, uint32_t stream, uint32_t option, uint32_t value) {
        return world_call(world, "set_option", stream, option, value);
}

static uint32_t get(struct world *world, uint32_t stream, uint32_t option) {
        return world_call_ret(world, "get_option", stream, option, WORLD_RET);
}

/* The least and the most that each takes. */
static const struct {
        uint32_t option;
        uint32_t least;
        uint32_t most;
        bool tcp_only;
} bounds[] = {
        { OPTION_NODELAY, 0, 1, true },      { OPTION_KEEPALIVE, 0, 1, false },
        { OPTION_KEEPIDLE, 1, 32767, true }, { OPTION_KEEPINTVL, 1, 32767, true },
        { OPTION_KEEPCNT, 1, 127, true },    { OPTION_USER_TIMEOUT, 0, INT32_MAX, true },
};

#define N_BOUNDS ((int)(sizeof(bounds) / sizeof(bounds[0])))

START_TEST(an_option_is_what_was_set) {
        const struct world_options options = { .make_stream = tcp_pair };
        uint32_t option = bounds[_i].option;
        struct world world;
        uint32_t stream;

        world_init_with(&world, &options);
        stream = world_stream(&world, 0);
        ck_assert_int_eq(set(&world, stream, option, bounds[_i].most), OK);
        ck_assert_uint_eq(get(&world, stream, option), bounds[_i].most);
        ck_assert_int_eq(set(&world, stream, option, bounds[_i].most + 1), NB_WASI_EINVAL);
        ck_assert_int_eq(set(&world, stream, option, UINT32_MAX), NB_WASI_EINVAL);
        ck_assert_uint_eq(get(&world, stream, option), bounds[_i].most);
        ck_assert_int_eq(set(&world, stream, option, bounds[_i].least), OK);
        ck_assert_uint_eq(get(&world, stream, option), bounds[_i].least);
        if (bounds[_i].least > 0)
                ck_assert_int_eq(set(&world, stream, option, bounds[_i].least - 1), NB_WASI_EINVAL);
        world_deinit(&world);
}
END_TEST

/* Datagrams and Unix sockets have no options of TCP. */
START_TEST(an_option_of_another_protocol_is_noprotoopt) {
        static void (*const pairs[])(int ret[static 2]) = { NULL, udp_pair, udp6_pair };
        struct world_options options = { .make_stream = pairs[_i] };
        struct world world;
        uint32_t stream;

        world_init_with(&world, &options);
        stream = _i ? world_datagrams(&world, 0) : world_stream(&world, 0);
        for (int i = 0; i < N_BOUNDS; ++i) {
                int expected = bounds[i].tcp_only ? NB_WASI_ENOPROTOOPT : OK;

                ck_assert_int_eq(set(&world, stream, bounds[i].option, 1), expected);
                ck_assert_int_eq(world_call(&world, "get_option", stream, bounds[i].option, WORLD_RET), expected);
        }
        ck_assert_uint_eq(get(&world, stream, OPTION_ERROR), 0);
        ck_assert_uint_ge(get(&world, stream, OPTION_RCVBUF), 1024);
        world_deinit(&world);
}
END_TEST

START_TEST(what_is_no_option_is_inval) {
        static const uint32_t numbers[] = { 0, N_OPTIONS, N_OPTIONS + 1, INT32_MAX, UINT32_MAX };
        struct world world;
        uint32_t stream;

        world_init(&world, 0);
        stream = world_stream(&world, 0);
        for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); ++i) {
                ck_assert_int_eq(world_call(&world, "get_option", stream, numbers[i], WORLD_RET), NB_WASI_EINVAL);
                ck_assert_int_eq(set(&world, stream, numbers[i], 1), NB_WASI_EINVAL);
        }
        ck_assert_int_eq(set(&world, stream, OPTION_ERROR, 0), NB_WASI_EINVAL);
        world_deinit(&world);
}
END_TEST

/* A buffer is as large as was asked for, unlike Linux's double; beyond the host's bounds it is as large as these. */
START_TEST(a_buffer_is_what_was_asked_for_within_bounds) {
        const struct world_options options = { .make_stream = tcp_pair };
        uint32_t option = _i ? OPTION_SNDBUF : OPTION_RCVBUF;
        struct world world;
        uint32_t stream;

        world_init_with(&world, &options);
        stream = world_stream(&world, 0);
        ck_assert_int_eq(set(&world, stream, option, 20000), OK);
        ck_assert_uint_eq(get(&world, stream, option), 20000);
        ck_assert_int_eq(set(&world, stream, option, 0), OK);
        ck_assert_uint_gt(get(&world, stream, option), 0);
        ck_assert_uint_lt(get(&world, stream, option), 20000);
        ck_assert_int_eq(set(&world, stream, option, INT32_MAX), OK);
        ck_assert_uint_le(get(&world, stream, option), NB_OPTION_BUFFER_MAX);
        ck_assert_uint_gt(get(&world, stream, option), 20000);
        ck_assert_int_eq(set(&world, stream, option, (uint32_t)INT32_MAX + 1), NB_WASI_EINVAL);
        world_deinit(&world);
}
END_TEST

/* A relay at its other end leaves a byte of each long write in it for a while. */
START_TEST(the_send_buffer_of_a_unix_socket_has_room_for_a_write) {
        struct world world;
        uint32_t stream;

        world_init(&world, 0);
        stream = world_stream(&world, 0);
        ck_assert_int_eq(set(&world, stream, OPTION_SNDBUF, 20000), OK);
        ck_assert_uint_eq(get(&world, stream, OPTION_SNDBUF), NB_OPTION_UNIX_SEND_MIN);
        ck_assert_int_eq(set(&world, stream, OPTION_RCVBUF, 20000), OK);
        ck_assert_uint_eq(get(&world, stream, OPTION_RCVBUF), 20000);
        world_deinit(&world);
}
END_TEST

START_TEST(setting_takes_a_right_and_getting_none) {
        const struct world_options options = { .make_stream = tcp_pair };
        struct world world;
        uint32_t stream;

        world_init_with(&world, &options);
        stream = world_stream(&world, 0);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_rights", stream, NB_RIGHTS_STREAM, 0), OK);
        ck_assert_int_eq(set(&world, stream, OPTION_NODELAY, 1), OK);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_rights", stream, 0, 0), OK);
        ck_assert_int_eq(set(&world, stream, OPTION_NODELAY, 0), NB_WASI_ENOTCAPABLE);
        ck_assert_int_eq(set(&world, stream, 0, 0), NB_WASI_ENOTCAPABLE);
        ck_assert_uint_eq(get(&world, stream, OPTION_NODELAY), 1);
        ck_assert_int_eq(ask(&world, "local_address", stream), OK);
        ck_assert_int_eq(ask(&world, "remote_address", stream), OK);
        world_deinit(&world);
}
END_TEST

static void peer_resets(void *data) {
        const struct linger linger = { .l_onoff = 1 };
        struct world *world = data;

        ck_assert_int_eq(setsockopt(world->broker.peer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
        world->broker.peer = nb_fd_close(world->broker.peer);
        loopback_settle();
}

/* The kernel's, and the one that a call which had moved bytes has left. Asking clears it; asking for nowhere does not. */
START_TEST(the_error_is_told_once) {
        const struct world_options options = { .make_stream = tcp_pair };
        struct world world;
        uint32_t stream;

        world_init_with(&world, &options);
        stream = world_stream(&world, 0);
        if (_i) {
                world_peer_writes(&world, "abc");
                loopback_settle();
                world_on_wait(&world, peer_resets);
                ck_assert_int_eq(world_receive(&world, stream, 10, 2 /* waitall */), OK);
        } else {
                peer_resets(&world);
        }
        ck_assert_int_eq(world_call(&world, "get_option", stream, OPTION_ERROR, WORLD_MEMORY_SIZE - 3), NB_WASI_EFAULT);
        ck_assert_uint_eq(get(&world, stream, OPTION_ERROR), NB_WASI_ECONNRESET);
        ck_assert_uint_eq(get(&world, stream, OPTION_ERROR), 0);
        ck_assert_int_eq(world_read(&world, stream, 10), OK);
        world_deinit(&world);
}
END_TEST

/* ---- */

static TCase *address_tests(void) {
        TCase *tests = tcase_create("address");

        tcase_add_test(tests, a_control_has_a_local_address);

        tcase_add_test(tests, a_protocol_is_narrowed);

        tcase_add_test(tests, given_up_rights_are_not_in_it);

        tcase_add_test(tests, bad_rules_are_explained);
        tcase_add_loop_test(tests, a_connection_and_its_stream_have_both_addresses, 0, 2);
        tcase_add_test(tests, a_stream_outlives_its_connection_fd);
        tcase_add_test(tests, an_ipv4_address_of_both_families_is_written_as_one);
        tcase_add_test(tests, a_unix_socket_has_the_name_that_the_broker_tells);
        tcase_add_loop_test(tests, a_text_needs_its_room, 0, 2);
        tcase_add_loop_test(tests, what_tls_has_agreed_on_is_told, 0, 3);
        tcase_add_test(tests, what_was_agreed_on_outlives_the_stream);
        tcase_add_test(tests, tls_without_alpn_or_names_is_told);
        tcase_add_test(tests, what_has_no_tls_says_so);
        tcase_add_test(tests, texts_of_tls_have_bounds);
        tcase_add_test(tests, the_last_denial_is_told);
        tcase_add_test(tests, a_guest_without_a_session_was_denied_nothing);
        return tests;
}

static TCase *option_tests(void) {
        TCase *tests = tcase_create("option");

        tcase_add_loop_test(tests, an_option_is_what_was_set, 0, N_BOUNDS);
        tcase_add_loop_test(tests, an_option_of_another_protocol_is_noprotoopt, 0, 3);
        tcase_add_test(tests, what_is_no_option_is_inval);
        tcase_add_loop_test(tests, a_buffer_is_what_was_asked_for_within_bounds, 0, 2);
        tcase_add_test(tests, the_send_buffer_of_a_unix_socket_has_room_for_a_write);
        tcase_add_test(tests, setting_takes_a_right_and_getting_none);
        tcase_add_loop_test(tests, the_error_is_told_once, 0, 2);
        return tests;
}

int main(void) {
        Suite *suite = suite_create("wasi_ext");

        suite_add_tcase(suite, address_tests());
        suite_add_tcase(suite, option_tests());
        return run_suite(suite);
}
