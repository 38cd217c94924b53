/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/relay_outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/channel.h"
#include "base/cleanup.h"

struct letter {
        struct nb_list in_outbox;
        uint64_t link; /* that it begins; 0: it is another order */
        int fds[NB_RELAY_FILES_MAX];
        size_t n_fds;
        size_t length;
        uint8_t frame[];
};

static struct letter *letter_free(struct letter *letter) {
        if (!letter)
                return NULL;
        nb_list_remove(&letter->in_outbox);
        for (size_t i = 0; i < letter->n_fds; ++i)
                (void)nb_channel_fd_close(letter->fds[i]);
        free(letter);
        return NULL;
}

static void cleanup_letter(struct letter **letter) {
        *letter = letter_free(*letter);
}

void relay_outbox_init(struct relay_outbox *outbox) {
        nb_list_init(&outbox->letters);
        outbox->n = 0;
}

void relay_outbox_deinit(struct relay_outbox *outbox) {
        nb_list_foreach_safe(link, &outbox->letters)(void) letter_free(nb_container_of(link, struct letter, in_outbox));
        outbox->n = 0;
}

bool relay_outbox_is_empty(const struct relay_outbox *outbox) {
        return nb_list_is_empty(&outbox->letters);
}

static struct letter *letter_new(const Nb__Relay__Order *order, const int *fds, size_t n_fds) {
        NB_CLEANUP(cleanup_letter) struct letter *letter = NULL;
        size_t length = nb__relay__order__get_packed_size(order);

        if (length > NB_CHANNEL_MESSAGE_MAX || n_fds > NB_RELAY_FILES_MAX)
                return NULL;
        letter = calloc(1, sizeof(*letter) + length);
        if (!letter)
                return NULL;
        nb_list_init(&letter->in_outbox);
        letter->length = nb__relay__order__pack(order, letter->frame);
        letter->link = order->body_case == NB__RELAY__ORDER__BODY_BEGIN ? order->begin->link : 0;
        for (size_t i = 0; i < n_fds; ++i) {
                int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);

                if (fd < 0)
                        return NULL;
                letter->fds[letter->n_fds++] = fd;
        }
        return nb_steal_ptr(letter);
}

static int put_by(struct relay_outbox *outbox, const Nb__Relay__Order *order, const int *fds, size_t n_fds) {
        struct letter *letter;

        if (outbox->n >= RELAY_OUTBOX_MAX && order->body_case != NB__RELAY__ORDER__BODY_END)
                return -EAGAIN;
        letter = letter_new(order, fds, n_fds);
        if (!letter)
                return -EAGAIN;
        nb_list_append(&outbox->letters, &letter->in_outbox);
        outbox->n++;
        return 0;
}

int relay_outbox_send(struct relay_outbox *outbox, int channel_fd, const Nb__Relay__Order *order, const int *fds,
                      size_t n_fds) {
        int r = -EAGAIN;

        if (relay_outbox_is_empty(outbox))
                r = nb_relay_order_send(channel_fd, order, fds, n_fds);
        return r == -EAGAIN || nb_channel_is_short(r) ? put_by(outbox, order, fds, n_fds) : r;
}

bool relay_outbox_withdraw(struct relay_outbox *outbox, uint64_t link) {
        nb_list_foreach_safe(element, &outbox->letters) {
                struct letter *letter = nb_container_of(element, struct letter, in_outbox);

                if (letter->link != link)
                        continue;
                (void)letter_free(letter);
                outbox->n--;
                return true;
        }
        return false;
}

int relay_outbox_flush(struct relay_outbox *outbox, int channel_fd) {
        while (!relay_outbox_is_empty(outbox)) {
                struct letter *letter = nb_container_of(outbox->letters.next, struct letter, in_outbox);
                int r = nb_channel_send(channel_fd, letter->frame, letter->length, letter->fds, letter->n_fds);

                if (r < 0)
                        return r;
                (void)letter_free(letter);
                outbox->n--;
        }
        return 0;
}
