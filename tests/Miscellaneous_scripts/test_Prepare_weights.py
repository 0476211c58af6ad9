"""Prepare_weights: the copy gives the scores of the model and takes less space."""

import re
import shutil

import numpy as np
import pytest
import torch
from conftest import run_process, run_script
from safetensors import safe_open
from safetensors.torch import save_file

from Architectures import SiameseModel
from Config import BackboneConfig, Config, DataConfig, ModelConfig, to_json
from judging.judge import Judge
from Miscellaneous_scripts import Prepare_weights
from sources import scenes
from Tokenizer_lib import Tokenizer
from training import checkpoints

SCRIPT = "Miscellaneous_scripts/Prepare_weights.py"
NAMES = {"best.safetensors", "config.json", "vocabulary.json", "threshold.json", "photographs.txt", "world.safetensors"}


@pytest.fixture(scope="module")
def model(trained):
    return trained / "Models" / "small"


def scores(folder):
    pictures = [scenes.draw(scenes.make_scene(seed)) for seed in range(3)]
    return Judge.load(folder, "cpu").scores(pictures, ["A red ball.", "Two blue stars are on the left."])


def test_the_copy_is_the_model_without_its_training(model, tmp_path):
    out = tmp_path / "new" / "light"
    printed = run_process(SCRIPT, "--model", model, "--out", out).stdout
    assert {path.name for path in out.iterdir()} == NAMES
    assert (out / "photographs.txt").read_bytes() == (model / "photographs.txt").read_bytes()
    np.testing.assert_array_equal(scores(out), scores(model))
    after, before = map(float, re.search(r"([\d.]+) MB; .* has ([\d.]+) MB", printed).groups())
    assert after < before / 2  # Adam keeps two numbers of each weight
    assert after == pytest.approx(sum(path.stat().st_size for path in out.iterdir()) / 1e6, abs=0.01)


def test_half_the_space_and_nearly_the_same_scores(model, tmp_path):
    out = tmp_path / "light"
    printed = run_script(SCRIPT, "--model", model, "--out", out, "--half").stdout
    half, whole = ((folder / "best.safetensors").stat().st_size for folder in (out, model))
    assert half < 0.55 * whole
    with safe_open(out / "best.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, value in tensors.items():
        counter = name.endswith("num_batches_tracked")  # of batch norm
        assert value.dtype == (torch.int64 if counter else torch.float16 if value.ndim > 1 else torch.float32), name
    loaded = checkpoints.load_model(out, torch.device("cpu"))
    assert {weight.dtype for weight in loaded.model.parameters()} == {torch.float32}
    change = np.abs(scores(out) - scores(model)).max()
    assert 0 < change < 0.01
    assert 0 < float(re.search(r"changed by at most (\S+)$", printed.strip())[1]) < 0.01


@pytest.mark.parametrize("where", ["itself", "filled", "file", "absent"])
def test_what_the_user_can_fix_is_reported_in_one_line(where, model, tmp_path):
    (tmp_path / "filled").mkdir()
    (tmp_path / "filled" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    flags, message = {
        "itself": (["--model", model, "--out", model.parent / "." / "small"], "is the folder of the model itself"),
        "filled": (["--model", model, "--out", tmp_path / "filled"], "or write into it with --overwrite"),
        "file": (["--model", model, "--out", tmp_path / "file"], "is a file; choose a folder"),
        "absent": (["--model", tmp_path / "none", "--out", tmp_path / "new"], "there is no folder"),
    }[where]
    error = run_script(SCRIPT, *flags, status=2).stderr
    assert error.startswith("Prepare_weights.py: error: ") and message in error and error.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_overwrite_replaces_the_model_and_touches_nothing_else(model, tmp_path):
    out = shutil.copytree(model, tmp_path / "light")
    (out / "mine.txt").write_text("mine")
    (out / "best.safetensors").write_bytes(b"an earlier one")
    run_script(SCRIPT, "--model", model, "--out", out, "--overwrite")
    assert (out / "mine.txt").read_text() == "mine"
    np.testing.assert_array_equal(scores(out), scores(model))


def test_a_frozen_backbone_gets_a_file_that_another_training_can_read(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    backbone = BackboneConfig("resnet50", "shipped", unfreeze_epoch=None)
    config = Config("frozen", backbone=backbone, model=ModelConfig(width=8, word_width=8), data=DataConfig(side=64))
    torch.manual_seed(0)
    network = SiameseModel(4, backbone, config.model).eval()
    with torch.no_grad():
        network.backbone.network.bn1.running_mean.normal_()
    tokenizer = Tokenizer(["red", "ball"])
    tokenizer.save(model / "vocabulary.json")
    (model / "config.json").write_text(to_json(config))
    threshold = checkpoints.Threshold(0.0, "f1", "validation", 0.9, 0.9, 0.9, slope=2.0, intercept=-1.0, epoch=1)
    checkpoints.save_best(model, network, threshold, tokenizer)

    out = tmp_path / "light"
    run_script(SCRIPT, "--model", model, "--out", out, "--half")
    with safe_open(out / "best.safetensors", "pt") as file:
        assert not any(name.startswith("backbone.") for name in file.keys())  # noqa: SIM118
    loaded = checkpoints.load_model(out, torch.device("cpu")).model
    for (name, one), other in zip(network.state_dict().items(), loaded.state_dict().values(), strict=True):
        exact = one.ndim <= 1
        torch.testing.assert_close(one, other, rtol=0 if exact else 1e-3, atol=0 if exact else 1e-6, msg=name)
    fresh = SiameseModel(4, backbone, config.model)
    fresh.backbone.load(str(out / "backbone.safetensors"))
    for one, other in zip(fresh.backbone.state_dict().values(), loaded.backbone.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    # A training into the same folder writes all weights, and the file of the earlier backbone is not read.
    checkpoints.save_best(out, fresh, threshold, tokenizer)
    again = checkpoints.load_model(out, torch.device("cpu")).model
    assert torch.equal(again.backbone.network.bn1.running_mean, fresh.backbone.network.bn1.running_mean)


def test_files_of_an_earlier_model_do_not_stay(model, tmp_path):
    source, out = shutil.copytree(model, tmp_path / "model"), tmp_path / "light"
    Prepare_weights.prepare(source, out, half=False)
    gone = {"photographs.txt", "world.safetensors"}
    for name in gone:
        (source / name).unlink()
    written = Prepare_weights.prepare(source, out, half=False)
    assert {path.name for path in written} == {path.name for path in out.iterdir()} == NAMES - gone


def test_a_weight_that_float16_cannot_hold_is_reported(model, tmp_path):
    source, out = shutil.copytree(model, tmp_path / "model"), tmp_path / "light"
    with safe_open(source / "best.safetensors", "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tensors["text.widen.weight"][0, 0] = 70_000
    save_file(tensors, source / "best.safetensors", metadata)
    with pytest.raises(
        ValueError, match=r"text\.widen\.weight has a weight above 65,504, the maximum of float16; drop --half"
    ):
        Prepare_weights.prepare(source, out, half=True)
    assert not out.exists()
