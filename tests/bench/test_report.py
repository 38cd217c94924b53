#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How figures become pages: medians and quartiles, what one part replaces, blocks between markers. Nothing is measured."""

import contextlib
import io
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench"))
sys.dont_write_bytecode = True

from measure import figures, model, pages, panels, report, results, svg  # noqa: E402

CONTEXT = {"cpu": "a CPU", "cores": 2, "kernel": "Linux", "compiler": "cc", "descriptors": 1024, "rounds": 3, "load": "0.1 0.1 0.1", "load_after": "0.2 0.2 0.2"}


def table(title="connect; on one core", values=(30, 10, 20), bound=2):
    made = figures.Table("a", title, "us", "bare")
    made.add({"bare": [10, 10, 10], "broker": list(values)})
    made.goal("times bare", figures.ratios(values, [10, 10, 10]), bound)
    made.remark("a remark")
    return made


def result(name="connects", part="a", date="2026-11-23T13:25:01+00:00", **options):
    return results.Result(part, name, f"what {name} asks", date, 12.3, dict(CONTEXT), [table(**options)])


def blocks(*names):
    return "".join(f"before {name}\n<!-- figures: {name} -->\nold\n<!-- end of figures: {name} -->\n" for name in names)


class Arithmetic(unittest.TestCase):
    def test_quartiles(self):
        self.assertEqual(figures.quartiles([7]), (7, 7, 7))
        self.assertEqual(figures.quartiles([5, 1, 3, 2, 4]), (2, 3, 4))
        self.assertEqual(figures.quartiles([1, 2, 3, 4]), (1.75, 2.5, 3.25))

    def test_one_wild_round_moves_no_median(self):
        self.assertEqual(figures.quartiles([1, 1, 1, 1, 1000])[1], 1)

    def test_variants_take_turns_and_each_begins(self):
        called = []
        figures.take_turns({name: lambda name=name: called.append(name) for name in "abc"}, 3)
        self.assertEqual("".join(called), "abcbcacab")

    def test_ratio_is_within_a_round(self):
        ratio = table(values=(10, 20, 40)).rows[1].ratio
        self.assertEqual(ratio, [1, 2, 4])
        self.assertIsNone(table().rows[0].ratio)

    def test_goal_is_met_on_its_bound(self):
        self.assertTrue(figures.Goal("g", [1, 2, 3], 2).met())
        self.assertFalse(figures.Goal("g", [1, 2.01, 3], 2).met())
        self.assertTrue(figures.Goal("g", [1, 2, 3], 2, at_least=True).met())
        self.assertFalse(figures.Goal("g", [1, 1.99, 3], 2, at_least=True).met())

    def test_goal_below_what_is_possible_says_so(self):
        self.assertEqual(figures.Goal("g", [3], 1, floor=[2]).verdict(), "NOT MET (the bare program: 2)")
        self.assertEqual(figures.Goal("g", [3], 2, floor=[1]).verdict(), "NOT MET")

    def test_numbers(self):
        told = [figures.number(value) for value in (0.1234, 9.876, 12.34, 999.96, 1234.5)]
        self.assertEqual(told, ["0.123", "9.88", "12.3", "1000.0", "1,234"])
        self.assertEqual(figures.spread([1, 2, 3]), "2 [1.5, 2.5]")
        self.assertEqual(figures.rounded([1.23456, 123456]), [1.235, 123500])


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())

    def test_what_is_written_is_read(self):
        before = result()
        after = results.load(results.save(self.folder, before))
        self.assertEqual(after.tables[0].show(), before.tables[0].show())
        self.assertEqual(after.stamp(), before.stamp())
        self.assertEqual((after.date, after.seconds, after.context), (before.date, before.seconds, before.context))

    def test_what_is_kept_of_many_rounds_has_their_quartiles(self):
        values = [(37 * index) % 200 + 1 for index in range(200)]
        self.assertEqual(figures.condensed(values), [1, 50.75, 100.5, 150.2, 200])
        before = results.Result("a", "many", "q", "2026-11-23", 1, dict(CONTEXT), [figures.Table("a", "t", "us", "bare")])
        before.tables[0].add({"bare": [1000 + value for value in values], "broker": [1000 + value for value in reversed(values)]})
        after = results.load(results.save(self.folder, before))
        whole = results.load(results.save(self.folder, before, every_round=True))
        self.assertEqual(after.tables[0].show(), before.tables[0].show())
        self.assertEqual(whole.tables[0].show(), before.tables[0].show())
        self.assertEqual((len(after.tables[0].rows[1].values), len(whole.tables[0].rows[1].values)), (5, 200))
        self.assertEqual((after.tables[0].rounds, whole.tables[0].rounds), (200, 200))

    def test_part_replaces_its_own_only(self):
        results.save(self.folder, result("connects", "a"))
        results.save(self.folder, result("accepts", "b"))
        results.save(self.folder, result("connects", "a", date="2026-11-24T00:00:00+00:00"))
        found = {each.name: each.date[:10] for each in results.load_all(self.folder)}
        self.assertEqual(found, {"connects": "2026-11-24", "accepts": "2026-11-23"})

    def test_order_is_that_of_parts(self):
        for name, part in (("zebras", "a"), ("apes", "b")):
            results.save(self.folder, result(name, part))
        self.assertEqual([each.name for each in results.load_all(self.folder)], ["zebras", "apes"])

    def test_stamp_knows_another_figure(self):
        self.assertNotEqual(result().stamp(), result(values=(30, 10, 21)).stamp())

    def test_what_is_no_result_is_refused_by_name(self):
        for content in ("", "[]", "{}", '{"format": 0}', '{"format": 1}'):
            path = results.path_of(self.folder, "broken")
            with open(path, "w", encoding="ascii") as file:
                file.write(content)
            with self.assertRaisesRegex(results.ResultsError, "broken.json"):
                results.load(path)

    def test_question_of_a_part(self):
        def connects():
            """(a) connect, and close.

            More.
            """

        self.assertEqual(results.question_of(connects), ("a", "connects", "connect, and close"))

    def test_check_finds_what_the_figures_do_not_say(self):
        def objections():
            with contextlib.redirect_stdout(io.StringIO()) as said:
                fine = pages.check(self.folder)
            self.assertEqual(fine, not said.getvalue())
            return said.getvalue()

        made = result()
        results.save(self.folder, made)
        self.assertIn("not what the figures say", objections())
        self.assertIn("not a plot", objections())
        with open(os.path.join(self.folder, report.PAGE), "w", encoding="utf-8") as page:
            page.write(report.page(results.load_all(self.folder)))
        with open(results.path_of(self.folder, "connects", "svg"), "w", encoding="utf-8") as plot:
            plot.write(f"<desc>{made.stamp()}</desc>")
        self.assertEqual(objections(), "")
        results.save(self.folder, result(values=(30, 10, 21)))
        self.assertIn(report.PAGE, objections())
        self.assertIn("connects.svg", objections())


class Panels(unittest.TestCase):
    def test_placements_are_columns(self):
        one, two = table("connect; on one core"), table("connect; on two cores")
        found = panels.panels([one, table("accept; on one core"), two])
        self.assertEqual([panel.head for panel in found], ["connect", "accept"])
        self.assertEqual(list(found[0].columns), ["on one core", "on two cores"])
        self.assertIs(found[0].row("on two cores", "broker"), two.rows[1])
        self.assertIsNone(found[0].row("on two cores", "nobody"))

    def test_another_unit_is_another_panel(self):
        other = table("connect; on two cores")
        other.unit = "ms"
        self.assertEqual(len(panels.panels([table(), other])), 2)

    def test_table_without_rows_has_no_panel(self):
        self.assertEqual(panels.panels([figures.Table("a", "held", "")]), [])

    def test_series(self):
        names = ["denied, 10 rules", "denied, 1000 rules", "denied, 100 rules"]
        self.assertEqual(panels.series(names), {"denied, N rules": [(10, names[0]), (100, names[2]), (1000, names[1])]})

    def test_what_is_no_series(self):
        self.assertIsNone(panels.series(["bare", "broker"]))
        self.assertIsNone(panels.series(["10 rules", "100 rules"]))
        self.assertIsNone(panels.series(["10 rules", "100 rules", "1000 rules", "bare"]))
        self.assertIsNone(panels.series(["10 of 20", "10 of 30", "10 of 40"]))
        self.assertIsNone(panels.series(["poll(2)", "poll(3)", "socks5"]))


class Pages(unittest.TestCase):
    def test_block_is_replaced_and_nothing_else(self):
        text, wrong = report.fill(blocks("all", "connects", "model") + "after\n", [result()])
        self.assertEqual(wrong, [])
        self.assertNotIn("old", text)
        self.assertEqual([line for line in text.splitlines() if line.startswith("before")], ["before all", "before connects", "before model"])
        self.assertTrue(text.endswith("<!-- end of figures: model -->\nafter\n"))
        self.assertIn("](../bench/results/connects.svg)", text)

    def test_filling_again_changes_nothing(self):
        once, _ = report.fill(blocks("all", "connects", "model"), [result()])
        self.assertEqual(report.fill(once, [result()])[0], once)

    def test_missing_block_is_said(self):
        _, wrong = report.fill(blocks("all", "model"), [result()])
        self.assertEqual(wrong, ["there is no block for connects"])

    def test_torn_block_is_said_and_left(self):
        for torn in ("<!-- figures: x -->\nmine\n", "mine\n<!-- end of figures: x -->\n", blocks("x", "x")):
            text, wrong = report.fill(blocks("all", "model") + torn, [])
            self.assertIn("a block is not closed, or stands twice: x", wrong)
            self.assertTrue("mine" in text or text.count("figures: x") == 4)

    def test_block_that_nothing_was_measured_for(self):
        self.assertIn("Not measured yet.", report.fill(blocks("accepts"), [])[0])

    def test_page_has_figures_goals_and_when(self):
        page = report.page([result()])
        self.assertIn("| broker | 20.0 [15.0, 25.0], 2 times |", page)
        self.assertIn("| (a) connect; on one core | times bare | <= 2 | 2 [1.5, 2.5] | met |", page)
        self.assertIn("- on one core: a remark\n", page)
        self.assertIn("1 of 1 goals are met.", page)
        self.assertIn("2026-11-23 13:25 UTC", page)
        self.assertIn("(us, median [quartiles] of 3 rounds, times bare; less is better)", page)
        self.assertIn("in 12 s, 3 rounds; load", page)
        self.assertIn("load 0.1 0.1 0.1 before, 0.2 0.2 0.2 after", page)
        self.assertIn("0 of 1 goals are met.", report.page([result(bound=1.9)]))

    def test_rounds_are_those_that_were_made(self):
        made = result()
        made.context["rounds"] = 200
        self.assertIn(", 3 rounds;", report.page([made]))
        made.tables[0].rounds = 20
        made.tables.append(table("accept; on one core"))
        self.assertIn(", 3 to 20 rounds;", report.page([made]))
        made.tables[0].rounds = None
        self.assertIn(", at most 200 rounds;", report.page([made]))

    def test_versions_of_all_are_there(self):
        one, two = result(), result("accepts", "b")
        one.context["versions"] = {"commit": "123abc", "netbrokerd": "netbrokerd 0.1.0", "haproxy": "2.6"}
        two.context["versions"] = {"commit": "456def", "haproxy": "2.7", "wrk": "4.1"}
        page = report.page([one, two])
        self.assertIn("| commit | 123abc; 456def |", page)
        self.assertIn("| beside | haproxy 2.6 or 2.7; wrk 4.1 |", page)

    def test_dates_of_several_days(self):
        page = report.page([result(), result("accepts", "b", date="2026-11-24T01:02:03+00:00")])
        self.assertIn("2026-11-23 13:25 UTC to 2026-11-24 01:02 UTC", page)

    def test_bar_in_a_name_does_not_break_the_table(self):
        self.assertIn("a \\| b", report.page([result(title="x; a | b")]))


class Drawing(unittest.TestCase):
    drawn = (
        '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><metadata>who</metadata><defs><style>*{a: b}</style></defs>'
        '<g id="axes"><g id="tick"><path d="M 1.23456 0\nL 2.00001 -3.14159" style="fill: #ffffff; stroke: none"/>'
        '<text style="font: 8px sans" transform="rotate(-0 1 2)">0.05 &lt; 1.2345</text></g></g>'
        '<g transform="translate(1 2)"><text style="font: 8px sans">kept</text></g></svg>'
    )

    def test_text_keeps_its_digits_and_coordinates_do_not(self):
        small = svg.compact(self.drawn, "a & b", "x.json 0123")
        self.assertIn(">0.05 &lt; 1.2345</text>", small)
        self.assertIn('d="M 1.2 0 L 2 -3.1"', small)

    def test_what_groups_nothing_goes_and_what_moves_stays(self):
        small = svg.compact(self.drawn, "a & b", "x.json 0123")
        self.assertEqual(small.count("<g"), 1)
        self.assertIn('<g transform="translate(1 2)">', small)
        self.assertNotIn("rotate", small)
        self.assertNotIn("metadata", small)

    def test_style_is_said_once(self):
        small = svg.compact(self.drawn, "a & b", "x.json 0123")
        self.assertEqual(small.count("font:8px sans"), 1)
        self.assertEqual(small.count('class="s1"'), 2)

    def test_title_and_stamp(self):
        self.assertIn("<title>a &amp; b</title>\n<desc>x.json 0123</desc>", svg.compact(self.drawn, "a & b", "x.json 0123"))


def measured(name, *tables):
    """A result whose tables are (title, rows)."""
    made = []
    for title, rows in tables:
        made.append(figures.Table("x", title, ""))
        made[-1].add(rows)
    return results.Result("x", name, name, "2026-11-23T13:25:01+00:00", 1, dict(CONTEXT), made)


class Model(unittest.TestCase):
    title = "descriptors for one more session with a protocol"

    def test_without_figures_it_says_what_is_missing(self):
        text = model.text([])
        self.assertIn("Not measured yet, and so not here: ", text)
        self.assertIn("restarts (netbrokerd, with a control that listens)", text)

    def test_bound_is_the_limit_by_one_guest(self):
        bound = model.Bound("things", 4, 1_000_000, "", "(x)")
        self.assertEqual(bound.guests(), 250_000)

    def test_descriptors_are_those_of_both_controls(self):
        rows = {f"{process}, with a control that {does}": [count] for process, does, count in (
            ("netbrokerd", "connects", 3), ("netbrokerd", "listens", 4), ("keeper", "connects", 2), ("keeper", "listens", 4),
        )}
        text = model.text([measured("restarts", (self.title, rows))])
        self.assertIn("| descriptors of the broker | 5 | 500,000 | 458,752 | 92,000 guests | (x) |", text)
        self.assertIn("| descriptors of the keeper | 4 | 400,000 | 1,048,576 | 260,000 guests | (x) |", text)

    def test_one_loop_is_a_core_of_connects_and_accepts(self):
        placed = "everything on one core"
        text = model.text([
            measured("connects", (f"connect to a loopback server and close; {placed}", {"broker: connect + close": [40, 50, 60]})),
            measured("accepts", (f"accept and close, 64 connections under way; {placed}", {"broker": [20000]})),
        ])
        # A tenth of 50 us and a tenth of 50 us, each second.
        self.assertIn("| one loop: connects and accepts | 0.001 % of a core | 100.0 % of a core | 100.0 % of a core | 100,000 guests |", text)

    def test_restart_is_a_slope_from_the_last_points(self):
        rows = {"10 sessions": [500], "100 sessions": [20], "1000 sessions": [110]}
        text = model.text([measured("restarts", ("from kill -9 until", rows))])
        self.assertIn(f"| a restart, of which hosts notice {model.SECONDS_AWAY} s | 0.0001 s | 10.0 s | 60.0 s | 600,000 guests | (x) |", text)

    def test_slope_of_nothing_has_no_bound(self):
        rows = {"10 sessions": [5], "100 sessions": [5], "1000 sessions": [5]}
        self.assertNotIn("a restart, of which", model.text([measured("restarts", ("from kill -9 until", rows))]))

    def test_first_is_who_has_the_fewest_guests(self):
        text = model.text([])
        self.assertIn("What breaks first: sessions, by an eighth of the descriptors, with 66,000 guests.", text)
        lines = [line for line in text.splitlines() if line.endswith("|")][2:]
        self.assertEqual(len(lines), 2)


if __name__ == "__main__":
    program = unittest.main(exit=False, verbosity=2)
    ran = program.result
    checks, failures, errors = ran.testsRun, len(ran.failures), len(ran.errors)
    print(f"{100 * (checks - failures - errors) // max(checks, 1)}%: Checks: {checks}, Failures: {failures}, Errors: {errors}")
    sys.exit(not ran.wasSuccessful() or checks == 0)
