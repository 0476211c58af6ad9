"""The features of a frozen backbone as jobs for several processes or a cluster, see `training.features`.

A job writes the features of some views to a file of its own; the process that fills the cache appends them in order.
So no two processes write to one file, which a file system of a cluster may not allow.
"""

import functools
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from Architectures import SiameseModel
from common import devices
from common.jobs import run_jobs
from common.storage import write_atomically
from Config import BackboneConfig, Config, ModelConfig
from DataBase_functions import Database
from training.views import draw_views, first_entries, views_in_order

VIEWS = 128  # of a unit: 10 s of a core with ResNet-50 at 320 pixels, and a file of 80 MB
BATCH = 32  # views that are encoded at once

Encode = Callable[[Tensor], Tensor]  # pictures (N, 3, side, side) of bytes -> features (N, C, h, w)


def encoder(model: SiameseModel, precision: torch.dtype) -> Encode:
    """The frozen backbone of a model, on its device."""

    @torch.no_grad()
    def encode(pictures: Tensor) -> Tensor:
        with devices.autocast(model.device, precision):
            return model.features(pictures.to(model.device).contiguous(memory_format=torch.channels_last))

    return encode


@dataclass(frozen=True)
class Source:
    """What all jobs of a cache have in common."""

    database: Database
    folder: Path  # of the weights and the units; absolute, since nodes of a cluster have other working directories
    backbone: BackboneConfig
    side: int
    precision: torch.dtype
    threads: int = 1
    gpu: bool = False


@dataclass(frozen=True)
class FeatureUnit:
    """A job: the features of the entries from `start` to `stop` of a cache, in float16, in a file of its own."""

    source: Source
    start: int
    stop: int

    @property
    def path(self) -> Path:
        return self.source.folder / f"{self.start:09d}-{self.stop:09d}.npy"

    def run(self) -> None:
        if self.path.is_file():  # of an interrupted run
            return
        source = self.source
        torch.set_num_threads(source.threads)
        encode, first = _opened(source)
        settings = source.backbone

        def draw(row: int) -> Tensor:
            return draw_views(source.database, row, int(first[row + 1] - first[row]), source.side, settings.view_crop)

        views = views_in_order(draw, first, self.start, self.stop, source.threads)
        parts = [encode(batch).half().cpu().numpy() for batch in batches(views)]
        write_atomically(self.path, lambda path: _save(path, np.concatenate(parts)))


def batches(views: Iterator[Tensor], size: int = BATCH) -> Iterator[Tensor]:
    """Views (3, side, side) -> batches (n, 3, side, side); the last one can be smaller."""
    some: list[Tensor] = []
    for view in views:
        some.append(view)
        if len(some) == size:
            yield torch.stack(some)
            some = []
    if some:
        yield torch.stack(some)


def _save(path: Path, features: NDArray[np.float16]) -> None:
    with path.open("wb") as file:  # given a path, numpy would append .npy to its name
        np.save(file, features)


@functools.lru_cache(maxsize=1)
def _opened(source: Source) -> tuple[Encode, NDArray[np.int64]]:
    """The encoder of these jobs, and the first entry of each row. Once for all jobs of a process."""
    model = SiameseModel(2, source.backbone, ModelConfig(), side=source.side).eval()
    model.backbone.load_state_dict(load_file(source.folder / "backbone.safetensors"))
    model.to(devices.choose_device("auto" if source.gpu else "cpu"))
    model.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return encoder(model, source.precision), first_entries(source.database, source.backbone.views)


def computed_by_jobs(
    config: Config, database: Database, model: SiameseModel, precision: torch.dtype, folder: Path, start: int, stop: int
) -> Iterator[NDArray[np.float16]]:
    """The features of the entries from `start` to `stop`, in order, some at a time.

    folder: of the cache; a folder in it holds the finished units, and is removed at the end. An interrupted computation
    uses them again.
    """
    folder = folder.resolve() / "units"
    folder.mkdir(exist_ok=True)
    weights = {name: value.detach().cpu().contiguous() for name, value in model.backbone.state_dict().items()}
    write_atomically(folder / "backbone.safetensors", lambda path: save_file(weights, path))
    source = Source(
        Database(database.folder.resolve()),
        folder,
        config.backbone,
        config.data.side,
        precision,
        config.task_cpus if config.engine == "ray" else 1,
        config.task_gpus > 0 and config.engine == "ray",
    )
    units = (FeatureUnit(source, at, min(at + VIEWS, stop)) for at in range(start, stop, VIEWS))
    for unit, _ in run_jobs(units, config.engine, config.workers, config.task_cpus, config.task_gpus):
        yield cast(NDArray[np.float16], np.load(unit.path))
        unit.path.unlink()
    shutil.rmtree(folder)
