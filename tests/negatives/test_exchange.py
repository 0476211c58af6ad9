"""negatives.exchange: an exchange keeps the words of its caption, and is not another caption of the photograph."""

from collections import Counter

import pytest
from parses import album, by_hand
from plans import CUP_AND_BALL, drawn

from DataBase_functions import Database
from Negative_map import Plan
from Tokenizer_lib import split_words


@pytest.fixture(scope="module")
def tiny(databases):
    return Database(databases / "tiny")


def stems(text):
    """The words of a text, with articles and plurals made equal, since an exchange can change them."""
    words = (word.text for word in split_words(text.replace("butterflies", "butterfly")))
    return Counter({"an": "a", "are": "is"}.get(word, word.removesuffix("s")) for word in words)


def test_an_exchange_keeps_the_words(tiny):
    for caption, negative in drawn(tiny.plan, "exchange"):
        assert stems(negative.text) == stems(tiny.plan.text(caption))
        assert len(negative.changed) == 2


def test_an_exchange_that_is_another_caption_of_the_photograph_is_not_drawn(tmp_path):
    """The photograph has two cups and two balls."""
    one = by_hand(CUP_AND_BALL)
    other = by_hand(CUP_AND_BALL.replace("red", "BLUE").replace("blue", "red").replace("BLUE", "blue"))
    assert other.text == "A blue cup and a red ball"
    alone = Plan.open(album(tmp_path / "alone", [[one], [other]]))
    assert {negative.text for _, negative in drawn(alone, "exchange", 100)} == {one.text, other.text}
    both = Plan.open(album(tmp_path / "both", [[one, other]]))
    assert not list(drawn(both, "exchange", 100))
