"""Swap: one to three words of a caption are replaced by others of their categories. "A red car" -> "a blue car".

`negatives.slots` finds the words that can be swapped, and `negatives.balance` computes how often each swap is drawn.
The plan stores a sample of the possible swaps of each caption.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np
import pyarrow as pa

from common.jobs import progress
from Config import NegativesConfig
from negatives.balance import Balance, Option
from negatives.edits import Spot, find_spots, needs_repairs, splice, write_edits
from negatives.kind import Captions, Kind, PlanPart, PlanReader, Ragged, StringTable, in_groups
from negatives.parsed_caption import ParsedCaption
from negatives.slots import find_slots
from negatives.stored import Selection
from negatives.text import Negative
from negatives.vocabulary import CATEGORIES

POINTS = 48  # sampled points per caption, see `sample`; they hit 36 different swaps on average
LONGEST = 30_000  # characters of a caption; offsets are stored as 16-bit integers
NO_STRING = -1
_CATEGORIES = tuple(CATEGORIES)
GEOMETRIC = frozenset({"number", "relation"})  # what only counting and comparing places can refute


class Swap(Kind):
    """One to `NegativesConfig.most_swaps` words of a caption are replaced."""

    name = "swap"
    cost = 6.0
    schema: ClassVar = {
        # Per slot: category, number of spots, and for each spot start, end, role, is_content, string.
        "slots": pa.list_(pa.int16()),
        # Per option: slot, 1 if it needs repairs, string, number of points (see `sample`).
        "swap": pa.list_(pa.int16()),
    }
    changed_words_are_false = True
    has_categories = True

    def make(self, captions: Captions, strings: StringTable) -> PlanPart:
        learned = [i for i, learn in enumerate(captions.learn_from) if learn]
        balance = Balance(Selection(captions.parsed, learned))
        slots, options = Ragged("h"), Ragged("h")
        for number, caption in enumerate(progress(captions.parsed, "negatives: plan swaps", " captions")):
            own_slots, own_options = plan_caption(caption, number, balance, strings)
            slots.append(own_slots)
            options.append(own_options)
        return PlanPart({"slots": slots, "swap": options}, {"imbalance": balance.imbalance})

    def draw(
        self, plan: PlanReader, caption: int, rng: random.Random, settings: NegativesConfig, within: int | None
    ) -> Negative | None:
        options = list(in_groups(plan.numbers("swap", caption), 4))
        if not options:
            return None
        slots = _read_slots(plan, caption)
        if within is not None:
            options = [option for option in options if all(spot.end <= within for spot in slots[option[0]][1])]
        wanted = 1 if settings.most_swaps == 1 else rng.randint(1, settings.most_swaps)
        text, edits, category = plan.text(caption), [], ""
        used: set[str] = set()
        while wanted and options:
            factors = [settings.geometry if _CATEGORIES[slots[o[0]][0]] in GEOMETRIC else 1.0 for o in options]
            chances = [option[3] * factor for option, factor in zip(options, factors)]
            slot, repaired, string, _ = rng.choices(options, chances)[0]
            number, spots = slots[slot]
            surface = plan.string("swap", string)
            edits += write_edits(text, spots, surface, bool(repaired))
            category, wanted = category or _CATEGORIES[number], wanted - 1
            if wanted:
                used.add(surface)
                free = [not _overlap(spots, other) for _, other in slots]
                options = [o for o in options if free[o[0]] and plan.string("swap", o[2]) not in used]
        return splice(text, edits, "swap", category) if edits else None


def plan_caption(
    caption: ParsedCaption, number: int, balance: Balance, strings: StringTable
) -> tuple[list[int], list[int]]:
    """One caption's entries of the columns `slots` and `swap`. number: that of the caption; it seeds the sample."""
    if len(caption.parse.text) > LONGEST:
        return [], []
    found = balance.options(caption)
    if not found:  # 0.7 % of Flickr8k: other captions of the photograph name everything that could be drawn
        caption = caption._replace(slots=find_slots(caption.parse, lenient=True))
        found = balance.options(caption)
    drawn = sample(found, number)
    used = sorted({option.slot for option, _ in drawn})
    slots: list[int] = []
    for slot in used:
        spots = find_spots(caption.parse, caption.slots[slot])
        slots += [_CATEGORIES.index(caption.slots[slot].category), len(spots)]
        for spot in spots:
            new = strings.number(spot.new) if spot.new else NO_STRING
            slots += [spot.start, spot.end, spot.role, int(spot.is_content), new]
    options: list[int] = []
    for option, count in drawn:
        repaired = needs_repairs(caption.slots[option.slot], option.surface)
        options += [used.index(option.slot), int(repaired), strings.number(option.surface), count]
    return slots, options


def sample(options: Sequence[Option], number: int) -> list[tuple[Option, int]]:
    """A systematic sample of the options: (option, number of its points).

    POINTS evenly spaced points are laid over the cumulative chances, and an option without a point is left out. A
    caption has 130 options on average, most of them with a chance near 0. number: the number of the caption, used as
    the random seed.
    """
    if not options:
        return []
    offset = random.Random(number).random()
    ends = np.cumsum([option.chance for option in options])
    hit = np.searchsorted(ends, (np.arange(POINTS) + offset) / POINTS * ends[-1])
    counts = np.bincount(np.minimum(hit, len(options) - 1), minlength=len(options))
    return [(option, int(count)) for option, count in zip(options, counts) if count]


def _read_slots(plan: PlanReader, caption: int) -> list[tuple[int, list[Spot]]]:
    """(category number, spots) of each stored slot of a caption."""
    numbers, found, at = plan.numbers("slots", caption), [], 0
    while at < len(numbers):
        category, count = numbers[at : at + 2]
        at += 2 + 5 * count
        spots = [
            Spot(start, end, role, bool(is_content), "" if new == NO_STRING else plan.string("swap", new))
            for start, end, role, is_content, new in in_groups(numbers[at - 5 * count : at], 5)
        ]
        found.append((category, spots))
    return found


def _overlap(spots: Iterable[Spot], others: Sequence[Spot]) -> bool:
    return any(a.start < b.end and b.start < a.end for a in spots for b in others)
