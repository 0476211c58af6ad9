"""Evaluation_lib: false texts that depend on the database alone, and judges that find what gives them away."""

import json
import random
import shutil
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import Evaluation_lib
from DataBase_functions import Database
from Evaluation_lib import (
    ALL_KINDS,
    IN_BATCH,
    JUDGES,
    MIXTURE,
    FalseTexts,
    Texts,
    blind_control,
    collect_texts,
    foreign_captions,
)
from Negative_map import Negative
from Negative_plan import KINDS
from Scenes_lib import make_scene, write_captions
from Tokenizer_lib import split_words


@pytest.fixture(scope="module")
def tiny(databases, tmp_path_factory):
    """A copy: what the judges reach is kept beside the plan."""
    folder = tmp_path_factory.mktemp("evaluated") / "tiny"
    shutil.copytree(databases / "tiny", folder, ignore=lambda _, names: {"features"} & {*names})
    return Database(folder)


@pytest.fixture(scope="module")
def texts(tiny):
    return collect_texts(tiny, tiny.rows("train"))


def scenes_texts(seeds):
    return [text for seed in seeds for text in write_captions(make_scene(seed), seed)]


# Texts


def test_false_texts_depend_on_the_database_alone(tiny, texts):
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    again = collect_texts(Database(tiny.folder), tiny.rows("train"))
    assert again.captions == texts.captions
    assert (again.owner == texts.owner).all()
    for kind in ALL_KINDS:
        assert again.false[kind].texts == texts.false[kind].texts
        assert (again.false[kind].of == texts.false[kind].of).all()


def test_a_caption_s_false_texts_do_not_depend_on_the_other_captions(tiny, texts):
    rows = tiny.rows("train")
    few = collect_texts(tiny, rows[5:9])
    first = len(few.captions) // 4 * 5
    for kind in ("mixture", *KINDS):
        whole = dict(zip(texts.false[kind].of.tolist(), texts.false[kind].texts))
        part = dict(zip((few.false[kind].of + first).tolist(), few.false[kind].texts))
        assert part == {i: text for i, text in whole.items() if first <= i < first + len(few.captions)}


def test_captions_and_owners_are_those_of_the_rows(tiny, texts):
    rows = tiny.rows("train")
    expected = [(n, caption.text) for n, row in enumerate(rows) for caption in tiny.captions(row)]
    assert list(zip(texts.owner.tolist(), texts.captions)) == expected


def test_every_kind_is_there_and_set_against_its_caption(texts):
    assert tuple(texts.false) == ALL_KINDS
    for kind in KINDS:
        false = texts.false[kind]
        assert len(false.texts) == len(false.of) > 10
        assert {negative.kind for negative in false.texts} == {kind}
        assert (np.diff(false.of) > 0).all(), "at most one for each caption"
        assert false.categories.tolist() == [negative.category for negative in false.texts]
        for i, negative in zip(false.of, false.texts):
            assert negative.text != texts.captions[i]
    assert set(texts.false["mined"].categories) == {"mined"}
    assert {"colour", "number"} <= set(texts.false["swap"].categories)
    mixed = texts.false["mixture"]
    assert {negative.kind for negative in mixed.texts} == set(KINDS)
    swaps = sum(negative.kind == "swap" for negative in mixed.texts) / len(mixed.texts)
    assert swaps >= MIXTURE.swap / (MIXTURE.swap + MIXTURE.exchange + MIXTURE.mined) - 0.1


def test_foreign_captions_are_of_another_photograph(tiny, texts):
    foreign = texts.false[IN_BATCH]
    assert foreign.of.tolist() == list(range(len(texts.captions)))
    groups = [tiny.groups[tiny.rows("train")[n]] for n in texts.owner]
    of_text = dict(zip(texts.captions, groups))
    for i, negative in enumerate(foreign.texts):
        assert of_text[negative.text] != groups[i]
        own, other = ({word.text for word in split_words(text)} for text in (texts.captions[i], negative.text))
        assert {word.text for a, b in negative.changed for word in split_words(negative.text[a:b])} == other - own


def test_foreign_captions_are_random_but_never_of_the_same_group():
    groups = np.array(["a"] * 50 + ["b"] * 3 + ["a"] * 5)
    foreign = foreign_captions(groups)
    assert (groups[foreign] != groups).all()
    assert set(foreign[groups == "a"].tolist()) == {50, 51, 52}
    assert (foreign_captions(groups) == foreign).all()


@pytest.mark.parametrize("groups", [["a", "a"], ["a"], []])
def test_one_photograph_has_no_foreign_caption(groups):
    with pytest.raises(ValueError, match="at least two photographs"):
        foreign_captions(np.array(groups))


# The judges

TRAINED, TESTED = range(0, 100), range(100, 140)


def accuracy(judge, true, false):
    return (judge(true).mean() + (~judge(false)).mean()) / 2


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
def test_judges_guess_where_false_texts_are_captions_themselves(name):
    captions = scenes_texts(range(200))
    true, false = captions[::2], captions[1::2]
    judge = JUDGES[name](true[:300], false[:300], 0)
    assert accuracy(judge, true[300:], false[300:]) == pytest.approx(0.5, abs=0.08)
    assert accuracy(judge, true[:300], false[:300]) > 0.6, "it has learned these by heart, so it does learn"


def test_the_lstm_finds_an_order_that_no_pair_of_words_tells():
    """Captions name their animals in the order of the alphabet. Both texts have the same neighbours, equally often."""
    rng = random.Random(0)

    def texts(backwards, count):
        named = (sorted(rng.sample(("cat", "dog", "fox", "horse"), 2), reverse=backwards) for _ in range(count))
        return [f"There is a {one} and a {two} and a bird." for one, two in named]

    true, false = texts(False, 1000), texts(True, 1000)
    assert Counter(Evaluation_lib.words_and_pairs(true[0])) == Counter(
        Evaluation_lib.words_and_pairs("There is a {} and a {} and a bird.".format(*_animals(true[0])[::-1]))
    )
    reached = {name: accuracy(JUDGES[name](true, false, 0), texts(False, 200), texts(True, 200)) for name in JUDGES}
    assert reached["lstm"] > 0.95
    assert reached["tfidf"] == pytest.approx(0.5, abs=0.08)


def _animals(text):
    return [word for word in text.split() if word in ("cat", "dog", "fox", "horse")]


@pytest.mark.parametrize("name", JUDGES)
def test_a_judge_is_the_same_each_time_and_leaves_torch_as_it_was(name):
    true, false = scenes_texts(range(30)), [f"Here: {text}" for text in scenes_texts(range(30))]
    torch.manual_seed(5)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    judge = JUDGES[name](true, false, 0)
    verdict = judge(true + false)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    torch.manual_seed(6)
    assert (JUDGES[name](true, false, 0)(true + false) == verdict).all()
    assert verdict.dtype == bool and verdict.shape == (300,)


def test_the_thread_count_comes_back_after_an_error_too():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyboardInterrupt), Evaluation_lib._one_thread():
            assert torch.get_num_threads() == 1
            raise KeyboardInterrupt
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


# The blind control


def test_the_blind_control_has_figures_for_every_kind_and_is_kept(tiny, monkeypatch):
    test = collect_texts(tiny, tiny.rows("test"))
    found = blind_control(tiny, test, 150)
    kinds = {kind for kind in ALL_KINDS if len(test.false[kind].of)}
    assert set(found) == kinds | {f"swap: {category}" for category in test.false["swap"].categories}
    assert {"mixture", "swap", "mined", IN_BATCH} <= kinds
    for figures in found.values():
        assert set(figures) == set(JUDGES)
        assert all(0 <= value <= 1 for value in figures.values())

    monkeypatch.setattr(Evaluation_lib, "JUDGES", dict.fromkeys(JUDGES, lambda *_: pytest.fail("it was judged again")))
    assert blind_control(Database(tiny.folder), test, 150) == found
    (kept,) = tiny.plan.folder.glob("blind_150_*.json")
    assert json.loads(kept.read_text())["train_captions"] == 150
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"format": 99}))
    with pytest.raises(pytest.fail.Exception, match="judged again"):
        blind_control(tiny, test, 150)


def test_the_blind_control_s_figures_by_hand(tmp_path, monkeypatch):
    """A judge that takes every text with an "x" for true: 1 of 2 captions, and 1 of 2 false texts."""

    def texts(*false):
        negatives = [Negative(text, "swap", category, ((0, 1),)) for text, category in false]
        nothing = FalseTexts([], np.zeros(0, dtype=np.int64))
        swaps = FalseTexts(negatives, np.array([0, 1]))
        return Texts(["x a", "b"], np.array([0, 1]), dict.fromkeys(ALL_KINDS, nothing) | {"swap": swaps})

    learned = []

    def judge(true, false, seed):
        learned.append((true, false))
        return lambda some: np.array(["x" in text for text in some])

    class Two:
        """A database of two photographs with a caption each, and its plan."""

        folder = tmp_path

        def __len__(self):
            return 2

        def rows(self, split):
            return [0, 1]

    database = Two()
    database.plan = Two()
    monkeypatch.setattr(Evaluation_lib, "JUDGES", {"x": judge})
    monkeypatch.setattr(Evaluation_lib, "collect_texts", lambda *_: texts(("c", "colour"), ("d", "colour")))
    found = blind_control(database, texts(("x e", "colour"), ("f", "number")), 10)
    # Of colour: its caption is taken (right) and so is its false text (wrong). Of number: both are refused.
    assert found == {"swap": {"x": 0.5}, "swap: colour": {"x": 0.5}, "swap: number": {"x": 0.5}}
    assert learned == [(["x a", "b"], ["c", "d"])]


def test_without_training_photographs_there_is_no_blind_control(tiny, tmp_path):
    def empty(split):
        raise ValueError(f"the {split} split is empty")

    database = SimpleNamespace(plan=SimpleNamespace(folder=tmp_path), rows=empty)
    assert blind_control(database, collect_texts(tiny, tiny.rows("test")), 100) == {}
    assert not list(tmp_path.iterdir())
