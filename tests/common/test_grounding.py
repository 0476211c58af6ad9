"""Boxes on the grid of patches: shares of cells, centres and tags, against values by hand and against pixels."""

import pytest
import torch

from common.grounding import centres, collect_tags, coverage, grid_places, grid_side, spread
from common.regions import Region, View

BOXES = torch.tensor(
    [
        [[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.0, 0.0]],  # one box; the second is padding
        [[0.25, 0.5, 0.625, 1.0], [0.5, 0.0, 1.0, 0.25]],
    ]
)


def test_the_share_of_each_cell_that_a_box_covers_by_hand():
    covered = coverage(BOXES, 16).view(2, 4, 4)
    assert covered[0].tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0] * 4, [0] * 4]
    assert covered[1].tolist() == [[0, 0, 1, 1], [0] * 4, [0, 1, 0.5, 0], [0, 1, 0.5, 0]]


def test_shares_equal_those_of_painted_pixels():
    """A box with edges on whole pixels of 64, painted, and averaged over the cells."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        (x0, x1), (y0, y1) = (sorted(torch.randint(0, 65, (2,), generator=generator).tolist()) for _ in range(2))
        if x0 == x1 or y0 == y1:
            continue
        pixels = torch.zeros(64, 64)
        pixels[y0:y1, x0:x1] = 1
        expected = torch.nn.functional.avg_pool2d(pixels[None, None], 8).flatten()
        boxes = torch.tensor([[[x0, y0, x1, y1]]]) / 64
        found = coverage(boxes, 64)
        torch.testing.assert_close(found[0], expected)


def square(x, y, half=0.05):
    """A box around a point."""
    return [x - half, y - half, x + half, y + half]


@pytest.mark.parametrize(
    ("x", "y", "cells"),
    [
        (0.125, 0.375, {(1, 0): 1.0}),  # (line, column)
        (0.25, 0.375, {(1, 0): 0.5, (1, 1): 0.5}),  # at the edge of two cells
        (0.5, 0.5, {(1, 1): 0.25, (1, 2): 0.25, (2, 1): 0.25, (2, 2): 0.25}),  # at the corner of four
        (0.1875, 0.875, {(3, 0): 0.75, (3, 1): 0.25}),
        (0.06, 0.97, {(3, 0): 1.0}),  # no cell is nearer to the border
    ],
)
def test_a_centre_is_shared_by_the_nearest_cells(x, y, cells):
    found = centres(torch.tensor([[square(x, y), [0.0] * 4]]), 16).view(4, 4)
    expected = torch.zeros(4, 4)
    for cell, share in cells.items():
        expected[cell] = share
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_centres_add_up_to_the_number_of_boxes():
    boxes = torch.tensor(
        [[square(0.3, 0.3), square(0.32, 0.3), square(0.9, 0.1)], [square(0.5, 0.6), *[[0.0] * 4] * 2]]
    )
    found = centres(boxes, 16)
    torch.testing.assert_close(found.sum(1), torch.tensor([3.0, 1.0]))
    assert found[0].view(4, 4)[0:2, 0:2].sum() > 1.9, "two things in one place are two"


def test_a_batch_without_regions_has_no_rows():
    empty = torch.zeros(0, 1, 4)
    assert coverage(empty, 16).shape == centres(empty, 16).shape == spread(empty, 16).shape == (0, 16)


def test_each_box_of_a_region_gets_the_same_share_and_its_cells_by_how_much_it_covers():
    one, two = spread(BOXES, 16).view(2, 4, 4)
    assert one.tolist() == [[0.25, 0.25, 0, 0], [0.25, 0.25, 0, 0], [0] * 4, [0] * 4]
    sixth, twelfth = pytest.approx(1 / 6), pytest.approx(1 / 12)
    assert two.tolist() == [[0, 0, 0.25, 0.25], [0] * 4, [0, sixth, twelfth, 0], [0, sixth, twelfth, 0]]
    overlapping = torch.tensor([[[0.0, 0.0, 0.5, 1.0], [0.0, 0.0, 1.0, 1.0]]])
    assert spread(overlapping, 4).tolist() == [[0.375, 0.125, 0.375, 0.125]]


def test_tags_are_the_words_of_all_captions_with_the_boxes_in_the_view():
    corner, half = (0.0, 0.0, 0.25, 0.25), (0.5, 0.0, 1.0, 1.0)
    said = [
        [
            (Region(0, 5, (corner,)), [7, 8], 2),
            (Region(9, 12, (corner,)), [9], 3),
            (Region(3, 4, (half, corner)), [5], 1),
        ],
        [(Region(0, 2, (corner,)), [6], 1)],
        [(Region(0, 2, (corner,)), [2], 1), (Region(0, 2, (half,)), [3], 1)],
    ]
    mirror, right_half = View(mirrored=True), View((0.5, 0.0, 1.0, 1.0))
    tags = collect_tags(said, [mirror, None, right_half])  # the picture of another process is not in the batch
    assert tags.word.tolist() == [7, 8, 9, 5, 3]
    assert tags.region.tolist() == [0, 0, 0, 1, 2]  # two captions say something of the same boxes
    assert tags.picture.tolist() == [0, 0, 1]
    assert tags.boxes[1].tolist() == [[0.0, 0.0, 0.5, 1.0], [0.75, 0.0, 1.0, 0.25]]  # mirrored
    assert tags.boxes[2].tolist() == [[0.0, 0.0, 1.0, 1.0], [0.0] * 4]
    assert tags.total == 9  # with the other picture's word, one whose box the crop has lost, and two that were left out


def test_a_batch_without_tags():
    tags = collect_tags([[], []], [View(), View()])
    assert tags.word.shape == tags.region.shape == tags.picture.shape == (0,) and tags.boxes.shape == (0, 1, 4)
    assert tags.total == 0


def test_places_of_the_cells():
    assert grid_places(2, torch.device("cpu")).tolist() == [[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]]
    assert grid_side(49) == 7
    with pytest.raises(ValueError, match="50 patches are not a square grid"):
        grid_side(50)
