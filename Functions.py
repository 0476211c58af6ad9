"""The losses, and the gradient of a large batch in the memory of a small one.

Shapes: a batch has N pictures, T captions and K hard negatives; one process encodes n, t and k of them. A picture or a
text is encoded as V vectors of width D; L is the number of words of the longest text. Scores are in [-1, 1]; logits are
scores times the logit scale (1 / temperature).
"""

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from Architectures import SiameseModel
from common.devices import rng_state, set_rng_state
from common.patch_word import OUT, best_cosines, real_words
from Config import LossConfig


class TextBatch(NamedTuple):
    """Which text belongs to which picture. The captions come first, then the hard negatives."""

    owner: Tensor  # (T,) the picture of each caption, in ascending order
    negative_of: Tensor  # (K,) the caption that each hard negative was made from, in ascending order
    changed: Tensor  # (K, L) True for the words of a hard negative that were changed
    groups: Tensor  # (N,) number of each photograph; copies of a photograph have the same


class Share(NamedTuple):
    """The part of a batch that one process encodes: slices of all pictures, captions and hard negatives."""

    pictures: slice
    captions: slice
    negatives: slice

    @classmethod
    def everything(cls, batch: TextBatch) -> "Share":
        """The whole batch, for a single process."""
        return cls(*(slice(0, len(rows)) for rows in (batch.groups, batch.owner, batch.negative_of)))

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Number of pictures, captions and hard negatives: (n, t, k)."""
        n, t, k = (rows.stop - rows.start for rows in self)
        return n, t, k


class WholeBatch(NamedTuple):
    """The vectors that all processes have encoded, and this process's share of them."""

    pictures: Tensor  # (N, V, D)
    captions: Tensor  # (T, V, D)
    share: Share


def contrastive_loss(
    rows: Tensor,
    owner: Tensor,
    groups: Tensor,
    hard: Tensor,
    hard_of: Tensor,
    in_batch: float = 1.0,
    *,
    columns: Tensor | None = None,
    first: tuple[int, int] = (0, 0),
) -> Tensor:
    """InfoNCE in both directions. A hard negative is an extra column of its own picture only.

    rows: (n, T) logits of this process's pictures with all captions.
    owner: (T,) the picture of each caption.
    groups: (N,) number of each photograph; a caption of the same photograph is never a negative.
    hard: (k,) logits of this process's hard negatives with their pictures.
    hard_of: (k,) the picture of each hard negative.
    in_batch: weight of the batch's other captions; a hard negative has weight 1.
    columns: (N, t) logits of all pictures with this process's captions; None if they are the same as `rows`.
    first: positions of this process's first picture and first caption in the batch.
    The losses of all processes add up to the loss of the whole batch.
    Source: Oord et al. 2018; both directions as in Radford et al. 2021; each process computes
    only its own rows and columns, as in open_clip.
    """
    picture, text = first
    n, total = rows.shape
    count = total if columns is None else columns.shape[1]
    same = groups.unsqueeze(1) == groups[owner].unsqueeze(0)  # (N, T)
    rivals = _rivals(rows, same[picture : picture + n], in_batch)  # (n, T)
    columns = rivals if columns is None else _rivals(columns, same[:, text : text + count], in_batch)  # (N, t)
    own = owner[text : text + count] - picture  # (t,) among the rows
    positive = rows[own, torch.arange(text, text + count, device=rows.device)]
    pictures = torch.arange(picture, picture + n, device=rows.device)
    extra = hard.expand(n, -1).masked_fill(hard_of != pictures.unsqueeze(1), OUT)
    wrong_texts = torch.logsumexp(torch.cat([rivals, extra], dim=1), dim=1)[own]
    wrong_pictures = torch.logsumexp(columns, dim=0)
    # -log(e^p / (e^p + e^w)) = softplus(w - p)
    to_text, to_picture = (F.softplus(wrong - positive).sum() / total for wrong in (wrong_texts, wrong_pictures))
    return (to_text + to_picture) / 2


def _rivals(logits: Tensor, same: Tensor, in_batch: float) -> Tensor:
    """Logits of the batch's other pairs, with the weight `in_batch`; pairs of the same photograph get OUT."""
    weighted = logits + math.log(in_batch) if in_batch else logits.new_full(logits.shape, OUT)
    return weighted.masked_fill(same, OUT)


def triplet_loss(positive: Tensor, negative: Tensor, margin: float, total: int | None = None) -> Tensor:
    """Mean of max(0, margin + negative - positive); (k,), (k,) -> (). It is 0 without triplets.

    total: number of triplets in the whole batch, if the arguments are one process's share.
    """
    return F.relu(margin + negative - positive).sum() / max(1, len(positive) if total is None else total)


def match_loss(
    positive: Tensor, negative: Tensor, scale: Tensor, match_at: Tensor, totals: tuple[int, int] | None = None
) -> Tensor:
    """Binary cross-entropy of "is it a match?" at one learned threshold; true and false texts have equal weight.

    positive (t,), negative (k,): scores; match_at: the score where the probability of a match is 0.5; totals: numbers
    of captions and hard negatives in the whole batch, if the arguments are one process's share.
    The contrastive and the triplet loss compare scores of one picture only. A single threshold for all pictures needs
    scores that can be compared across pictures. Source: the sigmoid loss of Zhai et al. 2023, here on captions and hard
    negatives.
    """
    captions, negatives = totals or (len(positive), len(negative))
    true = F.softplus(-scale * (positive - match_at)).sum() / captions
    false = F.softplus(scale * (negative - match_at)).sum() / max(1, negatives)
    return (true + false) / 2


def word_loss(
    true: Tensor,
    real: Tensor,
    false: Tensor,
    changed: Tensor,
    scale: Tensor,
    match_at: Tensor,
    totals: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """The match loss of single words: each word of a caption fits its picture, each changed word does not.

    true: (t, L) cosine of each word of the captions with its best patch; real: (t, L) 1 for a word, 0 for padding;
    false: (k, L) cosine of each word of the hard negatives; changed: (k, L) True for a word that was changed; totals:
    numbers of real and of changed words in the whole batch, if the arguments are one process's share.
    The false word of a swap is known, so the gradient can go to this word. A loss of the whole text spreads it over all
    words, twelve on average.
    """
    words, changes = totals or (real.sum(), changed.sum())
    fits = (F.softplus(-scale * (true - match_at)) * real).sum() / words.clamp(min=1)
    fails = (F.softplus(scale * (false - match_at)) * changed).sum() / changes.clamp(min=1)
    return (fits + fails) / 2


def total_loss(
    model: SiameseModel,
    pictures: Tensor,
    texts: Tensor,
    batch: TextBatch,
    settings: LossConfig,
    in_batch: float = 1.0,
    whole: WholeBatch | None = None,
) -> Tensor:
    """Weighted sum of contrastive, triplet, match and word loss.

    pictures: (n, V, D) vectors of this process's pictures; texts: (t + k, V, D) vectors of their captions, then of
    their hard negatives; batch: the texts of all N pictures; in_batch: see contrastive_loss; whole: the vectors of all
    processes, if several divide the batch. Each process returns its part of the loss. The parts add up to the loss of
    the whole batch, and so do their gradients.
    """
    own = whole.share if whole else Share.everything(batch)
    first = own.pictures.start, own.captions.start
    captions, negatives = texts.split(own.sizes[1:])
    caption_of = batch.negative_of[own.negatives]  # (k,) position of each negative's caption in the whole batch
    hard_of = batch.owner[caption_of]  # (k,) position of each negative's picture in the whole batch
    of_captions = pictures[batch.owner[own.captions] - first[0]]  # (t, V, D)
    of_negatives = pictures[hard_of - first[0]]  # (k, V, D)
    totals = len(batch.owner), len(batch.negative_of)
    scale = model.log_scale.exp()

    # The ranking score: which text belongs to which picture?
    rows = model.all_parts(pictures, whole.captions if whole else captions)  # (n, T)
    columns = model.all_parts(whole.pictures, captions) if whole else None  # (N, t)
    hard_parts = model.pair_parts(of_negatives, negatives)  # (k,)
    contrast = partial(contrastive_loss, owner=batch.owner, groups=batch.groups, first=first)
    logits, hard = scale * model.ranking(rows), scale * model.ranking(hard_parts)
    others = None if columns is None else scale * model.ranking(columns)
    contrastive = contrast(logits, hard=hard, hard_of=hard_of, in_batch=in_batch, columns=others)
    terms = [settings.contrastive * contrastive]
    if settings.whole and model.scores_words and rows.pooled is not None:
        # Without hard negatives: they differ from captions in one word, and a pooled vector that learns to separate
        # them finds a picture's caption less often: with 491 validation photographs recall@1 fell from 48 to 32 %.
        others = None if columns is None or columns.pooled is None else scale * columns.pooled
        terms.append(settings.whole * contrast(scale * rows.pooled, hard=hard[:0], hard_of=hard_of[:0], columns=others))

    # The verdict score: is the text true?
    true, false = model.pair_parts(of_captions, captions).decisive, hard_parts.decisive  # (t,), (k,)
    terms.append(settings.triplet * triplet_loss(true[caption_of - first[1]], false, settings.margin, totals[1]))
    terms.append(settings.match * match_loss(true, false, scale, model.match_at, totals))
    if settings.word and model.scores_words:
        fits = best_cosines(model.parts(of_captions)[1], model.parts(captions)[1])  # (t, L)
        fails = best_cosines(model.parts(of_negatives)[1], model.parts(negatives)[1])  # (k, L)
        real = real_words(model.parts(whole.captions if whole else captions)[1]).float()  # (T, L)
        words = real.sum(), batch.changed.sum()
        changed = batch.changed[own.negatives]
        terms.append(settings.word * word_loss(fits, real[own.captions], fails, changed, scale, model.match_at, words))
    return sum(terms[1:], terms[0])


def collecting_norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    """The batch norms that update their running statistics in a forward pass."""
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and m.training and m.track_running_stats]


@contextlib.contextmanager
def statistics_kept(model: nn.Module) -> Iterator[None]:
    """Inside, batch norm in training mode normalises by the batch, but does not update its running statistics."""
    norms = collecting_norms(model)
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def running_statistics(model: nn.Module) -> list[Tensor]:
    """The running means and variances of batch norm in training mode; each process has those of its own pictures."""
    return [x for norm in collecting_norms(model) for x in (norm.running_mean, norm.running_var) if x is not None]


def backward_in_chunks(
    encoders: Sequence[tuple[Callable[[Tensor], Tensor], Tensor]],
    loss_of: Callable[..., Tensor],
    chunks: int,
    scale: Callable[[Tensor], Tensor] = lambda loss: loss,
    first_pass: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext,
) -> Tensor:
    """Gradient of a loss over the whole batch, in the memory of one chunk.

    A first pass encodes each encoder's input in `chunks` parts, without a graph. The loss of all vectors together gives
    the gradient of every vector. A second pass with the same dropout propagates it to the weights. The sum of the
    losses of the chunks is a different loss: 16 pictures in 4 chunks gave a contrastive loss of 6.93, not 10.08.
    encoders: (function, its input) for each branch; loss_of: all vectors of each encoder -> loss; scale: applied to the
    loss before the backward pass; first_pass: context of the first pass, for example `statistics_kept`, so that batch
    norm counts each chunk once.
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
