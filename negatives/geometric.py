"""Geometric: a change of a caption that only its boxes refute. "Two dogs" -> "three dogs", "left of" -> "right of".

`negatives.geometry_rules` finds the changes, and `negatives.acceptance` computes how often each is drawn: as many
negatives turn "two" into "three" as "three" into "two". Captions without boxes have no such negative.
"""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import ClassVar

import pyarrow as pa

from common.jobs import progress
from Config import NegativesConfig
from negatives.acceptance import Acceptance, Change, Frequencies, find_change
from negatives.balance import MIN_COUNT, SMALL_CORPUS
from negatives.edits import splice
from negatives.geometry_rules import (
    CATEGORIES,
    NUMBERS,
    SIDES,
    SIZES,
    VERTICAL,
    Refuted,
    SizeRanges,
    find_refuted,
    sizes_said,
)
from negatives.kind import Captions, Kind, PlanPart, PlanReader, StringTable
from negatives.planned_edits import draw_packed, pack
from negatives.text import Negative
from negatives.things import Photograph, Reading


class Geometric(Kind):
    """One change of a caption that its boxes refute."""

    name = "geometric"
    schema: ClassVar = {"geometric": pa.list_(pa.int32())}  # see `planned_edits`
    has_categories = True
    cost = 2.5
    # A number, a direction or a size is false itself. What only changes places is true of something else.
    FALSE_WORDS: ClassVar = {NUMBERS, SIDES, VERTICAL, SIZES}

    def make(self, captions: Captions, strings: StringTable) -> PlanPart:
        refuted = list(_all_refuted(captions))
        if not any(refuted):  # captions without boxes
            return PlanPart({"geometric": refuted}, {"share_with": dict.fromkeys(CATEGORIES, 0.0)})
        train = Frequencies(caption.parse.text for caption in itertools.compress(captions.parsed, captions.learn_from))
        least = MIN_COUNT if sum(captions.learn_from) >= SMALL_CORPUS else 1
        proposed = [
            [each for each in _with_changes(caption.parse.text, own) if _is_common(each[1], train, least)]
            for caption, own in zip(captions.parsed, refuted)
        ]
        planned: list[list[int]] = [[] for _ in proposed]
        share = {}
        for category in CATEGORIES:
            those = {i: [each for each in own if each[0].category == category] for i, own in enumerate(proposed)}
            those = {i: own for i, own in those.items() if own}
            learned = [i for i in those if captions.learn_from[i]]
            fitted = Acceptance(
                train,
                [change for i in learned for _, change in those[i]],
                [number for number, i in enumerate(learned) for _ in those[i]],
            )
            for i, own in those.items():
                chances = fitted.chances([change for _, change in own], captions.learn_from[i])
                for (one, _), chance in zip(own, chances):
                    planned[i] += pack(strings, category, chance, one.edits)
            share[category] = len(those) / max(1, len(proposed))
        return PlanPart({"geometric": planned}, {"share_with": share})

    def draw(
        self, plan: PlanReader, caption: int, rng: random.Random, settings: NegativesConfig, within: int | None
    ) -> Negative | None:
        return draw_packed(plan, "geometric", caption, rng, within)

    def changes_are_false(self, negative: Negative) -> bool:
        return negative.category in self.FALSE_WORDS


def _all_refuted(captions: Captions) -> Iterator[list[Refuted]]:
    """The changes of each caption that its boxes refute, without those that give another caption of the photograph."""
    rows = zip(captions.owner, captions.parsed, captions.learn_from, captions.regions())
    areas: dict[int, list[float]] = defaultdict(list)
    found: list[list[Refuted]] = []
    bar = progress(rows, "negatives: geometry", " captions", len(captions.parsed))
    for _, group in itertools.groupby(bar, key=itemgetter(0)):
        own = list(group)
        if not any(regions for *_, regions in own):
            found += [[] for _ in own]
            continue
        readings = [Reading(caption, regions) for _, caption, _, regions in own]
        photograph = Photograph.of(readings)
        true = {caption.parse.text for _, caption, _, _ in own}
        for reading, (_, _, learn, _) in zip(readings, own):
            for size, one in sizes_said(reading) if learn else ():
                areas[size].append(one)
            seen = set(true)
            kept = []
            for refuted in find_refuted(photograph, reading):
                new = _text_after(reading.parse.text, refuted)
                if new not in seen:
                    seen.add(new)
                    kept.append(refuted)
            found.append(kept)
    ranges = SizeRanges(areas)
    for refuted_here in found:
        yield [one for one in refuted_here if one.size[0] < 0 or ranges.decide(one.areas, *one.size)]


def _with_changes(text: str, found: Sequence[Refuted]) -> list[tuple[Refuted, Change]]:
    """Each change of a caption with what it does to the words.

    One of the caption's categories is proposed at random, then one of its changes.
    """
    categories = len({one.category for one in found})
    return [(one, find_change(text, _text_after(text, one), categories, words=True)) for one in found]


def _is_common(change: Change, train: Frequencies, least: int) -> bool:
    """Are the new words frequent enough in the training captions? Models read rarer ones as <unk>."""
    return all(train.words[gram[0]] >= least for gram in change.added if len(gram) == 1)


def _text_after(text: str, one: Refuted) -> str:
    return splice(text, one.edits, "geometric", one.category).text
