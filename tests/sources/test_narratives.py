"""Localized Narratives of the datasets that are read, and of others."""

import json
from pathlib import Path
from typing import Any

import pytest
from raw_files import narrative, write

from sources.items import LeftOut, Listed, Text
from sources.narratives import read_narratives


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
