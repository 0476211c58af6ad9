"""Which words of a parsed caption may be swapped: the rules of sense, agreement and reference.

The parse is made once, when the database is built; the rules need no parser and no torch. What may stand in for what
is in `vocabulary.toml`; how often each word is drawn is decided in `negatives.balance`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from negatives import modifiers, nouns, verbs
from negatives.caption import Caption
from negatives.conditions import avoided, fits, union
from negatives.text import Parse, Slot
from negatives.vocabulary import CATEGORIES, Entry, entries


def find_slots(parse: Parse, lenient: bool = False) -> tuple[Slot, ...]:
    """Every place of the caption that may be swapped, in reading order.

    lenient: also places whose swaps a blind reader may suspect; they are a last resort.

    Words are looked up by surface, not by the parser's lemma (small models say "rid" for "riding"); tags and
    neighbours then decide about the sense. Heads are wrong too often to build on, and only confirm.
    """
    caption = Caption(parse)
    slots = [] if lenient else _read(caption)
    if not slots:  # 2 % of photo captions: "A surfer rides a wave." has only swaps that a blind reader suspects
        caption.lenient = True
        slots = _read(caption)
    return tuple(slots)


class _Entries(NamedTuple):
    """What may begin at a word: phrases by their second word, the longest first, and single words with their tag."""

    phrases: dict[str, tuple[Entry, ...]]
    single: tuple[tuple[str, Entry], ...]


@lru_cache(maxsize=1)
def _index() -> dict[str, _Entries]:
    """The index of the vocabulary, laid out for `_read`: most words of a caption cost one look-up."""
    if unknown := set(CATEGORIES) - set(_RULES):
        raise ValueError(f"vocabulary.toml has the category {min(unknown)!r}, for which negatives/slots.py has no rule")
    index = {}
    for first, found in entries().items():
        phrases: dict[str, tuple[Entry, ...]] = {}
        single = []
        for entry in found:
            if len(entry.words) > 1:
                phrases[entry.words[1]] = (*phrases.get(entry.words[1], ()), entry)
            else:
                tag = entry.form if entry.category == "action" else ""
                single.append((tag, entry))
        index[first] = _Entries(phrases, tuple(single))
    return index


def _read(caption: Caption) -> list[Slot]:
    index, words, tags = _index(), caption.words, caption.tags
    slots: list[Slot] = []
    after = 0
    for i in [i for i, word in enumerate(words) if word in index]:  # half of the words are in no vocabulary
        if i < after:
            continue
        phrases, single = index[words[i]]
        if phrases and i + 1 < caption.size and words[i + 1] in phrases:
            after = i + _read_phrase(caption, phrases[words[i + 1]], i, slots)
            if after > i:
                continue
        tag = tags[i]
        for wanted, entry in single:
            if wanted and wanted != tag:
                continue
            slot = _slot_of(caption, entry, i, i)
            if slot is not None:
                if not caption.glued(slot.first, i):
                    slots.append(slot)
                break
    return slots


def _slot_of(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """The slot of an entry at the tokens first..last, if the rows of its pool and the rule of its category agree."""
    slot = _RULES[entry.category](caption, entry, first, last)
    if slot is None or not fits(caption, entry, first, last):
        return None
    avoid = avoided(caption, entry, first, last)
    return slot._replace(avoid=union(slot.avoid, avoid)) if avoid else slot


def _read_phrase(caption: Caption, phrases: tuple[Entry, ...], i: int, slots: list[Slot]) -> int:
    """Read the longest phrase at token `i`; how many tokens it takes, 0 if none is there.

    If "ice cream" does not fit ("ice cream cone"), neither does a part of it.
    """
    step = 0
    for entry in phrases:
        size = len(entry.words)
        if size < step or tuple(caption.words[i : i + size]) != entry.words:
            continue
        step = size
        if not entry.pool:  # a fixed compound
            caption.fixed.update(range(i, i + size))
            break
        slot = _slot_of(caption, entry, i, i + size - 1)
        if slot is not None:
            if not caption.glued(slot.first, slot.last):
                slots.append(slot)
            break
    return step


_RULES: dict[str, Callable[[Caption, Entry, int, int], Slot | None]] = {
    "colour": modifiers.colour,
    "number": modifiers.number,
    "gender": nouns.gender,
    "person": nouns.person,
    "animal": nouns.animal,
    "clothing": nouns.clothing,
    "food": nouns.food,
    "vehicle": nouns.vehicle,
    "place": nouns.place,
    "object": nouns.object_,
    "weather": modifiers.weather,
    "material": modifiers.modifier,
    "pattern": modifiers.modifier,
    "shape": modifiers.modifier,
    "size": modifiers.modifier,
    "state": modifiers.modifier,
    "relation": verbs.relation,
    "action": verbs.action,
}
