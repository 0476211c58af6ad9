"""A picture whose place and colours are known, for the tests that follow pictures through the program."""

import io

import numpy as np
from PIL import Image, ImageDraw

from common.pictures import ORIENTATION


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
        assert distance < 40, f"{pixel} is not a colour of the picture"
        found.append(name)
    return found


def turned(orientation: int, **options: object) -> bytes:
    """The photograph (120 x 80) as a JPEG whose EXIF orientation is `orientation`."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = io.BytesIO()
    photograph(120, 80).save(file, "JPEG", quality=95, exif=exif, **options)
    return file.getvalue()


def scenery(seed: int, size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Soft spots of colour: as different from those of another seed as photographs are; the same at every size."""
    spots = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(spots).resize(size, Image.Resampling.BICUBIC)
