"""Copy a trained model without the checkpoints of its training: a folder to share.

    python Miscellaneous_scripts/Prepare_weights.py --out DIR [--half]

The copy has the weights, the vocabulary, the settings, the threshold, what the model has seen (world.safetensors), and
the list of the photographs that it was trained on (an evaluation leaves them out). It has no checkpoints and no
results. With --half the weights are stored in about half the space; all are float32 again when they are loaded.
A frozen pretrained backbone gets a file of its own, backbone.safetensors, which --backbone.weights can read too.
"""

import functools
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tyro.conf import arg

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.checked import hash_of_words
from common.command_line import fail, read_command_line
from common.storage import (
    BACKBONE,
    CONFIG,
    PHOTOGRAPHS,
    THRESHOLD,
    VOCABULARY,
    WEIGHTS,
    WORLD,
    save_tensors,
    write_atomically,
)
from Config import require
from judging.bundle import largest_difference
from training.checkpoints import load_model
from training.weights import OF_BACKBONE

COPIED = (CONFIG, VOCABULARY, THRESHOLD, PHOTOGRAPHS, WORLD)


@dataclass(frozen=True)
class PrepareConfig:
    """What is copied, and to which folder."""

    out: Annotated[str | None, arg(metavar="DIR", help_behavior_hint="(required)")] = None
    """Folder of the copy."""
    model: Annotated[str, arg(metavar="DIR")] = "Models/scenes"
    """Folder of the trained model."""
    half: bool = False
    """Store the weights as float16, except those of norms and biases."""
    overwrite: bool = False
    """Write into a folder that is not empty, and replace the model in it."""

    def __post_init__(self) -> None:
        require(self.out is not None, "name the folder of the copy with --out DIR")
        same = Path(self.out or "").resolve() == Path(self.model).resolve()
        require(not same, f"--out {self.out} is the folder of the model itself; choose another folder")


def main(args: Sequence[str] | None = None) -> None:
    settings = read_command_line(PrepareConfig, __doc__ or "", args)
    model, out = Path(settings.model), Path(settings.out or "")
    try:
        require(not out.exists() or out.is_dir(), f"--out {out} is a file; choose a folder")
        is_free = settings.overwrite or not out.is_dir() or not any(out.iterdir())
        require(is_free, f"--out {out} is not empty; choose another folder, or write into it with --overwrite")
        loaded = load_model(model, torch.device("cpu"))
        words = hash_of_words(loaded.tokenizer)
        files = prepare(model, out, settings.half, loaded.config.backbone.frozen, words)
        light = load_model(out, torch.device("cpu"))
    except (ValueError, OSError) as error:
        fail(str(error))
    before, after = size_of(list(model.rglob("*"))), size_of(files)
    print(f"written: {out}, {after / 1e6:.2f} MB; {model} has {before / 1e6:.2f} MB")
    for name, folder in (("before", model), ("after", out)):
        print(f"  weights {name}: {size_of([folder / WEIGHTS, folder / BACKBONE]) / 1e6:.2f} MB")
    if settings.half:
        change = largest_difference(loaded, light)
        print(f"float16: scores of texts and words on drawn scenes changed by at most {change:.1e}")


def prepare(model: Path, out: Path, half: bool, frozen: bool = False, words: str | None = None) -> list[Path]:
    """Write the folder and return its files. frozen: the backbone gets a file of its own; words: their hash.

    ValueError if a weight is too large for float16, OSError if the folder cannot be written.
    threshold.json is removed first and written last, so that an incomplete folder cannot be loaded.
    """
    with safe_open(model / WEIGHTS, "pt") as file:
        metadata = file.metadata()
        if words is not None:
            metadata = {**metadata, "vocabulary": words}  # models of earlier versions have none
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if half:
        # Scales, biases and statistics of norms stay float32: they are 0.5 % of a ResNet-50, and with all of them exact
        # the backbone is that of the training, so that its cached features can be used.
        tensors = {
            name: value.half() if value.is_floating_point() and value.ndim > 1 else value
            for name, value in tensors.items()
        }
        too_large = [name for name, value in tensors.items() if not value.isfinite().all()]
        if too_large:
            raise ValueError(f"{too_large[0]} has a weight above 65,504, the maximum of float16; drop --half")
    backbone = {name: value for name, value in tensors.items() if frozen and name.startswith(OF_BACKBONE)}
    rest = {name: value for name, value in tensors.items() if name not in backbone}
    out.mkdir(parents=True, exist_ok=True)
    for name in (THRESHOLD, BACKBONE, PHOTOGRAPHS, WORLD):  # all but the first can be those of an earlier model
        (out / name).unlink(missing_ok=True)
    written = [WEIGHTS]
    write_atomically(out / WEIGHTS, lambda path: save_tensors(rest, path, metadata))
    if backbone:
        written.append(BACKBONE)
        named = {name.removeprefix(OF_BACKBONE): value for name, value in backbone.items()}
        write_atomically(out / BACKBONE, lambda path: save_file(named, path))
    for name in written:
        (out / name).chmod(0o644)  # safetensors makes files that only their owner can read; these are to be shared
    copied = [name for name in COPIED if (model / name).is_file()]
    for name in copied:
        write_atomically(out / name, functools.partial(shutil.copyfile, model / name))
    return [out / name for name in (*written, *copied)]


def size_of(paths: Sequence[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())


if __name__ == "__main__":
    main()
