"""A verdict as a notebook shows it."""

import re

import numpy as np

from judging.judge import Verdict, WordScore
from judging.notebook import tint

TEXT = 'A <script>alert(1)</script> "zebu" & more, not read.'


def verdict(score: float = 0.3, heat: bool = True) -> Verdict:
    """A verdict on TEXT at the threshold 0.4, whose words after "zebu" were not read."""
    words = []
    for name, value, known in (("A", 0.1, True), ("script", 0.5, True), ("alert", 0.2, True), ("zebu", 0.2, False)):
        start = TEXT.index(name)
        words.append(WordScore(name, start, start + len(name), value, known, None, None))
    cosines = np.zeros((4, 2, 2), np.float32) if heat else None
    return Verdict(score, 0.25, 0.4, score >= 0.4, tuple(words), 3, cosines, TEXT)


def test_it_shows_verdict_score_threshold_and_every_character():
    shown = verdict()._repr_html_()
    assert "✗ MISMATCH" in shown and "<b>0.300</b> &lt; threshold <b>0.400</b>, probability 0.25" in shown
    assert "✓ MATCH" in verdict(0.5)._repr_html_() and "<b>0.500</b> ≥ threshold" in verdict(0.5)._repr_html_()
    line = shown[shown.index("line-height:2.3") :]
    line = re.sub(r"<small[^>]*>[^<]*</small>", "", line[line.index(">") + 1 :])
    for code, letter in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        line = re.sub(r"<[^>]*>", "", line).replace(code, letter) if code == "&lt;" else line.replace(code, letter)
    assert line.startswith(TEXT.replace("zebu", "zebu?"))


def test_a_text_is_never_read_as_code():
    shown = verdict()._repr_html_()
    assert set(re.findall(r"</?(\w+)", shown)) == {"div", "strong", "b", "span", "small"}
    assert "&lt;" in shown and "<script" not in shown


def test_words_are_coloured_and_unknown_ones_marked():
    shown = verdict()._repr_html_()
    for word in verdict().words:
        assert f"background:rgb{tint(word.score, verdict(), 0.4)};color:#1a1a1a" in shown
    assert tint(0.1, verdict(), 0.4) != tint(0.5, verdict(), 0.4)
    assert shown.count("dashed #666") == 1 and "zebu?" in shown and "not in the vocabulary" in shown
    assert "The last 3 words were not read: the model reads 4." in shown
    whole = verdict()._replace(unread=0, words=verdict().words[:3])._repr_html_()
    assert "not in the vocabulary" not in whole and "not read: the model" not in whole and "dashed" not in whole
    assert "The last word was not read" in verdict()._replace(unread=1)._repr_html_()


def test_letters_have_a_colour_only_on_a_colour():
    """Other letters have the notebook's colour, which suits its background."""
    styles = re.findall(r'style="([^"]*)"', verdict()._repr_html_())
    coloured = [style for style in styles if re.search(r"(^|;)color:", style)]
    assert len(coloured) == 1 + 2 * 4  # the verdict, the words and their scores
    assert all("background:" in style or "margin-left" in style for style in coloured)


def test_an_unsure_verdict_says_why_and_has_no_probability():
    unsure = verdict()._replace(why="the picture is <strange>", model="m&m", trained_on="10 drawn scenes")
    shown = unsure._repr_html_()
    assert "? UNSURE" in shown and "probability" not in shown and "MISMATCH" not in shown
    assert "Because the picture is &lt;strange&gt;." in shown
    assert "Model m&amp;m, trained on 10 drawn scenes." in shown


def test_a_model_of_an_earlier_version_has_only_its_name_and_words_may_have_a_hint():
    zebu = verdict().words[3]._replace(meant="zebra")
    shown = verdict()._replace(model="old", words=(*verdict().words[:3], zebu))._repr_html_()
    assert "Model old." in shown and "trained on" not in shown
    assert "Did you mean zebra instead of zebu?" in shown
