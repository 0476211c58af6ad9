"""People's ratings of pictures of Flickr8k with captions, most of which belong to other pictures.

Sources: Hodosh et al. 2013; Hessel et al. 2021 (CLIPScore).
"""

import math
import re
from collections.abc import Callable
from pathlib import Path

from evaluation.benchmarks.figures import Claim, Figures, Scored, rating_figures
from evaluation.benchmarks.reading import Benchmark, Contents, check, decoded
from sources.files import find_file, read_lines
from sources.flickr import flickr_identity
from sources.items import LeftOut

TOKENS = "Flickr8k.token.txt"


def _read_expert(contents: Contents) -> None:
    """Ratings of three experts for each pair, from 1 (does not describe the picture at all) to 4 (describes it).

    A pair is a unit, each rating a claim. Pairs of a picture and one of its own captions are left out, as in the
    literature (Anderson et al. 2016, SPICE): 158 of 5,822 pairs, so 16,992 ratings are left.
    """

    def scores(fields: list[str]) -> list[float]:
        check(all(re.fullmatch(r"[1-4]", field) for field in fields), f"scores are 1 to 4, got {fields}"[:120])
        return [float(field) for field in fields]

    _read_judgements(contents, "ExpertAnnotations.txt", scores, 3, own=False)


def _read_cf(contents: Contents) -> None:
    """The fraction of CrowdFlower workers who said that the caption describes the picture; 47,830 pairs."""

    def fraction(fields: list[str]) -> list[float]:
        value = float(fields[0]) if re.fullmatch(r"[0-9.eE+-]+", fields[0]) else math.nan
        check(0 <= value <= 1, f"the fraction must be 0 to 1, got {fields[0][:80]!r}")
        return [value]

    _read_judgements(contents, "CrowdFlowerAnnotations.txt", fraction, 1, own=True)


def _read_judgements(
    contents: Contents, usual: str, ratings: Callable[[list[str]], list[float]], claims: int, own: bool
) -> None:
    """Read lines of image, caption id and three fields.

    usual: the name of the file in a folder. ratings: makes the labels of a line, `claims` in number, from the three
    fields. own: whether pairs of a picture and one of its own captions count.
    """
    path, benchmark = contents.path, contents.benchmark
    file = find_file(path, usual) if path.is_dir() else path
    if file is None:
        raise FileNotFoundError(f"{usual} is not in {path}; {benchmark.name} expects {benchmark.expects}")
    captions = _read_captions(contents, file.with_name(TOKENS))
    of_itself = 0
    for number, line in read_lines(file):
        with contents.record(f"{file.name}:{number}", claims):
            fields = [field.strip() for field in decoded(line).split("\t")]
            check(len(fields) == 5, f"expected five fields separated by tabs, got {len(fields)}")
            picture, key = fields[:2]
            check(bool(picture), "the image has no file name")
            labels = ratings(fields[2:])
            # By identity: the token file calls one picture 2258277193_586949ec62.jpg.1
            if not own and flickr_identity(picture) == flickr_identity(key.rpartition("#")[0]):
                of_itself += 1
                continue
            check(key in captions, f"{TOKENS} has no caption {key[:80]!r}")
            unit = next(contents.units)
            contents.add(*(Claim(picture, captions[key], label, "", unit) for label in labels))
    if of_itself:
        reason = f"{of_itself} pairs of a picture and one of its own captions"
        where = f"{file.name}:own captions"
        contents.left_out.append(LeftOut("collection", where, reason, captions=claims * of_itself))


def _read_captions(contents: Contents, file: Path) -> dict[str, str]:
    """Captions by id ("NAME.jpg#2"). A broken line is left out; later, every rating of its caption is left out too."""
    if not file.is_file():
        name, expects = contents.benchmark.name, contents.benchmark.expects
        raise FileNotFoundError(f"the captions are not there: {file}; {name} expects {expects}")
    captions: dict[str, str] = {}
    for number, line in read_lines(file):
        with contents.record(f"{file.name}:{number}", 0):
            key, _, text = (part.strip() for part in decoded(line).partition("\t"))
            check(
                bool(re.fullmatch(r".+#\d+", key) and text),
                f"expected name.jpg#number, a tab and a caption: {key[:80]!r}",
            )
            captions[key] = text
    return captions


def _expert_figures(scored: Scored) -> Figures:
    """tau-c, as in the literature, and ROC-AUC of ratings 4 against 1."""
    return rating_figures(scored, "c", scored.label == 4, scored.label == 1)


def _cf_figures(scored: Scored) -> Figures:
    """tau-b, as in the literature, and ROC-AUC of pairs that most workers accepted against those most refused."""
    return rating_figures(scored, "b", scored.label > 0.5, scored.label < 0.5)


FLICKR8K_EXPERT = Benchmark(
    "flickr8k-expert",
    f"ExpertAnnotations.txt with {TOKENS} beside it, or their folder: image, caption id and three scores of 1 to 4, "
    "separated by tabs",
    _read_expert,
    _expert_figures,
    ratings=True,
)
FLICKR8K_CF = Benchmark(
    "flickr8k-cf",
    f"CrowdFlowerAnnotations.txt with {TOKENS} beside it, or their folder: image, caption id, fraction of yes and two "
    "counts, separated by tabs",
    _read_cf,
    _cf_figures,
    ratings=True,
)
