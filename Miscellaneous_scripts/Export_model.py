"""Write a trained model as a bundle: one .zip that judges pictures without torch and without this program.

    python Miscellaneous_scripts/Export_model.py --model Models/scenes --out scenes.zip

It holds both branches and the score as ONNX files, the vocabulary, the threshold, a model card (README.md), and run.py,
which needs onnxruntime, numpy and pillow alone. The bundle is then loaded and compared with the model on drawn scenes;
one that disagrees is not kept. Needs: python -m pip install -r requirements-export.txt
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from Config import fail, read_command_line, require
from judging import bundle as bundle_lib
from training import checkpoints
from training.checkpoints import LoadedModel

MOST_DIFFERENCE = 1e-4  # of a score; float32 gives 2e-7, and thresholds are told to 1e-3
FIGURES = ("balanced_accuracy", "recall", "specificity", "roc_auc")  # of results.json, in the card
LOWER_PRECISION = """
The graphs compute in float32. Where training chose the threshold in bfloat16 or float16, scores are a few thousandths
apart from those that it was chosen on.
"""
WEAKEST = 5  # categories of swapped words that the card names


@dataclass(frozen=True)
class ExportConfig:
    """What to export, and where to."""

    out: str | None = None
    """Bundle to write; its name ends in .zip."""
    model: str = "Models/scenes"
    """Folder of the trained model."""
    overwrite: bool = False
    """Replace a file of that name."""

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
        bundle_lib.import_runtime()  # told before seconds pass
        loaded = checkpoints.load_model(folder, torch.device("cpu"))
        difference = write_checked(loaded, path, model_card(loaded, folder))
    except (ValueError, OSError) as error:
        fail(str(error))
    print(f"written: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    print(f"on drawn scenes no score of a text or a word differs by more than {difference:.1e} from the model's")


def write_checked(loaded: LoadedModel, path: Path, card: str) -> float:
    """Write the bundle; it takes its name once it agrees with the model. Returns the largest difference of a score.

    ValueError if it is above MOST_DIFFERENCE.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        part = Path(folder) / path.name
        bundle_lib.write_bundle(loaded, part, card)
        difference = bundle_lib.largest_difference(loaded, bundle_lib.load_bundle(part))
        if not difference <= MOST_DIFFERENCE:  # nan too
            told = f"a score of the exported model differs by {difference:.1e} from the model's"
            raise ValueError(f"{told}, at most {MOST_DIFFERENCE:g} is accepted; nothing was written")
        part.replace(path)
    return difference


# The model card


def model_card(loaded: LoadedModel, folder: Path) -> str:
    """README.md of a bundle. Every figure in it comes from the model's folder."""
    config, at = loaded.config, loaded.threshold
    weights = sum(weight.numel() for weight in loaded.model.parameters())
    listed = folder / "photographs.txt"
    photographs = (
        f"{len(listed.read_text(encoding='utf-8').splitlines()):,}" if listed.is_file() else "an unknown number of"
    )
    backbone, model = config.backbone, config.model
    frozen = ", frozen" if backbone.frozen else ""
    weighed = ", words weighed" if model.weigh_words else ""
    lower = "" if config.precision == "float32" else LOWER_PRECISION
    rates = f"recall {at.recall:.4f}, specificity {at.specificity:.4f}, balanced accuracy {at.balanced_accuracy:.4f}"
    return f"""# {config.name}: does this text describe this picture?

A trained judge: it scores a picture and a text with a cosine from -1 to 1, and calls it a match from a threshold on.
Exported from Image & Text Consistency.

## Use

Unpack it, then:

```
python -m pip install onnxruntime numpy pillow
python run.py IMAGE "TEXT"
```

It prints MATCH or MISMATCH, the score, the probability and each word's own score; `--json` prints the same as JSON.
Exit status 0: match, 1: mismatch, 2: error. With the program it was exported from:

```python
from judging.judge import Judge

verdict = Judge.load("{config.name}.zip").check("picture.jpg", "A red ball.")
```

## Model

| | |
| --- | --- |
| picture branch | {backbone.name}{frozen}, pictures squeezed to {config.data.side} x {config.data.side} |
| text branch | {model.lstm_layers} bidirectional LSTM layers, at most {config.data.max_words} words are read |
| score | {model.score}, width {model.width}{weighed} |
| size | {weights / 1e6:.1f} million weights, float32 |
| seed, epoch | {config.seed}, {at.epoch} of at most {config.optim.epochs} |
| exported at commit | {commit()} |

All settings are in `config.json`.

## Data

Database `{config.data.name}`: trained on {photographs} photographs or scenes with their captions; negatives are made of
these captions. The vocabulary has {len(loaded.tokenizer):,} words, all from the training split.

## Threshold and probability

Match from a score of {at.threshold:.4f} on, chosen for {at.criterion} on {at.chosen_on}. There, of captions against
hard negatives: {rates}.
The probability of a match is 1 / (1 + exp(-({at.slope:.3f} * score {at.intercept:+.3f}))).
{lower}
## Test

{evaluation(folder, loaded)}
## Limits

- It is weak at numbers, at relations (left, under), and at who has or does what.
- English only. A word outside the vocabulary says little; the verdict marks it. Case and punctuation are not read.
- The probability assumes that half of all texts are false. Where that is not so, choose another threshold.
- The whole picture is squeezed into a small square: what is tiny is not seen.
- It knows pictures like those that it was trained on. Do not let it decide alone on what matters to people.
"""


def commit() -> str:
    """The commit of this program, with "-dirty" if its files were changed since; "unknown" without git."""
    root = Path(__file__).resolve().parent.parent
    try:
        command = ["git", "describe", "--always", "--dirty", "--exclude=*", "--abbrev=40"]  # of no tag, but the commit
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip() or "unknown"


def evaluation(folder: Path, loaded: LoadedModel) -> str:
    """What Evaluate_test.py has measured of these weights at this threshold, as Markdown."""
    command = "run `python Evaluate_test.py --model DIR` and export again"
    path = folder / "results.json"
    if not path.is_file():
        return f"Not evaluated; {command}.\n"
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        at = results["threshold"]
        if (at["epoch"], at["threshold"]) != (loaded.threshold.epoch, loaded.threshold.threshold):
            return f"The last evaluation was of other weights or at another threshold; {command}.\n"
        return "\n".join(figures(results)) + "\n"
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no report of this version ({error}); {command}") from error


def figures(results: Mapping[str, Any]) -> list[str]:
    """Lines of Markdown: false texts by kind, retrieval, calibration, the weakest categories."""
    lines = [
        f"Test split of `{Path(results['database']).name}`: {results['test_photographs']:,} photographs, "
        f"{results['test_captions']:,} captions. [95 % interval], {results['resamples']:,} bootstrap resamples of "
        "photographs.",
        "",
    ]
    if leaked := results["trained_on"]:
        lines += [f"{len(leaked):,} of these photographs were trained on: the figures flatter the model.", ""]
    lines += [
        f"| false texts | n | {' | '.join(name.replace('_', ' ') for name in FIGURES)} |",
        "| --- " * (2 + len(FIGURES)) + "|",
    ]
    for row in results["test"]:
        if row["section"] == "kind":
            lines.append(f"| {row['name']} | {row['n']:,} | {' | '.join(told(row[name]) for name in FIGURES)} |")
    lines.append("")
    found = results["retrieval"].get("all", {})
    for name in ("picture_to_text", "text_to_picture"):
        if (recall := f"{name}_recall@1") in found:
            lines.append(f"- Retrieval, {name.replace('_', ' ')}: recall@1 {told(found[recall])}")
    calibrated = results["calibration"]
    lines.append(f"- Calibration error {calibrated['ece']:.4f}, Brier score {told(calibrated['brier'])}")
    categories = [row for row in results["test"] if row["section"] == "category"]
    categories = [row for row in categories if row["balanced_accuracy"]["value"] is not None]
    weakest = sorted(categories, key=lambda row: row["balanced_accuracy"]["value"])[:WEAKEST]
    if weakest:
        some = ", ".join(f"{row['name']} {told(row['balanced_accuracy'])}" for row in weakest)
        lines.append(f"- Weakest categories of a swapped word, balanced accuracy: {some}")
    return lines


def told(found: Mapping[str, float | None]) -> str:
    """A figure with its interval; JSON has null for what could not be measured."""
    if any(found[name] is None for name in ("value", "low", "high")):
        return "–"
    return "{value:.4f} [{low:.4f}, {high:.4f}]".format_map(found)


if __name__ == "__main__":
    main()
