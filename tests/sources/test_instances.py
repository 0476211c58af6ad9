"""COCO's boxes: read as a stream, and given to the nouns that leave no doubt which boxes they mean."""

import json
from pathlib import Path
from typing import Any

import pytest
from raw_files import coco_captions, coco_image, karpathy, of_type, sentence, write

from sources.coco import read_coco
from sources.instances import Instances, Objects, find_regions, read_names
from sources.items import LeftOut, Text
from Tokenizer_lib import split_words

CATEGORIES = {1: "person", 3: "car", 18: "dog", 58: "hot dog"}
A, B, C = (0.0, 0.0, 0.25, 0.25), (0.5, 0.5, 0.75, 1.0), (0.125, 0.5, 0.25, 0.75)


def instances(*annotations: Any, size: tuple[int, int] = (200, 100)) -> dict[str, Any]:
    """instances_*.json with all keys of COCO's files; annotations: (id, image, category, bbox[, crowd]), or a value."""
    image = {"license": 4, "coco_url": "", "date_captured": "", "flickr_url": "", "width": size[0], "height": size[1]}
    return {
        "info": {"description": "COCO 2017 Dataset", "version": "1.0", "year": 2017},
        "licenses": [{"url": "http://creativecommons.org/licenses/by-nc-sa/2.0/", "id": 1, "name": "BY-NC-SA"}],
        "images": [{**image, "file_name": f"{number:012}.jpg", "id": number} for number in (9, 42)],
        "annotations": [annotation(*one) if isinstance(one, tuple) else one for one in annotations],
        "categories": [{"supercategory": "thing", "id": n, "name": name} for n, name in CATEGORIES.items()],
    }


def annotation(number: int, image: int, category: int, bbox: list[float], crowd: int = 0) -> dict[str, Any]:
    outline = {"counts": [5, 9], "size": [100, 200]} if crowd else [[1.5, 2.5, 3.5, 2.5, 3.5, 9.5]]
    values = {"segmentation": outline, "area": 12.5, "iscrowd": crowd, "image_id": image, "bbox": bbox}
    return values | {"category_id": category, "id": number}


def read(folder: Path, *contents: Any) -> tuple[Instances, list[LeftOut]]:
    found, left_out = Instances(), []
    for number, content in enumerate(contents):
        file = write(folder, {f"instances_{number}.json": content}) / f"instances_{number}.json"
        left_out += found.read(file)
    return found, left_out


def test_boxes_are_fractions_clipped_to_the_picture(tmp_path):
    found, left_out = read(
        tmp_path,
        instances(
            (7, 42, 18, [-10, 20.5, 60, 40]),
            (5, 9, 1, [100, 50, 120, 70]),
            (6, 42, 18, [100, 0, 50, 50], 1),
            (8, 42, 3, [20, 10, 20, 10]),
        ),
    )
    assert left_out == []
    assert found.of(9) == {"person": Objects(((0.5, 0.5, 1.0, 1.0),))}
    of_42 = found.of(42)
    assert list(of_42) == ["dog", "car"]
    assert of_42["dog"].crowded and not of_42["car"].crowded
    assert of_42["dog"].boxes == (pytest.approx((0.5, 0.0, 0.75, 0.5)), pytest.approx((0.0, 0.205, 0.25, 0.605)))
    assert found.of(1) == found.of(43) == {}


def test_an_object_that_two_files_have_counts_once(tmp_path):
    """COCO 2014 and 2017 have the same annotations, in other files."""
    one, two = (5, 9, 1, [0, 0, 50, 25]), (6, 9, 1, [100, 50, 50, 50])
    found, _ = read(tmp_path, instances(one, two), instances(two, (7, 42, 1, [0, 0, 50, 25])))
    assert found.of(9)["person"].boxes == (A, B)
    assert len(found.of(42)["person"].boxes) == 1


def test_boxes_can_be_asked_for_between_two_files(tmp_path):
    found, _ = read(tmp_path, instances((5, 9, 1, [0, 0, 50, 25])))
    assert len(found.of(9)) == 1
    file = write(tmp_path, {"more.json": instances((4, 9, 18, [0, 0, 50, 25]))}) / "more.json"
    assert list(found.read(file)) == []
    assert list(found.of(9)) == ["dog", "person"]


@pytest.mark.parametrize(
    ("broken", "place"),
    [
        ((5, 9, 77, [0, 0, 50, 25]), "5"),  # category
        ((5, 10, 1, [0, 0, 50, 25]), "5"),  # picture
        ((5, 9, 1, [0, 0, 0, 20]), "5"),  # no area
        ((5, 9, 1, [300, 0, 10, 20]), "5"),  # outside
        ((5, 9, 1, [0, 0, 40]), "5"),
        ((5, 9, 1, [0, 0, "wide", 20]), "5"),
        ((5, [9], 1, [0, 0, 50, 25]), "5"),
        ((5, 9, {}, [0, 0, 50, 25]), "5"),
        ({"id": 5, "image_id": 9}, "5"),
        ({"image_id": 9, "category_id": 1, "bbox": [0, 0, 50, 25]}, "annotations[1]"),
        (None, "annotations[1]"),
        ([5], "annotations[1]"),
    ],
)
def test_an_object_that_cannot_be_used_is_left_out_and_the_rest_is_kept(tmp_path, broken, place):
    good = (6, 9, 1, [100, 50, 50, 50]), (7, 9, 1, [25, 50, 25, 25])
    found, left_out = read(tmp_path, instances(good[0], broken, good[1]))
    reason = "not an object with a category and a box in its picture"
    assert left_out == [LeftOut("line", f"instances_0.json:{place}", reason)]
    assert found.of(9)["person"].boxes == (B, C)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps(instances())[:-30], "is damaged or incomplete"),
        (
            {"categories": [{"id": 1}], "images": [{}], "annotations": []},
            r"has no boxes of COCO \(KeyError: 'name'\); down",
        ),
        ({"categories": [1], "images": [{}], "annotations": []}, r"has no boxes of COCO \(TypeError"),
        ({"images": [], "annotations": []}, "has no entries at 'categories.item'"),
    ],
)
def test_a_file_that_is_damaged_as_a_whole_is_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, content)


# Which nouns get boxes


def named(text: str, **objects: Objects | tuple) -> dict[str, int]:
    """Words of each region -> number of its boxes."""
    its = {name.replace("_", " "): one if isinstance(one, Objects) else Objects(one) for name, one in objects.items()}
    return {text[r.start : r.end]: len(r.boxes) for r in find_regions(text, its)}


@pytest.mark.parametrize(
    ("text", "objects", "found"),
    [
        ("A dog runs.", {"dog": (A,)}, {"dog": 1}),
        ("A puppy runs.", {"dog": (A,)}, {"puppy": 1}),
        ("A DOG's tail.", {"dog": (A,)}, {"DOG": 1}),
        ("A dog runs.", {}, {}),
        ("A cat runs.", {"dog": (A,)}, {}),
        ("A dog runs.", {"dog": (A, B)}, {}),  # which of the two?
        ("A dog runs.", {"dog": Objects((A,), crowded=True)}, {}),
        ("Dogs run.", {"dog": (A, B)}, {"Dogs": 2}),
        ("Dogs run.", {"dog": (A,)}, {}),
        ("Dogs run.", {"dog": Objects((A,), crowded=True)}, {"Dogs": 1}),
        ("Two dogs run.", {"dog": (A, B)}, {"dogs": 2}),
        ("Two big brown dogs run.", {"dog": (A, B)}, {"dogs": 2}),
        ("Two dogs run.", {"dog": (A, B, C)}, {}),
        ("Three dogs run.", {"dog": (A, B)}, {}),
        ("Two dogs run.", {"dog": Objects((A, B), crowded=True)}, {}),
        ("Two men on motorcycles.", {"motorcycle": (A, B, C)}, {"motorcycles": 3}),  # "two" belongs to the men
        ("A man with a dog.", {"person": (A,), "dog": (B,)}, {"man": 1, "dog": 1}),
        ("A man and a woman.", {"person": (A, B)}, {}),
        ("A man and a woman.", {"person": (A,)}, {}),
        ("A man in a crowd of people.", {"person": (A, B)}, {}),
        ("A dog beside a dog.", {"dog": (A,)}, {"dog": 1}),
        ("A hot dog on a plate.", {"dog": (A,), "hot_dog": (B,)}, {"hot dog": 1}),
        ("A hot-dog.", {"hot_dog": (B,)}, {}),
        ("Train tracks near a train station.", {"train": (A,)}, {}),
        ("A train on tracks.", {"train": (A,)}, {"train": 1}),
        ("Toilet paper beside the toilet", {"toilet": (A,)}, {"toilet": 1}),
        ("An orange cat.", {"orange": (A,)}, {}),
        ("Sheep graze.", {"sheep": (A,)}, {"Sheep": 1}),
        ("Sheep graze.", {"sheep": (A, B)}, {"Sheep": 2}),
        ("A pair of scissors.", {"scissors": (A,)}, {"scissors": 1}),
        ("", {"dog": (A,)}, {}),
    ],
)
def test_nouns_get_boxes_if_their_number_leaves_no_doubt(text, objects, found):
    assert named(text, **objects) == found


def test_the_same_noun_twice_has_two_regions():
    regions = find_regions("A dog beside a dog.", {"dog": Objects((A,))})
    assert [(region.start, region.end, region.boxes) for region in regions] == [(2, 5, (A,)), (15, 18, (A,))]


def test_the_list_of_words_has_all_categories_and_words_as_the_tokenizer_reads_them():
    names, modified = read_names()
    assert len({name.category for name in names.values()}) == 80
    for words in names:
        assert tuple(word.text for word in split_words(" ".join(words))) == words
        assert 1 <= len(words) <= 3
    for category in {name.category for name in names.values()} - {"orange", "sports ball"}:
        assert names[tuple(category.split())].category == category, "a category's own name is one of its words"
    assert "tracks" in modified


# As a part of --coco


def test_captions_of_coco_get_the_boxes_of_the_files_beside_them(tmp_path):
    folder = write(
        tmp_path,
        {
            "annotations/captions_val2017.json": coco_captions((9, 1, " A man and his dog."), (42, 2, "Two dogs.")),
            "annotations/instances_val2017.json": instances(
                (1, 9, 1, [0, 0, 50, 25]),
                (2, 9, 18, [100, 50, 50, 50]),
                (3, 42, 18, [0, 0, 50, 25]),
                (4, 42, 99, [0, 0, 1, 1]),
            ),
            "annotations/instances_train2017.json": "of pictures that are not here",
            "val2017/000000000009.jpg": None,
            "val2017/000000000042.jpg": None,
        },
    )
    items = list(read_coco(folder))
    one, two = of_type(Text, items)
    assert {one.text[r.start : r.end]: r.boxes for r in one.regions} == {"man": (A,), "dog": (B,)}
    assert (two.text, two.regions) == ("Two dogs.", ())
    assert [item.where for item in of_type(LeftOut, items)] == ["instances_val2017.json:4"]


def test_captions_of_karpathys_file_get_boxes_too(tmp_path):
    folder = write(
        tmp_path,
        {
            "dataset_coco.json": karpathy("coco", coco_image(9, "val2014", "test", sentence("A man.", 1))),
            "annotations/instances_val2014.json": instances((1, 9, 1, [0, 0, 50, 25])),
            "val2014/COCO_val2014_000000000009.jpg": None,
        },
    )
    (text,) = of_type(Text, read_coco(folder))
    assert text.regions == ((2, 5, (A,)),)


def test_boxes_belong_to_the_file_that_images_names(tmp_path):
    content = instances((5, 9, 18, [0, 0, 100, 50]), (6, 42, 18, [0, 0, 50, 25]))
    content["images"] = [{**image, "file_name": name} for image, name in zip(content["images"], ("dog.jpg", "9.jpg"))]
    captions = coco_captions((9, 1, "A dog."), (42, 2, "A dog.")) | {"images": content["images"]}
    files = {"instances_val2017.json": content, "captions_val2017.json": captions, "val2017/9.jpg": None}
    texts = of_type(Text, read_coco(write(tmp_path, files)))
    assert {text.identity: text.regions[0].boxes for text in texts} == {
        "coco:dog.jpg": ((0.0, 0.0, 0.5, 0.5),),
        "coco:9": ((0.0, 0.0, 0.25, 0.25),),
    }


def test_a_number_in_two_parts_has_the_boxes_of_its_part(tmp_path):
    files = {
        "instances_val2017.json": instances((5, 9, 18, [0, 0, 100, 50])),
        "instances_train2017.json": instances((6, 9, 18, [0, 0, 50, 25])),
        **{f"captions_{part}2017.json": coco_captions((9, 1, "A dog.")) for part in ("train", "val")},
        **{f"{part}2017/000000000009.jpg": None for part in ("train", "val")},
    }
    texts = of_type(Text, read_coco(write(tmp_path, files)))
    assert {text.part: text.regions[0].boxes for text in texts} == {
        "val2017": ((0.0, 0.0, 0.5, 0.5),),
        "train2017": ((0.0, 0.0, 0.25, 0.25),),
    }
