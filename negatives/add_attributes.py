"""Finds attributes that can be added: "a dog" -> "a brown dog", where another caption says "black dog".

The caption loses an attribute of another noun, so the new text has as many attributes as the caption.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from negatives.add_rules import Added
from negatives.caption import ANY_NOUN
from negatives.edits import match_case, takes_an
from negatives.exchange_rules import exclude, same_noun
from negatives.phrases import BEINGS, WORDS, Attribute, Phrase, known_attributes
from negatives.text import Edit
from negatives.vocabulary import LIST, pools

POOLS = ("colour.any", "material.any", "pattern.any", "state.age")
_INNER = frozenset(("material.any", "pattern.any"))  # colours come before these: "a blue striped shirt"
MIN_TOGETHER = 3  # training captions with attribute and noun; rarer ones are odd


def count_together(captions: Iterable[Added]) -> Counter[tuple[str, str]]:
    """(attribute, lemma of its noun) -> captions with both."""
    return Counter(
        (word, one.caption.lemmas[phrase.head])
        for one in captions
        for phrase in one.reading.phrases
        for attribute in phrase.attributes
        if len(attribute.words) == 1
        for word in attribute.words
    )


class Every(Counter[tuple[str, str]]):
    """Counts as those of `count_together`, as long as they are not known: all attributes go with all nouns."""

    def __missing__(self, key: tuple[str, str]) -> int:
        return MIN_TOGETHER


class Attributes(NamedTuple):
    """The attributes that a caption can do without, with their phrases; and the false ones that it can get."""

    removable: tuple[tuple[Phrase, Attribute], ...]
    false: tuple[tuple[Phrase, str], ...]

    def exchanged(self, one: Added) -> list[tuple[tuple[str, str], tuple[Edit, ...]]]:
        """The edits that remove an attribute of a phrase and add one to another phrase; and (attribute, its noun)."""
        return [
            (
                (new, one.caption.lemmas[phrase.head]),
                tuple(sorted((*insert_attribute(one, phrase, new), *remove_attribute(one, attribute)))),
            )
            for phrase, new in self.false
            for other, attribute in self.removable
            if other is not phrase
        ]


def read_attributes(captions: Sequence[Added], together: Counter[tuple[str, str]]) -> list[Attributes]:
    """The attributes of each caption of one photograph. together: see `count_together`."""
    found = []
    for one in captions:
        if one.caption.parse.text.isupper() or not LIST["contrast"].isdisjoint(one.reading.words):
            found.append(Attributes((), ()))
            continue
        false = [
            (phrase, new)
            for phrase in one.reading.phrases
            for new in _false_attributes(one, phrase, captions, together)
        ]
        found.append(Attributes(tuple(_removable(one)), tuple(false)))
    return found


def said_of(one: Added, attribute: str, phrase: Phrase) -> str:
    """An attribute and its noun, as a part of a frame."""
    return f"{attribute} {one.reading.words[phrase.head]}"


def _removable(one: Added) -> Iterator[tuple[Phrase, Attribute]]:
    """The attributes that a caption can do without, and their phrases."""
    for phrase in one.reading.phrases:
        if phrase.is_odd or not phrase.word or (not phrase.determiner and not phrase.plural):
            continue
        for attribute in phrase.attributes:
            if attribute.pool in POOLS and attribute.last < phrase.head:
                yield phrase, attribute


def _false_attributes(
    one: Added, phrase: Phrase, captions: Sequence[Added], together: Counter[tuple[str, str]]
) -> Iterator[str]:
    """Attributes that other captions of the photograph contradict, for a phrase without one of the pool."""
    if not _is_bare(phrase) or LIST["body"].intersection((phrase.word,)):
        return
    lemma = one.caption.lemmas[phrase.head]
    said: dict[str, list[Attribute]] = {}
    for other in captions:
        alike = [each for each in other.reading.phrases if _is_alike(one, phrase, other, each)]
        if len(alike) > 1 or any(each.plural != phrase.plural or each.is_odd for each in alike):
            return
        for each in alike:
            for attribute in each.attributes:
                said.setdefault(attribute.pool, []).append(attribute)
    for pool in POOLS:
        own = said.get(pool, ())
        if not own or any(attribute.pool == pool for attribute in phrase.attributes):
            continue
        for word, groups in _words_of(pool):
            new = Attribute(pool, frozenset((word,)), groups, 0, 0)
            if together[word, lemma] >= MIN_TOGETHER and all(exclude(new, attribute) for attribute in own):
                yield word


def _is_bare(phrase: Phrase) -> bool:
    """Can an attribute be added before the noun?"""
    is_owned = phrase.is_owned and phrase.determiner in ("", "'s")
    return not (phrase.is_odd or is_owned or not phrase.word or phrase.names_other) and not (
        phrase.word in WORDS.lists["no_colour"] or (not phrase.determiner and not phrase.plural)
    )


def _is_alike(one: Added, phrase: Phrase, other: Added, each: Phrase) -> bool:
    """Can both phrases name one thing?"""
    if phrase.noun.kind and each.noun.kind:
        return same_noun(phrase, each) or (
            phrase.noun.kind == each.noun.kind and phrase.noun.kind in BEINGS and _loose(phrase, each)
        )
    return one.caption.lemmas[phrase.head] == other.caption.lemmas[each.head]


def _loose(one: Phrase, two: Phrase) -> bool:
    """People whom other nouns can name: a man, a skier, a person."""
    a, b = one.noun, two.noun
    return a.kind == "person" and not (a.gender and b.gender and a.gender != b.gender)


@cache
def _words_of(pool: str) -> tuple[tuple[str, frozenset[int]], ...]:
    known = known_attributes()
    return tuple(
        (word, frozenset((number,)))
        for number, group in enumerate(pools()[pool])
        for word in group.targets
        if known.get(word, ("",))[0] == pool
    )


def insert_attribute(one: Added, phrase: Phrase, new: str) -> list[Edit]:
    """The edits that add an attribute to a phrase. Ages come first, colours before patterns and materials."""
    parse, tags = one.caption.parse, one.reading.tags
    text, ends = parse.text, parse.end
    at = next(i for i in range(phrase.first, phrase.head + 1) if tags[i] in ANY_NOUN)
    if known_attributes()[new][0] == "state.age":
        at = phrase.first
    elif inner := [attribute.first for attribute in phrase.attributes if attribute.pool in _INNER]:
        at = min(at, *inner)
    if at:
        end = ends[at - 1]
        return [(end, end, " ", False), (end, end, new, True), *_article(one, at, new)]
    first = text[: ends[0]]
    return [(0, 0, match_case(first, new), True), (0, ends[0], f" {first.lower()}", False)]


def remove_attribute(one: Added, attribute: Attribute) -> list[Edit]:
    """The edits that remove an attribute."""
    parse, first, after = one.caption.parse, attribute.first, attribute.last + 1
    rest = parse.text[parse.start[after] : parse.end[after]]
    if first:
        return [(parse.start[first], parse.start[after], "", False), *_article(one, first, rest)]
    return [(0, parse.end[after], match_case(parse.text[:1], rest), False)]


def _article(one: Added, token: int, after: str) -> list[Edit]:
    """The edit of the article before a token, if another word follows it now."""
    parse = one.caption.parse
    if not token or one.reading.words[token - 1] not in ("a", "an"):
        return []
    start, end = parse.start[token - 1], parse.end[token - 1]
    old, new = parse.text[start:end], "an" if takes_an(after) else "a"
    return [] if new == old.lower() else [(start, end, match_case(old, new), False)]
