"""Atomic writes, reading weights, and the names and format numbers of files.

torch is imported only where weights are read: most users of this module do not need it.
"""

import csv
import json
import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from safetensors import SafetensorError

if TYPE_CHECKING:
    from torch import Tensor

# Files of a model's folder
CONFIG, VOCABULARY, WEIGHTS, THRESHOLD = "config.json", "vocabulary.json", "best.safetensors", "threshold.json"
WORLD = "world.safetensors"  # what it has seen, see common/world.py
BACKBONE = "backbone.safetensors"  # a frozen pretrained backbone, in a folder that Prepare_weights.py has made
PHOTOGRAPHS = "photographs.txt"  # the photographs of its training
POINTER, FAILED = "last.json", "failed.pt"  # the name of the last checkpoint; the state at a NaN loss

SPLITS = ("train", "validation", "test")  # a photograph that sources put into several goes to the last of them
DATABASE_FORMAT = 3  # raised when older versions of the program cannot read the new format
PARSE_FORMAT = 1  # of the stored parses; raised when the fields of Parse, or their contents, change


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Call write(temporary path), then rename that file to `path`: a reader sees the complete old or new file.

    OSError if the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (RuntimeError, SafetensorError) as error:  # how torch and safetensors report a full disk
        if str(error).startswith("DataLoader worker"):  # torch raises its loss wherever the program is
            raise
        raise OSError(f"cannot write {path}: {error.__context__ or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, lambda p: p.write_text(text, encoding="utf-8"))


def csv_writer(file: TextIO, delimiter: str = ",") -> Any:
    """A csv.writer whose lines end with \\n, for a file that was opened with newline="".

    Every value is read back as it was. With lineterminator="\\n", csv of Python 3.11 would not quote one with \\r.
    """
    return csv.writer(_UnixLines(file), delimiter=delimiter)


class _UnixLines:
    def __init__(self, file: TextIO):
        self.file = file

    def write(self, line: str) -> int:
        return self.file.write(line.removesuffix("\r\n") + "\n")


def save_tensors(tensors: "Mapping[str, Tensor]", path: Path, metadata: Mapping[str, str]) -> None:
    """Write a .safetensors file; equal contents give equal bytes. safetensors writes metadata in a random order."""
    from safetensors.torch import save_file

    save_file(dict(tensors), path, dict(metadata))
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(metadata.items()))
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        assert len(text) <= size, "only the order has changed"
        file.seek(8)
        file.write(text.ljust(size))


def read_state_dict(path: Path) -> "dict[str, Tensor]":
    """Tensors of a .safetensors or torch file; nothing in the file is executed."""
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's message would explain how to execute the file
        reason = "it is damaged, or holds more than tensors and plain values; nothing in it was executed"
        raise ValueError(f"cannot read weights from {path}: {reason}") from error
    except Exception as error:  # torch, zip and safetensors each raise their own, for an empty file without a message
        reason = (str(error) or "it is empty or cut off").splitlines()[0][:200]
        raise ValueError(f"cannot read weights from {path}: {reason}") from error
