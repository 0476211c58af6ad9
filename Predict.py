"""Is this text an accurate description of this picture?

python Predict.py: the verdict on an example.

python Predict.py IMAGE "TEXT": one verdict, with a score for each word.

python Predict.py --pairs FILE --images DIR --out FILE: scores of a whole data set.

python Predict.py --web: a web page.

Exit status of one verdict: 0 match, 1 mismatch, 3 unsure, 2 error. From Python: see docs/API.md.
"""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback while torch is imported, which takes seconds

import io
import json
import os
import shlex
import shutil
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.cells import cell_len, set_cell_size

from common.command_line import counted, fail, read_command_line
from common.devices import choose_device
from common.risk import check_risk
from Config import DIR, FILE, require
from judging.examples import PLOTS, examples_for
from judging.inputs import InputError, PictureError, TextError, open_any
from judging.judge import SHIPPED, Judge, Verdict, WordScore, name_model
from judging.notebook import unread_note
from judging.suggest import Suggestion, suggest

__all__ = ["InputError", "Judge", "PictureError", "TextError", "Verdict", "WordScore", "main", "suggest"]

BAR = 20  # characters of a word whose score is 1
UNKNOWN = "  (not in the vocabulary)"
STATUS = {"match": 0, "mismatch": 1, "unsure": 3}  # exit status; 2 is an error
ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class PredictConfig:
    """One picture and one text; or a table of pairs (--pairs); or a web page (--web)."""

    image: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[IMAGE]", help_behavior_hint="")] = None
    """Picture file; without it an example is judged."""
    text: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[TEXT]", help_behavior_hint="")] = None
    """Text to check, in quotes."""
    model: Annotated[str | None, tyro.conf.arg(metavar="DIR|ZIP", help_behavior_hint="")] = None
    """Folder of the trained model, or a bundle; by default the shipped judge of photographs, Models/photos."""
    device: Annotated[str, tyro.conf.arg(metavar="DEVICE")] = "auto"
    """auto, cpu, cuda, cuda:1, mps ..."""
    risk: float | None = None
    """Highest error rate of verdicts, for example 0.1; where it would be exceeded the verdict is UNSURE."""
    json: bool = False
    """Print the verdict as JSON."""
    heatmap: Annotated[str | None, FILE] = None
    """PNG, PDF or SVG file to write: where in the picture each word fits (known words that name something)."""
    suggest: bool = False
    """For the three words that fit worst, print words of the same category that fit better."""
    pairs: Annotated[str | None, FILE] = None
    """CSV, TSV, JSONL or Parquet file with the columns image and caption."""
    images: Annotated[str | None, DIR] = None
    """Folder of the images of --pairs; by default the folder of that file."""
    out: Annotated[str | None, FILE] = None
    """CSV, TSV, JSONL or Parquet file to write: every row of --pairs with its score."""
    engine: Literal["local", "ray"] = "local"
    """local: this process. ray: a Ray cluster (RAY_ADDRESS), see requirements-cluster.txt."""
    overwrite: bool = False
    """Replace --out."""
    report: Annotated[str | None, FILE] = None
    """HTML page to write: the captions that fit their picture worst. Without --out, --pairs FILE must have scores."""
    worst: int = 50
    """Number of captions on the page of --report."""
    web: bool = False
    """Serve a web page; needs python -m pip install -r requirements-web.txt."""
    host: str = "127.0.0.1"
    """Address of the web page; 0.0.0.0 shows it to the whole network."""
    port: int = 7860
    """Port of the web page."""
    auth: Annotated[str | None, tyro.conf.arg(metavar="USER:PASSWORD", help_behavior_hint="")] = None
    """Name and password that the web page asks for; without them everyone who can reach it can use it."""

    def __post_init__(self) -> None:
        for name in ("image", "model", "heatmap", "pairs", "images", "out", "report"):
            require(getattr(self, name) != "", f"{name}: the name is empty")
        require(not (self.web and (self.pairs or self.image)), "--web takes no picture and no --pairs")
        require(not (self.pairs and self.image), "--pairs FILE takes no single picture")
        require(self.image is None or self.text is not None, 'a text is needed: python Predict.py IMAGE "TEXT"')
        for name in ("images", "out", "report", "overwrite"):
            require(not getattr(self, name) or bool(self.pairs), f"--{name} needs --pairs FILE")
        require(not self.pairs or bool(self.out or self.report), "--pairs needs --out FILE, --report FILE or both")
        require(not (self.pairs and self.suggest) or bool(self.report), "--suggest with --pairs needs --report FILE")
        require(not (self.web and self.suggest), "--web always shows corrections; leave out --suggest")
        require(self.worst == 50 or bool(self.report), "--worst needs --report FILE")
        require(self.engine == "local" or bool(self.out), "--engine needs --pairs FILE --out FILE")
        require((self.host, self.port) == ("127.0.0.1", 7860) or self.web, "--host and --port belong to --web")
        require(self.auth is None or self.web, "--auth belongs to --web")
        user, _, password = ("u:p" if self.auth is None else self.auth).partition(":")
        require(bool(user and password), "--auth: must be USER:PASSWORD")
        for name in ("json", "heatmap"):
            require(not (getattr(self, name) and (self.pairs or self.web)), f"--{name} needs one picture and one text")
        if self.risk is not None:
            check_risk(self.risk)
        # A page or a plot must not overwrite a data set or a picture.
        heatmap, report = (Path(path or "").suffix.lower() for path in (self.heatmap, self.report))
        formats = ("", ".png", ".pdf", ".svg")
        require(heatmap in formats, f"--heatmap {self.heatmap}: the name must end in .png, .pdf or .svg")
        require(report in ("", ".html"), f"--report {self.report}: the name must end in .html")
        require(not self.heatmap or not is_same(self.heatmap, self.image), f"--heatmap would replace {self.image}")
        require(self.worst >= 1, f"--worst {self.worst}: must be at least 1")


def is_same(path: str, other: str | None) -> bool:
    """Are both paths the same file?"""
    return other is not None and Path(path).resolve() == Path(other).resolve()


def main(args: Sequence[str] | None = None) -> None:
    settings = read_command_line(PredictConfig, __doc__ or "", args)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a Windows pipe may not know the bar's block
    model = settings.model or SHIPPED
    try:
        choose_device(settings.device)  # here its message names the flag
        if settings.web:
            from judging.web import serve

            serve(Judge.load(model, settings.device, settings.risk), settings.host, settings.port, settings.auth)
        elif settings.pairs:
            judge_pairs(settings, model)
        else:
            refuse_swapped(settings.image, settings.text)
            raise SystemExit(judge_one(settings, Judge.load(model, settings.device, settings.risk)))
    except KeyboardInterrupt:
        if not settings.web:  # Ctrl-C is how the web page is ended
            fail("interrupted; run the same command again to continue" if settings.out else "interrupted", code=130)
    except BrokenPipeError:  # the reader of the pipe has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(2) from None
    except (ValueError, OSError, ModuleNotFoundError) as error:
        fail(str(error))
    except Exception:
        traceback.print_exc()
        raise SystemExit(2) from None  # Python's own 1 would say that the text is a mismatch


def judge_one(settings: PredictConfig, judge: Judge) -> int:
    """Print the verdict on one picture; returns the exit status."""
    image, text = settings.image, settings.text
    if image is None or text is None:
        _, text, _ = example = examples_for(judge)[0]
        image = str(PLOTS / str(example.picture))
    verdict = judge.check(image, text)
    suggestions = suggest(judge, image, text) if settings.suggest else []
    if settings.json:
        result = {"image": image, "text": text, "model": judge.name, **verdict.as_dict()}
        if settings.suggest:
            result["suggestions"] = [found._asdict() for found in suggestions]
        print(json.dumps(result, indent=2))
    else:
        if settings.image is None:
            place = Path(image)
            print(f'{place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place}: "{text}"')
        print_verdict(verdict)
        if settings.suggest:
            print_suggestions(suggestions)
    if settings.heatmap:
        if verdict.heat is None:
            raise ValueError(f"--heatmap: {judge.name} has only the pooled score, which has no places of words")
        from judging.heat import plot_heat

        shown = plot_heat(Path(settings.heatmap), open_any(image), verdict)
        words = ", ".join(shown) or "none, because no word that names something is in the vocabulary"
        print(f"heat maps in {settings.heatmap}: {words}", file=sys.stderr)
    return STATUS[verdict.verdict]


def refuse_swapped(image: str | None, text: str | None) -> None:
    """ValueError with the right command if the text names a picture file and the picture does not."""
    if image is None or text is None or os.path.isfile(image):  # noqa: PTH113 - Path.is_file raises for a long text
        return
    looks_swapped = text.lower().endswith(ENDINGS) and not image.lower().endswith(ENDINGS)
    hint = f'the picture comes first, then the text: python Predict.py {shlex.quote(text)} "{image}"'
    require(not (looks_swapped or os.path.isfile(text)), hint)  # noqa: PTH113


def judge_pairs(settings: PredictConfig, model: str) -> None:
    """Score a data set (--out), and show its worst captions (--report)."""
    from judging.page import write_report
    from judging.table import Job, load_judge, score_file

    pairs = Path(settings.pairs or "")
    images = Path(settings.images) if settings.images else pairs.parent
    scored = pairs
    if settings.out:
        scored = Path(settings.out)
        job = Job(pairs, images, scored, model, settings.device, settings.engine, settings.overwrite, settings.risk)
        print(score_file(job))
    if settings.report:
        judge = load_judge(model, settings.device, settings.risk)
        count = write_report(Path(settings.report), judge, scored, images, settings.worst, settings.suggest)
        captions = counted(count, "most suspicious caption")
        print(f"{settings.report}: the {captions}")


def print_verdict(verdict: Verdict) -> None:
    """The verdict in one line of at most 80 columns, why it is unsure, the model, and a bar for each word."""
    name, sign = verdict.verdict.upper(), ">=" if verdict.match else "<"
    numbers = f"score {verdict.score:.3f} {sign} threshold {verdict.threshold:.3f}"
    if not verdict.why:  # else it would say what the judge is not sure of
        numbers += f", probability {verdict.probability:.2f}"
    shown = name if verdict.why else coloured(name, verdict.match, bold=True)
    print(f"{shown}  {numbers}")
    if verdict.why:
        print(f"  because {verdict.why}")
    if verdict.note:
        print(f"  {verdict.note}")
    print(name_model(verdict.model, verdict.trained_on))
    longest = max(cell_len(word.text) for word in verdict.words)
    note = max(len(unknown_note(word)) for word in verdict.words)
    width = longest if (room := columns()) is None else min(longest, max(8, room - BAR - note - 12))
    for word in verdict.words:
        bar = coloured("█" * round(BAR * max(0.0, word.score)), word.score >= verdict.threshold)
        cut = word.text if cell_len(word.text) <= width else f"{set_cell_size(word.text, width - 1)}…"
        print(f"  {set_cell_size(cut, width)}  {word.score:6.3f}  {bar}{unknown_note(word)}".rstrip())
    if verdict.unread:
        print(f"  {unread_note(verdict)}")


def unknown_note(word: WordScore) -> str:
    """What is said behind the bar of an unknown word."""
    if word.known:
        return ""
    return f"  (not in the vocabulary; did you mean {word.meant}?)" if word.meant else UNKNOWN


def print_suggestions(suggestions: Sequence[Suggestion]) -> None:
    if not suggestions:
        print("no correction scores higher")
    for found in suggestions:
        scores, room = f"({found.before:.2f} → {found.after:.2f})", columns()
        line = f"  {found.old} → {coloured(found.new, True)} {scores}"
        if room is None or cell_len(f"  {found.old} → {found.new} {scores}  {found.text}") <= room:
            print(f"{line}  {found.text}")
        else:
            from rich.console import Console
            from rich.text import Text

            print(
                line, *(f"    {part.plain.rstrip()}" for part in Text(found.text).wrap(Console(), room - 4)), sep="\n"
            )


def columns() -> int | None:
    """Columns of the terminal; None for a file or a pipe, whose lines have no limit."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def coloured(text: str, good: bool, bold: bool = False) -> str:
    """Green or red on a terminal; unchanged in a file or pipe, or if NO_COLOR is set (no-color.org)."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\033[{'1;' if bold else ''}{32 if good else 31}m{text}\033[0m"


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # main prints one line
    main()
