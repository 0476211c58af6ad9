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
from negatives.kind import Captions, Kind, StringTable
from negatives.mined import Mined
from negatives.parsed_caption import ParsedCaption, read_captions
from negatives.parts import find_parts
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

        engine, workers: see `common.jobs.run_jobs`. The kinds are planned side by side; more workers than kinds have
        nothing to do. The plan is the same for any number. Each worker holds all captions, 10 kB each.
        """
        folder = database.folder / "negatives" / _key(database.fingerprint)
        if not (folder / "plan.json").is_file():
            folder.parent.mkdir(exist_ok=True)
            with filelock.FileLock(folder.parent / "lock"):
                if not (folder / "plan.json").is_file():
                    _make(database, folder, engine, workers)
        return cls(folder)

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


def _key(fingerprint: str) -> str:
    return hashlib.sha256(f"{FORMAT} {fingerprint} {_code()}".encode()).hexdigest()[:16]


def _make(database: Photographs, folder: Path, engine: str, workers: int) -> None:
    """Write a plan to a temporary folder, rename it when it is complete, and delete the older plans."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # left by a process that was killed
    part.mkdir()
    jobs: list[PlanTexts | PlanKind] = [PlanTexts(database, part), *(PlanKind(database, part, name) for name in KINDS)]
    here = engine == "local" and workers == 1  # a pool would only cost: a worker needs 4 s to start
    done = ((job, job.run()) for job in jobs) if here else run_jobs(jobs, engine, min(workers, len(KINDS)))
    try:
        facts = {job.kind: found for job, found in progress(done, "negatives: plan", " kinds", len(jobs)) if job.kind}
    finally:
        read_captions_of.cache_clear()
    of_kinds = {name: {kind: found[name] for kind, found in facts.items()} for name in ("share_with", "figures")}
    (part / "plan.json").write_text(json.dumps({"format": FORMAT, **of_kinds}, indent=1) + "\n", encoding="utf-8")
    part.replace(folder)
    for older in folder.parent.iterdir():
        if older.is_dir() and older != folder:
            shutil.rmtree(older, ignore_errors=True)


@dataclass(frozen=True)
class PlanTexts:
    """A job: write the captions themselves, and the offsets of their parts."""

    database: Photographs
    folder: Path
    kind: str = ""

    def run(self) -> dict[str, Any]:
        captions, rows = read_captions_of(self.database)
        # row: of the database; parts: start and end of one after the other
        schema = pa.schema({"text": pa.string(), "row": pa.int32(), "parts": pa.list_(pa.int32())})
        parses = [caption.parse for caption in captions.parsed]
        parts = [list(itertools.chain(*find_parts(parse))) for parse in parses]
        columns: dict[str, Sequence] = {"text": [parse.text for parse in parses], "row": rows, "parts": parts}
        _write(self.folder / "captions.arrow", schema, columns)
        return {}


@dataclass(frozen=True)
class PlanKind:
    """A job: write the columns of one kind, and the strings that they refer to."""

    database: Photographs
    folder: Path
    kind: str

    def run(self) -> dict[str, Any]:
        """share_with: fraction of captions that have a negative of this kind; figures: see `PlanPart`."""
        captions, rows = read_captions_of(self.database)
        kind, strings = KINDS[self.kind], StringTable()
        columns, figures = kind.make(captions, strings)
        _write(self.folder / f"{self.kind}.arrow", pa.schema(dict(kind.schema)), columns)
        _write(self.folder / f"{self.kind}_strings.arrow", pa.schema({"string": pa.string()}), {"string": strings.all})
        have = sum(len(entry) > 0 for entry in columns[self.kind])
        return {"share_with": have / max(1, len(rows)), "figures": dict(figures)}


@functools.lru_cache(maxsize=1)
def read_captions_of(database: Photographs) -> tuple[Captions, list[int]]:
    """All captions, and the row of the database of each. Read once for all jobs of a process."""
    parsed: list[ParsedCaption] = []
    rows: list[int] = []
    for row in progress(range(len(database.split_of)), "negatives: read", " photographs"):
        parsed += (own := read_captions(database.parses(row)))
        rows += [row] * len(own)
    splits = [database.split_of[row] for row in rows]
    number = {group: i for i, group in enumerate(dict.fromkeys(database.groups))}
    owner = [number[database.groups[row]] for row in rows]
    # In a database without training photographs (a test set), statistics are counted in all captions.
    no_train = "train" not in splits
    learn_from = [no_train or split == "train" for split in splits]
    # Regions are read when they are needed: those of all captions would double the memory of a plan in the making.
    return Captions(parsed, owner, splits, learn_from, lambda: _regions(database)), rows


def _regions(database: Photographs) -> Iterator[tuple[Region, ...]]:
    """The regions of each caption, in the order of the database's rows."""
    for row in range(len(database.split_of)):
        yield from database.regions(row)


def _write(path: Path, schema: pa.Schema, columns: Mapping[str, Sequence]) -> None:
    batch = pa.record_batch([_column(columns[field.name], field.type) for field in schema], schema=schema)
    with pa.ipc.new_file(str(path), schema) as file:
        file.write_batch(batch)


def _column(values: Sequence, type_: pa.DataType) -> pa.Array:
    if not pa.types.is_list(type_):
        return pa.array(values, type_)
    ends = np.cumsum([0, *map(len, values)], dtype=np.int32)
    flat = np.concatenate([*values, np.zeros(0)]).astype(type_.value_type.to_pandas_dtype())
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(flat))
