"""Plot training logs: losses, balanced accuracy, learning rate, speed and threshold over the epochs.

python Analyze_logs.py [--model DIR [DIR ...]] [--watch] [--every SECONDS] [--out FOLDER]

One run: metrics_over_training.png and threshold_over_training.png in its plots folder. Several runs share the panels:
metrics_of_A_B.png and threshold_of_A_B.png in the plots folder of the first run. With --watch the plots follow the
training, and each epoch prints a line, until all runs are over; Ctrl-C stops watching.
"""

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from common.command_line import fail, read_command_line
from Config import DIR, require
from evaluation.log_plots import MOST_RUNS, draw
from evaluation.logs import NotYet, Run, load
from evaluation.style import FigureFormat
from training.log import describe_epoch


@dataclass(frozen=True)
class AnalyzeConfig:
    """Which runs to draw, and where."""

    model: tuple[str, ...] = ("Models/scenes",)
    """Runs to plot together: folders of models, folders with a training_log.csv, or such files."""
    watch: bool = False
    """Wait for the logs, and draw them again whenever they change, until the training is over."""
    every: float = 10.0
    """Seconds between two checks for changes with --watch."""
    out: Annotated[str | None, DIR] = None
    """Folder of the plots (default: the folder of the first log)."""
    figures: FigureFormat = "png"
    """Format of the plots; pdf and svg are vector graphics."""

    def __post_init__(self) -> None:
        runs = len(self.model)
        require(1 <= runs <= MOST_RUNS, f"--model: give 1 to {MOST_RUNS} runs, not {runs}")
        require(0.1 <= self.every <= 86_400, f"--every {self.every}: must be 0.1 to 86,400 seconds")


def main(args: Sequence[str] | None = None) -> None:
    settings = read_command_line(AnalyzeConfig, __doc__ or "", args)
    try:
        if settings.watch:
            watch(settings)
            return
        runs = load(settings.model)
        print_notes(runs)
        for path in draw(runs, settings.out, settings.figures):
            print(f"written: {path}")
    except (ValueError, OSError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        if not settings.watch:
            fail("stopped", code=130)
        print("stopped watching")  # the usual end of a watch, hence status 0


def watch(settings: AnalyzeConfig) -> None:
    """Draw the logs and print new epochs whenever a log changes, until every run is over.

    Starts when every run has a finished epoch.
    """
    waiting, drawn, known = "", "", set[str]()
    while True:
        try:
            runs = load(settings.model)
        except (NotYet, FileNotFoundError) as wait:  # FileNotFoundError: a training with --overwrite just removed it
            if str(wait) != waiting:
                waiting = str(wait)
                print(f"waiting: {waiting}", flush=True)
            time.sleep(settings.every)
            continue
        if repr(runs) != drawn:  # compared as text, in which NaN equals NaN
            print_notes(runs)
            paths = draw(runs, settings.out, settings.figures)
            if not drawn:
                begin_watch(runs, paths)
            known = {line for run in runs for line in new_epochs(run, known, named=len(runs) > 1)}
            waiting, drawn = "", repr(runs)
        if all(run.end for run in runs):
            print("\n".join(f"{run.label}: {run.end}" for run in runs))
            return
        time.sleep(settings.every)


def begin_watch(runs: Sequence[Run], paths: Sequence[Path]) -> None:
    """Print where the plots are, and which runs have no known end."""
    for path in paths:
        print(f"written after each epoch: {path}", flush=True)
    for run in runs:
        if run.source.epochs is None:
            where = run.source.log
            print(f"the last epoch is not known without a config.json beside {where}: stop with Ctrl-C", flush=True)


def new_epochs(run: Run, known: set[str], named: bool) -> list[str]:
    """Print the lines of epochs that are not in `known`. Returns the lines of all epochs.

    named: lines begin with the name of the run. The line of the last epoch is printed with the time left, which is not
    part of the returned line.
    """
    lines, best = [], -math.inf
    rows = [dict(zip(run.columns, values)) for values in zip(*run.columns.values())]
    for row, reached in zip(rows, run.quality):
        better = reached > best
        best = max(best, reached)
        line = describe_epoch(row, better, run.source.epochs)
        lines.append(f"{run.label}: {line}" if named else line)
        if lines[-1] not in known:
            left = time_left(run) if row is rows[-1] else ""
            print(lines[-1] + left, flush=True)
    return lines


def time_left(run: Run) -> str:
    """The training time left, without validation. Estimated from the last three epochs: epochs take longer once the
    backbone is unfrozen."""
    last = [seconds for seconds in run.columns["seconds"][-3:] if math.isfinite(seconds)]
    if run.end or run.source.epochs is None or not last:
        return ""
    left = sum(last) / len(last) * (run.source.epochs - run.columns["epoch"][-1])
    unit, size = ("s", 1) if left < 90 else ("min", 60) if left < 5400 else ("h", 3600)
    return f"  about {left / size:.{1 if unit == 'h' else 0}f} {unit} of training left"


def print_notes(runs: Sequence[Run]) -> None:
    for run in runs:
        if run.note:
            print(f"{Path(sys.argv[0]).name}: note: {run.note}", file=sys.stderr)


if __name__ == "__main__":
    main()
