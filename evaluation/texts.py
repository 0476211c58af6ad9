"""What a model is tested on: all captions of a split, and for each caption a false text of each kind.

The false texts depend only on the database and its plan, so all models are tested on the same texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from Config import NegativesConfig
from DataBase_functions import Database, seeded
from Negative_map import KINDS
from negatives.edits import other_words
from negatives.text import Negative
from sources.items import ENTAILED

SEED = 0  # of the false texts
MIXTURE = NegativesConfig()  # the kinds as training mixes them by default
IN_BATCH = "in-batch"  # a random caption of another photograph
SHOWN = (*KINDS, IN_BATCH)  # kinds in the plots
ALL_KINDS = ("mixture", *SHOWN)
LEFT_OUT = {ENTAILED}  # kinds of captions: they describe a picture less fully, and are in no published protocol
MOST = 1_000  # texts of each category of a kind that is not in the mixture: enough for an interval of 3 points


class FalseTexts(NamedTuple):
    """K false texts of one kind, at most one for each caption."""

    texts: list[Negative]
    of: NDArray[np.int64]  # (K,) number of the caption that each is compared with

    @property
    def categories(self) -> NDArray[np.str_]:
        return np.array([text.category for text in self.texts], dtype=str)


class Texts(NamedTuple):
    """The T captions of a split, and false texts about the same photographs."""

    captions: list[str]
    owner: NDArray[np.int64]  # (T,) number of each caption's picture within the split
    false: dict[str, FalseTexts]  # by kind
    sources: NDArray[np.str_]  # (T,) data set of each caption
    kinds: NDArray[np.str_]  # (T,) kind of each caption: caption, narrative or dense


def collect_texts(
    database: Database, rows: Sequence[int], kinds: Sequence[str] = ALL_KINDS, most: int | None = None
) -> Texts:
    """All captions of some rows of a database, with a false text of each of these kinds if the plan has one.

    Captions of the kinds LEFT_OUT are not among them, unless a photograph has no others.

    most: the largest number of texts of each category of a kind that is not in the mixture; None: no limit.

    ValueError if in-batch texts are asked for and all rows show the same photograph.
    """
    plan = database.plan
    places = [(n, row, place) for n, row in enumerate(rows) for place in database.captions_without(row, LEFT_OUT)]
    numbers = [(n, row, plan.captions(row).start + place) for n, row, place in places]
    captions = [plan.text(caption) for _, _, caption in numbers]
    owner = np.array([n for n, _, _ in numbers])
    false: dict[str, FalseTexts] = {}
    for kind in kinds:
        if kind == IN_BATCH:
            continue
        drawn, of = [], []
        for i, (_, row, caption) in enumerate(numbers):
            rng = seeded(SEED, "evaluation", kind, database.ids[row], caption - plan.captions(row)[0])
            mixed = kind == "mixture"
            negative = plan.draw(caption, rng, MIXTURE) if mixed else plan.draw_kind(kind, caption, rng)
            if negative is not None:
                drawn.append(negative)
                of.append(i)
        false[kind] = FalseTexts(drawn, np.array(of, dtype=np.int64))
        if most is not None and not MIXTURE.weights.get(kind, 1):
            false[kind] = _evenly(false[kind], most)
    if IN_BATCH in kinds:
        foreign = foreign_captions(np.array([database.groups[row] for row in rows])[owner])
        others = [
            Negative(captions[j], IN_BATCH, IN_BATCH, other_words(captions[i], captions[j]))
            for i, j in enumerate(foreign)
        ]
        false[IN_BATCH] = FalseTexts(others, np.arange(len(captions)))
    of_rows = {row: database.captions(row) for row in rows}
    stored = [of_rows[row][place] for _, row, place in places]
    sources, of_kind = (
        np.array([getattr(caption, name) for caption in stored], dtype=str) for name in ("source", "kind")
    )
    return Texts(captions, owner, false, sources, of_kind)


def _evenly(texts: FalseTexts, most: int) -> FalseTexts:
    """At most `most` texts of each category, evenly spaced."""
    kept = np.zeros(len(texts.of), dtype=bool)
    categories = texts.categories
    for category in np.unique(categories):
        those = np.flatnonzero(categories == category)
        kept[those[np.linspace(0, len(those) - 1, min(most, len(those))).astype(int)]] = True
    return FalseTexts([text for text, keep in zip(texts.texts, kept) if keep], texts.of[kept])


def foreign_captions(groups: NDArray[np.str_]) -> NDArray[np.int64]:
    """For each caption the number of a random caption of another photograph. ValueError if there is none."""
    if len(np.unique(groups)) < 2:
        raise ValueError("a split needs at least two pictures to be evaluated")
    rng = np.random.default_rng(SEED)
    foreign = rng.integers(len(groups), size=len(groups))
    while (same := groups[foreign] == groups).any():
        foreign[same] = rng.integers(len(groups), size=same.sum())
    return foreign
