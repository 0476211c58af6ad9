"""Swaps of one caption, made as in training: slots, balance, plan, draw."""

import random
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence

from Config import NegativesConfig
from negatives.balance import Balance
from negatives.kind import StringTable
from negatives.parsed_caption import ParsedCaption, read_captions
from negatives.swap import Swap, plan_caption
from negatives.text import Negative, Parse, Slot


class Every(Counter):
    """Counts of words, as if every word occurred once."""

    def __missing__(self, word: str) -> int:
        return 1


class OneCaption:
    """A plan of one caption."""

    def __init__(self, caption: ParsedCaption, balance: Balance, number: int = 0):
        self._text, self._strings = caption.parse.text, StringTable()
        slots, options = plan_caption(caption, number, balance, self._strings)
        self._columns = {"slots": slots, "swap": options}

    def text(self, caption: int) -> str:
        return self._text

    def numbers(self, column: str, caption: int) -> list[int]:
        return self._columns[column]

    def string(self, kind: str, number: int) -> str:
        return self._strings.all[number]


def balance_of(allowed: Iterable[str] | None = None) -> Balance:
    """A balance that draws all words equally often.

    allowed: draw only entries of the vocabulary whose words are all in it; None: all entries.
    """
    balance = Balance([])
    balance.counts.surfaces = Every()
    balance.counts.words = Every() if allowed is None else Counter(allowed)
    return balance


def swaps(
    parse: Parse,
    seeds: int = 40,
    *,
    allowed: Iterable[str] | None = None,
    only: Container[str] | None = None,
    but: Container[str] = (),
    slots: Sequence[Slot] | None = None,
    others: Sequence[Parse] = (),
    most: int = 1,
) -> Iterator[Negative | None]:
    """Yield one draw per seed, each from a new plan, since a plan is a sample of the swaps.

    only, but: swap only these categories, or all but these. slots: swap only these. most: words to swap at most.
    others: other captions of the photograph.
    """
    balance, (text, *_) = balance_of(allowed), read_captions([parse, *others])
    chosen = text.slots if slots is None else slots
    chosen = [slot for slot in chosen if (only is None or slot.category in only) and slot.category not in but]
    for seed in range(seeds):
        rows = OneCaption(text._replace(slots=tuple(chosen)), balance, seed)
        yield Swap().draw(rows, 0, random.Random(f"draw {seed}"), NegativesConfig(most_swaps=most), None)
