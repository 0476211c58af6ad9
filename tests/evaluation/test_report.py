"""The JSON of a report."""

from common.metrics import Interval
from evaluation.report import plain


def test_nan_is_null_in_json():
    assert plain({"a": [Interval(0.5, float("nan"), 1.0)], "b": "c"}) == {
        "a": [{"value": 0.5, "low": None, "high": 1.0}],
        "b": "c",
    }
