# SPDX-License-Identifier: Apache-2.0
"""What is read of the results: the page of all tables, and the blocks in docs/performance.md.

Both are made of the files of results alone, so that they can be made again, and so that ./dev lint can say whether they
are what the results say. A block stands between <!-- figures: NAME --> and <!-- end of figures: NAME -->.
"""

import re

from . import model
from .figures import number, quartiles, spread
from .panels import panels

PAGE = "README.md"
SUMMARY = "all"  # the block of all goals
MODEL = "model"  # the block of what the figures add up to
BLOCK = re.compile(r"(?P<head><!-- figures: (?P<name>[a-z_]+) -->\n).*?(?P<foot><!-- end of figures: (?P=name) -->)", re.DOTALL)
NOTICE = "Made by `./dev bench --report` of the JSON beside it: do not edit."
OURS = ("netbrokerd",)  # the commit says more
MACHINE = ("cpu", "cores", "kernel", "compiler", "descriptors")


def page(results):
    """The Markdown of the results' folder."""
    parts = ["# Figures", f"<!-- SPDX-License-Identifier: Apache-2.0 -->\n{NOTICE}", _head(results), goals(results)]
    parts += [_question(result) for result in results]
    return "\n\n".join(parts) + "\n"


def fill(text, results):
    """A text with its blocks made anew. Returns it, and what is wrong with its blocks, a line each."""
    by_name = {result.name: result for result in results}
    seen = set()

    def block(match):
        name = match["name"]
        seen.add(name)
        content = _block(name, by_name, results)
        return match["head"] + content + "\n" + match["foot"]

    text = BLOCK.sub(block, text)
    wrong = [f"there is no block for {name}" for name in (SUMMARY, MODEL, *by_name) if name not in seen]
    wrong += [f"a block is not closed, or stands twice: {name}" for name in _torn(text)]
    return text, wrong


def _torn(text):
    """Names of markers that do not stand in the text as one pair."""
    names = re.findall(r"<!-- (?:end of )?figures: ([a-z_]+) -->", text)
    whole = [match["name"] for match in BLOCK.finditer(text)]
    return sorted({name for name in names if names.count(name) != 2 or whole.count(name) != 1})


def _block(name, by_name, results):
    if name == SUMMARY:
        return _head(results) + "\n\n" + goals(results)
    if name == MODEL:
        return model.text(results)
    if name not in by_name:
        return "Not measured yet."
    result = by_name[name]
    lines = [f"![{result.question}](../bench/results/{name}.svg)", "", _when(result)]
    if result.goals():
        lines += ["", goals([result])]
    return "\n".join(lines)


# ---- pieces ----


def _table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _head(results):
    """What all was measured with, where that is the same for all; each question says the rest."""
    if not results:
        return "Nothing is measured yet."
    rows = []
    for key in MACHINE:
        values = list(dict.fromkeys(str(result.context.get(key)) for result in results))
        rows.append([key, "; ".join(values)])
    rows += [[name, "; ".join(values)] for name, values in _versions(results)]
    dates = sorted(result.date for result in results)
    rows.append(["measured", _day(dates[0]) if _day(dates[0]) == _day(dates[-1]) else f"{_day(dates[0])} to {_day(dates[-1])}"])
    return _table(["", ""], rows)


def _versions(results):
    """(name, versions) of all that was measured: more than one where questions were measured with different ones."""
    found = {}
    for result in results:
        for name, version in result.context.get("versions", {}).items():
            found.setdefault(name, []).append(str(version))
    commits = found.pop("commit", None)
    if commits:
        yield "commit", list(dict.fromkeys(commits))
    if found:
        yield "beside", [_with_name(name, _or(versions)) for name, versions in sorted(found.items()) if name not in OURS]


def _with_name(name, version):
    """Some programs say their name with their version."""
    return version if version.lower().startswith(name.lower()) else f"{name} {version}"


def _or(versions):
    return " or ".join(dict.fromkeys(versions))


def _day(date):
    return date[:16].replace("T", " ") + " UTC"


def _when(result):
    context = result.context
    quick = " Few rounds: this shows that it works, not how well." if context.get("quick") else ""
    return (
        f"Measured {_day(result.date)} in {result.seconds:.0f} s, {_rounds(result)}; "
        f"load {context['load']} before, {context['load_after']} after.{quick}"
    )


def _rounds(result):
    """How many rounds the figures of a question are of: some parts make fewer than they are told."""
    counts = {table.rounds for table in result.tables if table.rows}
    if None in counts or not counts:
        return f"at most {result.context['rounds']} rounds"
    least, most = min(counts), max(counts)
    return f"{least} to {most} rounds" if least < most else f"{most} round{'s' * (most > 1)}"


def goals(results):
    """Every goal with what was measured."""
    rows = []
    for result in results:
        for table, goal in result.goals():
            rows.append([f"({result.part}) {table.title}", goal.name, goal.bound_text(), spread(goal.values), goal.verdict()])
    met = sum(goal.met() for result in results for _, goal in result.goals())
    return _table(["what", "goal", "bound", "measured", ""], rows) + f"\n\n{met} of {len(rows)} goals are met."


def _question(result):
    lines = [f"## ({result.part}) {result.question}", _when(result), f"![{result.question}]({result.name}.svg)"]
    lines += [_panel(panel) for panel in panels(result.tables)]
    remarks = list(dict.fromkeys(_remark(table, remark) for table in result.tables for remark in table.remarks))
    if remarks:
        lines.append("\n".join(f"- {remark}" for remark in remarks))
    return "\n\n".join(lines)


def _remark(table, text):
    setting = table.title.partition("; ")[2]
    return f"{setting}: {text}" if setting else text


def _panel(panel):
    """A panel as a table. A figure stands with its quartiles, and with its ratio to the base line."""
    settings = list(panel.columns)
    rows = [[name, *(_cell(panel.row(setting, name)) for setting in settings)] for name in panel.names()]
    notes = [panel.unit] if panel.unit else []
    notes.append("median [quartiles]" + (f" of {panel.rounds} rounds" if panel.rounds and panel.rounds > 1 else ""))
    if panel.base:
        notes.append(f"times {panel.base}")
    return f"**{panel.head}** ({', '.join(notes)}; {panel.better})\n\n" + _table(["", *settings], rows)


def _cell(row):
    if not row:
        return ""
    ratio = f", {number(quartiles(row.ratio)[1])} times" if row.ratio else ""
    return spread(row.values) + ratio
