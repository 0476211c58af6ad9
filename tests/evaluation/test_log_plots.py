"""The plots of one log and of several logs."""

import math

import pytest
from conftest import run_script
from logs import make_model, row, write_log

from Config import Config
from evaluation.log_plots import headline, joined, marked_epochs, metrics_figure, threshold_figure
from evaluation.logs import load
from training.log import LOG_COLUMNS


def curves(panel) -> list[tuple[str, str, list[float]]]:
    """Colour, dash and values of each line that has data."""
    lines = [line for line in panel.get_lines() if len(line.get_xdata()) and line.get_marker() != "*"]
    return [(line.get_color(), line.get_linestyle(), list(line.get_ydata())) for line in lines]


def stars(panel) -> list[tuple[float, float]]:
    lines = [line for line in panel.get_lines() if len(line.get_xdata()) and line.get_marker() == "*"]
    return [(line.get_xdata()[0], line.get_ydata()[0]) for line in lines]


def test_the_plots_of_one_run(tmp_path):
    log = write_log(tmp_path / "one", [row(1, 0.6), row(2, 0.75), row(3, 0.75), row(4, 0.7)])
    (run,) = load([str(log)])
    figure = metrics_figure([run])
    panels = {panel.get_title(): panel for panel in figure.axes}
    assert [values for *_, values in curves(panels["Loss"])] == [[3, 1.5, 1, 0.75], [3.2, 1.7, 1.2, 0.95]]
    rates = [values for *_, values in curves(panels["Quick check on validation"])]
    assert rates[0] == [0.6, 0.75, 0.75, 0.7]
    assert rates[1:] == [run.columns["recall"], run.columns["specificity"]]
    assert stars(panels["Quick check on validation"]) == [(2, 0.75)], "of two equal epochs the first is kept"
    assert [values for *_, values in curves(panels["Waiting for data"])] == [[5.0] * 4], "in %"
    assert [values for *_, values in curves(panels["Speed"])] == [[201, 202, 203, 204]]
    assert curves(panels["Learning rate"])[0][2] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4]), "in thousandths"
    assert all(panel.get_xlabel() == "epoch" and panel.get_ylabel() for panel in figure.axes)
    assert figure.get_suptitle() == "one: 0.7500 in epoch 2 (balanced accuracy, quick check)"
    (threshold,) = threshold_figure([run]).axes
    assert [values for *_, values in curves(threshold)] == [[0.4] * 4]
    assert stars(threshold) == [(2, 0.4)]


def test_the_plots_of_several_runs(tmp_path):
    logs = [write_log(tmp_path / f"r{i}", [row(1, 0.6), row(2, 0.7 + 0.01 * i)]) for i in range(9)]
    runs = load([str(log) for log in logs])
    figure = metrics_figure(runs)
    loss, rates = figure.axes[:2]
    assert [dash for _, dash, _ in curves(loss)] == ["-", "--"] * 9, "training, validation"
    assert [colour for colour, _, _ in curves(loss)][:4] == ["C0", "C0", "C1", "C1"]
    assert [values for *_, values in curves(rates)] == [run.columns["balanced_accuracy"] for run in runs]
    assert stars(rates) == [(2, 0.7 + 0.01 * i) for i in range(9)]
    looks = [(colour, dash) for colour, dash, _ in curves(rates)]
    assert len(set(looks)) == 9
    assert [dash for _, dash in looks] == ["-"] * 7 + ["--"] * 2, "when the colours repeat, the dash changes"
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == [f"r{i}: {0.7 + 0.01 * i:.4f} in epoch 2" for i in range(9)]


@pytest.mark.parametrize(("settings", "some"), [(2, "up to 2 captions"), (1, "one caption"), (None, "some captions")])
def test_the_figure_of_training_is_named_so_that_nobody_takes_it_for_that_of_an_evaluation(tmp_path, settings, some):
    log = write_log(tmp_path / "one", [row(1), row(2)])
    (run,) = load([str(log)])
    run = run._replace(source=run.source._replace(captions=settings))
    note = f"Quick check: {some} of each validation picture. Evaluate_test.py measures all captions."
    single, several = metrics_figure([run]), metrics_figure([run, run._replace(label="two")])
    assert single.get_supxlabel() == note
    assert several.legends[0].get_title().get_text() == f"Balanced accuracy of the epoch that is kept\n{note}"
    assert [figure.axes[1].get_ylabel() for figure in (single, several)] == [
        "rate, quick check",
        "balanced accuracy, quick check",
    ]


def test_the_quick_check_has_the_captions_of_the_settings(tmp_path):
    folder = make_model(tmp_path, "run", [row(1)])
    (run,) = load([str(folder)])
    assert run.source.captions == Config().data.captions_per_picture == 2


def test_no_legend_covers_a_curve(tmp_path):
    logs = [write_log(tmp_path / f"a-long-name-of-a-run-{i}", [row(1), row(2)]) for i in range(9)]
    runs = load([str(log) for log in logs])
    for shown in (runs[:1], runs[:2], runs):
        for figure in (metrics_figure(shown), threshold_figure(shown)):
            figure.canvas.draw()
            legends = [panel.get_legend() for panel in figure.axes if panel.get_legend()] + figure.legends
            assert legends
            for legend in legends:
                box = legend.get_window_extent()
                assert not any(box.overlaps(panel.get_window_extent()) for panel in figure.axes)
                assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, "it is wider than the picture"
                assert figure.bbox.y0 <= box.y0


def test_nan_is_a_gap_and_never_the_best(tmp_path):
    """Epoch 3 is between two gaps: without a marker it would be invisible."""
    rows = [row(epoch, 0.6) for epoch in range(1, 31)]
    for epoch in (2, 4):
        rows[epoch - 1] |= {"balanced_accuracy": math.nan, "val_loss": math.inf, "seconds": math.nan}
    log = write_log(tmp_path / "gaps", rows)
    run_script("Analyze_logs.py", "--model", log)
    (run,) = load([str(log)])
    assert run.best == 0
    assert marked_epochs(run.columns["balanced_accuracy"], dots=True) == [0, 2]
    assert marked_epochs(run.columns["val_loss"], dots=True) == [0, 2], "an infinite value is a gap too"
    blank = {name: math.nan for name in LOG_COLUMNS if name != "epoch"}
    log = write_log(tmp_path / "blank", [row(1) | blank, row(2) | blank])
    run_script("Analyze_logs.py", "--model", log)
    (run,) = load([str(log)])
    assert (run.best, headline(run)) == (None, "blank: no epoch is kept")


def test_the_file_name_of_several_runs():
    assert joined(["a/x/frozen", "other"]) == "a-x-frozen_other"
    assert joined([f"a-run-of-the-night-{i}" for i in range(9)]) == "a-run-of-the-night-0_and_8_more"


def test_epochs_of_only_the_tag_loss_have_a_line_of_their_own(tmp_path):
    """Their loss is another one than that of the epochs after them."""
    rows = [row(1), row(2), row(3, 0.6), row(4, 0.7)]
    for one in rows[:2]:
        one |= dict.fromkeys(("val_loss", "balanced_accuracy", "recall", "specificity", "threshold"), math.nan)
    (run,) = load([str(write_log(tmp_path / "one", rows))])
    (loss,) = (panel for panel in metrics_figure([run]).axes if panel.get_title() == "Loss")
    drawn = [(dash, [round(value, 2) for value in values if not math.isnan(value)]) for _, dash, values in curves(loss)]
    assert drawn == [(":", [3, 1.5]), ("-", [1, 0.75]), ("-", [1.2, 0.95])]
    assert next(text.get_text() for text in loss.get_legend().get_texts()) == "training, only the tag loss"
