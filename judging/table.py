"""Score a whole data set: read a table of pairs, write the same table with scores, in bounded memory.

The table is cut into parts of ROWS rows. Each part is a job: it encodes each of its pictures and texts once and writes
its rows to its own file, atomically. So the same command resumes after a kill, and many machines can share the parts.
At the end the parts are joined in their order.
"""

import contextlib
import csv
import functools
import hashlib
import itertools
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import filelock
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from common.command_line import counted
from common.jobs import progress, run_on_ray
from common.metrics import Floats
from common.storage import write_atomically, write_json
from Config import require
from evaluation import scoring
from judging.doubt import content_words
from judging.inputs import why_unreadable
from judging.judge import Judge, name_model
from sources.files import find_below
from sources.pairs import path_below
from sources.tables import read_table
from Tokenizer_lib import split_words

ROWS = 2048  # of a part. With 5 captions a picture, ResNet-50 on one core takes 30 s for a part: what a kill can lose
ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
FORMAT = 2  # of the parts
DIGITS = 6  # of scores and probabilities, in every format; float32 holds 7
RESULTS = {  # the added columns
    "score": pa.float64(),
    "probability": pa.float64(),  # of a match, if true and false texts are equally frequent
    "match": pa.bool_(),  # the score is at least the threshold, however unsure the judge is
    "verdict": pa.string(),  # match, mismatch or unsure
    "why": pa.string(),  # the judge is unsure
    "worst_word": pa.string(),  # the content word with the lowest score, among those of the vocabulary
    "worst_score": pa.float64(),  # its score
    "error": pa.string(),  # why there is no score
}
ADDED = ("verdict", "why")  # columns that earlier versions did not write
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
    """FileNotFoundError if none of the pictures in the first ROWS rows exists: then the folder is wrong."""
    seen = 0
    for _, row in itertools.islice(read_table(job.source), ROWS):
        with contextlib.suppress(ValueError):
            if isinstance(row, dict):
                path = find_below(job.images, path_below(row.get("image")))
                seen += 1
                if os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises if a name is too long
                    return
    if seen:
        raise FileNotFoundError(
            f"none of the first {seen:,} images of {job.source} is in {job.images}; give their folder with --images DIR"
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
    found, errors = join(parts, table, job.out)
    shutil.rmtree(folder)
    summary = f"{job.out}: {counted(table.rows, 'row')}, {counted(found['mismatch'], 'mismatch', 'mismatches')}"
    if found["unsure"]:
        summary += f", {found['unsure']:,} unsure (see the column why)"
    summary += f"; {name_model(judge.name, judge.trained_on)}"
    return f"{summary}, {errors:,} without a score (see the column error)" if errors else summary


class Table(NamedTuple):
    """The number of rows and the columns of a table of pairs."""

    rows: int
    columns: dict[str, pa.DataType | None]  # None: values of several types, stored as JSON text

    @property
    def schema(self) -> pa.Schema:
        """The schema of the parts and of the output: the columns of the file, then RESULTS."""
        stored = {name: kind or pa.string() for name, kind in self.columns.items() if name not in RESULTS}
        return pa.schema({**stored, **RESULTS})


def survey(file: Path) -> Table:
    """Count the rows of a file and find the type of each column. Raises what `read_table` raises."""
    if file.suffix.lower() == ".parquet":
        next(read_table(file), None)  # raises if the file is damaged or lacks a column
        stored = pq.ParquetFile(file)
        for field in stored.schema_arrow:
            exact = "[ns" not in str(field.type)
            require(
                exact,
                f"{file}: column {field.name} has nanoseconds ({field.type}); store it with microseconds",
            )
        columns = {field.name: field.type for field in stored.schema_arrow}
        return Table(stored.metadata.num_rows, with_own_names(file, columns))
    found: dict[str, set[type]] = {}
    rows = 0
    for _, row in read_table(file):
        rows += 1
        for name, value in row.items() if isinstance(row, dict) else ():
            found.setdefault(name, set()).add(kind_of(value))
    for name in ("image", "caption"):  # absent if every row is broken
        found.setdefault(name, {str})
    columns = {name: type_of(kinds - {type(None)}) for name, kinds in found.items()}
    return Table(rows, with_own_names(file, columns))


def with_own_names(file: Path, columns: dict[str, pa.DataType | None]) -> dict[str, pa.DataType | None]:
    """Return the columns. ValueError if only some RESULTS are among them; if all are, they are from an earlier run.

    A run of an earlier version has all but ADDED.
    """
    taken = [name for name in RESULTS if name in columns]
    if taken and len(taken) < len(RESULTS) and taken != [name for name in RESULTS if name not in ADDED]:
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
    """The Arrow type that holds values of all these types; None if there is none."""
    if kinds <= {str}:
        return pa.string()
    if kinds == {bool}:
        return pa.bool_()
    if kinds <= {int, Large}:
        return pa.int64()
    return pa.float64() if kinds <= {int, float} else None


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
    rows = read_table(job.source, wanted=None)
    for number in itertools.count():
        some = list(itertools.islice(rows, ROWS))
        if not some:
            return
        yield Part(
            folder / f"{number:08d}.parquet", some, table, job.images.absolute(), job.model, job.device, job.risk
        )


def numbers_in(folder: Path) -> Iterator[int]:
    """The numbers of the parts that are scored."""
    return (int(path.stem) for path in folder.glob("*.parquet"))


@functools.lru_cache(1)
def load_judge(model: str, device: str, risk: float | None = None) -> Judge:
    """The judge, loaded once in each process."""
    return Judge.load(model, device, risk)


@dataclass(frozen=True)
class Part:
    """Some rows of a table, as a job for any process or machine."""

    path: Path
    rows: list[tuple[str, Row | str]]  # line or row number in the file, and the row, or what is wrong with it
    table: Table
    images: Path
    model: str
    device: str
    risk: float | None = None

    def run(self) -> int:
        """Score the rows and write them to `path`; returns their number."""
        found = score_rows(load_judge(self.model, self.device, self.risk), self.rows, self.images)
        kinds = self.table.columns
        rows = [
            {**({} if isinstance(row, str) else plain_row(row, kinds)), **result}
            for (_, row), result in zip(self.rows, found)
        ]
        table = pa.Table.from_pylist(rows, self.table.schema)
        write_atomically(self.path, lambda path: pq.write_table(table, path))
        return len(rows)


def plain_row(row: Row, kinds: Mapping[str, pa.DataType | None]) -> Row:
    """A row as a part stores it: without results of an earlier run, and with JSON text in columns of mixed types."""
    return {
        name: json.dumps(value, ensure_ascii=False) if kinds[name] is None and value is not None else value
        for name, value in row.items()
        if name not in RESULTS
    }


def score_rows(judge: Judge, rows: Sequence[tuple[str, Row | str]], images: Path) -> list[Row]:
    """The RESULTS of some rows, in their order; a row that cannot be judged has only "error"."""
    results: list[Row] = [{} for _ in rows]
    pairs: list[tuple[int, str, str]] = []  # number of the row, picture, text
    for number, (place, row) in enumerate(rows):
        pair = pair_of(place, row)
        if isinstance(pair, str):
            results[number]["error"] = pair
        else:
            pairs.append((number, *pair))
    places = {name: find_below(images, name) for _, name, _ in pairs}
    if not places:
        return results
    errors: dict[str, ValueError | OSError] = {}  # by the name of the picture
    prepared = scoring.prepare_files(judge.loaded, places, errors)
    vectors, unlike = scoring.encode_and_measure(judge.loaded, prepared, len(places))
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
            **({} if words is None else worst_word(judge, text, words[i])),
        }
    return results


def pair_of(place: str, row: Row | str) -> tuple[str, str] | str:
    """The picture and the text of a row, or the reason why the row has no such pair."""
    if isinstance(row, str):
        return f"row {place}: {row}"
    try:
        path = path_below(row.get("image"))
    except ValueError as error:
        return str(error)
    caption = row.get("caption")
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


def join(parts: Sequence[Path], table: Table, out: Path) -> tuple[Counter[str], int]:
    """Write the rows of all parts to one file; returns the number of each verdict and of rows without a score."""
    found: Counter[str] = Counter()
    errors = 0

    def batches() -> Iterator[pa.Table]:
        nonlocal errors
        for path in progress(parts, "writing", " parts"):
            rows = pq.read_table(path, schema=table.schema)
            errors += len(rows) - rows["error"].null_count
            found.update(rows["verdict"].to_pylist())
            yield rows

    match out.suffix.lower():
        case ".parquet":
            write = write_parquet
        case ".csv" | ".tsv":
            write = functools.partial(write_csv, delimiter="," if out.suffix.lower() == ".csv" else "\t")
        case _:
            write = write_json_lines
    write_atomically(out, lambda path: write(path, batches(), table))
    return found, errors


def write_parquet(path: Path, batches: Iterable[pa.Table], table: Table) -> None:
    with pq.ParquetWriter(path, table.schema) as file:
        for rows in batches:
            file.write_table(rows)


def write_csv(path: Path, batches: Iterable[pa.Table], table: Table, *, delimiter: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(UnixLines(file), delimiter=delimiter)
        writer.writerow(table.schema.names)
        for rows in batches:
            for row in rows.to_pylist():
                writer.writerow([cell_of(value) for value in row.values()])


class UnixLines:
    """Ends lines with \\n. With lineterminator="\\n", csv of Python 3.11 would not quote a value that has a \\r."""

    def __init__(self, file: TextIO):
        self.file = file

    def write(self, line: str) -> int:
        return self.file.write(line.removesuffix("\r\n") + "\n")


def cell_of(value: Any) -> Any:
    """A value as a cell of a CSV file: lists, dicts and booleans as JSON text."""
    if isinstance(value, dict | list | bool):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value


def write_json_lines(path: Path, batches: Iterable[pa.Table], table: Table) -> None:
    mixed = {name for name, kind in table.columns.items() if kind is None and name not in RESULTS}
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for rows in batches:
            for row in rows.to_pylist():
                values = {name: json.loads(v) if name in mixed and v is not None else v for name, v in row.items()}
                file.write(json.dumps(values, ensure_ascii=False, default=str) + "\n")
