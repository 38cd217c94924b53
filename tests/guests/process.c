/* SPDX-License-Identifier: Apache-2.0 */
/* process ARG...: prints its arguments, its environment, and standard input; complains on standard error. */
#include <stdio.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv) {
        char buffer[256];
        size_t n;

        for (int i = 0; i < argc; ++i)
                printf("arg %s\n", argv[i]);
        for (char **variable = environ; *variable; ++variable)
                printf("env %s\n", *variable);
        while ((n = fread(buffer, 1, sizeof(buffer), stdin)) > 0)
                fwrite(buffer, 1, n, stdout);
        fputs("complaint\n", stderr);
        return 0;
}
