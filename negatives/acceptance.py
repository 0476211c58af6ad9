"""How often each exchange or geometric negative is drawn, so that a blind judge cannot detect the negatives.

An exchange keeps the words of a caption but changes which words are neighbours (its bigrams), so only unusual bigrams
could give it away. It is drawn with the acceptance probability of Metropolis et al. 1953: always if the new bigrams are
at least as likely as the old ones, else with the ratio of the two. Then as many exchanges lead to a likelier text as to
a less likely one.

The likelihood of a bigram is counted in the training captions; for each caption, in all others. Counts have errors
("and white" is frequent mostly because of "black and white"), so each bigram has a factor that corrects it. The factors
are fitted until as many exchanges add a bigram as remove it (`negatives.balance` does the same for swaps).

A geometric negative can also change the words of a caption. Then the words are counted and balanced like bigrams.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from Tokenizer_lib import split_words

Gram = tuple[str, ...]  # a bigram, or a word
SHRINKAGE = 0.3  # occurrences; added to the count of a bigram and to its expected count
MIN_CHANGES = 6  # a bigram that fewer exchanges add or remove has no factor
FIT_SHRINKAGE = 6.0  # exchanges; of 1, 3 and 6, the last brings the blind judge nearest to chance
ROUNDS, STEP = 40, 0.2


class Change(NamedTuple):
    """What an exchange does to the bigrams of a caption, and to its words."""

    removed: tuple[Gram, ...]
    added: tuple[Gram, ...]
    choices: int  # number of exchanges of the caption; one of them is proposed at random


def find_change(old: str, new: str, choices: int, words: bool = False) -> Change:
    """The bigrams that differ between a caption and the text after an exchange. words: and the words that differ."""
    lists = _words(old), _words(new)
    before, after = (Counter[Gram](itertools.pairwise(some)) for some in lists)
    if words:
        before.update((word,) for word in lists[0])
        after.update((word,) for word in lists[1])
    return Change(tuple((before - after).elements()), tuple((after - before).elements()), choices)


class Frequencies:
    """How often words and bigrams occur in the training captions."""

    def __init__(self, train: Iterable[str] = ()):
        self.bigrams: Counter[Gram] = Counter()
        self.words: Counter[str] = Counter()
        for text in train:
            self.add(text)

    def add(self, text: str) -> None:
        words = _words(text)
        self.bigrams.update(itertools.pairwise(words))
        self.words.update(words)

    @cached_property
    def total(self) -> int:
        """Occurrences of all words. Asked for when all texts are counted."""
        return max(1, sum(self.words.values()))


class Acceptance:
    """The chances of exchanges, fitted to the training captions and their exchanges."""

    def __init__(self, train: Frequencies, changes: Sequence[Change], captions: Sequence[int] | None = None):
        """train: of the training captions. changes: all of their exchanges.

        captions: the caption of each change, counted from 0, if the chances are those of `chances`.
        """
        self._train = train
        self._factors: dict[Gram, float] = {}
        self._fit(changes, None if captions is None else np.array(captions, dtype=np.int64))

    def chance(self, change: Change, in_train: bool) -> float:
        """The chance that an exchange is drawn. in_train: its caption is one of the training captions."""
        return self._accepted(change, in_train) / change.choices

    def chances(self, changes: Sequence[Change], in_train: bool) -> list[float]:
        """The chances of all changes of one caption. Only if they add up to more than 1, all are reduced.

        So a caption with one likely and five unlikely changes does not propose the unlikely ones five times out of six.
        """
        accepted = [self._accepted(change, in_train) for change in changes]
        total = max(1.0, sum(accepted))
        return [one / total / change.choices for one, change in zip(accepted, changes)]

    def _accepted(self, change: Change, in_train: bool) -> float:
        gain = self._gain(change, in_train)
        gain += sum(self._factors.get(gram, 0.0) for gram in change.added)
        gain -= sum(self._factors.get(gram, 0.0) for gram in change.removed)
        return min(1.0, float(np.exp(gain)))

    def _gain(self, change: Change, in_train: bool) -> float:
        """Log of the likelihood ratio of the new words and bigrams to the old ones, without the factors."""
        return self._log_likelihood(change.added, 0) - self._log_likelihood(change.removed, int(in_train))

    def _log_likelihood(self, grams: Sequence[Gram], own: int) -> float:
        """Sum of log(count / expected count) of bigrams, and of log(count) of words.

        own: occurrences of each in the caption itself, which are not counted.
        """
        words, total = self._train.words, 0.0
        for gram in grams:
            if len(gram) == 1:
                total += np.log(max(0, words[gram[0]] - own) + SHRINKAGE)
                continue
            expected = words[gram[0]] * words[gram[1]] / self._train.total
            total += np.log((max(0, self._train.bigrams[gram] - own) + SHRINKAGE) / (expected + SHRINKAGE))
        return float(total)

    def _fit(self, changes: Sequence[Change], captions: NDArray[np.int64] | None) -> None:
        """Set the factors so that the expected number of exchanges that add a gram equals those that remove it."""
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
            if captions is not None:
                chance /= np.maximum(1.0, np.bincount(captions, chance * choices))[captions]
            inflow = np.bincount(added, chance[adding], len(number))
            outflow = np.bincount(removed, chance[removing], len(number))
            factors += STEP * np.log((outflow + FIT_SHRINKAGE) / (inflow + FIT_SHRINKAGE))
        self._factors = dict(zip(number, factors.tolist()))


def _incidence(lists: Sequence[Sequence[Gram]], number: dict[Gram, int]) -> tuple[NDArray[np.int64], ...]:
    """For each numbered gram in some lists: the index of its list, and its number."""
    found = [(i, number[bigram]) for i, bigrams in enumerate(lists) for bigram in bigrams if bigram in number]
    return tuple(np.array(found, dtype=np.int64).reshape(-1, 2).T)


@lru_cache(maxsize=2)  # a caption has several exchanges
def _words(text: str) -> tuple[str, ...]:
    return ("<s>", *(word.text for word in split_words(text)), "</s>")
