"""Pairs of captions whose phrases change places, so that a blind judge cannot detect the negatives.

If caption i gets a phrase of caption j, caption j gets the phrase of caption i, with the same chance. So every phrase
is in negatives as often as in captions, and with the same words around it (`Extra.frame`). What remains is whether a
phrase fits the rest of its caption. A pair is accepted with the probability of Metropolis et al. 1953: always if both
phrases fit their new captions at least as well as their own ones, else with the ratio of the two. The fit is measured
by the training captions that have two words together (`Fit`); those of the caption itself are not counted.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from math import exp, log
from typing import NamedTuple

import numpy as np
from scipy import sparse

from negatives.add_rules import PLACE, Extra
from negatives.mined import sinkhorn
from negatives.phrases import Attribute, Phrase

ROUNDS = 60  # of proposals; each proposes one partner for every phrase
PARTNERS = 6  # of a phrase, at most
FIT_CAPTIONS = 40_000
SHRINKAGE = 1.0  # captions; added to the number of captions with both words, and to the expected number
PLACE_WEIGHT = 0.1
STRENGTH = 0.5  # of the fit: words of a caption are not independent


class Side(NamedTuple):
    """What one caption gives, and what it can get in return: a phrase for a phrase with an equal frame.

    extra: the phrase that it gives.
    rest: the lemmas of the caption's other content words.
    cut: the attribute that it gives instead of a phrase; then the token of `extra` is where it gets one.
    bare: the noun phrase that gets an attribute; None: it gets a phrase in the place of its own.
    """

    caption: int
    extra: Extra
    rest: frozenset[str]
    cut: Attribute | None = None
    bare: Phrase | None = None


class Pair(NamedTuple):
    """Two sides whose phrases change places, with this chance. Sides are given by their numbers."""

    one: int
    two: int
    chance: float


class Fit:
    """How well words fit together: log of how often two are in one training caption, relative to chance."""

    def __init__(self, captions: Iterable[frozenset[str]]):
        self._single: Counter[str] = Counter()
        self._both: Counter[tuple[str, str]] = Counter()
        self._total = 0
        for lemmas in captions:
            self._total += 1
            self._single.update(lemmas)
            self._both.update(combinations(sorted(lemmas), 2))

    def of(self, some: Iterable[str], others: frozenset[str], own: int) -> float:
        """The sum over all pairs of a word of `some` and a word of `others`.

        own: 1 if the words are of one training caption, which is not counted; else 0.
        """
        total, single = 0.0, self._single
        for one in some:
            for other in others:
                both = self._both[(one, other) if one < other else (other, one)] - own
                expected = single[one] * single[other] / max(1, self._total)
                total += log((max(0, both) + SHRINKAGE) / (expected + SHRINKAGE))
        return total


def make_pairs(
    sides: Sequence[Side], can: Callable[[Side, Side], bool], gain: Callable[[Side, Side], float], seed: int = 0
) -> list[Pair]:
    """Pairs of sides with equal frames.

    can: may the phrases of two sides change places? gain: log of the likelihood ratio of the new texts to the old.

    The chances of the pairs of a caption add up to 1 at most.
    """
    rng = random.Random(seed)
    frames: dict[tuple[str, ...], list[int]] = {}
    for number, side in enumerate(sides):
        frames.setdefault(side.extra.frame, []).append(number)
    partners: list[set[int]] = [set() for _ in sides]
    tried: set[tuple[int, int]] = set()
    for members in frames.values():
        for turn in range(ROUNDS if len(members) > 1 else 0):
            for one, two in _proposals(sides, members, partners, turn, rng):
                pair = (min(one, two), max(one, two))
                if one == two or pair in tried:
                    continue
                tried.add(pair)
                if not can(sides[one], sides[two]):
                    continue
                if rng.random() < exp(min(0.0, STRENGTH * gain(sides[one], sides[two]))):
                    partners[one].add(two)
                    partners[two].add(one)
    return _with_chances(sides, [(one, two) for one, own in enumerate(partners) for two in sorted(own) if one < two])


def _proposals(
    sides: Sequence[Side], members: Sequence[int], partners: Sequence[set[int]], turn: int, rng: random.Random
) -> list[tuple[int, int]]:
    """The pairs of sides that one round tries."""
    # In half of the rounds, phrases with the same governor come together: they fit more often.
    keys = [(sides[n].extra.governor if turn % 2 else "", rng.random(), n) for n in members]
    order = [n for _, _, n in sorted(keys) if len(partners[n]) < PARTNERS]
    cut = [n for n in order if sides[n].cut is not None]
    if cut:  # an attribute for a phrase
        return list(zip(cut, (n for n in order if sides[n].cut is None)))
    proposed = list(zip(order[::2], order[1::2]))
    if turn > ROUNDS / 3:  # phrases without a partner can have those that have enough
        proposed += [(n, rng.choice(members)) for n in order if not partners[n]]
    return proposed


def _with_chances(sides: Sequence[Side], pairs: Sequence[tuple[int, int]]) -> list[Pair]:
    if not pairs:
        return []
    numbers = {caption: i for i, caption in enumerate(dict.fromkeys(side.caption for side in sides))}
    # A place of another caption is most like a swap; it is for captions that have nothing else.
    weight = np.array([PLACE_WEIGHT if sides[n].extra.frame[0] == PLACE else 1.0 for n, _ in pairs])
    ends = np.array([[numbers[sides[n].caption] for n in pair] for pair in pairs])
    one, two = np.concatenate((ends, ends[:, ::-1])).T
    count = sparse.csr_matrix((np.tile(weight, 2), (one, two)), shape=(len(numbers), len(numbers)))  # sums duplicates
    chances = sinkhorn(count)
    return [
        Pair(a, b, float(share * chances[i, j] / count[i, j]))
        for (a, b), (i, j), share in zip(pairs, ends.tolist(), weight)
    ]
