"""Draw a training log: metrics_over_training.png and threshold_over_training.png in the run's plots folder.

python Analyze_logs.py [--model Models/NAME]
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import Functions
from Config import fail, from_json, read_command_line


@dataclass(frozen=True)
class AnalyzeConfig:
    """Which run to draw."""

    model: str = "Models/scenes"
    """Folder of the model; its config.json tells where the log is."""


def main(args: Sequence[str] | None = None) -> None:
    settings = read_command_line(AnalyzeConfig, __doc__ or "", args)
    stored = Path(settings.model) / "config.json"
    try:
        if not stored.is_file():
            raise FileNotFoundError(f"no config.json in {settings.model}; train a model with: python Main_train.py")
        folder = from_json(stored.read_text(encoding="utf-8")).plots_folder
        rows = Functions.read_log(folder / "training_log.csv")
        if not rows:
            raise ValueError(f"{folder / 'training_log.csv'} has no finished epoch yet; wait for the first one")
    except (ValueError, OSError) as error:
        fail(str(error))
    columns = {name: [row[name] for row in rows] for name in Functions.LOG_COLUMNS}
    for name, draw in (("metrics", plot_metrics), ("threshold", plot_threshold)):
        path = folder / f"{name}_over_training.png"
        draw(path, columns)
        print(f"written: {path}")


def plot_metrics(path: Path, log: dict[str, list[float]]) -> None:
    """Losses on the left; balanced accuracy, recall and specificity on the right."""
    plt = Functions.pyplot()
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    left.plot(log["epoch"], log["train_loss"], marker=".", label="training")
    left.plot(log["epoch"], log["val_loss"], marker=".", label="validation")
    left.set(title="Loss", xlabel="epoch")
    best = max(range(len(log["epoch"])), key=lambda i: log["balanced_accuracy"][i])
    right.plot(log["epoch"], log["recall"], lw=1, label="recall")
    right.plot(log["epoch"], log["specificity"], lw=1, label="specificity")
    right.plot(log["epoch"], log["balanced_accuracy"], "k", marker=".", lw=2, label="balanced accuracy")
    right.plot(
        log["epoch"][best],
        log["balanced_accuracy"][best],
        "k*",
        ms=13,
        label=f"best: {log['balanced_accuracy'][best]:.4f} in epoch {log['epoch'][best]:.0f}",
    )
    right.set(title="Validation, captions against hard negatives", xlabel="epoch")
    finish(path, figure, left, right)


def plot_threshold(path: Path, log: dict[str, list[float]]) -> None:
    """The threshold of each epoch, and the learning rate below it."""
    plt = Functions.pyplot()
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(8, 6), layout="constrained", height_ratios=(2, 1), sharex=True)
    top.plot(log["epoch"], log["threshold"], marker=".", label="threshold")
    top.set(title="Threshold of the best balanced accuracy (validation)", ylabel="score")
    bottom.plot(log["epoch"], log["learning_rate"], color="C1", label="learning rate")
    bottom.set(xlabel="epoch")
    finish(path, figure, top, bottom)


def finish(path: Path, figure, *panels) -> None:
    for panel in panels:
        panel.legend(fontsize=9)
        panel.xaxis.get_major_locator().set_params(integer=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    Functions.pyplot().close(figure)


if __name__ == "__main__":
    main()
