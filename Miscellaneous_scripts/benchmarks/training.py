"""Steps and epochs of training: ours | a plain training step (plain_training.py)."""

import contextlib
import io
import itertools
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import Main_train
from Miscellaneous_scripts.benchmarks import Measure
from Miscellaneous_scripts.benchmarks.plain_training import plain_training
from Miscellaneous_scripts.benchmarks.workspace import Workspace

LAPTOP_BATCH = 16  # pictures of a step that trains ResNet-50: 2 GB in float32, and 4 GB for the plain step


def frozen(work: Workspace) -> tuple[Measure, Measure]:
    config = work.config("frozen")
    work.plan()
    shutil.rmtree(config.data.folder / "features", ignore_errors=True)
    start = time.perf_counter()
    work.start(config)
    middle = time.perf_counter()
    run = work.start(config)  # the same again, with the cache made
    cache_seconds = middle - start - (time.perf_counter() - middle)
    cached = len(run.train_loader.dataset.features)
    epochs = itertools.count()
    plain_rate = plain_training(run)

    def ours() -> dict[str, float]:
        seconds, captions = epoch_of(run, next(epochs))
        planned = config.optim.epochs
        return {
            "captions/s": captions / seconds,
            f"captions/s, cache and {planned} epochs": planned * captions / (planned * seconds + cache_seconds),
            "pictures/s of making the cache": cached / cache_seconds,
        }

    def plain() -> dict[str, float]:
        rate = plain_rate()
        in_epochs = cache_seconds * rate / run.progress.captions
        return {"captions/s": rate, "plain epochs in the time of the cache": in_epochs}

    ours()  # starts the processes of the loader
    return ours, plain


def finetune(work: Workspace) -> tuple[Measure, Measure]:
    config = work.config("finetune")
    config = replace(
        config,
        data=replace(config.data, batch_pictures=LAPTOP_BATCH, workers=0),
        backbone=replace(config.backbone, unfreeze_epoch=0),
        optim=replace(config.optim, accumulation=1),
    )
    run = work.start(config)
    in_two = replace(run, config=replace(config, optim=replace(config.optim, accumulation=2)))
    run.model.train()
    run.model.backbone.requires_grad_(True)
    batch = next(iter(run.train_loader))

    def rate(run: Any) -> float:
        start = time.perf_counter()
        float(Main_train.train_step(run, batch))  # waits for a GPU
        return len(batch.owner) / (time.perf_counter() - start)

    plain = plain_training(run)
    rate(run), rate(in_two), plain()
    return lambda: {"captions/s": rate(run), "captions/s in 2 chunks": rate(in_two)}, plain


def waiting(work: Workspace) -> tuple[Measure, None]:
    run = work.start(work.config("frozen"))
    run.train_loader = timed = TimedLoader(run.train_loader)
    ready = list(timed)
    epochs = itertools.count()

    def ours() -> dict[str, float]:
        seconds, _ = epoch_of(run, next(epochs))
        first, *others = timed.seconds
        start = time.perf_counter()
        for batch in ready:
            float(Main_train.train_step(run, batch))
        steps = time.perf_counter() - start
        return {
            "% of an epoch": 100 * sum(timed.seconds) / seconds,
            "% without its first batch": 100 * sum(others) / (seconds - first),
            # The loader costs more than the waiting: its process uses a core and memory bandwidth.
            "% slower than with loaded batches": 100 * (1 - steps / seconds),
            "batches": len(ready),
        }

    ours()
    return ours, None


class TimedLoader:
    """A loader that measures the waiting time for each batch of its last pass."""

    def __init__(self, loader: Any):
        self.loader = loader
        self.seconds: list[float] = []

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        start, self.seconds = time.perf_counter(), []
        for batch in self.loader:
            self.seconds.append(time.perf_counter() - start)
            yield batch
            start = time.perf_counter()


def epoch_of(run: Any, epoch: int) -> tuple[float, int]:
    """(seconds, captions) of an epoch of training without validation."""
    run.progress = Main_train.Progress(epoch)
    with contextlib.redirect_stderr(io.StringIO()):  # no progress bar
        start = time.perf_counter()
        Main_train.train_epoch(run)
        return time.perf_counter() - start, run.progress.captions
