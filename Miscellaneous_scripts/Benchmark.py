"""Measure our way against the plain way of doing the same thing, in turns, and tell the medians.

    python Miscellaneous_scripts/Benchmark.py                        everything, on pictures that it draws itself
    python Miscellaneous_scripts/Benchmark.py build --photos DIR     one benchmark, on photographs of Flickr8k

Machines are noisy and shared: the two ways take turns (A B A B ...), so that what slows one slows the other. Beside
each median stand the smallest and the largest number; the ratio is that of the medians.

A benchmark is a function that prepares two callables, ours and the plain one (None if there is none); its docstring is
its help. A callable returns one number, or a dict that begins with it and tells others beside it (of these the other
way may have none). Skip says that it cannot run here.

Training is measured with a ResNet-50 of random weights: its speed does not depend on them.
"""

import argparse
import contextlib
import functools
import gc
import importlib.metadata
import io
import itertools
import math
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from PIL import Image, ImageOps

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common import devices
from Config import PRESETS, BackboneConfig, Config, NegativesConfig, fail, from_json, to_json, usable_cores
from sources.scenes import draw, make_scene, write_captions

HERE = Path(__file__).resolve().parent
PICTURES, CAPTIONS = "Flicker8k_Dataset", "Flickr8k.token.txt"
TRAINING, DEVELOPMENT = "Flickr_8k.trainImages.txt", "Flickr_8k.devImages.txt"
PLAIN_SIZE = (224, 224)  # what an ImageNet backbone takes
PLAIN_WORDS = 224  # to which the plain way pads every text
POLL = 0.1  # seconds between two looks at the memory of all processes; a look takes 2 ms
LEAST_FOR_DIFFERENCE = 200  # photographs; fewer are built in the seconds by which start-up varies
OPENINGS = 20  # in one turn: a single one takes milliseconds
PARSED = 1000  # captions that the plain way to a negative takes, evenly over all; ours takes all
DRAWING = 1.0  # seconds at least of one reading of negatives
FROM_SCRATCH = 128  # photographs that the plain loader reads; ours reads all
LAPTOP_BATCH = 16  # pictures of a step that trains ResNet-50: in float32 they take 2 GB, and twice that plainly
SCORED = 100  # photographs, each with all texts of all; their number decides how much encoding each once saves
PLAIN_PAIRS = 24  # that the plain way scores
PREDICTED = 60  # pictures that a judge is given
WARM_TEXTS = tuple(f"A {colour} umbrella on a beach." for colour in ("red", "blue", "green", "yellow", "white") * 4)
WHOLE_BATCH, CHUNKS, CHUNKED_SIDE = 128, 8, 64  # of the step whose memory is measured

Measure = Callable[[], float | Mapping[str, float]]


class Skip(Exception):
    """This benchmark cannot run here; the message says why."""


class Benchmark(NamedTuple):
    unit: str
    better: str  # larger or smaller
    prepare: "Callable[[Workspace], tuple[Measure, Measure | None]]"


BENCHMARKS: dict[str, Benchmark] = {}


def benchmark(name: str, unit: str, better: str) -> Callable[[Callable], Callable]:
    """Enter the function below in the table of benchmarks."""

    def enter(prepare: Callable) -> Callable:
        BENCHMARKS[name] = Benchmark(unit, better, prepare)
        return prepare

    return enter


@benchmark("build", "photographs/s", better="larger")
def building(work: "Workspace") -> tuple[Measure, Measure]:
    """Database_create.py | decode, pad to 224, PNG by `datasets`, nlp(caption); start-up included, all cores"""
    for way in ("ours", "plain"):
        work.build(way, 8)  # reads the libraries from the disk

    def rates(way: str) -> dict[str, float]:
        seconds, _ = work.build(way, work.count)
        rate = {"photographs/s": work.count / seconds}
        if work.count >= LEAST_FOR_DIFFERENCE:
            # The difference of two builds has no start-up in it: what a large build comes to.
            rate["start-up apart"] = (work.count - work.quarter) / (seconds - work.build(way, work.quarter)[0])
        return rate

    return lambda: rates("ours"), lambda: rates("plain")


@benchmark("bytes", "bytes/photograph", better="smaller")
def size_on_disk(work: "Workspace") -> tuple[Measure, Measure]:
    """the folder of the database without the plan: JPEG and parses | PNG of 224 x 224 and parses"""

    def size(way: str) -> float:
        folder = work.database(way)
        return (bytes_of(folder) - bytes_of(folder / "negatives")) / work.count

    return lambda: size("ours"), lambda: size("plain")


@benchmark("open", "s", better="smaller")
def opening(work: "Workspace") -> tuple[Measure, Measure]:
    """one opening after all imports: DataBase_functions.Database | datasets.load_from_disk"""
    from datasets import load_from_disk

    from DataBase_functions import Database

    def seconds(open_one: Callable[[Any], object], folder: Path | str) -> float:
        start = time.perf_counter()
        for _ in range(OPENINGS):
            open_one(folder)
        return (time.perf_counter() - start) / OPENINGS

    ours, plain = work.database("ours"), str(work.database("plain"))
    load_from_disk(plain)  # the first one imports more
    return lambda: seconds(Database, ours), lambda: seconds(load_from_disk, plain)


@benchmark("loader", "samples/s", better="larger")
def loading(work: "Workspace") -> tuple[Measure, Measure]:
    """preset finetune: augmented picture, 2 captions, 4 negatives | `datasets` row: resized picture, 1 caption"""
    data, order = batches_of(work)
    return rate_of(our_batches(work, data)), rate_of(plain_batches(work, order))


@benchmark("loader-from-scratch", "samples/s", better="larger")
def loading_from_scratch(work: "Workspace") -> tuple[Measure, Measure]:
    """as loader, a process a core | the same by hand: PNG by `datasets`, PIL, nlp(caption), swap; a thread a core"""
    data, _ = batches_of(work)
    shared = replace(data, workers=usable_cores())
    return rate_of(our_batches(work, shared)), rate_of(batches_from_scratch(work, data))


@benchmark("loader-plain-work", "samples/s", better="larger")
def loading_plain_work(work: "Workspace") -> tuple[Measure, Measure]:
    """the same work by both: Database.picture, prepare, text of 1 caption | `datasets` row as in loader"""
    import torch

    from DataBase_functions import Database, prepare

    data, order = batches_of(work)
    database = Database(work.database("ours"))

    def ours() -> Iterator[int]:
        texts = database.table.column("captions")
        for rows in order:
            batch = torch.stack([prepare(database.picture(row), data.side) for row in rows])
            yield len(batch) * all(texts[row][0]["text"].as_py() for row in rows)

    return rate_of(ours), rate_of(plain_batches(work, order))


@benchmark("negatives", "negatives/s", better="larger")
def drawing_negatives(work: "Workspace") -> tuple[Measure, Measure]:
    """one core: swaps drawn from the stored plan | nlp(caption) without ner, find_slots, swap of the fresh parse"""
    import torch

    from DataBase_functions import Database
    from Negative_map import Plan
    from negatives.edits import swap
    from negatives.slots import find_slots
    from negatives.text import Negative, Parse

    torch.set_num_threads(1)
    folder = work.database("ours")
    nlp, allowed = load_once(work.pipeline, exclude=("ner",)), Database(folder).word_counts
    turns = itertools.count()

    def rate(draw: Callable[[Any, random.Random], Negative | None], captions: Sequence[Any]) -> float:
        """Negatives a second, in whole passes over the captions; those that chance gives none take their time too."""
        rng, drawn, start = random.Random(next(turns)), 0, time.perf_counter()
        while (seconds := time.perf_counter() - start) < DRAWING:
            drawn += sum(draw(caption, rng) is not None for caption in captions)
        return drawn / seconds

    def ours() -> dict[str, float]:
        # A new plan in each turn: the time that it takes is told too, and nothing of an earlier turn is left.
        shutil.rmtree(folder / "negatives", ignore_errors=True)
        database, start = Database(folder), time.perf_counter()
        plan, mixture = Plan.open(database), NegativesConfig()
        seconds, captions = time.perf_counter() - start, range(len(plan))

        def rate_of_kind(kind: str) -> float:
            some = [caption for caption in captions if plan.has(kind, caption)]
            return rate(functools.partial(plan.draw_kind, kind), some)

        return {
            "negatives/s": rate_of_kind("swap"),
            "exchanges/s": rate_of_kind("exchange"),
            "mined/s": rate_of_kind("mined"),
            "mixture/s": rate(lambda caption, rng: plan.draw(caption, rng, mixture), captions),
            "s for a plan of 1,000": 1000 * seconds / len(plan),
            "bytes of it a caption": bytes_of(plan.folder) / len(plan),
        }

    def plain_swap(caption: str, rng: random.Random) -> Negative | None:
        parse = Parse.from_doc(nlp(caption))
        return swap(parse, find_slots(parse), rng, allowed=allowed)

    plan = Plan.open(Database(folder))
    count = min(PARSED, len(plan))
    parsed = [plan.text(n * len(plan) // count) for n in range(count)]
    rate(plain_swap, parsed[:100])  # reads the vocabulary
    return ours, lambda: {"negatives/s": rate(plain_swap, parsed)}


@benchmark("memory", "MB", better="smaller")
def memory(work: "Workspace") -> tuple[Measure, Measure]:
    """peak of Database_create.py, its processes added up: all photographs | a quarter of them; 1 is no growth"""
    if not Path("/proc/self/status").is_file():
        raise Skip("memory is read from /proc, which this system does not have")

    def peak(count: int) -> dict[str, float]:
        _, peaks = work.build("ours", count, watch=True)
        return {"MB": sum(peaks), "MB, largest process": max(peaks)}

    return lambda: peak(work.count), lambda: peak(work.quarter)


@benchmark("train-frozen", "pairs/s", better="larger")
def training_frozen(work: "Workspace") -> tuple[Measure, Measure]:
    """preset frozen, epochs on cached features | its step as written first, the backbone anew; see plain_training"""
    config = work.config("frozen")
    work.plan()
    shutil.rmtree(config.data.folder / "features", ignore_errors=True)
    start = time.perf_counter()
    work.start(config)
    middle = time.perf_counter()
    run = work.start(config)  # the same again, but for the cache
    cache_seconds = middle - start - (time.perf_counter() - middle)
    cached = math.prod(run.train_loader.dataset.features.array.shape[:-3])
    epochs = itertools.count()
    plain_rate = plain_training(run)

    def ours() -> dict[str, float]:
        seconds, pairs = epoch_of(run, next(epochs))
        planned = config.optim.epochs
        return {
            "pairs/s": pairs / seconds,
            f"pairs/s in {planned} epochs and the cache": planned * pairs / (planned * seconds + cache_seconds),
            "pictures/s of the cache": cached / cache_seconds,
        }

    def plain() -> dict[str, float]:
        rate = plain_rate()
        return {"pairs/s": rate, "its epochs that the cache takes": cache_seconds * rate / run.progress.pairs}

    ours()  # starts the loader's processes
    return ours, plain


@benchmark("train-finetune", "pairs/s", better="larger")
def training_finetune(work: "Workspace") -> tuple[Measure, Measure]:
    """preset finetune, all trained, 16 pictures a step: pictures at hand | its step as written first"""
    import Main_train

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
    return lambda: {"pairs/s": rate(run), "pairs/s in 2 chunks": rate(in_two)}, plain


@benchmark("waiting", "% of an epoch", better="smaller")
def waiting(work: "Workspace") -> tuple[Measure, None]:
    """what training waits for its loader, preset frozen"""
    import Main_train

    run = work.start(work.config("frozen"))
    run.train_loader = timed = TimedLoader(run.train_loader)  # type: ignore[assignment]
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
            # Waiting is not all: a loader's process takes a core, or a part of its memory's speed, from the training.
            "% against batches at hand": 100 * (1 - steps / seconds),
            "batches": len(ready),
        }

    ours()
    return ours, None


@benchmark("scoring", "pairs/s", better="larger")
def scoring(work: "Workspace") -> tuple[Measure, Measure]:
    """preset finetune, 100 pictures and their texts: each encoded once, all_scores | pair by pair; MB of all cosines"""
    import torch

    from Architectures import SiameseModel
    from DataBase_functions import Database, pad, prepare
    from Tokenizer_lib import Tokenizer

    config, database = work.config("finetune"), Database(work.database("ours"))
    device = devices.choose_device(config.device)
    precision = devices.choose_precision(config.precision, device)
    tokenizer = Tokenizer.build(database.word_counts, config.data.min_count)
    model = SiameseModel(len(tokenizer), config.backbone, config.model).to(device).eval()
    model.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rows = range(min(len(database), SCORED))
    texts = [caption.text for row in rows for caption in database.captions(row)]
    words = pad([tokenizer.encode(text, config.data.max_words) for text in texts]).to(device)
    pictures = torch.stack([prepare(database.picture(row), config.data.side) for row in rows]).to(device)
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    pairs = len(pictures) * len(words)

    def encode(some: torch.Tensor) -> torch.Tensor:
        return torch.cat([model.encode_pictures(part) for part in some.split(32)])

    @torch.no_grad()
    def ours() -> dict[str, float]:
        start = time.perf_counter()
        with devices.autocast(device, precision):
            patches, vectors = encode(pictures), model.encode_texts(words)
        middle = time.perf_counter()
        scores, growth = watched(lambda: model.all_scores(patches, vectors).cpu(), device)
        end = time.perf_counter()
        rates = {"pairs/s": scores.numel() / (end - start), "pairs/s of the scores": scores.numel() / (end - middle)}
        return rates | ({} if growth is None else {"MB of the scores": growth})

    @torch.no_grad()
    def plain() -> dict[str, float]:
        start = time.perf_counter()
        for pair in range(PLAIN_PAIRS):
            n, t = pair * len(pictures) // PLAIN_PAIRS, pair * len(words) // PLAIN_PAIRS
            with devices.autocast(device, precision):
                patches, vectors = encode(pictures[n : n + 1]), model.encode_texts(words[t : t + 1])
            float(model.pair_scores(patches, vectors))  # waits for a GPU
        rate = PLAIN_PAIRS / (time.perf_counter() - start)
        return {"pairs/s": rate, "MB of the scores": 4 * pairs * patches.shape[1] * words.shape[1] / 1e6}

    ours(), plain()
    return ours, plain


@benchmark("predict-one", "s from start to verdict", better="smaller")
def predicting_one(work: "Workspace") -> tuple[Measure, None]:
    """Predict.py with the model that comes with it: a process, and in one that runs another text"""
    from judging.judge import Judge
    from Predict import EXAMPLE, SHIPPED

    command = [sys.executable, "Predict.py", "--model", SHIPPED]
    judge, example = Judge.load(SHIPPED), EXAMPLE[0]

    def ours() -> dict[str, float]:
        start = time.perf_counter()
        done = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.DEVNULL)
        if done.returncode not in (0, 1):  # 1 is a mismatch
            raise OSError(f"Predict.py ended with status {done.returncode}")
        middle = time.perf_counter()
        for text in WARM_TEXTS:
            judge.check(example, text)
        warm = (time.perf_counter() - middle) / len(WARM_TEXTS)
        return {"s from start to verdict": middle - start, "ms of the next verdict": 1000 * warm}

    judge.check(example, WARM_TEXTS[0])
    return ours, None


@benchmark("predict-pairs", "pairs/s", better="larger")
def predicting_pairs(work: "Workspace") -> tuple[Measure, Measure]:
    """preset frozen, 60 picture files with 5 texts each: Judge.pairs of all | of one pair at a time"""
    judge, files, texts = work.judge("frozen", PREDICTED)
    pictures = [file for file, some in zip(files, texts) for _ in some]
    every = [text for some in texts for text in some]
    some = range(0, len(every), max(1, len(every) // PLAIN_PAIRS))

    def ours() -> float:
        start = time.perf_counter()
        judge.pairs(pictures, every)
        return len(every) / (time.perf_counter() - start)

    def plain() -> float:
        start = time.perf_counter()
        for i in some:
            judge.pairs([pictures[i]], [every[i]])
        return len(some) / (time.perf_counter() - start)

    judge.pairs(pictures[:1], every[:1])
    return ours, plain


@benchmark("predict-matrix", "pairs/s", better="larger")
def predicting_matrix(work: "Workspace") -> tuple[Measure, Measure]:
    """preset frozen, 60 picture files with 300 texts: Judge.scores of all | of one picture and text at a time"""
    judge, files, texts = work.judge("frozen", PREDICTED)
    every = [text for some in texts for text in some]

    def ours() -> float:
        start = time.perf_counter()
        return judge.scores(files, every).size / (time.perf_counter() - start)

    def plain() -> float:
        start = time.perf_counter()
        for pair in range(PLAIN_PAIRS):
            judge.scores([files[pair % len(files)]], [every[-1 - pair % len(every)]])
        return PLAIN_PAIRS / (time.perf_counter() - start)

    judge.scores(files[:1], every[:1])
    return ours, plain


@benchmark("accumulation", "MB", better="smaller")
def accumulating(work: "Workspace") -> tuple[Measure, Measure]:
    """what a step of 128 pictures of 64 x 64 adds to memory, ResNet-50 trained, float32: in 8 chunks | at once"""
    from safetensors.torch import load_file

    config = work.config("finetune")
    config = replace(
        config,
        precision="float32",
        data=replace(
            config.data, side=CHUNKED_SIDE, batch_pictures=WHOLE_BATCH, captions_per_picture=1, min_count=1, workers=0
        ),
        negatives=replace(config.negatives, per_caption=1),
        model=replace(config.model, dropout=0.0),  # its masks would differ
    )
    work.plan()

    def step(chunks: int) -> dict[str, float]:
        target = work.folder / f"step-{chunks}"
        target.mkdir(exist_ok=True)
        (target / "config.json").write_text(to_json(config), encoding="utf-8")
        code = "import sys, Benchmark; Benchmark.one_step(*sys.argv[1:])"
        run([sys.executable, "-c", code, str(target), str(chunks)], target / "log.txt", watch=False)
        told = (target / "told.txt").read_text().split()
        if not told:
            raise Skip("the memory of a step is read from /proc or of a GPU; this system has neither")
        return {"MB": float(told[0]), "s": float(told[1])}

    step(1)
    whole = load_file(work.folder / "step-1" / "gradients.safetensors")

    def ours() -> dict[str, float]:
        reading = step(CHUNKS)
        parts = load_file(work.folder / f"step-{CHUNKS}" / "gradients.safetensors")
        largest = max(float((parts[name] - one).abs().max() / one.abs().max()) for name, one in whole.items())
        return {**reading, "largest relative difference": largest}

    return ours, lambda: step(1)


def one_step(folder: str, chunks: str) -> None:
    """In a process of its own: the gradients of one batch; they are written to the folder, with MB and seconds."""
    import torch
    from safetensors.torch import save_file

    import Functions
    import Main_train
    from DataBase_functions import Key

    run: Any = Main_train.build_run(from_json((Path(folder) / "config.json").read_text(encoding="utf-8")))
    run.model.train()
    run.model.backbone.requires_grad_(True)
    dataset, rows = run.train_loader.dataset, run.train_sampler.rows
    # Few rows come several times.
    keys = [Key(n // len(rows), rows[n % len(rows)]) for n in range(run.config.data.batch_pictures)]
    batch = Main_train.to_device(dataset.__getitems__(keys), run.device)

    def loss(patches: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        return Functions.total_loss(run.model, patches, words, batch.texts, run.config.loss)

    def step() -> float:
        start = time.perf_counter()
        encoders = [(run.encode_pictures, batch.pictures), (run.encode_texts, batch.words)]
        float(Functions.backward_in_chunks(encoders, loss, int(chunks)))  # waits for a GPU
        return time.perf_counter() - start

    seconds, growth = watched(step, run.device)
    gradients = {
        name: weight.grad.cpu().contiguous()
        for name, weight in run.model.named_parameters()
        if weight.grad is not None and torch.count_nonzero(weight.grad)
    }
    save_file(gradients, Path(folder) / "gradients.safetensors")
    (Path(folder) / "told.txt").write_text("" if growth is None else f"{growth} {seconds}")


def watched(work: Callable[[], Any], device: Any) -> tuple[Any, float | None]:
    """What a callable returns, and by how many MB it raised the memory at most: of the GPU, or of this process.

    None where neither can be read.
    """
    import torch

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        allocated = torch.cuda.memory_allocated(device)
        result = work()
        return result, (torch.cuda.max_memory_allocated(device) - allocated) / 1e6
    gc.collect()  # garbage that went meanwhile would be taken off what the work holds
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins at what is held now
    except OSError:
        return work(), None
    before = peak_of(Path("/proc/self"))
    result = work()
    return result, max(0.0, peak_of(Path("/proc/self")) - before)


class TimedLoader:
    """A loader that notes how long each of its last pass's batches was waited for."""

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
    """Seconds of an epoch of training, without its validation, and its captions."""
    import Main_train

    run.progress = Main_train.Progress(epoch)
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
        start = time.perf_counter()
        Main_train.train_epoch(run)
        return time.perf_counter() - start, run.progress.pairs


def plain_training(run: Any) -> Callable[[], float]:
    """The step of a run as it is written first: a callable that makes one and tells the pairs a second.

    Float32 and contiguous; the backbone in every step, also if it is frozen; each picture as it is stored and
    augmented; an LSTM over PLAIN_WORDS words of every text; all cosines of the batch in one tensor. The batch, the
    widths, the losses and AdamW are those of the run. What loading takes is left out, which favours it.
    """
    import torch
    import torch.nn.functional as F
    from torch import Tensor, nn

    import Functions
    from Architectures import ScoreParts, SiameseModel, average_words
    from DataBase_functions import PairDataset

    config, its = run.config, run.train_loader.dataset
    vocabulary, settings = len(its.tokenizer), replace(config.model, score="patch_word")

    class PlainText(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(vocabulary, settings.word_width, padding_idx=0)
            self.widen = nn.Linear(settings.word_width, settings.width)
            two_ways = {"batch_first": True, "bidirectional": True}
            self.lstm = nn.LSTM(settings.width, settings.width // 2, settings.lstm_layers, **two_ways)
            self.project = nn.Linear(settings.width, settings.width)

        def forward(self, words: Tensor) -> Tensor:
            vectors = self.project(self.lstm(self.widen(self.embed(words)))[0])
            real = (words != 0).unsqueeze(-1)
            return F.normalize(vectors, dim=-1) * real / real.sum(1, keepdim=True)  # length: what a word counts

    class PlainModel(SiameseModel):
        def __init__(self) -> None:
            super().__init__(vocabulary, config.backbone, settings)
            self.text = PlainText()  # type: ignore[assignment]

        def encode_texts(self, words: Tensor) -> Tensor:
            return self.text(words)

        def all_parts(self, patches: Tensor, words: Tensor) -> ScoreParts:
            cosines = torch.einsum("npd,tld->nptl", patches, words)
            scores = average_words(cosines.max(dim=1).values, words.norm(dim=-1), self.sharpness)
            return ScoreParts(pooled=None, patch_word=scores)

    model = PlainModel().to(run.device).train()
    model.backbone.requires_grad_(not config.backbone.frozen)
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], config.optim.lr)
    keys = next(iter(run.train_sampler))
    stored, augmented = (
        PairDataset(its.database, its.tokenizer, its.data, its.negatives, changes, its.seed).__getitems__(keys)
        for changes in (None, PRESETS["finetune"][1].augment)
    )
    padding = (0, PLAIN_WORDS - stored.words.shape[1])
    batch = replace(stored, words=F.pad(stored.words, padding), changed=F.pad(stored.changed, padding)).to(run.device)
    pictures = [one.pictures.to(run.device) for one in (stored, augmented)]

    def loss(patches: Tensor, words: Tensor) -> Tensor:
        in_batch = config.negatives.in_batch
        return Functions.total_loss(model, patches, words, batch.texts, config.loss, in_batch)

    def rate() -> float:
        start = time.perf_counter()
        words = model.encode_texts(batch.words)
        losses = [loss(model.encode_pictures(some), words) for some in pictures]
        optimizer.zero_grad()
        torch.stack(losses).mean().backward()
        optimizer.step()
        float(losses[0].detach())  # waits for a GPU
        return len(batch.owner) / (time.perf_counter() - start)

    return rate


def batches_of(work: "Workspace") -> tuple[Any, list[list[int]]]:
    """The preset finetune's data, but read in this process, 32 at a time; and the rows of each batch."""
    import torch

    from DataBase_functions import Database, EpochSampler

    torch.set_num_threads(1)  # as a loader process has
    data = replace(PRESETS["finetune"][1].data, workers=0, batch_pictures=32)
    rows = Database(work.database("ours")).rows("train")
    return data, [[key.row for key in keys] for keys in EpochSampler(rows, data.batch_pictures, seed=0, shuffle=True)]


def our_batches(work: "Workspace", data: Any) -> Callable[[], Iterator[int]]:
    """The preset finetune's loader; its processes, if it has any, are started by the first pass and stay."""
    import torch

    from DataBase_functions import Database, PairDataset, make_loader
    from Tokenizer_lib import Tokenizer

    database, settings = Database(work.database("ours")), PRESETS["finetune"][1]
    tokenizer = Tokenizer.build(database.word_counts, data.min_count)
    pairs = PairDataset(database, tokenizer, data, settings.negatives, settings.augment, seed=0)

    loader, _ = make_loader(pairs, database.rows("train"), 0, shuffle=True, device=torch.device("cpu"))
    return lambda: (len(batch.rows) for batch in loader)


def batches_from_scratch(work: "Workspace", data: Any) -> Callable[[], Iterator[int]]:
    """What that loader gives, made as it is written first: nothing is prepared but PNG pictures of the right size."""
    import torch
    from datasets import load_from_disk

    from Architectures import import_torchvision
    from DataBase_functions import Database, pad
    from negatives.edits import swap
    from negatives.slots import find_slots
    from negatives.text import Parse
    from Tokenizer_lib import Tokenizer

    import_torchvision()
    from torchvision.transforms import v2

    allowed, settings = Database(work.database("ours")).word_counts, PRESETS["finetune"][1]
    tokenizer, nlp = Tokenizer.build(allowed, data.min_count), load_once(work.pipeline, exclude=("ner",))
    stored, augment = load_from_disk(str(work.database("plain"))), settings.augment
    captions = [[caption["text"] for caption in row] for row in stored["captions"]]
    pictures = stored.select_columns("image")  # the parses beside them are not what this way would have
    change = v2.Compose(
        [
            v2.RandomResizedCrop(data.side, scale=(augment.crop, 1.0), ratio=(0.9, 1.1)),
            v2.RandomHorizontalFlip(augment.flip),
            v2.ColorJitter(augment.jitter, augment.jitter, augment.jitter),
            v2.RandomGrayscale(augment.grey),
            v2.RandomApply([v2.GaussianBlur(9, (0.1, 2.0))], augment.blur),
            v2.PILToTensor(),
        ]
    )
    rng = random.Random(0)

    def sample(row: int) -> tuple[torch.Tensor, list[list[int]]]:
        texts = []
        for caption in rng.sample(captions[row], min(data.captions_per_picture, len(captions[row]))):
            parse = Parse.from_doc(nlp(caption))
            slots = find_slots(parse)
            swaps = [swap(parse, slots, rng, allowed=allowed) for _ in range(settings.negatives.per_caption)]
            texts += [caption, *(negative.text for negative in swaps if negative is not None)]
        return change(pictures[row]["image"]), [tokenizer.encode(text, data.max_words) for text in texts]

    def batches() -> Iterator[int]:
        rows = range(min(len(captions), FROM_SCRATCH))
        with ThreadPoolExecutor(usable_cores()) as pool:
            for start in range(0, len(rows), data.batch_pictures):
                samples = list(pool.map(sample, rows[start : start + data.batch_pictures]))
                pad([text for _, texts in samples for text in texts])
                yield len(torch.stack([picture for picture, _ in samples]))

    return batches


def plain_batches(work: "Workspace", order: Sequence[Sequence[int]]) -> Callable[[], Iterator[int]]:
    """Our own database read as anyone reads a folder of `datasets`: row by row, its Image column decoded."""
    import torch
    from datasets import load_from_disk

    dataset = load_from_disk(str(work.database("ours")))

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


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def rate_of(batches: Callable[[], Iterable[int]]) -> Measure:
    """Samples a second of one pass, after one that imports what it needs and fills the page cache."""
    sum(batches())

    def rate() -> float:
        start = time.perf_counter()
        return sum(batches()) / (time.perf_counter() - start)

    return rate


# Photographs, and databases of them


class Workspace:
    """A temporary folder with the photographs, and with the databases that are built of them."""

    def __init__(self, folder: Path, photos: Path | None, count: int):
        from sources.units import find_pipeline

        self.folder, self.count, self.quarter, self.pipeline = folder, count, count // 4, find_pipeline()
        self.source = f"{count} photographs of {photos}" if photos else f"{count} drawn scenes, 640 x 480, with grain"
        self.all = photos or folder / f"photographs-{count}"
        if photos is None:
            draw_photographs(self.all, count)
        self.photographs(count)

    def photographs(self, count: int) -> Path:
        """A folder with so many of them."""
        folder = self.folder / f"photographs-{count}"
        if not folder.is_dir():
            copy_evenly(self.all, folder, count)
        return folder

    def database(self, way: str) -> Path:
        """What a way built last of all photographs; it is built if no benchmark did."""
        folder = self.folder / f"{way}-{self.count}" / "bench"
        if not folder.is_dir():
            self.build(way, self.count)
        return folder

    def config(self, preset: str) -> Config:
        """A preset on our database, with random weights."""
        config, weights = PRESETS[preset][1], self.folder / "random.pth"
        if not weights.is_file():
            import torch

            from Architectures import ResNet50Backbone

            torch.manual_seed(0)
            torch.save(ResNet50Backbone(BackboneConfig("resnet50")).network.state_dict(), weights)
        return replace(
            config,
            overwrite=True,
            models=str(self.folder / "Models"),
            plots=str(self.folder / "Plots"),
            data=replace(config.data, root=str(self.database("ours").parent), name="bench"),
            backbone=replace(config.backbone, weights=str(weights)),
        )

    def judge(self, preset: str, count: int) -> tuple[Any, list[Path], list[list[str]]]:
        """A judge with the random weights of a preset, so many picture files, and the texts of each."""
        from Architectures import SiameseModel
        from common.devices import choose_device
        from DataBase_functions import Database
        from judging.judge import Judge
        from Tokenizer_lib import Tokenizer
        from training.checkpoints import LoadedModel, Threshold

        config, database = self.config(preset), Database(self.database("ours"))
        tokenizer = Tokenizer.build(database.word_counts, config.data.min_count)
        model = SiameseModel(len(tokenizer), config.backbone, config.model)
        model.backbone.load(config.backbone.weights)
        model = model.to(choose_device(config.device)).eval()
        threshold = Threshold(0.5, "balanced accuracy", "nothing", 0.5, 0.5, 0.5, 1.0, 0.0, 1)
        rows = range(min(len(database), count))
        files = [self.photographs(self.count) / PICTURES / f"{database.ids[row]}" for row in rows]
        texts = [[caption.text for caption in database.captions(row)] for row in rows]
        return Judge(LoadedModel(model, tokenizer, config, threshold)), files, texts

    def plan(self) -> None:
        """Work out the negatives, lest the first who needs them be charged for it; Skip if training cannot start."""
        from DataBase_functions import Database

        database = Database(self.database("ours"))
        try:
            for split in ("train", "validation"):
                database.rows(split)
        except ValueError as error:
            raise Skip(f"{error}, which here means a larger --count") from error
        database.plan  # noqa: B018

    def start(self, config: Config) -> Any:
        """A training run of it, before its first step."""
        import Main_train

        self.plan()
        with contextlib.redirect_stdout(io.StringIO()):
            return Main_train.build_run(config)

    def build(self, way: str, count: int, watch: bool = False) -> tuple[float, list[float]]:
        """Build from nothing, in a process of its own; returns the seconds, and with `watch` the MB of each process."""
        photographs, target = self.photographs(count), self.folder / f"{way}-{count}"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        command = [HERE.parent / "Database_create.py", "--name", "bench", "--root", target, "--flickr8k", photographs]
        command.append("--no-negatives")  # the plain way has none; what they cost is told by "negatives"
        if way == "plain":
            code = "import sys, Benchmark; Benchmark.plain_build(*sys.argv[1:])"
            command = ["-c", code, photographs, target, self.pipeline]
        start = time.perf_counter()
        peaks = run([sys.executable, *map(str, command)], self.folder / "log.txt", watch)
        return time.perf_counter() - start, peaks


def run(command: Sequence[str], log: Path, watch: bool) -> list[float]:
    """Run a command, its processes in a session of their own: so they can be counted, and ended together."""
    peaks: dict[int, float] = {}
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, cwd=HERE, start_new_session=True)
    try:
        while watch and process.poll() is None:
            peaks |= peaks_of_session(process.pid)
            time.sleep(POLL)
        status = process.wait()
    except BaseException:
        with contextlib.suppress(AttributeError, ProcessLookupError):  # Windows has no groups
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
        raise
    if status:
        told = log.read_text(errors="replace").strip().splitlines()[-1:] or [f"status {status}"]
        fail(f"{' '.join(command[1:3])} ... failed: {told[0]}", code=1)
    return list(peaks.values())


def peaks_of_session(session: int) -> dict[int, float]:
    """Process -> MB that it has held at most (VmHWM), for the processes of a session."""
    peaks = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, StopIteration):  # it has ended meanwhile
            # The name, in brackets, may hold spaces; after it come state, parent, group and session.
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                peaks[int(folder.name)] = peak_of(folder)
    return peaks


def peak_of(process: Path) -> float:
    """MB that the process of a folder in /proc has held at most. StopIteration if it has ended."""
    lines = (process / "status").read_text().splitlines()
    peak = next(line for line in lines if line.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024 / 1e6


def copy_evenly(source: Path, target: Path, count: int) -> None:
    """Copy `count` photographs of a folder in Flickr8k's format, evenly over their sorted names, and their lines."""
    if not (source / CAPTIONS).is_file() or not (source / PICTURES).is_dir():
        raise FileNotFoundError(f"{source} is no folder of Flickr8k: it needs {PICTURES}/ and {CAPTIONS}")
    pictures = sorted((source / PICTURES).glob("*.jpg"))
    if len(pictures) < count:
        raise ValueError(f"{source} has {len(pictures)} photographs, fewer than --count {count}")
    chosen = [pictures[n * len(pictures) // count] for n in range(count)]
    (target / PICTURES).mkdir(parents=True)
    for picture in chosen:
        shutil.copy(picture, target / PICTURES)
    names = {picture.name for picture in chosen}
    for file in (source / CAPTIONS, *source.glob("Flickr_8k.*Images.txt")):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = "".join(line for line in lines if line.partition("#")[0].strip() in names)
        (target / file.name).write_text(kept, encoding="utf-8")


def draw_photographs(target: Path, count: int) -> None:
    """Scenes in Flickr8k's format, of a photograph's size and with its grain: without it a PNG would be too small."""
    (target / PICTURES).mkdir(parents=True)
    captions, names = [], [f"{1_000_000 + seed}_scene.jpg" for seed in range(count)]
    for seed, name in enumerate(names):
        scene = make_scene(seed)
        grain = np.random.default_rng(seed).normal(0, 8, (480, 640, 3))
        pixels = np.asarray(draw(scene, 640).resize((640, 480))) + grain
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(target / PICTURES / name, quality=90)
        captions += [f"{name}#{number}\t{text}\n" for number, text in enumerate(write_captions(scene, seed))]
    (target / CAPTIONS).write_text("".join(captions), encoding="utf-8")
    for file, some in ((TRAINING, [name for name in names if name not in names[::6]]), (DEVELOPMENT, names[::6])):
        (target / file).write_text("".join(f"{name}\n" for name in some), encoding="utf-8")


def plain_build(photographs: str, target: str, pipeline: str) -> None:
    """The plain way to a database, as one would write it well with `datasets`, on as many processes as ours."""
    from datasets import Dataset, Features, List, Value
    from datasets import Image as ImageColumn

    texts, numbers = List(Value("string")), List(Value("int32"))
    parse = {"text": Value("string"), "lemma": texts, "tag": texts, "dep": texts, "head": numbers}
    captions: dict[str, list[str]] = {}
    for line in (Path(photographs) / CAPTIONS).read_text(encoding="utf-8").splitlines():
        name, text = line.split("\t", 1)
        captions.setdefault(name.partition("#")[0], []).append(text)
    Dataset.from_generator(
        plain_rows,
        features=Features({"image": ImageColumn(), "captions": List(parse)}),
        cache_dir=str(Path(target) / "cache"),
        gen_kwargs={"folder": Path(photographs) / PICTURES, "captions": [*captions.items()], "pipeline": pipeline},
        num_proc=usable_cores(),
    ).save_to_disk(str(Path(target) / "bench"))


def plain_rows(folder: Path, captions: Sequence[tuple[str, list[str]]], pipeline: str) -> Iterator[dict[str, Any]]:
    """Rows of some photographs; `datasets` deals them out to its processes one by one."""
    nlp = load_once(pipeline)
    for name, texts in captions:
        with Image.open(folder / name) as image:
            picture = ImageOps.pad(image.convert("RGB"), PLAIN_SIZE, Image.Resampling.LANCZOS)
        rows = []
        for text in texts:
            doc = nlp(text)
            row = {"lemma": [t.lemma_ for t in doc], "tag": [t.tag_ for t in doc], "dep": [t.dep_ for t in doc]}
            rows.append({"text": text, **row, "head": [t.head.i for t in doc]})
        yield {"image": picture, "captions": rows}


@functools.cache
def load_once(pipeline: str, exclude: tuple[str, ...] = ()) -> Any:
    import spacy

    return spacy.load(pipeline, exclude=exclude)


# The report


def measure(name: str, work: Workspace, rounds: int) -> dict[str, Any]:
    """Both ways in turns; the row of the table."""
    import torch

    unit, better, prepare = BENCHMARKS[name]
    print(f"{name}: {prepare.__doc__}", flush=True)
    threads = torch.get_num_threads()
    ways = {way: turn for way, turn in zip(("ours", "plain"), prepare(work)) if turn is not None}
    readings: dict[str, dict[str, list[float]]] = {}
    for n in range(rounds):
        print(f"  round {n + 1}/{rounds}:", end="", flush=True)
        for way, turn in ways.items():
            reading = turn()
            told = reading if isinstance(reading, Mapping) else {unit: reading}
            for key, value in told.items():
                readings.setdefault(key, {"ours": [], "plain": []})[way].append(value)
            print(f"  {way} {short(told[unit])}", end="", flush=True)
        print(f"  {unit}", flush=True)
    torch.set_num_threads(threads)  # some benchmarks take one
    row, *others = (summarise(name, key, **values) for key, values in readings.items())
    return {**row, "better": better, "photographs": work.source, **({"also": others} if others else {})}


def summarise(name: str, unit: str, ours: Sequence[float], plain: Sequence[float]) -> dict[str, Any]:
    """Medians of both ways and their ratio, with all that they were made of; None for what one way has none of."""
    our_median, plain_median = (statistics.median(numbers) if numbers else None for numbers in (ours, plain))
    ratio = our_median / plain_median if our_median is not None and plain_median is not None else None
    row = {"name": name, "unit": unit, "ours": our_median, "plain": plain_median, "ratio": ratio}
    return {**row, "rounds": len(ours), "ours_all": list(ours), "plain_all": list(plain)}


def short(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread(values: Sequence[float]) -> str:
    return f"({short(min(values))}–{short(max(values))})" if values else ""


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    lines = [("benchmark", "unit", "ours", "(min–max)", "plain", "(min–max)", "ours/plain", "better")]
    for row in rows:
        for line in (row, *row.get("also", ())):
            ours, plain = ((short(line[way]), spread(line[f"{way}_all"])) for way in ("ours", "plain"))
            name, better = (row["name"], row["better"]) if line is row else ("", "")
            ratio = "–" if line["ratio"] is None else f"{line['ratio']:.3g}"
            lines.append((name, line["unit"], *ours, *plain, ratio, better))
    widths = [max(map(len, column)) for column in zip(*lines)]
    for cells in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())


def hardware() -> dict[str, Any]:
    """What the numbers were measured on."""
    import torch

    libraries = ("torch", "datasets", "pyarrow", "pillow", "spacy", "numpy")
    ram = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None
    return {
        "cpu": devices.hardware(torch.device("cpu")),
        "cores": usable_cores(),
        "ram_gb": ram and round(ram / 1e9, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in libraries},
    }


def report(names: Sequence[str], photos: Path | None, count: int, rounds: int) -> dict[str, Any]:
    """Run the benchmarks and print their table; returns what --json writes."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        work = Workspace(Path(folder), photos, count)
        results: dict[str, Any] = {"hardware": hardware(), "rows": []}
        print(", ".join(f"{key} {value}" for key, value in results["hardware"].items()))
        print(work.source)
        for name in names:
            try:
                results["rows"].append(measure(name, work, rounds))
            except Skip as reason:
                print(f"  skipped: {reason}")
    print_table(results["rows"])
    return results


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        fail(message)


def main() -> None:
    helps = "\n".join(f"  {name:20} {one.prepare.__doc__} [{one.unit}]" for name, one in BENCHMARKS.items())
    parser = Parser(
        description=f"Measure our way against the plain way, in turns.\n\nnames (ours | plain):\n{helps}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run; all if none is named")
    parser.add_argument("--photos", type=Path, metavar="DIR", help=f"folder with {PICTURES}/, {CAPTIONS} and its lists")
    parser.add_argument("--count", type=int, default=300, help="photographs used, 8 or more (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each way (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    args = parser.parse_args()
    names = list(dict.fromkeys(args.names)) or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        fail(f"there is no benchmark {unknown[0]!r}; choose from: {', '.join(BENCHMARKS)}")
    if args.count < 8 or args.rounds < 1:
        fail(f"--count {args.count} --rounds {args.rounds}: at least 8 photographs and 1 round")
    if args.json is not None and not args.json.parent.is_dir():
        fail(f"--json {args.json}: there is no folder {args.json.parent}")
    try:
        results = report(names, args.photos, args.count, args.rounds)
        if args.json is not None:
            from common.storage import write_json

            write_json(args.json, results)
    except (OSError, ValueError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted", code=130)


if __name__ == "__main__":
    main()
