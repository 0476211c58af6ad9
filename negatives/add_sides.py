"""What all captions of a database give and get when phrases change places, and what their photographs show; in columns.

Phrases are equal in many captions, so each different one is stored once, without its place in the caption. The parses
of the captions are not kept.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from negatives.add_attributes import Attributes, insert_attribute, remove_attribute, said_of
from negatives.add_rules import ANY, ATTRIBUTE, GARMENT, Added, Extra, who
from negatives.add_truth import Known, is_false, telling_words
from negatives.kind import Ragged
from negatives.pairing import Fit, Sides
from negatives.phrases import Phrase
from negatives.text import Edit

PHRASE, CUT, BARE = range(3)  # types of sides: a phrase for a phrase; an attribute for a phrase, and the other way


class Numbers(dict[Hashable, int]):
    """Value -> its number. New values get the next one. `all` has the values by number."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Any] = []

    def __missing__(self, value: Hashable) -> int:
        number = self[value] = len(self.all)
        self.all.append(value)
        return number


class Table:
    """The sides of all captions. A side is given by its number."""

    def __init__(self, owner: Sequence[int]):
        """owner: the photograph of each caption."""
        self.owner = owner
        self.caption, self._extra, self._given = array("i"), array("i"), array("i")
        self._type, self._start, self._end = array("b"), array("i"), array("i")
        self._edits: dict[int, tuple[Edit, ...]] = {}  # for a cut, those that remove the attribute
        self._rest, self._needs = Ragged(), array("i")
        self._extras, self._texts, self._lemmas, self._pairs = Numbers(), Numbers(), Numbers(), Numbers()
        self._same: dict[Any, Any] = {}
        self._known: dict[int, tuple[Any, ...]] = {}
        self.known = lru_cache(maxsize=4096)(self._known_of)

    def __len__(self) -> int:
        return len(self.caption)

    # Filling

    def add_photograph(self, owner: int, captions: Sequence[Added]) -> None:
        """Note what all captions of a photograph say."""
        known, same = Known.of(captions), self._once
        words = tuple(sorted(map(same, known.words & telling_words())))
        named = tuple(map(same, sorted(known.named)))
        worn = tuple((same(type_), tuple(map(same, map(_plain, some)))) for type_, some in known.worn.items())
        people = same(tuple(map(same, known.people)))
        self._known[owner] = (words, named, same(known.scenes), same(worn), people, known.is_one, known.is_crowded)

    def _known_of(self, owner: int) -> Known:
        words, named, scenes, worn, people, is_one, is_crowded = self._known[owner]
        worn = {type_: list(some) for type_, some in worn}
        return Known(frozenset(words), frozenset(named), scenes, worn, people, is_one, is_crowded)

    def add_caption(self, number: int, one: Added, lemmas: frozenset[str], attributes: Attributes) -> None:
        """Add what a caption gives and gets. lemmas: of its content words."""
        parse = one.caption.parse
        for extra in one.extras:
            start, end, rest = parse.start[extra.first], parse.end[extra.last], lemmas - extra.lemmas
            changed = parse.start[extra.changed]
            given = parse.text[start:changed].lower(), parse.text[changed:end]
            self._add(number, extra, given, rest, PHRASE, (start, end))
            if extra.frame[0] == ANY:
                for phrase, word in attributes.false:
                    if not extra.first <= phrase.head <= extra.last:
                        frame = (*extra.frame, said_of(one, word, phrase))
                        removed = (parse.end[extra.first - 1], end, "", False)
                        edits = tuple(sorted([*insert_attribute(one, phrase, word), removed]))
                        needs = word, one.caption.lemmas[phrase.head]
                        self._add(number, extra._replace(frame=frame), given, rest, BARE, (0, 0), edits, needs)
        for spot in one.spots:
            for phrase, attribute in attributes.removable:
                if len(attribute.words) == 1 and attribute.first == attribute.last:
                    (word,) = attribute.words
                    frame = (*spot.frame, said_of(one, word, phrase))
                    words, governor = frozenset(attribute.words), one.caption.lemmas[spot.anchor.head]
                    extra = Extra(ATTRIBUTE, frame, 0, 0, governor, (), spot.anchor, (word,), words, 0)
                    end, edits = parse.end[spot.token - 1], tuple(remove_attribute(one, attribute))
                    self._add(number, extra, ("", ""), lemmas - words, CUT, (end, end), edits)

    def _add(
        self,
        caption: int,
        extra: Extra,
        given: tuple[str, str],
        rest: frozenset[str],
        type_: int,
        span: tuple[int, int],
        edits: tuple[Edit, ...] = (),
        needs: tuple[str, str] | None = None,
    ) -> None:
        if edits:
            self._edits[len(self)] = edits
        self.caption.append(caption)
        self._extra.append(self._extras[self._without_places(extra)])
        self._given.append(self._texts[given])
        self._type.append(type_)
        self._start.append(span[0])
        self._end.append(span[1])
        self._rest.append(sorted(self._lemmas[lemma] for lemma in rest))
        self._needs.append(-1 if needs is None else self._pairs[needs])

    def _without_places(self, extra: Extra) -> Extra:
        same = self._once
        return extra._replace(
            **{"first": 0, "last": 0, "changed": 0, "frame": same(extra.frame), "words": same(extra.words)},
            phrases=same(tuple(same(_plain_phrase(phrase)) for phrase in extra.phrases)),
            anchor=extra.anchor and same(_plain_phrase(extra.anchor)),
            lemmas=same(extra.lemmas),
        )

    def _once(self, value: Any) -> Any:
        """The value itself, or an equal one that is already stored."""
        return self._same.setdefault(value, value)

    # Reading

    def columns(self, sides: Sequence[int]) -> Sides:
        """The columns of some sides, for `pairing`."""
        extras = [self._extras.all[self._extra[side]] for side in sides]
        return Sides(
            array("i", [self.caption[side] for side in sides]),
            [extra.frame for extra in extras],
            [extra.governor for extra in extras],
            bytes(self._type[side] == CUT for side in sides),
        )

    def usable(self, together: Any, least: int) -> list[int]:
        """The sides whose new attributes go with their nouns, by caption. together: see `count_together`."""
        found = [n for n, needs in enumerate(self._needs) if needs < 0 or together[self._pairs.all[needs]] >= least]
        return sorted(found, key=self.caption.__getitem__)

    def extra(self, side: int) -> Extra:
        return self._extras.all[self._extra[side]]

    def can(self, one: int, two: int) -> bool:
        """Can two sides give each other what they have?"""
        photographs = self.owner[self.caption[one]], self.owner[self.caption[two]]
        a, b = self.extra(one), self.extra(two)
        if photographs[0] == photographs[1] or a.words == b.words:
            return False
        types = self._type[one], self._type[two]
        if (types[0] == CUT) is not (types[1] == BARE) or (types[1] == CUT) is not (types[0] == BARE):
            return False
        is_wide = a.frame[0] == ANY
        if is_wide is (a.category == b.category) or (GARMENT in (a.category, b.category) and not _dress_alike(a, b)):
            return False
        return (types[0] == BARE or is_false(b, self.known(photographs[0]), a)) and (
            types[1] == BARE or is_false(a, self.known(photographs[1]), b)
        )

    def rest(self, side: int) -> list[str]:
        """The lemmas of the caption's other content words."""
        names = self._lemmas.all
        return [names[lemma] for lemma in self._rest[side]]

    def edits(self, own: int, other: int) -> list[Edit]:
        """The edits of a caption that gets what another side gives. Links and articles are not false."""
        if self._type[own] == BARE:
            return list(self._edits[own])
        front, phrase = self._texts.all[self._given[other]]
        start, end = self._start[own], self._end[own]
        if self._type[own] == PHRASE:
            return [*([(start, start, front, False)] if front else []), (start, end, phrase, True)]
        return sorted([(end, end, f" {front}", False), (end, end, phrase, True), *self._edits[own]])


class Gain:
    """Log of the likelihood ratio of the texts after two sides have exchanged their phrases to the texts before."""

    def __init__(self, table: Table, fit: Fit, counted: frozenset[int]):
        """counted: the captions that `fit` has counted."""
        self._table, self._fit, self._counted = table, fit, counted
        self._old = np.full(len(table), np.nan)

    def __call__(self, one: int, two: int) -> float:
        table, fit = self._table, self._fit
        new = fit.of(table.extra(two).lemmas, table.rest(one), 0) + fit.of(table.extra(one).lemmas, table.rest(two), 0)
        return new - sum((self._old_of(one), self._old_of(two)))

    def _old_of(self, side: int) -> float:
        known = float(self._old[side])
        if known != known:  # not computed yet
            own = int(self._table.caption[side] in self._counted)
            known = self._old[side] = self._fit.of(self._table.extra(side).lemmas, self._table.rest(side), own)
        return known


def _plain_phrase(phrase: Phrase) -> Phrase:
    return phrase._replace(start=0, first=0, head=0, sentence=0, attributes=_plain(phrase.attributes))


def _plain(attributes: tuple[Any, ...]) -> tuple[Any, ...]:
    """Attributes without their places."""
    return tuple(attribute._replace(first=0, last=0) for attribute in attributes)


def _dress_alike(one: Extra, two: Extra) -> bool:
    """Can the two whom phrases belong to wear the same?"""
    return one.anchor is not None and two.anchor is not None and who(one.anchor) == who(two.anchor)
