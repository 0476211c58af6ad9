"""Measure what a model has seen: its `World`, from the pictures of the database that it was trained on."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from Architectures import SiameseModel
from common import devices
from common.augment import prepare
from common.jobs import progress
from common.world import World, pool
from DataBase_functions import Database
from evaluation.scoring import PICTURES, autocast
from sources.manifest import name_pictures
from training.checkpoints import LoadedModel
from training.features import FeatureCache

MOST = 3000  # pictures of a split; drawn scenes take 4 ms each on a CPU core, ResNet-50 90 ms if nothing is cached


def make_world(loaded: LoadedModel, database: Database) -> World:
    """What the model has seen; database: the one that it was trained on."""
    train, validation = (pooled_features(loaded, database, split) for split in ("train", "validation"))
    count, pictures = len(database.rows("train")), name_pictures(database.manifest)
    return World.measure(train, validation, pictures, count, loaded.threshold.epoch).to(loaded.model.device)


@torch.no_grad()
def pooled_features(loaded: LoadedModel, database: Database, split: str) -> Tensor:
    """Pooled features (N, C) of the pictures of a split, at most MOST of them, on the CPU."""
    model = loaded.model
    assert isinstance(model, SiameseModel), "a bundle has its world already"
    rows = database.rows(split)
    rows = sorted(np.random.default_rng(0).permutation(rows)[:MOST].tolist())
    found = []
    batches = features_of(loaded, database, rows)
    for batch in progress(batches, f"{split} pictures", " batches", -(-len(rows) // PICTURES)):
        with autocast(loaded):
            features = model.features(batch) if batch.dtype == torch.uint8 else batch
        found.append(pool(features).cpu())
    return torch.cat(found)


def features_of(loaded: LoadedModel, database: Database, rows: Sequence[int]) -> Iterator[Tensor]:
    """Batches of cached features (n, C, h, w) if a frozen backbone has them, else of pictures (n, 3, side, side)."""
    config, model = loaded.config, loaded.model
    assert isinstance(model, SiameseModel)
    cache, side = None, config.data.side
    if config.backbone.frozen:
        precision = devices.choose_precision(config.precision, model.device)
        cache = FeatureCache.find(database, model, side, config.backbone, precision)
    for start in range(0, len(rows), PICTURES):
        some = rows[start : start + PICTURES]
        one = [prepare(database.picture(row), side) if cache is None else cache.read(row) for row in some]
        batch = torch.stack(one).to(model.device)
        yield batch.contiguous(memory_format=torch.channels_last) if cache is None else batch
