"""Files with one number are one photograph only if their pictures agree."""

import pytest
from intakes import reasons, take_in, text
from pictures import scenery

from sources.items import Grounded, Listed, Picture
from sources.numbers import Comparison, find_disputed_numbers, pictures_of


@pytest.fixture
def files(tmp_path):
    """Two pictures, a smaller copy of the first, its bytes, and a file that is not a picture."""
    scenery(0).save(tmp_path / "a.jpg")
    scenery(1).save(tmp_path / "b.jpg")
    scenery(0, (160, 120)).save(tmp_path / "small.png")
    (tmp_path / "same.jpg").write_bytes((tmp_path / "a.jpg").read_bytes())
    (tmp_path / "damaged.jpg").write_bytes(b"damaged")
    return tmp_path


def fill(sources, hold_out=None):
    return take_in(sources, hold_out, lambda intake: find_disputed_numbers(intake, "local", 1))


def captions(intake):
    """File name -> its texts."""
    return {
        photograph.files[0].path.name: [text.text for text in photograph.texts]
        for chunk in intake.chunks(10)
        for photograph in chunk
    }


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "b"], [0, 1]),
        (["a", "same"], [0, 0]),
        (["a", "small"], [0, 0]),
        (["a", "b", "small", "b"], [0, 1, 0, 1]),
        (["damaged", "b", "a"], [0, 0, 1]),
        (["a", "absent"], [0, 0]),
        (["damaged", "absent"], [0, 0]),
    ],
)
def test_files_are_told_apart_by_their_pictures(files, names, expected):
    paths = [next(files.glob(f"{name}.*"), files / f"{name}.jpg") for name in names]
    assert pictures_of(paths) == expected
    assert Comparison((tuple(paths), tuple(paths[:1]))).run() == [expected, [0]]


def test_sources_that_agree_on_a_number_share_the_photograph(files):
    intake = fill(
        {
            "flickr30k": [Picture("flickr:1", "1.jpg", files / "a.jpg"), text("flickr:1", "a dog", "t:1")],
            "flickr8k": [Picture("flickr:1", "1_0.jpg", files / "small.png"), text("flickr:1", "a cat", "u:1")],
        }
    )
    assert captions(intake) == {"a.jpg": ["a dog", "a cat"]}
    assert intake.overlaps["by number"] == [{"sources": ["flickr30k", "flickr8k"], "photographs": 1}]


def test_sources_with_different_pictures_of_one_number_keep_their_own_texts(files):
    intake = fill(
        {
            "flickr30k": [Picture("flickr:1", "1.jpg", files / "a.jpg"), text("flickr:1", "a dog", "t:1")],
            "flickr8k": [Picture("flickr:1", "1_0.jpg", files / "b.jpg"), text("flickr:1", "a dog", "u:1")],
            "snli_ve": [text("flickr:1", "an animal", "s:1")],
            "entities": [Grounded("flickr:1", "a dog", (), "e:1")],
        }
    )
    assert captions(intake) == {"a.jpg": ["a dog"], "b.jpg": ["a dog"]}
    why = "several different pictures have the number flickr:1; nothing says which one is described"
    assert reasons(intake) == [("snli_ve", "s:1", why), ("entities", "e:1", why)]
    assert intake.overlaps["by number"] == []
    assert intake.notes == ["1 numbers belong to several different pictures, each of which is a photograph of its own"]


def test_texts_of_a_part_go_to_the_file_of_this_part(files):
    intake = fill(
        {
            "coco": [
                Picture("coco:1", "1.jpg", files / "a.jpg", "train", part="train2017"),
                Picture("coco:1", "1.jpg", files / "b.jpg", "validation", part="val2017"),
                Listed("coco:1", "validation", "k:1", part="val2017"),
                text("coco:1", "a dog", "t:1")._replace(part="train2017"),
                text("coco:1", "a cat", "v:1")._replace(part="val2017"),
                text("coco:1", "a hog", "w:1"),
                Picture("coco:7", "7.jpg", files / "small.png", "train"),
                text("coco:7", "a cow", "t:7"),
            ]
        }
    )
    assert captions(intake) == {"a.jpg": ["a dog"], "b.jpg": ["a cat"], "small.png": ["a cow"]}
    why = "several different pictures have the number coco:1; nothing says which one is described"
    assert [reason for _, _, reason in reasons(intake)] == [why]
    identities = [photograph.files[0].identity for chunk in intake.chunks(10) for photograph in chunk]
    folder = files.name
    assert identities == [f"coco:1@coco/{folder}/a.jpg", f"coco:1@coco/{folder}/b.jpg", "coco:7"]


def test_a_number_of_several_pictures_holds_out_all_of_them(files, tmp_path):
    (tmp_path / "held.txt").write_text("coco:1\n")
    items = [
        Picture("coco:1", "x.jpg", files / "a.jpg", "train", part="train2017"),
        Picture("coco:1", "y.jpg", files / "b.jpg", "train", part="val2017"),
        text("coco:1", "a dog", "t:1")._replace(part="train2017"),
        text("coco:1", "a cat", "v:1")._replace(part="val2017"),
    ]
    intake = fill({"coco": items}, tmp_path / "held.txt")
    assert intake.held_out == {"lines": 1, "photographs": 2, "unknown": []}
