"""The items that a reader yields: pictures, texts, boxes of their words, splits, and what it leaves out.

The *identity* of a photograph is the same in every dataset that contains it: "coco:9" in COCO 2014 and 2017, in
Karpathy's file, in Localized Narratives and in ShareGPT4V; "flickr:1000268201" in both Flickr datasets. A reader
reports what its files contain; `sources.intake` joins the items of all sources by identity.

A reader does not write to its folder. A bad line does not stop it: it yields a `LeftOut` with the place and the reason,
and goes on. Large files are read as streams. A folder without the expected files raises FileNotFoundError, and a file
that is damaged as a whole raises ValueError.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from common.regions import Region
from Config import DatabaseConfig

SPLIT_NAMES = {  # the spelling in a file -> one of SPLITS
    **{"train": "train", "training": "train", "restval": "train"},
    **{"val": "validation", "validation": "validation", "dev": "validation", "valid": "validation"},
    **{"test": "test", "testing": "test"},
}
ENTAILED: Literal["entailed"] = "entailed"  # the kind of a text that follows from a caption, and says less
NEUTRAL: Literal["neutral"] = "neutral"  # the kind of a text that can be true or false


class Picture(NamedTuple):
    """A picture file, or a drawn scene."""

    identity: str
    """Identity of the photograph, the same in every dataset that contains it."""
    image_id: str
    """Its name in this dataset."""
    path: Path | None
    split: str | None = None
    """Official split, if the folder of the file defines it: one of SPLITS, or None."""
    scene: dict | None = None
    """The scene to draw, if there is no file."""
    part: str | None = None
    """If the source has several files with this identity: the part of the data set that this one belongs to."""


class Text(NamedTuple):
    """A text about a photograph."""

    identity: str
    text: str
    kind: Literal["caption", "narrative", "dense", "entailed", "contradicted", "neutral"]
    where: str
    """FILE:PLACE, without the folder, so that it is the same on every machine."""
    matches: bool = True
    """False if the file labels the text as not true of the photograph, or (kind NEUTRAL) does not say that it is."""
    regions: tuple[Region, ...] = ()
    """The boxes of what spans of the text name, if the file has them."""
    part: str | None = None
    """If the source has several files with this identity: the part whose file the text describes."""


class Grounded(NamedTuple):
    """A sentence with regions that is not stored itself: the caption with its words gets the regions."""

    identity: str
    text: str
    regions: tuple[Region, ...]
    where: str
    """FILE:PLACE, as in Text."""


class Listed(NamedTuple):
    """The split of a photograph according to an official list."""

    identity: str
    split: str
    where: str
    part: str | None = None
    """As in Text."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that was read but is not in the database."""

    what: Literal["picture", "caption", "line", "copy", "collection", "file"]
    """copy: an unusable file of a photograph whose other file is stored; collection: one entry for many texts."""
    where: str
    reason: str
    captions: int = 0
    """Captions that are left out with it. They are counted, so that seen = stored + left out can be checked."""
    photographs: int = 0
    """Photographs that are left out with it."""


class Note(NamedTuple):
    """A decision that a user of the database should know about."""

    text: str


Item = Picture | Text | Grounded | Listed | LeftOut | Note


def no_identity(line: str) -> str | None:
    """The default of `Source.identify`."""
    return None


@dataclass(frozen=True)
class Source:
    """A dataset that a database can be built from.

    A field of DatabaseConfig selects it. The field's name is the source's name and its flag, --NAME. The field also
    names the module in `sources` whose `SOURCES` maps the name to this object; see `sources.registry`.
    """

    expects: Literal["folder", "file", "number"]
    """The kind of value of --NAME. A missing folder or file is refused before the first source is read."""
    read: Callable[[Any, DatabaseConfig], Iterator["Item"]]
    """(value of --NAME, all settings) -> items. The value is a Path, or a number."""
    collection: str | None = None
    """The part of its photographs' identities before the colon; None for a source that has only texts."""
    identify: Callable[[str], str | None] = no_identity
    """A line of --hold-out (an id or a file name) -> the identity it can mean, or None if it fits no photograph."""
    title: str = ""
    """How a sentence names its pictures, for example "drawn scenes"; "" means "photographs"."""
    splits_are_final: bool = False
    """True: the splits are used as they are. False: without test photographs, half of the validation list is test."""
