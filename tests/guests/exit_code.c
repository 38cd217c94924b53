/* SPDX-License-Identifier: Apache-2.0 */
/* exit_code N: ends with N. */
#include <stdlib.h>

int main(int argc, char **argv) {
        return argc == 2 ? (int)strtol(argv[1], NULL, 10) : 1;
}
