/* SPDX-License-Identifier: Apache-2.0 */
#include "run/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/cleanup.h"
#include "base/file.h"

/* A token is a line; the library knows how long it may be. */
#define TOKEN_FILE_MAX (16 * 1024)

/* Says why a session could not be opened. @return the exit code. */
static int explain(const struct run_options *options, const struct nb_log *log, int error) {
        const char *path = options->socket_path ? options->socket_path : NB_SOCKET_PATH_DEFAULT;

        switch (error) {
        case -ENOENT:
        case -ECONNREFUSED:
                nb_log(log, NB_LOG_ERROR,
                       "no broker listens on %s; start netbrokerd, name its socket with --socket PATH, or give this "
                       "run a broker "
                       "of its own with --policy FILE",
                       path);
                return EX_UNAVAILABLE;
        case -EACCES:
                nb_log(log, NB_LOG_ERROR, "the broker refused the session: %s",
                       options->token ? "no tenant of its policy is this user's, or the token is refused; the "
                                        "broker's audit record says why"
                       : options->tenant
                               ? "the tenant is unknown, or its policy does not name this user"
                               : "no tenant of its policy is this user's, or several are (--tenant NAME chooses)");
                return EX_NOPERM;
        case -EPROTONOSUPPORT:
                nb_log(log, NB_LOG_ERROR, "the broker speaks another version of the protocol");
                return EX_PROTOCOL;
        case -EINVAL:
                nb_log(log, NB_LOG_ERROR,
                       "--socket, --tenant or --label is too long or holds what it must not, or what --token "
                       "names is no token");
                return EX_USAGE;
        default:
                nb_log(log, NB_LOG_ERROR, "cannot open a session%s%s: %s", options->policy ? "" : " on ",
                       options->policy ? "" : path, strerror(-error));
                return EX_UNAVAILABLE;
        }
}

/* A broker of our own that gave no session has told us why by its exit status. @return the exit code. */
static int explain_private(const struct run_options *options, const struct nb_log *log, int error, int status) {
        if (status == EX_CONFIG) {
                nb_log(log, NB_LOG_ERROR, "the policy %s was refused: nothing was run", options->policy);
                return EX_CONFIG;
        }
        if (status == 0)
                return explain(options, log, error);
        if (status < 0)
                nb_log(log, NB_LOG_ERROR, "cannot wait for the broker: %s", strerror(-status));
        else
                nb_log(log, NB_LOG_ERROR, "the broker %s ended with status %d", private_broker_program(), status);
        return EX_UNAVAILABLE;
}

/* Says why a protocol cannot be had. @return the exit code. */
static int explain_protocol(const struct run_protocol *protocol, const struct nb_log *log, int error) {
        const char *why = strerror(-error);

        if (error == -EBADF)
                why = "it is not open; the process that starts this one is to leave it open";
        else if (error == -EINVAL || error == -ENOTSOCK)
                why = "it is no protocol's channel; nb_protocol_export() makes one";
        else if (error == -EPIPE)
                why = "the broker has ended the protocol, or is gone";
        else if (error == -EPROTONOSUPPORT)
                why = "the broker speaks another version";
        nb_log(log, NB_LOG_ERROR, "--protocol-fd %s=%d: %s", protocol->name, protocol->fd, why);
        return error == -EPROTONOSUPPORT || error == -EPROTO ? EX_PROTOCOL : EX_UNAVAILABLE;
}

/* A session of protocols that were handed over. */
static int import_protocols(const struct run_options *options, const struct nb_log *log, struct run_session *ret) {
        int r = nb_session_new(NULL, &ret->session);

        if (r < 0) {
                nb_log(log, NB_LOG_ERROR, "out of memory");
                return EX_OSERR;
        }
        for (size_t i = 0; i < options->n_protocols; ++i) {
                const struct run_protocol *protocol = &options->protocols[i];
                struct nb_protocol *imported;

                r = nb_protocol_import(ret->session, protocol->fd, protocol->name, &imported);
                if (r < 0)
                        return explain_protocol(protocol, log, r);
        }
        return EX_OK;
}

/* @param ret  the text of the token, owned by the caller; NULL where there is none @return the exit code */
static int read_token(const struct run_options *options, const struct nb_log *log, char **ret) {
        NB_CLEANUP_FREE uint8_t *bytes = NULL;
        size_t length;
        int r;

        *ret = NULL;
        if (!options->token)
                return EX_OK;
        r = nb_file_read(options->token, TOKEN_FILE_MAX, &bytes, &length);
        if (r < 0) {
                nb_log(log, NB_LOG_ERROR, "cannot read the token %s: %s", options->token,
                       r == -EFBIG ? "it is longer than any token" : strerror(-r));
                return EX_NOINPUT;
        }
        *ret = strndup((const char *)bytes, length);
        return *ret ? EX_OK : EX_OSERR;
}

int run_session_open(const struct run_options *options, const struct nb_log *log, struct run_session *ret) {
        struct nb_session_options session_options = NB_SESSION_OPTIONS_INIT;
        NB_CLEANUP_FREE char *token = NULL;
        int r;

        if (options->n_protocols > 0)
                return import_protocols(options, log, ret);
        session_options.socket_path = options->socket_path;
        session_options.tenant = options->tenant;
        session_options.label = options->label;
        r = read_token(options, log, &token);
        if (r != EX_OK)
                return r;
        session_options.token = token;
        if (options->policy) {
                r = private_broker_start(options->policy, options->log_level, &ret->broker,
                                         &session_options.session_fd);
                if (r < 0) {
                        nb_log(log, NB_LOG_ERROR, "cannot start the broker %s: %s%s", private_broker_program(),
                               strerror(-r), r == -ENOENT ? "; install netbrokerd, or name it in NETBROKERD" : "");
                        return EX_UNAVAILABLE;
                }
        }

        r = nb_session_open(&session_options, &ret->session);
        if (r >= 0)
                return EX_OK;
        if (!options->policy)
                return explain(options, log, r);
        return explain_private(options, log, r, private_broker_wait(&ret->broker, NULL));
}

/* What to do about a listener that cannot be started, where that can be known. */
static const char *advise_listener(int error, const char *address) {
        switch (error) {
        case -EADDRINUSE:
                return address[0] == '/' ? "; remove the file if nobody needs it, or change the policy's Listen="
                                         : "; end the program that has it, or change the policy's Listen=";
        case -EADDRNOTAVAIL:
                return "; this machine has no such address: change the policy's Listen=";
        case -ENOENT:
                return "; make the directory first, or change the policy's Listen=";
        case -EACCES:
                return address[0] == '/' ? "; the broker's user must be allowed to write to the directory"
                                         : "; below port 1024 the broker needs CAP_NET_BIND_SERVICE";
        default:
                return "";
        }
}

/* @param denial  what the broker gave as its reason; the empty text where it said none */
static const char *advise(int error, const struct nb_preopen *preopen, const char *denial) {
        if (denial[0] != '\0')
                return "";
        if (preopen->kind == NB_PREOPEN_LISTENER)
                return advise_listener(error, preopen->address);
        if (error == -ECONNREFUSED || error == -ENOENT)
                return "; start the server first, or change the policy's Connect=";
        return error == -EACCES ? "; the broker's audit record says who refused" : "";
}

int run_session_start_preopens(const struct run_session *session, const struct nb_log *log) {
        const struct nb_preopen *preopen;
        const char *denial;
        size_t failed = 0;
        int r;

        r = nb_session_start_preopens(session->session, &failed);
        if (r >= 0)
                return EX_OK;

        preopen = nb_session_preopen(session->session, failed);
        denial = r == -EACCES ? nb_session_last_denial(session->session) : "";
        nb_log(log, NB_LOG_ERROR, "[Preopen %s]: cannot %s %s: %s%s%s%s", preopen->name,
               preopen->kind == NB_PREOPEN_LISTENER ? "listen on" : "connect to", preopen->address,
               r == -NB_ENOTCAPABLE ? "a right is missing" : strerror(-r), denial[0] ? ": " : "", denial,
               advise(r, preopen, denial));
        return r == -EACCES || r == -EPERM || r == -NB_ENOTCAPABLE ? EX_NOPERM : EX_UNAVAILABLE;
}

void run_session_close(struct run_session *session, const struct nb_log *log) {
        int r;

        session->session = nb_session_free(session->session);
        r = private_broker_wait(&session->broker, log);
        if (r > 0)
                nb_log(log, NB_LOG_WARNING, "the broker ended with status %d", r);
        else if (r < 0)
                nb_log(log, NB_LOG_WARNING, "the broker did not end: %s", strerror(-r));
}
