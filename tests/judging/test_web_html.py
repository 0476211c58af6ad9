"""What the web page shows: colours, marks and notes."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from judging import examples
from judging.judge import Judge, Verdict, WordScore
from judging.notebook import NEUTRAL, tint
from judging.web_html import (
    Visit,
    examples_html,
    first_shown,
    head_html,
    heat_html,
    threshold_at,
    verdict_html,
    words_html,
)
from sources import scenes


@pytest.fixture(scope="module")
def judge():
    return Judge.load(ROOT / "Models" / "scenes-small", "cpu")


def visit(heat: bool) -> Visit:
    words = (
        WordScore("A", 0, 1, 0.1, True, (0, 0), (0, 0, 0.5, 0.5)),
        WordScore("blue", 2, 6, 0.5, True, (0, 1), (0.5, 0, 1, 0.5)),
        WordScore("zebu", 7, 11, 0.2, False, (1, 0), (0, 0.5, 0.5, 1)),
    )
    map_of_all = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 2, 2) if heat else None
    picture = Image.new("RGB", (64, 64))
    return Visit(picture, picture, Verdict(0.3, 0.2, 0.4, False, words, 0, map_of_all, "A blue zebu."), 1)


def test_a_model_without_word_vectors_has_a_note_instead_of_a_heat_map():
    assert "as a whole" in heat_html(visit(False)) and "<button" not in words_html(visit(False), 0.4)
    assert "<img" in heat_html(visit(True)) and words_html(visit(True), 0.4).count("<button") == 3


def test_unknown_words_are_marked_and_not_shown_first():
    shown = words_html(visit(True), 0.4)
    assert shown.count('class="word unknown"') == 1 and "zebu?" in shown and "not in the vocabulary" in shown
    assert first_shown(visit(True).verdict) == 1  # "A" names nothing, "zebu" is unknown


def test_an_unknown_word_has_no_heat_map():
    chosen = heat_html(replace(visit(True), chosen=2))
    assert "<img" not in chosen and "<b>zebu</b> is not in the vocabulary, so it has no heat map" in chosen


def test_tints_keep_the_text_readable():
    verdict = visit(True).verdict
    assert tint(0.4, verdict, 0.4) == NEUTRAL
    for score in (-1, 0.1, 0.4, 0.6, 1):
        linear = [
            (c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in tint(score, verdict, 0.4)
        ]
        luminance = sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear))
        assert (luminance + 0.05) / (0.0103 + 0.05) > 7  # WCAG contrast with #1a1a1a


def test_the_slider_starts_at_the_tuned_threshold(judge):
    tuned = judge.threshold
    assert threshold_at(judge, round(tuned, 3)) == tuned == threshold_at(judge, None)
    assert threshold_at(judge, round(tuned, 3) + 0.001) == round(tuned, 3) + 0.001


def test_the_labels_of_the_drawn_examples_are_right():
    drawn = [example for example in examples.SCENES if isinstance(example.picture, int)]
    assert len(drawn) == len(examples.SCENES) - 1  # the first is a file
    for example in drawn:
        assert scenes.is_true(example.text, scenes.make_scene(example.picture)) == example.true


def test_examples_are_of_the_kind_that_the_judge_knows(judge):
    assert examples.examples_for(judge) is examples.SCENES
    shown = examples_html(judge)
    assert shown.count("<button") == len(examples.SCENES)
    judge.trained_on, known = "10 photographs of Flickr8k", judge.trained_on
    try:
        assert examples.examples_for(judge) is examples.PHOTOGRAPHS
        assert "A woman in an orange suit is smiling. <em>true</em>" in examples_html(judge)
    finally:
        judge.trained_on = known


def test_what_is_outside_is_unsure_at_every_threshold():
    outside = visit(True).judged._replace(why="the picture is <strange>", outside=True)
    for at in (0.4, 0.2):
        shown = verdict_html(outside, at, 0.0)
        assert "UNSURE" in shown and "The picture is &lt;strange&gt;." in shown and "Probability" not in shown
        assert ">✗" not in shown and 'class="verdict unsure"' in shown


def test_a_risk_is_for_the_tuned_threshold():
    risky = visit(True).judged._replace(why="at a risk of 0.1 a mismatch needs a score below 0.100")
    assert "UNSURE" in verdict_html(risky, 0.4, 0.0) and "At a risk of 0.1" in verdict_html(risky, 0.4, 0.0)
    moved = verdict_html(risky, 0.2, 0.0)
    assert 'class="verdict match"' in moved and "At the tuned one, 0.400: UNSURE." in moved


def test_the_heading_says_what_the_model_was_trained_on(judge):
    assert "<code>scenes-small</code>, trained on 6,036 drawn scenes, gives" in head_html(judge)


def test_a_misspelled_word_gets_the_known_one():
    shown = visit(True)
    words = (*shown.judged.words[:2], shown.judged.words[2]._replace(meant="zebra"))
    shown = replace(shown, verdict=shown.judged._replace(words=words), chosen=2)
    assert "Did you mean <b>zebra</b>?" in heat_html(shown)
    assert "Did you mean zebra instead of zebu?" in words_html(shown, 0.4)
