"""Read tables of images and captions (CSV, TSV, JSONL, Parquet), each row as a dict.

A table must have the columns image and caption. For a row that cannot be read, a message is yielded in its place.
"""

import csv
import itertools
from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from sources.files import parse_json, read_lines

PAIR_COLUMNS = ("image", "caption", "label", "split")  # the columns of a table of pairs that are read

Rows = Iterator[tuple[str, dict[str, Any] | str]]
"""(place, row), or (place, what is wrong with the row)."""


def read_table(file: Path, ending: str | None = None, wanted: Container[str] | None = PAIR_COLUMNS) -> Rows:
    """Yield (place, row) of a CSV, TSV, JSONL or Parquet file; for a bad row (place, what is wrong with it).

    ending: the format, for example ".csv", if the file name has another ending.
    wanted: the columns to read from a Parquet file, None for all. The other formats give all their columns.
    Raises ValueError if the column image or caption is missing, or if the format is not known.
    """
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}")
    ending = ending or file.suffix.lower()
    if ending not in FORMATS:
        raise ValueError(f"{file}: a table of pairs must be a .csv, .tsv, .jsonl or .parquet file")
    yield from FORMATS[ending](file, wanted)


def read_csv(file: Path, wanted: Container[str] | None = None) -> Rows:
    """Comma-separated values; the place of a row is its first line."""
    return _read_separated(file, ",")


def read_tsv(file: Path, wanted: Container[str] | None = None) -> Rows:
    """Tab-separated values; the place of a row is its first line."""
    return _read_separated(file, "\t")


def _read_separated(file: Path, delimiter: str) -> Rows:
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
        try:
            columns = [name.strip() for name in next(reader, ())]
        except csv.Error as error:
            raise ValueError(f"{file} is not a table: {error}") from None
        _require_columns(file, columns)
        for start, end, fields in _records(reader):
            if isinstance(fields, str):
                yield str(start), fields
                continue
            # Most TSV files do not use quoting: a quote at the start of a caption is part of the caption.
            if delimiter == "\t" and any("\n" in field and "\t" in field for field in fields):
                problem = f"a quotation mark joins the lines {start} to {end}"
                yield from ((str(number), problem) for number in range(start, end + 1))
                continue
            yield str(start), _row(fields, columns)


def _records(reader: Any) -> Iterator[tuple[int, int, list[str] | str]]:
    """(first line, last line, fields) of each record of a csv.reader; for a bad record its error instead of fields."""
    while True:
        start = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield start, reader.line_num, str(error)
            continue
        if fields:
            yield start, reader.line_num, fields


def _row(fields: Sequence[str], columns: Sequence[str]) -> dict[str, Any] | str:
    if any("\udc80" <= c <= "\udcff" for value in fields for c in value):
        return "not UTF-8"
    return "more fields than columns" if len(fields) > len(columns) else dict(zip(columns, fields))


def read_jsonl(file: Path, wanted: Container[str] | None = None) -> Rows:
    """One JSON object per line; the place of a row is its line. The columns are checked at the end of the file."""
    columns: list[str] = []
    for number, line in read_lines(file):
        try:
            record = parse_json(line)
        except ValueError as error:
            yield str(number), f"not JSON: {error}"
            continue
        if isinstance(record, dict):
            columns = list(dict.fromkeys((*columns, *list(record)[:20])))
        yield str(number), record if isinstance(record, dict) else "not a JSON object"
    _require_columns(file, columns)


def read_parquet(file: Path, wanted: Container[str] | None = None) -> Rows:
    """A Parquet file; the place of a row is its number in brackets, from 0."""
    try:
        table = pyarrow.parquet.ParquetFile(file)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{file} is not a Parquet file: {error}") from None
    _require_columns(file, table.schema_arrow.names)
    names = [name for name in table.schema_arrow.names if wanted is None or name in wanted]
    batches = table.iter_batches(batch_size=1024, columns=names)
    numbers = itertools.count()
    while True:
        try:
            rows = next(batches).to_pylist()
        except StopIteration:
            return
        except (OSError, ValueError) as error:  # a block that cannot be decompressed; text that is not UTF-8
            raise ValueError(f"{file} is damaged: {error}") from None
        for row in rows:
            yield f"[{next(numbers)}]", row


FORMATS: dict[str, Callable[[Path, Container[str] | None], Rows]] = {
    **{".csv": read_csv, ".tsv": read_tsv},
    **{".jsonl": read_jsonl, ".ndjson": read_jsonl},
    ".parquet": read_parquet,
}


def _require_columns(file: Path, columns: Sequence[str]) -> None:
    if absent := {"image", "caption"} - set(columns):
        found = f"its columns are: {', '.join(columns)}" if columns else "it is empty"
        raise ValueError(f"{file} has no column {' and no column '.join(sorted(absent))}; {found}")
    if twice := [name for name in dict.fromkeys(columns) if columns.count(name) > 1]:
        raise ValueError(f"{file} has more than one column {twice[0]!r}; rename one")
