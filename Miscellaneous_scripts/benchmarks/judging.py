"""A judge in use: a matrix of scores, one verdict of Predict.py, pairs of files. Mostly with random weights."""

import subprocess
import sys
import time

import torch

from Architectures import SiameseModel
from common import devices
from common.padding import pad
from DataBase_functions import Database, prepare
from judging.examples import PHOTOGRAPHS, SCENES
from judging.judge import Judge
from Miscellaneous_scripts.benchmarks import Measure
from Miscellaneous_scripts.benchmarks.processes import ROOT, watched
from Miscellaneous_scripts.benchmarks.workspace import Workspace
from Tokenizer_lib import Tokenizer

SCORED = 100  # photographs, each scored with all texts; the more there are, the more encoding each once saves
PLAIN_PAIRS = 24  # pairs that the plain way scores
PREDICTED = 60  # pictures
WARM_TEXTS = tuple(f"A {colour} umbrella on a beach." for colour in ("red", "blue", "green", "yellow", "white") * 4)


def scoring(work: Workspace) -> tuple[Measure, Measure]:
    config = work.config("finetune")
    device = devices.choose_device(config.device)
    precision = devices.choose_precision(config.precision, device)
    model, pictures, words = model_and_inputs(work, device)
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


def model_and_inputs(work: Workspace, device: torch.device) -> tuple[SiameseModel, torch.Tensor, torch.Tensor]:
    """A model with the settings of the preset finetune, the first SCORED pictures, and all their texts as indices."""
    config, database = work.config("finetune"), Database(work.database("ours"))
    tokenizer = Tokenizer.build(database.word_counts, config.data.min_count)
    model = SiameseModel(len(tokenizer), config.backbone, config.model).to(device).eval()
    model.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rows = range(min(len(database), SCORED))
    texts = [caption.text for row in rows for caption in database.captions(row)]
    words = pad([tokenizer.encode(text, config.data.max_words) for text in texts]).to(device)
    pictures = torch.stack([prepare(database.picture(row), config.data.side) for row in rows]).to(device)
    return model, pictures.contiguous(memory_format=torch.channels_last), words


def one(work: Workspace) -> tuple[Measure, None]:
    command = [sys.executable, "Predict.py"]
    warm = {
        "ms of the next verdict": (Judge.load(), PHOTOGRAPHS[0].open()[0]),
        "ms of the next verdict on a drawing": (Judge.load(ROOT / "Models" / "scenes-small"), SCENES[1].open()[0]),
    }

    def ours() -> dict[str, float]:
        start = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        if done.returncode not in (0, 1):  # 1 is a mismatch
            raise OSError(f"Predict.py ended with status {done.returncode}")
        found = {"s from start to verdict": time.perf_counter() - start}
        for name, (judge, picture) in warm.items():
            start = time.perf_counter()
            for text in WARM_TEXTS:
                judge.check(picture, text)
            found[name] = 1000 * (time.perf_counter() - start) / len(WARM_TEXTS)
        return found

    for judge, picture in warm.values():
        judge.check(picture, WARM_TEXTS[0])
    return ours, None


def pairs(work: Workspace) -> tuple[Measure, Measure]:
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


def matrix(work: Workspace) -> tuple[Measure, Measure]:
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
