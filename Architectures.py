"""The network: an image branch, a text branch, and the head in which words and patches meet.

    picture (N, 3, H, W) -> backbone (N, C, h, w) -> neck (N, V, D) \\
                                                                     scores of pairs (B,) or of all (N, T)
    text (T, L) -> embedding -> bidirectional LSTM -> (T, V, D)     /

N pictures, T texts, B pairs of a picture and a text; H x W pixels; C channels and h x w cells of the backbone's
features, P = h * w patches; L words of the longest text; D width of patch and word vectors; V vectors of a picture or a
text: rows for the whole picture or text (pooled score), then its P patches or L words (patch-word score); with a head,
each patch and each word has a second row, which the head reads. `common/scores.py` makes scores of these vectors.

To add a backbone: one class with the protocol of `Backbone`, and one line in BACKBONES.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.matching import Known, Matched, MatchingHead
from common.mixing import PatchMixer
from common.patch_word import OUT, real_words
from common.scores import Evidence, Scorer, to_score
from common.storage import BACKBONE, read_state_dict
from common.vision import import_torchvision, one_line, timm_features, timm_network, timm_settings
from Config import BackboneConfig, Config, ModelConfig, require

COMMON = 1000  # words to compare a word with: the most frequent ones, 93 % of the words of Flickr8k's captions
RANDOM = "none"  # as --backbone.weights: random weights, to train from scratch
SHIPPED = BackboneConfig.weights  # as --backbone.weights: the file that comes with the program, a ResNet-50 v1
SHIPPED_FILE = Path(__file__).resolve().parent / "Models" / "photos" / BACKBONE
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of RGB in 0 to 1


class Backbone(nn.Module):
    """The first part of the image branch: normalised pictures (N, 3, H, W) -> features (N, C, H / R, W / R).

    A subclass sets `channels` and `reduction` and defines `forward`. The other defaults are those of a network that is
    trained from scratch.
    """

    channels: int  # C of the features
    reduction: int  # R, pixels of a feature cell's side
    mean: tuple[float, ...] = IMAGENET_MEAN  # of pixels in 0 to 1; pictures are normalised with mean and std
    std: tuple[float, ...] = IMAGENET_STD
    pretrained = False  # whether `load` fills in pretrained weights; only then can the backbone be frozen

    def __init__(self, settings: BackboneConfig, side: int = 0):
        """side: of the pictures in pixels, for a network with a fixed input size; 0 means `own_side`."""
        super().__init__()
        self.reduce: nn.Module | None = None  # averages the features to a grid

    @classmethod
    def check(cls, settings: BackboneConfig) -> None:
        """ValueError if a backbone with these settings cannot be built; called before any work."""
        freezes = settings.unfreeze_epoch != 0
        require(cls.pretrained or not freezes, f"the {settings.name} backbone has no weights to freeze")

    @classmethod
    def own_side(cls, settings: BackboneConfig) -> int:
        """The side in pixels that `--data.side 0` means."""
        return 224

    def load(self, weights: str) -> None:
        """Load the pretrained weights that `--backbone.weights` names; does nothing if the class has none.

        ValueError or FileNotFoundError says how to get them.
        """

    def extra_repr(self) -> str:
        """Part of repr(backbone). The feature cache is named by a hash of repr(backbone) and of the weights, so repr
        must show everything else that the features depend on."""
        if (self.mean, self.std) == (IMAGENET_MEAN, IMAGENET_STD):
            return ""
        return f"mean={self.mean}, std={self.std}"


class ResidualBlock(nn.Module):
    """x + two 3x3 convolutions of x, (N, C, h, w) -> (N, C, h, w). At first it is relu(x): the last gain is 0."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm2.weight)  # Goyal et al. 2017

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))


class ScratchBackbone(Backbone):
    """Layers that are trained from scratch, on pictures of 128 pixels."""

    layers: nn.Sequential
    reduction = 16

    @classmethod
    def own_side(cls, settings: BackboneConfig) -> int:
        return 128

    def forward(self, pictures: Tensor) -> Tensor:
        return self.layers(pictures)


class SmallBackbone(ScratchBackbone):
    """A network to train from scratch, with a receptive field of 193 pixels; models of earlier versions have it.

    pictures (N, 3, H, W) -> features (N, 8 * settings.channels, H / 16, W / 16)
    Batch norm is needed to learn shapes. Trained for 3 epochs to classify the 22 kinds of Scenes, the average precision
    was 0.93 with batch norm (and one more after the first convolution), 0.13 with group norm instead, and 0.13 with
    group norm outside the residual blocks only; in 57, 66 and 54 s.
    With `accumulation` above 1, batch norm normalises over the pictures of a chunk.
    """

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


class GroupedBlock(nn.Module):
    """x + a 3x3 convolution in groups of channels and a 1x1 convolution of x, (N, C, h, w) -> (N, C, h, w).

    On a CPU it takes a third of the time of a ResidualBlock. Source: Xie et al. 2017 (ResNeXt). At first it is relu(x).
    """

    def __init__(self, channels: int, group: int = 32):
        """group: channels of a group, at most."""
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, groups=max(1, channels // group), bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))


class GroupedBackbone(ScratchBackbone):
    """A network to train from scratch, with a receptive field of 156 pixels.

    pictures (N, 3, H, W) -> features (N, 8 * settings.channels, H / 16, W / 16)
    Trained for 2 epochs on the tag loss of Scenes, it knows 71 % of the kinds of objects in validation boxes, and
    SmallBackbone 66 %; a step of 32 pictures takes 235 and 409 ms (2 shared cores, one thread).
    """

    def __init__(self, settings: BackboneConfig, side: int = 0):
        super().__init__(settings, side)
        before, layers = 3, list[nn.Module]()
        for stage, (kernel, stride, blocks) in enumerate(((4, 4, 0), (3, 2, 2), (3, 2, 3))):
            channels = settings.channels * 2 ** (stage + 1)
            layers += [
                nn.Conv2d(before, channels, kernel, stride, padding=kernel % 2, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
                *(GroupedBlock(channels) for _ in range(blocks)),
            ]
            before = channels
        self.layers = nn.Sequential(*layers)
        self.channels = before


class PretrainedBackbone(Backbone, ABC):
    """A backbone with pretrained weights: its features can be averaged to a grid, its batch norm stays in eval mode."""

    pretrained = True

    def __init__(self, settings: BackboneConfig, side: int = 0):
        super().__init__(settings, side)
        self.from_scratch = settings.weights == RANDOM
        if settings.grid:  # larger pictures then show more detail, at the same cost after the backbone
            self.reduce = nn.AdaptiveAvgPool2d(settings.grid)

    @abstractmethod
    def features(self, pictures: Tensor) -> Tensor:
        """Normalised pictures (N, 3, H, W) -> features (N, C, H / R, W / R)."""

    def forward(self, pictures: Tensor) -> Tensor:
        """`features`, averaged to (N, C, grid, grid) if a grid is given."""
        features = self.features(pictures)
        return features if self.reduce is None else self.reduce(features.float())  # a mean of bfloat16 loses digits

    def train(self, mode: bool = True) -> "PretrainedBackbone":
        """Training mode for everything except pretrained batch norm, whose statistics would drift with the batches."""
        super().train(mode)
        for module in () if self.from_scratch else self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def load(self, weights: str) -> None:
        """weights: a file with a state dict, `none` for random weights, or a name; see `--backbone.weights`."""
        if weights != RANDOM:
            self.load_pretrained(weights)

    @abstractmethod
    def load_pretrained(self, weights: str) -> None:
        """Load weights by name or from a file."""


def read_backbone_weights(weights: str, ways: str) -> dict[str, Tensor]:
    """The state dict in a file, in float32. The message of ValueError or FileNotFoundError ends with `ways`."""
    path = Path(weights)
    if not path.is_file():
        raise FileNotFoundError(f"no backbone weights at {path}; {ways}")
    return as_floats(read_state_dict(path), weights, ways)


def as_floats(state: Any, weights: str, ways: str) -> dict[str, Tensor]:
    """A state dict in float32. ValueError unless every value is a tensor."""
    if not (isinstance(state, dict) and all(isinstance(value, Tensor) for value in state.values())):
        raise ValueError(f"{weights} does not hold a plain state dict of names and tensors; {ways}")
    return {name: value.float() for name, value in state.items()}


class ResNet50Backbone(PretrainedBackbone):
    """torchvision's ResNet-50 without its pooling and classifier.

    pictures (N, 3, H, W) -> features (N, 2048, H / 32, W / 32), or (N, 2048, grid, grid); 3072 channels with layer 3
    """

    channels, reduction = 2048, 32

    def __init__(self, settings: BackboneConfig, side: int = 0):
        super().__init__(settings, side)
        self.layer3 = settings.layer3
        if self.layer3:
            self.channels += 1024
        network = import_torchvision().models.resnet50(weights=None)
        if settings.stride_in_1x1 or settings.weights == SHIPPED:
            # He et al. 2015 have the stride in the first 1x1 convolution, torchvision in the 3x3 one. The weights of
            # one load into the other without an error, and lose 10 points of ImageNet accuracy.
            for stage in (network.layer2, network.layer3, network.layer4):
                stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
        del network.avgpool, network.fc
        self.network = network

    @classmethod
    def check(cls, settings: BackboneConfig) -> None:
        super().check(settings)
        is_wrong = settings.stride_in_1x1 and settings.weights in resnet_weights()
        require(not is_wrong, f"--backbone.stride-in-1x1: {settings.weights} has the stride in the 3x3 convolution")

    def features(self, pictures: Tensor) -> Tensor:
        net = self.network
        x = net.maxpool(net.relu(net.bn1(net.conv1(pictures))))
        before = net.layer3(net.layer2(net.layer1(x)))
        last = net.layer4(before)
        if not self.layer3:
            return last
        return torch.cat([last, F.avg_pool2d(before, 2, ceil_mode=True, count_include_pad=False)], dim=1)

    def extra_repr(self) -> str:
        return "layer3" if self.layer3 else super().extra_repr()

    def load_pretrained(self, weights: str) -> None:
        """weights: `shipped`; a name of torchvision's ResNet50_Weights, downloaded once; or a file, a state dict."""
        names = resnet_weights()
        url = names[weights if weights in names else "IMAGENET1K_V2"].url
        ways = (
            "use those that come with the program (--backbone.weights shipped), "
            "let torchvision download them once (--backbone.weights IMAGENET1K_V2, needs a network), "
            f"or give a file, for example of {url}: --backbone.weights FILE.pth "
            "(with --backbone.stride-in-1x1 if it is a v1 network)"
        )
        if weights in names:
            try:
                state = as_floats(names[weights].get_state_dict(progress=True, check_hash=True), weights, ways)
            except OSError as error:
                raise FileNotFoundError(f"cannot download {weights} ({error}); {ways}") from error
        else:
            state = read_backbone_weights(str(SHIPPED_FILE) if weights == SHIPPED else weights, ways)
        state = {name: value for name, value in state.items() if not name.startswith("fc.")}
        absent, unknown = self.network.load_state_dict(state, strict=False)
        absent = [name for name in absent if not name.endswith("num_batches_tracked")]
        if absent or unknown:
            raise ValueError(
                f"{weights} is not a ResNet-50 as in torchvision: absent {absent[:3]}, unknown {unknown[:3]}; {ways}"
            )


def resnet_weights() -> Mapping[str, Any]:
    """torchvision's weights of ResNet-50 by their names, all of them v1.5."""
    return import_torchvision().models.ResNet50_Weights.__members__


class TimmBackbone(PretrainedBackbone):
    """A model of timm without its head: `timm:MODEL`, or `timm:MODEL.TAG` for weights other than the default.

    pictures (N, 3, H, W) -> features (N, C, H / R, W / R), or (N, C, grid, grid), see `timm_features`. Pixels are
    normalised as when the weights were trained. A model with a fixed input size (ViT, Swin) is built for pictures of
    `side` pixels; timm resamples its position embeddings.
    """

    def __init__(self, settings: BackboneConfig, side: int = 0):
        super().__init__(settings, side)
        self.name = settings.name.partition(":")[2]
        described = timm_settings(self.name)
        self.mean, self.std = tuple(described.mean), tuple(described.std)
        self.side = side or self.own_side(settings)
        try:
            self.network = timm_network(self.name, self.side)
            with torch.no_grad():
                features = self.eval().features(torch.zeros(1, 3, self.side, self.side))
        except Exception as error:  # timm's models raise assertions and errors of many kinds
            own, reason = self.own_side(settings), one_line(error)
            advice = "choose another model" if self.side == own else f"use --data.side {own}"
            raise ValueError(f"{settings.name} has no features for {self.side} pixels ({reason}); {advice}") from error
        self.train()
        self.channels, self.reduction = features.shape[1], round(self.side / features.shape[2])

    @classmethod
    def check(cls, settings: BackboneConfig) -> None:
        super().check(settings)
        timm_settings(settings.name.partition(":")[2])

    @classmethod
    def own_side(cls, settings: BackboneConfig) -> int:
        return timm_settings(settings.name.partition(":")[2]).input_size[-1]

    def features(self, pictures: Tensor) -> Tensor:
        return timm_features(self.network, pictures)

    def load_pretrained(self, weights: str) -> None:
        """weights: a file with a state dict in timm's layout; the default of `--backbone.weights` means timm's own."""
        ways = (
            "either let timm download them once (no --backbone.weights, needs a network), or give a file in timm's "
            "layout: --backbone.weights FILE.safetensors, or none for random weights"
        )
        if weights == BackboneConfig.weights:
            try:
                network = timm_network(self.name, self.side, pretrained=True)
            except Exception as error:  # timm, huggingface_hub and their libraries each raise their own
                message = f"cannot download the weights of timm:{self.name} ({one_line(error)})"
                raise FileNotFoundError(f"{message}; {ways}") from error
        else:
            state = read_backbone_weights(weights, ways)
            try:
                network = timm_network(self.name, self.side, state)
            except Exception as error:  # each model has its own function that adapts a state dict
                raise ValueError(f"{weights} does not fit timm:{self.name} ({one_line(error)}); {ways}") from error
        self.network.load_state_dict(network.state_dict())

    def extra_repr(self) -> str:
        return f"{self.name}, mean={self.mean}, std={self.std}"


BACKBONES: dict[str, type[Backbone]] = {
    "small": SmallBackbone,
    "grouped": GroupedBackbone,
    "resnet50": ResNet50Backbone,
    "timm:": TimmBackbone,
}


def backbone_class(name: str) -> type[Backbone]:
    """The class of a `--backbone.name`: a key of BACKBONES, or KEY:MODEL if the key ends with a colon.

    ValueError lists the known names.
    """
    key, colon, _ = name.partition(":")
    kind = BACKBONES.get(key + colon)
    if kind is None:
        known = (f"{key}MODEL" if key.endswith(":") else key for key in BACKBONES)
        raise ValueError(f"--backbone.name {name}: choose from {', '.join(known)}")
    return kind


def settle_backbone(config: Config) -> Config:
    """The settings with `--data.side 0` replaced by the backbone's own side.

    ValueError if the backbone is unknown or cannot be built. Called before any work of a training run.
    """
    kind = backbone_class(config.backbone.name)
    kind.check(config.backbone)
    has_layer3 = kind is ResNet50Backbone or not config.backbone.layer3
    require(has_layer3, f"--backbone.layer3 is of resnet50; for {config.backbone.name} add --backbone.no-layer3")
    if config.data.side:
        return config
    return replace(config, data=replace(config.data, side=kind.own_side(config.backbone)))


class Neck(nn.Module):
    """Backbone features to unit vectors: a 1x1 convolution, plus a linear map of each patch's position.

    features (N, C, h, w) -> (N, V, D): if `whole` is not 0, whole / D rows for the whole picture; then, if `patches`,
    its h * w patches.
    The position is an input because captions say "on the left", and features of convolutions hardly contain it. Dropout
    zeroes a channel in all patches of a picture: a mask for every number would take 0.17 s for 128 pictures.
    """

    def __init__(self, channels: int, model: ModelConfig, whole: int, patches: bool):
        super().__init__()
        width, mixed = model.width, model.patch_width if model.patch_layers else channels
        self.dropout = nn.Dropout1d(model.dropout)
        self.mix = PatchMixer(channels, mixed, model.patch_layers, model.dropout) if model.patch_layers else None
        self.states = nn.Linear(mixed, width) if model.head == "attention" else None
        if patches:
            self.project = nn.Linear(mixed, width)  # a 1x1 convolution, applied where channels come last
            self.place = nn.Linear(2, width, bias=False)
            nn.init.zeros_(self.place.weight)  # torch's default is too large beside the features: .60, not .71
        if whole:
            self.project_whole = nn.Linear(mixed, whole)
        self.width, self.whole, self.patches = width, whole, patches

    def forward(self, features: Tensor) -> Tensor:
        vectors = []
        count, channels, _, _ = features.shape
        features = features * self.dropout(features.new_ones(count, channels, 1)).unsqueeze(-1)
        # Contiguous: on a CPU, a bfloat16 product with a transposed tensor takes 0.65 s instead of 0.07 s.
        patches = features.flatten(2).transpose(1, 2).contiguous()
        if self.mix is not None:
            patches = self.mix(patches)
        if self.whole:
            picture = self.project_whole(patches.mean(1))
            vectors.append(F.normalize(picture.float(), dim=-1).view(count, -1, self.width))
        if self.patches:
            _, _, height, width = features.shape
            y = torch.linspace(-1, 1, height, device=features.device)
            x = torch.linspace(-1, 1, width, device=features.device)
            places = torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1).view(-1, 2)
            unit = F.normalize((self.project(patches) + self.place(places)).float(), dim=-1)
            vectors.append(in_turn([unit] if self.states is None else [unit, self.states(patches).float()]))
        return torch.cat(vectors, dim=1)


def in_turn(rows: Sequence[Tensor]) -> Tensor:
    """The rows of K tensors (B, V, D) in turn: (B, K * V, D)."""
    return torch.stack(list(rows), dim=2).flatten(1, 2)


class BidirectionalLSTM(nn.Module):
    """One LSTM reads each text forwards, another reads it backwards from its own last word.

    x (T, L, D), backwards (T, L, 1) from `reversed_positions` -> (T, L, D)
    Padding comes after the real words in both directions, so it does not change their vectors. Packed sequences (384
    captions of 6 to 14 words, 2 cores) take the same time in float32 and 1.6 times as long in bfloat16, and they need
    the lengths on the host, for which the host must wait for a GPU.
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
    """Indices that reverse the words of each text: mask (T, L) of real words, which come first -> (T, L, 1).

    Padding stays where it is.
    """
    position = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
    length = mask.sum(1, keepdim=True)
    return torch.where(mask, length - 1 - position, position).unsqueeze(-1)


class TextEncoder(nn.Module):
    """Embedding and a stack of residual bidirectional LSTM layers over the real length of each text.

    words (T, L) indices, 0 is padding -> (T, V, D): if `whole` is not 0, whole / D rows for the whole text, together a
    unit vector; then, if `words`, its L words, each with the row of the cosines and, for a head, the row that it reads
    and, with evidence, the name of the word.
    The length of a word's vector is its weight. The weights of a text add up to 1; they are equal unless
    `weigh_words`. Padding is the zero vector.
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
        self.states = nn.Linear(width, model.width) if model.head == "attention" else None
        named = model.head == "attention" and model.evidence
        self.name = nn.Linear(model.word_width, model.width, bias=False) if named else None
        self.weigh = nn.Linear(width, 1, bias=False) if words and model.weigh_words else None
        if self.weigh is not None:
            nn.init.zeros_(self.weigh.weight)  # at first all words have the same weight
        self.width, self.whole, self.words = model.width, whole, words
        self.rows_per_word = words * (1 + (self.states is not None) + named)

    def forward(self, words: Tensor) -> Tensor:
        mask = words != 0
        backwards = reversed_positions(mask)
        x = self.widen(self.dropout(self.embed(words)))
        for lstm, norm in zip(self.layers, self.norms):
            x = x + self.dropout(lstm(norm(x), backwards))
        weights = mask / mask.sum(1, keepdim=True).clamp(min=1)
        vectors = []
        if self.whole:
            text = self.project_whole((x.float() * weights.unsqueeze(-1)).sum(1))
            text = F.normalize(text.float(), dim=-1) * mask.any(1, keepdim=True)
            vectors.append(text.view(words.shape[0], -1, self.width))  # len() would become a constant in an export
        if self.words:
            if self.weigh is not None:
                logits = self.weigh(x).float().squeeze(-1)
                weights = logits.masked_fill(~mask, OUT).softmax(dim=-1) * mask
            unit = F.normalize(self.project(x).float(), dim=-1) * weights.unsqueeze(-1)
            rows = [unit]
            if self.states is not None:
                rows.append(self.states(x).float() * mask.unsqueeze(-1))
            if self.name is not None:
                rows.append(self.names(words).float() * mask.unsqueeze(-1))
            vectors.append(in_turn(rows))
        return torch.cat(vectors, dim=1)

    def names(self, words: Tensor) -> Tensor:
        """Names (..., D) of words (...): their products with patches are the logits of the tag loss."""
        assert self.name is not None
        return self.name(self.embed(words))


def encode_by_length(encoder: TextEncoder, words: Tensor, size: int = 64) -> Tensor:
    """encoder(words), (T, L) -> (T, V, D), in groups of `size` texts of similar length, which need less padding.

    The result is the same. On a CPU 504 captions of 6 to 25 words take 0.6 s instead of 0.9 s. On a GPU all texts are
    encoded at once, since the host would have to wait for the lengths.
    """
    if words.device.type != "cpu" or len(words) <= size:
        return encoder(words)
    lengths = (words != 0).sum(1)
    order = lengths.argsort()
    parts = []
    for some in order.split(size):
        longest = max(1, int(lengths[some[-1]]))
        rows = encoder.rows_per_word  # of a word; a whole text has no padding
        padding = rows * (words.shape[1] - longest)
        parts.append(F.pad(encoder(words[some, :longest]), (0, 0, 0, padding)))
    return torch.cat(parts)[order.argsort()]


def make_head(model: ModelConfig) -> MatchingHead:
    return MatchingHead(
        model.head_width or model.width,
        model.head_layers,
        geometry=model.geometry,
        counting=model.counting,
        dropout=model.dropout,
        width_in=model.width,
        evidence=model.evidence,
    )


class SiameseModel(Scorer):
    """The network: `encode_pictures` and `encode_texts`, then `pair_scores` or `all_scores` of the vectors."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, vocabulary: int, backbone: BackboneConfig, model: ModelConfig, temperature: float = 0.07, side: int = 0
    ):
        """vocabulary: number of words; temperature: at the start of training; side: of the pictures in pixels, for a
        backbone with a fixed input size; 0 means the backbone's own."""
        super().__init__(model)
        whole, words = self.whole_rows * model.width, self.scores_words
        self.backbone = backbone_class(backbone.name)(backbone, side)
        self.neck = Neck(self.backbone.channels, model, whole, words)
        self.text = TextEncoder(vocabulary, model, whole, words)
        self.head = make_head(model) if self.has_head else None
        # Only for the tag loss. With evidence the names of words take its place.
        self.to_word = nn.Linear(model.width, model.word_width) if self.has_head and not model.evidence else None
        self.log_scale = nn.Parameter(torch.tensor(1 / temperature).log())
        self.match_at = nn.Parameter(torch.tensor(0.5))  # the score where the probability of a match is 0.5
        self.register_buffer("mean", 255 * torch.tensor(self.backbone.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(self.backbone.std).view(3, 1, 1), persistent=False)

    @property
    def device(self) -> torch.device:
        return self.log_scale.device

    def features(self, pictures: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) of bytes -> backbone features (N, C, h, w)."""
        return self.backbone((pictures - self.mean).div_(self.std))

    def encode_pictures(self, pictures: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) of bytes, or features (N, C, h, w) from a cache -> unit vectors (N, V, D)."""
        return self.neck(self.features(pictures) if pictures.dtype == torch.uint8 else pictures.float())

    def encode_and_measure(self, pictures: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.world is None:
            return self.encode_pictures(pictures), None
        features = self.features(pictures) if pictures.dtype == torch.uint8 else pictures
        return self.encode_pictures(features), self.world(features)

    def encode_texts(self, words: Tensor) -> Tensor:
        """Word indices (T, L) -> vectors (T, V, D), see TextEncoder."""
        return encode_by_length(self.text, words)

    def tags(self, patches: Tensor) -> Tensor:
        """Logits (R, vocabulary) of the words that are said of R patches, or of means of patches (R, D).

        They are products with the embeddings of the words. So the embedding of a word learns what the word looks like
        before the text branch has learned anything.
        """
        if self.to_word is None:
            return patches @ self.text.names(torch.arange(self.text.embed.num_embeddings, device=patches.device)).T
        return self.to_word(patches) @ self.text.embed.weight.T

    def match(self, pictures: Tensor, texts: Tensor) -> Matched:
        """What the head finds for N pictures with M texts each, from their vectors (N, V, D) and (N, M, V, D)."""
        assert self.head is not None
        of_words = texts[:, :, self.whole_rows :]
        units, states, *names = (of_words[:, :, row :: self.rows_per_word] for row in range(self.rows_per_word))
        known = self.known(pictures, units, *names) if names else None
        return self.head(self.head_patches(pictures), states, real_words(units), known)

    def known(self, pictures: Tensor, words: Tensor, names: Tensor) -> Known:
        """What the branches know of words, from pictures (N, V, D), word vectors and names (N, M, L, D)."""
        cosines = F.normalize(words, dim=-1) @ self.picture_parts(pictures)[1].unsqueeze(1).transpose(2, 3)
        fits = self.log_scale.exp() * (cosines.amax(-1) - self.match_at)
        most = torch.arange(2, min(2 + COMMON, self.text.embed.num_embeddings), device=words.device)
        return Known(cosines, fits, names, self.text.names(most).float(), self.head_patches(pictures))

    def head_scores(self, pictures: Tensor, texts: Tensor) -> Tensor:
        return to_score(self.match(pictures, texts.expand(len(pictures), *texts.shape)).text)

    def evidence(self, pictures: Tensor, texts: Tensor) -> Evidence:
        if self.head is None:
            return super().evidence(pictures, texts)
        text, words, attention, *_ = (part.squeeze(1) for part in self.match(pictures, texts.unsqueeze(1)))
        return Evidence(to_score(text), to_score(words), attention / attention.amax(-1, keepdim=True).clamp(min=1e-9))
