"""Find the pictures of a benchmark by their file names, and the identities of their photographs."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from evaluation.benchmarks.reading import Contents
from sources.coco import coco_identity
from sources.files import find_below, nfc
from sources.flickr import flickr_identity
from sources.pairs import relative_to

ENDINGS = (".jpg", ".jpeg", ".png")
COCO_FOLDERS = ("", "val2017", "train2017", "val2014", "train2014")
COCO_SPELLINGS = ("{:012d}.jpg", "COCO_val2014_{:012d}.jpg", "COCO_train2014_{:012d}.jpg")
FOLDERS = ("images", "Flicker8k_Dataset", "flickr30k-images")  # "Flicker" is its authors' spelling


def find_pictures(contents: Contents, images: Path | None) -> dict[str, Path]:
    """The picture files of a benchmark by their names in it; pictures that are not found are left out.

    images: the folder to search, by default the folder of the benchmark. ValueError if no picture is found.
    """
    path = contents.path
    images = images or (path if path.is_dir() else path.parent)
    finder = PictureFinder(images)
    names = list(dict.fromkeys(claim.picture for claim in contents.claims))
    places = {name: place for name in names if (place := finder.find(name)) is not None}
    if not places:
        raise ValueError(
            f"none of the {len(names):,} pictures of {contents.spec} is in {images}; "
            "give their folder with --images DIR"
        )
    return places


def identity_of(name: str) -> str | None:
    """The identity of a photograph by its file name, as in the `group` of a database; None if the name has none.

    "coco:85329" for "000000085329.jpg" and "COCO_val2014_000000085329.jpg", "flickr:1056338697" for
    "1056338697_4f7d7ce270.jpg". Numbers of COCO have six digits after six zeros. A JPEG whose name is a number of five
    to ten digits counts as one of Flickr30k (36979.jpg, 1000092795.jpg).
    """
    last = PurePosixPath(name.strip().replace("\\", "/")).name
    if re.fullmatch(r"(?:COCO_(?:train|val|test)20\d\d_)?0{6}\d{6}(?:\.\w+)?", last, re.ASCII):
        return coco_identity(last)
    if re.match(r"[1-9][0-9]{4,10}_[0-9a-f]{10}\b", last) or re.fullmatch(r"[1-9][0-9]{4,9}\.(?:jpe?g|JPE?G)", last):
        return flickr_identity(last)
    return None


class PictureFinder:
    """Finds pictures below a folder. Each folder is listed only once, when it is first needed."""

    def __init__(self, images: Path):
        self.images = images
        self._found: dict[str, Path | None] = {}
        self._listed: dict[PurePosixPath, dict[str, str]] = {}  # folder -> NFC or name -> name
        self._numbered: dict[PurePosixPath, dict[str, str]] = {}  # folder -> "NUMBER.jpg" -> file of Flickr8k

    def find(self, name: str) -> Path | None:
        """The file of a picture, or None; never a file outside the folder, into which an absolute path can lead.

        Tried in this order: the whole name; its last part; both with each of ENDINGS; COCO's other spellings of the
        same number, in COCO_FOLDERS; the first three again, in FOLDERS; for a number of Flickr, the name that
        Flickr8k gives this photograph, in the folder and in FOLDERS.
        """
        if name not in self._found:
            place = next(filter(None, map(self._file, self._places(name))), None) or self._by_number(name)
            self._found[name] = None if place is None else find_below(self.images, place)
        return self._found[name]

    def _file(self, place: PurePosixPath) -> PurePosixPath | None:
        """The file at this place, with exactly its name or else with the same NFC."""
        files = self._files(place.parent)
        name = files.get(place.name) or files.get(nfc(place.name))
        return place.parent / name if name else None

    def _places(self, name: str) -> Iterator[PurePosixPath]:
        path = relative_to(PurePosixPath(name.strip().replace("\\", "/")), self.images)
        is_outside = path.is_absolute() or PureWindowsPath(name.strip()).drive or ".." in path.parts
        if is_outside or not path.name:
            return
        plain = [path, PurePosixPath(path.name)]
        plain += [PurePosixPath(f"{stem}{ending}") for ending in ENDINGS for stem in plain]
        yield from plain
        if (identity := identity_of(name) or "").startswith("coco:"):
            number = int(identity.removeprefix("coco:"))
            for folder in COCO_FOLDERS:
                yield from (PurePosixPath(folder, spelling.format(number)) for spelling in COCO_SPELLINGS)
        for folder in FOLDERS:
            yield from (PurePosixPath(folder, place) for place in plain)

    def _by_number(self, name: str) -> PurePosixPath | None:
        """The place of "1056338697_4f7d7ce270.jpg" for "1056338697.jpg", or None."""
        if not re.fullmatch(r"[0-9]+\.jpg", name):
            return None
        for folder in map(PurePosixPath, ("", *FOLDERS)):
            if folder not in self._numbered:
                files = (file for file in sorted(self._files(folder)) if re.match(r"[0-9]+_[0-9a-f]{10}\b", file))
                self._numbered[folder] = {f"{file.partition('_')[0]}.jpg": file for file in files}
            if file := self._numbered[folder].get(name):
                return folder / file
        return None

    def _files(self, folder: PurePosixPath) -> dict[str, str]:
        if folder not in self._listed:
            names = list[str]()
            # ValueError: the name has a zero byte.
            with contextlib.suppress(OSError, ValueError), os.scandir(find_below(self.images, folder)) as entries:
                names = sorted(entry.name for entry in entries if entry.is_file())
            self._listed[folder] = {nfc(name): name for name in names} | {name: name for name in names}
        return self._listed[folder]
