"""Photographs for the benchmarks in the format of Flickr8k: copied from a folder, or drawn."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from sources.scenes import draw, make_scene, write_captions

PICTURES, CAPTIONS = "Flicker8k_Dataset", "Flickr8k.token.txt"
TRAINING, DEVELOPMENT = "Flickr_8k.trainImages.txt", "Flickr_8k.devImages.txt"


def copy_evenly(source: Path, target: Path, count: int) -> None:
    """Copy `count` photographs of a folder of Flickr8k, evenly spread over their names, with captions and splits."""
    if not (source / CAPTIONS).is_file() or not (source / PICTURES).is_dir():
        raise FileNotFoundError(f"--photos {source} must be a folder of Flickr8k, with {PICTURES}/ and {CAPTIONS}")
    pictures = sorted((source / PICTURES).glob("*.jpg"))
    if len(pictures) < count:
        raise ValueError(f"--photos {source} has only {len(pictures)} photographs; use --count {len(pictures)} or less")
    chosen = [pictures[n * len(pictures) // count] for n in range(count)]
    (target / PICTURES).mkdir(parents=True)
    for picture in chosen:
        shutil.copy(picture, target / PICTURES)
    names = {picture.name for picture in chosen}
    for file in (source / CAPTIONS, *source.glob("Flickr_8k.*Images.txt")):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = "".join(line for line in lines if line.partition("#")[0].strip() in names)
        (target / file.name).write_text(kept, encoding="utf-8")


def draw_photographs(target: Path, count: int) -> None:
    """Write drawn scenes of 640 x 480 pixels in Flickr8k's format. Noise makes their PNG files as large as usual."""
    (target / PICTURES).mkdir(parents=True)
    captions, names = [], [f"{1_000_000 + seed}_scene.jpg" for seed in range(count)]
    for seed, name in enumerate(names):
        scene = make_scene(seed)
        grain = np.random.default_rng(seed).normal(0, 8, (480, 640, 3))
        pixels = np.asarray(draw(scene, 640).resize((640, 480))) + grain
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(target / PICTURES / name, quality=90)
        captions += [f"{name}#{number}\t{text}\n" for number, text in enumerate(write_captions(scene, seed))]
    (target / CAPTIONS).write_text("".join(captions), encoding="utf-8")
    for file, some in ((TRAINING, [name for name in names if name not in names[::6]]), (DEVELOPMENT, names[::6])):
        (target / file).write_text("".join(f"{name}\n" for name in some), encoding="utf-8")
