"""The rows of the tables of an evaluation: figures of the model and of the blind judges on the same texts.

Shapes: K false texts, each with its caption; T captions; R bootstrap resamples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.metrics import TIE, Bootstrap, Floats, Interval, balanced_accuracy, fraction_preferred, interval, judged
from evaluation.texts import Texts
from Negative_map import KINDS
from Tokenizer_lib import split_words

LENGTHS = (  # the largest number of words, and the name of the row
    (8, "1 to 8 words"),
    (12, "9 to 12 words"),
    (20, "13 to 20 words"),
    (40, "21 to 40 words"),
    (10**9, "41 words or more"),
)
SECTIONS = {"swap": "category"}  # kind -> section of the rows of its categories, if it is not named like the kind
FEW = 30  # rows with fewer texts are marked: their figures are too uncertain for a conclusion
# Kind of false text -> name of a blind judge -> scores (K,) of the captions and of the false texts.
Blind = dict[str, dict[str, tuple[Floats, Floats]]]


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    section: str  # kind, category (of swaps), geometric, source, caption, length, or the name of a benchmark
    name: str
    n: int  # false texts; in benchmarks units, judgements or claims
    photographs: int
    samples: dict[str, Floats]  # figure -> (1 + R,): its value, then its value in each resample
    blind: dict[str, Floats] = field(default_factory=dict)  # balanced accuracy (1 + R,) of each blind judge
    blind_pairwise: dict[str, float] = field(default_factory=dict)  # how often each blind judge prefers the true text

    @property
    def figures(self) -> dict[str, Interval]:
        return {name: interval(values) for name, values in self.samples.items()}

    @property
    def beats_blind(self) -> bool | None:
        """Whether the model is significantly above chance and above each blind judge. None without blind judges."""
        if not self.blind:
            return None
        mine = self.samples["balanced_accuracy"]
        return interval(mine).low > 0.5 and all(interval(mine - theirs).low > 0 for theirs in self.blind.values())

    def as_json(self) -> dict[str, Any]:
        figures = {name: found._asdict() for name, found in self.figures.items()}
        return {
            **{"section": self.section, "name": self.name, "n": self.n, "photographs": self.photographs},
            **figures,
            "blind_balanced_accuracy": {judge: interval(values)._asdict() for judge, values in self.blind.items()},
            "blind_pairwise": self.blind_pairwise,
        }


def make_row(
    section: str, name: str, true: Floats, false: Floats, of: NDArray[np.int64], threshold: float, boot: Bootstrap
) -> Row:
    """A row from scores. true, false: (K,) of the captions and of their false texts; of: (K,) their photographs."""
    samples = judged(true, of, false, of, threshold, boot)._asdict()
    samples["pairwise"] = boot.mean(true > false + TIE, of)
    return Row(section, name, len(false), len(np.unique(of)), samples)


def make_rows(
    texts: Texts, true: Floats, false: Mapping[str, Floats], threshold: float, blind: Blind, boot: Bootstrap
) -> list[Row]:
    """The rows of a split: each kind of false text; swaps and geometric texts by category; the mixture by other things.

    The mixture is divided by source, kind of caption and length.

    true: (T,) scores of the captions; false: by kind, scores (K,) of the false texts; blind: see `Blind`. A row counts
    only captions that have a false text in this row. So both classes have the same size.
    """
    rows = []

    def add(section: str, name: str, kind: str, some: NDArray[np.bool_]) -> None:
        of = texts.false[kind].of[some]
        owner = texts.owner[of]
        row = make_row(section, name, true[of], false[kind][some], owner, threshold, boot)
        judges = {judge: (yes[some], no[some]) for judge, (yes, no) in blind.get(kind, {}).items()}
        accuracy = {judge: balanced_accuracy(yes, owner, no, owner, 0.0, boot) for judge, (yes, no) in judges.items()}
        pairwise = {judge: fraction_preferred(yes, no) for judge, (yes, no) in judges.items()}
        rows.append(replace(row, blind=accuracy, blind_pairwise=pairwise))

    for kind, those in texts.false.items():
        if len(those.of):
            add("kind", kind, kind, np.ones(len(those.of), dtype=bool))
    for kind in (name for name, kind in KINDS.items() if kind.has_categories and name in texts.false):
        categories = texts.false[kind].categories
        for category in sorted(set(categories.tolist())):
            add(SECTIONS.get(kind, kind), category, kind, categories == category)
    if "mixture" in texts.false:
        of = texts.false["mixture"].of
        words = np.array([len(split_words(texts.captions[i])) for i in of])
        length = np.searchsorted([most for most, _ in LENGTHS], words)
        for section, labels, names in (
            ("source", texts.sources[of], None),
            ("caption", texts.kinds[of], None),
            ("length", length, [name for _, name in LENGTHS]),
        ):
            values = np.unique(labels).tolist()
            for value in values if len(values) > 1 else ():  # a single row would repeat the mixture
                add(section, value if names is None else names[value], "mixture", labels == value)
    return rows
