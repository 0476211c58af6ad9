"""Scores of a split of a database.

Apart from `evaluation.scoring`, so that Predict.py imports neither databases nor hard negatives (0.4 s of its start).
Shapes: N pictures, T texts, V vectors of a picture or text, D their width.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from Architectures import SiameseModel
from common import devices
from common.augment import prepare
from common.metrics import Floats
from DataBase_functions import Database
from evaluation.scoring import Pictures, TextBlock, encode_and_measure, encode_texts, score_pairs
from evaluation.texts import Texts
from training.checkpoints import LoadedModel
from training.features import FeatureCache

REFERENCES = 1000  # captions of the validation split whose vectors are kept, for retrieval by CSLS


def encode_rows(loaded: LoadedModel, database: Database, rows: Sequence[int], title: str) -> Pictures:
    """Pictures of a database, from the cached features of a frozen backbone if they exist."""
    config = loaded.config
    precision = devices.choose_precision(config.precision, loaded.model.device)
    cache = None
    if config.backbone.frozen and isinstance(loaded.model, SiameseModel):
        cache = FeatureCache.find(database, loaded.model, config.data.side, config.backbone, precision)
    if cache is not None:
        return encode_and_measure(loaded, map(cache.read, rows), len(rows), title)
    side = config.data.side
    return encode_and_measure(loaded, (prepare(database.picture(row), side) for row in rows), len(rows), title)


class Scores(NamedTuple):
    """Verdict scores of a model for the texts of a split, and the vectors for retrieval."""

    caption: Floats  # (T,)
    false: dict[str, Floats]  # by kind, one score for each false text
    pictures: Tensor  # (N, V, D)
    captions: list[TextBlock]  # on the validation split only of the first REFERENCES captions
    unlike: Floats  # (N,) see Pictures


def score_split(loaded: LoadedModel, database: Database, split: str, texts: Texts) -> Scores:
    """Score a split. Each picture is encoded once; captions are encoded twice, for their scores and for retrieval.

    ValueError if a score is NaN or infinite.
    """
    pictures = encode_rows(loaded, database, database.rows(split), f"{split} pictures")
    ranked = texts.captions if split == "test" else texts.captions[:REFERENCES]
    captions = list(encode_texts(loaded, ranked, f"{split} captions"))
    kinds = list(texts.false)
    false = [negative.text for kind in kinds for negative in texts.false[kind].texts]
    of = np.concatenate([texts.owner, *(texts.owner[texts.false[kind].of] for kind in kinds)])
    scores = score_pairs(loaded, pictures.vectors, [*texts.captions, *false], of, f"{split} texts")
    if not np.isfinite(scores).all():
        raise ValueError(
            "the scores of the model are NaN or infinite; train it again with --overwrite and a lower --optim.lr"
        )
    ends = np.cumsum([len(texts.captions), *(len(texts.false[kind].of) for kind in kinds)])
    caption, *rest = np.split(scores, ends[:-1])
    return Scores(caption, dict(zip(kinds, rest)), pictures.vectors, captions, pictures.unlike)
