"""Every setting of the program: frozen dataclasses and named presets. The command line is made from them.

The docstring under a field is its `--help`. Values are only checked here; what can be derived is a property.
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
from typing import Any, ClassVar, Literal, NamedTuple


def usable_cores() -> int:
    """Cores that this process may use."""
    with contextlib.suppress(AttributeError):  # macOS and Windows do not tell
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def require(condition: bool, message: str) -> None:
    """Raise ValueError(message) unless the condition holds."""
    if not condition:
        raise ValueError(message)


class SourceField(NamedTuple):
    """What a field of DatabaseConfig that selects a source says about it."""

    module: str
    """`sources/MODULE.py` reads it."""
    about: tuple[str, ...]
    """It has texts alone; they describe the pictures of these sources."""
    captions: str | None
    """The other source that its captions come from; None if it has its own."""
    is_default: bool
    """It is used where no other source is named."""


def source(
    module: str, *, default: Any = None, about: tuple[str, ...] = (), captions: str | None = None
) -> Any:  # what dataclasses.field returns
    """A field of DatabaseConfig that selects a source. The name of the field is the source's name and its flag."""
    facts = SourceField(module, about, captions, is_default=default is not None)
    return field(default=() if about else default, metadata={"source": facts})


@dataclass(frozen=True)
class DatabaseConfig:
    """What Database_create.py builds."""

    name: str = "scenes"
    """Name of the database; it is written to ROOT/NAME."""
    root: str = "Database"
    """Folder of all databases."""
    scenes: int = source("scenes", default=8000)
    """Number of drawn scenes, used when no folder of photographs is given."""
    coco: str | None = source("coco")
    """Folder with train2017/ and val2017/ (or those of 2014) and annotations/, or a dataset_coco.json."""
    flickr30k: str | None = source("flickr")
    """Folder with flickr30k-images/ and results_20130124.token, results.csv or dataset_flickr30k.json."""
    flickr8k: str | None = source("flickr")
    """Folder with Flicker8k_Dataset/ and Flickr8k.token.txt and its lists, captions.txt or dataset_flickr8k.json."""
    ade20k: str | None = source("ade20k", captions="narratives")
    """Folder with images/training/ and images/validation/; its captions come from --narratives."""
    narratives: tuple[str, ...] = source("narratives", about=("coco", "flickr30k", "ade20k"))
    """JSONL files of Localized Narratives, for the pictures of COCO, Flickr30k and ADE20K."""
    sharegpt4v: tuple[str, ...] = source("sharegpt4v", about=("coco",))
    """JSON files of ShareGPT4V or Share-Captioner, for the pictures of COCO."""
    pairs: str | None = source("pairs")
    """Your own CSV, TSV, JSONL or Parquet file with the columns image and caption, and optionally label and split."""
    images: str | None = None
    """Folder of the images of --pairs; by default the folder of that file."""
    hold_out: str | None = None
    """File with ids or file names, one a line. These photographs go to the test split, whatever their sources say."""
    short_side: int = 256
    """Photographs are reduced until their short side has this many pixels; they are never enlarged."""
    jpeg_quality: int = 90
    """Quality of the stored JPEG, 1 to 95. An upright colour JPEG that already fits is stored as it is."""
    workers: int = field(default_factory=lambda: min(16, usable_cores()))  # each holds 300 MB
    """Processes of --engine local, by default one a core and at most 16. The database does not depend on it."""
    engine: Literal["local", "ray"] = "local"
    """local: processes of this machine. ray: a Ray cluster (RAY_ADDRESS), see requirements-cluster.txt."""
    seed: int = 0
    """Seed of the drawn scenes."""
    negatives: bool = True
    """Plan the hard negatives too; otherwise they are planned when the database is first used."""
    overwrite: bool = False
    """Replace a database of the same name."""
    reparse: bool = False
    """Parse the captions of the finished database NAME again; pictures, splits and all else stay as they are."""

    NOT_SHAPING: ClassVar = {"root", "workers", "engine", "overwrite", "reparse", "negatives"}

    def __post_init__(self) -> None:
        # No dot in front: ".." would be outside the root, and hidden names are those of unfinished databases.
        is_name = re.fullmatch(r"[\w-][\w.-]*", self.name)
        require(bool(is_name), f"--name {self.name!r}: use letters, digits, . _ - and no dot in front")
        if self.reparse:
            default = {known.name: known.default for known in dataclasses.fields(self)}
            idle = [name for name, value in self.shaping.items() if name != "name" and value != default[name]]
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in idle)
            require(not idle, f"--reparse reads a finished database, no sources, and keeps its pictures: drop {flags}")
        self._check_sources()
        require(self.images is None or self.pairs is not None, "--images belongs to --pairs FILE")
        require(12 <= self.scenes <= 500_000, f"--scenes {self.scenes}: must be 12 to 500,000")
        require(self.seed >= 0, f"--seed {self.seed}: must not be negative")
        require(32 <= self.short_side <= 2048, f"--short-side {self.short_side}: must be 32 to 2048")
        require(1 <= self.jpeg_quality <= 95, f"--jpeg-quality {self.jpeg_quality}: must be 1 to 95")
        require(self.workers >= 1, f"--workers {self.workers}: must be at least 1")

    def _check_sources(self) -> None:
        """Photographs need a name, texts need pictures, and pictures need captions."""
        require(not (self.has_photographs and self.name == "scenes"), "photographs need a name: add --name photos")
        known, named = self.sources(), self.named_sources
        texts = [name for name, facts in known.items() if facts.about]
        described = {picture for name in texts for picture in known[name].about}
        *others, last = [f"--{name} DIR" for name in known if name in described]
        require(
            self.has_photographs or not any(name in named for name in texts),
            f"{' and '.join(f'--{name}' for name in texts)} describe pictures of other datasets: "
            f"add {', '.join(others)} or {last}",
        )
        for name in named:
            captions = known[name].captions
            require(
                captions is None or captions in named,
                f"--{name} has no captions of its own: add --{captions} FILE",
            )

    @classmethod
    def sources(cls) -> dict[str, SourceField]:
        """Every field that selects a source, those with pictures first."""
        found = {known.name: known.metadata["source"] for known in dataclasses.fields(cls) if known.metadata}
        return dict(sorted(found.items(), key=lambda item: bool(item[1].about)))

    @property
    def named_sources(self) -> dict[str, Any]:
        """Name -> value of the sources that a database is built from: those that are named, else the default."""
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
        """The settings that the rows of the database depend on."""
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
    """Which database, and how batches are made of it."""

    name: str = "scenes"
    """Name of the database."""
    root: str = "Database"
    """Folder of all databases."""
    side: int = 128
    """Pictures enter the model as SIDE x SIDE pixels; 0 is the size that the backbone was made for. A timm model of a
    fixed size (ViT, Swin) is built for SIDE."""
    batch_pictures: int = 32
    """Pictures in one batch; the contrastive loss sees them all at once."""
    captions_per_picture: int = 2
    """Captions of each picture in one batch."""
    max_words: int = 64
    """Longer captions are cut after this many words."""
    min_count: int = 1
    """Words rarer than this in the training captions become <unk>."""
    workers: int = 1
    """Loader processes; 0 loads in the training process."""

    def __post_init__(self) -> None:
        require(self.side >= 32 or self.side == 0, f"--data.side {self.side}: must be at least 32, or 0")
        require(self.batch_pictures >= 2, "--data.batch-pictures: a contrastive loss needs at least 2 pictures")
        require(self.captions_per_picture >= 1, "--data.captions-per-picture: must be at least 1")
        require(self.max_words >= 1, "--data.max-words: must be at least 1")
        require(self.workers >= 0, "--data.workers: must not be negative")

    @property
    def folder(self) -> Path:
        return Path(self.root) / self.name


@dataclass(frozen=True)
class AugmentConfig:
    """Changes of the picture that leave its captions true."""

    crop: float = 1.0
    """Smallest share of the picture's area that a random crop keeps; 1 is no crop."""
    shift: float = 0.0
    """Largest random shift, as a share of the side; the border is repeated."""
    flip: float = 0.0
    """Probability of a mirror image; never where a caption speaks of left or right, or of writing."""
    jitter: float = 0.0
    """Strength of random brightness, contrast and saturation; never where a caption names a colour."""
    grey: float = 0.0
    """Probability of a picture without colours; never where a caption names one."""
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
    """Hard negatives: false captions that differ in little from a true one, in a mixture of kinds."""

    swap: float = 0.6
    """How often, against the other kinds: one word is replaced by another of its category."""
    exchange: float = 0.2
    """How often: two phrases of the caption change places. Captions without such phrases get another kind."""
    mined: float = 0.2
    """How often: a real caption of another photograph that is near this one and contradicts it."""
    in_batch: float = 1.0
    """Weight of the batch's other captions in the contrastive loss, against the hard negatives'; 0 leaves them out."""
    per_caption: int = 2
    """Hard negatives drawn for each caption in each epoch."""
    most_swaps: int = 1
    """A swap replaces one to this many words."""

    NOT_WEIGHTS: ClassVar = {"in_batch", "per_caption", "most_swaps"}

    @property
    def weights(self) -> dict[str, float]:
        """How often each kind of hard negative is drawn, against the others. The kinds are `Negative_map.KINDS`."""
        return {name: value for name, value in vars(self).items() if name not in self.NOT_WEIGHTS}

    def __post_init__(self) -> None:
        weights = self.weights.values()
        require(min(weights) >= 0 and max(weights) > 0, "--negatives: weights must not be negative, nor all 0")
        require(self.in_batch >= 0, "--negatives.in-batch: must not be negative")
        require(self.per_caption >= 1, "--negatives.per-caption: must be at least 1")
        require(1 <= self.most_swaps <= 3, "--negatives.most-swaps: must be 1 to 3")


@dataclass(frozen=True)
class BackboneConfig:
    """The network under the image branch; Architectures.BACKBONES lists them."""

    name: str = "small"
    """small: 10 convolutions trained from scratch. resnet50: pretrained on ImageNet. timm:MODEL: a model of timm, for
    example timm:convnext_tiny.fb_in22k, with its own pixel mean and std (needs requirements-timm.txt)."""
    weights: str = "IMAGENET1K_V2"
    """resnet50: a name of torchvision's ResNet50_Weights (downloaded once). timm: by default those of MODEL (downloaded
    once). Both: a file with a state dict, or none for random weights."""
    stride_in_1x1: bool = False
    """resnet50: the file holds a v1 network, with each stride in the first 1x1 convolution of its block."""
    unfreeze_epoch: int | None = 0
    """The backbone is trained from this epoch on; None keeps it frozen and caches its output."""
    views: int = 1
    """Frozen: cached views of each training picture, 1 to 16: itself, its mirror image, then crops of which every
    second is mirrored; each takes 200 KB at side 224."""
    view_crop: float = 0.6
    """Frozen: smallest share of the picture's area that such a crop keeps."""
    grid: int = 0
    """resnet50, timm: features are averaged to GRID x GRID patches; 0 leaves them as they are (resnet50: SIDE / 32)."""
    channels: int = 32
    """small: channels after the first convolution; they double at each of three reductions."""

    def __post_init__(self) -> None:
        require(self.unfreeze_epoch is None or self.unfreeze_epoch >= 0, "--backbone.unfreeze-epoch: negative")
        require(1 <= self.views <= 16, f"--backbone.views {self.views}: must be 1 to 16")
        require(0.05 <= self.view_crop <= 1, f"--backbone.view-crop {self.view_crop}: must be 0.05 to 1")
        require(0 <= self.grid <= 64, f"--backbone.grid {self.grid}: must be 0 to 64")

    @property
    def frozen(self) -> bool:
        return self.unfreeze_epoch is None


@dataclass(frozen=True)
class ModelConfig:
    """The two branches above the backbone, and their score."""

    width: int = 128
    """D, the width of patch and word vectors."""
    whole_width: int = 0
    """Width of the vectors of a whole picture and a whole text, a multiple of WIDTH; 0 is WIDTH."""
    word_width: int = 128
    """Width of a word's embedding before the LSTM."""
    lstm_width: int = 0
    """Width of the LSTM layers, both directions together; 0 is WIDTH."""
    lstm_layers: int = 2
    """Residual bidirectional LSTM layers."""
    dropout: float = 0.0
    """Dropout on embeddings, between LSTM layers, and on channels of backbone features."""
    score: Literal["patch_word", "pooled", "both"] = "patch_word"
    """patch_word: each word's best patch. pooled: cosine of the whole picture and the whole text. both: patch_word
    decides, with some of pooled, and texts are ranked by a learned mean."""
    weigh_words: bool = False
    """patch_word: how much each word counts is learned; else all count the same."""
    sharpness: float = 5.0
    """patch_word: 0 averages the words; larger values lean on the worst word, since one false word suffices."""

    def __post_init__(self) -> None:
        require(self.width >= 2 and self.width % 2 == 0, "--model.width: must be even")
        require(self.lstm_width >= 0 and self.lstm_width % 2 == 0, "--model.lstm-width: must be even")
        require(
            self.whole_width >= 0 and self.whole_width % self.width == 0,
            f"--model.whole-width {self.whole_width}: must be a multiple of --model.width {self.width}",
        )
        require(self.lstm_layers >= 1, "--model.lstm-layers: must be at least 1")
        require(0 <= self.dropout < 1, "--model.dropout: must be at least 0 and below 1")
        require(self.sharpness >= 0, "--model.sharpness: must not be negative")


@dataclass(frozen=True)
class LossConfig:
    """InfoNCE in both directions, a triplet margin on the hard negatives, and one threshold for all."""

    contrastive: float = 1.0
    """Weight of the contrastive loss."""
    whole: float = 0.0
    """Score both: weight of another contrastive loss, of the pooled score alone and without hard negatives."""
    triplet: float = 1.0
    """Weight of the triplet loss."""
    match: float = 1.0
    """Weight of the match loss: one learned threshold must separate all captions from all hard negatives."""
    word: float = 1.0
    """Weight of the word loss: the changed word of a hard negative fits nowhere (patch_word only)."""
    margin: float = 0.2
    """The caption must beat its hard negative by this much cosine."""
    temperature: float = 0.07
    """Temperature at the start; it is learned."""
    max_logit_scale: float = 100.0
    """1/temperature never grows past this (Radford et al. 2021)."""

    def __post_init__(self) -> None:
        weights = (self.contrastive, self.whole, self.triplet, self.match, self.word)
        require(min(weights) >= 0 and max(weights) > 0, "--loss: weights must not be negative, nor all 0")
        require(0 < self.temperature <= 1, "--loss.temperature: must be above 0 and at most 1")


@dataclass(frozen=True)
class OptimConfig:
    """AdamW with warm-up and cosine decay."""

    epochs: int = 12
    """Passes over the training photographs."""
    lr: float = 1e-3
    """Highest learning rate of the two branches."""
    backbone_lr: float = 1e-3
    """Highest learning rate of the backbone, once it is unfrozen."""
    weight_decay: float = 0.01
    """Decoupled weight decay; not on norms, biases, embeddings and the temperature."""
    warmup: float = 0.05
    """Share of the steps in which the learning rate rises."""
    max_norm: float = 1.0
    """Gradients are clipped to this norm."""
    accumulation: int = 1
    """The batch is encoded in this many chunks; loss and gradient stay those of the whole batch (the small backbone's
    batch norm alone sees one chunk at a time)."""
    keep_by: Literal["balanced_accuracy", "loss"] = "balanced_accuracy"
    """Which epoch's weights are kept: that of the highest validation balanced accuracy, or of the lowest loss."""
    patience: int = 10
    """Stop after this many epochs in which validation, by `keep_by`, was no better."""
    ema: float = 0.0
    """Decay of the weights' moving average, which is what gets evaluated and kept; 0 is no average. (Batch norm
    statistics of the small backbone are those of the last weights.)"""
    save_minutes: float = 10.0
    """A checkpoint is written at least this often, and after every epoch."""

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "--optim.epochs: must be at least 1")
        require(self.lr > 0 and self.backbone_lr > 0, "--optim.lr: must be positive")
        require(0 <= self.warmup < 1, "--optim.warmup: must be at least 0 and below 1")
        require(self.accumulation >= 1, "--optim.accumulation: must be at least 1")
        require(self.patience >= 1, "--optim.patience: must be at least 1")
        require(0 <= self.ema < 1, f"--optim.ema {self.ema}: must be at least 0 and below 1")
        require(self.save_minutes >= 0, "--optim.save-minutes: must not be negative")


def quality(keep_by: str, loss: float, balanced_accuracy: float) -> float:
    """What decides which epoch's weights are kept, higher is better; -inf for NaN."""
    value = -loss if keep_by == "loss" else balanced_accuracy
    return -math.inf if math.isnan(value) else value


@dataclass(frozen=True)
class Config:
    """All settings of one training run."""

    name: str = "scenes"
    """Name of the run: the model goes to Models/NAME, its log and plots to Plots/NAME."""
    models: str = "Models"
    """Folder of all models."""
    plots: str = "Plots"
    """Folder of all logs and plots."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps ..."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto: bfloat16 where the device computes with it, else float16 on CUDA, else float32."""
    compile: bool = False
    """Compile the backbone (torch.compile): minutes at the start, fewer passes over memory after that."""
    resume: bool = False
    """Go on from the last checkpoint of this run as if nothing had happened."""
    overwrite: bool = False
    """Replace an earlier run of the same name."""
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    negatives: NegativesConfig = field(default_factory=NegativesConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)

    def __post_init__(self) -> None:
        require(bool(re.fullmatch(r"\w[\w.-]*", self.name)), f"--name {self.name!r}: use letters, digits, . _ -")
        require(not (self.resume and self.overwrite), "--resume and --overwrite exclude each other")
        require(
            not (self.backbone.frozen and self.augment.active),
            "--augment: a frozen backbone's output is cached and cannot be augmented; use --backbone.views",
        )
        require(
            self.optim.accumulation <= self.data.batch_pictures,
            "--optim.accumulation: more chunks than pictures in a batch",
        )

    @property
    def model_folder(self) -> Path:
        return Path(self.models) / self.name

    @property
    def plots_folder(self) -> Path:
        return Path(self.plots) / self.name


PRESETS: dict[str, tuple[str, Config]] = {
    "scenes": (
        "the embedded default: drawn scenes, everything from scratch, minutes on a laptop CPU",
        Config(),
    ),
    "scenes-small": (
        "the same with a third of the weights: how Models/scenes-small, which comes with the program, was made",
        Config(
            name="scenes-small",
            backbone=BackboneConfig(channels=16),
            model=ModelConfig(width=96, word_width=64),
            optim=OptimConfig(epochs=30, patience=30),
        ),
    ),
    "frozen": (
        "photographs on a CPU: ResNet-50 stays frozen and its output is cached once",
        Config(
            name="frozen",
            data=DataConfig(name="photos", side=320, batch_pictures=128, captions_per_picture=5, min_count=2),
            negatives=NegativesConfig(per_caption=1, in_batch=10.0),
            backbone=BackboneConfig(name="resnet50", unfreeze_epoch=None, views=2, grid=7),
            model=ModelConfig(
                width=256,
                whole_width=1024,
                word_width=300,
                lstm_width=512,
                lstm_layers=1,
                dropout=0.3,
                score="both",
                weigh_words=True,
                sharpness=8.0,
            ),
            loss=LossConfig(whole=1.0),
            # From epoch 6 on the balanced accuracy moves by less than its standard error, 0.008 with 491 photographs,
            # while recall@1 goes on to gain 9 points: its highest value once was that of epoch 6.
            optim=OptimConfig(epochs=20, lr=1e-3, warmup=0.1, weight_decay=0.05, keep_by="loss", patience=20),
        ),
    ),
    "finetune": (
        "photographs on a GPU: frozen warm-up, then ResNet-50 is trained at its own lower rate",
        Config(
            name="finetune",
            data=DataConfig(name="photos", side=224, batch_pictures=256, min_count=2, workers=8),
            augment=AugmentConfig(crop=0.6, flip=0.5, jitter=0.3, grey=0.1, blur=0.1),
            backbone=BackboneConfig(name="resnet50", unfreeze_epoch=3),
            model=ModelConfig(width=1024, word_width=300, dropout=0.2),
            optim=OptimConfig(epochs=30, lr=5e-4, backbone_lr=2e-5, accumulation=4, keep_by="loss"),
        ),
    ),
}


TRAINING_ONLY = (AugmentConfig, NegativesConfig, LossConfig, OptimConfig)  # a trained model does not depend on them


def to_json(config: Config) -> str:
    """The configuration as JSON text, as it is stored beside the weights."""
    return json.dumps(dataclasses.asdict(config), indent=2)


def from_json(text: str) -> Config:
    """Rebuild a configuration from `to_json`.

    A setting of training alone that an earlier version did not have has its default, which is what that version did.
    ValueError if the text was written by a version with other settings.
    """
    return _build(Config, json.loads(text))


def _build(kind: type, values: Mapping[str, Any]) -> Any:
    known = {f.name: f for f in dataclasses.fields(kind)}
    needed = set() if kind in TRAINING_ONLY else set(known)
    unknown, absent = sorted(set(values) - set(known)), sorted(needed - set(values))
    if unknown or absent:
        raise ValueError(
            f"{kind.__name__} of another version: unknown settings {unknown}, absent settings {absent}; "
            "train the model again with this version"
        )
    sections = {n: f.default_factory for n, f in known.items() if dataclasses.is_dataclass(f.default_factory)}
    return kind(**{n: _build(sections[n], v) if n in sections else v for n, v in values.items()})  # type: ignore[arg-type]
