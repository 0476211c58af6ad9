"""What a model is tested on, the rows of an evaluation, and the blind control: how much texts alone tell.

The false texts depend on the database and its plan alone, so all models are tested on the same. So does what the
blind judges reach, which is therefore kept beside the plan.

Two judges that never see a picture are trained on captions and false texts of the train split and tested on those of
the test split: TF-IDF of words and word pairs with logistic regression, and a small LSTM. Where they do better than
0.5 the negatives give themselves away, and a model's figure is worth less.
"""

from __future__ import annotations

import contextlib
import functools
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from tqdm import tqdm

from common.metrics import TIE, Bootstrap, Floats, Interval, balanced_accuracy, interval, judged, kendall
from common.pictures import MOST_BITS, MOST_COLOUR, fingerprint
from common.storage import write_atomically
from Config import NegativesConfig
from DataBase_functions import Database, pad, seeded
from evaluation.benchmarks import Benchmark
from Negative_map import KINDS
from negatives.edits import other_words
from negatives.text import Negative
from Tokenizer_lib import Tokenizer, split_words

SEED = 0  # of the negatives: the same for every model, so that models can be compared
MIXTURE = NegativesConfig()  # the kinds as training mixes them by default
IN_BATCH = "in-batch"
ALL_KINDS = ("mixture", *KINDS, IN_BATCH)
FORMAT = 2  # of the file that keeps what the blind judges say
LENGTHS = (
    (8, "1 to 8 words"),
    (12, "9 to 12 words"),
    (20, "13 to 20 words"),
    (40, "21 to 40 words"),
    (10**9, "41 words or more"),
)
FOLDS = 5  # of an external benchmark, for its blind judges
LEAST_TO_LEARN = 50  # texts of a class

Pictures = Callable[[], Iterable[Image.Image]]
Judge = Callable[[Sequence[str]], Floats]  # texts -> above 0: a true caption
Blind = dict[
    str, dict[str, tuple[Floats, Floats]]
]  # kind -> judge -> what it says of the true texts and the false ones


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
    sources: NDArray[np.str_]  # (T,) the data set that each comes from
    kinds: NDArray[np.str_]  # (T,) caption, narrative or dense


def collect_texts(database: Database, rows: Sequence[int], kinds: Sequence[str] = ALL_KINDS) -> Texts:
    """All captions of some rows, with a false text of each of these kinds where there is one.

    ValueError if all are of one photograph, so that there is no caption of another.
    """
    plan = database.plan
    numbers = [(n, row, caption) for n, row in enumerate(rows) for caption in plan.captions(row)]
    captions = [plan.text(caption) for _, _, caption in numbers]
    owner = np.array([n for n, _, _ in numbers])
    false: dict[str, FalseTexts] = {}
    for kind in kinds:
        if kind == IN_BATCH:
            continue
        drawn, of = [], []
        for i, (_, row, caption) in enumerate(numbers):
            rng = seeded(SEED, "evaluation", kind, database.ids[row], caption - plan.captions(row)[0])
            mixed = kind == "mixture"
            negative = plan.draw(caption, rng, MIXTURE) if mixed else plan.draw_kind(kind, caption, rng)
            if negative is not None:
                drawn.append(negative)
                of.append(i)
        false[kind] = FalseTexts(drawn, np.array(of, dtype=np.int64))
    if IN_BATCH in kinds:
        foreign = foreign_captions(np.array([database.groups[row] for row in rows])[owner])
        others = [
            Negative(captions[j], IN_BATCH, IN_BATCH, other_words(captions[i], captions[j]))
            for i, j in enumerate(foreign)
        ]
        false[IN_BATCH] = FalseTexts(others, np.arange(len(captions)))
    told = [caption for row in rows for caption in database.captions(row)]
    sources, of_kind = (
        np.array([getattr(caption, name) for caption in told], dtype=str) for name in ("source", "kind")
    )
    return Texts(captions, owner, false, sources, of_kind)


def foreign_captions(groups: NDArray[np.str_]) -> NDArray[np.int64]:
    """For each caption the number of a random one of another photograph. ValueError if there is none."""
    if len(np.unique(groups)) < 2:
        raise ValueError("a split needs at least two photographs to be evaluated")
    rng = np.random.default_rng(SEED)
    foreign = rng.integers(len(groups), size=len(groups))
    while (same := groups[foreign] == groups).any():
        foreign[same] = rng.integers(len(groups), size=same.sum())
    return foreign


# Rows


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    section: str  # kind, category, source, caption, length, or the name of a benchmark
    name: str
    n: int  # what is counted: false texts, each set against a caption; of a benchmark units, judgements or claims
    photographs: int
    samples: dict[str, Floats]  # (1 + R,) each: the figure, then in each resample
    blind: dict[str, Floats] = field(default_factory=dict)  # balanced accuracy of each blind judge, likewise
    blind_pairwise: dict[str, float] = field(default_factory=dict)

    @property
    def figures(self) -> dict[str, Interval]:
        return {name: interval(values) for name, values in self.samples.items()}

    @property
    def tells_more_than_text(self) -> bool | None:
        """Is the model above chance, and above each blind judge on the same photographs? None: there is no judge."""
        mine = self.samples["balanced_accuracy"]
        if not self.blind:
            return None
        return interval(mine).low > 0.5 and all(interval(mine - theirs).low > 0 for theirs in self.blind.values())

    def as_json(self) -> dict[str, Any]:
        figures = {name: found._asdict() for name, found in self.figures.items()}
        return {
            **{"section": self.section, "name": self.name, "n": self.n, "photographs": self.photographs},
            **figures,
            "blind_balanced_accuracy": {judge: interval(values)._asdict() for judge, values in self.blind.items()},
            "blind_pairwise": self.blind_pairwise,
        }


def make_row(
    section: str, name: str, true: Floats, false: Floats, of: NDArray[np.int64], threshold: float, boot: Bootstrap
) -> Row:
    """true, false: (K,) scores of a caption and of the false text set against it; of: (K,) their photograph."""
    samples = judged(true, of, false, of, threshold, boot)._asdict()
    samples["pairwise"] = boot.mean(true > false + TIE, of)
    return Row(section, name, len(false), len(np.unique(of)), samples)


def make_rows(
    texts: Texts, true: Floats, false: Mapping[str, Floats], threshold: float, blind: Blind, boot: Bootstrap
) -> list[Row]:
    """The table of a split: each kind of false text; swaps by category; the mixture by source, kind and length.

    true: (T,) scores of the captions; false: by kind, those of the false texts.
    A caption counts in a row if it has such a false text: so the classes are equal, and the row can be compared with
    what the blind judges reach on the same texts.
    """
    rows = []

    def add(section: str, name: str, kind: str, some: NDArray[np.bool_]) -> None:
        of = texts.false[kind].of[some]
        row = make_row(section, name, true[of], false[kind][some], texts.owner[of], threshold, boot)
        said = {judge: (yes[some], no[some]) for judge, (yes, no) in blind.get(kind, {}).items()}
        owner = texts.owner[of]
        told = {judge: balanced_accuracy(yes, owner, no, owner, 0.0, boot) for judge, (yes, no) in said.items()}
        pairwise = {judge: float(np.mean(_preferred(yes, no))) for judge, (yes, no) in said.items()}
        rows.append(replace(row, blind=told, blind_pairwise=pairwise))

    for kind, those in texts.false.items():
        if len(those.of):
            add("kind", kind, kind, np.ones(len(those.of), dtype=bool))
    if "swap" in texts.false:
        categories = texts.false["swap"].categories
        for category in sorted(set(categories.tolist())):
            add("category", category, "swap", categories == category)
    if "mixture" in texts.false:
        of = texts.false["mixture"].of
        words = np.array([len(split_words(texts.captions[i])) for i in of])
        length = np.searchsorted([most for most, _ in LENGTHS], words)
        for section, labels, names in (
            ("source", texts.sources[of], None),
            ("caption", texts.kinds[of], None),
            ("length", length, [name for _, name in LENGTHS]),
        ):
            values = np.unique(labels).tolist()
            for value in values if len(values) > 1 else ():  # one alone is the mixture once more
                add(section, value if names is None else names[value], "mixture", labels == value)
    return rows


# External benchmarks


def judge_benchmark(
    benchmark: Benchmark, scores: Floats, photographs: NDArray[np.int64], threshold: float, boot: Bootstrap
) -> list[Row]:
    """A row for the whole benchmark and one for each of its parts.

    scores, photographs: (I,) of its claims. A unit that lacks a claim, since its picture is absent or its record is
    broken, is left out of what compares claims with each other; `n` tells how many were counted.
    """
    claims = benchmark.claims
    label = np.array([claim.label for claim in claims])
    subsets = np.array([claim.subset for claim in claims], dtype=str)
    said = {}
    if benchmark.metric != "ratings":
        said = blind_across([claim.text for claim in claims], label == 1, photographs)
    rows = []
    names = np.unique(subsets).tolist()
    parts = [(name or "(no subset)", np.flatnonzero(subsets == name)) for name in names if len(names) > 1]
    for name, some in (("all", np.arange(len(claims))), *parts):
        row = _row_of_claims(benchmark, some, label, scores, photographs, threshold, boot, said)
        rows.append(replace(row, name=name))
    return rows


def _row_of_claims(
    benchmark: Benchmark,
    some: NDArray[np.int64],
    label: Floats,
    scores: Floats,
    photographs: NDArray[np.int64],
    threshold: float,
    boot: Bootstrap,
    said: Mapping[str, Floats],
) -> Row:
    """some: which claims."""
    of, samples, blind, blind_pairwise = photographs[some], {}, {}, {}
    count = len(some)
    if benchmark.metric == "ratings":
        assert benchmark.tau is not None
        # Of the experts' 1 to 4 the clear cases; of shares of votes the majority.
        high, low = (label == 4, label == 1) if benchmark.tau == "c" else (label > 0.5, label < 0.5)
        samples[f"kendall_tau_{benchmark.tau}"] = kendall(scores[some], label[some], of, benchmark.tau, boot)
        high, low = some[high[some]], some[low[some]]
        samples["roc_auc"] = judged(scores[high], photographs[high], scores[low], photographs[low], 0, boot).roc_auc
    else:
        true, false = some[label[some] == 1], some[label[some] == 0]
        found = judged(scores[true], photographs[true], scores[false], photographs[false], threshold, boot)
        samples.update(found._asdict())
        of_true, of_false = photographs[true], photographs[false]
        blind = {judge: balanced_accuracy(x[true], of_true, x[false], of_false, 0.0, boot) for judge, x in said.items()}
    if benchmark.metric in ("pairwise", "winoground"):
        units: dict[int, list[int]] = {}
        for i in some.tolist():
            units.setdefault(benchmark.claims[i].unit, []).append(i)
        size = 4 if benchmark.metric == "winoground" else 2
        whole = [mine for mine in units.values() if len(mine) >= size and len(set(label[mine])) == 2]
        count, first = len(whole), photographs[[mine[0] for mine in whole]]
        won = [_wins(benchmark.metric, scores[mine], label[mine]) for mine in whole]
        for name in won[0] if won else ():
            samples[name] = boot.mean(np.array([each[name] for each in won]), first)
        if whole and benchmark.metric == "pairwise":
            for judge, x in said.items():
                worst = np.array([x[mine][label[mine] == 1].min() for mine in whole])
                best = np.array([x[mine][label[mine] == 0].max() for mine in whole])
                blind_pairwise[judge] = float(np.mean(_preferred(worst, best)))
    return Row(benchmark.name, "", count, len(np.unique(of)), samples, blind, blind_pairwise)


def _preferred(true: Floats, false: Floats) -> Floats:
    """Which of two a blind judge prefers; unlike the model's, its tie is half won: it would guess."""
    return (true > false) + 0.5 * (true == false)


def _wins(metric: str, scores: Floats, label: Floats) -> dict[str, bool]:
    """How a unit's claims compare; see `Benchmark.metric` for their order. A tie is lost."""
    if metric == "pairwise":
        return {"pairwise": bool(scores[label == 1].min() > scores[label == 0].max() + TIE)}
    first, second, first_picture_other_text, second_picture_other_text = scores - np.array([TIE, TIE, 0, 0])
    text = bool(first > first_picture_other_text and second > second_picture_other_text)
    picture = bool(first > second_picture_other_text and second > first_picture_other_text)
    return {"text_score": text, "image_score": picture, "group_score": text and picture}


def find_leaks(
    model: Path, home: Database | None, names: Mapping[str, str | None], pictures: Pictures | None = None
) -> list[str]:
    """Which photographs the model was trained on: by their identity and, if there are pictures, by perceptual hash.

    model: its folder, which lists the identities of its training photographs; home: the database that it was trained
    on, if it is at hand (without it no look is taken); names: of the photographs, with their identity if it is known;
    pictures: reads them in the same order. ValueError if neither list nor database is there.
    """
    listed = model / "photographs.txt"
    known = set(listed.read_text(encoding="utf-8").split("\n")) if listed.is_file() else set()
    if home is not None:
        known.update(group for group, split in zip(home.groups, home.split_of) if split == "train")
    if not known:
        raise ValueError(
            f"{model} does not tell what it was trained on: no photographs.txt, and its database is not at hand; "
            "--allow-leak judges it all the same"
        )
    found = [name for name, identity in names.items() if identity in known]
    if home is None or pictures is None:
        return found
    bits, colours = _training_prints(home.folder, home.fingerprint)
    by_name = set(found)
    for name, picture in zip(names, pictures()):
        its = fingerprint(picture)
        near = np.bitwise_count(bits ^ np.frombuffer(its.bits, np.uint64)).sum(1) <= MOST_BITS
        apart = np.abs(colours[near].astype(np.int16) - np.frombuffer(its.colours, np.uint8))
        if (apart.max(1, initial=0) <= MOST_COLOUR).any() and name not in by_name:
            found.append(name)
    return found


@functools.lru_cache(2)
def _training_prints(folder: Path, fingerprint_of_database: str) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """Perceptual hashes (N, 4) and thumbnails (N, 192) of a database's training photographs: 0.6 ms each."""
    database = Database(folder)
    rows = database.rows("train")
    prints = [fingerprint(database.picture(row)) for row in tqdm(rows, desc="training photographs", leave=False)]
    bits = np.frombuffer(b"".join(one.bits for one in prints), np.uint64).reshape(len(rows), -1)
    return bits, np.frombuffer(b"".join(one.colours for one in prints), np.uint8).reshape(len(rows), -1)


# The blind control


def blind_control(database: Database, test: Texts, most: int, seed: int = SEED) -> Blind:
    """What each blind judge says of the captions that have a false text of a kind, and of these.

    test: of the test split. most: captions of the train split that the judges learn from. It takes a minute or two,
    once for a database; then the file is read.
    """
    path = database.plan.folder / f"blind_{FORMAT}_{most}_{seed}.npz"
    if path.is_file():
        with np.load(path) as kept:
            found: Blind = {}
            for key in kept.files:
                kind, name = key.split("/")
                found.setdefault(kind, {})[name] = tuple(kept[key])
            return found
    rows = [row for row, split in enumerate(database.split_of) if split == "train"]
    if len({database.groups[row] for row in rows}) < 2:
        print(f"no blind control: {database.folder} has no two training photographs to learn from")
        return {}
    seeded(SEED, "blind").shuffle(rows)
    per_row = max(1, len(database.plan) // max(1, len(database)))
    train = collect_texts(database, rows[: max(2, most // per_row)])
    found = {}
    jobs = [(kind, name) for kind in ALL_KINDS for name in JUDGES]
    for kind, name in tqdm(jobs, desc="blind control", unit="judge", leave=False):
        if not len(train.false[kind].of) or not len(test.false[kind].of):
            continue
        judge = JUDGES[name](*_pairs(train, kind), seed)
        true, false = (judge(texts) for texts in _pairs(test, kind))
        found.setdefault(kind, {})[name] = true, false
    arrays = {f"{kind}/{name}": np.stack(said) for kind, judges in found.items() for name, said in judges.items()}
    write_atomically(path, lambda temporary: _save_arrays(temporary, arrays))
    return found


def _save_arrays(path: Path, arrays: Mapping[str, Floats]) -> None:
    with path.open("wb") as file:  # given a path, numpy would add an ending
        np.savez(file, allow_pickle=False, **arrays)  # type: ignore[arg-type]


def _pairs(texts: Texts, kind: str) -> tuple[list[str], list[str]]:
    """Captions and their false texts. A caption without one would only teach the share of captions that have one."""
    false = texts.false[kind]
    return [texts.captions[i] for i in false.of], [negative.text for negative in false.texts]


def blind_across(
    texts: Sequence[str], label: NDArray[np.bool_], photographs: NDArray[np.int64], seed: int = SEED
) -> dict[str, Floats]:
    """What each blind judge says of labelled texts, having learned from those of other photographs of the same set.

    texts, label, photographs: (T,). In FOLDS folds over the photographs; {} where there are too few to learn from.
    """
    rng = np.random.default_rng(seed)
    fold = rng.permutation(photographs.max() + 1)[photographs] % FOLDS
    if any(min(label[fold != f].sum(), (~label[fold != f]).sum()) < LEAST_TO_LEARN for f in range(FOLDS)):
        return {}
    found: dict[str, Floats] = {}
    for name, learn in JUDGES.items():
        said = found[name] = np.zeros(len(texts))
        for f in range(FOLDS):
            # As many of either class: else a judge learns which is the more frequent, and 0 is no longer where to cut.
            sides = [rng.permutation(np.flatnonzero((fold != f) & (label == kind))) for kind in (True, False)]
            equal = min(map(len, sides))
            true, false = ([texts[i] for i in side[:equal].tolist()] for side in sides)
            held = np.flatnonzero(fold == f)
            if len(held):
                said[held] = learn(true, false, seed)([texts[i] for i in held.tolist()])
    return found


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
    return classifier.decision_function


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
    def judge(texts: Sequence[str]) -> Floats:
        words = [tokenizer.encode(text, 64) for text in texts]
        parts = [network(pad(words[i : i + 256])) for i in range(0, len(words), 256)]
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
