"""Export_model: a bundle that agrees with its model, and a card that has only figures that were measured."""

import json
import re
import shutil
import zipfile
from dataclasses import replace

import pytest
import torch
from conftest import run_process, run_script

from training import checkpoints

pytest.importorskip("onnx", reason="the export is not installed: python -m pip install -r requirements-export.txt")
pytest.importorskip("onnxruntime", reason="onnxruntime is absent: python -m pip install -r requirements-export.txt")

from judging.bundle import largest_difference
from judging.judge import Judge
from Miscellaneous_scripts import Export_model
from sources import scenes

SCRIPT = "Miscellaneous_scripts/Export_model.py"


@pytest.fixture
def model(trained, tmp_path):
    """A copy of the trained model, without the results.json of other tests."""
    return shutil.copytree(trained / "Models" / "small", tmp_path / "model", ignore=lambda *_: ["results.json"])


def card_of(model):
    return Export_model.model_card(checkpoints.load_model(model, torch.device("cpu")), model)


def results_for(model):
    """A report as Evaluate_test.py writes it."""
    figure = {"value": 0.75, "low": 0.7, "high": 0.8}
    figures = dict.fromkeys(Export_model.FIGURES, figure)
    unknown = {name: {"value": None, "low": None, "high": None} for name in figures}
    weak = {**figures, "balanced_accuracy": {"value": 0.5125, "low": 0.5, "high": 0.525}}
    return {
        "database": "Database/tiny",
        "threshold": json.loads((model / "threshold.json").read_text()),
        "test_photographs": 12,
        "test_captions": 1234,
        "resamples": 1000,
        "trained_on": [],
        "test": [
            {"section": "kind", "name": "mixture", "n": 1200, **figures},
            {"section": "kind", "name": "mined", "n": 3, **unknown},
            {"section": "category", "name": "colour", "n": 9, **figures},
            {"section": "category", "name": "number", "n": 9, **weak},
            {"section": "category", "name": "state", "n": 0, **unknown},
        ],
        "retrieval": {"all": {"picture_to_text_recall@1": figure, "text_to_picture_recall@1": unknown["recall"]}},
        "calibration": {"ece": 0.0321, "brier": figure},
    }


def test_the_script_writes_a_bundle_that_agrees(model, tmp_path):
    out = tmp_path / "new" / "small.zip"
    message = run_process(SCRIPT, "--model", model, "--out", out).stdout
    assert f"written: {out}" in message
    assert float(re.search(r"by more than (\S+) from", message)[1]) < 1e-4
    assert [path.name for path in out.parent.iterdir()] == ["small.zip"]  # no leftover
    picture, text = scenes.draw(scenes.make_scene(5), 200), "A red ball is on the left."
    plain = checkpoints.load_model(model, torch.device("cpu"))
    expected = Judge(plain._replace(config=replace(plain.config, precision="float32"))).check(picture, text)
    assert Judge.load(out).check(picture, text).score == pytest.approx(expected.score, abs=1e-4)
    with zipfile.ZipFile(out) as archive:
        card = archive.read("README.md").decode()
    assert "Not evaluated; run `python Evaluate_test.py --model DIR` and export again." in card
    assert str(tmp_path) not in card
    again = run_script(SCRIPT, "--model", model, "--out", out, status=2).stderr
    assert again == f"Export_model.py: error: {out} is already there; replace it with --overwrite\n"
    run_script(SCRIPT, "--model", model, "--out", out, "--overwrite")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "add --out NAME.zip"),
        (["--out", "model.onnx"], "--out model.onnx: the ending must be .zip"),
        (["--out", "x.zip", "--model", "absent"], "there is no folder absent; train a model with"),
    ],
)
def test_what_the_user_can_fix_gets_one_line(flags, message):
    error = run_script(SCRIPT, *flags, status=2).stderr
    assert error.startswith("Export_model.py: error: ") and message in error and error.count("\n") == 1


@pytest.mark.parametrize("difference", [2e-4, float("nan")])
def test_a_bundle_that_disagrees_is_not_kept(difference, model, tmp_path, monkeypatch):
    out = tmp_path / "small.zip"
    out.write_bytes(b"an earlier one")
    monkeypatch.setattr(Export_model, "largest_difference", lambda one, other: difference)
    loaded = checkpoints.load_model(model, torch.device("cpu"))
    with pytest.raises(ValueError, match=r"differs by .* from the model's"):
        Export_model.write_checked(loaded, out, "")
    assert out.read_bytes() == b"an earlier one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "small.zip"]


def test_another_model_is_seen_as_different(model):
    one, other = (checkpoints.load_model(model, torch.device("cpu")) for _ in range(2))
    assert largest_difference(one, other) == 0
    with torch.no_grad():
        other.model.text.states.weight[0] += 0.01
    assert largest_difference(one, other) > 1e-4
    with torch.no_grad():
        other.model.text.states.weight[0] = float("nan")
    assert not largest_difference(one, other) <= 1


def test_the_card_has_the_settings_and_the_threshold(model):
    card, loaded = card_of(model), checkpoints.load_model(model, torch.device("cpu"))
    photographs = len((model / "photographs.txt").read_text().splitlines())
    assert f"Database `tiny`: trained on {photographs} drawn scenes with their captions" in card
    assert f"The vocabulary has {len(loaded.tokenizer)} words" in card
    threshold = loaded.threshold.threshold
    assert f"a match if the score is at least {threshold:.4f}, chosen for balanced-accuracy" in card
    assert re.search(r"exported at commit \| ([0-9a-f]{40}(-dirty)?|unknown) \|", card)
    (model / "world.safetensors").unlink()  # as in a model of an earlier version
    assert f"trained on {photographs} photographs or scenes" in card_of(model)
    (model / "photographs.txt").unlink()
    assert "trained on an unknown number of photographs" in card_of(model)


def test_the_card_holds_the_figures_of_an_evaluation(model):
    (model / "results.json").write_text(json.dumps(results_for(model)))
    card = card_of(model)
    assert "Not evaluated" not in card and "too good" not in card
    assert "Test split of `tiny`: 12 photographs, 1,234 captions." in card
    assert "| mixture | 1,200 | " + " | ".join(["0.7500 [0.7000, 0.8000]"] * 4) + " |" in card
    assert "| mined | 3 | – | – | – | – |" in card
    assert "recall@1 0.7500 [0.7000, 0.8000]" in card and "Calibration error 0.0321" in card
    assert "balanced accuracy: number 0.5125 [0.5000, 0.5250], colour 0.7500" in card


def test_figures_of_other_weights_are_left_out(model):
    results = results_for(model)
    results["threshold"]["epoch"] += 1
    (model / "results.json").write_text(json.dumps(results))
    card = card_of(model)
    assert (
        "of other weights or at another threshold; run `python Evaluate_test.py" in card
        and "0.7500 [0.7000" not in card
    )


def test_the_card_counts_photographs_that_were_trained_on(model):
    (model / "results.json").write_text(json.dumps({**results_for(model), "trained_on": ["a", "b"]}))
    assert "2 of these photographs were in the training split, so the figures are too good." in card_of(model)


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_damaged_report_is_refused(text, model):
    (model / "results.json").write_text(text)
    with pytest.raises(ValueError, match=r"results\.json was not written by this version"):
        card_of(model)


def test_the_card_reads_what_an_evaluation_writes(trained, model, undrawn):
    """The report is made by Evaluate_test.py, so that this test fails if its form changes."""
    run_script("Evaluate_test.py", "--model", model, "--blind-captions", 200, "--resamples", 100)
    results, card = json.loads((model / "results.json").read_text()), card_of(model)
    kinds = [row for row in results["test"] if row["section"] == "kind"]
    assert kinds and all(f"| {row['name']} | {row['n']:,} | " in card for row in kinds)
    assert f"{results['test_captions']:,} captions" in card and "recall@1" in card
