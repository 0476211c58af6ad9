"""What the tests make once and keep: for the parallel processes of a run, and for the next run with the same code."""

import functools
import getpass
import hashlib
import importlib.metadata
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import filelock
from scripts import ROOT

MADE_BY = ("*.py", "*.toml", "*.txt")  # code, lists of words, and versions of libraries
DAY = 86_400


def store() -> Path:
    """Where it is kept: TIC_TEST_CACHE, or a folder of this user among the temporary ones."""
    return Path(os.environ.get("TIC_TEST_CACHE") or Path(tempfile.gettempdir()) / f"tic-tests-{getpass.getuser()}")


@functools.cache  # the files may change while the tests run
def key() -> str:
    """A hash of everything that what is kept depends on."""
    folders = sorted(path for path in ROOT.iterdir() if path.is_dir() and any(path.glob("*.py")))
    files = [path for folder in (ROOT, *folders) for pattern in MADE_BY for path in folder.glob(pattern)]
    files += [path for folder in folders if folder.name != "tests" for path in folder.glob("*/*.*")]
    files = [path for path in files if path.parent.name != "tests" or path.stem in ("conftest", "scripts", "shared")]
    digest = hashlib.sha256(sys.version.encode())
    for library in ("torch", "spacy", "numpy", "pillow", "pyarrow", "datasets"):
        digest.update(importlib.metadata.version(library).encode())
    for path in sorted(path for path in files if path.suffix in (".py", ".toml", ".txt")):
        digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def kept(name: str, make: Callable[[Path], object]) -> Path:
    """The folder `name`, which `make` has filled in this run or in an earlier one.

    Copy it before anything is written into it. What was made only in part is never used, and what no run has used for
    a day is removed.
    """
    folder = store() / key() / name
    whole = folder.with_name(f"{name}.whole")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder.with_name(f"{name}.lock")):
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
        whole.touch()
    for other in store().iterdir():
        if other != folder.parent and time.time() - other.stat().st_mtime > DAY:
            shutil.rmtree(other, ignore_errors=True)
    os.utime(folder.parent)
    return folder
