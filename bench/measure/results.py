# SPDX-License-Identifier: Apache-2.0
"""The folder of results: a file for each question, so that one that is measured anew replaces its own and no other.

A file says when, where, beside what load and with which versions its question was measured. Of each figure it has least, quartiles and most; every
round is in the build folder's bench/rounds.
"""

import dataclasses
import glob
import hashlib
import json
import os

from .figures import Table, condensed, rounded

FORMAT = 1
FACTS = ("part", "name", "question", "date", "seconds", "context")


class ResultsError(Exception):
    """A file of results cannot be read; the message says why."""


@dataclasses.dataclass
class Result:
    """One question, answered. `context` is what was measured with: machine, load, versions, rounds."""

    part: str
    name: str
    question: str
    date: str
    seconds: float
    context: dict
    tables: list

    def goals(self):
        """(table, goal) for each goal."""
        return [(table, goal) for table in self.tables for goal in table.goals]

    def stamp(self):
        """What says of a plot that it is this result's: the file's name and the beginning of its SHA-256."""
        return f"{self.name}.json {hashlib.sha256(_document(self).encode()).hexdigest()[:16]}"


def question_of(function):
    """(part, name, question) of a part's function: its docstring begins with "(x) what is asked."."""
    line = function.__doc__.splitlines()[0]
    part, _, question = line.partition(") ")
    return part.lstrip("("), function.__name__, question.rstrip(".")


def path_of(folder, name, kind="json"):
    return os.path.join(folder, f"{name}.{kind}")


def save(folder, result, every_round=False):
    """Writes a result where one of the same name was before, with every round or what is kept of them. Returns its path."""
    path = path_of(folder, result.name)
    os.makedirs(folder, exist_ok=True)
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(_document(result, rounded if every_round else condensed))
    os.replace(path + ".new", path)
    return path


def load(path):
    """The result in a file."""
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        if data["format"] != FORMAT:
            raise ResultsError(f"{path}: format {data['format']} is not {FORMAT}: measure it again with ./dev bench")
        tables = [Table.read(data["part"], table) for table in data["tables"]]
        return Result(
            *(data[key] for key in FACTS), tables
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultsError(f"{path}: {type(error).__name__}: {error}") from error


def load_all(folder):
    """All results of a folder, in the order of their parts."""
    found = [load(path) for path in glob.glob(path_of(folder, "*"))]
    return sorted(found, key=lambda result: (result.part, result.name))


def _document(result, keep=condensed):
    """The file of a result."""
    data = {
        "format": FORMAT,
        **{key: getattr(result, key) for key in FACTS},
        "tables": [table.as_json(keep) for table in result.tables],
    }
    return _text(data) + "\n"


def _text(value, margin=""):
    """JSON with a line for each member and each list of numbers, so that a difference can be read."""
    inner = margin + " "
    if isinstance(value, dict) and value:
        lines = [f"{inner}{json.dumps(key)}: {_text(each, inner)}" for key, each in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{margin}}}"
    if isinstance(value, list) and any(isinstance(each, (dict, list, str)) for each in value):
        return "[\n" + ",\n".join(inner + _text(each, inner) for each in value) + f"\n{margin}]"
    if isinstance(value, list):
        return "[" + ",".join(_text(each) for each in value) + "]"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)
