/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/base64url.h"
#include "base/cleanup.h"
#include "shim/client/call.h"
#include "shim/client/preopen.h"
#include "shim/client/protocol.h"
#include "shim/options.h"

#define NS_PER_MS INT64_C(1000000)

/* How long a broker may leave its backlog full before it counts as dead, and how soon to look again: at once for
 * a broker that is merely busy, seldom for one that hangs. */
#define BACKLOG_WAIT_NS (10 * 1000 * NS_PER_MS)
#define BACKLOG_PAUSE_FIRST_NS (1 * NS_PER_MS)
#define BACKLOG_PAUSE_MAX_NS (128 * NS_PER_MS)

/* How long a broker that has gone may take to come back, if nothing is said, and how soon to look again. */
#define OUTAGE_DEFAULT_MS 5000
#define OUTAGE_PAUSE_FIRST_NS (4 * NS_PER_MS)
#define OUTAGE_PAUSE_MAX_NS (256 * NS_PER_MS)

struct nb_session {
        struct nb_endpoint endpoint;
        size_t n_protocols;
        struct nb_protocol *protocols[NB_CHANNEL_FDS_MAX]; /* one reference each */
        struct nb_preopens preopens;
        char tenant[NB_NAME_LENGTH_MAX + 1];
};

struct nb_session *nb_session_free(struct nb_session *session) {
        if (!session)
                return NULL;
        for (size_t i = 0; i < session->n_protocols; ++i)
                nb_protocol_unref(session->protocols[i]);
        nb_preopens_deinit(&session->preopens);
        nb_endpoint_deinit(&session->endpoint);
        free(session);
        return NULL;
}

static void cleanup_session(struct nb_session **session) {
        nb_session_free(*session);
}

static void cleanup_context(struct nb_context **context) {
        nb_context_unref(*context);
}

static bool option_text_is_valid(const char *text, size_t max) {
        return !text || text[0] == '\0' || nb_text_is_valid(text, strnlen(text, max + 1), max);
}

/* A channel that keeps no message borders, or no descriptors, would be misread. */
static int check_channel(int fd) {
        int r = nb_channel_check(fd);

        if (r < 0)
                return r;
        return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}

/* A full backlog makes no descriptor readable, so there is nothing to poll: look again, ever less often. */
static int connect_patiently(const struct nb_context *context, int fd, const struct sockaddr_un *address) {
        int64_t pause = BACKLOG_PAUSE_FIRST_NS;
        int64_t waited = 0;

        for (;;) {
                int r;

                if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
                        return 0;
                if (errno != EAGAIN)
                        return -errno;
                if (waited >= BACKLOG_WAIT_NS)
                        return -ETIMEDOUT;
                r = nb_context_pause(context, pause);
                if (r < 0)
                        return r;
                waited += pause;
                if (pause < BACKLOG_PAUSE_MAX_NS)
                        pause *= 2;
        }
}

static int connect_to_path(const struct nb_context *context, const char *path, int *ret) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        size_t length = strnlen(path, sizeof(address.sun_path));
        int fd NB_CLEANUP_FD = -1;
        int r;

        if (length >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, length);
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        r = connect_patiently(context, fd, &address);
        if (r < 0)
                return r;
        *ret = nb_steal_fd(&fd);
        return 0;
}

static int get_channel(const struct nb_context *context, const struct nb_session_options *options, int *given_fd,
                       int *ret) {
        int r;

        if (*given_fd < 0)
                return connect_to_path(context, options->socket_path ? options->socket_path : NB_SOCKET_PATH_DEFAULT,
                                       ret);
        r = check_channel(*given_fd);
        if (r < 0)
                return r;
        *ret = nb_steal_fd(given_fd);
        return 0;
}

static bool welcome_is_valid(const Nb__Welcome *welcome) {
        if (welcome->version != NB_PROTOCOL_VERSION || strlen(welcome->tenant) > NB_NAME_LENGTH_MAX)
                return false;
        for (size_t i = 0; i < welcome->n_protocols; ++i) {
                const char *name = welcome->protocols[i]->name;

                if (name[0] == '\0' || strlen(name) > NB_NAME_LENGTH_MAX)
                        return false;
        }
        return nb_preopens_are_valid(welcome);
}

/* Consumes the descriptors one by one, as protocols are made of them. */
static int take_protocols(struct nb_session *session, const Nb__Welcome *welcome, struct nb_channel_fds *fds) {
        for (size_t i = 0; i < welcome->n_protocols; ++i) {
                int r = nb_protocol_new(session->endpoint.context, welcome->protocols[i], fds->fds[i],
                                        &session->protocols[i]);

                if (r < 0)
                        return r;
                (void)nb_steal_fd(&fds->fds[i]);
                session->n_protocols = i + 1;
        }
        return 0;
}

static int take_welcome(struct nb_session *session, struct nb_answer *answer) {
        const Nb__Welcome *welcome = answer->reply->welcome;
        int r = -EPROTO;

        if (welcome_is_valid(welcome)) {
                memcpy(session->tenant, welcome->tenant, strlen(welcome->tenant) + 1);
                r = take_protocols(session, welcome, &answer->fds);
                if (r == 0)
                        r = nb_preopens_init(&session->preopens, session->endpoint.context, welcome,
                                             answer->fds.fds + welcome->n_protocols);
        }
        nb_channel_fds_close(&answer->fds);
        return r;
}

static bool is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The bytes of a token's text, which may be a line of a file. @return 0 or -EINVAL */
static int read_token(const char *text, uint8_t token[static NB_TOKEN_LENGTH_MAX], size_t *ret_length) {
        size_t length = strlen(text), prefix = strlen(NB_TOKEN_PREFIX);

        while (length > 0 && is_blank(text[length - 1]))
                --length;
        if (length <= prefix || memcmp(text, NB_TOKEN_PREFIX, prefix) != 0 ||
            (length - prefix) / 4 * 3 + 2 > NB_TOKEN_LENGTH_MAX)
                return -EINVAL;
        return nb_base64url_decode(text + prefix, length - prefix, token, ret_length);
}

static int greet(struct nb_session *session, const struct nb_session_options *options) {
        uint8_t token[NB_TOKEN_LENGTH_MAX];
        Nb__Hello hello = NB__HELLO__INIT;
        Nb__Request request = NB__REQUEST__INIT;
        struct nb_answer answer;
        size_t n_fds = 0;
        int r;

        hello.oldest_version = NB_PROTOCOL_VERSION;
        hello.newest_version = NB_PROTOCOL_VERSION;
        if (options->tenant)
                hello.tenant = (char *)options->tenant;
        if (options->label)
                hello.label = (char *)options->label;
        if (options->token) {
                r = read_token(options->token, token, &hello.token.len);
                if (r < 0)
                        return r;
                hello.token.data = token;
        }
        request.body_case = NB__REQUEST__BODY_HELLO;
        request.hello = &hello;

        nb_endpoint_begin(&session->endpoint);
        r = nb_exchange(&session->endpoint, &request, true, &answer);
        if (r < 0)
                return r;
        if (answer.reply->body_case == NB__REPLY__BODY_WELCOME)
                n_fds = answer.reply->welcome->n_protocols + answer.reply->welcome->n_preopens;
        r = nb_endpoint_settle(&session->endpoint, &answer, NB__REPLY__BODY_WELCOME, n_fds);
        return r < 0 ? r : take_welcome(session, &answer);
}

/* Consumes `fd`. */
static int open_on(struct nb_context *context, const struct nb_session_options *options, int fd,
                   struct nb_session **ret) {
        struct nb_session *session NB_CLEANUP(cleanup_session) = calloc(1, sizeof(*session));
        int r;

        if (!session) {
                nb_fd_close(fd);
                return -ENOMEM;
        }
        nb_endpoint_init(&session->endpoint, context, fd);
        r = greet(session, options);
        if (r < 0)
                return r;
        *ret = nb_steal_ptr(session);
        return 0;
}

/* What is left of the time for an outage. */
struct patience {
        int64_t left_ns;
        int64_t pause_ns;
        bool was_there; /* the broker, or it is to be waited for anyway */
};

static struct patience patience_of(const struct nb_session_options *options, bool has_path) {
        int64_t ms = options->outage_ms == 0 ? OUTAGE_DEFAULT_MS : options->outage_ms;

        return (struct patience){
                .left_ns = has_path && ms > 0 ? ms * NS_PER_MS : 0,
                .pause_ns = OUTAGE_PAUSE_FIRST_NS,
                .was_there = options->outage_ms > 0,
        };
}

/* Whether an error is that of a broker that is being started again: it has gone, or is not there yet. */
static bool is_outage(struct patience *patience, int error) {
        if (error == -EPIPE)
                patience->was_there = true;
        return error == -EPIPE || (patience->was_there && (error == -ECONNREFUSED || error == -ENOENT));
}

/* @return `error` when it is to be the result; another -errno of the wait function; 0 to try again */
static int wait_for_broker(const struct nb_context *context, struct patience *patience, int error) {
        int64_t pause = patience->pause_ns < patience->left_ns ? patience->pause_ns : patience->left_ns;

        if (!is_outage(patience, error) || pause == 0)
                return error;
        patience->left_ns -= pause;
        if (patience->pause_ns < OUTAGE_PAUSE_MAX_NS)
                patience->pause_ns *= 2;
        return nb_context_pause(context, pause);
}

static int open_patiently(struct nb_context *context, const struct nb_session_options *options, int *given_fd,
                          struct nb_session **ret) {
        struct patience patience = patience_of(options, *given_fd < 0);
        int r;

        do {
                int fd = -1;

                r = get_channel(context, options, given_fd, &fd);
                if (r == 0)
                        r = open_on(context, options, fd, ret);
                if (r == 0)
                        return 0;
                r = wait_for_broker(context, &patience, r);
        } while (r == 0);
        return r;
}

int nb_session_open(const struct nb_session_options *options, struct nb_session **ret) {
        const struct nb_session_options defaults = NB_SESSION_OPTIONS_INIT;
        struct nb_context *context NB_CLEANUP(cleanup_context) = NULL;
        int given_fd NB_CLEANUP_FD = -1;

        if (!options)
                options = &defaults;
        if (!nb_options_fit(options, options->size, sizeof(*options)))
                return -EINVAL;
        given_fd = options->session_fd;
        if (!option_text_is_valid(options->tenant, NB_NAME_LENGTH_MAX) ||
            !option_text_is_valid(options->label, NB_LABEL_LENGTH_MAX))
                return -EINVAL;

        context = nb_context_new(options->wait, options->wait_data);
        if (!context)
                return -ENOMEM;
        return open_patiently(context, options, &given_fd, ret);
}

/* ---- protocols of other processes ---- */

int nb_session_new(const struct nb_session_options *options, struct nb_session **ret) {
        const struct nb_session_options defaults = NB_SESSION_OPTIONS_INIT;
        struct nb_context *context NB_CLEANUP(cleanup_context) = NULL;
        struct nb_session *session;

        if (!options)
                options = &defaults;
        if (!nb_options_fit(options, options->size, sizeof(*options)))
                return -EINVAL;
        context = nb_context_new(options->wait, options->wait_data);
        session = calloc(1, sizeof(*session));
        if (!context || !session) {
                free(session);
                return -ENOMEM;
        }
        nb_endpoint_init(&session->endpoint, context, -1);
        *ret = session;
        return 0;
}

/* Two of one name could not be told apart by a guest. */
static int check_import(struct nb_session *session, const char *name) {
        if (name && !nb_text_is_valid(name, strnlen(name, NB_NAME_LENGTH_MAX + 1), NB_NAME_LENGTH_MAX))
                return -EINVAL;
        if (name && (strpbrk(name, "=:") || nb_session_find_protocol(session, name)))
                return -EINVAL;
        return session->n_protocols < NB_CHANNEL_FDS_MAX ? 0 : -EMFILE;
}

int nb_protocol_import(struct nb_session *session, int fd, const char *name, struct nb_protocol **ret) {
        char tenant[NB_NAME_LENGTH_MAX + 1];
        struct nb_protocol *protocol;
        int r = check_import(session, name);

        if (r == 0)
                r = check_channel(fd);
        if (r == 0)
                r = nb_protocol_new_described(session->endpoint.context, fd, name, &protocol, tenant);
        if (r < 0)
                return r;
        if (session->tenant[0] == '\0')
                memcpy(session->tenant, tenant, strlen(tenant) + 1);
        session->protocols[session->n_protocols++] = protocol;
        *ret = protocol;
        return 0;
}

const struct nb_context *nb_session_context(const struct nb_session *session) {
        return session->endpoint.context;
}

const char *nb_session_tenant(const struct nb_session *session) {
        return session->tenant;
}

size_t nb_session_n_protocols(const struct nb_session *session) {
        return session->n_protocols;
}

struct nb_protocol *nb_session_protocol(struct nb_session *session, size_t index) {
        return index < session->n_protocols ? session->protocols[index] : NULL;
}

struct nb_protocol *nb_session_find_protocol(struct nb_session *session, const char *name) {
        for (size_t i = 0; i < session->n_protocols; ++i) {
                if (strcmp(nb_protocol_name(session->protocols[i]), name) == 0)
                        return session->protocols[i];
        }
        return NULL;
}

size_t nb_session_n_preopens(const struct nb_session *session) {
        return session->preopens.n;
}

const struct nb_preopen *nb_session_preopen(const struct nb_session *session, size_t index) {
        return nb_preopens_get(&session->preopens, index);
}

int nb_session_start_preopens(struct nb_session *session, size_t *ret_failed) {
        return nb_preopens_start(&session->preopens, ret_failed);
}

int nb_preopen_take_listener(struct nb_session *session, size_t index, struct nb_control **ret) {
        return nb_preopens_take_listener(&session->preopens, index, ret);
}

int nb_preopen_take_connection(struct nb_session *session, size_t index, struct nb_connection **ret) {
        return nb_preopens_take_connection(&session->preopens, index, ret);
}

const char *nb_session_last_denial(const struct nb_session *session) {
        return session->endpoint.context->denial;
}
