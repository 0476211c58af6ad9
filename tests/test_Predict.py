"""Predict: one picture and one text, as a script and from Python; what cannot be judged gets one line."""

import math
from dataclasses import replace

import pytest
import torch
from conftest import run_script
from PIL import Image

import Scenes_lib
from Architectures import SiameseModel
from DataBase_functions import Database, prepare
from Functions import LoadedModel
from Predict import Judge


@pytest.fixture(scope="module")
def model(trained):
    return trained / "Models" / "small"


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "scene.png"
    Scenes_lib.draw(Scenes_lib.make_scene(1)).save(path)
    return path


def test_a_verdict_agrees_with_its_threshold_and_status(model, picture):
    judge = Judge.load(model, "cpu")
    text = "A red ball is on the left side of the picture."
    verdict = judge.check(Image.open(picture).convert("RGB"), text)
    assert verdict.match == (verdict.score >= verdict.threshold)
    shown = run_script("Predict.py", picture, text, "--model", model, status=0 if verdict.match else 1).stdout
    assert shown.startswith("MATCH" if verdict.match else "MISMATCH")
    assert f"{verdict.score:.3f}" in shown and f"probability {verdict.probability:.2f}" in shown
    expected = 1 / (1 + math.exp(-judge.threshold.slope * verdict.score - judge.threshold.intercept))
    assert verdict.probability == pytest.approx(expected)
    assert len(shown.splitlines()) == 1 + len(text.split())


def test_words_keep_their_place_and_explain_the_score(model, picture):
    judge = Judge.load(model, "cpu")
    text = "Two  Zebras — a red ball!"
    verdict = judge.check(Image.open(picture).convert("RGB"), text)
    assert [text[word.start : word.end] for word in verdict.words] == ["Two", "Zebras", "a", "red", "ball"]
    assert [word.known for word in verdict.words] == [True, False, True, True, True]
    lowest, highest = min(w.score for w in verdict.words), max(w.score for w in verdict.words)
    assert lowest - 1e-5 <= verdict.score <= highest + 1e-5
    assert all(0 <= line < 4 and 0 <= column < 4 for line, column in (word.patch for word in verdict.words))


def test_predict_agrees_with_the_batched_scores_of_an_evaluation(model):
    judge = Judge.load(model, "cpu")
    database = Database(judge.config.data.folder)
    row = database.rows("test")[0]
    text = database.captions(row)[0].text
    with torch.no_grad():
        pixels = torch.stack([prepare(database.picture(r), 64) for r in (row, 0)])
        patches = judge.model.encode_pictures(pixels)
        words = judge.model.encode_texts(torch.tensor([[*judge.tokenizer.encode(text), 0, 0, 0]]))
        expected = judge.model.all_scores(patches, words)[0, 0].item()
    assert judge.check(database.picture(row), text).score == pytest.approx(expected, abs=1e-5)


def test_a_pooled_score_is_explained_by_leaving_words_out(model, picture):
    loaded = Judge.load(model, "cpu")
    torch.manual_seed(0)
    settings = replace(loaded.config.model, score="pooled")
    pooled = SiameseModel(len(loaded.tokenizer), loaded.config.backbone, settings).eval()
    judge = Judge(LoadedModel(pooled, loaded.tokenizer, replace(loaded.config, model=settings), loaded.threshold))
    image = Image.open(picture).convert("RGB")
    verdict, without = judge.check(image, "a red ball"), judge.check(image, "a ball")
    assert verdict.words[1].score == pytest.approx(verdict.score - without.score, abs=1e-5)
    assert verdict.words[1].patch is None
    alone = judge.check(image, "ball")
    assert alone.words[0].score == pytest.approx(alone.score, abs=1e-5)  # nothing is left of the text


def test_words_beyond_the_longest_text_are_told(model, picture):
    judge = Judge.load(model, "cpu")
    verdict = judge.check(Image.open(picture).convert("RGB"), "a red ball " * 30)
    assert len(verdict.words) == judge.config.data.max_words == 64
    assert verdict.unread == 26


@pytest.mark.parametrize(
    ("content", "text", "told"),
    [
        (None, "a ball", "absent.jpg"),
        (b"", "a ball", "empty"),
        (b"no picture at all", "a ball", "scene.jpg"),
        ("whole", "?!", "holds no word"),
    ],
)
def test_what_cannot_be_judged_gets_one_line(model, picture, tmp_path, content, text, told):
    path = picture
    if content is None:
        path = tmp_path / "absent.jpg"
    elif isinstance(content, bytes):
        path = tmp_path / "scene.jpg"
        path.write_bytes(content)
    done = run_script("Predict.py", path, text, "--model", model, status=2)
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
