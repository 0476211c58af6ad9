"""An equivalent of COCO of any size, made from the photographs of a folder of Flickr8k.

Each photograph returns under many numbers: another crop, mirrored or not, other colours, another JPEG quality. So
neither its bytes nor its perceptual hash repeat. Its captions return with other nouns and colours: each is replaced by
a word of the same pool of the vocabulary, words that are frequent in the folder more often. One word in 400 is
misspelled, since the words of a real collection grow in number too. Localized Narratives and ShareGPT4V texts are made
from the captions of a photograph, as many and as long as those of COCO.

All is written as COCO is distributed, so that the readers of `sources/` are measured. The same folder and number
give the same bytes. An interrupted run is resumed; sizes share the files of their pictures.
"""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from common.jobs import progress, run_jobs
from common.storage import write_atomically
from Config import usable_cores
from Miscellaneous_scripts.benchmarks.photographs import CAPTIONS, PICTURES
from negatives.edits import match_case, takes_an
from negatives.vocabulary import entries

SIDE = 256  # pixels of the short side
PER_JOB = 250  # photographs
# Of disk per photograph, an estimate: 15 kB for the picture (measured), three times (data, units, database), 20 kB for
# texts and parses, 5 kB for the plan, and a reserve.
BYTES = 90_000
EXCHANGED = frozenset(("colour", "animal", "person", "gender", "clothing", "food", "vehicle", "place", "object"))
# COCO 2017 has 591,753 captions of 118,287 training photographs, and 134,272 narratives.
SIXTH_CAPTION, SECOND_NARRATIVE = 60, 7  # one photograph in 60, and one in 7
MISSPELLED = 1 / 400
PART = "train2017"
Texts = dict[str, list[str]]


@dataclass(frozen=True)
class Collection:
    """The files of a collection, with the flags of Database_create.py that read them."""

    coco: Path
    narratives: Path
    dense: Path

    @classmethod
    def at(cls, folder: Path) -> Collection:
        return cls(folder, folder / "coco_train_localized_narratives.jsonl", folder / "share-captioner_coco.json")


def make_collection(source: Path, folder: Path, count: int, shared: Path) -> Collection:
    """Make `folder` with `count` photographs, unless it exists. shared: folder of the pictures of all sizes.

    OSError if the disk has too little room; ValueError if `source` is not a folder of Flickr8k.
    """
    made = Collection.at(folder)
    if (folder / "complete").is_file():
        return made
    check_room(folder.parent, count)
    captions = read_captions(source)
    jobs = [
        MakePictures(source / PICTURES, tuple(sorted(captions)), shared, start, min(start + PER_JOB, count))
        for start in range(0, count, PER_JOB)
    ]
    for _ in progress(run_jobs(jobs, workers=usable_cores()), f"make {count:,} pictures", " jobs", len(jobs)):
        pass
    pictures = folder / PART
    pictures.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        if not (link := pictures / name_of(number)).exists():
            os.link(shared / name_of(number), link)
    (folder / "annotations").mkdir(exist_ok=True)
    write_texts(made, captions, count)
    (folder / "complete").touch()
    return made


def check_room(folder: Path, count: int) -> None:
    """OSError if the disk has too little room for a collection, its database and plan."""
    free = shutil.disk_usage(folder).free
    if free < count * BYTES:
        raise OSError(
            f"{count:,} photographs need {count * BYTES / 1e9:.1f} GB in {folder}, {free / 1e9:.1f} GB are free"
        )


def read_captions(source: Path) -> Texts:
    """Name of a picture -> its captions. ValueError if the folder is not one of Flickr8k, or has no captions."""
    file = source / CAPTIONS
    if not file.is_file() or not (source / PICTURES).is_dir():
        raise ValueError(f"--photos {source} must be a folder of Flickr8k, with {PICTURES}/ and {CAPTIONS}")
    captions: Texts = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        name, _, text = line.partition("\t")
        captions.setdefault(name.partition("#")[0], []).append(text.strip())
    found = {name: texts for name, texts in captions.items() if (source / PICTURES / name).is_file()}
    if not found:
        raise ValueError(f"--photos {source}: {CAPTIONS} has no caption of a picture in {PICTURES}/")
    return found


def name_of(number: int) -> str:
    return f"{number + 1:012d}.jpg"


# Pictures


@dataclass(frozen=True)
class MakePictures:
    """A job: write the pictures first <= number < after to `folder`, unless they exist."""

    source: Path
    names: tuple[str, ...]
    folder: Path
    first: int
    after: int

    def run(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for number in range(self.first, self.after):
            path = self.folder / name_of(number)
            if not path.exists():
                write_atomically(path, functools.partial(self.write, number))

    def write(self, number: int, path: Path) -> None:
        rng = random.Random(f"picture {number}")
        with Image.open(self.source / self.names[number % len(self.names)]) as file:
            varied(file.convert("RGB"), rng).save(path, "JPEG", quality=rng.randint(75, 92))


def varied(picture: Image.Image, rng: random.Random) -> Image.Image:
    """A crop of a picture with 16 to 72 % of its area, SIDE pixels high, in other colours."""
    width, height = picture.size
    across, down = (side * rng.uniform(0.4, 0.85) for side in (width, height))
    left, top = rng.uniform(0, width - across), rng.uniform(0, height - down)
    size = (round(SIDE * rng.choice((1, 4 / 3, 4 / 3, 3 / 2))), SIDE)
    picture = picture.resize(size, Image.Resampling.BILINEAR, (left, top, left + across, top + down))
    if rng.random() < 0.5:
        picture = ImageOps.mirror(picture)
    channels = [list(picture.split())[n] for n in rng.sample(range(3), 3)] if rng.random() < 0.3 else picture.split()
    shifts = [(rng.uniform(0.7, 1.2), rng.uniform(-25, 25)) for _ in channels]
    moved = [
        channel.point([min(255, max(0, round(value * factor + offset))) for value in range(256)])
        for channel, (factor, offset) in zip(channels, shifts)
    ]
    return Image.merge("RGB", moved)


# Texts


class Exchange:
    """Replaces nouns and colours by words of the same pool and form, as often as these occur in some captions."""

    def __init__(self, captions: Mapping[str, Sequence[str]]):
        count = Counter(word.lower() for texts in captions.values() for text in texts for word in text.split())
        self.pool_of: dict[str, tuple[str, str]] = {}
        self.words: dict[tuple[str, str], tuple[list[str], list[int]]] = {}
        for found in entries().values():
            for entry in found:
                (first, *others) = entry.words
                if not others and entry.category in EXCHANGED and count[first] and first not in self.pool_of:
                    self.pool_of[first] = key = entry.pool, entry.form
                    words, weights = self.words.setdefault(key, ([], []))
                    words.append(first)
                    weights.append(count[first])

    def texts(self, texts: Sequence[str], rng: random.Random) -> list[str]:
        """The captions of a photograph with other words; a word is replaced by the same word in all of them."""
        new: dict[str, str] = {}
        return [self._text(text, new, rng) for text in texts]

    def _text(self, text: str, new: dict[str, str], rng: random.Random) -> str:
        words = text.split()
        for n, old in enumerate(words):
            word = old.lower()
            if word in self.pool_of:
                if word not in new:
                    known, weights = self.words[self.pool_of[word]]
                    new[word] = rng.choices(known, weights)[0]
                words[n] = match_case(old, new[word])
                if n and words[n - 1].lower() in ("a", "an"):
                    words[n - 1] = match_case(words[n - 1], "an" if takes_an(new[word]) else "a")
            elif len(word) > 4 and rng.random() < MISSPELLED:
                at = rng.randrange(1, len(old) - 2)
                words[n] = old[:at] + old[at + 1] + old[at] + old[at + 2 :]
        return " ".join(words)


def texts_of(captions: Texts, count: int) -> Iterator[tuple[int, list[str], list[str], str]]:
    """(number, captions, narratives, dense caption) of each photograph."""
    names, exchange = sorted(captions), Exchange(captions)
    for number in range(count):
        rng = random.Random(f"texts {number}")
        own = captions[names[number % len(names)]]
        many = number % SIXTH_CAPTION == 0
        short = exchange.texts([*own, *own[: int(many)]][: 5 + many], rng)
        rng.shuffle(short)
        told = [
            "In this image we can see " + " And ".join(rng.sample(short, min(3, len(short))))
            for _ in range(1 + (number % SECOND_NARRATIVE == 0))
        ]
        # 170 words, as long as those of Share-Captioner.
        dense = " ".join(text for _ in range(3) for text in exchange.texts(short[:5], rng))
        yield number, short, told, f"The image shows the following. {dense}"


def write_texts(made: Collection, captions: Texts, count: int) -> None:
    """Write the files of a collection that hold texts, line by line: memory holds one photograph's."""
    images, annotations = (made.coco / "annotations" / name for name in (f"captions_{PART}.json", "part.tmp"))
    total = 0
    with (
        images.open("w", encoding="utf-8") as official,
        annotations.open("w+", encoding="utf-8") as behind,
        made.narratives.open("w", encoding="utf-8") as narratives,
        made.dense.open("w", encoding="utf-8") as dense,
    ):
        official.write('{"images": [')
        dense.write("[")
        for number, short, told, long in progress(texts_of(captions, count), "make texts", " photographs", count):
            comma, key = "," if number else "", number + 1
            official.write(f"{comma}\n" + json.dumps({"id": key, "file_name": name_of(number)}))
            for text in short:
                total += 1
                behind.write(json.dumps({"image_id": key, "id": total, "caption": text}) + "\n")
            narratives.writelines(json.dumps(narrative(key, n, text)) + "\n" for n, text in enumerate(told))
            turns = [{"from": "human", "value": "Describe the image."}, {"from": "gpt", "value": long}]
            record = {"id": f"{key:012d}", "image": f"coco/{PART}/{name_of(number)}", "conversations": turns}
            dense.write(f"{comma}\n" + json.dumps(record))
        official.write('],\n"annotations": [')
        behind.seek(0)
        for number, line in enumerate(behind):
            official.write(("," if number else "") + "\n" + line.strip())
        official.write("]}\n")
        dense.write("]\n")
    annotations.unlink()


def narrative(image: int, number: int, text: str) -> dict[str, Any]:
    """A record of Localized Narratives: four words are spoken in a second, while the mouse draws ten points."""
    rng, words = random.Random(f"narrative {image} {number}"), text.split()
    spoken = [" ".join(words[at : at + 4]) for at in range(0, len(words), 4)]
    trace = [
        {"x": round(rng.uniform(0, 1), 3), "y": round(rng.uniform(0, 1), 3), "t": round(at / 10, 1)}
        for at in range(10 * len(spoken))
    ]
    timed = [{"utterance": part, "start_time": float(at), "end_time": at + 0.9} for at, part in enumerate(spoken)]
    record = {"dataset_id": f"mscoco_{PART}", "image_id": str(image), "annotator_id": number, "caption": text}
    return {**record, "timed_caption": timed, "traces": [trace]}
