"""Evaluates the rows of `[fits]` and `[avoid]` in `vocabulary.toml`: conditions on the context of a slot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from negatives.caption import OBJECT_TAGS, Caption
from negatives.text import Slot
from negatives.vocabulary import CONTEXT_KEYS, FLAGS, LIST, VOCABULARY, Entry, Row, words_of

NONE: frozenset[str] = frozenset()
_Context: TypeAlias = Callable[[Caption, int, int], Iterable[str]]
_Flag: TypeAlias = Callable[[Caption, int], bool]


class _Rule(NamedTuple):
    """A row of conditions, with its lists and categories replaced by their words."""

    words: frozenset[str]  # words of the pool that the row is for; empty: all
    not_words: frozenset[str]  # words of the pool that it is not for
    # (words at a place of the caption; must one of these words be there, or none?; these words)
    conditions: tuple[tuple[_Context, bool, frozenset[str]], ...]
    flags: tuple[tuple[_Flag, bool], ...]
    last_resort: str
    avoid: frozenset[str]


def fits(caption: Caption, entry: Entry, first: int, last: int) -> bool:
    """Do the `[fits]` conditions of the entry's pool hold at the tokens first..last?"""
    for rule in _rules().fits.get(entry.pool, ()):
        if rule.last_resort == "always" and caption.lenient:
            continue
        if _is_for(rule, entry) and not _holds(caption, rule, first, last):
            return False
    return True


def avoided(caption: Caption, entry: Entry, first: int, last: int) -> frozenset[str]:
    """The words that `[avoid]` forbids as replacements of the tokens first..last."""
    avoid = NONE
    for rule in _rules().avoid.get(entry.pool, ()):
        if _is_for(rule, entry) and _holds(caption, rule, first, last):
            avoid = union(avoid, rule.avoid)
    return avoid


@lru_cache(maxsize=4096)
def union(some: frozenset[str], others: frozenset[str]) -> frozenset[str]:
    """The union, cached: sets of verbs have hundreds of forms, and few combinations of sets occur."""
    return some | others


def make_slot(
    entry: Entry,
    first: int,
    last: int,
    repairs: tuple[tuple[int, str, bool], ...] = (),
    avoid: frozenset[str] = NONE,
    echoes: tuple[tuple[int, int], ...] = (),
) -> Slot:
    """A slot of an entry at the tokens first..last. The entry's near words are avoided too."""
    avoid = union(entry.near, avoid) if avoid else entry.near
    return Slot(entry.category, first, last, entry.word, entry.form, entry.pool, entry.group, repairs, avoid, echoes)


def _is_for(rule: _Rule, entry: Entry) -> bool:
    return (not rule.words or entry.word in rule.words) and entry.word not in rule.not_words


def _holds(caption: Caption, rule: _Rule, first: int, last: int) -> bool:
    if rule.last_resort == "only" and not caption.lenient:
        return False
    for flag, wanted in rule.flags:
        if flag(caption, last) is not wanted:
            return False
    for context, wanted, words in rule.conditions:
        if words.isdisjoint(context(caption, first, last)) is wanted:
            return False
    return True


def _noun(caption: Caption, last: int) -> Iterable[str]:
    noun = caption.noun_after(last)
    return (caption.words[noun],) if noun >= 0 else ()


_CONTEXT: Mapping[str, _Context] = {  # the words at a place of the caption, around the tokens first..last
    "before": lambda caption, first, last: (caption.word(first - 1),),
    "after": lambda caption, first, last: (caption.word(last + 1),),
    "near": lambda caption, first, last: caption.words[last + 1 : last + 5],
    "ahead": lambda caption, first, last: caption.words[last + 1 : last + 6],
    "earlier": lambda caption, first, last: caption.words[max(0, first - 4) : first],
    "has": lambda caption, first, last: caption.words,
    "preposition": lambda caption, first, last: (caption.preposition(first),),
    "noun": lambda caption, first, last: _noun(caption, last),
    "tags": lambda caption, first, last: (caption.tags[first],),
    "after_tags": lambda caption, first, last: (caption.tag(last + 1),),
}
_FLAG: Mapping[str, _Flag] = {
    "object": lambda caption, last: caption.tag(last + 1) in OBJECT_TAGS,
    "human": lambda caption, last: caption.has_being(animals=False),
    "being": lambda caption, last: caption.has_being(),
}


class _Rules(NamedTuple):
    fits: Mapping[str, tuple[_Rule, ...]]
    avoid: Mapping[str, tuple[_Rule, ...]]


@lru_cache(maxsize=1)
def _rules() -> _Rules:
    made = [
        {pool: tuple(map(_rule, rows)) for pool, rows in section.items()}
        for section in (VOCABULARY.fits, VOCABULARY.avoid)
    ]
    return _Rules(*made)


def _rule(row: Row) -> _Rule:
    named = {key: _words(value) for key, value in row.items() if isinstance(value, str)}
    conditions = [(_CONTEXT[key], True, named[key]) for key in CONTEXT_KEYS if key in named]
    conditions += [(_CONTEXT[key], False, named[f"not_{key}"]) for key in CONTEXT_KEYS if f"not_{key}" in named]
    flags = tuple((_FLAG[key], bool(row[key])) for key in FLAGS if key in row)
    return _Rule(
        named.get("words", NONE),
        named.get("not_words", NONE),
        tuple(conditions),
        flags,
        str(row.get("last_resort", "")),
        named.get("avoid", NONE),
    )


def _words(text: str) -> frozenset[str]:
    """The words that a condition names: "@list", "*category", or single words."""
    parts = []
    for name in text.split():
        if name[0] == "@":
            parts.append(LIST[name[1:]])
        else:
            parts.append(words_of(name[1:]) if name[0] == "*" else frozenset((name.replace("_", " "),)))
    return frozenset().union(*parts)
