"""training.checkpoints: a model's folder is whole, of this version, and survives a failed write."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from model_folders import a_threshold, model_folder
from test_Architectures import some_pictures

from common.metrics import Criterion
from common.risk import RISKS
from common.world import World, save_world
from Tokenizer_lib import Tokenizer
from training import checkpoints


def test_only_at_the_best_balanced_accuracy_is_the_probability_bound_to_the_threshold():
    rng = np.random.default_rng(0)
    true, false = rng.normal(0.4, 0.2, 400), rng.normal(0.2, 0.2, 400)
    balanced = checkpoints.Threshold.choose(true, false, 1)
    generous = checkpoints.Threshold.choose(true, false, 1, Criterion.parse("recall=0.95"))
    assert balanced.calibration.even == balanced.threshold and generous.calibration.even is None
    assert (balanced.slope, balanced.intercept) == (generous.slope, generous.intercept)
    assert generous.calibration.probability(generous.threshold) < 0.4, "it accepts texts that are probably false"


def test_model_folder_holds_all_that_is_needed(tmp_path):
    model = model_folder(tmp_path)
    loaded = checkpoints.load_model(tmp_path, torch.device("cpu"))
    assert loaded.threshold.threshold == 0.4
    assert loaded.tokenizer.words[2:] == ["red", "ball"]
    assert not loaded.model.training
    words, pictures = torch.tensor([[2, 3]]), some_pictures(1)
    for encode, inputs in (("encode_texts", words), ("encode_pictures", pictures)):
        torch.testing.assert_close(getattr(loaded.model, encode)(inputs), getattr(model.eval(), encode)(inputs))


@pytest.mark.parametrize("name", ["config.json", "vocabulary.json", "best.safetensors", "threshold.json"])
def test_a_model_folder_with_a_part_absent_or_broken_is_refused(tmp_path, name):
    model_folder(tmp_path)
    (tmp_path / name).write_text("{}")
    with pytest.raises(ValueError, match=r"version|not a vocabulary"):
        checkpoints.load_model(tmp_path, torch.device("cpu"))
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"no {name}"):
        checkpoints.load_model(tmp_path, torch.device("cpu"))


def test_weights_and_threshold_of_different_epochs_are_refused(tmp_path):
    model_folder(tmp_path)
    checkpoints.save_threshold(tmp_path, a_threshold(epoch=4))
    with pytest.raises(ValueError, match="epoch 3 and the threshold of epoch 4"):
        checkpoints.load_model(tmp_path, torch.device("cpu"))


def test_a_model_or_checkpoint_of_another_version_is_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "FORMAT", 99)
        model_folder(tmp_path)
        checkpoints.save_state(tmp_path, 1, 0, {"progress": {"epoch": 1}})
    with pytest.raises(ValueError, match="model format 99, this version reads 1; train the model again"):
        checkpoints.load_model(tmp_path, torch.device("cpu"))
    with pytest.raises(ValueError, match="format 99, this version reads 1; train again with --overwrite"):
        checkpoints.load_state(tmp_path)


def test_the_last_checkpoint_stays_valid_while_the_next_is_written(tmp_path, monkeypatch):
    checkpoints.save_state(tmp_path, 1, 0, {"progress": {"epoch": 1}})

    def full(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(OSError, match="disk full"):
            checkpoints.save_state(tmp_path, 2, 0, {"progress": {"epoch": 2}})
    assert checkpoints.load_state(tmp_path)["progress"]["epoch"] == 1
    checkpoints.save_state(tmp_path, 2, 0, {"progress": {"epoch": 2}})
    assert checkpoints.load_state(tmp_path)["progress"]["epoch"] == 2
    assert [p.name for p in tmp_path.glob("last-*")] == ["last-0002-000000.pt"]


def test_a_folder_without_a_model_gets_the_command_that_fixes_it(tmp_path, monkeypatch):
    def message(folder):
        with pytest.raises(FileNotFoundError) as error:
            checkpoints.load_model(folder, torch.device("cpu"))
        return str(error.value)

    monkeypatch.chdir(tmp_path)
    train = "train a model with: python Main_train.py"
    assert message(Path("frozen")) == f"there is no folder frozen; {train}"
    Path("Models/frozen").mkdir(parents=True)
    assert message(Path("frozen")) == f"there is no folder frozen; write {Path('Models') / 'frozen'}"
    started = tmp_path / "started"
    started.mkdir()
    assert message(started) == f"no config.json in {started}; {train}"
    checkpoints.save_state(started, 0, 3, {"progress": {"epoch": 0}})
    assert message(started).endswith("has not finished an epoch; go on with the same command and --resume")


@pytest.mark.parametrize(
    "content",
    ["null", "[]", "5", "", "{}", "[" * 100_000, '{"format": 1}', '{"format": "1", "state": "last-0001-000000.pt"}']
    + [f'{{"format": 1, "state": "{name}"}}' for name in ("../../etc/passwd", "/etc/passwd", "best.safetensors", "")],
)
def test_a_damaged_pointer_gets_one_line(content, tmp_path):
    checkpoints.save_state(tmp_path, 1, 0, {"progress": {"epoch": 1}})
    (tmp_path / "last.json").write_text(content)
    with pytest.raises(ValueError, match=r"last\.json\b.*; train again with --overwrite$") as error:
        checkpoints.load_state(tmp_path)
    assert "\n" not in str(error.value)


def test_a_checkpoint_that_lacks_something_or_is_not_finite_is_refused(tmp_path):
    state = {"model": {"weight": torch.ones(2)}, "loss": [torch.zeros(())]}
    checkpoints.save_state(tmp_path, 1, 0, state)
    path = checkpoints.find_state(tmp_path)
    assert checkpoints.read_state(path).keys() == state.keys()
    with pytest.raises(ValueError, match=r"last-0001-000000\.pt has no optimizer, .*; train again with --overwrite$"):
        checkpoints.read_state(path, checkpoints.STATE)
    for damaged in ({"model": {"weight": torch.tensor([1, torch.inf])}}, [1], None):
        checkpoints.save_torch({"model": damaged} if isinstance(damaged, dict) else {}, path)
        torch.save(damaged, path)
        with pytest.raises(ValueError, match=r"last-0001-000000\.pt .*; train again with --overwrite$"):
            checkpoints.load_state(tmp_path)


def test_limits_for_a_risk_are_stored_and_read(tmp_path):
    true, false, of = np.linspace(0.2, 1, 300), np.linspace(-1, 0, 300), np.arange(300)
    chosen = checkpoints.Threshold.choose(true, false, 1, photographs=(of, of))
    assert [limits.risk for limits in chosen.limits] == list(RISKS) and chosen.limits[-1].upper == chosen.threshold
    checkpoints.save_threshold(tmp_path, chosen)
    stored = json.loads((tmp_path / "threshold.json").read_text())
    assert checkpoints.Threshold(**stored) == chosen
    assert checkpoints.Threshold.choose(true, false, 1).limits == ()
    with pytest.raises(TypeError):
        checkpoints.Threshold(**{**stored, "limits": [[0.1]]})


def test_the_world_belongs_to_the_weights(tmp_path):
    model = model_folder(tmp_path)
    channels, epoch = model.backbone.channels, checkpoints.load_model(tmp_path, torch.device("cpu")).threshold.epoch
    save_world(tmp_path, World(torch.zeros(4, channels), 1.0, "drawn scenes", 9, epoch))
    loaded = checkpoints.load_model(tmp_path, torch.device("cpu"))
    assert loaded.model.trained_on == "9 drawn scenes"
    assert not any(name.startswith("world") for name in model.state_dict())  # it is not among the weights
    for other in (World(torch.zeros(4, channels), 1.0, epoch=epoch + 1), World(torch.zeros(4, 3), 1.0, epoch=epoch)):
        save_world(tmp_path, other)
        with pytest.raises(ValueError, match="python Evaluate_test"):
            checkpoints.load_model(tmp_path, torch.device("cpu"))
    words = Tokenizer(["red", "ball"])
    checkpoints.save_best(tmp_path, model, a_threshold(epoch), words)  # other weights have another world
    assert checkpoints.load_model(tmp_path, torch.device("cpu")).model.trained_on == ""
