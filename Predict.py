"""Is this text an accurate description of this picture?

python Predict.py IMAGE "TEXT": one verdict, word by word.

python Predict.py --pairs FILE --images DIR --out FILE: scores of a whole data set.

python Predict.py --web: a web page.

Exit status of one verdict: 0 match, 1 mismatch, 2 error. From Python: from Predict import Judge, see judging/judge.py.
"""

import io
import json
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from common.command_line import fail, read_command_line
from common.jobs import EngineError
from common.storage import THRESHOLD
from Config import Config, require
from judging.inputs import InputError, PictureError, TextError, open_any
from judging.judge import EXAMPLE, SHIPPED, Judge, Verdict, WordScore
from judging.suggest import Suggestion, suggest

__all__ = ["InputError", "Judge", "PictureError", "TextError", "Verdict", "WordScore", "main", "suggest"]

FILE = tyro.conf.arg(metavar="FILE")
BAR = 20  # characters of a word whose score is 1


@dataclass(frozen=True)
class PredictConfig:
    """One picture and one text; or a data set of them (--pairs); or a web page (--web)."""

    image: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[IMAGE]")] = None
    """Picture file; without it a drawn example is judged."""
    text: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[TEXT]")] = None
    """Text to check, in quotes."""
    model: Annotated[str | None, tyro.conf.arg(metavar="DIR|ZIP")] = None
    """Folder of the trained model, or a bundle; by default Models/scenes, or Models/scenes-small if that is absent."""
    device: Annotated[str, tyro.conf.arg(metavar="DEVICE")] = "auto"
    """auto, cpu, cuda, cuda:1, mps ..."""
    json: bool = False
    """Print the verdict as JSON."""
    heatmap: Annotated[str | None, FILE] = None
    """PNG to write: the picture with the heat of each word that names something."""
    suggest: bool = False
    """Tell which words of the same category would fit better, for the three words that fit worst."""
    pairs: Annotated[str | None, FILE] = None
    """CSV, TSV, JSONL or Parquet file with the columns image and caption."""
    images: Annotated[str | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder of the images of --pairs; by default the folder of that file."""
    out: Annotated[str | None, FILE] = None
    """CSV, TSV, JSONL or Parquet file to write: every row of --pairs with its score."""
    engine: Literal["local", "ray"] = "local"
    """local: this process. ray: a Ray cluster (RAY_ADDRESS), see requirements-cluster.txt."""
    overwrite: bool = False
    """Replace --out."""
    report: Annotated[str | None, FILE] = None
    """HTML page to write: the most suspicious captions with their pictures. Without --out, FILE has scores already."""
    worst: int = 50
    """Captions on the page."""
    web: bool = False
    """Open a web page, see requirements-web.txt."""
    host: str = "127.0.0.1"
    """Address of the web page; 0.0.0.0 shows it to the whole network."""
    port: int = 7860
    """Port of the web page."""

    def __post_init__(self) -> None:
        for name in ("image", "model", "heatmap", "pairs", "images", "out", "report"):
            require(getattr(self, name) != "", f"{name}: the name is empty")
        require(not (self.web and (self.pairs or self.image)), "--web takes no picture and no --pairs")
        require(not (self.pairs and self.image), "--pairs FILE takes no single picture")
        require(self.image is None or self.text is not None, 'a text is needed: python Predict.py IMAGE "TEXT"')
        for name in ("images", "out", "report", "overwrite"):
            require(not getattr(self, name) or bool(self.pairs), f"--{name} belongs to --pairs FILE")
        require(not self.pairs or bool(self.out or self.report), "--pairs needs --out FILE, --report FILE or both")
        require(not (self.pairs and self.suggest) or bool(self.report), "--suggest of --pairs belongs to --report FILE")
        require(not (self.web and self.suggest), "--web shows corrections anyway: drop --suggest")
        require(self.worst == 50 or bool(self.report), "--worst belongs to --report FILE")
        require(self.engine == "local" or bool(self.out), "--engine belongs to --pairs FILE --out FILE")
        require((self.host, self.port) == ("127.0.0.1", 7860) or self.web, "--host and --port belong to --web")
        for name in ("json", "heatmap"):
            require(not (getattr(self, name) and (self.pairs or self.web)), f"--{name} is of one picture and one text")
        # A page or a plot must not overwrite a data set or a picture.
        heatmap, report = (Path(path or "").suffix.lower() for path in (self.heatmap, self.report))
        require(heatmap in ("", ".png"), f"--heatmap {self.heatmap}: the name must end in .png")
        require(report in ("", ".html"), f"--report {self.report}: the name must end in .html")
        require(not self.heatmap or not is_same(self.heatmap, self.image), f"--heatmap would replace {self.image}")
        require(self.worst >= 1, f"--worst {self.worst}: must be at least 1")


def is_same(path: str, other: str | None) -> bool:
    """Do two paths name the same file?"""
    return other is not None and Path(path).resolve() == Path(other).resolve()


def main(args: Sequence[str] | None = None) -> None:
    settings = read_command_line(PredictConfig, __doc__ or "", args)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a Windows pipe may not know the bar's block
    model = settings.model or default_model()
    try:
        if settings.web:
            from judging.web import serve

            serve(Judge.load(model, settings.device), settings.host, settings.port)
        elif settings.pairs:
            judge_pairs(settings, model)
        else:
            raise SystemExit(judge_one(settings, Judge.load(model, settings.device)))
    except KeyboardInterrupt:
        fail("interrupted; the same command goes on" if settings.out else "interrupted", code=130)
    except BrokenPipeError:  # the reader of the pipe has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(2) from None
    except (ValueError, OSError, ModuleNotFoundError, EngineError) as error:
        fail(str(error))
    except Exception:
        traceback.print_exc()
        raise SystemExit(2) from None  # Python's own 1 would say that the text is a mismatch


def default_model() -> str:
    """The model that `python Main_train.py` makes, or else the shipped one."""
    trained = Config().model_folder
    return str(trained if (trained / THRESHOLD).is_file() else SHIPPED)


def judge_one(settings: PredictConfig, judge: Judge) -> int:
    """Print the verdict on one picture; returns the exit status."""
    image, text = (settings.image, settings.text) if settings.image is not None else EXAMPLE
    assert image is not None and text is not None, "checked by PredictConfig"
    verdict = judge.check(image, text)
    suggestions = suggest(judge, image, text) if settings.suggest else []
    if settings.json:
        result = {"image": image, "text": text, "model": judge.name, **verdict.as_dict()}
        if settings.suggest:
            result["suggestions"] = [found._asdict() for found in suggestions]
        print(json.dumps(result, indent=2))
    else:
        if settings.image is None:
            print(f'{image}: "{text}"')
        print_verdict(verdict)
        if settings.suggest:
            print_suggestions(suggestions)
    if settings.heatmap:
        if verdict.heat is None:
            raise ValueError("--heatmap: a model with the pooled score alone finds no word in a place")
        from judging.heat import plot_heat

        plot_heat(Path(settings.heatmap), open_any(image), text, verdict)
        print(f"heat of the words: {settings.heatmap}", file=sys.stderr)
    return 0 if verdict.match else 1


def judge_pairs(settings: PredictConfig, model: str) -> None:
    """Score a data set (--out), and show its worst captions (--report)."""
    from judging.page import write_report
    from judging.table import Job, load_judge, score_file

    pairs = Path(settings.pairs or "")
    images = Path(settings.images) if settings.images else pairs.parent
    scored = pairs
    if settings.out:
        scored = Path(settings.out)
        job = Job(pairs, images, scored, model, settings.device, settings.engine, settings.overwrite)
        print(score_file(job))
    if settings.report:
        judge = load_judge(model, settings.device)
        count = write_report(Path(settings.report), judge, scored, images, settings.worst, settings.suggest)
        print(f"{settings.report}: the {count} most suspicious captions")


def print_verdict(verdict: Verdict) -> None:
    """The verdict, and a bar for each word."""
    name, sign = ("MATCH", ">=") if verdict.match else ("MISMATCH", "<")
    numbers = (
        f"score {verdict.score:.3f} {sign} threshold {verdict.threshold:.3f}, probability {verdict.probability:.2f}"
    )
    print(f"{coloured(name, verdict.match, bold=True)}  {numbers}")
    width = max(len(word.text) for word in verdict.words)
    for word in verdict.words:
        bar = coloured("█" * round(BAR * max(0.0, word.score)), word.score >= verdict.threshold)
        note = "" if word.known else "  (not in the vocabulary)"
        print(f"  {word.text:{width}s}  {word.score:6.3f}  {bar}{note}")
    if verdict.unread:
        print(f"  the last {verdict.unread} words were not read: the model reads {len(verdict.words)}")


def print_suggestions(suggestions: Sequence[Suggestion]) -> None:
    if not suggestions:
        print("no correction scores higher")
    for found in suggestions:
        print(f"  {found.old} → {coloured(found.new, True)} ({found.before:.2f} → {found.after:.2f})  {found.text}")


def coloured(text: str, good: bool, bold: bool = False) -> str:
    """Green or red on a terminal; unchanged in a file or pipe, or if NO_COLOR is set (no-color.org)."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\033[{'1;' if bold else ''}{32 if good else 31}m{text}\033[0m"


if __name__ == "__main__":
    main()
