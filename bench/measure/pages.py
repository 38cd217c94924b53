# SPDX-License-Identifier: Apache-2.0
"""The pages and plots that are made of the figures: made, and checked to be what the figures say."""

import os
import sys

from . import report
from .results import load_all, path_of

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RESULTS = os.path.join(SOURCE, "bench", "results")
EXPLANATION = os.path.join(SOURCE, "docs", "performance.md")


def _pages(folder):
    """path → text of each page that is made of the figures in a folder, and what is wrong with them.

    docs/performance.md belongs to the figures of the source tree.
    """
    found = load_all(folder)
    made = {os.path.join(folder, report.PAGE): report.page(found)}
    if os.path.realpath(folder) != os.path.realpath(RESULTS):
        return made, []
    made[EXPLANATION], wrong = report.fill(_text(EXPLANATION), found)
    return made, [f"{os.path.relpath(EXPLANATION)}: {each}" for each in wrong]


def _text(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write(folder):
    """Makes pages and plots. Returns whether all could be made."""
    made, wrong = _pages(folder)
    os.makedirs(folder, exist_ok=True)
    for path, text in made.items():
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        print(f"page: {path}")
    try:
        from . import plot  # pylint: disable=import-outside-toplevel # lint has no use for what it needs
    except ImportError as error:
        wrong.append(f"no plots: {error}; install python3-matplotlib and run ./dev bench --report")
    else:
        for result in load_all(folder):
            print(f"plot: {plot.write(folder, result)}")
    for each in wrong:
        print(f"bench: {each}", file=sys.stderr)
    return not wrong


def check(folder):
    """Says which page or plot is not what the figures say. Returns whether all are."""
    made, wrong = _pages(folder)
    wrong += [f"{os.path.relpath(path)}: not what the figures say" for path, text in made.items() if _text(path) != text]
    for result in load_all(folder):
        plot = path_of(folder, result.name, "svg")
        if result.stamp() not in _text(plot):
            wrong.append(f"{os.path.relpath(plot)}: not a plot of {result.name}.json")
    for each in wrong:
        print(f"{each}; run ./dev bench --report")
    return not wrong
