"""A scene as a dict, made from a seed, and the directions between its objects."""

import itertools
import random
from collections.abc import Iterable

from sources.scenes.drawings import BACKGROUNDS, COLOURS, KINDS, PATTERNS

# Side of an object's box, as a fraction of the picture's side: about 24, 36 and 52 pixels of 128. The gaps between
# the ranges are wider than the ranges, so that sizes cannot be confused.
SIZES = {"small": (0.18, 0.20), "medium": (0.27, 0.30), "large": (0.39, 0.42)}
_MARGIN, _GAP = 0.02, 0.025  # free space at the border and between two boxes, as fractions of the picture's side
# Direction -> (axis, sign): axis 0 is x to the right, axis 1 is y down.
WAYS = {"above": (1, -1), "below": (1, 1), "left": (0, -1), "right": (0, 1)}
# A direction is true, and is used in captions, if two centres are apart by CLEAR, or a centre and the middle of the
# picture by OFF_MIDDLE, as fractions of the picture's side. 0.15 is 19 pixels of 128.
CLEAR, OFF_MIDDLE = 0.15, 0.1
PICTURE = {"box": [0, 0, 1, 1]}


def make_scene(seed: int) -> dict:
    """The scene of this seed: `{"background": str, "objects": [{"kind", "colour", "size", "pattern", "box"}]}`.

    A box is a square [x0, y0, x1, y1] in fractions of the picture's side. Boxes do not touch each other or the border.
    In about a third of the scenes, two or more objects have the same kind, so that captions can count them.
    """
    rng = random.Random(f"scene {seed}")
    while True:  # four large objects do not always fit; then a new scene is tried
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
    """Give every object a box. False if no free place was found for one."""
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
    """Does an object have all of these (fact, value), such as ("colour", "red")?"""
    return all(item[fact] == value for fact, value in facts)


def common_ways(items: list[dict], others: list[dict], margin: float) -> tuple[str, ...]:
    """The directions from each of `others` to each of `items`; () if they are not the same for all."""
    both = itertools.product(items, others)
    found = {tuple(way for way in WAYS if is_off(one, way, other, margin)) for one, other in both}
    return found.pop() if len(found) == 1 else ()


def is_off(item: dict, way: str, other: dict, margin: float) -> bool:
    """Is the centre of `item` in direction `way` from the centre of `other`, by at least the margin?"""
    axis, sign = WAYS[way]
    here, there = ((thing["box"][axis] + thing["box"][axis + 2]) / 2 for thing in (item, other))
    return (here - there) * sign >= margin
