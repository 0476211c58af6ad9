"""Captions with their negatives, as an evaluation uses them."""

import numpy as np

from evaluation.texts import ALL_KINDS, FalseTexts, Texts
from negatives.text import Negative
from sources.scenes import make_scene, write_captions

NOTHING = FalseTexts([], np.zeros(0, dtype=np.int64))


def scenes_texts(seeds):
    return [text for seed in seeds for text in write_captions(make_scene(seed), seed)]


def texts_of(captions, false, owner=None, sources=None, kinds=None):
    """`Texts` of captions. false: kind -> [(negative, category, number of its caption)]."""
    made = {
        kind: FalseTexts(
            [Negative(text, kind, category, ((0, 1),)) for text, category, _ in some], np.array([of for *_, of in some])
        )
        for kind, some in false.items()
    }
    count = len(captions)
    owner = np.arange(count) if owner is None else np.array(owner)
    sources, kinds = (np.array(x or ["a"] * count) for x in (sources, kinds))
    return Texts(captions, owner, dict.fromkeys(ALL_KINDS, NOTHING) | made, sources, kinds)
