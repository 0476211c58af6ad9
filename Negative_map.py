"""The plan of a database: everything from which hard negatives are drawn, worked out once, and the drawing itself.

    plan = Plan.open(database)                          # made on first use, with bars: 20 s for 30,000 captions
    negative = plan.draw(caption, rng, NegativesConfig())

A plan holds for every caption its possible swaps with their chances (`negatives.balance`), its exchanges
(`negatives.exchange`) and its pairs with captions of other photographs (`negatives.mined`). Drawing needs no parser and
no parse: it picks an entry and splices a few characters.

It lies beside the pictures in a folder named after a hash of the database and of the code that makes it: changed rules
are another plan, and take effect at the next use without anything else being built again.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import itertools
import json
import random
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import filelock
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from common.jobs import progress
from Config import NegativesConfig
from negatives.acceptance import Acceptance, Change, find_change
from negatives.balance import ROUNDS, Balance, Option, Text, read_texts
from negatives.edits import Edit, Spot, find_spots, needs_repairs, splice, write_edits
from negatives.exchange import Exchange, find_exchanges
from negatives.mined import mine
from negatives.slots import find_slots
from negatives.text import Negative, Parse
from negatives.vocabulary import CATEGORIES
from Tokenizer_lib import split_words

FORMAT = 1
COLUMN_OF = {"swap": "options", "exchange": "exchanges", "mined": "mined"}
KINDS = tuple(COLUMN_OF)  # of those that belong to one caption; the batch gives the others
Numbers = NDArray[np.int16]
POINTS = 48  # a caption's swaps are stored as this many draws, see `_points`; 36 of them are different ones
LONGEST = 30_000  # characters; places in a text are stored as 16-bit numbers
PER_MILLE = 1000

_SCHEMA = pa.schema(
    {
        "text": pa.string(),
        "row": pa.int32(),  # of the database
        "slots": pa.list_(pa.int16()),  # category, number of spots, and of each start, end, role, is_content, string
        "options": pa.list_(pa.int16()),  # slot, with repairs?, string, points
        "exchanges": pa.list_(pa.int32()),  # category, chance, number of edits, and of each start, end, string, content
        "mined": pa.list_(pa.int32()),  # caption, chance
    }
)
_CATEGORIES = tuple(CATEGORIES)


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
        self._lists = {name: _Lists(_only_chunk(table[name])) for name in ("slots", "options", "exchanges", "mined")}
        self._strings = _only_chunk(pa.ipc.open_file(pa.memory_map(str(folder / "strings.arrow"))).read_all()["string"])
        self.facts: dict[str, Any] = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        self._exchange_categories: list[str] = self.facts["exchange_categories"]

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
        weights = {kind: getattr(settings, kind) for kind in KINDS}
        while kinds := [kind for kind, weight in weights.items() if weight > 0]:
            kind = rng.choices(kinds, [weights[kind] for kind in kinds])[0]
            negative = self.draw_kind(kind, caption, rng, settings.most_swaps, within)
            if negative is not None:
                return negative
            del weights[kind]
        return None

    def draw_kind(
        self, kind: str, caption: int, rng: random.Random, most_swaps: int = 1, within: int | None = None
    ) -> Negative | None:
        """A hard negative of one kind; None if the caption has none, or if chance keeps the balance by giving none."""
        if kind == "swap":
            return self._swap(caption, rng, most_swaps, within)
        if kind == "exchange":
            return self._exchange(caption, rng, within)
        if kind == "mined":
            return self._mined(caption, rng)
        raise ValueError(f"there is no kind {kind!r}; choose from {', '.join(KINDS)}")

    def has(self, kind: str, caption: int) -> bool:
        """Can a negative of this kind be drawn at all?"""
        return bool(self._lists[COLUMN_OF[kind]][caption])

    def _swap(self, caption: int, rng: random.Random, most: int, within: int | None) -> Negative | None:
        options = self._options(caption)
        if not options:
            return None
        slots = self._slots(caption)
        if within is not None:
            options = [option for option in options if all(spot[1] <= within for spot in slots[option[0]][1])]
        wanted = 1 if most == 1 else rng.randint(1, most)
        text, edits, category = self.text(caption), [], ""
        used: set[str] = set()
        while wanted and options:
            slot, repaired, string, _ = rng.choices(options, [option[3] for option in options])[0]
            name, spots = slots[slot]
            surface = self._strings[string].as_py()
            edits += write_edits(text, spots, surface, bool(repaired))
            category, wanted = category or _CATEGORIES[name], wanted - 1
            if wanted:
                used.add(surface)
                free = [not _overlap(spots, other) for _, other in slots]
                options = [o for o in options if free[o[0]] and self._strings[o[2]].as_py() not in used]
        return splice(text, edits, "swap", category) if edits else None

    def _options(self, caption: int) -> list[tuple[int, ...]]:
        numbers = self._lists["options"][caption]
        return list(zip(*[iter(numbers)] * 4))

    def _slots(self, caption: int) -> list[tuple[int, list[Spot]]]:
        numbers = iter(self._lists["slots"][caption])
        return [
            (
                category,
                [
                    Spot(next(numbers), next(numbers), next(numbers), bool(next(numbers)), self._string(next(numbers)))
                    for _ in range(next(numbers))
                ],
            )
            for category in numbers
        ]

    def _string(self, number: int) -> str:
        return "" if number < 0 else self._strings[number].as_py()

    def _exchange(self, caption: int, rng: random.Random, within: int | None) -> Negative | None:
        numbers = self._lists["exchanges"][caption]
        if not numbers:
            return None
        draw, at = rng.randrange(PER_MILLE), 0
        while at < len(numbers):
            category, chance, count = numbers[at : at + 3]
            at += 3 + 4 * count
            draw -= chance
            if draw < 0:
                edits: list[Edit] = [
                    (start, end, self._strings[string].as_py(), bool(content))
                    for start, end, string, content in zip(*[iter(numbers[at - 4 * count : at])] * 4)
                ]
                if within is not None and any(end > within for _, end, _, _ in edits):
                    return None
                return splice(self.text(caption), edits, "exchange", self._exchange_categories[category])
        return None

    def _mined(self, caption: int, rng: random.Random) -> Negative | None:
        numbers = self._lists["mined"][caption]
        draw = rng.randrange(PER_MILLE)
        for other, chance in zip(*[iter(numbers)] * 2):
            draw -= chance
            if draw < 0:
                text = self.text(other)
                return Negative(text, "mined", "mined", other_words(self.text(caption), text))
        return None


def other_words(caption: str, negative: str) -> tuple[tuple[int, int], ...]:
    """Spans of the words of `negative` that `caption` does not have."""
    known = {word.text for word in split_words(caption)}
    return tuple((word.start, word.end) for word in split_words(negative) if word.text not in known)


def _overlap(spots: Iterable[Spot], others: Iterable[Spot]) -> bool:
    others = list(others)
    return any(a.start < b.end and b.start < a.end for a in spots for b in others)


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
    texts: list[Text] = []
    rows: list[int] = []
    for row in progress(range(len(database.split_of)), "negatives: read", " photographs"):
        texts += (own := read_texts(database.parses(row)))
        rows += [row] * len(own)
    splits = [database.split_of[row] for row in rows]
    number = {group: i for i, group in enumerate(dict.fromkeys(database.groups))}
    owner = [number[database.groups[row]] for row in rows]
    # What the training captions hold is known; a database of test photographs alone is balanced to itself.
    known = [split == "train" or "train" not in splits for split in splits]
    strings = _Strings()
    balance = Balance(list(itertools.compress(texts, known)), progress(range(ROUNDS), "negatives: balance", " rounds"))
    slots, options = _plan_swaps(texts, balance, strings)
    exchanges, categories = _plan_exchanges(texts, owner, known, strings)
    mined = _plan_pairs(texts, owner, splits)
    columns: dict[str, Sequence[Any]] = {"slots": slots, "options": options, "exchanges": exchanges, "mined": mined}
    own_texts = [text.parse.text for text in texts]
    _write(part / "captions.arrow", _SCHEMA, {"text": own_texts, "row": rows, **columns})
    _write(part / "strings.arrow", pa.schema({"string": pa.string()}), {"string": strings.all})
    share = {
        kind: sum(len(entry) > 0 for entry in columns[name]) / max(1, len(texts)) for kind, name in COLUMN_OF.items()
    }
    facts = {"format": FORMAT, "share_with": share, "imbalance": balance.imbalance, "exchange_categories": categories}
    (part / "plan.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    part.replace(folder)
    for older in folder.parent.iterdir():
        if older.is_dir() and older != folder:
            shutil.rmtree(older, ignore_errors=True)


def _plan_swaps(texts: Sequence[Text], balance: Balance, strings: _Strings) -> tuple[list[Numbers], list[Numbers]]:
    """The slots of every caption and its options, see `_SCHEMA`."""
    slots, options = [], []
    for number, text in enumerate(progress(texts, "negatives: swaps", " captions")):
        own_slots, own_options = _swaps(text, number, balance, strings)
        slots.append(np.array(own_slots, dtype=np.int16))  # a list of Python's numbers is 10 times as large
        options.append(np.array(own_options, dtype=np.int16))
    return slots, options


def _plan_exchanges(
    texts: Sequence[Text], owner: Sequence[int], known: Sequence[bool], strings: _Strings
) -> tuple[list[list[int]], list[str]]:
    """The exchanges of every caption, see `_SCHEMA`, and the names of their categories."""
    said = {(photograph, text.parse.text) for photograph, text in zip(owner, texts)}
    exchanges = [
        [found for found in find_exchanges(text.parse) if (photograph, _exchanged(text, found)) not in said]
        for photograph, text in zip(owner, progress(texts, "negatives: exchanges", " captions"))
    ]
    changes = [_changes(text, found) for text, found in zip(texts, exchanges)]
    acceptance = Acceptance(
        [text.parse.text for text in itertools.compress(texts, known)],
        list(itertools.chain.from_iterable(itertools.compress(changes, known))),
    )
    names = sorted({exchange.category for found in exchanges for exchange in found})
    planned = []
    for found, own, is_known in zip(exchanges, changes, known):
        numbers: list[int] = []
        for exchange, change in zip(found, own):
            if chance := round(acceptance.chance(change, is_known) * PER_MILLE):
                numbers += [names.index(exchange.category), chance, len(exchange.edits)]
                for start, end, phrase, content in exchange.edits:
                    numbers += [start, end, strings.number(phrase), int(content)]
        planned.append(numbers)
    return planned, names


def _changes(text: Text, exchanges: Sequence[Exchange]) -> list[Change]:
    return [find_change(text.parse.text, _exchanged(text, exchange), len(exchanges)) for exchange in exchanges]


def _exchanged(text: Text, exchange: Exchange) -> str:
    return splice(text.parse.text, exchange.edits, "exchange", exchange.category).text


def _plan_pairs(texts: Sequence[Text], owner: Sequence[int], splits: Sequence[str]) -> list[list[int]]:
    """The captions of other photographs that are negatives of each caption, see `_SCHEMA`."""
    planned: list[list[int]] = [[] for _ in texts]
    for split in sorted(set(splits)):
        inside = [i for i, own in enumerate(splits) if own == split]
        with progress(None, f"negatives: pairs of {split}", " captions", len(inside)) as bar:
            chances = mine([texts[i] for i in inside], [owner[i] for i in inside], bar.update)
        for place, i in enumerate(inside):
            few = slice(chances.indptr[place], chances.indptr[place + 1])
            for j, chance in zip(chances.indices[few], chances.data[few]):
                planned[i] += [inside[j], round(chance * PER_MILLE)]
    return planned


class _Strings:
    """Strings by number; the words that swaps draw come first and few, so that 16 bits hold their numbers."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, string: str) -> int:
        found = self._numbers.get(string)
        if found is None:
            found = self._numbers[string] = len(self.all)
            self.all.append(string)
        return found


def _swaps(text: Text, number: int, balance: Balance, strings: _Strings) -> tuple[list[int], list[int]]:
    if len(text.parse.text) > LONGEST:
        return [], []
    found = balance.options(text)
    if not found:  # all that may be drawn is named by another caption: 0.7 % of Flickr8k
        text = text._replace(slots=find_slots(text.parse, lenient=True))
        found = balance.options(text)
    points = _points(found, number)
    used = sorted({option.slot for option, _ in points})
    slots: list[int] = []
    for slot in used:
        spots = find_spots(text.parse, text.slots[slot])
        slots += [_CATEGORIES.index(text.slots[slot].category), len(spots)]
        for spot in spots:
            new = strings.number(spot.new) if spot.new else -1
            slots += [spot.start, spot.end, spot.role, int(spot.is_content), new]
    options: list[int] = []
    for option, count in points:
        repaired = needs_repairs(text.slots[option.slot], option.surface)
        options += [used.index(option.slot), int(repaired), strings.number(option.surface), count]
    return slots, options


def _points(options: Sequence[Option], number: int) -> list[tuple[Option, int]]:
    """The options that POINTS evenly spaced points hit, with how many: each expects what its chance says.

    Systematic sampling: a caption has 130 options on average, most of them of next to no chance.
    """
    if not options:
        return []
    offset = random.Random(number).random()
    ends = np.cumsum([option.chance for option in options])
    hit = np.searchsorted(ends, (np.arange(POINTS) + offset) / POINTS * ends[-1])
    counts = np.bincount(np.minimum(hit, len(options) - 1), minlength=len(options))
    return [(option, int(count)) for option, count in zip(options, counts) if count]


def _write(path: Path, schema: pa.Schema, columns: Mapping[str, Sequence]) -> None:
    batch = pa.record_batch([_column(columns[field.name], field.type) for field in schema], schema=schema)
    with pa.ipc.new_file(str(path), schema) as file:
        file.write_batch(batch)


def _column(values: Sequence, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_list(kind):
        return pa.array(values, kind)
    ends = np.cumsum([0, *map(len, values)], dtype=np.int32)
    flat = np.concatenate([*values, np.zeros(0)]).astype(kind.value_type.to_pandas_dtype())
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(flat))
