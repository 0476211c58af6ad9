"""What decoding takes and says: memory is counted before it is taken, large pictures are converted in bands."""

import io
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from common import pictures as reading
from common.pictures import MOST_MEMORY, decode_picture, memory_of, open_bytes, to_rgb, why_not_decoded


def spots(mode: str) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (67, 59, 4), dtype=np.uint8)
    if mode in ("I;16", "I"):
        return Image.fromarray(values.view(np.uint16)[:, :, 0]).convert(mode)
    alpha = Image.fromarray(values, "RGBA")
    return alpha.convert(mode) if mode in ("RGBA", "LA") else alpha.convert("RGB").convert(mode)


MODES = [
    ("1", None),
    ("L", None),
    ("LA", None),
    ("P", None),
    ("RGBA", None),
    ("CMYK", None),
    ("I;16", None),
    ("I", None),
]
MODES += [("1", 0), ("L", 7), ("P", 7), ("P", bytes(range(256))), ("RGB", (10, 20, 30))]


@pytest.mark.parametrize(("mode", "transparency"), MODES)
def test_bands_give_the_pixels_of_the_whole(mode, transparency, monkeypatch):
    picture = spots(mode)
    if transparency is not None:
        picture.info["transparency"] = transparency
    whole = to_rgb(picture)
    monkeypatch.setattr(reading, "BAND", 1000)
    assert whole.tobytes() == to_rgb(picture).tobytes()


def header(width: int, height: int, colour: int) -> bytes:
    """A PNG that has no pixels; colour: 2 for RGB, 6 for RGBA."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return start + bytes(4) + b"IDAT" + bytes(4)


def webp(side: int) -> bytes:
    file = io.BytesIO()
    frames = [Image.new("RGBA", (64, 64), colour) for colour in ("red", "#00ff0080")]
    frames[0].save(file, "WEBP", lossless=True, save_all=True, append_images=frames[1:], method=0)
    data = bytearray(file.getvalue())
    data[24:30] = (side - 1).to_bytes(3, "little") * 2  # the canvas
    return bytes(data)


def tiled(tile: int) -> bytes:
    """A TIFF of 64 x 64 pixels in one tile."""
    tags = [
        (256, 64),
        (257, 64),
        (258, 8),
        (259, 8),
        (262, 1),
        (277, 1),
        (322, tile),
        (323, tile),
        (324, 134),
        (325, 9),
    ]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(20)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (header(9900, 9900, 6), r"9900 x 9900 pixels \(PNG, RGBA\) take 1\.2 GB of memory to decode; at most 1 GB"),
        (webp(9000), r"9000 x 9000 pixels \(WEBP, RGBA\) take 1\.9 GB"),
        (tiled(60_000), r"64 x 64 pixels \(TIFF, L\) take 3\.6 GB"),
    ],
)
def test_a_picture_that_takes_too_much_memory_is_refused_from_its_header(data, shown, monkeypatch):
    monkeypatch.setattr(Image.Image, "load", None)
    with pytest.raises(ValueError, match=shown) as error:
        open_bytes(data, 256)
    assert "\n" not in str(error.value)


def test_photographs_take_far_less():
    for colour in (2, 6):
        with Image.open(io.BytesIO(header(6000, 4000, colour))) as picture:
            assert memory_of(picture) <= MOST_MEMORY / 3
    with Image.open(io.BytesIO(header(9900, 9900, 2))) as picture:
        assert memory_of(picture) < MOST_MEMORY


def test_the_messages_of_libtiff_are_not_shown(capfd):
    file = io.BytesIO()
    spots("1").save(file, "TIFF", compression="group4")
    damaged = file.getvalue().replace(struct.pack("<HHI", 258, 3, 1) + b"\1", struct.pack("<HHI", 258, 3, 1) + b"\x08")
    for data in (damaged, file.getvalue()[:-40]):
        with pytest.raises(ValueError) as error:
            open_bytes(data, 256)
        assert str(error.value)
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_the_log_of_pillow_is_not_shown(tmp_path):
    """Too many samples for a TIFF: Pillow logs an error beside the exception that it raises."""
    data = bytearray(tiled(64))
    place = data.index(struct.pack("<HH", 277, 4)) + 8
    data[place : place + 4] = struct.pack("<I", 65_535)
    (tmp_path / "many.tif").write_bytes(data)
    command = [sys.executable, "-m", "judging.web_decode", tmp_path / "many.tif", "64"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "not a picture" in done.stdout and not done.stderr


def test_without_stderr_a_tiff_is_read_too():
    file = io.BytesIO()
    spots("RGBA").save(file, "TIFF")
    kept = os.dup(2)
    try:
        os.close(2)
        assert decode_picture(file.getvalue(), 32).mode == "RGB"
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def test_every_error_of_a_decoder_has_one_line():
    assert why_not_decoded(MemoryError()) == "there is not enough memory to decode it"
    assert why_not_decoded(SyntaxError("two\nlines")) == "two lines"
    assert why_not_decoded(IndexError()) == "IndexError"
