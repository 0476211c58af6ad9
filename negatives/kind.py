"""The base class of all kinds of hard negatives: how a kind makes its part of the plan, and draws a negative from it.

To add a kind, write `negatives/NAME.py` with a subclass of `Kind`, add a line to `KINDS` in `Negative_map.py` and the
kind's weight to `NegativesConfig` in `Config.py`. Plan, training, evaluation and scripts read `KINDS`.
"""

from __future__ import annotations

import itertools
import random
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, ClassVar, NamedTuple, Protocol

import pyarrow as pa

from common.jobs import progress
from common.regions import Region
from Config import NegativesConfig
from negatives.parsed_caption import ParsedCaption
from negatives.text import Negative

PER_MILLE = 1000  # a plan stores chances as whole numbers of thousandths


def _no_regions() -> Iterator[tuple[Region, ...]]:
    return itertools.repeat(())


class Captions(NamedTuple):
    """All captions of a database, in the order of its rows. The index in these lists is the number of a caption.

    `parsed` can be on the disk (`negatives.stored`): go through it in its order, and keep no caption. In memory a
    caption takes 8 kB; 592,000, as many as COCO has, take 5 GB.
    """

    parsed: Sequence[ParsedCaption]
    owner: Sequence[int]  # number of the photograph of each caption; one photograph can be stored as two rows
    splits: Sequence[str]
    learn_from: Sequence[bool]  # statistics are counted in these: the training captions, or all if there are none
    regions: Callable[[], Iterator[tuple[Region, ...]]] = _no_regions  # iterates over the regions of each caption

    def photographs(self, what: str) -> Iterator[list[tuple[int, ParsedCaption]]]:
        """(number, caption) of all captions of each photograph, as soon as they are read. what: for a progress bar.

        Memory holds those of one photograph, and of those that are stored as several rows.
        """
        last = {owner: i for i, owner in enumerate(self.owner)}
        waiting: dict[int, list[tuple[int, ParsedCaption]]] = {}
        for i, (caption, owner) in enumerate(zip(progress(self.parsed, what, " captions"), self.owner)):
            waiting.setdefault(owner, []).append((i, caption))
            if last[owner] == i:
                yield waiting.pop(owner)


class StringTable:
    """The strings of a kind's part of the plan, which its columns refer to by number."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, string: str) -> int:
        """The number of a string, which is added if it is new."""
        found = self._numbers.get(string)
        if found is None:
            found = self._numbers[string] = len(self.all)
            self.all.append(string)
        return found


class Ragged(Sequence[Sequence[int]]):
    """Lists of whole numbers in one array: 4 bytes a number, or 2; in a list of Python it takes 36."""

    def __init__(self, typecode: str = "i"):
        """typecode: "i" for 32 bits, "h" for 16, see `array.array`."""
        self.values, self.ends = array(typecode), array("q", [0])

    def append(self, numbers: Iterable[int]) -> None:
        """Add a list. OverflowError if a number does not fit."""
        self.values.extend(numbers)
        self.ends.append(len(self.values))

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, i: Any) -> Any:
        return self.values[self.ends[i] : self.ends[i + 1]]


class PlanPart(NamedTuple):
    """What one kind writes into the plan."""

    columns: Mapping[
        str, Sequence[Sized]
    ]  # by the names in `Kind.schema`: for each caption a list of numbers (`Ragged`)
    figures: Mapping[str, Any] = {}  # written to plan.json, for people to read


class PlanReader(Protocol):
    """The methods of an opened plan (`Negative_map.Plan`) that a kind draws with. A caption is given by its number."""

    def text(self, caption: int) -> str: ...

    def numbers(self, column: str, caption: int) -> list[int]: ...

    def string(self, kind: str, number: int) -> str: ...


class Kind(ABC):
    """A kind of hard negative. It has no state: everything that drawing needs is in the plan.

    name: also the name of its weight in `NegativesConfig`.
    schema: the kind's columns in the plan, each a list of integers per caption. The column with the name of the kind
        is empty for a caption that has no negative of this kind.
    changed_words_are_false: every word in `Negative.changed` is false of the photograph, so that training can teach
        the model which words are false. `changes_are_false` says it of one negative.
    has_categories: evaluations show a row for each `Negative.category`.
    rewrites: a negative is its caption with some words changed. False: it is another text, such as a caption of
        another photograph.
    cost: time of `make`, relative to other kinds (CPU seconds for 4,000 captions). The longest begins first.
    """

    name: ClassVar[str]
    schema: ClassVar[Mapping[str, pa.ListType]]
    changed_words_are_false: ClassVar[bool] = False
    has_categories: ClassVar[bool] = False
    rewrites: ClassVar[bool] = True
    cost: ClassVar[float] = 1.0

    @abstractmethod
    def make(self, captions: Captions, strings: StringTable) -> PlanPart:
        """The kind's part of the plan, for all captions of a database."""

    @abstractmethod
    def draw(
        self, plan: PlanReader, caption: int, rng: random.Random, settings: NegativesConfig, within: int | None
    ) -> Negative | None:
        """A random negative of a caption, or None.

        None if the caption has no negative of this kind, or if chance decides to draw none: some kinds do so to keep
        negatives as likely as true captions.

        within: change only characters before this offset in the caption; None: no limit.
        """

    def changes_are_false(self, negative: Negative) -> bool:
        """Is every word in `negative.changed` false of the photograph?"""
        return self.changed_words_are_false


def in_groups(numbers: Sequence[int], size: int) -> Iterator[tuple[int, ...]]:
    """Split a list of numbers into tuples of `size`."""
    return zip(*[iter(numbers)] * size)
