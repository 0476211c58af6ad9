"""Blind judges: how well can texts be classified without a picture?

Two classifiers that see only the text learn from the captions and false texts of the train split and are tested on the
test split: logistic regression on the TF-IDF of words and bigrams, and a small LSTM. If their balanced accuracy is
above 0.5, the wording gives the false texts away, and a model's figures prove less.
"""

from __future__ import annotations

import contextlib
import functools
import random
import sys
import textwrap
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from common.jobs import progress, run_jobs
from common.metrics import Floats, Integers
from common.storage import write_atomically
from Config import usable_cores
from DataBase_functions import Database, seeded
from evaluation.rows import Blind
from evaluation.texts import ALL_KINDS, SEED, Texts, collect_texts
from Tokenizer_lib import Tokenizer, split_words

FORMAT = 3  # version of the file with the scores of the blind judges
FOLDS = 5  # of the cross-validation on an external benchmark
LEAST_TO_LEARN = 50  # texts of a class; with fewer there are no blind judges
BATCH = 128
# Texts to learn from, of all judges together, from which on they learn in several processes. These start in 4 s, in
# which an LSTM learns from 10,000 texts.
MANY = 60_000
PROCESSES = 4  # at most; each takes 0.5 GB

BlindJudge = Callable[[Sequence[str]], Floats]  # texts -> scores; a positive score means "true"


def blind_scores(database: Database, test: Texts, most: int, seed: int = SEED) -> Blind:
    """Scores of each blind judge for the false texts of the test split and for their captions, by kind.

    test: the texts of the test split; most: the largest number of training captions to learn from. The first call takes
    a few minutes. It stores the scores beside the plan, and later calls read them. ValueError if this file is damaged.
    """
    path = database.plan.folder / f"blind_{FORMAT}_{most}_{seed}.npz"
    if path.is_file():
        return _read_kept(path, test)
    rows = [row for row, split in enumerate(database.split_of) if split == "train"]
    if len({database.groups[row] for row in rows}) < 2:
        print(f"no blind judges: {database.folder} has fewer than two training pictures to learn from")
        return {}
    seeded(SEED, "blind").shuffle(rows)
    per_row = max(1, len(database.plan) // max(1, len(database)))
    train = collect_texts(database, rows[: max(2, most // per_row)])
    kinds = [kind for kind in ALL_KINDS if len(train.false[kind].of) and len(test.false[kind].of)]
    jobs = {
        (kind, name): Lesson(name, *_true_and_false(train, kind), _true_and_false(test, kind), seed)
        for name in sorted(JUDGES)  # the LSTM first, because it takes longest
        for kind in kinds
    }
    scored = dict(zip(jobs, learn_all(list(jobs.values()))))
    found: Blind = {}
    for kind in kinds:
        for name in JUDGES:
            true, false = scored[kind, name]
            found.setdefault(kind, {})[name] = true, false
    arrays = {f"{kind}/{name}": np.stack(both) for kind, judges in found.items() for name, both in judges.items()}
    write_atomically(path, lambda temporary: _save_arrays(temporary, arrays))
    return found


def _read_kept(path: Path, test: Texts) -> Blind:
    """The scores that an earlier call has stored. ValueError names the file if it is damaged."""
    found: Blind = {}
    try:
        with np.load(path) as kept:
            for key in kept.files:
                kind, name = key.split("/")
                scores, texts = kept[key], len(test.false[kind].of)
                if name not in JUDGES or scores.shape != (2, texts) or not np.isfinite(scores).all():
                    raise ValueError(f"{key} does not hold two finite scores for each of {texts:,} texts")
                found.setdefault(kind, {})[name] = tuple(scores)
    except (OSError, EOFError, ValueError, LookupError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        reason = textwrap.shorten(str(error), 200) or type(error).__name__
        raise ValueError(f"{path} is damaged: {reason}; delete this file, and it is made again") from None
    return found


def _save_arrays(path: Path, arrays: Mapping[str, Floats]) -> None:
    with path.open("wb") as file:  # given a path, NumPy would add an extension
        np.savez(file, allow_pickle=False, **arrays)  # type: ignore[arg-type]


def _true_and_false(texts: Texts, kind: str) -> tuple[list[str], list[str]]:
    """The captions that have a false text of the kind, and these false texts: two lists of the same length."""
    false = texts.false[kind]
    return [texts.captions[i] for i in false.of], [negative.text for negative in false.texts]


def blind_across(
    texts: Sequence[str], label: NDArray[np.bool_], photographs: Integers, seed: int = SEED
) -> dict[str, Floats]:
    """Scores (T,) of each blind judge for labelled texts, by cross-validation in FOLDS folds over the photographs.

    texts, label, photographs: (T,). A judge learns from the texts of other photographs than those that it scores. {} if
    there are fewer than LEAST_TO_LEARN texts of a class to learn from.
    """
    rng = np.random.default_rng(seed)
    fold = rng.permutation(photographs.max() + 1)[photographs] % FOLDS
    if any(min(label[fold != f].sum(), (~label[fold != f]).sum()) < LEAST_TO_LEARN for f in range(FOLDS)):
        return {}
    jobs, places = [], []
    for name in JUDGES:
        for f in range(FOLDS):
            # Classes of equal size: otherwise the judge learns their frequencies, and its threshold is not at 0.
            classes = [rng.permutation(np.flatnonzero((fold != f) & (label == kind))) for kind in (True, False)]
            equal = min(map(len, classes))
            true, false = ([texts[i] for i in one[:equal].tolist()] for one in classes)
            held = np.flatnonzero(fold == f)
            if len(held):
                jobs.append(Lesson(name, true, false, ([texts[i] for i in held.tolist()],), seed))
                places.append(held)
    found: dict[str, Floats] = {name: np.zeros(len(texts)) for name in JUDGES}
    for job, held, (scores,) in zip(jobs, places, learn_all(jobs)):
        found[job.name][held] = scores
    return found


@dataclass(frozen=True)
class Lesson:
    """What one blind judge learns from, and the lists of texts that it then scores."""

    name: str
    true: list[str]
    false: list[str]
    lists: tuple[list[str], ...]
    seed: int

    def run(self) -> tuple[Floats, ...]:
        """The scores of each list."""
        judge = JUDGES[self.name](self.true, self.false, self.seed)
        return tuple(judge(texts) for texts in self.lists)


def learn_all(lessons: Sequence[Lesson]) -> Iterator[tuple[Floats, ...]]:
    """The scores of each lesson, in several processes if there is much to learn; their number changes no score."""
    workers = min(PROCESSES, usable_cores(), len(lessons))
    if workers > 1 and sum(len(lesson.true) + len(lesson.false) for lesson in lessons) >= MANY:
        found: Iterator[tuple[Floats, ...]] = (scores for _, scores in run_jobs(lessons, workers=workers))
    else:
        found = (lesson.run() for lesson in lessons)
    yield from progress(found, "blind judges", " judges", len(lessons))


def tfidf_judge(true: Sequence[str], false: Sequence[str], seed: int) -> BlindJudge:
    """Logistic regression on the TF-IDF of words and bigrams."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from threadpoolctl import threadpool_limits

    least = 2 if len(true) > 100 else 1
    classifier = make_pipeline(
        TfidfVectorizer(analyzer=words_and_bigrams, min_df=least),
        LogisticRegression(C=10, max_iter=1000, random_state=seed),
    )
    with threadpool_limits(1):  # the order of a sum, and so its last digits, depends on the number of threads
        classifier.fit([*true, *false], [True] * len(true) + [False] * len(false))
    return classifier.decision_function


def words_and_bigrams(text: str) -> list[str]:
    words = plain_words(text)
    return [*words, *(f"{a} {b}" for a, b in zip(["<s>", *words], [*words, "</s>"]))]


@functools.lru_cache(100_000)  # both judges read a text, and a caption is among the texts of each kind
def plain_words(text: str) -> tuple[str, ...]:
    return tuple(sys.intern(word.text) for word in split_words(text))


def lstm_judge(true: Sequence[str], false: Sequence[str], seed: int, epochs: int = 4) -> BlindJudge:
    """A bidirectional LSTM of 64 units, max-pooling over the words, and a linear layer."""
    tokenizer = Tokenizer.build(_counts(true), min_count=2)
    rng = random.Random(seed)
    with torch.random.fork_rng(devices=[]), _one_thread():
        torch.manual_seed(seed)
        network = _BlindLSTM(len(tokenizer))
        encoded = [_encode(tokenizer, text) for text in (*true, *false)]
        labels = torch.tensor([1.0] * len(true) + [0.0] * len(false))
        batches_in_all = epochs * len(_of_equal_length(encoded, rng))
        optimizer = torch.optim.Adam(network.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=batches_in_all + 1)
        network.train()
        for _ in range(epochs):
            for batch in _of_equal_length(encoded, rng):
                logits = network(torch.tensor([encoded[i] for i in batch]))
                loss = nn.functional.binary_cross_entropy_with_logits(logits, labels[batch])
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                schedule.step()
        network.eval()

    @torch.no_grad()
    @_one_thread()
    def judge(texts: Sequence[str]) -> Floats:
        words, scores = [_encode(tokenizer, text) for text in texts], np.zeros(len(texts))
        for batch in _of_equal_length(words, random.Random(seed)):
            scores[batch] = network(torch.tensor([words[i] for i in batch])).numpy()
        return scores

    return judge


JUDGES: dict[str, Callable[[Sequence[str], Sequence[str], int], BlindJudge]] = {
    "tfidf": tfidf_judge,
    "lstm": lstm_judge,
}


class _BlindLSTM(nn.Module):
    def __init__(self, words: int, width: int = 64):
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.dropout = nn.Dropout(0.3)
        self.lstm = nn.LSTM(width, width, batch_first=True, bidirectional=True)
        self.score = nn.Linear(2 * width, 1)

    def forward(self, words: Tensor) -> Tensor:
        """Words (B, L) without padding -> logits (B,); a positive logit means "true"."""
        states, _ = self.lstm(self.dropout(self.embedding(words)))
        return self.score(self.dropout(states.amax(1))).squeeze(1)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: two gain nothing for so small a network, and on two busy cores take 40 times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _of_equal_length(texts: Sequence[Sequence[int]], rng: random.Random) -> list[list[int]]:
    """Random batches of texts of equal length.

    They need neither padding nor packing: a step on 128 texts of 12 words takes 16 ms, on packed ones of 9 to 12 words
    23 ms (one core).
    """
    of_length: dict[int, list[int]] = {}
    for i in rng.sample(range(len(texts)), len(texts)):
        of_length.setdefault(len(texts[i]), []).append(i)
    batches = [some[i : i + BATCH] for some in of_length.values() for i in range(0, len(some), BATCH)]
    rng.shuffle(batches)
    return batches


def _counts(texts: Sequence[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for text in texts:
        for word in plain_words(text):
            counts[word] = counts.get(word, 0) + 1
    return counts


def _encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Indices of the first 64 words of a text, as `Tokenizer.encode` gives them."""
    return [tokenizer.index.get(word, 1) for word in plain_words(text)[:64]] or [1]
