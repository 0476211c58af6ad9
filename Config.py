"""Every setting of the program: frozen dataclasses and named presets. `common/command_line.py` makes flags of them.

The docstring under a field is its `--help`, on one line. `__post_init__` checks values and changes none.
Published results are presets; flags are for one-off changes.
"""

import contextlib
import dataclasses
import json
import math
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from tyro.conf import arg

DIR = arg(metavar="DIR", help_behavior_hint="")  # in `--help`, without "(default: None)"
FILE = arg(metavar="FILE", help_behavior_hint="")
FILES = arg(metavar="FILE ...", help_behavior_hint="")
MANY = 1000  # photographs; with fewer, to start a worker takes longer than it saves


def usable_cores() -> int:
    """Number of cores that this process can use."""
    with contextlib.suppress(AttributeError):  # macOS and Windows lack this function
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def require(condition: bool, message: str) -> None:
    """Raise ValueError(message) unless the condition holds."""
    if not condition:
        raise ValueError(message)


class SourceField(NamedTuple):
    """Facts about a source, stored in the field of DatabaseConfig that selects it."""

    module: str
    """`sources/MODULE.py` reads the source."""
    about: tuple[str, ...]
    """The source has only texts or boxes, for the pictures of these sources. Empty if it has pictures."""
    captions: str | None
    """The source that has the captions of these pictures; None if they have their own."""
    is_default: bool
    """Whether the source is used if no other one is selected."""


def source(
    module: str,
    *,
    default: Any = None,
    about: tuple[str, ...] = (),
    captions: str | None = None,
    single: bool = False,
) -> Any:  # what dataclasses.field returns
    """A field of DatabaseConfig that selects a source. The field's name is the name of the source and of its flag.

    A source with `about` takes several files, unless it is `single`.
    """
    facts = SourceField(module, about, captions, is_default=default is not None)
    return field(default=() if about and not single else default, metadata={"source": facts})


@dataclass(frozen=True)
class JobsConfig:
    """Where a build, the plan of the hard negatives and the feature cache are computed; for two scripts."""

    engine: Literal["local", "ray"] = "local"
    """local: processes of this machine. ray: a Ray cluster (RAY_ADDRESS), see requirements-cluster.txt."""
    workers: int = field(default_factory=lambda: min(16, usable_cores()))  # each holds 0.3 GB; with ResNet-50 1.1 GB
    """Processes of --engine local that build, plan and compute features; by default one a core, at most 16."""

    def __post_init__(self) -> None:
        require(self.workers >= 1, f"--workers {self.workers}: must be at least 1")

    def plan_workers(self, photographs: int) -> int:
        """Processes that plan the hard negatives of so many photographs."""
        return self.workers if photographs >= MANY else 1


@dataclass(frozen=True)
class DatabaseConfig(JobsConfig):
    """What Database_create.py builds, and from which files."""

    name: str = "scenes"
    """Name of the database. It is written to ROOT/NAME."""
    root: str = "Database"
    """Folder of all databases."""
    scenes: int = source("scenes", default=8000)
    """Number of scenes to draw, if no photographs are given."""
    coco: Annotated[str | None, DIR] = source("coco")
    """Folder with train2017/ and val2017/ (or those of 2014) and annotations/, or a dataset_coco.json."""
    flickr30k: Annotated[str | None, DIR] = source("flickr")
    """Folder with flickr30k-images/ and results_20130124.token, results.csv or dataset_flickr30k.json."""
    flickr8k: Annotated[str | None, DIR] = source("flickr")
    """Folder with Flicker8k_Dataset/ and Flickr8k.token.txt and its lists, captions.txt or dataset_flickr8k.json."""
    ade20k: Annotated[str | None, DIR] = source("ade20k", captions="narratives")
    """Folder with images/training/ and images/validation/. Its captions come from --narratives."""
    narratives: Annotated[tuple[str, ...], FILES] = source("narratives", about=("coco", "flickr30k", "ade20k"))
    """JSONL files of Localized Narratives, for the pictures of COCO, Flickr30k and ADE20K."""
    sharegpt4v: Annotated[tuple[str, ...], FILES] = source("sharegpt4v", about=("coco",))
    """JSON files of ShareGPT4V or Share-Captioner, for the pictures of COCO."""
    entities: Annotated[str | None, DIR] = source("entities", about=("flickr30k", "flickr8k"), single=True)
    """Folder of Flickr30k Entities with Sentences/ and Annotations/: boxes for the captions of both Flickr sets."""
    snli_ve: Annotated[tuple[str, ...], FILES] = source("snli_ve", about=("flickr30k", "flickr8k"))
    """JSONL files of SNLI-VE: entailed, neutral and contradicted texts about the pictures of both Flickr sets."""
    pairs: Annotated[str | None, FILE] = source("pairs")
    """Your own table (CSV, TSV, JSONL, Parquet) with the columns image and caption; optional: label, split."""
    images: Annotated[str | None, DIR] = None
    """Folder of the pictures of --pairs; by default the folder of that table."""
    hold_out: Annotated[str | None, FILE] = None
    """File with ids or file names, one a line. These photographs go to the test split, whatever the source says."""
    short_side: int = 256
    """Pictures are reduced until their short side has this many pixels; they are never enlarged."""
    jpeg_quality: int = 90
    """Quality of the stored JPEG, 1 to 95. An upright colour JPEG that already fits is stored as it is."""
    seed: int = 0
    """Seed of the drawn scenes."""
    negatives: bool = True
    """Plan the hard negatives now; otherwise they are planned when the database is first used."""
    overwrite: bool = False
    """Replace a database of the same name."""
    reparse: bool = False
    """Only parse the captions of the existing database NAME again; pictures and splits stay the same."""

    NOT_SHAPING: ClassVar = {"root", "workers", "engine", "overwrite", "reparse", "negatives"}

    def __post_init__(self) -> None:
        super().__post_init__()
        # No dot in front: ".." would be outside the root, and hidden names are those of unfinished databases.
        is_name = re.fullmatch(r"[\w-][\w.-]*", self.name)
        require(bool(is_name), f"--name {self.name!r}: use letters, digits, . _ - and no dot in front")
        if self.reparse:
            default = {known.name: known.default for known in dataclasses.fields(self)}
            idle = [name for name, value in self.shaping.items() if name != "name" and value != default[name]]
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in idle)
            require(not idle, f"--reparse reads a finished database, no sources, and keeps its pictures: drop {flags}")
        self._check_sources()
        require(self.images is None or self.pairs is not None, "--images needs --pairs FILE")
        require(12 <= self.scenes <= 500_000, f"--scenes {self.scenes}: must be 12 to 500,000")
        require(self.seed >= 0, f"--seed {self.seed}: must not be negative")
        require(32 <= self.short_side <= 2048, f"--short-side {self.short_side}: must be 32 to 2048")
        require(1 <= self.jpeg_quality <= 95, f"--jpeg-quality {self.jpeg_quality}: must be 1 to 95")

    def _check_sources(self) -> None:
        """ValueError if photographs have no database name, texts have no pictures, or pictures have no captions."""
        require(not (self.has_photographs and self.name == "scenes"), "photographs need a name: add --name photos")
        known, named = self.sources(), self.named_sources
        for name in named:
            described = [f"--{other} DIR" for other in known if other in known[name].about]
            require(
                self.has_photographs or not described,
                f"--{name.replace('_', '-')} is about pictures of other datasets: add {' or '.join(described)}",
            )
        for name in named:
            captions = known[name].captions
            require(
                captions is None or captions in named,
                f"--{name} has no captions of its own: add --{captions} FILE",
            )

    @classmethod
    def sources(cls) -> dict[str, SourceField]:
        """Name -> facts of every source; sources with pictures come first."""
        found = {known.name: known.metadata["source"] for known in dataclasses.fields(cls) if known.metadata}
        return dict(sorted(found.items(), key=lambda item: bool(item[1].about)))

    @property
    def named_sources(self) -> dict[str, Any]:
        """Name -> value of the sources to build from: those that are given, or else the default one."""
        known = self.sources()
        values = {name: getattr(self, name) for name in known}
        default = {name: values.pop(name) for name in known if known[name].is_default}
        return {name: value for name, value in values.items() if value not in (None, ())} or default

    @property
    def has_photographs(self) -> bool:
        known = self.sources()
        return any(not (known[name].about or known[name].is_default) for name in self.named_sources)

    @property
    def folder(self) -> Path:
        return Path(self.root) / self.name

    @property
    def shaping(self) -> dict[str, Any]:
        """The settings that change the rows of the database."""
        return {name: value for name, value in vars(self).items() if name not in self.NOT_SHAPING}

    @classmethod
    def command(cls, folder: Path, *flags: str) -> str:
        """The command line that builds or changes the database in `folder`."""
        root = () if folder.parent == Path(cls.root) else ("--root", str(folder.parent))
        return shlex.join(("python", "Database_create.py", "--name", folder.name, *flags, *root))

    @classmethod
    def how_to_build(cls, folder: Path, *flags: str) -> str:
        """The end of an error message: the command that builds a missing database, or one in an older format."""
        if folder.name == cls.name:
            return f"build one with: {cls.command(folder, *flags)}"
        example = "flickr8k"
        pictures = [name for name, facts in cls.sources().items() if not facts.about and not facts.is_default]
        others = ", ".join(f"--{name}" for name in pictures if name != example)
        return f"build one with: {cls.command(folder, f'--{example}', 'DIR', *flags)} (or {others})"


@dataclass(frozen=True)
class DataConfig:
    """Which database, and how batches are made from it."""

    name: str = "scenes"
    """Name of the database."""
    root: str = "Database"
    """Folder of all databases."""
    side: int = 128
    """Pictures enter the model as SIDE x SIDE pixels; 0 is the size that the backbone was trained with."""
    batch_pictures: int = 32
    """Pictures in one batch. The contrastive loss compares all of them with all their captions."""
    captions_per_picture: int = 2
    """Captions drawn for each picture, in training and in the quick check after each epoch."""
    parts: float = 0.0
    """Chance that a drawn caption of training is cut to a part that is true on its own: "a dog", "a dog runs"."""
    max_words: int = 64
    """Longer captions are cut after this many words."""
    min_count: int = 1
    """Words with fewer occurrences in the training captions become <unk>."""
    workers: int = 1
    """Processes that load batches; 0 loads in the training process."""

    def __post_init__(self) -> None:
        require(32 <= self.side <= 2048 or self.side == 0, f"--data.side {self.side}: must be 32 to 2048, or 0")
        require(self.batch_pictures >= 2, f"--data.batch-pictures {self.batch_pictures}: must be at least 2")
        require(
            self.captions_per_picture >= 1,
            f"--data.captions-per-picture {self.captions_per_picture}: must be at least 1",
        )
        require(0 <= self.parts <= 1, f"--data.parts {self.parts}: must be 0 to 1")
        require(1 <= self.max_words <= 10_000, f"--data.max-words {self.max_words}: must be 1 to 10,000")
        require(self.workers >= 0, f"--data.workers {self.workers}: must not be negative")

    @property
    def folder(self) -> Path:
        return Path(self.root) / self.name


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes of training pictures. Captions stay true: see flip, jitter and grey."""

    crop: float = 1.0
    """Smallest fraction of the picture's area that a random crop keeps; 1 is no crop."""
    shift: float = 0.0
    """Largest random shift, as a fraction of the side; the border is repeated."""
    flip: float = 0.0
    """Probability of a mirror image; never if a caption mentions left, right or writing."""
    jitter: float = 0.0
    """Strength of random brightness, contrast and saturation; never if a caption names a colour."""
    grey: float = 0.0
    """Probability of a picture without colours; never if a caption names a colour."""
    blur: float = 0.0
    """Probability of a Gaussian blur, of 0.1 to 2 pixels at side 224."""

    def __post_init__(self) -> None:
        require(0.05 <= self.crop <= 1, f"--augment.crop {self.crop}: must be 0.05 to 1")
        require(0 <= self.shift <= 0.5, f"--augment.shift {self.shift}: must be 0 to 0.5")
        for name in ("flip", "jitter", "grey", "blur"):
            require(0 <= getattr(self, name) <= 1, f"--augment.{name} {getattr(self, name)}: must be 0 to 1")

    @property
    def active(self) -> bool:
        return self != AugmentConfig()


@dataclass(frozen=True)
class NegativesConfig:
    """Hard negatives: false texts that differ little from a caption. They are drawn from a mixture of kinds."""

    swap: float = 0.6
    """Weight of the kind swap in the mixture: a word is replaced by another one of its category."""
    exchange: float = 0.2
    """Weight of exchange: two phrases change places. A caption without two such phrases gets another kind."""
    mined: float = 0.2
    """Weight of mined: a caption of another photograph, similar to this one and in contradiction to it."""
    geometric: float = 0.0
    """Weight of geometric: a number, direction, size or attribute changes, and boxes show that it is false."""
    add: float = 0.0
    """Weight of add: a caption loses a phrase and gets a false one: a companion, a garment, a place, an action, ..."""
    in_batch: float = 1.0
    """Weight of the batch's other captions in the contrastive loss; a hard negative has 1. 0 leaves them out."""
    per_caption: int = 2
    """Hard negatives drawn for each caption in each epoch."""
    most_swaps: int = 1
    """Largest number of words that a swap replaces."""

    geometry: float = 1.0
    """swap: factor of the chance of numbers and directions in training; they are 11 % of the swaps."""
    labelled: float = 0.5
    """Chance that a caption gets a labelled false text of its photograph as a further hard negative; 0: never."""

    NOT_WEIGHTS: ClassVar = {"in_batch", "per_caption", "most_swaps", "geometry", "labelled"}

    @property
    def weights(self) -> dict[str, float]:
        """Kind of hard negative -> its weight in the mixture. The kinds are `Negative_map.KINDS`."""
        return {name: value for name, value in vars(self).items() if name not in self.NOT_WEIGHTS}

    @property
    def as_evaluated(self) -> "NegativesConfig":
        """Without what the mixture of evaluations lacks: labelled texts, and kinds with the default weight 0.

        If there is no kind but these, they stay.
        """
        plain = dataclasses.replace(self, most_swaps=1, geometry=1.0, labelled=0.0)
        default = NegativesConfig().weights
        extra: dict[str, Any] = {kind: 0.0 for kind in self.weights if not default[kind]}
        has_others = any(weight for kind, weight in self.weights.items() if kind not in extra)
        return dataclasses.replace(plain, **extra) if has_others else plain

    def __post_init__(self) -> None:
        weights = self.weights.values()
        require(min(weights) >= 0 and max(weights) > 0, "--negatives: weights must not be negative, nor all 0")
        require(self.in_batch >= 0, f"--negatives.in-batch {self.in_batch}: must not be negative")
        require(self.per_caption >= 1, f"--negatives.per-caption {self.per_caption}: must be at least 1")
        require(self.geometry > 0, f"--negatives.geometry {self.geometry}: must be above 0")
        require(0 <= self.labelled <= 1, f"--negatives.labelled {self.labelled}: must be 0 to 1")
        require(1 <= self.most_swaps <= 3, f"--negatives.most-swaps {self.most_swaps}: must be 1 to 3")


@dataclass(frozen=True)
class BackboneConfig:
    """The network that turns pixels into features."""

    name: str = "grouped"
    """grouped, small: from scratch. resnet50: pretrained. timm:MODEL, such as timm:convnext_tiny.fb_in22k."""
    weights: str = "shipped"
    """resnet50: shipped, a name of torchvision's ResNet50_Weights, a file, or none (random). timm: default of MODEL."""
    stride_in_1x1: bool = False
    """For a resnet50 file of version 1, with the stride in the first 1x1 convolution of a block."""
    unfreeze_epoch: int | None = 0
    """First epoch (from 0) in which the backbone is trained; None keeps it frozen and caches its features."""
    views: int = 1
    """Frozen backbone: cached views of a training picture, 1 to 16: itself, its mirror image, then crops."""
    view_crop: float = 0.6
    """Frozen backbone: smallest fraction of the picture's area that a cached crop keeps."""
    grid: int = 0
    """resnet50, timm: features are averaged to GRID x GRID patches; 0: no averaging (resnet50: SIDE / 32)."""
    cache: Literal["float16", "int8"] = "float16"
    """Frozen backbone: how its features are stored. int8 takes half the space: a scale for each channel of a view."""
    layer3: bool = False
    """resnet50: the output of layer 3, averaged to the cells of layer 4, is appended to that of layer 4."""
    channels: int = 16
    """grouped, small: width; the last features have 8 times as many channels."""

    def __post_init__(self) -> None:
        first = self.unfreeze_epoch
        require(first is None or first >= 0, f"--backbone.unfreeze-epoch {first}: must not be negative")
        require(1 <= self.views <= 16, f"--backbone.views {self.views}: must be 1 to 16")
        require(0.05 <= self.view_crop <= 1, f"--backbone.view-crop {self.view_crop}: must be 0.05 to 1")
        require(0 <= self.grid <= 64, f"--backbone.grid {self.grid}: must be 0 to 64")
        require(self.channels >= 1, f"--backbone.channels {self.channels}: must be at least 1")

    @property
    def frozen(self) -> bool:
        return self.unfreeze_epoch is None


@dataclass(frozen=True)
class ModelConfig:
    """The image branch and the text branch, and how their vectors are scored."""

    width: int = 128
    """Width of patch and word vectors, even."""
    whole_width: int = 0
    """Width of the vectors of a whole picture and a whole text, a multiple of --model.width; 0: the same."""
    word_width: int = 128
    """Width of a word's embedding, the input of the LSTM."""
    lstm_width: int = 0
    """Width of an LSTM layer, both directions together; 0: --model.width."""
    lstm_layers: int = 2
    """Number of residual bidirectional LSTM layers."""
    dropout: float = 0.0
    """Dropout on embeddings, between LSTM layers, and on channels of backbone features."""
    score: Literal["patch_word", "pooled", "both"] = "patch_word"
    """patch_word: best patch of each word. pooled: cosine of whole picture and whole text. both: mixtures."""
    weigh_words: bool = False
    """patch_word: learn a weight for each word; otherwise all words have the same weight."""
    head: Literal["none", "attention"] = "attention"
    """attention: a head in which words and patches meet gives the verdict score. none: --model.score gives it too."""
    head_layers: int = 2
    """Layers of the head."""
    head_width: int = 0
    """Width of the head, a multiple of 4; 0: --model.width."""
    geometry: bool = True
    """The head: words learn where they looked, and compare it with where other words looked."""
    counting: bool = True
    """The head: words learn how many places fit."""
    patch_layers: int = 0
    """Layers of a transformer in the image branch, in which patches attend to each other; 0: none."""
    patch_width: int = 384
    """Width of these layers, a multiple of 8."""
    evidence: bool = False
    """The head starts from the cosines of words and patches, and reads how probable words are by the tag loss."""
    sharpness: float = 5.0
    """patch_word: 0 is the mean over words; larger values approach the minimum, since one false word is enough."""

    def __post_init__(self) -> None:
        require(self.width >= 2 and self.width % 2 == 0, f"--model.width {self.width}: must be even and at least 2")
        require(self.word_width >= 1, f"--model.word-width {self.word_width}: must be at least 1")
        require(
            self.lstm_width >= 0 and self.lstm_width % 2 == 0, f"--model.lstm-width {self.lstm_width}: must be even"
        )
        require(
            self.whole_width >= 0 and self.whole_width % self.width == 0,
            f"--model.whole-width {self.whole_width}: must be a multiple of --model.width {self.width}",
        )
        require(self.patch_layers >= 0, f"--model.patch-layers {self.patch_layers}: must not be negative")
        require(
            self.patch_layers == 0 or self.score != "pooled",
            "--model.patch-layers needs patches: --model.score patch_word or both",
        )
        require(
            self.patch_width > 0 and self.patch_width % 8 == 0,
            f"--model.patch-width {self.patch_width}: must be a multiple of 8",
        )
        require(self.lstm_layers >= 1, f"--model.lstm-layers {self.lstm_layers}: must be at least 1")
        require(0 <= self.dropout < 1, f"--model.dropout {self.dropout}: must be at least 0 and below 1")
        require(self.head_layers >= 1, f"--model.head-layers {self.head_layers}: must be at least 1")
        require(
            self.head == "none" or self.score != "pooled",
            "--model.head attention needs patches and words: --model.score patch_word or both, or --model.head none",
        )
        width = self.head_width or self.width
        require(
            self.head == "none" or (width > 0 and width % 4 == 0),
            f"--model.head-width {width}: must be a multiple of 4",
        )
        require(
            not self.evidence or self.head == "attention",
            "--model.evidence needs --model.head attention; else add --model.no-evidence",
        )
        require(self.sharpness >= 0, f"--model.sharpness {self.sharpness}: must not be negative")


@dataclass(frozen=True)
class LossConfig:
    """The total loss is a weighted sum of these losses."""

    contrastive: float = 1.0
    """Weight of the contrastive loss (InfoNCE, picture to text and text to picture) of the ranking score."""
    whole: float = 0.0
    """--model.score both: weight of a contrastive loss of the pooled score, without hard negatives."""
    triplet: float = 1.0
    """Weight of the triplet loss: a caption scores higher than its hard negative."""
    match: float = 1.0
    """Weight of the match loss: one learned threshold separates all captions from all hard negatives."""
    word: float = 1.0
    """patch_word: weight of the word loss: the replaced word of a swap fits no patch."""
    head: float = 1.0
    """--model.head: weight of the binary cross-entropy of its text logit, and of its word logits."""
    others: float = 0.5
    """--model.head: share of captions of other pictures in the loss of its false texts; the rest: hard negatives."""
    neutral: float = 0.3
    """--model.head: the probability that it learns for neutral texts, which can be true or false."""
    ground: float = 1.0
    """Weight of the ground loss: words attend to their boxes. 0 without boxes in the database."""
    count: float = 1.0
    """--model.head: weight of the count losses: gates open at the centres of boxes, and words say their number."""
    tag: float = 1.0
    """--model.head: weight of the tag loss: words are predicted from their boxes."""
    margin: float = 0.2
    """Triplet loss: a caption's cosine must be higher than its hard negative's by this margin."""
    temperature: float = 0.07
    """Temperature at the start of training; it is learned."""
    max_logit_scale: float = 100.0
    """Upper limit of the logit scale, 1 / temperature (Radford et al. 2021)."""

    def __post_init__(self) -> None:
        weights = (self.contrastive, self.whole, self.triplet, self.match, self.word, self.head)
        require(min(weights) >= 0 and max(weights) > 0, "--loss: weights must not be negative, nor all 0")
        require(
            min(self.ground, self.count, self.tag) >= 0, "--loss.ground, --loss.count, --loss.tag: must not be negative"
        )
        for name in ("others", "neutral"):
            require(0 <= getattr(self, name) <= 1, f"--loss.{name} {getattr(self, name)}: must be 0 to 1")
        require(0 < self.temperature <= 1, f"--loss.temperature {self.temperature}: must be above 0 and at most 1")


@dataclass(frozen=True)
class OptimConfig:
    """AdamW, with warm-up and cosine decay of the learning rates."""

    epochs: int = 12
    """Number of passes over the training photographs."""
    tag_epochs: int = 0
    """--model.head, with boxes: the first epochs train only the image branch, with the tag loss; never the last one."""
    lr: float = 1e-3
    """Highest learning rate of the two branches."""
    backbone_lr: float = 1e-3
    """Highest learning rate of the backbone, from --backbone.unfreeze-epoch on."""
    weight_decay: float = 0.01
    """Decoupled weight decay, but none of norms, biases, embeddings and the temperature."""
    warmup: float = 0.05
    """Fraction of the steps in which the learning rate rises."""
    max_norm: float = 1.0
    """Gradients are clipped to this norm."""
    accumulation: int = 1
    """Encode a batch in this many chunks to save memory. Loss and gradient are still those of the whole batch."""
    keep_by: Literal["balanced_accuracy", "loss"] = "balanced_accuracy"
    """Keep the weights of the epoch with the highest balanced accuracy of the quick check, or lowest loss of it."""
    patience: int = 10
    """Stop after this many epochs without a better value of --optim.keep-by."""
    ema: float = 0.0
    """Decay of a moving average of the weights. The average is validated and kept; 0 is no average."""
    save_minutes: float = 10.0
    """Minutes between checkpoints. There is also one after every epoch."""

    def __post_init__(self) -> None:
        require(self.epochs >= 1, f"--optim.epochs {self.epochs}: must be at least 1")
        require(self.tag_epochs >= 0, f"--optim.tag-epochs {self.tag_epochs}: must not be negative")
        require(self.lr > 0, f"--optim.lr {self.lr}: must be above 0")
        require(self.backbone_lr > 0, f"--optim.backbone-lr {self.backbone_lr}: must be above 0")
        require(0 <= self.warmup < 1, f"--optim.warmup {self.warmup}: must be at least 0 and below 1")
        require(self.accumulation >= 1, f"--optim.accumulation {self.accumulation}: must be at least 1")
        require(self.patience >= 1, f"--optim.patience {self.patience}: must be at least 1")
        require(0 <= self.ema < 1, f"--optim.ema {self.ema}: must be at least 0 and below 1")
        require(self.save_minutes >= 0, f"--optim.save-minutes {self.save_minutes}: must not be negative")


def quality(keep_by: str, loss: float, balanced_accuracy: float) -> float:
    """The value of an epoch that `keep_by` compares, higher is better; -inf for NaN."""
    value = -loss if keep_by == "loss" else balanced_accuracy
    return -math.inf if math.isnan(value) else value


@dataclass(frozen=True)
class Config(JobsConfig):
    """All settings of one training run."""

    task_cpus: int = 1
    """--engine ray: cores of each task of the feature cache."""
    task_gpus: float = 0.0
    """--engine ray: GPUs of each task of the feature cache: 1, or 0.5 if two tasks share one; 0: it uses cores."""

    name: str = "scenes"
    """Name of the run. The model is written to MODELS/NAME, its log and plots to PLOTS/NAME."""
    models: str = "Models"
    """Folder of all models."""
    plots: str = "Plots"
    """Folder of all logs and plots."""
    seed: int = 0
    """Seed of all random numbers."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps. auto takes a GPU if there is one."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto: bfloat16 if the device has units for it, else float16 on CUDA, else float32."""
    compile: bool = False
    """Compile the backbone with torch.compile: takes minutes at the start and makes steps faster."""
    resume: bool = False
    """Go on from the last checkpoint of this run. The result is that of an uninterrupted run."""
    overwrite: bool = False
    """Replace an earlier run of the same name."""
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    negatives: NegativesConfig = field(default_factory=NegativesConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)

    # They change no result, and belong to a machine: a model does not keep them, and a resumed run can change them.
    NOT_STORED: ClassVar = {"engine", "workers", "task_cpus", "task_gpus"}

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.task_cpus >= 1, f"--task-cpus {self.task_cpus}: must be at least 1")
        require(self.task_gpus >= 0, f"--task-gpus {self.task_gpus}: must not be negative")
        ours = (self.task_cpus, self.task_gpus) == (1, 0)
        require(ours or self.engine == "ray", "--task-cpus and --task-gpus need --engine ray")
        require(bool(re.fullmatch(r"\w[\w.-]*", self.name)), f"--name {self.name!r}: use letters, digits, . _ -")
        require(not (self.resume and self.overwrite), "--resume and --overwrite exclude each other")
        require(
            not (self.backbone.frozen and self.augment.active),
            "--augment: a frozen backbone's output is cached and cannot be augmented; use --backbone.views",
        )
        require(
            self.optim.accumulation <= self.data.batch_pictures,
            f"--optim.accumulation {self.optim.accumulation}: must be at most --data.batch-pictures",
        )

    @property
    def model_folder(self) -> Path:
        return Path(self.models) / self.name

    @property
    def plots_folder(self) -> Path:
        return Path(self.plots) / self.name


_SCENES = Config(
    data=DataConfig(batch_pictures=16),
    augment=AugmentConfig(shift=0.06),  # half a patch
    negatives=NegativesConfig(geometry=4.0, geometric=0.2),
    model=ModelConfig(width=96, word_width=64, lstm_layers=1, head_layers=1),
    optim=OptimConfig(epochs=6, tag_epochs=3, lr=3e-3, backbone_lr=3e-3),
)

_PHOTOGRAPHS = ModelConfig(
    width=256,
    whole_width=768,
    word_width=300,
    lstm_width=512,
    lstm_layers=1,
    dropout=0.3,
    score="both",
    weigh_words=True,
    sharpness=8.0,
    head_layers=1,
    patch_layers=2,
    evidence=True,
)

PRESETS: dict[str, tuple[str, Config]] = {
    "scenes": (
        "drawn scenes, all weights from scratch; about 7 min on 2 CPU cores, drawing included",
        _SCENES,
    ),
    "scenes-small": (
        "the same for 10 epochs instead of 6: the shipped model; about 12 min on one CPU core",
        dataclasses.replace(_SCENES, name="scenes-small", optim=dataclasses.replace(_SCENES.optim, epochs=10)),
    ),
    "frozen": (
        "photographs on a CPU, with a frozen ResNet-50; about 110 min for 7,000 photographs on 2 cores",
        Config(
            name="frozen",
            data=DataConfig(
                name="photos", side=320, batch_pictures=64, captions_per_picture=5, parts=0.15, min_count=2
            ),
            negatives=NegativesConfig(per_caption=1, add=0.15, geometric=0.1, in_batch=10.0),
            backbone=BackboneConfig(name="resnet50", unfreeze_epoch=None, views=2, layer3=True),
            model=_PHOTOGRAPHS,
            loss=LossConfig(whole=1.0),
            # After epoch 6 the balanced accuracy changes by less than its standard error (0.008 with 491 photographs),
            # but recall@1 still gains 9 points. So the loss chooses the epoch.
            optim=OptimConfig(
                epochs=20, tag_epochs=4, lr=1e-3, warmup=0.1, weight_decay=0.05, keep_by="loss", patience=20
            ),
        ),
    ),
    "finetune": (
        "photographs on a GPU: ResNet-50 is frozen for 3 epochs, then trained at a lower rate; not measured",
        Config(
            name="finetune",
            data=DataConfig(name="photos", side=224, batch_pictures=256, min_count=2, workers=8),
            augment=AugmentConfig(crop=0.6, flip=0.5, jitter=0.3, grey=0.1, blur=0.1),
            backbone=BackboneConfig(name="resnet50", unfreeze_epoch=3, layer3=True),
            model=_PHOTOGRAPHS,
            loss=LossConfig(whole=1.0),
            optim=OptimConfig(epochs=30, tag_epochs=3, lr=5e-4, backbone_lr=2e-5, accumulation=4, keep_by="loss"),
        ),
    ),
}


# What models of earlier versions have, which lack these settings.
BEFORE: dict[type, dict[str, Any]] = {
    DataConfig: {"parts": 0.0},
    BackboneConfig: {"layer3": False, "cache": "float16"},
    ModelConfig: {
        "head": "none",
        "head_layers": 2,
        "head_width": 0,
        "geometry": True,
        "counting": True,
        "evidence": False,
        "patch_layers": 0,
        "patch_width": 384,
    },
}
TRAINING_ONLY = (AugmentConfig, NegativesConfig, LossConfig, OptimConfig)  # using a trained model needs none of these


def to_json(config: Config) -> str:
    """The configuration as JSON text, as it is stored beside the weights."""
    stored = {name: value for name, value in dataclasses.asdict(config).items() if name not in Config.NOT_STORED}
    return json.dumps(stored, indent=2)


def flags_of(text: str) -> list[str]:
    """The flags that give every setting the value that it has in `to_json`, for example "--optim.epochs 20"."""
    found = []
    for name, value in json.loads(text).items():
        values = value.items() if isinstance(value, dict) else [("", value)]
        for field_name, one in values:
            section = f"{name}." if field_name else ""
            no = "no-" if one is False else ""
            flag = f"--{section}{no}{field_name or name}".replace("_", "-")
            found.append(flag if isinstance(one, bool) else f"{flag} {one}")
    return found


def from_json(text: str) -> Config:
    """Rebuild a configuration from `to_json`.

    A training setting that is absent gets its default: that is what the earlier version did that lacks it. ValueError
    if the text has unknown settings, or lacks others.
    """
    return _build(Config, json.loads(text))


def _build(kind: type, values: Mapping[str, Any]) -> Any:
    values = {**BEFORE.get(kind, {}), **values}
    known = {f.name: f for f in dataclasses.fields(kind)}
    needed = set() if kind in TRAINING_ONLY else set(known) - getattr(kind, "NOT_STORED", set())
    unknown, absent = sorted(set(values) - set(known)), sorted(needed - set(values))
    if unknown or absent:
        raise ValueError(
            f"{kind.__name__} of another version: unknown settings {unknown}, absent settings {absent}; "
            "train the model again with this version"
        )
    sections = {n: f.default_factory for n, f in known.items() if dataclasses.is_dataclass(f.default_factory)}
    return kind(**{n: _build(sections[n], v) if n in sections else v for n, v in values.items()})  # type: ignore[arg-type]
