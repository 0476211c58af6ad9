"""SNLI-VE: three classes, a row for each pair of them, and blind judges of each pair."""

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from claims import lines, write
from raw_files import hypothesis_line

import Evaluate_test
from common.metrics import Bootstrap
from DataBase_functions import Database
from evaluation.benchmarks import Claim, read_benchmark
from evaluation.benchmarks.figures import class_labels
from evaluation.benchmarks.pictures import find_pictures
from evaluation.benchmarks.snli_ve import CLASSES, SNLI_VE
from evaluation.external import benchmark_rows
from training import checkpoints

ROWS = ["entailed / contradicted", "entailed / neutral", "neutral / contradicted"]
LABELS = {"entailed": 1.0, "neutral": 0.5, "contradicted": 0.0}


def test_the_reader(tmp_path):
    rows = [
        hypothesis_line("entailment", " A dog moves ."),
        hypothesis_line("-", "A dog is old."),
        hypothesis_line("neutral", "A dog hunts .", "8"),
        hypothesis_line("maybe", "A dog."),
        hypothesis_line("contradiction", "A dog sleeps ."),
        {"gold_label": "neutral", "sentence2": "A dog."},
    ]
    file = write(tmp_path, {"dev.jsonl": lines(*map(json.dumps, rows), b"{")}) / "dev.jsonl"
    found = read_benchmark(f"snli-ve={file}")
    assert found.benchmark is SNLI_VE
    assert found.claims == [
        Claim("7.jpg", "A dog moves .", 1.0, "", 0),
        Claim("8.jpg", "A dog hunts .", 0.5, "", 1),
        Claim("7.jpg", "A dog sleeps .", 0.0, "", 2),
    ]
    assert [(entry.what, entry.where, entry.captions) for entry in found.left_out] == [
        *(("line", f"dev.jsonl:{n}", 1) for n in (4, 6, 7)),
        ("collection", "dev.jsonl:-", 1),
    ]
    assert "unknown gold_label 'maybe'" in found.left_out[0].reason


@pytest.mark.parametrize("content", ["", "[]\n", '{"image": "a.jpg", "caption": "A dog."}\n'])
def test_another_file_is_refused(tmp_path, content):
    write(tmp_path, {"other.jsonl": content})
    with pytest.raises(ValueError, match=r"snli-ve expects a JSONL file with Flickr30K_ID, gold_label and sentence2"):
        read_benchmark(f"snli-ve={tmp_path / 'other.jsonl'}")


def test_labels_of_classes():
    assert class_labels(CLASSES) == LABELS


def claims_of(*kinds):
    return [Claim(f"{i}.jpg", f"text {i}", LABELS[kind], "", i) for i, kind in enumerate(kinds)]


def test_the_rows_by_hand():
    claims = claims_of("entailed", "entailed", "neutral", "neutral", "contradicted", "contradicted")
    scores = np.array([0.9, 0.3, 0.6, 0.4, 0.35, 0.1])
    rows = benchmark_rows(SNLI_VE, claims, scores, np.arange(6), 0.5, Bootstrap(6, 50))
    assert [(row.section, row.name, row.n, row.photographs) for row in rows] == [
        ("snli-ve", name, 4, 4) for name in ROWS
    ]
    figures = [{name: found.value for name, found in row.figures.items()} for row in rows]
    # 0.9 is above both false texts, 0.3 above one
    assert [each["roc_auc"] for each in figures] == [3 / 4, 2 / 4, 4 / 4]
    assert [each["recall"] for each in figures] == [0.5, 0.5, 0.5]
    assert [each["specificity"] for each in figures] == [1.0, 0.5, 1.0]
    assert [each["balanced_accuracy"] for each in figures] == [0.75, 0.5, 0.75]
    assert all("blind_roc_auc" not in each for each in figures), "too few to learn from"


def test_a_pair_without_texts_has_no_row():
    claims = claims_of("entailed", "entailed")
    rows = benchmark_rows(SNLI_VE, claims, np.zeros(2), np.arange(2), 0.5, Bootstrap(2, 20))
    assert [row.name for row in rows] == ROWS[:2]
    assert np.isnan(rows[0].samples["roc_auc"][0])


def test_blind_judges_learn_each_pair_of_classes():
    """The wording gives contradicted texts away, and tells nothing of the others."""
    rng = np.random.default_rng(0)
    words = np.array(["dog", "cat", "man", "bus", "sea", "car", "hat", "boy"])
    claims = []
    for i in range(240):
        kind = CLASSES[i % 3]
        text = f"a {' '.join(rng.choice(words, 3))}{' sleeps' if kind == 'contradicted' else ''}"
        claims.append(Claim(f"{i // 3}.jpg", text, LABELS[kind], "", i))
    rows = benchmark_rows(SNLI_VE, claims, rng.random(240), np.arange(240) // 3, 0.5, Bootstrap(80, 50))
    areas = {row.name: row.figures["blind_roc_auc"] for row in rows}
    assert areas["entailed / contradicted"].value > 0.99 < areas["neutral / contradicted"].value
    assert areas["entailed / neutral"].low < 0.6 and areas["entailed / neutral"].value < 0.75
    assert all(row.blind.keys() == {"tfidf", "lstm"} for row in rows)
    assert not rows[0].beats_blind


@pytest.fixture
def drawn(trained, tmp_path):
    """The flags for three claims about each of two drawn pictures, which are named as in Flickr8k."""
    folder = shutil.copytree(trained / "Models" / "small", tmp_path / "Models" / "small")
    database = Database(checkpoints.load_model(folder, torch.device("cpu")).config.data.folder)
    records = []
    for n, row in enumerate(database.rows("test")[:2], 1000):
        database.picture(row).save(tmp_path / f"{n}00000_0123456789.jpg")
        caption = database.captions(row)[0].text
        labels = {"entailment": caption, "neutral": f"Perhaps {caption}", "contradiction": f"Not {caption}"}
        records += [hypothesis_line(label, text, f"{n}00000") for label, text in labels.items()]
    write(tmp_path, {"dev.jsonl": lines(*map(json.dumps, records))})
    flags = ["--blind-captions", "100", "--resamples", "20", "--benchmark", f"snli-ve={tmp_path / 'dev.jsonl'}"]
    return folder, ["--model", str(folder), *flags]


def test_snli_ve_is_evaluated_end_to_end(drawn, undrawn, capsys):
    folder, flags = drawn
    Evaluate_test.main(flags)
    (found,) = json.loads((folder / "results.json").read_text())["benchmarks"]
    assert (found["benchmark"], found["photographs"], found["claims"], found["trained_on"]) == ("snli-ve", 2, 6, [])
    assert [(row["name"], row["n"]) for row in found["rows"]] == [(name, 4) for name in ROWS]
    shown = capsys.readouterr().out.split("\nsnli-ve: 2 pictures, 6 claims\n")[1]
    heads = next(line for line in shown.splitlines() if "ROC-AUC" in line)
    assert heads.split() == ["n", "balanced", "accuracy", "recall", "specif.", "ROC-AUC"]
    lines = shown.partition("written: ")[0].splitlines()  # after it comes a path, which can be long
    assert [line for line in lines if len(line) > 80] == []


@pytest.mark.system
@pytest.mark.skipif("TIC_PHOTOS" not in os.environ, reason="TIC_PHOTOS names no folder with snli_ve/ and flickr8k/")
def test_the_real_texts_find_their_photographs():
    root = Path(os.environ["TIC_PHOTOS"])
    contents = read_benchmark(f"snli-ve={root / 'snli_ve' / 'snli_ve_dev.jsonl'}")
    assert Counter(claim.label for claim in contents.claims) == {1.0: 177, 0.0: 174, 0.5: 188}
    assert contents.left_out == [] and len(find_pictures(contents, root / "flickr8k")) == 163
