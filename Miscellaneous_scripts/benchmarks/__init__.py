"""The table of benchmarks. Each compares how this program does something ("ours") with a plain way to do it.

To add one, write a function (work: Workspace) -> (ours, plain) in a file of this folder, and add an entry to
BENCHMARKS. `ours` and `plain` are callables that measure once; `plain` is None if there is nothing to compare with.
A callable returns a number, or a dict whose first number is the measurement and whose others are printed below it.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Measure = Callable[[], float | Mapping[str, float]]
Prepare = Callable[[Any], tuple[Measure, Measure | None]]  # takes a workspace.Workspace


class Skip(Exception):
    """This benchmark cannot run here; the message says why."""


class Benchmark(NamedTuple):
    """One benchmark: how it is measured and printed."""

    unit: str
    better: str  # larger or smaller numbers
    prepare: Prepare
    about: str  # "our way | the plain way"


def in_file(theme: str, name: str) -> Prepare:
    """The function of THEME.py. The file is imported when the function is called: --help needs no torch."""
    return lambda work: getattr(importlib.import_module(f"{__name__}.{theme}"), name)(work)


BENCHMARKS = {
    "build": Benchmark(
        "photographs/s",
        "larger",
        in_file("database", "build"),
        "Database_create.py | decode, pad to 224, PNG by `datasets`, nlp(caption); with start-up, on all cores",
    ),
    "bytes": Benchmark(
        "bytes/photograph",
        "smaller",
        in_file("database", "size"),
        "size of the database without its plan: JPEG and parses | PNG of 224 x 224 and parses",
    ),
    "open": Benchmark(
        "s",
        "smaller",
        in_file("database", "opening"),
        "opening a database, imports not counted: DataBase_functions.Database | datasets.load_from_disk",
    ),
    "loader": Benchmark(
        "samples/s",
        "larger",
        in_file("loader", "preset"),
        "preset finetune: augmented picture, 2 captions, 4 negatives | row of `datasets`: resized picture, 1 caption",
    ),
    "loader-from-scratch": Benchmark(
        "samples/s",
        "larger",
        in_file("loader", "from_scratch"),
        "as loader, one process per core | the same written plainly: PNG by `datasets`, PIL, nlp(caption), a swap; "
        "one thread per core",
    ),
    "loader-plain-work": Benchmark(
        "samples/s",
        "larger",
        in_file("loader", "plain_work"),
        "the same work: Database.picture, prepare, text of 1 caption | row of `datasets` as in loader",
    ),
    "negatives": Benchmark(
        "negatives/s",
        "larger",
        in_file("drawing", "negatives"),
        "on one core: swaps drawn from the stored plan | nlp(caption) without ner, find_slots, one random swap",
    ),
    "memory": Benchmark(
        "MB",
        "smaller",
        in_file("database", "memory"),
        "peak memory of Database_create.py, sum of its processes: with all photographs | with a quarter of them "
        "(a ratio of 1: memory does not grow)",
    ),
    "train-frozen": Benchmark(
        "captions/s",
        "larger",
        in_file("training", "frozen"),
        "preset frozen, epochs on cached features | a plain training step without cache, see plain_training",
    ),
    "train-finetune": Benchmark(
        "captions/s",
        "larger",
        in_file("training", "finetune"),
        "preset finetune, all weights trained, 16 pictures per step, already loaded | a plain training step",
    ),
    "waiting": Benchmark(
        "% of an epoch",
        "smaller",
        in_file("training", "waiting"),
        "how long training waits for its loader, preset frozen",
    ),
    "scoring": Benchmark(
        "pairs/s",
        "larger",
        in_file("judging", "scoring"),
        "preset finetune, 100 pictures and their texts: each encoded once, then all_scores | pair by pair "
        "(MB: all cosines at once)",
    ),
    "predict-one": Benchmark(
        "s from start to verdict",
        "smaller",
        in_file("judging", "one"),
        "Predict.py with the shipped model: a new process; and the next text in a running process",
    ),
    "predict-pairs": Benchmark(
        "pairs/s",
        "larger",
        in_file("judging", "pairs"),
        "preset frozen, 60 picture files with 5 texts each: Judge.pairs of all | one pair at a time",
    ),
    "predict-matrix": Benchmark(
        "pairs/s",
        "larger",
        in_file("judging", "matrix"),
        "preset frozen, 60 picture files with 300 texts: Judge.scores of all | one pair at a time",
    ),
    "accumulation": Benchmark(
        "MB",
        "smaller",
        in_file("chunks", "accumulation"),
        "MB of a training step of ResNet-50 with 128 pictures of 64 x 64, float32: in 8 chunks | at once",
    ),
}
