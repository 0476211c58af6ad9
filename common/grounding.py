"""Boxes on the grid of patches: which cells a region covers, and where the centres of its boxes are.

R regions, M boxes of the region with most boxes, P patches of a square grid, T captions, L words. Boxes are left, top,
right, bottom in fractions of the picture; boxes of zeros are padding.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from common.regions import NOWHERE, Box, Region, View


class Grounding(NamedTuple):
    """The regions of the words of T captions."""

    region_of: Tensor  # (T, L) number of each word's region, from 1; 0 for a word without one
    boxes: Tensor  # (R, M, 4)
    total: Tensor  # () number of words with a region, also of those whose boxes a crop has lost


class Tags(NamedTuple):
    """The Q words that all captions of n pictures, drawn or not, say of R regions."""

    word: Tensor  # (Q,) index in the vocabulary
    region: Tensor  # (Q,) from 0
    picture: Tensor  # (R,) picture of each region
    boxes: Tensor  # (R, M, 4)
    total: Tensor  # () number of such words of all pictures, also of those whose boxes a crop has lost


def collect_tags(said: Sequence[Sequence[tuple[Region, Sequence[int], int]]], views: Sequence[View | None]) -> Tags:
    """The words that captions say of regions. views: of each picture.

    said: of each picture, regions with the words that stay true in its view, and how many words there are in all. All
    are counted, since only the process that has the picture knows its view.
    """
    word, region_of, picture_of, total, pictures = list[int](), list[int](), list[int](), 0, 0
    found: list[tuple[Box, ...]] = []
    for regions, view in zip(said, views):
        numbers: dict[tuple[Box, ...], int] = {}  # several captions are about the same boxes
        for region, words, count in regions:
            total += count
            if boxes := view.place(region.boxes) if view else ():
                if boxes not in numbers:
                    numbers[boxes] = len(found)
                    found.append(boxes)
                    picture_of.append(pictures)
                word += words
                region_of += [numbers[boxes]] * len(words)
        pictures += view is not None
    said_words, regions_of, pictures_of = (torch.tensor(one, dtype=torch.long) for one in (word, region_of, picture_of))
    return Tags(said_words, regions_of, pictures_of, pad_boxes(found), torch.tensor(total))


def pad_boxes(boxes: Sequence[tuple[Box, ...]]) -> Tensor:
    """The boxes of R regions as a tensor (R, M, 4), padded with boxes of zeros."""
    most = max(map(len, boxes), default=1)
    padded = [[*some, *[NOWHERE] * (most - len(some))] for some in boxes]
    return torch.tensor(padded, dtype=torch.float32).view(len(boxes), most, 4)


def coverage(boxes: Tensor, patches: int) -> Tensor:
    """Share of each cell that a box of the region covers: (R, M, 4) -> (R, P) in 0 to 1."""
    return cover(boxes, patches).amax(1)


def spread(boxes: Tensor, patches: int) -> Tensor:
    """Where to look at a region: each box has the same share, and within it each cell by how much the box covers of it.

    (R, M, 4) -> (R, P), which adds up to 1.
    """
    cells = cover(boxes, patches)
    each = cells / cells.sum(-1, keepdim=True).clamp(min=1e-6)
    return each.sum(1) / is_box(boxes).sum(1, keepdim=True).clamp(min=1)


def centres(boxes: Tensor, patches: int) -> Tensor:
    """Where the centres of the boxes are: (R, M, 4) -> (R, P), which adds up to the number of boxes.

    Each centre is shared by the four nearest cells, as in bilinear interpolation. If one cell had it alone, the target
    would jump at the edge of two cells, where both gates open half or not at all: of the wrong counts, 4 in 10 had only
    the right things.
    """
    side = grid_side(patches)
    at = (boxes[..., :2] + boxes[..., 2:]) / 2 * side - 0.5  # (R, M, 2), in cells, from the middle of the first one
    first = at.floor()
    found, real = boxes.new_zeros(len(boxes), patches), is_box(boxes)
    for step in itertools.product((0, 1), repeat=2):
        cell = first + boxes.new_tensor(step)
        share = (1 - (at - cell).abs()).prod(-1) * real  # (R, M)
        column, line = cell.long().clamp(0, side - 1).unbind(-1)
        found = found.scatter_add(1, line * side + column, share)
    return found


def cover(boxes: Tensor, patches: int) -> Tensor:
    """Share of each cell that each box covers: (R, M, 4) -> (R, M, P) in 0 to 1."""
    side = grid_side(patches)
    edges = torch.arange(side, device=boxes.device, dtype=boxes.dtype)
    left, top, right, bottom = (boxes * side).unsqueeze(-1).unbind(2)  # each (R, M, 1)
    columns = (torch.minimum(right, edges + 1) - torch.maximum(left, edges)).clamp(0, 1)  # (R, M, side)
    lines = (torch.minimum(bottom, edges + 1) - torch.maximum(top, edges)).clamp(0, 1)
    return (lines.unsqueeze(-1) * columns.unsqueeze(-2)).flatten(2)


def is_box(boxes: Tensor) -> Tensor:
    """1 for a box, 0 for padding: (R, M, 4) -> (R, M)."""
    return (boxes[..., 2] > boxes[..., 0]).to(boxes.dtype)


def grid_side(patches: int) -> int:
    """Cells on a side of the grid: pictures enter the model as squares. ValueError if it is no square."""
    side = math.isqrt(int(patches))  # int: in an export the number of patches is a constant
    if side * side != patches:
        raise ValueError(f"{patches} patches are not a square grid")
    return side


def grid_places(side: int, device: torch.device) -> Tensor:
    """Middle of each cell of a square grid, (P, 2): x to the right, y down, from -1 to 1."""
    steps = (2 * torch.arange(side, device=device) + 1) / side - 1
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([x, y], dim=-1).view(-1, 2)


def waves(places: Tensor) -> Tensor:
    """Features (P, 12) of places (P, 2) in [-1, 1]: sines and cosines of half a period, one and two."""
    angles = torch.cat([places * torch.pi / 2, places * torch.pi, places * 2 * torch.pi], dim=-1)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
