"""The readers: each odd line is told and the rest kept, no split leaks, every picture becomes upright RGB."""

import io
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from Database_sources import (
    FLICKR_LAYOUTS,
    ORIENTATION,
    SHARES,
    SPLITS,
    LeftOut,
    Note,
    Record,
    assign_splits,
    flickr_group,
    hash_split,
    open_picture,
    read_flickr,
    read_scenes,
    stored_picture,
)


def flickr_folder(root: Path, source: str, tokens: bytes, names: list[str], **lists: list[str]) -> Path:
    """A dataset in its native format; the pictures are empty, since readers do not open them."""
    layout = FLICKR_LAYOUTS[source]
    (root / layout.pictures).mkdir(parents=True)
    for name in names:
        (root / layout.pictures / name).touch()
    (root / layout.captions).write_bytes(tokens)
    for split, listed in lists.items():
        (root / layout.lists[split]).write_text("".join(f"{name}\n" for name in listed))
    return root


def read(folder: Path, source: str = "flickr8k") -> tuple[dict[str, Record], list[LeftOut], list[str]]:
    items = list(read_flickr(folder, source))
    records = {item.image_id: item for item in items if isinstance(item, Record)}
    return (
        records,
        [i for i in items if isinstance(i, LeftOut)],
        [i.text for i in items if isinstance(i, Note)],
    )


def record(group: str, split: str | None, source: str = "flickr8k") -> Record:
    return Record(f"{group}.jpg", source, split, group, (("a dog", "caption"),))


def photograph(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Top left red, top right green, bottom left blue, bottom right white."""
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, width // 2 - 1, height // 2 - 1), "red")
    draw.rectangle((width // 2, 0, width, height // 2 - 1), "lime")
    draw.rectangle((0, height // 2, width // 2 - 1, height), "blue")
    return picture.convert(mode)


def corners(data: bytes) -> list[str]:
    """Names of the colours in the middle of the four quarters: top left, top right, bottom left, bottom right."""
    picture = Image.open(io.BytesIO(data))
    assert (picture.format, picture.mode) == ("JPEG", "RGB")
    names = {"red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
    w, h = picture.size
    found = []
    for x, y in ((w // 4, h // 4), (3 * w // 4, h // 4), (w // 4, 3 * h // 4), (3 * w // 4, 3 * h // 4)):
        pixel = np.array(picture.getpixel((x, y)), dtype=int)
        name, distance = min(((n, abs(pixel - c).max()) for n, c in names.items()), key=lambda p: p[1])
        assert distance < 40, f"{pixel} is no colour of the picture"
        found.append(name)
    return found


def turned(orientation: int, **options: object) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = io.BytesIO()
    photograph(120, 80).save(file, "JPEG", quality=95, exif=exif, **options)
    return file.getvalue()


def test_captions_are_read_as_they_are(tmp_path):
    tokens = "1_a.jpg#0\tA dog .\n1_a.jpg#1\t  Ein Hund läuft – 犬  \r\n".encode()
    records, left_out, _ = read(flickr_folder(tmp_path, "flickr8k", tokens, ["1_a.jpg"]))
    assert records["1_a.jpg"] == Record(
        image_id="1_a.jpg",
        source="flickr8k",
        split=None,
        group="flickr:1",
        captions=(("A dog .", "caption"), ("Ein Hund läuft – 犬", "caption")),
        path=tmp_path / "Flicker8k_Dataset" / "1_a.jpg",
    )
    assert left_out == []


@pytest.mark.parametrize(
    ("line", "what", "reason"),
    [
        (b"1_a.jpg#1 A dog .", "line", "no tab between file name and caption"),
        (b"1_a.jpg\tA dog .", "line", "expected name.jpg#number before the tab, got '1_a.jpg'"),
        (b"1_a.jpg#x\tA dog .", "line", "expected name.jpg#number before the tab, got '1_a.jpg#x'"),
        (b"1_a.jpg#1\tA d\xf6g .", "line", "not UTF-8: byte 0xf6 at position 13"),
        (b"1_a.jpg#1\t ", "caption", "the caption is empty"),
        (b"1_a.jpg#1\t. ,", "caption", "the caption '. ,' holds no word"),
        (b"1_a.jpg#1\t" + b"dog " * 3000, "caption", "the caption has 11,999 characters; at most 10,000 are read"),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_the_rest_is_kept(tmp_path, line, what, reason):
    tokens = b"1_a.jpg#0\tA dog .\n\n" + line + b"\n1_a.jpg#2\tA cat .\n"
    records, left_out, _ = read(flickr_folder(tmp_path, "flickr8k", tokens, ["1_a.jpg"]))
    assert left_out == [LeftOut(what, "Flickr8k.token.txt:3", reason, captions=1)]
    assert [text for text, _ in records["1_a.jpg"].captions] == ["A dog .", "A cat ."]


def test_pictures_without_captions_and_captions_without_pictures_are_told(tmp_path):
    tokens = b"1_a.jpg#0\tA dog .\n2_b.jpg#0\tA cat .\n2_b.jpg#1\tA cat sits .\n3_c.jpg#0\t\n"
    folder = flickr_folder(tmp_path, "flickr8k", tokens, ["1_a.jpg", "3_c.jpg", "4_d.jpg"], train=["5_e.jpg"])
    records, left_out, _ = read(folder)
    assert list(records) == ["1_a.jpg"]
    assert left_out == [
        LeftOut("caption", "Flickr8k.token.txt:4", "the caption is empty", 1),
        LeftOut("picture", "Flickr8k.token.txt:2", "2_b.jpg is not in Flicker8k_Dataset/", 2),
        LeftOut("picture", "Flicker8k_Dataset/3_c.jpg", "no usable caption in Flickr8k.token.txt"),
        LeftOut("picture", "Flicker8k_Dataset/4_d.jpg", "no usable caption in Flickr8k.token.txt"),
        LeftOut("picture", "Flickr_8k.trainImages.txt", "5_e.jpg is not in Flicker8k_Dataset/"),
    ]


def test_a_byte_order_mark_and_hidden_files_are_no_content(tmp_path):
    tokens = b"\xef\xbb\xbf1_a.jpg#0\tA dog .\n"
    records, left_out, _ = read(flickr_folder(tmp_path, "flickr8k", tokens, ["1_a.jpg", ".DS_Store"]))
    assert list(records) == ["1_a.jpg"] and left_out == []


@pytest.mark.parametrize("source", FLICKR_LAYOUTS)
def test_a_missing_part_is_named_with_what_was_expected(tmp_path, source):
    layout = FLICKR_LAYOUTS[source]
    with pytest.raises(FileNotFoundError, match=f"{layout.pictures} is not there; --{source} expects"):
        list(read_flickr(tmp_path, source))
    (tmp_path / layout.pictures).mkdir()
    with pytest.raises(FileNotFoundError, match=f"{layout.captions} is not there; --{source} expects"):
        list(read_flickr(tmp_path, source))


def named(count: int) -> tuple[list[str], bytes]:
    names = [f"{n}_x.jpg" for n in range(1, count + 1)]
    return names, "".join(f"{name}#0\tA dog .\n" for name in names).encode()


def test_official_lists_give_the_splits(tmp_path):
    names, tokens = named(6)
    folder = flickr_folder(tmp_path, "flickr8k", tokens, names, train=names[:2], validation=names[2:4], test=names[4:5])
    records, _, notes = read(folder)
    assert [records[name].split for name in names] == ["train"] * 2 + ["validation"] * 2 + ["test", None]
    assert notes == []


def test_the_strictest_of_several_lists_counts_and_is_noted(tmp_path):
    names, tokens = named(3)
    folder = flickr_folder(tmp_path, "flickr8k", tokens, names, train=names, validation=names[1:], test=names[2:])
    records, _, notes = read(folder)
    assert [records[name].split for name in names] == ["train", "validation", "test"]
    assert notes == ["flickr8k: 3 entries of photographs in several lists; the strictest list counts"]


@pytest.mark.parametrize("test_list", [None, ["999_absent.jpg"]])
def test_dev_is_divided_in_halves_if_the_test_photographs_are_absent(tmp_path, test_list):
    names, tokens = named(1100)
    lists = {"train": names[1000:], "validation": names[:1000]} | ({"test": test_list} if test_list else {})
    records, _, notes = read(flickr_folder(tmp_path, "flickr8k", tokens, names, **lists))
    assert Counter(record.split for record in records.values()) == {"train": 100, "validation": 500, "test": 500}
    assert "500 for validation and 500 for test" in notes[0]
    # By a hash and not by place in the list: the first half of the list is in both.
    assert {records[name].split for name in names[:500]} == {"validation", "test"}


def test_the_division_of_dev_does_not_depend_on_its_order_or_on_which_photographs_are_there(tmp_path):
    names, tokens = named(40)
    whole, _, _ = read(flickr_folder(tmp_path / "a", "flickr8k", tokens, names, validation=names))
    part, _, _ = read(flickr_folder(tmp_path / "b", "flickr8k", tokens, names[5:], validation=names[::-1]))
    assert {name: record.split for name, record in part.items()} == {n: whole[n].split for n in names[5:]}


def test_flickr30k_shares_its_groups_with_flickr8k(tmp_path):
    assert flickr_group("1000268201_693b08cb0e.jpg") == flickr_group("1000268201.jpg") == "flickr:1000268201"
    folder = flickr_folder(tmp_path, "flickr30k", b"7.jpg#0\tA dog .\n", ["7.jpg"])
    records, _, notes = read(folder, "flickr30k")
    assert (records["7.jpg"].group, records["7.jpg"].split) == ("flickr:7", None)
    assert notes == ["flickr30k: no official lists; splits as in other datasets, else by a hash of the photograph"]


def test_one_split_for_a_group_and_the_strictest_official_one_decides():
    records = [
        record("a", None, "flickr30k"),
        record("a", "train"),
        record("b", "test"),
        record("b", "validation"),
        record("c", None),
    ]
    assert [r.split for r in assign_splits(records)] == ["train", "train", "test", "test", hash_split("c")]


def test_hash_split_gives_the_shares_and_never_changes():
    counts = Counter(hash_split(f"flickr:{n}") for n in range(20_000))
    for split, share in zip(SPLITS, SHARES):
        assert counts[split] / 20_000 == pytest.approx(share, abs=0.01)  # three standard deviations
    # Databases of two versions must agree, so the hash is part of the format.
    assert "".join(hash_split(f"flickr:{n}")[:2] for n in range(12)) == "trtrvatrtrtrtrvatrtrtete"


def test_scenes_are_different_repeatable_and_have_captions():
    scenes = list(read_scenes(40, seed=0))
    assert scenes == list(read_scenes(40, seed=0))
    assert len({str(s.scene) for s in scenes}) == len({s.image_id for s in scenes}) == 40
    assert (scenes[0].image_id, scenes[0].group, scenes[0].split) == ("scene-000000", "scene-000000", None)
    assert all(len(s.captions) >= 2 and {kind for _, kind in s.captions} == {"caption"} for s in scenes)
    assert not {str(s.scene) for s in scenes} & {str(s.scene) for s in read_scenes(40, seed=1)}


def test_equal_scenes_are_skipped_and_too_few_different_ones_are_told(monkeypatch):
    monkeypatch.setattr("Database_sources.SEEDS_PER_DATABASE", 20)
    monkeypatch.setattr("Database_sources.make_scene", lambda seed: {"n": seed // 2})
    monkeypatch.setattr("Database_sources.write_captions", lambda scene, seed: ["a dog"])
    assert [s.image_id for s in read_scenes(3, seed=0)] == ["scene-000000", "scene-000002", "scene-000004"]
    assert len(list(read_scenes(10, seed=0))) == 10
    with pytest.raises(ValueError, match="11 different scenes wanted, seed 0 gives 10"):
        list(read_scenes(11, seed=0))


@pytest.mark.parametrize("short_side", [40, 80])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_undone(tmp_path, orientation, short_side):
    """The stored quarters are those that a viewer shows. Source: the EXIF standard's table of tag 274."""
    shown = {
        1: "red lime blue white",
        2: "lime red white blue",
        3: "white blue lime red",
        4: "blue white red lime",
        5: "red blue lime white",
        6: "blue red white lime",
        7: "white lime blue red",
        8: "lime white red blue",
    }
    (tmp_path / "a.jpg").write_bytes(turned(orientation))
    stored = stored_picture(tmp_path / "a.jpg", short_side, 90)
    assert corners(stored) == shown[orientation].split()
    long_side = short_side * 3 // 2
    size = (long_side, short_side) if orientation <= 4 else (short_side, long_side)
    assert Image.open(io.BytesIO(stored)).size == size


@pytest.mark.parametrize(
    ("size", "stored"), [((900, 300), (300, 100)), ((300, 900), (100, 300)), ((120, 99), (120, 99))]
)
def test_the_short_side_is_reduced_and_never_enlarged(tmp_path, size, stored):
    photograph(*size).save(tmp_path / "a.png")
    assert Image.open(io.BytesIO(stored_picture(tmp_path / "a.png", 100, 90))).size == stored


def test_prediction_opens_pictures_as_the_database_stores_them(tmp_path):
    (tmp_path / "a.jpg").write_bytes(turned(6))
    opened = open_picture(tmp_path / "a.jpg", 40)
    stored = Image.open(io.BytesIO(stored_picture(tmp_path / "a.jpg", 40, 95)))
    assert (opened.mode, opened.size) == ("RGB", stored.size)
    assert abs(np.array(opened, dtype=int) - np.array(stored, dtype=int)).mean() < 5
    with pytest.raises(FileNotFoundError, match=r"none\.jpg"):
        open_picture(tmp_path / "none.jpg")
    (tmp_path / "text.jpg").write_text("<html>")
    with pytest.raises(ValueError, match=r"text\.jpg: the file is no picture in JPEG"):
        open_picture(tmp_path / "text.jpg")


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("short_side", [64, 1024])
def test_a_truncated_jpeg_is_refused_wherever_it_ends(tmp_path, share, short_side):
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: int(share * len(data))])
    with pytest.raises((OSError, SyntaxError)):
        stored_picture(tmp_path / "a.jpg", short_side, 90)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("L", "png"),
        ("1", "png"),
        ("P", "png"),
        ("LA", "png"),
        ("I;16", "png"),
        ("I", "tif"),
        ("CMYK", "tif"),
        ("YCbCr", "tif"),
    ],
)
def test_black_and_white_survive_every_mode(tmp_path, mode, suffix):
    halves = np.repeat([[0, 255]], 32, axis=1).repeat(64, axis=0)
    if mode.startswith("I"):  # 16 bits: 255 of 255 is 65,535 of 65,535
        picture = Image.fromarray((halves * 257).astype(np.uint16 if mode == "I;16" else np.int32))
    else:
        picture = Image.fromarray(halves.astype(np.uint8))
        picture = (picture.convert("RGB") if mode in ("CMYK", "YCbCr") else picture).convert(mode)
    assert picture.mode == mode
    picture.save(tmp_path / f"a.{suffix}")
    stored = Image.open(io.BytesIO(stored_picture(tmp_path / f"a.{suffix}", 256, 90)))
    assert (stored.mode, stored.size) == ("RGB", (64, 64))
    assert max(stored.getpixel((8, 32))) < 5 and min(stored.getpixel((56, 32))) > 250


def test_pixels_of_unknown_range_are_refused(tmp_path):
    Image.fromarray(np.ones((64, 64), dtype=np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="floating-point"):
        stored_picture(tmp_path / "a.tif", 256, 90)
    Image.fromarray(np.full((64, 64), 100_000, dtype=np.int32)).save(tmp_path / "b.tif")
    with pytest.raises(ValueError, match="from 100000 to 100000"):
        stored_picture(tmp_path / "b.tif", 256, 90)


@pytest.mark.filterwarnings("error")  # Pillow warns from 89 megapixels on and refuses above 179
@pytest.mark.parametrize(("width", "height"), [(12_000, 10_000), (20_000, 12_000)])
def test_decompression_bombs_are_refused_without_a_warning(tmp_path, width, height):
    Image.new("1", (width, height)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"more than 100 megapixels|exceeds limit of 178956970 pixels"):
        stored_picture(tmp_path / "a.png", 256, 90)


def test_postscript_is_not_run(tmp_path):
    """Pillow reads it by starting Ghostscript on the file."""
    photograph(64, 64).save(tmp_path / "a.eps")
    with pytest.raises(ValueError, match="no picture in JPEG"):
        stored_picture(tmp_path / "a.eps", 256, 90)


@pytest.mark.skipif("TIC_PHOTOS" not in os.environ, reason="TIC_PHOTOS names no folder with flickr8k/ and flickr30k/")
def test_the_real_datasets_do_not_leak():
    root = Path(os.environ["TIC_PHOTOS"])
    items = [item for source in FLICKR_LAYOUTS for item in read_flickr(root / source, source)]
    records = assign_splits([item for item in items if isinstance(item, Record)])
    splits: dict[str, set[str]] = {}
    for r in records:
        splits.setdefault(r.group, set()).add(str(r.split))
    assert (
        len(
            {r.group for r in records if r.source == "flickr30k"} & {r.group for r in records if r.source == "flickr8k"}
        )
        > 100
    )
    assert all(len(found) == 1 for found in splits.values())
