"""Logs of training runs, written by hand."""

import math
from pathlib import Path

from Config import Config, OptimConfig, to_json
from training.log import LOG_COLUMNS

HEADER = ",".join(LOG_COLUMNS)


def row(epoch: int, balanced: float = math.nan, **others: float) -> dict[str, float]:
    """One epoch; by default the balanced accuracy rises."""
    balanced = 0.5 + 0.4 * epoch / (epoch + 1) if math.isnan(balanced) else balanced
    losses = {"train_loss": 3 / epoch, "val_loss": 3 / epoch + 0.2, "learning_rate": 1e-3 / epoch, "waiting": 0.05}
    rates = {"balanced_accuracy": balanced, "recall": balanced + 0.1, "specificity": balanced - 0.1, "threshold": 0.4}
    return {"epoch": epoch, **losses, **rates, "seconds": 120, "pairs_per_second": 200 + epoch} | others


def write_log(folder: Path, rows: list[dict[str, float]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "training_log.csv"
    lines = [",".join(str(one[name]) for name in LOG_COLUMNS) for one in rows]
    path.write_text("\r\n".join([HEADER, *lines, ""]))
    return path


def make_model(
    root: Path, name: str, rows: list[dict[str, float]] | None, epochs: int = 12, patience: int = 10
) -> Path:
    """A model folder as at the start of a training, and its log, if there are rows."""
    config = Config(name=name, plots=str(root / "Plots"), optim=OptimConfig(epochs=epochs, patience=patience))
    folder = root / "Models" / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(to_json(config))
    if rows is not None:
        write_log(root / "Plots" / name, rows)
    return folder
