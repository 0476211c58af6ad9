"""The report's JSON."""

from common.metrics import Interval
from evaluation.report import plain


def test_json_has_null_where_nothing_could_be_measured():
    assert plain({"a": [Interval(0.5, float("nan"), 1.0)], "b": "c"}) == {
        "a": [{"value": 0.5, "low": None, "high": 1.0}],
        "b": "c",
    }
