"""training.folders: one training at a time, and what is refused before the first step with advice that works."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from scripts import ROOT, run_script

from common.storage import POINTER, WEIGHTS
from Config import Config
from training.folders import can_resume, check_negatives, locked, refuse_earlier_run, way_on
from training.log import LOG, LOG_COLUMNS, append_log, read_log


@pytest.fixture
def config(tmp_path):
    return Config(name="one", models=str(tmp_path / "Models"), plots=str(tmp_path / "Plots"))


def row(epoch):
    return dict.fromkeys(LOG_COLUMNS, 0.5) | {"epoch": float(epoch)}


# Two at once


@pytest.mark.parametrize("shared", ["models", "plots"])
def test_a_second_training_of_the_same_folder_is_refused(shared, config, tmp_path):
    other = replace(config, **{"plots" if shared == "models" else "models": str(tmp_path / "other")})
    with locked(config):
        with pytest.raises(ValueError, match=rf"another process writes to .*{shared.title()}.one; wait for it, or"):
            locked(other).__enter__()
        with locked(replace(config, name="two")):
            pass
    with locked(other):  # it was released
        pass
    with pytest.raises(KeyError), locked(config):
        raise KeyError
    assert not list(tmp_path.iterdir()), "nothing is left, not even the folders that were made for the locks"


def test_one_folder_for_the_model_and_its_log_is_locked_once(config):
    with locked(replace(config, plots=config.models)):
        pass


@pytest.mark.parametrize("flags", [[], ["--overwrite"], ["--resume"]])
def test_the_script_ends_in_one_line_and_2(flags, config):
    with locked(config):
        same = ["--name", config.name, "--models", config.models, "--plots", config.plots]
        done = run_script("Main_train.py", "scenes", *same, *flags, status=2)
    assert done.stderr.startswith("Main_train.py: error: another process writes to ")
    assert done.stderr.count("\n") == 1 and not config.model_folder.exists()


KILLED = """
import os, signal, sys
from Config import Config
from training.folders import locked
with locked(Config(name="one", models=sys.argv[1], plots=sys.argv[2])):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_training_keeps_no_lock(config):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-c", KILLED, config.models, config.plots]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL
    with locked(config):
        pass


# Before the first step


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "\x00\x01", "epoch\n" + "1" * 200_000 + "\n"])
def test_a_log_that_cannot_be_continued_is_refused_before_the_epoch(content, config):
    """And the advice of the message works."""
    log = config.plots_folder / LOG
    log.parent.mkdir(parents=True)
    log.write_text(content)
    with pytest.raises(ValueError, match="or move the file away, and --resume begins another one") as error:
        refuse_earlier_run(replace(config, resume=True))
    assert str(log) in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(ValueError, match="is not a training log"):
        append_log(log, row(1))
    log.rename(log.with_name("away.csv"))
    refuse_earlier_run(replace(config, resume=True))
    append_log(log, row(3))
    assert read_log(log) == [row(3)]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_log_that_a_spreadsheet_saved_is_continued(separator, config):
    log = config.plots_folder / LOG
    log.parent.mkdir(parents=True)
    append_log(log, row(1))
    text = log.read_text()
    if separator != ",":
        text = text.replace(",", separator).replace("0.5", "0,5")
    log.write_text("\ufeff" + text, encoding="utf-8")
    assert read_log(log) == [row(1)]
    refuse_earlier_run(replace(config, resume=True))
    append_log(log, row(2))
    assert read_log(log) == [row(1), row(2)] and not log.read_bytes().startswith(b"\xef\xbb\xbf")


def test_an_empty_log_is_no_obstacle(config):
    log = config.plots_folder / LOG
    log.parent.mkdir(parents=True)
    log.touch()
    refuse_earlier_run(replace(config, resume=True))
    append_log(log, row(1))
    assert read_log(log) == [row(1)]


def test_resume_is_only_advised_if_there_is_a_checkpoint(config):
    config.model_folder.mkdir(parents=True)
    (config.model_folder / WEIGHTS).touch()
    assert not can_resume(config) and way_on(config) == "there is no checkpoint yet, start again with --overwrite"
    with pytest.raises(ValueError, match="holds an earlier run; add --overwrite or --name OTHER"):
        refuse_earlier_run(config)
    (config.model_folder / POINTER).touch()
    assert can_resume(config) and way_on(config) == "go on with the same command and --resume"
    with pytest.raises(ValueError, match="holds an earlier run; add --resume, --overwrite or --name OTHER"):
        refuse_earlier_run(config)
    refuse_earlier_run(replace(config, overwrite=True))


def test_a_validation_split_without_hard_negatives_is_refused():
    texts = {1: [SimpleNamespace(negatives=[])], 2: [SimpleNamespace(negatives=[]), SimpleNamespace(negatives=["a"])]}
    dataset = SimpleNamespace(seed=0, database=SimpleNamespace(folder="D"), texts=lambda row, rng: texts[row])
    check_negatives(dataset, [1, 2])
    with pytest.raises(ValueError, match="no validation caption of D gets a hard negative"):
        check_negatives(dataset, [1])
