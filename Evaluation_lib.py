"""What a model is tested on, and the blind control: how far the texts alone tell true from false.

The false texts depend on the database and its plan alone, so all models are tested on the same. So does what the
blind judges reach, which is therefore kept beside the plan.

Two judges that never see a picture are trained on captions and false texts of the train split and tested on those of
the test split: TF-IDF of words and word pairs with logistic regression, and a small LSTM. Where they do better than
0.5 the negatives give themselves away, and a model's figure is worth less.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from tqdm import tqdm

from Config import NegativesConfig
from DataBase_functions import Database, pad, seeded
from Functions import Rates, rates, write_json
from Negative_map import Negative
from Negative_plan import KINDS, other_words
from Tokenizer_lib import Tokenizer, split_words

SEED = 0  # of the negatives: the same for every model, so that models can be compared
MIXTURE = NegativesConfig()  # the kinds as training mixes them by default
IN_BATCH = "in-batch"
ALL_KINDS = ("mixture", *KINDS, IN_BATCH)
FORMAT = 1  # of the file that keeps what the blind judges reached

Judge = Callable[[Sequence[str]], NDArray[np.bool_]]  # texts -> is it a true caption?


class FalseTexts(NamedTuple):
    """False texts of one kind, at most one for each caption."""

    texts: list[Negative]
    of: NDArray[np.int64]  # (K,) the caption that each is set against

    @property
    def categories(self) -> NDArray[np.str_]:
        return np.array([text.category for text in self.texts], dtype=str)


class Texts(NamedTuple):
    """The captions of a split, and what is false of their photographs."""

    captions: list[str]
    owner: NDArray[np.int64]  # (T,) picture of each caption, counted within the split
    false: dict[str, FalseTexts]  # by kind


def collect_texts(database: Database, rows: Sequence[int]) -> Texts:
    """All captions of some rows, with a false text of each kind where there is one.

    ValueError if all are of one photograph, so that there is no caption of another.
    """
    plan = database.plan
    numbers = [(n, row, caption) for n, row in enumerate(rows) for caption in plan.captions(row)]
    captions = [plan.text(caption) for _, _, caption in numbers]
    owner = np.array([n for n, _, _ in numbers])
    false: dict[str, FalseTexts] = {}
    for kind in ("mixture", *KINDS):
        drawn, of = [], []
        for i, (_, row, caption) in enumerate(numbers):
            rng = seeded(SEED, "evaluation", kind, database.ids[row], caption - plan.captions(row)[0])
            mixed = kind == "mixture"
            negative = plan.draw(caption, rng, MIXTURE) if mixed else plan.draw_kind(kind, caption, rng)
            if negative is not None:
                drawn.append(negative)
                of.append(i)
        false[kind] = FalseTexts(drawn, np.array(of, dtype=np.int64))
    foreign = foreign_captions(np.array([database.groups[row] for row in rows])[owner])
    others = [
        Negative(captions[j], IN_BATCH, IN_BATCH, other_words(captions[i], captions[j])) for i, j in enumerate(foreign)
    ]
    false[IN_BATCH] = FalseTexts(others, np.arange(len(captions)))
    return Texts(captions, owner, false)


def foreign_captions(groups: NDArray[np.str_]) -> NDArray[np.int64]:
    """For each caption the number of a random one of another photograph. ValueError if there is none."""
    if len(np.unique(groups)) < 2:
        raise ValueError("a split needs at least two photographs to be evaluated")
    rng = np.random.default_rng(SEED)
    foreign = rng.integers(len(groups), size=len(groups))
    while (same := groups[foreign] == groups).any():
        foreign[same] = rng.integers(len(groups), size=same.sum())
    return foreign


# The blind control


def blind_control(database: Database, test: Texts, most: int, seed: int = SEED) -> dict[str, dict[str, float]]:
    """Balanced accuracy of each blind judge for each kind, and for each category of swaps ("swap: colour").

    test: of the test split. most: captions of the train split that the judges learn from. It takes a minute or two,
    once for a database; then the file is read.
    """
    path = database.plan.folder / f"blind_{most}_{seed}.json"
    if path.is_file() and (kept := json.loads(path.read_text(encoding="utf-8")))["format"] == FORMAT:
        return kept["balanced_accuracy"]
    try:
        rows = database.rows("train")
        seeded(SEED, "blind").shuffle(rows)
        per_row = max(1, len(database.plan) // max(1, len(database)))
        train = collect_texts(database, rows[: max(2, most // per_row)])
    except ValueError:  # there is nothing to learn from: no training captions, or those of one photograph
        return {}
    found: dict[str, dict[str, float]] = {}
    jobs = [(kind, name) for kind in ALL_KINDS for name in JUDGES]
    for kind, name in tqdm(jobs, desc="blind control", unit="judge", leave=False):
        if not len(train.false[kind].of) or not len(test.false[kind].of):
            continue
        judge = JUDGES[name](*_pairs(train, kind), seed)
        true, false = (judge(texts) for texts in _pairs(test, kind))
        found.setdefault(kind, {})[name] = _rates(true, false).balanced_accuracy
        if kind == "swap":
            categories = test.false[kind].categories
            for category in sorted(set(categories)):
                few = categories == category
                of_category = _rates(true[few], false[few]).balanced_accuracy
                found.setdefault(f"{kind}: {category}", {})[name] = of_category
    write_json(path, {"format": FORMAT, "train_captions": len(train.captions), "balanced_accuracy": found})
    return found


def _pairs(texts: Texts, kind: str) -> tuple[list[str], list[str]]:
    """Captions and their false texts. A caption without one would only teach the share of captions that have one."""
    false = texts.false[kind]
    return [texts.captions[i] for i in false.of], [negative.text for negative in false.texts]


def _rates(true: NDArray[np.bool_], false: NDArray[np.bool_]) -> Rates:
    return rates(true.astype(float), false.astype(float), 0.5)


def tfidf_judge(true: Sequence[str], false: Sequence[str], seed: int) -> Judge:
    """TF-IDF of words and word pairs with logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    least = 2 if len(true) > 100 else 1
    classifier = make_pipeline(
        TfidfVectorizer(analyzer=words_and_pairs, min_df=least),
        LogisticRegression(C=10, max_iter=1000, random_state=seed),
    )
    classifier.fit([*true, *false], [True] * len(true) + [False] * len(false))
    return classifier.predict


def words_and_pairs(text: str) -> list[str]:
    words = [word.text for word in split_words(text)]
    return words + [f"{a} {b}" for a, b in zip(["<s>", *words], [*words, "</s>"])]


def lstm_judge(true: Sequence[str], false: Sequence[str], seed: int, epochs: int = 4) -> Judge:
    """A bidirectional LSTM of 64 units over the words, and the largest of each of its outputs."""
    tokenizer = Tokenizer.build(_counts(true), min_count=2)
    rng = random.Random(seed)
    with torch.random.fork_rng(devices=[]), _one_thread():
        torch.manual_seed(seed)
        network = _BlindLSTM(len(tokenizer))
        encoded = [tokenizer.encode(text, 64) for text in (*true, *false)]
        labels = torch.tensor([1.0] * len(true) + [0.0] * len(false))
        batches_in_all = epochs * -(-len(encoded) // BLIND_BATCH)
        optimizer = torch.optim.Adam(network.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=batches_in_all + 1)
        network.train()
        for _ in range(epochs):
            for batch in _alike_in_length(encoded, rng):
                logits = network(pad([encoded[i] for i in batch]))
                loss = nn.functional.binary_cross_entropy_with_logits(logits, labels[batch])
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                schedule.step()
        network.eval()

    @torch.no_grad()
    @_one_thread()
    def judge(texts: Sequence[str]) -> NDArray[np.bool_]:
        words = [tokenizer.encode(text, 64) for text in texts]
        parts = [network(pad(words[i : i + 256])) > 0 for i in range(0, len(words), 256)]
        return torch.cat(parts).numpy()

    return judge


JUDGES: dict[str, Callable[[Sequence[str], Sequence[str], int], Judge]] = {"tfidf": tfidf_judge, "lstm": lstm_judge}
BLIND_BATCH = 128


class _BlindLSTM(nn.Module):
    def __init__(self, words: int, width: int = 64):
        super().__init__()
        self.embedding = nn.Embedding(words, width, padding_idx=0)
        self.dropout = nn.Dropout(0.3)
        self.lstm = nn.LSTM(width, width, batch_first=True, bidirectional=True)
        self.score = nn.Linear(2 * width, 1)

    def forward(self, words: Tensor) -> Tensor:
        """Words (B, L) -> logits (B,) of "a true caption"."""
        lengths = (words > 0).sum(1).clamp(min=1)
        packed = pack_padded_sequence(
            self.dropout(self.embedding(words)), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        states, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        beyond = torch.arange(states.shape[1]) >= lengths.unsqueeze(1)
        largest = states.masked_fill(beyond.unsqueeze(2), -torch.inf).amax(1)
        return self.score(self.dropout(largest)).squeeze(1)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """So small a network is no faster on two cores, and on two busy ones 40 times as slow: threads wait for threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _alike_in_length(texts: Sequence[Sequence[int]], rng: random.Random) -> Iterator[list[int]]:
    """Random batches of texts of about the same length: half the time of batches that are padded to the longest."""
    order = rng.sample(range(len(texts)), len(texts))
    batches = []
    for start in range(0, len(order), 20 * BLIND_BATCH):
        near = sorted(order[start : start + 20 * BLIND_BATCH], key=lambda i: len(texts[i]))
        batches += [near[i : i + BLIND_BATCH] for i in range(0, len(near), BLIND_BATCH)]
    rng.shuffle(batches)
    yield from batches


def _counts(texts: Sequence[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for text in texts:
        for word in split_words(text):
            counts[word.text] = counts.get(word.text, 0) + 1
    return counts
