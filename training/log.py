"""The log of a training run: training_log.csv has one line for each epoch."""

import csv
import io
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from common.storage import write_atomically

LOG = "training_log.csv"
LOG_COLUMNS = (
    "epoch",
    "train_loss",
    "val_loss",
    "balanced_accuracy",  # this and the next three: the quick check on validation
    "recall",
    "specificity",
    "threshold",
    "learning_rate",
    "seconds",
    "pairs_per_second",  # captions a second; the column keeps its name for older logs
    "waiting",  # fraction of the seconds in which the loader had no batch ready
)

RATES = LOG_COLUMNS[3:7]  # NaN, as val_loss is, in epochs that train only the image branch


def describe_epoch(row: Mapping[str, float], better: bool, of: int | None = None) -> str:
    """A line about a row of the log. better: than all epochs before; of: number of epochs."""
    total = f" of {of}" if of else ""
    line = f"epoch {row['epoch']:2.0f}{total}{'*' if better else ' '} loss {row['train_loss']:.3f}"
    if math.isnan(row["val_loss"]) and math.isnan(row["threshold"]):
        checked = "of tags: only the image branch is trained"
    else:
        checked = f"(validation {row['val_loss']:.3f})  quick check: {100 * row['balanced_accuracy']:.1f} %"
    return f"{line} {checked}  {row['pairs_per_second']:.0f} captions/s"


def append_log(path: Path, row: Mapping[str, float]) -> None:
    """Add an epoch to the log. Rows of the same or a later epoch, from before a resume, are removed."""
    rows = [old for old in earlier_rows(path) if old["epoch"] < row["epoch"]]
    write_atomically(path, lambda temporary: _write_log(temporary, [*rows, row]))


def earlier_rows(path: Path) -> list[dict[str, float]]:
    """The rows that a training adds its own to; none without a log, or if it is empty. ValueError as `read_log`."""
    return read_log(path) if path.exists() and path.stat().st_size else []


def _write_log(path: Path, rows: Iterable[Mapping[str, float]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, LOG_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def read_log(path: Path) -> list[dict[str, float]]:
    """Rows of a training log, without a cut-off last line. ValueError if the file is not a training log.

    A spreadsheet may have saved it: with a byte order mark, and with semicolons and decimal commas.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no training log at {path}; train a model with: python Main_train.py")
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    separator = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        names, lines = reader.fieldnames or (), list(reader)
    except csv.Error as error:
        raise ValueError(f"{path} is not a training log: {error}") from error
    if not names:
        raise ValueError(f"{path} is empty; wait for the first epoch")
    if absent := [name for name in LOG_COLUMNS if name not in names]:
        raise ValueError(f"{path} is not a training log: it has no column {', '.join(absent)}")
    rows = []
    for number, row in enumerate(lines, 1):
        try:
            values = {name: row[name] if separator == "," else row[name].replace(",", ".") for name in LOG_COLUMNS}
            rows.append({name: float(value) for name, value in values.items()})
        except (TypeError, ValueError, AttributeError) as error:
            if after := len(lines) - number:  # `append_log` would remove the lines after it
                message = f"line {number + 1} of {path} is damaged; delete that line, {after} are after it"
                raise ValueError(message) from error
    return rows
