"""The matching head, in which the words of a text and the patches of a picture meet.

N pictures, M texts for each of them, L words of a text, P patches, D width, H attention heads.

The patch-word score takes each word's best patch by itself. It cannot know how many there are, what is left of what, or
which of two things is red. Here words attend to patches and learn *where* they looked (geometry) and *how many* places
fit (counting); then words attend to each other and compare these places.
"""

import itertools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.grounding import grid_places, grid_side, waves
from common.patch_word import OUT

COUNTS = 8  # numbers from 0 to 7; a larger one counts as 7


EVIDENCE = 4  # features of a word in `evidence_of`


class Known(NamedTuple):
    """What the two branches know of the words of N pictures with M texts each, before they meet in the head."""

    cosines: Tensor  # (N, M, L, P) of words with patches
    fits: Tensor  # (N, M, L) logit of each word by its best patch, as in the word loss
    names: Tensor  # (N, M, L, D) of words; their products with patches are the logits of the tag loss
    common: Tensor  # (K, D) names of the most frequent words
    patches: Tensor  # (N, P, D) as the tag loss reads them


class Matched(NamedTuple):
    """What the head finds for N pictures with M texts each. Padding has zeros."""

    text: Tensor  # (N, M) logit: is the text true?
    words: Tensor  # (N, M, L) logit of each word: does it fit?
    attention: Tensor  # (N, M, L, P) where each word looks in the first layer; adds up to 1
    gates: Tensor  # (N, M, L, P) logits in the first layer: is a cell the centre of something that the word counts?
    numbers: Tensor  # (N, M, L, COUNTS) logits in the first layer: of how many does the text speak?


class MatchingHead(nn.Module):
    """patches (N, P, D), words (N, M, L, D), real (N, M, L) True for words -> Matched.

    The texts of a picture share its keys and values: one product per picture, not one per pair.
    """

    def __init__(
        self,
        width: int,
        layers: int,
        heads: int = 4,
        geometry: bool = True,
        counting: bool = True,
        dropout: float = 0.0,
        width_in: int = 0,
        evidence: bool = False,
    ):
        """width: inside the head; width_in: of the vectors that it reads, 0 means the same.

        geometry, counting: whether words learn where they looked, and how many places fit. evidence: whether the head
        starts from what the branches know; `forward` then needs it.
        """
        super().__init__()
        narrow = width_in not in (0, width)
        self.patches_in, self.words_in = (nn.Linear(width_in, width) if narrow else nn.Identity() for _ in range(2))
        self.place = nn.Linear(12, width)
        self.norm_patches, self.norm_words, self.norm = (nn.LayerNorm(width) for _ in range(3))
        self.layers = nn.ModuleList(
            MatchingLayer(width, heads, geometry, counting, dropout, evidence) for _ in range(layers)
        )
        self.word = nn.Linear(width, 1)
        self.whole = nn.Linear(width, 1)
        nn.init.zeros_(self.whole.weight)
        if evidence:  # at first the answer for a word is that of its best patch
            nn.init.zeros_(self.word.weight)
            nn.init.zeros_(self.word.bias)

    def forward(self, patches: Tensor, words: Tensor, real: Tensor, known: Known | None = None) -> Matched:
        places = grid_places(grid_side(patches.shape[1]), patches.device)
        patches = self.norm_patches(self.patches_in(patches)) + self.place(waves(places))
        layout = Layout.of(real)
        words = self.norm_words(self.words_in(layout.pack(words)))
        if known is not None:
            known = known._replace(cosines=layout.pack(known.cosines), names=layout.pack(known.names))
        seen = []
        for layer in self.layers:
            words, *found = layer(words, patches, layout, places, known)
            seen.append(found)
        words = layout.unpack(self.norm(words))
        logits = self.word(words).squeeze(-1).float()
        if known is not None:
            logits = logits + known.fits
        weights = real / real.sum(-1, keepdim=True).clamp(min=1)
        # A sum, not a mean: one false word makes a text false, however many true ones are beside it.
        worst = -torch.logsumexp((-logits).masked_fill(~real, OUT), dim=-1)
        whole = self.whole((words * weights.unsqueeze(-1)).sum(-2)).squeeze(-1).float()
        text = torch.where(real.sum(-1) > 0, worst + whole, torch.zeros_like(worst))
        of_words = (layout.unpack(part).masked_fill(~real.unsqueeze(-1), 0.0) for part in seen[0])
        return Matched(text, logits.masked_fill(~real, 0.0), *of_words)


class Layout(NamedTuple):
    """Where the words of the texts of a picture are: side by side, S slots for a picture.

    On a CPU, slots are for real words only: captions of 6 to 18 words are 40 % padding. On a GPU the host would have to
    wait for the number of words, and an export needs a fixed number: there are slots for padding too.
    """

    real: Tensor  # (N, M, L) True for words
    slots: Tensor | None  # (N, S) position of each slot's word among all N * M * L; None: all in order

    @classmethod
    def of(cls, real: Tensor) -> "Layout":
        if real.device.type != "cpu" or torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export():
            return cls(real, None)
        padding = ~real.flatten(1)
        most = max(1, int((~padding).sum(1).amax()))
        first = torch.arange(len(padding)).unsqueeze(1) * padding.shape[1]
        return cls(real, first + padding.to(torch.uint8).argsort(dim=1, stable=True)[:, :most])

    def pack(self, words: Tensor) -> Tensor:
        """(N, M, L, C) -> (N, S, C)."""
        if self.slots is None:
            return words.flatten(1, 2)
        rows = words.flatten(0, 2).index_select(0, self.slots.flatten())  # twice as fast as gather
        return rows.view(*self.slots.shape, -1)

    def unpack(self, words: Tensor) -> Tensor:
        """(N, S, C) -> (N, M, L, C), with zeros for padding."""
        rows = words.flatten(0, 1)
        if self.slots is not None:
            rows = rows.new_zeros(self.real.numel(), rows.shape[1]).index_copy(0, self.slots.flatten(), rows)
        return rows.view(*self.real.shape, -1)


class MatchingLayer(nn.Module):
    """Words attend to patches, then to each other.

    words (N, S, D) -> words (N, S, D), attention and gates (N, S, P), numbers (N, S, COUNTS); S: slots, see Layout.
    """

    differences: Tensor

    def __init__(self, width: int, heads: int, geometry: bool, counting: bool, dropout: float, evidence: bool):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.heads, self.geometry, self.counting = heads, geometry, counting
        self.norm_cross, self.norm_self = nn.LayerNorm(width), nn.LayerNorm(width)
        # No bias for keys: it adds the same to all logits of a softmax, so its gradient is rounding noise, which Adam
        # would scale up.
        self.query, self.value, self.key = nn.Linear(width, width), nn.Linear(width, width), no_bias(width)
        self.gate_query, self.gate_key = (nn.Linear(width, width) for _ in range(2))
        self.says_number = nn.Linear(width, COUNTS)
        self.gate_bias = nn.Parameter(torch.tensor(-2.0))  # few cells are centres
        found = 3 * width + 4 * geometry + (COUNTS + 2) * counting + EVIDENCE * evidence
        self.cross = nn.Sequential(nn.Linear(found, width), nn.GELU(), nn.Linear(width, width))
        self.self_query, self.self_value, self.self_key = (
            nn.Linear(width, width),
            nn.Linear(width, width),
            no_bias(width),
        )
        # Of the places of `heads` other words and the word's own: one minus the other, for all pairs.
        two = torch.tensor([*itertools.combinations(range(heads + 1), 2)]).T
        differences = F.one_hot(two[0], heads + 1) - F.one_hot(two[1], heads + 1)  # (pairs, heads + 1)
        self.register_buffer("differences", differences.float(), persistent=False)
        pairs = len(differences)
        self.says_direction = nn.Linear(width, 4 * pairs) if geometry else None
        compared = 2 * width + 8 * pairs * geometry
        self.compare = nn.Sequential(nn.Linear(compared, width), nn.GELU(), nn.Linear(width, width))

    def forward(
        self, words: Tensor, patches: Tensor, layout: Layout, places: Tensor, known: Known | None = None
    ) -> tuple[Tensor, ...]:
        x = self.norm_cross(words)
        scale = (words.shape[-1] // self.heads) ** -0.5
        values, keys = (self._split(of(patches)) for of in (self.value, self.key))  # (N, H, P, D / H)
        query = self.query(x)
        attention = (self._split(query * scale) @ keys.transpose(-2, -1)).float().softmax(-1)  # (N, H, S, P)
        seen = (attention.to(values.dtype) @ values).transpose(1, 2).flatten(2)
        mean = attention.mean(1)  # (N, S, P)
        place = mean @ places  # (N, S, 2)
        # A place counts only if all heads agree. "One striped red cup": where one of them finds no stripes, another no
        # red, the rest cannot outvote it. With one product for all, two things counted right .82 times, now .87.
        fits = (self._split(self.gate_query(x) * scale) @ self._split(self.gate_key(patches)).transpose(-2, -1)).float()
        gates = -torch.logsumexp(-fits - self.gate_bias, dim=1)  # (N, S, P)
        numbers = self.says_number(x).float()
        # An MLP hardly learns products, and "does it fit?" is one: of a word and what it sees, or a number and a count.
        # With gates that count right in 80 % of cases, but without `agreement`, swapped numbers stayed at .60.
        found = [x, seen, query * seen]
        if self.geometry:
            found += [place, mean @ places**2 - place**2]
        if self.counting:
            chance = of_counts(gates.sigmoid().sum(-1, keepdim=True))
            agreement = (numbers.softmax(-1) * chance).sum(-1, keepdim=True)
            found += [chance, agreement, agreement.clamp(min=1e-4).log()]
        if known is not None:
            found.append(evidence_of(known, mean))
        words = words + self.dropout(self.cross(torch.cat(found, dim=-1)))
        x = self.norm_self(words)
        compared = torch.cat([x, self._of_other_words(x, place, layout)], dim=-1)
        return words + self.dropout(self.compare(compared)), mean, gates, numbers

    def _of_other_words(self, x: Tensor, place: Tensor, layout: Layout) -> Tensor:
        """What each word reads in the other words, and where they looked: (N, S, D), (N, S, 2) -> (N, S, C)."""
        parts = [self.self_query(x), self.self_key(x), self.self_value(x), place]
        parts = [layout.unpack(part).flatten(0, 1) for part in parts]  # (N * M, L, ...)
        query, key, value = map(self._split, parts[:3])
        logits = (query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5).float()
        logits = logits.masked_fill(~layout.real.flatten(0, 1)[:, None, None], OUT)
        between = logits.softmax(-1)  # (N * M, H, L, L)
        compared = [(between.to(value.dtype) @ value).transpose(1, 2).flatten(2)]
        if self.says_direction is not None:
            own = parts[3]
            others = (between @ own.unsqueeze(1)).transpose(1, 2)  # (N * M, L, H, 2) where other words looked
            every = torch.cat([own.unsqueeze(2), others], dim=2)
            difference = (self.differences @ every).flatten(2)
            apart = torch.cat([difference, torch.tanh(8 * difference)], dim=-1)
            compared += [apart, apart * layout.unpack(self.says_direction(x)).flatten(0, 1)]  # products, as above
        return layout.pack(torch.cat(compared, dim=-1).unflatten(0, layout.real.shape[:2]))

    def _split(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, H, L, D / H)."""
        return x.view(x.shape[0], x.shape[1], self.heads, x.shape[2] // self.heads).transpose(1, 2)


def no_bias(width: int) -> nn.Linear:
    return nn.Linear(width, width, bias=False)


def evidence_of(known: Known, attention: Tensor) -> Tensor:
    """What the branches know of each word, as features of the head: (N, S, EVIDENCE).

    The cosine with its best patch; and the log-probability of the word among the common words, as the tag loss trains
    it: where the word looks, at its best patch, and of the mean of all patches. known: with S slots instead of M texts
    of L words; attention: (N, S, P).
    """

    def total(vectors: Tensor) -> Tensor:
        return torch.logsumexp((vectors @ known.common.T).float(), dim=-1)

    names, patches = known.names, known.patches
    seen, mean = attention @ patches, patches.mean(1, keepdim=True)
    there = (seen * names).sum(-1) - total(seen)
    best = (names @ patches.transpose(1, 2) - total(patches).unsqueeze(1)).amax(-1)
    anywhere = (names @ mean.transpose(1, 2)).squeeze(-1) - total(mean)
    logs = torch.stack([there, best, anywhere], dim=-1).clamp(-12, 4) / 4  # about as large as the other features
    return torch.cat([4 * known.cosines.amax(-1, keepdim=True), logs], dim=-1)


def of_counts(count: Tensor) -> Tensor:
    """The chances of the numbers 0 to COUNTS - 1 if the gates add up to `count`: (..., 1) -> (..., COUNTS)."""
    return (-2 * (count - torch.arange(COUNTS, device=count.device)) ** 2).softmax(-1)
