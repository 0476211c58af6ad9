"""Texts of which a model knows too few words, and what it is weak at."""

import pytest
from scripts import SCENES_SMALL

from judging.doubt import close_word, is_foreign, why_foreign, why_risky, why_strange, why_weak
from judging.judge import Judge

ENGLISH = (
    "a dog child man with hat ball baby hand band beach sits on red shirt bench two yellow umbrella tree green plays"
)
VOCABULARY = frozenset(ENGLISH.split())


@pytest.mark.parametrize(
    "text",
    [
        "xqzzt",
        "A xqzzt.",
        "Ein roter Ball liegt am Strand.",
        "Das Baby hat einen Ball in der Hand",
        "Zwei Kinder spielen im Schnee.",
        "Czerwona piłka na plaży.",
        "一只狗在雪地里奔跑",
        "沙滩上的红球",
        "lorem ipsum dolor sit amet",
    ],
)
def test_other_languages_and_nonsense_are_foreign(text):
    assert is_foreign(text, VOCABULARY)


@pytest.mark.parametrize(
    "text",
    [
        "A dog plays with a zeppelin.",  # one unknown noun
        "A red zeppelin.",
        "A yellow zeppelin, a green tree and a grommet on the beach.",
        "a man in a red shirt sits on a bench",
        "The the the.",  # no content words: all words count
    ],
)
def test_a_caption_with_an_unknown_word_is_not(text):
    assert why_foreign(text, VOCABULARY | {"the"}) == ""


def test_the_reason_has_numbers():
    assert why_foreign("Ein roter Ball am Strand.", VOCABULARY) == "the model knows 1 of 4 content words"
    assert why_foreign("xqzzt", VOCABULARY) == "the model knows 0 of 1 content word"


def test_no_caption_of_the_judge_s_own_data_is_foreign(tiny):
    index = Judge.load(SCENES_SMALL, "cpu").loaded.tokenizer.index
    captions = [caption.text for row in tiny.rows("validation") for caption in tiny.captions(row)]
    assert len(captions) >= 10 and not any(is_foreign(text, index) for text in captions)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("umbrela", "umbrella"),
        ("frisbe", "frisbee"),  # not the rarer misspelling
        ("grean", "green"),
        ("gree", "green"),
        ("bal", None),  # too short
        ("xqzzt", None),
        ("zeppelin", None),
    ],
)
def test_a_misspelled_word_has_a_meaning(word, meant):
    assert close_word(word, ["green", "frisbee", "umbrella", "ball", "umbrellas", "frisbie", "gren"]) == meant


@pytest.mark.parametrize(
    ("score", "limits", "why"),
    [
        (0.5, None, ""),
        (0.5, (0.1, -0.2, 0.5), ""),
        (0.49, (0.1, -0.2, 0.5), "at a risk of 0.1 a match needs a score from 0.500"),
        (-0.2, (0.1, -0.2, 0.5), "at a risk of 0.1 a mismatch needs a score below -0.200"),
        (-0.21, (0.1, -0.2, 0.5), ""),
        (0.99, (0.05, -0.2, None), "at a risk of 0.05 no score is certain enough for a match"),
        (-0.99, (0.05, None, 0.5), "at a risk of 0.05 no score is certain enough for a mismatch"),
    ],
)
def test_a_score_decides_only_beyond_a_limit(score, limits, why):
    assert why_risky(score, 0.1, limits) == why


def test_a_picture_is_strange_beyond_the_limit():
    assert why_strange(1.0, "10 drawn scenes") == why_strange(0.0, "") == ""
    assert why_strange(1.01, "10 drawn scenes").endswith("that the model was trained on (drawn scenes)")
    assert why_strange(1.01, "").endswith("that the model was trained on")


@pytest.mark.parametrize(
    ("text", "worst", "match", "named"),
    [
        ("two dogs run", "dogs", True, ['"two"', "numbers is 53 %"]),  # a match depends on every word
        ("two dogs run", "two", False, ['"two"']),
        ("two dogs run", "dogs", False, []),  # a mismatch depends on the worst one
        ("3 dogs run", "run", True, ['"3"']),
        ("a dog behind a cup", "dog", True, []),  # good enough at relations
        ("a dog run", "run", True, []),
        ("there is no dog", "dog", False, ['"no"', "negations was not measured"]),  # turns the meaning around
        ("two dogs don't run", "run", True, ['"two"', '"don\'t"']),
    ],
)
def test_a_note_warns_of_what_a_model_is_weak_at(text, worst, match, named):
    words = text.split()
    note = why_weak(
        words, [-1.0 if word == worst else 1.0 for word in words], match, {"number": 0.53, "relation": 0.65}
    )
    assert all(part in note for part in named) and note.count("Do not rely on") == sum('"' in part for part in named)


def test_an_accuracy_that_was_not_measured_gives_no_note():
    assert why_weak(["two", "dogs", "behind"], [1.0, 1.0, 1.0], True, {}) == ""
