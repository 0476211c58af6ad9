"""The table of benchmarks. Each one compares our way of doing something with the plain way; Benchmark.py runs them.

To add one: a function (work: Workspace) -> (ours, plain) in a file of this folder, and a line in BENCHMARKS. `ours` and
`plain` are callables that measure once; plain is None if there is nothing to compare with. A callable returns one
number, or a dict that begins with it and holds others beside it. Skip says why a benchmark cannot run here.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Measure = Callable[[], float | Mapping[str, float]]
Prepare = Callable[[Any], tuple[Measure, Measure | None]]  # takes a workspace.Workspace


class Skip(Exception):
    """This benchmark cannot run here; the message says why."""


class Benchmark(NamedTuple):
    """A line of the table."""

    unit: str
    better: str  # larger or smaller
    prepare: Prepare
    about: str  # our way | the plain way


def in_file(theme: str, name: str) -> Prepare:
    """The function of THEME.py. The file is imported when the function is called: --help needs no torch."""
    return lambda work: getattr(importlib.import_module(f"{__name__}.{theme}"), name)(work)


BENCHMARKS = {
    "build": Benchmark(
        "photographs/s",
        "larger",
        in_file("database", "build"),
        "Database_create.py | decode, pad to 224, PNG by `datasets`, nlp(caption); start-up included, all cores",
    ),
    "bytes": Benchmark(
        "bytes/photograph",
        "smaller",
        in_file("database", "size"),
        "the folder of the database without the plan: JPEG and parses | PNG of 224 x 224 and parses",
    ),
    "open": Benchmark(
        "s",
        "smaller",
        in_file("database", "opening"),
        "one opening after all imports: DataBase_functions.Database | datasets.load_from_disk",
    ),
    "loader": Benchmark(
        "samples/s",
        "larger",
        in_file("loader", "preset"),
        "preset finetune: augmented picture, 2 captions, 4 negatives | `datasets` row: resized picture, 1 caption",
    ),
    "loader-from-scratch": Benchmark(
        "samples/s",
        "larger",
        in_file("loader", "from_scratch"),
        "as loader, a process a core | the same by hand: PNG by `datasets`, PIL, nlp(caption), swap; a thread a core",
    ),
    "loader-plain-work": Benchmark(
        "samples/s",
        "larger",
        in_file("loader", "plain_work"),
        "the same work by both: Database.picture, prepare, text of 1 caption | `datasets` row as in loader",
    ),
    "negatives": Benchmark(
        "negatives/s",
        "larger",
        in_file("drawing", "negatives"),
        "one core: swaps drawn from the stored plan | nlp(caption) without ner, find_slots, one random swap",
    ),
    "memory": Benchmark(
        "MB",
        "smaller",
        in_file("database", "memory"),
        "peak of Database_create.py, its processes added up: all photographs | a quarter of them; 1 is no growth",
    ),
    "train-frozen": Benchmark(
        "pairs/s",
        "larger",
        in_file("training", "frozen"),
        "preset frozen, epochs on cached features | its step as written first, no cache; see plain_training",
    ),
    "train-finetune": Benchmark(
        "pairs/s",
        "larger",
        in_file("training", "finetune"),
        "preset finetune, all trained, 16 pictures a step: pictures at hand | its step as written first",
    ),
    "waiting": Benchmark(
        "% of an epoch",
        "smaller",
        in_file("training", "waiting"),
        "what training waits for its loader, preset frozen",
    ),
    "scoring": Benchmark(
        "pairs/s",
        "larger",
        in_file("judging", "scoring"),
        "preset finetune, 100 pictures and their texts: each encoded once, all_scores | pair by pair; "
        "MB of all cosines",
    ),
    "predict-one": Benchmark(
        "s from start to verdict",
        "smaller",
        in_file("judging", "one"),
        "Predict.py with the model that comes with it: a process, and in one that runs another text",
    ),
    "predict-pairs": Benchmark(
        "pairs/s",
        "larger",
        in_file("judging", "pairs"),
        "preset frozen, 60 picture files with 5 texts each: Judge.pairs of all | of one pair at a time",
    ),
    "predict-matrix": Benchmark(
        "pairs/s",
        "larger",
        in_file("judging", "matrix"),
        "preset frozen, 60 picture files with 300 texts: Judge.scores of all | of one picture and text at a time",
    ),
    "accumulation": Benchmark(
        "MB",
        "smaller",
        in_file("chunks", "accumulation"),
        "what a step of 128 pictures of 64 x 64 adds to memory, ResNet-50 trained, float32: in 8 chunks | at once",
    ),
}
