"""Winoground: four claims a unit, and its three scores."""

import json
from typing import Any

from claims import lines, write

from evaluation.benchmarks import Claim, read_benchmark
from evaluation.benchmarks.winoground import WINOGROUND


def wino(**more: Any) -> dict[str, Any]:
    fields = {
        "id": 0,
        "image_0": "ex_0_img_0",
        "image_1": "ex_0_img_1",
        "caption_0": "an old, “wise” person kisses a young",
    }
    return {**fields, "caption_1": "a young person kisses an old, “wise”", "tag": "Adjective-Age", **more}


def test_winoground(tmp_path):
    rows = [
        wino(collapsed_tag="Object"),
        wino(caption_1=" "),
        wino(image_0=None),
        {key: value for key, value in wino().items() if key != "image_1"},
        [1],
        wino(),
    ]
    write(tmp_path, {"examples.jsonl": lines(*map(json.dumps, rows), b'{"image_0": "\xe4"}', "{")})
    found = read_benchmark(f"winoground={tmp_path / 'examples.jsonl'}")
    assert found.benchmark is WINOGROUND
    first, second = wino()["caption_0"], wino()["caption_1"]
    assert found.claims == [
        Claim(f"ex_0_img_{picture}", text, label, subset, unit)
        for unit, subset in enumerate(["Object", "Adjective-Age"])
        for picture, text, label in ((0, first, 1), (1, second, 1), (0, second, 0), (1, first, 0))
    ]
    assert [(entry.where, entry.captions) for entry in found.left_out] == [
        (f"examples.jsonl:{n}", 4) for n in (2, 3, 4, 5, 7, 8)
    ]
    reasons = [
        "caption_1 is empty",
        "image_0 is not a text",
        "lacks image_1",
        "not a JSON object",
        "not JSON: ",
        "not JSON: ",
    ]
    assert all(entry.reason.startswith(reason) for entry, reason in zip(found.left_out, reasons))
