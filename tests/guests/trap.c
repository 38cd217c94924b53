/* SPDX-License-Identifier: Apache-2.0 */
/* trap: says something, then executes `unreachable`. */
#include <stdio.h>

int main(void) {
        puts("before");
        fflush(stdout);
        __builtin_trap();
}
