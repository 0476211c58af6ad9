"""Evaluate_test: a whole evaluation, honest about where its threshold comes from, blind figures beside it; logs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import run_script
from PIL import Image

import Evaluate_test
import Functions
from DataBase_functions import Database
from Evaluation_lib import FalseTexts, Texts, collect_texts
from Negative_map import Negative


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


def test_an_evaluation_reports_every_kind_with_what_the_blind_reach_on_it(evaluated):
    root, results, shown = evaluated
    kinds = {row["negatives"]: row for row in results["test"]}
    assert len(kinds) == len(results["test"])
    assert {"mixture", "swap", "swap: colour", "mined", "in-batch"} <= kinds.keys()
    assert sum(row["n"] for name, row in kinds.items() if name.startswith("swap:")) == kinds["swap"]["n"]
    for row in kinds.values():
        assert row["balanced_accuracy"] == pytest.approx((row["recall"] + row["specificity"]) / 2)
        assert set(row["blind_balanced_accuracy"]) == {"tfidf", "lstm"}
        assert all(0 <= value <= 1 for value in row["blind_balanced_accuracy"].values())
    assert 0 <= results["retrieval"]["picture_to_text_recall@1"] <= results["retrieval"]["picture_to_text_recall@10"]
    for name, row in kinds.items():
        (line,) = (line for line in shown.splitlines() if line.startswith(f"{name} "))
        assert line.split()[-6] == f"{row['balanced_accuracy']:.4f}"
        told = [f"{row['blind_balanced_accuracy'][judge]:.4f}" for judge in ("tfidf", "lstm")]
        assert line.split()[-2:] == told
    assert is_picture(root / "Plots" / "small" / "Threshold_Analysis_small.png")


def test_the_report_holds_all_that_it_needs_to_be_read_later(evaluated):
    root, results, _ = evaluated
    assert set(results) == {
        *("model", "database", "fingerprint", "config", "threshold", "equilibrium_threshold", "test_photographs"),
        *("test_captions", "test", "retrieval", "retrieval_csls", "hardware", "seconds"),
    }
    row = {"negatives", "n", "balanced_accuracy", "recall", "specificity", "roc_auc", "blind_balanced_accuracy"}
    assert all(set(found) == row for found in results["test"])
    database = Database(Path(results["database"]))
    texts = collect_texts(database, database.rows("test"))
    assert results["fingerprint"] == database.fingerprint
    assert (results["test_photographs"], results["test_captions"]) == (len(database.rows("test")), len(texts.captions))
    counted = {row["negatives"]: row["n"] for row in results["test"] if ":" not in row["negatives"]}
    assert counted == {kind: len(false.of) for kind, false in texts.false.items() if len(false.of)}
    assert counted["in-batch"] == results["test_captions"]
    assert results["config"] == json.loads((root / "Models" / "small" / "config.json").read_text())


def test_rows_of_kinds_and_categories_by_hand():
    """Three captions, of which the last has no swap: its score counts in no row."""
    negatives = [Negative("a", "swap", "colour", ()), Negative("b", "swap", "number", ())]
    nothing = FalseTexts([], np.zeros(0, dtype=np.int64))
    texts = Texts(["x", "y", "z"], np.arange(3), {"swap": FalseTexts(negatives, np.array([0, 1])), "mined": nothing})
    none = torch.zeros(0)
    scores = Evaluate_test.Scores(
        np.array([0.9, 0.2, 0.1]), {"swap": np.array([0.6, 0.1]), "mined": np.zeros(0)}, none, none
    )
    blind = {"swap": {"tfidf": 0.5}, "swap: colour": {"tfidf": 0.25}}
    swap, colour, number = Evaluate_test.judge(texts, scores, 0.5, blind)
    # 0.9 is taken and 0.2 refused; of the false ones 0.6 is taken and 0.1 refused. 0.9 beats both, 0.2 beats 0.1.
    assert swap == {
        **{"negatives": "swap", "n": 2, "balanced_accuracy": 0.5, "recall": 0.5, "specificity": 0.5},
        **{"roc_auc": 0.75, "blind_balanced_accuracy": {"tfidf": 0.5}},
    }
    assert (colour["negatives"], colour["n"], colour["recall"], colour["specificity"]) == ("swap: colour", 1, 1, 0)
    assert colour["blind_balanced_accuracy"] == {"tfidf": 0.25}
    assert (number["negatives"], number["n"], number["recall"], number["specificity"]) == ("swap: number", 1, 0, 1)
    assert number["blind_balanced_accuracy"] == {}, "nothing was learned of it"


def test_the_threshold_is_that_of_validation_and_is_stored(evaluated):
    root, results, _ = evaluated
    folder = root / "Models" / "small"
    loaded = Functions.load_model(folder, torch.device("cpu"))
    database = Database(loaded.config.data.folder)
    texts = collect_texts(database, database.rows("validation"))
    scores = Evaluate_test.score_split(loaded, database, "validation", texts)
    mixture = texts.false["mixture"]
    assert {negative.kind for negative in mixture.texts} > {"swap"}
    expected = Functions.best_threshold(scores.caption[mixture.of], scores.false["mixture"])
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
    texts = collect_texts(database, database.rows("test"))
    scores = Evaluate_test.score_split(loaded, database, "test", texts)
    others = Evaluate_test.score_split(
        loaded, database, "validation", collect_texts(database, database.rows("validation"))
    )
    matrix, corrected = Evaluate_test.retrieval_scores(loaded, scores, others)
    assert matrix.shape == corrected.shape == (len(database.rows("test")), len(texts.captions))
    hub = loaded.model.all_scores(others.pictures, scores.captions[:1]).detach().numpy()
    mine = loaded.model.all_scores(scores.pictures[:1], others.captions).detach().numpy()
    less = (np.sort(hub[:, 0])[-10:].mean() + np.sort(mine[0])[-10:].mean()) / 2
    assert corrected[0, 0] == pytest.approx(matrix[0, 0] - less, abs=1e-6)

    @torch.no_grad()
    def score(photograph, text):
        picture = database.picture(database.rows("test")[photograph])
        patches = loaded.model.encode_pictures(Evaluate_test.prepare(picture, 64).unsqueeze(0))
        words = loaded.model.encode_texts(torch.tensor([loaded.tokenizer.encode(text)]))
        return pytest.approx(loaded.model.pair_scores(patches, words).item(), abs=1e-5)

    for i in (0, len(texts.captions) - 1):
        assert scores.caption[i] == score(texts.owner[i], texts.captions[i])
        assert matrix[0, i] == score(0, texts.captions[i])
    for kind, false in texts.false.items():
        assert len(scores.false[kind]) == len(false.texts)
        for k in (0, len(false.of) - 1):
            assert scores.false[kind][k] == score(texts.owner[false.of[k]], false.texts[k].text)


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
