/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Narrower protocols
 *
 * protocol_restrict makes a protocol of another that can do no more than the rules grant: what they do not name is `access`, for
 * connecting, binding and listening alike, and Deny= takes away what Connect= and Listen= grant. Rules that grant what the first protocol
 * does not grant change nothing, and so do those of a protocol that was narrowed before: nothing comes back. The empty text
 * grants nothing; no text at all, at a null pointer, leaves the rules as they are.
 *
 * Rights that are left out are missing: without sock_bind `open` is `notcapable`, and what a control or a stream cannot inherit they
 * do not have. The narrower protocol outlives the first one, is found under its name by fd_prestat_dir_name, and its descriptor is closed as
 * any other. What are no rules is `inval`, and last_denial tells the line.
 */
#include "tests/conformance/conformance.h"

#define ALL UINT64_MAX

static __wasi_fd_t narrow(__wasi_fd_t from, const char *rules, __wasi_rights_t base, __wasi_rights_t inheriting) {
        __wasi_fd_t narrower;

        CHECK_OK(__wasi_networking_protocol_restrict(from, rules, rules ? strlen(rules) : 0, base, inheriting,
                                                     &narrower));
        return narrower;
}

static __wasi_errno_t try_connect(__wasi_fd_t protocol_fd, const char *address) {
        __wasi_fd_t control, connection;
        __wasi_errno_t error;

        error = open_control(protocol_fd, "0.0.0.0:0", __WASI_FILETYPE_SOCKET_STREAM, 0, &control);
        if (error)
                return error;
        error = guest_connect(control, address, &connection);
        if (!error)
                close_fd(connection);
        close_fd(control);
        return error;
}

static __wasi_errno_t try_listen(__wasi_fd_t protocol_fd, const char *address) {
        __wasi_errno_t error;
        __wasi_fd_t control;

        error = open_control(protocol_fd, address, __WASI_FILETYPE_SOCKET_STREAM, 0, &control);
        if (error)
                return error;
        error = __wasi_networking_listen(control, 1);
        close_fd(control);
        return error;
}

static void rules_narrow(__wasi_fd_t web) {
        char rules[ADDRESS_MAX + 64];
        __wasi_fd_t one, both, again;

        snprintf(rules, sizeof(rules), "# the echo server\nConnect=%s\n", setting(PEER_ECHO));
        one = narrow(web, rules, ALL, ALL);
        CHECK_OK(try_connect(one, setting(PEER_ECHO)));
        CHECK(try_connect(web, setting(PEER_REFUSED)) == __WASI_ERRNO_CONNREFUSED);
        CHECK(try_connect(one, setting(PEER_REFUSED)) == __WASI_ERRNO_ACCES);
        CHECK(try_listen(one, "127.0.0.1:0") == __WASI_ERRNO_ACCES);

        both = narrow(web, "Connect=127.0.0.0/8:* [::1]:*\nListen=127.0.0.1:*", ALL, ALL);
        CHECK_OK(try_connect(both, setting(PEER_ECHO)));
        CHECK_OK(try_listen(both, "127.0.0.1:0"));
        CHECK(try_listen(both, "[::1]:0") == __WASI_ERRNO_ACCES);
        CHECK(try_connect(both, setting(DENIED)) == __WASI_ERRNO_ACCES); /* the policy's word */

        again = narrow(one, "Connect=127.0.0.1:*\nListen=127.0.0.1:*", ALL, ALL);
        CHECK_OK(try_connect(again, setting(PEER_ECHO)));
        CHECK(try_connect(again, setting(PEER_REFUSED)) == __WASI_ERRNO_ACCES);
        CHECK(try_listen(again, "127.0.0.1:0") == __WASI_ERRNO_ACCES);
        close_fd(both);
        close_fd(one);
        CHECK_OK(try_connect(again, setting(PEER_ECHO)));
        close_fd(again);
}

static void rules_deny(__wasi_fd_t web) {
        char rules[ADDRESS_MAX + 64];
        __wasi_fd_t narrower;

        snprintf(rules, sizeof(rules), "Deny=%s\nConnect=127.0.0.1:*\n", setting(PEER_ECHO));
        narrower = narrow(web, rules, ALL, ALL);
        CHECK(try_connect(narrower, setting(PEER_ECHO)) == __WASI_ERRNO_ACCES);
        CHECK(try_connect(narrower, setting(PEER_REFUSED)) == __WASI_ERRNO_CONNREFUSED);
        close_fd(narrower);
}

static void nothing_and_everything(__wasi_fd_t web) {
        __wasi_fd_t nothing = narrow(web, "", ALL, ALL), everything = narrow(web, NULL, ALL, ALL);

        CHECK(try_connect(nothing, setting(PEER_ECHO)) == __WASI_ERRNO_ACCES);
        CHECK(try_listen(nothing, "127.0.0.1:0") == __WASI_ERRNO_ACCES);
        CHECK_OK(try_connect(everything, setting(PEER_ECHO)));
        CHECK_OK(try_listen(everything, "[::1]:0"));
        close_fd(nothing);
        close_fd(everything);
}

static void rights_narrow(__wasi_fd_t web) {
        const __wasi_rights_t server = WASI_NETWORKING_RIGHTS_SERVER | WASI_NETWORKING_RIGHTS_STREAM;
        __wasi_fd_t servers = narrow(web, NULL, ALL, server), none = narrow(web, NULL, 0, ALL), widened, control;
        __wasi_fdstat_t fdstat;

        CHECK_OK(__wasi_fd_fdstat_get(servers, &fdstat));
        CHECK(fdstat.fs_rights_inheriting == server);
        CHECK(try_connect(none, setting(PEER_ECHO)) == __WASI_ERRNO_NOTCAPABLE);
        widened = narrow(servers, NULL, ALL, ALL);
        CHECK_ERRNO(__wasi_networking_open(widened, "0.0.0.0:0", 9, __WASI_FILETYPE_SOCKET_STREAM,
                                           WASI_NETWORKING_RIGHTS_CLIENT, WASI_NETWORKING_RIGHTS_STREAM, 0, &control),
                    __WASI_ERRNO_NOTCAPABLE);
        close_fd(widened);
        close_fd(servers);
        close_fd(none);
}

static void what_is_no_rule(__wasi_fd_t web) {
        static const char *const texts[] = { "Connect", "Allow=127.0.0.1:80", "Connect=127.0.0.1",
                                             "Connect=127.0.0.1:80\nListen=127.0.0.256:1" };
        char reason[WASI_NETWORKING_REASON_MAX], before[WASI_NETWORKING_REASON_MAX] = "";
        static char long_text[WASI_NETWORKING_RULES_MAX + 1];
        __wasi_fd_t narrower;
        __wasi_size_t length;

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i) {
                CHECK_ERRNO(__wasi_networking_protocol_restrict(web, texts[i], strlen(texts[i]), ALL, ALL, &narrower),
                            __WASI_ERRNO_INVAL);
                CHECK_OK(__wasi_networking_last_denial(reason, sizeof(reason) - 1, &length));
                reason[length] = '\0';
                CHECK(length > 0 && strcmp(reason, before) != 0);
                memcpy(before, reason, sizeof(before));
        }
        memset(long_text, '#', sizeof(long_text));
        CHECK_ERRNO(__wasi_networking_protocol_restrict(web, long_text, sizeof(long_text), ALL, ALL, &narrower),
                    __WASI_ERRNO_INVAL);
        CHECK_ERRNO(__wasi_networking_protocol_restrict(web, "Connect=127.0.0.1:80\0", 21, ALL, ALL, &narrower),
                    __WASI_ERRNO_INVAL);
}

static void it_is_a_protocol(__wasi_fd_t web) {
        char name[sizeof(PROTOCOL_IP)] = "", other[16] = "";
        __wasi_fd_t narrower = narrow(web, "", ALL, ALL);

        CHECK_OK(__wasi_fd_prestat_dir_name(web, (uint8_t *)other, strlen(PROTOCOL_IP)));
        CHECK_OK(__wasi_fd_prestat_dir_name(narrower, (uint8_t *)name, strlen(PROTOCOL_IP)));
        CHECK(strcmp(name, other) == 0);
        close_fd(narrower);
        CHECK(!is_open(narrower));
}

int main(void) {
        __wasi_fd_t web = protocol(PROTOCOL_IP);

        rules_narrow(web);
        rules_deny(web);
        nothing_and_everything(web);
        rights_narrow(web);
        what_is_no_rule(web);
        it_is_a_protocol(web);
        return 0;
}
