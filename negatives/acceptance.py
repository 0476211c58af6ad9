"""Which exchanges are made, so that the text alone does not tell a negative from a caption.

An exchange keeps the words and changes their neighbours, so what could give it away are neighbours that fit less. It
is made with the chance of Metropolis et al. 1953: always if the new neighbours are at least as likely as the old ones,
else as often as they are as likely. Then as many texts turn into a likelier one as into a less likely one.

How likely neighbours are is counted in the training captions, for each caption in all others. What the counts get
wrong ("and white" owes most of its count to "black and white") is corrected by one factor for each pair of words. The
factors are fitted until as many exchanges make a pair as undo it (`negatives.balance` does the same for swaps).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from Tokenizer_lib import split_words

Pair = tuple[str, str]
SHRINKAGE = 0.3  # occurrences; added to how often words are neighbours, and to how often they would be by chance
OWN_FACTOR = 6  # exchanges that make or undo a pair, from which it has a factor of its own
FIT_SHRINKAGE = 6.0  # exchanges; of 1, 3 and 6 the blind judge is nearest to chance with the last
ROUNDS, STEP = 40, 0.2


class Change(NamedTuple):
    """What an exchange does to the neighbours in a text."""

    undone: tuple[Pair, ...]
    made: tuple[Pair, ...]
    rivals: int  # exchanges that the caption has; one of them is proposed


def find_change(old: str, new: str, rivals: int) -> Change:
    """Which pairs of neighbours differ between a caption and the text after an exchange."""
    before, after = (Counter(itertools.pairwise(_words(text))) for text in (old, new))
    return Change(tuple((before - after).elements()), tuple((after - before).elements()), rivals)


class Acceptance:
    """The chances of exchanges, fitted to training captions and the exchanges that they have."""

    def __init__(self, train: Sequence[str], changes: Sequence[Change]):
        """changes: of the training captions, each of which counts as known."""
        self._pairs: Counter[Pair] = Counter()
        self._words: Counter[str] = Counter()
        for text in train:
            words = _words(text)
            self._pairs.update(itertools.pairwise(words))
            self._words.update(words)
        self._total = max(1, sum(self._words.values()))
        self._factors: dict[Pair, float] = {}
        self._fit(changes)

    def chance(self, change: Change, is_known: bool) -> float:
        """How often an exchange is made; is_known: its caption is one of the training captions."""
        gain = self._gain(change, is_known)
        gain += sum(self._factors.get(pair, 0.0) for pair in change.made)
        gain -= sum(self._factors.get(pair, 0.0) for pair in change.undone)
        return min(1.0, float(np.exp(gain))) / change.rivals

    def _gain(self, change: Change, is_known: bool) -> float:
        """Logarithm of how much likelier the new neighbours are."""
        return self._likeliness(change.made, 0) - self._likeliness(change.undone, int(is_known))

    def _likeliness(self, pairs: Sequence[Pair], own: int) -> float:
        found = 0.0
        for a, b in pairs:
            by_chance = self._words[a] * self._words[b] / self._total
            found += np.log((max(0, self._pairs[a, b] - own) + SHRINKAGE) / (by_chance + SHRINKAGE))
        return float(found)

    def _fit(self, changes: Sequence[Change]) -> None:
        seen = Counter(pair for change in changes for pair in (*change.undone, *change.made))
        number = {pair: i for i, pair in enumerate(sorted(pair for pair, n in seen.items() if n >= OWN_FACTOR))}
        if not number:
            return
        of_made, made = _incidence([change.made for change in changes], number)
        of_undone, undone = _incidence([change.undone for change in changes], number)
        gain = np.array([self._gain(change, True) for change in changes])
        rivals = np.array([change.rivals for change in changes])
        factors, size = np.zeros(len(number)), len(changes)
        for _ in range(ROUNDS):
            score = gain + np.bincount(of_made, factors[made], size) - np.bincount(of_undone, factors[undone], size)
            chance = np.minimum(1.0, np.exp(score)) / rivals
            enters = np.bincount(made, chance[of_made], len(number))
            leaves = np.bincount(undone, chance[of_undone], len(number))
            factors += STEP * np.log((leaves + FIT_SHRINKAGE) / (enters + FIT_SHRINKAGE))
        self._factors = dict(zip(number, factors.tolist()))


def _incidence(pairs: Sequence[Sequence[Pair]], number: dict[Pair, int]) -> tuple[NDArray[np.int64], ...]:
    """Which list each pair with a number is in, and its number."""
    found = [(i, number[pair]) for i, some in enumerate(pairs) for pair in some if pair in number]
    return tuple(np.array(found, dtype=np.int64).reshape(-1, 2).T)


def _words(text: str) -> list[str]:
    return ["<s>", *(word.text for word in split_words(text)), "</s>"]
