# SPDX-License-Identifier: Apache-2.0
"""Rounds, medians, goals, and how they are shown.

The machine is never quiet, so variants take turns within a round, and what is compared is the ratio within a
round. Rounds are short and many: a disturbance that is longer hits all sides of a round, a shorter one few rounds, and
the median leaves those out. Shown is the median with the quartiles.
"""

import dataclasses
import statistics

CONDENSED = 5  # values, of any number of rounds
MORE, LESS = "more is better", "less is better"


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


def rounded(values):
    """Values as results keep them: with four digits, which is more than any of them is worth."""
    return [float(f"{value:.4g}") for value in values]


def condensed(values):
    """What is kept of many rounds: least, quartiles and most, whose quartiles are those of all. A few are kept as they are."""
    if len(values) > CONDENSED:
        values = [min(values), *quartiles(values), max(values)]
    return rounded(values)


def number(value):
    """A figure as people read it."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def spread(values):
    """The median, and the quartiles where there is more than one value."""
    q1, median, q3 = quartiles(values)
    if len(values) < 2:
        return number(median)
    return f"{number(median)} [{number(q1)}, {number(q3)}]"


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

    def bound_text(self):
        return f"{'>=' if self.at_least else '<='} {self.bound:g}{self.unit}"

    def verdict(self):
        if self.met():
            return "met"
        if self.floor and quartiles(self.floor)[1] > self.bound:
            return f"NOT MET (the bare program: {number(quartiles(self.floor)[1])})"
        return "NOT MET"


class Table:
    """One part of the benchmark: rows, goals and remarks."""

    def __init__(self, key, title, unit, base=None):
        self.key = key
        self.title = title
        self.unit = unit
        self.base = base
        self.better = LESS
        self.rows = []
        self.goals = []
        self.remarks = []
        self.rounds = None  # how many there were, where that is known

    def add(self, results, better_is_more=False):
        """Adds rows from take_turns(); the ratio is to `self.base`, and is above 1 for what is slower."""
        for name, values in results.items():
            ratio = None
            if self.base in results and name != self.base:
                base = results[self.base]
                ratio = ratios(values, base)
            self.rows.append(Row(name, values, ratio))
            self.rounds = max(self.rounds or 0, len(values))
        self.better = MORE if better_is_more else LESS

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
            line = f"    {row.name:44} {spread(row.values):>30}"
            if row.ratio:
                line += f"   {spread(row.ratio)}"
            lines.append(line)
        for goal in self.goals:
            lines.append(
                f"    goal: {goal.name:63} {goal.bound_text():>10}   {spread(goal.values):>22}   "
                f"{goal.verdict()}"
            )
        lines += [f"    {text}" for text in self.remarks]
        return "\n".join(lines) + "\n"

    def as_json(self, keep=condensed):
        """What Table.read() makes the same table of. `keep` says what of a list of rounds is kept."""
        return {
            "title": self.title,
            "unit": self.unit,
            "base": self.base,
            "better": self.better,
            "rounds": self.rounds,
            "rows": [
                {"name": row.name, "values": keep(row.values), "ratio": row.ratio and keep(row.ratio)} for row in self.rows
            ],
            "goals": [
                {**vars(goal), "values": keep(goal.values), "floor": goal.floor and keep(goal.floor)} for goal in self.goals
            ],
            "remarks": self.remarks,
        }

    @classmethod
    def read(cls, key, data):
        """The table that as_json() wrote."""
        table = cls(key, data["title"], data["unit"], data["base"])
        table.better = data["better"]
        table.rows = [Row(**row) for row in data["rows"]]
        table.goals = [Goal(**goal) for goal in data["goals"]]
        table.remarks = list(data["remarks"])
        # Files that do not say it have every round where they have less than condensed() leaves.
        most = max((len(row.values) for row in table.rows), default=0)
        table.rounds = data.get("rounds") or (most if most < CONDENSED else None)
        return table
