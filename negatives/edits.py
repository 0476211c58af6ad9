"""Edits of a caption: which characters change with the word of a slot, and the new text with its case and articles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from negatives.text import Edit, Negative, Parse, Slot
from Tokenizer_lib import split_words


def known_words(parse: Parse) -> frozenset[str]:
    """The lower-case words of a caption and their lemmas."""
    words = {parse.text[start:end].lower() for start, end in zip(parse.start, parse.end)}
    return frozenset(words.union(lemma.lower() for lemma in parse.lemma))


class Spot(NamedTuple):
    """Characters start..end of a caption that change when the word of a slot is replaced.

    role: WORD (the slot itself or a later mention) becomes the new word, ARTICLE becomes "a" or "an" as the new word
    asks, REPAIR becomes `new` if the repairs are needed (`needs_repairs`).
    is_content: the change makes the caption false. Articles and agreement do not.
    """

    start: int
    end: int
    role: int
    is_content: bool
    new: str = ""


WORD, ARTICLE, REPAIR = range(3)


def find_spots(parse: Parse, slot: Slot) -> list[Spot]:
    """All spots of a slot, in no particular order."""
    spots = []
    for first, last in ((slot.first, slot.last), *slot.echoes):
        spots.append(Spot(parse.start[first], parse.end[last], WORD, True))
        if first and parse.text[parse.start[first - 1] : parse.end[first - 1]].lower() in ("a", "an"):
            spots.append(Spot(parse.start[first - 1], parse.end[first - 1], ARTICLE, False))
    spots += [Spot(parse.start[token], parse.end[token], REPAIR, content, new) for token, new, content in slot.repairs]
    return spots


def needs_repairs(slot: Slot, surface: str) -> bool:
    """Must the slot's repairs be made if `surface` replaces its word? Always, but not from "two" to "three"."""
    return slot.category != "number" or "one" in (slot.word, surface)


def write_edits(text: str, spots: Sequence[Spot], surface: str, repaired: bool) -> list[Edit]:
    """The edits of a caption that replace the word of a slot by `surface`. repaired: make the repairs too."""
    edits = []
    for spot in spots:
        old = text[spot.start : spot.end]
        if spot.role == WORD:
            edits.append((spot.start, spot.end, match_case(old, surface), True))
        elif spot.role == ARTICLE:
            new = "an" if takes_an(surface) else "a"
            if new != old.lower():
                is_upper = old.isupper() and text[spot.end :].lstrip()[:2].isupper()  # "A RED CAR", not "A red car"
                edits.append((spot.start, spot.end, new.upper() if is_upper else match_case(old, new), False))
        elif repaired:
            edits.append((spot.start, spot.end, match_case(old, spot.new), spot.is_content))
    return edits


def splice(text: str, edits: Iterable[Edit], kind: str, category: str) -> Negative:
    """Apply edits, in any order but without overlap, to a caption. `changed` of the result holds the content edits."""
    parts, changed = [], []
    position = length = 0
    for start, end, new, content in sorted(edits):
        parts += [text[position:start], new]
        length += start - position
        if content:
            changed.append((length, length + len(new)))
        length += len(new)
        position = end
    parts.append(text[position:])
    return Negative("".join(parts), kind, category, tuple(changed))


def other_words(caption: str, negative: str) -> tuple[tuple[int, int], ...]:
    """(start, end) offsets of the words of `negative` that do not occur in `caption`."""
    known = {word.text for word in split_words(caption)}
    return tuple((word.start, word.end) for word in split_words(negative) if word.text not in known)


def takes_an(word: str) -> bool:
    """Is its indefinite article "an"?"""
    word = word.lower()
    if word.startswith(("uni", "eu", "one", "use", "ufo", "ute")):  # "a unicycle", "a uniform", "a one"
        return False
    return word[0] in "aeiou" or word.startswith(("hour", "hono", "heir", "suv"))


def match_case(old: str, new: str) -> str:
    """`new` with the letter case of `old`: all capitals, a capital first letter, or as it is."""
    if old.isupper() and len(old) > 1:
        return new.upper()
    return new[0].upper() + new[1:] if old[0].isupper() else new
