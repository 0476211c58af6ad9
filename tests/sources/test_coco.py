"""COCO as it is downloaded, and with Karpathy's file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_files import UNHURRIED, coco_captions, coco_image, karpathy, of_type, sentence, write

from sources.coco import coco_identity, read_coco
from sources.items import LeftOut, Listed, Note, Picture, Text


def test_coco_2017(tmp_path):
    folder = write(
        tmp_path,
        {
            "annotations/captions_train2017.json": coco_captions((9, 661611, "A meal . "), (9, 661977, "")),
            "annotations/captions_val2017.json": coco_captions((397133, 370509, "A man in a kitchen.\n")),
            "annotations/person_keypoints_val2017.json": "not read",
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
def test_a_broken_annotation_of_coco_is_reported_and_the_rest_is_kept(tmp_path, annotation, place):
    captions = coco_captions((9, 1, "A meal."), annotation, (9, 3, "A plate."))
    folder = write(tmp_path, {"captions_val2017.json": captions, "val2017/000000000009.jpg": None})
    assert list(read_coco(folder))[1:] == [
        Text("coco:9", "A meal.", "caption", "captions_val2017.json:1"),
        LeftOut("line", f"captions_val2017.json:{place}", "the annotation has no image_id or no caption", captions=1),
        Text("coco:9", "A plate.", "caption", "captions_val2017.json:3"),
    ]


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
def test_a_name_that_is_not_cocos_is_not_a_number_of_coco(name):
    """The first was downloaded twice; as number 1 it would get the captions of another photograph."""
    assert coco_identity(name) == f"coco:{name}"


# Own data in the format of COCO


def images_of(**names: str) -> dict:
    """id -> file name, as entries of images; ids are written as id_5."""
    return {"images": [{"id": int(key.removeprefix("id_")), "file_name": name} for key, name in names.items()]}


def test_a_caption_belongs_to_the_file_that_images_names(tmp_path):
    """The ids are one off the numbers in the names."""
    captions = coco_captions((0, 1, "One."), (1, 2, "Two."), (2, 3, "A dog.")) | images_of(
        id_0="000001.jpg", id_1="val2017/000002.jpg", id_2="dog.jpg"
    )
    folder = write(
        tmp_path,
        {
            "annotations/captions_val2017.json": captions,
            **{f"val2017/{name}.jpg": None for name in ("000001", "000002", "dog")},
        },
    )
    items = list(read_coco(folder))
    assert {item.identity: item.image_id for item in of_type(Picture, items)} == {
        "coco:1": "000001.jpg",
        "coco:2": "000002.jpg",
        "coco:dog.jpg": "dog.jpg",
    }
    assert [(item.identity, item.text) for item in of_type(Text, items)] == [
        ("coco:1", "One."),
        ("coco:2", "Two."),
        ("coco:dog.jpg", "A dog."),
    ]
    assert of_type(Note, items) == [
        Note(
            "coco: in captions_val2017.json 3 images have ids that are not the numbers in the names of their files; "
            "each caption goes to the file that is named"
        )
    ]


@pytest.mark.parametrize(
    ("image", "reason"),
    [(7, "images has no file with the id 7"), (5, "images has several files with the id 5")],
)
def test_a_caption_without_one_file_is_left_out(tmp_path, image, reason):
    captions = coco_captions((0, 1, "One."), (image, 2, "Two.")) | {
        "images": [{"id": 0, "file_name": "1.jpg"}, *({"id": 5, "file_name": f"{n}.jpg"} for n in (2, 3))]
    }
    folder = write(tmp_path, {"captions_val2017.json": captions, "val2017/1.jpg": None})
    items = list(read_coco(folder))
    assert of_type(LeftOut, items) == [LeftOut("line", "captions_val2017.json:2", reason, captions=1)]
    assert [item.identity for item in of_type(Text, items)] == ["coco:1"]


@pytest.mark.parametrize("by", ["captions", "karpathy"])
def test_files_of_one_number_in_two_parts_keep_their_part(tmp_path, by):
    files = {"train2014/COCO_train2014_000000000001.jpg": None, "val2014/COCO_val2014_000000000001.jpg": None}
    if by == "captions":
        files |= {
            "captions_train2014.json": coco_captions((1, 1, "One.")),
            "captions_val2014.json": coco_captions((1, 2, "Uno.")),
        }
    else:
        parts = (("train2014", "One."), ("val2014", "Uno."))
        files["dataset_coco.json"] = karpathy(
            "coco", *(coco_image(1, part, "train", sentence(said, 1)) for part, said in parts)
        )
    items = list(read_coco(write(tmp_path, files)))
    for kind in (Picture, Text, Listed)[: 2 if by == "captions" else 3]:
        assert [(item.identity, item.part) for item in of_type(kind, items)] == [
            ("coco:1", "train2014"),
            ("coco:1", "val2014"),
        ]
    assert [item.text for item in of_type(Text, items)] == ["One.", "Uno."]


def test_karpathys_file_name_rules_over_its_number(tmp_path):
    image = coco_image(9, "val2014", "val", sentence("A meal.", 1)) | {"cocoid": 8}
    folder = write(tmp_path, {"dataset_coco.json": karpathy("coco", image), "val2014/9.jpg": None})
    assert [item.identity for item in of_type(Text, read_coco(folder))] == ["coco:9"]
