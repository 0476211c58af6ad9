"""The page of suspicious captions."""

import csv
import math
import re

import numpy as np
import pytest
from conftest import ROOT

from judging.judge import Judge
from judging.page import marked, number_of, summarise, write_report
from judging.suggest import Suggestion
from sources import scenes

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def judge():
    return Judge.load(ROOT / "Models" / "scenes-small", "cpu")


@pytest.fixture
def scored(tmp_path, monkeypatch):
    """A scored file: 60 rows, the k-th with score k / 100, in random order, and four unusual ones."""
    for seed in range(3):
        scenes.draw(scenes.make_scene(seed)).save(tmp_path / f"{seed}.png")
    path = tmp_path / "scored.csv"
    monkeypatch.setattr("judging.page.SAME_SCORE", math.inf)  # these scores are of no model
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "caption", "score", "error"])
        for number in np.random.default_rng(0).permutation(60).tolist():
            writer.writerow([f"{number % 3}.png", f"a {EVIL} ball & number {number}", number / 100, ""])
        writer.writerow(["gone.png", "a ball", "", "picture: No such file or directory"])
        writer.writerow([EVIL, "a ball", "", EVIL])
        writer.writerow([EVIL, f"a {EVIL} ball", -0.5, ""])
        writer.writerow(["too", "many", "", "", "fields"])
    return path


def test_the_worst_come_first_and_nothing_is_loaded_from_elsewhere(judge, scored, tmp_path):
    page = tmp_path / "page.html"
    assert write_report(page, judge, scored, tmp_path, 8, False) == 8
    text = page.read_text(encoding="utf-8")
    shown = [int(number) for number in re.findall(r"number</span> <[^>]*>(\d+)<", text)]
    assert shown == list(range(7))  # after the one whose picture has a strange name
    assert text.count("data:image/jpeg;base64,") == 7
    assert not re.search(r"(src|href)=\"(?!data:)|url\(|<script|@import", text)
    assert "64 rows" in text and "3 rows without a score" in text and "No such file or directory" in text
    assert "more fields than columns" in text


def test_captions_names_and_errors_cannot_put_html_into_the_page(judge, scored, tmp_path, monkeypatch):
    found = Suggestion(EVIL, EVIL, 0, 1, "colour", 0.1, 0.2, EVIL)
    monkeypatch.setattr("judging.page.suggest", lambda *_: [found])
    page = tmp_path / "page.html"
    write_report(page, Judge(judge.loaded, EVIL), scored, tmp_path, 4, True)
    text = page.read_text(encoding="utf-8")
    tags = set(re.findall(r"<(\w+)", text))
    assert "script" not in tags and text.count("<img") == text.count("data:image/jpeg") == 3
    assert "onerror=alert(1)>" not in text and text.count("&lt;") > 10


def test_words_that_do_not_fit_are_marked(judge):
    scene = scenes.draw(scenes.make_scene(900_005))
    text = "A yellow umbrella and a green tree."
    verdict = judge.check(scene, text)
    low = verdict.threshold - 0.1
    scores = [low, 0.9, 0.9, low, low, low, 0.9]  # "A", "and" and "a" name nothing
    words = tuple(word._replace(score=score) for word, score in zip(verdict.words, scores))
    shown = marked(text, verdict._replace(words=words))
    assert re.findall(r'class="low"[^>]*>(\w+)<', shown) == ["green"]
    assert re.sub(r"<[^>]*>", "", shown) == text
    unknown = marked("A zeppelin.", judge.check(scene, "A zeppelin."))
    assert 'class="unknown" title="not in the vocabulary">zeppelin' in unknown


def test_corrections_are_on_the_page(judge, tmp_path):
    scenes.draw(scenes.make_scene(900_005)).save(tmp_path / "scene.png")
    text = "A yellow umbrella and a green tree."
    score = judge.pairs([tmp_path / "scene.png"], [text])[0]
    (tmp_path / "scored.csv").write_text(f"image,caption,score\nscene.png,{text},{score}\n")
    write_report(tmp_path / "page.html", judge, tmp_path / "scored.csv", tmp_path, 5, True)
    assert "green → <b>orange</b>" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_file_without_scores_is_refused(judge, tmp_path):
    (tmp_path / "pairs.csv").write_text("image,caption\na.png,a ball\n")
    with pytest.raises(ValueError, match="has no scores; add --out FILE, which makes some"):
        write_report(tmp_path / "page.html", judge, tmp_path / "pairs.csv", tmp_path, 5, False)


def test_scores_of_another_model_are_refused(judge, tmp_path):
    scenes.draw(scenes.make_scene(900_005)).save(tmp_path / "scene.png")
    (tmp_path / "scored.csv").write_text("image,caption,score\nscene.png,a tree,nan\nscene.png,a tree,-0.9\n")
    with pytest.raises(ValueError, match=r"row 2 has the score -0.900, and scenes-small gives it .* --model"):
        write_report(tmp_path / "page.html", judge, tmp_path / "scored.csv", tmp_path, 5, False)


def test_a_picture_outside_of_the_folder_is_not_on_the_page(judge, tmp_path):
    """A page is passed on, so the author of a table must not be able to put any picture of this machine on it."""
    scenes.draw(scenes.make_scene(1)).save(tmp_path / "secret.png")
    (tmp_path / "images").mkdir()
    for name in (tmp_path / "secret.png", "../secret.png"):
        (tmp_path / "scored.csv").write_text(f"image,caption,score\n{name},a ball,0.1\n")
        write_report(tmp_path / "page.html", judge, tmp_path / "scored.csv", tmp_path / "images", 5, False)
        text = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert "data:image" not in text and "is outside the folder --images" in text


def test_the_card_of_a_missing_picture_says_so(judge, tmp_path):
    (tmp_path / "scored.csv").write_text("image,caption,score\ngone.png,a ball,0.1\n")
    write_report(tmp_path / "page.html", judge, tmp_path / "scored.csv", tmp_path, 5, False)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "gone.png" in text and "No such file" in text and text.count("</li>") == 1


def test_only_the_worst_are_held(scored):
    summary = summarise(scored, 4, 0.3)
    assert [suspect.score for suspect in summary.suspects] == [-0.5, 0.0, 0.01, 0.02]
    assert (summary.rows, summary.without, summary.mismatches) == (64, 3, 31)
    assert summary.counts.sum() == 61


@pytest.mark.parametrize(("caption", "is_explained"), [("A zeppelin on a beach.", True), ("A beach.", False)])
def test_the_dotted_line_is_explained_where_there_is_one(judge, tmp_path, monkeypatch, caption, is_explained):
    monkeypatch.setattr("judging.page.SAME_SCORE", math.inf)
    scenes.draw(scenes.make_scene(0)).save(tmp_path / "0.png")
    (tmp_path / "scored.csv").write_text(f"image,caption,score\n0.png,{caption},0.5\n")
    write_report(tmp_path / "page.html", judge, tmp_path / "scored.csv", tmp_path, 1, False)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert ("A dotted line is under words that the model does not know." in text) is is_explained


@pytest.mark.parametrize("value", [None, "", "x", float("nan"), float("inf"), 10**400, []])
def test_a_score_that_is_no_finite_number_is_none(value):
    assert number_of(value) is None and number_of("0.5") == number_of(0.5) == 0.5
