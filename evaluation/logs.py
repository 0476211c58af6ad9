"""Training runs as their logs show them: the epochs, which epoch is kept, and whether the run is over."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from common.command_line import counted
from common.storage import CONFIG
from Config import quality
from training.log import LOG, LOG_COLUMNS, read_log

KEEP_BY = "balanced_accuracy"  # of runs whose config.json lacks the setting


class NotYet(ValueError):
    """There is nothing to draw yet. Analyze_logs.py --watch waits until there is."""


class Source(NamedTuple):
    """A log, and the settings of its run. Without a config.json the settings are not known (None)."""

    log: Path
    epochs: int | None = None
    patience: int | None = None
    keep_by: str = KEEP_BY
    captions: int | None = None
    """Captions of each validation photograph that the quick check after an epoch uses."""


class Run(NamedTuple):
    """One training run."""

    label: str
    source: Source
    columns: dict[str, list[float]]  # of the log
    note: str  # which line of the log was left out, or ""

    @property
    def quality(self) -> list[float]:
        """For each epoch the figure that decides which epoch is kept; higher is better, -inf for NaN."""
        columns = self.columns["val_loss"], self.columns["balanced_accuracy"]
        return [quality(self.source.keep_by, *row) for row in zip(*columns)]

    @property
    def best(self) -> int | None:
        """Index of the epoch whose weights are kept: the first of the best epochs. None if all are NaN."""
        best = max(range(len(self.quality)), key=self.quality.__getitem__)
        return best if self.quality[best] > -math.inf else None

    @property
    def end(self) -> str:
        """Why the run is over, by the conditions of Main_train.train; "" if it is not over or this is not known."""
        epoch, patience = self.columns["epoch"][-1], self.source.patience
        if self.source.epochs is not None and epoch >= self.source.epochs:
            return f"finished: {counted(self.source.epochs, 'epoch')}"
        first = 0 if self.best is None else self.best + 1
        waited = sum(not math.isnan(value) for value in self.columns["threshold"][first:])  # NaN: no quick check
        if patience is not None and waited >= patience:
            return f"stopped early: no better epoch for {counted(waited, 'epoch')}"
        return ""


def load(given: Sequence[str]) -> list[Run]:
    """The runs of these folders or log files. NotYet if a run has no finished epoch; else ValueError or OSError."""
    sources = [locate(Path(one)) for one in given]
    seen: set[Path] = set()
    for source in sources:
        if source.log.resolve() in seen:
            raise ValueError(f"--model names the log {source.log} twice; name each run once")
        seen.add(source.log.resolve())
    return [Run(label, source, *read(source.log)) for label, source in zip(labels(sources), sources)]


def locate(given: Path) -> Source:
    """The log in a folder, or else the log that its config.json names.

    Only the settings that are needed here are read from config.json, so runs of other versions can be compared.
    """
    if given.is_file() or (given.suffix == ".csv" and not given.is_dir()):
        return Source(given)
    log, stored = given / LOG, given / CONFIG
    if not stored.is_file():
        if log.is_file():
            return Source(log)
        raise NotYet(f"no config.json and no {LOG} in {given}; train a model with: python Main_train.py")
    try:
        config = json.loads(stored.read_text(encoding="utf-8"))
        named = Path(config["plots"], config["name"], LOG)
        epochs, patience = int(config["optim"]["epochs"]), int(config["optim"]["patience"])
        keep_by = str(config["optim"].get("keep_by", KEEP_BY))
        captions = config["data"].get("captions_per_picture") if isinstance(config.get("data"), dict) else None
    except json.JSONDecodeError as error:
        raise NotYet(f"{stored} is cut off or being written: {error}") from error
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{stored} is not the config.json of a model: {type(error).__name__} {error}") from error
    return Source(log if log.is_file() else named, epochs, patience, keep_by, captions)


def labels(sources: Sequence[Source]) -> list[str]:
    """Names of the runs. Runs of the same name get as many parent folders as are needed to distinguish them."""
    logs = [source.log.resolve() for source in sources]
    parts = [(log.parent if log.name == LOG else log.with_suffix("")).parts for log in logs]
    found = []
    for log, mine in zip(logs, parts):
        others = [other for other_log, other in zip(logs, parts) if other_log != log]
        tails = (k for k in range(1, len(mine) + 1) if all(other[-k:] != mine[-k:] for other in others))
        k = next(tails, 0)  # 0: a/training_log.csv beside a.csv
        found.append("/".join(mine[-k:]) if k else str(log))
    return found


def read(path: Path) -> tuple[dict[str, list[float]], str]:
    """The columns of a log, with NaN for infinite values, and a note if its last line is cut off, or else ""."""
    if not path.is_file():
        raise NotYet(f"no training log at {path}; python Main_train.py writes it after the first epoch")
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        lines = [line for line in file.read().split("\n") if line.strip()]
    if not lines:
        raise NotYet(f"{path} is empty; wait for the first epoch, or copy it again")
    rows = read_log(path)
    note = f"the last line of {path} is cut off, so it is left out" if len(rows) < len(lines) - 1 else ""
    if not rows:
        raise NotYet(f"{path} has no finished epoch yet; wait for the first one")
    columns = {name: [row[name] if math.isfinite(row[name]) else math.nan for row in rows] for name in LOG_COLUMNS}
    if any(math.isnan(epoch) for epoch in columns["epoch"]):
        raise ValueError(f"{path} is damaged: an epoch number is NaN or infinite")
    return columns, note
