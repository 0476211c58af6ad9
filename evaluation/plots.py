"""The plots of an evaluation. A kind of false text has the same colour in all plots."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from common.metrics import Floats, Interval, Reliability, equilibrium_threshold, rates, threshold_curve
from evaluation.rows import FEW
from evaluation.style import COLOURS, DARK, GREY, pyplot, save
from evaluation.texts import SHOWN

OF_KIND = {"true captions": GREY, **dict(zip(SHOWN, COLOURS)), "mixture": DARK}
BLIND = {"tfidf": ("TF-IDF", "|"), "lstm": ("LSTM", "x")}  # blind judges: name and marker
BELOW = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.12), "fontsize": 9, "frameon": False}
DOT = {"marker": "o", "ls": "", "color": DARK, "ms": 5}
FAINT = "#A6A6A6"
EXAMPLES = 4  # pictures in a line of the page of errors
LEGEND_OF_ERRORS = (
    "Number: verdict score. Shade: word score, from orange (low) to blue (high). "
    "Underlined: words that make a text false."
)


class Bar(NamedTuple):
    """A figure of the model and of each blind judge on the same texts, with intervals."""

    name: str
    n: int
    found: Interval
    blind: Mapping[str, Interval]


class Curves(NamedTuple):
    """Scores of the false texts of one kind, and of their captions."""

    true: Floats
    false: Floats


def plot_thresholds(
    path: Path,
    validation: Curves | None,
    mixture: Curves,
    test: Mapping[str, Curves],
    threshold: float,
    chosen: str,
    bars: Sequence[Bar],
) -> None:
    """Four panels: rates over the threshold on validation; on test the scores, ROC curves and balanced accuracies.

    validation, mixture: scores of the mixture on validation (None: its panel stays empty) and on test; test: scores by
    kind.
    """
    figure, axes = pyplot().subplots(2, 2, figsize=(12, 9.5), layout="constrained")
    panel = axes[0, 0]
    if validation is None:
        panel.set_axis_off()
    else:
        _rates(panel, validation, threshold, chosen)

    panel = axes[0, 1]
    _histograms(panel, mixture, _bins([mixture]), f"mixture of false texts ({len(mixture.false):,})", COLOURS[5])
    panel.axvline(threshold, color=DARK, ls="--", lw=1, label=f"threshold: {threshold:.3f}")
    panel.set(title="Verdict scores (test)", xlabel="verdict score", ylabel="density")
    panel.legend(ncols=3, **BELOW)

    _roc(axes[1, 0], test, threshold)
    _bars(axes[1, 1], bars)
    axes[1, 1].set(title="Balanced accuracy (test)")
    save(figure, path)


def _rates(panel: Any, validation: Curves, threshold: float, chosen: str) -> None:
    """Recall, specificity and their mean over the threshold."""
    curve = threshold_curve(*validation)
    balanced = (curve.recall + curve.specificity) / 2
    panel.plot(curve.thresholds, curve.recall, label="recall")
    panel.plot(curve.thresholds, curve.specificity, label="specificity")
    panel.plot(curve.thresholds, balanced, color=DARK, lw=2, label="balanced accuracy")
    equal = equilibrium_threshold(*validation)
    best = curve.thresholds[np.argmax(balanced)]
    panel.axvline(threshold, color=DARK, ls="--", lw=1, label=f"{chosen}: {threshold:.3f}")
    panel.plot(best, balanced.max(), "*", color=DARK, ms=12, label=f"best: {balanced.max():.3f} at {best:.3f}")
    panel.axvline(equal, color=GREY, ls=":", lw=1.5, label=f"recall = specificity: {equal:.3f}")
    panel.set(title="Rates by threshold (validation)", xlabel="threshold", ylabel="rate", ylim=(0, 1.02))
    panel.legend(ncols=2, **BELOW)


def _bins(curves: Iterable[Curves]) -> Floats:
    """Edges of 60 bins over all scores; the last bin includes its upper edge."""
    everything = np.concatenate([scores for both in curves for scores in both])
    return np.linspace(everything.min(), everything.max(), 60)


def _histograms(panel: Any, curves: Curves, bins: Floats, label: str, colour: str | None) -> None:
    panel.hist(curves.true, bins, density=True, color=GREY, alpha=0.45, label=f"true captions ({len(curves.true):,})")
    panel.hist(curves.false, bins, density=True, color=colour, alpha=0.55, label=label)


def _roc(panel: Any, test: Mapping[str, Curves], threshold: float) -> None:
    for kind, curves in test.items():
        roc = threshold_curve(*curves)
        panel.plot(1 - roc.specificity, roc.recall, color=OF_KIND.get(kind), label=kind)
        at = rates(*curves, threshold)
        panel.plot(1 - at.specificity, at.recall, **DOT)
    panel.plot([], [], label="at the threshold", **DOT)
    panel.plot([0, 1], [0, 1], color=GREY, ls=":", lw=1, label="chance")
    panel.set(title="ROC (test)", xlabel="1 - specificity", ylabel="recall", aspect="equal")
    panel.legend(ncols=3, **BELOW | {"bbox_to_anchor": (0.5, -0.16)})  # lower: a square panel can be a small one


def _least(bars: Iterable[Bar]) -> float:
    """The lower end of an axis that shows all bars."""
    marks = [x - 0.01 for bar in bars for x in (bar.found.low, *(blind.value for blind in bar.blind.values()))]
    return float(np.nanmin([0.4, *marks]))


def _bars(panel: Any, bars: Sequence[Bar]) -> None:
    """A dot with its interval on each line, and a mark for each blind judge; grey if there are few texts."""
    lines = np.arange(len(bars))[::-1]
    value, low, high = np.array([bar.found for bar in bars]).T
    # With few photographs a figure can lie outside its interval; matplotlib refuses negative errors.
    errors = np.array([np.maximum(value - low, 0), np.maximum(high - value, 0)])
    few = np.array([bar.n < FEW for bar in bars])
    for some, colour, label in ((~few, COLOURS[0], "model, 95 % interval"), (few, FAINT, f"model, n < {FEW}")):
        if some.any():
            style = {"fmt": "o", "color": colour, "ms": 6, "capsize": 3}
            panel.errorbar(value[some], lines[some], xerr=errors[:, some], label=label, **style)
    for judge, (name, mark) in BLIND.items():
        known = [(bar.blind[judge].value, line) for bar, line in zip(bars, lines) if judge in bar.blind]
        if known:
            panel.plot(*np.array(known).T, mark, color=COLOURS[5], ms=9, mew=2, label=f"blind: {name}")
    panel.axvline(0.5, color=GREY, ls=":", lw=1)
    panel.set_yticks(lines, [f"{bar.name} ({bar.n:,})" for bar in bars], fontsize=9)
    for label, is_few in zip(panel.get_yticklabels(), few):
        label.set_color(FAINT if is_few else "black")
    panel.set_xlim(_least(bars), 1.01)
    handles, names = panel.get_legend_handles_labels()
    order = sorted(range(len(names)), key=lambda i: names[i].startswith("blind"))  # the model first
    columns = 2 if len(order) == 4 else 3
    panel.legend([handles[i] for i in order], [names[i] for i in order], ncols=columns, **BELOW)


def plot_scores(path: Path, test: Mapping[str, Curves], threshold: float) -> None:
    """For each kind of false text a panel with two histograms: of the false texts and of their captions."""
    figure, axes = pyplot().subplots(
        *(len(test), 1), figsize=(8, 1.2 + 1.7 * len(test)), sharex=True, squeeze=False, layout="constrained"
    )
    bins = _bins(test.values())
    for panel, (kind, curves) in zip(axes[:, 0], test.items()):
        _histograms(panel, curves, bins, f"{kind} ({len(curves.false):,})", OF_KIND.get(kind))
        panel.axvline(threshold, color=DARK, ls="--", lw=1, label=f"threshold: {threshold:.3f}")
        panel.set_ylabel("density")
        panel.legend(loc="upper left", fontsize=9, frameon=False)
    axes[0, 0].set_title("Verdict scores (test)")
    axes[-1, 0].set_xlabel("verdict score")
    save(figure, path)


def plot_curves(path: Path, test: Mapping[str, Curves], threshold: float) -> None:
    """ROC curves, and precision over recall; every kind has as many false texts as captions."""
    figure, (left, right) = pyplot().subplots(1, 2, figsize=(11, 5.2), layout="constrained")
    _roc(left, test, threshold)
    for kind, curves in test.items():
        curve = threshold_curve(*curves)
        precision = curve.recall / np.maximum(curve.recall + 1 - curve.specificity, 1e-12)
        some = curve.recall > 0.02  # below, precision of a few texts jumps between 0 and 1
        right.plot(curve.recall[some], precision[some], color=OF_KIND.get(kind), label=kind)
        at = rates(*curves, threshold)
        if accepted := at.recall + 1 - at.specificity:
            right.plot(at.recall, at.recall / accepted, **DOT)
    right.plot([], [], label="at the threshold", **DOT)
    right.axhline(0.5, color=GREY, ls=":", lw=1, label="chance")
    right.set(title="Precision and recall (test)", xlabel="recall", ylabel="precision", ylim=(0, 1.02))
    right.legend(ncols=3, **BELOW)
    save(figure, path)


def plot_reliability(path: Path, found: Reliability, error: float, brier: float) -> None:
    """A reliability diagram: calibrated probabilities lie on the diagonal."""
    layout = {"figsize": (6.5, 6.5), "height_ratios": (4, 1), "sharex": True, "layout": "constrained"}
    figure, (top, bottom) = pyplot().subplots(2, 1, **layout)
    top.plot([0, 1], [0, 1], color=GREY, ls=":", lw=1, label="perfect calibration")
    label = f"model: ECE {error:.3f}, Brier score {brier:.3f}"
    top.plot(found.probability, found.fraction, "o-", clip_on=False, zorder=3, label=label)
    top.set(title="Calibration (test, mixture)", ylabel="fraction of true texts", ylim=(0, 1), xlim=(0, 1))
    figure.legend(loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    bottom.bar(found.probability, found.texts, width=0.04)
    bottom.set(xlabel="probability of a match", ylabel="texts")
    save(figure, path)


def plot_risk(path: Path, mixture: Curves, threshold: float, at_risks: Mapping[float, Mapping[str, float]]) -> None:
    """Risk-coverage curve: the error rate of the verdicts over the fraction of texts that get one.

    The curve gives verdicts to the scores farthest from the threshold first. at_risks: what the limits for a risk do,
    which were chosen on validation.
    """
    figure, panel = pyplot().subplots(figsize=(7.5, 5.5), layout="constrained")
    scores = np.concatenate(mixture).astype(np.float64)
    wrong = np.concatenate([mixture.true < np.float64(threshold), mixture.false >= np.float64(threshold)])
    weights = np.repeat([0.5 / len(mixture.true), 0.5 / len(mixture.false)], [len(mixture.true), len(mixture.false)])
    order = np.argsort(-np.abs(scores - threshold), kind="stable")
    coverage, errors = np.cumsum(weights[order]), np.cumsum((weights * wrong)[order])
    some = coverage > 0.02  # below, the error rate of a few texts jumps
    panel.plot(coverage[some], (errors / coverage)[some], color=COLOURS[0], label="farthest from the threshold first")
    given: dict[float, Mapping[str, float]] = {}
    for risk, found in sorted(at_risks.items()):
        if found["coverage"] and found not in given.values():  # of equal points only the lowest risk has a name
            given[risk] = found
    panel.plot(*([found[name] for found in given.values()] for name in ("coverage", "error")), label="--risk", **DOT)
    for risk, found in given.items():
        place = {"textcoords": "offset points", "xytext": (5, 5), "fontsize": 8}
        panel.annotate(f"{risk:g}", (found["coverage"], found["error"]), **place)
    panel.set(title="Error rate of verdicts (test, mixture)", xlabel="coverage", ylabel="error rate", xlim=(0, 1.02))
    panel.set_ylim(bottom=0)
    panel.legend(ncols=2, **BELOW)
    save(figure, path)


def plot_bars(path: Path, sections: Mapping[str, Sequence[Bar]]) -> None:
    """Balanced accuracy of the model and of the blind judges; each section of the table has a panel."""
    counts = [len(bars) for bars in sections.values()]
    layout = {"figsize": (8, 1.6 * len(counts) + 0.32 * sum(counts)), "height_ratios": counts, "squeeze": False}
    figure, axes = pyplot().subplots(len(counts), 1, layout="constrained", sharex=True, **layout)
    for panel, (section, bars) in zip(axes[:, 0], sections.items()):
        _bars(panel, bars)
        panel.set_title(section)
        panel.set_ylim(-0.6, len(bars) - 0.4)
        if panel is not axes[-1, 0]:
            panel.get_legend().remove()
    axes[-1, 0].set_xlim(_least(bar for bars in sections.values() for bar in bars), 1.01)  # the panels share their axis
    axes[-1, 0].set_xlabel("balanced accuracy (test)")
    axes[-1, 0].get_legend().set_bbox_to_anchor((0.4, -0.7 / counts[-1] - 0.12), transform=axes[-1, 0].transAxes)
    save(figure, path)


def plot_differences(path: Path, title: str, sections: Mapping[str, Mapping[str, Interval]]) -> None:
    """Differences of two models with their paired intervals; grey if the interval contains 0."""
    counts = [len(found) for found in sections.values()]
    layout = {"figsize": (8, 2 + 0.6 * len(counts) + 0.32 * sum(counts)), "height_ratios": counts, "squeeze": False}
    figure, axes = pyplot().subplots(len(counts), 1, layout="constrained", sharex=True, **layout)
    for panel, (section, found) in zip(axes[:, 0], sections.items()):
        for line, difference in zip(range(len(found))[::-1], found.values()):
            value, low, high = (100 * x for x in difference)
            colour = FAINT if low <= 0 <= high else COLOURS[0 if value > 0 else 5]
            panel.plot([low, high], [line, line], color=colour, lw=2)
            panel.plot(value, line, "o", color=colour, ms=6)
        panel.axvline(0, color=DARK, lw=1)
        panel.set_yticks(range(len(found))[::-1], list(found), fontsize=9)
        panel.set_ylim(-0.6, len(found) - 0.4)
        panel.set_title(section)
    axes[-1, 0].set_xlabel("difference in percentage points, 95 % interval over pictures")
    figure.suptitle("\n".join(textwrap.wrap(title, 70)), weight="bold")
    for colour, name in ((COLOURS[0], "better"), (COLOURS[5], "worse"), (FAINT, "the interval contains 0")):
        axes[-1, 0].plot([], [], "o-", color=colour, lw=2, ms=6, label=name)
    figure.legend(loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    save(figure, path)


class Word(NamedTuple):
    """A word of a text, its score, and whether the word makes the text false."""

    text: str
    score: float
    changed: bool


class Example(NamedTuple):
    """A text with a wrong verdict."""

    picture: Image.Image
    score: float
    words: Sequence[Word]


def plot_errors(path: Path, errors: Mapping[str, Sequence[Example]]) -> None:
    """A page of pictures with their texts, a line for each kind of error; see LEGEND_OF_ERRORS."""
    cell = 3.15  # inches of a line: its title, the pictures, three lines of text
    height = cell * max(1, len(errors)) + 0.3
    figure = pyplot().figure(figsize=(3 * EXAMPLES, height))
    scores = [word.score for examples in errors.values() for example in examples for word in example.words]
    low, high = np.percentile(scores, (5, 95)) if scores else (0.0, 1.0)
    for line, (kind, examples) in enumerate(errors.items()):
        top = height - 0.1 - line * cell
        figure.text(0.01, top / height, kind, weight="bold", va="top")
        for column, example in enumerate(examples[:EXAMPLES]):
            left, width = column / EXAMPLES + 0.01, 1 / EXAMPLES - 0.02
            panel = figure.add_axes((left, (top - 2.3) / height, width, 2.0 / height))
            panel.imshow(example.picture)
            panel.axis("off")
            below = figure.add_axes((left, (top - 3.05) / height, width, 0.7 / height))
            below.axis("off")
            _write(below, example, float(low), float(high))
    if errors:
        figure.text(0.01, 0.1 / height, LEGEND_OF_ERRORS, fontsize=9, color=GREY)
    else:
        figure.text(0.5, 0.5, "no error in the test split", ha="center")
    save(figure, path)


def _write(panel: Any, example: Example, low: float, high: float) -> None:
    """Write the score and the words, in lines as wide as the panel."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("fit", (COLOURS[1], "#FFFFFF", COLOURS[4]))
    renderer = panel.figure.canvas.get_renderer()
    box = panel.get_window_extent(renderer)
    x, y = 0.0, 1.0
    first = panel.text(0, 1, f"{example.score:.3f}", fontsize=9, color=GREY, va="top")
    space = 4 / box.width
    x = first.get_window_extent(renderer).width / box.width + 2 * space
    for word in example.words:
        shade = colours(float(np.clip((word.score - low) / max(high - low, 1e-9), 0, 1)))
        drawn = panel.text(x, y, word.text, fontsize=9, va="top", bbox={"facecolor": shade, "lw": 0, "pad": 1.2})
        width = drawn.get_window_extent(renderer).width / box.width
        if x + width > 1 and x > 0:
            x, y = 0.0, y - 17 / box.height
            drawn.set_position((x, y))
        if word.changed:
            panel.plot([x, x + width], [y - 15 / box.height] * 2, color=DARK, lw=1.6, clip_on=False)
        x += width + space
    panel.set(xlim=(0, 1), ylim=(0, 1))
