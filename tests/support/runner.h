/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every test program's main() does.
 */
#ifndef NB_TESTS_SUPPORT_RUNNER_H
#define NB_TESTS_SUPPORT_RUNNER_H

#include <check.h>
#include <stdlib.h>

/** Runs a suite, as loudly as CK_VERBOSITY says, and gives it back. @return what main() returns */
static inline int run_suite(Suite *suite) {
        SRunner *runner = srunner_create(suite);
        int n_failed;

        srunner_run_all(runner, CK_ENV);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
