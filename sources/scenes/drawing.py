"""Draws the picture of a scene."""

import itertools
from functools import lru_cache
from math import cos, radians, sin

from PIL import Image, ImageDraw

from sources.scenes.drawings import BACKDROPS, COLOURS, DRAWINGS, OUTLINE, PAINTS

_SUPERSAMPLE = 4


def draw(scene: dict, side: int = 128) -> Image.Image:
    """The picture of a scene: RGB, side x side pixels, drawn four times larger and reduced."""
    picture = _backdrop(scene["background"], side * _SUPERSAMPLE).copy()
    for item in scene["objects"]:
        _draw_object(picture, item)
    return picture.reduce(_SUPERSAMPLE)


@lru_cache(maxsize=16)
def _backdrop(name: str, side: int) -> Image.Image:
    picture = Image.new("RGB", (side, side))
    pen = ImageDraw.Draw(picture)
    for _, paint, shapes in _layers(BACKDROPS[name]):
        for shape in shapes:
            pen.polygon([(x * side, y * side) for x, y in shape], fill=paint)
    return picture


def _draw_object(picture: Image.Image, item: dict) -> None:
    """Draw one object on the large picture, with its outline inside its box."""
    side = picture.width
    pen = ImageDraw.Draw(picture)
    line = side * 0.007  # 0.9 pixels of 128
    left, top, right, _ = (round(value * side) for value in item["box"])
    size = right - left
    scale = size - 2 * line
    colour = COLOURS[item["colour"]]
    # Rec. 601 luma: dark marks on a light body, light marks on a dark one.
    is_light = sum(part * weight for part, weight in zip(colour, (0.299, 0.587, 0.114))) > 135
    ink = _mix(colour, (30, 30, 36) if is_light else (255, 255, 255), 0.82)
    paints = PAINTS | {"body": colour, "shade": _mix(colour, (30, 30, 40), 0.28), "ink": ink}
    for outlined, paint, shapes in _layers(DRAWINGS[item["kind"]]):
        shapes = [[(x * scale + line, y * scale + line) for x, y in shape] for shape in shapes]
        placed = [[(x + left, y + top) for x, y in shape] for shape in shapes]
        if outlined:
            for shape in placed:
                pen.line(shape + shape[:2], fill=OUTLINE, width=round(2 * line), joint="curve")
        if paint == "body" and item["pattern"] != "plain":
            mask = Image.new("L", (size, size))
            for shape in shapes:
                ImageDraw.Draw(mask).polygon(shape, fill=255)
            picture.paste(_cloth(item["pattern"], size, colour, ink), (left, top), mask)
        else:
            for shape in placed:
                pen.polygon(shape, fill=paints[paint])


def _cloth(pattern: str, size: int, colour: tuple, ink: tuple) -> Image.Image:
    """A square with stripes or dots in `ink`. They cover about a third, so that `colour` remains the main colour."""
    cloth = Image.new("RGB", (size, size), colour)
    pen = ImageDraw.Draw(cloth)
    if pattern == "striped":
        for start in range(-4, 5):
            x = start * 0.25 * size
            pen.polygon([(x, 0), (x + 0.11 * size, 0), (x + 1.11 * size, size), (x + size, size)], fill=ink)
    else:
        radius = 0.062 * size
        for row, column in itertools.product(range(8), range(6)):
            x, y = (column + row % 2 / 2) * 0.24 * size, (row * 0.14 + 0.02) * size
            pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=ink)
    return cloth


def _mix(colour: tuple, other: tuple, fraction: float) -> tuple:
    return tuple(round(a + (b - a) * fraction) for a, b in zip(colour, other))


@lru_cache(maxsize=64)
def _layers(text: str) -> list[tuple[bool, str, list]]:
    """The layers of a drawing (see `drawings.py`): [(has outline, paint, [polygon, ...]), ...]."""
    layers = []
    for row in text.strip().splitlines():
        words = row.split()
        outlined = words[0] != "flat"
        paint, *words = words if outlined else words[1:]
        shapes = [_polygon(*shape.split()) for shape in " ".join(words).split("|")]
        layers.append((outlined, paint, shapes))
    return layers


def _polygon(name: str, *numbers: str) -> list[tuple[float, float]]:
    """The corners of one shape. Curves are rounded, so that a different sine of another machine cannot move a pixel."""
    values = [float(number) for number in numbers]
    if name == "poly":
        return list(zip(values[::2], values[1::2]))
    if name == "box":
        x0, y0, x1, y1 = values
        return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    if name == "bar":
        x0, y0, x1, y1, width = values
        stretch = width / 2 / ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        dx, dy = (y1 - y0) * stretch, (x0 - x1) * stretch
        return [(x0 + dx, y0 + dy), (x1 + dx, y1 + dy), (x1 - dx, y1 - dy), (x0 - dx, y0 - dy)]
    if name == "oval":
        return _curve(*values)
    if name == "arc":
        *curve, width = values
        cx, cy, rx, ry, start, end = curve
        return _curve(*curve) + _curve(cx, cy, rx - width, ry - width, start, end)[::-1]
    raise ValueError(f"unknown shape {name!r}; expected poly, box, bar, oval or arc")


def _curve(cx, cy, rx, ry, start=0.0, end=360.0) -> list[tuple[float, float]]:
    angles = [radians(start + (end - start) * step / 32) for step in range(33)]
    return [(round(cx + rx * cos(angle), 4), round(cy + ry * sin(angle), 4)) for angle in angles]
