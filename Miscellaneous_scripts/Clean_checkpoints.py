"""List the checkpoints of training and the files of interrupted writes; with --remove, delete them.

    python Miscellaneous_scripts/Clean_checkpoints.py [--remove] [--all]

For each run it lists last-*.pt and last.json (read by --resume), failed.pt (the weights before a NaN or infinite loss),
and incomplete files of a killed process. Without --remove nothing is deleted. --remove deletes these files of finished
runs, and all incomplete files. --remove --all also deletes those of unfinished runs, which can then not be resumed.
Files that a trained model needs are never deleted: weights, vocabulary, settings, threshold, results and the list of
photographs.
"""

import stat
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.checked import read_json
from common.command_line import counted, fail, read_command_line
from common.storage import CONFIG, FAILED, POINTER, THRESHOLD
from Config import Config, require

SETTLED = 600  # seconds; a running process can still be writing a younger file


@dataclass(frozen=True)
class CleanConfig:
    """Which folder is searched, and what is deleted."""

    models: str = Config.models
    """Folder of all models."""
    remove: bool = False
    """Delete the checkpoints of finished runs, and incomplete files."""
    all: bool = False
    """With --remove: also delete the checkpoints of unfinished runs, which can then not be resumed."""

    def __post_init__(self) -> None:
        require(self.remove or not self.all, "--all needs --remove: add --remove")


class Found(NamedTuple):
    """A file that a trained model does not need."""

    path: Path
    what: str
    kind: str  # "incomplete", or the state of its run: "finished" or "unfinished"
    bytes: int
    age: float  # seconds


def main(args: Sequence[str] | None = None) -> None:
    settings = read_command_line(CleanConfig, __doc__ or "", args)
    models = Path(settings.models)
    try:
        if not models.is_dir():
            raise FileNotFoundError(f"there is no folder {models}; give the folder of all models with --models DIR")
        files = [file for folder in sorted(models.iterdir()) if folder.is_dir() for file in search(folder)]
        kinds = {"incomplete", "finished"} | ({"unfinished"} if settings.all else set())
        chosen = [file for file in files if file.kind in kinds]
        for file in files:
            print(line(file))
        if settings.remove:
            # last.json is deleted first: --resume fails if it names a checkpoint that does not exist.
            for file in sorted(chosen, key=lambda file: file.path.name != POINTER):
                file.path.unlink(missing_ok=True)
    except OSError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted; run the same command to delete the rest", code=130)
    if not files:
        print(f"nothing to clean in {models}")
        return
    print(summary(files, chosen, settings))


def line(file: Found) -> str:
    """One line of the list."""
    return f"{megabytes(file.bytes):>12s}  {days(file.age):>9s}  {file.path}: {file.what}"


def summary(files: Sequence[Found], chosen: Sequence[Found], settings: CleanConfig) -> str:
    """The last lines: what was or would be deleted, and what is kept."""
    kept = [file for file in files if file not in chosen]
    rest = megabytes(sum(file.bytes for file in kept))
    some = counted(len(kept), "file")
    unfinished = f"\nkept: {some} of unfinished runs, {rest}; --remove --all deletes them too" if kept else ""
    size = megabytes(sum(file.bytes for file in chosen))
    if settings.remove:
        return f"deleted: {counted(len(chosen), 'file')}, {size}{unfinished}"
    return f"nothing was deleted; --remove would delete {counted(len(chosen), 'file')}, {size}{unfinished}"


def search(folder: Path) -> Iterator[Found]:
    """The files of one run that a trained model does not need."""
    pointer, now = read(folder / POINTER), time.time()
    state = "finished" if is_finished(folder, pointer) else "unfinished"
    for path in sorted(folder.iterdir()):
        status = path.lstat()
        age, is_checkpoint = now - status.st_mtime, path.match("last-*.pt")
        if not stat.S_ISREG(status.st_mode):
            continue
        is_part = path.name.startswith(".") and path.suffix == ".part"
        if is_part or (is_checkpoint and "state" in pointer and path.name != pointer["state"]):
            if age >= SETTLED:  # a younger file can still be written
                yield Found(path, "incomplete, its process was killed", "incomplete", status.st_size, age)
        elif is_checkpoint:
            yield Found(path, f"last checkpoint ({state} run)", state, status.st_size, age)
        elif path.name == POINTER:
            what = f"name of the last checkpoint (epoch {pointer.get('epoch')}, step {pointer.get('step')})"
            yield Found(path, what, state, status.st_size, age)
        elif path.name == FAILED:
            yield Found(path, "the weights before a NaN or infinite loss", state, status.st_size, age)


def is_finished(folder: Path, pointer: dict[str, Any]) -> bool:
    """Whether the run has done all its epochs or stopped early. False if its files are missing or unreadable."""
    optim, threshold = read(folder / CONFIG).get("optim"), read(folder / THRESHOLD)
    try:
        epoch, step, best = int(pointer["epoch"]), int(pointer["step"]), int(threshold["epoch"])
        epochs, patience = int(optim["epochs"]), int(optim["patience"])  # type: ignore[index]
    except (KeyError, TypeError, ValueError, OverflowError):
        return False
    return step == 0 and (epoch >= epochs or epoch - best >= patience)


def read(path: Path) -> dict[str, Any]:
    """The JSON object in a file; {} if there is none."""
    try:
        value = read_json(path)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def megabytes(size: float) -> str:
    return f"{size / 1e6:,.2f} MB"


def days(seconds: float) -> str:
    """A duration in days, hours or minutes."""
    for unit, length in (("days", 86400), ("hours", 3600)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds) / 60:.0f} min"


if __name__ == "__main__":
    main()
