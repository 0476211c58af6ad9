"""An opened database, batches of it with augmentation and hard negatives, and their loader.

Random numbers depend on (seed, epoch, row), never on a shared generator. So a sample does not depend on the number of
loader processes, on the order in which samples are read, or on whether a run was resumed.
"""

import hashlib
import io
import itertools
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from common.augment import augment, prepare
from common.grounding import Grounding, Tags, collect_tags, pad_boxes
from common.padding import pad
from common.regions import Box, Region, View, cut_regions, from_dicts, words_of_regions
from common.storage import SPLITS
from Config import AugmentConfig, DataConfig, JobsConfig, NegativesConfig
from Functions import Share, TextBatch
from Negative_map import KINDS, Plan, plan_folder
from negatives.parts import cut_negative
from negatives.text import Negative, Parse
from negatives.vocabulary import COLOURED, SIDED, WRITTEN
from sources import stored as on_disk
from sources.items import NEUTRAL
from Tokenizer_lib import Tokenizer, Word, split_words


class Caption(NamedTuple):
    """A true text of a photograph, or one of its mismatches."""

    text: str
    kind: str
    source: str  # the dataset it comes from


class Database:
    """A database folder, memory-mapped. A row is read from the disk when it is used."""

    def __init__(self, folder: Path):
        """FileNotFoundError or ValueError names the file that is damaged, and the command that fixes it."""
        self.folder = Path(folder)
        state = on_disk.read_state(self.folder)
        self.fingerprint: str = state["fingerprint"]
        # The fingerprint of the build that stored the pictures. --reparse keeps it: cached features stay valid.
        self.picture_fingerprint: str = state.get("picture_fingerprint", self.fingerprint)
        files = [self.folder / part["filename"] for part in state["_data_files"]]
        on_disk.check_sizes(self.folder, files)
        with ThreadPoolExecutor(16) as pool:  # on a cold disk 176 files open in 0.6 s, one after the other in 1 s
            self.table = pa.concat_tables(pool.map(on_disk.open_shard, files))
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
            raise ValueError(f"the {split} split of {self.folder} is empty; rebuild the database with more photographs")
        return rows

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What was stored and what was left out. Read on first use, since it can be long."""
        return on_disk.read_manifest(self.folder)

    @property
    def has_regions(self) -> bool:
        """Whether there are boxes for words of captions."""
        return any(source["regions"]["words"] for source in self.manifest["sources"].values())

    @cached_property
    def word_counts(self) -> dict[str, int]:
        """Word -> number of its occurrences in the texts of the train split, captions and mismatches."""
        return on_disk.read_word_counts(self.folder)

    def picture(self, row: int) -> Image.Image:
        """The stored picture, RGB."""
        stored = self.table.column("image")[row].as_py()
        picture = Image.open(io.BytesIO(stored["bytes"]))
        return picture if picture.mode == "RGB" else picture.convert("RGB")  # converting copies: 0.1 ms

    def scene(self, row: int) -> dict[str, Any] | None:
        """The description of a drawn scene; None for a photograph."""
        text = self.table.column("scene")[row].as_py()
        return None if text is None else json.loads(text)

    def captions(self, row: int) -> tuple[Caption, ...]:
        """All true texts of a photograph."""
        stored = self.table.column("captions")[row].values
        return tuple(map(Caption, *(stored.field(name).to_pylist() for name in Caption._fields)))

    def captions_without(self, row: int, kinds: Set[str]) -> list[int]:
        """Positions of the true texts of a photograph that have none of these kinds; of all if all have one."""
        of_kind = self.table.column("captions")[row].values.field("kind").to_pylist()
        return [n for n, kind in enumerate(of_kind) if kind not in kinds] or list(range(len(of_kind)))

    @cached_property
    def has_mismatches(self) -> bool:
        """Whether there are labelled false or neutral texts."""
        return bool(pc.sum(pc.list_value_length(self.table.column("mismatches"))).as_py())

    def mismatches(self, row: int) -> tuple[Caption, ...]:
        """The texts of a photograph that are labelled as false, or as neutral (kind NEUTRAL)."""
        stored = self.table.column("mismatches")[row].values
        return tuple(map(Caption, *(stored.field(name).to_pylist() for name in Caption._fields)))

    def regions(self, row: int) -> list[tuple[Region, ...]]:
        """The regions of all true texts of a photograph, in the order of `captions`."""
        stored = self.table.column("captions")[row].values.field("regions").to_pylist()
        return list(map(from_dicts, stored))

    def parses(self, row: int) -> list[Parse]:
        """The parses of all true texts of a photograph."""
        stored = self.table.column("captions")[row].as_py()
        return [Parse(caption["text"], **caption["parse"]) for caption in stored]

    @cached_property
    def plan(self) -> Plan:
        """What hard negatives are drawn from. It numbers the captions of all rows, in their order."""
        return open_plan(self)

    def open_plan(self, jobs: JobsConfig) -> Plan:
        """`plan`, which these jobs make if there is none. EngineError if a process or the cluster fails."""
        # Nodes of a cluster have other working directories.
        opened = Database(self.folder.resolve()) if jobs.engine == "ray" else self
        self.plan = open_plan(opened, jobs.engine, jobs.plan_workers(len(self)))
        return self.plan


@lru_cache(maxsize=1)  # the jobs of a process get the same database
def _open_again(folder: Path, fingerprint: str) -> Database:
    database = Database(folder)
    if database.fingerprint != fingerprint:
        raise ValueError(f"{folder} was replaced while it was in use; start again")
    return database


def open_plan(database: Database, engine: str = "local", workers: int = 1) -> Plan:
    """`Plan.open`. ValueError if the plan is damaged, with the folder to delete."""
    folder = plan_folder(database)
    was_made = (folder / "plan.json").is_file()
    try:
        plan = Plan.open(database, engine, workers)
        plan.check()
        captions = pc.sum(pc.list_value_length(database.table.column("captions"))).as_py() or 0
        if len(plan) != captions or (captions and not 0 <= plan.row_of[-1] < len(database)):
            raise ValueError(f"it has {len(plan):,} captions, the database {captions:,}")
        return plan
    except Exception as error:  # Arrow, JSON and NumPy each have their own
        if not was_made:
            raise
        reason, fix = " ".join(str(error).split())[:200] or type(error).__name__, "delete this folder"
        raise ValueError(f"the plan in {folder} is damaged: {reason}; {fix}, and it is made again") from None


def seeded(*key: object) -> random.Random:
    """A generator that depends only on the key, and is the same on every machine."""
    return random.Random(int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "big"))


def draw_negatives(
    plan: Plan, caption: int, count: int, rng: random.Random, settings: NegativesConfig, within: int | None = None
) -> list[Negative]:
    """Up to `count` different hard negatives of a caption; see `Plan.draw`."""
    found: dict[str, Negative] = {}
    for _ in range(2 * count):  # more draws than needed, since two can be equal
        negative = plan.draw(caption, rng, settings, within)
        if negative is not None:
            found.setdefault(negative.text, negative)
        if len(found) == count:
            break
    return list(found.values())


class Part(NamedTuple):
    """A part of a caption that is true on its own, with hard negatives of it."""

    span: tuple[int, int]  # offsets in the caption
    negatives: list[Negative]


def draw_part(plan: Plan, caption: int, count: int, rng: random.Random, settings: NegativesConfig) -> Part | None:
    """A random part of a caption with up to `count` different hard negatives; None if it has none with a negative.

    A part without a negative is not used: a model would learn that short texts are true.
    """
    parts, text = plan.parts(caption), plan.text(caption)
    drawn = draw_negatives(plan, caption, 4 * count, rng, settings) if parts else []
    for start, end in rng.sample(parts, min(3, len(parts))):
        cut = (cut_negative(negative, text, start, end) for negative in drawn)
        if found := [negative for negative in cut if negative is not None]:
            return Part((start, end), found[:count])
    return None


def changed_words(words: Sequence[Word], negative: Negative) -> list[int]:
    """Positions of the changed words of a hard negative. words: the words of its text."""
    return [i for i, word in enumerate(words) if any(word.start < b and a < word.end for a, b in negative.changed)]


Said = list[tuple[Region, list[int], int]]  # regions, words said of each, and how many with the left-out ones


def may_mirror(words: Set[str]) -> bool:
    """Whether captions with these words stay true of a mirror image."""
    return not any(part in SIDED or part in WRITTEN for word in words for part in word.split("-"))


def may_recolour(words: Set[str]) -> bool:
    """Whether captions with these words stay true if the picture's colours change."""
    return not any(part in COLOURED for word in words for part in word.split("-"))


@dataclass(frozen=True)
class Batch:
    """What one step of training or evaluation needs.

    N pictures, T captions, K hard negatives, L words of the longest text. If several processes divide a batch, each
    has all texts, and the n pictures of its share.
    """

    pictures: Tensor  # (n, 3, side, side) bytes, or (n, C, h, w) cached features; n = N in a single process
    words: Tensor  # (T + K, L) indices: captions, then hard negatives; 0 is padding
    owner: Tensor  # (T,) picture of each caption
    negative_of: Tensor  # (K,) caption of each hard negative
    changed: Tensor  # (K, L) True for the words of a hard negative that were changed
    neutral: Tensor  # (K,) True for a hard negative that can be true: a text labelled as neutral
    groups: Tensor  # (N,) number of each photograph; copies of a photograph have the same
    grounding: Grounding  # the boxes of the captions' words; several processes: of the captions of the own share
    tags: Tags  # what all captions say of the n pictures
    rows: tuple[int, ...]  # database rows of all N pictures
    shares: tuple[Share, ...]  # of all processes, by rank
    rank: int = 0  # of this process, which has `pictures`

    def to(self, device: torch.device) -> "Batch":
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        changed = {name: change(value) for name, value in vars(self).items() if isinstance(value, Tensor)}
        grounding, tags = Grounding(*map(change, self.grounding)), Tags(*map(change, self.tags))
        return replace(self, **changed, grounding=grounding, tags=tags)  # type: ignore[arg-type]

    @property
    def share(self) -> Share:
        return self.shares[self.rank]

    @property
    def own_words(self) -> Tensor:
        """(t + k, L) the words of this process's share: captions, then hard negatives."""
        captions, negatives = self.words.split([len(self.owner), len(self.negative_of)])
        return torch.cat([captions[self.share.captions], negatives[self.share.negatives]])

    @property
    def texts(self) -> TextBatch:
        return TextBatch(
            self.owner, self.negative_of, self.changed, self.neutral, self.groups, self.grounding, self.tags
        )


class Key(NamedTuple):
    """What the sampler gives to the dataset: a row, and the epoch that its random numbers depend on."""

    epoch: int
    row: int


class DrawnNegative(NamedTuple):
    """A hard negative with the words that the model reads."""

    negative: Negative
    words: list[int]  # indices
    changed: list[int]  # positions of the words that are known to be false
    neutral: bool = False  # the text can be true or false


class DrawnCaption(NamedTuple):
    """A caption with the words that the model reads."""

    number: int  # of the caption in the plan
    words: list[int]  # indices
    said: frozenset[str]  # all words of the caption, also those after the first `max_words`
    places: list[Word]  # the words that the model reads, with their places in the text
    regions: tuple[Region, ...]
    negatives: list[DrawnNegative]


class Features(Protocol):
    """Cached features of a frozen backbone; implemented by `training.features.FeatureCache`."""

    def views_of(self, row: int) -> int:
        """Number of views of a row; views with odd numbers are mirror images."""

    def read(self, row: int, view: int = 0) -> Tensor:
        """Features (C, h, w) of a view of a row, in float16."""

    def view(self, row: int, view: int) -> View:
        """Which part of the picture a view shows."""


class PairDataset(Dataset):
    """Photographs with some of their captions and newly drawn hard negatives; an item is a whole batch.

    features: cached features, used instead of pictures. without: kinds of texts that are not drawn. part: (rank, number
    of processes); the batch then has all texts, but only the pictures of this process. So every process knows the sizes
    of the whole batch without communication. Its cost is small: of the 1.3 ms per photograph, texts take 0.2 ms.
    """

    def __init__(
        self,
        database: Database,
        tokenizer: Tokenizer,
        data: DataConfig,
        negatives: NegativesConfig,
        augmentation: AugmentConfig | None,
        seed: int,
        features: Features | None = None,
        part: tuple[int, int] = (0, 1),
        without: Set[str] = frozenset(),
    ):
        self.database, self.tokenizer, self.data = database, tokenizer, data
        self.negatives, self.augmentation, self.seed, self.features = negatives, augmentation, seed, features
        self.part, self.without, self.plan = part, without, database.plan

    def __getitem__(self, key: Key) -> Batch:
        return self.__getitems__([key])

    def __getitems__(self, keys: Sequence[Key]) -> Batch:
        """ValueError if there are fewer keys than processes."""
        rank, world = self.part
        first, after = rank * len(keys) // world, (rank + 1) * len(keys) // world
        if first == after:
            raise ValueError(f"a batch of {len(keys)} pictures cannot be divided among {world} processes")
        texts: list[list[DrawnCaption]] = []
        pictures: list[Tensor] = []
        views: list[View | None] = []  # None: a picture of another process
        said: list[Said] = []
        for n, key in enumerate(keys):
            rng = seeded(self.seed, key.epoch, self.database.ids[key.row])
            texts.append(self.texts(key.row, rng))
            self.add_labelled(key, texts[-1])
            if first <= n < after:  # after the texts, whose random numbers must be the same in all processes
                words_said = set().union(*(caption.said for caption in texts[-1]))
                picture, view = self._picture(key.row, words_said, rng)
                pictures.append(picture)
                views.append(view)
                said.append(self.said(key.row, view.mirrored, self.recolours and may_recolour(words_said)))
            else:
                views.append(None)
                said.append(self.said(key.row))
        captions = [caption for own in texts for caption in own]
        negatives = [negative for caption in captions for negative in caption.negatives]
        owner = [n for n, own in enumerate(texts) for _ in own]
        negative_of = [number for number, caption in enumerate(captions) for _ in caption.negatives]
        identity: dict[str, int] = {}
        groups = [identity.setdefault(self.database.groups[key.row], len(identity)) for key in keys]
        words = pad([*(caption.words for caption in captions), *(negative.words for negative in negatives)])
        changed = torch.zeros(len(negatives), words.shape[1], dtype=torch.bool)
        for line, negative in zip(changed, negatives):
            line[negative.changed] = True
        return Batch(
            pictures=torch.stack(pictures),
            words=words,
            owner=torch.tensor(owner),
            negative_of=torch.tensor(negative_of, dtype=torch.long),
            changed=changed,
            neutral=torch.tensor([negative.neutral for negative in negatives], dtype=torch.bool),
            groups=torch.tensor(groups),
            grounding=ground(captions, [views[n] for n in owner], words.shape[1]),
            tags=collect_tags(said, views),
            rows=tuple(key.row for key in keys),
            shares=divide(len(keys), owner, negative_of, world),
            rank=rank,
        )

    @property
    def recolours(self) -> bool:
        return self.augmentation is not None and bool(self.augmentation.jitter or self.augmentation.grey)

    def texts(self, row: int, rng: random.Random) -> list[DrawnCaption]:
        """Some captions of a photograph, each with newly drawn hard negatives."""
        most, found = self.data.max_words, []
        first, regions = self.plan.captions(row).start, self.database.regions(row)
        everything = [first + n for n in self.database.captions_without(row, self.without)]
        for which in rng.sample(everything, min(self.data.captions_per_picture, len(everything))):
            text, count, part = self.plan.text(which), self.negatives.per_caption, None
            if self.data.parts and rng.random() < self.data.parts:
                part = draw_part(self.plan, which, count, rng, self.negatives)
            start, end = part.span if part else (0, len(text))
            split = split_words(text[start:end])
            within = split[most - 1].end if len(split) > most else None
            caption = self.tokenizer.encode_words(split[:most])
            negatives = []
            drawn = part.negatives if part else draw_negatives(self.plan, which, count, rng, self.negatives, within)
            for negative in drawn:
                its_words = split_words(negative.text)[:most]
                encoded = self.tokenizer.encode_words(its_words)
                if encoded == caption:  # for the model it would equal the caption, which is true
                    continue
                are_false = KINDS[negative.kind].changes_are_false(negative)
                changed = changed_words(its_words, negative) if are_false else []
                negatives.append(DrawnNegative(negative, encoded, changed))
            said = frozenset(word.text for word in split)
            own_regions = cut_regions(regions[which - first], start, end)
            found.append(DrawnCaption(which, caption, said, split[:most], own_regions, negatives))
        return found

    def add_labelled(self, key: Key, captions: Sequence[DrawnCaption]) -> None:
        """Give some of the drawn captions of a photograph one of its labelled false or neutral texts each.

        A caption gets one with the chance `negatives.labelled`; no text is drawn twice. Which words are false is not
        known. A text with the words of a caption of the photograph is left out. The random numbers are separate: the
        other draws do not depend on labelled texts.
        """
        if not self.negatives.labelled or not self.database.has_mismatches:
            return
        texts = [text for text in self.database.mismatches(key.row) if text.kind not in self.without]
        if not texts:
            return
        rng = seeded(self.seed, key.epoch, self.database.ids[key.row], "labelled")
        rng.shuffle(texts)
        most = self.data.max_words
        true = [self.tokenizer.encode(self.plan.text(which), most) for which in self.plan.captions(key.row)]
        for caption in captions:
            if texts and rng.random() < self.negatives.labelled:
                text = texts.pop()
                encoded = self.tokenizer.encode(text.text, most)
                if encoded not in true:
                    negative = Negative(text.text, text.kind, text.kind, ())
                    caption.negatives.append(DrawnNegative(negative, encoded, [], text.kind == NEUTRAL))

    def said(self, row: int, mirrored: bool = False, recoloured: bool = False) -> Said:
        """The regions of all captions of a photograph, each with the indices of its words.

        Without sides if the picture is mirrored, and without colours if it may be recoloured: only the drawn captions
        decide whether it is, and others may name them.
        """

        def stays_true(word: str) -> bool:
            return (not mirrored or may_mirror({word})) and (not recoloured or may_recolour({word}))

        found = []
        for which, regions in zip(self.plan.captions(row), self.database.regions(row)):
            if regions:
                places = split_words(self.plan.text(which))[: self.data.max_words]
                words = self.tokenizer.encode_words(places)
                for region, of in words_of_regions(places, regions).items():
                    found.append((region, [words[n] for n in of if stays_true(places[n].text)], len(of)))
        return found

    def _picture(self, row: int, words: Set[str], rng: random.Random) -> tuple[Tensor, View]:
        if self.features is not None:
            views = 1 if self.augmentation is None else self.features.views_of(row)
            number = rng.randrange(0, views, 1 if may_mirror(words) else 2)
            return self.features.read(row, number), self.features.view(row, number)
        picture = self.database.picture(row)
        if self.augmentation is not None and self.augmentation.active:
            return augment(picture, self.data.side, self.augmentation, rng, may_mirror(words), may_recolour(words))
        return prepare(picture, self.data.side), View()


def ground(captions: Sequence[DrawnCaption], views: Sequence[View | None], length: int) -> Grounding:
    """The boxes of the words of each caption in its view. Words of captions without a view have none.

    views: of each caption's picture. length: L, words of the longest text. See `words_of_regions`.
    """
    # Lists become tensors at once at the end: 192 small tensors of a batch of 32 pictures would take longer.
    region_of, total = [[0] * length for _ in captions], 0
    found: list[tuple[Box, ...]] = []
    for line, caption, view in zip(region_of, captions, views):
        for region, words in words_of_regions(caption.places, caption.regions).items():
            total += len(words)
            if boxes := view.place(region.boxes) if view else ():
                found.append(boxes)
                for n in words:
                    line[n] = len(found)
    return Grounding(torch.tensor(region_of, dtype=torch.long), pad_boxes(found), torch.tensor(total))


def divide(pictures: int, owner: Sequence[int], negative_of: Sequence[int], processes: int) -> tuple[Share, ...]:
    """The shares of a batch, by rank: equal numbers of pictures, and each text with its picture.

    owner: the picture of each caption; negative_of: the caption of each hard negative; both in ascending order.
    """
    ends = [rank * pictures // processes for rank in range(processes + 1)]
    captions = np.searchsorted(owner, ends).tolist()
    negatives = np.searchsorted([owner[caption] for caption in negative_of], ends).tolist()
    bounds = [itertools.pairwise(places) for places in (ends, captions, negatives)]
    return tuple(Share(*(slice(*bound) for bound in some)) for some in zip(*bounds))


class EpochSampler(Sampler[list[Key]]):
    """Batches of keys: shuffled in each epoch (training), or always the same, in stored order (validation).

    Set `epoch` before each pass. To resume in the middle of a pass, set `start` to the number of batches to skip; the
    other batches do not change. `start` keeps its value until it is set again.
    part: (rank, number of processes); a process gets batch `rank` and every size-th batch after it.
    """

    def __init__(self, rows: Sequence[int], batch: int, seed: int, shuffle: bool, part: tuple[int, int] = (0, 1)):
        self.rows, self.batch, self.seed, self.shuffle, self.part = list(rows), batch, seed, shuffle, part
        self.epoch = self.start = 0

    def __len__(self) -> int:
        """Number of batches of a whole pass, also with `start`: the learning rate schedule counts whole passes."""
        return len(self._starts)

    @property
    def _starts(self) -> range:
        """Position of the first row of each batch."""
        rank, world = self.part
        end = len(self.rows) // self.batch * self.batch if self._drop_last else len(self.rows)
        return range(rank * self.batch, end, world * self.batch)

    @property
    def _drop_last(self) -> bool:
        """Whether the last, smaller batch is left out: its contrastive loss would be easier. True in training."""
        return self.shuffle and len(self.rows) > self.batch

    def __iter__(self) -> Iterator[list[Key]]:
        rows = list(self.rows)
        if self.shuffle:
            seeded(self.seed, "order", self.epoch).shuffle(rows)
        keys = [Key(self.epoch if self.shuffle else -1, row) for row in rows]
        for start in self._starts[self.start :]:
            yield keys[start : start + self.batch]


def make_loader(
    dataset: PairDataset,
    rows: Sequence[int],
    seed: int,
    shuffle: bool,
    device: torch.device,
    part: tuple[int, int] = (0, 1),
) -> tuple[DataLoader, EpochSampler]:
    """A loader and its sampler. Set `sampler.epoch` before each pass over the loader.

    part: (rank, number of processes) if each batch belongs to one process, as in validation. In training several
    processes divide a batch: then `dataset.part` is set.
    """
    assert part == (0, 1) or dataset.part == (0, 1), "processes divide either the batches or each batch"
    sampler = EpochSampler(rows, dataset.data.batch_pictures, seed, shuffle, part)
    workers = dataset.data.workers
    loader = DataLoader(
        dataset,
        batch_sampler=sampler,
        collate_fn=_as_it_is,  # type: ignore[arg-type] # the data set gives whole batches
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
        pin_memory=device.type == "cuda",
        worker_init_fn=_begin_worker,
        # The loader draws seeds for its workers, which do not use them. If it drew them from torch's default generator,
        # dropout would depend on the number of workers, and on how often a run was resumed.
        generator=torch.Generator().manual_seed(seed),
    )
    return loader, sampler


def _as_it_is(batch: Batch) -> Batch:
    return batch


def _begin_worker(worker: int) -> None:
    torch.set_num_threads(1)  # threads in the loader slow both the loader and the training process
    # Ctrl-C, `timeout` and batch systems send a signal to a whole group of processes. The training process needs its
    # loader until the step is done and saved, and then ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setpgrp"):  # not on Windows
        os.setpgrp()
    sys.excepthook = _print_unless_disconnected


def _print_unless_disconnected(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """For the thread that hands tensors to the training process: nobody needs its traceback if that has ended."""
    if not isinstance(error, OSError | EOFError):
        sys.__excepthook__(kind, error, trace)
