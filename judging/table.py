"""Score a whole data set: read a table of pairs, write the same table with scores, in bounded memory.

The table is cut into parts of ROWS rows. Each part is a job: it encodes each of its pictures once, unless the cache has
it from an earlier part, and writes its rows to its own file, atomically. So the same command resumes after a kill, and
many machines can share the parts. At the end the parts are joined in their order.
"""

import contextlib
import functools
import hashlib
import itertools
import json
import math
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from common.command_line import counted
from common.jobs import progress, run_on_ray
from common.metrics import Floats
from common.storage import csv_writer, write_atomically, write_json
from Config import require
from evaluation import scoring
from judging.doubt import content_words
from judging.inputs import why_unreadable
from judging.judge import Judge, name_model
from judging.picture_cache import PictureCache
from sources.files import find_below
from sources.pairs import path_below
from sources.tables import (
    PARQUET_ERRORS,
    BrokenRow,
    damaged,
    open_parquet,
    our_columns,
    our_name,
    parquet_batches,
    read_table,
)
from Tokenizer_lib import split_words

ROWS = 2048  # of a part. With 5 captions a picture, ResNet-50 on one core takes 30 s for a part: what a kill can lose
ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
FORMAT = 3  # of the parts
LONGEST = 65_536  # bytes of a text; words are kept in memory for the next text that has them
DIGITS = 6  # of scores and probabilities, in every format; float32 holds 7
RESULTS = {  # the added columns
    "score": pa.float64(),
    "probability": pa.float64(),  # of a match, if true and false texts are equally frequent
    "match": pa.bool_(),  # the score is at least the threshold, however unsure the judge is
    "verdict": pa.string(),  # match, mismatch or unsure
    "why": pa.string(),  # the judge is unsure
    "worst_word": pa.string(),  # the content word with the lowest score, among those of the vocabulary
    "worst_score": pa.float64(),  # its score
    "unread_words": pa.int64(),  # words at the end, beyond the most that the model reads
    "error": pa.string(),  # why there is no score
}
ADDED = ("verdict", "why", "unread_words")  # columns that earlier versions did not write
Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """What to score, where to write it, and with which model."""

    source: Path
    images: Path
    out: Path
    model: str
    device: str = "auto"
    engine: str = "local"
    overwrite: bool = False
    risk: float | None = None


def score_file(job: Job) -> str:
    """Score every row of job.source, write job.out, and return a summary in one line. Resumes an interrupted run.

    ValueError, FileNotFoundError or FileExistsError says what the user can fix.
    """
    require(job.out.suffix.lower() in ENDINGS, f"--out {job.out}: the name must end in {', '.join(ENDINGS)}")
    require(job.out.resolve() != job.source.resolve(), f"--out {job.out} would replace the file of --pairs")
    require(not job.out.is_dir(), f"--out {job.out} is a folder")
    if job.out.exists() and not job.overwrite:
        raise FileExistsError(f"{job.out} is already there; replace it with --overwrite")
    if not job.images.is_dir():
        raise FileNotFoundError(f"{job.images} is not a folder; give the folder of the pictures with --images DIR")
    table = survey(job.source)
    require(table.rows > 0, f"{job.source} has no rows")
    find_any_picture(job)
    judge = load_judge(job.model, job.device, job.risk)  # if there is no model, fail before anything is written
    folder = job.out.with_name(f".{job.out.name}.parts")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(folder / "lock", timeout=0):
            return score_parts(job, table, judge, folder)
    except filelock.Timeout:
        raise ValueError(f"another process is writing {job.out}; wait for it, or choose another --out") from None


def find_any_picture(job: Job) -> None:
    """FileNotFoundError if none of the pictures exists: then the folder is wrong."""
    seen = 0
    for _, row in read_table(job.source):
        with contextlib.suppress(ValueError):
            if isinstance(row, dict):
                path = find_below(job.images, path_below(row.get("image"), job.images))
                seen += 1
                if os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises if a name is too long
                    return
    if seen:
        raise FileNotFoundError(
            f"none of the {seen:,} images of {job.source} is in {job.images}; give their folder with --images DIR"
        )


def score_parts(job: Job, table: "Table", judge: Judge, folder: Path) -> str:
    """Score the parts that are not in the folder yet, and join all parts into job.out; returns a summary."""
    begin(folder, job, judge)
    waiting = (part for part in parts_of(job, table, folder) if not part.path.is_file())
    done = sum(min(ROWS, table.rows - ROWS * number) for number in numbers_in(folder))
    if done:
        print(f"{job.out}: resuming, {done:,} of {table.rows:,} rows are already scored")
    with progress(None, "pairs", " pairs", table.rows, initial=done) as bar:
        for _, rows in run_on_ray(waiting) if job.engine == "ray" else ((part, part.run()) for part in waiting):
            bar.update(rows)
    parts = sorted(folder.glob("*.parquet"))
    rows = sum(pq.read_metadata(part).num_rows for part in parts)
    require(
        rows == table.rows,
        f"{job.source} has changed: it had {table.rows:,} rows at the start and has {rows:,} at the end; run it again",
    )
    found = join(parts, table, job.out)
    shutil.rmtree(folder)
    if found.errors == table.rows:
        rows = counted(table.rows, "row")
        raise ValueError(f"{job.out}: none of {rows} has a score; the first: {found.first} (see the column error)")
    mismatches, unsure = (found.verdicts[verdict] for verdict in ("mismatch", "unsure"))
    summary = f"{job.out}: {counted(table.rows, 'row')}, {counted(mismatches, 'mismatch', 'mismatches')}"
    if unsure:
        summary += f", {unsure:,} unsure (see the column why)"
    if found.unread:
        summary += f", {counted(found.unread, 'text')} longer than the model reads (see the column unread_words)"
    summary += f"; {name_model(judge.name, judge.trained_on)}"
    return f"{summary}, {found.errors:,} without a score (see the column error)" if found.errors else summary


class Table(NamedTuple):
    """The number of rows and the columns of a table of pairs."""

    rows: int
    columns: dict[str, pa.DataType | None]  # None: values of several types, stored as JSON text
    numbers: frozenset[str] = frozenset()  # of these columns, those of whole numbers and fractions

    @property
    def mixed(self) -> set[str]:
        """The columns that a part stores as JSON text."""
        return {name for name, kind in self.columns.items() if kind is None and name not in RESULTS}

    @property
    def schema(self) -> pa.Schema:
        """The schema of the parts: the columns of the file, then RESULTS."""
        stored = {name: kind or pa.string() for name, kind in self.columns.items() if name not in RESULTS}
        return pa.schema({**stored, **RESULTS})

    @property
    def written(self) -> pa.Schema:
        """The schema of a Parquet file of results."""
        kinds = ((field.name, pa.float64() if field.name in self.numbers else field.type) for field in self.schema)
        return pa.schema(list(kinds))


def survey(file: Path) -> Table:
    """Count the rows of a file and find the type of each column. Raises what `read_table` raises."""
    if file.suffix.lower() == ".parquet":
        next(read_table(file), None)  # raises if the file is damaged or lacks a column
        stored = open_parquet(file)
        columns = {field.name: field.type for field in stored.schema_arrow}
        return Table(stored.metadata.num_rows, with_own_names(file, columns))
    found: dict[str, set[type]] = {}
    rows = 0
    for _, row in read_table(file, wanted=None):
        rows += 1
        for name, value in (row.fields if isinstance(row, BrokenRow) else row).items():
            found.setdefault(name, set()).add(kind_of(value))
    for name in {"image", "caption"} - {our_name(name, ("image", "caption")) for name in found}:
        found[name] = {str}  # every row is broken
    columns = {name: type_of(kinds - {type(None)}) for name, kinds in found.items()}
    numbers = frozenset(name for name, kinds in found.items() if kinds - {type(None)} == {int, float})
    return Table(rows, with_own_names(file, columns), numbers)


def with_own_names(file: Path, columns: dict[str, pa.DataType | None]) -> dict[str, pa.DataType | None]:
    """Return the columns. ValueError if only some RESULTS are among them; if all are, they are from an earlier run.

    A run of an earlier version lacks some of ADDED.
    """
    taken = [name for name in RESULTS if name in columns]
    if taken and any(name not in columns for name in RESULTS if name not in ADDED):
        raise ValueError(f"{file} has a column {taken[0]!r}, which --out would replace by a result; rename it")
    return columns


class Large:
    """Used as the type of whole numbers above 2**53, which a float64 cannot hold exactly."""


def kind_of(value: Any) -> type:
    """The type of a value; `Large` for large whole numbers, `object` for those beyond int64."""
    if type(value) is int and abs(value) > 2**53:
        return Large if -(2**63) <= value < 2**63 else object
    return type(value)


def type_of(kinds: set[type]) -> pa.DataType | None:
    """The Arrow type that holds values of all these types; None if there is none.

    Whole numbers and fractions have none: one 0.5 would make 1.0 of every 1.
    """
    if kinds <= {str}:
        return pa.string()
    if kinds == {bool}:
        return pa.bool_()
    if kinds <= {int, Large}:
        return pa.int64()
    return pa.float64() if kinds == {float} else None


def begin(folder: Path, job: Job, judge: Judge) -> None:
    """Prepare the folder of the parts: delete those of another job (other rows, another model or other pictures)."""
    state = job.source.stat()
    source = [str(job.source.resolve()), state.st_size, state.st_mtime_ns]
    images, model = str(job.images.resolve()), identity_of(judge)
    key = {"format": FORMAT, "source": source, "images": images, "rows": ROWS, "model": model}
    stored = folder / "job.json"
    with contextlib.suppress(OSError, ValueError):
        if json.loads(stored.read_text(encoding="utf-8")) == key:
            return
    for part in folder.glob("*.parquet"):
        part.unlink()
    write_json(stored, key)


def identity_of(judge: Judge) -> str:
    """A hash of weights, threshold, name and risk: judges with the same hash give the same scores and verdicts."""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(judge.loaded.model.state_dict().items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    digest.update(json.dumps([asdict(judge.loaded.threshold), judge.name, judge.risk], sort_keys=True).encode())
    return digest.hexdigest()


def parts_of(job: Job, table: Table, folder: Path) -> Iterator["Part"]:
    """The parts of the table in their order, numbered by their file names."""
    read = read_parquet_parts if job.source.suffix.lower() == ".parquet" else read_parts
    for number, (rows, kept) in enumerate(read(job.source)):
        path = folder / f"{number:08d}.parquet"
        yield Part(path, rows, table, job.images.absolute(), job.model, job.device, job.risk, kept)


Rows = list[tuple[str, Row | BrokenRow]]  # line or row number in the file, and the row, or what is wrong with it


def read_parts(file: Path) -> Iterator[tuple[Rows, None]]:
    """The rows of a file, ROWS at a time."""
    rows = read_table(file, wanted=None)
    while some := list(itertools.islice(rows, ROWS)):
        yield some, None


def read_parquet_parts(file: Path) -> Iterator[tuple[Rows, pa.Table]]:
    """Images and captions of a Parquet file, ROWS at a time, and the same rows with all columns but RESULTS.

    The columns are never converted: Python does not know some of Arrow's dates and times.
    """
    stored = open_parquet(file)
    names = [name for name in stored.schema_arrow.names if name not in RESULTS]
    ours = {name: ours for name in names if (ours := our_name(name, ("image", "caption"))) in ("image", "caption")}
    first = 0
    for table in tables_of(parquet_batches(file, stored, names, ROWS), ROWS):
        try:
            pairs = table.select(list(ours)).to_pylist()
        except PARQUET_ERRORS as error:
            raise damaged(file, error) from None
        rows = [(f"[{i}]", {ours[name]: v for name, v in pair.items()}) for i, pair in enumerate(pairs, start=first)]
        first += len(rows)
        yield list(rows), table


def tables_of(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.Table]:
    """The rows of batches of any size, `size` rows at a time."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        while batch.num_rows:
            free = size - sum(part.num_rows for part in waiting)
            waiting.append(batch.slice(0, free))
            batch = batch.slice(free)
            if sum(part.num_rows for part in waiting) == size:
                yield pa.Table.from_batches(waiting)
                waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def numbers_in(folder: Path) -> Iterator[int]:
    """The numbers of the parts that are scored."""
    return (int(path.stem) for path in folder.glob("*.parquet"))


@functools.lru_cache(1)
def load_judge(model: str, device: str, risk: float | None = None) -> Judge:
    """The judge, loaded once in each process."""
    return Judge.load(model, device, risk)


@functools.lru_cache(1)
def cache_of(judge: Judge) -> PictureCache:
    """The pictures that this process has encoded with a judge."""
    return PictureCache(judge.loaded)


@dataclass(frozen=True)
class Part:
    """Some rows of a table, as a job for any process or machine."""

    path: Path
    rows: Rows
    table: Table
    images: Path
    model: str
    device: str
    risk: float | None = None
    kept: pa.Table | None = None  # all columns of a Parquet file but RESULTS; the rows then have only image and caption

    def run(self) -> int:
        """Score the rows and write them to `path`; returns their number."""
        found = score_rows(load_judge(self.model, self.device, self.risk), self.rows, self.images)
        schema = self.table.schema
        kept = self.kept
        if kept is None:
            stored = pa.schema([field for field in schema if field.name not in RESULTS])
            kept = pa.Table.from_pylist([plain_row(row, self.table.columns) for _, row in self.rows], stored)
        results = pa.Table.from_pylist(found, pa.schema(RESULTS))
        table = pa.Table.from_arrays([*kept.columns, *results.columns], names=schema.names)
        write_atomically(self.path, lambda path: pq.write_table(table, path))
        return len(found)


def plain_row(row: Row | BrokenRow, kinds: Mapping[str, pa.DataType | None]) -> Row:
    """A row as a part stores it: without results of an earlier run, and with JSON text in columns of mixed types.

    A broken row has the fields that could be read.
    """
    values = {
        name: without_nan(value) if kinds[name] is None else value
        for name, value in (row.fields if isinstance(row, BrokenRow) else row).items()
        if name not in RESULTS
    }
    return {
        name: json.dumps(value, ensure_ascii=False) if kinds[name] is None and value is not None else value
        for name, value in values.items()
    }


def score_rows(judge: Judge, rows: Sequence[tuple[str, Row | BrokenRow]], images: Path) -> list[Row]:
    """The RESULTS of some rows, in their order; a row that cannot be judged has only "error"."""
    results: list[Row] = [{} for _ in rows]
    pairs: list[tuple[int, str, str]] = []  # number of the row, picture, text
    for number, (place, row) in enumerate(rows):
        pair = pair_of(place, row, images)
        if isinstance(pair, str):
            results[number]["error"] = pair
        else:
            pairs.append((number, *pair))
    places = {name: find_below(images, name) for _, name, _ in pairs}
    if not places:
        return results
    errors: dict[str, ValueError | OSError] = {}  # by the name of the picture
    vectors, unlike = cache_of(judge).encode(places, errors)
    for number, name, _ in pairs:
        if name in errors:
            results[number]["error"] = f"picture: {why_unreadable(errors[name], str(places[name]))}"
    pairs = [pair for pair in pairs if pair[1] not in errors]
    if not pairs:
        return results
    number_of = {name: number for number, name in enumerate(places)}
    which = np.array([number_of[name] for _, name, _ in pairs], dtype=np.int64)
    texts = [text for _, _, text in pairs]
    words = None
    if judge.loaded.model.scores_words:
        scores, words = scoring.score_words(judge.loaded, vectors, texts, which)
    else:  # word scores of a pooled model take one encoding for each word
        scores = scoring.score_pairs(judge.loaded, vectors, texts, which)
    for i, (number, _, text) in enumerate(pairs):
        match, why = bool(scores[i] >= judge.threshold), judge.why_unsure(float(scores[i]), text, unlike[which[i]])
        results[number] |= {
            "score": round(float(scores[i]), DIGITS),
            "probability": round(float(judge.probability(scores[i])), DIGITS),
            "match": match,
            "verdict": "unsure" if why else "match" if match else "mismatch",
            "why": why or None,
            "unread_words": len(split_words(text)) - len(scoring.words_of(judge.loaded, text)),
            **({} if words is None else worst_word(judge, text, words[i])),
        }
    return results


def pair_of(place: str, row: Row | BrokenRow, images: Path) -> tuple[str, str] | str:
    """The picture and the text of a row, or the reason why the row has no such pair."""
    if isinstance(row, BrokenRow):
        return f"row {place}: {row}"
    row = our_columns(row)
    try:
        path = path_below(row.get("image"), images)
    except ValueError as error:
        return str(error)
    caption = row.get("caption")
    if isinstance(caption, str) and (size := len(caption.encode())) > LONGEST:
        return f"the caption has {size:,} bytes; the limit is {LONGEST:,}"
    if not isinstance(caption, str) or not split_words(caption):
        return "the caption has no words"
    return str(path), caption


def worst_word(judge: Judge, text: str, scores: Floats) -> Row:
    """The known content word with the lowest score, and that score. scores: those of the words that were read (L,)."""
    words = split_words(text)[: len(scores)]
    known = [i for i in content_words([word.text for word in words]) if words[i].text in judge.loaded.tokenizer.index]
    if not known:
        return {}
    worst = min(known, key=lambda i: scores[i])
    start, end = words[worst].start, words[worst].end
    return {"worst_word": text[start:end], "worst_score": round(float(scores[worst]), DIGITS)}


# Joining the parts


class Totals:
    """Counts of a scored table."""

    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()
        self.errors = 0
        """Rows without a score."""
        self.first = ""
        """The first error."""
        self.unread = 0
        """Rows whose text has words that were not read."""

    def count(self, rows: pa.Table) -> None:
        self.verdicts.update(rows["verdict"].to_pylist())
        errors = rows["error"].drop_null().to_pylist()
        self.errors += len(errors)
        self.first = self.first or (errors[0] if errors else "")
        self.unread += sum(words > 0 for words in rows["unread_words"].drop_null().to_pylist())


def join(parts: Sequence[Path], table: Table, out: Path) -> Totals:
    """Write the rows of all parts to one file."""
    found = Totals()

    def batches() -> Iterator[pa.Table]:
        for path in progress(parts, "writing", " parts"):
            rows = pq.read_table(path, schema=table.schema)
            found.count(rows)
            yield rows

    match out.suffix.lower():
        case ".parquet":
            write = write_parquet
        case ".csv" | ".tsv":
            write = functools.partial(write_csv, delimiter="," if out.suffix.lower() == ".csv" else "\t")
        case _:
            write = write_json_lines
    write_atomically(out, lambda path: write(path, batches(), table))
    return found


def write_parquet(path: Path, batches: Iterable[pa.Table], table: Table) -> None:
    with pq.ParquetWriter(path, table.written) as file:
        for rows in batches:
            columns = {name: rows[name] for name in rows.schema.names}
            for name in table.mixed:
                values = map(text_of_json, columns[name].to_pylist())
                if name in table.numbers:
                    columns[name] = pa.array([value and float(value) for value in values], pa.float64())
                else:
                    columns[name] = pa.array(values, pa.string())
            file.write_table(pa.Table.from_arrays(list(columns.values()), schema=table.written))


def write_csv(path: Path, batches: Iterable[pa.Table], table: Table, *, delimiter: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv_writer(file, delimiter)
        writer.writerow(table.schema.names)
        for rows in batches:
            columns = [
                map(text_of_json, values) if name in table.mixed else map(cell_of, values)
                for name, values in columns_of(rows).items()
            ]
            writer.writerows(zip(*columns))


def text_of_json(value: str | None) -> str | None:
    """A value of a column of mixed types, from JSON text: a string is itself, other values stay JSON."""
    if value is None or not value.startswith('"'):
        return value
    return json.loads(value)


def cell_of(value: Any) -> Any:
    """A value as a cell of a CSV file: lists, dicts and booleans as JSON text, NaN as an empty cell."""
    if isinstance(value, dict | list | bool):
        return json.dumps(without_nan(value), ensure_ascii=False, default=str)
    return without_nan(value)


def without_nan(value: Any) -> Any:
    """The value with None for every NaN and infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {name: without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json_lines(path: Path, batches: Iterable[pa.Table], table: Table) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for rows in batches:
            columns = columns_of(rows)
            for row in zip(*columns.values()):
                values = {
                    name: json.loads(value) if name in table.mixed and value is not None else without_nan(value)
                    for name, value in zip(columns, row)
                }
                file.write(json.dumps(values, ensure_ascii=False, default=str) + "\n")


def columns_of(rows: pa.Table) -> dict[str, list[Any]]:
    """The values of each column for Python."""
    return {name: values_of(rows[name]) for name in rows.schema.names}


def values_of(column: pa.ChunkedArray) -> list[Any]:
    """The values of a column. What Python has no type for (nanoseconds, the year 10000) is text, as Arrow writes it."""
    if "[ns" not in str(column.type):
        with contextlib.suppress(*PARQUET_ERRORS):
            return column.to_pylist()
    with contextlib.suppress(*PARQUET_ERRORS):
        return column.cast(pa.string()).to_pylist()
    values = [column.slice(place, 1).combine_chunks() for place in range(len(column))]
    return [None if value.null_count else " ".join(value.to_string().split())[1:-1].strip() for value in values]
