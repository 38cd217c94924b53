#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The parts of bench/run: that each has its letter, its name and its section, and how the output of others is read. Nothing is measured."""

import importlib.machinery
import importlib.util
import os
import re
import sys
import unittest

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(SOURCE, "bench"))
sys.dont_write_bytecode = True

from measure import results, web  # noqa: E402
from measure.processes import BenchError  # noqa: E402

WRK = """\
Running 1s test @ http://127.0.0.1:8080/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.40ms    2.33ms  36.85ms   98.27%
    Req/Sec    54.31k     6.02k   60.66k    90.00%
  54047 requests in 1.00s, 8.40MB read
Requests/sec:  53981.12
Transfer/sec:      8.39MB
"""


def parts():
    loader = importlib.machinery.SourceFileLoader("bench_run", os.path.join(SOURCE, "bench", "run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_run", loader))
    loader.exec_module(module)
    return module.PARTS


class Parts(unittest.TestCase):
    def test_letter_is_that_of_the_question(self):
        for letter, function in parts().items():
            part, _, question = results.question_of(function)
            self.assertEqual(part, letter)
            self.assertTrue(question)

    def test_each_has_a_file_of_its_own(self):
        names = [function.__name__ for function in parts().values()]
        self.assertEqual(len(names), len(set(names)))

    def test_each_has_a_section_and_no_section_is_without(self):
        with open(os.path.join(SOURCE, "docs", "performance.md"), encoding="utf-8") as page:
            sections = re.findall(r"^### \((\w)\) .*?<!-- figures: (\w+) -->", page.read(), re.MULTILINE | re.DOTALL)
        self.assertEqual(sorted(sections), sorted((letter, function.__name__) for letter, function in parts().items()))


class Wrk(unittest.TestCase):
    def test_rate_and_number(self):
        self.assertEqual(web.read_wrk("native", WRK), (53981.12, 54047))

    def test_anything_but_an_answer_is_refused(self):
        broken = (
            "",
            WRK.replace("54047 requests", "0 requests"),
            WRK.replace("Requests/sec", "Requests"),
            WRK + "  Socket errors: connect 0, read 3, write 0, timeout 0\n",
            WRK + "  Non-2xx or 3xx responses: 12\n",
        )
        for text in broken:
            with self.assertRaisesRegex(BenchError, "native"):
                web.read_wrk("native", text)


if __name__ == "__main__":
    program = unittest.main(exit=False, verbosity=2)
    ran = program.result
    checks, failures, errors = ran.testsRun, len(ran.failures), len(ran.errors)
    print(f"{100 * (checks - failures - errors) // max(checks, 1)}%: Checks: {checks}, Failures: {failures}, Errors: {errors}")
    sys.exit(not ran.wasSuccessful() or checks == 0)
