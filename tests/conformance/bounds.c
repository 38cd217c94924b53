/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds */
#include "tests/conformance/conformance.h"
int main(void) {
        return 0;
}
