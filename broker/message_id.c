/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/message_id.h"

#include <stddef.h>
#include <string.h>

struct message_id {
        const char *verb; /* NULL: any */
        const char *verdict;
        const char *id;
};

/* tests/integration/test_units compares these with the catalogue. */
static const struct message_id ids[] = {
        { NULL, "denied", "f340e5bc994346f0ba270f2998d97d7e" },
        { NULL, "reported", "6beda25a8ba14b85a593f0fe56d202f8" },
        { NULL, "dropped", "9ee47128db164fe1a16d9171e84b1b59" },
        { "audit", "suppressed", "c1361832d4cb43a299c5b00eec9c603a" },
        { "admin", "done", "8828ff44c6d74f4eba034db4ee0d584e" },
        { "admin", "refused", "2530ca37296b42eab7defa178e42ae79" },
        { "relay", "crashed", "cf8203433fda4c04a486877c87b9b3b2" },
        { "seal", "missing", "2464448f30af46f5b2d2f45627574704" },
};

const char *message_id_find(const char *verb, const char *verdict) {
        for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); ++i)
                if ((!ids[i].verb || strcmp(ids[i].verb, verb) == 0) && strcmp(ids[i].verdict, verdict) == 0)
                        return ids[i].id;
        return NULL;
}
