"""The plain way to build a database: `datasets` with PNG pictures of 224 x 224, and nlp(caption) of spaCy.

It runs in a process of its own. Start-up time is measured too, so it imports little.
"""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from Config import usable_cores
from Miscellaneous_scripts.benchmarks.photographs import CAPTIONS, PICTURES

PLAIN_SIZE = (224, 224)  # the input of an ImageNet backbone


def build(photographs: str, target: str, pipeline: str) -> None:
    """Write the database TARGET/bench from a folder in Flickr8k's format, with as many processes as our way."""
    from datasets import Dataset, Features, List, Value
    from datasets import Image as ImageColumn

    texts, numbers = List(Value("string")), List(Value("int32"))
    parse = {"text": Value("string"), "lemma": texts, "tag": texts, "dep": texts, "head": numbers}
    captions: dict[str, list[str]] = {}
    for line in (Path(photographs) / CAPTIONS).read_text(encoding="utf-8").splitlines():
        name, text = line.split("\t", 1)
        captions.setdefault(name.partition("#")[0], []).append(text)
    Dataset.from_generator(
        plain_rows,
        features=Features({"image": ImageColumn(), "captions": List(parse)}),
        cache_dir=str(Path(target) / "cache"),
        gen_kwargs={"folder": Path(photographs) / PICTURES, "captions": [*captions.items()], "pipeline": pipeline},
        num_proc=usable_cores(),
    ).save_to_disk(str(Path(target) / "bench"))


def plain_rows(folder: Path, captions: Sequence[tuple[str, list[str]]], pipeline: str) -> Iterator[dict[str, Any]]:
    """Rows of some photographs; `datasets` calls it in each of its processes."""
    nlp = load_once(pipeline)
    for name, texts in captions:
        with Image.open(folder / name) as image:
            picture = ImageOps.pad(image.convert("RGB"), PLAIN_SIZE, Image.Resampling.LANCZOS)
        rows = []
        for text in texts:
            doc = nlp(text)
            row = {"lemma": [t.lemma_ for t in doc], "tag": [t.tag_ for t in doc], "dep": [t.dep_ for t in doc]}
            rows.append({"text": text, **row, "head": [t.head.i for t in doc]})
        yield {"image": picture, "captions": rows}


@functools.cache
def load_once(pipeline: str, exclude: tuple[str, ...] = ()) -> Any:
    """A spaCy pipeline, loaded once in each process."""
    import spacy

    return spacy.load(pipeline, exclude=exclude)
