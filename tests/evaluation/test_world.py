"""What a trained model has seen, measured on its own database."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scripts import SCENES_SMALL
from sklearn.metrics import roc_auc_score

from common.augment import prepare
from common.pictures import open_picture
from common.storage import WORLD
from Config import AugmentConfig
from evaluation import scoring, world
from evaluation.splits import encode_rows
from sources.scenes import draw, make_scene
from training.checkpoints import load_model
from training.features import FeatureCache

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def loaded(trained):
    return load_model(trained / "Models" / "small", CPU)


def test_training_writes_what_the_kept_weights_have_seen(loaded, tiny, trained):
    assert (trained / "Models" / "small" / WORLD).is_file()
    seen = loaded.model.world
    assert seen.trained_on == f"{len(tiny.rows('train'))} drawn scenes"
    assert seen.epoch == loaded.threshold.epoch
    again = world.make_world(loaded, tiny)  # the best weights, not the last ones
    torch.testing.assert_close(seen.centres, again.centres, atol=2e-3, rtol=0)
    assert seen.limit == pytest.approx(again.limit, abs=2e-3)


def test_a_picture_is_measured_with_its_vectors(loaded, tiny):
    rows = tiny.rows("test")[:3]
    found = encode_rows(loaded, tiny, rows, "rows")
    prepared = torch.stack([prepare(tiny.picture(row), 64) for row in rows])
    with torch.no_grad():
        torch.testing.assert_close(found.vectors, loaded.model.encode_pictures(prepared), atol=1e-5, rtol=0)
        expected = loaded.model.world(loaded.model.features(prepared))
    np.testing.assert_allclose(found.unlike, expected.numpy(), atol=1e-4)


def test_a_model_of_an_earlier_version_measures_nothing(trained, tiny):
    earlier = load_model(trained / "Models" / "small", CPU)
    earlier.model.world = None
    assert (encode_rows(earlier, tiny, tiny.rows("test")[:3], "rows").unlike == 0).all()


def test_the_cached_features_of_a_frozen_backbone_are_used(loaded, tiny, monkeypatch, tmp_path):
    cached = {row: torch.full((64, 4, 4), float(row % 5)) + torch.arange(64).view(-1, 1, 1) for row in range(len(tiny))}

    class Cache:
        def read(self, row):
            return cached[row].half()

    monkeypatch.setattr(FeatureCache, "find", lambda *_: Cache())
    monkeypatch.setattr(type(tiny), "picture", None)  # no picture is decoded
    backbone = replace(loaded.config.backbone, name="resnet50", unfreeze_epoch=None)
    frozen = loaded._replace(config=replace(loaded.config, backbone=backbone, augment=AugmentConfig()))
    features = world.pooled_features(frozen, tiny, "train")
    expected = torch.stack([cached[row].mean((1, 2)) for row in tiny.rows("train")])
    torch.testing.assert_close(features, expected)


def test_few_drawn_scenes_are_outside_of_the_shipped_model():
    shipped = load_model(Path(SCENES_SMALL), CPU)
    assert shipped.model.world is not None and shipped.model.world.trained_on == "6,036 drawn scenes"
    scenes = [prepare(draw(make_scene(700_000 + seed), 128), 128) for seed in range(300)]
    assert (scoring.encode_and_measure(shipped, scenes, len(scenes)).unlike > 1).mean() <= 0.02


@pytest.mark.skipif("TIC_PHOTOS" not in os.environ, reason="TIC_PHOTOS names no folder with flickr8k/")
def test_photographs_are_outside_of_the_shipped_model():
    shipped = load_model(Path(SCENES_SMALL), CPU)
    scenes = [prepare(draw(make_scene(800_000 + seed), 128), 128) for seed in range(300)]
    files = sorted((Path(os.environ["TIC_PHOTOS"]) / "flickr8k" / "Flicker8k_Dataset").glob("*.jpg"))[::23][:300]
    photographs = [prepare(open_picture(file, 256), 128) for file in files]
    own, other = (scoring.encode_and_measure(shipped, some, len(some)).unlike for some in (scenes, photographs))
    assert roc_auc_score(np.repeat([0, 1], [len(own), len(other)]), np.r_[own, other]) >= 0.99
    assert (other > 1).mean() >= 0.95
