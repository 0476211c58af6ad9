"""The captions of a photograph, and the company that a word keeps in them.

What `negatives.balance` counts and `negatives.mined` compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from negatives.slots import find_slots
from negatives.text import Parse, Slot
from negatives.vocabulary import entries

# Parts of speech that carry the meaning, by their Penn Treebank tags.
CONTENT_TAGS = frozenset(("NN", "NNS", "NNP", "VB", "VBG", "VBZ", "VBP", "VBD", "VBN", "JJ", "CD", "RP"))
# Categories of words that say something of a noun: what they depend on is that noun.
HEADED = frozenset(("colour", "size", "shape", "material", "pattern", "number", "state", "weather"))
START, END = "<s>", "</s>"


class ParsedCaption(NamedTuple):
    """A parsed caption with its slots, and with what all captions of its photograph name."""

    parse: Parse
    words: tuple[str, ...]  # lower-case tokens, "an" as "a": the article follows its word by itself
    lemmas: tuple[str, ...]
    slots: tuple[Slot, ...]
    named: frozenset[tuple[str, int]]  # (pool, group) of all that the photograph's captions name: never drawn


def read_texts(parses: Sequence[Parse]) -> list[ParsedCaption]:
    """Read the parses of all captions of one photograph."""
    texts = []
    for parse in parses:
        words = tuple(parse.text[start:end].lower() for start, end in zip(parse.start, parse.end))
        lemmas = tuple(lemma.lower() for lemma in parse.lemma)
        texts.append((parse, tuple("a" if word == "an" else word for word in words), lemmas, find_slots(parse)))
    named = frozenset().union(*(groups_named(words, lemmas) for _, words, lemmas, _ in texts))
    return [ParsedCaption(*text, named) for text in texts]


def groups_named(words: Sequence[str], lemmas: Sequence[str]) -> set[tuple[str, int]]:
    """(pool, group) of every vocabulary entry that stands in a text, in whatever sense."""
    index, found = entries(), set()
    for i, (word, lemma) in enumerate(zip(words, lemmas)):
        for entry in index.get(word, ()):
            if entry.pool and (len(entry.words) == 1 or tuple(words[i : i + len(entry.words)]) == entry.words):
                found.add((entry.pool, entry.group))
        if lemma != word:
            found.update((e.pool, e.group) for e in index.get(lemma, ()) if e.pool and len(e.words) == 1)
    return found


def neighbours(text: ParsedCaption, slot: Slot) -> tuple[str, str]:
    """The words before and behind a slot."""
    words = text.words
    before = words[slot.first - 1] if slot.first else START
    return before, words[slot.last + 1] if slot.last + 1 < len(words) else END


def governor_and_dependent(text: ParsedCaption, slot: Slot) -> tuple[str, str]:
    """What the word of a slot depends on in the parse, and what depends on it; "" where there is nothing that matters.

    A verb has its subject and its first object, preposition or particle: ("dog", "through") in "a dog runs through
    snow". Any other word has its head, for example "dog" for "brown", or "on: sit" for "bench" in "sits on a bench".
    """
    parse, lemmas, i = text.parse, text.lemmas, slot.last
    if slot.category == "action":
        return _subject_and_object(text, i)
    head, dep = parse.head[i], parse.dep[i]
    if head == i:
        return "", ""
    if slot.category in HEADED or dep == "amod" or slot.category == "relation":
        return lemmas[head], ""
    if dep == "pobj":
        governor = parse.head[head]
        return f"{lemmas[head]}: {lemmas[governor] if governor != head else ''}", ""
    return f"{dep}: {lemmas[head]}", ""


def _subject_and_object(text: ParsedCaption, verb: int) -> tuple[str, str]:
    parse, lemmas = text.parse, text.lemmas
    subject = object_ = ""
    for j, head in enumerate(parse.head):
        if head != verb or j == verb:
            continue
        if parse.dep[j] in ("nsubj", "nsubjpass"):
            subject = lemmas[j]
        elif not object_ and parse.dep[j] in ("dobj", "prep", "advmod", "prt"):
            object_ = lemmas[j]
    head = parse.head[verb]
    if not subject and head != verb and parse.dep[verb] in ("acl", "relcl", "advcl", "pcomp"):
        subject = lemmas[head]
    return subject, object_


def surface_of(text: ParsedCaption, slot: Slot) -> str:
    """The word of a slot as the caption spells it, in lower case; some are several words ("teddy bear")."""
    return " ".join(text.words[slot.first : slot.last + 1])


def content_lemmas(text: ParsedCaption, but: Slot | None = None) -> set[str]:
    """Lemmas of the words that carry the meaning, without those of a slot."""
    inside = range(but.first, but.last + 1) if but is not None else ()
    return {
        lemma
        for i, (lemma, tag) in enumerate(zip(text.lemmas, text.parse.tag))
        if tag in CONTENT_TAGS and i not in inside
    }
