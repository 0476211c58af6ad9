"""Read the files of datasets: lines, JSON as a stream, and the files and folders of an unpacked archive."""

import functools
import json
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import ijson
from tqdm import tqdm
from tqdm.utils import CallbackIOWrapper

from common.jobs import progress
from sources.items import LeftOut

PICTURE_ENDINGS = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"}


def read_lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """(number, line) of the lines that are not blank. As bytes: a badly encoded line must not stop the others."""
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}")
    with file.open("rb") as stream, _bytes_of(file) as bar:
        for number, line in enumerate(stream, start=1):
            bar.update(len(line))
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if line.strip():
                yield number, line


def stream_json(file: Path, prefix: str) -> Iterator[tuple[int, Any]]:
    """(number, value) of the entries of a list in a JSON file. Memory holds one entry at a time.

    prefix: the place of the entries as ijson writes it, for example "annotations.item".
    Raises FileNotFoundError, or ValueError if the file is cut off, is not JSON, or has no such list.
    """
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}")
    with file.open("rb") as raw, _bytes_of(file) as bar:
        stream = CallbackIOWrapper(bar.update, raw, "read")
        if stream.read(3) != b"\xef\xbb\xbf":
            stream.seek(0)
        number = -1
        try:
            for number, value in enumerate(ijson.items(stream, prefix, use_float=True)):
                yield number, value
        except (ijson.JSONError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} is damaged or incomplete ({describe_error(error)}); download it again") from None
    if number < 0:
        raise ValueError(f"{file} has no entries at {prefix!r}; check that it is the right file")


def parse_json(line: bytes) -> Any:
    """The value of one line of JSON. ValueError also for a lone surrogate ("\\ud83d"), which UTF-8 cannot encode."""
    try:
        value = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if b"\\u" in line:
        json.dumps(value, ensure_ascii=False).encode()
    return value


def find_file(folder: Path, name: str) -> Path | None:
    """The path of a file in a folder or in one of its direct subfolders (annotations/, Flickr8k_text/, ...)."""
    places = (folder / name, *sorted(folder.glob(f"*/{name}")))
    return next((path for path in places if path.is_file()), None)


def find_folder(folder: Path, *names: str) -> Path | None:
    """The first of these folders that exists in `folder` or in its images/. Of nested folders, the innermost.

    Some archives unpack to nested folders: flickr30k_images/flickr30k_images/, Flickr8k_Dataset/Flicker8k_Dataset/.
    """
    for name in names:
        for path in (folder / name, folder / "images" / name):
            if path.is_dir():
                return find_folder(path, *names) or path
    return None


def picture_files(folder: Path, recursive: bool = False) -> Iterator[Path]:
    """Files of a folder with the ending of a picture, in the order of their names."""
    names = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))
    for name in progress(names, f"{folder.name}/", " files"):
        path = folder / name
        if path.suffix.lower() in PICTURE_ENDINGS:
            yield path
        elif recursive and path.is_dir():
            yield from picture_files(path, recursive)


def nfc(name: str) -> str:
    """The name of a file in the form in which names are compared: macOS and many archives spell an accent apart."""
    return unicodedata.normalize("NFC", name)


def find_below(folder: Path, name: str | PurePath) -> Path:
    """The path of a file below a folder. If there is none with exactly this name, the one with the same NFC."""
    exact = folder / name
    if str(name).isascii() or os.path.lexists(exact):
        return exact
    place = folder
    for part in PurePath(name).parts:
        place /= part if os.path.lexists(place / part) else _names_below(place).get(nfc(part), nfc(part))
    return place


def _names_below(folder: Path) -> dict[str, str]:
    """NFC of the names in a folder that have another form -> the names; empty if it cannot be read."""
    try:
        return _names_of_version(folder, folder.stat().st_mtime_ns)
    except (OSError, ValueError):  # ValueError: the name has a zero byte
        return {}


@functools.lru_cache(16)
def _names_of_version(folder: Path, _changed: int) -> dict[str, str]:
    return {nfc(name): name for name in sorted(os.listdir(folder)) if nfc(name) != name}  # noqa: PTH208


def unread_collections(file: Path, counts: Counter[str]) -> Iterator[LeftOut]:
    """One entry for each dataset that no source can read; counts: dataset -> texts about its pictures."""
    reason = "describes pictures of a dataset that this program does not read"
    for name, n in sorted(counts.items()):
        yield LeftOut("collection", f"{file.name}:{name}", reason, n, n)


def not_utf8(line: bytes, error: UnicodeDecodeError) -> str:
    return f"not UTF-8: byte 0x{line[error.start]:02x} at position {error.start}"


def describe_error(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"


def _bytes_of(file: Path) -> tqdm:
    return progress(None, file.name, "B", file.stat().st_size, unit_scale=True)
