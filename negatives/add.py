"""Add: a caption loses a phrase and gets one of another photograph: "a shorter caption + a false phrase".

"A man and a dog walk" -> "a man and a woman walk". `negatives.add_rules` finds the phrases that a caption can do
without, `negatives.add_truth` decides whether a phrase is false of a photograph, and `negatives.pairing` lets captions
exchange their phrases, so that every phrase is as frequent in negatives as in captions.
"""

from __future__ import annotations

import itertools
import random
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import numpy as np
import pyarrow as pa

from common.jobs import progress
from Config import NegativesConfig
from negatives.acceptance import Acceptance, Change, Frequencies, find_change
from negatives.add_attributes import MIN_TOGETHER, Every, count_together, read_attributes
from negatives.add_rules import ATTRIBUTE, CATEGORIES, Added, read_added
from negatives.add_sides import Gain, Table
from negatives.edits import splice
from negatives.kind import Captions, Kind, PlanPart, PlanReader, Ragged, StringTable
from negatives.pairing import FIT_CAPTIONS, Fit, make_pairs
from negatives.parsed_caption import content_lemmas
from negatives.planned_edits import draw_packed, pack, packed_categories
from negatives.text import Edit, Negative


class Add(Kind):
    """A phrase of a caption is replaced by a phrase that is false of the photograph."""

    name = "add"
    schema: ClassVar = {"add": pa.list_(pa.int32())}  # see `planned_edits`
    has_categories = True
    changed_words_are_false = True
    cost = 5.0

    def make(self, captions: Captions, strings: StringTable) -> PlanPart:
        planner, planned = _Planner(captions), _Planned()
        room = array("d", [1.0]) * len(captions.parsed)  # the chance that is left
        for i, edits, chance in planner.exchanged_attributes():
            planned.append(i, pack(strings, ATTRIBUTE, chance, edits))
            room[i] -= chance
        table, usable = planner.table, planner.table.usable(planner.together, MIN_TOGETHER)
        for split in sorted(set(captions.splits)):
            sides = array("i", [side for side in usable if captions.splits[table.caption[side]] == split])
            pairs = make_pairs(table.columns(sides), *planner.rules(sides))
            for a, b, chance in progress(pairs, "negatives: write phrases", " pairs"):
                one, two = sides[a], sides[b]
                chance *= min(room[table.caption[one]], room[table.caption[two]])
                for own, other in ((one, two), (two, one)):
                    entry = pack(strings, table.extra(other).category, chance, table.edits(own, other))
                    planned.append(table.caption[own], entry)
        lists = planned.by_caption(len(captions.parsed))
        return PlanPart({"add": lists}, {"share_with": _shares(lists, strings)})

    def draw(
        self, plan: PlanReader, caption: int, rng: random.Random, settings: NegativesConfig, within: int | None
    ) -> Negative | None:
        return draw_packed(plan, "add", caption, rng, within)


class _Planner:
    """All captions with what they give and get, and the statistics of the training captions."""

    def __init__(self, captions: Captions) -> None:
        self._captions = captions
        self.table, self._train = Table(captions.owner), Frequencies()
        self.together: Counter[tuple[str, str]] = Counter()
        # Caption -> its text, and its possible exchanges of attributes: (attribute and noun, edits, new text)
        self._possible: dict[int, tuple[str, list[tuple[tuple[str, str], Sequence[Edit], str]]]] = {}
        learned = (i for i, learn in enumerate(captions.learn_from) if learn)
        self._counted = frozenset(itertools.islice(learned, FIT_CAPTIONS))
        self._counted_lemmas: list[frozenset[str]] = []
        for own in captions.photographs("negatives: add"):
            read = [(i, read_added(caption)) for i, caption in own]
            for i, one in read:
                if captions.learn_from[i]:
                    self._learn(i, one)
            self._add(captions.owner[own[0][0]], read)
        self._fit = Fit(self._counted_lemmas)

    def _learn(self, i: int, one: Added) -> None:
        self.together.update(count_together([one]))
        self._train.add(one.caption.parse.text)
        if i in self._counted:
            self._counted_lemmas.append(frozenset(content_lemmas(one.caption)))

    def _add(self, owner: int, own: Sequence[tuple[int, Added]]) -> None:
        """Add the captions of a photograph."""
        read = [one for _, one in own]
        self.table.add_photograph(owner, read)
        true = {one.caption.parse.text for one in read}
        for (i, one), attributes in zip(own, read_attributes(read, Every())):
            self.table.add_caption(i, one, frozenset(content_lemmas(one.caption)), attributes)
            text = one.caption.parse.text
            found: list[tuple[tuple[str, str], Sequence[Edit], str]] = [
                (said, edits, splice(text, edits, "add", ATTRIBUTE).text) for said, edits in attributes.exchanged(one)
            ]
            if kept := [each for each in found if each[2] not in true]:
                self._possible[i] = text, kept

    def rules(self, sides: Sequence[int]) -> tuple[Callable[[int, int], bool], Callable[[int, int], float]]:
        """The functions `can` and `gain` of `make_pairs`, for places in a list of sides."""
        can, gain = self.table.can, Gain(self.table, self._fit, self._counted)
        return lambda one, two: can(sides[one], sides[two]), lambda one, two: gain(sides[one], sides[two])

    def exchanged_attributes(self) -> Iterator[tuple[int, Sequence[Edit], float]]:
        """(caption, edits, chance): a caption loses an attribute of one noun and gets one for another noun."""
        possible: dict[int, list[tuple[Sequence[Edit], Change]]] = {}
        for i in sorted(self._possible, key=lambda i: (self._captions.owner[i], i)):
            text, found = self._possible[i]
            kept = [(edits, new) for said, edits, new in found if self.together[said] >= MIN_TOGETHER]
            if kept:
                possible[i] = [(edits, find_change(text, new, 1, words=True)) for edits, new in kept]
        learned = [i for i in possible if self._captions.learn_from[i]]
        changes = [change for i in learned for _, change in possible[i]]
        fitted = Acceptance(self._train, changes, [number for number, i in enumerate(learned) for _ in possible[i]])
        for i, some in possible.items():
            chances = fitted.chances([change for _, change in some], self._captions.learn_from[i])
            for (edits, _), chance in zip(some, chances):
                yield i, edits, chance


class _Planned:
    """The entries of all captions in the order in which they are made, in arrays."""

    def __init__(self) -> None:
        self._caption, self._entries = array("i"), Ragged()

    def append(self, caption: int, entry: Sequence[int]) -> None:
        if entry:
            self._caption.append(caption)
            self._entries.append(entry)

    def by_caption(self, size: int) -> Ragged:
        """The entries of each of `size` captions, one after the other."""
        captions, ends = np.frombuffer(self._caption, np.int32), np.frombuffer(self._entries.ends, np.int64)
        values, lengths = np.frombuffer(self._entries.values, np.int32), np.diff(ends)
        order = np.argsort(captions, kind="stable")
        lists = Ragged()
        for some in np.array_split(order, 1 + len(order) // 100_000):  # limits the memory of the indices
            count = lengths[some]
            places = np.repeat(ends[some] - (np.cumsum(count) - count), count) + np.arange(count.sum())
            lists.values.frombytes(values[places].tobytes())
        total = np.bincount(captions, lengths, minlength=size).astype(np.int64)
        lists.ends.frombytes(np.cumsum(total).tobytes())
        return lists


def _shares(planned: Sequence[Sequence[int]], strings: StringTable) -> dict[str, float]:
    """Category -> the fraction of captions that can have a negative of it."""
    have = Counter(category for own in planned for category in set(packed_categories(own)))
    return {category: have[strings.number(category)] / max(1, len(planned)) for category in CATEGORIES}
