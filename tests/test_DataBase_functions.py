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
from common.grounding import Grounding, Tags
from common.regions import Region, View
from common.storage import SPLITS
from Config import AugmentConfig, NegativesConfig
from DataBase_functions import Database, EpochSampler, Key, make_loader
from negatives.text import Negative
from sources.scenes import is_true
from Tokenizer_lib import split_words

CPU = torch.device("cpu")


def same(one, other):
    pairs = [*zip(vars(one).values(), vars(other).values()), *zip(one.grounding, other.grounding)]
    return all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        for a, b in pairs
        if not isinstance(a, (Grounding, Tags))
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
        ({"format": 99}, r"format 99, this version reads 3; build one with: python Database_create\.py"),
        ({"format": None}, r"state\.json: format is null, not a whole number; .* --overwrite"),
        ({"format": 2}, r"format 2, this version reads 3; .* --overwrite"),
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
        assert same(
            replace(part, pictures=whole.pictures, shares=whole.shares, rank=0, grounding=whole.grounding), whole
        )


@pytest.mark.parametrize("world", [2, 3, 7])
def test_each_process_has_the_boxes_of_its_own_captions(tiny, world):
    augmentation = AugmentConfig(shift=0.1, crop=0.5, flip=0.5)
    keys = [Key(2, row) for row in tiny.rows("train")[:7]]
    whole = make_dataset(tiny, augmentation).__getitems__(keys)
    expected = boxes_of_words(whole)
    assert len(expected) > 30
    found = {}
    for rank in range(world):
        part = make_dataset(tiny, augmentation, part=(rank, world)).__getitems__(keys)
        own = boxes_of_words(part)
        captions = range(part.share.captions.start, part.share.captions.stop)
        assert own and all(caption in captions for caption, _ in own)
        assert torch.equal(part.grounding.total, whole.grounding.total), "all processes divide by the same number"
        found |= own
    assert found == expected


def boxes_of_words(batch):
    """(caption, word) -> boxes, for every word with a region."""
    region_of, boxes, _ = batch.grounding
    assert region_of.shape == (len(batch.owner), batch.words.shape[1]) and boxes.dtype == torch.float32
    places = region_of.nonzero().tolist()
    return {(t, n): [tuple(box) for box in boxes[region_of[t, n] - 1].tolist() if any(box)] for t, n in places}


def stored_boxes(database, dataset, key):
    """The same for one photograph, from the row of the database: the words that are read of each drawn caption."""
    drawn = dataset.texts(key.row, db.seeded(dataset.seed, key.epoch, database.ids[key.row]))
    row, first = database.table.column("captions")[key.row].as_py(), dataset.plan.captions(key.row).start
    found = {}
    for t, caption in enumerate(drawn):
        stored = row[caption.number - first]
        for n, word in enumerate(split_words(stored["text"])[: dataset.data.max_words]):
            for region in stored["regions"]:
                if region["start"] <= word.start and word.end <= region["end"]:
                    found[t, n] = [tuple(box) for box in region["boxes"]]
    return found


@pytest.mark.parametrize("most", [64, 4])
def test_words_have_the_boxes_of_their_regions(tiny, most):
    dataset = make_dataset(tiny, captions_per_picture=3, max_words=most)
    words = 0
    for row in range(12):
        batch = dataset[Key(0, row)]
        expected = stored_boxes(tiny, dataset, Key(0, row))
        assert boxes_of_words(batch) == expected
        assert batch.grounding.total == len(expected)
        words += len(expected)
    assert words > (150 if most == 64 else 40)


def test_boxes_are_mirrored_with_the_picture(tiny):
    """All words of scenes without a side: their boxes are mirrored, and the pixels are."""
    plain, mirrored = (make_dataset(tiny, augmentation) for augmentation in (None, AugmentConfig(flip=1.0)))
    seen = 0
    for row in range(24):
        one, other = plain[Key(0, row)], mirrored[Key(0, row)]
        if torch.equal(one.pictures.flip(-1), other.pictures):
            expected = {
                word: [(1 - c, b, 1 - a, d) for a, b, c, d in boxes] for word, boxes in boxes_of_words(one).items()
            }
            found = boxes_of_words(other)
            assert found.keys() == expected.keys()
            for word, boxes in found.items():
                torch.testing.assert_close(torch.tensor(boxes), torch.tensor(expected[word]), atol=1e-6, rtol=0)
            seen += len(found)
        else:
            assert torch.equal(one.pictures, other.pictures) and boxes_of_words(one) == boxes_of_words(other)
    assert seen > 30


@pytest.mark.parametrize(
    ("changes", "may_stay"), [({"flip": 1.0}, db.may_mirror), ({"grey": 1.0}, db.may_recolour)], ids=["flip", "grey"]
)
def test_the_tags_of_a_changed_picture_stay_true(tiny, changes, may_stay):
    """One caption is drawn and decides; the others say sides and colours that are now false."""
    plain, changed = (make_dataset(tiny, one, captions_per_picture=1) for one in (None, AugmentConfig(**changes)))
    left_out = 0
    for row in range(len(tiny)):
        one, other = plain[Key(0, row)], changed[Key(0, row)]
        before, after = (batch.tags.word.tolist() for batch in (one, other))
        if torch.equal(one.pictures, other.pictures):
            assert after == before
            continue
        words = [word for word in before if may_stay({plain.tokenizer.decode([word])})]
        assert after == words
        left_out += len(before) - len(words)
    assert left_out > 5


def test_a_word_whose_box_a_crop_lost_has_none(tiny):
    plain, cropped = (make_dataset(tiny, augmentation) for augmentation in (None, AugmentConfig(crop=0.1)))
    lost = kept = 0
    for row in range(24):
        before, batch = boxes_of_words(plain[Key(0, row)]), cropped[Key(0, row)]
        after = boxes_of_words(batch)
        assert set(after) <= set(before) and batch.grounding.total == len(before)
        assert all(len(boxes) == len(before[word]) for word, boxes in after.items()), "all boxes of a word or none"
        assert all(0 <= side <= 1.000001 for boxes in after.values() for box in boxes for side in box)
        lost, kept = lost + len(before) - len(after), kept + len(after)
    assert lost > 30 and kept > 30


def drawn(text, *regions, most=64):
    """A caption with regions of these (words, boxes)."""
    spans = [(text.index(words), words, boxes) for words, boxes in regions]
    found = tuple(Region(start, start + len(words), boxes) for start, words, boxes in spans)
    return db.DrawnCaption(0, [1], frozenset(), split_words(text)[:most], found, [])


SMALL, LARGE, FAR = (0.1, 0.1, 0.3, 0.3), (0.0, 0.0, 0.5, 0.5), (0.8, 0.8, 1.0, 1.0)


def test_a_word_in_two_spans_has_the_boxes_of_the_shorter_one():
    caption = drawn("a man in a red hat runs", ("a man in a red hat", (LARGE,)), ("a red hat", (SMALL, SMALL)))
    region_of, boxes, total = db.ground([caption], [View()], 8)
    assert region_of.tolist() == [[1, 1, 1, 2, 2, 2, 0, 0]] and total == 6
    torch.testing.assert_close(boxes[0], torch.tensor([LARGE, (0, 0, 0, 0)]))
    torch.testing.assert_close(boxes[1], torch.tensor([SMALL, SMALL]))


def test_if_the_view_has_lost_the_shorter_span_its_words_have_no_boxes():
    """The hat is not where the man is seen."""
    caption = drawn("a man in a red hat runs", ("a man in a red hat", (LARGE,)), ("a red hat", (FAR,)))
    region_of, boxes, total = db.ground([caption], [View((0.0, 0.0, 0.7, 0.7))], 7)
    assert region_of.tolist() == [[1, 1, 1, 0, 0, 0, 0]] and total == 6
    assert boxes.shape == (1, 1, 4)


def test_captions_of_other_processes_and_words_that_are_not_read_have_no_boxes():
    one = drawn("two dogs near a cat", ("two dogs", (SMALL, FAR)), ("a cat", (LARGE,)), most=4)
    region_of, boxes, total = db.ground([one, one], [None, View()], 6)
    assert region_of.tolist() == [[0] * 6, [1, 1, 0, 2, 0, 0]] and total == 6
    assert boxes.shape == (2, 2, 4)
    cut = drawn("two dogs near a cat", ("a cat", (LARGE,)), most=3)
    region_of, boxes, total = db.ground([cut], [View()], 3)
    assert not region_of.any() and total == 0 and len(boxes) == 0


def test_batches_take_their_boxes_to_a_device_and_into_pinned_memory(tiny, monkeypatch):
    batch = make_dataset(tiny)[Key(0, 3)]
    moved = batch.to(torch.device("meta"))
    assert {tensor.device.type for tensor in (*moved.grounding, moved.words, moved.pictures)} == {"meta"}
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor)
    assert same(batch.pin_memory(), batch)
    assert all(any(tensor is one for one in pinned) for tensor in batch.grounding)


class NumberedViews:
    """Cached features that are the number of their view."""

    def views_of(self, row):
        return 4

    def read(self, row, view=0):
        return torch.full((1, 2, 2), float(view), dtype=torch.float16)

    def view(self, row, view):
        return View(mirrored=view % 2 == 1)


def test_boxes_are_those_of_the_cached_view_that_is_read(tiny):
    plain, cached = make_dataset(tiny), make_dataset(tiny, AugmentConfig())
    cached.features = NumberedViews()
    seen = set()
    for row in range(24):
        batch, before = cached[Key(0, row)], boxes_of_words(plain[Key(0, row)])
        mirrored = bool(batch.pictures[0, 0, 0, 0] % 2)
        seen.add(mirrored)
        for word, boxes in boxes_of_words(batch).items():
            expected = [(1 - c, b, 1 - a, d) if mirrored else (a, b, c, d) for a, b, c, d in before[word]]
            torch.testing.assert_close(torch.tensor(boxes), torch.tensor(expected), atol=1e-6, rtol=0)
    assert seen == {False, True}


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
    monkeypatch.setattr(db, "augment", lambda picture, *_: (augment.prepare(picture, 64), View()))
    monkeypatch.setattr(db, "may_mirror", lambda words: seen.append(words))
    dataset = make_dataset(tiny, AugmentConfig(flip=1.0), captions_per_picture=5)
    for row in range(6):
        dataset[Key(0, row)]
        assert seen.pop() == set().union(*(words_of(caption.text) for caption in tiny.captions(row)))
