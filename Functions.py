"""The losses, and the gradient of a large batch in the memory of a small one.

Shapes: a batch has N pictures, T captions and K hard negatives; one process encodes n, t and k of them. A picture or a
text is encoded as V vectors of width D; L is the number of words of the longest text. Scores are in [-1, 1]; logits are
scores times the logit scale (1 / temperature).
"""

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from Architectures import SiameseModel
from common.devices import rng_state, set_rng_state
from common.grounding import Grounding, Tags, centres, coverage, spread
from common.matching import COUNTS, Matched, of_counts
from common.patch_word import OUT, best_cosines, real_words
from common.scores import ScoreParts
from Config import LossConfig


class TextBatch(NamedTuple):
    """Which text belongs to which picture. The captions come first, then the hard negatives."""

    owner: Tensor  # (T,) the picture of each caption, in ascending order
    negative_of: Tensor  # (K,) the caption that each hard negative was made from, in ascending order
    changed: Tensor  # (K, L) True for the words of a hard negative that were changed
    neutral: Tensor  # (K,) True for a hard negative that can be true; only the text loss of the head uses it
    groups: Tensor  # (N,) number of each photograph; copies of a photograph have the same
    grounding: Grounding  # the boxes of the captions' words
    tags: Tags  # what all captions say of the regions of this process's pictures


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


def triplet_loss(positive: Tensor, negative: Tensor, margin: float, total: int | Tensor | None = None) -> Tensor:
    """Mean of max(0, margin + negative - positive); (k,), (k,) -> (). It is 0 without triplets.

    total: number of triplets in the whole batch, if the arguments are one process's share.
    """
    return F.relu(margin + negative - positive).sum() / at_least_one(len(positive) if total is None else total)


def match_loss(
    positive: Tensor, negative: Tensor, scale: Tensor, match_at: Tensor, totals: tuple[int, int | Tensor] | None = None
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
    false = F.softplus(scale * (negative - match_at)).sum() / at_least_one(negatives)
    return (true + false) / 2


def at_least_one(count: int | Tensor) -> Tensor:
    """A divisor. Counts on a GPU stay there: the host does not wait for them."""
    return torch.as_tensor(count).clamp(min=1)


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


@dataclass(frozen=True)
class Encoded:
    """The vectors of one process's share of a batch, and what belongs to what in it."""

    model: SiameseModel
    pictures: Tensor  # (n, V, D)
    captions: Tensor  # (t, V, D)
    negatives: Tensor  # (k, V, D)
    batch: TextBatch
    share: Share
    whole: WholeBatch | None

    @classmethod
    def of(
        cls, model: SiameseModel, pictures: Tensor, texts: Tensor, batch: TextBatch, whole: WholeBatch | None
    ) -> "Encoded":
        share = whole.share if whole else Share.everything(batch)
        captions, negatives = texts.split(share.sizes[1:])
        return cls(model, pictures, captions, negatives, batch, share, whole)

    @property
    def owner(self) -> Tensor:
        """(t,) the picture of each caption, counted in this share."""
        return self.batch.owner[self.share.captions] - self.share.pictures.start

    @property
    def negative_of(self) -> Tensor:
        """(k,) the caption of each hard negative, counted in this share."""
        return self.batch.negative_of[self.share.negatives] - self.share.captions.start

    @property
    def changed(self) -> Tensor:
        """(k, L) True for the words of a hard negative that were changed."""
        return self.batch.changed[self.share.negatives]

    @property
    def neutral(self) -> Tensor:
        """(k,) True for a hard negative that can be true."""
        return self.batch.neutral[self.share.negatives]

    @property
    def all_captions(self) -> Tensor:
        """(T, V, D) the captions of all processes."""
        return self.whole.captions if self.whole else self.captions

    @cached_property
    def grounded(self) -> "GroundedWords":
        """The words of the own captions that have a region; the ground loss of the cosines and the head use it."""
        return GroundedWords.of(self)

    @property
    def totals(self) -> tuple[int, int]:
        """Number of captions and hard negatives in the whole batch."""
        return len(self.batch.owner), len(self.batch.negative_of)

    @property
    def false_totals(self) -> tuple[int, Tensor]:
        """Number of captions and of hard negatives that are not neutral in the whole batch."""
        return len(self.batch.owner), (~self.batch.neutral).sum()


def total_loss(
    model: SiameseModel,
    pictures: Tensor,
    texts: Tensor,
    batch: TextBatch,
    settings: LossConfig,
    in_batch: float = 1.0,
    whole: WholeBatch | None = None,
) -> Tensor:
    """Weighted sum of contrastive, triplet, match, word, ground and head loss.

    pictures: (n, V, D) vectors of this process's pictures; texts: (t + k, V, D) vectors of their captions, then of
    their hard negatives; batch: the texts of all N pictures; in_batch: see contrastive_loss; whole: the vectors of all
    processes, if several divide the batch. Each process returns its part of the loss. The parts add up to the loss of
    the whole batch, and so do their gradients.
    """
    encoded = Encoded.of(model, pictures, texts, batch, whole)
    rows = model.all_parts(pictures, encoded.all_captions)  # (n, T)
    hard = model.pair_parts(pictures[encoded.owner[encoded.negative_of]], encoded.negatives)  # (k,)
    terms = ranking_terms(encoded, rows, hard, settings, in_batch)
    terms += verdict_terms(encoded, hard, settings)
    if settings.ground and model.scores_words:
        terms.append(settings.ground * ground_loss(where_words_look(encoded), encoded.grounded))
    if model.head is not None:
        terms += head_terms(encoded, rows, settings)
    return sum(terms[1:], terms[0])


def ranking_terms(
    encoded: Encoded, rows: ScoreParts, hard: ScoreParts, settings: LossConfig, in_batch: float
) -> list[Tensor]:
    """Losses of the ranking score: which text belongs to which picture?

    rows: scores (n, T) of the own pictures with all captions; hard: (k,) of the hard negatives with their pictures.
    """
    model, batch, whole, share = encoded.model, encoded.batch, encoded.whole, encoded.share
    hard_of = batch.owner[batch.negative_of[share.negatives]]  # (k,) position of the picture in the whole batch
    columns = model.all_parts(whole.pictures, encoded.captions) if whole else None  # (N, t)
    scale = model.log_scale.exp()
    first = share.pictures.start, share.captions.start
    contrast = partial(contrastive_loss, owner=batch.owner, groups=batch.groups, first=first)
    logits = scale * model.ranking(rows)
    hard_logits = (scale * model.ranking(hard)).masked_fill(encoded.neutral, OUT)
    others = None if columns is None else scale * model.ranking(columns)
    contrastive = contrast(logits, hard=hard_logits, hard_of=hard_of, in_batch=in_batch, columns=others)
    terms = [settings.contrastive * contrastive]
    if settings.whole and model.scores_words and rows.pooled is not None:
        # Without hard negatives: they differ from captions in one word, and a pooled vector that learns to separate
        # them finds a picture's caption less often: with 491 validation photographs recall@1 fell from 48 to 32 %.
        others = None if columns is None or columns.pooled is None else scale * columns.pooled
        pooled, none = scale * rows.pooled, hard_logits[:0]
        terms.append(settings.whole * contrast(pooled, hard=none, hard_of=hard_of[:0], columns=others))
    return terms


def verdict_terms(encoded: Encoded, hard: ScoreParts, settings: LossConfig) -> list[Tensor]:
    """Losses of the score of pairs without the head: is the text true? hard: scores (k,) of the hard negatives."""
    model, captions = encoded.model, encoded.captions
    scale, of_captions = model.log_scale.exp(), encoded.pictures[encoded.owner]  # (t, V, D)
    true = model.pair_parts(of_captions, captions).decisive  # (t,)
    false = hard.decisive.masked_fill(encoded.neutral, OUT)  # (k,); with this score both losses are exactly 0
    triplet = triplet_loss(true[encoded.negative_of], false, settings.margin, encoded.false_totals[1])
    terms = [settings.triplet * triplet]
    terms.append(settings.match * match_loss(true, false, scale, model.match_at, encoded.false_totals))
    if settings.word and model.scores_words:
        of_negatives = encoded.pictures[encoded.owner[encoded.negative_of]]  # (k, V, D)
        fits = best_cosines(model.picture_parts(of_captions)[1], model.text_parts(captions)[1])  # (t, L)
        fails = best_cosines(model.picture_parts(of_negatives)[1], model.text_parts(encoded.negatives)[1])  # (k, L)
        real = real_words(model.text_parts(encoded.all_captions)[1]).float()  # (T, L)
        words, own = (real.sum(), encoded.batch.changed.sum()), real[encoded.share.captions]
        terms.append(settings.word * word_loss(fits, own, fails, encoded.changed, scale, model.match_at, words))
    return terms


class GroundedWords(NamedTuple):
    """The G words of the own captions that have a region in the view of their picture."""

    caption: Tensor  # (G,) position of their caption
    word: Tensor  # (G,) position in the caption
    inside: Tensor  # (G, P) share of each patch that the region covers, divided by the largest
    target: Tensor  # (G, P) where to look, see `common.grounding.spread`
    centres: Tensor  # (G, P) see `common.grounding.centres`; adds up to the number of boxes
    total: Tensor  # () number of words with a region in the whole batch

    @classmethod
    def of(cls, encoded: Encoded) -> "GroundedWords":
        grounding = encoded.batch.grounding
        region_of = grounding.region_of[encoded.share.captions]
        caption, word = region_of.nonzero(as_tuple=True)
        region = region_of[caption, word] - 1
        patches = encoded.model.picture_parts(encoded.pictures)[1].shape[1]
        inside = coverage(grounding.boxes, patches)
        inside = inside / inside.amax(-1, keepdim=True).clamp(min=1e-6)
        target, counted = spread(grounding.boxes, patches), centres(grounding.boxes, patches)
        return cls(caption, word, inside[region], target[region], counted[region], grounding.total.clamp(min=1))

    @property
    def number(self) -> Tensor:
        """(G,) number of boxes of the region, at most COUNTS - 1."""
        return self.centres.sum(-1).round().long().clamp(max=COUNTS - 1)


def where_words_look(encoded: Encoded) -> Tensor:
    """Softmax (G, P) of the cosines of each grounded word with the patches of its picture."""
    model, grounded = encoded.model, encoded.grounded
    patches, words = model.picture_parts(encoded.pictures)[1], model.text_parts(encoded.captions)[1]
    # Of all words, then those with a region: to copy the patches for each word takes ten times as much memory.
    cosines = F.normalize(words, dim=-1) @ patches[encoded.owner].mT  # (t, L, P)
    return (model.log_scale.exp() * cosines[grounded.caption, grounded.word]).softmax(-1)


def ground_loss(attention: Tensor, grounded: GroundedWords) -> Tensor:
    """Minus the log of the share of each word's attention (G, P) that falls into its region, mean over all words.

    A patch counts by how much of it the region covers. A word without a region is not supervised.
    """
    share = (attention * grounded.inside).sum(-1)
    return -share.clamp(min=1e-4).log().sum() / grounded.total


def spread_loss(attention: Tensor, grounded: GroundedWords) -> Tensor:
    """Cross-entropy of each word's attention (G, P) with an attention that looks at all its boxes, mean over all words.

    The ground loss is also 0 if "three" looks at one of three boxes. The head computes places and counts from the
    attention, so it should look at all.
    """
    return -(grounded.target * attention.clamp(min=1e-4).log()).sum() / grounded.total


def count_loss(gates: Tensor, grounded: GroundedWords) -> Tensor:
    """Binary cross-entropy of the gates (G, P): how much of a box's centre is in the patch?

    Sum over patches, mean over words. The sum of the open gates is then the number of boxes. A softmax cannot count:
    its sum is 1. The second term is the cross-entropy of this sum with the number of boxes: the first term allows two
    patches to open too far for the same thing, which then counts as two.
    """
    target = grounded.centres.clamp(max=1)
    where = F.binary_cross_entropy_with_logits(gates, target, reduction="sum")
    chance = of_counts(gates.sigmoid().sum(-1, keepdim=True)).clamp(min=1e-6)
    return (where + F.nll_loss(chance.log(), grounded.number, reduction="sum")) / grounded.total


def number_loss(numbers: Tensor, grounded: GroundedWords) -> Tensor:
    """Cross-entropy of the numbers (G, COUNTS) of which words speak with the numbers of boxes, mean over all words.

    A word learns what it says from its caption, which is true. In a false text it then says something else than the
    gates count.
    """
    return F.cross_entropy(numbers, grounded.number, reduction="sum") / grounded.total


def tag_loss(model: SiameseModel, pictures: Tensor, tags: Tags) -> Tensor:
    """Cross-entropy of each word that a caption says of a region, predicted from the patches of its boxes.

    Mean over all words of all captions, drawn or not. pictures: (n, V, D) vectors of this process's pictures.
    It says what is in a box in one step, which the losses of texts only imply: the backbone learns kinds and colours
    several times as fast. Words that a caption does not mention are not taken for false: the prediction is one
    distribution over all words that are said of such boxes.
    """
    patches = model.head_patches(pictures)  # (n, P, D)
    where = spread(tags.boxes, patches.shape[1])  # (R, P)
    mean = (where.unsqueeze(1) @ patches[tags.picture]).squeeze(1)  # (R, D)
    log_chance = model.tags(mean).float().log_softmax(-1)  # (R, vocabulary)
    return -log_chance[tags.region, tags.word].sum() / tags.total.clamp(min=1)


def head_terms(encoded: Encoded, rows: ScoreParts, settings: LossConfig) -> list[Tensor]:
    """Losses of the head: image-text matching on captions, hard negatives, and captions of other pictures.

    rows: scores (n, T) of the own pictures with all captions. Of the captions of other photographs, a picture gets the
    one with the highest ranking score. Source: Li et al. 2021 (ALBEF), who draw it by a softmax.
    The target of a neutral text is `settings.neutral`, of other hard negatives 0.
    """
    model, batch, own = encoded.model, encoded.batch, encoded.share
    n, t, k = own.sizes
    with torch.no_grad():
        same = batch.groups[own.pictures, None] == batch.groups[batch.owner]  # (n, T)
        hardest = model.ranking(rows).masked_fill(same, OUT).argmax(1)  # (n,)
        is_other = ~same.all(1)  # False if all captions of the batch are of this photograph
    texts = torch.cat([encoded.captions, encoded.negatives, encoded.all_captions[hardest]])
    pictures = torch.arange(n, device=texts.device)
    picture_of = torch.cat([encoded.owner, encoded.owner[encoded.negative_of], pictures])
    found = match_pairs(model, encoded.pictures, texts, picture_of)

    captions, negatives = encoded.totals
    true = F.softplus(-found.text[:t]).sum() / captions
    logits = found.text[t : t + k]
    # Binary cross-entropy with a target y: softplus(x) - y x.
    hard = (F.softplus(logits) - settings.neutral * encoded.neutral * logits).sum() / max(1, negatives)
    others = (F.softplus(found.text[t + k :]) * is_other).sum() / len(batch.groups)
    text = (true + (1 - settings.others) * hard + settings.others * others) / 2

    real = real_words(model.text_parts(encoded.all_captions)[1])  # (T, L)
    fits = (F.softplus(-found.words[:t]) * real[own.captions]).sum() / real.sum().clamp(min=1)
    fails = (F.softplus(found.words[t : t + k]) * encoded.changed).sum() / batch.changed.sum().clamp(min=1)
    terms = [settings.head * text, settings.head * (fits + fails) / 2]
    at = encoded.grounded.caption, encoded.grounded.word
    if settings.ground:
        terms.append(settings.ground * spread_loss(found.attention[at], encoded.grounded))
    if settings.count:
        terms.append(settings.count * count_loss(found.gates[at], encoded.grounded))
        terms.append(settings.count * number_loss(found.numbers[at], encoded.grounded))
    if settings.tag:
        terms.append(settings.tag * tag_loss(model, encoded.pictures, batch.tags))
    return terms


def match_pairs(model: SiameseModel, pictures: Tensor, texts: Tensor, picture_of: Tensor) -> Matched:
    """What the head finds for B pairs: text i with picture `picture_of[i]`. Its parts have B rows instead of (n, M).

    pictures: (n, V, D); texts: (B, V, D). The texts of a picture are laid side by side, so that the head computes what
    it needs of a picture once. Pictures with fewer texts than others get the first text again, which is not read.
    """
    place = number_within(picture_of, len(pictures))
    layout = picture_of.new_zeros(len(pictures), int(place.max()) + 1)  # (n, M) which texts the head gets
    layout[picture_of, place] = torch.arange(len(texts), device=texts.device)
    return Matched(*(part[picture_of, place] for part in model.match(pictures, texts[layout])))


def number_within(owner: Tensor, owners: int) -> Tensor:
    """Number of each item among the items of its owner: (B,) of 0 to owners - 1 -> (B,). [0, 1, 0] gives [0, 0, 1]."""
    order = owner.argsort(stable=True)
    counts = torch.bincount(owner, minlength=owners)
    numbers = torch.empty_like(owner)
    numbers[order] = torch.arange(len(owner), device=owner.device) - (counts.cumsum(0) - counts)[owner[order]]
    return numbers


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
