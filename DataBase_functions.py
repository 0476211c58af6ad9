"""The opened database: splits, batches, augmentation, negatives on the fly, and the cache of backbone features.

Everything random is drawn from (seed, epoch, row), never from a shared generator: a sample is the same whatever the
number of loader processes, after a resume, and in whatever order it is read.
"""

import contextlib
import hashlib
import io
import json
import os
import random
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm import tqdm

from Architectures import SiameseModel, import_torchvision
from Config import AugmentConfig, DatabaseConfig, DataConfig, NegativesConfig
from Functions import TextBatch
from Negative_map import Negative, Parse
from Negative_plan import Plan
from Negative_words import CATEGORIES
from Tokenizer_lib import Tokenizer, Word, split_words

# Of the database and of its parses; those of Database_units.py, whose imports a training process does without.
FORMAT = 2
PARSE_FORMAT = 1
SPLITS = ("train", "validation", "test")
PREPROCESSING = 1  # of the feature cache: counts up when pictures are prepared in another way

# A mirror image of these is false or unreadable.
SIDED = {"left", "right", "leftmost", "rightmost", "left-hand", "right-hand", "clockwise"}
WRITTEN = {"sign", "signs", "letters", "lettering", "words", "number", "text", "writing", "written", "logo"}
COLOURED = {word for group in CATEGORIES["colour"] for word in group} | {
    *("color", "colour", "colors", "colours", "colored", "coloured", "colorful", "colourful"),
    *("dark", "bright", "light", "blond", "blonde"),
}


class Caption(NamedTuple):
    """A true text of a photograph."""

    text: str
    kind: str
    source: str  # the dataset it comes from


class Database:
    """A database folder, memory-mapped: opening reads no picture, and a row is read when it is asked for."""

    def __init__(self, folder: Path):
        """FileNotFoundError or ValueError tells the command that mends it."""
        self.folder = Path(folder)
        if not (self.folder / "manifest.json").is_file():
            raise FileNotFoundError(f"no database at {self.folder}; {DatabaseConfig.how_to_build(self.folder)}")
        state = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
        if state.get("format") != FORMAT:
            raise ValueError(
                f"{self.folder} has database format {state.get('format', 1)}, this version reads {FORMAT}; "
                f"{DatabaseConfig.how_to_build(self.folder, '--overwrite')}"
            )
        if (found := state.get("parse_format", 1)) != PARSE_FORMAT:
            raise ValueError(
                f"{self.folder} has parse format {found}, this version reads {PARSE_FORMAT}; parse its captions anew "
                f"with: {DatabaseConfig.command(self.folder, '--reparse')}"
            )
        self.fingerprint: str = state["fingerprint"]
        # That of the build which stored the pictures: a new parse leaves what is cached of them valid.
        self.picture_fingerprint: str = state.get("picture_fingerprint", self.fingerprint)
        files = [self.folder / part["filename"] for part in state["_data_files"]]
        with ThreadPoolExecutor(16) as pool:  # a cold disk opens 176 files one after the other in 1 s, so in 0.6 s
            self.table = pa.concat_tables(pool.map(_open_arrow, files))
        self.ids: list[str] = self.table.column("image_id").to_pylist()
        self.groups: list[str] = self.table.column("group").to_pylist()
        self.split_of: list[str] = self.table.column("split").to_pylist()

    def __len__(self) -> int:
        return len(self.ids)

    def __reduce__(self) -> tuple[Callable, tuple[Path, str]]:
        """A loader process opens the files again instead of getting a copy of them."""
        return _open_again, (self.folder, self.fingerprint)

    def rows(self, split: str) -> list[int]:
        """Row numbers of a split, in stored order. ValueError if it is empty."""
        if split not in SPLITS:
            raise ValueError(f"there is no split {split!r}; choose from {', '.join(SPLITS)}")
        rows = [row for row, name in enumerate(self.split_of) if name == split]
        if not rows:
            raise ValueError(f"the {split} split of {self.folder} is empty; build it from other photographs too")
        return rows

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What went in and what was left out; it is read when it is asked for, since it may be long."""
        return json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))

    @cached_property
    def word_counts(self) -> dict[str, int]:
        """How often each word stands in the captions of the train split."""
        return json.loads((self.folder / "word_counts.json").read_text(encoding="utf-8"))

    def picture(self, row: int) -> Image.Image:
        """The stored picture, RGB."""
        stored = self.table.column("image")[row].as_py()
        return Image.open(io.BytesIO(stored["bytes"])).convert("RGB")

    def scene(self, row: int) -> dict[str, Any] | None:
        """What was drawn, for Scenes."""
        text = self.table.column("scene")[row].as_py()
        return None if text is None else json.loads(text)

    def captions(self, row: int) -> tuple[Caption, ...]:
        """All true texts of a photograph."""
        stored = self.table.column("captions")[row].values
        return tuple(map(Caption, *(stored.field(name).to_pylist() for name in Caption._fields)))

    def parses(self, row: int) -> list[Parse]:
        """The parses of all true texts of a photograph."""
        stored = self.table.column("captions")[row].as_py()
        return [Parse(caption["text"], **caption["parse"]) for caption in stored]

    @cached_property
    def plan(self) -> Plan:
        """What hard negatives are drawn from; its captions are those of the rows, in their order."""
        return Plan.open(self)


def _open_again(folder: Path, fingerprint: str) -> Database:
    database = Database(folder)
    if database.fingerprint != fingerprint:
        raise ValueError(f"{folder} was replaced while it was in use; start again")
    return database


def _open_arrow(file: Path) -> pa.Table:
    return pa.ipc.open_stream(pa.memory_map(str(file))).read_all()


def seeded(*key: object) -> random.Random:
    """A generator that depends on the key alone, on every machine."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return random.Random(int.from_bytes(digest, "big"))


def draw_negatives(
    plan: Plan, caption: int, count: int, rng: random.Random, settings: NegativesConfig, within: int | None = None
) -> list[Negative]:
    """Up to `count` different hard negatives of a caption; see `Plan.draw`."""
    found: dict[str, Negative] = {}
    for _ in range(2 * count):  # a few more tries, since two draws may agree
        negative = plan.draw(caption, rng, settings, within)
        if negative is not None:
            found.setdefault(negative.text, negative)
        if len(found) == count:
            break
    return list(found.values())


def changed_words(words: Sequence[Word], negative: Negative) -> list[int]:
    """Which words of a hard negative were changed; words: those of its text."""
    return [i for i, word in enumerate(words) if any(word.start < b and a < word.end for a, b in negative.changed)]


def prepare(picture: Image.Image, side: int) -> Tensor:
    """A picture as the model takes it: bytes (3, side, side).

    The whole picture is squeezed into the square: what a caption names must not be cut off.
    """
    if picture.size != (side, side):
        picture = picture.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return to_bytes(picture)


def to_bytes(picture: Image.Image) -> Tensor:
    """RGB picture -> (3, H, W) of bytes."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


def may_mirror(words: Set[str]) -> bool:
    """A mirror image keeps captions of these words true."""
    return words.isdisjoint(SIDED) and words.isdisjoint(WRITTEN)


def may_recolour(words: Set[str]) -> bool:
    """Another tint keeps captions of these words true."""
    return words.isdisjoint(COLOURED)


def augment(picture: Image.Image, words: Set[str], side: int, settings: AugmentConfig, rng: random.Random) -> Tensor:
    """A random variant of the picture of which captions of these words are still true, as bytes (3, side, side)."""
    if settings.flip and rng.random() < settings.flip and may_mirror(words):
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if settings.crop < 1:
        width, height = picture.size
        area = rng.uniform(settings.crop, 1.0) ** 0.5
        stretch = rng.uniform(0.9, 1.1)
        w, h = min(1.0, area * stretch) * width, min(1.0, area / stretch) * height
        x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
        picture = picture.resize((side, side), Image.Resampling.BICUBIC, box=(x, y, x + w, y + h), reducing_gap=2.0)
    tensor = prepare(picture, side)
    if settings.shift:
        most = round(settings.shift * side)
        dx, dy = rng.randint(-most, most), rng.randint(-most, most)
        columns = (torch.arange(side) - dx).clamp(0, side - 1)
        lines = (torch.arange(side) - dy).clamp(0, side - 1)
        tensor = tensor[:, lines][:, :, columns]
    if settings.jitter and may_recolour(words):
        import_torchvision()
        from torchvision.transforms.v2 import functional as change

        for adjust in (change.adjust_brightness, change.adjust_contrast, change.adjust_saturation):
            tensor = adjust(tensor, rng.uniform(1 - settings.jitter, 1 + settings.jitter))
    return tensor


@dataclass(frozen=True)
class Batch:
    """What one step of training or evaluation needs.

    N pictures, T captions, K hard negatives, L words of the longest text.
    """

    pictures: Tensor  # (N, 3, side, side) bytes, or (N, C, h, w) cached features
    words: Tensor  # (T + K, L) indices: captions, then hard negatives; 0 is padding
    owner: Tensor  # (T,) picture of each caption
    negative_of: Tensor  # (K,) caption of each hard negative
    changed: Tensor  # (K, L) which of its words were changed
    groups: Tensor  # (N,) identity of each photograph
    rows: tuple[int, ...]  # database rows of the pictures

    def to(self, device: torch.device) -> "Batch":
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        changed = {name: change(value) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **changed)  # type: ignore[arg-type]

    @property
    def texts(self) -> TextBatch:
        return TextBatch(self.owner, self.negative_of, self.changed, self.groups)


class Key(NamedTuple):
    """Which variant of which row: what the sampler hands to the dataset."""

    epoch: int
    row: int


class PairDataset(Dataset):
    """Photographs with some of their captions and fresh hard negatives, as a batch at a time.

    With `features` it hands out cached backbone output instead of pictures.
    """

    def __init__(
        self,
        database: Database,
        tokenizer: Tokenizer,
        data: DataConfig,
        negatives: NegativesConfig,
        augmentation: AugmentConfig | None,
        seed: int,
        features: "FeatureCache | None" = None,
    ):
        self.database, self.tokenizer, self.data = database, tokenizer, data
        self.negatives, self.augmentation, self.seed, self.features = negatives, augmentation, seed, features
        self.plan = database.plan

    def __getitem__(self, key: Key) -> Batch:
        return self.__getitems__([key])

    def __getitems__(self, keys: Sequence[Key]) -> Batch:
        pictures: list[Tensor] = []
        captions: list[list[int]] = []
        negatives: list[list[int]] = []
        changed: list[list[int]] = []
        owner: list[int] = []
        negative_of: list[int] = []
        most = self.data.max_words
        for n, key in enumerate(keys):
            rng = seeded(self.seed, key.epoch, self.database.ids[key.row])
            everything = self.plan.captions(key.row)
            said: set[str] = set()
            for which in rng.sample(everything, min(self.data.captions_per_picture, len(everything))):
                text = self.plan.text(which)
                split = split_words(text)
                within = split[most - 1].end if len(split) > most else None
                caption = self.tokenizer.encode_words(split[:most])
                for negative in draw_negatives(
                    self.plan, which, self.negatives.per_caption, rng, self.negatives, within
                ):
                    its_words = split_words(negative.text)[:most]
                    encoded = self.tokenizer.encode_words(its_words)
                    if encoded == caption:  # as far as the model reads; the label would be the opposite
                        continue
                    negative_of.append(len(captions))
                    negatives.append(encoded)
                    # Only a swap tells which words are false: what is exchanged is in the picture, and much of a mined
                    # caption may be.
                    changed.append(changed_words(its_words, negative) if negative.kind == "swap" else [])
                captions.append(caption)
                owner.append(n)
                said.update(word.text for word in split)
            pictures.append(self._picture(key.row, said, rng))
        identity: dict[str, int] = {}
        groups = [identity.setdefault(self.database.groups[key.row], len(identity)) for key in keys]
        words = pad(captions + negatives)
        marks = torch.zeros(len(negatives), words.shape[1], dtype=torch.bool)
        for line, positions in zip(marks, changed):
            line[positions] = True
        return Batch(
            torch.stack(pictures),
            words,
            torch.tensor(owner),
            torch.tensor(negative_of, dtype=torch.long),
            marks,
            torch.tensor(groups),
            tuple(key.row for key in keys),
        )

    def _picture(self, row: int, words: Set[str], rng: random.Random) -> Tensor:
        if self.features is not None:
            mirror = self.augmentation is not None and self.features.views > 1 and may_mirror(words)
            return self.features.read(row, view=rng.randrange(self.features.views) if mirror else 0)
        picture = self.database.picture(row)
        if self.augmentation is not None and self.augmentation.active:
            return augment(picture, words, self.data.side, self.augmentation, rng)
        return prepare(picture, self.data.side)


def pad(texts: Sequence[Sequence[int]]) -> Tensor:
    """Lists of word indices -> (T, L), padded with 0 to the longest."""
    padded = np.zeros((len(texts), max(map(len, texts))), dtype=np.int64)
    for line, words in zip(padded, texts):
        line[: len(words)] = words
    return torch.from_numpy(padded)


class EpochSampler(Sampler[list[Key]]):
    """Batches of keys: shuffled anew each epoch (training), or in stored order and always alike (epoch None)."""

    def __init__(self, rows: Sequence[int], batch: int, seed: int, shuffle: bool):
        self.rows, self.batch, self.seed, self.shuffle = list(rows), batch, seed, shuffle
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.rows) // self.batch if self._drop_last else -(-len(self.rows) // self.batch)

    @property
    def _drop_last(self) -> bool:
        """A last, smaller batch would have an easier contrastive loss; the next epoch has its photographs again."""
        return self.shuffle and len(self.rows) > self.batch

    def __iter__(self) -> Iterator[list[Key]]:
        rows = list(self.rows)
        if self.shuffle:
            seeded(self.seed, "order", self.epoch).shuffle(rows)
        keys = [Key(self.epoch if self.shuffle else -1, row) for row in rows]
        for start in range(0, len(self) * self.batch, self.batch):
            yield keys[start : start + self.batch]


def make_loader(
    dataset: PairDataset, rows: Sequence[int], seed: int, shuffle: bool, device: torch.device
) -> tuple[DataLoader, EpochSampler]:
    """Loader and its sampler; set `sampler.epoch` before each pass over the loader."""
    sampler = EpochSampler(rows, dataset.data.batch_pictures, seed, shuffle)
    workers = dataset.data.workers
    loader = DataLoader(
        dataset,
        batch_sampler=sampler,
        collate_fn=_as_it_is,  # type: ignore[arg-type] # the data set gives whole batches
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
        pin_memory=device.type == "cuda",
        worker_init_fn=_one_thread,
        # Its seeds, which we do not use, are not to be drawn from torch's own generator: dropout would then depend
        # on the number of workers, and on how often a run was resumed.
        generator=torch.Generator().manual_seed(seed),
    )
    return loader, sampler


def _as_it_is(batch: Batch) -> Batch:
    return batch


def _one_thread(worker: int) -> None:
    """The training process owns the cores; a loader that starts threads of its own slows both."""
    torch.set_num_threads(1)


class FeatureCache:
    """Output of a frozen backbone for every picture, computed once and memory-mapped after that.

    The folder's name is a hash of all that the numbers depend on: pictures, weights, side, views, precision and
    preprocessing. Another value of any of them is another folder, so a wrong cache cannot be met.
    """

    def __init__(self, folder: Path, rows: int, views: int, shape: tuple[int, ...]):
        self.folder, self.views = folder, views
        self.shape = (views, rows, *shape)
        self._array: np.ndarray | None = None

    @property
    def array(self) -> np.ndarray:
        """(views, rows, C, h, w) float16, opened in each process on first use."""
        if self._array is None:
            self._array = np.load(self.folder / "features.npy", mmap_mode="r")
        return self._array

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_array": None}

    def read(self, row: int, view: int = 0) -> Tensor:
        """Features (C, h, w) of a picture in float16; view 1 is its mirror image."""
        return torch.from_numpy(self.array[view, row].copy())

    @classmethod
    def open(
        cls,
        database: Database,
        model: SiameseModel,
        side: int,
        views: int,
        encode: Callable[[Tensor], Tensor],
        precision: torch.dtype,
        batch: int = 32,
    ) -> "FeatureCache":
        """The cache of this backbone for this database; what of it is absent is computed, with a progress bar.

        encode: pictures (N, 3, side, side) of bytes -> features (N, C, h, w), on whatever device. An interrupted
        computation goes on where it was.
        """
        key = hashlib.sha256(
            repr((database.picture_fingerprint, PREPROCESSING, side, views, str(precision))).encode()
            + hash_of_weights(model.backbone).encode()
        ).hexdigest()[:16]
        folder = database.folder / "features" / key
        folder.mkdir(parents=True, exist_ok=True)
        shape = tuple(encode(torch.zeros(1, 3, side, side, dtype=torch.uint8)).shape[1:])
        cache = cls(folder, len(database), views, shape)
        with _exclusively(folder / "lock"):
            if not (folder / "features.npy").is_file():
                cache._compute(database, side, encode, batch)
        return cache

    def _compute(self, database: Database, side: int, encode: Callable[[Tensor], Tensor], batch: int) -> None:
        part, done_file = self.folder / "features.part.npy", self.folder / "done.txt"
        done = int(done_file.read_text()) if part.is_file() and done_file.is_file() else 0
        size = int(np.prod(self.shape)) * 2
        free = os.statvfs(self.folder).f_bavail * os.statvfs(self.folder).f_frsize if hasattr(os, "statvfs") else size
        if not done and free < size:
            raise OSError(f"the feature cache needs {size / 1e9:.1f} GB in {self.folder}, {free / 1e9:.1f} GB are free")
        array = np.lib.format.open_memmap(part, mode="r+" if done else "w+", dtype=np.float16, shape=self.shape)
        # Row-major over rows then views: what is done is one number.
        jobs = [(row, view) for row in range(len(database)) for view in range(self.views)]
        bar = tqdm(total=len(jobs), initial=done, desc="backbone features", unit="picture", smoothing=0.05)
        with bar, torch.no_grad():
            for start in range(done, len(jobs), batch):
                some = jobs[start : start + batch]
                pictures = torch.stack([self._view(database, row, view, side) for row, view in some])
                features = encode(pictures).float().cpu().numpy().astype(np.float16)
                for (row, view), value in zip(some, features):
                    array[view, row] = value
                bar.update(len(some))
                if (start // batch) % 20 == 19:
                    array.flush()
                    done_file.write_text(str(start + len(some)))
        array.flush()
        del array
        part.replace(self.folder / "features.npy")
        done_file.unlink(missing_ok=True)

    @staticmethod
    def _view(database: Database, row: int, view: int, side: int) -> Tensor:
        picture = prepare(database.picture(row), side)
        return picture.flip(-1) if view else picture


@contextlib.contextmanager
def _exclusively(path: Path) -> Iterator[None]:
    """Wait while another process is in the same block; a process that dies leaves it. No lock on Windows."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def hash_of_weights(module: torch.nn.Module) -> str:
    """SHA-256 of a module's structure and every tensor in it."""
    digest = hashlib.sha256(repr(module).encode())
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
