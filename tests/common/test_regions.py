"""common.regions: where boxes are in a view, and where the words of a region are in another text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.regions import WHOLE, Region, View, carry, from_dicts, from_lists, words_inside
from Tokenizer_lib import split_words

BOX = (0.2, 0.4, 0.6, 0.8)


@pytest.mark.parametrize(
    ("view", "placed"),
    [
        (View(), (0.2, 0.4, 0.6, 0.8)),
        (View(mirrored=True), (0.4, 0.4, 0.8, 0.8)),
        (View((0.0, 0.0, 0.8, 1.0)), (0.25, 0.4, 0.75, 0.8)),
        (View((0.2, 0.4, 1.0, 1.0)), (0.0, 0.0, 0.5, 2 / 3)),
        (View((0.2, 0.4, 1.0, 1.0), mirrored=True), (0.5, 0.0, 1.0, 2 / 3)),
        (View((0.0, 0.0, 0.5, 1.0)), (0.4, 0.4, 1.0, 0.8)),  # a quarter of the box is lost
        (View().shifted(0.1, -0.2), (0.3, 0.2, 0.7, 0.6)),
        (View(mirrored=True).shifted(0.1, 0.0), (0.5, 0.4, 0.9, 0.8)),
        (View((0.0, 0.0, 0.5, 0.5)).shifted(0.0, -0.6), (0.4, 0.2, 1.0, 1.0)),
    ],
)
def test_a_box_is_placed_in_a_view(view, placed):
    assert view.place([BOX]) == (pytest.approx(placed),)


@pytest.mark.parametrize(
    ("crop", "kept"),
    [
        ((0.0, 0.0, 0.41, 1.0), True),
        ((0.0, 0.0, 0.39, 1.0), False),
        ((0.0, 0.61, 1.0, 1.0), False),
        ((0.39, 0.0, 1.0, 1.0), True),
        ((0.39, 0.0, 1.0, 0.7), False),  # each side keeps more than half, but not both together
        ((0.6, 0.0, 1.0, 1.0), False),
        ((0.7, 0.0, 1.0, 1.0), False),
    ],
)
def test_a_box_is_lost_if_most_of_it_is_outside(crop, kept):
    assert bool(View(crop).place([BOX])) == kept


def test_boxes_are_kept_all_or_none():
    """ "Two dogs" is not supervised by one dog."""
    near, far = (0.1, 0.1, 0.3, 0.3), (0.7, 0.7, 0.9, 0.9)
    assert len(View().place([near, far])) == 2
    assert View((0.0, 0.0, 0.6, 0.6)).place([near, far]) == ()
    assert View((0.0, 0.0, 0.6, 0.6)).place([near]) != ()


def test_a_box_without_area_is_in_no_view():
    assert View().place([(0.2, 0.3, 0.2, 0.8)]) == ()
    assert View().place([]) == ()


fractions = st.integers(0, 100).map(lambda n: n / 100)
sides = st.tuples(fractions, fractions).filter(lambda ends: ends[1] - ends[0] > 0.05)
boxes = st.tuples(sides, sides).map(lambda both: (both[0][0], both[1][0], both[0][1], both[1][1]))


@given(boxes, boxes, st.booleans(), st.floats(-0.3, 0.3), st.floats(-0.3, 0.3))
def test_placed_boxes_lie_inside_and_mirror_images_are_mirrored(crop, box, mirrored, dx, dy):
    view = View(crop).shifted(dx, dy)
    placed = view.place([box])
    for left, top, right, bottom in placed:
        assert -1e-9 <= left < right <= 1 + 1e-9 and -1e-9 <= top < bottom <= 1 + 1e-9
    other = View(crop, mirrored=True).shifted(-dx, dy).place([box])
    assert [(1 - x1, y0, 1 - x0, y1) for x0, y0, x1, y1 in other] == [pytest.approx(one, abs=1e-9) for one in placed]


@given(boxes, st.booleans(), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_a_shift_moves_the_boxes_of_a_view(crop, mirrored, dx, dy):
    """A box that stays inside moves by (dx, dy) of the view, whether the view is mirrored or not."""
    x0, y0, x1, y1 = crop
    middle = (x0 + 0.4 * (x1 - x0), y0 + 0.4 * (y1 - y0), x0 + 0.6 * (x1 - x0), y0 + 0.6 * (y1 - y0))
    view = View(crop, mirrored)
    (before,) = view.place([middle])
    if abs(dx) < 0.39 and abs(dy) < 0.39:
        (after,) = view.shifted(dx, dy).place([middle])
        assert after == pytest.approx((before[0] + dx, before[1] + dy, before[2] + dx, before[3] + dy), abs=1e-6)
    assert view.shifted(1.0, 0.0).place([middle]) == ()


def test_words_of_a_region():
    words = split_words("Two dogs' red t-shirts, near a fire-truck.")
    for start, end, expected in (
        (0, 9, ["two", "dogs"]),
        (10, 13, ["red"]),
        (14, 22, ["t-shirts"]),
        (16, 22, ["t-shirts"]),  # "shirts" is a part of a word that the model reads whole
        (22, 24, []),
        (31, 41, ["fire-truck"]),
    ):
        assert [words[n].text for n in words_inside(words, Region(start, end, (WHOLE,)))] == expected


def test_regions_survive_their_way_through_json_and_arrow():
    regions = (Region(2, 5, (BOX, WHOLE)), Region(9, 12, (BOX,)))
    assert from_lists([[2, 5, [list(BOX), list(WHOLE)]], [9, 12, [list(BOX)]]]) == regions
    assert from_dicts([region._asdict() for region in regions]) == regions
    assert from_dicts([dict(reversed(region._asdict().items())) for region in regions]) == regions


def carried(text: str, phrase: str, other: str) -> list[str]:
    start = text.index(phrase)
    return [other[r.start : r.end] for r in carry([Region(start, start + len(phrase), (BOX,))], text, other)]


@pytest.mark.parametrize(
    ("text", "phrase", "other", "found"),
    [
        ("A dog runs.", "A dog", "A dog runs.", ["A dog"]),
        ("A dog runs.", "A dog", "a  dog , runs !", ["a  dog"]),
        ("Then a dog runs.", "a dog", "a dog runs.", ["a dog"]),
        ("a dog runs.", "a dog", "Then, a dog runs.", ["a dog"]),
        ("A gray dog runs.", "A gray dog", "A grey dog runs.", ["A grey dog"]),
        ("A gray dog runs.", "gray", "A grey dog runs.", ["grey"]),
        ("A t-shirt is red.", "A t-shirt", "A tee shirt is red.", ["A tee shirt"]),
        ("A big dog runs.", "A big dog", "A dog runs.", ["A dog"]),
        ("A dog runs.", "A dog", "A cat and two dogs run.", []),  # one of its two words
        ("A young boy rides.", "young boy", "A young rides.", []),
        ("A tee shirt is red.", "shirt", "A t-shirt is red.", []),  # "tee" is not of the phrase
        ("A dog runs.", "runs", "", []),
    ],
)
def test_regions_are_carried_to_a_text_that_says_nearly_the_same(text, phrase, other, found):
    assert carried(text, phrase, other) == found


@given(st.text("ab ,'-.", max_size=20), st.text("ab ,'-.", max_size=20), st.integers(0, 20), st.integers(0, 20))
def test_carried_regions_are_spans_of_words_of_the_other_text(text, other, start, end):
    for region in carry([Region(start, end, (BOX,))], text, other) if text != other else ():
        assert 0 <= region.start < region.end <= len(other)
        words = split_words(other)
        assert {region.start} <= {word.start for word in words} and {region.end} <= {word.end for word in words}
        assert region.boxes == (BOX,)
