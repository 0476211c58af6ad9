"""The user's own table of pairs, with the columns image and caption, and optionally label and split.

A label can mark a text as not true of its picture.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from Config import DatabaseConfig
from sources.files import find_below, nfc
from sources.items import SPLIT_NAMES, Item, LeftOut, Listed, Note, Picture, Source, Text
from sources.tables import read_table

LABELS = {
    **dict.fromkeys(("1", "1.0", "true", "yes", "match"), True),
    **dict.fromkeys(("0", "0.0", "false", "no", "mismatch"), False),
}
NOTHING = {"", "none", "nan", "null"}  # spellings of an empty field


def read_pairs(file: Path, images: Path) -> Iterator[Item]:
    """Items of a CSV, TSV, JSONL or Parquet file with the columns image and caption, and optionally label and split.

    The column image has paths below the folder `images`. The label 0 (false, no, mismatch) marks a text that is not
    true of its picture.
    """
    if not images.is_dir():
        raise FileNotFoundError(f"there is no folder {images}; give the folder of the pictures with --images DIR")
    names, told = Counter[bool](), list[str]()
    for place, row in read_table(file, tell=told.append):
        where = f"{file.name}:{place}"
        pair = row if isinstance(row, str) else read_pair(row, images)
        if isinstance(pair, str):
            yield LeftOut("line", where, pair, captions=1)
            continue
        name, text, split, matches = pair
        path = find_below(images, name)
        found = os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises if a name is too long
        names[found] += 1
        name = name_of(name, images)
        if found:
            yield Picture(f"pairs:{name}", name, path)
        if split is not None:
            yield Listed(f"pairs:{name}", split, where)
        yield Text(f"pairs:{name}", text, "caption", where, matches)
    yield from map(Note, told)
    if names[False] and not names[True]:
        raise FileNotFoundError(f"no image of {file} is in {images}; give the folder of the images with --images DIR")


def read_pair(row: Mapping[str, Any], images: Path | None = None) -> tuple[str, str, str | None, bool] | str:
    """Image, caption, split and label of one row, or what is wrong with it. images: see `path_below`."""
    image, caption = row.get("image"), row.get("caption")
    try:
        path = path_below(image, images)
    except ValueError as error:
        return str(error)
    if not isinstance(caption, str):
        return "the caption is not a text"
    split, label = (str(row.get(key)).strip().lower() for key in ("split", "label"))
    if split not in SPLIT_NAMES and split not in NOTHING:
        return f"unknown split {split[:40]!r}; known: {', '.join(SPLIT_NAMES)}"
    if label not in LABELS and label not in NOTHING:
        return f"unknown label {label[:40]!r}; known: {', '.join(LABELS)}"
    return str(path), caption.strip(), SPLIT_NAMES.get(split), LABELS.get(label, True)


def name_of(name: str, images: Path) -> str:
    """The name by which a picture is known: NFC, unless the folder has another file of that name."""
    plain = nfc(name)
    with contextlib.suppress(OSError, ValueError):  # one of the files does not exist
        return plain if (images / plain).samefile(images / name) else name
    return plain


def path_below(image: Any, images: Path | None = None) -> PurePosixPath:
    """The path of a row's image, relative to the folder `images`, in which an absolute path may lead.

    ValueError if the value is not a path, or leads out of that folder.
    """
    if not isinstance(image, str) or not image.strip():
        raise ValueError("the image is not a file name")
    path = PurePosixPath(image.strip().replace("\\", "/"))
    if images is not None:
        path = relative_to(path, images)
    if path.is_absolute() or PureWindowsPath(image.strip()).drive or ".." in path.parts:
        raise ValueError(f"the image {image[:200]!r} is outside the folder --images")
    return path


def relative_to(path: PurePosixPath, images: Path) -> PurePosixPath:
    """An absolute path below the folder `images` as a path relative to it; any other path unchanged."""
    if path.is_absolute() and ".." not in path.parts:
        for folder in (images.absolute().as_posix(), images.resolve().as_posix()):
            if path.is_relative_to(folder):
                return path.relative_to(folder)
    return path


def _read(file: Path, settings: DatabaseConfig) -> Iterator[Item]:
    images = file.parent if settings.images is None else Path(settings.images)
    return read_pairs(file, images.absolute())


SOURCES = {"pairs": Source("file", _read, collection="pairs", splits_are_final=True)}
