"""Word evidence: does the lowest word score of a false text point at the word that makes it false?"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from common.metrics import TIE, Bootstrap, Floats, Integers, interval
from DataBase_functions import changed_words
from evaluation import scoring
from evaluation.splits import Scores
from evaluation.texts import Texts
from negatives.text import Negative
from Tokenizer_lib import split_words
from training.checkpoints import LoadedModel


def point_at_words(loaded: LoadedModel, texts: Texts, scores: Scores, boot: Bootstrap) -> dict[str, Any]:
    """Pointing accuracy on the swaps of a split, as a dict; see `pointing`."""
    false = texts.false["swap"]
    some = scoring.some_with_words(loaded, len(false.of))
    negatives = [false.texts[i] for i in some.tolist()]
    of = texts.owner[false.of[some]]
    _, lines = scoring.score_words(loaded, scores.pictures, [negative.text for negative in negatives], of)
    return pointing(negatives, lines, of, false.categories[some], boot)


def pointing(
    negatives: Sequence[Negative], scores: Sequence[Floats], of: Integers, categories: np.ndarray, boot: Bootstrap
) -> dict[str, Any]:
    """Pointing accuracy: how often has a changed word the lowest score? With that of a random word, and by category.

    negatives: K false texts; scores: for each the scores of the words that the model reads; of, categories: (K,) its
    photograph and its category. {} if the model reads no changed word of any text. Source: Zhang et al. 2016, who point
    at places in pictures instead of words.
    """
    changed = [
        changed_words(split_words(negative.text)[: len(line)], negative) for negative, line in zip(negatives, scores)
    ]
    read = np.array(
        [bool(each) for each in changed], dtype=bool
    )  # False: the change is in the part that the model cuts off
    hit = np.array([points_at(line, c) for c, line in zip(changed, scores)], dtype=bool)
    chance = np.array([len(c) / max(1, len(line)) for c, line in zip(changed, scores)])

    def found(which: np.ndarray) -> dict[str, Any]:
        accuracy = interval(boot.mean(hit[which], of[which]))
        return {"n": int(which.sum()), "accuracy": accuracy, "chance": float(chance[which].mean())}

    if not read.any():
        return {}
    by_category = {c: found(read & (categories == c)) for c in np.unique(categories[read]).tolist()}
    return {**found(read), "categories": by_category}


def points_at(scores: Floats, changed: Sequence[int]) -> bool:
    """Whether a changed word has the lowest score. A tie with another word does not count."""
    if not changed:
        return False
    others = np.delete(scores, changed)
    return bool(scores[changed].min() < others.min(initial=np.inf) - TIE)
