"""Files that others rely on: atomic writes, weights, the files of a model, and the format numbers of a database.

torch is imported only where weights are read: most users of this module need none of it.
"""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

if TYPE_CHECKING:
    from torch import Tensor

# Files of a model's folder
CONFIG, VOCABULARY, WEIGHTS, THRESHOLD = "config.json", "vocabulary.json", "best.safetensors", "threshold.json"
PHOTOGRAPHS = "photographs.txt"  # that the model was trained on
POINTER, FAILED = "last.json", "failed.pt"  # names the last checkpoint; what is left of a run with a NaN loss

SPLITS = ("train", "validation", "test")  # from the laxest to the strictest
DATABASE_FORMAT = 2  # raised when a reader of the old format could not read the new one
PARSE_FORMAT = 1  # of the stored parses; raised when Parse gets other fields, or from_doc puts something else into them


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


def read_state_dict(path: Path) -> "dict[str, Tensor]":
    """Tensors of a .safetensors or torch file; nothing in the file is executed."""
    import torch
    from safetensors.torch import load_file

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
