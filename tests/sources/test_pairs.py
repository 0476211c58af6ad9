"""The user's own pairs: paths, labels and splits as files spell them."""

import re
import unicodedata

import pytest
from raw_files import FORMATS, of_type, pairs_of, write

from sources.items import LeftOut, Listed, Picture, Text


@pytest.mark.parametrize(
    "image", ["sub/b.jpg", "./sub/b.jpg", "sub//b.jpg", "sub\\b.jpg", ".\\sub\\b.jpg", " sub/b.jpg "]
)
def test_one_image_has_one_identity_however_its_path_is_written(tmp_path, image):
    picture, _ = pairs_of(tmp_path, FORMATS["jsonl"]([{"image": image, "caption": "A dog."}]), "jsonl")
    assert picture == Picture("pairs:sub/b.jpg", "sub/b.jpg", tmp_path / "images" / "sub" / "b.jpg")


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
def test_names_compare_as_nfc(tmp_path, on_disk):
    """macOS and archives spell an accent apart from its letter."""
    name = unicodedata.normalize(on_disk, "\u00e9t\u00e9/caf\u00e9.jpg")
    write(tmp_path, {f"images/{name}": None})
    rows = [{"image": unicodedata.normalize(form, name), "caption": "A dog."} for form in ("NFC", "NFD")]
    items = pairs_of(tmp_path, FORMATS["jsonl"](rows), "jsonl")
    same = unicodedata.normalize("NFC", name)
    assert of_type(Picture, items) == [Picture(f"pairs:{same}", same, tmp_path / "images" / name)] * 2
    assert {item.identity for item in of_type(Text, items)} == {f"pairs:{same}"}


def test_two_files_whose_names_differ_in_their_form_only_stay_two(tmp_path):
    names = [unicodedata.normalize(form, "\u00e9.jpg") for form in ("NFC", "NFD")]
    write(tmp_path, {f"images/{name}": None for name in names})
    rows = [{"image": name, "caption": "A dog."} for name in names]
    items = of_type(Picture, pairs_of(tmp_path, FORMATS["jsonl"](rows), "jsonl"))
    assert items == [Picture(f"pairs:{name}", name, tmp_path / "images" / name) for name in names]


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
        "line", "pairs.jsonl:1", f"the image {image!r} is outside the folder --images", captions=1
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
        ({"image": "a.jpg", "caption": None}, "the caption is not a text"),
        ({"image": "a.jpg"}, "the caption is not a text"),
        ({"image": "a.jpg", "caption": 7}, "the caption is not a text"),
        ({"image": None, "caption": "A dog."}, "the image is not a file name"),
        ({"image": "  ", "caption": "A dog."}, "the image is not a file name"),
        ({"image": {"path": "a.jpg"}, "caption": "A dog."}, "the image is not a file name"),
        ({"caption": "A dog."}, "the image is not a file name"),
        (["a.jpg", "A dog."], "not a JSON object"),
        ({"image": "a.jpg", "caption": "A \udc15 dog."}, "not JSON: 'utf-8' codec can't encode character"),
    ],
)
def test_a_broken_row_is_reported_and_the_rest_is_kept(tmp_path, row, reason):
    good = {"image": "a.jpg", "caption": "A dog."}
    items = pairs_of(tmp_path, FORMATS["jsonl"]([good, row, good]), "jsonl")
    (entry,) = of_type(LeftOut, items)
    assert (entry.what, entry.where, entry.captions) == ("line", "pairs.jsonl:2", 1)
    assert entry.reason.startswith(reason)
    assert [item.where for item in of_type(Text, items)] == ["pairs.jsonl:1", "pairs.jsonl:3"]


@pytest.mark.parametrize("name", ["x" * 300 + ".jpg", "\0.jpg", ".", "sub"])
def test_a_name_that_no_file_can_have_stops_nothing(tmp_path, name):
    rows = [{"image": name, "caption": "A dog."}, {"image": "a.jpg", "caption": "A cat."}]
    items = pairs_of(tmp_path, FORMATS["jsonl"](rows), "jsonl")
    assert [item.image_id for item in of_type(Picture, items)] == ["a.jpg"]
    assert [item.identity for item in of_type(Text, items)] == [f"pairs:{name}", "pairs:a.jpg"]


def test_if_not_one_image_is_found_the_folder_is_asked_for(tmp_path):
    rows = [{"image": f"photos/{name}.jpg", "caption": "A dog."} for name in "ab"]
    message = re.escape(
        f"no image of {tmp_path / 'pairs.csv'} is in {tmp_path / 'images'}; give the folder of the images"
    )
    with pytest.raises(FileNotFoundError, match=message + " with --images DIR"):
        pairs_of(tmp_path, FORMATS["csv"](rows))
    assert len(of_type(Picture, pairs_of(tmp_path, FORMATS["csv"]([*rows, {"image": "a.jpg", "caption": "A"}])))) == 1
