"""Metrics, their intervals, the threshold and the calibration, as functions of arrays: no torch, no files.

Shapes: N photographs, T texts, I scored texts ("items"), R bootstrap resamples. Scores are cosines in [-1, 1]; a higher
score is a better match. `positive` are scores of true texts, `negative` of false texts.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]
RESAMPLES = 1000
TIE = 1e-6  # a matrix product and a vector product can give scores of one pair that differ by this much
MEDIANS = 200  # resamples of a median rank and of Kendall's tau, which sort in every resample
NEAREST = 10  # best scores of an item whose mean is its hubness
BINS = 15  # of probabilities, as in Guo et al. 2017


class Rates(NamedTuple):
    """Recall: fraction of true texts that are accepted. Specificity: fraction of false texts that are refused."""

    balanced_accuracy: float
    recall: float
    specificity: float


def rates(positive: Floats, negative: Floats, threshold: float) -> Rates:
    """Rates at a threshold. A score equal to the threshold is a match. A rate of no scores is NaN."""
    limit = np.float64(threshold)  # NumPy would round a plain float to the scores' own float32
    recall = float(np.mean(positive >= limit)) if len(positive) else math.nan
    specificity = float(np.mean(negative < limit)) if len(negative) else math.nan
    return Rates((recall + specificity) / 2, recall, specificity)


class Curve(NamedTuple):
    """Recall and specificity at every threshold where one of them changes, in ascending order of thresholds."""

    thresholds: Floats
    recall: Floats
    specificity: Floats


def threshold_curve(positive: Floats, negative: Floats) -> Curve:
    """Exact rates at every distinct score, and just above the highest score. ValueError without scores."""
    if not len(positive) or not len(negative):
        raise ValueError(f"a threshold needs true and false texts; got {len(positive)} true and {len(negative)} false")
    # float64 has room for a threshold between two neighbours of float32.
    positive, negative = np.sort(positive.astype(np.float64)), np.sort(negative.astype(np.float64))
    scores = np.unique(np.concatenate([positive, negative]))
    thresholds = np.append(scores, np.nextafter(scores[-1], np.inf))
    recall = (len(positive) - np.searchsorted(positive, thresholds)) / len(positive)
    specificity = np.searchsorted(negative, thresholds) / len(negative)
    return Curve(thresholds, recall, specificity)


def _written(number: float) -> str:
    """All digits of a number, since threshold.json stores the criterion."""
    return np.format_float_positional(number, trim="-")


@dataclass(frozen=True)
class Criterion:
    """What the threshold maximises: balanced-accuracy, recall=R, specificity=S, f1 or cost=A:B.

    recall=R: at least this recall, then the most specificity; specificity=S: the reverse. cost=A:B: accepting a false
    text costs A, refusing a true text costs B. f1 and cost assume that true and false texts are equally frequent.
    """

    name: str = "balanced-accuracy"
    first: float = 0.0
    second: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "Criterion":
        """ValueError lists the accepted forms."""
        name, _, value = text.partition("=")
        try:
            if text in ("balanced-accuracy", "f1"):
                return cls(name)
            if name in ("recall", "specificity") and 0 < float(value) <= 1:
                return cls(name, float(value))
            if name == "cost":
                first, second = map(float, value.split(":"))
                if min(first, second) > 0 and math.isfinite(first + second):
                    return cls(name, first, second)
        except ValueError:
            pass
        raise ValueError(
            f"{text!r} is not a criterion; choose balanced-accuracy, recall=0.95, specificity=0.95, f1 or cost=5:1"
        )

    def __str__(self) -> str:
        match self.name:
            case "cost":
                return f"cost={_written(self.first)}:{_written(self.second)}"
            case "recall" | "specificity":
                return f"{self.name}={_written(self.first)}"
        return self.name

    def gain(self, curve: Curve) -> Floats:
        """The value to maximise, at each threshold of the curve."""
        recall, specificity = curve.recall, curve.specificity
        match self.name:
            case "recall":
                return np.where(recall >= self.first, specificity, -1.0)
            case "specificity":
                return np.where(specificity >= self.first, recall, -1.0)
            case "f1":
                return 2 * recall / (recall + 1 + 1 - specificity)  # 2 TP / (2 TP + FN + FP), classes of equal size
            case "cost":
                return -self.first * (1 - specificity) - self.second * (1 - recall)
        return recall + specificity


BALANCED = Criterion()


def best_threshold(positive: Floats, negative: Floats, criterion: Criterion = BALANCED) -> float:
    """The optimum of a criterion, moved halfway to the next lower score: then rounding changes no verdict."""
    curve = threshold_curve(positive, negative)
    best = int(np.argmax(criterion.gain(curve)))
    below = curve.thresholds[max(0, best - 1)]
    # Neighbouring floats have no middle; the lower one would accept texts that the optimum refuses.
    middle = (below + curve.thresholds[best]) / 2
    return float(middle if middle > below else curve.thresholds[best])


def equilibrium_threshold(positive: Floats, negative: Floats) -> float:
    """The threshold at which recall and specificity differ least."""
    curve = threshold_curve(positive, negative)
    return float(curve.thresholds[np.argmin(np.abs(curve.recall - curve.specificity))])


# Calibration


class Calibration(NamedTuple):
    """P(true) = sigmoid(slope * score + intercept), if true and false texts are equally frequent.

    even: the threshold if it has the best balanced accuracy, else None. Best means that true and false texts are
    equally frequent at this score, so P is 1/2 there. The fit has its own estimate of that point; the two differ by
    chance, and where the scores are not logistic. So P is at least 1/2 from `even` on and at most 1/2 below: it never
    contradicts the verdict. Only scores between the two estimates change, to exactly 1/2.
    """

    slope: float
    intercept: float
    even: float | None = None

    def probability(self, scores: Any) -> Any:
        scores = np.asarray(scores, dtype=np.float64)
        fitted = logistic(self.slope * scores + self.intercept)
        if self.even is None:
            return fitted
        return np.where(scores >= self.even, np.maximum(fitted, 0.5), np.minimum(fitted, 0.5))


def logistic(logits: Floats) -> Floats:
    """1 / (1 + exp(-logits)). That of scipy takes 0.2 s to import, a tenth of the start of Predict.py."""
    return np.exp(-np.logaddexp(0.0, -logits))


def calibrate(positive: Floats, negative: Floats) -> Calibration:
    """Logistic regression of "true?" on the score, with equal weight for both classes and a slope of at least 0.

    Platt's smoothed labels keep the slope finite if a threshold separates the classes. Source: Platt 1999. A model at
    chance can give a negative slope; then the best curve that does not fall is an even chance for every score.
    """
    scores = np.r_[positive, negative].astype(np.float64)
    mean, scale = scores.mean(), float(scores.std())
    scale = scale if scale > 1e-9 else 1.0  # equal scores
    x = (scores - mean) / scale
    labels = np.repeat(
        [(len(positive) + 1) / (len(positive) + 2), 1 / (len(negative) + 2)], [len(positive), len(negative)]
    )
    weights = np.repeat([0.5 / len(positive), 0.5 / len(negative)], [len(positive), len(negative)])

    def loss(values: Floats) -> tuple[float, Floats]:
        logits = values[0] * x + values[1]
        wrong = weights * (logistic(logits) - labels)
        return float(weights @ (np.logaddexp(0, logits) - labels * logits)), np.array([wrong @ x, wrong.sum()])

    from scipy.optimize import minimize  # imported here: with scipy.stats it takes a seventh of the time of Predict.py

    slope, intercept = minimize(loss, np.zeros(2), jac=True, method="BFGS").x
    if slope < 0:
        return Calibration(0.0, 0.0)
    return Calibration(float(slope / scale), float(intercept - slope * mean / scale))


class Reliability(NamedTuple):
    """Probabilities and outcomes in each bin that is not empty."""

    probability: Floats  # mean of the bin
    fraction: Floats  # fraction of the texts that are true
    texts: Integers  # number of texts


def reliability(probability: Floats, label: NDArray[np.bool_], bins: int = BINS) -> Reliability:
    which = np.minimum((probability * bins).astype(int), bins - 1)
    count = np.bincount(which, minlength=bins)
    sums = (np.bincount(which, weights, bins) for weights in (probability, label))
    some = count > 0
    mean, fraction = (total[some] / count[some] for total in sums)
    return Reliability(mean, fraction, count[some])


def calibration_error(found: Reliability) -> float:
    """ECE: mean over the texts of |probability - fraction of true texts| of their bin. Source: Guo et al. 2017."""
    return float(np.abs(found.probability - found.fraction) @ found.texts / found.texts.sum())


# Intervals


class Interval(NamedTuple):
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


class Bootstrap:
    """Resamples of the photographs. Every figure uses the same resamples, so differences of figures are paired.

    It resamples photographs, not captions: captions of one photograph are not independent, and intervals would be too
    narrow. Source: Efron 1979, percentile method.
    """

    def __init__(self, photographs: int, resamples: int = RESAMPLES, seed: int = 0):
        self.photographs, self.resamples, self.seed = photographs, resamples, seed

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """(R, N): how often each resample has each photograph."""
        rng = np.random.default_rng(self.seed)
        weights = np.empty((self.resamples, self.photographs), dtype=np.float32)
        for line in weights:
            line[:] = np.bincount(rng.integers(self.photographs, size=self.photographs), minlength=self.photographs)
        return weights

    def mean(self, values: NDArray[Any], of: Integers) -> Floats:
        """Mean of values (I,), then their mean in each resample: (1 + R,). of: (I,) photograph of each value."""
        sums = np.stack(
            [np.bincount(of, values, self.photographs), np.bincount(of, minlength=self.photographs)], axis=1
        )
        blocks = (
            self.weights[i : i + 100] for i in range(0, self.resamples, 100)
        )  # a block at a time: the product copies it to float64
        total, count = np.concatenate([block @ sums for block in blocks]).T
        with np.errstate(invalid="ignore"):  # a resample can lack all photographs of a few values
            resampled = total / count
        return np.r_[values.mean() if len(values) else math.nan, resampled]


def interval(values: Floats) -> Interval:
    """The 95 % interval of values (1 + R,): the figure, then its value in each resample. NaN resamples are left out."""
    if np.isnan(values[1:]).all():
        return Interval(float(values[0]), math.nan, math.nan)
    low, high = np.nanpercentile(values[1:], (2.5, 97.5))
    return Interval(float(values[0]), float(low), float(high))


class Judged(NamedTuple):
    """Figures of true and false texts, each (1 + R,): its value, then its value in each resample."""

    balanced_accuracy: Floats
    recall: Floats
    specificity: Floats
    roc_auc: Floats
    average_precision: Floats

    def intervals(self) -> dict[str, Interval]:
        return {name: interval(values) for name, values in self._asdict().items()}


def judged(
    positive: Floats, of_positive: Integers, negative: Floats, of_negative: Integers, threshold: float, boot: Bootstrap
) -> Judged:
    """All figures of scored texts; of_positive, of_negative: the photograph of each text."""
    recall, specificity = _rates(positive, of_positive, negative, of_negative, threshold, boot)
    area, precision = _areas(positive, of_positive, negative, of_negative, boot)
    return Judged((recall + specificity) / 2, recall, specificity, area, precision)


def balanced_accuracy(
    positive: Floats, of_positive: Integers, negative: Floats, of_negative: Integers, threshold: float, boot: Bootstrap
) -> Floats:
    """The balanced accuracy of `judged` without the other figures, which take longer: (1 + R,)."""
    recall, specificity = _rates(positive, of_positive, negative, of_negative, threshold, boot)
    return (recall + specificity) / 2


def _rates(
    positive: Floats, of_positive: Integers, negative: Floats, of_negative: Integers, threshold: float, boot: Bootstrap
) -> tuple[Floats, Floats]:
    limit = np.float64(threshold)  # see rates
    return boot.mean(positive >= limit, of_positive), boot.mean(negative < limit, of_negative)


def _areas(
    positive: Floats,
    of_positive: Integers,
    negative: Floats,
    of_negative: Integers,
    boot: Bootstrap,
    block: int = 2**15,
) -> tuple[Floats, Floats]:
    """ROC-AUC and average precision, (1 + R,) each; a tie counts half.

    Computed in blocks of resamples of about `block` numbers, 256 kB, which stay in a processor's cache: a third of the
    time of blocks of 32 MB. Weights are whole numbers, so every sum but that of the precisions is exact in float64.
    """
    if not len(positive) or not len(negative):
        return np.full(1 + boot.resamples, np.nan), np.full(1 + boot.resamples, np.nan)
    levels, code = np.unique(np.r_[positive, negative], return_inverse=True)
    code = len(levels) - 1 - code  # 0 is the highest score
    sides = []
    for codes, of in ((code[: len(positive)], of_positive), (code[len(positive) :], of_negative)):
        order = np.argsort(codes, kind="stable")
        sides.append((of[order], np.searchsorted(codes[order], np.arange(len(levels) + 1))))
    results: tuple[list[Floats], list[Floats]] = ([], [])
    everything = np.ones((1, boot.photographs), dtype=np.float32)
    lines = max(1, block // (len(positive) + len(negative)))
    for weights in (everything, *(boot.weights[i : i + lines] for i in range(0, boot.resamples, lines))):
        # (lines, 1 + levels): column i is the weight of the texts above level i, the last one that of all texts.
        true, false = (_sums_before(weights.take(of, axis=1), ends) for of, ends in sides)
        here = np.diff(true, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            beaten = false[:, -1:] - (false[:, 1:] + false[:, :-1]) / 2
            area = (here * beaten).sum(1) / (true[:, -1] * false[:, -1])
            precision = true[:, 1:] / np.maximum(true[:, 1:] + false[:, 1:], 1e-12)
            average = (here * precision).sum(1) / true[:, -1]
        results[0].append(area)
        results[1].append(average)
    area, average = (np.concatenate(parts) for parts in results)
    return area, average


def _sums_before(values: Floats, ends: Integers) -> Floats:
    """Sums in float64 of the first ends[i] values of each line: (A, K), (S,) -> (A, S)."""
    sums = np.zeros((len(values), values.shape[1] + 1))
    np.cumsum(values, axis=1, dtype=np.float64, out=sums[:, 1:])
    return sums.take(ends, axis=1)


def brier_score(probability: Floats, label: NDArray[np.bool_], of: Integers, boot: Bootstrap) -> Floats:
    """Mean squared difference of probability (I,) and label (I,), then in each resample: (1 + R,). Source: Brier 1950.

    of: (I,) photograph of each text.
    """
    return boot.mean((probability - label) ** 2, of)


def calibration_figures(
    calibration: Calibration, scores: Floats, label: NDArray[np.bool_], of: Integers, boot: Bootstrap
) -> tuple[dict[str, Any], Reliability]:
    """Slope, intercept, ECE and Brier score of a calibration, and the bins of the reliability diagram.

    scores, label: (I,) of texts; of: (I,) their photograph.
    """
    probability = calibration.probability(scores)
    found = reliability(probability, label)
    figures = {
        "slope": calibration.slope,
        "intercept": calibration.intercept,
        "ece": calibration_error(found),
        "brier": interval(brier_score(probability, label, of, boot)),
    }
    return figures, found


def fraction_preferred(true: Floats, false: Floats) -> float:
    """How often (a fraction) a true text (K,) scores higher than its false text; a tie counts half."""
    return float(np.mean((true > false) + 0.5 * (true == false)))


def kendall(scores: Floats, ratings: Floats, of: Integers, variant: str, boot: Bootstrap) -> Floats:
    """Kendall's tau of scores (I,) and ratings (I,), then in each resample: (1 + MEDIANS,).

    of: (I,) photograph of each text; variant: "b" or "c".
    """
    from scipy.stats import kendalltau  # imported here for the same reason as in `calibrate`

    values = [kendalltau(scores, ratings, variant=variant).statistic]
    for weights in boot.weights[:MEDIANS]:
        some = np.repeat(np.arange(len(of)), weights[of].astype(int))
        values.append(kendalltau(scores[some], ratings[some], variant=variant).statistic)
    return np.array(values)


# Retrieval


class RankCounter:
    """Ranks of the right answers, from 0: the number of wrong answers with the same or a higher score.

    Scores are added for a few pictures at a time, so the whole matrix is never in memory.
    own: (T,) score of each text with its own picture. owner: (T,) number of this picture. groups: (N,) identity of each
    photograph; another picture of the same photograph is not a wrong answer. fold: (N,) only pictures and texts of the
    same fold compete; pictures with a negative fold are left out.
    """

    def __init__(self, own: Floats, owner: Integers, groups: NDArray[Any], fold: Integers | None = None):
        self.owner, self.groups = owner, np.unique(groups, return_inverse=True)[1]
        self.fold = np.zeros(len(groups), dtype=np.int64) if fold is None else fold
        best = np.full(len(groups), -np.inf)
        np.maximum.at(best, owner, own)  # the best caption of a picture counts
        self._best, self._own = best[:, None] - TIE, own - TIE
        self.of_pictures: Integers = np.zeros(
            len(groups), dtype=np.int64
        )  # rank of each picture's best caption among the texts
        self.of_texts: Integers = np.zeros(len(owner), dtype=np.int64)  # rank of each text's picture among the pictures

    def add(self, place: slice, scores: Floats) -> None:
        """Count the wrong answers in scores (n, T) of the pictures at `place` with all texts."""
        wrong = self.groups[place, None] != self.groups[self.owner]
        wrong &= self.fold[place, None] == self.fold[self.owner]
        self.of_texts += ((scores >= self._own) & wrong).sum(0)
        self.of_pictures[place] = ((scores >= self._best[place]) & wrong).sum(1)

    def recalls(self, boot: Bootstrap) -> dict[str, Floats]:
        """Samples of recall@1, @5, @10 and of the median rank (from 1), in both directions, over all folds."""
        result = {}
        pictures = np.flatnonzero(self.fold >= 0)
        texts = np.flatnonzero(self.fold[self.owner] >= 0)
        for name, rank, of in (
            ("picture_to_text", self.of_pictures[pictures], pictures),
            ("text_to_picture", self.of_texts[texts], self.owner[texts]),
        ):
            for k in (1, 5, 10):
                result[f"{name}_recall@{k}"] = boot.mean(rank < k, of)
            resampled = (np.repeat(rank, weights[of].astype(int)) for weights in boot.weights[:MEDIANS])
            medians = [np.median(rank), *(np.median(ranks) if len(ranks) else math.nan for ranks in resampled)]
            result[f"{name}_median_rank"] = np.array(medians) + 1
        return result


def hubness(scores: Floats, k: int = NEAREST) -> Floats:
    """Mean of the k best scores of each item with some references: (A, references) -> (A,).

    Some captions ("hubs") score high with every picture and rank first for many pictures. CSLS ranks by
    2 * score - hubness of the picture - hubness of the text. Source: Conneau et al. 2018.
    """
    return np.sort(highest(scores, k), axis=1).mean(axis=1)


def highest(scores: Floats, k: int) -> Floats:
    """The k highest scores of each line, in any order: (A, B) -> (A, k), or the scores if there are at most k."""
    if scores.shape[1] <= k:
        return scores
    return np.partition(scores, scores.shape[1] - k, axis=1)[:, -k:].copy()  # frees the other scores
