"""negatives.geometry_rules: what boxes refute in a caption, and where they decide nothing."""

import itertools
import os
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from parses import by_hand, regions_of

from common.regions import Region
from negatives.edits import splice
from negatives.geometry_rules import SizeRanges, find_refuted, sizes_said
from negatives.parsed_caption import read_captions
from negatives.text import Parse
from negatives.things import Photograph, Reading
from sources.entities import read_entities
from sources.items import Grounded

LEFT, RIGHT, TOP = (0.1, 0.4, 0.3, 0.6), (0.7, 0.4, 0.9, 0.6), (0.4, 0.05, 0.6, 0.25)
FOURTH = (0.4, 0.8, 0.5, 0.95)

DOGS = "Two:CD:1:nummod dogs=dog:NNS:2:nsubj run:VBP:2:ROOT .:.:2:punct"
SOME = "Some:DT:1:det dogs=dog:NNS:2:nsubj run:VBP:2:ROOT .:.:2:punct"
THREE = DOGS.replace("Two", "Three")
CUP_LEFT = (
    "A:DT:1:det cup:NN:2:nsubj is=be:VBZ:2:ROOT to:IN:2:prep the:DT:5:det left:NN:3:pobj of:IN:5:prep a:DT:8:det "
    "ball:NN:6:pobj .:.:2:punct"
)
ON_LEFT = "A:DT:1:det cup:NN:1:ROOT on:IN:1:prep the:DT:4:det left:NN:2:pobj .:.:1:punct"
ABOVE = "A:DT:1:det cup:NN:2:nsubj is=be:VBZ:2:ROOT above:IN:2:prep a:DT:5:det ball:NN:3:pobj .:.:2:punct"
PAIR = (
    "A:DT:2:det red:JJ:2:amod cup:NN:2:ROOT and:CC:2:cc a:DT:6:det blue:JJ:6:amod ball:NN:2:conj lie:VBP:2:dep "
    ".:.:2:punct"
)
THE_CUP = "The:DT:1:det cup:NN:2:nsubj lies=lie:VBZ:2:ROOT .:.:2:punct"
MAN = (
    "A:DT:1:det man:NN:1:ROOT in:IN:1:prep a:DT:5:det red:JJ:5:amod shirt:NN:2:pobj and:CC:5:cc a:DT:9:det "
    "blue:JJ:9:amod hat:NN:5:conj sits=sit:VBZ:1:acl .:.:1:punct"
)
DOG_AND_DOG = (
    "A:DT:1:det dog:NN:1:ROOT and:CC:1:cc a:DT:5:det larger=large:JJR:5:amod dog:NN:1:conj run:VBP:1:dep .:.:1:punct"
)


def refuted(*captions, sizes=False):
    """Category -> the new texts of the first caption. captions: (line of `by_hand`, {span: boxes})."""
    read = read_captions([by_hand(line) for line, _ in captions])
    readings = [Reading(each, regions_of(each.parse.text, **spans)) for each, (_, spans) in zip(read, captions)]
    found = defaultdict(set)
    for one in find_refuted(Photograph.of(readings), readings[0]):
        if one.size[0] < 0 or sizes:
            found[one.category].add(splice(readings[0].parse.text, one.edits, "geometric", one.category).text)
    return dict(found)


# Numbers


def test_a_number_with_as_many_boxes_is_changed_and_agrees():
    found = refuted((DOGS, {"Two_dogs": [LEFT, RIGHT]}))
    assert found == {"numbers": {"One dog runs.", "Three dogs run.", "Four dogs run.", "Five dogs run."}}


@pytest.mark.parametrize(
    "boxes", [[LEFT], [LEFT, RIGHT, TOP], [LEFT, (0.11, 0.4, 0.3, 0.6)]], ids=["one", "three", "one thing twice"]
)
def test_a_number_that_its_boxes_do_not_confirm_is_kept(boxes):
    assert refuted((DOGS, {"Two_dogs": boxes})) == {}


def test_a_number_does_not_grow_if_there_are_more_of_its_kind():
    mine = (DOGS, {"Two_dogs": [LEFT, RIGHT]})
    assert refuted(mine, (SOME, {"Some_dogs": [LEFT, TOP]})) == {"numbers": {"One dog runs."}}
    assert len(refuted(mine, (SOME, {"Some_dogs": [LEFT]}))["numbers"]) == 4


def test_a_number_that_another_caption_says_is_not_drawn():
    found = refuted((DOGS, {"Two_dogs": [LEFT, RIGHT]}), (THREE, {"Three_dogs": [LEFT, RIGHT, (0.7, 0.42, 0.9, 0.6)]}))
    assert found == {"numbers": {"One dog runs.", "Four dogs run.", "Five dogs run."}}


def test_people_in_a_crowd_are_not_more():
    crowd = "A:DT:1:det crowd:NN:2:nsubj watches=watch:VBZ:2:ROOT .:.:2:punct"
    men = DOGS.replace("dogs=dog", "men=man")
    assert len(refuted((men, {"Two_men": [LEFT, RIGHT]}))["numbers"]) == 4
    assert refuted((men, {"Two_men": [LEFT, RIGHT]}), (crowd, {})) == {"numbers": {"One man runs."}}
    assert len(refuted((DOGS, {"Two_dogs": [LEFT, RIGHT]}), (crowd, {}))["numbers"]) == 4


def test_a_number_that_the_caption_divides_is_kept():
    """ "Two dogs, one brown, run": with another number the text would contradict itself."""
    line = (
        "Two:CD:1:nummod dogs=dog:NNS:5:nsubj ,:,:1:punct one:CD:4:nummod brown:JJ:1:appos ,:,:1:punct run:VBP:5:ROOT"
    )
    assert refuted((line, {"Two_dogs": [LEFT, RIGHT]})) == {}
    pair = "Two:CD:1:nummod dogs=dog:NNS:1:ROOT with:IN:1:prep their:PRP$:4:poss owner:NN:2:pobj"
    assert refuted((pair, {"Two_dogs": [LEFT, RIGHT], "their_owner": [TOP]}))
    assert refuted((pair, {"Two_dogs": [LEFT, RIGHT], "their_owner": [LEFT]})) == {}


@pytest.mark.parametrize("before", ["other", "last", "least"])
def test_a_number_that_is_not_of_all_is_kept(before):
    line = f"The:DT:3:det {before}:JJ:3:amod two:CD:3:nummod dogs=dog:NNS:3:ROOT"
    assert refuted((line, {f"The_{before}_two_dogs": [LEFT, RIGHT]})) == {}


def test_many_become_one_only_if_all_verbs_agree():
    """The parser does not see that "sit" is the verb of "men", so it would stay as it is."""
    line = (
        "Two:CD:1:nummod men=man:NNS:1:ROOT wearing=wear:VBG:1:acl hats=hat:NNS:2:dobj {}:{}:1:dep on:IN:4:prep "
        "chairs=chair:NNS:5:pobj"
    )
    assert len(refuted((line.format("sitting", "VBG"), {"Two_men": [LEFT, RIGHT]}))["numbers"]) == 4
    found = refuted((line.format("sit", "VB"), {"Two_men": [LEFT, RIGHT]}))
    assert found == {"numbers": {f"{n} men wearing hats sit on chairs" for n in ("Three", "Four", "Five")}}


TWO_AND_ONE = "Two:CD:1:nummod men=man:NNS:5:nsubj and:CC:1:cc a:DT:4:det woman:NN:1:conj stand:VBP:5:ROOT .:.:5:punct"


def test_two_phrases_exchange_their_numbers_if_their_boxes_are_all():
    mine = (TWO_AND_ONE, {"Two_men": [LEFT, RIGHT], "a_woman": [TOP]})
    wanted = "A woman and two men stand."
    found = refuted(mine)["numbers"]
    exchanged = {text for text in found if "women" in text}
    assert exchanged == {"Two women and a man stand."} and wanted not in found
    other = (THE_CUP.replace("cup", "woman"), {"The_woman": [FOURTH]})
    assert not any("women" in text for text in refuted(mine, other)["numbers"])
    group = (TWO_AND_ONE, {"Two_men": [LEFT], "a_woman": [TOP]})
    assert "numbers" not in refuted(group)


# Directions


def test_left_becomes_right_and_both_sides_change_places():
    found = refuted((CUP_LEFT, {"A_cup": [LEFT], "a_ball": [RIGHT]}))
    assert found == {
        "sides": {"A cup is to the right of a ball."},
        "order": {"A ball is to the left of a cup."},
    }


@pytest.mark.parametrize("cup, ball", [(RIGHT, LEFT), (LEFT, (0.2, 0.4, 0.45, 0.6)), (LEFT, LEFT)])
def test_a_direction_that_the_boxes_do_not_confirm_is_kept(cup, ball):
    assert refuted((CUP_LEFT, {"A_cup": [cup], "a_ball": [ball]})) == {}


def test_a_direction_holds_for_all_boxes():
    two = CUP_LEFT.replace("A:DT:1:det cup:NN", "Some:DT:1:det cups=cup:NNS").replace("is=be:VBZ", "are=be:VBP")
    assert "sides" in refuted((two, {"Some_cups": [LEFT, (0.2, 0.7, 0.3, 0.8)], "a_ball": [RIGHT]}))
    assert refuted((two, {"Some_cups": [LEFT, (0.75, 0.7, 0.95, 0.8)], "a_ball": [RIGHT]})) == {}


def test_another_thing_of_the_name_could_make_the_text_true():
    mine = (CUP_LEFT, {"A_cup": [LEFT], "a_ball": [RIGHT]})
    assert refuted(mine, (THE_CUP, {"The_cup": [TOP]})) == {}
    assert refuted(mine, (THE_CUP.replace("cup", "ball"), {"The_ball": [TOP]})) == {}


def test_a_side_of_the_picture():
    assert refuted((ON_LEFT, {"A_cup": [LEFT]})) == {"sides": {"A cup on the right."}}
    assert refuted((ON_LEFT, {"A_cup": [(0.35, 0.4, 0.5, 0.6)]})) == {}
    assert refuted((ON_LEFT, {"A_cup": [RIGHT]})) == {}
    assert refuted((ON_LEFT, {})) == {}


@pytest.mark.parametrize(
    "line",
    [
        "A:DT:1:det cup:NN:1:ROOT in:IN:1:prep his:PRP$:5:poss left:JJ:5:amod hand:NN:2:pobj",
        "A:DT:1:det cup:NN:1:ROOT on:IN:1:prep the:DT:5:det left:JJ:5:amod hand:NN:2:pobj",
        "A:DT:1:det cup:NN:1:ROOT to:IN:1:prep the:DT:4:det left:NN:2:pobj",
        "A:DT:1:det cup:NN:1:ROOT on:IN:1:prep the:DT:5:det left:JJ:5:amod shelf:NN:2:pobj",
    ],
)
def test_other_senses_of_left_are_kept(line):
    assert refuted((line, {"A_cup": [LEFT]})) == {}


def test_above_becomes_below_or_under():
    found = refuted((ABOVE, {"A_cup": [TOP], "a_ball": [FOURTH]}))
    assert found == {
        "vertical": {"A cup is below a ball.", "A cup is under a ball."},
        "order": {"A ball is above a cup."},
    }
    assert refuted((ABOVE, {"A_cup": [FOURTH], "a_ball": [TOP]})) == {}


def test_the_region_of_a_direction_has_the_boxes_of_its_subject():
    """As in drawn scenes: "to the left of" has the boxes of the cup."""
    front = CUP_LEFT.replace("A:DT:1:det cup:NN:2:nsubj is=be", "It:PRP:1:nsubj is=be:VBZ:1:aux there=be")
    spans = {"to_the_left_of": [LEFT], "a_ball": [RIGHT]}
    assert refuted((front, spans)) == {"sides": {"It is there to the right of a ball."}}
    assert refuted((front, spans | {"to_the_left_of": [RIGHT], "a_ball": [LEFT]})) == {}


def test_sides_of_a_relation_with_a_verb_do_not_change_places_unless_they_are_alike():
    """No window sits above a dog."""
    sits = ABOVE.replace("is=be", "sits=sit").replace("cup", "dog")
    found = refuted((sits.replace("ball", "window"), {"A_dog": [TOP], "a_window": [FOURTH]}))
    assert found == {"vertical": {"A dog sits below a window.", "A dog sits under a window."}}
    assert refuted((sits.replace("ball", "cat"), {"A_dog": [TOP], "a_cat": [FOURTH]}))["order"] == {
        "A cat sits above a dog."
    }


def test_two_statements_about_the_same_pair_are_kept():
    """ "A cup is above a ball, while the ball is below the cup" would contradict itself."""
    twice = ABOVE.replace(".:.:2:punct", "") + (
        ",:,:2:punct while:IN:9:mark the:DT:9:det ball:NN:10:nsubj is=be:VBZ:2:advcl below:IN:10:prep the:DT:13:det "
        "cup:NN:11:pobj"
    )
    (caption,) = read_captions([by_hand(twice)])
    text, regions = caption.parse.text, []
    for words, box in (("A cup", TOP), ("a ball", FOURTH), ("the ball", FOURTH), ("the cup", TOP)):
        start = text.index(words)
        regions.append(Region(start, start + len(words), (box,)))
    reading = Reading(caption, regions)
    assert len(reading.things) == 4
    assert find_refuted(Photograph.of([reading]), reading) == []


# Sizes


def test_sizes_are_decided_only_if_their_ranges_do_not_overlap():
    apart = SizeRanges({0: [0.03 + i / 5000 for i in range(40)], 1: [0.15 + i / 5000 for i in range(40)]})
    assert apart.decide([0.035], 0, 1) and apart.decide([0.16], 1, 0)
    assert not apart.decide([0.035], 0, 2)
    assert not apart.decide([0.14], 0, 1)  # nearly as large as what is called large
    assert not apart.decide([0.035, 0.16], 0, 1)
    both = SizeRanges({0: [i / 50 for i in range(1, 40)], 1: [i / 50 for i in range(10, 50)]})
    assert not both.decide([0.01], 0, 1)
    few = SizeRanges({0: [0.03] * 29, 1: [0.15] * 29})
    assert not few.decide([0.03], 0, 1)


def test_a_size_needs_a_phrase_that_names_all_things_of_the_noun():
    small = THE_CUP.replace("The:DT:1:det cup:NN:2", "A:DT:2:det small:JJ:2:amod cup:NN:3").replace("2:ROOT", "3:ROOT")
    mine = (small, {"A_small_cup": [LEFT]})
    assert refuted(mine, sizes=True) == {}
    found = refuted(mine, (THE_CUP, {"The_cup": [LEFT]}), sizes=True)
    assert {"A large cup lies.", "A medium cup lies."} <= found["sizes"]
    assert not any("tiny" in text or "little" in text for text in found["sizes"])
    read = read_captions([by_hand(small)])[0]
    ((group, area),) = sizes_said(Reading(read, regions_of(read.parse.text, A_small_cup=[LEFT])))
    assert group == 0 and area == pytest.approx(0.04)


def test_larger_becomes_smaller_if_one_box_is_clearly_larger():
    line = (DOG_AND_DOG, {"A_dog": [LEFT], "a_larger_dog": [(0.5, 0.2, 0.9, 0.8)]})
    assert refuted(line) == {"sizes": {"A dog and a smaller dog run."}}
    two = DOG_AND_DOG.replace("A:DT:1:det dog:NN:1", "A:DT:2:det smaller=small:JJR:2:amod dog:NN:2", 1)
    assert refuted((two, {"A_smaller_dog": [LEFT], "a_larger_dog": [(0.5, 0.2, 0.9, 0.8)]})) == {}
    assert refuted((DOG_AND_DOG, {"A_dog": [LEFT], "a_larger_dog": [(0.5, 0.4, 0.75, 0.6)]})) == {}
    assert refuted((DOG_AND_DOG, {"A_dog": [(0.5, 0.2, 0.9, 0.8)], "a_larger_dog": [LEFT]})) == {}


# Attributes


def test_attributes_change_places_if_a_phrase_names_all_things_of_a_noun():
    mine = (PAIR, {"A_red_cup": [LEFT], "a_blue_ball": [RIGHT]})
    assert refuted(mine) == {}
    assert refuted(mine, (THE_CUP, {"The_cup": [LEFT]})) == {"attributes": {"A blue cup and a red ball lie."}}
    assert refuted(mine, (THE_CUP, {"The_cup": [LEFT, TOP]})) == {}  # the other cup may be blue
    assert refuted(mine, (THE_CUP, {"The_cup": [TOP]})) == {}
    same = (PAIR, {"A_red_cup": [LEFT], "a_blue_ball": [LEFT]})
    assert refuted(same, (THE_CUP, {"The_cup": [LEFT]})) == {}


def test_garments_change_their_colours_if_they_lie_in_the_box_of_one_person():
    body, shirt, hat = (0.2, 0.1, 0.5, 0.9), (0.25, 0.3, 0.45, 0.55), (0.3, 0.1, 0.4, 0.2)
    spans = {"A_man": [body], "a_red_shirt": [shirt], "a_blue_hat": [hat]}
    wanted = {"attributes": {"A man in a blue shirt and a red hat sits."}}
    assert refuted((MAN, spans)) == wanted
    assert refuted((MAN, spans | {"a_blue_hat": [RIGHT]})) == {}
    other = THE_CUP.replace("cup", "man")
    assert refuted((MAN, spans), (other, {"The_man": [body]})) == wanted
    assert refuted((MAN, spans), (other, {"The_man": [RIGHT]})) == {}


def test_boxes_do_not_show_who_chases_whom():
    """Both texts have a black dog and a white dog."""
    chase = (
        "A:DT:2:det black:JJ:2:amod {}:NN:3:nsubj chases=chase:VBZ:3:ROOT a:DT:6:det white:JJ:6:amod {}:NN:3:dobj "
        ".:.:3:punct"
    )
    spans = {"A_black_dog": [LEFT]}
    named = (THE_CUP.replace("cup", "dog"), {"The_dog": [LEFT]})
    assert refuted((chase.format("dog", "dog"), spans | {"a_white_dog": [RIGHT]}), named) == {}
    other = refuted((chase.format("dog", "cat"), spans | {"a_white_cat": [RIGHT]}), named)
    assert other == {"attributes": {"A white dog chases a black cat."}}


PEOPLE = (
    "A:DT:1:det man:NN:1:ROOT in:IN:1:prep a:DT:5:det red:JJ:5:amod shirt:NN:2:pobj and:CC:1:cc a:DT:8:det "
    "woman:NN:1:conj in:IN:8:prep a:DT:12:det blue:JJ:12:amod shirt:NN:9:pobj sit:VBP:1:dep .:.:1:punct"
)


def test_two_people_change_places_with_their_garments_only_if_these_lie_in_their_boxes():
    he, she = (0.1, 0.1, 0.4, 0.9), (0.6, 0.1, 0.9, 0.9)
    spans = {
        "A_man": [he],
        "a_woman": [she],
        "a_red_shirt": [(0.15, 0.3, 0.35, 0.6)],
        "a_blue_shirt": [(0.65, 0.3, 0.85, 0.6)],
    }
    assert refuted((PEOPLE, spans))["attributes"] == {
        "A man in a blue shirt and a woman in a red shirt sit.",
        "A woman in a red shirt and a man in a blue shirt sit.",
    }
    assert refuted((PEOPLE, spans | {"a_blue_shirt": [(0.15, 0.6, 0.35, 0.8)]})) == {}  # he wears both
    assert refuted((PEOPLE, spans | {"a_woman": [(0.12, 0.1, 0.42, 0.9)]})) == {}
    assert refuted((PEOPLE, {**spans, "a_woman": []})) == {}


def test_nothing_is_refuted_without_regions():
    for line in (DOGS, CUP_LEFT, ON_LEFT, ABOVE, PAIR, MAN, DOG_AND_DOG):
        assert refuted((line, {}), sizes=True) == {}


@pytest.mark.skipif("TIC_PHOTOS" not in os.environ, reason="TIC_PHOTOS names no folder with flickr30k_entities/")
def test_real_captions(nlp):
    items = read_entities(Path(os.environ["TIC_PHOTOS"]) / "flickr30k_entities")
    some = list(itertools.islice((item for item in items if isinstance(item, Grounded)), 1500))
    parses = map(Parse.from_doc, nlp.pipe(sentence.text for sentence in some))
    count: Counter[str] = Counter()
    for _, group in itertools.groupby(some, key=lambda item: item.identity):
        sentences = list(group)
        read = read_captions(list(itertools.islice(parses, len(sentences))))
        readings = [Reading(caption, sentence.regions) for caption, sentence in zip(read, sentences)]
        for reading in readings:
            for one in find_refuted(Photograph.of(readings), reading):
                if one.size[0] < 0:
                    count[one.category] += 1
                    assert one.edits and all(
                        0 <= start < end <= len(reading.parse.text) for start, end, *_ in one.edits
                    )
    assert count["numbers"] > 200 and count["attributes"] > 5
