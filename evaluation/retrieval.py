"""Retrieval on the test split: recall@k and median rank, by ranking scores, by scores that CSLS corrects, re-ranked."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from common.metrics import NEAREST, Bootstrap, Floats, Integers, RankCounter, highest, hubness
from common.scores import Scorer
from evaluation import scoring
from evaluation.rerank import Candidates, Verdicts, best_weight
from evaluation.scoring import TextBlock
from evaluation.splits import REFERENCES, Scores
from training.checkpoints import LoadedModel

FOLD = 1000  # pictures of a gallery, as in published tables of COCO
RANKINGS = {  # what is printed behind "retrieval"
    "all": "",
    "all_csls": ", CSLS",
    "reranked": ", re-ranked",
    "reranked_csls": ", CSLS, re-ranked",
    "folds": f", {FOLD:,} at a time",
    "folds_csls": f", {FOLD:,} at a time, CSLS",
}


class Gallery(NamedTuple):
    """The pictures and captions of a split."""

    scores: Scores
    captions: Sequence[str]  # (T,)
    owner: Integers  # (T,) number of each caption's picture
    groups: NDArray[np.str_]  # (N,) identity of the photograph of each picture


class Retrieval(NamedTuple):
    """The figures of a retrieval."""

    samples: dict[str, dict[str, Floats]]  # of each figure, by ranking
    weight: float | None  # of the verdict score in a re-ranking; None if nothing was re-ranked


def retrieve(
    loaded: LoadedModel, test: Gallery, validation: Gallery | None, boot: Bootstrap, rerank: int = 0
) -> Retrieval:
    """Samples of each figure of each of RANKINGS. Folds are left out if there are too few pictures for two galleries.

    rerank: number of candidates that are re-ranked, see `evaluation.rerank`; 0, or a model without a head: none.

    The references of CSLS are up to 1,000 photographs and captions of the validation split, so CSLS uses nothing of the
    test split. The weight of a re-ranking is chosen on them too. Without them there is neither. The whole matrix of
    scores is never in memory.
    """
    groups, owner = test.groups, test.owner
    of_texts: Floats = np.zeros(len(owner))
    of_pictures: Floats = np.zeros(len(groups))
    if validation is not None:
        references = validation.scores.pictures[:REFERENCES]
        by_text: Floats = np.zeros((len(owner), 0), dtype=np.float32)
        for _, scores in _blocks(loaded, references, test.scores.captions, "hubs among texts"):
            by_text = highest(np.concatenate([by_text, scores.T], axis=1), NEAREST)
        by_picture = [
            highest(scores, NEAREST)
            for _, scores in _blocks(loaded, test.scores.pictures, validation.scores.captions, "hubs among pictures")
        ]
        # In this order of its numbers, the means have the rounding of those of the whole matrix.
        of_texts, of_pictures = hubness(np.asfortranarray(by_text)), hubness(np.concatenate(by_picture))

    own = _own_scores(loaded, test)
    own_corrected = own - (of_pictures[owner] + of_texts) / 2
    counters = {"all": RankCounter(own, owner, groups), "all_csls": RankCounter(own_corrected, owner, groups)}
    if len(groups) >= 2 * FOLD:
        fold = np.random.default_rng(0).permutation(len(groups)) // FOLD
        fold[fold == len(groups) // FOLD] = -1  # left out: too few pictures for another gallery
        counters["folds"] = RankCounter(own, owner, groups, fold)
        counters["folds_csls"] = RankCounter(own_corrected, owner, groups, fold)
    if validation is None:
        counters = {name: counter for name, counter in counters.items() if not name.endswith("csls")}
    candidates: dict[str, Candidates] = {}
    if rerank and loaded.model.has_head and validation is not None:
        candidates = {name: Candidates(len(groups), len(owner), rerank) for name in ("all", "all_csls")}
    for place, scores in _blocks(loaded, test.scores.pictures, test.scores.captions, "retrieval"):
        without_hubs = scores - (of_pictures[place, None] + of_texts) / 2
        adders: Mapping[str, RankCounter | Candidates]
        for adders in (counters, candidates):
            for name, adder in adders.items():
                adder.add(place, without_hubs if name.endswith("csls") else scores)
    weight = None
    if candidates and validation is not None:
        weight = choose_weight(loaded, validation, rerank)
        verdicts = Verdicts(loaded, test.scores.pictures, test.scores.captions, list(candidates.values()))
        for name, some in candidates.items():
            counters[name.replace("all", "reranked")] = some.rerank(verdicts, weight, counters[name])
    order = [name for name in RANKINGS if name in counters]
    return Retrieval({name: counters[name].recalls(boot) for name in order}, weight)


def choose_weight(loaded: LoadedModel, validation: Gallery, rerank: int) -> float:
    """The weight for a re-ranking, chosen on the validation captions whose vectors are kept, and their pictures."""
    some = sum(len(block.numbers) for block in validation.scores.captions)
    owner = validation.owner[:some]
    pictures = validation.scores.pictures[: owner.max() + 1]
    kept = validation._replace(
        scores=validation.scores._replace(pictures=pictures),
        captions=validation.captions[:some],
        owner=owner,
        groups=validation.groups[: len(pictures)],
    )
    counter = RankCounter(_own_scores(loaded, kept), owner, kept.groups)
    candidates = Candidates(len(pictures), some, rerank)
    for place, scores in _blocks(loaded, pictures, validation.scores.captions, "validation"):
        counter.add(place, scores)
        candidates.add(place, scores)
    verdicts = Verdicts(loaded, pictures, validation.scores.captions, [candidates], "weight of the re-ranking")
    return best_weight(candidates, verdicts, counter)


def _blocks(
    loaded: LoadedModel, pictures: Tensor, captions: Sequence[TextBlock], title: str
) -> Iterator[tuple[slice, Floats]]:
    return scoring.score_blocks(loaded, pictures, captions, title, Scorer.all_ranking)


def _own_scores(loaded: LoadedModel, gallery: Gallery) -> Floats:
    """The ranking score (T,) of each caption with its own picture."""
    pictures, texts = gallery.scores.pictures, gallery.captions
    return scoring.score_pairs(loaded, pictures, texts, gallery.owner, "own texts", Scorer.pair_ranking)
