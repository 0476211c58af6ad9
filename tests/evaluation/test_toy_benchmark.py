"""A benchmark is one object in one table: a toy of four claims, from its file to results.json."""

import itertools
import json

import numpy as np
import pytest
import torch

import Evaluate_test
from DataBase_functions import Database
from evaluation.benchmarks import BENCHMARKS, Benchmark, Claim
from evaluation.benchmarks.figures import label_figures
from training import checkpoints


def read_toy(contents):
    """One claim a line: picture|label|text, with the label + or -."""
    for number, line in enumerate(contents.file().read_text().splitlines(), 1):
        with contents.record(f"{contents.path.name}:{number}", 1):
            picture, label, text = line.split("|")
            contents.add(Claim(picture, text, float(label == "+"), "", next(contents.units)))


def toy_figures(scored):
    """`label_figures`, and the mean score, which no other benchmark has."""
    figures = label_figures(scored)
    mean = scored.boot.mean(scored.scores, scored.photographs)
    return figures._replace(samples=figures.samples | {"mean_score": mean})


TOY = Benchmark("toy", "a text file of picture|label|text", read_toy, toy_figures)


@pytest.fixture
def toy(trained, tmp_path, monkeypatch):
    """The flags for four claims about two pictures of the test split, and a broken line."""
    folder = trained / "Models" / "small"
    chosen_in_training = (folder / "threshold.json").read_bytes()
    database = Database(checkpoints.load_model(folder, torch.device("cpu")).config.data.folder)
    lines = []
    for n, row in enumerate(database.rows("test")[:2]):
        database.picture(row).save(tmp_path / f"{n}.png")
        caption = database.captions(row)[0].text
        lines += [f"{n}.png|+|{caption}", f"{n}.png|-|Not that: {caption}"]
    (tmp_path / "toy.txt").write_text("\n".join([*lines, "broken"]))
    monkeypatch.setitem(BENCHMARKS, "toy", TOY)
    yield folder, ["--model", str(folder), "--blind-captions", "100", "--resamples", "20", "--benchmark"], tmp_path
    (folder / "threshold.json").write_bytes(chosen_in_training)


def test_a_toy_benchmark_is_evaluated_end_to_end(toy, undrawn, capsys):
    folder, flags, place = toy
    Evaluate_test.main([*flags, f"toy={place / 'toy.txt'}"])
    (found,) = json.loads((folder / "results.json").read_text())["benchmarks"]
    assert (found["benchmark"], found["photographs"], found["claims"]) == ("toy", 2, 4)
    assert [(each["where"], each["captions"]) for each in found["left_out"]] == [("toy.txt:5", 1)]
    (row,) = found["rows"]
    rates = row["recall"]["value"] + row["specificity"]["value"]
    assert (row["n"], row["balanced_accuracy"]["value"]) == (4, pytest.approx(rates / 2))
    assert np.isfinite(row["mean_score"]["low"]) and row["mean_score"]["low"] <= row["mean_score"]["high"]
    shown = capsys.readouterr().out
    assert "\ntoy: 2 pictures, 4 claims\n" in shown
    lines = shown.split("\ntoy: ")[1].splitlines()
    heads, line = next(two for two in itertools.pairwise(lines) if "mean score" in two[0])
    assert heads.split() == ["n", "mean", "score", "balanced", "accuracy"]
    assert line.split()[:3] == ["all", "4*", f"{100 * row['mean_score']['value']:.1f}"]


def test_what_a_toy_expects_ends_the_error_messages(toy, capsys):
    _, flags, place = toy
    with pytest.raises(SystemExit):
        Evaluate_test.main([*flags, f"toy={place / 'absent.txt'}"])
    assert "toy expects a text file of picture|label|text" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        Evaluate_test.main([*flags, "unknown=x"])
    listed = capsys.readouterr().err.split("known names: ")[1].strip().split(", ")
    assert listed == [*BENCHMARKS] and listed[-1] == "toy"
    shipped = ["sugarcrepe", "sugarcrepe++", "foil", "flickr8k-expert", "flickr8k-cf", "winoground", "pairs"]
    assert [name for name in listed if name in shipped] == shipped
