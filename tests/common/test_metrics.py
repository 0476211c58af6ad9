"""Metrics against values worked out by hand and against scikit-learn and scipy."""

import math
import warnings

import numpy as np
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    recall_score,
    roc_auc_score,
)

from common import metrics
from common.metrics import Bootstrap, Calibration, Criterion, RankCounter

FEW = settings(max_examples=examples(40), deadline=None)
PHOTOGRAPHS = 6
SCORES = st.lists(st.integers(-8, 8), min_size=1, max_size=15).map(lambda x: np.array(x, dtype=np.float32) / 8)


@st.composite
def scored_texts(draw):
    """Scores with many ties, and the photograph of each."""
    scores = draw(SCORES)
    of = draw(st.lists(st.integers(0, PHOTOGRAPHS - 1), min_size=len(scores), max_size=len(scores)))
    return scores, np.array(of)


# Rates and thresholds


def thresholds_that_differ(positive, negative):
    """Thresholds below all scores, between every two scores, and above all scores."""
    scores = np.unique(np.r_[positive, negative])
    return [scores[0] - 1, *(scores[1:] + scores[:-1]) / 2, scores[-1] + 1]


def test_rates_by_hand():
    rates = metrics.rates(np.array([0.9, 0.5, 0.4, 0.2]), np.array([0.5, 0.3, 0.1]), 0.5)
    assert rates == (pytest.approx((0.5 + 2 / 3) / 2), 0.5, pytest.approx(2 / 3))


def test_a_rate_of_no_scores_is_nan():
    some, none = np.array([0.9, 0.1]), np.array([])
    assert metrics.rates(some, none, 0.5) == pytest.approx((math.nan, 0.5, math.nan), nan_ok=True)
    assert metrics.rates(none, some, 0.5) == pytest.approx((math.nan, math.nan, 0.5), nan_ok=True)


def test_threshold_is_the_exact_optimum():
    rng = np.random.default_rng(0)
    for _ in range(20):
        positive = rng.normal(0.3, 1, rng.integers(1, 40)).round(1)
        negative = rng.normal(-0.3, 1, rng.integers(1, 40)).round(1)
        found = metrics.rates(positive, negative, metrics.best_threshold(positive, negative)).balanced_accuracy
        labels, scores = np.r_[np.ones(len(positive)), np.zeros(len(negative))], np.r_[positive, negative]
        every = [balanced_accuracy_score(labels, scores >= t) for t in thresholds_that_differ(positive, negative)]
        assert found == pytest.approx(max(every))


def test_threshold_curve_agrees_with_rates_and_equilibrium_is_where_they_meet():
    rng = np.random.default_rng(1)
    positive, negative = rng.normal(1, 1, 200), rng.normal(0, 1, 300)
    curve = metrics.threshold_curve(positive, negative)
    for i in (0, 7, len(curve.thresholds) - 1):
        assert metrics.rates(positive, negative, curve.thresholds[i])[1:] == (curve.recall[i], curve.specificity[i])
    at = metrics.rates(positive, negative, metrics.equilibrium_threshold(positive, negative))
    assert at.recall == pytest.approx(at.specificity, abs=0.01)
    with pytest.raises(ValueError, match="needs true and false texts; got 200 true and 0 false"):
        metrics.best_threshold(positive, negative[:0])


@given(SCORES, SCORES)
@FEW
def test_the_curve_is_exact_at_every_threshold(positive, negative):
    """Equal to the last bit: otherwise a rate of exactly R would not count as "at least R"."""
    curve = metrics.threshold_curve(positive, negative)
    for threshold, *expected in zip(*curve):
        assert [*metrics.rates(positive, negative, threshold)[1:]] == expected


def test_a_threshold_fits_between_neighbouring_floats():
    low = np.float32(0.5)
    high = np.nextafter(low, np.float32(1))
    threshold = metrics.best_threshold(np.array([high]), np.array([low]))
    assert metrics.rates(np.array([high]), np.array([low]), threshold).balanced_accuracy == 1


@pytest.mark.parametrize("low", [0.5, math.nextafter(0.5, 1)])
def test_a_threshold_fits_between_neighbours_of_float64(low):
    """There is no float between them: the middle is rounded to one of them."""
    high = math.nextafter(low, 1)
    threshold = metrics.best_threshold(np.array([high]), np.array([low]))
    assert metrics.rates(np.array([high]), np.array([low]), threshold).balanced_accuracy == 1


def test_the_threshold_lies_halfway_to_the_score_below():
    assert metrics.best_threshold(np.array([0.6, 0.8]), np.array([0.1, 0.2])) == pytest.approx(0.4)


CRITERIA = {
    "balanced-accuracy": Criterion("balanced-accuracy"),
    "f1": Criterion("f1"),
    "recall=0.95": Criterion("recall", 0.95),
    "recall=1": Criterion("recall", 1.0),
    "recall=0.1": Criterion("recall", 0.1),
    "specificity=0.8": Criterion("specificity", 0.8),
    "specificity=1": Criterion("specificity", 1.0),
    "cost=5:1": Criterion("cost", 5.0, 1.0),
    "cost=0.5:3": Criterion("cost", 0.5, 3.0),
}


@pytest.mark.parametrize("text", CRITERIA)
def test_a_criterion_is_parsed_and_written_alike(text):
    assert Criterion.parse(text) == CRITERIA[text]
    assert str(Criterion.parse(text)) == text


def test_writing_a_criterion_loses_no_digits():
    for text in ("recall=0.9999999", "specificity=0.12345678", "cost=1234567:1"):
        assert Criterion.parse(str(Criterion.parse(text))) == Criterion.parse(text)


WRONG_CRITERIA = [
    *("", "accuracy", "balanced_accuracy", "Recall=0.9", "f1=0.5", "balanced-accuracy=1", "0.95"),
    *("recall", "recall=", "recall=0", "recall=1.01", "recall=-0.5", "recall=nan", "recall=95%", "recall=0.9=0.8"),
    *("specificity", "specificity=0", "specificity=inf", "specificity=high"),
    *("cost", "cost=5", "cost=5:", "cost=5:1:1", "cost=0:1", "cost=1:-1", "cost=inf:1", "cost=nan:1", "cost=a:b"),
]


@pytest.mark.parametrize("text", WRONG_CRITERIA)
def test_the_error_for_a_wrong_criterion_lists_the_right_ones(text):
    with pytest.raises(ValueError, match=r"choose balanced-accuracy, recall=0\.95, .*, f1 or cost=5:1") as error:
        Criterion.parse(text)
    assert str(error.value).startswith(repr(text))


def worth(criterion, positive, negative, threshold):
    """The criterion, computed from its definition."""
    recall, specificity = metrics.rates(positive, negative, threshold)[1:]
    match criterion.name:
        case "recall":
            return specificity if recall >= criterion.first else -1
        case "specificity":
            return recall if specificity >= criterion.first else -1
        case "f1":
            precision = recall / max(recall + 1 - specificity, 1e-12)
            return 2 * precision * recall / max(precision + recall, 1e-12)
        case "cost":
            return -(criterion.first * (1 - specificity) + criterion.second * (1 - recall))
    return (recall + specificity) / 2


@pytest.mark.parametrize("text", CRITERIA)
@given(SCORES, SCORES)
@FEW
def test_no_threshold_is_better_than_the_best(text, positive, negative):
    criterion = Criterion.parse(text)
    found = metrics.best_threshold(positive, negative, criterion)
    best = max(worth(criterion, positive, negative, t) for t in thresholds_that_differ(positive, negative))
    assert worth(criterion, positive, negative, found) == pytest.approx(best)


@pytest.mark.parametrize("text", ["specificity=1", "cost=5:1"])
def test_nothing_is_accepted_if_that_is_best(text):
    """The false text has the highest score. The middle to the next float above is rounded to this score."""
    positive, negative = np.array([0.1], dtype=np.float32), np.array([0.5], dtype=np.float32)
    threshold = metrics.best_threshold(positive, negative, Criterion.parse(text))
    assert metrics.rates(positive, negative, threshold).specificity == 1


def test_at_least_this_recall_with_the_highest_specificity():
    rng = np.random.default_rng(2)
    positive, negative = rng.normal(1, 1, 200).round(2), rng.normal(0, 1, 300).round(2)
    for target in (0.9, 0.95, 1.0):
        found = metrics.rates(
            positive, negative, metrics.best_threshold(positive, negative, Criterion("recall", target))
        )
        assert found.recall >= target
        every = [metrics.rates(positive, negative, t) for t in thresholds_that_differ(positive, negative)]
        assert found.specificity == max(rates.specificity for rates in every if rates.recall >= target)
        assert found.specificity > 0


def test_exactly_the_recall_that_is_asked_for_is_enough():
    """1 - 9 / 10 is less than 0.1, and 1 of 10 is not."""
    positive = np.arange(10) / 10
    for target, negative_score in ((0.1, 0.85), (0.2, 0.75)):
        negative = np.array([negative_score])
        threshold = metrics.best_threshold(positive, negative, Criterion("recall", target))
        assert metrics.rates(positive, negative, threshold)[1:] == (target, 1)


def test_costs_by_hand():
    positive, negative = np.array([0.2, 0.6, 0.8, 0.9]), np.array([0.1, 0.3, 0.7, 0.75])
    # If a false text costs 5, refuse all four and lose two true texts; if a true text does, accept all four.
    for text, expected in (("cost=5:1", (0.5, 1)), ("cost=1:5", (1, 0.25))):
        threshold = metrics.best_threshold(positive, negative, Criterion.parse(text))
        assert metrics.rates(positive, negative, threshold)[1:] == expected


@given(st.integers(1, 15).flatmap(lambda n: st.tuples(*[st.lists(st.integers(-8, 8), min_size=n, max_size=n)] * 2)))
@FEW
def test_f1_is_that_of_scikit_learn_if_classes_are_of_equal_size(both):
    positive, negative = (np.array(scores) / 8 for scores in both)
    labels, scores = np.repeat([True, False], len(positive)), np.r_[positive, negative]
    found = metrics.best_threshold(positive, negative, Criterion("f1"))
    every = [f1_score(labels, scores >= t, zero_division=0) for t in thresholds_that_differ(positive, negative)]
    assert f1_score(labels, scores >= found) == pytest.approx(max(every))


# Calibration


def test_calibration_finds_the_logistic_curve_that_scores_were_drawn_from():
    """Two normal distributions of standard deviation s have the log odds (m1 - m0) / s^2 * x - (m1^2 - m0^2) / 2s^2."""
    rng = np.random.default_rng(0)
    positive, negative = rng.normal(0.4, 0.2, 20_000), rng.normal(0.1, 0.2, 60_000)
    found = metrics.calibrate(positive.astype(np.float32), negative.astype(np.float32))
    assert found.slope == pytest.approx(0.3 / 0.04, rel=0.03)
    assert found.intercept == pytest.approx(-(0.16 - 0.01) / 0.08, rel=0.03)
    assert found.probability(0.25) == pytest.approx(0.5, abs=0.01)  # halfway, whatever the sizes of the classes


def test_calibration_is_logistic_regression_with_balanced_classes():
    """Except for Platt's smoothed labels, which differ by 1 / 5,000."""
    rng = np.random.default_rng(1)
    positive, negative = (
        rng.beta(4, 3, 5000),
        rng.beta(2, 4, 8000),
    )  # not normal distributions, so the curve is only the best fit
    found = metrics.calibrate(positive, negative)
    model = LogisticRegression(C=1e8, class_weight="balanced", tol=1e-8)
    model.fit(np.r_[positive, negative][:, None], np.repeat([1, 0], [5000, 8000]))
    assert found[:2] == pytest.approx((model.coef_.item(), model.intercept_.item()), rel=1e-2)


def test_calibration_is_the_minimum_of_platts_loss():
    rng = np.random.default_rng(2)
    positive, negative = rng.normal(0.3, 0.2, 12), rng.normal(0.1, 0.2, 30)

    def loss(slope, intercept):
        p, n = (1 / (1 + np.exp(-slope * scores - intercept)) for scores in (positive, negative))
        soft_p, soft_n = 13 / 14, 1 / 32
        true = -(soft_p * np.log(p) + (1 - soft_p) * np.log(1 - p)).mean()
        return true - (soft_n * np.log(n) + (1 - soft_n) * np.log(1 - n)).mean()

    slope, intercept, _ = metrics.calibrate(positive, negative)
    least = loss(slope, intercept)
    for step in (1e-2, -1e-2):
        assert least < loss(slope + step, intercept)
        assert least < loss(slope, intercept + step)


@pytest.mark.parametrize("count", [1, 3, 1000])
def test_scores_that_a_threshold_separates_give_a_finite_curve(count):
    positive, negative = np.linspace(0.6, 0.9, count), np.linspace(0.1, 0.4, count)
    found = metrics.calibrate(positive, negative)
    assert np.isfinite(found[:2]).all()
    probability = found.probability(np.linspace(-1, 1, 101))
    assert (np.diff(probability) > 0).all()
    assert found.probability(positive.min()) > 0.5 > found.probability(negative.max())
    assert probability.max() < 1


def test_scores_without_information_give_an_even_chance_everywhere():
    """A collapsed model gives every text the same score; the curve must not be a step at this score."""
    same = np.full(7, 0.3, dtype=np.float32)
    found = metrics.calibrate(same, same[:5])
    np.testing.assert_allclose(found.probability([-1.0, 0.29, 0.3, 0.31, 1.0]), 0.5, atol=0.02)


@given(SCORES, SCORES)
@FEW
def test_a_probability_never_falls_as_the_score_rises_and_agrees_with_the_verdict(positive, negative):
    fit, threshold = metrics.calibrate(positive, negative), metrics.best_threshold(positive, negative)
    scores = np.linspace(-1.5, 1.5, 301)
    probability, match = fit._replace(even=threshold).probability(scores), scores >= threshold
    assert fit.slope >= 0
    assert (np.diff(fit.probability(scores)) >= 0).all() and (np.diff(probability) >= 0).all()
    assert (probability[match] >= 0.5).all() and (probability[~match] <= 0.5).all()


def test_a_model_that_prefers_false_texts_gives_an_even_chance():
    rng = np.random.default_rng(3)
    positive, negative = rng.normal(0.1, 0.2, 300), rng.normal(0.15, 0.2, 300)
    found = metrics.calibrate(positive, negative)
    assert found == (0, 0, None) and (found.probability(positive) == 0.5).all()
    assert metrics.calibrate(negative, positive).slope > 0.5, "the same scores the other way round"


def test_only_scores_between_the_threshold_and_the_middle_of_the_fit_change():
    fit = Calibration(10.0, -4.0)  # 1/2 at 0.4
    for even, inside in ((0.3, 0.35), (0.5, 0.45)):
        found, outside = fit._replace(even=even), [0.1, 0.29, 0.51, 0.9]
        np.testing.assert_allclose(found.probability(outside), fit.probability(outside))
        assert found.probability(inside) == 0.5 and abs(fit.probability(inside) - 0.5) > 0.1


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.lists(st.floats(-1, 1, width=32), min_size=1))
@FEW
def test_a_probability_is_between_0_and_1(slope, intercept, scores):
    probability = Calibration(slope, intercept).probability(scores)
    assert probability.shape == (len(scores),)
    assert (probability >= 0).all()
    assert (probability <= 1).all()


def test_reliability_and_calibration_error_by_hand():
    probability, label = np.array([0.1, 0.2, 0.6, 0.9, 1.0]), np.array([0, 1, 1, 0, 1], dtype=bool)
    found = metrics.reliability(probability, label, bins=4)
    np.testing.assert_allclose(found.probability, [0.15, 0.6, 0.95])  # the second bin is empty; 1 is in the last
    np.testing.assert_allclose(found.fraction, [0.5, 1, 0.5])
    assert found.texts.tolist() == [2, 1, 2]
    assert metrics.calibration_error(found) == pytest.approx((2 * 0.35 + 0.4 + 2 * 0.45) / 5)


def test_probabilities_that_come_true_have_no_calibration_error():
    rng = np.random.default_rng(0)
    probability = rng.random(50_000)
    label = rng.random(50_000) < probability
    assert metrics.calibration_error(metrics.reliability(probability, label)) < 0.01
    assert metrics.calibration_error(metrics.reliability(probability, ~label)) > 0.4


def test_brier_score_by_hand_and_by_scikit_learn():
    boot = Bootstrap(2, 20)
    samples = metrics.brier_score(np.array([0.8, 0.4]), np.array([True, False]), np.array([0, 1]), boot)
    assert samples[0] == pytest.approx((0.04 + 0.16) / 2)
    assert set(samples[1:].round(6)) == {0.04, 0.1, 0.16}, "one photograph twice, or both"
    rng = np.random.default_rng(0)
    probability, label = rng.random(100), rng.random(100) < 0.3
    samples = metrics.brier_score(probability, label, np.arange(100), Bootstrap(100, 10))
    assert samples[0] == pytest.approx(brier_score_loss(label, probability))


# Intervals


def test_a_seed_gives_the_same_resamples_of_all_photographs():
    boot = Bootstrap(40, 30, seed=3)
    assert boot.weights.shape == (30, 40)
    assert (boot.weights == Bootstrap(40, 30, seed=3).weights).all()
    assert (boot.weights != Bootstrap(40, 30, seed=4).weights).any()
    assert (boot.weights.sum(1) == 40).all()
    assert (boot.weights >= 0).all()
    assert len(np.unique(boot.weights, axis=0)) == 30


def test_each_photograph_is_drawn_equally_often():
    weights = Bootstrap(10, 5000).weights
    np.testing.assert_allclose(weights.mean(0), 1, atol=0.06)
    np.testing.assert_allclose((weights == 0).mean(0), 0.9**10, atol=0.03)  # the probability that ten draws miss it


def by_hand(*weights):
    """A bootstrap with these weights."""
    boot = Bootstrap(len(weights[0]), len(weights))
    boot.weights = np.array(weights, dtype=np.float32)
    return boot


def test_mean_by_hand():
    boot = by_hand([1, 1, 1], [2, 0, 1], [0, 3, 0], [0, 0, 3])
    values, of = np.array([1.0, 0.0, 4.0]), np.array([0, 0, 1])  # photograph 2 has no text
    np.testing.assert_allclose(boot.mean(values, of), [5 / 3, 5 / 3, 0.5, 4, math.nan])
    np.testing.assert_allclose(boot.mean(values > 0, of), [2 / 3, 2 / 3, 0.5, 1, math.nan])


def test_a_mean_of_nothing_is_nan_everywhere():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = Bootstrap(3, 5).mean(np.zeros(0), np.zeros(0, dtype=np.int64))
    assert found.shape == (6,)
    assert np.isnan(found).all()
    assert all(map(math.isnan, metrics.interval(found)))


def test_interval_by_hand():
    resampled = np.random.default_rng(0).permutation(np.arange(101.0))
    assert metrics.interval(np.r_[7.0, resampled]) == pytest.approx((7, 2.5, 97.5))
    assert metrics.interval(np.r_[7.0, math.nan, resampled, math.nan]) == pytest.approx((7, 2.5, 97.5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metrics.interval(np.array([7, math.nan, math.nan])) == pytest.approx(
            (7, math.nan, math.nan), nan_ok=True
        )
        assert metrics.interval(np.array([7.0])) == pytest.approx((7, math.nan, math.nan), nan_ok=True)


def test_resamples_without_the_few_photographs_of_a_kind_are_left_out():
    """Two of 50 photographs have a text: 13 % of the resamples have neither photograph."""
    boot = Bootstrap(50, 400)
    values, of = np.array([0.0, 1.0]), np.array([7, 31])
    found = boot.mean(values, of)
    assert np.isnan(found).tolist() == [False, *(boot.weights[:, of].sum(1) == 0)]
    assert 20 < np.isnan(found).sum() < 90
    assert metrics.interval(found) == (0.5, 0, 1)
    rare = metrics.judged(values, of, np.linspace(0, 1, 50), np.arange(50), 0.5, boot)
    assert all(np.isfinite(figures).all() for figures in rare.intervals().values())


def test_the_interval_covers_the_truth_if_photographs_are_resampled_and_not_if_captions_are():
    """All captions of a photograph are accepted or all are refused, so there are 60 observations, not 300."""
    rng, truth = np.random.default_rng(0), 0.7
    of_photographs, of_captions = Bootstrap(60, 200), Bootstrap(300, 200)
    photograph, caption, nothing = np.repeat(np.arange(60), 5), np.arange(300), np.zeros(0)
    covered = np.zeros(2)
    for _ in range(200):
        score = np.repeat(rng.random(60) < truth, 5).astype(float)
        for i, (boot, of) in enumerate(((of_photographs, photograph), (of_captions, caption))):
            found = metrics.judged(score, of, nothing, nothing.astype(int), 0.5, boot).intervals()["recall"]
            assert found.value == score.mean()
            covered[i] += found.low <= truth <= found.high
    assert 0.88 <= covered[0] / 200 <= 0.99
    assert covered[1] / 200 < 0.75  # intervals of 300 observations are 1 / sqrt(5) as wide


def test_the_interval_of_random_scores_contains_a_half():
    boot = Bootstrap(60, 200)
    of = np.repeat(np.arange(60), 4)
    held = dict.fromkeys(("balanced_accuracy", "roc_auc", "pairwise"), 0)
    for seed in range(100):
        rng = np.random.default_rng(seed)
        photograph = rng.normal(size=60)[of]  # some photographs have high scores, of true and of false texts
        positive, negative = (photograph + rng.normal(size=240) for _ in range(2))
        judged = metrics.judged(positive, of, negative, of, rng.normal(), boot)
        found = {**judged.intervals(), "pairwise": metrics.interval(boot.mean(positive > negative, of))}
        for name in held:
            held[name] += found[name].low <= 0.5 <= found[name].high
    assert min(held.values()) >= 88, held


# Judged


@given(scored_texts(), scored_texts(), st.integers(-9, 9))
@settings(max_examples=examples(25), deadline=None)
def test_figures_of_all_and_of_each_resample_are_those_of_scikit_learn(true, false, eighths):
    """scikit-learn gets the weights of the photographs as weights of the texts. Scores and the threshold can tie."""
    boot = Bootstrap(PHOTOGRAPHS, 6, seed=1)
    threshold = eighths / 8
    found = metrics.judged(*true, *false, threshold, boot)
    assert {len(figures) for figures in found} == {7}
    scores, of = (np.concatenate(both) for both in zip(true, false))
    labels = np.repeat([True, False], [len(true[0]), len(false[0])])
    for i, weights in enumerate((np.ones(PHOTOGRAPHS), *boot.weights)):
        weight = weights[of]
        some_true, some_false = weight[labels].any(), weight[~labels].any()
        assert np.isnan(found.recall[i]) == np.isnan(found.average_precision[i]) == (not some_true)
        assert np.isnan(found.specificity[i]) == (not some_false)
        assert np.isnan(found.balanced_accuracy[i]) == np.isnan(found.roc_auc[i]) == (not (some_true and some_false))
        if not (some_true and some_false):
            continue
        accepted = scores >= threshold
        expected = metrics.Judged(
            balanced_accuracy_score(labels, accepted, sample_weight=weight),
            recall_score(labels, accepted, sample_weight=weight),
            recall_score(~labels, ~accepted, sample_weight=weight),
            roc_auc_score(labels, scores, sample_weight=weight),
            average_precision_score(labels, scores, sample_weight=weight),
        )
        assert [figures[i] for figures in found] == pytest.approx(list(expected), abs=1e-6)


def test_areas_by_hand():
    boot = by_hand([1, 1], [2, 0])
    positive, negative = np.array([0.9, 0.4]), np.array([0.4, 0.1])
    area, precision = metrics._areas(positive, np.array([0, 1]), negative, np.array([0, 1]), boot)
    np.testing.assert_allclose(area, [3.5 / 4, 3.5 / 4, 1])  # a tie counts half
    np.testing.assert_allclose(precision, [(1 + 2 / 3) / 2, (1 + 2 / 3) / 2, 1])


@pytest.mark.parametrize("block", [1, 100, 333])
def test_blocks_of_resamples_change_nothing(block):
    rng = np.random.default_rng(0)
    boot = Bootstrap(20, 17)
    positive, negative = rng.normal(1, 1, 40).round(1), rng.normal(0, 1, 60).round(1)
    texts = positive, rng.integers(20, size=40), negative, rng.integers(20, size=60)
    for one, other in zip(metrics._areas(*texts, boot), metrics._areas(*texts, boot, block=block)):
        assert one.shape == (18,)
        np.testing.assert_array_equal(one, other)


def test_texts_of_one_class_have_a_rate_but_no_area():
    some, of, none = np.array([0.9, 0.1]), np.array([0, 1]), np.zeros(0)
    found = metrics.judged(none, none.astype(int), some, of, 0.5, Bootstrap(2, 8)).intervals()
    assert found["specificity"].value == 0.5
    assert all(math.isnan(found[name].value) for name in found if name != "specificity")


def test_a_threshold_is_compared_in_float64():
    """The float32 0.1 is above the float64 0.1. Rounded to float32, the float64 just below 0.1 would equal it."""
    score = np.array([0.1], dtype=np.float32)
    for threshold, accepted in ((float(score[0]), 1), (math.nextafter(float(score[0]), 1), 0)):
        found = metrics.judged(score, np.zeros(1, int), score, np.zeros(1, int), threshold, Bootstrap(1, 2))
        assert (found.recall[0], found.specificity[0]) == (accepted, 1 - accepted)
        assert metrics.rates(score, score, threshold)[1:] == (accepted, 1 - accepted)


# Kendall's tau


def test_kendall_by_hand():
    """Six pairs: four agree, one ties in the score and one in the rating."""
    scores, ratings, of = np.array([1.0, 2, 2, 3]), np.array([1.0, 2, 3, 3]), np.arange(4)
    boot = by_hand([1, 1, 1, 1], [2, 0, 0, 2])
    assert metrics.kendall(scores, ratings, of, "b", boot) == pytest.approx([4 / 5, 4 / 5, 1])
    # Variant c: 2 * (agreeing - disagreeing) / (n^2 * (m - 1) / m), m = 3 distinct values, 2 in the second resample.
    assert metrics.kendall(scores, ratings, of, "c", boot) == pytest.approx([3 / 4, 3 / 4, 8 / 8])


@pytest.mark.parametrize("variant", ["b", "c"])
def test_kendall_is_that_of_scipy_and_of_each_resample(variant):
    rng = np.random.default_rng(0)
    of = np.repeat(np.arange(15), 2)
    ratings = rng.integers(1, 6, 30).astype(float)
    scores = (ratings + rng.normal(0, 2, 30)).round()
    boot = Bootstrap(15, metrics.MEDIANS + 5)
    found = metrics.kendall(scores, ratings, of, variant, boot)
    assert found.shape == (1 + metrics.MEDIANS,)
    assert found[0] == kendalltau(scores, ratings, variant=variant).statistic
    a, b = (np.sign(x[:, None] - x) for x in (scores, ratings))
    for i, weights in enumerate(boot.weights[:20], 1):
        pairs = np.outer(weights[of], weights[of])
        if variant == "b":
            expected = (pairs * a * b).sum() / np.sqrt((pairs * a**2).sum() * (pairs * b**2).sum())
        else:
            m = min(len(np.unique(x[weights[of] > 0])) for x in (scores, ratings))
            expected = (pairs * a * b).sum() / (30**2 * (m - 1) / m)
        assert found[i] == pytest.approx(expected)


# Retrieval


def count_ranks(scores, owner, groups=None, fold=None, block=None):
    """Give a counter the scores (N, T) of a few pictures at a time."""
    groups = np.arange(len(scores)) if groups is None else groups
    counter = RankCounter(scores[owner, np.arange(len(owner))], owner, groups, fold)
    for start in range(0, len(scores), block or len(scores)):
        place = slice(start, min(len(scores), start + (block or len(scores))))
        counter.add(place, scores[place])
    return counter


def retrieval(scores, owner, *arguments):
    """The figures without their resamples."""
    found = count_ranks(scores, owner, *arguments).recalls(Bootstrap(len(scores), 3))
    return {name: values[0] for name, values in found.items()}


@pytest.mark.parametrize("block", [None, 1, 2])
def test_retrieval_by_hand(block):
    owner = np.array([0, 0, 1, 2])
    scores = np.array([[0.9, 0.1, 0.8, 0.0], [0.2, 0.1, 0.7, 0.6], [0.3, 0.4, 0.5, 0.6]])
    found = retrieval(scores, owner, None, None, block)
    # Picture 0: caption 0 is first. Picture 1: its caption is first. Picture 2: its caption is first.
    assert found["picture_to_text_recall@1"] == 1
    assert found["picture_to_text_median_rank"] == 1
    # Text 0 first; text 1 ties with picture 1 and loses to picture 2: third; text 2 second; text 3 ties: second.
    assert count_ranks(scores, owner, None, None, block).of_texts.tolist() == [0, 2, 1, 1]
    assert found["text_to_picture_recall@1"] == 0.25
    assert found["text_to_picture_recall@5"] == found["text_to_picture_recall@10"] == 1
    assert found["text_to_picture_median_rank"] == 2


def test_retrieval_of_resamples_by_hand():
    """A resample has the captions of its pictures: resample 1 has picture 0 twice, and its two captions twice."""
    owner = np.array([0, 0, 1, 2])
    scores = np.array([[0.9, 0.1, 0.8, 0.0], [0.2, 0.1, 0.7, 0.6], [0.3, 0.4, 0.5, 0.6]])
    found = count_ranks(scores, owner).recalls(by_hand([2, 0, 1], [0, 3, 0]))
    # Texts 0, 0, 1, 1, 3 have the ranks 1, 1, 3, 3, 2; then text 2 with rank 2 three times.
    assert found["text_to_picture_recall@1"] == pytest.approx([0.25, 0.4, 0])
    assert found["text_to_picture_recall@5"] == pytest.approx([1, 1, 1])
    assert found["text_to_picture_median_rank"] == pytest.approx([2, 2, 2])
    assert found["picture_to_text_recall@1"] == pytest.approx([1, 1, 1])


def test_each_figure_has_a_value_in_each_resample():
    boot = Bootstrap(20, metrics.MEDIANS + 50)
    scores = np.random.default_rng(0).normal(size=(20, 40))
    found = count_ranks(scores, np.repeat(np.arange(20), 2)).recalls(boot)
    assert len(found) == 8
    for name, values in found.items():
        assert values.shape == (1 + (metrics.MEDIANS if "median" in name else boot.resamples),)
        interval = metrics.interval(values)
        assert interval.low <= interval.value <= interval.high
        assert interval.low < interval.high


def test_another_picture_of_the_same_photograph_is_not_a_wrong_answer():
    owner = np.array([0, 1, 2])
    scores = np.array([[0.5, 0.9, 0.1], [0.9, 0.5, 0.1], [0.0, 0.0, 0.9]])
    assert retrieval(scores, owner)["picture_to_text_recall@1"] == pytest.approx(1 / 3)
    found = retrieval(scores, owner, np.array(["a", "a", "b"]))
    assert found["picture_to_text_recall@1"] == found["text_to_picture_recall@1"] == 1


def test_a_constant_score_retrieves_nothing():
    found = retrieval(np.zeros((20, 40)), np.repeat(np.arange(20), 2))
    assert found["picture_to_text_recall@10"] == found["text_to_picture_recall@10"] == 0
    assert found["picture_to_text_median_rank"] == 39  # behind the 38 captions of other pictures
    assert found["text_to_picture_median_rank"] == 20


def test_scores_that_differ_only_by_rounding_are_a_tie():
    """The same pair, scored by a matrix product and by a vector product."""
    owner, apart = np.arange(2), 5e-7
    assert 0 < apart < metrics.TIE
    scores = np.array([[0.5, 0.5 - apart], [0.0, 0.5]], dtype=np.float32)
    assert count_ranks(scores, owner).of_pictures.tolist() == [1, 0]
    assert count_ranks(scores, owner).of_texts.tolist() == [0, 1]
    scores[0, 1] -= 1e-5
    assert count_ranks(scores, owner).of_pictures.tolist() == [0, 0]


@st.composite
def retrievals(draw):
    """Scores with ties, pictures that can be without a text, photographs that occur twice, folds."""
    pictures = draw(st.integers(1, 6))
    owner = np.array(draw(st.lists(st.integers(0, pictures - 1), min_size=1, max_size=10)))
    scores = draw(st.lists(st.integers(-2, 2), min_size=pictures * len(owner), max_size=pictures * len(owner)))
    groups, fold = (
        np.array(draw(st.lists(st.integers(low, 2), min_size=pictures, max_size=pictures))) for low in (0, -1)
    )
    return np.array(scores, dtype=np.float32).reshape(pictures, -1) / 4, owner, groups, fold


@given(retrievals(), st.integers(1, 6))
@settings(max_examples=examples(100), deadline=None)
def test_ranks_in_blocks_of_any_size_are_those_counted_one_by_one(case, block):
    scores, owner, groups, fold = case
    counter = count_ranks(scores, owner, groups, fold, block)

    def wrong(picture, text):
        return groups[picture] != groups[owner[text]] and fold[picture] == fold[owner[text]]

    for text, mine in enumerate(owner):
        before = [n for n in range(len(scores)) if wrong(n, text) and scores[n, text] >= scores[mine, text]]
        assert counter.of_texts[text] == len(before)
    for picture, line in enumerate(scores):
        best = max(line[owner == picture], default=-math.inf)
        before = [text for text in range(len(owner)) if wrong(picture, text) and line[text] >= best]
        assert counter.of_pictures[picture] == len(before)


def test_folds_compete_only_among_themselves():
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(30), 3)
    fold = rng.permutation(np.repeat([-1, 0, 1, 2], [3, 9, 9, 9]))
    scores = rng.normal(size=(30, 90))
    scores[owner, np.arange(90)] += 1
    together = count_ranks(scores, owner, None, fold, 7)
    parts = []
    for number in range(3):
        mine = np.flatnonzero(fold == number)
        texts = np.flatnonzero(fold[owner] == number)
        alone = count_ranks(scores[np.ix_(mine, texts)], np.searchsorted(mine, owner[texts]))
        assert together.of_pictures[mine].tolist() == alone.of_pictures.tolist()
        assert together.of_texts[texts].tolist() == alone.of_texts.tolist()
        parts.append(alone.recalls(Bootstrap(9, 1)))
    # Folds have the same size, so the overall recall is the mean of theirs. Pictures without a fold (-1) do not count.
    found = together.recalls(Bootstrap(30, 1))
    for name in (name for name in found if "recall" in name):
        assert found[name][0] == pytest.approx(np.mean([part[name][0] for part in parts]))
    assert (
        found["picture_to_text_recall@1"][0]
        > count_ranks(scores, owner).recalls(Bootstrap(30, 1))["picture_to_text_recall@1"][0]
    )  # fewer competitors are easier


def test_hubness_by_hand():
    scores = np.array([[0.1, 0.2, -0.5], [0.7, 0.5, 0.6]])
    np.testing.assert_allclose(metrics.hubness(scores, k=2), [0.15, 0.65])
    np.testing.assert_allclose(metrics.hubness(scores, k=1), [0.2, 0.7])
    np.testing.assert_allclose(
        metrics.hubness(scores), [-0.2 / 3, 0.6]
    )  # the mean of all, since there are fewer than ten
    assert scores[0].tolist() == [0.1, 0.2, -0.5]


def test_csls_takes_the_first_place_from_a_hub():
    """Text 1 scores high with everything; the right text of picture 0 is text 0."""
    scores, owner = np.array([[0.6, 0.7], [0.1, 0.9]]), np.array([0, 1])
    of_texts = metrics.hubness(np.array([[0.1, 0.2, -0.5], [0.5, 0.6, 0.7]]), k=2)
    of_pictures = metrics.hubness(np.array([[0.3, 0.1, 0.2], [0.5, 0.4, 0.0]]), k=2)
    corrected = 2 * scores - of_pictures[:, None] - of_texts
    np.testing.assert_allclose(corrected, [[0.8, 0.5], [-0.4, 0.7]])
    assert retrieval(scores, owner)["picture_to_text_recall@1"] == 0.5
    assert retrieval(corrected, owner)["picture_to_text_recall@1"] == 1


def test_hubness_of_the_highest_scores_is_that_of_all_bit_by_bit():
    """Of blocks of items, and of blocks of references, whose numbers must lie as in the transposed whole matrix."""
    scores = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)
    blocks = [scores[i : i + 16] for i in range(0, len(scores), 16)]
    highest = np.concatenate([metrics.highest(block, 10) for block in blocks])
    assert (metrics.hubness(highest) == np.sort(scores, axis=1)[:, -10:].mean(axis=1)).all()
    by_text = np.zeros((30, 0), dtype=np.float32)
    for block in blocks:
        by_text = metrics.highest(np.concatenate([by_text, block.T], axis=1), 10)
    expected = np.sort(scores.T, axis=1)[:, -10:].mean(axis=1)
    assert (metrics.hubness(np.asfortranarray(by_text)) == expected).all()
