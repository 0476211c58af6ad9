"""Pictures of all formats and modes, mutated: truncated, flipped bits, forged sizes, wrong metadata, many frames."""

import functools
import importlib
import io
import struct
import time
import warnings
import zlib
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from .mutations import mutate_bytes
from .running import Case, Fault, Kind, check_line

TEXT = "A red ball is on the left of a blue box."
MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I"),
    "JPEG": ("L", "RGB", "CMYK", "YCbCr"),
    "GIF": ("1", "L", "P", "RGB", "RGBA"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"),
    "BMP": ("1", "L", "P", "RGB"),
    "MPO": ("RGB",),
}
FORMATS = (
    *("PNG", "JPEG", "GIF", "WEBP", "TIFF") * 4,
    "BMP",
    "BMP",
    "MPO",
    "AVIF",
    "ICO",
    "PPM",
    "JPEG2000",
    "TGA",
    "PDF",
)
TIFF_COMPRESSIONS = (None, "tiff_lzw", "tiff_adobe_deflate", "packbits")
MORE_COMPRESSIONS = {"1": ("group4",), "L": ("jpeg",), "RGB": ("jpeg",)}  # Pillow crashes when it writes others so


def prepare(folder: Path) -> None:
    """Load the judge once, and import what the cases use."""
    for name in ("judging.table", "judging.web_decode", "sources.units"):
        importlib.import_module(name)

    the_judge()


@functools.cache
def the_judge() -> Any:
    """The shipped judge of drawn scenes."""
    import torch

    from judging.judge import Judge

    torch.set_num_threads(1)  # a forked process has no other threads
    return Judge.load(str(shipped()), "cpu")


@functools.cache
def share_the_judge() -> None:
    """Let the scripts of this process take this judge, which takes them a second each to load."""
    from judging.judge import Judge

    judge = the_judge()
    Judge.load = lambda *args, **more: judge  # type: ignore[method-assign]


def shipped() -> Path:
    return Path(__file__).parents[2] / "Models" / "scenes-small"


def make(rng: Random) -> tuple[bytes, str, str]:
    """A valid picture, its format and its mode."""
    kind = rng.choice(FORMATS)
    mode = rng.choice(MODES.get(kind, ("RGB",)))
    size = rng.choice((32, 33, 48, 64, 100)), rng.choice((32, 40, 64, 99))
    if rng.random() < 0.03:
        size = rng.choice(((1, 1), (10, 400), (32, 320), (2000, 40), (0x1000, 32)))
    first = picture(rng, mode, size)
    options: dict = {}
    if kind in ("GIF", "WEBP", "PNG", "TIFF", "MPO") and rng.random() < 0.25:
        options = {"save_all": True, "append_images": [picture(rng, mode, size) for _ in range(rng.choice((1, 2, 40)))]}
    if kind in ("JPEG", "MPO"):
        options |= {"quality": rng.choice((1, 50, 95)), "progressive": rng.random() < 0.4}
    if kind in ("JPEG", "PNG", "WEBP", "TIFF", "MPO") and rng.random() < 0.4:
        options["exif"] = exif(rng)
    if kind == "TIFF":
        options["compression"] = rng.choice((*TIFF_COMPRESSIONS, *MORE_COMPRESSIONS.get(mode, ())))
    if kind == "WEBP":
        options |= {"lossless": rng.random() < 0.5, "method": 0}
    if kind in ("PNG", "GIF") and mode in ("P", "L") and rng.random() < 0.4:
        options["transparency"] = rng.randrange(256)
    dated = {"creationDate": time.gmtime(0), "modDate": time.gmtime(0)} if kind == "PDF" else {}
    for attempt in (options | dated, dated):
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                first.save(file, kind, **attempt)
                return file.getvalue(), kind, mode
            except Exception:  # Pillow cannot save every combination
                continue
    file = io.BytesIO()
    first.convert("RGB").save(file, kind)
    return file.getvalue(), kind, "RGB"


def picture(rng: Random, mode: str, size: tuple[int, int]) -> Image.Image:
    """Soft spots or noise in this mode."""
    spots = np.frombuffer(rng.randbytes(8 * 6 * 4), np.uint8).reshape(6, 8, 4)
    drawn = Image.fromarray(spots, "RGBA" if mode in ("RGBA", "LA") else "RGBX").resize(size, Image.Resampling.BICUBIC)
    if mode in ("RGBA", "LA"):
        return drawn.convert(mode)
    rgb = drawn.convert("RGB")
    if mode == "I;16":
        return Image.fromarray(np.asarray(rgb.convert("L"), np.uint16) * 257)
    if mode in ("I", "F"):
        grey = np.asarray(rgb.convert("L"), np.int32 if mode == "I" else np.float32)
        return Image.fromarray(grey * rng.choice((1, 100, 257, 100_000, -1)))
    if mode == "LAB":
        from PIL import ImageCms

        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        lab = ImageCms.profileToProfile(rgb, *profiles, outputMode="LAB") or rgb
        lab.info.pop("icc_profile", None)  # it says when it was made
        return lab
    return rgb.convert(mode)


def exif(rng: Random) -> bytes:
    """EXIF, often a wrong one."""
    tags = Image.Exif()
    tags[0x0112] = rng.choice((1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 70000 % 65536))
    tags[0x010E] = "x" * rng.choice((0, 10, 30_000))
    data = tags.tobytes()
    if rng.random() < 0.5:
        data = data[:6] + mutate_bytes(rng, data[6:])
    return data[:65_000]


def forge_size(rng: Random, data: bytes, kind: str) -> bytes:
    """The picture with another size in its header."""
    big = rng.choice((0, 1, 31, 33, 9999, 10_000, 12_000, 16_383, 30_000, 65_535, 2**31 - 1, 2**32 - 1))
    other = rng.choice((1, 32, 9999, 12_000, 65_535))
    small, word, wide, tall = bytearray(data), min(big, 65_535), big, other
    if rng.random() < 0.5:
        wide, tall = tall, wide
    if kind == "PNG" and len(data) > 33:
        small[16:24] = struct.pack(">II", wide, tall)
        small[29:33] = struct.pack(">I", zlib.crc32(bytes(small[12:29])))
    elif kind in ("JPEG", "MPO"):
        for marker in (b"\xff\xc0", b"\xff\xc2"):
            if (place := data.find(marker)) > 0:
                small[place + 5 : place + 9] = struct.pack(">HH", min(tall, 65_535), min(wide, 65_535))
    elif kind == "GIF":
        size = struct.pack("<HH", min(wide, 65_535), min(tall, 65_535))
        small[6:10] = size
        if (place := data.find(b"\x2c\0\0\0\0")) > 0 and rng.random() < 0.7:
            small[place + 5 : place + 9] = size
    elif kind == "BMP":
        small[18:26] = struct.pack("<II", wide, tall)
    elif kind == "WEBP":
        if (place := data.find(b"VP8X")) > 0:
            small[place + 12 : place + 18] = struct.pack("<I", min(wide, 2**24) - 1 & 0xFFFFFF)[:3] * 2
        elif (place := data.find(b"\x9d\x01\x2a")) > 0:
            small[place + 3 : place + 7] = struct.pack("<HH", word & 0x3FFF, 0x3FFF)
        elif (place := data.find(b"VP8L")) > 0:
            small[place + 9 : place + 13] = struct.pack("<I", 0x0FFFFFFF)
    elif kind == "TIFF":
        return forge_tiff(rng, data)
    return bytes(small)


def forge_tiff(rng: Random, data: bytes) -> bytes:
    """A TIFF with another value in one to three of its tags: sizes, bits, strips, tiles."""
    order = "<" if data[:2] == b"II" else ">"
    small, place = bytearray(data), struct.unpack(order + "I", data[4:8])[0]
    count = struct.unpack(order + "H", data[place : place + 2])[0]
    for _ in range(rng.randint(1, 3)):
        entry = place + 2 + 12 * rng.randrange(count)
        tag, kind = struct.unpack(order + "HH", data[entry : entry + 4])
        value = rng.choice((0, 1, 2, 8, 16, 32, 64, 1000, 9999, 12_000, 65_535, 2**20, 2**31 - 1, 2**32 - 1))
        if rng.random() < 0.2:
            small[entry : entry + 2] = struct.pack(
                order + "H", rng.choice((tag, 258, 259, 262, 277, 278, 284, 322, 323, 324))
            )
        elif rng.random() < 0.2:
            small[entry + 4 : entry + 8] = struct.pack(order + "I", value)
        elif kind == 3:
            small[entry + 8 : entry + 12] = struct.pack(order + "HH", value & 0xFFFF, 0)
        else:
            small[entry + 8 : entry + 12] = struct.pack(order + "I", value)
    return bytes(small)


def chunks(rng: Random, data: bytes) -> bytes:
    """A PNG with another chunk, lost, doubled or forged, whose checksum is right or wrong."""
    parts, place = [], 8
    while place + 12 <= len(data):
        size = int.from_bytes(data[place : place + 4])
        parts.append(data[place : place + 12 + size])
        place += 12 + size
    name = rng.choice(
        (
            b"tEXt",
            b"zTXt",
            b"iTXt",
            b"eXIf",
            b"iCCP",
            b"tRNS",
            b"acTL",
            b"fcTL",
            b"PLTE",
            b"gAMA",
            b"IDAT",
            b"IHDR",
            b"sBIT",
        )
    )
    bomb = zlib.compress(b"\0" * rng.choice((100, 10**6, 60_000_000)))
    body = rng.choice(
        (b"", rng.randbytes(40), b"Raw profile type exif\0\0" + bomb, b"XML:com.adobe.xmp\0\1\0\0\0" + bomb, exif(rng))
    )
    body = rng.choice((body, b"icc\0\0" + bomb, struct.pack(">II", rng.choice((0, 1, 10**9)), 0)))
    extra = struct.pack(">I", len(body) if rng.random() < 0.8 else rng.choice((0, 2**31, 2**32 - 1))) + name + body
    extra += struct.pack(">I", zlib.crc32(name + body) if rng.random() < 0.8 else 0)
    match rng.randrange(3):
        case 0:
            parts.insert(rng.randrange(len(parts) + 1), extra)
        case 1:
            parts[rng.randrange(len(parts))] = extra
        case _:
            parts.insert(rng.randrange(len(parts) + 1), rng.choice(parts))
    return data[:8] + b"".join(parts)


BOMBS = (
    *(("PNG", mode) for mode in ("1", "L", "P", "RGB", "RGBA", "LA", "I;16")),
    *(("TIFF", mode) for mode in ("RGB", "RGBA", "CMYK", "I;16", "LAB", "tile")),
    *(("JPEG", mode) for mode in ("L", "CMYK", "progressive")),
    *(("GIF", "P"), ("WEBP", "RGB"), ("WEBP", "RGBA"), ("BMP", "1"), ("BMP", "RLE")),
)
FAST = {
    "TIFF": {"compression": "tiff_adobe_deflate"},
    "PNG": {"compress_level": 1},
    "WEBP": {"method": 0, "lossless": True},
}


def bomb(rng: Random) -> tuple[bytes, str, str]:
    """A small file of a large picture: a plain one, or a tile of a TIFF that is larger than its picture."""
    side = rng.choice((6000, 9000, 9999, 12_000, 16_000))
    kind, mode = rng.choice(BOMBS)
    return _bomb(kind, mode, side), kind, f"{mode} {side}"


@functools.lru_cache(1)
def _bomb(kind: str, mode: str, side: int) -> bytes:
    if mode in ("tile", "RLE"):
        return tiled(side) if mode == "tile" else bmp_rle(side)
    file, size = io.BytesIO(), (side, side)
    if mode == "I;16":
        plain = Image.frombytes(mode, size, b"\1\2" * side * side)
    else:
        plain = Image.new(
            "RGB" if mode in ("progressive", "LAB") else mode, size, 1 if mode in ("1", "L", "P") else None
        )
    plain.save(file, kind, **FAST.get(kind, {}), progressive=mode == "progressive")
    return file.getvalue()


def tiled(side: int) -> bytes:
    """A TIFF of 64 x 64 pixels in one tile of side x side."""
    packed = zlib.compress(b"\x7f" * (side * side), 1)
    tags = [(256, 3, 64), (257, 3, 64), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1), (322, 4, side // 16 * 16)]
    tags += [(323, 4, side // 16 * 16), (324, 4, 8 + 2 + 12 * 9 + 4), (325, 4, len(packed))]
    head = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags))
    tags[8] = (324, 4, 8 + 2 + 12 * len(tags) + 4)
    body = b"".join(
        struct.pack("<HHI", tag, kind, 1) + (struct.pack("<HH", value, 0) if kind == 3 else struct.pack("<I", value))
        for tag, kind, value in tags
    )
    return head + body + b"\0\0\0\0" + packed


def bmp_rle(side: int) -> bytes:
    """A BMP of side x side pixels in runs of 255."""
    row = b"\xff\1" * (side // 255) + bytes((side % 255, 1)) + b"\0\0"
    pixels = row * side + b"\0\1"
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(pixels), 0, 0, 256, 0)
    return (
        b"BM" + struct.pack("<IHHI", 54 + 1024 + len(pixels), 0, 0, 54 + 1024) + head + bytes(range(256)) * 4 + pixels
    )


def many_scans(rng: Random, data: bytes) -> bytes:
    """A JPEG whose first scan comes again and again."""
    place = data.find(b"\xff\xda")
    return data[:-2] + data[place:-2] * rng.choice((2, 99, 2000)) + data[-2:] if place > 0 else data


def input_of(rng: Random) -> tuple[bytes, str]:
    """The bytes of a mutated picture, and what was done."""
    if rng.random() < 0.04:
        data, kind, mode = bomb(rng)
        return data, f"{kind} {mode} bomb"
    data, kind, mode = make(rng)
    done = rng.choices(("nothing", "bytes", "size", "chunks", "scans", "body"), (5, 45, 20, 12, 4, 14))[0]
    if done == "bytes":
        data = mutate_bytes(rng, data, make(rng)[0])
    elif done == "size":
        data = forge_size(rng, data, kind)
    elif done == "chunks" and kind == "PNG":
        data = chunks(rng, data)
    elif done == "scans" and kind == "JPEG":
        data = many_scans(rng, data)
    elif done in ("body", "chunks", "scans") and len(data) > 60:  # the header stays right
        done, data = "body", data[:60] + mutate_bytes(rng, data[60:])
    return data, f"{kind} {mode} {done}"


def run(case: Case) -> None:
    share_the_judge()
    from sources.items import Picture
    from sources.units import PictureUnit

    data, case.about = input_of(case.rng)
    file = case.folder / f"picture.{case.rng.choice(('png', 'jpg', 'tif', 'bin'))}"
    file.write_bytes(data)
    del data
    _bomb.cache_clear()
    case.measure()
    how = case.rng.random()
    if how < 0.05:
        table = case.folder / "pairs.csv"
        table.write_text(f"image,caption\n{file.name},{TEXT}\n{file.name},A dog.\n")
        out = case.folder / "scored.jsonl"
        case.call("Predict.py", "--pairs", table, "--out", out, "--model", shipped(), "--device", "cpu")
    elif how < 0.08:
        from judging.web_decode import decode_apart

        try:
            decode_apart(file, 256, longest=20)
        except ValueError as error:
            case.refuse(error)
    else:
        case.call("Predict.py", file, TEXT, "--model", shipped(), "--device", "cpu", statuses=(0, 1, 3))
    with case.printed() as texts:
        row = PictureUnit(case.folder / "unit", 1, (), 256, 90)._row([Picture("a:1", "1", file)], ["pairs"])
    if texts[1].strip():
        raise Fault(f"a build prints {texts[1].strip()[:80]!r}")
    for problem in row["problems"]:
        case.shown.append(problem["reason"])
        check_line(problem["reason"])
    if bool(row["problems"]) != case.refused:
        raise Fault(f"a build says {[problem['reason'] for problem in row['problems']]}, Predict.py another thing")


PICTURES = Kind("pictures", 3, prepare, run)
