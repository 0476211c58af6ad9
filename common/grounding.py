"""Boxes on the grid of patches: which cells a region covers, and where the centres of its boxes are.

R regions, M boxes of the region with most boxes, P patches of a square grid, T captions, L words.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Grounding(NamedTuple):
    """The regions of the words of T captions."""

    region_of: Tensor  # (T, L) number of each word's region, from 1; 0 for a word without one
    boxes: Tensor  # (R, M, 4) left, top, right, bottom in fractions of the picture; boxes of zeros are padding
    total: Tensor  # () number of words with a region, also of those whose boxes a crop has lost

    def coverage(self, patches: int) -> Tensor:
        """Share of each cell that a box of the region covers: (R, P) in 0 to 1."""
        side = grid_side(patches)
        edges = torch.arange(side, device=self.boxes.device, dtype=self.boxes.dtype)
        left, top, right, bottom = (self.boxes * side).unsqueeze(-1).unbind(2)  # each (R, M, 1)
        columns = (torch.minimum(right, edges + 1) - torch.maximum(left, edges)).clamp(0, 1)  # (R, M, side)
        lines = (torch.minimum(bottom, edges + 1) - torch.maximum(top, edges)).clamp(0, 1)
        cells = lines.unsqueeze(-1) * columns.unsqueeze(-2)  # (R, M, side, side)
        return cells.flatten(2).amax(1)

    def centres(self, patches: int) -> Tensor:
        """Number of boxes whose centre is in each cell: (R, P)."""
        side = grid_side(patches)
        middle = (self.boxes[..., :2] + self.boxes[..., 2:]) / 2
        column, line = (middle * side).long().clamp(0, side - 1).unbind(-1)  # each (R, M)
        real = (self.boxes[..., 2] > self.boxes[..., 0]).to(self.boxes.dtype)
        return self.boxes.new_zeros(len(self.boxes), patches).scatter_add(1, line * side + column, real)


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
