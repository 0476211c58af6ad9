"""The views of pictures that a feature cache holds: which parts of a picture they show, and their pixels in order."""

import itertools
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.augment import random_box, resize
from common.regions import Box
from Config import usable_cores
from DataBase_functions import Database, seeded

DECODED_AHEAD = 64  # rows; two batches, so that the backbone does not wait for a slow picture


def first_entries(database: Database, views: int) -> NDArray[np.int64]:
    """(rows + 1,) the entry of each row's view 0 in a cache with this many views of each training picture, and the
    number of all entries."""
    counts = [views if split == "train" else 1 for split in database.split_of]
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def views_in_order(
    draw: Callable[[int], Tensor], first: NDArray[np.int64], start: int, stop: int, threads: int = 0
) -> Generator[Tensor, None, None]:
    """The prepared views (3, side, side) of the entries from `start` to `stop`. draw: row -> its views.

    Threads decode ahead, since Pillow releases the GIL: a device that can encode 2,000 pictures/s gets 840 pictures/s
    with one such thread, and 430 without. threads: their number; 0: one a core, at most 16.
    """
    row = int(np.searchsorted(first, start, side="right")) - 1
    skip = start - int(first[row])
    rows = iter(range(row, int(np.searchsorted(first, stop, side="left"))))
    with ThreadPoolExecutor(threads or min(16, usable_cores())) as pool:
        ahead = deque(pool.submit(draw, row) for row in itertools.islice(rows, DECODED_AHEAD))
        left = stop - start
        while ahead and left:
            views = ahead.popleft().result()[skip:][:left]
            yield from views
            left, skip = left - len(views), 0
            ahead.extend(pool.submit(draw, row) for row in itertools.islice(rows, 1))


def draw_views(database: Database, row: int, count: int, side: int, crop: float) -> Tensor:
    """The first `count` views (count, 3, side, side) of a picture; see `training.features.FeatureCache`.

    numpy mirrors and stacks them: torch would start as many threads as there are cores in each decoding thread.
    """
    picture = database.picture(row)
    views = np.empty((count, 3, side, side), dtype=np.uint8)
    for view, place in enumerate(views):
        if view == 1:
            place[:] = views[0, :, :, ::-1]
            continue
        box = crop_of_view(database.ids[row], view, crop, picture.size)
        place[:] = resize(picture, side, box).numpy()[:, :, :: -1 if view % 2 else 1]
    return torch.from_numpy(views)


def crop_of_view(image_id: str, view: int, crop: float, size: tuple[int, int]) -> Box:
    """The box (left, top, right, bottom) that a view shows of a picture of this (width, height)."""
    return (0, 0, *size) if view < 2 else random_box(size, crop, seeded(image_id, "view", view))
