"""Heat maps: where in the picture each word fits. One map over the picture, or the maps of a text in one figure.

Shapes: L words, (h, w) patch grid, (H, W) pixels of the picture.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from common.metrics import Floats
from evaluation.style import import_matplotlib, pyplot, save
from judging.doubt import content_words
from judging.judge import Verdict, WordScore

COLOURS = "inferno"
OPACITY = 0.6


def mapped_words(verdict: Verdict) -> list[int]:
    """Indices of the words that get a heat map: the content words of the vocabulary.

    All unknown words have the same vector, so their heat says nothing about them.
    """
    return [i for i in content_words([word.text for word in verdict.words]) if verdict.words[i].known]


def heat_range(verdict: Verdict) -> tuple[float, float]:
    """Lowest and highest value of the colour scale, the same for all words of a text, so that they can be compared."""
    assert verdict.heat is not None, "a model with only the pooled score has no heat"
    if verdict.heat_is == "attention":
        return 0.0, 1.0
    some = verdict.heat[mapped_words(verdict) or slice(None)]
    return min(0.0, float(some.min())), max(verdict.threshold, float(some.max()))


def overlay(picture: Image.Image, heat: Floats, lowest: float, highest: float) -> Image.Image:
    """The RGB picture under the heat (h, w) of one word; lowest and highest are the ends of the colour scale."""
    smooth = Image.fromarray(heat.astype(np.float32)).resize(picture.size, Image.Resampling.BICUBIC)
    fraction = np.clip((np.asarray(smooth) - lowest) / max(highest - lowest, 1e-6), 0, 1)
    colours = (255 * import_matplotlib().colormaps[COLOURS](fraction)[..., :3]).astype(np.uint8)
    grey = picture.convert("L").convert("RGB")  # the picture's own colours would mix with those of the heat
    return Image.blend(grey, Image.fromarray(colours), OPACITY)


def plot_heat(path: Path, picture: Image.Image, verdict: Verdict) -> list[str]:
    """Write a figure of the picture and the heat maps of its words; returns the words that have one.

    path ends in .png, .pdf or .svg. A map has a frame around the word's best patch.
    """
    plt = pyplot()
    words = [verdict.words[i] for i in mapped_words(verdict)]
    lowest, highest = heat_range(verdict)
    columns = len(words) + 1 if len(words) < 5 else 4
    rows = math.ceil((len(words) + 1) / columns)
    height = 2.4 * picture.height / picture.width
    figure, axes = plt.subplots(
        rows, columns, figsize=(2.6 * columns + 0.8, (height + 0.3) * rows + 0.6), squeeze=False, layout="constrained"
    )
    for axis in axes.flat:
        axis.axis("off")
        axis.set(xticks=[], yticks=[])  # hidden ticks are laid out too, which takes half of the time
    axes.flat[0].imshow(picture)
    axes.flat[0].set_title("picture", fontsize=10)
    for axis, number in zip(axes.flat[1:], mapped_words(verdict)):
        axis.imshow(overlay(picture, verdict.heat[number], lowest, highest))  # type: ignore[index]
        add_frame(axis, picture, verdict.words[number])
        axis.set_title(
            f"{cut(verdict.words[number].text, 24)}  {verdict.words[number].score:.2f}", fontsize=10, parse_math=False
        )
    if words:
        mpl = import_matplotlib()
        colours = mpl.cm.ScalarMappable(mpl.colors.Normalize(lowest, highest), COLOURS)
        cosine = verdict.heat_is == "cosine"
        label = "cosine with each patch" if cosine else "attention\n(highest = 1)"
        bar = figure.colorbar(colours, ax=axes, shrink=0.9, aspect=25, label=label)
        if cosine:
            bar.ax.axhline(verdict.threshold, color="white", linewidth=1.5)
    name = verdict.verdict.upper()
    shown = cut(" ".join(verdict.text.split()), 90 * columns)  # four lines; with more, the maps have no room
    title = f"{shown}\n{name}, score {verdict.score:.2f}, threshold {verdict.threshold:.2f}"
    figure.suptitle(title, wrap=True, parse_math=False)  # a $ in a text does not begin a formula
    save(figure, path)
    return [word.text for word in words]


def cut(text: str, most: int) -> str:
    """The text in at most so many characters, without those that no font has."""
    text = "".join(char if char.isprintable() else " " for char in text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def add_frame(axis: Any, picture: Image.Image, word: WordScore) -> None:
    """Draw the frame of the word's best patch on a map of the picture."""
    if word.box is None:
        return
    left, top, right, bottom = word.box
    corner = (left * picture.width - 0.5, top * picture.height - 0.5)
    size = ((right - left) * picture.width, (bottom - top) * picture.height)
    axis.add_patch(import_matplotlib().patches.Rectangle(corner, *size, fill=False, edgecolor="white", linewidth=1.5))
