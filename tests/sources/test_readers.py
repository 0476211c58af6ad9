"""The readers: each format as its authors distribute it gives exactly its items; what is broken is told, not lost."""

import csv
import io
import json
import math
import os
import re
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from Config import DatabaseConfig
from sources.readers import (
    Item,
    LeftOut,
    Listed,
    Note,
    Picture,
    Text,
    coco_identity,
    find_folder,
    flickr_identity,
    open_sources,
    read_ade20k,
    read_coco,
    read_flickr8k,
    read_flickr30k,
    read_kaggle_bars,
    read_karpathy,
    read_narratives,
    read_pairs,
    read_scenes,
    read_sharegpt4v,
    read_tokens,
)

# Files are written anew for each example, on a machine that may be busy.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
NO_LISTS = "no official lists; splits as in other datasets, else by a hash of the photograph"


def write(folder: Path, files: dict[str, Any]) -> Path:
    """Files below a folder: bytes and text as they are, anything else as JSON; None is a picture, never opened here."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, bytes):
            text = "" if content is None else content if isinstance(content, str) else json.dumps(content)
            content = text.encode()
        path.write_bytes(content)
    return folder


def of_type(kind: type, items: Iterable[Item]) -> list[Any]:
    return [item for item in items if isinstance(item, kind)]


# COCO


def coco_captions(*annotations: Any) -> dict[str, Any]:
    """captions_*.json with all that COCO's files hold; annotations as (image_id, id, caption), or as they are."""
    return {
        "info": {
            "description": "COCO 2017 Dataset",
            "url": "http://cocodataset.org",
            "version": "1.0",
            "year": 2017,
            "contributor": "COCO Consortium",
            "date_created": "2017/09/01",
        },
        "licenses": [{"url": "http://creativecommons.org/licenses/by-nc-sa/2.0/", "id": 1, "name": "BY-NC-SA"}],
        "images": [
            {
                "license": 4,
                "file_name": "000000397133.jpg",
                "coco_url": "http://images.cocodataset.org/val2017/000000397133.jpg",
                "height": 427,
                "width": 640,
                "date_captured": "2013-11-14 17:02:52",
                "flickr_url": "http://farm7.staticflickr.com/6116/6255196340_da26cf2c9e_z.jpg",
                "id": 397133,
            }
        ],
        "annotations": [
            {"image_id": a[0], "id": a[1], "caption": a[2]} if isinstance(a, tuple) else a for a in annotations
        ],
    }


def test_coco_2017(tmp_path):
    folder = write(
        tmp_path,
        {
            "annotations/captions_train2017.json": coco_captions((9, 661611, "A meal . "), (9, 661977, "")),
            "annotations/captions_val2017.json": coco_captions((397133, 370509, "A man in a kitchen.\n")),
            "annotations/instances_val2017.json": "not read",
            "train2017/000000000009.jpg": None,
            "val2017/000000397133.jpg": None,
            "val2017/.DS_Store": None,
            "val2017/Thumbs.db": None,
            "test2017/000000000001.jpg": None,
        },
    )
    assert list(read_coco(folder)) == [
        Picture("coco:9", "000000000009.jpg", folder / "train2017" / "000000000009.jpg", "train"),
        Picture("coco:397133", "000000397133.jpg", folder / "val2017" / "000000397133.jpg", "validation"),
        Text("coco:9", "A meal .", "caption", "captions_train2017.json:661611"),
        Text("coco:9", "", "caption", "captions_train2017.json:661977"),
        Text("coco:397133", "A man in a kitchen.", "caption", "captions_val2017.json:370509"),
    ]


def test_coco_2014_has_the_identities_of_2017(tmp_path):
    folder = write(
        tmp_path,
        {
            "annotations/captions_train2014.json": coco_captions((9, 1, "A meal.")),
            "annotations/captions_val2014.json": coco_captions((42, 2, "A dog.")),
            "annotations/captions_val2017.json": coco_captions((9, 1, "A meal.")),
            "train2014/COCO_train2014_000000000009.jpg": None,
            "val2014/COCO_val2014_000000000042.jpg": None,
            "val2017/000000000009.jpg": None,
        },
    )
    items = list(read_coco(folder))
    assert [(item.identity, item.image_id, item.split) for item in of_type(Picture, items)] == [
        ("coco:9", "000000000009.jpg", "validation"),
        ("coco:9", "COCO_train2014_000000000009.jpg", "train"),
        ("coco:42", "COCO_val2014_000000000042.jpg", "validation"),
    ]
    assert [(item.identity, item.text) for item in of_type(Text, items)] == [
        ("coco:9", "A meal."),
        ("coco:9", "A meal."),
        ("coco:42", "A dog."),
    ]
    assert len(items) == 6


@pytest.mark.parametrize("pictures", ["val2017", "images/val2017", "val2017/val2017", "images/val2017/val2017"])
@pytest.mark.parametrize("captions", ["", "annotations/", "annotations_trainval2017/"])
def test_coco_is_found_however_it_was_unzipped(tmp_path, pictures, captions):
    files = {f"{pictures}/000000000009.jpg": None, f"{captions}captions_val2017.json": coco_captions((9, 1, "A meal."))}
    folder = write(tmp_path, files)
    assert list(read_coco(folder)) == [
        Picture("coco:9", "000000000009.jpg", folder / pictures / "000000000009.jpg", "validation"),
        Text("coco:9", "A meal.", "caption", "captions_val2017.json:1"),
    ]


def test_a_coco_part_without_captions_is_noted_and_its_pictures_stay(tmp_path):
    parts = ["train2017", "val2017", "train2014", "val2014"]
    folder = write(
        tmp_path,
        {
            **{f"{part}/00000000000{number}.jpg": None for number, part in enumerate(parts)},
            "annotations/captions_val2017.json": coco_captions((1, 1, "A meal.")),
        },
    )
    items = list(read_coco(folder))
    assert [item.identity for item in of_type(Picture, items)] == ["coco:0", "coco:1", "coco:2", "coco:3"]
    assert of_type(Note, items) == [
        Note(f"coco: {part}/ has no captions_{part}.json; its pictures are used if another file describes them")
        for part in ("train2017", "train2014", "val2014")
    ]


def karpathy(dataset: str, *images: dict) -> dict[str, Any]:
    return {"images": list(images), "dataset": dataset}


def sentence(raw: str, sentid: int) -> dict[str, Any]:
    return {"tokens": raw.lower().rstrip(". ").split(), "raw": raw, "imgid": 0, "sentid": sentid}


def coco_image(number: int, folder: str, split: str, *sentences: dict) -> dict[str, Any]:
    """An image of dataset_coco.json, with all its keys."""
    return {
        "filepath": folder,
        "sentids": [s["sentid"] for s in sentences],
        "filename": f"COCO_{folder}_{number:012}.jpg",
        "imgid": 0,
        "split": split,
        "sentences": list(sentences),
        "cocoid": number,
    }


def test_karpathys_file_rules_over_the_folders_of_coco(tmp_path):
    content = karpathy(
        "coco",
        coco_image(391895, "val2014", "test", sentence("A man on a moped. ", 770337), sentence("A rider.", 771687)),
        coco_image(522418, "val2014", "restval", sentence("A woman.", 681330)),
        coco_image(184613, "val2014", "val", sentence("A child.", 474921)),
        coco_image(9, "train2014", "train", sentence("A meal.", 661611)),
    )
    folder = write(
        tmp_path,
        {
            "dataset_coco.json": content,
            "annotations/captions_val2014.json": "not read",
            "train2014/COCO_train2014_000000000009.jpg": None,
            "val2014/COCO_val2014_000000391895.jpg": None,
        },
    )
    train, validation = (folder / part for part in ("train2014", "val2014"))
    assert list(read_coco(folder)) == [
        Picture("coco:9", "COCO_train2014_000000000009.jpg", train / "COCO_train2014_000000000009.jpg"),
        Picture("coco:391895", "COCO_val2014_000000391895.jpg", validation / "COCO_val2014_000000391895.jpg"),
        Note("coco: captions and splits come from dataset_coco.json; captions_val2014.json was not read"),
        Listed("coco:391895", "test", "dataset_coco.json:images[0]"),
        Text("coco:391895", "A man on a moped.", "caption", "dataset_coco.json:770337"),
        Text("coco:391895", "A rider.", "caption", "dataset_coco.json:771687"),
        Listed("coco:522418", "train", "dataset_coco.json:images[1]"),
        Text("coco:522418", "A woman.", "caption", "dataset_coco.json:681330"),
        Listed("coco:184613", "validation", "dataset_coco.json:images[2]"),
        Text("coco:184613", "A child.", "caption", "dataset_coco.json:474921"),
        Listed("coco:9", "train", "dataset_coco.json:images[3]"),
        Text("coco:9", "A meal.", "caption", "dataset_coco.json:661611"),
    ]


@pytest.mark.parametrize(
    ("image", "reason", "captions"),
    [
        ({"split": "train", "sentences": [sentence("A dog.", 1)]}, "KeyError: 'cocoid'", 1),
        (coco_image(1, "val2014", "extra", sentence("A dog.", 1), sentence("A cat.", 2)), "KeyError: 'extra'", 2),
        (coco_image(1, "val2014", "val", {"tokens": [], "sentid": 1}), "KeyError: 'raw'", 1),
        (
            coco_image(1, "val2014", "val", {"raw": None, "sentid": 1}),
            "AttributeError: 'NoneType' object has no attribute 'strip'",
            1,
        ),
        ({"cocoid": 1, "split": "val"}, "KeyError: 'sentences'", 0),
        ({"cocoid": 1, "split": "val", "sentences": 5}, "TypeError: 'int' object is not iterable", 0),
        ("no record", "TypeError: string indices must be integers, not 'str'", 0),
        (None, "TypeError: 'NoneType' object is not subscriptable", 0),
    ],
)
def test_a_broken_record_of_karpathys_file_is_told_and_the_rest_is_kept(tmp_path, image, reason, captions):
    whole = coco_image(9, "train2014", "train", {"raw": "A meal."} | {"tokens": ["a", "meal"], "imgid": 0, "sentid": 7})
    folder = write(tmp_path, {"dataset_coco.json": karpathy("coco", image, whole), "val2014/1.jpg": None})
    assert list(read_coco(folder))[1:] == [
        LeftOut("line", "dataset_coco.json:images[0]", f"no Karpathy record: {reason}", captions=captions),
        Listed("coco:9", "train", "dataset_coco.json:images[1]"),
        Text("coco:9", "A meal.", "caption", "dataset_coco.json:7"),
    ]


@pytest.mark.parametrize(
    ("annotation", "place"),
    [
        ({"id": 5, "caption": "A dog."}, "5"),
        ({"id": 5, "image_id": None, "caption": "A dog."}, "5"),
        ({"id": 5, "image_id": 9}, "5"),
        ({"id": 5, "image_id": 9, "caption": None}, "5"),
        ({"id": 5, "image_id": 9, "caption": ["A dog."]}, "5"),
        ({"image_id": 9}, "annotations[1]"),
        ("A dog.", "annotations[1]"),
        (None, "annotations[1]"),
        ([], "annotations[1]"),
    ],
)
def test_a_broken_annotation_of_coco_is_told_and_the_rest_is_kept(tmp_path, annotation, place):
    captions = coco_captions((9, 1, "A meal."), annotation, (9, 3, "A plate."))
    folder = write(tmp_path, {"captions_val2017.json": captions, "val2017/000000000009.jpg": None})
    assert list(read_coco(folder))[1:] == [
        Text("coco:9", "A meal.", "caption", "captions_val2017.json:1"),
        LeftOut("line", f"captions_val2017.json:{place}", "the annotation lacks image_id or caption", captions=1),
        Text("coco:9", "A plate.", "caption", "captions_val2017.json:3"),
    ]


# Identities


@given(st.integers(0, 10**12 - 1), st.integers(0, 10**12 - 1))
@UNHURRIED
def test_coco_names_of_one_number_are_one_identity_and_of_two_are_two(number, other):
    names = [
        number,
        str(number),
        f"{number:012}",
        f"{number:012}.jpg",
        f"COCO_train2014_{number:012}.jpg",
        f"COCO_val2014_{number:012}",
        f"train2017/{number:012}.jpg",
    ]
    assert {coco_identity(name) for name in names} == {f"coco:{number}"}
    assert (coco_identity(f"{other:012}.jpg") == f"coco:{number}") == (other == number)


@pytest.mark.parametrize(
    "name", ["000000000009 (1).jpg", "000000000009_1.jpg", "copy of 9.jpg", "IMG_2017.jpg", "", "²"]
)
def test_a_name_that_is_not_cocos_is_no_number_of_coco(name):
    """The first was downloaded twice; as number 1 it would get the captions of another photograph."""
    assert coco_identity(name) == f"coco:{name}"


@given(st.integers(1, 10**11), st.integers(1, 10**11), st.integers(0, 16**10 - 1))
@UNHURRIED
def test_flickr_names_of_one_number_are_one_identity_and_of_two_are_two(number, other, secret):
    names = [f"{number}_{secret:010x}.jpg", f"{number}.jpg", f"{number}", f"{number}_{secret:010x}.jpg.1"]
    assert {flickr_identity(name) for name in names} == {f"flickr:{number}"}
    assert (flickr_identity(f"{other}_{secret:010x}.jpg") == f"flickr:{number}") == (other == number)


def test_own_pictures_in_the_format_of_flickr_are_not_taken_for_one_photograph():
    names = ["dog_1.jpg", "dog_2.jpg", "IMG_20240101_1.jpg", "1a_2.jpg", "_1.jpg"]
    assert [flickr_identity(name) for name in names] == [f"flickr:{name.removesuffix('.jpg')}" for name in names]


# Flickr30k and Flickr8k


def test_flickr30k_as_its_authors_distribute_it(tmp_path):
    folder = write(
        tmp_path,
        {
            "flickr30k-images/1000092795.jpg": None,
            "flickr30k-images/10002456.jpg": None,
            "flickr30k-images/readme.txt": None,
            "results_20130124.token": "1000092795.jpg#0\tTwo young guys .\n"
            "1000092795.jpg#1\t  Ein Hund läuft – 犬  \r\n"
            "10002456.jpg#0\tA cat .",
        },
    )
    pictures = folder / "flickr30k-images"
    assert list(read_flickr30k(folder)) == [
        Picture("flickr:1000092795", "1000092795.jpg", pictures / "1000092795.jpg"),
        Picture("flickr:10002456", "10002456.jpg", pictures / "10002456.jpg"),
        Text("flickr:1000092795", "Two young guys .", "caption", "results_20130124.token:1"),
        Text("flickr:1000092795", "Ein Hund läuft – 犬", "caption", "results_20130124.token:2"),
        Text("flickr:10002456", "A cat .", "caption", "results_20130124.token:3"),
        Note(f"flickr30k: {NO_LISTS}"),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1_0123456789.jpg#1 A dog .", "no tab between file name and caption"),
        (b"1_0123456789.jpg\tA dog .", "expected name.jpg#number before the tab, got '1_0123456789.jpg'"),
        (b"1_0123456789.jpg#x\tA dog .", "expected name.jpg#number before the tab, got '1_0123456789.jpg#x'"),
        (b"#1\tA dog .", "expected name.jpg#number before the tab, got '#1'"),
        (b"1_0123456789.jpg#1\tA d\xf6g .", "not UTF-8: byte 0xf6 at position 22"),
        (b"\0\0\0", "no tab between file name and caption"),
    ],
)
def test_a_broken_line_of_tokens_is_told_with_its_number_and_the_rest_is_kept(tmp_path, line, reason):
    tokens = b"\xef\xbb\xbf1_0123456789.jpg#0\tA dog .\n\n" + line + b"\n1_0123456789.jpg#2\tA cat\tsits .\n"
    write(tmp_path, {"a.token": tokens})
    assert list(read_tokens(tmp_path / "a.token")) == [
        Text("flickr:1", "A dog .", "caption", "a.token:1"),
        LeftOut("line", "a.token:3", reason, captions=1),
        Text("flickr:1", "A cat\tsits .", "caption", "a.token:4"),
    ]


KAGGLE_FLICKR30K = """\
image_name| comment_number| comment
1000092795.jpg| 0| Two young guys with shaggy hair look at their hands .
1000092795.jpg| 1| " A sign " reads | exit | .
2199200615.jpg| 4   A dog runs across the grass .
2199200615.jpg| 3|
2199200615.jpg| 2
2199200615.jpg| A dog without a number .
2199200615.jpg| | A dog without a number .
2199200615.jpg| 4th of July .
2199200615.jpg
1000092795.jpg|2|No spaces .
"""


def test_flickr30k_as_kaggle_has_it(tmp_path):
    folder = write(tmp_path, {"flickr30k_images/1000092795.jpg": None, "results.csv": KAGGLE_FLICKR30K})

    def left_out(line: int, text: str) -> LeftOut:
        reason = f"expected name.jpg| number| caption, got '2199200615.jpg{text}'"
        return LeftOut("line", f"results.csv:{line}", reason, captions=1)

    assert list(read_flickr30k(folder)) == [
        Picture("flickr:1000092795", "1000092795.jpg", folder / "flickr30k_images" / "1000092795.jpg"),
        Text("flickr:1000092795", "Two young guys with shaggy hair look at their hands .", "caption", "results.csv:2"),
        Text("flickr:1000092795", '" A sign " reads | exit | .', "caption", "results.csv:3"),
        Text("flickr:2199200615", "A dog runs across the grass .", "caption", "results.csv:4"),
        Text("flickr:2199200615", "", "caption", "results.csv:5"),
        Text("flickr:2199200615", "", "caption", "results.csv:6"),
        left_out(7, "| A dog without a number ."),
        left_out(8, "| | A dog without a number ."),
        left_out(9, "| 4th of July ."),
        left_out(10, ""),
        Text("flickr:1000092795", "No spaces .", "caption", "results.csv:11"),
        Note("results.csv: 1 rows without the second bar were mended"),
        Note(f"flickr30k: {NO_LISTS}"),
    ]


def test_a_row_of_kaggles_flickr30k_that_is_not_utf_8_is_told(tmp_path):
    write(tmp_path, {"results.csv": b"1.jpg| 0| A d\xf6g .\n1.jpg| 1| A cat .\n"})
    assert list(read_kaggle_bars(tmp_path / "results.csv")) == [
        LeftOut("line", "results.csv:1", "not UTF-8: byte 0xf6 at position 13", captions=1),
        Text("flickr:1", "A cat .", "caption", "results.csv:2"),
    ]


@pytest.mark.parametrize(
    ("pictures", "captions"),
    [
        ("flickr30k-images", ""),
        ("flickr30k_images", ""),
        ("flickr30k_images/flickr30k_images", "flickr30k_images/"),
        ("flickr30k_images/flickr30k_images", ""),
        ("flickr30k_images/flickr30k_images/flickr30k_images", "flickr30k_images/"),
        ("Images", ""),
        ("images", ""),
        ("images/flickr30k_images", ""),
    ],
)
def test_flickr30k_is_found_however_it_was_unzipped(tmp_path, pictures, captions):
    folder = write(tmp_path, {f"{pictures}/7.jpg": None, f"{captions}results.csv": "7.jpg| 0| A dog .\n"})
    assert list(read_flickr30k(folder))[:2] == [
        Picture("flickr:7", "7.jpg", folder / pictures / "7.jpg"),
        Text("flickr:7", "A dog .", "caption", "results.csv:1"),
    ]


@pytest.mark.parametrize(
    ("dataset", "reader", "pictures", "name", "others"),
    [
        ("flickr30k", read_flickr30k, "flickr30k-images", "7.jpg", ["results_20130124.token", "results.csv"]),
        ("flickr8k", read_flickr8k, "Flicker8k_Dataset", "7_0123456789.jpg", ["Flickr8k.token.txt", "captions.txt"]),
    ],
)
def test_karpathys_files_of_flickr_rule(tmp_path, dataset, reader, pictures, name, others):
    image = {
        "sentids": [0, 1],
        "imgid": 0,
        "sentences": [sentence("A dog.", 0), sentence("A brown dog .", 1)],
        "split": "val",
        "filename": name,
    }
    file = f"dataset_{dataset}.json"
    files = {file: karpathy(dataset, image), f"{pictures}/{name}": None, **dict.fromkeys(others, "not read")}
    folder = write(tmp_path, files | {"Flickr_8k.trainImages.txt": name})
    assert list(reader(folder)) == [
        Picture("flickr:7", name, folder / pictures / name),
        Note(f"{dataset}: captions and splits come from {file}; {', '.join(others)} was not read"),
        Listed("flickr:7", "validation", f"{file}:images[0]"),
        Text("flickr:7", "A dog.", "caption", f"{file}:0"),
        Text("flickr:7", "A brown dog .", "caption", f"{file}:1"),
    ]


@pytest.mark.parametrize("texts", ["", "Flickr8k_text/"])
@pytest.mark.parametrize("pictures", ["Flicker8k_Dataset", "Flickr8k_Dataset", "Flickr8k_Dataset/Flicker8k_Dataset"])
def test_flickr8k_as_its_authors_distribute_it(tmp_path, texts, pictures):
    """With the five captions that they have of a picture that is not there."""
    names = ["1000268201_693b08cb0e.jpg", "1001773457_577c3a7d70.jpg"]
    folder = write(
        tmp_path,
        {
            **{f"{pictures}/{name}": None for name in names},
            f"{texts}Flickr8k.token.txt": f"{names[0]}#0\tA child .\n{names[1]}#4\tTwo dogs .\n"
            "2258277193_586949ec62.jpg.1#0\tpeople waiting for the subway\n",
            f"{texts}Flickr8k.lemma.token.txt": "not read",
            f"{texts}Flickr_8k.trainImages.txt": f"{names[0]}\n",
            f"{texts}Flickr_8k.devImages.txt": f"\n{names[1]}\r\n",
            f"{texts}Flickr_8k.testImages.txt": "3385593926_d3e9c21170.jpg",
        },
    )
    assert list(read_flickr8k(folder)) == [
        Picture("flickr:1000268201", names[0], folder / pictures / names[0]),
        Picture("flickr:1001773457", names[1], folder / pictures / names[1]),
        Text("flickr:1000268201", "A child .", "caption", "Flickr8k.token.txt:1"),
        Text("flickr:1001773457", "Two dogs .", "caption", "Flickr8k.token.txt:2"),
        Text("flickr:2258277193", "people waiting for the subway", "caption", "Flickr8k.token.txt:3"),
        Listed("flickr:1000268201", "train", "Flickr_8k.trainImages.txt:1"),
        Listed("flickr:1001773457", "validation", "Flickr_8k.devImages.txt:2"),
        Listed("flickr:3385593926", "test", "Flickr_8k.testImages.txt:1"),
    ]


def test_flickr8k_as_kaggle_has_it(tmp_path):
    captions = (
        "image,caption\n"
        "1000268201_693b08cb0e.jpg,A child in a pink dress .\n"
        '1001773457_577c3a7d70.jpg,"A black dog , and a white dog ."\n'
        '1001773457_577c3a7d70.jpg,"A sign reads "" Stop "" , twice ."\n'
        "1001773457_577c3a7d70.jpg,A black dog , and a white dog .\n"
        "1001773457_577c3a7d70.jpg\n"
        ",A dog .\n"
        "1001773457_577c3a7d70.jpg,\n"
    )
    files = {
        "Images/1000268201_693b08cb0e.jpg": None,
        "captions.txt": captions.encode() + b"2_0123456789.jpg,A d\xf6g .\n",
    }
    folder = write(tmp_path, files)

    def left_out(line: int, reason: str) -> LeftOut:
        return LeftOut("line", f"captions.txt:{line}", reason, captions=1)

    assert list(read_flickr8k(folder)) == [
        Picture("flickr:1000268201", "1000268201_693b08cb0e.jpg", folder / "Images" / "1000268201_693b08cb0e.jpg"),
        Text("flickr:1000268201", "A child in a pink dress .", "caption", "captions.txt:2"),
        Text("flickr:1001773457", "A black dog , and a white dog .", "caption", "captions.txt:3"),
        Text("flickr:1001773457", 'A sign reads " Stop " , twice .', "caption", "captions.txt:4"),
        left_out(5, "more fields than columns"),
        left_out(6, "the row lacks image or caption"),
        left_out(7, "the row lacks image or caption"),
        Text("flickr:1001773457", "", "caption", "captions.txt:8"),
        left_out(9, "not UTF-8"),
        Note(f"flickr8k: {NO_LISTS}"),
    ]


# ADE20K


def test_ade20k_of_the_scene_parsing_challenge(tmp_path):
    folder = write(
        tmp_path,
        {
            "images/training/ADE_train_00000001.jpg": None,
            "images/validation/ADE_val_00000002.JPG": None,
            "images/validation/ADE_val_00000001.jpg": None,
            "annotations/training/ADE_train_00000001.png": None,
        },
    )
    validation = folder / "images" / "validation"
    expected = [
        Picture(
            "ade20k:ADE_train_00000001",
            "ADE_train_00000001.jpg",
            folder / "images" / "training" / "ADE_train_00000001.jpg",
            "train",
        ),
        Picture("ade20k:ADE_val_00000001", "ADE_val_00000001.jpg", validation / "ADE_val_00000001.jpg", "validation"),
        Picture("ade20k:ADE_val_00000002", "ADE_val_00000002.JPG", validation / "ADE_val_00000002.JPG", "validation"),
    ]
    assert list(read_ade20k(folder)) == expected
    assert list(read_ade20k(folder / "images")) == expected


@pytest.mark.parametrize(
    ("folder", "others"),
    [
        ("images/training/a/abbey", ["{}_seg.png", "{}_parts_1.png", "{}_atr.txt"]),  # 2016
        ("images/ADE/training/urban/street", ["{}_seg.png", "{}.json", "{}/instance_000_{}.png"]),  # 2021
    ],
)
def test_ade20k_by_scenes_with_segmentations_that_are_no_photographs(tmp_path, folder, others):
    name = "ADE_train_00000970"
    write(tmp_path / folder, {f"{name}.jpg": None, **{other.format(name, name): None for other in others}})
    path = tmp_path / folder / f"{name}.jpg"
    assert list(read_ade20k(tmp_path)) == [Picture(f"ade20k:{name}", f"{name}.jpg", path, "train")]


# Localized Narratives


def narrative(dataset: str, image: str, caption: Any = "In this image I can see a dog. ") -> dict[str, Any]:
    """A record with all its keys."""
    return {
        "dataset_id": dataset,
        "image_id": image,
        "annotator_id": 93,
        "caption": caption,
        "timed_caption": [{"utterance": "In this image", "start_time": 0.0, "end_time": 0.9}],
        "traces": [[{"x": 0.2086, "y": -0.0533, "t": 0.022}, {"x": 0.2129, "y": -0.0428, "t": 0.038}]],
        "voice_recording": f"{dataset}/{dataset}_{image}_93.ogg",
    }


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


def test_a_number_may_be_no_string_and_traces_may_be_absent(tmp_path):
    record = {"dataset_id": "mscoco_val2017", "image_id": 9, "annotator_id": 0, "caption": "A dog."}
    assert list(read_narratives(narratives(tmp_path, record))) == [
        Text("coco:9", "A dog.", "narrative", "narratives.jsonl:1")
    ]


def test_narratives_of_other_datasets_are_one_entry_each(tmp_path):
    train, test = (narrative(f"open_images_{part}", "000a1249af2bc5f0") for part in ("train", "test"))
    file = narratives(tmp_path, train, narrative("mscoco_val2017", "9"), train, test, train)
    reason = "describes pictures of a dataset that is not read"
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
        (narrative("mscoco_val2017", "9", None), "the caption is no text"),
        (narrative("open_images_train", "9", ["A dog."]), "the caption is no text"),
    ],
)
def test_a_broken_narrative_is_told_with_its_number_and_the_rest_is_kept(tmp_path, line, reason):
    whole = narrative("mscoco_val2017", "9", "A dog – 犬 🐕.")
    told, *rest = read_narratives(narratives(tmp_path, "", line, whole))
    assert (told.what, told.where, told.captions, told.photographs) == ("line", "narratives.jsonl:2", 1, 0)
    assert told.reason.removeprefix("no Localized Narrative: ").startswith(reason)
    assert rest == [Text("coco:9", "A dog – 犬 🐕.", "narrative", "narratives.jsonl:3")]


def test_a_narrative_that_is_not_utf_8_is_told(tmp_path):
    line = json.dumps(narrative("mscoco_val2017", "9", "A dog.")).encode()
    write(tmp_path, {"n.jsonl": b"\xef\xbb\xbf" + line + b"\n" + line.replace(b"dog", b"d\xf6g") + b"\n"})
    text, told = read_narratives(tmp_path / "n.jsonl")
    assert text == Text("coco:9", "A dog.", "narrative", "n.jsonl:1")
    assert (told.where, told.reason[:40]) == ("n.jsonl:2", "no Localized Narrative: UnicodeDecodeErr")


# ShareGPT4V


def conversation(image: str, *answers: str) -> dict[str, Any]:
    turns = []
    for number, answer in enumerate(answers):
        question = "What is in this picture?" + ("\n<image>" if number == 0 else "")
        turns += [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": Path(image).stem, "image": image, "conversations": turns}


def test_sharegpt4v(tmp_path):
    dog = conversation("coco/train2017/000000000009.jpg", " The image shows a dog.\n\nIt is brown – 犬. ")
    llava = conversation("llava/llava_pretrain/images/00453/004539375.jpg", "A cat.")
    many = conversation("coco/train2017/000000000009.jpg", "A dog.", "Brown.", "Yes.")
    records = [
        dog,
        llava,
        many,
        conversation("sam/images/sa_1234.jpg", "A cat."),
        conversation("coco/val2017/000000000042.jpg"),
        llava,
        {"id": "no picture", "conversations": dog["conversations"]},
        {"id": "9", "image": "coco/train2017/000000000009.jpg"},
        {"image": "coco/train2017/000000000009.jpg", "conversations": [{"from": "gpt"}]},
        {"image": "coco/train2017/000000000009.jpg", "conversations": [{"from": "gpt", "value": None}]},
        {"image": 9, "conversations": []},
        "A dog.",
        conversation("coco/train2017/000000000010.jpg", "A cat."),
    ]
    file = write(tmp_path, {"share.json": records}) / "share.json"

    def left_out(number: int, reason: str) -> LeftOut:
        return LeftOut("line", f"share.json:[{number}]", reason, captions=1)

    other = "describes pictures of a dataset that is not read"
    assert list(read_sharegpt4v(file)) == [
        Text("coco:9", "The image shows a dog.\n\nIt is brown – 犬.", "dense", "share.json:[0]"),
        left_out(2, "a conversation with 3 answers is no caption"),
        left_out(4, "a conversation with 0 answers is no caption"),
        left_out(6, "no ShareGPT4V record: KeyError: 'image'"),
        left_out(7, "no ShareGPT4V record: KeyError: 'conversations'"),
        left_out(8, "no ShareGPT4V record: KeyError: 'value'"),
        left_out(9, "a conversation with 1 answers is no caption"),
        left_out(10, "no ShareGPT4V record: AttributeError: 'int' object has no attribute 'partition'"),
        left_out(11, "no ShareGPT4V record: TypeError: string indices must be integers, not 'str'"),
        Text("coco:10", "A cat.", "dense", "share.json:[12]"),
        LeftOut("collection", "share.json:llava", other, captions=2, photographs=2),
        LeftOut("collection", "share.json:sam", other, captions=1, photographs=1),
    ]


def test_a_large_file_is_read_as_a_stream(tmp_path):
    """The real one has 1.4 GB. json.load would need more than the 40 MB of this file."""
    record = json.dumps(conversation("coco/train2017/000000000009.jpg", "The image shows a dog. " * 100))
    count = 40_000_000 // len(record)
    with (tmp_path / "large.json").open("w") as file:
        file.write("[")
        for _ in range(count - 1):
            file.write(record + ",")
        file.write(record + "]")
    tracemalloc.start()
    try:
        texts = sum(isinstance(item, Text) for item in read_sharegpt4v(tmp_path / "large.json"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert texts == count
    assert peak < 5_000_000


# Pairs


Row = dict[str, Any]


def as_table(rows: list[Row], delimiter: str) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def as_parquet(rows: list[Row]) -> bytes:
    file = io.BytesIO()
    keys = dict.fromkeys(key for row in rows for key in row)
    pyarrow.parquet.write_table(pa.table({key: [row.get(key) for row in rows] for key in keys}), file)
    return file.getvalue()


FORMATS: dict[str, Callable[[list[Row]], bytes]] = {
    "csv": lambda rows: as_table(rows, ","),
    "tsv": lambda rows: as_table(rows, "\t"),
    "jsonl": lambda rows: "".join(json.dumps(row) + "\n" for row in rows).encode(),
    "ndjson": lambda rows: "".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in rows).encode(),
    "parquet": as_parquet,
}


def pairs_of(folder: Path, content: bytes, ending: str = "csv") -> list[Item]:
    """Items of a file of pairs whose images are below images/: a.jpg and sub/b.jpg."""
    write(folder, {"images/a.jpg": None, "images/sub/b.jpg": None, f"pairs.{ending}": content})
    return list(read_pairs(folder / f"pairs.{ending}", folder / "images"))


@pytest.mark.parametrize("ending", FORMATS)
def test_pairs_of_every_format(tmp_path, ending):
    rows = [
        {"image": "a.jpg", "caption": " A dog, a cat.", "label": "1", "split": "train"},
        {"image": "sub/b.jpg", "caption": 'He said "stop" –\nand 犬 🐕 stopped.', "label": "0", "split": "dev"},
        {"image": "sub/b.jpg", "caption": "", "label": "", "split": ""},
        {"image": "absent.jpg", "caption": "A cat.", "label": "yes", "split": "test"},
    ]
    where = [f"pairs.{ending}:{n}" for n in {"csv": "2345", "tsv": "2345"}.get(ending, "1234")]
    if ending in ("csv", "tsv"):
        where[2:] = [f"pairs.{ending}:{n}" for n in (5, 6)]  # the row before has two lines
    if ending == "parquet":
        where = [f"pairs.parquet:[{n}]" for n in range(4)]
    images = tmp_path / "images"
    assert pairs_of(tmp_path, FORMATS[ending](rows), ending) == [
        Picture("pairs:a.jpg", "a.jpg", images / "a.jpg"),
        Listed("pairs:a.jpg", "train", where[0]),
        Text("pairs:a.jpg", "A dog, a cat.", "caption", where[0], True),
        Picture("pairs:sub/b.jpg", "sub/b.jpg", images / "sub" / "b.jpg"),
        Listed("pairs:sub/b.jpg", "validation", where[1]),
        Text("pairs:sub/b.jpg", 'He said "stop" –\nand 犬 🐕 stopped.', "caption", where[1], False),
        Picture("pairs:sub/b.jpg", "sub/b.jpg", images / "sub" / "b.jpg"),
        Text("pairs:sub/b.jpg", "", "caption", where[2], True),
        Listed("pairs:absent.jpg", "test", where[3]),
        Text("pairs:absent.jpg", "A cat.", "caption", where[3], True),
    ]


@given(captions=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=8))
@UNHURRIED
@pytest.mark.parametrize("ending", FORMATS)
def test_any_caption_comes_back_as_it_was_written(tmp_path, ending, captions):
    captions = [text.replace("\t", " ") for text in captions] if ending == "tsv" else captions
    items = pairs_of(tmp_path, FORMATS[ending]([{"image": "a.jpg", "caption": text} for text in captions]), ending)
    assert [item.text for item in of_type(Text, items)] == [text.strip() for text in captions]
    assert of_type(LeftOut, items) == []


def test_a_quote_in_a_tsv_does_not_swallow_the_next_rows(tmp_path):
    """Written without quoting, as most are; with a caption that begins with a quote."""
    lines = ("image\tcaption", 'a.jpg\t"A dog runs', "a.jpg\ta cat", 'sub/b.jpg\t"', "a.jpg\tA hog")
    items = pairs_of(tmp_path, "\n".join(lines).encode(), "tsv")
    assert [item.text for item in of_type(Text, items)] == ["A hog"]
    assert [(item.where, item.reason) for item in of_type(LeftOut, items)] == [
        (f"pairs.tsv:{n}", "a quote joins the lines 2 to 4") for n in (2, 3, 4)
    ]


def test_the_first_line_of_a_jsonl_may_be_broken(tmp_path):
    items = pairs_of(tmp_path, b'{"image": "a.jpg"}\n{"image": "a.jpg", "caption": "A dog."}\n', "jsonl")
    assert [item.text for item in of_type(Text, items)] == ["A dog."]
    assert [item.where for item in of_type(LeftOut, items)] == ["pairs.jsonl:1"]


def test_photographs_of_a_phone_are_not_taken_for_those_of_flickr():
    names = ["20210304_123456.jpg", "20210304_123512.jpg", "20210304_123600.jpg"]
    assert len({flickr_identity(name) for name in names}) == 3
    assert flickr_identity("2258277193_586949ec62.jpg.1") == flickr_identity("2258277193.jpg") == "flickr:2258277193"


def test_a_csv_as_spreadsheets_write_it(tmp_path):
    """Byte order mark, spaces in the header, other columns, a blank line, and lines that end with CR LF."""
    lines = ('\ufeff"image", caption ,split, id', 'a.jpg, "A dog, brown" ,val,1', "", "sub\\b.jpg,A cat")
    content = "".join(f"{line}\r\n" for line in lines).encode()
    images = tmp_path / "images"
    assert pairs_of(tmp_path, content) == [
        Picture("pairs:a.jpg", "a.jpg", images / "a.jpg"),
        Listed("pairs:a.jpg", "validation", "pairs.csv:2"),
        Text("pairs:a.jpg", "A dog, brown", "caption", "pairs.csv:2"),
        Picture("pairs:sub/b.jpg", "sub/b.jpg", images / "sub" / "b.jpg"),
        Text("pairs:sub/b.jpg", "A cat", "caption", "pairs.csv:4"),
    ]


@pytest.mark.parametrize(
    "image", ["sub/b.jpg", "./sub/b.jpg", "sub//b.jpg", "sub\\b.jpg", ".\\sub\\b.jpg", " sub/b.jpg "]
)
def test_one_image_has_one_identity_however_its_path_is_written(tmp_path, image):
    picture, _ = pairs_of(tmp_path, FORMATS["jsonl"]([{"image": image, "caption": "A dog."}]), "jsonl")
    assert picture == Picture("pairs:sub/b.jpg", "sub/b.jpg", tmp_path / "images" / "sub" / "b.jpg")


@pytest.mark.parametrize(
    "image",
    [
        "../secret.jpg",
        "sub/../../secret.jpg",
        "..\\secret.jpg",
        "/etc/a.jpg",
        "\\\\server\\a.jpg",
        "C:\\a.jpg",
        "c:a.jpg",
    ],
)
def test_a_path_that_leaves_the_folder_is_refused(tmp_path, image):
    write(tmp_path, {"secret.jpg": None})
    rows = [{"image": image, "caption": "A dog."}, {"image": "a.jpg", "caption": "A cat."}]
    assert pairs_of(tmp_path, FORMATS["jsonl"](rows), "jsonl")[0] == LeftOut(
        "line", "pairs.jsonl:1", f"the image {image!r} is outside of --images", captions=1
    )


@pytest.mark.parametrize(
    ("label", "matches"),
    [
        *((label, True) for label in ("1", "1.0", "true", "TRUE", "Yes", " match ", 1, 1.0, True)),
        *((label, False) for label in ("0", "0.0", "false", "No", "Mismatch", 0, 0.0, False)),
        *((label, True) for label in ("", "none", "NaN", "null", None)),  # no label: a true caption
    ],
)
@pytest.mark.parametrize("ending", FORMATS)
def test_labels_as_files_spell_them(tmp_path, ending, label, matches):
    items = pairs_of(tmp_path, FORMATS[ending]([{"image": "a.jpg", "caption": "A dog.", "label": label}]), ending)
    assert [item.matches for item in of_type(Text, items)] == [matches]


def test_an_absent_label_in_a_parquet_column_of_numbers_is_no_label(tmp_path):
    table = pa.table(
        {"image": ["a.jpg"] * 3, "caption": ["A dog."] * 3, "label": pa.array([0.0, math.nan, None], pa.float64())}
    )
    pyarrow.parquet.write_table(table, tmp_path / "labels.parquet")
    items = pairs_of(tmp_path, (tmp_path / "labels.parquet").read_bytes(), "parquet")
    assert [item.matches for item in of_type(Text, items)] == [False, True, True]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *((name, "train") for name in ("train", "Training", "restval")),
        *((name, "validation") for name in ("val", "VALIDATION", " dev ", "valid")),
        *((name, "test") for name in ("test", "Testing")),
        *((name, None) for name in ("", "none", "NaN", "null")),
    ],
)
def test_splits_as_files_spell_them(tmp_path, name, split):
    items = pairs_of(tmp_path, FORMATS["csv"]([{"image": "a.jpg", "caption": "A dog.", "split": name}]))
    assert [item.split for item in of_type(Listed, items)] == ([] if split is None else [split])
    assert len(of_type(Text, items)) == 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            {"image": "a.jpg", "caption": "A dog.", "split": "Holdout"},
            "unknown split 'holdout'; known: train, training, restval, val, validation, dev, valid, test, testing",
        ),
        (
            {"image": "a.jpg", "caption": "A dog.", "label": "Maybe"},
            "unknown label 'maybe'; known: 1, 1.0, true, yes, match, 0, 0.0, false, no, mismatch",
        ),
        ({"image": "a.jpg", "caption": "A dog.", "label": 2}, "unknown label '2'; known: 1, 1.0, true, yes, match, 0,"),
        ({"image": "a.jpg", "caption": None}, "the caption is no text"),
        ({"image": "a.jpg"}, "the caption is no text"),
        ({"image": "a.jpg", "caption": 7}, "the caption is no text"),
        ({"image": None, "caption": "A dog."}, "the image is no file name"),
        ({"image": "  ", "caption": "A dog."}, "the image is no file name"),
        ({"image": {"path": "a.jpg"}, "caption": "A dog."}, "the image is no file name"),
        ({"caption": "A dog."}, "the image is no file name"),
        (["a.jpg", "A dog."], "no JSON object"),
        ({"image": "a.jpg", "caption": "A \udc15 dog."}, "not JSON: 'utf-8' codec can't encode character"),
    ],
)
def test_a_broken_row_is_told_and_the_rest_is_kept(tmp_path, row, reason):
    good = {"image": "a.jpg", "caption": "A dog."}
    items = pairs_of(tmp_path, FORMATS["jsonl"]([good, row, good]), "jsonl")
    (told,) = of_type(LeftOut, items)
    assert (told.what, told.where, told.captions) == ("line", "pairs.jsonl:2", 1)
    assert told.reason.startswith(reason)
    assert [item.where for item in of_type(Text, items)] == ["pairs.jsonl:1", "pairs.jsonl:3"]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"csv": b"a.jpg,A d\xf6g", "tsv": b"a.jpg\tA d\xf6g", "jsonl": b'{"caption": "A d\xf6g"}'}, "not "),
        ({"csv": b"a.jpg,A dog,1", "tsv": b"a.jpg\tA dog\t1", "jsonl": b'{"image": "a.jpg"} {}'}, "more |not JSON"),
        ({"csv": b"a.jpg", "tsv": b"a.jpg", "jsonl": b'{"image": "a.jpg"}'}, "the caption is no text"),
        ({"csv": b"a.jpg," + b"x" * 200_000, "tsv": b"x" * 200_000, "jsonl": b"x"}, "field larger than|not JSON"),
    ],
)
def test_a_broken_line_is_told_and_the_rest_is_kept(tmp_path, ending, broken, reason):
    first, second = FORMATS[ending]([{"image": "a.jpg", "caption": "A dog."}] * 2).splitlines()[-2:]
    header = b"" if ending == "jsonl" else FORMATS[ending]([{"image": "a.jpg", "caption": "A dog."}]).splitlines()[0]
    lines = [line for line in (header, first, broken[ending], second) if line]
    items = pairs_of(tmp_path, b"\n".join(lines), ending)
    (told,) = of_type(LeftOut, items)
    assert (told.what, told.where, told.captions) == ("line", f"pairs.{ending}:{len(lines) - 1}", 1)
    assert re.match(reason, told.reason)
    assert [item.where for item in of_type(Text, items)] == [
        f"pairs.{ending}:{n}" for n in (len(lines) - 2, len(lines))
    ]


@pytest.mark.parametrize("name", ["x" * 300 + ".jpg", "\0.jpg", ".", "sub"])
def test_a_name_that_no_file_can_have_stops_nothing(tmp_path, name):
    rows = [{"image": name, "caption": "A dog."}, {"image": "a.jpg", "caption": "A cat."}]
    items = pairs_of(tmp_path, FORMATS["jsonl"](rows), "jsonl")
    assert [item.image_id for item in of_type(Picture, items)] == ["a.jpg"]
    assert [item.identity for item in of_type(Text, items)] == [f"pairs:{name}", "pairs:a.jpg"]


@pytest.mark.parametrize(
    ("ending", "content", "message"),
    [
        ("csv", b"", "lacks caption and image; its columns are: "),
        ("csv", b"image;caption\na.jpg;A dog.\n", "lacks caption and image; its columns are: image;caption"),
        ("csv", b"image,text\na.jpg,A dog.\n", "lacks caption; its columns are: image, text"),
        ("csv", b"x" * 200_000, "is no table: field larger than field limit"),
        ("tsv", b"image,caption\na.jpg,A dog.\n", "lacks caption and image; its columns are: image,caption"),
        ("jsonl", b"", "lacks caption and image; its columns are: "),
        ("jsonl", b'7\n{"file": "a.jpg", "caption": "A dog."}\n', "lacks image; its columns are: file, caption"),
        ("parquet", as_parquet([{"image": "a.jpg", "text": "A dog."}]), "lacks caption; its columns are: image, text"),
        ("parquet", b"", "is no Parquet file: "),
        ("parquet", as_parquet([{"image": "a.jpg", "caption": "A dog."}])[:-20], "is no Parquet file: "),
        ("xlsx", b"PK", "pairs are read from .csv, .tsv, .jsonl or .parquet"),
        ("json", b"[]", "pairs are read from .csv, .tsv, .jsonl or .parquet"),
    ],
)
def test_a_file_that_is_no_table_of_pairs_is_refused_by_name(tmp_path, ending, content, message):
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'pairs'}.{ending}")) as refusal:
        pairs_of(tmp_path, content, ending)
    assert message in str(refusal.value)


def test_parquet_that_is_damaged_inside_is_refused_by_name(tmp_path):
    data = bytearray(as_parquet([{"image": "a.jpg", "caption": f"{n * 7919:09} dogs"} for n in range(5000)]))
    data[10_000:12_000] = bytes(2000)
    with pytest.raises(ValueError, match=r"pairs\.parquet is damaged: "):
        pairs_of(tmp_path, bytes(data), "parquet")


def test_parquet_text_that_is_not_utf_8_is_refused_by_name(tmp_path):
    """No library writes that into a column of strings; the whole file is suspect."""
    offsets = pa.py_buffer(b"\0\0\0\0\1\0\0\0")
    file = io.BytesIO()
    caption = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(b"\xff"))
    pyarrow.parquet.write_table(pa.table({"image": ["a.jpg"], "caption": caption}), file)
    with pytest.raises(ValueError, match=r"pairs\.parquet is damaged: .*0xff"):
        pairs_of(tmp_path, file.getvalue(), "parquet")


def test_if_not_one_image_is_found_the_folder_is_asked_for(tmp_path):
    rows = [{"image": f"photos/{name}.jpg", "caption": "A dog."} for name in "ab"]
    message = re.escape(f"not one image of {tmp_path / 'pairs.csv'} is below {tmp_path / 'images'}; give their folder")
    with pytest.raises(FileNotFoundError, match=message + " with --images DIR"):
        pairs_of(tmp_path, FORMATS["csv"](rows))
    assert len(of_type(Picture, pairs_of(tmp_path, FORMATS["csv"]([*rows, {"image": "a.jpg", "caption": "A"}])))) == 1


def test_many_rows_of_parquet_are_numbered_through(tmp_path):
    rows = [{"image": "a.jpg", "caption": f"{n} dogs"} for n in range(2500)]
    texts = of_type(Text, pairs_of(tmp_path, as_parquet(rows), "parquet"))
    assert [(item.text, item.where) for item in texts] == [(f"{n} dogs", f"pairs.parquet:[{n}]") for n in range(2500)]


# Folders and files that are not what they should be


@pytest.mark.parametrize(
    ("reader", "files", "message"),
    [
        (
            read_coco,
            ["annotations/captions_val2017.json", "test2017/1.jpg"],
            "no pictures in FOLDER; --coco expects a folder with train2017/ or val2017/ (or those of 2014) and "
            "annotations/captions_*.json",
        ),
        (
            read_coco,
            ["val2017/1.jpg", "annotations/instances_val2017.json"],
            "no captions in FOLDER; --coco expects a folder with train2017/ or val2017/ (or those of 2014) and "
            "annotations/captions_*.json, or dataset_coco.json",
        ),
        (
            read_flickr30k,
            ["results.csv"],
            "flickr30k-images/ is not in FOLDER; --flickr30k expects a folder with flickr30k-images/ and "
            "dataset_flickr30k.json or results_20130124.token or results.csv",
        ),
        (
            read_flickr30k,
            ["flickr30k-images/1.jpg", "captions.txt"],
            "dataset_flickr30k.json or results_20130124.token or results.csv is not in FOLDER; --flickr30k expects a "
            "folder with flickr30k-images/ and dataset_flickr30k.json or results_20130124.token or results.csv",
        ),
        (
            read_flickr8k,
            ["captions.txt"],
            "Flicker8k_Dataset/ is not in FOLDER; --flickr8k expects a folder with Flicker8k_Dataset/ and "
            "dataset_flickr8k.json or Flickr8k.token.txt or captions.txt",
        ),
        (
            read_flickr8k,
            ["Images/1_0123456789.jpg", "results.csv"],
            "dataset_flickr8k.json or Flickr8k.token.txt or captions.txt is not in FOLDER; --flickr8k expects a folder "
            "with Flicker8k_Dataset/ and dataset_flickr8k.json or Flickr8k.token.txt or captions.txt",
        ),
        (
            read_ade20k,
            ["annotations/1.png"],
            "no pictures in FOLDER; --ade20k expects a folder with images/training/ or images/validation/",
        ),
        (
            lambda folder: read_pairs(folder / "pairs.csv", folder),
            ["a.jpg"],
            f"FOLDER{os.sep}pairs.csv is not there",
        ),
        (
            lambda folder: read_pairs(folder / "pairs.csv", folder / "images"),
            ["pairs.csv"],
            f"FOLDER{os.sep}images is no folder; give the folder of the pictures with --images DIR",
        ),
        (lambda folder: read_narratives(folder / "n.jsonl"), ["a.jsonl"], f"FOLDER{os.sep}n.jsonl is not there"),
        (lambda folder: read_sharegpt4v(folder / "s.json"), ["s.jsonl"], f"FOLDER{os.sep}s.json is not there"),
    ],
)
@pytest.mark.parametrize("is_there", [True, False])
def test_what_is_missing_is_named_with_what_is_expected(tmp_path, reader, files, message, is_there):
    """If the folder is absent as a whole, or is a file, the message is that of its first missing part."""
    if is_there:
        write(tmp_path / "data", dict.fromkeys(files))
    with pytest.raises(FileNotFoundError) as missing:
        list(reader(tmp_path / "data"))
    told = str(missing.value)
    assert str(tmp_path / "data") in told
    if is_there:
        assert told == message.replace("FOLDER", str(tmp_path / "data"))


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


# Whatever stands in the lines: nothing stops a reader, and what it saw is stored or told, each once


@given(lines=st.lists(st.binary().map(lambda line: line.replace(b"\n", b" ")), max_size=20))
@UNHURRIED
@pytest.mark.parametrize("reader", [read_tokens, read_kaggle_bars, read_narratives])
def test_every_line_of_any_bytes_is_accounted_for(tmp_path, reader, lines):
    file = write(tmp_path, {"any.txt": b"\xef\xbb\xbf" + b"\n".join(lines)}) / "any.txt"
    assert accounted(reader(file)) == sum(bool(line.strip()) for line in lines)


def accounted(items: Iterable[Item]) -> int:
    return sum(item.captions if isinstance(item, LeftOut) else isinstance(item, Text) for item in items)


def almost(*keys: str) -> st.SearchStrategy:
    """JSON values that are nearly records with these keys: some absent, some of the wrong kind."""
    names = st.sampled_from(["mscoco_val2017", "open_images_train", "coco/1.jpg", "1.jpg", "val", "gpt", "9", "A dog."])
    scalars = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(-1e9, 1e9), st.text(), names)
    turn = st.fixed_dictionaries({}, optional=dict.fromkeys(("from", "value", "raw", "sentid"), names | scalars))
    values = st.one_of(scalars, st.lists(turn, max_size=3), st.dictionaries(st.text(max_size=3), scalars, max_size=2))
    record = st.fixed_dictionaries({}, optional=dict.fromkeys(keys, values))
    likely = st.fixed_dictionaries(dict.fromkeys(keys, names | st.lists(turn, max_size=3)))
    return st.one_of(likely, record, values)


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


@given(images=st.lists(almost("filename", "split", "sentences"), min_size=1, max_size=10))
@UNHURRIED
def test_every_image_of_karpathys_file_is_listed_or_told(tmp_path, images):
    file = write(tmp_path, {"dataset.json": {"images": images}}) / "dataset.json"
    items = list(read_karpathy(file, lambda image: flickr_identity(image["filename"])))
    assert len(of_type(Listed, items)) + len(of_type(LeftOut, items)) == len(images)


# All together


def test_the_sources_are_those_of_the_settings_in_the_order_of_their_precedence(tmp_path):
    write(
        tmp_path,
        {
            "coco/val2017/9.jpg": None,
            "coco/captions_val2017.json": coco_captions((9, 1, "A meal.")),
            "f30k/images/7.jpg": None,
            "f30k/results.csv": "7.jpg| 0| A dog .",
            "f8k/Images/7_0123456789.jpg": None,
            "f8k/Flickr8k.token.txt": "7_0123456789.jpg#0\tA dog .",
            "ade/validation/ADE_val_1.jpg": None,
            "own/pairs.csv": "image,caption\na.jpg,A cat.\n",
            "own/a.jpg": None,
            **{
                f"{part}.jsonl": json.dumps(narrative(f"mscoco_{part}", "9", part)) for part in ("val2017", "train2017")
            },
            "one.json": [conversation("coco/val2017/9.jpg", "One.")],
            "two.json": [conversation("coco/val2017/9.jpg", "Two.")],
        },
    )
    sources = open_sources(
        DatabaseConfig(
            name="photos",
            sharegpt4v=tuple(str(tmp_path / f"{name}.json") for name in ("one", "two")),
            narratives=tuple(str(tmp_path / f"{name}.jsonl") for name in ("val2017", "train2017")),
            pairs=str(tmp_path / "own" / "pairs.csv"),
            ade20k=str(tmp_path / "ade"),
            flickr8k=str(tmp_path / "f8k"),
            flickr30k=str(tmp_path / "f30k"),
            coco=str(tmp_path / "coco"),
        )
    )
    assert list(sources) == ["coco", "flickr30k", "flickr8k", "ade20k", "pairs", "narratives", "sharegpt4v"]
    items = {source: list(items) for source, items in sources.items()}
    assert [item.text for item in items["narratives"]] == ["val2017", "train2017"]
    assert [item.text for item in items["sharegpt4v"]] == ["One.", "Two."]
    assert {source: [item.identity for item in of_type(Picture, found)] for source, found in items.items()} == {
        "coco": ["coco:9"],
        "flickr30k": ["flickr:7"],
        "flickr8k": ["flickr:7"],
        "ade20k": ["ade20k:ADE_val_1"],
        "pairs": ["pairs:a.jpg"],
        "narratives": [],
        "sharegpt4v": [],
    }


def test_folders_given_relative_to_here_give_absolute_paths(tmp_path, monkeypatch):
    """Workers may run elsewhere."""
    write(
        tmp_path,
        {"f8k/Images/7_0123456789.jpg": None, "f8k/Flickr8k.token.txt": "", "own.csv": "image,caption\nb.jpg,A\n"},
    )
    write(tmp_path, {"pictures/b.jpg": None})
    monkeypatch.chdir(tmp_path)
    chosen = DatabaseConfig(name="photos", flickr8k="f8k", pairs="own.csv", images="pictures")
    paths = [item.path for items in open_sources(chosen).values() for item in of_type(Picture, items)]
    assert paths == [tmp_path / "f8k" / "Images" / "7_0123456789.jpg", tmp_path / "pictures" / "b.jpg"]


def test_without_photographs_scenes_are_drawn():
    (source, items), *others = open_sources(DatabaseConfig(scenes=12, seed=3)).items()
    assert (source, others) == ("scenes", [])
    assert next(item.identity for item in of_type(Picture, items)) == "scene-3000000"


def test_of_folders_within_each_other_the_innermost_is_found(tmp_path):
    write(tmp_path, {"b/a.jpg": None, "images/a/b/a/1.jpg": None})
    assert find_folder(tmp_path, "a") == tmp_path / "images" / "a"
    assert find_folder(tmp_path, "a", "b") == tmp_path / "images" / "a" / "b" / "a"
    assert find_folder(tmp_path, "b", "a") == tmp_path / "b"
    assert find_folder(tmp_path, "c") is None


# Scenes


def test_scenes_are_different_repeatable_and_have_captions():
    items = list(read_scenes(40, seed=0))
    assert items == list(read_scenes(40, seed=0))
    scenes, texts = of_type(Picture, items), of_type(Text, items)
    assert len({str(scene.scene) for scene in scenes}) == len({scene.identity for scene in scenes}) == 40
    assert scenes[0] == Picture("scene-000000", "scene-000000", None, None, scenes[0].scene)
    captions = Counter(text.identity for text in texts)
    assert set(captions) == {scene.identity for scene in scenes} and min(captions.values()) >= 2
    assert {(text.kind, text.matches) for text in texts} == {("caption", True)}
    assert len({text.where for text in texts}) == len(texts)
    others = of_type(Picture, read_scenes(40, seed=1))
    assert not {str(scene.scene) for scene in scenes} & {str(scene.scene) for scene in others}


def test_equal_scenes_are_skipped_and_too_few_different_ones_are_told(monkeypatch):
    monkeypatch.setattr("sources.readers.SEEDS_PER_DATABASE", 20)
    monkeypatch.setattr("sources.readers.make_scene", lambda seed: {"n": seed // 2})
    monkeypatch.setattr("sources.readers.write_captions", lambda scene, seed: ["a dog"])
    scenes = of_type(Picture, read_scenes(3, seed=0))
    assert [scene.image_id for scene in scenes] == ["scene-000000", "scene-000002", "scene-000004"]
    assert len(of_type(Picture, read_scenes(10, seed=0))) == 10
    with pytest.raises(ValueError, match="11 different scenes wanted, seed 0 gives 10"):
        list(read_scenes(11, seed=0))


# The real files


@pytest.mark.skipif("TIC_PHOTOS" not in os.environ, reason="TIC_PHOTOS names no folder of photographs")
def test_real_files_are_read_whole():
    root = Path(os.environ["TIC_PHOTOS"])
    chosen = DatabaseConfig(
        name="photos",
        **{source: str(root / source) for source in ("coco", "flickr30k", "flickr8k", "ade20k")},
        narratives=(str(root / "ade20k" / "ade20k_validation_localized_narratives.jsonl"),),
    )
    counts, identities = {}, {}
    for source, found in open_sources(chosen).items():
        items = list(found)
        counts[source] = {kind.__name__: len(of_type(kind, items)) for kind in (Picture, Text, Listed, LeftOut)}
        identities[source] = {item.identity for item in of_type(Picture, items)}
        if source not in ("ade20k", "narratives"):
            assert {item.identity for item in of_type(Text, items)} == identities[source]
    assert counts == {
        "coco": {"Picture": 100, "Text": 500, "Listed": 0, "LeftOut": 0},
        "flickr30k": {"Picture": 300, "Text": 1500, "Listed": 0, "LeftOut": 0},
        "flickr8k": {"Picture": 7000, "Text": 35_000, "Listed": 7000, "LeftOut": 0},
        "ade20k": {"Picture": 300, "Text": 0, "Listed": 0, "LeftOut": 0},
        "narratives": {"Picture": 0, "Text": 300, "Listed": 0, "LeftOut": 0},
    }
    assert identities["flickr30k"] <= identities["flickr8k"]
