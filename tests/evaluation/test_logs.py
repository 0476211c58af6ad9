"""Training runs as their logs show them."""

import math
import subprocess
import sys

import pytest
from conftest import ROOT
from logs import make_model, row, write_log

from evaluation.logs import Source, labels, load, locate


def test_runs_of_one_name_get_their_folders_as_labels(tmp_path):
    places = ["a/x/frozen", "b/x/frozen", "b/y/frozen", "other"]
    sources = [locate(write_log(tmp_path / place, [row(1)])) for place in places]
    assert labels(sources) == ["a/x/frozen", "b/x/frozen", "y/frozen", "other"]
    named = [Source(tmp_path / name) for name in ("night/run7.csv", "day/run7.csv", "run8.csv")]
    assert labels(named) == ["night/run7", "day/run7", "run8"]


@pytest.mark.parametrize(
    ("balanced", "end"),
    [
        ([0.6, 0.7, 0.6], ""),
        ([0.6, 0.7, 0.6, 0.7], "stopped early: no better epoch for 2 epochs"),
        ([0.6, 0.7, 0.6, math.nan], "stopped early: no better epoch for 2 epochs"),
        ([0.6, 0.5, 0.7, 0.6], ""),
        ([0.6, 0.7, 0.8, 0.7, 0.9], "finished: 5 epochs"),
        ([0.6, 0.7, 0.8, 0.7, 0.7], "finished: 5 epochs"),
    ],
)
def test_a_run_ends_by_the_conditions_of_training(tmp_path, balanced, end):
    rows = [row(epoch) | {"balanced_accuracy": value} for epoch, value in enumerate(balanced, 1)]
    folder = make_model(tmp_path, "run", rows, epochs=5, patience=2)
    (run,) = load([str(folder)])
    assert run.end == end


@pytest.mark.parametrize(
    "content", ["[" * 100_000, "[]", "5", '{"plots": "p", "name": "n", "optim": {"epochs": 1e999}}']
)
def test_a_damaged_config_gets_one_line(content, tmp_path):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json is not the config\.json of a model: ") as error:
        locate(tmp_path)
    assert "\n" not in str(error.value)


def test_reading_logs_imports_neither_torch_nor_numpy():
    """--watch starts at once, and leaves the memory to the training."""
    code = "import sys, Analyze_logs; print(*sorted({'torch', 'numpy', 'matplotlib'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
