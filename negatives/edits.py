"""Draw a swap: replace words of a parsed caption so that it becomes false for its picture.

slots = find_slots(parse)                                   # once per caption, may be kept
negative = swap(parse, slots, rng, allowed=word_counts)     # anew in every epoch
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Container, Iterable, Mapping, Sequence, Sized
from itertools import accumulate
from typing import Any, NamedTuple

from negatives.text import Edit, Negative, Parse, Slot
from negatives.vocabulary import Group, inflect, pools
from Tokenizer_lib import split_words

# Replacements are drawn in proportion to count**FREQUENCY_POWER. How often a judge that sees no picture, only which
# words were exchanged, tells the true caption from its negative (log-odds of single words, fitted on half of 400
# Flickr8k photographs, tested on the other half; 0.5 is blind): power 0: 0.77, 0.5: 0.65, 0.75: 0.60, 1: 0.56;
# power 1 without the balance of slots in `swap`: 0.65; uniform over the whole vocabulary, without `allowed`: 0.82.
FREQUENCY_POWER = 1.0


class _Table(NamedTuple):
    """What may be drawn for one pool and form under one `allowed`: surfaces, their groups, cumulative weights."""

    surfaces: tuple[str, ...]
    groups: tuple[int, ...]
    cumulative: tuple[float, ...]
    share: Mapping[int, float]


_TABLES: dict[int, tuple[Any, int, dict[tuple[str, str], _Table]]] = {}


def _tables(allowed: Container[str] | None) -> dict[tuple[str, str], _Table]:
    """The tables made so far for this very `allowed` object; a reference is kept so that its id stays its own."""
    size = len(allowed) if isinstance(allowed, Sized) else -1
    known = _TABLES.get(id(allowed))
    if known is None or known[0] is not allowed or known[1] != size:
        if len(_TABLES) >= 8:  # a process needs one or two; more is a caller that makes new containers all the time
            _TABLES.clear()
        known = _TABLES[id(allowed)] = (allowed, size, {})
    return known[2]


def _make_table(allowed: Container[str] | None, pool: str, form: str) -> _Table:
    surfaces, groups, weights = [], [], []
    for number, group in enumerate(pools()[pool]):
        for word in group.targets:
            surface = inflect(word, form)
            if allowed is not None and not all(part in allowed for part in surface.split(" ")):
                continue
            count = min(allowed[part] for part in surface.split(" ")) if isinstance(allowed, Mapping) else 1
            if count > 0:
                surfaces.append(surface)
                groups.append(number)
                weights.append(count**FREQUENCY_POWER)
    total = sum(weights)
    share: dict[int, float] = {}
    for number, weight in zip(groups, weights):
        share[number] = share.get(number, 0.0) + weight / total
    return _Table(tuple(surfaces), tuple(groups), tuple(accumulate(weights)), share)


def draw_replacement(
    rng: random.Random, table: _Table, groups: Sequence[Group], own: int, blocked: Iterable[frozenset[str]]
) -> str | None:
    """One surface form of another group than `own`, in proportion to its weight in `table`; None if none is left.

    A group with any word in `blocked` is left out whole. Together with the balance of slots in `swap`, counts as
    weights make a word come in as often as it goes out (see FREQUENCY_POWER).
    """
    surfaces, numbers, cumulative, _ = table
    if not surfaces:
        return None
    for _ in range(6):  # nearly always enough; the exact way below costs as much as the pool is long
        i = bisect(cumulative, rng.random() * cumulative[-1])
        words = groups[numbers[i]].words
        if numbers[i] != own and all(words.isdisjoint(some) for some in blocked):
            return surfaces[i]
    left = [
        i
        for i, number in enumerate(numbers)
        if number != own and all(groups[number].words.isdisjoint(some) for some in blocked)
    ]
    if not left:
        return None
    weights = [cumulative[i] - (cumulative[i - 1] if i else 0.0) for i in left]
    return surfaces[rng.choices(left, weights)[0]]


def known_words(parse: Parse) -> frozenset[str]:
    """What a caption says, for `licensed`: its lower-case words and its lemmas."""
    words = {parse.text[start:end].lower() for start, end in zip(parse.start, parse.end)}
    return frozenset(words.union(lemma.lower() for lemma in parse.lemma))


class Spot(NamedTuple):
    """Characters start..end of a caption that change when the word of a slot does.

    role: WORD takes the new word (an echo of it too), ARTICLE takes "a" or "an", REPAIR takes `new` if the repairs
    are made at all. `is_content`: it makes the caption false; agreement and articles do not.
    """

    start: int
    end: int
    role: int
    is_content: bool
    new: str = ""


WORD, ARTICLE, REPAIR = range(3)


def find_spots(parse: Parse, slot: Slot) -> list[Spot]:
    """All that changes with a slot, in no particular order."""
    spots = []
    for first, last in ((slot.first, slot.last), *slot.echoes):
        spots.append(Spot(parse.start[first], parse.end[last], WORD, True))
        if first and parse.text[parse.start[first - 1] : parse.end[first - 1]].lower() in ("a", "an"):
            spots.append(Spot(parse.start[first - 1], parse.end[first - 1], ARTICLE, False))
    spots += [Spot(parse.start[token], parse.end[token], REPAIR, content, new) for token, new, content in slot.repairs]
    return spots


def needs_repairs(slot: Slot, surface: str) -> bool:
    """Do verbs and pronouns follow? From one many to another they need not."""
    return slot.category != "number" or "one" in (slot.word, surface)


def write_edits(text: str, spots: Sequence[Spot], surface: str, repaired: bool) -> list[Edit]:
    """The edits that put `surface` in the place of a slot's word."""
    edits = []
    for spot in spots:
        old = text[spot.start : spot.end]
        if spot.role == WORD:
            edits.append((spot.start, spot.end, like(old, surface), True))
        elif spot.role == ARTICLE:
            new = "an" if takes_an(surface) else "a"
            if new != old.lower():
                is_loud = old.isupper() and text[spot.end :].lstrip()[:2].isupper()
                edits.append((spot.start, spot.end, new.upper() if is_loud else like(old, new), False))
        elif repaired:
            edits.append((spot.start, spot.end, like(old, spot.new), spot.is_content))
    return edits


def splice(text: str, edits: Iterable[Edit], kind: str, category: str) -> Negative:
    """The caption with its edits made; `changed` are the spans of content in the new text."""
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
    """Spans of the words of `negative` that `caption` does not have."""
    known = {word.text for word in split_words(caption)}
    return tuple((word.start, word.end) for word in split_words(negative) if word.text not in known)


def takes_an(word: str) -> bool:
    word = word.lower()
    if word.startswith(("uni", "eu", "one", "use", "ufo", "ute")):  # "a unicycle", "a uniform", "a one"
        return False
    return word[0] in "aeiou" or word.startswith(("hour", "hono", "heir", "suv"))


def like(old: str, new: str) -> str:
    """`new` in the case of `old`."""
    if old.isupper() and len(old) > 1:
        return new.upper()
    return new[0].upper() + new[1:] if old[0].isupper() else new


def swap(
    parse: Parse,
    slots: Sequence[Slot],
    rng: random.Random,
    *,
    allowed: Container[str] | None = None,
    licensed: frozenset[str] = frozenset(),
    most: int = 1,
    weights: Mapping[str, float] | None = None,
) -> Negative | None:
    """Replace the words of 1 to `most` slots by words of other groups; None if no slot can be changed.

    allowed: the lower-case words that true captions use; nothing else is drawn. A mapping word -> count draws by
    frequency. It must not change while it is in use. licensed: words of the photograph's other captions
    (`known_words` of each): neither they nor their groups are drawn, for they may be true. weights: how likely a
    category is chosen against the others, 1 if not named, 0 to leave it alone.
    """
    text, own_words, tables = parse.text, known_words(parse), _tables(allowed)
    chances = []
    for slot in slots:
        table = tables.get((slot.pool, slot.form))
        if table is None:
            table = tables[slot.pool, slot.form] = _make_table(allowed, slot.pool, slot.form)
        # Common words are replaced less often than they occur, by as much as they are drawn too rarely (they cannot
        # replace themselves): then every word goes out as often as it comes in.
        chance = 1.0 - table.share.get(slot.group, 0.0)
        chances.append(chance * (weights.get(slot.category, 1.0) if weights is not None else 1.0))
    wanted = 1 if most == 1 else rng.randint(1, most)
    edits: list[Edit] = []
    taken: set[int] = set()
    blocked: list[frozenset[str]] = [own_words, licensed]
    category = ""
    while wanted and sum(chances) > 1e-12:
        pick = rng.choices(range(len(slots)), chances)[0]
        chances[pick] = 0.0
        slot = slots[pick]
        tokens = {repair[0] for repair in slot.repairs}
        tokens.update(*(range(first, last + 1) for first, last in ((slot.first, slot.last), *slot.echoes)))
        if taken & tokens:
            continue
        table = tables[slot.pool, slot.form]
        surface = draw_replacement(rng, table, pools()[slot.pool], slot.group, (*blocked, slot.avoid))
        if surface is None:
            continue
        repaired = needs_repairs(slot, surface)
        if repaired and allowed is not None and any(new.lower() not in allowed for _, new, _ in slot.repairs):
            continue  # an inflection that no true caption uses would mark the negative
        wanted -= 1
        taken |= tokens
        blocked.append(frozenset((surface,)))
        category = category or slot.category
        edits += write_edits(text, find_spots(parse, slot), surface, repaired)
    return splice(text, edits, "swap", category) if edits else None
