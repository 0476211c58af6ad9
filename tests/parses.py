"""Parses written by hand, for tests without a parser."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.regions import Box, Region
from negatives.text import Parse


def by_hand(line: str, front: str = "") -> Parse:
    """A parse from one "word:TAG:head:dep" per token. The lemma is the word, or given as "runs=run:...".

    front: characters before the first token.
    """
    text, columns = front, []
    for token in line.split():
        word, tag, head, dep = token.rsplit(":", 3)
        word, _, lemma = word.partition("=")
        if columns and word not in (".", ","):
            text += " "
        columns.append((len(text), len(text) + len(word), lemma or word.lower(), tag, int(head), dep))
        text += word
    return Parse(text, *map(tuple, zip(*columns)))


def parked(colour: str, thing: str = "car", where: str = "") -> Parse:
    """The parse of "A red car is parked.", or with `where` "A red car is parked in the ...". It has two slots."""
    place = f"in:IN:4:prep the:DT:7:det {where}:NN:5:pobj" if where else ""
    article = "An" if colour[0] in "aeiou" else "A"
    front = f"{article}:DT:2:det {colour}:JJ:2:amod {thing}:NN:4:nsubj is=be:VBZ:4:aux parked=park:VBN:4:ROOT"
    return by_hand(f"{front} {place} .:.:4:punct")


@dataclass(frozen=True, eq=False)  # eq=False: as a database, it equals only itself
class Album:
    """A replacement for a database from which plans are made: parsed captions by photograph."""

    folder: Path
    captions: Sequence[Sequence[Parse]]
    split_of: list[str]
    groups: list[str]
    fingerprint: str = "by hand"
    boxes: Sequence[Sequence[tuple[Region, ...]]] = ()  # the regions of each caption of each photograph

    def parses(self, row: int) -> list[Parse]:
        return list(self.captions[row])

    def regions(self, row: int) -> list[tuple[Region, ...]]:
        return list(self.boxes[row]) if self.boxes else [()] * len(self.captions[row])


def album(folder: Path, captions: Sequence[Sequence[Parse]], splits: Sequence[str] = (), **more) -> Album:
    """An album. By default, its photographs are all different and in the train split."""
    folder.mkdir(exist_ok=True)
    names = [f"photograph {row}" for row in range(len(captions))]
    return Album(folder, captions, list(splits) or ["train"] * len(captions), more.pop("groups", names), **more)


def regions_of(text: str, **boxes: Sequence[Box]) -> tuple[Region, ...]:
    """The regions of a text: for each span, written with _ for spaces, its boxes."""
    found = []
    for span, those in boxes.items():
        start = text.lower().index(words := span.replace("_", " ").lower())
        found.append(Region(start, start + len(words), tuple(those)))
    return tuple(found)
