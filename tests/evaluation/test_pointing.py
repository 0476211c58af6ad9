"""Word evidence by hand."""

import numpy as np
import pytest

from common.metrics import Bootstrap
from evaluation.pointing import pointing, points_at
from negatives.text import Negative


def test_pointing_by_hand():
    """The lowest score is at the changed word, then at another word; the third changed word is cut off."""
    negatives = [
        Negative("a red ball", "swap", "colour", ((2, 5),)),
        Negative("a red ball", "swap", "colour", ((2, 5),)),
        Negative("one two three", "swap", "number", ((8, 13),)),
    ]
    lines = [np.array([0.9, 0.1, 0.5]), np.array([0.9, 0.5, 0.1]), np.array([0.2, 0.3])]
    found = pointing(negatives, lines, np.arange(3), np.array(["colour", "colour", "number"]), Bootstrap(3, 20))
    assert found["n"] == 2 and found["accuracy"].value == 0.5 and found["chance"] == pytest.approx(1 / 3)
    assert set(found["categories"]) == {"colour"}


@pytest.mark.parametrize(
    ("changed", "hit"), [([1], False), ([1, 2], True), ([0], False), ([], False), ([0, 1, 2], True)]
)
def test_a_tie_does_not_count(changed, hit):
    assert points_at(np.array([0.9, 0.1, 0.1]), changed) is hit
