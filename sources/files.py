"""Reading the files of datasets: lines, JSON as a stream, and where a folder keeps its parts."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ijson
from tqdm import tqdm
from tqdm.utils import CallbackIOWrapper

from common.jobs import progress
from sources.items import LeftOut

PICTURE_ENDINGS = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"}


def read_lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines that are not blank, as bytes: one badly encoded line must not spoil the others."""
    if not file.is_file():
        raise FileNotFoundError(f"{file} is not there")
    with file.open("rb") as stream, _bytes_of(file) as bar:
        for number, line in enumerate(stream, start=1):
            bar.update(len(line))
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if line.strip():
                yield number, line


def stream_json(file: Path, prefix: str) -> Iterator[tuple[int, Any]]:
    """Number and value of the entries of a list in a JSON file, however large, in the memory of one entry.

    Raises FileNotFoundError, or ValueError if the file is cut off, no JSON, or has no such list.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} is not there")
    with file.open("rb") as raw, _bytes_of(file) as bar:
        stream = CallbackIOWrapper(bar.update, raw, "read")
        if stream.read(3) != b"\xef\xbb\xbf":
            stream.seek(0)
        number = -1
        try:
            for number, value in enumerate(ijson.items(stream, prefix, use_float=True)):
                yield number, value
        except (ijson.JSONError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} is damaged or cut off ({describe_error(error)}); get it again") from None
    if number < 0:
        raise ValueError(f"{file} has no entries at {prefix!r}; is it another kind of file?")


def parse_json(line: bytes) -> Any:
    """The value of one line of JSON. ValueError also for half a character ("\\ud83d" alone), which no file can hold."""
    try:
        value = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if b"\\u" in line:
        json.dumps(value, ensure_ascii=False).encode()
    return value


def find_file(folder: Path, name: str) -> Path | None:
    """A file in a folder or in a folder directly below it (annotations/, Flickr8k_text/, ...)."""
    places = (folder / name, *sorted(folder.glob(f"*/{name}")))
    return next((path for path in places if path.is_file()), None)


def find_folder(folder: Path, *names: str) -> Path | None:
    """The first of these folders that is there, here or below images/; of folders within each other the innermost.

    Unzipping makes flickr30k_images/flickr30k_images/ and Flickr8k_Dataset/Flicker8k_Dataset/.
    """
    for name in names:
        for path in (folder / name, folder / "images" / name):
            if path.is_dir():
                return find_folder(path, *names) or path
    return None


def picture_files(folder: Path, recursive: bool = False) -> Iterator[Path]:
    """Files of a folder that may be pictures, in the order of their names."""
    names = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))
    for name in progress(names, f"{folder.name}/", " files"):
        path = folder / name
        if path.suffix.lower() in PICTURE_ENDINGS:
            yield path
        elif recursive and path.is_dir():
            yield from picture_files(path, recursive)


def unread_collections(file: Path, counts: Counter[str]) -> Iterator[LeftOut]:
    for name, n in sorted(counts.items()):
        yield LeftOut("collection", f"{file.name}:{name}", "describes pictures of a dataset that is not read", n, n)


def not_utf8(line: bytes, error: UnicodeDecodeError) -> str:
    return f"not UTF-8: byte 0x{line[error.start]:02x} at position {error.start}"


def describe_error(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"


def _bytes_of(file: Path) -> tqdm:
    return progress(None, file.name, "B", file.stat().st_size, unit_scale=True)
