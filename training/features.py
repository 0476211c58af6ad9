"""The cache of a frozen backbone's features: computed once, then read from disk in every epoch."""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from Architectures import SiameseModel
from common.regions import View
from Config import MANY, BackboneConfig, Config
from DataBase_functions import Database
from training.feature_jobs import BATCH, Encode, batches, computed_by_jobs, encoder
from training.pace import Pace, duration
from training.views import crop_of_view, draw_views, first_entries, views_in_order

PREPROCESSING = 2  # raised when pictures are prepared in another way: older caches are then not used
SAVED_EVERY = 640  # views; a multiple of the batch, and of a unit of `training.feature_jobs`
LEVELS = 127  # of int8

Features = Generator[NDArray[np.float16], None, None]  # of consecutive entries (n, C, h, w)


class FeatureCache:
    """Features of a frozen backbone for every picture, memory-mapped.

    A training picture has several views, since features cannot be augmented: view 0 is the whole picture, view 1 its
    mirror image, later views with even numbers are random crops, those with odd numbers mirrored random crops. Other
    pictures have only view 0. A view depends on its row and number, not on the seed of a run.

    The folder's name is a hash of everything that the features depend on: pictures, splits, weights, side, views,
    precision and preprocessing. A change of any of them gives another folder, so a wrong cache is never read.
    """

    def __init__(
        self,
        folder: Path,
        first: NDArray[np.int64],
        shape: tuple[int, ...],
        ids: Sequence[str] = (),
        settings: BackboneConfig = BackboneConfig(),  # noqa: B008 - it is frozen
    ):
        """first: (rows + 1,) entry of each row's view 0; shape: (C, h, w) of one view; ids: of the rows."""
        self.folder, self.ids, self.settings = folder, ids, settings
        self._first, self._shape = first, shape
        self._array: np.ndarray | None = None

    def __len__(self) -> int:
        """The number of entries: the views of all rows."""
        return int(self._first[-1])

    @property
    def array(self) -> np.ndarray:
        """The entries in the order of the rows, see `pack`; each process opens the file on first use."""
        if self._array is None:
            self._array = self._check_layout(_open_features(self.folder))
        return self._array

    def _check_layout(self, array: np.ndarray) -> np.ndarray:
        """ValueError if the array is not one of the entries of this cache."""
        kind, shape = layout(len(self), self.settings.cache, self._shape)
        if array.dtype != kind or array.shape != shape:
            raise damaged(self.folder, f"it has the shape {array.shape}, not {shape}, or numbers of another kind")
        return array

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_array": None}

    def views_of(self, row: int) -> int:
        """Number of views of a row; views with odd numbers are mirror images."""
        return int(self._first[row + 1] - self._first[row])

    def read(self, row: int, view: int = 0) -> Tensor:
        """Features (C, h, w) of a view of a row, in float16."""
        assert 0 <= view < self.views_of(row), f"row {row} has no view {view}"
        return unpack(self.array[self._first[row] + view])

    def view(self, row: int, view: int) -> View:
        """Which part of the picture a view of a row shows."""
        return View(crop_of_view(self.ids[row], view, self.settings.view_crop, (1, 1)), mirrored=view % 2 == 1)

    @classmethod
    def of_training(
        cls, config: Config, database: Database, model: SiameseModel, precision: torch.dtype
    ) -> "FeatureCache":
        """The cache for a training with these settings; computes the features that are missing."""
        model.eval()
        # Also by one process: the bytes must not depend on a number of processes, and those of a sum on two threads do.
        on_cores = model.device.type == "cpu" and len(database) >= MANY
        by_jobs = config if config.engine == "ray" or on_cores else None
        encode = encoder(model, precision)
        return cls.open(database, model, config.data.side, config.backbone, encode, precision, by_jobs=by_jobs)

    @classmethod
    def open(
        cls,
        database: Database,
        model: SiameseModel,
        side: int,
        settings: BackboneConfig,
        encode: Encode,
        precision: torch.dtype,
        batch: int = BATCH,
        by_jobs: Config | None = None,
    ) -> "FeatureCache":
        """The cache of this backbone for this database. Missing features are computed, with a progress bar.

        encode: pictures (N, 3, side, side) of bytes -> features (N, C, h, w), on any device. by_jobs: the settings of
        a training; the features are then computed by its processes or its cluster. An interrupted computation is
        resumed. OSError if the disk has too little space.
        """
        folder = cls._place(database, model, side, settings, precision)
        folder.mkdir(parents=True, exist_ok=True)
        shape = tuple(encode(torch.zeros(1, 3, side, side, dtype=torch.uint8)).shape[1:])
        cache = cls(folder, first_entries(database, settings.views), shape, database.ids, settings)

        def computed(start: int) -> Features:
            if by_jobs is not None:
                yield from computed_by_jobs(by_jobs, database, model, precision, folder, start, len(cache))
                return

            def draw(row: int) -> Tensor:
                return draw_views(database, row, cache.views_of(row), side, settings.view_crop)

            with contextlib.closing(views_in_order(draw, cache._first, start, len(cache))) as views, torch.no_grad():
                for pictures in batches(views, batch):
                    yield encode(pictures).half().cpu().numpy()

        with filelock.FileLock(folder / "lock"):
            if not (folder / "features.npy").is_file():
                cache._fill(computed)
        return cache

    @classmethod
    def find(
        cls, database: Database, model: SiameseModel, side: int, settings: BackboneConfig, precision: torch.dtype
    ) -> "FeatureCache | None":
        """The complete cache that training with these settings has written, or None. Computes nothing."""
        folder = cls._place(database, model, side, settings, precision)
        if not (folder / "features.npy").is_file():
            return None
        array = _open_features(folder)
        shape = array.shape[1:] if array.dtype.names is None else array.dtype["features"].shape
        return cls(folder, first_entries(database, settings.views), shape, database.ids, settings)

    @staticmethod
    def _place(database: Database, model: SiameseModel, side: int, of: BackboneConfig, precision: torch.dtype) -> Path:
        splits = hashlib.sha256(" ".join(database.split_of).encode()).hexdigest()
        crops = of.view_crop if of.views > 2 else None
        settings: tuple = (database.picture_fingerprint, splits, PREPROCESSING, side, of.views, crops, str(precision))
        if of.cache != "float16":
            settings += (of.cache,)
        key = hashlib.sha256(repr(settings).encode() + hash_of_weights(model.backbone).encode()).hexdigest()[:16]
        return database.folder / "features" / key

    def _fill(self, computed: Callable[[int], Features]) -> None:
        """Write the features. computed: first entry that is missing -> the float16 features from there on, in order."""
        part, done_file = self.folder / "features.part.npy", self.folder / "done.txt"
        done = self._read_done(done_file) if part.is_file() and done_file.is_file() else 0
        kind = self.settings.cache
        size = len(self) * size_of_entry(kind, self._shape)
        self._check_space(size, part if done else None)
        tqdm.write(f"feature cache: {len(self):,} views of pictures, {size / 1e9:.2f} GB in {self.folder}")
        array = self._open_part(part, new=not done)
        self._check_layout(array)
        pace = Pace(-(-len(self) // BATCH))
        bar = tqdm(total=len(self), initial=done, desc="backbone features", unit=" pictures", smoothing=0.05)
        saved, parts = done, computed(done)
        with bar, contextlib.closing(parts):
            began = time.perf_counter()
            for features in parts:
                array[done : done + len(features)] = pack(features, kind)
                done += len(features)
                bar.update(len(features))
                if left := pace.after_step(time.perf_counter() - began, -(-done // BATCH)):
                    tqdm.write(f"about {duration(left)} for the feature cache")
                began = time.perf_counter()
                if done - saved >= SAVED_EVERY:
                    array.flush()
                    done_file.write_text(str(done))
                    saved = done
        array.flush()
        del array
        part.replace(self.folder / "features.npy")
        done_file.unlink(missing_ok=True)

    def _read_done(self, file: Path) -> int:
        """The number of entries that an interrupted computation has written."""
        text = file.read_text(errors="replace").strip()
        if not text.isdecimal() or int(text) > len(self):
            raise damaged(self.folder, f"{file.name} has {text[:20]!r}")
        return int(text)

    def _open_part(self, path: Path, new: bool) -> np.memmap:
        """The file of an unfinished cache, memory-mapped."""
        kind, shape = layout(len(self), self.settings.cache, self._shape)
        try:
            return np.lib.format.open_memmap(path, mode="w+" if new else "r+", dtype=kind, shape=shape)
        except ValueError as error:
            raise damaged(self.folder, str(error)) from error

    def _check_space(self, size: int, part: Path | None) -> None:
        """OSError if the disk has less space than the rest of the cache needs. part: the file of an interrupted run."""
        if not hasattr(os, "statvfs"):  # Windows
            return
        disk = os.statvfs(self.folder)
        free, needed = disk.f_bavail * disk.f_frsize, size - (part.stat().st_blocks * 512 if part else 0)
        if free >= needed:
            return
        ways = ["--backbone.views 1"] if self.settings.views > 1 else []
        if self.settings.cache == "float16":
            ways.insert(0, f"--backbone.cache int8 ({len(self) * size_of_entry('int8', self._shape) / 1e9:.1f} GB)")
        if self._shape[-1] > 7:
            ways.append("--backbone.grid 7")
        less = f"; to need less: {', '.join(ways)}" if ways else ""
        raise OSError(
            f"the feature cache needs {needed / 1e9:.1f} GB in {self.folder}, {free / 1e9:.1f} GB are free{less}"
        )


def size_of_entry(kind: str, shape: tuple[int, ...]) -> int:
    """Bytes of the features (C, h, w) of a view. kind: see `--backbone.cache`."""
    return entry_type(shape).itemsize if kind == "int8" else 2 * int(np.prod(shape))


def _open_features(folder: Path) -> np.ndarray:
    """The features in a folder, memory-mapped."""
    try:
        array = np.load(folder / "features.npy", mmap_mode="r")
        is_packed = array.dtype.names == ("scales", "features") and array.ndim == 1
        if not (is_packed or (array.dtype == np.float16 and array.ndim == 4)):
            raise ValueError("it holds no features")
        return array
    except (ValueError, EOFError, SyntaxError, KeyError, TypeError, OverflowError) as error:
        raise damaged(folder, str(error) or type(error).__name__) from error


def damaged(folder: Path, reason: str) -> ValueError:
    """The error of a damaged feature cache."""
    reason = " ".join(reason.split())[:200]
    return ValueError(f"the feature cache {folder} is damaged: {reason}; delete this folder, and it is computed again")


def entry_type(shape: tuple[int, ...]) -> np.dtype:
    """An entry in int8: the values, and a scale for each channel of the view."""
    return np.dtype([("scales", np.float16, shape[:1]), ("features", np.int8, shape)])


def layout(entries: int, kind: str, shape: tuple[int, ...]) -> tuple[np.dtype, tuple[int, ...]]:
    """Type and shape of the array of a cache: (entries, C, h, w) float16, or (entries,) of `entry_type`."""
    return (entry_type(shape), (entries,)) if kind == "int8" else (np.dtype(np.float16), (entries, *shape))


def pack(features: np.ndarray, kind: str) -> np.ndarray:
    """Features (n, C, h, w) in float16 as they are stored.

    int8: the largest value of a channel of a view is 127 times its scale. Half as large; what it changes in the figures
    is in docs/TRAINING.md.
    """
    if kind != "int8":
        return features
    values = torch.from_numpy(features).float()
    scales = (values.abs().amax((2, 3)) / LEVELS).half()
    exact = scales.float().clamp(min=torch.finfo(torch.float16).tiny)[:, :, None, None]
    packed = np.empty(len(features), dtype=entry_type(features.shape[1:]))
    packed["scales"] = scales.numpy()
    packed["features"] = (values / exact).round().clamp(-LEVELS, LEVELS).to(torch.int8).numpy()
    return packed


def unpack(entry: Any) -> Tensor:
    """Features (C, h, w) in float16 of an entry, see `pack`."""
    if entry.dtype.names is None:
        return torch.from_numpy(entry.copy())
    scales, values = (torch.from_numpy(entry[name].copy()) for name in ("scales", "features"))
    return (values.float() * scales.float()[:, None, None]).half()


def hash_of_weights(module: torch.nn.Module) -> str:
    """SHA-256 of a module's structure and every tensor in it."""
    digest = hashlib.sha256(repr(module).encode())
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
