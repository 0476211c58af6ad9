"""The network: an image branch, a text branch, and two ways to score a picture against a text.

    picture (N, 3, H, W) -> backbone (N, C, h, w) -> neck (N, K, D) \\
                                                                     pair_scores (B,), all_scores (N, T)
    text (T, L) -> embedding -> bidirectional LSTM -> (T, K, D)     /

N pictures, T texts, B pairs of a picture and a text; H x W pixels; C channels and h x w cells of the backbone's
features, P = h * w patches; L words of the longest text; D width of patch and word vectors; K vectors of a picture or a
text: some rows for the whole of it (pooled score), then its P patches or L words (patch-word score).

To add a backbone: one class with the protocol of `Backbone`, and one line in BACKBONES.
"""

import sys
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.storage import read_state_dict
from Config import BackboneConfig, Config, ModelConfig, require

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of RGB in 0 to 1
# How much the pooled score counts in a verdict. Which of thousands of captions is a picture's own is a matter of the
# whole, whether one of twelve words is false is not. On 491 photographs, with 0, 0.1, 0.2, 0.5: balanced accuracy on
# hard negatives .720, .716, .713, .681, on captions of other photographs .898, .910, .922, .938. It is not learned: one
# number that moves by at most the learning rate stays near where it begins, and of training photographs the pooled
# score knows the captions by heart.
VERDICT_BLEND = 0.1
OUT = -1e9  # a logit that counts for nothing; unlike -inf it gives no nan where a whole row is out


def import_torchvision() -> ModuleType:
    """torchvision, also beside a torch that was built for the CPU only.

    The package index's torchvision is built for CUDA. Beside a CPU torch its compiled operators are not registered
    and its import dies with "operator torchvision::nms does not exist". Declaring the two it asks for is enough for
    models and transforms; where torchvision is whole nothing is declared.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]  # the half-imported modules of the failed attempt
        for operator in ("nms", "qnms"):
            torch.library.define(
                f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
        import torchvision
    return torchvision


class Backbone(nn.Module):
    """The network under the image branch: normalised pictures (N, 3, H, W) -> features (N, C, H / R, W / R).

    A subclass sets `channels` and `reduction`; the other defaults suit a network that is trained from scratch.
    """

    channels: int  # C of the features
    reduction: int  # R, pixels of a feature cell's side
    mean: tuple[float, ...] = IMAGENET_MEAN  # of pixels in 0 to 1; pictures are normalised with it
    std: tuple[float, ...] = IMAGENET_STD
    pretrained = False  # whether `load` finds weights; only such a backbone can be frozen

    def __init__(self, settings: BackboneConfig, side: int = 0):
        """side: of the pictures in pixels, for a network that takes only one; 0 is `own_side`."""
        super().__init__()
        self.reduce: nn.Module | None = None  # averages the features to a grid

    @classmethod
    def check(cls, settings: BackboneConfig) -> None:
        """ValueError if such a backbone cannot be built; called before any work."""
        freezes = settings.unfreeze_epoch != 0
        require(cls.pretrained or not freezes, f"the {settings.name} backbone has no weights to freeze")

    @classmethod
    def own_side(cls, settings: BackboneConfig) -> int:
        """The side in pixels that `--data.side 0` stands for."""
        return 224

    def load(self, weights: str) -> None:
        """Fill in the pretrained weights that `--backbone.weights` names; a backbone without such stays as it is.

        ValueError or FileNotFoundError says how to get them.
        """

    def extra_repr(self) -> str:
        """The feature cache is named by a hash of the weights and repr(backbone): other means are other features."""
        if (self.mean, self.std) == (IMAGENET_MEAN, IMAGENET_STD):
            return ""
        return f"mean={self.mean}, std={self.std}"


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside an identity; the last norm's gain, 0 at first, makes the block start as it."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm2.weight)  # Goyal et al. 2017

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))


class SmallBackbone(Backbone):
    """A network to train from scratch, with a receptive field of 128 pixels.

    pictures (N, 3, H, W) -> features (N, 8 * settings.channels, H / 16, W / 16)
    Batch norm is needed to learn shapes: after 3 epochs of telling the 22 kinds of Scenes apart, the average precision
    was 0.93 with batch norm (one more after the first convolution), 0.13 with group norm instead, and 0.13 with group
    norm outside the residual blocks only; 57, 66 and 54 s.
    With `accumulation` above 1 it normalises over the pictures of a chunk.
    """

    reduction = 16

    @classmethod
    def own_side(cls, settings: BackboneConfig) -> int:
        return 128

    def __init__(self, settings: BackboneConfig, side: int = 0):
        super().__init__(settings, side)
        channels = settings.channels
        layers: list[nn.Module] = [nn.Conv2d(3, channels, 5, stride=2, padding=2), nn.ReLU()]
        for blocks in (0, 1, 2):
            layers += [
                nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(2 * channels),
                nn.ReLU(),
                *(ResidualBlock(2 * channels) for _ in range(blocks)),
            ]
            channels *= 2
        self.layers = nn.Sequential(*layers)
        self.channels = channels

    def forward(self, pictures: Tensor) -> Tensor:
        return self.layers(pictures)


class PretrainedBackbone(Backbone, ABC):
    """What backbones with pretrained weights share: a grid of features, and batch norm with its statistics kept."""

    pretrained = True

    def __init__(self, settings: BackboneConfig, side: int = 0):
        super().__init__(settings, side)
        if settings.grid:  # larger pictures then show more, and cost no more in all that follows
            self.reduce = nn.AdaptiveAvgPool2d(settings.grid)

    @abstractmethod
    def features(self, pictures: Tensor) -> Tensor:
        """Normalised pictures (N, 3, H, W) -> features (N, C, H / R, W / R)."""

    def forward(self, pictures: Tensor) -> Tensor:
        """As `features`, averaged to (N, C, grid, grid) if a grid is given."""
        features = self.features(pictures)
        return features if self.reduce is None else self.reduce(features.float())  # a mean of bfloat16 loses digits

    def train(self, mode: bool = True) -> "PretrainedBackbone":
        """Training mode for all but batch norm: its statistics would follow the batch and drift."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self


def read_backbone_weights(weights: str, ways: str) -> dict[str, Tensor]:
    """A file with a state dict, in float32. ValueError or FileNotFoundError ends with `ways`, how to get one."""
    path = Path(weights)
    if not path.is_file():
        raise FileNotFoundError(f"no backbone weights at {path}; {ways}")
    return as_floats(read_state_dict(path), weights, ways)


def as_floats(state: Any, weights: str, ways: str) -> dict[str, Tensor]:
    """A state dict in float32. ValueError unless every value is a tensor."""
    if not (isinstance(state, dict) and all(isinstance(value, Tensor) for value in state.values())):
        raise ValueError(f"{weights} holds no plain state dict, name by name a tensor; {ways}")
    return {name: value.float() for name, value in state.items()}


class ResNet50Backbone(PretrainedBackbone):
    """torchvision's ResNet-50 without its pooling and classifier.

    pictures (N, 3, H, W) -> features (N, 2048, H / 32, W / 32), or (N, 2048, grid, grid)
    """

    channels, reduction = 2048, 32

    def __init__(self, settings: BackboneConfig, side: int = 0):
        super().__init__(settings, side)
        network = import_torchvision().models.resnet50(weights=None)
        if settings.stride_in_1x1:
            # He et al. 2015 stride in the first 1x1 convolution, torchvision in the 3x3 one; a file of one kind in
            # a network of the other loads without complaint and loses 10 points of ImageNet accuracy.
            for stage in (network.layer2, network.layer3, network.layer4):
                stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
        del network.avgpool, network.fc
        self.network = network

    def features(self, pictures: Tensor) -> Tensor:
        net = self.network
        x = net.maxpool(net.relu(net.bn1(net.conv1(pictures))))
        return net.layer4(net.layer3(net.layer2(net.layer1(x))))

    def load(self, weights: str) -> None:
        """weights: a name of torchvision's ResNet50_Weights, downloaded once, or a file with a state dict."""
        names = import_torchvision().models.ResNet50_Weights.__members__
        ways = (
            "either let torchvision download them once (--backbone.weights IMAGENET1K_V2, needs a network), "
            "or give a file: --backbone.weights FILE.pth (with --backbone.stride-in-1x1 if it is a v1 network)"
        )
        if weights in names:
            try:
                state = as_floats(names[weights].get_state_dict(progress=True, check_hash=True), weights, ways)
            except OSError as error:
                raise FileNotFoundError(f"cannot download {weights} ({error}); {ways}") from error
        else:
            state = read_backbone_weights(weights, ways)
        state = {name: value for name, value in state.items() if not name.startswith("fc.")}
        absent, unknown = self.network.load_state_dict(state, strict=False)
        absent = [name for name in absent if not name.endswith("num_batches_tracked")]
        if absent or unknown:
            raise ValueError(
                f"{weights} is no ResNet-50 of torchvision's layout: absent {absent[:3]}, unknown {unknown[:3]}; {ways}"
            )


BACKBONES: dict[str, type[Backbone]] = {
    "small": SmallBackbone,
    "resnet50": ResNet50Backbone,
}


def backbone_class(name: str) -> type[Backbone]:
    """The class that `--backbone.name` means: a key of BACKBONES, or KEY:MODEL where it ends in a colon.

    ValueError for another name lists them.
    """
    key, colon, _ = name.partition(":")
    kind = BACKBONES.get(key + colon)
    if kind is None:
        known = (f"{key}MODEL" if key.endswith(":") else key for key in BACKBONES)
        raise ValueError(f"--backbone.name {name}: choose from {', '.join(known)}")
    return kind


def settle_backbone(config: Config) -> Config:
    """The settings with `--data.side 0` replaced by the backbone's own side.

    ValueError if there is no such backbone, or it cannot be built. Called before any work of a training run.
    """
    kind = backbone_class(config.backbone.name)
    kind.check(config.backbone)
    if config.data.side:
        return config
    return replace(config, data=replace(config.data, side=kind.own_side(config.backbone)))


class Neck(nn.Module):
    """1x1 convolution from backbone features, and the place of each patch, to unit vectors.

    features (N, C, H, W) -> (N, K, D): the picture as a whole, in whole / D rows, if `whole` is not 0; then its H * W
    patches if `patches`.
    A convolution sees what is around a patch but hardly where it is, and captions say "on the left". Dropout takes a
    channel from all patches of a picture: a mask for each number would take 0.17 s for 128 pictures, and this one none.
    """

    def __init__(self, channels: int, width: int, dropout: float, whole: int, patches: bool):
        super().__init__()
        self.dropout = nn.Dropout1d(dropout)
        if patches:
            self.project = nn.Linear(channels, width)  # a 1x1 convolution, applied where channels come last
            self.place = nn.Linear(2, width, bias=False)
            nn.init.zeros_(self.place.weight)  # at torch's own scale, places drown what is seen: 0.60 instead of 0.71
        if whole:
            self.project_whole = nn.Linear(channels, whole)
        self.width, self.whole, self.patches = width, whole, patches

    def forward(self, features: Tensor) -> Tensor:
        vectors = []
        count, channels, _, _ = features.shape
        features = features * self.dropout(features.new_ones(count, channels, 1)).unsqueeze(-1)
        if self.whole:
            picture = self.project_whole(features.mean((2, 3)))
            vectors.append(F.normalize(picture.float(), dim=-1).view(count, -1, self.width))
        if self.patches:
            _, _, height, width = features.shape
            y = torch.linspace(-1, 1, height, device=features.device)
            x = torch.linspace(-1, 1, width, device=features.device)
            places = torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1).view(-1, 2)
            # Contiguous, since a bfloat16 product with a transposed view takes 0.65 instead of 0.07 s on a CPU.
            patches = features.flatten(2).transpose(1, 2).contiguous()
            vectors.append(F.normalize((self.project(patches) + self.place(places)).float(), dim=-1))
        return torch.cat(vectors, dim=1)


class BidirectionalLSTM(nn.Module):
    """One LSTM reads each text forwards, another reads it backwards from its own last word.

    x (T, L, D), backwards (T, L, 1) from `reversed_positions` -> (T, L, D)
    Padding follows the real words in both directions, so it changes none of them. Measured against a packed
    sequence (384 captions of 6 to 14 words, 2 cores): equal in float32, 1.6 times as fast in bfloat16; and unlike
    packing it needs no lengths on the host, which would make a GPU wait.
    """

    def __init__(self, width: int):
        super().__init__()
        self.forwards = nn.LSTM(width, width // 2, batch_first=True)
        self.backwards = nn.LSTM(width, width // 2, batch_first=True)

    def forward(self, x: Tensor, backwards: Tensor) -> Tensor:
        ahead = self.forwards(x)[0]
        behind = self.backwards(x.gather(1, backwards.expand_as(x)))[0]
        return torch.cat([ahead, behind.gather(1, backwards.expand_as(behind))], dim=-1)


def reversed_positions(mask: Tensor) -> Tensor:
    """Where the word lies that stands at each position once its text is reversed. (T, L) -> (T, L, 1).

    Real words come first in each row; padding stays where it is.
    """
    position = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
    length = mask.sum(1, keepdim=True)
    return torch.where(mask, length - 1 - position, position).unsqueeze(-1)


class TextEncoder(nn.Module):
    """Embedding and a stack of residual bidirectional LSTM layers over the real length of each text.

    words (T, L) indices, 0 is padding; -> (T, K, D): the text as a whole, at unit length and in whole / D rows, if
    `whole` is not 0; then its L words if `words`.
    A word vector's direction says what the word means, its length how much it counts: those of a text's words add up to
    1. They are equal unless `weigh_words`. Padding is the zero vector.
    """

    def __init__(self, vocabulary: int, model: ModelConfig, whole: int, words: bool):
        super().__init__()
        width = model.lstm_width or model.width
        self.embed = nn.Embedding(vocabulary, model.word_width, padding_idx=0)
        nn.init.normal_(self.embed.weight[1:], std=0.1)
        self.widen = nn.Linear(model.word_width, width)
        self.layers = nn.ModuleList(BidirectionalLSTM(width) for _ in range(model.lstm_layers))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(model.lstm_layers))
        self.dropout = nn.Dropout(model.dropout)
        if words:
            self.project = nn.Linear(width, model.width)
        if whole:
            self.project_whole = nn.Linear(width, whole)
        self.weigh = nn.Linear(width, 1, bias=False) if words and model.weigh_words else None
        if self.weigh is not None:
            nn.init.zeros_(self.weigh.weight)  # at first all words count the same
        self.width, self.whole, self.words = model.width, whole, words

    def forward(self, words: Tensor) -> Tensor:
        mask = words != 0
        backwards = reversed_positions(mask)
        x = self.widen(self.dropout(self.embed(words)))
        for lstm, norm in zip(self.layers, self.norms):
            x = x + self.dropout(lstm(norm(x), backwards))
        share = mask / mask.sum(1, keepdim=True).clamp(min=1)
        vectors = []
        if self.whole:
            text = self.project_whole((x.float() * share.unsqueeze(-1)).sum(1))
            text = F.normalize(text.float(), dim=-1) * mask.any(1, keepdim=True)
            vectors.append(text.view(words.shape[0], -1, self.width))  # len() would be a constant of an export
        if self.words:
            if self.weigh is not None:
                logits = self.weigh(x).float().squeeze(-1)
                share = logits.masked_fill(~mask, OUT).softmax(dim=-1) * mask
            vectors.append(F.normalize(self.project(x).float(), dim=-1) * share.unsqueeze(-1))
        return torch.cat(vectors, dim=1)


def encode_by_length(encoder: TextEncoder, words: Tensor, size: int = 64) -> Tensor:
    """encoder(words), computed in groups of like length, each only as wide as its longest text.

    words (T, L) -> (T, K, D). The result is the same, since padding changes nothing; 504 captions of 6 to 25 words take
    0.6 s instead of 0.9 s on a CPU. A GPU would wait for the lengths, so there it encodes at once.
    """
    if words.device.type != "cpu" or len(words) <= size:
        return encoder(words)
    lengths = (words != 0).sum(1)
    order = lengths.argsort()
    parts = []
    for some in order.split(size):
        longest = max(1, int(lengths[some[-1]]))
        padding = words.shape[1] - longest if encoder.words else 0  # a text as a whole has none
        parts.append(F.pad(encoder(words[some, :longest]), (0, 0, 0, padding)))
    return torch.cat(parts)[order.argsort()]


class ScoreParts(NamedTuple):
    """The two scores of some pairs, cosines in [-1, 1]; None is one that the model does not have."""

    pooled: Tensor | None
    patch_word: Tensor | None

    @property
    def decisive(self) -> Tensor:
        """The one that tells whether a word is false: patch_word, if the model has it."""
        score = self.pooled if self.patch_word is None else self.patch_word
        assert score is not None
        return score


class Scorer(nn.Module, ABC):
    """Scores of vectors, whatever made them: a `SiameseModel`, or its branches exported to another format."""

    def __init__(self, model: ModelConfig):
        super().__init__()
        self.scores_words = model.score in ("patch_word", "both")
        whole = (model.whole_width or model.width) if model.score in ("pooled", "both") else 0
        self.whole_rows, self.sharpness = whole // model.width, model.sharpness
        # How much the pooled score counts where texts are ranked, before a sigmoid.
        self.ranking_blend = nn.Parameter(torch.zeros(())) if model.score == "both" else None

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where pictures and texts must be to be encoded."""

    @abstractmethod
    def encode_pictures(self, pictures: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) of bytes -> unit vectors (N, K, D)."""

    @abstractmethod
    def encode_texts(self, words: Tensor) -> Tensor:
        """Word indices (T, L) -> vectors (T, K, D), see TextEncoder."""

    def parts(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (B, K, D) of either branch -> of the whole (B, whole width), empty without the pooled score, and of
        the patches or words (B, P or L, D)."""
        return vectors[:, : self.whole_rows].flatten(1), vectors[:, self.whole_rows :]

    def pair_scores(self, pictures: Tensor, texts: Tensor) -> Tensor:
        """Scores (B,) of picture i with text i, which a threshold decides on; vectors of both."""
        return self.verdict(self.pair_parts(pictures, texts))

    def all_scores(self, pictures: Tensor, texts: Tensor) -> Tensor:
        """`pair_scores` (N, T) of every picture with every text; vectors of both."""
        return self.verdict(self.all_parts(pictures, texts))

    def pair_parts(self, pictures: Tensor, texts: Tensor) -> ScoreParts:
        """Both scores (B,) of picture i with text i; vectors of both."""
        (picture, patches), (text, words) = self.parts(pictures), self.parts(texts)
        return ScoreParts(
            (picture * text).sum(-1).float() if self.whole_rows else None,
            patch_word_score(patches, words, self.sharpness) if self.scores_words else None,
        )

    def all_parts(self, pictures: Tensor, texts: Tensor) -> ScoreParts:
        """Both scores (N, T) of every picture with every text; vectors of both."""
        (picture, patches), (text, words) = self.parts(pictures), self.parts(texts)
        return ScoreParts(
            (picture @ text.T).float() if self.whole_rows else None,
            patch_word_matrix(patches, words, self.sharpness) if self.scores_words else None,
        )

    def verdict(self, scores: ScoreParts) -> Tensor:
        """The score that a threshold decides on: of both it is mostly that of patches and words."""
        if scores.pooled is None or scores.patch_word is None:
            return scores.decisive
        return torch.lerp(scores.patch_word, scores.pooled, VERDICT_BLEND)

    def ranking(self, scores: ScoreParts) -> Tensor:
        """The score by which the texts of a picture, or the pictures of a text, are ranked: of both a learned mean,
        which is in [-1, 1] too."""
        if scores.pooled is None or scores.patch_word is None or self.ranking_blend is None:
            return scores.decisive
        return torch.lerp(scores.patch_word, scores.pooled, self.ranking_blend.sigmoid())


class SiameseModel(Scorer):
    """Two branches, one score: `encode_pictures`, `encode_texts`, then `pair_scores` or `all_scores` of both."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, vocabulary: int, backbone: BackboneConfig, model: ModelConfig, temperature: float = 0.07, side: int = 0
    ):
        """side: of the pictures in pixels, for a backbone that takes only one; 0 is the backbone's own."""
        super().__init__(model)
        whole, words = self.whole_rows * model.width, self.scores_words
        self.backbone = backbone_class(backbone.name)(backbone, side)
        self.neck = Neck(self.backbone.channels, model.width, model.dropout, whole, words)
        self.text = TextEncoder(vocabulary, model, whole, words)
        self.log_scale = nn.Parameter(torch.tensor(1 / temperature).log())
        self.match_at = nn.Parameter(torch.tensor(0.5))  # the score at which a match is as likely as not
        self.register_buffer("mean", 255 * torch.tensor(self.backbone.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(self.backbone.std).view(3, 1, 1), persistent=False)

    @property
    def device(self) -> torch.device:
        return self.log_scale.device

    def features(self, pictures: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) of bytes -> backbone features (N, C, H / reduction, W / reduction)."""
        return self.backbone((pictures - self.mean) / self.std)

    def encode_pictures(self, pictures: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) of bytes, or features (N, C, h, w) from a cache -> unit vectors (N, K, D)."""
        return self.neck(self.features(pictures) if pictures.dtype == torch.uint8 else pictures.float())

    def encode_texts(self, words: Tensor) -> Tensor:
        """Word indices (T, L) -> vectors (T, K, D), see TextEncoder."""
        return encode_by_length(self.text, words)


def real_words(words: Tensor) -> Tensor:
    """Mask (T, L) of word vectors (T, L, D): padding is the zero vector."""
    return words.detach().abs().amax(-1) > 0


def patch_word_score(patches: Tensor, words: Tensor, sharpness: float = 0.0) -> Tensor:
    """Best patch for each word, averaged over the words.

    patches: (B, P, D) unit vectors; words: (B, L, D), whose lengths are their weights; padding is the zero vector.
    Returns (B,), cosine in [-1, 1]. A caption without a real word scores 0.
    Source: Lee et al. 2018 (SCAN), simplified to a hard maximum; see `average_words` for `sharpness`.
    """
    weights = words.norm(dim=-1)
    return average_words((words @ patches.transpose(1, 2)).amax(dim=-1).float(), weights, sharpness)


def word_cosines(patches: Tensor, words: Tensor) -> Tensor:
    """Cosine of each word with each patch: (B, P, D), (B, L, D) -> (B, L, P). Padding has 0."""
    return F.normalize(words, dim=-1) @ patches.transpose(1, 2)


def best_cosines(patches: Tensor, words: Tensor) -> Tensor:
    """Cosine of each word with its best patch: (B, P, D), (B, L, D) -> (B, L). Padding has 0."""
    return word_cosines(patches, words).amax(dim=-1).float()


def average_words(best: Tensor, weights: Tensor, sharpness: float = 0.0) -> Tensor:
    """Scores of words to the score of their text.

    best: (..., L) cosines times weights; weights: (..., L), their sum is 1, 0 is padding. -> (...).
    sharpness 0 is the weighted mean. Above 0 it is the soft minimum -1/s * log(sum(weight * exp(-s * cosine))): it lies
    between the least and the mean, and leans on the worst word, since one false word makes a text false: of 12 words
    with cosine 0.9, one that falls to 0.3 moves the mean by 0.05, and the soft minimum at s = 5 by 0.19.
    """
    if sharpness == 0:
        return best.sum(-1)
    real = weights > 0
    divisor = weights.masked_fill(~real, 1.0)
    logits = (divisor.log() - sharpness * best / divisor).masked_fill(~real, OUT)
    # A text without a word has nothing but OUT, and scores 0.
    return torch.where(real.any(-1), -torch.logsumexp(logits, dim=-1) / sharpness, 0.0)


class BestPatch(torch.autograd.Function):
    """Cosine of each word with its best patch in each picture: (N, P, D), (W, D) -> (N, W).

    Of P cosines one has a gradient. torch's own backward pass fills the other P - 1 with zeros and multiplies them;
    here only the chosen patches and their words are read. For 128 pictures of 49 patches and 2,700 words of 512 numbers
    both passes take 0.38 s of one core instead of 0.79 s.
    """

    @staticmethod
    def forward(ctx: Any, patches: Tensor, words: Tensor) -> Tensor:
        best, patch = (patches @ words.T).max(dim=1)
        ctx.save_for_backward(patches, words, patch.to(torch.int32))
        return best.float()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        patches, words, patch = ctx.saved_tensors
        n, p, d = patches.shape
        gradient = gradients[0].to(patches.dtype)
        row = patch + p * torch.arange(n, dtype=torch.int32, device=patch.device).unsqueeze(1)  # (N, W) among N * P
        of_words = weighted_sums(patches.reshape(n * p, d), row.T, gradient.T)
        # The words of each patch, one patch after the other.
        in_order, order = row.flatten().sort()
        starts = torch.searchsorted(in_order, torch.arange(n * p, dtype=torch.int32, device=row.device))
        of_patches = weighted_sums(words, order % len(words), gradient.flatten()[order], starts)
        return of_patches.view(n, p, d), of_words


def weighted_sums(rows: Tensor, which: Tensor, weights: Tensor, starts: Tensor | None = None) -> Tensor:
    """Weighted sums (S, D) of rows (R, D): of each line of which (S, K), or of which (K,) between starts."""
    which, weights = which.contiguous(), weights.contiguous()
    return F.embedding_bag(which, rows, starts, mode="sum", per_sample_weights=weights)


def patch_word_matrix(patches: Tensor, words: Tensor, sharpness: float = 0.0, block: int = 2**25) -> Tensor:
    """`patch_word_score` of every picture with every text: (N, P, D), (T, L, D) -> (N, T).

    The N x P x T x L cosines are never held at once: pictures go in blocks of at most `block` cosines (128 MB), and
    for the gradient each block keeps only the number of each word's best patch.
    """
    p = patches.shape[1]
    t, length, d = words.shape
    weights = words.norm(dim=-1)
    real, place = words.reshape(t * length, d), None
    if words.device.type == "cpu":  # captions of 6 to 25 words are half padding; a GPU would wait for their number
        place = weights.flatten().nonzero().squeeze(1)
        real = real[place]
    rows = []
    for part in patches.split(max(1, block // max(1, p * len(real)))):
        best = BestPatch.apply(part, real)
        if place is not None:
            best = best.new_zeros(len(part), t * length).index_copy(1, place, best)
        rows.append(average_words(best.view(len(part), t, length), weights, sharpness))
    return torch.cat(rows)
