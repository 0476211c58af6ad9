"""What the plots of an evaluation show."""

import pytest

from common.metrics import Interval
from evaluation import plots
from evaluation.plots import Bar

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
