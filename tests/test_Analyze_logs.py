"""Analyze_logs: what is drawn of one log and of several, a watch from before the first epoch, every error."""

import contextlib
import json
import math
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import ROOT, run_script
from PIL import Image

import Analyze_logs
from Config import Config, OptimConfig, to_json
from training.log import LOG_COLUMNS, append_log

HEADER = ",".join(LOG_COLUMNS)


def row(epoch: int, balanced: float = math.nan, **others: float) -> dict[str, float]:
    """One epoch; by default the balanced accuracy rises."""
    balanced = 0.5 + 0.4 * epoch / (epoch + 1) if math.isnan(balanced) else balanced
    losses = {"train_loss": 3 / epoch, "val_loss": 3 / epoch + 0.2, "learning_rate": 1e-3 / epoch, "waiting": 0.05}
    rates = {"balanced_accuracy": balanced, "recall": balanced + 0.1, "specificity": balanced - 0.1, "threshold": 0.4}
    return {"epoch": epoch, **losses, **rates, "seconds": 120, "pairs_per_second": 200 + epoch} | others


def write_log(folder: Path, rows: list[dict[str, float]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "training_log.csv"
    lines = [",".join(str(one[name]) for name in LOG_COLUMNS) for one in rows]
    path.write_text("\r\n".join([HEADER, *lines, ""]))
    return path


def make_model(
    root: Path, name: str, rows: list[dict[str, float]] | None, epochs: int = 12, patience: int = 10
) -> Path:
    """A model folder as training begins it, and its log, if there are rows."""
    config = Config(name=name, plots=str(root / "Plots"), optim=OptimConfig(epochs=epochs, patience=patience))
    folder = root / "Models" / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(to_json(config))
    if rows is not None:
        write_log(root / "Plots" / name, rows)
    return folder


def drawn(folder: Path, *names: str) -> None:
    """Exactly these pictures: PNG, sharp at 900 pixels, and not only white."""
    assert {path.name for path in folder.iterdir() if path.suffix == ".png"} == set(names)
    assert not list(folder.glob(".*")), "a part of a picture was left"
    for name in names:
        with Image.open(folder / name) as image:
            assert image.format == "PNG"
            assert image.width == 1350
            assert 600 <= image.height <= 1500
            assert len(image.convert("RGB").getcolors(1 << 20)) > 50


def refused(*args: object) -> str:
    """The one line that is told."""
    done = run_script("Analyze_logs.py", "--model", *args, status=2)
    assert done.stderr.startswith("Analyze_logs.py: error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def curves(panel) -> list[tuple[str, str, list[float]]]:
    """Colour, dash and values of what has data and is a line."""
    lines = [line for line in panel.get_lines() if len(line.get_xdata()) and line.get_marker() != "*"]
    return [(line.get_color(), line.get_linestyle(), list(line.get_ydata())) for line in lines]


def stars(panel) -> list[tuple[float, float]]:
    lines = [line for line in panel.get_lines() if len(line.get_xdata()) and line.get_marker() == "*"]
    return [(line.get_xdata()[0], line.get_ydata()[0]) for line in lines]


def test_logs_become_pictures(trained, tmp_path):
    run_script("Analyze_logs.py", "--model", trained / "Models" / "small")
    of_evaluations = shutil.ignore_patterns("[A-Z]*")
    shutil.copytree(trained / "Plots" / "small", tmp_path / "small", ignore=of_evaluations)
    drawn(tmp_path / "small", "metrics_over_training.png", "threshold_over_training.png")


def test_an_empty_log_is_told(tmp_path):
    folder = make_model(tmp_path, "small", [])
    assert "has no finished epoch yet; wait for the first one" in refused(folder)
    (tmp_path / "Plots" / "small" / "training_log.csv").write_text("")
    assert "training_log.csv is empty" in refused(folder)
    (tmp_path / "Plots" / "small" / "training_log.csv").unlink()
    assert "no training log at" in refused(folder)


def test_a_log_alone_is_drawn_beside_itself_or_where_asked(tmp_path):
    log = write_log(tmp_path / "copied", [row(epoch) for epoch in range(1, 31)])
    both = ("metrics_over_training.png", "threshold_over_training.png")
    run_script("Analyze_logs.py", "--model", log.parent)
    drawn(log.parent, *both)
    shown = run_script("Analyze_logs.py", "--model", log, "--out", tmp_path / "new" / "folder").stdout
    assert shown.splitlines() == [f"written: {tmp_path / 'new' / 'folder' / name}" for name in both]
    drawn(tmp_path / "new" / "folder", *both)


def test_two_runs_share_the_pictures(tmp_path):
    first = make_model(tmp_path, "first", [row(epoch) for epoch in range(1, 13)])
    second = write_log(tmp_path / "second", [row(epoch) for epoch in range(1, 7)])
    run_script("Analyze_logs.py", "--model", first, second)
    drawn(tmp_path / "Plots" / "first", "metrics_of_first_second.png", "threshold_of_first_second.png")
    assert not list((tmp_path / "second").glob("*.png"))


def test_what_is_drawn_of_one_run(tmp_path):
    log = write_log(tmp_path / "one", [row(1, 0.6), row(2, 0.75), row(3, 0.75), row(4, 0.7)])
    (run,) = Analyze_logs.load([str(log)])
    figure = Analyze_logs.metrics_figure([run])
    panels = {panel.get_title(): panel for panel in figure.axes}
    assert [values for *_, values in curves(panels["Loss"])] == [[3, 1.5, 1, 0.75], [3.2, 1.7, 1.2, 0.95]]
    rates = [values for *_, values in curves(panels["Captions against hard negatives"])]
    assert rates[0] == [0.6, 0.75, 0.75, 0.7]
    assert rates[1:] == [run.columns["recall"], run.columns["specificity"]]
    assert stars(panels["Captions against hard negatives"]) == [(2, 0.75)], "the first of two that are equal is kept"
    assert [values for *_, values in curves(panels["Waiting for data"])] == [[5.0] * 4], "in %"
    assert [values for *_, values in curves(panels["Speed"])] == [[201, 202, 203, 204]]
    assert curves(panels["Learning rate"])[0][2] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4]), "in thousandths"
    assert all(panel.get_xlabel() == "epoch" and panel.get_ylabel() for panel in figure.axes)
    assert figure.get_suptitle() == "one: 0.7500 in epoch 2 (balanced accuracy of the epoch that is kept)"
    (threshold,) = Analyze_logs.threshold_figure([run]).axes
    assert [values for *_, values in curves(threshold)] == [[0.4] * 4]
    assert stars(threshold) == [(2, 0.4)]


def test_what_is_drawn_of_several_runs(tmp_path):
    logs = [write_log(tmp_path / f"r{i}", [row(1, 0.6), row(2, 0.7 + 0.01 * i)]) for i in range(9)]
    runs = Analyze_logs.load([str(log) for log in logs])
    figure = Analyze_logs.metrics_figure(runs)
    loss, rates = figure.axes[:2]
    assert [dash for _, dash, _ in curves(loss)] == ["-", "--"] * 9, "training, validation"
    assert [colour for colour, _, _ in curves(loss)][:4] == ["C0", "C0", "C1", "C1"]
    assert [values for *_, values in curves(rates)] == [run.columns["balanced_accuracy"] for run in runs]
    assert stars(rates) == [(2, 0.7 + 0.01 * i) for i in range(9)]
    looks = [(colour, dash) for colour, dash, _ in curves(rates)]
    assert len(set(looks)) == 9
    assert [dash for _, dash in looks] == ["-"] * 7 + ["--"] * 2, "a second round of the colours has another dash"
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert told == [f"r{i}: {0.7 + 0.01 * i:.4f} in epoch 2" for i in range(9)]


def test_no_legend_covers_a_curve(tmp_path):
    logs = [write_log(tmp_path / f"a-long-name-of-a-run-{i}", [row(1), row(2)]) for i in range(9)]
    runs = Analyze_logs.load([str(log) for log in logs])
    for shown in (runs[:1], runs[:2], runs):
        for figure in (Analyze_logs.metrics_figure(shown), Analyze_logs.threshold_figure(shown)):
            figure.canvas.draw()
            legends = [panel.get_legend() for panel in figure.axes if panel.get_legend()] + figure.legends
            assert legends
            for legend in legends:
                box = legend.get_window_extent()
                assert not any(box.overlaps(panel.get_window_extent()) for panel in figure.axes)
                assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, "it is wider than the picture"
                assert figure.bbox.y0 <= box.y0


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path):
    places = ["a/x/frozen", "b/x/frozen", "b/y/frozen", "other"]
    sources = [Analyze_logs.locate(write_log(tmp_path / place, [row(1)])) for place in places]
    assert Analyze_logs.labels(sources) == ["a/x/frozen", "b/x/frozen", "y/frozen", "other"]
    named = [Analyze_logs.Source(tmp_path / name) for name in ("night/run7.csv", "day/run7.csv", "run8.csv")]
    assert Analyze_logs.labels(named) == ["night/run7", "day/run7", "run8"]
    assert Analyze_logs.joined(["a/x/frozen", "other"]) == "a-x-frozen_other"
    assert Analyze_logs.joined([f"a-run-of-the-night-{i}" for i in range(9)]) == "a-run-of-the-night-0_and_8_more"


def test_a_log_twice_is_refused(tmp_path):
    log = write_log(tmp_path / "one", [row(1)])
    assert "twice" in refused(log, log.parent)


def test_nan_is_a_gap_and_never_the_best(tmp_path):
    """Epoch 3 stands alone between two gaps: without a marker it would not be seen, in a long log either."""
    rows = [row(epoch, 0.6) for epoch in range(1, 31)]
    for epoch in (2, 4):
        rows[epoch - 1] |= {"balanced_accuracy": math.nan, "val_loss": math.inf, "seconds": math.nan}
    log = write_log(tmp_path / "gaps", rows)
    run_script("Analyze_logs.py", "--model", log)
    (run,) = Analyze_logs.load([str(log)])
    assert run.best == 0
    assert Analyze_logs.marked_epochs(run.columns["balanced_accuracy"], every=True) == [0, 2]
    assert Analyze_logs.marked_epochs(run.columns["val_loss"], every=True) == [0, 2], "infinite is a gap, too"
    blank = {name: math.nan for name in LOG_COLUMNS if name != "epoch"}
    log = write_log(tmp_path / "blank", [row(1) | blank, row(2) | blank])
    run_script("Analyze_logs.py", "--model", log)
    (run,) = Analyze_logs.load([str(log)])
    assert (run.best, Analyze_logs.headline(run)) == (None, "blank: no epoch is kept")


def test_a_cut_off_last_line_is_left_out_and_told(tmp_path):
    log = write_log(tmp_path / "cut", [row(1), row(2), row(3)])
    log.write_bytes(log.read_bytes()[:-30])
    done = run_script("Analyze_logs.py", "--model", log)
    assert done.stderr == f"Analyze_logs.py: note: the last line of {log} is cut off and left out\n"
    assert Analyze_logs.read(log)[0]["epoch"] == [1, 2]


def test_every_error_has_its_line(tmp_path):
    nothing = refused(tmp_path / "absent")
    assert f"no config.json and no training_log.csv in {tmp_path / 'absent'}" in nothing
    assert "train a model with: python Main_train.py" in nothing
    assert f"no training log at {tmp_path / 'x.csv'}" in refused(tmp_path / "x.csv")

    foreign = tmp_path / "foreign.csv"
    foreign.write_text("epoch,train_loss,accuracy\n1,2,3\n")
    absent = ", ".join(LOG_COLUMNS[2:])
    assert f"foreign.csv is no training log: it has no column {absent}" in refused(foreign)

    log = write_log(tmp_path / "damaged", [row(1), row(2), row(3), row(4)])
    log.write_text(log.read_text().replace("\n2,", "\ntwo,"))
    assert f"line 3 of {log} is damaged" in refused(log)
    log = write_log(tmp_path / "unnumbered", [row(1), row(2) | {"epoch": math.nan}])
    assert "an epoch that is no number" in refused(log)

    folder = make_model(tmp_path, "odd", None)
    (folder / "config.json").write_text(json.dumps({"name": "odd"}))
    assert "is not the config.json of a model: KeyError 'plots'" in refused(folder)
    (folder / "config.json").write_text('{"name": "odd"')
    assert "config.json is cut off or being written" in refused(folder)
    assert "--every 0.0: must be 0.1" in refused(folder, "--every", 0)
    assert "give 1 to 28 runs, not 29" in refused(*[tmp_path / f"{i}" for i in range(29)])
    (tmp_path / "file").write_text("")
    log = write_log(tmp_path / "good", [row(1)])
    assert str(tmp_path / "file") in refused(log, "--out", tmp_path / "file")


def test_a_run_of_another_version_is_drawn(tmp_path):
    """Of its settings only those of the log and the end are needed."""
    folder = make_model(tmp_path, "old", [row(1)])
    config = json.loads((folder / "config.json").read_text())
    del config["loss"]
    (folder / "config.json").write_text(json.dumps(config | {"of_long_ago": 1}))
    run_script("Analyze_logs.py", "--model", folder)


@pytest.mark.parametrize(
    ("balanced", "end"),
    [
        ([0.6, 0.7, 0.6], ""),
        ([0.6, 0.7, 0.6, 0.7], "no better validation score for 2 epochs: stopped early"),
        ([0.6, 0.7, 0.6, math.nan], "no better validation score for 2 epochs: stopped early"),
        ([0.6, 0.5, 0.7, 0.6], ""),
        ([0.6, 0.7, 0.8, 0.7, 0.9], "all 5 epochs are done"),
        ([0.6, 0.7, 0.8, 0.7, 0.7], "all 5 epochs are done"),
    ],
)
def test_the_end_is_that_of_training(tmp_path, balanced, end):
    rows = [row(epoch) | {"balanced_accuracy": value} for epoch, value in enumerate(balanced, 1)]
    folder = make_model(tmp_path, "run", rows, epochs=5, patience=2)
    (run,) = Analyze_logs.load([str(folder)])
    assert run.end == end


@pytest.fixture
def started():
    """Starts a watch whose lines can be awaited; after two minutes it is killed, so that they end."""
    with contextlib.ExitStack() as stack:

        def start(*args: object) -> subprocess.Popen[str]:
            command = [sys.executable, ROOT / "Analyze_logs.py", "--watch", "--every", "0.2", *map(str, args)]
            pipe = subprocess.PIPE
            process = stack.enter_context(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True))
            timer = threading.Timer(120, process.kill)
            timer.start()
            stack.callback(process.kill)
            stack.callback(timer.cancel)
            return process

        yield start


def test_a_watch_waits_follows_and_ends_with_the_run(tmp_path, started):
    """It begins before there is a model, as beside a training that still builds its database."""
    folder, log = tmp_path / "Models" / "run", tmp_path / "Plots" / "run" / "training_log.csv"
    process = started("--model", folder)
    line = process.stdout.readline
    assert line().startswith(f"waiting: no config.json and no training_log.csv in {folder}")
    make_model(tmp_path, "run", None, epochs=3)
    assert line().startswith(f"waiting: no training log at {log}")
    log.parent.mkdir(parents=True)
    append_log(log, row(1))
    both = ("metrics_over_training.png", "threshold_over_training.png")
    assert [line(), line()] == [f"written, and again after each epoch: {log.parent / name}\n" for name in both]
    left = "  about 4 min of training left\n"
    assert line() == "epoch   1 of 3* loss 3.000 / 3.200  balanced accuracy 0.7000  201 pairs/s" + left
    before = (log.parent / both[0]).read_bytes()
    append_log(log, row(2, 0.65))
    left = "  about 2 min of training left\n"
    assert line() == "epoch   2 of 3  loss 1.500 / 1.700  balanced accuracy 0.6500  202 pairs/s" + left
    assert (log.parent / both[0]).read_bytes() != before, "it is drawn before its line is printed"
    append_log(log, row(3))
    assert line() == "epoch   3 of 3* loss 1.000 / 1.200  balanced accuracy 0.8000  203 pairs/s\n"
    assert (process.stdout.read(), process.stderr.read(), process.wait()) == ("run: all 3 epochs are done\n", "", 0)
    drawn(log.parent, *both)


def test_a_watch_of_two_runs_names_them(tmp_path):
    first = make_model(tmp_path, "first", [row(1)], epochs=1)
    second = make_model(tmp_path, "second", [row(1, 0.8), row(2, 0.7)], patience=1)
    shown = run_script("Analyze_logs.py", "--model", first, second, "--watch").stdout
    assert "\nfirst: epoch   1 of 1* loss" in shown
    assert "\nsecond: epoch   2 of 12  loss" in shown
    ends = ["first: all 1 epochs are done", "second: no better validation score for 1 epochs: stopped early"]
    assert shown.splitlines()[-2:] == ends


def test_a_run_that_begins_anew_is_told_anew(tmp_path, capsys):
    def told(rows: list[dict[str, float]], known: set[str]) -> tuple[set[str], list[str]]:
        (run,) = Analyze_logs.load([str(write_log(tmp_path / "run", rows))])
        known = set(Analyze_logs.new_epochs(run, known, named=False))
        return known, [line[:9] for line in capsys.readouterr().out.splitlines()]

    known, lines = told([row(1), row(2)], set())
    assert lines == ["epoch   1", "epoch   2"]
    known, lines = told([row(1), row(2), row(3)], known)
    assert lines == ["epoch   3"]
    known, lines = told([row(1, 0.55)], known)
    assert lines == ["epoch   1"]


def test_ctrl_c_ends_a_watch_normally(tmp_path, started):
    """A log without config.json, of which no end is known."""
    log = write_log(tmp_path / "run", [row(1)])
    process = started("--model", log)
    lines = [process.stdout.readline() for _ in range(4)]
    assert lines[2].startswith(f"no config.json beside {log}, so its last epoch is not known")
    assert lines[3] == "epoch   1* loss 3.000 / 3.200  balanced accuracy 0.7000  201 pairs/s\n"
    process.send_signal(signal.SIGINT)
    assert (process.stdout.read(), process.stderr.read(), process.wait()) == ("no longer watched\n", "", 0)
