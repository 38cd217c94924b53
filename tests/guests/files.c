/* SPDX-License-Identifier: Apache-2.0 */
/* files read|write PATH: prints a file, or writes one. Ends with 0, or with the errno and its text on standard error. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int fail(void) {
        int error = errno;

        fprintf(stderr, "%s\n", strerror(error));
        return error;
}

int main(int argc, char **argv) {
        char buffer[256];
        ssize_t n;
        int fd;

        if (argc != 3)
                return 1;
        if (strcmp(argv[1], "write") == 0) {
                fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0600);
                return fd >= 0 && write(fd, "written\n", 8) == 8 ? 0 : fail();
        }
        fd = open(argv[2], O_RDONLY);
        if (fd < 0)
                return fail();
        while ((n = read(fd, buffer, sizeof(buffer))) > 0) {
                if (fwrite(buffer, 1, (size_t)n, stdout) != (size_t)n)
                        return fail();
        }
        return n == 0 ? 0 : fail();
}
