"""Retrieval on the test split: recall@k and median rank, by ranking scores and by scores that CSLS corrects."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from common.metrics import NEAREST, Bootstrap, Floats, RankCounter, highest, hubness
from common.scores import Scorer
from evaluation import scoring
from evaluation.rerank import Candidates
from evaluation.scoring import REFERENCES, Scores, TextBlock
from evaluation.texts import Texts
from training.checkpoints import LoadedModel

FOLD = 1000  # pictures of a gallery, as in published tables of COCO
RANKINGS = {  # what is printed behind "retrieval"
    "all": "",
    "all_csls": ", CSLS",
    "reranked": ", best candidates ordered by the head",
    "folds": f", {FOLD:,} at a time",
    "folds_csls": f", {FOLD:,} at a time, CSLS",
}


def retrieve(
    loaded: LoadedModel,
    texts: Texts,
    test: Scores,
    validation: Scores | None,
    groups: np.ndarray,
    boot: Bootstrap,
    rerank: int = 0,
) -> dict[str, dict[str, Floats]]:
    """Samples of each figure of each of RANKINGS. Folds are left out if there are too few pictures for two galleries.

    rerank: number of candidates that the head orders, see `evaluation.rerank`; 0, or a model without a head: none.

    groups: (N,) identity of each test photograph. The references of CSLS are up to 1,000 photographs and captions of
    the validation split, so CSLS uses nothing of the test split; without them there is no CSLS. The whole matrix of
    scores is never in memory.
    """

    def blocks(pictures: Tensor, captions: Sequence[TextBlock], title: str) -> Iterator[tuple[slice, Floats]]:
        return scoring.score_blocks(loaded, pictures, captions, title, Scorer.all_ranking)

    if validation is None:
        of_texts: Floats = np.zeros(len(texts.captions))
        of_pictures: Floats = np.zeros(len(groups))
    else:
        by_text: Floats = np.zeros((len(texts.captions), 0), dtype=np.float32)
        for _, scores in blocks(validation.pictures[:REFERENCES], test.captions, "hubs among texts"):
            by_text = highest(np.concatenate([by_text, scores.T], axis=1), NEAREST)
        by_picture = [
            highest(scores, NEAREST) for _, scores in blocks(test.pictures, validation.captions, "hubs among pictures")
        ]
        # In this order of its numbers, the means have the rounding of those of the whole matrix.
        of_texts, of_pictures = hubness(np.asfortranarray(by_text)), hubness(np.concatenate(by_picture))

    def corrected(scores: Floats, pictures: Any, its_texts: Any = slice(None)) -> Floats:
        return scores - (of_pictures[pictures] + of_texts[its_texts]) / 2

    own = scoring.score_pairs(loaded, test.pictures, texts.captions, texts.owner, "own texts", Scorer.pair_ranking)
    own_corrected = corrected(own, texts.owner)
    counters = {
        "all": RankCounter(own, texts.owner, groups),
        "all_csls": RankCounter(own_corrected, texts.owner, groups),
    }
    if len(groups) >= 2 * FOLD:
        fold = np.random.default_rng(0).permutation(len(groups)) // FOLD
        fold[fold == len(groups) // FOLD] = -1  # left out: too few pictures for another gallery
        counters["folds"] = RankCounter(own, texts.owner, groups, fold)
        counters["folds_csls"] = RankCounter(own_corrected, texts.owner, groups, fold)
    if validation is None:
        counters = {name: counter for name, counter in counters.items() if not name.endswith("csls")}
    candidates = Candidates(len(groups), len(own), rerank) if rerank and loaded.model.has_head else None
    for place, scores in blocks(test.pictures, test.captions, "retrieval"):
        if candidates is not None:
            candidates.add(place, scores)
        without_hubs = corrected(scores, (place, None))
        for name, counter in counters.items():
            counter.add(place, without_hubs if name.endswith("csls") else scores)
    if candidates is not None:
        counters["reranked"] = candidates.rerank(loaded, test.pictures, test.captions, counters["all"])
    return {name: counter.recalls(boot) for name, counter in counters.items()}
