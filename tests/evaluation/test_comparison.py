"""The differences of two models."""

from types import SimpleNamespace

import numpy as np

from evaluation.comparison import differences
from evaluation.retrieval import Retrieval


def evaluation(recall, *rankings):
    samples = {f"{name}_recall@1": np.array(recall) for name in ("picture_to_text", "text_to_picture")}
    return SimpleNamespace(rows=[], benchmarks={}, retrieval=Retrieval(dict.fromkeys(rankings, samples), None))


def test_rankings_that_only_one_model_has_are_not_compared():
    with_head, without = evaluation([0.5, 0.4], "all", "reranked"), evaluation([0.25, 0.3], "all")
    for first, other, expected in ((with_head, without, -0.25), (without, with_head, 0.25)):
        found = differences(first, other)
        assert list(found) == ["recall@1"]
        assert found["recall@1"]["text to picture"].value == expected
