"""Exchange: two phrases of a caption change places. "A red cup and a blue ball" becomes "a blue cup and a red ball".

`negatives.exchange_rules` finds the phrases that may change places, and `negatives.acceptance` says how often each
exchange is drawn. Often none is drawn: the same words in a less likely order would give a negative away.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import ClassVar

import pyarrow as pa

from common.jobs import progress
from Config import NegativesConfig
from negatives.acceptance import Acceptance, Change, find_change
from negatives.company import ParsedCaption
from negatives.edits import splice
from negatives.exchange_rules import OfferedExchange, find_exchanges
from negatives.kind import PER_MILLE, Captions, Kind, Made, Rows, Strings, in_groups
from negatives.text import Edit, Negative


class Exchange(Kind):
    """One exchange of a caption, unless another caption of the photograph says the same."""

    name = "exchange"
    # category (a string), chance, number of edits, and for each start, end, string, is_content
    schema: ClassVar = {"exchange": pa.list_(pa.int32())}

    def make(self, captions: Captions, strings: Strings) -> Made:
        said = {(photograph, text.parse.text) for photograph, text in zip(captions.owner, captions.texts)}
        exchanges = [
            [found for found in find_exchanges(text.parse) if (photograph, _exchanged(text, found)) not in said]
            for photograph, text in zip(captions.owner, progress(captions.texts, "negatives: exchanges", " captions"))
        ]
        changes = [_changes(text, found) for text, found in zip(captions.texts, exchanges)]
        acceptance = Acceptance(
            [text.parse.text for text in itertools.compress(captions.texts, captions.known)],
            list(itertools.chain.from_iterable(itertools.compress(changes, captions.known))),
        )
        planned = []
        for found, own, is_known in zip(exchanges, changes, captions.known):
            numbers: list[int] = []
            for exchange, change in zip(found, own):
                if chance := round(acceptance.chance(change, is_known) * PER_MILLE):
                    numbers += [strings.number(exchange.category), chance, len(exchange.edits)]
                    for start, end, phrase, content in exchange.edits:
                        numbers += [start, end, strings.number(phrase), int(content)]
            planned.append(numbers)
        return Made({"exchange": planned})

    def draw(
        self, rows: Rows, caption: int, rng: random.Random, settings: NegativesConfig, within: int | None
    ) -> Negative | None:
        numbers = rows.numbers("exchange", caption)
        if not numbers:
            return None
        draw, at = rng.randrange(PER_MILLE), 0
        while at < len(numbers):
            category, chance, count = numbers[at : at + 3]
            at += 3 + 4 * count
            draw -= chance
            if draw < 0:
                edits: list[Edit] = [
                    (start, end, rows.string(string), bool(content))
                    for start, end, string, content in in_groups(numbers[at - 4 * count : at], 4)
                ]
                if within is not None and any(end > within for _, end, _, _ in edits):
                    return None
                return splice(rows.text(caption), edits, "exchange", rows.string(category))
        return None


def _changes(text: ParsedCaption, exchanges: Sequence[OfferedExchange]) -> list[Change]:
    return [find_change(text.parse.text, _exchanged(text, exchange), len(exchanges)) for exchange in exchanges]


def _exchanged(text: ParsedCaption, exchange: OfferedExchange) -> str:
    return splice(text.parse.text, exchange.edits, "exchange", exchange.category).text
