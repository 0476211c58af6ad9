"""negatives.things: which phrases have boxes, what else a phrase could mean, and the margins of boxes."""

from hypothesis import given
from hypothesis import strategies as st
from parses import by_hand, regions_of

from negatives.parsed_caption import read_captions
from negatives.things import (
    Photograph,
    Reading,
    are_counted,
    are_distinct,
    held,
    is_in_half,
    is_off,
    overlap,
)

LEFT, RIGHT, THIRD = (0.1, 0.4, 0.3, 0.6), (0.7, 0.4, 0.9, 0.6), (0.4, 0.1, 0.6, 0.3)
CUP = "A:DT:2:det red:JJ:2:amod cup:NN:2:ROOT .:.:2:punct"
BLUE = CUP.replace("red", "blue")
PLAIN = "A:DT:1:det cup:NN:1:ROOT .:.:1:punct"
MEN = "Two:CD:1:nummod men=man:NNS:1:ROOT .:.:1:punct"
PEOPLE = "Three:CD:1:nummod people:NNS:1:ROOT .:.:1:punct"
WOMAN = "A:DT:1:det woman:NN:1:ROOT .:.:1:punct"

sides = st.floats(0, 1, allow_nan=False)
boxes = st.tuples(sides, sides, sides, sides).map(
    lambda box: (min(box[0], box[2]), min(box[1], box[3]), max(box[0], box[2]), max(box[1], box[3]))
)


def photograph(*captions):
    """captions: (line of `by_hand`, {span: boxes})."""
    parses = [by_hand(line) for line, _ in captions]
    read = read_captions(parses)
    return Photograph.of(
        Reading(caption, regions_of(caption.parse.text, **spans)) for caption, (_, spans) in zip(read, captions)
    )


def test_a_thing_is_a_region_that_is_one_noun_phrase():
    assert [thing.lemma for thing in photograph((CUP, {"A_red_cup": [LEFT]})).things] == ["cup"]
    assert photograph((CUP, {"A_red": [LEFT]})).things == ()
    assert photograph((CUP, {"A_red_cup.": [LEFT]})).things == ()
    assert photograph((CUP, {"A_red_cup": []})).things == ()


def test_a_thing_is_plain_if_all_of_its_words_are_known():
    (thing,) = photograph((CUP, {"A_red_cup": [LEFT]})).things
    assert thing.is_plain and [look.pool for look in thing.looks] == ["colour.any"]
    (odd,) = photograph((CUP.replace("red", "strange"), {"A_strange_cup": [LEFT]})).things
    assert not odd.is_plain
    (numbered,) = photograph((MEN, {"Two_men": [LEFT, RIGHT]})).things
    assert numbered.looks == ()


def test_others_are_boxes_that_the_noun_could_name_too():
    def others(*captions, **options):
        found = photograph(*captions)
        return found.others(found.things[0], **options)

    mine = (CUP, {"A_red_cup": [LEFT]})
    assert others(mine) == []
    assert others(mine, (PLAIN, {"A_cup": [(0.11, 0.4, 0.3, 0.6)]})) == []
    assert others(mine, (PLAIN, {"A_cup": [RIGHT]})) == [RIGHT]
    assert others(mine, (BLUE, {"A_blue_cup": [RIGHT]})) == [RIGHT]
    assert others(mine, (BLUE, {"A_blue_cup": [RIGHT]}), but_different=True) == []
    men, people = (MEN, {"Two_men": [LEFT, RIGHT]}), (PEOPLE, {"Three_people": [LEFT, RIGHT, THIRD]})
    assert others(men, people) == [THIRD]
    assert others(men, people, (WOMAN, {"A_woman": [THIRD]})) == []


def test_a_phrase_covers_what_it_would_name():
    def covers(*captions):
        found = photograph(*captions)
        return [thing.boxes for thing in found.covers(found.things[0], found.things[0].looks)]

    mine = (CUP, {"A_red_cup": [LEFT]})
    assert covers(mine) == [(LEFT,)]
    assert covers(mine, (PLAIN, {"A_cup": [LEFT, RIGHT]})) == [(LEFT,), (LEFT, RIGHT)]
    assert covers(mine, (BLUE, {"A_blue_cup": [RIGHT]})) == [(LEFT,)]
    odd = (
        PLAIN.replace("cup:NN:1", "strange:JJ:2:amod cup:NN:2").replace("A:DT:1", "A:DT:2"),
        {"A_strange_cup": [LEFT]},
    )
    assert covers(mine, odd) == [(LEFT,)]
    assert covers(mine, (PLAIN.replace("cup", "ball"), {"A_ball": [RIGHT]})) == [(LEFT,)]


def test_a_crowd_is_noticed():
    crowd = "A:DT:1:det crowd:NN:2:nsubj watches=watch:VBZ:2:ROOT .:.:2:punct"
    assert photograph((MEN, {}), (crowd, {})).is_crowded
    assert not photograph((MEN, {}), (WOMAN, {})).is_crowded


def test_the_margins():
    def at(x, y=0.5, half=0.05):
        return (x - half, y - half, x + half, y + half)

    assert is_off(at(0.5), at(0.34), 0, 1) and is_off(at(0.5), at(0.35), 0, 1) and not is_off(at(0.5), at(0.36), 0, 1)
    assert is_off(at(0.3), at(0.5), 0, -1) and not is_off(at(0.3), at(0.5), 0, 1) and not is_off(at(0.3), at(0.5), 1, 1)
    assert is_off(at(0.5, 0.2), at(0.5, 0.5), 1, -1)
    assert is_in_half(at(0.4), 0, -1) and not is_in_half(at(0.41), 0, -1) and not is_in_half(at(0.4), 0, 1)
    assert is_in_half(at(0.5, 0.7), 1, 1) and not is_in_half(at(0.5, 0.59), 1, 1)


def test_boxes_of_a_group_are_not_counted():
    inside = ((0.1, 0.1, 0.2, 0.9), (0.3, 0.1, 0.4, 0.9), (0.0, 0.0, 0.5, 1.0))
    assert are_counted(inside[:2]) and not are_counted(inside)
    assert not are_counted((LEFT, (0.11, 0.4, 0.3, 0.6)))
    assert are_counted(((0.0, 0.0, 1.0, 1.0), LEFT))  # a child in front of its mother


@given(boxes, boxes)
def test_directions_exclude_each_other(one, two):
    for axis in (0, 1):
        for sign in (1, -1):
            if is_off(one, two, axis, sign):
                assert not is_off(one, two, axis, -sign) and not is_off(two, one, axis, sign)
                assert is_off(two, one, axis, -sign)
            assert not (is_in_half(one, axis, sign) and is_in_half(one, axis, -sign))


@given(boxes, boxes)
def test_overlaps_are_fractions(one, two):
    assert overlap(one, two) == overlap(two, one) and 0 <= overlap(one, two) <= 1 + 1e-9
    assert 0 <= held(one, two) <= 1 + 1e-9
    assert are_distinct([one], [two]) == (overlap(one, two) < 0.5)
