"""Vectors of the pictures of a table: the most recent ones are kept, for the next rows with the same picture.

A table whose rows are in random order has the same pictures in many of its parts. With this cache each is encoded once,
as in a table that is sorted by picture, as long as the vectors of the different pictures fit into MOST bytes.

Shapes: N pictures, V vectors of a picture, D their width.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from evaluation import scoring
from training.checkpoints import LoadedModel

# Bytes of vectors: 5,000 photographs of Models/photos (208 kB each), 21,000 scenes of Models/scenes-small (49 kB).
MOST = 2**30

Key = tuple[str, int, int]  # path, time of the last change in nanoseconds, size in bytes


class Kept(NamedTuple):
    """A picture as the model sees it."""

    vectors: Tensor  # (V, D), on the CPU
    unlike: float  # see scoring.Pictures


class PictureCache:
    """The vectors of the pictures that were used last, of one model."""

    def __init__(self, loaded: LoadedModel, most: int = MOST):
        self.loaded, self.most = loaded, most
        self.bytes = 0
        self.kept: OrderedDict[Key, Kept] = OrderedDict()  # the one that was used last is the last

    def encode(self, places: Mapping[str, Path], errors: dict[str, ValueError | OSError]) -> scoring.Pictures:
        """The N pictures at these places, by name; an unreadable one is black and gets an entry in `errors`."""
        keys = {name: key_of(path) for name, path in places.items()}
        found = {name: kept for name, key in keys.items() if (kept := self._find(key)) is not None}
        absent = {name: path for name, path in places.items() if name not in found}
        if not absent:
            return _joined(found.values(), self.loaded.model.device)
        prepared = scoring.prepare_files(self.loaded, absent, errors)
        encoded = scoring.encode_and_measure(self.loaded, prepared, len(absent))
        new = dict(zip(absent, map(Kept, encoded.vectors.cpu(), encoded.unlike.tolist())))
        for name, kept in new.items():
            if name not in errors:
                self._keep(keys[name], kept)
        if not found:
            return encoded
        found |= new
        return _joined([found[name] for name in places], self.loaded.model.device)

    def _find(self, key: Key | None) -> Kept | None:
        if key is None or key not in self.kept:
            return None
        self.kept.move_to_end(key)
        return self.kept[key]

    def _keep(self, key: Key | None, picture: Kept) -> None:
        if key is None or key in self.kept:
            return
        self.kept[key] = picture._replace(vectors=picture.vectors.clone())  # without the rest of its batch
        self.bytes += picture.vectors.nbytes
        while self.bytes > self.most:
            _, oldest = self.kept.popitem(last=False)
            self.bytes -= oldest.vectors.nbytes


def key_of(path: Path) -> Key | None:
    """What names the content of a file; None if there is no such file."""
    try:
        state = path.stat()
    except (OSError, ValueError):  # ValueError: a null character in the name
        return None
    return str(path), state.st_mtime_ns, state.st_size


def _joined(pictures: Iterable[Kept], device: torch.device) -> scoring.Pictures:
    vectors, unlike = zip(*pictures)
    return scoring.Pictures(torch.stack(vectors).to(device), np.array(unlike, dtype=np.float32))
