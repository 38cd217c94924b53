/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of proxies and PROXY headers, what comes before the bytes by them and by TLS, and what is probably not meant. */
#include <check.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/explain.h"
#include "policy/hop.h"
#include "policy/warn.h"
#include "tests/support/runner.h"
#include "tests/unit/policy_checks.h"

#define CONNECT POLICY_HEAD "Connect=api.example.com:443 10.0.0.0/8:443\n"
#define LISTEN POLICY_HEAD "Listen=127.0.0.1:80\n"

static const struct policy_protocol *protocol_in(const struct policy *policy) {
        return &policy->tenants[0].protocols[0];
}

/* ---- good files ---- */

START_TEST(every_key) {
        struct policy *policy = policy_of(CONNECT "Listen=127.0.0.1:80\n"
                                                  "ProxyPassword=- credential:proxy.password\n"
                                                  "Proxy=https://proxy.corp.example:3128 socks5://[2001:db8::1]:1080\n"
                                                  "ProxyResolve=yes\n"
                                                  "ProxyTrust=/etc/ca.pem\n"
                                                  "AcceptProxyHeader=10.20.0.2 10.21.0.0/16\n"
                                                  "AcceptProxyHeader=[2001:db8::]/32\n"
                                                  "SendProxyHeader=v2\n"
                                                  "HandshakeTimeout=2s\n");
        const struct policy_protocol *protocol = protocol_in(policy);
        const struct policy_proxy *proxy = &protocol->proxy;

        ck_assert_uint_eq(proxy->n_hops, 2);
        ck_assert_int_eq(proxy->hops[0].kind, POLICY_HOP_HTTPS);
        ck_assert(proxy->hops[0].is_name && !proxy->hops[1].is_name);
        ck_assert_str_eq(proxy->hops[0].name.text, "proxy.corp.example");
        ck_assert_uint_eq(proxy->hops[0].name.port, 3128);
        ck_assert_int_eq(proxy->hops[1].kind, POLICY_HOP_SOCKS5);
        ck_assert_int_eq(proxy->hops[1].address.ip.family, AF_INET6);
        ck_assert_uint_eq(proxy->hops[1].address.port, 1080);
        ck_assert_str_eq(proxy->hops[1].text, "socks5://[2001:db8::1]:1080");
        ck_assert_uint_eq(proxy->hops[1].at.line, 9);
        ck_assert_uint_eq(proxy->hops[1].at.column, 39);
        ck_assert_ptr_null(proxy->hops[0].password.path);
        ck_assert_str_eq(proxy->hops[1].password.path, "credential:proxy.password");
        ck_assert_uint_eq(proxy->hops[1].password.at.column, 17);
        ck_assert(proxy->resolves);
        ck_assert_str_eq(proxy->trust.path, "/etc/ca.pem");
        ck_assert_uint_eq(protocol->n_header_sources, 3);
        ck_assert_uint_eq(protocol->header_sources[0].length, 32);
        ck_assert_uint_eq(protocol->header_sources[2].length, 32);
        ck_assert_int_eq(protocol->send_header, POLICY_PROXY_HEADER_V2);
        ck_assert_uint_eq(protocol->handshake_timeout_ms, 2000);
        policy_free(policy);
}
END_TEST

START_TEST(a_drop_in_has_another_proxy) {
        static const char file[] = CONNECT "Proxy=http://a.example:1 socks5://192.0.2.1:2\nProxyPassword=/a /b\n";
        static const char drop_in[] = "[Protocol web]\nProxy=http://192.0.2.9:3128\nProxyPassword=/c\n";
        static const struct policy_fragment fragments[] = {
                { .file = "acme.conf", .text = file, .length = sizeof(file) - 1 },
                { .file = "10.conf", .text = drop_in, .length = sizeof(drop_in) - 1 },
        };
        const struct policy_loader loader = { .include = NULL };
        struct policy *policy = policy_new();
        const struct policy_proxy *proxy;
        struct policy_error error;

        ck_assert_int_eq(policy_add_tenant(policy, fragments, 2, &loader, &error), 0);
        proxy = &protocol_in(policy)->proxy;
        ck_assert_uint_eq(proxy->n_hops, 1);
        ck_assert(!proxy->hops[0].is_name);
        ck_assert_str_eq(proxy->hops[0].text, "http://192.0.2.9:3128");
        ck_assert_str_eq(proxy->hops[0].password.path, "/c");
        policy_free(policy);
}
END_TEST

START_TEST(relays_and_data_paths) {
        struct policy *policy = policy_of(POLICY_TENANT "Relays=16\nMaxHandshakes=7\nRelayMemory=64M\n"
                                                        "[Protocol u]\nFamily=unix\nDataPath=relay\n"
                                                        "SocketTypes=stream dgram\nListen=/run/a\n"
                                                        "IdleTimeout=5s\n"
                                                        "[Protocol d]\nFamily=ip\nDataPath=direct\n"
                                                        "SocketTypes=dgram\nListen=127.0.0.1:53\n");
        const struct policy_tenant *tenant = &policy->tenants[0];

        ck_assert_uint_eq(tenant->n_relays, 16);
        ck_assert_uint_eq(tenant->limits[POLICY_LIMIT_HANDSHAKES], 7);
        ck_assert_uint_eq(tenant->limits[POLICY_LIMIT_RELAY_MEMORY], 64u << 20);
        ck_assert_int_eq(tenant->protocols[0].data_path, POLICY_DATA_PATH_RELAY);
        ck_assert_uint_eq(tenant->protocols[0].idle_timeout_ms, 5000);
        ck_assert_uint_eq(tenant->protocols[1].idle_timeout_ms, POLICY_IDLE_TIMEOUT_DEFAULT_MS);
        policy_free(policy);
}
END_TEST

START_TEST(defaults) {
        static const char text[] = "[Defaults]\nDataPath=relay\nMaxHandshakes=9\nRelayMemory=32M\n";
        const struct policy_fragment fragment = { .file = "d", .text = text, .length = sizeof(text) - 1 };
        const struct policy_loader loader = { .include = NULL };
        struct policy_defaults got;
        struct policy_error error;

        ck_assert_int_eq(policy_parse_defaults(&fragment, &loader, &got, &error), 0);
        ck_assert_int_eq(got.data_path, POLICY_DATA_PATH_RELAY);
        ck_assert_uint_eq(got.limits[POLICY_LIMIT_HANDSHAKES], 9);
        ck_assert_uint_eq(got.limits[POLICY_LIMIT_RELAY_MEMORY], 32u << 20);
}
END_TEST

/* ---- bad values ---- */

/* The columns count from the value. */
static const struct {
        const char *head, *key;
        struct bad_text bad;
} bad_values[] = {
        { CONNECT, "Proxy", { "proxy.example:3128", 0, 1, "http://HOST:PORT", NULL } },
        { CONNECT, "Proxy", { "ftp://proxy.example:3128", 0, 1, "is not http, https or socks5", NULL } },
        { CONNECT, "Proxy", { "HTTP://a.example:1", 0, 1, "is not http, https or socks5", "http://a.example:1" } },
        { CONNECT, "Proxy", { "socks5h://a.example:1", 0, 1, "written socks5, with ProxyResolve=yes", NULL } },
        { CONNECT, "Proxy", { "http://me:word@a.example:1", 0, 8, "ProxyPassword=", "http://a.example:1" } },
        { CONNECT, "Proxy", { "http://me@b@a.example:1", 0, 8, "ProxyPassword=", "http://a.example:1" } },
        { CONNECT, "Proxy", { "http://a.example:1/", 0, 19, "nothing stands behind the port", "http://a.example:1" } },
        { CONNECT, "Proxy", { "http://a.example:1?x", 0, 19, "nothing stands behind", "http://a.example:1" } },
        { CONNECT, "Proxy", { "http://a.example", 0, 17, "the proxy's port is missing", NULL } },
        { CONNECT, "Proxy", { "http://[2001:db8::1]", 0, 21, "the proxy's port is missing", NULL } },
        { CONNECT, "Proxy", { "http://:3128", 0, 8, "the proxy's host is missing", NULL } },
        { CONNECT, "Proxy", { "http://a.example:0", 0, 18, "\"0\" is not a port", NULL } },
        { CONNECT, "Proxy", { "http://a.example:65536", 0, 18, "is not a port", NULL } },
        { CONNECT, "Proxy", { "http://a.example:", 0, 18, "is not a port", NULL } },
        { CONNECT, "Proxy", { "http://a.example:+1", 0, 18, "is not a port", NULL } },
        { CONNECT, "Proxy", { "http://2001:db8::1:3128", 0, 8, "in brackets", NULL } },
        { CONNECT, "Proxy", { "http://[192.0.2.1]:3128", 0, 8, "only an IPv6 address", NULL } },
        { CONNECT, "Proxy", { "http://[evil.example]:3128", 0, 8, "only an IPv6 address", NULL } },
        { CONNECT, "Proxy", { "http://127.1:3128", 0, 8, "", NULL } },
        { CONNECT, "Proxy", { "http://0.0.0.0:3128", 0, 8, "not the address of one proxy", NULL } },
        { CONNECT, "Proxy", { "http://224.0.0.1:3128", 0, 8, "not the address of one proxy", NULL } },
        { CONNECT, "Proxy", { "http://[::ffff:192.0.2.1]:1", 0, 8, "is written as IPv4", "http://192.0.2.1:1" } },
        { CONNECT, "Proxy", { "http://a.example:1 http://b.example:1 http://c.example:1", 0, 39, "at most 2", NULL } },
        { CONNECT "Proxy=http://a.example:1\n", "ProxyPassword", { "pw", 0, 1, "a path from the root", NULL } },
        { CONNECT "Proxy=http://a.example:1\n", "ProxyResolve", { "Yes", 0, 1, "is not yes or no", "yes" } },
        { CONNECT, "SendProxyHeader", { "v3", 0, 1, "is not v1 or v2", "v1" } },
        { CONNECT, "SendProxyHeader", { "yes", 0, 1, "is not v1 or v2", NULL } },
        { LISTEN, "AcceptProxyHeader", { "10.20.0.1/16", 0, 1, "the network is 10.20.0.0/16", "10.20.0.0/16" } },
        { LISTEN, "AcceptProxyHeader", { "private", 0, 1, "not a group", NULL } },
        { LISTEN, "AcceptProxyHeader", { "10.0.0.1:80", 0, 9, "", "10.0.0.1" } },
        { LISTEN, "AcceptProxyHeader", { "lb.example", 0, 1, "", NULL } },
        { POLICY_TENANT, "Relays", { "0", 0, 1, "from 1 to 16", NULL } },
        { POLICY_TENANT, "Relays", { "17", 0, 1, "from 1 to 16", NULL } },
        { POLICY_TENANT, "Relays", { "2x", 0, 1, "from 1 to 16", NULL } },
        { POLICY_TENANT, "Relays", { "65537", 0, 1, "from 1 to 16", NULL } },
};

START_TEST(a_bad_value) {
        expect_bad_value(bad_values[_i].head, bad_values[_i].key, &bad_values[_i].bad, "");
}
END_TEST

/* Errors go to logs. */
START_TEST(a_password_is_not_shown) {
        static const struct {
                const char *value, *source;
        } lines[] = {
                { "http://me:se/cret@a.example:1", "Proxy=http://me:*******@a.example:1" },
                { "http://me:#cret@a.example:1", "Proxy=http://me:*****@a.example:1" },
                { "http://a.example:1\nProxyPassword=me:secret", "ProxyPassword=*********" },
                { "http://me:s@cret@a.example:1", "Proxy=http://me:******@a.example:1" },
                { "ftp://a.example:1 http://me:secret@b.example:1",
                  "Proxy=ftp://a.example:1 http://me:******@b.example:1" },
                { "ftp://me@a.example:1", "Proxy=ftp://me@a.example:1" },
                { "ftp://:secret@:secret@", "Proxy=ftp://:**************@" },
                { "me:secret@http://a.example:1", "Proxy=me:******@http://a.example:1" },
                { "me:secret@a.example:1", "Proxy=me:******@a.example:1" },
                { "http://a.example:1\nProxyPassword=/pw me:secret", "ProxyPassword=/pw *********" },
                { "http://a.example:1\nProxyPassword = me:secret", "ProxyPassword = *********" },
                { "http://a.example:1\nProxyPassword:me:secret", "ProxyPassword:*********" },
                { "http://a.example:1\n ProxyPassword=me:secret", " ProxyPassword=*********" },
                /* keys that are none, or not where they belong */
                { "http://a.example:1\nProxyPasword=me:secret", "ProxyPasword=*********" },
                { "http://a.example:1\nProxyPaswrd=/secret two", "ProxyPaswrd=******* ***" },
                { "http://a.example:1\nproxypassword=me:secret", "proxypassword=*********" },
                { "http://a.example:1\nPassword=me:secret", "Password=*********" },
                { "http://a.example:1\nProxyUser=me", "ProxyUser=**" },
                { "http://a.example:1\nPoxy=me:secret@b.example:1", "Poxy=*********************" },
                { "http://a.example:1\nProxy Password=me:secret", "Proxy ******************" },
                { "http://a.example:1\nProxyPassword me:secret", "ProxyPassword *********" },
                /* and what hides nothing */
                { "http://a.example:1\nProxyResolve=maybe", "ProxyResolve=maybe" },
                { "http://a.example:1\nConect=a@b.example:443", "Conect=a@b.example:443" },
        };

        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); ++i) {
                struct policy *policy = policy_new();
                struct policy_error error;
                char text[512], message[2048];

                snprintf(text, sizeof(text), CONNECT "Proxy=%s\n", lines[i].value);
                ck_assert_int_eq(policy_add_text(policy, "f", text, strlen(text), POLICY_DATA_PATH_AUTO, &error),
                                 -EINVAL);
                ck_assert_str_eq(error.source, lines[i].source);
                ck_assert_ptr_null(strstr(policy_error_format(&error, message, sizeof(message)), "cret"));
                policy_free(policy);
        }
}
END_TEST

#define LISTENER POLICY_TENANT "[Preopen a]\nDataPath=direct\nListen=127.0.0.1:80\n"
#define CONNECTION POLICY_TENANT "[Preopen a]\nDataPath=direct\nConnect=192.0.2.1:80\n"
#define UNIX POLICY_TENANT "[Protocol u]\nFamily=unix\nDataPath=relay\nConnect=/run/a\nListen=/run/b\n"

static const struct bad_text bad_sections[] = {
        { CONNECT "ProxyResolve=yes\n", 7, 14, "[Protocol web] has no Proxy=", NULL },
        { CONNECT "ProxyPassword=/a\n", 7, 15, "ProxyPassword= is about proxies", NULL },
        { CONNECT "ProxyTrust=system\n", 7, 12, "ProxyTrust= is about proxies", NULL },
        { CONNECT "Proxy=http://a.example:1\nProxyPassword=/a -\n", 8, 15, "there is one proxy only", NULL },
        { CONNECT "Proxy=http://a.example:1\nProxyTrust=/a\n", 8, 12, "has none of those", NULL },
        { CONNECT "Proxy=http://a.example:1\nSocketTypes=dgram\n", 7, 7, "Proxy= is for streams", NULL },
        { CONNECT "SendProxyHeader=v1\nSocketTypes=stream dgram\n", 7, 17, "is for streams", NULL },
        { UNIX "Proxy=http://a.example:1\n", 8, 7, "Proxy= is for TCP, and [Protocol u] has Family=unix", NULL },
        { UNIX "SendProxyHeader=v1\n", 8, 17, "is for TCP", NULL },
        { UNIX "AcceptProxyHeader=10.0.0.1\n", 8, 19, "an IPv4 prefix never matches", NULL },
        { CONNECT "AcceptProxyHeader=10.0.0.1\n", 7, 19, "has no Listen=", NULL },
        { POLICY_TENANT "[Protocol a]\nFamily=ipv6\nDataPath=direct\nListen=[::1]:80\nAcceptProxyHeader=10.0.0.1\n", 7,
          19, "an IPv4 prefix never matches", NULL },
        { LISTENER "Proxy=http://a.example:1\n", 6, 7, "Proxy= is for Connect=, and [Preopen a] listens", NULL },
        { LISTENER "SendProxyHeader=v1\n", 6, 17, "and [Preopen a] listens", NULL },
        { CONNECTION "AcceptProxyHeader=10.0.0.1\n", 6, 19, "is for Listen=, and [Preopen a] connects", NULL },
        { CONNECTION "Proxy=http://a.example:1\nProxyResolve=yes\n", 7, 14, "has an address", NULL },
        { LISTEN "HandshakeTimeout=1s\n", 7, 18, "has neither", NULL },
        { LISTEN "IdleTimeout=1s\n", 7, 13, "servers of datagrams", NULL },
        { CONNECT "SocketTypes=dgram\nIdleTimeout=1s\n", 8, 13, "servers of datagrams", NULL },
        { POLICY_TENANT "[Protocol a]\nRelays=2\n", 4, 1, "belongs in a [Tenant] section", NULL },
};

START_TEST(a_bad_section) {
        expect_bad_text(&bad_sections[_i]);
}
END_TEST

START_TEST(damaged_files) {
        expect_damage_is_told(CONNECT "Listen=127.0.0.1:80\nProxy=https://a.example:1 socks5://[2001:db8::1]:1080\n"
                                      "ProxyPassword=- credential:a\nProxyResolve=yes\nProxyTrust=/ca.pem\n"
                                      "AcceptProxyHeader=10.0.0.0/8 [2001:db8::]/32\nSendProxyHeader=v1\n",
                              0x936);
}
END_TEST

START_TEST(too_many_header_sources) {
        struct policy *policy = policy_new();
        struct policy_error error;
        char text[4096] = LISTEN;
        size_t used = strlen(text);

        for (unsigned i = 0; i <= POLICY_HEADER_SOURCES_MAX; ++i)
                used += (size_t)snprintf(text + used, sizeof(text) - used, "AcceptProxyHeader=10.0.0.%u\n", i);
        ck_assert_int_eq(policy_add_text(policy, "f", text, used, POLICY_DATA_PATH_AUTO, &error), -EINVAL);
        ck_assert_ptr_nonnull(strstr(error.message, "at most 64"));
        policy_free(policy);
}
END_TEST

/* ---- the way ---- */

static const struct {
        const char *rules;
        enum policy_verb verb;
        const char *target;
        const char *lines; /* behind the verdict */
} ways[] = {
        { CONNECT, POLICY_CONNECT, "10.0.0.1:443", "" },
        { CONNECT "TLS=client\n", POLICY_CONNECT, "api.example.com:443",
          "    then    tls      TLS 1.2 or 1.3 as client: the certificate must be for api.example.com, by an authority "
          "that the system trusts (acme.conf:7)\n"
          "    then    relay    a relay of the tenant's does that, and stays in between, for the guest reads and "
          "writes plain text\n" },
        { CONNECT "TLS=client\nTLSTrust=/ca.pem\nTLSVersions=1.3\n", POLICY_CONNECT, "10.0.0.1:443",
          "    then    tls      TLS 1.3 as client: the certificate must be for 10.0.0.1, by /ca.pem (acme.conf:7)\n"
          "    then    relay    a relay of the tenant's does that, and stays in between, for the guest reads and "
          "writes plain text\n" },
        { CONNECT "Proxy=http://a.example:1 socks5://192.0.2.1:2\nSendProxyHeader=v1\n", POLICY_CONNECT,
          "api.example.com:443",
          "    then    proxy    through http://a.example:1, which leads to the next (acme.conf:7)\n"
          "    then    proxy    through socks5://192.0.2.1:2, which is given an address that was judged "
          "(acme.conf:7)\n"
          "    then    header   a PROXY header of version 1 goes in front\n"
          "    then    relay    a relay of the tenant's does that, and then gives the guest the socket itself\n" },
        { CONNECT "Proxy=http://a.example:1\nProxyResolve=yes\n", POLICY_CONNECT, "api.example.com:443",
          "    then    proxy    through http://a.example:1, which is given a name as it is and resolves it, so that no "
          "address of it is judged (acme.conf:7)\n"
          "    then    relay    a relay of the tenant's does that, and then gives the guest the socket itself\n" },
        { LISTEN "TLS=server\nTLSCertificate=/a.pem\nTLSCertificate=/b.pem\nTLSClientAuth=require\nTLSTrust=/ca.pem\n",
          POLICY_ACCEPT, "192.0.2.1:1024",
          "    then    tls      TLS 1.2 or 1.3 as server, with /a.pem and others; clients must show a certificate by "
          "/ca.pem (acme.conf:7)\n"
          "    then    relay    a relay of the tenant's does that, and stays in between, for the guest reads and "
          "writes plain text\n" },
        { LISTEN "TLS=server\nTLSCertificate=/a.pem\n", POLICY_CONNECT, "10.0.0.1:443", "" },
};

START_TEST(what_comes_before_the_bytes) {
        struct policy *policy = policy_of(ways[_i].rules);
        struct policy_explanation explanation;
        struct policy_complaint complaint;
        struct policy_question question;
        NB_CLEANUP_FREE char *text = NULL;
        const char *verdict;

        ck_assert_int_eq(policy_question_parse(ways[_i].verb, ways[_i].target, &question, &complaint), 0);
        policy_explain(&policy->tenants[0], protocol_in(policy), &question, NULL, &explanation);
        text = policy_explanation_format(&explanation);
        verdict = strstr(text, "\nallowed\n");
        if (verdict)
                ck_assert_str_eq(verdict + strlen("\nallowed\n"), ways[_i].lines);
        else
                ck_assert_msg(ways[_i].lines[0] == '\0' && !strstr(text, "then "), "%s", text);
        policy_free(policy);
}
END_TEST

/* ---- warnings ---- */

struct warnings {
        unsigned n;
        char text[1024]; /* the last */
};

static void take_warning(void *data, const char *text) {
        struct warnings *warnings = data;

        snprintf(warnings->text, sizeof(warnings->text), "%s", text);
        warnings->n++;
}

static const struct {
        const char *text;
        const char *warning; /* NULL: none */
} suspicious[] = {
        { CONNECT "TLS=client\n", NULL },
        { LISTEN "TLS=client\n", "acme.conf:7: warning: TLS=client says how connects are made" },
        { CONNECT "TLS=server\nTLSCertificate=/a\n", "acme.conf:7: warning: TLS=server is for who is accepted" },
        { CONNECT "TLS=both\nTLSCertificate=/a\n", "TLS=both is for who is accepted" },
        { LISTEN "Proxy=http://a.example:1\n", "acme.conf:7: warning: Proxy= says how connects are made" },
        { LISTEN "SendProxyHeader=v1\n", "acme.conf:3: warning: SendProxyHeader= says how connects are made" },
        { CONNECT "Proxy=http://a.example:1\nProxyResolve=yes\n", NULL },
        { CONNECT "Proxy=http://a.example:1\nProxyResolve=yes\nAddresses=10.0.0.0/8\n",
          "acme.conf:9: warning: Addresses= is not enforced in [Protocol web]" },
        { CONNECT "Proxy=http://a.example:1\nAddresses=10.0.0.0/8\n", NULL },
        { CONNECT "Proxy=http://a.example:1\nProxyResolve=yes\nDeny=192.0.2.0/24:*\n",
          "acme.conf:9: warning: Deny=192.0.2.0/24:* does not hold for names in [Protocol web]" },
};

START_TEST(a_suspicious_policy) {
        struct policy *policy = policy_of(suspicious[_i].text);
        struct warnings warnings = { 0 };

        policy_warn(policy, true, take_warning, &warnings);
        if (suspicious[_i].warning)
                ck_assert_msg(warnings.n == 1 && strstr(warnings.text, suspicious[_i].warning), "%s", warnings.text);
        else
                ck_assert_msg(warnings.n == 0, "%s", warnings.text);
        policy_free(policy);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("policy, proxies");
        TCase *good = tcase_create("good files"), *bad = tcase_create("bad files"), *way = tcase_create("the way");

        tcase_add_test(good, every_key);
        tcase_add_test(good, a_drop_in_has_another_proxy);
        tcase_add_test(good, relays_and_data_paths);
        tcase_add_test(good, defaults);
        tcase_add_loop_test(bad, a_bad_value, 0, sizeof(bad_values) / sizeof(bad_values[0]));
        tcase_add_test(bad, a_password_is_not_shown);
        tcase_add_loop_test(bad, a_bad_section, 0, sizeof(bad_sections) / sizeof(bad_sections[0]));
        tcase_add_test(bad, damaged_files);
        tcase_add_test(bad, too_many_header_sources);
        tcase_add_loop_test(way, what_comes_before_the_bytes, 0, sizeof(ways) / sizeof(ways[0]));
        tcase_add_loop_test(way, a_suspicious_policy, 0, sizeof(suspicious) / sizeof(suspicious[0]));
        suite_add_tcase(suite, good);
        suite_add_tcase(suite, bad);
        suite_add_tcase(suite, way);
        return run_suite(suite);
}
