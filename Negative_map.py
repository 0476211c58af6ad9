"""The plan of a database: everything from which hard negatives are drawn, worked out once, and the drawing itself.

    plan = Plan.open(database)                          # made on first use, with bars: 1 s for 1,000 captions
    negative = plan.draw(caption, rng, NegativesConfig())

A plan holds for every caption what each kind of hard negative (`KINDS`) can make of it, with chances: for example its
possible swaps. Drawing needs no parser and no parse: it picks an entry and splices a few characters.

A plan is stored beside the pictures, in a folder named after a hash of the database and of the code that makes plans.
If the code changes, a new plan is made at the next use; the database need not be built again.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import filelock
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from common.jobs import progress
from Config import NegativesConfig
from negatives.company import ParsedCaption, read_texts
from negatives.exchange import Exchange
from negatives.kind import Captions, Kind, Strings
from negatives.mined import Mined
from negatives.swap import Swap
from negatives.text import Negative, Parse

# A new kind is a file in `negatives/`, a line here, and its weight in `Config.NegativesConfig`. The batch gives another
# kind of negatives, which is not drawn: the captions of its other photographs.
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Swap(),
        Exchange(),
        Mined(),
    )
}
FORMAT = 1  # count it up if a change of other files (say, how words are split) makes the plans of older versions wrong
DEFAULT = NegativesConfig()


class Photographs(Protocol):
    """What a plan needs of a database; `DataBase_functions.Database` is one."""

    folder: Path
    fingerprint: str
    split_of: list[str]
    groups: list[str]  # identity of each photograph; one may be stored as two rows

    def parses(self, row: int) -> list[Parse]: ...


# Drawing


class Plan:
    """An opened plan, memory-mapped. Captions are numbered in the order of the database's rows."""

    def __init__(self, folder: Path):
        self.folder = folder
        table = pa.ipc.open_file(pa.memory_map(str(folder / "captions.arrow"))).read_all()
        self.texts = _only_chunk(table["text"])
        self.row_of: NDArray[np.int32] = _only_chunk(table["row"]).to_numpy()
        rows = int(self.row_of[-1]) + 1 if len(self.row_of) else 0
        self._first: list[int] = np.searchsorted(self.row_of, np.arange(rows + 1, dtype=np.int32)).tolist()
        lists = (name for kind in KINDS.values() for name in kind.schema)
        self._lists = {name: _Lists(_only_chunk(table[name])) for name in lists}
        self._strings = _only_chunk(pa.ipc.open_file(pa.memory_map(str(folder / "strings.arrow"))).read_all()["string"])
        self.facts: dict[str, Any] = json.loads((folder / "plan.json").read_text(encoding="utf-8"))

    @classmethod
    def open(cls, database: Photographs) -> Plan:
        """The plan of a database; it is made if there is none for this code."""
        folder = database.folder / "negatives" / _key(database.fingerprint)
        if not (folder / "plan.json").is_file():
            folder.parent.mkdir(exist_ok=True)
            with filelock.FileLock(folder.parent / "lock"):
                if not (folder / "plan.json").is_file():
                    _make(database, folder)
        return cls(folder)

    def __reduce__(self) -> tuple[Any, ...]:
        """A loader process opens the files again instead of getting a copy of them."""
        return Plan, (self.folder,)

    def __len__(self) -> int:
        return len(self.row_of)

    def captions(self, row: int) -> range:
        """Numbers of the captions of a row of the database."""
        return range(*self._first[row : row + 2])

    def text(self, caption: int) -> str:
        return self.texts[caption].as_py()

    def draw(
        self, caption: int, rng: random.Random, settings: NegativesConfig, within: int | None = None
    ) -> Negative | None:
        """A hard negative of the mixture; None if the caption has none of any kind.

        Kinds are tried in a random order in which a kind comes first as often as its weight says. within: characters
        of the text beyond which nothing is changed.
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
        """A hard negative of one kind; None if the caption has none, or if chance keeps the balance by giving none."""
        if kind not in KINDS:
            raise ValueError(f"there is no kind {kind!r}; choose from {', '.join(KINDS)}")
        return KINDS[kind].draw(self, caption, rng, settings, within)

    def has(self, kind: str, caption: int) -> bool:
        """Can a negative of this kind be drawn at all?"""
        return bool(self._lists[kind][caption])

    def numbers(self, column: str, caption: int) -> list[int]:
        """What a kind has written about a caption, see `Kind.schema`."""
        return self._lists[column][caption]

    def string(self, number: int) -> str:
        return self._strings[number].as_py()


class _Lists:
    """Lists of numbers in a memory-mapped column, an order of magnitude faster to get than by pyarrow's scalars."""

    def __init__(self, column: pa.ListArray):
        self._offsets: NDArray[Any] = column.offsets.to_numpy()
        self._values: NDArray[Any] = column.values.to_numpy()

    def __getitem__(self, i: int) -> list[int]:
        return self._values[self._offsets[i] : self._offsets[i + 1]].tolist()


def _only_chunk(column: pa.ChunkedArray) -> Any:
    assert column.num_chunks == 1, "a plan is written as one batch"
    return column.chunk(0)


# Making


@functools.cache
def _code() -> str:
    """Hash of the code that makes a plan, and of the library that inflects."""
    digest = hashlib.sha256(importlib.metadata.version("lemminflect").encode())
    here = Path(__file__)
    for file in (here, *sorted((here.parent / "negatives").glob("*"))):
        if file.is_file():
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def _key(fingerprint: str) -> str:
    return hashlib.sha256(f"{FORMAT} {fingerprint} {_code()}".encode()).hexdigest()[:16]


def _make(database: Photographs, folder: Path) -> None:
    """Write a plan; it takes its name when it is whole, and older ones go."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    part.mkdir()
    captions, rows = _read_captions(database)
    strings = Strings()
    made = {kind.name: kind.make(captions, strings) for kind in KINDS.values()}
    columns: dict[str, Sequence[Any]] = {"text": [text.parse.text for text in captions.texts], "row": rows}
    for part_of_kind in made.values():
        columns |= part_of_kind.columns
    _write(part / "captions.arrow", _schema(), columns)
    _write(part / "strings.arrow", pa.schema({"string": pa.string()}), {"string": strings.all})
    share = {name: sum(len(entry) > 0 for entry in columns[name]) / max(1, len(rows)) for name in KINDS}
    figures = {name: dict(one.figures) for name, one in made.items()}
    facts = {"format": FORMAT, "share_with": share, "figures": figures}
    (part / "plan.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    part.replace(folder)
    for older in folder.parent.iterdir():
        if older.is_dir() and older != folder:
            shutil.rmtree(older, ignore_errors=True)


def _read_captions(database: Photographs) -> tuple[Captions, list[int]]:
    """All captions, and the row of the database that each belongs to."""
    texts: list[ParsedCaption] = []
    rows: list[int] = []
    for row in progress(range(len(database.split_of)), "negatives: read", " photographs"):
        texts += (own := read_texts(database.parses(row)))
        rows += [row] * len(own)
    splits = [database.split_of[row] for row in rows]
    number = {group: i for i, group in enumerate(dict.fromkeys(database.groups))}
    owner = [number[database.groups[row]] for row in rows]
    # A database without training photographs (a test set) learns from its own captions.
    untrained = "train" not in splits
    return Captions(texts, owner, splits, [untrained or split == "train" for split in splits]), rows


def _schema() -> pa.Schema:
    """Columns of the file of captions; `row` is that of the database."""
    columns = {name: column for kind in KINDS.values() for name, column in kind.schema.items()}
    return pa.schema({"text": pa.string(), "row": pa.int32(), **columns})


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
