"""Regions: for a span of a caption, the boxes of what it names; and where they are after a crop or in a mirror image.

A box is (left, top, right, bottom) in fractions of the picture, from 0 to 1.
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from Tokenizer_lib import Word, split_words

Box = tuple[float, float, float, float]
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
NOWHERE: Box = (0.0, 0.0, 0.0, 0.0)  # padding
LEAST_LEFT = 0.5  # of a box's area must lie inside a crop, or the picture no longer shows what its words name


class Region(NamedTuple):
    """The boxes of what a span of a caption names, such as "two red balls"."""

    start: int
    """First character of the span."""
    end: int
    """The character after the span."""
    boxes: tuple[Box, ...]
    """One box for each object. (left, top, right, bottom) in fractions of the picture."""


class View(NamedTuple):
    """Which part of a picture the model sees: a crop, then perhaps mirrored."""

    crop: Box = WHOLE
    mirrored: bool = False

    def shifted(self, dx: float, dy: float) -> "View":
        """The view after its content has moved by these fractions of its sides, to the right and down."""
        x0, y0, x1, y1 = self.crop
        across, down = (x1 - x0) * (-dx if self.mirrored else dx), (y1 - y0) * dy
        return View((x0 - across, y0 - down, x1 - across, y1 - down), self.mirrored)

    def place(self, boxes: Iterable[Box]) -> tuple[Box, ...]:
        """The boxes in this view; () if the view has lost most of one of them.

        All or none: the words "two dogs" are not supervised by one dog.
        """
        x0, y0, x1, y1 = self.crop
        width, height = x1 - x0, y1 - y0
        placed = []
        for left, top, right, bottom in boxes:
            area = (right - left) * (bottom - top)
            a, b = max(left, x0), min(right, x1)
            c, d = max(top, y0), min(bottom, y1)
            if b <= a or d <= c or (b - a) * (d - c) < LEAST_LEFT * area:
                return ()
            a, b = (a - x0) / width, (b - x0) / width
            if self.mirrored:
                a, b = 1 - b, 1 - a
            placed.append((a, (c - y0) / height, b, (d - y0) / height))
        return tuple(placed)


def carry(regions: Iterable[Region], text: str, other: str) -> tuple[Region, ...]:
    """The regions of a text, with the places of their words in another text that says nearly the same.

    The words of both texts are aligned, so spacing, punctuation and single words may differ. A region is dropped if
    half of its words or more are not in the other text.
    """
    if text == other:
        return tuple(regions)
    words, others = split_words(text), split_words(other)
    blocks = SequenceMatcher(None, [w.text for w in words], [w.text for w in others], autojunk=False).get_opcodes()
    carried = []
    for region in regions:
        inside = set(words_inside(words, region))
        found, places = 0, list[int]()
        for what, first, after, start, end in blocks:
            if after - first == end - start:  # the same words, or as many in another spelling
                own = [start + n - first for n in range(first, after) if n in inside]
            elif what == "replace" and inside.issuperset(range(first, after)):  # "blond-haired" -> "blonde haired"
                own = list(range(start, end))
            else:
                continue
            places += own
            found += len(inside.intersection(range(first, after)))
        if 2 * found > len(inside):
            carried.append(Region(others[places[0]].start, others[places[-1]].end, region.boxes))
    return tuple(carried)


def cut_regions(regions: Iterable[Region], start: int, end: int) -> tuple[Region, ...]:
    """The regions of a text as those of its part from `start` to `end`; without those that are not all inside."""
    inside = (region for region in regions if start <= region.start and region.end <= end)
    return tuple(Region(region.start - start, region.end - start, region.boxes) for region in inside)


def words_inside(words: Sequence[Word], region: Region) -> list[int]:
    """Numbers of the words of a text that its region is about, also of those that it contains only in part."""
    return [n for n, word in enumerate(words) if word.start < region.end and region.start < word.end]


def words_of_regions(words: Sequence[Word], regions: Iterable[Region]) -> dict[Region, list[int]]:
    """The positions of the words of each region. A word in several regions belongs to the shortest one."""
    region_of: dict[int, Region] = {}
    for region in sorted(regions, key=lambda region: region.start - region.end):
        region_of |= dict.fromkeys(words_inside(words, region), region)
    found: dict[Region, list[int]] = {}
    for n, region in region_of.items():
        found.setdefault(region, []).append(n)
    return found


def from_dicts(regions: Iterable[Mapping[str, Any]]) -> tuple[Region, ...]:
    """Regions as Arrow gives them: dictionaries with the fields of Region."""
    return from_lists([region[name] for name in Region._fields] for region in regions)


def from_lists(regions: Iterable[Sequence]) -> tuple[Region, ...]:
    """Regions that were stored as lists (start, end, boxes)."""
    return tuple(Region(start, end, tuple(tuple(box) for box in boxes)) for start, end, boxes in regions)
