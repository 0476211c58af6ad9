"""DataBase_functions: splits, batches that depend on nothing but their key, augmentation that keeps captions true."""

import json
import pickle
import random
import shutil
from dataclasses import replace

import pytest
import torch
from batches import MIXED, SWAPS_ALONE, make_dataset, words_of

import DataBase_functions as db
from common import augment
from common.storage import SPLITS
from Config import AugmentConfig, NegativesConfig
from DataBase_functions import Database, EpochSampler, Key, make_loader
from negatives.text import Negative
from sources.scenes import is_true
from Tokenizer_lib import split_words

CPU = torch.device("cpu")


def same(one, other):
    return all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        for a, b in zip(vars(one).values(), vars(other).values())
    )


def test_splits_are_disjoint_by_photograph_and_complete(tiny):
    groups = {split: {tiny.groups[row] for row in tiny.rows(split)} for split in SPLITS}
    assert sum(len(tiny.rows(split)) for split in SPLITS) == len(tiny) == 48
    assert sum(map(len, groups.values())) == len(set().union(*groups.values()))


def test_vocabulary_comes_from_the_train_split_only(tiny):
    counts: dict[str, int] = {}
    for row in tiny.rows("train"):
        for text in tiny.captions(row):
            for word in split_words(text.text):
                counts[word.text] = counts.get(word.text, 0) + 1
    assert tiny.word_counts == counts


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, r"format 99, this version reads 2; build one with: python Database_create\.py"),
        ({"format": None}, r"format None, this version reads 2; .* --overwrite"),
        (None, r"no database at .*; build one with: python Database_create\.py --name other --flickr8k DIR"),
    ],
)
def test_an_absent_database_or_one_of_another_version_is_refused(tiny, tmp_path, change, message):
    folder = tmp_path / "other"
    if change:
        shutil.copytree(tiny.folder, folder)
        state = json.loads((folder / "state.json").read_text())
        (folder / "state.json").write_text(json.dumps(state | change))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        Database(folder)


@pytest.mark.parametrize("kind", ["swap", "exchange", "mined"])
def test_what_makes_a_text_false_is_among_the_words_that_are_read(tiny, kind):
    """Otherwise the hard negative and its caption would be encoded alike."""
    alone = NegativesConfig(**{**dict.fromkeys(("swap", "exchange", "mined"), 0), kind: 1})
    read = 0
    for most in (3, 5, 7, 10):
        dataset = make_dataset(tiny, negatives=alone, max_words=most, captions_per_picture=5)
        for row in range(len(tiny)):
            batch = dataset[Key(0, row)]
            captions, negatives = batch.words.split([len(batch.owner), len(batch.negative_of)])
            assert batch.words.shape[1] <= most
            for negative, of, marks in zip(negatives, batch.negative_of, batch.changed):
                assert not torch.equal(negative, captions[of])
                assert marks.any() == (kind == "swap")
                read += 1
    assert read > {"swap": 1000, "exchange": 5, "mined": 1000}[kind]


def test_without_the_limit_changes_lie_beyond_the_words_that_are_read(tiny):
    """What the test above would find without the limit."""
    plan, beyond = tiny.plan, 0
    for caption in range(len(plan)):
        start = split_words(plan.text(caption))[2].end
        drawn = db.draw_negatives(plan, caption, 2, random.Random(caption), SWAPS_ALONE)
        beyond += sum(all(begin > start for begin, _ in negative.changed) for negative in drawn)
        within = db.draw_negatives(plan, caption, 2, random.Random(caption), SWAPS_ALONE, start)
        assert all(begin < start for negative in within for begin, _ in negative.changed)
    assert beyond > 100


def test_hard_negatives_differ_from_every_caption_and_are_false_of_the_scene(tiny):
    plan, drawn, true = tiny.plan, 0, 0
    for row in range(len(tiny)):
        texts = {caption.text for caption in tiny.captions(row)}
        for which in plan.captions(row):
            for seed in range(5):
                rng = db.seeded(seed, row, which)
                for negative in db.draw_negatives(plan, which, 3, rng, MIXED):
                    drawn += 1
                    assert negative.text not in texts
                    assert negative.kind == "mined" or words_of(negative.text) <= words_of(plan.text(which)) | set(
                        tiny.word_counts
                    )
                    true += is_true(negative.text, tiny.scene(row))
    assert drawn > 2000
    assert true / drawn < 0.01


def test_the_plan_numbers_the_captions_of_the_rows_in_their_order(tiny):
    numbered = [(row, caption.text) for row in range(len(tiny)) for caption in tiny.captions(row)]
    assert [(row, tiny.plan.text(c)) for row in range(len(tiny)) for c in tiny.plan.captions(row)] == numbered
    assert [(row, parse.text) for row in range(len(tiny)) for parse in tiny.parses(row)] == numbered
    assert len(tiny.plan) == len(numbered) == 240
    assert {caption.source for caption in tiny.captions(0)} == {"scenes"}


def test_the_negatives_of_one_draw_are_all_different(tiny):
    counts = []
    for caption in range(len(tiny.plan)):
        drawn = db.draw_negatives(tiny.plan, caption, 4, random.Random(0), NegativesConfig())
        assert len({negative.text for negative in drawn}) == len(drawn) <= 4
        counts.append(len(drawn))
    assert max(counts) == 4


def test_a_batch_depends_on_seed_epoch_and_row_alone(tiny):
    dataset = make_dataset(tiny, AugmentConfig(shift=0.1, flip=0.5))
    keys = [Key(3, row) for row in tiny.rows("train")[:4]]
    batch = dataset.__getitems__(keys)
    torch.manual_seed(99)
    random.seed(99)
    assert same(batch, make_dataset(tiny, AugmentConfig(shift=0.1, flip=0.5)).__getitems__(keys))
    assert not same(batch, dataset.__getitems__([key._replace(epoch=4) for key in keys]))
    alone = dataset[keys[2]]
    assert torch.equal(alone.pictures[0], batch.pictures[2])


def test_a_dataset_survives_the_way_into_a_loader_process(tiny):
    """macOS and Windows start loader processes afresh, with a pickled data set."""
    dataset = make_dataset(tiny, AugmentConfig(shift=0.1))
    stored = pickle.dumps(dataset)
    assert len(stored) < 100_000  # the pictures stay where they are
    assert same(pickle.loads(stored)[Key(0, 3)], dataset[Key(0, 3)])


def test_the_loader_leaves_torch_s_generator_alone(tiny):
    for workers in (0, 1):
        loader, _ = make_loader(make_dataset(tiny, workers=workers), tiny.rows("train"), 1, shuffle=True, device=CPU)
        torch.manual_seed(3)
        before = torch.get_rng_state()
        next(iter(loader))
        assert torch.equal(torch.get_rng_state(), before)


def test_a_batch_is_consistent(tiny):
    dataset = make_dataset(tiny, captions_per_picture=3)
    batch = dataset.__getitems__([Key(0, row) for row in range(6)])
    assert batch.pictures.shape == (6, 3, 64, 64)
    assert batch.pictures.dtype == torch.uint8
    assert batch.owner.tolist() == sorted(list(range(6)) * 3)
    assert len(batch.words) == 18 + len(batch.negative_of)
    own = {tuple(dataset.tokenizer.encode(c.text)) for c in tiny.captions(0)}
    texts = [tuple(line[line != 0].tolist()) for line in batch.words]
    assert set(texts[:3]) <= own
    for negative, of in zip(texts[18:], batch.negative_of.tolist()):
        assert negative != texts[of]


def test_changed_words_are_counted_as_the_tokenizer_counts():
    negative = Negative("Two dogs' red t-shirts, near a fire truck.", "swap", "colour", ((10, 13), (30, 40)))
    words = split_words(negative.text)
    assert [words[i].text for i in db.changed_words(words, negative)] == ["red", "fire", "truck"]
    assert [words[i].text for i in db.changed_words(words[:5], negative)] == ["red"], "the rest is not read"


def test_marked_words_differ_from_the_caption(tiny):
    dataset = make_dataset(tiny, negatives=SWAPS_ALONE)
    batch = dataset.__getitems__([Key(0, row) for row in range(6)])
    captions, negatives = batch.words.split([len(batch.owner), len(batch.negative_of)])
    assert batch.changed.shape == negatives.shape
    assert batch.changed.any(1).all()
    for words, marks, of in zip(negatives, batch.changed, batch.negative_of):
        assert not set(words[marks].tolist()) & set(captions[of].tolist())


@pytest.mark.parametrize("kind", ["exchange", "mined"])
def test_words_of_exchange_and_mined_are_not_marked_as_changed(tiny, kind):
    """So the word loss does not use it."""
    only = NegativesConfig(**dict.fromkeys(("swap", "exchange", "mined"), 0.0) | {kind: 1.0})
    batch = make_dataset(tiny, negatives=only).__getitems__([Key(0, row) for row in range(12)])
    assert len(batch.negative_of) and not batch.changed.any()


def test_loader_processes_change_nothing(tiny):
    batches = []
    for workers in (0, 2):
        dataset = make_dataset(tiny, AugmentConfig(shift=0.1), workers=workers)
        loader, sampler = make_loader(dataset, tiny.rows("train"), 1, shuffle=True, device=CPU)
        sampler.epoch = 2
        batches.append(list(loader))
    assert len(batches[0]) == len(batches[1]) == len(tiny.rows("train")) // 8
    assert all(same(one, other) for one, other in zip(*batches))


def test_training_order_changes_each_epoch_and_validation_is_always_alike():
    sampler = EpochSampler(range(20), 8, seed=0, shuffle=True)
    first = list(sampler)
    sampler.epoch = 1
    second = list(sampler)
    assert len(first) == len(sampler) == 2  # the last four wait for another epoch
    assert [key.row for batch in first for key in batch] != [key.row for batch in second for key in batch]
    fixed = EpochSampler(range(20), 8, seed=0, shuffle=False)
    before = list(fixed)
    fixed.epoch = 7
    assert list(fixed) == before
    assert [key.row for batch in before for key in batch] == list(range(20))
    assert len(list(EpochSampler(range(3), 8, seed=0, shuffle=True))) == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_a_pass_that_begins_in_its_middle_has_the_batches_of_a_whole_one(tiny, workers):
    dataset = make_dataset(tiny, AugmentConfig(shift=0.1), workers=workers)
    loader, sampler = make_loader(dataset, tiny.rows("train"), 1, shuffle=True, device=CPU)
    sampler.epoch = 3
    whole = list(loader)
    sampler.start = 2
    rest = list(loader)
    assert len(whole) == len(loader) == len(sampler) == len(rest) + 2
    assert all(same(one, other) for one, other in zip(whole[2:], rest))
    sampler.epoch, sampler.start = 4, 0
    assert len(list(loader)) == len(whole)


@pytest.mark.parametrize("world", [2, 3, 7])
def test_the_parts_of_a_batch_are_the_batch(tiny, world):
    """7 pictures among 2 or 3 processes: not all have as many."""
    augmentation = AugmentConfig(shift=0.1, crop=0.5)
    keys = [Key(2, row) for row in tiny.rows("train")[:7]]
    whole = make_dataset(tiny, augmentation).__getitems__(keys)
    parts = [make_dataset(tiny, augmentation, part=(rank, world)).__getitems__(keys) for rank in range(world)]
    assert whole.share.pictures == slice(0, 7) and len(whole.pictures) == 7
    assert [part.share.pictures.start for part in parts] == [rank * 7 // world for rank in range(world)]
    assert [len(part.own_words) for part in parts] == [sum(part.share.sizes[1:]) for part in parts]
    captions = torch.cat([part.own_words[: part.share.sizes[1]] for part in parts])
    assert torch.equal(captions, whole.words[: len(whole.owner)])
    assert torch.equal(torch.cat([part.pictures for part in parts]), whole.pictures)
    for part in parts:
        assert same(replace(part, pictures=whole.pictures, shares=whole.shares, rank=0), whole)


def test_a_batch_is_not_divided_among_more_processes_than_it_has_pictures(tiny):
    with pytest.raises(ValueError, match="a batch of 1 pictures cannot be divided among 2 processes"):
        make_dataset(tiny, part=(0, 2))[Key(0, 0)]


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_validation_batches_are_dealt_out(world):
    """20 rows are three batches. Each process gets every size-th one; two of five processes get none."""
    whole = list(EpochSampler(range(20), 8, seed=0, shuffle=False))
    samplers = [EpochSampler(range(20), 8, 0, False, part=(rank, world)) for rank in range(world)]
    dealt = [list(sampler) for sampler in samplers]
    assert [len(sampler) for sampler in samplers] == [len(batches) for batches in dealt]
    assert dealt == [whole[rank::world] for rank in range(world)]


@pytest.mark.parametrize(
    ("text", "mirror", "recolour"),
    [
        ("A dog runs on grass.", True, True),
        ("A dog on the LEFT of a man.", False, True),
        ("A red dog.", True, False),
        ("A man holds a sign.", False, True),
        ("A brightly coloured kite.", True, False),
        ("The leftover food.", True, True),
        ("A left-handed man.", False, True),
        ("A red-haired man.", True, False),
        ("His shirt says hello.", False, True),
        ("The greens of a bluish, pale house.", True, False),
        ("A greenhouse.", True, True),
    ],
)
def test_which_changes_of_the_picture_a_caption_allows(text, mirror, recolour):
    assert db.may_mirror(words_of(text)) is mirror
    assert db.may_recolour(words_of(text)) is recolour
    assert not db.may_mirror(words_of("A dog.") | words_of("To the right."))


def test_one_caption_of_the_batch_is_enough_to_forbid_the_mirror(tiny, monkeypatch):
    """What `augment` may do is decided by the words of all captions that go with the picture."""
    seen = []
    monkeypatch.setattr(db, "augment", lambda picture, *_: augment.prepare(picture, 64))
    monkeypatch.setattr(db, "may_mirror", lambda words: seen.append(words))
    dataset = make_dataset(tiny, AugmentConfig(flip=1.0), captions_per_picture=5)
    for row in range(6):
        dataset[Key(0, row)]
        assert seen.pop() == set().union(*(words_of(caption.text) for caption in tiny.captions(row)))
