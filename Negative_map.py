"""The plan of a database: all possible hard negatives of its captions, computed once; and how negatives are drawn.

    plan = Plan.open(database)     # made on first use, with progress bars: 2 s per 1,000 captions on a free core
    negative = plan.draw(caption, rng, NegativesConfig())

For every caption, the plan holds the possible negatives of each kind (`KINDS`) with their chances: for example its
possible swaps. Drawing needs no parser and no parse: it picks an entry and replaces a few characters.

A plan is stored beside the pictures, in a folder named after a hash of the database and of the code that makes plans.
If the code changes, a new plan is made at the next use; the database does not have to be rebuilt.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import itertools
import json
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import filelock
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from common.jobs import progress, run_jobs
from common.regions import Region
from Config import NegativesConfig
from negatives.add import Add
from negatives.exchange import Exchange
from negatives.geometric import Geometric
from negatives.kind import Captions, Kind, Ragged, StringTable
from negatives.mined import Mined
from negatives.parsed_caption import read_captions
from negatives.parts import find_parts
from negatives.stored import StoredCaptions, write_block
from negatives.swap import Swap
from negatives.text import Negative, Parse

# To add a kind: a file in `negatives/`, a line here, and its weight in `Config.NegativesConfig`. In-batch negatives are
# not a kind of the plan: they are the captions of the other photographs in a batch.
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Swap(),
        Exchange(),
        Mined(),
        Geometric(),
        Add(),
    )
}
FORMAT = 1  # increase it if a change of other files (say, how words are split) makes older plans wrong
DEFAULT = NegativesConfig()
READ = "read"  # folder of a plan in the making with its captions, in blocks
ROWS_PER_BLOCK = 200  # 1,000 captions: 1 MB


class Photographs(Protocol):
    """The attributes of a database (`DataBase_functions.Database`) that a plan needs."""

    folder: Path
    fingerprint: str
    split_of: list[str]
    groups: list[str]  # identity of each photograph; one photograph can be stored as two rows

    def __hash__(self) -> int: ...

    def parses(self, row: int) -> list[Parse]: ...

    def regions(self, row: int) -> list[tuple[Region, ...]]: ...


# Drawing


class Plan:
    """An opened, memory-mapped plan. Captions are numbered in the order of the database's rows."""

    def __init__(self, folder: Path):
        self.folder = folder
        table = _open_arrow(folder / "captions.arrow")
        self.texts = _only_chunk(table["text"])
        self._parts = _Lists(_only_chunk(table["parts"]))
        self.row_of: NDArray[np.int32] = _only_chunk(table["row"]).to_numpy()
        rows = int(self.row_of[-1]) + 1 if len(self.row_of) else 0
        self._first: list[int] = np.searchsorted(self.row_of, np.arange(rows + 1, dtype=np.int32)).tolist()
        self._lists: dict[str, _Lists] = {}
        self._strings: dict[str, pa.StringArray] = {}
        for name, kind in KINDS.items():
            columns = _open_arrow(folder / f"{name}.arrow")
            self._lists |= {column: _Lists(_only_chunk(columns[column])) for column in kind.schema}
            self._strings[name] = _only_chunk(_open_arrow(folder / f"{name}_strings.arrow")["string"])
        self.facts: dict[str, Any] = json.loads((folder / "plan.json").read_text(encoding="utf-8"))

    @classmethod
    def open(cls, database: Photographs, engine: str = "local", workers: int = 1) -> Plan:
        """The plan of a database. It is made first if there is none for this version of the code.

        engine, workers: see `common.jobs.run_jobs`. The plan is the same for any number. Captions are read by all
        workers, then the kinds are planned side by side; captions stay on the disk (1 kB each while a plan is made).
        """
        folder = plan_folder(database)
        if not (folder / "plan.json").is_file():
            folder.parent.mkdir(exist_ok=True)
            with filelock.FileLock(folder.parent / "lock"):
                if not (folder / "plan.json").is_file():
                    _make(database, folder, engine, workers)
        return cls(folder)

    def check(self) -> None:
        """pa.ArrowInvalid if a bit of the offsets or strings has flipped: Arrow would abort the process when it reads
        them. It takes 0.1 s for a million captions."""
        for file in sorted(self.folder.glob("*.arrow")):
            _open_arrow(file).validate(full=True)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the path only: a data loader process opens the files again instead of getting a copy."""
        return Plan, (self.folder,)

    def __len__(self) -> int:
        return len(self.row_of)

    def captions(self, row: int) -> range:
        """The numbers of the captions of a row of the database."""
        return range(*self._first[row : row + 2])

    def text(self, caption: int) -> str:
        return self.texts[caption].as_py()

    def parts(self, caption: int) -> list[tuple[int, int]]:
        """(start, end) offsets of the parts of a caption that are true on their own, see `negatives.parts`."""
        return list(itertools.pairwise(self._parts[caption]))[::2]

    def draw(
        self, caption: int, rng: random.Random, settings: NegativesConfig, within: int | None = None
    ) -> Negative | None:
        """A random hard negative of the mixture; None if no kind gives one.

        Kinds are tried in a random order until one gives a negative; the chance that a kind is tried first is its
        weight. within: change only characters before this offset in the caption; None: no limit.
        """
        weights = settings.weights
        while kinds := [kind for kind, weight in weights.items() if weight > 0]:
            kind = rng.choices(kinds, [weights[kind] for kind in kinds])[0]
            negative = KINDS[kind].draw(self, caption, rng, settings, within)
            if negative is not None:
                return negative
            del weights[kind]
        return None

    def draw_kind(
        self,
        kind: str,
        caption: int,
        rng: random.Random,
        settings: NegativesConfig = DEFAULT,
        within: int | None = None,
    ) -> Negative | None:
        """A random hard negative of one kind; None if the caption has none or chance gives none (`Kind.draw`).

        Raises ValueError for an unknown kind.
        """
        if kind not in KINDS:
            raise ValueError(f"unknown kind of negatives {kind!r}; choose from {', '.join(KINDS)}")
        return KINDS[kind].draw(self, caption, rng, settings, within)

    def has(self, kind: str, caption: int) -> bool:
        """Is there a negative of this kind that could be drawn?"""
        return bool(self._lists[kind][caption])

    def numbers(self, column: str, caption: int) -> list[int]:
        """The entry of a caption in a column of a kind (`Kind.schema`)."""
        return self._lists[column][caption]

    def string(self, kind: str, number: int) -> str:
        """A string that a kind's columns refer to by its number."""
        return self._strings[kind][number].as_py()


class _Lists:
    """The lists of integers in a memory-mapped column, read about 10 times faster than through pyarrow's scalars."""

    def __init__(self, column: pa.ListArray):
        self._offsets: NDArray[Any] = column.offsets.to_numpy()
        self._values: NDArray[Any] = column.values.to_numpy()

    def __getitem__(self, i: int) -> list[int]:
        return self._values[self._offsets[i] : self._offsets[i + 1]].tolist()


def _open_arrow(file: Path) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(str(file))).read_all()


def _only_chunk(column: pa.ChunkedArray) -> Any:
    assert column.num_chunks == 1, "a plan is written as one batch"
    return column.chunk(0)


# Making


@functools.cache
def _code() -> str:
    """Hash of the code that makes a plan, and of the version of lemminflect, which inflects its words."""
    digest = hashlib.sha256(importlib.metadata.version("lemminflect").encode())
    here = Path(__file__)
    for file in (here, *sorted((here.parent / "negatives").glob("*"))):
        if file.is_file():
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def plan_folder(database: Photographs) -> Path:
    """Where the plan of a database is or will be; another version of the code has another folder."""
    key = hashlib.sha256(f"{FORMAT} {database.fingerprint} {_code()}".encode()).hexdigest()[:16]
    return database.folder / "negatives" / key


def _make(database: Photographs, folder: Path, engine: str, workers: int) -> None:
    """Write a plan to a temporary folder, rename it when it is complete, and delete the older plans."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # left by a process that was killed
    (part / READ).mkdir(parents=True)
    here = engine == "local" and workers == 1  # a pool would only cost: a worker needs 4 s to start

    def run(jobs: Sequence[Any], what: str, unit: str) -> Iterator[tuple[Any, Any]]:
        done = ((job, job.run()) for job in jobs) if here else run_jobs(jobs, engine, min(workers, len(jobs)))
        return iter(progress(done, what, unit, len(jobs)))

    blocks = [ReadBlock(database, part, n, rows) for n, rows in enumerate(_blocks(database.groups))]
    counts = [count for _, found in run(blocks, "negatives: read", " blocks") for count in found]
    of_blocks = [sum(counts[block.rows.start : block.rows.stop]) for block in blocks]
    longest_first = sorted(KINDS, key=lambda name: -KINDS[name].cost)
    jobs: list[Any] = [PlanKind(database, part, name, counts, of_blocks) for name in longest_first]
    jobs.append(PlanTexts(part, len(blocks)))
    facts = {job.kind: found for job, found in run(jobs, "negatives: plan", " kinds") if job.kind}
    shutil.rmtree(part / READ)
    of_kinds = {name: {kind: facts[kind][name] for kind in KINDS} for name in ("share_with", "figures")}
    (part / "plan.json").write_text(json.dumps({"format": FORMAT, **of_kinds}, indent=1) + "\n", encoding="utf-8")
    part.replace(folder)
    for older in folder.parent.iterdir():
        if older.is_dir() and older != folder:
            shutil.rmtree(older, ignore_errors=True)


def _blocks(groups: Sequence[str]) -> list[range]:
    """The rows of each block. Neighbouring rows of one photograph are in one block."""
    found, start = [], 0
    for row in range(1, len(groups) + 1):
        if row == len(groups) or (row - start >= ROWS_PER_BLOCK and groups[row] != groups[row - 1]):
            found.append(range(start, row))
            start = row
    return found


# row: of the database; parts: start and end of one after the other
CAPTIONS = pa.schema({"text": pa.string(), "row": pa.int32(), "parts": pa.list_(pa.int32())})


@dataclass(frozen=True)
class ReadBlock:
    """A job: read the captions of some rows once for all kinds, find their slots and parts, and write all of them."""

    database: Photographs
    folder: Path
    number: int
    rows: range

    def run(self) -> list[int]:
        """The number of captions of each row."""
        read = [read_captions(self.database.parses(row)) for row in self.rows]
        captions = list(itertools.chain.from_iterable(read))
        write_block(self.folder / READ / f"{self.number}.captions", captions)
        parses = [caption.parse for caption in captions]
        columns: dict[str, Sequence] = {
            "text": [parse.text for parse in parses],
            "row": [row for row, own in zip(self.rows, read) for _ in own],
            "parts": [list(itertools.chain(*find_parts(parse))) for parse in parses],
        }
        _write(self.folder / READ / f"{self.number}.arrow", CAPTIONS, columns)
        return [len(own) for own in read]


@dataclass(frozen=True)
class PlanTexts:
    """A job: write the captions themselves, and the offsets of their parts."""

    folder: Path
    blocks: int
    kind: str = ""

    def run(self) -> dict[str, Any]:
        blocks = [_open_arrow(self.folder / READ / f"{n}.arrow") for n in range(self.blocks)]
        columns = pa.concat_tables([CAPTIONS.empty_table(), *blocks]).combine_chunks()
        batch = pa.record_batch([_only_chunk(columns[name]) for name in CAPTIONS.names], schema=CAPTIONS)
        _write_batch(self.folder / "captions.arrow", batch)
        return {}


@dataclass(frozen=True)
class PlanKind:
    """A job: write the columns of one kind, and the strings that they refer to.

    counts: captions of each row; of_blocks: of each block.
    """

    database: Photographs
    folder: Path
    kind: str
    counts: Sequence[int]
    of_blocks: Sequence[int]

    def run(self) -> dict[str, Any]:
        """share_with: fraction of captions that have a negative of this kind; figures: see `PlanPart`."""
        kind, strings = KINDS[self.kind], StringTable()
        columns, figures = kind.make(self.captions(), strings)
        _write(self.folder / f"{self.kind}.arrow", pa.schema(dict(kind.schema)), columns)
        _write(self.folder / f"{self.kind}_strings.arrow", pa.schema({"string": pa.string()}), {"string": strings.all})
        have = sum(len(entry) > 0 for entry in columns[self.kind])
        return {"share_with": have / max(1, sum(self.counts)), "figures": dict(figures)}

    def captions(self) -> Captions:
        """All captions, which stay on the disk."""
        files = [self.folder / READ / f"{n}.captions" for n in range(len(self.of_blocks))]
        rows = [row for row, count in enumerate(self.counts) for _ in range(count)]
        splits = [self.database.split_of[row] for row in rows]
        number = {group: i for i, group in enumerate(dict.fromkeys(self.database.groups))}
        of_row = [number[group] for group in self.database.groups]
        # In a database without training photographs (a test set), statistics are counted in all captions.
        no_train = "train" not in splits
        return Captions(
            StoredCaptions(files, self.of_blocks),
            [of_row[row] for row in rows],
            splits,
            [no_train or split == "train" for split in splits],
            # Regions are read when they are needed: those of all captions would double the memory of a plan.
            lambda: _regions(self.database),
        )


def _regions(database: Photographs) -> Iterator[tuple[Region, ...]]:
    """The regions of each caption, in the order of the database's rows."""
    for row in range(len(database.split_of)):
        yield from database.regions(row)


def _write(path: Path, schema: pa.Schema, columns: Mapping[str, Sequence]) -> None:
    _write_batch(path, pa.record_batch([_column(columns[field.name], field.type) for field in schema], schema=schema))


def _write_batch(path: Path, batch: pa.RecordBatch) -> None:
    with pa.ipc.new_file(str(path), batch.schema) as file:
        file.write_batch(batch)


def _column(values: Sequence, type_: pa.DataType) -> pa.Array:
    if not pa.types.is_list(type_):
        return pa.array(values, type_)
    dtype = type_.value_type.to_pandas_dtype()
    if not isinstance(values, Ragged):
        lists, values = values, Ragged(np.dtype(dtype).char)
        for one in lists:
            values.append(one)
    ends = np.frombuffer(values.ends, dtype=np.int64).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(np.frombuffer(values.values, dtype=dtype)))
