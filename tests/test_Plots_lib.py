"""Plots_lib.py: what the reader of a plot must not miss."""

import pytest

import Plots_lib
from Metrics_lib import Interval
from Plots_lib import Bar

NAN = float("nan")


@pytest.mark.parametrize("last", [Interval(0.7, 0.6, 0.8), Interval(NAN, NAN, NAN)])
def test_all_bars_lie_on_the_axis_whatever_panel_they_are_in(tmp_path, monkeypatch, last):
    kept = []
    monkeypatch.setattr(Plots_lib, "save", lambda figure, path: kept.append(figure))
    low = Bar("pattern", 14, Interval(0.43, 0.353, 0.5), {"lstm": Interval(0.25, 0.2, 0.3)})
    Plots_lib.plot_bars(tmp_path / "bars.png", {"category": [low], "length": [Bar("1 to 8 words", 9, last, {})]})
    for panel in kept[0].axes:
        assert panel.get_xlim() == pytest.approx((0.24, 1.01))
    Plots_lib.pyplot().close(kept[0])
