"""Draw the pictures of scenes in the documentation: twelve scenes with captions, and one example scene.

    python Miscellaneous_scripts/Scenes_gallery.py --out Plots/scenes_gallery.png

The example is written beside it, as example_scene.png.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.command_line import fail, read_command_line
from Config import require
from sources.scenes import draw, make_scene, write_captions

EXAMPLE = 900_005  # a seed that no default database uses
INK = (34, 34, 42)  # the colour of the outlines of drawn scenes


@dataclass(frozen=True)
class GalleryConfig:
    """Which scenes are drawn, and to which file."""

    out: str = "Plots/scenes_gallery.png"
    """PNG to write."""
    first_seed: int = 2
    """First of the twelve seeds."""

    def __post_init__(self) -> None:
        require(Path(self.out).suffix == ".png", f"--out {self.out}: the file name must end with .png")
        require(self.first_seed >= 0, f"--first-seed {self.first_seed}: must not be negative")


def main(args: Sequence[str] | None = None) -> None:
    settings = read_command_line(GalleryConfig, __doc__ or "", args)
    out = Path(settings.out)
    example = out.with_name("example_scene.png")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        gallery(out, range(settings.first_seed, settings.first_seed + 12))
        draw(make_scene(EXAMPLE)).save(example)
    except OSError as error:
        fail(f"cannot write: {error}")
    for path in (out, example):
        print(f"written: {path} ({path.stat().st_size / 1000:.0f} kB)")


def gallery(path: str | Path, seeds: Sequence[int], columns: int = 4, side: int = 256) -> None:
    """Write a PNG with the scenes of these seeds, two captions under each."""
    font = ImageFont.load_default(size=15)
    gap, line = 14, 18
    cards = []
    for seed in seeds:
        scene = make_scene(seed)
        captions = sorted(write_captions(scene, seed), key=len)[2:4]  # neither the shortest nor the longest
        rows = [row for text in captions for row in (*_wrap(text, font, side), "")][:-1]
        cards.append((draw(scene, side), rows))
    height = side + gap + line * max(len(rows) for _, rows in cards)
    lines = -(-len(cards) // columns)
    sheet = Image.new("RGB", (columns * (side + gap) + gap, lines * (height + gap) + gap), "white")
    pen = ImageDraw.Draw(sheet)
    for index, (picture, rows) in enumerate(cards):
        x, y = gap + index % columns * (side + gap), gap + index // columns * (height + gap)
        sheet.paste(picture, (x, y))
        for number, row in enumerate(rows):
            pen.text((x, y + side + gap / 2 + number * line), row, fill=INK, font=font)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    rows = [""]
    for word in text.split():
        longer = f"{rows[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            rows[-1] = longer
        else:
            rows.append(word)
    return rows


if __name__ == "__main__":
    main()
