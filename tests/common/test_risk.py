"""Verdicts with a risk: the guarantee, and the limits."""

import numpy as np
import pytest

from common.metrics import best_threshold
from common.risk import RISKS, Limits, find_limits, limits_at, select

TEXTS = 5  # true ones, and as many false ones, of a photograph


def draw(photographs, distance, rng, shared):
    """Scores of true and false texts, and their photographs; the scores of one photograph are correlated."""
    of_photograph = shared * rng.normal(size=(photographs, 1))
    true, false = (
        np.tanh((sign * distance / 2 + of_photograph + rng.normal(size=(photographs, TEXTS))) / 2) for sign in (1, -1)
    )
    of = np.repeat(np.arange(photographs), TEXTS)
    return true.ravel(), of, false.ravel(), of


@pytest.mark.parametrize("shared", [0.3, 0.7])
@pytest.mark.parametrize("distance", [1.0, 2.0, 4.5])  # balanced accuracy 0.68, 0.83, 0.98
@pytest.mark.parametrize("photographs", [50, 200, 1000])
def test_the_average_error_rate_of_each_verdict_stays_below_the_risk(shared, distance, photographs):
    rng = np.random.default_rng(0)
    population = draw(20_000, distance, rng, shared)
    true, false = np.sort(population[0]), np.sort(population[2])
    above = lambda scores, limit: 1 - np.searchsorted(scores, limit) / len(scores)  # noqa: E731
    rates = {risk: [] for risk in RISKS}
    for _ in range(60):
        scores = draw(photographs, distance, rng, shared)
        for risk, lower, upper in find_limits(*scores, best_threshold(scores[0], scores[2])):
            matches = (0, 0) if upper is None else (above(false, upper), above(true, upper))
            refused = (0, 0) if lower is None else (1 - above(true, lower), 1 - above(false, lower))
            rates[risk].append((*matches, *refused))
    for risk, found in rates.items():
        for wrong, right in np.array(found).reshape(-1, 2, 2).transpose(1, 2, 0):
            cost = (1 - risk) * wrong - risk * right  # expected to be at most 0
            assert cost.mean() <= 3 * cost.std() / np.sqrt(len(cost)) + 1e-9, (risk, cost.mean())


@pytest.mark.parametrize(("distance", "risk", "least"), [(2.0, 0.1, 0.7), (2.0, 0.05, 0.4), (4.5, 0.03, 0.98)])
def test_most_texts_that_could_get_a_verdict_get_one(distance, risk, least):
    rng = np.random.default_rng(1)
    true, of, false, _ = draw(1000, distance, rng, 0.3)
    limits = limits_at(find_limits(true, of, false, of, best_threshold(true, false)), risk, "")
    coverage, error = select(*draw(5000, distance, rng, 0.3)[::2], limits)
    assert coverage >= least and error <= 1.1 * risk


def test_a_judge_without_errors_is_never_unsure():
    of = np.arange(200)
    for risk, lower, upper in find_limits(np.linspace(0.5, 1, 200), of, np.linspace(-1, 0, 200), of, 0.25):
        assert (lower, upper) == (0.25, 0.25) or risk < 0.02  # too few photographs to know that


def test_a_judge_at_chance_gives_no_verdict():
    rng = np.random.default_rng(2)
    of = np.repeat(np.arange(400), 3)
    for found in find_limits(rng.normal(size=1200), of, rng.normal(size=1200), of, 0.0):
        assert found.risk > 0.25 or found[1:] == (None, None)


def test_limits_do_not_contradict_the_threshold():
    rng = np.random.default_rng(3)
    true, of, false, _ = draw(500, 2.0, rng, 0.3)
    for threshold in (-0.9, -0.2, 0.0, 0.4, 0.95):
        for _, lower, upper in find_limits(true, of, false, of, threshold):
            assert lower is None or lower <= threshold
            assert upper is None or upper >= threshold


def test_a_photograph_counts_once_however_many_texts_it_has():
    rng = np.random.default_rng(4)
    true, of, false, _ = draw(300, 2.0, rng, 0.3)
    once = find_limits(true, of, false, of, 0.0)
    assert find_limits(np.tile(true, 3), np.tile(of, 3), np.tile(false, 3), np.tile(of, 3), 0.0) == once
    without = np.full(20, 0.99), np.arange(1000, 1020)  # photographs without true texts
    assert find_limits(true, of, np.append(false, without[0]), np.append(of, without[1]), 0.0) == once


def test_coverage_and_error_are_counted_on_both_sides():
    true, false = np.array([0.9, 0.8, 0.1, -0.9]), np.array([0.7, -0.1, -0.7, -0.8])
    assert select(true, false, Limits(0.1, -0.5, 0.5)) == (0.75, pytest.approx(2 / 6))
    assert select(true, false, Limits(0.1, None, 0.75)) == (0.25, 0.0)
    assert np.isnan(select(true, false, Limits(0.1, None, None)).error)


def test_a_risk_between_two_stored_ones_gets_the_lower_one():
    limits = tuple(Limits(risk, -risk, risk) for risk in RISKS)
    assert limits_at(limits, 0.11, "m").risk == 0.1 and limits_at(limits, 0.1, "m").risk == 0.1
    for risk in (0.0, 0.005, 0.5, 1, float("nan")):
        with pytest.raises(ValueError, match=r"--risk .*must be at least 0.01"):
            limits_at(limits, risk, "m")
    with pytest.raises(ValueError, match=r"python Evaluate_test\.py --model Models/old"):
        limits_at((), 0.1, "Models/old")
