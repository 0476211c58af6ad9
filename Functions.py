"""Losses, seeds, devices, model folders and the training log.

Shapes: N pictures, T texts, K hard negatives; scores are cosines in [-1, 1].
"""

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from Architectures import OUT, SiameseModel, best_cosines, real_words
from common.devices import rng_state, set_rng_state
from common.parallel import ALONE, Group
from Config import LossConfig


def contrastive_loss(
    scores: Tensor, owner: Tensor, groups: Tensor, hard: Tensor, hard_of: Tensor, in_batch: float = 1.0
) -> Tensor:
    """InfoNCE in both directions, with hard negatives as extra columns of their own picture.

    scores: (N, T) of all pictures with all texts, already divided by the temperature; owner: (T,) the picture of
    each text; groups: (N,) identity of each photograph; hard: (K,) scores of hard negatives with their own picture;
    hard_of: (K,) their picture; in_batch: how much a text of the batch counts against a hard negative. A text of the
    same photograph is never counted as a negative.
    Source: Oord et al. 2018; both directions as in Radford et al. 2021.
    """
    same = groups.unsqueeze(1) == groups[owner].unsqueeze(0)
    others = (scores + math.log(in_batch) if in_batch else scores.new_full(scores.shape, OUT)).masked_fill(same, OUT)
    pictures = torch.arange(len(scores), device=scores.device)
    extra = hard.expand(len(scores), -1).masked_fill(hard_of != pictures.unsqueeze(1), OUT)
    positive = scores[owner, torch.arange(len(owner), device=scores.device)]
    wrong_texts = torch.logsumexp(torch.cat([others, extra], dim=1), dim=1)[owner]
    wrong_pictures = torch.logsumexp(others, dim=0)
    # -log(e^p / (e^p + e^w)) = softplus(w - p)
    return (F.softplus(wrong_texts - positive).mean() + F.softplus(wrong_pictures - positive).mean()) / 2


def triplet_loss(positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Mean of max(0, margin + negative - positive); (K,), (K,) -> (). Without a triplet it is 0."""
    return F.relu(margin + negative - positive).sum() / max(1, len(positive))


def match_loss(positive: Tensor, negative: Tensor, scale: Tensor, match_at: Tensor) -> Tensor:
    """Binary cross-entropy of "is it a match?" at one learned threshold, true and false texts weighing the same.

    The ranking losses compare the texts of one picture only; a single threshold for all pictures needs scores that
    can be compared across them. Source: the sigmoid loss of Zhai et al. 2023, here on captions and hard negatives.
    """
    true = F.softplus(-scale * (positive - match_at)).mean()
    false = F.softplus(scale * (negative - match_at)).sum() / max(1, len(negative))
    return (true + false) / 2


def word_loss(true: Tensor, real: Tensor, false: Tensor, changed: Tensor, scale: Tensor, match_at: Tensor) -> Tensor:
    """The match loss of single words: each word of a caption fits its picture, each changed word does not.

    true: (T, L) best cosines of the captions' words, real: (T, L) where there is a word; false, changed: (K, L) the
    same for the hard negatives and their changed words. We made the negatives, so we know which word is false; told
    only that some word of twelve is, a score's gradient spreads over all of them.
    """
    fits = (F.softplus(-scale * (true - match_at)) * real).sum() / real.sum().clamp(min=1)
    fails = (F.softplus(scale * (false - match_at)) * changed).sum() / changed.sum().clamp(min=1)
    return (fits + fails) / 2


class TextBatch(NamedTuple):
    """Which text belongs to which picture: captions first, then their hard negatives."""

    owner: Tensor  # (T,) the picture of each caption
    negative_of: Tensor  # (K,) the caption that each hard negative was made from
    changed: Tensor  # (K, L) which of its words were changed
    groups: Tensor  # (N,) identity of each photograph


class Shares(NamedTuple):
    """How many pictures, captions and hard negatives of a batch each process has, by rank."""

    pictures: tuple[int, ...]
    captions: tuple[int, ...]
    negatives: tuple[int, ...]

    @classmethod
    def of(cls, batch: TextBatch, size: int) -> "Shares":
        """Pictures in equal parts, as PairDataset makes them; a text goes where its picture is."""
        pictures = torch.arange(len(batch.groups))
        ends = torch.tensor([(rank + 1) * len(pictures) // size for rank in range(size)])
        rank_of = torch.searchsorted(ends, pictures, right=True)
        owners = (pictures, batch.owner.cpu(), batch.owner[batch.negative_of].cpu())
        return cls(*(tuple(torch.bincount(rank_of[owner], minlength=size).tolist()) for owner in owners))

    def slices(self, rank: int) -> tuple[slice, slice, slice]:
        """Where the pictures, captions and hard negatives of a process lie in the batch."""
        return tuple(slice(sum(share[:rank]), sum(share[: rank + 1])) for share in self)  # type: ignore[return-value]


def total_loss(
    model: SiameseModel,
    patches: Tensor,
    words: Tensor,
    batch: TextBatch,
    settings: LossConfig,
    in_batch: float = 1.0,
    group: Group = ALONE,
    shares: Shares | None = None,
) -> Tensor:
    """Contrastive + triplet + match + word loss of a whole batch.

    patches, words: vectors of the N pictures, and of the T + K texts, captions first, as the model encodes them;
    in_batch: see contrastive_loss. The word loss needs a score with words.
    In a group of processes patches and words are those of this one's share, and the result is the loss divided by the
    number of processes: their sum is the loss. Each compares its own pictures with the captions of all. shares: those
    of the batch, if they were found before it went to a GPU, which would have to wait.
    """
    shares = shares or Shares.of(batch, group.size)
    own_pictures, own_captions, own_negatives = shares.slices(group.rank)
    captions, negatives = words.split([shares.captions[group.rank], shares.negatives[group.rank]])
    hard_of = batch.owner[batch.negative_of]
    of_captions = patches[batch.owner[own_captions] - own_pictures.start]
    of_negatives = patches[hard_of[own_negatives] - own_pictures.start]
    scale = model.log_scale.exp()

    # Which text belongs to which picture?
    everything = model.all_parts(patches, group.gather(captions, shares.captions))
    hard_parts = model.pair_parts(of_negatives, negatives)
    scores = scale * group.gather(model.ranking(everything), shares.pictures)
    hard = scale * group.gather(model.ranking(hard_parts), shares.negatives)
    loss = settings.contrastive * contrastive_loss(scores, batch.owner, batch.groups, hard, hard_of, in_batch)
    if settings.whole and model.scores_words and everything.pooled is not None:
        # Hard negatives differ in one word. Told to tell them apart, the vectors of the whole forget how to find a
        # picture's caption: with 491 validation photographs their recall@1 fell from 48 to 32 %.
        whole = scale * group.gather(everything.pooled, shares.pictures)
        loss = loss + settings.whole * contrastive_loss(whole, batch.owner, batch.groups, hard[:0], hard_of[:0])

    # Is it true?
    true = group.gather(model.pair_parts(of_captions, captions).decisive, shares.captions)
    false = group.gather(hard_parts.decisive, shares.negatives)
    loss = loss + settings.triplet * triplet_loss(true[batch.negative_of], false, settings.margin)
    loss = loss + settings.match * match_loss(true, false, scale, model.match_at)
    if settings.word and model.scores_words:
        (_, true_patches), (_, true_words) = model.parts(of_captions), model.parts(captions)
        (_, false_patches), (_, false_words) = model.parts(of_negatives), model.parts(negatives)
        fits = group.gather(best_cosines(true_patches, true_words), shares.captions)
        real = group.gather(real_words(true_words).float(), shares.captions)
        fails = group.gather(best_cosines(false_patches, false_words), shares.negatives)
        loss = loss + settings.word * word_loss(fits, real, fails, batch.changed, scale, model.match_at)
    return loss / group.size


def collecting_norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    """The batch norms that update their running statistics in a forward pass."""
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and m.training and m.track_running_stats]


@contextlib.contextmanager
def statistics_kept(model: nn.Module) -> Iterator[None]:
    """Inside, batch norm in training mode normalises by the batch, but its running statistics stay as they are."""
    norms = collecting_norms(model)
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def running_statistics(model: nn.Module) -> list[Tensor]:
    """The means and variances that batch norm in training mode collects: each process from its own pictures."""
    return [x for norm in collecting_norms(model) for x in (norm.running_mean, norm.running_var) if x is not None]


def backward_in_chunks(
    encoders: Sequence[tuple[Callable[[Tensor], Tensor], Tensor]],
    loss_of: Callable[..., Tensor],
    chunks: int,
    scale: Callable[[Tensor], Tensor] = lambda loss: loss,
    first_pass: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext,
) -> Tensor:
    """Gradient of a loss over the whole batch, in the memory of one chunk.

    Each encoder's input is encoded in `chunks` parts without a graph; the loss of all vectors together gives the
    gradient of every vector; a second pass with the same dropout carries it into the weights. The sum of small
    losses is another loss: for a contrastive one 16 pairs in 4 chunks gave 6.93 where the batch gave 10.08. The first
    pass runs inside `first_pass()`: with `statistics_kept` batch norm counts each chunk once.
    Source: Gao et al. 2021 (GradCache). Returns the loss, detached.
    """
    if chunks == 1:
        loss = loss_of(*(encode(inputs) for encode, inputs in encoders))
        scale(loss).backward()
        return loss.detach()
    parts = [(encode, piece) for encode, inputs in encoders for piece in inputs.chunk(chunks)]
    states, vectors = [], []
    for encode, piece in parts:
        states.append(rng_state())
        with torch.no_grad(), first_pass():
            vectors.append(encode(piece).requires_grad_())
    sizes = [len(inputs.chunk(chunks)) for _, inputs in encoders]
    split = np.cumsum([0, *sizes])
    loss = loss_of(*(torch.cat(vectors[a:b]) for a, b in itertools.pairwise(split)))
    scale(loss).backward()
    after = rng_state()
    for (encode, piece), state, vector in zip(parts, states, vectors):
        set_rng_state(state)
        encode(piece).backward(vector.grad)
    set_rng_state(after)
    return loss.detach()
