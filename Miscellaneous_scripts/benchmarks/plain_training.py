"""A plain training step, as one writes it at first.

It computes in float32 with contiguous tensors; runs the backbone in every step, even if it is frozen; encodes each
picture twice, as stored and augmented; pads every text to PLAIN_WORDS words for the LSTM; and holds all cosines of the
batch in one tensor. Batch, widths, losses and AdamW are the same as in the run that it is compared with. The time of
loading is not counted, which favours the plain step.

Shapes: N pictures, P patches, T texts, L words, D width.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import Functions
from Architectures import SiameseModel
from common.patch_word import average_words
from common.scores import ScoreParts
from Config import PRESETS, BackboneConfig, ModelConfig
from DataBase_functions import PairDataset

PLAIN_WORDS = 224  # every text is padded to this length


class PlainText(nn.Module):
    """Word indices (T, L) -> word vectors (T, L, D); the norm of a vector is the weight of its word."""

    def __init__(self, vocabulary: int, settings: ModelConfig) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, settings.word_width, padding_idx=0)
        self.widen = nn.Linear(settings.word_width, settings.width)
        self.lstm = nn.LSTM(
            settings.width, settings.width // 2, settings.lstm_layers, batch_first=True, bidirectional=True
        )
        self.project = nn.Linear(settings.width, settings.width)

    def forward(self, words: Tensor) -> Tensor:
        vectors = self.project(self.lstm(self.widen(self.embed(words)))[0])
        real = (words != 0).unsqueeze(-1)
        return F.normalize(vectors, dim=-1) * real / real.sum(1, keepdim=True)


class PlainModel(SiameseModel):
    """The model with only the patch-word score and no head; all cosines (N, P, T, L) are in one tensor."""

    def __init__(self, vocabulary: int, backbone: BackboneConfig, settings: ModelConfig) -> None:
        settings = replace(settings, score="patch_word", head="none", evidence=False, patch_layers=0)
        super().__init__(vocabulary, backbone, settings)
        self.text = PlainText(vocabulary, settings)  # type: ignore[assignment]

    def encode_texts(self, words: Tensor) -> Tensor:
        return self.text(words)

    def all_parts(self, patches: Tensor, words: Tensor) -> ScoreParts:
        cosines = torch.einsum("npd,tld->nptl", patches, words)
        scores = average_words(cosines.max(dim=1).values, words.norm(dim=-1), self.sharpness)
        return ScoreParts(pooled=None, patch_word=scores)


def plain_training(run: Any) -> Callable[[], float]:
    """A callable that makes one plain step on the first batch of a run and returns captions per second."""
    config, ours = run.config, run.train_loader.dataset
    model = PlainModel(len(ours.tokenizer), config.backbone, config.model).to(run.device).train()
    model.backbone.requires_grad_(not config.backbone.frozen)
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], config.optim.lr)
    keys = next(iter(run.train_sampler))
    stored, augmented = (
        PairDataset(ours.database, ours.tokenizer, ours.data, ours.negatives, changes, ours.seed).__getitems__(keys)
        for changes in (None, PRESETS["finetune"][1].augment)
    )
    padding = (0, PLAIN_WORDS - stored.words.shape[1])
    batch = replace(stored, words=F.pad(stored.words, padding), changed=F.pad(stored.changed, padding)).to(run.device)
    pictures = [one.pictures.to(run.device) for one in (stored, augmented)]

    def loss(patches: Tensor, words: Tensor) -> Tensor:
        in_batch = config.negatives.in_batch
        return Functions.total_loss(model, patches, words, batch.texts, config.loss, in_batch)

    def rate() -> float:
        start = time.perf_counter()
        words = model.encode_texts(batch.words)
        losses = [loss(model.encode_pictures(some), words) for some in pictures]
        optimizer.zero_grad()
        torch.stack(losses).mean().backward()
        optimizer.step()
        float(losses[0].detach())  # waits for a GPU
        return len(batch.owner) / (time.perf_counter() - start)

    return rate
