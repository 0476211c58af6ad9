"""The false texts of an evaluation depend only on the database."""

import random
from collections import Counter

import numpy as np
import pytest
import torch

from DataBase_functions import Database
from evaluation.texts import ALL_KINDS, IN_BATCH, MIXTURE, collect_texts, foreign_captions
from Negative_map import KINDS
from Tokenizer_lib import split_words


def test_false_texts_depend_only_on_the_database(tiny, texts):
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


def test_every_kind_has_false_texts_of_its_captions(texts):
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
    weighted = {kind for kind, weight in MIXTURE.weights.items() if weight > 0}
    assert {negative.kind for negative in mixed.texts} == weighted
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
    with pytest.raises(ValueError, match="at least two pictures"):
        foreign_captions(np.array(groups))


def test_a_kind_outside_the_mixture_has_a_limited_number_of_texts(tiny, texts):
    few = collect_texts(tiny, tiny.rows("train"), most=3)
    for kind in ALL_KINDS:
        if kind not in ("geometric", "add"):
            assert few.false[kind].texts == texts.false[kind].texts
    everything, some = texts.false["geometric"], few.false["geometric"]
    counts = Counter(everything.categories.tolist())
    assert Counter(some.categories.tolist()) == {category: min(n, 3) for category, n in counts.items()}
    assert max(counts.values()) > 3
    whole = dict(zip(everything.of.tolist(), everything.texts))
    assert all(whole[i] == text for i, text in zip(some.of.tolist(), some.texts))
    assert some.of[-1] > everything.of[len(everything.of) // 2], "evenly spaced"
