"""COCO: photographs of everyday scenes with five captions each. Source: Lin et al. 2014."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from sources.files import find_file, find_folder, picture_files, stream_json
from sources.instances import Instances, add_regions
from sources.items import Item, LeftOut, Note, Picture, Source, Text
from sources.karpathy import read_karpathy

PARTS = {"train2017": "train", "val2017": "validation", "train2014": "train", "val2014": "validation"}


def read_coco(folder: Path) -> Iterator[Item]:
    """COCO as it is downloaded: any of {train,val}{2017,2014}/, with annotations/captions_*.json.

    If the folder has a dataset_coco.json of Karpathy, captions and splits are read from it instead. If it has
    annotations/instances_*.json, nouns of the captions get its boxes.
    """
    parts = {name: found for name in PARTS if (found := find_folder(folder, name)) is not None}
    karpathy = find_file(folder, "dataset_coco.json")
    captions = {part: file for part in parts if (file := find_file(folder, f"captions_{part}.json"))}
    expected = "a folder with train2017/ or val2017/ (or those of 2014) and annotations/captions_*.json"
    if not parts:
        raise FileNotFoundError(f"--coco {folder} has no pictures; it must be {expected}")
    if not captions and karpathy is None:
        raise FileNotFoundError(f"--coco {folder} has no captions; it must be {expected}, or dataset_coco.json")
    for name, pictures in parts.items():
        for path in picture_files(pictures):
            split = None if karpathy else PARTS[name]
            yield Picture(coco_identity(path.name), path.name, path, split)
    instances = Instances()
    for part in parts:
        if boxes := find_file(folder, f"instances_{part}.json"):
            yield from instances.read(boxes)
    if karpathy:
        if captions:
            unread = ", ".join(file.name for file in captions.values())
            yield Note(f"coco: captions and splits come from {karpathy.name}; {unread} was not read")
        yield from add_regions(read_karpathy(karpathy, lambda image: coco_identity(image["cocoid"])), instances)
        return
    for part in (part for part in parts if part not in captions):
        yield Note(f"coco: {part}/ has no captions_{part}.json; its pictures are used if another file describes them")
    yield from add_regions(_read_captions(captions.values()), instances)


def _read_captions(files: Iterable[Path]) -> Iterator[Item]:
    """Captions of captions_*.json."""
    for file in files:
        for number, annotation in stream_json(file, "annotations.item"):
            annotation = annotation if isinstance(annotation, dict) else {}
            place = f"{file.name}:{annotation.get('id', f'annotations[{number}]')}"
            image, caption = annotation.get("image_id"), annotation.get("caption")
            if image is not None and isinstance(caption, str):
                yield Text(coco_identity(image), caption.strip(), "caption", place)
            else:
                yield LeftOut("line", place, "the annotation has no image_id or no caption", captions=1)


def coco_identity(name: object) -> str:
    """Identity of a COCO photograph: "coco:9" for 9, "000000000009.jpg" and "COCO_train2014_000000000009.jpg"."""
    digits = re.fullmatch(r"(?:COCO_\w+_)?0*([0-9]+)", Path(str(name)).stem)
    return f"coco:{digits[1]}" if digits else f"coco:{name}"


def _identity_of_line(line: str) -> str | None:
    """The identity that a number or a file name of COCO means, else None."""
    stem = Path(line).stem
    return coco_identity(stem) if re.fullmatch(r"(COCO_\w+_)?\d+", stem) else None


SOURCES = {
    "coco": Source(
        "folder",
        lambda folder, _: read_coco(folder),
        collection="coco",
        title="photographs of COCO",
        identify=_identity_of_line,
    ),
}
