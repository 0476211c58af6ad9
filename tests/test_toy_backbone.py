"""A backbone is one class and one line in BACKBONES: a toy of two layers is trained, saved, loaded, and judges."""

import pytest
import torch
from conftest import training_flags
from torch import nn

import Main_train
from Architectures import BACKBONES, Backbone, settle_backbone
from Config import PRESETS, BackboneConfig, Config, DataConfig
from judging.judge import Judge
from training.checkpoints import load_model


class ToyBackbone(Backbone):
    """Two convolutions, with pixel statistics and a size of their own."""

    channels, reduction = 12, 16
    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def __init__(self, settings, side=0):
        super().__init__(settings, side)
        self.layers = nn.Sequential(nn.Conv2d(3, 6, 4, stride=4), nn.GELU(), nn.Conv2d(6, 12, 4, stride=4))

    @classmethod
    def own_side(cls, settings):
        return 48

    def forward(self, pictures):
        return self.layers(pictures)


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(BACKBONES, "toy", ToyBackbone)


def test_a_toy_backbone_is_trained_saved_loaded_and_judges(toy, databases, tmp_path, capsys):
    flags = training_flags(tmp_path, databases, "toy")
    Main_train.main(["scenes", *flags, "--backbone.name", "toy", "--data.side", "0", "--optim.epochs", "1"])
    assert "kept the weights of epoch 1" in capsys.readouterr().out
    loaded = load_model(tmp_path / "Models" / "toy", torch.device("cpu"))
    model, config = loaded.model, loaded.config
    assert (config.backbone.name, config.data.side) == ("toy", 48)
    assert isinstance(model.backbone, ToyBackbone)
    assert model.neck.project.in_features == 12
    pictures = torch.full((1, 3, 48, 48), 255, dtype=torch.uint8)
    white = model.backbone(torch.full((1, 3, 48, 48), 2.0))  # (1 - mean) / std
    torch.testing.assert_close(model.features(pictures), white)
    assert model.features(pictures).shape == (1, 12, 48 // 16, 48 // 16)
    judge = Judge.load(tmp_path / "Models" / "toy")
    verdict = judge.check(pictures[0].numpy().transpose(1, 2, 0), "a red circle")
    assert -1 <= verdict.score <= 1
    assert verdict.match == (verdict.score >= loaded.threshold.threshold)


@pytest.mark.parametrize("name", ["resnet5", "timm", "small:tiny", ""])
def test_an_unknown_backbone_is_refused_before_any_work(name, tmp_path, capsys):
    """The scenes are not drawn either, though there is no database."""
    with pytest.raises(SystemExit) as stop:
        Main_train.main(["scenes", "--data.root", str(tmp_path / "Database"), "--backbone.name", name])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert f"--backbone.name {name}: choose from small, grouped, resnet50" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "Database").exists()


def test_a_backbone_without_pretrained_weights_cannot_be_frozen(toy):
    for name in ("small", "toy"):
        for epoch in (None, 2):
            config = Config(backbone=BackboneConfig(name, unfreeze_epoch=epoch))
            with pytest.raises(ValueError, match=f"the {name} backbone has no weights to freeze"):
                settle_backbone(config)


def test_side_0_is_the_backbones_own(toy):
    for name, side in (("small", 128), ("resnet50", 224), ("toy", 48)):
        config = Config(backbone=BackboneConfig(name), data=DataConfig(side=0))
        assert settle_backbone(config).data.side == side
    for _, config in PRESETS.values():
        assert settle_backbone(config) is config
