"""Scores of many pictures and texts. Each is encoded once; memory is linear in their number.

Shapes: N pictures, T texts, L words of the longest text of a block, V vectors of a picture or text, D their width.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from common import devices
from common.augment import prepare
from common.jobs import progress
from common.metrics import Floats, Integers
from common.padding import pad
from common.pictures import open_picture
from common.scores import Scorer
from Config import DatabaseConfig
from training.checkpoints import LoadedModel

PICTURES = 32  # encoded at once
LEAVE_ONE_OUT = 500  # texts whose words a model without word vectors scores: it needs one encoding per word
TEXTS = 256  # encoded at once, sorted by length: 5,000 captions take 1.6 s, in stored order 2.6 s
PAIRS = 1024  # scored at once
COSINES = 2**25  # of patches with words that `score_blocks` computes at once, 128 MB

# (model, vectors of pictures, vectors of texts) -> scores
Use = Callable[[Scorer, Tensor, Tensor], Tensor]


class TextBlock(NamedTuple):
    """Some texts of about the same length."""

    numbers: Integers  # (b,) which texts they are
    vectors: Tensor  # (b, V, D)


def autocast(loaded: LoadedModel) -> torch.autocast:
    """Autocast with the precision that training uses on this device, so that scores agree with the threshold."""
    device = loaded.model.device
    return devices.autocast(device, devices.choose_precision(loaded.config.precision, device))


def encode_pictures(loaded: LoadedModel, pictures: Iterable[Tensor], count: int, title: str = "pictures") -> Tensor:
    """Vectors (N, V, D) of `count` prepared pictures (3, side, side), or of their cached features (C, h, w)."""
    return encode_and_measure(loaded, pictures, count, title).vectors


class Pictures(NamedTuple):
    """Pictures as a model sees them."""

    vectors: Tensor  # (N, V, D)
    unlike: Floats  # (N,) how unlike the training pictures each is, see World; above 1 is outside, 0 if not known


@torch.no_grad()
def encode_and_measure(
    loaded: LoadedModel, pictures: Iterable[Tensor], count: int, title: str = "pictures"
) -> Pictures:
    """The vectors of `encode_pictures`, and how unlike the training pictures each picture is."""
    parts, some = [], []
    unlike: list[Tensor] = []
    with progress(None, title, " pictures", count) as bar:
        for number, picture in enumerate(pictures, 1):
            some.append(picture)
            if len(some) == PICTURES or number == count:
                batch = torch.stack(some).to(loaded.model.device)
                if batch.dtype == torch.uint8:
                    batch = batch.contiguous(memory_format=torch.channels_last)
                with autocast(loaded):
                    vectors, distances = loaded.model.encode_and_measure(batch)
                parts.append(vectors)
                unlike.append(torch.zeros(len(batch)) if distances is None else distances.float().cpu())
                bar.update(len(some))
                some = []
    return Pictures(torch.cat(parts), torch.cat(unlike).numpy())


def prepare_files(
    loaded: LoadedModel, places: Mapping[str, Path], errors: dict[str, ValueError | OSError]
) -> Iterator[Tensor]:
    """Picture files as input of the model; an unreadable file becomes a black picture and an entry in `errors`."""
    side = loaded.config.data.side
    for name, path in places.items():
        try:
            yield prepare(open_picture(path, DatabaseConfig.short_side), side)
        except (ValueError, OSError) as error:
            errors[name] = error
            yield torch.zeros(3, side, side, dtype=torch.uint8)


def encode_texts(loaded: LoadedModel, texts: Sequence[str], title: str = "texts") -> Iterator[TextBlock]:
    """The vectors of all texts, shortest texts first."""
    return encode_words(loaded, [words_of(loaded, text) for text in texts], title)


def words_of(loaded: LoadedModel, text: str) -> list[int]:
    """Indices of the words that the model reads of a text."""
    return loaded.tokenizer.encode(text, loaded.config.data.max_words)


@torch.no_grad()
def encode_words(loaded: LoadedModel, texts: Sequence[Sequence[int]], title: str) -> Iterator[TextBlock]:
    """Like `encode_texts`, for texts that are given as lists of word indices."""
    order = np.argsort([len(words) for words in texts], kind="stable")
    with progress(None, title, " texts", len(texts)) as bar:
        for start in range(0, len(order), TEXTS):
            numbers = order[start : start + TEXTS]
            words = pad([texts[i] or [0] for i in numbers]).to(loaded.model.device)
            with autocast(loaded):
                vectors = loaded.model.encode_texts(words)
            yield TextBlock(numbers, vectors)
            bar.update(len(numbers))


@torch.no_grad()
def score_pairs(
    loaded: LoadedModel,
    pictures: Tensor,
    texts: Sequence[str],
    of: Integers,
    title: str = "texts",
    use: Use = Scorer.pair_scores,
) -> Floats:
    """Scores (T,) of each text with its picture; equal texts are encoded once.

    pictures: (N, V, D) from `encode_pictures`; of: (T,) number of each text's picture; use: Scorer.pair_scores or
    Scorer.pair_ranking.
    """
    number: dict[str, int] = {}
    which = np.array([number.setdefault(text, len(number)) for text in texts], dtype=np.int64)
    members = np.argsort(which, kind="stable")  # the pairs of text 0, of text 1, ...
    starts = np.searchsorted(which[members], np.arange(len(number) + 1))
    scores = np.zeros(len(which), dtype=np.float32)
    for block in encode_texts(loaded, list(number), title):
        pairs = np.concatenate([members[starts[i] : starts[i + 1]] for i in block.numbers])
        counts = starts[block.numbers + 1] - starts[block.numbers]
        place = np.repeat(np.arange(len(block.numbers)), counts)
        for some in np.split(np.arange(len(pairs)), range(PAIRS, len(pairs), PAIRS)):
            mine = torch.from_numpy(of[pairs[some]]).to(pictures.device)
            theirs = block.vectors[torch.from_numpy(place[some]).to(pictures.device)]
            scores[pairs[some]] = use(loaded.model, pictures[mine], theirs).cpu().numpy()
    return scores


@torch.no_grad()
def score_blocks(
    loaded: LoadedModel, pictures: Tensor, texts: Sequence[TextBlock], title: str, use: Use = Scorer.all_scores
) -> Iterator[tuple[slice, Floats]]:
    """Scores (n, T) of a few pictures at a time with all texts, sorted by the numbers of the texts.

    use: Scorer.all_scores or Scorer.all_ranking.
    """
    count = sum(len(block.numbers) for block in texts)
    widest = max(block.vectors.shape[0] * block.vectors.shape[1] for block in texts)
    step = max(1, COSINES // max(widest * pictures.shape[1], 4 * count))  # 4: arrays of this size that a ranking makes
    for start in progress(range(0, len(pictures), step), title, " blocks"):
        some = pictures[start : start + step]
        scores = np.empty((len(some), count), dtype=np.float32)
        for block in texts:
            scores[:, block.numbers] = use(loaded.model, some, block.vectors).cpu().numpy()
        yield slice(start, start + len(some)), scores


def some_with_words(loaded: LoadedModel, count: int) -> Integers:
    """Numbers of the texts whose words are scored: all, or LEAVE_ONE_OUT of them if each word needs an encoding."""
    if loaded.model.scores_words or count <= LEAVE_ONE_OUT:
        return np.arange(count)
    return np.linspace(0, count - 1, LEAVE_ONE_OUT).astype(int)


@torch.no_grad()
def score_words(
    loaded: LoadedModel, pictures: Tensor, texts: Sequence[str], of: Integers
) -> tuple[Floats, list[Floats]]:
    """Verdict scores (T,) of each text with picture number `of`, and scores (L,) of the words that the model reads.

    The score of a word is that of `Scorer.evidence`. A model with only the pooled score has no word vectors: there
    the score of a word is the drop of the text's score if the word is removed, which needs one encoding per word.
    """
    words = [words_of(loaded, text) for text in texts]
    scores = [np.zeros(len(line), dtype=np.float32) for line in words]
    whole = np.zeros(len(texts), dtype=np.float32)
    if loaded.model.scores_words:
        for block in encode_words(loaded, words, "words"):
            mine = pictures[torch.from_numpy(of[block.numbers]).to(pictures.device)]
            found = loaded.model.evidence(mine, block.vectors)
            whole[block.numbers] = found.scores.cpu().numpy()
            for i, line in zip(block.numbers, found.words.cpu().numpy()):
                scores[i] = line[: len(words[i])]
        return whole, scores
    places = [(i, k) for i, line in enumerate(words) for k in range(len(line) + 1)]  # the last k removes no word
    shortened = [[*words[i][:k], *words[i][k + 1 :]] for i, k in places]
    for block in encode_words(loaded, shortened, "words"):
        mine = torch.from_numpy(of[[places[j][0] for j in block.numbers]]).to(pictures.device)
        for j, score in zip(block.numbers, loaded.model.pair_scores(pictures[mine], block.vectors).tolist()):
            i, k = places[j]
            if k == len(words[i]):
                whole[i] = score
            else:
                scores[i][k] = score
    return whole, [total - line for total, line in zip(whole, scores)]
