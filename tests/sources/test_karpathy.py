"""Karpathy's files: every image gives its split and captions, or a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_files import UNHURRIED, almost, coco_image, karpathy, of_type, sentence, write

from sources.coco import read_coco
from sources.flickr import flickr_identity
from sources.items import LeftOut, Listed, Text
from sources.karpathy import read_karpathy


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
        ("a text", "TypeError: string indices must be integers, not 'str'", 0),
        (None, "TypeError: 'NoneType' object is not subscriptable", 0),
    ],
)
def test_a_broken_record_of_karpathys_file_is_reported_and_the_rest_is_kept(tmp_path, image, reason, captions):
    whole = coco_image(9, "train2014", "train", {"raw": "A meal."} | {"tokens": ["a", "meal"], "imgid": 0, "sentid": 7})
    folder = write(tmp_path, {"dataset_coco.json": karpathy("coco", image, whole), "val2014/1.jpg": None})
    assert list(read_coco(folder))[1:] == [
        LeftOut("line", "dataset_coco.json:images[0]", f"not a record of a Karpathy file: {reason}", captions=captions),
        Listed("coco:9", "train", "dataset_coco.json:images[1]"),
        Text("coco:9", "A meal.", "caption", "dataset_coco.json:7"),
    ]


@given(images=st.lists(almost("filename", "split", "sentences"), min_size=1, max_size=10))
@UNHURRIED
def test_every_image_of_karpathys_file_is_listed_or_reported(tmp_path, images):
    file = write(tmp_path, {"dataset.json": {"images": images}}) / "dataset.json"
    items = list(read_karpathy(file, lambda image: flickr_identity(image["filename"])))
    assert len(of_type(Listed, items)) + len(of_type(LeftOut, items)) == len(images)
