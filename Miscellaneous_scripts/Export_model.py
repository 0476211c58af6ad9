"""Write a trained model as a bundle: one .zip that checks pictures without torch and without this program.

    python Miscellaneous_scripts/Export_model.py --model Models/scenes --out scenes.zip

It has both branches and the score as ONNX files, the vocabulary, the threshold, a model card (README.md), and run.py,
which needs only onnxruntime, numpy and pillow. Before it is kept, the bundle is loaded and its scores are compared with
the model's on drawn scenes. Needs: python -m pip install -r requirements-export.txt
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.checked import read_json
from common.command_line import fail, read_command_line
from common.storage import PHOTOGRAPHS
from Config import require
from judging.bundle import import_runtime, largest_difference, load_bundle, write_bundle
from training.checkpoints import LoadedModel, load_model

MOST_DIFFERENCE = 1e-4  # between the scores of model and bundle; 2e-7 is usual, and scores are printed to 1e-3
FIGURES = ("balanced_accuracy", "recall", "specificity", "roc_auc")  # of results.json, in the card
CARD = Path(__file__).with_name("model_card.md")  # the template that `model_card` fills
LOWER_PRECISION = """
The graphs compute in float32. If training chose the threshold in bfloat16 or float16, the scores differ by a few
thousandths from those that it was chosen on.
"""
WEAKEST = 5  # categories of swapped words that the card names


@dataclass(frozen=True)
class ExportConfig:
    """Which model to export, and to which file."""

    out: str | None = None
    """File to write; its name ends in .zip."""
    model: str = "Models/scenes"
    """Folder of the trained model."""
    overwrite: bool = False
    """Replace a file of the same name."""

    def __post_init__(self) -> None:
        require(self.out is not None, "add --out NAME.zip")
        require(self.path.suffix == ".zip", f"--out {self.out}: the ending must be .zip")

    @property
    def path(self) -> Path:
        return Path(self.out or "")


def main(args: Sequence[str] | None = None) -> None:
    settings = read_command_line(ExportConfig, __doc__ or "", args)
    folder, path = Path(settings.model), settings.path
    try:
        require(not path.is_dir(), f"--out {settings.out} is a folder")
        is_free = settings.overwrite or not path.exists()
        require(is_free, f"{settings.out} is already there; replace it with --overwrite")
        import_runtime()  # fail before the model is loaded, which takes seconds
        loaded = load_model(folder, torch.device("cpu"))
        difference = write_checked(loaded, path, model_card(loaded, folder))
    except (ValueError, OSError) as error:
        fail(str(error))
    print(f"written: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    print(f"on drawn scenes no score of a text or a word differs by more than {difference:.1e} from the model's")


def write_checked(loaded: LoadedModel, path: Path, card: str) -> float:
    """Write the bundle and compare its scores with the model's; returns their largest difference.

    ValueError if the difference is above MOST_DIFFERENCE; then there is no file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        part = Path(folder) / path.name
        write_bundle(loaded, part, card)
        difference = largest_difference(loaded, load_bundle(part))
        if not difference <= MOST_DIFFERENCE:  # also if it is NaN
            found = f"a score of the bundle differs by {difference:.1e} from the model's"
            raise ValueError(f"{found}; at most {MOST_DIFFERENCE:g} is accepted, so nothing was written")
        part.replace(path)
    return difference


# The model card


def model_card(loaded: LoadedModel, folder: Path) -> str:
    """The README.md of a bundle: CARD with the settings and results in the model's folder."""
    config, at = loaded.config, loaded.threshold
    listed = folder / PHOTOGRAPHS
    number = "an unknown number of"
    if listed.is_file():
        number = f"{len(listed.read_text(encoding='utf-8').splitlines()):,}"
    return CARD.read_text(encoding="utf-8").format(
        name=config.name,
        backbone=config.backbone.name + (", frozen" if config.backbone.frozen else ""),
        side=config.data.side,
        layers=config.model.lstm_layers,
        max_words=config.data.max_words,
        score=config.model.score,
        width=f"{config.model.width}{', words weighed' if config.model.weigh_words else ''}",
        millions=sum(weight.numel() for weight in loaded.model.parameters()) / 1e6,
        seed=config.seed,
        epochs=config.optim.epochs,
        commit=commit(),
        database=config.data.name,
        trained_on=loaded.model.trained_on or f"{number} photographs or scenes",
        vocabulary=len(loaded.tokenizer),
        lower_precision="" if config.precision == "float32" else LOWER_PRECISION,
        evaluation=evaluation(folder, loaded),
        **asdict(at),
    )


def commit() -> str:
    """The commit of this program, with "-dirty" if files have changed since; "unknown" without git."""
    root = Path(__file__).resolve().parent.parent
    try:
        command = ["git", "describe", "--always", "--dirty", "--exclude=*", "--abbrev=40"]  # the commit, not a tag
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip() or "unknown"


def evaluation(folder: Path, loaded: LoadedModel) -> str:
    """What Evaluate_test.py measured with these weights at this threshold, as Markdown."""
    command = "run `python Evaluate_test.py --model DIR` and export again"
    path = folder / "results.json"
    if not path.is_file():
        return f"Not evaluated; {command}.\n"
    try:
        results = read_json(path)
        at = results["threshold"]
        if (at["epoch"], at["threshold"]) != (loaded.threshold.epoch, loaded.threshold.threshold):
            return f"The last evaluation was of other weights or at another threshold; {command}.\n"
        return "\n".join(figures(results)) + "\n"
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} was not written by this version ({error}); {command}") from error


def figures(results: Mapping[str, Any]) -> list[str]:
    """Lines of Markdown: false texts by kind, retrieval, calibration, and the weakest categories."""
    lines = [
        f"Test split of `{Path(results['database']).name}`: {results['test_photographs']:,} photographs, "
        f"{results['test_captions']:,} captions. [95 % interval], {results['resamples']:,} bootstrap resamples of "
        "photographs.",
        "",
    ]
    if leaked := results["trained_on"]:
        lines += [f"{len(leaked):,} of these photographs were in the training split, so the figures are too good.", ""]
    lines += [
        f"| false texts | n | {' | '.join(name.replace('_', ' ') for name in FIGURES)} |",
        "| --- " * (2 + len(FIGURES)) + "|",
    ]
    for row in results["test"]:
        if row["section"] == "kind":
            cells = [row["name"], f"{row['n']:,}", *(with_interval(row[name]) for name in FIGURES)]
            lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    found = results["retrieval"].get("all", {})
    for name in ("picture_to_text", "text_to_picture"):
        if (recall := f"{name}_recall@1") in found:
            lines.append(f"- Retrieval, {name.replace('_', ' ')}: recall@1 {with_interval(found[recall])}")
    calibrated = results["calibration"]
    lines.append(f"- Calibration error {calibrated['ece']:.4f}, Brier score {with_interval(calibrated['brier'])}")
    categories = [row for row in results["test"] if row["section"] == "category"]
    categories = [row for row in categories if row["balanced_accuracy"]["value"] is not None]
    weakest = sorted(categories, key=lambda row: row["balanced_accuracy"]["value"])[:WEAKEST]
    if weakest:
        some = ", ".join(f"{row['name']} {with_interval(row['balanced_accuracy'])}" for row in weakest)
        lines.append(f"- Weakest categories of a swapped word, balanced accuracy: {some}")
    return lines


def with_interval(found: Mapping[str, float | None]) -> str:
    """A figure with its interval, as Markdown; "–" if it is null in the JSON, since it could not be measured."""
    if any(found[name] is None for name in ("value", "low", "high")):
        return "–"
    return "{value:.4f} [{low:.4f}, {high:.4f}]".format_map(found)


if __name__ == "__main__":
    main()
