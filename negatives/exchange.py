"""Exchange: two phrases of a caption change places. "A red cup and a blue ball" -> "a blue cup and a red ball".

`negatives.exchange_rules` finds the possible exchanges, and `negatives.acceptance` computes how often each is drawn.
Often none is drawn: the same words in a less likely order would give a negative away without the picture.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import ClassVar

import pyarrow as pa

from Config import NegativesConfig
from negatives.acceptance import Acceptance, Change, Frequencies, find_change
from negatives.edits import splice
from negatives.exchange_rules import PossibleExchange, find_exchanges
from negatives.kind import Captions, Kind, PlanPart, PlanReader, Ragged, StringTable
from negatives.parsed_caption import ParsedCaption
from negatives.planned_edits import draw_packed, pack
from negatives.text import Negative


class Exchange(Kind):
    """One exchange of a caption that does not give another caption of the photograph."""

    name = "exchange"
    schema: ClassVar = {"exchange": pa.list_(pa.int32())}  # see `planned_edits`
    cost = 0.5

    def make(self, captions: Captions, strings: StringTable) -> PlanPart:
        train = Frequencies()
        changes: dict[int, list[tuple[PossibleExchange, Change]]] = {}  # of the captions that have any
        for own in captions.photographs("negatives: exchanges"):
            true_texts = {caption.parse.text for _, caption in own}
            for i, caption in own:
                if captions.learn_from[i]:
                    train.add(caption.parse.text)
                found = [each for each in find_exchanges(caption.parse) if _text_after(caption, each) not in true_texts]
                if found:
                    changes[i] = list(zip(found, _changes(caption, found)))
        learned = [i for i in sorted(changes) if captions.learn_from[i]]
        acceptance = Acceptance(train, [change for i in learned for _, change in changes[i]])
        planned = Ragged()
        for i, in_train in enumerate(captions.learn_from):
            numbers: list[int] = []
            for exchange, change in changes.get(i, ()):
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
