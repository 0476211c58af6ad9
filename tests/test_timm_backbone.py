"""Backbones of timm, with random weights: features, training on a cache and with gradients, weights, refusals."""

import sys
from dataclasses import replace

import pytest
import torch
from conftest import training_flags
from safetensors.torch import save_file

import Architectures
import Main_train
from Architectures import SiameseModel, TimmBackbone
from common.vision import import_timm, import_torchvision, timm_features
from Config import BackboneConfig, Config, DataConfig, ModelConfig
from Tokenizer_lib import Tokenizer
from training.checkpoints import LoadedModel, Threshold, load_model
from training.features import hash_of_weights

import_torchvision()  # timm imports it, and here it may be built for CUDA beside a torch for the CPU
pytest.importorskip("timm", reason="timm is absent: python -m pip install -r requirements-timm.txt")

SIDE = 64
# timm's own test models, of three families: name, C, R
FAMILIES = [("timm:test_resnet", 96, 32), ("timm:test_convnext", 64, 32), ("timm:test_vit", 64, 16)]
NAMES = [name for name, *_ in FAMILIES]


def settings(name, **values):
    return BackboneConfig(name, weights=values.pop("weights", "none"), **values)


def backbone(name, side=SIDE, **values):
    torch.manual_seed(0)
    return TimmBackbone(settings(name, **values), side).eval()


def weights_file(name, path, classes=10):
    """A file as timm's users have it: with a classifier of some number of classes."""
    torch.manual_seed(1)
    model = import_timm().create_model(name.removeprefix("timm:"), num_classes=classes).eval()
    save_file(model.state_dict(), path)
    return model


@pytest.mark.parametrize(("name", "channels", "reduction"), FAMILIES)
@torch.no_grad()
def test_features_lie_on_a_grid(name, channels, reduction):
    one = backbone(name)
    assert (one.channels, one.reduction) == (channels, reduction)
    pictures = torch.randn(2, 3, SIDE, SIDE)
    features = one(pictures)
    assert features.shape == (2, channels, SIDE // reduction, SIDE // reduction)
    averaged = backbone(name, grid=1)
    averaged.load_state_dict(one.state_dict())
    torch.testing.assert_close(averaged(pictures), features.mean((2, 3), keepdim=True))


@torch.no_grad()
def test_tokens_come_back_to_their_places_without_the_class_token():
    """What is in the top right corner changes the features there the most: blocks are skipped, they mix places."""
    vit = backbone("timm:test_vit")
    vit.network.blocks = torch.nn.Sequential()
    blank, marked = torch.zeros(1, 3, SIDE, SIDE), torch.zeros(1, 3, SIDE, SIDE)
    marked[..., :16, -16:] = 3
    changed = (vit(blank) - vit(marked)).abs().sum(1)[0] > 1e-6
    assert changed.nonzero().tolist() == [[0, 3]]


@torch.no_grad()
def test_channels_that_come_last_come_first():
    class Last:
        output_fmt = "NHWC"

        def forward_features(self, pictures):
            return pictures.permute(0, 2, 3, 1)

    pictures = torch.randn(2, 3, 4, 4)
    assert torch.equal(timm_features(Last(), pictures), pictures)


def test_pictures_are_normalised_as_the_weights_expect():
    for name, mean, std in (("timm:test_vit", 0.5, 0.5), ("timm:resnet18", 0.485, 0.229)):
        model = SiameseModel(9, settings(name), ModelConfig(width=32), side=SIDE)
        assert model.mean[0].item() == pytest.approx(255 * mean)
        assert model.std[0].item() == pytest.approx(255 * std)


def test_other_names_weights_or_means_have_another_hash():
    hashes = [hash_of_weights(backbone(name)) for name in NAMES]
    hashes.append(hash_of_weights(backbone(NAMES[0], grid=2)))
    other = backbone(NAMES[0])
    other.mean = (0.4, 0.5, 0.5)
    hashes.append(hash_of_weights(other))
    other = backbone(NAMES[0])
    next(other.parameters()).data += 1e-3
    hashes.append(hash_of_weights(other))
    assert len(set(hashes)) == len(hashes) == 6
    assert hash_of_weights(backbone(NAMES[0])) == hashes[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_frozen_model_is_trained_on_its_cache_and_loaded_without_a_download(
    name, databases, tmp_path, monkeypatch, capsys
):
    weights_file(name, tmp_path / "weights.safetensors")
    flags = [*training_flags(tmp_path, databases, "frozen"), "--data.min-count", "1", "--optim.epochs", "1"]
    flags += ["--backbone.name", name, "--backbone.weights", str(tmp_path / "weights.safetensors")]
    Main_train.main(["frozen", *flags, "--backbone.no-layer3", "--backbone.grid", "2", "--backbone.views", "1"])
    assert "feature cache: 48 views" in capsys.readouterr().out
    monkeypatch.setattr("timm.models._builder.load_pretrained", None)
    (tmp_path / "weights.safetensors").unlink()
    model = load_model(tmp_path / "Models" / "frozen", torch.device("cpu")).model
    assert model.features(torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8)).shape[2:] == (2, 2)


@pytest.mark.parametrize("name", NAMES)
def test_fine_tuning_moves_weights_but_no_statistics_of_pretrained_batch_norm(name, databases, tmp_path):
    weights_file(name, tmp_path / "weights.safetensors")
    flags = [*training_flags(tmp_path, databases, "tuned"), "--data.min-count", "1", "--optim.epochs", "1"]
    flags += ["--backbone.name", name, "--backbone.weights", str(tmp_path / "weights.safetensors")]
    Main_train.main(
        ["finetune", *flags, "--backbone.no-layer3", "--backbone.unfreeze-epoch", "0", "--optim.accumulation", "2"]
    )
    tuned = load_model(tmp_path / "Models" / "tuned", torch.device("cpu")).model.backbone
    before = backbone(name)
    before.load(str(tmp_path / "weights.safetensors"))
    state, old = tuned.state_dict(), before.state_dict()
    moved = {key for key in state if not torch.equal(state[key], old[key])}
    assert moved
    assert not any("running" in key or "num_batches" in key for key in moved)


def test_batch_norm_without_pretrained_statistics_collects_them():
    for weights, training in (("none", True), ("weights.pth", False)):
        one = TimmBackbone(settings(NAMES[0], weights=weights), SIDE).train()
        assert {module.training for module in one.modules() if isinstance(module, torch.nn.BatchNorm2d)} == {training}


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_weights_of_a_file_are_all_used_but_the_classifier(name, tmp_path):
    one = backbone(name, side=0)
    given = weights_file(name, tmp_path / "weights.safetensors")
    one.load(str(tmp_path / "weights.safetensors"))
    pictures = torch.randn(2, 3, one.side, one.side)
    torch.testing.assert_close(one(pictures), timm_features(given, pictures))
    torch.save({key: value.half() for key, value in one.network.state_dict().items()}, tmp_path / "own.pth")
    again = backbone(name, side=0)
    again.load(str(tmp_path / "own.pth"))  # without a classifier, in half precision
    torch.testing.assert_close(again(pictures), one(pictures), atol=0.05, rtol=0.05)
    backbone(name, side=96).load(str(tmp_path / "weights.safetensors"))  # position embeddings are resampled


@pytest.mark.parametrize("name", NAMES)
def test_wrong_weights_are_refused_with_the_flag_that_fixes_it(name, tmp_path):
    weights_file(name, tmp_path / "good.safetensors")
    state = Architectures.read_state_dict(tmp_path / "good.safetensors")
    layer = next(key for key, value in state.items() if value.dim() == 4)
    lacking = {key: value for key, value in state.items() if key != layer}
    for content, message in ((lacking, "does not fit"), ({"state_dict": state}, "does not hold a plain state dict")):
        torch.save(content, tmp_path / "bad.pth")
        with pytest.raises(ValueError, match=message) as error:
            backbone(name).load(str(tmp_path / "bad.pth"))
        assert "--backbone.weights FILE.safetensors" in str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(FileNotFoundError, match="no backbone weights at"):
        backbone(name).load(str(tmp_path / "absent.pth"))


def test_by_default_timm_loads_its_own_weights(monkeypatch, tmp_path):
    name = "timm:test_convnext"
    given = weights_file(name, tmp_path / "weights.safetensors", classes=1000)
    asked = []

    def download(where, **_):
        asked.append(where)
        return dict(given.state_dict())

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", download)
    one = TimmBackbone(BackboneConfig(name), SIDE)
    assert not asked, "a download before load"
    one.load(BackboneConfig.weights)
    assert asked == ["timm/test_convnext.r160_in1k"]
    assert torch.equal(one.network.stem[0].weight, given.stem[0].weight)

    def unreachable(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", unreachable)
    with pytest.raises(FileNotFoundError, match=r"cannot download the weights of timm:test_convnext \(no network\)"):
        one.load(BackboneConfig.weights)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:convnext_tyni", "has no such model; it has, for example, convnext_tiny"),
        ("timm:resnet50.a9", "has no such weights; it has resnet50.a1_in1k"),
        ("timm:hf-hub:timm/resnet18", "has no such model"),
        ("timm", "choose from small, grouped, resnet50, timm:MODEL"),
    ],
)
def test_an_unknown_model_is_refused_before_any_work(name, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        Main_train.main(["frozen", "--data.root", str(tmp_path), "--backbone.name", name])
    error = capsys.readouterr().err
    assert (stop.value.code, error.count("\n")) == (2, 1)
    assert message in error


def test_without_timm_the_error_has_the_command_that_installs_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(SystemExit) as stop:
        Main_train.main(["frozen", "--backbone.name", "timm:resnet50"])
    assert stop.value.code == 2
    assert "python -m pip install -r requirements-timm.txt" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "message"), [("coat_tiny", "not lie on one grid"), ("pit_ti_224", "1 tokens do not")]
)
def test_a_model_without_a_grid_of_features_is_refused(model, message):
    with pytest.raises(ValueError, match=rf"has no features for 224 pixels \(.*{message}.*\); choose another model"):
        TimmBackbone(settings(f"timm:{model}"))


def test_a_side_that_a_model_cannot_read_is_refused_with_the_one_that_it_can():
    with pytest.raises(ValueError, match=r"timm:halonet26t has no features for 96 pixels .*; use --data\.side 256"):
        backbone("timm:halonet26t", side=96)


def test_side_0_is_the_models_own():
    config = Architectures.settle_backbone(
        replace(Main_train.PRESETS["frozen"][1], backbone=settings("timm:test_vit"), data=Main_train.Config().data)
    )
    assert config.data.side == 128
    own = replace(config, data=replace(config.data, side=0))
    assert Architectures.settle_backbone(own).data.side == 160


@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_scores_as_the_model_does(name, tmp_path):
    pytest.importorskip("onnx", reason="the export is not installed: python -m pip install -r requirements-export.txt")
    pytest.importorskip("onnxruntime", reason="onnxruntime is absent: see requirements-export.txt")
    from judging import bundle

    config = Config(
        precision="float32",
        data=DataConfig(side=SIDE),
        backbone=settings(name, grid=2),
        model=ModelConfig(width=32, word_width=16),
    )
    tokenizer = Tokenizer("a the red ball".split())
    torch.manual_seed(0)
    model = SiameseModel(len(tokenizer), config.backbone, config.model, side=SIDE).eval()
    threshold = Threshold(0.5, "balanced accuracy", "nothing", 0.5, 0.5, 0.5, 1.0, 0.0, 1)
    loaded = LoadedModel(model, tokenizer, config, threshold)
    bundle.write_bundle(loaded, tmp_path / "model.zip", "")
    assert bundle.largest_difference(loaded, bundle.load_bundle(tmp_path / "model.zip")) < 1e-5
