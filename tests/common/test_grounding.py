"""Boxes on the grid of patches: shares of cells and centres, against values by hand and against pixels."""

import pytest
import torch

from common.grounding import Grounding, grid_places, grid_side

BOXES = torch.tensor(
    [
        [[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.0, 0.0]],  # one box; the second is padding
        [[0.25, 0.5, 0.625, 1.0], [0.5, 0.0, 1.0, 0.25]],
    ]
)
GROUNDING = Grounding(torch.tensor([[1, 0, 2]]), BOXES, torch.tensor(2))


def test_the_share_of_each_cell_that_a_box_covers_by_hand():
    covered = GROUNDING.coverage(16).view(2, 4, 4)
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
        found = Grounding(torch.zeros(1, 1), boxes, torch.tensor(0)).coverage(64)
        torch.testing.assert_close(found[0], expected)


def test_centres_count_the_boxes_of_a_cell_and_not_the_padding():
    assert GROUNDING.centres(16).view(2, 4, 4).nonzero().tolist() == [[0, 1, 1], [1, 0, 3], [1, 3, 1]]
    twice = torch.tensor([[[0.0, 0.0, 1.0, 1.0], [0.25, 0.25, 0.8, 0.8], [0.9, 0.9, 1.0, 1.0]]])
    found = Grounding(torch.zeros(1, 1), twice, torch.tensor(0)).centres(16)
    assert found.sum() == 3 and found[0, 2 * 4 + 2] == 2 and found[0, 15] == 1


def test_a_batch_without_regions_has_no_rows():
    empty = Grounding(torch.zeros(3, 5), torch.zeros(0, 1, 4), torch.tensor(0))
    assert empty.coverage(16).shape == empty.centres(16).shape == (0, 16)


def test_places_of_the_cells():
    assert grid_places(2, torch.device("cpu")).tolist() == [[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]]
    assert grid_side(49) == 7
    with pytest.raises(ValueError, match="50 patches are not a square grid"):
        grid_side(50)
