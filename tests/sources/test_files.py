"""Missing, damaged and arbitrary files: errors name the file, and every line and record is accounted for."""

import json
import os
import re
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_files import (
    UNHURRIED,
    accounted,
    almost,
    coco_captions,
    coco_image,
    conversation,
    karpathy,
    of_type,
    sentence,
    write,
)

from sources import files
from sources.ade20k import read_ade20k
from sources.coco import read_coco
from sources.files import DEEPEST, find_folder, parse_json, read_lines, stream_json
from sources.flickr import read_flickr8k, read_flickr30k, read_kaggle_bars, read_tokens
from sources.items import Item, Text
from sources.narratives import read_narratives
from sources.pairs import read_pairs
from sources.sharegpt4v import read_sharegpt4v


@pytest.mark.parametrize(
    ("reader", "files", "message"),
    [
        (
            read_coco,
            ["annotations/captions_val2017.json", "test2017/1.jpg"],
            "--coco FOLDER has no pictures; it must be a folder with train2017/ or val2017/ (or those of 2014) and "
            "annotations/captions_*.json",
        ),
        (
            read_coco,
            ["val2017/1.jpg", "annotations/instances_val2017.json"],
            "--coco FOLDER has no captions; it must be a folder with train2017/ or val2017/ (or those of 2014) and "
            "annotations/captions_*.json, or dataset_coco.json",
        ),
        (
            read_flickr30k,
            ["results.csv"],
            "--flickr30k FOLDER has no pictures; it must be a folder with flickr30k-images/ and "
            "dataset_flickr30k.json or results_20130124.token or results.csv",
        ),
        (
            read_flickr30k,
            ["flickr30k-images/1.jpg", "captions.txt"],
            "--flickr30k FOLDER has no captions; it must be a folder with flickr30k-images/ and "
            "dataset_flickr30k.json or results_20130124.token or results.csv",
        ),
        (
            read_flickr8k,
            ["captions.txt"],
            "--flickr8k FOLDER has no pictures; it must be a folder with Flicker8k_Dataset/ and "
            "dataset_flickr8k.json or Flickr8k.token.txt or captions.txt",
        ),
        (
            read_flickr8k,
            ["Images/1_0123456789.jpg", "results.csv"],
            "--flickr8k FOLDER has no captions; it must be a folder with Flicker8k_Dataset/ and "
            "dataset_flickr8k.json or Flickr8k.token.txt or captions.txt",
        ),
        (
            read_ade20k,
            ["annotations/1.png"],
            "--ade20k FOLDER has no pictures; it must be a folder with images/training/ or images/validation/",
        ),
        (
            lambda folder: read_pairs(folder / "pairs.csv", folder),
            ["a.jpg"],
            f"there is no file FOLDER{os.sep}pairs.csv",
        ),
        (
            lambda folder: read_pairs(folder / "pairs.csv", folder / "images"),
            ["pairs.csv"],
            f"there is no folder FOLDER{os.sep}images; give the folder of the pictures with --images DIR",
        ),
        (lambda folder: read_narratives(folder / "n.jsonl"), ["a.jsonl"], f"there is no file FOLDER{os.sep}n.jsonl"),
        (lambda folder: read_sharegpt4v(folder / "s.json"), ["s.jsonl"], f"there is no file FOLDER{os.sep}s.json"),
    ],
)
@pytest.mark.parametrize("is_there", [True, False])
def test_what_is_missing_is_named_with_what_is_expected(tmp_path, reader, files, message, is_there):
    """If the whole folder is missing or is a file, the message is about its first missing part."""
    if is_there:
        write(tmp_path / "data", dict.fromkeys(files))
    with pytest.raises(FileNotFoundError) as missing:
        list(reader(tmp_path / "data"))
    error = str(missing.value)
    assert str(tmp_path / "data") in error
    if is_there:
        assert error == message.replace("FOLDER", str(tmp_path / "data"))


JSON_FILES: dict[str, tuple[Callable[[Path], Iterator[Item]], dict[str, None], Any]] = {
    "captions_val2017.json": (read_coco, {"val2017/9.jpg": None}, coco_captions((9, 1, "A meal."), (9, 2, "A plate."))),
    "dataset_coco.json": (
        read_coco,
        {"val2014/9.jpg": None},
        karpathy("coco", *(coco_image(n, "val2014", "val", sentence("A meal.", n)) for n in (1, 2))),
    ),
    "dataset_flickr30k.json": (
        read_flickr30k,
        {"images/7.jpg": None},
        karpathy("flickr30k", *[{"filename": "7.jpg", "split": "test", "sentences": [sentence("A dog.", 1)]}] * 2),
    ),
    "dataset_flickr8k.json": (
        read_flickr8k,
        {"Images/7_0123456789.jpg": None},
        karpathy(
            "flickr8k", *[{"filename": "7_0123456789.jpg", "split": "test", "sentences": [sentence("A dog.", 1)]}] * 2
        ),
    ),
    "share.json": (
        lambda folder: read_sharegpt4v(folder / "share.json"),
        {},
        [conversation("coco/train2017/000000000009.jpg", text) for text in ("A meal.", "A plate.")],
    ),
}


JSON_DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda data: data[:-30],
    "cut off in the middle": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "not UTF-8": lambda data: data.replace(b"A ", b"\xff "),
    "half a character": lambda data: data.replace(b"A ", b"\\udc00 "),
    "another file": lambda data: b"<!DOCTYPE html>",
    "JSON lines": lambda data: data + b"\n" + data,
    "other JSON": lambda data: b'{"categories": []}',
}


@pytest.mark.parametrize("name", JSON_FILES)
@pytest.mark.parametrize("damage", JSON_DAMAGE)
def test_a_damaged_json_file_is_refused_by_name(tmp_path, name, damage):
    reader, pictures, content = JSON_FILES[name]
    whole = json.dumps(content).encode()
    assert len(of_type(Text, reader(write(tmp_path / "whole", {**pictures, name: b"\xef\xbb\xbf" + whole})))) == 2
    damaged = write(tmp_path / "damaged", {**pictures, name: JSON_DAMAGE[damage](whole)})
    with pytest.raises(ValueError, match=re.escape(str(damaged / name))):
        list(reader(damaged))


@pytest.mark.parametrize(
    ("reader", "files"),
    [
        (read_flickr30k, {"images/7.jpg": None, "results_20130124.token": ""}),
        (read_flickr30k, {"images/7.jpg": None, "results.csv": ""}),
        (read_flickr8k, {"Images/7.jpg": None, "Flickr8k.token.txt": "\n \n", "Flickr_8k.testImages.txt": ""}),
        (lambda folder: read_narratives(folder / "n.jsonl"), {"n.jsonl": ""}),
        (lambda folder: read_pairs(folder / "pairs.csv", folder), {"pairs.csv": "image,caption\n"}),
        (lambda folder: read_coco(folder), {"val2017/notes.txt": "", "dataset_coco.json": '{"images": [0]}'}),
        (read_ade20k, {"images/training/notes.txt": ""}),
    ],
)
def test_empty_files_and_folders_give_no_text(tmp_path, reader, files):
    assert of_type(Text, reader(write(tmp_path, files))) == []


@given(lines=st.lists(st.binary().map(lambda line: line.replace(b"\n", b" ")), max_size=20))
@UNHURRIED
@pytest.mark.parametrize("reader", [read_tokens, read_kaggle_bars, read_narratives])
def test_every_line_of_any_bytes_is_accounted_for(tmp_path, reader, lines):
    file = write(tmp_path, {"any.txt": b"\xef\xbb\xbf" + b"\n".join(lines)}) / "any.txt"
    assert accounted(reader(file)) == sum(bool(line.strip()) for line in lines)


RECORDS: dict[str, tuple[Callable[[Path], Iterator[Item]], Callable[[list], Any], st.SearchStrategy]] = {
    "share.json": (
        lambda folder: read_sharegpt4v(folder / "share.json"),
        lambda records: records,
        almost("image", "conversations"),
    ),
    "captions_val2017.json": (
        read_coco,
        lambda records: {"annotations": records},
        almost("image_id", "id", "caption"),
    ),
    "n.jsonl": (
        lambda folder: read_narratives(folder / "n.jsonl"),
        lambda records: "\n".join(json.dumps(record) for record in records),
        almost("dataset_id", "image_id", "caption"),
    ),
}


@pytest.mark.parametrize("name", RECORDS)
@given(data=st.data())
@UNHURRIED
def test_every_record_of_any_content_is_accounted_for(tmp_path, name, data):
    reader, whole, record = RECORDS[name]
    records = data.draw(st.lists(record, min_size=1, max_size=10))
    folder = write(tmp_path, {name: whole(records), "val2017/9.jpg": None})
    assert accounted(reader(folder)) == len(records)


def test_of_folders_within_each_other_the_innermost_is_found(tmp_path):
    write(tmp_path, {"b/a.jpg": None, "images/a/b/a/1.jpg": None})
    assert find_folder(tmp_path, "a") == tmp_path / "images" / "a"
    assert find_folder(tmp_path, "a", "b") == tmp_path / "images" / "a" / "b" / "a"
    assert find_folder(tmp_path, "b", "a") == tmp_path / "b"
    assert find_folder(tmp_path, "c") is None


# JSON as a stream


def nested(levels: int) -> bytes:
    """A list of entries, with so many levels in the whole file."""
    inner = b"[" * (levels - 3) + b"]" * (levels - 3)
    return b'{"annotations": [{"x": ' + (inner or b"0") + b'}, {"x": "' + b"[{" * 200 + b'"}]}'


@pytest.mark.parametrize("padding", [0, 65_500, 65_536, 200_001])
def test_deep_json_is_refused_while_it_is_read(tmp_path, padding):
    file = tmp_path / "deep.json"
    file.write_bytes(b" " * padding + nested(DEEPEST))
    assert len(list(stream_json(file, "annotations.item"))) == 2
    file.write_bytes(b" " * padding + nested(DEEPEST + 1))
    with pytest.raises(ValueError, match=f"deep.json is nested over {DEEPEST} levels; check that it is the right file"):
        list(stream_json(file, "annotations.item"))


def test_thirty_thousand_brackets_take_no_memory(tmp_path):
    file = tmp_path / "deep.json"
    file.write_bytes(b'{"annotations":[{"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}]}")
    tracemalloc.start()
    with pytest.raises(ValueError, match="is nested over"):
        list(stream_json(file, "annotations.item"))
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


STRINGS = st.lists(st.text(st.sampled_from('[]{}"\\a')), max_size=30)


@given(texts=STRINGS, size=st.integers(1, 40))
@UNHURRIED
def test_brackets_in_strings_are_no_levels(tmp_path, texts, size):
    """Whatever part of the file a read ends in."""
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"a": [*texts, [[]]]}))
    stream = files._Levels(file, file.open("rb"))
    highest = []
    while stream.read(size):
        highest.append(stream.depth)
    assert stream.depth == 0 and max(highest) <= 4
    assert [value for _, value in stream_json(file, "a.item")] == [*texts, [[]]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b'{"annotations": [{"caption": NaN}]}',
            "is not JSON: it has NaN, which JSON does not know; write null instead",
        ),
        (b'{"annotations": [1, -Infinity]}', "is not JSON: it has -Infinity, which JSON does not know"),
        (b'{"annotations": [{"x": 1}', "is damaged or incomplete (parse error: premature EOF); download it again"),
        (b"<!DOCTYPE html>", "is damaged or incomplete (lexical error: invalid char in json text at '<!DOCTYPE"),
        (b'{"annotations": ["\xff"]}', "is damaged or incomplete (lexical error"),
        (b"", "is empty; download it again"),
        ('{"annotations": [1]}'.encode("utf-16"), "is UTF-16, and UTF-8 is needed; save it as UTF-8"),
    ],
)
def test_damaged_json_is_described_in_one_line(tmp_path, content, message):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'a.json'} {message}")) as refusal:
        list(stream_json(tmp_path / "a.json", "annotations.item"))
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 300


@pytest.mark.parametrize("line", [b'"\xed\xa0\x80"', b'"\\ud83d"', b'"\xff"', '{"a": 1}'.encode("utf-16")])
def test_a_line_that_utf_8_cannot_hold_is_refused(line):
    with pytest.raises(ValueError, match=r"can't decode|can't encode"):
        parse_json(line)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_lines_are_read_behind_the_byte_order_mark(tmp_path, mark):
    (tmp_path / "a.txt").write_bytes(mark + b"a\n\nb")
    assert list(read_lines(tmp_path / "a.txt")) == [(1, b"a\n"), (3, b"b")]
