"""Read the files of datasets: lines, JSON as a stream, and the files and folders of an unpacked archive."""

import codecs
import functools
import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import Any, BinaryIO

import ijson
import numpy as np
from tqdm import tqdm
from tqdm.utils import CallbackIOWrapper

from common.jobs import progress
from sources.items import LeftOut

DEEPEST = 100  # levels of a JSON file. ijson keeps the path of each level: 30,000 brackets (60 kB) took 2.2 GB
NAMED = 10  # columns or keys that a message names; a table can have thousands
PICTURE_ENDINGS = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"}


def read_lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """(number, line) of the lines that are not blank. As bytes: a badly encoded line must not stop the others.

    FileNotFoundError, or ValueError if the file is UTF-16.
    """
    with open_utf8(file) as stream, _bytes_of(file) as bar:
        for number, line in enumerate(stream, start=1):
            bar.update(len(line))
            if line.strip():
                yield number, line


def open_utf8(file: Path) -> BinaryIO:
    """The file, opened behind its byte order mark. FileNotFoundError, or ValueError if it is UTF-16 or UTF-32."""
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}")
    stream = file.open("rb")
    head = stream.read(4)
    # Without a mark, every other byte of English text is zero.
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or (len(head) == 4 and head.count(0) >= 2):
        stream.close()
        raise ValueError(f"{file} is UTF-16, and UTF-8 is needed; save it as UTF-8 (in Excel: CSV UTF-8)")
    stream.seek(len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0)
    return stream


def stream_json(file: Path, prefix: str) -> Iterator[tuple[int, Any]]:
    """(number, value) of the entries of a list in a JSON file. Memory holds one entry at a time.

    prefix: the place of the entries as ijson writes it, for example "annotations.item".
    Raises FileNotFoundError, or ValueError if the file is cut off, is not JSON, has more than DEEPEST levels, or has no
    such list.
    """
    with open_utf8(file) as raw, _bytes_of(file) as bar:
        stream = CallbackIOWrapper(bar.update, _Levels(file, raw), "read")
        number = -1
        try:
            for number, value in enumerate(ijson.items(stream, prefix, use_float=True)):
                yield number, value
        except (ijson.JSONError, UnicodeDecodeError) as error:
            raise ValueError(_why_not_json(file, error)) from None
    if number < 0:
        raise ValueError(f"{file} has no entries at {prefix!r}; check that it is the right file")


def _why_not_json(file: Path, error: Exception) -> str:
    """In one line, why ijson cannot read a file."""
    said = error.args[0] if isinstance(error, ijson.JSONError) and error.args else str(error)
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    reason, _, shown = text.partition("\n")  # then the place in the text, and an arrow below it
    # yajl shows 60 bytes around the place; the arrow points behind the character that it refuses.
    above, _, arrow = shown.partition("\n")
    place = above[max(0, arrow.find("^") - 1) :]
    if word := re.match(r"-?(NaN|Infinity)", place):
        return f"{file} is not JSON: it has {word[0]}, which JSON does not know; write null instead"
    if not file.stat().st_size:
        return f"{file} is empty; download it again"
    at = f" at {place.strip()[:20]!r}" if place.strip() else ""
    return f"{file} is damaged or incomplete ({reason.strip().rstrip('.')[:200]}{at}); download it again"


class _Levels:
    """A JSON file for a parser, refused as soon as it is nested over DEEPEST levels."""

    _STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
    _OTHERS = bytes(set(range(256)) - set(b"[]{}"))

    def __init__(self, file: Path, stream: BinaryIO):
        self.file, self.stream = file, stream
        self.depth = 0
        self.open = b""
        """If a string goes on after what was read: its quotation mark, and a backslash if one stands at the end."""

    def read(self, size: int = -1) -> bytes:
        data = self.stream.read(size)
        outside, quote, inside = self._STRING.sub(b"", self.open + data).partition(b'"')
        backslashes = len(inside) - len(inside.rstrip(b"\\"))
        self.open = quote + b"\\" * (backslashes % 2)
        brackets = np.frombuffer(outside.translate(None, self._OTHERS), np.uint8)
        levels = self.depth + np.cumsum(np.where((brackets == ord("[")) | (brackets == ord("{")), 1, -1))
        if len(levels):
            self.depth = int(levels[-1])
            if levels.max() > DEEPEST:
                raise ValueError(f"{self.file} is nested over {DEEPEST} levels; check that it is the right file")
        return data


def parse_json(line: bytes) -> Any:
    """The value of one line of JSON; NaN is None. ValueError also if UTF-8 cannot encode a string of it.

    That is half a surrogate pair, as an escape ("\\ud83d") or as bytes.
    """
    try:
        # As bytes, json.loads would accept halves of surrogate pairs.
        value = json.loads(line.decode(), parse_constant=lambda _: None)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if b"\\u" in line:
        json.dumps(value, ensure_ascii=False).encode()
    return value


def named(names: Iterable[str]) -> str:
    """Names as a message lists them: at most NAMED, each cut to 40 characters."""
    shown = [name if len(name) <= 40 else f"{name[:37]}..." for name in names]
    more = len(shown) - NAMED
    return ", ".join(shown[:NAMED]) + (f" and {more:,} more" if more > 0 else "")


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
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _bytes_of(file: Path) -> tqdm:
    return progress(None, file.name, "B", file.stat().st_size, unit_scale=True)
