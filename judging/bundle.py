"""A bundle: a trained model as one .zip that works without this program and without torch.

It has the two branches and the score as ONNX graphs, the vocabulary, the settings, the threshold, a model card, and
run.py, which checks a picture with only onnxruntime, numpy and Pillow. `load_bundle` reads a bundle into this program;
it executes only the graphs, which can only compute.

Shapes: N pictures, T texts, B pairs, L words, P patches, V vectors of a picture or text, D their width, S the side.
"""

import copy
import io
import json
import stat
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from Architectures import SiameseModel
from common import checked
from common.augment import prepare
from common.checked import check, check_words, hash_of_words, parse_json
from common.scores import Evidence, Scorer
from common.storage import CONFIG, THRESHOLD, VOCABULARY, write_atomically
from common.vision import one_line
from Config import Config, DatabaseConfig, DataConfig, ModelConfig, to_json
from evaluation import scoring
from sources.scenes import draw, make_scene, write_captions
from training.checkpoints import LoadedModel, Settings, read_settings, try_out

MANIFEST = "bundle.json"
FORMAT = 4  # of the bundle
# 2: without a head; score.onnx, which is not read then, has other outputs. 3: without limits for --risk, and without
# what the model was trained on
READABLE = (2, 3, FORMAT)
GRAPHS = ("picture.onnx", "text.onnx", "score.onnx")
SETTINGS = (MANIFEST, CONFIG, VOCABULARY, THRESHOLD)
PROGRAM = {  # name in the bundle -> source file. run.py imports the others, which import no torch
    "run.py": Path("Miscellaneous_scripts", "run_bundle.py"),
    "Tokenizer_lib.py": Path("Tokenizer_lib.py"),
    "common/__init__.py": Path("common", "__init__.py"),
    "common/checked.py": Path("common", "checked.py"),
    "common/pictures.py": Path("common", "pictures.py"),
    "judging/__init__.py": Path("judging", "__init__.py"),
    "judging/doubt.py": Path("judging", "doubt.py"),
}
MOST_BYTES = {".onnx": 2**31, ".json": checked.MOST_BYTES}  # of a member; an ONNX file cannot have more than 2 GiB
# Weights hardly shrink: a bundle takes 0.9 of its size unpacked. All members together may be RATIO times as large as
# the .zip, and MORE bytes larger, since JSON shrinks to a tenth.
RATIO, MORE = 4, 2**26
OPSET = 17  # version of the ONNX operators, released in 2022
SCENES = 8  # drawn at 40 to 320 pixels, to compare two models
INSTALL = "python -m pip install -r requirements-export.txt"
WRITE = "python Miscellaneous_scripts/Export_model.py --model DIR --out"


# Writing


def write_bundle(loaded: LoadedModel, path: Path, card: str) -> None:
    """Write a model to a .zip; the same model gives the same bytes.

    loaded: from `load_model`. card: the text of README.md. ValueError if the exporter is not installed or if the model
    is from a bundle; OSError if the file cannot be written.
    """
    if not isinstance(loaded.model, SiameseModel):
        raise ValueError("this model is a bundle already; export the folder that it was made from")
    members = graphs_of(loaded.model, loaded.config.data.side) | settings_of(loaded) | {"README.md": card.encode()}
    root = Path(__file__).parent.parent
    members |= {name: (root / source).read_bytes() for name, source in PROGRAM.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda part: write_zip(part, members))


def write_zip(path: Path, members: Mapping[str, bytes]) -> None:
    """Write a .zip with these files; its bytes do not depend on the date or the machine."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in sorted(members.items()):
            member = zipfile.ZipInfo(name)  # dated 1980
            member.create_system, member.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            archive.writestr(member, data, zipfile.ZIP_DEFLATED)


def settings_of(loaded: LoadedModel) -> dict[str, bytes]:
    """The JSON files of a bundle, by name."""
    model, config = loaded.model, loaded.config
    manifest = {
        "format": FORMAT,
        "name": config.name,
        "trained_on": model.trained_on,  # number and kind of pictures
        "side": config.data.side,
        "short_side": DatabaseConfig.short_side,
        "max_words": config.data.max_words,
        "score": config.model.score,
        "vocabulary": hash_of_words(loaded.tokenizer),
        "blend": None if model.ranking_blend is None else model.ranking_blend.item(),  # see Scorer
    }
    return {
        MANIFEST: json.dumps(manifest, indent=2).encode(),
        CONFIG: to_json(to_share(config)).encode(),
        VOCABULARY: loaded.tokenizer.to_json().encode(),
        THRESHOLD: json.dumps(asdict(loaded.threshold), indent=2).encode(),
    }


def to_share(config: Config) -> Config:
    """The settings without folders and devices of this machine, and with float32, in which the graphs compute."""
    return replace(
        config,
        precision="float32",
        device=Config.device,
        models=Config.models,
        plots=Config.plots,
        data=replace(config.data, root=DataConfig.root),
        backbone=replace(config.backbone, weights=Path(config.backbone.weights).name),
    )


class PictureBranch(nn.Module):
    """Pictures (N, 3, S, S) of bytes -> vectors (N, V, D), and how unlike the training pictures they are (N,) if the
    model has a World. It normalises the pictures too."""

    def __init__(self, model: SiameseModel):
        super().__init__()
        self.model = model

    def forward(self, pictures: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        features = self.model.features(pictures)
        vectors = self.model.neck(features)
        return vectors if self.model.world is None else (vectors, self.model.world(features))


class PairScore(nn.Module):
    """Vectors (B, V, D) of pictures and of texts -> score (B,), and for a model with word vectors the scores of its
    words (B, L) and their heat (B, L, P)."""

    def __init__(self, model: Scorer):
        super().__init__()
        self.model = model

    def forward(self, pictures: Tensor, texts: Tensor) -> Tensor | Evidence:
        return (
            self.model.evidence(pictures, texts) if self.model.scores_words else self.model.pair_scores(pictures, texts)
        )


class GridMeans(nn.Module):
    """AdaptiveAvgPool2d(grid) of features (N, C, height, width), as two matrix products.

    The exporter supports AdaptiveAvgPool2d only if `grid` divides height and width; it refuses 10 x 10 to 7 x 7.
    """

    lines: Tensor
    columns: Tensor

    def __init__(self, height: int, width: int, grid: int):
        super().__init__()
        self.register_buffer("lines", mean_weights(height, grid))
        self.register_buffer("columns", mean_weights(width, grid).T.contiguous())

    def forward(self, features: Tensor) -> Tensor:
        return self.lines @ features @ self.columns


def mean_weights(size: int, grid: int) -> Tensor:
    """(grid, size): row i averages the positions from floor(i * size / grid) to ceil((i + 1) * size / grid)."""
    weights = torch.zeros(grid, size)
    for i in range(grid):
        first, last = i * size // grid, -(-(i + 1) * size // grid)
        weights[i, first:last] = 1 / (last - first)
    return weights


def exportable(model: SiameseModel, side: int) -> SiameseModel:
    """A copy on the CPU, in float32, with only layers that the exporter supports."""
    model = copy.deepcopy(model).cpu().float().eval()
    backbone = model.backbone
    if isinstance(backbone.reduce, nn.AdaptiveAvgPool2d):
        grid, backbone.reduce = cast(int, backbone.reduce.output_size), None
        height, width = backbone(torch.zeros(1, 3, side, side)).shape[2:]
        backbone.reduce = GridMeans(height, width, grid)
    return model


@torch.no_grad()
def graphs_of(model: SiameseModel, side: int) -> dict[str, bytes]:
    """The ONNX files of a bundle, by name."""
    model = exportable(model, side)
    picture = torch.zeros(1, 3, side, side, dtype=torch.uint8)
    text = torch.ones(1, 3, dtype=torch.int64)
    branch = PictureBranch(model)
    seen = {"vectors": {0: "pictures"}} | ({} if model.world is None else {"unlike": {0: "pictures"}})
    vectors = {"pictures": model.encode_pictures(picture), "texts": model.text(text)}
    outputs = {"score": {0: "pairs"}}
    if model.scores_words:
        outputs |= {"words": {0: "pairs", 1: "words"}, "heat": {0: "pairs", 1: "words"}}
    of_pairs = {"pictures": {0: "pairs"}, "texts": {0: "pairs", 1: "vectors of a text"}}
    return {
        "picture.onnx": export(branch, {"pictures": picture}, {"pictures": {0: "pictures"}}, seen),
        "text.onnx": export(
            # Not `model.encode_texts`: it sorts texts by length, which a graph cannot do.
            model.text,
            {"words": text},
            {"words": {0: "texts", 1: "words"}},
            {"vectors": {0: "texts", 1: "vectors of a text"}},
        ),
        "score.onnx": export(PairScore(model), vectors, of_pairs, outputs),
    }


Axes = Mapping[str, Mapping[int, str]]  # name of a tensor -> its dimensions of any size


def export(module: nn.Module, example: Mapping[str, Tensor], inputs: Axes, outputs: Axes) -> bytes:
    """The module as the bytes of an ONNX file. ValueError if a package is missing or ONNX has no such operator.

    This is torch's older exporter, whose scores agree to 3e-8. The text branch of the newer one fails for any number of
    texts or words but the example's ("invalid expand shape"). An example must have a batch size of 1: any other size of
    an LSTM becomes a constant of the graph.
    """
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the older exporter is deprecated
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # from branches on constant types and shapes
        warnings.filterwarnings("ignore", "Exporting a model to ONNX with a batch_size", UserWarning)
        try:
            torch.onnx.export(
                module,
                tuple(example.values()),
                cast(Any, file),  # its type hint allows only a path, its documentation also a file
                dynamo=False,
                opset_version=OPSET,
                input_names=list(example),
                output_names=list(outputs),
                dynamic_axes={**inputs, **outputs},
            )
        except torch.onnx.OnnxExporterError as error:
            if "not installed" in str(error):
                raise ValueError(f"the export needs onnx: {INSTALL}") from error
            raise ValueError(f"this model cannot be exported to ONNX: {one_line(error)}") from error
    return file.getvalue()


def largest_difference(one: LoadedModel, other: LoadedModel) -> float:
    """The largest difference between two models in float32, over all scores of texts and of words, on drawn scenes."""
    scenes = [make_scene(seed) for seed in range(SCENES)]
    pictures = [draw(scene, side=40 * (1 + i)) for i, scene in enumerate(scenes)]
    captions = [write_captions(scene, seed) for seed, scene in enumerate(scenes)]
    texts = [text for some in captions for text in some]
    of = np.repeat(np.arange(SCENES), [len(some) for some in captions])
    found = []
    for loaded in (one, other):
        loaded = loaded._replace(config=replace(loaded.config, precision="float32"))
        prepared = (prepare(picture, loaded.config.data.side) for picture in pictures)
        vectors = scoring.encode_pictures(loaded, prepared, SCENES)
        blocks = list(scoring.encode_texts(loaded, texts))
        scores = [scores.ravel() for _, scores in scoring.score_blocks(loaded, vectors, blocks, "scores")]
        found.append(np.concatenate([*scores, *scoring.score_words(loaded, vectors, texts, of)[1]]))
    return float(np.abs(found[0] - found[1]).max())  # NaN if any score is NaN


# Reading


class ExportedModel(Scorer):
    """The branches and the head of a bundle, run by onnxruntime on the CPU. `Scorer` computes the other scores."""

    def __init__(self, model: ModelConfig, blend: float | None, trained_on: str, pictures: Any, texts: Any, pairs: Any):
        """pictures, texts, pairs: onnxruntime's sessions of the three graphs; blend: of Scorer.ranking_blend."""
        super().__init__(model)
        self.pictures_of_training = trained_on
        self.pairs = pairs
        if blend is not None and self.ranking_blend is not None:
            torch.nn.init.constant_(self.ranking_blend, blend)
        self.pictures, self.texts = pictures, texts

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def trained_on(self) -> str:
        return self.pictures_of_training

    def encode_pictures(self, pictures: Tensor) -> Tensor:
        return run(self.pictures, {"pictures": pictures})[0]

    def encode_and_measure(self, pictures: Tensor) -> tuple[Tensor, Tensor | None]:
        vectors, *unlike = run(self.pictures, {"pictures": pictures})
        return vectors, unlike[0] if unlike else None  # a bundle of an earlier version has only the vectors

    def encode_texts(self, words: Tensor) -> Tensor:
        return run(self.texts, {"words": words})[0]

    def evidence(self, pictures: Tensor, texts: Tensor) -> Evidence:
        if not self.has_head:
            return super().evidence(pictures, texts)
        return Evidence(*run(self.pairs, {"pictures": pictures, "texts": texts}))


def run(session: Any, inputs: Mapping[str, Tensor]) -> list[Tensor]:
    """The outputs of an onnxruntime session."""
    arrays = {name: np.ascontiguousarray(value.numpy()) for name, value in inputs.items()}
    return [torch.from_numpy(output) for output in session.run(None, arrays)]


def load_bundle(path: Path) -> LoadedModel:
    """The model of a bundle, from its .zip or from the folder it was unpacked to.

    FileNotFoundError if it does not exist, ValueError if it is damaged, of another version, or onnxruntime is missing.
    """
    if not path.exists():
        raise FileNotFoundError(f"no bundle at {path}; write one with: {WRITE} {path}")
    runtime = import_runtime()
    try:
        members = read_members(path)
        manifest = check(parse_json(members[MANIFEST], MANIFEST), checked.BUNDLE, MANIFEST)
        if manifest.get("format") not in READABLE:
            found = manifest.get("format")
            raise ValueError(f"it has format {found}, this version reads {FORMAT}; export the model again")
        settings = read_settings(members.__getitem__)
        check_settings(manifest, settings)
        sessions = (open_session(runtime, name, members[name]) for name in GRAPHS)
        trained_on = str(manifest.get("trained_on", ""))
        model = ExportedModel(settings.config.model, manifest["blend"], trained_on, *sessions).eval()
        try_out(model, settings.config, settings.tokenizer)
    except OSError:
        raise  # its message names the file
    except Exception as error:  # zip, zlib, JSON and onnxruntime each have their own exceptions
        reason = " ".join((str(error) or type(error).__name__).split())
        raise ValueError(f"{path} is not a bundle that this version can use: {reason[:300]}") from error
    return LoadedModel(model, *settings)


def check_settings(manifest: Mapping[str, Any], settings: Settings) -> None:
    """ValueError if the files of a bundle contradict each other."""
    check(manifest, checked.BUNDLE, MANIFEST, needed=True)
    config = settings.config
    ours = {"side": config.data.side, "max_words": config.data.max_words, "score": config.model.score}
    for name, value in ours.items():
        if manifest[name] != value:
            raise ValueError(f"{MANIFEST} says {name} {manifest[name]}, config.json {value}")
    check_words(settings.tokenizer, manifest.get("vocabulary"), VOCABULARY)


def import_runtime() -> ModuleType:
    """The module onnxruntime, which only bundles need. If it is absent, ValueError with the command to install it."""
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ValueError(f"a bundle needs onnxruntime: {INSTALL}") from error
    return onnxruntime


def read_members(path: Path) -> dict[str, bytes]:
    """The files of a bundle that a model needs, by name. Other files are ignored; nothing is unpacked to the disk.

    ValueError if a file is missing or too large; zipfile's exceptions if the .zip is damaged.
    """
    wanted = GRAPHS + SETTINGS
    if path.is_dir():
        files = {name: path / name for name in wanted if (path / name).is_file()}
        check_members({name: file.stat().st_size for name, file in files.items()})
        return {name: file.read_bytes() for name, file in files.items()}
    with zipfile.ZipFile(path) as archive:
        sizes = {member.filename: member.file_size for member in archive.infolist()}
        check_members(sizes)
        whole, most = sum(sizes[name] for name in wanted), RATIO * path.stat().st_size + MORE
        if whole > most:
            raise ValueError(f"its files declare {whole:,} bytes; a .zip of this size has at most {most:,}")
        return {name: archive.read(name) for name in wanted}  # zipfile stops at the size that was checked


def check_members(sizes: Mapping[str, int]) -> None:
    """ValueError if a needed file is missing or larger than MOST_BYTES."""
    if absent := [name for name in GRAPHS + SETTINGS if name not in sizes]:
        raise ValueError(f"it lacks {', '.join(absent)}")
    for name in GRAPHS + SETTINGS:
        if sizes[name] > (most := MOST_BYTES[Path(name).suffix]):
            raise ValueError(f"{name} has {sizes[name]:,} bytes; at most {most:,} are read")


def open_session(runtime: ModuleType, name: str, data: bytes) -> Any:
    """A session of onnxruntime on the CPU. ValueError if the bytes are not a graph."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # no log: every failure raises an exception
    try:
        return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen exception classes with no common base but Exception
        raise ValueError(f"{name}: {error}") from error
