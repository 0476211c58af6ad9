"""The judge in use: kinds of pictures, typed errors, and batches that agree with single verdicts."""

import io
import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from judges import with_score
from PIL import Image
from scripts import SCENES_SMALL

from common.augment import prepare
from DataBase_functions import Database
from evaluation import scoring
from evaluation.splits import encode_rows
from judging.doubt import content_words
from judging.inputs import PictureError, TextError, image_of_array, open_any
from judging.judge import SHIPPED, Judge
from sources.scenes import draw, make_scene

MODELS = (*((score, "none") for score in ("patch_word", "pooled", "both")), ("both", "attention"))
TEXT = "A red ball is on the left side of the picture."


@pytest.fixture(scope="module")
def judge(trained):
    return Judge.load(trained / "Models" / "small", "cpu")


@pytest.fixture
def picture():
    return draw(make_scene(1))


# One verdict


def test_a_verdict_agrees_with_its_threshold_and_calibration(judge, picture):
    verdict = judge.check(picture, TEXT)
    at = judge.loaded.threshold
    assert verdict.threshold == judge.threshold == at.threshold
    assert verdict.match == (verdict.score >= verdict.threshold)
    fitted = 1 / (1 + math.exp(-at.slope * verdict.score - at.intercept))
    assert verdict.probability == pytest.approx(max(fitted, 0.5) if verdict.match else min(fitted, 0.5))


def test_words_keep_their_place_and_explain_the_score(judge, picture):
    text = "Two  Zebras — a red ball!"
    verdict = judge.check(picture, text)
    assert [text[word.start : word.end] for word in verdict.words] == ["Two", "Zebras", "a", "red", "ball"]
    assert [word.text for word in verdict.words] == ["Two", "Zebras", "a", "red", "ball"]
    assert [word.known for word in verdict.words] == [True, False, True, True, True]
    without_head = with_score(judge, "patch_word").check(picture, text)  # a head adds a term of the whole text
    lowest, highest = min(w.score for w in without_head.words), max(w.score for w in without_head.words)
    assert lowest - 1e-5 <= without_head.score <= highest + 1e-5


def test_the_best_patch_is_where_the_heat_is_highest(judge, picture):
    verdict = judge.check(picture, TEXT)
    assert verdict.heat.shape == (len(verdict.words), 4, 4)
    for word, heat in zip(verdict.words, verdict.heat):
        assert heat[word.patch] == heat.max() == pytest.approx(1 if verdict.heat_is == "attention" else word.score)
        line, column = word.patch
        assert word.box == (column / 4, line / 4, (column + 1) / 4, (line + 1) / 4)


def test_a_pooled_score_is_explained_by_leaving_words_out(judge, picture):
    pooled = with_score(judge, "pooled")
    verdict, without = pooled.check(picture, "a red ball"), pooled.check(picture, "a ball")
    assert verdict.words[1].score == pytest.approx(verdict.score - without.score, abs=1e-5)
    assert verdict.heat is None and verdict.words[1].patch is None and verdict.words[1].box is None
    alone = pooled.check(picture, "ball")
    assert alone.words[0].score == pytest.approx(alone.score, abs=1e-5)  # nothing is left of the text


def test_words_beyond_the_longest_text_are_counted(judge, picture):
    verdict = judge.check(picture, "a red ball " * 30)
    assert len(verdict.words) == len(verdict.heat) == judge.loaded.config.data.max_words == 64
    assert verdict.unread == 26


def test_a_verdict_is_json(judge, picture):
    values = json.loads(json.dumps(judge.check(picture, TEXT).as_dict()))
    assert set(values) == {
        *("verdict", "why", "score", "probability", "threshold", "match", "words", "unread", "outside"),
        *("model", "trained_on", "note"),
    }
    assert set(values["words"][0]) == {"text", "start", "end", "score", "known", "patch", "box", "meant"}


# Many


@pytest.mark.parametrize(("score", "head"), MODELS)
def test_scores_of_batches_are_those_of_check(judge, score, head):
    one = with_score(judge, score, head)
    pictures = [draw(make_scene(seed)) for seed in (1, 2, 3)]
    texts = [TEXT, "two dogs", "a ball"]
    alone = np.array([[one.check(picture, text).score for text in texts] for picture in pictures])
    assert one.scores(pictures, texts) == pytest.approx(alone, abs=1e-5)
    assert one.pairs(pictures, texts) == pytest.approx(np.diag(alone), abs=1e-5)
    again = one.pairs([pictures[2], pictures[0], pictures[2]], [texts[0], texts[0], texts[1]])
    assert again == pytest.approx([alone[2, 0], alone[0, 0], alone[2, 1]], abs=1e-5)


def test_a_picture_and_a_text_are_encoded_once(judge, picture, tmp_path, monkeypatch):
    path = tmp_path / "scene.png"
    picture.save(path)
    counts = {"pictures": 0, "texts": 0}
    model = judge.loaded.model
    encode_pictures, encode_texts = model.encode_pictures, model.encode_texts

    def count_pictures(batch):
        counts["pictures"] += len(batch)
        return encode_pictures(batch)

    def count_texts(words):
        counts["texts"] += len(words)
        return encode_texts(words)

    monkeypatch.setattr(model, "encode_pictures", count_pictures)
    monkeypatch.setattr(model, "encode_texts", count_texts)
    scores = judge.pairs([path, str(path), picture, picture, path], ["a ball", "a dog", "a ball", "a dog", "a ball"])
    assert counts == {"pictures": 2, "texts": 2}  # the file, and the picture in memory
    assert scores[[0, 1]] == pytest.approx(scores[[2, 3]], abs=1e-6) and scores[0] == scores[4]
    judge.scores([path, picture], ["a ball", "a dog", "a tree"])
    assert counts == {"pictures": 4, "texts": 5}


@pytest.mark.parametrize(("score", "head"), MODELS)
def test_verdicts_are_those_of_check(judge, score, head):
    one = with_score(judge, score, head)
    drawn = [draw(make_scene(seed)) for seed in range(3)]
    some = ["a ball", "two dogs", "A red ball is on the left. " * 12, "one zebra", "a ball"]
    pictures, texts = [drawn[i % 3] for i in range(15)], [some[i // 3] for i in range(15)]
    assert len(set(zip(map(id, pictures), texts))) == 12  # also equal pairs
    found = one.verdicts(iter(pictures), iter(texts))
    for verdict, picture, text in zip(found, pictures, texts, strict=True):
        expected = one.check(picture, text)
        assert verdict.score == pytest.approx(expected.score, abs=1e-6)
        assert verdict.probability == pytest.approx(expected.probability, abs=1e-5)
        assert (verdict.text, verdict.unread, verdict.match) == (text, expected.unread, expected.match)
        scores = [word.score for word in verdict.words]
        assert scores == pytest.approx([word.score for word in expected.words], abs=1e-6)
        for mine, theirs in zip(verdict.words, expected.words, strict=True):
            assert mine._replace(score=0) == theirs._replace(score=0)
        if score == "pooled":
            assert verdict.heat is expected.heat is None
        else:
            assert verdict.heat.shape == expected.heat.shape
            assert verdict.heat == pytest.approx(expected.heat, abs=1e-6)


def test_verdicts_encode_a_picture_and_a_text_once(judge, picture, monkeypatch):
    shapes = {"encode_pictures": [], "encode_texts": []}
    for name, seen in shapes.items():
        encode = getattr(judge.loaded.model, name)
        monkeypatch.setattr(judge.loaded.model, name, lambda x, f=encode, s=seen: (s.append(len(x)), f(x))[1])
    other = draw(make_scene(2))
    found = judge.verdicts([picture, other] * 300, ["a ball", "a dog", "a dog", "a ball"] * 150)  # two blocks of pairs
    assert shapes == {"encode_pictures": [2], "encode_texts": [2]}
    assert [verdict.text for verdict in found[:4]] == ["a ball", "a dog", "a dog", "a ball"]
    assert found[0].score == pytest.approx(found[-4].score, abs=1e-6) and found[0].score != found[3].score


def test_pictures_that_are_made_on_access_are_kept_apart(judge):
    """A row of an array, or a picture that a data set decodes on access, gets its id again once it is freed."""
    scenes = [draw(make_scene(seed)) for seed in range(6)]
    expected = judge.pairs(scenes, ["a red ball"] * 6)
    stacked = np.stack([np.asarray(scene) for scene in scenes])

    class Lazy(list):
        def __getitem__(self, i):
            return Image.fromarray(np.asarray(scenes[i]))

        def __iter__(self):
            return (self[i] for i in range(len(scenes)))

    for pictures in (stacked, torch.from_numpy(stacked).permute(0, 3, 1, 2), Lazy(scenes)):
        assert judge.pairs(pictures, ["a red ball"] * 6) == pytest.approx(expected, abs=1e-6)


def test_nothing_gives_nothing(judge, picture):
    assert judge.pairs([], []).shape == (0,)
    assert judge.verdicts([], []) == []
    assert judge.scores([], ["a ball"]).shape == (0, 1) and judge.scores([picture], []).shape == (1, 0)


def test_the_judge_agrees_with_an_evaluation(judge):
    database = Database(judge.loaded.config.data.folder)
    row = database.rows("test")[0]
    text = database.captions(row)[0].text
    vectors = encode_rows(judge.loaded, database, [row], "pictures").vectors
    expected = scoring.score_pairs(judge.loaded, vectors, [text], np.zeros(1, dtype=np.int64))
    assert judge.check(database.picture(row), text).score == pytest.approx(float(expected[0]), abs=1e-5)


# Kinds of pictures


def test_every_kind_of_picture_is_seen_alike(judge, picture, tmp_path):
    path = tmp_path / "scene.png"
    picture.save(path)
    pixels = np.asarray(picture)
    tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    kinds = [path, str(path), picture, pixels, pixels / 255, (pixels / 255).astype(np.float32), tensor, tensor / 255]
    kinds += [picture.convert("RGBA"), np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])]
    expected = prepare(picture, 64)
    for kind in kinds:
        assert torch.equal(judge.prepare(kind), expected), type(kind)
    grey = picture.convert("L")
    for kind in (grey, np.asarray(grey), np.asarray(grey)[:, :, None], torch.from_numpy(np.array(grey))[None]):
        assert torch.equal(judge.prepare(kind), prepare(grey.convert("RGB"), 64))


def test_bytes_and_file_objects_are_pictures(judge, tmp_path):
    """A phone's JPEG too: turned upright, and reduced as a file is."""
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.effect_noise((900, 600), 80).convert("RGB").save(path, exif=exif)
    data, expected = path.read_bytes(), judge.prepare(path)
    for kind in (data, bytearray(data), memoryview(data), io.BytesIO(data)):
        assert torch.equal(judge.prepare(kind), expected), type(kind)
    with path.open("rb") as buffered, path.open("rb", buffering=0) as raw:
        for file in (buffered, raw):
            assert torch.equal(judge.prepare(file), expected)
            assert not file.closed


def test_a_file_object_is_read_from_its_position(judge, picture):
    file = io.BytesIO(b"header")
    file.seek(6)
    picture.save(file, "PNG")
    file.seek(6)
    assert torch.equal(judge.prepare(file), judge.prepare(picture))
    with pytest.raises(PictureError, match=r"^picture: the file object has nothing left to read; .*seek\(0\)$"):
        judge.check(file, "a ball")
    file.seek(0)
    with pytest.raises(PictureError, match="the file is not a picture"):
        judge.check(file, "a ball")


def test_large_pictures_are_reduced_as_in_a_database(tmp_path):
    """A photograph is first reduced to the 256 pixels of the database, so that the model sees what training saw."""
    large = Image.effect_noise((900, 600), 80).convert("RGB")
    large.save(tmp_path / "large.png")
    assert open_any(large).size == open_any(tmp_path / "large.png").size == (384, 256)
    assert np.array_equal(open_any(large), open_any(tmp_path / "large.png"))


def test_the_picture_that_is_given_stays_as_it_is(judge, tmp_path):
    Image.effect_noise((1600, 1200), 80).convert("RGB").save(tmp_path / "large.jpg")
    with Image.open(tmp_path / "large.jpg") as image:
        judge.check(image, "a ball")
        assert image.size == (1600, 1200)


def test_a_picture_in_memory_is_turned_upright(tmp_path):
    turned = Image.effect_noise((60, 40), 80).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    with Image.open(tmp_path / "turned.jpg") as image:
        assert open_any(image).size == open_any(tmp_path / "turned.jpg").size == (40, 60)


# What cannot be judged


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((64, 64, 2), np.uint8), r"array .* is needed, not \(64, 64, 2\)"),
        (np.zeros((64, 64, 3), np.int64), "bytes or floats are needed, not int64"),
        (np.full((64, 64), 2.0), "floats must be 0 to 1"),
        (np.full((64, 64), np.nan), "floats must be 0 to 1"),
        (np.zeros((0, 64)), "is needed"),
        (torch.zeros(64, 64), "a tensor .* is needed"),
        (torch.zeros(3, 8, 8), "under 32"),
        (Image.new("RGB", (2000, 40)), "10 times"),
        (b"bytes", "the file is not a picture in JPEG"),
        (b"", "the file is empty"),
        (io.BytesIO(b"bytes"), "the file is not a picture in JPEG"),
        (io.BytesIO(), "nothing left to read; if it was read before, call its seek"),
        (io.StringIO("text"), "gives text instead of bytes"),
        (7, "a path, bytes, file object, PIL picture, array or tensor is needed, not int"),
        (None, "not NoneType"),
    ],
)
def test_what_is_not_a_picture_is_refused_with_the_reason(judge, picture, wrong, message):
    with pytest.raises(PictureError, match=message) as caught:
        judge.pairs([picture, wrong], ["a ball", "a ball"])
    assert caught.value.number == 1


def test_errors_are_typed_and_name_the_item(judge, picture, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    with pytest.raises(PictureError) as caught:
        judge.scores([picture, broken], ["a ball"])
    assert (caught.value.number, caught.value.name) == (1, str(broken))
    assert caught.value.reason.startswith("the file is not a picture")
    assert str(caught.value).startswith(f"picture 1 ({broken}): the file is not a picture")
    with pytest.raises(PictureError, match=r"picture 2 \(.*absent\.png\): No such file") as caught:
        judge.pairs([picture, picture, tmp_path / "absent.png"], ["a ball"] * 3)
    assert caught.value.number == 2
    with pytest.raises(TextError, match=r"text 1 \('\?!'\): it has no words") as caught:
        judge.pairs([picture] * 2, ["a ball", "?!"])
    assert caught.value.number == 1
    half = r"text '\\ud83d ball': it has half of a character \(U\+D83D\) at position 0; write it again"
    with pytest.raises(TextError, match=half) as caught:
        judge.check(picture, "\ud83d ball")
    str(caught.value).encode()
    with pytest.raises(TextError, match="text: a text is needed, not int"):
        judge.scores([picture], [7])
    with pytest.raises(TextError, match="text: a text is needed, not NoneType"):
        judge.check(picture, None)
    with pytest.raises(PictureError, match=r"^picture .*absent\.png: No such file"):
        judge.check(tmp_path / "absent.png", "a ball")
    again = pickle.loads(pickle.dumps(PictureError(1, "a.png", "it is gone")))
    assert (again.number, str(again)) == (1, "picture 1 (a.png): it is gone")
    with pytest.raises(ValueError, match="2 pictures and 1 texts"):
        judge.pairs([picture] * 2, ["a ball"])
    assert issubclass(PictureError, ValueError) and issubclass(TextError, ValueError)


@pytest.mark.parametrize("method", ["pairs", "scores", "verdicts"])
@pytest.mark.parametrize(
    ("pictures", "texts", "error", "message"),
    [
        ("a.png", ["a ball"], PictureError, "picture: a list of pictures is needed, not a single str; write [picture]"),
        (Path("a.png"), ["a ball"], PictureError, "picture: a list of pictures is needed, not a single "),
        (b"bytes", ["a ball"], PictureError, "picture: a list of pictures is needed, not a single bytes"),
        (io.BytesIO(), ["a ball"], PictureError, "picture: a list of pictures is needed, not a single BytesIO"),
        (Image.new("RGB", (64, 64)), ["a ball"], PictureError, "picture: a list of pictures is needed, not a single "),
        (np.zeros((64, 64, 3)), ["a ball"] * 64, PictureError, "picture: a list of pictures is needed, not a single "),
        (np.zeros((64, 64)), ["a ball"] * 64, PictureError, "picture: a list of pictures is needed, not a single "),
        (torch.zeros(3, 64, 64), ["a ball"] * 3, PictureError, "picture: a list of pictures is needed, not a single T"),
        (None, ["a ball"], PictureError, "picture: a list of pictures is needed, not NoneType"),
        ([], "a ball", TextError, "text: a list of texts is needed, not a single str; write [text]"),
        ([], b"a ball", TextError, "text: a list of texts is needed, not a single bytes"),
        ([], 7, TextError, "text: a list of texts is needed, not int"),
    ],
)
def test_a_single_picture_or_text_is_refused_where_a_list_is_needed(judge, method, pictures, texts, error, message):
    with pytest.raises(error) as caught:
        getattr(judge, method)(pictures, texts)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


# How a judge is loaded and shown


def test_a_missing_model_names_the_shipped_one(tmp_path):
    for path, made_by in (("absent", "Main_train.py"), ("absent.zip", "Export_model.py")):
        with pytest.raises(FileNotFoundError) as caught:
            Judge.load(tmp_path / path, "cpu")
        message = str(caught.value)
        assert made_by in message and message.endswith(f"use the model that comes with the program: {SHIPPED}")
        assert "\n" not in message
    assert Judge.load(SCENES_SMALL, "cpu").name == "scenes-small"


def test_a_wrong_device_names_the_argument():
    with pytest.raises(ValueError, match=r"^device='gpu': did you mean cuda\? choose from auto, cpu, "):
        Judge.load(SCENES_SMALL, device="gpu")


def test_a_judge_of_a_path_is_refused_with_the_call_that_loads_it():
    with pytest.raises(TypeError, match=r"use Judge\.load\('Models/scenes'\)"):
        Judge("Models/scenes")


def test_a_judge_and_a_verdict_are_shown_in_one_line(judge, picture):
    assert repr(
        Judge(judge.loaded, "small")
    ) == f"<Judge 'small': trained on 40 drawn scenes, threshold {judge.threshold:.3f}, " + (
        f"{len(judge.loaded.tokenizer):,} words, on cpu>"
    )
    verdict = judge.check(picture, "a ball")
    name, sign = ("MATCH", ">=") if verdict.match else ("MISMATCH", "<")
    score = f"score {verdict.score:.3f} {sign} threshold {judge.threshold:.3f}"
    assert repr(verdict) == f"<Verdict {name}: {score}, 'a ball'>"
    long = verdict._replace(score=-0.5, threshold=-0.4, match=False, text="a\n\x00ball " * 50)
    for shown in (repr(long), repr(Judge(judge.loaded, "name\n" * 50))):
        assert len(shown) <= 120 and "\n" not in shown and shown.endswith(">")


def test_help_is_readable(capsys):
    help(Judge)
    shown = capsys.readouterr().out
    assert "check(self, picture: 'Picture', text: 'str') -> 'Verdict'" in shown
    assert "numpy" not in shown and max(map(len, shown.splitlines())) <= 126


def test_a_float_array_is_rounded():
    assert np.asarray(image_of_array(np.array([[0.0, 0.5, 1.0]]))).tolist() == [[0, 128, 255]]


def test_content_words_leave_out_what_names_nothing():
    words = "A red ball is on the left of two dogs".split()
    assert [words[i] for i in content_words(words)] == ["red", "ball", "left", "two", "dogs"]
    assert content_words(["The", "the"]) == [0, 1]


# Unsure


def test_a_strange_picture_or_text_makes_a_judge_unsure():
    judge = Judge.load(SCENES_SMALL, "cpu")
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    scene = draw(make_scene(1))
    known, strange, foreign = judge.verdicts([scene, noise, scene], [TEXT, TEXT, "Ein roter Ball."])
    assert (known.verdict, known.why, known.outside) == ("match" if known.match else "mismatch", "", False)
    assert strange.verdict == foreign.verdict == "unsure" and strange.outside and foreign.outside
    assert "unlike those that the model was trained on (drawn scenes)" in strange.why
    assert repr(foreign).startswith("<Verdict UNSURE: score ")
    assert repr(foreign).endswith(", because the model knows 1 of 3 content words>")
    assert (
        (strange.model, strange.trained_on) == ("scenes-small", "6,036 drawn scenes") == (judge.name, judge.trained_on)
    )
    assert judge.check(noise, TEXT).why == strange.why  # alone as among others


def test_a_risk_makes_a_judge_unsure_between_its_limits():
    judge = Judge.load(SCENES_SMALL, "cpu", risk=0.01)
    risk, lower, upper = judge.limits
    assert risk == judge.risk == 0.01 and lower < judge.threshold < upper and "risk 0.01" in repr(judge)
    for score, why in ((upper, ""), (upper - 1e-4, "a match needs"), (lower, "a mismatch needs"), (lower - 1e-4, "")):
        found = judge.why_unsure(score, "a red ball")
        assert why in found and bool(why) is bool(found)
    assert Judge.load(SCENES_SMALL, "cpu").why_unsure(upper - 1e-4, "a red ball") == ""
