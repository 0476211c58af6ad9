"""Rows of the tables, by hand and for random models."""

import numpy as np
import pytest
from false_texts import scenes_texts, texts_of

from common.metrics import Bootstrap
from evaluation.blind import blind_across
from evaluation.rows import make_rows
from evaluation.texts import ALL_KINDS


def test_rows_of_kinds_and_categories_by_hand():
    """Three captions. The last has no swap, so its score counts in no row."""
    texts = texts_of(["x", "y", "z"], {"swap": [("a", "colour", 0), ("b", "number", 1)]})
    false = {kind: np.zeros(0) for kind in ALL_KINDS} | {"swap": np.array([0.6, 0.1])}
    swap, colour, number = make_rows(texts, np.array([0.9, 0.2, 0.1]), false, 0.5, {}, Bootstrap(3, 50))
    # Captions: 0.9 is accepted, 0.2 refused. False texts: 0.6 is accepted, 0.1 refused. 0.9 beats both, 0.2 beats 0.1.
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


def test_geometric_texts_have_rows_by_category_apart_from_swaps():
    false = {"swap": [("a", "number", 0)], "geometric": [("b", "numbers", 0), ("c", "sides", 1), ("d", "numbers", 1)]}
    texts = texts_of(["x", "y"], false)
    scores = {kind: np.zeros(0) for kind in ALL_KINDS}
    scores |= {"swap": np.array([0.1]), "geometric": np.array([0.1, 0.9, 0.8])}
    rows = make_rows(texts, np.array([0.9, 0.9]), scores, 0.5, {}, Bootstrap(2, 20))
    found = {(row.section, row.name): (row.n, row.figures["specificity"].value) for row in rows}
    assert found == {
        ("kind", "swap"): (1, 1.0),
        ("kind", "geometric"): (3, pytest.approx(1 / 3)),
        ("category", "number"): (1, 1.0),
        ("geometric", "numbers"): (2, 0.5),
        ("geometric", "sides"): (1, 0.0),
    }


def test_the_mixture_has_rows_by_source_kind_and_length():
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


def test_the_intervals_of_random_models_contain_a_half(tiny, texts):
    """One in twenty 95 % intervals misses. At most one in ten may, over all rows of ten random models."""
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


def test_a_model_that_uses_only_the_text_does_not_beat_the_blind_judges():
    """The false texts end in a word that no caption has, and the model looks only for this word."""
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
    assert row.beats_blind is False
    coin = np.random.default_rng(0).normal(size=count)
    guessing = {"mixture": {"coin": (coin, coin)}}
    honest = make_rows(texts, cheat[:count], {"mixture": cheat[count:]}, 0.5, guessing, Bootstrap(60, 100))[0]
    assert honest.beats_blind is True
    unknown = make_rows(texts, cheat[:count], {"mixture": cheat[count:]}, 0.5, {}, Bootstrap(60, 100))[0]
    assert unknown.beats_blind is None, "not known without a blind judge"


def test_a_pairwise_tie_within_rounding_does_not_count():
    texts = texts_of(["x", "y"], {"swap": [("a", "colour", 0), ("b", "colour", 1)]})
    false = {kind: np.zeros(0) for kind in ALL_KINDS} | {"swap": np.array([0.5, 0.5])}
    row = make_rows(texts, np.array([0.5 + 1e-7, 0.6]), false, 0.5, {}, Bootstrap(2, 20))[0]
    assert row.figures["pairwise"].value == 0.5
