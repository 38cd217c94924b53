# SPDX-License-Identifier: Apache-2.0
"""Rounds, medians, goals, and how they are shown.

The machine is never quiet, so variants take turns within a round, and what is compared is the ratio within a
round. Rounds are short and many: a disturbance that is longer hits all sides of a round, a shorter one few rounds, and
the median leaves those out. Shown is the median with the quartiles.
"""

import dataclasses
import statistics


def quartiles(values):
    """(first quartile, median, third quartile)"""
    if len(values) < 2:
        return values[0], values[0], values[0]
    q1, q2, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return q1, q2, q3


def take_turns(variants, rounds):
    """Calls each of `variants` (name → function) once a round, each round beginning with another one."""
    names = list(variants)
    results = {name: [] for name in names}
    for index in range(rounds):
        first = index % len(names)
        for name in names[first:] + names[:first]:
            results[name].append(variants[name]())
    return results


def ratios(of, to):
    return [a / b for a, b in zip(of, to)]


@dataclasses.dataclass
class Row:
    """One figure: its values, one a round, and its ratio to the base line."""

    name: str
    values: list
    ratio: list = None


@dataclasses.dataclass
class Goal:
    """A ratio or figure with the bound that it shall keep.

    `floor` is what the bare program reaches, which no broker can beat.
    """

    name: str
    values: list
    bound: float
    at_least: bool = False
    unit: str = ""
    floor: list = None

    def met(self):
        median = quartiles(self.values)[1]
        return median >= self.bound if self.at_least else median <= self.bound

    def verdict(self):
        if self.met():
            return "met"
        if self.floor and quartiles(self.floor)[1] > self.bound:
            return f"NOT MET (the bare program: {_number(quartiles(self.floor)[1])})"
        return "NOT MET"


class Table:
    """One part of the benchmark: rows, goals and remarks."""

    def __init__(self, key, title, unit, base=None):
        self.key = key
        self.title = title
        self.unit = unit
        self.base = base
        self.rows = []
        self.goals = []
        self.remarks = []

    def add(self, results, better_is_more=False):
        """Adds rows from take_turns(); the ratio is to `self.base`, and is above 1 for what is slower."""
        for name, values in results.items():
            ratio = None
            if self.base in results and name != self.base:
                base = results[self.base]
                ratio = ratios(values, base)
            self.rows.append(Row(name, values, ratio))
        self.better = "more is better" if better_is_more else "less is better"

    def goal(self, *arguments, **options):
        self.goals.append(Goal(*arguments, **options))

    def remark(self, text):
        self.remarks.append(text)

    def show(self):
        """The table as lines of text."""
        lines = [f"({self.key}) {self.title}"]
        if self.rows:
            head = f"{self.unit} [quartiles]"
            to = f"ratio to {self.base}" if self.base else ""
            lines.append(f"    {'':44} {head:>30}   {to}".rstrip())
        for row in self.rows:
            line = f"    {row.name:44} {_spread(row.values):>30}"
            if row.ratio:
                line += f"   {_spread(row.ratio)}"
            lines.append(line)
        for goal in self.goals:
            bound = f"{'>=' if goal.at_least else '<='} {goal.bound:g}{goal.unit}"
            lines.append(
                f"    goal: {goal.name:63} {bound:>10}   {_spread(goal.values):>22}   "
                f"{goal.verdict()}"
            )
        lines += [f"    {text}" for text in self.remarks]
        return "\n".join(lines) + "\n"

    def as_json(self):
        return {
            "part": self.key,
            "title": self.title,
            "unit": self.unit,
            "rows": [
                {"name": row.name, "values": row.values, "median": quartiles(row.values)[1], "ratio": row.ratio}
                for row in self.rows
            ],
            "goals": [
                {
                    "name": goal.name,
                    "bound": goal.bound,
                    "at_least": goal.at_least,
                    "median": quartiles(goal.values)[1],
                    "values": goal.values,
                    "met": goal.met(),
                }
                for goal in self.goals
            ],
            "remarks": self.remarks,
        }


def _number(value):
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def _spread(values):
    q1, median, q3 = quartiles(values)
    if len(values) < 2:
        return _number(median)
    return f"{_number(median)} [{_number(q1)}, {_number(q3)}]"
