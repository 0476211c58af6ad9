"""Read tables of images and captions (CSV, TSV, JSONL, Parquet), each row as a dict.

A table must have the columns image and caption. Case, spaces and a byte order mark in the names of our columns do not
matter. For a row that cannot be read, a `BrokenRow` is yielded in its place.
"""

import csv
import difflib
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from sources.files import PICTURE_ENDINGS, named, not_utf8, open_utf8, parse_json, read_lines

PAIR_COLUMNS = ("image", "caption", "label", "split")  # the columns of a table of pairs that are read
NEARLY = 0.75  # of the letters of two names agree: "lable" is nearly "label"
PARQUET_ERRORS = (OSError, ValueError, OverflowError, pa.ArrowException)


class BrokenRow(str):
    """What is wrong with a row of a table."""

    fields: dict[str, Any]
    """What could be read of the row, by column."""

    def __new__(cls, reason: str, fields: Mapping[str, Any] | None = None) -> "BrokenRow":
        row = super().__new__(cls, reason)
        row.fields = dict(fields or {})
        return row


Rows = Iterator[tuple[str, dict[str, Any] | BrokenRow]]
"""(place, row), or (place, what is wrong with the row)."""


def read_table(
    file: Path,
    ending: str | None = None,
    wanted: Sequence[str] | None = PAIR_COLUMNS,
    aliases: Mapping[str, str] | None = None,
    tell: Callable[[str], object] = lambda message: None,
) -> Rows:
    """Yield (place, row) of a CSV, TSV, JSONL or Parquet file; for a bad row (place, what is wrong with it).

    ending: the format, for example ".csv", if the file name has another ending.
    wanted: the columns to read from a Parquet file, None for all. The other formats give all their columns. With None,
    all columns have the names of the file; use `our_columns`.
    aliases: other names of our columns. tell: is called with a message about each column that is nearly one of ours.
    Raises ValueError if the column image or caption is missing, or if the format is not known.
    """
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}")
    ending = ending or file.suffix.lower()
    if ending not in FORMATS:
        raise ValueError(f"{file}: a table of pairs must be a .csv, .tsv, .jsonl or .parquet file")
    yield from FORMATS[ending](file, Names(file, wanted or PAIR_COLUMNS, aliases or {}, wanted is None, tell))


def our_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `read_table` with wanted=None, whose columns of PAIR_COLUMNS have our names."""
    return {our_name(name, PAIR_COLUMNS): value for name, value in row.items()}


def our_name(name: str, ours: Iterable[str]) -> str:
    """The column that a name means: one of ours whatever its case, spaces and byte order mark, or the name itself."""
    bare = name.strip("\ufeff \t\r\n\xa0")
    return bare.casefold() if bare.casefold() in ours else bare


@dataclass
class Names:
    """Which columns of a table are ours."""

    file: Path
    wanted: Sequence[str]
    aliases: Mapping[str, str] = field(default_factory=dict)
    as_spelled: bool = False
    """Rows keep the names of the file."""
    tell: Callable[[str], object] = lambda message: None

    def ours(self, name: str) -> str:
        found = our_name(name, (*self.wanted, *self.aliases))
        return self.aliases.get(found, found)

    def check(self, columns: Sequence[str], hint: str = "") -> list[str]:
        """The names that the rows have, for the columns of a file. ValueError if image or caption is missing.

        hint: the end of that message.
        """
        ours = [self.ours(name) for name in columns]
        near = list(self._nearly(ours))
        if absent := {"image", "caption"} - set(ours):
            found = f"its columns are: {named(columns)}" if columns else "it is empty"
            guess = "".join(f"; rename {theirs!r} to {name!r}" for theirs, name in near if name in absent)
            missing = " and no column ".join(sorted(absent))
            raise ValueError(f"{self.file} has no column {missing}; {found}{hint}{guess}")
        if twice := [name for name in dict.fromkeys(ours) if ours.count(name) > 1]:
            raise ValueError(f"{self.file} has more than one column {twice[0]!r}; rename one")
        for theirs, name in near:
            self.tell(
                f"{self.file.name}: the column {theirs[:40]!r} is not read; if it is meant as {name!r}, rename it"
            )
        return [name.strip() for name in columns] if self.as_spelled else ours

    def _nearly(self, ours: Sequence[str]) -> Iterator[tuple[str, str]]:
        """(column, ours) of the columns that are only nearly one of ours, which the table lacks."""
        absent = [name for name in self.wanted if name not in ours]
        for name in ours:
            if name not in self.wanted and (near := difflib.get_close_matches(name.casefold(), absent, 1, NEARLY)):
                yield name, near[0]


# Separated values


def read_csv(file: Path, names: Names) -> Rows:
    """Comma-separated values; the place of a row is its first line."""
    return _read_separated(file, names, ",")


def read_tsv(file: Path, names: Names) -> Rows:
    """Tab-separated values; the place of a row is its first line."""
    return _read_separated(file, names, "\t")


def _read_separated(file: Path, names: Names, delimiter: str) -> Rows:
    with io.TextIOWrapper(open_utf8(file), encoding="utf-8", errors="surrogateescape", newline="") as stream:
        lines = _Lines(stream)
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
        try:
            first = next(reader, [])
        except csv.Error as error:
            raise ValueError(f"{file} is not a table: {error}") from None
        if re.match(r"\ufeff?\"?sep=", "".join(lines.of_record), re.IGNORECASE):
            line = lines.of_record[0].strip()
            raise ValueError(f"{file} begins with the line {line!r}, which only Excel reads; delete this line")
        columns = names.check(_without_empty_end(first), _other_separator(first, delimiter))
        for start, fields in _records(reader, lines):
            problem = fields if isinstance(fields, str) else _open_quote(fields, lines, columns, names, delimiter)
            if problem is None:
                yield str(start), _row(list(fields), columns, delimiter)
                continue
            end = start + len(lines.of_record) - 1
            if end > start:
                problem = f"a quotation mark joins the lines {start} to {end}"
            if lines.ended:
                problem = f"a quotation mark that opens in line {start} is not closed"
            for number, line in enumerate(lines.of_record, start=start):
                if line.strip():
                    yield str(number), BrokenRow(problem, _raw_fields(line, columns, delimiter))


class _Lines:
    """The lines of a file, for csv.reader."""

    def __init__(self, lines: Iterator[str]):
        self.lines = lines
        self.of_record: list[str] = []
        """The lines of the record that is being read; they have at most the field limit of csv, 131,072 characters."""
        self.ended = False
        """The file ended inside a record: csv.reader asks for another line only if a quotation mark is open."""

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        try:
            self.of_record.append(next(self.lines))
        except StopIteration:
            self.ended = bool(self.of_record)
            raise
        return self.of_record[-1]


def _records(reader: Any, lines: _Lines) -> Iterator[tuple[int, list[str] | str]]:
    """(first line, fields) of each record that is not blank; for a bad record its error instead of fields."""
    while True:
        start = reader.line_num + 1
        lines.of_record.clear()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield start, str(error)
            continue
        if any(map(str.strip, fields)):
            yield start, fields


def _open_quote(
    fields: Sequence[str], lines: _Lines, columns: Sequence[str], names: Names, delimiter: str
) -> str | None:
    """Why the lines of a record are not one row, or None: a quotation mark was opened and not closed in its line.

    It joins rows if the file ends before it is closed, if text follows the closing mark (which was the opening one of a
    later row), or if lines of the field look like rows.
    """
    if lines.ended:
        return "open"
    several = [place for place, value in enumerate(fields) if "\n" in value or "\r" in value]
    if len(lines.of_record) < 2 or not several:
        return None
    # Most TSV files do not use quoting: a quote at the start of a caption is part of the caption.
    if delimiter == "\t" and any("\t" in fields[place] for place in several):
        return "joins"
    whole = re.sub(rf'" +(?={delimiter}|[\r\n]|$)', '"', "".join(lines.of_record))
    try:
        list(csv.reader(io.StringIO(whole, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error:
        return "joins"
    ours = [names.ours(name) for name in columns]
    image = ours.index("image")
    inside = lines.of_record[1:] if image < several[0] else lines.of_record[:-1]
    return "joins" if any(_is_row(line, len(columns), image, delimiter) for line in inside) else None


def _is_row(line: str, columns: int, image: int, delimiter: str) -> bool:
    """Whether a line alone looks like a row: as many fields as there are columns, and the image is a picture file."""
    fields = line.rstrip("\r\n").split(delimiter)
    return len(fields) == columns and Path(fields[image].strip(' "')).suffix.lower() in PICTURE_ENDINGS


def _row(fields: list[str], columns: Sequence[str], delimiter: str) -> dict[str, Any] | BrokenRow:
    if len(fields) > len(columns):
        fields = [*fields[: len(columns)], *_without_empty_end(fields[len(columns) :])]
    if not all(map(str.isascii, fields)) and any("\udc80" <= c <= "\udcff" for value in fields for c in value):
        readable = [value.encode(errors="surrogateescape").decode(errors="backslashreplace") for value in fields]
        return BrokenRow("not UTF-8", _by_column(readable, columns, delimiter))
    if len(fields) > len(columns):
        return BrokenRow("more fields than columns", _by_column(fields, columns, delimiter))
    return dict(zip(columns, fields))


def _raw_fields(line: str, columns: Sequence[str], delimiter: str) -> dict[str, Any]:
    """The fields of a line that is not a row, as far as they can be read."""
    try:
        fields = next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return {}
    row = _row(fields, columns, delimiter)
    return row.fields if isinstance(row, BrokenRow) else row


def _by_column(fields: Sequence[str], columns: Sequence[str], delimiter: str) -> dict[str, Any]:
    """Fields by column; the last column gets all that are too many."""
    last = len(columns) - 1
    return dict(zip(columns, [*fields[:last], delimiter.join(fields[last:])] if len(fields) > last else fields))


def _without_empty_end(fields: Sequence[str]) -> Sequence[str]:
    """Fields without the empty ones at the end, which Excel writes for columns that once had content."""
    used = len(fields)
    while used and not fields[used - 1].strip():
        used -= 1
    return fields[:used]


def _other_separator(columns: Sequence[str], delimiter: str) -> str:
    """The end of a message about missing columns, if the header has another separator."""
    kinds = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}
    for other, kind in kinds.items():
        if other != delimiter and len(columns) == 1 and other in columns[0]:
            file = " or name it .tsv" if other == "\t" else " or name it .csv" if other == "," else ""
            return f"; they are separated by {kind}: separate them by {kinds[delimiter]}{file}"
    return ""


# JSON Lines and Parquet


def read_jsonl(file: Path, names: Names) -> Rows:
    """One JSON object per line; the place of a row is its line. The columns are checked at the end of the file."""
    columns: dict[str, None] = {}  # a few for the message, and all of ours
    lines = 0
    for number, line in read_lines(file):
        lines += 1
        if lines == 1 and re.match(rb"\s*\[\s*(\{|$)", line):
            raise ValueError(
                f"{file} is a JSON array, and a .jsonl file has one object a line; convert it: "
                f"jq -c '.[]' {file} > {file.with_suffix('.lines.jsonl')}"
            )
        try:
            record = parse_json(line)
        except UnicodeDecodeError as error:
            yield str(number), BrokenRow(not_utf8(line, error))
            continue
        except ValueError as error:
            yield str(number), BrokenRow(f"not JSON: {error}")
            continue
        if not isinstance(record, dict):
            yield str(number), BrokenRow("not a JSON object")
            continue
        known = {name: names.ours(name) for name in record}
        ours = [name for name in known.values() if name in names.wanted]
        columns |= dict.fromkeys((*itertools.islice(known.values(), 20 if len(columns) < 1000 else 0), *ours))
        if len(set(ours)) < len(ours):
            twice = next(name for name in ours if ours.count(name) > 1)
            yield str(number), BrokenRow(f"more than one key is {twice!r}", record)
        elif names.as_spelled or all(name == own for name, own in known.items()):
            yield str(number), record
        else:
            yield str(number), {known[name]: value for name, value in record.items()}
    if lines and not columns:
        raise ValueError(f"{file} has no column caption and no column image; none of its {lines:,} lines has a key")
    names.check(list(columns))


def read_parquet(file: Path, names: Names) -> Rows:
    """A Parquet file; the place of a row is its number in brackets, from 0."""
    table = open_parquet(file)
    own = list(table.schema_arrow.names)
    names_of_rows = dict(zip(own, names.check(own)))
    columns = [name for name in own if names.as_spelled or names.ours(name) in names.wanted]
    numbers = itertools.count()
    for batch in parquet_batches(file, table, columns, 1024):
        try:
            rows = batch.to_pylist()
        except PARQUET_ERRORS as error:  # text that is not UTF-8, a date that Python does not know
            raise damaged(file, error) from None
        for row in rows:
            yield f"[{next(numbers)}]", {names_of_rows[name]: value for name, value in row.items()}


def open_parquet(file: Path) -> pyarrow.parquet.ParquetFile:
    """ValueError with the file's name if it is not a Parquet file."""
    try:
        return pyarrow.parquet.ParquetFile(file)
    except PARQUET_ERRORS as error:
        raise ValueError(f"{file} is not a Parquet file: {_in_one_line(error)}") from None


def parquet_batches(
    file: Path, table: pyarrow.parquet.ParquetFile, columns: Sequence[str], rows: int
) -> Iterator[pa.RecordBatch]:
    """Some columns of a Parquet file, at most `rows` rows at a time. ValueError with the file's name if it is damaged.

    The values stay as they are: Python does not know some of Arrow's dates and times.
    """
    batches = table.iter_batches(batch_size=rows, columns=list(columns))
    while True:
        try:
            yield next(batches)
        except StopIteration:
            return
        except PARQUET_ERRORS as error:  # a block that cannot be decompressed
            raise damaged(file, error) from None


def damaged(file: Path, error: Exception) -> ValueError:
    return ValueError(f"{file} is damaged: {_in_one_line(error)}")


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


FORMATS: dict[str, Callable[[Path, Names], Rows]] = {
    **{".csv": read_csv, ".tsv": read_tsv},
    **{".jsonl": read_jsonl, ".ndjson": read_jsonl},
    ".parquet": read_parquet,
}
