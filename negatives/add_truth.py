"""Is a phrase false of a photograph? Judged by what all captions of the photograph say.

A phrase is false if it names something that no caption names, that captions would name, and that cannot be another
word for what they name; or if it contradicts them: another colour, another scene.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

from negatives.add_rules import ACTION, ADD, COMPANION, GARMENT, Added, Extra, type_worn
from negatives.exchange_rules import exclude
from negatives.phrases import Attribute, Noun, Phrase
from negatives.vocabulary import LIST, Entry, entries

_COLOUR = "colour.any"
Colours = tuple[Attribute, ...]


class Known(NamedTuple):
    """What the captions of a photograph say.

    worn: type of a garment -> the colours of each mention.
    people: every noun for a person. is_one: no caption names two people, and all can mean the same person.
    """

    words: frozenset[str]  # and lemmas
    named: frozenset[tuple[str, int]]
    scenes: frozenset[str]
    worn: dict[str, list[Colours]]
    people: tuple[Noun, ...]
    is_one: bool
    is_crowded: bool

    @classmethod
    def of(cls, captions: Sequence[Added]) -> Known:
        """captions: of one photograph."""
        words = frozenset(word for one in captions for word in (*one.reading.words, *one.caption.lemmas))
        worn: dict[str, list[Colours]] = {}
        for one in captions:
            for phrase in one.reading.phrases:
                if phrase.noun.kind in ("garment", "colour"):
                    worn.setdefault(type_worn(phrase), []).append(_colours(phrase))
        people = [[p for p in one.reading.phrases if p.noun.kind == "person"] for one in captions]
        nouns = tuple(phrase.noun for own in people for phrase in own)
        return cls(
            words,
            captions[0].caption.named,
            scenes_of(words),
            worn,
            nouns,
            all(len(own) <= 1 for own in people) and all(_can_be_same(a, b) for a, b in combinations(nouns, 2)),
            not ADD.lists["crowd"].isdisjoint(words) or any(phrase.plural for own in people for phrase in own),
        )


@lru_cache(maxsize=1)
def telling_words() -> frozenset[str]:
    """The words that `is_false` looks for in `Known.words`."""
    known = entries()
    found = {*known, *LIST["person"], *(entry.word for some in known.values() for entry in some)}
    return frozenset(found).union(
        *(entry.near for some in known.values() for entry in some), *ADD.generic.values(), *ADD.implied
    )


def is_false(extra: Extra, known: Known, own: Extra) -> bool:
    """Is the phrase `extra` of another photograph false in the place of the phrase `own`?"""
    if extra.category == GARMENT:
        return all(_is_not_worn(phrase, known, own) for phrase in extra.phrases)
    if extra.category == COMPANION:
        phrase = extra.phrases[0]
        if own.anchor is not None and phrase.word == own.anchor.word:
            return False
        is_person = phrase.noun.kind == "person"
        return _is_no_person(phrase.noun, known) if is_person else _is_absent(phrase.word, known)
    if extra.category == ACTION:
        return all(_is_absent(phrase.word, known) for phrase in extra.phrases) and _goes_with_none(extra.words, known)
    if scenes_of((extra.phrases[0].word,)):
        return _is_elsewhere(extra.words, known)
    return _is_absent(extra.phrases[0].word, known)


@lru_cache(maxsize=1)
def _scenes_by_word() -> dict[str, frozenset[str]]:
    words = frozenset().union(*ADD.scenes.values())
    return {word: frozenset(scene for scene, own in ADD.scenes.items() if word in own) for word in words}


def scenes_of(words: Iterable[str]) -> frozenset[str]:
    """The scenes that some words name."""
    known = _scenes_by_word()
    return frozenset().union(*(known[word] for word in words if word in known))


def _is_elsewhere(words: Iterable[str], known: Known) -> bool:
    """Do the words name a scene that is apart from one of the photograph?"""
    return any(
        scene not in known.scenes and not ADD.apart[scene].isdisjoint(known.scenes) for scene in scenes_of(words)
    )


def _is_no_person(noun: Noun, known: Known) -> bool:
    """Does the photograph show no such person besides those that are named with another noun?"""
    if known.is_crowded or (not known.people and not LIST["person"].isdisjoint(known.words)):
        return False
    return known.is_one or not any(_can_be_same(noun, other) for other in known.people)


def _can_be_same(one: Noun, two: Noun) -> bool:
    """Can two nouns mean one person? A girl can be called a woman, but not a baby."""
    if one.gender and two.gender and one.gender != two.gender:
        return False
    ages = {one.age, two.age}
    return not ("adult" in ages and not ages.isdisjoint(("baby", "child")) and "" in (one.gender, two.gender))


def _entries_of(word: str) -> list[Entry]:
    return [entry for entry in entries().get(word, ()) if entry.pool and len(entry.words) == 1]


def _is_absent(word: str, known: Known) -> bool:
    """Would the captions name this thing or animal, if it were there?"""
    if word in _scenes_by_word():
        return _is_elsewhere((word,), known)
    found = _entries_of(word)
    if not found or word in known.words or word in ADD.lists["background"] or not _goes_with_none((word,), known):
        return False
    return not any(
        entry.word in known.words
        or (entry.pool, entry.group) in known.named
        or not entry.near.isdisjoint(known.words)
        or not ADD.generic.get(entry.category, frozenset()).isdisjoint(known.words)
        for entry in found
    )


def _goes_with_none(words: Iterable[str], known: Known) -> bool:
    """Do no words of the captions go together with one of these?"""
    return not any(not group.isdisjoint(words) and not group.isdisjoint(known.words) for group in ADD.implied)


def _is_not_worn(phrase: Phrase, known: Known, own: Extra) -> bool:
    """Does the person not wear this garment or colour? `own`: what the person wears."""
    type_, colours = type_worn(phrase), _colours(phrase)
    said = [colour for kind in (type_, "colour") for colour in known.worn.get(kind, ())]
    if type_ == "colour":
        said = [colour for every in known.worn.values() for colour in every]
    if any(not _exclude(colours, other) for other in said if other and colours):
        return False
    # What the captions say of the only person is said of this one.
    mine = said if known.is_one and not known.is_crowded else []
    mine = [*mine, *(_colours(other) for other in own.phrases if type_ == "colour" or type_worn(other) == type_)]
    if any(mine) and colours:
        return True
    is_named = type_ in known.worn or any(
        (entry.pool, entry.group) in known.named or not entry.near.isdisjoint(known.words)
        for entry in _entries_of(phrase.word)
    )
    return phrase.word in ADD.lists["notable"] and not is_named and ADD.generic["clothing"].isdisjoint(known.words)


def _colours(phrase: Phrase) -> Colours:
    return tuple(attribute for attribute in phrase.attributes if attribute.pool == _COLOUR)


def _exclude(some: Colours, others: Colours) -> bool:
    return all(exclude(one, other) for one in some for other in others)
