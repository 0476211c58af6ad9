"""The losses, and the gradient of a large batch in the memory of a small one.

Shapes: a batch has N pictures, T captions and K hard negatives; one process encodes n, t and k of them. V vectors of D
numbers stand for a picture or a text; L is the number of words of the longest text. Scores are in [-1, 1], logits are
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
    """Which text belongs to which picture: captions first, then their hard negatives."""

    owner: Tensor  # (T,) the picture of each caption, in ascending order
    negative_of: Tensor  # (K,) the caption that each hard negative was made from, in ascending order
    changed: Tensor  # (K, L) which of its words were changed
    groups: Tensor  # (N,) identity of each photograph


class Share(NamedTuple):
    """The part of a batch that one process encodes: positions among all pictures, captions and hard negatives."""

    pictures: slice
    captions: slice
    negatives: slice

    @classmethod
    def everything(cls, batch: TextBatch) -> "Share":
        """That of the only process."""
        return cls(*(slice(0, len(rows)) for rows in (batch.groups, batch.owner, batch.negative_of)))

    @property
    def sizes(self) -> tuple[int, int, int]:
        """How many pictures, captions and hard negatives: (n, t, k)."""
        n, t, k = (rows.stop - rows.start for rows in self)
        return n, t, k


class WholeBatch(NamedTuple):
    """The vectors of all processes, gathered, and which of them this process has encoded itself."""

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
    """InfoNCE in both directions, with hard negatives as extra columns of their own picture.

    rows: (n, T) logits of this process's pictures with all captions.
    owner: (T,) the picture of each caption.
    groups: (N,) identity of each photograph; a caption of the same photograph is never a negative.
    hard: (k,) logits of this process's hard negatives with their pictures.
    hard_of: (k,) these pictures.
    in_batch: weight of the batch's other captions against the hard negatives.
    columns: (N, t) logits of all pictures with this process's captions; None if they are the same as `rows`.
    first: positions of this process's first picture and first caption in the batch.
    The losses of all processes add up to the loss of the whole batch.
    Source: Oord et al. 2018; both directions as in Radford et al. 2021; own rows and columns alone as in open_clip.
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
    """The logits of the batch's other pairs at their weight; those of the same photograph are out."""
    weighted = logits + math.log(in_batch) if in_batch else logits.new_full(logits.shape, OUT)
    return weighted.masked_fill(same, OUT)


def triplet_loss(positive: Tensor, negative: Tensor, margin: float, total: int | None = None) -> Tensor:
    """Mean of max(0, margin + negative - positive); (k,), (k,) -> (). Without a triplet it is 0.

    total: triplets of the whole batch, if these are one process's share.
    """
    return F.relu(margin + negative - positive).sum() / max(1, len(positive) if total is None else total)


def match_loss(
    positive: Tensor, negative: Tensor, scale: Tensor, match_at: Tensor, totals: tuple[int, int] | None = None
) -> Tensor:
    """Binary cross-entropy of "is it a match?" at one learned threshold; true and false texts have equal weight.

    positive (t,), negative (k,): scores; match_at: the score at which a match is as likely as not; totals: captions
    and hard negatives of the whole batch, if these are one process's share.
    The ranking losses compare the texts of one picture only; a single threshold for all pictures needs scores that
    can be compared across them. Source: the sigmoid loss of Zhai et al. 2023, here on captions and hard negatives.
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

    true: (t, L) best cosines of the captions' words, real: (t, L) where there is a word; false, changed: (k, L) the
    same for the hard negatives and their changed words; totals: real and changed words of the whole batch, if these
    are one process's share. Since we made the negatives, we know which word is false. A loss of the whole text says
    only that one of twelve words is, and spreads its gradient over all of them.
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
    """Contrastive + triplet + match + word loss.

    pictures (n, V, D), texts (t + k, V, D): vectors of this process's pictures, and of their captions, then their hard
    negatives, as the model encodes them; batch: of all N pictures; in_batch: see contrastive_loss; whole: everybody's
    vectors, if the batch is divided among processes. Each process then returns its share of the loss: the shares add
    up to the loss of the whole batch, and so do their gradients.
    """
    own = whole.share if whole else Share.everything(batch)
    first = own.pictures.start, own.captions.start
    captions, negatives = texts.split(own.sizes[1:])
    caption_of = batch.negative_of[own.negatives]  # (k,) numbers in the whole batch; so is hard_of
    hard_of = batch.owner[caption_of]
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
        # Hard negatives differ in one word. A pooled vector that learns to tell them apart finds a picture's caption
        # less often: with 491 validation photographs recall@1 fell from 48 to 32 %.
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

    Each encoder's input is encoded in `chunks` parts without a graph. The loss of all vectors together gives the
    gradient of every vector, and a second pass with the same dropout carries it into the weights. The sum of the losses
    of chunks would be another loss: 16 pairs in 4 chunks gave a contrastive loss of 6.93 instead of 10.08.
    first_pass: a context for the first pass; inside `statistics_kept` batch norm counts each chunk once.
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
