"""A scene as a dict, made from a seed, and what holds between its objects."""

import itertools
import random
from collections.abc import Iterable

from sources.scenes.drawings import BACKGROUNDS, COLOURS, KINDS, PATTERNS

# Side of an object's box, as a share of the picture's side: about 24, 36 and 52 pixels of 128. The gaps between
# the ranges are wider than the ranges, so that no two sizes can be confused.
SIZES = {"small": (0.18, 0.20), "medium": (0.27, 0.30), "large": (0.39, 0.42)}
_MARGIN, _GAP = 0.02, 0.025  # free space at the border and between two boxes, in picture sides
# Each direction as (axis, sign of the way).
WAYS = {"above": (1, -1), "below": (1, 1), "left": (0, -1), "right": (0, 1)}
# How far two centres, or a centre and the middle of the picture, must be apart (in picture sides) for a direction
# to be said, and to be true. 0.15 is 19 pixels of 128.
CLEAR, OFF_MIDDLE = 0.15, 0.1
PICTURE = {"box": [0, 0, 1, 1]}


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


def fits(facts: Iterable[tuple[str, str]], item: dict) -> bool:
    return all(item[fact] == value for fact, value in facts)


def common_ways(items: list[dict], others: list[dict], margin: float) -> tuple[str, ...]:
    """The directions in which every one of `items` lies from every one of `others`; () if they do not agree."""
    pairs = itertools.product(items, others)
    found = {tuple(way for way in WAYS if is_off(one, way, other, margin)) for one, other in pairs}
    return found.pop() if len(found) == 1 else ()


def is_off(item: dict, way: str, other: dict, margin: float) -> bool:
    """Whether the centre of `item` lies that way from the centre of `other`, by the margin."""
    axis, sign = WAYS[way]
    here, there = ((thing["box"][axis] + thing["box"][axis + 2]) / 2 for thing in (item, other))
    return (here - there) * sign >= margin
