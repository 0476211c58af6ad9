"""Copy what a trained model needs for use, without the checkpoints of its training: a folder to share.

    python Miscellaneous_scripts/Prepare_weights.py --model Models/scenes --out Models/scenes-light [--half]

It has the weights, the vocabulary, the settings and the threshold, and the list of the photographs that the model was
trained on, so that an evaluation can leave them out; no checkpoints and no results. With --half the weights take half
the space; they are converted back to float32 when they are loaded.
"""

import functools
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.command_line import fail, read_command_line
from common.storage import CONFIG, PHOTOGRAPHS, THRESHOLD, VOCABULARY, WEIGHTS, write_atomically
from Config import require
from judging.bundle import largest_difference
from training.checkpoints import load_model

COPIED = (CONFIG, VOCABULARY, THRESHOLD, PHOTOGRAPHS)


@dataclass(frozen=True)
class PrepareConfig:
    """What to copy, and where to."""

    out: str | None = None
    """Folder to write."""
    model: str = "Models/scenes"
    """Folder of the trained model."""
    half: bool = False
    """Store the weights as float16."""
    overwrite: bool = False
    """Write into a folder that holds something, and replace an earlier model there."""

    def __post_init__(self) -> None:
        require(self.out is not None, "add --out DIR")
        same = Path(self.out or "").resolve() == Path(self.model).resolve()
        require(not same, f"--out {self.out} is the model itself: name another folder")


def main(args: Sequence[str] | None = None) -> None:
    settings = read_command_line(PrepareConfig, __doc__ or "", args)
    model, out = Path(settings.model), Path(settings.out or "")
    try:
        require(not out.exists() or out.is_dir(), f"--out {out} is no folder")
        is_free = settings.overwrite or not out.is_dir() or not any(out.iterdir())
        require(is_free, f"{out} is not empty; write into it all the same with --overwrite")
        loaded = load_model(model, torch.device("cpu"))
        files = prepare(model, out, settings.half)
        light = load_model(out, torch.device("cpu"))
    except (ValueError, OSError) as error:
        fail(str(error))
    before, after = size_of(list(model.rglob("*"))), size_of(files)
    print(f"written: {out}, {after / 1e6:.2f} MB; {model} has {before / 1e6:.2f} MB")
    for name, folder in (("before", model), ("after", out)):
        print(f"  weights {name}: {size_of([folder / WEIGHTS]) / 1e6:.2f} MB")
    if settings.half:
        change = largest_difference(loaded, light)
        print(f"float16: on drawn scenes no score of a text or a word changed by more than {change:.1e}")


def prepare(model: Path, out: Path, half: bool) -> list[Path]:
    """Write the folder and return its files.

    ValueError if the weights do not fit into float16, OSError if the folder cannot be written.
    threshold.json is removed first and written last, so that a half-written folder does not load.
    """
    with safe_open(model / WEIGHTS, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if half:
        tensors = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
        too_large = [name for name, value in tensors.items() if not value.isfinite().all()]
        if too_large:
            raise ValueError(f"float16 ends at 65,504, and {too_large[0]} has more; leave --half away")
    out.mkdir(parents=True, exist_ok=True)
    (out / THRESHOLD).unlink(missing_ok=True)
    write_atomically(out / WEIGHTS, lambda path: save_file(tensors, path, metadata))
    (out / WEIGHTS).chmod(0o644)  # safetensors files are readable by their owner only, and this one is to be shared
    (out / PHOTOGRAPHS).unlink(missing_ok=True)  # of an earlier model, if this one has no list
    copied = [name for name in COPIED if (model / name).is_file()]
    for name in copied:
        write_atomically(out / name, functools.partial(shutil.copyfile, model / name))
    return [out / name for name in (WEIGHTS, *copied)]


def size_of(paths: Sequence[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())


if __name__ == "__main__":
    main()
