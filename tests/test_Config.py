"""Config: presets and their JSON form."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT

import Config
from Config import PRESETS, DatabaseConfig, DataConfig, ModelConfig, from_json, to_json


@pytest.mark.parametrize("preset", PRESETS)
def test_json_form_gives_back_the_same_settings(preset):
    config = PRESETS[preset][1]
    assert from_json(to_json(config)) == config


@pytest.mark.parametrize(
    ("part", "settings", "flag"),
    [
        (ModelConfig, {"evidence": True, "head": "none"}, "--model.evidence needs --model.head attention"),
        (ModelConfig, {"patch_layers": 1, "head": "none", "score": "pooled"}, "--model.patch-layers needs patches"),
        (ModelConfig, {"patch_width": 20}, "--model.patch-width 20"),
        (DataConfig, {"parts": 1.5}, "--data.parts 1.5"),
    ],
)
def test_settings_that_do_not_fit_are_refused(part, settings, flag):
    with pytest.raises(ValueError, match=flag):
        part(**settings)


def test_json_of_another_version_is_refused():
    stored = json.loads(to_json(Config.Config()))
    stored["model"]["steepness"] = stored["model"].pop("sharpness")
    with pytest.raises(ValueError, match=r"steepness.*sharpness.*train the model again"):
        from_json(json.dumps(stored))


def test_database_settings_are_checked():
    with pytest.raises(ValueError, match="--jpeg-quality 100"):
        DatabaseConfig(jpeg_quality=100)


def test_only_settings_of_training_can_be_absent():
    stored = json.loads(to_json(PRESETS["frozen"][1]))
    del stored["optim"]["keep_by"], stored["loss"]["whole"]
    read = from_json(json.dumps(stored))
    assert (read.optim.keep_by, read.loss.whole) == ("balanced_accuracy", 0.0)
    assert read.model == PRESETS["frozen"][1].model
    for section, name in (("model", "score"), ("data", "side")):
        damaged = {**stored, section: {key: value for key, value in stored[section].items() if key != name}}
        with pytest.raises(ValueError, match=f"absent settings .'{name}'"):
            from_json(json.dumps(damaged))
    with pytest.raises(ValueError, match=r"unknown settings .'speed'"):
        from_json(json.dumps({**stored, "optim": {"speed": 3}}))


def test_config_imports_no_torch():
    code = "import sys, Config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
