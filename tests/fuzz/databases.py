"""Finished databases with a damaged file: state, manifest, counts of words, shards, plan."""

import json
import shutil
from pathlib import Path
from random import Random
from unittest import mock

from .mutations import mutate_bytes, mutate_json
from .running import Case, Kind

NAME = "tiny"


def prepare(folder: Path) -> None:
    """A database of 24 scenes with its plan, and what its programs import."""
    import torch
    from scripts import run_script

    import Main_train  # noqa: F401
    import Miscellaneous_scripts.Dump_negatives
    import Miscellaneous_scripts.View_dataset  # noqa: F401

    torch.set_num_threads(1)
    run_script("Database_create.py", "--root", folder, "--name", NAME, "--scenes", 24, "--workers", 1)


def damage(rng: Random, file: Path) -> str:
    """Damage a file; what was done."""
    data = file.read_bytes()
    if file.suffix == ".json" and rng.random() < 0.75:
        file.write_bytes(mutate_json(rng, json.loads(data)))
        return "values"
    if rng.random() < 0.08:
        file.unlink()
        return "lost"
    if (
        file.suffix == ".arrow"
    ):  # the pixels and words inside are not checked, as nothing checks them when they are read
        head = rng.random() < 0.5
        changed = mutate_bytes(rng, data[:300]) + data[300:] if head else data[: rng.randrange(len(data))]
        file.write_bytes(changed)
        return "head" if head else "cut"
    file.write_bytes(mutate_bytes(rng, data))
    return "bytes"


def run(case: Case) -> None:
    from scripts import run_jobs_here

    from common import jobs

    rng = case.rng
    database = case.folder / NAME
    shutil.copytree(case.base / NAME, database)
    files = [file for file in sorted(database.rglob("*")) if file.is_file() and file.name != "lock"]
    file = rng.choice([*files, *(file for file in files if file.parent == database)])
    case.about = f"{file.name}: {damage(rng, file)}"
    if file.suffix == ".arrow" and file.is_file() and file.parent == database and rng.random() < 0.7:
        manifest = json.loads((database / "manifest.json").read_text())
        manifest["files"][file.name]["bytes"] = file.stat().st_size
        (database / "manifest.json").write_text(json.dumps(manifest))
    where, what = ("--root", case.folder, "--name", NAME), rng.random()
    with mock.patch.object(jobs, "run_locally", run_jobs_here):
        if what < 0.6:
            case.call(
                "Miscellaneous_scripts/Dump_negatives.py", *where, "--out", case.folder / "x.jsonl", "--split", "train"
            )
        elif what < 0.8:
            case.call("Database_create.py", *where, "--reparse", "--workers", 1)
        elif what < 0.9:
            case.call("Miscellaneous_scripts/View_dataset.py", *where, "--plots", case.folder / "P", "--count", 1)
        else:
            train(case)


def train(case: Case) -> None:
    flags = ("--data.root", case.folder, "--models", case.folder / "M", "--plots", case.folder / "P", "--name", "m")
    case.call("Main_train.py", "scenes", *flags, *SMALL, "--optim.epochs", 1)


SMALL = [
    *("--data.name", NAME, "--data.workers", "0", "--data.side", "64", "--data.batch-pictures", "8"),
    *("--backbone.channels", "8", "--model.width", "32", "--model.word-width", "16", "--optim.tag-epochs", "0"),
    *("--precision", "float32", "--device", "cpu"),
]

DATABASES = Kind("databases", 1, prepare, run)
