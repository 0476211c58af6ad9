"""Bundles: they give the scores of their model, with torch and without; damaged or hostile files get one line."""

import importlib.metadata
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT
from packaging.requirements import Requirement
from PIL import Image
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from common import storage
from common.augment import prepare
from common.pictures import open_picture
from common.risk import Limits
from common.vision import import_torchvision
from common.world import World, pool
from training import checkpoints
from training.checkpoints import LoadedModel, Threshold

pytest.importorskip("onnx", reason="the export is not installed: python -m pip install -r requirements-export.txt")
pytest.importorskip("onnxruntime", reason="onnxruntime is absent: python -m pip install -r requirements-export.txt")

from Architectures import SiameseModel
from Config import BackboneConfig, Config, DataConfig, ModelConfig
from judging.bundle import GRAPHS, MOST_BYTES, SETTINGS, GridMeans, load_bundle, write_bundle, write_zip
from judging.judge import Judge
from Miscellaneous_scripts import run_bundle
from sources.scenes import draw, make_scene
from Tokenizer_lib import Tokenizer

WORDS = "a the red blue green ball cube star is on left of two three picture small large below and".split()
TEXTS = (
    "A red ball.",
    "ball",
    "Two small blue stars and a green cube are below the large red zebra, which is on the left of the picture.",
    "unknown nonsense",
)
SMALL, RESNET = BackboneConfig(channels=8), BackboneConfig("resnet50")
MODELS: dict[str, tuple[BackboneConfig, dict]] = {
    "pooled": (SMALL, {"score": "pooled", "head": "none", "whole_width": 64}),
    "patch_word": (SMALL, {"score": "patch_word", "head": "none", "sharpness": 0.0}),
    "patch_word head": (SMALL, {"score": "patch_word", "head": "attention", "head_width": 16}),
    "patch_word weighed": (SMALL, {"score": "patch_word", "head": "none", "weigh_words": True}),
    "both": (SMALL, {"score": "both", "whole_width": 64, "lstm_width": 48, "lstm_layers": 1}),
    "both weighed": (SMALL, {"score": "both", "head": "attention", "weigh_words": True, "dropout": 0.3}),
    "resnet50 pooled": (replace(RESNET, stride_in_1x1=True), {"score": "pooled", "head": "none"}),
    "resnet50 patch_word": (RESNET, {"score": "patch_word", "head": "none", "weigh_words": True}),
    # Features of 3 x 3 to 2 x 2: a grid that does not divide them.
    "resnet50 both": (replace(RESNET, grid=2), {"score": "both", "weigh_words": True}),
    "resnet50 mixed": (
        replace(RESNET, layer3=True),
        {"score": "both", "patch_layers": 1, "patch_width": 16, "evidence": True},
    ),
}


def make_small(patch: pytest.MonkeyPatch, blocks: tuple[int, ...] = (1, 1, 1, 1)) -> None:
    """Make a ResNet-50 with a quarter of the inner channels, and with these numbers of blocks in its stages.

    With one block instead of 3 to 6 its export takes 1 s instead of 5 s.
    """
    models = import_torchvision().models

    def resnet(weights: None) -> torch.nn.Module:
        return models.ResNet(models.resnet.Bottleneck, blocks, width_per_group=16)

    patch.setattr(models, "resnet50", resnet)


def make_model(name: str, side: int = 96) -> LoadedModel:
    """A model whose weights are all random, also those that are zero at the start of training."""
    backbone, settings = MODELS[name]
    config = Config(
        name="random",
        precision="float32",
        data=DataConfig(side=side, max_words=12, root="/home/somebody/data"),
        backbone=replace(backbone, weights="/home/somebody/resnet.pth"),
        model=ModelConfig(width=32, word_width=16, **settings),
    )
    torch.manual_seed(3)
    tokenizer = Tokenizer(WORDS)
    model = SiameseModel(len(tokenizer), config.backbone, config.model).eval()
    with torch.no_grad():
        model.match_at.zero_()  # with evidence all scores would be near -1, since random cosines are near 0
        for parameter in model.parameters():
            if parameter is not model.match_at and not parameter.any():
                parameter.normal_(std=0.3)
        for norm in model.modules():
            if isinstance(norm, torch.nn.BatchNorm2d):
                norm.running_mean.normal_(std=0.1)
                norm.running_var.uniform_(0.8, 1.2)
    threshold = Threshold(0.1, "balanced-accuracy", "validation", 0.7, 0.8, 0.6, 9.0, -1.5, epoch=1)
    return LoadedModel(model, tokenizer, config, threshold)


@pytest.fixture(scope="module")
def loaded():
    return make_model("both weighed")


@pytest.fixture(scope="module")
def bundle(loaded, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "model.zip"
    write_bundle(loaded, path, "# A card\n")
    return path


@pytest.fixture(scope="module")
def members(bundle) -> dict[str, bytes]:
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> list[Path]:
    """Drawn scenes smaller and larger than the input of the model, square and oblong, and noise."""
    folder = tmp_path_factory.mktemp("pictures")
    noise = np.random.default_rng(0).integers(0, 256, (77, 131, 3), dtype=np.uint8)
    scenes = [draw(make_scene(seed), side) for seed, side in enumerate((40, 96, 300))]
    scenes += [Image.fromarray(noise), scenes[2].resize((450, 90)), scenes[2].convert("L")]
    paths = [folder / f"{number}.png" for number in range(len(scenes))]
    for path, picture in zip(paths, scenes):
        picture.save(path)
    return paths


# What it says


class Exported(NamedTuple):
    """A model with random weights whose world is the first two pictures, and its bundle."""

    loaded: LoadedModel
    zipped: Path
    unpacked: Path


@pytest.fixture(scope="module", params=MODELS)
def exported(request, pictures, tmp_path_factory) -> Exported:
    with pytest.MonkeyPatch.context() as patch:
        # The architecture of Models/photos has all 16 blocks. With all channels they would take 14 s more.
        make_small(patch, (3, 4, 6, 3) if request.param == "resnet50 mixed" else (1, 1, 1, 1))
        loaded = make_model(request.param)
        prepared = (prepare(open_picture(path, 256), 96) for path in pictures)
        features = pool(loaded.model.features(torch.stack(list(prepared)))).detach()
        loaded.model.world = World(F.normalize(features[:2]), 1e-2, "drawn scenes", 2)
        limits = (Limits(0.1, -0.9, 0.9),)
        loaded = loaded._replace(threshold=replace(loaded.threshold, limits=limits))
        folder = tmp_path_factory.mktemp("exported")
        write_bundle(loaded, folder / "model.zip", "")
    with zipfile.ZipFile(folder / "model.zip") as archive:
        archive.extractall(folder / "unpacked")
    return Exported(loaded, folder / "model.zip", folder / "unpacked")


def test_a_bundle_scores_as_its_model_does(exported, pictures):
    model, bundle, unpacked = Judge(exported.loaded, "m"), Judge.load(exported.zipped), Judge.load(exported.unpacked)
    scores = model.scores(pictures, TEXTS)
    assert scores.std() > 0.01  # not the same for all
    np.testing.assert_allclose(bundle.scores(pictures, TEXTS), scores, atol=1e-4)
    np.testing.assert_allclose(unpacked.scores(pictures, TEXTS), scores, atol=1e-4)
    some = [pictures[i % len(pictures)] for i in range(len(TEXTS))]
    np.testing.assert_allclose(bundle.pairs(some, TEXTS), model.pairs(some, TEXTS), atol=1e-4)
    alone = run_bundle.Bundle(exported.unpacked)
    for score in (0.05, 0.12, 0.16, 0.3):  # the threshold is at 0.1, and the fit is 1/2 at 0.167
        assert alone.probability(score) == pytest.approx(float(model.probability(score)))
    for picture in pictures[:2]:
        for text in TEXTS:
            expected, got, lone = model.check(picture, text), bundle.check(picture, text), alone.check(picture, text)
            if expected.heat is not None:
                np.testing.assert_allclose(got.heat, expected.heat, atol=1e-4)
            assert lone.keys() == expected.as_dict().keys()
            for verdict in (got.as_dict(), lone):
                assert (verdict["verdict"], verdict["why"]) == (expected.verdict, expected.why)
                assert verdict["score"] == pytest.approx(expected.score, abs=1e-4)
                assert verdict["probability"] == pytest.approx(expected.probability, abs=1e-3)
                assert (verdict["threshold"], verdict["unread"]) == (0.1, expected.unread)
                for one, other in zip(verdict["words"], expected.words, strict=True):
                    assert one["score"] == pytest.approx(other.score, abs=1e-4)
                    same = ("text", "start", "end", "known", "patch", "box", "meant")
                    assert [one[key] for key in same] == [getattr(other, key) for key in same]


def test_a_bundle_knows_what_its_model_has_seen_and_its_risk(exported, pictures):
    model, bundle = Judge(exported.loaded, "m", risk=0.1), Judge.load(exported.zipped, risk=0.1)
    alone = run_bundle.Bundle(exported.unpacked, 0.1)
    text = TEXTS[0]
    expected = [model.check(picture, text) for picture in pictures]
    for picture, verdict in zip(pictures, expected):
        for found in (bundle.check(picture, text).as_dict(), alone.check(picture, text)):
            assert (found["why"], found["outside"]) == (verdict.why, verdict.outside)
            assert found["trained_on"] == "2 drawn scenes"
    assert [verdict.outside for verdict in expected[:2]] == [False] * 2 and expected[3].outside  # noise
    assert expected[0].why.startswith("at a risk of 0.1 ")
    for refuse in (lambda: Judge.load(exported.zipped, risk=0.001), lambda: alone.__init__(alone.folder, 0.001)):
        with pytest.raises(ValueError, match="must be at least"):
            refuse()


def test_batches_and_lengths_may_have_any_size(loaded, bundle):
    other = load_bundle(bundle).model
    words = torch.tensor([[5, 6, 7, 8, 9, 2, 3], [4, 0, 0, 0, 0, 0, 0], [2, 3, 3, 0, 0, 0, 0], [0] * 7])
    pixels = torch.randint(0, 256, (5, 3, 96, 96), dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        for some in (words, words[:1], words[1:2, :1], words[:3, :4].repeat(100, 1)):
            torch.testing.assert_close(other.encode_texts(some), loaded.model.encode_texts(some), atol=1e-5, rtol=0)
        torch.testing.assert_close(
            other.encode_pictures(pixels), loaded.model.encode_pictures(pixels), atol=1e-5, rtol=0
        )


@pytest.mark.parametrize(("height", "width", "grid"), [(10, 10, 7), (3, 5, 2), (7, 7, 7), (2, 3, 5), (12, 8, 4)])
def test_grid_means_are_adaptive_pooling(height, width, grid):
    features = torch.randn(2, 3, height, width)
    expected = adaptive_avg_pool2d(features, grid)
    torch.testing.assert_close(GridMeans(height, width, grid)(features), expected, atol=1e-6, rtol=0)


def test_export_leaves_the_model_as_it_was(monkeypatch, pictures, tmp_path):
    make_small(monkeypatch)
    loaded = make_model("resnet50 both")
    before = Judge(loaded).scores(pictures[:1], TEXTS)
    write_bundle(loaded, tmp_path / "model.zip", "")
    assert isinstance(loaded.model.backbone.reduce, torch.nn.AdaptiveAvgPool2d)
    np.testing.assert_array_equal(Judge(loaded).scores(pictures[:1], TEXTS), before)


@pytest.mark.parametrize("side", [32, 96, 224, 320])
def test_squeeze_gives_the_bytes_that_training_sees(side):
    rng = np.random.default_rng(side)
    sizes = [
        (side, side),
        (side, 2 * side),
        (33, side),
        (32, 320),
        (256, 386),
        (450, 90),
        *rng.integers(32, 500, (8, 2)),
    ]
    for height, width in sizes:
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        pixels[: height // 2] = pixels[: height // 2] // 128 * 255  # black and white overshoot
        tensor = torch.from_numpy(pixels).permute(2, 0, 1)[None]
        expected = interpolate(tensor, (side, side), mode="bicubic", antialias=True)[0].permute(1, 2, 0).numpy()
        apart = np.abs(run_bundle.squeeze(pixels, side).astype(int) - expected)
        assert apart.max() <= 1 and apart.mean() < 0.05, (height, width)


# What it holds


def test_the_same_model_gives_the_same_bytes(loaded, bundle, tmp_path):
    write_bundle(loaded, tmp_path / "again.zip", "# A card\n")
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again.zip"]  # no leftover


def test_a_bundle_holds_all_that_it_needs_and_no_folder_of_this_machine(members):
    program = {
        "run.py",
        "Tokenizer_lib.py",
        "common/__init__.py",
        "common/checked.py",
        "common/pictures.py",
        "judging/__init__.py",
        "judging/doubt.py",
    }
    assert members.keys() == {*GRAPHS, *SETTINGS, "README.md", *program}
    assert members["common/pictures.py"] == (ROOT / "common" / "pictures.py").read_bytes()
    assert members["README.md"] == b"# A card\n"
    assert not any(b"somebody" in data for data in members.values())
    config = json.loads(members["config.json"])
    assert (config["precision"], config["backbone"]["weights"]) == ("float32", "resnet.pth")


def test_a_bundle_is_not_exported_again(bundle, tmp_path):
    with pytest.raises(ValueError, match="is a bundle already"):
        write_bundle(load_bundle(bundle), tmp_path / "again.zip", "")


# What is damaged


def changed(members, **files):
    """The members, some of them replaced or, by None, left out; their names are given without ending."""
    endings = {name.partition(".")[0]: name for name in members}
    new = {endings[name]: value for name, value in files.items()}
    return {name: value for name, value in {**members, **new}.items() if value is not None}


def manifest(members, **values):
    return json.dumps({**json.loads(members["bundle.json"]), **values}).encode()


def setting(members, section, **values):
    config = json.loads(members["config.json"])
    return json.dumps({**config, section: {**config[section], **values}}).encode()


def at(members, **values):
    return json.dumps({**json.loads(members["threshold.json"]), **values}).encode()


def earlier(members):
    """The manifest of an earlier version, which has no hash of the words."""
    values = json.loads(members["bundle.json"])
    return json.dumps({name: value for name, value in values.items() if name != "vocabulary"}).encode()


DAMAGED = {
    "absent member": (lambda m: changed(m, text=None, threshold=None), r"it lacks text\.onnx, threshold\.json"),
    "other format": (lambda m: changed(m, bundle=manifest(m, format=7)), "it has format 7, this version reads 4"),
    "no JSON": (lambda m: changed(m, bundle=b"{"), "Expecting property name"),
    "deep JSON": (
        lambda m: changed(m, bundle=b"[" * 100_000),
        "bundle.json is damaged: its brackets are nested too deep",
    ),
    "deep vocabulary": (lambda m: changed(m, vocabulary=b"[" * 100_000), "vocabulary.json is damaged: its brackets"),
    "incomplete": (lambda m: changed(m, bundle=b'{"format": 4}'), "bundle.json has no side, short_side, max_words"),
    "side in quotes": (
        lambda m: changed(m, bundle=manifest(m, side="96")),
        'side is "96", not a whole',
    ),
    "huge side": (lambda m: changed(m, config=setting(m, "data", side=10**9)), "--data.side 1000000000: must be"),
    "width in quotes": (lambda m: changed(m, config=setting(m, "model", width="32")), 'model.width is "32", not a'),
    "threshold NaN": (lambda m: changed(m, threshold=at(m, threshold=float("nan"))), "threshold is NaN, not a finite"),
    "slope null": (lambda m: changed(m, threshold=at(m, slope=None)), "threshold.json: slope is null, not a finite"),
    "no score": (
        lambda m: changed(m, threshold=at(m, threshold=7.0)),
        "threshold.json is damaged: the threshold is no",
    ),
    "exchanged words": (
        lambda m: changed(m, vocabulary=Tokenizer(WORDS[::-1]).to_json().encode()),
        "vocabulary.json has other words than the model was trained with",
    ),
    "no manifest": (lambda m: changed(m, bundle=b"[]"), "bundle.json holds a list, not an object"),
    "not UTF-8": (lambda m: changed(m, config=b"\xff\xfe{"), "can't decode"),
    "garbage for a graph": (lambda m: changed(m, picture=b"garbage" * 100), r"picture\.onnx: "),
    "cut-off graph": (lambda m: changed(m, text=m["text.onnx"][:5000]), r"text\.onnx: "),
    "other settings": (lambda m: changed(m, config=b"{}"), "Config of another version"),
    "other threshold": (lambda m: changed(m, threshold=b'{"a": 1}'), "unexpected keyword argument"),
    "other vocabulary": (
        lambda m: changed(m, vocabulary=b'{"format": 9, "words": []}'),
        ": vocabulary.json has vocabulary format 9",
    ),
    "unhashable words": (lambda m: changed(m, vocabulary=b'{"format": 1, "words": [[]]}'), r"words\[0\] is a list"),
    "more words than weights": (
        lambda m: changed(
            m,
            vocabulary=json.dumps({"format": 1, "words": [*map(str, range(99))]}).encode(),
            bundle=earlier(m),
        ),
        "indices element out of data bounds",
    ),
    "exchanged graphs": (lambda m: changed(m, picture=m["text.onnx"], text=m["picture.onnx"]), "picture|words"),
    "blend of letters": (lambda m: changed(m, bundle=manifest(m, blend="x")), 'blend is "x", not a finite'),
    "not a number": (lambda m: changed(m, bundle=manifest(m, blend=float("nan"))), "blend is NaN, not a finite number"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_bundle_gets_one_line_with_its_name(what, members, tmp_path):
    change, message = DAMAGED[what]
    path = tmp_path / "bad.zip"
    write_zip(path, change(members))
    with pytest.raises(ValueError, match=message) as error:
        Judge.load(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_graphs_of_another_model_are_noticed(members, tmp_path):
    write_bundle(make_model("patch_word"), tmp_path / "other.zip", "")
    with zipfile.ZipFile(tmp_path / "other.zip") as archive:
        mixed = changed(members, picture=archive.read("picture.onnx"), text=archive.read("text.onnx"))
    write_zip(tmp_path / "mixed.zip", mixed)
    with pytest.raises(ValueError, match="belong to different models"):
        Judge.load(tmp_path / "mixed.zip")


def test_a_bundle_without_a_hash_of_its_words_is_read(members, pictures, tmp_path):
    path = tmp_path / "earlier.zip"
    write_zip(path, changed(members, bundle=earlier(members)))
    assert -1 <= Judge.load(path).check(pictures[0], "A red ball.").score <= 1


def test_a_member_that_unpacks_to_far_more_than_the_file_is_not_unpacked(members, tmp_path):
    path = tmp_path / "bomb.zip"
    write_zip(path, changed(members, picture=bytes(200_000_000)))
    assert path.stat().st_size < 1_000_000
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"its files declare 200,\d{3},\d{3} bytes; a \.zip of this size has at most"):
        Judge.load(path)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_a_damaged_zip_gets_one_line(bundle, tmp_path):
    data = bundle.read_bytes()
    flipped = bytearray(data)
    with zipfile.ZipFile(bundle) as archive:
        start = archive.getinfo("picture.onnx").header_offset + 1000
    flipped[start] ^= 0xFF
    for number, damaged in enumerate((b"", b"no zip", data[: len(data) // 2], data[:-1], bytes(flipped))):
        path = tmp_path / f"{number}.zip"
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=re.escape(str(path))) as error:
            Judge.load(path)
        assert "\n" not in str(error.value)


def test_an_absent_bundle_has_an_error_with_the_command_that_writes_one(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"write one with: python Miscellaneous_scripts/Export_model\.py"):
        Judge.load(tmp_path / "absent.zip")


def test_a_member_that_is_too_large_is_not_read(bundle, members, tmp_path, monkeypatch):
    for name, data in members.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    monkeypatch.setitem(MOST_BYTES, ".json", 50)
    for path in (bundle, tmp_path):
        with pytest.raises(ValueError, match=r"bundle\.json has \d+ bytes; at most 50 are read"):
            Judge.load(path)


def test_without_onnxruntime_the_error_has_the_command_that_installs_it(bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match=r"needs onnxruntime: python -m pip install -r requirements-export\.txt"):
        Judge.load(bundle)


def test_without_onnx_the_error_has_the_command_that_installs_it(loaded, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ValueError, match=r"needs onnx: python -m pip install -r requirements-export\.txt"):
        write_bundle(loaded, tmp_path / "model.zip", "")
    assert not list(tmp_path.iterdir())


# What is hostile


class Payload:
    """An object whose unpickling makes a file."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f'echo > "{self.mark}"',)


@pytest.fixture
def mark(tmp_path):
    """A file that a payload makes; it must not be there afterwards."""
    mark = tmp_path / "it was executed"
    pickle.loads(pickle.dumps(Payload(mark)))
    assert mark.exists()  # the payload works
    mark.unlink()
    yield mark
    assert not mark.exists()


def payloads(mark: Path) -> list[bytes]:
    """The payload as plain pickle, and inside a torch file of the new and of the old kind."""
    files = [pickle.dumps(Payload(mark), protocol=2)]
    for new in (True, False):
        path = mark.with_name("payload")
        torch.save({"model": Payload(mark)}, path, _use_new_zipfile_serialization=new)
        files.append(path.read_bytes())
    return files


@pytest.mark.parametrize("reader", ["model", "state", "weights", "backbone", "backbone.safetensors"])
def test_no_file_of_weights_is_executed(reader, trained, mark, tmp_path):
    for name in ("config.json", "vocabulary.json", "threshold.json"):
        (tmp_path / name).write_bytes((trained / "Models" / "small" / name).read_bytes())
    pointer = {"format": 1, "epoch": 1, "step": 0, "state": "last-0001-000000.pt"}
    (tmp_path / "last.json").write_text(json.dumps(pointer))
    model = SiameseModel(9, RESNET, ModelConfig(width=8))
    name, read = {
        "model": ("best.safetensors", lambda path: checkpoints.load_model(path.parent, torch.device("cpu"))),
        "state": ("last-0001-000000.pt", lambda path: checkpoints.load_state(path.parent)),
        "weights": ("weights.pth", storage.read_state_dict),
        "backbone": ("b.pth", lambda path: model.backbone.load(str(path))),
        "backbone.safetensors": ("b.safetensors", lambda path: model.backbone.load(str(path))),
    }[reader]
    for data in payloads(mark):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=re.escape(str(tmp_path))) as error:
            read(tmp_path / name)
        assert "\n" not in str(error.value) and "weights_only" not in str(error.value)


@pytest.mark.parametrize("name", ["picture.onnx", "text.onnx", "vocabulary.json", "config.json", "bundle.json"])
def test_no_member_of_a_bundle_is_executed(name, members, mark, tmp_path):
    for data in payloads(mark):
        write_zip(tmp_path / "bad.zip", {**members, name: data})
        with pytest.raises(ValueError, match=r"bad\.zip") as error:
            Judge.load(tmp_path / "bad.zip")
        assert "\n" not in str(error.value)


def test_programs_in_a_bundle_are_not_run_by_this_one(members, mark, pictures, tmp_path):
    bad = f"import os\nos.system('echo > \"{mark}\"')\n".encode()
    names = ("run.py", "common/pictures.py", "Tokenizer_lib.py", "onnxruntime.py", "sitecustomize.py")
    write_zip(tmp_path / "bad.zip", {**members, **dict.fromkeys(names, bad)})
    assert -1 <= Judge.load(tmp_path / "bad.zip").check(pictures[0], "A red ball.").score <= 1


def test_members_that_point_elsewhere_are_not_followed(members, pictures, tmp_path):
    inner = tmp_path / "deep" / "folder"
    inner.mkdir(parents=True)
    names = ("../outside.txt", "../../outside.txt", "/tmp/outside_of_bundle.txt", "..\\outside.txt")
    write_zip(inner / "bad.zip", {**members, **dict.fromkeys(names, b"x")})
    Judge.load(inner / "bad.zip").check(pictures[0], "A red ball.")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["bad.zip"]
    assert not Path("/tmp/outside_of_bundle.txt").exists()
    write_zip(inner / "bad.zip", {f"../{name}": data for name, data in members.items()})
    with pytest.raises(ValueError, match="it lacks picture"):
        Judge.load(inner / "bad.zip")


# run.py


def unpack(bundle: Path, folder: Path, threshold: float | None = None) -> Path:
    """Unpack the bundle; returns the path of its run.py. threshold: replaces that of the bundle."""
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder)
    if threshold is not None:
        path = folder / "threshold.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "threshold": threshold}))
    return folder / "run.py"


def run(python: object, *args: object, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), *map(str, args)], cwd=folder, capture_output=True, text=True, timeout=600, encoding="utf-8"
    )


# In one process, since onnxruntime takes half a second to import; each run as if it were the first.
EACH = """
import contextlib, io, json, os, runpy, sys
for script, *args in json.loads(sys.argv[1]):
    sys.path[0] = os.path.dirname(script)
    for name in [*sys.modules]:
        if name.partition(".")[0] in ("Tokenizer_lib", "common", "judging"):  # of another bundle
            del sys.modules[name]
    sys.argv, out, err, status = [script, *args], io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as stop:
            status = stop.code or 0
    print(json.dumps([status, out.getvalue(), err.getvalue()]))
"""


def run_each(python: object, script: Path, *runs: tuple, folder: Path) -> list[subprocess.CompletedProcess[str]]:
    """Run the script with each of these arguments: the first in its own process, the others together in another."""
    first, *others = runs
    found = run_together(python, [(script, *args) for args in others], folder)
    return [run(python, script, *first, folder=folder), *found]


def run_together(python: object, runs: list[tuple], folder: Path) -> list[subprocess.CompletedProcess[str]]:
    """Run these scripts, each with its arguments, in one process."""
    commands = [[*map(str, command)] for command in runs]
    done = run(python, "-c", EACH, json.dumps(commands), folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    found = [
        subprocess.CompletedProcess(args, *json.loads(line)) for args, line in zip(commands, done.stdout.splitlines())
    ]
    assert len(found) == len(commands)
    return found


def test_run_gives_the_verdict_as_text_as_json_and_as_exit_status(bundle, loaded, pictures, tmp_path):
    judge, text = Judge(loaded), TEXTS[2]
    expected = judge.check(pictures[3], text)
    for threshold, status, name in ((-1.0, 0, "MATCH"), (1.0, 1, "MISMATCH")):
        script = unpack(bundle, tmp_path / name, threshold)
        shown, other = (pictures[3], text), (pictures[3], text, "--json")
        done, as_json = run_each(sys.executable, script, shown, other, folder=tmp_path)
        assert (done.returncode, done.stderr) == (status, "")
        lines = done.stdout.splitlines()
        assert lines[0].startswith(f"{name}  score {expected.score:.3f}")
        assert lines[1] == "model random"
        assert len(lines) == 2 + 12 + 1 and "the last 10 words were not read" in lines[-1]
        assert as_json.returncode == status
        verdict = json.loads(as_json.stdout)
        assert verdict["match"] is (status == 0) and len(verdict["words"]) == 12
        assert verdict["score"] == pytest.approx(expected.score, abs=1e-4)


def test_run_reports_an_error_in_one_line(bundle, pictures, tmp_path):
    script = unpack(bundle, tmp_path / "bundle")
    (tmp_path / "text.png").write_text("no picture")
    wrong = [
        ((tmp_path / "absent.png", "A ball."), "absent.png"),
        ((tmp_path / "text.png", "A ball."), "the file is not a picture"),
        ((pictures[0], " ...!"), "has no words to check"),
        ((pictures[0], "A \udced ball"), "the text 'A \\udced ball' has half of a character"),
        ((pictures[0],), "required: TEXT"),
        ((pictures[0], "A ball.", "--wrong"), "unrecognized arguments: --wrong"),
    ]
    runs = run_each(sys.executable, script, *(args for args, _ in wrong), folder=tmp_path)
    source = ROOT / "Miscellaneous_scripts" / "run_bundle.py"  # not in a bundle, so it cannot judge
    shown, refused = (run(sys.executable, source, *args, folder=tmp_path) for args in (["--help"], []))
    assert shown.returncode == 0 and "\n  python run.py picture.jpg " in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert refused.returncode == 2 and refused.stderr.endswith("; unpack a bundle and run the run.py in it\n")
    for done, (_, message) in zip(runs, wrong, strict=True):
        assert (done.returncode, done.stdout) == (2, "")
        assert message in done.stderr and done.stderr.startswith("run.py: error: ") and done.stderr.count("\n") == 1
    words = Tokenizer(WORDS[::-1]).to_json().encode()
    damages = {
        "text.onnx": (b"garbage", "cannot read"),
        "bundle.json": (b"garbage", "bundle.json is damaged: Expecting value"),
        "threshold.json": (b"[" * 100_000, "threshold.json is damaged: its brackets are nested too deep"),
        "vocabulary.json": (words, "vocabulary.json has other words than the model was trained with"),
        "picture.onnx": (script.with_name("text.onnx").read_bytes(), "are damaged, or of different models"),
        "Tokenizer_lib.py": (None, "no Tokenizer_lib.py beside"),
        "common/checked.py": (None, "no common/checked.py beside"),
    }
    scripts = []
    for number, (name, (damaged, _)) in enumerate(damages.items()):
        scripts.append(Path(shutil.copytree(script.parent, tmp_path / f"damaged {number}"), "run.py"))
        path = scripts[-1].parent / name
        path.unlink() if damaged is None else path.write_bytes(damaged)
    runs = run_together(sys.executable, [(one, pictures[0], "A ball.") for one in [*scripts, script]], tmp_path)
    for done, (_, message) in zip(runs, damages.values()):
        assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1
    assert runs[-1].returncode in (0, 1) and not runs[-1].stderr  # what no one damaged works in the same process


def pinned(package: str) -> str:
    """The line of the requirements with the version of a package."""
    lines = [line for name in ("requirements.txt", "requirements-export.txt") for line in (ROOT / name).open()]
    return next(line.strip() for line in lines if line.startswith(f"{package}=="))


def environment_of(packages: tuple[str, ...], folder: Path) -> Path:
    """The Python of a new environment that has these packages and what they need, and nothing else.

    The packages are linked from this environment: 2 s. To install them again takes 20 s and a package index.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=600)
    python = next(path for path in folder.glob("*/python*") if path.stem == "python")
    place = Path(
        run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder).stdout.strip()
    )
    needed, names = [*packages], set()
    while needed:
        found = importlib.metadata.distribution(needed.pop())
        names |= {(found.locate_file(file.parts[0]), file.parts[0]) for file in found.files if file.parts[0] != ".."}
        for requirement in map(Requirement, found.requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                needed.append(requirement.name)
    for source, name in names:
        (place / name).symlink_to(source)
    return python


@pytest.mark.system
def test_run_needs_nothing_but_three_packages(bundle, loaded, pictures, tmp_path):
    """It gives the same scores in an environment without torch, and from another folder."""
    packages = ("onnxruntime", "numpy", "pillow")
    for name in packages:
        assert pinned(name) == f"{name}=={importlib.metadata.version(name)}"
    python = environment_of(packages, tmp_path / "venv")
    assert run(python, "-c", "import torch", folder=tmp_path).returncode == 1
    script, elsewhere = unpack(bundle, tmp_path / "bundle"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    pairs = [(picture, text) for picture in pictures for text in TEXTS[::2]]
    runs = run_each(python, script, *((*pair, "--json") for pair in pairs), folder=elsewhere)
    for done, pair in zip(runs, pairs, strict=True):
        assert done.returncode in (0, 1) and not done.stderr, done.stderr
        expected = Judge(loaded).check(*pair)
        verdict = json.loads(done.stdout)
        assert verdict["score"] == pytest.approx(expected.score, abs=1e-4)
        assert [word["score"] for word in verdict["words"]] == pytest.approx(
            [word.score for word in expected.words], abs=1e-4
        )
