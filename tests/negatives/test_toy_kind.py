"""A kind is one file, one line in KINDS and a weight: a toy kind reaches the plan, batches, evaluation and scripts."""

import importlib.util
import json
import random
import shutil
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pytest
import torch
from batches import make_dataset
from conftest import ROOT

from Config import NegativesConfig
from DataBase_functions import Database, Key
from evaluation import texts as texts_lib
from Negative_map import KINDS, Plan
from negatives.kind import Kind, PlanPart
from negatives.text import Negative

TOY = "backwards"
MIXED = {"swap", "exchange", "mined"}  # geometric and add have the weight 0 by default


def reverse(text):
    return " ".join(reversed(text.rstrip(".").split()))


class Backwards(Kind):
    """The words of a caption in reverse order. Its plan holds their number; a caption of one word has no negative."""

    name = TOY
    schema: ClassVar = {TOY: pa.list_(pa.int16())}

    def make(self, captions, strings):
        lengths = [len(caption.parse.text.split()) for caption in captions.parsed]
        return PlanPart({TOY: [[n] if n > 1 else [] for n in lengths]}, {"longest": max(lengths)})

    def draw(self, plan, caption, rng, settings, within):
        if within is not None or not plan.numbers(TOY, caption):
            return None
        new = reverse(plan.text(caption))
        return Negative(new, TOY, TOY, ((0, len(new)),))


@dataclass(frozen=True)
class WithToy(NegativesConfig):
    """The line that a new kind adds to `NegativesConfig`."""

    backwards: float = 0.5


ALONE = WithToy(swap=0, exchange=0, mined=0)


@pytest.fixture
def toy(databases, tmp_path, monkeypatch):
    """A copy of the database `tiny`, so that the plan of the other tests is not deleted."""
    monkeypatch.setitem(KINDS, TOY, Backwards())
    folder = tmp_path / "tiny"
    shutil.copytree(databases / "tiny", folder, ignore=shutil.ignore_patterns("negatives", "features"))
    return Database(folder)


def test_every_kind_has_its_weight_and_its_column():
    assert list(NegativesConfig().weights) == list(KINDS)
    assert all(name == kind.name and name in kind.schema for name, kind in KINDS.items())
    columns = [column for kind in KINDS.values() for column in kind.schema]
    assert len(columns) == len(set(columns))


def test_a_weight_that_is_wrong_is_refused():
    for wrong in ({"backwards": -1}, {"swap": 0, "exchange": 0, "mined": 0, "backwards": 0}):
        with pytest.raises(ValueError, match="--negatives: weights must not be negative, nor all 0"):
            WithToy(**wrong)


def test_it_is_planned_and_drawn_in_the_mixture(toy):
    plan = toy.plan
    everything = range(len(plan))
    assert plan.facts["share_with"][TOY] == 1
    assert plan.facts["figures"][TOY] == {"longest": max(len(plan.text(caption).split()) for caption in everything)}
    for opened in (plan, Plan(plan.folder)):
        assert all(opened.has(TOY, caption) for caption in everything)
        assert opened.draw_kind(TOY, 0, random.Random(0)).text == reverse(plan.text(0))
    rng = random.Random(0)
    kinds = Counter(plan.draw(caption, rng, WithToy()).kind for caption in [*everything] * 4)
    assert set(kinds) == MIXED | {TOY}
    # The weights are 0.6, 0.2, 0.2 and 0.5; captions without an exchange get another kind.
    assert 0.5 / 1.5 - 0.04 < kinds[TOY] / kinds.total() < 0.5 / 1.3 + 0.06
    kinds = Counter(plan.draw(caption, rng, WithToy(backwards=0)).kind for caption in everything)
    assert set(kinds) == MIXED


def test_it_is_dumped(toy, tmp_path, capsys, monkeypatch):
    script = ROOT / "Miscellaneous_scripts" / "Dump_negatives.py"
    spec = importlib.util.spec_from_file_location(
        "dump_with_toy", script
    )  # a new module, so that --kind offers the toy
    dump = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(dump)
    where = ["--root", str(tmp_path), "--name", "tiny", "--split", "train"]
    dump.main([*where, "--kind", TOY, "--out", str(tmp_path / "toy.jsonl")])
    assert f" {TOY})" in capsys.readouterr().out
    records = [json.loads(line) for line in (tmp_path / "toy.jsonl").read_text().splitlines()]
    assert len(records) > 50
    assert all(r["kind"] == TOY and r["negative"] == reverse(r["positive"]) for r in records)
    monkeypatch.setattr(dump, "NegativesConfig", WithToy)
    dump.main([*where, "--out", str(tmp_path / "mixture.jsonl")])
    kinds = Counter(json.loads(line)["kind"] for line in (tmp_path / "mixture.jsonl").read_text().splitlines())
    assert kinds[TOY] > 0.2 * kinds.total()


@pytest.mark.parametrize("changed_words_are_false", [False, True])
def test_it_reaches_a_training_batch(toy, monkeypatch, changed_words_are_false):
    monkeypatch.setattr(Backwards, "changed_words_are_false", changed_words_are_false)
    batch = make_dataset(toy, negatives=ALONE, max_words=60)[Key(0, toy.rows("train")[0])]
    captions, negatives = batch.words.split([len(batch.owner), len(batch.negative_of)])
    assert len(negatives) == len(captions) > 0
    for negative, of, marks in zip(negatives, batch.negative_of, batch.changed):
        words = negative[negative > 0]
        assert torch.equal(words.flip(0), captions[of][captions[of] > 0])
        assert marks.sum() == (len(words) if changed_words_are_false else 0)


def test_it_reaches_the_false_texts_of_an_evaluation(toy, monkeypatch):
    monkeypatch.setattr(texts_lib, "MIXTURE", WithToy())
    texts = texts_lib.collect_texts(toy, toy.rows("test"), (*KINDS, "mixture"))
    backwards = texts.false[TOY]
    assert len(backwards.of) == len(texts.captions)
    assert [negative.text for negative in backwards.texts] == [reverse(text) for text in texts.captions]
    assert {negative.kind for negative in texts.false["mixture"].texts} == MIXED | {TOY}
