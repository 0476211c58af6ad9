"""What a kind of hard negative is: how its part of the plan is made, and how a negative is drawn from it.

To add a kind, write `negatives/NAME.py` with a subclass of `Kind`, add a line to `KINDS` in `Negative_map.py` and the
kind's weight to `NegativesConfig` in `Config.py`. Plan, training, evaluation and scripts read `KINDS`.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence, Sized
from typing import Any, ClassVar, NamedTuple, Protocol

import pyarrow as pa

from Config import NegativesConfig
from negatives.company import ParsedCaption
from negatives.text import Negative

PER_MILLE = 1000  # chances are stored as whole numbers


class Captions(NamedTuple):
    """All captions of a database, in the order of its rows. A caption is its number in these lists."""

    texts: Sequence[ParsedCaption]
    owner: Sequence[int]  # photograph of each caption; one photograph may be stored as two rows
    splits: Sequence[str]
    known: Sequence[bool]  # what the plan may learn from: the training captions, or all captions if there are none


class Strings:
    """Strings of a plan by number. All kinds share them; the first kind in `KINDS` has the lowest numbers."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, string: str) -> int:
        found = self._numbers.get(string)
        if found is None:
            found = self._numbers[string] = len(self.all)
            self.all.append(string)
        return found


class Made(NamedTuple):
    """What a kind writes into the plan."""

    columns: Mapping[str, Sequence[Sized]]  # by the names in its schema: for each caption a list or array of numbers
    figures: Mapping[str, Any] = {}  # for people who read plan.json


class Rows(Protocol):
    """What a kind reads of an opened plan; `Negative_map.Plan` is one."""

    def text(self, caption: int) -> str: ...

    def numbers(self, column: str, caption: int) -> list[int]: ...

    def string(self, number: int) -> str: ...


class Kind(ABC):
    """A kind of hard negative. It has no state: what it needs to draw is in the plan.

    name: also the name of its weight in `NegativesConfig`.
    schema: its columns in the plan, lists of numbers. The column with the name of the kind is empty for a caption
        that has no negative of this kind.
    tells_words: each of the words in `Negative.changed` is false of the photograph. Training may then teach a model
        which words are false.
    rewrites: a negative is its caption with some words changed, and not another text.
    """

    name: ClassVar[str]
    schema: ClassVar[Mapping[str, pa.ListType]]
    tells_words: ClassVar[bool] = False
    rewrites: ClassVar[bool] = True

    @abstractmethod
    def make(self, captions: Captions, strings: Strings) -> Made:
        """The part of the plan for all captions."""

    @abstractmethod
    def draw(
        self, rows: Rows, caption: int, rng: random.Random, settings: NegativesConfig, within: int | None
    ) -> Negative | None:
        """A negative of a caption. None if it has none, or if chance gives none, so that negatives stay as likely as
        true captions.

        within: change nothing after this character of the caption; None: no limit.
        """


def in_groups(numbers: Sequence[int], size: int) -> Iterator[tuple[int, ...]]:
    """Split a list of numbers into tuples of `size`."""
    return zip(*[iter(numbers)] * size)
