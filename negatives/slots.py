"""Finds the words of a parsed caption that can be swapped (slots), by rules for word sense, agreement and reference.

The parse is made once, when the database is built; the rules need neither the parser nor torch. `vocabulary.toml` lists
which words can replace which; `negatives.balance` computes how often each is drawn.
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
    """Every slot of a caption, in reading order.

    lenient: include slots whose swaps a blind judge detects more easily. They are also used, as a last resort, for a
    caption that has no other slot.

    Words are looked up as they are written, not by lemma (small spaCy models lemmatize "riding" to "rid"). Tags and
    neighbouring words then decide which sense the word has. Heads in the parse are too often wrong to rely on; they are
    used only to confirm.
    """
    caption = Caption(parse)
    slots = [] if lenient else _read(caption)
    if not slots:  # 2 % of photo captions, such as "A surfer rides a wave."
        caption.lenient = True
        slots = _read(caption)
    return tuple(slots)


class _Entries(NamedTuple):
    """The vocabulary entries that begin with one word."""

    phrases: dict[str, tuple[Entry, ...]]  # by their second word, the longest first
    single: tuple[tuple[str, Entry], ...]  # (tag that the word must have, or "" for any tag; entry)


@lru_cache(maxsize=1)
def _index() -> dict[str, _Entries]:
    """First word -> its entries. Most words of a caption cost `_read` one look-up."""
    if unknown := set(CATEGORIES) - set(_RULES):
        raise ValueError(
            f"[pools] in vocabulary.toml has the category {min(unknown)!r}, for which negatives/slots.py has no rule; "
            "add one to _RULES there"
        )
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
    for i in [i for i, word in enumerate(words) if word in index]:  # half of the words are not in the vocabulary
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
                if not caption.is_joined(slot.first, i):
                    slots.append(slot)
                break
    return slots


def _slot_of(caption: Caption, entry: Entry, first: int, last: int) -> Slot | None:
    """The slot of an entry at the tokens first..last, if its category's rule and its pool's conditions allow one."""
    slot = _RULES[entry.category](caption, entry, first, last)
    if slot is None or not fits(caption, entry, first, last):
        return None
    avoid = avoided(caption, entry, first, last)
    return slot._replace(avoid=union(slot.avoid, avoid)) if avoid else slot


def _read_phrase(caption: Caption, phrases: tuple[Entry, ...], i: int, slots: list[Slot]) -> int:
    """Read the longest phrase that begins at token `i`, and append its slot, if any, to `slots`.

    Returns the number of tokens of the phrase, 0 if there is none. If a phrase cannot be swapped ("ice cream" in "ice
    cream cone"), its parts cannot either.
    """
    step = 0
    for entry in phrases:
        size = len(entry.words)
        if size < step or tuple(caption.words[i : i + size]) != entry.words:
            continue
        step = size
        if not entry.pool:  # a fixed compound: never changed
            caption.fixed.update(range(i, i + size))
            break
        slot = _slot_of(caption, entry, i, i + size - 1)
        if slot is not None:
            if not caption.is_joined(slot.first, slot.last):
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
