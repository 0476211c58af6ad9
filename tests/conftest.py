"""What several test files share: the scripts as a user runs them, and one tiny database of scenes."""

import json
import shutil
from pathlib import Path

import examples
import pytest
from scripts import ROOT, run_process, run_script
from shared import kept

from common.storage import CONFIG, POINTER
from DataBase_functions import Database
from evaluation import report
from sources.parser import find_pipeline, load_parser
from training import checkpoints

__all__ = ["ROOT", "examples", "run_process", "run_script"]

TRAIN_UNTIL = Path(__file__).with_name("train_until.py")

LONGEST = ("test_Main_train", "test_Benchmark", "test_Database_create")  # a minute or more

SMALL = [
    *("--data.name", "tiny", "--data.workers", "0", "--data.side", "64"),
    *("--data.batch-pictures", "8", "--backbone.channels", "8", "--model.width", "32"),
    *("--model.word-width", "16", "--optim.tag-epochs", "0", "--precision", "float32", "--device", "cpu"),
]


@pytest.fixture(scope="session")
def nlp():
    """The spaCy pipeline of the parser, loaded once."""
    return load_parser(find_pipeline()).nlp


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the database `tiny`: 48 drawn scenes in all three splits, and its plan of negatives."""
    return shutil.copytree(kept("databases", draw_tiny), tmp_path_factory.mktemp("databases"), dirs_exist_ok=True)


def draw_tiny(root: Path) -> None:
    run_script("Database_create.py", "--root", root, "--name", "tiny", "--scenes", 48, "--workers", 1)


@pytest.fixture(scope="session")
def trained(databases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Models/small and Plots/small after two epochs on `tiny`."""
    made_in, made_from = kept("trained", train_small), kept("databases", draw_tiny)
    root = shutil.copytree(made_in, tmp_path_factory.mktemp("trained"), dirs_exist_ok=True)
    folder = root / "Models" / "small"
    state = checkpoints.load_state(folder)
    path, config = folder / json.loads((folder / POINTER).read_text())["state"], state["config"]
    for old, new in ((made_in, root), (made_from, databases)):
        config = config.replace(json.dumps(str(old))[1:-1], json.dumps(str(new))[1:-1])
    (folder / CONFIG).write_text(config)
    checkpoints.save_torch(state | {"config": config}, path)
    return root


def train_small(root: Path) -> None:
    flags = training_flags(root, kept("databases", draw_tiny), "small")
    run_script("Main_train.py", "scenes", *flags, "--optim.epochs", 2)


@pytest.fixture
def undrawn(monkeypatch):
    """Evaluations without plots, which would take five times as long; other tests look at the plots."""
    monkeypatch.setattr(report, "draw", lambda one, *_: [one.loaded.config.plots_folder / "none.png"])


@pytest.fixture(scope="module")
def tiny(databases: Path) -> Database:
    """The database `tiny`, opened."""
    return Database(databases / "tiny")


def training_flags(root: Path, databases: Path, name: str) -> list[str]:
    folders = ["--models", root / "Models", "--plots", root / "Plots", "--data.root", databases]
    return [*map(str, folders), "--name", name, *SMALL]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that neither process waits for the other at the end."""
    slow = {item.path for item in items if item.get_closest_marker("system")}
    items.sort(key=lambda item: (item.path.stem not in LONGEST, item.path not in slow))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two processes for several files. One file runs in this process: another would have nothing to do."""
    files = {Path(arg.partition("::")[0]) for arg in config.args}
    return 0 if len(files) == 1 and all(file.is_file() for file in files) else 2
