"""Losses, seeds, devices, model folders and the training log.

Shapes: N pictures, T texts, K hard negatives; scores are cosines in [-1, 1].
"""

import contextlib
import csv
import functools
import itertools
import json
import math
import os
import pickle
import platform
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import Config
from Architectures import OUT, ResNet50Backbone, Scorer, SiameseModel, best_cosines, import_torchvision, real_words
from common.metrics import BALANCED, Calibration, Criterion, Floats, best_threshold, calibrate, rates
from common.parallel import ALONE, Group
from Config import BackboneConfig, LossConfig
from Tokenizer_lib import Tokenizer

FORMAT = 1  # of the model folder


def contrastive_loss(
    scores: Tensor, owner: Tensor, groups: Tensor, hard: Tensor, hard_of: Tensor, in_batch: float = 1.0
) -> Tensor:
    """InfoNCE in both directions, with hard negatives as extra columns of their own picture.

    scores: (N, T) of all pictures with all texts, already divided by the temperature; owner: (T,) the picture of
    each text; groups: (N,) identity of each photograph; hard: (K,) scores of hard negatives with their own picture;
    hard_of: (K,) their picture; in_batch: how much a text of the batch counts against a hard negative. A text of the
    same photograph is never counted as a negative.
    Source: Oord et al. 2018; both directions as in Radford et al. 2021.
    """
    same = groups.unsqueeze(1) == groups[owner].unsqueeze(0)
    others = (scores + math.log(in_batch) if in_batch else scores.new_full(scores.shape, OUT)).masked_fill(same, OUT)
    pictures = torch.arange(len(scores), device=scores.device)
    extra = hard.expand(len(scores), -1).masked_fill(hard_of != pictures.unsqueeze(1), OUT)
    positive = scores[owner, torch.arange(len(owner), device=scores.device)]
    wrong_texts = torch.logsumexp(torch.cat([others, extra], dim=1), dim=1)[owner]
    wrong_pictures = torch.logsumexp(others, dim=0)
    # -log(e^p / (e^p + e^w)) = softplus(w - p)
    return (F.softplus(wrong_texts - positive).mean() + F.softplus(wrong_pictures - positive).mean()) / 2


def triplet_loss(positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Mean of max(0, margin + negative - positive); (K,), (K,) -> (). Without a triplet it is 0."""
    return F.relu(margin + negative - positive).sum() / max(1, len(positive))


def match_loss(positive: Tensor, negative: Tensor, scale: Tensor, match_at: Tensor) -> Tensor:
    """Binary cross-entropy of "is it a match?" at one learned threshold, true and false texts weighing the same.

    The ranking losses compare the texts of one picture only; a single threshold for all pictures needs scores that
    can be compared across them. Source: the sigmoid loss of Zhai et al. 2023, here on captions and hard negatives.
    """
    true = F.softplus(-scale * (positive - match_at)).mean()
    false = F.softplus(scale * (negative - match_at)).sum() / max(1, len(negative))
    return (true + false) / 2


def word_loss(true: Tensor, real: Tensor, false: Tensor, changed: Tensor, scale: Tensor, match_at: Tensor) -> Tensor:
    """The match loss of single words: each word of a caption fits its picture, each changed word does not.

    true: (T, L) best cosines of the captions' words, real: (T, L) where there is a word; false, changed: (K, L) the
    same for the hard negatives and their changed words. We made the negatives, so we know which word is false; told
    only that some word of twelve is, a score's gradient spreads over all of them.
    """
    fits = (F.softplus(-scale * (true - match_at)) * real).sum() / real.sum().clamp(min=1)
    fails = (F.softplus(scale * (false - match_at)) * changed).sum() / changed.sum().clamp(min=1)
    return (fits + fails) / 2


class TextBatch(NamedTuple):
    """Which text belongs to which picture: captions first, then their hard negatives."""

    owner: Tensor  # (T,) the picture of each caption
    negative_of: Tensor  # (K,) the caption that each hard negative was made from
    changed: Tensor  # (K, L) which of its words were changed
    groups: Tensor  # (N,) identity of each photograph


class Shares(NamedTuple):
    """How many pictures, captions and hard negatives of a batch each process has, by rank."""

    pictures: tuple[int, ...]
    captions: tuple[int, ...]
    negatives: tuple[int, ...]

    @classmethod
    def of(cls, batch: TextBatch, size: int) -> "Shares":
        """Pictures in equal parts, as PairDataset makes them; a text goes where its picture is."""
        pictures = torch.arange(len(batch.groups))
        ends = torch.tensor([(rank + 1) * len(pictures) // size for rank in range(size)])
        rank_of = torch.searchsorted(ends, pictures, right=True)
        owners = (pictures, batch.owner.cpu(), batch.owner[batch.negative_of].cpu())
        return cls(*(tuple(torch.bincount(rank_of[owner], minlength=size).tolist()) for owner in owners))

    def slices(self, rank: int) -> tuple[slice, slice, slice]:
        """Where the pictures, captions and hard negatives of a process lie in the batch."""
        return tuple(slice(sum(share[:rank]), sum(share[: rank + 1])) for share in self)  # type: ignore[return-value]


def total_loss(
    model: SiameseModel,
    patches: Tensor,
    words: Tensor,
    batch: TextBatch,
    settings: LossConfig,
    in_batch: float = 1.0,
    group: Group = ALONE,
    shares: Shares | None = None,
) -> Tensor:
    """Contrastive + triplet + match + word loss of a whole batch.

    patches, words: vectors of the N pictures, and of the T + K texts, captions first, as the model encodes them;
    in_batch: see contrastive_loss. The word loss needs a score with words.
    In a group of processes patches and words are those of this one's share, and the result is the loss divided by the
    number of processes: their sum is the loss. Each compares its own pictures with the captions of all. shares: those
    of the batch, if they were found before it went to a GPU, which would have to wait.
    """
    shares = shares or Shares.of(batch, group.size)
    own_pictures, own_captions, own_negatives = shares.slices(group.rank)
    captions, negatives = words.split([shares.captions[group.rank], shares.negatives[group.rank]])
    hard_of = batch.owner[batch.negative_of]
    of_captions = patches[batch.owner[own_captions] - own_pictures.start]
    of_negatives = patches[hard_of[own_negatives] - own_pictures.start]
    scale = model.log_scale.exp()

    # Which text belongs to which picture?
    everything = model.all_parts(patches, group.gather(captions, shares.captions))
    hard_parts = model.pair_parts(of_negatives, negatives)
    scores = scale * group.gather(model.ranking(everything), shares.pictures)
    hard = scale * group.gather(model.ranking(hard_parts), shares.negatives)
    loss = settings.contrastive * contrastive_loss(scores, batch.owner, batch.groups, hard, hard_of, in_batch)
    if settings.whole and model.scores_words and everything.pooled is not None:
        # Hard negatives differ in one word. Told to tell them apart, the vectors of the whole forget how to find a
        # picture's caption: with 491 validation photographs their recall@1 fell from 48 to 32 %.
        whole = scale * group.gather(everything.pooled, shares.pictures)
        loss = loss + settings.whole * contrastive_loss(whole, batch.owner, batch.groups, hard[:0], hard_of[:0])

    # Is it true?
    true = group.gather(model.pair_parts(of_captions, captions).decisive, shares.captions)
    false = group.gather(hard_parts.decisive, shares.negatives)
    loss = loss + settings.triplet * triplet_loss(true[batch.negative_of], false, settings.margin)
    loss = loss + settings.match * match_loss(true, false, scale, model.match_at)
    if settings.word and model.scores_words:
        (_, true_patches), (_, true_words) = model.parts(of_captions), model.parts(captions)
        (_, false_patches), (_, false_words) = model.parts(of_negatives), model.parts(negatives)
        fits = group.gather(best_cosines(true_patches, true_words), shares.captions)
        real = group.gather(real_words(true_words).float(), shares.captions)
        fails = group.gather(best_cosines(false_patches, false_words), shares.negatives)
        loss = loss + settings.word * word_loss(fits, real, fails, batch.changed, scale, model.match_at)
    return loss / group.size


def collecting_norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    """The batch norms that update their running statistics in a forward pass."""
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and m.training and m.track_running_stats]


@contextlib.contextmanager
def statistics_kept(model: nn.Module) -> Iterator[None]:
    """Inside, batch norm in training mode normalises by the batch, but its running statistics stay as they are."""
    norms = collecting_norms(model)
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def running_statistics(model: nn.Module) -> list[Tensor]:
    """The means and variances that batch norm in training mode collects: each process from its own pictures."""
    return [x for norm in collecting_norms(model) for x in (norm.running_mean, norm.running_var) if x is not None]


def backward_in_chunks(
    encoders: Sequence[tuple[Callable[[Tensor], Tensor], Tensor]],
    loss_of: Callable[..., Tensor],
    chunks: int,
    scale: Callable[[Tensor], Tensor] = lambda loss: loss,
    first_pass: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext,
) -> Tensor:
    """Gradient of a loss over the whole batch, in the memory of one chunk.

    Each encoder's input is encoded in `chunks` parts without a graph; the loss of all vectors together gives the
    gradient of every vector; a second pass with the same dropout carries it into the weights. The sum of small
    losses is another loss: for a contrastive one 16 pairs in 4 chunks gave 6.93 where the batch gave 10.08. The first
    pass runs inside `first_pass()`: with `statistics_kept` batch norm counts each chunk once.
    Source: Gao et al. 2021 (GradCache). Returns the loss, detached.
    """
    if chunks == 1:
        loss = loss_of(*(encode(inputs) for encode, inputs in encoders))
        scale(loss).backward()
        return loss.detach()
    parts = [(encode, piece) for encode, inputs in encoders for piece in inputs.chunk(chunks)]
    states, vectors = [], []
    for encode, piece in parts:
        states.append(rng_state())
        with torch.no_grad(), first_pass():
            vectors.append(encode(piece).requires_grad_())
    sizes = [len(inputs.chunk(chunks)) for _, inputs in encoders]
    split = np.cumsum([0, *sizes])
    loss = loss_of(*(torch.cat(vectors[a:b]) for a, b in itertools.pairwise(split)))
    scale(loss).backward()
    after = rng_state()
    for (encode, piece), state, vector in zip(parts, states, vectors):
        set_rng_state(state)
        encode(piece).backward(vector.grad)
    set_rng_state(after)
    return loss.detach()


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries below us draw from the global state
    torch.manual_seed(seed)


def rng_state() -> dict[str, Any]:
    """State of torch's generators: CPU, every CUDA device, Apple's MPS."""
    return {
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "mps": torch.mps.get_rng_state() if torch.backends.mps.is_available() else None,
    }


def set_rng_state(state: Mapping[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"][: torch.cuda.device_count()])
    if state["mps"] is not None:
        torch.mps.set_rng_state(state["mps"])


def choose_device(wanted: str) -> torch.device:
    """auto is CUDA, else Apple's MPS, else the CPU; of several GPUs each process of torchrun has its own.

    ValueError names what is there instead.
    """
    if wanted in ("auto", "cuda") and torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
        return device
    if wanted == "auto":
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {wanted}: {str(error).splitlines()[0]}; use --device cpu") from error
    return device


def choose_precision(wanted: str, device: torch.device) -> torch.dtype:
    """auto is bfloat16 where the hardware computes with it, else float16 on CUDA, else float32.

    On a CPU with bfloat16 units it pays (ResNet-50 here: 7 pictures/s in float32, 44 in bfloat16); without them it
    is emulated and slower than float32.
    """
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[wanted]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "cpu":
        able = torch.cpu.get_capabilities()
        return torch.bfloat16 if able.get("avx512_bf16") or able.get("amx_bf16") else torch.float32
    return torch.float32


def autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """The one way in which training, evaluation and prediction compute, so that their scores agree."""
    return torch.autocast(device.type, dtype=precision, enabled=precision != torch.float32)


def hardware(device: torch.device) -> str:
    """The device that numbers were measured on, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores" + (", MPS" if device.type == "mps" else "")


# Dense tensor cores in half precision, FLOP/s, from the makers' data sheets.
PEAK_FLOPS = {
    **{
        "H100 PCIe": 756e12,
        "H100": 989e12,
        "H200": 989e12,
        "A100": 312e12,
        "L40S": 362e12,
        "L4": 121e12,
        "A10": 125e12,
    },
    **{"V100": 125e12, "T4": 65e12, "RTX 4090": 165e12, "RTX 3090": 71e12},
}


def peak_flops(device: torch.device) -> float | None:
    """What a GPU can compute at most in half precision, FLOP/s; None for one that is not in the table."""
    if device.type != "cuda":
        return None
    words = torch.cuda.get_device_name(device).replace("-", " ")
    return next((peak for name, peak in PEAK_FLOPS.items() if f" {name} " in f" {words} "), None)


@functools.cache
def forward_flops(model: SiameseModel, side: int) -> int:
    """FLOP of one picture's way through the backbone; a multiplication with its addition is 2."""
    picture = torch.zeros(1, 3, side, side, device=model.mean.device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.backbone(picture)
    return counter.get_total_flops()


def load_backbone(model: SiameseModel, settings: BackboneConfig) -> None:
    """Fill a ResNet-50 backbone with pretrained weights; the small one has none.

    ValueError or FileNotFoundError tells both ways to get them.
    """
    if not isinstance(model.backbone, ResNet50Backbone):
        return
    names = import_torchvision().models.ResNet50_Weights.__members__
    ways = (
        "either let torchvision download them once (--backbone.weights IMAGENET1K_V2, needs a network), "
        "or give a file: --backbone.weights FILE.pth (with --backbone.stride-in-1x1 if it is a v1 network)"
    )
    if settings.weights in names:
        try:
            state = names[settings.weights].get_state_dict(progress=True, check_hash=True)
        except OSError as error:
            raise FileNotFoundError(f"cannot download {settings.weights} ({error}); {ways}") from error
    else:
        path = Path(settings.weights)
        if not path.is_file():
            raise FileNotFoundError(f"no backbone weights at {path}; {ways}")
        state = read_state_dict(path)
    if not (isinstance(state, dict) and all(isinstance(value, Tensor) for value in state.values())):
        raise ValueError(f"{settings.weights} holds no plain state dict, name by name a tensor; {ways}")
    state = {name: value.float() for name, value in state.items() if not name.startswith("fc.")}
    absent, unknown = model.backbone.network.load_state_dict(state, strict=False)
    absent = [name for name in absent if not name.endswith("num_batches_tracked")]
    if absent or unknown:
        raise ValueError(
            f"{settings.weights} is no ResNet-50 of torchvision's layout: absent {absent[:3]}, "
            f"unknown {unknown[:3]}; {ways}"
        )


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Tensors of a .safetensors or torch file; nothing in the file is executed."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch would explain how to run what the file holds
        told = "it is damaged, or holds more than tensors and plain values; nothing in it was executed"
        raise ValueError(f"cannot read weights from {path}: {told}") from error
    except Exception as error:  # torch, zip and safetensors each raise their own, of an empty file without a word
        told = (str(error) or "it is empty or cut off").splitlines()[0]
        raise ValueError(f"cannot read weights from {path}: {told}") from error


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Call write(temporary path), then move it into place: a reader sees the old file or the new one, whole.

    OSError if it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (RuntimeError, SafetensorError) as error:  # of a full disk torch and safetensors make errors of their own
        raise OSError(f"cannot write {path}: {error.__context__ or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, lambda p: p.write_text(text, encoding="utf-8"))


@dataclass(frozen=True)
class Threshold:
    """The score from which a text counts as a match, how probable a match is at a score, and where both come from."""

    threshold: float
    criterion: str  # what it is best at, see common.metrics.Criterion
    chosen_on: str
    balanced_accuracy: float
    recall: float
    specificity: float
    slope: float  # of the calibration, see common.metrics.Calibration
    intercept: float
    epoch: int  # of the weights that it belongs to

    @classmethod
    def choose(cls, true: Floats, false: Floats, epoch: int, criterion: Criterion = BALANCED) -> "Threshold":
        """From scores of validation captions and of hard negatives. ValueError without scores of both."""
        chosen = best_threshold(true, false, criterion)
        calibration = calibrate(true, false)
        return cls(
            chosen,
            str(criterion),
            "validation",
            **rates(true, false, chosen)._asdict(),
            **calibration._asdict(),
            epoch=epoch,
        )

    @property
    def calibration(self) -> Calibration:
        return Calibration(self.slope, self.intercept)


def save_threshold(folder: Path, threshold: Threshold) -> None:
    write_json(folder / "threshold.json", asdict(threshold))


def save_best(folder: Path, model: SiameseModel, threshold: Threshold) -> None:
    """Weights for use, then the threshold that belongs to them."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    metadata = {"format": str(FORMAT), "epoch": str(threshold.epoch)}
    write_atomically(folder / "best.safetensors", lambda path: save_file(tensors, path, metadata))
    save_threshold(folder, threshold)


class LoadedModel(NamedTuple):
    """A trained model, ready for use."""

    model: Scorer
    tokenizer: Tokenizer
    config: Config.Config
    threshold: Threshold


def load_model(folder: Path, device: torch.device) -> LoadedModel:
    """Rebuild a trained model from its folder alone: config.json, vocabulary.json, best.safetensors, threshold.json.

    FileNotFoundError or ValueError says what is absent or of another version.
    """
    for name in ("config.json", "vocabulary.json", "best.safetensors", "threshold.json"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"no {name} in {folder}; train a model with: python Main_train.py")
    tokenizer = Tokenizer.load(folder / "vocabulary.json")
    try:
        config = Config.from_json((folder / "config.json").read_text(encoding="utf-8"))
        threshold = Threshold(**json.loads((folder / "threshold.json").read_text(encoding="utf-8")))
        with safe_open(folder / "best.safetensors", "pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{folder} holds no model of this version: {error}") from error
    if metadata.get("format") != str(FORMAT):
        raise ValueError(
            f"{folder} has model format {metadata.get('format')}, this version reads {FORMAT}; train the model again"
        )
    if metadata["epoch"] != str(threshold.epoch):
        raise ValueError(
            f"{folder} holds the weights of epoch {metadata['epoch']} and the threshold of epoch {threshold.epoch}; "
            "finish the training with --resume"
        )
    model = SiameseModel(len(tokenizer), config.backbone, config.model)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        told = str(error).splitlines()[0]
        raise ValueError(f"the weights in {folder} do not fit its config.json: {told}") from error
    return LoadedModel(model.to(device).eval(), tokenizer, config, threshold)


def save_state(folder: Path, epoch: int, step: int, state: Mapping[str, Any]) -> None:
    """Everything that `--resume` needs, after so many whole epochs and steps of the next. The pointer last.json is
    written last, so a kill or a full disk at any moment leaves either the earlier checkpoint or this one."""
    name = f"last-{epoch:04d}-{step:06d}.pt"
    write_atomically(folder / name, lambda path: save_torch(state, path))
    write_json(folder / "last.json", {"format": FORMAT, "epoch": epoch, "step": step, "state": name})
    for old in folder.glob("last-*.pt"):
        if old.name != name:
            old.unlink()


def save_torch(state: Mapping[str, Any], path: Path) -> None:
    with path.open("wb") as file:  # given a path, torch would not tell why it cannot write
        torch.save(dict(state), file)


def load_state(folder: Path) -> dict[str, Any]:
    """What `save_state` wrote last; FileNotFoundError if there is no checkpoint, ValueError if it cannot be read."""
    pointer = folder / "last.json"
    if not pointer.is_file():
        raise FileNotFoundError(f"no checkpoint in {folder}; start without --resume")
    last = json.loads(pointer.read_text(encoding="utf-8"))
    if last.get("format") != FORMAT:
        raise ValueError(f"{pointer} has format {last.get('format')}, this version reads {FORMAT}; start anew")
    return read_state_dict(folder / last["state"])


LOG_COLUMNS = (
    "epoch",
    "train_loss",
    "val_loss",
    "balanced_accuracy",
    "recall",
    "specificity",
    "threshold",
    "learning_rate",
    "seconds",
    "pairs_per_second",
    "waiting",
)


def append_log(path: Path, row: Mapping[str, float]) -> None:
    """Add one epoch to training_log.csv; rows of this epoch or later, left by a run that is resumed, go."""
    rows = [old for old in read_log(path) if old["epoch"] < row["epoch"]] if path.exists() else []
    write_atomically(path, lambda temporary: _write_log(temporary, [*rows, row]))


def _write_log(path: Path, rows: Iterable[Mapping[str, float]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, LOG_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def read_log(path: Path) -> list[dict[str, float]]:
    """Rows of a training log. ValueError if the file is not one; a cut-off last line is left out."""
    if not path.is_file():
        raise FileNotFoundError(f"no training log at {path}; train a model with: python Main_train.py")
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.DictReader(file)
        if not (names := reader.fieldnames or ()):
            raise ValueError(f"{path} is empty; wait for the first epoch")
        if absent := [name for name in LOG_COLUMNS if name not in names]:
            raise ValueError(f"{path} is no training log: it has no column {', '.join(absent)}")
        rows = []
        lines = list(reader)
        for number, row in enumerate(lines, 1):
            try:
                rows.append({name: float(row[name]) for name in LOG_COLUMNS})
            except (TypeError, ValueError) as error:
                if number < len(lines):  # else `append_log` would write the log anew without the lines after it
                    after = len(lines) - number
                    told = f"line {number + 1} of {path} is damaged; delete that line, {after} are after it"
                    raise ValueError(told) from error
    return rows
