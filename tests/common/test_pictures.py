"""Pictures: readable ones become upright RGB, others are refused, and only copies of a photograph are linked."""

import io
import os
import time
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pictures import corners, photograph, turned
from PIL import Image, ImageDraw, JpegImagePlugin

from common import pictures as reading
from common.pictures import (
    MOST_BITS,
    MOST_COLOUR,
    ORIENTATION,
    Fingerprints,
    count_scans,
    decode_picture,
    encode_jpeg,
    fingerprint,
    open_picture,
    stored_picture,
)


def saved(picture: Image.Image, path: Path, **options: object) -> Path:
    picture.save(path, **options)
    return path


def png(*chunks: tuple[bytes, bytes], before: bytes = b"IDAT") -> bytes:
    """The photograph (120 x 80) as a PNG with more chunks (name, content)."""
    file = io.BytesIO()
    photograph(120, 80).save(file, "PNG")
    data = file.getvalue()
    more = b"".join(
        len(content).to_bytes(4) + name + content + zlib.crc32(name + content).to_bytes(4) for name, content in chunks
    )
    place = data.index(before) - 4
    return data[:place] + more + data[place:]


def exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif.tobytes()


def profile(content: bytes) -> bytes:
    """As ImageMagick writes EXIF into a PNG."""
    return b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n%8d\n%s\n" % (len(content), content.hex().encode()))


XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
LONG = b"prompt\0\0" + zlib.compress(bytes(2_000_000))
SIDEWAYS = "blue red white lime".split()
UPRIGHT = "red lime blue white".split()


# Metadata


@pytest.mark.parametrize("place", [b"IDAT", b"IEND"])
@pytest.mark.parametrize(
    ("chunks", "shown"),
    [
        ([(b"zTXt", LONG)], UPRIGHT),
        ([(b"zTXt", LONG)] * 40, UPRIGHT),
        ([(b"tEXt", b"no separator"), (b"iTXt", b"x"), (b"zTXt", b"k\0\0no zlib")], UPRIGHT),
        ([(b"pHYs", b"1"), (b"cHRM", b"2"), (b"gAMA", b""), (b"iCCP", b"x"), (b"sRGB", b"")], UPRIGHT),
        ([(b"eXIf", b"garbage")], UPRIGHT),
        ([(b"eXIf", b"MM\0*\0\0\0\x08\xff\xff")], UPRIGHT),
        ([(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"no hex digits"))], UPRIGHT),
        ([(b"zTXt", profile(bytes(2_000_000)))], UPRIGHT),
        ([(b"tEXt", b"Raw profile type exif\0\nexif\n  4\nzz\n")], UPRIGHT),
        ([(b"eXIf", exif(6)[6:]), (b"zTXt", LONG)], SIDEWAYS),
        ([(b"zTXt", profile(exif(6))), (b"zTXt", LONG)], SIDEWAYS),
        ([(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP), (b"eXIf", exif(1)[:3])], UPRIGHT),
        ([(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)], SIDEWAYS),
        ([(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP))], SIDEWAYS),
        ([(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(2_000_000)))], UPRIGHT),
    ],
)
def test_metadata_of_a_png_costs_no_pixels(tmp_path, chunks, shown, place, recwarn):
    """What can be read of it counts, the rest is upright."""
    (tmp_path / "a.png").write_bytes(png(*chunks, before=place))
    data, picture = stored_picture(tmp_path / "a.png", 80, 90)
    assert corners(data) == shown
    assert picture.tobytes() == open_picture(tmp_path / "a.png", 80).tobytes()
    assert not recwarn.list


def test_a_damaged_checksum_costs_the_metadata_only(tmp_path):
    data = bytearray(png((b"eXIf", exif(6)[6:]), (b"tEXt", b"a\0b")))
    for name in (b"eXIf", b"tEXt"):
        data[data.index(name) + 5] ^= 1
    assert decode_picture(bytes(data), 80).size == (120, 80)
    data[data.index(b"IDAT") + 8] ^= 1
    with pytest.raises(Exception, match=r"broken PNG|broken data|truncated|cannot"):
        decode_picture(bytes(data), 80)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize("damaged", [b"garbage", b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0II"])
def test_unreadable_metadata_means_upright(tmp_path, kind, damaged, recwarn):
    path = saved(photograph(120, 80), tmp_path / "a", format=kind, exif=damaged)
    data, picture = stored_picture(path, 60, 90)
    assert corners(data) == UPRIGHT and picture.size == (90, 60)
    assert not recwarn.list


@pytest.mark.parametrize("short_side", [40, 80])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("ending", "options"), [("tif", {}), ("tif", {"compression": "tiff_lzw"}), ("png", {}), ("webp", {})]
)
def test_other_formats_turn_as_a_jpeg_does(tmp_path, ending, options, orientation, short_side):
    path = saved(photograph(120, 80), tmp_path / f"a.{ending}", exif=exif(orientation), **options)
    (tmp_path / "a.jpg").write_bytes(turned(orientation))
    (data, picture), (other, expected) = (stored_picture(each, short_side, 90) for each in (path, tmp_path / "a.jpg"))
    assert (corners(data), picture.size) == (corners(other), expected.size)


# Scans


def progressive(scans: int, size: tuple[int, int] = (120, 80)) -> bytes:
    """A progressive JPEG whose last scan is there again and again."""
    file = io.BytesIO()
    photograph(*size).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    return data[:end] + data[last:end] * (scans - count_scans(data)) + data[end:]


def test_scans_are_counted_where_they_are():
    assert [count_scans(progressive(n)) for n in (10, 11, 100)] == [10, 11, 100]
    assert count_scans(turned(1)) == 1
    assert count_scans(turned(1, comment=b"\xff\xda" * 200) + b"\xff\xda\0\2" * 200) == 1  # in a comment, after the end
    assert count_scans(b"\xff\xd8") == count_scans(b"") == count_scans(b"\xff" * 99) == 0


def test_a_jpeg_with_too_many_scans_is_refused_at_once():
    assert decode_picture(progressive(100), 80).size == (120, 80)
    data = progressive(22_000)
    start = time.process_time()
    with pytest.raises(ValueError, match="a JPEG with 22,000 scans; at most 100 are decoded at this size"):
        decode_picture(data, 80)
    assert time.process_time() - start < 1


def test_a_large_jpeg_can_have_fewer_scans(monkeypatch):
    monkeypatch.setattr(reading, "MOST_SCANNED", 20 * 120 * 80)
    assert decode_picture(progressive(20), 80).size == (120, 80)
    with pytest.raises(ValueError, match="a JPEG with 21 scans; at most 20 are decoded at this size"):
        decode_picture(progressive(21), 80)


# What is stored


@pytest.mark.parametrize("short_side", [40, 80])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_undone(tmp_path, orientation, short_side):
    """The quarters of the stored picture are those that a viewer shows. Source: the EXIF standard, table of tag 274."""
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
    data, picture = stored_picture(tmp_path / "a.jpg", short_side, 90)
    assert corners(data) == shown[orientation].split()
    long_side = short_side * 3 // 2
    size = (long_side, short_side) if orientation <= 4 else (short_side, long_side)
    assert Image.open(io.BytesIO(data)).size == picture.size == size


@pytest.mark.parametrize(
    ("size", "stored"), [((900, 300), (300, 100)), ((300, 900), (100, 300)), ((120, 99), (120, 99))]
)
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_the_short_side_is_reduced_and_never_enlarged(tmp_path, size, stored, ending):
    data, picture = stored_picture(saved(photograph(*size), tmp_path / f"a.{ending}"), 100, 90)
    assert Image.open(io.BytesIO(data)).size == picture.size == stored
    assert corners(data) == ["red", "lime", "blue", "white"]


def test_a_jpeg_that_reduces_itself_while_decoding_looks_like_a_png_that_does_not(tmp_path):
    spots = np.random.default_rng(0).integers(0, 256, (60, 80), dtype=np.uint8)
    picture = Image.fromarray(spots).resize((640, 480), Image.Resampling.BICUBIC).convert("RGB")
    lossless = stored_picture(saved(picture, tmp_path / "a.png"), 100, 90)[1]
    lossy = stored_picture(saved(picture, tmp_path / "a.jpg", quality=95), 100, 90)[1]
    # 3 grey levels; 17 if the decoder reduces by its largest factor, 180 if a pixel is out of place.
    assert np.abs(np.asarray(lossless, dtype=int) - np.asarray(lossy)).max() <= 8


@pytest.mark.parametrize("options", [{}, {"exif": b""}, {"progressive": True}, {"quality": 30}, {"comment": b"hello"}])
def test_a_jpeg_that_fits_is_stored_byte_for_byte(tmp_path, options):
    path = saved(photograph(120, 80), tmp_path / "a.jpg", **options)
    data, picture = stored_picture(path, 80, 90)
    assert data == path.read_bytes()
    assert (picture.mode, picture.size) == ("RGB", (120, 80))
    assert np.array_equal(picture, Image.open(path))


def test_an_upright_jpeg_with_an_orientation_is_stored_byte_for_byte(tmp_path):
    (tmp_path / "a.jpg").write_bytes(turned(1))
    assert stored_picture(tmp_path / "a.jpg", 80, 90)[0] == turned(1)


@pytest.mark.parametrize(
    ("picture", "name", "options"),
    [
        pytest.param(photograph(120, 81), "a.jpg", {}, id="one pixel too large"),
        pytest.param(photograph(120, 80, "L"), "a.jpg", {}, id="grey"),
        pytest.param(photograph(120, 80, "CMYK"), "a.jpg", {}, id="CMYK"),
        pytest.param(photograph(120, 80), "a.png", {}, id="PNG"),
        pytest.param(photograph(120, 80), "png.jpg", {"format": "PNG"}, id="PNG with a wrong ending"),
        pytest.param(
            photograph(120, 80),
            "a.jpg",
            {"format": "MPO", "save_all": True, "append_images": [photograph(120, 80).rotate(180)]},
            id="several pictures, as phones write them",
        ),
    ],
)
def test_any_other_picture_is_encoded_from_the_returned_pixels(tmp_path, picture, name, options):
    path = saved(picture, tmp_path / name, **options)
    data, pixels = stored_picture(path, 80, 90)
    assert data != path.read_bytes()
    assert data == encode_jpeg(pixels, 90)
    stored = Image.open(io.BytesIO(data))
    assert (stored.format, stored.mode, stored.size) == ("JPEG", "RGB", (pixels.width, 80))
    if picture.mode != "L":
        assert corners(data) == ["red", "lime", "blue", "white"]


def test_drawn_scenes_keep_their_colour_at_full_resolution():
    def sampling(full_colour: bool) -> int:
        return JpegImagePlugin.get_sampling(Image.open(io.BytesIO(encode_jpeg(photograph(64, 64), 90, full_colour))))

    assert (sampling(True), sampling(False)) == (0, 2)  # 4:4:4 and 4:2:0


def test_prediction_opens_pictures_as_the_database_stores_them(tmp_path):
    (tmp_path / "a.jpg").write_bytes(turned(6))
    assert np.array_equal(open_picture(tmp_path / "a.jpg", 40), stored_picture(tmp_path / "a.jpg", 40, 95)[1])
    with pytest.raises(FileNotFoundError, match=r"none\.jpg"):
        open_picture(tmp_path / "none.jpg", 40)
    (tmp_path / "text.jpg").write_text("<html>")
    with pytest.raises(ValueError, match=r"text\.jpg: the file is not a picture in JPEG"):
        open_picture(tmp_path / "text.jpg", 40)


# What is refused


@pytest.mark.parametrize("fraction", [0.05, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("short_side", [64, 1024])
def test_a_truncated_jpeg_is_refused_wherever_it_ends(tmp_path, fraction, short_side):
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise), tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: int(fraction * len(data))])
    with pytest.raises((OSError, SyntaxError)):
        stored_picture(tmp_path / "a.jpg", short_side, 90)


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((31, 31), "31 x 31 pixels: a side is under 32"),
        ((32, 32), None),
        ((100, 31), "100 x 31 pixels: a side is under 32"),
        ((400, 40), None),
        ((401, 40), "401 x 40 pixels: one side is over 10 times the other"),
        ((40, 401), "40 x 401 pixels: one side is over 10 times the other"),
    ],
)
def test_place_holders_and_strips_are_refused(tmp_path, size, reason):
    path = saved(photograph(*size), tmp_path / "a.jpg")
    if reason is None:
        assert stored_picture(path, 256, 90)[1].size == size
        return
    with pytest.raises(ValueError) as refusal:
        stored_picture(path, 256, 90)
    assert str(refusal.value) == reason


@pytest.mark.filterwarnings("error")  # Pillow warns from 89 megapixels on and refuses above 179
@pytest.mark.parametrize(("width", "height"), [(12_000, 10_000), (20_000, 12_000)])
def test_decompression_bombs_are_refused_without_a_warning(tmp_path, width, height):
    path = saved(Image.new("1", (width, height)), tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"more than 100 megapixels|exceeds limit of 178956970 pixels"):
        stored_picture(path, 256, 90)


def test_more_bytes_than_a_photograph_has_are_refused(tmp_path, monkeypatch):
    path = saved(photograph(64, 64), tmp_path / "a.png")
    data = path.read_bytes()
    monkeypatch.setattr(reading, "MOST_BYTES", len(data))
    assert reading.open_bytes(data, 64).size == reading.open_picture(path, 64).size == (64, 64)
    assert reading.read_stream(io.BytesIO(data)) == data
    monkeypatch.setattr(reading, "MOST_BYTES", len(data) - 1)
    for read in (lambda: reading.open_bytes(data, 64), lambda: reading.open_picture(path, 64)):
        with pytest.raises(ValueError, match="the file has 0 MB; at most 0 are read"):
            read()
    with pytest.raises(ValueError, match="it does not end; at most 0 MB are read"):
        reading.read_stream(io.BytesIO(data))


def test_postscript_is_not_run(tmp_path):
    """Pillow would start Ghostscript on an EPS file."""
    path = saved(photograph(64, 64), tmp_path / "a.eps")
    with pytest.raises(ValueError, match="is not a picture in JPEG, PNG, GIF, BMP, WEBP or TIFF format"):
        stored_picture(path, 256, 90)


def test_an_empty_file_and_a_folder_are_refused(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(ValueError, match="the file is empty"):
        stored_picture(tmp_path / "a.jpg", 256, 90)
    with pytest.raises(OSError):
        stored_picture(tmp_path, 256, 90)


@pytest.mark.parametrize("kind", [np.uint16, np.int32])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path, kind):
    """Values are divided by 257 and rounded: 0, 200, 32,800 and 65,535 give 0, 0.8, 127.6 and 255."""
    levels = np.array([[0, 200], [32_800, 65_535]], dtype=kind).repeat(32, axis=0).repeat(32, axis=1)
    path = saved(Image.fromarray(levels), tmp_path / "a.tif")
    pixels = stored_picture(path, 256, 90)[1]
    found = [pixels.getpixel(place) for place in ((8, 8), (56, 8), (8, 56), (56, 56))]
    assert found == [(level,) * 3 for level in (0, 1, 128, 255)]


def test_pixels_of_unknown_range_are_refused(tmp_path):
    with pytest.raises(ValueError, match="floating-point"):
        stored_picture(saved(Image.fromarray(np.ones((64, 64), dtype=np.float32)), tmp_path / "a.tif"), 256, 90)
    large = Image.fromarray(np.full((64, 64), 100_000, dtype=np.int32))
    with pytest.raises(ValueError, match="from 100000 to 100000"):
        stored_picture(saved(large, tmp_path / "b.tif"), 256, 90)


# Modes


@pytest.mark.parametrize(
    ("mode", "ending"),
    [
        ("L", "png"),
        ("1", "png"),
        ("P", "png"),
        ("LA", "png"),
        ("RGBA", "webp"),
        ("P", "gif"),
        ("RGB", "bmp"),
        ("I;16", "png"),
        ("I", "tif"),
        ("CMYK", "tif"),
        ("YCbCr", "tif"),
    ],
)
def test_black_and_white_survive_every_mode(tmp_path, mode, ending):
    halves = np.repeat([[0, 255]], 32, axis=1).repeat(64, axis=0)
    if mode.startswith("I"):  # 16 bits: 255 of 255 is 65,535 of 65,535
        picture = Image.fromarray((halves * 257).astype(np.uint16 if mode == "I;16" else np.int32))
    else:
        picture = Image.fromarray(halves.astype(np.uint8))
        picture = (picture.convert("RGB") if mode in ("CMYK", "YCbCr") else picture).convert(mode)
    assert picture.mode == mode
    # What Pillow 12 writes of YCbCr without compression it cannot read itself.
    options = {"compression": "tiff_lzw"} if mode == "YCbCr" else {}
    data, pixels = stored_picture(saved(picture, tmp_path / f"a.{ending}", **options), 256, 90)
    stored = Image.open(io.BytesIO(data))
    assert (stored.mode, stored.size) == ("RGB", (64, 64))
    assert max(stored.getpixel((8, 32))) < 5 and min(stored.getpixel((56, 32))) > 250
    assert (pixels.mode, pixels.size) == ("RGB", (64, 64))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_become_white(tmp_path, mode):
    """Black that is opaque on the left half and transparent on the right half."""
    if mode == "P":
        picture = Image.fromarray(np.repeat([[0, 1]], 32, axis=1).repeat(64, axis=0).astype(np.uint8))
        picture.putpalette([0, 0, 0, 0, 0, 0])
        path = saved(picture, tmp_path / "a.png", transparency=1)
    else:
        picture = Image.new(mode, (64, 64))
        picture.paste((*[0] * (len(mode) - 1), 255), (0, 0, 32, 64))
        path = saved(picture, tmp_path / "a.png")
    pixels = stored_picture(path, 256, 90)[1]
    assert pixels.getpixel((8, 32)) == (0, 0, 0) and pixels.getpixel((56, 32)) == (255, 255, 255)


@pytest.mark.parametrize("ending", ["gif", "webp", "tif"])
def test_the_first_of_several_frames_counts(tmp_path, ending):
    first, second = photograph(120, 80), Image.new("RGB", (120, 80), "black")
    path = saved(first, tmp_path / f"a.{ending}", save_all=True, append_images=[second])
    assert corners(stored_picture(path, 80, 90)[0]) == ["red", "lime", "blue", "white"]


# Copies


def landscape(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Soft spots of four sizes; larger ones have more contrast, as in photographs."""
    random = np.random.default_rng(seed)
    pixels = np.zeros((size[1], size[0], 3))
    for rows, strength in ((3, 1.2), (6, 0.7), (12, 0.35), (24, 0.2)):
        spots = Image.fromarray(random.integers(0, 256, (rows, rows * 4 // 3, 3), dtype=np.uint8))
        pixels += strength * (np.asarray(spots.resize(size, Image.Resampling.BICUBIC), dtype=float) - 128)
    return Image.fromarray((pixels + 128).clip(0, 255).astype(np.uint8))


def are_the_same(*pictures: Image.Image) -> list[tuple[int, int, int | None]]:
    found = [fingerprint(picture) for picture in pictures]
    bits, colours = ([np.frombuffer(parts, np.uint8) for parts in column] for column in zip(*found))
    return links(np.stack(bits), np.stack(colours))


def links(bits: NDArray[np.uint8], colours: NDArray[np.uint8]) -> list[tuple[int, int, int | None]]:
    """(i, j, differing bits) of the links between copies."""
    fingerprints = Fingerprints(bits, colours)
    return [(i, j, fingerprints.distance(i, j)) for i, j in fingerprints.links()]


def in_colour(colour: tuple[int, int, int]) -> Image.Image:
    picture = Image.new("RGB", (320, 240), "white")
    shoe = [(40, 180), (60, 90), (120, 110), (150, 140), (260, 160), (280, 190)]
    ImageDraw.Draw(picture).polygon(shoe, fill=colour)
    return picture


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "recompressed": lambda picture: Image.open(io.BytesIO(encode_jpeg(picture, 10))),
    "reduced": lambda picture: picture.resize((85, 64), Image.Resampling.LANCZOS),
    "enlarged": lambda picture: picture.resize((1280, 960), Image.Resampling.BICUBIC),
    "stretched": lambda picture: picture.resize((224, 224), Image.Resampling.BICUBIC),
    "cropped by 1 %": lambda picture: picture.crop((3, 2, 317, 238)),
    "brighter": lambda picture: picture.point(lambda value: value * 0.92 + 20),
}


@pytest.mark.parametrize("change", COPIES)
def test_copies_are_found_and_other_pictures_are_not(change):
    originals = [landscape(seed) for seed in range(6)]
    pictures = originals + [COPIES[change](picture) for picture in originals]
    assert {(i, j) for i, j, _ in are_the_same(*pictures)} == {(i, i + 6) for i in range(6)}


def test_a_mirror_image_is_another_picture():
    assert are_the_same(landscape(0), landscape(0).transpose(Image.Transpose.FLIP_LEFT_RIGHT)) == []


def test_shades_over_whole_lines_and_columns_hardly_change_the_bits():
    """Gradients of brightness are in the frequencies 0, which the hash leaves out."""
    changed = 0
    for seed in range(8):
        grey = np.asarray(landscape(seed).convert("L"), dtype=float) * 0.4
        shades = np.random.default_rng(seed).integers(0, 75, (2, 16), dtype=np.uint8)
        line = np.asarray(Image.fromarray(shades[:1]).resize((320, 1), Image.Resampling.BICUBIC), dtype=float)
        column = np.asarray(Image.fromarray(shades[1:].T).resize((1, 240), Image.Resampling.BICUBIC), dtype=float)
        plain, shaded = (Image.fromarray(p.astype(np.uint8)).convert("RGB") for p in (grey, grey + line + column))
        first, second = fingerprint(plain), fingerprint(shaded)
        bits = (np.frombuffer(found.bits, np.uint8) for found in (first, second))
        changed += int(np.bitwise_count(np.bitwise_xor(*bits)).sum())
    assert changed <= 45  # about 3 of 256 by rounding; 14 with the frequencies 0


def test_a_recoloured_picture_of_the_same_shape_is_kept_apart():
    red, blue = in_colour((200, 0, 0)), in_colour((0, 60, 220))  # both 60 grey levels
    assert are_the_same(red, blue) == []
    assert are_the_same(red, COPIES["recompressed"](red)) != []
    first, second = fingerprint(red), fingerprint(blue)
    assert first.bits == second.bits  # only the colours differ


@pytest.mark.parametrize("colour", ["white", "black", (120, 130, 140)])
def test_plain_pictures_are_the_same_only_if_every_pixel_is(colour):
    plain = Image.new("RGB", (320, 240), colour)
    other = plain.copy()
    other.putpixel((7, 7), (121, 130, 140))
    assert are_the_same(plain, other, plain.resize((64, 64)), plain.copy()) == [(0, 3, 0)]


def test_a_picture_is_plain_below_three_grey_levels():
    """A picture of two halves that differ by d grey levels has a standard deviation of d / 2."""

    def halves(difference: int, width: int = 32) -> Image.Image:
        row = np.repeat([128, 128 + difference], width).astype(np.uint8)
        return Image.fromarray(np.tile(row, (64, 1))).convert("RGB")

    assert fingerprint(halves(5)).bits != fingerprint(halves(5, 64)).bits  # of the pixels
    assert fingerprint(halves(6)).bits == fingerprint(halves(6, 64)).bits  # of the shape


def test_a_fingerprint_is_256_bits_and_64_colours():
    picture = landscape(1)
    found = fingerprint(picture)
    assert (len(found.bits), len(found.colours)) == (32, 192)
    assert np.bitwise_count(np.frombuffer(found.bits, np.uint8)).sum() == 128  # those above the median
    # The first cell is the mean of the upper left 40 x 30 pixels.
    mean = np.asarray(picture, dtype=float)[:30, :40].mean(axis=(0, 1))
    assert np.abs(np.frombuffer(found.colours, np.uint8)[:3] - mean).max() <= 1


# The search for equal pictures


def flipped(bits: NDArray[np.uint8], places: NDArray[np.int64]) -> NDArray[np.uint8]:
    changed = np.unpackbits(bits)
    changed[places] ^= 1
    return np.packbits(changed)


def by_brute_force(bits: NDArray[np.uint8], colours: NDArray[np.uint8]) -> dict[tuple[int, int], int]:
    """The differing bits of all copies (i, j), from comparing every two fingerprints."""
    found = {}
    for i in range(len(bits)):
        distances = np.bitwise_count(bits ^ bits[i]).sum(axis=1)
        levels = np.abs(colours.astype(int) - colours[i]).max(axis=1)
        near = np.flatnonzero((distances <= MOST_BITS) & (levels <= MOST_COLOUR))
        found |= {(i, int(j)): int(distances[j]) for j in near if i < j}
    return found


def connected(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """The smallest number that each of `count` numbers is connected to."""
    smallest = list(range(count))
    for i, j in pairs:
        one, other = sorted((smallest[i], smallest[j]))
        smallest = [one if number == other else number for number in smallest]
    return smallest


@pytest.mark.parametrize("seed", range(3))
def test_the_search_finds_what_comparing_all_finds(seed):
    random = np.random.default_rng(seed)
    bits = list(random.integers(0, 256, (300, 32), dtype=np.uint8))
    colours = [np.full(192, 100, dtype=np.uint8)] * 300
    planted = {}
    for distance in (0, 1, 15, 31, 32, 33):
        for level in (100, 148, 149, 51):  # 0, 48, 49 and 49 from the others
            original = int(random.integers(300))
            planted[original, len(bits)] = (distance, level)
            bits.append(flipped(bits[original], random.choice(256, distance, replace=False)))
            colours.append(np.where(np.arange(192) == random.integers(192), level, 100).astype(np.uint8))
    order = random.permutation(len(bits))
    place = np.argsort(order)
    bits_, colours_ = np.stack(bits)[order], np.stack(colours)[order]
    found, all_pairs = links(bits_, colours_), by_brute_force(bits_, colours_)
    assert all(all_pairs[i, j] == distance for i, j, distance in found)
    clusters = connected(len(bits), all_pairs)
    assert connected(len(bits), [pair[:2] for pair in found]) == clusters
    assert len(found) == len(bits) - len(set(clusters)), "no pair more than connects them"
    # The planted pairs are known without any comparing.
    distance_of = Fingerprints(bits_, colours_).distance
    for (original, copy), (distance, level) in planted.items():
        i, j = sorted((int(place[original]), int(place[copy])))
        assert distance_of(i, j) == (distance if distance <= 31 and level in (100, 148) else None)


def test_many_frames_of_one_camera_are_linked_by_few_pairs():
    random = np.random.default_rng(0)
    frame = random.integers(0, 256, 32, dtype=np.uint8)
    bits = np.stack([flipped(frame, random.choice(256, 5, replace=False)) for _ in range(1500)])
    assert len(links(bits, np.zeros((1500, 192), dtype=np.uint8))) == 1499


def test_no_copy_at_31_bits_is_missed_wherever_the_bits_are():
    """The hardest copies to find: two differing bits in 15 of the 16 chunks, and in the last chunk any one bit."""
    random = np.random.default_rng(0)
    bits = []
    for word in range(16):
        for single in range(16):
            original = random.integers(0, 256, 32, dtype=np.uint8)
            places = [w + 16 * random.choice(16, 2, replace=False) for w in range(16) if w != word]
            bits += [original, flipped(original, np.array([*np.concatenate(places), word + 16 * single]))]
    found = links(np.stack(bits), np.zeros((512, 192), dtype=np.uint8))
    assert sorted(found) == [(i, i + 1, 31) for i in range(0, 512, 2)]


def test_equal_fingerprints_are_linked_to_the_first():
    random = np.random.default_rng(0)
    equal, other = random.integers(0, 256, (2, 32), dtype=np.uint8)
    near = flipped(equal, np.array([3, 200]))
    bits = np.stack([other, equal, equal, near, equal, near])
    found = links(bits, np.zeros((6, 192), dtype=np.uint8))
    assert sorted(found) == [(1, 2, 0), (1, 3, 2), (1, 4, 0), (3, 5, 0)]


def test_pictures_of_equal_bits_and_two_colours_are_two_photographs():
    bits = np.random.default_rng(0).integers(0, 256, (1, 32), dtype=np.uint8).repeat(5, axis=0)
    colours = np.array([10, 200, 200, 10, 210], dtype=np.uint8)[:, None].repeat(192, axis=1)
    assert sorted(links(bits, colours)) == [(0, 3, 0), (1, 2, 0), (1, 4, 0)]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_pictures(count):
    bits = np.zeros((count, 32), dtype=np.uint8)
    assert links(bits, np.zeros((count, 192), dtype=np.uint8)) == [(0, 1, 0)][: max(0, count - 1)]


@pytest.mark.system
@pytest.mark.skipif("TIC_PHOTOS" not in os.environ, reason="TIC_PHOTOS names no folder of photographs")
def test_among_real_photographs_copies_are_found_without_their_names_and_nothing_else():
    """All 300 photographs of flickr30k/ are in flickr8k/ too, as other files. Flickr8k has one photograph twice."""
    root = Path(os.environ["TIC_PHOTOS"])
    folders = {
        "flickr8k": root / "flickr8k" / "Flicker8k_Dataset",
        "flickr30k": root / "flickr30k" / "flickr30k-images",
        "coco": root / "coco" / "val2017",
        "ade20k": root / "ade20k" / "images" / "validation",
    }
    names, bits, colours = [], [], []
    for source, folder in folders.items():
        for path in sorted(folder.iterdir()):
            found = fingerprint(stored_picture(path, 256, 90)[1])
            names.append((source, path.stem.split("_")[0] if source.startswith("flickr") else path.stem))
            bits.append(np.frombuffer(found.bits, np.uint8))
            colours.append(np.frombuffer(found.colours, np.uint8))
    pairs = {(names[i], names[j]) for i, j, _ in links(np.stack(bits), np.stack(colours))}
    numbers = [number for source, number in names if source == "flickr30k"]
    assert len(numbers) == 300
    twice = {"3050606344": "2851198725"}  # one file under two numbers of Flickr8k; of equal ones the first is given
    assert pairs == {
        *((("flickr8k", twice.get(number, number)), ("flickr30k", number)) for number in numbers),
        *((("flickr8k", first), ("flickr8k", second)) for second, first in twice.items()),
    }
