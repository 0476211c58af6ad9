"""ADE20K in the folders of its editions."""

import pytest
from raw_files import write

from sources.ade20k import read_ade20k
from sources.items import Picture


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
def test_ade20k_by_scenes_with_segmentations_that_are_not_photographs(tmp_path, folder, others):
    name = "ADE_train_00000970"
    write(tmp_path / folder, {f"{name}.jpg": None, **{other.format(name, name): None for other in others}})
    path = tmp_path / folder / f"{name}.jpg"
    assert list(read_ade20k(tmp_path)) == [Picture(f"ade20k:{name}", f"{name}.jpg", path, "train")]
