"""Re-ranking against the whole matrices of both scores."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from common.metrics import RankCounter
from evaluation.rerank import WEIGHTS, Candidates, Verdicts, best_weight
from evaluation.scoring import TextBlock

N, T = 12, 30


class TableModel:
    """A head that looks its scores up: the vector of a picture, and of a text, is its number."""

    def __init__(self, table):
        self.table, self.asked = torch.from_numpy(table), 0

    def pair_scores(self, pictures, texts):
        self.asked += len(texts)
        return self.table[pictures[:, 0, 0].long(), texts[:, 0, 0].long()]


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    owner = np.sort(rng.integers(0, N, T))
    owner[:N] = np.arange(N)
    owner.sort()
    groups = np.array([f"g{n}" for n in range(N)])
    groups[5] = "g4"  # one photograph in two rows
    ranking, head = (rng.normal(size=(N, T)).astype(np.float32) for _ in "ab")
    return owner, groups, ranking, head


def rank(case, k, step=5):
    """The counter of the ranking scores, the candidates and the verdict scores of their pairs."""
    owner, groups, ranking, head = case
    counter = RankCounter(ranking[owner, np.arange(T)], owner, groups)
    candidates = Candidates(N, T, k)
    for start in range(0, N, step):
        counter.add(slice(start, start + step), ranking[start : start + step])
        candidates.add(slice(start, start + step), ranking[start : start + step])
    loaded = SimpleNamespace(model=TableModel(head))
    pictures = torch.arange(N, dtype=torch.float32).view(N, 1, 1)
    order = np.random.default_rng(1).permutation(T)
    blocks = [TextBlock(some, torch.from_numpy(some).float().view(-1, 1, 1)) for some in np.split(order, [7, 20])]
    verdicts = Verdicts(loaded, pictures, blocks, [candidates, candidates])
    assert loaded.model.asked <= min(N * T, 2 * k * max(N, T)), "each pair is scored once"
    return counter, candidates, verdicts


def reranked(case, k, step, weight):
    counter, candidates, verdicts = rank(case, k, step)
    return counter, candidates.rerank(verdicts, weight, counter)


def whole(case, k, weight):
    """Ranks by a matrix in which the candidates of a picture are above all others, ordered by both scores."""
    owner, groups, ranking, head = case
    right = groups[:, None] == groups[owner]  # (N, T)

    def ranks(ranking, head, right):
        found = []
        for line, heads, own in zip(ranking, head, right):
            top = np.argsort(-line)[:k]
            scores = line - 100
            scores[top] = line[top] + weight * heads[top]
            found.append((scores[~own] >= scores[own].max()).sum())
        return np.array(found)

    return ranks(ranking, head, right), ranks(ranking.T, head.T, right.T)


@pytest.mark.parametrize("k", [1, 3, 8, 100])
@pytest.mark.parametrize("step", [5, 12])
@pytest.mark.parametrize("weight", [0.3, 5.0])
def test_ranks_are_those_of_the_whole_matrix(case, k, step, weight):
    counter, found = reranked(case, k, step, weight)
    owner, groups, *_ = case
    of_pictures, of_texts = whole(case, k, weight)
    # A picture that shares its photograph with another one is right with the other's captions too, which its own rank
    # by RankCounter does not count: such pictures are compared only if a right answer is among the candidates.
    single = np.array([np.sum(groups == group) == 1 for group in groups])
    assert np.array_equal(found.of_pictures[single], of_pictures[single])
    assert np.array_equal(found.of_texts[single[owner]], of_texts[single[owner]])
    assert not np.array_equal(counter.of_pictures, found.of_pictures) or k == 1


def test_all_candidates_ordered_by_the_same_score_change_nothing(case):
    owner, groups, ranking, head = case
    single = np.array([np.sum(groups == group) == 1 for group in groups])
    for other, weight in ((ranking, 2.0), (head, 0.0)):
        counter, found = reranked((owner, groups, ranking, other), 5, 4, weight)
        assert np.array_equal(found.of_pictures[single], counter.of_pictures[single])
        assert np.array_equal(found.of_texts[single[owner]], counter.of_texts[single[owner]])


def test_the_weight_is_large_only_if_the_head_knows_more(case):
    owner, groups, ranking, head = case
    right = (groups[:, None] == groups[owner]).astype(np.float32)
    for knows, expected in (((0.1 * ranking, right), WEIGHTS[1:]), ((right + 0.1 * ranking, 9 * head), WEIGHTS[:1])):
        counter, candidates, verdicts = rank((owner, groups, *knows), 100)
        assert best_weight(candidates, verdicts, counter) in expected
    _, best = reranked((owner, groups, 0.1 * ranking, right), 100, 12, WEIGHTS[-1])
    assert not best.of_texts.any(), "a head that is always right puts the right picture first"
