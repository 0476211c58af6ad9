"""Swap: one word, or up to three, is replaced by another of its category. "A red car" becomes "a blue car".

`negatives.slots` finds the words that may be swapped, and `negatives.balance` says how often each swap is drawn. The
plan keeps a sample of the possible swaps of each caption.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np
import pyarrow as pa

from common.jobs import progress
from Config import NegativesConfig
from negatives.balance import ROUNDS, Balance, Option
from negatives.company import ParsedCaption
from negatives.edits import Spot, find_spots, needs_repairs, splice, write_edits
from negatives.kind import Captions, Kind, Made, Rows, Strings, in_groups
from negatives.slots import find_slots
from negatives.text import Negative
from negatives.vocabulary import CATEGORIES

POINTS = 48  # a caption's swaps are stored as this many draws, see `sample`; 36 of them are different ones
LONGEST = 30_000  # characters; places in a text are stored as 16-bit numbers
NO_STRING = -1
_CATEGORIES = tuple(CATEGORIES)


class Swap(Kind):
    """One to `NegativesConfig.most_swaps` words of a caption are replaced."""

    name = "swap"
    schema: ClassVar = {
        "slots": pa.list_(pa.int16()),  # category, number of spots, and for each start, end, role, is_content, string
        "swap": pa.list_(pa.int16()),  # slot, with repairs?, string, points
    }
    tells_words = True

    def make(self, captions: Captions, strings: Strings) -> Made:
        known = [text for text, is_known in zip(captions.texts, captions.known) if is_known]
        balance = Balance(known, progress(range(ROUNDS), "negatives: balance", " rounds"))
        slots, options = [], []
        for number, text in enumerate(progress(captions.texts, "negatives: swaps", " captions")):
            own_slots, own_options = plan_caption(text, number, balance, strings)
            slots.append(np.array(own_slots, dtype=np.int16))  # a list of Python's numbers is 10 times as large
            options.append(np.array(own_options, dtype=np.int16))
        return Made({"slots": slots, "swap": options}, {"imbalance": balance.imbalance})

    def draw(
        self, rows: Rows, caption: int, rng: random.Random, settings: NegativesConfig, within: int | None
    ) -> Negative | None:
        options = list(in_groups(rows.numbers("swap", caption), 4))
        if not options:
            return None
        slots = _read_slots(rows, caption)
        if within is not None:
            options = [option for option in options if all(spot.end <= within for spot in slots[option[0]][1])]
        wanted = 1 if settings.most_swaps == 1 else rng.randint(1, settings.most_swaps)
        text, edits, category = rows.text(caption), [], ""
        used: set[str] = set()
        while wanted and options:
            slot, repaired, string, _ = rng.choices(options, [option[3] for option in options])[0]
            number, spots = slots[slot]
            surface = rows.string(string)
            edits += write_edits(text, spots, surface, bool(repaired))
            category, wanted = category or _CATEGORIES[number], wanted - 1
            if wanted:
                used.add(surface)
                free = [not _overlap(spots, other) for _, other in slots]
                options = [o for o in options if free[o[0]] and rows.string(o[2]) not in used]
        return splice(text, edits, "swap", category) if edits else None


def plan_caption(text: ParsedCaption, number: int, balance: Balance, strings: Strings) -> tuple[list[int], list[int]]:
    """The entries of one caption for the columns `slots` and `swap`. number: of the caption; it seeds the sample."""
    if len(text.parse.text) > LONGEST:
        return [], []
    found = balance.options(text)
    if not found:  # all that may be drawn is named by another caption: 0.7 % of Flickr8k
        text = text._replace(slots=find_slots(text.parse, lenient=True))
        found = balance.options(text)
    drawn = sample(found, number)
    used = sorted({option.slot for option, _ in drawn})
    slots: list[int] = []
    for slot in used:
        spots = find_spots(text.parse, text.slots[slot])
        slots += [_CATEGORIES.index(text.slots[slot].category), len(spots)]
        for spot in spots:
            new = strings.number(spot.new) if spot.new else NO_STRING
            slots += [spot.start, spot.end, spot.role, int(spot.is_content), new]
    options: list[int] = []
    for option, count in drawn:
        repaired = needs_repairs(text.slots[option.slot], option.surface)
        options += [used.index(option.slot), int(repaired), strings.number(option.surface), count]
    return slots, options


def sample(options: Sequence[Option], number: int) -> list[tuple[Option, int]]:
    """The options that are hit by POINTS evenly spaced points over their summed chances, with the number of hits.

    Systematic sampling: a caption has 130 options on average, and most of them have next to no chance.
    """
    if not options:
        return []
    offset = random.Random(number).random()
    ends = np.cumsum([option.chance for option in options])
    hit = np.searchsorted(ends, (np.arange(POINTS) + offset) / POINTS * ends[-1])
    counts = np.bincount(np.minimum(hit, len(options) - 1), minlength=len(options))
    return [(option, int(count)) for option, count in zip(options, counts) if count]


def _read_slots(rows: Rows, caption: int) -> list[tuple[int, list[Spot]]]:
    """Category and spots of each slot that a swap of the caption uses."""
    numbers, found, at = rows.numbers("slots", caption), [], 0
    while at < len(numbers):
        category, count = numbers[at : at + 2]
        at += 2 + 5 * count
        spots = [
            Spot(start, end, role, bool(is_content), "" if new == NO_STRING else rows.string(new))
            for start, end, role, is_content, new in in_groups(numbers[at - 5 * count : at], 5)
        ]
        found.append((category, spots))
    return found


def _overlap(spots: Iterable[Spot], others: Sequence[Spot]) -> bool:
    return any(a.start < b.end and b.start < a.end for a in spots for b in others)
