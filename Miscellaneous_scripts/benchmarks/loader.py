"""Batches for training: ours | rows of `datasets`, or the same content written plainly."""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from datasets import load_from_disk
from PIL import Image

from common.padding import pad
from common.vision import import_torchvision
from Config import PRESETS, AugmentConfig, DataConfig, usable_cores
from DataBase_functions import Database, EpochSampler, PairDataset, make_loader, prepare
from Miscellaneous_scripts.benchmarks import Measure
from Miscellaneous_scripts.benchmarks.drawing import plain_swaps
from Miscellaneous_scripts.benchmarks.plain_build import PLAIN_SIZE
from Miscellaneous_scripts.benchmarks.workspace import Workspace
from Tokenizer_lib import Tokenizer

FROM_SCRATCH = 128  # photographs that the plain loader reads; ours reads all


def preset(work: Workspace) -> tuple[Measure, Measure]:
    data, order = batches_of(work)
    return rate_of(our_batches(work, data)), rate_of(plain_batches(work, order))


def from_scratch(work: Workspace) -> tuple[Measure, Measure]:
    data, _ = batches_of(work)
    shared = replace(data, workers=usable_cores())
    return rate_of(our_batches(work, shared)), rate_of(batches_from_scratch(work, data))


def plain_work(work: Workspace) -> tuple[Measure, Measure]:
    data, order = batches_of(work)
    database = Database(work.database("ours"))

    def ours() -> Iterator[int]:
        texts = database.table.column("captions")
        for rows in order:
            batch = torch.stack([prepare(database.picture(row), data.side) for row in rows])
            yield len(batch) * all(texts[row][0]["text"].as_py() for row in rows)

    return rate_of(ours), rate_of(plain_batches(work, order))


def rate_of(batches: Callable[[], Iterable[int]]) -> Measure:
    """Measures samples per second of one pass. An earlier pass does the imports and fills the page cache."""
    sum(batches())

    def rate() -> float:
        start = time.perf_counter()
        return sum(batches()) / (time.perf_counter() - start)

    return rate


def batches_of(work: Workspace) -> tuple[DataConfig, list[list[int]]]:
    """The data settings of the preset finetune, without loader processes and with batches of 32; rows of each batch."""
    torch.set_num_threads(1)  # as in a loader process
    data = replace(PRESETS["finetune"][1].data, workers=0, batch_pictures=32)
    rows = Database(work.database("ours")).rows("train")
    return data, [[key.row for key in keys] for keys in EpochSampler(rows, data.batch_pictures, seed=0, shuffle=True)]


def our_batches(work: Workspace, data: DataConfig) -> Callable[[], Iterator[int]]:
    """The loader of the preset finetune. The first pass starts its processes; they are used again."""
    database, settings = Database(work.database("ours")), PRESETS["finetune"][1]
    tokenizer = Tokenizer.build(database.word_counts, data.min_count)
    pairs = PairDataset(database, tokenizer, data, settings.negatives, settings.augment, seed=0)

    loader, _ = make_loader(pairs, database.rows("train"), 0, shuffle=True, device=torch.device("cpu"))
    return lambda: (len(batch.rows) for batch in loader)


def batches_from_scratch(work: Workspace, data: DataConfig) -> Callable[[], Iterator[int]]:
    """The same content as `our_batches`, written plainly: all that is stored are PNG pictures of the right size."""
    allowed, settings = Database(work.database("ours")).word_counts, PRESETS["finetune"][1]
    tokenizer, swaps = Tokenizer.build(allowed, data.min_count), plain_swaps(work.pipeline, allowed)
    stored = load_from_disk(str(work.database("plain")))
    captions = [[caption["text"] for caption in row] for row in stored["captions"]]
    pictures = stored.select_columns("image")  # this way does not use the stored parses
    change, rng = plain_augmentation(settings.augment, data.side), random.Random(0)

    def sample(row: int) -> tuple[torch.Tensor, list[list[int]]]:
        texts = []
        for caption in rng.sample(captions[row], min(data.captions_per_picture, len(captions[row]))):
            drawn = swaps(caption, rng, settings.negatives.per_caption)
            texts += [caption, *(negative.text for negative in drawn)]
        return change(pictures[row]["image"]), [tokenizer.encode(text, data.max_words) for text in texts]

    def batches() -> Iterator[int]:
        rows = range(min(len(captions), FROM_SCRATCH))
        with ThreadPoolExecutor(usable_cores()) as pool:
            for start in range(0, len(rows), data.batch_pictures):
                samples = list(pool.map(sample, rows[start : start + data.batch_pictures]))
                pad([text for _, texts in samples for text in texts])
                yield len(torch.stack([picture for picture, _ in samples]))

    return batches


def plain_augmentation(augment: AugmentConfig, side: int) -> Callable[[Image.Image], torch.Tensor]:
    """The augmentation of training with torchvision: PIL picture -> bytes (3, side, side)."""
    import_torchvision()
    from torchvision.transforms import v2

    return v2.Compose(
        [
            v2.RandomResizedCrop(side, scale=(augment.crop, 1.0), ratio=(0.9, 1.1)),
            v2.RandomHorizontalFlip(augment.flip),
            v2.ColorJitter(augment.jitter, augment.jitter, augment.jitter),
            v2.RandomGrayscale(augment.grey),
            v2.RandomApply([v2.GaussianBlur(9, (0.1, 2.0))], augment.blur),
            v2.PILToTensor(),
        ]
    )


def plain_batches(work: Workspace, order: Sequence[Sequence[int]]) -> Callable[[], Iterator[int]]:
    """Our database, read by `datasets` row by row, which decodes its Image column."""
    dataset: Any = load_from_disk(str(work.database("ours")))

    def batches() -> Iterator[int]:
        for rows in order:
            pictures, texts = [], []
            for row in rows:
                photograph = dataset[row]
                picture = photograph["image"].convert("RGB").resize(PLAIN_SIZE, Image.Resampling.BICUBIC)
                pictures.append(torch.from_numpy(np.array(picture)).permute(2, 0, 1))
                texts.append(photograph["captions"][0]["text"])
            yield len(torch.stack(pictures)) * all(texts)

    return batches
