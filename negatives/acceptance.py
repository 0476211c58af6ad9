"""How often each exchange is drawn, so that a blind judge cannot detect the negatives.

An exchange keeps the words of a caption but changes which words are neighbours (its bigrams), so only unusual bigrams
could give it away. It is drawn with the acceptance probability of Metropolis et al. 1953: always if the new bigrams are
at least as likely as the old ones, else with the ratio of the two. Then as many exchanges lead to a likelier text as to
a less likely one.

The likelihood of a bigram is counted in the training captions; for each caption, in all others. Counts have errors
("and white" is frequent mostly because of "black and white"), so each bigram has a factor that corrects it. The factors
are fitted until as many exchanges add a bigram as remove it (`negatives.balance` does the same for swaps).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from Tokenizer_lib import split_words

Bigram = tuple[str, str]
SHRINKAGE = 0.3  # occurrences; added to the count of a bigram and to its expected count
MIN_CHANGES = 6  # a bigram that fewer exchanges add or remove has no factor
FIT_SHRINKAGE = 6.0  # exchanges; of 1, 3 and 6, the last brings the blind judge nearest to chance
ROUNDS, STEP = 40, 0.2


class Change(NamedTuple):
    """What an exchange does to the bigrams of a caption."""

    removed: tuple[Bigram, ...]
    added: tuple[Bigram, ...]
    choices: int  # number of exchanges of the caption; one of them is proposed at random


def find_change(old: str, new: str, choices: int) -> Change:
    """The bigrams that differ between a caption and the text after an exchange."""
    before, after = (Counter(itertools.pairwise(_words(text))) for text in (old, new))
    return Change(tuple((before - after).elements()), tuple((after - before).elements()), choices)


class Acceptance:
    """The chances of exchanges, fitted to the training captions and their exchanges."""

    def __init__(self, train: Sequence[str], changes: Sequence[Change]):
        """train: the training captions. changes: all of their exchanges."""
        self._bigrams: Counter[Bigram] = Counter()
        self._words: Counter[str] = Counter()
        for text in train:
            words = _words(text)
            self._bigrams.update(itertools.pairwise(words))
            self._words.update(words)
        self._total = max(1, sum(self._words.values()))
        self._factors: dict[Bigram, float] = {}
        self._fit(changes)

    def chance(self, change: Change, in_train: bool) -> float:
        """The chance that an exchange is drawn. in_train: its caption is one of the training captions."""
        gain = self._gain(change, in_train)
        gain += sum(self._factors.get(bigram, 0.0) for bigram in change.added)
        gain -= sum(self._factors.get(bigram, 0.0) for bigram in change.removed)
        return min(1.0, float(np.exp(gain))) / change.choices

    def _gain(self, change: Change, in_train: bool) -> float:
        """Log of the likelihood ratio of the new bigrams to the old ones, without the factors."""
        return self._log_likelihood(change.added, 0) - self._log_likelihood(change.removed, int(in_train))

    def _log_likelihood(self, bigrams: Sequence[Bigram], own: int) -> float:
        """Sum of log(count / expected count). own: occurrences of each bigram in the caption itself, not counted."""
        total = 0.0
        for a, b in bigrams:
            expected = self._words[a] * self._words[b] / self._total
            total += np.log((max(0, self._bigrams[a, b] - own) + SHRINKAGE) / (expected + SHRINKAGE))
        return float(total)

    def _fit(self, changes: Sequence[Change]) -> None:
        """Set the factors so that the expected number of exchanges that add a bigram equals those that remove it."""
        seen = Counter(bigram for change in changes for bigram in (*change.removed, *change.added))
        number = {
            bigram: i for i, bigram in enumerate(sorted(bigram for bigram, n in seen.items() if n >= MIN_CHANGES))
        }
        if not number:
            return
        adding, added = _incidence([change.added for change in changes], number)
        removing, removed = _incidence([change.removed for change in changes], number)
        gain = np.array([self._gain(change, True) for change in changes])
        choices = np.array([change.choices for change in changes])
        factors, size = np.zeros(len(number)), len(changes)
        for _ in range(ROUNDS):
            score = gain + np.bincount(adding, factors[added], size) - np.bincount(removing, factors[removed], size)
            chance = np.minimum(1.0, np.exp(score)) / choices
            inflow = np.bincount(added, chance[adding], len(number))
            outflow = np.bincount(removed, chance[removing], len(number))
            factors += STEP * np.log((outflow + FIT_SHRINKAGE) / (inflow + FIT_SHRINKAGE))
        self._factors = dict(zip(number, factors.tolist()))


def _incidence(lists: Sequence[Sequence[Bigram]], number: dict[Bigram, int]) -> tuple[NDArray[np.int64], ...]:
    """For each numbered bigram in some lists: the index of its list, and its number."""
    found = [(i, number[bigram]) for i, bigrams in enumerate(lists) for bigram in bigrams if bigram in number]
    return tuple(np.array(found, dtype=np.int64).reshape(-1, 2).T)


def _words(text: str) -> list[str]:
    return ["<s>", *(word.text for word in split_words(text)), "</s>"]
