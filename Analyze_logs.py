"""Draw training logs: losses, balanced accuracy, learning rate, speed, and the threshold over the epochs.

python Analyze_logs.py [--model DIR [DIR ...]] [--watch] [--every SECONDS] [--out FOLDER]

One run: metrics_over_training.png and threshold_over_training.png in its plots folder. Several share the panels, one
colour each: metrics_of_A_B.png and threshold_of_A_B.png in the plots folder of the first. With --watch they follow the
training and each epoch prints a line, until the last run is over; Ctrl-C ends it sooner.
"""

import csv
import json
import math
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from common import storage
from Config import fail, quality, read_command_line, require
from evaluation import plots as plots_lib
from training.log import LOG_COLUMNS, read_log

LOG = "training_log.csv"
COLOURS = 7  # of evaluation.plots
DASHES, MARKERS = ("-", "--", ":", "-."), (".", "s", "^", "x")  # of the first 7 runs, the next 7 ...
GREY = "#595959"
WIDTH, DPI = 9.0, 150  # inches; 1350 pixels wide: sharp at the 900 that a README shows


@dataclass(frozen=True)
class AnalyzeConfig:
    """Which runs to draw, and where."""

    model: tuple[str, ...] = ("Models/scenes",)
    """One or several: folders of models (config.json tells where the log is), folders with a training_log.csv, or
    such files. Several are drawn into the same panels."""
    watch: bool = False
    """Draw again whenever a log has changed, until the training is over; a log that is not there yet is waited for."""
    every: float = 10.0
    """Seconds between two looks of --watch."""
    out: str | None = None
    """Folder of the pictures, by default that of the first run's log."""

    def __post_init__(self) -> None:
        most = COLOURS * len(DASHES)
        require(1 <= len(self.model) <= most, f"--model: give 1 to {most} runs, not {len(self.model)}")
        require(0.1 <= self.every <= 86_400, f"--every {self.every}: must be 0.1 to 86,400 seconds")


class NotYet(ValueError):
    """Nothing to draw so far. Time may mend it, so --watch waits."""


class Source(NamedTuple):
    """Where a log is, and what its config.json says; from a log alone the planned epochs are not known."""

    log: Path
    epochs: int | None = None
    patience: int | None = None
    keep_by: str = "balanced_accuracy"


class Run(NamedTuple):
    """One training run as it is drawn."""

    label: str
    source: Source
    columns: dict[str, list[float]]  # of the log
    note: str  # what had to be left out of it

    @property
    def quality(self) -> list[float]:
        """What decides which epoch is kept, higher is better; -inf for what is no number."""
        columns = self.columns["val_loss"], self.columns["balanced_accuracy"]
        return [quality(self.source.keep_by, *row) for row in zip(*columns)]

    @property
    def best(self) -> int | None:
        """Index of the epoch whose weights are kept, the first of those that validate best. None: all are nan."""
        best = max(range(len(self.quality)), key=self.quality.__getitem__)
        return best if self.quality[best] > -math.inf else None

    @property
    def end(self) -> str:
        """Why the run is over, by the conditions of Main_train.train; empty if it goes on or that is not known."""
        epoch, patience = self.columns["epoch"][-1], self.source.patience
        if self.source.epochs is not None and epoch >= self.source.epochs:
            return f"all {self.source.epochs} epochs are done"
        waited = len(self.columns["epoch"]) - 1 - (-1 if self.best is None else self.best)
        if patience is not None and waited >= patience:
            return f"no better validation score for {waited} epochs: stopped early"
        return ""


def main(args: Sequence[str] | None = None) -> None:
    settings = read_command_line(AnalyzeConfig, __doc__ or "", args)
    try:
        if settings.watch:
            watch(settings)
            return
        runs = load(settings.model)
        tell_notes(runs)
        for path in draw(runs, settings.out):
            print(f"written: {path}")
    except (ValueError, OSError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        if not settings.watch:
            fail("stopped", code=130)
        print("no longer watched")  # the usual end of a watch, hence status 0


def watch(settings: AnalyzeConfig) -> None:
    """Draw, print the new epochs, and look again until every run is over. Several are drawn once all have an epoch."""
    waiting, drawn, known = "", "", set[str]()
    while True:
        try:
            runs = load(settings.model)
        except (NotYet, FileNotFoundError) as wait:  # the latter: a training with --overwrite has just removed it
            if str(wait) != waiting:
                waiting = str(wait)
                print(f"waiting: {waiting}", flush=True)
            time.sleep(settings.every)
            continue
        if repr(runs) != drawn:  # of the text, in which nan equals nan
            tell_notes(runs)
            paths = draw(runs, settings.out)
            if not drawn:
                begin_watch(runs, paths)
            known = {line for run in runs for line in new_epochs(run, known, named=len(runs) > 1)}
            waiting, drawn = "", repr(runs)
        if all(run.end for run in runs):
            print("\n".join(f"{run.label}: {run.end}" for run in runs))
            return
        time.sleep(settings.every)


def begin_watch(runs: Sequence[Run], paths: Sequence[Path]) -> None:
    for path in paths:
        print(f"written, and again after each epoch: {path}", flush=True)
    for run in runs:
        if run.source.epochs is None:
            told = f"no config.json beside {run.source.log}, so its last epoch is not known: end with Ctrl-C"
            print(told, flush=True)


def new_epochs(run: Run, known: set[str], named: bool) -> list[str]:
    """Print the epochs of which no line is known; a run that began anew has all its epochs again.

    Returns the lines of all epochs, without the time left. That is reckoned from the last three epochs, since an
    unfreezing backbone makes later ones longer; the log does not tell the seconds of validation.
    """
    lines, best = [], -math.inf
    rows = [dict(zip(run.columns, values)) for values in zip(*run.columns.values())]
    for row, reached in zip(rows, run.quality):
        star = "*" if reached > best else " "
        best = max(best, reached)
        of = f" of {run.source.epochs}" if run.source.epochs else ""
        lines.append(
            (f"{run.label}: " if named else "")
            + f"epoch {row['epoch']:3.0f}{of}{star} loss {row['train_loss']:.3f} / {row['val_loss']:.3f}  "
            f"balanced accuracy {row['balanced_accuracy']:.4f}  {row['pairs_per_second']:.0f} pairs/s"
        )
        if lines[-1] not in known:
            left = time_left(run) if row is rows[-1] else ""
            print(lines[-1] + left, flush=True)
    return lines


def time_left(run: Run) -> str:
    last = [seconds for seconds in run.columns["seconds"][-3:] if math.isfinite(seconds)]
    if run.end or run.source.epochs is None or not last:
        return ""
    left = sum(last) / len(last) * (run.source.epochs - run.columns["epoch"][-1])
    unit, size = ("s", 1) if left < 90 else ("min", 60) if left < 5400 else ("h", 3600)
    return f"  about {left / size:.{1 if unit == 'h' else 0}f} {unit} of training left"


def tell_notes(runs: Sequence[Run]) -> None:
    for run in runs:
        if run.note:
            print(f"{Path(sys.argv[0]).name}: note: {run.note}", file=sys.stderr)


def load(given: Sequence[str]) -> list[Run]:
    """The runs of --model. NotYet if one has no finished epoch; ValueError or OSError tells what its user can mend."""
    sources = [locate(Path(one)) for one in given]
    seen: set[Path] = set()
    for source in sources:
        if source.log.resolve() in seen:
            raise ValueError(f"--model names the log {source.log} twice")
        seen.add(source.log.resolve())
    return [Run(label, source, *read(source.log)) for label, source in zip(labels(sources), sources)]


def locate(given: Path) -> Source:
    """A folder's own log counts; else the one that its config.json names.

    Of config.json only what is needed here is read, so that runs of other versions can be compared.
    """
    if given.is_file() or (given.suffix == ".csv" and not given.is_dir()):
        return Source(given)
    log, stored = given / LOG, given / "config.json"
    if not stored.is_file():
        if log.is_file():
            return Source(log)
        raise NotYet(f"no config.json and no {LOG} in {given}; train a model with: python Main_train.py")
    try:
        config = json.loads(stored.read_text(encoding="utf-8"))
        named = Path(config["plots"], config["name"], LOG)
        epochs, patience = int(config["optim"]["epochs"]), int(config["optim"]["patience"])
        keep_by = str(config["optim"].get("keep_by", Source.keep_by))
    except json.JSONDecodeError as error:
        raise NotYet(f"{stored} is cut off or being written: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{stored} is not the config.json of a model: {type(error).__name__} {error}") from error
    return Source(log if log.is_file() else named, epochs, patience, keep_by)


def labels(sources: Sequence[Source]) -> list[str]:
    """The runs' names, with as many of the folders above as tell runs of one name apart."""
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
    """Columns of a log, infinite values as nan, and a note of a cut-off last line (empty: there is none)."""
    if not path.is_file():
        raise NotYet(f"no training log at {path}; it comes with the first finished epoch of python Main_train.py")
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        lines = [line for line in file.read().split("\n") if line.strip()]
    if not lines:
        raise NotYet(f"{path} is empty; wait for the first epoch, or copy it again")
    try:
        rows = read_log(path)
    except csv.Error as error:
        raise ValueError(f"{path} is no training log: {error}") from error
    note = f"the last line of {path} is cut off and left out" if len(rows) < len(lines) - 1 else ""
    if not rows:
        raise NotYet(f"{path} has no finished epoch yet; wait for the first one")
    columns = {name: [row[name] if math.isfinite(row[name]) else math.nan for row in rows] for name in LOG_COLUMNS}
    if any(math.isnan(epoch) for epoch in columns["epoch"]):
        raise ValueError(f"{path} is damaged: it has an epoch that is no number")
    return columns, note


def draw(runs: Sequence[Run], out: str | None) -> list[Path]:
    """Write both pictures, each whole or not at all: a viewer may look at any time."""
    folder = Path(out) if out else runs[0].source.log.parent
    folder.mkdir(parents=True, exist_ok=True)
    end = "over_training" if len(runs) == 1 else f"of_{joined([run.label for run in runs])}"
    figures = {"metrics": metrics_figure, "threshold": threshold_figure}
    paths = []
    for name, make in figures.items():
        figure = make(runs)
        paths.append(folder / f"{name}_{end}.png")
        storage.write_atomically(paths[-1], partial(figure.savefig, dpi=DPI, format="png"))
        plots_lib.pyplot().close(figure)
    return paths


def joined(names: Sequence[str]) -> str:
    """A_B_C for a file name; of many runs the first, and how many more."""
    names = [re.sub(r"[^\w.-]+", "-", name).strip("-") for name in names]
    whole = "_".join(names)
    return whole if len(whole) <= 60 else f"{names[0][:40]}_and_{len(names) - 1}_more"


class Style(NamedTuple):
    """How a run is drawn: the colours first, then other dashes and markers."""

    colour: str
    dash: str = "-"
    marker: str = "."

    @classmethod
    def of(cls, number: int) -> "Style":
        return cls(f"C{number % COLOURS}", DASHES[number // COLOURS], MARKERS[number // COLOURS])

    @property
    def look(self) -> dict[str, Any]:
        size = 6 if self.marker == "." else 4
        return {"color": self.colour, "ls": self.dash, "marker": self.marker, "ms": size, "lw": 1.5}

    def plot(self, panel: Any, run: Run, column: str, **changes: Any) -> None:
        marked = marked_epochs(run.columns[column], every=self.marker == ".")
        panel.plot(run.columns["epoch"], run.columns[column], **self.look | {"markevery": marked} | changes)

    def star(self, panel: Any, run: Run, column: str) -> None:
        """On the epoch whose weights are kept."""
        if run.best is not None:
            at = run.columns["epoch"][run.best], run.columns[column][run.best]
            panel.plot(*at, "*", color=self.colour, mec="k", mew=0.6, ms=12, zorder=4)


def marked_epochs(values: Sequence[float], every: bool) -> list[int]:
    """Indices of the markers: all of a short log; of a long one those that tell runs apart (not `every`), and those
    between two nan, which would not be seen without one."""
    step = math.ceil(len(values) / 15)
    around = [math.nan, *values, math.nan]
    alone = [math.isnan(left) and math.isnan(right) for left, right in zip(around, around[2:])]
    return [i for i in range(len(values)) if alone[i] or step == 1 or not (every or i % step)]


def metrics_figure(runs: Sequence[Run]) -> Any:
    """Losses and rates above; learning rate, pairs a second and waiting below."""
    figure = plots_lib.pyplot().figure(figsize=(WIDTH, 6.8 + legend_height(runs)), layout="constrained")
    mosaic = [["loss"] * 3 + ["rates"] * 3, ["learning_rate"] * 2 + ["pairs_per_second"] * 2 + ["waiting"] * 2]
    panels = figure.subplot_mosaic(mosaic, height_ratios=(3, 2))
    draw_losses(panels["loss"], runs)
    draw_rates(panels["rates"], runs)
    panels["loss"].set(title="Loss", ylabel="loss")
    of = "share" if len(runs) == 1 else "balanced accuracy"
    panels["rates"].set(title="Captions against hard negatives", ylabel=f"{of}, validation")
    below = {  # title, unit, and how many of it are 1
        "learning_rate": ("Learning rate", "10⁻³, of the branches", 1e3),
        "pairs_per_second": ("Speed", "pairs/s", 1),
        "waiting": ("Waiting for data", "% of the time", 100),
    }
    for column, (title, unit, factor) in below.items():
        for i, run in enumerate(runs):
            scaled = {column: [factor * value for value in run.columns[column]]}
            Style.of(i).plot(panels[column], run._replace(columns=run.columns | scaled), column, clip_on=False)
        panels[column].set(title=title, ylabel=unit)
        panels[column].set_ylim(bottom=0, top=1.06 * highest if (highest := panels[column].dataLim.y1) > 0 else 1)
    finish(figure, runs)
    return figure


def draw_losses(panel: Any, runs: Sequence[Run]) -> None:
    """One run: two colours. Several: training solid and validation dashed in the colour of the run."""
    if len(runs) == 1:
        Style("C0").plot(panel, runs[0], "train_loss", label="training")
        Style("C5").plot(panel, runs[0], "val_loss", label="validation")
    else:
        for i, run in enumerate(runs):
            Style.of(i).plot(panel, run, "train_loss", ls="-")
            Style.of(i).plot(panel, run, "val_loss", ls="--")
        panel.plot([], [], "-", color=GREY, label="training")
        panel.plot([], [], "--", color=GREY, label="validation")
    legend_below(panel)


def draw_rates(panel: Any, runs: Sequence[Run]) -> None:
    """One run: balanced accuracy with recall and specificity. Several: balanced accuracy alone."""
    if len(runs) == 1:
        Style("k").plot(panel, runs[0], "balanced_accuracy", lw=2, zorder=3, label="balanced accuracy")
        Style("C2").plot(panel, runs[0], "recall", lw=1, ms=4, label="recall")
        Style("C3").plot(panel, runs[0], "specificity", lw=1, ms=4, label="specificity")
        Style("k").star(panel, runs[0], "balanced_accuracy")
    else:
        for i, run in enumerate(runs):
            Style.of(i).plot(panel, run, "balanced_accuracy")
            Style.of(i).star(panel, run, "balanced_accuracy")
        panel.plot([], [], ls="", marker="*", ms=11, color=GREY, label="best of the run")
    legend_below(panel)


def threshold_figure(runs: Sequence[Run]) -> Any:
    """The threshold of each epoch; a star on that of the weights that are kept."""
    figure = plots_lib.pyplot().figure(figsize=(WIDTH, 4.2 + legend_height(runs)), layout="constrained")
    panel = figure.subplots()
    for i, run in enumerate(runs):
        Style.of(i).plot(panel, run, "threshold")
        Style.of(i).star(panel, run, "threshold")
    panel.plot([], [], ls="", marker="*", ms=11, color=GREY, label="of the epoch that is kept")
    legend_below(panel)
    panel.set(title="Threshold that validation chose", ylabel="threshold, cosine")
    finish(figure, runs)
    return figure


def legend_below(panel: Any) -> None:
    """Under the axis, where it covers no curve."""
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.17), "ncols": 3}
    panel.legend(**place, fontsize=9, frameon=False, columnspacing=1.2, handlelength=1.8)


def headline(run: Run) -> str:
    """The name, cut in its middle to 48 characters, and the epoch that is kept."""
    name = run.label if len(run.label) <= 48 else f"{run.label[:20]} … {run.label[-25:]}"
    name = name.replace("$", r"\$")  # which would begin a formula
    if run.best is None:
        return f"{name}: no epoch is kept"
    return f"{name}: {run.columns['balanced_accuracy'][run.best]:.4f} in epoch {run.columns['epoch'][run.best]:.0f}"


def legend_columns(runs: Sequence[Run]) -> int:
    """As many as fit: a character of 9 points takes 0.08 inches, the line in front of it 0.6."""
    return max(1, min(len(runs), int(WIDTH / (0.6 + 0.08 * max(len(headline(run)) for run in runs)))))


def legend_height(runs: Sequence[Run]) -> float:
    """Inches."""
    return 0.0 if len(runs) == 1 else 0.3 + 0.2 * math.ceil(len(runs) / legend_columns(runs))


def finish(figure: Any, runs: Sequence[Run]) -> None:
    """What all panels share: the epochs below, and which runs they are."""
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    last = max(run.columns["epoch"][-1] for run in runs)
    margin = max(0.5, 0.03 * last)
    for panel in figure.axes:
        panel.set(xlabel="epoch", xlim=(1 - margin, last + margin))
        panel.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    if len(runs) == 1:
        figure.suptitle(f"{headline(runs[0])} (balanced accuracy of the epoch that is kept)", fontsize=12)
        return
    handles = [plots_lib.pyplot().Line2D([], [], **Style.of(i).look) for i in range(len(runs))]
    place = {
        "loc": "outside lower center",
        "ncols": legend_columns(runs),
        "title": "Balanced accuracy of the epoch that is kept",
    }
    figure.legend(handles, [headline(run) for run in runs], **place, fontsize=9, title_fontsize=10, frameon=False)


if __name__ == "__main__":
    main()
