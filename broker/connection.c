/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/cleanup.h"
#include "broker/broker.h"
#include "broker/connection_files.h"
#include "broker/session.h"
#include "broker/tenant.h"

static struct connection_table *table_of(const struct connection *connection) {
        return &connection->tenant->broker->connections;
}

/* Frees one that is, or is not yet, registered: what it has taken is given back. */
static struct connection *connection_free(struct connection *connection) {
        if (!connection)
                return NULL;
        if (connection->shelf) {
                nb_list_remove(&connection->on_shelf);
                connection_files_remove(&connection->tenant->shelves, connection->shelf);
        }
        if (connection->in_table)
                connection_table_remove(table_of(connection), connection);
        nb_list_remove(&connection->link);
        account_release(&connection->tenant->account, ACCOUNT_CONNECTIONS, 1);
        free(connection->name);
        free(connection->label);
        free(connection);
        return NULL;
}

static void cleanup_connection(struct connection **connection) {
        (void)connection_free(*connection);
}

static uint64_t wall_clock_ms(void) {
        struct timespec now;

        (void)clock_gettime(CLOCK_REALTIME, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The name of a Unix socket is the control's; the kernel would name the way by which it was bound (broker/unix_path.h). */
static int ask_local(int fd, sa_family_t family, struct nb_socket_address *ret) {
        struct sockaddr_storage sa;
        socklen_t length = sizeof(sa);

        *ret = (struct nb_socket_address){ .family = family };
        if (family == AF_UNIX)
                return 0;
        if (getsockname(fd, (struct sockaddr *)&sa, &length) < 0)
                return -errno;
        return nb_socket_address_from_sockaddr((struct sockaddr *)&sa, length, ret);
}

static int ask_cookie(int fd, uint64_t *ret) {
        socklen_t length = sizeof(*ret);

        return getsockopt(fd, SOL_SOCKET, SO_COOKIE, ret, &length) < 0 ? -errno : 0;
}

static int copy_text(const char *text, char **ret) {
        if (!text)
                return 0;
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

/* Those that may fail; the tenant is charged already. */
static int fill_in(struct connection *connection, const struct connection_facts *facts, int fd) {
        int r;

        r = ask_cookie(fd, &connection->cookie);
        if (r == 0)
                r = ask_local(fd, facts->peer->family, &connection->local);
        if (r == 0)
                r = copy_text(facts->name, &connection->name);
        if (r == 0)
                r = copy_text(facts->session->label, &connection->label);
        return r;
}

static int publish(struct connection *connection, int fd) {
        struct tenant *tenant = connection->tenant;
        int r = connection_table_add(table_of(connection), connection);

        if (r < 0)
                return r;
        connection->in_table = true;
        r = connection_files_add(&tenant->shelves, fd, connection->cookie, &connection->shelf);
        if (r < 0)
                return r;
        nb_list_append(&connection->shelf->connections, &connection->on_shelf);
        nb_list_append(&tenant->connections, &connection->link);
        return 0;
}

int connection_check_room(struct tenant *tenant) {
        const struct account *account = &tenant->account;

        return account->used[ACCOUNT_CONNECTIONS] < account->limit[ACCOUNT_CONNECTIONS] ? 0 : -EMFILE;
}

int connection_register(const struct connection_facts *facts, int fd, struct connection **ret) {
        NB_CLEANUP(cleanup_connection) struct connection *connection = NULL;
        struct session *session = facts->session;
        struct tenant *tenant = facts->grant->tenant;
        int r = connection_check_room(tenant);

        if (r < 0)
                return r;
        if (!account_charge(&tenant->account, ACCOUNT_CONNECTIONS))
                return -EMFILE;
        connection = calloc(1, sizeof(*connection));
        if (!connection) {
                account_release(&tenant->account, ACCOUNT_CONNECTIONS, 1);
                return -ENOMEM;
        }
        nb_list_init(&connection->link);
        nb_list_init(&connection->on_shelf);
        connection->tenant = tenant;
        connection->grant = facts->grant;
        connection->session_id = session->id;
        connection->since_ms = wall_clock_ms();
        connection->verb = facts->verb;
        connection->type = facts->type;
        connection->peer = *facts->peer;
        r = fill_in(connection, facts, fd);
        if (r == 0)
                r = publish(connection, fd);
        if (r < 0)
                return r;
        connection->id = ++session->broker->last_connection_id;
        *ret = nb_steal_ptr(connection);
        return 0;
}

void connection_forget(struct connection *connection, int fd) {
        nb_list_remove(&connection->on_shelf);
        connection_files_withdraw(&connection->tenant->shelves, connection->shelf, fd);
        connection->shelf = NULL;
        connection_end(connection);
}

void connection_end(struct connection *connection) {
        struct tenant *tenant = connection->tenant;

        (void)connection_free(connection);
        tenant_release_if_unused(tenant);
}

void connection_forget_all(struct tenant *tenant) {
        nb_list_foreach_safe(link, &tenant->connections)(void)
                connection_free(nb_container_of(link, struct connection, link));
}

static struct connection *find_of_tenant(const struct tenant *tenant, uint64_t id) {
        nb_list_foreach_safe(link, &tenant->connections) {
                struct connection *connection = nb_container_of(link, struct connection, link);

                if (connection->id == id)
                        return connection;
        }
        return NULL;
}

struct connection *connection_find(struct broker *broker, uint64_t id) {
        nb_list_foreach_safe(link, &broker->tenants) {
                struct connection *found = find_of_tenant(nb_container_of(link, struct tenant, link), id);

                if (found)
                        return found;
        }
        return NULL;
}

void connection_judge_all(struct tenant *tenant) {
        (void)tenant;
}

int connection_revoke(struct connection *connection) {
        (void)connection;
        return -EOPNOTSUPP;
}
