"""The folder of a model: its weights and threshold, and the checkpoints that training is resumed from."""

import contextlib
import math
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

import Config
from Architectures import SiameseModel
from common.checked import FIX, check, check_words, hash_of_words, parse_json, parse_vocabulary, read_bytes, read_json
from common.metrics import BALANCED, Calibration, Criterion, Floats, Integers, best_threshold, calibrate, rates
from common.risk import Limits, find_limits
from common.scores import Scorer
from common.storage import (
    CONFIG,
    POINTER,
    THRESHOLD,
    VOCABULARY,
    WEIGHTS,
    WORLD,
    read_state_dict,
    save_tensors,
    write_atomically,
    write_json,
)
from common.world import load_world
from Tokenizer_lib import Tokenizer
from training.weights import build, check_finite, read_weights

FORMAT = 1  # of the model folder
PROGRESS = {  # what "progress" in it holds; `best` can be -inf
    **dict.fromkeys(("epoch", "step", "captions", "pictures", "best_epoch"), int),
    **dict.fromkeys(("seconds", "waiting", "best"), Any),
}
AGAIN = "train again with --overwrite"
NOTHING: Mapping[str, Any] = {}
HIGHEST = 1.01  # score; rounding can raise a cosine above 1
STATE = {  # what a checkpoint holds
    **dict.fromkeys(("model", "optimizer", "scheduler", "scaler", "average", "progress"), dict[str, Any]),
    **dict.fromkeys(("config", "database", "plan"), str),
    **dict.fromkeys(("rng", "loss"), list[Any]),
}


@dataclass(frozen=True)
class Threshold:
    """The threshold of a model with its rates on validation, and the calibration that gives probabilities."""

    threshold: float  # a verdict score of this or more is a match
    criterion: str  # what the threshold maximises, see common.metrics.Criterion
    chosen_on: str  # split
    balanced_accuracy: float
    recall: float
    specificity: float
    slope: float  # of the calibration, see common.metrics.Calibration
    intercept: float
    epoch: int  # of the weights that the threshold belongs to
    limits: tuple[Limits, ...] = ()  # for `--risk`, see common/risk.py; () in a model of an earlier version
    accuracies: Mapping[str, float] = field(default_factory=dict)  # by category of a swapped word, on validation

    def __post_init__(self) -> None:
        object.__setattr__(self, "limits", tuple(Limits(*each) for each in self.limits))  # JSON has lists

    @classmethod
    def choose(
        cls,
        true: Floats,
        false: Floats,
        epoch: int,
        criterion: Criterion = BALANCED,
        photographs: tuple[Integers, Integers] | None = None,
    ) -> "Threshold":
        """The best threshold for the scores of validation captions and hard negatives. ValueError if one is empty.

        photographs: of each true and of each false text; without them there are no limits for `--risk`.
        """
        chosen = best_threshold(true, false, criterion)
        calibration = calibrate(true, false)
        return cls(
            chosen,
            str(criterion),
            "validation",
            **rates(true, false, chosen)._asdict(),
            slope=calibration.slope,
            intercept=calibration.intercept,
            epoch=epoch,
            limits=() if photographs is None else find_limits(true, photographs[0], false, photographs[1], chosen),
        )

    @property
    def calibration(self) -> Calibration:
        balanced = self.criterion == str(BALANCED)  # any other criterion accepts texts below, or refuses above, 1/2
        return Calibration(self.slope, self.intercept, self.threshold if balanced else None)


def save_threshold(folder: Path, threshold: Threshold) -> None:
    write_json(folder / THRESHOLD, asdict(threshold))


def save_best(folder: Path, model: SiameseModel, threshold: Threshold, tokenizer: Tokenizer) -> None:
    """Write the weights with the hash of their words, then their threshold. The world of earlier weights is removed."""
    (folder / WORLD).unlink(missing_ok=True)
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    metadata = {"format": str(FORMAT), "epoch": str(threshold.epoch), "vocabulary": hash_of_words(tokenizer)}
    write_atomically(folder / WEIGHTS, lambda path: save_tensors(tensors, path, metadata))
    save_threshold(folder, threshold)


class LoadedModel(NamedTuple):
    """A trained model, ready for use."""

    model: Scorer
    tokenizer: Tokenizer
    config: Config.Config
    threshold: Threshold


def _why_incomplete(folder: Path, absent: str) -> str:
    """What is wrong with a folder that lacks a file of a model, and the command that fixes it."""
    if not folder.is_dir():
        same_name = Path("Models") / folder.name
        fix = f"write {same_name}" if same_name.is_dir() else "train a model with: python Main_train.py"
        return f"there is no folder {folder}; {fix}"
    if (folder / POINTER).is_file():
        return f"the training of {folder} has not finished an epoch; go on with the same command and --resume"
    return f"no {absent} in {folder}; train a model with: python Main_train.py"


def load_model(folder: Path, device: torch.device) -> LoadedModel:
    """Load a trained model from its folder: config.json, vocabulary.json, best.safetensors, threshold.json.

    A model of this version also has world.safetensors, see common/world.py. In a folder of Prepare_weights.py a frozen
    pretrained backbone has a file of its own, backbone.safetensors.

    FileNotFoundError or ValueError names the file that is absent or of another version.
    """
    for name in (CONFIG, VOCABULARY, WEIGHTS, THRESHOLD):
        if not (folder / name).is_file():
            raise FileNotFoundError(_why_incomplete(folder, name))
    tokenizer, config, threshold = read_settings(
        lambda name: read_bytes(folder / name), named=lambda name: str(folder / name)
    )
    weights = read_weights(folder)
    if (found := weights.facts.get("format")) != str(FORMAT):
        raise ValueError(f"{folder} has model format {found}, this version reads {FORMAT}; train the model again")
    if (epoch := weights.facts.get("epoch")) is None:
        raise ValueError(f"{folder / WEIGHTS} does not say of which epoch it is; {FIX}")
    if epoch != str(threshold.epoch):
        fix = "finish the training with --resume" if (folder / POINTER).is_file() else FIX
        raise ValueError(
            f"{folder} holds the weights of epoch {epoch} and the threshold of epoch {threshold.epoch}; {fix}"
        )
    check_words(tokenizer, weights.facts.get("vocabulary"), str(folder / VOCABULARY))
    model = build(
        lambda: SiameseModel(len(tokenizer), config.backbone, config.model, side=config.data.side), weights, folder
    )
    model.world = load_world(folder, threshold.epoch, model.backbone.channels)
    model = model.to(device).eval()
    try:
        try_out(model, config, tokenizer)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{folder} holds files of different models, or a damaged one: {error}; {FIX}") from error
    return LoadedModel(model, tokenizer, config, threshold)


class Settings(NamedTuple):
    """What a model has beside its weights."""

    tokenizer: Tokenizer
    config: Config.Config
    threshold: Threshold


def read_settings(read: Callable[[str], bytes], named: Callable[[str], str] = str) -> Settings:
    """The vocabulary, the settings and the threshold of a model folder or a bundle, checked.

    read: file name -> its bytes; named: file name -> how a message names the file. ValueError if one is damaged or of
    another version.
    """
    tokenizer = parse_vocabulary(read(VOCABULARY), named(VOCABULARY))
    stored = read(CONFIG)
    check(parse_json(stored, named(CONFIG)), Config.Config, named(CONFIG))
    try:
        config = Config.from_json(stored.decode("utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{named(CONFIG)} does not fit this version: {error}") from error
    return Settings(tokenizer, config, parse_threshold(read(THRESHOLD), named(THRESHOLD)))


def parse_threshold(data: bytes, name: str) -> Threshold:
    """The threshold of a model. ValueError names the file and the value that no threshold has."""
    values = check(parse_json(data, name), Threshold, name)
    try:
        found = Threshold(**values)
    except TypeError as error:
        raise ValueError(f"{name} does not fit this version: {error}; {FIX}") from error
    fractions = found.balanced_accuracy, found.recall, found.specificity, *found.accuracies.values()
    limits = [limit for each in found.limits for limit in (each.lower, each.upper) if limit is not None]
    possible = {
        "the threshold is no score": max(map(abs, (found.threshold, *limits))) <= HIGHEST,
        "a rate is not between 0 and 1": min(fractions) >= 0 and max(fractions) <= 1,
        "the slope or the epoch is negative": found.slope >= 0 and found.epoch >= 0,
        "a risk is not between 0 and 1": all(0 < each.risk < 1 for each in found.limits),
    }
    if wrong := [what for what, holds in possible.items() if not holds]:
        raise ValueError(f"{name} is damaged: {wrong[0]}; {FIX}")
    return found


@torch.no_grad()
def try_out(model: Scorer, config: Config.Config, tokenizer: Tokenizer) -> None:
    """Score one picture with the last word of the vocabulary. ValueError if weights, settings and vocabulary belong to
    different models, or give NaN; torch's and onnxruntime's exceptions if they cannot be computed."""
    side, width = config.data.side, config.model.width
    picture = model.encode_pictures(torch.zeros(1, 3, side, side, dtype=torch.uint8, device=model.device))
    text = model.encode_texts(torch.tensor([[1, len(tokenizer) - 1]], device=model.device))
    patches, words = model.picture_parts(picture)[1].shape[1], model.text_parts(text)[1].shape[1]
    fits = picture.shape[2:] == text.shape[2:] == (width,)
    if model.scores_words:
        fits = fits and words == 2 and patches >= 1 and math.isqrt(patches) ** 2 == patches
    else:
        fits = fits and words == patches == 0
    scores = model.pair_scores(picture, text) + model.pair_ranking(picture, text) if fits else None
    if scores is None or not scores.isfinite().all():
        found = f"pictures {tuple(picture.shape)}, texts {tuple(text.shape)}, score {scores and scores.item()}"
        raise ValueError(f"its weights and its settings belong to different models: {found}")


def save_state(folder: Path, epoch: int, step: int, state: Mapping[str, Any]) -> None:
    """Write a checkpoint for `--resume`. epoch, step: completed epochs, and completed steps of the current epoch.

    The pointer last.json is written last, so a kill or a full disk leaves a valid checkpoint, this or the earlier one.
    """
    name = f"last-{epoch:04d}-{step:06d}.pt"
    write_atomically(folder / name, lambda path: save_torch(state, path))
    write_json(folder / POINTER, {"format": FORMAT, "epoch": epoch, "step": step, "state": name})
    for old in folder.glob("last-*.pt"):
        if old.name != name:
            old.unlink()


def save_torch(state: Mapping[str, Any], path: Path) -> None:
    with path.open("wb") as file:  # given a path, torch's error would not give the reason
        torch.save(dict(state), file)


def load_state(folder: Path) -> dict[str, Any]:
    """The last checkpoint. FileNotFoundError if there is none, ValueError if it cannot be read, or is damaged."""
    return read_state(find_state(folder))


def find_state(folder: Path) -> Path:
    """The file of the last checkpoint. FileNotFoundError if there is none, ValueError if last.json is damaged."""
    pointer = folder / POINTER
    if not pointer.is_file():
        raise FileNotFoundError(f"no checkpoint in {folder}; start again with --overwrite instead of --resume")
    with damaged_checkpoint(pointer):
        last = check(read_json(pointer), {"format": int, "state": str}, str(pointer), needed=True)
        if last["format"] == FORMAT and not re.fullmatch(r"last-\d+-\d+\.pt", last["state"]):
            raise ValueError(f"{pointer} names {last['state'][:40]!r}, which is no checkpoint")
    if last["format"] != FORMAT:
        raise ValueError(f"{pointer} has format {last['format']}, this version reads {FORMAT}; {AGAIN}")
    return folder / last["state"]


def read_state(path: Path, needed: Mapping[str, Any] = NOTHING) -> dict[str, Any]:
    """A checkpoint. ValueError if it is damaged. needed: key -> type of what it must hold, for example STATE."""
    with damaged_checkpoint(path):
        state = read_state_dict(path)
        check_finite(state, path)
        check(state, needed, str(path), needed=True)
        if "progress" in needed:
            progress = check(state["progress"], PROGRESS, f"progress in {path}", needed=True)
            if min(value for value in progress.values() if isinstance(value, int)) < 0:
                raise ValueError(f"progress in {path} has a negative number")
        return state


@contextlib.contextmanager
def damaged_checkpoint(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a checkpoint into one line with the name of the file."""
    try:
        yield
    except (ValueError, RuntimeError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        reason = " ".join((str(error) or type(error).__name__).split())
        named = reason if str(path) in reason else f"{path} is damaged: {textwrap.shorten(reason, 200)}"
        raise ValueError(f"{named.removesuffix(f'; {FIX}')}; {AGAIN}") from error
