"""Captions that were read once and are kept on the disk: a plan goes through them in the memory of one block.

The file of a block is written by `marshal`, which is as fast as pickle (19 µs to read a caption of Flickr8k, 810 bytes)
and executes nothing when it is read. It is deleted when the plan is made.
"""

from __future__ import annotations

import marshal
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, compress
from pathlib import Path
from sys import intern
from typing import Any, overload

from negatives.parsed_caption import ParsedCaption
from negatives.text import Parse, Slot


def write_block(file: Path, captions: Iterable[ParsedCaption]) -> None:
    """Write captions. Equal words become one object, so each word is written once in a block."""
    file.write_bytes(marshal.dumps([_plain(caption) for caption in captions]))


def _plain(caption: ParsedCaption) -> tuple[Any, ...]:
    parse, words, lemmas, slots, named = caption
    text, start, end, lemma, tag, head, dep = parse
    texts = (tuple(map(intern, some)) for some in (lemma, tag, dep, words, lemmas))
    lemma, tag, dep, words, lemmas = texts
    return (
        (text, tuple(start), tuple(end), lemma, tag, tuple(head), dep),
        words,
        lemmas,
        tuple((*map(_interned, slot),) for slot in slots),
        named,
    )


def _interned(value: Any) -> Any:
    return intern(value) if isinstance(value, str) else value


def read_block(file: Path) -> list[ParsedCaption]:
    return [
        ParsedCaption(Parse._make(parse), words, lemmas, tuple(map(Slot._make, slots)), named)
        for parse, words, lemmas, slots, named in marshal.loads(file.read_bytes())
    ]


class StoredCaptions(Sequence[ParsedCaption]):
    """The captions in the files of blocks, in their order."""

    def __init__(self, files: Sequence[Path], sizes: Sequence[int]):
        """sizes: captions in each file."""
        self._files, self._ends = list(files), list(accumulate(sizes))
        self._block = lru_cache(maxsize=2)(read_block)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, i: int) -> ParsedCaption: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[ParsedCaption]: ...
    def __getitem__(self, i: int | slice) -> ParsedCaption | Sequence[ParsedCaption]:
        if isinstance(i, slice):
            return Selection(self, range(*i.indices(len(self))))
        if not 0 <= i < len(self):
            raise IndexError(i)
        n = bisect_right(self._ends, i)
        return self._block(self._files[n])[i - (self._ends[n - 1] if n else 0)]

    def __iter__(self) -> Iterator[ParsedCaption]:
        for file in self._files:
            yield from read_block(file)


class Selection(Sequence[ParsedCaption]):
    """Some captions of a sequence, which are not copied."""

    def __init__(self, captions: Sequence[ParsedCaption], numbers: Sequence[int]):
        """numbers: ascending."""
        self._captions, self._numbers = captions, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, i: int) -> ParsedCaption: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[ParsedCaption]: ...
    def __getitem__(self, i: int | slice) -> ParsedCaption | Sequence[ParsedCaption]:
        if isinstance(i, slice):
            return Selection(self._captions, self._numbers[i])
        return self._captions[self._numbers[i]]

    def __iter__(self) -> Iterator[ParsedCaption]:
        wanted, every = bytearray(len(self._captions)), iter(self._captions)
        for number in self._numbers:
            wanted[number] = 1
        return compress(every, wanted)
