"""Verdicts that are rarely wrong: the two limits between which a judge says "unsure".

For a risk r, for example 0.1: a text is a match from the limit `upper` on, a mismatch below the limit `lower`, else the
judge is unsure. Draw a photograph like those of validation, and with equal chances one of its true or one of its false
texts. The aim is P(false | match) <= r and P(true | mismatch) <= r; so of all verdicts that are given at most r are
wrong.

A verdict costs 1 - r if it is wrong and -r if it is right. Its expected cost is at most 0 exactly if its error rate is
at most r. Conformal risk control (Angelopoulos et al. 2024) chooses the limit that decides most texts with

    n / (n + 1) * (mean cost of the n validation photographs) + (1 - r) / (n + 1) <= 0,

as if one more photograph had the highest possible cost. The unit is the photograph, since its texts depend on each
other. What is guaranteed: if the cost only rose as more texts are decided, the expected cost of a new photograph would
be at most 0 for every n (their theorem 1). But it first falls, then rises; so the limit moves from the lowest cost
towards more verdicts and stops where the condition first fails, and the guarantee holds for large n (their appendix
A). It is an average over draws of the validation photographs, not a promise for each of them. In simulations with 50 to
1,000 photographs the average error rate is at most r (tests/common/test_risk.py).

Split conformal prediction is exact for every n, but for something else: with k of n + 1 it bounds P(a text is judged
wrongly), in which unsure texts count as right. A judge that is unsure about most texts could be wrong in most of its
verdicts.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.metrics import Floats, Integers

RISKS = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4)
LEAST = 0.02  # fraction of the texts of a side; a limit that decides fewer was found by chance


class Limits(NamedTuple):
    """A text is a match from `upper` on and a mismatch below `lower`. None: that verdict cannot be given."""

    risk: float
    lower: float | None
    upper: float | None


class Selected(NamedTuple):
    """What limits do with texts, if half of them are true."""

    coverage: float  # fraction that gets a verdict
    error: float  # fraction of these verdicts that are wrong; NaN without a verdict


def find_limits(
    true: Floats, of_true: Integers, false: Floats, of_false: Integers, threshold: float
) -> tuple[Limits, ...]:
    """The limits for each of RISKS, from scores of true (T,) and false texts (F,) of validation photographs.

    of_true, of_false: the photograph of each text; photographs without true or without false texts are left out. The
    limits lie on their sides of the threshold, so a verdict never contradicts it.
    """
    both = np.intersect1d(of_true, of_false)
    sides = [(scores[some := np.isin(of, both)], of[some]) for scores, of in ((true, of_true), (false, of_false))]
    scores = np.concatenate([scores for scores, _ in sides]).astype(np.float64)
    weights = np.concatenate([_fractions(of) for _, of in sides])
    is_true = np.repeat([True, False], [len(scores) for scores, _ in sides])
    accepted = scores >= threshold
    above = _Side.of(scores[accepted], weights[accepted], ~is_true[accepted])
    below = _Side.of(-scores[~accepted], weights[~accepted], is_true[~accepted])
    found = []
    for risk in RISKS:
        upper, lower = _last_limit(above, risk, threshold), _last_limit(below, risk, -threshold)
        found.append(Limits(risk, None if lower is None else -lower, upper))
    return tuple(found)


class _Side(NamedTuple):
    """The texts on one side of the threshold, the surest verdict first. Sorted once: that takes half of the time."""

    weights: Floats
    wrong: NDArray[np.bool_]  # the verdict of this side is
    last: Integers  # index of the last of equal scores, which are decided together
    scores: Floats  # of the last ones
    decided: Floats  # sum of the weights up to each of them

    @classmethod
    def of(cls, scores: Floats, weights: Floats, wrong: NDArray[np.bool_]) -> "_Side":
        order = np.argsort(-scores, kind="stable")
        scores, weights = scores[order], weights[order]
        last = np.flatnonzero(np.append(scores[1:] < scores[:-1], True)) if len(scores) else order
        return cls(weights, wrong[order], last, scores[last], np.cumsum(weights)[last])


def _fractions(of: Integers) -> Floats:
    """For each text, 1 / the number of texts of its photograph: a photograph counts once, however many it has."""
    _, which, counts = np.unique(of, return_inverse=True, return_counts=True)
    return 1 / counts[which]


def _last_limit(side: _Side, risk: float, end: float) -> float | None:
    """The limit that decides most texts: those whose score is at least as high. None if no limit is good enough.

    end: the threshold.
    """
    scores, decided = side.scores, side.decided
    if not len(scores):
        return None
    total = np.cumsum(side.weights * np.where(side.wrong, 1 - risk, -risk))[side.last]
    start = int(np.argmin(total))
    fails = np.flatnonzero(total[start:] + 1 - risk > 1e-9)  # a sum of 0 has rounding errors
    best = start + (int(fails[0]) if len(fails) else len(total) - start) - 1
    if best < start or decided[best] < LEAST * decided[-1]:
        return None
    if not len(fails):
        return end
    return float((scores[best] + scores[best + 1]) / 2)  # halfway to the next score, so rounding changes no verdict


def select(true: Floats, false: Floats, limits: Limits) -> Selected:
    """How many of these texts get a verdict, and how many of these verdicts are wrong; both classes count the same."""
    upper = np.inf if limits.upper is None else limits.upper
    lower = -np.inf if limits.lower is None else limits.lower
    matched, refused = ([float(np.mean(decide)) for decide in one] for one in _decided(true, false, lower, upper))
    coverage = (sum(matched) + sum(refused)) / 2
    return Selected(coverage, (matched[1] + refused[0]) / 2 / coverage if coverage else float("nan"))


def _decided(true: Floats, false: Floats, lower: float, upper: float) -> tuple[list, list]:
    """Which true and false texts are matches, and which are mismatches."""
    low, high = np.float64(lower), np.float64(upper)  # see common.metrics.rates
    return [true >= high, false >= high], [true < low, false < low]


def check_risk(risk: float) -> None:
    """ValueError if there are no limits for such a risk."""
    if not RISKS[0] <= risk < 0.5:
        raise ValueError(f"--risk {risk:g}: must be at least {RISKS[0]:g} and below 0.5, at which guessing is enough")


def limits_at(limits: tuple[Limits, ...], risk: float, model: str) -> Limits:
    """The limits of the highest stored risk that is not above `risk`.

    ValueError if the risk is too low, or if the model, whose folder the message names, has no limits.
    """
    check_risk(risk)
    if not limits:
        raise ValueError(
            f"{model} has no limits for --risk, as an earlier version made it; add them with: "
            f"python Evaluate_test.py --model {model}"
        )
    return max((each for each in limits if each.risk <= risk), key=lambda each: each.risk)
