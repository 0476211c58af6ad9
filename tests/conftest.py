"""What several test files share: the scripts as a user runs them, and one tiny database of scenes."""

import json
import subprocess
import time
from pathlib import Path

import pytest
from scripts import ROOT, run_process, run_script

from DataBase_functions import Database

__all__ = ["ROOT", "run_process", "run_script"]

SMALL = [
    *("--data.name", "tiny", "--data.workers", "0", "--data.side", "64"),
    *("--data.batch-pictures", "8", "--backbone.channels", "8", "--model.width", "32"),
    *("--model.word-width", "16", "--precision", "float32", "--device", "cpu"),
]


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the database `tiny`: 48 drawn scenes in all three splits."""
    root = tmp_path_factory.mktemp("databases")
    run_script("Database_create.py", "--root", root, "--name", "tiny", "--scenes", 48, "--workers", 1)
    return root


@pytest.fixture(scope="session")
def trained(databases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Models/small and Plots/small after two epochs on `tiny`."""
    root = tmp_path_factory.mktemp("trained")
    run_script("Main_train.py", "scenes", *training_flags(root, databases, "small"), "--optim.epochs", 2)
    return root


@pytest.fixture(scope="module")
def tiny(databases: Path) -> Database:
    """The database `tiny`, opened."""
    return Database(databases / "tiny")


def training_flags(root: Path, databases: Path, name: str) -> list[str]:
    folders = ["--models", root / "Models", "--plots", root / "Plots", "--data.root", databases]
    return [*map(str, folders), "--name", name, *SMALL]


def wait_for_epoch(folder: Path, process: subprocess.Popen, epoch: int, step: int = 0) -> None:
    """Until the run has saved this epoch and so many steps of the next; imports alone may take minutes."""
    pointer = folder / "last.json"
    for _ in range(2400):
        saved = json.loads(pointer.read_text()) if pointer.exists() else {"epoch": 0, "step": 0}
        if (saved["epoch"], saved["step"]) >= (epoch, step):
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    pytest.fail(f"{folder} has no epoch {epoch}; the process ended with {process.poll()}")
