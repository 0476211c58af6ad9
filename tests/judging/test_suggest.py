"""Corrections: which words are candidates, in which order, and that the rest of the text agrees with the new word."""

import numpy as np
import pytest
from conftest import ROOT

from judging import suggest
from judging.inputs import TextError
from judging.judge import Judge
from negatives.slots import find_slots
from sources.scenes import draw, make_scene
from Tokenizer_lib import split_words


@pytest.fixture(scope="module")
def judge():
    return Judge.load(ROOT / "Models" / "scenes-small", "cpu")


@pytest.fixture(scope="module")
def scene():
    return draw(make_scene(900_005))  # a striped yellow umbrella, an orange tree, a white lamp


def candidates(text, known):
    parse = suggest.parse_texts([text])[0]
    return list(suggest.candidates(parse, find_slots(parse), known))


def test_candidates_are_known_words_of_the_same_category():
    found = candidates("A green umbrella.", {"a", "blue", "dog", "an", "lamp", "orange"})
    texts = {each.negative.text for each in found if each.slot.category == "colour"}
    assert texts == {"A blue umbrella.", "An orange umbrella."}  # the article follows
    assert all(each.surface in {"blue", "orange", "lamp", "dog"} for each in found)


def test_synonyms_and_words_of_the_text_are_not_candidates():
    everything = set("man guy woman boy girl a an the dog and two red blue is are one three".split())
    texts = [each.negative.text for each in candidates("A man and a red dog.", everything)]
    assert "A guy and a red dog." not in texts and "A woman and a red dog." in texts
    assert not any("dog" in text.split()[1] for text in texts)


def test_verbs_follow_a_number():
    known = set("two dogs are running dog is one three a".split())
    texts = [each.negative.text for each in candidates("Two dogs are running.", known)]
    assert "Three dogs are running." in texts
    assert not any(text.startswith("One dogs") for text in texts)


def test_the_false_word_is_corrected(judge, scene):
    (first, *_) = suggest.suggest(judge, scene, "A yellow umbrella and a green tree on a beach.")
    assert (first.old, first.new) == ("green", "orange")
    text = "A yellow umbrella and a green tree on a beach."
    assert text[first.start : first.end] == "green" and first.category == "colour"
    assert first.text == "A yellow umbrella and an orange tree on a beach."
    assert first.after > first.before
    assert first.before == pytest.approx(judge.check(scene, text).score, abs=1e-5)
    assert first.after == pytest.approx(judge.check(scene, first.text).score, abs=1e-5)


def test_corrections_are_sorted_and_better_than_the_text(judge, scene):
    found = suggest.suggest(judge, scene, "A small red umbrella on snow.", count=20)
    after = [each.after for each in found]
    assert found and after == sorted(after, reverse=True) and min(after) > found[0].before
    assert len(suggest.suggest(judge, scene, "A small red umbrella on snow.", count=2)) <= 2


def test_only_the_words_that_fit_worst_are_corrected(judge, scene):
    text = "A yellow umbrella and a green tree on a beach."
    parse = suggest.parse_texts([text])[0]
    vectors = judge.encode_pictures([scene])
    (worst,) = suggest.worst_slots(judge, vectors, text, parse, 1)
    assert text[parse.start[worst.first] : parse.end[worst.last]] == "green"
    every = suggest.worst_slots(judge, vectors, text, parse, 99)
    assert sorted(every) == sorted(find_slots(parse)) and every[0] == worst


def test_a_text_without_a_slot_has_no_corrections(judge, scene):
    assert suggest.suggest(judge, scene, "It is what it is.") == []
    with pytest.raises(TextError):
        suggest.suggest(judge, scene, "?!")


def test_words_that_are_not_read_are_not_corrected(judge, scene):
    text = "a yellow umbrella " * 30 + "and a green tree"
    assert len(split_words(text)) > judge.loaded.config.data.max_words
    assert all(each.old != "green" for each in suggest.suggest(judge, scene, text, count=50, places=99))


def test_of_a_long_text_only_the_beginning_is_parsed(judge, scene, monkeypatch):
    """The slots of 200,000 words would take minutes; a correction has the whole text."""
    parsed = []
    monkeypatch.setattr(
        suggest, "parse_texts", lambda texts, real=suggest.parse_texts: parsed.extend(texts) or real(texts)
    )
    text = "A small red umbrella on snow." + " And so on." * 60_000
    found = suggest.suggest(judge, scene, text, count=50, places=99)
    (begin,) = parsed
    assert len(split_words(begin)) == 2 * judge.loaded.config.data.max_words and text.startswith(begin)
    assert found and all(each.text.endswith(text[len(begin) :]) for each in found)
    suggest.suggest(judge, scene, "A red umbrella on snow.")
    assert parsed[1:] == ["A red umbrella on snow."], "with its full stop, which the parse needs"


def test_most_swaps_of_scenes_are_corrected(judge):
    """In scenes that the model was not trained on, a swapped colour is corrected far more often than by chance."""
    hits = chances = 0
    seeds = range(910_000, 910_040)
    for seed in seeds:
        scene = make_scene(seed)
        item = scene["objects"][0]
        shown = {each["colour"] for each in scene["objects"]}
        wrong = next(colour for colour in ("red", "blue", "green", "white", "black") if colour not in shown)
        text = f"A {wrong} {item['kind']}."
        parse = suggest.parse_texts([text])[0]
        ranked = suggest.rank(judge, judge.encode_pictures([draw(scene)]), text, parse, 3)
        right = [split_words(c.negative.text)[1].text == item["colour"] for c in ranked.candidates]
        hits += right[0]
        chances += np.mean(right)
    assert hits > 2 * chances and hits >= len(seeds) / 2
