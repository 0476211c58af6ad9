"""Re-ranking: the head helps to order the best K texts of each picture, and the best K pictures of each text.

The ranking score encodes each side once and is fast for all pairs; the head is asked only for the K best. Source: Li et
al. 2021 (ALBEF). Candidates are ordered by ranking score + weight * verdict score: both know something, and the
validation split says how much. Shapes: N pictures, T texts, K candidates, P pairs.
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from common.jobs import progress
from common.metrics import TIE, Floats, Integers, RankCounter
from evaluation.scoring import PAIRS, TextBlock
from training.checkpoints import LoadedModel

# Of the verdict score. With Models/photos the best one is 0.15: on the 491 photographs of validation recall@1 is 48.5 /
# 38.0 with 0, 51.3 / 39.6 with 0.15, and 43.6 / 34.5 by the verdict score alone.
WEIGHTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)


class Candidates:
    """The K texts with the highest scores of each picture, and the K pictures of each text.

    Scores are added for a few pictures at a time, so the whole matrix is never in memory.
    """

    def __init__(self, pictures: int, texts: int, k: int):
        self.k = k
        self.texts_of: Integers = np.zeros((pictures, min(k, texts)), dtype=np.int64)
        self.scores_of_texts: Floats = np.zeros(self.texts_of.shape, dtype=np.float32)
        self.pictures_of: Integers = np.zeros((texts, 0), dtype=np.int64)
        self.scores_of_pictures: Floats = np.zeros((texts, 0), dtype=np.float32)

    def add(self, place: slice, scores: Floats) -> None:
        """Add the scores (n, T) of the pictures at `place` with all texts."""
        kept = best(scores, self.texts_of.shape[1])
        self.texts_of[place], self.scores_of_texts[place] = kept, np.take_along_axis(scores, kept, 1)
        numbers = np.broadcast_to(np.arange(place.start, place.start + len(scores)), scores.T.shape)
        pictures = np.concatenate([self.pictures_of, numbers], axis=1)
        everything = np.concatenate([self.scores_of_pictures, scores.T], axis=1)
        kept = best(everything, min(self.k, everything.shape[1]))
        self.pictures_of = np.take_along_axis(pictures, kept, 1)
        self.scores_of_pictures = np.take_along_axis(everything, kept, 1)

    def rerank(self, verdicts: "Verdicts", weight: float, counter: RankCounter) -> RankCounter:
        """The ranks of `counter` after the candidates were ordered by score + weight * verdict score.

        counter: of the same scores. An answer that is not among its candidates keeps its rank.
        """
        n, t = len(self.texts_of), len(self.pictures_of)
        of_pictures = self.scores_of_texts + weight * verdicts.of(np.arange(n)[:, None], self.texts_of)
        of_texts = self.scores_of_pictures + weight * verdicts.of(self.pictures_of, np.arange(t)[:, None])
        result, groups = copy.copy(counter), counter.groups
        right: NDArray[np.bool_] = groups[:, None] == groups[counter.owner[self.texts_of]]  # (N, K)
        result.of_pictures = new_ranks(counter.of_pictures, of_pictures, right)
        right = groups[counter.owner, None] == groups[self.pictures_of]  # (T, K)
        result.of_texts = new_ranks(counter.of_texts, of_texts, right)
        return result


class Verdicts:
    """The verdict scores of all pairs of some candidates; a pair that occurs several times is scored once."""

    def __init__(
        self,
        loaded: LoadedModel,
        pictures: torch.Tensor,
        captions: Sequence[TextBlock],
        candidates: Sequence[Candidates],
        title: str = "re-ranking",
    ):
        """pictures: (N, V, D); captions: the vectors of all T texts."""
        self._texts = len(candidates[0].pictures_of)
        pairs = [self._key(np.arange(len(one.texts_of))[:, None], one.texts_of).ravel() for one in candidates]
        pairs += [self._key(one.pictures_of, np.arange(self._texts)[:, None]).ravel() for one in candidates]
        self._pairs = np.unique(np.concatenate(pairs))
        self._scores = score_some(loaded, pictures, captions, *np.divmod(self._pairs, self._texts), title)

    def _key(self, pictures: Integers, texts: Integers) -> Integers:
        return pictures * self._texts + texts

    def of(self, pictures: Integers, texts: Integers) -> Floats:
        """The scores of candidates, given by the numbers of their pictures and texts."""
        return self._scores[np.searchsorted(self._pairs, self._key(pictures, texts))]


def best(scores: Floats, k: int) -> Integers:
    """Columns of the k highest scores of each line, in any order: (A, B) -> (A, k)."""
    return np.argpartition(-scores, k - 1, axis=1)[:, :k]


def best_weight(candidates: Candidates, verdicts: Verdicts, counter: RankCounter) -> float:
    """The weight of WEIGHTS with the highest mean reciprocal rank, summed over both directions."""

    def quality(weight: float) -> float:
        ranked = candidates.rerank(verdicts, weight, counter)
        return float((1 / (1 + ranked.of_pictures)).mean() + (1 / (1 + ranked.of_texts)).mean())

    return max(WEIGHTS, key=quality)


def new_ranks(ranks: Integers, scores: Floats, right: NDArray[np.bool_]) -> Integers:
    """The ranks (A,) of right answers after their candidates were ordered by other scores (A, K).

    right: (A, K) which candidates are right answers. A tie counts against the right answer.
    """
    own = np.where(right, scores, -np.inf).max(1, keepdims=True)
    wrong_before = ((scores >= own - TIE) & ~right).sum(1)
    return np.where(right.any(1), wrong_before, ranks)


@torch.no_grad()
def score_some(
    loaded: LoadedModel,
    pictures: torch.Tensor,
    captions: Sequence[TextBlock],
    mine: Integers,
    theirs: Integers,
    title: str,
) -> Floats:
    """Verdict scores (P,) of picture `mine[i]` with text `theirs[i]`."""
    scores = np.zeros(len(mine), dtype=np.float32)
    with progress(None, title, " pairs", len(mine)) as bar:
        for block in captions:
            row = np.full(theirs.max(initial=0) + 1, -1)
            inside = block.numbers < len(row)
            row[block.numbers[inside]] = np.flatnonzero(inside)
            pairs = np.flatnonzero(row[theirs] >= 0)
            for some in np.split(pairs, range(PAIRS, len(pairs), PAIRS)):
                pictures_of = torch.from_numpy(mine[some]).to(pictures.device)
                texts = block.vectors[torch.from_numpy(row[theirs[some]]).to(pictures.device)]
                scores[some] = loaded.model.pair_scores(pictures[pictures_of], texts).cpu().numpy()
                bar.update(len(some))
    return scores
