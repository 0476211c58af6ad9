"""Text and tables on the screen, at most WIDTH columns wide.

A terminal gets bold heads and a rule. A file, a pipe, NO_COLOR and TERM=dumb get plain text.
"""

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH = 80
LEAST_WIDTH = 60  # a narrower terminal wraps lines
LEAST_NAME = 12  # columns that the names of a table keep; longer names take several lines
WIDEST_HEAD = 20  # columns, the width of "100.0 [100.0, 100.0]"; longer heads take several lines
GAP = 2  # between columns
NO_BREAK = "\u00a0"
FEW_MARK, NOT_BETTER = "*", "="  # behind figures; `printing.print_legend` explains them
MARKS = (FEW_MARK, NOT_BETTER)


class Column(NamedTuple):
    """A column of figures."""

    head: str
    """Lines are separated by a newline."""
    optional: bool = False
    """Left out if the terminal is too narrow for the table."""


class Line(NamedTuple):
    """A line of a table: a name, and a cell for each column."""

    name: str
    cells: Sequence[str]
    faint: bool = False


def is_plain() -> bool:
    return not sys.stdout.isatty() or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def width() -> int:
    """Columns to use: WIDTH, or fewer on a narrow terminal."""
    if not sys.stdout.isatty():
        return WIDTH
    return max(LEAST_WIDTH, min(WIDTH, shutil.get_terminal_size().columns))


def columns_that_fit() -> int:
    """How many columns with intervals a table can have."""
    return (width() - LEAST_NAME) // (WIDEST_HEAD + GAP)


def print_text(text: str = "", style: str = "") -> None:
    """A paragraph; no line ends inside [...] or before %. style: of rich, as in "bold"."""
    joined = re.sub(r"\[[^]]*\]| %", lambda found: found[0].replace(" ", NO_BREAK), text)
    lines = textwrap.wrap(joined, width(), break_on_hyphens=False)
    _show(Text("\n".join(lines).replace(NO_BREAK, " "), style=style))


def print_table(columns: Sequence[Column], sections: Mapping[str, Sequence[Line]]) -> None:
    """One table of several sections, each under its title; "" has none. Optional columns that do not fit are named."""
    lines = [line for section in sections.values() for line in section]
    heads = [[part for words in column.head.split("\n") for part in _fold(words, WIDEST_HEAD)] for column in columns]
    cells = [align([head, [line.cells[i] for line in lines]]) for i, head in enumerate(heads)]
    widths = [len(head[0]) + GAP for head, _ in cells]
    shown = list(range(len(columns)))
    while width() - sum(widths[i] for i in shown) < LEAST_NAME:
        optional = [i for i in shown if columns[i].optional]
        if not optional:
            break
        shown.remove(optional[-1])
    table = _empty_table()
    table.add_column("")
    for i in shown:
        table.add_column("\n".join(cells[i][0]), no_wrap=True, vertical="bottom")
    for_names = max(LEAST_NAME, width() - sum(widths[i] for i in shown))
    number = 0
    for title, section in sections.items():
        if title:
            table.add_row(Text(title, style="bold"))
        for line in section:
            name = _fold(line.name, for_names, "  " if title else "")
            table.add_row(
                Text("\n".join(name)), *(cells[i][1][number] for i in shown), style="dim" if line.faint else ""
            )
            number += 1
    _show(table)
    if len(shown) < len(columns):
        absent = ", ".join(column.head.replace("\n", " ") for i, column in enumerate(columns) if i not in shown)
        print_text(f"Not shown on a terminal this narrow: {absent}.", "dim")


def align(parts: Sequence[Sequence[str]]) -> list[list[str]]:
    """Pad the head and the cells of a column on the left. Beside cells with a mark, the others end with a space."""
    marked = any(cell.endswith(MARKS) for cell in parts[-1])
    parts = [[cell if cell.endswith(MARKS) or not marked else cell + " " for cell in part] for part in parts]
    widest = max(len(cell) for part in parts for cell in part)
    return [[cell.rjust(widest) for cell in part] for part in parts]


def _empty_table() -> Table:
    plain = is_plain()
    return Table(
        box=None if plain else box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, GAP if plain else GAP - 1, 0, 0),  # a box adds one
        header_style="bold",
    )


def _fold(name: str, most: int, indent: str | None = None) -> list[str]:
    """A name in as many lines as it needs; with an indent, further lines have two columns more."""
    further = "" if indent is None else indent + "  "
    lines = textwrap.wrap(name, most, initial_indent=indent or "", subsequent_indent=further, break_on_hyphens=False)
    return lines or [""]


def shorten(text: str, most: int) -> str:
    """A path or name of at most `most` characters, cut in the middle."""
    if len(text) <= most:
        return text
    end = 2 * most // 3
    return f"{text[: most - end - 1]}…{text[-end:]}"


def _show(what: Table | Text) -> None:
    plain = is_plain()
    console = Console(
        width=width(), force_terminal=not plain, no_color=plain, highlight=False, markup=False, emoji=False
    )
    with console.capture() as captured:
        console.print(what)
    print("\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n")))
