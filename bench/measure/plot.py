# SPDX-License-Identifier: Apache-2.0
"""A plot a question, by matplotlib: bars with quartiles, or lines where names are a series over a number.

What an SVG file says depends on the result only: no date of its own, no random names. Its text is text.
"""

import io

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot  # noqa: E402

from . import svg  # noqa: E402
from .figures import number, quartiles  # noqa: E402
from .panels import panels, series  # noqa: E402
from .results import path_of  # noqa: E402

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999", "#f0e442")  # Okabe and Ito's, for all eyes
COLUMNS = 2
WIDTH = 6.4  # inches, of a panel
BAR = 0.2  # inches
FRAME = 1.25  # inches around the bars: title, axis, legend
STEEP = 50  # times, from which on an axis is logarithmic
LINES = 2.4  # inches, of a panel of lines
NAME_WIDTH = 40  # characters, after which a name is broken
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "netbroker",
    "font.size": 8,
    "font.sans-serif": ["DejaVu Sans"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "legend.fontsize": 7,
    "errorbar.capsize": 2,
}


def write(folder, result):
    """Writes the plot of a result beside it. Returns its path, or None where there is nothing to plot."""
    shown = [panel for panel in panels(result.tables) if not panel.is_cost()]
    if not shown:
        return None
    path = path_of(folder, result.name, "svg")
    with matplotlib.rc_context(STYLE), open(path, "w", encoding="utf-8") as file:
        file.write(svg.compact(_draw(shown), f"({result.part}) {result.question}", result.stamp()))
    return path


def _draw(shown):
    columns = min(COLUMNS, len(shown))
    rows = [shown[at : at + columns] for at in range(0, len(shown), columns)]
    heights = [max(_height(panel) for panel in row) for row in rows]
    figure, axes = pyplot.subplots(
        len(rows), columns, squeeze=False, figsize=(WIDTH * columns, sum(heights)), height_ratios=heights, layout="constrained"
    )
    for row, line in zip(rows, axes):
        for panel, place in zip(row, line):
            _panel(place, panel)
        for place in line[len(row) :]:
            place.set_axis_off()
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    return drawn.getvalue()


def _height(panel):
    names = panel.names()
    if series(names):
        return LINES
    return FRAME + BAR * len(panel.columns) * len(names)


def _panel(place, panel):
    found = series(panel.names())
    if found:
        _lines(place, panel, found)
    else:
        _bars(place, panel)
    place.set_title(_broken(panel.head, 80), loc="left")
    if len(panel.columns) > 1 or found:
        place.legend(loc="upper center", bbox_to_anchor=(0.4, -0.28 if found else -0.4 / _height(panel)), ncol=2)


def _bars(place, panel):
    names = panel.names()
    thick = 0.8 / len(panel.columns)
    for index, setting in enumerate(panel.columns):
        rows = [(at, panel.row(setting, name)) for at, name in enumerate(names)]
        there = [(at + thick * index, quartiles(row.values)) for at, row in rows if row]
        middles = [middle for _, (_, middle, _) in there]
        spread = [[middle - q1 for _, (q1, middle, _) in there], [q3 - middle for _, (_, middle, q3) in there]]
        heights = [at for at, _ in there]
        place.barh(heights, middles, 0.9 * thick, color=COLOURS[index % len(COLOURS)], label=_broken(setting, 60))
        place.errorbar(middles, heights, xerr=spread, fmt="none", ecolor="#000000", elinewidth=0.8)
        for height, (_, middle, q3) in there:
            place.annotate(number(middle), (q3, height), (4, 0), textcoords="offset points", va="center", fontsize=7)
    place.set_yticks([at + thick * (len(panel.columns) - 1) / 2 for at in range(len(names))], [_broken(name, NAME_WIDTH) for name in names])
    place.invert_yaxis()
    place.margins(x=0.12)
    place.set_xlim(left=0)
    place.set_xlabel(f"{panel.unit} ({panel.better})")


def _lines(place, panel, found):
    index = 0
    for setting in panel.columns:
        for text, points in found.items():
            rows = [(at, panel.row(setting, name)) for at, name in points]
            there = [(at, quartiles(row.values)) for at, row in rows if row]
            middles = [middle for _, (_, middle, _) in there]
            spread = [[middle - q1 for _, (q1, middle, _) in there], [q3 - middle for _, (_, middle, q3) in there]]
            label = f"{text}; {setting}" if setting and len(panel.columns) > 1 else text
            place.errorbar(
                [at for at, _ in there], middles, yerr=spread, marker="o", markersize=3, linewidth=1,
                color=COLOURS[index % len(COLOURS)], label=_broken(label, 60),
            )
            index += 1
    place.set_xscale("log")
    numbers = sorted({at for points in found.values() for at, _ in points})
    place.set_xticks(numbers, [f"{at:,}" for at in numbers])
    medians = [quartiles(row.values)[1] for table in panel.columns.values() for row in table.rows]
    if min(medians) > 0 and max(medians) > STEEP * min(medians):
        place.set_yscale("log")
        place.yaxis.set_major_formatter(lambda value, _: number(value))
    else:
        place.set_ylim(bottom=0)
    place.minorticks_off()
    place.set_xlabel(_counted(found))
    place.set_ylabel(f"{panel.unit} ({panel.better})")


def _counted(found):
    """What the numbers of a series count: the words behind "N" where they are the same for all."""
    words = {text.rpartition("N ")[2] for text in found}
    return f"N: {words.pop()}" if len(words) == 1 else "N"


def _broken(text, width):
    """Text in lines of at most `width` characters where it has spaces."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
