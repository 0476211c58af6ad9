"""COCO: photographs of everyday scenes with five captions each. Source: Lin et al. 2014.

Own data often have its format. There a number says little: the ids need not be the numbers in the names of the files,
and two splits can use one number for two photographs. So a caption belongs to the file that `images` names.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from pathlib import Path, PurePosixPath

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
    several = _in_several(parts)
    for name, pictures in parts.items():
        for path in picture_files(pictures):
            identity, split = coco_identity(path.name), None if karpathy else PARTS[name]
            yield Picture(identity, path.name, path, split, part=name if identity in several else None)
    instances = Instances()
    for part in parts:
        if boxes := find_file(folder, f"instances_{part}.json"):
            yield from instances.read(boxes, part, _identity_of_image)
    if karpathy:
        if captions:
            unread = ", ".join(file.name for file in captions.values())
            yield Note(f"coco: captions and splits come from {karpathy.name}; {unread} was not read")

        def part_of(identity: str, image: dict) -> str | None:
            return str(image.get("filepath")) if identity in several else None

        yield from add_regions(read_karpathy(karpathy, _identity_of_image, part_of), instances)
        return
    for part in (part for part in parts if part not in captions):
        yield Note(f"coco: {part}/ has no captions_{part}.json; its pictures are used if another file describes them")
    for part, file in captions.items():
        yield from add_regions(_read_captions(file, part, several), instances)


def _in_several(parts: Mapping[str, Path]) -> set[str]:
    """The identities that have a file in several parts, or several files in one."""
    counts = Counter(coco_identity(path.name) for pictures in parts.values() for path in picture_files(pictures))
    return {identity for identity, files in counts.items() if files > 1}


def _read_captions(file: Path, part: str, several: Container[str]) -> Iterator[Item]:
    """Captions of captions_*.json. several: the identities that have several files."""
    images = _Images(file)
    for number, annotation in stream_json(file, "annotations.item"):
        annotation = annotation if isinstance(annotation, dict) else {}
        place = f"{file.name}:{annotation.get('id', f'annotations[{number}]')}"
        image, caption = annotation.get("image_id"), annotation.get("caption")
        if image is None or not isinstance(caption, str):
            yield LeftOut("line", place, "the annotation has no image_id or no caption", captions=1)
            continue
        try:
            identity = images.identity_of(image)
        except ValueError as error:
            yield LeftOut("line", place, str(error), captions=1)
            continue
        yield Text(identity, caption.strip(), "caption", place, part=part if identity in several else None)
    if images.others:
        yield Note(
            f"coco: in {file.name} {images.others:,} images have ids that are not the numbers in the names of their "
            "files; each caption goes to the file that is named"
        )


class _Images:
    """The files that `images` of a captions_*.json names."""

    def __init__(self, file: Path):
        self.identities: dict[str, str | None] = {}
        """id -> identity of the file with its name; None if several files have the id."""
        self.others = 0
        """How many ids are not the number in the name of the file."""
        with contextlib.suppress(ValueError):  # a file without images; in a damaged file the next pass raises
            for _, image in stream_json(file, "images.item"):
                if isinstance(image, dict) and isinstance(image.get("file_name"), str) and "id" in image:
                    self._add(str(image["id"]), _identity_of_image(image))

    def _add(self, key: str, identity: str) -> None:
        self.others += identity != coco_identity(key)
        self.identities[key] = identity if self.identities.get(key, identity) == identity else None

    def identity_of(self, image: object) -> str:
        """The identity of the photograph with an image_id. ValueError if it is not known which one that is."""
        key = str(image)
        if key in self.identities:
            identity = self.identities[key]
            if identity is None:
                raise ValueError(f"images has several files with the id {key[:80]}")
            return identity
        if self.others:
            raise ValueError(f"images has no file with the id {key[:80]}")
        return coco_identity(image)


def _identity_of_image(image: dict) -> str:
    """The identity of an entry of images: by the name of its file, or else by its number (Karpathy: cocoid)."""
    name = image.get("file_name", image.get("filename"))
    if isinstance(name, str):
        return coco_identity(PurePosixPath(name.replace("\\", "/")).name)
    return coco_identity(image["id"] if "id" in image else image["cocoid"])


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
