"""Finds the changes of a caption that its boxes refute: numbers, directions, sizes, and what belongs to what.

Each rule reads one caption, knows the things and boxes that all captions of the photograph name, and offers a change
only if the boxes decide, by a clear margin, that the caption is true and the new text is false. A photograph whose
captions have no boxes has no such change.

"Between" is left out: one caption in 300 of Flickr8k has it, and its neighbours seldom have boxes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

from common.regions import Box
from negatives.edits import find_spots, match_case, needs_repairs, write_edits
from negatives.exchange_rules import exchange_spans, find_exchanges
from negatives.text import Edit, Slot
from negatives.things import (
    HELD,
    LARGER,
    NOT_HELD,
    SAME,
    SETS_OFF,
    Photograph,
    Reading,
    Thing,
    are_counted,
    are_distinct,
    area,
    held,
    is_in_half,
    is_off,
    overlap,
)
from negatives.vocabulary import LIST, pools

CATEGORIES = ("numbers", "sides", "vertical", "sizes", "attributes", "order")  # not those of swaps
NUMBERS, SIDES, VERTICAL, SIZES, ATTRIBUTES, ORDER = CATEGORIES
MOST_OFF = 3  # a new number differs by at most this
_VALUES = {word: n for n, group in enumerate(pools()["number.word"], 1) for word in group.words}
_VALUES |= {str(n): n for n in range(2, 10)}
_WORDS = tuple(pools()["number.word"][n].targets[0] for n in range(10))
# Word -> (axis, sign), and the words that say the opposite.
_WAYS = dict.fromkeys(("right",), (0, 1)) | dict.fromkeys(("left",), (0, -1))
_WAYS |= dict.fromkeys(("above", "over", "upper", "top"), (1, -1))
_WAYS |= dict.fromkeys(("below", "under", "beneath", "underneath", "lower", "bottom"), (1, 1))
_OPPOSITES = {
    **{"left": ("right",), "right": ("left",), "above": ("below", "under"), "over": ("under",)},
    **{"upper": ("lower",), "lower": ("upper",), "top": ("bottom",), "bottom": ("top",)},
    **dict.fromkeys(("below", "under", "beneath", "underneath"), ("above",)),
}
_PART = frozenset(("side", "half", "part", "corner", "hand"))
_PICTURE = frozenset(("picture", "photo", "photograph", "image", "frame", "scene", "screen", "shot"))
# Words before the subject of a relation, which does not belong to another phrase: "you can see a cup above a ball".
_BEFORE_SUBJECT = frozenset(("is", "are", "shows", "see", ",", ".", "while", "and"))
_BE = frozenset(("is", "are", "was", "were"))
_AT = frozenset(("on", "in", "at", "to", "toward", "towards"))
_COMPARED = {"larger": 1, "bigger": 1, "smaller": -1}


class Refuted(NamedTuple):
    """A change of a caption that the boxes refute.

    areas, size: for the rule of sizes, which needs statistics of the database (`SizeRanges`): the areas of the boxes of
    things that the new text would be about, and the group of the new size.
    """

    category: str
    edits: tuple[Edit, ...]
    areas: tuple[float, ...] = ()
    size: tuple[int, int] = (-1, -1)  # groups of the old and of the new word in the pool size.any


class Statement(NamedTuple):
    """ "A cup above a ball", "a cup on the left side": where something is, with boxes that confirm it."""

    token: int  # of the word of the direction
    axis: int
    subject: tuple[Box, ...]
    target: tuple[Box, ...]  # () for the picture
    of: Thing | None = None


def find_refuted(photograph: Photograph, reading: Reading) -> list[Refuted]:
    """All changes of a caption that the boxes refute, in a fixed order."""
    if not reading.things:
        return []
    return [
        *_numbers(photograph, reading),
        *_directions(photograph, reading),
        *_sizes(photograph, reading),
        *_comparatives(reading),
        *_exchanges(photograph, reading),
    ]


# Numbers


def _numbers(photograph: Photograph, reading: Reading) -> Iterator[Refuted]:
    """ "Two dogs" -> "three dogs": as many boxes as the number says, and no other thing that could be counted."""
    for slot in reading.caption.slots:
        thing = reading.thing_at(slot.first) if slot.category == "number" else None
        if thing is None or not _is_count(reading, slot, thing):
            continue
        value = len(thing.boxes)
        more = photograph.others(thing) or (photograph.is_crowded and thing.phrase.noun.kind == "person")
        taken = {_number_of(other) for other in photograph.things if other.is_named_as(thing)}
        in_digits = reading.words[slot.first].isdigit()
        for new in range(max(1 + in_digits, value - MOST_OFF), min(9 + (not in_digits), value + MOST_OFF) + 1):
            surface = str(new) if in_digits else _WORDS[new - 1]
            if new in taken or (new > value and more) or surface in slot.avoid:
                continue
            if 1 in (new, value) and not _agrees(reading, slot, thing):
                continue
            yield Refuted(NUMBERS, _replace(reading, slot, surface))


def _is_count(reading: Reading, slot: Slot, thing: Thing) -> bool:
    """Does the number of a slot say how many boxes its thing has, and is that all that the caption says of them?"""
    if _VALUES.get(reading.words[slot.first]) != len(thing.boxes) or not are_counted(thing.boxes):
        return False
    if not LIST["not_counted_before"].isdisjoint(reading.words[max(0, slot.first - 3) : slot.first]):
        return False
    # "Two dogs, one brown and one black": another number would contradict the rest of the caption.
    if any(
        (tag == "CD" or reading.words[i] in ("one", "other")) and reading.thing_at(i) is None and i != slot.first
        for i, tag in enumerate(reading.tags)
        if reading.words[max(0, i - 1)] != "each"
    ):
        return False
    return not any(
        not set(region.boxes).isdisjoint(thing.boxes) and _names_something(reading, region.start, region.end, thing)
        for region in reading.regions
    )


def _agrees(reading: Reading, slot: Slot, thing: Thing) -> bool:
    """Do the repairs of a slot cover every verb after its thing? Not in "two dogs run and bark"."""
    repaired = {token for token, _, _ in slot.repairs}
    return all(
        tag not in ("VB", "VBP", "VBZ") and reading.words[i] not in ("was", "were")
        for i, tag in enumerate(reading.tags)
        if i > thing.phrase.head and i not in repaired
    )


def _names_something(reading: Reading, start: int, end: int, thing: Thing) -> bool:
    """Does a span hold a noun, a pronoun or a number outside the phrase of a thing?"""
    names = ("NN", "NNS", "NNP", "NNPS", "PRP", "CD")
    return any(
        start <= reading.parse.start[i] < end and tag in names
        for i, tag in enumerate(reading.tags)
        if not thing.phrase.start <= i <= thing.phrase.head
    )


def _number_of(thing: Thing) -> int:
    """The number that a phrase names; 0 for none."""
    words = [word for attribute in thing.phrase.attributes if attribute.pool in SETS_OFF for word in attribute.words]
    return _VALUES.get(words[0] if words else thing.phrase.determiner, 0)


def _replace(reading: Reading, slot: Slot, surface: str) -> tuple[Edit, ...]:
    spots = find_spots(reading.parse, slot)
    return tuple(write_edits(reading.parse.text, spots, surface, needs_repairs(slot, surface)))


# Directions


def _directions(photograph: Photograph, reading: Reading) -> Iterator[Refuted]:
    """ "Above" -> "below"; and subject and object of a relation change places."""
    found = list(_statements(photograph, reading))
    said = Counter((one.axis, frozenset(one.subject + one.target)) for one in found)
    mentions = Counter(box for thing in reading.things for box in thing.boxes)
    for one in found:
        if said[one.axis, frozenset(one.subject + one.target)] > 1:
            continue  # "a cup above a ball, while the ball is below the cup"
        start, end = reading.parse.start[one.token], reading.parse.end[one.token]
        for word in _OPPOSITES[reading.words[one.token]]:
            edit = (start, end, match_case(reading.parse.text[start:end], word), True)
            yield Refuted(VERTICAL if one.axis else SIDES, (edit,))
    orders: dict[tuple[Edit, ...], None] = {}
    for one in found:
        if one.of is not None and all(mentions[box] == 1 for box in (*one.subject, *one.target)):
            edits = _order(reading, one, one.of)
            if edits is not None:
                orders[edits] = None
    yield from (Refuted(ORDER, edits) for edits in orders)


def _statements(photograph: Photograph, reading: Reading) -> Iterator[Statement]:
    """The directions of a caption that the boxes confirm."""
    for i, word in enumerate(reading.words):
        if word not in _WAYS:
            continue
        place = _sideways(reading, i) if _is_sideways(reading, i) else _preposition(reading, i)
        if place is None:
            continue
        (first, last), target = place
        axis, sign = _WAYS[word]
        subject = reading.boxes_at(i)
        if not subject:
            thing = _subject(reading, first, last)
            if thing is None or not _is_alone(photograph, thing):
                continue
            subject = thing.boxes
        if target is None:
            if all(is_in_half(box, axis, sign) for box in subject):
                yield Statement(i, axis, subject, ())
            continue
        is_clear = all(is_off(box, other, axis, sign) for box, other in product(subject, target.boxes))
        if is_clear and (reading.boxes_at(i) or _is_alone(photograph, target)):
            yield Statement(i, axis, subject, target.boxes, target)


def _is_alone(photograph: Photograph, thing: Thing) -> bool:
    """Does the photograph have nothing else that its phrase could mean?"""
    return not photograph.others(thing, but_different=True)


def _is_sideways(reading: Reading, i: int) -> bool:
    return reading.words[i] in ("left", "right", "upper", "lower", "top", "bottom")


def _sideways(reading: Reading, i: int) -> tuple[tuple[int, int], Thing | None] | None:
    """ "On the left side of the picture", "to the upper left of a ball": first and last token, and the thing.

    None as the thing: the picture. None: another sense, such as "his left hand" or "looks to the left".
    """
    words, first, last = reading.words, i, i
    while first and words[first - 1] in ("upper", "lower", "top", "bottom", "far"):
        first -= 1
    while reading.phrases.word(last + 1) in ("left", "right"):
        last += 1
    first -= reading.phrases.word(first - 1) == "the"
    if reading.phrases.word(first - 1) not in _AT or words[last] in ("top", "bottom"):
        return None
    first -= 1
    is_part = reading.phrases.word(last + 1) in _PART
    last += is_part
    if words[last] == "hand" or (words[last] in ("upper", "lower") and not is_part):
        is_part = reading.phrases.word(last + 1) == "side"
        last += is_part
        if not is_part:
            return None
    if reading.phrases.word(last + 1) != "of":
        follows = reading.phrases.tag(last + 1)
        is_aim = words[first] in ("to", "toward", "towards")  # "looks to the left"
        return None if is_aim or follows.startswith("NN") else ((first, last), None)
    last += 1
    after = last + 1
    while reading.phrases.word(after) in ("the", "this"):
        after += 1
    if reading.phrases.word(after) in _PICTURE:
        return (first, after), None
    thing = _thing_from(reading, last + 1)
    return None if thing is None or (is_part and words[last - 1] != "side") else ((first, last), thing)


def _preposition(reading: Reading, i: int) -> tuple[tuple[int, int], Thing | None] | None:
    """ "Above a ball": first and last token, and the thing. The rules of swaps know the words that do not fit."""
    if not any(slot.first == i and slot.category == "relation" for slot in reading.caption.slots):
        return None
    thing = _thing_from(reading, i + 1)
    return None if thing is None else ((i, i), thing)


def _thing_from(reading: Reading, token: int) -> Thing | None:
    """The thing whose phrase begins at a token, or after "exactly"."""
    token += reading.phrases.word(token) == "exactly"
    thing = reading.thing_at(token)
    return thing if thing is not None and thing.phrase.start == token else None


def _subject(reading: Reading, first: int, last: int) -> Thing | None:
    """The thing that a place is said of: just before it, or before a form of "be" or of "sit", "stand", "lie"."""
    before = first - 1
    while before > 0 and (reading.words[before] in _BE or reading.words[before] in LIST["posture"]):
        before -= 1
    if first == 0:  # "on the left, there is a cup"
        after = last + 1
        while after < len(reading.words) and reading.words[after] in (*_BE, ",", "there"):
            after += 1
        return _thing_from(reading, after)
    thing = reading.thing_at(before)
    return thing if thing is not None and thing.phrase.head == before else None


def _order(reading: Reading, statement: Statement, target: Thing) -> tuple[Edit, ...] | None:
    """The edits that exchange the nouns of a relation, with their attributes; None if the new text would be odd."""
    subject = next((thing for thing in reading.things if set(thing.boxes) == set(statement.subject)), None)
    if subject is None or len(subject.boxes) != 1 or len(target.boxes) != 1:
        return None
    one, two = subject.phrase, target.phrase
    if one.plural or two.plural or one.is_odd or two.is_odd or not one.determiner or not two.determiner:
        return None
    if one.is_owned or two.is_owned:
        return None
    first, second = sorted((one, two), key=lambda phrase: phrase.start)
    if first.start and reading.words[first.start - 1] not in _BEFORE_SUBJECT and first is one:
        return None  # "a man on a sofa under a bridge"
    verbs = [
        reading.words[i]
        for i in range(first.head, second.start)
        if reading.tags[i].startswith("VB") and reading.words[i] not in _BE
    ]
    alike = one.noun.kind == two.noun.kind and one.noun.kind
    if not alike and (verbs or "" in (one.noun.kind, two.noun.kind)):  # no fence jumps over a dog
        return None
    return exchange_spans(reading.phrases, (first.first, first.head), (second.first, second.head))


# Sizes


class SizeRanges:
    """How large the boxes of "small", "medium" and "large" things are.

    On photographs sizes are relative: a small car is larger than a large ball, and both can be near or far. Then the
    ranges of areas overlap and no size is decided. In drawn scenes they do not.
    """

    LEAST, PART, CLEAR = 30, 0.02, 1.3

    def __init__(self, areas: dict[int, list[float]]):
        """areas: group of the pool size.any -> areas of the boxes of things that a caption calls so."""
        self._range: dict[int, tuple[float, float]] = {}
        for group, found in areas.items():
            if len(found) >= self.LEAST:
                found = sorted(found)
                cut = int(self.PART * len(found))
                self._range[group] = found[cut], found[-1 - cut]

    def decide(self, areas: Sequence[float], old: int, new: int) -> bool:
        """Are the old and the new word said of different areas, and are all these areas not of the new word?"""
        if old not in self._range or new not in self._range:
            return False
        (low, high), (least, most) = self._range[old], self._range[new]
        if not (high * self.CLEAR < least or most * self.CLEAR < low):
            return False
        return all(one * self.CLEAR < least or most * self.CLEAR < one for one in areas)


def sizes_said(reading: Reading) -> Iterator[tuple[int, float]]:
    """(group of the pool size.any, area) of every box that a caption calls small, medium or large."""
    for slot in reading.caption.slots:
        thing = reading.thing_at(slot.first) if slot.pool == "size.any" else None
        if thing is not None:
            yield from ((slot.group, area(box)) for box in thing.boxes)


def _sizes(photograph: Photograph, reading: Reading) -> Iterator[Refuted]:
    """ "A small ball" -> "a large ball". Only if a phrase without a size names all things that the new text could mean.

    If "the ball" has one box, there is no large ball beside the small one.
    """
    groups = pools()["size.any"]
    for slot in reading.caption.slots:
        thing = reading.thing_at(slot.first) if slot.pool == "size.any" else None
        if thing is None:
            continue
        looks = [look for look in thing.looks if look.pool != "size.any"]
        known = next(iter(photograph.covers(thing, looks)), None)
        if known is None:
            continue
        areas = tuple(area(box) for box in (*known.boxes, *thing.boxes))
        for new, group in enumerate(groups):
            for word in group.targets if new != slot.group else ():
                if word not in slot.avoid:
                    yield Refuted(SIZES, _replace(reading, slot, word), areas, (slot.group, new))


def _comparatives(reading: Reading) -> Iterator[Refuted]:
    """ "A dog and a larger dog" -> "a dog and a smaller dog": two boxes of one kind, one clearly larger."""
    for slot in reading.caption.slots:
        thing = reading.thing_at(slot.first) if slot.pool == "size.more" else None
        others = [other for other in reading.things if other is not thing and thing and other.is_named_as(thing)]
        if thing is None or len(others) != 1 or len(thing.boxes) != 1 or len(others[0].boxes) != 1:
            continue
        mine, other = thing.boxes[0], others[0].boxes[0]
        larger = _COMPARED[reading.words[slot.first]] > 0
        big, small = (mine, other) if larger else (other, mine)
        if overlap(mine, other) >= SAME or area(big) < LARGER * area(small) or _has_size(reading, others[0]):
            continue
        for word, sign in _COMPARED.items():
            if (sign > 0) != larger:
                yield Refuted(SIZES, _replace(reading, slot, word))


def _has_size(reading: Reading, thing: Thing) -> bool:
    return any(slot.category == "size" and reading.thing_at(slot.first) is thing for slot in reading.caption.slots)


# Attributes


def _exchanges(photograph: Photograph, reading: Reading) -> Iterator[Refuted]:
    """Exchanges (`negatives.exchange_rules`) that the boxes refute too: of attributes, garments and numbers."""
    for category, edits in find_exchanges(reading.parse):
        if category not in ("attribute", "clothing", "number"):
            continue
        tokens = [reading.parse.start.index(start) for start, _, _, content in edits if content]
        things = [reading.thing_at(token) for token in tokens]
        if len(things) != 2 or things[0] is None or things[1] is None:
            continue
        one, two = things[0], things[1]
        if one is two or not are_distinct(one.boxes, two.boxes):
            continue
        if category == "number":
            if _are_counts(photograph, one, two):
                yield Refuted(NUMBERS, edits)
        elif category == "clothing":
            if _is_worn_by_one(reading, one, two):
                yield Refuted(ATTRIBUTES, edits)
        elif _are_bound(photograph, reading, (one, tokens[0]), (two, tokens[1])):
            yield Refuted(ATTRIBUTES, edits)


def _are_counts(photograph: Photograph, one: Thing, two: Thing) -> bool:
    """Does each of two phrases have as many boxes as it says, and are these all?"""
    if len(one.boxes) == len(two.boxes) or not (are_counted(one.boxes) and are_counted(two.boxes)):
        return False
    for thing in (one, two):
        said = _number_of(thing)
        expected = said if said else 0 if thing.phrase.plural else 1
        if expected != len(thing.boxes) or photograph.others(thing):
            return False
    return True


def _owner_box(reading: Reading, thing: Thing) -> Box | None:
    """The box of the person that wears a thing, if it is one box and the thing lies in it."""
    being = reading.phrases.owner(thing.phrase)
    owner = reading.thing_of(being.phrase) if being is not None else None
    if owner is None or len(owner.boxes) != 1 or len(thing.boxes) != 1:
        return None
    return owner.boxes[0] if held(thing.boxes[0], owner.boxes[0]) >= HELD else None


def _is_worn_by_one(reading: Reading, one: Thing, two: Thing) -> bool:
    """Does what each of two people wears lie in his box only? The two garments change places, or the two people."""
    if one.phrase.noun.kind == "person":
        if len(one.boxes) != 1 or len(two.boxes) != 1:
            return False
        beings = [being for being in reading.phrases.beings if being.phrase in (one.phrase, two.phrase)]
        worn = [
            (being.phrase is one.phrase, reading.thing_of(being.details[0][1])) for being in beings if being.details
        ]
        return bool(worn) and all(
            thing is not None
            and len(thing.boxes) == 1
            and _is_worn_by(thing, *((one, two) if is_first else (two, one)))
            for is_first, thing in worn
        )
    mine, other = _owner_box(reading, one), _owner_box(reading, two)
    if mine is None or other is None or overlap(mine, other) > 0.5:
        return False
    return held(one.boxes[0], other) < NOT_HELD and held(two.boxes[0], mine) < NOT_HELD


def _is_worn_by(garment: Thing, person: Thing, other: Thing) -> bool:
    """Does a garment lie in the box of one person, and not in that of another one?"""
    box = garment.boxes[0]
    return held(box, person.boxes[0]) >= HELD and held(box, other.boxes[0]) < NOT_HELD


def _is_worn_together(photograph: Photograph, reading: Reading, one: Thing, two: Thing) -> bool:
    """ "A man in a red shirt and blue jeans", "a white dog with a black collar": boxes in that of one being.

    No other being of the photograph could be meant.
    """
    owners = [reading.phrases.owner(thing.phrase) for thing in (one, two)]
    beings = [being.phrase for being in owners if being is not None]
    if not beings or any(being is not beings[0] for being in beings):
        return False
    owner = reading.thing_of(beings[0])
    if owner is None or photograph.others(owner) or not (len(owner.boxes) == len(one.boxes) == len(two.boxes) == 1):
        return False
    return all(thing is owner or _owner_box(reading, thing) == owner.boxes[0] for thing in (one, two))


def _are_bound(photograph: Photograph, reading: Reading, first: tuple[Thing, int], second: tuple[Thing, int]) -> bool:
    """Do the boxes make sure that an attribute belongs to its own thing only? first, second: (thing, its attribute).

    A garment lies in the box of who wears it. Anything else: a phrase without the attribute names all things that have
    this noun, and they are the boxes of this one.
    """
    one, two = first[0], second[0]
    if one.is_named_as(two) and not _owner_box(reading, one):  # "a black dog chases a brown dog"
        return False
    if _is_worn_together(photograph, reading, one, two):
        return True
    if reading.phrases.owner(one.phrase) is not None and reading.phrases.owner(two.phrase) is not None:
        return _is_worn_by_one(reading, one, two)
    for (thing, token), (other, other_token) in ((first, second), (second, first)):
        new = next(
            attribute for attribute in other.phrase.attributes if attribute.first <= other_token <= attribute.last
        )
        looks = [look for look in thing.looks if not look.first <= token <= look.last]
        if any(set(known.boxes) <= set(thing.boxes) for known in photograph.covers(thing, [*looks, new])):
            return True
    return False
