"""Edits of captions in the plan: for each caption a list of edits with their chances, as numbers.

Per entry: category (a string), chance, number of edits, and for each edit start, end, string, is_content.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from negatives.edits import splice
from negatives.kind import PER_MILLE, PlanReader, StringTable, in_groups
from negatives.text import Edit, Negative


def pack(strings: StringTable, category: str, chance: float, edits: Sequence[Edit]) -> list[int]:
    """One entry; no numbers if its chance is below 1 per mille. chance: 0 to 1."""
    if not (rounded := round(chance * PER_MILLE)):
        return []
    numbers = [strings.number(category), rounded, len(edits)]
    for start, end, phrase, content in edits:
        numbers += [start, end, strings.number(phrase), int(content)]
    return numbers


def packed_categories(numbers: Sequence[int]) -> Iterator[int]:
    """The category of each entry, as the number of its string."""
    at = 0
    while at < len(numbers):
        yield numbers[at]
        at += 3 + 4 * numbers[at + 2]


def draw_packed(plan: PlanReader, kind: str, caption: int, rng: random.Random, within: int | None) -> Negative | None:
    """A negative from the entries of a caption in the column `kind`; None as often as their chances leave over.

    None too if its edits are not all before the offset `within`.
    """
    numbers = plan.numbers(kind, caption)
    if not numbers:
        return None
    draw, at = rng.randrange(PER_MILLE), 0
    while at < len(numbers):
        category, chance, count = numbers[at : at + 3]
        at += 3 + 4 * count
        draw -= chance
        if draw < 0:
            edits: list[Edit] = [
                (start, end, plan.string(kind, string), bool(content))
                for start, end, string, content in in_groups(numbers[at - 4 * count : at], 4)
            ]
            if within is not None and any(end > within for _, end, _, _ in edits):
                return None
            return splice(plan.text(caption), edits, kind, plan.string(kind, category))
    return None
