"""What every source gives: pictures, texts, splits, and what was left out, each with the identity of its photograph.

The *identity* of a photograph is the same in every dataset that holds it: "coco:9" in COCO 2014 and 2017, in Karpathy's
file, in Localized Narratives and ShareGPT4V; "flickr:1000268201" in both Flickr sets. A reader says what its files say
and joins nothing; `sources.intake` joins the items of all sources by identity.

A reader never changes its folder and never stops for a bad line: it yields a `LeftOut` with the place and the reason,
and goes on. Large files are read as streams. Only a folder without the expected files raises FileNotFoundError, and
only a file that is damaged as a whole raises ValueError.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from Config import DatabaseConfig

SPLIT_NAMES = {  # as files spell them -> one of SPLITS
    **{"train": "train", "training": "train", "restval": "train"},
    **{"val": "validation", "validation": "validation", "dev": "validation", "valid": "validation"},
    **{"test": "test", "testing": "test"},
}


class Picture(NamedTuple):
    """A picture file, or a drawn scene."""

    identity: str
    """Identity of the photograph, the same in every dataset that holds it."""
    image_id: str
    """Its name in this dataset."""
    path: Path | None
    split: str | None = None
    """Official split by its place: one of SPLITS, or None."""
    scene: dict | None = None
    """What is to be drawn, where there is no file."""


class Text(NamedTuple):
    """A text about a photograph."""

    identity: str
    text: str
    kind: Literal["caption", "narrative", "dense"]
    where: str
    """FILE:PLACE; the same on every machine."""
    matches: bool = True
    """False: its owner says that it is *not* true of the photograph."""


class Listed(NamedTuple):
    """An official list names the split of a photograph."""

    identity: str
    split: str
    where: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that was seen and is not in the database."""

    what: Literal["picture", "caption", "line", "copy", "collection"]
    """copy: an unusable file of a photograph that is stored from another file; collection: many at once."""
    where: str
    reason: str
    captions: int = 0
    """Captions lost with it, so that seen = stored + left out can be checked."""
    photographs: int = 0


class Note(NamedTuple):
    """A decision which a user of the database should know."""

    text: str


Item = Picture | Text | Listed | LeftOut | Note


def no_identity(line: str) -> str | None:
    return None


@dataclass(frozen=True)
class Source:
    """A dataset that a database can be built from.

    Its name is that of the field of DatabaseConfig that selects it, so it is also its flag: --NAME. That field names
    the module in `sources`, where `SOURCES` maps the name to this object; see `sources.registry`.
    """

    expects: Literal["folder", "file", "number"]
    """What --NAME gives. A missing folder or file is refused before the first source is read."""
    read: Callable[[Any, DatabaseConfig], Iterator["Item"]]
    """(value of --NAME, all settings) -> items. The value is a Path, or a number."""
    collection: str | None = None
    """How the identities of its photographs begin, up to the colon; None: it has texts alone."""
    identify: Callable[[str], str | None] = no_identity
    """The identity that a line of --hold-out may mean, an id or a file name; None if it cannot mean one of these."""
    splits_are_final: bool = False
    """Its splits are used as they are; else a source without test photographs has its validation list divided."""
