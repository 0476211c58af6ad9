"""Re-ranking: the head orders the best K texts of each picture, and the best K pictures of each text.

The ranking score encodes each side once and is fast for all pairs; the head is asked only for the K best. Source: Li et
al. 2021 (ALBEF). Shapes: N pictures, T texts, K candidates.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from common.jobs import progress
from common.metrics import TIE, Floats, Integers, RankCounter
from evaluation.scoring import PAIRS, TextBlock
from training.checkpoints import LoadedModel


class Candidates:
    """The K texts with the highest ranking scores of each picture, and the K pictures of each text.

    Scores are added for a few pictures at a time, so the whole matrix is never in memory.
    """

    def __init__(self, pictures: int, texts: int, k: int):
        self.texts_of: NDArray[Any] = np.zeros((pictures, min(k, texts)), dtype=np.int64)
        self.pictures_of: NDArray[Any] = np.zeros((texts, 0), dtype=np.int64)
        self._scores, self._k = np.zeros((texts, 0), dtype=np.float32), k

    def add(self, place: slice, scores: Floats) -> None:
        """Add the ranking scores (n, T) of the pictures at `place` with all texts."""
        self.texts_of[place] = best(scores, self.texts_of.shape[1])
        numbers = np.broadcast_to(np.arange(place.start, place.start + len(scores)), scores.T.shape)
        pictures = np.concatenate([self.pictures_of, numbers], axis=1)
        everything = np.concatenate([self._scores, scores.T], axis=1)
        kept = best(everything, min(self._k, everything.shape[1]))
        self.pictures_of, self._scores = (np.take_along_axis(part, kept, 1) for part in (pictures, everything))

    def rerank(
        self, loaded: LoadedModel, pictures: torch.Tensor, captions: Sequence[TextBlock], counter: RankCounter
    ) -> RankCounter:
        """The ranks of `counter` after the head has ordered the candidates.

        pictures: (N, V, D); captions: the vectors of all T texts. An answer that is not among its candidates keeps its
        rank.
        """
        n, k = self.texts_of.shape
        count, width = self.pictures_of.shape
        mine = np.concatenate([np.repeat(np.arange(n), k), self.pictures_of.ravel()])
        theirs = np.concatenate([self.texts_of.ravel(), np.repeat(np.arange(count), width)])
        scores = head_scores(loaded, pictures, captions, mine, theirs)
        of_pictures, of_texts = scores[: n * k].reshape(n, k), scores[n * k :].reshape(count, width)
        result, groups = copy.copy(counter), counter.groups
        right: NDArray[np.bool_] = groups[:, None] == groups[counter.owner[self.texts_of]]  # (N, K)
        result.of_pictures = new_ranks(counter.of_pictures, of_pictures, right)
        right = groups[counter.owner, None] == groups[self.pictures_of]  # (T, K)
        result.of_texts = new_ranks(counter.of_texts, of_texts, right)
        return result


def best(scores: Floats, k: int) -> Integers:
    """Columns of the k highest scores of each line, in any order: (A, B) -> (A, k)."""
    return np.argpartition(-scores, k - 1, axis=1)[:, :k]


def new_ranks(ranks: Integers, scores: Floats, right: NDArray[np.bool_]) -> Integers:
    """The ranks (A,) of right answers after their candidates were ordered by other scores (A, K).

    right: (A, K) which candidates are right answers. A tie counts against the right answer.
    """
    own = np.where(right, scores, -np.inf).max(1, keepdims=True)
    wrong_before = ((scores >= own - TIE) & ~right).sum(1)
    return np.where(right.any(1), wrong_before, ranks)


@torch.no_grad()
def head_scores(
    loaded: LoadedModel, pictures: torch.Tensor, captions: Sequence[TextBlock], mine: Integers, theirs: Integers
) -> Floats:
    """Verdict scores (B,) of picture `mine[i]` with text `theirs[i]`."""
    scores = np.zeros(len(mine), dtype=np.float32)
    with progress(None, "re-ranking", " pairs", len(mine)) as bar:
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
