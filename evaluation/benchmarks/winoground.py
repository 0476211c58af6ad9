"""Winoground: two pictures and two captions of the same words. Source: Thrush et al. 2022."""

import numpy as np

from common.metrics import TIE
from evaluation.benchmarks.figures import Claim, Figures, Scored, label_figures
from evaluation.benchmarks.reading import Benchmark, Contents, json_line, text_of
from sources.files import read_lines

PAIRS = ((0, 0), (1, 1), (0, 1), (1, 0))  # picture and caption of a unit's four claims; the first two are true


def _read(contents: Contents) -> None:
    """Read the file. The subset of a record is its `collapsed_tag`, or else its `tag`."""
    for number, line in read_lines(contents.file()):
        with contents.record(f"{contents.path.name}:{number}", 4):
            record = json_line(line)
            pictures, texts = ([text_of(record, f"{kind}_{n}") for n in (0, 1)] for kind in ("image", "caption"))
            tags = [record.get(key) for key in ("collapsed_tag", "tag")]
            subset = next((tag.strip() for tag in tags if isinstance(tag, str) and tag.strip()), "")
            unit = next(contents.units)
            contents.add(*(Claim(pictures[i], texts[j], float(i == j), subset, unit) for i, j in PAIRS))


def _figures(scored: Scored) -> Figures:
    """Text score: both pictures prefer their caption. Image score: both captions prefer their picture. Group: both.

    A tie does not count.
    """
    figures, units = label_figures(scored), scored.units(4)
    if not units:
        return figures._replace(n=0)
    first, second, picture_0_text_1, picture_1_text_0 = scored.scores[np.array(units)].T - np.c_[[TIE, TIE, 0, 0]]
    text = (first > picture_0_text_1) & (second > picture_1_text_0)
    image = (first > picture_1_text_0) & (second > picture_0_text_1)
    of = scored.photographs[[unit[0] for unit in units]]
    won = {"text_score": text, "image_score": image, "group_score": text & image}
    samples = {name: scored.boot.mean(values, of) for name, values in won.items()}
    return figures._replace(n=len(units), samples=figures.samples | samples)


WINOGROUND = Benchmark("winoground", "a JSONL file with image_0, image_1, caption_0, caption_1", _read, _figures)
