"""Parses written by hand, so that tests of the plan need no parser."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from negatives.text import Parse


def by_hand(line: str, front: str = "") -> Parse:
    """A parse from "word:TAG:head:dep" for each token; "runs=run:..." names the lemma, else it is the word.

    front: characters that stand before the first token.
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
    """ "A red car is parked." with two places that may be swapped; with `where`, "... in the ..." """
    place = f"in:IN:4:prep the:DT:7:det {where}:NN:5:pobj" if where else ""
    article = "An" if colour[0] in "aeiou" else "A"
    said = f"{article}:DT:2:det {colour}:JJ:2:amod {thing}:NN:4:nsubj is=be:VBZ:4:aux parked=park:VBN:4:ROOT"
    return by_hand(f"{said} {place} .:.:4:punct")


class Album(NamedTuple):
    """What a plan is made of: parsed captions by photograph."""

    folder: Path
    captions: Sequence[Sequence[Parse]]
    split_of: list[str]
    groups: list[str]
    fingerprint: str = "by hand"

    def parses(self, row: int) -> list[Parse]:
        return list(self.captions[row])


def album(folder: Path, captions: Sequence[Sequence[Parse]], splits: Sequence[str] = (), **more) -> Album:
    """An album whose photographs are all different, and of the train split unless told."""
    folder.mkdir(exist_ok=True)
    names = [f"photograph {row}" for row in range(len(captions))]
    return Album(folder, captions, list(splits) or ["train"] * len(captions), more.pop("groups", names), **more)
