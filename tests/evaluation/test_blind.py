"""The blind judges find what gives false texts away, and nothing else."""

import pickle
import random
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from false_texts import scenes_texts, texts_of

from common.metrics import Bootstrap
from DataBase_functions import Database
from evaluation import blind
from evaluation.blind import JUDGES, blind_across, blind_scores
from evaluation.rows import make_rows
from evaluation.texts import ALL_KINDS, IN_BATCH, collect_texts

TRAINED, TESTED = range(0, 100), range(100, 140)


def accuracy(judge, true, false):
    return ((judge(true) >= 0).mean() + (judge(false) < 0).mean()) / 2


@pytest.mark.parametrize(("name", "word"), [("tfidf", "zebra"), ("lstm", "zebra"), ("tfidf", "striped")])
def test_judges_find_a_word_that_gives_false_texts_away(name, word):
    """ "zebra": no caption has it. "striped": captions have it too, but never at their end."""

    def marked(texts):
        return [f"{text.removesuffix('.')} {word}." for text in texts]

    true = scenes_texts(TRAINED)
    judge = JUDGES[name](true, marked(true), 0)
    tested = scenes_texts(TESTED)
    assert accuracy(judge, tested, marked(tested)) > 0.95


@pytest.mark.parametrize("name", JUDGES)
def test_judges_guess_if_the_false_texts_are_captions(name):
    captions = scenes_texts(range(200))
    true, false = captions[::2], captions[1::2]
    judge = JUDGES[name](true[:300], false[:300], 0)
    assert accuracy(judge, true[300:], false[300:]) == pytest.approx(0.5, abs=0.08)
    assert accuracy(judge, true[:300], false[:300]) > 0.6, "it does learn: it has memorised these"


def test_the_lstm_finds_an_order_that_no_bigram_shows():
    """Captions name their animals in alphabetical order. Captions and false texts have the same bigrams."""
    rng = random.Random(0)

    def texts(backwards, count):
        named = (sorted(rng.sample(("cat", "dog", "fox", "horse"), 2), reverse=backwards) for _ in range(count))
        return [f"There is a {one} and a {two} and a bird." for one, two in named]

    true, false = texts(False, 1000), texts(True, 1000)
    assert Counter(blind.words_and_bigrams(true[0])) == Counter(
        blind.words_and_bigrams("There is a {} and a {} and a bird.".format(*_animals(true[0])[::-1]))
    )
    reached = {name: accuracy(JUDGES[name](true, false, 0), texts(False, 200), texts(True, 200)) for name in JUDGES}
    assert reached["lstm"] > 0.95
    assert reached["tfidf"] == pytest.approx(0.5, abs=0.08)


def _animals(text):
    return [word for word in text.split() if word in ("cat", "dog", "fox", "horse")]


@pytest.mark.parametrize("name", JUDGES)
def test_a_judge_is_reproducible_and_leaves_the_state_of_torch_unchanged(name):
    true, false = scenes_texts(range(30)), [f"Here: {text}" for text in scenes_texts(range(30))]
    torch.manual_seed(5)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    judge = JUDGES[name](true, false, 0)
    verdict = judge(true + false)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    torch.manual_seed(6)
    assert (JUDGES[name](true, false, 0)(true + false) == verdict).all()
    assert verdict.dtype.kind == "f" and verdict.shape == (300,)


def test_the_thread_count_is_restored_after_an_error():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyboardInterrupt), blind._one_thread():
            assert torch.get_num_threads() == 1
            raise KeyboardInterrupt
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_the_blind_scores_of_every_kind_are_stored(tiny, monkeypatch):
    test = collect_texts(tiny, tiny.rows("test"))
    found = blind_scores(tiny, test, 150)
    kinds = {kind for kind in ALL_KINDS if len(test.false[kind].of)}
    assert set(found) == kinds >= {"mixture", "swap", "mined", IN_BATCH}
    for kind, said in found.items():
        assert set(said) == set(JUDGES)
        assert all(len(side) == len(test.false[kind].of) for both in said.values() for side in both)

    monkeypatch.setattr(blind, "JUDGES", dict.fromkeys(JUDGES, lambda *_: pytest.fail("it was scored again")))
    again = blind_scores(Database(tiny.folder), test, 150)
    for kind, said in found.items():
        for judge, both in said.items():
            np.testing.assert_array_equal(again[kind][judge], both)
    (kept,) = tiny.plan.folder.glob("blind_*_150_*.npz")
    whole = kept.read_bytes()
    with np.load(kept) as arrays:
        short = {name: array[:, 1:] for name, array in arrays.items()}
        unknown = {f"x/{name}": array for name, array in arrays.items()}
        infinite = {name: np.full_like(array, np.inf) for name, array in arrays.items()}
    middle = len(whole) // 2
    for damage in (b"", whole[:-50], whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]):
        kept.write_bytes(damage)
        with pytest.raises(ValueError, match=rf"{kept.name} is damaged: .*; delete this file"):
            blind_scores(tiny, test, 150)
    for named in (short, unknown, infinite):
        np.savez(kept, **named)
        with pytest.raises(ValueError, match=rf"{kept.name} is damaged: .*; delete this file"):
            blind_scores(tiny, test, 150)
    kept.unlink()
    with pytest.raises(pytest.fail.Exception, match="scored again"):
        blind_scores(tiny, test, 150)


def test_the_blind_scores_by_hand(tmp_path, monkeypatch):
    """A judge that accepts every text with an "x" learns from the train split and scores the test split."""
    learned = []

    def judge(true, false, seed):
        learned.append((true, false))
        return lambda some: np.array([1.0 if "x" in text else -1.0 for text in some])

    class Two:
        """A database of two photographs with a caption each, and its plan."""

        folder = tmp_path
        split_of = ("train", "train")
        groups = ("a", "b")

        def __len__(self):
            return 2

        def rows(self, split):
            return [0, 1]

    database = Two()
    database.plan = Two()
    train = texts_of(["x a", "b"], {"swap": [("c", "colour", 0), ("d", "colour", 1)]})
    test = texts_of(["x a", "b"], {"swap": [("x e", "colour", 0), ("f", "number", 1)]})
    monkeypatch.setattr(blind, "JUDGES", {"x": judge})
    monkeypatch.setattr(blind, "collect_texts", lambda *_: train)
    found = blind_scores(database, test, 10)
    assert learned == [(["x a", "b"], ["c", "d"])]
    np.testing.assert_array_equal(found["swap"]["x"], [[1, -1], [1, -1]])
    true, false = np.array([0.9, 0.2]), {kind: np.zeros(0) for kind in ALL_KINDS} | {"swap": np.array([0.1, 0.3])}
    swap, colour, number = make_rows(test, true, false, 0.5, found, Bootstrap(2, 20))
    # colour: the caption is accepted (right), the false text too (wrong). number: both are refused.
    assert [row.blind["x"][0] for row in (swap, colour, number)] == [0.5] * 3
    assert swap.blind_pairwise == {"x": 0.5}, "two ties: each counts half"


def test_judges_learn_in_several_processes_if_there_is_much_to_learn(monkeypatch):
    """The results have the order of the lessons, and a lesson can be pickled."""
    monkeypatch.setattr(blind, "MANY", 8)
    monkeypatch.setattr(blind, "usable_cores", lambda: 2)
    monkeypatch.setattr(blind, "JUDGES", {"length": lambda *_: lambda texts: np.array([len(text) for text in texts])})
    processes = []

    def run_jobs(jobs, workers):
        processes.append(workers)
        return [(job, pickle.loads(pickle.dumps(job)).run()) for job in jobs]

    monkeypatch.setattr(blind, "run_jobs", run_jobs)
    lessons = [blind.Lesson("length", ["a", "b"], ["c", "d"], (["x" * n], ["yy"]), 0) for n in (3, 1)]
    assert [[scores.tolist() for scores in lists] for lists in blind.learn_all(lessons)] == [[[3], [2]], [[1], [2]]]
    assert processes == [2]
    assert len(list(blind.learn_all(lessons[:1]))) == 1 and processes == [2], "a single lesson needs no process"


def test_without_training_photographs_there_are_no_blind_scores(tiny, tmp_path, capsys):
    database = SimpleNamespace(plan=SimpleNamespace(folder=tmp_path), folder="coco", split_of=["test"], groups=["a"])
    assert blind_scores(database, collect_texts(tiny, tiny.rows("test")), 100) == {}
    assert "no blind judges: coco has fewer than two training pictures" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_blind_judges_of_a_benchmark_never_learn_from_the_photographs_that_they_score(monkeypatch):
    def judge(true, false, seed):
        learned = {text.split()[-1] for text in (*true, *false)}
        return lambda some: np.array([pytest.fail(text) if text.split()[-1] in learned else 1.0 for text in some])

    monkeypatch.setattr(blind, "JUDGES", {"strict": judge})
    photographs = np.arange(400) // 2
    texts = [f"photograph {n}" for n in photographs]
    said = blind_across(texts, np.arange(400) % 2 == 0, photographs)
    assert (said["strict"] == 1).all()


def test_blind_judges_of_a_benchmark_accept_half_if_classes_are_unequal():
    """Four captions for each false text, and nothing to learn. A judge that learns the frequencies accepts all."""
    captions = scenes_texts(range(200))
    said = blind_across(captions, np.arange(1000) % 5 > 0, np.arange(1000) // 5)
    assert all(0.3 < (scores >= 0).mean() < 0.7 for scores in said.values())
