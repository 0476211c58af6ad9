"""The rows of an evaluation's tables: figures of true and false texts, with those of the blind judges beside them.

K pairs of a caption and its false text; T captions; R bootstrap resamples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.metrics import TIE, Bootstrap, Floats, Interval, balanced_accuracy, interval, judged, share_preferred
from evaluation.texts import Texts
from Tokenizer_lib import split_words

LENGTHS = (  # most words, and the name of the row
    (8, "1 to 8 words"),
    (12, "9 to 12 words"),
    (20, "13 to 20 words"),
    (40, "21 to 40 words"),
    (10**9, "41 words or more"),
)
Blind = dict[str, dict[str, tuple[Floats, Floats]]]  # kind -> judge -> its scores (K,) of the true and the false texts


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    section: str  # kind, category, source, caption, length, or the name of a benchmark
    name: str
    n: int  # false texts, each set against a caption; in benchmarks units, judgements or claims
    photographs: int
    samples: dict[str, Floats]  # (1 + R,) each: the figure, then its value in each resample
    blind: dict[str, Floats] = field(default_factory=dict)  # balanced accuracy (1 + R,) of each blind judge
    blind_pairwise: dict[str, float] = field(default_factory=dict)

    @property
    def figures(self) -> dict[str, Interval]:
        return {name: interval(values) for name, values in self.samples.items()}

    @property
    def beats_blind(self) -> bool | None:
        """Is the model above chance, and above each blind judge on the same photographs? None if there is no judge."""
        mine = self.samples["balanced_accuracy"]
        if not self.blind:
            return None
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
    """true, false: (K,) scores of a caption and of the false text set against it; of: (K,) their photograph."""
    samples = judged(true, of, false, of, threshold, boot)._asdict()
    samples["pairwise"] = boot.mean(true > false + TIE, of)
    return Row(section, name, len(false), len(np.unique(of)), samples)


def make_rows(
    texts: Texts, true: Floats, false: Mapping[str, Floats], threshold: float, blind: Blind, boot: Bootstrap
) -> list[Row]:
    """The table of a split: each kind of false text; swaps by category; the mixture by source, kind and length.

    true: (T,) scores of the captions; false: by kind, scores (K,) of the false texts; blind: see `Blind`.
    A caption counts in a row only if it has such a false text. So both classes have the same size, and the blind judges
    are measured on the same texts.
    """
    rows = []

    def add(section: str, name: str, kind: str, some: NDArray[np.bool_]) -> None:
        of = texts.false[kind].of[some]
        owner = texts.owner[of]
        row = make_row(section, name, true[of], false[kind][some], owner, threshold, boot)
        judges = {judge: (yes[some], no[some]) for judge, (yes, no) in blind.get(kind, {}).items()}
        accuracy = {judge: balanced_accuracy(yes, owner, no, owner, 0.0, boot) for judge, (yes, no) in judges.items()}
        pairwise = {judge: share_preferred(yes, no) for judge, (yes, no) in judges.items()}
        rows.append(replace(row, blind=accuracy, blind_pairwise=pairwise))

    for kind, those in texts.false.items():
        if len(those.of):
            add("kind", kind, kind, np.ones(len(those.of), dtype=bool))
    if "swap" in texts.false:
        categories = texts.false["swap"].categories
        for category in sorted(set(categories.tolist())):
            add("category", category, "swap", categories == category)
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
            for value in values if len(values) > 1 else ():  # one alone is the mixture once more
                add(section, value if names is None else names[value], "mixture", labels == value)
    return rows
