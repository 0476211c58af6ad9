"""Draw twelve of the embedded scenes with their captions, and one scene alone: the pictures in the README.

python Miscellaneous_scripts/Scenes_gallery.py --out Plots/scenes_gallery.png
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sources.scenes import draw, make_scene, write_captions

EXAMPLE = 900_005  # a seed that no default database uses
INK = (34, 34, 42)  # that of the drawings


def main(args: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("Plots/scenes_gallery.png"), help="PNG to write (%(default)s)")
    parser.add_argument("--first-seed", type=int, default=2, help="first of the twelve seeds (%(default)s)")
    settings = parser.parse_args(args)
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    gallery(settings.out, range(settings.first_seed, settings.first_seed + 12))
    draw(make_scene(EXAMPLE)).save(settings.out.with_name("example_scene.png"))
    print(f"wrote {settings.out} ({settings.out.stat().st_size / 1000:.0f} kB)")


def gallery(path: str | Path, seeds: Sequence[int], columns: int = 4, side: int = 256) -> None:
    """Write a PNG with the scenes of these seeds, two captions under each."""
    font = ImageFont.load_default(size=15)
    gap, line = 14, 18
    cards = []
    for seed in seeds:
        scene = make_scene(seed)
        captions = sorted(write_captions(scene, seed), key=len)[2:4]  # neither the barest nor the longest
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
