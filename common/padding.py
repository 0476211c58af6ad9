"""Texts of different lengths as one tensor of word indices."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def pad(texts: Sequence[Sequence[int]]) -> Tensor:
    """Lists of word indices -> (T, L), padded with 0."""
    padded = np.zeros((len(texts), max(map(len, texts))), dtype=np.int64)
    for line, words in zip(padded, texts):
        line[: len(words)] = words
    return torch.from_numpy(padded)
