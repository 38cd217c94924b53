# SPDX-License-Identifier: Apache-2.0
"""How the tables of a question are put together for readers.

A table's title is "what is measured; how it was placed". Those that differ in their placement only are one panel: its rows are
who was measured, its columns the placements. Rows that differ in one number only ("10 rules", "100 rules") are a
series over that number.
"""

import dataclasses
import re

COST = "the same"  # how the title of a table begins that says what the one before it took of the processor
POINTS = 3  # that a series needs


@dataclasses.dataclass
class Panel:
    """One thing that is measured, in one or several settings. `columns` is setting → table."""

    head: str
    unit: str
    columns: dict

    @property
    def base(self):
        return next(iter(self.columns.values())).base

    @property
    def better(self):
        return next(iter(self.columns.values())).better

    @property
    def rounds(self):
        """How many rounds each figure is of, or None where that is not known."""
        counts = [table.rounds for table in self.columns.values()]
        return None if None in counts else min(counts)

    def names(self):
        """Who was measured, in the order of the tables."""
        return list(dict.fromkeys(row.name for table in self.columns.values() for row in table.rows))

    def row(self, setting, name):
        """The row of that name, or None where it was not measured in this setting."""
        return next((row for row in self.columns[setting].rows if row.name == name), None)

    def is_cost(self):
        return self.head.startswith(COST)


def panels(tables):
    """The panels of a question, in the order of their first tables. Tables without rows have none."""
    found = {}
    for table in tables:
        head, _, setting = table.title.partition("; ")
        if table.rows:
            found.setdefault((head, table.unit), Panel(head, table.unit, {})).columns[setting] = table
    return list(found.values())


def series(names):
    """Names as series: text with "N" for the number → [(number, name)], or None where they are none."""
    found = {}
    for name in names:
        numbers = list(re.finditer(r"(?<![\w.])\d+(?![\w.])", name))
        if len(numbers) != 1:
            return None
        text = name[: numbers[0].start()] + "N" + name[numbers[0].end() :]
        found.setdefault(text, []).append((int(numbers[0].group()), name))
    if not found or any(len(points) < POINTS for points in found.values()):
        return None
    return {text: sorted(points) for text, points in found.items()}
