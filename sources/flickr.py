"""Flickr30k and Flickr8k: photographs of people and animals, five captions each. Most of Flickr8k is in Flickr30k.

Sources: Young et al. 2014 (Flickr30k), Hodosh et al. 2013 (Flickr8k).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from sources.files import find_file, find_folder, nfc, not_utf8, picture_files, read_lines
from sources.items import Item, LeftOut, Listed, Note, Picture, Source, Text
from sources.karpathy import read_karpathy
from sources.tables import read_table

Reader = Callable[[Path], Iterator[Item]]

FLICKR8K_LISTS = {
    "Flickr_8k.trainImages.txt": "train",
    "Flickr_8k.devImages.txt": "validation",
    "Flickr_8k.testImages.txt": "test",
}
NO_LISTS = (
    "there are no official split lists; a photograph gets its split from another dataset that has it, "
    "or by a hash of its identity"
)


def read_flickr30k(folder: Path) -> Iterator[Item]:
    """Flickr30k in its authors' format, in Kaggle's (results.csv, captions.txt), or with Karpathy's file."""
    pictures = find_folder(folder, "flickr30k-images", "flickr30k_images", "Images", "images")
    readers: dict[str, Reader] = {
        "dataset_flickr30k.json": lambda file: read_karpathy(file, lambda image: flickr_identity(image["filename"])),
        "results_20130124.token": read_tokens,
        "results.csv": read_kaggle_bars,
    }
    yield from _read_flickr(folder, "flickr30k", pictures, "flickr30k-images", readers)
    if not find_file(folder, "dataset_flickr30k.json"):
        yield Note(f"flickr30k: {NO_LISTS}")


def read_flickr8k(folder: Path) -> Iterator[Item]:
    """Flickr8k in its authors' format, in Kaggle's (captions.txt), or with Karpathy's dataset_flickr8k.json."""
    # "Flicker8k" is its authors' spelling.
    pictures = find_folder(folder, "Flicker8k_Dataset", "Flickr8k_Dataset", "Images", "images")
    readers: dict[str, Reader] = {
        "dataset_flickr8k.json": lambda file: read_karpathy(file, lambda image: flickr_identity(image["filename"])),
        "Flickr8k.token.txt": read_tokens,
        "captions.txt": read_kaggle_csv,
    }
    yield from _read_flickr(folder, "flickr8k", pictures, "Flicker8k_Dataset", readers)
    if find_file(folder, "dataset_flickr8k.json"):
        return  # the splits are in that file
    lists = {file: split for name, split in FLICKR8K_LISTS.items() if (file := find_file(folder, name))}
    for file, split in lists.items():
        for number, line in read_lines(file):
            yield Listed(flickr_identity(line.decode(errors="replace").strip()), split, f"{file.name}:{number}")
    if not lists:
        yield Note(f"flickr8k: {NO_LISTS}")


def _read_flickr(
    folder: Path,
    source: str,
    pictures: Path | None,
    usual: str,
    readers: Mapping[str, Reader],
) -> Iterator[Item]:
    """All pictures, then the captions of the first file of `readers` that exists.

    usual: the name of the folder of pictures, for the error message. readers: name of a file of captions -> its reader,
    if its first line shows no other format. Files with the names of the other data set are used if they show a format.
    """
    files = {name: file for name in readers if (file := find_file(folder, name))} or {
        name: file for name in TABLES if (file := find_file(folder, name)) and reader_of(file)
    }
    for what, found in (("pictures", pictures), ("captions", files)):
        if not found:
            expected = f"a folder with {usual}/ and {' or '.join(readers)}"
            raise FileNotFoundError(f"--{source} {folder} has no {what}; it must be {expected}")
    assert pictures is not None
    for path in picture_files(pictures):
        yield Picture(flickr_identity(path.name), path.name, path)
    name, *others = files
    if others:
        yield Note(f"{source}: captions and splits come from {name}; {', '.join(others)} was not read")
    reader = (None if name.endswith(".json") else reader_of(files[name])) or readers[name]
    yield from reader(files[name])


def reader_of(file: Path) -> Reader | None:
    """The reader for a file of captions, by its first line: exports of both data sets use each other's names."""
    first = next((line.decode(errors="replace").strip() for _, line in read_lines(file)), "")
    header = {name.strip(' "').lower() for name in re.split("[,|]", first)}
    if {"image_name", "comment_number", "comment"} == header and "|" in first:
        return read_kaggle_bars
    if {"image", "caption"} <= header or {"image_name", "comment"} <= header:
        return read_kaggle_csv
    return read_tokens if re.match(r"[^\t]+#\d+\s*\t", first) else None


def read_tokens(file: Path) -> Iterator[Item]:
    """Lines of `name.jpg#k<TAB>caption`."""
    for number, line in read_lines(file):
        where = f"{file.name}:{number}"
        try:
            key, tab, text = line.decode().partition("\t")
        except UnicodeDecodeError as error:
            yield LeftOut("line", where, not_utf8(line, error), captions=1)
            continue
        match = re.fullmatch(r"\s*(.+)#\d+\s*", key)
        if not tab:
            yield LeftOut("line", where, "no tab between file name and caption", captions=1)
        elif not match:
            reason = f"expected name.jpg#number before the tab, got {key[:80]!r}"
            yield LeftOut("line", where, reason, captions=1)
        else:
            yield Text(flickr_identity(match[1]), text.strip(), "caption", where)


def read_kaggle_bars(file: Path) -> Iterator[Item]:
    """Kaggle's Flickr30k: `name.jpg| number| caption`. Rows without the second "|" are repaired and counted."""
    repaired = 0
    for number, line in read_lines(file):
        where = f"{file.name}:{number}"
        try:
            text = line.decode().strip()
        except UnicodeDecodeError as error:
            yield LeftOut("line", where, not_utf8(line, error), captions=1)
            continue
        if text.replace(" ", "").lower() == "image_name|comment_number|comment":
            continue
        match = re.fullmatch(r"([^|]+?)\s*\|\s*(\d+)(\s*\||\s+|$)\s*(.*)", text)
        if not match:
            yield LeftOut("line", where, f"expected name.jpg| number| caption, got {text[:80]!r}", captions=1)
            continue
        repaired += "|" not in match[3] and bool(match[4])
        yield Text(flickr_identity(match[1]), match[4], "caption", where)
    if repaired:
        yield Note(f'{file.name}: {repaired} rows without the second "|" were repaired')


def read_kaggle_csv(file: Path) -> Iterator[Item]:
    """Kaggle's CSV with the columns image and caption, or image_name, comment_number and comment."""
    for place, row in read_table(file, ending=".csv", aliases={"image_name": "image", "comment": "caption"}):
        where = f"{file.name}:{place}"
        if isinstance(row, str):
            yield LeftOut("line", where, row, captions=1)
        elif not row.get("image") or row.get("caption") is None:
            yield LeftOut("line", where, "the row has no image or no caption", captions=1)
        else:
            yield Text(flickr_identity(row["image"]), row["caption"].strip(), "caption", where)


TABLES = ("results.csv", "captions.txt", "results_20130124.token", "Flickr8k.token.txt")  # names of either data set


def flickr_identity(name: str) -> str:
    """Identity of a Flickr photograph: the same for "1000268201_693b08cb0e.jpg" and "1000268201.jpg"."""
    # Ten hex digits follow the number of a Flickr photograph. "20210304_123456.jpg" (named by its date) does not match.
    number = re.match(r"([0-9]+)_[0-9a-f]{10}\b", name)
    return f"flickr:{number[1] if number else nfc(Path(name).stem)}"


def _identity_of_line(line: str) -> str | None:
    """The identity that a number or a file name of Flickr means, else None."""
    stem = Path(line).stem
    return flickr_identity(stem) if re.fullmatch(r"\d+(_[0-9a-f]+\w*)?", stem) else None


SOURCES = {
    "flickr30k": Source(
        "folder",
        lambda f, _: read_flickr30k(f),
        collection="flickr",
        title="photographs of Flickr30k",
        identify=_identity_of_line,
    ),
    "flickr8k": Source(
        "folder",
        lambda f, _: read_flickr8k(f),
        collection="flickr",
        title="photographs of Flickr8k",
        identify=_identity_of_line,
    ),
}
