"""Figures of the scored claims of a benchmark, with their bootstrap samples.

Shapes: I claims, R bootstrap resamples. Samples are (1 + R,): the figure, then its value in each resample.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.metrics import TIE, Bootstrap, Floats, Integers, balanced_accuracy, fraction_preferred, judged, kendall

Span = tuple[int, int]
BLIND_AUC = "blind_roc_auc"  # the figure with the ROC-AUC of the better blind judge


class Claim(NamedTuple):
    """One text about one picture, with its label."""

    picture: str
    """File name below the folder of pictures, as the benchmark spells it; Winoground's names have no ending."""
    text: str
    label: float
    """1: the text is true, 0: it is false. Or a rating by people, higher if truer; for its range see the reader.

    Or one of several classes, see `class_labels`.
    """
    subset: str
    """Part of the benchmark ("swap_obj"); "" if it has none."""
    unit: int
    """Claims with the same number are compared with each other. Numbers run through the whole benchmark."""
    changed: tuple[Span, ...] = ()
    """The characters of `text` that make it false, if the benchmark marks them."""


@dataclass
class Scored:
    """Claims of a benchmark, or of one of its subsets, with their scores."""

    claims: Sequence[Claim]
    scores: Floats
    """(I,) scores of the model."""
    photographs: Integers
    """(I,) the number of each claim's photograph."""
    threshold: float
    boot: Bootstrap
    blind: Mapping[str, Floats]
    """(I,) scores of each blind judge, positive for true; empty if there are too few texts to learn from."""

    @cached_property
    def label(self) -> Floats:
        """(I,) label of each claim."""
        return np.array([claim.label for claim in self.claims])

    @property
    def subsets(self) -> NDArray[np.str_]:
        """(I,) subset of each claim."""
        return np.array([claim.subset for claim in self.claims], dtype=str)

    def part(self, some: Integers) -> "Scored":
        """Only these claims, by number."""
        claims, blind = [self.claims[i] for i in some.tolist()], {judge: x[some] for judge, x in self.blind.items()}
        return Scored(claims, self.scores[some], self.photographs[some], self.threshold, self.boot, blind)

    def units(self, size: int) -> list[list[int]]:
        """Numbers of the claims of each complete unit, which has at least `size` claims, some true and some false.

        A unit is incomplete if a picture is missing or a record is broken.
        """
        units: dict[int, list[int]] = {}
        for i, claim in enumerate(self.claims):
            units.setdefault(claim.unit, []).append(i)
        return [mine for mine in units.values() if len(mine) >= size and len(set(self.label[mine])) == 2]


class Figures(NamedTuple):
    """One row of a benchmark's table."""

    n: int
    """Number of claims, judgements or units: whatever the figures count."""
    samples: dict[str, Floats]
    """Figures by name, from 0 to 1 (or -1 to 1); tables print them in percent."""
    blind: dict[str, Floats] = {}  # noqa: RUF012, nobody adds to it
    """Samples of the balanced accuracy of each blind judge."""
    blind_pairwise: dict[str, float] = {}  # noqa: RUF012
    """Fraction of the units in which a blind judge prefers the true text."""


def label_figures(scored: Scored) -> Figures:
    """Figures of single texts: which are accepted at the threshold?"""
    true, false = np.flatnonzero(scored.label == 1), np.flatnonzero(scored.label == 0)
    of_true, of_false, boot = scored.photographs[true], scored.photographs[false], scored.boot
    found = judged(scored.scores[true], of_true, scored.scores[false], of_false, scored.threshold, boot)
    blind = {
        judge: balanced_accuracy(x[true], of_true, x[false], of_false, 0.0, boot) for judge, x in scored.blind.items()
    }
    return Figures(len(scored.claims), found._asdict(), blind)


def class_labels(classes: Sequence[str]) -> dict[str, float]:
    """Class -> label: 1 for the first, which is the truest, 0 for the last, the others evenly between them."""
    return dict(zip(classes, np.linspace(1, 0, len(classes)).tolist()))


def class_pairs(classes: Sequence[str], scored: Scored) -> Iterator[tuple[str, Scored]]:
    """(name, its claims) of each pair of classes that has claims; those that differ most come first.

    The claims of the truer class have the label 1, those of the other class 0.
    """
    pairs = itertools.combinations(class_labels(classes).items(), 2)
    for (truer, high), (other, low) in sorted(pairs, key=lambda pair: pair[1][1] - pair[0][1]):
        some = np.flatnonzero((scored.label == high) | (scored.label == low))
        if len(some):
            part = scored.part(some)
            claims = [claim._replace(label=float(claim.label == high)) for claim in part.claims]
            yield f"{truer} / {other}", replace(part, claims=claims)


def class_figures(scored: Scored) -> Figures:
    """`label_figures`, and the ROC-AUC of the better blind judge if there are blind judges."""
    figures = label_figures(scored)
    true, of = scored.label == 1, scored.photographs
    areas = [judged(x[true], of[true], x[~true], of[~true], 0.0, scored.boot).roc_auc for x in scored.blind.values()]
    if not areas:
        return figures
    return figures._replace(samples=figures.samples | {BLIND_AUC: max(areas, key=lambda samples: samples[0])})


def pairwise_figures(scored: Scored) -> Figures:
    """`label_figures`, and the pairwise accuracy.

    Pairwise accuracy: the fraction of units in which every true text scores above every false one; a tie is an error.
    """
    units = scored.units(2)
    of_each = [(mine, scored.label[mine] == 1) for mine in units]

    def margins(scores: Floats) -> tuple[Floats, Floats]:
        """The lowest score of a true text and the highest of a false text, in each unit."""
        worst = np.array([scores[mine][true].min() for mine, true in of_each])
        return worst, np.array([scores[mine][~true].max() for mine, true in of_each])

    figures = label_figures(scored)
    if not units:
        return figures._replace(n=0)
    worst, best = margins(scored.scores)
    won = scored.boot.mean(worst > best + TIE, scored.photographs[[mine[0] for mine in units]])
    blind = {judge: fraction_preferred(*margins(x)) for judge, x in scored.blind.items()}
    return figures._replace(n=len(units), samples=figures.samples | {"pairwise": won}, blind_pairwise=blind)


def rating_figures(scored: Scored, tau: Literal["b", "c"], high: NDArray[np.bool_], low: NDArray[np.bool_]) -> Figures:
    """Kendall's tau-b or tau-c of scores and ratings, and ROC-AUC of the claims `high` (I,) against `low` (I,)."""
    scores, of, boot = scored.scores, scored.photographs, scored.boot
    samples = {f"kendall_tau_{tau}": kendall(scores, scored.label, of, tau, boot)}
    samples["roc_auc"] = judged(scores[high], of[high], scores[low], of[low], 0, boot).roc_auc
    return Figures(len(scored.claims), samples)
