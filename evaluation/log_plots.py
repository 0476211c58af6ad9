"""The plots of training logs: losses, rates, learning rate, speed and threshold over the epochs.

The rates are those of the quick check after each epoch, which uses a few captions of each validation photograph.
Evaluate_test.py measures all captions, with other negatives, so its figures differ.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from evaluation.logs import Run
from evaluation.style import COLOURS, FigureFormat, pyplot, save

DASHES, MARKERS = ("-", "--", ":", "-."), (".", "s", "^", "x")  # for the first 7 runs, for the next 7 ...
MOST_RUNS = len(COLOURS) * len(DASHES)
GREY = "#595959"
WIDTH = 9.0  # inches


def draw(runs: Sequence[Run], out: str | None, ending: FigureFormat = "png") -> list[Path]:
    """Write both plots into the folder `out`, by default that of the first log. Returns their files."""
    folder = Path(out) if out else runs[0].source.log.parent
    folder.mkdir(parents=True, exist_ok=True)
    end = "over_training" if len(runs) == 1 else f"of_{joined([run.label for run in runs])}"
    figures = {"metrics": metrics_figure, "threshold": threshold_figure}
    paths = []
    for name, make in figures.items():
        paths.append(folder / f"{name}_{end}.{ending}")
        save(make(runs), paths[-1])
    return paths


def joined(names: Sequence[str]) -> str:
    """A_B_C for a file name, or A_and_N_more if this would be too long."""
    names = [re.sub(r"[^\w.-]+", "-", name).strip("-") for name in names]
    whole = "_".join(names)
    return whole if len(whole) <= 60 else f"{names[0][:40]}_and_{len(names) - 1}_more"


class Style(NamedTuple):
    """How a run is drawn: 7 colours, then the same colours with other dashes and markers."""

    colour: str
    dash: str = "-"
    marker: str = "."

    @classmethod
    def of(cls, number: int) -> "Style":
        return cls(f"C{number % len(COLOURS)}", DASHES[number // len(COLOURS)], MARKERS[number // len(COLOURS)])

    @property
    def look(self) -> dict[str, Any]:
        size = 6 if self.marker == "." else 4
        return {"color": self.colour, "ls": self.dash, "marker": self.marker, "ms": size, "lw": 1.5}

    def plot(self, panel: Any, run: Run, column: str, **changes: Any) -> None:
        marked = marked_epochs(run.columns[column], dots=self.marker == ".")
        panel.plot(run.columns["epoch"], run.columns[column], **self.look | {"markevery": marked} | changes)

    def star(self, panel: Any, run: Run, column: str) -> None:
        """Draw a star at the epoch whose weights are kept."""
        if run.best is not None:
            at = run.columns["epoch"][run.best], run.columns[column][run.best]
            panel.plot(*at, "*", color=self.colour, mec="k", mew=0.6, ms=12, zorder=4)


def marked_epochs(values: Sequence[float], dots: bool) -> list[int]:
    """Indices of the markers.

    Up to 15 epochs all have a marker. Of more epochs about 15 have one, or none if the markers are dots, which do not
    distinguish runs. An epoch between two NaN always has one: without a marker it would be invisible.
    """
    step = math.ceil(len(values) / 15)
    around = [math.nan, *values, math.nan]
    alone = [math.isnan(left) and math.isnan(right) for left, right in zip(around, around[2:])]
    return [i for i in range(len(values)) if alone[i] or step == 1 or (not dots and i % step == 0)]


def metrics_figure(runs: Sequence[Run]) -> Any:
    """Losses and rates above; learning rate, speed and waiting below."""
    figure = pyplot().figure(figsize=(WIDTH, 6.8 + legend_height(runs)), layout="constrained")
    mosaic = [["loss"] * 3 + ["rates"] * 3, ["learning_rate"] * 2 + ["pairs_per_second"] * 2 + ["waiting"] * 2]
    panels = figure.subplot_mosaic(mosaic, height_ratios=(3, 2))
    draw_losses(panels["loss"], runs)
    draw_rates(panels["rates"], runs)
    panels["loss"].set(title="Loss", ylabel="loss")
    rate = "rate" if len(runs) == 1 else "balanced accuracy"
    panels["rates"].set(title="Quick check on validation", ylabel=f"{rate}, quick check")
    below = {  # title, unit, and the factor from the log to this unit
        "learning_rate": ("Learning rate", "10⁻³, of the branches", 1e3),
        "pairs_per_second": ("Speed", "captions/s", 1),
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
    """One run: training and validation in two colours. Several: in the colour of the run, validation dashed."""
    if len(runs) == 1:
        only_tags, others = split_by_check(runs[0], "train_loss")
        if not all(map(math.isnan, only_tags.columns["train_loss"])):
            Style("C0").plot(panel, only_tags, "train_loss", ls=":", label="training, only the tag loss")
        Style("C0").plot(panel, others, "train_loss", label="training")
        Style("C5").plot(panel, runs[0], "val_loss", label="validation")
    else:
        for i, run in enumerate(runs):
            Style.of(i).plot(panel, run, "train_loss", ls="-")
            Style.of(i).plot(panel, run, "val_loss", ls="--")
        panel.plot([], [], "-", color=GREY, label="training")
        panel.plot([], [], "--", color=GREY, label="validation")
    legend_below(panel)


def split_by_check(run: Run, column: str) -> tuple[Run, Run]:
    """The run with a column's values of only those epochs without a quick check, and of only those with one."""
    without = [math.isnan(value) for value in run.columns["threshold"]]
    parts = (
        [value if here == which else math.nan for value, here in zip(run.columns[column], without)]
        for which in (True, False)
    )
    only, others = (run._replace(columns=run.columns | {column: part}) for part in parts)
    return only, others


def draw_rates(panel: Any, runs: Sequence[Run]) -> None:
    """One run: balanced accuracy, recall and specificity. Several: only balanced accuracy."""
    if len(runs) == 1:
        Style("k").plot(panel, runs[0], "balanced_accuracy", lw=2, zorder=3, label="balanced accuracy")
        Style("C2").plot(panel, runs[0], "recall", lw=1, ms=4, label="recall")
        Style("C3").plot(panel, runs[0], "specificity", lw=1, ms=4, label="specificity")
        Style("k").star(panel, runs[0], "balanced_accuracy")
    else:
        for i, run in enumerate(runs):
            Style.of(i).plot(panel, run, "balanced_accuracy")
            Style.of(i).star(panel, run, "balanced_accuracy")
        panel.plot([], [], ls="", marker="*", ms=11, color=GREY, label="epoch that is kept")
    legend_below(panel)


def threshold_figure(runs: Sequence[Run]) -> Any:
    """The threshold of each epoch, with a star at the epoch whose weights are kept."""
    figure = pyplot().figure(figsize=(WIDTH, 4.2 + legend_height(runs)), layout="constrained")
    panel = figure.subplots()
    for i, run in enumerate(runs):
        Style.of(i).plot(panel, run, "threshold")
        Style.of(i).star(panel, run, "threshold")
    panel.plot([], [], ls="", marker="*", ms=11, color=GREY, label="epoch that is kept")
    legend_below(panel)
    panel.set(title="Threshold with the best balanced accuracy in the quick check", ylabel="threshold")
    finish(figure, runs)
    return figure


def legend_below(panel: Any) -> None:
    """Put the legend below the axis, where it covers no curve."""
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.17), "ncols": 3}
    panel.legend(**place, fontsize=9, frameon=False, columnspacing=1.2, handlelength=1.8)


def headline(run: Run) -> str:
    """The run's name, cut in the middle to 48 characters, and the epoch that is kept."""
    name = run.label if len(run.label) <= 48 else f"{run.label[:20]} … {run.label[-25:]}"
    name = name.replace("$", r"\$")  # matplotlib would read a formula
    if run.best is None:
        return f"{name}: no epoch is kept"
    return f"{name}: {run.columns['balanced_accuracy'][run.best]:.4f} in epoch {run.columns['epoch'][run.best]:.0f}"


def legend_columns(runs: Sequence[Run]) -> int:
    """Columns of the legend that fit: a character of 9 points takes 0.08 inches, the line in front of it 0.6."""
    return max(1, min(len(runs), int(WIDTH / (0.6 + 0.08 * max(len(headline(run)) for run in runs)))))


def legend_height(runs: Sequence[Run]) -> float:
    """Height of the legend in inches."""
    return 0.0 if len(runs) == 1 else 0.5 + 0.2 * math.ceil(len(runs) / legend_columns(runs))


def finish(figure: Any, runs: Sequence[Run]) -> None:
    """Add the axis of epochs to all panels, the names of the runs, and what the quick check is."""
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    last = max(run.columns["epoch"][-1] for run in runs)
    margin = max(0.5, 0.03 * last)
    for panel in figure.axes:
        panel.set(xlabel="epoch", xlim=(1 - margin, last + margin))
        panel.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    if len(runs) == 1:
        figure.supxlabel(quick_check(runs), fontsize=9, color=GREY)
        figure.suptitle(f"{headline(runs[0])} (balanced accuracy, quick check)", fontsize=12)
        return
    handles = [pyplot().Line2D([], [], **Style.of(i).look) for i in range(len(runs))]
    place = {
        "loc": "outside lower center",
        "ncols": legend_columns(runs),
        "title": f"Balanced accuracy of the epoch that is kept\n{quick_check(runs)}",
    }
    figure.legend(handles, [headline(run) for run in runs], **place, fontsize=9, title_fontsize=9, frameon=False)


def quick_check(runs: Sequence[Run]) -> str:
    """What the rates of the log are measured on."""
    captions = {run.source.captions for run in runs}
    number = next(iter(captions)) if len(captions) == 1 else None
    some = "some captions" if number is None else "one caption" if number == 1 else f"up to {number} captions"
    return f"Quick check: {some} of each validation picture. Evaluate_test.py measures all captions."
