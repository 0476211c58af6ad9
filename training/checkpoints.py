"""The folder of a model: its weights and threshold, and the checkpoints that training is resumed from."""

import json
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

import Config
from Architectures import SiameseModel
from common.metrics import BALANCED, Calibration, Criterion, Floats, Integers, best_threshold, calibrate, rates
from common.risk import Limits, find_limits
from common.scores import Scorer
from common.storage import (
    BACKBONE,
    CONFIG,
    POINTER,
    THRESHOLD,
    VOCABULARY,
    WEIGHTS,
    WORLD,
    read_state_dict,
    write_atomically,
    write_json,
)
from common.world import load_world
from Tokenizer_lib import Tokenizer

FORMAT = 1  # of the model folder
OF_BACKBONE = "backbone.network."  # start of the names of a pretrained backbone's weights, in a whole model


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


def save_best(folder: Path, model: SiameseModel, threshold: Threshold) -> None:
    """Write the weights, then their threshold. The world of earlier weights is removed."""
    (folder / WORLD).unlink(missing_ok=True)
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
    tokenizer = Tokenizer.load(folder / VOCABULARY)
    try:
        config = Config.from_json((folder / CONFIG).read_text(encoding="utf-8"))
        threshold = Threshold(**json.loads((folder / THRESHOLD).read_text(encoding="utf-8")))
        with safe_open(folder / WEIGHTS, "pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if (folder / BACKBONE).is_file() and not any(name.startswith(OF_BACKBONE) for name in state):
            state |= {OF_BACKBONE + name: value for name, value in read_state_dict(folder / BACKBONE).items()}
    except (SafetensorError, TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{folder} does not hold a model of this version: {error}") from error
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
        reason = textwrap.shorten(str(error).partition("\n")[2] or str(error), 120)
        raise ValueError(
            f"the weights in {folder} do not fit its config.json, or are of another version; train the model again. "
            f"{reason}"
        ) from error
    model.world = load_world(folder, threshold.epoch, model.backbone.channels)
    return LoadedModel(model.to(device).eval(), tokenizer, config, threshold)


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
    """The last checkpoint. FileNotFoundError if there is none, ValueError if it cannot be read."""
    pointer = folder / POINTER
    if not pointer.is_file():
        raise FileNotFoundError(f"no checkpoint in {folder}; start without --resume")
    last = json.loads(pointer.read_text(encoding="utf-8"))
    if last.get("format") != FORMAT:
        raise ValueError(
            f"{pointer} has format {last.get('format')}, this version reads {FORMAT}; train again with --overwrite"
        )
    return read_state_dict(folder / last["state"])
