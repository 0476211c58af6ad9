"""negatives.edits: the new text is right to the letter."""

import pytest
from parses import by_hand

from negatives.edits import (
    ARTICLE,
    REPAIR,
    WORD,
    Spot,
    find_spots,
    match_case,
    needs_repairs,
    splice,
    takes_an,
    write_edits,
)
from negatives.slots import find_slots


def test_splice_by_hand():
    """Edits can be in any order; `changed` holds only those that make the text false."""
    text = "Two dogs are near a cat."
    edits = [
        (18, 19, "an", False),
        (0, 3, "One", True),
        (4, 8, "dog", True),
        (9, 12, "is", False),
        (20, 23, "owl", True),
    ]
    negative = splice(text, edits, "swap", "number")
    assert negative.text == "One dog is near an owl."
    assert [negative.text[start:end] for start, end in negative.changed] == ["One", "dog", "owl"]
    assert (negative.kind, negative.category) == ("swap", "number")
    assert splice(text, [], "swap", "number") == (text, "swap", "number", ())


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [("red", "blue", "blue"), ("Red", "blue", "Blue"), ("RED", "blue", "BLUE"), ("A", "an", "An"), ("a", "an", "an")],
)
def test_case_follows_the_old_word(old, new, expected):
    assert match_case(old, new) == expected


@pytest.mark.parametrize("word", ["apple", "orange", "umbrella", "Elephant", "hourglass", "suv"])
def test_words_that_take_an(word):
    assert takes_an(word)


@pytest.mark.parametrize("word", ["banana", "unicycle", "uniform", "horse", "one", "ufo", "yak"])
def test_words_that_take_a(word):
    assert not takes_an(word)


def written(line, surface, category, front=""):
    """A caption with one slot's word replaced."""
    parse = by_hand(line, front)
    (slot,) = (slot for slot in find_slots(parse) if slot.category == category)
    edits = write_edits(parse.text, find_spots(parse, slot), surface, needs_repairs(slot, surface))
    return splice(parse.text, edits, "swap", category).text


RED_BALL = "A:DT:2:det red:JJ:2:amod ball:NN:2:ROOT"
TWO_DOGS = "Two:CD:1:nummod dogs=dog:NNS:3:nsubj are=be:VBP:3:aux running=run:VBG:3:ROOT"


@pytest.mark.parametrize(
    ("line", "surface", "category", "expected"),
    [
        (RED_BALL, "orange", "colour", "An orange ball"),
        ("A:DT:2:det RED:JJ:2:amod BALL:NN:2:ROOT", "orange", "colour", "AN ORANGE BALL"),
        ("An:DT:2:det orange:JJ:2:amod ball:NN:2:ROOT", "red", "colour", "A red ball"),
        ("The:DT:2:det red:JJ:2:amod ball:NN:2:ROOT", "orange", "colour", "The orange ball"),
        (TWO_DOGS, "three", "number", "Three dogs are running"),
        (TWO_DOGS, "one", "number", "One dog is running"),
    ],
)
def test_articles_case_and_agreement_are_adapted(line, surface, category, expected):
    assert written(line, surface, category) == expected
    assert written(line, surface, category, "é 🐕 ") == f"é 🐕 {expected}"


def test_spots_of_a_slot():
    parse = by_hand(TWO_DOGS)
    (number,) = (slot for slot in find_slots(parse) if slot.category == "number")
    assert sorted(find_spots(parse, number)) == [
        Spot(0, 3, WORD, True),
        Spot(4, 8, REPAIR, False, "dog"),
        Spot(9, 12, REPAIR, False, "is"),
    ]
    parse = by_hand(RED_BALL)
    (colour,) = (slot for slot in find_slots(parse) if slot.category == "colour")
    assert sorted(find_spots(parse, colour)) == [Spot(0, 1, ARTICLE, False), Spot(2, 5, WORD, True)]
