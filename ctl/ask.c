/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/ask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/command.h"

struct asking {
        const char *path;
        json_t *request; /* borrowed */
        ask_line_function function;
        void *data;
        unsigned n_shards, shard; /* as those of a client */
        char lacks[CLIENT_ERROR_MAX];
        int lacks_status; /* of the first that had no such thing; CTL_OK: none has said so */
};

/* @return enum ctl_status */
static int take_lines(struct asking *asking, struct client *client) {
        json_t *line = NULL;
        int r;

        while ((r = client_next(client, &line)) > 0) {
                int status = asking->function(asking->data, line);

                json_decref(line);
                if (status != CTL_OK)
                        return status;
        }
        return r < 0 ? client->status : CTL_OK;
}

/* @return enum ctl_status; CTL_OK, too, where it lacks what others may have, which is noted */
static int take_answer(struct asking *asking, struct client *client, bool *ret_has_it) {
        int status = take_lines(asking, client);

        if (client->lacks[0] == '\0') {
                *ret_has_it |= status == CTL_OK;
                return status;
        }
        if (asking->lacks_status == CTL_OK) {
                (void)snprintf(asking->lacks, sizeof(asking->lacks), "%s", client->lacks);
                asking->lacks_status = status;
        }
        return CTL_OK;
}

/* @param number  from 1; 0: the process that was started @return enum ctl_status */
static int ask_one(struct asking *asking, unsigned number, bool *ret_has_it) {
        CLIENT client = { .fd = -1 };
        bool is_patient = number == 0 || json_is_true(json_object_get(asking->request, "wait"));
        int r = client_open(&client, asking->path, number, is_patient ? 0 : ASK_PATIENCE_S), status;

        if (r < 0)
                return CTL_UNREACHABLE;
        client.may_lack = number > 0 && asking->shard == 0;
        r = client_send(&client, json_incref(asking->request));
        if (r < 0)
                return r == -EINVAL ? CTL_BAD : CTL_UNREACHABLE;
        status = take_answer(asking, &client, ret_has_it);
        if (number == 0) {
                asking->n_shards = client.n_shards;
                asking->shard = client.shard;
        }
        return status;
}

/* What one does not answer is worse than what one refuses: nobody knows what it would have said. */
static int worse(int status, int other) {
        return status == CTL_OK || other == CTL_UNREACHABLE ? other : status;
}

static int ask_shards(struct asking *asking) {
        bool has_it = false;
        int status = CTL_OK;

        if (asking->shard > 0)
                return ask_one(asking, asking->shard, &has_it);
        for (unsigned number = 1; number <= asking->n_shards; ++number)
                status = worse(status, ask_one(asking, number, &has_it));
        if (has_it || status != CTL_OK || asking->lacks_status == CTL_OK)
                return status;
        ctl_complain("%s", asking->lacks);
        return asking->lacks_status;
}

int ask_broker(const char *path, json_t *request, ask_line_function function, void *data) {
        struct asking asking = { .path = path, .request = request, .function = function, .data = data };
        bool has_it = false;
        int status = ask_one(&asking, 0, &has_it);

        if (status == CTL_OK && asking.n_shards > 0)
                status = ask_shards(&asking);
        json_decref(request);
        return status;
}
