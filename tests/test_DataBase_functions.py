"""DataBase_functions: splits, batches that depend on nothing but their key, augmentation that keeps captions true."""

import json
import pickle
import random
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from test_Architectures import small_model

import DataBase_functions as db
from Architectures import SiameseModel, import_torchvision
from common import augment
from common.storage import SPLITS
from Config import AugmentConfig, BackboneConfig, DataConfig, ModelConfig, NegativesConfig
from DataBase_functions import Database, EpochSampler, Key, PairDataset, make_loader
from negatives.text import Negative
from sources.scenes import is_true
from Tokenizer_lib import Tokenizer, split_words
from training import features
from training.features import FeatureCache

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tiny(databases):
    return Database(databases / "tiny")


MIXED, SWAPS_ALONE = NegativesConfig(), NegativesConfig(exchange=0, mined=0)


def make_dataset(database, augmentation=None, negatives=MIXED, part=(0, 1), **data):
    settings = DataConfig(name="tiny", side=64, batch_pictures=8, **data)
    tokenizer = Tokenizer.build(database.word_counts)
    return PairDataset(database, tokenizer, settings, negatives, augmentation, seed=5, part=part)


def words_of(text):
    return {word.text for word in split_words(text)}


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
    ("change", "told"),
    [
        ({"format": 99}, r"format 99, this version reads 2; build one with: python Database_create\.py"),
        ({"format": None}, r"format None, this version reads 2; .* --overwrite"),
        (None, r"no database at .*; build one with: python Database_create\.py --name other --flickr8k DIR"),
    ],
)
def test_an_absent_database_or_one_of_another_version_is_refused(tiny, tmp_path, change, told):
    folder = tmp_path / "other"
    if change:
        shutil.copytree(tiny.folder, folder)
        state = json.loads((folder / "state.json").read_text())
        (folder / "state.json").write_text(json.dumps(state | change))
    with pytest.raises((ValueError, FileNotFoundError), match=told):
        Database(folder)


@pytest.mark.parametrize("kind", ["swap", "exchange", "mined"])
def test_what_makes_a_text_false_is_among_the_words_that_are_read(tiny, kind):
    """Otherwise the hard negative would be encoded as its caption is."""
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
    """What the test above would find if the limit were not handed on."""
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
def test_a_word_of_another_kind_may_well_be_in_the_picture(tiny, kind):
    """So it is not taught as false."""
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
    """20 rows are three batches: in turn, each once, and of five processes two get none."""
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
def test_what_a_caption_allows(text, mirror, recolour):
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


def half_red():
    pixels = np.full((64, 64, 3), 90, dtype=np.uint8)
    pixels[:, :32] = (200, 30, 40)
    return Image.fromarray(pixels)


def augmented(text, seed=0, **settings):
    return augment.augment(
        half_red(),
        64,
        AugmentConfig(**settings),
        random.Random(seed),
        db.may_mirror(words_of(text)),
        db.may_recolour(words_of(text)),
    )


def is_grey(tensor):
    return torch.equal(tensor[0], tensor[1]) and torch.equal(tensor[0], tensor[2])


def test_the_mirror_image_is_not_shown_to_what_names_a_side_or_writing():
    plain = augment.prepare(half_red(), 64)
    for text in ("a red left half", "a red sign"):
        assert torch.equal(augmented(text, flip=1.0), plain)
    assert torch.equal(augmented("a red half", flip=1.0), plain.flip(-1))


def test_colours_change_only_where_none_is_named():
    plain = augment.prepare(half_red(), 64)
    for settings in ({"jitter": 0.9}, {"grey": 1.0}, {"grey": 1.0, "jitter": 0.5}):
        assert torch.equal(augmented("a red left half", **settings), plain)
        assert not torch.equal(augmented("the left half", **settings), plain)
        assert is_grey(augmented("the left half", **settings)) == ("grey" in settings)
    recoloured = augmented("the left half", jitter=0.9)
    assert recoloured[0, :, :32].float().mean() > recoloured[0, :, 32:].float().mean()


@pytest.mark.parametrize("name", ["flip", "grey", "blur"])
def test_a_probability_is_one(name, monkeypatch):
    monkeypatch.setattr(augment, "blur", lambda picture, sigma: 255 - picture)  # the weakest is not seen
    plain = augment.prepare(half_red(), 64)
    changed = sum(not torch.equal(augmented("a dog", seed, **{name: 0.3}), plain) for seed in range(400))
    assert 90 < changed < 150


def test_blur_does_not_care_for_words_and_keeps_the_mean():
    plain = augment.prepare(half_red(), 64).float()
    blurred = [augmented("a red left sign", seed, blur=1.0).float() for seed in range(50)]
    steepest = [(picture[0, 9].diff().abs().max() / plain[0, 9].diff().abs().max()).item() for picture in blurred]
    assert min(steepest) > 0.5 and max(steepest) == 1.0  # sigma 0.03 to 0.57 pixels at side 64
    assert all((picture.mean() - plain.mean()).abs() < 0.5 for picture in blurred)


def test_pictures_change_as_torchvision_changes_them(tiny):
    """Greyish ones, of which no intermediate value is clamped."""
    import_torchvision()
    from torchvision.transforms.v2 import functional as change

    picture = augment.prepare(tiny.picture(0), 96) // 2 + 60
    for factors in ((1.1, 1.0, 1.0), (1.0, 0.8, 1.0), (1.0, 1.0, 0.0), (0.9, 1.1, 1.2)):
        expected = picture
        for adjust, factor in zip(
            (change.adjust_brightness, change.adjust_contrast, change.adjust_saturation), factors
        ):
            expected = adjust(expected, factor)
        assert (augment.recolour(picture, *factors).int() - expected.int()).abs().max() <= 3
    for sigma, size in ((0.5, 5), (1.7, 13)):
        expected = change.gaussian_blur(picture, [size, size], [sigma, sigma])
        assert (augment.blur(picture, sigma).int() - expected.int()).abs().max() <= 1


def test_pictures_are_resized_as_pillow_does(tiny):
    picture, box = tiny.picture(0), (10, 5, 110, 120)
    for side, part in ((64, (0, 0, *picture.size)), (64, box), (224, box)):
        expected = np.asarray(picture.crop(part).resize((side, side), Image.Resampling.BICUBIC))
        assert np.abs(augment.resize(picture, side, part).permute(1, 2, 0).numpy() - expected.astype(int)).max() <= 2
    assert torch.equal(augment.resize(picture, 64, (10.9, 5.9, 109.1, 119.1)), augment.resize(picture, 64, box)), (
        "whole pixels"
    )
    np.testing.assert_array_equal(augment.prepare(picture, 128).permute(1, 2, 0), np.asarray(picture))


def test_shift_and_crop_stay_inside():
    picture = Image.fromarray(np.full((80, 100, 3), 77, dtype=np.uint8))
    settings = AugmentConfig(shift=0.2, crop=0.5)
    for seed in range(20):
        tensor = augment.augment(picture, 64, settings, random.Random(seed))
        assert tensor.shape == (3, 64, 64)
        assert tensor.unique().tolist() == [77]


def test_the_whole_picture_is_kept_without_augmentation():
    pixels = np.zeros((50, 200, 3), dtype=np.uint8)
    pixels[:, :8] = pixels[:, -8:] = 255
    tensor = augment.prepare(Image.fromarray(pixels), 64)
    assert tensor.shape == (3, 64, 64)
    assert tensor[0, 32, 0] > 200
    assert tensor[0, 32, -1] > 200


def frozen_model(seed=0):
    torch.manual_seed(seed)
    return SiameseModel(9, BackboneConfig("resnet50", unfreeze_epoch=None), ModelConfig(width=32)).eval()


def open_cache(database, model, views=2, side=64, encode=None, **settings):
    return FeatureCache.open(database, model, side, views, encode or model.features, torch.float32, **settings)


def squeezed(pictures):
    """Stands for a backbone: 1/8 of the side, so that a picture can be told from its features."""
    return torch.nn.functional.avg_pool2d(pictures.float(), 8)


@torch.no_grad()
def test_feature_cache_holds_the_backbone_output_and_is_computed_once(tiny):
    model = frozen_model()
    cache = open_cache(tiny, model)
    row = tiny.rows("train")[3]
    pixels = augment.prepare(tiny.picture(row), 64).unsqueeze(0)
    torch.testing.assert_close(cache.read(row).float(), model.features(pixels)[0], atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(cache.read(row, 1).float(), model.features(pixels.flip(-1))[0], atol=2e-3, rtol=2e-3)

    def computed_again(pictures):
        assert len(pictures) == 1, "the cache was computed a second time"  # one picture tells the shape
        return model.features(pictures)

    again = open_cache(tiny, model, encode=computed_again)
    assert torch.equal(again.read(7), cache.read(7))


def test_training_pictures_alone_have_several_views(tiny, capsys):
    train = len(tiny.rows("train"))
    cache = open_cache(tiny, small_model(), views=5, encode=squeezed)
    assert cache.array.shape == (48 + 4 * train, 3, 8, 8)
    assert f"{len(cache.array):,} views of pictures, 0.00 GB in " in capsys.readouterr().out
    for row in range(len(tiny)):
        assert cache.views_of(row) == (5 if tiny.split_of[row] == "train" else 1)
        expected = squeezed(augment.prepare(tiny.picture(row), 64)[None])[0]
        torch.testing.assert_close(cache.read(row).float(), expected, atol=0.1, rtol=1e-3)
    with pytest.raises(AssertionError, match="has no view 1"):
        cache.read(tiny.rows("test")[0], 1)


def test_even_views_are_crops_and_odd_ones_mirrored_crops(tiny):
    row = tiny.rows("train")[0]
    whole, mirrored, *crops = features.draw_views(tiny, row, 6, 64, crop=0.5)
    assert torch.equal(mirrored, whole.flip(-1))
    assert len({tuple(view.flatten().tolist()) for view in (whole, *crops)}) == 5
    for view, drawn in enumerate(crops, 2):
        picture = tiny.picture(row)
        box = augment.random_box(picture.size, 0.5, db.seeded(tiny.ids[row], "view", view))
        crop = augment.resize(picture, 64, box)
        assert torch.equal(drawn.flip(-1) if view % 2 else drawn, crop)
    assert torch.equal(features.draw_views(tiny, row, 3, 64, crop=0.5)[2], crops[0]), "whatever other views there are"


def test_a_box_has_the_promised_area_and_lies_inside():
    areas = []
    for seed in range(500):
        left, top, right, bottom = augment.random_box((200, 100), 0.4, random.Random(seed))
        assert 0 <= left < right <= 200 and 0 <= top < bottom <= 100
        areas.append((right - left) * (bottom - top) / 20_000)
    assert 0.39 < min(areas) < 0.45 and max(areas) > 0.95


def test_training_draws_all_views_and_none_mirrored_where_left_is_left(tiny, monkeypatch):
    dataset = make_dataset(tiny, AugmentConfig())
    dataset.features = open_cache(tiny, small_model(), views=5, encode=squeezed)
    row = tiny.rows("train")[0]
    drawn = []
    monkeypatch.setattr(dataset.features, "read", lambda row, view=0: (drawn.append(view), torch.zeros(1))[1])
    for text, expected in (("a dog", {0, 1, 2, 3, 4}), ("to the left", {0, 2, 4}), ("a sign", {0, 2, 4})):
        for seed in range(60):
            dataset._picture(row, words_of(text), random.Random(seed))
        assert set(drawn) == expected
        drawn.clear()
    dataset.augmentation = None  # validation
    for seed in range(20):
        dataset._picture(row, set(), random.Random(seed))
    assert set(drawn) == {0}


@torch.no_grad()
def test_a_cache_of_other_weights_size_or_pictures_is_never_used(tiny, monkeypatch):
    model = small_model().eval()
    folders = {open_cache(tiny, model).folder, open_cache(tiny, model, views=1).folder}
    folders.add(open_cache(tiny, model, side=32).folder)
    next(model.backbone.parameters())[0] += 1e-3
    folders.add(open_cache(tiny, model).folder)
    monkeypatch.setattr(tiny, "fingerprint", "the same pictures with another parse")
    folders.add(open_cache(tiny, model, crop=0.9).folder)  # there are no crops among two views
    assert len(folders) == 4
    monkeypatch.setattr(tiny, "picture_fingerprint", "other pictures")
    folders.add(open_cache(tiny, model).folder)
    folders |= {open_cache(tiny, model, views=3, crop=crop).folder for crop in (0.5, 0.9)}
    assert len(folders) == 7
    monkeypatch.setattr(tiny, "split_of", ["train"] * 48)
    folders.add(open_cache(tiny, model).folder)
    assert len(folders) == 8


def test_an_interrupted_cache_goes_on_where_it_was(tiny, monkeypatch):
    """20 batches of 3 are safe of those before the interruption, which is within the views of a row."""
    monkeypatch.setattr(tiny, "picture_fingerprint", "interrupted")
    model, seen = small_model(), []

    def stops(pictures):
        if len(seen) > 64:
            raise KeyboardInterrupt
        return counted(pictures)

    def counted(pictures):
        seen.extend(pictures)
        return squeezed(pictures)

    with pytest.raises(KeyboardInterrupt):
        open_cache(tiny, model, 7, encode=stops, batch=3)
    assert len(seen) > 61
    seen.clear()
    cache = open_cache(tiny, model, 7, encode=counted, batch=3)
    assert len(seen) - 1 == len(cache.array) - 60  # one picture told the shape
    monkeypatch.undo()
    np.testing.assert_array_equal(cache.array, open_cache(tiny, model, 7, encode=squeezed).array)
