/* SPDX-License-Identifier: Apache-2.0 */
/* unit_shared: unit_calls with a shared memory (build: atomics). */
#include "tests/guests/unit_calls.c"
