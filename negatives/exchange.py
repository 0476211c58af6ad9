"""Exchange: two phrases of a caption change places. "A red cup and a blue ball" -> "a blue cup and a red ball".

`negatives.exchange_rules` finds the possible exchanges, and `negatives.acceptance` computes how often each is drawn.
Often none is drawn: the same words in a less likely order would give a negative away without the picture.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import ClassVar

import pyarrow as pa

from common.jobs import progress
from Config import NegativesConfig
from negatives.acceptance import Acceptance, Change, Frequencies, find_change
from negatives.edits import splice
from negatives.exchange_rules import PossibleExchange, find_exchanges
from negatives.kind import Captions, Kind, PlanPart, PlanReader, StringTable
from negatives.parsed_caption import ParsedCaption
from negatives.planned_edits import draw_packed, pack
from negatives.text import Negative


class Exchange(Kind):
    """One exchange of a caption that does not give another caption of the photograph."""

    name = "exchange"
    schema: ClassVar = {"exchange": pa.list_(pa.int32())}  # see `planned_edits`

    def make(self, captions: Captions, strings: StringTable) -> PlanPart:
        true_texts = {(photograph, caption.parse.text) for photograph, caption in zip(captions.owner, captions.parsed)}
        bar = progress(captions.parsed, "negatives: exchanges", " captions")
        exchanges = [
            [
                found
                for found in find_exchanges(caption.parse)
                if (photograph, _text_after(caption, found)) not in true_texts
            ]
            for caption, photograph in zip(bar, captions.owner)
        ]
        changes = [_changes(caption, found) for caption, found in zip(captions.parsed, exchanges)]
        acceptance = Acceptance(
            Frequencies(caption.parse.text for caption in itertools.compress(captions.parsed, captions.learn_from)),
            list(itertools.chain.from_iterable(itertools.compress(changes, captions.learn_from))),
        )
        planned = []
        for found, own, in_train in zip(exchanges, changes, captions.learn_from):
            numbers: list[int] = []
            for exchange, change in zip(found, own):
                numbers += pack(strings, exchange.category, acceptance.chance(change, in_train), exchange.edits)
            planned.append(numbers)
        return PlanPart({"exchange": planned})

    def draw(
        self, plan: PlanReader, caption: int, rng: random.Random, settings: NegativesConfig, within: int | None
    ) -> Negative | None:
        return draw_packed(plan, "exchange", caption, rng, within)


def _changes(caption: ParsedCaption, exchanges: Sequence[PossibleExchange]) -> list[Change]:
    return [find_change(caption.parse.text, _text_after(caption, exchange), len(exchanges)) for exchange in exchanges]


def _text_after(caption: ParsedCaption, exchange: PossibleExchange) -> str:
    return splice(caption.parse.text, exchange.edits, "exchange", exchange.category).text
