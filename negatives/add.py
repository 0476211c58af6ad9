"""Add: a caption loses a phrase and gets one of another photograph: "a shorter caption + a false phrase".

"A man and a dog walk" -> "a man and a woman walk". `negatives.add_rules` finds the phrases that a caption can do
without, `negatives.add_truth` decides whether a phrase is false of a photograph, and `negatives.pairing` lets captions
exchange their phrases, so that every phrase is as frequent in negatives as in captions.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import pyarrow as pa

from common.jobs import progress
from Config import NegativesConfig
from negatives.acceptance import Acceptance, Change, Frequencies, find_change
from negatives.add_attributes import (
    Attributes,
    count_together,
    insert_attribute,
    read_attributes,
    remove_attribute,
    said_of,
)
from negatives.add_rules import ANY, ATTRIBUTE, CATEGORIES, GARMENT, Extra, read_added, who
from negatives.add_truth import Known, is_false
from negatives.edits import splice
from negatives.kind import Captions, Kind, PlanPart, PlanReader, StringTable
from negatives.pairing import FIT_CAPTIONS, Fit, Side, make_pairs
from negatives.parsed_caption import content_lemmas
from negatives.planned_edits import draw_packed, pack, packed_categories
from negatives.text import Edit, Negative


class Add(Kind):
    """A phrase of a caption is replaced by a phrase that is false of the photograph."""

    name = "add"
    schema: ClassVar = {"add": pa.list_(pa.int32())}  # see `planned_edits`
    has_categories = True
    changed_words_are_false = True

    def make(self, captions: Captions, strings: StringTable) -> PlanPart:
        planner = _Planner(captions)
        planned: list[list[int]] = [[] for _ in captions.parsed]
        room = [1.0] * len(planned)  # the chance that is left
        for i, edits, chance in planner.exchanged_attributes():
            planned[i] += pack(strings, ATTRIBUTE, chance, edits)
            room[i] -= chance
        for split in sorted(set(captions.splits)):
            sides = list(planner.sides([i for i, own in enumerate(captions.splits) if own == split]))
            for a, b, chance in make_pairs(sides, planner.can, planner.gain):
                chance *= min(room[sides[a].caption], room[sides[b].caption])
                for own, other in ((sides[a], sides[b]), (sides[b], sides[a])):
                    planned[own.caption] += pack(strings, other.extra.category, chance, planner.edits(own, other))
        return PlanPart({"add": planned}, {"share_with": _shares(planned, strings)})

    def draw(
        self, plan: PlanReader, caption: int, rng: random.Random, settings: NegativesConfig, within: int | None
    ) -> Negative | None:
        return draw_packed(plan, "add", caption, rng, within)


class _Planner:
    """All captions with what they give and get, and the statistics of the training captions."""

    def __init__(self, captions: Captions) -> None:
        self.captions = captions
        self.read = [read_added(caption) for caption in progress(captions.parsed, "negatives: add", " captions")]
        self.photographs = _by_photograph(captions)
        self.known = {owner: Known.of([self.read[i] for i in own]) for owner, own in self.photographs.items()}
        self.lemmas = [frozenset(content_lemmas(caption)) for caption in captions.parsed]
        learned = [i for i, learn in enumerate(captions.learn_from) if learn][:FIT_CAPTIONS]
        self.fit, self.counted = Fit(self.lemmas[i] for i in learned), frozenset(learned)
        together = count_together(itertools.compress(self.read, captions.learn_from))
        self.attributes: dict[int, Attributes] = {}
        for own in self.photographs.values():
            self.attributes.update(zip(own, read_attributes([self.read[i] for i in own], together)))

    def sides(self, numbers: Iterable[int]) -> Iterator[Side]:
        """What some captions give and get."""
        for i in numbers:
            one, lemmas, attributes = self.read[i], self.lemmas[i], self.attributes[i]
            for extra in one.extras:
                rest = lemmas - extra.lemmas
                yield Side(i, extra, rest)
                if extra.frame[0] == ANY:
                    for phrase, word in attributes.false:
                        if not extra.first <= phrase.head <= extra.last:
                            frame = (*extra.frame, said_of(one, word, phrase))
                            yield Side(i, extra._replace(frame=frame), rest, bare=phrase)
            for spot in one.spots:
                for phrase, attribute in attributes.removable:
                    if len(attribute.words) == 1 and attribute.first == attribute.last:
                        (word,) = attribute.words
                        frame = (*spot.frame, said_of(one, word, phrase))
                        given = frozenset(attribute.words)
                        governor = one.caption.lemmas[spot.anchor.head]
                        extra = Extra(
                            ATTRIBUTE, frame, spot.token, spot.token, governor, (), spot.anchor, (word,), given, -1
                        )
                        yield Side(i, extra, lemmas - given, cut=attribute)

    def can(self, one: Side, two: Side) -> bool:
        """Can two sides give each other what they have?"""
        owner, a, b = self.captions.owner, one.extra, two.extra
        if owner[one.caption] == owner[two.caption] or a.words == b.words:
            return False
        if (one.cut is None) is not (two.bare is None) or (two.cut is None) is not (one.bare is None):
            return False
        is_wide = one.extra.frame[0] == ANY
        if is_wide is (a.category == b.category) or (GARMENT in (a.category, b.category) and not _dress_alike(a, b)):
            return False
        return all(
            own.bare is not None or is_false(other.extra, self.known[owner[own.caption]], own.extra)
            for own, other in ((one, two), (two, one))
        )

    def gain(self, one: Side, two: Side) -> float:
        """Log of the likelihood ratio of the new texts to the old ones."""
        new = self.fit.of(two.extra.lemmas, one.rest, 0) + self.fit.of(one.extra.lemmas, two.rest, 0)
        old = (self.fit.of(side.extra.lemmas, side.rest, int(side.caption in self.counted)) for side in (one, two))
        return new - sum(old)

    def edits(self, own: Side, other: Side) -> list[Edit]:
        """The edits of a caption that gets what another side gives. Links and articles are not false."""
        one, extra = self.read[own.caption], own.extra
        parse = one.caption.parse
        if own.bare is not None:
            removed = (parse.end[extra.first - 1], parse.end[extra.last], "", False)
            return sorted([*insert_attribute(one, own.bare, *other.extra.words), removed])
        donor, given = self.captions.parsed[other.caption].parse, other.extra
        front = donor.text[donor.start[given.first] : donor.start[given.changed]].lower()
        phrase = donor.text[donor.start[given.changed] : donor.end[given.last]]
        if own.cut is None:
            start, end = parse.start[extra.first], parse.end[extra.last]
            return [*([(start, start, front, False)] if front else []), (start, end, phrase, True)]
        end = parse.end[extra.first - 1]
        return sorted([(end, end, f" {front}", False), (end, end, phrase, True), *remove_attribute(one, own.cut)])

    def exchanged_attributes(self) -> Iterator[tuple[int, Sequence[Edit], float]]:
        """(caption, edits, chance): a caption loses an attribute of one noun and gets one for another noun."""
        captions = self.captions
        train = Frequencies(each.parse.text for each in itertools.compress(captions.parsed, captions.learn_from))
        possible: dict[int, list[tuple[Sequence[Edit], Change]]] = {}
        for own in self.photographs.values():
            true = {captions.parsed[i].parse.text for i in own}
            for i in own:
                old = captions.parsed[i].parse.text
                found: list[tuple[Sequence[Edit], str]] = [
                    (each, splice(old, each, "add", ATTRIBUTE).text)
                    for each in self.attributes[i].exchanged(self.read[i])
                ]
                if kept := [(each, find_change(old, new, 1, words=True)) for each, new in found if new not in true]:
                    possible[i] = kept
        learned = [i for i in possible if captions.learn_from[i]]
        changes = [change for i in learned for _, change in possible[i]]
        fitted = Acceptance(train, changes, [number for number, i in enumerate(learned) for _ in possible[i]])
        for i, some in possible.items():
            chances = fitted.chances([change for _, change in some], captions.learn_from[i])
            for (edits, _), chance in zip(some, chances):
                yield i, edits, chance


def _dress_alike(one: Extra, two: Extra) -> bool:
    """Can the two whom phrases belong to wear the same?"""
    return one.anchor is not None and two.anchor is not None and who(one.anchor) == who(two.anchor)


def _by_photograph(captions: Captions) -> dict[int, list[int]]:
    """Number of a photograph -> the numbers of its captions."""
    of: dict[int, list[int]] = {}
    for i, owner in enumerate(captions.owner):
        of.setdefault(owner, []).append(i)
    return of


def _shares(planned: Sequence[Sequence[int]], strings: StringTable) -> dict[str, float]:
    """Category -> the fraction of captions that can have a negative of it."""
    have = Counter(category for own in planned for category in set(packed_categories(own)))
    return {category: have[strings.number(category)] / max(1, len(planned)) for category in CATEGORIES}
