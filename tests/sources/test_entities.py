"""Flickr30k Entities: sentences with boxes, and files that are damaged."""

import os
from pathlib import Path

import pytest
from raw_files import NAMELESS, entities, entity, of_type, write

from common.regions import Region
from sources.entities import read_entities, read_sentence
from sources.items import Grounded, LeftOut

SENTENCE = "[/EN#18/people A child] in [/EN#19/clothing a pink dress] is climbing up [/EN#0/notvisual it] .\n"
CHILD, DRESS = entity(10, 20, 50, 100, "18"), entity(21, 41, 40, 80, "19")


def read(folder: Path, **files: str | bytes | None) -> list:
    """Items of a folder with the photograph 7 and these files."""
    names = {"sentences": "Sentences/7.txt", "boxes": "Annotations/7.xml"}
    usual = {"sentences": SENTENCE, "boxes": entities(100, 200, CHILD, DRESS)}
    write(folder, {names[name]: content for name, content in (usual | files).items() if content is not None})
    for part in ("Sentences", "Annotations"):
        (folder / part).mkdir(exist_ok=True)
    return list(read_entities(folder))


def test_phrases_have_the_boxes_of_their_chains(tmp_path):
    (item,) = read(tmp_path)
    assert item == Grounded(
        "flickr:7",
        "A child in a pink dress is climbing up it .",
        (Region(0, 7, ((0.09, 0.095, 0.5, 0.5),)), Region(11, 23, ((0.2, 0.2, 0.4, 0.4),))),
        "Sentences/7.txt:1",
    )
    assert [item.text[region.start : region.end] for region in item.regions] == ["A child", "a pink dress"]


def test_a_chain_has_all_its_boxes_and_a_box_can_be_of_several_chains(tmp_path):
    sentence = "[/EN#1/people Two men] beside [/EN#2/people/other a man] .\r\n\r\n"
    (item,) = read(
        tmp_path,
        sentences=sentence,
        boxes=entities(100, 100, entity(1, 1, 50, 50, "1", "2"), entity(51, 1, 100, 50, "1")),
    )
    left, right = (0.0, 0.0, 0.5, 0.5), (0.5, 0.0, 1.0, 0.5)
    assert [region.boxes for region in item.regions] == [(left, right), (left,)]


def test_boxes_are_clipped_to_the_picture(tmp_path):
    (item,) = read(tmp_path, sentences="[/EN#1/people A man]", boxes=entities(100, 100, entity(-4, 0, 120, 101, "1")))
    assert item.regions == (Region(0, 5, ((0.0, 0.0, 1.0, 1.0),)),)


@pytest.mark.parametrize(
    "other", [entity(None, None, None, None, "18"), entity(5, 5, 4, 9, "18"), entity(150, 5, 160, 9, "18")]
)
def test_a_chain_that_is_not_wholly_in_boxes_has_no_region(tmp_path, other):
    """Without a box, with a box without area, with a box outside the picture."""
    (item,) = read(tmp_path, boxes=entities(100, 200, CHILD, DRESS, other))
    assert [item.text[region.start : region.end] for region in item.regions] == ["a pink dress"]


@pytest.mark.parametrize(
    ("files", "where", "reason", "captions"),
    [
        ({"boxes": "<annotation><size>"}, "Annotations/7.xml", "not a file of boxes: ParseError: no element found", 2),
        ({"boxes": ""}, "Annotations/7.xml", "not a file of boxes: ParseError", 2),
        ({"boxes": b"\xff\xfe\x00"}, "Annotations/7.xml", "not a file of boxes: ParseError", 2),
        ({"boxes": "<annotation/>"}, "Annotations/7.xml", "not a file of boxes: LookupError: no size/width", 2),
        (
            {"boxes": entities(0, 9)},
            "Annotations/7.xml",
            "not a file of boxes: ValueError: the picture has 0 x 9 pixels",
            2,
        ),
        ({"boxes": entities("wide", 9)}, "Annotations/7.xml", "not a file of boxes: ValueError: could not convert", 2),
        (
            {"boxes": entities(9, 9, NAMELESS)},
            "Annotations/7.xml",
            "not a file of boxes: LookupError: no bndbox/ymax",
            2,
        ),
        ({"boxes": None}, "Sentences/7.txt", "there is no Annotations/7.xml", 2),
        ({"sentences": None}, "Annotations/7.xml", "there is no Sentences/7.txt", 0),
        ({"sentences": b"A d\xf6g .\n"}, "Sentences/7.txt", "not UTF-8: byte 0xf6 at position 3", 0),
    ],
)
def test_a_damaged_file_is_left_out_and_the_others_are_read(tmp_path, files, where, reason, captions):
    write(tmp_path, {"Sentences/8.txt": SENTENCE, "Annotations/8.xml": entities(100, 200, CHILD)})
    entry, good = read(tmp_path, **{"sentences": 2 * SENTENCE, **files})
    assert (entry.what, entry.where, entry.captions, entry.photographs) == ("file", where, captions, 0)
    assert entry.reason.startswith(reason)
    assert (good.identity, len(good.regions)) == ("flickr:8", 1)


def test_a_line_with_unreadable_brackets_is_left_out(tmp_path):
    entry, item = read(tmp_path, sentences="[/EN#18/people A child in a dress .\n" + SENTENCE)
    reason = "unreadable brackets: '[/EN#18/people A child in a dress .'"
    assert entry == LeftOut("line", "Sentences/7.txt:1", reason, captions=1)
    assert item.where == "Sentences/7.txt:2"


def test_a_sentence_without_chains_has_no_regions():
    assert read_sentence("  A dog [ runs ] . \n", {"1": [(0, 0, 1, 1)]}) == ("A dog [ runs ] .", ())


@pytest.mark.parametrize("part", ["Sentences", "Annotations"])
def test_a_folder_without_a_part_is_refused(tmp_path, part):
    other = {"Sentences": "Annotations", "Annotations": "Sentences"}[part]
    (tmp_path / other).mkdir()
    with pytest.raises(FileNotFoundError, match=rf"--entities .* has no {part}/; it must be the folder of Flickr30k"):
        list(read_entities(tmp_path))


@pytest.mark.system
@pytest.mark.skipif("TIC_PHOTOS" not in os.environ, reason="TIC_PHOTOS names no folder with flickr30k_entities/")
def test_real_files_are_read_whole():
    items = list(read_entities(Path(os.environ["TIC_PHOTOS"]) / "flickr30k_entities"))
    assert (len(of_type(Grounded, items)), len(items)) == (35_000, 35_000)
    assert sum(len(item.regions) for item in items) == 91_034
    for item in items:
        for region in item.regions:
            assert item.text[region.start : region.end].strip() == item.text[region.start : region.end] != ""
            assert all(0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1 for x0, y0, x1, y1 in region.boxes)
