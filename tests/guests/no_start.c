/* SPDX-License-Identifier: Apache-2.0 */
/* A module with a memory and no _start (build: no-entry): a library, nothing to run. */
int answer(void);

__attribute__((export_name("answer"))) int answer(void) {
        return 42;
}
