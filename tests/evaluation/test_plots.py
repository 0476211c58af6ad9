"""What the plots of an evaluation show."""

import numpy as np
import pytest
from PIL import Image

from common.metrics import Interval
from evaluation import plots
from evaluation.plots import Bar, Curves

NAN = float("nan")


@pytest.mark.parametrize("last", [Interval(0.7, 0.6, 0.8), Interval(NAN, NAN, NAN)])
def test_the_axis_shows_the_bars_of_all_panels(tmp_path, monkeypatch, last):
    kept = []
    monkeypatch.setattr(plots, "save", lambda figure, path: kept.append(figure))
    low = Bar("pattern", 14, Interval(0.43, 0.353, 0.5), {"lstm": Interval(0.25, 0.2, 0.3)})
    plots.plot_bars(tmp_path / "bars.png", {"category": [low], "length": [Bar("1 to 8 words", 9, last, {})]})
    for panel in kept[0].axes:
        assert panel.get_xlim() == pytest.approx((0.24, 1.01))
    plots.pyplot().close(kept[0])


RNG = np.random.default_rng(0)
SCORES = Curves(RNG.normal(0.7, 0.1, 200), RNG.normal(0.3, 0.1, 200))
TEST = {"swap": SCORES, "mined": SCORES._replace(false=np.full(200, 0.99))}


@pytest.fixture
def kept(monkeypatch):
    """The figures that would be saved."""
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure, path: figures.append(figure))
    yield figures
    for figure in figures:
        plots.pyplot().close(figure)


def legend_of(panel):
    return [text.get_text() for text in panel.get_legend().get_texts()]


def test_the_score_panel_shows_only_the_captions_and_the_mixture(tmp_path, kept):
    bars = [Bar("swap", 200, Interval(0.9, 0.8, 1), {})]
    plots.plot_thresholds(tmp_path / "x.png", SCORES, SCORES, TEST, 0.5, "chosen", bars)
    panel = kept[0].axes[1]
    assert panel.get_xlabel() == "verdict score" and panel.get_ylabel() == "density"
    assert set(legend_of(panel)) == {"true captions (200)", "mixture of false texts (200)", "threshold: 0.500"}
    assert legend_of(kept[0].axes[2]) == ["swap", "mined", "at the threshold", "chance"]


def test_the_scores_of_each_kind_have_an_axis(tmp_path, kept):
    plots.plot_scores(tmp_path / "x.png", TEST, 0.5)
    for panel in kept[0].axes:
        assert panel.get_ylabel() == "density" and len(panel.get_yticks()) > 1


def test_the_precision_axis_is_not_cut(tmp_path, kept):
    """The false texts of "mined" score higher than nearly all captions: precision falls towards 0."""
    plots.plot_curves(tmp_path / "x.png", TEST, 0.5)
    precision = kept[0].axes[1]
    low, high = precision.get_ylim()
    values = np.concatenate([line.get_ydata() for line in precision.get_lines() if len(line.get_ydata())])
    assert (low, values.min() < 0.3) == (0, True) and values.max() <= high


def test_differences_share_an_axis_in_percentage_points_and_colours_are_explained(tmp_path, kept):
    found = {
        "swap": Interval(0.02, 0.01, 0.03),
        "mined": Interval(-0.02, -0.03, -0.01),
        "all": Interval(0, -0.01, 0.01),
    }
    plots.plot_differences(
        tmp_path / "x.png", "b minus a", {"kind": found, "recall@1": {"up": Interval(0.2, 0.1, 0.3)}}
    )
    first, second = kept[0].axes
    assert first.get_xlim() == second.get_xlim() and kept[0].get_suptitle() == "b minus a"
    drawn = [line for line in first.get_lines() if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in drawn] == pytest.approx([2, -2, 0])
    names = [text.get_text() for text in kept[0].legends[0].get_texts()]
    colours = dict(zip(names, (handle.get_color() for handle in kept[0].legends[0].legend_handles)))
    expected = ("better", "worse", "the interval contains 0")
    assert [line.get_color() for line in drawn] == [colours[name] for name in expected]


def test_rows_of_few_texts_are_grey(tmp_path, kept):
    few, many = (Bar(f"row {n}", n, Interval(0.9, 0.8, 1), {"lstm": Interval(0.5, 0.4, 0.6)}) for n in (29, 30))
    plots.plot_bars(tmp_path / "x.png", {"category": [few, many]})
    (panel,) = kept[0].axes
    assert [label.get_color() == plots.FAINT for label in panel.get_yticklabels()] == [True, False]
    dots = {line.get_ydata()[0]: line.get_color() for line in panel.get_lines() if line.get_marker() == "o"}
    assert dots == {1: plots.FAINT, 0: plots.COLOURS[0]}
    assert legend_of(panel) == ["model, 95 % interval", "model, n < 30", "blind: LSTM"]


@pytest.mark.parametrize(("ending", "begins"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_a_figure_has_the_format_of_its_file_name(tmp_path, ending, begins):
    plots.plot_scores(tmp_path / f"scores.{ending}", TEST, 0.5)
    assert (tmp_path / f"scores.{ending}").read_bytes().startswith(begins)
    assert [path.name for path in tmp_path.iterdir()] == [f"scores.{ending}"], "no temporary file is left"
    if ending == "png":
        with Image.open(tmp_path / "scores.png") as image:
            assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1) and image.width == 1600


def test_the_error_rate_rises_with_the_coverage_and_risks_are_named_once(tmp_path, kept):
    scores = Curves(np.array([0.9, 0.6, 0.4]), np.array([0.1, 0.3, 0.8]))
    at_risks = {
        0.01: {"coverage": 0.0, "error": NAN},
        0.05: {"coverage": 0.5, "error": 0.0},
        0.1: {"coverage": 1.0, "error": 1 / 3},
        0.2: {"coverage": 1.0, "error": 1 / 3},
    }
    plots.plot_risk(tmp_path / "x.png", scores, 0.5, at_risks)
    (panel,) = kept[0].axes
    curve, dots = panel.get_lines()
    # Distances from the threshold: 0.4 twice, 0.3 of a false text that is accepted, 0.2, 0.1, 0.1 of a refused caption.
    np.testing.assert_allclose(curve.get_xdata(), np.arange(1, 7) / 6)
    assert curve.get_ydata()[1] == 0 and curve.get_ydata()[2] == pytest.approx(1 / 3)
    assert curve.get_ydata()[-1] == pytest.approx(1 / 3)
    assert list(dots.get_xdata()) == [0.5, 1.0]
    assert [text.get_text() for text in panel.texts] == ["0.05", "0.1"]
