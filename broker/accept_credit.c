/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/accept_credit.h"

#include "broker/control.h"
#include "broker/tenant.h"

void accept_credit_init(struct accept_credit *credit, uint64_t received) {
        *credit = (struct accept_credit){ .sent = received, .total = received, .acknowledged = received };
}

/* The kernel counts frames, and a Resumed or two are among them: what is charged too much comes back with the next credit. */
void accept_credit_resume(struct accept_credit *credit, const struct control *control, uint64_t received) {
        uint64_t unread = endpoint_unread_max(&control->endpoint);

        if (unread > NB_CREDIT_WINDOW_MAX)
                unread = NB_CREDIT_WINDOW_MAX;
        if (unread > received)
                unread = received;
        accept_credit_init(credit, received);
        credit->acknowledged -= unread;
        account_restore(&control->grant->tenant->account, ACCOUNT_IN_FLIGHT, unread);
}

bool accept_credit_is_left(const struct accept_credit *credit) {
        return credit->sent < credit->total;
}

static void give_back(const struct control *control, uint64_t n) {
        account_release(&control->grant->tenant->account, ACCOUNT_IN_FLIGHT, n);
}

static void acknowledge(struct accept_credit *credit, const struct control *control, uint64_t accepted) {
        uint64_t unread = endpoint_unread_max(&control->endpoint);
        uint64_t confirmed = unread < credit->sent ? credit->sent - unread : 0;
        uint64_t arrived = credit->acknowledged + accepted;

        if (arrived > confirmed)
                arrived = confirmed;
        if (arrived <= credit->acknowledged)
                return;
        give_back(control, arrived - credit->acknowledged);
        credit->acknowledged = arrived;
}

void accept_credit_raise(struct accept_credit *credit, const struct control *control, uint64_t total) {
        if (total <= credit->total)
                return;
        /* The session keeps its window constant: what it raises the total by, its guest has accepted. */
        if (credit->sent > credit->acknowledged)
                acknowledge(credit, control, total - credit->total);
        if (total - credit->acknowledged > NB_CREDIT_WINDOW_MAX)
                total = credit->acknowledged + NB_CREDIT_WINDOW_MAX;
        if (total > credit->total)
                credit->total = total;
}

void accept_credit_release(struct accept_credit *credit, const struct control *control) {
        give_back(control, credit->sent - credit->acknowledged);
        credit->acknowledged = credit->sent;
}
