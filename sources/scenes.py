"""The embedded default data: drawn scenes whose truth is known.

A scene is a plain dict, made from a seed: one background and one to four objects, each with a kind, a colour,
a size, a pattern and a place. From it come a picture (`draw`), five true captions (`write_captions`) and, for
any caption made of the same words, the answer to "is this an accurate description?" (`is_true`). Nothing is
downloaded, and the same seed gives the same scene and captions on every machine, and the same picture wherever
Pillow is the same.

Why drawn data at all: photographs come with captions but without a list of what is *not* in them, so a word swap
there is only probably false. Here every swap can be checked.
"""

import itertools
import random
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from math import cos, radians, sin
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

Test = Callable[[dict], bool]  # of one object of a scene

# What an object looks like: body colours, far apart from each other and from every background.
COLOURS = {
    "red": (218, 36, 40),
    "green": (38, 150, 62),
    "blue": (32, 88, 214),
    "yellow": (252, 214, 24),
    "orange": (246, 128, 14),
    "purple": (126, 44, 168),
    "pink": (252, 132, 190),
    "brown": (122, 72, 34),
    "black": (38, 38, 44),
    "white": (252, 252, 252),
}
# Side of an object's box, as a share of the picture's side: about 24, 36 and 52 pixels of 128. The gaps between
# the ranges are wider than the ranges, so that no two sizes can be confused.
SIZES = {"small": (0.18, 0.20), "medium": (0.27, 0.30), "large": (0.39, 0.42)}
PATTERNS = ("plain", "striped", "dotted")

# The drawings are text: one layer a line, painted in order, in units of the object's box (x right, y down).
# "PAINT shape | shape ..." unites the shapes under one dark outline; "flat PAINT ..." leaves the outline out.
# Paints: body (the object's colour and pattern), shade (the same, darker), ink (what stands out on the body), or
# one of _PAINTS. Shapes: oval cx cy rx ry [from to], box x0 y0 x1 y1, poly x y x y ..., bar x0 y0 x1 y1 width,
# arc cx cy rx ry from to width; angles in degrees, clockwise from the right.
_DRAWINGS = {
    "apple": """
        brown bar .5 .4 .56 .04 .07
        leaf poly .55 .2 .66 .06 .9 .03 .82 .2 .67 .26
        body oval .34 .62 .33 .37 | oval .66 .62 .33 .37 | box .4 .4 .6 .9
        flat pale arc .36 .6 .24 .26 190 245 .06""",
    "ball": """
        body oval .5 .5 .5 .5
        flat shade arc .5 .5 .46 .46 10 100 .08
        flat pale oval .32 .28 .1 .07""",
    "balloon": """
        flat dark bar .5 .8 .46 .9 .035 | bar .46 .9 .53 1 .035
        body oval .5 .38 .37 .38 | poly .5 .7 .58 .84 .42 .84
        flat pale arc .5 .38 .27 .28 190 240 .06""",
    "bird": """
        flat gold bar .46 .8 .44 .99 .05 | bar .58 .8 .58 .99 .05
        gold poly .8 .26 1 .36 .8 .44
        body oval .48 .6 .36 .27 | oval .7 .33 .21 .21 | poly .2 .46 0 .3 .06 .66 .25 .72
        flat shade poly .28 .54 .64 .54 .5 .76 .36 .72
        flat white oval .75 .29 .075 .075
        flat dark oval .77 .29 .045 .045""",
    "boat": """
        brown bar .5 .03 .5 .7 .06
        body poly .56 .06 .98 .6 .56 .6 | poly .44 .16 .44 .6 .08 .6
        body poly 0 .68 1 .68 .82 .97 .18 .97
        flat shade box .03 .69 .97 .76""",
    "book": """
        cream poly .2 .8 .92 .8 .92 .96 .2 .96
        body poly .1 .03 .9 .03 .9 .82 .22 .82 .2 .96 .9 .96 .9 1 .1 1
        shade poly .1 .03 .24 .03 .24 .82 .18 .86 .18 1 .1 1
        cream box .4 .14 .76 .34
        flat dark bar .46 .24 .7 .24 .05""",
    "butterfly": """
        flat dark bar .5 .3 .36 .06 .035 | bar .5 .3 .64 .06 .035
        body oval .24 .36 .24 .25 | oval .76 .36 .24 .25 | oval .3 .73 .19 .21 | oval .7 .73 .19 .21
        dark oval .5 .55 .055 .33""",
    "car": """
        body poly .02 .5 .2 .46 .33 .18 .7 .18 .85 .46 .98 .52 1 .78 0 .78
        glass poly .27 .46 .37 .25 .49 .25 .49 .46
        glass poly .55 .46 .55 .25 .66 .25 .76 .46
        gold box .92 .55 1 .64
        dark oval .24 .78 .15 .15 | oval .77 .78 .15 .15
        flat pale oval .24 .78 .065 .065 | oval .77 .78 .065 .065""",
    "cat": """
        body poly .06 .02 .42 .2 .1 .5 | poly .94 .02 .58 .2 .9 .5 | oval .5 .57 .46 .4
        flat rose poly .13 .13 .29 .23 .17 .32 | poly .87 .13 .71 .23 .83 .32
        white oval .31 .5 .1 .1 | oval .69 .5 .1 .1
        flat dark oval .32 .51 .045 .075 | oval .68 .51 .045 .075
        flat ink bar 0 .66 .24 .7 .03 | bar .02 .82 .24 .77 .03 | bar 1 .66 .76 .7 .03 | bar .98 .82 .76 .77 .03
        rose poly .42 .66 .58 .66 .5 .75""",
    "cup": """
        body arc .7 .5 .29 .26 -100 110 .11
        body poly .04 .2 .76 .2 .68 .96 .12 .96
        white oval .4 .2 .36 .1
        flat coffee oval .4 .21 .29 .065""",
    "fish": """
        body poly .62 .5 1 .18 .92 .5 1 .82 | oval .42 .5 .42 .31 | poly .3 .25 .5 .05 .62 .3
        flat ink arc .16 .5 .24 .26 -50 50 .035
        white oval .2 .42 .085 .085
        flat dark oval .19 .42 .045 .045""",
    "flower": """
        leaf bar .5 .4 .5 1 .08 | poly .5 .95 .6 .76 .86 .7 .76 .9 | poly .5 .95 .4 .76 .14 .7 .24 .9
        body oval .5 .17 .17 .17 | oval .72 .32 .17 .17 | oval .64 .56 .17 .17
        body oval .36 .56 .17 .17 | oval .28 .32 .17 .17
        cream oval .5 .38 .12 .12""",
    "hat": """
        body oval .5 .84 .5 .13 | poly .2 .08 .8 .08 .75 .84 .25 .84
        shade poly .232 .62 .768 .62 .76 .74 .24 .74
        shade oval .5 .1 .3 .07""",
    "heart": """
        body oval .27 .3 .26 .26 | oval .73 .3 .26 .26 | poly .06 .44 .5 .24 .94 .44 .5 .97 | oval .5 .4 .2 .2
        flat pale arc .28 .31 .17 .17 180 250 .06""",
    "house": """
        shade box .7 .06 .83 .4
        body box .1 .42 .9 .98
        body poly .5 .02 1 .5 0 .5
        brown box .5 .64 .7 .98
        glass box .2 .64 .38 .82""",
    "kite": """
        flat dark bar .5 .7 .6 .82 .03 | bar .6 .82 .5 .9 .03 | bar .5 .9 .58 1 .03
        rose poly .5 .84 .68 .76 .7 .88 | poly .5 .86 .34 .96 .34 .8
        body poly .5 0 .9 .32 .5 .8 .1 .32
        flat dark bar .5 0 .5 .8 .03 | bar .1 .32 .9 .32 .03""",
    "lamp": """
        dark bar .5 .5 .5 .9 .07 | oval .5 .92 .26 .07
        flat gold oval .5 .6 .08 .08
        body poly .3 .04 .7 .04 .96 .58 .04 .58""",
    "mushroom": """
        cream poly .38 .5 .62 .5 .68 .98 .32 .98
        body oval .5 .56 .5 .52 180 360
        flat shade arc .5 .56 .4 .44 300 352 .06""",
    "shirt": """
        body poly .3 .05 .7 .05 1 .3 .86 .52 .76 .44 .76 .97 .24 .97 .24 .44 .14 .52 0 .3
        shade oval .5 .05 .15 .13 0 180""",
    "star": """
        body poly .5 0 .65 .33 1 .37 .74 .61 .81 .97 .5 .79 .19 .97 .26 .61 0 .37 .35 .33""",
    "tree": """
        brown box .42 .8 .58 1
        body poly .5 0 .8 .34 .2 .34 | poly .5 .16 .9 .6 .1 .6 | poly .5 .36 1 .86 0 .86""",
    "umbrella": """
        brown bar .5 0 .5 .86 .05 | arc .59 .85 .12 .14 0 180 .05
        body oval .5 .52 .5 .46 180 360
        flat shade bar .5 .08 .5 .52 .025 | arc .5 .52 .22 .45 180 360 .025""",
}
KINDS = tuple(_DRAWINGS)
_PAINTS = {
    "brown": (128, 84, 48),
    "coffee": (96, 60, 40),
    "cream": (255, 242, 208),
    "dark": (44, 44, 54),
    "glass": (190, 226, 244),
    "gold": (250, 178, 40),
    "leaf": (92, 168, 76),
    "pale": (255, 255, 255),
    "rose": (240, 150, 160),
    "white": (255, 255, 255),
}
_OUTLINE = (34, 34, 42)

# Backgrounds in the same language, in units of the picture, pale enough that all ten colours stand out on them.
_BACKDROPS = {
    "beach": """
        #d6eefb box 0 0 1 1
        #fff6cf oval .84 .13 .08 .08
        #a9dbe6 box 0 .42 1 .6
        #c9ecf0 bar .1 .47 .3 .47 .012 | bar .45 .52 .7 .52 .012 | bar .75 .46 .95 .46 .012
        #f6e7c0 poly 0 .6 .25 .57 .6 .6 1 .56 1 1 0 1
        #ffffff bar 0 .6 .25 .57 .014 | bar .25 .57 .6 .6 .014 | bar .6 .6 1 .56 .014
        #e9d5a4 oval .2 .78 .02 .008 | oval .5 .88 .02 .008 | oval .78 .72 .02 .008 | oval .9 .92 .02 .008""",
    "desert": """
        #fbdcc8 box 0 0 1 1
        #fff0d8 oval .22 .2 .12 .12
        #f0c6a2 oval .25 .8 .6 .3 | oval .95 .75 .4 .25
        #f5d3ae oval .8 1.02 .8 .36
        #ecc298 oval .1 1.1 .7 .3""",
    "meadow": """
        #dff1fb box 0 0 1 1
        #ffffff oval .2 .16 .12 .05 | oval .28 .13 .09 .06 | oval .74 .24 .13 .05 | oval .68 .21 .07 .05
        #c9e6b2 oval .2 .8 .6 .36 | oval .85 .82 .5 .3
        #b5dc9a oval .5 1.25 1.1 .62
        #9ccb80 bar .1 .84 .12 .8 .01 | bar .36 .78 .38 .74 .01 | bar .62 .9 .64 .86 .01 | bar .88 .8 .9 .76 .01""",
    "mountain": """
        #cddcf2 box 0 0 1 1
        #a9b9d6 poly -.1 .75 .25 .2 .6 .75 | poly .4 .75 .75 .1 1.1 .75
        #f4f7fc poly .25 .2 .345 .35 .28 .32 .23 .36 .155 .35 | poly .75 .1 .86 .305 .79 .27 .72 .31 .64 .305
        #e6eef8 oval .2 .95 .7 .36 | oval .9 .98 .6 .36
        #d5e2f1 oval .6 1.2 .9 .4""",
    "room": """
        #f3e6ee box 0 0 1 1
        #e7d3e1 box .1 0 .16 .7 | box .3 0 .36 .7 | box .5 0 .56 .7 | box .7 0 .76 .7 | box .9 0 .96 .7
        #fbf8f4 box 0 .67 1 .71
        #e2c29a box 0 .71 1 1
        #cda878 bar 0 .8 1 .8 .008 | bar 0 .9 1 .9 .008 | bar .3 .71 .3 .8 .008 | bar .7 .8 .7 .9 .008""",
    "stage": """
        #dcd5ea box 0 0 1 1
        #f4efd9 oval .5 .86 .62 .12 | poly .42 0 .58 0 1.05 .86 -.05 .86
        #cbb697 box 0 .86 1 1
        #e9a9ad box 0 0 .1 .92 | box .9 0 1 .92 | oval .14 0 .2 .12 | oval .5 0 .2 .12 | oval .86 0 .2 .12
        #d68f95 box .03 0 .045 .92 | box .075 0 .085 .92 | box .925 0 .94 .92 | box .97 0 .98 .92""",
}
BACKGROUNDS = tuple(_BACKDROPS)
_PREPOSITION = {"beach": "on", "mountain": "on", "stage": "on"}  # all others: "in"

_SUPERSAMPLE = 4
_MARGIN, _GAP = 0.02, 0.025  # free space at the border and between two boxes, in picture sides


def make_scene(seed: int) -> dict:
    """The scene of this seed: `{"background": str, "objects": [{"kind", "colour", "size", "pattern", "box"}]}`.

    Boxes are squares [x0, y0, x1, y1] in picture sides, inside the picture and apart from each other. In about a
    third of the scenes, two or more objects share their kind on purpose, so that counts mean something.
    """
    rng = random.Random(f"scene {seed}")
    while True:  # four large objects do not always fit: then the whole scene is drawn again
        count = rng.choice((1, 2, 2, 3, 3, 3, 4, 4))
        objects = [
            {
                "kind": rng.choice(KINDS),
                "colour": rng.choice(tuple(COLOURS)),
                "size": rng.choice(tuple(SIZES)),
                "pattern": rng.choice(PATTERNS),
            }
            for _ in range(count)
        ]
        if count > 1 and rng.random() < 0.36:
            shared = ["kind"] + [fact for fact in ("colour", "size", "pattern") if rng.random() < 0.6]
            for twin in objects[1 : rng.randint(2, count)]:
                twin.update({fact: objects[0][fact] for fact in shared})
        if _place(objects, rng):
            return {"background": rng.choice(BACKGROUNDS), "objects": objects}


def _place(objects: list[dict], rng: random.Random) -> bool:
    """Give every object a box; False if no free place was found for one of them."""
    for index, item in enumerate(objects):
        for _ in range(60):
            side = rng.uniform(*SIZES[item["size"]])
            x, y = (rng.uniform(_MARGIN, 1 - _MARGIN - side) for _ in "xy")
            box = [round(value, 4) for value in (x, y, x + side, y + side)]
            if all(_apart(box, other["box"]) for other in objects[:index]):
                item["box"] = box
                break
        else:
            return False
    return True


def _apart(a: list[float], b: list[float]) -> bool:
    return max(a[0] - b[2], b[0] - a[2], a[1] - b[3], b[1] - a[3]) >= _GAP


def draw(scene: dict, side: int = 128) -> Image.Image:
    """The picture of a scene: RGB, side x side, drawn four times larger and reduced."""
    picture = _backdrop(scene["background"], side * _SUPERSAMPLE).copy()
    for item in scene["objects"]:
        _draw_object(picture, item)
    return picture.reduce(_SUPERSAMPLE)


@lru_cache(maxsize=16)
def _backdrop(name: str, side: int) -> Image.Image:
    picture = Image.new("RGB", (side, side))
    pen = ImageDraw.Draw(picture)
    for _, paint, shapes in _layers(_BACKDROPS[name]):
        for shape in shapes:
            pen.polygon([(x * side, y * side) for x, y in shape], fill=paint)
    return picture


def _draw_object(picture: Image.Image, item: dict) -> None:
    """Draw one object onto the (large) picture, with its outline inside its box."""
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
    paints = _PAINTS | {"body": colour, "shade": _mix(colour, (30, 30, 40), 0.28), "ink": ink}
    for outlined, paint, shapes in _layers(_DRAWINGS[item["kind"]]):
        shapes = [[(x * scale + line, y * scale + line) for x, y in shape] for shape in shapes]
        placed = [[(x + left, y + top) for x, y in shape] for shape in shapes]
        if outlined:
            for shape in placed:
                pen.line(shape + shape[:2], fill=_OUTLINE, width=round(2 * line), joint="curve")
        if paint == "body" and item["pattern"] != "plain":
            mask = Image.new("L", (size, size))
            for shape in shapes:
                ImageDraw.Draw(mask).polygon(shape, fill=255)
            picture.paste(_cloth(item["pattern"], size, colour, ink), (left, top), mask)
        else:
            for shape in placed:
                pen.polygon(shape, fill=paints[paint])


def _cloth(pattern: str, size: int, colour: tuple, ink: tuple) -> Image.Image:
    """A square of striped or dotted cloth. The marks cover about a third, so that the colour stays the main one."""
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


def _mix(colour: tuple, other: tuple, share: float) -> tuple:
    return tuple(round(a + (b - a) * share) for a, b in zip(colour, other))


@lru_cache(maxsize=64)
def _layers(text: str) -> list[tuple[bool, str, list]]:
    """Read a drawing: [(outlined, paint, [polygon, ...]), ...]."""
    layers = []
    for row in text.strip().splitlines():
        words = row.split()
        outlined = words[0] != "flat"
        paint, *words = words if outlined else words[1:]
        shapes = [_polygon(*shape.split()) for shape in " ".join(words).split("|")]
        layers.append((outlined, paint, shapes))
    return layers


def _polygon(name: str, *numbers: str) -> list[tuple[float, float]]:
    """The corners of one shape; rounded, so that no machine's sine can move a pixel."""
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


# ---- captions

_PLURALS = {"butterfly": "butterflies", "fish": "fish"}
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_SIZE_WORDS = {
    "small": ("small", "little", "tiny"),
    "medium": ("medium",),
    "large": ("large", "big", "huge"),
}
# Each direction as (axis, sign of the way), and the words that say it in the picture and between two objects.
_WAYS = {"above": (1, -1), "below": (1, 1), "left": (0, -1), "right": (0, 1)}
_SIDES = {
    ("above",): ("in the upper half", "in the upper part"),
    ("below",): ("in the lower half", "in the lower part"),
    ("left",): ("on the left side", "in the left half"),
    ("right",): ("on the right side", "in the right half"),
    ("above", "left"): ("in the upper left part", "in the upper left"),
    ("above", "right"): ("in the upper right part", "in the upper right"),
    ("below", "left"): ("in the lower left part", "in the lower left"),
    ("below", "right"): ("in the lower right part", "in the lower right"),
}
_RELATIONS = {
    ("above",): ("above",),
    ("below",): ("below", "under"),
    ("left",): ("to the left of", "on the left of"),
    ("right",): ("to the right of", "on the right of"),
    ("above", "left"): ("to the upper left of",),
    ("above", "right"): ("to the upper right of",),
    ("below", "left"): ("to the lower left of",),
    ("below", "right"): ("to the lower right of",),
}
# How far two centres, or a centre and the middle of the picture, must be apart (in picture sides) for a direction
# to be said, and to be true. 0.15 is 19 pixels of 128.
_CLEAR, _OFF_MIDDLE = 0.15, 0.1
_PICTURE = {"box": [0, 0, 1, 1]}

# Slots: a, b, c are noun phrases, be is their verb; rel holds from a to b, rel2 from a to c; side is where a is;
# adj is said of a; all is a list of noun phrases; where is "on a beach", place is "beach".
_TEMPLATES = {
    "inventory": (
        "there {be} {all} {where}",
        "{all} {where}",
        "the picture shows {all} {where}",
        "{where}, there {be} {all}",
        "{all} {bes} {where}",
        "{all} can be seen {where}",
        "you can see {all} {where}",
        "a {place} with {all}",
        "this {place} has {all}",
    ),
    "relation": (
        "{a} {be} {rel} {b}",
        "{a} {be} {rel} {b} {where}",
        "there {be} {a} {rel} {b}",
        "{where}, {a} {be} {rel} {b}",
        "{rel} {b}, there {be} {a}",
        "{rel} {b} {be} {a}",
        "the picture shows {a} {rel} {b}",
        "you can see {a} {rel} {b} {where}",
        "{a} {rel} {b} {be} {adj}",
        "{a} {be} {rel} {b} and {rel2} {c}",
    ),
    "placement": (
        "{a} {be} {side} of the picture",
        "{side} of the picture, there {be} {a}",
        "{side} of the picture {be} {a}",
        "{a} {side} of the picture {be} {adj}",
        "{where}, {a} can be seen {side} of the picture",
        "you can see {a} {side} of the picture",
    ),
    "attribute": (
        "{a} {where} {be} {adj}",
        "{where}, {a} {be} {adj}",
        "{a} {be} {adj} and {be} {side} of the picture",
        "{a} {be} {adj} and {be} {rel} {b}",
    ),
}
_JOINABLE = [
    text for role in _TEMPLATES.values() for text in role if text.startswith("{a} {be}") and "{where}" not in text
]


def write_captions(scene: dict, seed: int) -> list[str]:
    """Five different true captions of 6 to 18 words: one of each role in `_TEMPLATES`, and one more.

    A description ("two red balls") is always said of *all* objects that it fits, and a direction only if it is the
    same for each of them (and for each object on the other side of a relation), by a clear margin; a diagonal one
    is said as such. So a caption is true whether "a" is read as "some" or as "the only", and a swapped direction
    makes it false. A role that the scene has nothing for (relations of a single object) gives way to "inventory".

    What is said of the values of a category does not depend on the value (no "is medium" left out because it
    sounds odd): a form that only a swap can produce would tell true from false without the picture.
    """
    rng = random.Random(f"captions {seed}")
    roles = [*_TEMPLATES, rng.choice(tuple(_TEMPLATES))]
    rng.shuffle(roles)
    captions: list[str] = []
    used: set[str] = set()
    for role in roles:
        for attempt in itertools.count():
            template = rng.choice(_TEMPLATES[role if attempt < 60 else "inventory"])
            clause = template not in used and _sentence(template, scene, rng)
            if clause and 6 <= len(clause.split()) <= 18:
                used.add(template)
                captions.append(clause[0].upper() + clause[1:] + ".")
                break
    return captions


def _sentence(template: str, scene: dict, rng: random.Random) -> str | None:
    """The template filled with facts of the scene; now and then with a second clause about another object."""
    cells = _cells(scene, rng)
    clause = _fill(template, scene, cells, rng)
    if clause and len(cells) > 1 and template in _JOINABLE and rng.random() < 0.5:
        second = _fill(rng.choice(_JOINABLE), scene, cells[1:] + cells[:1], rng)
        return second and f"{clause}, while {second}"
    return clause


def _cells(scene: dict, rng: random.Random) -> list[tuple[dict, list]]:
    """Sort the objects by some of their facts: [(description, the objects that it fits)], in random order."""
    looks = {"size": 0.4, "pattern": 0.4, "colour": 0.7}  # how often each is told
    keys = ["kind", *(look for look in looks if rng.random() < looks[look])]
    groups: dict[tuple, list] = {}
    for item in scene["objects"]:
        groups.setdefault(tuple(item[key] for key in keys), []).append(item)
    cells = []
    for members in groups.values():
        shared = [look for look in looks if len({item[look] for item in members}) == 1]
        told = {*keys, *(look for look in shared if rng.random() < looks[look])}
        cells.append(({fact: members[0][fact] for fact in (*looks, "kind") if fact in told}, members))
    rng.shuffle(cells)
    return cells


def _fill(template: str, scene: dict, cells: list[tuple[dict, list]], rng: random.Random) -> str | None:
    """Fill one template, its {a} from the first cell; None if these cells have nothing true to put in."""
    place = scene["background"]
    slots = {"place": place, "where": f"{_PREPOSITION.get(place, 'in')} a {place}"}
    if "{all}" in template:
        told = cells[: max(rng.randint(1, len(cells)) for _ in "ab")]
        phrases = [_noun_phrase(facts, members, rng) for facts, members in told]
        slots["all"] = " and ".join(filter(None, (", ".join(phrases[:-1]), phrases[-1])))
        slots["be"] = "is" if len(told[0][1]) == 1 else "are"
        slots["bes"] = slots["be"] if len(told) == 1 else "are"
        return template.format(**slots)
    facts, members = cells[0]
    slots["be"] = "is" if len(members) == 1 else "are"
    if "{adj}" in template:
        looks = [fact for fact in facts if fact in ("pattern", "colour")]
        rng.shuffle(looks)
        said = looks[: rng.randint(1, 2)]
        facts = {fact: value for fact, value in facts.items() if fact not in said}
        # "The cup is blue" needs a picture with one cup.
        if not said or any(_fits(facts.items(), item) for item in scene["objects"] if item not in members):
            return None
        slots["adj"] = " and ".join(cells[0][0][fact] for fact in said)
    slots["a"] = _noun_phrase(facts, members, rng, definite="there {be}" not in template)
    if "{side}" in template:
        ways = _common_ways(members, [_PICTURE], _OFF_MIDDLE)
        if not ways:
            return None
        slots["side"] = rng.choice(_SIDES[ways])
    for slot, relation, index in (("b", "rel", 1), ("c", "rel2", 2)):
        if "{" + slot + "}" in template:
            facts, others = cells[index] if index < len(cells) else ({}, [])
            ways = _common_ways(members, others, _CLEAR)
            if not ways:
                return None
            slots[relation] = rng.choice(_RELATIONS[ways])
            slots[slot] = _noun_phrase(facts, others, rng, definite=True)
    return template.format(**slots)


def _noun_phrase(facts: dict, members: list, rng: random.Random, definite: bool = False) -> str:
    """For example "a small red ball", "exactly two striped cups", "the house"."""
    # Always size, pattern, colour: "a striped red ball" is tagged better than "a red striped ball".
    said = [value for fact, value in facts.items() if fact not in ("size", "kind")]
    if "size" in facts:
        said.insert(0, rng.choice(_SIZE_WORDS[facts["size"]]))
    if len(members) > 1:
        number = rng.choice(("", "", "", "exactly ")) + _NUMBERS[len(members)]
        return " ".join([number, *said, _plural(facts["kind"])])
    words = " ".join([*said, facts["kind"]])
    article = rng.choice(("a", "a", "a", "one", *("the", "the") * definite))
    return f"{'an' if article == 'a' and words[0] in 'aeiou' else article} {words}"


def _plural(kind: str) -> str:
    return _PLURALS.get(kind, kind + "s")


def _fits(facts: Iterable[tuple[str, str]], item: dict) -> bool:
    return all(item[fact] == value for fact, value in facts)


def _common_ways(items: list[dict], others: list[dict], margin: float) -> tuple[str, ...]:
    """The directions in which every one of `items` lies from every one of `others`; () if they do not agree."""
    pairs = itertools.product(items, others)
    found = {tuple(way for way in _WAYS if _is_off(one, way, other, margin)) for one, other in pairs}
    return found.pop() if len(found) == 1 else ()


def _is_off(item: dict, way: str, other: dict, margin: float) -> bool:
    """Whether the centre of `item` lies that way from the centre of `other`, by the margin."""
    axis, sign = _WAYS[way]
    here, there = ((thing["box"][axis] + thing["box"][axis + 2]) / 2 for thing in (item, other))
    return (here - there) * sign >= margin


# ---- is it true?

# Word -> (fact, value). Words that are not here describe nothing.
_MEANINGS = {word: ("kind", kind) for kind in KINDS for word in (kind, _plural(kind))}
_MEANINGS |= {word: ("size", size) for size, words in _SIZE_WORDS.items() for word in words}
_MEANINGS |= {word: ("colour", word) for word in COLOURS} | {word: ("pattern", word) for word in PATTERNS}
_COUNTS = dict.fromkeys(("a", "an", "the", "this")) | {word: n for n, word in enumerate(_NUMBERS) if n}
# No object lies behind or inside another one. Beside, near or next to could be true: such captions are refused.
_WAY_WORDS = {way: way for way in _WAYS} | dict.fromkeys(("behind", "inside"))
_WAY_WORDS |= dict.fromkeys(("upper", "top", "over"), "above")
_WAY_WORDS |= dict.fromkeys(("lower", "bottom", "under", "beneath"), "below")
_PLACING = {"on", "in", "at", "to", *_WAY_WORDS}
_STRUCTURE = {*_COUNTS, *_PLACING, "exactly", "there", "you", "can", "see", "be", "seen", "is", "are"}
_STRUCTURE |= {"and", "of", "with", "has", "shows"}
_VAGUE = {"near", "beside", "by", "next", "between", "some", "many", "several", "few", "no", "not", "all"}


def is_true(caption: str, scene: dict) -> bool:
    """Whether the caption describes the scene: captions of `write_captions`, and those with words swapped.

    - "a", "an", "the": at least one object fits; numbers: exactly that many fit. What must fit is the whole
      clause: "two balls are on the left side" counts the balls on the left side.
    - In "above two cups", there are exactly two cups and it is above both; in "above a cup", above some cup.
    - The members of a list are different objects: "a ball and a red ball" needs two balls.
    - left, right, above, below: the centres are apart by 0.15 of the picture's side that way, or by 0.1 from the
      middle of the picture. Two directions can hold at once; "upper left" asks for both.
    - A word that is none of this module's describes nothing here: "a wooden ball", "in a kitchen" are false.
    - a/an and singular/plural are not checked, so that a swap need not adapt them to be judged.

    Raises ValueError for a caption that the grammar cannot read, or with words whose truth the scene does not
    settle ("near", "several").
    """
    clauses = re.split(r",? while ", caption.strip().removesuffix(".").lower())
    try:
        # Every clause must be readable, also behind a false one.
        truths = [_Clause(re.findall(r"[a-z]+(?:-[a-z]+)*|\S", clause), scene).judge() for clause in clauses]
    except _Unreadable as error:
        raise ValueError(f"cannot read the caption {caption!r}: {error}") from None
    return all(truths)


class _Unreadable(Exception):
    """Why the grammar stopped; `is_true` adds the caption."""


class _Clause:
    """Reads one clause from left to right and judges it against the scene.

    clause   = [place [","]] ["there" be | "you can see" | be | headline] list {place | be adjectives | ...}
    headline = noun phrase ("shows" | "has" | "with"), of the picture or of a background
    list     = noun phrase {("," | "and") noun phrase}
    place    = on/in/at/to [the] directions [side] [of] noun phrase, or on/in/at/to background
    """

    def __init__(self, words: list[str], scene: dict):
        self.words, self.at = [*words, "<end>"], 0
        self.objects, self.background = scene["objects"], scene["background"]

    def judge(self) -> bool:
        tests = []
        if self.next in _PLACING:
            tests.append(self.place())
            self.take(",")
        if self.take("there"):
            self.need("is", "are")
        elif self.take("you"):
            self.need("can")
            self.need("see")
        elif not self.take("is", "are"):
            tests += self.headline()
        phrases = [self.noun_phrase()]
        while self.next in (",", "and") and self.words[self.at + 1] in {*_COUNTS, "exactly"}:
            self.at += 1
            phrases.append(self.noun_phrase())
        tests += self.rest()
        found = [
            [item for item in self.objects if _describes(words, item) and all(test(item) for test in tests)]
            for _, words in phrases
        ]
        if any(len(items) != number if number else not items for (number, _), items in zip(phrases, found)):
            return False
        slots = [items for (number, _), items in zip(phrases, found) for _ in range(number or 1)]
        choices = itertools.permutations(self.objects, len(slots))
        return any(all(item in items for item, items in zip(choice, slots)) for choice in choices)

    def headline(self) -> list[Test]:
        start = self.at
        number, words = self.noun_phrase()
        if self.take("shows", "has", "with"):
            return [] if words == ["picture"] and number in (None, 1) else [self.is_background(number, words)]
        self.at = start
        return []

    def rest(self) -> list[Test]:
        """What follows the list: places, adjectives after "is", and "can be seen", in any order."""
        tests: list[Test] = []
        while self.next != "<end>":
            if self.next in _PLACING:
                tests.append(self.place())
            elif self.take("is", "are"):
                adjectives = self.content()
                while adjectives and self.next == "and" and self.is_content(self.words[self.at + 1]):
                    self.at += 1
                    adjectives += self.content()
                tests.append(partial(_describes, adjectives))
            elif self.take("can"):
                self.need("be")
                self.need("seen")
            else:
                self.need("and")
        return tests

    def place(self) -> Test:
        preposition = self.take("on", "in", "at", "to")
        start = self.at
        self.take(*_COUNTS)
        named = []
        while self.next in _WAY_WORDS:
            named.append(_WAY_WORDS[self.need(*_WAY_WORDS)])
        if not named:
            self.at = start
            number, words = self.noun_phrase()
            if not preposition:
                raise _Unreadable(f"no place in {words}")
            if self.take("of"):  # "to the front of the house"
                self.noun_phrase()
                words = [*words, "of"]
            return self.is_background(number, words)
        sideways = self.content()
        self.take("of")
        number, words = self.noun_phrase()
        ways = [way for way in named if way]
        axes = {_WAYS[way][0] for way in ways}
        if len(axes) < len(named) or not {"side", "half", "part"}.issuperset(sideways):
            # An impossible direction ("behind"), two on one axis ("lower above"), or an unknown noun.
            return lambda item: False
        if words == ["picture"]:
            return lambda item: all(_is_off(item, way, _PICTURE, _OFF_MIDDLE) for way in ways)
        targets = [item for item in self.objects if _describes(words, item)]
        if number and len(targets) != number:
            return lambda item: False
        some = all if number else any
        return lambda item: some(all(_is_off(item, way, other, _CLEAR) for way in ways) for other in targets)

    def is_background(self, number: int | None, words: list[str]) -> Test:
        truth = number in (None, 1) and words in ([self.background], [self.background + "s"])
        return lambda item: truth

    def noun_phrase(self) -> tuple[int | None, list[str]]:
        exactly = self.take("exactly")
        number = _COUNTS[self.need(*_COUNTS)] or (1 if exactly else None)
        words = self.content()
        if not words or _MEANINGS.get(words[-1], ("kind",))[0] != "kind":
            raise _Unreadable(f"no noun before {self.next!r}")
        return number, words

    def content(self) -> list[str]:
        start = self.at
        while self.is_content(self.next):
            self.at += 1
        return self.words[start : self.at]

    @staticmethod
    def is_content(word: str) -> bool:
        return word[0].isalpha() and word not in _STRUCTURE and word not in _VAGUE

    @property
    def next(self) -> str:
        return self.words[self.at]

    def take(self, *options: str) -> str | None:
        if self.next not in options:
            return None
        self.at += 1
        return self.words[self.at - 1]

    def need(self, *options: str) -> str:
        word = self.take(*options)
        if word is None:
            raise _Unreadable(f"unexpected {self.next!r} at word {self.at + 1}")
        return word


def _describes(words: list[str], item: dict) -> bool:
    return all(word in _MEANINGS and _fits([_MEANINGS[word]], item) for word in words)


# ---- for the reader


def gallery(path: str | Path, seeds: Sequence[int], columns: int = 4, side: int = 256) -> None:
    """Write a PNG with the scenes of these seeds, two captions under each."""
    font = ImageFont.load_default(size=15)
    gap, line = 14, 18
    cards = []
    for seed in seeds:
        scene = make_scene(seed)
        told = sorted(write_captions(scene, seed), key=len)[2:4]  # neither the barest nor the longest
        rows = [row for text in told for row in (*_wrap(text, font, side), "")][:-1]
        cards.append((draw(scene, side), rows))
    height = side + gap + line * max(len(rows) for _, rows in cards)
    lines = -(-len(cards) // columns)
    sheet = Image.new("RGB", (columns * (side + gap) + gap, lines * (height + gap) + gap), "white")
    pen = ImageDraw.Draw(sheet)
    for index, (picture, rows) in enumerate(cards):
        x, y = gap + index % columns * (side + gap), gap + index // columns * (height + gap)
        sheet.paste(picture, (x, y))
        for number, row in enumerate(rows):
            pen.text((x, y + side + gap / 2 + number * line), row, fill=_OUTLINE, font=font)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    rows = [""]
    for word in text.split():
        longer = f"{rows[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            rows[-1] = longer
        else:
            rows.append(word)
    return rows
