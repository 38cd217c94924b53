/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/token.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

/* A key file is a line. */
#define KEY_FILE_MAX 256

void ctl_token_wipe(struct token_bytes *bytes) {
        if (bytes->bytes)
                sodium_memzero(bytes->bytes, bytes->length);
        free(bytes->bytes);
        *bytes = (struct token_bytes){ .bytes = NULL };
}

/* To the end of standard input, of which no more is looked at than a token can have. */
static int read_input(struct token_bytes *ret) {
        char *text = malloc(TOKEN_TEXT_MAX + 1);

        if (!text)
                return -ENOMEM;
        ret->bytes = (uint8_t *)text;
        ret->length = fread(text, 1, TOKEN_TEXT_MAX + 1, stdin);
        return ferror(stdin) ? -EIO : 0;
}

static int complain_unreadable(const char *name, int error) {
        ctl_complain("cannot read a token from %s: %s", name,
                     error == EFBIG ? "it is longer than any token" : strerror(error));
        return CTL_BAD;
}

int ctl_token_read(const struct ctl *ctl, size_t n_before, struct token_bytes *ret) {
        const char *path = ctl->n_operands > n_before ? ctl->operands[n_before] : "-";
        bool is_input = strcmp(path, "-") == 0;
        const char *name = is_input ? "standard input" : path;
        NB_CLEANUP(ctl_token_wipe) struct token_bytes text = { .bytes = NULL };
        int r = is_input ? read_input(&text) : nb_file_read(path, TOKEN_TEXT_MAX, &text.bytes, &text.length);

        if (r < 0)
                return complain_unreadable(name, -r);
        if (token_parse((const char *)text.bytes, text.length, ret) == 0)
                return CTL_OK;
        ctl_complain("%s holds no token: it is one line that begins with " TOKEN_PREFIX, name);
        return CTL_BAD;
}

/* Whoever can read the key issues tokens. */
static bool is_private(const char *path) {
        struct stat st;

        return stat(path, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

int ctl_token_read_key(const struct ctl *ctl, struct token_secret *ret) {
        const char *path = ctl->options->token.key;
        NB_CLEANUP(ctl_token_wipe) struct token_bytes text = { .bytes = NULL };
        int r;

        if (!path)
                return ctl_misused(
                        ctl,
                        "say which key signs it: --key FILE, as `netbrokerctl token keygen --output FILE` makes one");
        r = nb_file_read(path, KEY_FILE_MAX, &text.bytes, &text.length);
        if (r < 0) {
                ctl_complain("cannot read the key %s: %s", path, strerror(-r));
                return CTL_BAD;
        }
        if (token_secret_parse((const char *)text.bytes, text.length, ret) < 0) {
                ctl_complain("%s is no key of an issuer: that is one line that begins with " TOKEN_SECRET_PREFIX, path);
                return CTL_BAD;
        }
        if (!is_private(path)) {
                token_secret_wipe(ret);
                ctl_complain("others than its owner may read or write the key %s; write: chmod 600 %s", path, path);
                return CTL_BAD;
        }
        return CTL_OK;
}

static int complain_unwritable(const char *path, int error) {
        ctl_complain("cannot write %s: %s", path,
                     error == EEXIST ? "it is there already, and no secret is overwritten" : strerror(error));
        return CTL_NO;
}

int ctl_token_write(const struct ctl *ctl, const char *line) {
        const char *path = ctl->options->token.output;
        FILE *file;
        bool failed;
        int fd;

        if (!path) {
                printf("%s\n", line);
                return CTL_OK;
        }
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, S_IRUSR | S_IWUSR);
        if (fd < 0)
                return complain_unwritable(path, errno);
        file = fdopen(fd, "w");
        if (!file) {
                (void)nb_fd_close(fd);
                return complain_unwritable(path, ENOMEM);
        }
        failed = fprintf(file, "%s\n", line) < 0;
        failed = fclose(file) != 0 || failed;
        if (!failed)
                return CTL_OK;
        failed = unlink(path) < 0; /* half of it is of use to nobody */
        (void)failed;
        return complain_unwritable(path, EIO);
}
