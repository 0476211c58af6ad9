"""A white box on black: found again in the pixels of a view of the picture, it shows where boxes are in the view."""

import numpy as np
import torch
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from torch import Tensor

from common.regions import WHOLE, Box, View

sizes = st.tuples(st.integers(100, 260), st.integers(100, 260))


def paint(size: tuple[int, int], box: tuple[int, int, int, int]) -> tuple[Image.Image, Box]:
    """A picture with a white box (left, top, right, bottom, in pixels), and the box in fractions."""
    picture = Image.new("RGB", size, "black")
    left, top, right, bottom = box
    ImageDraw.Draw(picture).rectangle((left, top, right - 1, bottom - 1), "white")
    return picture, (left / size[0], top / size[1], right / size[0], bottom / size[1])


@st.composite
def painted(draw: st.DrawFn) -> tuple[Image.Image, Box]:
    """Any box of at least a fifth of each side."""
    size = draw(sizes)
    box = []
    for side in size:
        start = draw(st.integers(0, side - side // 5))
        box.append((start, draw(st.integers(start + side // 5, side))))
    return paint(size, (box[0][0], box[1][0], box[0][1], box[1][1]))


def find(pixels: Tensor) -> Box | None:
    """The box of the bright pixels of (3, side, side), in fractions; None if there are none."""
    grey = pixels.float().mean(0)
    if float(grey.max() - grey.min()) < 20:
        return WHOLE if float(grey.mean()) > 100 else None
    bright = grey > (grey.max() + grey.min()) / 2
    columns, lines = (torch.nonzero(bright.any(dim)).flatten().numpy() for dim in (0, 1))
    side = pixels.shape[-1]
    return tuple(float(n) / side for n in (columns[0], lines[0], columns[-1] + 1, lines[-1] + 1))  # type: ignore


def check(pixels: Tensor, view: View, box: Box, within: float, may_repeat: bool = False) -> bool:
    """Assert that a view places the box where it is in the pixels; whether it has kept the box.

    within: fraction of the side. may_repeat: the border is repeated, so that a box which reaches it can look longer.
    """
    placed = view.place([box])
    found = find(pixels)
    x0, y0, x1, y1 = view.crop
    seen = [max(0.0, min(box[2], x1) - max(box[0], x0)), max(0.0, min(box[3], y1) - max(box[1], y0))]
    part = seen[0] * seen[1] / ((box[2] - box[0]) * (box[3] - box[1]))
    if not placed:
        assert part < 0.5 + 1e-9
        return False
    assert part >= 0.5 - 1e-9
    (place,) = placed
    assert found is not None, "the view keeps a box that is not in its pixels"
    if may_repeat:  # a side that a repeated border has moved out to the edge
        found = tuple(own if its == edge else its for own, its, edge in zip(place, found, WHOLE))  # type: ignore
    np.testing.assert_allclose(place, found, atol=within)
    return True
