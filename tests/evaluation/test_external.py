"""The rows of benchmarks by hand, for each set of figures."""

import numpy as np
import pytest

from common.metrics import Bootstrap
from evaluation.benchmarks import BENCHMARKS, Claim
from evaluation.external import benchmark_rows


def claims_of(*rows):
    return [Claim(*row) for row in rows]


def test_a_pairwise_benchmark_by_hand():
    """Unit 0: both captions above the negative. Unit 1: only one of them. Unit 2 lacks its negative."""
    claims = claims_of(
        *(("a.jpg", "t", 1, "swap", 0), ("a.jpg", "u", 1, "swap", 0), ("a.jpg", "v", 0, "swap", 0)),
        *(("b.jpg", "t", 1, "add", 1), ("b.jpg", "u", 1, "add", 1), ("b.jpg", "v", 0, "add", 1)),
        ("c.jpg", "t", 1, "add", 2),
    )
    scores = np.array([0.9, 0.8, 0.1, 0.9, 0.3, 0.6, 0.9])
    benchmark, of = BENCHMARKS["sugarcrepe++"], np.array([0, 0, 0, 1, 1, 1, 2])
    everything, add, swap = benchmark_rows(benchmark, claims, scores, of, 0.5, Bootstrap(3, 50))
    assert [(row.section, row.name, row.n) for row in (everything, add, swap)] == [
        *(("sugarcrepe++", "all", 2), ("sugarcrepe++", "add", 1), ("sugarcrepe++", "swap", 1))
    ]
    assert [row.figures["pairwise"].value for row in (everything, add, swap)] == [0.5, 0, 1]
    assert everything.figures["recall"].value == pytest.approx(4 / 5)
    assert everything.figures["specificity"].value == 0.5
    assert everything.blind == {}, "too few to learn from"


def test_ratings_by_hand():
    claims = claims_of(*((f"{i}.jpg", "t", rating, "", i) for i, rating in enumerate((1, 2, 3, 4, 4))))
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.05])
    benchmark = BENCHMARKS["flickr8k-expert"]
    (row,) = benchmark_rows(benchmark, claims, scores, np.arange(5), 0.5, Bootstrap(5, 50))
    # 10 comparisons: 1 tie, 6 agree, 3 (with the last score) disagree. tau-c = 2 (6 - 3) / (25 (4 - 1) / 4)
    assert row.figures["kendall_tau_c"].value == pytest.approx(2 * 3 / (25 * 3 / 4))
    assert row.figures["roc_auc"].value == 0.5  # rating 4 against 1: 0.4 is above 0.1, 0.05 is below


@pytest.mark.parametrize(
    ("scores", "text", "image"),
    [
        ([0.9, 0.8, 0.1, 0.2], 1, 1),
        ([0.9, 0.3, 0.1, 0.5], 0, 1),  # picture 1 prefers caption 0, but caption 0 prefers picture 0
        ([0.9, 0.3, 0.5, 0.1], 1, 0),
        ([0.5, 0.5, 0.5, 0.5], 0, 0),
    ],
)
def test_winoground_by_hand(scores, text, image):
    claims = claims_of(*((f"{p}.jpg", f"t{t}", float(p == t), "", 0) for p, t in ((0, 0), (1, 1), (0, 1), (1, 0))))
    benchmark, of = BENCHMARKS["winoground"], np.array([0, 1, 0, 1])
    (row,) = benchmark_rows(benchmark, claims, np.array(scores), of, 0.5, Bootstrap(2, 20))
    found = {name: row.figures[f"{name}_score"].value for name in ("text", "image", "group")}
    assert found == {"text": text, "image": image, "group": text * image}
