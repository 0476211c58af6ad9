"""COCO: photographs of everyday scenes with five captions each. Source: Lin et al. 2014."""

import re
from collections.abc import Iterator
from pathlib import Path

from sources.files import find_file, find_folder, picture_files, stream_json
from sources.items import Item, LeftOut, Note, Picture, Source, Text
from sources.karpathy import read_karpathy

PARTS = {"train2017": "train", "val2017": "validation", "train2014": "train", "val2014": "validation"}


def read_coco(folder: Path) -> Iterator[Item]:
    """COCO as it is downloaded: {train,val}{2017,2014}/ with annotations/captions_*.json, whichever of them is there.

    A Karpathy dataset_coco.json in the folder gives captions and splits instead. Source: Lin et al. 2014.
    """
    parts = {name: found for name in PARTS if (found := find_folder(folder, name)) is not None}
    karpathy = find_file(folder, "dataset_coco.json")
    captions = {part: file for part in parts if (file := find_file(folder, f"captions_{part}.json"))}
    expected = "a folder with train2017/ or val2017/ (or those of 2014) and annotations/captions_*.json"
    if not parts:
        raise FileNotFoundError(f"no pictures in {folder}; --coco expects {expected}")
    if not captions and karpathy is None:
        raise FileNotFoundError(f"no captions in {folder}; --coco expects {expected}, or dataset_coco.json")
    for name, pictures in parts.items():
        for path in picture_files(pictures):
            split = None if karpathy else PARTS[name]
            yield Picture(coco_identity(path.name), path.name, path, split)
    if karpathy:
        if captions:
            unread = ", ".join(file.name for file in captions.values())
            yield Note(f"coco: captions and splits come from {karpathy.name}; {unread} was not read")
        yield from read_karpathy(karpathy, lambda image: coco_identity(image["cocoid"]))
        return
    for part in (part for part in parts if part not in captions):
        yield Note(f"coco: {part}/ has no captions_{part}.json; its pictures are used if another file describes them")
    for file in captions.values():
        for number, annotation in stream_json(file, "annotations.item"):
            annotation = annotation if isinstance(annotation, dict) else {}
            place = f"{file.name}:{annotation.get('id', f'annotations[{number}]')}"
            image, caption = annotation.get("image_id"), annotation.get("caption")
            if image is not None and isinstance(caption, str):
                yield Text(coco_identity(image), caption.strip(), "caption", place)
            else:
                yield LeftOut("line", place, "the annotation lacks image_id or caption", captions=1)


def coco_identity(name: object) -> str:
    """Identity of a COCO photograph: 9, "000000000009.jpg" and "COCO_train2014_000000000009.jpg" are the same one."""
    digits = re.fullmatch(r"(?:COCO_\w+_)?0*([0-9]+)", Path(str(name)).stem)
    return f"coco:{digits[1]}" if digits else f"coco:{name}"


def _identity_of_line(line: str) -> str | None:
    """A bare number, or a file name of COCO."""
    stem = Path(line).stem
    return coco_identity(stem) if re.fullmatch(r"(COCO_\w+_)?\d+", stem) else None


SOURCES = {
    "coco": Source("folder", lambda folder, _: read_coco(folder), collection="coco", identify=_identity_of_line),
}
