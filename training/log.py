"""The log of a training run: one line an epoch in training_log.csv."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from common.storage import write_atomically

LOG = "training_log.csv"
LOG_COLUMNS = (
    "epoch",
    "train_loss",
    "val_loss",
    "balanced_accuracy",
    "recall",
    "specificity",
    "threshold",
    "learning_rate",
    "seconds",
    "pairs_per_second",
    "waiting",
)


def append_log(path: Path, row: Mapping[str, float]) -> None:
    """Add one epoch to training_log.csv; rows of this epoch or later, left by a run that is resumed, go."""
    rows = [old for old in read_log(path) if old["epoch"] < row["epoch"]] if path.exists() else []
    write_atomically(path, lambda temporary: _write_log(temporary, [*rows, row]))


def _write_log(path: Path, rows: Iterable[Mapping[str, float]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, LOG_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def read_log(path: Path) -> list[dict[str, float]]:
    """Rows of a training log. ValueError if the file is not one; a cut-off last line is left out."""
    if not path.is_file():
        raise FileNotFoundError(f"no training log at {path}; train a model with: python Main_train.py")
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.DictReader(file)
        if not (names := reader.fieldnames or ()):
            raise ValueError(f"{path} is empty; wait for the first epoch")
        if absent := [name for name in LOG_COLUMNS if name not in names]:
            raise ValueError(f"{path} is no training log: it has no column {', '.join(absent)}")
        rows = []
        lines = list(reader)
        for number, row in enumerate(lines, 1):
            try:
                rows.append({name: float(row[name]) for name in LOG_COLUMNS})
            except (TypeError, ValueError) as error:
                if number < len(lines):  # else `append_log` would drop the lines after it
                    after = len(lines) - number
                    told = f"line {number + 1} of {path} is damaged; delete that line, {after} are after it"
                    raise ValueError(told) from error
    return rows
