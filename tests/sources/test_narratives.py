"""Localized Narratives of the datasets that are read, and of others."""

import json
from pathlib import Path
from typing import Any

import pytest
from raw_files import narrative, write

from sources.items import LeftOut, Listed, Note, Text
from sources.narratives import read_narratives, read_traces


def narratives(folder: Path, *lines: Any) -> Path:
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    return write(folder, {"narratives.jsonl": text}) / "narratives.jsonl"


@pytest.mark.parametrize(
    ("dataset", "image", "identity", "split"),
    [
        ("mscoco_train2017", "9", "coco:9", None),
        ("mscoco_val2017", "137576", "coco:137576", None),
        ("Flickr30k_train", "1000092795", "flickr:1000092795", "train"),
        ("Flickr30k_val", "1000092795", "flickr:1000092795", "validation"),
        ("Flickr30k_test", "1000092795", "flickr:1000092795", "test"),
        ("ADE20k_train", "ADE_train_00000970", "ade20k:ADE_train_00000970", None),
        ("ADE20k_validation", "ADE_val_00000046", "ade20k:ADE_val_00000046", None),
    ],
)
def test_narratives_have_the_identity_of_their_picture(tmp_path, dataset, image, identity, split):
    file = narratives(tmp_path, narrative(dataset, image))
    text = Text(identity, "In this image I can see a dog.", "narrative", "narratives.jsonl:1")
    assert list(read_narratives(file)) == ([Listed(identity, split, text.where)] if split else []) + [text]


def test_the_image_id_can_be_a_number_and_traces_can_be_absent(tmp_path):
    record = {"dataset_id": "mscoco_val2017", "image_id": 9, "annotator_id": 0, "caption": "A dog."}
    assert list(read_narratives(narratives(tmp_path, record))) == [
        Text("coco:9", "A dog.", "narrative", "narratives.jsonl:1")
    ]


def test_narratives_of_other_datasets_are_one_entry_each(tmp_path):
    train, test = (narrative(f"open_images_{part}", "000a1249af2bc5f0") for part in ("train", "test"))
    file = narratives(tmp_path, train, narrative("mscoco_val2017", "9"), train, test, train)
    reason = "describes pictures of a dataset that this program does not read"
    assert list(read_narratives(file)) == [
        Text("coco:9", "In this image I can see a dog.", "narrative", "narratives.jsonl:2"),
        LeftOut("collection", "narratives.jsonl:open_images_test", reason, captions=1, photographs=1),
        LeftOut("collection", "narratives.jsonl:open_images_train", reason, captions=3, photographs=3),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"dataset_id": "mscoco_val2017", "image_id": "9", "cap', "JSONDecodeError: "),
        ("<html>", "JSONDecodeError: Expecting value"),
        ({"dataset_id": "mscoco_val2017", "image_id": "9"}, "KeyError: 'caption'"),
        ({"dataset_id": "mscoco_val2017", "caption": "A dog."}, "KeyError: 'image_id'"),
        ({"dataset_id": None, "image_id": "9", "caption": "A dog."}, "AttributeError: 'NoneType' object"),
        ([1, 2], "TypeError: list indices"),
        ("null", "TypeError: 'NoneType' object"),
        (narrative("mscoco_val2017", "9", "A \ud83d dog"), "UnicodeEncodeError: 'utf-8' codec can't encode character"),
        ("[" * 100_000, "ValueError: nested too deeply"),
        (narrative("mscoco_val2017", "9", None), "the caption is not a text"),
        (narrative("open_images_train", "9", ["A dog."]), "the caption is not a text"),
    ],
)
def test_a_broken_narrative_is_reported_with_its_number_and_the_rest_is_kept(tmp_path, line, reason):
    whole = narrative("mscoco_val2017", "9", "A dog – 犬 🐕.")
    entry, *rest = read_narratives(narratives(tmp_path, "", line, whole))
    assert (entry.what, entry.where, entry.captions, entry.photographs) == ("line", "narratives.jsonl:2", 1, 0)
    assert entry.reason.removeprefix("not a record of Localized Narratives: ").startswith(reason)
    assert rest == [Text("coco:9", "A dog – 犬 🐕.", "narrative", "narratives.jsonl:3")]


def test_a_narrative_that_is_not_utf_8_is_reported(tmp_path):
    line = json.dumps(narrative("mscoco_val2017", "9", "A dog.")).encode()
    write(tmp_path, {"n.jsonl": b"\xef\xbb\xbf" + line + b"\n" + line.replace(b"dog", b"d\xf6g") + b"\n"})
    text, entry = read_narratives(tmp_path / "n.jsonl")
    assert text == Text("coco:9", "A dog.", "narrative", "n.jsonl:1")
    assert (entry.where, entry.reason[:43]) == ("n.jsonl:2", "not a record of Localized Narratives: Unico")


# Traces

TEXT = "In this image I can see a dog. There is a red ball on the grass."


def spoken(utterance: Any, start: Any, end: Any) -> dict[str, Any]:
    return {"utterance": utterance, "start_time": start, "end_time": end}


def trace(*points: tuple[Any, Any, Any]) -> list[dict[str, Any]]:
    """points: (t, x, y)"""
    return [{"x": x, "y": y, "t": t} for t, x, y in points]


def record(timed: Any, traces: Any) -> dict[str, Any]:
    return narrative("mscoco_val2017", "9", f" {TEXT} ") | {"timed_caption": timed, "traces": traces}


def found(timed: Any, traces: Any) -> dict[str, tuple[float, ...]]:
    """Words -> box."""
    return {TEXT[r.start : r.end]: r.boxes[0] for r in read_traces(TEXT, record(timed, traces))}


TIMED = [
    spoken("I can see ", 0.5, 1.0),
    spoken("a dog.", 1.2, 2.0),
    spoken("There is", 2.1, 2.5),
    spoken("a red ball", 3, 4),
]
TRACES = [
    trace((0.4, 0.9, 0.9), (1.2, 0.2, 0.3), (1.5, 0.1, 0.6)),
    trace((2.0, 0.4, 0.5), (2.05, 0.99, 0.99), (3.1, 0.5, -0.2), (3.9, 0.7, 0.2), (3.9, 1.3, 0.1), (4.1, 0.0, 0.0)),
]


def test_an_utterance_has_the_box_of_the_trace_while_it_was_spoken(tmp_path):
    """Over two strokes of the mouse; clipped to the picture. "I can see" and "There is" have no points."""
    assert found(TIMED, TRACES) == {"a dog.": (0.1, 0.3, 0.4, 0.6), "a red ball": (0.5, 0.0, 1.0, 0.2)}
    (text,) = read_narratives(narratives(tmp_path, record(TIMED, TRACES)))
    assert text.text == TEXT
    assert [TEXT[region.start : region.end] for region in text.regions] == ["a dog.", "a red ball"]


def test_the_order_of_strokes_and_points_does_not_matter():
    assert found(TIMED, [points[::-1] for points in reversed(TRACES)]) == found(TIMED, TRACES)


def test_equal_utterances_are_found_one_after_the_other():
    text = "a dog and a dog"
    timed = [spoken("a dog", 0, 1), spoken("and", 1.1, 1.9), spoken("a dog", 2, 3)]
    traces = [trace((0, 0.1, 0.1), (1, 0.2, 0.2), (2, 0.5, 0.5), (3, 0.9, 0.9))]
    regions = read_traces(text, record(timed, traces))
    assert [(r.start, r.boxes[0][0]) for r in regions] == [(0, 0.1), (10, 0.5)]


@pytest.mark.parametrize(
    ("timed", "traces"),
    [
        ([], TRACES),
        (TIMED, []),
        (TIMED, [[], []]),
        ([spoken("a dog", 2.0, 1.2)], TRACES),  # reversed times
        ([spoken("a cat", 1.2, 2.0)], TRACES),  # not in the caption
        ([spoken("  ", 1.2, 2.0)], TRACES),
        ([spoken("a dog", 1.2, 2.0)], [trace((1.5, 0.2, 0.2))]),  # the mouse did not move
        ([spoken("a dog", 1.2, 2.0)], [trace((1.5, 1.2, 0.2), (1.6, 1.4, 0.5))]),  # outside the picture
    ],
)
def test_without_a_trace_in_the_picture_there_is_no_region(timed, traces):
    assert found(timed, traces) == {}


def test_an_utterance_that_the_caption_lacks_does_not_stop_the_others():
    assert list(found([spoken("I can see a cat", 0, 1), *TIMED[1:]], TRACES)) == ["a dog.", "a red ball"]


@pytest.mark.parametrize(
    ("timed", "traces"),
    [
        (None, TRACES),
        (TIMED, None),
        (TIMED, 5),
        (TIMED, [[1, 2]]),
        (TIMED, [[{"x": 0.1, "y": 0.2}]]),
        (TIMED, [[{"x": 0.1, "y": "left", "t": 1}]]),
        (TIMED, [trace((1.5, float("nan"), 0.2), (1.6, float("nan"), 0.5))]),
        (TIMED, [[{"x": 10**400, "y": 0, "t": 1}]]),
        ([{"utterance": "a dog", "start_time": 1}], TRACES),
        ([spoken(None, 1, 2)], TRACES),
        ([spoken("a dog", None, 2)], TRACES),
        ("a dog", TRACES),
    ],
)
def test_unreadable_traces_cost_the_boxes_and_not_the_narrative(tmp_path, timed, traces):
    text, good, note = read_narratives(narratives(tmp_path, record(timed, traces), record(TIMED, TRACES)))
    assert (text.text, text.regions) == (TEXT, ())
    assert len(good.regions) == 2
    assert note == Note("narratives.jsonl: 1 narratives have traces that cannot be read; stored without boxes")


@pytest.mark.parametrize("key", ["traces", "timed_caption"])
def test_a_narrative_without_traces_has_no_regions_and_no_note(tmp_path, key):
    without = record(TIMED, TRACES)
    del without[key]
    (text,) = read_narratives(narratives(tmp_path, without))
    assert text.regions == ()
