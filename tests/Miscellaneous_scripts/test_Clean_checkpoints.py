"""Clean_checkpoints: nothing is deleted without --remove, and never what a model or an unfinished run needs."""

import json
import os
import shutil
import time

import pytest
from conftest import run_process, run_script, training_flags

from Miscellaneous_scripts import Clean_checkpoints

SCRIPT = "Miscellaneous_scripts/Clean_checkpoints.py"
KEPT = {
    *("best.safetensors", "config.json", "vocabulary.json", "threshold.json", "photographs.txt", "results.json"),
    *("results_other.json", "last_words.pt", "notes.part.txt"),
}


def make_run(models, name, epoch, step=0, best=2, epochs=5, patience=3, failed=False):
    """A folder as training leaves it."""
    folder, checkpoint = models / name, f"last-{epoch:04d}-{step:06d}.pt"
    folder.mkdir(parents=True)
    for each in KEPT:
        (folder / each).write_text("kept")
    (folder / "config.json").write_text(json.dumps({"optim": {"epochs": epochs, "patience": patience}}))
    (folder / "threshold.json").write_text(json.dumps({"epoch": best}))
    pointer = {"format": 1, "epoch": epoch, "step": step, "state": checkpoint}
    (folder / "last.json").write_text(json.dumps(pointer))
    (folder / checkpoint).write_bytes(b"x" * 3_000_000)
    if failed:
        (folder / "failed.pt").write_bytes(b"x" * 1_000_000)
    return folder


def age(path, seconds):
    when = time.time() - seconds
    os.utime(path, (when, when))


def names(folder):
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def models(tmp_path):
    models = tmp_path / "Models"
    make_run(models, "whole", epoch=5, failed=True)
    make_run(models, "early", epoch=4, best=1)
    make_run(models, "half", epoch=4, best=2, failed=True)
    make_run(models, "within", epoch=4, step=7, best=1)
    (models / "file.pt").write_text("kept")
    return models


def test_by_default_all_is_listed_and_nothing_deleted(models):
    before = {path: path.stat().st_mtime for path in models.rglob("*")}
    age(models / "whole" / "failed.pt", 3 * 86400)
    before[models / "whole" / "failed.pt"] = (models / "whole" / "failed.pt").stat().st_mtime
    printed = run_script(SCRIPT, "--models", models).stdout
    assert {path: path.stat().st_mtime for path in models.rglob("*")} == before
    lines = printed.splitlines()
    assert len(lines) == 10 + 2  # a checkpoint and a pointer of four runs, two failed.pt, and the summary
    (line,) = [line for line in lines if f"{models / 'whole' / 'failed.pt'}: " in line]
    assert "1.00 MB" in line and "3 days" in line and line.endswith("the weights before a NaN or infinite loss")
    assert "--remove would delete 5 files, 7.00 MB" in lines[-2]
    assert lines[-1] == "kept: 5 files of unfinished runs, 7.00 MB; --remove --all deletes them too"


def test_remove_takes_those_of_finished_runs_only(models):
    printed = run_process(SCRIPT, "--models", models, "--remove").stdout
    assert names(models / "whole") == names(models / "early") == KEPT
    assert names(models / "half") == {*KEPT, "last.json", "last-0004-000000.pt", "failed.pt"}
    assert names(models / "within") == {*KEPT, "last.json", "last-0004-000007.pt"}
    assert (models / "file.pt").exists()
    assert "deleted: 5 files, 7.00 MB" in printed
    again = run_script(SCRIPT, "--models", models, "--remove").stdout
    assert "deleted: 0 files" in again


def test_all_takes_those_of_unfinished_runs_too(models):
    run_script(SCRIPT, "--models", models, "--remove", "--all")
    assert all(names(models / name) == KEPT for name in ("whole", "early", "half", "within"))
    assert f"nothing to clean in {models}" in run_script(SCRIPT, "--models", models).stdout


def test_leftovers_go_once_no_process_can_be_writing_them(models):
    folder = models / "half"
    old, young = folder / ".best.safetensors.part", folder / ".last.json.part"
    orphan, fresh = folder / "last-0003-000000.pt", folder / "last-0005-000000.pt"
    for path in (old, young, orphan, fresh):
        path.write_text("x")
    age(old, 3600)
    age(orphan, 3600)
    run_script(SCRIPT, "--models", models, "--remove")
    assert names(folder) - KEPT == {"last.json", "last-0004-000000.pt", "failed.pt", young.name, fresh.name}


@pytest.mark.parametrize("broken", ["config.json", "threshold.json", "last.json"])
@pytest.mark.parametrize("text", [None, "{", "[]", "{}", '{"optim": 3, "epoch": "x"}', "[" * 100_000])
def test_a_run_without_a_known_state_is_not_finished(broken, text, models):
    folder = models / "whole"
    (folder / broken).unlink() if text is None else (folder / broken).write_text(text)
    found = list(Clean_checkpoints.search(folder))
    assert found and not any(file.kind == "finished" for file in found)


def test_links_and_folders_are_left_alone(models, tmp_path):
    (tmp_path / "precious.pt").write_text("x")
    (models / "whole" / "last-9999-000000.pt").symlink_to(tmp_path / "precious.pt")
    (models / "whole" / "failed.part").mkdir()
    run_script(SCRIPT, "--models", models, "--remove", "--all")
    assert names(models / "whole") == {*KEPT, "last-9999-000000.pt", "failed.part"}
    assert (tmp_path / "precious.pt").exists()


@pytest.mark.parametrize(
    ("flags", "message"), [(["--models", "absent"], "there is no folder absent"), (["--all"], "--all needs --remove")]
)
def test_what_the_user_can_fix_is_reported_in_one_line(flags, message):
    error = run_script(SCRIPT, *flags, status=2).stderr
    assert error.startswith("Clean_checkpoints.py: error: ") and message in error and error.count("\n") == 1


def test_checkpoints_of_a_finished_training_go_and_its_model_stays(trained, databases, tmp_path):
    shutil.copytree(trained / "Models", tmp_path / "Models")
    run_script(SCRIPT, "--models", tmp_path / "Models", "--remove")
    left = names(tmp_path / "Models" / "small")
    model = {"best.safetensors", "config.json", "vocabulary.json", "threshold.json", "world.safetensors"}
    assert left == {*model, "photographs.txt"}
    flags = training_flags(tmp_path, databases, "small")
    assert "no checkpoint in" in run_script("Main_train.py", "scenes", *flags, "--resume", status=2).stderr
