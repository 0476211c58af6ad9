"""Damaged model folders: one line that names the file, before memory is filled."""

import json
import resource
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from model_folders import model_folder
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from scripts import SCENES_SMALL, run_script

from common.checked import hash_of_words
from training import checkpoints
from training.weights import Weights, build

CPU = torch.device("cpu")
PICTURE = Path(SCENES_SMALL).parent.parent / "Plots" / "example_scene.png"


def write(path: Path, change) -> None:
    """Change the value in a JSON file."""
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def in_file(name: str, **values):
    return lambda folder: write(folder / name, lambda value: value.update(values))


def in_config(section: str, **values):
    return lambda folder: write(folder / "config.json", lambda value: value[section].update(values))


def to_bytes(name: str, data: bytes):
    return lambda folder: (folder / name).write_bytes(data)


def in_weights(change=lambda tensors: None, **facts):
    """Change the tensors, and the facts beside them; None removes a fact."""

    def damage(folder: Path) -> None:
        path = folder / "best.safetensors"
        tensors = load_file(path)
        with safe_open(path, "pt") as file:
            metadata = file.metadata() | facts
        change(tensors)
        save_file(tensors, path, {name: value for name, value in metadata.items() if value is not None})

    return damage


def fill(name: str, value: float):
    return lambda tensors: tensors.update({name: torch.full_like(tensors[name], value)})


def exchange_words(folder: Path) -> None:
    write(folder / "vocabulary.json", lambda value: value["words"].reverse())


DAMAGED = {
    "threshold NaN": (in_file("threshold.json", threshold=float("nan")), "threshold.json: threshold is NaN"),
    "threshold a string": (in_file("threshold.json", threshold="0.5"), 'threshold.json: threshold is "0.5"'),
    "slope null": (in_file("threshold.json", slope=None), "threshold.json: slope is null"),
    "slope negative": (in_file("threshold.json", slope=-1.0), "threshold.json is damaged: the slope"),
    "threshold no score": (in_file("threshold.json", threshold=7.0), "threshold.json is damaged: the threshold is no"),
    "limit no score": (in_file("threshold.json", limits=[[0.1, None, 7]]), "threshold.json is damaged: the threshold"),
    "limits of words": (in_file("threshold.json", limits=[["a", 0, 1]]), 'threshold.json: limits[0].risk is "a"'),
    "risk": (in_file("threshold.json", limits=[[5, 0, 1]]), "threshold.json is damaged: a risk is not"),
    "rate": (in_file("threshold.json", recall=5), "threshold.json is damaged: a rate is not between 0 and 1"),
    "accuracies": (in_file("threshold.json", accuracies=[1]), "threshold.json: accuracies is a list"),
    "other key": (in_file("threshold.json", other=1), "threshold.json does not fit this version"),
    "deep threshold": (to_bytes("threshold.json", b"[" * 100_000), "threshold.json is damaged: its brackets"),
    "deep config": (to_bytes("config.json", b"[" * 100_000), "config.json is damaged: its brackets"),
    "deep vocabulary": (to_bytes("vocabulary.json", b"[" * 100_000), "vocabulary.json is damaged: its brackets"),
    "words a number": (in_file("vocabulary.json", words=5), "vocabulary.json: words is 5, not a list"),
    "words numbers": (in_file("vocabulary.json", words=[1, 2]), "vocabulary.json: words[0] is 1, not a string"),
    "words exchanged": (exchange_words, "vocabulary.json has other words than the model was trained with"),
    "config null": (to_bytes("config.json", b"null"), "config.json holds null"),
    "width a string": (in_config("model", width="32"), 'config.json: model.width is "32", not a whole number'),
    "width a fraction": (in_config("model", width=32.0), "config.json: model.width is 32.0, not a whole number"),
    "side": (in_config("data", side=10**9), "config.json does not fit this version: --data.side 1000000000: must be"),
    "words of a text": (in_config("data", max_words=10**12), "config.json does not fit this version: --data.max-words"),
    "channels": (in_config("backbone", channels=0), "config.json does not fit this version: --backbone.channels 0"),
    "word width": (in_config("model", word_width=0), "config.json does not fit this version: --model.word-width 0"),
    "no backbone": (in_config("backbone", name="none"), "config.json: --backbone.name none: choose from"),
    "precision": (in_file("config.json", precision="x"), 'config.json: precision is "x", not one of'),
    "NaN weight": (in_weights(fill("text.widen.bias", torch.nan)), "best.safetensors is damaged: text.widen.bias is"),
    "infinite": (in_weights(fill("log_scale", torch.inf)), "best.safetensors is damaged: log_scale is not finite"),
    "variance": (in_weights(fill("backbone.layers.1.running_var", -9)), "damaged one: its weights and its settings"),
    "whole numbers": (
        in_weights(lambda t: t.update(log_scale=t["log_scale"].int())),
        "do not fit its config.json, or are of another version; train the model again. log_scale is of torch.int32",
    ),
    "no epoch": (in_weights(epoch=None), "best.safetensors does not say of which epoch it is"),
    "cut off": (
        lambda folder: (folder / "best.safetensors").write_bytes((folder / "best.safetensors").read_bytes()[:5000]),
        "best.safetensors does not hold weights of this version",
    ),
    "huge width": (in_config("model", width=200_000), "train the model again. its settings make a larger network"),
    "many layers": (in_config("model", lstm_layers=10**6), "train the model again. its settings make a larger network"),
    "impossible width": (in_config("model", width=2**40), "do not fit its config.json"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    model_folder(folder)
    return folder


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_folder_gets_one_line_with_the_name_of_the_file(what, whole, tmp_path):
    damage, message = DAMAGED[what]
    folder = shutil.copytree(whole, tmp_path / "model")
    damage(folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings(action="error"), pytest.raises(ValueError) as error:
        checkpoints.load_model(folder, CPU)
    assert message in str(error.value) and str(folder) in str(error.value) and "\n" not in str(error.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, "kB that were filled"


@pytest.mark.parametrize("what", ["threshold NaN", "slope null", "words a number", "NaN weight", "no epoch"])
def test_the_program_ends_with_that_line_and_2(what, whole, tmp_path):
    damage, message = DAMAGED[what]
    folder = shutil.copytree(whole, tmp_path / "model")
    damage(folder)
    for script, *args in (
        ("Predict.py", PICTURE, "A ball.", "--model", folder),
        ("Evaluate_test.py", "--model", folder),
        ("Miscellaneous_scripts/Prepare_weights.py", "--model", folder, "--out", tmp_path / "out"),
    ):
        done = run_script(script, *args, status=2)
        assert message in done.stderr and done.stderr.count("\n") == 1 and not done.stdout


def test_a_folder_of_an_earlier_version_has_no_hash_of_its_words(whole, tmp_path):
    loaded = checkpoints.load_model(whole, CPU)
    with safe_open(whole / "best.safetensors", "pt") as file:
        assert file.metadata()["vocabulary"] == hash_of_words(loaded.tokenizer)
    folder = shutil.copytree(whole, tmp_path / "model")
    in_weights(vocabulary=None)(folder)
    assert checkpoints.load_model(folder, CPU).tokenizer.words == loaded.tokenizer.words
    run_script("Miscellaneous_scripts/Prepare_weights.py", "--model", folder, "--out", tmp_path / "copy")
    with safe_open(tmp_path / "copy" / "best.safetensors", "pt") as file:
        assert file.metadata()["vocabulary"] == hash_of_words(loaded.tokenizer), "a copy gets one"
    assert len(checkpoints.load_model(Path(SCENES_SMALL), CPU).tokenizer) == 107


def test_a_network_within_the_budget_is_built():
    layer = torch.nn.Linear(3, 4)
    weights = Weights(layer.state_dict(), {})
    assert torch.equal(build(lambda: torch.nn.Linear(3, 4), weights, Path("x")).weight, layer.weight)
    with pytest.raises(ValueError, match=r"the weights in x do not fit its config\.json"):
        build(lambda: torch.nn.Linear(3, 5), weights, Path("x"))
    with pytest.raises(ValueError, match="its settings make a larger network"):
        build(lambda: torch.nn.Linear(10_000, 10_000), weights, Path("x"))


@pytest.mark.parametrize("name", ["uniform_", "normal_", "kaiming_uniform_", "kaiming_normal_", "xavier_uniform_"])
def test_a_network_is_built_without_random_numbers(name):
    """Drawing those of a ResNet-50 takes 0.7 s of CPU time, and the weights of the file replace them."""
    layer = torch.nn.Linear(3, 4)

    def make():
        made = torch.nn.Linear(3, 4)
        getattr(torch.nn.init, name)(made.weight)
        return made

    state = torch.get_rng_state()
    built = build(make, Weights(layer.state_dict(), {}), Path("x"))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(map(torch.equal, built.state_dict().values(), layer.state_dict().values()))
