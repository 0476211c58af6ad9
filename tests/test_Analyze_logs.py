"""Analyze_logs.py: plots of one log and of several logs, --watch, and every error."""

import contextlib
import functools
import json
import math
import os
import shutil
import signal
import threading
from pathlib import Path
from typing import IO

import pytest
from conftest import ROOT, run_process, run_script
from forks import Forked
from logs import make_model, row, write_log
from PIL import Image

import Analyze_logs
from evaluation.logs import load, read
from training.log import LOG_COLUMNS, append_log


def drawn(folder: Path, *names: str) -> None:
    """The folder has exactly these pictures: PNG of 9 inches at 200 dpi, and not only white."""
    assert {path.name for path in folder.iterdir() if path.suffix == ".png"} == set(names)
    assert not list(folder.glob(".*")), "a temporary file was left"
    for name in names:
        with Image.open(folder / name) as image:
            assert image.format == "PNG"
            assert image.width == 1800
            assert 800 <= image.height <= 2000
            assert len(image.convert("RGB").getcolors(1 << 20)) > 50


def refused(*args: object) -> str:
    """The one line of the error."""
    done = run_script("Analyze_logs.py", "--model", *args, status=2)
    assert done.stderr.startswith("Analyze_logs.py: error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_logs_become_pictures(trained, tmp_path):
    run_process("Analyze_logs.py", "--model", trained / "Models" / "small")
    of_evaluations = shutil.ignore_patterns("[A-Z]*")
    shutil.copytree(trained / "Plots" / "small", tmp_path / "small", ignore=of_evaluations)
    drawn(tmp_path / "small", "metrics_over_training.png", "threshold_over_training.png")


def test_an_empty_log_is_refused(tmp_path):
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


def test_a_log_twice_is_refused(tmp_path):
    log = write_log(tmp_path / "one", [row(1)])
    assert "twice" in refused(log, log.parent)


def test_a_cut_off_last_line_is_left_out_with_a_note(tmp_path):
    log = write_log(tmp_path / "cut", [row(1), row(2), row(3)])
    log.write_bytes(log.read_bytes()[:-30])
    done = run_script("Analyze_logs.py", "--model", log)
    assert done.stderr == f"Analyze_logs.py: note: the last line of {log} is cut off, so it is left out\n"
    assert read(log)[0]["epoch"] == [1, 2]


def test_every_error_has_its_line(tmp_path):
    nothing = refused(tmp_path / "absent")
    assert f"no config.json and no training_log.csv in {tmp_path / 'absent'}" in nothing
    assert "train a model with: python Main_train.py" in nothing
    assert f"no training log at {tmp_path / 'x.csv'}" in refused(tmp_path / "x.csv")

    foreign = tmp_path / "foreign.csv"
    foreign.write_text("epoch,train_loss,accuracy\n1,2,3\n")
    absent = ", ".join(LOG_COLUMNS[2:])
    assert f"foreign.csv is not a training log: it has no column {absent}" in refused(foreign)

    log = write_log(tmp_path / "damaged", [row(1), row(2), row(3), row(4)])
    log.write_text(log.read_text().replace("\n2,", "\ntwo,"))
    assert f"line 3 of {log} is damaged" in refused(log)
    log = write_log(tmp_path / "unnumbered", [row(1), row(2) | {"epoch": math.nan}])
    assert "an epoch number is NaN or infinite" in refused(log)

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
    """Only the settings of the log and of the end are read."""
    folder = make_model(tmp_path, "old", [row(1)])
    config = json.loads((folder / "config.json").read_text())
    del config["loss"]
    (folder / "config.json").write_text(json.dumps(config | {"of_long_ago": 1}))
    run_script("Analyze_logs.py", "--model", folder)


@pytest.fixture
def started():
    """Starts a watch whose lines a test can read; it is killed after two minutes, so that a test ends."""
    with contextlib.ExitStack() as stack:

        def start(*args: object) -> tuple[Forked, IO[str], IO[str]]:
            read, write = zip(os.pipe(), os.pipe())
            process = Forked([ROOT / "Analyze_logs.py", "--watch", "--every", "0.2", *args], *write)
            kill = functools.partial(process.send_signal, signal.SIGKILL)
            timer = threading.Timer(600, kill)
            timer.start()
            stack.callback(kill)
            stack.callback(timer.cancel)
            for descriptor in write:
                os.close(descriptor)
            out, err = (stack.enter_context(os.fdopen(descriptor, encoding="utf-8")) for descriptor in read)
            return process, out, err

        yield start


def test_a_watch_waits_follows_and_ends_with_the_run(tmp_path, started):
    """The watch starts before there is a model, as during a training that still builds its database."""
    folder, log = tmp_path / "Models" / "run", tmp_path / "Plots" / "run" / "training_log.csv"
    process, out, err = started("--model", folder)
    line = out.readline
    assert line().startswith(f"waiting: no config.json and no training_log.csv in {folder}")
    make_model(tmp_path, "run", None, epochs=3)
    assert line().startswith(f"waiting: no training log at {log}")
    log.parent.mkdir(parents=True)
    append_log(log, row(1))
    both = ("metrics_over_training.png", "threshold_over_training.png")
    assert [line(), line()] == [f"written after each epoch: {log.parent / name}\n" for name in both]
    left = "  about 4 min of training left\n"
    assert line() == "epoch  1 of 3* loss 3.000 (validation 3.200)  quick check: 70.0 %  201 captions/s" + left
    before = (log.parent / both[0]).read_bytes()
    append_log(log, row(2, 0.65))
    left = "  about 2 min of training left\n"
    assert line() == "epoch  2 of 3  loss 1.500 (validation 1.700)  quick check: 65.0 %  202 captions/s" + left
    assert (log.parent / both[0]).read_bytes() != before, "it is drawn before its line is printed"
    append_log(log, row(3))
    assert line() == "epoch  3 of 3* loss 1.000 (validation 1.200)  quick check: 80.0 %  203 captions/s\n"
    assert (out.read(), err.read(), process.wait()) == ("run: finished: 3 epochs\n", "", 0)
    drawn(log.parent, *both)


def test_a_watch_of_two_runs_names_them(tmp_path):
    first = make_model(tmp_path, "first", [row(1)], epochs=1)
    second = make_model(tmp_path, "second", [row(1, 0.8), row(2, 0.7)], patience=1)
    shown = run_script("Analyze_logs.py", "--model", first, second, "--watch").stdout
    assert "\nfirst: epoch  1 of 1* loss" in shown
    assert "\nsecond: epoch  2 of 12  loss" in shown
    ends = ["first: finished: 1 epoch", "second: stopped early: no better epoch for 1 epoch"]
    assert shown.splitlines()[-2:] == ends


def test_a_run_that_starts_again_is_printed_again(tmp_path, capsys):
    def printed(rows: list[dict[str, float]], known: set[str]) -> tuple[set[str], list[str]]:
        (run,) = load([str(write_log(tmp_path / "run", rows))])
        known = set(Analyze_logs.new_epochs(run, known, named=False))
        return known, [line[:8] for line in capsys.readouterr().out.splitlines()]

    known, lines = printed([row(1), row(2)], set())
    assert lines == ["epoch  1", "epoch  2"]
    known, lines = printed([row(1), row(2), row(3)], known)
    assert lines == ["epoch  3"]
    known, lines = printed([row(1, 0.55)], known)
    assert lines == ["epoch  1"]


def test_ctrl_c_ends_a_watch_normally(tmp_path, started):
    """Without a config.json the end of a log is not known."""
    log = write_log(tmp_path / "run", [row(1)])
    process, out, err = started("--model", log)
    lines = [out.readline() for _ in range(4)]
    assert lines[2].startswith(f"the last epoch is not known without a config.json beside {log}")
    assert lines[3] == "epoch  1* loss 3.000 (validation 3.200)  quick check: 70.0 %  201 captions/s\n"
    process.send_signal(signal.SIGINT)
    assert (out.read(), err.read(), process.wait()) == ("stopped watching\n", "", 0)
