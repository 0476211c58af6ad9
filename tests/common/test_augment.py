"""common.augment: changes of a picture that keep its captions true, as torchvision and Pillow make them."""

import random

import hypothesis
import numpy as np
import pytest
import torch
from batches import words_of
from hypothesis import strategies as st
from painted import check, paint, painted
from PIL import Image

import DataBase_functions as db
from common import augment
from common.regions import View
from common.vision import import_torchvision
from Config import AugmentConfig


def half_red():
    pixels = np.full((64, 64, 3), 90, dtype=np.uint8)
    pixels[:, :32] = (200, 30, 40)
    return Image.fromarray(pixels)


def augmented(text, seed=0, **settings):
    pixels, _ = augment.augment(
        half_red(),
        64,
        AugmentConfig(**settings),
        random.Random(seed),
        db.may_mirror(words_of(text)),
        db.may_recolour(words_of(text)),
    )
    return pixels


def is_grey(tensor):
    return torch.equal(tensor[0], tensor[1]) and torch.equal(tensor[0], tensor[2])


def test_no_mirror_image_if_a_caption_names_a_side_or_writing():
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
def test_the_fraction_of_changed_pictures_is_the_probability(name, monkeypatch):
    monkeypatch.setattr(augment, "blur", lambda picture, sigma: 255 - picture)  # the weakest real blur changes no byte
    plain = augment.prepare(half_red(), 64)
    changed = sum(not torch.equal(augmented("a dog", seed, **{name: 0.3}), plain) for seed in range(400))
    assert 90 < changed < 150


def test_blur_is_used_with_any_words_and_keeps_the_mean():
    plain = augment.prepare(half_red(), 64).float()
    blurred = [augmented("a red left sign", seed, blur=1.0).float() for seed in range(50)]
    steepest = [(picture[0, 9].diff().abs().max() / plain[0, 9].diff().abs().max()).item() for picture in blurred]
    assert min(steepest) > 0.5 and max(steepest) == 1.0  # sigma 0.03 to 0.57 pixels at side 64
    assert all((picture.mean() - plain.mean()).abs() < 0.5 for picture in blurred)


def test_pictures_change_as_torchvision_changes_them(tiny):
    """On greyish pictures, so that no intermediate value is clamped."""
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
        tensor, _ = augment.augment(picture, 64, settings, random.Random(seed))
        assert tensor.shape == (3, 64, 64)
        assert tensor.unique().tolist() == [77]


def test_the_whole_picture_is_kept_without_augmentation():
    pixels = np.zeros((50, 200, 3), dtype=np.uint8)
    pixels[:, :8] = pixels[:, -8:] = 255
    tensor = augment.prepare(Image.fromarray(pixels), 64)
    assert tensor.shape == (3, 64, 64)
    assert tensor[0, 32, 0] > 200
    assert tensor[0, 32, -1] > 200


SETTINGS = {"crop": 0.4, "shift": 0.2, "flip": 0.5, "jitter": 0.3, "grey": 0.5, "blur": 1.0}


@pytest.mark.parametrize(
    "names", [(), *((name,) for name in SETTINGS), ("crop", "flip"), ("shift", "flip"), tuple(SETTINGS)]
)
def test_boxes_are_where_the_pixels_are(names):
    """A painted box, found in the pixels of the augmented picture, is where the view places it."""
    settings = AugmentConfig(**{name: SETTINGS[name] for name in names})
    kept = []

    @hypothesis.settings(max_examples=40, deadline=None)
    @hypothesis.given(painted(), st.integers(0, 10**6))
    def each(one, seed):
        picture, box = one
        pixels, view = augment.augment(picture, 112, settings, random.Random(seed))
        kept.append(check(pixels, view, box, within=0.02, may_repeat="shift" in names))

    each()
    assert sum(kept) > len(kept) / 3
    assert all(kept) or {"crop", "shift"}.intersection(names)


def test_without_augmentation_the_whole_picture_is_seen():
    picture, box = paint((200, 100), (20, 30, 100, 90))
    assert check(augment.prepare(picture, 112), View(), box, within=0.01)
