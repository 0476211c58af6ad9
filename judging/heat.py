"""Heat maps: where in the picture each word fits, over the picture, and all words of a text in one figure.

Shapes: L words, (h, w) patch grid, (H, W) pixels of the picture.
"""

import math
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image

from common.metrics import Floats
from evaluation.style import pyplot, save
from judging.judge import Verdict, content_words

COLOURS = "inferno"
OPACITY = 0.6


def heat_range(verdict: Verdict) -> tuple[float, float]:
    """Lowest and highest cosine of the colour scale; all words of a text share it, so that they can be compared."""
    assert verdict.heat is not None, "a model with only the pooled score has no heat"
    some = verdict.heat[content_words([word.text for word in verdict.words])]
    return min(0.0, float(some.min())), max(verdict.threshold, float(some.max()))


def overlay(picture: Image.Image, heat: Floats, lowest: float, highest: float) -> Image.Image:
    """The RGB picture under the heat (h, w) of one word; lowest and highest are the ends of the colour scale."""
    smooth = Image.fromarray(heat.astype(np.float32)).resize(picture.size, Image.Resampling.BICUBIC)
    share = np.clip((np.asarray(smooth) - lowest) / max(highest - lowest, 1e-6), 0, 1)
    colours = (255 * mpl.colormaps[COLOURS](share)[..., :3]).astype(np.uint8)
    grey = picture.convert("L").convert("RGB")  # the picture's own colours would mix with those of the heat
    return Image.blend(grey, Image.fromarray(colours), OPACITY)


def plot_heat(path: Path, picture: Image.Image, text: str, verdict: Verdict) -> None:
    """Write a PNG with the picture and, for each content word, the heat over it."""
    plt = pyplot()
    words = content_words([word.text for word in verdict.words])
    lowest, highest = heat_range(verdict)
    columns = min(4, len(words) + 1)
    rows = math.ceil((len(words) + 1) / columns)
    height = 2.4 * picture.height / picture.width
    figure, axes = plt.subplots(
        rows, columns, figsize=(2.6 * columns + 0.8, (height + 0.3) * rows + 0.6), squeeze=False, layout="constrained"
    )
    for axis in axes.flat:
        axis.axis("off")
    axes.flat[0].imshow(picture)
    axes.flat[0].set_title("the picture", fontsize=10)
    for axis, number in zip(axes.flat[1:], words):
        word = verdict.words[number]
        axis.imshow(overlay(picture, verdict.heat[number], lowest, highest))  # type: ignore[index]
        if word.box:
            left, top, right, bottom = word.box
            frame = (left * picture.width - 0.5, top * picture.height - 0.5)
            size = ((right - left) * picture.width, (bottom - top) * picture.height)
            axis.add_patch(mpl.patches.Rectangle(frame, *size, fill=False, edgecolor="white", linewidth=1.5))
        unknown = "" if word.known else ", unknown"
        axis.set_title(f"{word.text}  {word.score:.2f}{unknown}", fontsize=10, parse_math=False)
    colours = mpl.cm.ScalarMappable(mpl.colors.Normalize(lowest, highest), COLOURS)
    bar = figure.colorbar(colours, ax=axes, shrink=0.9, aspect=25, label="cosine with each patch")
    bar.ax.axhline(verdict.threshold, color="white", linewidth=1.5)
    said = "MATCH" if verdict.match else "MISMATCH"
    title = f"{text}\n{said}, score {verdict.score:.2f}, threshold {verdict.threshold:.2f}"
    figure.suptitle(title, wrap=True, parse_math=False)  # a $ in a text is no formula
    save(figure, path)
