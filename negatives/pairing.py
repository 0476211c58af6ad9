"""Pairs of captions whose phrases change places, so that a blind judge cannot detect the negatives.

If caption i gets a phrase of caption j, caption j gets the phrase of caption i, with the same chance. So every phrase
is in negatives as often as in captions, and with the same words around it (`Extra.frame`). What remains is whether a
phrase fits the rest of its caption. A pair is accepted with the probability of Metropolis et al. 1953: always if both
phrases fit their new captions at least as well as their own ones, else with the ratio of the two. The fit is measured
by the training captions that have two words together (`Fit`); those of the caption itself are not counted.
"""

from __future__ import annotations

import random
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from math import exp, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from common.jobs import progress
from negatives.add_rules import PLACE
from negatives.mined import sinkhorn

ROUNDS = 60  # of proposals; each proposes one partner for every phrase
PARTNERS = 6  # of a phrase, at most
FIT_CAPTIONS = 40_000
SHRINKAGE = 1.0  # captions; added to the number of captions with both words, and to the expected number
PLACE_WEIGHT = 0.1
STRENGTH = 0.5  # of the fit: words of a caption are not independent


class Sides(NamedTuple):
    """What captions give, and what they can get in return: a phrase for a phrase with an equal frame. Columns.

    caption: in ascending order. frame: see `Extra`. governor: the lemma that the phrase belongs to.
    is_cut: it gives an attribute instead of a phrase, and gets a phrase where it has none.
    """

    caption: Sequence[int]
    frame: Sequence[tuple[str, ...]]
    governor: Sequence[str]
    is_cut: Sequence[bool | int]


class Pair(NamedTuple):
    """Two sides whose phrases change places, with this chance. Sides are given by their numbers."""

    one: int
    two: int
    chance: float


class Pairs:
    """Many pairs, in three arrays."""

    def __init__(self, one: NDArray[np.int32], two: NDArray[np.int32], chance: NDArray[np.float64]):
        self._columns = one, two, chance

    def __len__(self) -> int:
        return len(self._columns[0])

    def __iter__(self) -> Iterator[Pair]:
        for start in range(0, len(self), 10_000):
            yield from map(Pair, *(column[start : start + 10_000].tolist() for column in self._columns))


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

    def of(self, some: Iterable[str], others: Collection[str], own: int) -> float:
        """The sum over all pairs of a word of `some` and a word of `others`.

        own: 1 if the words are of one training caption, which is not counted; else 0.
        """
        total, single, pairs, size = 0.0, self._single.get, self._both.get, max(1, self._total)
        for one in some:
            count = single(one, 0)
            for other in others:
                both = pairs((one, other) if one < other else (other, one), 0) - own
                expected = count * single(other, 0) / size
                total += log((max(0, both) + SHRINKAGE) / (expected + SHRINKAGE))
        return total


def make_pairs(
    sides: Sides, can: Callable[[int, int], bool], gain: Callable[[int, int], float], seed: int = 0
) -> Pairs:
    """Pairs of sides with equal frames.

    can: may the phrases of two sides change places? gain: log of the likelihood ratio of the new texts to the old. Both
    are asked with the numbers of two sides.

    The chances of the pairs of a caption add up to 1 at most.
    """
    rng = random.Random(seed)
    frames: dict[tuple[str, ...], array[int]] = {}
    for number, frame in enumerate(sides.frame):
        frames.setdefault(frame, array("i")).append(number)
    first, second = array("i"), array("i")
    for members in progress(frames.values(), "negatives: pair phrases", " frames"):
        if len(members) > 1:
            for one, two in _pairs_of_frame(sides, members.tolist(), can, gain, rng):
                first.append(one)
                second.append(two)
    ones, twos = np.frombuffer(first, dtype=np.int32), np.frombuffer(second, dtype=np.int32)
    order = np.lexsort((twos, ones))
    return _with_chances(sides, ones[order], twos[order])


def _pairs_of_frame(
    sides: Sides,
    members: Sequence[int],
    can: Callable[[int, int], bool],
    gain: Callable[[int, int], float],
    rng: random.Random,
) -> Iterator[tuple[int, int]]:
    """The accepted pairs of the sides of one frame, the smaller number first."""
    partners: dict[int, set[int]] = {member: set() for member in members}
    tried: set[tuple[int, int]] = set()
    for turn in range(ROUNDS):
        for one, two in _proposals(sides, members, partners, turn, rng):
            pair = (one, two) if one < two else (two, one)
            if one == two or pair in tried:
                continue
            tried.add(pair)
            if can(one, two) and rng.random() < exp(min(0.0, STRENGTH * gain(one, two))):
                partners[one].add(two)
                partners[two].add(one)
    return ((one, two) for one, own in partners.items() for two in own if one < two)


def _proposals(
    sides: Sides, members: Sequence[int], partners: Mapping[int, set[int]], turn: int, rng: random.Random
) -> list[tuple[int, int]]:
    """The pairs of sides that one round tries."""
    draws = [rng.random() for _ in members]  # also for those that have enough: the others keep their numbers
    free = [(draw, n) for draw, n in zip(draws, members) if len(partners[n]) < PARTNERS]
    if turn % 2:  # in half of the rounds, phrases with the same governor come together: they fit more often
        order = [n for _, _, n in sorted((sides.governor[n], draw, n) for draw, n in free)]
    else:
        order = [n for _, n in sorted(free)]
    cut = [n for n in order if sides.is_cut[n]]
    if cut:  # an attribute for a phrase
        return list(zip(cut, (n for n in order if not sides.is_cut[n])))
    proposed = list(zip(order[::2], order[1::2]))
    if turn > ROUNDS / 3:  # phrases without a partner can have those that have enough
        proposed += [(n, rng.choice(members)) for n in order if not partners[n]]
    return proposed


def _with_chances(sides: Sides, ones: NDArray[np.int32], twos: NDArray[np.int32]) -> Pairs:
    if not len(ones):
        return Pairs(ones, twos, np.zeros(0))
    # A place of another caption is most like a swap; it is for captions that have nothing else.
    weight = np.array([PLACE_WEIGHT if sides.frame[n][0] == PLACE else 1.0 for n in ones.tolist()])
    captions = np.asarray(sides.caption)
    known = np.unique(captions)
    ends = np.searchsorted(known, captions[np.stack((ones, twos), axis=1)])
    one, two = np.concatenate((ends, ends[:, ::-1])).T
    count = sparse.csr_matrix((np.tile(weight, 2), (one, two)), shape=(len(known), len(known)))  # sums duplicates
    chances = sinkhorn(count)
    of_captions, of_pairs = (np.asarray(matrix[ends[:, 0], ends[:, 1]]).ravel() for matrix in (chances, count))
    return Pairs(ones, twos, weight * of_captions / of_pairs)
