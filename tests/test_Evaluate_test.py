"""Evaluate_test.py: a whole evaluation, its threshold, its benchmarks and its errors."""

import contextlib
import csv
import io
import json
import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import run_script
from PIL import Image

import Evaluate_test
from common.augment import prepare
from common.metrics import Bootstrap, best_threshold
from common.scores import Scorer
from DataBase_functions import Database
from evaluation import scoring
from evaluation.rerank import WEIGHTS
from evaluation.retrieval import Gallery, retrieve
from evaluation.splits import score_split
from evaluation.texts import FalseTexts, collect_texts
from judging import suggest
from judging.judge import SHIPPED
from negatives.text import Negative
from training import checkpoints
from training.folders import lock


def evaluate(*args, status=0):
    """Run Evaluate_test.main in this process; its exit status must be `status`. Returns stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    found = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            Evaluate_test.main([*map(str, args)])
        except SystemExit as stop:
            found = stop.code
    assert found == status, f"{args} ended with {found}:\n{out.getvalue()}\n{err.getvalue()}"
    return SimpleNamespace(stdout=out.getvalue(), stderr=err.getvalue())


def joined(shown):
    """Paragraphs as one line each, however they were wrapped."""
    return " ".join(shown.split())


PLOTS = ("Threshold_Analysis", "Scores", "Curves", "Reliability", "Risk", "Categories", "Errors")
FIGURES = {"balanced_accuracy", "recall", "specificity", "roc_auc", "average_precision", "pairwise"}


def widest(shown):
    """The length of the longest line; paths of written files are whole, however long they are."""
    return max(len(line) for line in shown.splitlines() if not line.startswith("written: "))


def in_percent(found):
    return f"{100 * found['value']:.1f} [{100 * found['low']:.1f}, {100 * found['high']:.1f}]"


def is_picture(path, least=400):
    with Image.open(path) as image:
        image.load()
        return image.format == "PNG" and min(image.size) >= least and len(image.convert("RGB").getcolors(10**6)) > 20


@pytest.fixture(scope="module")
def evaluated(trained):
    folder = trained / "Models" / "small"
    chosen_in_training = (folder / "threshold.json").read_bytes()
    done = evaluate("--model", folder, "--blind-captions", 200, "--resamples", 100)
    yield trained, json.loads((folder / "results.json").read_text()), done.stdout
    (folder / "threshold.json").write_bytes(chosen_in_training)


def test_an_evaluation_reports_every_kind_with_intervals_and_a_blind_figure(evaluated):
    root, results, shown = evaluated
    rows = {(row["section"], row["name"]): row for row in results["test"]}
    assert len(rows) == len(results["test"])
    assert {("kind", kind) for kind in ("mixture", "swap", "mined", "in-batch")} <= rows.keys()
    swaps = [row["n"] for (section, _), row in rows.items() if section == "category"]
    assert sum(swaps) == rows["kind", "swap"]["n"]
    geometric = [row["n"] for (section, _), row in rows.items() if section == "geometric"]
    assert sum(geometric) == rows["kind", "geometric"]["n"] > 10 and len(geometric) > 4
    lengths = [row["n"] for (section, _), row in rows.items() if section == "length"]
    assert sum(lengths) == rows["kind", "mixture"]["n"]
    for row in rows.values():
        values = {name: row[name]["value"] for name in FIGURES}
        assert values["balanced_accuracy"] == pytest.approx((values["recall"] + values["specificity"]) / 2)
        for name in FIGURES:
            assert 0 <= row[name]["low"] <= row[name]["high"] <= 1
        assert set(row["blind_balanced_accuracy"]) == set(row["blind_pairwise"]) == {"tfidf", "lstm"}
    names = Counter(name for _, name in rows)
    for (_, name), row in rows.items():
        lines = [line for line in shown.splitlines() if line.startswith(f"  {name} ")]
        assert len(lines) == names[name], "a place is a category of swaps and of added phrases"
        wanted = [f"{row['n']:,}{'*' if row['n'] < 30 else ''}", *in_percent(row["balanced_accuracy"]).split()]
        wanted += [f"{100 * row[figure]['value']:.1f}" for figure in ("recall", "specificity", "roc_auc")]
        blind = max(found["value"] for found in row["blind_balanced_accuracy"].values())
        found = [line.removeprefix(f"  {name} ").removesuffix("=").split() for line in lines]
        assert [*wanted, f"{100 * blind:.1f}"] in found
    assert widest(shown) <= 80 and "\x1b" not in shown
    assert all(is_picture(root / "Plots" / "small" / f"{name}_small.png") for name in PLOTS)


def test_the_report_is_complete(evaluated):
    root, results, _ = evaluated
    assert set(results) == {
        *("model", "database", "fingerprint", "plan", "config", "threshold", "equilibrium_threshold"),
        *(
            "test_photographs",
            "test_captions",
            "resamples",
            "test",
            "calibration",
            "retrieval",
            "rerank_weight",
            "word_evidence",
            "corrections",
            "outside",
            "selective",
        ),
        *("benchmarks", "hardware", "seconds", "resamples_of_ranks", "trained_on"),
    }
    row = {*FIGURES, "section", "name", "n", "photographs", "blind_balanced_accuracy", "blind_pairwise"}
    assert all(set(found) == row for found in results["test"])
    database = Database(Path(results["database"]))
    texts = collect_texts(database, database.rows("test"))
    assert (results["fingerprint"], results["plan"]) == (database.fingerprint, database.plan.folder.name)
    assert (results["test_photographs"], results["test_captions"]) == (len(database.rows("test")), len(texts.captions))
    counted = {row["name"]: row["n"] for row in results["test"] if row["section"] == "kind"}
    assert counted == {kind: len(false.of) for kind, false in texts.false.items() if len(false.of)}
    assert results["config"] == json.loads((root / "Models" / "small" / "config.json").read_text())
    assert {"ece", "brier", "slope", "intercept"} == set(results["calibration"])
    assert list(results["retrieval"]) == ["all", "all_csls", "reranked", "reranked_csls"], "no gallery of 1,000"
    assert results["rerank_weight"] in WEIGHTS
    assert results["retrieval"]["all"]["text_to_picture_recall@5"].keys() == {"value", "low", "high"}
    assert 0 <= results["word_evidence"]["accuracy"]["value"] <= 1
    assert 0.05 < results["word_evidence"]["chance"] < 0.3
    assert set(results["word_evidence"]["categories"]) >= {"colour"}


def test_full_tables_and_vector_figures(trained, tmp_path):
    folder = shutil.copytree(trained / "Models" / "small", tmp_path / "vectors")
    shown = evaluate(
        *("--model", folder, "--blind-captions", 200, "--resamples", 20, "--full", "--figures", "svg")
    ).stdout
    assert widest(shown) <= 80
    for row in json.loads((folder / "results.json").read_text())["test"]:
        assert all(in_percent(row[name]) in shown for name in FIGURES)
        assert all(in_percent(found) in shown for found in row["blind_balanced_accuracy"].values())
    for name in PLOTS:
        plot = trained / "Plots" / "small" / f"{name}_vectors.svg"
        assert plot.read_text().lstrip().startswith("<?xml") and "<svg" in plot.read_text()
        assert not plot.with_suffix(".png").exists()


def test_the_threshold_is_chosen_on_validation_and_stored(evaluated):
    root, results, _ = evaluated
    folder = root / "Models" / "small"
    loaded = checkpoints.load_model(folder, torch.device("cpu"))
    database = Database(loaded.config.data.folder)
    texts = collect_texts(database, database.rows("validation"))
    scores = score_split(loaded, database, "validation", texts)
    mixture = texts.false["mixture"]
    assert {negative.kind for negative in mixture.texts} > {"swap"}
    expected = best_threshold(scores.caption[mixture.of], scores.false["mixture"])
    assert results["threshold"]["threshold"] == pytest.approx(expected)
    assert results["threshold"]["chosen_on"] == "validation"
    assert loaded.threshold.threshold == pytest.approx(expected)


def test_a_threshold_for_recall_is_stored_for_predict(trained, undrawn, tmp_path, monkeypatch):
    monkeypatch.setattr(Evaluate_test, "FEWEST", 4)
    small = trained / "Models" / "small"
    folder = shutil.copytree(small, tmp_path / "small")
    (folder / "world.safetensors").unlink()  # as in a model of an earlier version
    evaluate("--model", folder, "--threshold-for", "recall=0.95", "--blind-captions", 200, "--resamples", 50)
    made, trained_on = (checkpoints.load_model(one, torch.device("cpu")).model.world for one in (folder, small))
    assert made.trained_on == trained_on.trained_on and torch.equal(made.centres, trained_on.centres)
    stored = json.loads((folder / "threshold.json").read_text())
    assert stored["criterion"] == "recall=0.95"
    assert stored["recall"] >= 0.95
    database = Database(checkpoints.load_model(folder, torch.device("cpu")).config.data.folder)
    texts = Evaluate_test.collect_splits(database)["validation"]
    # Of swaps of validation captions. A category of few swaps is left out: its accuracy would be chance.
    counts = Counter(texts.false["swap"].categories)
    assert set(stored["accuracies"]) == {str(name) for name, n in counts.items() if n >= 4} != set()
    assert all(0 <= value <= 1 for value in stored["accuracies"].values())
    assert checkpoints.load_model(folder, torch.device("cpu")).threshold.threshold == stored["threshold"]


def test_another_database_does_not_change_the_stored_threshold_or_results(evaluated, undrawn, tmp_path):
    root = evaluated[0]
    folder = root / "Models" / "small"
    before = {name: (folder / name).read_bytes() for name in ("threshold.json", "results.json")}
    run_script("Database_create.py", "--root", tmp_path, "--name", "other", "--scenes", 40, "--seed", 5)
    flags = ("--model", folder, "--database", tmp_path / "other", "--blind-captions", 100, "--resamples", 50)
    evaluate(*flags)
    assert {name: (folder / name).read_bytes() for name in before} == before
    found = json.loads((folder / "results_other.json").read_text())
    assert found["threshold"] == json.loads(before["threshold.json"]), "used unchanged"
    changed = found | {"database": str(tmp_path / "elsewhere" / "other"), "fingerprint": "of another database"}
    (folder / "results_other.json").write_text(json.dumps(changed))
    done = evaluate(*flags, status=2)
    assert (
        f"results_other.json holds the results of another database, {tmp_path / 'elsewhere' / 'other'}" in done.stderr
    )
    assert json.loads((folder / "results_other.json").read_text()) == changed, "no result is lost"


@pytest.fixture
def in_splits(monkeypatch):
    """Open every database but the one called "tiny" with other splits: `rename` maps the stored names."""

    def use(rename):
        def split_of(database, folder, real=Database.__init__):
            real(database, folder)
            if database.folder.name != "tiny":
                database.split_of = [rename.get(split, split) for split in database.split_of]

        monkeypatch.setattr(Database, "__init__", split_of)

    return use


@pytest.fixture
def other(evaluated, tmp_path):
    """A model, and flags for its evaluation on a copy of its database."""
    root = evaluated[0]
    folder = shutil.copytree(root / "Models" / "small", tmp_path / "small", ignore=lambda *_: {"results.json"})
    home = checkpoints.load_model(folder, torch.device("cpu")).config.data.folder
    # Without the stored scores of blind judges: they are of the splits of the original.
    database = shutil.copytree(home, tmp_path / "only", ignore=shutil.ignore_patterns("blind_*"))
    return folder, (
        "--model",
        folder,
        "--database",
        database,
        "--allow-leak",
        "--blind-captions",
        100,
        "--resamples",
        50,
    )


def test_a_database_with_only_a_test_split_is_evaluated_at_the_stored_threshold(other, in_splits):
    """Plots too. What needs the validation split is left out: CSLS, and the threshold of equal rates."""
    folder, flags = other
    in_splits({"train": "test", "validation": "test"})
    before = (folder / "threshold.json").read_bytes()
    shown = evaluate(*flags)
    assert "as stored, chosen for balanced-accuracy" in joined(shown.stdout) and "CSLS" not in shown.stdout
    found = json.loads((folder / "results_only.json").read_text())
    assert found["equilibrium_threshold"] is None and found["test_photographs"] == 48
    assert list(found["retrieval"]) == ["all"] and found["rerank_weight"] is None
    assert (folder / "threshold.json").read_bytes() == before
    refused = evaluate(*flags, "--threshold-for", "f1", status=2).stderr
    assert "the validation split of" in refused and refused.count("\n") == 1


def test_a_model_that_is_trained_at_the_moment_is_not_evaluated(trained):
    """The threshold of one epoch would be stored beside the weights of another one."""
    folder = trained / "Models" / "small"
    with lock(folder, "wait"):
        refused = evaluate("--model", folder, status=2).stderr
    assert f"another process writes to {folder.resolve()}; wait for it, or evaluate a copy of it" in refused


def test_a_split_without_hard_negatives_is_refused_before_anything_is_scored(other, monkeypatch):
    _, flags = other
    monkeypatch.setattr("Negative_map.Plan.draw", lambda *_: None)
    monkeypatch.setattr(Evaluate_test, "score_split", None)
    refused = evaluate(*flags, status=2).stderr
    assert "no caption of the test split of" in refused and refused.count("\n") == 1


def test_a_database_whose_test_split_was_trained_on_is_refused(trained, tmp_path):
    folder = shutil.copytree(trained / "Models" / "small", tmp_path / "small", ignore=lambda *_: {"results.json"})
    database = Database(checkpoints.load_model(folder, torch.device("cpu")).config.data.folder)
    trained_on = (folder / "photographs.txt").read_text().split()
    assert sorted(trained_on) == sorted(database.groups[row] for row in database.rows("train"))
    first = database.rows("test")[0]
    (folder / "photographs.txt").write_text("\n".join([*trained_on, database.groups[first]]))
    done = evaluate("--model", folder, status=2)
    assert "was trained on 1 picture (" in done.stderr and database.ids[first] in done.stderr
    assert "--allow-leak" in done.stderr
    assert not (folder / "results.json").is_file()


def test_two_models_are_compared_on_the_same_photographs(evaluated, undrawn, tmp_path):
    root = evaluated[0]
    first = root / "Models" / "small"
    twin = shutil.copytree(first, tmp_path / "twin")
    shown = evaluate(*("--model", first, "--model", twin, "--blind-captions", 200, "--resamples", 50)).stdout
    assert "twin minus small" in shown
    stem = root / "Plots" / "small" / "Comparison_twin_minus_small"
    assert is_picture(stem.with_suffix(".png"))
    differences = json.loads(stem.with_suffix(".json").read_text())
    assert "recall@1" in differences and "kind of false text" in differences
    nothing = {"value": 0, "low": 0, "high": 0}
    assert all(found == nothing for section in differences.values() for found in section.values())


def test_scores_agree_with_the_model(evaluated):
    root = evaluated[0]
    loaded = checkpoints.load_model(root / "Models" / "small", torch.device("cpu"))
    database = Database(loaded.config.data.folder)
    texts = collect_texts(database, database.rows("test"))
    scores = score_split(loaded, database, "test", texts)

    @torch.no_grad()
    def score(photograph, text):
        picture = database.picture(database.rows("test")[photograph])
        patches = loaded.model.encode_pictures(prepare(picture, 64).unsqueeze(0))
        words = loaded.model.encode_texts(torch.tensor([loaded.tokenizer.encode(text)]))
        return pytest.approx(loaded.model.pair_scores(patches, words).item(), abs=1e-5)

    for i in (0, len(texts.captions) - 1):
        assert scores.caption[i] == score(texts.owner[i], texts.captions[i])
    for kind, false in texts.false.items():
        assert len(scores.false[kind]) == len(false.texts)
        for k in (0, len(false.of) - 1):
            assert scores.false[kind][k] == score(texts.owner[false.of[k]], false.texts[k].text)


def test_retrieval_agrees_with_the_whole_matrix(evaluated):
    root = evaluated[0]
    loaded = checkpoints.load_model(root / "Models" / "small", torch.device("cpu"))
    database = Database(loaded.config.data.folder)
    splits = {split: collect_texts(database, database.rows(split)) for split in ("validation", "test")}
    scores = {split: score_split(loaded, database, split, splits[split]) for split in splits}
    test, other = scores["test"], scores["validation"]
    groups = np.array([database.groups[row] for row in database.rows("test")])
    boot = Bootstrap(len(groups), 20)
    galleries = [
        Gallery(
            scores[split],
            splits[split].captions,
            splits[split].owner,
            np.array([database.groups[row] for row in database.rows(split)]),
        )
        for split in ("test", "validation")
    ]
    found, weight = retrieve(loaded, *galleries, boot)
    assert weight is None and set(found) == {"all", "all_csls"}

    def whole(pictures, blocks):
        return next(iter(scoring.score_blocks(loaded, pictures, blocks, "", Scorer.all_ranking)))[1]

    matrix, owner = whole(test.pictures, test.captions), splits["test"].owner
    hubs = np.sort(whole(other.pictures, test.captions), axis=0)[-10:].mean(0)
    of_pictures = np.sort(whole(test.pictures, other.captions), axis=1)[:, -10:].mean(1)
    for name, ranking in (("all", matrix), ("all_csls", matrix - (hubs + of_pictures[:, None]) / 2)):
        right = (groups[ranking.argmax(0)] == groups[owner]).mean()
        assert found[name]["text_to_picture_recall@1"][0] == pytest.approx(right, abs=0.02)
        right = (owner[ranking.argmax(1)] == np.arange(len(groups))).mean()
        assert found[name]["picture_to_text_recall@1"][0] == pytest.approx(right, abs=0.02)


@pytest.fixture
def pairs(evaluated, tmp_path):
    """A table of pairs: pictures of the test split under new names, a broken record and a missing picture."""
    root = evaluated[0]
    database = Database(checkpoints.load_model(root / "Models" / "small", torch.device("cpu")).config.data.folder)
    texts = collect_texts(database, database.rows("test"))
    swap, rows = texts.false["swap"], database.rows("test")
    (tmp_path / "pictures").mkdir()
    for n, row in enumerate(rows):
        database.picture(row).save(tmp_path / "pictures" / f"holiday {n}.png")
    (tmp_path / "pictures" / "broken.png").write_bytes(b"no picture")
    with (tmp_path / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(("image", "caption", "label"))
        for i, negative in zip(swap.of.tolist(), swap.texts):
            lines.writerow((f"holiday {texts.owner[i]}.png", texts.captions[i], "1"))
            lines.writerow((f"holiday {texts.owner[i]}.png", negative.text, "no"))
        lines.writerow(("absent.png", "A ball.", "1"))
        lines.writerow(("broken.png", "A ball.", "1"))
        lines.writerow(("holiday 0.png", "", "1"))
    return root / "Models" / "small", tmp_path, database


def test_a_table_of_pairs_has_the_figures_of_the_test_split(evaluated, undrawn, pairs):
    """A table of the swaps of the test split has the figures of the row of swaps."""
    folder, place, _ = pairs
    spec = f"pairs={place / 'pairs.csv'}"
    shown = evaluate(
        *("--model", folder, "--benchmark", spec, "--images", place / "pictures"),
        *("--blind-captions", 200, "--resamples", 50),
    ).stdout
    (found,) = json.loads((folder / "results.json").read_text())["benchmarks"]
    assert found["missing_pictures"] == ["absent.png"]
    assert list(found["unreadable_pictures"]) == ["broken.png"]
    assert found["claims_without_picture"] == 2 and len(found["left_out"]) == 1
    assert "missing or unreadable: 2 pictures (absent.png, broken.png); not counted: 2 claims" in joined(shown)
    assert "left out: 1 broken record (pairs.csv:" in joined(shown)
    (row,) = found["rows"]
    swap = next(row for row in evaluated[1]["test"] if row["name"] == "swap")
    for name in ("balanced_accuracy", "recall", "specificity", "roc_auc"):
        assert row[name]["value"] == pytest.approx(swap[name]["value"], abs=0.01)
    assert 0 <= found["calibration"]["ece"] <= 1


def test_a_benchmark_whose_photographs_were_trained_on_is_refused(undrawn, pairs):
    folder, place, database = pairs
    few = (place / "pairs.csv").read_text(encoding="utf-8").splitlines(keepends=True)[:41]
    (place / "pairs.csv").write_text("".join(few), encoding="utf-8")
    database.picture(database.rows("train")[0]).resize((120, 120)).save(place / "pictures" / "holiday 0.png")
    flags = ("--model", folder, "--benchmark", f"pairs={place / 'pairs.csv'}", "--images", place / "pictures")
    done = evaluate(*flags, "--blind-captions", 200, "--resamples", 50, status=2)
    assert "was trained on 1 picture (holiday 0.png" in done.stderr
    assert "threshold" not in done.stdout, "it is refused before minutes pass"
    evaluate(*flags, "--blind-captions", 200, "--resamples", 50, "--allow-leak")
    assert json.loads((folder / "results.json").read_text())["benchmarks"][0]["trained_on"] == ["holiday 0.png"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--benchmark", "nothing=here"), "winoground"),
        (("--benchmark", "pairs=absent.csv"), "absent.csv"),
        (("--threshold-for", "accuracy"), "recall=0.95"),
        (("--resamples", 1), "at least 10"),
        (("--figures", "gif"), "svg"),
    ],
)
def test_wrong_flags_get_one_line(trained, flags, words):
    done = evaluate("--model", trained / "Models" / "small", *flags, status=2)
    assert words in done.stderr and done.stderr.count("\n") == 1


def test_a_missing_model_names_the_shipped_one(tmp_path):
    done = evaluate("--model", tmp_path / "absent", status=2)
    assert done.stderr.endswith(f", or use the model that comes with the program: {SHIPPED}\n")
    assert f"there is no folder {tmp_path / 'absent'}; train a model" in done.stderr and done.stderr.count("\n") == 1


def test_ctrl_c_gets_one_line(trained, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Evaluate_test, "evaluate", interrupted)
    done = evaluate("--model", trained / "Models" / "small", status=130)
    assert done.stderr.endswith(": stopped\n") and "Traceback" not in done.stderr


def test_no_model_gets_one_line(tmp_path):
    done = run_script("Evaluate_test.py", "--model", tmp_path, status=2)
    assert "train a model with: python Main_train.py" in done.stderr
    assert done.stderr.count("\n") == 1


def test_corrections_are_counted(monkeypatch):
    """Five swaps. The caption is suggested first, third, fourth, first with a score below the swap, and not at all."""
    captions = [f"a red ball {n}" for n in range(5)]
    texts = [f"a blue ball {n}" for n in range(5)]
    right, wrong = 0, 1
    ranks = {0: [right, wrong, wrong, wrong], 1: [wrong, wrong, right], 2: [wrong] * 3 + [right], 3: [right, wrong]}

    def rank(judge, vectors, text, parse, places):
        n = int(text.split()[-1])
        assert parse == f"parse of {text}" and vectors.item() == n // 3
        found = [captions[n].upper() if kind == right else f"a green ball {n}" for kind in ranks.get(n, [wrong] * 2)]
        after = [0.1 if n == 3 else 0.9 - i / 10 for i in range(len(found))]
        return suggest.Ranked([SimpleNamespace(negative=SimpleNamespace(text=text)) for text in found], 0.2, after)

    monkeypatch.setattr(suggest, "rank", rank)
    monkeypatch.setattr(suggest, "parse_texts", lambda texts: [f"parse of {text}" for text in texts])
    swaps = FalseTexts([Negative(text, "swap", "colour", ()) for text in texts], np.arange(5))
    test = SimpleNamespace(false={"swap": swaps}, captions=captions, owner=np.array([0, 0, 0, 1, 1]))
    one = SimpleNamespace(
        texts={"test": test},
        scores={"test": SimpleNamespace(pictures=torch.tensor([0.0, 1.0]))},
        loaded=SimpleNamespace(threshold=SimpleNamespace(threshold=0.5), model=SimpleNamespace(trained_on="")),
        boot=Bootstrap(2, 20),
    )
    found = Evaluate_test.correct_swaps(one, 100)
    assert (found["n"], found["first_1"].value, found["first_3"].value) == (5, 1 / 5, 2 / 5)
    assert found["first_1_by_chance"] == pytest.approx((1 / 4 + 1 / 3 + 1 / 4 + 1 / 2) / 5)
    assert found["first_3_by_chance"] == pytest.approx((3 / 4 + 1 + 3 / 4 + 1) / 5)
    assert Evaluate_test.correct_swaps(one, 0) == {}
    assert Evaluate_test.correct_swaps(one, 1)["n"] == 1
