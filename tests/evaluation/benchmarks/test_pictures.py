"""Identities by file name, and where pictures are found."""

import unicodedata

import pytest
from claims import UNHURRIED, A, write
from hypothesis import given
from hypothesis import strategies as st

from evaluation.benchmarks.pictures import PictureFinder, identity_of


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("000000085329.jpg", "coco:85329"),
        ("val2017/000000085329.jpg", "coco:85329"),
        ("000000085329", "coco:85329"),
        ("COCO_val2014_000000085329.jpg", "coco:85329"),
        ("COCO_train2014_000000000009.jpg", "coco:9"),
        ("1056338697_4f7d7ce270.jpg", "flickr:1056338697"),
        ("Flicker8k_Dataset\\1056338697_4f7d7ce270.jpg", "flickr:1056338697"),
        ("2258277193_586949ec62.jpg.1", "flickr:2258277193"),
        ("1056338697.jpg", "flickr:1056338697"),
        ("36979.jpg", "flickr:36979"),  # of Flickr30k
        ("123.jpg", None),
        ("085329.jpg", None),
        ("1056338697.png", None),
        ("123456789012.jpg", None),
        ("0000000085329.jpg", None),
        ("20210304_123456.jpg", None),  # a photograph of a phone
        ("V_000000185565.jpg", None),
        ("ex_0_img_0", None),
        ("", None),
        ("²345678.jpg", None),
    ],
)
def test_the_identity_by_file_name(name, identity):
    assert identity_of(name) == identity


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a.jpg", "a.jpg"),
        ("sub/a.jpg", "sub/a.jpg"),
        ("sub\\a.jpg", "sub/a.jpg"),
        ("other/a.jpg", "a.jpg"),  # by its last part
        ("ex_0_img_0", "ex_0_img_0.png"),
        ("deep/ex_0_img_0", "ex_0_img_0.png"),
        ("000000085329.jpg", "val2017/000000085329.jpg"),
        ("COCO_train2014_000000085329.jpg", "val2017/000000085329.jpg"),
        ("000000000009.jpg", "COCO_train2014_000000000009.jpg"),
        ("coco/000000000042", "train2014/COCO_train2014_000000000042.jpg"),
        ("b.jpg", "images/b.jpg"),
        ("c", "images/c.jpeg"),
        (A, f"Flicker8k_Dataset/{A}"),
        ("1056338697.jpg", "flickr30k-images/1056338697.jpg"),
        ("sub", None),  # a folder
        ("absent.jpg", None),
        ("../outside.jpg", None),
        ("sub/../a.jpg", None),
        ("/a.jpg", None),
        ("C:\\a.jpg", None),
        ("", None),
        (".", None),
        ("\0.jpg", None),
        ("\0/b.jpg", "images/b.jpg"),
        ("x" * 300 + "/a.jpg", "a.jpg"),
    ],
)
def test_where_a_picture_lies(tmp_path, name, file):
    pictures = ["a.jpg", "sub/a.jpg", "ex_0_img_0.png", "val2017/000000085329.jpg", "images/a.jpg", "images/b.jpg"]
    pictures += ["COCO_train2014_000000000009.jpg", "train2014/COCO_train2014_000000000042.jpg", "images/c.jpeg"]
    pictures += [f"Flicker8k_Dataset/{A}", "flickr30k-images/1056338697.jpg"]
    images = write(tmp_path / "pictures", dict.fromkeys(pictures, b""))
    write(tmp_path, {"outside.jpg": b""})
    assert PictureFinder(images).find(name) == (None if file is None else images / file)


@pytest.mark.parametrize("folder", ["", "Flicker8k_Dataset/"])
def test_a_number_of_flickr_finds_the_file_of_flickr8k(tmp_path, folder):
    """A file with the plain number comes first."""
    images = write(tmp_path, {f"{folder}{A}": b"", f"{folder}20210304_123456.jpg": b"", f"{folder}7.jpg": b""})
    write(tmp_path, {f"{folder}7_0123456789.jpg": b""})
    finder = PictureFinder(images)
    assert finder.find(f"{A.partition('_')[0]}.jpg") == images / f"{folder}{A}"
    assert finder.find("7.jpg") == images / f"{folder}7.jpg"
    assert [finder.find(name) for name in ("20210304.jpg", "8.jpg", "../7.jpg")] == [None, None, None]


def test_names_compare_as_nfc(tmp_path):
    decomposed = unicodedata.normalize("NFD", "\u00e9/\u00e9.jpg")
    images = write(tmp_path, {decomposed: b""})
    for form in ("NFC", "NFD"):
        assert PictureFinder(images).find(unicodedata.normalize(form, decomposed)) == images / decomposed


def test_a_folder_is_listed_once(tmp_path):
    finder = PictureFinder(write(tmp_path, {"a.jpg": b""}))
    assert finder.find("b.jpg") is None
    write(tmp_path, {"b.jpg": b"", "c.jpg": b""})
    assert [finder.find(name) for name in ("a.jpg", "b.jpg", "c.jpg")] == [tmp_path / "a.jpg", None, None]
    assert PictureFinder(tmp_path).find("c.jpg") == tmp_path / "c.jpg"
    assert PictureFinder(tmp_path / "absent").find("c.jpg") is None


@UNHURRIED
@given(parts=st.lists(st.sampled_from(["..", ".", "", "sub", "a.jpg", "outside.jpg", "C:", "\\", "~"]), max_size=5))
def test_nothing_outside_the_folder_is_found(tmp_path, parts):
    images = write(tmp_path / "pictures", {"a.jpg": b"", "sub/a.jpg": b""})
    write(tmp_path, {"outside.jpg": b""})
    found = PictureFinder(images).find("/".join(parts))
    assert found is None or found.resolve() in (images / "a.jpg", images / "sub" / "a.jpg")
