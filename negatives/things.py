"""The things of a photograph: noun phrases of its captions with the boxes of what they name; and rules about boxes.

A box is (left, top, right, bottom) in fractions of the picture, see `common.regions`. Axis 0 is x to the right, axis 1
is y down.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, product
from typing import NamedTuple

from common.regions import Box, Region
from negatives.caption import Caption
from negatives.exchange_rules import exclude, same_noun
from negatives.parsed_caption import ParsedCaption
from negatives.phrases import BEINGS, Attribute, Phrase, Phrases
from negatives.vocabulary import LIST

# Two boxes with this intersection over union or more can show one thing.
SAME = 0.5
SURELY_SAME = 0.8
# Centres that are apart by this fraction of the picture, in one direction, are surely apart. Captions of drawn scenes
# name a direction from this distance on.
APART = 0.15
OFF_MIDDLE = 0.1  # of the picture: a centre that is surely in its left half, or its right half, ...
ROUNDING = 1e-4  # of stored boxes
LARGER = 1.8  # times the area: surely larger
HELD = 0.7  # of a garment's box must lie in the box of who wears it ...
NOT_HELD = 0.4  # ... and less than this in the box of another person
SETS_OFF = frozenset(("number.word", "number.digit"))  # attributes of how many, not of each thing


class Thing(NamedTuple):
    """A noun phrase of a caption and the boxes of what it names."""

    phrase: Phrase
    lemma: str  # of its noun
    boxes: tuple[Box, ...]
    is_plain: bool  # its words are known: article, attributes and one noun

    @property
    def looks(self) -> tuple[Attribute, ...]:
        """Its attributes without its number."""
        return tuple(attribute for attribute in self.phrase.attributes if attribute.pool not in SETS_OFF)

    def is_named_as(self, other: Thing) -> bool:
        """Can both nouns name one thing?"""
        if self.phrase.noun.kind and other.phrase.noun.kind:
            return same_noun(self.phrase, other.phrase)
        return self.lemma == other.lemma

    def is_other(self, other: Thing) -> bool:
        """Does an attribute make it sure that both are not the same thing?"""
        return any(exclude(a, b) for a in self.looks for b in other.looks)


class Reading:
    """One caption: its phrases, and which of them have boxes."""

    def __init__(self, caption: ParsedCaption, regions: Sequence[Region]):
        self.caption, self.regions, self.parse = caption, regions, caption.parse
        self.phrases = Phrases(Caption(caption.parse))
        self.words, self.tags = self.phrases.words, self.phrases.tags
        self.things = list(self._things())

    def _things(self) -> Iterator[Thing]:
        """The things of the regions that end with their first noun phrase."""
        starts, ends, lemmas = self.parse.start, self.parse.end, self.caption.lemmas
        for region in self.regions:
            inside = [
                phrase
                for phrase in self.phrases.phrases
                if starts[phrase.first] >= region.start and ends[phrase.head] <= region.end
            ]
            if not inside or not inside[0].word or not region.boxes:
                continue
            phrase = inside[0]
            if self.parse.text[ends[phrase.head] : region.end].strip():
                continue
            known = {i for attribute in phrase.attributes for i in range(attribute.first, attribute.last + 1)}
            is_plain = all(i in known for i in range(phrase.first, phrase.head)) and not phrase.is_odd
            yield Thing(phrase, lemmas[phrase.head], region.boxes, is_plain)

    def thing_at(self, token: int) -> Thing | None:
        """The thing whose phrase holds a token."""
        return next((thing for thing in self.things if thing.phrase.start <= token <= thing.phrase.head), None)

    def thing_of(self, phrase: Phrase) -> Thing | None:
        return next((thing for thing in self.things if thing.phrase is phrase), None)

    def boxes_at(self, token: int) -> tuple[Box, ...]:
        """The boxes of a region that holds a token and no noun: "to the left of" is about its subject."""
        start, end = self.parse.start[token], self.parse.end[token]
        for region in self.regions:
            if region.start <= start and end <= region.end:
                tags = [tag for i, tag in enumerate(self.tags) if region.start <= self.parse.start[i] < region.end]
                if self.thing_at(token) is None and ("IN" in tags or "TO" in tags):
                    return region.boxes
        return ()


class Photograph(NamedTuple):
    """What all captions of a photograph say about its things."""

    readings: tuple[Reading, ...]
    things: tuple[Thing, ...]
    is_crowded: bool  # a caption names people without saying how many

    @classmethod
    def of(cls, readings: Iterable[Reading]) -> Photograph:
        readings = tuple(readings)
        crowded = any(not LIST["crowd"].isdisjoint(reading.words) for reading in readings)
        return cls(readings, tuple(thing for reading in readings for thing in reading.things), crowded)

    def others(self, thing: Thing, but_different: bool = False) -> list[Box]:
        """Boxes of other things that the noun could name too.

        but_different: without those that an attribute sets apart, such as a blue ball beside a red one.

        A box of "three people" that is also of "a woman" is none of another man.
        """
        namesakes = [other for other in self.things if other.is_named_as(thing)]
        boxes = [
            box
            for other in namesakes
            if not (but_different and other.is_other(thing))
            for box in other.boxes
            if all(overlap(box, own) < SAME for own in thing.boxes)
        ]
        if not boxes or thing.phrase.noun.kind not in BEINGS:
            return boxes
        beings = (other for other in self.things if other.phrase.noun.kind in BEINGS and other not in namesakes)
        foreign = [box for other in beings for box in other.boxes]
        return [box for box in boxes if all(overlap(box, other) < SURELY_SAME for other in foreign)]

    def covers(self, thing: Thing, looks: Iterable[Attribute]) -> Iterator[Thing]:
        """Things whose phrases would name every thing with the noun of `thing` and these looks.

        "The ball" covers "a blue ball". What has the looks is among the boxes of each.
        """
        wanted = {(look.pool, look.groups) for look in looks}
        for other in self.things:
            said = {(look.pool, look.groups) for look in other.looks}
            if other.is_plain and other.is_named_as(thing) and said <= wanted:
                yield other


def area(box: Box) -> float:
    """As a fraction of the picture's area."""
    return (box[2] - box[0]) * (box[3] - box[1])


def _shared(one: Box, two: Box) -> float:
    """Area of the intersection."""
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    return max(0.0, width) * max(0.0, height)


def overlap(one: Box, two: Box) -> float:
    """Intersection over union."""
    both = _shared(one, two)
    return both / max(area(one) + area(two) - both, 1e-9)


def held(inner: Box, outer: Box) -> float:
    """The fraction of a box that lies in another one."""
    return _shared(inner, outer) / max(area(inner), 1e-9)


def are_counted(boxes: Sequence[Box]) -> bool:
    """Is each box one thing? Not if two are nearly the same, or one holds two others: it may be of a group."""
    if any(overlap(one, two) > 0.7 for one, two in combinations(boxes, 2)):
        return False
    return all(sum(held(other, box) > 0.9 for other in boxes if other is not box) < 2 for box in boxes)


def are_distinct(ones: Iterable[Box], others: Iterable[Box]) -> bool:
    """Do the boxes show different things?"""
    return all(overlap(one, other) < SAME for one, other in product(ones, others))


def is_off(box: Box, other: Box, axis: int, sign: int) -> bool:
    """Is the centre of a box beyond that of another one, on this axis and to this side, by a clear margin?"""
    distance = (box[axis] + box[axis + 2] - other[axis] - other[axis + 2]) / 2 * sign
    return distance >= APART - ROUNDING


def is_in_half(box: Box, axis: int, sign: int) -> bool:
    """Is the centre of a box in this half of the picture, by a clear margin?"""
    return ((box[axis] + box[axis + 2]) / 2 - 0.5) * sign >= OFF_MIDDLE - ROUNDING
