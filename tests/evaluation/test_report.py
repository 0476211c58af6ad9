"""evaluation.report: false texts that depend on the database alone, and judges that find what gives them away."""

import random
import shutil
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from common.metrics import Bootstrap
from DataBase_functions import Database
from evaluation import report
from evaluation.benchmarks import Benchmark, Claim
from evaluation.report import (
    ALL_KINDS,
    IN_BATCH,
    JUDGES,
    MIXTURE,
    FalseTexts,
    Texts,
    blind_across,
    blind_control,
    collect_texts,
    find_leaks,
    foreign_captions,
    judge_benchmark,
    make_rows,
)
from Negative_map import KINDS
from negatives.text import Negative
from sources.scenes import make_scene, write_captions
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
    assert Counter(report.words_and_pairs(true[0])) == Counter(
        report.words_and_pairs("There is a {} and a {} and a bird.".format(*_animals(true[0])[::-1]))
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
    assert verdict.dtype.kind == "f" and verdict.shape == (300,)


def test_the_thread_count_comes_back_after_an_error_too():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyboardInterrupt), report._one_thread():
            assert torch.get_num_threads() == 1
            raise KeyboardInterrupt
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


# The blind control


def test_the_blind_control_judges_every_kind_and_is_kept(tiny, monkeypatch):
    test = collect_texts(tiny, tiny.rows("test"))
    found = blind_control(tiny, test, 150)
    kinds = {kind for kind in ALL_KINDS if len(test.false[kind].of)}
    assert set(found) == kinds >= {"mixture", "swap", "mined", IN_BATCH}
    for kind, said in found.items():
        assert set(said) == set(JUDGES)
        assert all(len(side) == len(test.false[kind].of) for both in said.values() for side in both)

    monkeypatch.setattr(report, "JUDGES", dict.fromkeys(JUDGES, lambda *_: pytest.fail("it was judged again")))
    again = blind_control(Database(tiny.folder), test, 150)
    for kind, said in found.items():
        for judge, both in said.items():
            np.testing.assert_array_equal(again[kind][judge], both)
    (kept,) = tiny.plan.folder.glob("blind_*_150_*.npz")
    kept.unlink()
    with pytest.raises(pytest.fail.Exception, match="judged again"):
        blind_control(tiny, test, 150)


NOTHING = FalseTexts([], np.zeros(0, dtype=np.int64))


def texts_of(captions, false, owner=None, sources=None, kinds=None):
    """false: kind -> [(text, category, caption it is set against)]"""
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


def test_the_blind_control_by_hand(tmp_path, monkeypatch):
    """A judge that takes every text with an "x" for true learns from the train split, and judges the test split."""
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
    monkeypatch.setattr(report, "JUDGES", {"x": judge})
    monkeypatch.setattr(report, "collect_texts", lambda *_: train)
    found = blind_control(database, test, 10)
    assert learned == [(["x a", "b"], ["c", "d"])]
    np.testing.assert_array_equal(found["swap"]["x"], [[1, -1], [1, -1]])
    true, false = np.array([0.9, 0.2]), {kind: np.zeros(0) for kind in ALL_KINDS} | {"swap": np.array([0.1, 0.3])}
    swap, colour, number = make_rows(test, true, false, 0.5, found, Bootstrap(2, 20))
    # Of colour: its caption is taken (right) and so is its false text (wrong). Of number: both are refused.
    assert [row.blind["x"][0] for row in (swap, colour, number)] == [0.5] * 3
    assert swap.blind_pairwise == {"x": 0.5}, "two ties: it would guess"


def test_rows_of_kinds_and_categories_by_hand():
    """Three captions, of which the last has no swap: its score counts in no row."""
    texts = texts_of(["x", "y", "z"], {"swap": [("a", "colour", 0), ("b", "number", 1)]})
    false = {kind: np.zeros(0) for kind in ALL_KINDS} | {"swap": np.array([0.6, 0.1])}
    swap, colour, number = make_rows(texts, np.array([0.9, 0.2, 0.1]), false, 0.5, {}, Bootstrap(3, 50))
    # 0.9 is taken and 0.2 refused; of the false ones 0.6 is taken and 0.1 refused. 0.9 beats both, 0.2 beats 0.1.
    assert (swap.section, swap.name, swap.n, swap.photographs) == ("kind", "swap", 2, 2)
    values = {name: found.value for name, found in swap.figures.items()}
    assert values == pytest.approx(
        {
            **{"balanced_accuracy": 0.5, "recall": 0.5, "specificity": 0.5, "roc_auc": 0.75, "pairwise": 1.0},
            "average_precision": 0.5 * 1 + 0.5 * 2 / 3,
        }
    )
    assert (colour.section, colour.name, colour.n) == ("category", "colour", 1)
    assert (number.section, number.name, number.n) == ("category", "number", 1)
    assert [row.figures["recall"].value for row in (colour, number)] == [1, 0]
    assert [row.figures["specificity"].value for row in (colour, number)] == [0, 1]
    assert swap.blind == {}
    as_json = swap.as_json()
    assert as_json["recall"].keys() == {"value", "low", "high"} and as_json["n"] == 2


def test_the_mixture_is_told_apart_by_source_kind_and_length():
    captions = ["two words", "one two three four five six seven eight nine", "a b c"]
    false = {"mixture": [("a", "colour", 0), ("b", "colour", 1), ("c", "colour", 2)]}
    texts = texts_of(captions, false, sources=["coco", "coco", "ade20k"], kinds=["caption", "narrative", "caption"])
    scores = {kind: np.zeros(0) for kind in ALL_KINDS} | {"mixture": np.array([0.1, 0.9, 0.1])}
    rows = make_rows(texts, np.array([0.9, 0.9, 0.9]), scores, 0.5, {}, Bootstrap(3, 20))
    found = {(row.section, row.name): (row.n, row.figures["balanced_accuracy"].value) for row in rows}
    assert found == {
        ("kind", "mixture"): (3, pytest.approx(5 / 6)),
        ("source", "ade20k"): (1, 1.0),
        ("source", "coco"): (2, 0.75),
        ("caption", "caption"): (2, 1.0),
        ("caption", "narrative"): (1, 0.5),
        ("length", "1 to 8 words"): (2, 1.0),
        ("length", "9 to 12 words"): (1, 0.5),
    }


def test_a_random_model_reaches_a_half_within_its_interval_everywhere(tiny, texts):
    """Of 95 % intervals one in twenty misses; over ten random models of all rows at most one in ten may."""
    boot = Bootstrap(len(tiny.rows("train")), 300)
    missed = total = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        true, false = rng.random(len(texts.captions)), {k: rng.random(len(x.of)) for k, x in texts.false.items()}
        for row in make_rows(texts, true, false, 0.5, {}, boot):
            if row.n >= 30:
                for name in ("balanced_accuracy", "roc_auc", "pairwise"):
                    _, low, high = row.figures[name]
                    total += 1
                    missed += not low <= 0.5 <= high
    assert total > 200
    assert missed / total < 0.1


def test_a_model_that_sees_only_the_text_is_caught_by_the_blind_column():
    """Its false texts end in a word that no caption has, and it looks for that word alone."""
    captions = scenes_texts(range(60))
    count = len(captions)
    owner = np.arange(count) // 5
    false = [f"{text.removesuffix('.')} indeed." for text in captions]
    label, both = np.repeat([True, False], count), [*captions, *false]
    said = blind_across(both, label, np.tile(owner, 2))
    cheat = np.array([0.0 if "indeed" in text else 1.0 for text in both])
    texts = texts_of(captions, {"mixture": [(text, "", i) for i, text in enumerate(false)]}, owner=owner)
    blind = {"mixture": {judge: (scores[:count], scores[count:]) for judge, scores in said.items()}}
    row = make_rows(texts, cheat[:count], {"mixture": cheat[count:]}, 0.5, blind, Bootstrap(60, 100))[0]
    assert row.figures["balanced_accuracy"].value == 1
    assert row.blind["tfidf"][0] > 0.95 and row.blind["lstm"][0] > 0.75, "the LSTM has 240 captions to learn from"
    assert row.tells_more_than_text is False
    coin = np.random.default_rng(0).normal(size=count)
    guessing = {"mixture": {"coin": (coin, coin)}}
    honest = make_rows(texts, cheat[:count], {"mixture": cheat[count:]}, 0.5, guessing, Bootstrap(60, 100))[0]
    assert honest.tells_more_than_text is True
    unknown = make_rows(texts, cheat[:count], {"mixture": cheat[count:]}, 0.5, {}, Bootstrap(60, 100))[0]
    assert unknown.tells_more_than_text is None, "without a judge nobody can tell"


# External benchmarks


def claims_of(*rows):
    return [Claim(*row) for row in rows]


def test_a_pairwise_benchmark_by_hand():
    """Unit 0: both captions above the negative. Unit 1: only one of them. Unit 2 lacks its negative."""
    claims = claims_of(
        *(("a.jpg", "t", 1, "swap", 0), ("a.jpg", "u", 1, "swap", 0), ("a.jpg", "v", 0, "swap", 0)),
        *(("b.jpg", "t", 1, "add", 1), ("b.jpg", "u", 1, "add", 1), ("b.jpg", "v", 0, "add", 1)),
        ("c.jpg", "t", 1, "add", 2),
    )
    scores = np.array([0.9, 0.8, 0.1, 0.9, 0.3, 0.6, 0.9])
    benchmark = Benchmark("sugarcrepe++", "pairwise", claims, [])
    everything, add, swap = judge_benchmark(benchmark, scores, np.array([0, 0, 0, 1, 1, 1, 2]), 0.5, Bootstrap(3, 50))
    assert [(row.section, row.name, row.n) for row in (everything, add, swap)] == [
        *(("sugarcrepe++", "all", 2), ("sugarcrepe++", "add", 1), ("sugarcrepe++", "swap", 1))
    ]
    assert [row.figures["pairwise"].value for row in (everything, add, swap)] == [0.5, 0, 1]
    assert everything.figures["recall"].value == pytest.approx(4 / 5)
    assert everything.figures["specificity"].value == 0.5
    assert everything.blind == {}, "too few to learn from"


def test_ratings_by_hand():
    claims = claims_of(*((f"{i}.jpg", "t", rating, "", i) for i, rating in enumerate((1, 2, 3, 4, 4))))
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.05])
    (row,) = judge_benchmark(
        Benchmark("flickr8k-expert", "ratings", claims, [], "c"), scores, np.arange(5), 0.5, Bootstrap(5, 50)
    )
    # Of 10 pairs one is tied, 6 agree, 3 (with the last) do not: tau-c = 2 (6 - 3) / (25 (4 - 1) / 4)
    assert row.figures["kendall_tau_c"].value == pytest.approx(2 * 3 / (25 * 3 / 4))
    assert row.figures["roc_auc"].value == 0.5  # 4 against 1: 0.4 is above 0.1, and 0.05 is not


@pytest.mark.parametrize(
    ("scores", "text", "image"),
    [
        ([0.9, 0.8, 0.1, 0.2], 1, 1),
        ([0.9, 0.3, 0.1, 0.5], 0, 1),  # picture 1 prefers caption 0, which prefers picture 0 all the same
        ([0.9, 0.3, 0.5, 0.1], 1, 0),
        ([0.5, 0.5, 0.5, 0.5], 0, 0),
    ],
)
def test_winoground_by_hand(scores, text, image):
    claims = claims_of(*((f"{p}.jpg", f"t{t}", float(p == t), "", 0) for p, t in ((0, 0), (1, 1), (0, 1), (1, 0))))
    benchmark = Benchmark("winoground", "winoground", claims, [])
    (row,) = judge_benchmark(benchmark, np.array(scores), np.array([0, 1, 0, 1]), 0.5, Bootstrap(2, 20))
    found = {name: row.figures[f"{name}_score"].value for name in ("text", "image", "group")}
    assert found == {"text": text, "image": image, "group": text * image}


def test_blind_judges_of_a_benchmark_never_learn_from_the_photographs_they_judge(monkeypatch):
    def judge(true, false, seed):
        learned = {text.split()[-1] for text in (*true, *false)}
        return lambda some: np.array([pytest.fail(text) if text.split()[-1] in learned else 1.0 for text in some])

    monkeypatch.setattr(report, "JUDGES", {"strict": judge})
    photographs = np.arange(400) // 2
    texts = [f"photograph {n}" for n in photographs]
    said = blind_across(texts, np.arange(400) % 2 == 0, photographs)
    assert (said["strict"] == 1).all()


def test_leaks_are_found_by_name_and_by_look(tiny, tmp_path):
    """One picture is known by its name, one by what it shows, and one is new."""
    train, other = tiny.rows("train")[0], tiny.rows("test")[0]
    names = {"COCO_val2014_000000000009.jpg": "coco:9", "holiday.jpg": None, "new.jpg": "coco:10"}
    with pytest.raises(ValueError, match="does not tell what it was trained on"):
        find_leaks(tmp_path, None, names)
    (tmp_path / "photographs.txt").write_text("coco:9\n")

    def pictures():
        return iter([tiny.picture(other), tiny.picture(train).resize((90, 90)), tiny.picture(other)])

    assert find_leaks(tmp_path, tiny, names, pictures) == ["COCO_val2014_000000000009.jpg", "holiday.jpg"]
    assert find_leaks(tmp_path, tiny, names) == find_leaks(tmp_path, None, names) == ["COCO_val2014_000000000009.jpg"]
    assert find_leaks(tmp_path, tiny, {"a": tiny.groups[train]}) == ["a"], "the database knows more than the list"


def test_a_pairwise_tie_within_rounding_is_lost():
    texts = texts_of(["x", "y"], {"swap": [("a", "colour", 0), ("b", "colour", 1)]})
    false = {kind: np.zeros(0) for kind in ALL_KINDS} | {"swap": np.array([0.5, 0.5])}
    row = make_rows(texts, np.array([0.5 + 1e-7, 0.6]), false, 0.5, {}, Bootstrap(2, 20))[0]
    assert row.figures["pairwise"].value == 0.5


def test_without_training_photographs_there_is_no_blind_control(tiny, tmp_path, capsys):
    database = SimpleNamespace(plan=SimpleNamespace(folder=tmp_path), folder="coco", split_of=["test"], groups=["a"])
    assert blind_control(database, collect_texts(tiny, tiny.rows("test")), 100) == {}
    assert "no blind control: coco has no two training photographs" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_blind_judges_of_a_benchmark_cut_in_the_middle_where_classes_are_unequal():
    """Four captions to one false text, and nothing to learn: who learned their share would take all for true."""
    captions = scenes_texts(range(200))
    said = blind_across(captions, np.arange(1000) % 5 > 0, np.arange(1000) // 5)
    assert all(0.3 < (scores >= 0).mean() < 0.7 for scores in said.values())
