"""Parts of captions that are true on their own, and hard negatives of them."""

import random

import pytest
from batches import make_dataset

from Config import NegativesConfig
from DataBase_functions import draw_part
from negatives.parts import cut_negative, find_parts
from negatives.text import Negative, Parse
from Tokenizer_lib import split_words


def parts_of(nlp, text):
    parse = Parse.from_doc(nlp(text))
    return [text[start:end] for start, end in find_parts(parse)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Two boys posing in blue shirts.", ["Two boys", "Two boys posing", "blue shirts"]),
        ("A dog catching an orange ball in the snow.",
         ["A dog", "A dog catching an orange ball", "an orange ball", "the snow"]),
        ("A woman whips her hair out of the water .", ["A woman", "A woman whips her hair", "her hair", "the water"]),
        ("A man and a woman walk.", ["A man", "a woman"]),
    ],
)  # fmt: skip
def test_parts_of_captions(nlp, text, parts):
    assert parts_of(nlp, text) == parts


@pytest.mark.parametrize(
    "text",
    [
        "There is no dog on the grass.",
        "A man without a hat stands in the snow.",
        "Nobody sits on a bench.",
        "Dogs.",
        "",
    ],
)
def test_no_parts_of_a_negation_or_of_a_single_word(nlp, text):
    assert parts_of(nlp, text) == []


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        ("A dog is on a sofa.", "A dog is"),
        ("One of the dogs runs on the grass.", "One"),
        ("A boy stands next to a tree.", "A boy stands next"),
        ("Two girls sing and dance on a stage.", "Two girls sing and"),
        ('A girl wears a shirt that says "Radio".', "A girl wears a shirt that says"),
        ("A man sits in front of a house.", "A man sits in front"),
    ],
)
def test_no_part_ends_in_the_middle_of_a_phrase(nlp, text, odd):
    assert odd not in parts_of(nlp, text)
    for part in parts_of(nlp, text):
        assert part.split()[-1] not in ("and", "of", "in", "a", "the", "next", "that")


def test_a_part_is_shorter_than_its_caption_and_starts_and_ends_with_a_word(tiny):
    found = 0
    for caption in range(len(tiny.plan)):
        text = tiny.plan.text(caption)
        words = split_words(text)
        for start, end in tiny.plan.parts(caption):
            found += 1
            assert 0 < end - start < len(text)
            assert start in {word.start for word in words} and end in {word.end for word in words}
    assert found > len(tiny.plan)


def test_a_negative_is_cut_like_its_caption():
    caption = "A red ball on a blue car."
    swap = Negative("A green ball on a blue car.", "swap", "colour", ((2, 7),))
    assert cut_negative(swap, caption, 0, 10) == Negative("A green ball", "swap", "colour", ((2, 7),))
    assert cut_negative(swap, caption, 14, 24) is None, "it changes nothing inside"
    other = Negative("A red ball on a green car.", "swap", "colour", ((16, 21),))
    assert cut_negative(other, caption, 14, 24) == Negative("a green car", "swap", "colour", ((2, 7),))
    assert cut_negative(other, caption, 0, 10) is None
    exchange = Negative("A blue ball on a red car.", "exchange", "exchange", ((2, 6), (17, 20)))
    assert cut_negative(exchange, caption, 0, 10) is None, "its two changes belong together"
    mined = Negative("A boat.", "mined", "mined", ((2, 6),))
    assert cut_negative(mined, caption, 0, 10) is None


def test_a_drawn_part_is_one_of_the_parts_and_has_negatives(tiny):
    drawn = 0
    for caption in range(len(tiny.plan)):
        part = draw_part(tiny.plan, caption, 2, random.Random(caption), NegativesConfig())
        if part is None:
            continue
        drawn += 1
        start, end = part.span
        text = tiny.plan.text(caption)
        assert part.span in tiny.plan.parts(caption)
        assert 1 <= len(part.negatives) <= 2
        for negative in part.negatives:
            assert negative.text != text[start:end]
            whole = text[:start] + negative.text + text[end:]
            assert whole != text and not any(a < 0 or b > len(negative.text) for a, b in negative.changed)
    assert drawn > len(tiny.plan) / 3


def test_batches_have_parts_only_if_asked_for(tiny):
    rows = tiny.rows("train")

    def texts(chance):
        dataset = make_dataset(tiny, parts=chance)
        return [dataset.texts(row, random.Random(row)) for row in rows]

    for captions in texts(0.0):
        for caption in captions:
            assert len(caption.words) == len(split_words(tiny.plan.text(caption.number)))
    shorter = 0
    for captions in texts(1.0):
        for caption in captions:
            words = tiny.plan.text(caption.number)
            assert " ".join(word.text for word in caption.places) in " ".join(w.text for w in split_words(words))
            shorter += len(caption.words) < len(split_words(words))
            for region in caption.regions:
                assert 0 <= region.start < region.end <= caption.places[-1].end
    assert shorter > len(rows) / 2
