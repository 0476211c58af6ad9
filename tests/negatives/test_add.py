"""negatives.add: phrases that a caption can do without, what is false of a photograph, and the negatives of a plan."""

import random
from collections import Counter

import pytest
from parses import album
from plans import drawn

from Config import NegativesConfig
from DataBase_functions import Database
from Negative_map import KINDS, Plan
from negatives.add_attributes import count_together, read_attributes
from negatives.add_rules import ACTION, ANY, COMPANION, GARMENT, PLACE, read_added
from negatives.add_truth import Known, is_false
from negatives.edits import splice
from negatives.pairing import Fit, Sides, make_pairs
from negatives.parsed_caption import read_captions
from negatives.text import Parse


@pytest.fixture(scope="module")
def parse(nlp):
    return lambda text: Parse.from_doc(nlp(text))


@pytest.fixture(scope="module")
def read(parse):
    """The captions of one photograph."""
    return lambda *texts: [read_added(caption) for caption in read_captions([parse(text) for text in texts])]


PHRASES = {
    "A man in a red shirt walks.": (GARMENT, "a red shirt"),
    "A woman wearing a blue hat and gloves sits.": (GARMENT, "a blue hat and gloves"),
    "A man and a dog are walking.": (COMPANION, "a dog"),
    "A man plays with a small dog.": (COMPANION, "a small dog"),
    "A dog runs with a stick in its mouth.": (COMPANION, "a stick in its mouth"),
    "A dog runs while a man watches.": (COMPANION, "a man watches"),
    "A dog runs on the beach.": (PLACE, "the beach"),
    "A boy sits in a boat.": (PLACE, "a boat"),
    "A man holding a cup is walking.": (ACTION, "holding a cup"),
    "A man sits while holding a ball.": (ACTION, "holding a ball"),
}


@pytest.mark.parametrize("text", PHRASES)
def test_phrases_that_a_caption_can_do_without(read, text):
    (one,) = read(text)
    assert PHRASES[text] in {(extra.category, " ".join(extra.words)) for extra in one.extras if extra.frame[0] != ANY}


@pytest.mark.parametrize(
    "text",
    [
        "A man with another man walks.",
        "A man in a red shirt holds the shirt.",  # mentioned twice
        "A dog runs on the edge of the beach.",
        "A MAN IN A RED SHIRT WALKS.",
        "A man looking at the camera.",
    ],
)
def test_phrases_that_belong_to_the_rest_stay(read, text):
    assert not read(text)[0].extras


def extra_of(read, text):
    return next(extra for extra in read(text)[0].extras if extra.frame[0] != ANY)


MAN = "A man in a red shirt walks."
FALSE = [
    # (captions of the photograph; the first loses its phrase), a caption with the phrase that is added
    (("A man and a dog are walking.", "A man with his dog."), "A man and a woman are walking."),
    (("A man and a woman are walking.", "A man and a woman outside."), "A man and a dog are walking."),
    (("A dog runs on the beach.", "A dog at the ocean."), "A dog runs on the street."),
    (("A dog runs in the grass.",), "A dog runs in the snow."),
    ((MAN, "A man in red."), "A man in a blue shirt walks."),
    ((MAN,), "A man in a black robe walks."),
    (("A man holding a cup is walking.",), "A man riding a horse is walking."),
    (("A dog runs with a stick.",), "A dog runs with a ball."),
]
NOT_SURE = [
    (
        ("A man and a dog are walking.", "A woman with her dog."),
        "A man and a woman are walking.",
    ),  # the man may be the woman
    (("A man and a dog are walking.", "People walk."), "A man and a woman are walking."),
    (("A man and a dog are walking.",), "A man and a puppy are walking."),
    (("A man and a dog are walking.", "A man and two animals."), "A man and a cat are walking."),
    (
        ("A man and a dog are walking.", "A cat behind a dog."),
        "A man and a cat are walking.",
    ),  # another caption names it
    (("A dog runs on the beach.",), "A dog runs on the sand."),
    (("A dog runs on the beach.",), "A dog runs on the shore."),
    (("A dog runs in the grass.",), "A dog runs in the park."),
    (("A dog runs in the grass.", "A dog in snow and grass."), "A dog runs in the snow."),
    ((MAN,), "A man in a maroon shirt walks."),
    ((MAN, "A man in a blue jacket."), "A man in a blue shirt walks."),
    ((MAN,), "A man in a black hat walks."),  # captions leave hats out
    (("A man holding a cup is walking.", "A cyclist with a cup."), "A man riding a bike is walking."),
    (("A boy sits in a boat.",), "A boy sits near a fence."),  # captions leave fences out
]


@pytest.mark.parametrize(("captions", "other"), FALSE)
def test_a_phrase_is_false(read, captions, other):
    known = Known.of(read(*captions))
    assert is_false(extra_of(read, other), known, extra_of(read, captions[0]))


@pytest.mark.parametrize(("captions", "other"), NOT_SURE)
def test_a_phrase_that_can_be_true_is_refused(read, captions, other):
    known = Known.of(read(*captions))
    assert not is_false(extra_of(read, other), known, extra_of(read, captions[0]))


def attributes_of(read, *captions):
    """The negatives of the first caption, if dogs and balls are often brown, black, white or orange."""
    counted = read(*(f"A {colour} {noun}." for colour in ("brown", "black", "orange") for noun in ("dog", "ball")))
    photograph = read(*captions)
    found = read_attributes(photograph, count_together(counted * 3))[0]
    return {splice(captions[0], edits, "add", "attribute").text for _, edits in found.exchanged(photograph[0])}


def test_an_attribute_is_added_where_another_caption_names_another_one(read):
    found = attributes_of(read, "A dog with a red ball runs.", "A white dog runs.")
    assert found == {f"{dog} dog with a ball runs." for dog in ("A brown", "A black", "An orange")}
    assert attributes_of(read, "An orange ball and the dog.", "A white dog and a ball.") >= {
        "A ball and the brown dog."
    }


def test_an_attribute_is_not_added_if_it_can_be_true(read):
    text = "A dog with a red ball runs."
    assert not attributes_of(read, text, "A dog runs.")  # nobody names its colour
    assert not attributes_of(read, text, "A white dog and a dog are running.")  # which dog?
    assert not attributes_of(read, text, "White dogs are running.")
    assert "A brown dog with a ball runs." not in attributes_of(read, text, "A tan dog runs.")
    assert not attributes_of(read, "A dog runs.", "A white dog runs.")  # there is none to lose


BEACH = [["A dog runs on the beach."], ["A dog runs on the street."], ["A dog runs on the grass ."]]


def test_phrases_change_places_and_mark_what_is_false(tmp_path, parse):
    plan = Plan.open(album(tmp_path / "places", [[parse(text) for text in own] for own in BEACH]))
    found = {(plan.text(caption), negative.text) for caption, negative in drawn(plan, "add", 40)}
    assert ("A dog runs on the beach.", "A dog runs on the street.") in found
    assert ("A dog runs on the grass .", "A dog runs on the beach .") in found
    for _, negative in drawn(plan, "add", 40):
        assert negative.kind == "add" and negative.category == PLACE
        (span,) = negative.changed
        assert negative.text[slice(*span)] in ("beach", "street", "grass")
        assert KINDS["add"].changes_are_false(negative)
    assert not list(drawn(plan, "add", 40, within=8))


def test_phrases_of_different_categories_change_places(tmp_path, parse):
    texts = [
        "A boy holding a cup is walking.",
        "A boy with a guitar is walking.",
        "A boy riding a horse is walking.",
    ]
    plan = Plan.open(album(tmp_path / "wide", [[parse(text)] for text in texts]))
    found = {negative.text for _, negative in drawn(plan, "add", 60)}
    assert (
        found
        <= {"A boy with a guitar is walking.", "A boy riding a horse is walking.", "A boy holding a cup is walking."}
        and len(found) > 1
    )


def test_every_phrase_is_given_as_often_as_it_is_removed(tiny_sides):
    """For each word, the chances of the texts that get it equal the chances of the texts that lose it."""
    sides, pairs, _ = tiny_sides
    assert len(pairs) > 20
    total = Counter()
    for pair in pairs:
        for own in (pair.one, pair.two):
            total[sides.caption[own]] += pair.chance
            assert sides.frame[own] == sides.frame[pair.one]
    assert max(total.values()) < 1.0001 and sum(total.values()) > 0.5 * len(total)
    assert len({(pair.one, pair.two) for pair in pairs}) == len(pairs)


@pytest.fixture(scope="module")
def tiny_sides(read):
    places = ("beach", "street", "grass", "snow")
    captions = [read(f"A {animal} runs on the {place}.")[0] for animal in ("dog", "cat") for place in places * 3]
    extras = [(i, extra) for i, one in enumerate(captions) for extra in one.extras if extra.frame[0] == PLACE]
    fit = Fit([extra.lemmas for _, extra in extras])
    assert fit.of(("dog",), frozenset(("moon",)), 0) == 0
    numbers, found = zip(*extras)
    sides = Sides(numbers, [each.frame for each in found], [each.governor for each in found], bytes(len(found)))

    def differ(one, two):
        return found[one].words != found[two].words

    return sides, make_pairs(sides, differ, lambda one, two: 0.0), differ


def test_unlikely_pairs_are_rare(tiny_sides):
    sides, pairs, differ = tiny_sides
    few = make_pairs(sides, differ, lambda one, two: -8.0)
    assert len(few) < len(pairs) / 2


def test_add_is_not_in_the_mixture_by_default(tiny):
    rng = random.Random(0)
    kinds = {tiny.plan.draw(caption, rng, NegativesConfig()).kind for caption in range(200)}
    assert "add" not in kinds


@pytest.fixture(scope="module")
def tiny(databases):
    return Database(databases / "tiny")
