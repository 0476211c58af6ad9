"""How benchmarks count: figures of scored claims, with their bootstrap samples.

I claims of some photographs; R bootstrap resamples. Samples are (1 + R,): the figure, then its value in each resample.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.metrics import TIE, Bootstrap, Floats, Integers, balanced_accuracy, judged, kendall, share_preferred

Span = tuple[int, int]


class Claim(NamedTuple):
    """One text about one picture, and what people say of it."""

    picture: str
    """File name as the benchmark spells it, below the folder of pictures; Winoground's has no ending."""
    text: str
    label: float
    """1: true of the picture, 0: false. A rating: the higher, the truer; see the reader for its range."""
    subset: str
    """Part of the benchmark ("swap_obj"); "" if it has none."""
    unit: int
    """Claims that are compared with each other share it. Units are numbered through the whole benchmark."""
    changed: tuple[Span, ...] = ()
    """Characters of `text` that make it false, if the benchmark says so."""


@dataclass
class Scored:
    """Claims of a benchmark, or of one of its subsets, with their scores."""

    claims: Sequence[Claim]
    scores: Floats
    """(I,) the model's."""
    photographs: Integers
    """(I,) the number of each claim's photograph."""
    threshold: float
    boot: Bootstrap
    blind: Mapping[str, Floats]
    """(I,) scores of each judge that sees no picture, positive for true; empty if none could be trained."""

    @cached_property
    def label(self) -> Floats:
        """(I,)"""
        return np.array([claim.label for claim in self.claims])

    @property
    def subsets(self) -> NDArray[np.str_]:
        """(I,)"""
        return np.array([claim.subset for claim in self.claims], dtype=str)

    def part(self, some: Integers) -> "Scored":
        """Only these claims."""
        claims, blind = [self.claims[i] for i in some.tolist()], {judge: x[some] for judge, x in self.blind.items()}
        return Scored(claims, self.scores[some], self.photographs[some], self.threshold, self.boot, blind)

    def units(self, size: int) -> list[list[int]]:
        """Claims of each whole unit: it has at least `size` of them, true and false ones.

        A unit loses claims if a picture is missing or a record is broken.
        """
        units: dict[int, list[int]] = {}
        for i, claim in enumerate(self.claims):
            units.setdefault(claim.unit, []).append(i)
        return [mine for mine in units.values() if len(mine) >= size and len(set(self.label[mine])) == 2]


class Figures(NamedTuple):
    """One row of a benchmark's table."""

    n: int
    """What is counted: claims, judgements or units."""
    samples: dict[str, Floats]
    blind: dict[str, Floats] = {}  # noqa: RUF012, nobody adds to it
    """Samples of the balanced accuracy of each blind judge."""
    blind_pairwise: dict[str, float] = {}  # noqa: RUF012
    """Share of the units in which a blind judge prefers the true text."""


def label_figures(scored: Scored) -> Figures:
    """True and false texts, each judged by itself at the threshold."""
    true, false = np.flatnonzero(scored.label == 1), np.flatnonzero(scored.label == 0)
    of_true, of_false, boot = scored.photographs[true], scored.photographs[false], scored.boot
    found = judged(scored.scores[true], of_true, scored.scores[false], of_false, scored.threshold, boot)
    blind = {
        judge: balanced_accuracy(x[true], of_true, x[false], of_false, 0.0, boot) for judge, x in scored.blind.items()
    }
    return Figures(len(scored.claims), found._asdict(), blind)


def pairwise_figures(scored: Scored) -> Figures:
    """Also: in how many units does every true claim score above every false one? A tie is lost."""
    units = scored.units(2)
    of_each = [(mine, scored.label[mine] == 1) for mine in units]

    def margins(scores: Floats) -> tuple[Floats, Floats]:
        """Of each unit the lowest true score and the highest false one."""
        worst = np.array([scores[mine][true].min() for mine, true in of_each])
        return worst, np.array([scores[mine][~true].max() for mine, true in of_each])

    figures = label_figures(scored)
    if not units:
        return figures._replace(n=0)
    worst, best = margins(scored.scores)
    won = scored.boot.mean(worst > best + TIE, scored.photographs[[mine[0] for mine in units]])
    blind = {judge: share_preferred(*margins(x)) for judge, x in scored.blind.items()}
    return figures._replace(n=len(units), samples=figures.samples | {"pairwise": won}, blind_pairwise=blind)


def rating_figures(scored: Scored, tau: Literal["b", "c"], high: NDArray[np.bool_], low: NDArray[np.bool_]) -> Figures:
    """Kendall's tau-b or tau-c with people's ratings, and ROC-AUC of claims rated `high` (I,) against `low` (I,)."""
    scores, of, boot = scored.scores, scored.photographs, scored.boot
    samples = {f"kendall_tau_{tau}": kendall(scores, scored.label, of, tau, boot)}
    samples["roc_auc"] = judged(scores[high], of[high], scores[low], of[low], 0, boot).roc_auc
    return Figures(len(scored.claims), samples)
