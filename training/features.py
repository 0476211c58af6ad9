"""The cache of a frozen backbone's features: computed once, then read from disk in every epoch."""

import contextlib
import hashlib
import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from Architectures import SiameseModel
from common import devices
from common.augment import random_box, resize
from common.regions import Box, View
from Config import BackboneConfig, Config, usable_cores
from DataBase_functions import Database, seeded
from training.pace import Pace, duration

PREPROCESSING = 2  # raised when pictures are prepared in another way: older caches are then not used
DECODED_AHEAD = 64  # rows; two batches, so that the backbone does not wait for a slow picture


class FeatureCache:
    """Features of a frozen backbone for every picture, memory-mapped.

    A training picture has several views, since features cannot be augmented: view 0 is the whole picture, view 1 its
    mirror image, later views with even numbers are random crops, those with odd numbers mirrored random crops. Other
    pictures have only view 0. A view depends on its row and number, not on the seed of a run.

    The folder's name is a hash of everything that the features depend on: pictures, splits, weights, side, views,
    precision and preprocessing. A change of any of them gives another folder, so a wrong cache is never read.
    """

    def __init__(
        self, folder: Path, views: Sequence[int], shape: tuple[int, ...], ids: Sequence[str] = (), crop: float = 1.0
    ):
        """views: number of views of each row; shape: (C, h, w) of one view; ids: of the rows; crop: see `open`."""
        self.folder, self.ids, self.crop = folder, ids, crop
        self._first = np.concatenate([[0], np.cumsum(views)])  # entry of each row's view 0
        self.shape = (int(self._first[-1]), *shape)
        self._array: np.ndarray | None = None

    @property
    def array(self) -> np.ndarray:
        """(views of all rows, C, h, w) float16, in the order of the rows; each process opens the file on first use."""
        if self._array is None:
            self._array = _open_features(self.folder)
            if self._array.shape != self.shape:
                raise damaged(self.folder, f"it has the shape {self._array.shape}, not {self.shape}")
        return self._array

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_array": None}

    def views_of(self, row: int) -> int:
        """Number of views of a row; views with odd numbers are mirror images."""
        return int(self._first[row + 1] - self._first[row])

    def read(self, row: int, view: int = 0) -> Tensor:
        """Features (C, h, w) of a view of a row, in float16."""
        assert 0 <= view < self.views_of(row), f"row {row} has no view {view}"
        return torch.from_numpy(self.array[self._first[row] + view].copy())

    def view(self, row: int, view: int) -> View:
        """Which part of the picture a view of a row shows."""
        return View(crop_of_view(self.ids[row], view, self.crop, (1, 1)), mirrored=view % 2 == 1)

    @classmethod
    def of_training(
        cls, config: Config, database: Database, model: SiameseModel, precision: torch.dtype
    ) -> "FeatureCache":
        """The cache for a training with these settings; computes the features that are missing."""
        model.eval()

        @torch.no_grad()
        def encode(pictures: Tensor) -> Tensor:
            with devices.autocast(model.device, precision):
                return model.features(pictures.to(model.device).contiguous(memory_format=torch.channels_last))

        of = config.backbone
        return cls.open(database, model, config.data.side, of.views, encode, precision, crop=of.view_crop)

    @classmethod
    def open(
        cls,
        database: Database,
        model: SiameseModel,
        side: int,
        views: int,
        encode: Callable[[Tensor], Tensor],
        precision: torch.dtype,
        batch: int = 32,
        crop: float = BackboneConfig.view_crop,
    ) -> "FeatureCache":
        """The cache of this backbone for this database. Missing features are computed, with a progress bar.

        views: of each training picture; crop: smallest fraction of the picture's area that a crop keeps; encode:
        pictures (N, 3, side, side) of bytes -> features (N, C, h, w), on any device. An interrupted computation is
        resumed.
        """
        folder = cls._place(database, model, side, views, precision, crop)
        folder.mkdir(parents=True, exist_ok=True)
        shape = tuple(encode(torch.zeros(1, 3, side, side, dtype=torch.uint8)).shape[1:])
        cache = cls(folder, cls._views_of_rows(database, views), shape, database.ids, crop)
        with filelock.FileLock(folder / "lock"):
            if not (folder / "features.npy").is_file():
                cache._compute(lambda row: draw_views(database, row, cache.views_of(row), side, crop), encode, batch)
        return cache

    @classmethod
    def find(
        cls, database: Database, model: SiameseModel, side: int, settings: BackboneConfig, precision: torch.dtype
    ) -> "FeatureCache | None":
        """The complete cache that training with these settings has written, or None. Computes nothing."""
        folder = cls._place(database, model, side, settings.views, precision, settings.view_crop)
        if not (folder / "features.npy").is_file():
            return None
        shape = _open_features(folder).shape[1:]
        return cls(folder, cls._views_of_rows(database, settings.views), shape, database.ids, settings.view_crop)

    @staticmethod
    def _place(
        database: Database, model: SiameseModel, side: int, views: int, precision: torch.dtype, crop: float
    ) -> Path:
        splits = hashlib.sha256(" ".join(database.split_of).encode()).hexdigest()
        crops = crop if views > 2 else None
        settings = (database.picture_fingerprint, splits, PREPROCESSING, side, views, crops, str(precision))
        key = hashlib.sha256(repr(settings).encode() + hash_of_weights(model.backbone).encode()).hexdigest()[:16]
        return database.folder / "features" / key

    @staticmethod
    def _views_of_rows(database: Database, views: int) -> list[int]:
        return [views if split == "train" else 1 for split in database.split_of]

    def _compute(self, draw: Callable[[int], Tensor], encode: Callable[[Tensor], Tensor], batch: int) -> None:
        """Compute and write the features. draw: row -> its views (views, 3, side, side)."""
        part, done_file = self.folder / "features.part.npy", self.folder / "done.txt"
        done = 0
        if part.is_file() and done_file.is_file():
            text = done_file.read_text(errors="replace").strip()
            if not text.isdecimal() or int(text) > self.shape[0]:
                raise damaged(self.folder, f"done.txt has {text[:20]!r}")
            done = int(text)
        size = int(np.prod(self.shape)) * 2
        free = os.statvfs(self.folder).f_bavail * os.statvfs(self.folder).f_frsize if hasattr(os, "statvfs") else size
        if not done and free < size:
            raise OSError(f"the feature cache needs {size / 1e9:.1f} GB in {self.folder}, {free / 1e9:.1f} GB are free")
        tqdm.write(f"feature cache: {self.shape[0]:,} views of pictures, {size / 1e9:.2f} GB in {self.folder}")
        pace = Pace(-(-self.shape[0] // batch))
        try:
            array = np.lib.format.open_memmap(part, mode="r+" if done else "w+", dtype=np.float16, shape=self.shape)
        except ValueError as error:
            raise damaged(self.folder, str(error)) from error
        if array.shape != self.shape or array.dtype != np.float16:
            raise damaged(self.folder, f"{part.name} has the shape {array.shape}")
        bar = tqdm(total=len(array), initial=done, desc="backbone features", unit=" pictures", smoothing=0.05)
        pictures = self._pictures(draw, done)
        with bar, contextlib.closing(pictures), torch.no_grad():
            began = time.perf_counter()
            for step, start in enumerate(range(done, len(array), batch)):
                some = torch.stack(list(itertools.islice(pictures, batch)))
                array[start : start + batch] = encode(some).to(torch.float16).cpu().numpy()
                bar.update(len(some))
                if left := pace.after_step(time.perf_counter() - began, step + 1 + done // batch):
                    tqdm.write(f"about {duration(left)} for the feature cache")
                began = time.perf_counter()
                if step % 20 == 19:
                    array.flush()
                    done_file.write_text(str(start + len(some)))
        array.flush()
        del array
        part.replace(self.folder / "features.npy")
        done_file.unlink(missing_ok=True)

    def _pictures(self, draw: Callable[[int], Tensor], done: int) -> Generator[Tensor, None, None]:
        """The prepared views (3, side, side) in the order of the rows, without the first `done`.

        Threads decode ahead, since Pillow releases the GIL: a device that can encode 2,000 pictures/s gets 840
        pictures/s with one such thread, and 430 without.
        """
        row = int(np.searchsorted(self._first, done, side="right")) - 1
        skip = done - int(self._first[row])
        rows = iter(range(row, len(self._first) - 1))
        with ThreadPoolExecutor(min(16, usable_cores())) as pool:
            ahead = deque(pool.submit(draw, row) for row in itertools.islice(rows, DECODED_AHEAD))
            while ahead:
                yield from ahead.popleft().result()[skip:]
                skip = 0
                ahead.extend(pool.submit(draw, row) for row in itertools.islice(rows, 1))


def _open_features(folder: Path) -> np.ndarray:
    """The features in a folder, memory-mapped."""
    try:
        array = np.load(folder / "features.npy", mmap_mode="r")
        if not isinstance(array, np.ndarray) or array.dtype != np.float16 or array.ndim != 4:
            raise ValueError("it holds no features")
        return array
    except (ValueError, EOFError, SyntaxError, KeyError, TypeError, OverflowError) as error:
        raise damaged(folder, str(error) or type(error).__name__) from error


def damaged(folder: Path, reason: str) -> ValueError:
    """The error of a damaged feature cache."""
    reason = " ".join(reason.split())[:200]
    return ValueError(f"the feature cache {folder} is damaged: {reason}; delete this folder, and it is computed again")


def draw_views(database: Database, row: int, count: int, side: int, crop: float) -> Tensor:
    """The first `count` views (count, 3, side, side) of a picture; see FeatureCache.

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


def hash_of_weights(module: torch.nn.Module) -> str:
    """SHA-256 of a module's structure and every tensor in it."""
    digest = hashlib.sha256(repr(module).encode())
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
