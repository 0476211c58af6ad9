"""Evaluate_test: a whole evaluation, honest about where its threshold comes from; the blind control; Predict; logs."""

import json

import numpy as np
import pytest
import torch
from conftest import run_script
from PIL import Image

import Evaluate_test
import Functions
from DataBase_functions import Database


def is_picture(path, least=400):
    with Image.open(path) as image:
        image.load()
        return image.format == "PNG" and min(image.size) >= least


@pytest.fixture(scope="module")
def evaluated(trained):
    folder = trained / "Models" / "small"
    chosen_in_training = (folder / "threshold.json").read_bytes()
    done = run_script("Evaluate_test.py", "--model", folder, "--blind-captions", 200)
    yield trained, json.loads((folder / "results.json").read_text()), done.stdout
    (folder / "threshold.json").write_bytes(chosen_in_training)


def test_an_evaluation_reports_every_kind(evaluated):
    root, results, shown = evaluated
    kinds = {row["negatives"]: row for row in results["test"]}
    assert {"swap", "swap: colour", "random caption"} <= kinds.keys()
    assert sum(row["n"] for name, row in kinds.items() if name.startswith("swap:")) == kinds["swap"]["n"]
    for row in kinds.values():
        assert row["balanced_accuracy"] == pytest.approx((row["recall"] + row["specificity"]) / 2)
    assert 0 <= results["retrieval"]["picture_to_text_recall@1"] <= results["retrieval"]["picture_to_text_recall@10"]
    assert "random caption" in shown
    assert is_picture(root / "Plots" / "small" / "Threshold_Analysis_small.png")


def test_the_threshold_is_that_of_validation_and_is_stored(evaluated):
    root, results, _ = evaluated
    folder = root / "Models" / "small"
    loaded = Functions.load_model(folder, torch.device("cpu"))
    database = Database(loaded.config.data.folder)
    texts = Evaluate_test.collect_texts(database, database.rows("validation"))
    scores = Evaluate_test.score_split(loaded, database, "validation", texts)
    expected = Functions.best_threshold(scores.caption, scores.negative)
    assert results["threshold"]["threshold"] == pytest.approx(expected)
    assert results["threshold"]["chosen_on"] == "validation"
    assert loaded.threshold.threshold == pytest.approx(expected)


def test_another_database_changes_nothing_for_the_model_s_users(evaluated, tmp_path):
    root = evaluated[0]
    folder = root / "Models" / "small"
    before = {name: (folder / name).read_bytes() for name in ("threshold.json", "results.json")}
    run_script("Database_create.py", "--root", tmp_path, "--name", "other", "--scenes", 40, "--seed", 5)
    run_script("Evaluate_test.py", "--model", folder, "--database", tmp_path / "other", "--blind-captions", 100)
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert (folder / "results_other.json").is_file()


def test_scores_of_pairs_agree_with_the_model(evaluated):
    root = evaluated[0]
    loaded = Functions.load_model(root / "Models" / "small", torch.device("cpu"))
    database = Database(loaded.config.data.folder)
    texts = Evaluate_test.collect_texts(database, database.rows("test"))
    scores = Evaluate_test.score_split(loaded, database, "test", texts)
    assert scores.matrix.shape == (len(database.rows("test")), len(texts.captions))
    k = len(texts.negatives) - 1
    picture = database.picture(database.rows("test")[texts.owner[texts.negative_of[k]]])
    with torch.no_grad():
        patches = loaded.model.encode_pictures(Evaluate_test.prepare(picture, 64).unsqueeze(0))
        words = loaded.model.encode_texts(torch.tensor([loaded.tokenizer.encode(texts.negatives[k].text)]))
    assert scores.negative[k] == pytest.approx(loaded.model.pair_scores(patches, words).item(), abs=1e-5)


def test_false_texts_depend_on_the_database_alone(evaluated):
    root = evaluated[0]
    loaded = Functions.load_model(root / "Models" / "small", torch.device("cpu"))
    database = Database(loaded.config.data.folder)
    one, other = (Evaluate_test.collect_texts(database, database.rows("test")) for _ in range(2))
    assert one.negatives == other.negatives
    assert (one.foreign == other.foreign).all()
    assert (one.owner[one.foreign] != one.owner).all()


def test_a_split_of_one_photograph_has_no_foreign_caption():
    with pytest.raises(ValueError, match="at least two photographs"):
        Evaluate_test.foreign_captions(np.array(["a", "a"]))


def test_the_blind_control_finds_negatives_that_give_themselves_away(evaluated):
    """Every negative gets a word that no caption has: a judge without a picture must tell them all."""
    root = evaluated[0]
    database = Database(Functions.load_model(root / "Models" / "small", torch.device("cpu")).config.data.folder)
    honest = Evaluate_test.collect_texts

    def marked(*args):
        texts = honest(*args)
        return texts._replace(negatives=[n._replace(text=n.text + " zebra") for n in texts.negatives])

    test = marked(database, database.rows("test"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Evaluate_test, "collect_texts", marked)
        verdict = Evaluate_test.blind_control(database, test, 200)
    assert verdict[: len(test.captions)].mean() > 0.95
    assert verdict[len(test.captions) :].mean() < 0.05


def test_no_model_gets_one_line(tmp_path):
    done = run_script("Evaluate_test.py", "--model", tmp_path, status=2)
    assert "train a model with: python Main_train.py" in done.stderr
    assert done.stderr.count("\n") == 1


def test_logs_become_pictures(trained):
    run_script("Analyze_logs.py", "--model", trained / "Models" / "small")
    for name in ("metrics", "threshold"):
        assert is_picture(trained / "Plots" / "small" / f"{name}_over_training.png")


def test_an_empty_log_is_told(trained, tmp_path):
    folder = tmp_path / "Models" / "small"
    folder.mkdir(parents=True)
    config = json.loads((trained / "Models" / "small" / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"plots": str(tmp_path)}))
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "training_log.csv").write_text(",".join(Functions.LOG_COLUMNS) + "\n")
    assert "no finished epoch yet" in run_script("Analyze_logs.py", "--model", folder, status=2).stderr
    (tmp_path / "small" / "training_log.csv").unlink()
    assert "no training log at" in run_script("Analyze_logs.py", "--model", folder, status=2).stderr
