"""training.features: cached output is the backbone's, of the right views, and never that of other weights."""

import random
import shutil
from pathlib import Path
from types import SimpleNamespace

import hypothesis
import numpy as np
import pytest
import torch
from batches import make_dataset, words_of
from frozen import frozen_training
from hypothesis import strategies as st
from painted import check, painted
from scripts import run_jobs_here
from test_Architectures import small_model

import DataBase_functions as db
from Architectures import SiameseModel
from common import augment
from Config import AugmentConfig, BackboneConfig, ModelConfig
from training import feature_jobs, features
from training.features import FeatureCache

CPU = torch.device("cpu")


def frozen_model(seed=0):
    torch.manual_seed(seed)
    return SiameseModel(9, BackboneConfig("resnet50", unfreeze_epoch=None), ModelConfig(width=32)).eval()


def open_cache(database, model, views=2, side=64, encode=None, crop=0.6, cache="float16", **how):
    settings = BackboneConfig(views=views, view_crop=crop, cache=cache)
    return FeatureCache.open(database, model, side, settings, encode or model.features, torch.float32, **how)


def squeezed(pictures):
    """A small backbone: pictures of 1/8 of the side, so that features show their picture."""
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
        assert len(pictures) == 1, "the cache was computed a second time"  # one picture is encoded for the shape
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
    assert torch.equal(features.draw_views(tiny, row, 3, 64, crop=0.5)[2], crops[0]), "with any number of views"


@pytest.mark.parametrize("crop", [0.3, 0.7, 1.0])
def test_boxes_are_where_the_pixels_of_each_cached_view_are(crop):
    """A painted box is found in the pixels of the views that are encoded; `FeatureCache.view` says where it is."""
    kept = []

    @hypothesis.settings(max_examples=30, deadline=None)
    @hypothesis.given(painted(), st.text("abc1", min_size=1))
    def each(one, name):
        picture, box = one
        pictures = features.draw_views(SimpleNamespace(ids=["x", name], picture=lambda row: picture), 1, 7, 112, crop)
        cache = FeatureCache(Path(), np.array([0, 1, 8]), (1,), ["x", name], BackboneConfig(view_crop=crop))
        for view, pixels in enumerate(pictures):
            # A crop has whole pixels: it is up to one of 100 pixels of these pictures larger than `view` says.
            kept.append(check(pixels, cache.view(1, view), box, within=0.025))
            assert view > 1 or kept[-1]

    each()
    assert sum(kept) > len(kept) / 2
    assert all(kept) == (crop == 1.0)


def test_a_box_has_the_promised_area_and_lies_inside():
    areas = []
    for seed in range(500):
        left, top, right, bottom = augment.random_box((200, 100), 0.4, random.Random(seed))
        assert 0 <= left < right <= 200 and 0 <= top < bottom <= 100
        areas.append((right - left) * (bottom - top) / 20_000)
    assert 0.39 < min(areas) < 0.45 and max(areas) > 0.95


def test_training_draws_all_views_but_no_mirror_image_if_a_caption_names_a_side(tiny, monkeypatch):
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


def test_an_interrupted_cache_is_resumed(tiny, monkeypatch):
    """20 batches of 3 are saved; the interruption is between two views of a row."""
    monkeypatch.setattr(tiny, "picture_fingerprint", "interrupted")
    monkeypatch.setattr(features, "SAVED_EVERY", 60)
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
    assert len(seen) - 1 == len(cache.array) - 60  # one picture was encoded for the shape
    monkeypatch.undo()
    np.testing.assert_array_equal(cache.array, open_cache(tiny, model, 7, encode=squeezed).array)


def test_int8_takes_half_the_space_and_is_exact_to_half_a_level(tiny, monkeypatch):
    monkeypatch.setattr(tiny, "picture_fingerprint", "int8")
    exact, small = (open_cache(tiny, small_model(), encode=squeezed, cache=kind) for kind in ("float16", "int8"))
    assert exact.folder != small.folder and exact.array.nbytes / small.array.nbytes == pytest.approx(2, abs=0.1)
    for row in (0, 20, 47):
        for view in range(exact.views_of(row)):
            true, found = exact.read(row, view), small.read(row, view)
            assert found.dtype == torch.float16 and found.shape == true.shape
            highest = true.float().abs().amax((1, 2), keepdim=True)
            assert ((found.float() - true.float()).abs() <= highest * 0.0045).all()  # 1 / 254, and the scale's digits
    nothing = features.pack(np.zeros((1, 3, 2, 2), np.float16), "int8")
    assert not features.unpack(nothing[0]).any()


def test_processes_fill_the_cache_with_the_same_bytes_and_use_finished_units_again(databases, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_jobs, "VIEWS", 32)
    monkeypatch.setattr(features, "SAVED_EVERY", 32)
    config, database, model = frozen_training(databases, tmp_path, cache="int8")
    alone = FeatureCache.of_training(config, database, model, torch.float32)
    expected = (alone.folder / "features.npy").read_bytes()
    shutil.rmtree(alone.folder)
    monkeypatch.setattr(features, "MANY", 1)

    def stops(jobs, engine, workers, cpus, gpus):
        assert (engine, workers) == ("local", 2)
        units = list(jobs)
        for unit in units:
            unit.run()  # in this process, but from nothing else than the unit
        yield units[0], None
        raise KeyboardInterrupt

    monkeypatch.setattr(feature_jobs, "run_jobs", stops)
    with pytest.raises(KeyboardInterrupt):
        FeatureCache.of_training(config, database, model, torch.float32)
    assert (alone.folder / "done.txt").read_text() == "32" and len([*(alone.folder / "units").glob("0*.npy")]) == 2

    def again(jobs, *rest):
        return run_jobs_here(jobs, 2)

    monkeypatch.setattr(feature_jobs, "run_jobs", again)
    monkeypatch.setattr(feature_jobs, "_opened", None)  # nothing is encoded
    cache = FeatureCache.of_training(config, database, model, torch.float32)
    assert (cache.folder / "features.npy").read_bytes() == expected
    assert {path.name for path in cache.folder.iterdir()} <= {"features.npy", "lock"}


def test_too_little_space_is_one_line_before_the_first_picture(tiny, monkeypatch):
    monkeypatch.setattr(features.os, "statvfs", lambda folder: SimpleNamespace(f_bavail=3, f_frsize=1000))
    monkeypatch.setattr(tiny, "picture_fingerprint", "no space")
    pictures = []

    def encode(some):
        pictures.extend(some)
        return squeezed(some)

    with pytest.raises(
        OSError, match=r"needs 0\.0 GB in .*, 0\.0 GB are free; to need less: .*int8 \(0\.0 GB\), .*views 1"
    ):
        open_cache(tiny, small_model(), encode=encode)
    assert len(pictures) == 1  # for the shape
    with pytest.raises(OSError, match=r"are free; to need less: --backbone\.grid 7$"):
        open_cache(tiny, small_model(), views=1, encode=encode, cache="int8")


def test_the_name_of_a_default_cache_is_that_of_earlier_versions(tiny, monkeypatch):
    """A change of it would compute 7.7 GB of features again, so it must be wanted."""
    monkeypatch.setattr(tiny, "picture_fingerprint", "pictures")
    monkeypatch.setattr(tiny, "split_of", ["train", "test"])
    monkeypatch.setattr(features, "hash_of_weights", lambda backbone: "weights")
    place = FeatureCache._place(tiny, small_model(), 320, BackboneConfig(views=2), torch.bfloat16)
    assert place == tiny.folder / "features" / "90edd1334845be17"
