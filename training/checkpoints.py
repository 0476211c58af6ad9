"""The folder of a model: weights for use with their threshold, and checkpoints that training goes on from."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

import Config
from Architectures import Scorer, SiameseModel
from common.metrics import BALANCED, Calibration, Criterion, Floats, best_threshold, calibrate, rates
from common.storage import (
    CONFIG,
    POINTER,
    THRESHOLD,
    VOCABULARY,
    WEIGHTS,
    read_state_dict,
    write_atomically,
    write_json,
)
from Tokenizer_lib import Tokenizer

FORMAT = 1  # of the model folder


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
    write_json(folder / THRESHOLD, asdict(threshold))


def save_best(folder: Path, model: SiameseModel, threshold: Threshold) -> None:
    """Weights for use, then the threshold that belongs to them."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    metadata = {"format": str(FORMAT), "epoch": str(threshold.epoch)}
    write_atomically(folder / WEIGHTS, lambda path: save_file(tensors, path, metadata))
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
    for name in (CONFIG, VOCABULARY, WEIGHTS, THRESHOLD):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"no {name} in {folder}; train a model with: python Main_train.py")
    tokenizer = Tokenizer.load(folder / VOCABULARY)
    try:
        config = Config.from_json((folder / CONFIG).read_text(encoding="utf-8"))
        threshold = Threshold(**json.loads((folder / THRESHOLD).read_text(encoding="utf-8")))
        with safe_open(folder / WEIGHTS, "pt") as file:
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
    model = SiameseModel(len(tokenizer), config.backbone, config.model, side=config.data.side)
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
    write_json(folder / POINTER, {"format": FORMAT, "epoch": epoch, "step": step, "state": name})
    for old in folder.glob("last-*.pt"):
        if old.name != name:
            old.unlink()


def save_torch(state: Mapping[str, Any], path: Path) -> None:
    with path.open("wb") as file:  # given a path, torch would not tell why it cannot write
        torch.save(dict(state), file)


def load_state(folder: Path) -> dict[str, Any]:
    """What `save_state` wrote last; FileNotFoundError if there is no checkpoint, ValueError if it cannot be read."""
    pointer = folder / POINTER
    if not pointer.is_file():
        raise FileNotFoundError(f"no checkpoint in {folder}; start without --resume")
    last = json.loads(pointer.read_text(encoding="utf-8"))
    if last.get("format") != FORMAT:
        raise ValueError(f"{pointer} has format {last.get('format')}, this version reads {FORMAT}; start anew")
    return read_state_dict(folder / last["state"])
