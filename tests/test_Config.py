"""Config: presets, the JSON form, and the command line."""

import dataclasses
import json
import subprocess
import sys

import pytest
from conftest import ROOT

import Config
from Config import PRESETS, DatabaseConfig, from_json, read_command_line, to_json


@pytest.mark.parametrize("preset", PRESETS)
def test_json_form_gives_back_the_same_settings(preset):
    config = PRESETS[preset][1]
    assert from_json(to_json(config)) == config


def test_json_of_another_version_is_refused():
    stored = json.loads(to_json(Config.Config()))
    stored["model"]["steepness"] = stored["model"].pop("sharpness")
    with pytest.raises(ValueError, match=r"steepness.*sharpness.*train the model again"):
        from_json(json.dumps(stored))


def test_first_preset_is_the_default_and_flags_change_it():
    assert read_command_line(PRESETS, "", []) == PRESETS["scenes"][1]
    config = read_command_line(PRESETS, "", ["frozen", "--optim.lr", "0.5", "--backbone.stride-in-1x1"])
    assert config == dataclasses.replace(
        PRESETS["frozen"][1],
        optim=dataclasses.replace(PRESETS["frozen"][1].optim, lr=0.5),
        backbone=dataclasses.replace(PRESETS["frozen"][1].backbone, stride_in_1x1=True),
    )


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--no-such-flag", "3"], "--no-such-flag"),
        (["--optim.lr", "fast"], "'fast'"),
        (["--model.score", "best"], "'best'"),
        (["photos"], "there is no preset 'photos'; choose from: scenes, scenes-small, frozen, finetune"),
        (["--optim.epochs", "0"], "--optim.epochs: must be at least 1"),
        (["--resume", "--overwrite"], "exclude each other"),
        (["--name", "../up"], "use letters, digits"),
        (["--name", ".."], "use letters, digits"),
        (["frozen", "--augment.crop", "0.5"], "cannot be augmented"),
        (["frozen", "--backbone.views", "17"], "--backbone.views 17: must be 1 to 16"),
        (["frozen", "--backbone.view-crop", "0"], "--backbone.view-crop 0.0: must be 0.05 to 1"),
        (["--optim.accumulation", "1000"], "more chunks than pictures"),
        (["--optim.ema", "1"], "--optim.ema 1.0: must be at least 0 and below 1"),
        (["--model.whole-width", "200"], "must be a multiple of --model.width 128"),
        (["--model.lstm-width", "33"], "--model.lstm-width: must be even"),
        (["frozen", "--backbone.grid", "-1"], "--backbone.grid -1: must be 0 to 64"),
        (["--negatives.swap", "-0.1"], "--negatives: weights must not be negative, nor all 0"),
        (["--negatives.exchange", "-1"], "--negatives: weights must not be negative, nor all 0"),
        (["--negatives.mined", "-1"], "--negatives: weights must not be negative, nor all 0"),
        (
            ["--negatives.swap", "0", "--negatives.exchange", "0", "--negatives.mined", "0"],
            "--negatives: weights must not be negative, nor all 0",
        ),
        (["--negatives.in-batch", "-1"], "--negatives.in-batch: must not be negative"),
        (["--negatives.per-caption", "0"], "--negatives.per-caption: must be at least 1"),
        (["--negatives.most-swaps", "0"], "--negatives.most-swaps: must be 1 to 3"),
        (["--negatives.most-swaps", "4"], "--negatives.most-swaps: must be 1 to 3"),
    ],
)
def test_a_wrong_command_line_gets_one_line_and_status_2(args, told, capsys):
    with pytest.raises(SystemExit) as stop:
        read_command_line(PRESETS, "", args)
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert told in error
    assert error.count("\n") == 1


def test_one_kind_of_hard_negatives_is_enough():
    flags = [
        "--negatives.swap",
        "0",
        "--negatives.exchange",
        "2",
        "--negatives.mined",
        "0",
        "--negatives.in-batch",
        "0",
    ]
    config = read_command_line(PRESETS, "", flags)
    assert config.negatives == Config.NegativesConfig(swap=0, exchange=2, mined=0, in_batch=0)


def test_database_settings_are_checked():
    with pytest.raises(ValueError, match="--jpeg-quality 100"):
        DatabaseConfig(jpeg_quality=100)


@pytest.mark.parametrize(
    "script", ["Database_create.py", "Main_train.py", "Evaluate_test.py", "Analyze_logs.py", "Predict.py"]
)
def test_every_script_has_help_and_refuses_unknown_flags(script):
    shown = subprocess.run([sys.executable, ROOT / script, "--help"], capture_output=True, text=True)
    assert shown.returncode == 0
    assert "usage" in shown.stdout
    refused = subprocess.run([sys.executable, ROOT / script, "--no-such-flag"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"{script}: error: ")
    assert refused.stderr.count("\n") == 1


def test_only_what_training_alone_reads_may_be_absent():
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
