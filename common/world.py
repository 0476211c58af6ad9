"""What a model has seen: how unlike its training pictures is a new one?

The backbone's features of a picture, averaged over its cells and scaled to length 1, are compared with 256 centres of
those of the training pictures. Training writes the centres beside the weights (`evaluation/world.py` makes them).

The scaling matters. AUROC of drawn scenes against photographs: for the backbone of `scenes-small`, which knows scenes,
0.9998 with it and without it; for ResNet-50 with centres of photographs 1.000 with it, 0.92 without it, and 0.97 if
channels are standardised instead.

Shapes: N pictures, K centres, C channels and h x w cells of the backbone's features.
"""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from common.checked import FIX, parse_json
from common.storage import WORLD, save_tensors, write_atomically

FORMAT = 1
CENTRES = 256  # of the training pictures
STEPS = 20  # of k-means; the centres hardly move after 10
WITHIN = 0.99  # fraction of the validation pictures whose distance is at most the limit, without its margin
# Photographs of another source are somewhat farther away, and drawings much: with a limit that is a tenth higher, a
# judge of Flickr8k finds 19 % of COCO's photographs strange instead of 52 %, and 98 % of drawn scenes instead of all; a
# judge of drawn scenes finds 99 % of photographs strange.
MARGIN = 1.1


class World(nn.Module):
    """The centres of the training pictures, and the distance from the nearest one beyond which a picture is outside."""

    centres: Tensor

    def __init__(self, centres: Tensor, limit: float, pictures: str = "", count: int = 0, epoch: int = 0):
        """centres: (K, C), of vectors of length 1; limit: a distance.

        pictures: what it was trained on, for example "drawn scenes"; count: how many; epoch: of the weights.
        """
        super().__init__()
        self.register_buffer("centres", centres.half().float())  # as in the file
        self.limit, self.pictures, self.count, self.epoch = limit, pictures, count, epoch

    @classmethod
    def measure(cls, train: Tensor, validation: Tensor, pictures: str = "", count: int = 0, epoch: int = 0) -> "World":
        """The world of pooled features (N, C) of training pictures, with the limit from those of validation pictures.

        With the correction for a finite sample: a new picture of the same kind is outside in at most 1 % of the cases,
        if there are at least 99 validation pictures. With fewer the limit is their largest distance. MARGIN is on top.
        """
        world = cls(find_centres(F.normalize(train)), 1.0, pictures, count, epoch)
        distances = world.distances(validation).sort().values
        rank = min(len(distances), math.ceil(WITHIN * (len(distances) + 1)))
        # The last digits of a distance depend on where its tensors lie in memory; a run that is resumed must end with
        # the same file as one that was not stopped.
        world.limit = float(f"{max(MARGIN * float(distances[rank - 1]), torch.finfo(torch.float32).tiny):.3g}")
        return world

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, h, w) -> (N,): distance from the nearest centre in units of the limit; above 1 is outside."""
        return self.distances(pool(features)) / self.limit

    def distances(self, pooled: Tensor) -> Tensor:
        """Distances (N,) of pooled features (N, C) from their nearest centre."""
        with torch.autocast(pooled.device.type, enabled=False):
            pooled = F.normalize(pooled.float())
            squares = (pooled**2).sum(1, keepdim=True) + (self.centres**2).sum(1) - 2 * pooled @ self.centres.T
            return squares.amin(1).clamp(min=0).sqrt()

    @property
    def trained_on(self) -> str:
        """For example "6,036 drawn scenes"."""
        return f"{self.count:,} {self.pictures}" if self.pictures else ""


def pool(features: Tensor) -> Tensor:
    """Features (N, C, h, w) -> their means over the cells (N, C), in float32."""
    return features.float().mean((2, 3))


def find_centres(points: Tensor, count: int = CENTRES, seed: int = 0) -> Tensor:
    """k-means (Lloyd 1982) of points (N, C): centres (K, C), at most `count`. It begins with randomly drawn points."""
    generator = torch.Generator().manual_seed(seed)
    centres = points[torch.randperm(len(points), generator=generator)[:count]].clone()
    for _ in range(STEPS):
        nearest = torch.cdist(points, centres).argmin(1)
        members = torch.bincount(nearest, minlength=len(centres))[:, None]
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        centres = torch.where(members > 0, sums / members.clamp(min=1), centres)
    return centres


def save_world(folder: Path, world: World) -> None:
    """Write the world of a model into its folder."""
    facts = {"limit": world.limit, "pictures": world.pictures, "count": world.count, "epoch": world.epoch}
    metadata = {"format": str(FORMAT), "facts": json.dumps(facts)}
    tensors = {"centres": world.centres.cpu().half().contiguous()}
    write_atomically(folder / WORLD, lambda path: save_tensors(tensors, path, metadata))
    (folder / WORLD).chmod(0o644)  # safetensors makes files that only their owner can read


def load_world(folder: Path, epoch: int, channels: int) -> World | None:
    """The world of a model with weights of this epoch; None for a model of an earlier version, which has none.

    channels: of its backbone. ValueError if the file is damaged, of another version or of other weights.
    """
    path = folder / WORLD
    if not path.is_file():
        return None
    fix = f"delete it, and write it again with: python Evaluate_test.py --model {folder}"
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != str(FORMAT):
                raise ValueError(f"it has format {metadata.get('format')}, this version reads {FORMAT}")
            facts, centres = parse_json(metadata["facts"].encode(), "facts"), file.get_tensor("centres")
        world = World(centres, float(facts["limit"]), str(facts["pictures"]), int(facts["count"]), int(facts["epoch"]))
    except (SafetensorError, RuntimeError, LookupError, TypeError, ValueError, OverflowError) as error:
        reason = str(error).removesuffix(f"; {FIX}")[:200]  # the file can be made again without a training
        raise ValueError(f"cannot read {path}: {reason}; {fix}") from error
    is_whole = centres.ndim == 2 and len(centres) > 0 and centres.is_floating_point() and centres.isfinite().all()
    if centres.shape[1:] != (channels,) or not is_whole or not 0 < world.limit < math.inf:
        raise ValueError(f"{path} does not fit the weights beside it; {fix}")
    if world.epoch != epoch:
        raise ValueError(
            f"{path} is of the weights of epoch {world.epoch}, those beside it are of epoch {epoch}; {fix}"
        )
    return world
